//! The third of four ways to run a Python loop in parallel that an article of 2023 shows, and the same loop here.
//!
//! ```python
//! with joblib.Parallel(n_jobs=-1) as parallel:
//!     results = parallel(delayed(loop_function)(i) for i in range(10))
//! ```
//!
//! What is wrong with it: little. It is the only one of the four that runs in parallel and raises its errors. But every call waits
//! 10 ms at least, because joblib looks for results with `time.sleep(0.01)`, and a trivial item costs 3 µs in batches that it
//! chooses, 41 µs with threads.
//!
//! Here the same -1 means all cores; how many items go at a time follows from what they are measured to cost; progress, retries and
//! limits of time are options of the loop. What joblib's `Memory` keeps, a checkpoint keeps.

use std::time::Duration;

use forall::tasks::{Pool, Random, Retry};
use forall::{Progress, Result};

/// How many of 1000 darts hit the circle: the same for the same `i`, on any number of threads.
fn loop_function(i: u64) -> u64 {
    let mut random = Random::new(2023, i);
    (0..1000).filter(|_| random.unit().hypot(random.unit()) < 1.0).count() as u64
}

fn main() -> Result<()> {
    let pool = Pool::new(-1)?;
    let progress = Progress::new();
    let over = pool.over(0..200).progress(&progress).on_progress(|pace| println!("{pace}"));
    let hits = over.retry(Retry::new(2)).timeout(Duration::from_secs(60)).map(loop_function)?;
    assert_eq!((hits.len(), progress.done()), (200, 200));
    assert_eq!(hits, Pool::new(1)?.map(0..200, loop_function)?, "the same numbers on one thread");

    // With a file, a loop that was stopped goes on where it was.
    let path = std::env::temp_dir().join(format!("forall-article-{}.checkpoint", std::process::id()));
    let tired = |i| if i == 150 { Err("out of memory") } else { Ok(loop_function(i)) };
    let error = pool.over(0..200).checkpoint(&path).key("darts").try_map(tired).unwrap_err();
    println!("{error}; once more:");
    let rest = pool.over(0..200).on_progress(|pace| println!("{pace}")).checkpoint(&path).key("darts");
    assert_eq!(rest.map(loop_function)?, hits);
    std::fs::remove_file(&path).expect("the loop has written it");

    let sum: u64 = hits.iter().sum();
    let pi = 4.0 * sum as f64 / 200_000.0;
    // Its standard deviation is 4 √(p (1 − p) / 200 000) = 0.0037.
    assert!((pi - std::f64::consts::PI).abs() < 5.0 * 0.0037);
    println!("π is about {pi}");
    Ok(())
}
