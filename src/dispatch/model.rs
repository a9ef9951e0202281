//! Predicts how long a loop takes on each backend. Pure: numbers in, numbers out.
//!
//! One form for all three: `fixed + n · max(compute, bytes / bandwidth) + transfer`. The two terms inside `max` overlap on real
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

/// Nanoseconds on one core.
pub(crate) fn simd(cpu: &Cpu, work: &Work, n: f64) -> f64 {
    let bytes = n * (work.read + work.written) + work.whole;
    cpu.call_ns + (n * work.ops * cpu.op_ns).max(bytes / cpu.bandwidth(bytes)) + fetch_ns(cpu, work)
}

/// Nanoseconds on every core.
pub(crate) fn threads(cpu: &Cpu, work: &Work, n: f64) -> f64 {
    let bytes = n * (work.read + work.written) + work.whole;
    let compute = n * work.ops * cpu.op_ns / cpu.speed_up;
    cpu.call_ns + cpu.fork_join_ns + compute.max(bytes / cpu.bandwidth_all(bytes)) + fetch_ns(cpu, work)
}

/// Nanoseconds to fetch what only a GPU has: a bus is about as fast as one thread's memory.
fn fetch_ns(cpu: &Cpu, work: &Work) -> f64 {
    work.fetch() / cpu.dram_bytes_per_ns
}

/// Nanoseconds on a GPU, with what has to be moved there and back.
pub(crate) fn gpu(gpu: &GpuFacts, work: &Work, n: f64) -> f64 {
    let (up, down) = match work.transfer {
        Some(transfer) => (transfer.up, transfer.down),
        None => (n * work.read + work.whole, n * work.written),
    };
    let up = up / gpu.upload_bytes_per_ns;
    let down = down / gpu.download_bytes_per_ns;
    gpu.call_ns + n * work.ops / gpu.ops_per_ns + up + down
}
