//! Measures backends against each other, for a loop, over sizes, on this machine.
//!
//! [`Results`] is what a measurement gives: a value that is plain data, JSON of a documented and versioned schema, and what tables and
//! pages are made from.

pub mod page;
mod results;

pub use results::{
    Absent, Bandwidth, Crossover, Dispatched, Loop, Machine, Point, Regret, Results, Roof, SCHEMA, Settings,
    Size, Streak, Timing,
};
