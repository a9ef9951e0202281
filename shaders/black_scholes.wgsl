// European option prices (Black and Scholes 1973; Merton 1973), call and put in one pass:
//
//     d1   = (ln(spot / strike) + (rate + volatility^2 / 2) * years) / (volatility * sqrt(years))
//     d2   = d1 - volatility * sqrt(years)
//     call = spot * N(d1) - strike * exp(-rate * years) * N(d2)
//     put  = strike * exp(-rate * years) * N(-d2) - spot * N(-d1)
//
// spot, strike, years  arrays    price today, strike price, years to expiry; all > 0
// rate, volatility     scalars   per year; volatility > 0
// -> call, put         arrays    in the currency of spot

struct Prices {
    call: f32,
    put: f32,
}

// Standard normal distribution function: Abramowitz and Stegun 26.2.17, absolute error < 7.5e-8.
fn normal_cdf(x: f32) -> f32 {
    let k = 1.0 / (1.0 + 0.2316419 * abs(x));
    let poly = k * (0.319381530 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))));
    let tail = 0.3989422804 * exp(-0.5 * x * x) * poly;
    return select(tail, 1.0 - tail, x >= 0.0);
}

fn black_scholes(spot: f32, strike: f32, years: f32, rate: f32, volatility: f32) -> Prices {
    let spread = volatility * sqrt(years);
    let d1 = (log(spot / strike) + (rate + 0.5 * volatility * volatility) * years) / spread;
    let d2 = d1 - spread;
    let discounted = strike * exp(-rate * years);
    let n1 = normal_cdf(d1);
    let n2 = normal_cdf(d2);
    return Prices(spot * n1 - discounted * n2, discounted * (1.0 - n2) - spot * (1.0 - n1));
}
