// One step of a bitonic sort over keys with their payload, and a local version that sorts a tile in workgroup memory.
struct Pair { key: u32, payload: u32 }
struct Params { n: u32, j: u32, k: u32, descending: u32 }
@group(0) @binding(0) var<storage, read_write> pairs: array<Pair>;
@group(0) @binding(1) var<uniform> params: Params;
const TILE = 256u;
var<workgroup> tile: array<Pair, TILE * 2u>;

fn should_swap(a: Pair, b: Pair, up: bool) -> bool { return (a.key > b.key) == up; }

fn compare_and_swap(i: u32, j: u32, up: bool) {
    let a = tile[i];
    let b = tile[j];
    if should_swap(a, b, up) { tile[i] = b; tile[j] = a; }
}

@compute @workgroup_size(TILE)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) li: u32) {
    let base = wg.x * TILE * 2u;
    for (var s = 0u; s < 2u; s++) {
        let at = li + s * TILE;
        if base + at < params.n { tile[at] = pairs[base + at]; } else { tile[at] = Pair(0xffffffffu, 0u); }
    }
    workgroupBarrier();
    for (var k = 2u; k <= TILE * 2u; k <<= 1u) {
        for (var j = k >> 1u; j > 0u; j >>= 1u) {
            let lo = li % j + (li / j) * (j << 1u);
            let up = ((lo & k) == 0u) != (params.descending != 0u);
            compare_and_swap(lo, lo + j, up);
            workgroupBarrier();
        }
    }
    for (var s = 0u; s < 2u; s++) {
        let at = li + s * TILE;
        if base + at < params.n { pairs[base + at] = tile[at]; }
    }
}
