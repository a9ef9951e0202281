//! Stopping a launch that is under way: by a flag that anybody may set, or by a time limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A flag that stops loops. Clones are the same flag; it is never taken back.
///
/// A launch looks at it between pieces of work and in every round of a loop, so it ends within milliseconds of
/// [`Cancel::cancel`], whatever the shader does; on a GPU, which nothing stops, up to two seconds later.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    set: AtomicBool,
    /// From then on it counts as set.
    deadline: Option<Instant>,
    /// As soon as one of these is set, so is this.
    parents: Vec<Cancel>,
}

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag that is set with any of `parents`, or when the deadline has passed. Setting it leaves them alone.
    pub(crate) fn within(parents: Vec<Self>, deadline: Option<Instant>) -> Self {
        Self(Arc::new(Flag { set: AtomicBool::new(false), deadline, parents }))
    }

    /// Stops what looks at the flag, now and later.
    pub fn cancel(&self) {
        self.0.set.store(true, Ordering::Relaxed);
    }

    /// Whether it was set.
    pub fn is_cancelled(&self) -> bool {
        self.0.set.load(Ordering::Relaxed) || self.is_late() || self.0.parents.iter().any(Self::is_cancelled)
    }

    /// Whether its own deadline has passed.
    pub(crate) fn is_late(&self) -> bool {
        self.0.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// What a run looks at to know whether to go on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    /// Set by the user, or by another part of the same launch that failed.
    pub cancel: Option<Cancel>,
    /// When to give up.
    pub deadline: Option<Instant>,
}

/// A run ended before its end because its [`Watch`] said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Its flag was set.
    Cancelled,
    /// Its time was up.
    Late,
}

impl Watch {
    /// Nothing ever stops it.
    pub(crate) const NEVER: Self = Self { cancel: None, deadline: None };

    /// Whether anything may stop it.
    pub(crate) fn is_never(&self) -> bool {
        self.cancel.is_none() && self.deadline.is_none()
    }

    /// Looks. Reads a clock where there is a deadline (about 25 ns), so not in every short round of a loop.
    ///
    /// # Errors
    /// [`Stopped`], from then on always.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        if self.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(Stopped::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Stopped::Late),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flag_is_shared_and_stays() {
        let cancel = Cancel::new();
        let watch = Watch { cancel: Some(cancel.clone()), deadline: None };
        assert_eq!(watch.check(), Ok(()));
        cancel.clone().cancel();
        assert!(cancel.is_cancelled());
        assert_eq!(watch.check(), Err(Stopped::Cancelled));
    }

    #[test]
    fn a_flag_is_set_with_its_parents_and_not_the_other_way_round() {
        let (outer, other) = (Cancel::new(), Cancel::new());
        let inner = Cancel::within(vec![outer.clone(), other.clone()], None);
        let leaf = Cancel::within(vec![inner.clone()], None);
        leaf.cancel();
        assert!(leaf.is_cancelled() && !inner.is_cancelled() && !outer.is_cancelled());
        other.cancel();
        assert!(inner.is_cancelled() && !outer.is_cancelled() && !inner.is_late());
        let late = Cancel::within(Vec::new(), Some(Instant::now()));
        assert!(late.is_late() && late.is_cancelled());
    }

    #[test]
    fn a_deadline_passes() {
        let now = Instant::now();
        let late = Watch { cancel: None, deadline: Some(now) };
        assert_eq!(late.check(), Err(Stopped::Late));
        let early = Watch { cancel: None, deadline: Some(now + Duration::from_secs(3600)) };
        assert_eq!(early.check(), Ok(()));
        assert!(Watch::NEVER.is_never() && !early.is_never());
        assert_eq!(Watch::NEVER.check(), Ok(()));
    }
}
