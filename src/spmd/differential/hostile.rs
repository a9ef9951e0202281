//! Shaders that mean no good: every index is out of bounds, every limit is passed. Nothing outside the buffers changes, executors
//! agree, and what is refused is refused with words.

use super::lowered;
use crate::cpu::CpuLevel;
use crate::spmd::block::Code;
use crate::spmd::grid::Grid;
use crate::spmd::ir::Program;
use crate::spmd::memory::BufferData;
use crate::spmd::oracle::{Fusion, run_grid};
use crate::spmd::passes;
use crate::spmd::testing::on_threads;

/// Indices on both sides of every length and of every number of bits, in elements and in bytes.
const INDICES: [u32; 32] = [
    0,
    1,
    3,
    4,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    39,
    40,
    41,
    1 << 16,
    (1 << 28) - 1,
    1 << 28,
    (1 << 29) + 1,
    (1 << 30) - 1,
    1 << 30,
    (1 << 30) + 1,
    (1 << 30) + 4,
    0x5555_5555,
    0x5555_5556,
    (1 << 31) - 1,
    1 << 31,
    (1 << 31) + 1,
    0xaaaa_aaab,
    u32::MAX - 4,
    u32::MAX - 1,
    u32::MAX,
    0xffff_fff0,
];
/// Words around each buffer.
const FENCE: usize = 64;
const CANARY: u32 = 0xdead_beef;

/// Every address space, read and written at `i` (a u32) and `s` (an i32); `BODY` goes around it.
fn text(order: &str, body: &str) -> String {
    format!(
        "struct T {{ a: u32, v: vec3<u32>, m: mat3x2<f32>, r: array<i32, 4> }}
        struct Tail {{ n: u32, rest: array<vec3<u32>> }}
        struct Uni {{ a: array<vec4<u32>, 3>, m: mat3x3<f32> }}
        @group(0) @binding(0) var<storage, read> indices: array<u32>;
        @group(0) @binding(1) var<uniform> uni: Uni;
        @group(0) @binding(2) var<storage, read> fixed: array<T, 3>;
        @group(0) @binding(3) var<storage, read_write> tail: Tail;
        @group(0) @binding(4) var<storage, read_write> state: array<T>;
        @group(0) @binding(5) var<storage, read_write> out: array<u32>;
        {order}
        var<private> mine: array<T, 2>;
        const TABLE = array<u32, 5>(9u, 8u, 7u, 6u, 5u);
        fn through(p: ptr<function, array<u32, 7>>, i: u32) -> u32 {{ (*p)[i] += 1u; return (*p)[i]; }}
        @compute @workgroup_size(8, 4) fn main(@builtin(local_invocation_index) lane: u32) {{
            let i = indices[lane];
            let s = bitcast<i32>(i);
            var sum = 1u;
            {body}
            out[lane] = sum;
        }}"
    )
}

const READS: &str = "
    sum = sum * 31u + indices[i]; sum = sum * 31u + indices[s];
    sum = sum * 31u + uni.a[i].y; sum = sum * 31u + uni.a[1][i]; sum = sum * 31u + u32(uni.m[s][i]);
    sum = sum * 31u + fixed[i].v.y; sum = sum * 31u + fixed[1].v[s]; sum = sum * 31u + u32(fixed[s].m[i][i]); sum = sum * 31u + u32(fixed[i].r[i]);
    sum = sum * 31u + tail.rest[i].z; sum = sum * 31u + tail.rest[s][i];
    sum = sum * 31u + state[i].a; sum = sum * 31u + u32(state[s].r[i]); sum = sum * 31u + u32(state[i].m[2][s]);
    sum = sum * 31u + TABLE[i]; sum = sum * 31u + mine[i].a; sum = sum * 31u + u32(mine[s].r[s]); sum = sum * 31u + u32(mine[i].m[i].y);
    var local = array<u32, 7>(1u, 2u, 3u, 4u, 5u, 6u, 7u);
    sum = sum * 31u + local[i]; sum = sum * 31u + local[s]; sum = sum * 31u + through(&local, i);
    let value = local; sum = sum * 31u + value[i]; let vector = vec4(1u, 2u, 3u, 4u); sum = sum * 31u + vector[i]; sum = sum * 31u + vector[s];";

/// No two invocations write to the same word of a buffer that is in bounds: which one wins is not the question here.
const WRITES: &str = "
    var local: array<u32, 7>; local[i] = 3u; local[s] += 4u; sum += local[3] + through(&local, i);
    var vector = vec3(1u, 2u, 3u); vector[i] = 9u; vector[s] += 1u; sum += vector.x + vector.y + vector.z;
    var m = mat2x3<f32>(); m[i][s] = 2.0; sum += u32(m[0][0] + m[1][2]);
    mine[i].a = 5u; mine[s].v[i] = 6u; mine[1].r[s] = 7; sum += mine[0].a + mine[1].v.z + u32(mine[1].r[3]);
    if i > 41u { tail.rest[i].x = 1u; tail.rest[s] = vec3(2u); tail.rest[i][i] = 3u; state[i].a = 4u; state[s].r[i] = 5; state[i] = mine[0];
        out[i] = 6u; out[s] = 7u; out[i * 4u + 400u] = 8u; state[s].m[s][i] = 9.0; state[i].v = vec3(1u); }";

