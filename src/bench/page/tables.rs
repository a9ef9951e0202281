//! The numbers behind the charts as tables, and where they come from: machine, versions, command, method.

use std::fmt::Write as _;

use super::marks::icon;
use super::verdict::{ran, timing};
use super::words::{Text, count, date, percent, rate, short, signed, time};
use super::{roofline, verdict};
use crate::backend::Backend;
use crate::bench::{Loop, Results, Size};

pub(super) fn draw(out: &mut String, results: &Results) {
    if results.loops.is_empty() {
        return;
    }
    // Writing to a String cannot fail, here and below.
    out.push_str(
        "<section id=numbers><h2>The numbers</h2><p class=note>Medians, with half the width of their 95 % confidence interval. \
         ✓ the fastest, ≈ too close to tell, → the dispatcher's choice. Roof: the share of what memory or arithmetic gives at best.</p>",
    );
    for (i, of) in results.loops.iter().enumerate() {
        let _ = write!(out, "<details id=\"table-{i}\"><summary>{}", Text(&short(&of.name, 80)));
        if !of.what.is_empty() {
            let _ = write!(out, " <span class=note>{}</span>", Text(&short(&of.what, 200)));
        }
        out.push_str("</summary>");
        table(out, results, of);
        out.push_str("</details>");
    }
    out.push_str("</section>");
}

fn table(out: &mut String, results: &Results, of: &Loop) {
    let backends = ran(of);
    let unit = if of.integer { "Gop/s" } else { "GFLOP/s" };
    let _ = write!(
        out,
        "<div class=scroll><table class=numbers><thead><tr><th scope=col rowspan=2>{}",
        Text(&verdict::elements(of))
    );
    for backend in &backends {
        let _ = write!(out, "<th scope=colgroup colspan=5 class=group>{}{backend}", icon(*backend));
    }
    out.push_str("<th scope=colgroup colspan=3 class=group>dispatcher<tr>");
    for _ in &backends {
        let _ = write!(
            out,
            "<th scope=col class=group>per {}<th scope=col>±<th scope=col>GB/s<th scope=col>{unit}<th scope=col>roof",
            Text(&verdict::element(of))
        );
    }
    out.push_str("<th scope=col class=group>per call<th scope=col>regret<th scope=col>noise</thead><tbody>");
    for size in &of.sizes {
        let _ = write!(out, "<tr><th scope=row>{}", count(size.n));
        if let Some(label) = &size.label {
            let _ = write!(out, "<small>{}</small>", Text(&short(label, 40)));
        }
        for backend in &backends {
            cells(out, results, size, *backend);
        }
        dispatcher(out, size);
    }
    out.push_str("</tbody></table></div>");
    for absent in
        of.sizes.iter().flat_map(|size| size.absent.iter().map(move |absent| (size, absent))).take(40)
    {
        let (size, absent) = absent;
        let _ = write!(
            out,
            "<p class=note>{} at {}: {}</p>",
            absent.backend,
            count(size.n),
            Text(&short(&absent.reason, 400))
        );
    }
}

fn cells(out: &mut String, results: &Results, size: &Size, backend: Backend) {
    let Some(timing) = timing(size, backend) else {
        let why = size.absent.iter().find(|absent| absent.backend == backend);
        let why = why.map_or("not measured", |absent| &absent.reason);
        let _ = write!(
            out,
            "<td class=group colspan=5><span class=note title=\"{}\">not run</span>",
            Text(&short(why, 400))
        );
        return;
    };
    let won = size.winner == Some(backend);
    let mark = match (won, size.tie) {
        (true, false) => "✓\u{a0}",
        (true, true) => "≈\u{a0}",
        _ => "",
    };
    let chosen = size.dispatcher.as_ref().is_some_and(|dispatcher| dispatcher.choice == backend);
    let median = timing.median;
    let _ = write!(
        out,
        "<td class=\"group{}\">{}{mark}{}<td>{}<td>{}<td>{}<td>{}",
        if won { " won" } else { "" },
        if chosen { "→\u{a0}" } else { "" },
        time(median / size.n as f64),
        percent(timing.precision()),
        rate(size.bytes / median),
        rate(size.flops / median),
        roofline::share(&results.machine, backend, size, median),
    );
}

fn dispatcher(out: &mut String, size: &Size) {
    let Some(dispatcher) = &size.dispatcher else {
        out.push_str("<td class=group>–<td>–<td>–");
        return;
    };
    let or_none = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), signed);
    let _ = write!(
        out,
        "<td class=group>{}<td>{}<td>{}",
        time(dispatcher.time.median),
        or_none(dispatcher.regret),
        or_none(dispatcher.floor)
    );
}

/// Where the numbers come from, so that they can be made again.
pub(super) fn origin(out: &mut String, results: &Results) {
    let (machine, settings) = (&results.machine, &results.settings);
    let _ = write!(
        out,
        "<section id=origin><h2>How it was measured</h2><p>Samples of all backends and of the dispatcher were taken in turns, in random \
         order, on the same random inputs, until each median was known to ± {} or {} of measuring were over{}. A time is the median of \
         its samples, with a 95 % confidence interval from order statistics{}.</p><dl>",
        percent(settings.precision),
        time(settings.budget * 1e9),
        if results.interrupted { " (it was stopped before)" } else { "" },
        if settings.resident {
            "; data stayed where it was last used, so no time holds a transfer to or from a GPU"
        } else {
            "; a GPU's times hold the transfers there and back"
        },
    );
    let mut row = |name: &str, value: &str| {
        if !value.trim().is_empty() {
            let _ = write!(out, "<dt>{name}<dd>{}", Text(&short(value, 1000)));
        }
    };
    row("CPU", &machine.cpu);
    row(
        "Loops on it use",
        &format!("{}, {} lanes of 32 bits; {} threads", machine.level, machine.lanes, machine.threads),
    );
    row("GPU", machine.adapter.as_deref().unwrap_or_default());
    row("Driver", machine.driver.as_deref().unwrap_or_default());
    row("System", &format!("{} {}", machine.os, machine.arch));
    for absent in &results.absent {
        row("Not measured", &format!("{}: {}", absent.backend, absent.reason));
    }
    row("forall", &format!("{} ({} build)", machine.library, machine.build));
    row("Date", &format!("{}, {} long", date(&results.date), time(results.seconds * 1e9)));
    row("Seed", &settings.seed.to_string());
    if !results.command.is_empty() {
        let _ = write!(out, "<dt>Command<dd><code>{}</code>", Text(&short(&command(&results.command), 4000)));
    }
    out.push_str("</dl></section>");
}

/// The command as a shell takes it.
fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=+.,:/@%".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
