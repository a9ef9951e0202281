//! Several float operations in one kernel: what passes between them stays in a register.
//!
//! An operation on its own reads its operands from the first-level cache and writes its result there, and there is a call
//! and the end of a loop to each; for an addition that is more than the addition. The roundings are those of the parts,
//! in their order. What is fused is decided in [`fuse`](crate::spmd::block::fuse).

use fearless_simd::{Simd, f32x16, mask32x16, prelude::*, u32x16};

use super::memory::bits_at;
use super::{B, Body, F, I, Instr, Kernel, Lane, OPERANDS, P, TURN, Target, U, neighbours};
use crate::spmd::block::frame::Context;
use crate::spmd::ir::Binary;

/// How two operands are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::spmd::block) enum Join {
    /// A sum, or a difference: each operand may have its sign flipped.
    Sum,
    Product,
}

/// A tree of joins. The joins are numbered in the order of evaluation, left to right, which is the order of the operands too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::spmd::block) enum Shape {
    /// `(a ∘ b) ∘ c`
    Chain2([Join; 2]),
    /// `((a ∘ b) ∘ c) ∘ d`
    Chain3([Join; 3]),
    /// `(((a ∘ b) ∘ c) ∘ d) ∘ e`
    Chain4([Join; 4]),
    /// `(a ∘ b) ∘ (c ∘ d)`, where the third join is the one between.
    Pairs([Join; 3]),
    /// `((a ∘ b) ∘ (c ∘ d)) ∘ e`
    PairsOne([Join; 4]),
    /// `a * a + b * b`
    Squares,
    /// `(a * a + b * b) ∘ c`
    SquaresOne(Join),
}

/// A comparison of the tree (or, where it is none, of the first operand) with the last operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::spmd::block) enum Test {
    /// Less than it.
    Less,
    /// Less than it or equal to it.
    LessEqual,
    /// Greater than it.
    Greater,
    /// Greater than it or equal to it.
    GreaterEqual,
}

/// A fused operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::spmd::block) enum Fused {
    /// A tree of joins, or its comparison.
    Tree {
        shape: Shape,
        test: Option<Test>,
    },
    /// `a * b + c` of integers.
    MulAddI,
    /// `(a & b) == c`, or `!=`.
    MaskEq,
    MaskNe,
    /// `op(a, b) ? c : d`, where `op` compares.
    Select(Binary),
    /// `a && op(b, c)`, where `op` compares.
    And(Binary),
    /// `op(a, b)` into the active lanes of the result.
    Merge(Binary),
    /// `a * b + c`, two roundings, into the active lanes of the result.
    MergeMulAddF,
}

/// The flips of the signs: two bits to each join, for its left and its right operand.
struct Flips<S: Simd>([[u32x16<S>; 2]; 4]);

impl<S: Simd> Flips<S> {
    #[inline(always)]
    fn new(simd: S, bits: u32) -> Self {
        let flip = |at: u32| u32x16::splat(simd, (bits >> at) << 31);
        Self([[flip(0), flip(1)], [flip(2), flip(3)], [flip(4), flip(5)], [flip(6), flip(7)]])
    }
}

/// A [`Join`] as a type.
trait Joined {
    fn join<S: Simd>(a: f32x16<S>, b: f32x16<S>, flips: &[u32x16<S>; 2]) -> f32x16<S>;
}

struct Plus;
struct Times;

impl Joined for Plus {
    /// `a - b` is `a + -b` in all bits, but for the sign of a NaN.
    #[inline(always)]
    fn join<S: Simd>(a: f32x16<S>, b: f32x16<S>, flips: &[u32x16<S>; 2]) -> f32x16<S> {
        let flip = |x: f32x16<S>, flip: u32x16<S>| (x.bitcast::<u32x16<S>>() ^ flip).bitcast::<f32x16<S>>();
        flip(a, flips[0]) + flip(b, flips[1])
    }
}

