//! What the compiler must know of a program before it assigns storage: how each value varies, how long it lives, and which
//! values need no storage of their own.
//!
//! Statements are numbered in the order of the text; a life is a range of those numbers, widened to the end of every loop
//! that it enters from outside.

use super::fuse::Fusion;
use super::kernels::Kernels;
use super::places::{self, Id, Source};
use crate::spmd::ir::{
    Binary, Block, Class, Effect, Label, Memory, Op, Program, Stmt, Ternary, Ty, Unary, Value, Var,
};

/// How a value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Known when the program is compiled.
    Const(u32),
    /// Uniform, and computed once per run.
    Run,
    /// Uniform, and computed at the start of each block.
    Block,
    /// Uniform, computed where it stands.
    Uniform,
    /// `base + stride * lane` over the whole block: only the base is computed. `early`: at the start of each block.
    Affine { stride: u32, early: bool },
    /// A value per lane.
    Varying,
}

impl Kind {
    /// The same in every lane.
    pub(super) fn is_uniform(self) -> bool {
        matches!(self, Self::Const(_) | Self::Run | Self::Block | Self::Uniform)
    }

    /// Known before the first block.
    fn is_run(self) -> bool {
        matches!(self, Self::Const(_) | Self::Run)
    }

    /// Uniform and known at the start of a block.
    fn is_early(self) -> bool {
        self.is_run() || self == Self::Block
    }
}

/// Where a value's lanes are, if not in a slot of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Own,
    /// In the slot of a variable.
    Var(Var),
    /// In the buffer that the statement of this number stores it to, where that is possible.
    Store {
        buffer: u32,
        index: Value,
    },
}

/// A range of statement numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub start: u32,
    pub end: u32,
}

#[derive(Clone, Debug)]
pub(super) struct VarInfo {
    pub uniform: bool,
    pub life: Option<Life>,
    /// Must read zero before the first `Set`.
    pub zeroed: bool,
    first: Option<First>,
    sets: Vec<u32>,
    gets: Vec<Value>,
    /// Values whose home it is.
    residents: Vec<Value>,
}

/// The first mention of a variable.
#[derive(Clone, Copy, Debug)]
struct First {
    block: u32,
    depth: usize,
}

#[derive(Debug)]
pub(super) struct Analysis {
    pub kinds: Vec<Kind>,
    pub lives: Vec<Life>,
    pub uses: Vec<u32>,
    /// Affine values that something besides an address needs lane by lane.
    pub spread: Vec<bool>,
    pub homes: Vec<Home>,
    /// Which values are computed together.
    pub fusion: Fusion,
    pub vars: Vec<VarInfo>,
    /// Values that are words of a buffer.
    pub loaded: Vec<bool>,
    /// For each varying value that is `lane 0 + stride * lane` within each chunk, the stride.
    pub strides: Vec<Option<u32>>,
    /// For each varying value that is another one, with such a stride, plus a uniform one: these two. A load or store adds them
    /// itself.
    pub sums: Vec<Option<(Value, Value)>>,
    /// Per entry of the buffer table, whether the program stores to it: buffers, then arrays of the workgroup, which all count
    /// as stored to.
    pub stored: Vec<bool>,
    /// Per entry of the buffer table, whether the program writes each word at most once and reads none, as far as its text tells.
    pub written_once: Vec<bool>,
}

impl Analysis {
    /// Analyses a verified program that is to run on these kernels.
    pub(super) fn new(program: &Program, kernels: &Kernels) -> Self {
        let values = program.values.len();
        let mut analysis = Self {
            kinds: vec![Kind::Varying; values],
            lives: vec![Life { start: 0, end: 0 }; values],
            uses: vec![0; values],
            spread: vec![false; values],
            homes: vec![Home::Own; values],
            fusion: Fusion::default(),
            vars: program
                .vars
                .iter()
                .map(|var| VarInfo {
                    uniform: var.class == Class::Uniform,
                    life: None,
                    zeroed: false,
                    first: None,
                    sets: Vec::new(),
                    gets: Vec::new(),
                    residents: Vec::new(),
                })
                .collect(),
            loaded: vec![false; values],
            strides: vec![None; values],
            sums: vec![None; values],
            stored: vec![false; program.buffers.len()],
            written_once: vec![true; program.buffers.len()],
        };
        analysis.stored.resize(program.buffers.len() + program.shared.len(), true);
        analysis.stored.resize(analysis.stored.len() + program.tables.len(), false);
        analysis.written_once.resize(analysis.stored.len(), false);
        analysis.find_stores(&program.body, false);
        // A variable that is set to something not uniform is not, whatever its declaration says.
        while analysis.find_kinds(program, &program.body) {}
        let fusion = Fusion::plan(program, &analysis, kernels);
        let loops = number_loops(&program.body);
        let mut first = Places { analysis: &mut analysis, number: 0, blocks: 0, path: Vec::new() };
        first.block(&program.body);
        let mut lives = Lives {
            analysis: &mut analysis,
            fusion: &fusion,
            number: 0,
            loops: &loops,
            seen: 0,
            inside: Vec::new(),
            depth: 0,
        };
        lives.block(&program.body);
        analysis.fusion = fusion;
        analysis.read_in_place();
        analysis.compute_in_place(program, &program.body, true);
        analysis
    }

