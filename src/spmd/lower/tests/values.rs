//! Operators, conversions, matrices and built-in functions, each against numbers worked out by hand or by Rust.

use super::{floats, map_i32, map_u32, run, words};

/// Each expression's value as the bits of an f32, a u32 or an i32; the arguments pass through a private variable first, so
/// that naga cannot compute them itself.
fn each_word(declarations: &str, expressions: &[&str]) -> Vec<u32> {
    let mut body = String::new();
    for (at, expression) in expressions.iter().enumerate() {
        body += &format!("out[{at}] = bitcast<u32>({expression});\n");
    }
    let hidden = "
        var<private> zeroi: i32; var<private> zerou: u32;
        fn f(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) ^ zerou); }
        fn i(x: i32) -> i32 { return x + zeroi; }
        fn u(x: u32) -> u32 { return x + zerou; }";
    words(&format!("{hidden} {declarations}"), &body, expressions.len())
}

fn check_floats(cases: &[(&str, f32)]) {
    let got = each_word("", &cases.iter().map(|case| case.0).collect::<Vec<_>>());
    for ((expression, expected), got) in cases.iter().zip(got) {
        assert_eq!(
            f32::from_bits(got).to_bits(),
            expected.to_bits(),
            "{expression}: {} for {expected}",
            f32::from_bits(got)
        );
    }
}

fn check_words(cases: &[(&str, u32)]) {
    let got = each_word("", &cases.iter().map(|case| case.0).collect::<Vec<_>>());
    for ((expression, expected), got) in cases.iter().zip(got) {
        assert_eq!(got, *expected, "{expression}: {got:#x} for {expected:#x}");
    }
}

fn i(number: i32) -> u32 {
    number.cast_unsigned()
}

#[test]
fn float_operators() {
    let nan = f32::NAN;
    check_floats(&[
        ("f(1.5) + f(2.25)", 3.75),
        ("f(1.5) - f(2.25)", -0.75),
        ("f(0.1) * f(3.0)", 0.1 * 3.0),
        ("f(1.0) / f(3.0)", 1.0 / 3.0),
        ("f(-7.5) % f(2.0)", -1.5),
        ("-f(0.0)", -0.0),
        ("f(16777216.0) + f(1.0) - f(16777216.0)", 0.0),
    ]);
    check_words(&[
        ("u32(f(1.0) < f(2.0))", 1),
        ("u32(f(2.0) > f(1.0))", 1),
        ("u32(f(2.0) >= f(2.0))", 1),
        ("u32(f(2.0) <= f(1.0))", 0),
        ("u32(f(0.0) == -f(0.0))", 1),
        ("u32(f(1.0) != f(2.0))", 1),
    ]);
    assert!(f32::from_bits(each_word("", &["f(0.0) / f(0.0)"])[0]).is_nan() && nan.is_nan());
}

#[test]
fn integer_operators() {
    check_words(&[
        ("i(-7) / i(2)", i(-3)),
        ("i(-7) % i(2)", i(-1)),
        ("i(7) / i(0)", 7),
        ("i(7) % i(0)", 0),
        ("i(-2147483647 - 1) / i(-1)", i(i32::MIN)),
        ("i(-2147483647 - 1) % i(-1)", 0),
        ("u(7) / u(0)", 7),
        ("u(7) % u(0)", 0),
        ("u(4294967295) / u(2)", 0x7FFF_FFFF),
        ("u(4294967295) + u(2)", 1),
        ("i(65536) * i(65536)", 0),
        ("-i(-2147483647 - 1)", i(i32::MIN)),
        ("~u(5)", !5),
        ("u(6) & u(3)", 2),
        ("u(6) | u(3)", 7),
        ("u(6) ^ u(3)", 5),
        ("u(1) << u(33)", 2),
        ("i(-8) >> u(33)", i(-4)),
        ("u(4294967288) >> u(1)", 0x7FFF_FFFC),
        ("u32(i(-1) < i(0))", 1),
        ("u32(u(4294967295) < u(0))", 0),
        ("u32(i(-1) >= i(0))", 0),
        ("u32(u(4294967295) >= u(0))", 1),
    ]);
}

