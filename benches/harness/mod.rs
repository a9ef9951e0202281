//! Times contenders against each other in one run and prints a table.
//!
//! The machines are noisy, so contenders are interleaved: every round runs each once, in an order that rotates, and a row shows the
//! median over the rounds. Ratios are between rows of one table, never across runs. Each row's answer is checked first, and a wrong
//! answer ends the bench.
//!
//! `cargo bench` measures. With `--test` (or under `cargo test --benches`) every row runs once, on small sizes, and only the answers count.

#![allow(dead_code, unreachable_pub, reason = "each bench is a crate that uses its own part of the harness")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use forall::{Backend, Dispatcher, Element, IntoArgs, Kernel, Policy, Result};

/// How long the rounds of one table take together, at most, and how many rounds there are at least.
const BUDGET: Duration = Duration::from_secs(4);
const MIN_ROUNDS: usize = 7;
const MAX_ROUNDS: usize = 101;
/// A sample shorter than this is repeated until it lasts so long: the clock's own cost vanishes.
const SAMPLE: Duration = Duration::from_micros(200);

/// Whether this run only checks answers.
pub fn testing() -> bool {
    let mut arguments = std::env::args();
    arguments.any(|argument| argument == "--test") || !std::env::args().any(|argument| argument == "--bench")
}

/// The sizes to measure, or small ones around the block edges when only the answers count.
pub fn sizes(measured: &[usize]) -> Vec<usize> {
    if testing() { vec![0, 1, 17, 1025] } else { measured.to_vec() }
}

/// One contender.
struct Row<'a> {
    name: String,
    run: Box<dyn FnMut() + 'a>,
}

/// The contenders of one loop at one size.
pub struct Table<'a> {
    title: String,
    n: usize,
    bytes: usize,
    rows: Vec<Row<'a>>,
}

impl<'a> Table<'a> {
    /// A table for `n` elements of which each reads and writes `bytes` bytes of arrays.
    pub fn new(title: &str, n: usize, bytes: usize) -> Self {
        Self { title: title.to_owned(), n, bytes, rows: Vec::new() }
    }

    /// Adds a contender; `run` does the whole loop once, and asserts its own answer the first time.
    pub fn row(&mut self, name: &str, run: impl FnMut() + 'a) {
        self.rows.push(Row { name: name.to_owned(), run: Box::new(run) });
    }

    /// Adds a kernel with one output; `check` sees the first answer.
    pub fn kernel<A, T>(
        &mut self,
        name: &str,
        forall: &'a Dispatcher,
        kernel: &'a Kernel,
        args: A,
        poison: T,
        check: impl Fn(&[T]) + 'a,
    ) where
        A: IntoArgs<'a> + Copy + 'a,
        T: Element,
    {
        let (mut out, mut checked) = (vec![poison; self.n], false);
        self.row(name, move || {
            forall.run(kernel, args, &mut out).unwrap_or_else(|error| panic!("{error}"));
            if !checked {
                check(&out);
                checked = true;
            }
        });
    }

    /// Adds a plain function that fills one output; `check` sees the first answer.
    pub fn function<T: Element>(
        &mut self,
        name: &str,
        poison: T,
        mut run: impl FnMut(&mut [T]) + 'a,
        check: impl Fn(&[T]) + 'a,
    ) {
        let (mut out, mut checked) = (vec![poison; self.n], false);
        self.row(name, move || {
            run(black_box(&mut out));
            if !checked {
                check(&out);
                checked = true;
            }
        });
    }

    /// Adds launches of a shader, or whatever else gives a result; `check` sees the first one, which is not timed.
    pub fn launches<R>(
        &mut self,
        name: &str,
        mut run: impl FnMut() -> Result<R> + 'a,
        check: impl Fn(R) + 'a,
    ) {
        let mut checked = false;
        self.row(name, move || {
            let result = black_box(run().unwrap_or_else(|error| panic!("{error}")));
            if !checked {
                check(result);
                checked = true;
            }
        });
    }

