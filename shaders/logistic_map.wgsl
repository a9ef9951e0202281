// x <- r * x * (1 - x), `steps` times (May 1976). One long chain of dependent operations, no memory traffic:
// what a backend reaches when only the latency of arithmetic counts.
//
// x0     array    in [0, 1]
// r      array or scalar   in [0, 4]
// steps  scalar
// -> x   array
fn logistic_map(x0: f32, r: f32, steps: u32) -> f32 {
    var x = x0;
    for (var i = 0u; i < steps; i++) {
        x = r * x * (1.0 - x);
    }
    return x;
}
