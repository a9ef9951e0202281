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
const PIECE: Duration = Duration::from_micros(50);

/// Shorter measurements say more about the call than about the loop.
const MEASURABLE: Duration = Duration::from_micros(1);

/// Pieces per thread at least, in a loop long enough: elements may differ in cost (an escape-time loop, say).
const PIECES_PER_THREAD: usize = 8;

/// A whole block of the SPMD interpreter, which pays its dispatch per block and not per element: pieces are no shorter where
/// the loop is long enough, and of whole blocks where they are longer. With pieces of 64, `logistic_map` on two threads took
/// five times what it took on one (`cargo bench --bench logistic_map`).
const BLOCK: usize = 1024;

/// Rayon's own limit on most systems.
const MAX_THREADS: usize = 65_535;

/// How many threads the process-wide pool has, which [`Backend::Threads`](crate::Backend::Threads) runs loops on.
///
/// # Errors
/// [`Error::Config`] if `FORALL_THREADS` is no number of threads.
pub fn pool_threads() -> Result<usize> {
    Threads::global().map(Threads::count)
}

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

    /// Whether the calling thread works for a pool, this one or any of rayon's.
    pub(crate) fn inside() -> bool {
        rayon::current_thread_index().is_some()
    }

    /// How many threads there are.
    pub(crate) fn count(&self) -> usize {
        self.pool.as_ref().map_or_else(rayon::current_num_threads, ThreadPool::current_num_threads)
    }

    /// Runs every element of `part` before it returns; tells whether the pool took part. Called from inside a pool, this one
    /// or any of rayon's, it runs on the calling thread: the others have work already.
    ///
    /// # Errors
    /// Those of the kernel's body; a closure has none.
    ///
    /// # Panics
    /// If a closure body does, after every piece that is under way has ended. The pool stays usable.
    pub(crate) fn run(&self, kernel: &Kernel, part: Part<'_>) -> Result<bool> {
        if !Self::inside() && self.count() > 1 {
            return self.start(kernel, part);
        }
        counted(kernel, part).map(|()| false)
    }

    /// Runs the first elements here and measures them, then more; hands over what is left as soon as that is worth it.
    fn start(&self, kernel: &Kernel, part: Part<'_>) -> Result<bool> {
        let (n, lanes) = (part.n, kernel.width());
        let mut rest = part;
        let mut probe = lanes;
        while probe < rest.n {
            let (head, tail) = rest.split_at(probe);
            let begun = Instant::now();
            counted(kernel, head)?;
            let taken = begun.elapsed();
            rest = tail;
            let left = taken.mul_f64(rest.n as f64 / probe as f64);
            // The first probe is mostly the first call's own cost, unless it is worth sharing all by itself.
            let measurable = if probe == lanes { BREAK_EVEN } else { MEASURABLE };
            if taken >= measurable && left > BREAK_EVEN {
                let piece = piece(taken, probe, n, self.count(), lanes);
                return self.split(kernel, rest, piece).map(|()| true);
            }
            probe *= 16;
        }
        counted(kernel, rest).map(|()| false)
    }

    /// Runs `part` in the pool, in pieces of at most `piece` elements.
    fn split(&self, kernel: &Kernel, part: Part<'_>, piece: usize) -> Result<()> {
        match &self.pool {
            Some(pool) => pool.install(|| halves(kernel, part, piece)),
            None => rayon::scope(|_| halves(kernel, part, piece)),
        }
    }
}

