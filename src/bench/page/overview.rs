//! The first figure: each loop a strip over the sizes, coloured by who is fastest. HTML boxes with places in percent, and no SVG:
//! so its text is as large on a phone as on a wall.

use std::fmt::Write as _;

use super::chart::Log;
use super::marks;
use super::verdict::{self, Segment};
use super::words::{Text, count, short, tick, time, times};
use crate::bench::{Loop, Results, Size};

/// The edges between sizes, in elements: halfway between neighbours, as far again beyond the first and the last.
pub(super) fn edges(of: &Loop) -> Vec<f64> {
    let sizes: Vec<f64> = of.sizes.iter().map(|size| size.n.max(1) as f64).collect();
    let [first, .., last] = sizes[..] else {
        // Alone, a size is a cell that can be seen.
        return sizes.iter().flat_map(|n| [n / 1.8, n * 1.8]).collect();
    };
    let half = |a: f64, b: f64| (a * b).sqrt();
    let mut edges = vec![first * first / half(first, sizes[1])];
    edges.extend(sizes.windows(2).map(|pair| half(pair[0], pair[1])));
    edges.push(last * last / half(last, sizes[sizes.len() - 2]));
    edges
}

/// The sizes of all loops, from `from` to `to`; the same for every chart, so that the eye may go from one to the next.
pub(super) fn sizes(results: &Results, from: f64, to: f64) -> Option<Log> {
    Log::new(results.loops.iter().flat_map(edges), from, to)
}

pub(super) fn draw(out: &mut String, results: &Results) {
    let Some(scale) = sizes(results, 0.0, 100.0) else { return };
    // Writing to a String cannot fail, here and below.
    let _ = out.write_str(
        "<section><h2>Where each backend is the fastest</h2>\
         <p class=note>Size from left to right; behind a name, how many times faster it is than the next backend. Pale: too close to tell.</p>\
         <table class=overview><thead><tr><th scope=col>loop<th scope=col>fastest, by elements<th scope=col>at the largest size</thead><tbody>",
    );
    for (i, of) in results.loops.iter().enumerate() {
        let _ = write!(
            out,
            "<tr><th scope=row><a href=\"#loop-{i}\">{}</a><td><div class=strip>",
            Text(&short(&of.name, 48))
        );
        strip(out, of, &scale);
        let _ = write!(out, "</div><td class=end>{}", end(of));
    }
    out.push_str("</tbody><tfoot><tr><td><td><div class=axis aria-hidden=true>");
    for n in scale.ticks(8) {
        let _ = write!(out, "<span style=\"left:{:.2}%\">{}</span>", scale.at(n), tick(n));
    }
    out.push_str("</div><td></tfoot></table></section>");
}

fn strip(out: &mut String, of: &Loop, scale: &Log) {
    let edges = edges(of);
    let (Some(first), Some(last)) = (edges.first(), edges.last()) else { return };
    let segments = verdict::segments(of);
    for segment in &segments {
        let (left, right) = (scale.at(segment.from.max(*first)), scale.at(segment.to.min(*last)));
        if right <= left {
            continue;
        }
        let range = range(segment, of);
        let _ = write!(
            out,
            "<div class=\"segment {0}\" style=\"left:{left:.2}%;width:{1:.2}%\" title=\"{0} {range}\"><span class=label><i></i>\
             <b>{2}{0}</b><span>{range}</span></span></div>",
            segment.backend,
            right - left,
            marks::icon(segment.backend),
        );
    }
    // Another who is ahead there, by too little to change the colour, is too close to tell as well.
    let other = |size: &Size| segments.iter().any(|s| s.holds(size) && size.winner != Some(s.backend));
    let close = |size: &Size| size.tie || other(size);
    for (size, edge) in of.sizes.iter().zip(edges.windows(2)).filter(|(size, _)| close(size)) {
        let (left, right) = (scale.at(edge[0]), scale.at(edge[1]));
        let _ = write!(
            out,
            "<div class=tie style=\"left:{left:.2}%;width:{:.2}%\" title=\"{}: too close to tell\"></div>",
            right - left,
            count(size.n)
        );
    }
}

/// `1.2–16×`.
fn range(segment: &Segment, of: &Loop) -> String {
    match segment.margins(of) {
        Some((low, high)) if times(low) != times(high) => {
            format!("{}–{}", times(low).trim_end_matches('×'), times(high))
        }
        Some((_, high)) => times(high),
        None => String::new(),
    }
}

fn end(of: &Loop) -> String {
    let Some(size) = verdict::largest(of) else { return "not measured".to_owned() };
    let Some(winner) = size.winner else { return "–".to_owned() };
    let per = verdict::median(size, winner).map_or(f64::NAN, |median| median / size.n as f64);
    format!("{winner} <b>{}</b> per {}", time(per), Text(&verdict::element(of)))
}
