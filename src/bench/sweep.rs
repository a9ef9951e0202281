//! Measures loops over sizes: who runs when, for how long, and whether what it computed is right.
//!
//! The machines are noisy, so nothing is compared that was not measured side by side. At a size, every round takes one sample of each
//! contender, in random order; a sample is one call, or as many as take a tenth of a millisecond. Sizes come in random order too. The
//! first calls of each are dropped. A size is left when every median is known well enough, or its share of the time is used up;
//! those that are not known well enough are visited again, in later minutes, while there is time.
//!
//! Every contender's results are compared with those of the `simd` backend before it is timed: CPU backends bit by bit.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::loops::{Call, Data, Output, Random, Side, Work, Workload};
use super::regret::Cost;
use super::results::{
    Absent, Crossover, Dispatched, Loop, Machine, Point, Regret, Results, SCHEMA, Settings, Size, Streak,
    Timing,
};
use crate::backend::{Backend, Policy};
use crate::cancel::Cancel;
use crate::date;
use crate::dispatch::Dispatcher;
use crate::error::{Error, Result};

#[cfg(test)]
mod tests;

/// Loops, sizes and contenders to be measured.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use forall::bench::{Sweep, Workload};
///
/// let saxpy = Workload::named("saxpy")?.expect("a shipped loop");
/// let results = Sweep::new(vec![saxpy]).with_sizes(10, 10_000).with_budget(Duration::from_millis(200)).run()?;
/// for size in &results.loops[0].sizes {
///     for point in &size.points {
///         println!("{} elements on {}: {:.0} ns", size.n, point.backend, point.time.median);
///     }
/// }
/// println!("{}", results.to_json());
/// # Ok::<(), forall::Error>(())
/// ```
pub struct Sweep {
    loops: Vec<Workload>,
    sizes: [usize; 2],
    per_decade: u32,
    backends: Vec<Backend>,
    dispatcher: bool,
    budget: Duration,
    resident: bool,
    seed: u64,
    command: Vec<String>,
    cancel: Option<Cancel>,
    progress: Option<Box<Told>>,
}

/// Who is told what comes next.
type Told = dyn Fn(&Step<'_>);

/// What a sweep is about to do.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The loop, or what else is measured.
    pub what: &'a str,
    /// Its size; 0 where there is none.
    pub n: usize,
    /// The part of the time that has gone by, 0 to 1.
    pub done: f64,
}

/// A median is known well enough when its confidence interval is not wider on either side.
const PRECISION: f64 = 0.02;
/// Samples that are taken of each contender before its precision is believed, and most of them.
const SAMPLES: std::ops::RangeInclusive<usize> = 20..=300;
/// Who takes so many times the time of the fastest is not measured more often than needed to say so.
const FAR: f64 = 2.0;
const SAMPLES_OF_FAR: usize = 6;
/// A sample is of so many calls that it takes as long: thousands of times the clock's resolution.
const SAMPLE: Duration = Duration::from_micros(100);
/// A call as long as this has warmed everything up by itself, after the one whose results were compared.
const LONG: Duration = Duration::from_millis(20);
/// What a size may take after the time is over.
const OVERTIME: Duration = Duration::from_millis(20);
/// Calls that a dispatcher may learn from before it is judged.
const SETTLED: usize = 10;
/// A winner by less makes no crossover.
const LEAD: f64 = 1.05;

impl Sweep {
    /// These loops at sizes from 10 to 10⁷, four per decade, on every backend and by the dispatcher, for 25 seconds each.
    pub fn new(loops: Vec<Workload>) -> Self {
        let seconds = 25 * loops.len().max(1) as u64;
        Self {
            loops,
            sizes: [10, 10_000_000],
            per_decade: 4,
            backends: Backend::ALL.to_vec(),
            dispatcher: true,
            budget: Duration::from_secs(seconds),
            resident: false,
            seed: 0,
            command: Vec::new(),
            cancel: None,
            progress: None,
        }
    }

