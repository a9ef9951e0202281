//! Tasks, scopes and streams, used as an adversary would.

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use forall::tasks::{Pool, Retry, ScopedTask, Task, as_completed, first_error, token, wait_all, wait_any};
use forall::{Array, Backend, Cancel, Dispatcher, Error, Index, Kernel, Policy};

mod common;

use common::{soon, until};

fn pools() -> Vec<Pool> {
    [1, 2, 3].map(|n| Pool::new(n).unwrap()).into_iter().chain([Pool::default()]).collect()
}

fn spin(micros: u64) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(micros) {
        std::hint::spin_loop();
    }
}

fn is_cancelled<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Cancelled { .. }))
}

/// Keeps every worker of a pool busy until it is dropped.
struct Busy(Arc<AtomicBool>, Vec<Task<()>>);

impl Busy {
    fn all(pool: &Pool) -> Self {
        let free = Arc::new(AtomicBool::new(false));
        let n = pool.threads().unwrap();
        let begun = Arc::new(Barrier::new(n + 1));
        let tasks = (0..n).map(|_| {
            let (free, begun) = (Arc::clone(&free), Arc::clone(&begun));
            pool.submit(move || {
                begun.wait();
                until("the end", || free.load(Ordering::SeqCst));
            })
        });
        let tasks = tasks.collect();
        begun.wait();
        Self(free, tasks)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        wait_all(self.1.drain(..)).into_iter().for_each(|result| result.unwrap());
    }
}

#[test]
fn a_task_is_done_once_and_gives_its_result() {
    for pool in pools() {
        let task = pool.submit(|| 7);
        until("the end", || task.is_done());
        assert_eq!(task.wait(), Ok(7));
        let mut task = pool.submit(|| 8);
        assert_eq!(task.wait_timeout(Duration::from_secs(60)), Some(Ok(8)));
        assert!(task.is_done());
        let again = task.wait_timeout(Duration::ZERO).unwrap().unwrap_err();
        assert!(again.to_string().contains("taken before"), "{again}");
        assert!(!task.on_done(|_| panic!("never called")));
        assert!(as_completed([task]).next().unwrap().1.is_err());

        let error = pool.submit(|| -> u8 { panic!("no number") }).wait().unwrap_err();
        assert_eq!(error, Error::Task { message: "panicked: no number".to_owned() });
        let error = pool.try_submit(|| "x".parse::<u8>()).wait().unwrap_err();
        assert_eq!(error, Error::Task { message: "invalid digit found in string".to_owned() });
        assert_eq!(pool.try_submit(|| Ok::<_, Error>(1)).wait(), Ok(1));
    }
}

#[test]
fn waiting_has_a_limit() {
    let pool = Pool::new(2).unwrap();
    let busy = Busy::all(&pool);
    let mut task = pool.submit(|| 1);
    let begun = Instant::now();
    assert_eq!(task.wait_timeout(Duration::from_millis(20)), None);
    assert!(begun.elapsed() >= Duration::from_millis(20) && !task.is_done());
    drop(busy);
    assert_eq!(task.wait_timeout(Duration::MAX), Some(Ok(1)));
}

