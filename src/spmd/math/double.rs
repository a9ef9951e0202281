//! Logarithm and exponential in f64, to about 2⁻⁴⁴ and 2⁻³²: what `pow` and the inverse hyperbolic functions need so that
//! cancellation and large exponents do not show in the f32 result. No FMA, so the same bits on every CPU level.

use super::lane::{Double, MAGIC64, horner64};

/// `1.0f64` as bits.
pub(super) const ONE_BITS: u64 = 0x3ff0_0000_0000_0000;
/// What carries a mantissa of √½ or more over into the next exponent.
pub(super) const ABOVE_SQRT_HALF: u64 = ONE_BITS - 0x3fe6_a09e_667f_3bcd;
/// 2⁵² as bits: its low bits are an integer.
pub(super) const TWO_52_BITS: u64 = 0x4330_0000_0000_0000;
/// 2⁵² and the exponent bias.
pub(super) const TWO_52_AND_BIAS: f64 = 4_503_599_627_370_496.0 + 1023.0;

/// `log2(x)` to a relative 2⁻⁴⁴, for positive normal finite x; anything else gives an unspecified number.
///
/// log(m) = 2 artanh((m − 1) / (m + 1)), as in FDLIBM's `e_log.c` (Sun, 1993), with minimax coefficients of our own.
#[inline(always)]
pub(super) fn log2<D: Double>(x: D) -> D {
    const C: [f64; 5] = [
        0.666_666_666_758_146_7,
        0.399_999_956_150_588_9,
        0.285_721_100_827_093_45,
        0.221_761_420_383_054_66,
        0.195_849_315_196_837_63,
    ];
    let (e, m) = x.split();
    let s = (m - x.lit(1.0)) / (m + x.lit(1.0));
    let z = s * s;
    e + s * (x.lit(2.0) + z * horner64(z, C)) * x.lit(std::f64::consts::LOG2_E)
}

/// `2^x` to a relative 2⁻³², for |x| ≤ 1000; anything else gives an unspecified number.
#[inline(always)]
pub(super) fn exp2<D: Double>(x: D) -> D {
    const C: [f64; 7] = [
        0.693_147_183_820_620_7,
        0.240_226_509_210_683_98,
        0.055_504_003_676_264_8,
        0.009_618_056_858_287_8,
        0.001_334_195_373_677_701_2,
        0.000_154_613_920_157_937_36,
        0.000_013_359_996_161_728_447,
    ];
    let magic = x + x.lit(MAGIC64);
    let r = x - (magic - x.lit(MAGIC64));
    (x.lit(1.0) + r * horner64(r, C)).scale(magic)
}
