//! The scalar interpreter of SPMD IR: one invocation after the other, one operation after the other.
//!
//! It is what the other executors are tested against, so it is plain on purpose: no masks, no classes, no reuse of
//! storage. It is not a backend; nobody's loop runs here except in tests (and constant folding, which asks [`eval`]).

pub(crate) mod eval;
#[cfg(test)]
mod interpreter;

#[cfg(test)]
pub(crate) use eval::Fusion;
#[cfg(test)]
pub(crate) use interpreter::{run, run_limited};
