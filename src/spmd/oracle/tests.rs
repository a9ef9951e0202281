//! The interpreter of the oracle itself: control flow, order, effects.

use super::*;
use crate::spmd::grid::Grid;
use crate::spmd::ir::{
    AtomicOp, Binary, Block, Buffer, BufferDecl, Builtin, Effect, LocalDecl, Memory, Op, Order, Program,
    Role, Shared, Stmt, Ty, Value, Var,
};
use crate::spmd::memory::BufferData;

fn program() -> Program {
    let buffer = BufferDecl { name: "out".into(), binding: (0, 0), writable: true, role: Role::Data };
    Program {
        name: "main".into(),
        workgroup_size: [4, 1, 1],
        buffers: vec![buffer],
        order: Order::Rows,
        shared: vec![],
        tables: vec![],
        locals: vec![],
        vars: vec![],
        values: vec![],
        body: vec![],
        labels: 0,
    }
}

fn set(var: Var, value: Value) -> Stmt {
    Stmt::Set { var, value, masked: true }
}

/// `out[i] = steps of the Collatz sequence from i + 1`, with an early return for i = 5.
fn collatz() -> Program {
    let mut p = program();
    let (n, steps) = (p.new_var("n", Ty::U32), p.new_var("steps", Ty::U32));
    let label = p.new_label();
    let mut let_ = |body: &mut Block, ty, op| {
        let value = p.new_value(ty);
        body.push(Stmt::Let(value, op));
        value
    };
    let mut body = vec![];
    let id = let_(&mut body, Ty::U32, Op::Builtin(Builtin::GlobalId(0)));
    let one = let_(&mut body, Ty::U32, Op::Const(1));
    let two = let_(&mut body, Ty::U32, Op::Const(2));
    let three = let_(&mut body, Ty::U32, Op::Const(3));
    let five = let_(&mut body, Ty::U32, Op::Const(5));
    let is_five = let_(&mut body, Ty::Bool, Op::Binary(Binary::EqI, id, five));
    body.push(Stmt::If { cond: is_five, then: vec![Stmt::Return], otherwise: vec![] });
    let start = let_(&mut body, Ty::U32, Op::Binary(Binary::AddI, id, one));
    body.push(set(n, start));
    let mut inner = vec![];
    let now = let_(&mut inner, Ty::U32, Op::Get(n));
    let done = let_(&mut inner, Ty::Bool, Op::Binary(Binary::LeU, now, one));
    inner.push(Stmt::If { cond: done, then: vec![Stmt::Break(label)], otherwise: vec![] });
    let low = let_(&mut inner, Ty::U32, Op::Binary(Binary::RemU, now, two));
    let odd = let_(&mut inner, Ty::Bool, Op::Binary(Binary::EqI, low, one));
    let mut then = vec![];
    let triple = let_(&mut then, Ty::U32, Op::Binary(Binary::MulI, now, three));
    let next = let_(&mut then, Ty::U32, Op::Binary(Binary::AddI, triple, one));
    then.extend([set(n, next), Stmt::Continue(label)]);
    inner.push(Stmt::If { cond: odd, then, otherwise: vec![] });
    let half = let_(&mut inner, Ty::U32, Op::Binary(Binary::DivU, now, two));
    inner.push(set(n, half));
    let mut continuing = vec![];
    let count = let_(&mut continuing, Ty::U32, Op::Get(steps));
    let count = let_(&mut continuing, Ty::U32, Op::Binary(Binary::AddI, count, one));
    continuing.push(set(steps, count));
    body.push(Stmt::Loop { label, body: inner, continuing, break_if: None });
    let total = let_(&mut body, Ty::U32, Op::Get(steps));
    body.push(Stmt::Store { memory: Memory::Buffer(Buffer(0)), index: id, value: total });
    p.body = body;
    p
}

#[test]
fn loops_continue_break_and_return() {
    let mut out = [99; 8];
    run(&collatz(), &mut [BufferData::Write(&mut out)], 10);
    // 6 returned before its store; 9 and 10 stored outside the buffer.
    assert_eq!(out, [0, 1, 7, 2, 5, 99, 16, 3]);
}

