//! The roofline: what a loop computes for each byte against what it computes in a second, below the roofs that the machine was measured
//! to have.
//!
//! Source: S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model" (2009).

use std::fmt::Write as _;

use super::chart::{self, Log, Rect, positive};
use super::marks::{icon, marker};
use super::verdict::{median, ran};
use super::words::{Text, count, digits, percent, plain, short};
use crate::backend::Backend;
use crate::bench::{Loop, Machine, Results, Roof, Size};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 744.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 392.0;

/// A loop on a backend at the size where it computes the most per second.
struct Best<'a> {
    of: &'a Loop,
    backend: Backend,
    size: &'a Size,
    /// Operations per byte.
    intensity: f64,
    /// Operations per nanosecond.
    rate: f64,
}

fn best<'a>(of: &'a Loop, backend: Backend) -> Option<Best<'a>> {
    let at = |size: &'a Size| {
        let intensity = positive(size.flops / size.bytes)?;
        let rate = positive(size.flops / median(size, backend)?)?;
        Some(Best { of, backend, size, intensity, rate })
    };
    of.sizes.iter().filter_map(at).max_by(|a, b| a.rate.total_cmp(&b.rate))
}

pub(super) fn draw(out: &mut String, results: &Results) {
    // Writing to a String cannot fail, here and below.
    out.push_str("<section id=roofline><h2>Roofline</h2>");
    let roofs: Vec<&Roof> = results
        .machine
        .roofs
        .iter()
        .filter(|roof| {
            positive(roof.flops).is_some() && roof.bandwidths.iter().any(|b| positive(b.rate).is_some())
        })
        .collect();
    let points: Vec<Vec<Best<'_>>> = results
        .loops
        .iter()
        .map(|of| ran(of).into_iter().filter_map(|backend| best(of, backend)).collect())
        .filter(|points: &Vec<Best<'_>>| !points.is_empty())
        .collect();
    if roofs.is_empty() || points.is_empty() {
        out.push_str(if roofs.is_empty() {
            "<p>Not drawn: these results do not say what the machine can do at best.</p></section>"
        } else {
            "<p>Not drawn: no loop was measured whose operations are counted.</p></section>"
        });
        return;
    }
    let _ = write!(
        out,
        "<p class=note>Each loop at the size where a backend computes the most per second. A loop on its roof can get no faster: under \
         the slope memory is the limit, under the flat part arithmetic. Solid: from main memory; dotted: from the nearest cache.{}</p>\
         <div class=roofs><div class=scroll>",
        if results.loops.iter().any(|of| of.integer) {
            " Loops marked ° count operations on whole numbers."
        } else {
            ""
        }
    );
    let knees = roofs.iter().flat_map(|roof| {
        let slopes = [roof.bandwidths.first(), roof.bandwidths.last()];
        slopes.into_iter().flatten().map(|b| roof.flops / b.rate)
    });
    let all = || points.iter().flatten();
    let x = Log::new(all().map(|p| p.intensity).chain(knees), LEFT, RIGHT).map(|x| x.wider(2.5));
    let y = Log::new(all().map(|p| p.rate).chain(roofs.iter().map(|roof| roof.flops)), BOTTOM, TOP);
    let (Some(x), Some(y)) = (x, y.map(|y| y.wider(1.8))) else { return };
    let _ = write!(
        out,
        "<svg class=\"chart wide\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-labelledby=\"t-roof d-roof\">\
         <title id=t-roof>Roofline</title><desc id=d-roof>Operations per second against operations per byte, with the machine's roofs.</desc>\
         <clipPath id=plot><rect x={LEFT} y={TOP} width={} height={} /></clipPath>",
        RIGHT - LEFT,
        BOTTOM - TOP
    );
    axes(out, &x, &y);
    // All markers first: a label must cover none of them.
    let place = |point: &Best<'_>| (x.at(point.intensity), y.at(point.rate));
    let around = |point| {
        let (x, y) = place(point);
        [x - 6.0, y - 6.0, x + 6.0, y + 6.0]
    };
    let mut taken: Vec<Rect> = all().map(around).collect();
    for roof in roofs {
        draw_roof(out, roof, &x, &y, &mut taken);
    }
    draw_points(out, &points, place, &mut taken);
    out.push_str("</svg></div>");
    shares(out, results, &points);
    out.push_str("</div></section>");
}

/// How near each loop comes to the roof of the backend that computes the most.
fn shares(out: &mut String, results: &Results, points: &[Vec<Best<'_>>]) {
    out.push_str(
        "<table><thead><tr><th scope=col>loop<th scope=col>best on<th scope=col>GFLOP/s<th scope=col>of the roof</thead><tbody>",
    );
    for top in points.iter().filter_map(|of| of.iter().max_by(|a, b| a.rate.total_cmp(&b.rate))) {
        let _ = write!(
            out,
            "<tr><th scope=row>{}{}<td>{}{}<td>{}<td>{}",
            Text(&short(&top.of.name, 28)),
            if top.of.integer { "°" } else { "" },
            icon(top.backend),
            top.backend,
            digits(top.rate),
            share(&results.machine, top.backend, top.size, top.size.flops / top.rate),
        );
    }
    out.push_str("</tbody></table>");
}

fn axes(out: &mut String, x: &Log, y: &Log) {
    let _ = write!(
        out,
        "<text class=axis-title x=0 y=12>GFLOP/s</text><text class=axis-title text-anchor=middle x={:.1} y={:.1}>\
         arithmetic intensity, operations per byte</text>",
        (LEFT + RIGHT) / 2.0,
        HEIGHT - 8.0
    );
    for value in y.ticks(8) {
        let at = y.at(value);
        let _ = write!(
            out,
            "<path class=grid d=\"M{LEFT} {at:.1}H{RIGHT}\"/><text class=tick text-anchor=end x={:.1} y={:.1}>{}</text>",
            LEFT - 7.0,
            at + 4.0,
            plain(value)
        );
    }
    for value in x.ticks(9) {
        let at = x.at(value);
        let _ = write!(
            out,
            "<path class=grid d=\"M{at:.1} {TOP}V{BOTTOM}\"/><text class=tick text-anchor=middle x={at:.1} y={:.1}>{}</text>",
            BOTTOM + 17.0,
            plain(value)
        );
    }
}

fn draw_roof(out: &mut String, roof: &Roof, x: &Log, y: &Log, taken: &mut Vec<Rect>) {
    let rates: Vec<f64> = roof.bandwidths.iter().filter_map(|bandwidth| positive(bandwidth.rate)).collect();
    let (Some(&nearest), Some(&farthest)) = (rates.first(), rates.last()) else { return };
    let backend = roof.backend;
    let _ = write!(out, "<g class=\"roof {backend}\">");
    let slopes = [(farthest, "line main"), (nearest, "line cache")];
    for (rate, class) in &slopes[..if nearest == farthest { 1 } else { 2 }] {
        let knee = roof.flops / rate;
        // A scale ends at its edges, and a slope does not: both of its ends are computed.
        let start = (y.low / rate).max(x.low);
        let _ = write!(
            out,
            "<path class=\"{class}\" clip-path=\"url(#plot)\" d=\"{}\"/>",
            chart::line(
                [(start, start * rate), (knee, roof.flops), (x.high, roof.flops)]
                    .map(|(a, b)| Some((x.at(a), y.at(b))))
            )
        );
    }
    let text = format!("{backend} {} GFLOP/s", digits(roof.flops));
    let (at, right) = (y.at(roof.flops), RIGHT - 4.0);
    let _ = write!(out, "<text class=label text-anchor=end x={right:.1} y={:.1}>{text}</text>", at - 5.0);
    taken.push([right - chart::width(&text, 12.0), at - 18.0, right, at]);
    // Along the slope, where it covers no marker.
    let angle = -(y.decade().abs() / x.decade()).atan();
    let text = format!("{} GB/s", digits(farthest));
    let length = chart::width(&text, 12.0);
    let (dx, dy) = (angle.cos() * length, angle.sin() * length);
    let foot = (y.low / farthest).max(x.low);
    let feet: Vec<(f64, f64)> = (1..12)
        .map(|step| foot * 1.25_f64.powi(step))
        .map(|foot| (x.at(foot), y.at(foot * farthest)))
        .filter(|(fx, fy)| fx + dx < x.at(roof.flops / farthest) && *fy < BOTTOM)
        .collect();
    let around: Vec<Rect> = feet.iter().map(|&(fx, fy)| [fx - 4.0, fy + dy - 14.0, fx + dx, fy]).collect();
    if let Some(best) = chart::place(&around, taken, [LEFT, TOP, RIGHT, BOTTOM]) {
        let (fx, fy) = feet[best];
        let _ = write!(
            out,
            "<text class=label transform=\"translate({fx:.1} {fy:.1}) rotate({:.1})\" dy=-5>{text}</text>",
            angle.to_degrees()
        );
        taken.push(around[best]);
    }
    out.push_str("</g>");
}

fn draw_points(
    out: &mut String,
    points: &[Vec<Best<'_>>],
    place: impl Fn(&Best<'_>) -> (f64, f64),
    taken: &mut Vec<Rect>,
) {
    for of in points {
        out.push_str("<g class=loop>");
        let _ = write!(
            out,
            "<path class=joint d=\"{}\"/>",
            chart::line(of.iter().map(|point| Some(place(point))))
        );
        for point in of {
            let (px, py) = place(point);
            let _ = write!(
                out,
                "<g class=\"hit {}\"><path class=fill d=\"{}\"/><title>{}</title></g>",
                point.backend,
                marker(point.backend, px, py, 4.5),
                Text(&format!(
                    "{} on {}\nat {} elements: {} GFLOP/s, {} operations per byte",
                    short(&point.of.name, 60),
                    point.backend,
                    count(point.size.n),
                    digits(point.rate),
                    digits(point.intensity),
                ))
            );
        }
        out.push_str("</g>");
    }
    // The names last: no marker covers one.
    for of in points {
        label(out, of, &place, taken);
    }
}

/// One name for all points of a loop, at its highest.
fn label(out: &mut String, of: &[Best<'_>], place: impl Fn(&Best<'_>) -> (f64, f64), taken: &mut Vec<Rect>) {
    let Some(top) = of.iter().max_by(|a, b| a.rate.total_cmp(&b.rate)) else { return };
    let name = short(&top.of.name, 28) + if top.of.integer { "°" } else { "" };
    let (w, h) = (chart::width(&name, 12.0), 13.0);
    let around = |(x, y): (f64, f64)| {
        // Beside, above, below, and at the corners: where the rectangle's left upper corner is.
        let (left, right, middle) = (x - 8.0 - w, x + 8.0, x - w / 2.0);
        let (above, below, level) = (y - 7.0 - h, y + 7.0, y - h / 2.0);
        [(right, level), (left, level), (middle, above), (middle, below)]
            .into_iter()
            .chain([(right, above), (right, below), (left, above), (left, below)])
            .map(|(left, top)| [left, top, left + w, top + h])
    };
    let candidates: Vec<Rect> = of.iter().rev().flat_map(|point| around(place(point))).collect();
    let Some(best) = chart::place(&candidates, taken, [LEFT, TOP, RIGHT, BOTTOM]) else { return };
    let rect = candidates[best];
    taken.push(rect);
    let _ = write!(
        out,
        "<text class=\"label ink\" text-anchor=middle x={:.1} y={:.1}>{}</text>",
        (rect[0] + rect[2]) / 2.0,
        rect[3] - 3.0,
        Text(&name)
    );
}

/// The share of a backend's roof that a time reaches, as text: `31 %`.
pub(super) fn share(machine: &Machine, backend: Backend, size: &Size, ns: f64) -> String {
    let roof = machine.roofs.iter().find(|roof| roof.backend == backend);
    let share = roof.and_then(|roof| roof.share(size.bytes, size.flops, ns));
    share.map_or_else(|| "–".to_owned(), percent)
}