#[test]
fn bool_operators_and_vectors_of_bool() {
    let f = "fn f(i: u32) -> u32 {
        let a = (i & 1u) == 1u; let b = (i & 2u) == 2u;
        let v = vec2<bool>(a, b); let w = vec2<bool>(b, true);
        return u32(a & b) + u32(a | b) * 2u + u32(a != b) * 4u + u32(a == b) * 8u + u32(!a) * 16u
            + u32(all(v)) * 32u + u32(any(v)) * 64u + u32(all(v == w)) * 128u + u32(any(v & w)) * 256u
            + u32(all(!v)) * 512u + u32(select(v, w, a).x) * 1024u + select(1u, 2u, b) * 2048u
            + dot(select(vec2<u32>(1u), vec2<u32>(3u, 5u), v), vec2<u32>(1u, 1u)) * 8192u;
    }";
    let expected: Vec<u32> = (0..4_u32)
        .map(|i| {
            let (a, b) = (i & 1 == 1, i & 2 == 2);
            let bit = |truth: bool, place: u32| u32::from(truth) << place;
            let sum = if a { 3 } else { 1 } + if b { 5 } else { 1 };
            bit(a && b, 0)
                + bit(a || b, 1)
                + bit(a != b, 2)
                + bit(a == b, 3)
                + bit(!a, 4)
                + bit(a && b, 5)
                + bit(a || b, 6)
                + bit(a == b && b, 7)
                + bit(b, 8)
                + bit(!a && !b, 9)
                + bit(if a { b } else { a }, 10)
                + (1 + u32::from(b)) * 2048
                + sum * 8192
        })
        .collect();
    assert_eq!(map_u32(f, "f(i)", 4), expected);
}

#[test]
fn conversions() {
    check_words(&[
        ("i32(f(-2.7))", i(-2)),
        ("i32(f(1e20))", 0x7FFF_FF80),
        ("i32(f(-1e20))", i(i32::MIN)),
        ("u32(f(-3.0))", 0),
        ("u32(f(3.99))", 3),
        ("u32(f(1e20))", 0xFFFF_FF00),
        ("i32(f(0.0) / f(0.0))", 0),
        ("u32(i(-1))", u32::MAX),
        ("i32(u(4294967295))", u32::MAX),
        ("u32(bool(f(0.5)))", 1),
        ("u32(bool(-f(0.0)))", 0),
        ("u32(bool(i(-3)))", 1),
        ("bitcast<i32>(f(1.0))", 0x3F80_0000),
        ("bitcast<u32>(f(-0.0))", 0x8000_0000),
        ("i32(u(3) > u(2))", 1),
    ]);
    check_floats(&[
        ("f32(i(-16777217))", -16_777_216.0),
        ("f32(u(4294967295))", 4_294_967_296.0),
        ("f32(i(3) == 3)", 1.0),
        ("bitcast<f32>(u(0x40490fdb))", std::f32::consts::PI),
        ("vec3<f32>(vec3<i32>(i(1), i(-2), 3)).y", -2.0),
        ("bitcast<vec2<f32>>(vec2<u32>(1u, u(0x3f800000))).y", 1.0),
    ]);
}

#[test]
fn swizzles_and_composition() {
    let body = "var v = vec4<f32>(vec2<f32>(1.0, 2.0), 3.0, 4.0); let w = v.wzyx; let t = v.rrg;
        out[0] = w.x; out[1] = w.w; out[2] = t.y + t.z; out[3] = vec3<f32>(v.yz, 9.0).y; out[4] = vec2<f32>(7.0).y;
        v = v.yxwz; out[5] = v.x * 10.0 + v.w; out[6] = (v * 2.0 + vec4<f32>(1.0)).z; out[7] = (10.0 - v).x;";
    assert_eq!(floats("", body, 8), [4.0, 1.0, 3.0, 3.0, 7.0, 23.0, 9.0, 8.0]);
}

