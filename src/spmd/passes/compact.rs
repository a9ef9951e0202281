//! Renumbers: values in the order of the text, variables and arrays that are used only, labels in the order of the text.

use crate::spmd::ir::{Block, Label, Local, Memory, Op, Program, Stmt, Value, Var};

/// Runs the pass.
pub(super) fn compact(program: &mut Program) {
    let mut body = std::mem::take(&mut program.body);
    let mut walk = Compact {
        values: vec![Value(u32::MAX); program.values.len()],
        order: Vec::with_capacity(program.values.len()),
        vars: vec![None; program.vars.len()],
        locals: vec![None; program.locals.len()],
        labels: vec![Label(u32::MAX); program.labels as usize],
        counts: [0; 3],
    };
    walk.block(&mut body);
    program.body = body;
    program.values = walk.order.iter().map(|value| program.values[value.index()]).collect();
    program.labels = walk.counts[2];
    keep(&mut program.vars, walk.vars.iter().map(|var| var.map(Var::index)));
    keep(&mut program.locals, walk.locals.iter().map(|local| local.map(Local::index)));
}

/// Moves every entry to its new place and drops those that have none.
fn keep<T>(table: &mut Vec<T>, places: impl Iterator<Item = Option<usize>>) {
    let mut kept: Vec<(usize, T)> =
        places.zip(table.drain(..)).filter_map(|(place, entry)| place.map(|place| (place, entry))).collect();
    kept.sort_by_key(|entry| entry.0);
    table.extend(kept.into_iter().map(|entry| entry.1));
}

struct Compact {
    /// The new name of each value.
    values: Vec<Value>,
    /// The old names in the new order.
    order: Vec<Value>,
    vars: Vec<Option<Var>>,
    locals: Vec<Option<Local>>,
    labels: Vec<Label>,
    /// How many variables, arrays and labels there are.
    counts: [u32; 3],
}

impl Compact {
    fn block(&mut self, block: &mut Block) {
        for stmt in block {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &mut Stmt) {
        match stmt {
            Stmt::Let(value, op) => {
                op.operands_mut(|operand| *operand = self.values[operand.index()]);
                match op {
                    Op::Get(var) => self.var(var),
                    Op::Load { memory, .. } => self.memory(memory),
                    _ => {}
                }
                self.define(value);
            }
            Stmt::Set { var, value, .. } => {
                self.var(var);
                *value = self.values[value.index()];
            }
            Stmt::Store { memory, index, value } => {
                self.memory(memory);
                *index = self.values[index.index()];
                *value = self.values[value.index()];
            }
            Stmt::Effect { result, effect } => {
                effect.operands_mut(|operand| *operand = self.values[operand.index()]);
                if let Some(value) = result {
                    self.define(value);
                }
            }
            Stmt::If { cond, then, otherwise } => {
                *cond = self.values[cond.index()];
                self.block(then);
                self.block(otherwise);
            }
            Stmt::Loop { label, body, continuing, break_if } => {
                self.label(label);
                self.block(body);
                self.block(continuing);
                if let Some(value) = break_if {
                    *value = self.values[value.index()];
                }
            }
            Stmt::Scope { label, body } => {
                self.label(label);
                self.block(body);
            }
            Stmt::Break(label) | Stmt::Continue(label) => *label = self.labels[label.index()],
            Stmt::Return => {}
        }
    }

    fn define(&mut self, value: &mut Value) {
        let name = Value(self.order.len() as u32);
        self.order.push(*value);
        self.values[value.index()] = name;
        *value = name;
    }

    fn label(&mut self, label: &mut Label) {
        let name = Label(self.next(2));
        self.labels[label.index()] = name;
        *label = name;
    }

    fn var(&mut self, var: &mut Var) {
        if self.vars[var.index()].is_none() {
            self.vars[var.index()] = Some(Var(self.next(0)));
        }
        *var = self.vars[var.index()].expect("named above");
    }

    fn memory(&mut self, memory: &mut Memory) {
        if let Memory::Local(local) = memory {
            if self.locals[local.index()].is_none() {
                self.locals[local.index()] = Some(Local(self.next(1)));
            }
            *local = self.locals[local.index()].expect("named above");
        }
    }

    fn next(&mut self, which: usize) -> u32 {
        self.counts[which] += 1;
        self.counts[which] - 1
    }
}
