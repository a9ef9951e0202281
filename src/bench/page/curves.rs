//! A loop's chart: time per element against size, one line per backend; below it, on the same axis, who was the fastest and whom the
//! dispatcher chose.

use std::fmt::Write as _;

use super::chart::{self, Log, positive};
use super::marks::marker;
use super::overview;
use super::verdict::{self, median, ran, timing};
use super::words::{Text, about, count, percent, rate, short, signed, tick, time, time_tick};
use crate::backend::Backend;
use crate::bench::{Loop, Results, Size};

const WIDTH: f64 = 450.0;
const HEIGHT: f64 = 308.0;
const LEFT: f64 = 54.0;
/// Lines end here; their labels follow.
const RIGHT: f64 = 344.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 232.0;
/// The two strips: top and height.
const FASTEST: (f64, f64) = (241.0, 5.0);
const CHOSEN: (f64, f64) = (250.0, 14.0);
const GAP: f64 = 14.0;

pub(super) fn draw(out: &mut String, results: &Results, of: &Loop, id: usize) {
    let axis = |value: f64| positive(value);
    let per = |size: &Size, ns: f64| axis(ns / size.n as f64);
    let heights = of.sizes.iter().flat_map(|size| {
        size.points.iter().flat_map(move |p| [p.time.median, p.time.low, p.time.high].map(|ns| per(size, ns)))
    });
    let (Some(x), Some(y)) =
        (overview::sizes(results, LEFT, RIGHT), Log::new(heights.flatten(), BOTTOM - 4.0, TOP + 6.0))
    else {
        out.push_str("<p class=note>No time of this loop can be drawn.</p>");
        return;
    };
    let name = short(&of.name, 80);
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        out,
        "<svg class=chart viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-labelledby=\"t{id} d{id}\">\
         <title id=t{id}>{0}: time per {1} against size</title><desc id=d{id}>{2}</desc>",
        Text(&name),
        Text(&verdict::element(of)),
        Text(&verdict::headline(of)),
    );
    axes(out, of, &x, &y);
    crossovers(out, of, &x);
    strips(out, of, &x);
    let mut labels = Vec::new();
    for backend in ran(of) {
        labels.extend(line(of, backend, &x, &y));
    }
    write_labels(out, &mut labels);
    hovers(out, of, &x);
    out.push_str("</svg>");
}

fn axes(out: &mut String, of: &Loop, x: &Log, y: &Log) {
    let _ = write!(out, "<text class=axis-title x=0 y=12>time per {}</text>", Text(&verdict::element(of)));
    for value in y.ticks(7) {
        let at = y.at(value);
        let _ = write!(
            out,
            "<path class=grid d=\"M{LEFT} {at:.1}H{RIGHT}\"/><text class=tick text-anchor=end x={:.1} y={:.1}>{}</text>",
            LEFT - 7.0,
            at + 4.0,
            time_tick(value)
        );
    }
    let below = CHOSEN.0 + CHOSEN.1;
    for n in x.ticks(8) {
        let at = x.at(n);
        let _ = write!(
            out,
            "<path class=grid d=\"M{at:.1} {TOP}V{:.1}\"/><text class=tick text-anchor=middle x={at:.1} y={:.1}>{}</text>",
            below + 4.0,
            below + 18.0,
            tick(n)
        );
    }
    let _ = write!(
        out,
        "<text class=axis-title text-anchor=middle x={:.1} y={:.1}>{}</text>",
        (LEFT + RIGHT) / 2.0,
        below + 36.0,
        Text(&verdict::elements(of))
    );
}

fn crossovers(out: &mut String, of: &Loop, x: &Log) {
    let mut free = f64::INFINITY;
    // The last one first: if there is no place for all, it is the one that the headline names.
    for crossover in of.crossovers.iter().rev() {
        let Some(n) = positive(crossover.n) else { continue };
        let at = x.at(n);
        let _ = write!(out, "<path class=crossover d=\"M{at:.1} {TOP}V{:.1}\"/>", FASTEST.0 + FASTEST.1);
        let label = about(n);
        let half = chart::width(&label, 12.0) / 2.0;
        if at + half < free {
            let _ = write!(
                out,
                "<text class=cross text-anchor=middle x={at:.1} y={:.1}>{label}</text>",
                TOP - 6.0
            );
            free = at - half - 6.0;
        }
    }
}

fn strips(out: &mut String, of: &Loop, x: &Log) {
    let edges = overview::edges(of);
    let (mut fastest, mut chosen) = (String::new(), String::new());
    for (size, edge) in of.sizes.iter().zip(edges.windows(2)) {
        let (left, right) = (x.at(edge[0]), x.at(edge[1]));
        let width = (right - left).max(0.5);
        if let Some(winner) = size.winner {
            let tie = if size.tie { " tied" } else { "" };
            let _ = write!(
                fastest,
                "<rect class=\"fill {winner}{tie}\" x={left:.1} y={} width={width:.1} height={} />",
                FASTEST.0, FASTEST.1
            );
        }
        if let Some(dispatcher) = &size.dispatcher {
            let (choice, middle) = (dispatcher.choice, CHOSEN.0 + CHOSEN.1 / 2.0);
            let _ = write!(
                chosen,
                "<rect class=\"fill {choice}\" x={left:.1} y={} width={width:.1} height={} />\
                 <path class=on d=\"{}\"/>",
                CHOSEN.0,
                CHOSEN.1,
                marker(choice, (left + right) / 2.0, middle, (width / 3.2).min(3.2))
            );
        }
    }
    let mut row = |name: &str, (top, height): (f64, f64), cells: &str| {
        if !cells.is_empty() {
            let _ = write!(
                out,
                "<text class=tick text-anchor=end x={:.1} y={:.1}>{name}</text>{cells}",
                LEFT - 7.0,
                top + height / 2.0 + 4.0
            );
        }
    };
    row("fastest", (FASTEST.0 - 2.0, FASTEST.1), &fastest);
    row("chosen", CHOSEN, &chosen);
}

