//! Random programs of the IR.

mod effects;

use crate::spmd::ir::{
    Binary, Block, Buffer, BufferDecl, Builtin, Label, Local, LocalDecl, Memory, Op, Order, Program, Role,
    Stmt, Table, Ternary, Ty, Unary, Value, Var,
};

use super::OUT;
pub(crate) use effects::{Shape, TALLY};

/// Makes a program out of bytes.
pub(crate) struct Random<'a> {
    bytes: std::slice::Iter<'a, u8>,
    program: Program,
    /// The visible values.
    visible: Vec<Value>,
    /// Variables that statements may set; loop counters are not among them.
    vars: Vec<Var>,
    /// The loops (`true`) and scopes around the present statement, as far as a jump may reach.
    around: Vec<(Label, bool)>,
    in_continuing: bool,
    depth: u32,
    statements: u32,
    /// Whether it is a program of whole workgroups, with effects.
    workgroups: bool,
    /// Whether all invocations of the workgroup that have not ended are here together.
    together: bool,
    /// Values that are the same in all invocations of a workgroup.
    alike: Vec<Value>,
    /// See [`Shape`](effects::Shape).
    turns_apart: bool,
}

/// About how many statements a program has at most.
const MOST: u32 = 300;
/// Words of the one table: small numbers, and floats.
const TABLE: [u32; 5] = [0x4049_0fdb, 0xc000_0000, 7, 0x3f80_0000, u32::MAX];
const TYPES: [Ty; 4] = [Ty::F32, Ty::I32, Ty::U32, Ty::Bool];

impl Random<'_> {
    /// The program that these bytes stand for.
    pub(crate) fn program(bytes: &[u8]) -> Program {
        let buffer = |name: &str, at, writable| BufferDecl {
            name: name.into(),
            binding: (0, at),
            writable,
            role: Role::Data,
        };
        let local = |name: &str| LocalDecl { name: name.into(), words: 3 };
        Random::new(
            bytes,
            Program {
                name: "random".into(),
                workgroup_size: [64, 1, 1],
                buffers: vec![
                    buffer("floats", 0, false),
                    buffer("integers", 1, false),
                    buffer("out", 2, true),
                ],
                order: Order::Rows,
                shared: Vec::new(),
                tables: vec![TABLE.into()],
                locals: vec![local("floats"), local("integers")],
                vars: Vec::new(),
                values: Vec::new(),
                body: Vec::new(),
                labels: 0,
            },
        )
        .finish()
    }
}

impl<'a> Random<'a> {
    fn new(bytes: &'a [u8], program: Program) -> Self {
        Self {
            bytes: bytes.iter(),
            workgroups: program.order == Order::Workgroups,
            program,
            visible: Vec::new(),
            vars: Vec::new(),
            around: Vec::new(),
            in_continuing: false,
            depth: 0,
            statements: 0,
            together: true,
            alike: Vec::new(),
            turns_apart: false,
        }
    }

    fn finish(mut self) -> Program {
        let random = &mut self;
        for at in 0..6 {
            let var = random.program.new_var(format!("v{at}"), TYPES[at % 4]);
            random.vars.push(var);
        }
        let mut body = Vec::new();
        random.define(&mut body, Ty::U32, Op::Builtin(Builtin::GlobalId(0)));
        for ty in TYPES {
            let bits = random.constant(ty);
            random.define(&mut body, ty, Op::Const(bits));
        }
        while random.bytes.len() > 0 && random.statements <= MOST {
            random.statements(&mut body);
        }
        // What the variables hold in the end is seen.
        for (at, var) in random.vars.clone().into_iter().enumerate() {
            let ty = random.program.vars[var.index()].ty;
            let value = random.define(&mut body, ty, Op::Get(var));
            random.store_out(&mut body, value, at as u32);
        }
        if random.workgroups {
            random.show_arrays(&mut body);
        }
        self.program.body = body;
        self.program
    }

    fn byte(&mut self) -> u32 {
        u32::from(self.bytes.next().copied().unwrap_or(0))
    }

    /// Yes, one time in `n`, and when the bytes are used up.
    fn chance(&mut self, n: u32) -> bool {
        self.byte().is_multiple_of(n)
    }

    fn below(&mut self, n: usize) -> usize {
        self.byte() as usize % n
    }

    fn define(&mut self, block: &mut Block, ty: Ty, op: Op) -> Value {
        let value = self.program.new_value(ty);
        block.push(Stmt::Let(value, op));
        self.visible.push(value);
        value
    }

