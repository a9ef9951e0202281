//! sin, cos, tan and their inverses.

use std::f32::consts::{FRAC_PI_2, PI};

use super::lane::{Double, Float, Int, MAGIC64, flip, horner, sign};

/// π/2 and π less their f32.
const FRAC_PI_2_LOW: f32 = -4.371_139e-8;
const PI_LOW: f32 = -8.742_278e-8;

/// x = q π/2 + r with |r| ≤ π/4 (a little more by rounding): `(r, q mod 4)`, for x ≥ 0. NaN for an infinity.
///
/// Cody and Waite (1980) with two parts of π/2 in f64 up to 2²¹, where each product and difference is exact or has 2⁻⁶⁴ to
/// spare; beyond, lane by lane, the way of Payne and Hanek (1983). So r is rounded once, whatever x.
#[inline(always)]
fn reduce<F: Float>(x: F) -> (F, F::Int) {
    const LIMIT: f32 = 2_097_152.0;
    const HIGH: f64 = 1.570_796_326_734_125_6;
    const LOW: f64 = 6.077_100_506_506_192e-11;
    let wide = x.widen();
    let magic = wide.lit(MAGIC64);
    let n = (wide * wide.lit(std::f64::consts::FRAC_2_PI) + magic) - magic;
    let r = (wide - n * wide.lit(HIGH)) - n * wide.lit(LOW);
    let far = !x.le(x.lit(LIMIT));
    let r = r.narrow().patch(far, x, x, |x, _| reduce_far(x).0);
    let q = n.narrow().patch(far, x, x, |x, _| reduce_far(x).1);
    (r, q.to_int())
}

/// [`reduce`] for x of 2²¹ and more: 128 bits of 2/π, taken from where their product with x's 24 has weight 2.
fn reduce_far(x: f32) -> (f32, f32) {
    if !x.is_finite() {
        return (f32::NAN, 0.0);
    }
    /// The binary fraction of 2/π, after eight zero bits.
    const FRAC_2_PI: [u64; 4] =
        [0x00a2_f983_6e4e_4415, 0x29fc_2757_d1f5_34dd, 0xc0db_6295_993c_4390, 0x41fe_5163_abde_bbc5];
    let bits = x.to_bits();
    // x = mantissa * 2^exponent. Bits of 2/π of weight 2^(2-exponent) and above give multiples of 4: skip them.
    let mantissa = u128::from(bits & 0x007f_ffff | 0x0080_0000);
    let exponent = (bits >> 23).cast_signed() - 150;
    let skip = (exponent - 2 + 8).cast_unsigned() as usize;
    let (word, bit) = (skip / 64, skip % 64);
    let at = |i: usize| FRAC_2_PI.get(i).map_or(0, |&word| u128::from(word));
    let top = at(word) << 64 | at(word + 1);
    let window = if bit == 0 { top } else { top << bit | at(word + 2) >> (64 - bit) };
    // x · 2/π modulo 4, as a fraction of 4 in 128 bits; its two top bits, rounded, are the quadrant.
    let product = window.wrapping_mul(mantissa);
    let quadrant = (product.wrapping_add(1 << 125)) >> 126;
    let rest = product.wrapping_sub(quadrant << 126).cast_signed();
    let r = rest as f64 * (std::f64::consts::FRAC_PI_2 / 2_f64.powi(126));
    (r as f32, (quadrant & 3) as f32)
}

/// sin r and cos r for |r| ≤ π/4. Minimax polynomials, 2⁻²⁸ and 2⁻³³.
#[inline(always)]
fn sin_cos<F: Float>(r: F) -> (F, F) {
    const SIN: [f32; 3] = [-0.166_666_55, 0.008_332_158, -0.000_195_149_58];
    const COS: [f32; 4] = [-0.5, 0.041_666_646, -0.001_388_731_3, 2.443_278_6e-5];
    let z = r * r;
    let sin = (r * z).fma(horner(z, SIN), r);
    let cos = z.fma(horner(z, COS), r.lit(1.0));
    (sin, cos)
}

/// `sin x`. At most 1.75 ULP for every finite x; NaN for infinities.
#[inline(always)]
pub(crate) fn sin<F: Float>(x: F) -> F {
    let (r, q) = reduce(x.abs());
    let (sin, cos) = sin_cos(r);
    let even = (q & q.lit(1)).eq(q.lit(0));
    flip(F::select(even, sin, cos), ((q & q.lit(2)) << 30) ^ sign(x))
}

