//! The verifier against programs that break one rule each, and the printer against a text.

use super::{
    Binary, Buffer, BufferDecl, Builtin, Class, Label, Local, LocalDecl, Memory, Op, Order, Program, Role,
    Stmt, Table, Ternary, Ty, Unary, Value, Var,
};

fn empty() -> Program {
    let buffer =
        |name: &str, writable| BufferDecl { name: name.into(), binding: (0, 0), writable, role: Role::Data };
    Program {
        name: "test".into(),
        workgroup_size: [64, 1, 1],
        buffers: vec![buffer("x", false), buffer("out", true)],
        order: Order::Rows,
        shared: Vec::new(),
        tables: Vec::new(),
        locals: vec![LocalDecl { name: "array".into(), words: 4 }],
        vars: Vec::new(),
        values: Vec::new(),
        body: Vec::new(),
        labels: 2,
    }
}

/// `%0..%3` of the four types, defined by constants.
fn with_constants() -> Program {
    let mut program = empty();
    for ty in [Ty::F32, Ty::I32, Ty::U32, Ty::Bool] {
        let value = program.new_value(ty);
        program.body.push(Stmt::Let(value, Op::Const(1)));
    }
    program
}

const F: Value = Value(0);
const I: Value = Value(1);
const U: Value = Value(2);
const B: Value = Value(3);

#[track_caller]
fn rejects(program: &Program, words: &str) {
    let error = program.verify().expect_err("a broken program passed");
    assert!(error.contains(words), "{error}");
}

#[track_caller]
fn rejects_after(stmts: Vec<Stmt>, words: &str) {
    let mut program = with_constants();
    program.body.extend(stmts);
    rejects(&program, words);
}

#[track_caller]
fn op(op: Op, ty: Ty) -> Result<(), String> {
    let mut program = with_constants();
    let value = program.new_value(ty);
    program.body.push(Stmt::Let(value, op));
    program.verify()
}

fn set(var: u32, value: Value) -> Stmt {
    Stmt::Set { var: Var(var), value, masked: true }
}

#[test]
fn types_of_operations() {
    let good: [(Op, Ty); 9] = [
        (Op::Binary(Binary::AddF, F, F), Ty::F32),
        (Op::Binary(Binary::AddI, I, I), Ty::I32),
        (Op::Binary(Binary::ShlI, I, U), Ty::I32),
        (Op::Binary(Binary::Ldexp, F, I), Ty::F32),
        (Op::Binary(Binary::LtU, U, U), Ty::Bool),
        (Op::Ternary(Ternary::Select, B, F, F), Ty::F32),
        (Op::Ternary(Ternary::Select, B, B, B), Ty::Bool),
        (Op::Unary(Unary::Bitcast, F), Ty::U32),
        (Op::Load { memory: Memory::Buffer(Buffer(0)), index: I }, Ty::F32),
    ];
    for (operation, ty) in good {
        op(operation, ty).unwrap();
    }
    let bad: [(Op, Ty); 14] = [
        (Op::Binary(Binary::AddF, F, I), Ty::F32),
        (Op::Binary(Binary::AddF, F, F), Ty::I32),
        (Op::Binary(Binary::AddI, I, U), Ty::I32),
        (Op::Binary(Binary::AddI, I, I), Ty::U32),
        (Op::Binary(Binary::ShlI, I, I), Ty::I32),
        (Op::Binary(Binary::ShlI, I, U), Ty::U32),
        (Op::Binary(Binary::DivU, I, I), Ty::I32),
        (Op::Ternary(Ternary::Select, B, F, I), Ty::I32),
        (Op::Ternary(Ternary::Select, U, F, F), Ty::F32),
        (Op::Unary(Unary::Bitcast, F), Ty::Bool),
        (Op::Unary(Unary::Bitcast, B), Ty::U32),
        (Op::Load { memory: Memory::Buffer(Buffer(0)), index: F }, Ty::F32),
        (Op::Load { memory: Memory::Local(Local(0)), index: U }, Ty::Bool),
        (Op::Const(2), Ty::Bool),
    ];
    for (operation, ty) in bad {
        assert!(op(operation, ty).is_err(), "{operation:?} as {ty:?}");
    }
}

#[test]
fn ids_in_range() {
    assert!(op(Op::Unary(Unary::NegF, Value(99)), Ty::F32).unwrap_err().contains("%99 is not in the table"));
    assert!(op(Op::Get(Var(0)), Ty::F32).is_err());
    assert!(op(Op::Load { memory: Memory::Buffer(Buffer(2)), index: U }, Ty::F32).is_err());
    assert!(op(Op::Load { memory: Memory::Local(Local(1)), index: U }, Ty::F32).is_err());
    assert!(op(Op::Length { buffer: Buffer(7), offset: 0, stride: 1 }, Ty::U32).is_err());
    assert!(op(Op::Length { buffer: Buffer(0), offset: 0, stride: 0 }, Ty::U32).is_err());
    assert!(op(Op::Builtin(Builtin::GlobalId(3)), Ty::U32).is_err());
    rejects_after(vec![Stmt::Let(Value(4), Op::Const(0))], "not in the table of 4 values");
    rejects_after(vec![Stmt::Scope { label: Label(2), body: vec![] }], "not one of the 2 labels");
}