    fn constant(&mut self, ty: Ty) -> u32 {
        let which = self.below(12);
        match ty {
            Ty::F32 => {
                [0.0, 1.0, -0.0, 2.0, -1.0, 0.5, 4.0, 0.1, f32::INFINITY, 1e-40, -3.5, 1e30][which].to_bits()
            }
            Ty::I32 | Ty::U32 => [0, 1, 2, 4, 8, u32::MAX, 0x8000_0000, 3, 16, 31, 32, 0xffff_fffe][which],
            Ty::Bool => which as u32 % 2,
        }
    }

    /// A visible value of the type, or a new one.
    fn any(&mut self, block: &mut Block, ty: Ty) -> Value {
        let candidates: Vec<Value> =
            self.visible.iter().copied().filter(|value| self.program.value(*value).ty == ty).collect();
        match self.byte() {
            pick @ 0..208 if !candidates.is_empty() => {
                // The latest more often: chains, not stars.
                candidates[candidates.len() - 1 - (pick as usize % candidates.len().min(8))]
            }
            _ => {
                let bits = self.constant(ty);
                self.define(block, ty, Op::Const(bits))
            }
        }
    }

    fn statements(&mut self, block: &mut Block) {
        let visible = self.visible.len();
        let count = 1 + self.below(8);
        for _ in 0..count {
            if self.bytes.len() == 0 || self.statements > MOST {
                break;
            }
            self.statements += 1;
            if self.statement(block) {
                break;
            }
        }
        self.visible.truncate(visible);
    }

    fn nested(&mut self) -> Block {
        let mut block = Vec::new();
        self.depth += 1;
        self.statements(&mut block);
        self.depth -= 1;
        block
    }

    /// What `fill` makes, for a place where invocations go different ways if `apart`. Then no jump leaves it, if all came
    /// there together: they shall be together again behind it.
    fn apart(&mut self, apart: bool, fill: impl FnOnce(&mut Self)) {
        if !(apart && self.workgroups && self.together) {
            return fill(self);
        }
        self.together = false;
        let around = std::mem::take(&mut self.around);
        fill(self);
        self.around = around;
        self.together = true;
    }

    /// One statement; whether it was a jump.
    fn statement(&mut self, block: &mut Block) -> bool {
        let deep = self.depth >= 5;
        if self.workgroups && self.byte().is_multiple_of(5) {
            self.effect_statement(block);
            return false;
        }
        match self.byte() % 32 {
            0..8 => {
                let at = self.below(6);
                let var = self.vars[at];
                let value = self.any(block, self.program.vars[var.index()].ty);
                block.push(Stmt::Set { var, value, masked: true });
            }
            8..12 => {
                let at = self.below(6);
                let var = self.vars[at];
                self.define(block, self.program.vars[var.index()].ty, Op::Get(var));
            }
            12..18 => self.operation(block),
            18 | 19 => self.load(block),
            20 => {
                let at = self.byte();
                let value = self.any(block, TYPES[at as usize % 4]);
                self.store_out(block, value, at);
            }
            21 => {
                let local = self.below(2) as u32;
                let (index, value) =
                    (self.any(block, Ty::U32), self.any(block, [Ty::F32, Ty::U32][local as usize]));
                block.push(Stmt::Store { memory: Memory::Local(Local(local)), index, value });
            }
            22..25 if !deep => {
                let alike = self.workgroups && self.chance(3);
                let cond = if alike { self.alike_condition(block) } else { self.condition(block) };
                self.apart(!alike, |random| {
                    let then = random.nested();
                    let otherwise = if random.chance(2) { Vec::new() } else { random.nested() };
                    block.push(Stmt::If { cond, then, otherwise });
                });
            }
            25 | 26 if !deep => self.bounded_loop(block),
            27 if !deep => {
                let label = self.program.new_label();
                let apart = self.workgroups && self.chance(2);
                self.apart(apart, |random| {
                    random.around.push((label, false));
                    let body = random.nested();
                    random.around.pop();
                    block.push(Stmt::Scope { label, body });
                });
            }
            28 | 29 if !self.around.is_empty() => {
                let at = self.below(self.around.len());
                block.push(Stmt::Break(self.around[at].0));
                return true;
            }
            30 => {
                let loops: Vec<Label> =
                    self.around.iter().filter(|around| around.1).map(|around| around.0).collect();
                if loops.is_empty() {
                    self.operation(block);
                    return false;
                }
                let at = self.below(loops.len());
                block.push(Stmt::Continue(loops[at]));
                return true;
            }
            // Not as often as the others, and not at the top, where it would end everything.
            31 if self.depth > 0 && !self.in_continuing && self.chance(4) => {
                block.push(Stmt::Return);
                return true;
            }
            _ => self.operation(block),
        }
        false
    }

