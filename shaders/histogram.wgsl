// How often each of 256 digits occurs: digit = (key >> shift) & 255, the counting step of a radix sort.
//
// Every workgroup counts in workgroup memory, where its invocations rarely meet in one bin, then adds its counts to the ones
// of all: 256 additions to storage for thousands of keys.
//
// keys    n numbers
// shift   0, 8, 16 or 24
// counts  256 numbers, zero before the launch; workgroups = ceil(n / (256 * ITEMS))

override ITEMS: u32 = 32u;

// Bins, and invocations of a workgroup: one adds one bin.
const BINS = 256u;

@group(0) @binding(0) var<storage, read> keys: array<u32>;
@group(0) @binding(1) var<uniform> shift: u32;
@group(0) @binding(2) var<storage, read_write> counts: array<atomic<u32>, BINS>;

// Zero when the workgroup starts.
var<workgroup> own: array<atomic<u32>, BINS>;

@compute @workgroup_size(BINS)
fn histogram(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var item = 0u; item < ITEMS; item++) {
        let i = (group.x * ITEMS + item) * BINS + lane;
        if i < arrayLength(&keys) {
            atomicAdd(&own[(keys[i] >> shift) & (BINS - 1u)], 1u);
        }
    }
    workgroupBarrier();
    let count = atomicLoad(&own[lane]);
    if count > 0u {
        atomicAdd(&counts[lane], count);
    }
}
