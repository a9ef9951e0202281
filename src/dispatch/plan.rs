//! Decides where a loop runs. Pure and cheap: estimates in, choice and reasons out; nothing is run, opened or measured here.

use std::sync::Arc;
use std::time::Duration;

use super::exclusion::Exclusion;
use super::learn::Estimate;
use super::machine::Source;
use super::model::Terms;
use crate::backend::{Backend, Policy};

#[cfg(test)]
mod tests;

/// What was decided about one backend.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It runs the loop.
    Chosen,
    /// It runs the loop, whose cost cannot be read off the body: it starts on the calling thread, and the pool joins in once
    /// the elements done so far say that this is worth it. After a few calls the cost is known.
    ChosenUnknown,
    /// It runs the loop, to learn how fast it is: [`Dispatcher::with_exploration`](crate::Dispatcher::with_exploration).
    Explored,
    /// No prediction: the body's cost cannot be read off it, and too few calls were measured.
    Unknown,
    /// Predicted slower than the chosen one.
    Slower,
    /// The pool, which would leave the loop to the calling thread: sharing it gains nothing.
    Unshared,
    /// Predicted faster than the chosen one by less than 5 %, which is not worth changing for.
    WithinMargin,
    /// The best choice, passed over this once, so that another backend can be [`Explored`](Self::Explored).
    PassedOver,
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
    /// Measured calls of this kernel on this backend that the prediction was corrected by.
    pub samples: u32,
    /// What was decided.
    pub verdict: Verdict,
    /// Of the prediction's logarithm.
    variance: f32,
}

impl Entry {
    /// One standard deviation of the prediction, as a factor: at 1.2, two of three calls take between `predicted / 1.2` and
    /// `predicted · 1.2`.
    pub fn error_factor(&self) -> f64 {
        f64::from(self.variance.max(0.0)).sqrt().exp()
    }
}

/// A choice with its reasons: one entry for each of [`Backend::ALL`], in that order.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Where the loop runs.
    pub backend: Backend,
    /// Every backend's prediction and verdict.
    pub entries: [Entry; 3],
    /// Where the facts come from that the predictions rest on.
    pub source: Source,
    /// Why the GPU is left out in the words of whoever found it out, where there is more to say than the exclusion.
    pub detail: Option<Arc<str>>,
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

/// What one backend has to offer for a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Offer {
    /// It can run it; what the model says it takes.
    Predicted(Terms),
    /// A GPU that is not opened: nobody knows how fast it is.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "a build without the gpu feature opens none"))]
    Unopened,
    Excluded(Exclusion),
}

/// One call, as far as a decision depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub policy: Policy,
    /// Elements or invocations.
    pub n: usize,
    /// Whether the body's cost was read off it.
    pub counted: bool,
    /// By backend, in the order of [`Backend::ALL`].
    pub offers: [Offer; 3],
    pub source: Source,
}

impl Question {
    /// What the model says for a backend that can run the call.
    pub(crate) fn terms(&self, backend: Backend) -> Option<&Terms> {
        match &self.offers[backend as usize] {
            Offer::Predicted(terms) => Some(terms),
            Offer::Unopened | Offer::Excluded(_) => None,
        }
    }

    /// Whether the pool's executor would run it on the calling thread.
    pub(crate) fn stays_on_one_thread(&self) -> bool {
        self.terms(Backend::Threads) == self.terms(Backend::Simd)
    }

    fn excluded(&self, backend: Backend) -> Option<Exclusion> {
        match self.offers[backend as usize] {
            Offer::Excluded(why) => Some(why),
            Offer::Predicted(_) | Offer::Unopened => None,
        }
    }
}

/// What has been learnt, as far as this call goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// For the backends with an offer that is [`Offer::Predicted`].
    pub estimates: [Option<Estimate>; 3],
    /// Whether the estimates are to be believed: the body's cost was counted, or has been learnt.
    pub believed: bool,
    /// What calls of about this size ran on last.
    pub incumbent: Option<Backend>,
}

/// Below this predicted gain the loop stays where it is: a prediction is not better than that, and a change costs warm caches.
pub(crate) const MARGIN: f64 = 0.05;

