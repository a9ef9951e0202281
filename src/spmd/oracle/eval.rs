//! One operation on one lane, as bits to bits: what every operation of the IR means.
//!
//! The oracle runs these; constant folding may use them for any operation with constant operands. Bools are 0 or 1.

use crate::spmd::ir::{Binary, Ternary, Unary};

/// Which multiply-add the CPU level has: the one difference in results that levels are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fusion {
    /// One rounding: AVX2+FMA, AVX-512, NEON.
    Fused,
    /// Two roundings: SSE2, SSE4.2.
    Split,
}

/// The result of a one-operand operation.
pub(crate) fn unary(op: Unary, fusion: Fusion, a: u32) -> u32 {
    let f = f32::from_bits(a);
    let _ = fusion;
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
        Unary::F32ToI32 => (f as i32).cast_unsigned(),
        Unary::F32ToU32 => f as u32,
        Unary::I32ToF32 => (a.cast_signed() as f32).to_bits(),
        Unary::U32ToF32 => (a as f32).to_bits(),
        Unary::Bitcast => a,
        Unary::Exp => f.exp().to_bits(),
        Unary::Exp2 => f.exp2().to_bits(),
        Unary::Log => f.ln().to_bits(),
        Unary::Log2 => f.log2().to_bits(),
        Unary::Sin => f.sin().to_bits(),
        Unary::Cos => f.cos().to_bits(),
        Unary::Tan => f.tan().to_bits(),
        Unary::Asin => f.asin().to_bits(),
        Unary::Acos => f.acos().to_bits(),
        Unary::Atan => f.atan().to_bits(),
        Unary::Sinh => f.sinh().to_bits(),
        Unary::Cosh => f.cosh().to_bits(),
        Unary::Tanh => f.tanh().to_bits(),
        Unary::Asinh => f.asinh().to_bits(),
        Unary::Acosh => f.acosh().to_bits(),
        Unary::Atanh => f.atanh().to_bits(),
        Unary::FrexpFract => frexp(f).0.to_bits(),
        Unary::FrexpExp => frexp(f).1.cast_unsigned(),
        Unary::F32ToF16 => f32_to_f16(f),
        Unary::F16ToF32 => f16_to_f32(a).to_bits(),
    }
}

/// The result of a two-operand operation.
pub(crate) fn binary(op: Binary, fusion: Fusion, a: u32, b: u32) -> u32 {
    let (x, y) = (f32::from_bits(a), f32::from_bits(b));
    let (i, j) = (a.cast_signed(), b.cast_signed());
    let _ = fusion;
    match op {
        Binary::AddF => (x + y).to_bits(),
        Binary::SubF => (x - y).to_bits(),
        Binary::MulF => (x * y).to_bits(),
        Binary::DivF => (x / y).to_bits(),
        Binary::RemF => (x % y).to_bits(),
        Binary::MinF => (if y < x { y } else { x }).to_bits(),
        Binary::MaxF => (if x < y { y } else { x }).to_bits(),
        Binary::Pow => x.powf(y).to_bits(),
        Binary::Atan2 => x.atan2(y).to_bits(),
        Binary::Ldexp => ldexp(x, j).to_bits(),
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

/// `x * 2^n`, rounded once: the product is exact in f64.
fn ldexp(x: f32, n: i32) -> f32 {
    // Beyond ±300 every finite x overflows or vanishes.
    (f64::from(x) * 2_f64.powi(n.clamp(-300, 300))) as f32
}

/// Fraction in ±[0.5, 1) and exponent; the number itself and 0 for ±0, infinities and NaN.
fn frexp(x: f32) -> (f32, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    // In f64 every f32 is normal.
    let bits = f64::from(x).to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    let fract = f64::from_bits(bits & !(0x7ff << 52) | (1022 << 52));
    (fract as f32, exponent)
}

/// Rounds to the nearest f16, ties to even.
fn f32_to_f16(x: f32) -> u32 {
    let sign = (x.to_bits() >> 16) & 0x8000;
    let magnitude = f64::from(x.abs());
    let bits = if x.is_nan() {
        0x7e00
    } else if magnitude >= 65520.0 {
        0x7c00
    } else {
        // An f16 is a multiple of its unit in the last place, 2^(e-10), and of no less than 2^-24.
        let exponent = (((magnitude.to_bits() >> 52) & 0x7ff) as i32 - 1023).max(-14);
        let units = (magnitude * 2_f64.powi(10 - exponent)).round_ties_even() as u32;
        // Carries of the rounding run into the exponent field, as they should.
        ((exponent + 14).cast_unsigned() << 10) + units
    };
    sign | bits
}

/// The f16 in the low half, exactly.
fn f16_to_f32(bits: u32) -> f32 {
    let (exponent, mantissa) = ((bits >> 10) & 31, (bits & 0x3ff) as f32);
    let magnitude = match exponent {
        0 => mantissa * 2_f32.powi(-24),
        31 if mantissa == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + mantissa) * 2_f32.powi(exponent.cast_signed() - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}
