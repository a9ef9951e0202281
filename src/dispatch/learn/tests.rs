//! What the filter learns, what it forgets, and what cannot upset it.

use super::*;

const SIMD: usize = 1;
const THREADS: usize = 2;
const GPU: usize = 0;

const fn terms(fixed: f64, work: f64, transfer: f64) -> Terms {
    Terms { fixed, work, transfer }
}

/// So many calls that take `factor` times what they were predicted to, one after the other.
fn calls(learnt: &mut Learnt, load: &mut Load, backend: usize, terms: &Terms, factor: f64, n: usize) {
    for _ in 0..n {
        let (now, took) = (learnt.spent, factor * terms.total());
        learnt.observe(backend, terms, load, now, took);
    }
}

/// How many times the model's prediction is predicted.
fn corrected(learnt: &Learnt, load: &Load, backend: usize, terms: &Terms) -> f64 {
    learnt.estimate(backend, terms, load, learnt.spent).ns / terms.total()
}

fn near(got: f64, expected: f64, by: f64) -> bool {
    (got / expected).ln().abs() < by
}

#[test]
fn nothing_learnt_is_the_model_and_its_prior_error() {
    let (learnt, load) = (Learnt::new(true), Load::NEW);
    for terms in [terms(1e3, 0.0, 0.0), terms(1.0, 1e9, 0.0), terms(1.0, 1.0, 1e9)] {
        let estimate = learnt.estimate(SIMD, &terms, &load, 0.0);
        assert_eq!((estimate.ns, estimate.samples), (terms.total(), 0));
        assert!((0.3..0.7).contains(&estimate.variance.sqrt()), "{estimate:?}");
    }
}

#[test]
fn the_first_call_is_dropped_unless_it_was_long() {
    let (mut learnt, mut load) = (Learnt::new(true), Load::NEW);
    let short = terms(100.0, 1e6, 0.0);
    calls(&mut learnt, &mut load, SIMD, &short, 3.0, 1);
    assert_eq!(corrected(&learnt, &load, SIMD, &short), 1.0);
    calls(&mut learnt, &mut load, SIMD, &short, 3.0, 1);
    assert!(corrected(&learnt, &load, SIMD, &short) > 1.5);

    let (mut learnt, mut load) = (Learnt::new(true), Load::NEW);
    calls(&mut learnt, &mut load, SIMD, &terms(100.0, 1e9, 0.0), 3.0, 1);
    assert!(corrected(&learnt, &load, SIMD, &short) > 1.4);
}

#[test]
fn small_calls_teach_the_fixed_cost_and_large_ones_the_work() {
    let (mut learnt, mut load) = (Learnt::new(true), Load::NEW);
    let (small, large) = (terms(50_000.0, 100.0, 0.0), terms(50_000.0, 1e8, 0.0));
    for _ in 0..40 {
        calls(&mut learnt, &mut load, GPU, &small, 2.0, 1);
        calls(&mut learnt, &mut load, GPU, &large, 0.5, 1);
    }
    let (small, large) = (corrected(&learnt, &load, GPU, &small), corrected(&learnt, &load, GPU, &large));
    assert!(near(small, 2.0, 0.15) && near(large, 0.5, 0.15), "{small} {large}");
    // Variance follows.
    let estimate = learnt.estimate(GPU, &terms(50_000.0, 1e8, 0.0), &load, learnt.spent);
    assert!(estimate.variance.sqrt() < 0.35, "{estimate:?}");
}

#[test]
fn what_one_thread_shows_of_a_body_goes_for_all_threads_and_not_for_a_gpu() {
    let (mut learnt, mut load) = (Learnt::new(true), Load::NEW);
    let work = terms(100.0, 1e7, 0.0);
    calls(&mut learnt, &mut load, SIMD, &work, 2.0, 30);
    let other = Load::NEW;
    assert!(corrected(&learnt, &other, THREADS, &work) > 1.4);
    assert_eq!(corrected(&learnt, &other, GPU, &work), 1.0);
}

#[test]
fn the_load_goes_for_all_kernels() {
    let mut load = Load::NEW;
    let work = terms(100.0, 1e7, 0.0);
    for _ in 0..5 {
        calls(&mut Learnt::new(true), &mut load, THREADS, &work, 2.0, 10);
    }
    assert!(corrected(&Learnt::new(true), &load, THREADS, &work) > 1.3);
}