    fn find_stores(&mut self, block: &Block, repeated: bool) {
        for stmt in block {
            match stmt {
                Stmt::Effect { effect, .. } => {
                    if let Some(Memory::Buffer(buffer)) = effect.memory() {
                        self.stored[buffer.index()] = true;
                        self.written_once[buffer.index()] = false;
                    }
                }
                Stmt::Store { memory: Memory::Buffer(buffer), .. } => {
                    let again = std::mem::replace(&mut self.stored[buffer.index()], true);
                    self.written_once[buffer.index()] &= !again && !repeated;
                }
                Stmt::Let(_, Op::Load { memory: Memory::Buffer(buffer), .. }) => {
                    self.written_once[buffer.index()] = false;
                }
                _ => {
                    let repeated = repeated || matches!(stmt, Stmt::Loop { .. });
                    blocks_of(stmt, |inner| self.find_stores(inner, repeated));
                }
            }
        }
    }

    /// Returns whether a variable lost its uniformity, so that everything must be looked at again.
    fn find_kinds(&mut self, program: &Program, block: &Block) -> bool {
        let mut changed = false;
        for stmt in block {
            match stmt {
                Stmt::Let(value, op) => {
                    self.kinds[value.index()] = self.kind(program, op);
                    self.strides[value.index()] = self.stride(program, program.value(*value).ty, op);
                    self.sums[value.index()] = match (op, self.strides[value.index()]) {
                        (Op::Binary(Binary::AddI, a, b), Some(0 | 1)) => self.sum(*a, *b),
                        _ => None,
                    };
                }
                Stmt::Effect { result: Some(value), effect } => {
                    self.kinds[value.index()] = match effect {
                        Effect::AtomicLoad { index, .. } if self.kinds[index.index()].is_uniform() => {
                            Kind::Uniform
                        }
                        _ => Kind::Varying,
                    };
                }
                Stmt::Set { var, value, .. } => {
                    let var = &mut self.vars[var.index()];
                    if var.uniform && !self.kinds[value.index()].is_uniform() {
                        var.uniform = false;
                        changed = true;
                    }
                }
                _ => blocks_of(stmt, |inner| changed |= self.find_kinds(program, inner)),
            }
        }
        changed
    }

