//! The operations over chunks of lanes, compiled once per CPU level from one source.
//!
//! All `unsafe` of the block interpreter that touches lanes is in this module and those below it. It rests on four
//! facts, which `compile` and `run` establish:
//!
//! 1. `Context::slots` and `homes` have an entry for every slot number in an instruction, and it points to storage of the
//!    slot's [`Size`], or (for a slot of words that a load or store aimed) to as many words inside a bound buffer;
//! 2. `Context::buffers` has an entry for every buffer number, valid for reading `len` words, and for writing too where the
//!    program stores to it; two of them overlap only where neither is written. Other threads may write to the same buffers,
//!    so a kernel writes no word but those of its active lanes, and reads each word once;
//! 3. the list of chunks handed to a kernel holds byte offsets below `chunks * CHUNK_BYTES`, or is `[0]` for an
//!    instruction marked `once`, whose slots are all [`Size::One`];
//! 4. the CPU has the level that the kernel was taken for.

#[macro_use]
mod memory;
mod effects;
mod fused;
mod indexed;
mod ops;
pub(super) mod stream;

use fearless_simd::{Simd, f32x16, i32x16, mask32x16, prelude::*, u32x16};

pub(super) use fused::{Fused, Join, Shape, Test};

use super::frame::{CHUNK_BYTES, Chunk, Context};
use super::places::{InRow, Table};
use crate::cpu::CpuLevel;
use crate::spmd::ir::{AtomicOp, Binary, Ternary, Unary};

/// Runs one instruction over a list of chunks.
///
/// # Safety
/// The four facts at the head of this module.
pub(super) type Kernel = unsafe fn(&Context, &Instr, &[u16]);

/// How much storage a slot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// One chunk, read with stride 0: a uniform value in every lane, or the first lane of a linear one.
    One,
    /// A chunk per chunk of the block.
    Words,
    /// One bit per lane of the block.
    Bits,
    /// That many times [`Size::Words`]: a per-invocation array.
    Array(u32),
}

/// A slot as an instruction names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub entry: u32,
    pub size: Size,
}

/// An operand: the slot, and all ones where it has storage per chunk, else zero.
#[derive(Clone, Copy)]
struct Arg {
    entry: u32,
    varies: u32,
}

/// Operands of an instruction at most.
const OPERANDS: usize = 5;

/// One operation with its operands.
pub(super) struct Instr {
    pub kernel: Kernel,
    dst: u32,
    args: [Arg; OPERANDS],
    /// Buffer number, stride, words of an array: what the kernel says.
    imm: [u32; 2],
    /// Runs over one chunk, for all lanes of the block.
    pub once: bool,
    /// The instruction among `Compiled::streams` that stores what this one computes, in a run that streams.
    pub stream: Option<u32>,
}

impl Instr {
    /// Checks that no chunk of the list can lie outside a slot.
    ///
    /// # Panics
    /// When an instruction over all chunks writes to a slot of one, or one over one chunk has a larger operand.
    pub(super) fn new(kernel: Kernel, dst: Slot, args: &[Slot], imm: [u32; 2], once: bool) -> Self {
        assert!(args.len() <= OPERANDS, "{OPERANDS} operands at most");
        let mut operands = [Arg { entry: dst.entry, varies: 0 }; OPERANDS];
        for (operand, slot) in operands.iter_mut().zip(args) {
            *operand = Arg { entry: slot.entry, varies: if slot.size == Size::One { 0 } else { u32::MAX } };
        }
        assert!(once || dst.size != Size::One, "an instruction over all chunks needs all of its destination");
        assert!(
            !once || args.iter().all(|slot| slot.size == Size::One),
            "a uniform result has uniform operands"
        );
        Self { kernel, dst: dst.entry, args: operands, imm, once, stream: None }
    }
}

