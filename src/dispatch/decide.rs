//! The decision about one call: asks what the machine is and what was learnt, and takes down on what grounds it was made.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::basis::Basis;
use super::dispatcher::Dispatcher;
use super::environment::environment;
use super::exclusion::Exclusion;
use super::gpu;
use super::machine::{CpuFacts, Source};
use super::model::{self, Work};
use super::plan::{Offer, Plan, Question};
use super::planner::{Memory, Planner, nanoseconds};
use super::report::{Subject, memories};
use crate::backend::{Backend, Policy};
use crate::error::{Error, Result};
use crate::exec::threads::{BREAK_EVEN, Threads};
use crate::kernel::Kernel;
use crate::launch::job::Job;
use crate::part::Part;

/// Nanoseconds that the loops of this process have spent on the CPU so far.
static SPENT_NS: AtomicU64 = AtomicU64::new(0);

/// The planner of this process: one, as what it knows of is the machine.
static PLANNER: Planner = Planner::new();
/// The one of deterministic mode, which is taught nothing.
static UNTAUGHT: Planner = Planner::new();

/// Nanoseconds since the first call of this process.
pub(super) fn now() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    nanoseconds(START.get_or_init(Instant::now).elapsed())
}

/// Counts what a loop has cost on the CPU.
pub(super) fn spend(time: Duration) {
    SPENT_NS.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
}

/// One call, as the dispatcher asks about it.
struct Asked<'a> {
    name: &'a str,
    memory: &'a Memory,
    work: Work,
    /// Elements or invocations.
    n: usize,
    per_element: bool,
    not_on_gpu: Option<Exclusion>,
}

/// What was decided, and on what grounds.
pub(super) struct Decision {
    pub plan: Plan,
    pub question: Question,
    pub basis: Basis,
    /// Whether the call teaches: not where nothing was measured to correct, nor inside a pool, where time is not what it seems.
    pub teaches: bool,
}

impl Dispatcher {
    pub(super) fn decide(&self, kernel: &Kernel, part: &Part<'_>) -> Result<Decision> {
        let work = Work::of(kernel, part)?;
        let asked = Asked {
            name: kernel.name(),
            memory: &memories(kernel, work.known).alone,
            work,
            n: part.n,
            per_element: true,
            not_on_gpu: (!kernel.has_wgsl()).then_some(Exclusion::ClosureOnly),
        };
        self.choose(&asked, || self.gpu_refuses(kernel, part))
    }

