//! Uses of `tasks` that once ended the process or hung: panics in odd places, waits in circles, tasks and streams by the thousand on
//! one stack, a system that gives no more threads.

use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use forall::tasks::{Pool, Retry, Task, as_completed};
use forall::{Dispatcher, Error};

mod common;

use common::soon;

fn spin(micros: u64) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(micros) {
        std::hint::spin_loop();
    }
}

/// Panics when it is dropped, if it is armed.
struct Bomb(bool);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.0 || std::thread::panicking(), "dropped");
    }
}

/// Runs a test of this file again in a child, which `FORALL_TEST_CHILD` tells that it is one.
fn child(name: &str, before: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{before} exec \"$0\" --exact {name} --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env("FORALL_TEST_CHILD", "1");
    command
}

fn is_child() -> bool {
    std::env::var_os("FORALL_TEST_CHILD").is_some()
}

#[test]
fn a_stream_outlives_what_panics_beside_its_body() {
    #[derive(Debug)]
    struct NoClone;
    impl Clone for NoClone {
        fn clone(&self) -> Self {
            panic!("no clone")
        }
    }
    let pool = Pool::new(2).unwrap();
    for care in [false, true] {
        let retry = |n| pool.over((0..5).map(|_| NoClone)).retry(Retry::new(n));
        let over = if care { retry(1).item_timeout(Duration::from_secs(60)) } else { retry(2) };
        let results: Vec<_> = over.imap(|_| ()).collect();
        assert_eq!(results, [Err(Error::Item { index: 0, message: "panicked: no clone".to_owned() })]);
    }
    // Items after the one that fails are dropped undone.
    let items = (0..50).map(|i| Bomb(i > 5));
    let results: Vec<_> = pool
        .over(items)
        .grain(20)
        .imap(|bomb| {
            let armed = bomb.0;
            std::mem::forget(bomb);
            assert!(!armed, "armed");
        })
        .collect();
    assert!(results.len() == 7 && results[..6].iter().all(Result::is_ok));
    assert_eq!(results[6], Err(Error::Item { index: 6, message: "panicked: armed".to_owned() }));
    assert_eq!(pool.submit(|| 1).wait(), Ok(1));
}

#[test]
fn grains_and_windows_of_any_size() {
    let pool = Pool::new(3).unwrap();
    for grain in [0, 1, 1 << 40, 1 << 62, usize::MAX] {
        for ahead in [0, 1, 1 << 40, usize::MAX] {
            let pool = pool.clone();
            let sum = soon("a stream", move || {
                let sum =
                    pool.over(0..1000).grain(grain).ahead(ahead).imap(|i| i).map(Result::unwrap).sum::<u64>();
                sum + pool.over(0..1000).grain(grain).imap(|i| i).map(Result::unwrap).sum::<u64>()
            });
            assert_eq!(sum, 999_000, "{grain} {ahead}");
        }
        // An endless iterator is not read to its end first.
        let limit = Duration::from_millis(20);
        assert!(pool.over(0_u64..).grain(grain).timeout(limit).for_each(|_| spin(1)).is_err());
        assert_eq!(pool.over(0_u64..).grain(grain).imap(|i| i).nth(7), Some(Ok(7)));
    }
}

