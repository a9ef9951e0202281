//! Loops over closures and their futures, used as an adversary would.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forall::tasks::{Pool, Random, Retry, token};
use forall::{Cancel, Error, Progress};

mod common;

use common::{soon, until};

fn pools() -> Vec<Pool> {
    [1, 2, 3, 7].map(|n| Pool::new(n).unwrap()).into_iter().chain([Pool::default()]).collect()
}

fn spin(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

fn item(error: &Error) -> (usize, &str) {
    match error {
        Error::Item { index, message } => (*index, message),
        other => panic!("no item failed: {other}"),
    }
}

#[test]
fn results_are_in_order_at_every_length_and_cost() {
    for pool in pools() {
        for n in [0, 1, 2, 15, 16, 17, 63, 64, 65, 1000] {
            for cost in [0, 3] {
                let body = |i: usize| {
                    spin(micros(cost));
                    i * 3
                };
                let expected: Vec<usize> = (0..n).map(|i| i * 3).collect();
                assert_eq!(pool.map(0..n, body).unwrap(), expected);
                for grain in [1, 7, 64, usize::MAX] {
                    assert_eq!(pool.over(0..n).grain(grain).map(body).unwrap(), expected, "{n} by {grain}");
                }
                // An iterator that does not tell how long it is.
                assert_eq!(pool.map((0..n).filter(|_| true), body).unwrap(), expected);
                let mut done = vec![0; n];
                pool.for_each(done.iter_mut().enumerate(), |(i, slot)| *slot = body(i)).unwrap();
                assert_eq!(done, expected);
            }
        }
        let n = 1_000_000;
        let doubled = pool.map(0..n, |i| 2 * i).unwrap();
        assert!(doubled.len() == n && doubled.iter().enumerate().all(|(i, x)| *x == 2 * i));
    }
}

#[test]
fn items_start_in_ascending_order_and_run_once() {
    for pool in pools() {
        let (started, times) = (Mutex::new(Vec::new()), Mutex::new(vec![0; 2000]));
        pool.over(0..2000)
            .grain(3)
            .for_each(|i| {
                started.lock().unwrap().push((std::thread::current().id(), i));
                spin(micros(5));
                times.lock().unwrap()[i] += 1;
            })
            .unwrap();
        assert!(times.into_inner().unwrap().iter().all(|times| *times == 1));
        let started = started.into_inner().unwrap();
        for thread in started.iter().map(|(thread, _)| *thread).collect::<HashSet<_>>() {
            let own: Vec<_> = started.iter().filter(|(other, _)| *other == thread).map(|(_, i)| i).collect();
            assert!(own.is_sorted());
        }
    }
}

#[test]
fn long_loops_spread_and_the_caller_works_too() {
    let pool = Pool::new(2).unwrap();
    let threads = Mutex::new(HashSet::new());
    pool.for_each(0..50, |_| {
        spin(micros(2000));
        threads.lock().unwrap().insert(std::thread::current().id());
    })
    .unwrap();
    let threads = threads.into_inner().unwrap();
    assert_eq!(threads.len(), 2);
    assert!(threads.contains(&std::thread::current().id()));
}

#[test]
fn items_that_turn_slow_are_not_stuck_in_one_piece() {
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() == 1) {
        println!("skipped: on one CPU one thread may do all of it before another gets a turn");
        return;
    }
    // Thousands of cheap items make pieces long; then every item takes a hundred times the time of a piece.
    let pool = Pool::new(2).unwrap();
    let by = Mutex::new(Vec::new());
    let items = (0..40_050).filter(|_| true);
    pool.for_each(items, |i| {
        if i >= 40_000 {
            spin(micros(2000));
            by.lock().unwrap().push(std::thread::current().id());
        } else {
            spin(Duration::from_nanos(50));
        }
    })
    .unwrap();
    let by = by.into_inner().unwrap();
    // Whoever was done first, the caller even, another took its part.
    let most = by.iter().map(|id| by.iter().filter(|other| *other == id).count()).max();
    assert!(by.len() == 50 && most < Some(46), "one thread ran {most:?} of 50 slow items");
}

