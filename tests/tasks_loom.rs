//! All interleavings of the hand-over between the thread that runs a task and those that wait for it, cancel it, or are called
//! when it is done: the file of the library itself, over loom's locks.

#![allow(dead_code, reason = "not every method is gone through")]

use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

mod sync {
    pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(super) use std::sync::PoisonError;
}

#[path = "../src/tasks/stage.rs"]
mod stage;

type Stage = stage::Stage<u32, u32, Arc<AtomicUsize>>;

/// What the thread does that runs a task.
fn run(stage: &Stage) -> bool {
    let Some(job) = stage.claim() else { return false };
    finish(stage, job + 1);
    true
}

fn finish(stage: &Stage, result: u32) {
    let waker = stage.finish(result, |calls, _| _ = calls.fetch_add(1, Ordering::SeqCst));
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn cancel(stage: &Stage) -> bool {
    let claimed = stage.claim().is_some();
    if claimed {
        finish(stage, 0);
    }
    claimed
}

#[test]
fn a_job_is_run_or_cancelled_and_its_result_taken_once() {
    loom::model(|| {
        let stage = Arc::new(Stage::new(1));
        let [a, b] = [run as fn(&Stage) -> bool, cancel].map(|act| {
            let stage = Arc::clone(&stage);
            thread::spawn(move || act(&stage))
        });
        stage.sleep(None);
        let Poll::Ready(Some(result)) = stage.take() else { panic!("awake before the end") };
        assert_eq!(stage.take(), Poll::Ready(None));
        let (ran, cancelled) = (a.join().unwrap(), b.join().unwrap());
        assert!(ran != cancelled && result == if ran { 2 } else { 0 });
    });
}

#[test]
fn one_of_two_takers_gets_the_result() {
    loom::model(|| {
        let stage = Arc::new(Stage::new(1));
        let threads = [(); 2].map(|()| {
            let stage = Arc::clone(&stage);
            thread::spawn(move || {
                stage.sleep(None);
                matches!(stage.take(), Poll::Ready(Some(2)))
            })
        });
        assert!(run(&stage));
        let got = threads.map(|thread| thread.join().unwrap());
        assert!(got[0] != got[1]);
    });
}

#[test]
fn a_task_that_is_left_wakes_who_waits() {
    loom::model(|| {
        let stage = Arc::new(Stage::new(1));
        let other = Arc::clone(&stage);
        let worker = thread::spawn(move || drop(other.leave()));
        stage.sleep(None);
        assert!(stage.is_left() && run(&stage) && stage.is_over());
        worker.join().unwrap();
    });
}

/// Remembers that it was woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_poll_sees_the_result_or_is_woken() {
    loom::model(|| {
        let stage = Arc::new(Stage::new(1));
        let other = Arc::clone(&stage);
        let worker = thread::spawn(move || run(&other));
        let flag = std::sync::Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(std::sync::Arc::clone(&flag));
        let first = stage.poll(&Context::from_waker(&waker));
        worker.join().unwrap();
        match first {
            Poll::Ready(result) => assert_eq!(result, Some(2)),
            Poll::Pending => {
                assert!(flag.0.load(Ordering::SeqCst), "nobody woke it");
                assert_eq!(stage.take(), Poll::Ready(Some(2)));
            }
        }
    });
}

#[test]
fn a_call_is_made_once_or_comes_back() {
    loom::model(|| {
        let stage = Arc::new(Stage::new(1));
        let calls = Arc::new(AtomicUsize::new(0));
        let other = Arc::clone(&stage);
        let worker = thread::spawn(move || run(&other));
        let other = Arc::clone(&stage);
        let taker = thread::spawn(move || other.take().is_ready());
        let expected = match stage.call(Arc::clone(&calls)) {
            Ok(None) => 1,
            Ok(Some(result)) => {
                finish(&stage, result);
                1
            }
            Err(_) => 0,
        };
        let (_, taken) = (worker.join().unwrap(), taker.join().unwrap());
        assert_eq!(calls.load(Ordering::SeqCst), expected);
        assert!(stage.is_over() && stage.take() == Poll::Ready((!taken).then_some(2)));
    });
}

#[test]
fn an_error_is_told_by_the_dropped_handle_or_the_end_of_the_task() {
    // As `ScopedTask::drop` and `Inner::finish` do: whoever comes second finds what the other has left.
    loom::model(|| {
        let (stage, dropped) = (Arc::new(Stage::new(1)), Arc::new(AtomicBool::new(false)));
        let (other, gone) = (Arc::clone(&stage), Arc::clone(&dropped));
        let worker = thread::spawn(move || {
            run(&other);
            gone.load(Ordering::SeqCst) && matches!(other.take(), Poll::Ready(Some(_)))
        });
        dropped.store(true, Ordering::SeqCst);
        let told = matches!(stage.take(), Poll::Ready(Some(_)));
        assert!(worker.join().unwrap() != told, "told never, or twice");
    });
}
