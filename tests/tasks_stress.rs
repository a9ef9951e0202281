//! A hundred thousand random mixes of everything in `tasks`, on shared pools, under a time limit, with every task accounted for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use forall::tasks::{Pool, Random, Retry, as_completed, first_error, token, wait_all, wait_any};
use forall::{Cancel, Error, Progress};

const MIXES: u64 = 100_000;
const LIMIT: Duration = Duration::from_secs(300);

/// Bodies that are there, and those that are running.
#[derive(Default)]
struct Accounts {
    made: AtomicUsize,
    gone: AtomicUsize,
    running: AtomicUsize,
}

/// Held by a body, run or not; it counts when it is made and when it is gone.
struct Ticket(Arc<Accounts>);

impl Ticket {
    fn new(accounts: &Arc<Accounts>) -> Self {
        accounts.made.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(accounts))
    }

    fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        struct Running<'a>(&'a Accounts);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                self.0.running.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.0.running.fetch_add(1, Ordering::SeqCst);
        let _running = Running(&self.0);
        body()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.gone.fetch_add(1, Ordering::SeqCst);
    }
}

fn spin(micros: u64) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(micros) {
        std::hint::spin_loop();
    }
}

fn mix(pool: &Pool, accounts: &Arc<Accounts>, random: &mut Random) {
    let ticket = || Ticket::new(accounts);
    let (a, b) = (random.below(20), random.below(40));
    match random.below(16) {
        0 => {
            let held = ticket();
            assert_eq!(pool.submit(move || held.run(|| a + b)).wait(), Ok(a + b));
        }
        1 => {
            let ran = Arc::new(AtomicUsize::new(0));
            let (held, counted) = (ticket(), Arc::clone(&ran));
            let task = pool.submit(move || held.run(|| counted.fetch_add(1, Ordering::SeqCst)));
            spin(a);
            let never = task.cancel();
            let result = task.wait();
            assert_eq!(
                never || matches!(result, Err(Error::Cancelled { .. })),
                ran.load(Ordering::SeqCst) == 0
            );
        }
        2 => {
            let held = ticket();
            let task = pool.submit(move || held.run(|| assert!(a > 20, "boom")));
            assert_eq!(task.wait(), Err(Error::Task { message: "panicked: boom".to_owned() }));
        }
        3 => {
            let held = ticket();
            let mut task = pool.submit(move || held.run(|| spin(a)));
            let early = task.wait_timeout(Duration::from_micros(b));
            assert_eq!(early.unwrap_or_else(|| task.wait()), Ok(()));
        }
        4 => {
            let (held, inner) = (ticket(), pool.clone());
            let task = pool.submit(move || held.run(|| inner.map(0..b, |i| i * i)));
            assert_eq!(task.wait(), Ok(Ok((0..b).map(|i| i * i).collect())));
        }
        5 => {
            let held = ticket();
            let sums = pool.map(0..a, |i| pool.map(0..i, |j| held.run(|| j)).unwrap().iter().sum::<u64>());
            assert_eq!(sums.unwrap(), (0..a).map(|i| i * (i.max(1) - 1) / 2).collect::<Vec<_>>());
        }
        6 => {
            let held = ticket();
            let bad = 7 * a;
            let result = pool.over(0..200).grain(1 + b as usize).try_map(|i| {
                held.run(|| match i {
                    _ if i != bad => {
                        spin(i % 3);
                        Ok(())
                    }
                    _ if b % 2 == 0 => panic!("bad"),
                    _ => Err("bad"),
                })
            });
            let message = if b % 2 == 0 { "panicked: bad" } else { "bad" };
            assert_eq!(result, Err(Error::Item { index: bad as usize, message: message.to_owned() }));
        }
        7 => {
            let held = ticket();
            let mut stream = pool.imap(0.., move |i: u64| {
                held.run(|| {
                    spin(i % 2);
                    i
                })
            });
            assert!((0..a).all(|i| stream.next() == Some(Ok(i))));
        }
        8 => {
            let held = ticket();
            let sum: u64 = pool.imap_unordered(0..10 * b, move |i| held.run(|| i)).map(Result::unwrap).sum();
            assert_eq!(sum, 5 * b * (10 * b).saturating_sub(1));
        }
        9 => {
            let data: Vec<u64> = (0..b).collect();
            let sum = pool.scope(|scope| {
                let tasks: Vec<_> = data
                    .chunks(5)
                    .map(|chunk| {
                        let held = ticket();
                        scope.submit(move || held.run(|| chunk.iter().sum::<u64>()))
                    })
                    .collect();
                first_error(tasks).unwrap().into_iter().sum::<u64>()
            });
            assert_eq!(sum, Ok(b * (b.max(1) - 1) / 2));
        }
        10 => {
            let held = ticket();
            drop(pool.submit(move || held.run(|| spin(a))));
        }
        11 => {
            let mut tasks: Vec<_> = (0..5)
                .map(|i| {
                    let held = ticket();
                    pool.submit(move || {
                        held.run(|| {
                            spin(a);
                            i
                        })
                    })
                })
                .collect();
            let (_, first) = wait_any(&mut tasks).unwrap();
            let rest: u64 = as_completed(tasks).map(|(_, result)| result.unwrap()).sum();
            assert_eq!(first.unwrap() + rest, 10);
        }
        12 => {
            let held = ticket();
            let limit = Duration::from_micros(a);
            let result = pool.over(0..500).timeout(limit).for_each(|_| held.run(|| spin(1)));
            assert!(matches!(result, Ok(()) | Err(Error::TimeLimit { .. })), "{result:?}");
        }
        13 => {
            let (held, other, inner) = (ticket(), ticket(), pool.clone());
            let first = pool.submit(move || other.run(|| spin(a)));
            let second = pool.submit(move || {
                held.run(|| {
                    first.wait().unwrap();
                    let tasks: Vec<_> = (0..3).map(|i| inner.submit(move || i)).collect();
                    wait_all(tasks).into_iter().map(Result::unwrap).sum::<u64>()
                })
            });
            assert_eq!(second.wait(), Ok(3));
        }
        14 => {
            let (held, progress, attempts) = (ticket(), Progress::new(), AtomicUsize::new(0));
            let result = pool.over(0..b).retry(Retry::new(1)).progress(&progress).try_map(|i| {
                held.run(|| {
                    if attempts.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) && i == 0 {
                        Err("again")
                    } else {
                        Ok(i)
                    }
                })
            });
            assert!(result.is_ok_and(|list| list.len() as u64 == b) && progress.done() as u64 == b);
        }
        _ => {
            let (held, cancel) = (ticket(), Cancel::new());
            let inner = cancel.clone();
            let result = pool.over(0_u64..).cancel(&cancel).for_each(|i| {
                held.run(|| {
                    if i == 10 * b {
                        inner.cancel();
                        assert!(token().is_cancelled());
                    }
                });
            });
            assert_eq!(result, Err(Error::Cancelled { kernel: "Pool::for_each".to_owned() }));
        }
    }
}

