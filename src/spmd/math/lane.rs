//! The few operations that the elementary functions are written in, for one lane and for [`LANES`] lanes at once.
//!
//! One generic source for both is what makes the scalar oracle and the block interpreter agree bit for bit. Nothing here
//! is a function of WGSL; those are in the files beside.

use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Shl, Shr, Sub};

/// f32 lanes.
pub(crate) trait Float:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// i32 lanes, as many.
    type Int: Int<Float = Self, Mask = Self::Mask>;
    /// f64 lanes, as many.
    type Double: Double<Float = Self>;
    /// What a comparison gives.
    type Mask: Mask;

    /// `value` in every lane.
    fn lit(self, value: f32) -> Self;
    /// `value` in every lane.
    fn int(self, value: i32) -> Self::Int;
    /// `self * factor + addend`: one rounding on CPU levels with FMA, two on the others.
    fn fma(self, factor: Self, addend: Self) -> Self;
    /// The sign bit cleared.
    fn abs(self) -> Self;
    /// Correctly rounded.
    fn sqrt(self) -> Self;
    /// Towards zero, to an integer.
    fn trunc(self) -> Self;
    /// `self == other`.
    fn eq(self, other: Self) -> Self::Mask;
    /// `self < other`.
    fn lt(self, other: Self) -> Self::Mask;
    /// `self <= other`.
    fn le(self, other: Self) -> Self::Mask;
    /// `yes` where the mask is on, else `no`.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// The bit patterns.
    fn bits(self) -> Self::Int;
    /// To integers, towards zero; only for numbers in −2³¹..2³¹, anything else gives an unspecified number.
    fn to_int(self) -> Self::Int;
    /// To integers, towards zero; only for numbers in 0..2³², anything else gives an unspecified number.
    fn to_uint(self) -> Self::Int;
    /// Exact.
    fn widen(self) -> Self::Double;
    /// `f(a, b)` in the lanes of the mask (a rare case, lane by lane), `self` in the others.
    fn patch(self, mask: Self::Mask, a: Self, b: Self, f: impl Fn(f32, f32) -> f32) -> Self;
}

/// i32 lanes; arithmetic wraps.
pub(crate) trait Int:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
    + Shl<u32, Output = Self>
    + Shr<u32, Output = Self>
{
    /// f32 lanes, as many.
    type Float;
    /// What a comparison gives.
    type Mask;

    /// `value` in every lane.
    fn lit(self, value: i32) -> Self;
    /// `self == other`.
    fn eq(self, other: Self) -> Self::Mask;
    /// `self < other`.
    fn lt(self, other: Self) -> Self::Mask;
    /// `yes` where the mask is on, else `no`.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// The floats with these bits.
    fn float(self) -> Self::Float;
    /// To nearest, ties to even.
    fn to_float(self) -> Self::Float;
}

/// f64 lanes. Never fused: these give the same bits on every CPU level.
pub(crate) trait Double:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// f32 lanes, as many.
    type Float;

    /// `value` in every lane.
    fn lit(self, value: f64) -> Self;
    /// Correctly rounded.
    fn sqrt(self) -> Self;
    /// Towards zero, to an integer.
    fn trunc(self) -> Self;
    /// Not below `low` nor above `high`; of a NaN, unspecified.
    fn clamp(self, low: f64, high: f64) -> Self;
    /// Rounds to f32.
    fn narrow(self) -> Self::Float;
    /// `(e, m)` with `self = 2^e * m` and m in [√½, √2). Unspecified unless positive, normal and finite.
    fn split(self) -> (Self, Self);
    /// `self * 2^n` by adding to the exponent field, where `magic = MAGIC64 + n`. Unspecified unless both are normal.
    fn scale(self, magic: Self) -> Self;
}

/// One truth value per lane.
pub(crate) trait Mask:
    Copy + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self>
{
}

impl<T> Mask for T where
    T: Copy + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self>
{
}

/// 1.5 · 2²³. Adding it rounds an f32 below 2²² to an integer and leaves that integer in the low bits.
pub(super) const MAGIC: f32 = 12_582_912.0;
/// 1.5 · 2⁵², the same for f64.
pub(super) const MAGIC64: f64 = 6_755_399_441_055_744.0;

/// `((c[n] * x + …) * x + c[1]) * x + c[0]` (Horner's scheme).
#[inline(always)]
pub(super) fn horner<F: Float, const N: usize>(x: F, c: [f32; N]) -> F {
    let mut sum = x.lit(c[N - 1]);
    for &c in c[..N - 1].iter().rev() {
        sum = sum.fma(x, x.lit(c));
    }
    sum
}

/// Horner's scheme in f64.
#[inline(always)]
pub(super) fn horner64<D: Double, const N: usize>(x: D, c: [f64; N]) -> D {
    let mut sum = x.lit(c[N - 1]);
    for &c in c[..N - 1].iter().rev() {
        sum = sum * x + x.lit(c);
    }
    sum
}

/// The sign bits alone.
#[inline(always)]
pub(super) fn sign<F: Float>(x: F) -> F::Int {
    x.bits() & x.int(i32::MIN)
}

/// `x` with its sign flipped where `sign` has the sign bit set.
#[inline(always)]
pub(super) fn flip<F: Float>(x: F, sign: F::Int) -> F {
    (x.bits() ^ sign).float()
}
