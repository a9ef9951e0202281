//! Machines that are only numbers: a virtual clock behind [`Device`], and truths that the model does not know.
//!
//! They rank ways of deciding and hold the planner to what it promises; they say nothing about how fast any hardware is. The truth is
//! not the model's own form with other numbers: caches give way bit by bit, arithmetic and memory overlap in part, a pool that slept wakes
//! slowly and leaves short loops alone, a GPU needs many elements to be busy. On top come, drawn for each seed: how efficient each body
//! really is on a GPU and on lanes (σ 0.4), and in the pool (0.1), how far a backend is off as a whole (σ 0.2), fixed and transfer costs (±25 %), the calibration
//! (10 %), each sample's noise (6 %, and 2 % of them up to ten times as long), and a pool that has half its throughput in the second and
//! fourth quarter.

use std::time::Duration;

use super::exclusion::Exclusion;
use super::machine::{CpuFacts, GpuFacts, Source};
use super::model::{self, Work};
use super::plan::{Offer, Question};
use super::planner::{Device, Done, Failure, Memory, Planner};
use crate::backend::{Backend, Policy};
use crate::exec::Times;
use crate::kernel::cost::Counts;

mod machines;
mod tests;

pub(crate) use machines::{MACHINES, Machine};

/// Random numbers, the same for a seed everywhere (`SplitMix64`, Steele, Lea and Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// From 0 to 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `exp` of a normal number: a factor.
    fn factor(&mut self, sigma: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        (sigma * radius * (std::f64::consts::TAU * self.uniform()).cos()).exp()
    }
}

/// A loop, as the model sees it, and what it really is.
pub(crate) struct Loop {
    pub work: Work,
    /// Operations that an element really takes.
    ops: f64,
    /// How efficient the body really is, by backend.
    efficiency: [f64; 3],
    /// Whether it has run there.
    seen: [bool; 3],
}

/// One machine, one draw of everything hidden.
pub(crate) struct World {
    /// What is measured of it, with calibration noise.
    cpu: CpuFacts,
    gpu: GpuFacts,
    machine: Machine,
    pub loops: Vec<Loop>,
    pub memories: Vec<Memory>,
    pub planner: Planner,
    pub random: Random,
    /// Nanoseconds since the start.
    pub clock: f64,
    pool_used: f64,
    /// Only half the pool's throughput is there.
    pub busy: bool,
    pub gpu_dead: bool,
    /// How many times as long the GPU takes, for now.
    pub spike: f64,
    /// Whether samples scatter.
    pub noisy: bool,
    pub gpu_failures: u32,
}

/// What a call cost, and what it might have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub backend: Backend,
    pub took: f64,
    pub best: f64,
    pub rescued: bool,
}

/// Operations, bytes read and bytes written per element.
const LOOPS: [(f64, f64, f64); 7] = [
    (2.0, 8.0, 4.0),
    (10.0, 8.0, 4.0),
    (30.0, 12.0, 4.0),
    (130.0, 12.0, 8.0),
    (600.0, 4.0, 4.0),
    (4_000.0, 16.0, 12.0),
    (400.0, 8.0, 4.0),
];

/// What is assumed of a body that tells nothing.
const GUESS: f64 = 16.0;

impl World {
    pub(crate) fn new(machine: &Machine, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let truth = machine.hidden(&mut random);
        let (cpu, gpu) = truth.calibrated(&mut random);
        let loops: Vec<Loop> = LOOPS
            .iter()
            .map(|&(ops, read, written)| Loop {
                work: Work {
                    counts: Counts { simple: ops, ..Counts::default() },
                    known: true,
                    begun: 0.0,
                    block: 1024.0,
                    calls: 1.0,
                    read,
                    written,
                    whole: 0.0,
                    transfer: None,
                },
                ops,
                efficiency: {
                    let (gpu, lanes) = (random.factor(0.4), random.factor(0.4));
                    [gpu, lanes, lanes * random.factor(0.1)]
                },
                seen: [false; 3],
            })
            .collect();
        let memories = loops.iter().map(|one| Memory::new(one.work.known)).collect();
        Self {
            cpu,
            gpu,
            machine: truth,
            loops,
            memories,
            planner: Planner::new(),
            random,
            clock: 0.0,
            pool_used: 0.0,
            busy: false,
            gpu_dead: false,
            spike: 1.0,
            noisy: true,
            gpu_failures: 0,
        }
    }

    pub(crate) fn question(&self, which: usize, n: usize) -> Question {
        let (work, n_f) = (&self.loops[which].work.with_body(self.memories[which].body()), n as f64);
        Question {
            policy: Policy::Auto,
            n,
            counted: work.known,
            offers: [
                if self.machine.has_gpu {
                    Offer::Predicted(model::gpu(&self.gpu, work, n_f))
                } else {
                    Offer::Excluded(Exclusion::SoftwareAdapter)
                },
                Offer::Predicted(model::simd(&self.cpu, work, n_f)),
                Offer::Predicted(model::threads(&self.cpu, work, n_f, self.planner.pool_sleeps(self.clock))),
            ],
            source: Source::Measured,
        }
    }

    /// Makes a loop one whose body tells nothing.
    fn guess(&mut self, which: usize) {
        let work = &mut self.loops[which].work;
        (work.known, work.counts.simple) = (false, GUESS);
        self.memories[which] = Memory::new(false);
    }

