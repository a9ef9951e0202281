//! Where a task stands: waiting with its job, running, done with its result; and who is to be told.
//!
//! The only hand-written hand-over between threads of `tasks`, and small, so that `tests/tasks_loom.rs` can go through all of its
//! interleavings: it includes this file, over loom's locks. Jobs, results and calls are run and dropped by the callers, never under the lock.

use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A task with a job `J`, a result `R`, and calls `C` to be made when it is done.
pub(super) struct Stage<J, R, C> {
    inner: Mutex<Inner<J, R, C>>,
    changed: Condvar,
}

struct Inner<J, R, C> {
    at: At<J, R>,
    /// Whoever was to run it has left it: whoever waits for it may.
    left: bool,
    calls: Vec<C>,
    waker: Option<Waker>,
}

enum At<J, R> {
    Waiting(J),
    Running,
    Done(R),
    Taken,
}

impl<J, R, C> Stage<J, R, C> {
    pub(super) fn new(job: J) -> Self {
        let inner = Inner { at: At::Waiting(job), left: false, calls: Vec::new(), waker: None };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    /// The job, for the one caller who is to run it and then to [`finish`](Self::finish).
    pub(super) fn claim(&self) -> Option<J> {
        let mut inner = self.lock();
        if !matches!(inner.at, At::Waiting(_)) {
            return None;
        }
        match std::mem::replace(&mut inner.at, At::Running) {
            At::Waiting(job) => Some(job),
            _ => None,
        }
    }

    /// Makes the calls, then gives the result to who waits for it. The waker is for the caller to wake.
    pub(super) fn finish(&self, result: R, mut call: impl FnMut(C, &R)) -> Option<Waker> {
        loop {
            let mut inner = self.lock();
            if inner.calls.is_empty() {
                inner.at = At::Done(result);
                let waker = inner.waker.take();
                drop(inner);
                self.changed.notify_all();
                return waker;
            }
            let calls = std::mem::take(&mut inner.calls);
            drop(inner);
            calls.into_iter().for_each(|c| call(c, &result));
        }
    }

    /// Adds a call. If the task is done already the result comes back, for the caller to [`finish`](Self::finish) again; if it
    /// was taken, the call does.
    pub(super) fn call(&self, call: C) -> Result<Option<R>, C> {
        let mut inner = self.lock();
        if matches!(inner.at, At::Taken) {
            return Err(call);
        }
        inner.calls.push(call);
        if !matches!(inner.at, At::Done(_)) {
            return Ok(None);
        }
        match std::mem::replace(&mut inner.at, At::Running) {
            At::Done(result) => Ok(Some(result)),
            _ => Ok(None),
        }
    }

    /// The result, for the one caller who gets it; nothing if it was taken before.
    pub(super) fn take(&self) -> Poll<Option<R>> {
        Self::take_from(&mut self.lock())
    }

    /// The same; if there is none yet, whoever finishes is given the waker.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Option<R>> {
        let waker = context.waker().clone();
        let mut inner = self.lock();
        let taken = Self::take_from(&mut inner);
        let before = if taken.is_pending() { inner.waker.replace(waker) } else { None };
        drop(inner);
        drop(before);
        taken
    }

    fn take_from(inner: &mut Inner<J, R, C>) -> Poll<Option<R>> {
        if matches!(inner.at, At::Waiting(_) | At::Running) {
            return Poll::Pending;
        }
        Poll::Ready(match std::mem::replace(&mut inner.at, At::Taken) {
            At::Done(result) => Some(result),
            _ => None,
        })
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.lock().at, At::Done(_) | At::Taken)
    }

    /// Leaves the task, if it still waits, to whoever waits for it. The waker is for the caller to wake.
    pub(super) fn leave(&self) -> Option<Waker> {
        let mut inner = self.lock();
        inner.left = true;
        let waker = inner.waker.take();
        drop(inner);
        self.changed.notify_all();
        waker
    }

    /// Whether it waits for whoever needs it to run it.
    pub(super) fn is_left(&self) -> bool {
        let inner = self.lock();
        inner.left && matches!(inner.at, At::Waiting(_))
    }

    /// Sleeps until the task is over or left, at most so long.
    pub(super) fn sleep(&self, limit: Option<Duration>) {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut inner = self.lock();
        while match inner.at {
            At::Waiting(_) => !inner.left,
            At::Running => true,
            At::Done(_) | At::Taken => false,
        } {
            inner = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return,
                Some(left) => {
                    self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Nothing that may panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Inner<J, R, C>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
