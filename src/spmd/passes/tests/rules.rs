//! Every operation with every awkward constant on either side, on every awkward input: the rules of `algebra`.

use super::super::optimise;
use crate::spmd::ir::{
    Binary, Buffer, BufferDecl, Builtin, Memory, Op, Order, Program, Role, Stmt, Ternary, Ty, Unary, Value,
};
use crate::spmd::memory::BufferData;
use crate::spmd::oracle;

/// Every integer that a rule tests for, its neighbours, and both kinds of powers of two.
fn integers() -> Vec<u32> {
    let mut integers = vec![0, 1, 2, 3, 5, 7, 31, 32, 33, 64, 100, 0x7fff_ffff, 0x8000_0000, 0x8000_0001];
    integers.extend((2..31).map(|k| 1 << k));
    integers.extend((0..31).map(|k| (1_u32 << k).wrapping_neg()));
    integers.extend([(-3_i32).cast_unsigned(), (-5_i32).cast_unsigned(), 0x7fff_fffe]);
    integers
}

fn floats() -> Vec<u32> {
    let floats = [0.0, -0.0, 1.0, -1.0, 2.0, -0.5, 3.0, 0.1, 1e-40, -1e-45, 1e38, 3.0e38, 2.0_f32.powi(-127)];
    let more =
        [2.0_f32.powi(127), 2.0_f32.powi(-126), f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1.999_999_9];
    floats.into_iter().chain(more).map(f32::to_bits).collect()
}

/// `x[i]`, then `op` for each of the constants, stored one after the other.
struct Table {
    program: Program,
    x: Value,
    columns: u32,
}

impl Table {
    fn new(ty: Ty) -> Self {
        let buffer = |name: &str, writable| BufferDecl {
            name: name.into(),
            binding: (0, 0),
            writable,
            role: Role::Data,
        };
        let program = Program {
            name: "rules".into(),
            workgroup_size: [64, 1, 1],
            buffers: vec![buffer("x", false), buffer("out", true)],
            order: Order::Rows,
            shared: Vec::new(),
            tables: Vec::new(),
            locals: Vec::new(),
            vars: Vec::new(),
            values: Vec::new(),
            body: Vec::new(),
            labels: 0,
        };
        let mut table = Self { program, x: Value(0), columns: 0 };
        let id = table.define(Ty::U32, Op::Builtin(Builtin::GlobalId(0)));
        table.x = table.define(ty, Op::Load { memory: Memory::Buffer(Buffer(0)), index: id });
        table
    }

    fn define(&mut self, ty: Ty, op: Op) -> Value {
        let value = self.program.new_value(ty);
        self.program.body.push(Stmt::Let(value, op));
        value
    }

    /// The result in a new column, of at most 1000.
    fn column(&mut self, op: Op) {
        let ty = op.result_type(&self.program).expect("known");
        let mut result = self.define(ty, op);
        if ty == Ty::Bool {
            let (one, zero) = (self.define(Ty::U32, Op::Const(1)), self.define(Ty::U32, Op::Const(0)));
            result = self.define(Ty::U32, Op::Ternary(Ternary::Select, result, one, zero));
        }
        let id = self.define(Ty::U32, Op::Builtin(Builtin::GlobalId(0)));
        let (thousand, column) =
            (self.define(Ty::U32, Op::Const(1000)), self.define(Ty::U32, Op::Const(self.columns)));
        let row = self.define(Ty::U32, Op::Binary(Binary::MulI, id, thousand));
        let index = self.define(Ty::U32, Op::Binary(Binary::AddI, row, column));
        self.program.body.push(Stmt::Store { memory: Memory::Buffer(Buffer(1)), index, value: result });
        self.columns += 1;
    }

    /// Both the program and what the passes make of it, on every input.
    fn check(&self, inputs: &[u32]) {
        assert!(self.columns <= 1000);
        self.program.verify().unwrap();
        let mut fast = self.program.clone();
        optimise(&mut fast);
        let run = |program: &Program| {
            let mut out = vec![0xdead_beef; 1000 * inputs.len()];
            let mut buffers = [BufferData::Read(inputs), BufferData::Write(&mut out)];
            oracle::run(program, &mut buffers, inputs.len() as u32);
            out
        };
        for (at, (slow, fast)) in run(&self.program).into_iter().zip(run(&fast)).enumerate() {
            let nan = |bits| f32::from_bits(bits).is_nan();
            let (x, column) = (inputs[at / 1000], at % 1000);
            assert!(
                slow == fast || nan(slow) && nan(fast),
                "x = {x:#x}, column {column}: {slow:#x}, then {fast:#x}"
            );
        }
    }
}

