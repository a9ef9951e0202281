//! What the examples share: random inputs, the comparison with a plain loop, and a run on every backend.

#![allow(dead_code, reason = "no example uses all of it")]

use std::time::Instant;

use forall::{Backend, Dispatcher, Error, Policy, Result};

/// `n` numbers in `[low, high)`, the same at every run: SplitMix64 (Steele, Lea, Flood 2014), its top 24 bits.
pub(crate) fn uniform(seed: u64, n: usize, low: f32, high: f32) -> Vec<f32> {
    let mut state = seed << 32;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 * 2.0_f32.powi(-24)
    };
    (0..n).map(|_| low + (high - low) * next()).collect()
}

/// Panics unless every number is within `tolerance` of the expected one; a NaN is within nothing. Prints the largest error.
pub(crate) fn assert_close(what: &str, got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let mut largest = 0.0_f64;
    for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(error <= tolerance, "{what}[{i}] is {got}, expected {expected} within {tolerance:e}");
        largest = largest.max(error);
    }
    println!("  {what}: largest error {largest:.1e}, at most {tolerance:.1e}");
}

/// `n` random words, the same at every run.
pub(crate) fn words(seed: u64, n: usize) -> Vec<u32> {
    let mut state = seed << 32;
    (0..n)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 32) as u32
        })
        .collect()
}

/// Runs `run` on every backend that this machine has, twice, and prints how long it took: the first time with the start of the
/// backend and the compilation of the shader. `work` is what one run does, counted in `unit`s; `check` sees both results.
pub(crate) fn on_every_backend<R>(
    work: f64,
    unit: &str,
    run: impl Fn(&Dispatcher) -> Result<R>,
    check: impl Fn(R) -> Result<()>,
) -> Result<()> {
    for backend in [Backend::Simd, Backend::Threads, Backend::Gpu] {
        let forall = Dispatcher::new().with_policy(Policy::Only(backend));
        let start = Instant::now();
        let result = match run(&forall) {
            Err(Error::Unavailable { reason, .. }) => {
                println!("  {backend}: {reason}");
                continue;
            }
            result => result?,
        };
        let first = start.elapsed().as_secs_f64();
        check(result)?;
        let start = Instant::now();
        let result = run(&forall)?;
        let again = start.elapsed().as_secs_f64();
        let rate = work / again * 1e-9;
        println!("  {backend}: {:.2} ms, then {:.2} ms, {rate:.2} G{unit}/s", first * 1e3, again * 1e3);
        check(result)?;
    }
    Ok(())
}
