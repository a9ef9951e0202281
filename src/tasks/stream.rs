//! [`Stream`]: the values of a loop, one after the other, while the pool works ahead.
//!
//! Pullers, jobs of the pool, take pieces off the iterator and put what they give into a window that the reader empties. A puller
//! that finds no room ends; the reader, as it makes room, starts another. Between two pieces a puller lets other jobs of the
//! pool run. A reader that is on a worker itself pulls instead of waiting.

use std::collections::BTreeMap;
use std::collections::vec_deque::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    block: VecDeque<Result<T>>,
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
    /// Does one piece; `false` if there is none, or no room for what it would give.
    fn pull(&self) -> bool;
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
    /// Items of the next piece.
    grain: AtomicUsize,
}

struct Window<T> {
    /// What has been done and not read, by the index of the first item.
    ready: BTreeMap<usize, VecDeque<Result<T>>>,
    /// The index of the item that is read next, of an ordered stream.
    next: usize,
    /// Items begun and not read.
    begun: usize,
    /// Pullers under way.
    pullers: usize,
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
        let (limit, grain) = (ahead.limit, how.grain.unwrap_or(1));
        let mut first = None;
        let threads = pool.workers().map(Threads::count).unwrap_or_else(|error| {
            first = Some(Err(error));
            1
        });
        let window = Window { ready: BTreeMap::new(), next: 0, begun: 0, pullers: 0, ended: first.is_some() };
        let common = Common {
            window: Mutex::new(window),
            changed: Condvar::new(),
            how,
            ahead,
            threads,
            grain: AtomicUsize::new(grain),
        };
        let source = Mutex::new(Source { items: Some(items), next: 0 });
        let state = Arc::new(State { common, source, body, care, pool: pool.clone() });
        let stream = Self {
            pool: pool.clone(),
            state,
            block: first.into_iter().collect(),
            held: 0,
            ended: false,
            name,
            limit,
        };
        stream.call();
        stream
    }

    /// The next block, or the reason why there is none.
    fn refill(&mut self) -> Option<Result<VecDeque<Result<T>>>> {
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
            drop(window);
            if Threads::inside() {
                if self.state.pull() {
                    continue;
                }
                stand_by();
            } else {
                self.call();
            }
            let common = self.state.common();
            let window = common.lock();
            // What may have come meanwhile, or has to be done meanwhile, is looked at every so often on a worker.
            if !window.is_ready(common.ahead.ordered) && window.pullers > 0 {
                let wait = if Threads::on_worker() { STAND_BY } else { Duration::from_millis(50) };
                drop(common.changed.wait_timeout(window, wait));
            }
        }
    }

    /// Starts the pullers that there is room for.
    fn call(&self) {
        if Threads::inside() {
            return;
        }
        let Ok(threads) = self.pool.workers() else { return };
        let common = self.state.common();
        loop {
            let mut window = common.lock();
            let room = common.room(&window);
            if window.ended || room == 0 || window.pullers >= common.threads.min(room) {
                return;
            }
            window.pullers += 1;
            drop(window);
            let state = Arc::clone(&self.state);
            threads.spawn(move || {
                work(&*state);
                drop_quietly(state);
            });
        }
    }
}

impl<T: Send + 'static> Iterator for Stream<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.ended {
            return None;
        }
        while self.block.is_empty() {
            match self.refill() {
                Some(Ok(block)) => self.block = block,
                Some(Err(error)) => self.block.push_back(Err(error)),
                None => break,
            }
        }
        let next = self.block.pop_front();
        if !matches!(next, Some(Ok(_))) {
            self.ended = true;
            self.state.common().stop();
        }
        next
    }
}

impl<T> Drop for Stream<T> {
    fn drop(&mut self) {
        self.state.common().stop();
        self.state.close();
    }
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("name", &self.name).field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// A puller.
fn work<T>(state: &dyn Pull<T>) {
    // A worker that only helps out while it waits leaves the stream to its reader.
    if !Threads::helping() {
        while state.pull() {
            Threads::make_way();
        }
    }
    let common = state.common();
    common.lock().pullers -= 1;
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

    fn pull(&self) -> bool {
        let common = &self.common;
        let mut window = common.lock();
        let room = common.room(&window);
        if window.ended || room == 0 || common.how.token.is_cancelled() {
            return false;
        }
        let length = common.length().min(room);
        window.begun += length;
        drop(window);

        let (mut items, mut error) = (Vec::with_capacity(length), None);
        let mut source = lock(&self.source);
        let first = source.next;
        let taken = match &mut source.items {
            Some(all) => caught(|| items.extend(all.by_ref().take(length))),
            None => Ok(()),
        };
        source.next += items.len();
        let at_end = items.len() < length;
        let over = if at_end || taken.is_err() { source.items.take() } else { None };
        if let Err(message) = taken {
            error = Some(Error::Item { index: source.next, message });
        }
        drop(source);
        drop_quietly(over);

        let _entered = current::enter(&common.how.token);
        let begun = Instant::now();
        let prepared = self.pool.prepare();
        let mut block = VecDeque::with_capacity(items.len());
        for (index, item) in (first..).zip(items) {
            let result = match &prepared {
                Ok(()) => {
                    Careful { body: &self.body, care: &self.care, token: &common.how.token }.one(index, item)
                }
                Err(error) => Err(error.clone()),
            };
            let failed = result.is_err();
            block.push_back(result);
            common.how.count(1);
            if failed || common.how.token.is_cancelled() {
                break;
            }
        }
        if let (Some(error), false) = (error, block.back().is_some_and(Result::is_err)) {
            block.push_back(Err(error));
        }
        common.measure(begun.elapsed(), block.len());

        let mut window = common.lock();
        window.ended |= at_end || block.back().is_some_and(Result::is_err);
        // Of what was reserved, the window has what the block has.
        window.begun = window.begun + block.len() - length;
        if !block.is_empty() {
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

impl<T> Common<T> {
    /// Items that may be begun.
    fn room(&self, window: &Window<T>) -> usize {
        let most = self.ahead.items.unwrap_or_else(|| 4 * self.threads * self.length());
        most.saturating_sub(window.begun)
    }

    /// Items of the next piece.
    fn length(&self) -> usize {
        let length = self.grain.load(Ordering::Relaxed);
        match self.ahead.items {
            // A given grain is kept as far as there is room for it at all.
            Some(items) if self.how.grain.is_none() => length.min(items / (2 * self.threads)).max(1),
            _ => length,
        }
    }

    /// Chooses the length of later pieces, by what the items of one have cost.
    fn measure(&self, taken: Duration, items: usize) {
        if self.how.grain.is_some() || items == 0 {
            return;
        }
        let fitting = PIECE.as_secs_f64() * items as f64 / taken.as_secs_f64().max(1e-9);
        self.grain.store((fitting as usize).clamp(1, (4 * items).min(LONGEST)), Ordering::Relaxed);
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
    fn read(&mut self, ordered: bool) -> Option<VecDeque<Result<T>>> {
        if !self.is_ready(ordered) {
            return None;
        }
        let (first, block) = self.ready.pop_first()?;
        self.next = first + block.len();
        Some(block)
    }
}

/// The panics of user code that runs under one of these locks are caught there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
