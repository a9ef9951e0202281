//! What is done with one item: the user's closure, with what surrounds it (errors, retries, limits of time).

use std::fmt::Display;
use std::time::{Duration, Instant};

use super::caught::caught;
use super::current;
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// The body of a loop over items of type `I`.
pub(super) trait Body<I>: Sync {
    type Out: Send;

    /// Does one item. Panics where the user's closure does.
    fn one(&self, index: usize, item: I) -> Result<Self::Out>;

    /// Does the next `count` items, the first of which has that index, and adds what comes out to `out`: one for each item done,
    /// whatever happens. Gives the iterator back: one of its own it keeps in registers, as a plain loop does, which halves the
    /// cost of a trivial item.
    fn fill<J: Iterator<Item = I>>(
        &self,
        first: usize,
        mut items: J,
        count: usize,
        out: &mut Vec<Self::Out>,
    ) -> (J, Result<()>) {
        for index in (first..).take(count) {
            let Some(item) = items.next() else { break };
            match self.one(index, item) {
                Ok(value) => out.push(value),
                Err(error) => return (items, Err(error)),
            }
        }
        (items, Ok(()))
    }
}

/// A closure that gives a value.
pub(super) struct Plain<F>(pub F);

impl<I, T: Send, F: Fn(I) -> T + Sync> Body<I> for Plain<F> {
    type Out = T;

    fn one(&self, _: usize, item: I) -> Result<T> {
        Ok((self.0)(item))
    }

    /// As the plain loop would, so that it may become the same machine code.
    fn fill<J: Iterator<Item = I>>(
        &self,
        _: usize,
        mut items: J,
        count: usize,
        out: &mut Vec<T>,
    ) -> (J, Result<()>) {
        out.extend(items.by_ref().take(count).map(&self.0));
        (items, Ok(()))
    }
}

/// A closure that gives a `Result`.
pub(super) struct Fallible<F>(pub F);

impl<I, T: Send, E: Display, F: Fn(I) -> Result<T, E> + Sync> Body<I> for Fallible<F> {
    type Out = T;

    fn one(&self, index: usize, item: I) -> Result<T> {
        (self.0)(item).map_err(|error| Error::Item { index, message: error.to_string() })
    }
}

/// Another body whose failures are results like others.
pub(super) struct Kept<B>(pub B);

impl<I, B: Body<I>> Body<I> for Kept<B> {
    type Out = Result<B::Out>;

    fn one(&self, index: usize, item: I) -> Result<Self::Out> {
        Ok(attempt(&self.0, index, item))
    }
}

/// Another body with retries and a limit of time for each item.
pub(super) struct Careful<'a, I, B> {
    pub body: &'a B,
    pub care: &'a Care<I>,
    /// The token of the loop.
    pub token: &'a Cancel,
}

impl<I, B: Body<I>> Body<I> for Careful<'_, I, B> {
    type Out = B::Out;

    fn one(&self, index: usize, item: I) -> Result<B::Out> {
        let Some((retry, clone)) = self.care.retry else { return self.limited(index, item) };
        let mut pause = retry.pause;
        for _ in 0..retry.times {
            match self.limited(index, clone(&item)) {
                Err(_) if !self.token.is_cancelled() => {
                    sleep(pause, self.token);
                    pause = pause.mul_f64(retry.factor).min(LONGEST_PAUSE);
                }
                result => return result,
            }
        }
        self.limited(index, item)
    }
}

impl<I, B: Body<I>> Careful<'_, I, B> {
    /// One attempt, which fails if it takes too long.
    fn limited(&self, index: usize, item: I) -> Result<B::Out> {
        let Some(limit) = self.care.limit else { return attempt(self.body, index, item) };
        let begun = Instant::now();
        let token = Cancel::within(vec![self.token.clone()], begun.checked_add(limit));
        let _entered = current::enter(&token);
        let result = attempt(self.body, index, item);
        let taken = begun.elapsed();
        if taken > limit {
            let message = format!("took {taken:.1?}, and an item may take {limit:?}; give it more time");
            return Err(Error::Item { index, message });
        }
        result
    }
}

/// One item; its panic becomes its error.
fn attempt<I, B: Body<I>>(body: &B, index: usize, item: I) -> Result<B::Out> {
    caught(|| body.one(index, item)).unwrap_or_else(|message| Err(Error::Item { index, message }))
}

/// Makes another item for another attempt.
pub(super) type Again<I> = fn(&I) -> I;

/// What [`Careful`] does.
pub(super) struct Care<I> {
    pub retry: Option<(Retry, Again<I>)>,
    pub limit: Option<Duration>,
}

impl<I> Care<I> {
    pub(super) const NONE: Self = Self { retry: None, limit: None };

    pub(super) fn is_none(&self) -> bool {
        self.retry.is_none() && self.limit.is_none()
    }
}

/// How often an item that failed is tried again, and after what pause. It fails when its last attempt does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    times: usize,
    pause: Duration,
    factor: f64,
}

/// No pause grows beyond an hour.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

impl Retry {
    /// Up to `times` more attempts, at once.
    pub fn new(times: usize) -> Self {
        Self { times, pause: Duration::ZERO, factor: 1.0 }
    }

    /// The same with a pause before each attempt after the first. The thread sleeps meanwhile, unless the loop is stopped.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause: pause.min(LONGEST_PAUSE), ..self }
    }

    /// The same with every pause twice as long as the one before it, up to an hour.
    #[must_use]
    pub fn doubling(self) -> Self {
        Self { factor: 2.0, ..self }
    }
}

/// Sleeps so long, or until `token` is set.
fn sleep(pause: Duration, token: &Cancel) {
    const NAP: Duration = Duration::from_millis(10);
    let begun = Instant::now();
    while !token.is_cancelled() {
        let left = pause.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(NAP));
    }
}
