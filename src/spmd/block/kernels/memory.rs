//! Copies, merges, loads and stores over chunks, and the values that stand for a lane's place.
//!
//! Every index is checked here, as a number, before an address is made of it: outside a buffer a load gives 0 and a store
//! does nothing, whatever the index.

use fearless_simd::{Simd, mask32x16, prelude::*, u32x16};

use super::{
    Body, CHEAP, Instr, Kernel, Lane, P, Special, Target, U, effects, indexed, map1, stream, update,
};
use crate::spmd::block::frame::{CHUNK_BYTES, Context};
use crate::spmd::block::places::{IDS, Id as Place, InRow, Table};
use crate::spmd::ir::{LANES, SUBGROUP};
use crate::spmd::memory::Words;

/// The kernel of what is not an operation of the IR.
pub(super) fn special<T: Target>(special: Special) -> Kernel {
    match special {
        Special::CopyWords => T::entry::<CopyWords>(),
        Special::CopyBits => T::entry::<CopyBits>(),
        Special::MergeWords => T::entry::<MergeWords>(),
        Special::MergeBits => T::entry::<MergeBits>(),
        Special::Id => T::entry::<Id>(),
        Special::Offset => T::entry::<Offset>(),
        Special::Table(Table::LocalId(0)) => T::entry::<LocalIds<0>>(),
        Special::Table(Table::LocalId(1)) => T::entry::<LocalIds<1>>(),
        Special::Table(Table::LocalId(_)) => T::entry::<LocalIds<2>>(),
        Special::Table(Table::Subgroup) => T::entry::<Subgroups>(),
        Special::Table(Table::InSubgroup) => T::entry::<InSubgroups>(),
        Special::InRow(InRow::LocalId) => T::entry::<RowLocalId>(),
        Special::InRow(InRow::LocalIndex) => T::entry::<RowLocalIndex>(),
        Special::InRow(InRow::WorkgroupId) => T::entry::<RowWorkgroupId>(),
        Special::InRow(InRow::Subgroup) => T::entry::<RowSubgroup>(),
        Special::InRow(InRow::InSubgroup) => T::entry::<RowInSubgroup>(),
        Special::Length => T::entry::<Length>(),
        Special::Spread => T::entry::<Spread>(),
        Special::LoadOne => T::entry::<LoadOne>(),
        Special::LoadAim => T::entry::<LoadAim>(),
        Special::LoadRow => T::entry::<LoadRow>(),
        Special::LoadStrided => T::entry::<LoadStrided>(),
        Special::Gather => T::entry::<indexed::Gather>(),
        Special::LoadSame => T::entry::<LoadSame>(),
        Special::LoadChunk => T::entry::<LoadChunk>(),
        Special::StoreAim => T::entry::<StoreAim>(),
        Special::Stream => T::entry::<Stream>(),
        Special::StoreRow => T::entry::<StoreRow>(),
        Special::StoreStrided => T::entry::<StoreStrided>(),
        Special::Scatter => T::entry::<indexed::Scatter>(),
        Special::StoreChunk => T::entry::<StoreChunk>(),
        Special::LoadArray => T::entry::<indexed::LoadArray>(),
        Special::StoreArray => T::entry::<indexed::StoreArray>(),
        Special::ZeroArray => T::entry::<indexed::ZeroArray>(),
        Special::ZeroShared => T::entry::<ZeroShared>(),
        Special::SelectBits => T::entry::<super::ops::SelectBits>(),
        Special::AtomicLoadOne => T::entry::<effects::AtomicLoadOne>(),
        Special::AtomicLoad => T::entry::<effects::AtomicLoad>(),
        Special::AtomicStore => T::entry::<effects::AtomicStore>(),
        Special::Atomic { op, signed, plain } => effects::atomic::<T>(op, signed, plain),
        Special::CompareExchange { plain } => effects::compare_exchange::<T>(plain),
        Special::Reduce(op) => effects::collective::<T>(op, effects::Part::All),
        Special::InclusiveScan(op) => effects::collective::<T>(op, effects::Part::UpTo),
        Special::ExclusiveScan(op) => effects::collective::<T>(op, effects::Part::Before),
        Special::Ballot => T::entry::<effects::Ballot>(),
        Special::First => T::entry::<effects::First>(),
        Special::Shuffle => T::entry::<effects::Shuffle>(),
    }
}

