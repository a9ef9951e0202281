//! How much the dispatcher loses against an oracle that knows the fastest backend at each size; and how much of that is noise.
//!
//! **The oracle.** Whoever takes the smallest of several measured times takes luck for speed: the minimum is too small, and any dispatcher
//! looks bad beside it. So each backend's samples are dealt out into two halves, turn by turn. The oracle chooses with one half, and
//! its time is what its choice took in the other. Then the halves change places, and its time is the mean of both.
//!
//! **The dispatcher's time.** It learns while it runs, so its samples are of several choices. Their median would forget the few
//! that were wrong, and their mean is at the mercy of one interrupt: it is the median of each choice's samples, weighted with how often
//! it was chosen.
//!
//! **The regret** of a size is time / oracle - 1. Over sizes it is told twice, as the two tell different stories: of the sums of times
//! (`time_weighted`), which long calls decide, and as the mean of the sizes' regrets (`mean`), in which every size counts the same.
//!
//! **The noise floor.** A perfect dispatcher takes the oracle's backend, and has a regret other than 0 by noise alone: by how much two
//! independent measurements of one backend differ. That has been measured: the medians of the two halves of the oracle's choice are such
//! measurements (A/A). If σ² is the variance of a median of all samples, that of half of them has 2σ² and the halves' difference 4σ²; the
//! dispatcher's time and the oracle's have σ² each, and their difference 2σ². So the noise of a size is the halves' difference divided
//! by √2, and that of sums and means follows from adding variances. A regret within the floor, above or below 0, is none; one below
//! minus three times the floor is not the dispatcher's merit, but an error of measurement.

use std::f64::consts::SQRT_2;

use super::results::Regret;
use super::statistics::median;
use crate::backend::Backend;

/// The median of half of fewer samples is at the mercy of each of them.
const ENOUGH: usize = 6;

/// One size, in nanoseconds per call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    dispatcher: f64,
    oracle: f64,
    /// What a perfect dispatcher's time would differ from the oracle's, typically.
    noise: f64,
}

impl Cost {
    /// Of each backend's samples, and of the dispatcher's with what it chose. `None` where one of them has fewer than [`ENOUGH`].
    pub(super) fn of(backends: &[(Backend, &[f64])], dispatcher: &[(Backend, f64)]) -> Option<Self> {
        let fewest = backends.iter().map(|(_, samples)| samples.len()).fold(dispatcher.len(), usize::min);
        if fewest < ENOUGH {
            return None;
        }
        // medians[i][h] is of half h of the samples of backend i.
        let medians: Vec<[f64; 2]> = backends
            .iter()
            .map(|(_, samples)| {
                let half = |h| median(&samples.iter().skip(h).step_by(2).copied().collect::<Vec<_>>());
                Some([half(0)?, half(1)?])
            })
            .collect::<Option<_>>()?;
        let (mut oracle, mut noise) = (0.0, 0.0);
        for (chosen_by, timed_by) in [(0, 1), (1, 0)] {
            let choice = medians.iter().min_by(|a, b| a[chosen_by].total_cmp(&b[chosen_by]))?;
            oracle += choice[timed_by] / 2.0;
            noise += (choice[0] - choice[1]).abs() / SQRT_2 / 2.0;
        }
        let mut total = 0.0;
        for backend in Backend::ALL {
            let of_it: Vec<f64> = dispatcher.iter().filter(|(b, _)| *b == backend).map(|(_, t)| *t).collect();
            total += median(&of_it).map_or(0.0, |median| median * of_it.len() as f64);
        }
        Some(Self { dispatcher: total / dispatcher.len() as f64, oracle, noise })
    }

    /// The regret of this size.
    pub(super) fn regret(&self) -> f64 {
        self.dispatcher / self.oracle - 1.0
    }

    /// Its noise floor.
    pub(super) fn floor(&self) -> f64 {
        self.noise / self.oracle
    }
}

