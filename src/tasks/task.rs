//! [`Task`]: something that runs meanwhile, and the handle to wait for it, await it, or cancel it.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::caught::{caught, drop_quietly};
use super::current;
use super::launches;
use super::pool::Pool;
use super::scope::Unseen;
use super::stack;
use super::stage::Stage;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::exec::threads::Threads;

/// A worker that waits looks so often whether it can help others.
pub(super) const STAND_BY: Duration = Duration::from_micros(500);

/// A task of [`Pool::submit`] or [`Dispatcher::submit`](crate::Dispatcher::submit): something that runs meanwhile.
///
/// A future too: `task.await` gives what [`wait`](ScopedTask::wait) does, in any executor.
///
/// Dropping the handle lets the task go on by itself. If it then fails, it says so on the standard error, since nobody else will.
///
/// # Examples
/// ```
/// use forall::tasks::{Pool, as_completed};
///
/// let pool = Pool::default();
/// let tasks = [3_u64, 1, 2].map(|n| pool.submit(move || (1..=n).product::<u64>()));
/// let mut sum = 0;
/// for (_, factorial) in as_completed(tasks) {
///     sum += factorial?;
/// }
/// assert_eq!(sum, 6 + 1 + 2);
/// # Ok::<(), forall::Error>(())
/// ```
pub type Task<T> = ScopedTask<'static, T>;

/// A [`Task`], or one of [`Scope::submit`](super::Scope::submit), which may borrow what lives as long as `'scope`.
#[must_use = "a task whose handle is dropped runs on by itself; wait for it, or drop it on purpose"]
pub struct ScopedTask<'scope, T>(Arc<Inner<'scope, T>>);

type Job<'scope, T> = Box<dyn FnOnce() -> Result<T> + Send + 'scope>;
type Call<'scope, T> = Box<dyn FnOnce(&Result<T>) + Send + 'scope>;

struct Inner<'scope, T> {
    stage: Stage<Job<'scope, T>, Result<T>, Call<'scope, T>>,
    token: Cancel,
    lane: Lane,
    /// The handle is gone: nobody will ask for the result.
    dropped: AtomicBool,
    unseen: Unseen,
}

/// Where a task runs.
pub(super) enum Lane {
    Pool(Pool),
    /// The thread that launches kernels.
    Launches,
    /// Whoever waits for it.
    Here,
}

impl Lane {
    /// Whether the calling thread is one that runs such tasks: then it may run one that it waits for.
    fn is_here(&self) -> bool {
        match self {
            Self::Pool(pool) => stack::for_worker() || pool.workers().is_ok_and(Threads::is_here),
            Self::Launches => launches::is_here(),
            Self::Here => true,
        }
    }
}

/// A task of whatever type, for who is to run it.
pub(super) trait Run: Send + Sync {
    /// Runs it, if nobody has begun to.
    fn run(&self);
    /// Leaves it to whoever waits for it.
    fn leave(&self);
    /// Ends it with an error, if nobody has begun.
    fn refuse(&self, error: Error);
    /// Returns when it is over; runs it, if that is this thread's business.
    fn settle(&self);
    fn is_over(&self) -> bool;
    fn cancel(&self);
}

/// A task, not yet on its way to anybody.
pub(super) fn new<'scope, T: Send + 'scope>(
    lane: Lane,
    unseen: Unseen,
    job: impl FnOnce() -> Result<T> + Send + 'scope,
) -> (ScopedTask<'scope, T>, Arc<dyn Run + 'scope>) {
    let inner = Arc::new(Inner {
        stage: Stage::new(Box::new(job) as Job<'scope, T>),
        token: Cancel::new(),
        lane,
        dropped: AtomicBool::new(false),
        unseen,
    });
    (ScopedTask(Arc::clone(&inner)), inner)
}

/// A task on its way to a worker of the pool.
pub(super) fn submit<T: Send + 'static>(
    pool: &Pool,
    job: impl FnOnce() -> Result<T> + Send + 'static,
) -> Task<T> {
    let own = pool.clone();
    let (task, ticket) = new(Lane::Pool(pool.clone()), Unseen::default(), move || {
        own.prepare()?;
        job()
    });
    match pool.workers() {
        Ok(threads) => on_worker(pool.clone(), threads, ticket),
        Err(error) => task.0.refuse(error),
    }
    task
}

fn on_worker(pool: Pool, threads: &Threads, ticket: Arc<dyn Run>) {
    threads.spawn(move || {
        if Threads::helping() {
            // All workers may be waiting, for what waits for this one.
            ticket.leave();
            PUT_OFF.with_borrow_mut(|tickets| tickets.push((pool, ticket)));
        } else {
            ticket.run();
            drop_quietly((ticket, pool));
        }
    });
}

thread_local! {
    /// Tasks that came to this worker while it waits itself: what they wait for might be what waits below them on the stack.
    static PUT_OFF: RefCell<Vec<(Pool, Arc<dyn Run>)>> = const { RefCell::new(Vec::new()) };
}

/// On a worker that waits: runs what other threads may wait for. Tasks are for whoever waits for them, and for other workers.
pub(super) fn stand_by() {
    Threads::help_out();
    for (pool, ticket) in PUT_OFF.take() {
        // The task came from these threads.
        if let (false, Ok(threads)) = (ticket.is_over(), pool.workers()) {
            on_worker(pool.clone(), threads, ticket);
        }
    }
}

impl<'scope, T: Send> ScopedTask<'scope, T> {
    /// Waits until the task is done. On a worker of its pool, a task that has not begun is run here and now.
    ///
    /// # Errors
    /// [`Error::Task`] if it panicked or failed; [`Error::Cancelled`] if it was cancelled before it began; of a launch, the launch's
    /// own error.
    pub fn wait(self) -> Result<T> {
        self.0.wait(None).unwrap_or_else(|| Err(taken()))
    }

