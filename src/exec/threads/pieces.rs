//! One loop on several threads: everybody takes the next piece from the front of what is left, until nothing is.
//!
//! The calling thread is one of them. Not a scheduler: who works is the pool's business (`super`), and a piece once taken is
//! run to its end on the thread that took it. Pieces are taken in ascending order, one at a time under a lock, so a piece may
//! wait for one before it (a chained scan does): that one has been taken by a thread that runs.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::part::Part;

/// What is left of a loop: pieces come off its front.
pub(super) trait Rest: Send {
    type Piece;

    /// Elements left.
    fn left(&self) -> u64;

    /// The first `n` elements, which are then no longer left. `n <= self.left()`.
    fn take(&mut self, n: u64) -> Self::Piece;
}

impl Rest for Range<u64> {
    type Piece = Self;

    fn left(&self) -> u64 {
        self.end - self.start
    }

    fn take(&mut self, n: u64) -> Self {
        let from = self.start;
        self.start += n;
        from..self.start
    }
}

/// A part of a call, cut by slice splitting: pieces that run at the same time hold disjoint outputs. `None` when nothing is left.
impl<'a> Rest for Option<Part<'a>> {
    type Piece = Part<'a>;

    fn left(&self) -> u64 {
        self.as_ref().map_or(0, |part| part.n as u64)
    }

    fn take(&mut self, n: u64) -> Part<'a> {
        let part = self.take().expect("no more is taken than is left");
        if n == part.n as u64 {
            return part;
        }
        let (piece, rest) = part.split_at(n as usize);
        *self = Some(rest);
        piece
    }
}

/// A loop that several threads take pieces of.
pub(super) struct Pieces<R> {
    state: Mutex<State<R>>,
    /// Elements of one piece; the last has what remains.
    length: u64,
}

struct State<R> {
    rest: R,
    /// Pieces taken so far.
    taken: u64,
    /// Nothing more is handed out: a piece failed or panicked.
    stopped: bool,
    /// The first error in the order of the pieces, and which one that was.
    failed: Option<(u64, Error)>,
}

impl<R: Rest> Pieces<R> {
    pub(super) fn new(rest: R, length: u64) -> Self {
        let state = State { rest, taken: 0, stopped: false, failed: None };
        Self { state: Mutex::new(state), length: length.max(1) }
    }

    /// Pieces not yet taken.
    pub(super) fn left(&self) -> u64 {
        let state = self.lock();
        if state.stopped { 0 } else { state.rest.left().div_ceil(self.length) }
    }

    /// Takes a piece and runs it, on whatever thread; whether there was one, and nothing has failed before.
    ///
    /// # Panics
    /// If `body` does; no thread takes another piece then.
    pub(super) fn step(&self, body: &impl Fn(R::Piece) -> Result<()>) -> bool {
        let Some((number, piece)) = self.next() else { return false };
        let unless_done = Stop(self);
        let done = body(piece);
        std::mem::forget(unless_done);
        if let Err(error) = done {
            self.fail(number, error);
        }
        true
    }

    /// What became of it, when no thread is in a [`step`](Self::step) any more.
    pub(super) fn outcome(self) -> Result<()> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.failed.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn next(&self) -> Option<(u64, R::Piece)> {
        let mut state = self.lock();
        let n = self.length.min(state.rest.left());
        if n == 0 || state.stopped {
            return None;
        }
        let number = state.taken;
        state.taken += 1;
        Some((number, state.rest.take(n)))
    }

    fn fail(&self, number: u64, error: Error) {
        let mut state = self.lock();
        state.stopped = true;
        if state.failed.as_ref().is_none_or(|(first, _)| number < *first) {
            state.failed = Some((number, error));
        }
    }

    /// No body runs under the lock, so whatever panicked left the state whole.
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped only by a panic of the body.
struct Stop<'a, R: Rest>(&'a Pieces<R>);

impl<R: Rest> Drop for Stop<'_, R> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
    }
}
