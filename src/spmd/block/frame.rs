//! The storage of one run: slots of lane values, the bound buffers, and which lanes are active.
//!
//! Plain data. The pointers in it are made in `run` and read in `kernels`; nothing here looks through them.

use std::cell::Cell;

use super::places::IDS;
use crate::spmd::ir::LANES;
use crate::spmd::memory::Words;

/// Chunks of [`LANES`] lanes in the largest block.
pub(super) const MAX_CHUNKS: usize = 64;

/// Bytes of a chunk of words, and so the distance between two chunks of a slot.
pub(super) const CHUNK_BYTES: usize = 4 * LANES;

/// One bit for each lane of a block, one element a chunk.
pub(super) type Bits = [u16; MAX_CHUNKS];

/// One chunk of lane values. Bools take one bit a lane: 32 chunks of lanes in one of these.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Chunk(pub [u32; LANES]);

/// The lanes that are active.
pub(super) struct Active {
    /// One bit a lane, one element a chunk; zero for chunks of the block that are not in the list.
    pub bits: Bits,
    /// The chunks with an active lane, ascending, as byte offsets into a slot of words.
    list: [u16; MAX_CHUNKS],
    len: usize,
    /// Chunks of the block.
    chunks: usize,
    /// Whether every lane of every chunk of the block is active.
    pub full: bool,
}

impl Active {
    /// A block of nothing.
    pub(super) const NONE: Self =
        Self { bits: [0; MAX_CHUNKS], list: [0; MAX_CHUNKS], len: 0, chunks: 0, full: false };

    /// Becomes the first `lanes` lanes of a block.
    pub(super) fn assign_first(&mut self, lanes: usize) {
        self.chunks = lanes.div_ceil(LANES);
        self.len = self.chunks;
        for chunk in 0..self.len {
            self.bits[chunk] =
                if lanes - chunk * LANES >= LANES { u16::MAX } else { (1 << (lanes - chunk * LANES)) - 1 };
            self.list[chunk] = (chunk * CHUNK_BYTES) as u16;
        }
        self.full = lanes.is_multiple_of(LANES);
    }

    /// The chunks with an active lane, as byte offsets into a slot of words.
    pub(super) fn list(&self) -> &[u16] {
        &self.list[..self.len]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn clear(&mut self) {
        for &offset in &self.list[..self.len] {
            self.bits[usize::from(offset) / CHUNK_BYTES] = 0;
        }
        self.len = 0;
        self.full = false;
    }

    /// Keeps the lanes whose bit `keep(chunk)` has, calls `left` with those that go, and returns whether there were any.
    ///
    /// Chunk by chunk, as the bits were written: a wide read right behind narrow writes waits for all of them.
    #[inline(always)]
    pub(super) fn keep(&mut self, keep: impl Fn(usize) -> u16, mut left: impl FnMut(usize, u16)) -> bool {
        let (mut len, mut gone) = (0, 0);
        for at in 0..self.len {
            let offset = self.list[at];
            let chunk = usize::from(offset) / CHUNK_BYTES % MAX_CHUNKS;
            let before = self.bits[chunk];
            let bits = before & keep(chunk);
            left(chunk, before ^ bits);
            gone |= before ^ bits;
            self.bits[chunk] = bits;
            self.list[len] = offset;
            len += usize::from(bits != 0);
        }
        self.len = len;
        self.full &= gone == 0;
        gone != 0
    }

    /// Whether `bits(chunk)` has an active lane's in any chunk.
    #[inline(always)]
    pub(super) fn meets(&self, bits: impl Fn(usize) -> u16) -> bool {
        let mut any = 0;
        for &offset in self.list() {
            let chunk = usize::from(offset) / CHUNK_BYTES % MAX_CHUNKS;
            any |= self.bits[chunk] & bits(chunk);
        }
        any != 0
    }

    /// Becomes the lanes of `other` whose bit `keep(chunk)` has; whether there are others.
    ///
    /// In place and only as far as the block goes: a branch in a loop of a workgroup costs hardly more than this.
    #[inline(always)]
    pub(super) fn assign_where(&mut self, other: &Self, keep: impl Fn(usize) -> u16) -> bool {
        self.chunks = other.chunks;
        self.bits[..other.chunks].fill(0);
        let (mut len, mut gone) = (0, 0);
        for &offset in other.list() {
            let chunk = usize::from(offset) / CHUNK_BYTES % MAX_CHUNKS;
            let before = other.bits[chunk];
            let bits = before & keep(chunk);
            gone |= before ^ bits;
            self.bits[chunk] = bits;
            self.list[len % MAX_CHUNKS] = offset;
            len += usize::from(bits != 0);
        }
        self.len = len;
        self.full = other.full && gone == 0;
        gone != 0
    }

    /// Becomes the same.
    pub(super) fn assign(&mut self, other: &Self) {
        let Self { bits, list, len, full, chunks } = other;
        self.bits[..*chunks].copy_from_slice(&bits[..*chunks]);
        self.list[..*len].copy_from_slice(&list[..*len]);
        (self.len, self.full, self.chunks) = (*len, *full, *chunks);
    }

    /// Activates the lanes of `bits`, which are lanes of the block, too.
    pub(super) fn widen(&mut self, bits: &Bits) {
        let chunks = self.chunks;
        let mut len = 0;
        let mut all = u16::MAX;
        for chunk in 0..chunks {
            let bits = self.bits[chunk] | bits[chunk];
            self.bits[chunk] = bits;
            self.list[len] = (chunk * CHUNK_BYTES) as u16;
            len += usize::from(bits != 0);
            all &= bits;
        }
        self.len = len;
        self.full = all == u16::MAX;
    }
}

/// What a kernel sees besides its own instruction.
pub(super) struct Context {
    /// Where each slot is at present.
    pub slots: *mut *mut u8,
    /// Where each slot is when it is not aimed at a buffer.
    pub homes: *const *mut u8,
    /// The bound buffers, then the arrays of the workgroup.
    pub buffers: *const Words,
    /// The numbers of this block, by [`Id::index`](super::places::Id::index).
    pub ids: [u32; IDS],
    /// The program's `@workgroup_size`.
    pub size: [u32; 3],
    /// Chunks of this block.
    pub chunks: u32,
    /// Chunks of the largest block of this run: the pitch of per-invocation arrays.
    pub pitch: u32,
    /// Whether outputs go past the caches.
    pub stream: bool,
    /// Whether the output that was aimed last does.
    pub streams: Cell<bool>,
    /// In a box of its own, so that a branch changes a pointer.
    pub active: Box<Active>,
}
