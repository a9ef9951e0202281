//! forall: a numeric loop, written once, on GPU, SIMD lanes or threads.

mod backend;
mod element;
mod error;
#[allow(dead_code, reason = "under construction")]
mod kernel {
    // Becomes `mod kernel;` as soon as the modules that kernel/mod.rs names are there.
    pub(crate) mod shader;
}
#[allow(dead_code, reason = "under construction")]
mod part;
#[allow(dead_code, reason = "under construction")]
mod spmd;

pub use backend::{Backend, Policy, UnknownBackend};
pub use element::{Element, ElementType, Scalar};
pub use error::{Error, Result};
