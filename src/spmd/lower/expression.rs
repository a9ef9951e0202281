//! One arm per naga expression.

use naga::{Expression, Handle, Literal, Span, TypeInner};

use super::super::ir::{Binary, Op, Ty, Unary, Value};
use super::layout::{Layout, is_half};
use super::usage::{Pointee, pointee};
use super::{Frame, Lowerer, Meaning, Result, Unsupported, Vals};
use crate::spmd::ir::Memory;
use crate::spmd::lower::place::{Place, Root};

impl<'m> Lowerer<'m> {
    /// Evaluates an expression where naga says so, and remembers it.
    pub(super) fn emit(&mut self, frame: &mut Frame<'m>, handle: Handle<Expression>) -> Result<()> {
        let span = frame.span(handle);
        self.spend(1, span)?;
        let meaning = self.expression(frame, handle)?;
        self.define(frame, handle, meaning)
    }

    /// Remembers what an expression came to, and puts it where later code will look for it.
    pub(super) fn define(
        &mut self,
        frame: &mut Frame<'m>,
        handle: Handle<Expression>,
        mut meaning: Meaning,
    ) -> Result<()> {
        if let Some(at) = frame.carried.iter().position(|(h, _)| *h == handle) {
            let values: Vals = match &mut meaning {
                Meaning::Value(values) => values.clone(),
                Meaning::Place(place) => place.moving().into_iter().flatten().map(|part| *part).collect(),
                Meaning::Texture(_) => Vec::new().into(),
            };
            self.spend(values.len(), frame.span(handle))?;
            if frame.carried[at].1.is_empty() {
                let var = |&value: &Value| {
                    let ty = self.build.ty(value);
                    self.build.program.new_var("carried", ty)
                };
                frame.carried[at].1 = values.iter().map(var).collect();
            }
            for (&var, &value) in frame.carried[at].1.iter().zip(values.iter()) {
                self.build.set(var, value);
            }
        }
        frame.meanings[handle.index()] = Some(meaning.clone());
        if let Meaning::Value(values) = meaning
            && self.usage.function(frame.usage).indexed_values.contains(&handle)
            && self.constant_place(frame, handle)?.is_none()
        {
            self.spill(frame, handle, &values)?;
        }
        Ok(())
    }

    /// Gives an expression other values of the same types: those read back from variables.
    pub(super) fn replace_values(
        &mut self,
        frame: &mut Frame<'m>,
        handle: Handle<Expression>,
        values: &Vals,
    ) {
        match &mut frame.meanings[handle.index()] {
            Some(Meaning::Value(old)) => *old = values.clone(),
            Some(Meaning::Place(place)) => {
                place
                    .moving()
                    .into_iter()
                    .flatten()
                    .zip(values.iter())
                    .for_each(|(part, value)| *part = *value);
            }
            Some(Meaning::Texture(_)) | None => {}
        }
    }

    /// What an expression means here. What naga does not emit is looked up.
    pub(super) fn meaning(&mut self, frame: &mut Frame<'m>, handle: Handle<Expression>) -> Result<Meaning> {
        if let Some(meaning) = &frame.meanings[handle.index()] {
            return Ok(meaning.clone());
        }
        let span = frame.span(handle);
        self.enter(span)?;
        self.spend(1, span)?;
        let meaning = self.expression(frame, handle)?;
        self.leave();
        // Only what does not depend on where it was first needed is remembered.
        let lasting = match &meaning {
            Meaning::Place(_) | Meaning::Texture(_) => true,
            Meaning::Value(values) => {
                matches!(frame.function.expressions[handle], Expression::FunctionArgument(_))
                    || self.is_constant(values)
            }
        };
        if lasting {
            frame.meanings[handle.index()] = Some(meaning.clone());
        }
        Ok(meaning)
    }

    /// The scalars of a value.
    pub(super) fn values(&mut self, frame: &mut Frame<'m>, handle: Handle<Expression>) -> Result<Vals> {
        match self.meaning(frame, handle)? {
            Meaning::Value(values) => Ok(values),
            Meaning::Place(_) | Meaning::Texture(_) => {
                Err(Unsupported::new("a pointer or texture as a value", frame.span(handle)))
            }
        }
    }

