//! Random numbers that depend on a seed and an index alone: Philox4x32-10.
//!
//! J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011). A block of four words
//! is a function of its number, so item `i` has numbers of its own wherever and whenever it runs. Not for secrets.

/// A stream of random numbers for one item of a loop, keyed by (seed, index): the same numbers at any thread count, grain and order.
///
/// Streams of different indices do not overlap; each has 2⁶⁴ blocks of four words.
///
/// # Examples
/// ```
/// use forall::tasks::{Pool, Random};
///
/// let inside = Pool::default().map_reduce(
///     0..1000,
///     |i| {
///         let mut random = Random::new(42, i);
///         (0..100).filter(|_| random.unit().hypot(random.unit()) < 1.0).count()
///     },
///     |a, b| a + b,
/// )?;
/// let pi = 4.0 * inside.unwrap_or(0) as f64 / 1e5;
/// assert!((pi - std::f64::consts::PI).abs() < 0.03);
/// # Ok::<(), forall::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    key: [u32; 2],
    /// Number of the next block, low words first, then the index.
    counter: [u32; 4],
    block: [u32; 4],
    /// Words of the block that are used up.
    used: usize,
}

impl Random {
    /// The stream of item `index` under `seed`.
    pub fn new(seed: u64, index: u64) -> Self {
        let [low, high] = words(index);
        Self { key: words(seed), counter: [0, 0, low, high], block: [0; 4], used: 4 }
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox(self.counter, self.key);
            self.used = 0;
            let [low, high, ..] = self.counter;
            let [low, high] = words((u64::from(high) << 32 | u64::from(low)).wrapping_add(1));
            (self.counter[0], self.counter[1]) = (low, high);
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// The next 64 bits, two words, the low one first.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        u64::from(self.next_u32()) << 32 | low
    }

    /// Evenly in `[0, 1)`: one of the 2⁵³ multiples of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Evenly in `0..n`, without bias (D. Lemire, 2019); 0 for `n` of 0.
    pub fn below(&mut self, n: u64) -> u64 {
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        if (product as u64) < n {
            // 2⁶⁴ mod n: so many products would come once too often.
            let threshold = n.wrapping_neg() % n;
            while (product as u64) < threshold {
                product = u128::from(self.next_u64()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }
}

/// Low word first.
fn words(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [low0, high0] = words(u64::from(counter[0]) * 0xD251_1F53);
        let [low1, high1] = words(u64::from(counter[2]) * 0xCD9E_8D57);
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_of_the_authors() {
        // kat_vectors of Random123: counter, key, expected.
        let known = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in known {
            assert_eq!(philox(counter, key), expected);
        }
    }

    #[test]
    fn a_stream_goes_through_its_blocks_and_streams_differ() {
        let mut random = Random::new(0, 0);
        let first: Vec<u32> = (0..8).map(|_| random.next_u32()).collect();
        assert_eq!(first[..4], philox([0; 4], [0; 2]));
        assert_eq!(first[4..], philox([1, 0, 0, 0], [0; 2]));
        let wide = |seed, index| Random::new(seed, index).next_u64();
        assert_eq!(wide(0, 0), u64::from(first[1]) << 32 | u64::from(first[0]));
        let distinct: std::collections::HashSet<u64> =
            [(0, 0), (1, 0), (0, 1), (1 << 32, 0), (0, 1 << 32)].map(|(s, i)| wide(s, i)).into();
        assert_eq!(distinct.len(), 5);
        // Past the low word of the block's number.
        let mut late = Random { counter: [u32::MAX, 7, 1, 2], ..Random::new(3, 0) };
        for _ in 0..4 {
            late.next_u32();
        }
        assert_eq!(late.counter, [0, 8, 1, 2]);
    }

    #[test]
    fn numbers_are_even() {
        let mut random = Random::new(7, 9);
        let mut counts = [0_i32; 10];
        for _ in 0..100_000 {
            let unit = random.unit();
            assert!((0.0..1.0).contains(&unit));
            counts[random.below(10) as usize] += 1;
        }
        // Each count has a standard deviation of √(100 000 · 0.1 · 0.9) = 95.
        assert!(counts.iter().all(|count| (count - 10_000).abs() < 5 * 95), "{counts:?}");
        assert_eq!((random.below(0), random.below(1)), (0, 0));
        assert!((0..100).all(|_| random.below(u64::MAX) < u64::MAX));
    }
}
