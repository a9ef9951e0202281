//! Loads and stores whose lanes each have an index of their own.
//!
//! What a chunk's lanes aim at mostly lies close together, whatever a compiler can tell of it: neighbouring words, every other
//! one, a row in two halves, one word for all. So a chunk is looked at before its lanes are: neighbouring words are moved as a
//! vector, and words in one [`window`] by permutations, where the level has them. The rest goes lane by lane, with one comparison of
//! all indices instead of one for each where that says enough.

use fearless_simd::{Simd, mask32x16, prelude::*, u32x16};

use super::memory::{Row, bits_at, for_lanes, lane_numbers};
use super::{Body, Instr, Lane, U};
use crate::spmd::block::frame::{CHUNK_BYTES, Context};
use crate::spmd::ir::LANES;
use crate::spmd::memory::Words;

/// Whether every index is inside. (Of a buffer with room for more than an index can say, the last word counts as outside.)
#[inline(always)]
fn all_inside<S: Simd>(simd: S, buffer: Words, index: u32x16<S>) -> bool {
    let len = u32::try_from(buffer.len).unwrap_or(u32::MAX);
    index.simd_lt(u32x16::splat(simd, len)).all_true()
}

/// Where the words of a chunk start, if every lane's is the one behind that of the lane before.
#[inline(always)]
fn neighbouring<S: Simd>(simd: S, index: u32x16<S>) -> Option<u32> {
    let first = Row::from(index)[0];
    (index - u32x16::splat(simd, first)).simd_eq(lane_numbers(simd)).all_true().then_some(first)
}

