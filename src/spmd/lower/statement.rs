//! Control flow and calls: one arm per naga statement.
//!
//! An early `return` in a called function becomes a `Break` out of a scope around it, except where it is the last thing
//! that happens anyway; `if c { return a; } rest` becomes `if c { a } else { rest }`, which later turns into a select.

use std::rc::Rc;

use naga::{Block, Expression, Handle, Span, Statement, SwitchCase, SwitchValue};

use super::super::ir::{self, Binary, Label, Stmt, Ty, Value};
use super::layout::Layout;
use super::{Exit, Frame, Lowerer, Meaning, Result, Unsupported, Vals, effect};

/// Past so many levels, what follows an early return is no longer nested into an `else`.
const MAX_MERGED_NESTING: usize = 48;

/// A switch of more cases than this leaves a scope at each case's end instead of nesting one `else` per case.
const MAX_NESTED_CASES: usize = 8;

/// What `break` and `continue` mean.
pub(super) struct Target {
    label: Label,
    switch: bool,
    /// Whether anything breaks to it.
    used: bool,
}

/// What comes after a block: where nothing does, leaving needs no jump.
#[derive(Clone, Copy)]
pub(super) struct Tail {
    /// The called function ends with this block.
    function: bool,
    /// The innermost switch ends with this block.
    switch: bool,
}

impl Tail {
    pub(super) const NONE: Self = Self { function: false, switch: false };
}

impl<'m> Lowerer<'m> {
    pub(super) fn block(&mut self, frame: &mut Frame<'m>, block: &'m Block, tail: Tail) -> Result<()> {
        self.statements(frame, &block.span_iter().collect::<Vec<_>>(), tail)
    }

