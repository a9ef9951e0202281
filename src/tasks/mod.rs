//! Loops over any Rust closure, and futures, on the same pool that runs kernels.
//!
//! What `multiprocessing.Pool`, `concurrent.futures`, joblib and Dask give one machine, for bodies that are ordinary code and no kernel:
//!
//! ```
//! use forall::tasks::Pool;
//!
//! let pool = Pool::default();
//! let squares = pool.map(0..10_u64, |i| i * i)?;
//! assert_eq!(squares[9], 81);
//!
//! let task = pool.submit(|| "done meanwhile");
//! assert_eq!(task.wait()?, "done meanwhile");
//! # Ok::<(), forall::Error>(())
//! ```
//!
//! * A [`Pool`] runs loops ([`map`](Pool::map), [`for_each`](Pool::for_each), [`map_reduce`](Pool::map_reduce), the streams
//!   [`imap`](Pool::imap) and [`imap_unordered`](Pool::imap_unordered)) over whatever can be iterated. [`Pool::over`] takes options:
//!   retries, limits of time, a [`Cancel`](crate::Cancel), a [`Progress`](crate::Progress).
//! * [`Over::checkpoint`] keeps finished items in a file: a loop of hours that was killed goes on where it was.
//! * [`Pool::submit`] starts a [`Task`], which can be waited for, awaited, cancelled; [`Pool::scope`] starts tasks that borrow;
//!   [`Dispatcher::submit`](crate::Dispatcher::submit) gives launches of kernels as the same tasks.
//! * [`Random`] gives every item numbers of its own, the same at any thread count.
//!
//! # What holds
//!
//! Results are in the order of the items, whoever ran them. The calling thread works too; items start in ascending order. A short
//! loop stays on the calling thread: how many items make a piece, and whether others are called at all, follows from what
//! the items are measured to cost. A loop, a stream or a scope that is begun on a worker, inside a task or inside a loop that is shared,
//! runs on the thread that begins it: no threads are added, and nothing deadlocks.
//!
//! Errors are loud. A panic or an error in an item stops the loop, lets the items under way end, and is returned at the call as
//! [`Error::Item`](crate::Error::Item). A task whose error nobody looks at says so on the standard error. The pool stays usable.
//!
//! Nothing stops a running body but the body: one that takes long asks its [`token`] now and then.
//!
//! A loop over numbers alone is better off as a [`Kernel`](crate::Kernel): it gets the lanes of the CPU, or the GPU.

#[cfg(feature = "progress")]
mod bar;
mod body;
mod caught;
mod checkpoint;
mod current;
mod fold;
mod journal;
mod launches;
mod many;
mod meter;
mod over;
mod pool;
mod random;
mod run;
mod scope;
mod stack;
mod stage;
mod stream;
mod task;

/// What the stage of a task is made of. A test puts loom's in their place.
mod sync {
    pub(super) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
}

pub use body::Retry;
pub use checkpoint::Checkpoint;
pub use current::token;
pub use many::{AsCompleted, as_completed, first_error, wait_all, wait_any};
pub use meter::Pace;
pub use over::Over;
pub use pool::Pool;
pub use random::Random;
pub use scope::Scope;
pub use stream::Stream;
pub use task::{ScopedTask, Task};