    /// Waits at most so long; `None` if it is not done by then. On a worker of its pool, a task that has not begun is run here
    /// and now, however long it takes.
    ///
    /// # Errors
    /// As [`wait`](Self::wait); [`Error::Task`] if the result was taken before.
    pub fn wait_timeout(&mut self, limit: Duration) -> Option<Result<T>> {
        self.0.wait(Some(limit))
    }

    /// Whether it has ended, in whatever way.
    pub fn is_done(&self) -> bool {
        self.0.stage.is_over()
    }

    /// Cancels it. If it has not begun it never will, and [`wait`](Self::wait) gives [`Error::Cancelled`]; else its
    /// [`token`](super::token) is set, and its result is whatever it makes of that. Whether it will never run.
    pub fn cancel(&self) -> bool {
        self.0.cancel_unbegun()
    }

    /// The token that its body sees: a handle to cancel it with that can be kept elsewhere. Set before it begins, the task never does.
    pub fn token(&self) -> Cancel {
        self.0.token.clone()
    }

    /// Calls `call` with the result, on the thread that ends the task, before anybody who waits goes on; at once if it is done.
    /// It must not wait for this task. Its panic is the panic hook's alone.
    ///
    /// `false` where it never will be called, because [`wait_timeout`](Self::wait_timeout) has taken the result.
    pub fn on_done(&self, call: impl FnOnce(&Result<T>) + Send + 'scope) -> bool {
        match self.0.stage.call(Box::new(call)) {
            Ok(Some(result)) => self.0.finish(result),
            Ok(None) => {}
            Err(call) => {
                drop_quietly(call);
                return false;
            }
        }
        true
    }

    /// Runs it here, if nobody has begun to and this thread may.
    pub(super) fn run_here(&self) -> bool {
        let may = !self.is_done() && (self.0.lane.is_here() || self.0.stage.is_left());
        may && self.0.run_now()
    }
}

/// Gives what [`ScopedTask::wait`] does. Polled on a worker of its pool, a task that has not begun is run here and now.
impl<T: Send> Future for ScopedTask<'_, T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        // A thread that sleeps until it is woken may be the only one that would run it.
        self.run_here();
        self.0.stage.poll(context).map(|result| result.unwrap_or_else(|| Err(taken())))
    }
}

impl<T> Drop for ScopedTask<'_, T> {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::SeqCst);
        self.0.give_up();
    }
}

impl<T> fmt::Debug for ScopedTask<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("done", &self.0.stage.is_over()).finish_non_exhaustive()
    }
}

impl<T> Inner<'_, T> {
    fn cancel_unbegun(&self) -> bool {
        self.token.cancel();
        let Some(job) = self.stage.claim() else { return false };
        drop_quietly(job);
        self.finish(Err(cancelled()));
        true
    }

    /// Ends a task that cannot run.
    fn refuse(&self, error: Error) {
        if let Some(job) = self.stage.claim() {
            drop_quietly(job);
            self.finish(Err(error));
        }
    }

    fn finish(&self, result: Result<T>) {
        // What a call or a waker panics with, the panic hook has told.
        let waker = self.stage.finish(result, |call, result| _ = caught(|| call(result)));
        wake(waker);
        if self.dropped.load(Ordering::SeqCst) {
            self.give_up();
        }
    }

    /// Drops the result, which nobody will ask for. An error has to be told.
    fn give_up(&self) {
        match self.stage.take() {
            Poll::Ready(Some(Err(error))) if !matches!(error, Error::Cancelled { .. }) => {
                self.unseen.tell(error)
            }
            Poll::Ready(Some(result)) => drop_quietly(result),
            _ => {}
        }
    }
}

impl<T: Send> Inner<'_, T> {
    /// The job, done or never to be done; its result, to whom it concerns.
    fn run_now(&self) -> bool {
        let Some(job) = self.stage.claim() else { return false };
        if self.token.is_cancelled() {
            drop_quietly(job);
            self.finish(Err(cancelled()));
            return true;
        }
        let job = || {
            let _entered = current::enter(&self.token);
            caught(job).unwrap_or_else(|message| Err(Error::Task { message }))
        };
        self.finish(stack::deeper(job));
        true
    }

    fn wait(&self, limit: Option<Duration>) -> Option<Result<T>> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            if let Poll::Ready(result) = self.stage.take() {
                return Some(result.unwrap_or_else(|| Err(taken())));
            }
            if (self.lane.is_here() || self.stage.is_left()) && self.run_now() {
                continue;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            if Threads::on_worker() {
                stand_by();
                self.stage.sleep(Some(left.unwrap_or(STAND_BY).min(STAND_BY)));
            } else {
                self.stage.sleep(left);
            }
        }
    }
}

impl<T: Send> Run for Inner<'_, T> {
    fn run(&self) {
        self.run_now();
    }

    fn leave(&self) {
        wake(self.stage.leave());
    }

    fn refuse(&self, error: Error) {
        Inner::refuse(self, error);
    }

    fn settle(&self) {
        while !self.stage.is_over() {
            if (self.lane.is_here() || self.stage.is_left()) && self.run_now() {
                return;
            }
            if Threads::on_worker() {
                stand_by();
                self.stage.sleep(Some(STAND_BY));
            } else {
                self.stage.sleep(None);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stage.is_over()
    }

    fn cancel(&self) {
        self.cancel_unbegun();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        _ = caught(|| waker.wake());
    }
}

fn taken() -> Error {
    Error::Task { message: "its result was taken before; wait for a task once".to_owned() }
}

fn cancelled() -> Error {
    Error::Cancelled { kernel: "task".to_owned() }
}