#[test]
fn a_loop_without_end_runs_out_of_steps() {
    let mut p = program();
    let label = p.new_label();
    p.body = vec![Stmt::Loop { label, body: vec![], continuing: vec![], break_if: None }];
    let mut out = [0; 1];
    let result = run_limited(&p, &mut [BufferData::Write(&mut out)], 3, Fusion::Fused, 1000);
    assert_eq!(result, Err(OutOfSteps { invocation: [0; 3] }));
}

#[test]
fn builtins_fold_the_row_into_workgroups() {
    for (builtin, expected) in [
        (Builtin::GlobalId(0), [0, 1, 2, 3, 4, 5]),
        (Builtin::LocalId(0), [0, 1, 2, 3, 0, 1]),
        (Builtin::LocalIndex, [0, 1, 2, 3, 0, 1]),
        (Builtin::WorkgroupId(0), [0, 0, 0, 0, 1, 1]),
        (Builtin::NumWorkgroups(0), [2; 6]),
        (Builtin::GlobalId(1), [0; 6]),
        (Builtin::NumWorkgroups(2), [1; 6]),
    ] {
        let mut p = program();
        let (id, value) = (p.new_value(Ty::U32), p.new_value(Ty::U32));
        p.body = vec![
            Stmt::Let(id, Op::Builtin(Builtin::GlobalId(0))),
            Stmt::Let(value, Op::Builtin(builtin)),
            Stmt::Store { memory: Memory::Buffer(Buffer(0)), index: id, value },
        ];
        let mut out = [99; 6];
        run(&p, &mut [BufferData::Write(&mut out)], 6);
        assert_eq!(out, expected, "{builtin:?}");
    }
}

/// A program of whole workgroups under construction.
struct Build {
    program: Program,
    blocks: Vec<Block>,
}

impl Build {
    fn new(size: [u32; 3], words: u32) -> Self {
        let program = Program {
            workgroup_size: size,
            order: Order::Workgroups,
            shared: vec![LocalDecl { name: "tile".into(), words }],
            tables: vec![],
            ..program()
        };
        Self { program, blocks: vec![vec![]] }
    }

    fn push(&mut self, stmt: Stmt) {
        self.blocks.last_mut().unwrap().push(stmt);
    }

    fn op(&mut self, op: Op) -> Value {
        let ty = op.result_type(&self.program).unwrap_or(Ty::U32);
        let value = self.program.new_value(ty);
        self.push(Stmt::Let(value, op));
        value
    }

    fn constant(&mut self, bits: u32) -> Value {
        self.op(Op::Const(bits))
    }

    fn effect(&mut self, effect: Effect) -> Value {
        let result = self.program.new_value(Ty::U32);
        self.push(Stmt::Effect { result: Some(result), effect });
        result
    }

    fn barrier(&mut self) {
        self.push(Stmt::Effect { result: None, effect: Effect::Barrier });
    }

    fn store(&mut self, memory: Memory, index: Value, value: Value) {
        self.push(Stmt::Store { memory, index, value });
    }

    fn block(&mut self, fill: impl FnOnce(&mut Self)) -> Block {
        self.blocks.push(vec![]);
        fill(self);
        self.blocks.pop().unwrap()
    }

    fn when(&mut self, cond: Value, then: impl FnOnce(&mut Self), otherwise: impl FnOnce(&mut Self)) {
        let (then, otherwise) = (self.block(then), self.block(otherwise));
        self.push(Stmt::If { cond, then, otherwise });
    }

    /// Rounds until `cond` of the number of the round.
    fn rounds(&mut self, fill: impl FnOnce(&mut Self, Value) -> Value) {
        let (label, round) = (self.program.new_label(), self.program.new_var("round", Ty::U32));
        let mut cond = None;
        let body = self.block(|b| {
            let now = b.op(Op::Get(round));
            cond = Some(fill(b, now));
            let one = b.constant(1);
            let next = b.op(Op::Binary(Binary::AddI, now, one));
            b.push(set(round, next));
        });
        self.push(Stmt::Loop { label, body, continuing: vec![], break_if: cond });
    }

