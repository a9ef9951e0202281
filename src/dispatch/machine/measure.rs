//! Finds out the facts: small loops through the same launch, interpreter, pool and GPU as the user's.
//!
//! One list of probes with a number of repeats each. They take turns, and of each the shortest counts: what the machine does when
//! nobody else has the core. [`Effort::Quick`] has a short list, for the middle of somebody's work; what is not on it is scaled from
//! the reference facts. The cost of an operation is what the model leaves unexplained of a loop that is full of them, so a prediction of
//! the probes is right by construction.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{CpuFacts, LaneTimes};
use crate::cancel::Watch;
use crate::cpu::CpuLevel;
use crate::element::Element;
use crate::error::Result;
use crate::exec::threads::Threads;
use crate::exec::{shader, simd};
use crate::kernel::cost::Counts;
use crate::kernel::{Kernel, Operations, Takes};
use crate::launch::{self, Bindings, Grid, IntoArgs, IntoBindings, IntoOutputs, job};
use crate::part::{Index, Part};
use crate::spmd::ir::LANES;

/// How much measuring may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// About 10 ms.
    Quick,
    /// About 150 ms.
    Thorough,
}

/// What the probes read and write.
struct Arrays {
    source: Vec<f32>,
    sink: RefCell<Vec<f32>>,
    /// Small, for integers.
    numbers: Vec<u32>,
    results: RefCell<Vec<u32>>,
    /// Bytes per nanosecond of giving `sink` its memory.
    fresh: f64,
}

/// Elements of the probes of arithmetic: two blocks of the interpreter.
const ELEMENTS: usize = 2048;
/// Elements of the table that is read here and there: half a first-level cache.
const TABLE: usize = 4096;
/// Bytes of a page, at least.
const PAGE: usize = 4096;

impl Arrays {
    fn new(elements: usize) -> Self {
        let start = Instant::now();
        let mut sink = vec![0.0_f32; elements];
        sink.iter_mut().step_by(PAGE / 4).for_each(|page| *page = 1.0);
        let fresh = 4.0 * elements as f64 / nanoseconds(start);
        Self {
            source: vec![1.5; elements],
            sink: RefCell::new(sink),
            numbers: (0..TABLE as u32).map(|i| i.wrapping_mul(0x9E37_79B9) | 1).collect(),
            results: RefCell::new(vec![0; TABLE]),
            fresh,
        }
    }
}

/// Never zero.
fn nanoseconds(start: Instant) -> f64 {
    (start.elapsed().as_nanos() as f64).max(1.0)
}

/// Something that takes time.
struct Probe<'a> {
    /// Runs once; gives the nanoseconds.
    run: Box<dyn FnMut() -> Result<f64> + 'a>,
    repeats: usize,
    best: f64,
}

/// A long probe: of main memory, or of threads that have gone to sleep.
const LONG_NS: f64 = 2_000_000.0;
/// So long does one sample of a short probe take.
const ENOUGH_NS: f64 = 20_000.0;

/// Probes, named by their place.
#[derive(Default)]
struct Probes<'a>(Vec<Probe<'a>>);

impl<'a> Probes<'a> {
    /// A probe that takes its own time.
    fn timed(&mut self, repeats: usize, run: impl FnMut() -> Result<f64> + 'a) -> usize {
        self.0.push(Probe { run: Box::new(run), repeats, best: f64::INFINITY });
        self.0.len() - 1
    }

    fn add(&mut self, repeats: usize, mut run: impl FnMut() -> Result<()> + 'a) -> usize {
        self.timed(repeats, move || {
            let mut timed = |times: u32| -> Result<f64> {
                let start = Instant::now();
                for _ in 0..times {
                    run()?;
                }
                Ok(nanoseconds(start) / f64::from(times))
            };
            let cold = timed(1)?;
            if cold > LONG_NS {
                return Ok(cold);
            }
            // Once more, now that the caches have it; and what is shorter than the clock's steps (10 ns and more) several times.
            let warm = timed(1)?;
            let times = (ENOUGH_NS / warm).clamp(1.0, 16.0) as u32;
            Ok(if times > 1 { warm.min(timed(times)?) } else { warm })
        })
    }

