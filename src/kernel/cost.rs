//! What a loop body costs per element, read off its optimised program without running it.
//!
//! Counts of operations by class, and a tree of loops whose number of rounds may depend on the call: on a uniform
//! argument or the length of an array. [`Cost::counts`] fills those in, so a prediction for an n-body step knows how many
//! bodies there are. What costs how much *time* is the dispatcher's business: here is only [`Counts::operations`], a rough
//! sum in units of one addition.

use crate::spmd::ir::{
    Binary, Block, Buffer, Class, Effect, Label, Memory, Op, Program, Stmt, Ternary, Ty, Unary, Value, Var,
};

/// How often a loop is assumed to go round when that cannot be known: while a condition on computed values holds.
pub(crate) const ASSUMED_ROUNDS: f64 = 16.0;

/// The part of its lanes for which each side of a branch is taken to run: one half where the lanes of every chunk agree, all where they
/// do not.
const BOTH_WAYS: f64 = 0.75;

/// The static cost of a body.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    /// Outside all loops, or in one round.
    once: Counts,
    loops: Vec<Repeated>,
}

#[derive(Clone, Debug, PartialEq)]
struct Repeated {
    rounds: Rounds,
    /// Whether something in it may end it before that.
    early: bool,
    cost: Cost,
}

/// How often a loop goes round, at most.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rounds {
    Known(f64),
    /// `step` by `step` from `start` while below `limit` (at it too if `inclusive`).
    Until {
        start: u32,
        step: u32,
        limit: Limit,
        inclusive: bool,
    },
    Unknown,
}

/// A bound that is known at the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A word of a read-only buffer, such as a uniform argument.
    Word { buffer: Buffer, word: u32 },
    /// `(words - offset) / stride` of a buffer.
    Length { buffer: Buffer, offset: u32, stride: u32 },
}

/// Operations and bytes for one element.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    /// Additions, float products, comparisons, selections, bit operations, conversions.
    pub simple: f64,
    /// Those of `simple` that are computed along with the one operation that wants them: sums and products inside a longer one.
    pub fused: f64,
    /// Float quotients and roots.
    pub divide: f64,
    /// Everything in `math`.
    pub transcendental: f64,
    /// Integer products.
    pub multiply_int: f64,
    /// Integer quotients and remainders.
    pub divide_int: f64,
    /// Loads at neighbouring indexes of neighbouring lanes.
    pub load: f64,
    /// Loads and stores at any index, and what the invocations of a workgroup do with each other.
    pub gather: f64,
    /// Stores at neighbouring indexes of neighbouring lanes.
    pub store: f64,
    /// Atomic operations on buffers.
    pub atomic: f64,
    /// Operations of any class that are the same for all elements, and are done once for a block of lanes.
    pub uniform: f64,
    /// Float operations of a roofline: sums, products, quotients and roots; 2 for a multiply-add, and transcendental
    /// functions not among them.
    pub flops: f64,
    /// Bytes of arrays read, by linear loads.
    pub read: f64,
    /// Bytes of arrays written, by linear stores.
    pub written: f64,
    /// How many loops were assumed to go round [`ASSUMED_ROUNDS`] times.
    pub unbounded: u32,
    /// How many loops may end early, and were assumed to do so at any order of magnitude.
    pub early: u32,
}

/// How many lanes share a uniform operation: a block has 64 to 1024.
const LANES_PER_BLOCK: f64 = 256.0;

impl Counts {
    /// All operations, in units of one addition on a vector of lanes.
    ///
    /// The weights are reciprocal throughputs of 512-bit instructions on Sapphire Rapids as uops.info lists them, against
    /// that of an addition; for `math`, the number of instructions of its functions.
    pub(crate) fn operations(&self) -> f64 {
        self.simple
            + 1.5 * self.multiply_int
            + 8.0 * self.divide
            + 16.0 * self.divide_int
            + 20.0 * self.transcendental
            + self.load
            + 10.0 * self.gather
            + self.store
            + 40.0 * self.atomic
            + self.uniform / LANES_PER_BLOCK
    }

    /// Operations that are begun once for a block of lanes: all but those that another one computes along. To go to the block takes
    /// as long as some more.
    pub(crate) fn begun(&self) -> f64 {
        /// 36 ns a block (a copy of 10⁵ elements), at 4 ns an operation, less its load and store.
        const BLOCK: f64 = 6.0;
        BLOCK + self.simple - self.fused
            + self.multiply_int
            + self.divide
            + self.divide_int
            + self.transcendental
            + self.load
            + self.gather
            + self.store
            + self.atomic
            + self.uniform
    }

