//! European option prices, call and put: two outputs, and real arithmetic for every element.

mod common;

use forall::{Dispatcher, Kernel, Result};
use wide::f32x8;

/// The loop as WGSL: every backend.
pub fn wgsl() -> Result<Kernel> {
    Kernel::map(include_str!("../shaders/black_scholes.wgsl"))
}

/// The loop as a closure over lanes, with the exponential and logarithm of `wide`: the CPU.
pub fn lanes() -> Kernel {
    #[inline(always)]
    fn normal_cdf(x: f32x8) -> f32x8 {
        let k = 1.0 / (1.0 + 0.2316419 * x.abs());
        let poly =
            ((((1.330_274_4 * k - 1.821_255_9) * k + 1.781_477_9) * k - 0.356_563_78) * k + 0.319_381_54) * k;
        let tail = 0.398_942_3 * (-0.5 * x * x).exp() * poly;
        x.simd_ge(f32x8::ZERO).select(1.0 - tail, tail)
    }

    Kernel::lanes("black_scholes", |spot: f32x8, strike: f32x8, years: f32x8, rate: f32, volatility: f32| {
        let spread = volatility * years.sqrt();
        let d1 = ((spot / strike).ln() + (rate + 0.5 * volatility * volatility) * years) / spread;
        let discounted = strike * (-rate * years).exp();
        let (n1, n2) = (normal_cdf(d1), normal_cdf(d1 - spread));
        (spot * n1 - discounted * n2, discounted * (1.0 - n2) - spot * (1.0 - n1))
    })
}

/// One element of the plain loop, in f64: what the others must agree with.
pub fn plain(spot: f64, strike: f64, years: f64, rate: f64, volatility: f64) -> (f64, f64) {
    fn normal_cdf(x: f64) -> f64 {
        let k = 1.0 / (1.0 + 0.2316419 * x.abs());
        let poly =
            k * (0.319381530 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))));
        let tail = 0.3989422804 * (-0.5 * x * x).exp() * poly;
        if x >= 0.0 { 1.0 - tail } else { tail }
    }
    let spread = volatility * years.sqrt();
    let d1 = ((spot / strike).ln() + (rate + 0.5 * volatility * volatility) * years) / spread;
    let discounted = strike * (-rate * years).exp();
    let (n1, n2) = (normal_cdf(d1), normal_cdf(d1 - spread));
    (spot * n1 - discounted * n2, discounted * (1.0 - n2) - spot * (1.0 - n1))
}

fn main() -> Result<()> {
    let n = 100_000;
    let (rate, volatility) = (0.02_f32, 0.3_f32);
    let spot = common::uniform(1, n, 50.0, 150.0);
    let strike = common::uniform(2, n, 50.0, 150.0);
    let years = common::uniform(3, n, 0.25, 2.0);
    let (calls, puts): (Vec<f64>, Vec<f64>) = (0..n)
        .map(|i| plain(spot[i].into(), strike[i].into(), years[i].into(), rate.into(), volatility.into()))
        .unzip();

    let forall = Dispatcher::new();
    for kernel in [wgsl()?, lanes()] {
        let (mut call, mut put) = (vec![f32::NAN; n], vec![f32::NAN; n]);
        let report =
            forall.run(&kernel, (&spot, &strike, &years, rate, volatility), (&mut call, &mut put))?;
        println!("{report}");
        // WGSL grants the logarithm 2^-21 between 0.5 and 2 (and little more up to 3). Divided by the smallest spread, 0.15,
        // times the slope of N, 0.4, times the largest price, 150: 1.9e-4. Two such terms, and the other roundings.
        common::assert_close("call", &call, &calls, 5e-4);
        common::assert_close("put", &put, &puts, 5e-4);
    }
    Ok(())
}