#[test]
fn a_spike_moves_nothing_and_a_change_is_followed_at_the_second_sample() {
    let (mut learnt, mut load) = (Learnt::new(true), Load::NEW);
    let work = terms(100.0, 1e7, 0.0);
    calls(&mut learnt, &mut load, GPU, &work, 1.0, 20);
    let before = corrected(&learnt, &load, GPU, &work);
    for _ in 0..10 {
        calls(&mut learnt, &mut load, GPU, &work, 10.0, 1);
        assert!(near(corrected(&learnt, &load, GPU, &work), before, 1e-3));
        calls(&mut learnt, &mut load, GPU, &work, 1.0, 1);
    }
    calls(&mut learnt, &mut load, GPU, &work, 10.0, 2);
    assert!(corrected(&learnt, &load, GPU, &work) > 5.0);
    // It was right the first time already when something is ten times as fast.
    calls(&mut learnt, &mut load, GPU, &work, 1.0, 1);
    assert!(corrected(&learnt, &load, GPU, &work) < 2.0);
}

/// A call on one thread that took so long, as the planner teaches it; whether it taught.
fn short_call(learnt: &mut Learnt, load: &mut Load, terms: &Terms, took: f64) -> bool {
    let (now, spent) = (learnt.spent, learnt.spent);
    let predicted = learnt.estimate(SIMD, terms, load, now).ns;
    let teaches = !learnt.knows(SIMD, predicted, took);
    if teaches {
        learnt.observe(SIMD, terms, load, now, took);
    }
    assert_eq!(learnt.spent, spent + took, "every call is counted");
    teaches
}

#[test]
fn lessons_take_a_small_part_of_short_calls_and_long_ones_all_teach() {
    for (ns, most) in [(100.0, 0.011), (1_000.0, 0.11), (LESSON_NS, 1.0), (1e6, 1.0)] {
        let (mut learnt, mut load, short) = (Learnt::new(true), Load::NEW, terms(ns, 0.0, 0.0));
        let taught = |learnt: &mut Learnt, load: &mut Load, n: usize| {
            (0..n).filter(|_| short_call(learnt, load, &short, ns)).count() as f64
        };
        assert_eq!(taught(&mut learnt, &mut load, CALM as usize), f64::from(CALM));
        let share = taught(&mut learnt, &mut load, 10_000) / 10_000.0;
        assert!(share <= most && share > 0.9 * most, "{ns} ns: {share}");
    }
}

#[test]
fn a_short_call_that_surprises_teaches_at_once_and_so_do_the_next_ones() {
    let (mut learnt, mut load, short) = (Learnt::new(true), Load::NEW, terms(1_000.0, 0.0, 0.0));
    for slow in [1.5, 3.0, 0.5] {
        for _ in 0..1_000 {
            short_call(&mut learnt, &mut load, &short, 1_000.0);
        }
        assert!(near(corrected(&learnt, &load, SIMD, &short), 1.0, 0.05));
        for call in 0..CALM {
            assert!(short_call(&mut learnt, &mut load, &short, 1_000.0 * slow), "{slow}: {call}");
        }
        assert!(near(corrected(&learnt, &load, SIMD, &short), slow, 0.25), "{slow}");
    }
    // Who looks at what is odd alone takes it for usual.
    for call in 0..10_000 {
        short_call(&mut learnt, &mut load, &short, if call % 20 == 0 { 1_600.0 } else { 1_000.0 });
    }
    assert!(near(corrected(&learnt, &load, SIMD, &short), 1.0, 0.1));
}

#[test]
fn calls_that_do_not_teach_count_as_tries_here_and_as_none_elsewhere() {
    let (mut learnt, mut load, mut gpu) = (Learnt::new(true), Load::NEW, Load::NEW);
    let (short, work) = (terms(100.0, 0.0, 0.0), terms(100.0, 1e5, 0.0));
    calls(&mut learnt, &mut gpu, GPU, &work, 8.0, 10);
    // Another kernel says what the load is.
    let mut other = Learnt::new(true);
    for call in 0..200_100 {
        if call >= 200_000 {
            assert!(near(corrected(&learnt, &load, SIMD, &short), 4.0, 0.1), "nothing fades between lessons");
        }
        short_call(&mut learnt, &mut load, &short, 400.0);
        short_call(&mut other, &mut load, &short, 100.0);
    }
    assert!(corrected(&learnt, &Load::NEW, GPU, &work) < 3.0);
}

#[test]
fn what_is_not_tried_is_forgotten() {
    let (mut learnt, mut load) = (Learnt::new(true), Load::NEW);
    let work = terms(100.0, 1e7, 0.0);
    calls(&mut learnt, &mut load, GPU, &work, 8.0, 10);
    let slow = corrected(&learnt, &load, GPU, &work);
    assert!(slow > 6.0, "{slow}");
    let sure = learnt.estimate(GPU, &work, &load, learnt.spent).variance;
    // The kernel runs elsewhere, for a thousand times what a try takes.
    let mut simd = Load::NEW;
    calls(&mut learnt, &mut simd, SIMD, &work, 1.0, 10_000);
    let after = learnt.estimate(GPU, &work, &load, learnt.spent);
    assert!(after.ns / work.total() < 2.0 && after.variance > 2.0 * sure, "{after:?}");
    // Another kernel's calls elsewhere do not count: their load is forgotten by the clock.
    assert!(corrected(&learnt, &load, SIMD, &work) < 1.1);
}

