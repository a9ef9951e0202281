//! A compute shader on the CPU: its workgroups, or blocks of its rows, in ascending order, here or on every core.
//!
//! Not here: how one of them runs (`spmd::block`), and who of the pool runs it (`threads`).

use super::threads::Threads;
use crate::cancel::Watch;
use crate::cpu::CpuLevel;
use crate::error::{Error, Result};
use crate::launch::job::Job;
use crate::part::Progress;
use crate::spmd::block::Code;
use crate::spmd::ir::LANES;
use crate::spmd::memory::Bound;

/// Invocations to a range of pieces at least: a full block of the interpreter, below which the range's own cost counts.
const GRAIN: u64 = 1024;

/// Ranges that a launch is cut into where somebody watches its progress.
const VISIBLE: u64 = 100;

/// Runs a launch before it returns: on the calling thread, or with `pool` also on others; tells whether the pool took part.
///
/// # Errors
/// [`Error::stopped`] as soon as `watch` says so, and those of arrays that only a lost GPU had. What the launch writes is then as
/// before.
pub(crate) fn run(
    job: &mut Job<'_>,
    level: CpuLevel,
    pool: Option<&Threads>,
    watch: &Watch,
    progress: Option<&Progress>,
) -> Result<bool> {
    let invocations = job.invocations();
    if invocations == 0 {
        return Ok(false);
    }
    let (shader, grid) = (std::sync::Arc::clone(&job.shader), job.grid);
    let variant = shader.variant(&grid)?;
    let code = variant.code(level);
    let pieces = code.pieces(&grid);
    let grain = grain(code, invocations, pieces);
    // What a stopped launch has written is thrown away, so it writes to copies.
    let keep = !watch.is_never();
    job.on_host(keep, |buffers| {
        let bound = Bound::new(buffers);
        let body = |range: std::ops::Range<u64>| -> Result<()> {
            let share = |n: u64| (u128::from(invocations) * u128::from(n) / u128::from(pieces)) as usize;
            let (from, to) = (share(range.start), share(range.end));
            code.run_pieces(&bound, &grid, range, watch).map_err(|why| Error::stopped(&shader.entry, why))?;
            if let Some(progress) = progress {
                progress.add(to - from);
            }
            Ok(())
        };
        match pool {
            Some(pool) => pool.for_pieces(pieces, grain, &body),
            None => {
                let step = if progress.is_some() { grain.max(pieces / VISIBLE) } else { pieces };
                let mut start = 0;
                while start < pieces {
                    let end = pieces.min(start.saturating_add(step));
                    body(start..end)?;
                    start = end;
                }
                Ok(false)
            }
        }
    })
}

/// Pieces to a range at least.
fn grain(code: &Code, invocations: u64, pieces: u64) -> u64 {
    // A piece of a few invocations takes as long as one of a chunk.
    let lanes = (invocations / pieces.max(1)).next_multiple_of(LANES as u64).min(code.block_lanes() as u64);
    (GRAIN / lanes.max(1)).max(1)
}
