//! Assigns slots: a linear scan over the lives of values and variables, so that a block's lanes stay in the first-level cache.

use super::analysis::Life;
use super::frame::{CHUNK_BYTES, MAX_CHUNKS};
use super::kernels::{Size, Slot};

/// Bytes of the frame that fit the first-level cache (32 to 48 KiB on today's CPUs) beside what streams through it.
///
/// Measured on 48 KiB, against 24 KiB: n-body 1.2 times as fast, Mandelbrot and Black-Scholes 1.1 times. Larger blocks do
/// not hurt where lanes part, because chunks without an active lane are skipped.
const FRAME_BYTES: usize = 40 << 10;

/// Where an entry of the slot table starts out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A chunk of the program's constants.
    Const(u32),
    /// A chunk of the frame, in front of what is per lane.
    One(u32),
    /// The n-th slot of words.
    Words(u32),
    /// The n-th slot of bools.
    Bits(u32),
    /// A per-invocation array: words of arrays before it.
    Array(u64),
}

/// Hands out slots.
#[derive(Debug, Default)]
pub(super) struct Storage {
    /// The slot table.
    pub places: Vec<Place>,
    ones: u32,
    words: u32,
    bits: u32,
    array_words: u64,
    free: [Vec<Slot>; 3],
    /// Slots in use and when they become free.
    busy: Vec<(u32, Slot)>,
}

impl Storage {
    /// An entry of its own.
    pub(super) fn entry(&mut self, place: Place, size: Size) -> Slot {
        self.places.push(place);
        Slot { entry: (self.places.len() - 1) as u32, size }
    }

    /// One chunk that keeps its value for the whole run.
    pub(super) fn permanent(&mut self) -> Slot {
        self.ones += 1;
        self.entry(Place::One(self.ones - 1), Size::One)
    }

    /// Lanes that keep their values for the whole run.
    pub(super) fn permanent_words(&mut self) -> Slot {
        self.words += 1;
        self.entry(Place::Words(self.words - 1), Size::Words)
    }

    /// A per-invocation array.
    pub(super) fn array(&mut self, words: u32) -> Slot {
        let place = Place::Array(self.array_words);
        self.array_words += u64::from(words);
        self.entry(place, Size::Array(words))
    }

    /// A slot for a life; lives come in order of their start.
    pub(super) fn assign(&mut self, size: Size, life: Life) -> Slot {
        let Self { busy, free, .. } = self;
        // A value may take the place of one that the same statement reads last: kernels read a chunk before they write it.
        busy.retain(|(end, slot)| {
            let live = *end > life.start;
            if !live {
                free[class(slot.size)].push(*slot);
            }
            live
        });
        let slot = self.free[class(size)].pop().unwrap_or_else(|| match size {
            Size::One => self.permanent(),
            Size::Words => self.permanent_words(),
            Size::Bits => {
                self.bits += 1;
                self.entry(Place::Bits(self.bits - 1), size)
            }
            Size::Array(_) => unreachable!("arrays live as long as the program"),
        });
        self.busy.push((life.end, slot));
        slot
    }

    /// Chunks of a full block where that is to choose: a power of two.
    pub(super) fn chunks(&self) -> usize {
        let words = usize::try_from(u64::from(self.words) + self.array_words).unwrap_or(usize::MAX);
        let fit = (FRAME_BYTES / CHUNK_BYTES / words.max(1)).clamp(1, MAX_CHUNKS);
        1 << fit.ilog2()
    }

    /// The chunk of the frame where a place starts when blocks have `chunks` chunks; `None` for a constant.
    pub(super) fn offset(&self, place: Place, chunks: usize) -> Option<usize> {
        let bits_at = self.ones as usize;
        let words_at = bits_at + self.bits as usize * bits_chunks(chunks);
        Some(match place {
            Place::Const(_) => return None,
            Place::One(at) => at as usize,
            Place::Bits(at) => bits_at + at as usize * bits_chunks(chunks),
            Place::Words(at) => words_at + at as usize * chunks,
            Place::Array(at) => words_at + (self.words as usize + at as usize) * chunks,
        })
    }

    /// Chunks of the whole frame.
    pub(super) fn frame_chunks(&self, chunks: usize) -> u64 {
        let chunks = chunks as u64;
        let bits = u64::from(self.bits) * bits_chunks(chunks as usize) as u64;
        u64::from(self.ones) + bits + (u64::from(self.words) + self.array_words) * chunks
    }
}

/// Chunks of storage for the bools of a block: 2 bytes a chunk of lanes.
fn bits_chunks(chunks: usize) -> usize {
    (2 * chunks).div_ceil(CHUNK_BYTES)
}

fn class(size: Size) -> usize {
    match size {
        Size::One => 0,
        Size::Words => 1,
        Size::Bits | Size::Array(_) => 2,
    }
}
