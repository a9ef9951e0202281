//! Every form × element type × length around a vector's and a run's edge × way of binding, against the one-line formula, at
//! every CPU level. Outputs are poisoned, with room behind them that must stay untouched.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wide::{f32x4, f32x8, f32x16, f64x2, f64x4, f64x8, i32x4, i32x8, i32x16, i64x2, i64x4, i64x8};
use wide::{u32x4, u32x8, u32x16, u64x2, u64x4, u64x8};

use super::elements::RUN;
use super::*;
use crate::element::{Element, ElementType, Scalar};
use crate::kernel::Takes;
use crate::launch::{self, Args, IntoArgs, IntoOutputs};
use crate::part::Index;

/// Both sides of every vector's and of the run's edges.
const LENGTHS: [usize; 22] = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    33,
    63,
    64,
    65,
    RUN - 1,
    RUN,
    RUN + 1,
    2 * RUN - 1,
    2 * RUN + 17,
];

/// Runs at one level, on the calling thread.
fn run<'i, 'o>(kernel: &Kernel, level: CpuLevel, args: impl IntoArgs<'i>, outputs: impl IntoOutputs<'o>) {
    let part = launch::check(kernel.signature(), args.into_args(), outputs.into_outputs()).unwrap();
    kernel.0.closure.as_ref().unwrap().run(level, part);
}

/// Runs into a poisoned output of `n` elements at every level, and checks each element and the room behind the last.
fn check<'a, T: Element + PartialEq + Debug>(
    kernel: &Kernel,
    n: usize,
    args: impl IntoArgs<'a>,
    expected: impl Fn(usize) -> T,
) {
    let args: Args<'_> = args.into_args();
    let poison: T = bytemuck::pod_read_unaligned(&[0xA5_u8; 16][..size_of::<T>()]);
    for level in CpuLevel::available() {
        let mut out = vec![poison; n + 64];
        run(kernel, level, args.clone(), &mut out[..n]);
        for (i, got) in out[..n].iter().enumerate() {
            let (got, expected) = (bytemuck::bytes_of(got), expected(i));
            assert_eq!(
                got,
                bytemuck::bytes_of(&expected),
                "{} at {level}: element {i} of {n}, {expected:?}",
                kernel.name()
            );
        }
        assert!(out[n..].iter().all(|o| *o == poison), "{}: wrote behind element {n}", kernel.name());
    }
}

/// Numbers without structure: xorshift.
fn noise(n: usize, seed: u64) -> Vec<u64> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
    .take(n)
    .collect()
}

macro_rules! every_vector {
    ($($vector:ident $element:ty, $add:path;)*) => {$({
        let lanes = Kernel::lanes(stringify!($vector), |x: $vector, y: $vector| x + y);
        let copied = Kernel::lanes(stringify!($vector), |x: $vector| x);
        let uniform = Kernel::lanes(stringify!($vector), |a: $element, x: $vector| $vector::splat(a) - x);
        for n in LENGTHS {
            let x: Vec<$element> = noise(n, 1).into_iter().map(|v| v as $element).collect();
            let y: Vec<$element> = noise(n, 2).into_iter().map(|v| v as $element).collect();
            check(&lanes, n, (&x, &y), |i| $add(x[i], y[i]));
            check(&lanes, n, (&x, 3 as $element), |i| $add(x[i], 3 as $element));
            check(&copied, n, &x, |i| x[i]);
            check(&uniform, n, (0 as $element, &x), |i| sub(0 as $element, x[i]));
        }
    })*};
}

/// Wrapping where the type wraps.
trait Numeric: Sized {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
}

macro_rules! numeric {
    ($($ty:ty: $plus:expr, $minus:expr;)*) => {$(impl Numeric for $ty {
        fn plus(self, other: Self) -> Self { $plus(self, other) }
        fn minus(self, other: Self) -> Self { $minus(self, other) }
    })*};
}
numeric! {
    f32: |a: f32, b| a + b, |a: f32, b| a - b;
    f64: |a: f64, b| a + b, |a: f64, b| a - b;
    i32: i32::wrapping_add, i32::wrapping_sub;
    u32: u32::wrapping_add, u32::wrapping_sub;
    i64: i64::wrapping_add, i64::wrapping_sub;
    u64: u64::wrapping_add, u64::wrapping_sub;
}

