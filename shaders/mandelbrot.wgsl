// Escape-time Mandelbrot set: iterations of z = z^2 + c from 0 until |z| > 2, at most max_iter.
// Divergent: neighbouring pixels leave the loop at different times.
//
// pixel          Index     row by row, n = width * height
// width, height  scalars   of the picture, in pixels
// max_iter       scalar
// view           scalar    left, bottom, right, top of the region of the complex plane
// -> iterations  array     u32; max_iter = inside
fn mandelbrot(pixel: u32, width: u32, height: u32, max_iter: u32, view: vec4<f32>) -> u32 {
    let at = (vec2<f32>(f32(pixel % width), f32(pixel / width)) + 0.5) / vec2<f32>(f32(width), f32(height));
    let c = vec2<f32>(view.x + at.x * (view.z - view.x), view.w + at.y * (view.y - view.w));
    var z = vec2<f32>(0.0, 0.0);
    for (var i = 0u; i < max_iter; i++) {
        let squares = z * z;
        if squares.x + squares.y > 4.0 {
            return i;
        }
        z = vec2<f32>(squares.x - squares.y + c.x, 2.0 * z.x * z.y + c.y);
    }
    return max_iter;
}
