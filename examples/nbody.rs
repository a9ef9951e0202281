//! Gravity, all pairs: every element reads the whole array, in a loop that all elements run alike.

mod common;

use forall::{Dispatcher, Kernel, Result};

/// The loop as WGSL: every backend.
pub fn wgsl() -> Result<Kernel> {
    Kernel::map(include_str!("../shaders/nbody.wgsl"))
}

/// The loop as a closure over plain numbers and a whole array: the CPU.
pub fn scalar() -> Kernel {
    let body = |body: [f32; 4], softening: f32, bodies: &[[f32; 4]]| {
        let mut acceleration = [0.0_f32; 3];
        for other in bodies {
            let r = [other[0] - body[0], other[1] - body[1], other[2] - body[2]];
            let d2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2] + softening * softening;
            let weight = other[3] / (d2 * d2.sqrt());
            for (sum, r) in acceleration.iter_mut().zip(r) {
                *sum += r * weight;
            }
        }
        acceleration
    };
    Kernel::scalar("nbody", body)
}

/// One element of the plain loop, in f64, and the sum of the sizes of its terms: what the others must agree with.
pub fn plain(body: [f32; 4], softening: f32, bodies: &[[f32; 4]]) -> ([f64; 3], f64) {
    let [body, softening] = [body.map(f64::from), [f64::from(softening); 4]];
    let (mut acceleration, mut size) = ([0.0; 3], 0.0);
    for other in bodies.iter().map(|other| other.map(f64::from)) {
        let r = [0, 1, 2].map(|k| other[k] - body[k]);
        let d2 = r.iter().map(|r| r * r).sum::<f64>() + softening[0] * softening[0];
        let weight = other[3] / (d2 * d2.sqrt());
        for (sum, r) in acceleration.iter_mut().zip(r) {
            *sum += r * weight;
            size += (r * weight).abs();
        }
    }
    (acceleration, size)
}

fn main() -> Result<()> {
    let n = 2048;
    let softening = 0.05_f32;
    let numbers = common::uniform(1, 4 * n, 0.0, 1.0);
    let bodies: Vec<[f32; 4]> =
        numbers.chunks_exact(4).map(|c| [c[0], c[1], c[2], c[3] / n as f32]).collect();
    let (expected, sizes): (Vec<_>, Vec<_>) =
        bodies.iter().map(|body| plain(*body, softening, &bodies)).unzip();
    let expected: Vec<f64> = expected.into_iter().flatten().collect();
    // Each of n additions rounds a partial sum no larger than the sum of sizes, to half a unit; a term has another dozen roundings.
    let size = sizes.into_iter().fold(0.0, f64::max);
    let tolerance = (n + 12) as f64 * f64::from(f32::EPSILON) / 2.0 * size;

    let forall = Dispatcher::new();
    for kernel in [wgsl()?, scalar()] {
        let mut out = vec![[f32::NAN; 3]; n];
        let report = forall.run(&kernel, (&bodies, softening, &bodies), &mut out)?;
        println!("{report}");
        common::assert_close("acceleration", out.as_flattened(), &expected, tolerance);
    }
    Ok(())
}
