//! The planner: predictions, corrected by what was learnt, choice, run, lesson. Drives real hardware and simulated machines
//! alike: both stand behind [`Device`], and time is what the device says it is.
//!
//! What is learnt of a kernel lives with the kernel ([`Memory`]), what is learnt of the machine here. A decision reads both without
//! waiting: while somebody else writes them, which takes some 0.1 µs, it does without, and a lesson is then lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::exclusion::Exclusion;
use super::learn::{Learnt, Load};
use super::plan::{self, Known, Offer, Plan, Question, Verdict};
use crate::backend::{Backend, Policy};
use crate::exec::Times;

#[cfg(test)]
mod tests;

/// One call on whichever backend it is sent to.
pub(crate) trait Device {
    type Error: std::fmt::Display;

    /// Nanoseconds on the clock of the machine, from any moment on.
    fn now(&self) -> f64;

    /// Runs the call. After an error of the GPU nothing of the caller's was written.
    ///
    /// # Errors
    /// What went wrong, and with it what that says about the backend.
    fn run(&mut self, backend: Backend) -> Result<Done, Failure<Self::Error>>;
}

/// A call that has run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub times: Times,
    /// Bytes copied between host and device memory, both ways.
    pub moved: u64,
    /// Whether others than the calling thread took part.
    pub shared: bool,
}

/// A call that has not.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    /// The caller stopped it, or the body failed: it would elsewhere too.
    Call(E),
    /// The backend cannot run this kernel.
    Refused(E),
    /// The backend is broken.
    Broken(E),
}

/// How a call went: the plan as it was carried out.
#[derive(Debug)]
pub(crate) struct Carried {
    pub plan: Plan,
    pub done: Done,
    pub rescued: Option<String>,
}

/// A backend that failed is tried again at once, then after a second, and four times as long after every further failure.
#[derive(Clone, Copy, Debug)]
struct Backoff {
    failures: u32,
    until: f64,
}

impl Backoff {
    const NEW: Self = Self { failures: 0, until: f64::NEG_INFINITY };

    fn fail(&mut self, now: f64) {
        // A device that was lost is opened anew by the next call, which mostly works.
        self.until = match self.failures {
            0 => now,
            n => now + 1e9 * 4_f64.powi(n.min(8) as i32 - 1),
        };
        self.failures = self.failures.saturating_add(1);
    }

    fn is_closed(&self, now: f64) -> bool {
        now < self.until
    }
}

/// What was learnt of one kernel.
#[derive(Debug)]
pub(crate) struct Memory(RwLock<Remembered>);

#[derive(Clone, Copy, Debug)]
struct Remembered {
    learnt: Learnt,
    /// What calls ran on last, two bits for each power of two of n: 0 where there was none, else the backend's number and one.
    chosen: u128,
    refused: Backoff,
}

/// What is known of a kernel that has not run.
static COUNTED: Remembered = Remembered::new(true);
static GUESSED: Remembered = Remembered::new(false);

impl Memory {
    /// Of a kernel whose body's cost was counted, or is a guess.
    pub(crate) fn new(counted: bool) -> Self {
        Self(RwLock::new(Remembered { learnt: Learnt::new(counted), chosen: 0, refused: Backoff::NEW }))
    }
}

impl Memory {
    /// How many times the operations of the kernel's body the model is to be asked about.
    pub(crate) fn body(&self) -> f64 {
        self.0.try_read().map_or(1.0, |remembered| remembered.learnt.body())
    }
}

/// Which of the pairs of bits in `chosen` is that of a size.
fn octave(n: usize) -> u32 {
    2 * (usize::BITS - 1 - n.max(1).leading_zeros())
}

impl Remembered {
    const fn new(counted: bool) -> Self {
        Self { learnt: Learnt::new(counted), chosen: 0, refused: Backoff::NEW }
    }

    fn incumbent(&self, n: usize) -> Option<Backend> {
        let number = (self.chosen >> octave(n)) & 3;
        Backend::ALL.into_iter().find(|&backend| backend as u128 + 1 == number)
    }

