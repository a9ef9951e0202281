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
mod fuse;
mod kernels;
mod places;
mod run;
mod storage;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::grid::Grid;
use super::ir::Program;
use super::memory::{Bound, BufferData};
use crate::cancel::{Stopped, Watch};
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

    /// Bytes that each thread which runs the program needs for the lanes of a block and for the memory of a workgroup.
    ///
    /// Above [`Code::MAX_BYTES`] the program must be refused, as a run of it panics: only [`Order::Workgroups`] gets there, with
    /// large arrays in each of many invocations, as the block is then not the interpreter's to choose.
    ///
    /// [`Order::Workgroups`]: super::ir::Order::Workgroups
    pub(crate) fn bytes(&self) -> u64 {
        self.compiled.bytes()
    }

    /// Bytes of a thread that are never exceeded.
    pub(crate) const MAX_BYTES: u64 = 64 << 20;

    /// Pieces that a launch can be cut into: workgroups, or the blocks of all rows, as [`Program::order`] says.
    ///
    /// Invocations of a piece run on one thread. Pieces may run at the same time, but must be started in ascending order.
    pub(crate) fn pieces(&self, grid: &Grid) -> u64 {
        self.compiled.pieces(grid)
    }

    /// Runs the pieces of that range on the calling thread, in ascending order, while other threads may run others over the
    /// same buffers. Workgroups run whole, whatever [`Grid::invocations`] says.
    ///
    /// # Errors
    /// As soon as `watch` says so, which is looked at between pieces and in loops. The buffers then hold what was stored
    /// so far.
    ///
    /// # Panics
    /// When the number of buffers is not the program's, or one that it stores to is bound for reading; when the program needs
    /// more memory than [`Code::MAX_BYTES`], or than there is.
    pub(crate) fn run_pieces(
        &self,
        buffers: &Bound<'_>,
        grid: &Grid,
        pieces: Range<u64>,
        watch: &Watch,
    ) -> Result<(), Stopped> {
        self.compiled.run(buffers, grid, pieces, watch, false)
    }

    /// Runs invocations `0..invocations` of a one-dimensional launch on the calling thread; `buffers` has one entry per
    /// [`Program::buffers`].
    ///
    /// With `stream`, for buffers that are larger than the caches, what the program computes for consecutive words of a buffer,
    /// once each, goes past them. The results are the same.
    ///
    /// # Errors
    /// As [`Code::run_pieces`].
    ///
    /// # Panics
    /// When the number of buffers is not the program's, or one that it stores to is given for reading.
    pub(crate) fn run_row(
        &self,
        buffers: &mut [BufferData<'_>],
        invocations: u32,
        watch: &Watch,
        stream: bool,
    ) -> Result<(), Stopped> {
        let grid = Grid::row(invocations, self.compiled.size[0]);
        let pieces = 0..self.compiled.pieces(&grid);
        self.compiled.run(&Bound::new(buffers), &grid, pieces, watch, stream)
    }

    /// The same with nothing to stop it.
    #[cfg(test)]
    pub(crate) fn run(&self, buffers: &mut [BufferData<'_>], invocations: u32) {
        self.run_row(buffers, invocations, &Watch::NEVER, false).expect("nothing stops it");
    }

    /// The same past the caches.
    #[cfg(test)]
    pub(crate) fn run_streaming(&self, buffers: &mut [BufferData<'_>], invocations: u32) {
        self.run_row(buffers, invocations, &Watch::NEVER, true).expect("nothing stops it");
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
