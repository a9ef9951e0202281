//! One loop over an iterator: begun on the calling thread, shared once that is measured to be worth it.
//!
//! Items come off the front of the iterator in pieces, under a lock, so they start in ascending order and the iterator is
//! anything that gives items. A piece is a run of consecutive items; what it gives is appended to the result in order. How long a
//! piece is follows from what the items before it cost; one that turns out slow gives back what it has not begun.
//! Not here: what is done with an item (`body`), what becomes of the values (`fold`), and who works (`exec/threads`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::vec::IntoIter;

use super::caught::caught;
use super::current;
use super::fold::Fold;
use super::meter::Counter;
use super::pool::Pool;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::exec::threads::{BREAK_EVEN, PIECE, PIECES_PER_THREAD, Threads, Work};

/// Nanoseconds. An item that takes no longer than this is done faster than handed to another thread: taken off the iterator,
/// moved, its value appended to the result. `benches/tasks.rs` measures 2 to 3 ns for these.
const HANDING: f64 = 4.0;

/// So long, at most, does the calling thread alone run items without looking whether they still cost what they did: many short ones
/// at once, so that they are compiled as one loop. A look costs 50 ns.
const LOOK: Duration = Duration::from_micros(2);

/// A piece that takes so long was meant to be shorter: half of what is left of it goes back if another thread has nothing to do.
const SLOW: Duration = Duration::from_micros(200);

/// Shorter measurements say more about the call than about the items.
const MEASURABLE: Duration = Duration::from_micros(1);

/// Items of one piece at most: they are held in memory.
const LONGEST: usize = 1 << 14;

/// How a loop is to be run.
pub(super) struct How {
    /// Items in a piece, if that is given.
    pub grain: Option<usize>,
    /// This call's own: set when the loop is to stop, by its first failure too. The items under way may ask it.
    pub token: Cancel,
    pub counter: Counter,
}

/// Runs the whole loop. `None`: the token was set before all items were done.
///
/// # Errors
/// That of the first item, among those that ran, that failed or panicked; [`Error::Config`] where there is no pool.
pub(super) fn run<I, F>(pool: &Pool, items: I, fold: &F, how: &How) -> Result<Option<F::Part>>
where
    I: Iterator<Item: Send> + Send,
    F: Fold<I::Item>,
{
    let threads = pool.workers()?;
    let alone = Threads::inside() || threads.count() == 1;
    pool.prepare()?;
    let mut whole = fold.part(0, items.size_hint().0);
    let entered = current::enter(&how.token);
    let begun = Instant::now();
    let mut last = begun;
    let mut piece = 1;
    let mut before = None;
    let mut items = Some(items);
    loop {
        if how.token.is_cancelled() {
            return Ok(None);
        }
        let index = fold.done(&whole);
        let ran = caught(|| {
            let Some(rest) = items.take() else { return Ok(()) };
            let (rest, ran) = fold.run(index, rest, piece, &mut whole);
            items = Some(rest);
            ran
        });
        let now = Instant::now();
        let taken = now - last;
        last = now;
        let done = fold.done(&whole) - index;
        how.count(done);
        if let Err(error) = ran.unwrap_or_else(|message| Err(Error::Item { index: index + done, message })) {
            // An item that fails because it was told to stop is no failure of the loop.
            return if how.token.is_cancelled() { Ok(None) } else { Err(error) };
        }
        let Some(rest) = items.as_ref().filter(|_| done == piece) else { return Ok(Some(whole)) };
        let each = nanoseconds(taken) / piece as f64;
        // A thread that was put aside for a moment looks slow: of two measurements the shorter one counts.
        let cost = each.min(before.unwrap_or(each));
        let left = match rest.size_hint() {
            (least, Some(most)) if least == most => cost * least as f64,
            // Nobody knows: as much again as so far.
            _ => nanoseconds(last - begun),
        };
        // The first item is mostly the first call's own cost, unless it is worth sharing all by itself.
        let measured = taken >= if before.is_some() { MEASURABLE } else { BREAK_EVEN };
        let worth = cost > HANDING || how.grain.is_some();
        if !alone && measured && worth && left > nanoseconds(BREAK_EVEN) {
            let helpers = (left / nanoseconds(BREAK_EVEN)) as usize;
            let Some(rest) = items.take() else { return Ok(Some(whole)) };
            drop(entered);
            return Shared::new(pool, threads, rest, fold, how, whole, each)
                .finish(helpers.clamp(1, threads.count() - 1));
        }
        before = (taken >= MEASURABLE).then_some(each);
        piece = fitting(LOOK, each).min(piece.saturating_mul(16));
    }
}

