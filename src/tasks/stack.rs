//! Tasks that wait for tasks that wait for tasks: a worker runs what it waits for on its own stack, and goes on on another before that
//! one overflows, which would end the process.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::launches;
use super::task::{STAND_BY, stand_by};
use crate::exec::threads::Threads;

/// Tasks on one stack of a worker, which has 2 MiB: 16 KiB for each.
const SHALLOW: usize = 128;

/// Tasks on a stack that was made for them, and its size: address space until it is used.
const DEEP: usize = 4096;
const DEEP_STACK: usize = DEEP * (16 << 10);

thread_local! {
    /// Tasks that there is room for on this stack.
    static ROOM: Cell<usize> = const { Cell::new(SHALLOW) };

    /// Whether this is another stack of a worker.
    static FOR_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is another stack of a worker of some pool.
pub(super) fn for_worker() -> bool {
    FOR_WORKER.get()
}

/// Runs the body of a task, which does not panic, and returns what it gives. On another thread if this stack is full of tasks; this
/// one waits meanwhile, so no more threads are at work than before.
pub(super) fn deeper<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    let room = ROOM.get();
    if room == 0 {
        return on_another(body);
    }
    ROOM.set(room - 1);
    let result = body();
    ROOM.set(room);
    result
}

fn on_another<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    let (worker, launcher) = (for_worker() || Threads::on_worker(), launches::is_here());
    let body = Mutex::new(Some(body));
    let take = || body.lock().unwrap_or_else(PoisonError::into_inner).take();
    let run = || {
        ROOM.set(DEEP);
        FOR_WORKER.set(worker);
        launches::stand_in(launcher);
        take().map(|body| body())
    };
    let ran = thread::scope(|scope| {
        let builder = thread::Builder::new().name("forall-stack".to_owned()).stack_size(DEEP_STACK);
        let thread = builder.spawn_scoped(scope, run).ok()?;
        while Threads::on_worker() && !thread.is_finished() {
            stand_by();
            thread::park_timeout(STAND_BY);
        }
        thread.join().ok().flatten()
    });
    // Without another thread this stack has to do.
    ran.unwrap_or_else(|| take().expect("it was not run")())
}
