//! Whole shaders with workgroups, in WGSL.

use super::launch::{Cut, check_cut, check_wgsl, lowered, scrambled};
use super::*;
use crate::spmd::grid::Grid;

/// Floats between 1 and 2, so that the order of a sum shows.
fn floats(words: usize) -> Vec<u32> {
    scrambled(words).iter().map(|bits| bits >> 9 | 0x3f80_0000).collect()
}

#[test]
fn a_reduction_by_a_tree() {
    for size in [1, 2, 32, 64, 128, 256, 1024] {
        let source = format!(
            "@group(0) @binding(0) var<storage> input: array<f32>;
             @group(0) @binding(1) var<storage, read_write> sums: array<f32>;
             var<workgroup> tree: array<f32, {size}>;
             @compute @workgroup_size({size})
             fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32,
                     @builtin(workgroup_id) group: vec3<u32>) {{
                 tree[lane] = input[id.x];
                 for (var width = {size}u / 2u; width > 0u; width /= 2u) {{
                     workgroupBarrier();
                     if lane < width {{ tree[lane] += tree[lane + width]; }}
                 }}
                 if lane == 0u {{ sums[group.x] = tree[0]; }}
             }}"
        );
        // The last workgroup reads over the end.
        check_wgsl(&source, &[floats(5 * size - size / 3), vec![POISON; 6]], [5, 1, 1]);
    }
}

#[test]
fn a_histogram() {
    for size in [16, 40, 256] {
        let source = format!(
            "@group(0) @binding(0) var<storage> keys: array<u32>;
             @group(0) @binding(1) var<storage, read_write> counts: array<atomic<u32>, 64>;
             var<workgroup> own: array<atomic<u32>, 64>;
             @compute @workgroup_size({size})
             fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {{
                 if id.x < arrayLength(&keys) {{ atomicAdd(&own[keys[id.x] >> 26u], 1u); }}
                 workgroupBarrier();
                 for (var bin = lane; bin < 64u; bin += {size}u) {{ atomicAdd(&counts[bin], atomicLoad(&own[bin])); }}
             }}"
        );
        check_wgsl(&source, &[scrambled(7 * size - 3), vec![0; 64]], [7, 1, 1]);
    }
}

/// Tiles of different shapes: places in a tile that are linear, the same in a chunk, or neither.
#[test]
fn a_transposition_by_tiles() {
    for (tile, rows) in [(4, 4), (8, 8), (16, 16), (16, 4), (32, 8)] {
        let source = format!(
            "@group(0) @binding(0) var<storage> a: array<u32>;
             @group(0) @binding(1) var<storage, read_write> b: array<u32>;
             var<workgroup> t: array<array<u32, {}>, {tile}>;
             @compute @workgroup_size({tile}, {rows})
             fn main(@builtin(workgroup_id) g: vec3<u32>, @builtin(local_invocation_id) l: vec3<u32>,
                     @builtin(num_workgroups) n: vec3<u32>) {{
                 let width = n.x * {tile}u; let height = n.y * {tile}u;
                 for (var j = 0u; j < {tile}u; j += {rows}u) {{
                     t[l.y + j][l.x] = a[(g.y * {tile}u + l.y + j) * width + g.x * {tile}u + l.x];
                 }}
                 workgroupBarrier();
                 for (var j = 0u; j < {tile}u; j += {rows}u) {{
                     b[(g.x * {tile}u + l.y + j) * height + g.y * {tile}u + l.x] = t[l.x][l.y + j];
                 }}
             }}",
            tile + 1
        );
        let words = (3 * tile * 2 * tile) as usize;
        check_wgsl(&source, &[scrambled(words), vec![POISON; words]], [3, 2, 1]);
    }
}

#[test]
fn a_product_of_matrices_by_tiles() {
    for (tile, n) in [(4, 2), (8, 2), (16, 2)] {
        let source = format!(
            "@group(0) @binding(0) var<storage> a: array<f32>;
             @group(0) @binding(1) var<storage> b: array<f32>;
             @group(0) @binding(2) var<storage, read_write> c: array<f32>;
             var<workgroup> ta: array<f32, {words}>;
             var<workgroup> tb: array<f32, {words}>;
             @compute @workgroup_size({tile}, {tile})
             fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_id) l: vec3<u32>,
                     @builtin(num_workgroups) groups: vec3<u32>) {{
                 let n = groups.x * {tile}u;
                 var sum = 0.0;
                 for (var step = 0u; step < groups.x; step++) {{
                     ta[l.y * {tile}u + l.x] = a[id.y * n + step * {tile}u + l.x];
                     tb[l.y * {tile}u + l.x] = b[(step * {tile}u + l.y) * n + id.x];
                     workgroupBarrier();
                     for (var k = 0u; k < {tile}u; k++) {{ sum += ta[l.y * {tile}u + k] * tb[k * {tile}u + l.x]; }}
                     workgroupBarrier();
                 }}
                 c[id.y * n + id.x] = sum;
             }}",
            words = tile * tile
        );
        let words = (tile * n * tile * n) as usize;
        check_wgsl(&source, &[floats(words), floats(words), vec![POISON; words]], [n, n, 1]);
    }
}