/// How many items of that cost, in nanoseconds, fill that time.
fn fitting(time: Duration, each: f64) -> usize {
    ((nanoseconds(time) / each.max(0.1)) as usize).max(1)
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

impl How {
    pub(super) fn count(&self, done: usize) {
        self.counter.add(done);
    }
}

/// A loop that several threads are at work on.
struct Shared<'a, I: Iterator, F: Fold<I::Item>> {
    source: Mutex<Source<I>>,
    front: Mutex<Front<F::Part>>,
    /// The error of the first item that failed, so far.
    failed: Mutex<Option<(usize, Error)>>,
    /// Some items will not be done.
    cut_short: AtomicBool,
    /// The bits of what an item costs, in nanoseconds, as last measured.
    cost: AtomicU64,
    /// Nothing is left to take, and some thread has left because of that.
    starved: AtomicBool,
    pool: &'a Pool,
    threads: &'a Threads,
    fold: &'a F,
    how: &'a How,
}

/// What is left of a loop.
struct Source<I: Iterator> {
    items: I,
    /// The index of the next one.
    next: usize,
    ended: bool,
    /// Runs of items that were taken and given back, by the index of the first.
    back: BTreeMap<usize, IntoIter<I::Item>>,
}

/// What is done of a loop.
struct Front<P> {
    /// Of all items before `next`.
    whole: P,
    next: usize,
    /// What comes later than `next`, by the index of the first item: the part, and the index after its last item.
    later: BTreeMap<usize, (P, usize)>,
}

