//! The block interpreter: SPMD IR on vector registers, a block of invocations at a time.
//!
//! Each operation runs over all lanes of a block before the next one starts, so its dispatch is paid once for up to 1024
//! lanes and the lanes between are vector code, compiled ahead of time for every CPU level. No code is generated at run
//! time.
//!
//! * Lanes move in chunks of 16. A value is one chunk per 16 lanes, or a single chunk where it is uniform; a bool is 16
//!   bits a chunk. `i + base` and the like are kept as the number in lane 0 and a stride, and so are addresses.
//! * A block's values share slots by their lives, so that they stay in the first-level cache. What is read from or
//!   stored to consecutive words is worked on in place where that is in bounds.
//! * Lanes that are not active are skipped chunk by chunk; in a chunk that is partly active they compute along, and only
//!   what could be seen of them is masked. A loop runs until no lane is left in it.
//!
//! The results are those of [`oracle`](super::oracle), bit for bit, whatever the level (but for `Fma` without FMA) and the
//! size of the blocks.

mod analysis;
mod compile;
mod frame;
mod kernels;
mod run;
mod storage;
#[cfg(test)]
mod tests;

use super::ir::Program;
use super::memory::BufferData;
use crate::cpu::CpuLevel;

/// A program compiled for one CPU level. Cheap to make, shared by threads.
pub(crate) struct Code {
    compiled: compile::Compiled,
    level: CpuLevel,
}

impl Code {
    /// Compiles a program.
    ///
    /// # Panics
    /// When the program breaks a rule of the IR, or this CPU does not have `level`.
    pub(crate) fn compile(program: &Program, level: CpuLevel) -> Self {
        Self { compiled: compile::Compiled::new(program, level), level }
    }

    /// Runs invocations `0..invocations` of a one-dimensional launch on the calling thread; `buffers` has one entry per
    /// [`Program::buffers`].
    ///
    /// # Panics
    /// When the number of buffers is not the program's, or one that it stores to is given for reading.
    pub(crate) fn run(&self, buffers: &mut [BufferData<'_>], invocations: u32) {
        self.compiled.run(buffers, invocations, false);
    }

    /// The same for buffers that are larger than the caches: what the program
    /// computes for consecutive words of a buffer, once each, goes past them. The results are the same.
    ///
    /// # Panics
    /// As [`Code::run`].
    pub(crate) fn run_streaming(&self, buffers: &mut [BufferData<'_>], invocations: u32) {
        self.compiled.run(buffers, invocations, true);
    }

    /// Invocations of a full block.
    pub(crate) fn block_lanes(&self) -> usize {
        self.compiled.chunks * super::ir::LANES
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code")
            .field("level", &self.level)
            .field("instructions", &self.compiled.instrs.len())
            .field("lanes", &self.block_lanes())
            .finish_non_exhaustive()
    }
}

const _: fn() = || {
    fn shared_by_threads<T: Send + Sync>() {}
    shared_by_threads::<Code>();
};