const SHARED: &str = "
    if i > 41u { tile[i] = 1u; tile[s] = 2u; records[i].a = 3u; records[s].r[i] = 4; records[i] = mine[0]; }
    tile[lane] = i; workgroupBarrier();
    sum = sum * 31u + tile[i] + tile[s]; sum = sum * 31u + records[i].a + u32(records[s].r[i]) + records[i].v[s];
    sum = sum * 31u + workgroupUniformLoad(&tile[3]); workgroupBarrier();
    sum = sum * 31u + atomicAdd(&counts[i | 64u], 3u); sum += atomicLoad(&counts[s | 64]); atomicStore(&counts[i | 128u], 5u);
    sum = sum * 31u + atomicExchange(&counts[i | 64u], 3u) + atomicMax(&counts[s | 64], 3u);
    sum = sum * 31u + atomicCompareExchangeWeak(&counts[i | 64u], 0u, 7u).old_value;";

const SHARED_SCOPE: &str = "var<workgroup> tile: array<u32, 40>; var<workgroup> records: array<T, 2>; var<workgroup> counts: array<atomic<u32>, 33>;";

/// Lengths of the runtime-sized buffers: some that hold no whole element, some none at all.
const LENGTHS: [usize; 4] = [0, 3, 33, 200];

/// Runs with a fence around each buffer; what is inside of them after it.
fn fenced(program: &Program, length: usize, run: impl FnOnce(&mut [BufferData<'_>])) -> Vec<Vec<u32>> {
    let lengths = [INDICES.len(), 24, 60, length, length, 32.min(length)];
    let mut all: Vec<Vec<u32>> = lengths
        .iter()
        .enumerate()
        .map(|(buffer, &words)| {
            let mut memory = vec![CANARY; words + 2 * FENCE];
            for (at, word) in memory[FENCE..FENCE + words].iter_mut().enumerate() {
                *word = if buffer == 0 { INDICES[at] } else { ((at * 7 + buffer) as f32).to_bits() };
            }
            memory
        })
        .collect();
    let mut slots: Vec<_> = all.iter_mut().map(Some).collect();
    let mut buffers = Vec::new();
    for buffer in &program.buffers {
        let at = buffer.binding.1 as usize;
        let inside = &mut slots[at].take().expect("each is bound once")[FENCE..FENCE + lengths[at]];
        buffers.push(if buffer.writable { BufferData::Write(inside) } else { BufferData::Read(inside) });
    }
    run(&mut buffers);
    drop(buffers);
    for (buffer, memory) in all.iter().enumerate() {
        let (before, rest) = memory.split_at(FENCE);
        let fence = before.iter().chain(&rest[lengths[buffer]..]);
        assert!(fence.copied().all(|word| word == CANARY), "something was written around buffer {buffer}");
    }
    all
}

#[test]
fn indices_out_of_bounds_reach_nothing_and_everybody_agrees_on_what_they_give() {
    let guarded = format!("if i > 9u {{ {READS} }} else {{ {WRITES} }}");
    let looped = format!(
        "for (var k = 0u; k < (i & 3u); k++) {{ {{ {READS} }} if sum % 3u == 0u {{ continue; }} {WRITES} }}"
    );
    let cases = [
        ("", READS.to_owned()),
        ("", WRITES.to_owned()),
        ("", guarded),
        ("", looped),
        (SHARED_SCOPE, SHARED.to_owned()),
        (SHARED_SCOPE, format!("{{ {READS} }} {{ {SHARED} }} {WRITES}")),
    ];
    for (scope, body) in cases {
        let lowered = lowered(&text(scope, &body)).unwrap_or_else(|e| panic!("{e}"));
        let mut optimised = lowered.clone();
        passes::optimise(&mut optimised);
        let grid = Grid::whole([1, 1, 1], lowered.workgroup_size).expect("small");
        for length in LENGTHS {
            let expected = fenced(&lowered, length, |buffers| {
                run_grid(&lowered, buffers, &grid, Fusion::Fused, 1 << 20).expect("it ends");
            });
            for level in CpuLevel::available() {
                for program in [&lowered, &optimised] {
                    let code = Code::compile(program, level);
                    let got = fenced(program, length, |buffers| on_threads(&code, buffers, &grid, 1));
                    assert_eq!(got, expected, "{level}, {length} words: {body}");
                }
            }
        }
    }
}

/// What is refused says why.
#[test]
fn what_is_too_much_is_refused_with_words() {
    let main = |scope: &str, body: &str| {
        format!(
            "@group(0) @binding(0) var<storage, read_write> out: array<u32>; {scope}
            @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {{ {body} }}"
        )
    };
    let nested = |n: usize, open: &str, close: &str| {
        main("", &format!("{} out[i] = 1u; {}", open.repeat(n), close.repeat(n)))
    };
    let chain: String = (1..40)
        .map(|at| format!("fn f{at}(x: u32) -> u32 {{ return f{0}(x) + f{0}(x + 1u); }}", at - 1))
        .collect();
    let deep: String = (1..4)
        .map(|at| {
            let inner = format!("return d{}(x); ", at - 1);
            format!(
                "fn d{at}(x: u32) -> u32 {{ {}{inner}{} return x; }}",
                "if x > 3u { ".repeat(60),
                "}".repeat(60)
            )
        })
        .collect();
    let deep = format!("fn d0(x: u32) -> u32 {{ return x; }} {deep}");
    let cases = [
        (
            main("var<workgroup> big: array<u32, 100000000>;", "big[i] = i; out[i] = big[63u - i];"),
            "workgroup memory",
        ),
        (
            main("", "var big: array<u32, 10000000>; big[out[i]] = i; out[i] = big[out[0]];"),
            "indexed variables",
        ),
        (
            main(
                "var<private> big: array<array<u32, 30000>, 30000>;",
                "big[i][i] = i; out[i] = big[out[0]][1];",
            ),
            "",
        ),
        (nested(170, "if i > 3u { ", "}"), "nesting limit"),
        (nested(170, "loop { if i > 3u { break; } ", " out[i] += 1u; }"), "nesting limit"),
        (main(&deep, "out[i] = d3(i);"), "deep"),
        (main(&format!("fn f0(x: u32) -> u32 {{ return x; }} {chain}"), "out[i] = f39(i);"), "more than"),
        (main("fn f(x: u32) -> u32 { if x == 0u { return 0u; } return f(x - 1u); }", "out[i] = f(i);"), ""),
        (
            main(
                "fn f(x: u32) -> u32 { return g(x); } fn g(x: u32) -> u32 { return f(x); }",
                "out[i] = f(i);",
            ),
            "",
        ),
        (main("", "out[i] = vec3(1u, 2u, 3u)[3];"), "Cannot access"),
    ];
    for (text, words) in cases {
        // naga recurses as deep as the text, and this one is not optimised.
        let refused = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(256 << 20);
            thread.spawn_scoped(scope, || lowered(&text)).expect("a thread").join().expect("no panic")
        });
        let Err(error) = refused else { panic!("not refused: {}", &text[..300.min(text.len())]) };
        assert!(error.contains(words), "{error}");
    }
}