macro_rules! body {
    ($(#[$doc:meta])* $name:ident: |$simd:ident, $context:ident, $instr:ident, $list:ident| $body:expr) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Body for $name {
            #[inline(always)]
            unsafe fn run<S: Simd>($simd: S, $context: &Context, $instr: &Instr, $list: &[u16]) {
                // SAFETY: the caller keeps the facts at the head of `kernels`; addresses made here are commented.
                unsafe { $body }
            }
        }
    };
}

pub(super) type Row = [u32; LANES];

impl Words {
    /// The word at `index`, or 0 outside.
    #[inline(always)]
    pub(super) unsafe fn get(self, index: u32) -> u32 {
        // SAFETY: the second fact, after the check.
        if (index as usize) < self.len { unsafe { self.words.add(index as usize).read() } } else { 0 }
    }

    /// Writes the word at `index`, nothing outside.
    #[inline(always)]
    pub(super) unsafe fn set(self, index: u32, value: u32) {
        if (index as usize) < self.len {
            // SAFETY: the second fact, after the check.
            unsafe { self.words.add(index as usize).write(value) }
        }
    }

    /// Whether `first, first + stride, …`, that many, are all inside without wrapping.
    #[inline(always)]
    pub(super) fn holds(self, first: u32, stride: u32, count: u32) -> bool {
        let last = u64::from(first) + u64::from(stride) * (u64::from(count) - 1);
        last < self.len as u64 && last <= u64::from(u32::MAX)
    }
}

impl Instr {
    #[inline(always)]
    pub(super) unsafe fn buffer(&self, context: &Context) -> Words {
        // SAFETY: the second fact.
        unsafe { context.buffers.add(self.imm[0] as usize).read() }
    }

    /// Lane 0 of an operand of one chunk.
    #[inline(always)]
    pub(super) unsafe fn scalar(&self, context: &Context, at: usize) -> u32 {
        // SAFETY: the first fact.
        unsafe { self.arg(context, at).0.cast::<u32>().read() }
    }

    #[inline(always)]
    pub(super) unsafe fn splat<S: Simd>(&self, simd: S, context: &Context, value: u32) {
        // SAFETY: the first fact.
        unsafe { U::store(u32x16::splat(simd, value), self.dst(context), 0) }
    }
}

#[inline(always)]
pub(super) fn bits_at(context: &Context, at: usize) -> u16 {
    context.active.bits[at / CHUNK_BYTES % context.active.bits.len()]
}

#[inline(always)]
pub(super) fn lane_numbers<S: Simd>(simd: S) -> u32x16<S> {
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].simd_into(simd)
}

