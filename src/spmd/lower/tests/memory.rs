//! Variables, pointers, arrays and buffers.

use super::{POISON, floats, lowered, map_i32, map_u32, run, run_buffers, words};
use crate::spmd::ir::{Binary, Op, Stmt};

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn pointers_to_variables_components_and_elements() {
    let f = "struct S { a: u32, v: vec3<u32>, t: array<u32, 3> }
    fn bump(p: ptr<function, u32>) { *p += 1u; }
    fn third(p: ptr<function, array<u32, 3>>, k: u32) { bump(&(*p)[k]); (*p)[0] = (*p)[k] * 10u; }
    fn all(p: ptr<function, S>, k: u32) { bump(&(*p).a); (*p).v.y = (*p).a; third(&(*p).t, k); (*p).v[k] = 7u; }
    fn f(i: u32) -> u32 {
        var s = S(1u, vec3<u32>(2u, 3u, 4u), array<u32, 3>(5u, 6u, 7u));
        all(&s, i);
        let p = &s.v;
        (*p).z += 1u;
        p.x += 1u;
        return (((s.a * 16u + s.v.x) * 16u + s.v.y) * 16u + s.v.z) * 0x1000u + s.t[0] + s.t[1] + s.t[2];
    }";
    let expected: Vec<u32> = (0..3)
        .map(|i| {
            let (mut v, mut t) = ([2, 2, 4], [5, 6, 7]);
            t[i] += 1;
            t[0] = t[i] * 10;
            v[i] = 7;
            v[2] += 1;
            v[0] += 1;
            (((2 * 16 + v[0]) * 16 + v[1]) * 16 + v[2]) * 0x1000 + t.iter().sum::<u32>()
        })
        .collect();
    assert_eq!(map_u32(f, "f(i)", 3), expected);
}

#[test]
fn only_the_indexed_part_of_a_struct_is_in_memory() {
    let source = "@group(0) @binding(0) var<storage, read_write> out: array<f32>;
        struct S { a: f32, t: array<f32, 9>, v: vec4<f32> }
        fn fill(t: ptr<function, array<f32, 9>>, n: u32) { for (var k = 0u; k < n; k++) { (*t)[k] = 1.0; } }
        @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
            var s: S; var other: array<f32, 9>;
            fill(&s.t, gid.x); s.v[gid.y] = 2.0; s.a = 3.0; other[4] = 5.0;
            out[gid.x] = s.a + s.t[2] + s.t[8] + s.v.x + other[4] + other[5];
        }";
    let program = lowered(source).unwrap();
    assert_eq!(program.locals.len(), 1, "{program}");
    assert_eq!(program.locals[0].words, 9);
    let mut buffers = [vec![POISON; 10]];
    run_buffers(source, &mut buffers, 10);
    assert_eq!(buffers[0], bits(&[10.0, 10.0, 10.0, 11.0, 11.0, 11.0, 11.0, 11.0, 11.0, 12.0]));
}

#[test]
fn structs_are_values() {
    let body = "var a = S(1u, array<u32, 2>(2u, 3u), T(vec2<u32>(4u, 5u), true));
        var b = a; b.t[1] = 30u; b.n.v.y = 50u; b.n.on = false;
        let c = a; a = change(b); let d = array<S, 2>(b, c);
        out[0] = a.x; out[1] = a.t[1]; out[2] = a.n.v.y; out[3] = u32(a.n.on);
        out[4] = b.x; out[5] = c.t[1]; out[6] = u32(c.n.on); out[7] = d[1].n.v.y; out[8] = d[0].n.v.y;";
    let declarations = "struct T { v: vec2<u32>, on: bool } struct S { x: u32, t: array<u32, 2>, n: T }
        fn change(s: S) -> S { var r = s; r.x += 100u; r.n.on = !s.n.on; return r; }";
    assert_eq!(words(declarations, body, 9), [101, 30, 50, 1, 1, 3, 1, 5, 50]);
}

