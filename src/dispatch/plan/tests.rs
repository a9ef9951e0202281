//! Choices and their reasons.

use super::*;
use crate::dispatch::machine::{CpuFacts, GpuFacts};
use crate::dispatch::model::{self, Work};
use crate::kernel::cost::Counts;

fn cpu() -> CpuFacts {
    CpuFacts {
        call_ns: 300.0,
        fork_join_ns: 10_000.0,
        speed_up: 6.0,
        bandwidth: [40.0, 40.0, 20.0, 10.0],
        bandwidth_all: [240.0, 240.0, 100.0, 30.0],
        ..CpuFacts::assumed(8)
    }
}
const DISCRETE: GpuFacts = GpuFacts {
    call_ns: 60_000.0,
    ops_per_ns: 5_000.0,
    bytes_per_ns: 500.0,
    upload_bytes_per_ns: 12.0,
    download_bytes_per_ns: 10.0,
};
fn work(simple: f64, read: f64) -> Work {
    let counts = Counts { simple, ..Counts::default() };
    Work {
        counts,
        known: true,
        begun: simple,
        block: 1024.0,
        calls: 1.0,
        read,
        written: 4.0,
        whole: 0.0,
        transfer: None,
    }
}
fn light() -> Work {
    work(2.0, 8.0)
}
fn heavy() -> Work {
    work(4_000.0, 4.0)
}

/// What the model offers, with a GPU or why there is none.
fn ask(policy: Policy, cpu: &CpuFacts, work: &Work, n: usize, gpu: Offer) -> Question {
    let (n_f, source) = (n as f64, Source::Measured);
    let simd = Offer::Predicted(model::simd(cpu, work, n_f));
    let threads = Offer::Predicted(model::threads(cpu, work, n_f, false));
    Question { policy, n, counted: work.known, offers: [gpu, simd, threads], source }
}

fn discrete(work: &Work, n: usize) -> Offer {
    Offer::Predicted(model::gpu(&DISCRETE, work, n as f64))
}

/// Decides as if nothing had ever run.
fn decide(question: &Question) -> Result<Plan, Exclusion> {
    decide_after(question, None)
}

fn decide_after(question: &Question, incumbent: Option<Backend>) -> Result<Plan, Exclusion> {
    let estimate = |backend| {
        let terms = question.terms(backend)?;
        Some(Estimate { ns: terms.total(), variance: 0.01, samples: 3 })
    };
    let estimates = Backend::ALL.map(estimate);
    plan(question, &Known { estimates, believed: question.counted, incumbent })
}

fn chosen(work: &Work, n: usize) -> Backend {
    decide(&ask(Policy::Auto, &cpu(), work, n, discrete(work, n))).expect("Auto always has a backend").backend
}

#[test]
fn auto_walks_from_lanes_to_pool_to_gpu_as_work_grows() {
    assert_eq!(chosen(&heavy(), 16), Backend::Simd);
    assert_eq!(chosen(&heavy(), 300), Backend::Threads);
    assert_eq!(chosen(&heavy(), 1_000_000), Backend::Gpu);
}

#[test]
fn a_guessed_cost_goes_to_the_executor_that_measures() {
    let guessed = Work { known: false, ..light() };
    for n in [1, 1_000, 1_000_000] {
        for gpu in [Offer::Unopened, discrete(&guessed, n)] {
            let mut question = ask(Policy::Auto, &cpu(), &guessed, n, gpu);
            let plan = decide(&question).expect("Auto always has a backend");
            assert_eq!(plan.backend, Backend::Threads);
            let of_gpu = if gpu == Offer::Unopened { Verdict::Unopened } else { Verdict::Unknown };
            let verdicts = plan.entries.map(|entry| (entry.verdict, entry.predicted));
            let all = [of_gpu, Verdict::Unknown, Verdict::ChosenUnknown].map(|verdict| (verdict, None));
            assert_eq!(verdicts, all);
            question.offers[Backend::Threads as usize] = Offer::Excluded(Exclusion::OneThread);
            assert_eq!(decide(&question).expect("Auto always has a backend").backend, Backend::Simd);
        }
    }
}

#[test]
fn a_light_loop_never_pays_for_the_bus() {
    for n in [1, 1_000, 1_000_000, 100_000_000] {
        assert_ne!(chosen(&light(), n), Backend::Gpu, "n = {n}");
    }
}

#[test]
fn an_unopened_gpu_is_named_and_not_chosen() {
    let plan = decide(&ask(Policy::Auto, &cpu(), &heavy(), 1 << 24, Offer::Unopened));
    let plan = plan.expect("Auto always has a backend");
    assert_eq!(plan.backend, Backend::Threads);
    assert_eq!(plan.entries[0].verdict, Verdict::Unopened);
}