    /// The same from `low` to `high`, each size the nearest one that a loop has.
    #[must_use]
    pub fn with_sizes(self, low: usize, high: usize) -> Self {
        Self { sizes: [low.min(high).max(1), high.max(low).max(1)], ..self }
    }

    /// The same with so many sizes from one power of ten to the next.
    #[must_use]
    pub fn with_sizes_per_decade(self, count: u32) -> Self {
        Self { per_decade: count.max(1), ..self }
    }

    /// The same on these backends, and by the dispatcher or not.
    #[must_use]
    pub fn with_contenders(self, backends: &[Backend], dispatcher: bool) -> Self {
        let backends = Backend::ALL.into_iter().filter(|backend| backends.contains(backend)).collect();
        Self { backends, dispatcher, ..self }
    }

    /// The same for so long, all loops together. It may take a little longer: every size is measured once, unless none of the time is left.
    #[must_use]
    pub fn with_budget(self, budget: Duration) -> Self {
        Self { budget, ..self }
    }

    /// The same with data that stays where it was last used. Only shaders have such data: a function's arrays are in the host's memory.
    #[must_use]
    pub fn with_resident(self, resident: bool) -> Self {
        Self { resident, ..self }
    }

    /// The same with other random inputs, and samples in another order.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same with the command line that the results are to remember.
    #[must_use]
    pub fn with_command(self, command: Vec<String>) -> Self {
        Self { command, ..self }
    }

    /// The same, ending early once `cancel` is set, with what it has by then.
    #[must_use]
    pub fn with_cancel(self, cancel: &Cancel) -> Self {
        Self { cancel: Some(cancel.clone()), ..self }
    }

    /// The same, telling what it does next.
    #[must_use]
    pub fn with_progress(self, progress: impl Fn(&Step<'_>) + 'static) -> Self {
        Self { progress: Some(Box::new(progress)), ..self }
    }

    /// Measures.
    ///
    /// # Errors
    /// Where a loop cannot run even on `simd`. What another backend cannot do is no error: the results say why it is absent.
    ///
    /// # Cost
    /// All of the machine, for the time given: two threads that are busy with something else make results that are of no use.
    pub fn run(&self) -> Result<Results> {
        let mut run = Run {
            sweep: self,
            start: Instant::now(),
            random: Random::new(self.seed, 0x5eed),
            absent: Vec::new(),
            costs: Vec::new(),
        };
        let date = date::now();
        let mut loops = Vec::new();
        for (at, workload) in self.loops.iter().enumerate() {
            let left = self.budget.saturating_sub(run.start.elapsed()) / (self.loops.len() - at) as u32;
            let one = run.measure(workload, left)?;
            if !one.sizes.is_empty() {
                loops.push(one);
            }
            if self.stopped() {
                break;
            }
        }
        run.tell("the machine's best rates", 0);
        let measured = self.backends.iter().copied().filter(|b| run.absent.iter().all(|a| a.backend != *b));
        // A debug build's roofs are none.
        let roofs = !self.stopped() && !cfg!(debug_assertions);
        let machine = Machine::here(&measured.collect::<Vec<_>>(), roofs);
        Ok(Results {
            schema: SCHEMA,
            date,
            command: self.command.clone(),
            interrupted: self.stopped(),
            seconds: run.start.elapsed().as_secs_f64(),
            settings: Settings {
                sizes: self.sizes,
                budget: self.budget.as_secs_f64(),
                resident: self.resident,
                seed: self.seed,
                precision: PRECISION,
            },
            machine: machine?,
            absent: run.absent,
            loops,
            regret: Regret::of(&run.costs),
        })
    }

    fn stopped(&self) -> bool {
        self.cancel.as_ref().is_some_and(Cancel::is_cancelled)
    }

    /// The sizes that a loop is measured at.
    fn sizes(&self, workload: &Workload) -> Vec<usize> {
        let [low, high] = self.sizes.map(|n| n as f64);
        let steps = ((high / low).log10() * f64::from(self.per_decade)).round().max(1.0);
        let size = |step: f64| low * (high / low).powf(step / steps);
        let mut sizes: Vec<usize> =
            (0..=steps as usize).map(|step| workload.fit(size(step as f64).round() as usize)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

impl fmt::Debug for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweep")
            .field("loops", &self.loops)
            .field("sizes", &self.sizes)
            .field("backends", &self.backends)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

/// A sweep under way.
struct Run<'a> {
    sweep: &'a Sweep,
    start: Instant,
    random: Random,
    /// Backends that no loop can use.
    absent: Vec<Absent>,
    /// The dispatcher's, of all loops.
    costs: Vec<Cost>,
}

/// Who is measured: a backend, or the dispatcher.
struct Contender {
    backend: Option<Backend>,
    forall: Dispatcher,
}

/// One contender's samples at one size.
#[derive(Default)]
struct Series {
    samples: Vec<Sample>,
    /// Calls in each; 0 until it has run.
    calls: u64,
    /// Why it is not measured.
    failed: Option<String>,
}

#[derive(Clone, Copy)]
struct Sample {
    /// Nanoseconds per call.
    ns: f64,
    /// Where it ran.
    backend: Backend,
    /// Whether the dispatcher had had its calls to learn from when the round began.
    settled: bool,
}

/// One size.
#[derive(Default)]
struct Cell {
    label: Option<String>,
    work: Work,
    /// As many as contenders.
    series: Vec<Series>,
}

impl Series {
    fn times(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.ns).collect()
    }

    /// Those that the dispatcher is judged by: from the same rounds of all contenders.
    fn settled(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.settled)
    }

    fn timing(&self) -> Option<Timing> {
        Timing::of(&self.times(), self.calls)
    }

    fn smallest(&self) -> f64 {
        self.samples.iter().map(|sample| sample.ns).fold(f64::INFINITY, f64::min)
    }
}

impl Cell {
    /// Whether a contender takes part in the next round. All do, as long as one of them is not known well enough: what is compared was
    /// measured in the same rounds.
    fn is_in(&self, series: &Series) -> bool {
        let best = self.series.iter().map(Series::smallest).fold(f64::INFINITY, f64::min);
        let far = series.samples.len() >= SAMPLES_OF_FAR && series.smallest() > FAR * best;
        series.failed.is_none() && !far
    }

