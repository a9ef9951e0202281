//! Jumps that go where the code goes anyway, and scopes without jumps.
//!
//! An early exit becomes the other arm: `if c { …; break s } rest` at the end of scope `s` is `if c { … } else { rest }`,
//! and likewise `continue` at the end of a loop's body. That is how small functions with several returns become
//! straight-line code in the end. Not so for `Return`, whose lanes need no mask once they are gone.

use super::simplify::leaves;
use crate::spmd::ir::{Block, Label, Program, Stmt};

/// How deep an early exit may still become another arm: a thousand of them must not make a thousand levels, which every
/// walk over a program climbs on the stack.
const DEEPEST: u32 = 24;

/// Runs the pass.
pub(super) fn jumps(program: &mut Program) {
    let body = std::mem::take(&mut program.body);
    program.body = block(body, &[Tail::Return], 0);
}

/// A jump that does what reaching the end of the block does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    Break(Label),
    Continue(Label),
    Return,
}

impl Tail {
    fn of(stmt: &Stmt) -> Option<Self> {
        match *stmt {
            Stmt::Break(label) => Some(Self::Break(label)),
            Stmt::Continue(label) => Some(Self::Continue(label)),
            Stmt::Return => Some(Self::Return),
            _ => None,
        }
    }
}

/// Whether the block ends in a jump to its end.
fn exits(block: &Block, tail: &[Tail]) -> bool {
    let last = block.last().and_then(Tail::of);
    last.is_some_and(|jump| jump != Tail::Return && tail.contains(&jump))
}

fn jumps_away(block: &Block) -> bool {
    block.last().and_then(Tail::of).is_some()
}

fn block(stmts: Block, tail: &[Tail], depth: u32) -> Block {
    let inside = depth + 1;
    let mut out = Vec::with_capacity(stmts.len());
    // Backwards.
    let mut rest = stmts;
    rest.reverse();
    while let Some(stmt) = rest.pop() {
        let last = rest.is_empty();
        let here = if last { tail } else { &[] };
        match stmt {
            Stmt::If { cond, mut then, mut otherwise } => {
                let mut here = here;
                let (one, two) = (exits(&then, tail), exits(&otherwise, tail));
                if !last && (one || two) && depth < DEEPEST {
                    here = tail;
                    let other = if one { &mut otherwise } else { &mut then };
                    let rest = rest.drain(..).rev();
                    if !jumps_away(other) {
                        other.extend(rest);
                    }
                }
                out.push(Stmt::If {
                    cond,
                    then: block(then, here, inside),
                    otherwise: block(otherwise, here, inside),
                });
            }
            Stmt::Loop { label, body, continuing, break_if } => {
                let body = block(body, &[Tail::Continue(label)], inside);
                out.push(Stmt::Loop { label, body, continuing: block(continuing, &[], inside), break_if });
            }
            Stmt::Scope { label, body } => {
                let mut inner = here.to_vec();
                inner.push(Tail::Break(label));
                let mut body = block(body, &inner, inside);
                if leaves(&body, label) {
                    out.push(Stmt::Scope { label, body });
                } else {
                    // Its early exits from this block can be seen now.
                    rest.extend(body.drain(..).rev());
                }
            }
            stmt => {
                if !(last && Tail::of(&stmt).is_some_and(|jump| tail.contains(&jump))) {
                    out.push(stmt);
                }
            }
        }
    }
    out
}
