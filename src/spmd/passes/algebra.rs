//! Rules for one operation: what it is on constants, and cheaper operations with the same bits.
//!
//! No rule of the reals that is none of IEEE 754: `x + 0` is not `x` (it makes -0 into 0), `x * 0` is not 0. A NaN may
//! become another NaN, since which one an operation gives is open.

use super::simplify::{Rule, Simplify};
use crate::spmd::ir::{Binary, Block, Op, Ternary, Ty, Unary, Value};
use crate::spmd::oracle::eval::{self, Fusion};

use Binary as B;
use Unary as U;

/// The same operation for operands in either order, if it has the same result.
pub(super) fn canonical(op: Op) -> Op {
    match op {
        Op::Binary(op, a, b) if commutes(op) => Op::Binary(op, a.min(b), a.max(b)),
        op => op,
    }
}

fn commutes(op: Binary) -> bool {
    let float = matches!(op, B::AddF | B::MulF | B::EqF | B::NeF);
    let integer = matches!(op, B::AddI | B::MulI | B::AndI | B::OrI | B::XorI | B::EqI | B::NeI);
    let other = matches!(op, B::MinI | B::MaxI | B::MinU | B::MaxU | B::AndB | B::OrB | B::XorB);
    float || integer || other
}

/// Whether the opposite of a condition costs as much as the condition.
pub(super) fn inverts(op: Op) -> bool {
    match op {
        Op::Unary(op, _) => op == U::NotB,
        Op::Binary(op, ..) => {
            matches!(op, B::EqI | B::NeI | B::LtI | B::LeI | B::LtU | B::LeU | B::EqF | B::NeF)
        }
        _ => false,
    }
}

/// The result on constants, where it does not depend on the CPU level.
fn fold(op: Op, ty: Ty, constant: impl Fn(Value) -> Option<u32>) -> Option<u32> {
    let fusion = Fusion::Fused;
    let bits = match op {
        Op::Unary(op, a) => match op {
            U::Exp | U::Exp2 | U::Log | U::Log2 | U::Sin | U::Cos | U::Tan | U::Asin | U::Acos | U::Atan => {
                return None;
            }
            U::Sinh | U::Cosh | U::Tanh | U::Asinh | U::Acosh | U::Atanh => return None,
            _ => eval::unary(op, fusion, constant(a)?),
        },
        Op::Binary(B::Pow | B::Atan2, ..) | Op::Ternary(Ternary::Fma, ..) => return None,
        Op::Binary(op, a, b) => eval::binary(op, fusion, constant(a)?, constant(b)?),
        Op::Ternary(op, a, b, c) => eval::ternary(op, fusion, constant(a)?, constant(b)?, constant(c)?),
        _ => return None,
    };
    // Which NaN the CPU would give is its own affair.
    if ty == Ty::F32 && f32::from_bits(bits).is_nan() { None } else { Some(bits) }
}