#[test]
fn every_kind_of_items() {
    let pool = Pool::new(3).unwrap();
    let words = ["a".to_owned(), "bb".to_owned()];
    assert_eq!(pool.map(&words, String::len).unwrap(), [1, 2]);
    assert_eq!(pool.map(words.iter().rev(), |word| word.len()).unwrap(), [2, 1]);
    assert_eq!(pool.map(words, |word| word + "!").unwrap(), ["a!", "bb!"]);
    assert_eq!(pool.map(1..=3, |i| i).unwrap(), [1, 2, 3]);
    let mut numbers = vec![1; 1000];
    pool.for_each(numbers.chunks_mut(64).enumerate(), |(i, chunk)| chunk.fill(i)).unwrap();
    assert!(numbers.iter().enumerate().all(|(i, x)| *x == i / 64));
    assert_eq!(pool.map_zip([1, 2], [10, 20], |a, b| a + b).unwrap(), [11, 22]);
    assert_eq!(pool.map_zip([1, 2], 5.., |a, b| a + b).unwrap(), [6, 8]);
    let error = pool.map_zip([1, 2], [1, 2, 3], |a, b| a + b).unwrap_err();
    assert!(matches!(error, Error::LengthMismatch { got: 3, expected: 2, .. }), "{error}");
}

#[test]
fn values_without_a_size_and_huge_ones() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.map(0..100_000, |_| ()).unwrap().len(), 100_000);
    assert_eq!(pool.map([(); 1000], |()| ()).unwrap().len(), 1000);
    let huge = pool.map(0..40_u8, |i| {
        spin(micros(30));
        vec![i; 1 << 20]
    });
    assert!(huge.unwrap().iter().zip(0..).all(|(v, i)| v.len() == 1 << 20 && v.iter().all(|x| *x == i)));
}

#[test]
fn a_tree_gives_the_same_bits_whoever_climbs_it() {
    // Floats of very different size: another order of additions gives other bits.
    let value = |i: u64| Random::new(1, i).unit() * (10.0_f64).powi((i % 31) as i32 - 15);
    fn tree(values: &[f64]) -> f64 {
        // The largest power of two below the length is the left half.
        match values {
            [one] => *one,
            _ => {
                let (left, right) = values.split_at(values.len().next_power_of_two() / 2);
                tree(left) + tree(right)
            }
        }
    }
    for n in [1, 2, 3, 100, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 20_000] {
        let values: Vec<f64> = (0..n).map(value).collect();
        // 256 values from left to right make a leaf.
        let leaves = values.chunks(256).map(|leaf| leaf.iter().copied().reduce(|a, b| a + b).unwrap());
        let values: Vec<f64> = leaves.collect();
        let expected = tree(&values);
        for pool in pools() {
            for grain in [None, Some(1), Some(3), Some(255), Some(256), Some(257), Some(1000)] {
                let over = pool.over(0..n);
                let over = if let Some(grain) = grain { over.grain(grain) } else { over };
                let sum = over.map_reduce(
                    |i| {
                        spin(Duration::from_nanos(200));
                        value(i)
                    },
                    |a, b| a + b,
                );
                assert_eq!(sum.unwrap().map(f64::to_bits), Some(expected.to_bits()), "{n} by {grain:?}");
            }
        }
    }
    assert_eq!(Pool::default().map_reduce(0..0, |i| i, |a, b| a + b).unwrap(), None);
    let pool = Pool::new(2).unwrap();
    let error = pool.map_reduce(0..10, |i| i, |_, _| panic!("no sum")).unwrap_err();
    assert_eq!(item(&error).1, "panicked: no sum");
    // Not commutative: the order of the items is kept.
    let text = pool.over(0..500).grain(3).map_reduce(
        |i| {
            spin(micros(2));
            format!("{i} ")
        },
        |a, b| a + &b,
    );
    assert_eq!(text.unwrap().unwrap(), (0..500).map(|i| format!("{i} ")).collect::<String>());
}

