//! Finds out how fast an open GPU is, through the same calls as the user's loops and launches.

use std::time::{Duration, Instant};

use super::probing::Probing;
use super::profile::{self, Access, GpuKey};
use super::{GpuFacts, Source, access};
use crate::array::Array;
use crate::cancel::Watch;
use crate::error::Result;
use crate::exec::Times;
use crate::exec::gpu::{AdapterFact, Gpu, NoGpu};
use crate::kernel::{Kernel, ShaderOptions};
use crate::launch::{self, Bindings, Grid, IntoArgs, IntoBindings, IntoOutputs, job};

/// Elements of the loop that is moved to the GPU and back.
const MOVED: usize = 1 << 20;
/// Elements of the launches on arrays that stay there, in rows of workgroups.
const RESIDENT: usize = 4 << 20;
/// Workgroups of a row, and of the launch that a software adapter computes for long enough.
const ROW: u32 = 4096;
const FEW: u32 = 64;
/// Operations of one invocation of `grind`.
const OPERATIONS: f64 = 512.0;
/// A software adapter takes a hundred times as long for a probe as a card: a run of so many nanoseconds says enough.
const LONG_NS: f64 = 1e6;

const SHADER: &str = "
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    fn index(id: vec3u, groups: vec3u) -> u32 { return id.y * groups.x * 256u + id.x; }
    @compute @workgroup_size(256)
    fn copy(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
        let i = index(id, groups);
        if (i < arrayLength(&x)) { y[i] = x[i] + 1.0; }
    }
    @compute @workgroup_size(256)
    fn grind(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
        let i = index(id, groups);
        if (i < arrayLength(&x)) {
            var a = x[i];
            var b = a + 1.0;
            for (var k = 0u; k < 128u; k++) {
                a = a * 0.9999 + 0.0001;
                b = b * 0.9999 + 0.0001;
            }
            y[i] = a + b;
        }
    }";

/// The shortest of some runs: of one, where that is long.
fn shortest<T>(repeats: usize, mut run: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let mut timed = || -> Result<(f64, T)> {
        let start = Instant::now();
        let result = run()?;
        Ok(((start.elapsed().as_nanos() as f64).max(1.0), result))
    };
    // The first one compiles and allocates.
    timed()?;
    let mut best = timed()?;
    for _ in 1..repeats {
        if best.0 > LONG_NS {
            break;
        }
        let next = timed()?;
        if next.0 < best.0 {
            best = next;
        }
    }
    Ok(best)
}

/// Why a GPU is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// An earlier process did not live to see it answer.
    Probing,
    /// There is none that counts and works: the driver's words.
    None(NoGpu),
}

/// As [`GpuFacts::open`].
///
/// # Errors
/// Why it is left out.
pub(super) fn open(access: &Access, by_name: bool) -> Result<(GpuFacts, Source), Closed> {
    if Probing::went_wrong(access) {
        if !by_name {
            return Err(Closed::Probing);
        }
        Probing::forget(access);
    }
    let probing = Probing::begin(access);
    let fact = Gpu::shared().open().map_err(Closed::None)?;
    let key = key_of(&fact);
    if let Some((facts, saved)) = access.path().and_then(|path| profile::load_gpu(path, &key)) {
        return Ok((facts, Source::Profile { saved }));
    }
    let facts =
        measure().map_err(|error| Closed::None(NoGpu { reason: error.to_string(), software: false }))?;
    drop(probing);
    if let Ok(path) = access.writable() {
        // Nobody misses it but the next process, which measures again.
        let _ = profile::save_gpu(path, key, facts);
    }
    Ok((facts, Source::Measured))
}

/// Opens and measures the GPU, whatever the profile says.
///
/// # Errors
/// Why there is none.
pub(super) fn open_and_measure() -> Result<(AdapterFact, GpuFacts), String> {
    let _probing = Probing::begin(access());
    let fact = Gpu::shared().open().map_err(|none| none.reason)?;
    let facts = measure().map_err(|error| error.to_string())?;
    Ok((fact, facts))
}

/// The key of the open GPU.
pub(super) fn key() -> Option<GpuKey> {
    Gpu::shared().open().ok().map(|fact| key_of(&fact))
}

fn key_of(fact: &AdapterFact) -> GpuKey {
    GpuKey {
        library: env!("CARGO_PKG_VERSION").to_owned(),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        adapter: fact.name.clone(),
        api: fact.api.clone(),
        driver: fact.driver.clone(),
    }
}

/// Measures an open GPU: some 30 calls, 20 ms on a discrete card.
///
/// # Errors
/// What the GPU answers when it refuses a probe; it is then left out.
fn measure() -> Result<GpuFacts> {
    let gpu = Gpu::shared();
    let kernel = Kernel::map("fn copy(x: f32) -> f32 { return x; }")?;
    let (source, mut sink) = (vec![1.5_f32; MOVED], vec![0.0_f32; MOVED]);
    let (_, moved): (f64, Times) = shortest(4, || {
        let mut part = launch::check(kernel.signature(), (&source).into_args(), (&mut sink).into_outputs())?;
        gpu.run(&kernel, Some(kernel.operations(&part)?.counts.operations()), &mut part)
    })?;

    let (x, y) = (Array::<f32>::zeros(RESIDENT), Array::<f32>::zeros(RESIDENT));
    let shader = |entry: &str| ShaderOptions::new().entry(entry).build(SHADER);
    let (copy, grind) = (shader("copy")?, shader("grind")?);
    let launched = |kernel: &Kernel, groups: [u32; 2]| {
        shortest(4, || {
            let bindings = Bindings::new().bind("x", &x).bind("y", &y);
            let job = job::check(kernel, Grid::workgroups(groups), bindings.into_bindings())?;
            gpu.launch(&mut [job], &Watch::NEVER)
        })
        .map(|(took, _)| took)
    };
    // One row of workgroups and four: what is alike in both is the launch.
    let rows = (RESIDENT / (ROW as usize * 256)) as u32;
    let (small, copied) = (launched(&copy, [ROW, 1])?, launched(&copy, [ROW, rows])?);
    let slope = ((copied - small) / f64::from(rows - 1)).max(50.0);
    let call_ns = (small - slope).max(0.2 * small);
    // A card is not seen to compute so little, and gets all of it.
    let few = launched(&grind, [FEW, 1])?;
    let (computed, ground) = if few > LONG_NS {
        (FEW as usize * 256, few - call_ns)
    } else {
        (RESIDENT, launched(&grind, [ROW, rows])? - copied)
    };
    let rate = |amount: f64, time: Duration| amount / (time.as_nanos() as f64).max(1.0);
    Ok(GpuFacts {
        call_ns,
        ops_per_ns: OPERATIONS * computed as f64 / ground.max(100.0),
        bytes_per_ns: 8.0 * RESIDENT as f64 / (slope * f64::from(rows)),
        upload_bytes_per_ns: rate(4.0 * MOVED as f64, moved.upload),
        download_bytes_per_ns: rate(4.0 * MOVED as f64, moved.download),
    })
}
