//! Operations of the subgroup, component by component. The `SUBGROUP` invocations of one are neighbours by
//! `local_invocation_index`, so a shuffle by a distance is one by a number that is computed.

use naga::{CollectiveOperation, Direction, Expression, GatherMode, Handle, Span, SubgroupOperation};

use super::super::ir::{Binary, Builtin, Effect, Ty, Unary, Value};
use super::{Frame, Lowerer, Meaning, Result, Unsupported, Vals};

const NAME: &str = "a subgroup operation";

impl<'m> Lowerer<'m> {
    /// The first word has a bit for each invocation; there are no more of them.
    pub(super) fn ballot(
        &mut self,
        frame: &mut Frame<'m>,
        predicate: Option<Handle<Expression>>,
        result: Handle<Expression>,
        span: Span,
    ) -> Result<()> {
        self.together(NAME, span)?;
        let value = match predicate {
            Some(predicate) => self.scalar(frame, predicate)?,
            None => self.build.constant(Ty::Bool, 1),
        };
        let word = self.build.effect_of(Ty::U32, Effect::Ballot { value });
        let zero = self.build.u32(0);
        self.define(frame, result, Meaning::Value(vec![word, zero, zero, zero].into()))
    }

    pub(super) fn collective(
        &mut self,
        frame: &mut Frame<'m>,
        (operation, how): (SubgroupOperation, CollectiveOperation),
        argument: Handle<Expression>,
        result: Handle<Expression>,
        span: Span,
    ) -> Result<()> {
        self.together(NAME, span)?;
        let half = super::layout::is_half(self.inner(frame, argument));
        let mut results = Vec::new();
        for &value in self.values(frame, argument)?.iter() {
            let ty = self.build.ty(value);
            let Some(op) = operator(operation, ty) else {
                return Err(Unsupported::new(format!("the subgroup operation {operation:?} on {ty}"), span));
            };
            let effect = match how {
                CollectiveOperation::Reduce => Effect::Reduce { op, value },
                CollectiveOperation::InclusiveScan => Effect::InclusiveScan { op, value },
                CollectiveOperation::ExclusiveScan => Effect::ExclusiveScan { op, value },
            };
            let value = self.build.effect_of(ty, effect);
            results.push(if half { self.build.rounded_to_half(value) } else { value });
        }
        self.define(frame, result, Meaning::Value(results.into()))
    }

    pub(super) fn gather(
        &mut self,
        frame: &mut Frame<'m>,
        mode: GatherMode,
        argument: Handle<Expression>,
        result: Handle<Expression>,
        span: Span,
    ) -> Result<()> {
        self.together(NAME, span)?;
        let values = self.values(frame, argument)?;
        let index = match mode {
            GatherMode::BroadcastFirst => None,
            GatherMode::Broadcast(index) | GatherMode::Shuffle(index) => Some(self.word_of(frame, index)?),
            GatherMode::ShuffleDown(by) => Some(self.neighbour(frame, Binary::AddI, by)?),
            GatherMode::ShuffleUp(by) => Some(self.neighbour(frame, Binary::SubI, by)?),
            GatherMode::ShuffleXor(by) => Some(self.neighbour(frame, Binary::XorI, by)?),
            GatherMode::QuadBroadcast(index) => {
                let (index, quad) = (self.word_of(frame, index)?, self.build.u32(!3));
                let here = self.build.builtin(Builtin::SubgroupInvocationId);
                let first = self.build.binary(Binary::AndI, here, quad);
                Some(self.build.binary(Binary::OrI, first, index))
            }
            GatherMode::QuadSwap(direction) => {
                let mask = self.build.u32(match direction {
                    Direction::X => 1,
                    Direction::Y => 2,
                    Direction::Diagonal => 3,
                });
                let here = self.build.builtin(Builtin::SubgroupInvocationId);
                Some(self.build.binary(Binary::XorI, here, mask))
            }
        };
        let results: Vals = values
            .iter()
            .map(|&value| match index {
                Some(index) => self.build.effect_of(self.build.ty(value), Effect::Shuffle { value, index }),
                None => self.build.effect_of(self.build.ty(value), Effect::First { value }),
            })
            .collect();
        self.define(frame, result, Meaning::Value(results))
    }

    /// A number of an invocation, signed or not.
    fn word_of(&mut self, frame: &mut Frame<'m>, handle: Handle<Expression>) -> Result<Value> {
        let value = self.scalar(frame, handle)?;
        Ok(self.build.unary_to(Ty::U32, Unary::Bitcast, value))
    }

    /// This invocation's number, and a distance. Where that is no invocation of the subgroup, it is no index of one either.
    fn neighbour(&mut self, frame: &mut Frame<'m>, op: Binary, by: Handle<Expression>) -> Result<Value> {
        let by = self.word_of(frame, by)?;
        let here = self.build.builtin(Builtin::SubgroupInvocationId);
        Ok(self.build.binary(op, here, by))
    }
}

fn operator(operation: SubgroupOperation, ty: Ty) -> Option<Binary> {
    use SubgroupOperation as Op;
    Some(match (operation, ty) {
        (Op::All | Op::And, Ty::Bool) => Binary::AndB,
        (Op::Any | Op::Or, Ty::Bool) => Binary::OrB,
        (_, Ty::Bool) | (Op::All | Op::Any, _) => return None,
        (Op::Add, Ty::F32) => Binary::AddF,
        (Op::Mul, Ty::F32) => Binary::MulF,
        (Op::Min, Ty::F32) => Binary::MinF,
        (Op::Max, Ty::F32) => Binary::MaxF,
        (_, Ty::F32) => return None,
        (Op::Add, _) => Binary::AddI,
        (Op::Mul, _) => Binary::MulI,
        (Op::Min, Ty::I32) => Binary::MinI,
        (Op::Min, _) => Binary::MinU,
        (Op::Max, Ty::I32) => Binary::MaxI,
        (Op::Max, _) => Binary::MaxU,
        (Op::And, _) => Binary::AndI,
        (Op::Or, _) => Binary::OrI,
        (Op::Xor, _) => Binary::XorI,
    })
}
