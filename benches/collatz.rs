//! Collatz steps: divergent, integers only, trip counts from 0 to hundreds. The bar is the plain scalar loop.

mod harness;

use forall::{Index, Kernel};
use harness::{Table, backends, one_thread, opaque};
use wide::u32x8;

#[inline(always)]
fn steps(start: u32) -> u32 {
    let (mut n, mut steps) = (start, 0);
    if n == 0 {
        return u32::MAX;
    }
    while n != 1 {
        if n % 2 == 0 {
            n /= 2;
        } else {
            // The largest n for which 3n + 1 is still a u32.
            if n > 1_431_655_764 {
                return u32::MAX;
            }
            n = 3 * n + 1;
        }
        steps += 1;
    }
    steps
}

/// Eight at a time while every lane stays below the overflow; a lane that could leave u32 is finished by the scalar loop.
fn lanes(start: u32x8) -> u32x8 {
    let one = u32x8::splat(1);
    let (mut n, mut count) = (start, u32x8::splat(0));
    loop {
        let values = n.to_array();
        if values.iter().any(|&n| n == 0 || n > 1_431_655_764) {
            return u32x8::new(start.to_array().map(steps));
        }
        if values == [1; 8] {
            return count;
        }
        let done = n.simd_eq(one);
        let even = (n & one).simd_eq(u32x8::splat(0));
        let next = even.select(n >> 1, n * u32x8::splat(3) + one);
        n = done.select(n, next);
        count += done.select(u32x8::splat(0), one);
    }
}

fn naive(out: &mut [u32]) {
    for (start, out) in (0..).zip(out) {
        *out = steps(start);
    }
}

fn main() {
    let wgsl = Kernel::map(include_str!("../shaders/collatz.wgsl")).expect("valid WGSL");
    let lanes = Kernel::lanes("collatz", lanes);
    let scalar = Kernel::scalar("collatz", steps);
    let (one, all) = (one_thread(), backends());

    for n in harness::sizes(&[10_000, 1_000_000]) {
        let mut expected = vec![0; n];
        naive(&mut expected);
        let expected = &expected[..];
        let exact = move |out: &[u32]| assert!(out == expected);

        let mut table = Table::new("collatz", n, 4);
        table.function("naive scalar", 7, move |out| naive(opaque(out)), exact);
        table.kernel("closure, lanes", &one, &lanes, Index, 7, exact);
        table.kernel("closure, scalar", &one, &scalar, Index, 7, exact);
        for (name, forall) in &all {
            table.kernel(name, forall, &wgsl, Index, 7, exact);
        }
        table.print("naive scalar");
    }
}
