//! `out[i] = a * x[i] + y[i]`: nothing but memory. The bar is a hand-written loop compiled for the CPU at hand.

mod harness;

use fearless_simd::{Level, Simd, dispatch};
use forall::{Dispatcher, Kernel, Policy};
use harness::{Table, backends, one_thread, opaque, random, sizes};
use wide::f32x8;

fn naive(a: f32, x: &[f32], y: &[f32], out: &mut [f32]) {
    for i in 0..out.len() {
        out[i] = a * x[i] + y[i];
    }
}

fn hand_written(a: f32, x: &[f32], y: &[f32], out: &mut [f32]) {
    #[inline(always)]
    fn body<S: Simd>(simd: S, a: f32, x: &[f32], y: &[f32], out: &mut [f32]) {
        simd.vectorize(
            #[inline(always)]
            || {
                for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                    *out = a * x + y;
                }
            },
        );
    }
    dispatch!(Level::new(), simd => body(simd, a, x, y, out));
}

fn main() {
    let wgsl = Kernel::map(include_str!("../shaders/saxpy.wgsl")).expect("valid WGSL");
    let lanes = Kernel::lanes("saxpy", |a: f32, x: f32x8, y: f32x8| f32x8::splat(a) * x + y);
    let scalar = Kernel::scalar("saxpy", |a: f32, x: f32, y: f32| a * x + y);
    let (one, all) = (one_thread(), backends());
    let a = opaque(2.5_f32);

    for n in sizes(&[16, 1_000, 10_000, 1_000_000, 10_000_000]) {
        let (x, y) = (random(n, 1, -1.0, 1.0), random(n, 2, -1.0, 1.0));
        let mut expected = vec![0.0; n];
        naive(a, &x, &y, &mut expected);
        let (x, y, expected) = (&x[..], &y[..], &expected[..]);

        let mut table = Table::new("saxpy", n, 12);
        let exact = move |out: &[f32]| assert!(out == expected);
        table.function("naive scalar", f32::NAN, move |out| naive(a, x, y, out), exact);
        table.function("hand-written", f32::NAN, move |out| hand_written(a, x, y, out), exact);
        table.kernel("closure, lanes", &one, &lanes, (a, x, y), f32::NAN, exact);
        table.kernel("closure, scalar", &one, &scalar, (a, x, y), f32::NAN, exact);
        for (name, forall) in &all {
            // One rounding or two: a GPU may contract, which moves the result by at most half a unit in the last place of
            // the product (|a·x| < 2.5, so 2⁻²²/2) and another of the sum (< 3.5).
            let near = move |out: &[f32]| harness::close("saxpy", out, expected, |_| 2.0 * f32::EPSILON);
            table.kernel(name, forall, &wgsl, (a, x, y), f32::NAN, near);
        }
        // What a call has besides its loop, but for lesson and report: arguments checked, backend chosen.
        for (name, kernel) in [("decision, WGSL", &wgsl), ("decision, closure", &lanes)] {
            let (auto, mut out) = (Dispatcher::new().with_policy(Policy::Auto), vec![f32::NAN; n]);
            table.row(name, move || {
                let plan = auto.plan(kernel, (a, x, y), &mut out).expect("a right call");
                opaque(plan);
            });
        }
        table.print("hand-written");
    }
}