#[test]
fn dynamic_index_by_value() {
    let declarations = "const TABLE = array<u32, 6>(3u, 1u, 4u, 1u, 5u, 9u);
        const FLAGS = array<bool, 5>(true, false, true, true, false);
        fn pick(a: array<u32, 6>, k: u32) -> u32 { return a[k]; }
        fn made(n: u32) -> array<u32, 6> { return array<u32, 6>(n, n + 1u, n + 2u, n + 3u, n + 4u, n + 5u); }
        fn f(i: u32) -> u32 {
            let v = vec4<u32>(i, i * 2u, i * 3u, i * 4u); let m = array<vec2<u32>, 3>(vec2(1u, i), vec2(2u, 5u), vec2(i, 3u));
            let local = array<u32, 6>(i, 0u, 7u, i, 8u, 2u);
            var sum = TABLE[i % 6u];
            for (var k = 0u; k < 4u; k++) { sum = sum * 3u + local[k] + v[k] + m[k % 3u][i % 2u] + made(i)[k] + TABLE[k]; }
            return sum + pick(TABLE, i % 6u) * 1000000u + pick(local, 2u) + u32(FLAGS[i % 5u]);
        }";
    let table = [3_u32, 1, 4, 1, 5, 9];
    let flags = [1, 0, 1, 1, 0];
    let expected: Vec<u32> = (0..13_u32)
        .map(|i| {
            let local = [i, 0, 7, i, 8, 2];
            let m = [[1, i], [2, 5], [i, 3]];
            let mut sum = table[i as usize % 6];
            for k in 0..4_usize {
                let n = k as u32;
                sum = sum * 3 + local[k] + i * (n + 1) + m[k % 3][i as usize % 2] + i + n + table[k];
            }
            sum + table[i as usize % 6] * 1_000_000 + 7 + flags[i as usize % 5]
        })
        .collect();
    assert_eq!(map_u32(declarations, "f(i)", 13), expected);
}

#[test]
fn constant_tables_are_shared_by_all_invocations() {
    let source = |declarations: &str, body: &str| {
        format!(
            "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
             {declarations}
             @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) gid: vec3<u32>) {{
                 let i = gid.x; for (var k = 0u; k < 3u; k++) {{ {body} }}
             }}"
        )
    };
    let array = "array<u32, 8>(1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u)";
    // By value twice, one table; a private variable and one of a function that nobody writes to.
    for (declarations, body) in [
        (
            format!("const T = {array}; fn f(i: u32) -> u32 {{ return T[i & 7u] + {array}[i >> 29u]; }}"),
            "out[i] += f(k);",
        ),
        (format!("var<private> T = {array};"), "out[i] += T[(i + k) & 7u] + T[0] + T[k];"),
        (
            format!("fn f(i: u32) -> u32 {{ var T = {array}; let p = &T; return (*p)[i]; }}"),
            "out[i] += f(k);",
        ),
    ] {
        let program = lowered(&source(&declarations, body)).unwrap();
        assert_eq!((program.tables.len(), program.locals.len()), (1, 0), "{program}");
        assert_eq!(*program.tables[0], [1, 2, 3, 4, 5, 6, 7, 8], "{program}");
    }
    // Written in one place, or by somebody who has a pointer: each invocation has its own.
    for (declarations, body) in [
        (format!("var<private> T = {array};"), "out[i] += T[k]; T[1] = 7u;"),
        (
            format!("var<private> T = {array}; fn put(k: u32) {{ T[k & 7u] += 1u; }}"),
            "out[i] += T[k]; put(i);",
        ),
        (
            format!("fn f(i: u32) -> u32 {{ var T = {array}; T[i] += i; return T[i + 1u]; }}"),
            "out[i] += f(k);",
        ),
        (
            format!(
                "fn put(p: ptr<function, array<u32, 8>>, k: u32) {{ (*p)[k] = k; }}
                     fn f(i: u32) -> u32 {{ var T = {array}; put(&T, i); return T[i + 1u]; }}"
            ),
            "out[i] += f(k);",
        ),
        ("fn f(i: u32) -> u32 { var T: array<u32, 8>; return T[i]; }".to_owned(), "out[i] += f(k);"),
    ] {
        let program = lowered(&source(&declarations, body)).unwrap();
        assert_eq!((program.tables.len(), program.locals.len()), (0, 1), "{program}");
    }
}

