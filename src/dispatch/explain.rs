//! Why a call runs where it runs, in words and numbers.

use std::fmt;

use super::basis::Basis;
use super::plan::{Entry, Plan, Verdict};
use super::planner::{Memory, Planner};
use super::report::{Grouped, Span};
use crate::backend::Backend;

/// A size from which a loop runs on another backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossover {
    /// Elements, or invocations of a shader; to about 2 %.
    pub from: usize,
    /// Where loops of this size and more run, up to the next crossover.
    pub backend: Backend,
}

/// Why a call would run where it would: [`Dispatcher::explain`](crate::Dispatcher::explain). Printed, it is several lines.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The decision: every backend's prediction and verdict.
    pub plan: Plan,
    /// Elements of the call, or invocations.
    pub n: usize,
    /// Where calls of other sizes run, from the smallest size on, by what is known now. For a launch, all its data grows with it.
    pub crossovers: Vec<Crossover>,
}

impl Explanation {
    pub(super) fn new(plan: Plan, basis: &Basis, planner: &Planner, memory: Option<&Memory>) -> Self {
        Self { plan, n: basis.n, crossovers: basis.crossovers(planner, memory) }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, crossovers, .. } = self;
        for entry in &plan.entries {
            let mark = if entry.backend == plan.backend { '→' } else { ' ' };
            let (predicted, error) = entry.predicted.map_or_else(
                || ("–".to_owned(), String::new()),
                |time| (Span(time).to_string(), format!("×÷{:.2}", entry.error_factor())),
            );
            let samples = match entry.samples {
                0 if entry.predicted.is_none() => String::new(),
                1 => "1 sample".to_owned(),
                n => format!("{n} samples"),
            };
            writeln!(
                f,
                "  {mark} {:<8} {predicted:>10} {error:<6} {samples:>11}  {}",
                entry.backend,
                Reason { plan, entry }
            )?;
        }
        write!(f, "    machine facts: {}", plan.source)?;
        for (nth, Crossover { from, backend }) in crossovers.iter().enumerate() {
            match nth {
                0 => write!(f, "\n    by size: {backend}")?,
                _ => write!(f, ", {backend} from {}", Grouped(*from))?,
            }
        }
        let never = |entry: &&Entry| {
            entry.predicted.is_some() && crossovers.iter().all(|crossover| crossover.backend != entry.backend)
        };
        for entry in plan.entries.iter().filter(never).filter(|_| !crossovers.is_empty()) {
            write!(f, ", never {}", entry.backend)?;
        }
        Ok(())
    }
}

/// Why a backend was or was not chosen.
struct Reason<'a> {
    plan: &'a Plan,
    entry: &'a Entry,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compared = |entry: &Entry| {
            matches!(entry.verdict, Verdict::Slower | Verdict::Unshared | Verdict::WithinMargin)
        };
        f.write_str(match self.entry.verdict {
            Verdict::Chosen if self.plan.entries.iter().any(compared) => "fastest prediction",
            Verdict::Chosen => "the only one left",
            Verdict::ChosenUnknown => {
                "its cost cannot be read off the body: starts here, and the pool joins when worth it"
            }
            Verdict::Explored => "tried, to learn how fast it is",
            Verdict::PassedOver => "fastest prediction, passed over to learn",
            Verdict::Unknown => "no prediction: the body's cost cannot be read off it",
            Verdict::Slower => "predicted slower",
            Verdict::Unshared => "not worth sharing: the pool would leave it to one thread",
            Verdict::WithinMargin => "predicted faster by less than 5 %",
            Verdict::Unopened => "not opened: the loops so far were not worth its start-up",
            Verdict::Excluded(why) => return self.excluded(f, why),
        })
    }
}

impl Reason<'_> {
    fn excluded(&self, f: &mut fmt::Formatter<'_>, why: super::Exclusion) -> fmt::Result {
        write!(f, "{why}")?;
        match &self.plan.detail {
            Some(detail) if self.entry.backend == Backend::Gpu => write!(f, ": {detail}"),
            _ => Ok(()),
        }
    }
}
