//! HOW a loop runs: one executor per backend, each given a [`Kernel`](crate::kernel::Kernel) and the
//! [`Part`](crate::part::Part) of its arrays to run it on, or the [`Job`](crate::launch::job::Job) that a launch of a shader is.
//! Which of them runs is decided above, in `dispatch`.

use std::time::Duration;

#[cfg(feature = "gpu")]
pub(crate) mod gpu;
pub(crate) mod shader;
pub(crate) mod simd;
pub(crate) mod threads;

/// Where the time of a call went, as the calling thread saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// Compiling the body; zero once it is in memory.
    pub compile: Duration,
    /// Copying the inputs to where a GPU reads them, and submitting; zero on the CPU.
    pub upload: Duration,
    /// The loop itself. On a GPU, waiting for it. Its copies between host and device memory are in it where the GPU has no
    /// timestamps or moves less than a megabyte; else they are taken out, and divided by bytes between the two directions.
    pub run: Duration,
    /// Copying the results from a GPU to the caller's arrays; zero on the CPU.
    pub download: Duration,
}

impl Times {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.compile + self.upload + self.run + self.download
    }
}

/// How a launch went on a GPU.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "only a GPU answers with it"))]
pub(crate) struct Ran {
    pub times: Times,
    /// Bytes copied between host and device memory, both ways.
    pub moved: u64,
}
