//! For tests of executors and passes: random structured programs, and a lock-step executor that punishes wrong classes.
//!
//! [`Random`] makes a program out of bytes, so that proptest can shrink it: fewer bytes give a shorter program.
//! Every loop ends, and every invocation stores into words of its own, so all executors must agree. NaNs stay in words
//! that are read as floats only, and [`same`] takes any NaN for any other: which one an operation gives is open.

mod lockstep;
mod random;
#[cfg(test)]
mod tests;

pub(crate) use lockstep::{lockstep, lockstep_grid};
pub(crate) use random::Random;
pub(crate) use tests::on_threads;

use super::grid::Grid;

use super::ir::Program;
use super::memory::BufferData;

/// Words of output for each invocation: the first half floats, the second half integers.
pub(crate) const OUT: u32 = 8;
/// Words in each of the input buffers: 0 floats, 1 integers.
const IN: usize = 37;

/// The two input buffers of a random program.
pub(crate) fn inputs() -> [Vec<u32>; 2] {
    let edges =
        [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, f32::MAX, 3.7e9];
    let integers = [0, 1, 2, 3, u32::MAX, 0x8000_0000, 0x7fff_ffff, 16, 31, 32, 33, 100];
    let float = |at: usize| edges.get(at).map_or((at as f32 - 20.0) * 0.37, |edge| *edge).to_bits();
    let integer = |at: usize| integers.get(at).map_or((at as u32).wrapping_mul(0x9e37_79b9), |edge| *edge);
    [(0..IN).map(float).collect(), (0..IN).map(integer).collect()]
}

/// Poisoned output for so many invocations.
pub(crate) fn output(invocations: u32) -> Vec<u32> {
    vec![0xdead_beef; (invocations * OUT) as usize]
}

/// Runs a random program with `run` on [`inputs`] and gives its output.
pub(crate) fn outcome(
    program: &Program,
    invocations: u32,
    run: impl FnOnce(&Program, &mut [BufferData<'_>], u32),
) -> Vec<u32> {
    let [floats, integers] = inputs();
    let mut out = output(invocations);
    let mut buffers = [BufferData::Read(&floats), BufferData::Read(&integers), BufferData::Write(&mut out)];
    run(program, &mut buffers, invocations);
    out
}

/// Runs a random program of whole workgroups with `run` on [`inputs`] and gives all that it wrote: the output as that of
/// [`outcome`], then integers.
pub(crate) fn grid_outcome(
    program: &Program,
    grid: &Grid,
    run: impl FnOnce(&Program, &mut [BufferData<'_>], &Grid),
) -> [Vec<u32>; 2] {
    let [floats, integers] = inputs();
    let invocations: u32 = grid.invocations.iter().product();
    let mut out = output(invocations);
    let mut tally = integers[..random::TALLY].to_vec();
    let mut board = vec![0xdead_beef; invocations as usize];
    let mut buffers = [
        BufferData::Read(&floats),
        BufferData::Read(&integers),
        BufferData::Write(&mut out),
        BufferData::Write(&mut tally),
        BufferData::Write(&mut board),
    ];
    run(program, &mut buffers, grid);
    [out, [tally, board].concat()]
}

/// Whether two outputs are equal bit by bit, or NaN in the same places of the float words.
pub(crate) fn same(a: &[u32], b: &[u32]) -> bool {
    let nan = |at: usize, bits: u32| at as u32 % OUT < OUT / 2 && f32::from_bits(bits).is_nan();
    a.len() == b.len() && a.iter().zip(b).enumerate().all(|(at, (a, b))| a == b || nan(at, *a) && nan(at, *b))
}