/// As deep as it may be, it runs.
#[test]
fn deep_nesting_within_the_limit_runs() {
    let n = 100;
    let text = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {{
            {} out[i] = {}i{}; {}
        }}",
        (0..n).map(|at| format!("if i < {}u {{ ", 64 + at)).collect::<String>(),
        "(1u + ".repeat(60),
        ")".repeat(60),
        "}".repeat(n)
    );
    let program = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(256 << 20);
        let work = || {
            let mut program = lowered(&text).unwrap_or_else(|e| panic!("{e}"));
            passes::optimise(&mut program);
            program
        };
        thread.spawn_scoped(scope, work).expect("a thread").join().expect("it lowers")
    });
    let grid = Grid::whole([1, 1, 1], program.workgroup_size).expect("small");
    for level in CpuLevel::available() {
        let mut out = vec![CANARY; 64];
        let code = Code::compile(&program, level);
        on_threads(&code, &mut [BufferData::Write(&mut out)], &grid, 1);
        assert!((0..64).all(|i| out[i as usize] == i + 60), "{level}: {out:?}");
    }
}

/// WGSL forbids a barrier that only some reach, and naga lets it pass: nobody hangs, whoever ends before it or goes around it.
#[test]
fn a_barrier_that_not_all_reach_hangs_nobody() {
    let text = "@group(0) @binding(0) var<storage, read_write> out: array<u32>; var<workgroup> w: u32;
        @compute @workgroup_size(40) fn main(@builtin(local_invocation_index) i: u32) {
            if i % 3u == 0u { workgroupBarrier(); } else if i % 3u == 1u { return; }
            for (var k = 0u; k < i; k++) { workgroupBarrier(); }
            out[i] = i + workgroupUniformLoad(&w);
        }";
    let program = lowered(text).unwrap_or_else(|e| panic!("{e}"));
    let grid = Grid::whole([2, 1, 1], program.workgroup_size).expect("small");
    let expected: Vec<u32> = (0..40).map(|i| if i % 3 == 1 { CANARY } else { i }).collect();
    let mut out = vec![CANARY; 40];
    run_grid(&program, &mut [BufferData::Write(&mut out)], &grid, Fusion::Fused, 10_000).expect("it ends");
    assert_eq!(out, expected);
    for level in CpuLevel::available() {
        let mut out = vec![CANARY; 40];
        on_threads(&Code::compile(&program, level), &mut [BufferData::Write(&mut out)], &grid, 2);
        assert_eq!(out, expected, "{level}");
    }
}
