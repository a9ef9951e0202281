use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use super::*;
use crate::launch::{self, IntoArgs, IntoOutputs};
use crate::part::Index;

/// A piece of several vectors, less than a block.
const STEP: usize = 64;
/// A block of the interpreter.
const BLOCK: usize = 1024;

fn part<'a>(kernel: &Kernel, args: impl IntoArgs<'a>, outputs: impl IntoOutputs<'a>) -> Part<'a> {
    launch::check(kernel.signature(), args.into_args(), outputs.into_outputs()).unwrap()
}

/// The whole part on all threads, in pieces of that length.
fn split(pool: &Threads, kernel: &Kernel, part: Part<'_>, piece: usize) -> Result<()> {
    let pieces = Pieces::new(Some(part), piece as u64);
    pool.share(pieces, pool.count() - 1, &|piece| counted(kernel, piece))
}

/// The numbers `0..count` on all threads, in pieces of that length.
fn ranges(
    pool: &Threads,
    count: u64,
    piece: u64,
    body: impl Fn(Range<u64>) -> Result<()> + Sync,
) -> Result<()> {
    pool.share(Pieces::new(0..count, piece), pool.count() - 1, &body)
}

fn spin(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn kernels() -> [Kernel; 3] {
    [
        Kernel::scalar("scalar", |i: u32, x: f32, a: f32| (a * x + i as f32, i)),
        Kernel::lanes("lanes", |i: wide::u32x8, x: wide::f32x8, a: wide::f32x8| {
            (a * x + wide::f32x8::new(i.to_array().map(|i| i as f32)), i)
        }),
        Kernel::scalar("sqrt", |i: u32, x: f32, a: f32| ((a / x).sqrt(), i)),
    ]
}

#[test]
fn every_split_gives_the_bits_of_one_thread() {
    let pools = [1, 2, 7].map(|count| Threads::new(count).unwrap());
    assert_eq!(pools.each_ref().map(Threads::count), [1, 2, 7]);
    for kernel in kernels() {
        for n in [0, 1, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 5000] {
            let x: Vec<f32> = (0..n).map(|i| (i as f32 - 70.0) * 1.7).collect();
            let (mut expected, mut indices) = (vec![f32::NAN; n], vec![7_u32; n]);
            kernel.run(part(&kernel, (Index, &x, 0.3_f32), (&mut expected, &mut indices))).unwrap();
            assert!(indices.iter().enumerate().all(|(i, index)| *index == i as u32));
            let bits: Vec<u32> = expected.iter().map(|x| x.to_bits()).collect();
            for pool in &pools {
                for piece in [STEP, 3 * STEP, BLOCK, usize::MAX] {
                    let (mut out, mut again) = (vec![f32::from_bits(0xA5A5_A5A5); n], vec![7_u32; n]);
                    let part = part(&kernel, (Index, &x, 0.3_f32), (&mut out, &mut again));
                    if piece == usize::MAX {
                        pool.run(&kernel, part).unwrap();
                    } else {
                        split(pool, &kernel, part, piece).unwrap();
                    }
                    assert!(
                        out.iter().zip(&bits).all(|(out, bits)| out.to_bits() == *bits),
                        "{}: {n}",
                        kernel.name()
                    );
                    assert_eq!(again, indices);
                }
            }
        }
    }
}

#[test]
fn pieces_start_at_whole_steps() {
    let starts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&starts);
    let kernel = Kernel::chunk("k").output::<u32>("out").body(move |chunk| {
        seen.lock().unwrap().push((chunk.start(), chunk.len()));
        chunk.output::<u32>("out").fill(1);
    });
    let pool = Threads::new(3).unwrap();
    let mut out = vec![0_u32; 10 * STEP + 5];
    split(&pool, &kernel, part(&kernel, (), &mut out), 2 * STEP).unwrap();
    let mut pieces = std::mem::take(&mut *starts.lock().unwrap());
    pieces.sort_unstable();
    let expected: Vec<_> = (0..5).map(|k| (2 * STEP * k, 2 * STEP)).chain([(10 * STEP, 5)]).collect();
    assert_eq!(pieces, expected);
    assert!(out.iter().all(|o| *o == 1));
}