    fn wants_more(&self) -> bool {
        let vague = |series: &Series| {
            let precise = |timing: Timing| {
                (timing.median - timing.low).max(timing.high - timing.median) <= PRECISION * timing.median
            };
            let n = series.samples.len();
            n < *SAMPLES.start() || (n < *SAMPLES.end() && !series.timing().is_some_and(precise))
        };
        self.series.is_empty() || self.series.iter().any(|series| self.is_in(series) && vague(series))
    }
}

impl Run<'_> {
    fn tell(&self, what: &str, n: usize) {
        if let Some(progress) = &self.sweep.progress {
            let done = self.start.elapsed().as_secs_f64() / self.sweep.budget.as_secs_f64().max(1e-9);
            progress(&Step { what, n, done: done.min(1.0) });
        }
    }

    fn measure(&mut self, workload: &Workload, budget: Duration) -> Result<Loop> {
        let sweep = self.sweep;
        let only = |backend| Dispatcher::new().with_policy(Policy::Only(backend));
        let mut contenders: Vec<Contender> = (sweep.backends.iter())
            .filter(|backend| self.absent.iter().all(|absent| absent.backend != **backend))
            .map(|&backend| Contender { backend: Some(backend), forall: only(backend) })
            .collect();
        if sweep.dispatcher {
            let forall = Dispatcher::new().with_policy(Policy::Auto);
            contenders.push(Contender { backend: None, forall });
        }

        let start = Instant::now();
        let left = || budget.saturating_sub(start.elapsed());
        let mut cells: BTreeMap<usize, Cell> =
            sweep.sizes(workload).into_iter().map(|n| (n, Cell::default())).collect();
        let mut calls = 0;
        // The first pass leaves something for what turns out to be noisy.
        for share in [0.6, 0.8, 1.0] {
            let mut order: Vec<usize> =
                cells.iter().filter(|(_, cell)| cell.wants_more()).map(|(n, _)| *n).collect();
            self.shuffle(&mut order);
            for (at, &n) in order.iter().enumerate() {
                if sweep.stopped() {
                    break;
                }
                // When the time is over, what takes next to none of it is measured all the same.
                if left().is_zero() && least(&cells, n).is_none_or(|least| least > OVERTIME) {
                    continue;
                }
                self.tell(workload.name(), n);
                let slice = left().mul_f64(share) / (order.len() - at) as u32;
                let cell = cells.entry(n).or_default();
                self.visit(workload, n, cell, &contenders, Instant::now() + slice, &mut calls)?;
            }
        }
        Ok(self.conclude(workload, &contenders, cells))
    }