    /// Runs all of them, the short ones first, taking turns, each as often as it asked for. After `limit`, because others want the machine
    /// too, no probe is run more than a few times.
    fn run(&mut self, limit: Duration) -> Result<()> {
        // The first run compiles.
        for _ in 0..2 {
            for probe in &mut self.0 {
                probe.best = probe.best.min((probe.run)()?);
            }
        }
        let most = self.0.iter().map(|probe| probe.repeats).max().unwrap_or(0);
        let (mut long, mut short): (Vec<_>, Vec<_>) =
            self.0.iter_mut().partition(|probe| probe.best > LONG_NS);
        for (probes, few) in [(&mut short, 6), (&mut long, 2)] {
            let start = Instant::now();
            for round in 2..most {
                let enough = round >= few && start.elapsed() > limit;
                for probe in probes.iter_mut().filter(|probe| round < probe.repeats && !enough) {
                    probe.best = probe.best.min((probe.run)()?);
                }
            }
        }
        Ok(())
    }

    fn best(&self, at: usize) -> f64 {
        self.0[at].best
    }
}

/// A class of operations, and a loop that is full of them.
struct ClassLoop {
    rate: fn(&mut LaneTimes) -> &mut f64,
    count: fn(&Counts) -> f64,
    kernel: Kernel,
}

/// The first so many, in an order in which each needs only those before it. `a` and `b` are not known to the compiler.
fn class_loops(most: usize) -> Result<Vec<ClassLoop>> {
    let repeated = |head: &str, body: &str| {
        format!("{head} {{ var y = x; for (var k = 0u; k < 8u; k++) {{ {body} }} return y; }}")
    };
    let floats = |body: &str| repeated("fn probe(x: f32, a: f32, b: f32) -> f32", body);
    let integers = |body: &str| repeated("fn probe(x: u32, a: u32, b: u32) -> u32", body);
    let table = |body: &str| {
        repeated("var<storage, read> table: array<u32>; fn probe(i: u32, x: u32, b: u32) -> u32", body)
    };
    type Rate = fn(&mut LaneTimes) -> &mut f64;
    type Count = fn(&Counts) -> f64;
    let loops: [(Rate, Count, String); 8] = [
        (|lane| &mut lane.simple, |counts| counts.simple, integers(&"y = ((y ^ a) << 1u) + b; ".repeat(4))),
        (|lane| &mut lane.fused, |counts| counts.fused, floats(&"y = (y * a + b) * y + a; ".repeat(4))),
        (
            |lane| &mut lane.multiply_int,
            |counts| counts.multiply_int,
            integers(&"y = (y * y) ^ a; ".repeat(4)),
        ),
        (|lane| &mut lane.divide, |counts| counts.divide, floats(&"y = sqrt(a / y); ".repeat(2))),
        (|lane| &mut lane.divide_int, |counts| counts.divide_int, integers(&"y = a / (y | 1u); ".repeat(2))),
        (
            |lane| &mut lane.transcendental,
            |counts| counts.transcendental,
            floats("y = log(exp(sin(y)) + b);"),
        ),
        (|lane| &mut lane.load, |counts| counts.load, table("y = max(y, table[i + k]);")),
        (|lane| &mut lane.gather, |counts| counts.gather, table(&"y = table[(y + i) & 4095u]; ".repeat(2))),
    ];
    let compiled = loops.into_iter().take(most);
    compiled.map(|(rate, count, wgsl)| Ok(ClassLoop { rate, count, kernel: Kernel::map(&wgsl)? })).collect()
}

/// Atomic additions, each invocation to a word of its own.
const ATOMICS: &str = "
    @group(0) @binding(0) var<storage, read_write> sums: array<atomic<u32>>;
    @compute @workgroup_size(64) fn probe(@builtin(global_invocation_id) id: vec3u) {
        atomicAdd(&sums[id.x], 1u);
        atomicAdd(&sums[id.x], id.x);
    }";
const LAUNCH: &str = "
    @group(0) @binding(0) var<storage, read_write> y: array<u32>;
    @compute @workgroup_size(64) fn probe(@builtin(global_invocation_id) id: vec3u) { y[id.x] = id.x; }";
