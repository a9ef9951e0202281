//! [`Stream`]: the values of a loop, one after the other, while the pool works ahead.
//!
//! Pullers, jobs of the pool, take pieces off the iterator and put what they give into a window that the reader empties. A puller
//! that finds no room ends; the reader, as it makes room, starts another. One puller at a time is in the iterator, which may wait for
//! its items: another that comes meanwhile ends too, and the one that has its items starts it anew. Between two pieces a puller lets
//! other jobs of the pool run. A reader that is on a worker itself pulls instead of waiting.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};
use std::vec::IntoIter;

use super::body::{Body, Care, Careful};
use super::caught::{caught, drop_quietly};
use super::current;
use super::over::stopped;
use super::pool::Pool;
use super::run::How;
use super::task::{STAND_BY, stand_by};
use crate::error::{Error, Result};
use crate::exec::threads::{PIECE, Threads};

/// Items of one piece at most: they wait for each other.
const LONGEST: usize = 1024;

/// Items that are done ahead of the reader for each thread at most, if nobody says how many.
const FARTHEST: usize = 32 * LONGEST;

/// So long can the pullers of a stream go on, by default, while its reader waits for a CPU: where all have work, that takes
/// milliseconds.
const REACH: Duration = Duration::from_millis(5);

/// A piece is done in so many runs; between two of them it is seen whether to go on.
const RUNS: usize = 16;

/// A reader that has waited for so long no longer counts on the pullers that are under way.
const STALLED: Duration = Duration::from_millis(50);

/// How far a stream works ahead of its reader.
pub(super) struct Ahead {
    pub ordered: bool,
    /// Items begun and not yet read, if that is given.
    pub items: Option<usize>,
    /// For the error of a stream that is stopped by it.
    pub limit: Option<Duration>,
}

/// The values of a loop, as an iterator. From [`Pool::imap`] and [`Pool::imap_unordered`].
///
/// Dropping it cancels what has not begun; what is under way ends in the background, its [`token`](super::token) set.
///
/// # Errors
/// An item that panics, or a panic of the source, is the last thing it gives, as [`Error::Item`]; so is [`Error::TimeLimit`] or
/// [`Error::Cancelled`] where that was asked for.
#[must_use = "a stream works ahead only as it is read"]
pub struct Stream<T> {
    pool: Pool,
    state: Arc<dyn Pull<T>>,
    /// What is read next.
    block: Block<T>,
    /// Items that `block` had at first: room in the window once it is read.
    held: usize,
    /// An error was given, or everything.
    ended: bool,
    name: &'static str,
    limit: Option<Duration>,
}

/// A stream without the types of its items and its body.
trait Pull<T>: Send + Sync {
    fn common(&self) -> &Common<T>;
    /// Does one piece; `false` if there is none, no room for what it would give, or somebody in the iterator. Calls `taken` when the
    /// iterator is free for another.
    fn pull(&self, taken: &dyn Fn()) -> bool;
    /// Drops the iterator, if nobody is in it.
    fn close(&self);
}

/// What the reader and the pullers share.
struct Common<T> {
    window: Mutex<Window<T>>,
    changed: Condvar,
    how: How,
    ahead: Ahead,
    threads: usize,
    /// Items that one thread does in [`REACH`], as last measured.
    reach: AtomicUsize,
}

/// What a piece gave: values, and then perhaps the reason why there are no more.
struct Block<T> {
    values: IntoIter<T>,
    error: Option<Error>,
}

struct Window<T> {
    /// What has been done and not read, by the index of the first item.
    ready: BTreeMap<usize, Block<T>>,
    /// The index of the item that is read next, of an ordered stream.
    next: usize,
    /// Items begun and not read.
    begun: usize,
    /// Pullers under way.
    pullers: usize,
    /// How often the reader has waited in vain, and how many pullers that were under way then have not come since.
    stalls: usize,
    held_up: usize,
    /// A worker has left its piece to the reader.
    left: bool,
    /// Nothing more will be begun.
    ended: bool,
}

