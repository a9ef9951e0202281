//! What has changed since an earlier run, where there is one to compare with.

use std::fmt::Write as _;

use super::marks::icon;
use super::words::{Text, count, percent, short, time, times};
use crate::bench::{Change, Changed};

/// So many changes are listed of either kind; the command line prints all.
const MOST: usize = 20;

/// In a sentence.
pub(super) fn summary(change: &Change) -> String {
    let points = |n: usize| if n == 1 { "1 point".to_owned() } else { format!("{} points", count(n)) };
    let of = points(change.compared);
    match (&change.slower[..], &change.faster[..]) {
        _ if change.compared == 0 => "The baseline has no point in common with this run.".to_owned(),
        ([], []) => format!("Since the baseline nothing has changed, of {of}."),
        ([], faster) => {
            format!("Since the baseline {} of {of} became faster, none slower.", count(faster.len()))
        }
        ([worst, ..], faster) => format!(
            "Since the baseline {} of {of} became slower, {} at worst, and {} faster.",
            count(change.slower.len()),
            times(worst.ratio()),
            count(faster.len())
        ),
    }
}

pub(super) fn draw(out: &mut String, change: &Change) {
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        out,
        "<section id=change><h2>Since the baseline</h2><p>{}</p><p class=note>A change counts over ± {}, where the confidence intervals \
         do not overlap.",
        Text(&summary(change)),
        percent(change.margin)
    );
    if change.missing > 0 {
        let _ = write!(out, " {} points of the baseline were not measured now.", count(change.missing));
    }
    out.push_str("</p>");
    for other in &change.elsewhere {
        let _ = write!(out, "<p class=warning>Measured otherwise: {}</p>", Text(&short(other, 400)));
    }
    out.push_str("<div class=pair>");
    table(out, "Slower", &change.slower);
    table(out, "Faster", &change.faster);
    out.push_str("</div></section>");
}

fn table(out: &mut String, what: &str, points: &[Changed]) {
    if points.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "<div class=scroll><table class=numbers><caption>{what}</caption><thead><tr><th scope=col>loop<th scope=col>elements\
         <th scope=col>on<th scope=col>before<th scope=col>now<th scope=col>times</thead><tbody>"
    );
    for point in points.iter().take(MOST) {
        let who =
            point.backend.map_or_else(|| "dispatcher".to_owned(), |backend| icon(backend) + backend.name());
        let ratio = point.ratio();
        let _ = write!(
            out,
            "<tr><th scope=row>{}<td>{}<td>{who}<td>{}<td>{}<td class=won>{}",
            Text(&short(&point.name, 40)),
            count(point.n),
            time(point.before),
            time(point.now),
            times(ratio.max(1.0 / ratio))
        );
    }
    out.push_str("</tbody></table>");
    if points.len() > MOST {
        let _ = write!(out, "<p class=note>And {} more.</p>", count(points.len() - MOST));
    }
    out.push_str("</div>");
}
