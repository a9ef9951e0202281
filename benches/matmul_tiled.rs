//! The product of two square matrices: tiles in workgroup memory. The bar is a hand-written product, 4 rows by 2 vectors in registers.
//!
//! An element of the table is one floating-point operation: 1 / (ns/element) is GFLOP/s.

#[allow(dead_code, unreachable_pub, reason = "an example, of which a bench uses the loop and not `main`")]
#[path = "../examples/matmul_tiled.rs"]
mod example;
mod harness;

use example::{Matmul, Size, bound, plain};
use fearless_simd::{Level, Simd, dispatch, f32x16, prelude::*};
use forall::Array;
use harness::{Table, backends, close, opaque, random, testing};

/// `n` is a multiple of 32.
fn hand_written(n: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    #[inline(always)]
    fn body<S: Simd>(simd: S, n: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
        simd.vectorize(
            #[inline(always)]
            || {
                for column in (0..n).step_by(32) {
                    for row in (0..n).step_by(4) {
                        let mut sums = [[f32x16::splat(simd, 0.0); 2]; 4];
                        for k in 0..n {
                            let line = &b[k * n + column..][..32];
                            let line = [0, 16].map(|at| f32x16::from_slice(simd, &line[at..at + 16]));
                            for (i, sums) in sums.iter_mut().enumerate() {
                                let factor = f32x16::splat(simd, a[(row + i) * n + k]);
                                for (sum, line) in sums.iter_mut().zip(line) {
                                    *sum = factor.mul_add(line, *sum);
                                }
                            }
                        }
                        for (i, sums) in sums.into_iter().enumerate() {
                            for (j, sum) in sums.into_iter().enumerate() {
                                let sum: [f32; 16] = sum.into();
                                c[(row + i) * n + column + 16 * j..][..16].copy_from_slice(&sum);
                            }
                        }
                    }
                }
            },
        );
    }
    dispatch!(Level::new(), simd => body(simd, n, a, b, c));
}

fn main() {
    let matmul = Matmul::new().expect("valid WGSL");
    let all = backends();

    let sides: &[usize] = if testing() { &[32, 96] } else { &[256, 1024] };
    for &n in sides {
        let size = Size { rows: n, columns: n, inner: n };
        let (a, b) = (random(n * n, 1, -1.0, 1.0), random(n * n, 2, -1.0, 1.0));
        let arrays = [Array::from(&a[..]), Array::from(&b[..])];
        let expected = plain(size, &a, &b);
        let (matmul, arrays, a, b, expected) = (&matmul, &arrays, &a[..], &b[..], &expected[..]);
        // The hand-written product and a GPU fuse.
        let near = move |c: &[f32]| close("matmul_tiled", c, expected, |_| bound(size) as f32);

        let mut table = Table::new(&format!("matmul_tiled {n} × {n} × {n}"), 2 * n * n * n, 0);
        let naive = move || Ok(plain(size, opaque(a), opaque(b)));
        table.launches("naive scalar", naive, move |c: Vec<f32>| assert!(c == expected));
        let mut c = vec![f32::NAN; n * n];
        let hand = move || {
            hand_written(n, opaque(a), opaque(b), &mut c);
            Ok(c.clone())
        };
        table.launches("hand-written", hand, move |c: Vec<f32>| near(&c));
        for (name, forall) in &all {
            let c = Array::from(vec![f32::NAN; n * n]);
            let run = move || matmul.run(forall, size, &arrays[0], &arrays[1], &c).map(|()| c.clone());
            table.launches(name, run, move |c| near(&c.read().expect("the product")));
        }
        table.print("hand-written");
    }
}
