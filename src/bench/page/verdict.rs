//! Who wins where, and by how much, in words: what a chart's headline says. Reads results, draws nothing.

use super::chart::positive;
use super::words::{about, short, time, times};
use crate::backend::Backend;
use crate::bench::{Absent, Loop, Results, Size, Timing};

/// Sizes that follow each other and have the same fastest backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Segment {
    pub(super) backend: Backend,
    /// Elements; 0 at the beginning.
    pub(super) from: f64,
    /// Elements; infinity at the end.
    pub(super) to: f64,
}

impl Segment {
    pub(super) fn holds(&self, size: &Size) -> bool {
        (self.from..self.to).contains(&(size.n as f64))
    }

    /// How many times faster the winner is than the next, over the sizes of the segment that tell: the least and the most.
    pub(super) fn margins(&self, of: &Loop) -> Option<(f64, f64)> {
        of.sizes
            .iter()
            .filter(|size| self.holds(size) && size.winner == Some(self.backend) && !size.tie)
            .filter_map(|size| Some(runner_up(size, self.backend)?.1))
            .fold(None, |range, ratio| {
                let (low, high) = range.unwrap_or((ratio, ratio));
                Some((low.min(ratio), high.max(ratio)))
            })
    }
}

/// A backend's median for one size, in nanoseconds, if a time can be drawn and divided by.
pub(super) fn median(size: &Size, backend: Backend) -> Option<f64> {
    timing(size, backend).and_then(|time| positive(time.median))
}

/// A backend's time for one size.
pub(super) fn timing(size: &Size, backend: Backend) -> Option<&Timing> {
    size.points.iter().find(|point| point.backend == backend).map(|point| &point.time)
}

/// Backends that ran this loop at any size, in the order of [`Backend::ALL`].
pub(super) fn ran(of: &Loop) -> Vec<Backend> {
    let ran = |backend: &Backend| of.sizes.iter().any(|size| median(size, *backend).is_some());
    Backend::ALL.into_iter().filter(ran).collect()
}

