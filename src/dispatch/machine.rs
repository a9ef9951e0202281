//! Facts about this machine that a plan needs, measured once per process in a few milliseconds.
//!
//! What is measured is what will run: the block interpreter's own arithmetic, the pool's own fork and join, memory through the
//! same loads and stores. Constants that are not measured are ratios between operations, which vary little between machines.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::exec::threads;

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
        Self {
            threads,
            call_ns: 400.0,
            op_ns: 0.06,
            fork_join_ns: 8_000.0,
            speed_up: (threads as f64 * 0.9).max(1.0),
            cache_bytes_per_ns: 40.0,
            dram_bytes_per_ns: 10.0,
            dram_bytes_per_ns_all: 10.0 * (threads as f64).min(2.0),
        }
    }

    /// The measured rates; the first call of the process measures, in a few milliseconds.
    pub(crate) fn measured() -> &'static Self {
        static MEASURED: OnceLock<Cpu> = OnceLock::new();
        MEASURED.get_or_init(measure)
    }
}

/// The shortest of `repeats` runs: what the machine can do when nothing else has the core.
fn shortest(repeats: usize, mut run: impl FnMut()) -> Duration {
    (0..repeats)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

/// Words of the buffer that stands for main memory: 8 MiB, above most second-level caches, cheap to touch.
const DRAM_WORDS: usize = 2 << 20;
/// Words of the buffer that stands for the cache.
const CACHE_WORDS: usize = 16 << 10;

fn measure() -> Cpu {
    let threads = threads::count();
    let mut cpu = Cpu::assumed(threads);
    let mut source = vec![1.0_f32; DRAM_WORDS];
    let mut sink = vec![0.0_f32; DRAM_WORDS];

    let copied = |words: usize, took: Duration| 8.0 * words as f64 / (took.as_nanos() as f64).max(1.0);
    let took = shortest(20, || sink[..CACHE_WORDS].copy_from_slice(black_box(&source[..CACHE_WORDS])));
    cpu.cache_bytes_per_ns = copied(CACHE_WORDS, took);
    let took = shortest(2, || sink.copy_from_slice(black_box(&source)));
    cpu.dram_bytes_per_ns = copied(DRAM_WORDS, took);

    // Arithmetic that no compiler can shorten and no memory slows: the same shape as one lane operation after the other.
    let grind = |data: &mut [f32]| {
        for _ in 0..GRIND_ROUNDS {
            for x in data.iter_mut() {
                *x = *x * 0.999_9 + 0.000_1;
            }
        }
    };
    let grains = threads * 4;
    let slice = CACHE_WORDS / grains;
    let alone = shortest(3, || source[..slice * grains].chunks_mut(slice).for_each(grind));

    if threads > 1 {
        cpu.fork_join_ns = shortest(10, || threads::for_each_chunk(&mut source[..grains], 1, |_| {})).as_nanos() as f64;
        let shared = shortest(3, || threads::for_each_chunk(&mut source[..slice * grains], slice, grind));
        let shared = (shared.as_nanos() as f64 - cpu.fork_join_ns).max(1.0);
        cpu.speed_up = (alone.as_nanos() as f64 / shared).clamp(1.0, threads as f64);
        // Memory rarely scales like arithmetic; one copy by every thread says how far.
        let part = DRAM_WORDS / threads;
        let took = shortest(2, || {
            threads::for_each_chunk(&mut sink[..part * threads], part, |to| to.copy_from_slice(&source[..to.len()]));
        });
        cpu.dram_bytes_per_ns_all = copied(part * threads, took).max(cpu.dram_bytes_per_ns);
    } else {
        cpu.speed_up = 1.0;
        cpu.dram_bytes_per_ns_all = cpu.dram_bytes_per_ns;
    }
    black_box((&source, &sink));
    cpu
}

/// Rounds of the arithmetic probe: about a millisecond on one core.
const GRIND_ROUNDS: usize = 200;