#[test]
fn what_is_cancelled_before_it_begins_never_does() {
    for pool in pools() {
        let busy = Busy::all(&pool);
        let ran = Arc::new(AtomicUsize::new(0));
        let body = || {
            let ran = Arc::clone(&ran);
            move || _ = ran.fetch_add(1, Ordering::SeqCst)
        };
        let (first, second) = (pool.submit(body()), pool.submit(body()));
        assert!(first.cancel() && first.is_done() && !first.cancel());
        // The token alone does it too, when a worker comes to the task.
        second.token().cancel();
        drop(busy);
        assert!(is_cancelled(&first.wait()) && is_cancelled(&second.wait()));
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn what_is_cancelled_later_may_end_early() {
    let pool = Pool::new(2).unwrap();
    let begun = Arc::new(Barrier::new(2));
    let inner = Arc::clone(&begun);
    let task = pool.submit(move || {
        inner.wait();
        let token = token();
        until("the token", || token.is_cancelled());
        "ended early"
    });
    begun.wait();
    assert!(!task.cancel());
    assert_eq!(task.wait(), Ok("ended early"));
    // A loop inside it is stopped with it.
    let inner = pool.clone();
    let task = pool.submit(move || inner.for_each(0_u64.., |_| spin(10)));
    thread::sleep(Duration::from_millis(5));
    if task.cancel() {
        assert!(is_cancelled(&task.wait()));
    } else {
        assert!(is_cancelled(&task.wait().unwrap()));
    }
}

#[test]
fn callbacks_are_called_once_before_anybody_who_waits() {
    for pool in pools() {
        let busy = Busy::all(&pool);
        let calls = Arc::new(AtomicUsize::new(0));
        let task = pool.submit(|| 5);
        for _ in 0..3 {
            let calls = Arc::clone(&calls);
            assert!(task.on_done(move |result| {
                assert_eq!(*result, Ok(5));
                calls.fetch_add(1, Ordering::SeqCst);
                panic!("a callback's panic hurts nobody");
            }));
        }
        drop(busy);
        until("the end", || task.is_done());
        assert_eq!(calls.load(Ordering::SeqCst), 3);
        let late = Arc::clone(&calls);
        assert!(task.on_done(move |_| _ = late.fetch_add(10, Ordering::SeqCst)));
        assert_eq!(calls.load(Ordering::SeqCst), 13);
        assert_eq!(task.wait(), Ok(5));
    }
}

/// A small executor: polls when it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn tasks_are_futures_in_any_executor() {
    for pool in pools() {
        soon("an await", move || {
            for micros in [0, 10, 1000] {
                let task = pool.submit(move || {
                    spin(micros);
                    micros
                });
                assert_eq!(block_on(async { task.await.map(|x| x + 1) }), Ok(micros + 1));
            }
            assert!(block_on(pool.submit(|| panic!("awaited"))).is_err());
            let inner = pool.clone();
            assert_eq!(pool.submit(move || block_on(inner.submit(|| 3))).wait(), Ok(Ok(3)));
            let words = String::from("a b");
            let count = pool.scope(|scope| block_on(scope.submit(|| words.split(' ').count())));
            assert_eq!(count, Ok(Ok(2)));
        });
    }
}

#[test]
fn a_worker_that_waits_runs_what_it_waits_for() {
    for pool in pools() {
        soon("a wait on a worker", move || {
            // Deeper than there are threads.
            fn nested(pool: &Pool, depth: usize) -> usize {
                if depth == 0 {
                    return 0;
                }
                let inner = pool.clone();
                pool.submit(move || nested(&inner, depth - 1)).wait().unwrap() + 1
            }
            assert_eq!(nested(&pool, 50), 50);

            // Tasks that wait for tasks which run elsewhere.
            let first = pool.submit(|| {
                spin(3000);
                1
            });
            let second = pool.submit(move || first.wait().unwrap() + 1);
            let third = pool.submit(move || second.wait().unwrap() + 1);
            assert_eq!(third.wait(), Ok(3));

            // Every worker waits for tasks that only they can run, in whatever way.
            let tasks: Vec<Task<usize>> = (0..8)
                .map(|i| {
                    let pool = pool.clone();
                    pool.clone().submit(move || {
                        let mut inner: Vec<_> = (0..4).map(|j| pool.submit(move || i + j)).collect();
                        match i % 4 {
                            0 => wait_all(inner).into_iter().map(Result::unwrap).sum(),
                            1 => as_completed(inner).map(|(_, result)| result.unwrap()).sum(),
                            2 => first_error(inner).unwrap().into_iter().sum(),
                            _ => {
                                let mut sum = 0;
                                while let Some((_, result)) = wait_any(&mut inner) {
                                    sum += result.unwrap();
                                }
                                sum
                            }
                        }
                    })
                })
                .collect();
            let sums: Vec<usize> = wait_all(tasks).into_iter().map(Result::unwrap).collect();
            assert_eq!(sums, (0..8).map(|i| 4 * i + 6).collect::<Vec<_>>());

            // Items of a loop that wait for tasks.
            let inner = pool.clone();
            let waited = pool.map(0..100, |i| inner.submit(move || i * 2).wait().unwrap());
            assert_eq!(waited.unwrap(), (0..100).map(|i| i * 2).collect::<Vec<_>>());
        });
    }
}

#[test]
fn a_worker_may_wait_for_a_launch_that_wants_workers() {
    // Every worker waits for a loop that is shared with the pool.
    let forall = Dispatcher::new().with_policy(Policy::Only(Backend::Threads));
    let pool = Pool::default();
    let sums = soon("launches", move || {
        let slow = Kernel::scalar("slow", |i: u32| {
            spin(1);
            i
        });
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (forall, slow) = (forall.clone(), slow.clone());
                pool.submit(move || {
                    let launch = forall.submit(move |forall| {
                        let out = Array::<u32>::zeros(20_000);
                        forall.run(&slow, Index, &out)?;
                        out.read().map(|out| out.iter().map(|x| u64::from(*x)).sum::<u64>())
                    });
                    launch.wait()
                })
            })
            .collect();
        wait_all(tasks)
    });
    assert!(sums.into_iter().all(|sum| sum == Ok(Ok(19_999 * 20_000 / 2))));
}

