//! Launches of kernels as tasks.
//!
//! They run on a thread of their own, one for the process, in the order in which they are submitted: the thread of the caller is
//! not held up, no worker is blocked on a GPU, and a launch on the CPU shares its loop with the pool like any other.

use std::cell::Cell;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};

use super::caught::drop_quietly;
use super::scope::Unseen;
use super::task::{self, Lane, Run, Task};
use crate::cancel::Cancel;
use crate::dispatch::Dispatcher;
use crate::error::{Error, Result};

impl Dispatcher {
    /// Starts `work`, which launches kernels through the dispatcher that it is given, and returns at once. Launches that are
    /// submitted run one after the other, in the order in which they are submitted.
    ///
    /// What the work needs it owns: an [`Array`](crate::Array) is a handle, a `Kernel` too. Cancelling the task stops the launch that is
    /// under way, as [`with_cancel`](Self::with_cancel) does.
    ///
    /// # Errors
    /// The task gives the error of `work` as it is; [`Error::Task`] where it panics.
    ///
    /// # Examples
    /// ```
    /// use forall::{Array, Dispatcher, Index, Kernel};
    ///
    /// let square = Kernel::map("fn square(i: u32) -> u32 { return i * i; }")?;
    /// let out = Array::<u32>::zeros(1000);
    /// let task = Dispatcher::new().submit({
    ///     let out = out.clone();
    ///     move |forall| forall.run(&square, Index, &out)
    /// });
    /// let report = task.wait()?;
    /// assert_eq!(out.read()?[30], 900);
    /// println!("{report}");
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Task<T> {
        let forall = self.clone();
        let (task, ticket) = task::new(Lane::Launches, Unseen::default(), move || {
            let token = super::token();
            let both = forall.cancel().into_iter().cloned().chain([token]).collect();
            work(&forall.with_cancel(&Cancel::within(both, None)))
        });
        if let Err(ticket) = launch(ticket) {
            ticket.refuse(Error::Unavailable {
                kernel: "submit".to_owned(),
                backend: crate::backend::Backend::Threads,
                reason: "the system starts no more threads".to_owned(),
            });
        }
        task
    }
}

type Ticket = Arc<dyn Run>;

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is the one that launches.
pub(super) fn is_here() -> bool {
    HERE.get()
}

/// Makes the calling thread one that launches, or not, in the place of another that waits for it.
pub(super) fn stand_in(launches: bool) {
    HERE.set(launches);
}

/// Puts a task in the queue of the thread that launches.
///
/// # Errors
/// The task, if the thread could not be started.
fn launch(ticket: Ticket) -> Result<(), Ticket> {
    static QUEUE: OnceLock<Option<Sender<Ticket>>> = OnceLock::new();
    let queue = QUEUE.get_or_init(|| {
        let (sender, queue) = channel::<Ticket>();
        let work = move || {
            HERE.set(true);
            for ticket in queue {
                ticket.run();
                drop_quietly(ticket);
            }
        };
        std::thread::Builder::new().name("forall-launch".to_owned()).spawn(work).ok().map(|_| sender)
    });
    match queue {
        Some(queue) => queue.send(ticket).map_err(|error| error.0),
        None => Err(ticket),
    }
}
