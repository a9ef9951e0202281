//! The fast Fourier transform of 2^k complex numbers, a launch for each factor of four. The bar is the plain recursion, in f64.

#[allow(dead_code, unreachable_pub, reason = "an example, of which a bench uses the loop and not `main`")]
#[path = "../examples/fft_stockham.rs"]
mod example;
mod harness;

use example::{Fft, bound, complex, error, plain, planar, roots};
use forall::Array;
use harness::{Table, backends, opaque, random, testing};

fn main() {
    let fft = Fft::new().expect("valid WGSL");
    let all = backends();

    let sizes: &[usize] = if testing() { &[1, 2, 4, 512] } else { &[1 << 12, 1 << 20] };
    for &n in sizes {
        let numbers = random(2 * n, 1, -1.0, 1.0);
        let x: Vec<[f32; 2]> = numbers.chunks_exact(2).map(|x| [x[0], x[1]]).collect();
        let (array, roots, expected) = (Array::from(planar(&x)), Array::from(planar(&roots(n))), plain(&x));
        let (fft, array, roots, x, expected) = (&fft, &array, &roots, &x[..], &expected[..]);
        let mut table = Table::new("fft_stockham", n, 16);
        let naive = move || Ok(plain(opaque(x)));
        table.launches("naive recursion", naive, move |got: Vec<[f64; 2]>| assert!(got == expected));
        for (name, forall) in &all {
            let run = move || fft.run(forall, array, roots);
            table.launches(name, run, move |got| {
                let error = error(&complex(&got.read().expect("the transform")), expected);
                assert!(error <= bound(n), "{error:e}");
            });
        }
        table.print("naive recursion");
    }
}