struct State<I: Iterator, B: Body<I::Item>> {
    common: Common<B::Out>,
    source: Mutex<Source<I>>,
    body: B,
    care: Care<I::Item>,
    pool: Pool,
}

struct Source<I> {
    /// `None` at its end.
    items: Option<I>,
    next: usize,
}

impl<T: Send + 'static> Stream<T> {
    pub(super) fn start<I, B>(
        pool: &Pool,
        items: I,
        body: B,
        care: Care<I::Item>,
        how: How,
        ahead: Ahead,
    ) -> Self
    where
        I: Iterator<Item: Send> + Send + 'static,
        B: Body<I::Item, Out = T> + Send + 'static,
    {
        let name = if ahead.ordered { "Pool::imap" } else { "Pool::imap_unordered" };
        let limit = ahead.limit;
        let mut block = Block::default();
        let threads = pool.workers().map(Threads::count).unwrap_or_else(|error| {
            block.error = Some(error);
            1
        });
        let ended = block.error.is_some();
        let window = Window {
            ready: BTreeMap::new(),
            next: 0,
            begun: 0,
            pullers: 0,
            stalls: 0,
            held_up: 0,
            left: false,
            ended,
        };
        let common = Common {
            window: Mutex::new(window),
            changed: Condvar::new(),
            how,
            ahead,
            threads,
            reach: AtomicUsize::new(1),
        };
        let source = Mutex::new(Source { items: Some(items), next: 0 });
        let state = Arc::new(State { common, source, body, care, pool: pool.clone() });
        let stream = Self { pool: pool.clone(), state, block, held: 0, ended: false, name, limit };
        stream.call();
        stream
    }

    /// The next block, or the reason why there is none.
    fn refill(&mut self) -> Option<Result<Block<T>>> {
        loop {
            let common = self.state.common();
            if common.how.token.is_cancelled() {
                return Some(Err(stopped(self.name, &common.how.token, self.limit)));
            }
            let mut window = common.lock();
            window.begun -= std::mem::take(&mut self.held);
            if let Some(block) = window.read(common.ahead.ordered) {
                drop(window);
                self.held = block.len();
                self.call();
                return Some(Ok(block));
            }
            if window.ended && window.begun == 0 {
                return None;
            }
            let here = Threads::inside() || std::mem::take(&mut window.left);
            drop(window);
            if here && self.state.pull(&|| self.call()) {
                continue;
            }
            if Threads::inside() {
                stand_by();
            } else {
                self.call();
            }
            let common = self.state.common();
            let window = common.lock();
            // What may have come meanwhile, or has to be done meanwhile, is looked at every so often on a worker.
            if !window.is_ready(common.ahead.ordered) && window.pullers > 0 && !window.left {
                let wait = if Threads::on_worker() { STAND_BY } else { STALLED };
                let waited = common.changed.wait_timeout(window, wait);
                let (mut window, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                if waited.timed_out() {
                    window.stalls += 1;
                    window.held_up = window.pullers;
                }
            }
        }
    }

    /// Starts the pullers that there is room for.
    fn call(&self) {
        if !Threads::inside() {
            call(&self.pool, &self.state);
        }
    }
}

/// Starts the pullers that there is room for. One that has made way for a long job is held up, and another takes its place.
fn call<T: Send + 'static>(pool: &Pool, state: &Arc<dyn Pull<T>>) {
    let Ok(threads) = pool.workers() else { return };
    let common = state.common();
    loop {
        let mut window = common.lock();
        let room = common.room(&window);
        let at_work = window.pullers - window.held_up;
        if window.ended || at_work >= common.threads.min(room) || window.pullers >= 2 * common.threads {
            return;
        }
        window.pullers += 1;
        let stalls = window.stalls;
        drop(window);
        start(threads, pool, state, stalls);
    }
}

