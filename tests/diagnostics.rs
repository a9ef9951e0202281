//! Wrong kernels: every error points at the right place of the user's own text and says what is wrong.

use forall::{Element, ElementType, Error, Kernel};

/// The error of a text that is no kernel.
fn error(text: &str) -> Error {
    Kernel::map(text).expect_err(text)
}

/// Line, column, the message's first line, and the line with the caret.
fn parts(error: &Error) -> (u32, u32, String, String) {
    let (line, column, message) = match error {
        Error::Wgsl { line, column, message, .. } => (*line, *column, message),
        Error::Unsupported { line, message, .. } => (*line, 0, message),
        other => panic!("neither Wgsl nor Unsupported: {other}"),
    };
    let mut lines = message.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    let caret = lines.find(|line| line.contains('^')).unwrap_or_default().to_owned();
    (line, column, first, caret)
}

/// The text that the carets stand under, tabs and wide characters counted as a terminal shows them.
fn marked(error: &Error) -> String {
    let message = error.to_string();
    let lines: Vec<&str> = message.lines().collect();
    let at = lines.iter().position(|line| line.contains('^')).expect("a caret");
    let (source, caret) = (lines[at - 1], lines[at]);
    let width = |c: char| if "日本語".contains(c) { 2 } else { 1 };
    let from = caret.chars().take_while(|&c| c != '^').count();
    let to = from + caret.chars().filter(|&c| c == '^').count();
    let mut column = 0;
    let mut found = String::new();
    for c in source.chars() {
        if (from..to).contains(&column) {
            found.push(c);
        }
        column += width(c);
    }
    found
}

#[test]
fn invalid_wgsl_shows_its_place() {
    // text, line, column, what is marked, what the message says
    let cases: &[(&str, u32, u32, &str, &str)] = &[
        // Names.
        ("fn f(x: f32) -> f32 { return x + y; }", 1, 34, "y", "no definition in scope for identifier: `y`"),
        ("fn f(x: float) -> f32 {\n  return x;\n}", 1, 9, "float", "no definition in scope"),
        ("fn f(x: f32) -> f32 {\n  return gain(x);\n}", 2, 10, "gain", "no definition in scope"),
        ("fn f(x: f32, x: f32) -> f32 { return x; }", 1, 14, "x", "redefinition of `x`"),
        // Syntax.
        ("fn f(x: f32) -> f32 {\n\treturn x +\n}", 3, 1, "}", "expected expression"),
        ("fn f(x: f32 -> f32 { return x; }", 1, 13, "->", "expected `,`"),
        ("fn f(x: f32) -> f32 { return x", 1, 31, "", "found the end of the text"),
        ("fn f(x: f32) -> f32 { return x; } /* open", 1, 35, "/* open", "unterminated block comment"),
        ("fn fn(x: f32) -> f32 { return x; }", 1, 4, "fn", "reserved keyword"),
        // Types.
        ("fn f(x: f32) -> i32 {\n    return x;\n}", 2, 5, "return x;", "`f` returns f32, declared is i32"),
        ("fn f(x: f32, k: u32) -> f32 {\n  return x * k;\n}", 2, 10, "x * k", "there is no f32 * u32"),
        (
            "fn f(x: f32) -> f32 { var y: i32 = x; return f32(y); }",
            1,
            27,
            "y",
            "expected to be `i32`, but got `f32`",
        ),
        (
            "fn g(x: u32) -> f32 { return f32(x); } fn f(x: f32) -> f32 { return g(x); }",
            1,
            69,
            "g(x)",
            "argument 1 of `g` is f32, expected u32",
        ),
        (
            "fn f(x: f32) -> f32 { if (x > 1.0) { return 1.0; } }",
            1,
            52,
            "}",
            "`f` can end without returning its f32",
        ),
        (
            "fn f(x: u32) -> u32 { loop { if x < 100u { return 1u; } } }",
            1,
            59,
            "}",
            "`f` can end without returning its u32",
        ),
        ("fn f(x: f32) -> f32 { return !x; }", 1, 30, "!x", "there is no !f32"),
        ("fn f(x: f32) -> f32 { return x.y; }", 1, 32, "y", "invalid field accessor"),
        ("fn f(x: f32) -> f32 { return sin(x, x); }", 1, 30, "sin", "too many arguments"),
        // Values and control flow.
        ("fn f(x: u32) -> u32 { return x + 4294967296u; }", 1, 34, "4294967296u", "not representable"),
        ("fn f(x: f32) -> f32 { let a = array<f32, 3>(); return a[3]; }", 1, 55, "a[3]", "out of bounds"),
        ("fn f(x: f32) -> f32 { x = 1.0; return x; }", 1, 23, "x", "invalid left-hand side"),
        ("fn f(x: f32) -> f32 {\r\n  break;\r\n  return x;\r\n}", 2, 3, "break;", "outside of a `loop`"),
        ("fn f(x: f32) -> f32 { return f(x); }", 1, 4, "f", "recursive"),
        // Columns count characters, carets count columns of the screen, tabs stay.
        ("fn f(größe: f32) -> f32 { return größe * z; }", 1, 42, "z", "`z`"),
        ("fn f(x: f32) -> f32 { /* 日本語 */ return z; }", 1, 40, "z", "`z`"),
        ("fn f(x: f32) -> f32 {\n\t\treturn\tz;\n}", 2, 10, "z", "`z`"),
        ("/* 🦀 */ fn f(x: f32) -> f32 {\n  let 日本 = x; return 日本 + 語; }", 2, 27, "語", "`語`"),
    ];
    for &(text, line, column, mark, says) in cases {
        let error = error(text);
        let (got_line, got_column, first, _) = parts(&error);
        assert!(matches!(error, Error::Wgsl { .. }), "{error}");
        assert_eq!((got_line, got_column), (line, column), "{error}");
        assert_eq!(marked(&error), mark, "{error}");
        assert!(first.contains(says), "{says}:\n{error}");
        assert!(first.contains(&format!(":{line}:{column}: ")), "{error}");
    }
}

