//! What the samples of a loop come to: medians, who is the fastest at each size, where that changes, and what the dispatcher's choices
//! have cost. Nothing here measures.

use std::collections::BTreeMap;

use super::measure::{Cell, Contender, Series};
use crate::backend::Backend;
use crate::bench::loops::{Work, Workload};
use crate::bench::regret::Cost;
use crate::bench::results::{Absent, Crossover, Dispatched, Loop, Point, Regret, Size, Streak};

/// A lead by less counts only where it is steady.
const LEAD: f64 = 1.05;
/// So many sizes in a row make it so.
const STEADY: usize = 3;

/// The results of a loop, and the dispatcher's costs at its sizes. What is `absent` everywhere is not told again.
pub(super) fn conclude(
    workload: &Workload,
    contenders: &[Contender],
    cells: BTreeMap<usize, Cell>,
    everywhere: &[Absent],
) -> (Loop, Vec<Cost>) {
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
                    if everywhere.iter().all(|absent| absent.backend != backend) {
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
        let label = cell.label;
        sizes.push(Size { n, label, bytes, flops, points, absent, dispatcher: dispatched, winner, tie });
    }
    let one = Loop {
        name: workload.name().to_owned(),
        what: workload.what().to_owned(),
        element: workload.element().to_owned(),
        integer: workload.integer(),
        crossovers: crossovers(&sizes),
        sizes,
        skipped,
        regret: Regret::of(&costs),
    };
    (one, costs)
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
pub(super) fn winner(points: &[Point]) -> (Option<Backend>, bool) {
    let mut order: Vec<&Point> = points.iter().collect();
    order.sort_by(|a, b| a.time.median.total_cmp(&b.time.median));
    let tie = matches!(order[..], [first, second, ..] if second.time.low <= first.time.high);
    (order.first().map(|point| point.backend), tie)
}

/// Where the winner changes, by more than noise.
pub(super) fn crossovers(sizes: &[Size]) -> Vec<Crossover> {
    let median = |size: &Size, backend| {
        size.points.iter().find(|point| point.backend == backend).map(|point| point.time.median)
    };
    let clear = |size: &Size, winner| {
        let next = size.points.iter().filter(|p| p.backend != winner).map(|p| p.time.median);
        let next = next.fold(f64::INFINITY, f64::min);
        median(size, winner).is_some_and(|best| next > LEAD * best)
    };
    let decided: Vec<(Backend, &Size)> =
        sizes.iter().filter(|size| !size.tie).filter_map(|size| Some((size.winner?, size))).collect();
    let runs = decided.chunk_by(|a, b| a.0 == b.0);
    let runs =
        runs.filter(|run| run.len() >= STEADY || run.iter().any(|(winner, size)| clear(size, *winner)));
    // Each with its first and its last size.
    let runs: Vec<_> = runs.filter_map(|run| Some((*run.first()?, *run.last()?))).collect();
    let mut found = Vec::new();
    for pair in runs.windows(2) {
        let ((from, last), (to, first)) = (pair[0].1, pair[1].0);
        if from == to {
            continue;
        }
        // By how much `from` wins at either end: from above 0 to below.
        let lead = |size| Some((median(size, to)? / median(size, from)?).ln());
        let at = match (lead(last), lead(first)) {
            (Some(above), Some(below)) if above > below => above / (above - below),
            _ => 0.5,
        };
        let [low, high] = [last.n as f64, first.n as f64];
        found.push(Crossover { from, to, n: low * (high / low).powf(at) });
    }
    found
}
