//! Atomics and subgroup operations.
//!
//! What lanes of a block do to one word happens from the lowest to the highest. Words of a bound buffer are shared with other
//! threads, so there each step is atomic; a workgroup's own memory belongs to this thread.
//!
//! A subgroup is two neighbouring chunks. Its operations go through the active lanes one by one, in order: a float sum is
//! rounded as the IR says.

use std::sync::atomic::{AtomicU32, Ordering};

use fearless_simd::{Simd, prelude::*, u32x16};

use super::memory::{Row, bits_at, for_lanes};
use super::{Body, Instr, Kernel, Lane, P, Target, U};
use crate::spmd::block::frame::{CHUNK_BYTES, Context};
use crate::spmd::ir::{AtomicOp, Binary, LANES, SUBGROUP};
use crate::spmd::memory::Words;

/// Who else sees the words: threads, or nobody.
trait Access {
    /// Replaces the word by `op(word, value)` and returns what it was.
    ///
    /// # Safety
    /// `word` is valid for reading and writing, and other threads use it by atomics only.
    unsafe fn modify<O: Modify>(word: *mut u32, value: u32) -> u32;

    /// Replaces the word if it is `expected`, and returns what it was.
    ///
    /// # Safety
    /// As [`Access::modify`].
    unsafe fn exchange(word: *mut u32, expected: u32, value: u32) -> u32;
}

struct Threads;
struct Nobody;

impl Access for Threads {
    #[inline(always)]
    unsafe fn modify<O: Modify>(word: *mut u32, value: u32) -> u32 {
        // SAFETY: the caller's.
        O::atomic(unsafe { AtomicU32::from_ptr(word) }, value)
    }

    #[inline(always)]
    unsafe fn exchange(word: *mut u32, expected: u32, value: u32) -> u32 {
        // SAFETY: the caller's.
        let word = unsafe { AtomicU32::from_ptr(word) };
        match word.compare_exchange(expected, value, Ordering::AcqRel, Ordering::Acquire) {
            Ok(old) | Err(old) => old,
        }
    }
}

impl Access for Nobody {
    #[inline(always)]
    unsafe fn modify<O: Modify>(word: *mut u32, value: u32) -> u32 {
        // SAFETY: the caller's.
        unsafe {
            let old = word.read();
            word.write(O::plain(old, value));
            old
        }
    }

    #[inline(always)]
    unsafe fn exchange(word: *mut u32, expected: u32, value: u32) -> u32 {
        // SAFETY: the caller's.
        unsafe {
            let old = word.read();
            if old == expected {
                word.write(value);
            }
            old
        }
    }
}

/// An operation of an atomic.
trait Modify {
    /// How the values of several lanes are made one, so that applying that one does what applying each does.
    const JOIN: Option<fn(u32, u32) -> u32>;
    /// Whether what a lane gets follows from what the lowest one gets and the lanes between.
    const PREFIX: bool;

    fn plain(old: u32, value: u32) -> u32;

    /// Acquires and releases, so that what was stored before it is seen by who has seen it.
    fn atomic(word: &AtomicU32, value: u32) -> u32;
}

macro_rules! modify {
    ($($name:ident: $join:expr, $prefix:literal, |$old:ident, $value:ident| $plain:expr, |$word:ident| $atomic:expr;)*) => {$(
        struct $name;

        impl Modify for $name {
            const JOIN: Option<fn(u32, u32) -> u32> = $join;
            const PREFIX: bool = $prefix;

            #[inline(always)]
            fn plain($old: u32, $value: u32) -> u32 {
                $plain
            }

            #[inline(always)]
            fn atomic($word: &AtomicU32, $value: u32) -> u32 {
                $atomic
            }
        }
    )*};
}

const BOTH: Ordering = Ordering::AcqRel;

