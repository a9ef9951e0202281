//! Workgroup memory, barriers and atomics: the effects that come out, their order, and how invocations then run.

use super::{lower_alone, lowered, module};
use crate::spmd::ir::{AtomicOp, Block, Effect, Memory, Op, Order, Program, Stmt};
use crate::spmd::passes;

const HEAD: &str = "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
    @group(0) @binding(1) var<storage, read_write> count: array<atomic<u32>, 4>;
    @group(0) @binding(2) var<storage, read_write> level: atomic<i32>;
    var<workgroup> tile: array<u32, 64>;
    var<workgroup> total: atomic<u32>;
    var<workgroup> best: atomic<i32>;";

/// A shader of 64 invocations; `i` is the one within its workgroup.
fn shader(declarations: &str, body: &str) -> String {
    format!(
        "{HEAD} {declarations}
        @compute @workgroup_size(64) fn main(
            @builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) i: u32,
        ) {{ {body} }}"
    )
}

/// What touches writable memory that is shared or involves others, in the order of the text.
fn events(program: &Program) -> Vec<String> {
    fn walk(program: &Program, block: &Block, events: &mut Vec<String>) {
        let shared = |memory: Memory| memory.is_writable(program) && !matches!(memory, Memory::Local(_));
        let name = |memory: Memory| match memory {
            Memory::Buffer(buffer) => &program.buffers[buffer.index()].name,
            Memory::Shared(shared) => &program.shared[shared.index()].name,
            Memory::Local(local) => &program.locals[local.index()].name,
            Memory::Table(_) => "table",
        };
        for stmt in block {
            match stmt {
                Stmt::Let(_, Op::Load { memory, .. }) if shared(*memory) => {
                    events.push(format!("load {}", name(*memory)))
                }
                Stmt::Store { memory, .. } if shared(*memory) => {
                    events.push(format!("store {}", name(*memory)))
                }
                Stmt::Effect { effect, .. } => events.push(match *effect {
                    Effect::Barrier => "barrier".into(),
                    Effect::AtomicLoad { memory, .. } => format!("Load {}", name(memory)),
                    Effect::AtomicStore { memory, .. } => format!("Store {}", name(memory)),
                    Effect::Atomic { op, memory, .. } => format!("{op:?} {}", name(memory)),
                    Effect::CompareExchange { memory, .. } => format!("CompareExchange {}", name(memory)),
                    Effect::Ballot { .. } => "ballot".into(),
                    other => format!("{other:?}"),
                }),
                Stmt::If { then, otherwise, .. } => {
                    walk(program, then, events);
                    walk(program, otherwise, events);
                }
                Stmt::Loop { body, continuing, .. } => {
                    walk(program, body, events);
                    walk(program, continuing, events);
                }
                Stmt::Scope { body, .. } => walk(program, body, events),
                _ => {}
            }
        }
    }
    let mut events_of = Vec::new();
    walk(program, &program.body, &mut events_of);
    events_of
}

/// The events as they are lowered, and the same after the passes.
fn kept(source: &str) -> (Program, Vec<String>) {
    let program = lowered(source).unwrap_or_else(|error| panic!("{error:?}\n{source}"));
    let before = events(&program);
    let mut fast = program.clone();
    passes::optimise(&mut fast);
    assert_eq!(events(&fast), before, "{program}\n{fast}");
    (program, before)
}

fn check(declarations: &str, body: &str, order: Order, expected: &[&str]) {
    let (program, events) = kept(&shader(declarations, body));
    assert_eq!(
        (program.order, events),
        (order, expected.iter().map(|s| (*s).to_owned()).collect()),
        "{program}"
    );
}