/// Elements per piece, from how long `probe` elements took, in a loop of `n` on `threads` threads, of which `lanes` take no
/// longer than one.
fn piece(taken: Duration, probe: usize, n: usize, threads: usize, lanes: usize) -> usize {
    let by_time = probe as f64 * PIECE.as_secs_f64() / taken.as_secs_f64();
    // Many pieces, but none so short that it wastes what is computed together, while every thread still gets one.
    let fair = (n / (PIECES_PER_THREAD * threads)).max((2 * lanes).min(n / threads));
    let piece = (by_time as usize).max(BLOCK).min(fair);
    let unit = if piece >= BLOCK { BLOCK } else { lanes };
    piece.next_multiple_of(unit).max(unit)
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

/// The part, in halves of halves, each a whole number of pieces but the last.
fn halves(kernel: &Kernel, part: Part<'_>, piece: usize) -> Result<()> {
    if part.n <= piece {
        return counted(kernel, part);
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::thread::ThreadId;

    use super::*;

    /// A piece of several vectors, less than a block.
    const STEP: usize = 64;
    use crate::launch::{self, IntoArgs, IntoOutputs};
    use crate::part::Index;

    fn part<'a>(kernel: &Kernel, args: impl IntoArgs<'a>, outputs: impl IntoOutputs<'a>) -> Part<'a> {
        launch::check(kernel.signature(), args.into_args(), outputs.into_outputs()).unwrap()
    }

    fn kernels() -> [Kernel; 3] {
        [
            Kernel::scalar("scalar", |i: u32, x: f32, a: f32| (a * x + i as f32, i)),
            Kernel::lanes("lanes", |i: wide::u32x8, x: wide::f32x8, a: wide::f32x8| {
                (a * x + wide::f32x8::new(i.to_array().map(|i| i as f32)), i)
            }),
            Kernel::scalar("sqrt", |i: u32, x: f32, a: f32| ((a / x).sqrt(), i)),
        ]
    }

    #[test]
    fn every_split_gives_the_bits_of_one_thread() {
        let pools = [1, 2, 7].map(|count| Threads::new(count).unwrap());
        assert_eq!(pools.each_ref().map(Threads::count), [1, 2, 7]);
        for kernel in kernels() {
            for n in [0, 1, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 5000] {
                let x: Vec<f32> = (0..n).map(|i| (i as f32 - 70.0) * 1.7).collect();
                let (mut expected, mut indices) = (vec![f32::NAN; n], vec![7_u32; n]);
                kernel.run(part(&kernel, (Index, &x, 0.3_f32), (&mut expected, &mut indices))).unwrap();
                assert!(indices.iter().enumerate().all(|(i, index)| *index == i as u32));
                let bits: Vec<u32> = expected.iter().map(|x| x.to_bits()).collect();
                for pool in &pools {
                    for piece in [STEP, 3 * STEP, BLOCK, usize::MAX] {
                        let (mut out, mut again) = (vec![f32::from_bits(0xA5A5_A5A5); n], vec![7_u32; n]);
                        let part = part(&kernel, (Index, &x, 0.3_f32), (&mut out, &mut again));
                        if piece == usize::MAX {
                            pool.run(&kernel, part).unwrap();
                        } else {
                            pool.split(&kernel, part, piece).unwrap();
                        }
                        assert!(
                            out.iter().zip(&bits).all(|(out, bits)| out.to_bits() == *bits),
                            "{}: {n}",
                            kernel.name()
                        );
                        assert_eq!(again, indices);
                    }
                }
            }
        }
    }

    #[test]
    fn pieces_start_at_whole_steps() {
        let starts = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&starts);
        let kernel = Kernel::chunk("k").output::<u32>("out").body(move |chunk| {
            seen.lock().unwrap().push((chunk.start(), chunk.len()));
            chunk.output::<u32>("out").fill(1);
        });
        let pool = Threads::new(3).unwrap();
        let mut out = vec![0_u32; 10 * STEP + 5];
        pool.split(&kernel, part(&kernel, (), &mut out), 2 * STEP).unwrap();
        let mut pieces = std::mem::take(&mut *starts.lock().unwrap());
        pieces.sort_unstable();
        let expected: Vec<_> = (0..5).map(|k| (2 * STEP * k, 2 * STEP)).chain([(10 * STEP, 5)]).collect();
        assert_eq!(pieces, expected);
        assert!(out.iter().all(|o| *o == 1));
    }

    /// A kernel whose every element takes `time`, and the threads that ran it.
    fn slow(time: Duration) -> (Kernel, Arc<Mutex<Vec<ThreadId>>>) {
        let threads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&threads);
        let kernel = Kernel::scalar("slow", move |x: u32| {
            let begun = Instant::now();
            while begun.elapsed() < time {
                std::hint::spin_loop();
            }
            seen.lock().unwrap().push(std::thread::current().id());
            x
        });
        (kernel, threads)
    }

    fn distinct(threads: &Mutex<Vec<ThreadId>>) -> usize {
        threads.lock().unwrap().iter().collect::<std::collections::HashSet<_>>().len()
    }

    #[test]
    fn short_loops_stay_on_the_calling_thread_and_long_ones_spread() {
        let pool = Threads::new(2).unwrap();
        let mut out = vec![0_u32; 2000];
        let (kernel, threads) = slow(Duration::ZERO);
        pool.run(&kernel, part(&kernel, Index, &mut out[..STEP])).unwrap();
        assert_eq!(*threads.lock().unwrap(), vec![std::thread::current().id(); STEP]);

        let (kernel, threads) = slow(Duration::from_micros(20));
        pool.run(&kernel, part(&kernel, Index, &mut out)).unwrap();
        // The caller for the first elements, then both threads of the pool.
        assert_eq!(distinct(&threads), 3);

        // A few elements are worth sharing too, when they are slow: all but the first, which tells that they are.
        let (kernel, threads) = slow(Duration::from_millis(2));
        assert_eq!(pool.run(&kernel, part(&kernel, Index, &mut out[..9])), Ok(true));
        assert_eq!(distinct(&threads), 3);
        assert!(out[..9].iter().enumerate().all(|(i, o)| *o == i as u32));
    }

    #[test]
    fn a_loop_inside_a_loop_runs_on_the_worker_that_starts_it() {
        let pool = Arc::new(Threads::new(2).unwrap());
        let inner_pool = Arc::clone(&pool);
        let strayed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&strayed);
        let outer = Kernel::scalar("outer", move |x: u32| {
            let (inner, threads) = slow(Duration::from_micros(1));
            let mut out = vec![0_u32; 200];
            inner_pool.run(&inner, part(&inner, Index, &mut out)).unwrap();
            let me = std::thread::current().id();
            count
                .fetch_add(threads.lock().unwrap().iter().filter(|id| **id != me).count(), Ordering::Relaxed);
            x + out[199]
        });
        let mut out = vec![0_u32; 200];
        pool.split(&outer, part(&outer, Index, &mut out), STEP).unwrap();
        assert!(out.iter().enumerate().all(|(i, o)| *o == i as u32 + 199));
        assert_eq!(strayed.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Threads::new(2).unwrap();
        for bad in [0, 1, 500, 1999] {
            let kernel = Kernel::scalar("panics", move |x: u32| {
                assert!(x != bad, "element {x} is bad");
                x
            });
            let mut out = vec![0_u32; 2000];
            let run = || pool.split(&kernel, part(&kernel, Index, &mut out), STEP);
            let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            assert_eq!(*panic.downcast::<String>().unwrap(), format!("element {bad} is bad"));
        }
        let kernel = Kernel::scalar("well", |x: u32| x);
        let mut out = vec![0_u32; 2000];
        pool.split(&kernel, part(&kernel, Index, &mut out), STEP).unwrap();
        assert!(out.iter().enumerate().all(|(i, o)| *o == i as u32));
    }

    #[test]
    fn thread_counts() {
        assert_eq!(parse(" 7 "), Ok(7));
        for text in ["0", "-1", "many", "65536", "1.5", ""] {
            assert_eq!(parse(text), Err(config(text, "a number of threads, 1 to 65535")));
        }
    }

    #[test]
    fn pieces_follow_the_cost_and_the_number_of_threads() {
        // 10 ns an element: 5000 of them are 50 µs, in whole blocks.
        assert_eq!(piece(Duration::from_micros(10), 1000, 10_000_000, 2, 16), 5 * BLOCK);
        // Slow elements: still a whole block.
        assert_eq!(piece(Duration::from_millis(1), 64, 10_000_000, 2, 16), BLOCK);
        // Never so few pieces that one slow one decides.
        assert_eq!(piece(Duration::from_micros(10), 100_000, 32 * BLOCK, 2, 16), 2 * BLOCK);
        // A short loop of slow elements is shared all the same, in whole vectors where there are vectors.
        assert_eq!(piece(Duration::from_secs(1), 1, 10_000, 2, 16), 640);
        assert_eq!(piece(Duration::from_secs(1), 1, 64, 2, 16), 32);
        assert_eq!(piece(Duration::from_secs(1), 1, 2048, 2, 256), 512);
        assert_eq!(piece(Duration::from_secs(1), 1, 64, 2, 1), 4);
        assert_eq!(piece(Duration::from_secs(1), 1, 3, 2, 1), 1);
    }
}
