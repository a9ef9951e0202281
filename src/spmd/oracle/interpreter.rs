//! Runs a program: one invocation after the other, one operation after the other.

use super::eval::{self, Fusion};
use crate::spmd::ir::{Block, Builtin, Label, Memory, Op, Program, Stmt, Value, Var};
use crate::spmd::memory::BufferData;

/// Why [`run_limited`] stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfSteps {
    /// The invocation that was running.
    pub invocation: u32,
}

/// Runs invocations `0..invocations` of a one-dimensional launch in order, on the CPU levels with FMA.
///
/// `buffers` has one entry per [`Program::buffers`].
pub(crate) fn run(program: &Program, buffers: &mut [BufferData<'_>], invocations: u32) {
    run_limited(program, buffers, invocations, Fusion::Fused, u64::MAX)
        .expect("2^64 statements take longer than anybody waits");
}

/// As [`run`], with the fused multiply-add of the CPU level to imitate, and at most `steps` statements per invocation.
///
/// After [`OutOfSteps`] the writable buffers hold what was stored until then.
pub(crate) fn run_limited(
    program: &Program,
    buffers: &mut [BufferData<'_>],
    invocations: u32,
    fusion: Fusion,
    steps: u64,
) -> Result<(), OutOfSteps> {
    assert_eq!(buffers.len(), program.buffers.len(), "one slice per buffer of the program");
    for id in 0..invocations {
        let mut invocation = Invocation {
            program,
            buffers,
            fusion,
            id,
            invocations,
            values: vec![0; program.values.len()],
            vars: vec![0; program.vars.len()],
            locals: program.locals.iter().map(|local| vec![0; local.words as usize]).collect(),
            steps_left: steps,
        };
        if let Flow::OutOfSteps = invocation.block(&program.body) {
            return Err(OutOfSteps { invocation: id });
        }
    }
    Ok(())
}

/// What a statement did to the flow of control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    Break(Label),
    Continue(Label),
    Return,
    OutOfSteps,
}

/// One invocation's state.
struct Invocation<'a, 'b> {
    program: &'a Program,
    buffers: &'a mut [BufferData<'b>],
    fusion: Fusion,
    id: u32,
    invocations: u32,
    values: Vec<u32>,
    vars: Vec<u32>,
    locals: Vec<Vec<u32>>,
    steps_left: u64,
}

impl Invocation<'_, '_> {
    fn block(&mut self, block: &Block) -> Flow {
        for stmt in block {
            match self.stmt(stmt) {
                Flow::Next => {}
                leave => return leave,
            }
        }
        Flow::Next
    }

    fn stmt(&mut self, stmt: &Stmt) -> Flow {
        if self.steps_left == 0 {
            return Flow::OutOfSteps;
        }
        self.steps_left -= 1;
        match stmt {
            Stmt::Let(value, op) => {
                self.values[value.index()] = self.op(op);
                Flow::Next
            }
            Stmt::Set { var, value, .. } => {
                *self.var(*var) = self.value(*value);
                Flow::Next
            }
            Stmt::Store { memory, index, value } => {
                let (index, value) = (self.value(*index) as usize, self.value(*value));
                let words = match memory {
                    Memory::Buffer(buffer) => match &mut self.buffers[buffer.index()] {
                        BufferData::Write(words) => &mut **words,
                        BufferData::Read(_) => panic!("store to the read-only buffer {buffer:?}"),
                    },
                    Memory::Shared(_) => unreachable!("lowering makes no effects yet"),
                    Memory::Local(local) => &mut self.locals[local.index()],
                };
                if let Some(word) = words.get_mut(index) {
                    *word = value;
                }
                Flow::Next
            }
            Stmt::Effect { .. } => unreachable!("lowering makes no effects yet"),
            Stmt::If { cond, then, otherwise } => {
                let taken = if self.value(*cond) != 0 { then } else { otherwise };
                self.block(taken)
            }
            Stmt::Loop { label, body, continuing, break_if } => loop {
                // An empty loop has no statement to count.
                if self.steps_left == 0 {
                    return Flow::OutOfSteps;
                }
                self.steps_left -= 1;
                match self.block(body) {
                    Flow::Next => {}
                    Flow::Continue(to) if to == *label => {}
                    Flow::Break(from) if from == *label => return Flow::Next,
                    leave => return leave,
                }
                match self.block(continuing) {
                    Flow::Next => {}
                    Flow::Break(from) if from == *label => return Flow::Next,
                    leave => return leave,
                }
                if break_if.is_some_and(|cond| self.value(cond) != 0) {
                    return Flow::Next;
                }
            },
            Stmt::Scope { label, body } => match self.block(body) {
                Flow::Break(from) if from == *label => Flow::Next,
                other => other,
            },
            Stmt::Break(label) => Flow::Break(*label),
            Stmt::Continue(label) => Flow::Continue(*label),
            Stmt::Return => Flow::Return,
        }
    }