    /// Takes samples of one size until they are enough, or it is `until`.
    fn visit(
        &mut self,
        workload: &Workload,
        n: usize,
        cell: &mut Cell,
        contenders: &[Contender],
        until: Instant,
        calls: &mut usize,
    ) -> Result<()> {
        let Sweep { seed, resident, .. } = *self.sweep;
        let mut call = workload.call(Data { n, seed, resident })?;
        if cell.series.is_empty() {
            cell.label = call.label();
            cell.series = contenders.iter().map(|_| Series::default()).collect();
            self.check(&mut *call, cell, contenders, calls)?;
        }
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        for round in 0.. {
            self.shuffle(&mut order);
            let settled = *calls >= SETTLED;
            for &at in &order {
                if self.sweep.stopped() || !cell.is_in(&cell.series[at]) {
                    continue;
                }
                // Whoever comes first in a visit finds another's data in the caches, and clocks that have rested.
                let dropped = round == 0;
                match take(&mut *call, &contenders[at], &mut cell.series[at].calls, calls) {
                    Ok((ns, backend)) => {
                        if !dropped || ns > LONG.as_nanos() as f64 {
                            cell.series[at].samples.push(Sample { ns, backend, settled });
                        }
                    }
                    Err(error) => cell.series[at].failed = Some(error.to_string()),
                }
            }
            let done = self.sweep.stopped() || !cell.wants_more();
            if done || (round > 0 && Instant::now() >= until) {
                break;
            }
        }
        Ok(())
    }

    /// Runs every contender once, and compares its results with those of `simd`.
    fn check(
        &mut self,
        call: &mut dyn Call,
        cell: &mut Cell,
        contenders: &[Contender],
        calls: &mut usize,
    ) -> Result<()> {
        let simd = Dispatcher::new().with_policy(Policy::Only(Backend::Simd));
        call.run(&simd, Side::Backend)?;
        let expected = call.output()?;
        cell.work = call.work(&expected);
        for (contender, series) in contenders.iter().zip(&mut cell.series) {
            call.reset()?;
            let side = contender.side();
            let ran = call.run(&contender.forall, side).and_then(|backend| Ok((backend, call.output()?)));
            *calls += usize::from(side == Side::Dispatcher);
            match ran {
                Ok((backend, got)) => {
                    series.failed = difference(&expected, &got, backend == Backend::Gpu)
                        .map(|difference| format!("its results are not those of simd: {difference}"));
                }
                Err(Error::Unavailable { backend, reason, .. }) => {
                    series.failed = Some(reason.clone());
                    if self.absent.iter().all(|absent| absent.backend != backend) {
                        self.absent.push(Absent { backend, reason });
                    }
                }
                Err(error) => series.failed = Some(error.to_string()),
            }
        }
        call.reset()
    }

