//! Divergent control flow, at lengths on both sides of every edge.

use super::*;
use crate::spmd::ir::Label;

fn if_(block: &mut Block, cond: Value, then: Block, otherwise: Block) {
    block.push(Stmt::If { cond, then, otherwise });
}

/// `value < limit`
fn less(p: &mut Program, block: &mut Block, value: Value, limit: u32) -> Value {
    let limit = int(p, block, limit);
    binary(p, block, Ty::Bool, Binary::LtU, value, limit)
}

/// `var += by`
fn bump(p: &mut Program, block: &mut Block, var: Var, by: Value) {
    let old = def(p, block, Ty::U32, Op::Get(var));
    let new = binary(p, block, Ty::U32, Binary::AddI, old, by);
    set(block, var, new);
}

/// A word that differs from lane to lane without a pattern.
fn scrambled(p: &mut Program, block: &mut Block, i: Value) -> Value {
    let factor = int(p, block, 0x9e37_79b9);
    let product = binary(p, block, Ty::U32, Binary::MulI, i, factor);
    let by = int(p, block, 25);
    binary(p, block, Ty::U32, Binary::ShrU, product, by)
}

/// Both ways of an `if` in an `if`, each with its own assignments; what is not assigned keeps its value.
#[test]
fn nested_branches() {
    let mut p = program(&["Out"]);
    let (a, b) = (p.new_var("a", Ty::U32), p.new_var("b", Ty::U32));
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let x = scrambled(&mut p, &mut body, i);
    set(&mut body, a, x);
    let small = less(&mut p, &mut body, x, 64);
    let (mut then, mut otherwise, mut inner, mut inner_else) = (vec![], vec![], vec![], vec![]);
    let even = less(&mut p, &mut then, x, 20);
    set(&mut inner, b, i);
    bump(&mut p, &mut inner, a, x);
    set(&mut inner_else, a, i);
    if_(&mut then, even, inner, inner_else);
    bump(&mut p, &mut then, b, x);
    bump(&mut p, &mut otherwise, b, i);
    if_(&mut body, small, then, otherwise);
    let (a, b) = (def(&mut p, &mut body, Ty::U32, Op::Get(a)), def(&mut p, &mut body, Ty::U32, Op::Get(b)));
    let sum = binary(&mut p, &mut body, Ty::U32, Binary::XorI, a, b);
    store(&mut body, buffer(0), i, sum);
    p.body = body;
    for n in LENGTHS {
        check(&p, &[], n as usize, n);
    }
}

/// How a lane leaves the loop of [`leaving`].
#[derive(Clone, Copy, Debug)]
enum Way {
    Break,
    Outer,
    Return,
    BreakIf,
}

/// Two loops, `continue` in the inner one, left in different ways at different times, and a scope around.
fn leaving(way: Way) -> Program {
    let mut p = program(&["Out"]);
    let (count, total) = (p.new_var("count", Ty::U32), p.new_var("total", Ty::U32));
    let turns = p.new_var("turns", Ty::U32);
    let (scope, outer, inner) = (p.new_label(), p.new_label(), p.new_label());
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let x = scrambled(&mut p, &mut body, i);
    let one = int(&mut p, &mut body, 1);
    let leave = |p: &mut Program, block: &mut Block, var: Var, limit: Value, how: Stmt| {
        let now = def(p, block, Ty::U32, Op::Get(var));
        let over = binary(p, block, Ty::Bool, Binary::LeU, limit, now);
        if_(block, over, vec![how], vec![]);
    };

    let mut inner_body = vec![];
    bump(&mut p, &mut inner_body, count, one);
    let jump = match way {
        Way::Break | Way::BreakIf => Stmt::Break(inner),
        Way::Outer => Stmt::Break(outer),
        Way::Return => Stmt::Return,
    };
    if !matches!(way, Way::BreakIf) {
        leave(&mut p, &mut inner_body, count, x, jump);
    }
    let now = def(&mut p, &mut inner_body, Ty::U32, Op::Get(count));
    let odd = binary(&mut p, &mut inner_body, Ty::U32, Binary::AndI, now, one);
    let odd = binary(&mut p, &mut inner_body, Ty::Bool, Binary::EqI, odd, one);
    let mut skip = vec![];
    bump(&mut p, &mut skip, total, x);
    skip.push(Stmt::Continue(inner));
    if_(&mut inner_body, odd, skip, vec![]);
    bump(&mut p, &mut inner_body, total, i);
    let mut continuing = vec![];
    bump(&mut p, &mut continuing, total, one);
    let now = def(&mut p, &mut continuing, Ty::U32, Op::Get(count));
    let limit = if matches!(way, Way::BreakIf) { x } else { int(&mut p, &mut continuing, 60) };
    let over = binary(&mut p, &mut continuing, Ty::Bool, Binary::LeU, limit, now);
    let break_if = Some(over);

    let mut outer_body = vec![Stmt::Loop { label: inner, body: inner_body, continuing, break_if }];
    bump(&mut p, &mut outer_body, turns, one);
    let by = int(&mut p, &mut outer_body, 30);
    let x_less = binary(&mut p, &mut outer_body, Ty::U32, Binary::SubI, x, by);
    let enough = less(&mut p, &mut outer_body, x_less, 60);
    if_(&mut outer_body, enough, vec![Stmt::Break(scope)], vec![]);
    let two = int(&mut p, &mut outer_body, 2);
    leave(&mut p, &mut outer_body, turns, two, Stmt::Break(outer));

    let mut in_scope =
        vec![Stmt::Loop { label: outer, body: outer_body, continuing: vec![], break_if: None }];
    let hundred = int(&mut p, &mut in_scope, 1000);
    bump(&mut p, &mut in_scope, total, hundred);
    body.push(Stmt::Scope { label: scope, body: in_scope });
    bump(&mut p, &mut body, total, one);
    let result = def(&mut p, &mut body, Ty::U32, Op::Get(total));
    store(&mut body, buffer(0), i, result);
    p.body = body;
    p
}