impl Joined for Times {
    #[inline(always)]
    fn join<S: Simd>(a: f32x16<S>, b: f32x16<S>, _: &[u32x16<S>; 2]) -> f32x16<S> {
        a * b
    }
}

/// A [`Shape`] as a type.
trait Tree {
    /// Operands.
    const ARGS: usize;

    fn eval<S: Simd>(x: [f32x16<S>; OPERANDS], flips: &Flips<S>) -> f32x16<S>;
}

macro_rules! tree {
    ($name:ident<$($join:ident),+>: $args:literal |$x:ident, $flips:ident| $body:expr) => {
        struct $name<$($join),+>(std::marker::PhantomData<($($join,)+)>);

        impl<$($join: Joined),+> Tree for $name<$($join),+> {
            const ARGS: usize = $args;

            #[inline(always)]
            fn eval<S: Simd>($x: [f32x16<S>; OPERANDS], flips: &Flips<S>) -> f32x16<S> {
                let $flips = &flips.0;
                $body
            }
        }
    };
}

tree!(Chain2<J, K>: 3 |x, f| K::join(J::join(x[0], x[1], &f[0]), x[2], &f[1]));
tree!(Chain3<J, K, L>: 4 |x, f| L::join(K::join(J::join(x[0], x[1], &f[0]), x[2], &f[1]), x[3], &f[2]));
tree!(Chain4<J, K, L, M>: 5 |x, f| {
    M::join(L::join(K::join(J::join(x[0], x[1], &f[0]), x[2], &f[1]), x[3], &f[2]), x[4], &f[3])
});
tree!(Pairs<J, K, L>: 4 |x, f| L::join(J::join(x[0], x[1], &f[0]), K::join(x[2], x[3], &f[1]), &f[2]));
tree!(Squares<L>: 2 |x, f| L::join(x[0] * x[0], x[1] * x[1], &f[2]));
tree!(SquaresOne<L, M>: 3 |x, f| M::join(L::join(x[0] * x[0], x[1] * x[1], &f[2]), x[2], &f[3]));
tree!(PairsOne<J, K, L, M>: 5 |x, f| {
    let pairs = L::join(J::join(x[0], x[1], &f[0]), K::join(x[2], x[3], &f[1]), &f[2]);
    M::join(pairs, x[4], &f[3])
});

/// Evaluates chunk by chunk; `f` sees the tree's value and the operand behind the tree's.
///
/// # Safety
/// As [`Kernel`]; the slots are of words, and that of the result of the type that `R` says. An instruction has an entry for
/// each operand that `T` reads, and for one more where `f` looks at it.
#[inline(always)]
unsafe fn each<S: Simd, T: Tree, R: Lane, const MORE: bool>(
    simd: S,
    context: &Context,
    instr: &Instr,
    list: &[u16],
    f: impl Fn(f32x16<S>, f32x16<S>) -> R::Vector<S>,
) {
    let flips = Flips::new(simd, instr.imm[0]);
    let count = T::ARGS + usize::from(MORE);
    // SAFETY: the caller's; every chunk of the operands is read before the same chunk of the result is written.
    unsafe {
        let dst = instr.dst(context);
        // Those beyond `count` are not read.
        let args: [_; OPERANDS] = [
            instr.arg(context, 0),
            instr.arg(context, 1),
            instr.arg(context, if count > 2 { 2 } else { 0 }),
            instr.arg(context, if count > 3 { 3 } else { 0 }),
            instr.arg(context, if count > 4 { 4 } else { 0 }),
        ];
        let steps = args.map(|(_, varies)| F::BYTES & varies);
        let (first, turns, rest) = neighbours(list);
        let (mut from, mut to) = (places(args, first), dst.add(R::at(first)));
        for _ in 0..turns * (TURN / 2) {
            chunk::<S, T, R, MORE>(simd, from, to, &flips, &f);
            from = moved(from, steps);
            chunk::<S, T, R, MORE>(simd, from, to.add(R::BYTES), &flips, &f);
            from = moved(from, steps);
            to = to.add(2 * R::BYTES);
        }
        if args[..count].iter().all(|(_, varies)| *varies != 0) {
            // Half of the instructions would be about the operands that do not vary.
            let args = args.map(|(arg, _)| (arg, usize::MAX));
            for &at in rest {
                let at = usize::from(at);
                chunk::<S, T, R, MORE>(simd, places(args, at), dst.add(R::at(at)), &flips, &f);
            }
        } else {
            for &at in rest {
                let at = usize::from(at);
                chunk::<S, T, R, MORE>(simd, places(args, at), dst.add(R::at(at)), &flips, &f);
            }
        }
    }
}

