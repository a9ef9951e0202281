// Open addressing with compare-exchange; counts of keys.
struct Slot { key: atomic<u32>, count: atomic<u32> }
@group(0) @binding(0) var<storage, read_write> slots: array<Slot>;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read_write> failed: atomic<u32>;
const EMPTY = 0xffffffffu;
const_assert EMPTY == 4294967295u;
fn hash(x: u32) -> u32 {
    var h = x; h ^= h >> 16u; h *= 0x7feb352du; h ^= h >> 15u; h *= 0x846ca68bu; h ^= h >> 16u; return h;
}
fn insert(key: u32) -> bool {
    let n = arrayLength(&slots);
    var at = hash(key) & (n - 1u);
    for (var probe = 0u; probe < n; probe++) {
        let r = atomicCompareExchangeWeak(&slots[at].key, EMPTY, key);
        if r.exchanged || r.old_value == key {
            atomicAdd(&slots[at].count, 1u);
            return true;
        }
        at = (at + 1u) & (n - 1u);
    }
    return false;
}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    for (var i = id.x; i < arrayLength(&keys); i += groups.x * 64u) {
        if !insert(keys[i]) { _ = atomicAdd(&failed, 1u); }
    }
}