#[test]
fn workers_that_wait_in_a_circle_find_somebody_to_run_what_they_wait_for() {
    // The only worker of `pool` waits for what waits for something that only this worker would run.
    fn beside(pool: &Pool, work: impl FnOnce(Pool) -> u64 + Send + 'static) {
        let (inner, outside) = (pool.clone(), Pool::new(1).unwrap());
        let (work, kept) = (move || work(inner), pool.clone());
        let waited = soon("a circle", move || kept.submit(move || outside.submit(work).wait()).wait());
        assert_eq!(waited, Ok(Ok(45)));
    }
    fn in_a_launch(pool: &Pool, work: impl FnOnce(Pool) -> u64 + Send + 'static) {
        let (inner, kept) = (pool.clone(), pool.clone());
        let launch = move || Dispatcher::new().submit(move |_| Ok(work(inner))).wait();
        assert_eq!(soon("a circle over a launch", move || kept.submit(launch).wait()), Ok(Ok(45)));
    }
    let submit = |pool: Pool| pool.submit(|| 45).wait().unwrap();
    let stream = |pool: Pool| pool.imap(0..10, |i| i).map(Result::unwrap).sum::<u64>();
    let unordered = |pool: Pool| pool.imap_unordered(0..10, |i| i).map(Result::unwrap).sum::<u64>();
    let completed = |pool: Pool| {
        let tasks = (0..10).map(|i| pool.submit(move || i));
        as_completed(tasks).map(|(_, result)| result.unwrap()).sum::<u64>()
    };
    let scope = |pool: Pool| pool.scope(|scope| scope.submit(|| 45).wait().unwrap()).unwrap();
    let pool = Pool::new(1).unwrap();
    beside(&pool, submit);
    beside(&pool, stream);
    beside(&pool, completed);
    in_a_launch(&pool, submit);
    in_a_launch(&pool, stream);
    in_a_launch(&pool, unordered);
    in_a_launch(&pool, completed);
    in_a_launch(&pool, scope);
    // A thread of nobody's.
    beside(&pool, move |pool| std::thread::spawn(move || stream(pool)).join().unwrap());
    // There and back many times.
    fn ping(here: &Pool, there: &Pool, times: u64) -> u64 {
        if times == 0 {
            return 0;
        }
        let (here, other) = (here.clone(), there.clone());
        there.submit(move || ping(&other, &here, times - 1) + 1).wait().unwrap()
    }
    let other = Pool::new(1).unwrap();
    assert_eq!(soon("a circle of two", move || ping(&pool, &other, 45)), 45);
}

#[test]
fn chains_of_tasks_that_wait_do_not_overflow_a_stack() {
    const LONG: u64 = 20_000;
    for threads in [1, 2] {
        let pool = Pool::new(threads).unwrap();
        // Each waits for the one before it, and the last is the first to run.
        let inner = pool.clone();
        let chain = pool.submit(move || {
            let mut last = inner.submit(|| 0);
            for _ in 0..LONG {
                last = inner.submit(move || last.wait().unwrap() + 1);
            }
            last.wait()
        });
        assert_eq!(soon("a chain", move || chain.wait()), Ok(Ok(LONG)));

        // Of launches too, which stay one after the other.
        let launches = soon("a chain of launches", || {
            fn nested(forall: &Dispatcher, depth: u64) -> forall::Result<u64> {
                if depth == 0 {
                    Ok(0)
                } else {
                    forall.submit(move |forall| nested(forall, depth - 1)).wait().map(|n| n + 1)
                }
            }
            nested(&Dispatcher::new(), 500)
        });
        assert_eq!(launches, Ok(500));

        // Each waits for the next, which it is given later.
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..LONG).map(|_| mpsc::channel::<Task<u64>>()).unzip();
        let mut tasks = receivers
            .into_iter()
            .map(|next| pool.submit(move || next.recv().map_or(0, |next| next.wait().unwrap() + 1)));
        let first = tasks.next().unwrap();
        for (task, sender) in tasks.zip(senders) {
            sender.send(task).unwrap();
        }
        assert_eq!(soon("a chain forwards", move || first.wait()), Ok(LONG - 1));
    }
}

#[test]
fn thousands_of_streams_share_a_worker() {
    let pool = Pool::new(1).unwrap();
    let (free, held) = mpsc::channel::<()>();
    let busy = pool.submit(move || _ = held.recv());
    let streams: Vec<_> = (0..20_000_u64).map(|k| pool.imap(0_u64.., move |i| i + k)).collect();
    drop(free);
    busy.wait().unwrap();
    let sum =
        soon("the streams", || streams.into_iter().map(|mut s| s.next().unwrap().unwrap()).sum::<u64>());
    assert_eq!(sum, 19_999 * 20_000 / 2);
}