impl Simplify<'_> {
    /// One step towards a simpler operation. Operations that the result needs are appended to `out`.
    pub(super) fn rule(&mut self, out: &mut Block, op: Op, ty: Ty) -> Rule {
        if let Some(bits) = fold(op, ty, |value| self.constant(value)) {
            return Rule::Op(Op::Const(bits));
        }
        match op {
            Op::Unary(unary, a) => self.unary(unary, a, ty),
            Op::Binary(binary, a, b) => match (self.constant(a), self.constant(b)) {
                (Some(_), None) if commutes(binary) => Rule::Op(Op::Binary(binary, b, a)),
                (None, Some(bits)) if self.program.value(b).ty == Ty::F32 => self.by_float(binary, a, bits),
                (None, Some(bits)) => self.by_constant(out, binary, a, bits, ty),
                (Some(0), None) if binary == B::SubI => Rule::Op(Op::Unary(U::NegI, b)),
                _ if a == b => Self::by_itself(binary, a),
                _ => Rule::Keep,
            },
            Op::Ternary(Ternary::Select, cond, a, b) => self.select(cond, a, b, ty),
            _ => Rule::Keep,
        }
    }

    fn unary(&mut self, op: Unary, a: Value, ty: Ty) -> Rule {
        if op == U::Bitcast && self.program.value(a).ty == ty {
            return Rule::Is(a);
        }
        let Some(inner) = self.op(a) else { return Rule::Keep };
        match (op, inner) {
            (U::NegF, Op::Unary(U::NegF, x)) | (U::NegI, Op::Unary(U::NegI, x)) => Rule::Is(x),
            (U::NotI, Op::Unary(U::NotI, x)) | (U::NotB, Op::Unary(U::NotB, x)) => Rule::Is(x),
            (U::AbsF, Op::Unary(U::AbsF, _)) => Rule::Is(a),
            (U::AbsF, Op::Unary(U::NegF, x)) => Rule::Op(Op::Unary(U::AbsF, x)),
            (U::NotB, Op::Binary(B::EqI, x, y)) => Rule::Op(Op::Binary(B::NeI, x, y)),
            (U::NotB, Op::Binary(B::NeI, x, y)) => Rule::Op(Op::Binary(B::EqI, x, y)),
            (U::NotB, Op::Binary(B::EqF, x, y)) => Rule::Op(Op::Binary(B::NeF, x, y)),
            (U::NotB, Op::Binary(B::NeF, x, y)) => Rule::Op(Op::Binary(B::EqF, x, y)),
            (U::NotB, Op::Binary(B::LtI, x, y)) => Rule::Op(Op::Binary(B::LeI, y, x)),
            (U::NotB, Op::Binary(B::LeI, x, y)) => Rule::Op(Op::Binary(B::LtI, y, x)),
            (U::NotB, Op::Binary(B::LtU, x, y)) => Rule::Op(Op::Binary(B::LeU, y, x)),
            (U::NotB, Op::Binary(B::LeU, x, y)) => Rule::Op(Op::Binary(B::LtU, y, x)),
            (U::Bitcast, Op::Unary(U::Bitcast, x)) => Rule::Op(Op::Unary(U::Bitcast, x)),
            _ => Rule::Keep,
        }
    }

    /// `a op c` on floats.
    fn by_float(&mut self, op: Binary, a: Value, bits: u32) -> Rule {
        let c = f32::from_bits(bits);
        match op {
            B::MulF | B::DivF if c == 1.0 => Rule::Is(a),
            B::MulF | B::DivF if c == -1.0 => Rule::Op(Op::Unary(U::NegF, a)),
            // Exact, both; and a sum needs no constant.
            B::MulF if c == 2.0 => Rule::Op(Op::Binary(B::AddF, a, a)),
            B::AddF if bits == (-0.0_f32).to_bits() => Rule::Is(a),
            B::SubF if bits == 0 => Rule::Is(a),
            // A power of two with a reciprocal: the quotient and the product are the same real number, rounded once.
            B::DivF if bits & 0x007f_ffff == 0 && c.is_normal() && c.recip().is_normal() => {
                let reciprocal = self.literal(c.recip().to_bits(), Ty::F32);
                Rule::Op(Op::Binary(B::MulF, a, reciprocal))
            }
            _ => Rule::Keep,
        }
    }

    /// `a op c` on integers and bools.
    fn by_constant(&mut self, out: &mut Block, op: Binary, a: Value, c: u32, ty: Ty) -> Rule {
        let power = c.is_power_of_two().then(|| c.trailing_zeros());
        let zero = Rule::Op(Op::Const(0));
        match (op, c) {
            (B::AddI | B::SubI | B::OrI | B::XorI | B::ShlI | B::ShrI | B::ShrU, 0) => Rule::Is(a),
            (B::MulI | B::DivI | B::DivU, 1) | (B::DivI | B::DivU, 0) => Rule::Is(a),
            (B::AndI, u32::MAX)
            | (B::AndB, 1)
            | (B::OrB | B::XorB, 0)
            | (B::MaxU, 0)
            | (B::MinU, u32::MAX) => Rule::Is(a),
            (B::MulI | B::AndI | B::AndB | B::RemI | B::RemU | B::LtU | B::MinU, 0) => zero,
            (B::RemI | B::RemU, 1) | (B::RemI, u32::MAX) => zero,
            (B::OrB, 1) => Rule::Op(Op::Const(1)),
            (B::XorB, 1) => Rule::Op(Op::Unary(U::NotB, a)),
            (B::XorI, u32::MAX) => Rule::Op(Op::Unary(U::NotI, a)),
            (B::OrI, u32::MAX) => Rule::Op(Op::Const(u32::MAX)),
            (B::MulI | B::DivI, u32::MAX) => Rule::Op(Op::Unary(U::NegI, a)),
            (B::ShlI | B::ShrI | B::ShrU, 32..) => self.with(op, a, c % 32, Ty::U32),
            (B::SubI, _) => self.with(B::AddI, a, c.wrapping_neg(), ty),
            (B::AddI, _) => match self.op(a) {
                Some(Op::Binary(B::AddI, x, y)) if let Some(d) = self.constant(y) => {
                    self.with(B::AddI, x, c.wrapping_add(d), ty)
                }
                _ => Rule::Keep,
            },
            (B::MulI, _) if let Some(power) = power => self.with(B::ShlI, a, power, Ty::U32),
            (B::DivU, _) if let Some(power) = power => self.with(B::ShrU, a, power, Ty::U32),
            (B::RemU, _) if power.is_some() => self.with(B::AndI, a, c - 1, ty),
            (B::DivI | B::RemI, _)
                if c != 0x8000_0000 && c.cast_signed().unsigned_abs().is_power_of_two() =>
            {
                self.signed_power(out, op, a, c.cast_signed())
            }
            _ => Rule::Keep,
        }
    }

    fn with(&mut self, op: Binary, a: Value, c: u32, ty: Ty) -> Rule {
        let c = self.literal(c, ty);
        Rule::Op(Op::Binary(op, a, c))
    }

    /// Quotient or remainder by ±2ᵏ, 0 < k < 31: negative numbers get a bias of 2ᵏ-1, since shifts round down.
    fn signed_power(&mut self, out: &mut Block, op: Binary, a: Value, c: i32) -> Rule {
        let k = c.unsigned_abs().trailing_zeros();
        let [top, rest, k_bits] = [31, 32 - k, k].map(|by| self.literal(by, Ty::U32));
        let sign = self.emit(out, Op::Binary(B::ShrI, a, top), Ty::I32);
        let bias = self.emit(out, Op::Binary(B::ShrU, sign, rest), Ty::I32);
        let biased = self.emit(out, Op::Binary(B::AddI, a, bias), Ty::I32);
        if op == B::RemI {
            let mask = self.literal(c.unsigned_abs() - 1, Ty::I32);
            let low = self.emit(out, Op::Binary(B::AndI, biased, mask), Ty::I32);
            return Rule::Op(Op::Binary(B::SubI, low, bias));
        }
        let quotient = Op::Binary(B::ShrI, biased, k_bits);
        if c > 0 {
            return Rule::Op(quotient);
        }
        let quotient = self.emit(out, quotient, Ty::I32);
        Rule::Op(Op::Unary(U::NegI, quotient))
    }

    /// `a op a`.
    fn by_itself(op: Binary, a: Value) -> Rule {
        match op {
            B::SubI | B::XorI | B::XorB | B::NeI | B::LtI | B::LtU | B::LtF => Rule::Op(Op::Const(0)),
            B::EqI | B::LeI | B::LeU => Rule::Op(Op::Const(1)),
            B::AndI
            | B::OrI
            | B::AndB
            | B::OrB
            | B::MinI
            | B::MaxI
            | B::MinU
            | B::MaxU
            | B::MinF
            | B::MaxF => Rule::Is(a),
            _ => Rule::Keep,
        }
    }

    fn select(&mut self, cond: Value, a: Value, b: Value, ty: Ty) -> Rule {
        if a == b {
            return Rule::Is(a);
        }
        match self.constant(cond) {
            Some(0) => return Rule::Is(b),
            Some(_) => return Rule::Is(a),
            None => {}
        }
        if let Some(Op::Unary(U::NotB, cond)) = self.op(cond) {
            return Rule::Op(Op::Ternary(Ternary::Select, cond, b, a));
        }
        if ty != Ty::Bool {
            return Rule::Keep;
        }
        match (self.constant(a), self.constant(b)) {
            (Some(1), Some(0)) => Rule::Is(cond),
            (Some(0), Some(1)) => Rule::Op(Op::Unary(U::NotB, cond)),
            (Some(1), _) => Rule::Op(Op::Binary(B::OrB, cond, b)),
            (_, Some(0)) => Rule::Op(Op::Binary(B::AndB, cond, a)),
            _ => Rule::Keep,
        }
    }
}