    /// Measures and prints. Ratios are against the first row (`naive scalar`) and against the row named `reference`.
    pub fn print(mut self, reference: &str) {
        let mut repeats = Vec::new();
        for row in &mut self.rows {
            (row.run)();
            let start = Instant::now();
            (row.run)();
            let once = start.elapsed().max(Duration::from_nanos(1));
            repeats.push((SAMPLE.as_nanos() / once.as_nanos()).clamp(1, 100_000) as usize);
        }
        if testing() {
            println!("{} n = {}: {} rows agree", self.title, self.n, self.rows.len());
            return;
        }

        let mut samples = vec![Vec::new(); self.rows.len()];
        let start = Instant::now();
        for round in 0..MAX_ROUNDS {
            if round >= MIN_ROUNDS && start.elapsed() > BUDGET {
                break;
            }
            for at in 0..self.rows.len() {
                let at = (at + round) % self.rows.len();
                let start = Instant::now();
                for _ in 0..repeats[at] {
                    (self.rows[at].run)();
                }
                samples[at].push(start.elapsed().as_secs_f64() * 1e9 / repeats[at] as f64);
            }
        }

        let medians: Vec<f64> = samples.iter_mut().map(|row| median(row)).collect();
        let naive = medians[0];
        let best = self.rows.iter().position(|row| row.name == reference).map(|at| medians[at]);
        println!("\n{}  n = {}  ({} rounds)", self.title, self.n, samples[0].len());
        println!(
            "  {:<26} {:>12} {:>12} {:>9} {:>10} {:>14}",
            "",
            "per call",
            "ns/element",
            "GB/s",
            "vs naive",
            format!("vs {reference}")
        );
        for (row, &ns) in self.rows.iter().zip(&medians) {
            let per = ns / self.n.max(1) as f64;
            let rate = self.bytes as f64 / per;
            let against = best.map_or("–".to_owned(), |best| format!("{:.2}×", ns / best));
            println!(
                "  {:<26} {:>12} {per:>12.4} {rate:>9.1} {:>9.2}× {against:>14}",
                row.name,
                time(ns),
                ns / naive
            );
        }
    }
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn time(ns: f64) -> String {
    match ns {
        _ if ns < 1e3 => format!("{ns:.0} ns"),
        _ if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        _ => format!("{:.2} ms", ns / 1e6),
    }
}

/// Random floats in `[low, high)`, the same in every run: SplitMix64 (Steele, Lea and Flood, 2014).
pub fn random(n: usize, seed: u64, low: f32, high: f32) -> Vec<f32> {
    let mut state = seed;
    (0..n)
        .map(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            low + (high - low) * ((z >> 40) as f32 / (1_u64 << 24) as f32)
        })
        .collect()
}

/// Random words, the same in every run.
pub fn random_words(n: usize, seed: u64) -> Vec<u32> {
    // Two numbers of 24 bits give one of 32.
    let halves = random(2 * n, seed, 0.0, 65_536.0);
    halves.chunks_exact(2).map(|half| (half[0] as u32) << 16 | half[1] as u32).collect()
}

/// Hides a value from the optimiser, so that a loop over it is not moved out of the timing.
pub fn opaque<T>(value: T) -> T {
    black_box(value)
}

/// The dispatchers to measure: each CPU backend, and the GPU where there is one.
pub fn backends() -> Vec<(&'static str, Dispatcher)> {
    let only = |backend| Dispatcher::new().with_policy(Policy::Only(backend));
    let mut all = vec![("WGSL on simd", only(Backend::Simd)), ("WGSL on threads", only(Backend::Threads))];
    let probe = Kernel::map("fn probe(x: f32) -> f32 { return x; }").expect("valid WGSL");
    let gpu = only(Backend::Gpu);
    match gpu.plan(&probe, &[0.0_f32], &mut [0.0_f32]) {
        Ok(_) => all.push(("WGSL on gpu", gpu)),
        Err(error) => skipped(&error.to_string()),
    }
    all
}

/// The one-thread dispatcher that closures are measured on.
pub fn one_thread() -> Dispatcher {
    Dispatcher::new().with_policy(Policy::Only(Backend::Simd))
}

fn skipped(reason: &str) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| println!("no GPU row: {reason}"));
}

/// Asserts that every element of `got` is within `bound(expected)` of `expected`.
pub fn close(what: &str, got: &[f32], expected: &[f32], bound: impl Fn(f32) -> f32) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    for (i, (&g, &e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= bound(e), "{what}: element {i} is {g}, expected {e} within {}", bound(e));
    }
}

/// Asserts that at most one in `one_in` elements differs: for results that jump where a rounding decides a branch.
pub fn nearly_equal(what: &str, got: &[u32], expected: &[u32], one_in: usize) {
    let differing = got.iter().zip(expected).filter(|(g, e)| g != e).count();
    assert!(differing * one_in <= got.len(), "{what}: {differing} of {} elements differ", got.len());
}
