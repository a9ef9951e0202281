//! What a chart needs below its marks: scales, ticks, paths, and labels that do not cover each other. Plain functions over `f64`;
//! nothing here knows what is drawn.
//!
//! Of our own, and not of a crate of charts: those write fixed colours into what they draw, and the page's charts take theirs
//! from the page's style, so that one file is right in light, in dark and on paper.

use std::fmt::Write as _;

/// The value, if a logarithm can be drawn of it.
pub(super) fn positive(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0).then_some(value)
}

/// From numbers to places, by their logarithm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    /// The domain, both ends positive, `low < high`.
    pub(super) low: f64,
    pub(super) high: f64,
    from: f64,
    to: f64,
}

impl Log {
    /// A scale on which `values` lie between the places `from` and `to`. What is not positive does not count; `None` if nothing
    /// is left. A single value lies in the middle of a decade.
    pub(super) fn new(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Option<Self> {
        // Far enough from the ends of f64 for ratios and powers to be finite.
        let values = values.into_iter().filter_map(positive).map(|value| value.clamp(1e-100, 1e100));
        let (low, high) =
            values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low == high { (low / 10_f64.sqrt(), high * 10_f64.sqrt()) } else { (low, high) };
        (low < high).then_some(Self { low, high, from, to })
    }

    /// The same with a domain that reaches further on both sides, by a factor.
    pub(super) fn wider(self, by: f64) -> Self {
        Self { low: self.low / by, high: self.high * by, ..self }
    }

    /// The place of `value`, at the ends for what lies beyond them.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        // NaN would be drawn nowhere, and silently.
        let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self.from + share * (self.to - self.from)
    }

    /// How far apart two numbers lie of which one is ten times the other.
    pub(super) fn decade(&self) -> f64 {
        (self.to - self.from) / (self.high / self.low).log10()
    }

    /// At most about `most` round numbers: 1, 2, 5 and their like where less than two decades are shown; powers of ten, or every
    /// second, third … of them, where more are.
    pub(super) fn ticks(&self, most: usize) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let inside = |ticks: Vec<f64>| -> Vec<f64> {
            // The ends count, though a logarithm has rounded them.
            let (low, high) = (self.low * (1.0 - 1e-9), self.high * (1.0 + 1e-9));
            ticks.into_iter().filter(|tick| (low..=high).contains(tick)).collect()
        };
        let fine =
            inside((first..=last).flat_map(|e| [1.0, 2.0, 5.0].map(|digit| digit * power(e))).collect());
        if fine.len() <= most && (self.high / self.low) < 1e3 {
            if fine.len() < 2 {
                return Linear::new(self.low, self.high, 0.0, 1.0).ticks(most.clamp(2, 5));
            }
            return fine;
        }
        let every = (last - first).max(1).unsigned_abs().div_ceil(most.max(1) as u32).max(1);
        inside((first..=last).filter(|e| e.rem_euclid(every as i32) == 0).map(power).collect())
    }
}

fn power(exponent: i32) -> f64 {
    10_f64.powi(exponent)
}