body!(Gather: |simd, context, instr, list| {
    let buffer = instr.buffer(context);
    let (index, varies) = instr.arg(context, 0);
    let dst = instr.dst(context);
    for &at in list {
        let at = usize::from(at);
        let index = U::load(simd, index, at & varies);
        if let Some(first) = neighbouring(simd, index) && buffer.holds(first, 1, LANES as u32) {
            U::store(U::load(simd, buffer.words.add(first as usize).cast::<u8>(), 0), dst, at);
            continue;
        }
        let row: Row = index.into();
        let mut words = [0; LANES];
        if let Some(found) = window::load(simd, buffer, &row, bits_at(context, at)) {
            words = found;
        } else if all_inside(simd, buffer, index) {
            for lane in 0..LANES {
                words[lane] = buffer.words.add(row[lane] as usize).read();
            }
        } else {
            for lane in 0..LANES {
                words[lane] = buffer.get(row[lane]);
            }
        }
        U::store(words.simd_into(simd), dst, at);
    }
});
body!(Scatter: |simd, context, instr, list| {
    let buffer = instr.buffer(context);
    let (index, index_varies) = instr.arg(context, 0);
    let (value, value_varies) = instr.arg(context, 1);
    let mut pattern = window::Pattern::default();
    for &at in list {
        let at = usize::from(at);
        let (indices, values) = (index.add(at & index_varies), value.add(at & value_varies));
        let (index, value) = (U::load(simd, indices, 0), U::load(simd, values, 0));
        let bits = bits_at(context, at);
        if bits == u16::MAX && let Some(first) = neighbouring(simd, index) && buffer.holds(first, 1, LANES as u32) {
            U::store(value, buffer.words.add(first as usize).cast::<u8>(), 0);
            continue;
        }
        if window::store(simd, buffer, &index.into(), &value.into(), bits, &mut pattern) {
            continue;
        }
        // Ascending: where lanes share a word, the highest has the last one. From the slots, as no vector gives lanes by number.
        let (indices, values) = (indices.cast::<u32>(), values.cast::<u32>());
        if bits == u16::MAX && all_inside(simd, buffer, index) {
            for lane in 0..LANES {
                buffer.words.add(indices.add(lane).read() as usize).write(values.add(lane).read());
            }
        } else {
            for_lanes(bits, #[inline(always)] |lane| buffer.set(indices.add(lane).read(), values.add(lane).read()));
        }
    }
});

/// Permutations of words that lie close together. Only AVX-512 has them and masked accesses, so it alone does anything here.
#[cfg(target_arch = "x86_64")]
mod window {
    use std::arch::x86_64::{
        __m512i, _mm512_loadu_si512, _mm512_mask_cmpge_epu32_mask, _mm512_mask_cmpneq_epu32_mask,
        _mm512_mask_i32scatter_epi32, _mm512_mask_reduce_min_epu32, _mm512_mask_reduce_or_epi32,
        _mm512_mask_storeu_epi32, _mm512_maskz_loadu_epi32, _mm512_permutex2var_epi32,
        _mm512_permutexvar_epi32, _mm512_set1_epi32, _mm512_sllv_epi32, _mm512_storeu_si512,
        _mm512_sub_epi32,
    };

    use fearless_simd::{Level, Simd};

    use super::{LANES, Row, Words};

    /// Words of a window: two vectors, and a bit for each.
    const WORDS: usize = 2 * LANES;
    const NUMBERS: Row = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    /// # Safety
    /// The CPU has AVX-512.
    #[inline(always)]
    unsafe fn splat(word: u32) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_set1_epi32(word.cast_signed()) }
    }

    /// # Safety
    /// The CPU has AVX-512.
    #[inline(always)]
    unsafe fn vector(row: &Row) -> __m512i {
        // SAFETY: the caller's; a row is 64 bytes.
        unsafe { _mm512_loadu_si512(row.as_ptr().cast()) }
    }

    /// The lowest index of the lanes in `bits`, and how far theirs are behind it, if that is within a window.
    ///
    /// # Safety
    /// The CPU has AVX-512.
    #[inline(always)]
    unsafe fn find(index: &Row, bits: u16) -> Option<(u32, __m512i)> {
        // SAFETY: the caller's.
        unsafe {
            let index = vector(index);
            let first = _mm512_mask_reduce_min_epu32(bits, index);
            let places = _mm512_sub_epi32(index, splat(first));
            let far = _mm512_mask_cmpge_epu32_mask(bits, places, splat(WORDS as u32));
            (far == 0).then_some((first, places))
        }
    }

    /// The words at `index`, zeros outside, if those of the lanes in `bits` lie within a window. The other lanes get anything.
    ///
    /// # Safety
    /// The second and the fourth fact.
    #[inline(always)]
    pub(super) unsafe fn load<S: Simd>(simd: S, buffer: Words, index: &Row, bits: u16) -> Option<Row> {
        let Level::Avx512(_) = simd.level() else { return None };
        // SAFETY: the level, by the fourth fact; words are read only where the mask says that they are inside.
        unsafe {
            let (first, places) = find(index, bits)?;
            let inside = buffer.len.saturating_sub(first as usize).min(WORDS);
            let inside = ((1_u64 << inside) - 1) as u32;
            let words = buffer.words.wrapping_add(first as usize).cast::<i32>();
            let low = _mm512_maskz_loadu_epi32(inside as u16, words);
            let high = _mm512_maskz_loadu_epi32((inside >> LANES) as u16, words.wrapping_add(LANES));
            let mut row = [0; LANES];
            _mm512_storeu_si512(row.as_mut_ptr().cast(), _mm512_permutex2var_epi32(low, places, high));
            Some(row)
        }
    }

    /// How the words of a chunk lie in their window: chunks of a block are often alike.
    #[derive(Default)]
    pub(super) struct Pattern {
        /// The active lanes, and the places of their words.
        bits: u16,
        places: Row,
        /// Whether it came a second time. Then it was worth finding out, for each place, whether a word is written there, and
        /// which lane's value that is.
        again: bool,
        written: u32,
        lanes: [Row; 2],
    }

    impl Pattern {
        /// # Safety
        /// The CPU has AVX-512, and the places of active lanes are those of a window.
        #[inline(always)]
        unsafe fn invert(&mut self) {
            // SAFETY: the caller's; `lanes` has a word for each place.
            unsafe {
                let places = vector(&self.places);
                // Ascending: where lanes share a word, the highest has the last one.
                _mm512_mask_i32scatter_epi32::<4>(
                    self.lanes.as_mut_ptr().cast(),
                    self.bits,
                    places,
                    vector(&NUMBERS),
                );
                let written = _mm512_sllv_epi32(splat(1), places);
                self.written = _mm512_mask_reduce_or_epi32(self.bits, written).cast_unsigned();
                self.again = true;
            }
        }
    }

    /// Stores the values of the lanes in `bits` if their words are inside, and lie in a window as those of the chunk before.
    ///
    /// # Safety
    /// The second and the fourth fact.
    #[inline(always)]
    pub(super) unsafe fn store<S: Simd>(
        simd: S,
        buffer: Words,
        index: &Row,
        value: &Row,
        bits: u16,
        pattern: &mut Pattern,
    ) -> bool {
        let Level::Avx512(_) = simd.level() else { return false };
        // SAFETY: the level, by the fourth fact; the words of active lanes alone are written, and the highest is inside.
        unsafe {
            let Some((first, places)) = find(index, bits) else { return false };
            let other = _mm512_mask_cmpneq_epu32_mask(bits, places, vector(&pattern.places));
            if bits != pattern.bits || other != 0 {
                _mm512_storeu_si512(pattern.places.as_mut_ptr().cast(), places);
                (pattern.bits, pattern.again) = (bits, false);
                return false;
            }
            if !pattern.again {
                pattern.invert();
            }
            if !buffer.holds(first, 1, u32::BITS - pattern.written.leading_zeros()) {
                return false;
            }
            let words = buffer.words.wrapping_add(first as usize).cast::<i32>();
            for (half, lanes) in pattern.lanes.iter().enumerate() {
                let value = _mm512_permutexvar_epi32(vector(lanes), vector(value));
                let written = (pattern.written >> (half * LANES)) as u16;
                _mm512_mask_storeu_epi32(words.wrapping_add(half * LANES), written, value);
            }
            true
        }
    }
}

