//! Conway's Game of Life on a torus.

mod common;

use forall::{Array, Bindings, Dispatcher, Grid, Kernel, Result};

/// The shader, and the launches.
pub struct Life(Kernel);

impl Life {
    /// Compiles the shader.
    pub fn new() -> Result<Self> {
        Ok(Self(Kernel::shader(include_str!("../shaders/game_of_life.wgsl"))?))
    }

    /// The world, width and height, after so many generations.
    pub fn run(
        &self,
        forall: &Dispatcher,
        size: [u32; 2],
        world: &Array<u32>,
        generations: usize,
    ) -> Result<Array<u32>> {
        let worlds = [Array::zeros(world.len()), Array::zeros(world.len())];
        let (mut old, mut launches) = (world, forall.sequence());
        for generation in 0..generations {
            let next = &worlds[generation % 2];
            let bindings = Bindings::new().value("size", size).bind("old", old).bind("next", next);
            launches.launch(&self.0, Grid::threads(size), bindings)?;
            old = next;
        }
        launches.run()?;
        Ok(old.clone())
    }
}

/// The plain loops.
pub fn plain([width, height]: [u32; 2], world: &[u32], generations: usize) -> Vec<u32> {
    let mut old = world.to_vec();
    for _ in 0..generations {
        let cell = |x: u32, y: u32| old[(y % height * width + x % width) as usize];
        let next = |i: u32| {
            let (x, y) = (i % width + width, i / width + height);
            let mut around = 0;
            for (dx, dy) in [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1), (0, 2), (1, 2), (2, 2)] {
                around += cell(x + dx - 1, y + dy - 1);
            }
            u32::from(around == 3 || (around == 2 && cell(x, y) == 1))
        };
        old = (0..width * height).map(next).collect();
    }
    old
}

/// A world of which a third is alive.
pub fn world([width, height]: [u32; 2]) -> Vec<u32> {
    common::words(1, (width * height) as usize).into_iter().map(|word| u32::from(word % 3 == 0)).collect()
}

#[allow(dead_code, reason = "tests and benches have their own")]
fn main() -> Result<()> {
    let (size, generations) = ([1024, 768], 20);
    let world = world(size);
    let expected = plain(size, &world, generations);
    let cells = generations as f64 * world.len() as f64;
    let world = Array::from(world);
    let life = Life::new()?;
    println!("game_of_life: {generations} generations of {} × {} cells", size[0], size[1]);
    let run = |forall: &Dispatcher| life.run(forall, size, &world, generations);
    common::on_every_backend(cells, "cells", run, |got| {
        assert!(got.to_vec()? == expected);
        Ok(())
    })
}