    fn value(&self, value: Value) -> u32 {
        self.values[value.index()]
    }

    fn var(&mut self, var: Var) -> &mut u32 {
        &mut self.vars[var.index()]
    }

    fn op(&mut self, op: &Op) -> u32 {
        match *op {
            Op::Const(bits) => bits,
            Op::Builtin(builtin) => self.builtin(builtin),
            Op::Get(var) => *self.var(var),
            Op::Load { memory, index } => {
                let index = self.value(index) as usize;
                let words = match memory {
                    Memory::Buffer(buffer) => self.words(buffer.index()),
                    Memory::Shared(_) => unreachable!("lowering makes no effects yet"),
                    Memory::Local(local) => &self.locals[local.index()],
                };
                words.get(index).copied().unwrap_or(0)
            }
            Op::Length { buffer, offset, stride } => {
                let words = u32::try_from(self.words(buffer.index()).len()).unwrap_or(u32::MAX);
                words.saturating_sub(offset) / stride
            }
            Op::Unary(op, a) => eval::unary(op, self.fusion, self.value(a)),
            Op::Binary(op, a, b) => eval::binary(op, self.fusion, self.value(a), self.value(b)),
            Op::Ternary(op, a, b, c) => {
                eval::ternary(op, self.fusion, self.value(a), self.value(b), self.value(c))
            }
        }
    }

    fn words(&self, buffer: usize) -> &[u32] {
        match &self.buffers[buffer] {
            BufferData::Read(words) => words,
            BufferData::Write(words) => words,
        }
    }

