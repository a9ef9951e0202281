//! The scalar interpreter of SPMD IR: the reference semantics that every executor is compared with.
//!
//! Plain on purpose: no masks, no classes, no reuse of storage. It is not a backend: `forall check` and the tests run a shader here
//! to learn what it means, and constant folding asks [`eval`]. Hundreds of times slower than the block interpreter.
//!
//! * [`eval`]: one operation on one lane, bits to bits.
//! * [`effect`]: what an atomic or a subgroup operation does.
//! * `invocation`: one invocation, which can stop at an effect and go on later.
//! * `interpreter`: which invocation goes when, and who takes part in an effect.
//!
//! # Order
//! With [`Order::Rows`](super::ir::Order) each invocation runs from its beginning to its end before the next one starts, x
//! fastest, then y, then z; effects (which are atomics there) happen as they come.
//!
//! With [`Order::Workgroups`](super::ir::Order) workgroups run one after the other, x fastest. Within one, invocations run in
//! the order of their local index, each until it ends or comes to an effect, and stops before it. When all have ended or
//! stopped, those that are **earliest in program order** do their effect together, the lowest first, and are free to go on.
//! Program order is the order of the text, with each round of a loop after the round before: what is inside an `If`, a loop or a
//! scope is before what is behind it, `then` before `otherwise`, `body` before `continuing`. So invocations that parted meet
//! again as soon as the structure of the program lets them, which is what an executor with masks does. From this follows
//!
//! * the active invocations of a subgroup operation are those that are at the same statement in the same rounds of the
//!   loops around it, as if the others waited for them;
//! * what an atomic returns does not depend on anything but the program;
//! * a barrier lets go those that have reached it when all others have ended or wait for something later. In uniform control flow
//!   these are all invocations, as WGSL wants; a barrier that only some of them reach is none for the others, and nobody
//!   hangs.

pub(crate) mod effect;
pub(crate) mod eval;
mod interpreter;
mod invocation;
#[cfg(test)]
mod tests;

pub(crate) use eval::Fusion;
pub(crate) use interpreter::run_watched;
#[cfg(test)]
pub(crate) use interpreter::{OutOfSteps, run, run_grid, run_limited};