/// A line's end, and what stands there.
struct Label {
    backend: Backend,
    x: f64,
    y: f64,
    value: String,
    line: String,
}

/// The line of one backend, thick with full markers where it is the fastest.
fn line(of: &Loop, backend: Backend, x: &Log, y: &Log) -> Option<Label> {
    let place = |size: &Size| {
        let per = positive(median(size, backend)? / size.n as f64)?;
        Some((x.at(size.n as f64), y.at(per)))
    };
    let places: Vec<Option<(f64, f64)>> = of.sizes.iter().map(place).collect();
    let mut interval = String::new();
    let mut run = Vec::new();
    for (size, place) in of.sizes.iter().zip(&places) {
        let Some((at, _)) = place else {
            interval += &chart::band(&std::mem::take(&mut run));
            continue;
        };
        if let Some(time) = timing(size, backend) {
            let edge = |ns: f64| positive(ns / size.n as f64).unwrap_or(time.median / size.n as f64);
            run.push((*at, y.at(edge(time.low)), y.at(edge(time.high))));
        }
    }
    interval += &chart::band(&run);
    let won = |i: usize| of.sizes[i].winner == Some(backend);
    let thick: String = places
        .windows(2)
        .enumerate()
        .filter(|(i, pair)| won(*i) && won(i + 1) && pair.iter().all(Option::is_some))
        .map(|(_, pair)| chart::line(pair.iter().copied()))
        .collect();
    let mut markers = [String::new(), String::new()];
    for (i, place) in places.iter().enumerate() {
        if let Some((x, y)) = place {
            markers[usize::from(won(i))] += &marker(backend, *x, *y, 3.0);
        }
    }
    let [lost, won] = markers;
    let line = format!(
        "<path class=band d=\"{interval}\"/><path class=line d=\"{}\"/><path class=\"line thick\" d=\"{thick}\"/>\
         <path class=hollow d=\"{lost}\"/><path class=fill d=\"{won}\"/>",
        chart::line(places.iter().copied())
    );
    let (i, (x, y)) = places.iter().enumerate().rev().find_map(|(i, place)| Some((i, (*place)?)))?;
    let value = median(&of.sizes[i], backend).map_or(f64::NAN, |median| median / of.sizes[i].n as f64);
    Some(Label { backend, x, y, value: time(value), line })
}

fn write_labels(out: &mut String, labels: &mut [Label]) {
    // Labels of lines that end at other sizes stand elsewhere, but may be as long as to meet these.
    let mut heights: Vec<f64> = labels.iter().map(|label| label.y).collect();
    chart::dodge(&mut heights, GAP, TOP, BOTTOM);
    for (label, y) in labels.iter().zip(heights) {
        let Label { backend, x, value, line, .. } = label;
        let _ = write!(
            out,
            "<g class=\"series {backend}\">{line}<text class=label x={:.1} y={:.1}><tspan class=name>{backend}</tspan> {value}</text></g>",
            x + 8.0,
            y + 4.0
        );
    }
}

/// A column for each size that tells its numbers to a pointer: without a script by the browser's own means.
fn hovers(out: &mut String, of: &Loop, x: &Log) {
    let edges = overview::edges(of);
    for (size, edge) in of.sizes.iter().zip(edges.windows(2)) {
        let (left, right, middle) = (x.at(edge[0]), x.at(edge[1]), x.at(size.n.max(1) as f64));
        let _ = write!(
            out,
            "<g class=hit><rect x={left:.1} y={TOP} width={:.1} height={:.1} /><path d=\"M{middle:.1} {TOP}V{BOTTOM}\"/><title>{}</title></g>",
            (right - left).max(0.5),
            CHOSEN.0 + CHOSEN.1 - TOP,
            Text(&numbers(of, size))
        );
    }
}

fn numbers(of: &Loop, size: &Size) -> String {
    let mut text = format!("{} {}", count(size.n), verdict::elements(of));
    if let Some(label) = &size.label {
        let _ = write!(text, " ({})", short(label, 40));
    }
    for point in &size.points {
        let median = point.time.median;
        let _ = write!(
            text,
            "\n{}: {} per {} ± {}, {} a call, {} GB/s",
            point.backend,
            time(median / size.n as f64),
            verdict::element(of),
            percent(point.time.precision()),
            time(median),
            rate(size.bytes / median)
        );
    }
    for absent in &size.absent {
        let _ = write!(text, "\n{}: {}", absent.backend, short(&absent.reason, 120));
    }
    if size.tie {
        text += "\ntoo close to tell who is the fastest";
    }
    if let Some(dispatcher) = &size.dispatcher {
        let _ = write!(text, "\ndispatcher: {}, {}", dispatcher.choice, time(dispatcher.time.median));
        if let Some(regret) = dispatcher.regret {
            let _ = write!(text, ", regret {}", signed(regret));
        }
    }
    text
}