/// What is not an operation of the IR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// `dst = a`, words.
    CopyWords,
    /// `dst = a`, bools.
    CopyBits,
    /// `dst = a` in the active lanes, words.
    MergeWords,
    /// `dst = a` in the active lanes, bools.
    MergeBits,
    /// A number of the block, `Context::ids[imm[0]]`, once.
    Id,
    /// `dst = a + ids[imm[0]]`.
    Offset,
    /// Lanes that depend on the place in a workgroup only.
    Table(Table),
    /// Places in the workgroups that a row crosses.
    InRow(InRow),
    /// Length of a buffer; `imm` is buffer and offset, `a` holds the stride.
    Length,
    /// `dst[lane] = a + imm[0] * lane`.
    Spread,
    /// One word of buffer `imm[0]`, index `a`, once.
    LoadOne,
    /// Words `a, a + 1, …` of read-only buffer `imm[0]`: aims the slot at them where it can.
    LoadAim,
    /// Words `a, a + 1, …` of buffer `imm[0]`.
    LoadRow,
    /// Words `a, a + imm[1], …` of buffer `imm[0]`.
    LoadStrided,
    /// Words `a` of buffer `imm[0]`.
    Gather,
    /// Words `a + b` of it, where `a` is the same in all lanes of a chunk, and `b` in all.
    LoadSame,
    /// Words `a + b` of it, where `a` goes up by 1 from lane to lane of a chunk, and `b` is the same in all.
    LoadChunk,
    /// Aims a slot at words `a, a + 1, …` of buffer `imm[0]` where it can; if `imm[1]` says that there is one, leaves it to
    /// [`Special::Stream`] in a run that streams.
    StoreAim,
    /// Stores `b` at words `a, a + 1, …` of buffer `imm[0]`, unless the slot is already there.
    StoreRow,
    /// Stores slot `dst`, which [`Special::StoreAim`] left to it, at words `a, a + 1, …` of buffer `imm[0]` past the caches.
    /// Lists of neighbouring chunks, ascending to the last one.
    Stream,
    /// Stores `b` at words `a, a + imm[1], …` of buffer `imm[0]`.
    StoreStrided,
    /// Stores `b` at words `a` of buffer `imm[0]`.
    Scatter,
    /// At words `a + c` of it, where `a` goes up by 1 from lane to lane of a chunk, and `c` is the same in all.
    StoreChunk,
    /// Elements `b` of array `a` of `imm[0]` words.
    LoadArray,
    /// Stores `b` at elements `a` of array `dst` of `imm[0]` words.
    StoreArray,
    /// Zeroes array `dst` of `imm[0]` words.
    ZeroArray,
    /// Zeroes all of buffer `imm[0]`.
    ZeroShared,
    /// `dst = a ? b : c`, bools.
    SelectBits,
    /// Word `a` of buffer `imm[0]`, once. As in all atomics, a result is written where `imm[1]` is not 0.
    AtomicLoadOne,
    /// Words `a` of buffer `imm[0]`.
    AtomicLoad,
    /// Stores `b` at words `a` of buffer `imm[0]`.
    AtomicStore,
    /// Words `a` of buffer `imm[0]` by `op(word, b)`; `plain` where no other thread sees them.
    Atomic {
        op: AtomicOp,
        signed: bool,
        plain: bool,
    },
    /// Words `a` of buffer `imm[0]` by `c` where they are `b`.
    CompareExchange {
        plain: bool,
    },
    /// Over the subgroup.
    Reduce(Binary),
    InclusiveScan(Binary),
    ExclusiveScan(Binary),
    Ballot,
    First,
    Shuffle,
}

/// Where the kernels of one CPU level are found.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    pub unary: fn(Unary) -> Kernel,
    pub binary: fn(Binary) -> Kernel,
    pub ternary: fn(Ternary) -> Kernel,
    pub special: fn(Special) -> Kernel,
    /// Where the level has any: on levels with small registers each of their chunks is many instructions, and calls matter less.
    pub fused: Option<fn(Fused) -> Option<Kernel>>,
}

