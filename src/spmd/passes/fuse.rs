//! `a * b + c` as one operation with two roundings, where the product is used nowhere else.

use crate::spmd::ir::{Binary, Block, Op, Program, Stmt, Ternary, Value};

/// Runs the pass; it asks for classes. Products that are not needed any more are left to `sweep`.
pub(super) fn fuse(program: &mut Program) {
    let mut body = std::mem::take(&mut program.body);
    let mut walk = Fuse {
        program,
        uses: vec![0; program.values.len()],
        products: vec![None; program.values.len()],
        blocks: 0,
    };
    walk.count(&body);
    walk.block(&mut body);
    program.body = body;
}

struct Fuse<'a> {
    program: &'a Program,
    uses: Vec<u32>,
    /// The factors of a product, and the number of the block that it is in.
    products: Vec<Option<(Value, Value, u32)>>,
    /// How many blocks there were so far.
    blocks: u32,
}

impl Fuse<'_> {
    fn used(&mut self, value: Value) {
        self.uses[value.index()] += 1;
    }

    fn count(&mut self, block: &Block) {
        for stmt in block {
            match stmt {
                Stmt::Let(_, op) => op.operands(|operand| self.used(operand)),
                Stmt::Set { value, .. } => self.used(*value),
                Stmt::Store { index, value, .. } => {
                    self.used(*index);
                    self.used(*value);
                }
                Stmt::Effect { effect, .. } => effect.operands(|operand| self.used(operand)),
                Stmt::If { cond, then, otherwise } => {
                    self.used(*cond);
                    self.count(then);
                    self.count(otherwise);
                }
                Stmt::Loop { body, continuing, break_if, .. } => {
                    self.count(body);
                    self.count(continuing);
                    break_if.iter().for_each(|value| self.used(*value));
                }
                Stmt::Scope { body, .. } => self.count(body),
                Stmt::Break(_) | Stmt::Continue(_) | Stmt::Return => {}
            }
        }
    }

    fn block(&mut self, block: &mut Block) {
        self.blocks += 1;
        let here = self.blocks;
        for stmt in block {
            match stmt {
                Stmt::Let(value, Op::Binary(Binary::MulF, a, b)) => {
                    self.products[value.index()] = Some((*a, *b, here))
                }
                Stmt::Let(value, op) => {
                    if let Op::Binary(Binary::AddF, a, b) = *op {
                        let fused = self.product(*value, a, here).map(|(x, y)| (x, y, b));
                        let fused = fused.or_else(|| self.product(*value, b, here).map(|(x, y)| (x, y, a)));
                        if let Some((x, y, z)) = fused {
                            *op = Op::Ternary(Ternary::MulAddF, x, y, z);
                        }
                    }
                }
                Stmt::If { then, otherwise, .. } => {
                    self.block(then);
                    self.block(otherwise);
                }
                Stmt::Loop { body, continuing, .. } => {
                    self.block(body);
                    self.block(continuing);
                }
                Stmt::Scope { body, .. } => self.block(body),
                _ => {}
            }
        }
    }

    /// The factors, if the value is a product of this block (not one before a loop that holds the sum), used once, and
    /// as much of a vector as the sum is.
    fn product(&self, sum: Value, value: Value, here: u32) -> Option<(Value, Value)> {
        let (a, b, block) = self.products[value.index()]?;
        let same_class = self.program.value(value).class == self.program.value(sum).class;
        (block == here && self.uses[value.index()] == 1 && same_class).then_some((a, b))
    }
}
