//! `out[i] = a * x[i] + y[i]`: the smallest loop there is, bound by memory everywhere.

mod common;

use forall::{Dispatcher, Kernel, Result};
use wide::f32x8;

/// The loop as WGSL: every backend.
pub fn wgsl() -> Result<Kernel> {
    Kernel::map(include_str!("../shaders/saxpy.wgsl"))
}

/// The loop as a closure over lanes: the CPU.
pub fn lanes() -> Kernel {
    Kernel::lanes("saxpy", |a: f32, x: f32x8, y: f32x8| a * x + y)
}

/// The loop as a plain loop: what the others must agree with.
pub fn plain(a: f32, x: &[f32], y: &[f32]) -> Vec<f32> {
    x.iter().zip(y).map(|(x, y)| a * x + y).collect()
}

fn main() -> Result<()> {
    let n = 1_000_000;
    let a = 2.5_f32;
    let x = common::uniform(1, n, -1.0, 1.0);
    let y = common::uniform(2, n, -1.0, 1.0);
    let expected: Vec<f64> = plain(a, &x, &y).into_iter().map(f64::from).collect();

    let forall = Dispatcher::new();
    for kernel in [wgsl()?, lanes()] {
        let mut out = vec![f32::NAN; n];
        let report = forall.run(&kernel, (a, &x, &y), &mut out)?;
        println!("{report}");
        // The same bits on a CPU. A GPU may fuse multiplication and addition: that leaves out one rounding, of a product
        // below 4, half a unit in its last place; the sum then differs by that and its own rounding.
        common::assert_close("out", &out, &expected, 2.0 * f64::from(f32::EPSILON));
    }
    Ok(())
}
