//! The SIMD lanes of every core, through one process-wide pool.
//!
//! A loop starts on the calling thread. Only when what is left of it is worth waking others for, judged by the speed just
//! measured, are workers of the pool called to help; the caller goes on meanwhile, and everybody takes the next piece from the
//! front of what is left (`pieces`). So a short loop costs what it costs on one thread, whatever its body does, no constant
//! says how expensive a body is, and pieces start in ascending order. Where the cuts are changes no bit of an element-wise
//! loop: every element's result depends on that element alone.

mod pieces;
#[cfg(target_os = "linux")]
mod seats;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::error::Error as _;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub(crate) use rayon::Scope;
use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::part::Part;

use pieces::{Pieces, Rest};
use seats::Seats;

/// What a rest of the loop must take on one thread before it is worth the pool. Entering an idle pool from outside costs 5 to
/// 60 µs; measured with two threads, loops break even near 40 µs.
pub(crate) const BREAK_EVEN: Duration = Duration::from_micros(40);

/// What one piece handed to the pool takes, where the loop is long enough: a stolen piece costs about 1 µs.
pub(crate) const PIECE: Duration = Duration::from_micros(50);

/// A worker wakes within 20 to 60 µs on an idle CPU. One that has not started after so long waits for a CPU.
const LATE: Duration = Duration::from_micros(100);

/// So long does the caller look out for the last pieces to end before it goes to sleep.
const LINGER: Duration = Duration::from_micros(60);

/// Shorter measurements say more about the call than about the loop.
const MEASURABLE: Duration = Duration::from_micros(1);

/// Pieces per thread at least, in a loop long enough: elements may differ in cost (an escape-time loop, say).
pub(crate) const PIECES_PER_THREAD: u64 = 8;

/// So many jobs does a waiting worker run before it looks again at what it waits for.
const MAX_HELP: usize = 256;

/// So many jobs, each of which has made way for the next, lie on the stack of a worker at most.
const MAX_WAYS: usize = 8;

/// What is wrong where the system starts none.
pub(crate) const TOO_MANY: &str = "no more threads than the system starts";

/// More threads than cores help nobody, and a pool of tens of thousands takes minutes to start.
pub(crate) const MAX_THREADS: usize = 1024;

/// How many threads the process-wide pool has, which [`Backend::Threads`](crate::Backend::Threads) runs loops on.
///
/// # Errors
/// [`Error::Config`] if `FORALL_THREADS` is no number of threads.
pub fn pool_threads() -> Result<usize> {
    Threads::global().map(Threads::count)
}

/// The process-wide pool.
static GLOBAL: OnceLock<Result<Threads>> = OnceLock::new();

/// A pool of threads.
#[derive(Debug)]
pub(crate) struct Threads {
    /// `None`: rayon's own pool, which other code in the process may use too.
    pool: Option<ThreadPool>,
    /// Jobs on their way that may keep a worker for long: a loop does not wait for those workers.
    busy: Arc<AtomicUsize>,
}

/// What several threads work on together.
pub(crate) trait Work: Sync {
    /// Does the next piece, on whatever thread; whether there was one. Where it makes [`more`](Self::more) true again, `call` brings
    /// back a thread that found nothing to do and left.
    fn step(&self, call: &dyn Fn()) -> bool;

    /// Whether there is something for one more thread to do.
    fn more(&self) -> bool;
}

