//! What the calling thread is at work on: the token that its body may ask.

use std::cell::RefCell;

use crate::cancel::Cancel;

thread_local! {
    static CURRENT: RefCell<Option<Cancel>> = const { RefCell::new(None) };
}

/// The token of the task or loop that the calling thread works on: set when that was cancelled, is over its time, or failed
/// elsewhere; of an item with a limit of its own, when that has passed. A body that takes long asks it now and then, or gives it to
/// the kernels that it launches. Outside of tasks and loops, a token that is never set.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use forall::{Error, tasks::{Pool, token}};
///
/// let search = Pool::default().over(0..4).timeout(Duration::from_millis(5)).map(|_| {
///     let token = token();
///     while !token.is_cancelled() {
///         std::hint::spin_loop();
///     }
/// });
/// assert!(matches!(search, Err(Error::TimeLimit { .. })));
/// ```
pub fn token() -> Cancel {
    surrounding().unwrap_or_default()
}

/// The token of what the calling thread works on, if it does.
pub(super) fn surrounding() -> Option<Cancel> {
    // Where a thread ends it may be gone: loops in the destructors of other thread-locals run all the same.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Makes `token` the calling thread's, until the guard is dropped.
pub(super) fn enter(token: &Cancel) -> Guard {
    Guard(CURRENT.try_with(|current| current.replace(Some(token.clone()))).ok().flatten())
}

pub(super) struct Guard(Option<Cancel>);

impl Drop for Guard {
    fn drop(&mut self) {
        _ = CURRENT.try_with(|current| current.replace(self.0.take()));
    }
}
