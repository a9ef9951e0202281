// Radix sort, a pass: counts per digit, their scan, and the scatter; counters and flags in every kind of memory.
const DIGITS = 16u;
const SIZE = 64u;
struct Tables { counts: array<array<atomic<u32>, DIGITS>, 4>, base: array<u32, DIGITS> }
struct Pass { shift: u32, n: u32, keys: array<u32, 2> }
@group(0) @binding(0) var<storage, read> keys: array<u32>;
@group(0) @binding(1) var<storage, read_write> sorted: array<u32>;
@group(0) @binding(2) var<storage, read_write> offsets: array<atomic<u32>, DIGITS>;
@group(1) @binding(0) var<uniform> pass_: Pass2;
struct Pass2 { shift: u32, n: u32 }
var<workgroup> tables: Tables;
var<private> digits: array<u32, 4>;
fn digit(key: u32) -> u32 { return insertBits(0u, key >> pass_.shift, 0u, 4u); }
fn exclusive(t: ptr<private, array<u32, 4>>, k: u32) -> u32 { let before = (*t)[k]; (*t)[k] += 1u; return before; }
@compute @workgroup_size(SIZE)
fn main(@builtin(local_invocation_index) li: u32, @builtin(global_invocation_id) g: vec3u) {
    for (var d = li; d < DIGITS * 4u; d += SIZE) { atomicStore(&tables.counts[d / DIGITS][d % DIGITS], 0u); }
    workgroupBarrier();
    let warp = li / 16u;
    let valid = g.x < pass_.n;
    var key = 0u;
    var d = 0u;
    if valid { key = keys[g.x]; d = digit(key); }
    let rank = select(0u, 0u, valid);
    var mine = 0u;
    if valid { mine = atomicAdd(&tables.counts[warp][d], 1u); }
    workgroupBarrier();
    if li < DIGITS {
        var sum = 0u;
        for (var w = 0u; w < 4u; w++) {
            let c = atomicExchange(&tables.counts[w][li], sum);
            sum += c;
            digits[w] = c;
            _ = exclusive(&digits, w);
        }
        tables.base[li] = atomicAdd(&offsets[li], sum);
    }
    workgroupBarrier();
    if valid { sorted[tables.base[d] + atomicLoad(&tables.counts[warp][d]) + mine] = key + rank; }
}
