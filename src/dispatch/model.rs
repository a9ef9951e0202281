//! Predicts how long a loop takes on each backend. Pure: numbers in, numbers out.
//!
//! One form for all three: `fixed + n · max(compute, bytes / bandwidth) + transfer`, kept apart as [`Terms`]. The two terms inside `max` overlap on real
//! machines (loads run ahead of arithmetic), the roofline argument of Williams, Waterman and Patterson (2009).

use super::machine::{Cpu, GpuFacts};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::launch::Data;
use crate::launch::job::Job;
use crate::part::{Input, Part};

/// What one element of a loop costs, in this machine's terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Work {
    /// Arithmetic per element, in units of a simple f32 operation.
    pub ops: f64,
    /// Whether `ops` was read off the body, or is a guess.
    pub known: bool,
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
        let (mut read, mut whole) = (0.0, 0.0);
        for input in &part.inputs {
            match input {
                Input::Array { ty, .. } => read += ty.size() as f64,
                Input::Whole { data, .. } => whole += data.len() as f64,
                Input::Uniform { .. } | Input::Index => {}
            }
        }
        let written = part.outputs.iter().map(|output| output.ty.size() as f64).sum();
        Ok(Self { ops: operations.count, known: operations.known, read, written, whole, transfer: None })
    }

    /// Of launches of shaders, all of them together as one element.
    ///
    /// # Errors
    /// Those of compiling the shaders.
    pub(crate) fn of_jobs(jobs: &[Job<'_>]) -> Result<Self> {
        let mut work = Self { ops: 0.0, known: true, read: 0.0, written: 0.0, whole: 0.0, transfer: None };
        let mut transfer = Transfer::default();
        let mut seen = Vec::new();
        for job in jobs {
            let operations = job.operations()?;
            work.ops += operations.count * job.invocations() as f64;
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

    /// Bytes to fetch from a GPU before the CPU can run it.
    fn fetch(&self) -> f64 {
        self.transfer.map_or(0.0, |transfer| transfer.fetch)
    }
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
pub(crate) fn simd(cpu: &Cpu, work: &Work, n: f64) -> Terms {
    let bytes = n * (work.read + work.written) + work.whole;
    Terms {
        fixed: cpu.call_ns,
        work: (n * work.ops * cpu.op_ns).max(bytes / cpu.bandwidth(bytes)),
        transfer: fetch_ns(cpu, work),
    }
}

/// On every core.
pub(crate) fn threads(cpu: &Cpu, work: &Work, n: f64) -> Terms {
    let bytes = n * (work.read + work.written) + work.whole;
    let compute = n * work.ops * cpu.op_ns / cpu.speed_up;
    Terms {
        fixed: cpu.call_ns + cpu.fork_join_ns,
        work: compute.max(bytes / cpu.bandwidth_all(bytes)),
        transfer: fetch_ns(cpu, work),
    }
}

/// To fetch what only a GPU has: a bus is about as fast as one thread's memory.
fn fetch_ns(cpu: &Cpu, work: &Work) -> f64 {
    work.fetch() / cpu.dram_bytes_per_ns
}

/// On a GPU, with what has to be moved there and back.
pub(crate) fn gpu(gpu: &GpuFacts, work: &Work, n: f64) -> Terms {
    let (up, down) = match work.transfer {
        Some(transfer) => (transfer.up, transfer.down),
        None => (n * work.read + work.whole, n * work.written),
    };
    Terms {
        fixed: gpu.call_ns,
        work: n * work.ops / gpu.ops_per_ns,
        transfer: up / gpu.upload_bytes_per_ns + down / gpu.download_bytes_per_ns,
    }
}
