//! Operators, matrix products and conversions, taken apart into scalars.
//!
//! Sums of products run from the first term to the last, each operation rounded: `a·x + b·y + c·z` is
//! `(a*x + b*y) + c*z`.

use naga::{BinaryOperator, ScalarKind, Span, TypeInner, UnaryOperator};

use super::super::ir::{Binary, Ty, Unary, Value};
use super::{Lowerer, Result, Unsupported, Vals};

impl Lowerer<'_> {
    pub(super) fn unary(&mut self, op: UnaryOperator, value: Value) -> Value {
        let op = match (op, self.build.ty(value)) {
            (UnaryOperator::Negate, Ty::F32) => Unary::NegF,
            (UnaryOperator::Negate, _) => Unary::NegI,
            (UnaryOperator::LogicalNot, _) | (UnaryOperator::BitwiseNot, Ty::Bool) => Unary::NotB,
            (UnaryOperator::BitwiseNot, _) => Unary::NotI,
        };
        self.build.unary(op, value)
    }

    /// Any binary operator on any operands that naga lets through.
    pub(super) fn binary(
        &mut self,
        op: BinaryOperator,
        types: (&TypeInner, &TypeInner),
        left: &[Value],
        right: &[Value],
        span: Span,
    ) -> Result<Vals> {
        self.spend(left.len().max(right.len()), span)?;
        let size = |size: naga::VectorSize| size as usize;
        match (op, types.0, types.1) {
            (
                BinaryOperator::Multiply,
                &TypeInner::Matrix { rows, .. },
                &TypeInner::Matrix { rows: inner, .. },
            ) => {
                let columns = right.chunks_exact(size(inner));
                Ok(columns.flat_map(|column| self.matrix_times_vector(left, size(rows), column)).collect())
            }
            (BinaryOperator::Multiply, &TypeInner::Matrix { rows, .. }, TypeInner::Vector { .. }) => {
                Ok(self.matrix_times_vector(left, size(rows), right).into())
            }
            (BinaryOperator::Multiply, TypeInner::Vector { .. }, &TypeInner::Matrix { rows, .. }) => {
                Ok(right.chunks_exact(size(rows)).map(|column| self.dot(left, column)).collect())
            }
            _ => self.each_pair(left, right, |lowerer, a, b| lowerer.scalar_binary(op, a, b, span)),
        }
    }

    /// Applies `f` to corresponding scalars; a single one goes with all of the other side.
    pub(super) fn each_pair(
        &mut self,
        left: &[Value],
        right: &[Value],
        mut f: impl FnMut(&mut Self, Value, Value) -> Result<Value>,
    ) -> Result<Vals> {
        let mut results = Vec::with_capacity(left.len().max(right.len()));
        for i in 0..left.len().max(right.len()) {
            let a = left[if left.len() == 1 { 0 } else { i }];
            let b = right[if right.len() == 1 { 0 } else { i }];
            results.push(f(self, a, b)?);
        }
        Ok(results.into())
    }

    fn scalar_binary(&mut self, op: BinaryOperator, a: Value, b: Value, span: Span) -> Result<Value> {
        use BinaryOperator as Op;
        let ty = self.build.ty(a);
        let (op, swapped) = match op {
            Op::Greater => (Op::Less, true),
            Op::GreaterEqual => (Op::LessEqual, true),
            op => (op, false),
        };
        let (a, b) = if swapped { (b, a) } else { (a, b) };
        let op = match (op, ty) {
            (Op::Add, Ty::F32) => Binary::AddF,
            (Op::Subtract, Ty::F32) => Binary::SubF,
            (Op::Multiply, Ty::F32) => Binary::MulF,
            (Op::Divide, Ty::F32) => Binary::DivF,
            (Op::Modulo, Ty::F32) => Binary::RemF,
            (Op::Equal, Ty::F32) => Binary::EqF,
            (Op::NotEqual, Ty::F32) => Binary::NeF,
            (Op::Less, Ty::F32) => Binary::LtF,
            (Op::LessEqual, Ty::F32) => Binary::LeF,
            (Op::Add, Ty::I32 | Ty::U32) => Binary::AddI,
            (Op::Subtract, Ty::I32 | Ty::U32) => Binary::SubI,
            (Op::Multiply, Ty::I32 | Ty::U32) => Binary::MulI,
            (Op::Divide, Ty::I32) => Binary::DivI,
            (Op::Divide, Ty::U32) => Binary::DivU,
            (Op::Modulo, Ty::I32) => Binary::RemI,
            (Op::Modulo, Ty::U32) => Binary::RemU,
            (Op::Equal, Ty::I32 | Ty::U32) => Binary::EqI,
            (Op::NotEqual, Ty::I32 | Ty::U32) => Binary::NeI,
            (Op::Less, Ty::I32) => Binary::LtI,
            (Op::Less, Ty::U32) => Binary::LtU,
            (Op::LessEqual, Ty::I32) => Binary::LeI,
            (Op::LessEqual, Ty::U32) => Binary::LeU,
            (Op::And, Ty::I32 | Ty::U32) => Binary::AndI,
            (Op::InclusiveOr, Ty::I32 | Ty::U32) => Binary::OrI,
            (Op::ExclusiveOr, Ty::I32 | Ty::U32) => Binary::XorI,
            (Op::ShiftLeft, Ty::I32 | Ty::U32) => Binary::ShlI,
            (Op::ShiftRight, Ty::I32) => Binary::ShrI,
            (Op::ShiftRight, Ty::U32) => Binary::ShrU,
            (Op::And | Op::LogicalAnd, Ty::Bool) => Binary::AndB,
            (Op::InclusiveOr | Op::LogicalOr, Ty::Bool) => Binary::OrB,
            (Op::ExclusiveOr | Op::NotEqual, Ty::Bool) => Binary::XorB,
            (Op::Equal, Ty::Bool) => {
                let differ = self.build.binary(Binary::XorB, a, b);
                return Ok(self.build.not(differ));
            }
            (op, ty) => return Err(Unsupported::new(format!("the operator {op:?} on {ty:?}"), span)),
        };
        Ok(self.build.binary(op, a, b))
    }

    /// `Σ aᵢ·bᵢ`, floats or integers.
    pub(super) fn dot(&mut self, a: &[Value], b: &[Value]) -> Value {
        let (multiply, add) = match self.build.ty(a[0]) {
            Ty::F32 => (Binary::MulF, Binary::AddF),
            _ => (Binary::MulI, Binary::AddI),
        };
        let mut sum = self.build.binary(multiply, a[0], b[0]);
        for (&a, &b) in a.iter().zip(b).skip(1) {
            let product = self.build.binary(multiply, a, b);
            sum = self.build.binary(add, sum, product);
        }
        sum
    }

    /// `Σ columnᵢ·vᵢ`.
    fn matrix_times_vector(&mut self, matrix: &[Value], rows: usize, vector: &[Value]) -> Vec<Value> {
        (0..rows)
            .map(|row| {
                let terms: Vec<Value> = matrix.iter().skip(row).step_by(rows).copied().collect();
                self.dot(&terms, vector)
            })
            .collect()
    }

    /// A conversion of one scalar; without a width, its bits as another type.
    pub(super) fn convert(
        &mut self,
        value: Value,
        kind: ScalarKind,
        width: Option<u8>,
        span: Span,
    ) -> Result<Value> {
        let from = self.build.ty(value);
        let Some(to) = super::layout::lane(naga::Scalar { kind, width: width.unwrap_or(4) }) else {
            let scalar = naga::Scalar { kind, width: width.unwrap_or(4) };
            return Err(Unsupported::new(super::layout::describe(scalar), span));
        };
        if from == to {
            return Ok(value);
        }
        if width.is_none() {
            return Ok(self.build.unary_to(to, Unary::Bitcast, value));
        }
        let op = match (from, to) {
            (Ty::F32, Ty::I32) => Unary::F32ToI32,
            (Ty::F32, Ty::U32) => Unary::F32ToU32,
            (Ty::I32, Ty::F32) => Unary::I32ToF32,
            (Ty::U32, Ty::F32) => Unary::U32ToF32,
            (Ty::Bool, _) => {
                let (one, zero) = (self.build.one(to), self.build.zero(to));
                return Ok(self.build.select(value, one, zero));
            }
            (Ty::F32, _) => {
                let zero = self.build.zero(from);
                return Ok(self.build.binary(Binary::NeF, value, zero));
            }
            (_, Ty::Bool) => {
                let zero = self.build.zero(from);
                return Ok(self.build.binary(Binary::NeI, value, zero));
            }
            _ => Unary::Bitcast,
        };
        Ok(self.build.unary_to(to, op, value))
    }
}
