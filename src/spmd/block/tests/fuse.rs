//! Operations that are computed as one give what they give one by one, in whole blocks and in chunks with gaps between.

use super::*;

/// Values whose sums and products round, cancel, underflow and overflow.
fn edges() -> Vec<u32> {
    let values: [f32; 24] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        3.0,
        0.1,
        -0.3,
        f32::EPSILON,
        1.0 + f32::EPSILON,
        -1.0 + f32::EPSILON,
        f32::MIN_POSITIVE,
        -f32::MIN_POSITIVE / 4.0,
        f32::MIN_POSITIVE / 1024.0,
        1e-20,
        -1e-20,
        1e20,
        -3e19,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        16_777_217.0,
        0.333_333_34,
    ];
    // A stride that shares no factor with their number, so that neighbours of many kinds meet.
    (0..2300).map(|at| values[at * at * 7 % 24].to_bits()).collect()
}

/// Which lanes a test computes in.
#[derive(Clone, Copy, Debug)]
enum Where {
    Everywhere,
    /// Two chunks of three.
    Dense,
    /// One chunk of five, and not all of its lanes.
    Sparse,
}

const PLACES: [Where; 3] = [Where::Everywhere, Where::Dense, Where::Sparse];
/// Invocations: over two blocks.
const N: u32 = 2083;

/// The body in those lanes.
fn within(p: &mut Program, block: &mut Block, i: Value, place: Where, body: Block) {
    let (shift, modulus, below) = match place {
        Where::Everywhere => return block.extend(body),
        Where::Dense => (4, 3, 2),
        Where::Sparse => (3, 10, 1),
    };
    let shift = int(p, block, shift);
    let at = binary(p, block, Ty::U32, Binary::ShrU, i, shift);
    let modulus = int(p, block, modulus);
    let at = binary(p, block, Ty::U32, Binary::RemU, at, modulus);
    let below = int(p, block, below);
    let cond = binary(p, block, Ty::Bool, Binary::LtU, at, below);
    block.push(Stmt::If { cond, then: body, otherwise: vec![] });
}

/// Stores a float, or 7 for a NaN: which NaN is nobody's promise.
fn store_float(p: &mut Program, block: &mut Block, i: Value, number: u32, x: Value) {
    let seven = def(p, block, Ty::F32, Op::Const(7.0_f32.to_bits()));
    let is_number = binary(p, block, Ty::Bool, Binary::EqF, x, x);
    let x = def(p, block, Ty::F32, Op::Ternary(Ternary::Select, is_number, x, seven));
    let offset = int(p, block, number * N);
    let index = binary(p, block, Ty::U32, Binary::AddI, i, offset);
    store(block, buffer(1), index, x);
}

const JOINS: [Binary; 3] = [Binary::AddF, Binary::SubF, Binary::MulF];

/// Five floats: words `i`, `i + 1`, … of the input; `constant` is the same everywhere.
fn leaves(p: &mut Program, block: &mut Block, i: Value, constant: usize) -> Vec<Value> {
    (0..5)
        .map(|at| {
            if at == constant {
                return def(p, block, Ty::F32, Op::Const((-0.1_f32).to_bits()));
            }
            let offset = int(p, block, 3 * at as u32);
            let index = binary(p, block, Ty::U32, Binary::AddI, i, offset);
            load(p, block, Ty::F32, buffer(0), index)
        })
        .collect()
}

/// A program that computes `count` values by `expression(p, block, leaves, which)`.
fn expressions(
    place: Where,
    constant: usize,
    count: usize,
    mut expression: impl FnMut(&mut Program, &mut Block, &[Value], usize) -> Value,
) -> Program {
    let mut p = program(&["in", "Out"]);
    let (mut body, mut inner) = (vec![], vec![]);
    let i = id(&mut p, &mut body);
    let leaves = leaves(&mut p, &mut body, i, constant);
    for which in 0..count {
        let x = expression(&mut p, &mut inner, &leaves, which);
        store_float(&mut p, &mut inner, i, which as u32, x);
    }
    within(&mut p, &mut body, i, place, inner);
    p.body = body;
    p
}

