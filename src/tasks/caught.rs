//! Panics of user code, as the words of an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `f`; a panic becomes its message. (The panic hook has had its say by then.)
///
/// What `f` leaves half done must be thrown away by the caller, or be whole after any panic.
pub(super) fn caught<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(words)
}

fn words(payload: Box<dyn Any + Send>) -> String {
    let words = if let Some(text) = payload.downcast_ref::<&str>() {
        format!("panicked: {text}")
    } else if let Some(text) = payload.downcast_ref::<String>() {
        format!("panicked: {text}")
    } else {
        "panicked with a payload that is no text".to_owned()
    };
    drop_quietly(payload);
    words
}

/// Drops what a user made. Its `Drop` may panic, and what that panic carries may do so again: that one is leaked.
pub(super) fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        std::mem::forget(payload);
    }
}
