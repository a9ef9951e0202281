//! Measures backends against each other, for loops, over sizes, on this machine: [`Sweep`]. `forall bench` is this on the command line.
//!
//! What comes of it is [`Results`], plain data: JSON of a documented and versioned schema, and what tables and [`page`]s are made from.
//! [`Results::since`] compares them with earlier ones.

mod baseline;
mod check;
mod cold;
mod loops;
mod machine;
pub mod page;
mod regret;
mod results;
mod statistics;
mod sweep;

pub use baseline::{Change, Changed};
pub use cold::{Failed, FirstCall, Outcome, Ran};
pub use loops::{Call, Data, Given, Launch, Output, Side, Work, Workload};
pub use results::{
    Absent, Bandwidth, Crossover, Dispatched, Loop, Machine, Point, Regret, Results, Roof, SCHEMA, Settings,
    Size, Streak, Timing,
};
pub use sweep::{Step, Sweep};
