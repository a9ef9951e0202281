//! Measures loops over sizes: who runs when, for how long, and whether what it computed is right.
//!
//! The machines are noisy, so nothing is compared that was not measured side by side. At a size, every round takes one sample of each
//! contender, in random order; a sample is one call, or as many as take a tenth of a millisecond. Sizes come in random order too. The
//! first calls of each are dropped. A size is left when every median is known well enough, or its share of the time is used up;
//! those that are not known well enough are visited again, in later minutes, while there is time.
//!
//! Every contender's results are compared with those of the `simd` backend before it is timed: CPU backends bit by bit.
//!
//! A cold sweep is the same, of samples that are each the first call of a process of its own.

use std::fmt;
use std::time::Duration;

use super::cold::{FirstCall, Outcome};
use super::loops::Workload;
use super::results::{Machine, Regret, Results, SCHEMA, Settings};
use crate::backend::Backend;
use crate::cancel::Cancel;
use crate::date;
use crate::error::Result;
use measure::{PRECISION, Run};

mod conclude;
mod fresh;
mod here;
mod measure;
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
    first_calls: Option<Box<Ask>>,
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

/// Who is asked for a first call.
type Ask = dyn Fn(&FirstCall) -> Result<Outcome>;

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
            first_calls: None,
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

    /// The same, cold: every sample is the first call of a process of its own, start-up included, which `ask` has made by
    /// [`FirstCall::run`]. Nothing is anywhere before a first call: [`with_resident`](Self::with_resident) has no effect.
    ///
    /// Where the dispatcher or a GPU is measured, those processes should find a profile of the machine:
    /// [`Machine::save_to`](crate::Machine::save_to) and `FORALL_PROFILE`. Without one they assume, or measure.
    #[must_use]
    pub fn with_first_calls(self, ask: impl Fn(&FirstCall) -> Result<Outcome> + 'static) -> Self {
        Self { first_calls: Some(Box::new(ask)), ..self }
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
    /// Where a loop cannot run even on `simd`, and those of who is asked for first calls. What another backend cannot do is no error: the
    /// results say why it is absent.
    ///
    /// # Cost
    /// All of the machine, for the time given: two threads that are busy with something else make results that are of no use.
    pub fn run(&self) -> Result<Results> {
        let mut run = Run::new(self);
        let date = date::now();
        let mut loops = Vec::new();
        for (at, workload) in self.loops.iter().enumerate() {
            let left = self.budget.saturating_sub(run.start.elapsed()) / (self.loops.len() - at) as u32;
            let one = run.measure(workload, left)?;
            if !one.sizes.is_empty() {
                loops.push(one);
            }
            if run.stopped() {
                break;
            }
        }
        run.tell("the machine's best rates", 0);
        let measured = self.backends.iter().copied().filter(|b| run.absent.iter().all(|a| a.backend != *b));
        // A debug build's roofs are none, and a first call is far from any.
        let roofs = !run.stopped() && !cfg!(debug_assertions) && self.first_calls.is_none();
        let machine = Machine::here(&measured.collect::<Vec<_>>(), roofs);
        Ok(Results {
            schema: SCHEMA,
            date,
            command: self.command.clone(),
            interrupted: run.stopped(),
            seconds: run.start.elapsed().as_secs_f64(),
            settings: Settings {
                sizes: self.sizes,
                budget: self.budget.as_secs_f64(),
                resident: self.resident && self.first_calls.is_none(),
                cold: self.first_calls.is_some(),
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
