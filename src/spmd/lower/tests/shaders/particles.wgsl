// Smoothed-particle density and a spatial grid of fixed capacity.
struct Particle { position: vec3<f32>, density: f32, velocity: vec3<f32>, id: u32 }
struct Cell { count: atomic<u32>, items: array<u32, 8> }
struct Settings { cells: vec3<i32>, h: f32, low: vec3f, mass: f32, rotate: mat3x3<f32>, gravity: vec4f, flags: vec2<u32> }
@group(0) @binding(0) var<uniform> s: Settings;
@group(0) @binding(1) var<storage, read_write> particles: array<Particle>;
@group(0) @binding(2) var<storage, read_write> grid: array<Cell>;
const OFFSETS = array<vec3<i32>, 7>(vec3i(0), vec3i(1, 0, 0), vec3i(-1, 0, 0), vec3i(0, 1, 0), vec3i(0, -1, 0),
                                    vec3i(0, 0, 1), vec3i(0, 0, -1));
fn cell_of(p: vec3f) -> vec3i { return clamp(vec3i(floor((p - s.low) / s.h)), vec3i(0), s.cells - 1); }
fn flat(c: vec3i) -> u32 { return u32(c.x + s.cells.x * (c.y + s.cells.y * c.z)); }
fn kernel(r2: f32) -> f32 { let x = max(0.0, s.h * s.h - r2); return 315.0 / (64.0 * 3.14159 * pow(s.h, 9.0)) * x * x * x; }
fn add(p: ptr<function, Particle>, by: f32) { (*p).density += by; }
fn place(index: u32) {
    let c = flat(cell_of(particles[index].position));
    let slot = atomicAdd(&grid[c].count, 1u);
    if slot < 8u { grid[c].items[slot] = index; }
}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= arrayLength(&particles) { return; }
    var p = particles[id.x];
    p.density = 0.0;
    if all(s.flags == vec2u(1u, 2u)) { place(id.x); return; }
    let c = cell_of(p.position);
    for (var o = 0; o < 7; o++) {
        let n = c + OFFSETS[o];
        if any(n < vec3i(0)) || any(n >= s.cells) { continue; }
        let cell = flat(n);
        let filled = min(atomicLoad(&grid[cell].count), 8u);
        for (var k = 0u; k < filled; k++) {
            let q = &particles[grid[cell].items[k]];
            let d = (*q).position - p.position;
            add(&p, s.mass * kernel(dot(d, d)));
        }
    }
    p.velocity = s.rotate * (p.velocity + s.gravity.xyz * 0.016);
    particles[id.x] = p;
}
