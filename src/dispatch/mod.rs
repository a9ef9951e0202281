//! Decides where a loop runs, runs it there, and reports: facts → prediction → choice and reason, then the run.

mod dispatcher;
mod machine;
mod model;
mod plan;
mod report;
mod sequence;

pub use dispatcher::Dispatcher;
pub use plan::{Entry, Exclusion, Plan, Verdict};
pub use report::Report;
pub use sequence::Sequence;
