//! A sorting network. The bar is the library's sort, which does n log n where the network does n log² n.

#[allow(dead_code, unreachable_pub, reason = "an example, of which a bench uses the loop and not `main`")]
#[path = "../examples/bitonic_sort.rs"]
mod example;
mod harness;

use example::{BitonicSort, plain};
use forall::Array;
use harness::{Table, backends, opaque, random_words, sizes};

fn main() {
    let sort = BitonicSort::new().expect("valid WGSL");
    let all = backends();

    for n in sizes(&[10_000, 1 << 20]) {
        let keys = random_words(n, 1);
        let expected = plain(&keys);
        let (sort, keys, expected) = (&sort, &keys[..], &expected[..]);
        let mut table = Table::new("bitonic_sort", n, 4);
        let exact = move |got: &[u32]| assert!(got == expected);
        table.launches("sort_unstable", move || Ok(plain(opaque(keys))), move |got| exact(&got));
        for (name, forall) in &all {
            // The keys are copied in every time: sorted ones would be sorted again.
            let array = Array::from(keys);
            let run = move || {
                array.write(|array| array.copy_from_slice(keys))?;
                sort.run(forall, &array).map(|()| array.clone())
            };
            table.launches(name, run, move |got| exact(&got.read().expect("the keys")));
        }
        table.print("sort_unstable");
    }
}