/// `cos x`. At most 1.75 ULP for every finite x; NaN for infinities.
#[inline(always)]
pub(crate) fn cos<F: Float>(x: F) -> F {
    let (r, q) = reduce(x.abs());
    let (sin, cos) = sin_cos(r);
    let even = (q & q.lit(1)).eq(q.lit(0));
    flip(F::select(even, cos, sin), ((q + q.lit(1)) & q.lit(2)) << 30)
}

/// `tan x`. At most 3.5 ULP with FMA and 4 without, for every finite x; NaN for infinities.
#[inline(always)]
pub(crate) fn tan<F: Float>(x: F) -> F {
    let (r, q) = reduce(x.abs());
    let (sin, cos) = sin_cos(r);
    let odd = (q & q.lit(1)).eq(q.lit(1));
    let quotient = F::select(odd, cos, sin) / F::select(odd, sin, cos);
    flip(quotient, (q << 31) ^ sign(x))
}

/// For `a` in [0, 1]: `(p, big)`, where asin a = p, or π/2 − 2p if `big` (a > ½). NaN above 1.
///
/// asin a = π/2 − 2 asin √((1 − a) / 2) keeps the polynomial (minimax, 2⁻²⁷) to [0, ½], as in Cephes `asinf` (Moshier 1984).
#[inline(always)]
fn asin_parts<F: Float>(a: F) -> (F, F::Mask) {
    const C: [f32; 5] = [0.166_667_52, 0.074_952_975, 0.045_470_38, 0.024_179_503, 0.042_166_326];
    let big = a.lit(0.5).lt(a);
    let z = F::select(big, a.fma(a.lit(-0.5), a.lit(0.5)), a * a);
    let s = F::select(big, z.sqrt(), a);
    ((s * z).fma(horner(z, C), s), big)
}

/// `asin x`. At most 2.5 ULP; NaN outside [−1, 1].
#[inline(always)]
pub(crate) fn asin<F: Float>(x: F) -> F {
    let (p, big) = asin_parts(x.abs());
    let far = x.lit(FRAC_PI_2) - (p + p - x.lit(FRAC_PI_2_LOW));
    flip(F::select(big, far, p), sign(x))
}

/// `acos x`. At most 2 ULP; NaN outside [−1, 1].
#[inline(always)]
pub(crate) fn acos<F: Float>(x: F) -> F {
    let (p, big) = asin_parts(x.abs());
    let near = x.lit(FRAC_PI_2) - (flip(p, sign(x)) - x.lit(FRAC_PI_2_LOW));
    let twice = p + p;
    let far = F::select(x.lt(x.lit(0.0)), x.lit(PI) - (twice - x.lit(PI_LOW)), twice);
    F::select(big, far, near)
}

/// `atan q` for q in [0, 1]. Minimax polynomial of degree 19, 2⁻²⁸.
#[inline(always)]
fn atan_unit<F: Float>(q: F) -> F {
    const C: [f32; 9] = [
        -0.333_333,
        0.199_985_49,
        -0.142_642_44,
        0.109_521_925,
        -0.084_034_674,
        0.057_957_854,
        -0.031_178_081,
        0.010_914_721,
        -0.001_793_645_4,
    ];
    let z = q * q;
    (q * z).fma(horner(z, C), q)
}

/// `atan x`. At most 2 ULP.
#[inline(always)]
pub(crate) fn atan<F: Float>(x: F) -> F {
    let a = x.abs();
    let one = x.lit(1.0);
    let big = one.lt(a);
    let p = atan_unit(F::select(big, one, a) / F::select(big, a, one));
    let far = x.lit(FRAC_PI_2) - (p - x.lit(FRAC_PI_2_LOW));
    flip(F::select(big, far, p), sign(x))
}

/// `atan2(y, x)`, the angle of the point (x, y). At most 2.5 ULP; IEEE 754's values for zeros and infinities.
#[inline(always)]
pub(crate) fn atan2<F: Float>(y: F, x: F) -> F {
    let (ax, ay) = (x.abs(), y.abs());
    let x_smaller = ax.lt(ay);
    let (small, large) = (F::select(x_smaller, ax, ay), F::select(x_smaller, ay, ax));
    // 0/0 is the angle of the axis, ∞/∞ that of the diagonal.
    let equal = F::select(large.eq(x.lit(0.0)), x.lit(0.0), x.lit(1.0));
    let p = atan_unit(F::select(small.eq(large), equal, small / large));
    let p = F::select(x_smaller, x.lit(FRAC_PI_2) - (p - x.lit(FRAC_PI_2_LOW)), p);
    let p = F::select(x.bits().lt(x.int(0)), x.lit(PI) - (p - x.lit(PI_LOW)), p);
    flip(p, sign(y))
}