#[test]
fn matrix_arithmetic() {
    // Columns (1, 2), (3, 4), (5, 6): 3 columns of 2 rows.
    let body = "var m = mat3x2<f32>(1.0, 2.0, 3.0, 4.0, 5.0, 6.0); var v = vec3<f32>(1.0, 10.0, 100.0); var w = vec2<f32>(1.0, 10.0);
        let a = m * v; out[0] = a.x; out[1] = a.y;
        let b = w * m; out[2] = b.x; out[3] = b.y; out[4] = b.z;
        let t = transpose(m); out[5] = t[0].z; out[6] = t[1].x;
        let p = m * t; out[7] = p[0][0]; out[8] = p[0][1]; out[9] = p[1][0]; out[10] = p[1][1];
        let q = m + m * 2.0 - 1.0 * m; out[11] = q[2].y;
        let s = t * m; out[12] = s[2][0]; out[13] = s[0][2]; out[14] = s[1][1];
        var n = m * -1.0; n[1] += w; out[15] = n[1].x; out[16] = n[1].y; n *= 3.0; out[17] = n[0].x;";
    assert_eq!(
        floats("", body, 18),
        [
            531.0, 642.0, 21.0, 43.0, 65.0, 5.0, 2.0, 35.0, 44.0, 44.0, 56.0, 12.0, 17.0, 17.0, 25.0, -2.0,
            6.0, -3.0
        ]
    );
}

#[test]
fn determinants() {
    let body = "var a = mat2x2<f32>(1.0, 2.0, 3.0, 5.0); var b = mat3x3<f32>(2.0, -1.0, 0.0, 1.0, 3.0, 4.0, -2.0, 5.0, 7.0);
        var c = mat4x4<f32>(1.0, 2.0, 0.0, 3.0, -1.0, 4.0, 2.0, 1.0, 0.0, 5.0, 1.0, -2.0, 3.0, 1.0, 6.0, 2.0);
        out[0] = determinant(a); out[1] = determinant(b); out[2] = determinant(c); out[3] = determinant(transpose(c));";
    // b by its first column: 2 (21 - 20) + 1 (7 + 8) + 0 = 17.
    // c by permutations, in integers.
    let m = [[1, 2, 0, 3], [-1, 4, 2, 1], [0, 5, 1, -2], [3, 1, 6, 2_i32]];
    let mut c = 0;
    for p in 0..256 {
        let p = [p & 3, p >> 2 & 3, p >> 4 & 3, p >> 6 & 3];
        let pairs = || (0..4).flat_map(|i| (i + 1..4).map(move |j| (i, j)));
        if pairs().all(|(i, j)| p[i] != p[j]) {
            let swaps = pairs().filter(|&(i, j)| p[i] > p[j]).count();
            let product: i32 = (0..4).map(|i| m[i][p[i]]).product();
            c += if swaps % 2 == 0 { product } else { -product };
        }
    }
    assert_eq!(floats("", body, 4), [-1.0, 17.0, c as f32, c as f32]);
}

