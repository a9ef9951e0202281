//! The SIMD lanes of every core, through one process-wide pool.
//!
//! A loop starts on the calling thread. Only when what is left of it is worth waking others for, judged by the speed just
//! measured, does the rest go to the pool, split in halves that idle workers steal. So a short loop costs what it costs on
//! one thread, whatever its body does, and no constant says how expensive a body is. Every element's result depends on that
//! element alone: where the splits are changes no bit.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::part::Part;

/// What a rest of the loop must take on one thread before it is worth the pool. Entering an idle pool from outside costs 5 to
/// 60 µs; measured with two threads, loops break even near 40 µs.
const BREAK_EVEN: Duration = Duration::from_micros(40);

/// What one piece handed to the pool takes, where the loop is long enough: a stolen piece costs about 1 µs.
const PIECE: Duration = Duration::from_micros(5);

/// Shorter measurements say more about the call than about the loop.
const MEASURABLE: Duration = Duration::from_micros(1);

/// Pieces per thread at least, in a loop long enough: elements may differ in cost (an escape-time loop, say).
const PIECES_PER_THREAD: usize = 8;

/// Splits are at multiples of this many elements, counted from the start of the part, so that pieces hold whole vectors.
const STEP: usize = 64;

/// Splits of pieces at least this long are at multiples of it: whole blocks of the SPMD interpreter.
const BLOCK: usize = 1024;

/// Rayon's own limit on most systems.
const MAX_THREADS: usize = 65_535;

/// A pool of threads.
#[derive(Debug)]
pub(crate) struct Threads {
    /// `None`: rayon's own pool, which other code in the process may use too.
    pool: Option<ThreadPool>,
}

impl Threads {
    /// The process-wide pool: `FORALL_THREADS` threads if that is set; otherwise rayon's, which the rest of the process may
    /// share, of `RAYON_NUM_THREADS` threads or one for each core this process may use (affinity and cgroup quota).
    ///
    /// # Errors
    /// [`Error::Config`] if `FORALL_THREADS` is no number of threads.
    pub(crate) fn global() -> Result<&'static Self> {
        static GLOBAL: OnceLock<Result<Threads>> = OnceLock::new();
        GLOBAL.get_or_init(Self::from_environment).as_ref().map_err(Clone::clone)
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
            .map(|pool| Self { pool: Some(pool) })
            .map_err(|_| config(&count.to_string(), "no more threads than the system starts"))
    }

    fn from_environment() -> Result<Self> {
        match std::env::var_os("FORALL_THREADS") {
            Some(text) if !text.is_empty() => Self::new(parse(&text.to_string_lossy())?),
            _ => Ok(Self { pool: None }),
        }
    }

    /// How many threads there are.
    pub(crate) fn count(&self) -> usize {
        self.pool.as_ref().map_or_else(rayon::current_num_threads, ThreadPool::current_num_threads)
    }

    /// Runs every element of `part` before it returns. Called from inside a pool, this one or any of rayon's, it runs on
    /// the calling thread: the others have work already.
    ///
    /// # Errors
    /// Those of the kernel's body; a closure has none.
    ///
    /// # Panics
    /// If a closure body does, after every piece that is under way has ended. The pool stays usable.
    pub(crate) fn run(&self, kernel: &Kernel, part: Part<'_>) -> Result<()> {
        if part.n <= STEP || rayon::current_thread_index().is_some() || self.count() == 1 {
            return kernel.run(part);
        }
        let n = part.n;
        let mut rest = part;
        let mut probe = STEP;
        while probe < rest.n {
            let (head, tail) = rest.split_at(probe);
            let begun = Instant::now();
            kernel.run(head)?;
            let taken = begun.elapsed();
            rest = tail;
            let left = taken.mul_f64(rest.n as f64 / probe as f64);
            if taken >= MEASURABLE && left > BREAK_EVEN {
                let piece = piece(taken, probe, n, self.count());
                return self.split(kernel, rest, piece);
            }
            probe *= 4;
        }
        kernel.run(rest)
    }

    /// Runs `part` in the pool, in pieces of at most `piece` elements.
    fn split(&self, kernel: &Kernel, part: Part<'_>, piece: usize) -> Result<()> {
        match &self.pool {
            Some(pool) => pool.install(|| halves(kernel, part, piece)),
            None => rayon::scope(|_| halves(kernel, part, piece)),
        }
    }
}

/// Elements per piece, from how long `probe` elements took, in a loop of `n` on `threads` threads.
fn piece(taken: Duration, probe: usize, n: usize, threads: usize) -> usize {
    let by_time = probe as f64 * PIECE.as_secs_f64() / taken.as_secs_f64();
    let piece = (by_time as usize).min(n / (PIECES_PER_THREAD * threads));
    let unit = if piece >= BLOCK { BLOCK } else { STEP };
    piece.next_multiple_of(unit).max(unit)
}

/// The part, in halves of halves, each a whole number of pieces but the last.
fn halves(kernel: &Kernel, part: Part<'_>, piece: usize) -> Result<()> {
    if part.n <= piece {
        return kernel.run(part);
    }
    let pieces = part.n.div_ceil(piece);
    let (low, high) = part.split_at(pieces / 2 * piece);
    let (low, high) = rayon::join(|| halves(kernel, low, piece), || halves(kernel, high, piece));
    low.and(high)
}

fn parse(text: &str) -> Result<usize> {
    match text.trim().parse() {
        Ok(count) if (1..=MAX_THREADS).contains(&count) => Ok(count),
        _ => Err(config(text, "a number of threads, 1 to 65535")),
    }
}

fn config(got: &str, expected: &'static str) -> Error {
    Error::Config { name: "FORALL_THREADS", got: got.to_owned(), expected }
}