    fn statements(
        &mut self,
        frame: &mut Frame<'m>,
        statements: &[(&'m Statement, &'m Span)],
        tail: Tail,
    ) -> Result<()> {
        for (at, &(statement, &span)) in statements.iter().enumerate() {
            self.spend(1, span)?;
            let rest = &statements[at + 1..];
            if let Statement::If { condition, accept, reject } = statement {
                let (first, second) = (always_returns(accept), always_returns(reject));
                let merged = tail.function && !rest.is_empty() && first != second;
                if merged && self.nesting < MAX_MERGED_NESTING {
                    let condition = self.scalar(frame, *condition)?;
                    self.enter(span)?;
                    let branch = |lowerer: &mut Self, frame: &mut Frame<'m>, block, returns: bool| {
                        lowerer.nested(|lowerer| {
                            lowerer.block(frame, block, if returns { tail } else { Tail::NONE })?;
                            if returns { Ok(()) } else { lowerer.statements(frame, rest, tail) }
                        })
                    };
                    let then = branch(self, frame, accept, first)?;
                    let otherwise = branch(self, frame, reject, second)?;
                    self.leave();
                    self.build.block.push(Stmt::If { cond: condition, then, otherwise });
                    return Ok(());
                }
            }
            self.statement(frame, statement, span, if rest.is_empty() { tail } else { Tail::NONE })?;
        }
        Ok(())
    }

    fn statement(
        &mut self,
        frame: &mut Frame<'m>,
        statement: &'m Statement,
        span: Span,
        tail: Tail,
    ) -> Result<()> {
        let unsupported = |construct: &str| Err(Unsupported::new(construct, span));
        match *statement {
            Statement::Emit(ref range) => {
                for handle in range.clone() {
                    self.emit(frame, handle)?;
                }
            }
            Statement::Block(ref block) => {
                self.enter(span)?;
                self.block(frame, block, tail)?;
                self.leave();
            }
            Statement::If { condition, ref accept, ref reject } => {
                let cond = self.scalar(frame, condition)?;
                self.enter(span)?;
                let then = self.nested(|lowerer| lowerer.block(frame, accept, tail))?;
                let otherwise = self.nested(|lowerer| lowerer.block(frame, reject, tail))?;
                self.leave();
                self.build.block.push(Stmt::If { cond, then, otherwise });
            }
            Statement::Switch { selector, ref cases } => {
                self.enter(span)?;
                self.switch(frame, selector, cases, tail, span)?;
                self.leave();
            }
            Statement::Loop { ref body, ref continuing, break_if } => {
                self.enter(span)?;
                self.repeat(frame, body, continuing, break_if)?;
                self.leave();
            }
            Statement::Break => {
                let Some(target) = frame.targets.last_mut() else {
                    return unsupported("break outside a loop");
                };
                if !(target.switch && tail.switch) {
                    target.used = true;
                    self.build.block.push(Stmt::Break(target.label));
                }
            }
            Statement::Continue => {
                let Some(target) = frame.targets.iter().rev().find(|target| !target.switch) else {
                    return unsupported("continue outside a loop");
                };
                self.build.block.push(Stmt::Continue(target.label));
            }
            Statement::Return { value } => self.return_from(frame, value, tail)?,
            Statement::Store { pointer, value } => {
                let place = self.place(frame, pointer)?;
                let values = self.values(frame, value)?;
                let inner = self.pointee(frame, pointer)?;
                self.store(&place, inner.inner(), &values, span)?;
            }
            Statement::Call { function, ref arguments, result } => {
                self.enter(span)?;
                let mut passed = Vec::with_capacity(arguments.len());
                for &argument in arguments {
                    passed.push(self.meaning(frame, argument)?);
                }
                let values = self.call(function, passed, span)?;
                if let Some(result) = result {
                    self.define(frame, result, Meaning::Value(values))?;
                }
                self.leave();
            }
            Statement::Kill => return unsupported("discard"),
            // In WGSL, a barrier of storage memory waits for the workgroup too.
            Statement::ControlBarrier(kind) | Statement::MemoryBarrier(kind) => self.barrier(kind, span)?,
            Statement::Atomic { pointer, fun, value, result } => {
                self.atomic(frame, pointer, (fun, value), result, span)?;
            }
            Statement::WorkGroupUniformLoad { pointer, result } => {
                self.uniform_load(frame, pointer, result, span)?;
            }
            Statement::ImageStore { image, coordinate, array_index, value } => {
                self.image_store(frame, image, coordinate, array_index, value)?;
            }
            Statement::ImageAtomic { .. } => return unsupported("an atomic operation on a texture"),
            Statement::SubgroupBallot { result, predicate } => self.ballot(frame, predicate, result, span)?,
            Statement::SubgroupGather { mode, argument, result } => {
                self.gather(frame, mode, argument, result, span)?;
            }
            Statement::SubgroupCollectiveOperation { op, collective_op, argument, result } => {
                self.collective(frame, (op, collective_op), argument, result, span)?;
            }
            Statement::RayQuery { .. } | Statement::RayPipelineFunction(_) => {
                return unsupported("ray tracing");
            }
            Statement::CooperativeStore { .. } => return unsupported("a cooperative matrix"),
        }
        Ok(())
    }

    fn return_from(
        &mut self,
        frame: &mut Frame<'m>,
        value: Option<Handle<Expression>>,
        tail: Tail,
    ) -> Result<()> {
        let values = match value {
            Some(value) => Some(self.values(frame, value)?),
            None => None,
        };
        match &mut frame.exit {
            Exit::Invocation => self.build.block.push(Stmt::Return),
            Exit::End(result) => *result = values,
            Exit::Scope { result, label, used } => {
                for (&var, &value) in result.iter().zip(values.as_deref().unwrap_or_default()) {
                    self.build.set(var, value);
                }
                if !tail.function {
                    *used = true;
                    self.build.block.push(Stmt::Break(*label));
                }
            }
        }
        Ok(())
    }

    /// A call, inlined. The result's scalars; none for a function without a result.
    fn call(&mut self, callee: Handle<naga::Function>, arguments: Vec<Meaning>, span: Span) -> Result<Vals> {
        let function = &self.module.functions[callee];
        let usage = Rc::clone(&self.usage);
        let ends_once = usage.function(callee.index()).returns == 1
            && matches!(function.body.last(), Some(Statement::Return { .. }));
        let exit = if ends_once {
            Exit::End(None)
        } else {
            let mut result = Vec::new();
            if let Some(returned) = &function.result {
                let inner = &self.module.types[returned.ty].inner;
                self.spend(self.types.leaves(inner) as usize, span)?;
                let scalars = self.types.scalars(self.module, inner, Layout::Packed);
                let name = function.name.as_deref().unwrap_or_default();
                for slot in scalars.map_err(|construct| Unsupported::new(construct, span))? {
                    result.push(self.build.program.new_var(format!("{name}()"), slot.ty));
                }
            }
            Exit::Scope { result, label: self.build.program.new_label(), used: false }
        };
        self.spend(function.expressions.len(), span)?;
        let mut frame = Frame::new(function, &self.info[callee], callee.index(), arguments, exit);
        self.declare_variables(&mut frame, false)?;
        let tail = Tail { function: true, switch: false };
        let mut body = self.nested(|lowerer| lowerer.block(&mut frame, &function.body, tail))?;
        self.free_locals.append(&mut frame.owned_locals);
        match frame.exit {
            Exit::Invocation => Err(Unsupported::new("a call of an entry point", span)),
            Exit::End(values) => {
                self.build.block.append(&mut body);
                Ok(values.unwrap_or_else(|| Vec::new().into()))
            }
            Exit::Scope { result, label, used } => {
                if used {
                    self.build.block.push(Stmt::Scope { label, body });
                } else {
                    self.build.block.append(&mut body);
                }
                Ok(result.into_iter().map(|var| self.build.get(var)).collect())
            }
        }
    }

    fn repeat(
        &mut self,
        frame: &mut Frame<'m>,
        body: &'m Block,
        continuing: &'m Block,
        break_if: Option<Handle<Expression>>,
    ) -> Result<()> {
        let label = self.build.program.new_label();
        let outer_carried = frame.carried.len();
        self.carry(frame, body, continuing, break_if);
        frame.targets.push(Target { label, switch: false, used: false });
        self.loops += 1;
        let body = self.nested(|lowerer| lowerer.block(frame, body, Tail::NONE))?;
        let mut condition = None;
        let continuing = self.nested(|lowerer| {
            for at in outer_carried..frame.carried.len() {
                let (handle, ref vars) = frame.carried[at];
                let values: Vals = vars.clone().into_iter().map(|var| lowerer.build.get(var)).collect();
                lowerer.replace_values(frame, handle, &values);
            }
            lowerer.block(frame, continuing, Tail::NONE)?;
            if let Some(handle) = break_if {
                condition = Some(lowerer.scalar(frame, handle)?);
            }
            Ok(())
        })?;
        self.loops -= 1;
        frame.targets.pop();
        frame.carried.truncate(outer_carried);
        self.build.block.push(Stmt::Loop { label, body, continuing, break_if: condition });
        Ok(())
    }

    /// Notes which values of a loop's body `continuing` reads although a `continue` may have come before them. WGSL
    /// forbids that, but naga lets it pass; with a variable in between, the old value is read and nothing breaks.
    fn carry(
        &self,
        frame: &mut Frame<'m>,
        body: &Block,
        continuing: &Block,
        break_if: Option<Handle<Expression>>,
    ) {
        if continuing.is_empty() && break_if.is_none() {
            return;
        }
        let mut made = Vec::new();
        for statement in body.iter().skip_while(|statement| !may_continue(statement)) {
            match statement {
                Statement::Emit(range) => made.push(range.index_range()),
                statement => {
                    if let Some(result) = effect::result_of(statement) {
                        let index = u32::try_from(result.index()).expect("naga's handles are 32 bits");
                        made.push(index..index + 1);
                    }
                }
            }
        }
        made.sort_unstable_by_key(|range| range.start);
        let mut read = Vec::new();
        reads(frame.function, continuing, &mut read);
        read.extend(break_if);
        read.sort_unstable();
        read.dedup();
        for handle in read {
            let index = u32::try_from(handle.index()).expect("naga's handles are 32 bits");
            let before = made.partition_point(|range| range.start <= index);
            if before > 0 && made[before - 1].contains(&index) {
                frame.carried.push((handle, Vec::new()));
            }
        }
    }

    fn switch(
        &mut self,
        frame: &mut Frame<'m>,
        selector: Handle<Expression>,
        cases: &'m [SwitchCase],
        tail: Tail,
        span: Span,
    ) -> Result<()> {
        let selector = self.scalar(frame, selector)?;
        // A group runs one body for several selectors; a body that falls through goes on into the next.
        let mut groups: Vec<Group<'m>> = Vec::new();
        let mut pending: Vec<(usize, u32)> = Vec::new();
        let mut default = None;
        for (at, case) in cases.iter().enumerate() {
            let bits = match case.value {
                SwitchValue::I32(n) => Some(n.cast_unsigned()),
                SwitchValue::U32(n) => Some(n),
                SwitchValue::Default => None,
            };
            let group = groups.len();
            match bits {
                Some(bits) => pending.push((group, bits)),
                None => default = Some(group),
            }
            let empty = case.body.is_empty() && case.fall_through;
            if !empty {
                let end = (at..cases.len()).find(|&i| !cases[i].fall_through).map_or(cases.len(), |i| i + 1);
                groups.push(Group { selectors: Vec::new(), bodies: &cases[at..end] });
            }
        }
        for (group, bits) in pending {
            if let Some(group) = groups.get_mut(group) {
                group.selectors.push(bits);
            }
        }
        let default = default.and_then(|at| (at < groups.len()).then(|| groups.remove(at)));
        let label = self.build.program.new_label();
        frame.targets.push(Target { label, switch: true, used: false });
        let nested = groups.len() <= MAX_NESTED_CASES;
        let inner = Tail { switch: nested, function: tail.function && nested };
        let body = self.nested(|lowerer| {
            let last = Tail { switch: true, function: tail.function };
            if nested {
                return lowerer.cases(frame, selector, &groups, default.as_ref(), inner, span);
            }
            for group in &groups {
                let cond = lowerer.matches(selector, &group.selectors, span)?;
                let then = lowerer.nested(|lowerer| {
                    lowerer.bodies(frame, group, inner)?;
                    if !matches!(
                        lowerer.build.block.last(),
                        Some(Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return)
                    ) {
                        lowerer.build.block.push(Stmt::Break(label));
                    }
                    Ok(())
                })?;
                lowerer.build.block.push(Stmt::If { cond, then, otherwise: ir::Block::new() });
            }
            default.as_ref().map_or(Ok(()), |default| lowerer.bodies(frame, default, last))
        })?;
        let used = frame.targets.pop().is_some_and(|target| target.used) || !nested;
        if used {
            self.build.block.push(Stmt::Scope { label, body });
        } else {
            self.build.block.extend(body);
        }
        Ok(())
    }

    /// One `else` per case.
    fn cases(
        &mut self,
        frame: &mut Frame<'m>,
        selector: Value,
        groups: &[Group<'m>],
        default: Option<&Group<'m>>,
        tail: Tail,
        span: Span,
    ) -> Result<()> {
        let Some((group, others)) = groups.split_first() else {
            return default.map_or(Ok(()), |default| self.bodies(frame, default, tail));
        };
        let cond = self.matches(selector, &group.selectors, span)?;
        self.enter(span)?;
        let then = self.nested(|lowerer| lowerer.bodies(frame, group, tail))?;
        let otherwise = self.nested(|lowerer| lowerer.cases(frame, selector, others, default, tail, span))?;
        self.leave();
        self.build.block.push(Stmt::If { cond, then, otherwise });
        Ok(())
    }

    fn bodies(&mut self, frame: &mut Frame<'m>, group: &Group<'m>, tail: Tail) -> Result<()> {
        let last = group.bodies.len() - 1;
        for (at, case) in group.bodies.iter().enumerate() {
            self.block(frame, &case.body, if at == last { tail } else { Tail::NONE })?;
        }
        Ok(())
    }

    /// Whether the selector is one of these.
    fn matches(&mut self, selector: Value, selectors: &[u32], span: Span) -> Result<Value> {
        self.spend(selectors.len(), span)?;
        let ty = self.build.ty(selector);
        let mut any: Option<Value> = None;
        for &bits in selectors {
            let wanted = self.build.constant(ty, bits);
            let here = self.build.binary(Binary::EqI, selector, wanted);
            any = Some(any.map_or(here, |any| self.build.binary(Binary::OrB, any, here)));
        }
        Ok(any.unwrap_or_else(|| self.build.constant(Ty::Bool, 0)))
    }
}

