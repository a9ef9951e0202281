//! Decides where a loop runs, runs it there, and reports: facts → prediction → choice and reason, then the run.

mod compare;
mod dispatcher;
mod machine;
mod model;
mod plan;
mod report;
mod sequence;
mod verify;

pub use compare::{Comparison, Difference};
pub use dispatcher::Dispatcher;
pub use machine::{CpuFacts, GpuFacts, LaneTimes, Machine};
pub use plan::{Entry, Exclusion, Plan, Verdict};
pub use report::Report;
pub(crate) use report::Span;
pub use sequence::Sequence;
pub use verify::{Checked, Outcome, Verification};