impl Threads {
    /// The process-wide pool: `FORALL_THREADS` threads if that is set; otherwise rayon's, which the rest of the process may
    /// share, of `RAYON_NUM_THREADS` threads or one for each core this process may use (affinity and cgroup quota).
    ///
    /// # Errors
    /// [`Error::Config`] if `FORALL_THREADS` is no number of threads.
    pub(crate) fn global() -> Result<&'static Self> {
        GLOBAL.get_or_init(Self::from_environment).as_ref().map_err(Clone::clone)
    }

    /// The same, if it has started: that takes some 0.1 to 0.2 ms, which short loops do without.
    ///
    /// # Errors
    /// As [`global`](Self::global), whether it has or not.
    pub(crate) fn started() -> Result<Option<&'static Self>> {
        match GLOBAL.get() {
            Some(pool) => pool.as_ref().map(Some).map_err(Clone::clone),
            None => configured().map(|_| None),
        }
    }

    /// A pool of its own.
    ///
    /// # Errors
    /// [`Error::Config`] if the system starts no more threads.
    pub(crate) fn new(count: usize) -> Result<Self> {
        ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|k| format!("forall-{k}"))
            .build()
            .map(|pool| Self { pool: Some(pool), busy: Arc::default() })
            .map_err(|_| config(&count.to_string(), TOO_MANY))
    }

    fn from_environment() -> Result<Self> {
        match configured()? {
            Some(count) => Self::new(count),
            // Where the system starts no threads rayon would panic at its first use. That it runs already is no error here.
            None => match ThreadPoolBuilder::new().build_global() {
                Err(error) if error.source().is_some() => Err(Error::Config {
                    name: "RAYON_NUM_THREADS",
                    got: std::env::var("RAYON_NUM_THREADS").unwrap_or_default(),
                    expected: TOO_MANY,
                }),
                _ => Ok(Self { pool: None, busy: Arc::default() }),
            },
        }
    }

    /// Whether the calling thread works on a shared loop already, or for a pool, this one or any of rayon's.
    pub(crate) fn inside() -> bool {
        SHARING.get() || Self::on_worker()
    }

    /// Whether the calling thread is a worker of this pool. Any worker may stand in for one of the process-wide pool.
    pub(crate) fn is_here(&self) -> bool {
        self.pool
            .as_ref()
            .map_or_else(rayon::current_thread_index, ThreadPool::current_thread_index)
            .is_some()
    }

    /// Whether the calling thread is a worker of whatever pool.
    pub(crate) fn on_worker() -> bool {
        rayon::current_thread_index().is_some()
    }

    /// Whether the calling thread is in [`help_out`](Self::help_out).
    pub(crate) fn helping() -> bool {
        HELPING.get()
    }

    /// On a worker, runs the jobs that wait for one and returns: for a worker that waits for another thread, which may in turn wait
    /// for a worker. What these jobs wait for may be what waits here, further down the stack; so a job that waits for others, or
    /// that can be done later or elsewhere, asks [`helping`](Self::helping) and leaves it.
    pub(crate) fn help_out() {
        let before = HELPING.replace(true);
        for _ in 0..MAX_HELP {
            if rayon::yield_now() != Some(Yield::Executed) {
                break;
            }
        }
        HELPING.set(before);
    }

    /// On a worker, between two pieces of a long job: lets one other job that waits for a worker run. That one may make way too, on the
    /// same stack, and so on, but not without end.
    pub(crate) fn make_way() {
        let depth = WAYS.get();
        if depth < MAX_WAYS {
            WAYS.set(depth + 1);
            rayon::yield_now();
            WAYS.set(depth);
        }
    }

    /// Runs `job` on a worker, some time. A panic that leaves it ends the process.
    pub(crate) fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        let busy = Busy::begin(&self.busy);
        let job = move || {
            let _busy = busy;
            job();
        };
        match &self.pool {
            Some(pool) => pool.spawn(job),
            None => rayon::spawn(job),
        }
    }

    /// Calls `f` here with a scope in which to [`spawn_in`](Self::spawn_in) jobs that borrow, and returns when they have ended.
    pub(crate) fn scope<'scope, R>(&self, f: impl FnOnce(&Scope<'scope>) -> R) -> R {
        match &self.pool {
            Some(pool) => pool.in_place_scope(f),
            None => rayon::in_place_scope(f),
        }
    }

    /// Runs `job` on a worker before the scope ends.
    pub(crate) fn spawn_in<'scope>(&self, scope: &Scope<'scope>, job: impl FnOnce() + Send + 'scope) {
        let busy = Busy::begin(&self.busy);
        scope.spawn(move |_| {
            let _busy = busy;
            job();
        });
    }

    /// How many threads work at once, the caller's among them.
    pub(crate) fn count(&self) -> usize {
        self.pool.as_ref().map_or_else(rayon::current_num_threads, ThreadPool::current_num_threads)
    }

    /// Runs every element of `part` before it returns; tells whether the pool took part. Called from inside a shared loop or a
    /// pool, this one or any of rayon's, it runs on the calling thread: the others have work already.
    ///
    /// # Errors
    /// Those of the kernel's body; a closure has none.
    ///
    /// # Panics
    /// If a closure body does, after every piece that is under way has ended. The pool stays usable.
    pub(crate) fn run(&self, kernel: &Kernel, part: Part<'_>) -> Result<bool> {
        let grain = Grain { unit: kernel.width() as u64, block: kernel.block() as u64 };
        self.each(Some(part), grain, &|piece| counted(kernel, piece))
    }

    /// Runs `body` on ranges that cover `0..count`, each number once, before it returns; tells whether the pool took part. Ranges
    /// are of `grain` numbers at least (but the last), start in ascending order, and each runs to its end on one thread, so a
    /// body may wait for what an earlier number does. Inside a shared loop or a pool everything runs on the calling thread.
    ///
    /// # Errors
    /// An error of the body, after every range that is under way has ended; no range is started any more.
    ///
    /// # Panics
    /// If the body does, in the same way. The pool stays usable.
    pub(crate) fn for_pieces(
        &self,
        count: u64,
        grain: u64,
        body: &(dyn Fn(Range<u64>) -> Result<()> + Sync),
    ) -> Result<bool> {
        let grain = grain.max(1);
        self.each(0..count, Grain { unit: grain, block: grain }, &|piece| body(piece))
    }

    /// Runs the first elements here and measures them, then more; calls for help as soon as what is left is worth it.
    fn each<R: Rest>(
        &self,
        mut rest: R,
        grain: Grain,
        body: &(impl Fn(R::Piece) -> Result<()> + Sync),
    ) -> Result<bool> {
        let n = rest.left();
        let alone = Self::inside() || self.count() == 1;
        let mut probe = grain.unit;
        while !alone && probe < rest.left() {
            let begun = Instant::now();
            body(rest.take(probe))?;
            let taken = begun.elapsed();
            let left = taken.mul_f64(rest.left() as f64 / probe as f64);
            // The first probe is mostly the first call's own cost, unless it is worth sharing all by itself.
            let measurable = if probe == grain.unit { BREAK_EVEN } else { MEASURABLE };
            if taken >= measurable && left > BREAK_EVEN {
                let helpers = helpers(left, self.count());
                let length = grain.piece(taken, probe, n, helpers + 1);
                return self.share(Pieces::new(rest, length), helpers, body).map(|()| true);
            }
            probe = probe.saturating_mul(16);
        }
        match rest.left() {
            0 => Ok(false),
            left => body(rest.take(left)).map(|()| false),
        }
    }

    /// Works through the pieces here and on `helpers` workers of the pool, or fewer if there are fewer pieces.
    ///
    /// The caller stays outside the pool and works itself: a caller that sleeps while workers run has to be woken, and they have
    /// to be woken first.
    fn share<R: Rest>(
        &self,
        pieces: Pieces<R>,
        helpers: usize,
        body: &(impl Fn(R::Piece) -> Result<()> + Sync),
    ) -> Result<()> {
        // One piece is the caller's.
        let helpers = helpers.min(pieces.left().saturating_sub(1) as usize);
        let cut = Cut { pieces, body };
        self.together(&cut, helpers);
        cut.pieces.outcome()
    }

    /// Does `work` here and on up to `helpers` workers of the pool, until nothing is left and nobody is at work on it.
    ///
    /// # Panics
    /// If a step does, after every other step that is under way has ended.
    pub(crate) fn together(&self, work: &impl Work, helpers: usize) {
        // A worker that is called has to come before this returns: none is called who would have to end something else first.
        let free = self.count().saturating_sub(self.busy.load(Ordering::Relaxed));
        let crew = Crew {
            work,
            wanted: AtomicUsize::new(helpers.min(free)),
            called: AtomicUsize::new(0),
            come: AtomicUsize::new(0),
            gone: AtomicUsize::new(0),
            seats: Seats::default(),
        };
        self.scope(|scope| crew.lead(scope));
    }
}

