// Jacobi steps of a pressure solver on a grid with a halo in workgroup memory, ping and pong in one struct.
struct Grid { size: vec2<i32>, alpha: f32, iterations: i32, data: array<array<f32, 2>> }
@group(0) @binding(0) var<storage, read_write> grid: Grid;
@group(0) @binding(1) var<storage, read> obstacles: array<u32>;
const HALO = 1;
const SIDE = 16;
var<workgroup> halo: array<array<f32, SIDE + 2 * HALO>, SIDE + 2 * HALO>;
fn wall(p: vec2i) -> bool {
    if p.x < 0 || p.y < 0 { return true; }
    if p.x >= grid.size.x || p.y >= grid.size.y { return true; }
    let bit = u32(p.y * grid.size.x + p.x);
    return (obstacles[bit >> 5u] & (1u << (bit & 31u))) != 0u;
}
fn at(p: vec2i, which: i32) -> f32 {
    let q = clamp(p, vec2i(), grid.size - vec2i(1));
    return grid.data[q.y * grid.size.x + q.x][which];
}
@compute @workgroup_size(16, 16, 1)
fn main(@builtin(global_invocation_id) g: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(workgroup_id) w: vec3u) {
    let origin = vec2i(w.xy) * SIDE - HALO;
    let local = vec2i(l.xy);
    for (var y = local.y; y < SIDE + 2; y += SIDE) {
        for (var x = local.x; x < SIDE + 2; x += SIDE) { halo[y][x] = at(origin + vec2i(x, y), 0); }
    }
    workgroupBarrier();
    for (var step = 0; step < 2; step++) {
        let p = local + HALO;
        var sum = 0.0;
        var n = 0.0;
        for (var k = 0; k < 4; k++) {
            var d = vec2i();
            switch k { case 0: { d.x = 1; } case 1: { d.x = -1; } case 2: { d.y = 1; } default: { d.y = -1; } }
            if !wall(origin + p + d) { sum += halo[p.y + d.y][p.x + d.x]; n += 1.0; }
        }
        let next = (sum + grid.alpha) / max(n, 1.0);
        workgroupBarrier();
        halo[p.y][p.x] = next;
        workgroupBarrier();
    }
    let q = vec2i(g.xy);
    if all(q < grid.size) { grid.data[q.y * grid.size.x + q.x][1] = halo[local.y + 1][local.x + 1]; }
}
