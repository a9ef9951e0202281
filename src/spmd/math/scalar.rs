//! One lane: plain numbers behind the traits of [`lane`](super::lane), for the oracle and for constant folding.

use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Shl, Shr, Sub};

use super::lane::{Double, Float, Int, MAGIC64};

/// An f32 as the CPU levels with FMA (`FUSED`) or without it compute with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar<const FUSED: bool>(pub(crate) f32);

/// An i32 lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScalarInt<const FUSED: bool>(pub(crate) i32);

/// An f64 lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScalarDouble<const FUSED: bool>(pub(crate) f64);

macro_rules! operators {
    ($($type:ident: $trait:ident $method:ident $a:ident $b:ident $result:expr;)*) => {$(
        impl<const FUSED: bool> $trait for $type<FUSED> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                let ($a, $b) = (self.0, other.0);
                Self($result)
            }
        }
    )*};
}

operators! {
    Scalar: Add add a b a + b;
    Scalar: Sub sub a b a - b;
    Scalar: Mul mul a b a * b;
    Scalar: Div div a b a / b;
    ScalarDouble: Add add a b a + b;
    ScalarDouble: Sub sub a b a - b;
    ScalarDouble: Mul mul a b a * b;
    ScalarDouble: Div div a b a / b;
    ScalarInt: Add add a b a.wrapping_add(b);
    ScalarInt: Sub sub a b a.wrapping_sub(b);
    ScalarInt: BitAnd bitand a b a & b;
    ScalarInt: BitOr bitor a b a | b;
    ScalarInt: BitXor bitxor a b a ^ b;
}

impl<const FUSED: bool> Neg for Scalar<FUSED> {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl<const FUSED: bool> Shl<u32> for ScalarInt<FUSED> {
    type Output = Self;
    fn shl(self, by: u32) -> Self {
        Self(self.0 << by)
    }
}

impl<const FUSED: bool> Shr<u32> for ScalarInt<FUSED> {
    type Output = Self;
    fn shr(self, by: u32) -> Self {
        Self(self.0 >> by)
    }
}

impl<const FUSED: bool> Float for Scalar<FUSED> {
    type Int = ScalarInt<FUSED>;
    type Double = ScalarDouble<FUSED>;
    type Mask = bool;

    fn lit(self, value: f32) -> Self {
        Self(value)
    }
    fn int(self, value: i32) -> Self::Int {
        ScalarInt(value)
    }
    fn fma(self, factor: Self, addend: Self) -> Self {
        if FUSED { Self(self.0.mul_add(factor.0, addend.0)) } else { self * factor + addend }
    }
    fn abs(self) -> Self {
        Self(self.0.abs())
    }
    fn sqrt(self) -> Self {
        Self(self.0.sqrt())
    }
    fn trunc(self) -> Self {
        Self(self.0.trunc())
    }
    fn eq(self, other: Self) -> bool {
        self.0 == other.0
    }
    fn lt(self, other: Self) -> bool {
        self.0 < other.0
    }
    fn le(self, other: Self) -> bool {
        self.0 <= other.0
    }
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
    fn bits(self) -> Self::Int {
        ScalarInt(self.0.to_bits().cast_signed())
    }
    fn to_int(self) -> Self::Int {
        ScalarInt(self.0 as i32)
    }
    fn to_uint(self) -> Self::Int {
        ScalarInt((self.0 as u32).cast_signed())
    }
    fn widen(self) -> Self::Double {
        ScalarDouble(f64::from(self.0))
    }
    fn patch(self, mask: bool, a: Self, b: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        if mask { Self(f(a.0, b.0)) } else { self }
    }
}

impl<const FUSED: bool> Int for ScalarInt<FUSED> {
    type Float = Scalar<FUSED>;
    type Mask = bool;

    fn lit(self, value: i32) -> Self {
        Self(value)
    }
    fn eq(self, other: Self) -> bool {
        self.0 == other.0
    }
    fn lt(self, other: Self) -> bool {
        self.0 < other.0
    }
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
    fn float(self) -> Self::Float {
        Scalar(f32::from_bits(self.0.cast_unsigned()))
    }
    fn to_float(self) -> Self::Float {
        Scalar(self.0 as f32)
    }
}

impl<const FUSED: bool> Double for ScalarDouble<FUSED> {
    type Float = Scalar<FUSED>;

    fn lit(self, value: f64) -> Self {
        Self(value)
    }
    fn sqrt(self) -> Self {
        Self(self.0.sqrt())
    }
    fn trunc(self) -> Self {
        Self(self.0.trunc())
    }
    fn clamp(self, low: f64, high: f64) -> Self {
        Self(self.0.max(low).min(high))
    }
    fn narrow(self) -> Self::Float {
        Scalar(self.0 as f32)
    }
    fn split(self) -> (Self, Self) {
        let bits = self.0.to_bits();
        let biased = bits.wrapping_add(super::double::ABOVE_SQRT_HALF) >> 52;
        let exponent = f64::from_bits(biased | super::double::TWO_52_BITS) - super::double::TWO_52_AND_BIAS;
        let mantissa = bits.wrapping_sub(biased << 52).wrapping_add(super::double::ONE_BITS);
        (Self(exponent), Self(f64::from_bits(mantissa)))
    }
    fn scale(self, magic: Self) -> Self {
        debug_assert!(magic.0.is_nan() || (magic.0 - MAGIC64).abs() < 1023.0, "2^n has to be normal");
        Self(f64::from_bits(self.0.to_bits().wrapping_add(magic.0.to_bits() << 52)))
    }
}
