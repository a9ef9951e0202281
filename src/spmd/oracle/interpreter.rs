//! Runs a program over a grid: which invocation goes when, and who takes part in an effect. The rules stand in the head of
//! `oracle`.

use super::Fusion;
use super::effect::{self, Lane};
use super::invocation::{Invocation, Shared, Stop};
use crate::cancel::{Stopped, Watch};
use crate::spmd::grid::Grid;
use crate::spmd::ir::{Effect, Order, Program, SUBGROUP, Value};
use crate::spmd::memory::BufferData;

/// Why [`run_grid`] stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfSteps {
    /// The `global_invocation_id` of the invocation that was running.
    pub invocation: [u32; 3],
}

/// Why a run stopped early, whatever was to stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Halt {
    OutOfSteps(OutOfSteps),
    Stopped(Stopped),
}

/// Runs invocations `0..invocations` of a one-dimensional launch, on the CPU levels with FMA.
///
/// `buffers` has one entry per [`Program::buffers`].
#[cfg(test)]
pub(crate) fn run(program: &Program, buffers: &mut [BufferData<'_>], invocations: u32) {
    run_limited(program, buffers, invocations, Fusion::Fused, u64::MAX)
        .expect("2^64 statements take longer than anybody waits");
}

/// As [`run`], with the fused multiply-add of the CPU level to imitate, and at most `steps` statements per invocation.
#[cfg(test)]
pub(crate) fn run_limited(
    program: &Program,
    buffers: &mut [BufferData<'_>],
    invocations: u32,
    fusion: Fusion,
    steps: u64,
) -> Result<(), OutOfSteps> {
    run_grid(program, buffers, &Grid::row(invocations, program.workgroup_size[0]), fusion, steps)
}

/// Runs the invocations of a grid, with the fused multiply-add of the CPU level to imitate, and at most `steps` statements per
/// invocation.
///
/// `buffers` has one entry per [`Program::buffers`].
///
/// # Errors
/// [`OutOfSteps`] when an invocation has done `steps` statements and has not ended. The writable buffers hold what was
/// stored until then.
///
/// # Panics
/// When the number of buffers is not the program's, or one that it stores to is given for reading.
#[cfg(test)]
pub(crate) fn run_grid(
    program: &Program,
    buffers: &mut [BufferData<'_>],
    grid: &Grid,
    fusion: Fusion,
    steps: u64,
) -> Result<(), OutOfSteps> {
    match run_all(program, buffers, grid, fusion, steps, &Watch::NEVER) {
        Err(Halt::OutOfSteps(out)) => Err(out),
        Err(Halt::Stopped(_)) | Ok(()) => Ok(()),
    }
}

/// The same for as long as `watch` lets it.
///
/// # Errors
/// [`Stopped`] when `watch` says so. The writable buffers hold what was stored until then.
///
/// # Panics
/// As [`run_grid`].
pub(crate) fn run_watched(
    program: &Program,
    buffers: &mut [BufferData<'_>],
    grid: &Grid,
    fusion: Fusion,
    watch: &Watch,
) -> Result<(), Stopped> {
    match run_all(program, buffers, grid, fusion, u64::MAX, watch) {
        Err(Halt::Stopped(why)) => Err(why),
        // Of 2^64 statements nobody sees the end.
        Err(Halt::OutOfSteps(_)) | Ok(()) => Ok(()),
    }
}

fn run_all(
    program: &Program,
    buffers: &mut [BufferData<'_>],
    grid: &Grid,
    fusion: Fusion,
    steps: u64,
    watch: &Watch,
) -> Result<(), Halt> {
    assert_eq!(buffers.len(), program.buffers.len(), "one slice per buffer of the program");
    let mut shared = Shared { program, grid, fusion, buffers, watch, arrays: Vec::new() };
    let [width, height, depth] = grid.invocations;
    match program.order {
        Order::Rows => {
            for id in boxed([0; 3], [width, height, depth]) {
                watch.check().map_err(Halt::Stopped)?;
                alone(&mut shared, Invocation::new(program, id, steps))?;
            }
        }
        Order::Workgroups => {
            let size = program.workgroup_size;
            for index in 0..grid.count().unwrap_or(u64::MAX) {
                watch.check().map_err(Halt::Stopped)?;
                let workgroup = grid.workgroup(index);
                let start = [0, 1, 2].map(|axis| workgroup[axis] * size[axis]);
                let end =
                    [0, 1, 2].map(|axis| grid.invocations[axis].min(start[axis].saturating_add(size[axis])));
                let invocations = boxed(start, end).map(|id| Invocation::new(program, id, steps)).collect();
                shared.arrays = program.shared.iter().map(|array| vec![0; array.words as usize]).collect();
                together(&mut shared, invocations)?;
            }
        }
    }
    Ok(())
}

/// The ids from `start` to before `end`, x fastest.
fn boxed(start: [u32; 3], end: [u32; 3]) -> impl Iterator<Item = [u32; 3]> {
    (start[2]..end[2])
        .flat_map(move |z| (start[1]..end[1]).flat_map(move |y| (start[0]..end[0]).map(move |x| [x, y, z])))
}

/// Runs one invocation to its end.
fn alone(shared: &mut Shared<'_, '_>, mut invocation: Invocation<'_>) -> Result<(), Halt> {
    loop {
        match invocation.advance(shared) {
            Stop::End => return Ok(()),
            Stop::OutOfSteps => return Err(Halt::OutOfSteps(OutOfSteps { invocation: invocation.id })),
            Stop::Stopped(why) => return Err(Halt::Stopped(why)),
            Stop::Effect { result, effect } => {
                take(shared, result, *effect, &mut [&mut invocation]);
            }
        }
    }
}

/// Runs the invocations of a workgroup to their ends.
fn together(shared: &mut Shared<'_, '_>, mut invocations: Vec<Invocation<'_>>) -> Result<(), Halt> {
    // Where each one has stopped; `None` when it may go on.
    let mut stops: Vec<Option<Stop<'_>>> = invocations.iter().map(|_| None).collect();
    loop {
        for (invocation, stop) in invocations.iter_mut().zip(&mut stops).filter(|(_, stop)| stop.is_none()) {
            *stop = match invocation.advance(shared) {
                Stop::OutOfSteps => return Err(Halt::OutOfSteps(OutOfSteps { invocation: invocation.id })),
                Stop::Stopped(why) => return Err(Halt::Stopped(why)),
                other => Some(other),
            };
        }
        let waiting = |stop: &Option<Stop<'_>>| matches!(stop, Some(Stop::Effect { .. }));
        let stopped = invocations.iter().zip(&stops).filter(|(_, stop)| waiting(stop));
        let Some((first, Some(Stop::Effect { result, effect }))) =
            stopped.min_by(|(a, _), (b, _)| a.places().cmp(b.places()))
        else {
            return Ok(());
        };
        let (result, effect) = (*result, **effect);
        let place: Vec<_> = first.places().collect();
        let mut group: Vec<&mut Invocation<'_>> = Vec::new();
        for (invocation, stop) in invocations.iter_mut().zip(&mut stops) {
            if waiting(stop) && invocation.places().eq(place.iter().copied()) {
                *stop = None;
                group.push(invocation);
            }
        }
        // Subgroups are runs of the local index.
        let subgroup = |invocation: &Invocation<'_>| invocation.local_index / SUBGROUP as u32;
        for subgroup in group.chunk_by_mut(|a, b| subgroup(a) == subgroup(b)) {
            take(shared, result, effect, subgroup);
        }
    }
}

/// Does an effect among those that are active, which belong to one subgroup, and lets them go on.
fn take(
    shared: &mut Shared<'_, '_>,
    result: Option<Value>,
    effect: Effect,
    active: &mut [&mut Invocation<'_>],
) {
    let lanes: Vec<Lane> = active
        .iter()
        .map(|one| Lane::new(one.local_index % SUBGROUP as u32, effect, |value| one.value(value)))
        .collect();
    let results = match effect.memory() {
        Some(memory) => effect::atomics(effect, shared.program, shared.words_mut(memory), &lanes),
        None => effect::collective(effect, &lanes),
    };
    for (invocation, bits) in active.iter_mut().zip(results) {
        invocation.pass(result, bits);
    }
}
