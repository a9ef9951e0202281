//! Random programs of whole workgroups: every executor, before and after the passes, does what the oracle does.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::random::Shape;
use super::{Random, grid_outcome, lockstep_grid, same};
use crate::cancel::Watch;
use crate::cpu::CpuLevel;
use crate::spmd::block::Code;
use crate::spmd::grid::Grid;
use crate::spmd::ir::Program;
use crate::spmd::memory::{Bound, BufferData};
use crate::spmd::oracle::{Fusion, run_grid};
use crate::spmd::passes;

/// `FORALL_FUZZ_SEEDS`, or what a run in passing can afford.
pub(crate) fn seeds(few: u32) -> u32 {
    std::env::var("FORALL_FUZZ_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(few)
}

/// The oracle, which gives up on a loop that a pass has made endless.
fn oracle(program: &Program, buffers: &mut [BufferData<'_>], grid: &Grid) {
    run_grid(program, buffers, grid, Fusion::Fused, 1 << 20).unwrap_or_else(|e| panic!("{e:?}\n{program}"));
}

fn assert_same(expected: &[Vec<u32>; 2], got: &[Vec<u32>; 2], what: &str, before: &Program, after: &Program) {
    let equal = same(&expected[0], &got[0]) && expected[1] == got[1];
    if !equal {
        let first = (0..expected[0].len()).find(|&at| expected[0][at] != got[0][at]);
        let shared = (0..expected[1].len()).find(|&at| expected[1][at] != got[1][at]);
        panic!("{what}: first differences {first:?} {shared:?}\n{before}\n{after}");
    }
}

/// Runs a grid in as many threads, which take pieces in ascending order.
pub(crate) fn on_threads(code: &Code, buffers: &mut [BufferData<'_>], grid: &Grid, threads: usize) {
    let (bound, next, pieces) = (Bound::new(buffers), AtomicU64::new(0), code.pieces(grid));
    let run = || {
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return;
            }
            code.run_pieces(&bound, grid, piece..piece + 1, &Watch::NEVER).expect("nothing to stop it");
        }
    };
    if threads == 1 {
        return run();
    }
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(run))));
}

fn executors_agree(bytes: &[u8]) {
    let Shape { program, workgroups, turns_apart } = Random::workgroups(bytes);
    program.verify().unwrap_or_else(|rule| panic!("{rule}\n{program}"));
    let grid = Grid::whole(workgroups, program.workgroup_size).unwrap();
    let expected = grid_outcome(&program, &grid, oracle);
    let mut classified = program.clone();
    passes::classify(&mut classified);
    let mut optimised = program.clone();
    passes::optimise(&mut optimised);
    let programs = [("classified", &classified), ("optimised", &optimised)];
    for (what, after) in &programs[..if turns_apart { 1 } else { 2 }] {
        let got = grid_outcome(after, &grid, oracle);
        assert_same(&expected, &got, &format!("{what}, oracle"), &program, after);
        let got = grid_outcome(after, &grid, lockstep_grid);
        assert_same(&expected, &got, &format!("{what}, in step"), &program, after);
        for level in CpuLevel::available() {
            let code = Code::compile(after, level);
            // Only threads that find a piece each are worth starting.
            for threads in 1..=code.pieces(&grid).min(3) as usize {
                let got =
                    grid_outcome(after, &grid, |_, buffers, grid| on_threads(&code, buffers, grid, threads));
                assert_same(&expected, &got, &format!("{what}, {level}, {threads} threads"), &program, after);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: seeds(150), ..ProptestConfig::default() })]

    #[test]
    fn random_workgroups_do_what_the_oracle_does(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
        executors_agree(&bytes);
    }
}

/// The generator makes what it is for.
#[test]
fn random_workgroups_have_effects_everywhere() {
    let mut random = crate::spmd::math::tests::Random(3);
    let mut texts = String::new();
    let mut in_loops = 0;
    for _ in 0..300 {
        let bytes: Vec<u8> = (0..800).map(|_| random.bits() as u8).collect();
        let Shape { program, .. } = Random::workgroups(&bytes);
        program.verify().unwrap_or_else(|rule| panic!("{rule}\n{program}"));
        let text = program.to_string();
        in_loops += text.matches("loop").count().min(text.matches("      barrier").count());
        texts += &text;
    }
    for what in ["barrier", "Add w1[", "Max b3[", "atomic w1[", "w0[", "b4[", "subgroup", "loop", "return"] {
        assert!(texts.matches(what).count() > 50, "{what} is rare: {}", texts.matches(what).count());
    }
    assert!(in_loops > 100, "{in_loops} barriers that are nested, about");
}