/// Has a puller run on a worker.
fn start<T: Send + 'static>(threads: &Threads, pool: &Pool, state: &Arc<dyn Pull<T>>, stalls: usize) {
    let (pool, state) = (pool.clone(), Arc::clone(state));
    threads.spawn(move || {
        work(&pool, &state, stalls);
        drop_quietly((state, pool));
    });
}

impl<T> Stream<T> {
    /// Gives nothing more.
    fn end(&mut self) {
        self.ended = true;
        self.state.common().stop();
        self.state.common().how.counter.end();
    }
}

impl<T: Send + 'static> Iterator for Stream<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.ended {
            return None;
        }
        loop {
            if let Some(value) = self.block.values.next() {
                return Some(Ok(value));
            }
            if let Some(error) = self.block.error.take() {
                self.end();
                return Some(Err(error));
            }
            match self.refill() {
                Some(Ok(block)) => self.block = block,
                Some(Err(error)) => self.block.error = Some(error),
                None => {
                    self.end();
                    return None;
                }
            }
        }
    }
}

impl<T> Drop for Stream<T> {
    fn drop(&mut self) {
        self.end();
        self.state.close();
    }
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("name", &self.name).field("ended", &self.ended).finish_non_exhaustive()
    }
}

thread_local! {
    /// The streams that this thread pulls, by the addresses of their states.
    static PULLED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// A puller, called after so many stalls.
fn work<T: Send + 'static>(pool: &Pool, state: &Arc<dyn Pull<T>>, mut stalls: usize) {
    let this = Arc::as_ptr(state).cast::<()>() as usize;
    if PULLED.with_borrow(|pulled| pulled.contains(&this))
        && let Ok(threads) = pool.workers()
    {
        // A puller that made way has met its neighbour: two on one thread are one. Another worker is to take it.
        return start(threads, pool, state, stalls);
    }
    PULLED.with_borrow_mut(|pulled| pulled.push(this));
    let common = state.common();
    // A worker that only helps out while it waits leaves the stream to its reader.
    let left = Threads::helping();
    let mut more = !left;
    loop {
        more = more && state.pull(&|| call(pool, state));
        if more {
            Threads::make_way();
        }
        let mut window = common.lock();
        window.held_up -= usize::from(std::mem::replace(&mut stalls, window.stalls) != window.stalls);
        if !more {
            window.pullers -= 1;
            window.left |= left;
            break;
        }
    }
    PULLED.with_borrow_mut(Vec::pop);
    common.changed.notify_all();
}