#[test]
fn integer_operations() {
    use Binary as B;
    let signed = [
        B::AddI,
        B::SubI,
        B::MulI,
        B::DivI,
        B::RemI,
        B::MinI,
        B::MaxI,
        B::AndI,
        B::OrI,
        B::XorI,
        B::LtI,
        B::LeI,
    ];
    let unsigned = [
        B::MulI,
        B::DivU,
        B::RemU,
        B::MinU,
        B::MaxU,
        B::EqI,
        B::NeI,
        B::LtU,
        B::LeU,
        B::ShlI,
        B::ShrU,
        B::ShrI,
    ];
    for (ty, ops) in [(Ty::I32, signed), (Ty::U32, unsigned)] {
        for op in ops {
            let mut table = Table::new(ty);
            let x = table.x;
            table.column(Op::Binary(op, x, x));
            for bits in integers() {
                let c = table.define(ty, Op::Const(bits));
                table.column(Op::Binary(op, x, c));
                table.column(Op::Binary(op, c, x));
                let inner = table.define(ty, Op::Binary(B::AddI, x, c));
                let three = table.define(ty, Op::Const(3));
                table.column(Op::Binary(B::AddI, inner, three));
            }
            table.check(&integers());
        }
    }
}

#[test]
fn float_operations() {
    use Binary as B;
    for op in [B::AddF, B::SubF, B::MulF, B::DivF, B::RemF, B::MinF, B::MaxF, B::EqF, B::NeF, B::LtF, B::LeF]
    {
        let mut table = Table::new(Ty::F32);
        let x = table.x;
        table.column(Op::Binary(op, x, x));
        for bits in floats() {
            let c = table.define(Ty::F32, Op::Const(bits));
            table.column(Op::Binary(op, x, c));
            table.column(Op::Binary(op, c, x));
            let inner = table.define(Ty::F32, Op::Binary(B::MulF, x, c));
            table.column(Op::Binary(op, inner, x));
            table.column(Op::Binary(op, c, inner));
        }
        table.check(&floats());
    }
}

#[test]
fn unary_operations_twice() {
    use Unary as U;
    let cases = [
        (Ty::F32, vec![U::NegF, U::AbsF, U::SqrtF, U::FloorF], floats()),
        (Ty::I32, vec![U::NegI, U::AbsI, U::NotI, U::ReverseBits], integers()),
    ];
    for (ty, ops, inputs) in cases {
        let mut table = Table::new(ty);
        for &first in &ops {
            let once = table.define(ty, Op::Unary(first, table.x));
            for &second in &ops {
                table.column(Op::Unary(second, once));
            }
        }
        table.check(&inputs);
    }
}

/// `not` of each comparison, and selections on it.
#[test]
fn conditions() {
    use Binary as B;
    let cases = [
        (Ty::F32, vec![B::EqF, B::NeF, B::LtF, B::LeF], floats()),
        (Ty::I32, vec![B::EqI, B::NeI, B::LtI, B::LeI], integers()),
        (Ty::U32, vec![B::LtU, B::LeU], integers()),
    ];
    for (ty, ops, inputs) in cases {
        let mut table = Table::new(ty);
        let x = table.x;
        let [yes, no] = [1, 0].map(|bits| table.define(Ty::Bool, Op::Const(bits)));
        for op in ops {
            for &bits in inputs.iter().take(12) {
                let c = table.define(ty, Op::Const(bits));
                let cond = table.define(Ty::Bool, Op::Binary(op, x, c));
                let not = table.define(Ty::Bool, Op::Unary(Unary::NotB, cond));
                let other = table.define(Ty::Bool, Op::Binary(op, c, x));
                table.column(Op::Unary(Unary::NotB, cond));
                table.column(Op::Ternary(Ternary::Select, not, x, c));
                for (a, b) in [(yes, no), (no, yes), (yes, other), (other, no), (no, other), (other, yes)] {
                    table.column(Op::Ternary(Ternary::Select, cond, a, b));
                }
                table.column(Op::Binary(B::XorB, cond, yes));
            }
        }
        table.check(&inputs);
    }
}