#[test]
fn a_stream_goes_on_while_a_worker_that_made_way_is_held_up() {
    let pool = Pool::new(2).unwrap();
    let mut stream = pool.over(0_u64..).ahead(1).imap(|i| i);
    let (free, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let task = pool.submit(move || _ = held.lock().unwrap().recv_timeout(Duration::from_secs(60)));
    // Sooner or later the stream's worker has come to the task.
    let begun = Instant::now();
    for i in 0..20_000 {
        assert_eq!(stream.next(), Some(Ok(i)));
    }
    assert!(begun.elapsed() < Duration::from_secs(30) && !task.is_done());
    drop(free);
    task.wait().unwrap();
}

#[test]
fn an_iterator_that_waits_holds_one_worker() {
    let pool = Pool::new(2).unwrap();
    let (sender, items) = mpsc::channel();
    let stream = pool.imap(items, |i: u64| i * 2);
    std::thread::sleep(Duration::from_millis(5));
    // What it waits for comes from a task of the same pool.
    drop(pool.submit(move || (0..10).for_each(|i| sender.send(i).unwrap())));
    assert_eq!(soon("a stream that is fed by a task", move || stream.map(Result::unwrap).sum::<u64>()), 90);
}

#[test]
fn destructors_of_a_thread_may_run_loops() {
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            let pool = Pool::new(2).unwrap();
            let sum = pool.map_reduce(0..5000_u64, |i| i, |a, b| a + b);
            if sum == Ok(Some(4999 * 2500)) && pool.submit(|| 1).wait() == Ok(1) {
                ENDED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
    }
    static ENDED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    thread_local! {
        static LATE: Late = const { Late };
    }
    // Made before what a loop keeps for the thread, or after: they go in the opposite order.
    std::thread::spawn(|| {
        LATE.with(|_| ());
        Pool::new(1).unwrap().for_each(0..10, |_| ()).unwrap();
    })
    .join()
    .unwrap();
    std::thread::spawn(|| {
        Pool::new(1).unwrap().for_each(0..10, |_| ()).unwrap();
        LATE.with(|_| ());
    })
    .join()
    .unwrap();
    assert_eq!(ENDED.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[test]
#[cfg(target_os = "linux")]
fn a_failure_that_cannot_be_told_ends_nothing() {
    if is_child() {
        let pool = Pool::new(1).unwrap();
        drop(pool.try_submit(|| Err::<(), _>("lost")));
        assert_eq!(pool.submit(|| 1).wait(), Ok(1));
        return;
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let status =
        child("a_failure_that_cannot_be_told_ends_nothing", "").stdout(Stdio::null()).stderr(full).status();
    assert!(status.unwrap().success());
}

/// Threads of 2 MiB each, and room for less.
#[test]
#[cfg(target_os = "linux")]
fn a_system_without_threads_is_an_error_at_the_call() {
    if is_child() {
        let pool = Pool::default();
        let told = |error: Error| {
            let text = error.to_string();
            assert!(matches!(error, Error::Config { .. }) && text.contains("no more threads"), "{text}");
        };
        told(pool.threads().unwrap_err());
        told(pool.map(0..10, |i| i).unwrap_err());
        told(pool.submit(|| ()).wait().unwrap_err());
        told(pool.imap(0..10, |i| i).next().unwrap().unwrap_err());
        told(pool.scope(|_| ()).unwrap_err());
        told(Pool::new(1000).unwrap().map(0..10, |i| i).unwrap_err());
        return;
    }
    // Stacks of 1 GiB where 4 GiB of addresses are: threads run out, what they need to run does not.
    let mut child = child("a_system_without_threads_is_an_error_at_the_call", "ulimit -v 4000000;");
    let child = child.env("RUST_MIN_STACK", (1 << 30).to_string()).env("RAYON_NUM_THREADS", "1000");
    let child = child.env_remove("FORALL_THREADS").output().unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}