/// Where the operands have the chunk at that byte offset.
///
/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn places(args: [(*const u8, usize); OPERANDS], at: usize) -> [*const u8; OPERANDS] {
    // SAFETY: the caller's.
    args.map(|(arg, varies)| unsafe { arg.add(at & varies) })
}

/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn moved(mut from: [*const u8; OPERANDS], steps: [usize; OPERANDS]) -> [*const u8; OPERANDS] {
    for (from, step) in from.iter_mut().zip(steps) {
        // SAFETY: the caller's.
        *from = unsafe { from.add(step) };
    }
    from
}

/// One chunk.
///
/// # Safety
/// As [`each`].
#[inline(always)]
unsafe fn chunk<S: Simd, T: Tree, R: Lane, const MORE: bool>(
    simd: S,
    from: [*const u8; OPERANDS],
    to: *mut u8,
    flips: &Flips<S>,
    f: &impl Fn(f32x16<S>, f32x16<S>) -> R::Vector<S>,
) {
    let count = T::ARGS + usize::from(MORE);
    // SAFETY: the caller's.
    unsafe {
        let (a, b) = (F::load(simd, from[0], 0), F::load(simd, from[1], 0));
        let c = if count > 2 { F::load(simd, from[2], 0) } else { a };
        let d = if count > 3 { F::load(simd, from[3], 0) } else { a };
        let e = if count > 4 { F::load(simd, from[4], 0) } else { a };
        let x = [a, b, c, d, e];
        R::store(f(T::eval(x, flips), x[if MORE { T::ARGS } else { 0 }]), to, 0);
    }
}

macro_rules! kernel {
    ($name:ident -> $result:ident, $more:literal |$x:ident, $y:ident| $body:expr) => {
        struct $name<T>(std::marker::PhantomData<T>);

        impl<T: Tree> Body for $name<T> {
            #[inline(always)]
            unsafe fn run<S: Simd>(simd: S, context: &Context, instr: &Instr, list: &[u16]) {
                // SAFETY: the caller's; `Fused` says the types and `fuse` counts the operands.
                unsafe {
                    each::<S, T, $result, $more>(
                        simd,
                        context,
                        instr,
                        list,
                        #[inline(always)]
                        |$x, $y| $body,
                    );
                }
            }
        }
    };
}

kernel!(Whole -> F, false |x, _y| x);
kernel!(Less -> B, true |x, y| x.simd_lt(y));
kernel!(LessEqual -> B, true |x, y| x.simd_le(y));
kernel!(Greater -> B, true |x, y| y.simd_lt(x));
kernel!(GreaterEqual -> B, true |x, y| y.simd_le(x));

/// The kernel of a fused operation, if there is one: they are made for what programs show.
pub(super) fn fused<T: Target>(fused: Fused) -> Option<Kernel> {
    match fused {
        Fused::Tree { shape, test } => tree::<T>(shape, test),
        Fused::MulAddI => Some(T::entry::<MulAddI>()),
        Fused::MaskEq => Some(T::entry::<MaskEq>()),
        Fused::MaskNe => Some(T::entry::<MaskNe>()),
        Fused::Select(op) => select::<T>(op),
        Fused::And(op) => and::<T>(op),
        Fused::Merge(Binary::AddI) => Some(T::entry::<MergeAddI>()),
        Fused::Merge(Binary::AddF) => Some(T::entry::<MergeAddF>()),
        Fused::Merge(Binary::SubF) => Some(T::entry::<MergeSubF>()),
        Fused::Merge(Binary::MulF) => Some(T::entry::<MergeMulF>()),
        Fused::Merge(_) => None,
        Fused::MergeMulAddF => Some(T::entry::<MergeMulAddF>()),
    }
}