modify! {
    Add: Some(u32::wrapping_add), true, |old, value| old.wrapping_add(value), |word| word.fetch_add(value, BOTH);
    Sub: Some(u32::wrapping_add), true, |old, value| old.wrapping_sub(value), |word| word.fetch_sub(value, BOTH);
    And: Some(|a, b| a & b), false, |old, value| old & value, |word| word.fetch_and(value, BOTH);
    Or: Some(|a, b| a | b), false, |old, value| old | value, |word| word.fetch_or(value, BOTH);
    Xor: Some(|a, b| a ^ b), false, |old, value| old ^ value, |word| word.fetch_xor(value, BOTH);
    MinU: Some(u32::min), false, |old, value| old.min(value), |word| word.fetch_min(value, BOTH);
    MaxU: Some(u32::max), false, |old, value| old.max(value), |word| word.fetch_max(value, BOTH);
    MinI: Some(min_i), false, |old, value| min_i(old, value), |word| signed(word, value, min_i);
    MaxI: Some(max_i), false, |old, value| max_i(old, value), |word| signed(word, value, max_i);
    Exchange: None, false, |_old, value| value, |word| word.swap(value, BOTH);
}

fn min_i(a: u32, b: u32) -> u32 {
    a.cast_signed().min(b.cast_signed()).cast_unsigned()
}

fn max_i(a: u32, b: u32) -> u32 {
    a.cast_signed().max(b.cast_signed()).cast_unsigned()
}

/// An operation on signed numbers, for which an unsigned word has no instruction.
#[inline(always)]
fn signed(word: &AtomicU32, value: u32, op: fn(u32, u32) -> u32) -> u32 {
    match word.fetch_update(BOTH, Ordering::Acquire, |old| Some(op(old, value))) {
        Ok(old) | Err(old) => old,
    }
}

/// The kernel of a read-modify-write; `plain` for the memory of a workgroup.
pub(super) fn atomic<T: Target>(op: AtomicOp, is_signed: bool, plain: bool) -> Kernel {
    fn entry<T: Target, O: Modify>(plain: bool) -> Kernel {
        if plain {
            T::entry::<ReadModifyWrite<O, Nobody>>()
        } else {
            T::entry::<ReadModifyWrite<O, Threads>>()
        }
    }
    match (op, is_signed) {
        (AtomicOp::Add, _) => entry::<T, Add>(plain),
        (AtomicOp::Sub, _) => entry::<T, Sub>(plain),
        (AtomicOp::And, _) => entry::<T, And>(plain),
        (AtomicOp::Or, _) => entry::<T, Or>(plain),
        (AtomicOp::Xor, _) => entry::<T, Xor>(plain),
        (AtomicOp::Min, false) => entry::<T, MinU>(plain),
        (AtomicOp::Min, true) => entry::<T, MinI>(plain),
        (AtomicOp::Max, false) => entry::<T, MaxU>(plain),
        (AtomicOp::Max, true) => entry::<T, MaxI>(plain),
        (AtomicOp::Exchange, _) => entry::<T, Exchange>(plain),
    }
}

/// The kernel of a compare-exchange.
pub(super) fn compare_exchange<T: Target>(plain: bool) -> Kernel {
    if plain { T::entry::<CompareExchange<Nobody>>() } else { T::entry::<CompareExchange<Threads>>() }
}

impl Words {
    /// Where the word at `index` is, if inside.
    #[inline(always)]
    fn at(self, index: u32) -> Option<*mut u32> {
        // Inside, so the address does not wrap.
        ((index as usize) < self.len).then(|| self.words.wrapping_add(index as usize))
    }
}

struct ReadModifyWrite<O, A>(std::marker::PhantomData<(O, A)>);

