//! A bar on the terminal for a loop that takes long.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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
        bar.set_position(pace.done() as u64);
        bar.set_message(pace.to_string());
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
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr())
            .with_style(style)
            .with_prefix(name)
            .with_elapsed(pace.elapsed());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
