//! From a program to instructions: a tree of control flow whose leaves are runs of kernel calls.

use std::sync::Arc;

use super::analysis::{Analysis, Home, Kind, Life, blocks_of, escapes, is_bool, selects_bits, table_entry};
use super::frame::{CHUNK_BYTES, Chunk, MAX_CHUNKS};
use super::kernels::{Instr, Kernels, Size, Slot, Special};
use super::places::{self, Source, Table};
use super::storage::{Place, Storage};
use crate::cpu::CpuLevel;
use crate::spmd::ir::{Block, Builtin, Effect, LANES, Memory, Op, Order, Program, Stmt, Ty, Value};

/// A step of the control flow.
pub(super) enum Node {
    /// Instructions `start..end`.
    Run { start: u32, end: u32 },
    /// Both sides have the same active lanes, or none.
    IfUniform { cond: Slot, then: Vec<Node>, otherwise: Vec<Node> },
    /// Lanes part. `escapes`: some may not come back.
    If { cond: Slot, then: Vec<Node>, otherwise: Vec<Node>, escapes: bool },
    /// Until no lane is left. Lanes that leave are collected only where not all of them come back: `left`. `waits`: it has an
    /// atomic, so it may be waiting for another thread.
    Loop {
        body: Vec<Node>,
        continuing: Vec<Node>,
        break_if: Option<Slot>,
        left: Option<u32>,
        continued: Option<u32>,
        waits: bool,
    },
    /// Lanes leave early.
    Scope { body: Vec<Node>, left: Option<u32> },
    /// The active lanes, where `cond` is `true` (or not, if negated), become inactive and are noted in `into`.
    Leave { cond: Option<(Slot, bool)>, into: Option<u32> },
    /// The active lanes, where `cond` is `true` (or not, if negated), run instructions `start..end`, become inactive and are
    /// noted in `into`.
    Exit { cond: (Slot, bool), start: u32, end: u32, into: Option<u32> },
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
    /// Words of the arrays of a workgroup.
    pub shared: Vec<u32>,
    /// Arrays of constants.
    pub tables: Vec<Arc<[u32]>>,
    pub order: Order,
    /// `@workgroup_size`.
    pub size: [u32; 3],
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
        let kernels = Kernels::of(level);
        let analysis = Analysis::new(program, &kernels);
        let mut compiler = Compiler {
            program,
            analysis: &analysis,
            kernels,
            storage: Storage::default(),
            consts: Vec::new(),
            const_slots: Vec::new(),
            values: vec![None; program.values.len()],
            spreads: vec![None; program.values.len()],
            vars: vec![None; program.vars.len()],
            arrays: Vec::new(),
            tables: Vec::new(),
            instrs: Vec::new(),
            streams: Vec::new(),
            labels: vec![Target::default(); program.labels as usize],
            lane_sets: 0,
            jumps: false,
        };
        compiler.tabulate(&program.body);
        compiler.assign_storage();
        compiler.early(&program.body, When::Run);
        let once = compiler.instrs.len() as u32;
        compiler.early(&program.body, When::Block);
        compiler.zero();
        let each_block = compiler.instrs.len() as u32;
        let nodes = compiler.block(&program.body, true);
        let Compiler { storage, consts, instrs, streams, lane_sets, jumps, .. } = compiler;
        let chunks = match program.order {
            Order::Rows => storage.chunks(),
            Order::Workgroups => places::invocations(program.workgroup_size).div_ceil(LANES),
        };
        assert!(chunks <= MAX_CHUNKS, "a workgroup of over {} invocations", MAX_CHUNKS * LANES);
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
            stored: analysis.stored[..program.buffers.len()].to_vec(),
            shared: program.shared.iter().map(|array| array.words).collect(),
            tables: program.tables.clone(),
            order: program.order,
            size: program.workgroup_size,
        }
    }

    /// Chunks of the frame, and of the arrays of the workgroup behind it.
    pub(super) fn frame_chunks(&self) -> (u64, u64) {
        let shared = self.shared.iter().map(|words| u64::from(words.div_ceil(LANES as u32))).sum();
        (self.storage.frame_chunks(self.chunks), shared)
    }

    /// Bytes of both.
    pub(super) fn bytes(&self) -> u64 {
        let (frame, shared) = self.frame_chunks();
        frame.saturating_add(shared).saturating_mul(CHUNK_BYTES as u64)
    }
}

