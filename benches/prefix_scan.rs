//! Prefix sums in one pass over the data. The bar is the plain loop.

#[allow(dead_code, unreachable_pub, reason = "an example, of which a bench uses the loop and not `main`")]
#[path = "../examples/prefix_scan.rs"]
mod example;
mod harness;

use example::{PrefixScan, plain};
use forall::Array;
use harness::{Table, backends, opaque, random_words, sizes};

fn naive(x: &[u32], sums: &mut [u32]) {
    let mut sum = 0_u32;
    for (x, out) in x.iter().zip(sums) {
        sum = sum.wrapping_add(*x);
        *out = sum;
    }
}

fn main() {
    let scan = PrefixScan::new().expect("valid WGSL");
    let all = backends();

    for n in sizes(&[100_000, 10_000_000]) {
        let x = random_words(n, 1);
        let (array, expected) = (Array::from(&x[..]), plain(&x));
        let (scan, array, x, expected) = (&scan, &array, &x[..], &expected[..]);
        let mut table = Table::new("prefix_scan", n, 8);
        let exact = move |sums: &[u32]| assert!(sums == expected);
        table.function("naive scalar", u32::MAX, move |sums| naive(opaque(x), sums), exact);
        for (name, forall) in &all {
            let sums = Array::from(vec![u32::MAX; n]);
            let run = move || scan.run(forall, array, &sums).map(|()| sums.clone());
            table.launches(name, run, move |sums| exact(&sums.read().expect("the sums")));
        }
        table.print("naive scalar");
    }
}
