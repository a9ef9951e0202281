// A histogram of packed pixels in workgroup memory, added to the global one at the end.
@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read_write> bins: array<array<atomic<u32>, 256>, 3>;
var<workgroup> local: array<atomic<u32>, 768>;
@compute @workgroup_size(32, 8)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) li: u32,
        @builtin(num_workgroups) n: vec3u) {
    let stride = n.x * n.y * 256u;
    for (var i = (id.y * n.x * 32u) + id.x; i < arrayLength(&pixels); i += stride) {
        let p = pixels[i];
        for (var c = 0u; c < 3u; c++) { atomicAdd(&local[c * 256u + extractBits(p, 8u * c, 8u)], 1u); }
    }
    workgroupBarrier();
    for (var b = li; b < 768u; b += 256u) {
        let count = atomicLoad(&local[b]);
        if count != 0u { atomicAdd(&bins[b / 256u][b & 255u], count); }
    }
}