    /// Takes in what is done so many times.
    pub(crate) fn add(&mut self, other: &Self, times: f64) {
        self.simple += times * other.simple;
        self.fused += times * other.fused;
        self.divide += times * other.divide;
        self.transcendental += times * other.transcendental;
        self.multiply_int += times * other.multiply_int;
        self.divide_int += times * other.divide_int;
        self.load += times * other.load;
        self.gather += times * other.gather;
        self.store += times * other.store;
        self.atomic += times * other.atomic;
        self.uniform += times * other.uniform;
        self.flops += times * other.flops;
        // A loop reads the same array again and again, mostly; the cache has it.
        self.read += other.read;
        self.written += other.written;
        self.unbounded += other.unbounded;
        self.early += other.early;
    }
}

impl Cost {
    /// The cost of a program that `passes::optimise` has been over.
    pub(crate) fn of(program: &Program) -> Self {
        let mut walk = Walk {
            program,
            ops: vec![None; program.values.len()],
            starts: vec![Some(0); program.vars.len()],
            uses: vec![Uses::default(); program.values.len()],
            blocks: 0,
        };
        walk.look(&program.body);
        walk.block(&program.body)
    }

    /// The counts for a call, with what is known of its limits.
    pub(crate) fn counts(&self, known: &impl Fn(Limit) -> Option<u32>) -> Counts {
        let mut counts = self.once;
        for repeated in &self.loops {
            let inside = repeated.cost.counts(known);
            match repeated.rounds.count(known) {
                Some(rounds) if repeated.early && rounds > 1.0 => {
                    // The mean of a number whose order of magnitude may be any up to that.
                    counts.add(&inside, (rounds - 1.0) / rounds.ln());
                    counts.early += 1;
                }
                Some(rounds) => counts.add(&inside, rounds),
                None => {
                    counts.add(&inside, ASSUMED_ROUNDS);
                    counts.unbounded += 1;
                }
            }
        }
        counts
    }

    fn add(&mut self, other: Self) {
        self.once.add(&other.once, 1.0);
        self.loops.extend(other.loops);
    }

    /// The same for lanes of which only so many do it.
    fn times(self, share: f64) -> Self {
        let mut once = Counts::default();
        once.add(&self.once, share);
        let loops = self.loops.into_iter();
        let loops = loops.map(|inside| Repeated { cost: inside.cost.times(share), ..inside }).collect();
        Self { once, loops }
    }
}

impl Rounds {
    fn count(self, known: &impl Fn(Limit) -> Option<u32>) -> Option<f64> {
        match self {
            Self::Known(rounds) => Some(rounds),
            Self::Until { start, step, limit, inclusive } => {
                let end = u64::from(known(limit)?) + u64::from(inclusive);
                Some(end.saturating_sub(u64::from(start)).div_ceil(u64::from(step)) as f64)
            }
            Self::Unknown => None,
        }
    }
}

struct Walk<'a> {
    program: &'a Program,
    ops: Vec<Option<Op>>,
    /// What each variable holds, where it is a constant.
    starts: Vec<Option<u32>>,
    uses: Vec<Uses>,
    /// Blocks looked at so far.
    blocks: u32,
}

/// Who reads a value.
#[derive(Clone, Copy, Default)]
struct Uses {
    /// The block that defines it.
    block: u32,
    all: u32,
    /// Those of the same block that may compute it along.
    along: u32,
}

/// Whether the block interpreter may compute `inner`, an operand of `outer` that nobody else reads, along with it.
fn is_taken_along(inner: &Op, outer: &Op) -> bool {
    let sum = |op: &Op| {
        matches!(
            op,
            Op::Binary(Binary::AddF | Binary::SubF | Binary::MulF, ..) | Op::Ternary(Ternary::MulAddF, ..)
        )
    };
    match outer {
        Op::Binary(Binary::LtF | Binary::LeF, ..) => sum(inner),
        Op::Binary(Binary::EqI | Binary::NeI, ..) => matches!(inner, Op::Binary(Binary::AndI, ..)),
        Op::Binary(Binary::AndB, ..) => is_test(inner),
        Op::Ternary(Ternary::Select, ..) => is_test(inner),
        outer => sum(outer) && sum(inner),
    }
}