impl<O: Modify, A: Access> Body for ReadModifyWrite<O, A> {
    #[inline(always)]
    unsafe fn run<S: Simd>(simd: S, context: &Context, instr: &Instr, list: &[u16]) {
        // SAFETY: the facts at the head of `kernels`; a word is inside its buffer.
        unsafe {
            let buffer = instr.buffer(context);
            let (index, index_varies) = instr.arg(context, 0);
            let (values, values_vary) = instr.arg(context, 1);
            let wanted = instr.imm[1] != 0;
            if index_varies == 0
                && let Some(join) = O::JOIN
                && (O::PREFIX || !wanted)
            {
                // One word for all lanes: what they do to it together is one step.
                let word = buffer.at(instr.scalar(context, 0));
                let mut total: Option<u32> = None;
                for &at in list {
                    let at = usize::from(at);
                    let row: Row = U::load(simd, values, at & values_vary).into();
                    for_lanes(
                        bits_at(context, at),
                        #[inline(always)]
                        |lane| {
                            total = Some(total.map_or(row[lane], |total| join(total, row[lane])));
                        },
                    );
                }
                let (Some(total), Some(word)) = (total, word) else {
                    return zero_if(wanted, simd, context, instr, list);
                };
                let mut next = A::modify::<O>(word, total);
                if !wanted {
                    return;
                }
                let dst = instr.dst(context);
                for &at in list {
                    let at = usize::from(at);
                    let row: Row = U::load(simd, values, at & values_vary).into();
                    let mut result = [0; LANES];
                    for_lanes(
                        bits_at(context, at),
                        #[inline(always)]
                        |lane| {
                            result[lane] = next;
                            next = O::plain(next, row[lane]);
                        },
                    );
                    U::store(result.simd_into(simd), dst, at);
                }
                return;
            }
            let dst = instr.dst(context);
            for &at in list {
                let at = usize::from(at);
                let index: Row = U::load(simd, index, at & index_varies).into();
                let row: Row = U::load(simd, values, at & values_vary).into();
                let mut result = [0; LANES];
                for_lanes(
                    bits_at(context, at),
                    #[inline(always)]
                    |lane| {
                        if let Some(word) = buffer.at(index[lane]) {
                            result[lane] = A::modify::<O>(word, row[lane]);
                        }
                    },
                );
                if wanted {
                    U::store(result.simd_into(simd), dst, at);
                }
            }
        }
    }
}

/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn zero_if<S: Simd>(wanted: bool, simd: S, context: &Context, instr: &Instr, list: &[u16]) {
    if wanted {
        // SAFETY: the facts at the head of `kernels`.
        unsafe {
            let dst = instr.dst(context);
            for &at in list {
                U::store(u32x16::splat(simd, 0), dst, usize::from(at));
            }
        }
    }
}

struct CompareExchange<A>(std::marker::PhantomData<A>);

impl<A: Access> Body for CompareExchange<A> {
    #[inline(always)]
    unsafe fn run<S: Simd>(simd: S, context: &Context, instr: &Instr, list: &[u16]) {
        // SAFETY: the facts at the head of `kernels`; a word is inside its buffer.
        unsafe {
            let buffer = instr.buffer(context);
            let (index, index_varies) = instr.arg(context, 0);
            let (expected, expected_varies) = instr.arg(context, 1);
            let (values, values_vary) = instr.arg(context, 2);
            let dst = instr.dst(context);
            for &at in list {
                let at = usize::from(at);
                let index: Row = U::load(simd, index, at & index_varies).into();
                let expected: Row = U::load(simd, expected, at & expected_varies).into();
                let row: Row = U::load(simd, values, at & values_vary).into();
                let mut result = [0; LANES];
                for_lanes(
                    bits_at(context, at),
                    #[inline(always)]
                    |lane| {
                        if let Some(word) = buffer.at(index[lane]) {
                            result[lane] = A::exchange(word, expected[lane], row[lane]);
                        }
                    },
                );
                if instr.imm[1] != 0 {
                    U::store(result.simd_into(simd), dst, at);
                }
            }
        }
    }
}

/// # Safety
/// `word` is valid, and other threads write to it by atomics only.
#[inline(always)]
unsafe fn load_atomic(word: *mut u32) -> u32 {
    // SAFETY: the caller's.
    unsafe { AtomicU32::from_ptr(word) }.load(Ordering::Acquire)
}

body!(
    AtomicLoad: |simd, context, instr, list| {
        let buffer = instr.buffer(context);
        let (index, varies) = instr.arg(context, 0);
        let dst = instr.dst(context);
        for &at in list {
            let at = usize::from(at);
            let index: Row = U::load(simd, index, at & varies).into();
            let mut result = [0; LANES];
            for_lanes(bits_at(context, at), #[inline(always)] |lane| {
                if let Some(word) = buffer.at(index[lane]) {
                    result[lane] = load_atomic(word);
                }
            });
            U::store(result.simd_into(simd), dst, at);
        }
    }
);
body!(
    AtomicLoadOne: |simd, context, instr, _list| {
        let word = instr.buffer(context).at(instr.scalar(context, 0));
        instr.splat(simd, context, word.map_or(0, |word| load_atomic(word)));
    }
);
body!(
    AtomicStore: |simd, context, instr, list| {
        let buffer = instr.buffer(context);
        let (index, index_varies) = instr.arg(context, 0);
        let (values, values_vary) = instr.arg(context, 1);
        for &at in list {
            let at = usize::from(at);
            let index: Row = U::load(simd, index, at & index_varies).into();
            let row: Row = U::load(simd, values, at & values_vary).into();
            for_lanes(bits_at(context, at), #[inline(always)] |lane| {
                if let Some(word) = buffer.at(index[lane]) {
                    AtomicU32::from_ptr(word).store(row[lane], Ordering::Release);
                }
            });
        }
    }
);