fn add<T: Numeric>(a: T, b: T) -> T {
    a.plus(b)
}

fn sub<T: Numeric>(a: T, b: T) -> T {
    a.minus(b)
}

#[test]
fn lanes_of_every_vector_type() {
    every_vector! {
        f32x4 f32, add; f32x8 f32, add; f32x16 f32, add;
        f64x2 f64, add; f64x4 f64, add; f64x8 f64, add;
        i32x4 i32, add; i32x8 i32, add; i32x16 i32, add;
        u32x4 u32, add; u32x8 u32, add; u32x16 u32, add;
        i64x2 i64, add; i64x4 i64, add; i64x8 i64, add;
        u64x2 u64, add; u64x4 u64, add; u64x8 u64, add;
    }
}

macro_rules! every_scalar {
    ($($ty:ty)*) => {$({
        let kernel = Kernel::scalar(stringify!($ty), |x: $ty, y: $ty| add(x, y));
        for n in LENGTHS {
            let x: Vec<$ty> = noise(n, 3).into_iter().map(|v| v as $ty).collect();
            let y: Vec<$ty> = noise(n, 4).into_iter().map(|v| v as $ty).collect();
            check(&kernel, n, (&x, &y), |i| add(x[i], y[i]));
            check(&kernel, n, (7 as $ty, &y), |i| add(7 as $ty, y[i]));
            check(&kernel, n, (7 as $ty, 9 as $ty), |_| 16 as $ty);
        }
    })*};
}

#[test]
fn scalars_of_every_type() {
    every_scalar!(f32 i32 u32 f64 i64 u64);
}

