//! The class of every built-in value, for every shape of workgroup, and what follows from the chunks.

use super::super::classify;
use crate::spmd::ir::{
    Binary, Buffer, BufferDecl, Builtin, Class, LANES, LocalDecl, Memory, Op, Order, Program, Role, SUBGROUP,
    Shared, Stmt, Ty, Unary, Value,
};

fn program(workgroup_size: [u32; 3], order: Order) -> Program {
    let buffer = BufferDecl { name: "b".into(), binding: (0, 0), writable: true, role: Role::Data };
    Program {
        name: "classes".into(),
        workgroup_size,
        order,
        buffers: vec![buffer],
        shared: vec![LocalDecl { name: "w".into(), words: 64 }],
        tables: vec![],
        locals: vec![LocalDecl { name: "l".into(), words: 64 }],
        vars: Vec::new(),
        values: Vec::new(),
        body: Vec::new(),
        labels: 0,
    }
}

fn define(program: &mut Program, ty: Ty, op: Op) -> Value {
    let value = program.new_value(ty);
    program.body.push(Stmt::Let(value, op));
    value
}

const BUILTINS: [Builtin; 15] = [
    Builtin::GlobalId(0),
    Builtin::GlobalId(1),
    Builtin::GlobalId(2),
    Builtin::LocalId(0),
    Builtin::LocalId(1),
    Builtin::LocalId(2),
    Builtin::WorkgroupId(0),
    Builtin::WorkgroupId(1),
    Builtin::WorkgroupId(2),
    Builtin::NumWorkgroups(0),
    Builtin::NumWorkgroups(1),
    Builtin::NumWorkgroups(2),
    Builtin::LocalIndex,
    Builtin::SubgroupInvocationId,
    Builtin::SubgroupId,
];

/// A built-in value of the invocation at `local` in workgroup `group`.
fn value(builtin: Builtin, size: [u32; 3], group: [u32; 3], local: [u32; 3]) -> u32 {
    let index = local[0] + size[0] * (local[1] + size[1] * local[2]);
    match builtin {
        Builtin::GlobalId(axis) => group[axis as usize] * size[axis as usize] + local[axis as usize],
        Builtin::LocalId(axis) => local[axis as usize],
        Builtin::WorkgroupId(axis) => group[axis as usize],
        Builtin::NumWorkgroups(_) => 7,
        Builtin::LocalIndex => index,
        Builtin::SubgroupInvocationId => index % SUBGROUP as u32,
        Builtin::SubgroupId => index / SUBGROUP as u32,
    }
}

const SIZES: [u32; 10] = [1, 2, 3, 4, 8, 15, 16, 17, 32, 48];

fn sizes() -> impl Iterator<Item = [u32; 3]> {
    let axes = || SIZES.into_iter();
    axes().flat_map(move |x| axes().flat_map(move |y| axes().map(move |z| [x, y, z])))
}

/// `lanes[k]`: of lane k; `None` behind the block's end.
fn holds(class: Class, lanes: &[u32]) -> bool {
    match class {
        Class::Varying => true,
        Class::Uniform => lanes.iter().all(|lane| *lane == lanes[0]),
        Class::Linear { stride } => lanes.chunks(LANES).all(|chunk| {
            let expected = |lane: usize| chunk[0].wrapping_add(stride.wrapping_mul(lane as u32));
            (0..chunk.len()).all(|lane| chunk[lane] == expected(lane))
        }),
    }
}

fn classes(size: [u32; 3], order: Order) -> Vec<(Builtin, Class)> {
    let mut program = program(size, order);
    let values: Vec<Value> =
        BUILTINS.iter().map(|builtin| define(&mut program, Ty::U32, Op::Builtin(*builtin))).collect();
    classify(&mut program);
    BUILTINS.into_iter().zip(values.into_iter().map(|value| program.value(value).class)).collect()
}

