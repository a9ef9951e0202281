//! What is done about failures, and which calls teach what: on a device that answers as it is told.

use super::*;
use crate::dispatch::machine::Source;
use crate::dispatch::model::Terms;

/// How the next call on a GPU ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gpu {
    Runs,
    Refuses,
    Breaks,
}

/// A device with a clock that stands still unless it is set.
struct Scripted {
    now: f64,
    gpu: Gpu,
    /// A call on the CPU.
    done: Done,
}

impl Device for Scripted {
    type Error = &'static str;

    fn now(&self) -> f64 {
        self.now
    }

    fn run(&mut self, backend: Backend) -> Result<Done, Failure<Self::Error>> {
        match self.gpu {
            Gpu::Refuses if backend == Backend::Gpu => Err(Failure::Refused("too large")),
            Gpu::Breaks if backend == Backend::Gpu => Err(Failure::Broken("lost")),
            Gpu::Runs if backend == Backend::Gpu => Ok(took(MS, false)),
            _ => Ok(self.done),
        }
    }
}

fn took(ns: u64, shared: bool) -> Done {
    Done { times: Times { run: Duration::from_nanos(ns), ..Times::default() }, moved: 0, shared }
}

const MS: u64 = 1_000_000;

/// A call of which each backend takes so many milliseconds, by the model.
fn ask(policy: Policy, ms: [f64; 3]) -> Question {
    let offer = |ms: f64| Offer::Predicted(Terms { fixed: 100.0, work: ms * MS as f64, transfer: 0.0 });
    Question { policy, n: 1000, counted: true, offers: ms.map(offer), source: Source::Measured }
}

/// Plans and runs one call; the plan as it was carried out.
fn call(
    planner: &Planner,
    memory: &Memory,
    device: &mut Scripted,
    mut question: Question,
) -> Result<Carried, &'static str> {
    let plan =
        planner.plan(&mut question, Some(memory), device.now, false).expect("nothing named is excluded");
    planner.carry_out(&question, plan, Some(memory), device)
}

const BEST_ON_GPU: [f64; 3] = [1.0, 10.0, 5.0];

#[test]
fn a_gpu_that_broke_is_tried_again_at_once_and_then_after_longer_and_longer() {
    let (planner, memory) = (Planner::new(), Memory::new(true));
    let mut device = Scripted { now: 0.0, gpu: Gpu::Breaks, done: took(5 * MS, true) };
    let auto = ask(Policy::Auto, BEST_ON_GPU);
    let rescued = |device: &mut Scripted| {
        let carried = call(&planner, &memory, device, auto).expect("the CPU runs it");
        assert_eq!(
            carried.plan.backend == Backend::Gpu,
            device.gpu == Gpu::Runs && carried.rescued.is_none()
        );
        carried.rescued.is_some()
    };
    for round in 0..2 {
        let start = device.now;
        device.gpu = Gpu::Breaks;
        assert!(rescued(&mut device) && rescued(&mut device), "{round}: a new device mostly works");
        for (wait, tried) in [(0.9e9, false), (1.1e9, true), (4.9e9, false), (5.2e9, true), (20.0e9, false)] {
            device.now = start + wait;
            assert_eq!(rescued(&mut device), tried, "{round}: {wait}");
        }
        // Who asks for it by name has it, and its error.
        let named = call(&planner, &memory, &mut device, ask(Policy::Only(Backend::Gpu), BEST_ON_GPU));
        assert_eq!(named.err(), Some("lost"));
        // Once it has worked, all is forgotten.
        device.now += 1e12;
        device.gpu = Gpu::Runs;
        assert!(!rescued(&mut device));
    }
}

#[test]
fn a_kernel_that_the_gpu_refuses_is_left_out_alone() {
    let (planner, refused, other) = (Planner::new(), Memory::new(true), Memory::new(true));
    let mut device = Scripted { now: 0.0, gpu: Gpu::Refuses, done: took(5 * MS, true) };
    let auto = ask(Policy::Auto, BEST_ON_GPU);
    let ran = |memory: &Memory, device: &mut Scripted| {
        let Carried { plan, rescued, .. } = call(&planner, memory, device, auto).expect("the CPU runs it");
        (plan.backend, rescued.is_some())
    };
    for _ in 0..2 {
        device.gpu = Gpu::Refuses;
        for tried in [true, true, false] {
            assert_eq!(ran(&refused, &mut device), (Backend::Threads, tried));
        }
        device.gpu = Gpu::Runs;
        assert_eq!(ran(&other, &mut device), (Backend::Gpu, false));
        device.now += 1e12;
        assert_eq!(ran(&refused, &mut device), (Backend::Gpu, false));
    }
}

#[test]
fn a_rescued_call_teaches_nothing() {
    let (planner, memory) = (Planner::new(), Memory::new(true));
    let mut device = Scripted { now: 0.0, gpu: Gpu::Breaks, done: took(400 * MS, true) };
    for _ in 0..8 {
        device.now += 1e12;
        let carried = call(&planner, &memory, &mut device, ask(Policy::Auto, BEST_ON_GPU));
        let plan = carried.expect("the CPU runs it").plan;
        assert_eq!(plan.backend, Backend::Threads);
        assert_eq!(plan.entries.map(|entry| entry.samples), [0; 3]);
        assert_eq!(plan.entries[0].verdict, Verdict::Excluded(Exclusion::Failed));
    }
}

