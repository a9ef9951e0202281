// Each pixel becomes the mean of those at most `radius` away in its row. The image goes on beyond its edges with the last pixel.

struct Params {
    width: u32,
    height: u32,
    radius: u32, // at most 16
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> image: array<f32>;
@group(0) @binding(2) var<storage, read_write> blurred: array<f32>;

const WIDTH = 64u;
const MAX_RADIUS = 16u;

// The part of the row that a workgroup looks at.
var<workgroup> part: array<f32, WIDTH + 2u * MAX_RADIUS>;

@compute @workgroup_size(WIDTH)
fn blur(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y * params.width;
    for (var i = lane; i < WIDTH + 2u * params.radius; i += WIDTH) {
        let x = i32(group.x * WIDTH + i) - i32(params.radius);
        part[i] = image[row + u32(clamp(x, 0, i32(params.width) - 1))];
    }
    workgroupBarrier();

    let x = group.x * WIDTH + lane;
    if x < params.width {
        var sum = 0.0;
        for (var i = 0u; i <= 2u * params.radius; i++) {
            sum += part[lane + i];
        }
        blurred[row + x] = sum / f32(2u * params.radius + 1u);
    }
}
