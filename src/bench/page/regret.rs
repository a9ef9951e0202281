//! How much the dispatcher's choices cost: a histogram of the regret of each size, and below it, upside down, of the same computation
//! where there is nothing to regret. What looks alike on both sides is noise.

use std::fmt::Write as _;

use super::chart::{self, Linear};
use super::marks::icon;
use super::verdict;
use super::words::{Text, count, percent, plain, short, signed};
use crate::bench::{Loop, Results, Size};

const WIDTH: f64 = 450.0;
const HEIGHT: f64 = 262.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 444.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 214.0;
/// From here on a choice is worth naming, as a fraction.
const MISS: f64 = 0.05;

pub(super) fn draw(out: &mut String, results: &Results) {
    // Writing to a String cannot fail, here and below.
    out.push_str("<section id=regret><h2>What the dispatcher's choices cost</h2>");
    let of_sizes = |value: fn(&Size) -> Option<f64>| -> Vec<f64> {
        let sizes = results.loops.iter().flat_map(|of| &of.sizes);
        sizes.filter_map(value).filter(|value| value.is_finite()).collect()
    };
    let regrets = of_sizes(|size| size.dispatcher.as_ref()?.regret);
    let floors = of_sizes(|size| size.dispatcher.as_ref()?.floor);
    if regrets.is_empty() {
        out.push_str("<p>Not measured: the dispatcher did not run, or too few samples tell.</p></section>");
        return;
    }
    out.push_str("<div class=pair><div>");
    if let Some(regret) = &results.regret {
        let _ = write!(
            out,
            "<p class=numbers><span><b>{}</b> of all time<small>noise alone: {}</small></span>\
             <span><b>{}</b> of a call, on average<small>noise alone: {}</small></span></p>",
            percent(regret.time_weighted),
            percent(regret.floor_time_weighted),
            percent(regret.mean),
            percent(regret.floor_mean),
        );
    }
    let _ = write!(
        out,
        "<p>So much longer the dispatcher took than an oracle that knows the fastest backend at each of {} sizes. The oracle chooses by \
         one half of the samples and is timed by the other, so that luck is not taken for speed; what is below zero is noise as well.</p>",
        regrets.len()
    );
    misses(out, results);
    out.push_str("</div>");
    histogram(out, &regrets, &floors);
    out.push_str("</div></section>");
}

/// The choices that cost the most.
fn misses(out: &mut String, results: &Results) {
    let mut found: Vec<(f64, &Loop, &Size)> = results
        .loops
        .iter()
        .flat_map(|of| of.sizes.iter().map(move |size| (of, size)))
        .filter_map(|(of, size)| Some((size.dispatcher.as_ref()?.regret?, of, size)))
        .filter(|(regret, ..)| *regret >= MISS)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    if found.is_empty() {
        let _ = write!(out, "<p>No choice cost {} or more.</p>", percent(MISS));
        return;
    }
    let _ = write!(
        out,
        "<p>{} of the sizes cost {} or more. The most:</p><ul class=misses>",
        found.len(),
        percent(MISS)
    );
    for (regret, of, size) in found.into_iter().take(5) {
        let Some(dispatcher) = &size.dispatcher else { continue };
        let _ = write!(
            out,
            "<li><b>{}</b> {} at {} {}: chose {}{}",
            signed(regret),
            Text(&short(&of.name, 48)),
            count(size.n),
            Text(&verdict::elements(of)),
            icon(dispatcher.choice),
            dispatcher.choice,
        );
        match size.winner {
            Some(winner) if winner != dispatcher.choice => {
                let _ = write!(out, ", {}{winner} was faster", icon(winner));
            }
            // What it chose last; the time is that of all its choices.
            _ => out.push_str(" in the end: earlier choices, or noise"),
        }
    }
    out.push_str("</ul>");
}

/// Bins of equal width; what lies beyond the ends is counted in the last ones.
struct Bins {
    step: f64,
    /// Multiples of `step`.
    first: i32,
    last: i32,
}

impl Bins {
    fn new(values: &[f64]) -> Self {
        let mut sizes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        // One miss of 1400 % must not make one bin of all others.
        let usual =
            sizes.get((sizes.len() * 17 / 20).min(sizes.len().saturating_sub(1))).copied().unwrap_or(0.0);
        let limit = (1.5 * usual).clamp(0.02, 10.0);
        let step = chart::nice(limit / 16.0);
        let inside = |value: f64| (value.clamp(-limit, limit) / step).floor() as i32;
        let (low, high) = values
            .iter()
            .fold((0, 0), |(low, high), value| (low.min(inside(*value)), high.max(inside(*value))));
        Self { step, first: low.min(-2), last: high.max(2) }
    }

