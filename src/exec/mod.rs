//! HOW a loop runs: one executor per backend, each given a [`Kernel`](crate::kernel::Kernel) and the
//! [`Part`](crate::part::Part) of its arrays to run it on. Which of them runs is decided above, in `dispatch`.

#[cfg(feature = "gpu")]
pub(crate) mod gpu;
pub(crate) mod simd;
pub(crate) mod threads;
