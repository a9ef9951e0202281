//! Checks that a program keeps the rules of the IR, so that executors and passes can rely on them.

use super::{Block, Builtin, Label, Memory, Op, Program, Stmt, Ty, Value, Var, print::Show};

impl Program {
    /// Checks every rule of the IR.
    ///
    /// # Errors
    /// The first rule broken, and the statement that breaks it.
    pub(crate) fn verify(&self) -> Result<(), String> {
        if self.workgroup_size.contains(&0) {
            return Err(format!("workgroup size {:?}: no axis may be 0", self.workgroup_size));
        }
        if let Some(local) = self.locals.iter().find(|local| local.words == 0) {
            return Err(format!("array {}: 0 words, expected at least 1", local.name));
        }
        let mut check = Check {
            program: self,
            state: vec![State::Undefined; self.values.len()],
            visible: Vec::new(),
            labels: vec![false; self.labels as usize],
            targets: Vec::new(),
            in_continuing: false,
        };
        check.block(&self.body)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Undefined,
    Visible,
    /// Defined, but in a block that is closed.
    Closed,
}

/// A loop or scope around the present statement that a jump may name.
struct Target {
    label: Label,
    is_loop: bool,
    /// How many values were visible before the statement of its own block that is being checked.
    before_statement: usize,
    /// The same, at the statement that holds the first `Continue` that names it.
    before_continue: Option<usize>,
}

impl Target {
    fn new(label: Label, is_loop: bool) -> Self {
        Self { label, is_loop, before_statement: 0, before_continue: None }
    }
}

struct Check<'a> {
    program: &'a Program,
    state: Vec<State>,
    /// The visible values, in order of definition.
    visible: Vec<Value>,
    /// Which labels a loop or scope has taken.
    labels: Vec<bool>,
    targets: Vec<Target>,
    in_continuing: bool,
}

