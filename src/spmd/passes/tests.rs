//! Passes against the oracle: nothing may change a bit, and every class found must hold.

use proptest::prelude::*;

use super::classify;
use crate::spmd::ir::Program;
use crate::spmd::oracle;
use crate::spmd::testing::{Random, lockstep, outcome, same};

/// 41 lanes: two whole chunks and a part of a third.
const LANES: u32 = 41;

/// The classified program in lock step does what one invocation after the other does.
fn classes_hold(program: &Program) {
    let mut classified = program.clone();
    classify(&mut classified);
    classified.verify().unwrap();
    let expected = outcome(program, LANES, oracle::run);
    let got = outcome(&classified, LANES, lockstep);
    assert!(same(&expected, &got), "{classified}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_keep_their_classes(bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
        let program = Random::program(&bytes);
        program.verify().unwrap();
        classes_hold(&program);
    }
}
