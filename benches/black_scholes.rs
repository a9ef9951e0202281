//! European option prices, call and put: straight-line arithmetic with `exp`, `log` and `sqrt`. The bar is the same formula by
//! hand on vectors of 16 lanes with fused multiply-adds, compiled for the CPU at hand.

mod harness;

use fearless_simd::{Level, Simd, dispatch, f32x16, i32x16, prelude::*};
use forall::Kernel;
use harness::{Table, backends, close, one_thread, opaque, random, sizes};
use wide::f32x8;

const RATE: f32 = 0.02;
const VOLATILITY: f32 = 0.30;
/// Abramowitz and Stegun 26.2.17.
const CDF: [f32; 5] = [0.319_381_53, -0.356_563_78, 1.781_477_9, -1.821_256, 1.330_274_4];

#[inline(always)]
fn cdf(x: f32) -> f32 {
    let k = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let poly = k * (CDF[0] + k * (CDF[1] + k * (CDF[2] + k * (CDF[3] + k * CDF[4]))));
    let tail = 0.398_942_3 * (-0.5 * x * x).exp() * poly;
    if x >= 0.0 { 1.0 - tail } else { tail }
}

#[inline(always)]
fn prices(spot: f32, strike: f32, years: f32) -> (f32, f32) {
    let spread = VOLATILITY * years.sqrt();
    let d1 = ((spot / strike).ln() + (RATE + 0.5 * VOLATILITY * VOLATILITY) * years) / spread;
    let discounted = strike * (-RATE * years).exp();
    let (n1, n2) = (cdf(d1), cdf(d1 - spread));
    (spot * n1 - discounted * n2, discounted * (1.0 - n2) - spot * (1.0 - n1))
}

fn naive(spot: &[f32], strike: &[f32], years: &[f32], call: &mut [f32], put: &mut [f32]) {
    for i in 0..call.len() {
        (call[i], put[i]) = prices(spot[i], strike[i], years[i]);
    }
}

fn lanes_cdf(x: f32x8) -> f32x8 {
    let one = f32x8::ONE;
    let k = one / (one + f32x8::splat(0.231_641_9) * x.abs());
    let poly = CDF.iter().rev().fold(f32x8::ZERO, |sum, &c| k.mul_add(sum, f32x8::splat(c))) * k;
    let tail = f32x8::splat(0.398_942_3) * (f32x8::splat(-0.5) * x * x).exp() * poly;
    x.simd_ge(f32x8::ZERO).select(one - tail, tail)
}

fn lanes_prices(spot: f32x8, strike: f32x8, years: f32x8) -> (f32x8, f32x8) {
    let spread = f32x8::splat(VOLATILITY) * years.sqrt();
    let drift = f32x8::splat(RATE + 0.5 * VOLATILITY * VOLATILITY) * years;
    let d1 = ((spot / strike).ln() + drift) / spread;
    let discounted = strike * (f32x8::splat(-RATE) * years).exp();
    let (n1, n2) = (lanes_cdf(d1), lanes_cdf(d1 - spread));
    let one = f32x8::ONE;
    (spot * n1 - discounted * n2, discounted * (one - n2) - spot * (one - n1))
}

mod hand {
    use super::*;

    /// 2^n · polynomial on [-ln 2 / 2, ln 2 / 2] (coefficients of Cephes, Moshier 1989).
    #[inline(always)]
    fn exp<S: Simd>(simd: S, x: f32x16<S>) -> f32x16<S> {
        let c = |v: f32| f32x16::splat(simd, v);
        let x = x.max(c(-87.0)); // below, 2^n is no normal number any more
        let n = (x * c(std::f32::consts::LOG2_E)).round_ties_even();
        let r = n.mul_add(c(-0.693_359_4), x);
        let r = n.mul_add(c(2.121_944_4e-4), r);
        let p = [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5]
            .into_iter()
            .fold(c(1.987_569_2e-4), |p, k| p.mul_add(r, c(k)));
        let p = (r * r).mul_add(p, r + c(1.0));
        let scale: i32x16<S> = (n.to_int::<i32x16<S>>() + i32x16::splat(simd, 127)) << 23;
        p * scale.bitcast::<f32x16<S>>()
    }

    /// Exponent and a polynomial on [sqrt ½, sqrt 2] (Cephes).
    #[inline(always)]
    fn ln<S: Simd>(simd: S, x: f32x16<S>) -> f32x16<S> {
        let c = |v: f32| f32x16::splat(simd, v);
        let bits: i32x16<S> = x.bitcast();
        let shifted = bits - i32x16::splat(simd, 0x3f35_04f3);
        let e = (shifted >> 23).to_float::<f32x16<S>>();
        let m: f32x16<S> =
            ((shifted & i32x16::splat(simd, 0x007f_ffff)) + i32x16::splat(simd, 0x3f35_04f3)).bitcast();
        let f = m - c(1.0);
        let p = [
            -1.151_461e-1,
            1.167_699_9e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_7e-1,
            2.000_071_5e-1,
            -2.499_999_4e-1,
            3.333_333e-1,
        ]
        .into_iter()
        .fold(c(7.037_683_6e-2), |p, k| p.mul_add(f, c(k)));
        let f2 = f * f;
        let y = e.mul_add(c(-2.121_944_4e-4), p * f * f2);
        let y = f2.mul_add(c(-0.5), y);
        e.mul_add(c(0.693_359_4), f + y)
    }