    /// A value of one scalar.
    pub(super) fn scalar(&mut self, frame: &mut Frame<'m>, handle: Handle<Expression>) -> Result<Value> {
        Ok(self.values(frame, handle)?[0])
    }

    /// The type of an expression.
    pub(super) fn inner(&self, frame: &Frame<'m>, handle: Handle<Expression>) -> &'m TypeInner {
        frame.info[handle].ty.inner_with(&self.module.types)
    }

    /// What a pointer expression points at.
    pub(super) fn pointee(&self, frame: &Frame<'m>, handle: Handle<Expression>) -> Result<Pointee<'m>> {
        pointee(self.module, self.inner(frame, handle))
            .ok_or_else(|| Unsupported::new("an access through what is no pointer", frame.span(handle)))
    }

    fn expression(&mut self, frame: &mut Frame<'m>, handle: Handle<Expression>) -> Result<Meaning> {
        let span = frame.span(handle);
        let values: Vals = match frame.function.expressions[handle] {
            Expression::Literal(literal) => self.literal(literal, span)?.into(),
            Expression::Constant(constant) => self.global_expression(self.module.constants[constant].init)?,
            Expression::ZeroValue(ty) => self.zero(&self.module.types[ty].inner, span)?,
            Expression::Compose { ref components, .. } => {
                let mut values = Vec::with_capacity(components.len());
                for &component in components {
                    let part = self.values(frame, component)?;
                    self.spend(part.len(), span)?;
                    values.extend_from_slice(&part);
                }
                values.into()
            }
            Expression::Access { base, index } => {
                let index = self.scalar(frame, index)?;
                if pointee(self.module, self.inner(frame, base)).is_some() {
                    let place = self.place(frame, base)?;
                    let inner = self.pointee(frame, base)?;
                    return Ok(Meaning::Place(self.element(&place, inner.inner(), index, span)?));
                }
                let types = (self.inner(frame, base), self.inner(frame, handle));
                self.indexed_value(frame, base, types, index)?
            }
            Expression::AccessIndex { base, index } => {
                if pointee(self.module, self.inner(frame, base)).is_some() {
                    let place = self.place(frame, base)?;
                    let inner = self.pointee(frame, base)?;
                    return Ok(Meaning::Place(self.step(&place, inner.inner(), index, span)?));
                }
                let values = self.values(frame, base)?;
                let size = self.types.leaves(self.inner(frame, handle)) as usize;
                let from =
                    self.types.offset(self.inner(frame, base), index, Layout::Packed).unwrap_or(u32::MAX)
                        as usize;
                let part = from.checked_add(size).and_then(|to| values.get(from..to));
                let part = part.ok_or_else(|| Unsupported::new("an element past the end", span))?;
                self.spend(size, span)?;
                part.iter().copied().collect()
            }
            Expression::Splat { size, value } => {
                let value = self.scalar(frame, value)?;
                vec![value; size as usize].into()
            }
            Expression::Swizzle { size, vector, ref pattern } => {
                let values = self.values(frame, vector)?;
                pattern[..size as usize].iter().map(|component| values[component.index() as usize]).collect()
            }
            Expression::FunctionArgument(index) => return Ok(frame.arguments[index as usize].clone()),
            Expression::GlobalVariable(global) => {
                return match &self.globals[global.index()] {
                    Some(meaning) => Ok(meaning.clone()),
                    None => {
                        let variable = &self.module.global_variables[global];
                        Err(Unsupported::new(describe_space(variable.space), span))
                    }
                };
            }
            Expression::LocalVariable(variable) => {
                return match &frame.variables[variable.index()] {
                    Some(root) => Ok(Meaning::Place(Place::new(root.clone()))),
                    None => Err(Unsupported::new("a variable before its declaration", span)),
                };
            }
            Expression::Load { pointer } => {
                let place = self.place(frame, pointer)?;
                let inner = self.pointee(frame, pointer)?;
                self.load(&place, inner.inner(), span)?
            }
            Expression::Unary { op, expr } => {
                let values = self.values(frame, expr)?;
                values.iter().map(|&value| self.unary(op, value)).collect()
            }
            Expression::Binary { op, left, right } => {
                let types = (self.inner(frame, left), self.inner(frame, right));
                let (left, right) = (self.values(frame, left)?, self.values(frame, right)?);
                self.build.half = is_half(types.0);
                let result = self.binary(op, types, &left, &right, span);
                self.build.half = false;
                result?
            }
            Expression::Select { condition, accept, reject } => {
                let condition = self.values(frame, condition)?;
                let (accept, reject) = (self.values(frame, accept)?, self.values(frame, reject)?);
                self.spend(accept.len(), span)?;
                let pairs = accept.iter().zip(reject.iter()).enumerate();
                pairs
                    .map(|(i, (&accept, &reject))| {
                        let condition = condition[if condition.len() == 1 { 0 } else { i }];
                        self.build.select(condition, accept, reject)
                    })
                    .collect()
            }
            Expression::Relational { fun, argument } => {
                let values = self.values(frame, argument)?;
                self.relational(fun, &values)
            }
            Expression::Math { fun, arg, arg1, arg2, arg3 } => {
                let inner = self.inner(frame, arg);
                let mut arguments = vec![self.values(frame, arg)?];
                for argument in [arg1, arg2, arg3].into_iter().flatten() {
                    arguments.push(self.values(frame, argument)?);
                }
                self.build.half = is_half(inner);
                let result = self.math(fun, inner, &arguments, span);
                self.build.half = false;
                result?
            }
            Expression::As { expr, kind, convert } => {
                let values = self.values(frame, expr)?;
                self.spend(values.len(), span)?;
                let half = is_half(self.inner(frame, expr));
                if half && convert.is_none() && kind != naga::ScalarKind::Float {
                    return Err(Unsupported::new("a bitcast of f16", span));
                }
                let convert_one = |&value| {
                    let value = self.convert(value, kind, convert, span)?;
                    let narrows = convert == Some(2) && kind == naga::ScalarKind::Float && !half;
                    Ok(if narrows { self.build.rounded_to_half(value) } else { value })
                };
                let converted: Result<Vec<Value>> = values.iter().map(convert_one).collect();
                converted?.into()
            }
            Expression::ArrayLength(pointer) => {
                let place = self.place(frame, pointer)?;
                let inner = self.pointee(frame, pointer)?;
                self.array_length(&place, inner.inner(), span)?.into()
            }
            Expression::CallResult(_) => {
                return Err(Unsupported::new("the result of a call before the call", span));
            }
            Expression::Override(_) => return Err(Unsupported::new("override", span)),
            Expression::AtomicResult { .. }
            | Expression::WorkGroupUniformLoadResult { .. }
            | Expression::SubgroupBallotResult
            | Expression::SubgroupOperationResult { .. } => {
                return Err(Unsupported::new("the result of an operation before the operation", span));
            }
            ref sample @ Expression::ImageSample { .. } => {
                return Err(Unsupported::new(super::texture::sampling(sample), span));
            }
            Expression::ImageLoad { image, coordinate, array_index, level, .. } => {
                self.image_load(frame, image, coordinate, array_index, level)?
            }
            Expression::ImageQuery { image, query } => self.image_query(frame, image, query)?,
            Expression::Derivative { .. } => return Err(Unsupported::new("a derivative", span)),
            Expression::RayQueryVertexPositions { .. }
            | Expression::RayQueryProceedResult
            | Expression::RayQueryGetIntersection { .. } => {
                return Err(Unsupported::new("ray tracing", span));
            }
            Expression::CooperativeLoad { .. } | Expression::CooperativeMultiplyAdd { .. } => {
                return Err(Unsupported::new("a cooperative matrix", span));
            }
        };
        Ok(Meaning::Value(values))
    }

    /// A literal's constant.
    pub(super) fn literal(&mut self, literal: Literal, span: Span) -> Result<Value> {
        Ok(match literal {
            Literal::F32(number) => self.build.f32(number),
            Literal::F16(number) => self.build.f32(number.to_f32()),
            Literal::U32(number) => self.build.u32(number),
            Literal::I32(number) => self.build.constant(Ty::I32, number.cast_unsigned()),
            Literal::Bool(truth) => self.build.constant(Ty::Bool, truth.into()),
            Literal::F64(_)
            | Literal::U16(_)
            | Literal::I16(_)
            | Literal::U64(_)
            | Literal::I64(_)
            | Literal::AbstractInt(_)
            | Literal::AbstractFloat(_) => {
                let construct = super::layout::describe(literal.scalar());
                return Err(Unsupported::new(construct, span));
            }
        })
    }

    fn array_length(&mut self, place: &Place, inner: &TypeInner, span: Span) -> Result<Value> {
        let (&Root::Memory { memory: Memory::Buffer(buffer), layout }, Some(elements)) =
            (&place.root, self.types.elements(inner, place.layout()))
        else {
            return Err(Unsupported::new("arrayLength of what is no buffer", span));
        };
        let (offset, stride) = (place.offset, elements.stride);
        if layout != Layout::Halves {
            return Ok(self.build.push(Ty::U32, Op::Length { buffer, offset, stride }));
        }
        if stride % 2 == 0 {
            let op = Op::Length { buffer, offset: offset / 2, stride: stride / 2 };
            return Ok(self.build.push(Ty::U32, op));
        }
        // f16 by f16: two in each word, the first of which may belong to what comes before the array.
        let words = self.build.push(Ty::U32, Op::Length { buffer, offset: offset / 2, stride: 1 });
        let (two, taken) = (self.build.u32(2), self.build.u32(offset % 2));
        let halves = self.build.binary(Binary::MulI, words, two);
        let halves = self.build.binary(Binary::MaxU, halves, taken);
        Ok(self.build.binary(Binary::SubI, halves, taken))
    }

    /// Zeros of a type.
    pub(super) fn zero(&mut self, inner: &TypeInner, span: Span) -> Result<Vals> {
        self.spend(self.types.leaves(inner) as usize, span)?;
        let scalars = self.types.scalars(self.module, inner, Layout::Packed);
        let scalars = scalars.map_err(|construct| Unsupported::new(construct, span))?;
        Ok(scalars.into_iter().map(|slot| self.build.zero(slot.ty)).collect())
    }

    fn relational(&mut self, fun: naga::RelationalFunction, values: &[Value]) -> Vals {
        use naga::RelationalFunction as Fun;
        let mut join = |op| {
            let joined = values.iter().copied().reduce(|a, b| self.build.binary(op, a, b));
            joined.into_iter().collect()
        };
        match fun {
            Fun::All => join(Binary::AndB),
            Fun::Any => join(Binary::OrB),
            Fun::IsNan => values.iter().map(|&value| self.build.binary(Binary::NeF, value, value)).collect(),
            Fun::IsInf => {
                let infinity = self.build.f32(f32::INFINITY);
                let is_infinite = |&value: &Value| {
                    let size = self.build.unary(Unary::AbsF, value);
                    self.build.binary(Binary::EqF, size, infinity)
                };
                values.iter().map(is_infinite).collect()
            }
        }
    }
}

fn describe_space(space: naga::AddressSpace) -> &'static str {
    match space {
        naga::AddressSpace::Handle => "a sampler",
        naga::AddressSpace::Immediate => "immediate data",
        _ => "a variable of another shader stage",
    }
}

/// Calls `f` with every expression that an expression reads, for those that can be lowered.
pub(super) fn operands(expression: &Expression, mut f: impl FnMut(Handle<Expression>)) {
    match *expression {
        Expression::Compose { ref components, .. } => components.iter().copied().for_each(f),
        Expression::Access { base, index } => {
            f(base);
            f(index);
        }
        Expression::AccessIndex { base: operand, .. }
        | Expression::Splat { value: operand, .. }
        | Expression::Swizzle { vector: operand, .. }
        | Expression::Load { pointer: operand }
        | Expression::Unary { expr: operand, .. }
        | Expression::Relational { argument: operand, .. }
        | Expression::As { expr: operand, .. }
        | Expression::ArrayLength(operand) => f(operand),
        Expression::Binary { left, right, .. } => {
            f(left);
            f(right);
        }
        Expression::Select { condition, accept, reject } => {
            f(condition);
            f(accept);
            f(reject);
        }
        Expression::ImageLoad { image, coordinate, array_index, level, .. } => {
            [image, coordinate].into_iter().chain(array_index).chain(level).for_each(f);
        }
        Expression::ImageQuery { image, .. } => f(image),
        Expression::Math { arg, arg1, arg2, arg3, .. } => {
            f(arg);
            [arg1, arg2, arg3].into_iter().flatten().for_each(f);
        }
        _ => {}
    }
}