/// Bytes of a subgroup in a slot of words.
const SUBGROUP_BYTES: usize = CHUNK_BYTES * SUBGROUP / LANES;

/// Calls `f` with the first chunk of each subgroup that has active lanes, and with those lanes: bit k for invocation k.
#[inline(always)]
fn subgroups(context: &Context, list: &[u16], mut f: impl FnMut(usize, u32)) {
    let mut rest = list;
    while let Some(&at) = rest.first() {
        let first = usize::from(at) / SUBGROUP_BYTES * SUBGROUP_BYTES;
        let here = rest.iter().take_while(|&&at| usize::from(at) < first + SUBGROUP_BYTES).count();
        let mut lanes = 0;
        for &at in &rest[..here] {
            let at = usize::from(at);
            lanes |= u32::from(bits_at(context, at)) << ((at - first) / CHUNK_BYTES * LANES);
        }
        rest = &rest[here..];
        f(first, lanes);
    }
}

/// Calls `f` with each set bit's number, ascending.
#[inline(always)]
fn for_invocations(mut lanes: u32, mut f: impl FnMut(usize)) {
    while lanes != 0 {
        f(lanes.trailing_zeros() as usize);
        lanes &= lanes - 1;
    }
}

/// The words of the chunks of a subgroup that have active lanes.
///
/// # Safety
/// `slot` has those chunks, or one, if `varies` is 0.
#[inline(always)]
unsafe fn read<S: Simd>(
    simd: S,
    slot: *const u8,
    varies: usize,
    first: usize,
    lanes: u32,
) -> [u32; SUBGROUP] {
    let mut words = [0; SUBGROUP];
    for (at, half) in words.chunks_exact_mut(LANES).enumerate() {
        if lanes >> (at * LANES) & 0xffff != 0 {
            // SAFETY: the caller's.
            let row: Row = unsafe { U::load(simd, slot, (first + at * CHUNK_BYTES) & varies) }.into();
            half.copy_from_slice(&row);
        }
    }
    words
}

/// Writes the chunks of a subgroup that have active lanes.
///
/// # Safety
/// `slot` has those chunks.
#[inline(always)]
unsafe fn write<S: Simd>(simd: S, slot: *mut u8, first: usize, lanes: u32, words: &[u32; SUBGROUP]) {
    for (at, half) in words.chunks_exact(LANES).enumerate() {
        if lanes >> (at * LANES) & 0xffff != 0 {
            let row: Row = half.try_into().expect("as many words as lanes");
            // SAFETY: the caller's.
            unsafe { U::store(row.simd_into(simd), slot, first + at * CHUNK_BYTES) }
        }
    }
}

/// The bools of a subgroup.
///
/// # Safety
/// As [`read`].
#[inline(always)]
unsafe fn read_bits<S: Simd>(simd: S, slot: *const u8, varies: usize, first: usize, lanes: u32) -> u32 {
    let mut bits = 0;
    for at in 0..SUBGROUP / LANES {
        if lanes >> (at * LANES) & 0xffff != 0 {
            // SAFETY: the caller's.
            let chunk = unsafe { P::load(simd, slot, P::at(first + at * CHUNK_BYTES) & varies) };
            bits |= u32::from(chunk) << (at * LANES);
        }
    }
    bits & lanes
}

