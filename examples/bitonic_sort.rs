//! A sorting network: what stays inside a tile in workgroup memory, the rest by launches.

mod common;

use forall::{Array, Bindings, Dispatcher, Grid, Kernel, Result, ShaderOptions};

/// Keys of a workgroup.
const TILE: usize = 1024;

/// The shader's entry points, and the launches.
pub struct BitonicSort {
    sort_tiles: Kernel,
    mirror: Kernel,
    meet: Kernel,
    merge_tiles: Kernel,
}

impl BitonicSort {
    /// Compiles the shader.
    pub fn new() -> Result<Self> {
        let entry =
            |name| ShaderOptions::new().entry(name).build(include_str!("../shaders/bitonic_sort.wgsl"));
        Ok(Self {
            sort_tiles: entry("sort_tiles")?,
            mirror: entry("mirror")?,
            meet: entry("meet")?,
            merge_tiles: entry("merge_tiles")?,
        })
    }

    /// Sorts the keys, the smallest first.
    pub fn run(&self, forall: &Dispatcher, keys: &Array<u32>) -> Result<()> {
        let n = keys.len();
        let grid = Grid::workgroups(n.div_ceil(TILE) as u32);
        let keys = || Bindings::new().bind("keys", keys);
        if n < 2 {
            return Ok(());
        }
        let mut launches = forall.sequence();
        launches.launch(&self.sort_tiles, grid, keys())?;
        let mut height = TILE;
        while height < n {
            launches.launch(&self.mirror, grid, keys().value("height", height as u32))?;
            let mut apart = height / 2;
            while apart >= TILE {
                launches.launch(&self.meet, grid, keys().value("height", apart as u32))?;
                apart /= 2;
            }
            launches.launch(&self.merge_tiles, grid, keys())?;
            height *= 2;
        }
        launches.run()?;
        Ok(())
    }
}

/// The library's sort.
pub fn plain(keys: &[u32]) -> Vec<u32> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys
}

#[allow(dead_code, reason = "tests and benches have their own")]
fn main() -> Result<()> {
    let n = 1_000_000;
    let words = common::words(1, n);
    let expected = plain(&words);
    let sort = BitonicSort::new()?;
    println!("bitonic_sort: {n} keys");
    let run = |forall: &Dispatcher| {
        let keys = Array::from(&words[..]);
        sort.run(forall, &keys)?;
        Ok(keys)
    };
    common::on_every_backend(n as f64, "keys", run, |keys| {
        assert!(keys.to_vec()? == expected);
        Ok(())
    })
}