#[test]
fn memory_of_the_workgroup_is_packed() {
    let source = shader(
        "struct Body { at: vec3<f32>, mass: f32, on: bool, turn: mat3x3<f32> }
         var<workgroup> bodies: array<Body, 5>; var<workgroup> unused: array<u32, 99>;",
        "bodies[i % 5u].at = vec3<f32>(1.0); bodies[i % 5u].turn[1][2] = 2.0; bodies[2].on = true;
         workgroupBarrier();
         out[id.x] = u32(bodies[(i + 1u) % 5u].at.y + bodies[1].mass) + u32(bodies[i % 5u].on);",
    );
    let (program, _) = kept(&source);
    assert_eq!(program.order, Order::Workgroups);
    // 3 + 1 + 1 + 9 words each, without the padding that a buffer would have.
    let shared: Vec<_> = program.shared.iter().map(|s| (s.name.as_str(), s.words)).collect();
    assert_eq!(shared, [("bodies", 70)]);
}

#[test]
fn every_barrier() {
    for (text, expected) in [
        ("workgroupBarrier();", vec!["barrier"]),
        ("storageBarrier();", vec!["barrier"]),
        ("textureBarrier();", vec!["barrier"]),
        ("subgroupBarrier();", vec!["ballot"]),
        ("out[i] = workgroupUniformLoad(&tile[3]);", vec!["barrier", "load tile", "barrier", "store out"]),
        ("out[i] = workgroupUniformLoad(&total);", vec!["barrier", "Load total", "barrier", "store out"]),
    ] {
        check("", text, Order::Workgroups, &expected);
    }
    let calls = "fn wait() { workgroupBarrier(); }
        fn step(i: u32) -> u32 { wait(); let t = tile[i]; wait(); if t == 3u { return 1u; } return t + 2u; }";
    let expected = ["store tile", "barrier", "load tile", "barrier", "store out"];
    check(calls, "tile[i] = i; out[id.x] = step(63u - i);", Order::Workgroups, &expected);
}

#[test]
fn every_atomic() {
    check(
        "",
        "out[0] = atomicAdd(&count[1], 1u); out[1] = atomicSub(&count[i], 2u); out[2] = atomicAnd(&count[0], i);
         out[3] = atomicOr(&count[0], i); out[4] = atomicXor(&count[0], i); out[5] = atomicMin(&count[0], i);
         out[6] = u32(atomicMax(&level, -3)); out[7] = atomicExchange(&count[2], 7u);
         atomicStore(&level, 4); out[8] = u32(atomicLoad(&level)); atomicAdd(&count[i], 1u);",
        Order::Rows,
        &[
            "Add count", "store out", "Sub count", "store out", "And count", "store out", "Or count", "store out", "Xor count",
            "store out", "Min count", "store out", "Max level", "store out", "Exchange count", "store out", "Store level", "Load level",
            "store out", "Add count",
        ],
    );
    check(
        "",
        "let r = atomicCompareExchangeWeak(&total, i, i + 1u); if r.exchanged { out[id.x] = r.old_value; }
         atomicMax(&best, i32(i)); workgroupBarrier(); out[0] = u32(atomicLoad(&best));",
        Order::Workgroups,
        &["CompareExchange total", "store out", "Max best", "barrier", "Load best", "store out"],
    );
}

#[test]
fn the_type_of_an_atomic_is_that_of_its_value() {
    let program =
        lowered(&shader("", "out[0] = u32(atomicMin(&level, -1)) + atomicMin(&count[0], 1u);")).unwrap();
    let types: Vec<String> = program
        .body
        .iter()
        .filter_map(|stmt| match stmt {
            Stmt::Effect { result: Some(value), effect: Effect::Atomic { op: AtomicOp::Min, .. } } => {
                Some(program.value(*value).ty.to_string())
            }
            _ => None,
        })
        .collect();
    assert_eq!(types, ["i32", "u32"]);
}

#[test]
fn an_atomic_whose_result_nobody_reads_is_kept() {
    check("", "let old = atomicAdd(&count[i & 3u], i);", Order::Rows, &["Add count"]);
    check("", "_ = atomicLoad(&level);", Order::Rows, &["Load level"]);
}