fn tree<T: Target>(shape: Shape, test: Option<Test>) -> Option<Kernel> {
    use Join::{Product as X, Sum as P};
    macro_rules! whole {
        ($tree:ident<$($join:ident),+>) => { T::entry::<Whole<$tree<$($join),+>>>() };
    }
    /// All four comparisons of a tree.
    macro_rules! tests {
        ($test:expr, $tree:ident<$($join:ident),+>) => {
            match $test {
                Test::Less => T::entry::<Less<$tree<$($join),+>>>(),
                Test::LessEqual => T::entry::<LessEqual<$tree<$($join),+>>>(),
                Test::Greater => T::entry::<Greater<$tree<$($join),+>>>(),
                Test::GreaterEqual => T::entry::<GreaterEqual<$tree<$($join),+>>>(),
            }
        };
    }
    Some(match (shape, test) {
        (Shape::Chain2([P, P]), None) => whole!(Chain2<Plus, Plus>),
        (Shape::Chain2([P, X]), None) => whole!(Chain2<Plus, Times>),
        (Shape::Chain2([X, P]), None) => whole!(Chain2<Times, Plus>),
        (Shape::Chain2([X, X]), None) => whole!(Chain2<Times, Times>),
        (Shape::Chain3([P, P, P]), None) => whole!(Chain3<Plus, Plus, Plus>),
        (Shape::Chain3([P, P, X]), None) => whole!(Chain3<Plus, Plus, Times>),
        (Shape::Chain3([P, X, P]), None) => whole!(Chain3<Plus, Times, Plus>),
        (Shape::Chain3([P, X, X]), None) => whole!(Chain3<Plus, Times, Times>),
        (Shape::Chain3([X, P, P]), None) => whole!(Chain3<Times, Plus, Plus>),
        (Shape::Chain3([X, P, X]), None) => whole!(Chain3<Times, Plus, Times>),
        (Shape::Chain3([X, X, P]), None) => whole!(Chain3<Times, Times, Plus>),
        (Shape::Chain3([X, X, X]), None) => whole!(Chain3<Times, Times, Times>),
        (Shape::Chain4([X, P, X, P]), None) => whole!(Chain4<Times, Plus, Times, Plus>),
        (Shape::Chain4([P, X, P, X]), None) => whole!(Chain4<Plus, Times, Plus, Times>),
        (Shape::Pairs([P, P, P]), None) => whole!(Pairs<Plus, Plus, Plus>),
        (Shape::Pairs([P, P, X]), None) => whole!(Pairs<Plus, Plus, Times>),
        (Shape::Pairs([X, P, P]), None) => whole!(Pairs<Times, Plus, Plus>),
        (Shape::Pairs([X, P, X]), None) => whole!(Pairs<Times, Plus, Times>),
        (Shape::Pairs([X, X, P]), None) => whole!(Pairs<Times, Times, Plus>),
        (Shape::Pairs([X, X, X]), None) => whole!(Pairs<Times, Times, Times>),
        (Shape::PairsOne([X, X, P, P]), None) => whole!(PairsOne<Times, Times, Plus, Plus>),
        (Shape::PairsOne([P, P, X, P]), None) => whole!(PairsOne<Plus, Plus, Times, Plus>),
        (Shape::PairsOne([P, P, P, P]), None) => whole!(PairsOne<Plus, Plus, Plus, Plus>),
        (Shape::PairsOne([P, P, P, X]), None) => whole!(PairsOne<Plus, Plus, Plus, Times>),
        (Shape::Squares, None) => whole!(Squares<Plus>),
        (Shape::SquaresOne(P), None) => whole!(SquaresOne<Plus, Plus>),
        (Shape::SquaresOne(X), None) => whole!(SquaresOne<Plus, Times>),
        (Shape::Squares, Some(test)) => tests!(test, Squares<Plus>),
        (Shape::Pairs([X, X, P]), Some(test)) => tests!(test, Pairs<Times, Times, Plus>),
        (Shape::Chain2([X, P]), Some(test)) => tests!(test, Chain2<Times, Plus>),
        (Shape::Chain2([P, P]), Some(test)) => tests!(test, Chain2<Plus, Plus>),
        _ => return None,
    })
}

