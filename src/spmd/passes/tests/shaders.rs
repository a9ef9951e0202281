//! The library's own loops: how short they become, and that they give what the lowered program gives.

use super::super::optimise;
use crate::kernel::cost::{Cost, Counts, Limit};
use crate::spmd::ir::{Block, Class, Program, Stmt};
use crate::spmd::lower::lower;
use crate::spmd::memory::BufferData;
use crate::spmd::oracle;
use crate::spmd::testing::lockstep;

/// A loop's text with a compute shader around it, as `kernel::generate` writes it: arguments are words of `args` or
/// elements of `x0`, `x1`, …; the result goes to `out`.
fn shader(text: &str, arrays: usize, whole: bool, store: &str) -> String {
    let text = if whole {
        text.replace("var<storage, read> ", "@group(0) @binding(9) var<storage, read> ")
    } else {
        text.to_owned()
    };
    let x: String = (0..arrays)
        .map(|at| format!("@group(0) @binding({}) var<storage, read> x{at}: array<f32>;\n", at + 1))
        .collect();
    format!(
        "{text}
struct Args {{ base: u32, n: u32, a: f32, b: f32, c: vec4<f32>, k: u32, w: u32, h: u32 }}
@group(0) @binding(0) var<uniform> args: Args;
{x}@group(0) @binding(8) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
    let i = id.x;
    {store}
}}"
    )
}

fn lowered(source: &str) -> Program {
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
    let flags = naga::valid::ValidationFlags::all();
    let info =
        naga::valid::Validator::new(flags, naga::valid::Capabilities::all()).validate(&module).unwrap();
    lower(&module, &info, "main").unwrap_or_else(|error| panic!("{error:?}"))
}

fn statements(block: &Block) -> usize {
    let nested = |stmt: &Stmt| match stmt {
        Stmt::If { then, otherwise, .. } => statements(then) + statements(otherwise),
        Stmt::Loop { body, continuing, .. } => statements(body) + statements(continuing),
        Stmt::Scope { body, .. } => statements(body),
        _ => 0,
    };
    block.iter().map(|stmt| 1 + nested(stmt)).sum()
}

/// The body and `continuing` of the first loop, at any depth.
fn first_loop(block: &Block) -> Option<(&Block, &Block)> {
    block.iter().find_map(|stmt| match stmt {
        Stmt::Loop { body, continuing, .. } => Some((body, continuing)),
        Stmt::If { then, otherwise, .. } => first_loop(then).or_else(|| first_loop(otherwise)),
        Stmt::Scope { body, .. } => first_loop(body),
        _ => None,
    })
}

