//! Predicts how long a loop takes on each backend. Pure: numbers in, numbers out.
//!
//! One form for all three: `fixed + max(work, bytes / bandwidth) + transfer`, kept apart as [`Terms`]. The two terms inside `max`
//! overlap on real machines (loads run ahead of arithmetic), the roofline argument of Williams, Waterman and Patterson (2009).
//!
//! What is not foreseen, and left to be learnt: how many rounds a loop on data goes, gathers that miss the caches, atomics that
//! threads fight over, closures, and outputs that nobody has written to before, as the system gives such memory page by page while
//! the loop runs ([`CpuFacts::fresh_bytes_per_ns`]) and a slice does not tell.

use super::machine::{CpuFacts, GpuFacts};
use crate::error::Result;
use crate::exec::threads::BREAK_EVEN;
use crate::kernel::Kernel;
use crate::kernel::cost::Counts;
use crate::launch::Data;
use crate::launch::job::Job;
use crate::part::{Input, Part};
use crate::spmd::ir::LANES;

/// What a thread must have to do to be called, in nanoseconds.
const WORTH_A_THREAD_NS: f64 = BREAK_EVEN.as_nanos() as f64;

/// What one element of a loop costs, in this machine's terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Work {
    /// Operations per element, by class.
    pub counts: Counts,
    /// Whether `counts` were read off the body, or are a guess.
    pub known: bool,
    /// Operations that the block interpreter begins for each block; 0 for native code.
    pub begun: f64,
    /// Elements of a block; infinite where all elements are taken together as one.
    pub block: f64,
    /// Loops that are run one after the other.
    pub calls: f64,
    /// Bytes read from input arrays per element.
    pub read: f64,
    /// Bytes written to output arrays per element.
    pub written: f64,
    /// Bytes read or uploaded once per call: whole arrays.
    pub whole: f64,
    /// What a call moves where its arrays may already be where it runs; `None` where all of them are the host's.
    pub transfer: Option<Transfer>,
}

/// Bytes that a call moves between host and device, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Transfer {
    /// To the GPU, if it runs there.
    pub up: f64,
    /// From the GPU, if it runs there.
    pub down: f64,
    /// From the GPU, if it runs on the CPU.
    pub fetch: f64,
}

impl Work {
    /// Of one call.
    ///
    /// # Errors
    /// Those of compiling the kernel's body.
    pub(crate) fn of(kernel: &Kernel, part: &Part<'_>) -> Result<Self> {
        let operations = kernel.operations(part)?;
        let begun = operations.block.map_or(0.0, |_| operations.counts.begun());
        let (mut read, mut whole) = (0.0, 0.0);
        for input in &part.inputs {
            match input {
                Input::Array { ty, .. } => read += ty.size() as f64,
                Input::Whole { data, .. } => whole += data.len() as f64,
                Input::Uniform { .. } | Input::Index => {}
            }
        }
        let written = part.outputs.iter().map(|output| output.ty.size() as f64).sum();
        Ok(Self {
            counts: operations.counts,
            known: operations.known,
            begun,
            block: operations.block.unwrap_or(1.0),
            calls: 1.0,
            read,
            written,
            whole,
            transfer: None,
        })
    }

