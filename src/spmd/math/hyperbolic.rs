//! sinh, cosh, tanh and their inverses.

use super::double;
use super::exponential::{exp, exp_times};
use super::lane::{Double, Float, flip, horner, sign};

/// `sinh x`. At most 2 ULP.
///
/// A minimax polynomial (2⁻³⁴) below 1; above, from half of e^|x|, which overflows only where sinh does.
#[inline(always)]
pub(crate) fn sinh<F: Float>(x: F) -> F {
    const C: [f32; 4] = [0.166_666_67, 0.008_333_35, 0.000_198_361_6, 2.816_951_6e-6];
    let a = x.abs();
    let z = a * a;
    let near = (a * z).fma(horner(z, C), a);
    let half = exp_times(a, -1);
    let far = half - x.lit(0.25) / half;
    flip(F::select(a.lt(x.lit(1.0)), near, far), sign(x))
}

/// `cosh x`. At most 2 ULP.
#[inline(always)]
pub(crate) fn cosh<F: Float>(x: F) -> F {
    let half = exp_times(x.abs(), -1);
    half + x.lit(0.25) / half
}

/// `tanh x`. At most 2 ULP.
///
/// A minimax polynomial (2⁻²⁷) below 0.625; above, 1 − 2 / (e^2|x| + 1).
#[inline(always)]
pub(crate) fn tanh<F: Float>(x: F) -> F {
    const C: [f32; 5] = [-0.333_332_8, 0.133_314_42, -0.053_739_72, 0.020_639_094, -0.005_704_992_5];
    let a = x.abs();
    let z = a * a;
    let near = (a * z).fma(horner(z, C), a);
    let one = x.lit(1.0);
    let far = one - x.lit(2.0) / (exp(a + a) + one);
    flip(F::select(a.lt(x.lit(0.625)), near, far), sign(x))
}

/// Below this the series of the odd inverse functions is exact to f32, above it their f64 logarithms are.
const NEAR_ZERO: f32 = 1.0 / 256.0;

/// `asinh x = ±log(|x| + √(x² + 1))`. At most 1 ULP.
#[inline(always)]
pub(crate) fn asinh<F: Float>(x: F) -> F {
    let a = x.abs();
    let d = a.widen();
    let far = ln(d + (d * d + d.lit(1.0)).sqrt());
    let near = (a * a * a).fma(x.lit(-1.0 / 6.0), a);
    let result = F::select(a.lt(x.lit(NEAR_ZERO)), near, far);
    // Infinity and NaN themselves.
    flip(F::select(a.lt(x.lit(f32::INFINITY)), result, a), sign(x))
}

/// `acosh x = log(x + √(x² − 1))`. At most 0.51 ULP; NaN below 1.
#[inline(always)]
pub(crate) fn acosh<F: Float>(x: F) -> F {
    let d = x.widen();
    let result = ln(d + (d * d - d.lit(1.0)).sqrt());
    let result = F::select(x.lt(x.lit(f32::INFINITY)), result, x);
    F::select(x.lt(x.lit(1.0)), x.lit(f32::NAN), result)
}

/// `atanh x = ½ log((1 + x) / (1 − x))`. At most 1 ULP; ±∞ at ±1, NaN beyond.
#[inline(always)]
pub(crate) fn atanh<F: Float>(x: F) -> F {
    let a = x.abs();
    let one = x.lit(1.0);
    let d = a.widen();
    let far = ln((d.lit(1.0) + d) / (d.lit(1.0) - d)) * x.lit(0.5);
    let near = (a * a * a).fma(x.lit(1.0 / 3.0), a);
    let result = F::select(a.lt(x.lit(NEAR_ZERO)), near, far);
    let edge = F::select(a.eq(one), x.lit(f32::INFINITY), x.lit(f32::NAN));
    flip(F::select(a.lt(one), result, edge), sign(x))
}

/// The natural logarithm, rounded to f32 once.
#[inline(always)]
fn ln<D: Double>(x: D) -> D::Float {
    (double::log2(x) * x.lit(std::f64::consts::LN_2)).narrow()
}