#[test]
fn a_hundred_thousand_mixes() {
    // Panics are on purpose here, and many.
    std::panic::set_hook(Box::new(|info| {
        let text = info.payload_as_str().unwrap_or_default();
        if text != "boom" && text != "bad" {
            eprintln!("{info}");
        }
    }));
    let accounts = Arc::new(Accounts::default());
    let pools: Vec<Pool> =
        [1, 2, 3].map(|n| Pool::new(n).unwrap()).into_iter().chain([Pool::default()]).collect();
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed) as u64;
                    if number >= MIXES {
                        return;
                    }
                    assert!(begun.elapsed() < LIMIT, "{number} mixes took {LIMIT:?}");
                    let mut random = Random::new(5, number);
                    let pool = &pools[random.below(pools.len() as u64) as usize];
                    mix(pool, &accounts, &mut random);
                }
            });
        }
    });
    // What was left to run by itself ends too.
    while accounts.made.load(Ordering::SeqCst) != accounts.gone.load(Ordering::SeqCst) {
        assert!(begun.elapsed() < LIMIT, "tasks are missing");
        std::thread::yield_now();
    }
    assert_eq!(accounts.running.load(Ordering::SeqCst), 0);
    assert!(accounts.made.load(Ordering::SeqCst) as u64 > MIXES / 2);
    println!("{MIXES} mixes in {:?}", begun.elapsed());
}