fn is_test(op: &Op) -> bool {
    use Binary as B;
    matches!(
        op,
        Op::Binary(
            B::LtF | B::LeF | B::EqF | B::NeF | B::LtI | B::LeI | B::LtU | B::LeU | B::EqI | B::NeI,
            ..
        )
    )
}

impl Walk<'_> {
    fn block(&mut self, block: &Block) -> Cost {
        let mut cost = Cost::default();
        for stmt in block {
            match stmt {
                Stmt::Let(value, op) => self.operation(*value, op, &mut cost.once),
                Stmt::Set { var, value, .. } => self.starts[var.index()] = self.constant(*value),
                Stmt::Store { memory, index, .. } => {
                    let stride = self.stride(*memory, *index);
                    if stride.is_some() {
                        cost.once.written += bytes(*memory);
                    }
                    match stride {
                        Some(1) => cost.once.store += 1.0,
                        _ => cost.once.gather += 1.0,
                    }
                }
                Stmt::Effect { effect: Effect::Barrier, .. } => cost.once.uniform += 1.0,
                Stmt::Effect { effect, .. } => match effect.memory() {
                    Some(Memory::Buffer(_)) => cost.once.atomic += 1.0,
                    // Lane by lane: a load, what is to be done, and a store; or a scan over a subgroup.
                    _ => cost.once.gather += 3.0,
                },
                Stmt::If { cond, then, otherwise } => {
                    let before = self.starts.clone();
                    let one = self.block(then);
                    let behind = std::mem::replace(&mut self.starts, before);
                    let two = self.block(otherwise);
                    self.merge(&behind);
                    if self.program.value(*cond).class == Class::Uniform {
                        // One of them runs.
                        let guess = |cost: &Cost| cost.counts(&|_| None).operations();
                        cost.add(if guess(&one) < guess(&two) { two } else { one });
                    } else {
                        // In chunks whose lanes disagree both do. Masks are made and undone, and what is assigned is merged.
                        let leaves = matches!(then.last(), Some(Stmt::Break(_))) && otherwise.is_empty();
                        cost.once.uniform += if leaves { 1.0 } else { 8.0 };
                        cost.once.simple += if leaves { 1.0 } else { 2.0 };
                        let share = if otherwise.is_empty() || then.is_empty() { 1.0 } else { BOTH_WAYS };
                        cost.add(one.times(share));
                        cost.add(two.times(share));
                    }
                }
                Stmt::Loop { label, body, continuing, break_if } => {
                    let before = self.starts.clone();
                    let mut inside = self.block(body);
                    inside.add(self.block(continuing));
                    // Of its own: who goes on is looked at in each round.
                    inside.once.uniform += 1.0;
                    let shape = Shape { walk: self, before: &before, label: *label, body, continuing };
                    let rounds = shape.rounds(*break_if);
                    let early = exits(body, &mut Vec::new()) + usize::from(break_if.is_some()) > 1;
                    self.merge(&before);
                    cost.loops.push(Repeated { rounds, early, cost: inside });
                }
                Stmt::Scope { body, .. } => {
                    let before = self.starts.clone();
                    cost.add(self.block(body));
                    self.merge(&before);
                }
                Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return => {}
            }
        }
        cost
    }

    /// Keeps what holds both ways.
    fn merge(&mut self, other: &[Option<u32>]) {
        for (start, other) in self.starts.iter_mut().zip(other) {
            if start != other {
                *start = None;
            }
        }
    }

    fn constant(&self, value: Value) -> Option<u32> {
        match self.ops[value.index()] {
            Some(Op::Const(bits)) => Some(bits),
            _ => None,
        }
    }

    /// How far apart the words of neighbouring lanes are, where all are as far.
    fn stride(&self, memory: Memory, index: Value) -> Option<u32> {
        match self.program.value(index).class {
            Class::Linear { stride } if !matches!(memory, Memory::Local(_)) => Some(stride),
            _ => None,
        }
    }

    /// Counts who reads what.
    fn look(&mut self, block: &Block) {
        self.blocks += 1;
        let here = self.blocks;
        for stmt in block {
            let mut read = |value: Value| self.uses[value.index()].all += 1;
            match stmt {
                Stmt::Let(value, op) => {
                    self.ops[value.index()] = Some(*op);
                    self.uses[value.index()].block = here;
                    op.operands(|operand| {
                        let uses = &mut self.uses[operand.index()];
                        uses.all += 1;
                        let along = self.ops[operand.index()].is_some_and(|inner| is_taken_along(&inner, op));
                        uses.along += u32::from(along && uses.block == here);
                    });
                }
                Stmt::Set { value, .. } => read(*value),
                Stmt::Store { index, value, .. } => {
                    read(*index);
                    read(*value);
                }
                Stmt::Effect { effect, .. } => effect.operands(read),
                Stmt::If { cond, then, otherwise } => {
                    read(*cond);
                    self.look(then);
                    self.look(otherwise);
                }
                Stmt::Loop { body, continuing, break_if, .. } => {
                    if let Some(cond) = break_if {
                        read(*cond);
                    }
                    self.look(body);
                    self.look(continuing);
                }
                Stmt::Scope { body, .. } => self.look(body),
                Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return => {}
            }
        }
    }

    /// Whether the one operation that reads it computes it along.
    fn is_fused(&self, value: Value) -> bool {
        let uses = self.uses[value.index()];
        uses.all == 1 && uses.along == 1
    }

    fn operation(&self, value: Value, op: &Op, counts: &mut Counts) {
        let decl = self.program.value(value);
        if matches!(op, Op::Const(_) | Op::Builtin(_) | Op::Get(_) | Op::Length { .. }) {
            return;
        }
        // What follows from the lane's number is kept as one number too.
        if decl.class == Class::Uniform || matches!(decl.class, Class::Linear { stride: 1.. }) {
            counts.uniform += 1.0;
            return;
        }
        if self.is_fused(value) {
            counts.fused += 1.0;
        }
        match *op {
            Op::Load { memory, index } => {
                let stride = self.stride(memory, index);
                if stride.is_some() {
                    counts.read += bytes(memory);
                }
                match stride {
                    Some(0 | 1) => counts.load += 1.0,
                    _ => counts.gather += 1.0,
                }
            }
            Op::Unary(op, _) => match op {
                Unary::SqrtF => counts.quotients(1.0),
                Unary::InverseSqrt => counts.quotients(2.0),
                Unary::Exp | Unary::Exp2 | Unary::Log | Unary::Log2 => counts.transcendental += 1.0,
                Unary::Sin | Unary::Cos | Unary::Tan => counts.transcendental += 1.0,
                Unary::Asin | Unary::Acos | Unary::Atan => counts.transcendental += 1.0,
                Unary::Sinh | Unary::Cosh | Unary::Tanh => counts.transcendental += 1.0,
                Unary::Asinh | Unary::Acosh | Unary::Atanh => counts.transcendental += 1.0,
                _ => counts.simple += 1.0,
            },
            Op::Binary(op, ..) => match op {
                Binary::AddF | Binary::SubF | Binary::MulF => {
                    counts.simple += 1.0;
                    counts.flops += 1.0;
                }
                Binary::DivF => counts.quotients(1.0),
                Binary::Pow | Binary::Atan2 | Binary::RemF => counts.transcendental += 2.0,
                Binary::MulI => counts.multiply_int += 1.0,
                Binary::DivI | Binary::DivU | Binary::RemI | Binary::RemU => counts.divide_int += 1.0,
                _ => counts.simple += 1.0,
            },
            Op::Ternary(Ternary::MulAddF, ..) => {
                counts.simple += 2.0;
                counts.fused += 1.0;
                counts.flops += 2.0;
            }
            Op::Ternary(Ternary::Fma, ..) => {
                counts.simple += 1.0;
                counts.flops += 2.0;
            }
            Op::Ternary(Ternary::Select, ..) => counts.simple += 1.0,
            Op::Const(_) | Op::Builtin(_) | Op::Get(_) | Op::Length { .. } => {}
        }
    }
}

