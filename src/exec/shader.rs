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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;
    use crate::launch::{Bindings, Grid, IntoBindings, job};

    /// A tree of sums in workgroup memory, and a count by atomics: the same whatever the order of the workgroups.
    const SUMS: &str = "
        @group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(1) var<storage, read_write> sums: array<f32>;
        @group(0) @binding(2) var<storage, read_write> bins: array<atomic<u32>, 7>;
        var<workgroup> tile: array<f32, 96>;
        @compute @workgroup_size(96)
        fn sums_of(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) i: u32,
                   @builtin(workgroup_id) group: vec3u) {
            let value = select(0.0, x[id.x], id.x < arrayLength(&x));
            tile[i] = sin(value) * 1.7 + value;
            workgroupBarrier();
            for (var stride = 48u; stride >= 3; stride /= 2) {
                if (i < stride) { tile[i] += tile[i + stride]; }
                workgroupBarrier();
            }
            if (i == 0) { sums[group.x] = tile[0] + tile[1] + tile[2]; }
            atomicAdd(&bins[u32(abs(value)) % 7], 1);
        }";

    fn launch<'a>(
        kernel: &Kernel,
        grid: Grid,
        level: CpuLevel,
        pool: Option<&Threads>,
        data: impl IntoBindings<'a>,
    ) -> bool {
        let mut job = job::check(kernel, grid, data.into_bindings()).expect("a right launch");
        run(&mut job, level, pool, &Watch::NEVER, None).expect("nothing stops it")
    }

    #[test]
    fn every_level_and_number_of_threads_gives_the_same_bits() {
        let kernel = Kernel::shader(SUMS).unwrap_or_else(|error| panic!("{error}"));
        let pools = [1, 2, 7].map(|count| Threads::new(count).expect("starts"));
        for n in [1, 95, 96, 97, 5_000, 200_000_u32] {
            let x: Vec<f32> =
                (0..n).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 1e5 - 80.0).collect();
            let groups = n.div_ceil(96) as usize;
            let run = |level, pool| {
                let (mut sums, mut bins) = (vec![f32::NAN; groups], [0_u32; 7]);
                launch(
                    &kernel,
                    Grid::threads(n),
                    level,
                    pool,
                    (("x", &x), ("sums", &mut sums), ("bins", &mut bins)),
                );
                assert_eq!(bins.iter().sum::<u32>() as usize, 96 * groups);
                (sums.iter().map(|sum| sum.to_bits()).collect::<Vec<_>>(), bins)
            };
            let expected = run(CpuLevel::detected(), None);
            for level in CpuLevel::available() {
                if level.has_fma() == CpuLevel::detected().has_fma() {
                    for pool in [None, Some(&pools[0]), Some(&pools[1]), Some(&pools[2])] {
                        assert!(run(level, pool) == expected, "{level} {n} {:?}", pool.map(Threads::count));
                    }
                }
            }
        }
    }

    /// Each workgroup waits for the one before it, which has started, whoever runs it.
    #[test]
    fn workgroups_may_wait_for_earlier_ones() {
        let kernel = Kernel::shader(
            "@group(0) @binding(0) var<storage, read_write> done: array<atomic<u32>>;
             @compute @workgroup_size(8)
             fn chain(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
                 if (i > 0) { return; }
                 var before = 1u;
                 if (group.x > 0) {
                     loop {
                         before = atomicLoad(&done[group.x - 1]);
                         if (before != 0) { break; }
                     }
                 }
                 atomicStore(&done[group.x], before + 1);
             }",
        )
        .unwrap_or_else(|error| panic!("{error}"));
        for count in [1, 2, 7] {
            let pool = Threads::new(count).expect("starts");
            for n in [1, 2, 129, 20_000_u32] {
                let mut done = vec![0_u32; n as usize];
                launch(
                    &kernel,
                    Grid::workgroups(n),
                    CpuLevel::detected(),
                    Some(&pool),
                    (("done", &mut done),),
                );
                assert!(
                    done.iter().zip(2..).all(|(done, expected)| *done == expected),
                    "{count} threads, {n}"
                );
            }
        }
    }

    /// Rows shorter than a workgroup: the program is compiled by workgroups, and does the same.
    #[test]
    fn short_rows_run_by_workgroups() {
        let kernel = Kernel::shader(
            "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
             @compute @workgroup_size(1, 64)
             fn column(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
                 out[id.y * groups.x + id.x] = 1000 * id.y + id.x;
             }",
        )
        .unwrap_or_else(|error| panic!("{error}"));
        for [x, y] in [[1, 4096], [3, 64], [63, 128], [64, 64], [200, 64]] {
            let mut out = vec![u32::MAX; (x * y) as usize];
            let mut job = job::check(&kernel, Grid::threads([x, y]), Bindings::new().bind("out", &mut out))
                .expect("right");
            let order = job.shader.variant(&job.grid).expect("compiles").program.order;
            assert_eq!(order == crate::spmd::ir::Order::Workgroups, x < 64, "{x}");
            run(&mut job, CpuLevel::detected(), None, &Watch::NEVER, None).expect("nothing stops it");
            drop(job);
            assert!(out.iter().zip(0..).all(|(out, at)| *out == 1000 * (at / x) + at % x), "{x} × {y}");
        }
    }
}