impl<'a, I, F> Shared<'a, I, F>
where
    I: Iterator<Item: Send> + Send,
    F: Fold<I::Item>,
{
    fn new(
        pool: &'a Pool,
        threads: &'a Threads,
        items: I,
        fold: &'a F,
        how: &'a How,
        whole: F::Part,
        each: f64,
    ) -> Self {
        let next = fold.done(&whole);
        Self {
            source: Mutex::new(Source { items, next, ended: false, back: BTreeMap::new() }),
            front: Mutex::new(Front { whole, next, later: BTreeMap::new() }),
            failed: Mutex::new(None),
            cut_short: AtomicBool::new(false),
            cost: AtomicU64::new(each.to_bits()),
            starved: AtomicBool::new(false),
            pool,
            threads,
            fold,
            how,
        }
    }

    fn finish(self, helpers: usize) -> Result<Option<F::Part>> {
        self.threads.together(&self, helpers);
        if let Some((_, error)) = self.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        if self.cut_short.into_inner() {
            return Ok(None);
        }
        Ok(Some(self.front.into_inner().unwrap_or_else(PoisonError::into_inner).whole))
    }

    /// What an item costs.
    fn each(&self) -> f64 {
        f64::from_bits(self.cost.load(Ordering::Relaxed))
    }

    fn measured(&self, taken: Duration, items: usize) {
        let each = nanoseconds(taken) / items.max(1) as f64;
        self.cost.store(each.to_bits(), Ordering::Relaxed);
    }

    /// The next items, and the index of the first.
    fn take(&self) -> Option<(usize, IntoIter<I::Item>)> {
        let mut source = lock(&self.source);
        if self.how.token.is_cancelled() {
            let all = source.ended && source.back.is_empty();
            self.cut_short.fetch_or(!all, Ordering::Relaxed);
            self.starved.store(true, Ordering::Relaxed);
            return None;
        }
        if let Some(back) = source.back.pop_first() {
            return Some(back);
        }
        if source.ended {
            self.starved.store(true, Ordering::Relaxed);
            return None;
        }
        let mut length = self.how.grain.unwrap_or_else(|| fitting(PIECE, self.each()).min(LONGEST));
        if let (None, (least, Some(most))) = (self.how.grain, source.items.size_hint())
            && least == most
        {
            // Many pieces: the items may differ in cost.
            length = length.min(least / (PIECES_PER_THREAD as usize * self.threads.count())).max(1);
        }
        let mut items = Vec::with_capacity(length.min(LONGEST));
        let taken = caught(|| items.extend(source.items.by_ref().take(length)));
        let first = source.next;
        source.next += items.len();
        if let Err(message) = taken {
            source.ended = true;
            self.fail(source.next, Error::Item { index: source.next, message });
            return None;
        }
        source.ended = items.len() < length;
        (!items.is_empty()).then(|| (first, items.into_iter()))
    }

    /// Does items that were taken.
    fn piece(&self, first: usize, mut items: IntoIter<I::Item>, call: &dyn Fn()) {
        let mut part = self.fold.part(first, items.len());
        let begun = Instant::now();
        let mut since = begun;
        while items.len() > 0 {
            if self.how.token.is_cancelled() {
                self.cut_short.store(true, Ordering::Relaxed);
                return;
            }
            let slow = || self.starved.load(Ordering::Relaxed) && since.elapsed() > SLOW;
            if self.how.grain.is_none() && items.len() > 1 && slow() {
                let mut kept: Vec<_> = items.collect();
                let given = kept.split_off(kept.len().div_ceil(2));
                let index = first + self.fold.done(&part) + kept.len();
                items = kept.into_iter();
                lock(&self.source).back.insert(index, given.into_iter());
                self.starved.store(false, Ordering::Relaxed);
                since = Instant::now();
                call();
                continue;
            }
            let index = first + self.fold.done(&part);
            let ran = caught(|| {
                let each = self.each();
                if each <= HANDING {
                    let (start, count) = (Instant::now(), fitting(LOOK, each).min(items.len()));
                    let (rest, ran) = self.fold.run(index, std::mem::take(&mut items), count, &mut part);
                    items = rest;
                    self.measured(start.elapsed(), count);
                    return ran;
                }
                // One item at least, however slow the one before it was.
                let one = items.next();
                let more = || if slow() || self.how.token.is_cancelled() { None } else { items.next() };
                let run = one.into_iter().chain(std::iter::from_fn(more));
                self.fold.run(index, run, usize::MAX, &mut part).1
            });
            let done = first + self.fold.done(&part) - index;
            self.how.count(done);
            if let Err(error) =
                ran.unwrap_or_else(|message| Err(Error::Item { index: index + done, message }))
            {
                self.fail(index + done, error);
                return;
            }
        }
        let done = self.fold.done(&part);
        self.measured(begun.elapsed(), done);
        self.append(first, first + done, part);
    }

    /// Adds what the items `first..end` gave to the result, as soon as everything before it is there.
    fn append(&self, first: usize, end: usize, part: F::Part) {
        let mut front = lock(&self.front);
        front.later.insert(first, (part, end));
        let front = &mut *front;
        while let Some(next) = front.later.first_entry().filter(|entry| *entry.key() == front.next) {
            let (part, end) = next.remove();
            let at = front.next;
            front.next = end;
            // A closure of the user's that joins values may panic.
            if let Err(message) = caught(|| self.fold.join(&mut front.whole, part)) {
                self.fail(at, Error::Item { index: at, message });
            }
        }
    }

    /// Nothing more is begun.
    fn fail(&self, index: usize, error: Error) {
        let mut failed = lock(&self.failed);
        // An item that fails because it was told to stop, from outside, is no failure of the loop.
        if failed.is_none() && self.how.token.is_cancelled() {
            self.cut_short.store(true, Ordering::Relaxed);
            return;
        }
        if failed.as_ref().is_none_or(|(first, _)| index < *first) {
            *failed = Some((index, error));
        }
        self.how.token.cancel();
    }
}

impl<I, F> Work for Shared<'_, I, F>
where
    I: Iterator<Item: Send> + Send,
    F: Fold<I::Item>,
{
    fn step(&self, call: &dyn Fn()) -> bool {
        if let Err(error) = self.pool.prepare() {
            self.fail(usize::MAX, error);
        }
        let _entered = current::enter(&self.how.token);
        let stepped = caught(|| match self.take() {
            Some((first, items)) => {
                self.piece(first, items, call);
                true
            }
            None => false,
        });
        // Not the body: items that are dropped undone, say.
        stepped.unwrap_or_else(|message| {
            self.fail(usize::MAX, Error::Task { message });
            false
        })
    }

    fn more(&self) -> bool {
        !self.starved.load(Ordering::Relaxed)
    }
}

/// User code that runs under one of these locks has its panics caught there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
