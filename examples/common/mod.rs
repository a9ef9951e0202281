//! What the examples share: random inputs, and the comparison with a plain loop.

#![allow(dead_code, reason = "no example uses all of it")]

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
