//! Every function against f64 (ULP bounds) and against itself (one lane = a vector of lanes, on every CPU level).

use std::ops::RangeInclusive;

use fearless_simd::prelude::*;
use fearless_simd::{dispatch, f32x16, i32x16};

use super::*;
use crate::cpu::CpuLevel;
use crate::spmd::ir::{Binary, Unary};
use crate::spmd::oracle::{Fusion, eval};

/// splitmix64 (Steele, Lea, Flood 2014): enough randomness for samples, the same on every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }

    fn between(&mut self, range: &RangeInclusive<f32>) -> f32 {
        let t = f64::from(self.bits()) / f64::from(u32::MAX);
        (f64::from(*range.start()) * (1.0 - t) + f64::from(*range.end()) * t) as f32
    }
}

/// What tends to go wrong: zeros, subnormals, ones and their neighbours, thresholds, huge numbers, infinities, NaN.
pub(crate) fn edges() -> Vec<f32> {
    let mut edges = vec![0.0, f32::INFINITY, f32::NAN];
    for x in [
        1e-45,
        1e-40,
        1.175_494_2e-38,
        f32::MIN_POSITIVE,
        1e-30,
        5.960_464_5e-8,
        6.103_515_6e-5,
        1e-4,
        1.0 / 256.0,
        0.1,
        0.5,
        0.625,
        std::f32::consts::FRAC_1_SQRT_2,
        std::f32::consts::FRAC_PI_4,
        1.0,
        2.0,
        std::f32::consts::SQRT_2,
        std::f32::consts::FRAC_PI_2,
        std::f32::consts::PI,
        3.0,
        10.0,
        88.722_83,
        88.722_84,
        89.415_99,
        103.972_08,
        104.0,
        127.0,
        128.0,
        149.0,
        150.0,
        1023.0,
        65_504.0,
        65_519.996,
        65_520.0,
        65_536.0,
        2_097_152.0,
        8_388_608.0,
        16_777_216.0,
        2_147_483_648.0,
        4_294_967_296.0,
        1e10,
        1e30,
        f32::MAX,
    ] {
        edges.extend([x, x.next_up(), x.next_down()]);
    }
    let negative: Vec<f32> = edges.iter().map(|x| -x).collect();
    edges.extend(negative);
    edges
}

