//! Medians and how well they are known. Numbers in, numbers out.
//!
//! Times of calls have no distribution worth a name: a floor that the hardware sets, a long tail that the rest of the machine adds, steps
//! where clocks change. So everything here rests on ranks alone. If m is the true median, each sample is below it with probability 1/2,
//! whatever the distribution, and the number of samples below m is binomial: the k-th smallest and the k-th largest of n samples hold m
//! between them with a probability that depends on n and k only (Conover, Practical Nonparametric Statistics, 1999, section 3.2). It
//! holds for independent samples; what changes slowly on the machine is not seen by it, but by [`Timing::drift`].

use super::results::Timing;

impl Timing {
    /// Of samples in the order in which they were taken, in nanoseconds per call, each of so many calls. `None` of no samples.
    pub(super) fn of(samples: &[f64], calls: u64) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let last = n.checked_sub(1)?;
        let k = rank(n);
        let quantiles = std::array::from_fn(|tenth| sorted[(last * tenth + 5) / 10]);
        let (first, second) = samples.split_at(n / 2);
        let drift = match (median(first), median(second)) {
            (Some(first), Some(second)) => (second / first - 1.0).abs(),
            _ => 0.0,
        };
        Some(Self {
            median: middle(&sorted),
            low: sorted[k],
            high: sorted[last - k],
            drift,
            samples: n,
            calls,
            quantiles,
        })
    }
}

/// The median; `None` of no samples.
pub(super) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| middle(&sorted))
}

/// Of samples in order, at least one.
fn middle(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0
}

/// The largest k for which the k-th smallest and the k-th largest of n samples, counted from 0, hold the median between them with
/// 95 %; 0 where not even the extremes do.
fn rank(n: usize) -> usize {
    if n > 100 {
        // The normal distribution is close enough there: a mean of n/2, a standard deviation of √n/2.
        return (n as f64 / 2.0 - 0.98 * (n as f64).sqrt()).floor() as usize;
    }
    // The median lies outside if at most k samples are below it, or above.
    let (mut term, mut outside) = (0.5_f64.powi(n as i32), 0.0);
    for k in 0..n / 2 {
        outside += term;
        if 2.0 * outside > 0.05 {
            return k.saturating_sub(1);
        }
        term *= (n - k) as f64 / (k + 1) as f64;
    }
    (n / 2).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::super::loops::Random;
    use super::*;

    #[test]
    fn medians_of_few() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[9.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(Timing::of(&[], 1), None);
    }

    /// The ranks of the tables: counted from 1, n = 6 gives 1, 9 gives 2, 20 gives 6, 50 gives 18, 100 gives 40.
    #[test]
    fn ranks_are_those_of_the_tables() {
        for (n, k) in [(1, 1), (5, 1), (6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (20, 6), (50, 18), (100, 40)]
        {
            assert_eq!(rank(n) + 1, k, "{n} samples");
        }
        // No step where the approximation begins.
        assert_eq!((rank(101) + 1, rank(102) + 1), (41, 42));
    }

    #[test]
    fn the_interval_holds_the_median_of_a_long_tail() {
        let mut random = Random::new(1, 0);
        for n in [6, 15, 40, 150] {
            let mut held = 0;
            for _ in 0..2000 {
                // 1 + an exponential variable cubed: its median is 1 + ln(2)³.
                let mut one = || 1.0 + (-(1.0 - f64::from(random.float(0.0, 1.0))).ln()).powi(3);
                let samples: Vec<f64> = (0..n).map(|_| one()).collect();
                let timing = Timing::of(&samples, 1).unwrap();
                held += usize::from((timing.low..=timing.high).contains(&(1.0 + 2.0_f64.ln().powi(3))));
            }
            // 95 %, less three standard deviations of 2000 trials.
            assert!(held >= 1900 - 30, "{n} samples: {held} of 2000");
        }
    }

    #[test]
    fn quantiles_are_sorted_and_drift_is_seen() {
        let samples: Vec<f64> = (0..21).map(|i| if i < 10 { 100.0 } else { 110.0 + f64::from(i) }).collect();
        let timing = Timing::of(&samples, 7).unwrap();
        assert!(timing.quantiles.is_sorted());
        assert_eq!((timing.quantiles[0], timing.quantiles[10]), (100.0, 130.0));
        assert_eq!((timing.quantiles[5], timing.median), (120.0, 120.0));
        assert!(timing.drift > 0.2, "{}", timing.drift);
        assert_eq!(Timing::of(&[5.0; 9], 1).unwrap().precision(), 0.0);
    }
}