impl Kernels {
    /// The kernels for `level`.
    ///
    /// # Panics
    /// When this CPU does not have it: the fourth fact.
    pub(super) fn of(level: CpuLevel) -> Self {
        assert!(level.to_simd().is_some(), "this CPU has no {level}");
        match level {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            CpuLevel::Sse2 => Self::new::<fearless_simd::Sse2>(),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            CpuLevel::Sse42 => Self::new::<fearless_simd::Sse4_2>(),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            CpuLevel::Avx2 => Self::fusing::<fearless_simd::Avx2>(),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            CpuLevel::Avx512 => Self::fusing::<fearless_simd::Avx512>(),
            #[cfg(target_arch = "aarch64")]
            CpuLevel::Neon => Self::fusing::<fearless_simd::Neon>(),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            CpuLevel::WasmSimd128 => Self::new::<fearless_simd::WasmSimd128>(),
            #[cfg(not(any(
                target_arch = "x86",
                target_arch = "x86_64",
                target_arch = "aarch64",
                all(target_arch = "wasm32", target_feature = "simd128")
            )))]
            CpuLevel::Fallback => Self::new::<fearless_simd::Fallback>(),
            #[allow(unreachable_patterns, reason = "which levels are left depends on the architecture")]
            _ => unreachable!("a level of another architecture"),
        }
    }

    #[allow(dead_code, reason = "not on architectures whose levels all have small registers")]
    fn fusing<T: Target>() -> Self {
        Self { fused: Some(fused::fused::<T>), ..Self::new::<T>() }
    }

    fn new<T: Target>() -> Self {
        Self {
            unary: ops::unary::<T>,
            binary: ops::binary::<T>,
            ternary: ops::ternary::<T>,
            special: memory::special::<T>,
            fused: None,
        }
    }
}

/// The code of a kernel, for any level.
trait Body {
    /// # Safety
    /// As [`Kernel`].
    unsafe fn run<S: Simd>(simd: S, context: &Context, instr: &Instr, list: &[u16]);
}

/// A CPU level as a type: gives kernels compiled with its instructions.
///
/// The function behind the pointer is itself the one with `target_feature`, so that a call through the table is one jump
/// and all of [`Body::run`] is inlined into it.
trait Target {
    fn entry<B: Body>() -> Kernel;
}

macro_rules! target {
    ($(#[$cfg:meta])* $token:ident, $($feature:literal)?) => {
        $(#[$cfg])*
        impl Target for fearless_simd::$token {
            fn entry<B: Body>() -> Kernel {
                $(#[target_feature(enable = $feature)])?
                unsafe fn run<B: Body>(context: &Context, instr: &Instr, list: &[u16]) {
                    // SAFETY: the caller keeps the facts of this module.
                    unsafe { B::run(target!(@token $token $($feature)?), context, instr, list) }
                }
                run::<B>
            }
        }
    };
    (@token $token:ident $feature:literal) => { fearless_simd::$token::assume_supported() };
    (@token Fallback) => { fearless_simd::Fallback::new() };
    (@token $token:ident) => { fearless_simd::$token::assume_supported() };
}

target!(
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    Sse2,
    "fxsr,sse,sse2"
);
target!(
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    Sse4_2,
    "fxsr,sse4.2,cmpxchg16b,popcnt"
);
target!(
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    Avx2,
    "avx2,bmi1,bmi2,cmpxchg16b,f16c,fma,fxsr,lzcnt,movbe,popcnt,xsave"
);
target!(
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    Avx512,
    "adx,aes,avx512bitalg,avx512bw,avx512cd,avx512dq,avx512f,avx512ifma,avx512vbmi,avx512vbmi2,avx512vl,avx512vnni,avx512vpopcntdq,bmi1,bmi2,cmpxchg16b,fma,fxsr,gfni,lzcnt,movbe,pclmulqdq,popcnt,rdrand,rdseed,sha,vaes,vpclmulqdq,xsave,xsavec,xsaveopt,xsaves"
);
target!(
    #[cfg(target_arch = "aarch64")]
    Neon,
    "neon"
);
target!(
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    WasmSimd128,
);
target!(
    #[cfg(not(any(
        target_arch = "x86",
        target_arch = "x86_64",
        target_arch = "aarch64",
        all(target_arch = "wasm32", target_feature = "simd128")
    )))]
    Fallback,
);

/// A type of lanes: how a chunk of it is read and written.
trait Lane {
    type Vector<S: Simd>: Copy;