/// The error of `result` in units in the last place of the exact value.
fn ulps(result: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if result.is_nan() || rounded.is_nan() {
        return if result.is_nan() && rounded.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if result.is_infinite() || rounded.is_infinite() {
        return if result == rounded { 0.0 } else { ulps_finite(result.clamp(f32::MIN, f32::MAX), exact) };
    }
    ulps_finite(result, exact)
}

fn ulps_finite(result: f32, exact: f64) -> f64 {
    let exponent = ((exact.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let unit = 2_f64.powi(exponent.clamp(-126, 127) - 23);
    (f64::from(result) - exact).abs() / unit
}

#[inline(always)]
fn unary<S: Simd>(op: Unary, x: f32x16<S>) -> f32x16<S> {
    match op {
        Unary::Exp => exp(x),
        Unary::Exp2 => exp2(x),
        Unary::Log => log(x),
        Unary::Log2 => log2(x),
        Unary::Sin => sin(x),
        Unary::Cos => cos(x),
        Unary::Tan => tan(x),
        Unary::Asin => asin(x),
        Unary::Acos => acos(x),
        Unary::Atan => atan(x),
        Unary::Sinh => sinh(x),
        Unary::Cosh => cosh(x),
        Unary::Tanh => tanh(x),
        Unary::Asinh => asinh(x),
        Unary::Acosh => acosh(x),
        Unary::Atanh => atanh(x),
        Unary::FrexpFract => frexp_fract(x),
        Unary::FrexpExp => frexp_exp(x).bitcast(),
        Unary::F32ToF16 => f32_to_f16(x).bitcast(),
        Unary::F32ToI32 => f32_to_i32(x).bitcast(),
        Unary::F32ToU32 => f32_to_u32(x).bitcast(),
        Unary::F16ToF32 => f16_to_f32(x.bitcast::<i32x16<S>>()),
        other => unreachable!("{other:?} is not in math"),
    }
}

#[inline(always)]
fn binary<S: Simd>(op: Binary, x: f32x16<S>, y: f32x16<S>) -> f32x16<S> {
    match op {
        Binary::Pow => pow(x, y),
        Binary::Atan2 => atan2(x, y),
        Binary::RemF => rem(x, y),
        Binary::Ldexp => ldexp(x, y.bitcast::<i32x16<S>>()),
        other => unreachable!("{other:?} is not in math"),
    }
}

/// Applies `f` to whole vectors; the last one is padded with ones.
#[inline(always)]
fn for_chunks<S: Simd>(
    simd: S,
    x: &[f32],
    y: &[f32],
    f: impl Fn(f32x16<S>, f32x16<S>) -> f32x16<S>,
) -> Vec<f32> {
    let load = |part: &[f32]| f32x16::from_fn(simd, |i| part.get(i).copied().unwrap_or(1.0));
    let mut out = Vec::with_capacity(x.len() + 16);
    for (x, y) in x.chunks(16).zip(y.chunks(16)) {
        out.extend_from_slice(f(load(x), load(y)).as_slice());
    }
    out.truncate(x.len());
    out
}

fn vector_unary(level: CpuLevel, op: Unary, x: &[f32]) -> Vec<f32> {
    let level = level.to_simd().expect("an available level");
    dispatch!(level, simd => for_chunks(simd, x, x, #[inline(always)] |x, _| unary(op, x)))
}

fn vector_binary(level: CpuLevel, op: Binary, x: &[f32], y: &[f32]) -> Vec<f32> {
    let level = level.to_simd().expect("an available level");
    dispatch!(level, simd => for_chunks(simd, x, y, #[inline(always)] |x, y| binary(op, x, y)))
}

pub(crate) fn fusion(level: CpuLevel) -> Fusion {
    if level.has_fma() { Fusion::Fused } else { Fusion::Split }
}

fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Asserts the bound on what the oracle computes, then the oracle's bits on every level.
fn check_unary(op: Unary, range: RangeInclusive<f32>, exact: fn(f64) -> f64, bounds: [f64; 2]) {
    let mut random = Random(op as u64);
    let mut x = edges();
    x.extend((0..60_000).map(|_| random.between(&range)));
    x.extend((0..60_000).map(|_| f32::from_bits(random.bits())));
    x.extend((0..20_000).map(|i| 1.0 + (i - 10_000) as f32 / 8_388_608.0));
    for (fusion, bound) in [Fusion::Fused, Fusion::Split].into_iter().zip(bounds) {
        let scalar: Vec<f32> =
            x.iter().map(|x| f32::from_bits(eval::unary(op, fusion, x.to_bits()))).collect();
        let (worst, at, got) = x
            .iter()
            .zip(&scalar)
            .map(|(&x, &got)| (ulps(got, exact(f64::from(x))), x, got))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .expect("samples");
        println!("{op:?} {fusion:?}: {worst:.3} ULP at {at:e}");
        assert!(worst <= bound, "{op:?}({at:e}) = {got:e}, {fusion:?}: off by {worst} ULP, bound {bound}");
        for level in CpuLevel::available().into_iter().filter(|&level| self::fusion(level) == fusion) {
            for ((x, a), b) in x.iter().zip(&scalar).zip(vector_unary(level, op, &x)) {
                assert!(same(*a, b), "{op:?}({x:e}): {a:e} in one lane, {b:e} on {level}");
            }
        }
    }
}

fn check_binary(op: Binary, pairs: &[(f32, f32)], exact: impl Fn(f32, f32) -> f64, bounds: [f64; 2]) {
    let (x, y): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
    for (fusion, bound) in [Fusion::Fused, Fusion::Split].into_iter().zip(bounds) {
        let scalar: Vec<f32> = pairs
            .iter()
            .map(|(x, y)| f32::from_bits(eval::binary(op, fusion, x.to_bits(), y.to_bits())))
            .collect();
        let (worst, at, got) = pairs
            .iter()
            .zip(&scalar)
            .map(|(&(x, y), &got)| (ulps(got, exact(x, y)), (x, y), got))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .expect("samples");
        println!("{op:?} {fusion:?}: {worst:.3} ULP at {at:?}");
        assert!(worst <= bound, "{op:?}{at:?} = {got:e}, {fusion:?}: off by {worst} ULP, bound {bound}");
        for level in CpuLevel::available().into_iter().filter(|&level| self::fusion(level) == fusion) {
            for ((at, a), b) in pairs.iter().zip(&scalar).zip(vector_binary(level, op, &x, &y)) {
                assert!(same(*a, b), "{op:?}{at:?}: {a:e} in one lane, {b:e} on {level}");
            }
        }
    }
}

fn pairs(seed: u64, x: &RangeInclusive<f32>, y: &RangeInclusive<f32>) -> Vec<(f32, f32)> {
    let mut random = Random(seed);
    let edges = edges();
    let mut pairs: Vec<(f32, f32)> = edges.iter().flat_map(|&x| edges.iter().map(move |&y| (x, y))).collect();
    pairs.extend((0..60_000).map(|_| (random.between(x), random.between(y))));
    pairs.extend((0..60_000).map(|_| (f32::from_bits(random.bits()), f32::from_bits(random.bits()))));
    pairs
}

macro_rules! unary_tests {
    ($($name:ident: $op:ident, $range:expr, $exact:expr, $bounds:expr;)*) => {$(
        #[test]
        fn $name() {
            check_unary(Unary::$op, $range, $exact, $bounds);
        }
    )*};
}

// The bounds that the functions' documentation states, with FMA and without; six million samples of each were tried once.
unary_tests! {
    exp_within_bounds: Exp, -104.0..=89.0, f64::exp, [1.1, 1.2];
    exp2_within_bounds: Exp2, -150.0..=128.0, f64::exp2, [1.1, 1.5];
    log_within_bounds: Log, 0.25..=4.0, f64::ln, [1.0, 1.0];
    log2_within_bounds: Log2, 0.25..=4.0, f64::log2, [1.4, 1.6];
    sin_within_bounds: Sin, -20.0..=20.0, f64::sin, [1.75, 1.75];
    cos_within_bounds: Cos, -20.0..=20.0, f64::cos, [1.75, 1.75];
    tan_within_bounds: Tan, -20.0..=20.0, f64::tan, [3.5, 4.0];
    asin_within_bounds: Asin, -1.0..=1.0, f64::asin, [2.5, 2.5];
    acos_within_bounds: Acos, -1.0..=1.0, f64::acos, [2.0, 2.0];
    atan_within_bounds: Atan, -4.0..=4.0, f64::atan, [2.0, 2.0];
    sinh_within_bounds: Sinh, -89.5..=89.5, f64::sinh, [2.0, 2.0];
    cosh_within_bounds: Cosh, -89.5..=89.5, f64::cosh, [2.0, 2.0];
    tanh_within_bounds: Tanh, -9.5..=9.5, f64::tanh, [2.0, 2.0];
    asinh_within_bounds: Asinh, -4.0..=4.0, f64::asinh, [1.0, 1.0];
    acosh_within_bounds: Acosh, 1.0..=4.0, f64::acosh, [0.51, 0.51];
    atanh_within_bounds: Atanh, -1.0..=1.0, f64::atanh, [1.0, 1.0];
}

#[test]
fn pow_within_bounds() {
    let exact = |x, y| f64::from(x).powf(f64::from(y));
    check_binary(Binary::Pow, &pairs(1, &(0.0..=8.0), &(-20.0..=20.0)), exact, [0.51, 0.51]);
}

#[test]
fn atan2_within_bounds() {
    let exact = |y, x| f64::from(y).atan2(f64::from(x));
    check_binary(Binary::Atan2, &pairs(2, &(-4.0..=4.0), &(-4.0..=4.0)), exact, [2.5, 2.5]);
}

#[test]
fn rem_is_exact() {
    let exact = |x: f32, y: f32| f64::from(x % y);
    let mut cases = pairs(3, &(-1e4..=1e4), &(-3.0..=3.0));
    // Quotients next to an integer, on both sides of the limit of the fast path.
    let mut random = Random(33);
    for _ in 0..20_000 {
        let y = f32::from_bits(random.bits());
        let x = y * (random.bits() >> (random.bits() & 31)) as f32;
        cases.extend([(x, y), (x.next_up(), y), (x.next_down(), y)]);
    }
    check_binary(Binary::RemF, &cases, exact, [0.0, 0.0]);
}

#[test]
fn ldexp_rounds_once() {
    let mut cases = vec![];
    let mut random = Random(4);
    let exponents = (-310..=310).chain([i32::MIN, i32::MIN + 1, -1000, 1000, i32::MAX]);
    for n in exponents {
        for x in edges() {
            cases.push((x, f32::from_bits(n.cast_unsigned())));
        }
        for _ in 0..100 {
            cases.push((f32::from_bits(random.bits()), f32::from_bits(n.cast_unsigned())));
        }
    }
    // f64 holds the product exactly; the conversion rounds it once.
    let exact = |x: f32, n: f32| {
        let n = n.to_bits().cast_signed().clamp(-400, 400);
        f64::from((f64::from(x) * 2_f64.powi(n)) as f32)
    };
    check_binary(Binary::Ldexp, &cases, exact, [0.0, 0.0]);
}

/// frexp by way of f64, in which every f32 is normal.
fn plain_frexp(x: f32) -> (f32, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    let bits = f64::from(x).to_bits();
    let fract = f64::from_bits(bits & !(0x7ff << 52) | (1022 << 52));
    (fract as f32, ((bits >> 52) & 0x7ff) as i32 - 1022)
}

/// f32 to f16 by way of multiples of the f16's unit in the last place.
fn plain_f32_to_f16(x: f32) -> u32 {
    let magnitude = f64::from(x.abs());
    let bits = if x.is_nan() {
        0x7e00
    } else if magnitude >= 65_520.0 {
        0x7c00
    } else {
        let exponent = (((magnitude.to_bits() >> 52) & 0x7ff) as i32 - 1023).max(-14);
        let units = (magnitude * 2_f64.powi(10 - exponent)).round_ties_even() as u32;
        ((exponent + 14).cast_unsigned() << 10) + units
    };
    (x.to_bits() >> 16) & 0x8000 | bits
}

#[test]
fn parts_of_a_float_are_exact() {
    let mut random = Random(5);
    let mut x = edges();
    x.extend((0..100_000).map(|_| f32::from_bits(random.bits())));
    x.extend((0..100_000).map(|_| random.between(&(-70_000.0..=70_000.0))));
    x.extend((0..100_000).map(|_| random.between(&(-1e-4..=1e-4))));
    x.extend((0..100_000).map(|_| random.between(&(-5e9..=5e9))));
    let conversions = [Unary::F32ToF16, Unary::F32ToI32, Unary::F32ToU32];
    for op in [Unary::FrexpFract, Unary::FrexpExp].into_iter().chain(conversions) {
        let expected = |x: f32| match op {
            Unary::FrexpFract => plain_frexp(x).0.to_bits(),
            Unary::FrexpExp => plain_frexp(x).1.cast_unsigned(),
            // The largest f32 below 2³¹ and 2³².
            Unary::F32ToI32 => (x.min(2_147_483_520.0) as i32 * i32::from(!x.is_nan())).cast_unsigned(),
            Unary::F32ToU32 => x.min(4_294_967_040.0) as u32 * u32::from(!x.is_nan()),
            _ => plain_f32_to_f16(x),
        };
        for &x in &x {
            let got = eval::unary(op, Fusion::Fused, x.to_bits());
            let same = got == expected(x) || (op == Unary::FrexpFract && x.is_nan());
            assert!(same, "{op:?}({x:e}) = {got:#x}, not {:#x}", expected(x));
        }
        for level in CpuLevel::available() {
            for (x, got) in x.iter().zip(vector_unary(level, op, &x)) {
                let same = got.to_bits() == expected(*x) || (op == Unary::FrexpFract && x.is_nan());
                assert!(same, "{op:?}({x:e}) on {level}");
            }
        }
    }
}

#[test]
fn every_f16_widens_exactly_and_comes_back() {
    let all: Vec<f32> = (0..=0xffff_u32).map(|half| f32::from_bits(half | 0xabcd_0000)).collect();
    for level in CpuLevel::available() {
        for (half, wide) in (0..=0xffff_u32).zip(vector_unary(level, Unary::F16ToF32, &all)) {
            let (exponent, mantissa) = ((half >> 10) & 31, f64::from(half & 0x3ff));
            let magnitude = match exponent {
                0 => mantissa * 2_f64.powi(-24),
                31 if mantissa == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (1024.0 + mantissa) * 2_f64.powi(exponent.cast_signed() - 25),
            };
            let expected = (if half & 0x8000 == 0 { magnitude } else { -magnitude }) as f32;
            assert!(same(wide, expected), "{half:#x} gives {wide:e} on {level}");
            let scalar = eval::unary(Unary::F16ToF32, Fusion::Fused, half);
            assert_eq!(scalar, wide.to_bits(), "{half:#x} in one lane and on {level}");
            if !wide.is_nan() {
                assert_eq!(eval::unary(Unary::F32ToF16, Fusion::Fused, scalar), half);
            }
        }
    }
}
