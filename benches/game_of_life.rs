//! Conway's Game of Life on a torus, a launch for each generation. The bar is the plain loop, compiled for the CPU at hand.

#[allow(dead_code, unreachable_pub, reason = "an example, of which a bench uses the loop and not `main`")]
#[path = "../examples/game_of_life.rs"]
mod example;
mod harness;

use example::{Life, plain, world};
use fearless_simd::{Level, Simd, dispatch};
use forall::Array;
use harness::{Table, backends, opaque, testing};

const GENERATIONS: usize = 10;

/// Rows with a copy of the last cell before the first and of the first behind the last: no cell wraps around by itself.
fn hand_written([width, height]: [u32; 2], world: &[u32]) -> Vec<u32> {
    let (width, height) = (width as usize, height as usize);
    let stride = width + 2;

    #[inline(always)]
    fn generation<S: Simd>(simd: S, width: usize, height: usize, old: &[u32], next: &mut [u32]) {
        let stride = width + 2;
        simd.vectorize(
            #[inline(always)]
            || {
                for y in 0..height {
                    let row = |y: usize| &old[y % height * stride..][..stride];
                    let (above, row, below) = (row(y + height - 1), row(y), row(y + 1));
                    let next = &mut next[y * stride..][..stride];
                    for x in 1..=width {
                        let three = |row: &[u32]| row[x - 1] + row[x] + row[x + 1];
                        let around = three(above) + three(row) + three(below) - row[x];
                        next[x] = u32::from(around == 3) | (u32::from(around == 2) & row[x]);
                    }
                    (next[0], next[width + 1]) = (next[width], next[1]);
                }
            },
        );
    }

    let mut old = vec![0; stride * height];
    for (wide, row) in old.chunks_exact_mut(stride).zip(world.chunks_exact(width)) {
        wide[1..=width].copy_from_slice(row);
        (wide[0], wide[width + 1]) = (row[width - 1], row[0]);
    }
    let mut next = old.clone();
    for _ in 0..GENERATIONS {
        dispatch!(Level::new(), simd => generation(simd, width, height, &old, &mut next));
        std::mem::swap(&mut old, &mut next);
    }
    old.chunks_exact(stride).flat_map(|row| row[1..=width].to_vec()).collect()
}

fn main() {
    let life = Life::new().expect("valid WGSL");
    let all = backends();

    let sizes: &[[u32; 2]] = if testing() { &[[1, 1], [65, 9]] } else { &[[256, 256], [1024, 1024]] };
    for &size in sizes {
        let world = world(size);
        let (array, expected) = (Array::from(&world[..]), plain(size, &world, GENERATIONS));
        let (life, array, world, expected) = (&life, &array, &world[..], &expected[..]);
        let exact = move |got: &[u32]| assert!(got == expected);

        let title = format!("game_of_life {} × {}, {GENERATIONS} generations", size[0], size[1]);
        let mut table = Table::new(&title, GENERATIONS * world.len(), 8);
        let naive = move || Ok(plain(size, opaque(world), GENERATIONS));
        table.launches("naive scalar", naive, move |got| exact(&got));
        let hand = move || Ok(hand_written(size, opaque(world)));
        table.launches("hand-written", hand, move |got: Vec<u32>| exact(&got));
        for (name, forall) in &all {
            let run = move || life.run(forall, size, array, GENERATIONS);
            table.launches(name, run, move |got| exact(&got.read().expect("the world")));
        }
        table.print("hand-written");
    }
}
