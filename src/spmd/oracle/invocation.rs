//! One invocation as a machine that can stop at an effect and go on later: a stack of places instead of recursion.

use super::eval::{self, Fusion};
use crate::cancel::{Stopped, Watch};
use crate::spmd::grid::Grid;
use crate::spmd::ir::{Block, Builtin, Effect, Label, Memory, Op, Program, SUBGROUP, Stmt, Value};
use crate::spmd::memory::BufferData;

/// What the invocations of a workgroup share.
pub(super) struct Shared<'a, 'b> {
    pub program: &'a Program,
    pub grid: &'a Grid,
    pub fusion: Fusion,
    pub buffers: &'a mut [BufferData<'b>],
    /// What may stop it.
    pub watch: &'a Watch,
    /// The arrays of [`Program::shared`].
    pub arrays: Vec<Vec<u32>>,
}

impl Shared<'_, '_> {
    /// The words of what invocations share.
    pub(super) fn words(&self, memory: Memory) -> &[u32] {
        match memory {
            Memory::Buffer(buffer) => match &self.buffers[buffer.index()] {
                BufferData::Read(words) => words,
                BufferData::Write(words) => words,
            },
            Memory::Shared(array) => &self.arrays[array.index()],
            Memory::Table(table) => &self.program.tables[table.index()],
            Memory::Local(local) => unreachable!("{local:?} belongs to one invocation"),
        }
    }

    /// The same, to be written to.
    pub(super) fn words_mut(&mut self, memory: Memory) -> &mut [u32] {
        match memory {
            Memory::Buffer(buffer) => match &mut self.buffers[buffer.index()] {
                BufferData::Write(words) => words,
                BufferData::Read(_) => panic!("store to the read-only buffer {buffer:?}"),
            },
            Memory::Shared(array) => &mut self.arrays[array.index()],
            Memory::Table(table) => panic!("store to {table:?}, which is constant"),
            Memory::Local(local) => unreachable!("{local:?} belongs to one invocation"),
        }
    }
}

/// Why an invocation does not go on by itself.
pub(super) enum Stop<'a> {
    /// It has ended.
    End,
    /// It is before an effect: see [`Invocation::pass`].
    Effect { result: Option<Value>, effect: &'a Effect },
    /// It has done as many statements as it may.
    OutOfSteps,
    /// Its watch says so.
    Stopped(Stopped),
}

/// Statements between two looks at the watch: about a millisecond.
const LOOK: u64 = 1 << 14;

/// A place in a block that an invocation is inside of; comparing the places of its stack from the outermost one on
/// compares invocations in program order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Rounds of the loop that are over.
    round: u64,
    /// 1 in `otherwise` and `continuing`, 0 elsewhere.
    part: u8,
    /// The statement that comes next or, where the invocation is inside of one, that one.
    at: usize,
}

impl Place {
    const START: Self = Self { round: 0, part: 0, at: 0 };
}

/// A block that an invocation is inside of.
#[derive(Clone, Copy)]
struct Frame<'a> {
    place: Place,
    block: &'a Block,
    /// What the block belongs to.
    owner: Owner<'a>,
}

#[derive(Clone, Copy)]
enum Owner<'a> {
    /// The program, or an `If`.
    Plain,
    Scope(Label),
    Loop {
        label: Label,
        body: &'a Block,
        continuing: &'a Block,
        break_if: Option<Value>,
    },
}

impl Owner<'_> {
    fn label(&self) -> Option<Label> {
        match *self {
            Self::Plain => None,
            Self::Scope(label) | Self::Loop { label, .. } => Some(label),
        }
    }
}

/// One invocation's state.
pub(super) struct Invocation<'a> {
    /// `global_invocation_id`.
    pub id: [u32; 3],
    /// `local_invocation_index`.
    pub local_index: u32,
    values: Vec<u32>,
    vars: Vec<u32>,
    locals: Vec<Vec<u32>>,
    frames: Vec<Frame<'a>>,
    steps_left: u64,
}

impl<'a> Invocation<'a> {
    /// An invocation that has not started.
    pub(super) fn new(program: &'a Program, id: [u32; 3], steps: u64) -> Self {
        let size = program.workgroup_size;
        let [x, y, z] = [0, 1, 2].map(|axis| id[axis] % size[axis]);
        Self {
            id,
            local_index: (z * size[1] + y) * size[0] + x,
            values: vec![0; program.values.len()],
            vars: vec![0; program.vars.len()],
            locals: program.locals.iter().map(|local| vec![0; local.words as usize]).collect(),
            frames: vec![Frame { place: Place::START, block: &program.body, owner: Owner::Plain }],
            steps_left: steps,
        }
    }

