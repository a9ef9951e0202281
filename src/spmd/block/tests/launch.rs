//! Runs over grids, against the oracle.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{CANARIES, POISON, fusion};
use crate::cancel::Watch;
use crate::cpu::CpuLevel;
use crate::spmd::block::Code;
use crate::spmd::grid::Grid;
use crate::spmd::ir::{Order, Program};
use crate::spmd::memory::{Bound, BufferData};
use crate::spmd::{lower, oracle, passes};

/// Lowers the only entry point of a shader.
pub(super) fn lowered(source: &str) -> Program {
    let module =
        naga::front::wgsl::parse_str(source).unwrap_or_else(|e| panic!("{}", e.emit_to_string(source)));
    let flags = naga::valid::ValidationFlags::all();
    let info = naga::valid::Validator::new(flags, naga::valid::Capabilities::all())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string(source)));
    let name = &module.entry_points[0].name;
    lower::lower(&module, &info, name).unwrap_or_else(|e| panic!("{e:?}\n{source}"))
}

/// Words with canaries on both sides.
fn fenced(words: &[u32]) -> Vec<u32> {
    let canaries = [POISON; CANARIES];
    [&canaries, words, &canaries].concat()
}

/// Binds what [`fenced`] made.
pub(super) fn bind<'a>(program: &Program, memory: &'a mut [Vec<u32>]) -> Vec<BufferData<'a>> {
    assert_eq!(memory.len(), program.buffers.len(), "{program}");
    let bind = |(buffer, words): (&crate::spmd::ir::BufferDecl, &'a mut Vec<u32>)| {
        let end = words.len() - CANARIES;
        let words = &mut words[CANARIES..end];
        if buffer.writable { BufferData::Write(words) } else { BufferData::Read(words) }
    };
    program.buffers.iter().zip(memory).map(bind).collect()
}

/// How pieces are handed out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    Whole,
    /// Each piece by a call of its own.
    Singly,
    /// The same from the last to the first, for workgroups that do not wait: what one writes over its end stays.
    Backwards,
    /// Two threads take pieces from a counter.
    Threads,
}

/// Runs a program with [`Code::run_pieces`] on `buffers`, one per buffer of the program, and gives them back.
pub(super) fn run(
    program: &Program,
    level: CpuLevel,
    buffers: &[Vec<u32>],
    grid: &Grid,
    cut: Cut,
) -> Vec<Vec<u32>> {
    let code = Code::compile(program, level);
    let mut memory: Vec<Vec<u32>> = buffers.iter().map(|words| fenced(words)).collect();
    let mut data = bind(program, &mut memory);
    let bound = Bound::new(&mut data);
    let pieces = code.pieces(grid);
    let run = |range| assert_eq!(code.run_pieces(&bound, grid, range, &Watch::NEVER), Ok(()));
    match cut {
        Cut::Whole => run(0..pieces),
        Cut::Singly => (0..pieces).for_each(|piece| run(piece..piece + 1)),
        Cut::Backwards => (0..pieces).rev().for_each(|piece| run(piece..piece + 1)),
        Cut::Threads => {
            let next = AtomicU64::new(0);
            let work = || {
                while let piece = next.fetch_add(1, Ordering::Relaxed)
                    && piece < pieces
                {
                    run(piece..piece + 1);
                }
            };
            std::thread::scope(|scope| {
                scope.spawn(work);
                work();
            });
        }
    }
    drop(bound);
    drop(data);
    let cut = |words: Vec<u32>| {
        let end = words.len() - CANARIES;
        assert!(words[..CANARIES].iter().chain(&words[end..]).all(|&word| word == POISON), "{program}");
        words[CANARIES..end].to_vec()
    };
    memory.into_iter().map(cut).collect()
}

/// Runs on every level, as it is, classified and optimised, with pieces handed out in each way, and compares all buffers with
/// the oracle's.
pub(super) fn check(program: &Program, buffers: &[Vec<u32>], grid: &Grid) {
    check_cut(program, buffers, grid, &[Cut::Whole, Cut::Singly, Cut::Threads]);
}

/// The same for programs whose workgroups do not commute.
pub(super) fn check_cut(program: &Program, buffers: &[Vec<u32>], grid: &Grid, cuts: &[Cut]) {
    program.verify().unwrap_or_else(|rule| panic!("{rule}\n{program}"));
    let mut classified = program.clone();
    passes::classify(&mut classified);
    let mut optimised = program.clone();
    passes::optimise(&mut optimised);
    let mut as_workgroups = optimised.clone();
    as_workgroups.order = Order::Workgroups;
    passes::classify(&mut as_workgroups);
    // A grid that cuts workgroups off cannot be run by whole ones.
    let whole = Some(*grid) == Grid::whole(grid.workgroups, program.workgroup_size);
    let ways = [program, &classified, &optimised, &as_workgroups];
    for level in CpuLevel::available() {
        let mut expected: Vec<Vec<u32>> = buffers.iter().map(|words| fenced(words)).collect();
        oracle::run_grid(program, &mut bind(program, &mut expected), grid, fusion(level), 1_000_000).unwrap();
        for program in &ways[..if whole { 4 } else { 3 }] {
            for &cut in cuts {
                let got = run(program, level, buffers, grid, cut);
                for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
                    let expected = &expected[CANARIES..expected.len() - CANARIES];
                    if let Some(word) = (0..got.len()).find(|&word| got[word] != expected[word]) {
                        panic!(
                            "{level}, {cut:?}, {grid:?}, buffer {at}, word {word}: got {:#x}, expected {:#x}\n{program}",
                            got[word], expected[word]
                        );
                    }
                }
            }
        }
    }
}

/// Lowers, and checks over whole workgroups.
pub(super) fn check_wgsl(source: &str, buffers: &[Vec<u32>], workgroups: [u32; 3]) {
    let program = lowered(source);
    let grid = Grid::whole(workgroups, program.workgroup_size).unwrap();
    check(&program, buffers, &grid);
}

/// Words without a pattern.
pub(super) fn scrambled(words: usize) -> Vec<u32> {
    (0..words as u32).map(|at| (at + 1).wrapping_mul(0x9e37_79b9) ^ at >> 3).collect()
}