    /// A loop of at most four rounds, that counts in its body or in `continuing`.
    fn bounded_loop(&mut self, block: &mut Block) {
        let visible = self.visible.len();
        let zero = self.define(block, Ty::U32, Op::Const(0));
        let three = self.define(block, Ty::U32, Op::Const(3));
        let (apart, bound) = match self.byte() % 3 {
            0 => (false, three),
            1 if self.workgroups => {
                let any = self.alike(block);
                (false, self.define(block, Ty::U32, Op::Binary(Binary::AndI, any, three)))
            }
            _ => {
                let any = self.any(block, Ty::U32);
                (true, self.define(block, Ty::U32, Op::Binary(Binary::AndI, any, three)))
            }
        };
        self.apart(apart, |random| random.rounds(block, zero, bound));
        self.visible.truncate(visible);
    }

    fn rounds(&mut self, block: &mut Block, zero: Value, bound: Value) {
        let label = self.program.new_label();
        let counter = self.program.new_var(format!("count{}", label.0), Ty::U32);
        let one = self.define(block, Ty::U32, Op::Const(1));
        let visible = self.visible.len();
        block.push(Stmt::Set { var: counter, value: zero, masked: true });
        let mut body = Vec::new();
        let mut continuing = Vec::new();
        let at_head = self.chance(2);
        if at_head {
            let leave = self.count(&mut body, counter, one, bound);
            body.push(Stmt::If { cond: leave, then: vec![Stmt::Break(label)], otherwise: Vec::new() });
        }
        self.depth += 1;
        self.around.push((label, true));
        self.statements(&mut body);
        self.around.pop();
        let outer = std::mem::take(&mut self.around);
        let outer_continuing = std::mem::replace(&mut self.in_continuing, true);
        // Values of the body may be out of sight here: those after a `Continue` are.
        self.visible.truncate(visible);
        let mut break_if = None;
        if !at_head || self.chance(2) {
            self.statements(&mut continuing);
        }
        if !at_head {
            break_if = Some(self.count(&mut continuing, counter, one, bound));
        }
        self.around = outer;
        self.in_continuing = outer_continuing;
        self.depth -= 1;
        block.push(Stmt::Loop { label, body, continuing, break_if });
    }

    /// `counter >= bound`, then `counter += 1`.
    fn count(&mut self, block: &mut Block, counter: Var, one: Value, bound: Value) -> Value {
        let now = self.define(block, Ty::U32, Op::Get(counter));
        if self.together {
            self.alike.push(now);
        }
        let done = self.define(block, Ty::Bool, Op::Binary(Binary::LeU, bound, now));
        let next = self.define(block, Ty::U32, Op::Binary(Binary::AddI, now, one));
        block.push(Stmt::Set { var: counter, value: next, masked: true });
        done
    }

    /// Often one that varies over the lanes.
    fn condition(&mut self, block: &mut Block) -> Value {
        match self.byte() % 4 {
            0 => self.any(block, Ty::Bool),
            1 => {
                let id = self.define(block, Ty::U32, Op::Builtin(Builtin::GlobalId(0)));
                let bit = self.byte() % 5;
                let mask = self.define(block, Ty::U32, Op::Const(1 << bit));
                let masked = self.define(block, Ty::U32, Op::Binary(Binary::AndI, id, mask));
                self.define(block, Ty::Bool, Op::Binary(Binary::EqI, masked, mask))
            }
            2 => {
                let (a, b) = (self.any(block, Ty::F32), self.any(block, Ty::F32));
                self.define(block, Ty::Bool, Op::Binary(Binary::LtF, a, b))
            }
            _ => {
                let (a, b) = (self.any(block, Ty::U32), self.any(block, Ty::U32));
                self.define(block, Ty::Bool, Op::Binary(Binary::LtU, a, b))
            }
        }
    }

