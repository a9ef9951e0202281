//! Random compute shaders through the public interface: `simd`, `threads` and a GPU give the same bits.
//!
//! The shaders are of the dialect whose results every implementation of WGSL agrees on: integers, floats that are whole numbers,
//! indices in bounds, no data race. `FORALL_FUZZ_SEEDS=N` or `A..B` tries more of them.

#![allow(
    dead_code,
    reason = "the generator has a dialect that only forall understands, and the crate's own tests use it"
)]

#[path = "../src/spmd/differential/generate/mod.rs"]
mod generate;

use forall::{Backend, Bindings, Dispatcher, Error, Grid, Kernel, Policy};
use generate::{Dialect, Shader, bytes, seeds};

const NAMES: [&str; 7] = ["input", "table", "uni", "state", "out", "tally", "board"];

/// What the writable buffers hold after a run.
fn outcome(shader: &Shader, kernel: &Kernel, backend: Backend) -> forall::Result<Vec<Vec<u32>>> {
    let mut buffers = shader.buffers();
    let mut bindings = Bindings::new();
    for ((words, writable), name) in buffers.iter_mut().zip(NAMES) {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
        bindings = if *writable { bindings.bind(name, bytes) } else { bindings.bind(name, &*bytes) };
    }
    let forall = Dispatcher::new().with_policy(Policy::Only(backend));
    forall.launch(kernel, Grid::workgroups(shader.workgroups), bindings)?;
    Ok(buffers.into_iter().filter(|(_, writable)| *writable).map(|(words, _)| words).collect())
}

fn agree(backends: [Backend; 2]) {
    let mut differences = Vec::new();
    for seed in seeds(20) {
        let shader = Shader::new(&bytes(seed), Dialect::Portable);
        let kernel = Kernel::shader(&shader.text).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let expected =
            outcome(&shader, &kernel, backends[0]).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let got = match outcome(&shader, &kernel, backends[1]) {
            Ok(got) => got,
            Err(error @ Error::Unavailable { .. })
                if std::env::var("FORALL_REQUIRE_GPU").as_deref() != Ok("1") =>
            {
                eprintln!("{}: skipped: {error}", backends[1]);
                return;
            }
            Err(error) => panic!("seed {seed}: {error}"),
        };
        for (name, (got, expected)) in NAMES[3..].iter().zip(got.iter().zip(&expected)) {
            if let Some(at) = (0..got.len()).find(|&at| got[at] != expected[at]) {
                differences
                    .push(format!("seed {seed}: {name}[{at}] is {:#x}, not {:#x}", got[at], expected[at]));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{backends:?}: {} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn simd_and_threads() {
    agree([Backend::Simd, Backend::Threads]);
}

#[test]
fn simd_and_gpu() {
    agree([Backend::Simd, Backend::Gpu]);
}
