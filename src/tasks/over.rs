//! [`Over`]: a loop with its options, and the verbs that run it.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::body::{Again, Body, Care, Careful, Fallible, Kept, Plain, Retry};
use super::checkpoint::Checkpoint;
use super::current;
use super::fold::{Fold, List, Tree};
use super::meter::{Call, Counter, Meter, Pace};
use super::pool::Pool;
use super::run::{How, run};
use super::stream::{Ahead, Stream};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::part::Progress;

/// A loop over items that has not run: options, then a verb. From [`Pool::over`].
///
/// # Examples
/// ```
/// use forall::{Progress, tasks::{Pool, Retry}};
///
/// let progress = Progress::new();
/// let lengths = Pool::default()
///     .over(["a", "bc"])
///     .progress(&progress)
///     .retry(Retry::new(2))
///     .try_map(|text| if text.is_empty() { Err("no text") } else { Ok(text.len()) })?;
/// assert_eq!((lengths, progress.done()), (vec![1, 2], 2));
/// # Ok::<(), forall::Error>(())
/// ```
#[must_use = "a loop runs when one of its verbs is called: map, for_each, map_reduce, imap, …"]
pub struct Over<'p, I: Iterator> {
    pub(super) pool: &'p Pool,
    pub(super) items: I,
    grain: Option<usize>,
    ahead: Option<usize>,
    pub(super) care: Care<I::Item>,
    pub(super) limit: Option<Duration>,
    cancel: Option<Cancel>,
    progress: Option<Progress>,
    calls: Vec<Call>,
}

impl<'p, I: Iterator> Over<'p, I> {
    pub(super) fn new(pool: &'p Pool, items: I) -> Self {
        Self {
            pool,
            items,
            grain: None,
            ahead: None,
            care: Care::NONE,
            limit: None,
            cancel: None,
            progress: None,
            calls: Vec::new(),
        }
    }

    /// So many items at a time go to a thread, one at least and 2²⁰ at most, as they are held in memory. Without it the loop measures
    /// what items cost and chooses.
    pub fn grain(self, items: usize) -> Self {
        Self { grain: Some(items.clamp(1, 1 << 20)), ..self }
    }

    /// A stream begins at most so many items, one at least, that have not been taken from it. Without it, four pieces for each thread,
    /// and what a thread does in 5 ms, as the reader may have to wait that long for a CPU.
    pub fn ahead(self, items: usize) -> Self {
        Self { ahead: Some(items.max(1)), ..self }
    }

    /// An item that panics or fails is tried again, on a clone of it.
    pub fn retry(self, retry: Retry) -> Self
    where
        I::Item: Clone,
    {
        let again: Again<I::Item> = I::Item::clone;
        Self { care: Care { retry: Some((retry, again)), ..self.care }, ..self }
    }

    /// An item may take so long. Its [`token`](super::token) is set then; when it ends, late, it has failed.
    pub fn item_timeout(self, limit: Duration) -> Self {
        Self { care: Care { limit: Some(limit), ..self.care }, ..self }
    }

