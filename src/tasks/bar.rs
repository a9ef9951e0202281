//! A bar on the terminal for a loop that takes long.

use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::meter::Pace;

/// A loop that is over by then needs no bar.
const AFTER: Duration = Duration::from_secs(1);

/// So often the time on the bar moves on.
const TICK: Duration = Duration::from_millis(500);

/// What shows a bar with that name. Where the standard error is no terminal, nothing is shown.
pub(super) fn bar(name: &str) -> impl FnMut(&Pace) + Send + 'static {
    let name = name.to_owned();
    let mut shown = None;
    move |pace| {
        if pace.elapsed() < AFTER {
            return;
        }
        let Shown(bar) = shown.get_or_insert_with(|| Shown::new(name.clone(), pace));
        bar.set_message(pace.to_string());
        bar.set_position(pace.done() as u64);
    }
}

/// A bar that stays, as it is, when the loop has ended.
struct Shown(ProgressBar);

impl Shown {
    fn new(name: String, pace: &Pace) -> Self {
        let template = if pace.total().is_some() {
            "{prefix} {bar:30} {msg} [{elapsed}]"
        } else {
            "{prefix} {spinner} {msg} [{elapsed}]"
        };
        // Both are valid; indicatif's own style is not worth an error.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let length = pace.total().map(|total| total as u64);
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden())
            .with_style(style)
            .with_prefix(name)
            .with_message(pace.to_string())
            .with_position(pace.done() as u64)
            .with_elapsed(pace.elapsed());
        // Bars of several loops have a line each.
        static BARS: OnceLock<MultiProgress> = OnceLock::new();
        let bar = BARS.get_or_init(MultiProgress::new).add(bar);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