/// `a ∘ b`, or `b ∘ a`.
fn joined(p: &mut Program, block: &mut Block, op: Binary, a: Value, b: Value, turned: bool) -> Value {
    let (a, b) = if turned { (b, a) } else { (a, b) };
    binary(p, block, Ty::F32, op, a, b)
}

#[test]
fn chains() {
    let input = edges();
    for (turn, place) in (0..8).zip(PLACES.into_iter().cycle()) {
        for joins in [2, 3, 4] {
            let count = 3_usize.pow(joins);
            let p = expressions(place, turn % 6, count, |p, block, leaves, mut which| {
                let mut x = leaves[0];
                for (at, leaf) in (0..joins).zip(&leaves[1..]) {
                    x = joined(p, block, JOINS[which % 3], x, *leaf, turn >> at & 1 == 1);
                    which /= 3;
                }
                x
            });
            check(&p, &[&input], count * N as usize, N);
        }
    }
}

/// `(a ∘ b) ∘ (c ∘ d)`, and that with `e`.
#[test]
fn pairs() {
    let input = edges();
    for (turn, place) in (0..6).zip(PLACES.into_iter().cycle()) {
        for last in [false, true] {
            let count = if last { 81 } else { 27 };
            let p = expressions(place, turn, count, |p, block, leaves, which| {
                let op = |at: u32| JOINS[which / 3_usize.pow(at) % 3];
                let a = joined(p, block, op(0), leaves[0], leaves[1], false);
                let b = joined(p, block, op(1), leaves[2], leaves[3], false);
                let x = joined(p, block, op(2), a, b, turn & 1 == 1);
                if last { joined(p, block, op(3), x, leaves[4], turn & 2 == 2) } else { x }
            });
            check(&p, &[&input], count * N as usize, N);
        }
    }
}

/// Values that two trees need, one tree's value in another, and a polynomial.
#[test]
fn shared_parts() {
    let input = edges();
    for place in PLACES {
        let p = expressions(place, 1, 4, |p, block, leaves, which| {
            let [a, b, c, d, e] = [leaves[0], leaves[1], leaves[2], leaves[3], leaves[4]];
            let (aa, bb) =
                (joined(p, block, Binary::MulF, a, a, false), joined(p, block, Binary::MulF, b, b, false));
            let sum = joined(p, block, Binary::AddF, aa, bb, false);
            let difference = joined(p, block, Binary::SubF, aa, bb, false);
            let (mut x, mut y) = (joined(p, block, Binary::AddF, difference, c, false), sum);
            for _ in 0..which {
                x = joined(p, block, Binary::MulF, x, d, true);
                x = joined(p, block, Binary::AddF, x, e, false);
                y = joined(p, block, Binary::SubF, y, x, false);
            }
            joined(p, block, Binary::MulF, x, y, false)
        });
        check(&p, &[&input], 4 * N as usize, N);
    }
}

