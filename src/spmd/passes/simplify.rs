//! Values that are computed already, known, or cheaper another way: common subexpressions, variables whose content is
//! known, constants, and the rules of [`algebra`](super::algebra).
//!
//! One walk in the order of execution. Constants, built-in values and what follows from them without cost (loads of
//! read-only buffers at constant indexes, which is where uniform arguments are) move to the start of the program.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::live::Vars;
use crate::spmd::ir::{Block, Label, Op, Program, Stmt, Ty, Unary, Value, Var};

/// Runs the pass.
pub(super) fn simplify(program: &mut Program) {
    let body = std::mem::take(&mut program.body);
    let values = program.values.len();
    let mut walk = Simplify {
        replacement: (0..values).map(|at| Value(at as u32)).collect(),
        ops: vec![None; values],
        visible: vec![false; values],
        scope: Vec::new(),
        table: HashMap::default(),
        known: vec![Known::Zero; program.vars.len()],
        prologue: Vec::new(),
        program,
    };
    let mut simplified = Vec::with_capacity(body.len());
    walk.block(body, &mut simplified);
    let mut body = walk.prologue;
    body.append(&mut simplified);
    program.body = body;
}

/// What a variable holds for certain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    /// The zero it started with.
    Zero,
    Value(Value),
}

pub(super) struct Simplify<'a> {
    pub(super) program: &'a mut Program,
    /// What stands for each value.
    replacement: Vec<Value>,
    /// The operation that gives each value, once it is reached.
    ops: Vec<Option<Op>>,
    /// Whether a value may be used here.
    visible: Vec<bool>,
    /// The visible values that are not in the prologue, in order of definition.
    scope: Vec<Value>,
    /// The value of an operation; it may be out of sight by now.
    table: HashMap<(Op, Ty), Value, BuildHasherDefault<Mix>>,
    known: Vec<Known>,
    /// Goes to the start of the program.
    prologue: Block,
}

/// What a rule makes of an operation.
pub(super) enum Rule {
    /// No rule applies.
    Keep,
    /// This value is the result.
    Is(Value),
    /// This operation has the same result.
    Op(Op),
}

