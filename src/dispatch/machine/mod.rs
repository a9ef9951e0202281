//! Facts about this machine that a plan needs, measured once per process in a few milliseconds.
//!
//! What is measured is what will run: two small kernels, through the same launch, interpreter, pool and GPU as the user's loops.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::error::Result;
#[cfg(feature = "gpu")]
use crate::exec::gpu::Gpu;
use crate::exec::simd;
use crate::exec::threads::Threads;
use crate::kernel::Kernel;
use crate::launch::{self, IntoArgs, IntoOutputs};

/// The CPU backends' rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cpu {
    /// Threads of the pool.
    pub threads: usize,
    /// Fixed cost of a call on one thread, in nanoseconds.
    pub call_ns: f64,
    /// One simple f32 operation of one lane, in nanoseconds.
    pub op_ns: f64,
    /// Entering the pool and leaving it again, in nanoseconds.
    pub fork_join_ns: f64,
    /// How much faster the whole pool computes than one thread; not more than `threads`, often less.
    pub speed_up: f64,
    /// Bytes per nanosecond of one thread while everything fits in its cache.
    pub cache_bytes_per_ns: f64,
    /// Bytes per nanosecond of one thread from main memory.
    pub dram_bytes_per_ns: f64,
    /// Bytes per nanosecond of all threads from main memory.
    pub dram_bytes_per_ns_all: f64,
}

/// A GPU's rates, as seen from host memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GpuFacts {
    /// Fixed cost of a call: encode, submit, wait, map.
    pub call_ns: f64,
    /// Simple f32 operations per nanosecond.
    pub ops_per_ns: f64,
    /// Host to device.
    pub upload_bytes_per_ns: f64,
    /// Device to host, including the CPU reading the mapped range.
    pub download_bytes_per_ns: f64,
}

/// Working sets up to this size run at cache speed: a typical second-level cache.
const CACHE_BYTES: f64 = 1024.0 * 1024.0;

impl Cpu {
    /// Bytes per nanosecond for a working set of that many bytes, one thread.
    pub(crate) fn bandwidth(&self, bytes: f64) -> f64 {
        if bytes <= CACHE_BYTES { self.cache_bytes_per_ns } else { self.dram_bytes_per_ns }
    }

    /// The same for all threads: each has a cache of its own.
    pub(crate) fn bandwidth_all(&self, bytes: f64) -> f64 {
        if bytes <= CACHE_BYTES * self.threads as f64 {
            self.cache_bytes_per_ns * self.speed_up
        } else {
            self.dram_bytes_per_ns_all
        }
    }

    /// A priori rates, good enough to see that a loop is too small for anything but one thread.
    pub(crate) fn assumed(threads: usize) -> Self {
        let threads_f = threads as f64;
        Self {
            threads,
            call_ns: 400.0,
            op_ns: 0.06,
            fork_join_ns: 8_000.0,
            speed_up: (threads_f * 0.9).max(1.0),
            cache_bytes_per_ns: 40.0,
            dram_bytes_per_ns: 10.0,
            dram_bytes_per_ns_all: 10.0 * threads_f.min(2.0),
        }
    }

    /// The measured rates; the first call of the process measures.
    pub(crate) fn measured(pool: &Threads) -> &'static Self {
        static MEASURED: OnceLock<Cpu> = OnceLock::new();
        MEASURED.get_or_init(|| {
            let assumed = Self::assumed(pool.count());
            // A probe that cannot run leaves the assumption: a plan is then less good, and no loop fails for it.
            measure(pool, assumed).unwrap_or(assumed)
        })
    }
}

/// Operations per element of the arithmetic probe: `2 · ROUNDS` and the loop's own.
const ROUNDS: usize = 64;
const GRIND: &str = "fn grind(x: f32) -> f32 {
    var y = x;
    for (var k = 0u; k < 64u; k++) { y = y * 0.9999 + 0.0001; }
    return y;
}";
const COPY: &str = "fn copy(x: f32) -> f32 { return x; }";

/// Elements that stand for main memory: 8 MiB read and 8 MiB written, above most second-level caches.
const DRAM: usize = 2 << 20;
/// Elements that stand for the cache.
const CACHE: usize = 16 << 10;
/// Elements of the arithmetic probe: about 200 µs on one core.
const WORK: usize = 32 << 10;