    /// What the samples come to.
    fn conclude(
        &mut self,
        workload: &Workload,
        contenders: &[Contender],
        cells: BTreeMap<usize, Cell>,
    ) -> Loop {
        let (mut sizes, mut skipped) = (Vec::new(), Vec::new());
        let mut costs = Vec::new();
        for (n, cell) in cells {
            let mut points = Vec::new();
            let mut absent = Vec::new();
            let mut times = Vec::new();
            let mut dispatched = None;
            for (contender, series) in contenders.iter().zip(&cell.series) {
                match (contender.backend, &series.failed) {
                    (Some(backend), Some(reason)) => {
                        if self.absent.iter().all(|absent| absent.backend != backend) {
                            absent.push(Absent { backend, reason: reason.clone() });
                        }
                    }
                    (Some(backend), None) => {
                        points.extend(series.timing().map(|time| Point { backend, time }));
                        times.push((backend, series.settled().map(|sample| sample.ns).collect::<Vec<_>>()));
                    }
                    (None, _) => dispatched = dispatcher(series),
                }
            }
            if cell.series.is_empty() || (points.is_empty() && dispatched.is_none() && absent.is_empty()) {
                skipped.push(n);
                continue;
            }
            let (winner, tie) = winner(&points);
            if let (Some(dispatched), Some(series)) = (&mut dispatched, cell.series.last()) {
                let times: Vec<_> = times.iter().map(|(backend, times)| (*backend, &times[..])).collect();
                let settled: Vec<_> = series.settled().map(|sample| (sample.backend, sample.ns)).collect();
                if let Some(cost) = Cost::of(&times, &settled) {
                    (dispatched.regret, dispatched.floor) = (Some(cost.regret()), Some(cost.floor()));
                    costs.push(cost);
                }
            }
            let Work { bytes, flops } = cell.work;
            sizes.push(Size {
                n,
                label: cell.label,
                bytes,
                flops,
                points,
                absent,
                dispatcher: dispatched,
                winner,
                tie,
            });
        }
        self.costs.extend(&costs);
        Loop {
            name: workload.name().to_owned(),
            what: workload.what().to_owned(),
            element: workload.element().to_owned(),
            integer: workload.integer(),
            crossovers: crossovers(&sizes),
            sizes,
            skipped,
            regret: Regret::of(&costs),
        }
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.random.below(at + 1));
        }
    }
}

impl Contender {
    fn side(&self) -> Side {
        if self.backend.is_none() { Side::Dispatcher } else { Side::Backend }
    }
}

/// What the least number of calls at a size will take at most, by what larger or smaller ones took; `None` where the size has samples already. A
/// loop of which nothing is known takes nothing.
fn least(cells: &BTreeMap<usize, Cell>, n: usize) -> Option<Duration> {
    /// Compared, dropped and kept; and the calls of a sample that takes as long as one is meant to.
    const CALLS: f64 = 3.0;
    if cells.get(&n).is_some_and(|cell| !cell.series.is_empty()) {
        return None;
    }
    let ns = cells.iter().flat_map(|(&other, cell)| {
        let larger = (n as f64 / other as f64).max(1.0);
        let all: f64 =
            cell.series.iter().filter_map(|series| super::statistics::median(&series.times())).sum();
        (all > 0.0).then_some(larger * all)
    });
    // More than it will take, each of them: of a larger size, and of a smaller one with its fixed cost many times.
    let ns = ns.fold(f64::INFINITY, f64::min);
    Some(if ns.is_finite() { Duration::from_nanos((CALLS * ns) as u64) } else { Duration::ZERO })
}

/// Times one sample, of so many calls as `repeats` says, which the first one sets. Nanoseconds per call, and where it ran.
fn take(
    call: &mut dyn Call,
    contender: &Contender,
    repeats: &mut u64,
    calls: &mut usize,
) -> Result<(f64, Backend)> {
    let side = contender.side();
    let mut run = || {
        *calls += usize::from(side == Side::Dispatcher);
        call.run(&contender.forall, side)
    };
    let times = (*repeats).max(1);
    if times > 1 {
        // The caches are the last contender's.
        run()?;
    }
    let start = Instant::now();
    let mut backend = run()?;
    for _ in 1..times {
        backend = run()?;
    }
    let ns = start.elapsed().as_nanos() as f64 / times as f64;
    if *repeats == 0 {
        *repeats = (SAMPLE.as_nanos() as f64 / ns.max(1.0)).ceil().clamp(1.0, 1e6) as u64;
    }
    Ok((ns, backend))
}

