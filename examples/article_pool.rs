//! The first of four ways to run a Python loop in parallel that an article of 2023 shows, and the same loop here.
//!
//! ```python
//! pool = multiprocessing.Pool(processes=4)
//! results = [pool.apply(loop_function, args=(i,)) for i in range(10)]
//! ```
//!
//! What is wrong with it: `Pool.apply` waits for each item before it sends the next, so the loop is serial: 8 items of 0.2 s took
//! 1.62 s on 4 processes (`Pool.map`: 0.40 s). With a trivial body an item costs 340 µs. An exception leaves the processes behind.
//!
//! Here a loop is `map`. The calling thread works too, a body is any closure, and nothing is pickled.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use forall::Result;
use forall::tasks::Pool;

/// A body that waits, as one that asks a server would.
fn loop_function(i: u64) -> (u64, thread::ThreadId) {
    thread::sleep(Duration::from_millis(20));
    (i * i, thread::current().id())
}

fn main() -> Result<()> {
    // Four threads, whatever the number of cores: these items wait more than they compute.
    let pool = Pool::new(4)?;
    let begun = Instant::now();
    let results = pool.map(0..10, loop_function)?;
    let took = begun.elapsed();

    let squares: Vec<u64> = results.iter().map(|(square, _)| *square).collect();
    assert_eq!(squares, [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
    let threads: HashSet<_> = results.iter().map(|(_, thread)| thread).collect();
    assert!(threads.len() > 1, "the loop is not serial");
    println!("10 items of 20 ms on {} threads: {took:.0?}", threads.len());

    // `starmap`, for bodies of several arguments.
    let powers =
        pool.map_zip(0..10, [2_u64, 3].into_iter().cycle(), |i: u64, power: u64| i.pow(power as u32))?;
    assert_eq!(powers, [0, 1, 4, 27, 16, 125, 36, 343, 64, 729]);

    // The pool ends with its last handle, whatever happened: nothing to close.
    let error = pool.map(0..10, |i| assert!(i != 7, "no result for {i}")).unwrap_err();
    assert_eq!(error.to_string(), "item 7: panicked: no result for 7");
    Ok(())
}
