//! Control flow: branches, loops, switches, early returns, calls.

use super::{map_i32, map_u32, words};

#[test]
fn if_else_chains() {
    let f = "fn f(i: u32) -> u32 {
        var r = 0u;
        if i == 0u { r = 10u; } else if i == 1u { r = 20u; } else if i < 4u { r = 30u; } else { r = 40u; }
        if i > 2u { r += 1u; }
        return r;
    }";
    assert_eq!(map_u32(f, "f(i)", 6), [10, 20, 30, 31, 41, 41]);
}

#[test]
fn early_return_in_nested_loops_of_called_functions() {
    // The first (a, b) with a * b == n, b fastest; 99 when there is none below 8.
    let f = "fn inner(a: u32, n: u32) -> u32 {
        for (var b = 0u; b < 8u; b++) {
            if a * b == n { return b; }
        }
        return 99u;
    }
    fn f(n: u32) -> u32 {
        for (var a = 2u; a < 8u; a++) {
            var k = 0u;
            loop {
                let b = inner(a, n);
                if b != 99u {
                    if b > 1u { return a * 10u + b; }
                }
                k++;
                if k == 2u { break; }
            }
        }
        return 99u;
    }";
    let expected: Vec<u32> = (0..40)
        .map(|n| {
            for a in 2..8 {
                // `inner` gives the first b, which is what decides.
                if let Some(b) = (0..8).find(|b| a * b == n).filter(|&b| b > 1) {
                    return a * 10 + b;
                }
            }
            99
        })
        .collect();
    assert_eq!(map_u32(f, "f(i)", 40), expected);
}

#[test]
fn switch_in_loop_with_continue_and_break() {
    let f = "fn f(n: u32) -> u32 {
        var sum = 0u;
        for (var k = 0u; k < n; k++) {
            switch k % 5u {
                case 0u: { continue; }
                case 1u, 3u: { sum += 1u; }
                case 2u: { if k > 6u { break; } sum += 100u; }
                default: { sum += 10000u; if sum > 30000u { return sum; } }
            }
            sum += 7u;
        }
        return sum;
    }";
    let expected: Vec<u32> = (0..24)
        .map(|n| {
            let mut sum = 0;
            for k in 0..n {
                match k % 5 {
                    0 => continue,
                    1 | 3 => sum += 1,
                    2 => {
                        if k <= 6 {
                            sum += 100;
                        }
                    }
                    _ => {
                        sum += 10000;
                        if sum > 30000 {
                            return sum;
                        }
                    }
                }
                sum += 7;
            }
            sum
        })
        .collect();
    assert_eq!(map_u32(f, "f(i)", 24), expected);
}

#[test]
fn switch_default_in_the_middle_and_with_selectors() {
    let f = "fn f(x: i32) -> i32 {
        switch x {
            case -1: { return 1; }
            case 2, default, 3: { return 2; }
            case 4: { }
        }
        return 3;
    }";
    assert_eq!(map_i32(f, "f(i32(i) - 2)", 8), [2, 1, 2, 2, 2, 2, 3, 2]);
}

#[test]
fn switch_of_only_a_default() {
    let f = "fn f(x: u32) -> u32 { var r = x; switch x { default: { if x == 1u { break; } r += 5u; } } return r; }";
    assert_eq!(map_u32(f, "f(i)", 3), [5, 1, 7]);
}

#[test]
fn switch_of_many_cases() {
    // More cases than are nested: with break, fall out, return and continue.
    let mut cases = String::new();
    for k in 0..20 {
        cases += &match k % 4 {
            0 => format!("case {k}u: {{ r = {}u; }}\n", k * 3),
            1 => format!("case {k}u: {{ if i == 5u {{ break; }} r = {}u; }}\n", k * 3),
            2 => format!("case {k}u: {{ return {}u; }}\n", 1000 + k),
            _ => format!("case {k}u: {{ r = 1u; continue; }}\n"),
        };
    }
    let f = format!(
        "fn f(i: u32) -> u32 {{
            var r = 7u;
            for (var turn = 0u; turn < 2u; turn++) {{
                switch i {{ {cases} default: {{ r = 500u; }} }}
                r += 10000u;
            }}
            return r;
        }}"
    );
    let expected: Vec<u32> = (0..22)
        .map(|i| {
            let mut r = 7;
            for _ in 0..2 {
                match (i, i % 4) {
                    (20.., _) => r = 500,
                    (_, 0) => r = i * 3,
                    (5, 1) => {}
                    (_, 1) => r = i * 3,
                    (_, 2) => return 1000 + i,
                    _ => {
                        r = 1;
                        continue;
                    }
                }
                r += 10000;
            }
            r
        })
        .collect();
    assert_eq!(map_u32(&f, "f(i)", 22), expected);
}