#[test]
fn common_functions() {
    check_floats(&[
        ("abs(f(-2.5))", 2.5),
        ("min(f(1.0), f(2.0))", 1.0),
        ("max(f(1.0), f(2.0))", 2.0),
        ("clamp(f(5.0), f(1.0), f(2.0))", 2.0),
        ("clamp(f(-5.0), f(1.0), f(2.0))", 1.0),
        ("saturate(f(1.5))", 1.0),
        ("saturate(f(-1.5))", 0.0),
        ("sign(f(-3.0))", -1.0),
        ("sign(f(3.0))", 1.0),
        ("sign(-f(0.0))", 0.0),
        ("fract(f(-1.25))", 0.75),
        ("floor(f(-1.25))", -2.0),
        ("ceil(f(-1.25))", -1.0),
        ("trunc(f(-1.75))", -1.0),
        ("round(f(2.5))", 2.0),
        ("round(f(-3.5))", -4.0),
        ("step(f(1.0), f(1.0))", 1.0),
        ("step(f(1.5), f(1.0))", 0.0),
        ("mix(f(2.0), f(6.0), f(0.25))", 3.0),
        ("mix(vec2<f32>(f(2.0), 1.0), vec2<f32>(6.0, 3.0), f(0.5)).y", 2.0),
        ("mix(vec2<f32>(f(2.0), 1.0), vec2<f32>(6.0, 3.0), vec2<f32>(0.0, 1.0)).y", 3.0),
        ("smoothstep(f(1.0), f(3.0), f(2.0))", 0.5),
        ("smoothstep(f(1.0), f(3.0), f(1.5))", 0.0625 * (3.0 - 0.5)),
        ("smoothstep(f(1.0), f(3.0), f(9.0))", 1.0),
        ("fma(f(2.0), f(3.0), f(4.0))", 10.0),
        ("sqrt(f(2.0))", 2.0_f32.sqrt()),
        ("inverseSqrt(f(4.0))", 0.5),
        ("radians(f(1.0))", 1.0_f32.to_radians()),
        ("degrees(f(1.0))", 57.295_78),
        ("quantizeToF16(f(1.0009766))", 1.000_976_6),
        ("quantizeToF16(f(2049.0))", 2048.0),
        ("ldexp(f(1.5), i(4))", 24.0),
        ("frexp(f(6.0)).fract", 0.75),
        ("modf(f(-1.75)).fract", -0.75),
        ("modf(f(-1.75)).whole", -1.0),
        ("modf(vec2<f32>(f(1.5), f(2.25))).fract.y", 0.25),
        ("modf(vec2<f32>(f(1.5), f(2.25))).whole.y", 2.0),
        ("frexp(vec2<f32>(f(1.0), f(10.0))).fract.y", 0.625),
    ]);
    check_words(&[
        ("frexp(f(6.0)).exp", 3),
        ("frexp(vec2<f32>(f(1.0), f(10.0))).exp.y", 4),
        ("abs(i(-2147483647 - 1))", i(i32::MIN)),
        ("abs(i(-5))", 5),
        ("abs(u(4294967295))", u32::MAX),
        ("min(i(-1), i(1))", i(-1)),
        ("max(u(4294967295), u(1))", u32::MAX),
        ("min(u(4294967295), u(1))", 1),
        ("clamp(i(-9), i(-3), i(3))", i(-3)),
        ("clamp(u(9), u(3), u(5))", 5),
        ("sign(i(-9))", i(-1)),
        ("sign(i(0))", 0),
        ("sign(i(9))", 1),
    ]);
}

/// The polynomials' accuracy is tested where they are; here only that each name reaches its function: values are far
/// enough apart that 1e-4 tells them from each other.
#[test]
fn transcendental_functions_are_what_their_names_say() {
    let x = 0.4_f32;
    let cases: [(&str, f32); 18] = [
        ("sin(f(0.4))", x.sin()),
        ("cos(f(0.4))", x.cos()),
        ("tan(f(0.4))", x.tan()),
        ("asin(f(0.4))", x.asin()),
        ("acos(f(0.4))", x.acos()),
        ("atan(f(0.4))", x.atan()),
        ("sinh(f(0.4))", x.sinh()),
        ("cosh(f(0.4))", x.cosh()),
        ("tanh(f(0.4))", x.tanh()),
        ("asinh(f(0.4))", x.asinh()),
        ("acosh(f(1.4))", 1.4_f32.acosh()),
        ("atanh(f(0.4))", x.atanh()),
        ("exp(f(0.4))", x.exp()),
        ("exp2(f(0.4))", x.exp2()),
        ("log(f(0.4))", x.ln()),
        ("log2(f(0.4))", x.log2()),
        ("pow(f(0.4), f(3.0))", x.powf(3.0)),
        ("atan2(f(0.4), f(-3.0))", x.atan2(-3.0)),
    ];
    let got = each_word("", &cases.map(|case| case.0));
    for ((name, expected), got) in cases.iter().zip(got) {
        let got = f32::from_bits(got);
        assert!((got - expected).abs() < 1e-4, "{name}: {got} for {expected}");
    }
}

