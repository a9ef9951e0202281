//! What this process knows about its GPU: not yet opened, opened and measured, or left out, and why.

use std::sync::Arc;

use super::exclusion::Exclusion;
use super::machine::GpuFacts;
#[cfg(feature = "gpu")]
use crate::backend::{Backend, Policy};

/// What is known.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "gpu"),
    allow(dead_code, reason = "a build without the gpu feature has none to open")
)]
pub(super) enum Known {
    /// Nobody has looked: the loops of this process have not yet been worth the start-up.
    Unopened,
    /// Open and measured.
    Ready(GpuFacts),
    /// Left out; in the words of the driver, where there are any.
    Excluded(Exclusion, Option<Arc<str>>),
}

impl Known {
    /// Why it is left out, in the words of whoever found it out.
    pub(super) fn detail(&self) -> Option<Arc<str>> {
        match self {
            Self::Excluded(_, detail) => detail.clone(),
            Self::Unopened | Self::Ready(_) => None,
        }
    }
}

#[cfg(not(feature = "gpu"))]
pub(super) fn look(_: crate::backend::Policy, _: f64) -> Known {
    Known::Excluded(Exclusion::NotBuilt, None)
}

/// What is known, after opening the GPU if this call is worth it; `spent` is what the loops so far were predicted to cost.
#[cfg(feature = "gpu")]
pub(super) fn look(policy: Policy, spent: f64) -> Known {
    use std::sync::PoisonError;
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner).clone();
    match (policy, known) {
        (_, Some((ready @ Known::Ready(_), _))) => ready,
        // Whoever asks for the GPU by name gets another try.
        (Policy::Only(Backend::Gpu), _) => open(spent, true),
        // Drivers come up late: after a failure, the loops may buy another look when they have cost twice as much.
        (Policy::Auto, Some((_, then))) if spent >= 2.0 * then.max(OPEN_NS) => open(spent, false),
        (_, Some((known, _))) => known,
        (Policy::Auto, None) if spent >= OPEN_NS => open(spent, false),
        (_, None) => Known::Unopened,
    }
}

/// What opening a GPU costs, roughly, in nanoseconds: loading the driver dominates.
#[cfg(feature = "gpu")]
const OPEN_NS: f64 = 300e6;

/// What was found out, and what the loops had cost by then.
#[cfg(feature = "gpu")]
static KNOWN: std::sync::RwLock<Option<(Known, f64)>> = std::sync::RwLock::new(None);

/// Opens and measures the GPU.
#[cfg(feature = "gpu")]
fn open(spent: f64, by_name: bool) -> Known {
    use std::sync::PoisonError;

    use super::machine::Closed;
    let found = match GpuFacts::open(by_name) {
        Ok((facts, _)) => Known::Ready(facts),
        Err(Closed::Probing) => Known::Excluded(Exclusion::Probing, None),
        Err(Closed::None(none)) => {
            let why = if none.software { Exclusion::SoftwareAdapter } else { Exclusion::NoAdapter };
            Known::Excluded(why, Some(none.reason.into()))
        }
    };
    *KNOWN.write().unwrap_or_else(PoisonError::into_inner) = Some((found.clone(), spent));
    found
}
