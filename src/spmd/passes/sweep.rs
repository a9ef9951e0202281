//! Removes what nothing depends on: values, assignments, stores to arrays that nobody loads, empty `If`s and scopes.
//!
//! Roots are stores to buffers, loops (whether one ends is not known here) and jumps. An `If` is needed by what it holds.

use super::live::Live;
use crate::spmd::ir::{Block, Local, Memory, Op, Program, Stmt, Value, Var};

/// Runs the pass.
pub(super) fn sweep(program: &mut Program) {
    while sweep_once(program) {}
}

/// Whether an assignment or a `Get` went, which may make an assignment before it dead.
fn sweep_once(program: &mut Program) -> bool {
    let live = Live::of(program);
    let mut mark = Mark {
        live_sets: &live.sets,
        next_set: 0,
        ops: vec![None; program.values.len()],
        needed: vec![false; program.values.len()],
        work: Vec::new(),
        sets: vec![Vec::new(); program.vars.len()],
        needed_vars: vec![false; program.vars.len()],
        stores: vec![Vec::new(); program.locals.len()],
        needed_locals: vec![false; program.locals.len()],
        nests: Vec::new(),
    };
    mark.collect(&program.body, None);
    mark.run();
    let Mark { needed, needed_vars, needed_locals, .. } = mark;
    let mut rebuild =
        Rebuild { needed, needed_vars, needed_locals, live_sets: &live.sets, next_set: 0, again: false };
    let body = std::mem::take(&mut program.body);
    program.body = rebuild.block(body);
    rebuild.again
}

/// The `If` or loop around a statement, and what decides whether it runs.
struct Nest {
    parent: Option<usize>,
    cond: Option<Value>,
    needed: bool,
}

struct Mark<'a> {
    live_sets: &'a [bool],
    next_set: usize,
    ops: Vec<Option<Op>>,
    needed: Vec<bool>,
    /// Values that are needed and whose operands are not marked yet.
    work: Vec<Value>,
    /// By variable: what is assigned to it, and in which nest.
    sets: Vec<Vec<(Value, Option<usize>)>>,
    needed_vars: Vec<bool>,
    /// By array: index and value of every store, and in which nest.
    stores: Vec<Vec<(Value, Value, Option<usize>)>>,
    needed_locals: Vec<bool>,
    nests: Vec<Nest>,
}

impl Mark<'_> {
    fn collect(&mut self, block: &Block, nest: Option<usize>) {
        for stmt in block {
            match stmt {
                Stmt::Let(value, op) => self.ops[value.index()] = Some(*op),
                Stmt::Set { var, value, .. } => {
                    if self.live_sets[self.next_set] {
                        self.sets[var.index()].push((*value, nest));
                    }
                    self.next_set += 1;
                }
                Stmt::Store { memory: Memory::Local(local), index, value } => {
                    self.stores[local.index()].push((*index, *value, nest));
                }
                Stmt::Effect { effect, .. } => {
                    effect.operands(|value| self.need(value));
                    self.need_nest(nest);
                }
                Stmt::Store { index, value, .. } => {
                    self.need(*index);
                    self.need(*value);
                    self.need_nest(nest);
                }
                Stmt::If { cond, then, otherwise } => {
                    let inside = self.nest(nest, Some(*cond));
                    self.collect(then, inside);
                    self.collect(otherwise, inside);
                }
                Stmt::Loop { body, continuing, break_if, .. } => {
                    let inside = self.nest(nest, *break_if);
                    self.need_nest(inside);
                    self.collect(body, inside);
                    self.collect(continuing, inside);
                }
                Stmt::Scope { body, .. } => self.collect(body, nest),
                Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return => self.need_nest(nest),
            }
        }
    }

    fn nest(&mut self, parent: Option<usize>, cond: Option<Value>) -> Option<usize> {
        self.nests.push(Nest { parent, cond, needed: false });
        Some(self.nests.len() - 1)
    }

    fn need(&mut self, value: Value) {
        if !std::mem::replace(&mut self.needed[value.index()], true) {
            self.work.push(value);
        }
    }

    fn need_nest(&mut self, mut nest: Option<usize>) {
        while let Some(at) = nest {
            if std::mem::replace(&mut self.nests[at].needed, true) {
                return;
            }
            if let Some(cond) = self.nests[at].cond {
                self.need(cond);
            }
            nest = self.nests[at].parent;
        }
    }

    fn run(&mut self) {
        while let Some(value) = self.work.pop() {
            // The result of an effect has none, and the effect is needed anyway.
            let Some(op) = self.ops[value.index()] else { continue };
            match op {
                Op::Get(var) => self.need_var(var),
                Op::Load { memory: Memory::Local(local), index } => {
                    self.need(index);
                    self.need_local(local);
                }
                _ => op.operands(|operand| self.need(operand)),
            }
        }
    }

    fn need_var(&mut self, var: Var) {
        if !std::mem::replace(&mut self.needed_vars[var.index()], true) {
            for (value, nest) in std::mem::take(&mut self.sets[var.index()]) {
                self.need(value);
                self.need_nest(nest);
            }
        }
    }

    fn need_local(&mut self, local: Local) {
        if !std::mem::replace(&mut self.needed_locals[local.index()], true) {
            for (index, value, nest) in std::mem::take(&mut self.stores[local.index()]) {
                self.need(index);
                self.need(value);
                self.need_nest(nest);
            }
        }
    }
}

struct Rebuild<'a> {
    needed: Vec<bool>,
    needed_vars: Vec<bool>,
    needed_locals: Vec<bool>,
    live_sets: &'a [bool],
    next_set: usize,
    again: bool,
}

impl Rebuild<'_> {
    fn block(&mut self, mut block: Block) -> Block {
        block.retain_mut(|stmt| self.keep(stmt));
        block
    }

    fn keep(&mut self, stmt: &mut Stmt) -> bool {
        match stmt {
            Stmt::Let(value, op) => {
                let needed = self.needed[value.index()];
                self.again |= !needed && matches!(op, Op::Get(_));
                needed
            }
            Stmt::Set { var, .. } => {
                let live = self.live_sets[self.next_set] && self.needed_vars[var.index()];
                self.next_set += 1;
                self.again |= !live;
                live
            }
            Stmt::Store { memory: Memory::Local(local), .. } => self.needed_locals[local.index()],
            Stmt::If { then, otherwise, .. } => {
                then.retain_mut(|stmt| self.keep(stmt));
                otherwise.retain_mut(|stmt| self.keep(stmt));
                !(then.is_empty() && otherwise.is_empty())
            }
            Stmt::Loop { body, continuing, .. } => {
                body.retain_mut(|stmt| self.keep(stmt));
                continuing.retain_mut(|stmt| self.keep(stmt));
                true
            }
            Stmt::Scope { body, .. } => {
                body.retain_mut(|stmt| self.keep(stmt));
                !body.is_empty()
            }
            _ => true,
        }
    }
}