#[test]
fn scalars_that_are_vectors() {
    let cross = Kernel::scalar("cross", |a: [f32; 3], b: [f32; 3]| {
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    });
    let swap = Kernel::scalar("swap", |a: [u32; 2], i: u32| [a[1], a[0], i, 0]);
    for n in LENGTHS {
        let at = |k: u64| move |i: u64| [(i + k) as f32, (i * k) as f32 - 0.5, (i % 7) as f32];
        let a: Vec<[f32; 3]> = (0..n as u64).map(at(3)).collect();
        let b: Vec<[f32; 3]> = (0..n as u64).map(at(5)).collect();
        let oracle = |a: [f32; 3], b: [f32; 3]| {
            [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
        };
        check(&cross, n, (&a, &b), |i| oracle(a[i], b[i]));
        check(&cross, n, (&a, [1.0_f32, 2.0, 3.0]), |i| oracle(a[i], [1.0, 2.0, 3.0]));
        let pairs: Vec<[u32; 2]> = (0..n as u32).map(|i| [i, !i]).collect();
        check(&swap, n, (&pairs, Index), |i| [!(i as u32), i as u32, i as u32, 0]);
    }
}

#[test]
fn one_parameter_bound_to_an_array_a_number_and_the_index() {
    let lanes = Kernel::lanes("lanes", |x: u32x8| x * u32x8::splat(3));
    let scalar = Kernel::scalar("scalar", |x: u32| x.wrapping_mul(3));
    for kernel in [&lanes, &scalar] {
        for n in LENGTHS {
            let x: Vec<u32> = noise(n, 5).into_iter().map(|v| v as u32).collect();
            check(kernel, n, &x, |i| x[i].wrapping_mul(3));
            check(kernel, n, 5_u32, |_| 15_u32);
            check(kernel, n, Index, |i| 3 * i as u32);
        }
    }
}

#[test]
fn the_index_counts_from_the_start_of_the_whole_loop() {
    let lanes = Kernel::lanes("lanes", |x: u32x4| x);
    let scalar = Kernel::scalar("scalar", |x: u32| x);
    let chunk = Kernel::chunk("chunk").output::<u32>("out").body(|chunk| {
        let start = chunk.start() as u32;
        for (i, out) in chunk.output::<u32>("out").iter_mut().enumerate() {
            *out = start + i as u32;
        }
    });
    let n = RUN + 77;
    for kernel in [&lanes, &scalar, &chunk] {
        for at in [0, 1, 3, 64, RUN - 1, RUN, n] {
            let mut out = vec![u32::MAX; n];
            let args = if kernel.signature().params.is_empty() { Args::new() } else { Index.into_args() };
            let part = launch::check(kernel.signature(), args, (&mut out).into_outputs()).unwrap();
            let (low, high) = part.split_at(at);
            kernel.run(high).unwrap();
            kernel.run(low).unwrap();
            assert!(out.iter().enumerate().all(|(i, o)| *o == i as u32), "{} split at {at}", kernel.name());
        }
    }
}

#[test]
fn six_outputs_and_whole_arrays() {
    let scalar = Kernel::scalar("scalar", |i: u32, table: &[u64], x: f32, other: &[f32]| {
        (x, table[i as usize % table.len()], -x, other.iter().sum::<f32>(), f64::from(x), [i, !i])
    });
    let lanes = Kernel::lanes("lanes", |table: &[f32], i: u32x4, x: f32x4, k: u32| {
        (x + f32x4::splat(table[k as usize]), i, -x, x * x, i + i, x.is_nan().select(x, x))
    });
    let table: Vec<u64> = noise(5, 6);
    for n in LENGTHS {
        let x: Vec<f32> = noise(n, 7).into_iter().map(|v| v as f32).collect();
        for level in CpuLevel::available() {
            let (mut a, mut b, mut c) = (vec![f32::NAN; n], vec![7; n], vec![f32::NAN; n]);
            let (mut d, mut e, mut f) = (vec![f32::NAN; n], vec![f64::NAN; n], vec![[7; 2]; n]);
            let outputs = (&mut a, &mut b, &mut c, &mut d, &mut e, &mut f);
            run(&scalar, level, (Index, &table, &x, &[1.0_f32, 2.0]), outputs);
            for i in 0..n {
                let got = (a[i], b[i], c[i], d[i], e[i], f[i]);
                let u = i as u32;
                assert_eq!(
                    got,
                    (x[i], table[i % 5], -x[i], 3.0, f64::from(x[i]), [u, !u]),
                    "{level} {i} of {n}"
                );
            }

            let (mut a, mut b, mut c) = (vec![f32::NAN; n], vec![7; n], vec![f32::NAN; n]);
            let (mut d, mut e, mut f) = (vec![f32::NAN; n], vec![7; n], vec![f32::NAN; n]);
            let outputs = (&mut a, &mut b, &mut c, &mut d, &mut e, &mut f);
            run(&lanes, level, (&[1.0_f32, 2.0], Index, &x, 1_u32), outputs);
            for i in 0..n {
                let got = (a[i], b[i], c[i], d[i], e[i], f[i]);
                assert_eq!(got, (x[i] + 2.0, i as u32, -x[i], x[i] * x[i], 2 * i as u32, x[i]), "{i} of {n}");
            }
        }
    }
}

#[test]
fn a_scalar_closure_is_called_once_for_each_element() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let kernel = Kernel::scalar("counting", move |x: i32| {
        counted.fetch_add(1, Ordering::Relaxed);
        100 / x
    });
    for n in LENGTHS {
        calls.store(0, Ordering::Relaxed);
        let x = vec![7; n];
        run(&kernel, CpuLevel::detected(), &x, &mut vec![0; n]);
        assert_eq!(calls.load(Ordering::Relaxed), n);
    }
}

#[test]
fn a_lanes_closure_sees_only_elements_of_the_data() {
    let kernel = Kernel::lanes("quotient", |x: i32x8, i: u32x8| {
        let numbers = x.to_array();
        assert!(numbers.iter().zip(i.to_array()).all(|(x, i)| *x == 5 + i as i32), "{numbers:?}");
        i32x8::new(numbers.map(|x| 1000 / x))
    });
    for n in LENGTHS {
        let x: Vec<i32> = (0..n as i32).map(|i| 5 + i).collect();
        check(&kernel, n, (&x, Index), |i| 1000 / x[i]);
    }
}

