//! Samples from this process: calls again and again, over the same data.

use std::time::{Duration, Instant};

use super::measure::{Cell, Contender, Run, Sample};
use crate::backend::{Backend, Policy};
use crate::bench::check::difference;
use crate::bench::cold::Failed;
use crate::bench::loops::{Call, Data, Side, Workload};
use crate::dispatch::Dispatcher;
use crate::error::Result;

/// A sample is of so many calls that it takes as long: thousands of times the clock's resolution.
const SAMPLE: Duration = Duration::from_micros(100);
/// A call as long as this has warmed everything up by itself, after the one whose results were compared.
const LONG: Duration = Duration::from_millis(20);

impl Run<'_> {
    /// Takes samples of one size until they are enough, or it is `until`.
    pub(super) fn visit_here(
        &mut self,
        workload: &Workload,
        n: usize,
        cell: &mut Cell,
        contenders: &[Contender],
        until: Instant,
    ) -> Result<()> {
        let mut call = workload.call(Data { n, seed: self.sweep.seed, resident: self.sweep.resident })?;
        if cell.series.is_empty() {
            cell.label = call.label();
            cell.series.resize_with(contenders.len(), Default::default);
            self.check(&mut *call, cell, contenders)?;
        }
        self.rounds(cell, 2, until, |run, cell, at, round| {
            let series = &mut cell.series[at];
            match take(&mut *call, &contenders[at], &mut series.calls, &mut run.calls) {
                Ok((ns, backend)) => {
                    // Whoever comes first in a visit finds another's data in the caches, and clocks that have rested.
                    if round.number > 0 || ns > LONG.as_nanos() as f64 {
                        series.samples.push(Sample { ns, backend, settled: round.settled });
                    }
                }
                Err(error) => series.failed = Some(error.to_string()),
            }
            Ok(())
        })
    }

    /// Runs every contender once, and compares its results with those of `simd`.
    fn check(&mut self, call: &mut dyn Call, cell: &mut Cell, contenders: &[Contender]) -> Result<()> {
        let simd = Dispatcher::new().with_policy(Policy::Only(Backend::Simd));
        call.run(&simd, Side::Backend)?;
        let expected = call.output()?;
        cell.work = call.work(&expected);
        for (contender, series) in contenders.iter().zip(&mut cell.series) {
            call.reset()?;
            let side = contender.side();
            let ran = call.run(&contender.forall, side).and_then(|backend| Ok((backend, call.output()?)));
            self.calls += usize::from(side == Side::Dispatcher);
            series.failed = match ran {
                Ok((backend, got)) => difference(&expected, &got, backend == Backend::Gpu)
                    .map(|difference| format!("its results are not those of simd: {difference}")),
                Err(error) => {
                    let Failed { reason, unavailable } = error.into();
                    unavailable.into_iter().for_each(|backend| self.lacks(backend, &reason));
                    Some(reason)
                }
            };
        }
        call.reset()
    }
}

impl Contender {
    fn side(&self) -> Side {
        if self.backend.is_none() { Side::Dispatcher } else { Side::Backend }
    }
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
