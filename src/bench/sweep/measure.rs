//! A sweep under way: who is measured next, and for how long. What a sample is, is told by `here` and `fresh`; what they come to, by `conclude`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::conclude::conclude;
use super::{Step, Sweep};
use crate::backend::{Backend, Policy};
use crate::bench::loops::{Random, Work, Workload};
use crate::bench::regret::Cost;
use crate::bench::results::{Absent, Loop, Timing};
use crate::bench::statistics::median;
use crate::dispatch::Dispatcher;
use crate::error::Result;

/// A median is known well enough when its confidence interval is not wider on either side.
pub(super) const PRECISION: f64 = 0.02;
/// Samples that are taken of each contender before its precision is believed, and most of them.
const SAMPLES: std::ops::RangeInclusive<usize> = 20..=300;
/// Who takes so many times the time of the fastest is not measured more often than needed to say so.
const FAR: f64 = 2.0;
const SAMPLES_OF_FAR: usize = 6;
/// What a size may take after the time is over.
const OVERTIME: Duration = Duration::from_millis(20);
/// Calls that a dispatcher may learn from before it is judged.
const SETTLED: usize = 10;

/// A sweep under way.
pub(super) struct Run<'a> {
    pub(super) sweep: &'a Sweep,
    pub(super) start: Instant,
    random: Random,
    /// Backends that no loop can use.
    pub(super) absent: Vec<Absent>,
    /// The dispatcher's, of all loops.
    pub(super) costs: Vec<Cost>,
    /// Calls that the dispatcher has learnt from, of one loop.
    pub(super) calls: usize,
    /// Whether Ctrl-C has ended a process that was to give a sample.
    pub(super) cancelled: bool,
}

/// Who is measured: a backend, or the dispatcher.
pub(super) struct Contender {
    pub(super) backend: Option<Backend>,
    pub(super) forall: Dispatcher,
}

/// One contender's samples at one size.
#[derive(Default)]
pub(super) struct Series {
    pub(super) samples: Vec<Sample>,
    /// Calls in each; 0 until it has run.
    pub(super) calls: u64,
    /// Why it is not measured.
    pub(super) failed: Option<String>,
}

#[derive(Clone, Copy)]
pub(super) struct Sample {
    /// Nanoseconds per call.
    pub(super) ns: f64,
    /// Where it ran.
    pub(super) backend: Backend,
    /// Whether the dispatcher had had its calls to learn from when the round began.
    pub(super) settled: bool,
}

/// One size.
#[derive(Default)]
pub(super) struct Cell {
    pub(super) label: Option<String>,
    pub(super) work: Work,
    /// As many as contenders.
    pub(super) series: Vec<Series>,
    /// Of the results of the CPU backends, and whose it is; of processes of their own only.
    pub(super) digest: Option<(Backend, u64)>,
}

/// All contenders' turn.
#[derive(Clone, Copy)]
pub(super) struct Round {
    /// From 0, in one visit.
    pub(super) number: usize,
    /// See [`Sample::settled`].
    pub(super) settled: bool,
}

impl Series {
    fn times(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.ns).collect()
    }

    /// Those that the dispatcher is judged by: from the same rounds of all contenders.
    pub(super) fn settled(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.settled)
    }

    pub(super) fn timing(&self) -> Option<Timing> {
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

impl<'a> Run<'a> {
    pub(super) fn new(sweep: &'a Sweep) -> Self {
        Self {
            sweep,
            start: Instant::now(),
            random: Random::new(sweep.seed, 0x5eed),
            absent: Vec::new(),
            costs: Vec::new(),
            calls: 0,
            cancelled: false,
        }
    }

    pub(super) fn stopped(&self) -> bool {
        self.cancelled || self.sweep.stopped()
    }

    pub(super) fn tell(&self, what: &str, n: usize) {
        if let Some(progress) = &self.sweep.progress {
            let done = self.start.elapsed().as_secs_f64() / self.sweep.budget.as_secs_f64().max(1e-9);
            progress(&Step { what, n, done: done.min(1.0) });
        }
    }

    /// A backend that no loop can use.
    pub(super) fn lacks(&mut self, backend: Backend, reason: &str) {
        if self.absent.iter().all(|absent| absent.backend != backend) {
            self.absent.push(Absent { backend, reason: reason.to_owned() });
        }
    }

    pub(super) fn measure(&mut self, workload: &Workload, budget: Duration) -> Result<Loop> {
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
        self.calls = 0;
        // The first pass leaves something for what turns out to be noisy.
        for share in [0.6, 0.8, 1.0] {
            let mut order: Vec<usize> =
                cells.iter().filter(|(_, cell)| cell.wants_more()).map(|(n, _)| *n).collect();
            // A process that takes long uses up the time of many that do not: at first, those go first.
            if sweep.first_calls.is_none() || cells.values().any(|cell| !cell.series.is_empty()) {
                self.shuffle(&mut order);
            }
            for (at, &n) in order.iter().enumerate() {
                if self.stopped() {
                    break;
                }
                // When the time is over, what takes next to none of it is measured all the same. A process does not.
                let quick =
                    || sweep.first_calls.is_none() && least(&cells, n).is_some_and(|least| least <= OVERTIME);
                if left().is_zero() && !quick() {
                    continue;
                }
                self.tell(workload.name(), n);
                let slice = left().mul_f64(share) / (order.len() - at) as u32;
                let (cell, until) = (cells.entry(n).or_default(), Instant::now() + slice);
                match &sweep.first_calls {
                    None => self.visit_here(workload, n, cell, &contenders, until)?,
                    Some(ask) => self.visit_fresh(ask, workload, n, cell, &contenders, until)?,
                }
            }
        }
        let (one, costs) = conclude(workload, &contenders, cells, &self.absent);
        self.costs.extend(costs);
        Ok(one)
    }

    /// Has `sample` take samples of one size, round by round, until they are enough, or it is `until` and there were some rounds at `least`.
    pub(super) fn rounds(
        &mut self,
        cell: &mut Cell,
        least: usize,
        until: Instant,
        mut sample: impl FnMut(&mut Self, &mut Cell, usize, Round) -> Result<()>,
    ) -> Result<()> {
        let mut order: Vec<usize> = (0..cell.series.len()).collect();
        for number in 0.. {
            if self.stopped() || !cell.wants_more() || (number >= least && Instant::now() >= until) {
                break;
            }
            self.shuffle(&mut order);
            // Who is in a process of its own has learnt nothing, and never will.
            let settled = self.sweep.first_calls.is_some() || self.calls >= SETTLED;
            for &at in &order {
                if !self.stopped() && cell.is_in(&cell.series[at]) {
                    sample(self, cell, at, Round { number, settled })?;
                }
            }
        }
        Ok(())
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.random.below(at + 1));
        }
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
        let all: f64 = cell.series.iter().filter_map(|series| median(&series.times())).sum();
        (all > 0.0).then_some(larger * all)
    });
    // More than it will take, each of them: of a larger size, and of a smaller one with its fixed cost many times.
    let ns = ns.fold(f64::INFINITY, f64::min);
    Some(if ns.is_finite() { Duration::from_nanos((CALLS * ns) as u64) } else { Duration::ZERO })
}
