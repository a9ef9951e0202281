// Corners of the language that ordinary shaders touch.
struct Inner { m: mat2x3<f32>, v: vec2<i32>, on: u32 }
struct Outer { inner: array<Inner, 3>, tail: array<vec3<f32>, 2>, big: mat4x3<f32> }
@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@group(0) @binding(1) var<storage, read_write> o: Outer;
@group(0) @binding(2) var<storage, read_write> more: array<Outer>;
@group(0) @binding(3) var<uniform> words: array<vec4<u32>, 16>;
const K = 3 * 7 - 1;
const BIG = 0xffffffffu;
const LOW = -2147483648;
const TABLE = array(1, 2, 3, 5, 8, 13);
const MIXED = array<vec2f, 3>(vec2(1), vec2(2, 3), vec2f());
const_assert K == 20 && BIG == 4294967295u;
var<private> counter = 5i;
var<workgroup> shared_mat: mat3x3<f32>;
var<workgroup> shared_flags: array<bool, 40>;
fn fall(x: i32) -> i32 {
    switch x {
        default { return 7; }
        case 1, 2 { if x == 2 { break; } return 1; }
        case 3, { }
        case LOW { return 9; }
    }
    return -1;
}
fn swap(a: ptr<function, u32>, b: ptr<function, u32>) { let t = *a; *a = *b; *b = t; }
fn column(m: ptr<function, mat2x3<f32>>, k: u32) -> vec3f { (*m)[k] *= 2.0; return (*m)[k]; }
fn count(p: ptr<private, i32>) -> i32 { *p += 1; return *p; }
fn same(a: Inner, b: Inner) -> bool { return all(a.v == b.v) && a.on == b.on && all(a.m[0] == b.m[0]); }
fn early(n: u32) -> u32 {
    for (var i = 0u; ; i++) {
        if i * i >= n { return i; }
        loop { if i % 3u == 0u { break; } if n == 77u { return 99u; } continuing { break if true; } }
    }
    return 0u;
}
fn made(n: u32) -> array<vec2u, 3> { return array(vec2u(n), vec2u(n + 1, 2), vec2u()); }
@compute @workgroup_size(40)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) li: u32) {
    let i = id.x;
    var a = i; var b = 3u; swap(&a, &b);
    var m = o.inner[i % 3u].m;
    let c = column(&m, i & 1u);
    o.inner[i % 3u].m = m;
    o.big[i & 3u][i % 3u] = c[i % 3u];
    o.tail[i & 1u] += vec3f(o.big * vec4f(1)) + transpose(m) [0].xyx;
    let whole = more[i];
    var copy = whole; copy.inner[1] = copy.inner[(i + 1u) % 3u]; more[i + 1u] = copy;
    let f = modf(c.x); let g = frexp(c); let h = modf(vec2f(c.y, -1.5));
    let packed = pack4xI8(vec4i(1, -2, 3, 4)) ^ pack4xU8Clamp(vec4u(300u)) ^ pack2x16snorm(c.xy) ^ pack2x16unorm(c.xy)
        ^ pack2x16float(c.yz) ^ pack4x8snorm(vec4f(c, 0)) ^ pack4xI8Clamp(vec4i(-999)) ^ pack4xU8(vec4u(1));
    let dots = dot4U8Packed(packed, 0x01020304u) + u32(dot4I8Packed(packed, i)) + u32(dot(vec3i(1), vec3i(TABLE[i % 6u])));
    let un = unpack4xI8(packed) + vec4i(unpack4xU8(packed));
    let fl = unpack4x8snorm(packed) + unpack4x8unorm(packed) + unpack2x16float(packed).xyxy
        + unpack2x16snorm(packed).xxyy + unpack2x16unorm(packed).yyxx;
    shared_flags[li] = same(o.inner[0], o.inner[1]);
    if li < 3u { shared_mat[li] = c; shared_mat[li].x = f.whole; }
    workgroupBarrier();
    _ = early(i);
    let p = &words[i & 15u];
    var dyn = vec4<bool>(); dyn[i & 3u] = shared_flags[(li + 1u) % 40u];
    let det = determinant(shared_mat) + f32(fall(i32(i))) + f32(count(&counter)) + MIXED[i % 3u].y;
    let chosen = select(vec2u(a, b), vec2u(1u, 2u), dyn.xy);
    var bits = bitcast<vec3u>(vec3f(f.fract, g.fract.y, h.whole.y)); bits.x |= bitcast<u32>(-1i) >> 31u;
    bits.y = u32(g.exp.z) + u32(TABLE[K % 6]) + BIG;
    let arr = made(i)[i % 3u];
    out[i] = bits.x + bits.y + bits.z + dots + u32(un.x) + u32(fl.w) + (*p)[1] + p.z + chosen.y + u32(det)
        + early(i + 3u) + arr.y + u32(any(dyn)) + countLeadingZeros(i) + firstLeadingBit(i) + reverseBits(i)
        + u32(i32(i) % -3) + u32(ldexp(1.5, 3i)) + u32(sign(-2i)) + arrayLength(&more) + u32(dyn.w && i > 2u || !dyn.x);
}