/// From numbers to places, in proportion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Linear {
    /// A scale on which `low` is at `from` and `high` at `to`. An empty domain becomes one of length 1.
    pub(super) fn new(low: f64, high: f64, from: f64, to: f64) -> Self {
        let low = if low.is_finite() { low } else { 0.0 };
        let high = if high.is_finite() && high > low { high } else { low + 1.0 };
        Self { low, high, from, to }
    }

    /// The place of `value`, at the ends for what lies beyond them.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self.from + share * (self.to - self.from)
    }

    /// At most `most` multiples of 1, 2 or 5 times a power of ten.
    pub(super) fn ticks(&self, most: usize) -> Vec<f64> {
        let step = nice((self.high - self.low) / most.max(1) as f64);
        let (first, last) = ((self.low / step - 1e-9).ceil(), (self.high / step + 1e-9).floor());
        (0..=(last - first).max(0.0) as usize).map(|i| (first + i as f64) * step).collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `value`.
pub(super) fn nice(value: f64) -> f64 {
    let Some(value) = positive(value) else { return 1.0 };
    let base = power(value.log10().floor() as i32);
    // Next to a power of ten the logarithm may round to either side.
    [0.1, 1.0, 2.0, 5.0, 10.0]
        .map(|digit| digit * base)
        .into_iter()
        .find(|step| *step >= value * (1.0 - 1e-9))
        .unwrap_or(value)
}

/// The path through points; where one is missing the pen is lifted.
pub(super) fn line(points: impl IntoIterator<Item = Option<(f64, f64)>>) -> String {
    let (mut path, mut down) = (String::new(), false);
    for point in points {
        if let Some((x, y)) = point {
            // Writing to a String cannot fail.
            let _ = write!(path, "{}{x:.1} {y:.1}", if down { 'L' } else { 'M' });
        }
        down = point.is_some();
    }
    path
}

/// The path around what lies between two lines, as `(x, y, other y)`.
pub(super) fn band(points: &[(f64, f64, f64)]) -> String {
    let there = points.iter().map(|&(x, y, _)| Some((x, y)));
    let back = points.iter().rev().map(|&(x, _, y)| Some((x, y)));
    let path = line(there.chain(back));
    if path.is_empty() { path } else { path + "Z" }
}

/// Moves places apart until each is `gap` from the next, none further than it has to, all between `low` and `high` if they fit.
/// The order stays.
pub(super) fn dodge(places: &mut [f64], gap: f64, low: f64, high: f64) {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
    // Neighbours that are too close become one group around their mean; groups that then touch become one again.
    let mut groups: Vec<(f64, usize)> = Vec::new();
    for &i in &order {
        let mut group = (places[i], 1);
        while let Some(&(centre, count)) = groups.last() {
            let apart = gap * (count + group.1) as f64 / 2.0;
            if group.0 - centre >= apart {
                break;
            }
            groups.pop();
            let sum = centre * count as f64 + group.0 * group.1 as f64;
            group = (sum / (count + group.1) as f64, count + group.1);
        }
        // At the ends a whole group gives way.
        let half = gap * (group.1 - 1) as f64 / 2.0;
        group.0 = group.0.min(high - half).max(low + half);
        groups.push(group);
    }
    let mut order = order.into_iter();
    let mut free = f64::NEG_INFINITY;
    for (centre, count) in groups {
        for (i, at) in order.by_ref().take(count).zip(0..) {
            places[i] = (centre + gap * (f64::from(at) - (count - 1) as f64 / 2.0)).max(free);
            free = places[i] + gap;
        }
    }
}

/// A rectangle: left, top, right, bottom.
pub(super) type Rect = [f64; 4];

/// The first of `candidates` that touches none of `taken` and lies in `frame`; the one that covers least if there is none.
pub(super) fn place(candidates: &[Rect], taken: &[Rect], frame: Rect) -> Option<usize> {
    let overlap = |a: &Rect, b: &Rect| {
        (a[2].min(b[2]) - a[0].max(b[0])).max(0.0) * (a[3].min(b[3]) - a[1].max(b[1])).max(0.0)
    };
    let area = |a: &Rect| (a[2] - a[0]) * (a[3] - a[1]);
    let cost = |a: &Rect| {
        taken.iter().map(|b| overlap(a, b)).sum::<f64>() + 4.0 * (area(a) - overlap(a, &frame)).max(0.0)
    };
    (0..candidates.len()).min_by(|&a, &b| cost(&candidates[a]).total_cmp(&cost(&candidates[b])))
}

/// About how wide a text is in the page's fonts. Nothing measures text before a browser does.
pub(super) fn width(text: &str, size: f64) -> f64 {
    0.56 * size * text.chars().count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(low: f64, high: f64) -> Log {
        Log::new([low, high], 0.0, 100.0).expect("two values")
    }

    #[test]
    fn a_log_scale_puts_decades_at_equal_steps() {
        let scale = log(1.0, 1e4);
        assert_eq!([1.0, 10.0, 100.0, 1e4].map(|v| scale.at(v).round()), [0.0, 25.0, 50.0, 100.0]);
        assert!((scale.decade() - 25.0).abs() < 1e-9);
        let down = Log::new([1.0, 100.0], 200.0, 0.0).expect("two values");
        assert_eq!([1.0, 10.0, 100.0].map(|v| down.at(v).round()), [200.0, 100.0, 0.0]);
    }

    #[test]
    fn what_lies_beyond_a_scale_or_is_no_number_is_drawn_at_its_end() {
        let scale = log(1.0, 100.0);
        for (value, place) in
            [(0.01, 0.0), (1e9, 100.0), (0.0, 0.0), (-1.0, 0.0), (f64::NAN, 0.0), (f64::INFINITY, 100.0)]
        {
            assert_eq!(scale.at(value), place, "{value}");
        }
        let line = Linear::new(0.0, 10.0, 0.0, 100.0);
        assert_eq!([-1.0, 5.0, 11.0, f64::NAN].map(|v| line.at(v)), [0.0, 50.0, 100.0, 0.0]);
    }

    #[test]
    fn a_scale_of_nothing_is_none_and_of_one_value_a_decade() {
        assert!(Log::new([], 0.0, 1.0).is_none());
        assert!(Log::new([0.0, -3.0, f64::NAN, f64::INFINITY], 0.0, 1.0).is_none());
        let one = Log::new([7.0], 0.0, 100.0).expect("one value");
        assert!((one.at(7.0) - 50.0).abs() < 1e-9 && (one.decade() - 100.0).abs() < 1e-9);
        let extreme = Log::new([f64::MIN_POSITIVE, f64::MAX], 0.0, 100.0).expect("two values");
        assert!(extreme.at(1.0).is_finite() && extreme.wider(2.0).ticks(6).len() <= 7);
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(log(10.0, 1e7).ticks(8), [1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7]);
        assert_eq!(log(0.3, 60.0).ticks(8), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(log(0.3, 60.0).ticks(4), [1.0, 10.0]);
        assert_eq!(log(1e-3, 1e9).ticks(6), [1e-2, 1.0, 1e2, 1e4, 1e6, 1e8]);
        // Less than a step of 1-2-5: multiples.
        assert_eq!(log(2.1, 4.9).ticks(6), [3.0, 4.0]);
        for (low, high) in [(1.0, 1.0001), (1e-9, 1e9), (3.0, 4.0), (9.99, 10.01), (1e-100, 1e100)] {
            for most in 0..12 {
                let ticks = log(low, high).ticks(most);
                assert!(ticks.len() <= most.max(2) + 1, "{low} {high} {most}: {ticks:?}");
                assert!(ticks.is_sorted() && ticks.iter().all(|t| t.is_finite()), "{ticks:?}");
            }
        }
    }

    #[test]
    fn linear_ticks_are_multiples() {
        assert_eq!(Linear::new(-0.05, 0.1, 0.0, 1.0).ticks(4), [-0.05, 0.0, 0.05, 0.1]);
        assert_eq!(Linear::new(0.0, 7.0, 0.0, 1.0).ticks(4), [0.0, 2.0, 4.0, 6.0]);
        assert_eq!(Linear::new(3.0, 3.0, 0.0, 1.0).ticks(1), [3.0, 4.0]);
        assert_eq!([0.9, 1.0, 1.1, 3.0, 6.0, 0.0].map(nice), [1.0, 1.0, 2.0, 5.0, 10.0, 1.0]);
        assert_eq!([1e-3, 1e3, 1e15].map(nice), [1e-3, 1e3, 1e15]);
    }

    #[test]
    fn a_line_is_broken_where_a_point_is_missing() {
        let points = [Some((0.0, 1.0)), Some((1.0, 2.0)), None, Some((3.0, 4.0))];
        assert_eq!(line(points), "M0.0 1.0L1.0 2.0M3.0 4.0");
        assert_eq!(line([]), "");
        assert_eq!(band(&[(0.0, 1.0, 2.0), (5.0, 1.0, 3.0)]), "M0.0 1.0L5.0 1.0L5.0 3.0L0.0 2.0Z");
        assert_eq!(band(&[]), "");
    }

    #[test]
    fn labels_are_moved_apart_and_stay_inside() {
        let check = |mut places: Vec<f64>, expected: &[f64]| {
            dodge(&mut places, 10.0, 0.0, 100.0);
            assert_eq!(places, expected);
        };
        check(vec![], &[]);
        check(vec![50.0, 20.0], &[50.0, 20.0]);
        check(vec![50.0, 50.0], &[45.0, 55.0]);
        check(vec![52.0, 50.0, 51.0], &[61.0, 41.0, 51.0]);
        check(vec![98.0, 99.0], &[90.0, 100.0]);
        check(vec![0.0, 3.0, 12.0], &[0.0, 10.0, 20.0]);
        // More than fit: still in order and apart.
        let mut many = vec![50.0; 30];
        dodge(&mut many, 10.0, 0.0, 100.0);
        assert!(many.windows(2).all(|pair| pair[1] - pair[0] >= 9.999), "{many:?}");
    }

    #[test]
    fn a_label_goes_where_nothing_is() {
        let frame = [0.0, 0.0, 100.0, 100.0];
        let (right, left) = ([50.0, 45.0, 80.0, 55.0], [10.0, 45.0, 40.0, 55.0]);
        assert_eq!(place(&[right, left], &[], frame), Some(0));
        assert_eq!(place(&[right, left], &[[60.0, 50.0, 70.0, 60.0]], frame), Some(1));
        assert_eq!(place(&[[90.0, 45.0, 120.0, 55.0], left], &[], frame), Some(1));
        assert_eq!(place(&[], &[], frame), None);
    }
}