/// Comparisons of trees, selections by comparisons and their conjunctions, with floats and integers.
#[test]
fn tests_and_selections() {
    let input = edges();
    let compare = [
        (Binary::EqF, Ty::F32),
        (Binary::LtF, Ty::F32),
        (Binary::LeF, Ty::F32),
        (Binary::EqI, Ty::U32),
        (Binary::NeI, Ty::U32),
        (Binary::LtI, Ty::I32),
        (Binary::LeI, Ty::I32),
        (Binary::LtU, Ty::U32),
        (Binary::LeU, Ty::U32),
    ];
    for place in PLACES {
        let p = expressions(place, 2, 72, |p, block, leaves, which| {
            let (op, ty) = compare[which % 9];
            let way = which / 9;
            let mut x = leaves[0];
            let mut with = leaves[1];
            if ty == Ty::F32 {
                let other = joined(p, block, Binary::MulF, leaves[3], leaves[4], false);
                x = match way % 4 {
                    0 => x,
                    1 => joined(p, block, JOINS[way / 4], x, leaves[3], false),
                    2 => {
                        let x = joined(p, block, JOINS[way / 4 * 2], x, leaves[3], false);
                        joined(p, block, Binary::SubF, x, leaves[4], true)
                    }
                    _ => {
                        let square = joined(p, block, Binary::MulF, x, x, false);
                        joined(p, block, JOINS[way / 4], square, other, false)
                    }
                };
            } else {
                x = def(p, block, ty, Op::Unary(Unary::Bitcast, x));
                with = def(p, block, ty, Op::Unary(Unary::Bitcast, with));
                if way % 4 == 1 && ty == Ty::U32 {
                    x = binary(p, block, ty, Binary::AndI, x, with);
                }
                if way % 4 == 2 {
                    let product = binary(p, block, ty, Binary::MulI, x, with);
                    x = binary(p, block, ty, Binary::AddI, product, x);
                }
            }
            let (a, b) = if way % 2 == 0 { (x, with) } else { (with, x) };
            let mut cond = binary(p, block, Ty::Bool, op, a, b);
            if way >= 4 {
                let other = binary(p, block, Ty::Bool, Binary::LeF, leaves[4], leaves[2]);
                let (a, b) = if way % 2 == 0 { (cond, other) } else { (other, cond) };
                cond = binary(p, block, Ty::Bool, Binary::AndB, a, b);
            }
            def(p, block, Ty::F32, Op::Ternary(Ternary::Select, cond, leaves[3], leaves[0]))
        });
        check(&p, &[&input], 72 * N as usize, N);
    }
}

/// What is added to a variable in some lanes only, which others keep.
#[test]
fn merges() {
    let input = edges();
    for place in PLACES {
        let mut p = program(&["in", "Out"]);
        let (mut body, mut inner) = (vec![], vec![]);
        let i = id(&mut p, &mut body);
        let leaves = leaves(&mut p, &mut body, i, 1);
        let var = |p: &mut Program, body: &mut Block, start: Value, ty: Ty| {
            let var = p.new_var("v", ty);
            set(body, var, start);
            var
        };
        let float = [Binary::AddF, Binary::SubF, Binary::MulF, Binary::DivF];
        let floats = float.map(|_| var(&mut p, &mut body, leaves[0], Ty::F32));
        let fused = var(&mut p, &mut body, leaves[1], Ty::F32);
        let count = var(&mut p, &mut body, i, Ty::U32);
        for (op, var) in float.into_iter().zip(floats) {
            let old = def(&mut p, &mut inner, Ty::F32, Op::Get(var));
            let new = binary(&mut p, &mut inner, Ty::F32, op, leaves[2], old);
            set(&mut inner, var, new);
        }
        let old = def(&mut p, &mut inner, Ty::F32, Op::Get(fused));
        let new = Op::Ternary(Ternary::MulAddF, leaves[2], leaves[3], old);
        let new = def(&mut p, &mut inner, Ty::F32, new);
        // Between the sum and its assignment, what it was computed from changes.
        set(&mut inner, floats[0], leaves[4]);
        set(&mut inner, fused, new);
        let old = def(&mut p, &mut inner, Ty::U32, Op::Get(count));
        let new = binary(&mut p, &mut inner, Ty::U32, Binary::AddI, old, i);
        set(&mut inner, count, new);
        within(&mut p, &mut body, i, place, inner);
        for (at, var) in floats.into_iter().chain([fused]).enumerate() {
            let x = def(&mut p, &mut body, Ty::F32, Op::Get(var));
            store_float(&mut p, &mut body, i, at as u32, x);
        }
        let count = def(&mut p, &mut body, Ty::U32, Op::Get(count));
        let offset = int(&mut p, &mut body, 5 * N);
        let index = binary(&mut p, &mut body, Ty::U32, Binary::AddI, i, offset);
        store(&mut body, buffer(1), index, count);
        p.body = body;
        check(&p, &[&input], 6 * N as usize, N);
    }
}