impl Simplify<'_> {
    /// Appends the block to `out`. Whether its end is out of reach.
    fn block(&mut self, block: Block, out: &mut Block) -> bool {
        for stmt in block {
            if self.stmt(stmt, out) {
                return true;
            }
        }
        false
    }

    /// A block whose values are out of sight behind it.
    fn nested(&mut self, block: Block) -> (Block, bool) {
        let (start, mut out) = (self.scope.len(), Vec::with_capacity(block.len()));
        let ends = self.block(block, &mut out);
        self.close(start);
        (out, ends)
    }

    fn close(&mut self, start: usize) {
        for value in self.scope.drain(start..) {
            self.visible[value.index()] = false;
        }
    }

    fn now(&self, value: Value) -> Value {
        self.replacement[value.index()]
    }

    /// Appends what the statement becomes. Whether what follows is out of reach.
    fn stmt(&mut self, stmt: Stmt, out: &mut Block) -> bool {
        match stmt {
            Stmt::Let(value, mut op) => {
                op.operands_mut(|operand| *operand = self.replacement[operand.index()]);
                let ty = self.program.value(value).ty;
                self.replacement[value.index()] = self.define(out, Some(value), op, ty);
                false
            }
            Stmt::Set { var, value, masked } => {
                let value = self.now(value);
                let holds_it = match self.known[var.index()] {
                    Known::Nothing => false,
                    Known::Zero => self.constant(value) == Some(0),
                    Known::Value(known) => known == value,
                };
                if !holds_it {
                    self.known[var.index()] = Known::Value(value);
                    out.push(Stmt::Set { var, value, masked });
                }
                false
            }
            Stmt::Store { memory, index, value } => {
                out.push(Stmt::Store { memory, index: self.now(index), value: self.now(value) });
                false
            }
            Stmt::Effect { result, mut effect } => {
                effect.operands_mut(|operand| *operand = self.replacement[operand.index()]);
                if let Some(value) = result {
                    // Nothing stands for it, and no rule looks into it.
                    self.visible[value.index()] = true;
                    self.scope.push(value);
                }
                out.push(Stmt::Effect { result, effect });
                false
            }
            Stmt::If { cond, then, otherwise } => self.branch(self.now(cond), then, otherwise, out),
            Stmt::Loop { label, body, continuing, break_if } => {
                self.repeat(label, body, continuing, break_if, out);
                false
            }
            Stmt::Scope { label, body } => {
                let before = self.known.clone();
                let (mut sets, mut gets) = (Vars::none(self.program), Vars::none(self.program));
                touched(&body, &mut sets, &mut gets);
                let left = leaves(&body, label);
                let (body, _) = self.nested(body);
                out.push(Stmt::Scope { label, body });
                if left {
                    self.known = before;
                    self.forget(&sets);
                } else {
                    self.forget_invisible();
                }
                false
            }
            Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return => {
                out.push(stmt);
                true
            }
        }
    }

    fn branch(&mut self, cond: Value, then: Block, otherwise: Block, out: &mut Block) -> bool {
        if let Some(bits) = self.constant(cond) {
            return self.block(if bits == 1 { then } else { otherwise }, out);
        }
        if then.is_empty() && !otherwise.is_empty() && self.op(cond).is_some_and(super::algebra::inverts) {
            let cond = self.emit(out, Op::Unary(Unary::NotB, cond), Ty::Bool);
            return self.branch(cond, otherwise, then, out);
        }
        let before = self.known.clone();
        let (then, then_ends) = self.nested(then);
        let behind_then = std::mem::replace(&mut self.known, before);
        let (otherwise, otherwise_ends) = self.nested(otherwise);
        out.push(Stmt::If { cond, then, otherwise });
        if otherwise_ends {
            self.known = behind_then;
        } else if !then_ends {
            for (known, other) in self.known.iter_mut().zip(behind_then) {
                if *known != other {
                    *known = Known::Nothing;
                }
            }
        }
        self.forget_invisible();
        then_ends && otherwise_ends
    }

    fn repeat(
        &mut self,
        label: Label,
        body: Block,
        continuing: Block,
        break_if: Option<Value>,
        out: &mut Block,
    ) {
        let (mut sets, mut gets) = (Vars::none(self.program), Vars::none(self.program));
        touched(&body, &mut sets, &mut gets);
        touched(&continuing, &mut sets, &mut gets);
        for at in 0..self.known.len() {
            let var = Var(at as u32);
            // What the loop reads and never sets is read once, before it.
            if gets.has(var) && !sets.has(var) && self.known[at] == Known::Nothing {
                let ty = self.program.vars[at].ty;
                let value = self.define(out, None, Op::Get(var), ty);
                self.known[at] = Known::Value(value);
            }
        }
        self.forget(&sets);
        let head = self.known.clone();
        let start = self.scope.len();
        let mut new_body = Vec::with_capacity(body.len());
        let ends = self.block(body, &mut new_body);
        let continued = continues(&new_body, label);
        if ends && !continued {
            // One round at most.
            self.close(start);
            self.known = head;
            out.push(Stmt::Scope { label, body: new_body });
            return;
        }
        if continued {
            // An invocation that comes by `Continue` has not computed everything that the body does.
            self.close(start);
            self.known.clone_from(&head);
        }
        let mut new_continuing = Vec::with_capacity(continuing.len());
        self.block(continuing, &mut new_continuing);
        let break_if = break_if.map(|value| self.now(value));
        self.close(start);
        self.known = head;
        out.push(Stmt::Loop { label, body: new_body, continuing: new_continuing, break_if });
    }

    fn forget(&mut self, vars: &Vars) {
        for (at, known) in self.known.iter_mut().enumerate() {
            if vars.has(Var(at as u32)) {
                *known = Known::Nothing;
            }
        }
        self.forget_invisible();
    }

    fn forget_invisible(&mut self) {
        for known in &mut self.known {
            if matches!(*known, Known::Value(value) if !self.visible[value.index()]) {
                *known = Known::Nothing;
            }
        }
    }

    /// The bits of a value that is a constant.
    pub(super) fn constant(&self, value: Value) -> Option<u32> {
        match self.ops[value.index()] {
            Some(Op::Const(bits)) => Some(bits),
            _ => None,
        }
    }

    /// The operation that gives a value; none for the result of an effect.
    pub(super) fn op(&self, value: Value) -> Option<Op> {
        self.ops[value.index()]
    }

    /// The value of a constant.
    pub(super) fn literal(&mut self, bits: u32, ty: Ty) -> Value {
        self.define(&mut Vec::new(), None, Op::Const(bits), ty)
    }

    /// The value of an operation that a rule makes.
    pub(super) fn emit(&mut self, out: &mut Block, op: Op, ty: Ty) -> Value {
        self.define(out, None, op, ty)
    }

    /// The value of an operation: one that there is, or a new one (`name`, if there is none yet).
    fn define(&mut self, out: &mut Block, name: Option<Value>, mut op: Op, ty: Ty) -> Value {
        if let Op::Get(var) = op {
            match self.known[var.index()] {
                Known::Value(value) => return value,
                Known::Zero => op = Op::Const(0),
                Known::Nothing => {
                    let value = self.append(out, name, op, ty);
                    self.known[var.index()] = Known::Value(value);
                    return value;
                }
            }
        }
        loop {
            match self.rule(out, op, ty) {
                Rule::Keep => break,
                Rule::Is(value) => return value,
                Rule::Op(other) => op = other,
            }
        }
        if !self.is_pure(&op) {
            return self.append(out, name, op, ty);
        }
        let key = (super::algebra::canonical(op), ty);
        if let Some(&value) = self.table.get(&key)
            && self.visible[value.index()]
        {
            return value;
        }
        let at_start = match op {
            Op::Const(_) | Op::Builtin(_) | Op::Length { .. } => true,
            Op::Load { index, .. } => self.constant(index).is_some(),
            _ => false,
        };
        let value = if at_start {
            let mut prologue = std::mem::take(&mut self.prologue);
            let value = self.append(&mut prologue, name, op, ty);
            self.prologue = prologue;
            self.scope.pop();
            value
        } else {
            self.append(out, name, op, ty)
        };
        self.table.insert(key, value);
        value
    }

    fn append(&mut self, out: &mut Block, name: Option<Value>, op: Op, ty: Ty) -> Value {
        let value = name.unwrap_or_else(|| {
            let value = self.program.new_value(ty);
            self.replacement.push(value);
            self.ops.push(None);
            self.visible.push(false);
            value
        });
        self.ops[value.index()] = Some(op);
        self.visible[value.index()] = true;
        self.scope.push(value);
        out.push(Stmt::Let(value, op));
        value
    }

    fn is_pure(&self, op: &Op) -> bool {
        is_pure(self.program, op)
    }
}