/// A loop cut into pieces, and its body.
struct Cut<'a, R, B> {
    pieces: Pieces<R>,
    body: &'a B,
}

impl<R: Rest, B: Fn(R::Piece) -> Result<()> + Sync> Work for Cut<'_, R, B> {
    fn step(&self, _: &dyn Fn()) -> bool {
        self.pieces.step(self.body)
    }

    fn more(&self) -> bool {
        self.pieces.left() > 0
    }
}

/// A job on its way, from when it is handed to the pool until it has ended.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Who works on one shared loop.
struct Crew<'a, W> {
    work: &'a W,
    /// Workers of the pool that are still to be called.
    wanted: AtomicUsize,
    /// Workers called so far, and how many of them have started and ended.
    called: AtomicUsize,
    come: AtomicUsize,
    gone: AtomicUsize,
    seats: Seats,
}

impl<W: Work> Crew<'_, W> {
    /// The caller's share.
    fn lead<'scope>(&'scope self, scope: &Scope<'scope>) {
        self.seats.claim();
        self.call(scope);
        let _sharing = Sharing::begin();
        let begun = Instant::now();
        let mut more = true;
        let absent = || self.come.load(Ordering::Relaxed) == 0 && self.called.load(Ordering::Relaxed) > 0;
        while more && absent() && begun.elapsed() < LATE {
            more = self.step(scope);
        }
        if more && absent() {
            // The worker may wait behind this thread, on the same CPU: let it by, and it moves away. A yield would do, but costs
            // this thread its whole turn where other processes want the CPU.
            std::thread::sleep(Duration::from_micros(1));
        }
        while self.step(scope) {}
        self.wanted.fetch_add(1, Ordering::Relaxed);
        // Asleep, this thread would be woken a moment later, which takes as long as a piece. But a worker that has not come yet may
        // need this CPU.
        let begun = Instant::now();
        let called = self.called.load(Ordering::Acquire);
        while self.come.load(Ordering::Acquire) == called
            && self.gone.load(Ordering::Acquire) < called
            && begun.elapsed() < LINGER
        {
            std::hint::spin_loop();
        }
    }

    /// A worker's share. It calls two more first: waking one takes microseconds, so the caller does not wake them all.
    fn help<'scope>(&'scope self, scope: &Scope<'scope>) {
        self.come.fetch_add(1, Ordering::Release);
        if !Threads::helping() {
            self.call(scope);
            self.call(scope);
            self.seats.settle();
            while self.step(scope) {}
            self.wanted.fetch_add(1, Ordering::Relaxed);
        }
        self.gone.fetch_add(1, Ordering::Release);
    }

    fn step<'scope>(&'scope self, scope: &Scope<'scope>) -> bool {
        self.work.step(&|| self.call(scope))
    }

    /// Calls a worker, if one more is wanted and something is left for it.
    fn call<'scope>(&'scope self, scope: &Scope<'scope>) {
        let claim = |wanted: usize| wanted.checked_sub(1);
        if self.wanted.load(Ordering::Relaxed) > 0
            && self.work.more()
            && self.wanted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).is_ok()
        {
            self.called.fetch_add(1, Ordering::AcqRel);
            scope.spawn(|scope| self.help(scope));
        }
    }
}

