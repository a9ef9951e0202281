//! From a program to instructions: a tree of control flow whose leaves are runs of kernel calls.

use super::analysis::{Analysis, Home, Kind, Life, escapes, is_bool, selects_bits};
use super::frame::Chunk;
use super::kernels::{Instr, Kernels, Size, Slot, Special};
use super::storage::{Place, Storage};
use crate::cpu::CpuLevel;
use crate::spmd::ir::{Block, Builtin, LANES, Memory, Op, Program, Stmt, Value};

/// A step of the control flow.
pub(super) enum Node {
    /// Instructions `start..end`.
    Run { start: u32, end: u32 },
    /// Both sides have the same active lanes, or none.
    IfUniform { cond: Slot, then: Vec<Node>, otherwise: Vec<Node> },
    /// Lanes part. `escapes`: some may not come back.
    If { cond: Slot, then: Vec<Node>, otherwise: Vec<Node>, escapes: bool },
    /// Until no lane is left. Lanes that leave are collected only where not all of them come back: `left`.
    Loop {
        body: Vec<Node>,
        continuing: Vec<Node>,
        break_if: Option<Slot>,
        left: Option<u32>,
        continued: Option<u32>,
    },
    /// Lanes leave early.
    Scope { body: Vec<Node>, left: Option<u32> },
    /// The active lanes, where `cond` is `true` (or not, if negated), become inactive and are noted in `into`.
    Leave { cond: Option<(Slot, bool)>, into: Option<u32> },
}

/// A compiled program.
pub(super) struct Compiled {
    pub instrs: Vec<Instr>,
    /// What [`Instr::stream`] refers to.
    pub streams: Vec<Instr>,
    /// Instructions that run once, before the first block.
    pub once: u32,
    /// Instructions after those that run at the start of each block.
    pub each_block: u32,
    pub nodes: Vec<Node>,
    pub consts: Vec<Chunk>,
    pub storage: Storage,
    /// Chunks of a full block.
    pub chunks: usize,
    /// Sets of lanes that have left something.
    pub lane_sets: u32,
    /// Whether a block changes which lanes are active.
    pub jumps: bool,
    /// Per buffer, whether the program stores to it.
    pub stored: Vec<bool>,
}

impl Compiled {
    /// Compiles a program for one CPU level.
    ///
    /// # Panics
    /// When the program breaks a rule of the IR: the kernels rely on them.
    pub(super) fn new(program: &Program, level: CpuLevel) -> Self {
        if let Err(rule) = program.verify() {
            panic!("a program that breaks the rules of the IR: {rule}");
        }
        let analysis = Analysis::new(program);
        let mut compiler = Compiler {
            program,
            analysis: &analysis,
            kernels: Kernels::of(level),
            storage: Storage::default(),
            consts: Vec::new(),
            const_slots: Vec::new(),
            values: vec![None; program.values.len()],
            spreads: vec![None; program.values.len()],
            vars: vec![None; program.vars.len()],
            arrays: Vec::new(),
            instrs: Vec::new(),
            streams: Vec::new(),
            labels: vec![Target::default(); program.labels as usize],
            lane_sets: 0,
            jumps: false,
        };
        compiler.assign_storage();
        compiler.early(&program.body, Kind::Run);
        let once = compiler.instrs.len() as u32;
        compiler.early(&program.body, Kind::Affine { stride: 0, early: true });
        compiler.zero();
        let each_block = compiler.instrs.len() as u32;
        let nodes = compiler.block(&program.body, true);
        let Compiler { storage, consts, instrs, streams, lane_sets, jumps, .. } = compiler;
        let chunks = storage.chunks();
        Self {
            instrs,
            streams,
            once,
            each_block,
            nodes,
            consts,
            storage,
            chunks,
            lane_sets,
            jumps,
            stored: analysis.stored.clone(),
        }
    }
}

/// Where jumps to a label go.
#[derive(Clone, Copy, Default)]
struct Target {
    left: Option<u32>,
    continued: Option<u32>,
}

struct Compiler<'a> {
    program: &'a Program,
    analysis: &'a Analysis,
    kernels: Kernels,
    storage: Storage,
    consts: Vec<Chunk>,
    const_slots: Vec<Slot>,
    /// The slot of each value; of an affine one, that of its base.
    values: Vec<Option<Slot>>,
    /// The slots of affine values lane by lane.
    spreads: Vec<Option<Slot>>,
    vars: Vec<Option<Slot>>,
    arrays: Vec<Slot>,
    instrs: Vec<Instr>,
    streams: Vec<Instr>,
    labels: Vec<Target>,
    lane_sets: u32,
    /// Whether active lanes change at all.
    jumps: bool,
}