#[test]
fn chunks() {
    let kernel = Kernel::chunk("chunk")
        .uniform::<f64>("a")
        .input::<[f32; 2]>("x")
        .whole::<i64>("table")
        .output::<f64>("sum")
        .output::<i64>("last")
        .body(|chunk| {
            let (a, x, table) =
                (chunk.uniform::<f64>("a"), chunk.input::<[f32; 2]>("x"), chunk.whole::<i64>("table"));
            let (sum, last) = (chunk.output::<f64>("sum"), chunk.output::<i64>("last"));
            assert_eq!([x.len(), sum.len(), last.len()], [chunk.len(); 3]);
            for ((sum, last), x) in sum.iter_mut().zip(last).zip(x) {
                *sum = a * f64::from(x[0] + x[1]);
                *last = table[table.len() - 1];
            }
        });
    for n in LENGTHS {
        let x: Vec<[f32; 2]> = (0..n).map(|i| [i as f32, 1.0]).collect();
        let (mut sum, mut last) = (vec![f64::NAN; n], vec![0_i64; n]);
        run(&kernel, CpuLevel::detected(), (2.0_f64, &x, &[3_i64, 4, 5]), (&mut sum, &mut last));
        assert!(sum.iter().enumerate().all(|(i, sum)| *sum == 2.0 * (i as f64 + 1.0)));
        assert!(last.iter().all(|last| *last == 5));
    }
}

