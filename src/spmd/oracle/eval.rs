//! One operation on one lane, as bits to bits: what every operation of the IR means.
//!
//! The oracle runs these; constant folding may use them for any operation with constant operands. Bools are 0 or 1.

use crate::cpu::CpuLevel;
use crate::spmd::ir::{Binary, Ternary, Unary};
use crate::spmd::math::{self, Scalar, ScalarInt};

/// Which multiply-add the CPU level has: the one difference in results that levels are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fusion {
    /// One rounding: AVX2+FMA, AVX-512, NEON.
    Fused,
    /// Two roundings: SSE2, SSE4.2.
    Split,
}

impl Fusion {
    /// That of a CPU level.
    pub(crate) const fn of(level: CpuLevel) -> Self {
        if level.has_fma() { Self::Fused } else { Self::Split }
    }
}

/// The result of a one-operand operation.
pub(crate) fn unary(op: Unary, fusion: Fusion, a: u32) -> u32 {
    let f = f32::from_bits(a);
    match op {
        Unary::NegF => a ^ 0x8000_0000,
        Unary::AbsF => a & 0x7fff_ffff,
        Unary::SqrtF => f.sqrt().to_bits(),
        Unary::FloorF => f.floor().to_bits(),
        Unary::CeilF => f.ceil().to_bits(),
        Unary::TruncF => f.trunc().to_bits(),
        Unary::RoundF => f.round_ties_even().to_bits(),
        Unary::InverseSqrt => (1.0 / f.sqrt()).to_bits(),
        Unary::NegI => a.wrapping_neg(),
        Unary::AbsI => a.cast_signed().wrapping_abs().cast_unsigned(),
        Unary::NotI => !a,
        Unary::CountOnes => a.count_ones(),
        Unary::LeadingZeros => a.leading_zeros(),
        Unary::TrailingZeros => a.trailing_zeros(),
        Unary::ReverseBits => a.reverse_bits(),
        Unary::NotB => a ^ 1,
        Unary::F32ToI32 => math::f32_to_i32(exact(f)).0.cast_unsigned(),
        Unary::F32ToU32 => math::f32_to_u32(exact(f)).0.cast_unsigned(),
        Unary::I32ToF32 => (a.cast_signed() as f32).to_bits(),
        Unary::U32ToF32 => (a as f32).to_bits(),
        Unary::Bitcast => a,
        Unary::Exp
        | Unary::Exp2
        | Unary::Log
        | Unary::Log2
        | Unary::Sin
        | Unary::Cos
        | Unary::Tan
        | Unary::Asin
        | Unary::Acos
        | Unary::Atan
        | Unary::Sinh
        | Unary::Cosh
        | Unary::Tanh
        | Unary::Asinh
        | Unary::Acosh
        | Unary::Atanh => match fusion {
            Fusion::Fused => elementary(op, Scalar::<true>(f)),
            Fusion::Split => elementary(op, Scalar::<false>(f)),
        }
        .to_bits(),
        Unary::FrexpFract => math::frexp_fract(exact(f)).0.to_bits(),
        Unary::FrexpExp => math::frexp_exp(exact(f)).0.cast_unsigned(),
        Unary::F32ToF16 => math::f32_to_f16(exact(f)).0.cast_unsigned(),
        Unary::F16ToF32 => math::f16_to_f32(ScalarInt::<true>(a.cast_signed())).0.to_bits(),
    }
}

