//! The operations of the IR on one chunk.
//!
//! Safe code but for the declaration of the kernels: each line says the types of the lanes and the result.

use fearless_simd::{Simd, f32x16, i32x16, prelude::*, u32x16};

use super::{B, Body, CHEAP, F, HEAVY, I, Instr, Kernel, P, Target, U, map1, map2, map3};
use crate::spmd::block::frame::Context;
use crate::spmd::ir::{Binary, Ternary, Unary};
use crate::spmd::math;

/// Declares kernels of one, two and three operands, and the function that finds them by operation.
macro_rules! kernels {
    ($(#[$doc:meta])* $find:ident($ops:ident) $map:ident { $($op:ident: $unroll:ident |$simd:ident, $($x:ident: $lane:ident),+| -> $result:ident $body:expr;)* }) => {
        $(#[$doc])*
        pub(super) fn $find<T: Target>(op: $ops) -> Kernel {
            $(
                struct $op;

                impl Body for $op {
                    #[inline(always)]
                    unsafe fn run<S: Simd>($simd: S, context: &Context, instr: &Instr, list: &[u16]) {
                        // SAFETY: the caller's; the types of the lanes are those of the operation's signature.
                        unsafe {
                            $map::<S, $($lane,)+ $result, $unroll>($simd, context, instr, list, #[inline(always)] |$($x),+| $body);
                        }
                    }
                }
            )*
            match op {
                $($ops::$op => T::entry::<$op>(),)*
            }
        }
    };
}

kernels! {
    /// The kernel of a one-operand operation.
    unary(Unary) map1 {
        NegF: CHEAP |simd, a: U| -> U a ^ u32x16::splat(simd, 0x8000_0000);
        AbsF: CHEAP |simd, a: U| -> U a & u32x16::splat(simd, 0x7fff_ffff);
        SqrtF: HEAVY |simd, a: F| -> F a.sqrt();
        FloorF: CHEAP |simd, a: F| -> F a.floor();
        CeilF: HEAVY |simd, a: F| -> F a.ceil();
        TruncF: HEAVY |simd, a: F| -> F a.trunc();
        RoundF: HEAVY |simd, a: F| -> F a.round_ties_even();
        Exp: HEAVY |simd, a: F| -> F math::exp(a);
        Exp2: HEAVY |simd, a: F| -> F math::exp2(a);
        Log: HEAVY |simd, a: F| -> F math::log(a);
        Log2: HEAVY |simd, a: F| -> F math::log2(a);
        Sin: HEAVY |simd, a: F| -> F math::sin(a);
        Cos: HEAVY |simd, a: F| -> F math::cos(a);
        Tan: HEAVY |simd, a: F| -> F math::tan(a);
        Asin: HEAVY |simd, a: F| -> F math::asin(a);
        Acos: HEAVY |simd, a: F| -> F math::acos(a);
        Atan: HEAVY |simd, a: F| -> F math::atan(a);
        Sinh: HEAVY |simd, a: F| -> F math::sinh(a);
        Cosh: HEAVY |simd, a: F| -> F math::cosh(a);
        Tanh: HEAVY |simd, a: F| -> F math::tanh(a);
        Asinh: HEAVY |simd, a: F| -> F math::asinh(a);
        Acosh: HEAVY |simd, a: F| -> F math::acosh(a);
        Atanh: HEAVY |simd, a: F| -> F math::atanh(a);
        InverseSqrt: HEAVY |simd, a: F| -> F f32x16::splat(simd, 1.0) / a.sqrt();
        FrexpFract: HEAVY |simd, a: F| -> F math::frexp_fract(a);
        FrexpExp: HEAVY |simd, a: F| -> I math::frexp_exp(a);
        F32ToF16: HEAVY |simd, a: F| -> I math::f32_to_f16(a);
        F16ToF32: HEAVY |simd, a: I| -> F math::f16_to_f32(a);
        NegI: CHEAP |simd, a: U| -> U u32x16::splat(simd, 0) - a;
        AbsI: CHEAP |simd, a: I| -> I a.abs();
        NotI: CHEAP |simd, a: U| -> U !a;
        CountOnes: HEAVY |simd, a: U| -> U a.count_ones();
        LeadingZeros: HEAVY |simd, a: U| -> U each1(simd, a, u32::leading_zeros);
        TrailingZeros: HEAVY |simd, a: U| -> U each1(simd, a, u32::trailing_zeros);
        ReverseBits: HEAVY |simd, a: U| -> U each1(simd, a, u32::reverse_bits);
        NotB: CHEAP |simd, a: P| -> P !a;
        F32ToI32: HEAVY |simd, a: F| -> I math::f32_to_i32(a);
        F32ToU32: HEAVY |simd, a: F| -> I math::f32_to_u32(a);
        I32ToF32: CHEAP |simd, a: I| -> F a.to_float::<f32x16<S>>();
        U32ToF32: CHEAP |simd, a: U| -> F a.to_float::<f32x16<S>>();
        Bitcast: CHEAP |simd, a: U| -> U a;
    }
}

kernels! {
    /// The kernel of a two-operand operation.
    binary(Binary) map2 {
        AddF: CHEAP |simd, a: F, b: F| -> F a + b;
        SubF: CHEAP |simd, a: F, b: F| -> F a - b;
        MulF: CHEAP |simd, a: F, b: F| -> F a * b;
        DivF: HEAVY |simd, a: F, b: F| -> F a / b;
        RemF: HEAVY |simd, a: F, b: F| -> F math::rem(a, b);
        MinF: CHEAP |simd, a: F, b: F| -> F min_f(a, b);
        MaxF: CHEAP |simd, a: F, b: F| -> F max_f(a, b);
        Pow: HEAVY |simd, a: F, b: F| -> F math::pow(a, b);
        Atan2: HEAVY |simd, a: F, b: F| -> F math::atan2(a, b);
        Ldexp: HEAVY |simd, a: F, b: I| -> F math::ldexp(a, b);
        AddI: CHEAP |simd, a: U, b: U| -> U a + b;
        SubI: CHEAP |simd, a: U, b: U| -> U a - b;
        MulI: CHEAP |simd, a: U, b: U| -> U a * b;
        DivI: HEAVY |simd, a: U, b: U| -> U each2(simd, a, b, #[inline(always)] |a, b| div_i(a, b).0);
        DivU: HEAVY |simd, a: U, b: U| -> U each2(simd, a, b, #[inline(always)] |a, b| div_u(a, b).0);
        RemI: HEAVY |simd, a: U, b: U| -> U each2(simd, a, b, #[inline(always)] |a, b| div_i(a, b).1);
        RemU: HEAVY |simd, a: U, b: U| -> U each2(simd, a, b, #[inline(always)] |a, b| div_u(a, b).1);
        MinI: CHEAP |simd, a: I, b: I| -> I a.min(b);
        MaxI: CHEAP |simd, a: I, b: I| -> I a.max(b);
        MinU: CHEAP |simd, a: U, b: U| -> U a.min(b);
        MaxU: CHEAP |simd, a: U, b: U| -> U a.max(b);
        AndI: CHEAP |simd, a: U, b: U| -> U a & b;
        OrI: CHEAP |simd, a: U, b: U| -> U a | b;
        XorI: CHEAP |simd, a: U, b: U| -> U a ^ b;
        ShlI: CHEAP |simd, a: U, b: U| -> U simd.shlv_u32x16(a, b & u32x16::splat(simd, 31));
        ShrI: CHEAP |simd, a: I, b: I| -> I simd.shrv_i32x16(a, b & i32x16::splat(simd, 31));
        ShrU: CHEAP |simd, a: U, b: U| -> U simd.shrv_u32x16(a, b & u32x16::splat(simd, 31));
        EqF: CHEAP |simd, a: F, b: F| -> B a.simd_eq(b);
        NeF: CHEAP |simd, a: F, b: F| -> B a.simd_ne(b);
        LtF: CHEAP |simd, a: F, b: F| -> B a.simd_lt(b);
        LeF: CHEAP |simd, a: F, b: F| -> B a.simd_le(b);
        EqI: CHEAP |simd, a: U, b: U| -> B a.simd_eq(b);
        NeI: CHEAP |simd, a: U, b: U| -> B a.simd_ne(b);
        LtI: CHEAP |simd, a: I, b: I| -> B a.simd_lt(b);
        LeI: CHEAP |simd, a: I, b: I| -> B a.simd_le(b);
        LtU: CHEAP |simd, a: U, b: U| -> B a.simd_lt(b);
        LeU: CHEAP |simd, a: U, b: U| -> B a.simd_le(b);
        AndB: CHEAP |simd, a: P, b: P| -> P a & b;
        OrB: CHEAP |simd, a: P, b: P| -> P a | b;
        XorB: CHEAP |simd, a: P, b: P| -> P a ^ b;
    }
}

kernels! {
    /// The kernel of a three-operand operation on words.
    ternary(Ternary) map3 {
        Fma: CHEAP |simd, a: F, b: F, c: F| -> F a.mul_add(b, c);
        MulAddF: CHEAP |simd, a: F, b: F, c: F| -> F a * b + c;
        Select: CHEAP |simd, a: B, b: U, c: U| -> U a.select(b, c);
    }
}

/// A `Select` between bools.
pub(super) struct SelectBits;

impl Body for SelectBits {
    #[inline(always)]
    unsafe fn run<S: Simd>(simd: S, context: &Context, instr: &Instr, list: &[u16]) {
        // SAFETY: the caller's; all four slots hold bools.
        unsafe {
            map3::<S, P, P, P, P, CHEAP>(
                simd,
                context,
                instr,
                list,
                #[inline(always)]
                |a, b, c| (a & b) | (!a & c),
            );
        }
    }
}

/// `b` if `b < a`, else `a`: what x86's `min` does with its operands swapped.
#[inline(always)]
fn min_f<S: Simd>(a: f32x16<S>, b: f32x16<S>) -> f32x16<S> {
    if cfg!(any(target_arch = "x86", target_arch = "x86_64")) { b.min(a) } else { b.simd_lt(a).select(b, a) }
}

/// `b` if `a < b`, else `a`.
#[inline(always)]
fn max_f<S: Simd>(a: f32x16<S>, b: f32x16<S>) -> f32x16<S> {
    if cfg!(any(target_arch = "x86", target_arch = "x86_64")) { b.max(a) } else { a.simd_lt(b).select(b, a) }
}

/// Lane by lane; simple bodies become vector code.
#[inline(always)]
fn each1<S: Simd>(simd: S, a: u32x16<S>, f: impl Fn(u32) -> u32) -> u32x16<S> {
    let a: [u32; 16] = a.into();
    let mut result = [0; 16];
    for lane in 0..16 {
        result[lane] = f(a[lane]);
    }
    result.simd_into(simd)
}

/// Lane by lane, two operands.
#[inline(always)]
fn each2<S: Simd>(simd: S, a: u32x16<S>, b: u32x16<S>, f: impl Fn(u32, u32) -> u32) -> u32x16<S> {
    let (a, b): ([u32; 16], [u32; 16]) = (a.into(), b.into());
    let mut result = [0; 16];
    for lane in 0..16 {
        result[lane] = f(a[lane], b[lane]);
    }
    result.simd_into(simd)
}

/// Quotient and remainder, by f64: its 53 bits hold both operands, and a quotient that is no integer is further than
/// 2⁻³² (relative) from the next one, so truncation is exact. Division by 0 is division by 1.
#[inline(always)]
fn div_u(a: u32, b: u32) -> (u32, u32) {
    let b = if b == 0 { 1 } else { b };
    let quotient = (f64::from(a) / f64::from(b)) as u32;
    (quotient, a.wrapping_sub(quotient.wrapping_mul(b)))
}

/// As [`div_u`]. `MIN / -1` is division by 1, too.
#[inline(always)]
fn div_i(a: u32, b: u32) -> (u32, u32) {
    let b = if b == 0 || (a == 0x8000_0000 && b == u32::MAX) { 1 } else { b };
    let quotient = (f64::from(a.cast_signed()) / f64::from(b.cast_signed())) as i32;
    (quotient.cast_unsigned(), a.wrapping_sub(quotient.cast_unsigned().wrapping_mul(b)))
}