/// Calls `f` with each set bit's number, ascending: the highest active lane has the last word.
#[inline(always)]
pub(super) fn for_lanes(mut bits: u16, mut f: impl FnMut(usize)) {
    while bits != 0 {
        f(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

body!(CopyWords: |simd, context, instr, list| {
    map1::<S, U, U, CHEAP>(simd, context, instr, list, #[inline(always)] |a| a);
});
body!(CopyBits: |simd, context, instr, list| {
    map1::<S, P, P, CHEAP>(simd, context, instr, list, #[inline(always)] |a| a);
});
body!(MergeWords: |simd, context, instr, list| {
    update::<S, U>(simd, context, instr, list, #[inline(always)] |at, old, new| {
        mask32x16::from_bitmask(simd, u64::from(bits_at(context, at))).select(new, old)
    });
});
body!(MergeBits: |simd, context, instr, list| {
    update::<S, P>(simd, context, instr, list, #[inline(always)] |at, old, new| {
        let bits = bits_at(context, at);
        (new & bits) | (old & !bits)
    });
});

body!(Id: |simd, context, instr, _list| instr.splat(simd, context, context.ids[instr.imm[0] as usize % IDS]));
body!(Offset: |simd, context, instr, list| {
    let by = u32x16::splat(simd, context.ids[instr.imm[0] as usize % IDS]);
    map1::<S, U, U, CHEAP>(simd, context, instr, list, #[inline(always)] |a| a + by);
});
body!(Length: |simd, context, instr, _list| {
    let words = u32::try_from(instr.buffer(context).len).unwrap_or(u32::MAX);
    instr.splat(simd, context, words.saturating_sub(instr.imm[1]) / instr.scalar(context, 0));
});
/// `dst = f(number of the lane in the block)`, ascending.
///
/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn number<S: Simd>(
    simd: S,
    context: &Context,
    instr: &Instr,
    list: &[u16],
    mut f: impl FnMut(u32) -> u32,
) {
    // SAFETY: the facts.
    unsafe {
        let dst = instr.dst(context);
        for &at in list {
            let row: Row = std::array::from_fn(|lane| f(u32::from(at) / 4 + lane as u32));
            U::store(row.simd_into(simd), dst, usize::from(at));
        }
    }
}

/// `local_invocation_id` where the block is a workgroup.
struct LocalIds<const AXIS: u8>;

impl<const AXIS: u8> Body for LocalIds<AXIS> {
    #[inline(always)]
    unsafe fn run<S: Simd>(simd: S, context: &Context, instr: &Instr, list: &[u16]) {
        let [x, y, _] = context.size;
        // SAFETY: the caller's.
        unsafe {
            number(
                simd,
                context,
                instr,
                list,
                #[inline(always)]
                |lane| match AXIS {
                    0 => lane % x,
                    1 => lane / x % y,
                    _ => lane / (x * y),
                },
            );
        }
    }
}

body!(Subgroups: |simd, context, instr, list| {
    number(simd, context, instr, list, #[inline(always)] |lane| lane / SUBGROUP as u32);
});
body!(InSubgroups: |simd, context, instr, list| {
    number(simd, context, instr, list, #[inline(always)] |lane| lane % SUBGROUP as u32);
});

// In a row, a lane's place follows from its x.

/// `f(x / width, x % width, local_invocation_index of the row's first)`, for `global_invocation_id.x` and `@workgroup_size.x`.
///
/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn in_row<S: Simd>(
    simd: S,
    context: &Context,
    instr: &Instr,
    list: &[u16],
    f: impl Fn(u32x16<S>, u32x16<S>, u32x16<S>) -> u32x16<S>,
) {
    let (first, width) = (context.ids[Place::Origin(0).index()], context.size[0]);
    let index = u32x16::splat(simd, context.ids[Place::Local(0).index()]);
    let (widths, one) = (u32x16::splat(simd, width), u32x16::splat(simd, 1));
    // SAFETY: the facts.
    unsafe {
        let dst = instr.dst(context);
        for &at in list {
            // One division for a chunk. The first lane of one in a list is not past the last x, so this does not wrap.
            let x = first + u32::from(at) / 4;
            let mut quotient = u32x16::splat(simd, x / width);
            let mut rest = u32x16::splat(simd, x % width) + lane_numbers(simd);
            loop {
                let beyond = rest.simd_ge(widths);
                if !beyond.any_true() {
                    break;
                }
                rest = beyond.select(rest - widths, rest);
                quotient = beyond.select(quotient + one, quotient);
            }
            U::store(f(quotient, rest, index), dst, usize::from(at));
        }
    }
}

/// Subgroups are a power of two.
const SUBGROUP_BITS: u32 = SUBGROUP.trailing_zeros();

body!(RowLocalId: |simd, context, instr, list| {
    in_row(simd, context, instr, list, #[inline(always)] |_, x, _| x);
});
body!(RowLocalIndex: |simd, context, instr, list| {
    in_row(simd, context, instr, list, #[inline(always)] |_, x, index| x + index);
});
body!(RowWorkgroupId: |simd, context, instr, list| {
    in_row(simd, context, instr, list, #[inline(always)] |group, _, _| group);
});
body!(RowSubgroup: |simd, context, instr, list| {
    in_row(simd, context, instr, list, #[inline(always)] |_, x, index| (x + index) >> SUBGROUP_BITS);
});
body!(RowInSubgroup: |simd, context, instr, list| {
    let mask = u32x16::splat(simd, SUBGROUP as u32 - 1);
    in_row(simd, context, instr, list, #[inline(always)] |_, x, index| (x + index) & mask);
});
body!(Spread: |simd, context, instr, list| {
    let dst = instr.dst(context);
    let stride = instr.imm[0];
    let row = u32x16::splat(simd, instr.scalar(context, 0)) + lane_numbers(simd) * u32x16::splat(simd, stride);
    for &at in list {
        // A chunk's byte offset is four times its first lane.
        U::store(row + u32x16::splat(simd, (u32::from(at) / 4).wrapping_mul(stride)), dst, at as usize);
    }
});

body!(LoadOne: |simd, context, instr, _list| {
    let value = instr.buffer(context).get(instr.scalar(context, 0));
    instr.splat(simd, context, value);
});
body!(LoadAim: |simd, context, instr, list| {
    let buffer = instr.buffer(context);
    let first = instr.scalar(context, 0);
    let slot = context.slots.add(instr.dst as usize);
    if buffer.holds(first, 1, context.chunks * LANES as u32) {
        // As many words as the block has lanes lie inside the buffer, which nobody writes.
        slot.write(buffer.words.add(first as usize).cast());
    } else {
        slot.write(context.homes.add(instr.dst as usize).read());
        load_strided(simd, context, instr, list, 1);
    }
});
body!(LoadRow: |simd, context, instr, list| load_strided(simd, context, instr, list, 1));
body!(LoadStrided: |simd, context, instr, list| {
    // A constant stride becomes shuffles.
    match instr.imm[1] {
        2 => load_strided(simd, context, instr, list, 2),
        3 => load_strided(simd, context, instr, list, 3),
        4 => load_strided(simd, context, instr, list, 4),
        stride => load_strided(simd, context, instr, list, stride),
    }
});
body!(LoadSame: |simd, context, instr, list| {
    let buffer = instr.buffer(context);
    let (index, varies) = instr.arg(context, 0);
    let (plus, dst) = (instr.scalar(context, 1), instr.dst(context));
    for &at in list {
        let at = usize::from(at);
        let index = index.add(at & varies).cast::<u32>().read().wrapping_add(plus);
        U::store(u32x16::splat(simd, buffer.get(index)), dst, at);
    }
});
body!(LoadChunk: |simd, context, instr, list| {
    let buffer = instr.buffer(context);
    let (index, varies) = instr.arg(context, 0);
    let (plus, dst) = (instr.scalar(context, 1), instr.dst(context));
    for &at in list {
        let at = usize::from(at);
        let first = index.add(at & varies).cast::<u32>().read().wrapping_add(plus);
        if buffer.holds(first, 1, LANES as u32) {
            U::store(U::load(simd, buffer.words.add(first as usize).cast::<u8>(), 0), dst, at);
        } else {
            let row: Row = std::array::from_fn(|lane| buffer.get(first.wrapping_add(lane as u32)));
            U::store(row.simd_into(simd), dst, at);
        }
    }
});

body!(StoreAim: |_simd, context, instr, _list| {
    let buffer = instr.buffer(context);
    let first = instr.scalar(context, 0);
    let entry = instr.dst as usize;
    let aim = context.active.full && buffer.holds(first, 1, context.chunks * LANES as u32);
    // In bounds as in `LoadAim`; every word is written, because every lane is active.
    let target: *mut u8 = if aim { buffer.words.add(first as usize).cast() } else { context.homes.add(entry).read() };
    // `Stream` takes it from home.
    let streams = context.stream && instr.imm[1] != 0 && aim && target.cast_const().addr().is_multiple_of(stream::ALIGN);
    context.slots.add(entry).write(if streams { context.homes.add(entry).read() } else { target });
    context.streams.set(streams);
});
body!(Stream: |_simd, context, instr, list| {
    if context.streams.get() && let (Some(&from), Some(&to)) = (list.first(), list.last()) {
        let (buffer, first, entry) = (instr.buffer(context), instr.scalar(context, 0), instr.dst as usize);
        // `StoreAim` found this block in bounds and aligned, and all lanes active, so the list has no gaps.
        let target: *mut u8 = buffer.words.add(first as usize).cast();
        let (from, to) = (usize::from(from), usize::from(to) + CHUNK_BYTES);
        stream::copy(context.homes.add(entry).read().add(from), target.add(from), to - from);
        if to == context.chunks as usize * CHUNK_BYTES {
            // For `StoreRow`: it is there.
            context.slots.add(entry).write(target);
        }
    }
});
body!(StoreRow: |simd, context, instr, list| {
    let value = instr.args[1].entry as usize;
    // What `StoreAim` aimed at this store, or `Stream` has stored, is already where it belongs.
    if context.slots.add(value).read() == context.homes.add(value).read() || instr.imm[1] == 0 {
        store_strided(simd, context, instr, list, 1);
    }
});
body!(StoreStrided: |simd, context, instr, list| match instr.imm[1] {
    2 => store_strided(simd, context, instr, list, 2),
    3 => store_strided(simd, context, instr, list, 3),
    4 => store_strided(simd, context, instr, list, 4),
    stride => store_strided(simd, context, instr, list, stride),
});
body!(StoreChunk: |simd, context, instr, list| {
    let buffer = instr.buffer(context);
    let (index, index_varies) = instr.arg(context, 0);
    let (value, value_varies) = instr.arg(context, 1);
    let plus = instr.scalar(context, 2);
    for &at in list {
        let at = usize::from(at);
        let first = index.add(at & index_varies).cast::<u32>().read().wrapping_add(plus);
        let row = U::load(simd, value, at & value_varies);
        let bits = bits_at(context, at);
        if bits == u16::MAX && buffer.holds(first, 1, LANES as u32) {
            U::store(row, buffer.words.add(first as usize).cast::<u8>(), 0);
        } else {
            let row: Row = row.into();
            for_lanes(bits, #[inline(always)] |lane| buffer.set(first.wrapping_add(lane as u32), row[lane]));
        }
    }
});

/// Whether the chunk that starts at `lane` lies inside, and where `load_strided` looks for it: not before the first word
/// by wrapping.
#[inline(always)]
fn chunk_inside(buffer: Words, first: u32, stride: u32, lane: u32) -> bool {
    let start = u64::from(first) + u64::from(stride) * u64::from(lane);
    u32::try_from(start).is_ok_and(|start| buffer.holds(start, stride, LANES as u32))
}

/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn load_strided<S: Simd>(simd: S, context: &Context, instr: &Instr, list: &[u16], stride: u32) {
    // SAFETY: the facts; `holds` covers every lane of the block or chunk, `get` checks each word.
    unsafe {
        let buffer = instr.buffer(context);
        let first = instr.scalar(context, 0);
        let dst = instr.dst(context);
        let all_inside = buffer.holds(first, stride, context.chunks * LANES as u32);
        for &at in list {
            let lane = u32::from(at) / 4;
            let inside = all_inside || chunk_inside(buffer, first, stride, lane);
            if stride == 1 && inside {
                let row = U::load(simd, buffer.words.add(first as usize).cast::<u8>(), at as usize);
                U::store(row, dst, at as usize);
                continue;
            }
            let mut row = [0; LANES];
            if inside {
                let words = buffer.words.add(first as usize + lane as usize * stride as usize);
                for (lane, word) in row.iter_mut().enumerate() {
                    *word = words.add(lane * stride as usize).read();
                }
            } else {
                for (at, word) in row.iter_mut().enumerate() {
                    *word = buffer.get(first.wrapping_add((lane + at as u32).wrapping_mul(stride)));
                }
            }
            U::store(row.simd_into(simd), dst, at as usize);
        }
    }
}

/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn store_strided<S: Simd>(simd: S, context: &Context, instr: &Instr, list: &[u16], stride: u32) {
    // SAFETY: the facts; `holds` covers every lane of the block or chunk, `set` checks each word.
    unsafe {
        let buffer = instr.buffer(context);
        let first = instr.scalar(context, 0);
        let (value, varies) = instr.arg(context, 1);
        let all_inside = buffer.holds(first, stride, context.chunks * LANES as u32);
        for &at in list {
            let lane = u32::from(at) / 4;
            let at = usize::from(at);
            let row = U::load(simd, value, at & varies);
            let bits = bits_at(context, at);
            let inside = all_inside || chunk_inside(buffer, first, stride, lane);
            if inside && bits == u16::MAX {
                if stride == 1 {
                    U::store(row, buffer.words.add(first as usize).cast::<u8>(), at);
                    continue;
                }
                let row: Row = row.into();
                let words = buffer.words.add(first as usize + lane as usize * stride as usize);
                for (lane, word) in row.iter().enumerate() {
                    words.add(lane * stride as usize).write(*word);
                }
            } else {
                let row: Row = row.into();
                for_lanes(
                    bits,
                    #[inline(always)]
                    |at| {
                        buffer.set(first.wrapping_add((lane + at as u32).wrapping_mul(stride)), row[at]);
                    },
                );
            }
        }
    }
}

body!(ZeroShared: |_simd, context, instr, _list| {
    let buffer = instr.buffer(context);
    // An array of the workgroup: this thread's own.
    buffer.words.write_bytes(0, buffer.len);
});
