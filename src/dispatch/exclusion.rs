//! Why a backend cannot run a loop, by name.

use std::fmt;

/// Why a backend cannot run a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exclusion {
    /// The library was built without the `gpu` feature.
    NotBuilt,
    /// The machine has no GPU that counts; `forall devices` lists what was found.
    NoAdapter,
    /// The only adapters are software: a CPU that plays GPU, some twenty times slower than its own SIMD lanes.
    SoftwareAdapter,
    /// Measuring the GPU crashed or hung the last process; `forall tune` tries again.
    Probing,
    /// The kernel has no WGSL body, and a GPU runs nothing else: it is a closure, on types such as `f64` that WGSL has not.
    ClosureOnly,
    /// An array, a grid or the number of arrays is over the adapter's limits.
    OverLimit,
    /// Choices do not depend on this machine: [`Dispatcher::deterministic`](crate::Dispatcher::deterministic).
    Deterministic,
    /// The call came from a worker of the thread pool: it stays on that worker's lanes.
    Nested,
    /// The pool has one thread.
    OneThread,
    /// The policy names another backend.
    Policy,
    /// The GPU was lost or refused the work, in this call or a moment ago.
    Failed,
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBuilt => "built without the gpu feature",
            Self::NoAdapter => "no GPU here (`forall devices` lists every adapter and why it does not count)",
            Self::SoftwareAdapter => "only software adapters, slower than SIMD (FORALL_ALLOW_SOFTWARE_GPU=1)",
            Self::Probing => "measuring it crashed or hung the last process (`forall tune` tries again)",
            Self::ClosureOnly => "the kernel has no WGSL body, only a closure",
            Self::OverLimit => "over a limit of the adapter",
            Self::Deterministic => "deterministic: the choice does not depend on this machine's GPU",
            Self::Nested => "called from a pool worker, which keeps its loops on its own lanes",
            Self::OneThread => "the pool has one thread",
            Self::Policy => "the policy names another backend",
            Self::Failed => "it failed on this call, or a moment ago",
        })
    }
}
