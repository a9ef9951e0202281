//! The results as one page for people: charts, words, tables. A file of its own: it loads nothing, needs no script (the one it has turns
//! the browser's hints into readable ones), and takes its colours from the reader's preference, in light, in dark and on paper.
//!
//! Nothing here measures. Whatever comes from outside (names, reasons, the command) passes through `words::Text`.

mod change;
mod chart;
mod curves;
mod marks;
mod overview;
mod regret;
mod roofline;
mod tables;
#[cfg(test)]
mod tests;
mod verdict;
mod words;

use std::fmt::Write as _;

use crate::bench::{Change, Loop, Results};
use words::{Text, date, percent, short};

/// The page, as HTML; with what [`Results::since`] an earlier run has changed, if there is one.
///
/// ```no_run
/// use forall::bench::{Results, page};
///
/// let results = Results::from_json("now.json", &std::fs::read_to_string("now.json")?)?;
/// std::fs::write("report.html", page::render(&results, None))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn render(results: &Results, change: Option<&Change>) -> String {
    let mut out = String::with_capacity(1 << 17);
    head(&mut out, results, change);
    out.push_str("<main>");
    if results.loops.is_empty() {
        out.push_str("<p>These results hold no loop.</p>");
    } else {
        overview::draw(&mut out, results);
        loops(&mut out, results);
        regret::draw(&mut out, results);
        roofline::draw(&mut out, results);
    }
    if let Some(change) = change {
        change::draw(&mut out, change);
    }
    tables::draw(&mut out, results);
    tables::origin(&mut out, results);
    out.push_str("</main><div id=tip hidden></div><script>");
    out.push_str(include_str!("script.js"));
    out.push_str("</script></body></html>\n");
    out
}

fn head(out: &mut String, results: &Results, change: Option<&Change>) {
    let machine = &results.machine;
    let names = results.loops.iter().map(|of| short(&of.name, 40)).collect::<Vec<_>>().join(", ");
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <meta name=color-scheme content=\"light dark\"><meta name=generator content=\"forall {0}\"><title>{1}</title><style>{2}</style></head>\
         <body><header><p class=kicker>forall bench<h1>{3}</h1>",
        Text(&short(&machine.library, 40)),
        Text(&short(&format!("forall bench: {names}"), 160)),
        include_str!("style.css"),
        Text(&verdict::summary(results)),
    );
    if let Some(regret) = &results.regret {
        let (cost, noise) = (regret.time_weighted, regret.floor_time_weighted);
        let _ = if cost > noise {
            write!(
                out,
                "<p class=lead>The dispatcher's own choices took {} longer than the best ones would have (noise alone: {}).",
                percent(cost),
                percent(noise)
            )
        } else {
            write!(
                out,
                "<p class=lead>What the dispatcher's own choices cost is within the noise, {}.",
                percent(noise)
            )
        };
    }
    if results.settings.cold {
        out.push_str("<p class=lead>Every sample is the first call of a process of its own: compiling and starting up are in all times.");
    }
    if let Some(change) = change {
        let _ = write!(out, "<p class=lead>{}</p>", Text(&change::summary(change)));
    }
    let mut facts = vec![machine.cpu.clone(), format!("{} threads", machine.threads), machine.level.clone()];
    facts.extend(machine.adapter.clone());
    facts.push(date(&results.date));
    facts.push(format!("forall {}", machine.library));
    facts.retain(|fact| !fact.trim().is_empty());
    let facts: Vec<String> =
        facts.iter().map(|fact| format!("<span>{}</span>", Text(&short(fact, 120)))).collect();
    let _ = write!(out, "<p class=facts>{}</p>", facts.join(" "));
    for absent in &results.absent {
        let reason = Text(&short(&absent.reason, 400)).to_string();
        let _ = write!(out, "<p class=facts><b>{}</b> was not measured: {reason}</p>", absent.backend);
    }
    if results.interrupted {
        out.push_str(
            "<p class=warning>Stopped before it was done: what is here holds, and may be less precise.</p>",
        );
    }
    if machine.build == "debug" {
        out.push_str("<p class=warning>A debug build of the library was measured: these times say nothing about a release build.</p>");
    }
    out.push_str("</header>");
}

fn loops(out: &mut String, results: &Results) {
    out.push_str(
        "<section id=loops><h2>Time per element against size</h2><p class=note>Both axes are logarithmic. Thick with full markers: the \
         fastest. Shaded: the 95 % confidence interval. Below: the fastest backend, and the one that the dispatcher chose.</p><div class=cards>",
    );
    for (i, of) in results.loops.iter().enumerate() {
        card(out, results, of, i);
    }
    out.push_str("</div></section>");
}

fn card(out: &mut String, results: &Results, of: &Loop, id: usize) {
    let _ = write!(out, "<article id=\"loop-{id}\"><h3>{}</h3>", Text(&short(&of.name, 80)));
    let _ = write!(out, "<p>{}</p>", Text(&verdict::headline(of)));
    let notes = verdict::others(results, of).join(". ");
    if !notes.is_empty() {
        let _ = write!(out, "<p class=note>{}.</p>", Text(&notes));
    }
    curves::draw(out, results, of, id);
    let _ = write!(out, "<p class=note><a href=\"#table-{id}\">numbers</a></p></article>");
}
