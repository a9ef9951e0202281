//! How often each byte occurs in one place of the keys: atomics in workgroup memory, then in storage.

mod common;

use forall::{Array, Bindings, Dispatcher, Grid, Kernel, Result};

/// Keys of a workgroup.
const TILE: usize = 256 * 32;

/// The shader, and the launch.
pub struct Histogram(Kernel);

impl Histogram {
    /// Compiles the shader.
    pub fn new() -> Result<Self> {
        Ok(Self(Kernel::shader(include_str!("../shaders/histogram.wgsl"))?))
    }

    /// How many keys have each value of the eight bits from `shift` on.
    pub fn run(&self, forall: &Dispatcher, keys: &Array<u32>, shift: u32) -> Result<Array<u32>> {
        let counts = Array::zeros(256);
        if !keys.is_empty() {
            let groups = keys.len().div_ceil(TILE) as u32;
            let bindings = Bindings::new().bind("keys", keys).value("shift", shift).bind("counts", &counts);
            forall.launch(&self.0, Grid::workgroups(groups), bindings)?;
        }
        Ok(counts)
    }
}

/// The plain loop.
pub fn plain(keys: &[u32], shift: u32) -> Vec<u32> {
    let mut counts = vec![0; 256];
    for key in keys {
        counts[(key >> shift & 255) as usize] += 1;
    }
    counts
}

#[allow(dead_code, reason = "tests and benches have their own")]
fn main() -> Result<()> {
    let (n, shift) = (10_000_000, 24);
    let words = common::words(1, n);
    let (keys, expected) = (Array::from(&words[..]), plain(&words, shift));
    let histogram = Histogram::new()?;
    println!("histogram: {n} keys");
    let run = |forall: &Dispatcher| histogram.run(forall, &keys, shift);
    common::on_every_backend(n as f64, "keys", run, |counts| {
        assert_eq!(counts.to_vec()?, expected);
        Ok(())
    })
}