#[test]
fn what_was_forgotten_does_not_come_back_with_the_next_try() {
    let (mut learnt, mut load) = (Learnt::new(true), Load::NEW);
    let work = terms(100.0, 1e7, 0.0);
    calls(&mut learnt, &mut load, GPU, &work, 8.0, 10);
    let mut simd = Load::NEW;
    calls(&mut learnt, &mut simd, SIMD, &work, 1.0, 10_000);
    calls(&mut learnt, &mut load, GPU, &work, 1.0, 1);
    let after = corrected(&learnt, &load, GPU, &work);
    assert!(after < 1.5, "{after}");
}

#[test]
fn after_ten_thousand_calls_a_body_that_changes_is_still_followed() {
    let (mut load, work) = (Load::NEW, terms(100.0, 1e7, 0.0));
    let (mut one, mut other) = (Learnt::new(true), Learnt::new(true));
    for (factor, n) in [(1.0, 10_000), (1.6, 300)] {
        for _ in 0..n {
            calls(&mut one, &mut load, GPU, &work, factor, 1);
            calls(&mut other, &mut load, GPU, &work, 1.0, 1);
        }
        let [one, other] = [&one, &other].map(|learnt| corrected(learnt, &load, GPU, &work));
        assert!((one / other / factor).ln().abs() < 0.05, "{one} {other}");
    }
}

#[test]
fn a_broken_clock_has_its_limit() {
    let (mut learnt, mut load) = (Learnt::new(true), Load::NEW);
    let work = terms(100.0, 1e7, 0.0);
    calls(&mut learnt, &mut load, SIMD, &work, 1e290, 300);
    // The body's, the kernel's here and the load's.
    assert!(corrected(&learnt, &load, SIMD, &work) <= (3.0 * LIMIT).exp());
}

#[test]
fn a_guess_is_solved_for_and_then_believed() {
    // Taken for 16 operations, and 4000 it is; at sizes of which some show nothing of it.
    let (mut learnt, mut load) = (Learnt::new(false), Load::NEW);
    let call = |learnt: &mut Learnt, load: &mut Load, n: f64| {
        let asked = terms(1_000.0, 0.8 * n * learnt.body(), 0.0);
        learnt.observe(SIMD, &asked, load, 0.0, 1_000.0 + 200.0 * n);
    };
    for n in [1.0, 1e3, 2.0] {
        call(&mut learnt, &mut load, n);
        assert!(!learnt.is_believed());
    }
    assert!(near(learnt.body(), 250.0, 0.2), "{}", learnt.body());
    call(&mut learnt, &mut load, 2e3);
    assert!(learnt.is_believed());
    for _ in 0..10 {
        call(&mut learnt, &mut load, 1e4);
    }
    let asked = terms(1_000.0, 0.8 * 1e5 * learnt.body(), 0.0);
    assert!(near(learnt.estimate(SIMD, &asked, &load, 0.0).ns, 2e7, 0.1));
}

#[test]
fn no_time_poisons_what_was_learnt() {
    let times = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e-300, 1e300, f64::MAX, 5e-324];
    let asked = [
        terms(0.0, 0.0, 0.0),
        terms(f64::NAN, 1.0, 1.0),
        terms(1.0, f64::INFINITY, 0.0),
        terms(f64::MAX, f64::MAX, f64::MAX),
        terms(1e-300, 0.0, 0.0),
        terms(100.0, 1e6, 1e3),
    ];
    let good = terms(100.0, 1e6, 1e3);
    for counted in [true, false] {
        let (mut learnt, mut load) = (Learnt::new(counted), Load::NEW);
        for round in 0..200 {
            let (took, asked) = (times[round % times.len()], &asked[round % asked.len()]);
            let now = [0.0, -1e18, f64::NAN, 1e18, f64::INFINITY][round % 5];
            learnt.observe(round % 3, asked, &mut load, now, took);
            for backend in 0..3 {
                let estimate = learnt.estimate(backend, &good, &load, 0.0);
                assert!(estimate.ns.is_finite() && estimate.ns > 0.0, "{round}: {estimate:?}");
                assert!(estimate.variance.is_finite() && estimate.variance >= 0.0, "{round}: {estimate:?}");
            }
        }
        // And good times make it good again.
        for _ in 0..60 {
            for backend in 0..3 {
                let asked = terms(100.0, 1e6 * learnt.body(), 1e3);
                learnt.observe(backend, &asked, &mut load, 0.0, good.total());
            }
        }
        let asked = terms(100.0, 1e6 * learnt.body(), 1e3);
        let after = learnt.estimate(SIMD, &asked, &load, 0.0).ns;
        assert!(near(after, good.total(), 0.3), "{after}");
    }
}
