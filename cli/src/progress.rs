//! A sign of life on the terminal while something takes longer than a second.

use std::io::{self, IsTerminal};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use forall::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Work shorter than this shows nothing.
const DELAY: Duration = Duration::from_secs(1);

/// Does `work` on this thread; after a second, if stderr is a terminal, a line there shows the time since the start. How much
/// is done is not known, so no share is shown.
pub(crate) fn watch<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let style = ProgressStyle::with_template("{spinner} {msg}: {elapsed_precise}");
    show(
        || {
            ProgressBar::new_spinner()
                .with_style(style.expect("a valid template"))
                .with_message(what.to_owned())
        },
        ProgressBar::tick,
        work,
    )
}

/// The same for a loop of `n` elements whose `progress` is known: a bar, the rate and the time left.
pub(crate) fn count<T>(what: &str, n: usize, progress: &Progress, work: impl FnOnce() -> T) -> T {
    let style =
        ProgressStyle::with_template("{msg} [{bar:30}] {percent}% of {human_len}, {per_sec}, {eta} left");
    show(
        || {
            let style = style.expect("a valid template").progress_chars("=> ");
            ProgressBar::new(n as u64).with_style(style).with_message(what.to_owned())
        },
        |bar| bar.set_position(progress.done().min(n) as u64),
        work,
    )
}

/// Does `work`; after [`DELAY`], on a terminal, makes the bar and updates it until the work is done.
fn show<T>(
    make: impl FnOnce() -> ProgressBar + Send,
    update: impl Fn(&ProgressBar) + Send,
    work: impl FnOnce() -> T,
) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        // Dropped when the work returns, or panics.
        let (_working, done) = mpsc::channel::<()>();
        scope.spawn(move || {
            if done.recv_timeout(DELAY) == Err(mpsc::RecvTimeoutError::Timeout) {
                let bar = make().with_elapsed(DELAY);
                while done.recv_timeout(Duration::from_millis(100)) == Err(mpsc::RecvTimeoutError::Timeout) {
                    update(&bar);
                }
                bar.finish_and_clear();
            }
        });
        work()
    })
}