#[test]
fn errors_are_loud_and_the_pool_stays_usable() {
    for pool in pools() {
        for bad in [0, 1, 7, 500, 1999] {
            for cost in [0, 3] {
                let (running, ran) = (AtomicUsize::new(0), AtomicUsize::new(0));
                let body = |i: usize| {
                    running.fetch_add(1, Ordering::SeqCst);
                    spin(micros(cost));
                    // However late the thread of the bad one gets its CPU.
                    until("the failure", || i < bad + 100 || token().is_cancelled());
                    running.fetch_sub(1, Ordering::SeqCst);
                    ran.fetch_add(1, Ordering::SeqCst);
                    if i == bad { Err(format!("{i} is bad")) } else { Ok(i) }
                };
                let error = pool.try_map(0..2000, body).unwrap_err();
                assert_eq!(item(&error), (bad, &*format!("{bad} is bad")));
                assert_eq!(running.load(Ordering::SeqCst), 0, "items ran on");
                assert!(ran.load(Ordering::SeqCst) <= bad + 1 + 110, "items started after the failure");
                let panics = |i| {
                    spin(micros(cost));
                    assert!(i != bad, "{i} panics");
                };
                let error = pool.map(0..2000, panics).unwrap_err();
                assert_eq!(item(&error), (bad, &*format!("panicked: {bad} panics")));
            }
        }
        // Of several, the first that ran.
        let error = pool.try_map(0..1000, |i| if i % 10 == 9 { Err(i) } else { Ok(()) }).unwrap_err();
        assert_eq!(item(&error), (9, "9"));
        let error = pool.over(0..100).grain(1).try_for_each(|_| {
            spin(micros(100));
            Err::<(), _>("all bad")
        });
        assert_eq!(item(&error.unwrap_err()), (0, "all bad"));
        assert_eq!(pool.map(0..100, |i| i).unwrap().len(), 100);
    }
    // The first by number, whichever fails first in time.
    let early = AtomicUsize::new(usize::MAX);
    let error = Pool::new(2).unwrap().over(0..1000).grain(1).try_for_each(|i| {
        spin(micros(100));
        if i == 500 {
            early.store(i, Ordering::SeqCst);
            until("a later failure", || token().is_cancelled());
        }
        if i == 500 || early.load(Ordering::SeqCst) < i { Err(i) } else { Ok(()) }
    });
    assert_eq!(item(&error.unwrap_err()), (500, "500"));
}

#[test]
fn seven_of_a_million_stops_the_loop() {
    let ran = AtomicUsize::new(0);
    let error = Pool::new(2).unwrap().over(0..1_000_000).try_for_each(|i| {
        ran.fetch_add(1, Ordering::Relaxed);
        spin(micros(1));
        if i == 7 { Err("seven") } else { Ok(()) }
    });
    assert_eq!(item(&error.unwrap_err()), (7, "seven"));
    assert!(ran.into_inner() < 1000);
}

#[test]
fn panics_of_every_kind() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("dropped");
            }
        }
    }
    for pool in pools() {
        let error = pool
            .map(0..10, |i| {
                if i == 3 {
                    std::panic::panic_any(3_u8)
                }
            })
            .unwrap_err();
        assert_eq!(item(&error), (3, "panicked with a payload that is no text"));
        let error = pool
            .map(0..10, |i| {
                if i == 3 {
                    std::panic::panic_any(Bomb)
                }
            })
            .unwrap_err();
        assert_eq!(item(&error), (3, "panicked with a payload that is no text"));
        // A value whose drop panics is dropped in the body.
        let error = pool.map(0..100, |i| drop((i == 50).then(|| Bomb))).unwrap_err();
        assert_eq!(item(&error), (50, "panicked: dropped"));
        // An iterator panics, on the calling thread or with others at work.
        for (at, cost) in [(0, 0), (5, 0), (3000, 0), (700, 5)] {
            let items = (0..5000).inspect(|i| assert!(*i != at, "no item {i}"));
            let error = pool.map(items, |_| spin(micros(cost))).unwrap_err();
            assert_eq!(item(&error), (at, &*format!("panicked: no item {at}")), "{cost}");
        }
        // Results that panic when nobody wants them.
        let task = pool.submit(|| Bomb);
        until("the end", || task.is_done());
        drop(task);
        drop(pool.submit(|| {
            spin(micros(200));
            Bomb
        }));
        drop(pool.submit(|| panic!("nobody looks at this one")));
        assert_eq!(item(&pool.map(0..1, |_| std::panic::panic_any(Bomb)).unwrap_err()).0, 0);
        assert_eq!(pool.submit(|| 5).wait(), Ok(5));
    }
}

#[test]
fn every_items_own_result() {
    for pool in pools() {
        let results = pool.over(0..300).collect_results(|i: usize| match i % 3 {
            0 => Ok(i),
            1 => Err(format!("{i} failed")),
            _ => panic!("{i} panicked"),
        });
        for (i, result) in results.unwrap().into_iter().enumerate() {
            match i % 3 {
                0 => assert_eq!(result, Ok(i)),
                1 => assert_eq!(item(&result.unwrap_err()), (i, &*format!("{i} failed"))),
                _ => assert_eq!(item(&result.unwrap_err()), (i, &*format!("panicked: {i} panicked"))),
            }
        }
    }
}

