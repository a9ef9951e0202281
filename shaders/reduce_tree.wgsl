// Sum of an array. Every workgroup adds up one tile of it, by a tree in workgroup memory:
//
//     WIDTH invocations        each adds ITEMS elements that lie WIDTH apart, so that neighbours read neighbours
//     log2(WIDTH) rounds       the lower half adds the upper half, until one sum is left
//
// Launch it again over `sums` until one is left: n -> n / 4096 -> ... Which additions are done, and in which order, depends
// on n alone: the sum has the same bits however many workgroups run at once.
//
// input   n numbers
// sums    one for every workgroup; workgroups = ceil(n / (WIDTH * ITEMS))

// A power of two.
override WIDTH: u32 = 256u;
override ITEMS: u32 = 16u;

@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

var<workgroup> tree: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn reduce_tree(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var item = 0u; item < ITEMS; item++) {
        let i = (group.x * ITEMS + item) * WIDTH + lane;
        if i < arrayLength(&input) {
            sum += input[i];
        }
    }
    tree[lane] = sum;

    for (var width = WIDTH / 2u; width > 0u; width /= 2u) {
        // What the upper half holds is written before the lower half reads it.
        workgroupBarrier();
        if lane < width {
            tree[lane] += tree[lane + width];
        }
    }
    if lane == 0u {
        sums[group.x] = tree[0];
    }
}