    /// The loop may take so long. Then no item is begun, every [`token`](super::token) is set, and once the items under way have
    /// ended the call returns [`Error::TimeLimit`].
    pub fn timeout(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Once `cancel` is set, no item is begun, every [`token`](super::token) is set, and once the items under way have ended the
    /// call returns [`Error::Cancelled`].
    pub fn cancel(self, cancel: &Cancel) -> Self {
        Self { cancel: Some(cancel.clone()), ..self }
    }

    /// Items are counted there as they are done.
    pub fn progress(self, progress: &Progress) -> Self {
        Self { progress: Some(progress.clone()), ..self }
    }

    /// Calls `call` as items are done, with how many they are and how fast they go: when the first is done, then at most ten
    /// times a second, and at the end of the loop. One call at a time, on whatever thread has done an item; a call that panics is the last.
    ///
    /// # Examples
    /// ```
    /// forall::tasks::Pool::default().over(0..10).on_progress(|pace| println!("{pace}")).for_each(|_| {})?;
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn on_progress(mut self, call: impl FnMut(&Pace) + Send + 'static) -> Self {
        self.calls.push(Box::new(call));
        self
    }

    /// A bar on the standard error with this name, if that is a terminal and once an item is done after the loop's first second: items
    /// done, in all, per second, and what is left of the time. With the feature `progress`.
    #[cfg(feature = "progress")]
    pub fn bar(self, name: &str) -> Self {
        self.on_progress(super::bar::bar(name))
    }

    /// Starts the stream that [`imap`](Self::imap) and [`imap_unordered`](Self::imap_unordered) are.
    fn stream<T, F>(mut self, ordered: bool, body: F) -> Stream<T>
    where
        I: Send + 'static,
        I::Item: Send + 'static,
        T: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
    {
        let how = self.how();
        let ahead = Ahead { ordered, items: self.ahead, limit: self.limit };
        Stream::start(self.pool, self.items, Plain(body), self.care, how, ahead)
    }

    /// How many items there are, if the iterator tells.
    pub(super) fn total(&self) -> Option<usize> {
        let (least, most) = self.items.size_hint();
        most.filter(|most| *most == least)
    }

    pub(super) fn how(&mut self) -> How {
        let parents = current::surrounding().into_iter().chain(self.cancel.clone()).collect();
        // A limit longer than the clock counts is none.
        let deadline = self.limit.and_then(|limit| Instant::now().checked_add(limit));
        let meter = Meter::new(std::mem::take(&mut self.calls), self.total());
        let counter = Counter { progress: self.progress.clone(), meter };
        How { grain: self.grain, token: Cancel::within(parents, deadline), counter }
    }
}

impl<'p, I: Iterator<Item: Send> + Send> Over<'p, I> {
    /// The loop keeps its finished items in the file at `path`, and takes from there what is finished already.
    pub fn checkpoint(self, path: impl Into<PathBuf>) -> Checkpoint<'p, I> {
        Checkpoint::new(self, path.into())
    }

    /// `[body(x) for x in items]`, in order.
    ///
    /// # Errors
    /// As every loop of a [`Pool`]; [`Error::TimeLimit`], [`Error::Cancelled`] where that was asked for.
    pub fn map<T: Send, F: Fn(I::Item) -> T + Sync>(self, body: F) -> Result<Vec<T>> {
        self.list("Pool::map", Plain(body))
    }

    /// `[body(x)? for x in items]`: the first error ends the loop. For the body's own error as it is, see
    /// [`collect_results`](Self::collect_results).
    ///
    /// # Errors
    /// As [`map`](Self::map); the body's own error as [`Error::Item`].
    pub fn try_map<T: Send, E: Display, F: Fn(I::Item) -> Result<T, E> + Sync>(
        self,
        body: F,
    ) -> Result<Vec<T>> {
        self.list("Pool::try_map", Fallible(body))
    }

    /// [`try_map`](Self::try_map) that goes on: every item's own result, panics among the errors. (A plain [`map`](Self::map) keeps
    /// `Result`s with the body's own error type, and stops at a panic.)
    ///
    /// # Errors
    /// [`Error::TimeLimit`], [`Error::Cancelled`], [`Error::Config`].
    ///
    /// # Examples
    /// ```
    /// let results = forall::tasks::Pool::default().over(["4", "x", "6"]).collect_results(|text| text.parse::<u32>())?;
    /// assert_eq!(results.iter().flatten().sum::<u32>(), 10);
    /// assert_eq!(results[1].as_ref().unwrap_err().to_string(), "item 1: invalid digit found in string");
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn collect_results<T: Send, E: Display, F: Fn(I::Item) -> Result<T, E> + Sync>(
        mut self,
        body: F,
    ) -> Result<Vec<Result<T>>> {
        let how = self.how();
        let care = std::mem::replace(&mut self.care, Care::NONE);
        let body = Careful { body: &Fallible(body), care: &care, token: &how.token };
        self.run("Pool::collect_results", &how, &List(Kept(body)))
    }

