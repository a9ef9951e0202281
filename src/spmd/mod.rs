//! WGSL on the lanes of a CPU: naga IR → SPMD IR → block interpreter.

pub(crate) mod block;
#[cfg(test)]
mod cts;
#[cfg(test)]
mod differential;
pub(crate) mod grid;
pub(crate) mod ir;
pub(crate) mod lower;
pub(crate) mod math;
pub(crate) mod memory;
pub(crate) mod oracle;
pub(crate) mod passes;
#[cfg(test)]
pub(crate) mod testing;
