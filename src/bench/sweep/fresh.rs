//! Samples from processes of their own, each of which makes one call and ends. Every result is checked: CPU backends by its digest.

use std::time::Instant;

use super::Ask;
use super::measure::{Cell, Contender, Run, Sample};
use crate::backend::Backend;
use crate::bench::cold::{FirstCall, Ran};
use crate::bench::loops::Workload;
use crate::error::{Error, Result};

impl Run<'_> {
    /// Takes samples of one size until they are enough, or it is `until`; one of each contender at least.
    pub(super) fn visit_fresh(
        &mut self,
        ask: &Ask,
        workload: &Workload,
        n: usize,
        cell: &mut Cell,
        contenders: &[Contender],
        until: Instant,
    ) -> Result<()> {
        let seed = self.sweep.seed;
        let first = |at: usize, check| FirstCall {
            name: workload.name().to_owned(),
            n,
            backend: contenders[at].backend,
            seed,
            check,
        };
        if cell.series.is_empty() {
            cell.series.resize_with(contenders.len(), Default::default);
            for at in 0..contenders.len() {
                if !self.stopped() {
                    self.first_call(ask, &first(at, true), cell, at)?;
                }
            }
        }
        self.rounds(cell, 0, until, |run, cell, at, _| run.first_call(ask, &first(at, false), cell, at))
    }

    /// One sample of one contender.
    fn first_call(&mut self, ask: &Ask, call: &FirstCall, cell: &mut Cell, at: usize) -> Result<()> {
        let outcome = match ask(call) {
            Err(Error::Cancelled { .. }) => {
                self.cancelled = true;
                return Ok(());
            }
            outcome => outcome?,
        };
        match outcome {
            Ok(ran) => {
                if !(ran.ns.is_finite() && ran.ns > 0.0) {
                    return Err(
                        call.failed(format_args!("got a time of {} ns, expected more than none", ran.ns))
                    );
                }
                cell.series[at].failed = contradiction(&mut cell.digest, &ran);
                let sample = Sample { ns: ran.ns, backend: ran.backend, settled: true };
                cell.series[at].samples.push(sample);
                cell.series[at].calls = 1;
                (cell.work, cell.label) = (ran.work, ran.label);
            }
            Err(failed) => {
                failed.unavailable.into_iter().for_each(|backend| self.lacks(backend, &failed.reason));
                cell.series[at].failed = Some(failed.reason);
            }
        }
        Ok(())
    }
}

/// How results differ that should not. The first of a CPU backend are what the others are compared with.
fn contradiction(digest: &mut Option<(Backend, u64)>, ran: &Ran) -> Option<String> {
    if let Some(difference) = &ran.difference {
        return Some(format!("its results are not those of simd: {difference}"));
    }
    if ran.backend == Backend::Gpu {
        return None;
    }
    let (whose, expected) = digest.get_or_insert((ran.backend, ran.digest));
    (ran.digest != *expected).then(|| format!("its results are not those of {whose}: their digests differ"))
}