/// From the simplest on.
const BY_SIMPLICITY: [Backend; 3] = [Backend::Simd, Backend::Threads, Backend::Gpu];

/// Chooses the backend with the smallest prediction; `Only` chooses the one named, if nothing excludes it.
///
/// # Errors
/// The exclusion, when the policy names a backend that cannot run the loop.
pub(crate) fn plan(question: &Question, known: &Known) -> Result<Plan, Exclusion> {
    let backend = match question.policy {
        Policy::Only(named) => match (named, question.excluded(named)) {
            // One thread, or a nested call: the loop runs on the lanes at hand, which is what the pool would do.
            (Backend::Threads, Some(Exclusion::OneThread | Exclusion::Nested)) | (_, None) => named,
            (_, Some(why)) => return Err(why),
        },
        Policy::Auto => best(question, known),
    };
    let ns = |backend: Backend| known.estimates[backend as usize].map(|estimate| estimate.ns);
    let verdict = |this: Backend| match (this == backend, question.excluded(this)) {
        (true, _) if !known.believed && question.policy == Policy::Auto && this == Backend::Threads => {
            Verdict::ChosenUnknown
        }
        (true, _) => Verdict::Chosen,
        (false, Some(why)) => Verdict::Excluded(why),
        (false, None) if question.policy != Policy::Auto => Verdict::Excluded(Exclusion::Policy),
        (false, None) if ns(this).is_none() => Verdict::Unopened,
        (false, None) if !known.believed => Verdict::Unknown,
        (false, None) if this == Backend::Threads && question.stays_on_one_thread() => Verdict::Unshared,
        (false, None) if ns(this) <= ns(backend) => Verdict::WithinMargin,
        (false, None) => Verdict::Slower,
    };
    let entry = |backend: Backend| {
        let estimate = known.estimates[backend as usize];
        Entry {
            backend,
            // What follows from a guess is none of the reader's business.
            predicted: estimate
                .filter(|_| known.believed)
                .map(|estimate| Duration::from_nanos(estimate.ns as u64)),
            samples: estimate.map_or(0, |estimate| estimate.samples),
            verdict: verdict(backend),
            variance: estimate.map_or(0.0, |estimate| estimate.variance as f32),
        }
    };
    Ok(Plan { backend, entries: Backend::ALL.map(entry), source: question.source, detail: None })
}

/// The fastest by more than [`MARGIN`]; else the one that has the loop, or the simplest.
fn best(question: &Question, known: &Known) -> Backend {
    let ns = |backend: Backend| known.estimates[backend as usize].map(|estimate| estimate.ns);
    let can = |backend: &Backend| ns(*backend).is_some();
    // One that cannot run it has no time, and anybody is faster.
    let mut best = known.incumbent.unwrap_or(Backend::Simd);
    let mut least = ns(best).unwrap_or(f64::INFINITY);
    if !known.believed {
        // The pool's executor starts every loop on the calling thread and measures it: with a guess for a cost it cannot lose.
        return if can(&Backend::Threads) { Backend::Threads } else { Backend::Simd };
    }
    for backend in BY_SIMPLICITY {
        if let Some(ns) = ns(backend)
            && ns < least * (1.0 - MARGIN)
        {
            (best, least) = (backend, ns);
        }
    }
    debug_assert!(question.excluded(best).is_none(), "what is excluded has no estimate");
    best
}

/// The backend worth a try to learn how fast it is: not the best by its prediction, but it might be by what is not known of it, and
/// the try costs no more than `budget` nanoseconds. What the least known of them is.
pub(crate) fn worth_trying(known: &Known, chosen: Backend, budget: f64) -> Option<Backend> {
    let at = |backend: Backend| known.estimates[backend as usize];
    let least = at(chosen).filter(|_| known.believed)?.ns;
    let might_win = |backend: &Backend| {
        at(*backend).is_some_and(|other| {
            other.ns - least <= budget && other.ns * (-2.0 * other.variance.sqrt()).exp() < least
        })
    };
    let variance = |backend: Backend| at(backend).map_or(0.0, |estimate| estimate.variance);
    (Backend::ALL.into_iter().filter(|&backend| backend != chosen).filter(might_win))
        .max_by(|&a, &b| variance(a).total_cmp(&variance(b)))
}