#[test]
fn launches_are_tasks_like_others() {
    let forall = Dispatcher::new();
    let square = Kernel::map("fn square(i: u32) -> u32 { return i * i; }").unwrap();
    let (x, y) = (Array::<u32>::zeros(1000), Array::<u32>::zeros(1000));
    let double = Kernel::map("fn double(x: u32) -> u32 { return 2u * x; }").unwrap();
    // One after the other, in this order.
    let first = forall.submit({
        let x = x.clone();
        move |forall| forall.run(&square, Index, &x)
    });
    let second = forall.submit({
        let y = y.clone();
        move |forall| forall.run(&double, &x, &y)
    });
    let reports = wait_all([first, second]);
    assert!(reports.iter().all(|report| report.as_ref().unwrap().n() == 1000));
    assert_eq!(y.read().unwrap()[30], 1800);

    // Its own error, not the words of one.
    let task = forall
        .submit(|forall| forall.run(&Kernel::map("fn f(x: f32) -> f32 { return x; }")?, (), &mut [0.0_f32]));
    assert!(matches!(task.wait(), Err(Error::ArgumentCount { .. })));
    assert!(matches!(
        forall.submit(|_| -> Result<(), Error> { panic!("lost") }).wait(),
        Err(Error::Task { .. })
    ));

    // A launch that waits for a launch.
    let inner = forall.clone();
    let nested = forall.submit(move |_| inner.submit(|_| Ok(4)).wait());
    assert_eq!(soon("a launch in a launch", || nested.wait()), Ok(4));

    // Cancelled while it runs, and before.
    let endless = Kernel::shader(
        "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
         @compute @workgroup_size(1) fn f() { while (x[0] == 0) { x[1] += 1; } }",
    )
    .unwrap();
    let cpu = Dispatcher::new().with_policy(Policy::Only(Backend::Simd));
    let begun = Arc::new(AtomicBool::new(false));
    let running = cpu.submit({
        let begun = Arc::clone(&begun);
        move |forall| {
            begun.store(true, Ordering::SeqCst);
            let x = Array::<u32>::zeros(2);
            forall.launch(&endless, forall::Grid::workgroups(1), (("x", &x),))
        }
    });
    let waiting = cpu.submit(|_| Ok(1));
    until("the launch", || begun.load(Ordering::SeqCst));
    assert!(waiting.cancel() && !running.cancel());
    assert!(is_cancelled(&soon("a cancelled launch", || running.wait())) && is_cancelled(&waiting.wait()));
}

#[test]
fn tasks_come_as_they_are_completed() {
    let pool = Pool::new(3).unwrap();
    let free = Arc::new(AtomicBool::new(false));
    let held = Arc::clone(&free);
    let slow = pool.submit(move || {
        until("the others", || held.load(Ordering::SeqCst));
        0
    });
    let mut tasks = vec![slow, pool.submit(|| 1), pool.submit(|| 2)];
    let (number, first) = wait_any(&mut tasks).unwrap();
    assert!(number > 0 && first == Ok(number) && tasks.len() == 2);
    let mut completed = as_completed(tasks);
    assert_eq!(completed.len(), 2);
    assert_eq!(completed.next().unwrap().0, 1);
    free.store(true, Ordering::SeqCst);
    assert_eq!(completed.next(), Some((0, Ok(0))));
    assert_eq!(completed.next(), None);
    assert!(wait_any::<()>(&mut Vec::new()).is_none() && as_completed::<()>([]).next().is_none());
    assert_eq!(first_error((0..5).map(|i| pool.submit(move || i))), Ok(vec![0, 1, 2, 3, 4]));
}

