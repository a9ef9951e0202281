//! Decides where a loop runs. Pure and cheap: facts in, choice and reasons out; nothing is run, opened or measured here.

use std::fmt;
use std::time::Duration;

use super::machine::{CpuFacts, GpuFacts};
use super::model::{self, Work};
use crate::backend::{Backend, Policy};

/// What is known about the GPU when a loop is planned.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "gpu"),
    allow(dead_code, reason = "a build without the gpu feature has none to open")
)]
pub(crate) enum Gpu<'a> {
    /// Open and measured.
    Ready(&'a GpuFacts),
    /// Not opened: the loops of this process have not yet been worth the start-up.
    Unopened,
    /// Left out.
    Excluded(Exclusion),
}

/// Why a backend cannot run a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exclusion {
    /// The library was built without the `gpu` feature.
    NotBuilt,
    /// The machine has no GPU that counts; `forall devices` lists what was found.
    NoAdapter,
    /// Measuring the GPU crashed or hung the last process; `forall tune` tries again.
    Probing,
    /// The kernel has no WGSL body, and a GPU runs nothing else.
    ClosureOnly,
    /// The call came from a worker of the thread pool: it stays on that worker's lanes.
    Nested,
    /// The pool has one thread.
    OneThread,
    /// The policy names another backend.
    Policy,
    /// The GPU was lost or refused the work a moment ago.
    Failed,
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBuilt => "built without the gpu feature",
            Self::NoAdapter => "no GPU here (`forall devices` lists every adapter and why it does not count)",
            Self::Probing => "measuring it crashed or hung the last process (`forall tune` tries again)",
            Self::ClosureOnly => "the kernel has no WGSL body",
            Self::Nested => "called from a pool worker, which keeps its loops on its own lanes",
            Self::OneThread => "the pool has one thread",
            Self::Policy => "the policy names another backend",
            Self::Failed => "it failed on this call",
        })
    }
}

/// What was decided about one backend.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It runs the loop.
    Chosen,
    /// It runs the loop, whose cost cannot be read off the body: it starts on the calling thread, and the pool joins in once
    /// the elements done so far say that this is worth it.
    ChosenUnknown,
    /// No prediction: the body's cost cannot be read off it.
    Unknown,
    /// Predicted slower than the chosen one.
    Slower,
    /// Not opened yet: opening costs more than the loops so far would have gained.
    Unopened,
    /// It cannot run this loop.
    Excluded(Exclusion),
}

/// The prediction and the verdict for one backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// The backend.
    pub backend: Backend,
    /// Predicted wall time of the call; `None` where the backend cannot run it or is not measured.
    pub predicted: Option<Duration>,
    /// What was decided.
    pub verdict: Verdict,
}

/// A choice with its reasons: one entry for each of [`Backend::ALL`], in that order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Where the loop runs.
    pub backend: Backend,
    /// Every backend's prediction and verdict.
    pub entries: [Entry; 3],
}

impl Plan {
    /// The same plan after the GPU failed: the faster of the others runs the loop.
    pub(crate) fn without_gpu(mut self, why: Exclusion) -> Self {
        let next = self
            .entries
            .iter()
            .filter(|entry| entry.backend != Backend::Gpu && !matches!(entry.verdict, Verdict::Excluded(_)))
            .min_by_key(|entry| entry.predicted)
            .map_or(Backend::Simd, |entry| entry.backend);
        self.backend = next;
        for entry in &mut self.entries {
            if entry.backend == Backend::Gpu {
                entry.verdict = Verdict::Excluded(why);
            } else if entry.backend == next {
                entry.verdict = Verdict::Chosen;
            }
        }
        self
    }
}

/// Everything a decision depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub policy: Policy,
    pub work: Work,
    pub n: usize,
    pub cpu: &'a CpuFacts,
    /// Why the pool cannot be used, if it cannot.
    pub threads: Option<Exclusion>,
    pub gpu: Gpu<'a>,
}

/// Below this predicted gain the simpler backend keeps the loop: a prediction is not better than that.
const MARGIN: f64 = 0.05;

