//! [`Scope`]: tasks that borrow, all of which end before the scope does.

use std::fmt;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::caught::drop_quietly;
use super::pool::Pool;
use super::task::{self, Lane, Run, ScopedTask};
use crate::error::{Error, Result};
use crate::exec::threads::{self, Threads};

/// Where tasks may be started that borrow what lives as long as `'scope`. From [`Pool::scope`].
pub struct Scope<'a, 'scope> {
    pool: &'a Pool,
    /// The way to the workers; `None` where the scope itself is on one.
    workers: Option<(&'a Threads, &'a threads::Scope<'scope>)>,
    tasks: Mutex<Vec<Arc<dyn Run + 'scope>>>,
    unseen: Unseen,
}

impl Pool {
    /// Calls `f` with a scope in which to start tasks that borrow, waits until all of them have ended, and returns what `f` did.
    ///
    /// On a worker, and inside a loop that is shared, tasks of the scope run on it, when they are waited for or at the end.
    ///
    /// # Errors
    /// The first error of a task whose handle was dropped without waiting for it; [`Error::Config`](crate::Error::Config) where
    /// there is no pool.
    ///
    /// # Panics
    /// If `f` does, after all tasks that had begun have ended. The others are cancelled.
    ///
    /// # Examples
    /// ```
    /// let text = String::from("a b c");
    /// let words = forall::tasks::Pool::default().scope(|scope| {
    ///     let words = scope.submit(|| text.split(' ').count());
    ///     let letters = scope.submit(|| text.len());
    ///     Ok::<_, forall::Error>(words.wait()? + letters.wait()?)
    /// })??;
    /// assert_eq!(words, 8);
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn scope<'scope, R>(&self, f: impl FnOnce(&Scope<'_, 'scope>) -> R) -> Result<R> {
        let threads = self.workers()?;
        let unseen = Unseen::kept();
        let result = if Threads::inside() {
            Scope::new(self, None, unseen.clone()).run(f)
        } else {
            threads.scope(|workers| Scope::new(self, Some((threads, workers)), unseen.clone()).run(f))
        };
        unseen.close().map_or(Ok(result), Err)
    }
}

impl<'a, 'scope> Scope<'a, 'scope> {
    fn new(
        pool: &'a Pool,
        workers: Option<(&'a Threads, &'a threads::Scope<'scope>)>,
        unseen: Unseen,
    ) -> Self {
        Self { pool, workers, tasks: Mutex::new(Vec::new()), unseen }
    }

    fn run<R>(self, f: impl FnOnce(&Self) -> R) -> R {
        let result = catch_unwind(AssertUnwindSafe(|| f(&self)));
        self.settle(result.is_err());
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Starts `body` on the pool.
    pub fn submit<T: Send + 'scope>(
        &self,
        body: impl FnOnce() -> T + Send + 'scope,
    ) -> ScopedTask<'scope, T> {
        self.start(|| Ok(body()))
    }

    /// [`submit`](Self::submit) for a body that gives a `Result`: its error is the task's.
    pub fn try_submit<T: Send + 'scope, E: fmt::Display>(
        &self,
        body: impl FnOnce() -> Result<T, E> + Send + 'scope,
    ) -> ScopedTask<'scope, T> {
        self.start(|| body().map_err(|error| Error::Task { message: error.to_string() }))
    }

    fn start<T: Send + 'scope>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'scope,
    ) -> ScopedTask<'scope, T> {
        let pool = self.pool.clone();
        let lane = if self.workers.is_some() { Lane::Pool(pool.clone()) } else { Lane::Here };
        let (task, ticket) = task::new(lane, self.unseen.clone(), move || {
            pool.prepare()?;
            job()
        });
        let mut tasks = lock(&self.tasks);
        // Those that are over are of no interest; looked for whenever the list is full, so seldom.
        if tasks.len() == tasks.capacity() {
            tasks.retain(|task| !task.is_over());
        }
        tasks.push(Arc::clone(&ticket));
        drop(tasks);
        if let Some((threads, scope)) = self.workers {
            threads.spawn_in(scope, move || {
                if Threads::helping() {
                    ticket.leave();
                } else {
                    ticket.run();
                    drop_quietly(ticket);
                }
            });
        }
        task
    }

    /// Returns when every task is over.
    fn settle(self, cancel: bool) {
        loop {
            // A task may start others.
            let tasks = std::mem::take(&mut *lock(&self.tasks));
            if tasks.is_empty() {
                return;
            }
            if cancel {
                // The last first: whoever holds a worker ends only when none that waits for it can begin.
                tasks.iter().rev().for_each(|task| task.cancel());
            }
            for task in tasks {
                task.settle();
                drop_quietly(task);
            }
        }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("pool", self.pool).finish_non_exhaustive()
    }
}

/// Whom the errors are told that nobody waited for: the end of a scope, or the standard error.
#[derive(Clone, Default)]
pub(super) struct Unseen(Option<Arc<Mutex<Kept>>>);

#[derive(Default)]
struct Kept {
    first: Option<Error>,
    closed: bool,
}

impl Unseen {
    /// Keeps the first, until it is closed.
    fn kept() -> Self {
        Self(Some(Arc::default()))
    }

    pub(super) fn tell(&self, error: Error) {
        if let Some(kept) = &self.0 {
            let mut kept = lock(kept);
            if !kept.closed {
                kept.first.get_or_insert(error);
                return;
            }
        }
        // Where that is closed or full, nobody can be told. (`eprintln!` would panic.)
        _ = writeln!(std::io::stderr(), "forall: nobody waited for a task that failed: {error}");
    }

    fn close(&self) -> Option<Error> {
        let mut kept = lock(self.0.as_ref()?);
        kept.closed = true;
        kept.first.take()
    }
}

/// No user code runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