    /// What a call really takes just now, without noise.
    fn truth(&self, which: usize, n: usize) -> [f64; 3] {
        let idle = self.clock - self.pool_used > 5e6;
        self.machine.times(&self.loops[which], n as f64, self.busy, idle)
    }

    /// One call: planned, carried out, learnt from if `learning`.
    pub(crate) fn call(&mut self, which: usize, n: usize, learning: bool, explore: bool) -> Cost {
        let mut question = self.question(which, n);
        let memory = std::mem::replace(&mut self.memories[which], Memory::new(true));
        let planner = std::mem::replace(&mut self.planner, Planner::new());
        let known = learning.then_some(&memory);
        let plan =
            planner.plan(&mut question, known, self.clock, explore).expect("Auto always has a backend");
        let best = (Backend::ALL.into_iter().zip(self.truth(which, n)))
            .filter(|(backend, _)| *backend != Backend::Gpu || !self.gpu_dead)
            .fold(f64::INFINITY, |best, (_, ns)| best.min(ns));
        let began = self.clock;
        let carried = planner
            .carry_out(&question, plan, known, &mut Call { world: self, which, n })
            .expect("the CPU never fails");
        (self.memories[which], self.planner) = (memory, planner);
        let took = self.clock - began;
        Cost { backend: carried.plan.backend, took, best, rescued: carried.rescued.is_some() }
    }
}

struct Call<'a> {
    world: &'a mut World,
    which: usize,
    n: usize,
}

impl Device for Call<'_> {
    type Error = &'static str;

    fn now(&self) -> f64 {
        self.world.clock
    }

    fn run(&mut self, backend: Backend) -> Result<Done, Failure<Self::Error>> {
        let world = &mut *self.world;
        if backend == Backend::Gpu && world.gpu_dead {
            world.gpu_failures += 1;
            world.clock += 50e6;
            return Err(Failure::Broken("the device is lost"));
        }
        let times = world.truth(self.which, self.n);
        let ns = times[backend as usize] * if backend == Backend::Gpu { world.spike } else { 1.0 };
        world.clock += ns;
        let shared = backend == Backend::Threads && times[Backend::Simd as usize] > machines::BREAK_EVEN_NS;
        if shared {
            world.pool_used = world.clock;
        }
        if !world.noisy {
            let times = Times { run: Duration::from_nanos(ns as u64), ..Times::default() };
            return Ok(Done { times, moved: 0, shared });
        }
        let mut seen = ns * world.random.factor(world.machine.noise);
        let first = std::mem::replace(&mut world.loops[self.which].seen[backend as usize], true);
        if !first {
            // What a first call finds cold.
            seen = seen * (1.0 + world.random.uniform()) + 1e6;
        }
        if world.random.uniform() < 0.02 {
            seen *= 1.0 + 9.0 * world.random.uniform();
        }
        let times = Times { run: Duration::from_nanos(seen as u64), ..Times::default() };
        Ok(Done { times, moved: 0, shared })
    }
}

/// Regret over the calls of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Regret {
    /// Time lost, as a share of the best possible.
    pub weighted: f64,
    /// The mean of what each call lost, as a share of its own best.
    pub per_call: f64,
}

/// Of `calls` of each loop after `before` of each, in random order and of random sizes, each made by `call`.
pub(crate) fn regret(
    machine: &Machine,
    seed: u64,
    (before, calls): (usize, usize),
    mut call: impl FnMut(&mut World, usize, usize) -> Cost,
) -> Regret {
    let mut world = World::new(machine, seed);
    let loops = world.loops.len();
    let (mut took, mut best, mut relative) = (0.0, 0.0, 0.0);
    for (calls, counted) in [(before, false), (calls, true)] {
        let total = calls * loops;
        let mut left: Vec<usize> = (0..total).map(|k| k % loops).collect();
        for k in 0..total {
            world.busy = 4 * k / total % 2 == 1;
            let which = left.swap_remove((world.random.uniform() * left.len() as f64) as usize);
            let n = 2_f64.powf(7.0 + 17.0 * world.random.uniform()) as usize;
            let cost = call(&mut world, which, n);
            if counted {
                took += cost.took;
                best += cost.best;
                relative += (cost.took / cost.best - 1.0) / total as f64;
            }
        }
    }
    Regret { weighted: took / best - 1.0, per_call: relative }
}

/// Makes calls as somebody would who knows all that is hidden but the load of the pool, of which it sees what its own last loop there has
/// shown, and forgets that in 0.3 s: of all times this one loses least. Nobody who tries nothing for its own sake does better.
pub(crate) fn knowing() -> impl FnMut(&mut World, usize, usize) -> Cost {
    let (mut seen_busy, mut seen_at) = (false, f64::NEG_INFINITY);
    move |world, which, n| {
        let truth = world.truth(which, n);
        let busy = std::mem::replace(&mut world.busy, seen_busy && world.clock - seen_at < 3e8);
        let thought = world.truth(which, n);
        world.busy = busy;
        let least = |of: [f64; 3]| {
            Backend::ALL.into_iter().min_by(|&a, &b| of[a as usize].total_cmp(&of[b as usize]))
        };
        let backend = least(thought).expect("one of three");
        let took = truth[backend as usize];
        world.clock += took;
        if backend == Backend::Threads && truth[Backend::Simd as usize] > machines::BREAK_EVEN_NS {
            (seen_busy, seen_at, world.pool_used) = (busy, world.clock, world.clock);
        }
        Cost { backend, took, best: truth.into_iter().fold(f64::INFINITY, f64::min), rescued: false }
    }
}
