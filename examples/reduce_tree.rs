//! The sum of an array: a tree in workgroup memory, launched again over its own results until one is left.

mod common;

use forall::{Array, Bindings, Dispatcher, Grid, Kernel, Result, ShaderOptions};

/// The shader, and the launches around it.
pub struct ReduceTree {
    kernel: Kernel,
    tile: usize,
}

impl ReduceTree {
    /// With workgroups of 256 invocations, of which each adds 16 elements first.
    /// Compiles the shader.
    pub fn new() -> Result<Self> {
        Self::with(256, 16)
    }

    /// With workgroups of `width` invocations, at least two, a power of two, of which each adds `items` elements first.
    pub fn with(width: u32, items: u32) -> Result<Self> {
        let kernel = ShaderOptions::new()
            .constant("WIDTH", width)
            .constant("ITEMS", items)
            .build(include_str!("../shaders/reduce_tree.wgsl"))?;
        Ok(Self { kernel, tile: (width * items) as usize })
    }

    /// The sum; 0 of nothing.
    pub fn run(&self, forall: &Dispatcher, x: &Array<f32>) -> Result<f32> {
        let mut input = x.clone();
        while input.len() > 1 {
            let groups = input.len().div_ceil(self.tile);
            let sums = Array::zeros(groups);
            let bindings = Bindings::new().bind("input", &input).bind("sums", &sums);
            forall.launch(&self.kernel, Grid::workgroups(groups as u32), bindings)?;
            input = sums;
        }
        Ok(input.read()?.first().copied().unwrap_or(0.0))
    }
}

/// The plain loop, in f64.
pub fn plain(x: &[f32]) -> f64 {
    x.iter().map(|x| f64::from(*x)).sum()
}

/// How far a sum in f32 may be off, whatever the order of additions: each of fewer than `additions` that an element goes through rounds
/// by half a unit in the last place, 2⁻²⁴ of a sum no larger than that of all sizes. A tenth more for products of roundings.
pub fn bound(x: &[f32], additions: u32) -> f64 {
    let size: f64 = x.iter().map(|x| f64::from(x.abs())).sum();
    1.1 * f64::from(additions) * 0.5_f64.powi(24) * size
}

#[allow(dead_code, reason = "tests and benches have their own")]
fn main() -> Result<()> {
    let n = 10_000_000;
    let numbers = common::uniform(1, n, -1.0, 1.0);
    let (x, sum) = (Array::from(&numbers[..]), plain(&numbers));
    let reduce = ReduceTree::new()?;
    // Two passes, of 16 additions and the 8 of a tree.
    let bound = bound(&numbers, 2 * 24);
    println!("reduce_tree: {n} numbers");
    common::on_every_backend(
        n as f64,
        "elements",
        |forall| reduce.run(forall, &x),
        |got| {
            assert!((f64::from(got) - sum).abs() <= bound, "{got}, expected {sum}");
            Ok(())
        },
    )
}
