//! Compares results with earlier ones, point by point: what has become slower, by more than noise.
//!
//! A median is known within its confidence interval, in one run. The next run has other noise too: memory lies elsewhere, the clocks
//! are others, somebody else has the cache. How much that is worth shows within a run, in how far the medians of the first and the
//! second half of a point's samples are apart. So a point counts as slower only where both hold: the intervals do not overlap, and the
//! ratio is over a margin of three times that drift, as it is typical for the noisier run, and at least 5 %.

use std::fmt;
use std::time::Duration;

use super::results::{Point, Results, Timing};
use crate::backend::Backend;
use crate::dispatch::Span;
use crate::error::{Error, Result};

/// A difference smaller than this is none, on whatever machine.
const LEAST: f64 = 0.05;
/// So many times the typical drift within a run may lie between two.
const DRIFTS: f64 = 3.0;

/// What has changed between two runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Points that are significantly slower, the worst first.
    pub slower: Vec<Changed>,
    /// Points that are significantly faster, the best first.
    pub faster: Vec<Changed>,
    /// Points that both runs have.
    pub compared: usize,
    /// Points of the earlier run that the later one does not have.
    pub missing: usize,
    /// What a ratio must differ from 1 by to be significant, as a fraction.
    pub margin: f64,
    /// What differs between the machines, or in how they measured, in words: then a change says little about the code.
    pub elsewhere: Vec<String>,
}

/// One point that has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// The loop.
    pub name: String,
    /// Elements.
    pub n: usize,
    /// The backend; `None` is the dispatcher.
    pub backend: Option<Backend>,
    /// Nanoseconds per call, before.
    pub before: f64,
    /// And now.
    pub now: f64,
}

impl Changed {
    /// Over 1 is slower.
    pub fn ratio(&self) -> f64 {
        self.now / self.before
    }
}

impl Results {
    /// What has changed since `before`.
    ///
    /// # Errors
    /// [`Error::Results`] where one is of first calls, start-up included, and the other is not: no time of theirs is comparable.
    pub fn since(&self, before: &Self) -> Result<Change> {
        if self.settings.cold != before.settings.cold {
            let calls =
                |results: &Self| if results.settings.cold { "first calls (cold)" } else { "repeated calls" };
            return Err(Error::Results {
                name: "the baseline".into(),
                message: format!(
                    "got times of {}, expected times of {} as these are; measure both in the same way",
                    calls(before),
                    calls(self)
                ),
            });
        }
        let margin = LEAST.max(DRIFTS * drift(before).max(drift(self)));
        let (mut slower, mut faster) = (Vec::new(), Vec::new());
        let (mut compared, mut missing) = (0, 0);
        for (name, n, backend, then) in points(before) {
            let now = points(self).find(|(a, b, c, _)| (*a, *b, *c) == (name, n, backend));
            let Some((.., now)) = now else {
                missing += 1;
                continue;
            };
            compared += 1;
            let changed =
                || Changed { name: name.to_owned(), n, backend, before: then.median, now: now.median };
            if now.low > then.high && now.median > then.median * (1.0 + margin) {
                slower.push(changed());
            } else if now.high < then.low && then.median > now.median * (1.0 + margin) {
                faster.push(changed());
            }
        }
        slower.sort_by(|a, b| b.ratio().total_cmp(&a.ratio()));
        faster.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        let elsewhere = elsewhere(before, self);
        Ok(Change { slower, faster, compared, missing, margin, elsewhere })
    }
}

/// Every point of a run; the dispatcher's has no backend.
fn points(results: &Results) -> impl Iterator<Item = (&str, usize, Option<Backend>, &Timing)> {
    results.loops.iter().flat_map(|one| {
        one.sizes.iter().flat_map(move |size| {
            let backends = size.points.iter().map(|Point { backend, time }| (Some(*backend), time));
            let dispatcher = size.dispatcher.iter().map(|dispatched| (None, &dispatched.time));
            backends.chain(dispatcher).map(move |(backend, time)| (&*one.name, size.n, backend, time))
        })
    })
}

/// The typical drift of points: the median, which a few points that were disturbed do not move. Points of few samples tell nothing.
fn drift(results: &Results) -> f64 {
    let times = points(results).map(|(.., time)| time);
    let drifts: Vec<f64> = times.filter(|time| time.samples >= 6).map(|time| time.drift).collect();
    super::statistics::median(&drifts).unwrap_or(0.0)
}

