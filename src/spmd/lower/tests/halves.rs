//! f16: every operation rounded once, and two to a word in buffers.

use super::{POISON, lowered, refused, run_workgroups};
use crate::spmd::ir::{Class, Effect, Memory, Op, Stmt};
use crate::spmd::passes;

/// The f16 nearest to `x`, ties to even.
fn half(x: f64) -> u32 {
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    let size = x.abs();
    if x.is_nan() {
        return 0x7e00;
    }
    // The distance from one f16 to the next at this size: 2^-24 below 2^-14.
    let exponent = if size < 2.0_f64.powi(-14) { -14 } else { size.log2().floor().min(16.0) as i32 };
    let steps = size / 2.0_f64.powi(exponent - 10);
    let steps = if steps.is_finite() { steps.round_ties_even() } else { return sign | 0x7c00 };
    let bits = if steps < 1024.0 {
        steps as u32
    } else {
        ((exponent + 14) as u32 * 1024).saturating_add(steps as u32)
    };
    sign | bits.min(0x7c00)
}

fn number(bits: u32) -> f64 {
    let (exponent, digits) = (bits >> 10 & 31, f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => digits * 2.0_f64.powi(-24),
        31 if digits == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + digits) * 2.0_f64.powi(exponent as i32 - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

#[test]
fn the_reference_is_right() {
    for bits in (0..0x7c01).chain(0x8000..0xfc01) {
        assert_eq!(half(number(bits)), bits, "{bits:#x}");
    }
    assert_eq!([half(65519.0), half(65520.0), half(1e-9), half(-1e-9)], [0x7bff, 0x7c00, 0, 0x8000]);
}

const HEAD: &str = "enable f16;
    @group(0) @binding(0) var<storage, read> x: array<vec2<f16>>;
    @group(0) @binding(1) var<storage, read_write> out: array<u32>;";

/// Runs a body over pairs, with `a` and `b` of the pair of invocation `i`, which stores to `out[i]`.
fn over(pairs: &[(u32, u32)], body: &str) -> Vec<u32> {
    let source = format!(
        "{HEAD} @compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
            let i = id.x; let a = x[i].x; let b = x[i].y; {body}
        }}"
    );
    let words = pairs.iter().map(|(a, b)| a | b << 16).collect();
    let mut buffers = [words, vec![POISON; pairs.len()]];
    run_workgroups(&source, &mut buffers, [u32::try_from(pairs.len()).expect("few") / 16, 1, 1]);
    let [_, out] = buffers;
    out
}

fn pairs() -> Vec<(u32, u32)> {
    let edges = [
        0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x3c00, 0xbc00, 0x3c01, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x3555,
        0x6400, 0x5640,
    ];
    let mut pairs: Vec<(u32, u32)> = edges.iter().flat_map(|a| edges.iter().map(move |b| (*a, *b))).collect();
    let mut seed = 1_u32;
    while pairs.len() < 4096 {
        seed = seed.wrapping_mul(0x915f_77f5).wrapping_add(1);
        let (a, b) = (seed & 0xffff, seed >> 16);
        if !number(a).is_nan() && !number(b).is_nan() {
            pairs.push((a, b));
        }
    }
    pairs
}

#[test]
fn arithmetic_is_rounded_once() {
    type Exact = fn(f64, f64) -> f64;
    let pairs = pairs();
    // f64 gives sums and products of f16s without rounding, quotients and roots near enough for the next one.
    let operations: [(&str, Exact); 8] = [
        ("a + b", |a, b| a + b),
        ("a - b", |a, b| a - b),
        ("a * b", |a, b| a * b),
        ("a / b", |a, b| a / b),
        ("sqrt(abs(a))", |a, _| a.abs().sqrt()),
        ("-a", |a, _| -a),
        ("a % b", |a, b| a % b),
        ("fract(a) * 0h + floor(a)", |a, _| if a.is_finite() { a.floor() } else { f64::NAN }),
    ];
    for (text, exact) in operations {
        let got = over(&pairs, &format!("out[i] = pack2x16float(vec2(f32({text}), 0.0));"));
        for ((a, b), got) in pairs.iter().zip(got) {
            let expected = exact(number(*a), number(*b));
            if expected.is_nan() {
                assert!(number(got).is_nan(), "{text}: {a:#x} {b:#x}: {got:#x}");
            } else {
                let (got, expected) = (number(got), number(half(expected)));
                assert!(got == expected, "{text}: {a:#x} {b:#x}: {got} instead of {expected}");
            }
        }
    }
}

#[test]
fn every_step_of_a_formula_is_rounded() {
    let pairs: Vec<(u32, u32)> =
        pairs().into_iter().filter(|(a, b)| a & 0x4000 == 0 && b & 0x4000 == 0).collect();
    let pairs = &pairs[..pairs.len() / 16 * 16];
    let round = |x: f64| number(half(x));
    let got = over(
        pairs,
        "let v = vec2(a, b); out[i] = pack2x16float(vec2(f32(dot(v, v.yx + v)), f32(mix(a, b, 0.25h))));",
    );
    for ((a, b), got) in pairs.iter().zip(got) {
        let (a, b) = (number(*a), number(*b));
        let sum = round(a + b);
        let dot = round(round(a * sum) + round(b * sum));
        let mix = round(round(a * 0.75) + round(b * 0.25));
        assert_eq!((number(got & 0xffff), number(got >> 16)), (dot, mix), "{a} {b}");
    }
}