/// The dispatcher's samples.
fn dispatcher(series: &Series) -> Option<Dispatched> {
    let mut choices: Vec<Streak> = Vec::new();
    for sample in &series.samples {
        match choices.last_mut() {
            Some(streak) if streak.backend == sample.backend => streak.samples += 1,
            _ => choices.push(Streak { backend: sample.backend, samples: 1 }),
        }
    }
    let choice = choices.last()?.backend;
    Some(Dispatched { time: series.timing()?, choice, choices, regret: None, floor: None })
}

/// The backend with the smallest median, and whether the next one may be as fast.
fn winner(points: &[Point]) -> (Option<Backend>, bool) {
    let mut order: Vec<&Point> = points.iter().collect();
    order.sort_by(|a, b| a.time.median.total_cmp(&b.time.median));
    let tie = matches!(order[..], [first, second, ..] if second.time.low <= first.time.high);
    (order.first().map(|point| point.backend), tie)
}

/// Where the winner changes, by more than noise.
fn crossovers(sizes: &[Size]) -> Vec<Crossover> {
    let median = |size: &Size, backend| {
        size.points.iter().find(|point| point.backend == backend).map(|point| point.time.median)
    };
    let clear = |size: &&Size| {
        let best = size.winner.and_then(|winner| median(size, winner));
        let next = size.points.iter().filter(|p| Some(p.backend) != size.winner).map(|p| p.time.median);
        !size.tie && best.is_some_and(|best| next.fold(f64::INFINITY, f64::min) > LEAD * best)
    };
    let clear: Vec<&Size> = sizes.iter().filter(clear).collect();
    let mut found = Vec::new();
    for pair in clear.windows(2) {
        let (Some(from), Some(to)) = (pair[0].winner, pair[1].winner) else { continue };
        if from == to {
            continue;
        }
        // By how much `from` wins at either end: from above 0 to below.
        let lead = |size| Some((median(size, to)? / median(size, from)?).ln());
        let at = match (lead(pair[0]), lead(pair[1])) {
            (Some(first), Some(last)) if first > last => first / (first - last),
            _ => 0.5,
        };
        let [first, last] = [pair[0].n as f64, pair[1].n as f64];
        found.push(Crossover { from, to, n: first * (last / first).powf(at) });
    }
    found
}

/// How results differ that should not, if they do. A GPU fuses and reorders, and a rounding may decide a branch: there, one number in
/// fifty may be any, and the others may be off by 2⁻¹¹ of the largest, which is what WGSL allows the sine.
fn difference(expected: &[Output], got: &[Output], gpu: bool) -> Option<String> {
    for (expected, got) in expected.iter().zip(got) {
        let (n, others, wrong): (usize, usize, usize) = match (expected, got) {
            (Output::F32(expected), Output::F32(got)) => {
                let finite = expected.iter().filter(|x| x.is_finite());
                let largest = finite.fold(0.0_f32, |largest, x| largest.max(x.abs()));
                let same = |(e, g): &(&f32, &f32)| {
                    e.to_bits() == g.to_bits() || (gpu && (*e - *g).abs() <= largest * 2.0_f32.powi(-11))
                };
                let wrong = expected.iter().zip(got).filter(|pair| !same(pair)).count();
                (expected.len(), got.len(), wrong)
            }
            (Output::U32(expected), Output::U32(got)) => {
                let wrong = expected.iter().zip(got).filter(|(e, g)| e != g).count();
                (expected.len(), got.len(), wrong)
            }
            _ => return Some("numbers of another type".into()),
        };
        if n != others {
            return Some(format!("{others} numbers, expected {n}"));
        }
        if wrong * (if gpu { 50 } else { usize::MAX }) > n || (!gpu && wrong > 0) {
            return Some(format!("{wrong} of {n} numbers differ"));
        }
    }
    None
}