    fn count(&self, values: &[f64]) -> Vec<usize> {
        let mut counts = vec![0; (self.last - self.first + 1) as usize];
        for value in values {
            // A float that is too large for i32 saturates.
            let bin = ((value / self.step).floor() as i32).clamp(self.first, self.last);
            counts[(bin - self.first) as usize] += 1;
        }
        counts
    }
}

fn histogram(out: &mut String, regrets: &[f64], floors: &[f64]) {
    let bins = Bins::new(&[regrets, floors].concat());
    let (above, below) = (bins.count(regrets), bins.count(floors));
    let most = |counts: &[usize]| counts.iter().copied().max().unwrap_or(0) as f64;
    let (up, down) = (most(&above), most(&below));
    // One scale for both: the middle lies where they share the height.
    let middle = TOP + (BOTTOM - TOP) * up.max(1.0) / (up.max(1.0) + down);
    let height = |count: usize| count as f64 * (middle - TOP) / up.max(1.0);
    let edge = |bin: i32| f64::from(bin) * bins.step;
    let x = Linear::new(edge(bins.first), edge(bins.last + 1), LEFT, RIGHT);
    let _ = write!(
        out,
        "<svg class=chart viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-labelledby=\"t-regret d-regret\">\
         <title id=t-regret>Regret of the dispatcher, by size of a loop</title>\
         <desc id=d-regret>Histogram. Above the line the dispatcher's {} values, below it {} of noise.</desc>",
        regrets.len(),
        floors.len()
    );
    for (counts, class, upwards) in [(&above, "bar", true), (&below, "bar noise", false)] {
        for (bin, &count) in (bins.first..).zip(counts).filter(|(_, count)| **count > 0) {
            let (left, right) = (x.at(edge(bin)), x.at(edge(bin + 1)));
            let height = height(count);
            let beyond = if bin == bins.last {
                " or more"
            } else if bin == bins.first {
                " or less"
            } else {
                ""
            };
            let _ = write!(
                out,
                "<g class=hit><rect class=\"{class}\" x={:.1} y={:.1} width={:.1} height={height:.1} /><title>{count} × {} to {}{beyond}</title></g>",
                left + 0.75,
                if upwards { middle - height } else { middle },
                right - left - 1.5,
                percent(edge(bin)),
                percent(edge(bin + 1)),
            );
        }
    }
    let beyond = regrets.iter().filter(|regret| **regret >= edge(bins.last + 1)).count();
    if beyond > 0 {
        let most = regrets.iter().copied().fold(0.0, f64::max);
        let _ = write!(
            out,
            "<text class=tick text-anchor=end x={RIGHT} y=12>{beyond} beyond, up to {}</text>",
            percent(most)
        );
    }
    let zero = x.at(0.0);
    let _ = write!(
        out,
        "<path class=rule d=\"M{LEFT} {middle:.1}H{RIGHT}\"/><path class=crossover d=\"M{zero:.1} {TOP}V{BOTTOM}\"/>\
         <text class=\"tick ink\" text-anchor=end x={0:.1} y={1:.1}>dispatcher</text>\
         <text class=tick text-anchor=end x={0:.1} y={2:.1}>noise</text>\
         <text class=axis-title text-anchor=middle x={3:.1} y={4:.1}>percent longer than the oracle</text>",
        LEFT - 7.0,
        (TOP + middle) / 2.0 + 4.0,
        (middle + BOTTOM) / 2.0 + 4.0,
        (LEFT + RIGHT) / 2.0,
        HEIGHT - 8.0
    );
    for value in x_ticks(&bins) {
        let _ = write!(
            out,
            "<text class=tick text-anchor=middle x={:.1} y={:.1}>{}</text>",
            x.at(value),
            BOTTOM + 18.0,
            plain(100.0 * value)
        );
    }
    out.push_str("</svg>");
}

fn x_ticks(bins: &Bins) -> Vec<f64> {
    Linear::new(f64::from(bins.first) * bins.step, f64::from(bins.last + 1) * bins.step, 0.0, 1.0).ticks(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_every_value_and_one_miss_does_not_hide_the_rest() {
        let mut values = vec![0.001; 80];
        values.extend([-0.004, 0.013, 14.0, f64::MAX, f64::MIN]);
        let bins = Bins::new(&values);
        let counts = bins.count(&values);
        assert_eq!(counts.iter().sum::<usize>(), values.len());
        assert!(bins.step <= 0.02, "{}", bins.step);
        for values in [&[][..], &[0.0], &[-0.5, -0.5], &[1e-9]] {
            let bins = Bins::new(values);
            assert_eq!(bins.count(values).iter().sum::<usize>(), values.len());
            assert!(bins.last - bins.first <= 40);
        }
    }
}
