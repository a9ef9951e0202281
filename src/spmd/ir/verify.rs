//! Checks that a program keeps the rules of the IR, so that executors and passes can rely on them.

use super::{
    Binary, Block, Builtin, Effect, Label, Memory, Op, Order, Program, Role, Stmt, Ty, Value, Var,
    print::Show,
};

impl Program {
    /// Checks every rule of the IR.
    ///
    /// # Errors
    /// The first rule broken, and the statement that breaks it.
    pub(crate) fn verify(&self) -> Result<(), String> {
        if self.workgroup_size.contains(&0) {
            return Err(format!("workgroup size {:?}: no axis may be 0", self.workgroup_size));
        }
        if self.order == Order::Rows
            && let Some(shared) = self.shared.first()
        {
            return Err(format!("array {} of the workgroup: rows have no workgroups", shared.name));
        }
        if let Some(buffer) = self.buffers.iter().find(|b| b.role == Role::Size && b.writable) {
            return Err(format!("the size of {} is writable", buffer.name));
        }
        if let Some(local) = self.locals.iter().chain(&self.shared).find(|local| local.words == 0) {
            return Err(format!("array {}: 0 words, expected at least 1", local.name));
        }
        if let Some(at) = self.tables.iter().position(|words| words.is_empty()) {
            return Err(format!("t{at} has 0 words, expected at least 1"));
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
                self.is_new(*value)?;
                self.op(op, self.program.value(*value).ty)?;
                self.define(*value);
                Ok(())
            }
            Stmt::Effect { result, effect } => {
                if let Some(value) = *result {
                    self.is_new(value)?;
                }
                let ty = result.map(|value| self.program.value(value).ty);
                self.effect(*effect, ty)?;
                result.iter().for_each(|value| self.define(*value));
                Ok(())
            }
            Stmt::Set { var, value, .. } => {
                let (want, got) = (self.var(*var)?, self.operand(*value)?);
                expect("the value", got == want, got)
            }
            Stmt::Store { memory, index, value } => {
                self.memory(*memory, *index)?;
                if !memory.is_writable(self.program) {
                    return Err(format!("{memory} is read-only"));
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

    fn is_new(&self, value: Value) -> Result<(), String> {
        match self.state.get(value.index()) {
            None => Err(format!("{value} is not in the table of {} values", self.state.len())),
            Some(State::Undefined) => Ok(()),
            Some(_) => Err(format!("{value} is defined a second time")),
        }
    }

    fn define(&mut self, value: Value) {
        self.state[value.index()] = State::Visible;
        self.visible.push(value);
    }

    fn effect(&self, effect: Effect, result: Option<Ty>) -> Result<(), String> {
        let alone = matches!(effect, Effect::AtomicLoad { .. } | Effect::AtomicStore { .. })
            || matches!(effect, Effect::Atomic { .. } | Effect::CompareExchange { .. });
        if self.program.order == Order::Rows && !alone {
            return Err("rows have no workgroups".into());
        }
        if let Some(memory) = effect.memory() {
            self.memory_exists(memory)?;
            if matches!(memory, Memory::Local(_)) || !memory.is_writable(self.program) {
                return Err(format!("{memory} is not writable memory that invocations share"));
            }
        }
        let mut types = Vec::new();
        let mut wrong = None;
        effect.operands(|value| match self.operand(value) {
            Ok(ty) => types.push(ty),
            Err(rule) => wrong = Some(rule),
        });
        if let Some(rule) = wrong {
            return Err(rule);
        }
        let word = |at: usize| expect("an operand", types[at] != Ty::Bool, types[at]);
        let integer = |at: usize| expect("an operand", matches!(types[at], Ty::I32 | Ty::U32), types[at]);
        let gives = match effect {
            Effect::Barrier => None,
            Effect::AtomicLoad { .. } => {
                integer(0)?;
                Some(result.filter(|ty| matches!(ty, Ty::I32 | Ty::U32)).unwrap_or(Ty::U32))
            }
            Effect::AtomicStore { .. } => {
                integer(0)?;
                integer(1)?;
                None
            }
            Effect::Atomic { .. } | Effect::CompareExchange { .. } => {
                (0..types.len()).try_for_each(integer)?;
                if types[1] != *types.last().expect("three operands at most") {
                    return Err(format!("operands of types {} and {}", types[1], types[2]));
                }
                Some(types[1])
            }
            Effect::Reduce { op, .. } | Effect::InclusiveScan { op, .. } => {
                self.collective(op, types[0])?;
                Some(types[0])
            }
            Effect::ExclusiveScan { op, .. } => {
                self.collective(op, types[0])?;
                if !matches!(op, Binary::AddF | Binary::AddI | Binary::MulF | Binary::MulI) {
                    return Err(format!("{op:?} has no exclusive scan"));
                }
                Some(types[0])
            }
            Effect::Ballot { .. } => {
                expect("the operand", types[0] == Ty::Bool, types[0])?;
                Some(Ty::U32)
            }
            Effect::First { .. } => {
                word(0)?;
                Some(types[0])
            }
            Effect::Shuffle { .. } => {
                word(0)?;
                expect("the index", types[1] == Ty::U32, types[1])?;
                Some(types[0])
            }
        };
        match (result, gives) {
            // An atomic's result need not be asked for.
            (None, _) => Ok(()),
            (Some(ty), Some(gives)) if ty == gives => Ok(()),
            (Some(ty), Some(gives)) => Err(format!("declared {ty}, the effect gives {gives}")),
            (Some(_), None) => Err("the effect gives nothing".into()),
        }
    }

    fn collective(&self, op: Binary, ty: Ty) -> Result<(), String> {
        use Binary::{
            AddF, AddI, AndB, AndI, MaxF, MaxI, MaxU, MinF, MinI, MinU, MulF, MulI, OrB, OrI, XorI,
        };
        let fits = match op {
            AddF | MulF | MinF | MaxF => ty == Ty::F32,
            AddI | MulI | AndI | OrI | XorI => matches!(ty, Ty::I32 | Ty::U32),
            MinI | MaxI => ty == Ty::I32,
            MinU | MaxU => ty == Ty::U32,
            AndB | OrB => ty == Ty::Bool,
            _ => return Err(format!("{op:?} is no operation of a subgroup")),
        };
        expect("the operand", fits, ty)
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
            Memory::Shared(shared) => (shared.index(), self.program.shared.len()),
            Memory::Table(table) => (table.index(), self.program.tables.len()),
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