    /// Bytes of a chunk.
    const BYTES: usize;

    /// Where a chunk is in a slot, from its byte offset in a slot of words.
    #[inline(always)]
    fn at(offset: usize) -> usize {
        offset / (CHUNK_BYTES / Self::BYTES)
    }

    /// # Safety
    /// `slot` has a chunk at `at`.
    unsafe fn load<S: Simd>(simd: S, slot: *const u8, at: usize) -> Self::Vector<S>;

    /// # Safety
    /// As [`Lane::load`], for writing.
    unsafe fn store<S: Simd>(vector: Self::Vector<S>, slot: *mut u8, at: usize);
}

macro_rules! word_lane {
    ($name:ident, $vector:ident, $element:ty) => {
        struct $name;

        impl Lane for $name {
            type Vector<S: Simd> = $vector<S>;
            const BYTES: usize = CHUNK_BYTES;

            #[inline(always)]
            unsafe fn load<S: Simd>(simd: S, slot: *const u8, at: usize) -> $vector<S> {
                // SAFETY: the caller's; a buffer's words are aligned to 4 only, hence the unaligned read.
                let chunk: [$element; 16] = unsafe { slot.add(at).cast::<[$element; 16]>().read() };
                chunk.simd_into(simd)
            }

            #[inline(always)]
            unsafe fn store<S: Simd>(vector: $vector<S>, slot: *mut u8, at: usize) {
                let chunk: [$element; 16] = vector.into();
                // SAFETY: the caller's.
                unsafe { slot.add(at).cast::<[$element; 16]>().write(chunk) }
            }
        }
    };
}

word_lane!(F, f32x16, f32);
word_lane!(I, i32x16, i32);
word_lane!(U, u32x16, u32);

/// Bools as a vector mask.
struct B;

impl Lane for B {
    type Vector<S: Simd> = mask32x16<S>;
    const BYTES: usize = P::BYTES;

    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, slot: *const u8, at: usize) -> mask32x16<S> {
        // SAFETY: the caller's.
        mask32x16::from_bitmask(simd, u64::from(unsafe { P::load(simd, slot, at) }))
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(vector: mask32x16<S>, slot: *mut u8, at: usize) {
        // SAFETY: the caller's.
        unsafe { P::store::<S>(vector.to_bitmask() as u16, slot, at) }
    }
}

/// Bools as packed bits.
struct P;

impl Lane for P {
    type Vector<S: Simd> = u16;
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn load<S: Simd>(_: S, slot: *const u8, at: usize) -> u16 {
        // SAFETY: the caller's.
        unsafe { slot.add(at).cast::<u16>().read() }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(vector: u16, slot: *mut u8, at: usize) {
        // SAFETY: the caller's.
        unsafe { slot.add(at).cast::<u16>().write(vector) }
    }
}

impl Instr {
    /// # Safety
    /// The first fact.
    #[inline(always)]
    unsafe fn arg(&self, context: &Context, at: usize) -> (*const u8, usize) {
        let Arg { entry, varies } = self.args[at];
        // SAFETY: the caller's.
        (unsafe { context.slots.add(entry as usize).read() }, varies as i32 as isize as usize)
    }

    /// # Safety
    /// The first fact.
    #[inline(always)]
    unsafe fn dst(&self, context: &Context) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { context.slots.add(self.dst as usize).read() }
    }
}

/// Whether a kernel's loop is unrolled over neighbouring chunks: where the operation itself takes less than its loop.
const CHEAP: bool = true;
/// Not unrolled: code size for nothing.
const HEAVY: bool = false;
/// Chunks per turn of an unrolled loop.
const TURN: usize = 4;