#[test]
fn rows_of_a_constant_table_are_not_copied() {
    let declarations =
        "const M = array<array<u32, 5>, 3>(array(1u, 2u, 3u, 4u, 5u), array(6u, 7u, 8u, 9u, 10u),
            array(11u, 12u, 13u, 14u, 15u));
        struct S { rows: array<array<u32, 5>, 3>, k: u32 }
        const SS = array<S, 2>(S(M, 7u), S(M, 9u));
        fn f(i: u32) -> u32 {
            var sum = 0u; var k = 0u;
            loop {
                let row = M[(i + k) % 3u]; let s = SS[i & 1u];
                if k == 1u { continue; }
                sum += s.rows[k % 3u][i % 5u] * 100u + s.k;
                continuing { sum += row[k]; k++; break if k == 4u; }
            }
            return sum + M[i % 3u][(i + 1u) % 5u] * 10000u;
        }";
    let expected: Vec<u32> = (0..17_u32)
        .map(|i| {
            let m = |row: u32, column: u32| row * 5 + column + 1;
            let one = |k: u32| if k == 1 { 0 } else { m(k % 3, i % 5) * 100 + 7 + 2 * (i & 1) };
            let sum: u32 = (0..4).map(|k| one(k) + m((i + k) % 3, k)).sum();
            sum + m(i % 3, (i + 1) % 5) * 10_000
        })
        .collect();
    assert_eq!(map_u32(declarations, "f(i)", 17), expected);
    let program = lowered(&format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
         {declarations}
         @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) gid: vec3<u32>) {{
             out[gid.x] = M[gid.x % 3u][gid.y % 5u] + SS[gid.x & 1u].rows[gid.y % 3u][gid.z % 5u];
         }}"
    ))
    .unwrap();
    assert_eq!((program.tables.len(), program.locals.len()), (2, 0), "{program}");
}

#[test]
fn constant_variables_hold_what_is_written_in_them() {
    let declarations = "struct Row { a: vec2<f32>, on: bool, k: array<i32, 5> }
        var<private> ROWS: array<Row, 3> = array(Row(vec2(1.0, 2.0), true, array(1, 2, 3, 4, 5)),
            Row(vec2(-1.0, 0.5), false, array(-6, 7, 8, 9, 10)), Row());
        fn f(i: u32) -> i32 {
            var own = array<vec3<i32>, 6>(vec3(1), vec3(2), vec3(3, 4, 5), vec3(6), vec3(7), vec3(8, 9, 10));
            let row = ROWS[i % 3u];
            return i32(ROWS[i % 3u].a.y * 10.0 + row.a.x) + select(0, 1000, ROWS[i % 3u].on) + row.k[i % 5u]
                + ROWS[1].k[(i * 2u) % 5u] * 100000 + own[i % 6u].y + own[2][i % 3u];
        }";
    let k = [[1, 2, 3, 4, 5], [-6, 7, 8, 9, 10], [0; 5]];
    let expected: Vec<i32> = (0..31_usize)
        .map(|i| {
            let (a, on) = [(20 + 1, 1000), (5 - 1, 0), (0, 0)][i % 3];
            a + on
                + k[i % 3][i % 5]
                + k[1][i * 2 % 5] * 100_000
                + [1, 2, 4, 6, 7, 9][i % 6]
                + [3, 4, 5][i % 3]
        })
        .collect();
    assert_eq!(map_i32(declarations, "f(i)", 31), expected);
}

#[test]
fn past_the_end_of_a_table_is_nothing_or_its_last_element() {
    let declarations = "const T = array<u32, 7>(1u, 2u, 3u, 4u, 5u, 6u, 7u);
        var<private> M: array<array<u32, 3>, 2> = array(array(1u, 2u, 3u), array(4u, 5u, 6u));
        fn f(i: u32) -> u32 { return T[i * 0x20000001u] * 10u + M[1][i]; }";
    let expected: Vec<u32> = (0..12_u32)
        .map(|i| {
            let t = if i == 0 { 1 } else { 0 };
            t * 10 + [4, 5, 6][i.min(2) as usize]
        })
        .collect();
    assert_eq!(map_u32(declarations, "f(i)", 12), expected);
}

