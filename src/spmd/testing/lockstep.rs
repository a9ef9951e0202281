//! All lanes in step, as an executor with masks would, checking what `passes::classify` found and using it in the
//! meanest way allowed: lanes that nobody should look at hold garbage.

use crate::spmd::ir::{Block, Builtin, Class, LANES, Memory, Op, Program, Stmt, Value};
use crate::spmd::memory::BufferData;
use crate::spmd::oracle::eval::{self, Fusion};

/// Runs invocations `0..invocations` as one block.
///
/// # Panics
/// If a value is not of its class.
pub(crate) fn lockstep(program: &Program, buffers: &mut [BufferData<'_>], invocations: u32) {
    let lanes = (invocations as usize).next_multiple_of(LANES);
    let mut run = Run {
        program,
        buffers,
        invocations,
        garbage: 0x1234_5677,
        values: vec![vec![0; lanes]; program.values.len()],
        vars: vec![vec![0; lanes]; program.vars.len()],
        locals: program.locals.iter().map(|local| vec![vec![0; local.words as usize]; lanes]).collect(),
        active: (0..lanes).map(|lane| lane < invocations as usize).collect(),
        exit: vec![vec![false; lanes]; program.labels as usize],
        continuing: vec![vec![false; lanes]; program.labels as usize],
    };
    run.block(&program.body);
}

struct Run<'a, 'b> {
    program: &'a Program,
    buffers: &'a mut [BufferData<'b>],
    invocations: u32,
    garbage: u32,
    /// By value, by lane.
    values: Vec<Vec<u32>>,
    vars: Vec<Vec<u32>>,
    /// By array, lane, word.
    locals: Vec<Vec<Vec<u32>>>,
    active: Vec<bool>,
    /// By label: the lanes that wait there.
    exit: Vec<Vec<bool>>,
    continuing: Vec<Vec<bool>>,
}

impl Run<'_, '_> {
    fn block(&mut self, block: &Block) {
        for stmt in block {
            if !self.active.contains(&true) {
                return;
            }
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Let(value, op) => self.define(*value, op),
            Stmt::Set { var, value, masked } => {
                let class = self.program.vars[var.index()].class;
                assert!(!masked || class == Class::Varying, "a masked set of {var} of class {class:?}");
                for lane in 0..self.active.len() {
                    let bits = self.values[value.index()][lane];
                    let new = match (class, self.active[lane], masked) {
                        (Class::Uniform, ..) => self.values[value.index()][self.first_active()],
                        (Class::Linear { .. }, ..) if self.chunk_is_active(lane) => bits,
                        (Class::Varying, true, _) => bits,
                        (Class::Varying, false, false) => self.garbage(),
                        _ => continue,
                    };
                    self.vars[var.index()][lane] = new;
                }
            }
            Stmt::Store { memory, index, value } => {
                for lane in (0..self.active.len()).filter(|lane| self.active[*lane]) {
                    let (index, value) =
                        (self.values[index.index()][lane] as usize, self.values[value.index()][lane]);
                    let words = match memory {
                        Memory::Buffer(buffer) => match &mut self.buffers[buffer.index()] {
                            BufferData::Write(words) => &mut **words,
                            BufferData::Read(_) => panic!("store to the read-only buffer {buffer}"),
                        },
                        Memory::Shared(_) => unreachable!("lowering makes no effects yet"),
                        Memory::Local(local) => &mut self.locals[local.index()][lane],
                    };
                    if let Some(word) = words.get_mut(index) {
                        *word = value;
                    }
                }
            }
            Stmt::Effect { .. } => unreachable!("lowering makes no effects yet"),
            Stmt::If { cond, then, otherwise } => {
                let cond = self.values[cond.index()].clone();
                let entered = self.active.clone();
                self.active = entered.iter().zip(&cond).map(|(active, cond)| *active && *cond != 0).collect();
                self.block(then);
                let joined = std::mem::replace(
                    &mut self.active,
                    entered.iter().zip(&cond).map(|(active, cond)| *active && *cond == 0).collect(),
                );
                self.block(otherwise);
                join(&mut self.active, &joined);
            }
            Stmt::Loop { label, body, continuing, break_if } => {
                while self.active.contains(&true) {
                    self.block(body);
                    let back = self.continuing[label.index()].clone();
                    self.continuing[label.index()].fill(false);
                    join(&mut self.active, &back);
                    self.block(continuing);
                    if let Some(cond) = break_if {
                        for lane in 0..self.active.len() {
                            if self.active[lane] && self.values[cond.index()][lane] != 0 {
                                self.active[lane] = false;
                                self.exit[label.index()][lane] = true;
                            }
                        }
                    }
                }
                self.arrive(label.index());
            }
            Stmt::Scope { label, body } => {
                self.block(body);
                self.arrive(label.index());
            }
            Stmt::Break(label) => {
                join(&mut self.exit[label.index()], &self.active);
                self.active.fill(false);
            }
            Stmt::Continue(label) => {
                join(&mut self.continuing[label.index()], &self.active);
                self.active.fill(false);
            }
            Stmt::Return => self.active.fill(false),
        }
    }