#[test]
fn retries_follow_their_policy() {
    for pool in pools() {
        let attempts: Vec<AtomicUsize> = (0..50).map(|_| AtomicUsize::new(0)).collect();
        let flaky = |i: usize| {
            let attempt = attempts[i].fetch_add(1, Ordering::Relaxed);
            assert!(attempt > 0 || !i.is_multiple_of(2), "the first attempt");
            if attempt < i % 4 { Err("again") } else { Ok(i) }
        };
        let done = pool.over(0..50).retry(Retry::new(3)).try_map(flaky).unwrap();
        assert_eq!(done, (0..50).collect::<Vec<_>>());
        let counts: Vec<usize> = attempts.iter().map(|n| n.load(Ordering::Relaxed)).collect();
        assert!(counts.iter().enumerate().all(|(i, n)| *n == (i % 4).max(usize::from(i % 2 == 0)) + 1));

        let ran = AtomicUsize::new(0);
        let begun = Instant::now();
        let retry = Retry::new(2).pause(Duration::from_millis(4)).doubling();
        let error = pool.over([0]).retry(retry).try_map(|_| {
            ran.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>("never")
        });
        assert_eq!(item(&error.unwrap_err()), (0, "never"));
        assert_eq!(ran.into_inner(), 3);
        assert!(begun.elapsed() >= Duration::from_millis(12));
    }
}

#[test]
fn time_limits_and_cancel_end_a_loop() {
    for pool in pools() {
        let begun = Instant::now();
        let limit = Duration::from_millis(20);
        let error = pool.over(0..).timeout(limit).for_each(|_: u64| {
            spin(micros(100));
        });
        assert_eq!(error, Err(Error::TimeLimit { kernel: "Pool::for_each".to_owned(), limit }));
        assert!(begun.elapsed() < Duration::from_secs(30));

        let cancel = Cancel::new();
        let error = pool.over(0..).cancel(&cancel).map(|i: usize| {
            spin(micros(10));
            if i == 500 {
                cancel.cancel();
            }
        });
        assert_eq!(error, Err(Error::Cancelled { kernel: "Pool::map".to_owned() }));
        let error = pool.over(0..10).cancel(&cancel).map(|_| panic!("cancelled before"));
        assert!(matches!(error, Err::<Vec<()>, _>(Error::Cancelled { .. })));
        // Enough time: nothing happens.
        assert_eq!(pool.over(0..10).timeout(Duration::MAX).map(|i| i).unwrap().len(), 10);
    }
}

#[test]
fn an_item_over_its_time_has_failed() {
    for pool in pools() {
        let limit = Duration::from_millis(5);
        let results = pool
            .over(0..4)
            .item_timeout(limit)
            .collect_results(|i| {
                let (begun, token) = (Instant::now(), token());
                while i == 2 && !token.is_cancelled() && begun.elapsed() < Duration::from_secs(20) {
                    std::hint::spin_loop();
                }
                assert!(begun.elapsed() < Duration::from_secs(20), "the token was never set");
                Ok::<_, Error>(i)
            })
            .unwrap();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3);
        assert!(item(results[2].as_ref().unwrap_err()).1.starts_with("took "));
    }
}

#[test]
fn the_token_of_an_inner_loop_is_set_with_the_outer_one() {
    let cancel = Cancel::new();
    let pool = Pool::new(2).unwrap();
    let outer = pool.over(0..2).cancel(&cancel).map(|i| {
        pool.for_each(0.., |inner: u64| {
            spin(micros(10));
            if i == 1 || inner == 1000 {
                cancel.cancel();
            }
        })
    });
    assert!(matches!(outer, Err(Error::Cancelled { .. })));
    assert!(!token().is_cancelled());
}

#[test]
fn loops_inside_loops_end_and_add_no_threads() {
    for pool in pools() {
        let inner = pool.clone();
        let threads = Arc::new(Mutex::new(HashSet::new()));
        let seen = Arc::clone(&threads);
        let sum = soon("a nested loop", move || {
            inner
                .map(0..4_u64, |a| {
                    let sums = inner.map(0..4_u64, |b| {
                        let sums = inner.map(0..4_u64, |c| {
                            let sums = inner.map(0..4_u64, |d| {
                                seen.lock().unwrap().insert(std::thread::current().id());
                                spin(micros(20));
                                a + b + c + d
                            });
                            sums.unwrap().iter().sum::<u64>()
                        });
                        sums.unwrap().iter().sum::<u64>()
                    });
                    sums.unwrap().iter().sum::<u64>()
                })
                .unwrap()
                .iter()
                .sum::<u64>()
        });
        assert_eq!(sum, 4 * 256 * 6 / 4);
        assert!(threads.lock().unwrap().len() <= pool.threads().unwrap() + 1);
    }
}

#[test]
fn progress_counts_what_is_done() {
    for pool in pools() {
        let progress = Progress::new();
        pool.over(0..1000)
            .progress(&progress)
            .for_each(|i| {
                spin(micros(2));
                assert!(progress.done() <= 1000, "{i}");
            })
            .unwrap();
        assert_eq!(progress.done(), 1000);
    }
}

