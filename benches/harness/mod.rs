//! Times contenders against each other in one run and prints a table.
//!
//! The machines are noisy, so contenders are interleaved: every round runs each once, in an order that rotates, and a row shows the
//! median over the rounds. Ratios are between rows of one table, never across runs. Each row's answer is checked first, and a wrong
//! answer ends the bench.
//!
//! `cargo bench` measures. With `--test` (or under `cargo test --benches`) every row runs once, on small sizes, and only the answers count.

use std::hint::black_box;
use std::time::{Duration, Instant};

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
pub struct Row<'a> {
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
    pub fn row(&mut self, name: &str, run: impl FnMut() + 'a) -> &mut Self {
        self.rows.push(Row { name: name.to_owned(), run: Box::new(run) });
        self
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
            "", "per call", "ns/element", "GB/s", "vs naive", format!("vs {reference}")
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

/// Keeps an output alive.
pub fn keep<T: ?Sized>(value: &mut T) {
    black_box(value);
}
