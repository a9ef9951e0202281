//! A sign of life on the terminal while something takes longer than a second.

use std::io::{self, IsTerminal};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Work shorter than this shows nothing.
const DELAY: Duration = Duration::from_secs(1);

/// Does `work` on this thread; after a second, if stderr is a terminal, a line there shows the time since the start. How much
/// is done is not known, so no share is shown.
pub(crate) fn watch<T>(what: &str, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        // Dropped when the work returns, or panics.
        let (_working, done) = mpsc::channel::<()>();
        scope.spawn(move || {
            if done.recv_timeout(DELAY) == Err(mpsc::RecvTimeoutError::Timeout) {
                let style = ProgressStyle::with_template("{spinner} {msg}: {elapsed_precise}");
                let bar = ProgressBar::new_spinner()
                    .with_style(style.expect("a valid template"))
                    .with_message(what.to_owned())
                    .with_elapsed(DELAY);
                while done.recv_timeout(Duration::from_millis(100)) == Err(mpsc::RecvTimeoutError::Timeout) {
                    bar.tick();
                }
                bar.finish_and_clear();
            }
        });
        work()
    })
}