const COPY: &str = "fn copy(x: f32) -> f32 { return x; }";
/// About 5 ns for each element on one thread: what the pool is measured with.
const GRIND: &str = "fn grind(x: f32) -> f32 {
    var y = x;
    for (var k = 0u; k < 64u; k++) { y = y * 0.9999 + 0.0001; }
    return y;
}";
/// So many elements of it take some 20 µs.
const PIECE: usize = 4096;

/// 64 multiply-adds in eight chains, so that none waits for another.
#[inline(always)]
fn chains(x: f32, multiply_add: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut y: [f32; 8] = std::array::from_fn(|k| x + k as f32);
    for _ in 0..8 {
        for y in &mut y {
            *y = multiply_add(*y, 0.999, 0.001);
        }
    }
    y.iter().sum()
}
/// Float operations of one of its elements.
const CHAIN_FLOPS: f64 = 128.0;

fn peak() -> Kernel {
    if CpuLevel::detected().has_fma() {
        Kernel::scalar(
            "peak",
            #[inline(always)]
            |x: f32| chains(x, f32::mul_add),
        )
    } else {
        Kernel::scalar(
            "peak",
            #[inline(always)]
            |x: f32| chains(x, |y, a, b| y * a + b),
        )
    }
}

/// Keeps a core busy until its clock has risen.
fn warm_up(kernel: &Kernel, arrays: &Arrays, how_long: Duration) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < how_long {
        one(kernel, arrays, PIECE, None)?;
    }
    Ok(())
}

/// Runs a loop over the first `n` floats on this thread, or by the pool.
fn one(kernel: &Kernel, arrays: &Arrays, n: usize, pool: Option<&Threads>) -> Result<()> {
    let mut sink = arrays.sink.borrow_mut();
    let (args, outputs) = ((&arrays.source[..n]).into_args(), (&mut sink[..n]).into_outputs());
    let part = launch::check(kernel.signature(), args, outputs)?;
    match pool {
        Some(pool) => pool.run(kernel, part).map(drop),
        None => simd::run(kernel, part),
    }
}

/// A call of a probe of arithmetic, over as many elements as there is room for.
fn class_part<'a>(
    kernel: &Kernel,
    arrays: &'a Arrays,
    floats: &'a mut [f32],
    numbers: &'a mut [u32],
) -> Result<Part<'a>> {
    let signature = kernel.signature();
    if signature.outputs[0].ty == f32::TYPE {
        let args = (&arrays.source[..floats.len()], 0.75_f32, 0.75_f32).into_args();
        return launch::check(signature, args, floats.into_outputs());
    }
    let args = if signature.params.iter().any(|param| param.takes == Takes::Whole) {
        (Index, 3_u32, 5_u32, &arrays.numbers).into_args()
    } else {
        (&arrays.numbers[..numbers.len()], 0x1234_5677_u32, 0x5bd1_e995_u32).into_args()
    };
    launch::check(signature, args, numbers.into_outputs())
}

/// Runs it over `n` elements on this thread.
fn class_loop(kernel: &Kernel, arrays: &Arrays, n: usize) -> Result<()> {
    let (mut floats, mut numbers) = (arrays.sink.borrow_mut(), arrays.results.borrow_mut());
    simd::run(kernel, class_part(kernel, arrays, &mut floats[..n], &mut numbers[..n])?)
}

/// What the model has of it.
fn class_operations(kernel: &Kernel, arrays: &Arrays) -> Result<Operations> {
    kernel.operations(&class_part(kernel, arrays, &mut [0.0], &mut [0])?)
}

