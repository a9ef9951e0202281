//! All lanes in step, as an executor with masks would, checking what `passes::classify` found and using it in the
//! meanest way allowed: lanes that nobody should look at hold garbage.

use crate::spmd::grid::Grid;
use crate::spmd::ir::{
    Block, Builtin, Class, Effect, LANES, Memory, Op, Order, Program, SUBGROUP, Stmt, Ty, Value,
};
use crate::spmd::memory::BufferData;
use crate::spmd::oracle::effect::{self, Lane};
use crate::spmd::oracle::eval::{self, Fusion};

/// Runs invocations `0..invocations` of a one-dimensional launch.
///
/// # Panics
/// If a value is not of its class.
pub(crate) fn lockstep(program: &Program, buffers: &mut [BufferData<'_>], invocations: u32) {
    lockstep_grid(program, buffers, &Grid::row(invocations, program.workgroup_size[0]));
}

/// Runs a grid: a workgroup, or a whole row, is one block.
///
/// # Panics
/// If a value is not of its class.
pub(crate) fn lockstep_grid(program: &Program, buffers: &mut [BufferData<'_>], grid: &Grid) {
    let [width, height, depth] = grid.invocations;
    let [x, y, z] = program.workgroup_size;
    match program.order {
        Order::Rows => {
            for row in 0..height * depth {
                let lanes = (width as usize).next_multiple_of(LANES);
                let ids = (0..lanes as u32).map(|lane| [lane, row % height, row / height]).collect();
                block(program, buffers, grid, ids);
            }
        }
        Order::Workgroups => {
            // Lanes behind the workgroup go on along its outermost axis, so that what is linear in a workgroup stays so.
            let wrap = |at: u32, size: u32, outermost: bool| if outermost { at } else { at % size };
            let local = |lane: u32| {
                [
                    wrap(lane, x, y == 1 && z == 1),
                    wrap(lane / x, y, z == 1 && y != 1),
                    wrap(lane / x / y, z, z != 1),
                ]
            };
            let lanes = ((x * y * z) as usize).next_multiple_of(LANES) as u32;
            for workgroup in 0..grid.count().expect("a grid that a test can run") {
                let workgroup = grid.workgroup(workgroup);
                let id = |lane| {
                    let local = local(lane);
                    [0, 1, 2].map(|axis| workgroup[axis] * program.workgroup_size[axis] + local[axis])
                };
                block(program, buffers, grid, (0..lanes).map(id).collect());
            }
        }
    }
}

/// Runs a block whose lanes have those ids.
fn block(program: &Program, buffers: &mut [BufferData<'_>], grid: &Grid, ids: Vec<[u32; 3]>) {
    let lanes = ids.len();
    let invocations: u32 = program.workgroup_size.iter().product();
    let in_grid = |id: &[u32; 3]| (0..3).all(|axis| id[axis] < grid.invocations[axis]);
    let active = ids
        .iter()
        .enumerate()
        .map(|(lane, id)| in_grid(id) && (program.order == Order::Rows || lane < invocations as usize));
    let mut run = Run {
        program,
        buffers,
        grid,
        garbage: 0x1234_5677,
        values: vec![vec![0; lanes]; program.values.len()],
        vars: vec![vec![0; lanes]; program.vars.len()],
        locals: program.locals.iter().map(|local| vec![vec![0; local.words as usize]; lanes]).collect(),
        arrays: program.shared.iter().map(|array| vec![0; array.words as usize]).collect(),
        active: active.collect(),
        exit: vec![vec![false; lanes]; program.labels as usize],
        continuing: vec![vec![false; lanes]; program.labels as usize],
        ids,
    };
    run.block(&program.body);
}

struct Run<'a, 'b> {
    program: &'a Program,
    buffers: &'a mut [BufferData<'b>],
    grid: &'a Grid,
    /// `global_invocation_id` by lane.
    ids: Vec<[u32; 3]>,
    garbage: u32,
    /// By value, by lane.
    values: Vec<Vec<u32>>,
    vars: Vec<Vec<u32>>,
    /// By array, lane, word.
    locals: Vec<Vec<Vec<u32>>>,
    /// By array of the workgroup, word.
    arrays: Vec<Vec<u32>>,
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
                for lane in 0..self.active.len() {
                    if !self.active[lane] {
                        continue;
                    }
                    let (index, value) =
                        (self.values[index.index()][lane] as usize, self.values[value.index()][lane]);
                    if let Some(word) = self.words_mut(*memory, lane).get_mut(index) {
                        *word = value;
                    }
                }
            }
            Stmt::Effect { result, effect } => self.effect(*result, *effect),
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

    fn words_mut(&mut self, memory: Memory, lane: usize) -> &mut [u32] {
        match memory {
            Memory::Buffer(buffer) => match &mut self.buffers[buffer.index()] {
                BufferData::Write(words) => words,
                BufferData::Read(_) => panic!("store to the read-only buffer {buffer}"),
            },
            Memory::Shared(array) => &mut self.arrays[array.index()],
            Memory::Table(table) => panic!("store to {table}, which is constant"),
            Memory::Local(local) => &mut self.locals[local.index()][lane],
        }
    }

    /// The active lanes take part; in the others the result is garbage.
    fn effect(&mut self, result: Option<Value>, effect: Effect) {
        let lane = |lane: usize| {
            let value = |value: Value| self.values[value.index()][lane];
            (lane, Lane::new((lane % SUBGROUP) as u32, effect, value))
        };
        let active: Vec<(usize, Lane)> =
            (0..self.active.len()).filter(|lane| self.active[*lane]).map(lane).collect();
        let mut results = Vec::new();
        for subgroup in active.chunk_by(|a, b| a.0 / SUBGROUP == b.0 / SUBGROUP) {
            let lanes: Vec<Lane> = subgroup.iter().map(|(_, lane)| *lane).collect();
            results.extend(match effect.memory() {
                Some(memory) => {
                    let program = self.program;
                    effect::atomics(effect, program, self.words_mut(memory, 0), &lanes)
                }
                None => effect::collective(effect, &lanes),
            });
        }
        if let Some(result) = result {
            for lane in 0..self.active.len() {
                let garbage = self.garbage();
                self.set(result, lane, garbage);
            }
            for ((lane, _), bits) in active.iter().zip(results) {
                self.set(result, *lane, bits);
            }
            self.classified(result);
        }
    }

    /// Computes whole chunks where a lane is active, and garbage elsewhere.
    fn define(&mut self, value: Value, op: &Op) {
        for lane in 0..self.active.len() {
            let result = if self.chunk_is_active(lane) { self.op(op, lane) } else { self.garbage() };
            self.set(value, lane, result);
        }
        self.classified(value);
    }

    fn set(&mut self, value: Value, lane: usize, bits: u32) {
        let bool = self.program.value(value).ty == Ty::Bool;
        self.values[value.index()][lane] = if bool { bits & 1 } else { bits };
    }

    /// Checks that a value is of its class, and spoils it where nobody may look.
    fn classified(&mut self, value: Value) {
        let class = self.program.value(value).class;
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
                        self.set(value, lane, garbage);
                    }
                }
            }
        }
    }

    fn op(&self, op: &Op, lane: usize) -> u32 {
        let value = |value: Value| self.values[value.index()][lane];
        match *op {
            Op::Const(bits) => bits,
            Op::Builtin(builtin) => self.builtin(builtin, lane),
            Op::Get(var) => self.vars[var.index()][lane],
            Op::Load { memory, index } => {
                let words = match memory {
                    Memory::Buffer(buffer) => self.buffers[buffer.index()].words(),
                    Memory::Shared(array) => &self.arrays[array.index()],
                    Memory::Table(table) => &self.program.tables[table.index()],
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

impl Run<'_, '_> {
    fn builtin(&self, builtin: Builtin, lane: usize) -> u32 {
        let [x, y, _] = self.program.workgroup_size;
        // Those of a workgroup's lanes are not taken from the global ids, which may go on behind it.
        let local = |axis: u8| match self.program.order {
            Order::Rows => self.ids[lane][usize::from(axis)] % self.program.workgroup_size[usize::from(axis)],
            Order::Workgroups => {
                self.ids[lane][usize::from(axis)].wrapping_sub(self.ids[0][usize::from(axis)])
            }
        };
        let index = || match self.program.order {
            Order::Rows => (local(2) * y + local(1)) * x + local(0),
            Order::Workgroups => lane as u32,
        };
        match builtin {
            Builtin::GlobalId(axis) => self.ids[lane][usize::from(axis)],
            Builtin::LocalId(axis) => local(axis),
            Builtin::LocalIndex => index(),
            Builtin::WorkgroupId(axis) => {
                let first = if self.program.order == Order::Rows { lane } else { 0 };
                self.ids[first][usize::from(axis)] / self.program.workgroup_size[usize::from(axis)]
            }
            Builtin::NumWorkgroups(axis) => self.grid.workgroups[usize::from(axis)],
            Builtin::SubgroupInvocationId => index() % SUBGROUP as u32,
            Builtin::SubgroupId => index() / SUBGROUP as u32,
        }
    }
}

fn join(lanes: &mut [bool], more: &[bool]) {
    for (lane, more) in lanes.iter_mut().zip(more) {
        *lane |= *more;
    }
}