/// Splits a list into neighbouring chunks at its start (the offset of the first, and how many whole [`TURN`]s) and the rest.
///
/// Where few are missing between the first and the last, those are taken along: no value of a chunk without an active lane
/// is ever looked at, and neighbours take half the instructions of chunks from a list.
#[inline(always)]
fn neighbours(list: &[u16]) -> (usize, usize, &[u16]) {
    if let ([first, ..], [.., last]) = (list, list) {
        let (first, last) = (usize::from(*first), usize::from(*last));
        // Lists ascend, so the ends say whether there are gaps.
        let span = (last - first) / CHUNK_BYTES + 1;
        let turns = span / TURN;
        if turns > 0 && 3 * list.len() >= 2 * span {
            let end = first + turns * TURN * CHUNK_BYTES;
            let rest = list.iter().rev().take(TURN - 1).filter(|at| usize::from(**at) >= end).count();
            return (first, turns, &list[list.len() - rest..]);
        }
    }
    (0, 0, list)
}

/// `dst = f(a)`, chunk by chunk.
///
/// # Safety
/// As [`Kernel`]; the slots are of the types that `A` and `R` say.
#[inline(always)]
unsafe fn map1<S: Simd, A: Lane, R: Lane, const UNROLL: bool>(
    simd: S,
    context: &Context,
    instr: &Instr,
    list: &[u16],
    f: impl Fn(A::Vector<S>) -> R::Vector<S>,
) {
    // SAFETY: the caller's; every chunk of the operands is read before the same chunk of the result is written.
    unsafe {
        let (a, a_varies) = instr.arg(context, 0);
        let dst = instr.dst(context);
        if UNROLL && instr.once {
            return R::store(f(A::load(simd, a, 0)), dst, 0);
        }
        let (first, turns, rest) = if UNROLL { neighbours(list) } else { (0, 0, list) };
        let (a_step, mut a_run) = (A::BYTES & a_varies, a.add(A::at(first) & a_varies));
        let mut dst_run = dst.add(R::at(first));
        for _ in 0..turns {
            // Pointers that advance: masked offsets for four chunks at once need more registers than there are.
            for _ in 0..TURN / 2 {
                R::store(f(A::load(simd, a_run, 0)), dst_run, 0);
                R::store(f(A::load(simd, a_run, a_step)), dst_run, R::BYTES);
                a_run = a_run.add(2 * a_step);
                dst_run = dst_run.add(2 * R::BYTES);
            }
        }
        for &at in rest {
            let at = usize::from(at);
            R::store(f(A::load(simd, a, A::at(at) & a_varies)), dst, R::at(at));
        }
    }
}

/// `dst = f(a, b)`, chunk by chunk.
///
/// # Safety
/// As [`map1`].
#[inline(always)]
unsafe fn map2<S: Simd, A: Lane, B: Lane, R: Lane, const UNROLL: bool>(
    simd: S,
    context: &Context,
    instr: &Instr,
    list: &[u16],
    f: impl Fn(A::Vector<S>, B::Vector<S>) -> R::Vector<S>,
) {
    // SAFETY: the caller's; every chunk of the operands is read before the same chunk of the result is written.
    unsafe {
        let (a, a_varies) = instr.arg(context, 0);
        let (b, b_varies) = instr.arg(context, 1);
        let dst = instr.dst(context);
        if UNROLL && instr.once {
            return R::store(f(A::load(simd, a, 0), B::load(simd, b, 0)), dst, 0);
        }
        let (first, turns, rest) = if UNROLL { neighbours(list) } else { (0, 0, list) };
        let (a_step, mut a_run) = (A::BYTES & a_varies, a.add(A::at(first) & a_varies));
        let (b_step, mut b_run) = (B::BYTES & b_varies, b.add(B::at(first) & b_varies));
        let mut dst_run = dst.add(R::at(first));
        for _ in 0..turns {
            // Pointers that advance: masked offsets for four chunks at once need more registers than there are.
            for _ in 0..TURN / 2 {
                R::store(f(A::load(simd, a_run, 0), B::load(simd, b_run, 0)), dst_run, 0);
                R::store(f(A::load(simd, a_run, a_step), B::load(simd, b_run, b_step)), dst_run, R::BYTES);
                a_run = a_run.add(2 * a_step);
                b_run = b_run.add(2 * b_step);
                dst_run = dst_run.add(2 * R::BYTES);
            }
        }
        if UNROLL && a_varies & b_varies != 0 {
            // A third of the instructions would be about operands that do not vary.
            for &at in rest {
                let at = usize::from(at);
                R::store(f(A::load(simd, a, A::at(at)), B::load(simd, b, B::at(at))), dst, R::at(at));
            }
            return;
        }
        for &at in rest {
            let at = usize::from(at);
            R::store(
                f(A::load(simd, a, A::at(at) & a_varies), B::load(simd, b, B::at(at) & b_varies)),
                dst,
                R::at(at),
            );
        }
    }
}