    fn choose(&mut self, n: usize, backend: Backend) {
        let at = octave(n);
        self.chosen = self.chosen & !(3 << at) | (backend as u128 + 1) << at;
    }
}

/// What was learnt of the machine.
#[derive(Clone, Copy, Debug)]
struct Machine {
    loads: [Load; 3],
    gpu: Backoff,
    /// What exploring has cost so far, in nanoseconds, and since when it is allowed.
    explored: f64,
    began: Option<f64>,
}

impl Machine {
    const NEW: Self = Self { loads: [Load::NEW; 3], gpu: Backoff::NEW, explored: 0.0, began: None };
}

static UNKNOWN: Machine = Machine::NEW;

/// Plans calls and learns from them.
#[derive(Debug)]
pub(crate) struct Planner {
    machine: RwLock<Machine>,
    /// When the pool last worked on a loop, as the bits of an `f64`: asked before anything else, and of no other use.
    pool_used: AtomicU64,
}

/// Workers of a pool that has nothing to do for so many nanoseconds are asleep.
const ASLEEP_NS: f64 = 2e6;

/// The part of elapsed time that exploring may cost.
const EXPLORATION: f64 = 0.01;

impl Planner {
    /// One that knows nothing.
    pub(crate) const fn new() -> Self {
        Self { machine: RwLock::new(Machine::NEW), pool_used: AtomicU64::new(f64::NEG_INFINITY.to_bits()) }
    }

    /// What is known of the machine, without waiting for it.
    fn with_machine<T>(&self, ask: impl FnOnce(&Machine) -> T) -> T {
        match self.machine.try_read() {
            Ok(machine) => ask(&machine),
            Err(_) => ask(&UNKNOWN),
        }
    }

    /// Whether the pool's workers have gone to sleep.
    pub(crate) fn pool_sleeps(&self, now: f64) -> bool {
        now - f64::from_bits(self.pool_used.load(Ordering::Relaxed)) > ASLEEP_NS
    }

    /// Where a call runs. `explore`: it may be sent elsewhere to learn.
    ///
    /// # Errors
    /// The exclusion, when the policy names a backend that cannot run it.
    pub(crate) fn plan(
        &self,
        question: &mut Question,
        memory: Option<&Memory>,
        now: f64,
        explore: bool,
    ) -> Result<Plan, Exclusion> {
        let (known, budget) = self.with_machine(|machine| {
            let budget = EXPLORATION * (now - machine.began.unwrap_or(now)) - machine.explored;
            (known(machine, question, memory, now), budget)
        });
        let mut plan = plan::plan(question, &known)?;
        if explore
            && question.policy == Policy::Auto
            && let Some(other) = plan::worth_trying(&known, plan.backend, budget)
        {
            plan.entries[plan.backend as usize].verdict = Verdict::PassedOver;
            plan.entries[other as usize].verdict = Verdict::Explored;
            plan.backend = other;
        }
        Ok(plan)
    }

    /// Where a call would run if none of its size had run before.
    pub(crate) fn plan_afresh(
        &self,
        question: &mut Question,
        memory: Option<&Memory>,
        now: f64,
    ) -> Result<Plan, Exclusion> {
        let known = self.with_machine(|machine| known(machine, question, memory, now));
        plan::plan(question, &Known { incumbent: None, ..known })
    }

