//! x ← r·x·(1 − x), 1000 times: one long chain of dependent operations. The bar is the plain scalar loop, which waits for each.

mod harness;

use forall::Kernel;
use harness::{Table, backends, one_thread, opaque, random};
use wide::f32x8;

const STEPS: u32 = 1_000;

#[inline(always)]
fn iterate(x0: f32, r: f32, steps: u32) -> f32 {
    (0..steps).fold(x0, |x, _| r * x * (1.0 - x))
}

fn naive(x0: &[f32], r: f32, out: &mut [f32]) {
    for (out, &x0) in out.iter_mut().zip(x0) {
        *out = iterate(x0, r, opaque(STEPS));
    }
}

fn main() {
    let wgsl = Kernel::map(include_str!("../shaders/logistic_map.wgsl")).expect("valid WGSL");
    let lanes = Kernel::lanes("logistic_map", |x0: f32x8, r: f32, steps: u32| {
        let r = f32x8::splat(r);
        (0..steps).fold(x0, |x, _| r * x * (f32x8::ONE - x))
    });
    let scalar = Kernel::scalar("logistic_map", iterate);
    let (one, all) = (one_thread(), backends());
    // A stable cycle, so that a GPU that contracts ends at the same points; in the chaotic range roundings would decide.
    let r = opaque(3.2_f32);

    for n in harness::sizes(&[1_000, 100_000]) {
        let x0 = random(n, 1, 0.1, 0.9);
        let mut expected = vec![0.0; n];
        naive(&x0, r, &mut expected);
        let (x0, expected) = (&x0[..], &expected[..]);
        let exact = move |out: &[f32]| assert!(out == expected);
        // Period two, attracting: multiplier of the cycle |4 + 2r − r²| = 0.16, so an error is what one period adds, about 8 roundings
        // below 1. Which of the two points a start ends on is decided in its first steps, and near the boundary by roundings.
        let settled = move |out: &[f32]| {
            let far = out.iter().zip(expected).filter(|(a, b)| (*a - *b).abs() > 8.0 * f32::EPSILON).count();
            assert!(far * 1_000 <= out.len(), "logistic_map: {far} of {} points differ", out.len());
        };

        let mut table = Table::new("logistic_map, 1000 steps", n, 8);
        table.function("naive scalar", f32::NAN, move |out| naive(x0, r, out), exact);
        table.kernel("closure, lanes", &one, &lanes, (x0, r, STEPS), f32::NAN, exact);
        table.kernel("closure, scalar", &one, &scalar, (x0, r, STEPS), f32::NAN, exact);
        for (name, forall) in &all {
            if name.ends_with("gpu") {
                table.kernel(name, forall, &wgsl, (x0, r, STEPS), f32::NAN, settled);
            } else {
                table.kernel(name, forall, &wgsl, (x0, r, STEPS), f32::NAN, exact);
            }
        }
        table.print("naive scalar");
    }
}
