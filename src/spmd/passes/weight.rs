//! How dear an operation is over a vector of lanes, in additions. Rough on purpose: it decides about moving code only.

use crate::spmd::ir::{Binary, Op, Ternary, Unary};

/// What is dear enough that lanes which do not need it should be spared.
pub(super) const DEAR: u32 = 4;

/// The weight of an operation.
pub(super) fn weight(op: &Op) -> u32 {
    use {Binary as B, Unary as U};
    match op {
        Op::Const(_) | Op::Builtin(_) | Op::Get(_) | Op::Length { .. } => 0,
        Op::Load { .. } => 8,
        Op::Unary(op, _) => match op {
            U::SqrtF | U::InverseSqrt | U::FrexpFract | U::FrexpExp | U::ReverseBits | U::CountOnes => 4,
            U::LeadingZeros | U::TrailingZeros | U::F32ToF16 | U::F16ToF32 => 4,
            U::Exp | U::Exp2 | U::Log | U::Log2 | U::Sin | U::Cos | U::Tan | U::Asin | U::Acos | U::Atan => {
                20
            }
            U::Sinh | U::Cosh | U::Tanh | U::Asinh | U::Acosh | U::Atanh => 20,
            U::F32ToI32 | U::F32ToU32 => 2,
            _ => 1,
        },
        Op::Binary(op, ..) => match op {
            B::DivF | B::Ldexp => 4,
            B::DivI | B::DivU | B::RemI | B::RemU => 16,
            B::RemF | B::Pow | B::Atan2 => 40,
            B::MulI => 2,
            _ => 1,
        },
        Op::Ternary(Ternary::MulAddF, ..) => 2,
        Op::Ternary(..) => 1,
    }
}