/// A kernel whose every element takes `time`, and the threads that ran it.
fn slow(time: Duration) -> (Kernel, Arc<Mutex<Vec<ThreadId>>>) {
    let threads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&threads);
    let kernel = Kernel::scalar("slow", move |x: u32| {
        spin(time);
        seen.lock().unwrap().push(std::thread::current().id());
        x
    });
    (kernel, threads)
}

fn distinct(threads: &Mutex<Vec<ThreadId>>) -> usize {
    threads.lock().unwrap().iter().collect::<std::collections::HashSet<_>>().len()
}

#[test]
fn short_loops_stay_on_the_calling_thread_and_long_ones_spread() {
    let pool = Threads::new(2).unwrap();
    let me = std::thread::current().id();
    // On a busy machine a thread may lose its CPU for longer than a loop takes: tried again.
    let short_stays = || {
        let (kernel, threads) = slow(Duration::ZERO);
        pool.run(&kernel, part(&kernel, Index, &mut [0_u32; STEP])).unwrap();
        *threads.lock().unwrap() == [me; STEP]
    };
    let long_spreads = || {
        let (kernel, threads) = slow(Duration::from_micros(20));
        pool.run(&kernel, part(&kernel, Index, &mut [0_u32; 2000])).unwrap();
        distinct(&threads) == 2 && threads.lock().unwrap().contains(&me)
    };
    // All but the first, which tells that they are slow.
    let few_slow_ones_spread = || {
        let (kernel, threads) = slow(Duration::from_millis(2));
        let mut out = [0_u32; 9];
        assert_eq!(pool.run(&kernel, part(&kernel, Index, &mut out)), Ok(true));
        assert!(out.iter().enumerate().all(|(i, o)| *o == i as u32));
        distinct(&threads) == 2
    };
    assert!((0..20).any(|_| short_stays()));
    assert!((0..20).any(|_| long_spreads()));
    assert!((0..20).any(|_| few_slow_ones_spread()));
}

#[test]
fn a_loop_inside_a_loop_runs_on_the_worker_that_starts_it() {
    let pool = Arc::new(Threads::new(2).unwrap());
    let inner_pool = Arc::clone(&pool);
    let strayed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&strayed);
    let outer = Kernel::scalar("outer", move |x: u32| {
        let (inner, threads) = slow(Duration::from_micros(1));
        let mut out = vec![0_u32; 200];
        inner_pool.run(&inner, part(&inner, Index, &mut out)).unwrap();
        let me = std::thread::current().id();
        count.fetch_add(threads.lock().unwrap().iter().filter(|id| **id != me).count(), Ordering::Relaxed);
        x + out[199]
    });
    let mut out = vec![0_u32; 200];
    split(&pool, &outer, part(&outer, Index, &mut out), STEP).unwrap();
    assert!(out.iter().enumerate().all(|(i, o)| *o == i as u32 + 199));
    assert_eq!(strayed.load(Ordering::Relaxed), 0);
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
    let pool = Threads::new(2).unwrap();
    for bad in [0, 1, 500, 1999] {
        let kernel = Kernel::scalar("panics", move |x: u32| {
            assert!(x != bad, "element {x} is bad");
            x
        });
        let mut out = vec![0_u32; 2000];
        let run = || split(&pool, &kernel, part(&kernel, Index, &mut out), STEP);
        let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(*panic.downcast::<String>().unwrap(), format!("element {bad} is bad"));
    }
    let kernel = Kernel::scalar("well", |x: u32| x);
    let mut out = vec![0_u32; 2000];
    split(&pool, &kernel, part(&kernel, Index, &mut out), STEP).unwrap();
    assert!(out.iter().enumerate().all(|(i, o)| *o == i as u32));
}

#[test]
fn thread_counts() {
    assert_eq!(parse(" 7 "), Ok(7));
    for text in ["0", "-1", "many", "1025", "65535", "1.5", ""] {
        assert_eq!(parse(text), Err(config(text, "a number of threads, 1 to 1024")));
    }
}

