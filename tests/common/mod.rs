//! For tests that must not hang.

#![allow(dead_code, reason = "each test is a crate that uses its own part")]

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What is to end soon: the test fails instead of hanging.
pub(crate) fn soon<R: Send + 'static>(what: &'static str, f: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, result) = mpsc::channel();
    let thread = thread::spawn(move || _ = sender.send(f()));
    match result.recv_timeout(Duration::from_secs(60)) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it sent nothing"))
        }
    }
}

/// Waits until it holds, for a minute at most.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} never came");
        thread::yield_now();
    }
}
