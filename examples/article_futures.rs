//! The second of four ways to run a Python loop in parallel that an article of 2023 shows, and the same loop here.
//!
//! ```python
//! with concurrent.futures.ProcessPoolExecutor() as executor:
//!     results = executor.map(loop_function, range(10))
//! ```
//!
//! What is wrong with it: `results` is a generator that nobody reads, so nobody sees an error. Run as printed, every call raises
//! `NameError`, and the program ends with exit code 0. Items are sent one by one (`chunksize=1`): 118 µs each.
//!
//! Here an error is returned at the call, with the item's number, and `#[must_use]` keeps it from being forgotten.

use forall::tasks::{Pool, as_completed, first_error, wait_all};
use forall::{Error, Result};

fn loop_function(i: u32) -> Result<u32, String> {
    if i == 8 { Err(format!("no result for {i}")) } else { Ok(i * i) }
}

fn main() -> Result<()> {
    let pool = Pool::default();

    // Loud: the loop ends, and says where.
    let error = pool.try_map(0..10, loop_function).unwrap_err();
    assert_eq!(error, Error::Item { index: 8, message: "no result for 8".to_owned() });
    println!("{error}");

    // Or every item's own result, to go on with those that are good.
    let results = pool.over(0..10).collect_results(loop_function)?;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 9);

    // Read as they are done, in order, a bounded number ahead: `executor.map(…, buffersize=…)` of an endless iterator.
    let first_large = pool.imap(0_u64.., |i| i * i).find(|square| square.as_ref().is_ok_and(|s| *s > 1000));
    assert_eq!(first_large.transpose()?, Some(1024));

    // Futures: `submit`, `as_completed`, `wait`.
    let submit = || (0..10).map(|i| pool.try_submit(move || loop_function(i)));
    let done = as_completed(submit()).filter(|(_, result)| result.is_ok()).count();
    assert_eq!(done, 9);
    assert_eq!(wait_all(submit().take(3)).into_iter().collect::<Result<Vec<u32>>>()?, [0, 1, 4]);
    let error = first_error(submit()).unwrap_err();
    assert_eq!(error.to_string(), "task: no result for 8");
    println!("{done} of 10 futures have a value; first error: {error}");
    Ok(())
}