/// Bytes that a word of one lane moves to or from main memory, at most.
fn bytes(memory: Memory) -> f64 {
    if matches!(memory, Memory::Buffer(_)) { 4.0 } else { 0.0 }
}

impl Counts {
    fn quotients(&mut self, n: f64) {
        self.divide += n;
        self.flops += n;
    }
}

/// Ways out of a block that is the body of a loop; `inside` are the labels of what is in it.
fn exits(block: &Block, inside: &mut Vec<Label>) -> usize {
    let mut count = 0;
    for stmt in block {
        count += match stmt {
            Stmt::Break(label) => usize::from(!inside.contains(label)),
            Stmt::Return => 1,
            Stmt::If { then, otherwise, .. } => exits(then, inside) + exits(otherwise, inside),
            Stmt::Loop { label, body, .. } | Stmt::Scope { label, body } => {
                inside.push(*label);
                exits(body, inside)
            }
            _ => 0,
        };
    }
    count
}

/// A loop whose statements have been counted, to find its counter.
struct Shape<'a, 'b> {
    walk: &'a Walk<'b>,
    /// What the variables held before it.
    before: &'a [Option<u32>],
    label: Label,
    body: &'a Block,
    continuing: &'a Block,
}

impl Shape<'_, '_> {
    /// The least that any exit of the form "a counter has reached a limit" gives.
    fn rounds(&self, break_if: Option<Value>) -> Rounds {
        let leaves = Some(&Stmt::Break(self.label));
        let last = self.body.len().saturating_sub(1);
        let exits = self.body.iter().enumerate().filter_map(|(at, stmt)| match stmt {
            Stmt::If { cond, then, .. } if then.last() == leaves => Some((*cond, true, at == last)),
            Stmt::If { cond, otherwise, .. } if otherwise.last() == leaves => {
                Some((*cond, false, at == last))
            }
            _ => None,
        });
        let exits = exits.chain(break_if.map(|cond| (cond, true, true)));
        let mut best = Rounds::Unknown;
        for (cond, leaves_if, at_end) in exits {
            match (self.exit(cond, leaves_if, at_end), best) {
                (Rounds::Known(rounds), Rounds::Known(least)) => best = Rounds::Known(rounds.min(least)),
                (rounds @ Rounds::Known(_), _) | (rounds, Rounds::Unknown) => best = rounds,
                _ => {}
            }
        }
        best
    }

