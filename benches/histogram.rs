//! How often each byte occurs: atomics in workgroup memory, then in storage. The bar is a loop with four tables.

#[allow(dead_code, unreachable_pub, reason = "an example, of which a bench uses the loop and not `main`")]
#[path = "../examples/histogram.rs"]
mod example;
mod harness;

use example::{Histogram, plain};
use forall::Array;
use harness::{Table, backends, opaque, random_words, sizes};

const SHIFT: u32 = 16;

/// Four tables: an increment need not wait for the one before.
fn hand_written(keys: &[u32]) -> Vec<u32> {
    let mut counts = [[0_u32; 256]; 4];
    let mut parts = keys.chunks_exact(4);
    for part in &mut parts {
        for (counts, key) in counts.iter_mut().zip(part) {
            counts[(key >> SHIFT & 255) as usize] += 1;
        }
    }
    for key in parts.remainder() {
        counts[0][(key >> SHIFT & 255) as usize] += 1;
    }
    (0..256).map(|bin| counts.iter().map(|counts| counts[bin]).sum()).collect()
}

fn main() {
    let histogram = Histogram::new().expect("valid WGSL");
    let all = backends();

    for n in sizes(&[100_000, 10_000_000]) {
        let keys = random_words(n, 1);
        let (array, expected) = (Array::from(&keys[..]), plain(&keys, SHIFT));
        let (histogram, array, keys, expected) = (&histogram, &array, &keys[..], &expected[..]);
        let exact = move |counts: Vec<u32>| assert_eq!(counts, expected);
        let mut table = Table::new("histogram", n, 4);
        table.launches("naive scalar", move || Ok(plain(opaque(keys), SHIFT)), exact);
        table.launches("hand-written", move || Ok(hand_written(opaque(keys))), exact);
        for (name, forall) in &all {
            table.launches(name, move || histogram.run(forall, array, SHIFT)?.to_vec(), exact);
        }
        table.print("hand-written");
    }
}