/// What a life belongs to.
#[derive(Clone, Copy)]
enum Owner {
    Value(Value),
    Spread(Value),
    Var(usize),
}

impl Compiler<'_> {
    fn assign_storage(&mut self) {
        let analysis = self.analysis;
        self.arrays = self.program.locals.iter().map(|local| self.storage.array(local.words)).collect();
        let mut lives: Vec<(Life, Size, Owner)> = Vec::new();
        for at in 0..self.program.values.len() {
            if analysis.uses[at] == 0 {
                continue;
            }
            let value = Value(at as u32);
            let life = analysis.lives[at];
            let lanes = if is_bool(self.program, value) { Size::Bits } else { Size::Words };
            match analysis.kinds[at] {
                Kind::Const(bits) => self.values[at] = Some(self.constant(value, bits)),
                Kind::Run | Kind::Affine { early: true, .. } => {
                    self.values[at] = Some(self.storage.permanent());
                }
                Kind::Uniform | Kind::Affine { early: false, .. } => {
                    if !matches!(analysis.homes[at], Home::Var(_)) {
                        lives.push((life, Size::One, Owner::Value(value)));
                    }
                }
                Kind::Varying if !matches!(analysis.homes[at], Home::Var(_)) => {
                    lives.push((life, lanes, Owner::Value(value)));
                }
                Kind::Varying => {}
            }
            if analysis.spread[at] {
                lives.push((life, lanes, Owner::Spread(value)));
            }
        }
        for (at, var) in analysis.vars.iter().enumerate() {
            if let Some(life) = var.life {
                let bool = self.program.vars[at].ty == crate::spmd::ir::Ty::Bool;
                let size = match (var.uniform, bool) {
                    (true, _) => Size::One,
                    (false, true) => Size::Bits,
                    (false, false) => Size::Words,
                };
                lives.push((life, size, Owner::Var(at)));
            }
        }
        lives.sort_by_key(|(life, ..)| life.start);
        for (life, size, owner) in lives {
            let slot = self.storage.assign(size, life);
            match owner {
                Owner::Value(value) => self.values[value.index()] = Some(self.own_entry(value, slot)),
                Owner::Spread(value) => self.spreads[value.index()] = Some(slot),
                Owner::Var(var) => self.vars[var] = Some(slot),
            }
        }
        for at in 0..self.program.values.len() {
            if let Home::Var(var) = analysis.homes[at] {
                self.values[at] = self.vars[var.index()];
            }
        }
    }

    /// A slot whose address changes while the program runs shares its storage but not its entry.
    fn own_entry(&mut self, value: Value, slot: Slot) -> Slot {
        let at = value.index();
        let aims = slot.size == Size::Words
            && (self.analysis.loaded[at] || matches!(self.analysis.homes[at], Home::Store { .. }));
        if aims { self.storage.entry(self.storage.places[slot.entry as usize], slot.size) } else { slot }
    }

    fn constant(&mut self, value: Value, bits: u32) -> Slot {
        let bits = match (is_bool(self.program, value), bits) {
            (true, 0) => 0,
            (true, _) => u32::MAX,
            (false, bits) => bits,
        };
        self.constant_bits(bits)
    }

    fn constant_bits(&mut self, bits: u32) -> Slot {
        if let Some(known) = self.consts.iter().position(|chunk| chunk.0[0] == bits) {
            return self.const_slots[known];
        }
        let slot = self.storage.entry(Place::Const(self.consts.len() as u32), Size::One);
        self.consts.push(Chunk([bits; LANES]));
        self.const_slots.push(slot);
        slot
    }

    /// Emits what is computed before the first block (`Kind::Run`) or at the start of each (`Kind::Affine`).
    fn early(&mut self, block: &Block, when: Kind) {
        for stmt in block {
            match stmt {
                Stmt::Let(value, op) if self.analysis.uses[value.index()] > 0 => {
                    match (self.analysis.kinds[value.index()], when) {
                        (Kind::Run, Kind::Run) => self.uniform(*value, op),
                        (Kind::Affine { early: true, .. }, Kind::Affine { .. }) => self.base(*value, op),
                        _ => {}
                    }
                }
                Stmt::If { then, otherwise, .. } => {
                    self.early(then, when);
                    self.early(otherwise, when);
                }
                Stmt::Loop { body, continuing, .. } => {
                    self.early(body, when);
                    self.early(continuing, when);
                }
                Stmt::Scope { body, .. } => self.early(body, when),
                _ => {}
            }
        }
    }

    /// Variables and arrays that must start as zero do so in each block.
    fn zero(&mut self) {
        for at in 0..self.vars.len() {
            if let Some(slot) = self.vars[at]
                && self.analysis.vars[at].zeroed
            {
                let zero = self.constant_bits(0);
                self.copy(slot, zero, false);
            }
        }
        for at in 0..self.arrays.len() {
            let words = self.program.locals[at].words;
            self.special(Special::ZeroArray, self.arrays[at], &[], [words, 0], false);
        }
    }

    fn block(&mut self, block: &Block, outermost: bool) -> Vec<Node> {
        let mut nodes = Vec::new();
        let mut start = self.instrs.len() as u32;
        for stmt in block {
            match stmt {
                Stmt::Let(value, op) => self.compute(*value, op),
                Stmt::Set { var, value, masked } => self.set(var.index(), *value, *masked && !outermost),
                Stmt::Store { memory, index, value } => self.store(*memory, *index, *value),
                _ => {
                    let end = self.instrs.len() as u32;
                    if start < end {
                        nodes.push(Node::Run { start, end });
                    }
                    if let Some(node) = self.control(stmt) {
                        nodes.push(node);
                    }
                    start = self.instrs.len() as u32;
                    if matches!(stmt, Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return) {
                        // Nothing after a jump runs.
                        return nodes;
                    }
                }
            }
        }
        let end = self.instrs.len() as u32;
        if start < end {
            nodes.push(Node::Run { start, end });
        }
        nodes
    }

    fn control(&mut self, stmt: &Stmt) -> Option<Node> {
        match stmt {
            Stmt::If { cond, then, otherwise } => Some(self.branch(*cond, then, otherwise)),
            Stmt::Loop { label, body, continuing, break_if } => {
                let mut inner = vec![*label];
                let not_all_return = escapes(body, &mut inner) || escapes(continuing, &mut inner);
                let left = not_all_return.then(|| self.lane_set());
                let continued = continues(body, *label).then(|| self.lane_set());
                self.labels[label.index()] = Target { left, continued };
                let body = self.block(body, false);
                let continuing = self.block(continuing, false);
                let break_if = break_if.map(|cond| self.operand(cond));
                self.jumps = true;
                Some(Node::Loop { body, continuing, break_if, left, continued })
            }
            Stmt::Scope { label, body } => {
                let left = escapes(body, &mut vec![*label]).then(|| self.lane_set());
                self.labels[label.index()] = Target { left, continued: None };
                let body = self.block(body, false);
                Some(Node::Scope { body, left })
            }
            Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return => Some(self.leave(stmt, None)),
            Stmt::Effect { .. } => unreachable!("lowering makes no effects yet"),
            Stmt::Let(..) | Stmt::Set { .. } | Stmt::Store { .. } => None,
        }
    }

    fn branch(&mut self, cond: Value, then: &Block, otherwise: &Block) -> Node {
        let slot = self.operand(cond);
        if slot.size == Size::One {
            let then = self.block(then, false);
            let otherwise = self.block(otherwise, false);
            return Node::IfUniform { cond: slot, then, otherwise };
        }
        self.jumps = true;
        // The usual way out of a loop: no branch, only lanes less.
        match (then.as_slice(), otherwise.as_slice()) {
            ([jump @ (Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return)], []) => {
                return self.leave(jump, Some((slot, true)));
            }
            ([], [jump @ (Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return)]) => {
                return self.leave(jump, Some((slot, false)));
            }
            _ => {}
        }
        let escapes = escapes(then, &mut Vec::new()) || escapes(otherwise, &mut Vec::new());
        let then = self.block(then, false);
        let otherwise = self.block(otherwise, false);
        Node::If { cond: slot, then, otherwise, escapes }
    }

    fn leave(&mut self, jump: &Stmt, cond: Option<(Slot, bool)>) -> Node {
        self.jumps = true;
        let into = match jump {
            Stmt::Break(label) => self.labels[label.index()].left,
            Stmt::Continue(label) => self.labels[label.index()].continued,
            _ => None,
        };
        Node::Leave { cond, into }
    }

    fn lane_set(&mut self) -> u32 {
        self.lane_sets += 1;
        self.lane_sets - 1
    }

    fn compute(&mut self, value: Value, op: &Op) {
        let at = value.index();
        if self.analysis.uses[at] == 0 {
            return;
        }
        match self.analysis.kinds[at] {
            Kind::Const(_) | Kind::Run => {}
            Kind::Uniform => self.uniform(value, op),
            Kind::Affine { stride, early } => {
                if !early {
                    self.base(value, op);
                }
                if let (Some(spread), Some(base)) = (self.spreads[at], self.values[at]) {
                    self.special(Special::Spread, spread, &[base], [stride, 0], false);
                }
            }
            Kind::Varying => self.varying(value, op),
        }
    }

    /// One chunk, the same value in every lane.
    fn uniform(&mut self, value: Value, op: &Op) {
        let dst = self.slot(value);
        match *op {
            Op::Get(var) => {
                if self.analysis.homes[value.index()] != Home::Var(var) {
                    let source = self.vars[var.index()].expect("a variable that is mentioned has a slot");
                    self.special(Special::CopyWords, dst, &[source], [0; 2], true);
                }
            }
            Op::Load { memory: Memory::Buffer(buffer), index } => {
                let index = self.operand(index);
                self.special(Special::LoadOne, dst, &[index], [buffer.0, 0], true);
            }
            Op::Length { buffer, offset, stride } => {
                let stride = self.constant_bits(stride);
                self.special(Special::Length, dst, &[stride], [buffer.0, offset], true);
            }
            Op::Builtin(Builtin::NumWorkgroups(0)) => {
                let width = self.program.workgroup_size[0];
                self.special(Special::NumWorkgroups, dst, &[], [width, 0], true);
            }
            _ => self.arithmetic(value, dst, op, true),
        }
    }

    /// The base of an affine value: the same arithmetic on lane 0.
    fn base(&mut self, value: Value, op: &Op) {
        let dst = self.slot(value);
        match *op {
            Op::Builtin(_) => self.special(Special::First, dst, &[], [0; 2], true),
            _ => self.arithmetic(value, dst, op, true),
        }
    }

    fn varying(&mut self, value: Value, op: &Op) {
        let dst = self.slot(value);
        let home = self.analysis.homes[value.index()];
        if let Home::Store { buffer, index } = home {
            let index = self.base_of(index);
            let streams = u32::from(self.analysis.written_once[buffer as usize]);
            self.special(Special::StoreAim, dst, &[index], [buffer, streams], false);
        }
        match *op {
            Op::Get(var) => {
                if home != Home::Var(var) {
                    let source = self.vars[var.index()].expect("a variable that is mentioned has a slot");
                    self.copy(dst, source, false);
                }
            }
            Op::Builtin(Builtin::WorkgroupId(_)) => {
                let width = self.program.workgroup_size[0];
                self.special(Special::WorkgroupId, dst, &[], [width, 0], false);
            }
            Op::Builtin(_) => {
                let width = self.program.workgroup_size[0];
                self.special(Special::LocalId, dst, &[], [width, 0], false);
            }
            Op::Load { memory: Memory::Buffer(buffer), index } => match self.analysis.kinds[index.index()] {
                Kind::Affine { stride: 1, .. } => {
                    let may_aim = home == Home::Own && !self.analysis.stored[buffer.index()];
                    let load = if may_aim { Special::LoadAim } else { Special::LoadRow };
                    let index = self.base_of(index);
                    self.special(load, dst, &[index], [buffer.0, 1], false);
                }
                Kind::Affine { stride, .. } if stride != 0 => {
                    let index = self.base_of(index);
                    self.special(Special::LoadStrided, dst, &[index], [buffer.0, stride], false);
                }
                _ => {
                    let index = self.operand(index);
                    self.special(Special::Gather, dst, &[index], [buffer.0, 0], false);
                }
            },
            Op::Load { memory: Memory::Local(local), index } => {
                let (array, index) = (self.arrays[local.index()], self.operand(index));
                let words = self.program.locals[local.index()].words;
                self.special(Special::LoadArray, dst, &[array, index], [words, 0], false);
            }
            _ => self.arithmetic(value, dst, op, false),
        }
        if let Home::Store { buffer, index } = home
            && self.analysis.written_once[buffer as usize]
            && let Some(computing) = self.instrs.last_mut()
        {
            computing.stream = Some(self.streams.len() as u32);
            let index = self.base_of(index);
            let kernel = (self.kernels.special)(Special::Stream);
            self.streams.push(Instr::new(kernel, dst, &[index], [buffer, 0], false));
        }
    }

    /// One of the operations of the IR. `once` on lane 0 only, so affine operands give their bases.
    fn arithmetic(&mut self, value: Value, dst: Slot, op: &Op, once: bool) {
        let (kernel, operands): (_, [Option<Value>; 3]) = match *op {
            Op::Unary(op, a) => ((self.kernels.unary)(op), [Some(a), None, None]),
            Op::Binary(op, a, b) => ((self.kernels.binary)(op), [Some(a), Some(b), None]),
            Op::Ternary(op, a, b, c) if selects_bits(self.program, op, value) => {
                ((self.kernels.special)(Special::SelectBits), [Some(a), Some(b), Some(c)])
            }
            Op::Ternary(op, a, b, c) => ((self.kernels.ternary)(op), [Some(a), Some(b), Some(c)]),
            _ => unreachable!("operations without operands have kinds of their own"),
        };
        let mut args = [dst; 3];
        let mut count = 0;
        for operand in operands.into_iter().flatten() {
            args[count] = if once { self.base_of(operand) } else { self.operand(operand) };
            count += 1;
        }
        self.instrs.push(Instr::new(kernel, dst, &args[..count], [0; 2], once));
    }

    fn set(&mut self, var: usize, value: Value, masked: bool) {
        if self.analysis.homes[value.index()] == Home::Var(crate::spmd::ir::Var(var as u32)) {
            return;
        }
        let source = self.operand(value);
        if let Some(slot) = self.vars[var] {
            self.copy(slot, source, masked && slot.size != Size::One);
        }
    }

    fn copy(&mut self, dst: Slot, source: Slot, masked: bool) {
        let bits = dst.size == Size::Bits;
        let special = match (bits, masked) {
            (false, false) => Special::CopyWords,
            (true, false) => Special::CopyBits,
            (false, true) => Special::MergeWords,
            (true, true) => Special::MergeBits,
        };
        self.special(special, dst, &[source], [0; 2], dst.size == Size::One);
    }

    fn store(&mut self, memory: Memory, index: Value, value: Value) {
        let source = self.operand(value);
        // A store has no destination slot; the operand's size only has to pass for one.
        let lanes = Slot { entry: 0, size: Size::Words };
        match memory {
            Memory::Buffer(buffer) => match self.analysis.kinds[index.index()] {
                Kind::Affine { stride, .. } if stride != 0 => {
                    let base = self.base_of(index);
                    let aimed = matches!(self.analysis.homes[value.index()], Home::Store { .. });
                    let (special, imm) = if stride == 1 {
                        (Special::StoreRow, [buffer.0, u32::from(aimed)])
                    } else {
                        (Special::StoreStrided, [buffer.0, stride])
                    };
                    self.special(special, lanes, &[base, source], imm, false);
                }
                _ => {
                    let index = self.operand(index);
                    self.special(Special::Scatter, lanes, &[index, source], [buffer.0, 0], false);
                }
            },
            Memory::Shared(_) => unreachable!("lowering makes no effects yet"),
            Memory::Local(local) => {
                let index = self.operand(index);
                let words = self.program.locals[local.index()].words;
                self.special(
                    Special::StoreArray,
                    self.arrays[local.index()],
                    &[index, source],
                    [words, 0],
                    false,
                );
            }
        }
    }

    fn special(&mut self, special: Special, dst: Slot, args: &[Slot], imm: [u32; 2], once: bool) {
        let kernel = (self.kernels.special)(special);
        self.instrs.push(Instr::new(kernel, dst, args, imm, once));
    }

    /// The slot that a value is computed into; of an affine one, that of its base.
    fn slot(&self, value: Value) -> Slot {
        self.values[value.index()].expect("a value that is used has a slot")
    }

    /// The slot to read a value from, lane by lane.
    fn operand(&self, value: Value) -> Slot {
        match self.analysis.kinds[value.index()] {
            Kind::Affine { .. } => {
                self.spreads[value.index()].expect("lanes of an affine value that are read")
            }
            _ => self.slot(value),
        }
    }

    /// The slot to read lane 0 of a value from.
    fn base_of(&self, value: Value) -> Slot {
        self.slot(value)
    }
}

/// Whether a `Continue` names `label`.
fn continues(block: &Block, label: crate::spmd::ir::Label) -> bool {
    block.iter().any(|stmt| match stmt {
        Stmt::Continue(to) => *to == label,
        Stmt::If { then, otherwise, .. } => continues(then, label) || continues(otherwise, label),
        Stmt::Loop { body, continuing, .. } => continues(body, label) || continues(continuing, label),
        Stmt::Scope { body, .. } => continues(body, label),
        _ => false,
    })
}
