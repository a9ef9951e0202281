//! What is done to a program between lowering and execution. No pass changes a bit of any result (but which NaN).
//!
//! Each pass takes any verified program and gives a verified one, so they can be run in any order; [`optimise`] has one
//! that leaves little for a second round. Compile time counts: each is a few walks over the program.

mod algebra;
mod classify;
mod compact;
mod fuse;
mod hoist;
mod jumps;
mod live;
mod select;
mod simplify;
mod sweep;
#[cfg(test)]
mod tests;
mod weight;

use super::ir::Program;

pub(crate) use classify::classify;

/// A pass and its name.
type Pass = (&'static str, fn(&mut Program));

const SIMPLIFY: Pass = ("simplify", simplify::simplify);
const JUMPS: Pass = ("jumps", jumps::jumps);
const SWEEP: Pass = ("sweep", sweep::sweep);
const CLASSIFY: Pass = ("classify", classify);
const SELECT: Pass = ("select", select::select);
const HOIST: Pass = ("hoist", hoist::hoist);
const FUSE: Pass = ("fuse", fuse::fuse);
const COMPACT: Pass = ("compact", compact::compact);

/// What needs what: `select`, `hoist` and `fuse` decide by class; `simplify` sees more after each of them.
const PIPELINE: [Pass; 14] = [
    SIMPLIFY, JUMPS, SWEEP, CLASSIFY, SELECT, SIMPLIFY, SWEEP, CLASSIFY, HOIST, SIMPLIFY, FUSE, SWEEP,
    COMPACT, CLASSIFY,
];

/// Makes a program as cheap to run as the passes can, and classifies it.
///
/// # Panics
/// In debug builds, if the program breaks a rule of the IR, before or after a pass.
pub(crate) fn optimise(program: &mut Program) {
    check(program, "lowering");
    for (name, pass) in PIPELINE {
        pass(program);
        check(program, name);
    }
}

fn check(program: &Program, after: &str) {
    if cfg!(debug_assertions)
        && let Err(rule) = program.verify()
    {
        panic!("after {after}: {rule}\n{program}");
    }
}
