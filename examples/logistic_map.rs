//! The logistic map: one long chain of dependent operations for every element, and hardly any memory.

mod common;

use forall::{Dispatcher, Kernel, Result};

/// The loop as WGSL: every backend.
pub fn wgsl() -> Result<Kernel> {
    Kernel::map(include_str!("../shaders/logistic_map.wgsl"))
}

/// The loop as a closure over slices: the CPU. Sixteen elements advance together, so that one chain's latency hides another's.
pub fn chunk() -> Kernel {
    Kernel::chunk("logistic_map")
        .input::<f32>("x0")
        .input::<f32>("r")
        .uniform::<u32>("steps")
        .output::<f32>("out")
        .body(|chunk| {
            let (x0, r): (&[f32], &[f32]) = (chunk.input("x0"), chunk.input("r"));
            let steps: u32 = chunk.uniform("steps");
            for ((out, x0), r) in
                chunk.output::<f32>("out").chunks_mut(16).zip(x0.chunks(16)).zip(r.chunks(16))
            {
                out.copy_from_slice(x0);
                for _ in 0..steps {
                    for (x, r) in out.iter_mut().zip(r) {
                        *x = r * *x * (1.0 - *x);
                    }
                }
            }
        })
}

/// One element of the plain loop: what the others must agree with.
pub fn plain(x0: f32, r: f32, steps: u32) -> f32 {
    (0..steps).fold(x0, |x, _| r * x * (1.0 - x))
}

fn main() -> Result<()> {
    let (n, steps) = (20_000, 1000_u32);
    let x0 = common::uniform(1, n, 0.1, 0.9);
    let r = common::uniform(2, n, 2.8, 4.0);
    let expected: Vec<f64> = x0.iter().zip(&r).map(|(x0, r)| plain(*x0, *r, steps).into()).collect();

    let forall = Dispatcher::new();
    for kernel in [wgsl()?, chunk()] {
        let mut out = vec![f32::NAN; n];
        let report = forall.run(&kernel, (&x0, &r, steps), &mut out)?;
        println!("{report}");
        // The same bits everywhere, chaotic as the map is: no product stands beside a sum that it could be fused with.
        common::assert_close("x", &out, &expected, 0.0);
    }
    Ok(())
}