fn elsewhere(before: &Results, now: &Results) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
    let data =
        |results: &Results| if results.settings.resident { "resident" } else { "moved at each call" }.into();
    let data = ("data", data(before), data(now));
    let (before, now) = (&before.machine, &now.machine);
    [
        ("CPU", before.cpu.clone(), now.cpu.clone()),
        ("instructions", before.level.clone(), now.level.clone()),
        ("threads", before.threads.to_string(), now.threads.to_string()),
        ("GPU", text(&before.adapter), text(&now.adapter)),
        ("driver", text(&before.driver), text(&now.driver)),
        ("build", before.build.clone(), now.build.clone()),
        data,
    ]
    .into_iter()
    .filter(|(_, before, now)| before != now)
    .map(|(what, before, now)| format!("{what}: {before}, now {now}"))
    .collect()
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.backend.map_or("dispatcher", Backend::name);
        let span = |ns: f64| Span(Duration::from_nanos(ns as u64));
        write!(
            f,
            "{} of {} on {who}: {:.2}× the time ({} → {})",
            self.name,
            self.n,
            self.ratio(),
            span(self.before),
            span(self.now)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> Results {
        Results::from_json("fixture.json", include_str!("fixture.json")).unwrap()
    }

    fn scale(time: &mut Timing, by: f64) {
        for number in [&mut time.median, &mut time.low, &mut time.high] {
            *number *= by;
        }
    }

    #[test]
    fn the_same_results_have_not_changed() {
        let results = fixture();
        let change = results.since(&results).unwrap();
        assert!(change.slower.is_empty() && change.faster.is_empty() && change.elsewhere.is_empty());
        assert!(change.compared > 50 && change.missing == 0 && change.margin >= LEAST, "{change:?}");
    }

    #[test]
    fn what_is_slower_is_told_and_noise_is_not() {
        let before = fixture();
        let mut now = before.clone();
        scale(&mut now.loops[0].sizes[3].points[1].time, 1.5);
        scale(&mut now.loops[1].sizes[2].points[0].time, 2.0);
        scale(&mut now.loops[1].sizes[4].points[0].time, 0.5);
        scale(&mut now.loops[1].sizes[5].points[0].time, 1.03);
        // Twice as slow by the median, but nobody knows it that well.
        let vague = &mut now.loops[2].sizes[1].points[0].time;
        (vague.median, vague.high) = (2.0 * vague.median, 2.0 * vague.high);
        let change = now.since(&before).unwrap();
        let ratios: Vec<f64> = change.slower.iter().map(Changed::ratio).collect();
        assert!(
            matches!(ratios[..], [a, b] if (a - 2.0).abs() < 1e-9 && (b - 1.5).abs() < 1e-9),
            "{change:?}"
        );
        assert_eq!(change.slower[1].n, before.loops[0].sizes[3].n);
        assert_eq!((change.faster.len(), change.missing), (1, 0));
        assert!(change.slower[0].to_string().starts_with("black_scholes of 100 on gpu: 2.00× the time ("));
    }

    #[test]
    fn what_a_run_drifts_by_is_not_significant() {
        let before = fixture();
        let mut now = before.clone();
        for size in now.loops.iter_mut().flat_map(|one| &mut one.sizes) {
            size.points.iter_mut().for_each(|point| scale(&mut point.time, 1.8));
        }
        let all = now.since(&before).unwrap();
        assert_eq!(
            all.slower.len(),
            now.loops.iter().flat_map(|l| &l.sizes).map(|s| s.points.len()).sum::<usize>()
        );
        for size in now.loops.iter_mut().flat_map(|one| &mut one.sizes) {
            size.points.iter_mut().for_each(|point| point.time.drift = 0.5);
        }
        assert_eq!(
            (now.since(&before).unwrap().slower, before.since(&now).unwrap().faster),
            (vec![], vec![])
        );
    }

    #[test]
    fn cold_and_warm_are_not_compared() {
        let before = fixture();
        let mut now = before.clone();
        now.settings.cold = true;
        for (now, before, says) in [
            (&now, &before, "got times of repeated calls, expected times of first calls (cold)"),
            (&before, &now, "got times of first calls (cold), expected times of repeated calls"),
        ] {
            let error = now.since(before).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert_eq!(now.since(&now).unwrap().missing, 0);
    }

    #[test]
    fn other_machines_and_missing_points_are_told() {
        let before = fixture();
        let mut now = before.clone();
        now.machine.threads = 2;
        now.loops.truncate(1);
        let change = now.since(&before).unwrap();
        now.settings.resident = true;
        assert_eq!(change.elsewhere, ["threads: 8, now 2"]);
        assert_eq!(now.since(&before).unwrap().elsewhere[1], "data: moved at each call, now resident");
        assert!(change.missing > 0 && change.compared > 0);
    }
}