    fn operation(&mut self, block: &mut Block) {
        const UNARY: [(Unary, Ty, Ty); 17] = [
            (Unary::NegF, Ty::F32, Ty::F32),
            (Unary::AbsF, Ty::F32, Ty::F32),
            (Unary::SqrtF, Ty::F32, Ty::F32),
            (Unary::FloorF, Ty::F32, Ty::F32),
            (Unary::RoundF, Ty::F32, Ty::F32),
            (Unary::F32ToI32, Ty::F32, Ty::I32),
            (Unary::F32ToU32, Ty::F32, Ty::U32),
            (Unary::I32ToF32, Ty::I32, Ty::F32),
            (Unary::U32ToF32, Ty::U32, Ty::F32),
            (Unary::NegI, Ty::I32, Ty::I32),
            (Unary::NotI, Ty::U32, Ty::U32),
            (Unary::AbsI, Ty::I32, Ty::I32),
            (Unary::CountOnes, Ty::U32, Ty::U32),
            (Unary::NotB, Ty::Bool, Ty::Bool),
            (Unary::Bitcast, Ty::U32, Ty::I32),
            (Unary::Bitcast, Ty::I32, Ty::U32),
            (Unary::Bitcast, Ty::I32, Ty::I32),
        ];
        use Binary as B;
        const FLOAT: [Binary; 7] = [B::AddF, B::MulF, B::SubF, B::DivF, B::MinF, B::MaxF, B::RemF];
        const COMPARE: [Binary; 4] = [B::EqF, B::NeF, B::LtF, B::LeF];
        const SIGNED: [Binary; 12] = [
            B::AddI,
            B::SubI,
            B::MulI,
            B::DivI,
            B::RemI,
            B::MinI,
            B::MaxI,
            B::AndI,
            B::OrI,
            B::XorI,
            B::EqI,
            B::LtI,
        ];
        const UNSIGNED: [Binary; 12] = [
            B::AddI,
            B::SubI,
            B::MulI,
            B::DivU,
            B::RemU,
            B::MinU,
            B::MaxU,
            B::AndI,
            B::XorI,
            B::NeI,
            B::LeU,
            B::ShlI,
        ];
        const SHIFT: [Binary; 3] = [B::ShlI, B::ShrI, B::ShrU];
        const BOOL: [Binary; 3] = [B::AndB, B::OrB, B::XorB];
        let pick = |random: &mut Self, from: &[Binary]| from[random.below(from.len())];
        let (op, a, b) = match self.byte() % 10 {
            0 | 1 => {
                let (op, from, to) = UNARY[self.below(UNARY.len())];
                let a = self.any(block, from);
                self.define(block, to, Op::Unary(op, a));
                return;
            }
            2 => {
                let ty = TYPES[self.below(4)];
                let (a, b, c) = (self.any(block, Ty::Bool), self.any(block, ty), self.any(block, ty));
                self.define(block, ty, Op::Ternary(Ternary::Select, a, b, c));
                return;
            }
            3 | 4 => (pick(self, &FLOAT), Ty::F32, Ty::F32),
            5 => (pick(self, &COMPARE), Ty::F32, Ty::F32),
            6 => (pick(self, &SIGNED), Ty::I32, Ty::I32),
            7 => (pick(self, &UNSIGNED), Ty::U32, Ty::U32),
            8 => (pick(self, &SHIFT), Ty::I32, Ty::U32),
            _ => (pick(self, &BOOL), Ty::Bool, Ty::Bool),
        };
        let (a, b) = (self.any(block, a), self.any(block, b));
        let op = Op::Binary(op, a, b);
        let ty = op.result_type(&self.program).expect("no binary operation leaves it open");
        self.define(block, ty, op);
    }

    fn load(&mut self, block: &mut Block) {
        let float = self.chance(2);
        let ty = if float { Ty::F32 } else { Ty::U32 };
        let (memory, index) = match self.byte() % 5 {
            4 => (Memory::Table(Table(0)), self.any(block, Ty::U32)),
            0 => (Memory::Local(Local(u32::from(!float))), self.any(block, Ty::U32)),
            1 => {
                let slot = self.byte() % (OUT / 2) + if float { 0 } else { OUT / 2 };
                (Memory::Buffer(Buffer(2)), self.own(block, slot))
            }
            _ => (Memory::Buffer(Buffer(u32::from(!float))), self.any(block, Ty::U32)),
        };
        self.define(block, ty, Op::Load { memory, index });
    }

    /// The index of one of the invocation's own words of output.
    fn own(&mut self, block: &mut Block, slot: u32) -> Value {
        let id = if self.workgroups {
            self.number(block)
        } else {
            self.define(block, Ty::U32, Op::Builtin(Builtin::GlobalId(0)))
        };
        let out = self.define(block, Ty::U32, Op::Const(OUT));
        let slot = self.define(block, Ty::U32, Op::Const(slot));
        let start = self.define(block, Ty::U32, Op::Binary(Binary::MulI, id, out));
        self.define(block, Ty::U32, Op::Binary(Binary::AddI, start, slot))
    }

    fn store_out(&mut self, block: &mut Block, value: Value, slot: u32) {
        let ty = self.program.value(value).ty;
        let value = if ty == Ty::Bool {
            let one = self.define(block, Ty::U32, Op::Const(1));
            let zero = self.define(block, Ty::U32, Op::Const(0));
            self.define(block, Ty::U32, Op::Ternary(Ternary::Select, value, one, zero))
        } else {
            value
        };
        let slot = slot % (OUT / 2) + if ty == Ty::F32 { 0 } else { OUT / 2 };
        let index = self.own(block, slot);
        block.push(Stmt::Store { memory: Memory::Buffer(Buffer(2)), index, value });
    }
}
