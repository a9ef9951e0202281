//! The types that operations take and give: one table, which the verifier checks programs against.

use super::{Binary, Op, Program, Ternary, Ty, Unary};

/// What type an operand may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// This type only.
    One(Ty),
    /// `I32` or `U32`.
    Integer,
    /// Anything but `Bool`.
    Word,
    /// Any type.
    Any,
}

/// What type a result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// This type.
    One(Ty),
    /// The type of the last operand.
    Same,
    /// Any type but `Bool`; the value's declaration says which.
    Word,
}

impl Takes {
    /// Whether an operand of type `ty` may stand here.
    pub(crate) fn accepts(self, ty: Ty) -> bool {
        match self {
            Self::One(one) => ty == one,
            Self::Integer => matches!(ty, Ty::I32 | Ty::U32),
            Self::Word => ty != Ty::Bool,
            Self::Any => true,
        }
    }
}

const F: Takes = Takes::One(Ty::F32);
const I: Takes = Takes::One(Ty::I32);
const U: Takes = Takes::One(Ty::U32);
const B: Takes = Takes::One(Ty::Bool);

impl Unary {
    /// Operand and result.
    pub(crate) fn signature(self) -> (Takes, Gives) {
        use Unary as O;
        match self {
            O::NegF | O::AbsF | O::SqrtF | O::FloorF | O::CeilF | O::TruncF | O::RoundF => (F, Gives::Same),
            O::Exp | O::Exp2 | O::Log | O::Log2 | O::Sin | O::Cos | O::Tan | O::Asin | O::Acos | O::Atan => {
                (F, Gives::Same)
            }
            O::Sinh | O::Cosh | O::Tanh | O::Asinh | O::Acosh | O::Atanh | O::InverseSqrt => (F, Gives::Same),
            O::FrexpFract => (F, Gives::Same),
            O::FrexpExp | O::F32ToI32 => (F, Gives::One(Ty::I32)),
            O::F32ToF16 | O::F32ToU32 => (F, Gives::One(Ty::U32)),
            O::F16ToF32 | O::U32ToF32 => (U, Gives::One(Ty::F32)),
            O::I32ToF32 => (I, Gives::One(Ty::F32)),
            O::AbsI => (I, Gives::Same),
            O::NegI | O::NotI | O::CountOnes | O::LeadingZeros | O::TrailingZeros | O::ReverseBits => {
                (Takes::Integer, Gives::Same)
            }
            O::NotB => (B, Gives::Same),
            O::Bitcast => (Takes::Word, Gives::Word),
        }
    }
}

impl Binary {
    /// Operands and result. Two operands that both take [`Takes::Integer`] have the same type.
    pub(crate) fn signature(self) -> ([Takes; 2], Gives) {
        use Binary as O;
        let bool = Gives::One(Ty::Bool);
        match self {
            O::AddF | O::SubF | O::MulF | O::DivF | O::RemF | O::MinF | O::MaxF | O::Pow | O::Atan2 => {
                ([F, F], Gives::Same)
            }
            O::Ldexp => ([F, I], Gives::One(Ty::F32)),
            O::AddI | O::SubI | O::MulI | O::AndI | O::OrI | O::XorI => ([Takes::Integer; 2], Gives::Same),
            O::DivI | O::RemI | O::MinI | O::MaxI => ([I, I], Gives::Same),
            O::DivU | O::RemU | O::MinU | O::MaxU => ([U, U], Gives::Same),
            // The result of a shift has the type of the first operand: `Op::result_type` says so.
            O::ShlI | O::ShrI | O::ShrU => ([Takes::Integer, U], Gives::Word),
            O::EqF | O::NeF | O::LtF | O::LeF => ([F, F], bool),
            O::EqI | O::NeI => ([Takes::Integer; 2], bool),
            O::LtI | O::LeI => ([I, I], bool),
            O::LtU | O::LeU => ([U, U], bool),
            O::AndB | O::OrB | O::XorB => ([B, B], bool),
        }
    }
}

impl Ternary {
    /// Operands and result. The last two operands of a `Select` have the same type.
    pub(crate) fn signature(self) -> ([Takes; 3], Gives) {
        match self {
            Self::Fma | Self::MulAddF => ([F, F, F], Gives::Same),
            Self::Select => ([B, Takes::Any, Takes::Any], Gives::Same),
        }
    }
}

impl Op {
    /// The type of the result, where the operation determines it; `None` for a constant, a load and a bitcast, whose
    /// values say it in their declaration.
    pub(crate) fn result_type(&self, program: &Program) -> Option<Ty> {
        let (gives, last) = match *self {
            Self::Const(_) | Self::Load { .. } => return None,
            Self::Builtin(_) | Self::Length { .. } => return Some(Ty::U32),
            Self::Get(var) => return Some(program.vars[var.index()].ty),
            Self::Unary(op, a) => (op.signature().1, a),
            Self::Binary(Binary::ShlI | Binary::ShrI | Binary::ShrU, a, _) => {
                return Some(program.value(a).ty);
            }
            Self::Binary(op, _, b) => (op.signature().1, b),
            Self::Ternary(op, _, _, c) => (op.signature().1, c),
        };
        match gives {
            Gives::One(ty) => Some(ty),
            Gives::Same => Some(program.value(last).ty),
            Gives::Word => None,
        }
    }
}
