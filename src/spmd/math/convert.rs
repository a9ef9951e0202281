//! Operations on the parts of a float, and the exact remainder: everything of the IR that is exact but not one instruction.
//! The same bits on every CPU level.

use super::exponential::exp2_int;
use super::lane::{Double, Float, Int};

/// `x * 2^n`, rounded once.
#[inline(always)]
pub(crate) fn ldexp<F: Float>(x: F, n: F::Int) -> F {
    // Beyond ±300 every finite x overflows or vanishes. In f64 nothing does, so the rounding is the one at the end.
    let n = Int::select(n.lt(n.lit(-300)), n.lit(-300), n);
    let n = Int::select(n.lit(300).lt(n), n.lit(300), n);
    let quarter = n >> 2;
    let rest = n - quarter - quarter - quarter;
    let step = exp2_int(quarter).widen();
    (x.widen() * step * step * step * exp2_int(rest).widen()).narrow()
}

/// The fraction of `frexp`: in ±[0.5, 1); x itself for ±0, infinities and NaN.
#[inline(always)]
pub(crate) fn frexp_fract<F: Float>(x: F) -> F {
    let (scaled, _, special) = frexp_parts(x);
    let fract = (scaled.bits() & x.int(0x807f_ffff_u32.cast_signed())) | x.int(0x3f00_0000);
    F::select(special, x, fract.float())
}

/// The exponent of `frexp`; 0 for ±0, infinities and NaN.
#[inline(always)]
pub(crate) fn frexp_exp<F: Float>(x: F) -> F::Int {
    let (scaled, shift, special) = frexp_parts(x);
    let exponent = ((scaled.bits() >> 23) & x.int(0xff)) - x.int(126) - shift;
    Int::select(special, x.int(0), exponent)
}

/// `x * 2^shift`, normal, and the shift; whether x has no fraction and exponent of its own.
#[inline(always)]
fn frexp_parts<F: Float>(x: F) -> (F, F::Int, F::Mask) {
    let a = x.abs();
    let subnormal = a.lt(x.lit(f32::MIN_POSITIVE));
    let scaled = F::select(subnormal, x * x.lit(16_777_216.0), x);
    let shift = Int::select(subnormal, x.int(24), x.int(0));
    (scaled, shift, a.eq(x.lit(0.0)) | !a.lt(x.lit(f32::INFINITY)))
}

/// The nearest f16's bits, ties to even, in the low half.
///
/// Giesen's `float_to_half_fast3_rtne` (2012): the float adder rounds the subnormals, integer carries the rest.
#[inline(always)]
pub(crate) fn f32_to_f16<F: Float>(x: F) -> F::Int {
    const DENORMAL_MAGIC: f32 = 0.5;
    let a = x.abs();
    let bits = a.bits();
    let odd = (bits >> 13) & x.int(1);
    let normal = (bits + x.int((15 - 127) * (1 << 23) + 0xfff) + odd) >> 13;
    let denormal = (a + x.lit(DENORMAL_MAGIC)).bits() - x.int(DENORMAL_MAGIC.to_bits().cast_signed());
    let special = Int::select(a.eq(a), x.int(0x7c00), x.int(0x7e00));
    let half = Int::select(a.lt(x.lit(6.103_515_6e-5)), denormal, normal);
    let half = Int::select(a.lt(x.lit(65_536.0)), half, special);
    half | ((x.bits() >> 16) & x.int(0x8000))
}

/// The f16 in the low half, exactly. A NaN keeps its payload and becomes quiet.
#[inline(always)]
pub(crate) fn f16_to_f32<I: Int>(bits: I) -> I::Float
where
    I::Float: Float<Int = I>,
{
    let magnitude = bits & bits.lit(0x7fff);
    let shifted = magnitude << 13;
    // The exponent's bias is 112 more; infinities and NaNs have the largest exponent here, too.
    let normal = shifted + bits.lit(112 << 23);
    let special = normal + bits.lit(112 << 23);
    let subnormal = (shifted + bits.lit(113 << 23)).float();
    let subnormal = (subnormal - subnormal.lit(6.103_515_6e-5)).bits();
    let quiet = special | bits.lit(0x0040_0000);
    let special = Int::select(bits.lit(0x7c00).lt(magnitude), quiet, special);
    let out = Int::select(magnitude.lt(bits.lit(0x0400)), subnormal, normal);
    let out = Int::select(magnitude.lt(bits.lit(0x7c00)), out, special);
    (out | ((bits & bits.lit(0x8000)) << 16)).float()
}

/// The exact remainder of x / y, with the sign of x: C's `fmodf`.
///
/// Below a quotient of 2²⁸ the truncated f64 quotient is right (a quotient of two f32 that is not an integer is further
/// from one than f64 rounds) and its product with y exact; the rest goes lane by lane.
#[inline(always)]
pub(crate) fn rem<F: Float>(x: F, y: F) -> F {
    let (ax, ay) = (x.abs(), y.abs());
    let infinity = x.lit(f32::INFINITY);
    let easy = ax.lt(infinity) & ay.lt(infinity) & ax.lt(ay * x.lit(268_435_456.0));
    let (dx, dy) = (ax.widen(), ay.widen());
    let quotient = (dx / dy).trunc();
    let rest = (dx - quotient * dy).narrow();
    super::lane::flip(rest, super::lane::sign(x)).patch(!easy, x, y, |x, y| x % y)
}

/// Truncates and clamps to what i32 and f32 have both: −2³¹ to 2³¹ − 128, as WGSL asks. NaN gives 0.
#[inline(always)]
pub(crate) fn f32_to_i32<F: Float>(x: F) -> F::Int {
    clamp(x, -2_147_483_648.0, 2_147_483_520.0).to_int()
}

/// Truncates and clamps to what u32 and f32 have both: 0 to 2³² − 256, as WGSL asks; as the bits of an i32. NaN gives 0.
#[inline(always)]
pub(crate) fn f32_to_u32<F: Float>(x: F) -> F::Int {
    clamp(x, 0.0, 4_294_967_040.0).to_uint()
}

/// Not below `low` nor above `high`; 0 for NaN.
#[inline(always)]
fn clamp<F: Float>(x: F, low: f32, high: f32) -> F {
    let x = F::select(x.lt(x.lit(low)), x.lit(low), x);
    let x = F::select(x.lit(high).lt(x), x.lit(high), x);
    F::select(x.eq(x), x, x.lit(0.0))
}