    fn kind(&self, program: &Program, op: &Op) -> Kind {
        let kind = |value: Value| self.kinds[value.index()];
        let (mut uniform, mut run, mut early) = (true, true, true);
        op.operands(|value| {
            uniform &= kind(value).is_uniform();
            run &= kind(value).is_run();
            early &= kind(value).is_early();
        });
        match *op {
            Op::Const(bits) => return Kind::Const(bits),
            Op::Builtin(builtin) => {
                return match places::source(program, builtin).0 {
                    Source::Const(bits) => Kind::Const(bits),
                    Source::Id(Id::Count(_)) => Kind::Run,
                    Source::Id(_) => Kind::Block,
                    Source::Lane(_) => Kind::Affine { stride: 1, early: true },
                    Source::Table(..) | Source::InRow(_) => Kind::Varying,
                };
            }
            Op::Get(var) => {
                return if self.vars[var.index()].uniform { Kind::Uniform } else { Kind::Varying };
            }
            Op::Load { memory, .. } => match table_entry(program, memory) {
                // All lanes load at once, so at one index they get one word, whoever else writes to it.
                Some(entry) if self.stored[entry] => (run, early) = (false, false),
                Some(_) => {}
                None => return Kind::Varying,
            },
            _ => {}
        }
        if uniform {
            return match (run, early) {
                (true, _) => Kind::Run,
                (false, true) => Kind::Block,
                (false, false) => Kind::Uniform,
            };
        }
        // Affine in, affine out: wrapping arithmetic keeps `base + stride * lane`.
        let affine = |value: Value| match kind(value) {
            Kind::Affine { stride, early } => Some((stride, early)),
            kind if kind.is_uniform() => Some((0, kind.is_early())),
            _ => None,
        };
        let result = match *op {
            Op::Binary(Binary::AddI, a, b) => {
                affine(a).zip(affine(b)).map(|(a, b)| (a.0.wrapping_add(b.0), a.1 && b.1))
            }
            Op::Binary(Binary::SubI, a, b) => {
                affine(a).zip(affine(b)).map(|(a, b)| (a.0.wrapping_sub(b.0), a.1 && b.1))
            }
            Op::Binary(Binary::MulI, a, b) => match (kind(a), kind(b)) {
                (Kind::Affine { stride, early }, Kind::Const(by))
                | (Kind::Const(by), Kind::Affine { stride, early }) => Some((stride.wrapping_mul(by), early)),
                _ => None,
            },
            Op::Binary(Binary::ShlI, a, b) => match (kind(a), kind(b)) {
                (Kind::Affine { stride, early }, Kind::Const(by)) => Some((stride.wrapping_shl(by), early)),
                _ => None,
            },
            Op::Unary(Unary::Bitcast, a) => match kind(a) {
                Kind::Affine { stride, early } => Some((stride, early)),
                _ => None,
            },
            _ => None,
        };
        result.map_or(Kind::Varying, |(stride, early)| Kind::Affine { stride, early })
    }

    /// The stride within a chunk, where there is one.
    fn stride(&self, program: &Program, ty: Ty, op: &Op) -> Option<u32> {
        let stride = |value: Value| match self.kinds[value.index()] {
            Kind::Affine { stride, .. } => Some(stride),
            Kind::Varying => self.strides[value.index()],
            _ => Some(0),
        };
        let constant = |value: Value| match self.kinds[value.index()] {
            Kind::Const(bits) => Some(bits),
            _ => None,
        };
        let mut same = true;
        op.operands(|value| same &= stride(value) == Some(0));
        match *op {
            Op::Const(_) | Op::Length { .. } => Some(0),
            Op::Builtin(builtin) => places::source(program, builtin).1,
            // Lanes that are switched off may hold something else.
            Op::Get(_) | Op::Load { memory: Memory::Local(_), .. } => None,
            _ if same => Some(0),
            Op::Binary(Binary::AddI, a, b) => Some(stride(a)?.wrapping_add(stride(b)?)),
            Op::Binary(Binary::SubI, a, b) => Some(stride(a)?.wrapping_sub(stride(b)?)),
            Op::Binary(Binary::MulI, a, b) => match (constant(a), constant(b)) {
                (_, Some(by)) => Some(stride(a)?.wrapping_mul(by)),
                (Some(by), _) => Some(stride(b)?.wrapping_mul(by)),
                _ => None,
            },
            Op::Binary(Binary::ShlI, a, b) => Some(stride(a)?.wrapping_shl(constant(b)?)),
            Op::Unary(Unary::Bitcast, a) if ty != Ty::F32 => stride(a),
            _ => None,
        }
    }

    fn sum(&self, a: Value, b: Value) -> Option<(Value, Value)> {
        let kind = |value: Value| self.kinds[value.index()];
        match (kind(a), kind(b)) {
            (Kind::Varying, other) if other.is_uniform() => Some((a, b)),
            (other, Kind::Varying) if other.is_uniform() => Some((b, a)),
            _ => None,
        }
    }

    /// What a load or store of that index adds, if its chunks are rows of words or one word each.
    pub(super) fn address(&self, index: Value, store: bool) -> Option<(Value, Value)> {
        match (self.kinds[index.index()], self.strides[index.index()]) {
            (Kind::Varying, Some(0)) if !store => self.sums[index.index()],
            (Kind::Varying, Some(1)) => self.sums[index.index()],
            _ => None,
        }
    }

