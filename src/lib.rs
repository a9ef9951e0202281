//! A numeric loop `for i in 0..n { out[i] = body(i, x[i], y[i]) }`, with the body written once, run on the GPU, on the SIMD lanes of
//! one core, or on every core. A dispatcher chooses, and says why.
//!
//! * A [`Kernel`] is the body: a WGSL function ([`Kernel::map`]), which runs everywhere, or a closure for the CPU: over `wide` vectors
//!   ([`Kernel::lanes`]), over plain numbers ([`Kernel::scalar`]), over slices ([`Kernel::chunk`]). Or it is a whole compute shader
//!   ([`Kernel::shader`]), with workgroup memory, barriers and atomics, which [`Dispatcher::launch`] runs over a [`Grid`].
//! * [`Dispatcher::run`] joins it with data and runs it on the [`Backend`] with the smallest predicted time, or on the one that
//!   [`Policy::Only`] names.
//! * A [`Report`] says what ran, how long each step took, and why.
//! * An [`Array`] stays where the launches of a [`Sequence`] run. [`Dispatcher::verify`] compares all backends with a reference
//!   interpreter, and [`mod@bench`] measures where each of them wins.
//! * [`tasks`] runs loops that are no kernels, over any closure, on the same threads.
//!
//! ```
//! use forall::{Dispatcher, Index, Kernel};
//!
//! let forall = Dispatcher::new();
//! let wave = Kernel::map("fn wave(i: u32, step: f32) -> f32 { return sin(f32(i) * step); }")?;
//! let mut out = vec![0.0_f32; 1000];
//! let report = forall.run(&wave, (Index, 0.01_f32), &mut out)?;
//! assert!((out[100] - 1.0_f32.sin()).abs() < 1e-6);
//! println!("{}", report.explain());
//! # Ok::<(), forall::Error>(())
//! ```
//!
//! # What holds
//!
//! The same WGSL runs at SIMD speed on a CPU with no driver installed. All CPU backends give the same bits, at any thread count
//! and at every CPU level with FMA. Nothing falls back silently. A loop that fails returns an [`Error`] at the call, and the
//! caller's arrays are as before.
//!
//! # Features
//!
//! `gpu` (default): the `wgpu` backend. Without it the crate is a small, pure-Rust CPU library.
//!
//! `progress`: `tasks::Over::bar`, a bar on the terminal for loops that take long.

mod array;
mod backend;
pub mod bench;
mod cancel;
mod cpu;
mod date;
mod dispatch;
mod element;
mod error;
mod exec;
mod kernel;
mod launch;
mod part;
mod spmd;
pub mod tasks;

pub use array::{Array, Snapshot};
pub use backend::{Backend, Policy, UnknownBackend};
pub use cancel::Cancel;
pub use cpu::CpuLevel;
pub use dispatch::{
    Checked, Comparison, CpuFacts, Crossover, Difference, Dispatcher, Entry, Exclusion, Explanation,
    GpuFacts, LaneTimes, Machine, Outcome, Plan, Profile, Report, Sequence, Source, Verdict, Verification,
    cpu_model,
};
pub use element::{Element, ElementType, Scalar};
pub use error::{Error, Result};
pub use exec::Times;
#[cfg(feature = "gpu")]
pub use exec::gpu::{AdapterFact, adapters};
pub use exec::threads::pool_threads;
pub use kernel::{
    Binding, BindingKind, Chunk, ChunkBuilder, Content, Field, Fields, Kernel, Layout, Member, Param,
    ShaderOptions, Signature, Takes, TextureLayout,
};
pub use launch::{
    Arg, Args, BindingData, Bindings, Grid, IntoArg, IntoArgs, IntoBinding, IntoBindings, IntoExtent,
    IntoOutput, IntoOutputs, OutputArg, OutputArgs, Place, Texture, Value,
};
pub use part::{Index, Progress};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/which-loop-is-mine.md")]
struct WhichLoopIsMine;
