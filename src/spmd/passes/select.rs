//! If-conversion: small arms of an `If` whose condition varies become selections.
//!
//! Lanes of a block mostly disagree anyway, so both arms run; without masks they run faster, and later passes see
//! straight-line code. An `If` on a uniform condition stays: one of its arms costs nothing.

use super::simplify::is_pure;
use super::weight::weight;
use crate::spmd::ir::{Block, Class, Op, Program, Stmt, Ternary, Value, Var};

/// The two arms and the selections weigh at most so many additions, which is what setting up two masks costs.
const MOST: u32 = 12;

/// Runs the pass; it asks for classes.
pub(super) fn select(program: &mut Program) {
    let mut body = std::mem::take(&mut program.body);
    block(program, &mut body);
    program.body = body;
}

fn block(program: &mut Program, stmts: &mut Block) {
    let mut out = Vec::with_capacity(stmts.len());
    for mut stmt in stmts.drain(..) {
        match &mut stmt {
            Stmt::If { cond, then, otherwise } => {
                block(program, then);
                block(program, otherwise);
                if program.value(*cond).class != Class::Uniform
                    && let (Some(one), Some(two)) = (Arm::of(program, then), Arm::of(program, otherwise))
                    && one.weight + two.weight <= MOST
                {
                    let cond = *cond;
                    let (then, otherwise) = (std::mem::take(then), std::mem::take(otherwise));
                    out.extend(
                        then.into_iter().chain(otherwise).filter(|stmt| matches!(stmt, Stmt::Let(..))),
                    );
                    for (var, value) in merged(program, &mut out, cond, &one, &two) {
                        out.push(Stmt::Set { var, value, masked: true });
                    }
                    continue;
                }
            }
            Stmt::Loop { body, continuing, .. } => {
                block(program, body);
                block(program, continuing);
            }
            Stmt::Scope { body, .. } => block(program, body),
            _ => {}
        }
        out.push(stmt);
    }
    *stmts = out;
}

/// What an arm assigns in the end.
struct Arm {
    sets: Vec<(Var, Value)>,
    weight: u32,
}

impl Arm {
    /// `None` for an arm that does more than assigning what depends on nothing in it but pure operations.
    fn of(program: &Program, block: &Block) -> Option<Self> {
        let mut arm = Self { sets: Vec::new(), weight: 0 };
        for stmt in block {
            match stmt {
                // It would read the old content in straight-line code.
                Stmt::Let(_, Op::Get(var)) if arm.get(*var).is_some() => return None,
                Stmt::Let(_, op) if is_pure(program, op) || matches!(op, Op::Get(_)) => {
                    arm.weight += weight(op)
                }
                Stmt::Set { var, value, .. } => {
                    match arm.sets.iter_mut().find(|set| set.0 == *var) {
                        Some(set) => set.1 = *value,
                        None => arm.sets.push((*var, *value)),
                    }
                    arm.weight += 1;
                }
                _ => return None,
            }
            if arm.weight > MOST {
                return None;
            }
        }
        Some(arm)
    }

    fn get(&self, var: Var) -> Option<Value> {
        self.sets.iter().find(|set| set.0 == var).map(|set| set.1)
    }
}

/// What each variable holds behind the two arms.
fn merged(program: &mut Program, out: &mut Block, cond: Value, one: &Arm, two: &Arm) -> Vec<(Var, Value)> {
    let mut vars: Vec<Var> = one.sets.iter().map(|set| set.0).collect();
    vars.extend(two.sets.iter().map(|set| set.0).filter(|var| one.get(*var).is_none()));
    let mut define = |program: &mut Program, var: Var, op: Op| {
        let value = program.new_value(program.vars[var.index()].ty);
        out.push(Stmt::Let(value, op));
        value
    };
    let mut merged = Vec::with_capacity(vars.len());
    for var in vars {
        let a = one.get(var).unwrap_or_else(|| define(program, var, Op::Get(var)));
        let b = two.get(var).unwrap_or_else(|| define(program, var, Op::Get(var)));
        merged.push((var, define(program, var, Op::Ternary(Ternary::Select, cond, a, b))));
    }
    merged
}