    /// Values that are read from their variable's slot, because nothing is assigned while they live.
    fn read_in_place(&mut self) {
        for var in 0..self.vars.len() {
            let info = &self.vars[var];
            let mut end = info.life.map_or(0, |life| life.end);
            let alive = |value: &Value, sets: &[u32]| {
                let life = self.lives[value.index()];
                !sets.iter().any(|set| (life.start + 1..life.end).contains(set))
            };
            let in_place: Vec<Value> =
                info.gets.iter().filter(|value| alive(value, &info.sets)).copied().collect();
            for value in &in_place {
                self.homes[value.index()] = Home::Var(Var(var as u32));
                end = end.max(self.lives[value.index()].end);
            }
            self.vars[var].residents = in_place;
            if let Some(life) = &mut self.vars[var].life {
                life.end = end;
            }
        }
    }

    /// Values that are computed straight into the variable or the buffer that they are assigned or stored to.
    ///
    /// No effect stands between the computation and the assignment: it is a fence for memory.
    fn compute_in_place(&mut self, program: &Program, block: &Block, outermost: bool) {
        for (at, stmt) in block.iter().enumerate() {
            match stmt {
                Stmt::Set { var, value, masked }
                    if !masked || outermost || self.vars[var.index()].uniform =>
                {
                    if let Some(between) = self.straight_from(block, *value, at) {
                        self.compute_into_var(*var, *value, &block[between + 1..at]);
                    }
                }
                Stmt::Store { memory: memory @ (Memory::Buffer(_) | Memory::Shared(_)), index, value } => {
                    if let Some(between) = self.straight_from(block, *value, at) {
                        let untouched = !block[between..at].iter().any(|stmt| {
                            matches!(stmt, Stmt::Store { memory: other, .. } | Stmt::Let(_, Op::Load { memory: other, .. }) if other == memory)
                        });
                        let ready = match self.kinds[index.index()] {
                            Kind::Affine { stride: 1, early } => {
                                early || self.lives[index.index()].start < self.lives[value.index()].start
                            }
                            _ => false,
                        };
                        if untouched
                            && ready
                            && self.uses[value.index()] == 1
                            && self.kinds[value.index()] == Kind::Varying
                            && let Some(entry) = table_entry(program, *memory)
                        {
                            self.homes[value.index()] = Home::Store { buffer: entry as u32, index: *index };
                        }
                    }
                }
                _ => blocks_of(stmt, |inner| self.compute_in_place(program, inner, false)),
            }
        }
    }

    /// Where `value` is computed, when that is before `at` in the same block with no control flow between, and it has no
    /// home yet.
    fn straight_from(&self, block: &Block, value: Value, at: usize) -> Option<usize> {
        if self.homes[value.index()] != Home::Own {
            return None;
        }
        for (from, stmt) in block[..at].iter().enumerate().rev() {
            match stmt {
                Stmt::Let(defined, op) if *defined == value => {
                    let computed = !matches!(op, Op::Get(_) | Op::Const(_) | Op::Builtin(_));
                    return computed.then_some(from);
                }
                Stmt::Let(..) | Stmt::Set { .. } | Stmt::Store { .. } => {}
                _ => return None,
            }
        }
        None
    }

    fn compute_into_var(&mut self, var: Var, value: Value, between: &[Stmt]) {
        let uniform = self.vars[var.index()].uniform;
        match self.kinds[value.index()] {
            Kind::Uniform if uniform => {}
            Kind::Varying if !uniform => {}
            _ => return,
        }
        let life = self.lives[value.index()];
        let set = life.start + 1 + between.len() as u32;
        let info = &self.vars[var.index()];
        let read = between.iter().any(|stmt| matches!(stmt, Stmt::Let(_, Op::Get(other)) if *other == var));
        let set_again = info.sets.iter().any(|&at| at != set && life.start < at && at < life.end.max(set));
        if read || set_again {
            return;
        }
        // Values that are read from the variable's slot must be dead when this one is written to it.
        let overlaps = info.residents.iter().any(|other| {
            let other = self.lives[other.index()];
            other.start < set && other.end > life.start
        });
        if overlaps {
            return;
        }
        self.homes[value.index()] = Home::Var(var);
        self.vars[var.index()].residents.push(value);
        if let Some(var_life) = &mut self.vars[var.index()].life {
            var_life.start = var_life.start.min(life.start);
            var_life.end = var_life.end.max(life.end);
        }
    }
}

