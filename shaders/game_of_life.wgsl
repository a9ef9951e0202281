// One generation of the Game of Life (Conway 1970) on a torus: what leaves on one side comes in on the other.
//
// A cell lives on with two or three living neighbours, and is born with three.
//
// size       width, height
// old, next  width * height cells, row by row, 0 or 1; workgroups = ceil(width / 64), ceil(height / 4)

@group(0) @binding(0) var<uniform> size: vec2<u32>;
@group(0) @binding(1) var<storage, read> old: array<u32>;
@group(0) @binding(2) var<storage, read_write> next: array<u32>;

// Living cells among three in the row that starts at `row`.
fn three(row: u32, left: u32, x: u32, right: u32) -> u32 {
    return old[row + left] + old[row + x] + old[row + right];
}

// What becomes of the cell (x, y) whose neighbours have these numbers.
fn future(left: u32, x: u32, right: u32, above: u32, y: u32, below: u32) -> u32 {
    let cell = old[y * size.x + x];
    let around = three(above * size.x, left, x, right) + three(y * size.x, left, x, right)
        + three(below * size.x, left, x, right) - cell;
    return select(0u, 1u, around == 3u || (around == 2u && cell == 1u));
}

@compute @workgroup_size(64, 4)
fn game_of_life(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = id.x;
    let y = id.y;
    if x >= size.x || y >= size.y {
        return;
    }
    let above = select(y, size.y, y == 0u) - 1u;
    let below = select(y + 1u, 0u, y + 1u == size.y);
    // Only the first and the last column have a neighbour that is not beside them. All others read side by side.
    var cell: u32;
    if x > 0u && x + 1u < size.x {
        cell = future(x - 1u, x, x + 1u, above, y, below);
    } else {
        let left = select(x, size.x, x == 0u) - 1u;
        let right = select(x + 1u, 0u, x + 1u == size.x);
        cell = future(left, x, right, above, y, below);
    }
    next[y * size.x + x] = cell;
}