impl Check<'_> {
    fn block(&mut self, block: &Block) -> Result<(), String> {
        let start = self.visible.len();
        self.statements(block)?;
        self.close(start);
        Ok(())
    }

    fn statements(&mut self, block: &Block) -> Result<(), String> {
        for stmt in block {
            self.stmt(stmt)?;
        }
        Ok(())
    }

    fn close(&mut self, start: usize) {
        for value in self.visible.drain(start..) {
            self.state[value.index()] = State::Closed;
        }
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<(), String> {
        self.rules(stmt).map_err(|rule| {
            let statement = Show { program: self.program, stmt, depth: 0, nested: false };
            format!("{}: `{statement}`: {rule}", self.program.name)
        })?;
        match stmt {
            Stmt::If { then, otherwise, .. } => {
                self.block(then)?;
                self.block(otherwise)
            }
            Stmt::Loop { label, body, continuing, break_if } => {
                let start = self.visible.len();
                self.targets.push(Target::new(*label, true));
                let own = self.targets.len() - 1;
                for stmt in body {
                    self.targets[own].before_statement = self.visible.len();
                    self.stmt(stmt)?;
                }
                // An invocation that continues early has not computed what comes after.
                if let Some(visible) = self.targets[own].before_continue {
                    self.close(visible);
                }
                self.targets.pop();
                let outer = std::mem::take(&mut self.targets);
                let outer_continuing = std::mem::replace(&mut self.in_continuing, true);
                self.statements(continuing)?;
                self.targets = outer;
                self.in_continuing = outer_continuing;
                if let Some(value) = *break_if {
                    self.operand(value)
                        .and_then(|ty| expect("break_if", ty == Ty::Bool, ty))
                        .map_err(|rule| format!("{}: loop {label}: {rule}", self.program.name))?;
                }
                self.close(start);
                Ok(())
            }
            Stmt::Scope { label, body } => {
                self.targets.push(Target::new(*label, false));
                self.block(body)?;
                self.targets.pop();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The rules for a statement itself, not for the blocks inside it.
    fn rules(&mut self, stmt: &Stmt) -> Result<(), String> {
        match stmt {
            Stmt::Let(value, op) => {
                match self.state.get(value.index()) {
                    None => {
                        return Err(format!("{value} is not in the table of {} values", self.state.len()));
                    }
                    Some(State::Undefined) => {}
                    Some(_) => return Err(format!("{value} is defined a second time")),
                }
                self.op(op, self.program.value(*value).ty)?;
                self.state[value.index()] = State::Visible;
                self.visible.push(*value);
                Ok(())
            }
            Stmt::Set { var, value, .. } => {
                let (want, got) = (self.var(*var)?, self.operand(*value)?);
                expect("the value", got == want, got)
            }
            Stmt::Store { memory, index, value } => {
                self.memory(*memory, *index)?;
                if let Memory::Buffer(buffer) = memory
                    && !self.program.buffers[buffer.index()].writable
                {
                    return Err(format!("{buffer} is read-only"));
                }
                let ty = self.operand(*value)?;
                expect("the value", ty != Ty::Bool, ty)
            }
            Stmt::If { cond, .. } => {
                let ty = self.operand(*cond)?;
                expect("the condition", ty == Ty::Bool, ty)
            }
            Stmt::Loop { label, .. } | Stmt::Scope { label, .. } => {
                match self.labels.get_mut(label.index()) {
                    None => Err(format!("{label} is not one of the {} labels", self.program.labels)),
                    Some(taken) if *taken => Err(format!("{label} names a second loop or scope")),
                    Some(taken) => {
                        *taken = true;
                        Ok(())
                    }
                }
            }
            Stmt::Break(label) => self.target(*label).map(|_| ()),
            Stmt::Continue(label) => {
                let target = self.target(*label)?;
                if !target.is_loop {
                    return Err(format!("{label} is a scope, and only a loop can be continued"));
                }
                target.before_continue.get_or_insert(target.before_statement);
                Ok(())
            }
            Stmt::Return if self.in_continuing => Err("a jump out of a continuing block".into()),
            Stmt::Return => Ok(()),
        }
    }

    fn target(&mut self, label: Label) -> Result<&mut Target, String> {
        let found = self.targets.iter_mut().rev().find(|target| target.label == label);
        found.ok_or_else(|| {
            let where_ = if self.in_continuing { " of this continuing block" } else { "" };
            format!("{label} is no enclosing loop or scope{where_}")
        })
    }

    fn op(&self, op: &Op, result: Ty) -> Result<(), String> {
        match *op {
            Op::Const(bits) if result == Ty::Bool && bits > 1 => {
                return Err(format!("a bool of bits {bits}"));
            }
            Op::Const(_) => {}
            Op::Builtin(
                Builtin::GlobalId(axis)
                | Builtin::LocalId(axis)
                | Builtin::WorkgroupId(axis)
                | Builtin::NumWorkgroups(axis),
            ) if axis > 2 => return Err(format!("axis {axis}, expected 0, 1 or 2")),
            Op::Builtin(_) => {}
            Op::Get(var) => drop(self.var(var)?),
            Op::Load { memory, index } => {
                self.memory(memory, index)?;
                expect("the result", result != Ty::Bool, result)?;
            }
            Op::Length { buffer, stride, .. } => {
                self.memory_exists(Memory::Buffer(buffer))?;
                if stride == 0 {
                    return Err("stride 0".into());
                }
            }
            Op::Unary(op, a) => {
                let (takes, gives) = op.signature();
                let ty = self.operand(a)?;
                expect("the operand", takes.accepts(ty), ty)?;
                if gives == super::types::Gives::Word {
                    expect("the result", result != Ty::Bool, result)?;
                }
            }
            Op::Binary(op, a, b) => {
                let (takes, _) = op.signature();
                let types = [self.operand(a)?, self.operand(b)?];
                expect("operand 1", takes[0].accepts(types[0]), types[0])?;
                expect("operand 2", takes[1].accepts(types[1]), types[1])?;
                if takes[0] == takes[1] && types[0] != types[1] {
                    return Err(format!("operands of types {} and {}", types[0], types[1]));
                }
            }
            Op::Ternary(op, a, b, c) => {
                let (takes, _) = op.signature();
                let types = [self.operand(a)?, self.operand(b)?, self.operand(c)?];
                for at in 0..3 {
                    expect(
                        ["operand 1", "operand 2", "operand 3"][at],
                        takes[at].accepts(types[at]),
                        types[at],
                    )?;
                }
                if types[1] != types[2] {
                    return Err(format!("operands of types {} and {}", types[1], types[2]));
                }
            }
        }
        match op.result_type(self.program) {
            Some(ty) if ty != result => Err(format!("declared {result}, the operation gives {ty}")),
            _ => Ok(()),
        }
    }

    fn operand(&self, value: Value) -> Result<Ty, String> {
        match self.state.get(value.index()) {
            None => Err(format!("{value} is not in the table of {} values", self.state.len())),
            Some(State::Undefined) => Err(format!("{value} is used before it is defined")),
            Some(State::Closed) => Err(format!("{value} is used outside the block that defines it")),
            Some(State::Visible) => Ok(self.program.value(value).ty),
        }
    }

    fn var(&self, var: Var) -> Result<Ty, String> {
        let vars = &self.program.vars;
        vars.get(var.index())
            .map(|var| var.ty)
            .ok_or_else(|| format!("{var} is not in the table of {} variables", vars.len()))
    }

    fn memory_exists(&self, memory: Memory) -> Result<(), String> {
        let (at, len) = match memory {
            Memory::Buffer(buffer) => (buffer.index(), self.program.buffers.len()),
            Memory::Local(local) => (local.index(), self.program.locals.len()),
        };
        if at < len { Ok(()) } else { Err(format!("{memory} is not in the table of {len}")) }
    }

    fn memory(&self, memory: Memory, index: Value) -> Result<(), String> {
        self.memory_exists(memory)?;
        let ty = self.operand(index)?;
        expect("the index", matches!(ty, Ty::I32 | Ty::U32), ty)
    }
}

fn expect(what: &str, ok: bool, ty: Ty) -> Result<(), String> {
    if ok { Ok(()) } else { Err(format!("{what} has the wrong type {ty}")) }
}