#[test]
fn arrays_of_structs_of_arrays() {
    let f = "struct P { pos: vec3<u32>, on: bool, t: array<array<u32, 3>, 2> }
    fn f(i: u32) -> u32 {
        var ps: array<P, 4>;
        for (var k = 0u; k < 4u; k++) {
            ps[k].pos = vec3<u32>(k, k * k, i);
            ps[k].on = (k & 1u) == 1u;
            for (var j = 0u; j < 6u; j++) { ps[k].t[j / 3u][j % 3u] = j * 10u + k; }
        }
        ps[i % 4u].pos[i % 3u] = 100u;
        let q = ps[(i + 1u) % 4u];
        var sum = 0u;
        for (var k = 0u; k < 4u; k++) {
            let p = &ps[k];
            sum = sum * 5u + p.pos.x + (*p).pos.y + p.pos[2] + u32(p.on) + p.t[1][i % 3u];
        }
        return sum * 16u + q.pos.x + q.t[0][2];
    }";
    let expected: Vec<u32> = (0..12_u32)
        .map(|i| {
            let mut pos: Vec<[u32; 3]> = (0..4).map(|k| [k, k * k, i]).collect();
            pos[i as usize % 4][i as usize % 3] = 100;
            let mut sum = 0_u32;
            for k in 0..4_u32 {
                let own = pos[k as usize].iter().sum::<u32>() + (k & 1) + (3 + i % 3) * 10 + k;
                sum = sum * 5 + own;
            }
            let q = (i + 1) % 4;
            sum * 16 + pos[q as usize][0] + 20 + q
        })
        .collect();
    assert_eq!(map_u32(f, "f(i)", 12), expected);
}

#[test]
fn small_arrays_and_matrices_are_chosen_by_selects() {
    let f = "fn f(i: u32) -> u32 {
        var v = vec4<u32>(1u, 2u, 3u, 4u); var a = array<u32, 3>(5u, 6u, 7u); var m = mat2x2<f32>(1.0, 2.0, 3.0, 4.0);
        v[i % 4u] += 10u; a[i % 3u] *= 2u; m[i % 2u][(i / 2u) % 2u] += 4.0; m[(i + 1u) % 2u] *= 2.0;
        var flags = vec3<bool>(false); flags[i % 3u] = true;
        return (((v.x * 16u + v.y) * 16u + v.z) * 16u + v.w) + a[0] * 65536u * a[1] * a[2]
            + u32(m[0].x + m[0].y * 2.0 + m[1].x * 3.0 + m[1].y * 5.0) + dot(vec3<u32>(flags), vec3<u32>(1u, 2u, 4u));
    }";
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>; {f}
         @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) gid: vec3<u32>) {{ out[gid.x] = f(gid.x); }}"
    );
    assert!(lowered(&source).unwrap().locals.is_empty());
    let expected: Vec<u32> = (0..12_usize)
        .map(|k| {
            let (mut v, mut a, mut m) = ([1, 2, 3, 4_u32], [5, 6, 7_u32], [[1, 2], [3, 4_u32]]);
            v[k % 4] += 10;
            a[k % 3] *= 2;
            m[k % 2][k / 2 % 2] += 4;
            m[(k + 1) % 2].iter_mut().for_each(|x| *x *= 2);
            let packed = ((v[0] * 16 + v[1]) * 16 + v[2]) * 16 + v[3];
            let sum = m[0][0] + m[0][1] * 2 + m[1][0] * 3 + m[1][1] * 5 + (1 << (k % 3));
            packed + a[0] * 65536 * a[1] * a[2] + sum
        })
        .collect();
    assert_eq!(map_u32(f, "f(i)", 12), expected);
}

