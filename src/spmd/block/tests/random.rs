//! Random programs.

use proptest::prelude::*;

use super::*;
use crate::spmd::passes::{classify, optimise};
use crate::spmd::testing::{Random, outcome, same};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_give_the_oracles_bits(
        bytes in prop::collection::vec(any::<u8>(), 0..1200),
        invocations in prop::sample::select(vec![1_u32, 16, 41, 513, 1100]),
        passes in prop::sample::select(vec![None, Some(classify as fn(&mut Program)), Some(optimise)]),
    ) {
        let mut program = Random::program(&bytes);
        let mut expected = [Fusion::Fused, Fusion::Split].map(|fusion| {
            outcome(&program, invocations, |program, buffers, n| {
                oracle::run_limited(program, buffers, n, fusion, u64::MAX).unwrap();
            })
        });
        if let Some(passes) = passes {
            passes(&mut program);
        }
        for level in CpuLevel::available() {
            let code = Code::compile(&program, level);
            let got = outcome(&program, invocations, |_, buffers, n| code.run(buffers, n));
            let expected = &mut expected[usize::from(!level.has_fma())];
            if !same(expected, &got) {
                let at = (0..got.len()).find(|&at| !same(&expected[at / 8 * 8..at / 8 * 8 + 8], &got[at / 8 * 8..at / 8 * 8 + 8]));
                prop_assert!(false, "{level} n={invocations} at {at:?}\n{program}");
            }
        }
    }
}