/// Optimises, and runs all four ways on 41 invocations.
fn optimised(source: &str) -> Program {
    const N: u32 = 41;
    let program = lowered(source);
    let mut fast = program.clone();
    optimise(&mut fast);
    if std::env::var("DUMP").is_ok() {
        println!("{program}\n{fast}");
    }
    let run = |program: &Program, how: fn(&Program, &mut [BufferData<'_>], u32)| {
        // args: base 0, n, a = 0.75, b = 1.25, c (a view of the complex plane), k = 30, w = 8, h = 6.
        let args = [0, N, 0.75_f32.to_bits(), 1.25_f32.to_bits()];
        let view = [-2.0_f32, -1.2, 0.8, 1.2].map(f32::to_bits);
        let args: Vec<u32> = args.into_iter().chain(view).chain([30, 8, 6, 0]).collect();
        let data: Vec<u32> = (0..200_u32).map(|at| (0.1 + at as f32 * 0.37).to_bits()).collect();
        let mut out = vec![0xdead_beef; 4 * N as usize];
        let mut rest = Some(&mut out);
        let mut buffers: Vec<BufferData<'_>> = program
            .buffers
            .iter()
            .map(|buffer| match (buffer.writable, buffer.binding.1) {
                (true, _) => BufferData::Write(rest.take().expect("one output")),
                (false, 0) => BufferData::Read(&args),
                (false, _) => BufferData::Read(&data),
            })
            .collect();
        how(program, &mut buffers, N);
        out
    };
    let expected = run(&program, oracle::run);
    assert_eq!(expected, run(&fast, oracle::run), "{program}\n{fast}");
    assert_eq!(expected, run(&fast, lockstep), "{fast}");
    fast
}

/// The cost of a program where word 8 of `args` (`k`) is 1000 and `bodies` has 500 elements.
fn counts(program: &Program) -> Counts {
    Cost::of(program).counts(&|limit| match limit {
        Limit::Word { word: 8, .. } => Some(1000),
        Limit::Length { stride: 4, .. } => Some(500),
        _ => None,
    })
}

#[test]
fn saxpy() {
    let source = shader(
        include_str!("../../../../shaders/saxpy.wgsl"),
        2,
        false,
        "out[i] = saxpy(args.a, x0[i], x1[i]);",
    );
    let program = optimised(&source);
    assert!(statements(&program.body) <= 7, "{program}");
    let expected = Counts {
        simple: 2.0,
        fused: 1.0,
        flops: 2.0,
        load: 2.0,
        store: 1.0,
        uniform: 1.0,
        read: 8.0,
        written: 4.0,
        ..Counts::default()
    };
    assert_eq!(counts(&program), expected);
}

#[test]
fn black_scholes() {
    let source = shader(
        include_str!("../../../../shaders/black_scholes.wgsl"),
        3,
        false,
        "let p = black_scholes(x0[i], x1[i], x2[i], args.a, args.b); out[2u*i] = p.call; out[2u*i+1u] = p.put;",
    );
    let program = optimised(&source);
    assert!(program.vars.is_empty(), "{program}");
    assert!(first_loop(&program.body).is_none());
    let counts = counts(&program);
    // log, three exp; x / y, d1, two reciprocals and a root.
    assert_eq!((counts.transcendental, counts.divide), (4.0, 5.0));
    assert_eq!((counts.read, counts.written, counts.unbounded), (12.0, 8.0, 0));
}

#[test]
fn mandelbrot() {
    let source = shader(
        include_str!("../../../../shaders/mandelbrot.wgsl"),
        0,
        false,
        "out[i] = bitcast<f32>(mandelbrot(i + args.base, args.w, args.h, args.k, args.c));",
    );
    let program = optimised(&source);
    let (body, continuing) = first_loop(&program.body).expect("a loop");
    assert!(statements(body) + statements(continuing) <= 21, "{program}");
    // At most 1000 rounds of 7 flops (the product with 2 is one), and any order of magnitude below: 999 / ln 1000 of them.
    let counts = counts(&program);
    assert_eq!((counts.unbounded, counts.early), (0, 1));
    assert!((1_000.0..1_300.0).contains(&counts.flops), "{counts:?}");
}

#[test]
fn nbody() {
    let source = shader(
        include_str!("../../../../shaders/nbody.wgsl"),
        1,
        true,
        "let f = nbody(vec4<f32>(x0[i], x0[i + 1u], x0[i + 2u], 1.0), args.a); out[i] = f.x + f.y + f.z;",
    );
    let program = optimised(&source);
    assert!(
        program.vars.iter().any(|var| var.name.contains('j') && var.class == Class::Uniform),
        "{program}"
    );
}

#[test]
fn logistic_map() {
    let text = include_str!("../../../../shaders/logistic_map.wgsl");
    let program = optimised(&shader(text, 1, false, "out[i] = logistic_map(x0[i], args.b, args.k);"));
    assert_eq!(counts(&program).flops, 3000.0);
}

#[test]
fn collatz() {
    let text = include_str!("../../../../shaders/collatz.wgsl");
    let program = optimised(&shader(text, 0, false, "out[i] = bitcast<f32>(collatz(i));"));
    assert_eq!(counts(&program).unbounded, 1);
}

#[test]
fn rounds_of_loops() {
    let cases = [
        ("for (var j = 0; j < 10; j++) { BODY }", 10.0),
        ("for (var j = 0u; j <= 10u; j += 2u) { BODY }", 6.0),
        ("for (var j = 10; j > 0; j--) { BODY }", 10.0),
        ("for (var j = 10; j >= -1; j -= 3) { BODY }", 4.0),
        ("for (var j = 5; j < 5; j++) { BODY }", 0.0),
        ("for (var j = 0; j != 7; j++) { BODY }", 7.0),
        ("for (var j = 3u; j < args.k; j += 4u) { BODY }", 250.0),
        ("for (var j = 0u; j < arrayLength(&x1); j++) { BODY }", 77.0),
        ("var j = 0; loop { BODY; j++; if j >= 9 { break; } }", 9.0),
        ("var j = 0; loop { BODY; continuing { j++; break if j >= 9; } }", 9.0),
        ("for (var j = 0; j < 10; j++) { for (var m = 0; m < 3; m++) { BODY } }", 30.0),
        ("for (var j = 128u; j > 0u; j /= 2u) { BODY }", 8.0),
        ("for (var j = 1u; j < 1000u; j *= 2u) { BODY }", 10.0),
        ("for (var j = 3u; j < 1000u; j <<= 2u) { BODY }", 5.0),
        // Some, but never many.
        ("for (var j = args.k; j > 0u; j >>= 1u) { BODY }", 6.0),
    ];
    for (text, rounds) in cases {
        // `t` varies, so that every round is a vector operation; the counters are uniform.
        let store = text.replace("BODY", "t = t * x0[i] + 1.0;");
        let source = shader("", 2, false, &format!("var t = x1[i]; {store} out[i] = t;"));
        let cost = Cost::of(&optimised(&source));
        let counts = cost.counts(&|limit| match limit {
            Limit::Word { word: 8, .. } => Some(1000),
            Limit::Length { .. } => Some(77),
            Limit::Word { .. } => None,
        });
        assert_eq!((counts.flops, counts.unbounded), (2.0 * rounds, 0), "{text}");
    }
}