#[test]
fn a_diagnostic_is_laid_out_like_a_compilers() {
    let error = error("// gain\nfn amplify(x: f32) -> f32 {\n\treturn gain * x;\n}");
    assert_eq!(
        error.to_string(),
        "amplify:3:9: no definition in scope for identifier: `gain`\n\
         3 | \treturn gain * x;\n  \
           | \t       ^^^^ unknown identifier"
    );
}

#[test]
fn what_a_map_kernel_cannot_have_is_refused_with_advice() {
    let cases: &[(&str, u32, &str, &str, &str)] = &[
        ("\n@compute @workgroup_size(64) fn main() {}", 2, "main", "an entry point", "remove @compute"),
        ("fn f(x: f32) {}", 1, "f", "without a result", "-> f32"),
        ("fn f(a: f32,\n m: mat2x2<f32>) -> f32 { return a; }", 2, "m", "mat2x2<f32>", "vector"),
        ("fn f(a: vec2<bool>) -> f32 { return 1.0; }", 1, "a", "vec2<bool>", "vector of u32"),
        ("fn f(a: ptr<function, f32>) -> f32 { return *a; }", 1, "a", "a pointer", "f32"),
        ("fn f(a: array<f32, 4>) -> f32 { return a[0]; }", 1, "a", "array<f32, 4>", "vector"),
        (
            "struct R { m: mat2x2<f32> }\nfn f(x: f32) -> R { return R(); }",
            2,
            "R",
            "member of the result `m`",
            "vector",
        ),
        (
            "fn f(x: f32) -> array<f32, 2> { return array<f32, 2>(x, x); }",
            1,
            "array<f32, 2>",
            "array<f32, 2>",
            "struct",
        ),
        (
            "var<workgroup> w: f32;\nfn f(x: f32) -> f32 { return w; }",
            1,
            "w",
            "workgroup memory",
            "var<private>",
        ),
        (
            "var<storage, read_write> w: array<f32>;\nfn f(x: f32) -> f32 { return x; }",
            1,
            "w",
            "writable storage",
            "return",
        ),
        (
            "@group(0) @binding(0) var<uniform> w: f32;\nfn f(x: f32) -> f32 { return w; }",
            1,
            "w",
            "uniform variable",
            "parameter",
        ),
        (
            "@group(0) @binding(0) var t: texture_2d<f32>;\nfn f(x: f32) -> f32 { return x; }",
            1,
            "t",
            "a texture",
            "array<T>",
        ),
        ("override w: f32 = 1.0;\nfn f(x: f32) -> f32 { return w; }", 1, "w", "override", "const"),
        (
            "enable f16;\nfn f(x: f32) -> f32 { return f32(f16(x)); }\nconst c: f16 = 1.0h;",
            1,
            "f16",
            "f16",
            "closure",
        ),
        (
            "var<storage, read> w: array<f32, 4>;\nfn f(x: f32) -> f32 { return w[0]; }",
            1,
            "w",
            "fixed size",
            "array<T>",
        ),
        (
            "struct S { a: f32 }\nvar<storage, read> w: array<S>;\nfn f(x: f32) -> f32 { return w[0].a; }",
            2,
            "w",
            "array of `S`",
            "one array for each",
        ),
        ("var<storage, read> w: f32;\nfn f(x: f32) -> f32 { return w; }", 1, "w", "type f32", "array<T>"),
        (
            "var<storage, read> x: array<f32>;\nfn f(x: f32) -> f32 { return x; }",
            1,
            "x",
            "both called `x`",
            "rename",
        ),
        ("alias f32 = i32; fn f(x: i32) -> i32 { return x; }", 1, "f32", "another `f32`", "another name"),
    ];
    for &(text, line, mark, construct, advice) in cases {
        let error = error(text);
        let (got_line, _, first, _) = parts(&error);
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert_eq!(got_line, line, "{error}");
        assert_eq!(marked(&error), mark, "{error}");
        assert!(first.contains(construct), "{construct}:\n{error}");
        assert!(
            error.to_string().lines().last().is_some_and(|last| last.contains(advice)),
            "{advice}:\n{error}"
        );
    }
}

