//! Effects in random programs, so that the result is the same in every order that the IR allows.
//!
//! * Barriers and subgroup operations stand anywhere.
//! * `exchange` (of the workgroup) and `board` (a buffer) have a word for each invocation, which only that one writes; it is
//!   read by the others in another stretch between barriers, where all invocations are together.
//! * `turns` (of the workgroup) is for atomics of all kinds, and their results: the IR says in which order they go. Passes may
//!   change that order among invocations that parted, though: see [`Shape`].
//! * `tally` (a buffer) is for atomics that commute, and nobody looks at their results: workgroups may run at once.

use super::{OUT, Random};
use crate::spmd::ir::{
    AtomicOp, Binary, Block, Buffer, BufferDecl, Builtin, Effect, LocalDecl, Memory, Op, Order, Program,
    Role, Shared, Stmt, Ty, Value,
};

/// Words of `tally`: four for each operation.
pub(crate) const TALLY: usize = 4 * COMMUTING.len();
/// Words of `turns`.
const TURNS: u32 = 8;

const SIZES: [[u32; 3]; 12] = [
    [64, 1, 1],
    [16, 2, 1],
    [5, 3, 2],
    [1, 1, 1],
    [33, 1, 1],
    [8, 8, 1],
    [1, 7, 1],
    [32, 2, 2],
    [17, 1, 1],
    [4, 4, 4],
    [1, 1, 16],
    [256, 1, 1],
];
const WORKGROUPS: [[u32; 3]; 5] = [[1, 1, 1], [3, 1, 1], [2, 2, 1], [1, 2, 2], [1, 1, 3]];

const COMMUTING: [(AtomicOp, Ty); 9] = [
    (AtomicOp::Add, Ty::U32),
    (AtomicOp::Sub, Ty::I32),
    (AtomicOp::And, Ty::U32),
    (AtomicOp::Or, Ty::I32),
    (AtomicOp::Xor, Ty::U32),
    (AtomicOp::Min, Ty::U32),
    (AtomicOp::Min, Ty::I32),
    (AtomicOp::Max, Ty::U32),
    (AtomicOp::Max, Ty::I32),
];

const FLOATS: Memory = Memory::Buffer(Buffer(0));
const INTEGERS: Memory = Memory::Buffer(Buffer(1));
const TALLIES: Memory = Memory::Buffer(Buffer(3));
const BOARD: Memory = Memory::Buffer(Buffer(4));
const EXCHANGE: Memory = Memory::Shared(Shared(0));
const TURN: Memory = Memory::Shared(Shared(1));

/// A random program of whole workgroups and how to run it.
pub(crate) struct Shape {
    pub program: Program,
    /// Workgroups to run.
    pub workgroups: [u32; 3],
    /// Whether invocations that parted do atomics whose results count. A pass may move the end of a scope into the arm of an
    /// `If` that gets there, and so before the other arm: each invocation's order is kept, that among them is not.
    pub turns_apart: bool,
}

