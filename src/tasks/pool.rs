//! [`Pool`]: which threads, and the calls without options.

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::caught::caught;
use super::over::Over;
use super::stream::Stream;
use super::task::{self, Task};
use crate::error::{Error, Result};
use crate::exec::threads::{MAX_THREADS, TOO_MANY, Threads};

/// Threads that run loops and tasks. [`Pool::default`] is the process-wide pool, the one that runs kernels, so nothing is
/// oversubscribed; `FORALL_THREADS`, or else `RAYON_NUM_THREADS`, sets its size. (Without the first, and asked for on a worker of
/// another pool, it is that one.) [`Pool::new`] is one of its own.
///
/// A handle: clones are the same pool. Threads start with the first call that needs them; those of a pool of its own end after its
/// last task, when the last handle is gone.
///
/// # Shapes
/// Loops take whatever can be iterated: ranges, slices (`&x`, `x.iter_mut()`, `x.chunks(64)`), vectors by value, iterators. Results
/// are in the order of the items. No items give an empty result.
///
/// # Numerics
/// A body that depends on its item alone gives the same bits at any number of threads, in [`map_reduce`](Pool::map_reduce) too.
///
/// # Errors
/// [`Error::Item`] where an item's body panics or fails, and where the iterator panics: nothing more is begun, what is under way ends,
/// and the call returns. If several fail, it tells the first of those that ran. [`Error::Config`] where the environment asks for no
/// pool that can be had.
///
/// # Cost
/// A loop whose items take a few nanoseconds costs what the plain loop does; sharing one begins when 40 µs of work are left. A task
/// costs about a microsecond, and 5 to 60 µs until a sleeping worker has it.
///
/// # Examples
/// ```
/// use forall::tasks::Pool;
///
/// let pool = Pool::default();
/// let words = ["lane", "mask", "gather"];
/// assert_eq!(pool.map(&words, |word| word.len())?, [4, 4, 6]);
///
/// // A body that may fail.
/// let error = pool.try_map(["1", "2", "x"], |text| text.parse::<u32>()).unwrap_err();
/// assert_eq!(error.to_string(), "item 2: invalid digit found in string");
/// # Ok::<(), forall::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Pool(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Threads of its own.
    size: Option<usize>,
    own: OnceLock<Result<Threads>>,
    init: Option<Init>,
}

struct Init {
    call: Arc<dyn Fn() + Send + Sync>,
    /// Tells pools apart.
    number: u64,
}