    /// A launch is a row: invocation `id` is `global_invocation_id.x`.
    fn builtin(&self, builtin: Builtin) -> u32 {
        let row = self.program.workgroup_size[0].max(1);
        match builtin {
            Builtin::GlobalId(0) => self.id,
            Builtin::LocalId(0) | Builtin::LocalIndex => self.id % row,
            Builtin::WorkgroupId(0) => self.id / row,
            Builtin::NumWorkgroups(0) => self.invocations.div_ceil(row),
            Builtin::GlobalId(_) | Builtin::LocalId(_) | Builtin::WorkgroupId(_) => 0,
            Builtin::NumWorkgroups(_) => 1,
            Builtin::SubgroupInvocationId | Builtin::SubgroupId => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spmd::ir::{Binary, Buffer, BufferDecl, Order, Role, Ty};

    fn program() -> Program {
        let buffer = BufferDecl { name: "out".into(), binding: (0, 0), writable: true, role: Role::Data };
        Program {
            name: "main".into(),
            workgroup_size: [4, 1, 1],
            buffers: vec![buffer],
            order: Order::Rows,
            shared: vec![],
            locals: vec![],
            vars: vec![],
            values: vec![],
            body: vec![],
            labels: 0,
        }
    }

    fn set(var: Var, value: Value) -> Stmt {
        Stmt::Set { var, value, masked: true }
    }

    /// `out[i] = steps of the Collatz sequence from i + 1`, with an early return for i = 5.
    fn collatz() -> Program {
        let mut p = program();
        let (n, steps) = (p.new_var("n", Ty::U32), p.new_var("steps", Ty::U32));
        let label = p.new_label();
        let mut let_ = |body: &mut Block, ty, op| {
            let value = p.new_value(ty);
            body.push(Stmt::Let(value, op));
            value
        };
        let mut body = vec![];
        let id = let_(&mut body, Ty::U32, Op::Builtin(Builtin::GlobalId(0)));
        let one = let_(&mut body, Ty::U32, Op::Const(1));
        let two = let_(&mut body, Ty::U32, Op::Const(2));
        let three = let_(&mut body, Ty::U32, Op::Const(3));
        let five = let_(&mut body, Ty::U32, Op::Const(5));
        let is_five = let_(&mut body, Ty::Bool, Op::Binary(Binary::EqI, id, five));
        body.push(Stmt::If { cond: is_five, then: vec![Stmt::Return], otherwise: vec![] });
        let start = let_(&mut body, Ty::U32, Op::Binary(Binary::AddI, id, one));
        body.push(set(n, start));
        let mut inner = vec![];
        let now = let_(&mut inner, Ty::U32, Op::Get(n));
        let done = let_(&mut inner, Ty::Bool, Op::Binary(Binary::LeU, now, one));
        inner.push(Stmt::If { cond: done, then: vec![Stmt::Break(label)], otherwise: vec![] });
        let low = let_(&mut inner, Ty::U32, Op::Binary(Binary::RemU, now, two));
        let odd = let_(&mut inner, Ty::Bool, Op::Binary(Binary::EqI, low, one));
        let mut then = vec![];
        let triple = let_(&mut then, Ty::U32, Op::Binary(Binary::MulI, now, three));
        let next = let_(&mut then, Ty::U32, Op::Binary(Binary::AddI, triple, one));
        then.extend([set(n, next), Stmt::Continue(label)]);
        inner.push(Stmt::If { cond: odd, then, otherwise: vec![] });
        let half = let_(&mut inner, Ty::U32, Op::Binary(Binary::DivU, now, two));
        inner.push(set(n, half));
        let mut continuing = vec![];
        let count = let_(&mut continuing, Ty::U32, Op::Get(steps));
        let count = let_(&mut continuing, Ty::U32, Op::Binary(Binary::AddI, count, one));
        continuing.push(set(steps, count));
        body.push(Stmt::Loop { label, body: inner, continuing, break_if: None });
        let total = let_(&mut body, Ty::U32, Op::Get(steps));
        body.push(Stmt::Store { memory: Memory::Buffer(Buffer(0)), index: id, value: total });
        p.body = body;
        p
    }

    #[test]
    fn loops_continue_break_and_return() {
        let mut out = [99; 8];
        run(&collatz(), &mut [BufferData::Write(&mut out)], 10);
        // 6 returned before its store; 9 and 10 stored outside the buffer.
        assert_eq!(out, [0, 1, 7, 2, 5, 99, 16, 3]);
    }

    #[test]
    fn a_loop_without_end_runs_out_of_steps() {
        let mut p = program();
        let label = p.new_label();
        p.body = vec![Stmt::Loop { label, body: vec![], continuing: vec![], break_if: None }];
        let mut out = [0; 1];
        let result = run_limited(&p, &mut [BufferData::Write(&mut out)], 3, Fusion::Fused, 1000);
        assert_eq!(result, Err(OutOfSteps { invocation: 0 }));
    }

    #[test]
    fn builtins_fold_the_row_into_workgroups() {
        for (builtin, expected) in [
            (Builtin::GlobalId(0), [0, 1, 2, 3, 4, 5]),
            (Builtin::LocalId(0), [0, 1, 2, 3, 0, 1]),
            (Builtin::LocalIndex, [0, 1, 2, 3, 0, 1]),
            (Builtin::WorkgroupId(0), [0, 0, 0, 0, 1, 1]),
            (Builtin::NumWorkgroups(0), [2; 6]),
            (Builtin::GlobalId(1), [0; 6]),
            (Builtin::NumWorkgroups(2), [1; 6]),
        ] {
            let mut p = program();
            let (id, value) = (p.new_value(Ty::U32), p.new_value(Ty::U32));
            p.body = vec![
                Stmt::Let(id, Op::Builtin(Builtin::GlobalId(0))),
                Stmt::Let(value, Op::Builtin(builtin)),
                Stmt::Store { memory: Memory::Buffer(Buffer(0)), index: id, value },
            ];
            let mut out = [99; 6];
            run(&p, &mut [BufferData::Write(&mut out)], 6);
            assert_eq!(out, expected, "{builtin:?}");
        }
    }
}
