//! Every operation on every pair of edge values.

use super::*;
use crate::spmd::oracle::eval;

const UNARY: [Unary; 40] = {
    use Unary::*;
    [
        NegF,
        AbsF,
        SqrtF,
        FloorF,
        CeilF,
        TruncF,
        RoundF,
        Exp,
        Exp2,
        Log,
        Log2,
        Sin,
        Cos,
        Tan,
        Asin,
        Acos,
        Atan,
        Sinh,
        Cosh,
        Tanh,
        Asinh,
        Acosh,
        Atanh,
        InverseSqrt,
        FrexpFract,
        FrexpExp,
        F32ToF16,
        F16ToF32,
        NegI,
        AbsI,
        NotI,
        CountOnes,
        LeadingZeros,
        TrailingZeros,
        ReverseBits,
        F32ToI32,
        F32ToU32,
        I32ToF32,
        U32ToF32,
        Bitcast,
    ]
};

const BINARY: [Binary; 39] = {
    use Binary::*;
    [
        AddF, SubF, MulF, DivF, RemF, MinF, MaxF, Pow, Atan2, Ldexp, AddI, SubI, MulI, DivI, DivU, RemI,
        RemU, MinI, MaxI, MinU, MaxU, AndI, OrI, XorI, ShlI, ShrI, ShrU, EqF, NeF, LtF, LeF, EqI, NeI, LtI,
        LeI, LtU, LeU, AndI, OrI,
    ]
};

/// Bits that are edges of some type.
fn edges() -> Vec<u32> {
    let floats = [
        0.0,
        1.0,
        0.5,
        1.5,
        2.5,
        0.499_999_97,
        3.0,
        1e-45,
        1e-40,
        f32::MIN_POSITIVE,
        0.1,
        8_388_607.5,
        8_388_609.0,
        16_777_217.0,
        2_147_483_520.0,
        2_147_483_648.0,
        4_294_967_040.0,
        4_294_967_296.0,
        1e20,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
        88.8,
        0.3,
        7.7,
    ];
    let integers = [
        1,
        2,
        3,
        7,
        15,
        16,
        31,
        32,
        33,
        63,
        64,
        255,
        1000,
        65_535,
        65_536,
        0x7fff_ffff,
        0x8000_0000,
        0x8000_0001,
        0xffff_fffe,
        0xffff_ffff,
        0x00ff_ffff,
        0x0100_0001,
        0xffff_ff7f,
        0xffff_ff80,
        0xffff_ff81,
        123_456_789,
    ];
    let mut edges: Vec<u32> = floats.iter().flat_map(|x: &f32| [x.to_bits(), (-x).to_bits()]).collect();
    edges.extend(integers);
    edges
}

/// A program that applies `op` to its inputs; `tys` are the types of the operands and the result.
fn apply(tys: &[Ty], result: Ty, op: impl Fn(&[Value]) -> Op) -> Program {
    let mut p = program(&["a", "b", "c", "Out"]);
    let mut body = vec![];
    let i = id(&mut p, &mut body);
    let zero = int(&mut p, &mut body, 0);
    let one = int(&mut p, &mut body, 1);
    let mut operands = vec![];
    for (at, ty) in tys.iter().enumerate() {
        let memory = Ty::U32;
        let word = load(&mut p, &mut body, if *ty == Ty::Bool { memory } else { *ty }, buffer(at as u32), i);
        operands.push(if *ty == Ty::Bool {
            let low = binary(&mut p, &mut body, Ty::U32, Binary::AndI, word, one);
            binary(&mut p, &mut body, Ty::Bool, Binary::NeI, low, zero)
        } else {
            word
        });
    }
    let value = def(&mut p, &mut body, result, op(&operands));
    let word = if result == Ty::Bool {
        def(&mut p, &mut body, Ty::U32, Op::Ternary(Ternary::Select, value, one, zero))
    } else {
        value
    };
    store(&mut body, buffer(3), i, word);
    p.body = body;
    p
}

fn run(p: &Program, level: CpuLevel, inputs: [&[u32]; 3]) -> Vec<u32> {
    let mut out = vec![POISON; inputs[0].len()];
    let [a, b, c] = inputs.map(BufferData::Read);
    Code::compile(p, level).run(&mut [a, b, c, BufferData::Write(&mut out)], inputs[0].len() as u32);
    out
}

/// Equal bits; one NaN is as good as another where a float operation made it.
fn same(got: u32, expected: u32, ty: Ty) -> bool {
    got == expected || ty == Ty::F32 && f32::from_bits(got).is_nan() && f32::from_bits(expected).is_nan()
}