#[test]
fn an_atomic_in_a_loop_needs_the_order_of_workgroups() {
    let add = "fn add(k: u32) { atomicAdd(&count[k & 3u], 1u); } fn twice(k: u32) { add(k); add(k + 1u); }";
    check(add, "twice(i);", Order::Rows, &["Add count", "Add count"]);
    check(add, "for (var k = 0u; k < i; k++) { twice(k); }", Order::Workgroups, &["Add count", "Add count"]);
    check(
        add,
        "for (var k = 0u; k < i; k++) { out[k] = 1u; } add(i);",
        Order::Rows,
        &["store out", "Add count"],
    );
    check("", "loop { if atomicLoad(&level) > 3 { break; } }", Order::Workgroups, &["Load level"]);
    check("", "loop { continuing { break if atomicLoad(&level) > 3; } }", Order::Workgroups, &["Load level"]);
}

#[test]
fn nothing_crosses_an_effect() {
    // Equal loads on both sides of a barrier or an atomic are two loads.
    check(
        "",
        "let a = tile[5]; workgroupBarrier(); let b = tile[5]; out[id.x] = a + b;",
        Order::Workgroups,
        &["load tile", "barrier", "load tile", "store out"],
    );
    // A load at a uniform index stays in its loop, and behind the barrier.
    check(
        "",
        "for (var k = 0u; k < 8u; k++) {
            let head = tile[0]; workgroupBarrier();
            if i == k { tile[0] = head + 1u; }
            workgroupBarrier();
         } out[id.x] = tile[0];",
        Order::Workgroups,
        &["load tile", "barrier", "store tile", "barrier", "load tile", "store out"],
    );
    // A small arm that loads what others write is no selection.
    let source = shader(
        "",
        "var x = 0u; workgroupBarrier(); if i > 3u { x = tile[0]; } workgroupBarrier(); out[id.x] = x;",
    );
    let mut program = lowered(&source).unwrap();
    passes::optimise(&mut program);
    let in_arm = |stmt: &Stmt| matches!(stmt, Stmt::If { then, .. } if !then.is_empty());
    assert!(program.body.iter().any(in_arm), "{program}");
    // Early exits around a barrier that all take or none.
    check(
        "@group(0) @binding(3) var<uniform> stop: u32;
         fn f(i: u32) -> u32 { if stop == 1u { return 0u; } tile[i] = 1u; workgroupBarrier(); return tile[63u - i]; }",
        "out[id.x] = f(i) + f(i);",
        Order::Workgroups,
        &["store tile", "barrier", "load tile", "store tile", "barrier", "load tile", "store out"],
    );
}

#[test]
fn a_continuing_block_reads_results_of_effects() {
    let body = "loop { if i == 3u { continue; } let old = atomicAdd(&total, 1u); if old > 5u { break; }
        continuing { out[id.x] = i; } }";
    check("", body, Order::Workgroups, &["Add total", "store out"]);
}

#[test]
fn too_much_memory_of_the_workgroup() {
    let text =
        |n: u32| shader(&format!("var<workgroup> big: array<vec4<f32>, {n}>;"), "out[i] = u32(big[i].x);");
    assert!(lowered(&text(4096)).is_ok());
    let error = lowered(&text(4097)).unwrap_err();
    assert_eq!(error.construct, "more than 65536 bytes of workgroup memory");
}

#[test]
fn who_is_to_be_alone_has_no_effects() {
    for (body, construct) in [
        ("tile[i] = 1u;", "workgroup memory"),
        ("workgroupBarrier();", "a barrier"),
        ("atomicAdd(&count[0], 1u);", "an atomic operation"),
        ("out[i] = u32(atomicLoad(&level));", "an atomic operation"),
    ] {
        let (module, info) = module(&shader("", body));
        assert_eq!(lower_alone(&module, &info, "main").unwrap_err().construct, construct);
    }
}