#[test]
fn break_inside_switch_inside_loop_leaves_only_the_switch() {
    let body = "var n = 0u;
        loop {
            switch n { case 3u: { break; } default: { if n > 5u { break; } } }
            n++;
            if n == 9u { break; }
        }
        out[0] = n;";
    assert_eq!(words("", body, 1), [9]);
}

#[test]
fn while_and_nested_break() {
    let f = "fn f(n: u32) -> u32 {
        var a = n; var steps = 0u;
        while a != 1u {
            if a == 0u { break; }
            if a % 2u == 0u { a = a / 2u; } else { a = 3u * a + 1u; }
            steps++;
        }
        return steps;
    }";
    assert_eq!(map_u32(f, "f(i)", 8), [0, 0, 1, 7, 2, 5, 8, 16]);
}

#[test]
fn continuing_and_break_if() {
    let f = "fn f(n: u32) -> u32 {
        var i = 0u; var odd = 0u;
        loop {
            if i % 2u == 0u { continue; }
            odd += i;
            continuing { i++; break if i >= n; }
        }
        return odd;
    }";
    // The body runs at least once, and `continue` goes through `continuing`.
    assert_eq!(map_u32(f, "f(i)", 7), [0, 0, 1, 1, 4, 4, 9]);
}

#[test]
fn continuing_sees_values_of_the_body() {
    let f = "fn step(x: u32) -> u32 { if x > 2u { return x + 2u; } return x + 1u; }
    fn f(n: u32) -> u32 {
        var i = 0u; var sum = 0u; var a = array<u32, 8>();
        loop {
            let doubled = i * 2u + sum;
            let next = step(i);
            let slot = &a[i % 8u];
            if i % 3u == 1u { continue; }
            sum += 1u;
            continuing {
                sum += doubled;
                *slot = sum;
                i = next;
                break if doubled + next > n;
            }
        }
        return sum * 100u + a[0] + a[7];
    }";
    let expected: Vec<u32> = (0..64)
        .map(|n| {
            let (mut i, mut sum, mut a) = (0_u32, 0_u32, [0_u32; 8]);
            loop {
                let doubled = i * 2 + sum;
                let next = if i > 2 { i + 2 } else { i + 1 };
                let slot = (i % 8) as usize;
                if i % 3 != 1 {
                    sum += 1;
                }
                sum += doubled;
                a[slot] = sum;
                i = next;
                if doubled + next > n {
                    break;
                }
            }
            sum * 100 + a[0] + a[7]
        })
        .collect();
    assert_eq!(map_u32(f, "f(i)", 64), expected);
}

#[test]
fn continue_before_what_continuing_reads() {
    // No valid WGSL, yet naga accepts it. The last value made is read.
    let f = "fn f(n: u32) -> u32 {
        var i = 0u; var sum = 0u; var a = array<u32, 8>();
        loop {
            if i % 3u == 2u { continue; }
            let made = i * 10u;
            let slot = &a[i % 8u];
            continuing { sum += made; *slot = made + 1u; i++; break if i >= n; }
        }
        return sum * 100u + a[1] + a[2];
    }";
    assert_eq!(map_u32(f, "f(i + 2u)", 4), [1011, 2011, 5011, 9011]);
}

#[test]
fn nested_loops_in_continuing() {
    let f = "fn f(n: u32) -> u32 {
        var i = 0u; var sum = 0u;
        loop {
            let top = i + 1u;
            continuing {
                for (var k = 0u; k < top; k++) { if k == 3u { continue; } sum += k; }
                i = top;
                break if i > n;
            }
        }
        return sum;
    }";
    let expected: Vec<u32> =
        (0..8).map(|n| (1..=n + 1).map(|top| (0..top).filter(|k| *k != 3).sum::<u32>()).sum()).collect();
    assert_eq!(map_u32(f, "f(i)", 8), expected);
}

#[test]
fn variables_start_anew_on_every_turn() {
    let f = "fn count(n: u32) -> u32 { var c: u32; var t = 5u; for (var k = 0u; k < n; k++) { c++; t++; } return c * 10u + t; }
    fn f(n: u32) -> u32 {
        var sum = 0u;
        for (var k = 0u; k < n; k++) {
            var fresh: u32;
            var given = 3u;
            fresh += 1u; given += 1u;
            sum += fresh * 1000u + given * 100000u + count(k);
        }
        return sum;
    }";
    let expected: Vec<u32> = (0..5).map(|n| (0..n).map(|k| 401_000 + k * 10 + 5 + k).sum()).collect();
    assert_eq!(map_u32(f, "f(i)", 5), expected);
}