/// `dst = f(offset, dst, operands)`, chunk by chunk.
///
/// # Safety
/// As [`Kernel`]; the slots are of the types that `A` to `D` and `R` say.
#[inline(always)]
unsafe fn map<S: Simd, A: Lane, B: Lane, C: Lane, D: Lane, R: Lane>(
    simd: S,
    context: &Context,
    instr: &Instr,
    list: &[u16],
    f: impl Fn(usize, A::Vector<S>, B::Vector<S>, C::Vector<S>, D::Vector<S>, R::Vector<S>) -> R::Vector<S>,
) {
    // SAFETY: the caller's; every chunk of the operands is read before the same chunk of the result is written.
    unsafe {
        let (a, a_varies) = instr.arg(context, 0);
        let (b, b_varies) = instr.arg(context, 1);
        let (c, c_varies) = instr.arg(context, 2);
        let (d, d_varies) = instr.arg(context, 3);
        let dst = instr.dst(context);
        for &at in list {
            let at = usize::from(at);
            let a = A::load(simd, a, A::at(at) & a_varies);
            let b = B::load(simd, b, B::at(at) & b_varies);
            let c = C::load(simd, c, C::at(at) & c_varies);
            let d = D::load(simd, d, D::at(at) & d_varies);
            let old = R::load(simd, dst, R::at(at));
            R::store(f(at, a, b, c, d, old), dst, R::at(at));
        }
    }
}

