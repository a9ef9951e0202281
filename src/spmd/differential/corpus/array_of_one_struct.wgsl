// (2, 1, 1) workgroups. Found by seed 317 of the wild: members of other types were among what an index could mean.
struct S { a: vec2<i32>, b: i32, c: u32, d: f32 }
@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<u32>;
@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var one: array<S, 1>;
    var two: array<S, 2>;
    let u = input[id.x];
    one[u % 1u].c = u;
    one[u % 1u].d = f32(u % 100u);
    two[u % 2u] = S(vec2(1i, 2i), 3i, u, 4.0);
    two[u & 1u].a[u & 1u] += 5i;
    out[id.x * 8u] = one[input[id.x + 1u] % 1u].c;
    out[id.x * 8u + 1u] = u32(one[u % 1u].d) + two[input[id.x + 1u] % 2u].c;
    out[id.x * 8u + 2u] = u32(two[input[id.x + 1u] % 2u].a.y + two[u % 2u].b) + u32(two[u % 2u].d);
}
