//! The fast Fourier transform by Stockham's algorithm: four transforms become one in each launch.

mod common;

use std::f64::consts::TAU;

use forall::{Array, Bindings, Dispatcher, Grid, Kernel, Result, ShaderOptions};

/// A complex number: real and imaginary part.
pub type Complex<T> = [T; 2];

/// The shader's entry points, and the launches.
pub struct Fft {
    radix_64: Kernel,
    radix_4: Kernel,
    radix_4_long: Kernel,
    radix_2: Kernel,
}

impl Fft {
    /// Compiles the shader.
    pub fn new() -> Result<Self> {
        let entry =
            |name| ShaderOptions::new().entry(name).build(include_str!("../shaders/fft_stockham.wgsl"));
        Ok(Self {
            radix_64: entry("radix_64")?,
            radix_4: entry("radix_4")?,
            radix_4_long: entry("radix_4_long")?,
            radix_2: entry("radix_2")?,
        })
    }

    /// The transform of `x`, whose length is a power of two, with the [`roots`] of that length, all of them [`planar`].
    pub fn run(&self, forall: &Dispatcher, x: &Array<f32>, roots: &Array<f32>) -> Result<Array<f32>> {
        let n = x.len() / 2;
        let buffers = [Array::zeros(2 * n), Array::zeros(2 * n)];
        let (mut input, mut done, mut launches) = (x, 1, forall.sequence());
        for output in buffers.iter().cycle() {
            let (kernel, radix) = match done {
                _ if done == n => break,
                1 if n >= 1024 => (&self.radix_64, 64),
                _ if done == n / 2 => (&self.radix_2, 2),
                64.. => (&self.radix_4_long, 4),
                _ => (&self.radix_4, 4),
            };
            let groups = n.div_ceil(if radix == 2 { 512 } else { 1024 });
            let bindings = Bindings::new().bind("input", input).bind("output", output).bind("roots", roots);
            let bindings = bindings.value("done", done as u32);
            launches.launch(kernel, Grid::workgroups(groups as u32), bindings)?;
            (input, done) = (output, done * radix);
        }
        launches.run()?;
        Ok(input.clone())
    }
}

/// The real parts, then the imaginary parts.
pub fn planar(x: &[Complex<f32>]) -> Vec<f32> {
    x.iter().map(|x| x[0]).chain(x.iter().map(|x| x[1])).collect()
}

/// The complex numbers of a [`planar`] array.
pub fn complex(planar: &[f32]) -> Vec<Complex<f32>> {
    let (real, imaginary) = planar.split_at(planar.len() / 2);
    real.iter().zip(imaginary).map(|(real, imaginary)| [*real, *imaginary]).collect()
}

/// exp(-2πi j / n) for every j below n.
pub fn roots(n: usize) -> Vec<Complex<f32>> {
    let angle = |j: usize| -TAU * j as f64 / n as f64;
    (0..n).map(|j| [angle(j).cos() as f32, angle(j).sin() as f32]).collect()
}

/// The definition, in f64: n² products.
pub fn definition(x: &[Complex<f32>]) -> Vec<Complex<f64>> {
    let n = x.len();
    let number = |k: usize| {
        x.iter().enumerate().fold([0.0, 0.0], |sum, (j, x)| {
            let (sin, cos) = (-TAU * (j * k % n) as f64 / n as f64).sin_cos();
            let (re, im) = (f64::from(x[0]), f64::from(x[1]));
            [sum[0] + re * cos - im * sin, sum[1] + re * sin + im * cos]
        })
    };
    (0..n).map(number).collect()
}

/// The plain recursion, in f64: even and odd numbers by themselves, then together.
pub fn plain(x: &[Complex<f32>]) -> Vec<Complex<f64>> {
    let n = x.len();
    if n == 1 {
        return vec![x[0].map(f64::from)];
    }
    let half = |start: usize| plain(&x.iter().skip(start).step_by(2).copied().collect::<Vec<_>>());
    let (even, odd) = (half(0), half(1));
    let mut all = vec![[0.0; 2]; n];
    for k in 0..n / 2 {
        let (sin, cos) = (-TAU * k as f64 / n as f64).sin_cos();
        let turned = [odd[k][0] * cos - odd[k][1] * sin, odd[k][0] * sin + odd[k][1] * cos];
        for c in 0..2 {
            all[k][c] = even[k][c] + turned[c];
            all[k + n / 2][c] = even[k][c] - turned[c];
        }
    }
    all
}

/// The distance of a transform from the exact one, as a part of its length, both in the Euclidean norm.
pub fn error(got: &[Complex<f32>], exact: &[Complex<f64>]) -> f64 {
    assert_eq!(got.len(), exact.len());
    let (mut distance, mut length) = (0.0, 0.0);
    for (got, exact) in got.as_flattened().iter().zip(exact.as_flattened()) {
        distance += (f64::from(*got) - exact).powi(2);
        length += exact.powi(2);
    }
    (distance / length).sqrt()
}

/// The error that a transform of n numbers may have (after Higham, Accuracy and Stability of Numerical Algorithms, theorem 24.2): with
/// u = 2⁻²⁴, a root is off by less than 0.8u and a product of complex numbers by less than √2 · 2u < 2.9u of it. So the third power of
/// a root is off by 3 · 0.8u + 2 · 2.9u = 8.2u, its product with a number by 11.1u, and two levels of additions make it 13.1u: less than
/// 7u for each of log2(n) levels. A tenth more for products of roundings.
pub fn bound(n: usize) -> f64 {
    1.1 * 7.0 * f64::from(n.ilog2()) * 0.5_f64.powi(24)
}

#[allow(dead_code, reason = "tests and benches have their own")]
fn main() -> Result<()> {
    let n = 1 << 20;
    let x: Vec<[f32; 2]> =
        common::uniform(1, 2 * n, -1.0, 1.0).chunks_exact(2).map(|x| [x[0], x[1]]).collect();
    let expected = plain(&x);
    let (x, roots) = (Array::from(planar(&x)), Array::from(planar(&roots(n))));
    let fft = Fft::new()?;
    println!("fft_stockham: {n} complex numbers");
    // The usual count: 5 n log2 n.
    let operations = 5.0 * n as f64 * f64::from(n.ilog2());
    let run = |forall: &Dispatcher| fft.run(forall, &x, &roots);
    common::on_every_backend(operations, "FLOP", run, |got| {
        let error = error(&complex(&got.read()?), &expected);
        assert!(error <= bound(n), "{error:e}");
        println!("  error {error:.1e}, at most {:.1e}", bound(n));
        Ok(())
    })
}
