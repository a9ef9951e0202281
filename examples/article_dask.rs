//! The fourth of four ways to run a Python loop in parallel that an article of 2023 shows, and the same loop here.
//!
//! ```python
//! import dask
//! with dask.distributed.Client() as client:
//!     results = client.map(loop_function, range(10))
//! ```
//!
//! What is wrong with it: `dask.distributed` has to be imported (`AttributeError`), and with that `results` is ten cancelled futures,
//! since nothing gathers them before the client and its cluster close. The cluster takes 0.7 s to start, and a trivial item costs
//! 1.6 to 1.9 ms.
//!
//! Here futures of loops over closures and of kernels, on the CPU or a GPU, are of one type, and a handle that is dropped does not
//! take its task with it.

use forall::tasks::{Pool, as_completed};
use forall::{Array, Dispatcher, Index, Kernel, Result};

fn main() -> Result<()> {
    let pool = Pool::default();

    // `client.map`, then `gather`.
    let futures: Vec<_> = (0..10_u64).map(|i| pool.submit(move || i * i)).collect();
    let results = futures.into_iter().map(|future| future.wait()).collect::<Result<Vec<u64>>>()?;
    assert_eq!(results, [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);

    // What depends on other futures waits for them: a task may wait on the pool without keeping a thread from the others.
    let parts = (0..4_u64).map(|part| pool.submit(move || (part * 25..(part + 1) * 25).sum::<u64>()));
    let parts: Vec<_> = parts.collect();
    let sum = pool.try_submit(move || parts.into_iter().map(|part| part.wait()).sum::<Result<u64>>());
    assert_eq!(sum.wait()?, 4950);

    // A kernel beside a closure: data stay where they are between its launches, as with `persist`.
    let grow = Kernel::map("fn grow(x: f32, i: u32) -> f32 { return x + f32(i % 10u); }")?;
    let kernel = Dispatcher::new().submit(move |forall| {
        let x = Array::<f32>::zeros(1000);
        for _ in 0..3 {
            let next = Array::<f32>::zeros(1000);
            forall.run(&grow, (&x, Index), &next)?;
            forall.run(&grow, (&next, Index), &x)?;
        }
        x.read().map(|x| x.iter().sum::<f32>())
    });
    let closure = pool.submit(|| (0..1000).map(|i| 6.0 * (i % 10) as f32).sum());
    for (which, sum) in as_completed([kernel, closure]) {
        let sum = sum?;
        println!("{}: {sum}", ["kernel", "closure"][which]);
        assert_eq!(sum, 27_000.0);
    }
    Ok(())
}