/// The shortest of `repeats` runs, in nanoseconds: what the machine can do when nothing else has the core.
fn shortest(repeats: usize, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = Duration::MAX;
    for _ in 0..repeats {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed());
    }
    Ok((best.as_nanos() as f64).max(1.0))
}

fn measure(pool: &Threads, assumed: Cpu) -> Result<Cpu> {
    let (copy, grind) = (Kernel::map(COPY)?, Kernel::map(GRIND)?);
    let source = vec![1.0_f32; DRAM];
    let mut sink = vec![0.0_f32; DRAM];
    let mut timed = |kernel: &Kernel, n: usize, repeats: usize, all: bool| {
        shortest(repeats, || {
            let (args, outputs) = ((&source[..n]).into_args(), (&mut sink[..n]).into_outputs());
            let part = launch::check(kernel.signature(), args, outputs)?;
            if all { pool.run(kernel, part).map(drop) } else { simd::run(kernel, part) }
        })
    };

    let mut cpu = assumed;
    cpu.call_ns = timed(&copy, 1, 20, false)?;
    cpu.cache_bytes_per_ns = 8.0 * CACHE as f64 / timed(&copy, CACHE, 10, false)?;
    cpu.dram_bytes_per_ns = 8.0 * DRAM as f64 / timed(&copy, DRAM, 3, false)?;
    let alone = timed(&grind, WORK, 3, false)?;
    cpu.op_ns = alone / (WORK * 2 * ROUNDS) as f64;
    cpu.speed_up = 1.0;
    cpu.dram_bytes_per_ns_all = cpu.dram_bytes_per_ns;
    if cpu.threads > 1 {
        // Two sizes, one line: its slope is the pool's rate, what is left is fork and join.
        let (small, large) = (timed(&grind, WORK / 2, 5, true)?, timed(&grind, WORK * 2, 3, true)?);
        let slope = ((large - small) / (WORK * 3 / 2) as f64).max(1e-6);
        cpu.speed_up = (alone / WORK as f64 / slope).clamp(1.0, cpu.threads as f64);
        cpu.fork_join_ns = (small - slope * (WORK / 2) as f64).clamp(500.0, 1e6);
        let all = 8.0 * DRAM as f64 / timed(&copy, DRAM, 3, true)?;
        cpu.dram_bytes_per_ns_all = all.max(cpu.dram_bytes_per_ns);
    }
    Ok(cpu)
}

#[cfg(feature = "gpu")]
impl GpuFacts {
    /// Measures an open GPU: about 10 launches, a few milliseconds on a discrete card.
    ///
    /// # Errors
    /// What the GPU answers when it refuses a probe; it is then left out.
    pub(crate) fn measure() -> Result<Self> {
        const N: usize = 1 << 20;
        let (copy, grind) = (Kernel::map(COPY)?, Kernel::map(GRIND)?);
        let source = vec![1.0_f32; N];
        let mut sink = vec![0.0_f32; N];
        let mut best = |kernel: &Kernel, n: usize, repeats: usize| -> Result<(f64, crate::exec::Times)> {
            let mut best = (f64::INFINITY, crate::exec::Times::default());
            for _ in 0..=repeats {
                let (args, outputs) = ((&source[..n]).into_args(), (&mut sink[..n]).into_outputs());
                let mut part = launch::check(kernel.signature(), args, outputs)?;
                let start = Instant::now();
                let operations = Some(kernel.operations(&part)?.count);
                let times = Gpu::shared().run(kernel, operations, &mut part)?;
                let took = start.elapsed().as_nanos() as f64;
                if took < best.0 {
                    best = (took, times);
                }
            }
            Ok(best)
        };
        let (call_ns, _) = best(&copy, 1, 5)?;
        let (_, moved) = best(&copy, N, 3)?;
        let (_, ground) = best(&grind, N, 3)?;
        let rate = |amount: f64, time: Duration| amount / (time.as_nanos() as f64).max(1.0);
        let arithmetic = ground.run.saturating_sub(moved.run).max(Duration::from_nanos(100));
        Ok(Self {
            call_ns,
            ops_per_ns: rate((N * 2 * ROUNDS) as f64, arithmetic),
            upload_bytes_per_ns: rate(4.0 * N as f64, moved.upload),
            download_bytes_per_ns: rate(4.0 * N as f64, moved.download),
        })
    }
}
