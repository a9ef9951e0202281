// Path of a ray through a bounding volume hierarchy, with a stack of its own.
struct Node { low: vec3f, left: u32, high: vec3f, count: u32 }
struct Ray { origin: vec3f, direction: vec3f, inverse: vec3f }
struct Hit { t: f32, triangle: u32, uv: vec2f, found: bool }
struct Triangle { p: array<vec3f, 3>, material: u32 }
struct Camera { view: mat4x4<f32>, size: vec2u, seed: u32, bounces: u32 }
@group(0) @binding(0) var<uniform> camera: Camera;
@group(0) @binding(1) var<storage> nodes: array<Node>;
@group(0) @binding(2) var<storage> triangles: array<Triangle>;
@group(0) @binding(3) var<storage, read_write> image: array<u32>;
var<private> state: u32;
const NONE = Hit(1e30, 0u, vec2f(), false);
fn random() -> f32 {
    state = state * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return f32((word >> 22u) ^ word) / 4294967296.0;
}
fn slab(ray: Ray, low: vec3f, high: vec3f, far: f32) -> f32 {
    let a = (low - ray.origin) * ray.inverse;
    let b = (high - ray.origin) * ray.inverse;
    let lo = min(a, b); let hi = max(a, b);
    let near = max(max(lo.x, lo.y), max(lo.z, 0.0));
    let away = min(min(hi.x, hi.y), min(hi.z, far));
    return select(-1.0, near, near <= away);
}
fn intersect(ray: Ray, index: u32, hit: ptr<function, Hit>) {
    let t = &triangles[index];
    let e1 = (*t).p[1] - t.p[0];
    let e2 = t.p[2] - t.p[0];
    let h = cross(ray.direction, e2);
    let det = dot(e1, h);
    if abs(det) < 1e-8 { return; }
    let f = 1.0 / det;
    let s = ray.origin - t.p[0];
    let u = f * dot(s, h);
    if u < 0.0 || u > 1.0 { return; }
    let q = cross(s, e1);
    let v = f * dot(ray.direction, q);
    if v < 0.0 || u + v > 1.0 { return; }
    let d = f * dot(e2, q);
    if d > 1e-5 && d < (*hit).t { *hit = Hit(d, index, vec2f(u, v), true); }
}
fn trace(ray: Ray) -> Hit {
    var hit = NONE;
    var stack: array<u32, 32>;
    var top = 1;
    stack[0] = 0u;
    while top > 0 {
        top--;
        let node = nodes[stack[top]];
        if slab(ray, node.low, node.high, hit.t) < 0.0 { continue; }
        if node.count > 0u {
            for (var i = 0u; i < node.count; i++) { intersect(ray, node.left + i, &hit); }
        } else if top < 30 {
            stack[top] = node.left; stack[top + 1] = node.left + 1u; top += 2;
        }
    }
    return hit;
}
fn ray_to(pixel: vec2f) -> Ray {
    let ndc = pixel / vec2f(camera.size) * 2.0 - 1.0;
    let d = normalize((camera.view * vec4f(ndc.x, -ndc.y, -1.0, 0.0)).xyz);
    return Ray(camera.view[3].xyz, d, 1.0 / d);
}
@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= camera.size) { return; }
    let at = id.y * camera.size.x + id.x;
    state = at ^ (camera.seed * 9781u);
    var colour = vec3f(0); var through = vec3f(1);
    var ray = ray_to(vec2f(id.xy) + vec2f(random(), random()));
    for (var bounce = 0u; bounce <= camera.bounces; bounce++) {
        let hit = trace(ray);
        if !hit.found { colour += through * mix(vec3f(1), vec3f(0.5, 0.7, 1.0), ray.direction.y * 0.5 + 0.5); break; }
        let t = triangles[hit.triangle];
        let n = normalize(cross(t.p[1] - t.p[0], t.p[2] - t.p[0]));
        switch t.material {
            case 0u, 4u: { ray.direction = reflect(ray.direction, n); }
            case 1u: { ray.direction = refract(ray.direction, n, 0.66); through *= 0.9; }
            default: { ray.direction = normalize(n + vec3f(random(), random(), random()) - 0.5); through *= vec3f(0.7); }
        }
        ray.inverse = 1.0 / ray.direction;
        ray.origin += ray.direction * hit.t;
        if max(through.x, max(through.y, through.z)) < 0.01 { break; }
    }
    image[at] = pack4x8unorm(vec4f(sqrt(colour), 1));
}