    fn op(&self, value: Value) -> Option<Op> {
        self.walk.ops[value.index()]
    }

    /// The rounds until this condition, asked at the start or the end of each, is `leaves_if`.
    fn exit(&self, cond: Value, leaves_if: bool, at_end: bool) -> Rounds {
        let Some(Op::Binary(op, a, b)) = self.op(cond) else { return Rounds::Unknown };
        if let Some(rounds) = self.doubling(op, a, b, leaves_if) {
            return rounds;
        }
        // Brought to "goes on while `a < b`", or `a <= b`.
        let (a, b, inclusive) = match (op, leaves_if) {
            (Binary::LtU | Binary::LtI, false) => (a, b, false),
            (Binary::LeU | Binary::LeI, false) => (a, b, true),
            (Binary::LtU | Binary::LtI, true) => (b, a, true),
            (Binary::LeU | Binary::LeI, true) => (b, a, false),
            (Binary::EqI, true) | (Binary::NeI, false) if self.walk.constant(b).is_some() => (a, b, false),
            _ => return Rounds::Unknown,
        };
        if let (Some((start, step)), Some(limit)) = (self.counter(a, at_end), self.limit(b)) {
            return match limit {
                Ok(limit) => rounds(self.number(a, start), i64::from(step), self.number(b, limit), inclusive),
                Err(limit) if step > 0 => {
                    Rounds::Until { start, step: step.unsigned_abs(), limit, inclusive }
                }
                Err(_) => Rounds::Unknown,
            };
        }
        match (self.limit(a), self.counter(b, at_end)) {
            (Some(Ok(limit)), Some((start, step))) => {
                rounds(-self.number(b, start), -i64::from(step), -self.number(a, limit), inclusive)
            }
            _ => Rounds::Unknown,
        }
    }