/// The types that an operation takes and gives, found by asking the verifier.
fn types(count: usize, op: impl Fn(&[Value]) -> Op) -> (Vec<Ty>, Ty) {
    const ALL: [Ty; 4] = [Ty::F32, Ty::I32, Ty::U32, Ty::Bool];
    for code in 0..4_usize.pow(count as u32 + 1) {
        let tys: Vec<Ty> = (0..=count).map(|at| ALL[code / 4_usize.pow(at as u32) % 4]).collect();
        if apply(&tys[..count], tys[count], &op).verify().is_ok() {
            return (tys[..count].to_vec(), tys[count]);
        }
    }
    panic!("no types fit");
}

#[test]
fn unary_operations() {
    let edges = edges();
    for op in UNARY {
        let make = |x: &[Value]| Op::Unary(op, x[0]);
        let (tys, result) = types(1, make);
        let p = apply(&tys, result, make);
        for level in CpuLevel::available() {
            let got = run(&p, level, [&edges, &[], &[]]);
            for (&a, got) in edges.iter().zip(got) {
                let expected = eval::unary(op, fusion(level), a);
                assert!(
                    same(got, expected, result),
                    "{level} {op:?} {a:#x}: got {got:#x}, expected {expected:#x}"
                );
            }
        }
    }
}

#[test]
fn binary_operations() {
    let edges = edges();
    let a: Vec<u32> = edges.iter().flat_map(|a| edges.iter().map(|_| *a)).collect();
    let b: Vec<u32> = edges.iter().flat_map(|_| edges.iter().copied()).collect();
    for op in BINARY {
        let make = |x: &[Value]| Op::Binary(op, x[0], x[1]);
        let (tys, result) = types(2, make);
        let p = apply(&tys, result, make);
        for level in CpuLevel::available() {
            let got = run(&p, level, [&a, &b, &[]]);
            for ((&a, &b), got) in a.iter().zip(&b).zip(got) {
                let expected = eval::binary(op, fusion(level), a, b);
                assert!(
                    same(got, expected, result),
                    "{level} {op:?} {a:#x} {b:#x}: got {got:#x}, expected {expected:#x}"
                );
            }
        }
    }
}

#[test]
fn ternary_operations() {
    let edges = edges();
    let some: Vec<u32> = edges.iter().copied().step_by(3).collect();
    let (mut a, mut b, mut c) = (vec![], vec![], vec![]);
    for &x in &some {
        for &y in &some {
            a.extend(some.iter().map(|_| x));
            b.extend(some.iter().map(|_| y));
            c.extend(&some);
        }
    }
    let cases = [
        (Ternary::Fma, Ty::F32, Ty::F32),
        (Ternary::MulAddF, Ty::F32, Ty::F32),
        (Ternary::Select, Ty::Bool, Ty::U32),
        (Ternary::Select, Ty::Bool, Ty::Bool),
    ];
    for (op, first, rest) in cases {
        let p = apply(&[first, rest, rest], rest, |x| Op::Ternary(op, x[0], x[1], x[2]));
        let bits = |x: u32, ty| if ty == Ty::Bool { x & 1 } else { x };
        for level in CpuLevel::available() {
            let got = run(&p, level, [&a, &b, &c]);
            for (((&a, &b), &c), got) in a.iter().zip(&b).zip(&c).zip(got) {
                let expected = eval::ternary(op, fusion(level), bits(a, first), bits(b, rest), bits(c, rest));
                assert!(
                    same(got, expected, rest),
                    "{level} {op:?} {a:#x} {b:#x} {c:#x}: got {got:#x}, expected {expected:#x}"
                );
            }
        }
    }
}

#[test]
fn bool_operations() {
    let (a, b): (Vec<u32>, Vec<u32>) = (0..100).map(|i| (i & 1, i >> 1 & 1)).unzip();
    for op in [Binary::AndB, Binary::OrB, Binary::XorB] {
        let p = apply(&[Ty::Bool; 2], Ty::Bool, |x| Op::Binary(op, x[0], x[1]));
        for level in CpuLevel::available() {
            let expected: Vec<u32> =
                a.iter().zip(&b).map(|(a, b)| eval::binary(op, Fusion::Fused, *a, *b)).collect();
            assert_eq!(run(&p, level, [&a, &b, &[]]), expected, "{level} {op:?}");
        }
    }
    let p = apply(&[Ty::Bool], Ty::Bool, |x| Op::Unary(Unary::NotB, x[0]));
    for level in CpuLevel::available() {
        let expected: Vec<u32> = a.iter().map(|a| a ^ 1).collect();
        assert_eq!(run(&p, level, [&a, &[], &[]]), expected, "{level}");
    }
}