    fn run(mut self, workgroups: [u32; 3], out: usize) -> Result<Vec<u32>, OutOfSteps> {
        self.program.body = self.blocks.pop().unwrap();
        self.program.verify().unwrap_or_else(|rule| panic!("{rule}\n{}", self.program));
        let grid = Grid::whole(workgroups, self.program.workgroup_size).unwrap();
        let mut out = vec![99; out];
        run_grid(&self.program, &mut [BufferData::Write(&mut out)], &grid, Fusion::Fused, 1000)?;
        Ok(out)
    }
}

const OUT: Memory = Memory::Buffer(Buffer(0));
const TILE: Memory = Memory::Shared(Shared(0));

#[test]
fn a_barrier_in_a_loop_shows_what_the_neighbour_wrote() {
    // tile[li] = li; three times: tile[li] += tile[(li + 1) % 4] as it was before.
    let mut b = Build::new([4, 1, 1], 4);
    let li = b.op(Op::Builtin(Builtin::LocalIndex));
    let (one, four) = (b.constant(1), b.constant(4));
    let next = b.op(Op::Binary(Binary::AddI, li, one));
    let next = b.op(Op::Binary(Binary::RemU, next, four));
    b.store(TILE, li, li);
    b.rounds(|b, round| {
        b.barrier();
        let (mine, other) =
            (b.op(Op::Load { memory: TILE, index: li }), b.op(Op::Load { memory: TILE, index: next }));
        b.barrier();
        let sum = b.op(Op::Binary(Binary::AddI, mine, other));
        b.store(TILE, li, sum);
        let two = b.constant(2);
        b.op(Op::Binary(Binary::EqI, round, two))
    });
    let sum = b.op(Op::Load { memory: TILE, index: li });
    let id = b.op(Op::Builtin(Builtin::GlobalId(0)));
    b.store(OUT, id, sum);
    // 0 1 2 3 → 1 3 5 3 → 4 8 8 4 → 12 16 12 8, in either workgroup.
    assert_eq!(b.run([2, 1, 1], 8), Ok(vec![12, 16, 12, 8, 12, 16, 12, 8]));
}

#[test]
fn workgroup_memory_is_zero_in_each_workgroup_and_workgroups_go_in_order() {
    // out[count of invocations so far] = tile[0] += 1 (as an atomic).
    let mut b = Build::new([2, 1, 1], 1);
    let (zero, one) = (b.constant(0), b.constant(1));
    let old = b.effect(Effect::Atomic { op: AtomicOp::Add, memory: TILE, index: zero, value: one });
    let slot = b.effect(Effect::Atomic { op: AtomicOp::Add, memory: OUT, index: zero, value: one });
    let [x, y, z] = [0, 1, 2].map(|axis| b.op(Op::Builtin(Builtin::WorkgroupId(axis))));
    let (ten, hundred) = (b.constant(10), b.constant(100));
    let (y, z) = (b.op(Op::Binary(Binary::MulI, y, ten)), b.op(Op::Binary(Binary::MulI, z, hundred)));
    let at = b.op(Op::Binary(Binary::AddI, x, y));
    let at = b.op(Op::Binary(Binary::AddI, at, z));
    let thousand = b.constant(1000);
    let old = b.op(Op::Binary(Binary::MulI, old, thousand));
    let what = b.op(Op::Binary(Binary::AddI, at, old));
    // The counter starts at 99, and the words behind it are counted from there.
    let start = b.constant(98);
    let slot = b.op(Op::Binary(Binary::SubI, slot, start));
    b.store(OUT, slot, what);
    let expected = vec![107, 0, 1000, 1, 1001, 100, 1100, 101, 1101];
    assert_eq!(b.run([2, 1, 2], 9), Ok(expected));
}