#[test]
fn values_once_and_in_scope() {
    rejects_after(vec![Stmt::Let(F, Op::Const(0))], "a second time");
    let mut program = with_constants();
    let inner = program.new_value(Ty::F32);
    let user = program.new_value(Ty::F32);
    let define = Stmt::Let(inner, Op::Const(0));
    let use_it = Stmt::Let(user, Op::Unary(Unary::NegF, inner));
    let base = program.clone();

    program.body.extend([use_it.clone(), define.clone()]);
    rejects(&program, "before it is defined");

    program = base.clone();
    program
        .body
        .extend([Stmt::If { cond: B, then: vec![define.clone()], otherwise: vec![] }, use_it.clone()]);
    rejects(&program, "outside the block");

    program = base.clone();
    program.body.push(Stmt::If { cond: B, then: vec![define.clone()], otherwise: vec![use_it.clone()] });
    rejects(&program, "outside the block");

    program = base;
    program.body.extend([define, Stmt::If { cond: B, then: vec![], otherwise: vec![use_it] }]);
    program.verify().unwrap();
}

#[test]
fn a_loop_body_is_visible_in_continuing_up_to_its_first_continue() {
    let base = {
        let mut program = with_constants();
        program.new_value(Ty::Bool);
        program.new_value(Ty::Bool);
        program.new_value(Ty::Bool);
        program
    };
    let (nested, late, user) = (Value(4), Value(5), Value(6));
    let build = |continue_first: bool| {
        let mut program = base.clone();
        let leave = Stmt::If {
            cond: B,
            then: vec![Stmt::Let(nested, Op::Const(1)), Stmt::Continue(Label(0))],
            otherwise: vec![],
        };
        let define = Stmt::Let(late, Op::Const(1));
        let body = if continue_first { vec![leave, define] } else { vec![define, leave] };
        let continuing = vec![Stmt::Let(user, Op::Unary(Unary::NotB, late))];
        program.body.push(Stmt::Loop { label: Label(0), body, continuing, break_if: Some(late) });
        program
    };
    build(false).verify().unwrap();
    rejects(&build(true), "outside the block");
}

#[test]
fn jumps() {
    let scope = |label, body| Stmt::Scope { label: Label(label), body };
    let repeat =
        |label, body, continuing| Stmt::Loop { label: Label(label), body, continuing, break_if: None };
    rejects_after(vec![Stmt::Break(Label(0))], "no enclosing");
    rejects_after(vec![scope(0, vec![]), Stmt::Break(Label(0))], "no enclosing");
    rejects_after(vec![scope(0, vec![Stmt::Continue(Label(0))])], "only a loop");
    rejects_after(vec![scope(0, vec![scope(0, vec![])])], "a second loop or scope");
    rejects_after(vec![scope(0, vec![]), scope(0, vec![])], "a second loop or scope");
    for jump in [Stmt::Break(Label(0)), Stmt::Continue(Label(0)), Stmt::Return] {
        rejects_after(vec![repeat(0, vec![], vec![jump])], "continuing block");
    }
    rejects_after(
        vec![scope(1, vec![repeat(0, vec![], vec![Stmt::Break(Label(1))])])],
        "of this continuing block",
    );
    let mut program = with_constants();
    program.body.push(repeat(0, vec![], vec![scope(1, vec![Stmt::Break(Label(1))])]));
    program.body.push(Stmt::Return);
    program.verify().unwrap();
}

#[test]
fn memory_and_variables() {
    let store = |memory, index, value| Stmt::Store { memory, index, value };
    let (read, write, local) =
        (Memory::Buffer(Buffer(0)), Memory::Buffer(Buffer(1)), Memory::Local(Local(0)));
    rejects_after(vec![store(read, U, F)], "read-only");
    rejects_after(vec![store(Memory::Table(Table(0)), U, U)], "t0 is not in the table of 0");
    let mut program = with_constants();
    program.tables.push([7].into());
    program.body.push(store(Memory::Table(Table(0)), U, U));
    rejects(&program, "t0 is read-only");
    program.body.pop();
    program.verify().unwrap();
    program.tables.push([].into());
    rejects(&program, "t1 has 0 words");
    rejects_after(vec![store(write, U, B)], "wrong type bool");
    rejects_after(vec![store(local, F, F)], "the index has the wrong type");
    rejects_after(vec![set(0, F)], "$0 is not in the table");
    rejects_after(vec![Stmt::If { cond: U, then: vec![], otherwise: vec![] }], "wrong type u32");
    let mut program = with_constants();
    program.new_var("x", Ty::I32);
    program.body.push(set(0, F));
    rejects(&program, "wrong type f32");
    let mut program = empty();
    program.locals[0].words = 0;
    rejects(&program, "0 words");
    program.locals.clear();
    program.workgroup_size = [64, 0, 1];
    rejects(&program, "no axis may be 0");
}

#[test]
fn prints() {
    let mut program = with_constants();
    program.new_var("sum", Ty::F32);
    program.values[0].class = Class::Uniform;
    program.values[2].class = Class::Linear { stride: 4 };
    program.body.push(Stmt::If { cond: B, then: vec![set(0, F)], otherwise: vec![] });
    program.body.push(Stmt::Store { memory: Memory::Buffer(Buffer(1)), index: U, value: F });
    let text = program.to_string();
    let expected = "test (64, 1, 1) by Rows
  b0 x @0,0 read
  b1 out @0,0 write
  l0 array [4]
  $0 sum: f32
{
  %0: f32! = 1e-45
  %1: i32 = 1
  %2: u32+4 = 1
  %3: bool = true
  if %3 {
    $0 = %0
  }
  b1[%2] = %0
}
";
    assert_eq!(text, expected);
}