#[test]
fn geometry() {
    check_floats(&[
        ("dot(vec3<f32>(f(1.0), 2.0, 3.0), vec3<f32>(4.0, 5.0, 6.0))", 32.0),
        ("length(vec2<f32>(f(3.0), 4.0))", 5.0),
        ("length(f(-3.0))", 3.0),
        ("distance(vec2<f32>(f(3.0), 4.0), vec2<f32>(0.0, 0.0))", 5.0),
        ("distance(f(3.0), f(5.0))", 2.0),
        ("normalize(vec2<f32>(f(3.0), 4.0)).y", 0.8),
        ("cross(vec3<f32>(f(1.0), 2.0, 3.0), vec3<f32>(4.0, 5.0, 7.0)).x", -1.0),
        ("cross(vec3<f32>(f(1.0), 2.0, 3.0), vec3<f32>(4.0, 5.0, 7.0)).y", 5.0),
        ("cross(vec3<f32>(f(1.0), 2.0, 3.0), vec3<f32>(4.0, 5.0, 7.0)).z", -3.0),
        ("faceForward(vec2<f32>(f(1.0), 2.0), vec2<f32>(1.0, 0.0), vec2<f32>(1.0, 0.0)).y", -2.0),
        ("faceForward(vec2<f32>(f(1.0), 2.0), vec2<f32>(-1.0, 0.0), vec2<f32>(1.0, 0.0)).y", 2.0),
        ("reflect(vec2<f32>(f(1.0), -2.0), vec2<f32>(0.0, 1.0)).y", 2.0),
        ("reflect(vec2<f32>(f(1.0), -2.0), vec2<f32>(0.0, 1.0)).x", 1.0),
        ("refract(vec2<f32>(f(0.0), -1.0), vec2<f32>(0.0, 1.0), f(0.5)).y", -1.0),
        ("refract(vec2<f32>(f(1.0), 0.0), vec2<f32>(0.0, 1.0), f(2.0)).x", 0.0),
        ("refract(vec2<f32>(f(0.6), -0.8), vec2<f32>(0.0, 1.0), f(1.0)).x", 0.6),
    ]);
    check_words(&[("dot(vec2<i32>(i(3), 4), vec2<i32>(-2, 5))", 14)]);
}

#[test]
fn bit_functions() {
    check_words(&[
        ("countOneBits(u(0xF0F0))", 8),
        ("countOneBits(i(-1))", 32),
        ("countLeadingZeros(u(1))", 31),
        ("countLeadingZeros(i(0))", 32),
        ("countTrailingZeros(u(8))", 3),
        ("countTrailingZeros(u(0))", 32),
        ("reverseBits(u(1))", 0x8000_0000),
        ("firstLeadingBit(u(0))", u32::MAX),
        ("firstLeadingBit(u(0x80000000))", 31),
        ("firstLeadingBit(i(-1))", u32::MAX),
        ("firstLeadingBit(i(0))", u32::MAX),
        ("firstLeadingBit(i(-2))", 0),
        ("firstLeadingBit(i(5))", 2),
        ("firstLeadingBit(i(-2147483647 - 1))", 30),
        ("firstTrailingBit(u(0))", u32::MAX),
        ("firstTrailingBit(i(-8))", 3),
        ("extractBits(u(0xABCD1234), u(8), u(8))", 0x12),
        ("extractBits(i(0x0000F000), u(12), u(4))", i(-1)),
        ("extractBits(u(0xABCD1234), u(28), u(99))", 0xA),
        ("extractBits(i(-1), u(28), u(99))", i(-1)),
        ("extractBits(u(0xABCD1234), u(0), u(32))", 0xABCD_1234),
        ("extractBits(u(0xABCD1234), u(32), u(4))", 0),
        ("extractBits(u(0xABCD1234), u(5), u(0))", 0),
        ("extractBits(u(0xABCD1234), u(4294967295), u(4294967295))", 0),
        ("insertBits(u(0xFFFFFFFF), u(0), u(8), u(8))", 0xFFFF_00FF),
        ("insertBits(u(0), u(0xABC), u(4), u(8))", 0xBC0),
        ("insertBits(i(0), i(-1), u(28), u(99))", 0xF000_0000),
        ("insertBits(u(7), u(0xABC), u(0), u(32))", 0xABC),
        ("insertBits(u(7), u(0xABC), u(40), u(2))", 7),
        ("insertBits(u(7), u(0xABC), u(4), u(0))", 7),
    ]);
}

