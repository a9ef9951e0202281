//! Calls through the front door: who runs them, what is rescued, what is the same whoever runs them.

use super::*;
use crate::backend::Backend;
use crate::dispatch::exclusion::Exclusion;
use crate::dispatch::machine::Source;
use crate::dispatch::plan::Verdict;
use crate::part::Index;

#[test]
fn progress_counts_every_element_once() {
    let kernel = Kernel::map("fn twice(i: u32) -> u32 { return 2u * i; }").expect("valid WGSL");
    for backend in [Backend::Simd, Backend::Threads] {
        for n in [0, 1, 1023, 1024, 1025, 100_003] {
            let progress = Progress::new();
            let forall = Dispatcher::new().with_policy(Policy::Only(backend)).with_progress(progress.clone());
            let mut out = vec![u32::MAX; n];
            forall.run(&kernel, Index, &mut out).expect("a valid call");
            assert_eq!(progress.done(), n, "{backend}");
            assert!(out.iter().zip(0..).all(|(&x, i)| x == 2 * i), "{backend}, n = {n}");
        }
    }
}

#[test]
fn only_gpu_refuses_a_closure_and_writes_nothing() {
    // Without a GPU and without a body for one, `Only` is an error and the output is untouched.
    let closure = Kernel::scalar("half", |x: f64| x / 2.0);
    let mut out = [f64::NAN; 2];
    let error = Dispatcher::new()
        .with_policy(Policy::Only(Backend::Gpu))
        .run(&closure, &[1.0_f64, 2.0], &mut out)
        .expect_err("a closure runs on no GPU");
    assert!(matches!(error, Error::Unavailable { backend: Backend::Gpu, .. }), "{error}");
    assert!(out.iter().all(|x| x.is_nan()));
}

/// A dispatcher on a GPU of its own that is said to be faster than anything, or `None` where there is none.
#[cfg(feature = "gpu")]
fn on_a_fast_gpu() -> Option<(Dispatcher, &'static crate::exec::gpu::Gpu)> {
    let gpu: &'static crate::exec::gpu::Gpu = Box::leak(Box::default());
    if let Err(none) = gpu.open() {
        assert!(std::env::var("FORALL_REQUIRE_GPU").as_deref() != Ok("1"), "a GPU is required: {none:?}");
        println!("skipped: {none:?}");
        return None;
    }
    let facts = super::super::machine::GpuFacts {
        call_ns: 0.0,
        ops_per_ns: 1e9,
        bytes_per_ns: 1e9,
        upload_bytes_per_ns: 1e9,
        download_bytes_per_ns: 1e9,
    };
    let own = Own { gpu, facts, planner: Box::leak(Box::new(crate::dispatch::planner::Planner::new())) };
    Some((Dispatcher { own: Some(own), ..Dispatcher::new().with_policy(Policy::Auto) }, gpu))
}

/// Holds a report to where a call ran.
#[cfg(feature = "gpu")]
fn ran_on_gpu(report: &Report, rescued: bool) {
    assert_eq!(report.backend() == Backend::Gpu, !rescued, "{report}");
    assert_eq!(report.rescued().is_some_and(|why| why.contains("lost")), rescued, "{report}");
    assert_eq!(report.explain().contains("lost"), rescued, "{}", report.explain());
}

#[test]
#[cfg(feature = "gpu")]
fn a_loop_whose_gpu_is_lost_is_done_on_the_cpu_and_the_next_one_on_the_gpu() {
    let Some((forall, gpu)) = on_a_fast_gpu() else { return };
    let kernel = Kernel::map("fn f(x: u32) -> u32 { return 3u * x + 1u; }").expect("valid WGSL");
    let x: Vec<u32> = (0..5000).collect();
    for lost in [false, true, false] {
        if lost {
            gpu.lose();
        }
        let mut out = vec![u32::MAX; x.len()];
        ran_on_gpu(&forall.run(&kernel, &x, &mut out).expect("runs either way"), lost);
        assert!(out.iter().zip(&x).all(|(&out, x)| out == 3 * x + 1));
    }
    gpu.lose();
    let mut out = vec![u32::MAX; x.len()];
    let named = forall.with_policy(Policy::Only(Backend::Gpu));
    let error = named.run(&kernel, &x, &mut out).expect_err("nobody else was asked for");
    assert!(matches!(error, Error::Gpu { lost: true, .. }), "{error:?}");
    assert!(out.iter().all(|&out| out == u32::MAX));
}

