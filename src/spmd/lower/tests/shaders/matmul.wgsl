// Tiled matrix product, each invocation a 4 x 4 block in registers.
struct Shape { m: u32, n: u32, k: u32 }
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;
const T = 16u;
const W = 4u;
var<workgroup> ta: array<array<f32, 64>, 16>;
var<workgroup> tb: array<array<f32, 64>, 16>;
@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>,
        @builtin(local_invocation_index) index: u32) {
    let row0 = wg.y * 64u;
    let col0 = wg.x * 64u;
    var acc: array<array<f32, W>, W>;
    let tiles = (shape.k + T - 1u) / T;
    for (var t = 0u; t < tiles; t++) {
        for (var s = 0u; s < 4u; s++) {
            let e = index + s * 256u;
            let r = e / 16u; let q = e % 16u;
            let x = t * T + q;
            ta[q][r] = select(0.0, a[(row0 + r) * shape.k + x], row0 + r < shape.m && x < shape.k);
            let rb = e / 64u; let cb = e % 64u;
            let y = t * T + rb;
            tb[rb][cb] = select(0.0, b[y * shape.n + col0 + cb], y < shape.k && col0 + cb < shape.n);
        }
        workgroupBarrier();
        for (var k = 0u; k < T; k++) {
            var ra: array<f32, W>;
            var rb: array<f32, W>;
            for (var i = 0u; i < W; i++) { ra[i] = ta[k][lid.y * W + i]; rb[i] = tb[k][lid.x * W + i]; }
            for (var i = 0u; i < W; i++) { for (var j = 0u; j < W; j++) { acc[i][j] = fma(ra[i], rb[j], acc[i][j]); } }
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < W; i++) {
        let r = row0 + lid.y * W + i;
        if (r >= shape.m) { continue; }
        for (var j = 0u; j < W; j++) {
            let q = col0 + lid.x * W + j;
            if (q >= shape.n) { break; }
            c[r * shape.n + q] = acc[i][j];
        }
    }
}