#[test]
fn pieces_follow_the_cost_and_the_number_of_threads() {
    let interpreted = Grain { unit: 256, block: BLOCK as u64 };
    let piece = |taken, probe, n| interpreted.piece(taken, probe, n, 2) as usize;
    // 10 ns an element: 5000 of them are 50 µs, in whole blocks.
    assert_eq!(piece(Duration::from_micros(10), 1000, 10_000_000), 5 * BLOCK);
    // Slow elements: still a whole block.
    assert_eq!(piece(Duration::from_millis(1), 64, 10_000_000), BLOCK);
    // Never so few pieces that one slow one decides.
    assert_eq!(piece(Duration::from_micros(10), 100_000, 32 * BLOCK as u64), 2 * BLOCK);
    // Whole blocks as long as every thread gets two; shorter loops are shared all the same.
    assert_eq!(piece(Duration::from_millis(9), 256, 8000), BLOCK);
    assert_eq!(piece(Duration::from_millis(9), 256, 4096), BLOCK);
    assert_eq!(piece(Duration::from_millis(9), 256, 2048), 512);
    assert_eq!(piece(Duration::from_millis(9), 256, 512), 256);

    let lanes = Grain { unit: 16, block: 16 };
    assert_eq!(lanes.piece(Duration::from_secs(1), 1, 10_000, 2), 16);
    assert_eq!(lanes.piece(Duration::from_micros(100), 16, 64, 2), 16);
    assert_eq!(lanes.piece(Duration::from_micros(10), 1000, 10_000_000, 2), 5008);
    let scalar = Grain { unit: 1, block: 1 };
    assert_eq!(scalar.piece(Duration::from_millis(2), 1, 9, 2), 1);
    assert_eq!(scalar.piece(Duration::from_secs(9), 1, 1, 1024), 1);
    // No measurement is too short, and no number too large.
    assert_eq!(interpreted.piece(Duration::from_nanos(1), 1 << 40, u64::MAX, 1) % BLOCK as u64, 0);
}

#[test]
fn no_more_workers_are_called_than_have_something_to_do() {
    assert_eq!(helpers(BREAK_EVEN, 64), 1);
    assert_eq!(helpers(3 * BREAK_EVEN, 64), 3);
    assert_eq!(helpers(Duration::from_secs(100), 64), 63);
    assert_eq!(helpers(Duration::ZERO, 2), 1);
}

#[test]
fn every_number_is_run_once_and_pieces_start_in_ascending_order() {
    for count in [1, 2, 7] {
        let pool = Threads::new(count).unwrap();
        for n in [0, 1, 2, 6, 7, 8, 63, 64, 65, 1000] {
            for piece in [1, 3, 64, u64::MAX] {
                let (times, order) = (Mutex::new(vec![0; n as usize]), Mutex::new(Vec::new()));
                ranges(&pool, n, piece, |range| {
                    order.lock().unwrap().push((std::thread::current().id(), range.start));
                    range.for_each(|k| times.lock().unwrap()[k as usize] += 1);
                    Ok(())
                })
                .unwrap();
                assert!(times.lock().unwrap().iter().all(|times| *times == 1), "{count} {n} {piece}");
                let order = order.into_inner().unwrap();
                assert_eq!(order.len() as u64, n.div_ceil(piece));
                for (thread, start) in &order {
                    let own: Vec<_> =
                        order.iter().filter(|(other, _)| other == thread).map(|(_, s)| s).collect();
                    assert!(own.is_sorted(), "{start}: {own:?}");
                }
            }
        }
    }
}

#[test]
fn a_piece_may_wait_for_the_one_before_it() {
    // A chained scan. A piece handed out before an earlier one was would wait for ever.
    let pool = Threads::new(7).unwrap();
    for _ in 0..10 {
        let done = AtomicUsize::new(0);
        ranges(&pool, 200, 1, |range| {
            while done.load(Ordering::Acquire) < range.start as usize {
                std::thread::yield_now();
            }
            done.store(range.end as usize, Ordering::Release);
            Ok(())
        })
        .unwrap();
        assert_eq!(done.into_inner(), 200);
    }
}