thread_local! {
    /// Numbers of the pools whose initializer has run on this thread.
    static READY: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl Pool {
    /// A pool of `n` threads of its own, which work besides the calling one; `-1` is as many as there are cores this process may use
    /// (its affinity and its cgroup's quota respected), `-2` one less, and so on, but one at least.
    ///
    /// # Errors
    /// [`Error::Config`] if `n` is 0 or more than 1024. If the system starts no more threads, the first call says so.
    pub fn new(n: isize) -> Result<Self> {
        let size = match n {
            1.. => n.unsigned_abs(),
            0 => 0,
            _ => {
                let all = std::thread::available_parallelism().map_or(1, usize::from);
                (all + 1).saturating_sub(n.unsigned_abs()).clamp(1, MAX_THREADS)
            }
        };
        if !(1..=MAX_THREADS).contains(&size) {
            let expected = "1 to 1024 threads, or -1 for all cores, -2 for all but one, and so on";
            return Err(Error::Config { name: "Pool::new", got: n.to_string(), expected });
        }
        Ok(Self(Arc::new(Inner { size: Some(size), ..Inner::default() })))
    }

    /// A pool like this one that calls `init` once on every thread before the first body of this pool that it runs; on threads
    /// that call its loops too, since they work themselves. If it panics, so fails what was to run there.
    #[must_use]
    pub fn with_initializer(self, init: impl Fn() + Send + Sync + 'static) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let init = Init { call: Arc::new(init), number: NEXT.fetch_add(1, Ordering::Relaxed) };
        Self(Arc::new(Inner { size: self.0.size, init: Some(init), own: OnceLock::new() }))
    }

    /// How many of its bodies run at once.
    ///
    /// # Errors
    /// [`Error::Config`] as every call.
    pub fn threads(&self) -> Result<usize> {
        self.workers().map(Threads::count)
    }

    /// A loop over `items`, to which options are given before it runs.
    pub fn over<I: IntoIterator>(&self, items: I) -> Over<'_, I::IntoIter> {
        Over::new(self, items.into_iter())
    }

    /// `[body(x) for x in items]`, in order. See [`Over::map`].
    ///
    /// # Errors
    /// As every loop.
    pub fn map<I, T, F>(&self, items: I, body: F) -> Result<Vec<T>>
    where
        I: IntoIterator<Item: Send, IntoIter: Send>,
        T: Send,
        F: Fn(I::Item) -> T + Sync,
    {
        self.over(items).map(body)
    }

    /// [`map`](Self::map) for a body that gives a `Result`; the first error ends the loop. See [`Over::try_map`].
    ///
    /// # Errors
    /// As every loop; the body's own error as [`Error::Item`].
    pub fn try_map<I, T, E, F>(&self, items: I, body: F) -> Result<Vec<T>>
    where
        I: IntoIterator<Item: Send, IntoIter: Send>,
        T: Send,
        E: Display,
        F: Fn(I::Item) -> Result<T, E> + Sync,
    {
        self.over(items).try_map(body)
    }

    /// `[body(a, b) for (a, b) in zip(xs, ys)]`: Python's `starmap`. An iterator without an end may stand beside a shorter one.
    ///
    /// # Errors
    /// As every loop; [`Error::LengthMismatch`] if both tell how long they are and differ.
    ///
    /// # Examples
    /// ```
    /// let pool = forall::tasks::Pool::default();
    /// assert_eq!(pool.map_zip(&[1, 2, 3], 10.., |x, y| x * y)?, [10, 22, 36]);
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn map_zip<A, B, T, F>(&self, xs: A, ys: B, body: F) -> Result<Vec<T>>
    where
        A: IntoIterator<Item: Send, IntoIter: Send>,
        B: IntoIterator<Item: Send, IntoIter: Send>,
        T: Send,
        F: Fn(A::Item, B::Item) -> T + Sync,
    {
        let (xs, ys) = (xs.into_iter(), ys.into_iter());
        if let ((x, Some(x_most)), (y, Some(y_most))) = (xs.size_hint(), ys.size_hint())
            && x == x_most
            && y == y_most
            && x != y
        {
            return Err(Error::LengthMismatch {
                kernel: "Pool::map_zip".to_owned(),
                name: "ys".to_owned(),
                got: y,
                expected: x,
                other: "xs".to_owned(),
            });
        }
        self.map(xs.zip(ys), |(x, y)| body(x, y))
    }

    /// `for x in items { body(x) }`. See [`Over::for_each`].
    ///
    /// # Errors
    /// As every loop.
    ///
    /// # Examples
    /// ```
    /// let mut rows = [[1, 2], [3, 4]];
    /// forall::tasks::Pool::default().for_each(&mut rows, |row| row.reverse())?;
    /// assert_eq!(rows, [[2, 1], [4, 3]]);
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn for_each<I, F>(&self, items: I, body: F) -> Result<()>
    where
        I: IntoIterator<Item: Send, IntoIter: Send>,
        F: Fn(I::Item) + Sync,
    {
        self.over(items).for_each(body)
    }

    /// `reduce` of all `map(x)`, `None` without items. See [`Over::map_reduce`].
    ///
    /// # Errors
    /// As every loop.
    pub fn map_reduce<I, T, F, R>(&self, items: I, map: F, reduce: R) -> Result<Option<T>>
    where
        I: IntoIterator<Item: Send, IntoIter: Send>,
        T: Send,
        F: Fn(I::Item) -> T + Sync,
        R: Fn(T, T) -> T + Sync,
    {
        self.over(items).map_reduce(map, reduce)
    }

    /// The values of `body(x)` in order, while the pool works ahead. See [`Over::imap`].
    pub fn imap<I, T, F>(&self, items: I, body: F) -> Stream<T>
    where
        I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static>,
        T: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
    {
        self.over(items).imap(body)
    }

    /// [`imap`](Self::imap) with the values as they come. See [`Over::imap_unordered`].
    pub fn imap_unordered<I, T, F>(&self, items: I, body: F) -> Stream<T>
    where
        I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static>,
        T: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
    {
        self.over(items).imap_unordered(body)
    }

    /// Starts `body` on the pool. Tasks start in the order in which they are submitted from outside the pool.
    pub fn submit<T: Send + 'static>(&self, body: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        task::submit(self, || Ok(body()))
    }

    /// [`submit`](Self::submit) for a body that gives a `Result`: its error is the task's.
    pub fn try_submit<T: Send + 'static, E: Display>(
        &self,
        body: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Task<T> {
        task::submit(self, || body().map_err(|error| Error::Task { message: error.to_string() }))
    }

    /// Its threads, started if they were not.
    pub(super) fn workers(&self) -> Result<&Threads> {
        match self.0.size {
            None => Threads::global(),
            Some(size) => {
                let refused =
                    |_| Error::Config { name: "Pool::new", got: size.to_string(), expected: TOO_MANY };
                self.0.own.get_or_init(|| Threads::new(size).map_err(refused)).as_ref().map_err(Clone::clone)
            }
        }
    }

    /// Runs the initializer on the calling thread, if it has not run there.
    pub(super) fn prepare(&self) -> Result<()> {
        let Some(Init { call, number }) = &self.0.init else { return Ok(()) };
        if READY.with_borrow(|ready| ready.contains(number)) {
            return Ok(());
        }
        READY.with_borrow_mut(|ready| ready.push(*number));
        caught(|| call()).map_err(|message| {
            READY.with_borrow_mut(|ready| ready.retain(|other| other != number));
            Error::Task { message: format!("the pool's initializer {message}") }
        })
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.0.size).finish_non_exhaustive()
    }
}
