//! forall: a numeric loop, written once, on GPU, SIMD lanes or threads.

mod backend;
mod cpu;
mod dispatch;
mod element;
mod error;
mod exec;
mod kernel;
mod launch;
mod part;
mod spmd;

pub use backend::{Backend, Policy, UnknownBackend};
pub use cpu::CpuLevel;
pub use dispatch::{Dispatcher, Entry, Exclusion, Plan, Report, Verdict};
pub use element::{Element, ElementType, Scalar};
pub use error::{Error, Result};
pub use exec::Times;
#[cfg(feature = "gpu")]
pub use exec::gpu::{AdapterFact, adapters};
pub use exec::threads::pool_threads;
pub use kernel::{Chunk, ChunkBuilder, Field, Kernel, Param, Signature, Takes};
pub use launch::{Arg, Args, IntoArg, IntoArgs, IntoOutput, IntoOutputs, OutputArg, OutputArgs};
pub use part::{Index, Progress};