#[test]
fn arrays_of_called_functions_start_anew() {
    let f = "fn g(n: u32) -> u32 {
        var a: array<u32, 6>; var big: array<u32, 40>;
        for (var k = 0u; k < n; k++) { a[k % 6u] += 1u; big[k % 40u] += 1u; }
        var sum = 0u;
        for (var k = 0u; k < 6u; k++) { sum = sum * 4u + a[k]; }
        for (var k = 0u; k < 40u; k++) { sum += big[k] << 16u; }
        return sum;
    }";
    let expected: Vec<u32> = (0..12)
        .map(|n| {
            let mut a = [0; 6];
            (0..n).for_each(|k| a[k as usize % 6] += 1);
            a.iter().fold(0, |sum, a| sum * 4 + a) + (n << 16)
        })
        .collect();
    assert_eq!(map_u32(f, "g(3u) * 0u + g(i + g(0u))", 12), expected);
}

#[test]
fn parts_of_structs_in_called_functions_start_anew() {
    let f = "struct S { n: u32, t: array<u32, 6>, big: array<u32, 40> }
    fn g(n: u32) -> u32 {
        var s: S;
        s.n += 1u; s.t[n % 6u] += 1u; s.big[n % 40u] += 1u;
        return s.n + s.t[n % 6u] * 10u + s.big[n % 40u] * 100u;
    }
    fn f(n: u32) -> u32 { var sum = 0u; for (var k = 0u; k < n; k++) { sum += g(1u); } return sum; }";
    assert_eq!(map_u32(f, "f(i)", 4), [0, 111, 222, 333]);
}

#[test]
fn returns_merge_and_stop_what_follows() {
    let f = "fn f(x: u32) -> u32 {
        if x == 0u { return 1u; }
        var r = x;
        if x == 1u { r = 50u; } else { if x == 2u { return 2u; } else { return x * 10u; } }
        r++;
        if x > 0u { return r; }
        return 3u;
    }
    fn g(p: ptr<function, u32>, x: u32) { if x > 2u { return; } *p = 9u; if x > 0u { return; } *p = 8u; }";
    assert_eq!(map_u32(f, "f(i)", 5), [1, 51, 2, 30, 40]);
    let out = super::run("u32", f, "var v = i; g(&v, i); out[i] = v;", 4);
    assert_eq!(out, [8, 9, 9, 3]);
}

#[test]
fn return_of_the_entry_point_ends_it() {
    let out = super::run(
        "u32",
        "",
        "if i == 2u { return; } for (var k = 0u; ; k++) { if k == i { out[i] = k; return; } } out[i] = 77u;",
        4,
    );
    assert_eq!(out, [0, 1, super::POISON, 3]);
}

#[test]
fn return_inside_a_switch_inside_a_loop() {
    let f = "fn f(n: u32) -> u32 {
        var k = 0u;
        loop {
            switch k { case 4u: { return 44u; } case 5u: { if n > 6u { return k; } } default: {} }
            k += 1u + n % 2u;
            if k > 7u { break; }
        }
        return 100u + k;
    }";
    assert_eq!(map_u32(f, "f(i)", 8), [44, 44, 44, 44, 44, 44, 44, 44]);
    let f = f.replace("case 4u: { return 44u; }", "case 4u: { }");
    assert_eq!(map_u32(&f, "f(i)", 8), [108, 108, 108, 108, 108, 108, 108, 108]);
    let f = f.replace("var k = 0u", "var k = 1u");
    assert_eq!(map_u32(&f, "f(i)", 8), [108, 109, 108, 109, 108, 109, 108, 5]);
}

#[test]
fn short_circuit_skips_the_right_side() {
    let f = "fn bump(p: ptr<function, u32>, result: bool) -> bool { *p += 1u; return result; }
    fn f(i: u32) -> u32 {
        var calls = 0u;
        let a = (i & 1u) == 1u; let b = (i & 2u) == 2u;
        let and = a && bump(&calls, b);
        let or = a || bump(&calls, b);
        let both = (a || b) && !(a && b);
        return calls * 1000u + u32(and) * 100u + u32(or) * 10u + u32(both);
    }";
    assert_eq!(map_u32(f, "f(i)", 4), [1000, 1011, 1011, 1110]);
}

#[test]
fn shadowing_and_blocks() {
    let body = "var x = 1u; { var x = 2u; x += 1u; { let x = x * 10u; out[1] = x; } out[2] = x; } out[0] = x;
        for (var x = 5u; x < 6u; x++) { out[3] = x; } out[4] = x;";
    assert_eq!(words("", body, 5), [1, 30, 3, 5, 1]);
}

#[test]
fn loads_happen_where_they_are_written() {
    let body = "var x = 1u; let before = x; x = 2u; let p = &x; let sum = before * 10u + *p; *p = 3u;
        out[0] = sum; out[1] = x; out[2] = before;
        var a = array<u32, 3>(1u, 2u, 3u); let copy = a; a[1] = 9u; out[3] = copy[1]; out[4] = a[1];";
    assert_eq!(words("", body, 5), [12, 3, 1, 2, 9]);
}