/// Calls `f` with every block directly inside a statement.
pub(super) fn blocks_of<'a>(stmt: &'a Stmt, mut f: impl FnMut(&'a Block)) {
    match stmt {
        Stmt::If { then, otherwise, .. } => {
            f(then);
            f(otherwise);
        }
        Stmt::Loop { body, continuing, .. } => {
            f(body);
            f(continuing);
        }
        Stmt::Scope { body, .. } => f(body),
        _ => {}
    }
}

/// Whether control can leave `block` other than at its end, not counting jumps to `inner` labels.
pub(super) fn escapes(block: &Block, inner: &mut Vec<Label>) -> bool {
    block.iter().any(|stmt| match stmt {
        Stmt::Return => true,
        Stmt::Break(label) | Stmt::Continue(label) => !inner.contains(label),
        Stmt::Loop { label, .. } | Stmt::Scope { label, .. } => {
            inner.push(*label);
            let mut any = false;
            blocks_of(stmt, |block| any |= escapes(block, inner));
            inner.pop();
            any
        }
        _ => {
            let mut any = false;
            blocks_of(stmt, |block| any |= escapes(block, inner));
            any
        }
    })
}

/// First and last statement numbers of the loops, in order of their start. A loop's end has a number of its own, after
/// everything in it: there `break_if` is read.
fn number_loops(block: &Block) -> Vec<Life> {
    fn walk(block: &Block, number: &mut u32, loops: &mut Vec<Life>) {
        for stmt in block {
            *number += 1;
            let at = loops.len();
            if matches!(stmt, Stmt::Loop { .. }) {
                loops.push(Life { start: *number, end: 0 });
            }
            blocks_of(stmt, |inner| walk(inner, number, loops));
            if matches!(stmt, Stmt::Loop { .. }) {
                *number += 1;
                loops[at].end = *number;
            }
        }
    }
    let mut loops = Vec::new();
    walk(block, &mut 0, &mut loops);
    loops
}

/// Finds definitions, and for each variable where it is mentioned first and whether that assignment reaches every read.
struct Places<'a> {
    analysis: &'a mut Analysis,
    number: u32,
    blocks: u32,
    path: Vec<u32>,
}

impl Places<'_> {
    fn block(&mut self, block: &Block) {
        self.path.push(self.blocks);
        self.blocks += 1;
        for stmt in block {
            self.number += 1;
            match stmt {
                Stmt::Let(value, op) => {
                    self.analysis.lives[value.index()] = Life { start: self.number, end: self.number };
                    match op {
                        Op::Get(var) => {
                            self.analysis.vars[var.index()].gets.push(*value);
                            self.mention(*var, false);
                        }
                        Op::Load { memory: Memory::Buffer(_), .. } => {
                            self.analysis.loaded[value.index()] = true;
                        }
                        _ => {}
                    }
                }
                Stmt::Effect { result: Some(value), .. } => {
                    self.analysis.lives[value.index()] = Life { start: self.number, end: self.number };
                }
                Stmt::Set { var, .. } => {
                    self.analysis.vars[var.index()].sets.push(self.number);
                    self.mention(*var, true);
                }
                _ => blocks_of(stmt, |inner| self.block(inner)),
            }
            self.number += u32::from(matches!(stmt, Stmt::Loop { .. }));
        }
        self.path.pop();
    }

    fn mention(&mut self, var: Var, set: bool) {
        let here = First { block: self.path[self.path.len() - 1], depth: self.path.len() - 1 };
        let info = &mut self.analysis.vars[var.index()];
        match info.first {
            None => {
                info.first = Some(here);
                info.zeroed = !set;
            }
            Some(first) => info.zeroed |= self.path.get(first.depth) != Some(&first.block),
        }
    }
}

/// Finds the ends of lives.
struct Lives<'a> {
    analysis: &'a mut Analysis,
    fusion: &'a Fusion,
    number: u32,
    loops: &'a [Life],
    seen: usize,
    /// The loops around the present statement, and the depth of the block that each stands in.
    inside: Vec<(Life, usize)>,
    depth: usize,
}