impl Regret {
    /// Over sizes, of one loop or several; `None` of none.
    pub(super) fn of(costs: &[Cost]) -> Option<Self> {
        let n = costs.len() as f64;
        let sum = |of: &dyn Fn(&Cost) -> f64| costs.iter().map(of).sum::<f64>();
        let oracle = sum(&|cost| cost.oracle);
        (!costs.is_empty()).then(|| Self {
            time_weighted: sum(&|cost| cost.dispatcher) / oracle - 1.0,
            mean: sum(&Cost::regret) / n,
            floor_time_weighted: sum(&|cost| cost.noise.powi(2)).sqrt() / oracle,
            floor_mean: sum(&|cost| cost.floor().powi(2)).sqrt() / n,
            sizes: costs.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::loops::Random;
    use super::*;

    const BACKENDS: [Backend; 3] = Backend::ALL;

    /// A machine on which backend i takes `times[i]` at a size, times noise: a few per cent, and a spike of up to ten times now and then.
    struct Machine(Random);

    impl Machine {
        fn sample(&mut self, time: f64) -> f64 {
            let spike = if self.0.below(50) == 0 { f64::from(self.0.float(1.0, 10.0)) } else { 1.0 };
            time * spike * (1.0 + 0.05 * f64::from(self.0.float(0.0, 1.0)).powi(2))
        }

        /// 25 sizes, 40 samples of each; the dispatcher takes what `choose` says for the times of a size and the number of a sample.
        fn regret(&mut self, choose: impl Fn(&[f64; 3], usize) -> usize) -> Regret {
            let mut costs = Vec::new();
            for size in 0..25 {
                let times = [
                    5e4 + 2.0_f64.powi(size),
                    300.0 + 4.0 * 2.0_f64.powi(size),
                    9e3 + 2.5 * 2.0_f64.powi(size),
                ];
                costs.push(self.cost(times, &choose));
            }
            Regret::of(&costs).unwrap()
        }

        fn cost(&mut self, times: [f64; 3], choose: &impl Fn(&[f64; 3], usize) -> usize) -> Cost {
            let samples = times.map(|time| (0..40).map(|_| self.sample(time)).collect::<Vec<_>>());
            let backends: Vec<_> = BACKENDS.into_iter().zip(samples.iter().map(Vec::as_slice)).collect();
            let dispatcher: Vec<_> = (0..40)
                .map(|i| {
                    let choice = choose(&times, i);
                    (BACKENDS[choice], self.sample(times[choice]))
                })
                .collect();
            Cost::of(&backends, &dispatcher).unwrap()
        }
    }

    fn best(times: &[f64; 3], _: usize) -> usize {
        (0..3).min_by(|a, b| times[*a].total_cmp(&times[*b])).unwrap()
    }

    fn worst(times: &[f64; 3], _: usize) -> usize {
        (0..3).max_by(|a, b| times[*a].total_cmp(&times[*b])).unwrap()
    }

    #[test]
    fn without_noise_it_is_exact() {
        let backends: [(Backend, &[f64]); 2] = [(Backend::Simd, &[100.0; 7]), (Backend::Threads, &[50.0; 6])];
        // So many of eight choices are wrong.
        let cost = |wrong| {
            let choice = |i| if i < wrong { (Backend::Simd, 100.0) } else { (Backend::Threads, 50.0) };
            Cost::of(&backends, &(0..8).map(choice).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!((cost(0).regret(), cost(0).floor()), (0.0, 0.0));
        assert_eq!(cost(8).regret(), 1.0);
        // One wrong choice in four costs a quarter; a median would not see it.
        assert_eq!(cost(2).regret(), 0.25);
        let regret = Regret::of(&[cost(0), cost(8)]).unwrap();
        assert_eq!((regret.mean, regret.time_weighted, regret.sizes), (0.5, 0.5, 2));
        let long = Cost::of(&[(Backend::Simd, &[900.0; 6])], &[(Backend::Simd, 900.0); 6]).unwrap();
        let weighted = Regret::of(&[cost(8), long]).unwrap();
        assert_eq!(weighted.mean, 0.5);
        assert!((weighted.time_weighted - 50.0 / 950.0).abs() < 1e-12);
    }

    #[test]
    fn too_few_samples_give_none() {
        let simd = Backend::Simd;
        assert!(Cost::of(&[(simd, &[1.0; 6])], &[(simd, 1.0); 6]).is_some());
        assert_eq!(Cost::of(&[(simd, &[1.0; 5])], &[(simd, 1.0); 6]), None);
        assert_eq!(Cost::of(&[(simd, &[1.0; 6])], &[(simd, 1.0); 5]), None);
        assert_eq!(Cost::of(&[], &[(simd, 1.0); 9]), None);
        assert_eq!(Regret::of(&[]), None);
    }

    #[test]
    fn always_the_worst_has_the_regret_that_the_times_say() {
        let regret = Machine(Random::new(1, 0)).regret(worst);
        let (mut sums, mut mean) = ([0.0; 2], 0.0);
        for size in 0..25 {
            let times: [f64; 3] =
                [5e4 + 2.0_f64.powi(size), 300.0 + 4.0 * 2.0_f64.powi(size), 9e3 + 2.5 * 2.0_f64.powi(size)];
            let (best, worst) = (times[best(&times, 0)], times[worst(&times, 0)]);
            sums = [sums[0] + best, sums[1] + worst];
            mean += (worst / best - 1.0) / 25.0;
        }
        // The noise of 5 % squares away: medians of samples within 1.25 % of each other.
        assert!((regret.time_weighted - (sums[1] / sums[0] - 1.0)).abs() < 0.1, "{regret:?}");
        assert!((regret.mean / mean - 1.0).abs() < 0.05, "{regret:?}, expected {mean}");
    }

    /// Over 200 machines: centred on 0, and spread as the floor says.
    fn is_noise(choose: impl Fn(&[f64; 3], usize) -> usize, seed: u64) {
        let mut machine = Machine(Random::new(seed, 0));
        let all: Vec<Regret> = (0..200).map(|_| machine.regret(&choose)).collect();
        for of in [|r: &Regret| (r.mean, r.floor_mean), |r: &Regret| (r.time_weighted, r.floor_time_weighted)]
        {
            let mean = all.iter().map(|r| of(r).0).sum::<f64>() / 200.0;
            let spread = (all.iter().map(|r| of(r).0.powi(2)).sum::<f64>() / 200.0).sqrt();
            let floor = (all.iter().map(|r| of(r).1.powi(2)).sum::<f64>() / 200.0).sqrt();
            assert!(mean.abs() < 0.5 * floor, "mean {mean}, floor {floor}");
            assert!((0.6..1.6).contains(&(spread / floor)), "spread {spread}, floor {floor}");
            let outside = all.iter().filter(|r| of(r).0 < -4.0 * of(r).1).count();
            assert!(outside <= 10, "{outside} of 200 look like a win");
        }
    }

    #[test]
    fn a_perfect_dispatcher_has_the_regret_of_noise() {
        is_noise(best, 2);
    }

    /// Three backends that are one: whichever is chosen, nothing is lost, and nothing is won.
    #[test]
    fn between_equals_nobody_wins() {
        let mut machine = Machine(Random::new(3, 0));
        let (mut sum, mut floor) = (0.0, 0.0);
        for _ in 0..200 {
            let costs: Vec<_> = (0..25).map(|_| machine.cost([1000.0; 3], &|_, i| i % 3)).collect();
            let regret = Regret::of(&costs).unwrap();
            sum += regret.mean / 200.0;
            floor += regret.floor_mean / 200.0;
        }
        assert!(sum.abs() < floor, "{sum}, floor {floor}");
    }
}
