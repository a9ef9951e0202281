//! What is refused, and programs made to hurt.

use std::fmt::Write as _;

use super::{lower, lowered, map_u32, module, refused};

fn main(declarations: &str, body: &str) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;\n{declarations}
         @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) gid: vec3<u32>) {{ {body} }}"
    )
}

#[test]
fn names_what_it_refuses_and_where() {
    let wide = "@group(0) @binding(1) var<storage, read_write> a: atomic<u64>;";
    for (declarations, body, construct, text) in [
        (wide, "atomicMax(&a, 1lu);", "atomics of the type u64", "atomicMax"),
        ("override N: u32 = 3u;", "out[0] = N;", "override", "N"),
        ("", "let x = f64(gid.x); out[0] = u32(x);", "the type f64", "f64(gid.x)"),
        ("", "var x: i64; x = i64(gid.x);", "the type i64", "var x: i64"),
    ] {
        let source = main(declarations, body);
        let (got, at) = refused(&source);
        assert_eq!(got, construct, "{body}");
        assert!(!at.is_empty() && (at.starts_with(text) || text.starts_with(&at)), "{body}: {at}");
    }
}

#[test]
fn what_is_not_reached_is_not_refused() {
    let source = main(
        "var<workgroup> w: array<u32, 4>; override N: u32; @group(0) @binding(1) var t: texture_2d<f32>;
         fn unused() { workgroupBarrier(); w[0] = N; }",
        "out[gid.x] = 1u;",
    );
    assert_eq!(lowered(&source).unwrap().buffers.len(), 1);
}

#[test]
fn an_entry_point_that_is_not_there() {
    let (module, info) = module(&main("", ""));
    assert_eq!(lower(&module, &info, "other").unwrap_err().construct, "no compute entry point named other");
}

#[test]
fn exponential_inlining_is_refused() {
    // With work in the innermost function, and with none.
    for leaf in ["fn f0(x: u32) -> u32 { return x * 3u + 1u; }", "fn f0(x: u32) -> u32 { return x; }"] {
        let mut functions = leaf.to_owned();
        for k in 1..40 {
            let _ = writeln!(functions, "fn f{k}(x: u32) -> u32 {{ return f{}(f{}(x)); }}", k - 1, k - 1);
        }
        let (construct, _) = refused(&main(&functions, "out[0] = f39(1u);"));
        assert!(construct.contains("operations after inlining"), "{construct}");
    }
}

#[test]
fn exponential_types_are_refused() {
    let mut types = "struct S0 { a: u32, b: u32 }".to_owned();
    for k in 1..24 {
        let _ = writeln!(types, "struct S{k} {{ a: S{}, b: S{} }}", k - 1, k - 1);
    }
    let variable = refused(&main(&types, "var s: S23; s.a.b.a = S20(); out[0] = 1u;")).0;
    assert!(variable.contains("bytes of dynamically indexed variables"), "{variable}");
    types += "fn f(s: S23) -> u32 { return 1u; }";
    let value = refused(&main(&types, "out[0] = f(S23());")).0;
    assert!(value.contains("operations after inlining"), "{value}");
    let array = refused(&main("", "var a: array<u32, 100000000>; a[gid.x] = 1u; out[0] = a[1];")).0;
    assert!(array.contains("bytes of dynamically indexed variables"), "{array}");
}

#[test]
fn deep_nesting_is_followed_to_a_limit() {
    // A thread of the standard size, as a thread pool's are.
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let run = thread.spawn(|| {
        for (levels, calls, accepted) in [(60, 1, true), (60, 4, false), (2, 400, false), (0, 70, true)] {
            let nest = |inner: &str| {
                let open = "for (var k = 0u; k < 1u; k++) { if x < 9u { ".repeat(levels / 2);
                format!("{open}{inner}{}", "} }".repeat(levels / 2))
            };
            let mut functions =
                format!("fn f0(x: u32) -> u32 {{ {{ {} }} return 2u; }}", nest("if x == 0u { return 1u; }"));
            for k in 1..calls {
                let call = format!("if f{}(x) == 3u {{ return 4u; }}", k - 1);
                let _ = writeln!(functions, "fn f{k}(x: u32) -> u32 {{ {} return 5u; }}", nest(&call));
            }
            match lowered(&main(&functions, &format!("out[0] = f{}(gid.x);", calls - 1))) {
                Ok(_) => assert!(accepted, "{levels} {calls}"),
                Err(error) => {
                    assert!(!accepted && error.construct.contains("nested"), "{levels} {calls}: {error:?}");
                }
            }
        }
    });
    run.expect("threads can be had").join().expect("no stack overflow");
}

#[test]
fn a_thousand_early_returns() {
    let mut f = "fn f(x: u32) -> u32 {".to_owned();
    for k in 0..1000 {
        let _ = writeln!(f, "if x == {}u {{ return {k}u; }}", k * 7);
    }
    f += "return 5000u; }";
    let expected: Vec<u32> = (0..1002).map(|i| if i < 1000 { i } else { 5000 }).collect();
    assert_eq!(map_u32(&f, "f(i * 7u)", 1002), expected);
}

#[test]
fn a_long_body_becomes_no_more_than_its_length() {
    let size = |lines: u32| {
        let mut f = "fn f(x: f32) -> f32 { var a = x; var t: array<f32, 8>;".to_owned();
        for k in 0..lines {
            let _ = writeln!(
                f,
                "let b{k} = a * {k}.5 + sin(a); if b{k} > 2.0 {{ a = b{k}; }} t[u32(a) % 8u] += b{k};"
            );
        }
        f += "return a + t[3]; }";
        let (module, info) = module(&main(&f, "out[gid.x] = u32(f(f32(gid.x)));"));
        lower(&module, &info, "main").expect("plain code").values.len()
    };
    // 8 times the lines: 64 times the values if anything were copied once for each line before.
    let (short, long) = (size(100), size(800));
    assert!(long <= 8 * short, "{short} values for 100 lines, {long} for 800");
}