#[test]
fn no_function_or_the_wrong_name() {
    for text in ["", "// nothing", "const a = 1;"] {
        let error = error(text);
        assert_eq!(parts(&error).0, 0);
        assert!(error.to_string().contains("no function"), "{error}");
    }
    let error = Kernel::map_named("fn a(x: f32) -> f32 { return x; } fn b() {}", "c").expect_err("no c");
    assert!(error.to_string().contains("no function `c`; the text has: a, b"), "{error}");
}

#[test]
fn the_kernel_is_the_last_function_that_is_not_called() {
    let text = "fn last(x: f32) -> f32 { return helper(x); }
                fn helper(x: f32) -> f32 { return deeper(x); }
                fn deeper(x: f32) -> f32 { return x; }";
    assert_eq!(Kernel::map(text).expect("valid").name(), "last");
    assert_eq!(Kernel::map_named(text, "deeper").expect("valid").name(), "deeper");
    let two = "fn a(x: f32) -> f32 { return x; } fn b(x: f32) -> f32 { return x; }";
    assert_eq!(Kernel::map(two).expect("valid").name(), "b");
}

#[test]
fn hostile_texts_are_errors_not_crashes() {
    let deep = |open: &str, close: &str, n: usize| {
        format!("fn f(x: f32) -> f32 {{ return {}x{}; }}", open.repeat(n), close.repeat(n))
    };
    for text in [
        deep("(", ")", 100_000),
        deep("-", "", 100_000),
        deep("", "+x", 20_000),
        format!("fn f(x: f32) -> f32 {{ {} return x; {} }}", "{".repeat(50_000), "}".repeat(50_000)),
        format!("/*{}", "/*".repeat(100_000)),
        format!("fn f({}) -> f32 {{ return 1.0; }}", "x: f32,".repeat(10_000)),
        "fn f(x: f32) -> f32 { return x; }\u{0}".to_owned(),
        "\u{feff}fn f(x: f32) -> f32 { return y; }".to_owned(),
        "fn f(x: f32) -> f32 { return \u{202e}y; }".to_owned(),
        (0..20_000).map(|i| format!("const a{} = a{i};\n", i + 1)).collect::<String>() + "const a0 = 1;",
    ] {
        // Whatever naga says of it; a few are even valid.
        let _ = Kernel::map(&text);
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let endless = error("fn f(x: u32) -> u32 { loop { if x < 100u { return 1u; } } }");
    assert!(endless.to_string().ends_with("write a return after it"), "{endless}");
    let error = error("fn f(x: f32) -> f32 { return \u{1b}[31m; }");
    assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
}

const INPUTS: &[(&str, ElementType)] = &[
    ("a", f32::TYPE),
    ("x", f32::TYPE),
    ("y", f32::TYPE),
    ("k", u32::TYPE),
    ("größe", f32::TYPE),
    ("v", <[f32; 3]>::TYPE),
];

#[test]
fn expressions_have_the_type_naga_gives_them() {
    for (text, ty) in [
        ("a*x + y", "f32"),
        ("x > 1.0 && k != 2", "u32"),
        ("vec2(x, y)", "vec2<f32>"),
        ("v * 2", "vec3<f32>"),
        ("1", "i32"),
        ("k + 1", "u32"),
        ("select(x,\n y, x < y)", "f32"),
        ("f32(k)", "f32"),
    ] {
        let kernel = Kernel::expression(text, INPUTS).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(kernel.signature().outputs[0].ty.to_string(), ty, "{text}");
        assert_eq!(kernel.signature().params.len(), INPUTS.len());
    }
    assert_eq!(Kernel::expression("a*x\n\t+ y", INPUTS).expect("valid").name(), "a*x + y");
}

#[test]
fn errors_in_expressions_point_into_the_expression() {
    let cases: &[(&str, u32, u32, &str, &str)] = &[
        ("a*x + z", 1, 7, "z", "`z`"),
        ("x +\n\tq", 2, 2, "q", "`q`"),
        ("k + x", 1, 1, "k + x", "there is no u32 + f32"),
        ("größe * q", 1, 9, "q", "`q`"),
        ("a) + (b", 1, 2, ")", "closes nothing"),
        ("(a + x", 1, 1, "(", "`)` is missing"),
        ("x; return y", 1, 2, ";", "cannot stand in an expression"),
        ("x ? y : a", 1, 3, "?", "select(b, a, condition)"),
        ("x // 2", 1, 3, "//", "floor(x / y)"),
        ("x /* y", 1, 3, "/*", "starts a comment"),
        ("x**2", 1, 2, "**", "pow(x, y)"),
        ("x + np.arctan2(y, x)", 1, 5, "np.arctan2", "write atan2(y, x)"),
        ("math.sqrt(x)", 1, 1, "math.sqrt", "write sqrt"),
        ("x > 1 and y > 1", 1, 7, "and", "a && b"),
        ("not (x > 1)", 1, 1, "not", "!a"),
        ("x if x > y else y", 1, 3, "if", "select(b, a, condition)"),
        ("x[0]", 1, 1, "x", "`x` is one f32"),
        ("0 < x < 3", 1, 7, "<", "0 < x && x < 3"),
        ("vec2<f32>(0 <= x <= y, 1)", 1, 18, "<", "0 < x && x < 3"),
        ("where(x > y, x, y)", 1, 1, "where", "select(if_false, if_true, condition)"),
        ("2 * pi * x", 1, 5, "pi", "3.14159265"),
        ("k * 0.5", 1, 1, "k", "f32(k)"),
        ("1.5 + k", 1, 7, "k", "f32(k)"),
        ("k * 1e3", 1, 1, "k", "f32(k)"),
        ("(k + 1) * 0.5", 1, 1, "(k + 1) * 0.5", "f32(i) * 0.5"),
        ("x = y", 1, 3, "=", "expected `)`"),
        ("cos(k)", 1, 1, "cos", "wrong type"),
        ("expression(x)", 1, 1, "expression", "recursive"),
    ];
    for &(text, line, column, mark, says) in cases {
        let error = Kernel::expression(text, INPUTS).expect_err(text);
        let (got_line, got_column, first, _) = parts(&error);
        assert_eq!((got_line, got_column), (line, column), "{error}");
        assert_eq!(marked(&error), mark, "{error}");
        assert!(error.to_string().contains(says) && !first.is_empty(), "{says}:\n{error}");
    }
    let error = Kernel::expression("x +", INPUTS).expect_err("unfinished");
    assert!(error.to_string().contains("found the end of the text"), "{error}");
    for (text, says) in [("", "empty"), ("// x", "comment"), ("mat2x2(x, y, x, y)", "its value must be")] {
        let error = Kernel::expression(text, INPUTS).expect_err(text);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn what_looks_like_a_habit_and_is_valid_is_read() {
    for text in
        ["v[0]", "x < y && y < a", "(x < y) == (y < a)", "f32(k) * 0.5", "k * 2", "x - -y", "v.x * 0.5"]
    {
        Kernel::expression(text, INPUTS).unwrap_or_else(|error| panic!("{error}"));
    }
    let own = [("pi", f32::TYPE), ("np", f32::TYPE), ("e", f32::TYPE)];
    Kernel::expression("pi + np * e", &own).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn long_lines_are_shown_around_the_mark() {
    for (before, after) in [(200, 200), (0, 300), (300, 0), (30, 90)] {
        let text = format!("{}q{}", "x + ".repeat(before), " + x".repeat(after));
        let error = Kernel::expression(&text, INPUTS).expect_err("q");
        let message = error.to_string();
        assert_eq!((parts(&error).1 as usize, &*marked(&error)), (4 * before + 1, "q"), "{message}");
        assert!(message.lines().all(|line| line.chars().count() <= 110), "{message}");
    }
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let kernel = Kernel::map("\u{feff}fn f(x: f32) -> f32 { return x; }");
    assert_eq!(kernel.expect("valid").name(), "f");
}

#[test]
fn names_of_inputs_are_checked() {
    for name in ["fn", "x y", "1x", "", "x: f32, y", "_", "__a", "x\n", "a-b", "true", "/**/", "x//"] {
        let error = Kernel::expression("1.0", &[(name, f32::TYPE)]).expect_err(name);
        assert!(error.to_string().contains("cannot be the name of an input"), "{error}");
    }
    for name in ["日本", "forall_value", "forall_words", "expression", "base", "n", "i", "out", "min"] {
        Kernel::expression(&format!("{name} + 1"), &[(name, f32::TYPE)])
            .unwrap_or_else(|error| panic!("{error}"));
    }
    let error = Kernel::expression("x", &[("x", f64::TYPE)]).expect_err("f64");
    assert!(matches!(&error, Error::Unsupported { construct, .. } if construct.contains("f64")), "{error}");
    let error = Kernel::expression("x", &[("x", f32::TYPE), ("x", u32::TYPE)]).expect_err("twice");
    assert!(error.to_string().contains("two inputs called `x`"), "{error}");
}