/// # Safety
/// As [`write`].
#[inline(always)]
unsafe fn write_bits<S: Simd>(slot: *mut u8, first: usize, lanes: u32, bits: u32) {
    for at in 0..SUBGROUP / LANES {
        if lanes >> (at * LANES) & 0xffff != 0 {
            // SAFETY: the caller's.
            unsafe { P::store::<S>((bits >> (at * LANES)) as u16, slot, P::at(first + at * CHUNK_BYTES)) }
        }
    }
}

/// An operation of a reduction or a scan, on words.
trait Join {
    /// What the lowest invocation gets of an exclusive scan.
    const NEUTRAL: u32;

    fn join(a: u32, b: u32) -> u32;
}

macro_rules! join {
    ($($name:ident: $neutral:expr, |$a:ident, $b:ident| $body:expr;)*) => {$(
        impl Join for joins::$name {
            const NEUTRAL: u32 = $neutral;

            #[inline(always)]
            fn join($a: u32, $b: u32) -> u32 {
                $body
            }
        }
    )*
        /// The operations as types.
        mod joins {
            $(pub(super) struct $name;)*
        }
    };
}

#[inline(always)]
fn floats(a: u32, b: u32, f: impl Fn(f32, f32) -> f32) -> u32 {
    f(f32::from_bits(a), f32::from_bits(b)).to_bits()
}

join! {
    AddF: 0, |a, b| floats(a, b, |a, b| a + b);
    MulF: 0x3f80_0000, |a, b| floats(a, b, |a, b| a * b);
    MinF: 0, |a, b| floats(a, b, |a, b| if b < a { b } else { a });
    MaxF: 0, |a, b| floats(a, b, |a, b| if a < b { b } else { a });
    AddI: 0, |a, b| a.wrapping_add(b);
    MulI: 1, |a, b| a.wrapping_mul(b);
    AndI: 0, |a, b| a & b;
    OrI: 0, |a, b| a | b;
    XorI: 0, |a, b| a ^ b;
    MinI: 0, |a, b| min_i(a, b);
    MaxI: 0, |a, b| max_i(a, b);
    MinU: 0, |a, b| a.min(b);
    MaxU: 0, |a, b| a.max(b);
}

/// What a collective operation gives each invocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    All,
    UpTo,
    Before,
}

/// The kernel of a reduction or a scan.
///
/// # Panics
/// When `op` is not an operation of subgroups; the verifier has seen to that.
pub(super) fn collective<T: Target>(op: Binary, part: Part) -> Kernel {
    fn entry<T: Target, J: Join>(part: Part) -> Kernel {
        match part {
            Part::All => T::entry::<Collective<J, 0>>(),
            Part::UpTo => T::entry::<Collective<J, 1>>(),
            Part::Before => T::entry::<Collective<J, 2>>(),
        }
    }
    match op {
        Binary::AddF => entry::<T, joins::AddF>(part),
        Binary::MulF => entry::<T, joins::MulF>(part),
        Binary::MinF => entry::<T, joins::MinF>(part),
        Binary::MaxF => entry::<T, joins::MaxF>(part),
        Binary::AddI => entry::<T, joins::AddI>(part),
        Binary::MulI => entry::<T, joins::MulI>(part),
        Binary::AndI => entry::<T, joins::AndI>(part),
        Binary::OrI => entry::<T, joins::OrI>(part),
        Binary::XorI => entry::<T, joins::XorI>(part),
        Binary::MinI => entry::<T, joins::MinI>(part),
        Binary::MaxI => entry::<T, joins::MaxI>(part),
        Binary::MinU => entry::<T, joins::MinU>(part),
        Binary::MaxU => entry::<T, joins::MaxU>(part),
        Binary::AndB => match part {
            Part::All => T::entry::<AllBits>(),
            _ => T::entry::<AndUpTo>(),
        },
        Binary::OrB => match part {
            Part::All => T::entry::<AnyBits>(),
            _ => T::entry::<OrUpTo>(),
        },
        _ => unreachable!("{op:?} is no operation of subgroups"),
    }
}

struct Collective<J, const PART: u8>(std::marker::PhantomData<J>);