impl Lives<'_> {
    fn block(&mut self, block: &Block) {
        for stmt in block {
            self.number += 1;
            match stmt {
                Stmt::Let(value, _) if self.fusion.is_gone(*value) => {}
                Stmt::Let(value, op) => {
                    let address = match *op {
                        Op::Load { memory: Memory::Local(_), .. } => None,
                        Op::Load { index, .. } => Some(index),
                        _ => None,
                    };
                    let affine = matches!(self.analysis.kinds[value.index()], Kind::Affine { .. });
                    let fusion = self.fusion;
                    fusion.operands(*value, op, |operand| {
                        self.addressed(operand, affine || address == Some(operand), address.is_some(), false);
                    });
                    if let Op::Get(var) = op {
                        self.mentioned(*var);
                    }
                }
                Stmt::Set { var, value, .. } => {
                    match self.fusion.merged(*value) {
                        Some(root) => root.args().iter().for_each(|operand| self.used(*operand, false)),
                        None => self.used(*value, false),
                    }
                    self.mentioned(*var);
                }
                Stmt::Store { memory, index, value } => {
                    let shared = matches!(memory, Memory::Buffer(_) | Memory::Shared(_));
                    self.addressed(*index, shared, shared, true);
                    self.used(*value, false);
                }
                Stmt::Effect { effect, .. } => effect.operands(|operand| self.used(operand, false)),
                Stmt::If { cond, then, otherwise } => {
                    self.used(*cond, false);
                    self.depth += 1;
                    self.block(then);
                    self.block(otherwise);
                    self.depth -= 1;
                }
                Stmt::Loop { body, continuing, break_if, .. } => {
                    self.inside.push((self.loops[self.seen], self.depth));
                    self.seen += 1;
                    self.depth += 1;
                    self.block(body);
                    self.block(continuing);
                    self.depth -= 1;
                    self.number += 1;
                    if let Some(cond) = break_if {
                        self.used(*cond, false);
                    }
                    self.inside.pop();
                }
                Stmt::Scope { body, .. } => {
                    self.depth += 1;
                    self.block(body);
                    self.depth -= 1;
                }
                Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return => {}
            }
        }
    }

    /// A use of a value, or, if it is the address of a load or store that adds it up itself, of what is added.
    fn addressed(&mut self, value: Value, as_address: bool, adds: bool, store: bool) {
        match self.analysis.address(value, store) {
            Some((a, b)) if adds => {
                self.used(a, false);
                self.used(b, false);
            }
            _ => self.used(value, as_address),
        }
    }

    fn used(&mut self, value: Value, as_address: bool) {
        let start = self.analysis.lives[value.index()].start;
        let entered = self.inside.iter().find(|(span, _)| span.start > start);
        let end = entered.map_or(self.number, |(span, _)| span.end);
        let life = &mut self.analysis.lives[value.index()];
        life.end = life.end.max(end);
        self.analysis.uses[value.index()] += 1;
        if let Kind::Affine { stride, .. } = self.analysis.kinds[value.index()] {
            // An address of stride 0 is an operand like any other.
            self.analysis.spread[value.index()] |= !as_address || stride == 0;
        }
    }

    fn mentioned(&mut self, var: Var) {
        let info = &mut self.analysis.vars[var.index()];
        let first = info.first.map_or(0, |first| first.depth);
        // A variable whose first assignment reaches every read does not live from one turn of an outer loop to the next.
        let around = self.inside.iter().find(|(_, depth)| info.zeroed || *depth >= first);
        let here = around.map_or(Life { start: self.number, end: self.number }, |(span, _)| *span);
        let life = info.life.get_or_insert(here);
        life.start = if info.zeroed { 0 } else { life.start.min(here.start) };
        life.end = life.end.max(here.end);
    }
}

/// The place of a memory among the buffers, arrays of the workgroup and tables that an arena lists; `None` for a per-invocation array.
pub(super) fn table_entry(program: &Program, memory: Memory) -> Option<usize> {
    match memory {
        Memory::Buffer(buffer) => Some(buffer.index()),
        Memory::Shared(shared) => Some(program.buffers.len() + shared.index()),
        Memory::Table(table) => Some(program.buffers.len() + program.shared.len() + table.index()),
        Memory::Local(_) => None,
    }
}

/// Whether an operation's lanes are bools.
pub(super) fn is_bool(program: &Program, value: Value) -> bool {
    program.value(value).ty == Ty::Bool
}

/// Whether a ternary selects between bools, which are stored as bits.
pub(super) fn selects_bits(program: &Program, op: Ternary, result: Value) -> bool {
    op == Ternary::Select && is_bool(program, result)
}
