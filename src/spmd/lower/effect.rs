//! What involves other invocations: barriers and atomics.
//!
//! Effects decide how invocations have to run. Alone they may run in rows, in any company; a barrier, memory of the
//! workgroup or an operation of the subgroup needs whole workgroups. So does an atomic in a loop, calls included: whoever
//! waits for another one in it wants a promise about who runs when, and rows give none.

use naga::{AtomicFunction, Barrier, Expression, Handle, Scalar, Span, TypeInner};

use super::super::ir::{AtomicOp, Binary, Effect, Memory, Order, Ty, Value};
use super::place::{Place, Root};
use super::{Frame, Lowerer, Meaning, Result, Unsupported, Vals, layout};

impl<'m> Lowerer<'m> {
    /// Notes that invocations need their workgroup, or refuses it where they are to be alone.
    pub(super) fn together(&mut self, construct: &str, span: Span) -> Result<()> {
        if self.alone {
            return Err(Unsupported::new(construct, span));
        }
        self.build.program.order = Order::Workgroups;
        Ok(())
    }

    pub(super) fn barrier(&mut self, kind: Barrier, span: Span) -> Result<()> {
        self.together("a barrier", span)?;
        if kind == Barrier::SUB_GROUP {
            // Invocations of other subgroups need not come here, so it is no barrier of the workgroup: an operation that
            // all active ones of a subgroup take part in.
            let here = self.build.constant(Ty::Bool, 1);
            self.build.effect(None, Effect::Ballot { value: here });
        } else {
            self.build.effect(None, Effect::Barrier);
        }
        Ok(())
    }

    /// `workgroupUniformLoad`: what the workgroup has written before, read before it goes on.
    pub(super) fn uniform_load(
        &mut self,
        frame: &mut Frame<'m>,
        pointer: Handle<Expression>,
        result: Handle<Expression>,
        span: Span,
    ) -> Result<()> {
        self.together("workgroupUniformLoad", span)?;
        let place = self.place(frame, pointer)?;
        let inner = self.pointee(frame, pointer)?;
        self.build.effect(None, Effect::Barrier);
        let values = self.load(&place, inner.inner(), span)?;
        self.build.effect(None, Effect::Barrier);
        self.define(frame, result, Meaning::Value(values))
    }

    /// `atomicLoad`: naga has it as a load through a pointer to an atomic.
    pub(super) fn atomic_load(&mut self, place: &Place, scalar: Scalar, span: Span) -> Result<Vals> {
        let ty = self.atomic_type(scalar, span)?;
        let (memory, index) = self.atomic_word(place, span)?;
        Ok(self.build.effect_of(ty, Effect::AtomicLoad { memory, index }).into())
    }

    pub(super) fn atomic_store(
        &mut self,
        place: &Place,
        scalar: Scalar,
        value: Value,
        span: Span,
    ) -> Result<()> {
        self.atomic_type(scalar, span)?;
        let (memory, index) = self.atomic_word(place, span)?;
        self.build.effect(None, Effect::AtomicStore { memory, index, value });
        Ok(())
    }