#[test]
fn builtins_of_a_workgroup() {
    for size in sizes() {
        let all = size.iter().product::<u32>();
        let local = |lane: u32| [lane % size[0], lane / size[0] % size[1], lane / size[0] / size[1]];
        for (builtin, class) in classes(size, Order::Workgroups) {
            let lanes: Vec<u32> = (0..all).map(|lane| value(builtin, size, [3, 2, 1], local(lane))).collect();
            assert!(holds(class, &lanes), "{builtin} of {size:?} is not {class:?}");
            // As good as it can be said, for whole chunks.
            if (all as usize).is_multiple_of(LANES) && class == Class::Varying {
                assert!(
                    (0..=1).all(|stride| !holds(Class::Linear { stride }, &lanes)),
                    "{builtin} of {size:?}"
                );
            }
            if matches!(builtin, Builtin::GlobalId(_) | Builtin::LocalId(_)) {
                assert!(class == Class::Uniform || !holds(Class::Uniform, &lanes), "{builtin} of {size:?}");
            }
        }
    }
}

#[test]
fn builtins_of_a_row() {
    // A block of 64 from x = 48, at y = 5 and z = 9.
    for size in sizes() {
        for (builtin, class) in classes(size, Order::Rows) {
            if matches!(builtin, Builtin::SubgroupInvocationId | Builtin::SubgroupId) {
                continue;
            }
            let lane = |x: u32| {
                let id = [x, 5, 9];
                let axes = [0, 1, 2];
                value(builtin, size, axes.map(|a| id[a] / size[a]), axes.map(|a| id[a] % size[a]))
            };
            let lanes: Vec<u32> = (48..48 + 64).map(lane).collect();
            assert!(holds(class, &lanes), "{builtin} of {size:?} is not {class:?}");
        }
    }
}

#[test]
fn what_is_the_same_in_a_chunk_stays_so() {
    let mut program = program([16, 4, 1], Order::Workgroups);
    let p = &mut program;
    let row = define(p, Ty::U32, Op::Builtin(Builtin::LocalId(1)));
    let column = define(p, Ty::U32, Op::Builtin(Builtin::LocalId(0)));
    let group = define(p, Ty::U32, Op::Builtin(Builtin::WorkgroupId(0)));
    let shared = Memory::Shared(Shared(0));
    let buffer = Memory::Buffer(Buffer(0));
    let linear = |stride| Class::Linear { stride };
    let mut wanted = vec![(row, linear(0)), (column, linear(1)), (group, Class::Uniform)];
    let mut add = |ty, op, class| {
        let value = define(p, ty, op);
        wanted.push((value, class));
        value
    };
    let scaled = add(Ty::U32, Op::Binary(Binary::MulI, row, group), linear(0));
    add(Ty::U32, Op::Binary(Binary::XorI, scaled, row), linear(0));
    add(Ty::U32, Op::Binary(Binary::DivU, row, group), linear(0));
    add(Ty::U32, Op::Unary(Unary::NotI, row), linear(0));
    add(Ty::F32, Op::Unary(Unary::U32ToF32, row), Class::Varying);
    add(Ty::F32, Op::Unary(Unary::Bitcast, row), Class::Varying);
    add(Ty::Bool, Op::Binary(Binary::EqI, row, group), Class::Varying);
    let index = add(Ty::U32, Op::Binary(Binary::AddI, scaled, column), linear(1));
    add(Ty::U32, Op::Binary(Binary::SubI, index, column), linear(0));
    add(Ty::U32, Op::Binary(Binary::MulI, index, row), Class::Varying);
    add(Ty::U32, Op::Binary(Binary::XorI, index, group), Class::Varying);
    add(Ty::U32, Op::Load { memory: shared, index: row }, linear(0));
    add(Ty::F32, Op::Load { memory: shared, index: row }, Class::Varying);
    add(Ty::F32, Op::Load { memory: shared, index: group }, Class::Uniform);
    add(Ty::U32, Op::Load { memory: buffer, index: group }, Class::Uniform);
    add(Ty::U32, Op::Load { memory: buffer, index: column }, Class::Varying);
    let local = Memory::Local(crate::spmd::ir::Local(0));
    add(Ty::U32, Op::Load { memory: local, index: group }, Class::Varying);
    classify(&mut program);
    for (value, class) in wanted {
        assert_eq!(program.value(value).class, class, "{value} of\n{program}");
    }
}