/// Cases of a switch that one body (and those it falls through to) stands for.
struct Group<'m> {
    selectors: Vec<u32>,
    bodies: &'m [SwitchCase],
}

/// Whether a block certainly ends in `return`.
fn always_returns(block: &Block) -> bool {
    match block.last() {
        Some(Statement::Return { .. }) => true,
        Some(Statement::Block(inner)) => always_returns(inner),
        Some(Statement::If { accept, reject, .. }) => always_returns(accept) && always_returns(reject),
        _ => false,
    }
}

/// Whether a statement may go on with the enclosing loop's next turn.
fn may_continue(statement: &Statement) -> bool {
    let any = |block: &Block| block.iter().any(may_continue);
    match statement {
        Statement::Continue => true,
        Statement::Block(block) => any(block),
        Statement::If { accept, reject, .. } => any(accept) || any(reject),
        Statement::Switch { cases, .. } => cases.iter().any(|case| any(&case.body)),
        _ => false,
    }
}

/// Every expression that a block's statements and emitted expressions read.
fn reads(function: &naga::Function, block: &Block, found: &mut Vec<Handle<Expression>>) {
    for statement in block {
        match *statement {
            Statement::Emit(ref range) => {
                for handle in range.clone() {
                    super::expression::operands(&function.expressions[handle], |operand| found.push(operand));
                }
            }
            Statement::Block(ref inner) => reads(function, inner, found),
            Statement::If { condition, ref accept, ref reject } => {
                found.push(condition);
                reads(function, accept, found);
                reads(function, reject, found);
            }
            Statement::Switch { selector, ref cases } => {
                found.push(selector);
                for case in cases {
                    reads(function, &case.body, found);
                }
            }
            Statement::Loop { ref body, ref continuing, break_if } => {
                reads(function, body, found);
                reads(function, continuing, found);
                found.extend(break_if);
            }
            Statement::Return { value } => found.extend(value),
            Statement::Store { pointer, value } => found.extend([pointer, value]),
            Statement::Call { ref arguments, .. } => found.extend_from_slice(arguments),
            ref other => effect::operands(other, |operand| found.push(operand)),
        }
    }
}