#[test]
fn a_loop_that_the_pool_left_alone_teaches_one_thread_and_wakes_nobody() {
    for (shared, samples) in [(false, [0, 4, 0]), (true, [0, 0, 4])] {
        let (planner, memory) = (Planner::new(), Memory::new(true));
        let mut device = Scripted { now: 1e9, gpu: Gpu::Runs, done: took(5 * MS, shared) };
        let question = ask(Policy::Only(Backend::Threads), BEST_ON_GPU);
        for _ in 0..5 {
            call(&planner, &memory, &mut device, question).expect("runs");
        }
        let plan = planner.plan(&mut question.clone(), Some(&memory), 1e9, false).expect("runs");
        assert_eq!(plan.entries.map(|entry| entry.samples), samples);
        assert_eq!(planner.pool_sleeps(1e9 + 1e6), !shared);
        assert!(planner.pool_sleeps(1e9 + 3e6));
    }
}

#[test]
fn the_pool_is_awake_after_the_shortest_call_that_it_shared() {
    // So short and so regular that on one thread few would teach.
    let (planner, memory) = (Planner::new(), Memory::new(true));
    let mut device = Scripted { now: 0.0, gpu: Gpu::Runs, done: took(1_100, true) };
    let question = ask(Policy::Only(Backend::Threads), [1.0, 1.0, 1e-3]);
    for _ in 0..100 {
        device.now += 1e7;
        assert!(planner.pool_sleeps(device.now));
        call(&planner, &memory, &mut device, question).expect("runs");
        assert!(!planner.pool_sleeps(device.now + 1e6));
    }
}

#[test]
fn a_size_stays_where_a_free_choice_has_put_it() {
    // As fast as one thread: who has it keeps it.
    let question = |policy| ask(policy, [50.0, 5.0, 4.9]);
    let backend = |runs: &[(Policy, bool)]| {
        let (planner, memory) = (Planner::new(), Memory::new(true));
        let mut device = Scripted { now: 0.0, gpu: Gpu::Runs, done: took(5 * MS, true) };
        for &(policy, explored) in runs {
            let mut question = question(policy);
            let mut plan = planner.plan(&mut question, Some(&memory), 0.0, false).expect("runs");
            if explored {
                plan.backend = Backend::Threads;
                plan.entries[Backend::Threads as usize].verdict = Verdict::Explored;
            }
            planner.carry_out(&question, plan, Some(&memory), &mut device).expect("runs");
        }
        let plan = planner.plan(&mut question(Policy::Auto), Some(&memory), 0.0, false);
        let afresh = planner.plan_afresh(&mut question(Policy::Auto), Some(&memory), 0.0);
        (plan.expect("runs").backend, afresh.expect("runs").backend)
    };
    let simd = (Backend::Simd, Backend::Simd);
    assert_eq!(backend(&[(Policy::Only(Backend::Threads), false)]), simd);
    assert_eq!(backend(&[(Policy::Auto, true)]), simd);
    assert_eq!(backend(&[(Policy::Auto, false)]), simd);

    let mut remembered = Remembered::new(true);
    remembered.choose(1000, Backend::Threads);
    let (planner, memory) = (Planner::new(), Memory(RwLock::new(remembered)));
    let plan = planner.plan(&mut question(Policy::Auto), Some(&memory), 0.0, false).expect("runs");
    let afresh = planner.plan_afresh(&mut question(Policy::Auto), Some(&memory), 0.0).expect("runs");
    assert_eq!((plan.backend, afresh.backend), (Backend::Threads, Backend::Simd));
    // And no other size.
    for n in [0, 1, 511, 1024, usize::MAX] {
        assert_eq!(remembered.incumbent(n), None);
    }
    for n in [512, 1023] {
        assert_eq!(remembered.incumbent(n), Some(Backend::Threads));
    }
}

#[test]
fn compiling_is_no_part_of_a_call() {
    let (planner, memory) = (Planner::new(), Memory::new(true));
    let mut done = took(5 * MS, false);
    done.times.compile = Duration::from_secs(1);
    let mut device = Scripted { now: 0.0, gpu: Gpu::Runs, done };
    let mut question = ask(Policy::Only(Backend::Simd), [50.0, 5.0, 5.0]);
    for _ in 0..5 {
        call(&planner, &memory, &mut device, question).expect("runs");
    }
    let plan = planner.plan(&mut question, Some(&memory), 0.0, false).expect("runs");
    let predicted = plan.entries[1].predicted.expect("counted");
    assert!((4..=6).contains(&predicted.as_millis()), "{predicted:?}");
}

#[test]
fn what_exploring_costs_is_counted_for_short_calls_too() {
    let (planner, memory) = (Planner::new(), Memory::new(true));
    let mut device = Scripted { now: 0.0, gpu: Gpu::Runs, done: took(2_000, false) };
    let mut question = ask(Policy::Auto, [1.0, 1.9e-3, 0.9e-3]);
    for _ in 0..1_000 {
        let mut plan = planner.plan(&mut question, Some(&memory), 0.0, false).expect("runs");
        plan.backend = Backend::Simd;
        plan.entries[Backend::Simd as usize].verdict = Verdict::Explored;
        planner.carry_out(&question, plan, Some(&memory), &mut device).expect("runs");
    }
    let explored = planner.with_machine(|machine| machine.explored);
    assert!((0.5e6..2e6).contains(&explored), "{explored}");
}