#[test]
fn packing() {
    check_words(&[
        ("pack4x8snorm(vec4<f32>(f(1.0), -1.0, 0.0, 2.0))", 0x7F00_817F),
        ("pack4x8unorm(vec4<f32>(f(1.0), -1.0, 0.5, 2.0))", 0xFF80_00FF),
        ("pack2x16snorm(vec2<f32>(f(1.0), -0.5))", 0xC001_7FFF),
        ("pack2x16unorm(vec2<f32>(f(0.5), 1.0))", 0xFFFF_8000),
        ("pack2x16float(vec2<f32>(f(1.0), -2.0))", 0xC000_3C00),
        ("pack4xI8(vec4<i32>(i(-1), 128, 3, -128))", 0x8003_80FF),
        ("pack4xU8(vec4<u32>(u(257), 2u, 3u, 4u))", 0x0403_0201),
        ("pack4xI8Clamp(vec4<i32>(i(-1), 128, -300, 5))", 0x0580_7FFF),
        ("pack4xU8Clamp(vec4<u32>(u(257), 2u, 3u, 4000000000u))", 0xFF03_02FF),
        ("unpack4xI8(u(0x80FF7F01)).w", i(-128)),
        ("unpack4xI8(u(0x80FF7F01)).z", i(-1)),
        ("unpack4xI8(u(0x80FF7F01)).y", 127),
        ("unpack4xU8(u(0x80FF7F01)).w", 128),
        ("unpack4xU8(u(0x80FF7F01)).x", 1),
        // 1*2 + 127*-1 - 1*3 - 128*-128
        ("dot4I8Packed(u(0x80FF7F01), u(0x8003FF02))", 16384 + 2 - 127 - 3),
        // 1*2 + 127*255 + 255*3 + 128*128
        ("dot4U8Packed(u(0x80FF7F01), u(0x8003FF02))", 2 + 32385 + 765 + 16384),
    ]);
    check_floats(&[
        ("unpack4x8snorm(u(0x8081007F)).x", 1.0),
        ("unpack4x8snorm(u(0x8081007F)).z", -1.0),
        ("unpack4x8snorm(u(0x8081007F)).w", -1.0),
        ("unpack4x8unorm(u(0xFF800033)).x", 0.2),
        ("unpack4x8unorm(u(0xFF800033)).w", 1.0),
        ("unpack2x16snorm(u(0x80007FFF)).x", 1.0),
        ("unpack2x16snorm(u(0x80007FFF)).y", -1.0),
        ("unpack2x16unorm(u(0x3333FFFF)).y", 0.2),
        ("unpack2x16float(u(0xC0003C00)).y", -2.0),
    ]);
}

#[test]
fn module_constants_and_aliases() {
    let declarations = "const A = 3; const B: u32 = A + 4; const V = vec3(1, 2, 3) * A; alias F = f32; struct S { x: u32, y: F }
        const T = S(B, F(A)); const N = array(array(1u, 2u), array(B, 4u)); const M = mat2x2<f32>(1.0, 2.0, 3.0, 4.0);
        fn f(i: u32) -> u32 { const local = B * 2u; return local + T.x + u32(T.y) + u32(V.z) + N[i][1u - i] + u32(M[i].y); }";
    assert_eq!(map_u32(declarations, "f(i)", 2), [14 + 7 + 3 + 9 + 2 + 2, 14 + 7 + 3 + 9 + 7 + 4]);
}

#[test]
fn increments_and_compound_assignment() {
    let body = "var x = 5; x++; x *= 3; x -= 1; x /= 2; x %= 5; x <<= 2u; x >>= 1u; x |= 9; x &= 13; x ^= 1; x--; out[i] = x + i32(i);";
    // 6, 18, 17, 8, 3, 12, 6, 15, 13, 12, 11
    assert_eq!(run("i32", "", body, 2), [11, 12]);
    assert_eq!(map_i32("", "-i32(i) * 3", 3), [0, -3, -6]);
}