#[test]
fn the_first_error_cancels_the_others() {
    let pool = Pool::new(2).unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..100)
        .map(|i| {
            let ran = Arc::clone(&ran);
            pool.try_submit(move || {
                ran.fetch_add(1, Ordering::SeqCst);
                if i == 3 {
                    return Err("three");
                }
                let token = token();
                let begun = Instant::now();
                while i > 3 && !token.is_cancelled() && begun.elapsed() < Duration::from_secs(30) {
                    std::hint::spin_loop();
                }
                Ok(i)
            })
        })
        .collect();
    let begun = Instant::now();
    let last = tasks[99].token();
    let error = first_error(tasks).unwrap_err();
    assert!(last.is_cancelled());
    assert_eq!(error.to_string(), "task: three");
    assert!(begun.elapsed() < Duration::from_secs(20) && ran.load(Ordering::SeqCst) < 100);
}

#[test]
fn a_dropped_handle_lets_the_task_go_on() {
    for pool in pools() {
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 {
            let ran = Arc::clone(&ran);
            drop(pool.submit(move || _ = ran.fetch_add(1, Ordering::SeqCst)));
        }
        until("the tasks", || ran.load(Ordering::SeqCst) == 10);
    }
    // The pool's own handle gone too.
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    drop(Pool::new(1).unwrap().submit(move || {
        spin(500);
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    until("the task", || ran.load(Ordering::SeqCst) == 1);
}

#[test]
fn scopes_end_after_their_tasks_and_tell_their_errors() {
    for pool in pools() {
        let data: Vec<usize> = (0..100).collect();
        let sum = AtomicUsize::new(0);
        pool.scope(|scope| {
            for chunk in data.chunks(7) {
                drop(scope.submit(|| {
                    spin(50);
                    sum.fetch_add(chunk.iter().sum(), Ordering::SeqCst)
                }));
            }
        })
        .unwrap();
        assert_eq!(sum.into_inner(), 4950);

        let error = pool.scope(|scope| {
            drop(scope.submit(|| ()));
            drop(scope.try_submit(|| Err::<(), _>("nobody waited")));
            assert_eq!(
                scope.try_submit(|| Err::<(), _>("seen")).wait().unwrap_err().to_string(),
                "task: seen"
            );
            1
        });
        assert_eq!(error, Err(Error::Task { message: "nobody waited".to_owned() }));

        // A handle that outlives the scope still has its result.
        let mut kept: Option<ScopedTask<'_, usize>> = None;
        pool.scope(|scope| kept = Some(scope.submit(|| data.len()))).unwrap();
        let kept = kept.unwrap();
        assert!(kept.is_done());
        assert_eq!(kept.wait(), Ok(100));

        // The caller's own panic comes through, when every task has ended.
        let (running, after) = (AtomicUsize::new(0), &AtomicUsize::new(0));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.scope(|scope| {
                for _ in 0..20 {
                    drop(scope.submit(|| {
                        running.fetch_add(1, Ordering::SeqCst);
                        spin(500);
                        running.fetch_sub(1, Ordering::SeqCst);
                        after.fetch_add(1, Ordering::SeqCst);
                    }));
                }
                panic!("out of the scope");
            })
        }));
        assert!(panic.is_err());
        assert_eq!(running.load(Ordering::SeqCst), 0);
        let ended = after.load(Ordering::SeqCst);
        spin(2000);
        assert_eq!(after.load(Ordering::SeqCst), ended, "a task ran after its scope");
    }

    // With its panic, tasks that have not begun are cancelled.
    let (pool, ran) = (Pool::new(1).unwrap(), AtomicUsize::new(0));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.scope(|scope| {
            drop(scope.submit(|| until("the token", || token().is_cancelled())));
            for _ in 0..5 {
                drop(scope.submit(|| ran.fetch_add(1, Ordering::SeqCst)));
            }
            panic!("out of the scope");
        })
    }));
    assert!(panic.is_err() && ran.into_inner() == 0);
}