/// Other architectures.
#[cfg(not(target_arch = "x86_64"))]
mod window {
    use fearless_simd::Simd;

    use super::{Row, Words};

    #[derive(Default)]
    pub(super) struct Pattern;

    #[inline(always)]
    pub(super) unsafe fn load<S: Simd>(_: S, _: Words, _: &Row, _: u16) -> Option<Row> {
        None
    }

    #[inline(always)]
    pub(super) unsafe fn store<S: Simd>(_: S, _: Words, _: &Row, _: &Row, _: u16, _: &mut Pattern) -> bool {
        false
    }
}

// A per-invocation array holds element e of chunk c at chunk `e * pitch + c`.

body!(LoadArray: |simd, context, instr, list| {
    let (array, _) = instr.arg(context, 0);
    let (index, varies) = instr.arg(context, 1);
    let dst = instr.dst(context);
    let (words, pitch) = (instr.imm[0], context.pitch as usize * CHUNK_BYTES);
    let uniform = instr.scalar(context, 1);
    if varies == 0 && uniform < words {
        // A copy of one element of every lane's.
        let element = array.add(uniform as usize * pitch);
        for &at in list {
            U::store(U::load(simd, element, usize::from(at)), dst, usize::from(at));
        }
        return;
    }
    for &at in list {
        let at = usize::from(at);
        let index = U::load(simd, index, at & varies);
        let row: Row = index.into();
        if row[0] < words && index.simd_eq(u32x16::splat(simd, row[0])).all_true() {
            U::store(U::load(simd, array, row[0] as usize * pitch + at), dst, at);
            continue;
        }
        let mut found = [0; LANES];
        for lane in 0..LANES {
            if row[lane] < words {
                found[lane] = array.add(row[lane] as usize * pitch + at).cast::<u32>().add(lane).read();
            }
        }
        U::store(found.simd_into(simd), dst, at);
    }
});
body!(StoreArray: |simd, context, instr, list| {
    let array = instr.dst(context);
    let (index, index_varies) = instr.arg(context, 0);
    let (value, value_varies) = instr.arg(context, 1);
    let (words, pitch) = (instr.imm[0], context.pitch as usize * CHUNK_BYTES);
    let uniform = instr.scalar(context, 0);
    if index_varies == 0 && uniform < words {
        let element = array.add(uniform as usize * pitch);
        for &at in list {
            let at = usize::from(at);
            let (value, bits) = (U::load(simd, value, at & value_varies), bits_at(context, at));
            let merged = if bits == u16::MAX {
                value
            } else {
                mask32x16::from_bitmask(simd, u64::from(bits)).select(value, U::load(simd, element, at))
            };
            U::store(merged, element, at);
        }
        return;
    }
    for &at in list {
        let at = usize::from(at);
        let index = U::load(simd, index, at & index_varies);
        let value = U::load(simd, value, at & value_varies);
        let (row, bits) = (Row::from(index), bits_at(context, at));
        if bits == u16::MAX && row[0] < words && index.simd_eq(u32x16::splat(simd, row[0])).all_true() {
            U::store(value, array, row[0] as usize * pitch + at);
            continue;
        }
        let value: Row = value.into();
        for_lanes(bits, #[inline(always)] |lane| {
            if row[lane] < words {
                array.add(row[lane] as usize * pitch + at).cast::<u32>().add(lane).write(value[lane]);
            }
        });
    }
});
body!(ZeroArray: |simd, context, instr, list| {
    let array = instr.dst(context);
    for word in 0..instr.imm[0] as usize {
        for &at in list {
            let element = array.add(word * context.pitch as usize * CHUNK_BYTES);
            U::store(u32x16::splat(simd, 0), element, at as usize);
        }
    }
});
