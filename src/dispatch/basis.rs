//! What a prediction rests on: the work of one call, and the facts about the machine as they were then.

use std::borrow::Cow;

use super::exclusion::Exclusion;
use super::gpu::Known;
use super::machine::{CpuFacts, Source};
use super::model::{self, Work};
use super::plan::{Offer, Question};
use super::planner::{Memory, Planner};
use crate::backend::Policy;
use crate::exec::threads::Threads;

/// The ground of one decision: enough to make it again, for this size or another.
#[derive(Clone, Debug)]
pub(super) struct Basis {
    pub policy: Policy,
    pub work: Work,
    /// Elements or invocations.
    pub n: usize,
    /// Whether `work` is that of one of `n` elements, or of the call as a whole.
    pub per_element: bool,
    pub cpu: &'static CpuFacts,
    pub source: Source,
    /// Why the pool cannot be used, if it cannot.
    pub threads: Option<Exclusion>,
    /// Whether there was no pool yet: the call was too short to start one.
    pub before_pool: bool,
    /// Whether the pool has gone to sleep.
    pub idle: bool,
    pub gpu: Known,
    pub now: f64,
}

impl Basis {
    /// The question of this call with `n` elements.
    pub(super) fn question(&self, n: usize, memory: Option<&Memory>) -> Question {
        let body = memory.filter(|_| !self.work.known).map(Memory::body);
        let (elements, scale) = match self.per_element {
            true => (n as f64, 1.0),
            false if n == self.n => (1.0, 1.0),
            false => (1.0, n as f64 / self.n.max(1) as f64),
        };
        let changed;
        let work = if body.is_none() && scale == 1.0 {
            &self.work
        } else {
            changed = self.work.with_body(body.unwrap_or(1.0)).scaled(scale);
            &changed
        };
        let gpu = match &self.gpu {
            Known::Ready(facts) => Offer::Predicted(model::gpu(facts, work, elements)),
            Known::Unopened => Offer::Unopened,
            Known::Excluded(why, _) => Offer::Excluded(*why),
        };
        let threads = match self.threads {
            None => Offer::Predicted(model::threads(self.cpu, work, elements, self.idle)),
            Some(why) => Offer::Excluded(why),
        };
        let simd = Offer::Predicted(model::simd(self.cpu, work, elements));
        let (policy, source) = (self.policy, self.source);
        Question { policy, n, counted: work.known, offers: [gpu, simd, threads], source }
    }

    /// The same with the pool that longer calls have. One that cannot start is none.
    fn with_pool(&self) -> Cow<'_, Self> {
        let pool = self.before_pool.then(|| Threads::global().ok()).flatten();
        let Some(pool) = pool else { return Cow::Borrowed(self) };
        let threads = (pool.count() == 1).then_some(Exclusion::OneThread);
        Cow::Owned(Self { cpu: CpuFacts::known(pool, 0.0).0, threads, ..self.clone() })
    }

    /// Where calls of this loop run, from one element on: each size from which it is another backend, with that backend. What is
    /// excluded stays so; what the policy wants does not count.
    pub(super) fn crossovers(&self, planner: &Planner, memory: Option<&Memory>) -> Vec<super::Crossover> {
        let basis = self.with_pool();
        let chosen = |n: usize| {
            let mut question = Question { policy: Policy::Auto, ..basis.question(n, memory) };
            planner.plan_afresh(&mut question, memory, basis.now).ok().map(|plan| plan.backend)
        };
        let mut found: Vec<super::Crossover> = Vec::new();
        let mut before = None;
        // Sizes that fit into memory, and then some.
        for power in 0..usize::BITS.min(41) {
            let n = 1_usize << power;
            let Some(backend) = chosen(n) else { continue };
            if before.is_some_and(|(_, last)| last == backend) {
                before = Some((n, backend));
                continue;
            }
            // The last size of the old and the first of the new, closer and closer.
            let (mut low, mut high) = (before.map_or(0, |(n, _)| n), n);
            while before.is_some() && high - low > 1 + low / 64 {
                let middle = low + (high - low) / 2;
                if chosen(middle) == Some(backend) { high = middle } else { low = middle }
            }
            found.push(super::Crossover { from: high, backend });
            before = Some((n, backend));
        }
        found
    }
}