#[test]
#[cfg(feature = "gpu")]
fn a_launch_whose_gpu_is_lost_is_done_on_the_cpu_with_the_arrays_as_they_were() {
    use crate::array::Array;
    let Some((forall, gpu)) = on_a_fast_gpu() else { return };
    let kernel = Kernel::shader(
        "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
         @group(0) @binding(1) var<storage, read_write> y: array<u32>;
         @compute @workgroup_size(64) fn add(@builtin(global_invocation_id) id: vec3u) {
             if (id.x < arrayLength(&x)) { x[id.x] += 1; y[id.x] += 10; }
         }",
    );
    let (kernel, grid) = (kernel.expect("valid WGSL"), Grid::threads(1000));
    let (mut x, y) = (vec![0_u32; 1000], Array::from(vec![0_u32; 1000]));
    for (round, lost) in (1..).zip([false, false, true, false]) {
        if lost {
            // Both sides have it; else it would be lost.
            assert!(y.read().expect("reads").iter().all(|&y| y == 10 * (round - 1)));
            gpu.lose();
        }
        let report = forall.launch(&kernel, grid, (("x", &mut x), ("y", &y))).expect("runs either way");
        ran_on_gpu(&report, lost);
        assert!(x.iter().all(|&x| x == round));
    }
    assert!(y.read().expect("reads").iter().all(|&y| y == 40));
    forall.launch(&kernel, grid, (("x", &mut x), ("y", &y))).expect("runs");
    gpu.lose();
    // Only the lost device had it: no backend can go on, and it says so.
    let error = forall.launch(&kernel, grid, (("x", &mut x), ("y", &y))).expect_err("the array is gone");
    assert!(matches!(error, Error::Gpu { lost: true, .. }), "{error:?}");
    assert!(error.to_string().contains("only on the GPU"), "{error}");
    assert!(x.iter().all(|&x| x == 5));
}

#[test]
#[cfg(feature = "gpu")]
fn what_the_gpu_cannot_launch_runs_on_the_cpu() {
    let Some((forall, _)) = on_a_fast_gpu() else { return };
    let kernel = Kernel::shader(
        "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
         @compute @workgroup_size(1) fn mark(@builtin(global_invocation_id) id: vec3u) {
             if (id.x < arrayLength(&x)) { x[id.x] = id.x; }
         }",
    );
    let (kernel, mut x) = (kernel.expect("valid WGSL"), vec![u32::MAX; 66_000]);
    let report = forall.launch(&kernel, Grid::workgroups(66_000), (("x", &mut x),)).expect("runs");
    assert!(report.backend() != Backend::Gpu, "{report}");
    // Its limits are known before anything is sent there.
    assert_eq!(report.rescued(), None);
    assert_eq!(report.plan().entries[0].verdict, Verdict::Excluded(Exclusion::OverLimit));
    assert!(report.explain().contains("66000 workgroups along x"), "{}", report.explain());
    assert!(x.iter().zip(0..).all(|(&x, i)| x == i));
}

#[test]
fn a_choice_never_changes_a_bit() {
    let wgsl = "fn f(x: f32, i: u32) -> f32 {
        var y = x;
        for (var k = 0u; k < i % 7u; k++) { y = sin(y) * 1.7 + exp(-y * y) / (y + 3.0); }
        return fma(y, x, 1.0 / x);
    }";
    let kernel = Kernel::map(wgsl).expect("valid WGSL");
    let closure = Kernel::scalar("g", |x: f32| x.sin() / (x + 0.3));
    let mut bits = Vec::new();
    let mut ran = Vec::new();
    for n in [1, 100, 5_000, 300_000, 700_000] {
        let x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37) - 1_000.0).collect();
        let mut expected: Option<(Vec<u32>, Vec<u32>)> = None;
        // As it learns, and as it is told to.
        for policy in
            [Policy::Auto, Policy::Only(Backend::Threads), Policy::Only(Backend::Simd), Policy::Auto]
        {
            for forall in
                [Dispatcher::new(), Dispatcher::new().deterministic(), Dispatcher::new().with_exploration()]
            {
                let forall = forall.with_policy(policy);
                let (mut one, mut two) = (vec![f32::NAN; n], vec![f32::NAN; n]);
                for _ in 0..3 {
                    let report = forall.run(&kernel, (&x, Index), &mut one).expect("runs");
                    ran.push((n, report.backend()));
                    forall.run(&closure, &x, &mut two).expect("runs");
                }
                // A GPU, where the machine has one, is another matter.
                if ran[ran.len() - 3..].iter().all(|(_, backend)| *backend != Backend::Gpu) {
                    let got = (to_bits(&one), to_bits(&two));
                    assert!(*expected.get_or_insert_with(|| got.clone()) == got, "{policy:?}, n = {n}");
                    bits.push(got.0.len());
                }
            }
        }
    }
    assert!(ran.iter().any(|(_, backend)| *backend == Backend::Simd) && !bits.is_empty());
}