    pub(super) fn decide_launch(&self, jobs: &[Job<'_>], subject: &Subject) -> Result<Decision> {
        let work = Work::of_jobs(jobs)?;
        let n = jobs.iter().map(Job::invocations).fold(0, u64::saturating_add);
        let nothing = Memory::new(true);
        let asked = Asked {
            name: jobs.first().map_or("sequence", |job| &job.shader.entry),
            memory: subject.memory(work.known).unwrap_or(&nothing),
            work,
            n: usize::try_from(n).unwrap_or(usize::MAX),
            per_element: false,
            not_on_gpu: None,
        };
        self.choose(&asked, || self.gpu_refuses_launch(jobs))
    }

    /// Chooses. `refuses`: why the open GPU cannot run it, if it cannot.
    fn choose(&self, asked: &Asked<'_>, refuses: impl FnOnce() -> Option<String>) -> Result<Decision> {
        let policy = self.policy()?;
        let deterministic = self.deterministic || environment()?.deterministic;
        let nested = Threads::inside();
        let short = match Threads::started()? {
            None if !nested && !deterministic => short(asked),
            _ => None,
        };
        let pool = if short.is_some() { None } else { Some(Threads::global()?) };
        let (cpu, source, spent) = match (short, pool) {
            (Some(assumed), _) => assumed,
            (None, Some(pool)) if !deterministic => facts(pool, asked, nested),
            (None, _) => (CpuFacts::reference(), Source::Reference, 0.0),
        };
        let gpu = match asked.not_on_gpu {
            Some(why) => gpu::Known::Excluded(why, None),
            None if nested => gpu::Known::Excluded(Exclusion::Nested, None),
            None if deterministic => gpu::Known::Excluded(Exclusion::Deterministic, None),
            None => self.look(policy, spent),
        };
        let threads = match pool {
            _ if nested => Some(Exclusion::Nested),
            Some(pool) if pool.count() == 1 && !deterministic => Some(Exclusion::OneThread),
            _ => None,
        };
        let now = now();
        let basis = Basis {
            policy,
            work: asked.work,
            n: asked.n,
            per_element: asked.per_element,
            cpu,
            source,
            threads,
            before_pool: pool.is_none(),
            idle: !deterministic && self.planner().pool_sleeps(now),
            gpu,
            now,
        };
        let memory = Some(asked.memory).filter(|_| !deterministic);
        let mut question = basis.question(asked.n, memory);
        let planner = if deterministic { &UNTAUGHT } else { self.planner() };
        let decide = |question: &mut Question| {
            planner.plan(question, memory, now, self.explores && !deterministic).map_err(|exclusion| {
                let reason = match basis.gpu.detail() {
                    Some(detail) => detail.to_string(),
                    None => exclusion.to_string(),
                };
                // Only a GPU is ever excluded for good: the CPU backends run wherever this code does.
                Error::Unavailable { kernel: asked.name.to_owned(), backend: Backend::Gpu, reason }
            })
        };
        let mut plan = decide(&mut question)?;
        plan.detail = basis.gpu.detail();
        if plan.backend == Backend::Gpu
            && policy == Policy::Auto
            && let Some(refusal) = refuses()
        {
            question.offers[Backend::Gpu as usize] = Offer::Excluded(Exclusion::OverLimit);
            plan = decide(&mut question)?;
            plan.detail = Some(refusal.into());
        }
        let teaches = !nested && !deterministic && source != Source::Assumed;
        Ok(Decision { plan, question, basis, teaches })
    }

    pub(super) fn planner(&self) -> &'static Planner {
        #[cfg(all(test, feature = "gpu"))]
        if let Some(own) = &self.own {
            return own.planner;
        }
        &PLANNER
    }

    fn look(&self, policy: Policy, spent: f64) -> gpu::Known {
        #[cfg(all(test, feature = "gpu"))]
        if let Some(own) = &self.own {
            return gpu::Known::Ready(own.facts);
        }
        gpu::look(policy, spent)
    }
}

/// The same as [`facts`] for a call that is too short for a pool to take part and for anything to be looked up or measured: no pool
/// is started for it.
fn short(asked: &Asked<'_>) -> Option<(&'static CpuFacts, Source, f64)> {
    let n = if asked.per_element { asked.n as f64 } else { 1.0 };
    let cpu = CpuFacts::alone();
    let this = model::simd(cpu, &asked.work, n).total();
    let spent = SPENT_NS.load(Ordering::Relaxed) as f64 + this;
    let short = asked.work.known && this < BREAK_EVEN.as_nanos() as f64 && !CpuFacts::is_worth_reading(spent);
    short.then_some((cpu, Source::Assumed, spent))
}

/// The facts about the CPU, measured if this call is worth it, and what the loops so far were predicted to cost, with this one.
fn facts(pool: &Threads, asked: &Asked<'_>, nested: bool) -> (&'static CpuFacts, Source, f64) {
    let n = if asked.per_element { asked.n as f64 } else { 1.0 };
    let so_far = SPENT_NS.load(Ordering::Relaxed) as f64;
    let (cpu, source) = CpuFacts::known(pool, if nested { 0.0 } else { so_far });
    if source != Source::Assumed || nested {
        return (cpu, source, so_far);
    }
    // Rent or buy: assume until the loops so far were worth measuring.
    let spent = so_far + model::simd(cpu, &asked.work, n).total();
    let (cpu, source) = CpuFacts::known(pool, spent);
    (cpu, source, spent)
}
