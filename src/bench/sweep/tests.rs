//! What a sweep measures, checks and concludes, on loops that only pretend to run.

use std::cell::RefCell;
use std::rc::Rc;

use super::conclude::{crossovers, winner};
use super::*;
use crate::backend::Policy;
use crate::bench::cold::{Failed, Ran};
use crate::bench::loops::{Call, Output, Side, Work};
use crate::bench::results::{Point, Size, Timing};
use crate::dispatch::Dispatcher;
use crate::error::Error;

fn timing(median: f64) -> Timing {
    Timing {
        median,
        low: 0.99 * median,
        high: 1.01 * median,
        drift: 0.0,
        samples: 20,
        calls: 1,
        quantiles: [median; 11],
    }
}

fn size(n: usize, simd: f64, threads: f64) -> Size {
    let points = vec![
        Point { backend: Backend::Simd, time: timing(simd) },
        Point { backend: Backend::Threads, time: timing(threads) },
    ];
    let (winner, tie) = winner(&points);
    Size { n, label: None, bytes: 0.0, flops: 0.0, points, absent: vec![], dispatcher: None, winner, tie }
}

#[test]
fn crossovers_are_where_lines_meet_and_not_where_noise_is() {
    // Straight lines: simd n, threads 1000 and then n / 2; they meet at 1000.
    let sizes = [size(10, 10.0, 1000.0), size(100, 100.0, 1000.0), size(10_000, 10_000.0, 5000.0)];
    let found = crossovers(&sizes);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].from, found[0].to), (Backend::Simd, Backend::Threads));
    assert!((100.0..10_000.0).contains(&found[0].n), "{}", found[0].n);
    let power_laws = [size(100, 100.0, 1000.0), size(10_000, 10_000.0, 1000.0)];
    assert!((crossovers(&power_laws)[0].n - 1000.0).abs() < 1e-6);
    // A tie, and a lead of 3 %, change no winner.
    let noise =
        [size(10, 100.0, 300.0), size(20, 100.5, 100.0), size(30, 103.0, 100.0), size(40, 100.0, 200.0)];
    assert_eq!(crossovers(&noise), []);
    assert_eq!((noise[1].winner, noise[1].tie), (Some(Backend::Threads), true));
    assert_eq!(crossovers(&[]), []);
}

#[test]
fn a_small_lead_that_is_steady_is_one() {
    // As prefix_scan has it: two percent for simd at every size, and then a lot for threads.
    let small = |n| size(n, 100.0, 103.0);
    let sizes = [small(10), small(20), small(30), size(40, 100.0, 100.5), size(50, 100.0, 60.0)];
    let found = crossovers(&sizes);
    assert!(
        matches!(found[..], [one] if (one.from, one.to) == (Backend::Simd, Backend::Threads)),
        "{found:?}"
    );
    assert!((30.0..50.0).contains(&found[0].n), "{found:?}");
    // At two sizes it is luck.
    assert_eq!(crossovers(&sizes[1..]), []);
    assert_eq!(crossovers(&sizes[..4]), []);
}

#[test]
fn sizes_are_the_nearest_that_a_loop_has_each_once() {
    let sweep = Sweep::new(Vec::new());
    let sizes = |name: &str, low, high| {
        Sweep::new(Vec::new()).with_sizes(low, high).sizes(&Workload::named(name).unwrap().unwrap())
    };
    assert_eq!(sweep.sizes(&Workload::named("saxpy").unwrap().unwrap()).len(), 25);
    assert_eq!(sizes("saxpy", 10, 100), [10, 18, 32, 56, 100]);
    assert_eq!(sizes("saxpy", 7, 7), [7]);
    assert_eq!(sizes("fft_stockham", 10, 100), [8, 16, 32, 64, 128]);
    assert_eq!(sizes("matmul_tiled", 1, 100), [1, 8, 27, 64, 125]);
}

#[test]
fn a_short_sweep_measures_everything_once_and_checks_it() {
    let loops = ["saxpy", "histogram", "game_of_life"].map(|name| Workload::named(name).unwrap().unwrap());
    let backends = [Backend::Simd, Backend::Threads];
    let sweep = Sweep::new(loops.into()).with_sizes(10, 1000).with_contenders(&backends, true);
    let results = sweep.with_budget(Duration::from_millis(300)).run().unwrap();
    assert_eq!(
        results.loops.iter().map(|l| &*l.name).collect::<Vec<_>>(),
        ["saxpy", "histogram", "game_of_life"]
    );
    for one in &results.loops {
        assert!(one.sizes.is_sorted_by_key(|size| size.n), "{}", one.name);
        for size in &one.sizes {
            assert_eq!(size.points.len(), 2, "{} of {}: {:?}", one.name, size.n, size.absent);
            assert!(size.dispatcher.is_some() && size.winner.is_some());
        }
    }
    assert_eq!(Results::from_json("sweep", &results.to_json()), Ok(results));
}