impl<J: Join, const PART: u8> Body for Collective<J, PART> {
    #[inline(always)]
    unsafe fn run<S: Simd>(simd: S, context: &Context, instr: &Instr, list: &[u16]) {
        // SAFETY: the facts at the head of `kernels`; a subgroup is read before it is written.
        unsafe {
            let (values, vary) = instr.arg(context, 0);
            let dst = instr.dst(context);
            subgroups(
                context,
                list,
                #[inline(always)]
                |first, lanes| {
                    let words = read(simd, values, vary, first, lanes);
                    let lowest = lanes.trailing_zeros() as usize % SUBGROUP;
                    let mut result = [if PART == 2 { J::NEUTRAL } else { words[lowest] }; SUBGROUP];
                    let mut total = words[lowest];
                    for_invocations(
                        lanes & (lanes - 1),
                        #[inline(always)]
                        |at| {
                            let before = total;
                            total = J::join(total, words[at]);
                            result[at] = if PART == 2 { before } else { total };
                        },
                    );
                    if PART == 0 {
                        result = [total; SUBGROUP];
                    }
                    write(simd, dst, first, lanes, &result);
                },
            );
        }
    }
}

/// Bools of a subgroup to bools.
///
/// # Safety
/// As [`Kernel`].
#[inline(always)]
unsafe fn bits_to_bits<S: Simd>(
    simd: S,
    context: &Context,
    instr: &Instr,
    list: &[u16],
    f: impl Fn(u32, u32) -> u32,
) {
    // SAFETY: the facts at the head of `kernels`; a subgroup is read before it is written.
    unsafe {
        let (values, vary) = instr.arg(context, 0);
        let dst = instr.dst(context);
        subgroups(
            context,
            list,
            #[inline(always)]
            |first, lanes| {
                let bits = read_bits(simd, values, vary, first, lanes);
                write_bits::<S>(dst, first, lanes, f(bits, lanes));
            },
        );
    }
}

body!(
    AllBits: |simd, context, instr, list| {
        bits_to_bits(simd, context, instr, list, #[inline(always)] |bits, lanes| if bits == lanes { u32::MAX } else { 0 });
    }
);
body!(
    AnyBits: |simd, context, instr, list| {
        bits_to_bits(simd, context, instr, list, #[inline(always)] |bits, _| if bits == 0 { 0 } else { u32::MAX });
    }
);
body!(
    AndUpTo: |simd, context, instr, list| {
        // Up to the first active one that is false.
        bits_to_bits(simd, context, instr, list, #[inline(always)] |bits, lanes| {
            let first = (lanes & !bits).trailing_zeros();
            1_u32.checked_shl(first).map_or(u32::MAX, |bit| bit - 1)
        });
    }
);
body!(
    OrUpTo: |simd, context, instr, list| {
        // From the first one that is true.
        bits_to_bits(simd, context, instr, list, #[inline(always)] |bits, _| {
            u32::MAX.checked_shl(bits.trailing_zeros()).unwrap_or(0)
        });
    }
);
body!(
    Ballot: |simd, context, instr, list| {
        let (values, vary) = instr.arg(context, 0);
        let dst = instr.dst(context);
        subgroups(context, list, #[inline(always)] |first, lanes| {
            let bits = read_bits(simd, values, vary, first, lanes);
            write(simd, dst, first, lanes, &[bits; SUBGROUP]);
        });
    }
);
body!(
    First: |simd, context, instr, list| {
        let (values, vary) = instr.arg(context, 0);
        let dst = instr.dst(context);
        subgroups(context, list, #[inline(always)] |first, lanes| {
            let words = read(simd, values, vary, first, lanes);
            write(simd, dst, first, lanes, &[words[lanes.trailing_zeros() as usize % SUBGROUP]; SUBGROUP]);
        });
    }
);
body!(
    Shuffle: |simd, context, instr, list| {
        let (values, values_vary) = instr.arg(context, 0);
        let (index, index_varies) = instr.arg(context, 1);
        let dst = instr.dst(context);
        subgroups(context, list, #[inline(always)] |first, lanes| {
            let words = read(simd, values, values_vary, first, lanes);
            let mut result = read(simd, index, index_varies, first, lanes);
            for lane in &mut result {
                let active = lanes.checked_shr(*lane).is_some_and(|rest| rest & 1 != 0);
                *lane = if active { words[*lane as usize % SUBGROUP] } else { 0 };
            }
            write(simd, dst, first, lanes, &result);
        });
    }
);
