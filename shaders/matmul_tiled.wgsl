// C = A B, matrices row by row, of any size.
//
// A workgroup computes a tile of 64 x 64 of C. It walks along the inner dimension in steps of 16: 64 x 16 of A and 16 x 64 of
// B are copied to workgroup memory, from where each number is used 64 times. An invocation computes 4 x 4 of C, 16 apart in
// both directions, in 16 registers: 8 reads of workgroup memory feed 16 multiplications, and neighbours in x read neighbours.
//
// size    rows of A, columns of B, inner dimension
// a, b    rows x inner, inner x columns
// c       rows x columns; workgroups = ceil(columns / 64), ceil(rows / 64)
//
// Each element of C is summed in the order of the inner dimension.

const TILE = 64u;
const STEP = 16u;

struct Size {
    rows: u32,
    columns: u32,
    inner: u32,
}

@group(0) @binding(0) var<uniform> size: Size;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

var<workgroup> a_tile: array<f32, TILE * STEP>;
var<workgroup> b_tile: array<f32, STEP * TILE>;

// Zero outside, which adds nothing.
fn a_at(row: u32, k: u32) -> f32 {
    var value = 0.0;
    if row < size.rows && k < size.inner {
        value = a[row * size.inner + k];
    }
    return value;
}

fn b_at(k: u32, column: u32) -> f32 {
    var value = 0.0;
    if k < size.inner && column < size.columns {
        value = b[k * size.columns + column];
    }
    return value;
}

fn store(row: u32, column: u32, value: f32) {
    if row < size.rows && column < size.columns {
        c[row * size.columns + column] = value;
    }
}

fn store_row(row: u32, column: u32, values: vec4<f32>) {
    store(row, column, values.x);
    store(row, column + 16u, values.y);
    store(row, column + 32u, values.z);
    store(row, column + 48u, values.w);
}

@compute @workgroup_size(16, 16)
fn matmul_tiled(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let x = local.x;
    let y = local.y;
    let row = group.y * TILE + y;
    let column = group.x * TILE + x;

    // Rows y, y + 16, y + 32, y + 48 of the tile; the components are columns x, x + 16, x + 32, x + 48.
    var row_0 = vec4<f32>();
    var row_1 = vec4<f32>();
    var row_2 = vec4<f32>();
    var row_3 = vec4<f32>();

    for (var start = 0u; start < size.inner; start += STEP) {
        for (var i = 0u; i < TILE; i += 16u) {
            a_tile[(y + i) * STEP + x] = a_at(row + i, start + x);
            b_tile[y * TILE + x + i] = b_at(start + y, column + i);
        }
        workgroupBarrier();
        for (var k = 0u; k < STEP; k++) {
            let at = k * TILE + x;
            let b_row = vec4<f32>(b_tile[at], b_tile[at + 16u], b_tile[at + 32u], b_tile[at + 48u]);
            row_0 += a_tile[y * STEP + k] * b_row;
            row_1 += a_tile[(y + 16u) * STEP + k] * b_row;
            row_2 += a_tile[(y + 32u) * STEP + k] * b_row;
            row_3 += a_tile[(y + 48u) * STEP + k] * b_row;
        }
        // Nobody fills the next tiles while another one still reads these.
        workgroupBarrier();
    }

    store_row(row, column, row_0);
    store_row(row + 16u, column, row_1);
    store_row(row + 32u, column, row_2);
    store_row(row + 48u, column, row_3);
}