    /// The rounds of a counter that is doubled, halved and the like, until it is compared with a constant.
    fn doubling(&self, op: Binary, a: Value, b: Value, leaves_if: bool) -> Option<Rounds> {
        /// Where the start is not known: a counter of 32 bits has no more than 32, and few have that.
        const SOME: f64 = 6.0;
        let (var, last, swapped) = match (self.op(a)?, self.op(b)?) {
            (Op::Get(var), Op::Const(last)) => (var, last, false),
            (Op::Const(last), Op::Get(var)) => (var, last, true),
            _ => return None,
        };
        let Op::Binary(step, before, by) = self.op(self.only_set(var)?)? else { return None };
        let by = self.walk.constant(by).filter(|_| self.op(before) == Some(Op::Get(var)))?;
        let next = |x: u32| match step {
            Binary::ShlI => Some(x << (by & 31)),
            Binary::ShrU => Some(x >> (by & 31)),
            Binary::MulI => Some(x.wrapping_mul(by)),
            Binary::DivU => x.checked_div(by),
            _ => None,
        };
        let goes_on = |x: u32| {
            let (a, b) = if swapped { (last, x) } else { (x, last) };
            let holds = match op {
                Binary::LtU => a < b,
                Binary::LeU => a <= b,
                Binary::EqI => a == b,
                Binary::NeI => a != b,
                _ => return None,
            };
            Some(holds != leaves_if)
        };
        (next(1).and(goes_on(1)))?;
        let Some(mut x) = self.before[var.index()] else { return Some(Rounds::Known(SOME)) };
        let mut rounds = 0.0;
        while rounds < 32.0 && goes_on(x)? {
            x = next(x)?;
            rounds += 1.0;
        }
        Some(Rounds::Known(rounds))
    }

    /// What the loop assigns to the variable, if it does so once and in every round.
    fn only_set(&self, var: Var) -> Option<Value> {
        let mut sets = self.body.iter().chain(self.continuing).filter_map(|stmt| match stmt {
            Stmt::Set { var: set, value, .. } if *set == var => Some(*value),
            _ => None,
        });
        let (Some(next), None) = (sets.next(), sets.next()) else { return None };
        (!self.sets_inside(var)).then_some(next)
    }

    /// Bits as a number of the value's type.
    fn number(&self, value: Value, bits: u32) -> i64 {
        if self.walk.program.value(value).ty == Ty::I32 {
            i64::from(bits.cast_signed())
        } else {
            i64::from(bits)
        }
    }

    /// A constant, or what will be one.
    fn limit(&self, value: Value) -> Option<Result<u32, Limit>> {
        match self.op(value)? {
            Op::Const(bits) => Some(Ok(bits)),
            Op::Length { buffer, offset, stride } => Some(Err(Limit::Length { buffer, offset, stride })),
            Op::Load { memory: Memory::Buffer(buffer), index }
                if !self.walk.program.buffers[buffer.index()].writable
                    && self.walk.program.value(value).ty == Ty::U32 =>
            {
                self.walk.constant(index).map(|word| Err(Limit::Word { buffer, word }))
            }
            _ => None,
        }
    }

    /// Start and step of the variable that the value is the content of, if it is a counter.
    fn counter(&self, value: Value, at_end: bool) -> Option<(u32, i32)> {
        let (var, ahead) = match self.op(value)? {
            Op::Get(var) => (var, 0),
            // At the end it is the step, and the round before it has been.
            Op::Binary(Binary::AddI, before, by) => match self.op(before)? {
                Op::Get(var) => (var, if at_end { 0 } else { self.walk.constant(by)? }),
                _ => return None,
            },
            _ => return None,
        };
        let Some(Op::Binary(Binary::AddI, before, by)) = self.op(self.only_set(var)?) else { return None };
        if self.op(before) != Some(Op::Get(var)) {
            return None;
        }
        let step = self.walk.constant(by)?.cast_signed();
        let start = self.before[var.index()]?.wrapping_add(ahead);
        (step != 0).then_some((start, step))
    }

    /// Whether a block nested in the loop sets the variable.
    fn sets_inside(&self, var: Var) -> bool {
        fn sets(block: &Block, var: Var) -> bool {
            block
                .iter()
                .any(|stmt| matches!(stmt, Stmt::Set { var: set, .. } if *set == var) || nested(stmt, var))
        }
        fn nested(stmt: &Stmt, var: Var) -> bool {
            match stmt {
                Stmt::If { then, otherwise, .. } => sets(then, var) || sets(otherwise, var),
                Stmt::Loop { body, continuing, .. } => sets(body, var) || sets(continuing, var),
                Stmt::Scope { body, .. } => sets(body, var),
                _ => false,
            }
        }
        self.body.iter().chain(self.continuing).any(|stmt| nested(stmt, var))
    }
}

/// Rounds of `step` from `start` while below `limit`; unknown if the steps go the other way.
fn rounds(start: i64, step: i64, limit: i64, inclusive: bool) -> Rounds {
    let distance = limit + i64::from(inclusive) - start;
    if distance <= 0 {
        Rounds::Known(0.0)
    } else if step > 0 {
        Rounds::Known(((distance + step - 1) / step) as f64)
    } else {
        Rounds::Unknown
    }
}
