//! The WGSL that the differential test runs: every built-in function of function bodies, every form of control flow.
//!
//! `(name, module scope, body)`. A body sees `g: u32` (the invocation), `x y z: f32`, `i j: i32`, `u v: u32`, the read-only
//! arrays `floats` and `words`, and writes `f: vec2<f32>` and `w: vec2<u32>`. What is stored as f32 is compared with any
//! NaN equal to any other; so no body may bring the bits of a NaN into w.

pub(super) const SNIPPETS: &[(&str, &str, &str)] = &[
    ("float arithmetic", "", "f = vec2(x * y + z, x / y - z); w = vec2(u32(-x > y), u32(x % y == z));"),
    ("remainder", "", "f = vec2(x % y, z % (x * 0.001));"),
    ("comparisons", "", "
        w.x = u32(x == y) | u32(x != y) << 1u | u32(x < y) << 2u | u32(x <= y) << 3u | u32(x > y) << 4u | u32(x >= y) << 5u;
        w.y = u32(i < j) | u32(i <= j) << 1u | u32(u < v) << 2u | u32(u >= v) << 3u | u32(i == j) << 4u | u32(u != v) << 5u;"),
    ("rounding", "", "f = vec2(floor(x) + ceil(y), round(z)); f += vec2(trunc(x), fract(y));"),
    ("sign and magnitude", "", "f = vec2(abs(x) * sign(y), saturate(z)); w = vec2(u32(abs(i)), u32(sign(j)));"),
    ("min max clamp", "", "f = vec2(min(x, y), max(y, z)); f.x += clamp(z, min(x, y), max(x, y));
        w = vec2(u32(clamp(i, min(j, 5), 900)), min(max(u, v), 77u));"),
    ("roots", "", "f = vec2(sqrt(abs(x)), inverseSqrt(y));"),
    ("exponentials", "", "f = vec2(exp(x), exp2(y));"),
    ("logarithms", "", "f = vec2(log(x), log2(abs(y)));"),
    ("powers", "", "f = vec2(pow(x, 2.0), pow(abs(y), z));"),
    ("sin cos", "", "f = vec2(sin(x), cos(y));"),
    ("tan", "", "f = vec2(tan(x), tan(y * 1e6));"),
    ("inverse trigonometric", "", "f = vec2(asin(x), acos(y)); f += vec2(atan(z), atan2(x, y));"),
    ("hyperbolic", "", "f = vec2(sinh(x), cosh(y)); f.y += tanh(z);"),
    ("inverse hyperbolic", "", "f = vec2(asinh(x), acosh(y)); f.x -= atanh(z);"),
    ("angles", "", "f = vec2(degrees(x), radians(y));"),
    ("interpolation", "", "f = vec2(mix(x, y, z), smoothstep(x, y, z)); f.x += step(x, y);"),
    ("fma", "", "f = vec2(fma(x, y, z), fma(-x, x, y));"),
    ("frexp ldexp modf", "", "let a = frexp(x); let m = modf(y); f = vec2(a.fract, m.fract + m.whole);
        w = vec2(u32(a.exp), 0u); f.x += ldexp(z, i % 200);"),
    ("select and logic", "", "let p = x < y; let q = i < j; f = vec2(select(x, y, p && q), select(z, x, p != q));
        w = vec2(u32(p | q), u32((p & !q) || !p));"),
    ("vector geometry", "", "let a = vec3(x, y, z); let b = vec3(z, x, 1.0);
        f = vec2(dot(a, b) + length(a), distance(a, b)); f += cross(a, b).xy + normalize(b).yz;"),
    ("reflection", "", "let n = normalize(vec2(y, 1.0)); f = reflect(vec2(x, z), n) + refract(vec2(x, 0.5), n, 0.7);
        f -= faceForward(n, vec2(x, y), vec2(z, x));"),
    ("swizzles", "", "var a = vec4(x, y, z, 1.0); a.x = a.w; let s = a.zyx; f = s.xy * a.ww + a.yy; a = a.wzyx;
        f += vec4(a.xy, f).zw;"),
    ("vector logic", "", "let p = vec3(x, y, z) < vec3(y, z, x); w = vec2(u32(all(p)), u32(any(p)));
        f = select(vec2(x, y), vec2(z), p.xy);"),
    ("dynamic vector components", "", "var a = vec4(x, y, z, 0.5); f.x = a[u & 3u]; a[v & 3u] = 2.0; f.y = a[i & 3];
        var b = vec3<u32>(u, v, 3u); b[(u >> 4u) % 3u] += 9u; w = b.xz;"),
    ("matrices", "", "let m = mat2x3(x, y, z, 1.0, x, y); let t = transpose(m); let p = m * t; f = (vec3(x, y, z) * m)
        + vec2(determinant(mat3x3(p[0], p[1], vec3(x, 1.0, z))), 0.0); f += (t * vec3(1.0, z, x)) * 0.5;"),
    ("dynamic matrix columns", "", "var m = mat3x2(x, y, z, 1.0, 2.0, x); m[u % 3u] = vec2(z, x); m[1][v & 1u] += y;
        f = m[(v >> 3u) % 3u] + (m * 2.0)[0];"),
    ("integer arithmetic", "", "w = vec2(u32(i * j + (i - j)), u * v - u + v); w ^= vec2(u32(i / j), u / v);
        w += vec2(u32(i % j), u % v); w.x -= u32(-i);"),
    ("division by constants", "", "w = vec2(u32(i / 7 + i % -3 + j / 0x40000000), u / 10u + u % 1000u); w.x ^= u32(i / -1);"),
    ("shifts", "", "w = vec2(u << (v & 31u), u32(i >> (v % 32u))); w ^= vec2(u >> 3u, u32(j << 5u));"),
    ("bits", "", "w = vec2(countOneBits(u) + countLeadingZeros(v), reverseBits(u) ^ ~v); w.x += countTrailingZeros(v);
        w.y ^= firstLeadingBit(u) + u32(firstLeadingBit(i)) * 3u + firstTrailingBit(v);"),
    ("bit fields", "", "w = vec2(extractBits(u, v % 40u, u % 40u), insertBits(u, v, u % 33u, v & 31u));
        w.x += u32(extractBits(i, v & 31u, u & 31u));"),
    ("conversions", "", "w = vec2(u32(x), u32(i32(y))); f = vec2(f32(u), f32(i)); w.x += u32(bool(u)); f.x += f32(x < y);"),
    ("bitcasts", "", "let b = bitcast<u32>(select(x, 0.0, x != x)); w = vec2(b, u32(bitcast<i32>(b) >> 3u));
        f.x = bitcast<f32>(b ^ 0x80000000u);"),
    ("packing", "", "let a = vec4(x, y, z, 0.25); let s = select(a, vec4(0.0), a != a);
        w = vec2(pack4x8snorm(s), pack4x8unorm(s)); w ^= vec2(pack2x16snorm(s.xy), pack2x16unorm(s.zw));
        w.x += pack2x16float(s.yz);"),
    ("unpacking", "", "f = unpack2x16float(u & 0x7bff7bffu) + unpack2x16snorm(v) * unpack2x16unorm(u);
        f += unpack4x8snorm(u).xw - unpack4x8unorm(v).yz; f.y = quantizeToF16(x);"),
    ("packed integers", "", "w = vec2(u32(dot4I8Packed(u, v)), dot4U8Packed(u, v)); let a = unpack4xI8(u);
        w ^= vec2(pack4xI8(a), pack4xU8(unpack4xU8(v))); w.x += pack4xI8Clamp(a * 3) ^ pack4xU8Clamp(vec4(v >> 24u) * 2u);"),
    ("integer dot", "", "w = vec2(u32(dot(vec3(i, j, 3), vec3(j, 2, i))), dot(vec2(u, v), vec2(v, 5u)));"),
    ("if chains", "", "if x < 0.0 { f.x = 1.0; if y < 0.0 { f.y = 2.0; } else { w.x = u; } }
        else if x < 1.0 { f.x = y; w.y = v; } else { f = vec2(z, x); }"),
    ("short circuit", "var<private> count: u32; fn bump(p: bool) -> bool { count++; return p; }", "
        if bump(x < y) && bump(i < j) || bump(u < v) { f.x = 1.0; } w.x = count; w.y = u32(bump(true) || bump(false)) + count;"),
    ("switch", "", "switch i & 7 { case 0 { w.x = 1u; } case 1, 5 { w.x = 2u; if u > v { break; } w.y = 7u; }
        default { w.x = 3u; } case 6: { w.y = u; } } switch u % 3u { case 0u, default { f.x = x; } case 1u { f.x = y; } }"),
    ("switch in a loop", "", "for (var k = 0u; k < (u & 15u); k++) { switch (k + v) % 5u { case 0u { continue; }
        case 1u { w.x += k; break; } case 2u { w.y += 1u; } default { w.x ^= v; } } w.y += 100u; }"),
    ("for", "", "for (var k = 0; k < (i & 31); k += 2) { f.x += x * f32(k); if k > 20 { break; } }
        for (var k = u & 7u; k > 0u; k--) { w.x = w.x * 31u + k; }"),
    ("while", "", "var n = u & 0xffffu; while n > 1u { if n % 2u == 0u { n /= 2u; } else { n = (n * 3u + 1u) & 0xffffu; }
        w.x++; if w.x > 300u { break; } } w.y = n;"),
    ("loop continuing", "", "var k = 0u; loop { if k % 3u == u % 3u { continue; } if k == v % 50u { break; } w.x += k;
        continuing { k++; w.y ^= k * u; break if k > 60u; } }"),
    ("nested loops", "", "for (var a = 0u; a < (u & 7u); a++) { var b = 0u; loop { b++; if b > (v & 7u) { break; }
        if (a ^ b) == 3u { continue; } for (var c = 0u; c < b; c++) { if c + a > 6u { break; } w.x += c * a; } w.y += b; } }"),
    ("early return", "", "if x < y { out(1u, f, w); return; } f.x = x; for (var k = 0u; k < 20u; k++) { w.x += k;
        if k == (u & 31u) { f.y = z; out(0u, f, w); return; } } w.y = 9u;"),
    ("return inside a called loop", "fn find(p: u32, q: u32) -> u32 { for (var a = 0u; a < 9u; a++) { for (var b = 0u; b < 9u; b++)
        { if a * b == p { return a * 10u + b; } if b > q { break; } } } return 99u; }",
        "w = vec2(find(u % 64u, v % 9u), find(v % 70u, 9u)); if find(u & 15u, 3u) > 50u { f.x = x; }"),
    ("calls within calls", "fn sq(a: f32) -> f32 { return a * a; } fn hyp(a: f32, b: f32) -> f32 { if a > b { return sqrt(sq(a) + sq(b)); }
        return hyp2(b, a); }
        fn hyp2(a: f32, b: f32) -> f32 { return abs(a) + sq(b); }", "f = vec2(hyp(x, y), hyp(sq(z), x));"),
    ("pointers", "fn add(p: ptr<function, u32>, n: u32) { *p += n; if n > 9u { return; } *p *= 2u; }
        fn swap(a: ptr<function, vec2<f32>>) { let t = (*a).x; (*a).x = (*a).y; (*a).y = t; }",
        "var n = u; add(&n, v & 15u); add(&n, 3u); w.x = n; var a = vec2(x, y); swap(&a); f = a; let q = &w; (*q).y = n ^ u;"),
    ("local arrays", "", "var a = array<u32, 8>(); for (var k = 0u; k < 16u; k++) { a[(k * u) % 8u] += k; } w.x = a[v % 8u];
        var b = array(x, y, z); b[u % 3u] = 7.0; f = vec2(b[v % 3u], b[0] + b[2]); let c = array(3u, 1u, 4u, 1u, 5u); w.y = c[u % 5u];"),
    ("arrays out of bounds", "", "var a = array<u32, 5>(9u, 8u, 7u, 6u, 5u); w.x = u32(a[min(u, 4u)] > 4u);
        f.x = select(0.0, floats[min(u, arrayLength(&floats) - 1u)], u < 1000u); w.y = arrayLength(&words);"),
    ("nested arrays and structs", "struct In { a: vec2<f32>, b: array<u32, 3> } struct Pair { left: In, right: In, n: i32 }
        fn make(q: f32, n: u32) -> In { return In(vec2(q, 1.0), array(n, n + 1u, n * 2u)); }",
        "var p = Pair(make(x, u), make(y, v), i); p.left.b[u % 3u] = 77u; p.right = p.left; p.right.a.y = z; var t = array<Pair, 2>();
        t[v & 1u] = p; f = t[0].right.a + t[1].left.a; w = vec2(t[v & 1u].left.b[2], u32(t[u & 1u].n));"),
    ("arrays of vectors", "", "var a = array<vec3<f32>, 4>(); a[u & 3u] = vec3(x, y, z); a[1].y += 1.0; a[v & 3u][u % 3u] = 5.0;
        f = a[(u + v) & 3u].xz + a[1].yy;"),
    ("gathers", "", "f = vec2(floats[u % arrayLength(&floats)], floats[(g * 7u) % 37u]); w = vec2(words[v % 37u], words[g % 37u]);"),
    ("constants", "const N = 5; const T = array<f32, N>(0.5, 1.5, 2.5, 3.5, 4.5); const_assert N == 5; alias Real = f32;",
        "f = vec2(T[u % 5u], T[N - 1] * Real(N)); w.x = u * u32(N);"),
    ("private variables", "var<private> acc: vec2<f32> = vec2(1.0, 2.0); var<private> hits: array<u32, 4>;
        fn hit(k: u32) { hits[k & 3u] += 1u; acc *= 1.5; }", "hit(u); hit(v); hit(u + v); if x > y { hit(1u); } f = acc;
        w = vec2(hits[u & 3u], hits[1]);"),
    ("compound assignment", "", "w = vec2(u, v); w.x += 3u; w.y *= w.x; w.x ^= w.y; w.y |= 1u; w.x &= 0xffff0fu; w.y <<= 3u; w.x >>= 1u;
        w.x /= 3u; w.y %= 1000u; w.x -= 9u; f = vec2(x); f *= y; f -= 1.0; f /= vec2(z, 2.0);"),
    ("shadowing and uniform branches", "", "let n = arrayLength(&words); if n > 5u { let x = y * 2.0; f.x = x; } else { f.x = z; }
        { var u = u * 2u; u += 1u; w.x = u; } w.y = u; for (var k = 0u; k < n; k += 9u) { f.y += floats[k]; }"),
    ("logistic map", "", "var s = abs(fract(x)); if !(s >= 0.0) { s = 0.5; } for (var k = 0; k < 50; k++) { s = 3.7 * s * (1.0 - s); } f.x = s;"),
    ("mandelbrot", "", "let c = clamp(vec2(x, y), vec2(-2.0), vec2(2.0)); var q = vec2(0.0); var k = 0u;
        while k < 60u && dot(q, q) <= 4.0 { q = vec2(q.x * q.x - q.y * q.y, 2.0 * q.x * q.y) + c; k++; } w.x = k; f = q;"),
    ("places in the index space", "", "w = vec2(g, li); f = vec2(f32(wg.x), f32(g / 64u)); if li == 5u { w.x = 0u; }"),
];