fn to_bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_call_teaches_and_the_explanation_says_so() {
    let kernel = Kernel::map("fn f(x: f32) -> f32 { return sqrt(abs(sin(x))); }").expect("valid WGSL");
    let forall = Dispatcher::new().with_policy(Policy::Only(Backend::Simd));
    let x = vec![0.5_f32; 200_000];
    let mut out = vec![0.0_f32; x.len()];
    // Once the loops were worth measuring; the first call after that is dropped.
    let mut last = None;
    for _ in 0..400 {
        let report = forall.run(&kernel, &x, &mut out).expect("runs");
        let entry = report.plan().entries[Backend::Simd as usize];
        if entry.samples >= 2 {
            last = Some((report, entry));
            break;
        }
    }
    let (report, entry) = last.expect("it learns");
    assert!(entry.predicted.is_some_and(|time| time > Duration::ZERO), "{report}");
    assert!((1.0..3.0).contains(&entry.error_factor()), "{}", entry.error_factor());
    let text = report.explain();
    for part in ["samples", "machine facts: ", "by size: simd", "the policy names another backend"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let explained = forall.explain(&kernel, &x, &mut out).expect("a right call");
    assert_eq!((explained.n, explained.plan.backend), (x.len(), Backend::Simd));
    assert_eq!(explained.crossovers[0].from, 1);
    assert!(explained.crossovers.is_sorted_by_key(|crossover| crossover.from), "{explained}");
    // Another kernel knows nothing of it.
    let other = Kernel::map("fn f(x: f32) -> f32 { return sqrt(abs(sin(x))); }").expect("valid WGSL");
    let plan = forall.plan(&other, &x, &mut out).expect("a right call");
    assert!(plan.entries.iter().all(|entry| entry.samples == 0));
}

#[test]
fn deterministic_choices_depend_on_the_call_alone() {
    let forall = Dispatcher::new().with_policy(Policy::Auto).deterministic();
    let source = "fn f(x: f32) -> f32 { return exp(x) + 1.0; }";
    let (x, mut out) = (vec![0.5_f32; 1 << 20], vec![0.0_f32; 1 << 20]);
    let plans = |kernel: &Kernel, out: &mut [f32]| {
        let sizes = [1, 1 << 10, 1 << 15, 1 << 20];
        sizes.map(|n| forall.plan(kernel, &x[..n], &mut out[..n]).expect("a right call"))
    };
    let kernel = Kernel::map(source).expect("valid WGSL");
    let before = plans(&kernel, &mut out);
    assert_eq!(before.clone().map(|plan| plan.source), [Source::Reference; 4]);
    assert_eq!([&before[0], &before[3]].map(|plan| plan.backend), [Backend::Simd, Backend::Threads]);
    let excluded = Verdict::Excluded(Exclusion::Deterministic);
    assert!(before.iter().all(|plan| plan.entries[0].verdict == excluded));
    for _ in 0..20 {
        forall.run(&kernel, &x, &mut out).expect("runs");
        Dispatcher::new().run(&kernel, &x, &mut out).expect("runs");
    }
    assert_eq!(plans(&kernel, &mut out), before);
    assert_eq!(plans(&Kernel::map(source).expect("valid WGSL"), &mut out), before);
}

#[test]
fn a_launch_is_explained_by_invocations() {
    let kernel = Kernel::shader(
        "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
         @compute @workgroup_size(64) fn f(@builtin(global_invocation_id) id: vec3u) { x[id.x] = sin(x[id.x]); }",
    )
    .expect("valid WGSL");
    let forall = Dispatcher::new().deterministic().with_policy(Policy::Auto);
    let explain = |n: u32| {
        let mut x = vec![1.0_f32; n as usize];
        forall.explain_launch(&kernel, Grid::threads(n), (("x", &mut x),)).expect("a right launch")
    };
    let (small, large) = (explain(64), explain(1 << 20));
    assert_eq!((small.n, small.plan.backend), (64, Backend::Simd));
    assert_eq!((large.n, large.plan.backend), (1 << 20, Backend::Threads));
    // Asked about a small launch or a large one, the crossover is much the same: a launch of one block is not cut.
    let from = |explained: &Explanation| {
        let threads = explained.crossovers.iter().find(|crossover| crossover.backend == Backend::Threads);
        threads.expect("large launches are shared").from as f64
    };
    assert!((from(&small) / from(&large)).ln().abs() < 0.5, "{small}\n{large}");
    assert!(from(&small) > 64.0 && from(&large) < f64::from(1 << 20));
}