/// Chooses the backend with the smallest prediction; `Only` chooses the one named, if nothing excludes it.
///
/// # Errors
/// The exclusion, when the policy names a backend that cannot run the loop.
pub(crate) fn plan(question: &Question<'_>) -> Result<Plan, Exclusion> {
    let Question { work, cpu, .. } = question;
    let n = question.n as f64;
    let simd = model::simd(cpu, work, n).total();
    let threads = question.threads.is_none().then(|| model::threads(cpu, work, n, false).total());
    let gpu = match question.gpu {
        Gpu::Ready(facts) => Some(model::gpu(facts, work, n).total()),
        Gpu::Unopened | Gpu::Excluded(_) => None,
    };

    let backend = match question.policy {
        Policy::Only(Backend::Gpu) => match question.gpu {
            Gpu::Excluded(why) => return Err(why),
            Gpu::Ready(_) | Gpu::Unopened => Backend::Gpu,
        },
        Policy::Only(Backend::Threads) => match question.threads {
            // One thread, or a nested call: the loop runs on the lanes at hand, which is what the pool would do.
            Some(Exclusion::OneThread | Exclusion::Nested) | None => Backend::Threads,
            Some(why) => return Err(why),
        },
        Policy::Only(Backend::Simd) => Backend::Simd,
        Policy::Auto => {
            let mut best = (Backend::Simd, simd);
            if !work.known && threads.is_some() {
                // The pool's executor starts every loop on the calling thread and measures it: with a guess for a cost it cannot
                // lose, and the calling thread alone can.
                best = (Backend::Threads, simd);
            }
            for (backend, predicted) in [(Backend::Threads, threads), (Backend::Gpu, gpu)] {
                if let Some(predicted) = predicted
                    && predicted < best.1 * (1.0 - MARGIN)
                {
                    best = (backend, predicted);
                }
            }
            best.0
        }
    };

    let verdict = |this: Backend, excluded: Option<Exclusion>| match (this == backend, excluded) {
        (true, _) if !work.known && question.policy == Policy::Auto && this == Backend::Threads => {
            Verdict::ChosenUnknown
        }
        (true, _) => Verdict::Chosen,
        (false, Some(why)) => Verdict::Excluded(why),
        (false, None) if question.policy != Policy::Auto => Verdict::Excluded(Exclusion::Policy),
        (false, None) if this == Backend::Gpu && gpu.is_none() => Verdict::Unopened,
        (false, None) if !work.known => Verdict::Unknown,
        (false, None) => Verdict::Slower,
    };
    let gpu_exclusion = match question.gpu {
        Gpu::Excluded(why) => Some(why),
        Gpu::Ready(_) | Gpu::Unopened => None,
    };
    let entry = |backend, predicted: Option<f64>, verdict| Entry {
        backend,
        // What follows from a guess is none of the reader's business.
        predicted: predicted.filter(|_| work.known).map(|ns| Duration::from_nanos(ns as u64)),
        verdict,
    };
    Ok(Plan {
        backend,
        entries: [
            entry(Backend::Gpu, gpu, verdict(Backend::Gpu, gpu_exclusion)),
            entry(Backend::Simd, Some(simd), verdict(Backend::Simd, None)),
            entry(Backend::Threads, threads, verdict(Backend::Threads, question.threads)),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::cost::Counts;

    fn cpu() -> CpuFacts {
        CpuFacts {
            call_ns: 300.0,
            fork_join_ns: 10_000.0,
            speed_up: 6.0,
            bandwidth: [40.0, 40.0, 20.0, 10.0],
            bandwidth_all: [240.0, 240.0, 100.0, 30.0],
            ..CpuFacts::assumed(8)
        }
    }
    const DISCRETE: GpuFacts = GpuFacts {
        call_ns: 60_000.0,
        ops_per_ns: 5_000.0,
        bytes_per_ns: 500.0,
        upload_bytes_per_ns: 12.0,
        download_bytes_per_ns: 10.0,
    };
    fn work(simple: f64, read: f64) -> Work {
        let counts = Counts { simple, ..Counts::default() };
        Work {
            counts,
            known: true,
            begun: simple,
            block: 1024.0,
            calls: 1.0,
            read,
            written: 4.0,
            whole: 0.0,
            transfer: None,
        }
    }
    fn light() -> Work {
        work(2.0, 8.0)
    }
    fn heavy() -> Work {
        work(4_000.0, 4.0)
    }

    fn ask<'a>(policy: Policy, work: Work, n: usize, gpu: Gpu<'a>) -> Question<'a> {
        static CPU: std::sync::LazyLock<CpuFacts> = std::sync::LazyLock::new(cpu);
        Question { policy, work, n, cpu: &CPU, threads: None, gpu }
    }

    fn chosen(work: Work, n: usize) -> Backend {
        plan(&ask(Policy::Auto, work, n, Gpu::Ready(&DISCRETE))).expect("Auto always has a backend").backend
    }

    #[test]
    fn auto_walks_from_lanes_to_pool_to_gpu_as_work_grows() {
        assert_eq!(chosen(heavy(), 16), Backend::Simd);
        assert_eq!(chosen(heavy(), 300), Backend::Threads);
        assert_eq!(chosen(heavy(), 1_000_000), Backend::Gpu);
    }

    #[test]
    fn a_guessed_cost_goes_to_the_executor_that_measures() {
        let guessed = Work { known: false, ..light() };
        for n in [1, 1_000, 1_000_000] {
            let plan =
                plan(&ask(Policy::Auto, guessed, n, Gpu::Unopened)).expect("Auto always has a backend");
            assert_eq!(plan.backend, Backend::Threads);
            let verdicts = plan.entries.map(|entry| (entry.verdict, entry.predicted));
            let all =
                [Verdict::Unopened, Verdict::Unknown, Verdict::ChosenUnknown].map(|verdict| (verdict, None));
            assert_eq!(verdicts, all);
        }
        let alone = Question {
            threads: Some(Exclusion::OneThread),
            ..ask(Policy::Auto, guessed, 1_000, Gpu::Unopened)
        };
        assert_eq!(plan(&alone).expect("Auto always has a backend").backend, Backend::Simd);
    }

    #[test]
    fn a_light_loop_never_pays_for_the_bus() {
        for n in [1, 1_000, 1_000_000, 100_000_000] {
            assert_ne!(chosen(light(), n), Backend::Gpu, "n = {n}");
        }
    }

    #[test]
    fn an_unopened_gpu_is_named_and_not_chosen() {
        let plan =
            plan(&ask(Policy::Auto, heavy(), 1 << 24, Gpu::Unopened)).expect("Auto always has a backend");
        assert_eq!(plan.backend, Backend::Threads);
        assert_eq!(plan.entries[0].verdict, Verdict::Unopened);
    }

    #[test]
    fn a_gpu_that_failed_is_replaced_by_the_next_best() {
        let plan = plan(&ask(Policy::Auto, heavy(), 1 << 20, Gpu::Ready(&DISCRETE)))
            .expect("Auto always has a backend");
        let rescued = plan.without_gpu(Exclusion::Failed);
        assert_eq!(rescued.backend, Backend::Threads);
        assert_eq!(rescued.entries.map(|entry| entry.verdict == Verdict::Chosen), [false, false, true]);
    }

    #[test]
    fn only_is_that_backend_or_the_reason() {
        for n in [0, 1, 1 << 30] {
            let one = plan(&ask(Policy::Only(Backend::Simd), heavy(), n, Gpu::Ready(&DISCRETE)))
                .expect("simd always runs");
            assert_eq!(one.backend, Backend::Simd);
            assert_eq!(one.entries[2].verdict, Verdict::Excluded(Exclusion::Policy));
        }
        let none = plan(&ask(Policy::Only(Backend::Gpu), heavy(), 10, Gpu::Excluded(Exclusion::NoAdapter)));
        assert_eq!(none, Err(Exclusion::NoAdapter));
    }

    #[test]
    fn a_gain_inside_the_margin_keeps_the_simpler_backend() {
        let close = CpuFacts { fork_join_ns: 0.0, speed_up: 1.03, bandwidth_all: [10.0; 4], ..cpu() };
        let question = Question { cpu: &close, ..ask(Policy::Auto, heavy(), 1 << 20, Gpu::Unopened) };
        assert_eq!(plan(&question).expect("Auto always has a backend").backend, Backend::Simd);
    }
}
