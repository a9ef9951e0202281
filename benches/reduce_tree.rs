//! The sum of an array: a tree in workgroup memory. The bar is a hand-written sum in four vectors.

#[allow(dead_code, unreachable_pub, reason = "an example, of which a bench uses the loop and not `main`")]
#[path = "../examples/reduce_tree.rs"]
mod example;
mod harness;

use example::{ReduceTree, bound, plain};
use fearless_simd::{Level, Simd, dispatch, f32x16, prelude::*};
use forall::Array;
use harness::{Table, backends, opaque, random, sizes};

fn naive(x: &[f32]) -> f32 {
    x.iter().sum()
}

fn hand_written(x: &[f32]) -> f32 {
    #[inline(always)]
    fn body<S: Simd>(simd: S, x: &[f32]) -> f32 {
        simd.vectorize(
            #[inline(always)]
            || {
                let mut sums = [f32x16::splat(simd, 0.0); 4];
                let mut parts = x.chunks_exact(64);
                for part in &mut parts {
                    for (sum, x) in sums.iter_mut().zip(part.chunks_exact(16)) {
                        *sum += f32x16::from_slice(simd, x);
                    }
                }
                let lanes: [f32; 16] = (sums[0] + sums[1] + (sums[2] + sums[3])).into();
                lanes.iter().sum::<f32>() + parts.remainder().iter().sum::<f32>()
            },
        )
    }
    dispatch!(Level::new(), simd => body(simd, x))
}

fn main() {
    let reduce = ReduceTree::new().expect("valid WGSL");
    let all = backends();

    for n in sizes(&[100_000, 10_000_000]) {
        let x = random(n, 1, -1.0, 1.0);
        let (array, x, expected) = (Array::from(&x[..]), &x[..], plain(&x));
        let (reduce, array) = (&reduce, &array);
        // In one number, an element goes through n additions; else far fewer.
        let check = move |sum: f32, additions: usize| {
            let bound = bound(x, additions as u32);
            assert!((f64::from(sum) - expected).abs() <= bound, "{sum}, expected {expected} within {bound}");
        };
        let mut table = Table::new("reduce_tree", n, 4);
        table.launches("naive scalar", move || Ok(naive(opaque(x))), move |sum| check(sum, n));
        table.launches(
            "hand-written",
            move || Ok(hand_written(opaque(x))),
            move |sum| check(sum, n / 64 + 83),
        );
        for (name, forall) in &all {
            table.launches(name, move || reduce.run(forall, array), move |sum| check(sum, 48));
        }
        table.print("hand-written");
    }
}