/// Measures the CPU.
pub(super) fn cpu(pool: &Threads, effort: Effort) -> Result<CpuFacts> {
    let thorough = effort == Effort::Thorough;
    let assumed = CpuFacts::assumed(pool.count());
    let arrays = &Arrays::new(if thorough { CpuFacts::WORKING_SETS[3] / 8 } else { QUICK_DRAM / 8 });
    let (copy, grind) = (&Kernel::map(COPY)?, &Kernel::map(GRIND)?);
    let loops = &class_loops(if thorough { usize::MAX } else { 1 })?;
    warm_up(grind, arrays, Duration::from_millis(if thorough { 5 } else { 1 }))?;

    let many = if thorough { 30 } else { 8 };
    let few = if thorough { 4 } else { 2 };
    let mut probes = Probes::default();
    let call = probes.add(many, || one(copy, arrays, 1, None));
    let copied = probes.add(many, || one(copy, arrays, ELEMENTS, None));
    let chunk = probes.add(many, || class_loop(&loops[0].kernel, arrays, LANES));
    let classes: Vec<usize> =
        loops.iter().map(|l| probes.add(many, || class_loop(&l.kernel, arrays, ELEMENTS))).collect();
    let main_memory = arrays.source.len();
    let dram = probes.add(few, move || one(copy, arrays, main_memory, None));
    let pooled = (pool.count() > 1).then(|| Pooled::add(&mut probes, pool, grind, copy, arrays, thorough));
    let careful = thorough.then(|| Careful::add(&mut probes, pool, arrays)).transpose()?;
    probes.run(Duration::from_millis(if thorough { 150 } else { 8 }))?;

    let mut cpu = assumed;
    cpu.fresh_bytes_per_ns = arrays.fresh;
    cpu.call_ns = probes.best(call);
    cpu.launch_ns = assumed.launch_ns * cpu.call_ns / assumed.call_ns;
    let first = class_operations(&loops[0].kernel, arrays)?.counts;
    // Of one block of a chunk and of two full ones: what grows with the lanes, and what with the blocks.
    let (small, large) = (probes.best(chunk) - cpu.call_ns, probes.best(classes[0]) - cpu.call_ns);
    let lanes = (large - 2.0 * small) / (ELEMENTS - 2 * LANES) as f64;
    cpu.lane.simple = (lanes / first.simple).clamp(0.1 * assumed.lane.simple, 100.0 * assumed.lane.simple);
    cpu.begin_ns = ((small - LANES as f64 * lanes) / first.begun())
        .clamp(0.1 * assumed.begin_ns, 100.0 * assumed.begin_ns);
    // What is not measured is as much slower as a simple operation is.
    let slower = cpu.lane.simple / assumed.lane.simple;
    let simple = cpu.lane.simple;
    cpu.lane = assumed.lane.times(slower);
    cpu.lane.simple = simple;
    for (class, &at) in loops.iter().zip(&classes).skip(1) {
        let operations = class_operations(&class.kernel, arrays)?;
        *(class.rate)(&mut cpu.lane) = 0.0;
        let rest = cpu.unexplained(&operations, ELEMENTS as f64, probes.best(at));
        *(class.rate)(&mut cpu.lane) = (rest / (class.count)(&operations.counts)).max(LEAST * simple);
    }
    if thorough {
        let mut element = [0.0_f32];
        let (args, output) = ((&arrays.source[..1]).into_args(), (&mut element).into_outputs());
        let operations = copy.operations(&launch::check(copy.signature(), args, output)?)?;
        cpu.lane.store = 0.0;
        let rest = cpu.unexplained(&operations, ELEMENTS as f64, probes.best(copied));
        cpu.lane.store = rest.max(LEAST * simple);
    }

    let bytes = 8.0 * main_memory as f64;
    let faster = bytes / probes.best(dram) / assumed.bandwidth_of(bytes);
    cpu.bandwidth = assumed.bandwidth.map(|rate| rate * faster);
    cpu.flops_per_ns = assumed.flops_per_ns / slower;
    if let Some(careful) = &careful {
        careful.read(&probes, &mut cpu);
    }
    cpu.speed_up = 1.0;
    if let Some(pooled) = pooled {
        pooled.read(&probes, &mut cpu, &assumed);
    }
    let alone = cpu.bandwidth;
    cpu.bandwidth_all = std::array::from_fn(|at| match (&careful, at) {
        _ if cpu.threads == 1 => alone[at],
        // Caches that every core has of its own.
        (_, 0 | 1) => alone[at] * cpu.speed_up,
        _ => cpu.bandwidth_all[at].max(alone[at]),
    });
    // No larger working set is faster: what says so is noise.
    for rates in [&mut cpu.bandwidth, &mut cpu.bandwidth_all] {
        for at in (0..3).rev() {
            rates[at] = rates[at].max(rates[at + 1]);
        }
    }
    Ok(cpu)
}