#[test]
fn a_gpu_that_failed_is_replaced_by_the_next_best() {
    let question = ask(Policy::Auto, &cpu(), &heavy(), 1 << 20, discrete(&heavy(), 1 << 20));
    let rescued = decide(&question).expect("Auto always has a backend").without_gpu(Exclusion::Failed);
    assert_eq!(rescued.backend, Backend::Threads);
    assert_eq!(rescued.entries.map(|entry| entry.verdict == Verdict::Chosen), [false, false, true]);
}

#[test]
fn only_is_that_backend_or_the_reason() {
    for n in [0, 1, 1 << 30, usize::MAX] {
        let question = ask(Policy::Only(Backend::Simd), &cpu(), &heavy(), n, discrete(&heavy(), n));
        let one = decide(&question).expect("simd always runs");
        assert_eq!(one.backend, Backend::Simd);
        assert_eq!(one.entries[2].verdict, Verdict::Excluded(Exclusion::Policy));
    }
    let none = Offer::Excluded(Exclusion::NoAdapter);
    let none = decide(&ask(Policy::Only(Backend::Gpu), &cpu(), &heavy(), 10, none));
    assert_eq!(none, Err(Exclusion::NoAdapter));
}

#[test]
fn a_gain_inside_the_margin_keeps_what_has_the_loop() {
    let close = CpuFacts { fork_join_ns: 0.0, speed_up: 1.03, bandwidth_all: [10.0; 4], ..cpu() };
    let question = ask(Policy::Auto, &close, &heavy(), 1 << 20, Offer::Unopened);
    let backend = |incumbent| decide_after(&question, incumbent).expect("Auto always has a backend").backend;
    // Without one the simpler has it.
    assert_eq!(backend(None), Backend::Simd);
    assert_eq!(backend(Some(Backend::Threads)), Backend::Threads);
    // Who cannot run it does not have it.
    assert_eq!(backend(Some(Backend::Gpu)), Backend::Simd);
    let plan = decide(&question).expect("Auto always has a backend");
    assert_eq!(plan.entries[2].verdict, Verdict::WithinMargin);
}

#[test]
fn a_try_is_worth_its_cost_only() {
    let at = |ns: f64, variance: f64| Some(Estimate { ns, variance, samples: 0 });
    let known = |gpu| Known { estimates: [gpu, at(100.0, 0.01), None], believed: true, incumbent: None };
    // Within two deviations of the best, and within the budget.
    assert_eq!(worth_trying(&known(at(150.0, 0.16)), Backend::Simd, 50.0), Some(Backend::Gpu));
    assert_eq!(worth_trying(&known(at(150.0, 0.16)), Backend::Simd, 49.0), None);
    assert_eq!(worth_trying(&known(at(150.0, 0.01)), Backend::Simd, 1e9), None);
    assert_eq!(worth_trying(&known(None), Backend::Simd, 1e9), None);
    let guessed = Known { believed: false, ..known(at(150.0, 0.16)) };
    assert_eq!(worth_trying(&guessed, Backend::Simd, 1e9), None);
}

#[test]
fn of_two_that_might_win_the_less_known_is_tried() {
    let at = |ns: f64, variance: f64| Some(Estimate { ns, variance, samples: 0 });
    for (gpu, threads, tried) in [(0.16, 0.36, Backend::Threads), (0.36, 0.16, Backend::Gpu)] {
        let estimates = [at(120.0, gpu), at(100.0, 0.01), at(120.0, threads)];
        let known = Known { estimates, believed: true, incumbent: None };
        assert_eq!(worth_trying(&known, Backend::Simd, 50.0), Some(tried));
    }
}

#[test]
fn a_named_pool_that_is_not_to_be_had_runs_the_loop_on_the_lanes_at_hand() {
    for why in [Exclusion::Nested, Exclusion::OneThread] {
        let mut question = ask(Policy::Only(Backend::Threads), &cpu(), &heavy(), 1000, Offer::Unopened);
        question.offers[Backend::Threads as usize] = Offer::Excluded(why);
        assert_eq!(decide(&question).map(|plan| plan.backend), Ok(Backend::Threads));
        question.policy = Policy::Auto;
        assert_eq!(decide(&question).map(|plan| plan.backend), Ok(Backend::Simd));
    }
}

#[test]
fn a_loop_that_the_pool_would_not_share_is_not_called_slower_there() {
    let verdicts = |n| {
        let plan = decide(&ask(Policy::Auto, &cpu(), &heavy(), n, Offer::Unopened));
        plan.expect("Auto always has a backend").entries.map(|entry| entry.verdict)
    };
    assert_eq!(verdicts(16), [Verdict::Unopened, Verdict::Chosen, Verdict::Unshared]);
    assert_eq!(verdicts(1 << 20), [Verdict::Unopened, Verdict::Slower, Verdict::Chosen]);
}
