// Prefix sum in one pass with decoupled look-back (Merrill and Garland 2016).
const WG = 128u;
const PER = 4u;
const FLAG_NONE = 0u; const FLAG_AGGREGATE = 1u; const FLAG_PREFIX = 2u;
struct Partition { flag: atomic<u32>, aggregate: atomic<u32>, prefix: atomic<u32> }
@group(0) @binding(0) var<storage, read> input: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> output: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> partitions: array<Partition>;
@group(0) @binding(3) var<storage, read_write> next_partition: atomic<u32>;
var<workgroup> sums: array<u32, WG>;
var<workgroup> part_id: u32;
var<workgroup> exclusive: u32;

fn inclusive4(v: vec4<u32>) -> vec4<u32> {
    var r = v; r.y += r.x; r.z += r.y; r.w += r.z; return r;
}

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_id) lid: vec3<u32>) {
    if (lid.x == 0u) { part_id = atomicAdd(&next_partition, 1u); }
    let part = workgroupUniformLoad(&part_id);
    let ix = part * WG + lid.x;
    let in_range = ix < arrayLength(&input);
    var mine = vec4<u32>();
    if in_range { mine = inclusive4(input[ix]); }
    sums[lid.x] = mine.w;
    var offset = 1u;
    loop {
        if (offset >= WG) { break; }
        workgroupBarrier();
        var other = 0u;
        if (lid.x >= offset) { other = sums[lid.x - offset]; }
        workgroupBarrier();
        sums[lid.x] += other;
        continuing { offset <<= 1u; }
    }
    workgroupBarrier();
    if (lid.x == WG - 1u) {
        atomicStore(&partitions[part].aggregate, sums[lid.x]);
        if (part == 0u) { atomicStore(&partitions[part].prefix, sums[lid.x]); }
        storageFence();
        atomicStore(&partitions[part].flag, select(FLAG_AGGREGATE, FLAG_PREFIX, part == 0u));
        var total = 0u;
        var look = i32(part) - 1;
        while (look >= 0) {
            switch atomicLoad(&partitions[look].flag) {
                case FLAG_PREFIX: { total += atomicLoad(&partitions[look].prefix); look = -1; }
                case FLAG_AGGREGATE: { total += atomicLoad(&partitions[look].aggregate); look--; }
                default: { }
            }
        }
        if (part > 0u) {
            atomicStore(&partitions[part].prefix, total + sums[lid.x]);
            atomicStore(&partitions[part].flag, FLAG_PREFIX);
        }
        exclusive = total;
    }
    workgroupBarrier();
    let before = exclusive + sums[lid.x] - mine.w;
    if in_range { output[ix] = mine + before; }
}

fn storageFence() { }
