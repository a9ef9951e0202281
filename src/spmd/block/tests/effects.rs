//! Atomics and subgroup operations, each by hand.

use super::launch::{Cut, check, check_cut, scrambled};
use super::*;
use crate::spmd::grid::Grid;
use crate::spmd::ir::{AtomicOp, Effect, LocalDecl, Shared};

const OPS: [AtomicOp; 8] = [
    AtomicOp::Add,
    AtomicOp::Sub,
    AtomicOp::And,
    AtomicOp::Or,
    AtomicOp::Xor,
    AtomicOp::Min,
    AtomicOp::Max,
    AtomicOp::Exchange,
];

fn effect(p: &mut Program, block: &mut Block, ty: Ty, effect: Effect) -> Value {
    let result = p.new_value(ty);
    block.push(Stmt::Effect { result: Some(result), effect });
    result
}

fn workgroups(size: u32, shared: u32) -> Program {
    let mut p = program(&["input", "Memory", "Out"]);
    (p.workgroup_size, p.order) = ([size, 1, 1], Order::Workgroups);
    if shared > 0 {
        p.shared = vec![LocalDecl { name: "shared".into(), words: shared }];
    }
    p
}

/// What is active: everything, some lanes, one lane, or none of some chunks.
fn conditions(p: &mut Program, block: &mut Block, i: Value) -> Vec<Option<Value>> {
    let (one, seven, forty) = (int(p, block, 1), int(p, block, 7), int(p, block, 40));
    let low = binary(p, block, Ty::U32, Binary::AndI, i, seven);
    let some = binary(p, block, Ty::Bool, Binary::LeU, low, one);
    let single = binary(p, block, Ty::Bool, Binary::EqI, i, forty);
    let late = binary(p, block, Ty::Bool, Binary::LeU, forty, i);
    vec![None, Some(some), Some(single), Some(late)]
}

/// An atomic in a condition, whose result goes to `out[i]`.
fn atomic_program(
    size: u32,
    place: Memory,
    op: AtomicOp,
    ty: Ty,
    index: &Index,
    when: usize,
    wanted: bool,
) -> Program {
    let shared = if matches!(place, Memory::Shared(_)) { 50 } else { 0 };
    let mut p = workgroups(size, shared);
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let local = def(&mut p, &mut body, Ty::U32, Op::Builtin(Builtin::LocalIndex));
    let value = load(&mut p, &mut body, ty, buffer(0), i);
    let index = match index {
        Index::Same(at) => int(&mut p, &mut body, *at),
        Index::Loaded => {
            let word = load(&mut p, &mut body, Ty::U32, buffer(0), i);
            let limit = int(&mut p, &mut body, 53);
            binary(&mut p, &mut body, Ty::U32, Binary::RemU, word, limit)
        }
        Index::Own => local,
    };
    let conditions = conditions(&mut p, &mut body, local);
    let mut inner = vec![];
    let change = Effect::Atomic { op, memory: place, index, value };
    if wanted {
        let old = effect(&mut p, &mut inner, ty, change);
        store(&mut inner, buffer(2), i, old);
    } else {
        inner.push(Stmt::Effect { result: None, effect: change });
    }
    match conditions[when] {
        Some(cond) => body.push(Stmt::If { cond, then: inner, otherwise: vec![] }),
        None => body.extend(inner),
    }
    if shared > 0 {
        // What the workgroup's memory holds in the end.
        body.push(Stmt::Effect { result: None, effect: Effect::Barrier });
        let word = load(&mut p, &mut body, Ty::U32, place, local);
        let group = def(&mut p, &mut body, Ty::U32, Op::Builtin(Builtin::WorkgroupId(0)));
        let width = int(&mut p, &mut body, 50);
        let row = binary(&mut p, &mut body, Ty::U32, Binary::MulI, group, width);
        let inside = binary(&mut p, &mut body, Ty::Bool, Binary::LtU, local, width);
        let mut then = vec![];
        let at = binary(&mut p, &mut then, Ty::U32, Binary::AddI, row, local);
        store(&mut then, buffer(1), at, word);
        body.push(Stmt::If { cond: inside, then, otherwise: vec![] });
    }
    p.body = body;
    p
}

enum Index {
    Same(u32),
    Loaded,
    Own,
}

