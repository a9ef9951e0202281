//! Moves operations out of loops in which they always give the same.
//!
//! Operations are pure and total, so computing one that is not needed in the end only costs time. A uniform one costs
//! next to nothing and goes as far out as its operands allow. One that varies leaves loops, but if it is dear and in an
//! `If`, it stays there: the lanes may never come.

use super::simplify::is_pure;
use super::weight::{DEAR, weight};
use crate::spmd::ir::{Block, Class, Op, Program, Stmt, Value};

/// Runs the pass; it asks for classes.
pub(super) fn hoist(program: &mut Program) {
    let body = std::mem::take(&mut program.body);
    let mut walk = Hoist { program, levels: vec![Level::default()], level: vec![0; program.values.len()] };
    walk.block(body);
    program.body = walk.levels.pop().expect("the outermost level").out;
}

/// A block around the present statement.
#[derive(Default)]
struct Level {
    out: Block,
    is_loop: bool,
}

struct Hoist<'a> {
    program: &'a Program,
    /// From the outermost to the present one.
    levels: Vec<Level>,
    /// In which level each value is defined, as far as it is visible.
    level: Vec<usize>,
}

impl Hoist<'_> {
    fn block(&mut self, block: Block) {
        for stmt in block {
            self.stmt(stmt);
        }
    }

    fn nested(&mut self, block: Block, is_loop: bool) -> Block {
        self.levels.push(Level { out: Vec::with_capacity(block.len()), is_loop });
        self.block(block);
        self.levels.pop().expect("pushed above").out
    }

    fn push(&mut self, stmt: Stmt) {
        self.levels.last_mut().expect("the outermost level").out.push(stmt);
    }

    fn stmt(&mut self, stmt: Stmt) {
        match stmt {
            Stmt::Let(value, op) => {
                let target = self.target(value, &op);
                self.level[value.index()] = target;
                self.levels[target].out.push(Stmt::Let(value, op));
            }
            Stmt::If { cond, then, otherwise } => {
                let (then, otherwise) = (self.nested(then, false), self.nested(otherwise, false));
                self.push(Stmt::If { cond, then, otherwise });
            }
            Stmt::Loop { label, body, continuing, break_if } => {
                // `continuing` sees the values of the body: both are one level.
                self.levels.push(Level { out: Vec::with_capacity(body.len()), is_loop: true });
                self.block(body);
                let here = self.levels.last_mut().expect("pushed above");
                let body = std::mem::take(&mut here.out);
                self.block(continuing);
                let continuing = self.levels.pop().expect("pushed above").out;
                self.push(Stmt::Loop { label, body, continuing, break_if });
            }
            Stmt::Scope { label, body } => {
                let body = self.nested(body, false);
                self.push(Stmt::Scope { label, body });
            }
            Stmt::Effect { result, .. } => {
                result.iter().for_each(|value| self.level[value.index()] = self.levels.len() - 1);
                self.push(stmt);
            }
            stmt => self.push(stmt),
        }
    }

    fn target(&self, value: Value, op: &Op) -> usize {
        let here = self.levels.len() - 1;
        if here == 0 || !is_pure(self.program, op) {
            return here;
        }
        let mut outermost = 0;
        op.operands(|operand| outermost = outermost.max(self.level[operand.index()]));
        if self.program.value(value).class == Class::Uniform {
            return outermost;
        }
        let dear = weight(op) >= DEAR;
        let mut target = here;
        for level in (outermost..here).rev() {
            // From `level + 1` to `level`.
            if self.levels[level + 1].is_loop {
                target = level;
            } else if dear {
                break;
            }
        }
        target
    }
}
