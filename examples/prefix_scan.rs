//! Prefix sums in one pass: workgroups that wait for the ones before them.

mod common;

use forall::{Array, Bindings, Dispatcher, Grid, Kernel, Result};

/// Elements of a workgroup.
const TILE: usize = 2048;

/// The shader, and the launch.
pub struct PrefixScan(Kernel);

impl PrefixScan {
    /// Compiles the shader.
    pub fn new() -> Result<Self> {
        Ok(Self(Kernel::shader(include_str!("../shaders/prefix_scan.wgsl"))?))
    }

    /// The inclusive prefix sums of `x`, modulo 2³².
    pub fn run(&self, forall: &Dispatcher, x: &Array<u32>, sums: &Array<u32>) -> Result<()> {
        if x.is_empty() {
            return Ok(());
        }
        let groups = x.len().div_ceil(TILE);
        // A ticket, and two words for every tile.
        let state = Array::<u32>::zeros(1 + 2 * groups);
        let bindings = Bindings::new().bind("input", x).bind("output", sums).bind("state", &state);
        forall.launch(&self.0, Grid::workgroups(groups as u32), bindings)?;
        Ok(())
    }
}

/// The plain loop.
pub fn plain(x: &[u32]) -> Vec<u32> {
    let mut sum = 0_u32;
    x.iter()
        .map(|x| {
            sum = sum.wrapping_add(*x);
            sum
        })
        .collect()
}

#[allow(dead_code, reason = "tests and benches have their own")]
fn main() -> Result<()> {
    let n = 10_000_000;
    let numbers = common::words(1, n);
    let (x, expected) = (Array::from(&numbers[..]), plain(&numbers));
    let scan = PrefixScan::new()?;
    println!("prefix_scan: {n} numbers");
    let run = |forall: &Dispatcher| {
        let sums = Array::zeros(n);
        scan.run(forall, &x, &sums)?;
        Ok(sums)
    };
    common::on_every_backend(n as f64, "elements", run, |sums| {
        assert!(sums.to_vec()? == expected);
        Ok(())
    })
}