#[test]
fn conversions() {
    let pairs: Vec<(u32, u32)> = pairs();
    let got = over(&pairs, "out[i] = pack2x16float(vec2(f32(f16(f32(a) * 1.0009766)), f32(f16(i * 20u))));");
    for (at, ((a, _), got)) in pairs.iter().zip(got).enumerate() {
        let scaled = number(*a) as f32 * 1.000_976_6;
        assert_eq!(number(got & 0xffff), number(half(f64::from(scaled))), "{a:#x}");
        assert_eq!(number(got >> 16), number(half(at as f64 * 20.0)), "{at}");
    }
    let got = over(
        &pairs[..16],
        "out[i] = u32(f16(i)) + u32(i32(-1.5h) + 1) + u32(bool(f16(0.0))) + u32(f16(true));",
    );
    assert_eq!(got, (1..17).collect::<Vec<u32>>());
}

/// By the WGSL rules, in half-words: a at 0, v at 4, m at 8 (columns every 4), b at 16, t at 18, w at 22; 24 in all.
const LAYOUT: &str = "enable f16;
    struct S { a: f16, v: vec3<f16>, m: mat2x3<f16>, b: f32, t: array<f16, 3>, w: vec2<f16> }
    struct Tail { n: f16, rest: array<f16> }
    @group(0) @binding(0) var<storage, read_write> out: array<f32>;
    @group(0) @binding(1) var<storage, read_write> s: array<S>;
    @group(0) @binding(2) var<storage, read_write> tail: Tail;
    @group(0) @binding(3) var<storage, read> at: array<u32>;";

/// Half-words of small whole numbers, two to a word.
fn halves(numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let numbers: Vec<u32> = numbers.map(|n| half(f64::from(n))).collect();
    numbers.chunks(2).map(|pair| pair[0] | pair.get(1).copied().unwrap_or(0) << 16).collect()
}

#[test]
fn layout_in_buffers() {
    let source = format!(
        "{LAYOUT} @compute @workgroup_size(1) fn main() {{
            let k = at[1]; let p = &s[k + 1u];
            out[0] = f32(s[0].a); out[1] = f32(s[k].v.z); out[2] = f32(p.m[k][k + 1u]); out[3] = bitcast<f32>(bitcast<u32>(p.b));
            out[4] = f32(s[k].t[k + 1u]); out[5] = f32(p.w.y); out[6] = f32(arrayLength(&s)); out[7] = f32(arrayLength(&tail.rest));
            let whole = s[k]; out[8] = f32(whole.m[1].z + whole.t[0]); out[9] = f32(tail.rest[k + 1u]); out[10] = f32(tail.n);
            out[11] = f32(s[9].a + p.t[7u + k]); out[12] = f32(p.v[k]); out[13] = f32((*p).m[1].y);
        }}"
    );
    let words = halves(0..72);
    let mut buffers = [vec![POISON; 14], words.clone(), halves(100..108), vec![9, 1]];
    run_workgroups(&source, &mut buffers, [1; 3]);
    let b = f32::from_bits(words[(48 + 16) / 2]);
    let expected = [
        0.0,
        24.0 + 6.0,
        48.0 + 8.0 + 4.0 + 2.0,
        b,
        24.0 + 20.0,
        48.0 + 23.0,
        3.0,
        7.0,
        36.0 + 2.0 + 42.0,
        103.0,
        100.0,
    ];
    // Past the end of a buffer zero, past the end of an array in it the last element: 48 + 18 + 2.
    let rest = [68.0, 48.0 + 4.0 + 1.0, 48.0 + 8.0 + 4.0 + 1.0];
    let expected: Vec<u32> = expected.into_iter().chain(rest).map(|x: f32| x.to_bits()).collect();
    assert_eq!(buffers[0], expected);
}

#[test]
fn a_store_of_a_half_leaves_the_other() {
    let source = format!(
        "{LAYOUT} @compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) {{
            tail.rest[i] = tail.rest[i] + 1h;
            if i == 7u {{
                let k = at[1]; out[0] = 0.0;
                s[0].a = 1000h; s[k].t[k] = 1001h; s[1].v = vec3(1002h, 1003h, 1004h); s[k + 1u].m[k] = vec3(1005h, 1006h, 1007h);
                s[k + 1u].b = 2.0; s[0].w = vec2(1008h, 1009h); s[0].m[0][k] = 1010h; s[5].a = 1h; s[0].t[1] = 1011h;
            }}
        }}"
    );
    let mut buffers = [vec![0], halves(0..72), halves(0..10), vec![0, 1]];
    run_workgroups(&source, &mut buffers, [1; 3]);
    let mut expected: Vec<u32> = (0..72).collect();
    expected[0] = 1000;
    expected[24 + 18 + 1] = 1001;
    expected[24 + 4..24 + 7].copy_from_slice(&[1002, 1003, 1004]);
    expected[48 + 12..48 + 15].copy_from_slice(&[1005, 1006, 1007]);
    expected[22..24].copy_from_slice(&[1008, 1009]);
    expected[8 + 1] = 1010;
    expected[18 + 1] = 1011;
    let mut expected = halves(expected.into_iter());
    expected[(48 + 16) / 2] = 2.0_f32.to_bits();
    assert_eq!(buffers[1], expected);
    assert_eq!(buffers[2], halves([0, 2, 3, 4, 5, 6, 7, 8, 9, 9].into_iter()));
    // Only a half by itself needs atomics: a pair is a word.
    let program = lowered(&source).unwrap();
    assert!(
        program.body.iter().any(|s| matches!(s, Stmt::Effect { effect: Effect::Atomic { .. }, .. })),
        "{program}"
    );
}