thread_local! {
    /// Whether this thread shares a loop of its own with the pool, and is at work on it.
    static SHARING: Cell<bool> = const { Cell::new(false) };

    /// Whether this worker runs other jobs while it waits.
    static HELPING: Cell<bool> = const { Cell::new(false) };

    /// How many jobs on the stack of this worker have made way.
    static WAYS: Cell<usize> = const { Cell::new(0) };
}

/// While it lives, the thread counts as one at work on a shared loop.
struct Sharing;

impl Sharing {
    fn begin() -> Self {
        SHARING.set(true);
        Self
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        SHARING.set(false);
    }
}

#[cfg(not(target_os = "linux"))]
mod seats {
    /// The cure is for what Linux does; elsewhere a thread stays where the system puts it.
    #[derive(Default)]
    pub(super) struct Seats;

    impl Seats {
        pub(super) fn claim(&self) {}
        pub(super) fn settle(&self) {}
    }
}

/// How a loop may be cut.
#[derive(Clone, Copy)]
struct Grain {
    /// So many elements take no longer than one.
    unit: u64,
    /// So many at once are the cheapest, each: longer pieces are whole blocks. With pieces of 64, `logistic_map` on two threads
    /// took five times what it took on one (`cargo bench --bench logistic_map`); halves of a block cost it a third more.
    block: u64,
}

impl Grain {
    /// Elements per piece, from how long `probe` elements took, in a loop of `n` on `threads` threads.
    fn piece(self, taken: Duration, probe: u64, n: u64, threads: usize) -> u64 {
        let by_time = (probe as f64 * PIECE.as_secs_f64() / taken.as_secs_f64()) as u64;
        // Many pieces, but none so short that it wastes what is computed together, while every thread still gets two whole blocks,
        // or at least one piece.
        let threads = threads as u64;
        let fair = (n / (PIECES_PER_THREAD * threads))
            .max(self.block.min(n / threads / 2))
            .max((2 * self.unit).min(n / threads));
        let piece = by_time.max(self.block).min(fair);
        let whole = if piece >= self.block { self.block } else { self.unit };
        piece.next_multiple_of(whole).max(whole)
    }
}

/// Workers worth calling, for what takes `left` on one thread: none that would have less to do than calling it costs.
fn helpers(left: Duration, count: usize) -> usize {
    ((left.as_secs_f64() / BREAK_EVEN.as_secs_f64()) as usize).clamp(1, count - 1)
}

/// Runs a part on the calling thread and counts its elements.
fn counted(kernel: &Kernel, mut part: Part<'_>) -> Result<()> {
    let (n, progress) = (part.n, part.progress.take());
    kernel.run(part)?;
    if let Some(progress) = progress {
        progress.add(n);
    }
    Ok(())
}

/// What `FORALL_THREADS` says.
fn configured() -> Result<Option<usize>> {
    match std::env::var_os("FORALL_THREADS") {
        Some(text) if !text.is_empty() => parse(&text.to_string_lossy()).map(Some),
        _ => Ok(None),
    }
}

fn parse(text: &str) -> Result<usize> {
    match text.trim().parse() {
        Ok(count) if (1..=MAX_THREADS).contains(&count) => Ok(count),
        _ => Err(config(text, "a number of threads, 1 to 1024")),
    }
}

fn config(got: &str, expected: &'static str) -> Error {
    Error::Config { name: "FORALL_THREADS", got: got.to_owned(), expected }
}
