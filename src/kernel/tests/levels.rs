//! The loops of `shaders/` at every CPU level: the same bits where nothing is approximated, and within a bound where it is.

use super::{LENGTHS, POISON, map, run_at, words};
use crate::cpu::CpuLevel;
use crate::kernel::Kernel;
use crate::launch::{Args, IntoArgs};
use crate::part::Index;

/// Numbers in `low..high` without structure.
fn uniform(n: usize, seed: u32, low: f32, high: f32) -> Vec<f32> {
    let unit = |i: u32| ((i + (seed << 16)).wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0;
    (0..n as u32).map(|i| low + unit(i) * (high - low)).collect()
}

/// The same with zeros, the smallest and the largest numbers and infinities between them.
fn with_edges(mut x: Vec<f32>) -> Vec<f32> {
    let edges = [0.0, -0.0, 1e-45, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NEG_INFINITY];
    x.iter_mut().step_by(3).zip(edges.iter().cycle()).for_each(|(x, edge)| *x = *edge);
    x
}

/// The outputs' words at each of the levels.
fn results(kernel: &Kernel, args: &Args<'_>, n: usize, levels: &[CpuLevel]) -> Vec<Vec<u32>> {
    let at = |&level: &CpuLevel| words(kernel, args.clone(), n, |part| run_at(kernel, level, part));
    levels.iter().map(at).collect()
}

/// Which payload a NaN has is nobody's promise.
fn assert_same(kernel: &Kernel, n: usize, levels: &[CpuLevel], results: &[Vec<u32>]) {
    let same = |a: u32, b: u32| a == b || (f32::from_bits(a).is_nan() && f32::from_bits(b).is_nan());
    for (level, result) in levels.iter().zip(results) {
        assert!(!result.contains(&POISON), "{} at {level}: an element of {n} is not written", kernel.name());
        for (i, (&a, &b)) in results[0].iter().zip(result).enumerate() {
            let first = levels[0];
            assert!(same(a, b), "{}: word {i} of {n}: {a:#x} at {first}, {b:#x} at {level}", kernel.name());
        }
    }
}

#[test]
fn exact_loops_have_the_same_bits_at_every_level() {
    let levels = CpuLevel::available();
    let [saxpy, logistic_map, collatz, mandelbrot, nbody] = [
        include_str!("../../../shaders/saxpy.wgsl"),
        include_str!("../../../shaders/logistic_map.wgsl"),
        include_str!("../../../shaders/collatz.wgsl"),
        include_str!("../../../shaders/mandelbrot.wgsl"),
        include_str!("../../../shaders/nbody.wgsl"),
    ]
    .map(map);
    for &n in LENGTHS {
        let (x, y) = (with_edges(uniform(n, 1, -1e3, 1e3)), with_edges(uniform(n + 1, 2, -1.0, 1.0)));
        let (unit, r) = (uniform(n, 3, 0.0, 1.0), uniform(n, 4, 0.0, 4.0));
        let starts: Vec<u32> = (0..n as u32).map(|i| i.wrapping_mul(2_654_435_761) >> (i % 32)).collect();
        let body = |x: f32| [x, x * x, 1.0 - x, 2.0 * x];
        let bodies: Vec<[f32; 4]> = unit.iter().copied().map(body).collect();
        let others: Vec<[f32; 4]> = with_edges(uniform(37, 5, -9.0, 9.0)).into_iter().map(body).collect();
        let view = [-2.0_f32, -1.25, 0.5, 1.25];
        for (kernel, args) in [
            (&saxpy, (2.7_f32, &x, &y[1..]).into_args()),
            (&logistic_map, (&unit, &r, 50_u32).into_args()),
            (&collatz, (&starts).into_args()),
            (&mandelbrot, (Index, 64_u32, 48_u32, 100_u32, view).into_args()),
            (&nbody, (&bodies, 0.1_f32, &others[..n % 38]).into_args()),
        ] {
            assert_same(kernel, n, &levels, &results(kernel, &args, n, &levels));
        }
    }
}

/// Only `exp` and `log` differ between levels with FMA and without, by at most 2.3 and 2 ULP (the sum of what their documentation
/// says of either); another operation of the two runs, on operands that differ, adds at most 1 ULP (two roundings). With e = 2⁻²³,
/// prices in 50..150, years in 0.25..2 and volatility 0.3:
///
/// * |log| < 1.1, so 2e; the numerator of d1 is below 2, so 1e more. Divided by a spread of at least 0.15: 20e. |d1| and |d2| are
///   below 16 and have ULPs of 8e: d1 is within 28e, d2 within 36e. The slope of N is below 0.4: that moves N by 14.4e.
/// * N itself: the polynomial in k ≤ 1 has 5 roundings of values in 1..2 and 4 below 1, 7e; k has 3, of which each moves the
///   polynomial, of slope 4.3, by at most 4.3e, 13e. Times 0.4: 8e. `exp` and its argument (a·e⁻ᵃ < 0.37) and the two products, of a
///   result below 0.5: 3e. So N moves by 26e in all.
/// * A price is 150·N − 150·N: 2 · 150 · 26e = 7800e. Products below 256, their difference and the discounted strike: at most 128e.
const BLACK_SCHOLES: f32 = 8000.0 * f32::EPSILON;

#[test]
fn black_scholes_is_within_its_bound_at_every_level() {
    let kernel = map(include_str!("../../../shaders/black_scholes.wgsl"));
    let (fused, split): (Vec<_>, Vec<_>) =
        CpuLevel::available().into_iter().partition(|level| level.has_fma());
    for &n in LENGTHS {
        let (spot, strike) = (uniform(n, 1, 50.0, 150.0), uniform(n, 2, 50.0, 150.0));
        let years = uniform(n, 3, 0.25, 2.0);
        let args = (&spot, &strike, &years, 0.02_f32, 0.3_f32).into_args();
        let [fused_results, split_results] = [&fused, &split].map(|levels| {
            let results = results(&kernel, &args, n, levels);
            assert_same(&kernel, n, levels, &results);
            results
        });
        // A CPU may have levels of one kind only.
        if let (Some(fused), Some(split)) = (fused_results.first(), split_results.first()) {
            for (a, b) in fused.iter().zip(split) {
                let (a, b) = (f32::from_bits(*a), f32::from_bits(*b));
                assert!((a - b).abs() <= BLACK_SCHOLES, "{a} with FMA, {b} without, n = {n}");
            }
        }
    }
}