#[test]
fn words_among_halves_are_read_in_rows() {
    let source = "enable f16;
        struct P { at: vec2<f32>, mass: f16, kind: f16 }
        @group(0) @binding(0) var<storage, read> p: array<P>;
        @group(0) @binding(1) var<storage, read_write> q: array<vec4<f16>>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            q[id.x] = vec4(f16(p[id.x].at.y), p[id.x].mass, p[id.x].kind, 1h);
        }";
    let mut program = lowered(source).unwrap();
    passes::optimise(&mut program);
    let mut strides = Vec::new();
    for stmt in &program.body {
        if let Stmt::Let(_, Op::Load { memory: Memory::Buffer(_), index }) | Stmt::Store { index, .. } = stmt
        {
            strides.push(program.value(*index).class);
        }
    }
    let linear = |stride| Class::Linear { stride };
    assert_eq!(strides, [linear(4), linear(4), linear(2), linear(2)], "{program}");
    let (x, mass) = (1.5_f32.to_bits(), half(3.0) | half(4.0) << 16);
    let mut buffers = [[0, x, mass, 0].repeat(64), vec![POISON; 128]];
    run_workgroups(source, &mut buffers, [1; 3]);
    assert_eq!(buffers[1], [half(1.5) | half(3.0) << 16, half(4.0) | half(1.0) << 16].repeat(64));
}

#[test]
fn variables_of_every_kind() {
    let source = "enable f16;
        @group(0) @binding(0) var<storage, read_write> out: array<f32>;
        @group(0) @binding(1) var<uniform> u: vec4<f16>;
        struct L { v: vec3<f16>, x: f32, t: array<f16, 20> }
        var<workgroup> shared_halves: array<L, 4>; var<private> mine: array<f16, 9>;
        const TABLE = array<f16, 6>(1h, 2h, 3h, 4h, 5h, 6h);
        fn bump(p: ptr<function, f16>) { *p += 0.5h; }
        fn f(m: mat2x2<f16>, k: u32) -> f16 { var l: L; l.t[k + 3u] = 7h; bump(&l.t[k + 3u]); return l.t[k + 3u] + (m * vec2(1h, 2h))[k % 2u]; }
        @compute @workgroup_size(4) fn main(@builtin(local_invocation_index) i: u32) {
            shared_halves[i].t[i + 1u] = f16(i) + 0.25h; shared_halves[i].v[i % 3u] = 2h; mine[i * 2u] = 3h;
            workgroupBarrier();
            let j = 3u - i; var r = modf(vec2(1.75h, -2.5h)); let e = frexp(u.y);
            out[i] = f32(shared_halves[j].t[j + 1u] + shared_halves[j].v[j % 3u] + mine[i * 2u] + TABLE[i + 2u])
                + f32(f(mat2x2<f16>(1h, 2h, 3h, 4h), i)) + f32(u.z) + f32(r.whole.x + r.fract.y) + f32(e.exp)
                + f32(select(1h, 2h, u.x < u.y) + clamp(u.w, -1h, 1h) + max(u.x, 0h) + sign(-2h) + step(1h, 2h));
        }";
    let u = vec![half(1.0) | half(3.0) << 16, half(0.125) | half(9.0) << 16];
    let mut buffers = [vec![POISON; 4], u];
    run_workgroups(source, &mut buffers, [1; 3]);
    let expected: Vec<u32> = (0..4_u32)
        .map(|i| {
            let j = 3 - i;
            let f = 7.5 + if i % 2 == 0 { 7.0 } else { 10.0 };
            let x = (j as f32 + 0.25) + 2.0 + 3.0 + (i as f32 + 3.0) + f + 0.125 + (1.0 - 0.5) + 2.0;
            (x + (2.0 + 1.0 + 1.0 - 1.0 + 1.0)).to_bits()
        })
        .collect();
    assert_eq!(buffers[0], expected);
}

#[test]
fn the_bits_of_an_f16_are_not_to_be_had() {
    let main = "@compute @workgroup_size(1) fn main()";
    let source = format!("{HEAD} {main} {{ out[0] = u32(bitcast<i32>(x[0].x)); }}");
    assert_eq!(refused(&source).0, "a bitcast of f16");
}