/// When something is computed that is computed early.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Before the first block.
    Run,
    /// At the start of each block.
    Block,
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
    /// The tables that are read.
    tables: Vec<(Table, Slot)>,
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
            if analysis.uses[at] == 0 || self.values[at].is_some() {
                continue;
            }
            let value = Value(at as u32);
            let life = analysis.lives[at];
            let lanes = if is_bool(self.program, value) { Size::Bits } else { Size::Words };
            match analysis.kinds[at] {
                Kind::Const(bits) => self.values[at] = Some(self.constant(value, bits)),
                Kind::Run | Kind::Block | Kind::Affine { early: true, .. } => {
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
                let bool = self.program.vars[at].ty == Ty::Bool;
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

    /// Emits the tables that the program reads.
    fn tabulate(&mut self, block: &Block) {
        for stmt in block {
            match stmt {
                Stmt::Let(value, Op::Builtin(builtin)) if self.analysis.uses[value.index()] > 0 => {
                    if let (Source::Table(table, plus), _) = places::source(self.program, *builtin) {
                        let slot = self.table(table);
                        if plus.is_none() {
                            self.values[value.index()] = Some(slot);
                        }
                    }
                }
                _ => blocks_of(stmt, |inner| self.tabulate(inner)),
            }
        }
    }

    fn table(&mut self, table: Table) -> Slot {
        if let Some((_, slot)) = self.tables.iter().find(|(known, _)| *known == table) {
            return *slot;
        }
        let slot = self.storage.permanent_words();
        self.special(Special::Table(table), slot, &[], [0; 2], false);
        self.tables.push((table, slot));
        slot
    }

    /// Emits what is computed early, at that time.
    fn early(&mut self, block: &Block, when: When) {
        for stmt in block {
            match stmt {
                Stmt::Let(value, op) if self.analysis.uses[value.index()] > 0 => {
                    match (self.analysis.kinds[value.index()], when) {
                        (Kind::Run, When::Run) | (Kind::Block, When::Block) => self.uniform(*value, op),
                        (Kind::Affine { early: true, .. }, When::Block) => self.base(*value, op),
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
        for at in 0..self.program.shared.len() {
            let entry = (self.program.buffers.len() + at) as u32;
            self.special(Special::ZeroShared, LANES_OF_NONE, &[], [entry, 0], false);
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
                Stmt::Effect { result, effect } => self.effect(*result, *effect),
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
                let waits = has_atomics(body) || has_atomics(continuing);
                let body = self.block(body, false);
                let continuing = self.block(continuing, false);
                let break_if = break_if.map(|cond| self.operand(cond));
                self.jumps = true;
                Some(Node::Loop { body, continuing, break_if, left, continued, waits })
            }
            Stmt::Scope { label, body } => {
                let left = escapes(body, &mut vec![*label]).then(|| self.lane_set());
                self.labels[label.index()] = Target { left, continued: None };
                let body = self.block(body, false);
                Some(Node::Scope { body, left })
            }
            Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return => Some(self.leave(stmt, None)),
            Stmt::Let(..) | Stmt::Set { .. } | Stmt::Store { .. } | Stmt::Effect { .. } => None,
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
        let exit = match (then.as_slice(), otherwise.as_slice()) {
            ([before @ .., jump], []) if is_exit(before, jump) => Some((then, jump, true)),
            ([], [before @ .., jump]) if is_exit(before, jump) => Some((otherwise, jump, false)),
            _ => None,
        };
        if let Some((block, jump, when)) = exit
            && let Node::Leave { into, .. } = self.leave(jump, None)
        {
            let start = self.instrs.len() as u32;
            self.block(block, false);
            return Node::Exit { cond: (slot, when), start, end: self.instrs.len() as u32, into };
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
            Kind::Const(_) | Kind::Run | Kind::Block => {}
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
            Op::Load { memory, index } => {
                let (entry, index) = (self.entry(memory), self.operand(index));
                self.special(Special::LoadOne, dst, &[index], [entry, 0], true);
            }
            Op::Length { buffer, offset, stride } => {
                let stride = self.constant_bits(stride);
                self.special(Special::Length, dst, &[stride], [buffer.0, offset], true);
            }
            Op::Builtin(builtin) => self.place(dst, builtin),
            _ => self.arithmetic(value, dst, op, true),
        }
    }

    /// A number of the block: a uniform value, or the base of an affine one.
    fn place(&mut self, dst: Slot, builtin: Builtin) {
        match places::source(self.program, builtin).0 {
            Source::Id(id) | Source::Lane(Some(id)) => {
                self.special(Special::Id, dst, &[], [id.index() as u32, 0], true);
            }
            Source::Lane(None) => {
                let zero = self.constant_bits(0);
                self.special(Special::CopyWords, dst, &[zero], [0; 2], true);
            }
            source => unreachable!("{source:?} differs from lane to lane, or is a constant"),
        }
    }

    /// The base of an affine value: the same arithmetic on lane 0.
    fn base(&mut self, value: Value, op: &Op) {
        let dst = self.slot(value);
        match *op {
            Op::Builtin(builtin) => self.place(dst, builtin),
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
            Op::Builtin(builtin) => match places::source(self.program, builtin).0 {
                // It is read from the table.
                Source::Table(_, None) => {}
                Source::Table(table, Some(id)) => {
                    let source = self.table(table);
                    self.special(Special::Offset, dst, &[source], [id.index() as u32, 0], false);
                }
                Source::InRow(what) => self.special(Special::InRow(what), dst, &[], [0; 2], false),
                source => unreachable!("{source:?} has no lanes"),
            },
            Op::Load {
                memory: memory @ (Memory::Buffer(_) | Memory::Shared(_) | Memory::Table(_)),
                index,
            } => {
                let entry = self.entry(memory);
                match self.analysis.kinds[index.index()] {
                    Kind::Affine { stride: 1, .. } => {
                        let may_aim = home == Home::Own && !self.analysis.stored[entry as usize];
                        let load = if may_aim { Special::LoadAim } else { Special::LoadRow };
                        let index = self.base_of(index);
                        self.special(load, dst, &[index], [entry, 1], false);
                    }
                    Kind::Affine { stride, .. } if stride != 0 => {
                        let index = self.base_of(index);
                        self.special(Special::LoadStrided, dst, &[index], [entry, stride], false);
                    }
                    _ => {
                        let load = match self.analysis.strides[index.index()] {
                            Some(0) => Special::LoadSame,
                            Some(1) => Special::LoadChunk,
                            _ => Special::Gather,
                        };
                        let (index, plus) = self.address(index, false);
                        self.special(load, dst, &[index, plus], [entry, 0], false);
                    }
                }
            }
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
        if let Some(root) = self.analysis.fusion.root(value) {
            let args: Vec<Slot> = root.args().iter().map(|operand| self.operand(*operand)).collect();
            self.instrs.push(Instr::new(root.kernel, dst, &args, [root.flips, 0], once));
            return;
        }
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
        if let Some(root) = self.analysis.fusion.merged(value) {
            let slot = self.vars[var].expect("a variable that is mentioned has a slot");
            let args: Vec<Slot> = root.args().iter().map(|operand| self.operand(*operand)).collect();
            self.instrs.push(Instr::new(root.kernel, slot, &args, [0; 2], false));
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
        match memory {
            Memory::Buffer(_) | Memory::Shared(_) => {
                let entry = self.entry(memory);
                match self.analysis.kinds[index.index()] {
                    Kind::Affine { stride, .. } if stride != 0 => {
                        let base = self.base_of(index);
                        let aimed = matches!(self.analysis.homes[value.index()], Home::Store { .. });
                        let (special, imm) = if stride == 1 {
                            (Special::StoreRow, [entry, u32::from(aimed)])
                        } else {
                            (Special::StoreStrided, [entry, stride])
                        };
                        self.special(special, LANES_OF_NONE, &[base, source], imm, false);
                    }
                    _ => {
                        let stride = self.analysis.strides[index.index()];
                        let (index, plus) = self.address(index, true);
                        let store = if stride == Some(1) { Special::StoreChunk } else { Special::Scatter };
                        self.special(store, LANES_OF_NONE, &[index, source, plus], [entry, 0], false);
                    }
                }
            }
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
            Memory::Table(table) => unreachable!("a store to {table}, which is constant"),
        }
    }

    fn effect(&mut self, result: Option<Value>, effect: Effect) {
        let result = result.filter(|value| self.analysis.uses[value.index()] > 0);
        let dst = result.map_or(LANES_OF_NONE, |value| self.slot(value));
        let wanted = result.is_some();
        let entry = effect.memory().map_or(0, |memory| self.entry(memory));
        let plain = matches!(effect.memory(), Some(Memory::Shared(_)));
        let (special, operands): (_, [Option<Value>; 3]) = match effect {
            // All lanes of a workgroup are here.
            Effect::Barrier => return,
            Effect::AtomicLoad { index, .. } => match self.analysis.kinds[index.index()] {
                _ if !wanted => return,
                kind if kind.is_uniform() => (Special::AtomicLoadOne, [Some(index), None, None]),
                _ => (Special::AtomicLoad, [Some(index), None, None]),
            },
            Effect::AtomicStore { index, value, .. } => {
                (Special::AtomicStore, [Some(index), Some(value), None])
            }
            Effect::Atomic { op, index, value, .. } => {
                let signed = self.program.value(value).ty == Ty::I32;
                (Special::Atomic { op, signed, plain }, [Some(index), Some(value), None])
            }
            Effect::CompareExchange { index, expected, value, .. } => {
                (Special::CompareExchange { plain }, [Some(index), Some(expected), Some(value)])
            }
            _ if !wanted => return,
            Effect::Reduce { op, value } => (Special::Reduce(op), [Some(value), None, None]),
            Effect::InclusiveScan { op, value } => (Special::InclusiveScan(op), [Some(value), None, None]),
            Effect::ExclusiveScan { op, value } => (Special::ExclusiveScan(op), [Some(value), None, None]),
            Effect::Ballot { value } => (Special::Ballot, [Some(value), None, None]),
            Effect::First { value } => (Special::First, [Some(value), None, None]),
            Effect::Shuffle { value, index } => (Special::Shuffle, [Some(value), Some(index), None]),
        };
        let args: Vec<Slot> = operands.into_iter().flatten().map(|value| self.operand(value)).collect();
        let once = special == Special::AtomicLoadOne;
        self.special(special, dst, &args, [entry, u32::from(wanted)], once);
    }

    /// The lanes of an index, and what a load or store adds to them.
    fn address(&mut self, index: Value, store: bool) -> (Slot, Slot) {
        match self.analysis.address(index, store) {
            Some((lanes, plus)) => (self.operand(lanes), self.operand(plus)),
            None => (self.operand(index), self.constant_bits(0)),
        }
    }

    /// Where the table of buffers has a memory that is in it.
    fn entry(&self, memory: Memory) -> u32 {
        table_entry(self.program, memory).expect("not an array of one invocation") as u32
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

/// Instructions without a result name no slot; this only has to pass for one.
const LANES_OF_NONE: Slot = Slot { entry: 0, size: Size::Words };

/// Whether it is a jump, with nothing but instructions before it.
fn is_exit(before: &[Stmt], jump: &Stmt) -> bool {
    matches!(jump, Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return)
        && before.iter().all(|stmt| {
            matches!(stmt, Stmt::Let(..) | Stmt::Set { .. } | Stmt::Store { .. } | Stmt::Effect { .. })
        })
}

/// Whether there is an atomic in it.
fn has_atomics(block: &Block) -> bool {
    block.iter().any(|stmt| {
        let mut any = matches!(stmt, Stmt::Effect { effect, .. } if effect.memory().is_some());
        blocks_of(stmt, |inner| any |= has_atomics(inner));
        any
    })
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
