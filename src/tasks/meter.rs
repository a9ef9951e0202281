//! How far a loop is and how fast, told to whoever asked: [`Pace`]. By items that are done, not by items that are handed out.
//!
//! No thread of its own: whoever has done items looks at the clock, and calls if the last call is a while ago.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::caught::{caught, drop_quietly};
use crate::part::Progress;

/// How far a loop is, and how fast. [`Over::on_progress`](super::Over::on_progress) tells it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    done: usize,
    /// Of those, the ones that were done when the loop began.
    before: usize,
    total: Option<usize>,
    elapsed: Duration,
}

impl Pace {
    /// Items done; of a [`Checkpoint`](super::Checkpoint), those in its file.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Items in all, if the iterator tells.
    pub fn total(&self) -> Option<usize> {
        self.total
    }

    /// Since the loop began.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Items per second, since the loop began.
    pub fn rate(&self) -> f64 {
        (self.done - self.before) as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// What the rest takes at this rate; `None` if nobody knows.
    pub fn remaining(&self) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.done);
        if left == 0 {
            return Some(Duration::ZERO);
        }
        Duration::try_from_secs_f64(left as f64 / self.rate()).ok()
    }
}

/// `37/100, 12.5/s, 5 s left`.
impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.done)?;
        if let Some(total) = self.total {
            write!(f, "/{total}")?;
        }
        let rate = self.rate();
        write!(f, ", {rate:.*}/s", if rate < 100.0 { 1 } else { 0 })?;
        match self.remaining().map(|left| left.as_secs()) {
            None => Ok(()),
            Some(left @ 0..60) => write!(f, ", {left} s left"),
            Some(left @ 60..3600) => write!(f, ", {} min {} s left", left / 60, left % 60),
            Some(left) => write!(f, ", {} h {} min left", left / 3600, left / 60 % 60),
        }
    }
}

/// Who is to be told.
pub(super) type Call = Box<dyn FnMut(&Pace) + Send>;

/// Who counts the items of a loop.
#[derive(Default)]
pub(super) struct Counter {
    pub progress: Option<Progress>,
    pub meter: Option<Meter>,
}

impl Counter {
    pub(super) fn add(&self, done: usize) {
        if let Some(progress) = &self.progress {
            progress.add(done);
        }
        if let Some(meter) = &self.meter {
            meter.add(done);
        }
    }

    /// So many items are done already, by an earlier run.
    pub(super) fn resume(&self, done: usize) {
        if let Some(meter) = &self.meter {
            meter.before.store(done, Ordering::Relaxed);
        }
        self.add(done);
    }

    /// Tells the end now, unless somebody is in a call: then it is told when that has returned and the loop is gone.
    pub(super) fn end(&self) {
        if let Some(meter) = &self.meter
            && let Ok(calls) = meter.calls.try_lock()
        {
            meter.end(calls);
        }
    }
}

/// Tells how far a loop is.
pub(super) struct Meter {
    done: AtomicUsize,
    before: AtomicUsize,
    total: Option<usize>,
    begun: Instant,
    /// When to tell next, in milliseconds after the beginning.
    due: AtomicU64,
    calls: Mutex<Calls>,
}

struct Calls {
    calls: Vec<Call>,
    /// What was told last.
    told: Option<usize>,
}

impl Meter {
    /// So many milliseconds at least lie between two calls.
    const EVERY: u64 = 100;

    /// `None` if there is nobody to tell.
    pub(super) fn new(calls: Vec<Call>, total: Option<usize>) -> Option<Self> {
        (!calls.is_empty()).then(|| Self {
            done: AtomicUsize::new(0),
            before: AtomicUsize::new(0),
            total,
            begun: Instant::now(),
            due: AtomicU64::new(0),
            calls: Mutex::new(Calls { calls, told: None }),
        })
    }

    fn add(&self, done: usize) {
        if done == 0 {
            return;
        }
        self.done.fetch_add(done, Ordering::Relaxed);
        let now = self.begun.elapsed().as_millis() as u64;
        let due = self.due.load(Ordering::Relaxed);
        if now >= due
            && self.due.compare_exchange(due, now + Self::EVERY, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            // Whoever is in a call that takes so long is not waited for.
            && let Ok(mut calls) = self.calls.try_lock()
        {
            self.tell(&mut calls);
        }
    }

    /// Tells the last time, unless that was told.
    fn end(&self, mut calls: MutexGuard<'_, Calls>) {
        if calls.told != Some(self.done.load(Ordering::Relaxed)) {
            self.tell(&mut calls);
        }
        let calls = std::mem::take(&mut calls.calls);
        calls.into_iter().for_each(drop_quietly);
    }

    fn tell(&self, calls: &mut Calls) {
        let done = self.done.load(Ordering::Relaxed);
        let pace = Pace {
            done,
            before: self.before.load(Ordering::Relaxed),
            total: self.total,
            elapsed: self.begun.elapsed(),
        };
        calls.told = Some(done);
        // The panic hook has told of a call that panics; the loop is none of its business.
        calls.calls.retain_mut(|call| caught(|| call(&pace)).is_ok());
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end(self.calls.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