    /// Of launches of shaders, all of them together as one element.
    ///
    /// # Errors
    /// Those of compiling the shaders.
    pub(crate) fn of_jobs(jobs: &[Job<'_>]) -> Result<Self> {
        let mut work = Self {
            counts: Counts::default(),
            known: true,
            begun: 0.0,
            block: f64::INFINITY,
            calls: jobs.len() as f64,
            read: 0.0,
            written: 0.0,
            whole: 0.0,
            transfer: None,
        };
        let mut transfer = Transfer::default();
        let mut seen = Vec::new();
        for job in jobs {
            let operations = job.operations()?;
            let block = operations.block.unwrap_or(1.0);
            let blocks = job.invocations() as f64 / block.max(1.0);
            work.counts.add(&operations.counts, blocks * chunks(block));
            work.begun += blocks * operations.counts.begun();
            work.known &= operations.known;
            for (binding, resource) in job.shader.bindings.iter().zip(&job.resources) {
                let bytes = resource.data.bytes() as f64;
                work.whole += bytes;
                if let Data::Array(array) = &resource.data {
                    // The first launch that uses an array moves it, and nobody moves it back.
                    if seen.contains(&array.key()) {
                        continue;
                    }
                    seen.push(array.key());
                    if array.is_stale() {
                        transfer.fetch += bytes;
                    } else if !array.on_device() {
                        transfer.up += bytes;
                    }
                } else {
                    transfer.up += bytes;
                    if binding.is_writable() {
                        transfer.down += bytes;
                    }
                }
            }
        }
        work.transfer = Some(transfer);
        Ok(work)
    }

    /// The same with a body of so many times the operations.
    pub(crate) fn with_body(mut self, factor: f64) -> Self {
        let counted = std::mem::take(&mut self.counts);
        self.counts.add(&counted, factor);
        self.begun *= factor;
        self
    }

    /// A call as a whole, so many times as large.
    pub(crate) fn scaled(self, by: f64) -> Self {
        let transfer = self.transfer.map(|Transfer { up, down, fetch }| Transfer {
            up: up * by,
            down: down * by,
            fetch: fetch * by,
        });
        Self { whole: self.whole * by, transfer, ..self.with_body(by) }
    }

    /// Bytes to fetch from a GPU before the CPU can run it.
    fn fetch(&self) -> f64 {
        self.transfer.map_or(0.0, |transfer| transfer.fetch)
    }

    /// Bytes that the loop reads and writes.
    fn bytes(&self, n: f64) -> f64 {
        n * (self.read + self.written) + self.whole
    }

    /// Nanoseconds of arithmetic on one core.
    fn compute(&self, cpu: &CpuFacts, n: f64) -> f64 {
        if self.block.is_infinite() {
            return cpu.interpreted_ns(&self.counts, self.begun, 1.0, n);
        }
        let lanes = if self.begun > 0.0 { chunks(n) } else { n };
        cpu.interpreted_ns(&self.counts, self.begun, (n / self.block).ceil(), lanes)
    }
}

/// Lanes that are computed where so many are wanted: whole chunks.
fn chunks(lanes: f64) -> f64 {
    (lanes / LANES as f64).ceil() * LANES as f64
}

/// What a call takes, in nanoseconds, by what it is spent on: each part has an error of its own, and is learnt by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Terms {
    /// The call itself, whatever its size.
    pub fixed: f64,
    /// The loop.
    pub work: f64,
    /// Moving what is not where it runs.
    pub transfer: f64,
}

impl Terms {
    pub(crate) fn total(&self) -> f64 {
        self.fixed + self.work + self.transfer
    }
}

/// On one core.
pub(crate) fn simd(cpu: &CpuFacts, work: &Work, n: f64) -> Terms {
    let bytes = work.bytes(n);
    Terms {
        fixed: work.calls * if work.block.is_infinite() { cpu.launch_ns } else { cpu.call_ns },
        work: work.compute(cpu, n).max(bytes / cpu.bandwidth_of(bytes)),
        transfer: fetch_ns(cpu, work),
    }
}

/// On every core, by threads that are at work anyway or, where `idle`, have gone to sleep.
///
/// The executor starts on the calling thread and calls others only where what is left is worth it: it is never much slower than one
/// thread, and takes as many threads as have something to do.
pub(crate) fn threads(cpu: &CpuFacts, work: &Work, n: f64, idle: bool) -> Terms {
    let bytes = work.bytes(n);
    let alone = simd(cpu, work, n);
    let fork_join = work.calls * if idle { cpu.fork_join_idle_ns } else { cpu.fork_join_ns };
    if fork_join >= alone.work {
        return alone;
    }
    let others = (cpu.threads as f64 - 1.0).max(1.0);
    let compute = work.compute(cpu, n);
    let called = (compute / work.calls / WORTH_A_THREAD_NS).clamp(1.0, others);
    let speed_up = 1.0 + (cpu.speed_up - 1.0) * called / others;
    let shared = (compute / speed_up).max(bytes / cpu.bandwidth_of_all(bytes));
    if fork_join + shared < alone.work {
        Terms { fixed: alone.fixed + fork_join, work: shared, ..alone }
    } else {
        alone
    }
}

/// To fetch what only a GPU has: a bus is about as fast as one thread's memory.
fn fetch_ns(cpu: &CpuFacts, work: &Work) -> f64 {
    work.fetch() / cpu.bandwidth[3]
}