#[test]
fn private_variables() {
    let declarations =
        "var<private> seed: u32 = 7u; var<private> zero: vec3<f32>; var<private> t: array<u32, 9>;
        const K = 3u; var<private> unused: array<u32, 300000>;
        fn next() -> u32 { seed = seed * 1664525u + 1013904223u; t[seed % 9u] += 1u; return seed >> 16u; }
        fn through(p: ptr<private, u32>) { *p += K; }";
    let body = "out[0] = next(); out[1] = next(); zero.y += 2.0; out[2] = u32(zero.y + zero.x);
        through(&seed); out[3] = seed;
        out[4] = t[0] + t[1] + t[2] + t[3] + t[4] + t[5] + t[6] + t[7] + t[8];";
    let first = 7_u32.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let second = first.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    assert_eq!(words(declarations, body, 5), [first >> 16, second >> 16, 2, second.wrapping_add(3), 2]);
}

/// Every kind of padding. By the WGSL rules, in words: `In` has a at 0, v at 4, b at 7, m at 8 (columns every 4), w at 20,
/// s at 24 (every 4), n at 32, and ends at 36; `All` has head at 0, one at 4, many at 40.
const LAYOUT: &str = "struct In { a: u32, v: vec3<f32>, b: f32, m: mat3x3<f32>, w: vec2<u32>, s: array<vec3<u32>, 2>, n: mat2x2<f32> }
    struct All { head: u32, one: In, many: array<In> }
    @group(0) @binding(1) var<storage, read_write> all: All;";

#[test]
fn buffer_layouts() {
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
         {LAYOUT}
         fn b(x: f32) -> u32 {{ return bitcast<u32>(x); }}
         @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) gid: vec3<u32>) {{
            let i = gid.x;
            out[0] = all.head; out[1] = all.one.a; out[2] = b(all.one.v.z); out[3] = b(all.one.b);
            out[4] = b(all.one.m[1].y); out[5] = b(all.one.m[i + 2u][i + 1u]); out[6] = all.one.w.y;
            out[7] = all.one.s[1].x; out[8] = all.one.s[i].z; out[9] = b(all.one.n[1][0]);
            out[10] = b(all.many[1].m[2].z); out[11] = all.many[i + 2u].s[i + 1u][i + 2u];
            out[12] = arrayLength(&all.many);
            let whole = all.many[i + 1u];
            out[13] = b(whole.v.y); out[14] = b(whole.m[2][0]); out[15] = whole.s[1].y + whole.w.x;
            all.many[i] = all.many[2];
            all.one.v = vec3<f32>(-1.0, -2.0, -3.0);
            all.many[1].m[i] = vec3<f32>(4.0);
            all.many[1].n = transpose(all.many[1].n);
         }}"
    );
    // Three elements, and five words that are no whole one. Floats are small integers' bits: subnormal, but moved exactly.
    let input: Vec<u32> = (0..40 + 36 * 3 + 5).collect();
    let mut buffers = [vec![POISON; 16], input.clone()];
    run_buffers(&source, &mut buffers, 1);
    let one = 4;
    let many = |k: u32| 40 + 36 * k;
    let expected = [
        0,
        one,
        one + 6,
        one + 7,
        one + 8 + 4 + 1,
        one + 8 + 8 + 1,
        one + 21,
        one + 28,
        one + 26,
        one + 34,
        many(1) + 8 + 8 + 2,
        many(2) + 24 + 4 + 2,
        3,
        many(1) + 5,
        many(1) + 8 + 8,
        many(1) + 24 + 5 + many(1) + 20,
    ];
    assert_eq!(buffers[0], expected);
    let mut after = input;
    // The members of many[2], without what lies between them.
    let padding = [1, 2, 3, 11, 15, 19, 22, 23, 27, 31];
    for word in (0..36).filter(|word| !padding.contains(word)) {
        after[40 + word] = 40 + 72 + word as u32;
    }
    after[4 + 4..4 + 7].copy_from_slice(&bits(&[-1.0, -2.0, -3.0]));
    after[76 + 8..76 + 11].copy_from_slice(&bits(&[4.0; 3]));
    after.swap(76 + 33, 76 + 34);
    assert_eq!(buffers[1], after);
}