/// Bytes that stand for main memory where there is no time for more: above most second-level caches.
const QUICK_DRAM: usize = 16 << 20;
/// No class is so much faster than a simple operation: what says so is noise.
const LEAST: f64 = 0.05;

impl CpuFacts {
    /// Nanoseconds for each element that the facts so far do not explain.
    fn unexplained(&self, operations: &Operations, n: f64, took: f64) -> f64 {
        let blocks = (n / operations.block.unwrap_or(n)).ceil();
        let explained = self.interpreted_ns(&operations.counts, operations.counts.begun(), blocks, n);
        (took - self.call_ns - explained) / n
    }
}

/// Probes of the pool.
struct Pooled {
    /// Elements of two loops, and the probes of both; what is alike in them is fork and join.
    sizes: [usize; 2],
    loops: [usize; 2],
    /// The first one on one thread.
    alone: usize,
    /// The first one after a pause.
    idle: Option<usize>,
    /// A copy in main memory.
    dram: (f64, usize),
}

/// After so long without work the pool's threads sleep.
const PAUSE: Duration = Duration::from_millis(4);

impl Pooled {
    fn add<'a>(
        probes: &mut Probes<'a>,
        pool: &'a Threads,
        grind: &'a Kernel,
        copy: &'a Kernel,
        arrays: &'a Arrays,
        thorough: bool,
    ) -> Self {
        let room = arrays.source.len();
        let sizes = [4, 12].map(|pieces| (pieces * PIECE * pool.count()).min(room / 12 * pieces));
        // Often: on a busy machine a moment must be found in which all cores are free.
        let repeats = if thorough { 20 } else { 4 };
        let all = |n| move || one(grind, arrays, n, Some(pool));
        let idle = thorough.then(|| {
            probes.timed(5, move || {
                std::thread::sleep(PAUSE);
                let start = Instant::now();
                one(grind, arrays, sizes[0], Some(pool))?;
                Ok(nanoseconds(start))
            })
        });
        // The threads are awake from here on.
        let loops = [probes.add(repeats, all(sizes[0])), probes.add(repeats, all(sizes[1]))];
        let dram = probes.add(if thorough { 3 } else { 2 }, move || one(copy, arrays, room, Some(pool)));
        let alone = probes.add(repeats, move || one(grind, arrays, sizes[0], None));
        Self { sizes, loops, alone, idle, dram: (8.0 * room as f64, dram) }
    }

    fn read(&self, probes: &Probes<'_>, cpu: &mut CpuFacts, assumed: &CpuFacts) {
        let (small, large) = (probes.best(self.loops[0]), probes.best(self.loops[1]));
        let alone = probes.best(self.alone) - cpu.call_ns;
        let slope = ((large - small) / (self.sizes[1] - self.sizes[0]) as f64).max(1e-6);
        cpu.speed_up = (alone / self.sizes[0] as f64 / slope).clamp(1.0, cpu.threads as f64);
        cpu.fork_join_ns = (small - cpu.call_ns - alone / cpu.speed_up).clamp(500.0, 1e6);
        let slower = cpu.fork_join_ns / assumed.fork_join_ns;
        cpu.fork_join_idle_ns = match self.idle {
            Some(idle) => cpu.fork_join_ns + (probes.best(idle) - small).clamp(0.0, 1e7),
            None => assumed.fork_join_idle_ns * slower,
        };
        let (bytes, at) = self.dram;
        let faster = bytes / probes.best(at) / assumed.bandwidth_of_all(bytes);
        cpu.bandwidth_all = cpu.bandwidth_all.map(|rate| rate * faster);
    }
}

/// Probes that only a thorough measurement has time for.
struct Careful {
    /// Native copies of the smaller working sets on one thread, and one of nothing.
    caches: [usize; 3],
    native: usize,
    /// A copy in the last cache on all threads: bytes and probe.
    cache_all: Option<(f64, usize)>,
    peak: usize,
    launch: usize,
    atomics: usize,
}