    #[inline(always)]
    fn cdf<S: Simd>(simd: S, x: f32x16<S>) -> f32x16<S> {
        let c = |v: f32| f32x16::splat(simd, v);
        let k = c(1.0) / x.abs().mul_add(c(0.231_641_9), c(1.0));
        let poly = CDF[..4].iter().rev().fold(c(CDF[4]), |p, &a| p.mul_add(k, c(a))) * k;
        let tail = c(0.398_942_3) * exp(simd, c(-0.5) * x * x) * poly;
        x.simd_ge(c(0.0)).select(c(1.0) - tail, tail)
    }

    #[inline(always)]
    fn chunk<S: Simd>(
        simd: S,
        spot: &[f32],
        strike: &[f32],
        years: &[f32],
        call: &mut [f32],
        put: &mut [f32],
    ) {
        let c = |v: f32| f32x16::splat(simd, v);
        let (s, x, t) = (
            f32x16::from_slice(simd, spot),
            f32x16::from_slice(simd, strike),
            f32x16::from_slice(simd, years),
        );
        let spread = c(VOLATILITY) * t.sqrt();
        let d1 = t.mul_add(c(RATE + 0.5 * VOLATILITY * VOLATILITY), ln(simd, s / x)) / spread;
        let discounted = x * exp(simd, c(-RATE) * t);
        let (n1, n2) = (cdf(simd, d1), cdf(simd, d1 - spread));
        (s * n1 - discounted * n2).store_slice(call);
        (discounted * (c(1.0) - n2) - s * (c(1.0) - n1)).store_slice(put);
    }

    #[inline(always)]
    fn body<S: Simd>(
        simd: S,
        spot: &[f32],
        strike: &[f32],
        years: &[f32],
        call: &mut [f32],
        put: &mut [f32],
    ) {
        simd.vectorize(
            #[inline(always)]
            || {
                let whole = call.len() / 16 * 16;
                for i in (0..whole).step_by(16) {
                    let at = i..i + 16;
                    chunk(
                        simd,
                        &spot[at.clone()],
                        &strike[at.clone()],
                        &years[at.clone()],
                        &mut call[at.clone()],
                        &mut put[at],
                    );
                }
                for i in whole..call.len() {
                    (call[i], put[i]) = prices(spot[i], strike[i], years[i]);
                }
            },
        );
    }

    pub(super) fn written(spot: &[f32], strike: &[f32], years: &[f32], call: &mut [f32], put: &mut [f32]) {
        dispatch!(Level::new(), simd => body(simd, spot, strike, years, call, put));
    }
}

/// A row with two outputs; `check` sees the first answer.
fn two<'a>(
    table: &mut Table<'a>,
    n: usize,
    name: &str,
    check: impl Fn(&[f32], &[f32]) + 'a,
    mut run: impl FnMut(&mut [f32], &mut [f32]) + 'a,
) {
    let (mut call, mut put, mut checked) = (vec![f32::NAN; n], vec![f32::NAN; n], false);
    table.row(name, move || {
        run(&mut call, &mut put);
        if !checked {
            check(&call, &put);
            checked = true;
        }
    });
}

fn main() {
    let wgsl = Kernel::map(include_str!("../shaders/black_scholes.wgsl")).expect("valid WGSL");
    let lanes = Kernel::lanes("black_scholes", lanes_prices);
    let scalar = Kernel::scalar("black_scholes", prices);
    let (one, all) = (one_thread(), backends());
    let (rate, volatility) = (opaque(RATE), opaque(VOLATILITY));

    for n in sizes(&[1_000, 100_000, 1_000_000]) {
        let (spot, strike, years) =
            (random(n, 1, 5.0, 30.0), random(n, 2, 1.0, 100.0), random(n, 3, 0.25, 10.0));
        let (mut call, mut put) = (vec![0.0; n], vec![0.0; n]);
        naive(&spot, &strike, &years, &mut call, &mut put);
        let (s, x, t, call, put) = (&spot[..], &strike[..], &years[..], &call[..], &put[..]);

        // d1 carries about 4 roundings of values below 16 (4·2⁻²¹) and N has slope 0.4 at most, so N is within 1e-6; it is
        // multiplied by at most 100, twice. WGSL allows a GPU's exp and log about as much again.
        let check = move |got_call: &[f32], got_put: &[f32]| {
            close("call", got_call, call, |_| 4e-4);
            close("put", got_put, put, |_| 4e-4);
        };
        let mut table = Table::new("black_scholes", n, 20);
        two(&mut table, n, "naive scalar", check, move |c, p| naive(s, x, t, c, p));
        two(&mut table, n, "hand-written", check, move |c, p| hand::written(s, x, t, c, p));
        for (name, kernel) in [("closure, lanes", &lanes), ("closure, scalar", &scalar)] {
            let one = &one;
            two(&mut table, n, name, check, move |c, p| {
                one.run(kernel, (s, x, t), (c, p)).expect("a valid call");
            });
        }
        for (name, forall) in &all {
            let wgsl = &wgsl;
            two(&mut table, n, name, check, move |c, p| {
                forall.run(wgsl, (s, x, t, rate, volatility), (c, p)).expect("a valid call");
            });
        }
        table.print("hand-written");
    }
}