    /// Where it is.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.frames.iter().map(|frame| frame.place)
    }

    /// A value that it has computed.
    pub(super) fn value(&self, value: Value) -> u32 {
        self.values[value.index()]
    }

    /// Goes past the effect that it stopped at, which resulted in `bits`.
    pub(super) fn pass(&mut self, result: Option<Value>, bits: u32) {
        if let Some(value) = result {
            self.values[value.index()] = bits;
        }
        self.next();
    }

    /// Goes on until something stops it.
    pub(super) fn advance(&mut self, shared: &mut Shared<'_, '_>) -> Stop<'a> {
        while let Some(frame) = self.frames.last() {
            if self.steps_left == 0 {
                return Stop::OutOfSteps;
            }
            if self.steps_left.is_multiple_of(LOOK)
                && let Err(why) = shared.watch.check()
            {
                return Stop::Stopped(why);
            }
            self.steps_left -= 1;
            let Some(stmt) = frame.block.get(frame.place.at) else {
                self.end_of_block();
                continue;
            };
            match stmt {
                Stmt::Let(value, op) => {
                    self.values[value.index()] = self.op(op, shared);
                    self.next();
                }
                Stmt::Set { var, value, .. } => {
                    self.vars[var.index()] = self.value(*value);
                    self.next();
                }
                Stmt::Store { memory, index, value } => {
                    let (index, value) = (self.value(*index) as usize, self.value(*value));
                    let words = match memory {
                        Memory::Local(local) => &mut self.locals[local.index()],
                        _ => shared.words_mut(*memory),
                    };
                    if let Some(word) = words.get_mut(index) {
                        *word = value;
                    }
                    self.next();
                }
                Stmt::Effect { result, effect } => return Stop::Effect { result: *result, effect },
                Stmt::If { cond, then, otherwise } => {
                    let (part, block) = if self.value(*cond) != 0 { (0, then) } else { (1, otherwise) };
                    self.enter(block, part, Owner::Plain);
                }
                Stmt::Loop { label, body, continuing, break_if } => {
                    let (label, break_if) = (*label, *break_if);
                    self.enter(body, 0, Owner::Loop { label, body, continuing, break_if });
                }
                Stmt::Scope { label, body } => self.enter(body, 0, Owner::Scope(*label)),
                Stmt::Break(label) => {
                    self.unwind(*label);
                    self.leave();
                }
                Stmt::Continue(label) => {
                    self.unwind(*label);
                    self.start_continuing();
                }
                Stmt::Return => self.frames.clear(),
            }
        }
        Stop::End
    }

    fn frame(&mut self) -> &mut Frame<'a> {
        self.frames.last_mut().expect("an invocation that has not ended is in a block")
    }

    fn next(&mut self) {
        self.frame().place.at += 1;
    }

    fn enter(&mut self, block: &'a Block, part: u8, owner: Owner<'a>) {
        self.frames.push(Frame { place: Place { part, ..Place::START }, block, owner });
    }

    /// Goes behind the statement that the innermost block is part of.
    fn leave(&mut self) {
        self.frames.pop();
        if !self.frames.is_empty() {
            self.next();
        }
    }

    /// Makes the loop or scope of that label the innermost one.
    fn unwind(&mut self, label: Label) {
        while self.frame().owner.label() != Some(label) {
            self.frames.pop();
        }
    }

    fn start_continuing(&mut self) {
        let frame = self.frame();
        if let Owner::Loop { continuing, .. } = frame.owner {
            frame.block = continuing;
            frame.place = Place { part: 1, at: 0, ..frame.place };
        }
    }

    fn end_of_block(&mut self) {
        let Frame { place, owner, .. } = *self.frame();
        match owner {
            Owner::Plain | Owner::Scope(_) => self.leave(),
            Owner::Loop { .. } if place.part == 0 => self.start_continuing(),
            Owner::Loop { break_if: Some(cond), .. } if self.value(cond) != 0 => self.leave(),
            Owner::Loop { body, .. } => {
                let frame = self.frame();
                frame.block = body;
                frame.place = Place { round: place.round + 1, ..Place::START };
            }
        }
    }

    fn op(&self, op: &Op, shared: &Shared<'_, '_>) -> u32 {
        let fusion = shared.fusion;
        match *op {
            Op::Const(bits) => bits,
            Op::Builtin(builtin) => self.builtin(builtin, shared),
            Op::Get(var) => self.vars[var.index()],
            Op::Load { memory, index } => {
                let words = match memory {
                    Memory::Local(local) => &self.locals[local.index()],
                    _ => shared.words(memory),
                };
                words.get(self.value(index) as usize).copied().unwrap_or(0)
            }
            Op::Length { buffer, offset, stride } => {
                let words = u32::try_from(shared.words(Memory::Buffer(buffer)).len()).unwrap_or(u32::MAX);
                words.saturating_sub(offset) / stride
            }
            Op::Unary(op, a) => eval::unary(op, fusion, self.value(a)),
            Op::Binary(op, a, b) => eval::binary(op, fusion, self.value(a), self.value(b)),
            Op::Ternary(op, a, b, c) => {
                eval::ternary(op, fusion, self.value(a), self.value(b), self.value(c))
            }
        }
    }

    fn builtin(&self, builtin: Builtin, shared: &Shared<'_, '_>) -> u32 {
        let axis = |axis: u8| (self.id[usize::from(axis)], shared.program.workgroup_size[usize::from(axis)]);
        match builtin {
            Builtin::GlobalId(at) => axis(at).0,
            Builtin::LocalId(at) => axis(at).0 % axis(at).1,
            Builtin::LocalIndex => self.local_index,
            Builtin::WorkgroupId(at) => axis(at).0 / axis(at).1,
            Builtin::NumWorkgroups(at) => shared.grid.workgroups[usize::from(at)],
            Builtin::SubgroupInvocationId => self.local_index % SUBGROUP as u32,
            Builtin::SubgroupId => self.local_index / SUBGROUP as u32,
        }
    }
}
