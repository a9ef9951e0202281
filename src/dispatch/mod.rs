//! Decides where a loop runs, runs it there, and reports: facts → prediction → choice and reason, then the run, which teaches.

mod basis;
mod call;
mod compare;
mod decide;
mod dispatcher;
mod environment;
mod exclusion;
mod explain;
mod gpu;
mod learn;
mod machine;
mod model;
mod plan;
mod planner;
mod report;
mod sequence;
#[cfg(test)]
mod simulate;
mod verify;

pub use compare::{Comparison, Difference};
pub use dispatcher::Dispatcher;
pub use exclusion::Exclusion;
pub use explain::{Crossover, Explanation};
pub use machine::{CpuFacts, GpuFacts, LaneTimes, Machine, Profile, Source, cpu_model};
pub use plan::{Entry, Plan, Verdict};
pub use report::Report;
pub(crate) use report::Span;
pub use sequence::Sequence;
pub use verify::{Checked, Outcome, Verification};