impl Careful {
    fn add<'a>(probes: &mut Probes<'a>, pool: &'a Threads, arrays: &'a Arrays) -> Result<Self> {
        let copy = Kernel::scalar("copy", |x: f32| x);
        let caches = std::array::from_fn(|at| {
            let copy = copy.clone();
            probes.add([30, 20, 8][at], move || one(&copy, arrays, CpuFacts::WORKING_SETS[at] / 8, None))
        });
        let empty = copy.clone();
        let native = probes.add(30, move || one(&empty, arrays, 1, None));
        let cache_all = (pool.count() > 1).then(|| {
            let (bytes, run) = passes(pool, copy, arrays, CpuFacts::WORKING_SETS[2]);
            (bytes, probes.add(4, run))
        });
        let peak = peak();
        let peak = probes.add(20, move || one(&peak, arrays, ELEMENTS, None));
        let mut launched = |repeats, shader, n: u32| -> Result<usize> {
            let kernel = Kernel::shader(shader)?;
            Ok(probes.add(repeats, move || {
                let mut results = arrays.results.borrow_mut();
                let binding = kernel.bindings()[0].name.as_str();
                let bindings = Bindings::new().bind(binding, &mut results[..]);
                let mut job = job::check(&kernel, Grid::threads(n), bindings.into_bindings())?;
                shader::run(&mut job, CpuLevel::detected(), None, &Watch::NEVER, None).map(drop)
            }))
        };
        let launch = launched(30, LAUNCH, 1)?;
        let atomics = launched(8, ATOMICS, ELEMENTS as u32)?;
        Ok(Self { caches, native, cache_all, peak, launch, atomics })
    }

    fn read(&self, probes: &Probes<'_>, cpu: &mut CpuFacts) {
        let call = probes.best(self.native);
        let net = |at: usize| (probes.best(at) - call).max(0.1 * probes.best(at));
        for (at, &probe) in self.caches.iter().enumerate() {
            cpu.bandwidth[at] = CpuFacts::WORKING_SETS[at] as f64 / net(probe);
        }
        if let Some((bytes, at)) = self.cache_all {
            cpu.bandwidth_all[2] = bytes / probes.best(at);
        }
        cpu.flops_per_ns = CHAIN_FLOPS * ELEMENTS as f64 / net(self.peak);
        // Two of them, and each invocation's index.
        cpu.launch_ns = probes.best(self.launch);
        let atomic = (probes.best(self.atomics) - cpu.launch_ns) / (2 * ELEMENTS) as f64;
        cpu.lane.atomic = atomic.max(cpu.lane.simple);
    }
}

/// Goes through a working set again and again on all threads, in pieces; the bytes of one run, and the run.
fn passes<'a>(
    pool: &'a Threads,
    copy: Kernel,
    arrays: &'a Arrays,
    bytes: usize,
) -> (f64, impl FnMut() -> Result<()> + 'a) {
    /// A piece takes microseconds, and a run long enough for the threads to come.
    const PIECE_BYTES: usize = 256 << 10;
    const PASSES: usize = 16;
    let pieces = bytes / PIECE_BYTES;
    let run = move || {
        let mut sink = arrays.sink.borrow_mut();
        let sinks = sink[..bytes / 8].chunks_mut(PIECE_BYTES / 8);
        let sources = arrays.source[..bytes / 8].chunks(PIECE_BYTES / 8);
        let pairs: Vec<_> = sources.zip(sinks).map(Mutex::new).collect();
        let body = |range: std::ops::Range<u64>| {
            for at in range {
                let mut pair = pairs[at as usize % pieces].lock().unwrap_or_else(PoisonError::into_inner);
                let (source, sink) = &mut *pair;
                let part =
                    launch::check(copy.signature(), (&**source).into_args(), (&mut **sink).into_outputs())?;
                copy.run(part)?;
            }
            Ok(())
        };
        // In ascending order, so neighbours in time are different pieces.
        pool.for_pieces((pieces * PASSES) as u64, 1, &body).map(drop)
    };
    ((bytes * PASSES) as f64, run)
}