/// Whether an operation with the same operands gives the same result anywhere in an invocation.
pub(super) fn is_pure(program: &Program, op: &Op) -> bool {
    match *op {
        Op::Get(_) => false,
        Op::Load { memory, .. } => !memory.is_writable(program),
        _ => true,
    }
}

/// Adds the variables that a block sets and reads.
fn touched(block: &Block, sets: &mut Vars, gets: &mut Vars) {
    for stmt in block {
        match stmt {
            Stmt::Let(_, Op::Get(var)) => gets.insert(*var),
            Stmt::Set { var, .. } => sets.insert(*var),
            Stmt::If { then, otherwise, .. } => {
                touched(then, sets, gets);
                touched(otherwise, sets, gets);
            }
            Stmt::Loop { body, continuing, .. } => {
                touched(body, sets, gets);
                touched(continuing, sets, gets);
            }
            Stmt::Scope { body, .. } => touched(body, sets, gets),
            _ => {}
        }
    }
}

/// Whether any statement of a block, at any depth, passes the test.
fn any(block: &Block, test: &impl Fn(&Stmt) -> bool) -> bool {
    block.iter().any(|stmt| {
        test(stmt)
            || match stmt {
                Stmt::If { then, otherwise, .. } => any(then, test) || any(otherwise, test),
                Stmt::Loop { body, continuing, .. } => any(body, test) || any(continuing, test),
                Stmt::Scope { body, .. } => any(body, test),
                _ => false,
            }
    })
}

/// Whether a block has a `Break` of that label.
pub(super) fn leaves(block: &Block, label: Label) -> bool {
    any(block, &|stmt| matches!(stmt, Stmt::Break(to) if *to == label))
}

fn continues(block: &Block, label: Label) -> bool {
    any(block, &|stmt| matches!(stmt, Stmt::Continue(to) if *to == label))
}

/// A hasher for small keys that nobody chooses to collide: multiply and rotate, as in the Rust compiler's.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.wrapping_add(word)).wrapping_mul(0xf135_7aea_2e62_a9c5);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }
}
