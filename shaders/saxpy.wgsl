// out[i] = a * x[i] + y[i]                                      (BLAS level 1)
//
// a     scalar    the factor
// x, y  arrays
//
// Two roundings: forall never contracts `a * x + y` to a fused multiply-add, so the result has the bits of
// the same expression in Rust or NumPy.
fn saxpy(a: f32, x: f32, y: f32) -> f32 {
    return a * x + y;
}
