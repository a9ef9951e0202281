//! What a sweep measures, checks and concludes, on loops that only pretend to run.

use super::*;

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
fn a_bit_is_a_difference_on_the_cpu_and_a_rounding_is_none_on_a_gpu() {
    let expected = vec![Output::F32(vec![1.0; 100]), Output::U32(vec![7; 100])];
    assert_eq!(difference(&expected, &expected, false), None);
    let mut near = expected.clone();
    if let Output::F32(x) = &mut near[0] {
        x[3] += f32::EPSILON;
    }
    assert_eq!(difference(&expected, &near, false).as_deref(), Some("1 of 100 numbers differ"));
    assert_eq!(difference(&expected, &near, true), None);
    if let Output::U32(x) = &mut near[1] {
        x[..3].fill(0);
    }
    assert_eq!(difference(&expected, &near, true).as_deref(), Some("3 of 100 numbers differ"));
    let nan = vec![Output::F32(vec![f32::NAN; 3])];
    assert_eq!(difference(&nan, &nan, false), None);
    assert!(difference(&nan, &[Output::F32(vec![0.0; 2])], false).is_some());
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