/// A loop of which the threads make something else.
struct Liar(Backend);

impl Call for Liar {
    fn run(&mut self, forall: &Dispatcher, _: Side) -> Result<Backend> {
        self.0 = match forall.policy()? {
            Policy::Only(backend) => backend,
            Policy::Auto => Backend::Simd,
        };
        Ok(self.0)
    }

    fn output(&self) -> Result<Vec<Output>> {
        Ok(vec![Output::U32(vec![self.0 as u32])])
    }

    fn work(&self, _: &[Output]) -> Work {
        Work::default()
    }
}

#[test]
fn a_wrong_backend_is_never_fast() {
    let liar = Workload::new("liar", "", |n| n, |_| Ok(Box::new(Liar(Backend::Simd))));
    let sweep = Sweep::new(vec![liar]).with_sizes(5, 5);
    let sweep = sweep.with_contenders(&[Backend::Simd, Backend::Threads], true);
    let results = sweep.with_budget(Duration::from_millis(20)).run().unwrap();
    let size = &results.loops[0].sizes[0];
    assert_eq!(size.winner, Some(Backend::Simd));
    assert_eq!(size.points.len(), 1);
    assert!(
        size.absent[0].backend == Backend::Threads && size.absent[0].reason.contains("not those of simd")
    );
}

#[test]
fn a_cancelled_sweep_gives_what_it_has() {
    let cancel = Cancel::new();
    cancel.cancel();
    let saxpy = Workload::named("saxpy").unwrap().unwrap();
    let results = Sweep::new(vec![saxpy]).with_cancel(&cancel).run().unwrap();
    assert!(results.interrupted && results.loops.is_empty() && results.regret.is_none());
}

/// Answers of processes that do not exist, and the questions in order.
fn asked(answer: impl Fn(&FirstCall) -> Result<Outcome> + 'static) -> (Sweep, Rc<RefCell<Vec<FirstCall>>>) {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let calls = asked.clone();
    let loops = vec![Workload::new("fake", "", |n| n, |_| unreachable!("this process calls nothing"))];
    let sweep = Sweep::new(loops).with_sizes(10, 1000).with_sizes_per_decade(1).with_seed(7);
    let sweep = sweep.with_budget(Duration::from_millis(300)).with_first_calls(move |call| {
        calls.borrow_mut().push(call.clone());
        answer(call)
    });
    (sweep, asked)
}

/// On simd 1 µs and 1 ns for an element, on threads 1.5 µs and 0.5 ns; the dispatcher takes simd. Nothing wrong.
fn ran(call: &FirstCall) -> Ran {
    let backend = call.backend.unwrap_or(Backend::Simd);
    let n = call.n as f64;
    let ns = match backend {
        Backend::Gpu => 1e6,
        Backend::Simd => 1000.0 + n,
        Backend::Threads => 1500.0 + n / 4.0,
    };
    let work = Work { bytes: 8.0 * n, flops: n };
    Ran { ns, backend, digest: call.n as u64, difference: None, work, label: Some(format!("{n} × 1")) }
}

#[test]
fn a_cold_sweep_asks_for_first_calls_and_judges_them() {
    let (sweep, asked) = asked(|call| Ok(Ok(ran(call))));
    let results = sweep.with_resident(true).run().unwrap();
    assert!(results.settings.cold && !results.settings.resident && !results.interrupted);
    assert_eq!(results.machine.roofs, []);
    let [one] = &results.loops[..] else { panic!("{results:?}") };
    for size in &one.sizes {
        let medians: Vec<_> = size.points.iter().map(|point| (point.backend, point.time.median)).collect();
        let n = size.n as f64;
        assert_eq!(
            medians,
            [(Backend::Gpu, 1e6), (Backend::Simd, 1000.0 + n), (Backend::Threads, 1500.0 + n / 4.0)]
        );
        assert_eq!((size.bytes, size.label.clone()), (8.0 * n, Some(format!("{n} × 1"))));
        let dispatcher = size.dispatcher.as_ref().unwrap();
        assert_eq!(dispatcher.choice, Backend::Simd);
        let regret = if size.n == 1000 { 2000.0 / 1750.0 - 1.0 } else { 0.0 };
        assert!((dispatcher.regret.unwrap() - regret).abs() < 1e-9, "{dispatcher:?}");
        let (backend, times) = size.beside_gpu().unwrap();
        assert_eq!(Some(backend), size.winner);
        assert!((times - 1e6 / medians[if size.n == 1000 { 2 } else { 1 }].1).abs() < 1e-9);
        // A contender that is far off is asked no more than to know it; every question is one sample.
        let of = |backend| asked.borrow().iter().filter(|c| c.n == size.n && c.backend == backend).count();
        assert_eq!([of(Some(Backend::Gpu)), of(Some(Backend::Simd)), of(None)], [6, 20, 20]);
        assert_eq!(size.points[1].time.samples, 20);
    }
    assert_eq!((one.sizes.len(), one.crossovers.len()), (3, 1));
    assert!(asked.borrow().iter().all(|call| (&*call.name, call.seed) == ("fake", 7)));
    // Only the first results of each are compared with others of the same process.
    assert_eq!(asked.borrow().iter().filter(|call| call.check).count(), 3 * 4);
}

