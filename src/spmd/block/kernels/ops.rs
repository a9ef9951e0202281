//! The operations of the IR on one chunk.
//!
//! Safe code but for the declaration of the kernels: each line says the types of the lanes and the result.

use fearless_simd::{Simd, f32x16, i32x16, prelude::*, u32x16};

use super::{B, Body, F, I, Instr, Kernel, P, Target, U, map1, map2, map3};
use crate::spmd::block::frame::Context;
use crate::spmd::ir::{Binary, Ternary, Unary};
use crate::spmd::math;

/// Declares kernels of one, two and three operands, and the function that finds them by operation.
macro_rules! kernels {
    ($(#[$doc:meta])* $find:ident($ops:ident) $map:ident { $($op:ident: |$simd:ident, $($x:ident: $lane:ident),+| -> $result:ident $body:expr;)* }) => {
        $(#[$doc])*
        pub(super) fn $find<T: Target>(op: $ops) -> Kernel {
            $(
                struct $op;

                impl Body for $op {
                    #[inline(always)]
                    unsafe fn run<S: Simd>($simd: S, context: &Context, instr: &Instr, list: &[u16]) {
                        // SAFETY: the caller's; the types of the lanes are those of the operation's signature.
                        unsafe {
                            $map::<S, $($lane,)+ $result>($simd, context, instr, list, #[inline(always)] |$($x),+| $body);
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
        NegF: |simd, a: U| -> U a ^ u32x16::splat(simd, 0x8000_0000);
        AbsF: |simd, a: U| -> U a & u32x16::splat(simd, 0x7fff_ffff);
        SqrtF: |simd, a: F| -> F a.sqrt();
        FloorF: |simd, a: F| -> F a.floor();
        CeilF: |simd, a: F| -> F a.ceil();
        TruncF: |simd, a: F| -> F a.trunc();
        RoundF: |simd, a: F| -> F a.round_ties_even();
        Exp: |simd, a: F| -> F math::exp(a);
        Exp2: |simd, a: F| -> F math::exp2(a);
        Log: |simd, a: F| -> F math::log(a);
        Log2: |simd, a: F| -> F math::log2(a);
        Sin: |simd, a: F| -> F math::sin(a);
        Cos: |simd, a: F| -> F math::cos(a);
        Tan: |simd, a: F| -> F math::tan(a);
        Asin: |simd, a: F| -> F math::asin(a);
        Acos: |simd, a: F| -> F math::acos(a);
        Atan: |simd, a: F| -> F math::atan(a);
        Sinh: |simd, a: F| -> F math::sinh(a);
        Cosh: |simd, a: F| -> F math::cosh(a);
        Tanh: |simd, a: F| -> F math::tanh(a);
        Asinh: |simd, a: F| -> F math::asinh(a);
        Acosh: |simd, a: F| -> F math::acosh(a);
        Atanh: |simd, a: F| -> F math::atanh(a);
        InverseSqrt: |simd, a: F| -> F f32x16::splat(simd, 1.0) / a.sqrt();
        FrexpFract: |simd, a: F| -> F math::frexp_fract(a);
        FrexpExp: |simd, a: F| -> I math::frexp_exp(a);
        F32ToF16: |simd, a: F| -> I math::f32_to_f16(a);
        F16ToF32: |simd, a: I| -> F math::f16_to_f32(a);
        NegI: |simd, a: U| -> U u32x16::splat(simd, 0) - a;
        AbsI: |simd, a: I| -> I a.abs();
        NotI: |simd, a: U| -> U !a;
        CountOnes: |simd, a: U| -> U a.count_ones();
        LeadingZeros: |simd, a: U| -> U each1(simd, a, u32::leading_zeros);
        TrailingZeros: |simd, a: U| -> U each1(simd, a, u32::trailing_zeros);
        ReverseBits: |simd, a: U| -> U each1(simd, a, u32::reverse_bits);
        NotB: |simd, a: P| -> P !a;
        F32ToI32: |simd, a: F| -> I math::f32_to_i32(a);
        F32ToU32: |simd, a: F| -> I math::f32_to_u32(a);
        I32ToF32: |simd, a: I| -> F a.to_float::<f32x16<S>>();
        U32ToF32: |simd, a: U| -> F a.to_float::<f32x16<S>>();
        Bitcast: |simd, a: U| -> U a;
    }
}

kernels! {
    /// The kernel of a two-operand operation.
    binary(Binary) map2 {
        AddF: |simd, a: F, b: F| -> F a + b;
        SubF: |simd, a: F, b: F| -> F a - b;
        MulF: |simd, a: F, b: F| -> F a * b;
        DivF: |simd, a: F, b: F| -> F a / b;
        RemF: |simd, a: F, b: F| -> F math::rem(a, b);
        MinF: |simd, a: F, b: F| -> F min_f(a, b);
        MaxF: |simd, a: F, b: F| -> F max_f(a, b);
        Pow: |simd, a: F, b: F| -> F math::pow(a, b);
        Atan2: |simd, a: F, b: F| -> F math::atan2(a, b);
        Ldexp: |simd, a: F, b: I| -> F math::ldexp(a, b);
        AddI: |simd, a: U, b: U| -> U a + b;
        SubI: |simd, a: U, b: U| -> U a - b;
        MulI: |simd, a: U, b: U| -> U a * b;
        DivI: |simd, a: U, b: U| -> U each2(simd, a, b, #[inline(always)] |a, b| div_i(a, b).0);
        DivU: |simd, a: U, b: U| -> U each2(simd, a, b, #[inline(always)] |a, b| div_u(a, b).0);
        RemI: |simd, a: U, b: U| -> U each2(simd, a, b, #[inline(always)] |a, b| div_i(a, b).1);
        RemU: |simd, a: U, b: U| -> U each2(simd, a, b, #[inline(always)] |a, b| div_u(a, b).1);
        MinI: |simd, a: I, b: I| -> I a.min(b);
        MaxI: |simd, a: I, b: I| -> I a.max(b);
        MinU: |simd, a: U, b: U| -> U a.min(b);
        MaxU: |simd, a: U, b: U| -> U a.max(b);
        AndI: |simd, a: U, b: U| -> U a & b;
        OrI: |simd, a: U, b: U| -> U a | b;
        XorI: |simd, a: U, b: U| -> U a ^ b;
        ShlI: |simd, a: U, b: U| -> U simd.shlv_u32x16(a, b & u32x16::splat(simd, 31));
        ShrI: |simd, a: I, b: I| -> I simd.shrv_i32x16(a, b & i32x16::splat(simd, 31));
        ShrU: |simd, a: U, b: U| -> U simd.shrv_u32x16(a, b & u32x16::splat(simd, 31));
        EqF: |simd, a: F, b: F| -> B a.simd_eq(b);
        NeF: |simd, a: F, b: F| -> B a.simd_ne(b);
        LtF: |simd, a: F, b: F| -> B a.simd_lt(b);
        LeF: |simd, a: F, b: F| -> B a.simd_le(b);
        EqI: |simd, a: U, b: U| -> B a.simd_eq(b);
        NeI: |simd, a: U, b: U| -> B a.simd_ne(b);
        LtI: |simd, a: I, b: I| -> B a.simd_lt(b);
        LeI: |simd, a: I, b: I| -> B a.simd_le(b);
        LtU: |simd, a: U, b: U| -> B a.simd_lt(b);
        LeU: |simd, a: U, b: U| -> B a.simd_le(b);
        AndB: |simd, a: P, b: P| -> P a & b;
        OrB: |simd, a: P, b: P| -> P a | b;
        XorB: |simd, a: P, b: P| -> P a ^ b;
    }
}

kernels! {
    /// The kernel of a three-operand operation on words.
    ternary(Ternary) map3 {
        Fma: |simd, a: F, b: F, c: F| -> F a.mul_add(b, c);
        MulAddF: |simd, a: F, b: F, c: F| -> F a * b + c;
        Select: |simd, a: B, b: U, c: U| -> U a.select(b, c);
    }
}

/// A `Select` between bools.
pub(super) struct SelectBits;

impl Body for SelectBits {
    #[inline(always)]
    unsafe fn run<S: Simd>(simd: S, context: &Context, instr: &Instr, list: &[u16]) {
        // SAFETY: the caller's; all four slots hold bools.
        unsafe {
            map3::<S, P, P, P, P>(
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