#[test]
fn uniform_buffers_and_bindings() {
    let source = "struct U { scale: f32, k: vec3<f32>, table: array<vec4<f32>, 3> }
        @group(1) @binding(4) var<uniform> u: U;
        @group(0) @binding(9) var<storage, read> unused: array<f32>;
        @group(0) @binding(2) var<storage, read> x: array<vec2<f32>>;
        @group(0) @binding(3) var<storage, read_write> out: array<f32>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
            out[gid.x] = u.scale * x[gid.x].y + u.k.z + u.table[gid.x % 3u][1u];
        }";
    let program = lowered(source).unwrap();
    let named: Vec<_> = program.buffers.iter().map(|b| (b.name.as_str(), b.binding, b.writable)).collect();
    assert_eq!(named, [("u", (1, 4), false), ("x", (0, 2), false), ("out", (0, 3), true)]);
    assert_eq!(program.workgroup_size, [64, 1, 1]);
    let u: Vec<f32> = (0..20).map(|x| x as f32 + 2.0).collect();
    let x: Vec<f32> = (0..8).map(|x| x as f32).collect();
    let mut buffers = [bits(&u), bits(&x), vec![POISON; 4]];
    run_buffers(source, &mut buffers, 4);
    // scale is word 0, k.z word 6, table[r].y word 9 + 4 r; a word holds its number plus 2.
    let expected: Vec<f32> = (0..4).map(|i| (2 * (2 * i + 1) + 8 + 11 + 4 * (i % 3)) as f32).collect();
    assert_eq!(buffers[2], bits(&expected));
}

#[test]
fn out_of_range_reads_zero_and_drops_stores() {
    let source = "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var<storage, read> at: array<u32>;
        @group(0) @binding(2) var<storage, read_write> v: array<vec4<u32>>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
            let k = at[gid.x];
            out[gid.x] = v[k].y;
            v[k] = vec4<u32>(1000u + gid.x);
            var a = array<u32, 5>(1u, 2u, 3u, 4u, 5u);
            a[k] = 9u;
            out[gid.x] += a[k] * 100u + a[0] * 10000u;
        }";
    // 2^30 elements of 4 words are 2^32 words, which wrap to the start.
    let at = vec![1, 3, 4, 1 << 30, (1 << 30) + 1, u32::MAX, 1 << 31];
    let mut buffers = [vec![POISON; 7], at, (0..16).collect()];
    run_buffers(source, &mut buffers, 7);
    assert_eq!(buffers[0], [10905, 10913, 10900, 10000, 10000, 10000, 10000]);
    let v: Vec<u32> = (0..16)
        .map(|w| match w / 4 {
            1 => 1000,
            3 => 1001,
            _ => w,
        })
        .collect();
    assert_eq!(buffers[2], v);
}

#[test]
fn out_of_range_inside_a_struct_stays_in_its_array() {
    let source = "struct S { head: u32, t: array<vec2<u32>, 3>, tail: u32 }
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var<storage, read> at: array<u32>;
        @group(0) @binding(2) var<storage, read_write> s: array<S>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
            out[gid.x] = s[1].t[at[gid.x]].x;
            s[at[gid.x]].t[at[gid.x]].y = 77u;
        }";
    // S has 10 words, t from 2. Past the end of t: its last element; past the end of s: nothing.
    let mut buffers = [vec![POISON; 4], vec![0, 3, u32::MAX, 1 << 29], (0..20).collect()];
    run_buffers(source, &mut buffers, 4);
    assert_eq!(buffers[0], [12, 16, 16, 16]);
    let expected: Vec<u32> = (0..20).map(|w| if w == 3 { 77 } else { w }).collect();
    assert_eq!(buffers[2], expected);
}

#[test]
fn an_index_that_follows_the_invocation_is_not_limited() {
    let source = "@group(0) @binding(0) var<storage, read_write> out: array<vec4<f32>>;
        struct P { base: u32 }
        @group(0) @binding(1) var<uniform> p: P;
        @group(0) @binding(2) var<storage, read> x: array<vec3<f32>>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
            let i = gid.x + p.base;
            out[i] = vec4<f32>(x[i - 1u], x[2u * i].y);
        }";
    let program = lowered(source).unwrap();
    let limits = program.body.iter().filter(|s| matches!(s, Stmt::Let(_, Op::Binary(Binary::MinU, ..))));
    assert_eq!(limits.count(), 0, "{program}");
}

