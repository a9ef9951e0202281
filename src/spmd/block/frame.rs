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
#[derive(Clone)]
pub(super) struct Active {
    /// One bit a lane, one element a chunk; zero for chunks that are not in the list.
    pub bits: Bits,
    /// The chunks with an active lane, ascending, as byte offsets into a slot of words.
    list: [u16; MAX_CHUNKS],
    len: usize,
    /// Whether every lane of every chunk of the block is active.
    pub full: bool,
}

impl Active {
    /// The first `lanes` lanes of a block.
    pub(super) fn first(lanes: usize) -> Self {
        let mut active =
            Self { bits: [0; MAX_CHUNKS], list: [0; MAX_CHUNKS], len: lanes.div_ceil(LANES), full: false };
        for chunk in 0..active.len {
            active.bits[chunk] =
                if lanes - chunk * LANES >= LANES { u16::MAX } else { (1 << (lanes - chunk * LANES)) - 1 };
            active.list[chunk] = (chunk * CHUNK_BYTES) as u16;
        }
        active.full = lanes.is_multiple_of(LANES);
        active
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

    /// Parts the lanes by a bool each: those with and those without.
    pub(super) fn split(&self, cond: impl Fn(usize) -> u16) -> (Self, Self) {
        let none = Self { bits: [0; MAX_CHUNKS], list: [0; MAX_CHUNKS], len: 0, full: false };
        let (mut with, mut without) = (none.clone(), none);
        let (mut any_with, mut any_without) = (0, 0);
        for &offset in self.list() {
            let chunk = usize::from(offset) / CHUNK_BYTES % MAX_CHUNKS;
            let (bits, cond) = (self.bits[chunk], cond(chunk));
            for (part, any, bits) in
                [(&mut with, &mut any_with, bits & cond), (&mut without, &mut any_without, bits & !cond)]
            {
                part.bits[chunk] = bits;
                part.list[part.len] = offset;
                part.len += usize::from(bits != 0);
                *any |= bits;
            }
        }
        with.full = self.full && any_without == 0;
        without.full = self.full && any_with == 0;
        (with, without)
    }

    /// Activates the lanes of `bits`, which are lanes of a block of `chunks` full chunks, too.
    pub(super) fn widen(&mut self, bits: &Bits, chunks: usize) {
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
    pub active: Active,
}