#[test]
fn scopes_inside_tasks_and_scopes_never_deadlock() {
    for pool in pools() {
        soon("a nested scope", move || {
            fn tree(pool: &Pool, depth: u32) -> u64 {
                if depth == 0 {
                    return 1;
                }
                let (a, b) = pool
                    .scope(|scope| {
                        let a = scope.submit(|| tree(pool, depth - 1));
                        let b = tree(pool, depth - 1);
                        (a.wait().unwrap(), b)
                    })
                    .unwrap();
                a + b
            }
            assert_eq!(tree(&pool, 6), 64);
            let inner = pool.clone();
            assert_eq!(pool.submit(move || tree(&inner, 6)).wait(), Ok(64));
            assert_eq!(pool.map(0..4, |_| tree(&pool, 3)).unwrap(), [8; 4]);
        });
    }
}

#[test]
fn streams_are_ordered_bounded_and_lazy() {
    for pool in pools() {
        for ahead in [None, Some(1), Some(2), Some(7), Some(1000)] {
            let pulled = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&pulled);
            let items = (0_usize..).inspect(move |_| _ = counted.fetch_add(1, Ordering::SeqCst));
            let over = pool.over(items);
            let over = if let Some(n) = ahead { over.ahead(n) } else { over };
            let mut stream = over.imap(|i| {
                spin(if i % 5 == 0 { 30 } else { 0 });
                3 * i
            });
            for i in 0..200 {
                assert_eq!(stream.next(), Some(Ok(3 * i)));
                if let Some(ahead) = ahead {
                    let begun = pulled.load(Ordering::SeqCst);
                    assert!(begun <= i + 1 + ahead, "{begun} begun, {i} read, {ahead} ahead");
                }
            }
            drop(stream);
        }
        assert_eq!(pool.imap(0..0, |i| i).next(), None);
        for n in [1, 2, 63, 64, 65, 5000] {
            let all: Result<Vec<_>, _> = pool.imap(0..n, |i| i * 2).collect();
            assert_eq!(all.unwrap(), (0..n).map(|i| i * 2).collect::<Vec<_>>());
            let all: HashSet<_> = pool.imap_unordered(0..n, |i| i * 2).map(Result::unwrap).collect();
            assert_eq!(all, (0..n).map(|i| i * 2).collect());
            assert_eq!(pool.over(0..n).grain(7).ahead(3).imap(|i| i).count(), n);
        }
    }
}

#[test]
fn an_unordered_stream_does_not_wait_for_a_slow_item() {
    let pool = Pool::new(2).unwrap();
    let free = Arc::new(AtomicBool::new(false));
    let held = Arc::clone(&free);
    let mut stream = pool.over(0..50).grain(1).imap_unordered(move |i| {
        until("the others", || i != 0 || held.load(Ordering::SeqCst));
        i
    });
    let mut others: Vec<i32> = stream.by_ref().take(7).map(Result::unwrap).collect();
    assert!(!others.contains(&0));
    free.store(true, Ordering::SeqCst);
    others.extend(stream.map(Result::unwrap));
    others.sort_unstable();
    assert_eq!(others, (0..50).collect::<Vec<_>>());
}

#[test]
fn streams_end_with_their_error() {
    for pool in pools() {
        for bad in [0, 7, 500] {
            let results: Vec<_> = pool.imap(0..1000, move |i| assert!(i != bad, "{i} is bad")).collect();
            assert_eq!(results.len(), bad + 1);
            assert!(results[..bad].iter().all(Result::is_ok));
            let message = format!("panicked: {bad} is bad");
            assert_eq!(results[bad], Err(Error::Item { index: bad, message }));
            let results: Vec<_> = pool.imap_unordered(0..1000, move |i| assert!(i != bad)).collect();
            assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
            assert!(results.last().unwrap().is_err());

            let items = (0..1000).inspect(move |i| assert!(*i != bad, "no item {i}"));
            let results: Vec<_> = pool.imap(items, |i| i).collect();
            assert_eq!(results.len(), bad + 1);
            let message = format!("panicked: no item {bad}");
            assert_eq!(results[bad], Err(Error::Item { index: bad, message }));
        }
        let attempts = Arc::new(AtomicUsize::new(0));
        let flaky = pool.over([1]).retry(Retry::new(1)).imap(move |i| {
            assert!(attempts.fetch_add(1, Ordering::SeqCst) > 0, "at first");
            i
        });
        assert_eq!(flaky.collect::<Vec<_>>(), [Ok(1)]);

        let cancel = Cancel::new();
        let mut stream = pool.over(0_u64..).cancel(&cancel).imap(|i| i);
        assert_eq!(stream.next(), Some(Ok(0)));
        cancel.cancel();
        let last = stream.by_ref().last().unwrap();
        assert!(is_cancelled(&last) && stream.next().is_none());
        let limit = Duration::from_millis(5);
        let last = pool.over(0_u64..).timeout(limit).imap(|_| spin(10)).last().unwrap();
        assert_eq!(last, Err(Error::TimeLimit { kernel: "Pool::imap".to_owned(), limit }));
    }
}

