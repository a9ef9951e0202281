//! Facts are finite and positive, whoever made them; nothing here asserts a time.

use super::*;

#[test]
fn assumed_facts_are_sane_for_any_pool() {
    for threads in [1, 2, 3, 64, 1024] {
        assert!(CpuFacts::assumed(threads).is_sane(), "{threads}");
    }
}

#[test]
fn measured_facts_are_sane() {
    let pool = Threads::new(2).expect("starts");
    for (pool, effort) in
        [(Threads::new(1).expect("starts"), measure::Effort::Quick), (pool, measure::Effort::Thorough)]
    {
        let cpu = measure::cpu(&pool, effort).expect("every probe runs");
        assert!(cpu.is_sane(), "{cpu:?}");
        assert_eq!(cpu.threads, pool.count());
    }
}

#[test]
fn insane_facts_are_seen() {
    let sane = CpuFacts::assumed(8);
    for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0, -0.0, 1e300, 1e-300] {
        let changes: [fn(&mut CpuFacts, f64); 9] = [
            |cpu, bad| cpu.call_ns = bad,
            |cpu, bad| cpu.lane.fused = bad,
            |cpu, bad| cpu.lane.atomic = bad,
            |cpu, bad| cpu.fork_join_idle_ns = bad,
            |cpu, bad| cpu.speed_up = bad,
            |cpu, bad| cpu.bandwidth[2] = bad,
            |cpu, bad| cpu.bandwidth_all[3] = bad,
            |cpu, bad| cpu.fresh_bytes_per_ns = bad,
            |cpu, bad| cpu.flops_per_ns = bad,
        ];
        for change in changes {
            let mut cpu = sane;
            change(&mut cpu, bad);
            assert!(!cpu.is_sane(), "{bad} {cpu:?}");
        }
    }
    assert!(!CpuFacts { speed_up: 8.1, ..sane }.is_sane(), "more than there are threads");
    assert!(!CpuFacts { threads: 0, ..sane }.is_sane());
    let growing = [1.0, 2.0, 3.0, 4.0];
    assert!(!CpuFacts { bandwidth: growing, ..sane }.is_sane(), "no larger working set is faster");
}

#[test]
fn bandwidth_goes_from_one_measured_set_to_the_next() {
    let cpu = CpuFacts { bandwidth: [100.0, 50.0, 20.0, 10.0], ..CpuFacts::assumed(2) };
    for (bytes, rate) in CpuFacts::WORKING_SETS.iter().zip(cpu.bandwidth) {
        assert!((cpu.bandwidth_of(*bytes as f64) / rate - 1.0).abs() < 1e-9);
    }
    assert_eq!((cpu.bandwidth_of(0.0), cpu.bandwidth_of(1e18)), (100.0, 10.0));
    let mut last = 0.0;
    for step in 0..2000 {
        let bytes = 1.02_f64.powi(step);
        let time = bytes / cpu.bandwidth_of(bytes);
        assert!(time > last, "{bytes} bytes");
        last = time;
    }
}