/// On a GPU, with what has to be moved there and back.
pub(crate) fn gpu(gpu: &GpuFacts, work: &Work, n: f64) -> Terms {
    let (up, down) = match work.transfer {
        Some(transfer) => (transfer.up, transfer.down),
        None => (n * work.read + work.whole, n * work.written),
    };
    Terms {
        fixed: gpu.call_ns,
        work: (n * work.counts.operations() / gpu.ops_per_ns).max(work.bytes(n) / gpu.bytes_per_ns),
        transfer: up / gpu.upload_bytes_per_ns + down / gpu.download_bytes_per_ns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: GpuFacts = GpuFacts {
        call_ns: 60_000.0,
        ops_per_ns: 5_000.0,
        bytes_per_ns: 500.0,
        upload_bytes_per_ns: 12.0,
        download_bytes_per_ns: 10.0,
    };

    /// Bodies of every kind: light, heavy, native, with whole arrays, and one of nothing.
    fn works() -> Vec<Work> {
        let of = |counts: Counts, block: f64, whole: f64| Work {
            counts,
            known: true,
            begun: if block > 1.0 { counts.begun() } else { 0.0 },
            block,
            calls: 1.0,
            read: 8.0,
            written: 4.0,
            whole,
            transfer: None,
        };
        let light = Counts { simple: 2.0, fused: 1.0, load: 2.0, store: 1.0, ..Counts::default() };
        let heavy = Counts { simple: 900.0, transcendental: 40.0, gather: 7.0, uniform: 300.0, ..light };
        vec![
            of(light, 1024.0, 0.0),
            of(heavy, 1024.0, 0.0),
            of(heavy, 64.0, 1e6),
            of(heavy, 1.0, 0.0),
            Work { read: 0.0, written: 0.0, ..of(Counts::default(), 1024.0, 0.0) },
        ]
    }

    #[test]
    fn more_elements_are_never_predicted_faster() {
        for threads_of in [1, 2, 64] {
            let cpu = CpuFacts::assumed(threads_of);
            for work in works() {
                let mut last = [0.0; 4];
                for n in (0..64).chain((6..40).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]))
                {
                    let n = n as f64;
                    let now = [
                        simd(&cpu, &work, n).total(),
                        threads(&cpu, &work, n, false).total(),
                        threads(&cpu, &work, n, true).total(),
                        gpu(&GPU, &work, n).total(),
                    ];
                    for (now, last) in now.iter().zip(last) {
                        assert!(
                            now.is_finite() && *now >= last,
                            "{n} elements: {now} after {last}, {work:?}"
                        );
                    }
                    last = now;
                    assert!(now[1] <= now[2], "idle threads are no faster");
                    // The pool's executor starts on the calling thread, and stays there if that is best.
                    assert!(now[2] <= now[0]);
                }
            }
        }
    }

    #[test]
    fn more_of_anything_is_never_predicted_faster() {
        let cpu = CpuFacts::assumed(8);
        for work in works() {
            let more = |change: fn(&mut Work)| {
                let mut work = work;
                change(&mut work);
                work
            };
            let changed = [
                more(|work| work.counts.divide_int += 1.0),
                more(|work| work.counts.atomic += 1.0),
                more(|work| work.begun += 10.0),
                more(|work| work.read += 4.0),
                more(|work| work.written += 4.0),
                more(|work| work.whole += 1e6),
            ];
            for n in [1.0, 1e3, 1e6] {
                for changed in &changed {
                    assert!(simd(&cpu, changed, n).total() >= simd(&cpu, &work, n).total());
                    assert!(threads(&cpu, changed, n, true).total() >= threads(&cpu, &work, n, true).total());
                    assert!(gpu(&GPU, changed, n).total() >= gpu(&GPU, &work, n).total());
                }
            }
        }
    }

    #[test]
    fn what_is_where_it_runs_is_not_moved() {
        let cpu = CpuFacts::assumed(8);
        let at_home = works()[0];
        let resident = Work { transfer: Some(Transfer::default()), ..at_home };
        let away = Work { transfer: Some(Transfer { fetch: 12e6, ..Transfer::default() }), ..at_home };
        let n = 1e6;
        assert_eq!(gpu(&GPU, &resident, n).transfer, 0.0);
        assert_eq!(gpu(&GPU, &at_home, n).transfer, 8e6 / 12.0 + 4e6 / 10.0);
        assert_eq!(simd(&cpu, &resident, n).transfer, 0.0);
        for terms in [simd(&cpu, &away, n), threads(&cpu, &away, n, false)] {
            assert_eq!(terms.transfer, 12e6 / cpu.bandwidth[3]);
        }
        // The rest is the same.
        assert_eq!(gpu(&GPU, &resident, n).work, gpu(&GPU, &at_home, n).work);
        assert_eq!(simd(&cpu, &away, n).work, simd(&cpu, &at_home, n).work);
    }

    #[test]
    fn threads_take_as_much_as_they_may() {
        let cpu = CpuFacts { speed_up: 6.0, ..CpuFacts::assumed(8) };
        let heavy = works()[1];
        let (alone, shared) = (simd(&cpu, &heavy, 1e6), threads(&cpu, &heavy, 1e6, false));
        assert!((alone.work / shared.work - 6.0).abs() < 1e-6);
        // So little that nobody is called.
        assert_eq!(threads(&cpu, &heavy, 16.0, false), simd(&cpu, &heavy, 16.0));
        let one = CpuFacts::assumed(1);
        assert_eq!(threads(&one, &heavy, 1e6, false), simd(&one, &heavy, 1e6));
    }
}