#[test]
fn wrong_results_of_a_process_are_never_fast() {
    // Those of threads are others now and then, and the GPU's process has seen for itself.
    let (sweep, asked) = asked(|call| {
        let mut ran = Ran { ns: 1.0, ..ran(call) };
        if call.backend == Some(Backend::Threads) && !call.check {
            ran.digest += 1;
        }
        if call.backend == Some(Backend::Gpu) && call.check {
            ran.difference = Some("3 of 4 numbers differ".into());
        }
        Ok(Ok(ran))
    });
    let results = sweep.run().unwrap();
    for size in &results.loops[0].sizes {
        assert_eq!((size.points.len(), size.winner), (1, Some(Backend::Simd)));
        let reasons: Vec<_> = size.absent.iter().map(|absent| (absent.backend, &*absent.reason)).collect();
        assert_eq!(
            reasons,
            [
                (Backend::Gpu, "its results are not those of simd: 3 of 4 numbers differ"),
                (Backend::Threads, "its results are not those of simd: their digests differ"),
            ]
        );
    }
    let gpu = asked.borrow().iter().filter(|call| call.backend == Some(Backend::Gpu)).count();
    assert_eq!(gpu, 3, "what is wrong is not measured again");
}

#[test]
fn what_is_missing_in_a_process_is_absent() {
    let (sweep, asked) = asked(|call| match call.backend {
        Some(Backend::Gpu) => {
            Ok(Err(Failed { reason: "no adapter".into(), unavailable: Some(Backend::Gpu) }))
        }
        Some(Backend::Threads) if call.n == 1000 => {
            Ok(Err(Failed { reason: "too large".into(), unavailable: None }))
        }
        _ => Ok(Ok(ran(call))),
    });
    let results = sweep.run().unwrap();
    assert!(results.absent.len() == 1 && results.absent[0].reason == "no adapter");
    let points: Vec<_> = results.loops[0].sizes.iter().map(|size| size.points.len()).collect();
    assert_eq!(points, [2, 2, 1]);
    assert_eq!(results.loops[0].sizes[2].absent[0].reason, "too large");
    assert_eq!(asked.borrow().iter().filter(|call| call.backend == Some(Backend::Gpu)).count(), 3);
    assert_eq!(results.loops[0].sizes[2].beside_gpu(), None);
}

#[test]
fn a_process_that_says_nothing_is_an_error_and_a_cancelled_one_is_none() {
    let (sweep, _) = asked(|call| if call.n == 100 { Err(call.failed("killed")) } else { Ok(Ok(ran(call))) });
    let error = sweep.run().unwrap_err().to_string();
    assert_eq!(error, "the process for fake of 100 on gpu: killed");
    for ns in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let (sweep, _) = asked(move |call| Ok(Ok(Ran { ns, ..ran(call) })));
        let error = sweep.run().unwrap_err();
        assert!(matches!(&error, Error::Process { message } if message.contains("got a time of")), "{error}");
    }
    let (sweep, asked) = asked(|call| match call.backend {
        Some(Backend::Threads) => Err(Error::Cancelled { kernel: "fake".into() }),
        _ => Ok(Ok(ran(call))),
    });
    let results = sweep.run().unwrap();
    assert!(results.interrupted && asked.borrow().len() == 3);
    assert_eq!(results.loops[0].sizes[0].points.len(), 2);
}

#[test]
fn a_cold_sweep_keeps_to_its_time() {
    let (sweep, asked) = asked(|call| {
        std::thread::sleep(Duration::from_millis(20));
        Ok(Ok(ran(call)))
    });
    let results = sweep.with_budget(Duration::from_millis(100)).run().unwrap();
    // Four contenders of 20 ms at one size; the next one finds 20 ms left at most, and the last, which is the largest, none.
    assert!((4..=8).contains(&asked.borrow().len()), "{}", asked.borrow().len());
    let skipped = &results.loops[0].skipped;
    assert!(skipped.contains(&1000) && !skipped.contains(&10), "{skipped:?}");
}