#[test]
fn a_range_is_covered_once_whether_it_is_worth_sharing_or_not() {
    let pool = Threads::new(3).unwrap();
    for (time, grain) in [(0, 1), (0, 0), (0, 100), (30, 1), (30, 7)] {
        let times = Mutex::new(vec![0; 1000]);
        let shared = pool.for_pieces(1000, grain, &|range| {
            assert!(range.end == 1000 || range.end - range.start >= grain, "{range:?}");
            range.for_each(|k| {
                spin(Duration::from_micros(time));
                times.lock().unwrap()[k as usize] += 1;
            });
            Ok(())
        });
        assert!(times.lock().unwrap().iter().all(|times| *times == 1));
        if time > 0 {
            assert_eq!(shared, Ok(true));
        }
    }
    assert_eq!(pool.for_pieces(0, 1, &|_| panic!("nothing to do")), Ok(false));
    let long = |_| {
        spin(Duration::from_millis(1));
        Ok(())
    };
    assert_eq!(Threads::new(1).unwrap().for_pieces(10, 1, &long), Ok(false));
}

#[test]
fn the_first_error_stops_the_loop_and_reaches_the_caller() {
    let error = |k: u64| config(&k.to_string(), "no error");
    for count in [1, 2, 7] {
        let pool = Threads::new(count).unwrap();
        for bad in [0, 1, 50, 999] {
            let (running, run) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let result = ranges(&pool, 1000, 1, |range| {
                running.fetch_add(1, Ordering::SeqCst);
                run.fetch_add(1, Ordering::SeqCst);
                spin(Duration::from_micros(5));
                running.fetch_sub(1, Ordering::SeqCst);
                if range.start >= bad { Err(error(range.start)) } else { Ok(()) }
            });
            // The first in the order of the pieces, whichever failed first.
            assert_eq!(result, Err(error(bad)));
            assert_eq!(running.into_inner(), 0);
            let run = run.into_inner();
            assert!((bad as usize + 1..=bad as usize + count).contains(&run), "{run} pieces, {bad} was bad");
        }
        assert_eq!(ranges(&pool, 100, 1, |_| Ok(())), Ok(()));
    }
    // In a probe, on the caller, before anything is shared.
    let pool = Threads::new(2).unwrap();
    assert_eq!(pool.for_pieces(1000, 1, &|range| Err(error(range.start))), Err(error(0)));
}

#[test]
fn a_panic_on_any_thread_stops_the_loop() {
    let pool = Threads::new(2).unwrap();
    let caller = std::thread::current().id();
    for on_caller in [true, false] {
        let (run, running) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = || {
            ranges(&pool, 10_000, 1, |_| {
                running.fetch_add(1, Ordering::SeqCst);
                spin(Duration::from_micros(20));
                running.fetch_sub(1, Ordering::SeqCst);
                run.fetch_add(1, Ordering::SeqCst);
                if (std::thread::current().id() == caller) == on_caller {
                    // Without the hook: it may print a backtrace, and the other thread does the whole loop meanwhile.
                    resume_unwind(Box::new("this thread is bad"));
                }
                Ok(())
            })
        };
        let panic = catch_unwind(AssertUnwindSafe(shared)).unwrap_err();
        assert_eq!(*panic.downcast::<&str>().unwrap(), "this thread is bad");
        assert_eq!(running.into_inner(), 0);
        assert!(run.into_inner() < 10_000);
        assert!(!Threads::inside());
    }
}

#[test]
fn the_caller_counts_as_inside_while_it_shares_a_loop() {
    let pool = Threads::new(2).unwrap();
    assert!(!Threads::inside());
    ranges(&pool, 100, 1, |_| {
        assert!(Threads::inside());
        let me = std::thread::current().id();
        let shared = pool.for_pieces(4, 1, &|_| {
            spin(Duration::from_micros(60));
            assert_eq!(std::thread::current().id(), me);
            Ok(())
        });
        assert_eq!(shared, Ok(false));
        Ok(())
    })
    .unwrap();
    assert!(!Threads::inside());
}

#[test]
fn two_callers_share_one_pool() {
    let pool = Threads::new(2).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let sum = AtomicUsize::new(0);
                    ranges(&pool, 100, 3, |range| {
                        range.for_each(|k| _ = sum.fetch_add(k as usize, Ordering::Relaxed));
                        Ok(())
                    })
                    .unwrap();
                    assert_eq!(sum.into_inner(), 99 * 100 / 2);
                }
            });
        }
    });
}