#[test]
fn a_dropped_stream_begins_nothing_more() {
    for pool in pools() {
        for read in [0, 1, 10] {
            let (begun, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
            let (counted, kept) = (Arc::clone(&begun), Arc::clone(&gone));
            let mut stream = pool.over(0..).grain(1).imap(move |i: u32| {
                counted.fetch_add(1, Ordering::SeqCst);
                spin(100);
                (i, Arc::clone(&kept))
            });
            assert_eq!(stream.by_ref().take(read).map(Result::unwrap).filter(|(i, _)| *i < 10).count(), read);
            drop(stream);
            let dropped_at = begun.load(Ordering::SeqCst);
            // Everything that the stream had is dropped once what is under way has ended.
            until("the last item", || Arc::strong_count(&gone) == 1);
            assert!(begun.load(Ordering::SeqCst) <= dropped_at + pool.threads().unwrap());
        }
    }
    // What is under way is told.
    let pool = Pool::new(1).unwrap();
    let (at, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, told) = (Arc::clone(&at), Arc::clone(&ended));
    let stream = pool.imap(0.., move |_: u32| {
        counted.fetch_add(1, Ordering::SeqCst);
        until("the token", || token().is_cancelled());
        told.store(true, Ordering::SeqCst);
    });
    until("the first item", || at.load(Ordering::SeqCst) == 1);
    drop(stream);
    until("its end", || ended.load(Ordering::SeqCst));

    // After an error nothing more is begun, read or not.
    let at = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&at);
    let stream = pool.over(0..).grain(1).ahead(1000).imap(move |i: u32| {
        counted.fetch_add(1, Ordering::SeqCst);
        assert!(i != 3, "three");
    });
    until("the error", || at.load(Ordering::SeqCst) == 4);
    // The only worker comes to this when it has left the stream.
    assert_eq!(pool.submit(|| 1).wait(), Ok(1));
    thread::sleep(Duration::from_millis(2));
    assert_eq!((at.load(Ordering::SeqCst), stream.count()), (4, 4));
}

#[test]
fn streams_on_workers_and_beside_tasks() {
    for pool in pools() {
        soon("a stream on a worker", move || {
            let inner = pool.clone();
            let sum = pool.submit(move || {
                let nested = inner.clone();
                inner
                    .imap(0..20_u64, move |i| nested.imap(0..i, |j| j).map(Result::unwrap).sum::<u64>())
                    .map(Result::unwrap)
                    .sum::<u64>()
            });
            assert_eq!(sum.wait(), Ok((0..20).map(|i| i * (i.max(1) - 1) / 2).sum()));
            // An endless stream that is read all the time leaves room for tasks.
            let mut stream = pool.imap(0_u64.., |i| {
                spin(20);
                i
            });
            let task = pool.submit(|| 5);
            until("the task", {
                let stream = Mutex::new(&mut stream);
                let task = &task;
                move || {
                    assert!(stream.lock().unwrap().next().unwrap().is_ok());
                    task.is_done()
                }
            });
            // A loop beside it runs too.
            assert_eq!(pool.map(0..100, |i| i).unwrap().len(), 100);
        });
    }
}

#[test]
fn a_loop_does_not_wait_for_workers_that_are_busy_with_tasks() {
    let pool = Pool::new(2).unwrap();
    let busy = Busy::all(&pool);
    let me: ThreadId = thread::current().id();
    let ran = pool.map(0..100, |_| {
        spin(100);
        thread::current().id()
    });
    assert!(ran.unwrap().iter().all(|id| *id == me));
    drop(busy);
}
