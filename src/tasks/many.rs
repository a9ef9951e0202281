//! Several tasks at once: as they are done, the first, all, the first error.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::task::{STAND_BY, ScopedTask, stand_by};
use crate::error::Result;
use crate::exec::threads::Threads;

/// The results of `tasks` as they are done, each with its number in `tasks`. Tasks of loops and launches of kernels mix, if they
/// give the same type.
///
/// Dropping the iterator drops the handles of the tasks that are left.
///
/// # Examples
/// ```
/// use forall::{Array, Dispatcher, Index, Kernel, tasks::{Pool, as_completed}};
///
/// let square = Kernel::map("fn square(i: u32) -> u32 { return i * i; }")?;
/// let on_a_kernel = Dispatcher::new().submit(move |forall| {
///     let out = Array::<u32>::zeros(100);
///     forall.run(&square, Index, &out)?;
///     out.read().map(|out| out.iter().sum::<u32>())
/// });
/// let in_a_closure = Pool::default().submit(|| (0..100).map(|i| i * i).sum());
/// for (_, sum) in as_completed([on_a_kernel, in_a_closure]) {
///     assert_eq!(sum?, 328_350);
/// }
/// # Ok::<(), forall::Error>(())
/// ```
pub fn as_completed<'scope, T: Send>(
    tasks: impl IntoIterator<Item = ScopedTask<'scope, T>>,
) -> AsCompleted<'scope, T> {
    let (sender, done) = channel();
    let tasks: Vec<_> = tasks.into_iter().map(Some).collect();
    for (number, task) in tasks.iter().flatten().enumerate() {
        tell(task, number, &sender);
    }
    AsCompleted { left: tasks.len(), tasks, done, seen: 0 }
}

/// The iterator that [`as_completed`] gives.
#[derive(Debug)]
pub struct AsCompleted<'scope, T> {
    tasks: Vec<Option<ScopedTask<'scope, T>>>,
    left: usize,
    done: Receiver<usize>,
    /// So many of the tasks have been looked at: none of them is to be run here.
    seen: usize,
}

impl<T: Send> Iterator for AsCompleted<'_, T> {
    type Item = (usize, Result<T>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let number =
            first(&self.done, self.tasks.len(), |number| self.tasks[number].as_ref(), &mut self.seen);
        self.left -= 1;
        self.tasks[number].take().map(|task| (number, task.wait()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Send> ExactSizeIterator for AsCompleted<'_, T> {}

/// Waits for the first of `tasks` that is done, takes it out of the list, and gives its result and the number that it had there.
/// `None` if there are no tasks.
pub fn wait_any<T: Send>(tasks: &mut Vec<ScopedTask<'_, T>>) -> Option<(usize, Result<T>)> {
    if tasks.is_empty() {
        return None;
    }
    let number = tasks.iter().position(ScopedTask::is_done).unwrap_or_else(|| {
        let (sender, done) = channel();
        for (number, task) in tasks.iter().enumerate() {
            tell(task, number, &sender);
        }
        first(&done, tasks.len(), |number| tasks.get(number), &mut 0)
    });
    Some((number, tasks.remove(number).wait()))
}

/// Waits for all `tasks`; their results, in order.
pub fn wait_all<'scope, T: Send>(tasks: impl IntoIterator<Item = ScopedTask<'scope, T>>) -> Vec<Result<T>> {
    // All of them first: one that is run here must not wait for the handles.
    let tasks: Vec<_> = tasks.into_iter().collect();
    tasks.into_iter().map(ScopedTask::wait).collect()
}

/// All values of `tasks`, in order, or the first error in time: then the other tasks are cancelled and not waited for.
///
/// # Errors
/// That of the task that failed first.
pub fn first_error<'scope, T: Send>(
    tasks: impl IntoIterator<Item = ScopedTask<'scope, T>>,
) -> Result<Vec<T>> {
    let mut completed = as_completed(tasks);
    let mut values: Vec<Option<T>> = completed.tasks.iter().map(|_| None).collect();
    while let Some((number, result)) = completed.next() {
        match result {
            Ok(value) => values[number] = Some(value),
            Err(error) => {
                // The last first: whoever holds a worker ends only when none that waits for it can begin.
                completed.tasks.iter().rev().flatten().for_each(|task| _ = task.cancel());
                return Err(error);
            }
        }
    }
    Ok(values.into_iter().flatten().collect())
}

/// Has `task` send its number when it is done.
fn tell<T: Send>(task: &ScopedTask<'_, T>, number: usize, done: &Sender<usize>) {
    let done = done.clone();
    let sent = done.clone();
    // Nobody listens any more where the receiver is gone.
    if !task.on_done(move |_| _ = done.send(number)) {
        _ = sent.send(number);
    }
}

/// The number of the first task that is done. On a worker of their pool, tasks that have not begun are run here: those from `seen` on,
/// and, since a task may be left by others, all again when nothing has come for a while. (Looking through all each time would make
/// waiting for many tasks quadratic.)
fn first<'a, 'scope: 'a, T: Send + 'a>(
    done: &Receiver<usize>,
    count: usize,
    task: impl Fn(usize) -> Option<&'a ScopedTask<'scope, T>>,
    seen: &mut usize,
) -> usize {
    /// So often does a thread that is no worker look whether a task was left to it: a rare case.
    const LOOK: Duration = Duration::from_millis(20);
    loop {
        if let Ok(number) = done.try_recv() {
            return number;
        }
        let ran = (*seen..count).find(|number| task(*number).is_some_and(ScopedTask::run_here));
        *seen = ran.map_or(count, |number| number + 1);
        if ran.is_some() {
            continue;
        }
        let pause = if Threads::on_worker() {
            stand_by();
            STAND_BY
        } else {
            LOOK
        };
        match done.recv_timeout(pause) {
            Ok(number) => return number,
            // Some task is left, and holds a sender until it has sent.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => *seen = 0,
        }
    }
}
