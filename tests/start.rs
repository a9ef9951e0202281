//! What the first calls of a process start, and what they leave alone. One test, as it looks at the whole process.

#[cfg(target_os = "linux")]
#[test]
fn a_short_loop_starts_no_pool_and_explains_itself_as_if_it_had() {
    use forall::{Backend, Dispatcher, Kernel, Policy, pool_threads};

    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let forall = Dispatcher::new();
    let double = Kernel::map("fn double(x: f32) -> f32 { return 2.0 * x; }").unwrap();
    let (x, mut out) = ([1.5_f32; 100], [0.0_f32; 100]);
    let report = forall.run(&double, &x, &mut out).unwrap();
    assert_eq!(out, [3.0; 100]);
    let simd = forall.clone().with_policy(Policy::Only(Backend::Simd));
    simd.run(&double, &x, &mut out).unwrap();
    assert_eq!(threads(), before, "a thread has started");

    // Explained, the loop is one of any size.
    let explained = report.explain().to_string();
    assert!(threads() > before);
    if pool_threads().unwrap() > 1 {
        assert!(explained.contains("threads from"), "{explained}");
        let explanation = forall.explain(&double, &x, &mut out).unwrap();
        assert!(explanation.crossovers.iter().any(|crossover| crossover.backend == Backend::Threads));
    }
}