/// Every operation on buffers and workgroup memory, at one word, at scattered and at separate words, inside and outside.
#[test]
fn atomics() {
    for place in [buffer(1), Memory::Shared(Shared(0))] {
        for size in [1, 33, 64] {
            for op in OPS {
                for ty in [Ty::U32, Ty::I32] {
                    for index in
                        [Index::Same(3), Index::Same(50), Index::Same(u32::MAX), Index::Loaded, Index::Own]
                    {
                        for when in 0..4 {
                            for wanted in [false, true] {
                                let p = atomic_program(size, place, op, ty, &index, when, wanted);
                                let n = (2 * size) as usize;
                                let memory = if matches!(place, Memory::Shared(_)) { 100 } else { 50 };
                                let grid = Grid::whole([2, 1, 1], p.workgroup_size).unwrap();
                                let buffers = [scrambled(n), scrambled(memory), vec![POISON; n]];
                                // What one workgroup leaves, the next one finds.
                                check_cut(&p, &buffers, &grid, &[Cut::Singly]);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn exchanges_and_atomic_loads_and_stores() {
    for place in [buffer(1), Memory::Shared(Shared(0))] {
        for size in [1, 17, 64] {
            for same in [false, true] {
                for when in 0..4 {
                    let mut p = workgroups(size, 50);
                    let mut body = vec![];
                    let i = id(&mut p, &mut body);
                    let local = def(&mut p, &mut body, Ty::U32, Op::Builtin(Builtin::LocalIndex));
                    let (three, limit) = (int(&mut p, &mut body, 3), int(&mut p, &mut body, 53));
                    let word = load(&mut p, &mut body, Ty::U32, buffer(0), i);
                    let scattered = binary(&mut p, &mut body, Ty::U32, Binary::RemU, word, limit);
                    let index = if same { three } else { scattered };
                    let conditions = conditions(&mut p, &mut body, local);
                    let mut inner = vec![];
                    inner.push(Stmt::Effect {
                        result: None,
                        effect: Effect::AtomicStore { memory: place, index, value: local },
                    });
                    let seen =
                        effect(&mut p, &mut inner, Ty::U32, Effect::AtomicLoad { memory: place, index });
                    let exchange =
                        Effect::CompareExchange { memory: place, index, expected: seen, value: word };
                    inner.push(Stmt::Effect { result: None, effect: exchange });
                    let old = effect(&mut p, &mut inner, Ty::U32, exchange);
                    let sum = binary(&mut p, &mut inner, Ty::U32, Binary::MulI, old, three);
                    let sum = binary(&mut p, &mut inner, Ty::U32, Binary::AddI, sum, seen);
                    store(&mut inner, buffer(2), i, sum);
                    match conditions[when] {
                        Some(cond) => body.push(Stmt::If { cond, then: inner, otherwise: vec![] }),
                        None => body.extend(inner),
                    }
                    p.body = body;
                    let n = (2 * size) as usize;
                    let grid = Grid::whole([2, 1, 1], p.workgroup_size).unwrap();
                    let buffers = [scrambled(n), scrambled(50), vec![POISON; n]];
                    check_cut(&p, &buffers, &grid, &[Cut::Whole]);
                }
            }
        }
    }
}

/// Four threads' worth of additions to the same words, from both orders, add up.
#[test]
fn atomics_of_threads_add_up() {
    for order in [Order::Rows, Order::Workgroups] {
        let mut p = workgroups(64, 0);
        p.order = order;
        let mut body = vec![];
        let i = id(&mut p, &mut body);
        let (mask, one, nine) =
            (int(&mut p, &mut body, 7), int(&mut p, &mut body, 1), int(&mut p, &mut body, 9));
        let low = binary(&mut p, &mut body, Ty::U32, Binary::AndI, i, mask);
        for index in [low, nine] {
            let add = Effect::Atomic { op: AtomicOp::Add, memory: buffer(1), index, value: one };
            body.push(Stmt::Effect { result: None, effect: add });
        }
        // Nobody draws the same number twice.
        let ten = int(&mut p, &mut body, 10);
        let draw = Effect::Atomic { op: AtomicOp::Add, memory: buffer(1), index: ten, value: one };
        let ticket = effect(&mut p, &mut body, Ty::U32, draw);
        store(&mut body, buffer(2), ticket, one);
        p.body = body;
        let n = 64 * 300;
        let grid = Grid::whole([300, 1, 1], p.workgroup_size).unwrap();
        check(&p, &[vec![], vec![0; 11], vec![POISON; n]], &grid);
    }
}

/// Makes an effect of a word, a bool and an index.
type Operation = Box<dyn Fn(Value, Value, Value) -> Effect>;

/// Every subgroup operation, in each condition.
#[test]
fn subgroups() {
    use Binary::*;
    let floats = [AddF, MulF, MinF, MaxF];
    let signed = [AddI, MulI, MinI, MaxI, AndI, OrI, XorI];
    let unsigned = [AddI, MulI, MinU, MaxU, AndI, OrI, XorI];
    let mut operations: Vec<(Ty, Operation)> = Vec::new();
    for (ty, ops) in [
        (Ty::F32, &floats[..]),
        (Ty::I32, &signed[..]),
        (Ty::U32, &unsigned[..]),
        (Ty::Bool, &[AndB, OrB][..]),
    ] {
        for &op in ops {
            let value = move |word, bit| if ty == Ty::Bool { bit } else { word };
            operations
                .push((ty, Box::new(move |word, bit, _| Effect::Reduce { op, value: value(word, bit) })));
            operations.push((
                ty,
                Box::new(move |word, bit, _| Effect::InclusiveScan { op, value: value(word, bit) }),
            ));
            if matches!(op, AddF | MulF | AddI | MulI) {
                operations.push((ty, Box::new(move |value, _, _| Effect::ExclusiveScan { op, value })));
            }
        }
    }
    operations.push((Ty::U32, Box::new(|_, bit, _| Effect::Ballot { value: bit })));
    operations.push((Ty::F32, Box::new(|value, _, _| Effect::First { value })));
    operations.push((Ty::I32, Box::new(|value, _, index| Effect::Shuffle { value, index })));
    for (ty, operation) in &operations {
        for size in [1, 16, 17, 31, 33, 100] {
            for when in 0..4 {
                for threshold in [0, 0x4000_0000, u32::MAX] {
                    let mut p = workgroups(size, 0);
                    let mut body = vec![];
                    let i = id(&mut p, &mut body);
                    let local = def(&mut p, &mut body, Ty::U32, Op::Builtin(Builtin::LocalIndex));
                    let word_ty = if matches!(ty, Ty::Bool) { Ty::U32 } else { *ty };
                    let word = load(&mut p, &mut body, word_ty, buffer(0), i);
                    let bits = load(&mut p, &mut body, Ty::U32, buffer(0), i);
                    let limit = int(&mut p, &mut body, threshold);
                    let bit = binary(&mut p, &mut body, Ty::Bool, Binary::LtU, bits, limit);
                    let wide = int(&mut p, &mut body, 37);
                    let index = binary(&mut p, &mut body, Ty::U32, Binary::RemU, bits, wide);
                    let conditions = conditions(&mut p, &mut body, local);
                    let mut inner = vec![];
                    let result = effect(&mut p, &mut inner, *ty, operation(word, bit, index));
                    let result = if *ty == Ty::Bool {
                        let op = Ternary::Select;
                        def(&mut p, &mut inner, Ty::U32, Op::Ternary(op, result, local, limit))
                    } else {
                        result
                    };
                    store(&mut inner, buffer(2), i, result);
                    match conditions[when] {
                        Some(cond) => body.push(Stmt::If { cond, then: inner, otherwise: vec![] }),
                        None => body.extend(inner),
                    }
                    p.body = body;
                    let n = (2 * size) as usize;
                    // Floats of similar size, so that the order of a sum shows.
                    let input: Vec<u32> = match ty {
                        Ty::F32 => scrambled(n).iter().map(|bits| bits >> 9 | 0x3f80_0000).collect(),
                        _ => scrambled(n),
                    };
                    let grid = Grid::whole([2, 1, 1], p.workgroup_size).unwrap();
                    let buffers = [input, vec![], vec![POISON; n]];
                    check_cut(&p, &buffers, &grid, &[Cut::Whole]);
                }
            }
        }
    }
}

/// A store is not computed into memory before an effect that stands between, nor a load taken from before one.
#[test]
fn effects_are_fences() {
    let mut p = workgroups(64, 64);
    let shared = Memory::Shared(Shared(0));
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let local = def(&mut p, &mut body, Ty::U32, Op::Builtin(Builtin::LocalIndex));
    let last = int(&mut p, &mut body, 63);
    let across = binary(&mut p, &mut body, Ty::U32, Binary::SubI, last, local);
    store(&mut body, shared, local, i);
    body.push(Stmt::Effect { result: None, effect: Effect::Barrier });
    let theirs = load(&mut p, &mut body, Ty::U32, shared, across);
    // Computed before the barrier, stored after it, where another one has read.
    let doubled = binary(&mut p, &mut body, Ty::U32, Binary::AddI, theirs, last);
    body.push(Stmt::Effect { result: None, effect: Effect::Barrier });
    let mine = load(&mut p, &mut body, Ty::U32, shared, local);
    body.push(Stmt::Effect { result: None, effect: Effect::Barrier });
    store(&mut body, shared, local, doubled);
    body.push(Stmt::Effect { result: None, effect: Effect::Barrier });
    let first = load(&mut p, &mut body, Ty::U32, shared, last);
    let sum = binary(&mut p, &mut body, Ty::U32, Binary::MulI, mine, last);
    let sum = binary(&mut p, &mut body, Ty::U32, Binary::AddI, sum, first);
    // The same for a buffer: written by an atomic between computation and store.
    let before = binary(&mut p, &mut body, Ty::U32, Binary::AddI, sum, i);
    let zero = int(&mut p, &mut body, 0);
    let old = effect(
        &mut p,
        &mut body,
        Ty::U32,
        Effect::Atomic { op: AtomicOp::Exchange, memory: buffer(2), index: i, value: zero },
    );
    store(&mut body, buffer(2), i, before);
    store(&mut body, buffer(1), i, old);
    p.body = body;
    let grid = Grid::whole([3, 1, 1], p.workgroup_size).unwrap();
    check(&p, &[vec![], vec![POISON; 192], scrambled(192)], &grid);
}