impl<I, B> Pull<B::Out> for State<I, B>
where
    I: Iterator<Item: Send> + Send,
    B: Body<I::Item> + Send,
{
    fn common(&self) -> &Common<B::Out> {
        &self.common
    }

    fn pull(&self, taken: &dyn Fn()) -> bool {
        let common = &self.common;
        let mut source = match self.source.try_lock() {
            Ok(source) => source,
            Err(TryLockError::Poisoned(source)) => source.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let mut window = common.lock();
        let room = common.room(&window);
        if window.ended || room == 0 || common.how.token.is_cancelled() {
            return false;
        }
        let length = common.length().min(room);
        window.begun += length;
        drop(window);

        let (mut items, first) = (Vec::new(), source.next);
        let ran = match &mut source.items {
            Some(all) => caught(|| items.extend(all.by_ref().take(length))),
            None => Ok(()),
        };
        source.next += items.len();
        let at_end = items.len() < length;
        let over = if at_end { source.items.take() } else { None };
        drop(source);
        drop_quietly(over);
        taken();

        let end = first + items.len();
        let begun = Instant::now();
        let mut block = self.block(first, items);
        common.measure(begun.elapsed(), block.len());
        if let (Err(message), None) = (ran, &block.error) {
            block.error = Some(Error::Item { index: end, message });
        }

        let mut window = common.lock();
        window.ended |= at_end || block.error.is_some();
        // Of what was reserved, the window has what the block has.
        window.begun = window.begun + block.len() - length;
        if block.len() > 0 {
            window.ready.insert(first, block);
        }
        drop(window);
        common.changed.notify_all();
        true
    }

    fn close(&self) {
        // Where a puller waits in it for an item, the iterator goes with the last of them.
        let items = match self.source.try_lock() {
            Ok(mut source) => source.items.take(),
            Err(_) => None,
        };
        drop(items);
    }
}

impl<I: Iterator, B: Body<I::Item>> State<I, B> {
    /// Does items, until one fails or the stream is stopped.
    fn block(&self, first: usize, items: Vec<I::Item>) -> Block<B::Out> {
        let how = &self.common.how;
        let _entered = current::enter(&how.token);
        let careful = Careful { body: &self.body, care: &self.care, token: &how.token };
        let run = (self.common.fitting() / RUNS).max(1);
        let mut values = Vec::with_capacity(items.len());
        let mut items = items.into_iter();
        let mut error = self.pool.prepare().err();
        while error.is_none() && items.len() > 0 && !how.token.is_cancelled() {
            let index = first + values.len();
            let ran = caught(|| match self.care.is_none() {
                true => self.body.fill(index, items.by_ref(), run, &mut values).1,
                false => careful.fill(index, items.by_ref(), run, &mut values).1,
            });
            let end = first + values.len();
            how.count(end - index);
            error = ran.unwrap_or_else(|message| Err(Error::Item { index: end, message })).err();
        }
        drop_quietly(items);
        Block { values: values.into_iter(), error }
    }
}

impl<T> Common<T> {
    /// Items that may be begun.
    fn room(&self, window: &Window<T>) -> usize {
        let most = self.ahead.items.unwrap_or_else(|| {
            let reach = self.reach.load(Ordering::Relaxed);
            self.threads * reach.max(4 * self.length())
        });
        most.saturating_sub(window.begun)
    }

    /// Items of the next piece.
    fn length(&self) -> usize {
        match (self.how.grain, self.ahead.items) {
            // Kept as far as there is room for it at all.
            (Some(grain), _) => grain,
            (None, Some(items)) => self.fitting().min(items / (2 * self.threads)).max(1),
            (None, None) => self.fitting(),
        }
    }

    /// Items that fill a piece.
    fn fitting(&self) -> usize {
        let pieces = (REACH.as_nanos() / PIECE.as_nanos()) as usize;
        (self.reach.load(Ordering::Relaxed) / pieces).clamp(1, LONGEST)
    }

    /// Chooses the length of later pieces, by what the items of one have cost.
    fn measure(&self, taken: Duration, items: usize) {
        if items > 0 {
            let reach = REACH.as_secs_f64() * items as f64 / taken.as_secs_f64().max(1e-9);
            let before = self.reach.load(Ordering::Relaxed);
            let most = before.saturating_mul(4).min(FARTHEST);
            self.reach.store((reach as usize).clamp(1, most), Ordering::Relaxed);
        }
    }

    /// Nothing more is begun; what waits to be read will not be.
    fn stop(&self) {
        self.how.token.cancel();
        let mut window = self.lock();
        window.ended = true;
        let ready = std::mem::take(&mut window.ready);
        drop(window);
        drop(ready);
    }

    /// No user code runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Window<T>> {
        lock(&self.window)
    }
}

impl<T> Window<T> {
    fn is_ready(&self, ordered: bool) -> bool {
        self.ready.first_key_value().is_some_and(|(first, _)| !ordered || *first == self.next)
    }

    /// What is to be read next.
    fn read(&mut self, ordered: bool) -> Option<Block<T>> {
        if !self.is_ready(ordered) {
            return None;
        }
        let (first, block) = self.ready.pop_first()?;
        self.next = first + block.len();
        Some(block)
    }
}

impl<T> Block<T> {
    /// An error is in the place of an item.
    fn len(&self) -> usize {
        self.values.len() + usize::from(self.error.is_some())
    }
}

impl<T> Default for Block<T> {
    fn default() -> Self {
        Self { values: Vec::new().into_iter(), error: None }
    }
}

/// The panics of user code that runs under one of these locks are caught there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