/// The fastest backend beside `winner`, and how many times longer it takes.
fn runner_up(size: &Size, winner: Backend) -> Option<(Backend, f64)> {
    let best = median(size, winner)?;
    Backend::ALL
        .into_iter()
        .filter(|backend| *backend != winner)
        .filter_map(|backend| Some((backend, median(size, backend)? / best)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

/// The loop's sizes by who is fastest, between its crossovers.
pub(super) fn segments(of: &Loop) -> Vec<Segment> {
    let crossovers = || of.crossovers.iter().filter(|crossover| positive(crossover.n).is_some());
    let mut found: Vec<Segment> = Vec::new();
    for crossover in crossovers() {
        let from = found.last().map_or(0.0, |segment| segment.to);
        found.push(Segment { backend: crossover.from, from, to: crossover.n });
    }
    let last = match crossovers().next_back() {
        Some(crossover) => Some(crossover.to),
        // Never another: who is the fastest at most of the sizes that tell, or at most of all where none does.
        None => {
            let wins = |backend: &Backend| {
                let won = || of.sizes.iter().filter(|size| size.winner == Some(*backend));
                (won().filter(|size| !size.tie).count(), won().count())
            };
            ran(of).into_iter().filter(|backend| wins(backend).1 > 0).max_by_key(wins)
        }
    };
    if let Some(backend) = last {
        let from = found.last().map_or(0.0, |segment| segment.to);
        found.push(Segment { backend, from, to: f64::INFINITY });
    }
    found
}

/// What an element is called.
pub(super) fn element(of: &Loop) -> String {
    let name = of.element.trim();
    if name.is_empty() { "element".to_owned() } else { short(name, 24) }
}

/// Several of them.
pub(super) fn elements(of: &Loop) -> String {
    let one = element(of);
    match one.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ => one + "s",
    }
}

/// The largest size that anything ran.
pub(super) fn largest(of: &Loop) -> Option<&Size> {
    of.sizes.iter().rev().find(|size| Backend::ALL.into_iter().any(|backend| median(size, backend).is_some()))
}

/// "simd up to 3 000 elements, threads from there: 1.7× faster than simd at 10⁶."
pub(super) fn headline(of: &Loop) -> String {
    let Some(size) = largest(of) else { return "Nothing was measured.".to_owned() };
    let (ran, segments) = (ran(of), segments(of));
    if let [only] = ran[..] {
        let per = median(size, only).map_or(f64::NAN, |median| median / size.n as f64);
        return format!("Only {only} ran: {} per {} at {}.", time(per), element(of), about(size.n as f64));
    }
    let Some(last) = segments.last() else { return "No backend was the fastest.".to_owned() };
    let mut text = match &segments[..] {
        [one] if of.sizes.len() == 1 => {
            format!("{} at {} {}", one.backend, about(size.n as f64), elements(of))
        }
        [one] => format!("{} at every size", one.backend),
        [first, rest @ ..] if segments.len() <= 3 => {
            let mut text = format!("{} up to {} {}", first.backend, about(first.to), elements(of));
            for segment in rest {
                text += &if segment.to.is_finite() {
                    format!(", {} up to {}", segment.backend, about(segment.to))
                } else {
                    format!(", {} from there", segment.backend)
                };
            }
            text
        }
        _ => format!(
            "{} from {} {} on, after {} changes of the lead",
            last.backend,
            about(last.from),
            elements(of),
            segments.len() - 1
        ),
    };
    if let Some((second, ratio)) = runner_up(size, last.backend) {
        text += &if size.tie || ratio <= 1.0 {
            format!("; at {} too close to {second} to tell", about(size.n as f64))
        } else {
            format!(": {} faster than {second} at {}", times(ratio), about(size.n as f64))
        };
    }
    text + "."
}

/// One sentence for each backend that ran and is nowhere the fastest, and for each that did not run.
pub(super) fn others(results: &Results, of: &Loop) -> Vec<String> {
    let (ran, segments) = (ran(of), segments(of));
    let mut notes = Vec::new();
    for backend in Backend::ALL {
        if ran.contains(&backend) {
            if ran.len() > 1 && !segments.is_empty() && segments.iter().all(|s| s.backend != backend) {
                notes.extend(never(of, backend));
            }
        } else if let Some(Absent { reason, .. }) =
            of.sizes.iter().flat_map(|size| &size.absent).find(|absent| absent.backend == backend)
        {
            notes.push(format!("{backend}: did not run ({})", short(reason, 160)));
        } else if let Some(Absent { reason, .. }) = results.absent.iter().find(|a| a.backend == backend) {
            // The head of the page has the reason once for all loops.
            let reason = if results.loops.len() > 1 { "see the top" } else { reason };
            notes.push(format!("{backend}: not available ({})", short(reason, 160)));
        }
    }
    notes
}

/// Where a backend that is never the fastest comes closest.
fn never(of: &Loop, backend: Backend) -> Option<String> {
    let behind = |size: &Size| {
        let best = Backend::ALL.into_iter().filter_map(|b| Some((b, median(size, b)?)));
        let (fastest, best) = best.min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some((size.n, fastest, median(size, backend)? / best))
    };
    let (n, fastest, ratio) = of.sizes.iter().filter_map(behind).min_by(|a, b| a.2.total_cmp(&b.2))?;
    Some(format!(
        "{backend}: never the fastest; at best {} slower than {fastest}, at {}",
        times(ratio),
        about(n as f64)
    ))
}

/// One sentence over all loops.
pub(super) fn summary(results: &Results) -> String {
    let measured: Vec<_> = results.loops.iter().filter(|of| largest(of).is_some()).collect();
    let (Some(first), total) = (measured.first(), measured.len()) else {
        return "Nothing was measured".to_owned();
    };
    if total == 1 {
        let text = headline(first);
        return format!("{}: {}", short(&first.name, 60), text.trim_end_matches('.'));
    }
    // A loop whose largest size is a tie is nobody's.
    let winner = |of: &&&Loop| largest(of).filter(|size| !size.tie).and_then(|size| size.winner);
    let mut wins: Vec<(Backend, usize)> = Backend::ALL
        .into_iter()
        .map(|backend| (backend, measured.iter().filter(|of| winner(of) == Some(backend)).count()))
        .filter(|(_, wins)| *wins > 0)
        .collect();
    wins.sort_by_key(|(_, wins)| std::cmp::Reverse(*wins));
    let mut told: Vec<String> = wins
        .iter()
        .enumerate()
        .map(|(i, (backend, wins))| match i {
            0 if *wins == total => format!("{backend} in all {total} loops"),
            0 => format!("{backend} in {wins} of {total} loops"),
            _ => format!("{backend} in {wins}"),
        })
        .collect();
    let open = total - wins.iter().map(|(_, wins)| wins).sum::<usize>();
    if told.is_empty() {
        return format!("At the largest size no backend is clearly the fastest in any of {total} loops");
    }
    if open > 0 {
        told.push(format!("too close to tell in {open}"));
    }
    format!("Fastest at the largest size: {}", told.join(", "))
}