#[test]
fn ids_in_three_dimensions() {
    let size = [2, 3, 2];
    for (builtin, of) in [
        (Builtin::LocalIndex, (|l, _| (l[2] * 3 + l[1]) * 2 + l[0]) as fn([u32; 3], [u32; 3]) -> u32),
        (Builtin::LocalId(1), |l, _| l[1]),
        (Builtin::WorkgroupId(2), |_, w| w[2]),
        (Builtin::GlobalId(1), |l, w| w[1] * 3 + l[1]),
        (Builtin::NumWorkgroups(0), |_, _| 3),
        (Builtin::SubgroupInvocationId, |l, _| (l[2] * 3 + l[1]) * 2 + l[0]),
        (Builtin::SubgroupId, |_, _| 0),
    ] {
        let mut b = Build::new(size, 1);
        let (zero, one) = (b.constant(0), b.constant(1));
        let value = b.op(Op::Builtin(builtin));
        // The words are written in the order of execution, behind a counter that starts at 99.
        let slot = b.effect(Effect::Atomic { op: AtomicOp::Add, memory: OUT, index: zero, value: one });
        let start = b.constant(98);
        let slot = b.op(Op::Binary(Binary::SubI, slot, start));
        b.store(OUT, slot, value);
        let mut expected = vec![99 + 144];
        for w in 0..12 {
            let workgroup = [w % 3, w / 3 % 2, w / 6];
            expected.extend((0..12).map(|l| of([l % 2, l / 2 % 3, l / 6], workgroup)));
        }
        assert_eq!(b.run([3, 2, 2], 145), Ok(expected), "{builtin:?}");
    }
}

#[test]
fn subgroups_are_32_neighbours_and_only_the_active_ones_take_part() {
    // out[i] = sum over the subgroup of 1, among the odd ones for odd, all of them and the last one's three, behind it.
    let mut b = Build::new([35, 1, 1], 1);
    let (li, one) = (b.op(Op::Builtin(Builtin::LocalIndex)), b.constant(1));
    let bit = b.op(Op::Binary(Binary::AndI, li, one));
    let odd = b.op(Op::Binary(Binary::EqI, bit, one));
    b.when(
        odd,
        |b| {
            let count = b.effect(Effect::Reduce { op: Binary::AddI, value: one });
            b.store(OUT, li, count);
        },
        |b| {
            let who = b.effect(Effect::First { value: li });
            b.store(OUT, li, who);
        },
    );
    let before = b.effect(Effect::ExclusiveScan { op: Binary::AddI, value: one });
    let thirty_five = b.constant(35);
    let at = b.op(Op::Binary(Binary::AddI, li, thirty_five));
    b.store(OUT, at, before);
    let out = b.run([1, 1, 1], 70).unwrap();
    for li in 0..35 {
        let odds = if li < 32 { 16 } else { 1 };
        assert_eq!(out[li], if li % 2 == 1 { odds } else { li as u32 / 32 * 32 }, "{li}");
        assert_eq!(out[35 + li], li as u32 % 32, "{li}");
    }
}

#[test]
fn invocations_that_left_a_loop_early_wait_behind_it() {
    // for round in 0.. { out[round] = ballot(true) by the lowest; if round == li { break } }; out[4] = ballot(true)
    let mut b = Build::new([4, 1, 1], 1);
    let li = b.op(Op::Builtin(Builtin::LocalIndex));
    let zero = b.constant(0);
    let yes = b.op(Op::Binary(Binary::EqI, zero, zero));
    b.rounds(|b, round| {
        let here = b.effect(Effect::Ballot { value: yes });
        b.store(OUT, round, here);
        b.op(Op::Binary(Binary::EqI, round, li))
    });
    let after = b.effect(Effect::Ballot { value: yes });
    let four = b.constant(4);
    b.store(OUT, four, after);
    assert_eq!(b.run([1, 1, 1], 5), Ok(vec![0b1111, 0b1110, 0b1100, 0b1000, 0b1111]));
}

#[test]
fn a_barrier_that_some_never_reach_lets_the_others_go() {
    let mut b = Build::new([4, 1, 1], 1);
    let (li, two, zero) = (b.op(Op::Builtin(Builtin::LocalIndex)), b.constant(2), b.constant(0));
    let low = b.op(Op::Binary(Binary::LtU, li, two));
    // 0 and 1 meet here while 2 and 3 wait at the next one, which all of them reach; then 3 ends.
    b.when(low, Build::barrier, |_| {});
    b.barrier();
    let three = b.constant(3);
    let last = b.op(Op::Binary(Binary::EqI, li, three));
    b.when(last, |b| b.push(Stmt::Return), |_| {});
    b.barrier();
    b.store(OUT, li, zero);
    assert_eq!(b.run([1, 1, 1], 4), Ok(vec![0, 0, 0, 99]));
}