/// Declares kernels by the types of their lanes. Operands that are not named are the result's own entry, which nothing
/// looks at.
macro_rules! lanes {
    ($($name:ident |$simd:ident, $a:ident: $at:ident, $b:ident: $bt:ident $(, $c:ident: $ct:ident $(, $d:ident: $dt:ident)?)?| -> $result:ident $body:expr;)*) => {$(
        struct $name;

        impl Body for $name {
            #[inline(always)]
            unsafe fn run<S: Simd>($simd: S, context: &Context, instr: &Instr, list: &[u16]) {
                // SAFETY: the caller's; `Fused` says the types.
                unsafe {
                    lanes!(@map $simd, context, instr, list, $result, $body, $a: $at, $b: $bt $(, $c: $ct $(, $d: $dt)?)?);
                }
            }
        }
    )*};
    (@map $simd:ident, $context:ident, $instr:ident, $list:ident, $result:ident, $body:expr, $a:ident: $at:ident, $b:ident: $bt:ident, $c:ident: $ct:ident) => {
        map::<S, $at, $bt, $ct, $result, $result>($simd, $context, $instr, $list, #[inline(always)] |_, $a, $b, $c, _, _| $body)
    };
    (@map $simd:ident, $context:ident, $instr:ident, $list:ident, $result:ident, $body:expr, $a:ident: $at:ident, $b:ident: $bt:ident, $c:ident: $ct:ident, $d:ident: $dt:ident) => {
        map::<S, $at, $bt, $ct, $dt, $result>($simd, $context, $instr, $list, #[inline(always)] |_, $a, $b, $c, $d, _| $body)
    };
}

lanes! {
    MulAddI |simd, a: U, b: U, c: U| -> U a * b + c;
    MaskEq |simd, a: U, b: U, c: U| -> B (a & b).simd_eq(c);
    MaskNe |simd, a: U, b: U, c: U| -> B !(a & b).simd_eq(c);
    SelectEqF |simd, a: F, b: F, c: U, d: U| -> U a.simd_eq(b).select(c, d);
    SelectLtF |simd, a: F, b: F, c: U, d: U| -> U a.simd_lt(b).select(c, d);
    SelectLeF |simd, a: F, b: F, c: U, d: U| -> U a.simd_le(b).select(c, d);
    SelectEqI |simd, a: U, b: U, c: U, d: U| -> U a.simd_eq(b).select(c, d);
    SelectLtI |simd, a: I, b: I, c: U, d: U| -> U a.simd_lt(b).select(c, d);
    SelectLeI |simd, a: I, b: I, c: U, d: U| -> U a.simd_le(b).select(c, d);
    SelectLtU |simd, a: U, b: U, c: U, d: U| -> U a.simd_lt(b).select(c, d);
    SelectLeU |simd, a: U, b: U, c: U, d: U| -> U a.simd_le(b).select(c, d);
    AndLtF |simd, a: P, b: F, c: F| -> P a & b.simd_lt(c).to_bitmask() as u16;
    AndLeF |simd, a: P, b: F, c: F| -> P a & b.simd_le(c).to_bitmask() as u16;
    AndLtI |simd, a: P, b: I, c: I| -> P a & b.simd_lt(c).to_bitmask() as u16;
    AndLeI |simd, a: P, b: I, c: I| -> P a & b.simd_le(c).to_bitmask() as u16;
    AndLtU |simd, a: P, b: U, c: U| -> P a & b.simd_lt(c).to_bitmask() as u16;
    AndLeU |simd, a: P, b: U, c: U| -> P a & b.simd_le(c).to_bitmask() as u16;
}

fn select<T: Target>(op: Binary) -> Option<Kernel> {
    Some(match op {
        Binary::EqF => T::entry::<SelectEqF>(),
        Binary::LtF => T::entry::<SelectLtF>(),
        Binary::LeF => T::entry::<SelectLeF>(),
        Binary::EqI => T::entry::<SelectEqI>(),
        Binary::LtI => T::entry::<SelectLtI>(),
        Binary::LeI => T::entry::<SelectLeI>(),
        Binary::LtU => T::entry::<SelectLtU>(),
        Binary::LeU => T::entry::<SelectLeU>(),
        _ => return None,
    })
}

fn and<T: Target>(op: Binary) -> Option<Kernel> {
    Some(match op {
        Binary::LtF => T::entry::<AndLtF>(),
        Binary::LeF => T::entry::<AndLeF>(),
        Binary::LtI => T::entry::<AndLtI>(),
        Binary::LeI => T::entry::<AndLeI>(),
        Binary::LtU => T::entry::<AndLtU>(),
        Binary::LeU => T::entry::<AndLeU>(),
        _ => return None,
    })
}

macro_rules! merges {
    ($($name:ident |$a:ident, $b:ident, $c:ident: $lane:ident| $body:expr;)*) => {$(
        struct $name;

        impl Body for $name {
            #[inline(always)]
            unsafe fn run<S: Simd>(simd: S, context: &Context, instr: &Instr, list: &[u16]) {
                // SAFETY: the caller's; `Fused` says the types.
                unsafe {
                    map::<S, $lane, $lane, $lane, $lane, $lane>(
                        simd,
                        context,
                        instr,
                        list,
                        #[inline(always)]
                        |at, $a, $b, $c, _, old| {
                            mask32x16::from_bitmask(simd, u64::from(bits_at(context, at))).select($body, old)
                        },
                    );
                }
            }
        }
    )*};
}

merges! {
    MergeAddI |a, b, _c: U| a + b;
    MergeAddF |a, b, _c: F| a + b;
    MergeSubF |a, b, _c: F| a - b;
    MergeMulF |a, b, _c: F| a * b;
    MergeMulAddF |a, b, c: F| a * b + c;
}