#[test]
fn numbers_of_threads() {
    assert_eq!(Pool::new(3).unwrap().threads(), Ok(3));
    let all = std::thread::available_parallelism().unwrap().get();
    assert_eq!(Pool::new(-1).unwrap().threads(), Ok(all));
    assert_eq!(Pool::new(-2).unwrap().threads(), Ok((all - 1).max(1)));
    assert_eq!(Pool::new(-10_000).unwrap().threads(), Ok(1));
    assert_eq!(Pool::new(isize::MIN).unwrap().threads(), Ok(1));
    for n in [0, 1025, isize::MAX] {
        let error = Pool::new(n).unwrap_err();
        assert!(matches!(&error, Error::Config { got, .. } if *got == n.to_string()), "{error}");
    }
    assert_eq!(Pool::default().threads(), forall::pool_threads());
}

#[test]
fn the_initializer_runs_once_on_every_thread() {
    thread_local! {
        static READY: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let pool = Pool::new(3).unwrap().with_initializer(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        READY.set(READY.get() + 1);
    });
    for _ in 0..3 {
        pool.for_each(0..300, |_| {
            spin(micros(20));
            assert_eq!(READY.get(), 1);
        })
        .unwrap();
        assert_eq!(pool.submit(|| READY.get()).wait(), Ok(1));
        assert!(pool.imap(0..50, |_| READY.get()).all(|ready| ready == Ok(1)));
    }
    assert!((2..=4).contains(&runs.load(Ordering::SeqCst)));

    let broken = Pool::new(2).unwrap().with_initializer(|| panic!("no licence"));
    let told =
        |error: Error| assert_eq!(error.to_string(), "task: the pool's initializer panicked: no licence");
    told(broken.map(0..10, |i| i).unwrap_err());
    told(broken.submit(|| ()).wait().unwrap_err());
    told(broken.imap(0..10, |i| i).next().unwrap().unwrap_err());
    told(broken.scope(|scope| scope.submit(|| ()).wait()).unwrap().unwrap_err());
}

#[test]
#[cfg(target_os = "linux")]
fn a_thread_bound_to_one_cpu_counts_one() {
    use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
    let counted = std::thread::spawn(|| {
        let mut one = CpuSet::new();
        one.set(sched_getcpu());
        sched_setaffinity(None, &one).unwrap();
        Pool::new(-1).unwrap().threads()
    });
    assert_eq!(counted.join().unwrap(), Ok(1));
}

/// Needs the right to make a control group, and makes one: only where `FORALL_TEST_CGROUP=1` asks for it.
#[test]
#[cfg(target_os = "linux")]
fn a_quota_of_one_cpu_counts_one() {
    use std::fs;
    const NAME: &str = "a_quota_of_one_cpu_counts_one";
    const GROUP: &str = "FORALL_TEST_CGROUP_AT";
    if let Ok(group) = std::env::var(GROUP) {
        // The child: joins the group, then counts.
        fs::write(format!("{group}/cgroup.procs"), "0").unwrap();
        assert_eq!(Pool::new(-1).unwrap().threads(), Ok(1));
        return;
    }
    if std::env::var("FORALL_TEST_CGROUP").as_deref() != Ok("1") {
        println!("skipped: FORALL_TEST_CGROUP is not 1");
        return;
    }
    let second = fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap();
    let root = if second { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/cpu" };
    let group = format!("{root}/forall-{}", std::process::id());
    fs::create_dir(&group).unwrap();
    if second {
        fs::write(format!("{group}/cpu.max"), "100000 100000").unwrap();
    } else {
        fs::write(format!("{group}/cpu.cfs_quota_us"), "100000").unwrap();
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env(GROUP, &group)
        .status();
    fs::remove_dir(&group).unwrap();
    assert!(child.unwrap().success());
}

#[test]
fn a_stream_keeps_every_worker_at_work() {
    let pool = Pool::new(2).unwrap();
    for round in 0..6 {
        let by: Arc<Mutex<Vec<_>>> = Arc::default();
        let record = Arc::clone(&by);
        let stream = pool.imap(0..1000, move |i| {
            spin(micros(30));
            record.lock().unwrap().push(std::thread::current().id());
            i
        });
        assert_eq!(stream.map(Result::unwrap).sum::<u64>(), 999 * 1000 / 2);
        let by = by.lock().unwrap();
        let first = by.iter().filter(|id| **id == by[0]).count();
        // A tenth each: others may want the CPUs too.
        assert!((100..=900).contains(&first), "round {round}: {first} of 1000 on one worker");
    }
}
