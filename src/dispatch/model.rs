//! Predicts how long a loop takes on each backend. Pure: numbers in, numbers out.
//!
//! One form for all three: `fixed + n · max(compute, bytes / bandwidth) + transfer`. The two terms inside `max` overlap on real
//! machines (loads run ahead of arithmetic), the roofline argument of Williams, Waterman and Patterson (2009).

use super::machine::{Cpu, GpuFacts};
use crate::error::Result;
use crate::kernel::Kernel;
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
        Ok(Self { ops: operations.count, known: operations.known, read, written, whole })
    }
}

/// Nanoseconds on one core.
pub(crate) fn simd(cpu: &Cpu, work: &Work, n: f64) -> f64 {
    let bytes = n * (work.read + work.written) + work.whole;
    cpu.call_ns + (n * work.ops * cpu.op_ns).max(bytes / cpu.bandwidth(bytes))
}

/// Nanoseconds on every core.
pub(crate) fn threads(cpu: &Cpu, work: &Work, n: f64) -> f64 {
    let bytes = n * (work.read + work.written) + work.whole;
    let compute = n * work.ops * cpu.op_ns / cpu.speed_up;
    cpu.call_ns + cpu.fork_join_ns + compute.max(bytes / cpu.bandwidth_all(bytes))
}

/// Nanoseconds on a GPU whose arrays all start and end in host memory.
pub(crate) fn gpu(gpu: &GpuFacts, work: &Work, n: f64) -> f64 {
    let up = (n * work.read + work.whole) / gpu.upload_bytes_per_ns;
    let down = n * work.written / gpu.download_bytes_per_ns;
    gpu.call_ns + n * work.ops / gpu.ops_per_ns + up + down
}
