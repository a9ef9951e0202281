//! exp, exp2, log, log2, pow.

use std::f32::consts::LOG2_E;

use super::double;
use super::lane::{Double, Float, Int, MAGIC, horner};

/// ln 2 in two parts; the first has nine bits, so that small integers times it are exact (Cephes, Moshier 1984).
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// `e^x`. At most 1.1 ULP with FMA and 1.2 without, subnormal results too.
///
/// Overflows to infinity above 88.72, is 0 below −103.97; NaN stays.
#[inline(always)]
pub(crate) fn exp<F: Float>(x: F) -> F {
    exp_times(x, 0)
}

/// `e^x * 2^shift` for a small shift, without overflow in between.
///
/// Cody and Waite (1980): x = n ln 2 + r with |r| ≤ ln 2 / 2, a polynomial in r (minimax of degree 6, 2⁻²⁸), and 2ⁿ by
/// way of the exponent field.
#[inline(always)]
pub(super) fn exp_times<F: Float>(x: F, shift: i32) -> F {
    const C: [f32; 5] = [0.499_999_94, 0.166_665_2, 0.041_668_404, 0.008_368_898, 0.001_381_423_6];
    let x = F::select(x.lt(x.lit(-105.0)), x.lit(-105.0), x);
    let x = F::select(x.lit(90.0).lt(x), x.lit(90.0), x);
    let magic = x.fma(x.lit(LOG2_E), x.lit(MAGIC));
    let n = magic - x.lit(MAGIC);
    let r = n.fma(x.lit(-LN2_HIGH), x);
    let r = n.fma(x.lit(-LN2_LOW), r);
    let p = (r * r).fma(horner(r, C), r) + x.lit(1.0);
    times_exp2(p, magic.bits() - x.int(MAGIC.to_bits().cast_signed() - shift))
}

/// `p * 2^n` for n in ±250, in two steps, since 2ⁿ itself may be out of range.
#[inline(always)]
fn times_exp2<F: Float>(p: F, n: F::Int) -> F {
    let half = n >> 1;
    p * exp2_int(half) * exp2_int(n - half)
}

/// `2^n` for n in −126..=127.
#[inline(always)]
pub(super) fn exp2_int<I: Int>(n: I) -> I::Float {
    ((n + n.lit(127)) << 23).float()
}

/// `2^x`. At most 1.1 ULP with FMA and 1.5 without; exact for integers.
///
/// Overflows to infinity from 128, is 0 below −150; NaN stays. Minimax polynomial of degree 6 (2⁻²⁸) on ±½.
#[inline(always)]
pub(crate) fn exp2<F: Float>(x: F) -> F {
    const C: [f32; 6] =
        [0.693_147_24, 0.240_226_52, 0.055_503_1, 0.009_617_692, 0.001_340_679_6, 0.000_155_949_64];
    let x = F::select(x.lt(x.lit(-152.0)), x.lit(-152.0), x);
    let x = F::select(x.lit(130.0).lt(x), x.lit(130.0), x);
    let magic = x + x.lit(MAGIC);
    let r = x - (magic - x.lit(MAGIC));
    let p = r.fma(horner(r, C), x.lit(1.0));
    times_exp2(p, magic.bits() - x.int(MAGIC.to_bits().cast_signed()))
}

/// x = 2ᵉ (1 + f) with 1 + f in [√½, √2): `(e, f, log(1 + f) - f)`; for positive finite x, subnormal too.
///
/// As Cephes `logf` (Moshier 1984), with minimax coefficients of our own (2⁻³⁰).
#[inline(always)]
fn log_parts<F: Float>(x: F) -> (F, F, F) {
    const SQRT_HALF: i32 = 0x3f35_04f3;
    const C: [f32; 10] = [
        -0.5,
        0.333_333_13,
        -0.250_000_1,
        0.200_021_19,
        -0.166_679_96,
        0.142_195_54,
        -0.124_055_9,
        0.118_881_53,
        -0.116_756_31,
        0.067_466_26,
    ];
    let small = x.lt(x.lit(f32::MIN_POSITIVE));
    let scaled = F::select(small, x * x.lit(8_388_608.0), x);
    let shift = F::select(small, x.lit(-23.0), x.lit(0.0));
    let k = (scaled.bits() - x.int(SQRT_HALF)) >> 23;
    let f = (scaled.bits() - (k << 23)).float() - x.lit(1.0);
    (k.to_float() + shift, f, f * f * horner(f, C))
}

/// `result` for positive finite x; −∞ for ±0, NaN for negatives, and +∞ and NaN themselves.
#[inline(always)]
fn log_domain<F: Float>(x: F, result: F) -> F {
    let zero = x.lit(0.0);
    let edge = F::select(x.lt(zero), x.lit(f32::NAN), x);
    let edge = F::select(x.eq(zero), x.lit(f32::NEG_INFINITY), edge);
    F::select(zero.lt(x) & x.lt(x.lit(f32::INFINITY)), result, edge)
}

/// `ln x`. At most 1.0 ULP.
///
/// −∞ for ±0, NaN below; subnormal arguments are exact.
#[inline(always)]
pub(crate) fn log<F: Float>(x: F) -> F {
    let (e, f, rest) = log_parts(x);
    let sum = f + e.fma(x.lit(LN2_LOW), rest);
    log_domain(x, e.fma(x.lit(LN2_HIGH), sum))
}

/// `log2 x`. At most 1.4 ULP with FMA and 1.6 without; exact for powers of two.
///
/// −∞ for ±0, NaN below; subnormal arguments are exact.
#[inline(always)]
pub(crate) fn log2<F: Float>(x: F) -> F {
    // log2 e less one, so that f itself goes in unrounded.
    const LOG2_E_LESS_ONE: f32 = 0.442_695_05;
    let (e, f, rest) = log_parts(x);
    let c = x.lit(LOG2_E_LESS_ONE);
    let sum = f.fma(c, rest.fma(c, rest));
    log_domain(x, e + (f + sum))
}

/// `x^y`. At most 0.51 ULP, the same bits on every CPU level.
///
/// IEEE 754's `pow` in every special case, so a negative x has its powers with integer y (WGSL leaves them open); 1 if y is
/// 0 or x is 1, whatever the other.
#[inline(always)]
pub(crate) fn pow<F: Float>(x: F, y: F) -> F {
    let (zero, one, infinity) = (x.lit(0.0), x.lit(1.0), x.lit(f32::INFINITY));
    let a = x.abs();
    // 2^±160 is as good as infinity and 0.
    let exponent = (y.widen() * double::log2(a.widen())).clamp(-160.0, 160.0);
    let power = double::exp2(exponent).narrow();

    let (a_zero, a_infinite) = (a.eq(zero), a.eq(infinity));
    let edge = F::select((a_zero & y.lt(zero)) | (a_infinite & zero.lt(y)), infinity, zero);
    let power = F::select(a_zero | a_infinite, edge, power);

    let half = y * x.lit(0.5);
    let integer = y.trunc().eq(y);
    let odd = integer & !half.trunc().eq(half);
    let negative = x.bits().lt(x.int(0));
    let power = F::select(negative & odd, -power, power);
    let power = F::select(x.lt(zero) & !integer & a.lt(infinity), x.lit(f32::NAN), power);
    let power = F::select(x.eq(x) & y.eq(y), power, x + y);
    let is_one = y.eq(zero) | x.eq(one) | (a.eq(one) & y.abs().eq(infinity));
    F::select(is_one, one, power)
}