    /// Every other atomic.
    pub(super) fn atomic(
        &mut self,
        frame: &mut Frame<'m>,
        pointer: Handle<Expression>,
        (function, value): (AtomicFunction, Handle<Expression>),
        result: Option<Handle<Expression>>,
        span: Span,
    ) -> Result<()> {
        let place = self.place(frame, pointer)?;
        let inner = self.pointee(frame, pointer)?;
        let &TypeInner::Atomic(scalar) = inner.inner() else {
            return Err(Unsupported::new("an atomic operation on what is no atomic", span));
        };
        let ty = self.atomic_type(scalar, span)?;
        let value = self.scalar(frame, value)?;
        let expected = match function {
            AtomicFunction::Exchange { compare: Some(compare) } => Some(self.scalar(frame, compare)?),
            _ => None,
        };
        let (memory, index) = self.atomic_word(&place, span)?;
        let op = match function {
            AtomicFunction::Add => AtomicOp::Add,
            AtomicFunction::Subtract => AtomicOp::Sub,
            AtomicFunction::And => AtomicOp::And,
            AtomicFunction::ExclusiveOr => AtomicOp::Xor,
            AtomicFunction::InclusiveOr => AtomicOp::Or,
            AtomicFunction::Min => AtomicOp::Min,
            AtomicFunction::Max => AtomicOp::Max,
            AtomicFunction::Exchange { .. } => AtomicOp::Exchange,
        };
        let effect = match expected {
            Some(expected) => Effect::CompareExchange { memory, index, expected, value },
            None => Effect::Atomic { op, memory, index, value },
        };
        let Some(result) = result else {
            self.build.effect(None, effect);
            return Ok(());
        };
        let old = self.build.effect_of(ty, effect);
        let values = match expected {
            // The struct `{ old_value, exchanged }`.
            Some(expected) => vec![old, self.build.binary(Binary::EqI, old, expected)].into(),
            None => old.into(),
        };
        self.define(frame, result, Meaning::Value(values))
    }

    fn atomic_type(&mut self, scalar: Scalar, span: Span) -> Result<Ty> {
        if self.alone {
            return Err(Unsupported::new("an atomic operation", span));
        }
        if self.loops > 0 {
            self.together("an atomic operation", span)?;
        }
        match layout::lane(scalar) {
            Some(ty @ (Ty::I32 | Ty::U32)) => Ok(ty),
            _ => Err(Unsupported::new(format!("atomics of {}", layout::describe(scalar)), span)),
        }
    }

    fn atomic_word(&mut self, place: &Place, span: Span) -> Result<(Memory, Value)> {
        match place.root {
            // WGSL wants read_write even to load; naga lets this pass.
            Root::Memory { memory: Memory::Buffer(buffer), .. } if !self.build.is_writable(buffer) => {
                Err(Unsupported::new("an atomic in storage that is declared read-only", span))
            }
            Root::Memory { memory: memory @ (Memory::Buffer(_) | Memory::Shared(_)), .. } => {
                Ok((memory, self.word(place, 0)))
            }
            _ => Err(Unsupported::new("an atomic that is not shared", span)),
        }
    }
}

/// The value that a statement defines.
pub(super) fn result_of(statement: &naga::Statement) -> Option<Handle<Expression>> {
    use naga::Statement as S;
    match *statement {
        S::Call { result, .. } | S::Atomic { result, .. } => result,
        S::WorkGroupUniformLoad { result, .. }
        | S::SubgroupBallot { result, .. }
        | S::SubgroupGather { result, .. }
        | S::SubgroupCollectiveOperation { result, .. } => Some(result),
        _ => None,
    }
}

/// Calls `f` with every expression that such a statement reads.
pub(super) fn operands(statement: &naga::Statement, mut f: impl FnMut(Handle<Expression>)) {
    use naga::Statement as S;
    match *statement {
        S::Atomic { pointer, ref fun, value, .. } => {
            f(pointer);
            f(value);
            if let AtomicFunction::Exchange { compare: Some(compare) } = *fun {
                f(compare);
            }
        }
        S::WorkGroupUniformLoad { pointer, .. } => f(pointer),
        S::SubgroupBallot { predicate, .. } => predicate.into_iter().for_each(f),
        S::SubgroupCollectiveOperation { argument, .. } => f(argument),
        S::SubgroupGather { ref mode, argument, .. } => {
            use naga::GatherMode as G;
            f(argument);
            match *mode {
                G::BroadcastFirst | G::QuadSwap(_) => {}
                G::Broadcast(index)
                | G::Shuffle(index)
                | G::ShuffleDown(index)
                | G::ShuffleUp(index)
                | G::ShuffleXor(index)
                | G::QuadBroadcast(index) => f(index),
            }
        }
        S::ImageStore { image, coordinate, array_index, value } => {
            [image, coordinate, value].into_iter().chain(array_index).for_each(f);
        }
        _ => {}
    }
}