#[test]
fn a_chunk_body_that_asks_for_what_is_not_there_says_so() {
    let message = |body: fn(&mut chunk::Chunk<'_>)| {
        let kernel = Kernel::chunk("k").input::<f32>("x").output::<f32>("out").body(body);
        let mut out = [0.0_f32];
        let panic =
            catch_unwind(AssertUnwindSafe(|| run(&kernel, CpuLevel::detected(), &[1.0_f32], &mut out)))
                .unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    assert_eq!(message(|c| _ = c.input::<u32>("x")), "k: no parameter `x` takes an array of u32");
    assert_eq!(message(|c| _ = c.whole::<f32>("x")), "k: no parameter `x` takes a whole array of f32");
    assert_eq!(message(|c| _ = c.uniform::<f32>("y")), "k: no parameter `y` takes a uniform of f32");
    assert_eq!(message(|c| _ = c.output::<i32>("out")), "k: there is no output `out` of i32");
    assert_eq!(
        message(|c| {
            let _ = (c.output::<f32>("out"), c.output::<f32>("out"));
        }),
        "k: output `out` was handed out before"
    );
}

#[test]
#[should_panic(expected = "k: two parameters are named `x`")]
fn two_parameters_of_one_name() {
    let _ = Kernel::chunk("k").input::<f32>("x").uniform::<f32>("x");
}

#[test]
#[should_panic(expected = "k: two outputs are named `o`")]
fn two_outputs_of_one_name() {
    let _ = Kernel::chunk("k").output::<f32>("o").output::<f32>("o");
}

#[test]
#[should_panic(expected = "k: a kernel has at least one output")]
fn no_output() {
    let _ = Kernel::chunk("k").input::<f32>("x").body(|_| {});
}

#[test]
fn signatures_follow_the_closure() {
    let f32 = ElementType::scalar(Scalar::F32);
    let takes = |kernel: &Kernel| kernel.signature().params.iter().map(|p| p.takes).collect::<Vec<_>>();
    let lanes = Kernel::lanes("lanes", |_: f32, x: f32x8, _: &[f32]| (x, x));
    assert_eq!(takes(&lanes), [Takes::Uniform, Takes::Element, Takes::Whole]);
    assert!(lanes.signature().params.iter().all(|p| p.field.ty == f32));
    let outputs: Vec<&str> = lanes.signature().outputs.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(outputs, ["out0", "out1"]);
    let scalar = Kernel::scalar("scalar", |_: f32, x: [f32; 3]| x);
    assert_eq!(takes(&scalar), [Takes::Element, Takes::Element]);
    assert_eq!(scalar.signature().params[1].field.name, "p1");
    assert_eq!(scalar.signature().outputs[0], Field { name: "out".to_owned(), ty: <[f32; 3]>::TYPE });
}

#[test]
fn names_and_pairs_that_do_not_fit() {
    let kernel = || Kernel::scalar("k", |a: f32, x: u32| a * x as f32);
    let named = kernel().named(&["a", "x"], &["y"]).unwrap();
    assert_eq!(
        (named.signature().params[1].field.name.as_str(), named.signature().outputs[0].name.as_str()),
        ("x", "y")
    );
    assert!(matches!(kernel().named(&["a"], &["y"]), Err(Error::ArgumentCount { got: 1, expected: 2, .. })));
    assert!(matches!(
        kernel().named(&["a", "x"], &[]),
        Err(Error::ArgumentCount { got: 0, expected: 1, .. })
    ));

    assert!(matches!(
        kernel().named(&["a", "a"], &["y"]),
        Err(Error::DuplicateName { what: "parameters", .. })
    ));

    let map = Kernel::map("fn k(a: f32, x: u32) -> f32 { return a * f32(x); }").unwrap();
    let paired = map
        .clone()
        .with_closure(Kernel::lanes("lanes", |a: f32, x: u32x4| f32x4::splat(a + x.to_array()[0] as f32)));
    let paired = paired.unwrap();
    let params = &paired.signature().params;
    assert_eq!((params[0].takes, params[1].takes), (Takes::Uniform, Takes::Element));
    assert_eq!((paired.name(), params[1].field.name.as_str()), ("k", "x"));
    check(&paired, 9, (1.0_f32, 2_u32), |_| 3.0_f32);

    let refused = |closure| map.clone().with_closure(closure).unwrap_err();
    assert!(matches!(
        refused(Kernel::scalar("k", |a: f32| a)),
        Error::ArgumentCount { got: 1, expected: 2, .. }
    ));
    assert!(matches!(refused(Kernel::scalar("k", |a: f32, x: i32| a * x as f32)), Error::WrongType { .. }));
    assert!(matches!(refused(Kernel::scalar("k", |_: f32, x: u32| x)), Error::WrongType { .. }));
    assert!(matches!(refused(Kernel::scalar("k", |a: f32, _: u32| (a, a))), Error::ArgumentCount { .. }));
    assert!(matches!(refused(Kernel::scalar("k", |a: f32, _: &[u32]| a)), Error::WrongType { .. }));
}

#[test]
fn only_wgsl_and_a_closure_make_a_pair() {
    let map = || Kernel::map("fn k(x: f32) -> f32 { return x; }").unwrap();
    let closure = || Kernel::scalar("k", |x: f32| x);
    let pair = || map().with_closure(closure()).unwrap();
    for (kernel, other) in
        [(map(), map()), (closure(), map()), (closure(), closure()), (pair(), closure()), (map(), pair())]
    {
        let error = kernel.with_closure(other).unwrap_err();
        assert!(matches!(error, Error::WrongBody { .. }), "{error}");
    }
}

#[test]
fn nan_payloads_and_signs_pass_through() {
    let bits =
        [0x7FC0_0001_u32, 0xFFC0_1234, 0x7F80_0001, 0xFFBF_FFFF, 0x8000_0000, 0, 1, 0x807F_FFFF, 0x7F80_0000];
    let x: Vec<f32> = bits.iter().cycle().take(1000).map(|b| f32::from_bits(*b)).collect();
    let wide: Vec<f64> = x.iter().map(|x| f64::from_bits(u64::from(x.to_bits()) << 32 | 1)).collect();
    check(&Kernel::scalar("scalar", |x: f32| x), x.len(), &x, |i| x[i]);
    check(&Kernel::scalar("scalar", |x: f64| x), x.len(), &wide, |i| wide[i]);
    check(&Kernel::lanes("lanes", |x: f32x8| x), x.len(), &x, |i| x[i]);
    check(&Kernel::lanes("lanes", |x: f64x4| x), x.len(), &wide, |i| wide[i]);
    // A uniform and a repeated element go other ways than an array.
    for x in &x[..9] {
        check(&Kernel::scalar("scalar", |x: f32| x), 3, *x, |_| *x);
        check(&Kernel::lanes("lanes", |x: f32x16| x), 3, *x, |_| *x);
        check(&Kernel::lanes("lanes", |a: f32, _x: f32x16| f32x16::splat(a)), 3, (*x, 0.0_f32), |_| *x);
    }
}