/// The result of a two-operand operation.
pub(crate) fn binary(op: Binary, fusion: Fusion, a: u32, b: u32) -> u32 {
    let (x, y) = (f32::from_bits(a), f32::from_bits(b));
    let (i, j) = (a.cast_signed(), b.cast_signed());
    match op {
        Binary::AddF => (x + y).to_bits(),
        Binary::SubF => (x - y).to_bits(),
        Binary::MulF => (x * y).to_bits(),
        Binary::DivF => (x / y).to_bits(),
        Binary::RemF => math::rem(exact(x), exact(y)).0.to_bits(),
        Binary::MinF => (if y < x { y } else { x }).to_bits(),
        Binary::MaxF => (if x < y { y } else { x }).to_bits(),
        Binary::Pow => math::pow(exact(x), exact(y)).0.to_bits(),
        Binary::Atan2 => match fusion {
            Fusion::Fused => math::atan2(Scalar::<true>(x), Scalar(y)).0,
            Fusion::Split => math::atan2(Scalar::<false>(x), Scalar(y)).0,
        }
        .to_bits(),
        Binary::Ldexp => math::ldexp(exact(x), ScalarInt(j)).0.to_bits(),
        Binary::AddI => a.wrapping_add(b),
        Binary::SubI => a.wrapping_sub(b),
        Binary::MulI => a.wrapping_mul(b),
        Binary::DivI => (if j == 0 { i } else { i.wrapping_div(j) }).cast_unsigned(),
        Binary::DivU => a.checked_div(b).unwrap_or(a),
        Binary::RemI => (if j == 0 { 0 } else { i.wrapping_rem(j) }).cast_unsigned(),
        Binary::RemU => a.checked_rem(b).unwrap_or(0),
        Binary::MinI => i.min(j).cast_unsigned(),
        Binary::MaxI => i.max(j).cast_unsigned(),
        Binary::MinU => a.min(b),
        Binary::MaxU => a.max(b),
        Binary::AndI | Binary::AndB => a & b,
        Binary::OrI | Binary::OrB => a | b,
        Binary::XorI | Binary::XorB => a ^ b,
        Binary::ShlI => a.wrapping_shl(b),
        Binary::ShrI => i.wrapping_shr(b).cast_unsigned(),
        Binary::ShrU => a.wrapping_shr(b),
        Binary::EqF => u32::from(x == y),
        Binary::NeF => u32::from(x != y),
        Binary::LtF => u32::from(x < y),
        Binary::LeF => u32::from(x <= y),
        Binary::EqI => u32::from(a == b),
        Binary::NeI => u32::from(a != b),
        Binary::LtI => u32::from(i < j),
        Binary::LeI => u32::from(i <= j),
        Binary::LtU => u32::from(a < b),
        Binary::LeU => u32::from(a <= b),
    }
}

/// The result of a three-operand operation.
pub(crate) fn ternary(op: Ternary, fusion: Fusion, a: u32, b: u32, c: u32) -> u32 {
    let (x, y, z) = (f32::from_bits(a), f32::from_bits(b), f32::from_bits(c));
    match (op, fusion) {
        (Ternary::Fma, Fusion::Fused) => x.mul_add(y, z).to_bits(),
        (Ternary::Fma, Fusion::Split) | (Ternary::MulAddF, _) => (x * y + z).to_bits(),
        (Ternary::Select, _) => {
            if a != 0 {
                b
            } else {
                c
            }
        }
    }
}

/// For functions of `math` that are the same on every CPU level.
fn exact(x: f32) -> Scalar<true> {
    Scalar(x)
}

/// The functions of `math` that use the fused multiply-add.
fn elementary<const FUSED: bool>(op: Unary, x: Scalar<FUSED>) -> f32 {
    match op {
        Unary::Exp => math::exp(x),
        Unary::Exp2 => math::exp2(x),
        Unary::Log => math::log(x),
        Unary::Log2 => math::log2(x),
        Unary::Sin => math::sin(x),
        Unary::Cos => math::cos(x),
        Unary::Tan => math::tan(x),
        Unary::Asin => math::asin(x),
        Unary::Acos => math::acos(x),
        Unary::Atan => math::atan(x),
        Unary::Sinh => math::sinh(x),
        Unary::Cosh => math::cosh(x),
        Unary::Tanh => math::tanh(x),
        Unary::Asinh => math::asinh(x),
        Unary::Acosh => math::acosh(x),
        Unary::Atanh => math::atanh(x),
        other => unreachable!("{other:?} is no elementary function"),
    }
    .0
}