    /// `for x in items { body(x) }`.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub fn for_each<F: Fn(I::Item) + Sync>(self, body: F) -> Result<()> {
        // A list of nothings takes no memory.
        self.list("Pool::for_each", Plain(body)).map(drop)
    }

    /// `for x in items { body(x)? }`.
    ///
    /// # Errors
    /// As [`try_map`](Self::try_map).
    pub fn try_for_each<E: Display, F: Fn(I::Item) -> Result<(), E> + Sync>(self, body: F) -> Result<()> {
        self.list("Pool::try_for_each", Fallible(body)).map(drop)
    }

    /// `reduce` of all `map(x)`, `None` without items: over 256 items at a time from left to right, and over what that gives as a binary
    /// tree, whose shape depends on the number of items alone.
    ///
    /// # Numerics
    /// The same bits at any number of threads and any grain; of sums of floats, a rounding error that grows with the
    /// logarithm of the number of items (pairwise summation of blocks, as NumPy's).
    ///
    /// # Errors
    /// As [`map`](Self::map), a panic of `reduce` too.
    ///
    /// # Examples
    /// ```
    /// let pool = forall::tasks::Pool::default();
    /// assert_eq!(pool.map_reduce(1..=100, |i| i * i, |a, b| a + b)?, Some(338_350));
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn map_reduce<T, F, R>(mut self, map: F, reduce: R) -> Result<Option<T>>
    where
        T: Send,
        F: Fn(I::Item) -> T + Sync,
        R: Fn(T, T) -> T + Sync,
    {
        const NAME: &str = "Pool::map_reduce";
        let how = self.how();
        let care = std::mem::replace(&mut self.care, Care::NONE);
        if care.is_none() {
            let tree = Tree { body: Plain(map), reduce };
            let nodes = self.run(NAME, &how, &tree)?;
            tree.finish(nodes)
        } else {
            let tree = Tree { body: Careful { body: &Plain(map), care: &care, token: &how.token }, reduce };
            let nodes = self.run(NAME, &how, &tree)?;
            tree.finish(nodes)
        }
    }

    fn list<B: Body<I::Item>>(mut self, name: &'static str, body: B) -> Result<Vec<B::Out>> {
        let how = self.how();
        let care = std::mem::replace(&mut self.care, Care::NONE);
        if care.is_none() {
            self.run(name, &how, &List(body))
        } else {
            self.run(name, &how, &List(Careful { body: &body, care: &care, token: &how.token }))
        }
    }

    fn run<F: Fold<I::Item>>(self, name: &'static str, how: &How, fold: &F) -> Result<F::Part> {
        run(self.pool, self.items, fold, how)?.ok_or_else(|| stopped(name, &how.token, self.limit))
    }
}

impl<I: Iterator<Item: Send + 'static> + Send + 'static> Over<'_, I> {
    /// The values of `body(x)` in order, while the pool works ahead: a bounded number of items
    /// ([`ahead`](Self::ahead)), so the iterator may be endless. Dropping the stream cancels what has not begun.
    ///
    /// What works in the background cannot borrow: items and body own what they use. An iterator that waits for its items (a
    /// channel) holds one worker meanwhile.
    ///
    /// # Errors
    /// The stream gives an item that panics as an error, in its place, and ends; what comes later is not begun.
    ///
    /// # Examples
    /// ```
    /// let pool = forall::tasks::Pool::default();
    /// let mut first = None;
    /// for square in pool.imap(0_u64.., |i| i * i) {
    ///     let square = square?;
    ///     if square > 1000 {
    ///         first = Some(square);
    ///         break;
    ///     }
    /// }
    /// assert_eq!(first, Some(1024));
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn imap<T: Send + 'static, F: Fn(I::Item) -> T + Send + Sync + 'static>(self, body: F) -> Stream<T> {
        self.stream(true, body)
    }

    /// [`imap`](Self::imap) with the values as they come, whichever is done first.
    pub fn imap_unordered<T: Send + 'static, F: Fn(I::Item) -> T + Send + Sync + 'static>(
        self,
        body: F,
    ) -> Stream<T> {
        self.stream(false, body)
    }
}

impl<I: Iterator> fmt::Debug for Over<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Over").field("pool", self.pool).field("grain", &self.grain).finish_non_exhaustive()
    }
}

/// Why a loop ended before its end.
pub(super) fn stopped(name: &'static str, token: &Cancel, limit: Option<Duration>) -> Error {
    let kernel = name.to_owned();
    match limit {
        Some(limit) if token.is_late() => Error::TimeLimit { kernel, limit },
        _ => Error::Cancelled { kernel },
    }
}