    /// Carries a plan out, on the CPU if the GPU fails and the policy leaves it open, and learns from it.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn carry_out<D: Device>(
        &self,
        question: &Question,
        mut plan: Plan,
        memory: Option<&Memory>,
        device: &mut D,
    ) -> Result<Carried, D::Error> {
        let mut rescued = None;
        if plan.backend == Backend::Gpu {
            let error = match device.run(Backend::Gpu) {
                Ok(done) => {
                    self.observe(question, &plan, memory, &done, device);
                    return Ok(Carried { plan, done, rescued });
                }
                Err(Failure::Call(error)) => return Err(error),
                Err(Failure::Refused(error)) => {
                    if let Some(memory) = memory {
                        let mut remembered = memory.0.write().unwrap_or_else(PoisonError::into_inner);
                        remembered.refused.fail(device.now());
                    }
                    error
                }
                Err(Failure::Broken(error)) => {
                    let mut machine = self.machine.write().unwrap_or_else(PoisonError::into_inner);
                    machine.gpu.fail(device.now());
                    error
                }
            };
            if question.policy != Policy::Auto {
                return Err(error);
            }
            rescued = Some(error.to_string());
            plan = plan.without_gpu(Exclusion::Failed);
        }
        match device.run(plan.backend) {
            Ok(done) => {
                // A rescued call finds warm or cold caches that no plan foresees.
                if rescued.is_none() {
                    self.observe(question, &plan, memory, &done, device);
                }
                Ok(Carried { plan, done, rescued })
            }
            Err(Failure::Call(error) | Failure::Refused(error) | Failure::Broken(error)) => Err(error),
        }
    }

    /// Learns from a call that has run, unless it has nothing to say.
    fn observe<D: Device>(
        &self,
        question: &Question,
        plan: &Plan,
        memory: Option<&Memory>,
        done: &Done,
        device: &D,
    ) {
        let Some(memory) = memory else { return };
        // A loop on the pool that turned out too short to share has shown what one thread takes.
        let ran = match plan.backend {
            Backend::Threads if !done.shared => Backend::Simd,
            backend => backend,
        };
        let (at, explored) = (ran as usize, plan.entries[plan.backend as usize].verdict == Verdict::Explored);
        let Some(terms) = question.terms(ran) else { return };
        let Ok(mut remembered) = memory.0.try_write() else { return };
        let took = nanoseconds(done.times.total() - done.times.compile);
        // What others than one thread run takes longer than a lesson, and says more: that they are awake, or alive.
        let predicted = plan.entries[at].predicted.filter(|_| ran == Backend::Simd && !explored);
        if !predicted.is_some_and(|predicted| remembered.learnt.knows(at, nanoseconds(predicted), took)) {
            let Ok(mut machine) = self.machine.try_write() else { return };
            let now = device.now();
            remembered.learnt.observe(at, terms, &mut machine.loads[at], now, took);
            if plan.backend == Backend::Gpu {
                machine.gpu = Backoff::NEW;
                remembered.refused = Backoff::NEW;
            }
            machine.began.get_or_insert(now);
            if ran == Backend::Threads {
                self.pool_used.store(now.to_bits(), Ordering::Relaxed);
            }
            if explored {
                let best = plan.entries.iter().filter_map(|entry| entry.predicted).min();
                machine.explored += (took - best.map_or(took, nanoseconds)).max(0.0);
            }
        }
        if question.policy == Policy::Auto && !explored {
            remembered.choose(question.n, plan.backend);
        }
    }
}

/// By way of integers of 64 bits: those of 128 take longer than all else here that a short call needs.
pub(crate) fn nanoseconds(time: Duration) -> f64 {
    time.as_secs() as f64 * 1e9 + f64::from(time.subsec_nanos())
}

/// What is known about a call. Excludes a GPU that has failed a moment ago.
fn known(machine: &Machine, question: &mut Question, memory: Option<&Memory>, now: f64) -> Known {
    let remembered = memory.and_then(|memory| memory.0.try_read().ok());
    let remembered = remembered.as_deref().unwrap_or(if question.counted { &COUNTED } else { &GUESSED });
    let gpu = &mut question.offers[Backend::Gpu as usize];
    if question.policy == Policy::Auto
        && !matches!(gpu, Offer::Excluded(_))
        && (machine.gpu.is_closed(now) || remembered.refused.is_closed(now))
    {
        *gpu = Offer::Excluded(Exclusion::Failed);
    }
    let estimate = |backend: Backend| {
        let at = backend as usize;
        let terms = question.terms(backend)?;
        Some(remembered.learnt.estimate(at, terms, &machine.loads[at], now))
    };
    let mut estimates = [estimate(Backend::Gpu), estimate(Backend::Simd), None];
    estimates[Backend::Threads as usize] = if question.stays_on_one_thread() {
        estimates[Backend::Simd as usize]
    } else {
        estimate(Backend::Threads)
    };
    Known {
        estimates,
        believed: question.counted || remembered.learnt.is_believed(),
        incumbent: remembered.incumbent(question.n),
    }
}
