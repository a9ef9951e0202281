//! [`LANES`](crate::spmd::ir::LANES) lanes at once: `fearless_simd` vectors of any CPU level behind the traits of
//! [`lane`](super::lane). Everything inlines into the caller's `vectorize`.

use std::ops::{Add, Div, Mul, Sub};

use fearless_simd::prelude::*;
use fearless_simd::{f32x16, f64x8, i32x16, mask32x16, u32x16, u64x8};

use super::double::{ABOVE_SQRT_HALF, ONE_BITS, TWO_52_AND_BIAS, TWO_52_BITS};
use super::lane::{Double, Float, Int};

/// Sixteen f64 lanes, in two halves.
#[derive(Clone, Copy)]
pub(crate) struct Pair<S: Simd>(f64x8<S>, f64x8<S>);

macro_rules! operators {
    ($($trait:ident $method:ident $op:tt;)*) => {$(
        impl<S: Simd> $trait for Pair<S> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(self.0 $op other.0, self.1 $op other.1)
            }
        }
    )*};
}

operators! {
    Add add +;
    Sub sub -;
    Mul mul *;
    Div div /;
}

impl<S: Simd> Float for f32x16<S> {
    type Int = i32x16<S>;
    type Double = Pair<S>;
    type Mask = mask32x16<S>;

    #[inline(always)]
    fn lit(self, value: f32) -> Self {
        Self::splat(self.simd, value)
    }
    #[inline(always)]
    fn int(self, value: i32) -> Self::Int {
        i32x16::splat(self.simd, value)
    }
    #[inline(always)]
    fn fma(self, factor: Self, addend: Self) -> Self {
        self.mul_add(factor, addend)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        SimdBase::abs(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        SimdFloat::sqrt(self)
    }
    #[inline(always)]
    fn trunc(self) -> Self {
        SimdFloat::trunc(self)
    }
    #[inline(always)]
    fn eq(self, other: Self) -> Self::Mask {
        self.simd_eq(other)
    }
    #[inline(always)]
    fn lt(self, other: Self) -> Self::Mask {
        self.simd_lt(other)
    }
    #[inline(always)]
    fn le(self, other: Self) -> Self::Mask {
        self.simd_le(other)
    }
    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        mask.select(yes, no)
    }
    #[inline(always)]
    fn bits(self) -> Self::Int {
        self.bitcast()
    }
    #[inline(always)]
    fn to_int(self) -> Self::Int {
        SimdFloat::to_int(self)
    }
    #[inline(always)]
    fn to_uint(self) -> Self::Int {
        SimdFloat::to_int::<u32x16<S>>(self).bitcast()
    }
    #[inline(always)]
    fn widen(self) -> Self::Double {
        let (low, high) = SimdWiden::widen(self);
        Pair(low, high)
    }
    #[inline(always)]
    fn patch(mut self, mask: Self::Mask, a: Self, b: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        if mask.any_true() {
            cold(mask.to_bitmask(), self.as_mut_array(), a.as_array(), b.as_array(), f);
        }
        self
    }
}

/// Out of line, so that the common case carries only a test and a branch.
#[cold]
#[inline(never)]
fn cold(mask: u64, out: &mut [f32; 16], a: &[f32; 16], b: &[f32; 16], f: impl Fn(f32, f32) -> f32) {
    for lane in 0..16 {
        if mask >> lane & 1 == 1 {
            out[lane] = f(a[lane], b[lane]);
        }
    }
}

impl<S: Simd> Int for i32x16<S> {
    type Float = f32x16<S>;
    type Mask = mask32x16<S>;

    #[inline(always)]
    fn lit(self, value: i32) -> Self {
        Self::splat(self.simd, value)
    }
    #[inline(always)]
    fn eq(self, other: Self) -> Self::Mask {
        self.simd_eq(other)
    }
    #[inline(always)]
    fn lt(self, other: Self) -> Self::Mask {
        self.simd_lt(other)
    }
    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        mask.select(yes, no)
    }
    #[inline(always)]
    fn float(self) -> Self::Float {
        self.bitcast()
    }
    #[inline(always)]
    fn to_float(self) -> Self::Float {
        SimdInt::to_float(self)
    }
}

impl<S: Simd> Double for Pair<S> {
    type Float = f32x16<S>;

    #[inline(always)]
    fn lit(self, value: f64) -> Self {
        let value = f64x8::splat(self.0.simd, value);
        Self(value, value)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.sqrt(), self.1.sqrt())
    }
    #[inline(always)]
    fn trunc(self) -> Self {
        Self(self.0.trunc(), self.1.trunc())
    }
    #[inline(always)]
    fn clamp(self, low: f64, high: f64) -> Self {
        let (low, high) = (self.lit(low).0, self.lit(high).0);
        Self(self.0.max(low).min(high), self.1.max(low).min(high))
    }
    #[inline(always)]
    fn narrow(self) -> Self::Float {
        SimdNarrow::narrow(self.0, self.1)
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        let (e0, m0) = split(self.0);
        let (e1, m1) = split(self.1);
        (Self(e0, e1), Self(m0, m1))
    }
    #[inline(always)]
    fn scale(self, magic: Self) -> Self {
        Self(scale(self.0, magic.0), scale(self.1, magic.1))
    }
}

#[inline(always)]
fn split<S: Simd>(x: f64x8<S>) -> (f64x8<S>, f64x8<S>) {
    let bits: u64x8<S> = x.bitcast();
    let biased = (bits + ABOVE_SQRT_HALF) >> 52;
    let exponent = (biased | TWO_52_BITS).bitcast::<f64x8<S>>() - TWO_52_AND_BIAS;
    (exponent, (bits - (biased << 52) + ONE_BITS).bitcast())
}

#[inline(always)]
fn scale<S: Simd>(x: f64x8<S>, magic: f64x8<S>) -> f64x8<S> {
    (x.bitcast::<u64x8<S>>() + (magic.bitcast::<u64x8<S>>() << 52)).bitcast()
}
