//! Operations of the subgroup, and its built-in values.
//! naga has them without `enable subgroups;`, which it does not know.

use super::lowered;
use crate::spmd::ir::{Binary, Effect, Op, Order, Program, Stmt, Ty};

fn shader(body: &str) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var<storage, read_write> f: array<vec3<f32>>;
        @compute @workgroup_size(80) fn main(
            @builtin(local_invocation_index) i: u32, @builtin(subgroup_size) size: u32,
            @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_id) group: u32,
            @builtin(num_subgroups) groups: u32,
        ) {{ {body} }}"
    )
}

fn program(body: &str) -> Program {
    let program = lowered(&shader(body)).unwrap_or_else(|error| panic!("{body}: {error:?}"));
    assert_eq!(program.order, Order::Workgroups);
    program
}

/// Effects with their result's type; operands as `_`.
fn effects(body: &str) -> Vec<String> {
    let program = program(body);
    let effect = |stmt: &Stmt| match *stmt {
        Stmt::Effect { result: Some(result), effect } => {
            let text = match effect {
                Effect::Reduce { op, .. } => format!("{op:?}"),
                Effect::InclusiveScan { op, .. } => format!("{op:?} to"),
                Effect::ExclusiveScan { op, .. } => format!("{op:?} before"),
                Effect::Ballot { .. } => "ballot".into(),
                Effect::First { .. } => "first".into(),
                Effect::Shuffle { .. } => "shuffle".into(),
                other => panic!("{other}"),
            };
            Some(format!("{} {text}", program.value(result).ty))
        }
        _ => None,
    };
    program.body.iter().filter_map(effect).collect()
}

#[test]
fn every_reduction_and_scan() {
    for (text, expected) in [
        ("out[i] = subgroupAdd(i);", "u32 AddI"),
        ("out[i] = u32(subgroupMul(i32(i)));", "i32 MulI"),
        ("out[i] = u32(subgroupAdd(f32(i)));", "f32 AddF"),
        ("out[i] = u32(subgroupMul(f32(i)));", "f32 MulF"),
        ("out[i] = subgroupMin(i);", "u32 MinU"),
        ("out[i] = u32(subgroupMin(i32(i)));", "i32 MinI"),
        ("out[i] = u32(subgroupMax(f32(i)));", "f32 MaxF"),
        ("out[i] = u32(subgroupMax(i32(i)));", "i32 MaxI"),
        ("out[i] = subgroupAnd(i);", "u32 AndI"),
        ("out[i] = subgroupOr(i);", "u32 OrI"),
        ("out[i] = subgroupXor(i);", "u32 XorI"),
        ("out[i] = u32(subgroupAll(i > 3u));", "bool AndB"),
        ("out[i] = u32(subgroupAny(i > 3u));", "bool OrB"),
        ("out[i] = subgroupInclusiveAdd(i);", "u32 AddI to"),
        ("out[i] = u32(subgroupInclusiveMul(f32(i)));", "f32 MulF to"),
        ("out[i] = subgroupExclusiveAdd(i);", "u32 AddI before"),
        ("out[i] = subgroupExclusiveMul(i);", "u32 MulI before"),
        ("out[i] = subgroupBroadcastFirst(i);", "u32 first"),
        ("out[i] = subgroupBroadcast(i, 3u);", "u32 shuffle"),
        ("out[i] = quadSwapX(i);", "u32 shuffle"),
    ] {
        assert_eq!(effects(text), [expected], "{text}");
    }
    assert_eq!(effects("f[i] = subgroupAdd(f[i]);"), ["f32 AddF"; 3]);
    assert_eq!(effects("f[i] = subgroupShuffle(f[i], 31u - lane);"), ["f32 shuffle"; 3]);
}

#[test]
fn a_ballot_has_one_word() {
    let program = program(
        "let b = subgroupBallot(i > 3u); out[0] = b.x; out[1] = b.y + b.w; out[2] = subgroupBallot().x;",
    );
    let ballots =
        program.body.iter().filter(|s| matches!(s, Stmt::Effect { effect: Effect::Ballot { .. }, .. }));
    assert_eq!(ballots.count(), 2, "{program}");
}

/// The operation that gives a shuffle its index.
fn index_of(body: &str) -> (Op, Program) {
    let program = program(body);
    let index = program.body.iter().find_map(|stmt| match *stmt {
        Stmt::Effect { effect: Effect::Shuffle { index, .. }, .. } => Some(index),
        _ => None,
    });
    let index = index.expect("a shuffle");
    let op = program.body.iter().find_map(|stmt| match *stmt {
        Stmt::Let(value, op) if value == index => Some(op),
        _ => None,
    });
    (op.expect("defined"), program)
}

#[test]
fn shuffles_by_a_distance() {
    for (text, op) in [
        ("out[i] = subgroupShuffleDown(i, 2u);", Binary::AddI),
        ("out[i] = subgroupShuffleUp(i, 2u);", Binary::SubI),
        ("out[i] = subgroupShuffleXor(i, 2u);", Binary::XorI),
        ("out[i] = quadSwapX(i);", Binary::XorI),
        ("out[i] = quadSwapY(i);", Binary::XorI),
        ("out[i] = quadSwapDiagonal(i);", Binary::XorI),
        ("out[i] = quadBroadcast(i, 2u);", Binary::OrI),
    ] {
        let (found, program) = index_of(text);
        assert!(matches!(found, Op::Binary(got, ..) if got == op), "{text}\n{program}");
    }
    assert_eq!(index_of("out[i] = subgroupShuffle(i, 31u);").0, Op::Const(31));
}

#[test]
fn builtins_of_the_subgroup() {
    let text = program("out[i] = size * 1000u + groups; out[lane] = group;").to_string();
    assert!(text.contains("= 32\n") && text.contains("= 3\n"), "{text}");
    assert!(text.contains("subgroup_invocation_id") && text.contains("subgroup_id\n"), "{text}");
}

#[test]
fn a_barrier_of_the_subgroup_is_one_of_its_operations() {
    let program = program("subgroupBarrier();");
    let first = program.body.iter().find(|stmt| matches!(stmt, Stmt::Effect { .. }));
    assert!(
        matches!(first, Some(Stmt::Effect { result: None, effect: Effect::Ballot { value } })
        if program.value(*value).ty == Ty::Bool),
        "{program}"
    );
}