#[test]
fn one_that_waits_for_an_earlier_workgroup_goes_on_and_one_that_waits_for_a_later_one_is_stopped() {
    for (wait_for, ends) in [(0, true), (1, false)] {
        let mut b = Build::new([1, 1, 1], 1);
        let id = b.op(Op::Builtin(Builtin::WorkgroupId(0)));
        let (zero, flag) = (b.constant(0), b.constant(wait_for));
        b.store(OUT, id, zero);
        b.rounds(|b, _| {
            let seen = b.effect(Effect::AtomicLoad { memory: OUT, index: flag });
            b.op(Op::Binary(Binary::EqI, seen, zero))
        });
        let result = b.run([2, 1, 1], 2);
        assert_eq!(result, if ends { Ok(vec![0, 0]) } else { Err(OutOfSteps { invocation: [0; 3] }) });
    }
}

#[test]
fn a_row_has_no_more_invocations_than_its_grid() {
    for order in [Order::Rows, Order::Workgroups] {
        let mut b = Build::new([4, 2, 1], 1);
        if order == Order::Rows {
            b.program.order = order;
            b.program.shared.clear();
        }
        let [x, y] = [0, 1].map(|axis| b.op(Op::Builtin(Builtin::GlobalId(axis))));
        let ten = b.constant(10);
        let row = b.op(Op::Binary(Binary::MulI, y, ten));
        let at = b.op(Op::Binary(Binary::AddI, row, x));
        let li = b.op(Op::Builtin(Builtin::LocalIndex));
        b.store(OUT, at, li);
        b.program.body = b.blocks.pop().unwrap();
        let grid = Grid { workgroups: [2, 2, 1], invocations: [5, 3, 1] };
        let mut out = vec![99; 30];
        run_grid(&b.program, &mut [BufferData::Write(&mut out)], &grid, Fusion::Fused, 100).unwrap();
        let rows = [[0, 1, 2, 3, 0], [4, 5, 6, 7, 4], [0, 1, 2, 3, 0]];
        for (got, expected) in out.chunks(10).zip(rows) {
            assert_eq!(got, [&expected[..], &[99; 5]].concat(), "{order:?}");
        }
    }
}

#[test]
fn atomics_outside_their_memory_do_nothing_and_give_0() {
    for effect in [
        |index, value| Effect::Atomic { op: AtomicOp::Max, memory: TILE, index, value },
        |index, _| Effect::AtomicLoad { memory: TILE, index },
        |index, value| Effect::CompareExchange { memory: TILE, index, expected: value, value },
    ] {
        let mut b = Build::new([1, 1, 1], 3);
        let (outside, one) = (b.constant(3), b.constant(1));
        let old = b.effect(effect(outside, one));
        let zero = b.constant(0);
        b.store(OUT, zero, old);
        assert_eq!(b.run([1, 1, 1], 1), Ok(vec![0]));
    }
}

#[test]
fn atomics_by_hand() {
    use super::effect::atomic;
    use AtomicOp::{Add, And, Exchange, Max, Min, Or, Sub, Xor};
    for (op, ty, old, value, expected) in [
        (Add, Ty::U32, u32::MAX, 2, 1),
        (Sub, Ty::I32, 0, 1, u32::MAX),
        (And, Ty::U32, 12, 10, 8),
        (Or, Ty::U32, 12, 10, 14),
        (Xor, Ty::U32, 12, 10, 6),
        (Min, Ty::U32, u32::MAX, 1, 1),
        (Min, Ty::I32, u32::MAX, 1, u32::MAX),
        (Max, Ty::U32, u32::MAX, 1, u32::MAX),
        (Max, Ty::I32, u32::MAX, 1, 1),
        (Exchange, Ty::I32, 7, 9, 9),
    ] {
        assert_eq!(atomic(op, ty, old, value), expected, "{op:?} {ty:?}");
    }
}
