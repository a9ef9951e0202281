// Radix-2 Stockham FFT of 512 points in workgroup memory, with bit tricks and complex helpers.
alias c32 = vec2<f32>;
const N: u32 = 512;
const LOG = 9u;
const PI = 3.14159265358979;
@group(0) @binding(0) var<storage, read_write> data: array<c32>;
var<workgroup> ping: array<c32, N>;
var<workgroup> pong: array<c32, N>;
fn mul(a: c32, b: c32) -> c32 { return c32(a.x * b.x - a.y * b.y, dot(a, b.yx)); }
fn twiddle(k: u32, n: u32) -> c32 { let t = -2.0 * PI * f32(k) / f32(n); return c32(cos(t), sin(t)); }
fn butterfly(j: u32, s: u32, forward: bool) {
    let half = N / 2u;
    let k = j & (s - 1u);
    let w = twiddle(k, 2 * s);
    var a: c32; var b: c32;
    if forward { a = ping[j]; b = mul(w, ping[j + half]); } else { a = pong[j]; b = mul(w, pong[j + half]); }
    let at = ((j - k) << 1) + k;
    if forward { pong[at] = a + b; pong[at + s] = a - b; } else { ping[at] = a + b; ping[at + s] = a - b; }
}
@compute @workgroup_size(256, 1, 1)
fn main(@builtin(local_invocation_index) j: u32, @builtin(workgroup_id) g: vec3u) {
    let offset = g.x * N;
    ping[j] = data[offset + j];
    ping[j + N / 2] = data[offset + j + N / 2];
    var forward = true;
    for (var stage = 0u; stage < LOG; stage += 1) {
        workgroupBarrier();
        butterfly(j, 1u << stage, forward);
        forward = !forward;
    }
    workgroupBarrier();
    let scale = inverseSqrt(f32(N));
    if forward {
        data[offset + j] = ping[j] * scale; data[offset + j + N / 2] = ping[j + N / 2] * scale;
    } else {
        data[offset + j] = pong[j] * scale; data[offset + j + N / 2] = pong[j + N / 2] * scale;
    }
}