    fn arrive(&mut self, label: usize) {
        join(&mut self.active, &self.exit[label]);
        self.exit[label].fill(false);
    }

    fn first_active(&self) -> usize {
        self.active.iter().position(|active| *active).expect("no block runs without lanes")
    }

    fn chunk_is_active(&self, lane: usize) -> bool {
        let start = lane / LANES * LANES;
        self.active[start..start + LANES].contains(&true)
    }

    fn garbage(&mut self) -> u32 {
        self.garbage ^= self.garbage << 13;
        self.garbage ^= self.garbage >> 17;
        self.garbage ^= self.garbage << 5;
        self.garbage
    }

    /// Computes whole chunks where a lane is active, and garbage elsewhere.
    fn define(&mut self, value: Value, op: &Op) {
        let class = self.program.value(value).class;
        let bool = self.program.value(value).ty == super::super::ir::Ty::Bool;
        for lane in 0..self.active.len() {
            let result = if self.chunk_is_active(lane) { self.op(op, lane) } else { self.garbage() };
            self.values[value.index()][lane] = if bool { result & 1 } else { result };
        }
        let first = self.first_active();
        let results = &mut self.values[value.index()];
        match class {
            Class::Uniform => {
                let one = results[first];
                for (lane, result) in results.iter_mut().enumerate() {
                    assert!(!self.active[lane] || *result == one, "{value} is not uniform at lane {lane}");
                    *result = one;
                }
            }
            Class::Linear { stride } => {
                for chunk in 0..self.active.len() / LANES {
                    let lanes = chunk * LANES..(chunk + 1) * LANES;
                    if self.active[lanes.clone()].contains(&true) {
                        for lane in lanes.clone() {
                            let expected = results[lanes.start]
                                .wrapping_add(stride.wrapping_mul((lane - lanes.start) as u32));
                            assert_eq!(results[lane], expected, "{value} is not linear at lane {lane}");
                        }
                    }
                }
            }
            Class::Varying => {
                for lane in 0..self.active.len() {
                    if !self.active[lane] {
                        let garbage = self.garbage();
                        self.values[value.index()][lane] = if bool { garbage & 1 } else { garbage };
                    }
                }
            }
        }
    }

    fn op(&self, op: &Op, lane: usize) -> u32 {
        let value = |value: Value| self.values[value.index()][lane];
        match *op {
            Op::Const(bits) => bits,
            Op::Builtin(builtin) => {
                let (id, row) = (lane as u32, self.program.workgroup_size[0]);
                match builtin {
                    Builtin::GlobalId(0) => id,
                    Builtin::LocalId(0) | Builtin::LocalIndex => id % row,
                    Builtin::WorkgroupId(0) => id / row,
                    Builtin::NumWorkgroups(0) => self.invocations.div_ceil(row),
                    Builtin::GlobalId(_) | Builtin::LocalId(_) | Builtin::WorkgroupId(_) => 0,
                    Builtin::NumWorkgroups(_) => 1,
                    Builtin::SubgroupInvocationId | Builtin::SubgroupId => 0,
                }
            }
            Op::Get(var) => self.vars[var.index()][lane],
            Op::Load { memory, index } => {
                let words = match memory {
                    Memory::Buffer(buffer) => self.buffers[buffer.index()].words(),
                    Memory::Shared(_) => unreachable!("lowering makes no effects yet"),
                    Memory::Local(local) => &self.locals[local.index()][lane],
                };
                words.get(value(index) as usize).copied().unwrap_or(0)
            }
            Op::Length { buffer, offset, stride } => {
                let words = self.buffers[buffer.index()].words().len() as u32;
                words.saturating_sub(offset) / stride
            }
            Op::Unary(op, a) => eval::unary(op, Fusion::Fused, value(a)),
            Op::Binary(op, a, b) => eval::binary(op, Fusion::Fused, value(a), value(b)),
            Op::Ternary(op, a, b, c) => eval::ternary(op, Fusion::Fused, value(a), value(b), value(c)),
        }
    }
}

fn join(lanes: &mut [bool], more: &[bool]) {
    for (lane, more) in lanes.iter_mut().zip(more) {
        *lane |= *more;
    }
}