/// `dst = f(a, b, c)`, chunk by chunk.
///
/// # Safety
/// As [`map1`].
#[inline(always)]
unsafe fn map3<S: Simd, A: Lane, B: Lane, C: Lane, R: Lane, const UNROLL: bool>(
    simd: S,
    context: &Context,
    instr: &Instr,
    list: &[u16],
    f: impl Fn(A::Vector<S>, B::Vector<S>, C::Vector<S>) -> R::Vector<S>,
) {
    // SAFETY: the caller's; every chunk of the operands is read before the same chunk of the result is written.
    unsafe {
        let (a, a_varies) = instr.arg(context, 0);
        let (b, b_varies) = instr.arg(context, 1);
        let (c, c_varies) = instr.arg(context, 2);
        let dst = instr.dst(context);
        let (first, turns, rest) = if UNROLL { neighbours(list) } else { (0, 0, list) };
        let (a_step, mut a_run) = (A::BYTES & a_varies, a.add(A::at(first) & a_varies));
        let (b_step, mut b_run) = (B::BYTES & b_varies, b.add(B::at(first) & b_varies));
        let (c_step, mut c_run) = (C::BYTES & c_varies, c.add(C::at(first) & c_varies));
        let mut dst_run = dst.add(R::at(first));
        for _ in 0..turns {
            // Pointers that advance: masked offsets for four chunks at once need more registers than there are.
            for _ in 0..TURN / 2 {
                R::store(
                    f(A::load(simd, a_run, 0), B::load(simd, b_run, 0), C::load(simd, c_run, 0)),
                    dst_run,
                    0,
                );
                R::store(
                    f(
                        A::load(simd, a_run, a_step),
                        B::load(simd, b_run, b_step),
                        C::load(simd, c_run, c_step),
                    ),
                    dst_run,
                    R::BYTES,
                );
                a_run = a_run.add(2 * a_step);
                b_run = b_run.add(2 * b_step);
                c_run = c_run.add(2 * c_step);
                dst_run = dst_run.add(2 * R::BYTES);
            }
        }
        if UNROLL && a_varies & b_varies & c_varies != 0 {
            for &at in rest {
                let at = usize::from(at);
                let (a, b, c) =
                    (A::load(simd, a, A::at(at)), B::load(simd, b, B::at(at)), C::load(simd, c, C::at(at)));
                R::store(f(a, b, c), dst, R::at(at));
            }
            return;
        }
        for &at in rest {
            let at = usize::from(at);
            R::store(
                f(
                    A::load(simd, a, A::at(at) & a_varies),
                    B::load(simd, b, B::at(at) & b_varies),
                    C::load(simd, c, C::at(at) & c_varies),
                ),
                dst,
                R::at(at),
            );
        }
    }
}

/// `dst = f(offset, dst, a)`, chunk by chunk.
///
/// # Safety
/// As [`map1`].
#[inline(always)]
unsafe fn update<S: Simd, A: Lane>(
    simd: S,
    context: &Context,
    instr: &Instr,
    list: &[u16],
    f: impl Fn(usize, A::Vector<S>, A::Vector<S>) -> A::Vector<S>,
) {
    // SAFETY: as in `map1`.
    unsafe {
        let (a, a_varies) = instr.arg(context, 0);
        let dst = instr.dst(context);
        for &at in list {
            let at = usize::from(at);
            let (old, new) = (A::load(simd, dst, A::at(at)), A::load(simd, a, A::at(at) & a_varies));
            A::store(f(at, old, new), dst, A::at(at));
        }
    }
}

const _: () = assert!(size_of::<Chunk>() == CHUNK_BYTES);
