// One step of Jacobi's method (1845) for Laplace's equation on a rectangle, the steady distribution of heat: each point
// becomes the mean of its four neighbours, and the edge keeps its temperature.
//
// Launch it again with `old` and `next` exchanged until nothing changes any more.
//
// size       width, height
// old, next  width * height numbers, row by row; workgroups = ceil(width / 64), ceil(height / 4)

@group(0) @binding(0) var<uniform> size: vec2<u32>;
@group(0) @binding(1) var<storage, read> old: array<f32>;
@group(0) @binding(2) var<storage, read_write> next: array<f32>;

@compute @workgroup_size(64, 4)
fn jacobi(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= size.x || id.y >= size.y {
        return;
    }
    let i = id.y * size.x + id.x;
    if id.x == 0u || id.y == 0u || id.x + 1u == size.x || id.y + 1u == size.y {
        next[i] = old[i];
    } else {
        next[i] = 0.25 * (old[i - 1u] + old[i + 1u] + old[i - size.x] + old[i + size.x]);
    }
}