/// Each workgroup waits for the one before it. Two threads, each with workgroups of its own.
#[test]
fn a_chained_scan() {
    let source = "@group(0) @binding(0) var<storage> input: array<u32>;
        @group(0) @binding(1) var<storage, read_write> output: array<u32>;
        @group(0) @binding(2) var<storage, read_write> totals: array<atomic<u32>>;
        var<workgroup> sums: array<u32, 64>;
        var<workgroup> before: u32;
        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32,
                @builtin(workgroup_id) group: vec3<u32>) {
            var sum = input[id.x];
            for (var reach = 1u; reach < 64u; reach *= 2u) {
                sums[lane] = sum;
                workgroupBarrier();
                if lane >= reach { sum += sums[lane - reach]; }
                workgroupBarrier();
            }
            if lane == 63u {
                var seen = 1u;
                if group.x > 0u {
                    loop {
                        seen = atomicLoad(&totals[group.x - 1u]);
                        if seen != 0u { break; }
                    }
                }
                before = seen - 1u;
                atomicStore(&totals[group.x], seen + sum);
            }
            let offset = workgroupUniformLoad(&before);
            output[id.x] = offset + sum;
        }";
    let program = lowered(source);
    let n = 64 * 200;
    let grid = Grid::whole([200, 1, 1], program.workgroup_size).unwrap();
    let input = (0..n as u32).map(|at| at % 5).collect();
    let buffers = [input, vec![POISON; n], vec![0; 200]];
    check_cut(&program, &buffers, &grid, &[Cut::Whole, Cut::Threads]);
}

/// The workgroup's memory starts as zero in each workgroup, whatever the one before it left there.
#[test]
fn workgroup_memory_starts_as_zero() {
    check_wgsl(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
         var<workgroup> a: array<u32, 33>; var<workgroup> b: vec4<f32>;
         @compute @workgroup_size(20) fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) i: u32) {
             let old = a[i] + a[i + 13u] + u32(b[i % 4u]);
             workgroupBarrier();
             a[i] = 5u; a[i + 13u] = 6u; b[i % 4u] = 7.0;
             out[id.x] = old;
         }",
        &[vec![POISON; 100]],
        [5, 1, 1],
    );
}

/// Loads at one index see what was stored before them, and only that.
#[test]
fn uniform_loads_stay_in_order() {
    check_wgsl(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
         var<workgroup> w: array<u32, 4>;
         @compute @workgroup_size(48) fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) i: u32,
                @builtin(workgroup_id) group: vec3<u32>) {
             var sum = 0u;
             for (var round = 0u; round < 5u; round++) {
                 let before = w[round % 4u];
                 workgroupBarrier();
                 if i == round * 9u { w[round % 4u] = before + i + group.x + 1u; }
                 workgroupBarrier();
                 sum = sum * 31u + before + w[round % 4u] * 7u;
                 if w[0] > 3u { sum ^= 1u; }
             }
             out[id.x] = sum;
         }",
        &[vec![POISON; 48 * 3]],
        [3, 1, 1],
    );
}

/// Two-dimensional shaders without workgroups' memory, in rows.
#[test]
fn an_image() {
    for size in ["8, 8", "16, 4", "5, 3, 2"] {
        let source = format!(
            "@group(0) @binding(0) var<storage> a: array<f32>;
             @group(0) @binding(1) var<storage, read_write> b: array<f32>;
             @group(0) @binding(2) var<storage, read_write> most: atomic<i32>;
             @compute @workgroup_size({size})
             fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
                 let width = 37u; let height = 19u;
                 if any(id.xy >= vec2(width, height)) || id.z > 0u {{ return; }}
                 let at = id.y * width + id.x;
                 let left = a[at - min(id.x, 1u)];
                 let right = a[at + u32(id.x + 1u < width)];
                 b[at] = 0.5 * a[at] + 0.25 * (left + right);
                 atomicMax(&most, i32(b[at] * 1000.0));
             }}"
        );
        check_wgsl(&source, &[floats(37 * 19), vec![POISON; 37 * 19], vec![0]], [8, 7, 1]);
    }
}