#[test]
fn signed_indices_below_zero() {
    let f = "fn f(i: i32) -> i32 {
        var a = array<i32, 6>(1, 2, 3, 4, 5, 6);
        a[i] += 10;
        return a[i] + a[0];
    }";
    assert_eq!(map_i32(f, "f(i32(i) - 1)", 4), [1, 22, 13, 14]);
}

#[test]
fn whole_arrays_are_copied() {
    let source = "@group(0) @binding(0) var<storage, read_write> out: array<f32>;
        @group(0) @binding(1) var<storage, read_write> a: array<array<f32, 4>, 2>;
        @compute @workgroup_size(1) fn main() {
            var t = a[0]; let old = a; a[1] = t; t[2] = 9.0; a[0] = t;
            for (var k = 0u; k < 4u; k++) { out[k] = old[1][k] + t[k]; }
            var z = array<array<f32, 4>, 2>(); z[1] = a[0]; a = z;
        }";
    let mut buffers = [vec![POISON; 4], bits(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])];
    run_buffers(source, &mut buffers, 1);
    assert_eq!(buffers[0], bits(&[6.0, 8.0, 16.0, 12.0]));
    assert_eq!(buffers[1], bits(&[0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 9.0, 4.0]));
}

#[test]
fn matrices_in_variables_with_dynamic_columns() {
    let body = "var m = mat3x3<f32>(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0);
        for (var c = 0u; c < 3u; c++) { m[c][c] = -1.0; m[c].y += 0.5; }
        for (var c = 0u; c < 3u; c++) { for (var r = 0u; r < 3u; r++) { out[c * 3u + r] = m[c][r]; } }";
    assert_eq!(floats("", body, 9), [-1.0, 2.5, 3.0, 4.0, -0.5, 6.0, 7.0, 8.5, -1.0]);
}

#[test]
fn all_builtins() {
    let source = "@group(0) @binding(0) var<storage, read_write> out: array<vec4<u32>>;
        struct In { @builtin(global_invocation_id) gid: vec3<u32>, @builtin(local_invocation_index) index: u32 }
        @compute @workgroup_size(4, 1, 1) fn main(in: In, @builtin(workgroup_id) wid: vec3<u32>,
            @builtin(local_invocation_id) lid: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>) {
            out[in.gid.x] = vec4<u32>(in.index, wid.x, lid.x, n.x + in.gid.y + wid.z);
        }";
    let mut buffers = [vec![POISON; 24]];
    run_buffers(source, &mut buffers, 6);
    let expected: Vec<u32> = (0..6).flat_map(|i| [i % 4, i / 4, i % 4, 2]).collect();
    assert_eq!(buffers[0], expected);
}

#[test]
fn calls_that_do_not_overlap_share_their_arrays() {
    let f = "fn h(n: u32) -> u32 { var a: array<u32, 16>; a[n % 16u] = n; return a[(n * 3u) % 16u] + n; }
        fn g(n: u32) -> u32 {
            var b: array<u32, 16>;
            b[n % 16u] = h(n);
            b[h(n + 1u) % 16u] += h(n + 2u);
            return b[n % 16u] + h(n + 3u);
        }";
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>; {f}
         @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) gid: vec3<u32>) {{ out[gid.x] = g(gid.x) + g(gid.x + 1u); }}"
    );
    assert_eq!(lowered(&source).unwrap().locals.len(), 2);
    let h = |n: u32| if (n * 3) % 16 == n % 16 { 2 * n } else { n };
    let g = |n: u32| {
        let mut b = [0; 16];
        b[n as usize % 16] = h(n);
        b[h(n + 1) as usize % 16] += h(n + 2);
        b[n as usize % 16] + h(n + 3)
    };
    let expected: Vec<u32> = (0..20).map(|i| g(i) + g(i + 1)).collect();
    assert_eq!(run("u32", f, "out[i] = g(i) + g(i + 1u);", 20), expected);
}