impl Random<'_> {
    /// The program of whole workgroups that these bytes stand for.
    pub(crate) fn workgroups(bytes: &[u8]) -> Shape {
        let mut first = bytes.iter().map(|byte| usize::from(*byte)).chain(std::iter::repeat(0));
        let mut pick = |from: usize| first.next().expect("it goes on for ever") % from;
        let (size, workgroups) = (SIZES[pick(SIZES.len())], WORKGROUPS[pick(WORKGROUPS.len())]);
        let turns_apart = pick(3) == 1;
        let buffer = |(name, writable): (&str, bool), at: usize| BufferDecl {
            name: name.into(),
            binding: (0, at as u32),
            writable,
            role: Role::Data,
        };
        let names = [("floats", false), ("integers", false), ("out", true), ("tally", true), ("board", true)];
        let array = |name: &str, words| LocalDecl { name: name.into(), words };
        let lanes: u32 = size.iter().product();
        let program = Program {
            name: "random".into(),
            workgroup_size: size,
            buffers: names.into_iter().enumerate().map(|(at, name)| buffer(name, at)).collect(),
            order: Order::Workgroups,
            // Sometimes without a word for the last invocation.
            shared: vec![array("exchange", (lanes - lanes / 7 % 2).max(1)), array("turns", TURNS)],
            tables: vec![super::TABLE.into()],
            locals: vec![array("floats", 3), array("integers", 3)],
            vars: Vec::new(),
            values: Vec::new(),
            body: Vec::new(),
            labels: 0,
        };
        let mut random = Random::new(bytes.get(3..).unwrap_or(&[]), program);
        random.turns_apart = turns_apart;
        Shape { program: random.finish(), workgroups, turns_apart }
    }

    fn lanes(&self) -> u32 {
        self.program.workgroup_size.iter().product()
    }

    fn binary(&mut self, block: &mut Block, op: Binary, a: Value, b: Value) -> Value {
        let op = Op::Binary(op, a, b);
        let ty = op.result_type(&self.program).expect("no binary operation but a shift leaves it open");
        self.define(block, ty, op)
    }

    fn bits(&mut self, block: &mut Block, bits: u32) -> Value {
        self.define(block, Ty::U32, Op::Const(bits))
    }

    fn word_of(&mut self, block: &mut Block, builtin: Builtin) -> Value {
        self.define(block, Ty::U32, Op::Builtin(builtin))
    }

    fn barrier(&mut self, block: &mut Block) {
        block.push(Stmt::Effect { result: None, effect: Effect::Barrier });
    }

    fn effect(&mut self, block: &mut Block, ty: Ty, effect: Effect) -> Value {
        let value = self.program.new_value(ty);
        block.push(Stmt::Effect { result: Some(value), effect });
        self.visible.push(value);
        value
    }

    /// The number of the invocation in the grid, x fastest.
    pub(super) fn number(&mut self, block: &mut Block) -> Value {
        let [x, y, z] = [0, 1, 2].map(|axis| self.word_of(block, Builtin::GlobalId(axis)));
        let [width, height] = [0, 1].map(|axis| {
            let workgroups = self.word_of(block, Builtin::NumWorkgroups(axis));
            let size = self.bits(block, self.program.workgroup_size[usize::from(axis)]);
            self.binary(block, Binary::MulI, workgroups, size)
        });
        let rows = self.binary(block, Binary::MulI, z, height);
        let rows = self.binary(block, Binary::AddI, rows, y);
        let row = self.binary(block, Binary::MulI, rows, width);
        self.binary(block, Binary::AddI, row, x)
    }

    /// The first word of the workgroup on the board.
    fn desk(&mut self, block: &mut Block) -> Value {
        let [x, y, z] = [0, 1, 2].map(|axis| self.word_of(block, Builtin::WorkgroupId(axis)));
        let [width, height] = [0, 1].map(|axis| self.word_of(block, Builtin::NumWorkgroups(axis)));
        let rows = self.binary(block, Binary::MulI, z, height);
        let rows = self.binary(block, Binary::AddI, rows, y);
        let row = self.binary(block, Binary::MulI, rows, width);
        let number = self.binary(block, Binary::AddI, row, x);
        let lanes = self.bits(block, self.lanes());
        self.binary(block, Binary::MulI, number, lanes)
    }

    /// A `U32` that is the same in all invocations of the workgroup.
    pub(super) fn alike(&mut self, block: &mut Block) -> Value {
        let known: Vec<Value> =
            self.visible.iter().copied().filter(|value| self.alike.contains(value)).collect();
        let value = match self.byte() % 8 {
            pick @ 0..4 if !known.is_empty() => known[known.len() - 1 - (pick as usize % known.len())],
            4 => {
                let (a, b) = (
                    self.word_of(block, Builtin::WorkgroupId(0)),
                    self.word_of(block, Builtin::WorkgroupId(1)),
                );
                self.binary(block, Binary::XorI, a, b)
            }
            5 => {
                let at = self.byte() % 40;
                let index = self.bits(block, at);
                self.define(block, Ty::U32, Op::Load { memory: INTEGERS, index })
            }
            6 => self.word_of(block, Builtin::NumWorkgroups(2)),
            _ => self.word_of(block, Builtin::WorkgroupId(0)),
        };
        self.alike.push(value);
        value
    }

    /// A condition that is the same in all invocations of the workgroup.
    pub(super) fn alike_condition(&mut self, block: &mut Block) -> Value {
        let (a, b) = (self.alike(block), self.alike(block));
        let op = [Binary::LtU, Binary::EqI, Binary::NeI][self.below(3)];
        self.binary(block, op, a, b)
    }

    /// One effect, or what belongs to one.
    pub(super) fn effect_statement(&mut self, block: &mut Block) {
        match self.byte() % 16 {
            0 => self.barrier(block),
            1..6 if self.together => {
                let board = self.chance(3);
                self.pass_on(block, board);
            }
            1..8 => self.subgroup(block),
            8..13 if self.together || self.turns_apart => self.turn(block),
            _ => self.tally(block),
        }
    }

    /// Writes an own word and, behind a barrier, reads another one.
    fn pass_on(&mut self, block: &mut Block, board: bool) {
        let (memory, first) = if board {
            let first = self.desk(block);
            (BOARD, first)
        } else {
            let first = self.bits(block, 0);
            (EXCHANGE, first)
        };
        let li = self.word_of(block, Builtin::LocalIndex);
        let own = self.binary(block, Binary::AddI, first, li);
        let value = self.any(block, Ty::U32);
        self.barrier(block);
        let store = Stmt::Store { memory, index: own, value };
        if self.chance(3) {
            let cond = self.condition(block);
            block.push(Stmt::If { cond, then: vec![store], otherwise: Vec::new() });
        } else {
            block.push(store);
        }
        self.barrier(block);
        let alike = self.chance(3);
        let which = if alike { self.alike(block) } else { self.any(block, Ty::U32) };
        let lanes = self.bits(block, self.lanes());
        let which = self.binary(block, Binary::RemU, which, lanes);
        let index = self.binary(block, Binary::AddI, first, which);
        let read = self.define(block, Ty::U32, Op::Load { memory, index });
        if alike {
            self.alike.push(read);
        }
        // The next one has its own barrier before it writes.
    }

    fn subgroup(&mut self, block: &mut Block) {
        use Binary as B;
        const FOLDS: [(Binary, Ty); 17] = [
            (B::AddI, Ty::U32),
            (B::MulI, Ty::I32),
            (B::AddF, Ty::F32),
            (B::MulF, Ty::F32),
            (B::AddI, Ty::I32),
            (B::MulI, Ty::U32),
            (B::MinF, Ty::F32),
            (B::MaxF, Ty::F32),
            (B::MinI, Ty::I32),
            (B::MaxI, Ty::I32),
            (B::MinU, Ty::U32),
            (B::MaxU, Ty::U32),
            (B::AndI, Ty::U32),
            (B::OrI, Ty::I32),
            (B::XorI, Ty::U32),
            (B::AndB, Ty::Bool),
            (B::OrB, Ty::Bool),
        ];
        let which = self.byte() % 6;
        let (ty, effect) = match which {
            0..3 => {
                // The first six have an exclusive scan.
                let (op, ty) = FOLDS[self.below(if which == 2 { 6 } else { FOLDS.len() })];
                let value = self.any(block, ty);
                let effect = match which {
                    0 => Effect::Reduce { op, value },
                    1 => Effect::InclusiveScan { op, value },
                    _ => Effect::ExclusiveScan { op, value },
                };
                (ty, effect)
            }
            3 => {
                let value = self.any(block, Ty::Bool);
                (Ty::U32, Effect::Ballot { value })
            }
            _ => {
                let ty = [Ty::F32, Ty::I32, Ty::U32][self.below(3)];
                let value = self.any(block, ty);
                if which == 4 {
                    (ty, Effect::First { value })
                } else {
                    let index = self.any(block, Ty::U32);
                    (ty, Effect::Shuffle { value, index })
                }
            }
        };
        self.effect(block, ty, effect);
    }

    /// An atomic on a word of the workgroup, whose result counts.
    fn turn(&mut self, block: &mut Block) {
        const OPS: [AtomicOp; 8] = [
            AtomicOp::Add,
            AtomicOp::Sub,
            AtomicOp::And,
            AtomicOp::Or,
            AtomicOp::Xor,
            AtomicOp::Min,
            AtomicOp::Max,
            AtomicOp::Exchange,
        ];
        let ty = [Ty::I32, Ty::U32][self.below(2)];
        let (memory, index, value) = (TURN, self.any(block, Ty::U32), self.any(block, ty));
        let effect = match self.byte() % 4 {
            0 => Effect::AtomicLoad { memory, index },
            1 => {
                let expected = self.any(block, ty);
                Effect::CompareExchange { memory, index, expected, value }
            }
            2 if self.chance(2) => {
                block.push(Stmt::Effect {
                    result: None,
                    effect: Effect::AtomicStore { memory, index, value },
                });
                return;
            }
            _ => Effect::Atomic { op: OPS[self.below(8)], memory, index, value },
        };
        if self.chance(8) {
            block.push(Stmt::Effect { result: None, effect });
        } else {
            self.effect(block, ty, effect);
        }
    }

    /// An atomic on a word that all workgroups share.
    fn tally(&mut self, block: &mut Block) {
        let which = self.below(COMMUTING.len());
        let (op, ty) = COMMUTING[which];
        let value = self.any(block, ty);
        let any = self.any(block, Ty::U32);
        // One of four words, or one far outside.
        let mask = self.bits(block, 0x8000_0003);
        let place = self.binary(block, Binary::AndI, any, mask);
        let first = self.bits(block, 4 * which as u32);
        let index = self.binary(block, Binary::AddI, first, place);
        block.push(Stmt::Effect {
            result: None,
            effect: Effect::Atomic { op, memory: TALLIES, index, value },
        });
    }

    /// What the arrays of the workgroup hold in the end is seen.
    pub(super) fn show_arrays(&mut self, block: &mut Block) {
        self.barrier(block);
        let li = self.word_of(block, Builtin::LocalIndex);
        let seven = self.bits(block, TURNS - 1);
        let at = self.binary(block, Binary::AndI, li, seven);
        for (slot, (memory, index)) in [(TURN, at), (EXCHANGE, li)].into_iter().enumerate() {
            let value = self.define(block, Ty::U32, Op::Load { memory, index });
            self.store_out(block, value, OUT / 2 - 1 - slot as u32);
        }
        let zero = self.bits(block, 0);
        // A load that no store of the program can have changed.
        let value = self.define(block, Ty::F32, Op::Load { memory: FLOATS, index: zero });
        self.store_out(block, value, 0);
    }
}
