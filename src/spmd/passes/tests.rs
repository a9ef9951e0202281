//! Passes against the oracle: nothing may change a bit, and every class found must hold.

mod classes;
mod rules;
mod shaders;

use proptest::prelude::*;

use super::{PIPELINE, Pass, check, classify, optimise};
use crate::spmd::ir::Program;
use crate::spmd::memory::BufferData;
use crate::spmd::oracle::{Fusion, run_limited};
use crate::spmd::testing::{Random, lockstep, outcome, same};

/// 41 lanes: two whole chunks and a part of a third.
const LANES: u32 = 41;

/// The classified program in lock step does what one invocation after the other does.
fn classes_hold(program: &Program) {
    let mut classified = program.clone();
    classify(&mut classified);
    classified.verify().unwrap();
    let expected = outcome(program, LANES, oracle);
    let got = outcome(&classified, LANES, lockstep);
    assert!(same(&expected, &got), "{classified}");
}

/// The oracle, which gives up on a loop that a pass has made endless.
fn oracle(program: &Program, buffers: &mut [BufferData<'_>], invocations: u32) {
    let steps = 1 << 20;
    if let Err(stopped) = run_limited(program, buffers, invocations, Fusion::Fused, steps) {
        panic!("invocation {:?} runs on and on:\n{program}", stopped.invocation);
    }
}

/// A pass, or several, changes no bit.
fn keeps_its_bits(program: &Program, passes: &[Pass]) {
    let expected = outcome(program, LANES, oracle);
    let mut changed = program.clone();
    for (name, pass) in passes {
        let before = changed.clone();
        pass(&mut changed);
        check(&changed, name);
        let got = outcome(&changed, LANES, oracle);
        assert!(same(&expected, &got), "{name} changes a result:\n{before}\n{changed}");
    }
    // The first two see more once their own dead code and scopes are gone.
    if let [(name, pass)] = passes
        && !["simplify", "jumps"].contains(name)
    {
        let mut again = changed.clone();
        pass(&mut again);
        assert!(again.body == changed.body, "{name} is not idempotent:\n{changed}\n{again}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_keep_their_classes(bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
        let program = Random::program(&bytes);
        program.verify().unwrap();
        classes_hold(&program);
    }

    #[test]
    fn random_programs_keep_their_bits(bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
        let mut program = Random::program(&bytes);
        for pass in PIPELINE {
            keeps_its_bits(&program, &[pass]);
        }
        keeps_its_bits(&program, &PIPELINE);
        optimise(&mut program);
        classes_hold(&program);
    }
}