#[test]
fn loops_left_in_every_way() {
    for way in [Way::Break, Way::Outer, Way::Return, Way::BreakIf] {
        let p = leaving(way);
        for n in LENGTHS {
            check(&p, &[], n as usize, n);
        }
    }
}

/// A uniform loop with a uniform way out, and a branch that all lanes or none take.
#[test]
fn uniform_control_flow() {
    let mut p = program(&["limits", "Out"]);
    let (j, total) = (p.new_var("j", Ty::U32), p.new_var("total", Ty::U32));
    let label = p.new_label();
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let zero = int(&mut p, &mut body, 0);
    let one = int(&mut p, &mut body, 1);
    let limit = load(&mut p, &mut body, Ty::U32, buffer(0), zero);
    set(&mut body, j, zero);
    let mut inner = vec![];
    let now = def(&mut p, &mut inner, Ty::U32, Op::Get(j));
    let done = binary(&mut p, &mut inner, Ty::Bool, Binary::LeU, limit, now);
    if_(&mut inner, done, vec![Stmt::Break(label)], vec![]);
    let three = less(&mut p, &mut inner, now, 3);
    let (mut then, mut otherwise) = (vec![], vec![]);
    bump(&mut p, &mut then, total, i);
    bump(&mut p, &mut otherwise, total, now);
    if_(&mut inner, three, then, otherwise);
    let mut continuing = vec![];
    bump(&mut p, &mut continuing, j, one);
    body.push(Stmt::Loop { label, body: inner, continuing, break_if: None });
    let result = def(&mut p, &mut body, Ty::U32, Op::Get(total));
    store(&mut body, buffer(1), i, result);
    p.body = body;
    for limit in [0, 1, 7] {
        for n in [1, 16, 17, 1025] {
            check(&p, &[&[limit]], n as usize, n);
        }
    }
}

/// Values that swap their variables: each must be read before the other's slot is written.
#[test]
fn variables_trade_places() {
    let mut p = program(&["a", "Out", "Out2"]);
    let (x, y, k) = (p.new_var("x", Ty::U32), p.new_var("y", Ty::U32), p.new_var("k", Ty::U32));
    let label = p.new_label();
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let word = load(&mut p, &mut body, Ty::U32, buffer(0), i);
    let one = int(&mut p, &mut body, 1);
    set(&mut body, x, word);
    set(&mut body, y, i);
    let mut inner = vec![];
    let old_x = def(&mut p, &mut inner, Ty::U32, Op::Get(x));
    let old_y = def(&mut p, &mut inner, Ty::U32, Op::Get(y));
    let new_x = binary(&mut p, &mut inner, Ty::U32, Binary::AddI, old_y, one);
    let new_y = binary(&mut p, &mut inner, Ty::U32, Binary::XorI, old_x, old_y);
    set(&mut inner, x, new_x);
    set(&mut inner, y, new_y);
    let again = def(&mut p, &mut inner, Ty::U32, Op::Get(x));
    let more = binary(&mut p, &mut inner, Ty::U32, Binary::MulI, again, new_y);
    set(&mut inner, x, more);
    bump(&mut p, &mut inner, k, one);
    let now = def(&mut p, &mut inner, Ty::U32, Op::Get(k));
    let five = int(&mut p, &mut inner, 5);
    let done = binary(&mut p, &mut inner, Ty::Bool, Binary::LeU, five, now);
    body.push(Stmt::Loop { label, body: inner, continuing: vec![], break_if: Some(done) });
    for (at, var) in [(1, x), (2, y)] {
        let result = def(&mut p, &mut body, Ty::U32, Op::Get(var));
        store(&mut body, buffer(at), i, result);
    }
    p.body = body;
    let input: Vec<u32> = (0..1100).map(|i: u32| i.wrapping_mul(77_777)).collect();
    for n in [1, 16, 33, 1025] {
        check(&p, &[&input], n as usize, n);
    }
}

/// A loop whose turns leave a variable as the uniform way out finds it: nothing may be assigned too early.
#[test]
fn assignment_after_a_uniform_break() {
    let mut p = program(&["Out"]);
    let (x, j) = (p.new_var("x", Ty::U32), p.new_var("j", Ty::U32));
    let label: Label = p.new_label();
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let one = int(&mut p, &mut body, 1);
    let mut inner = vec![];
    let old = def(&mut p, &mut inner, Ty::U32, Op::Get(x));
    let sum = binary(&mut p, &mut inner, Ty::U32, Binary::AddI, old, i);
    bump(&mut p, &mut inner, j, one);
    let now = def(&mut p, &mut inner, Ty::U32, Op::Get(j));
    let four = int(&mut p, &mut inner, 4);
    let done = binary(&mut p, &mut inner, Ty::Bool, Binary::LeU, four, now);
    if_(&mut inner, done, vec![Stmt::Break(label)], vec![]);
    set(&mut inner, x, sum);
    body.push(Stmt::Loop { label, body: inner, continuing: vec![], break_if: None });
    let result = def(&mut p, &mut body, Ty::U32, Op::Get(x));
    store(&mut body, buffer(0), i, result);
    p.body = body;
    check(&p, &[], 40, 40);
}
