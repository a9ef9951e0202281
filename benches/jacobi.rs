//! A hundred steps of a stencil, each a launch. The bar is the plain loops, compiled for the CPU at hand.

#[allow(dead_code, unreachable_pub, reason = "an example, of which a bench uses the loop and not `main`")]
#[path = "../examples/jacobi.rs"]
mod example;
mod harness;

use example::{Jacobi, bound, plain, plate};
use fearless_simd::{Level, Simd, dispatch};
use forall::Array;
use harness::{Table, backends, close, opaque, testing};

const STEPS: usize = 100;

fn hand_written([width, _]: [u32; 2], plate: &[f32]) -> Vec<f32> {
    #[inline(always)]
    fn step<S: Simd>(simd: S, width: usize, old: &[f32], next: &mut [f32]) {
        simd.vectorize(
            #[inline(always)]
            || {
                let rows = old.chunks_exact(width).zip(old.chunks_exact(width).skip(1));
                let rows = rows.zip(old.chunks_exact(width).skip(2));
                for (next, ((above, row), below)) in next.chunks_exact_mut(width).skip(1).zip(rows) {
                    for x in 1..width - 1 {
                        next[x] = 0.25 * (row[x - 1] + row[x + 1] + above[x] + below[x]);
                    }
                }
            },
        );
    }
    let (mut old, mut next) = (plate.to_vec(), plate.to_vec());
    for _ in 0..STEPS {
        dispatch!(Level::new(), simd => step(simd, width as usize, &old, &mut next));
        std::mem::swap(&mut old, &mut next);
    }
    old
}

fn main() {
    let jacobi = Jacobi::new().expect("valid WGSL");
    let all = backends();

    let sizes: &[[u32; 2]] = if testing() { &[[3, 3], [65, 9]] } else { &[[256, 256], [1024, 1024]] };
    for &size in sizes {
        let plate = plate(size);
        let (array, expected) = (Array::from(&plate[..]), plain(size, &plate, STEPS));
        let (jacobi, array, plate, expected) = (&jacobi, &array, &plate[..], &expected[..]);
        let near = move |got: &[f32]| close("jacobi", got, expected, |_| bound(STEPS) as f32);

        let title = format!("jacobi {} × {}, {STEPS} steps", size[0], size[1]);
        let mut table = Table::new(&title, STEPS * plate.len(), 8);
        table.launches("naive scalar", move || Ok(plain(size, opaque(plate), STEPS)), move |got| near(&got));
        let hand = move || Ok(hand_written(size, opaque(plate)));
        table.launches("hand-written", hand, move |got: Vec<f32>| near(&got));
        for (name, forall) in &all {
            let run = move || jacobi.run(forall, size, array, STEPS);
            table.launches(name, run, move |got| near(&got.read().expect("the plate")));
        }
        table.print("hand-written");
    }
}
