//! `forall run` on small files: what it writes, what it prints, and how it refuses.

mod common;

use std::fs;

use common::{f32s, failure, folder, forall, names, npy, read, read_f32, read_u32, success, write_f32};
use serde_json::Value;

const CPU: [&str; 2] = ["simd", "threads"];

#[test]
fn an_expression_over_files() {
    let dir = folder("expression");
    // Around a vector, a chunk and a block of lanes.
    for n in [0, 1, 2, 7, 8, 9, 15, 16, 17, 1023, 1024, 1025, 5000] {
        let x: Vec<f32> = (0..n).map(|i| i as f32 * 0.37 - 3.0).collect();
        let y: Vec<f32> = (0..n).map(|i| 1e3 / (i as f32 + 0.5)).collect();
        write_f32(dir.join("x.npy"), &x);
        write_f32(dir.join("y.npy"), &y);
        let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| (x * x + y * y).sqrt()).collect();
        for backend in CPU {
            let args = ["--in", "x=x.npy", "--in", "y=y.npy", "--out", "z.npy", "--backend", backend];
            let text = success(&dir, [&["run", "sqrt(x*x + y*y)"], &args[..]].concat());
            assert_eq!(read_f32(dir.join("z.npy")), expected, "{n} on {backend}");
            assert!(
                text.contains(&format!(" on {backend} ")) && text.contains(&format!("({n},) in z.npy")),
                "{text}"
            );
        }
    }
    assert_eq!(names(&dir), ["x.npy", "y.npy", "z.npy"], "no temporary file stays");
}

#[test]
fn a_body_from_a_file_and_several_outputs() {
    let dir = folder("black_scholes");
    let shader = concat!(env!("CARGO_MANIFEST_DIR"), "/../shaders/black_scholes.wgsl");
    let market =
        ["--in", "spot=100", "--in", "strike=linspace:80:120:5", "--in", "years=1", "--in", "rate=0.05"];
    let rest = ["--in", "volatility=0.2", "--out", "call=c.npy", "--out", "put=p.npy"];
    success(&dir, [&["run", shader], &market[..], &rest].concat());
    let (call, put) = (read_f32(dir.join("c.npy")), read_f32(dir.join("p.npy")));
    // Call and put at the money: Hull's textbook gives 10.45 and 5.57.
    assert!((call[2] - 10.4506).abs() < 1e-3 && (put[2] - 5.5735).abs() < 1e-3, "{call:?} {put:?}");
    // One of the two kept is fine, none is a summary of both.
    success(&dir, [&["run", shader], &market[..], &rest[..4]].concat());
    let text = success(&dir, [&["run", shader], &market[..], &rest[..2]].concat());
    assert!(text.contains("call: f32 (5,)") && text.contains("put: f32 (5,)"), "{text}");
    let error = failure(&dir, 2, [&["run", shader], &market[..], &rest[..2], &["--out", "c.npy"]].concat());
    assert!(error.contains("2 outputs (call, put)"), "{error}");
    let error = failure(
        &dir,
        2,
        [&["run", shader], &market[..], &rest[..2], &["--out", "put=a", "--out", "call=./a"]].concat(),
    );
    assert!(error.contains("same file"), "{error}");
}

#[test]
fn vectors_whole_arrays_and_the_index() {
    let dir = folder("vectors");
    let bodies = [0.0, 0.0, 0.0, 1.0, 3.0, 4.0, 0.0, 2.0_f32];
    fs::write(dir.join("b.npy"), npy("<f4", "(2, 4)", &f32s(&bodies))).unwrap();
    let shader = concat!(env!("CARGO_MANIFEST_DIR"), "/../shaders/nbody.wgsl");
    let args = ["--in", "body=b.npy", "--in", "bodies=b.npy", "--in", "softening=0", "--out", "a.npy"];
    let _ = forall(&dir, [&["run", shader], &args[..]].concat());
    let (descr, shape, data) = read(dir.join("a.npy"));
    assert_eq!((&*descr, &*shape, data.len()), ("<f4", "(2, 3)", 24));

    let shader = concat!(env!("CARGO_MANIFEST_DIR"), "/../shaders/mandelbrot.wgsl");
    let picture =
        ["--in", "pixel=index", "--n", "4,6", "--in", "width=6", "--in", "height=4", "--in", "max_iter=50"];
    success(&dir, [&["run", shader], &picture[..], &["--in", "view=-2,-1,1,1", "--out", "m.npy"]].concat());
    let (descr, shape, _) = read(dir.join("m.npy"));
    assert_eq!((&*descr, &*shape), ("<u4", "(4, 6)"));
    // The point -0.25 + 0.25i is inside, the corner -1.75 + 0.75i leaves at once.
    let iterations = read_u32(dir.join("m.npy"));
    assert!(iterations[6 + 3] == 50 && iterations[0] < 4, "{iterations:?}");

    let error = failure(&dir, 2, [&["run", shader], &picture[..], &["--in", "view=-2,-1,1"]].concat());
    assert!(error.contains("3 numbers, expected 4 for a vec4<f32>"), "{error}");
}

#[test]
fn shapes_are_kept() {
    let dir = folder("shapes");
    let data = f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    for shape in ["(6,)", "(2, 3)", "(1, 6, 1)"] {
        fs::write(dir.join("x.npy"), npy("<f4", shape, &data)).unwrap();
        success(&dir, ["run", "x * k", "--in", "x=x.npy", "--in", "k=2", "--out", "x.npy"]);
        assert_eq!(read(dir.join("x.npy")).1, shape);
        assert_eq!(read_f32(dir.join("x.npy"))[5], 12.0, "an input may be the output");
    }
    // No axes: a number.
    fs::write(dir.join("k.npy"), npy("<f4", "()", &f32s(&[10.0]))).unwrap();
    success(&dir, ["run", "x * k", "--in", "x=x.npy", "--in", "k=k.npy", "--out", "z.npy"]);
    assert_eq!(read_f32(dir.join("z.npy")), [20.0, 40.0, 60.0, 80.0, 100.0, 120.0]);

    fs::write(dir.join("y.npy"), npy("<f4", "(2, 3)", &data)).unwrap();
    let error = failure(&dir, 1, ["run", "x + y", "--in", "x=x.npy", "--in", "y=y.npy"]);
    assert!(error.contains("(2, 3), expected (1, 6, 1)"), "{error}");
    fs::write(dir.join("y.npy"), npy("<f4", "(5,)", &data)).unwrap();
    let error = failure(&dir, 1, ["run", "x + y", "--in", "x=x.npy", "--in", "y=y.npy"]);
    assert!(error.contains("`y` has 5 elements, expected 6, as `x`"), "{error}");
    let error = failure(&dir, 2, ["run", "--n", "7", "--in", "x=x.npy", "--", "-x"]);
    assert!(error.contains("--n asks for 7 elements, but `x` has 6"), "{error}");
    let error = failure(&dir, 2, ["run", "--n", "3,2", "--in", "y=x.npy", "--", "-y"]);
    assert!(error.contains("--n asks for the shape (3, 2), but `y` has (1, 6, 1)"), "{error}");
    success(&dir, ["run", "--n", "6", "--in", "x=x.npy", "--out", "./a=b.npy", "--", "-x"]);
    assert_eq!(read(dir.join("a=b.npy")).1, "(1, 6, 1)");
}

#[test]
fn numbers_take_types() {
    let dir = folder("numbers");
    let shown = |args: &[&str]| success(&dir, [&["run"], args].concat());
    assert!(shown(&["6 * 7.0"]).contains("out: f32 (1,)\n  42.0\n"));
    assert!(shown(&["a * b", "--in", "a=6", "--in", "b=7"]).contains("f32 (1,)\n  42.0"));
    assert!(shown(&["i * k", "--in", "i=index", "--in", "k=7", "--n", "3"]).contains("u32 (3,)\n  0  7  14"));
    assert!(shown(&["a - b", "--in", "a=6i", "--in", "b=7"]).contains("i32 (1,)\n  -1"));
    assert!(
        shown(&["x * k", "--in", "x=linspace:0:1:3", "--in", "k=2"]).contains("f32 (3,)\n  0.0  1.0  2.0")
    );
    let error = failure(&dir, 2, ["run", "i * k", "--in", "i=index", "--in", "k=7"]);
    assert!(error.contains("add --n N"), "{error}");
    let body = "fn f(k: u32, x: f32) -> f32 { return x * f32(k); }";
    let error = failure(&dir, 2, ["run", body, "--in", "k=2.5", "--in", "x=1"]);
    assert!(error.contains("--in k: `2.5` is no u32"), "{error}");
    let error = failure(&dir, 2, ["run", body, "--in", "k=2", "--in", "x=index"]);
    assert!(error.contains("index is a u32, the parameter is a f32"), "{error}");
    let error = failure(&dir, 2, ["run", body, "--in", "k=uniform:5", "--in", "x=1"]);
    assert!(error.contains("uniform makes f32"), "{error}");
}

#[test]
fn other_types_need_cast() {
    let dir = folder("cast");
    let doubles: Vec<u8> = [0.1_f64, 1e300, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    fs::write(dir.join("d.npy"), npy("<f8", "(3,)", &doubles)).unwrap();
    let body = "fn half(x: f32) -> f32 { return x * 0.5; }";
    failure(&dir, 1, ["run", "x", "--in", "x=d.npy"]);
    let error = failure(&dir, 1, ["run", body, "--in", "x=d.npy"]);
    assert!(
        error.contains("holds f64, expected f32; save x.astype(numpy.float32)") && error.contains("--cast"),
        "{error}"
    );
    success(&dir, ["run", body, "--in", "x=d.npy", "--cast", "--out", "h.npy"]);
    assert_eq!(read_f32(dir.join("h.npy")), [0.1_f32 * 0.5, f32::INFINITY, -1.0]);

    let longs: Vec<u8> = [5_i64, -1].iter().flat_map(|x| x.to_le_bytes()).collect();
    fs::write(dir.join("l.npy"), npy("<i8", "(2,)", &longs)).unwrap();
    let unsigned = "fn id(x: u32) -> u32 { return x; }";
    let error = failure(&dir, 1, ["run", unsigned, "--in", "x=l.npy", "--cast"]);
    assert!(error.contains("element 1 is -1, out of the range of u32"), "{error}");
    let error = failure(&dir, 1, ["run", unsigned, "--in", "x=d.npy", "--cast"]);
    assert!(error.contains("round first"), "{error}");
    fs::write(dir.join("u.npy"), npy("<u8", "(1,)", &u64::MAX.to_le_bytes())).unwrap();
    let error = failure(&dir, 1, ["run", "fn id(x: i32) -> i32 { return x; }", "--in", "x=u.npy", "--cast"]);
    assert!(error.contains("out of the range of i32"), "{error}");
    assert!(success(&dir, ["run", "x + 1", "--in", "x=l.npy", "--cast"]).contains("i32 (2,)\n  6  0\n"));
}

#[test]
fn files_that_are_no_arrays() {
    let dir = folder("files");
    let data = f32s(&[1.0; 6]);
    let whole = npy("<f4", "(6,)", &data);
    fs::write(dir.join("cut.npy"), &whole[..whole.len() - 1]).unwrap();
    fs::write(dir.join("big.npy"), npy(">f4", "(6,)", &data)).unwrap();
    fs::write(dir.join("half.npy"), npy("<f2", "(12,)", &data)).unwrap();
    let fortran = String::from_utf8_lossy(&npy("<f4", "(2, 3)", &data)[10..]).replace("False", "True ");
    let mut file = npy("<f4", "(2, 3)", &data)[..10].to_vec();
    file.extend(fortran.as_bytes().iter().take(118));
    file.extend(&data);
    fs::write(dir.join("fortran.npy"), file).unwrap();
    fs::write(dir.join("text.npy"), "hello").unwrap();
    fs::write(dir.join("empty.npy"), "").unwrap();
    fs::create_dir(dir.join("folder.npy")).unwrap();
    for (name, expected) in [
        ("cut.npy", "truncated: 23 bytes of data, expected 24"),
        ("big.npy", "x.astype('<f4')"),
        ("half.npy", "not supported"),
        ("fortran.npy", "Fortran order"),
        ("text.npy", "not a .npy file"),
        ("empty.npy", "not a .npy file"),
        ("folder.npy", "directory"),
        ("missing.npy", "No such file"),
    ] {
        let error = failure(&dir, 1, ["run", "x + 1.0", "--in", &format!("x={name}"), "--out", "z.npy"]);
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
    assert!(!dir.join("z.npy").exists());
}

#[test]
fn bad_usage() {
    let dir = folder("usage");
    write_f32(dir.join("x.npy"), &[1.0]);
    for (args, expected) in [
        (&["run"][..], "BODY"),
        (&["run", "x", "--in", "x"], "expected NAME=VALUE"),
        (&["run", "x", "--in", "x=what"], "neither a number"),
        (&["run", "x", "--in", "x=1", "--in", "x=2"], "already has a value"),
        (&["run", "x", "--in", "x=1.0", "--in", "y=2"], "y"),
        (&["run", "x + y", "--in", "x=1.0"], "needs a value"),
        (&["run", "x", "--in", "x=1", "--backend", "cuda"], "expected auto, gpu, simd or threads"),
        (&["run", "x", "--in", "x=1", "--n", "many"], "number of elements"),
        (&["run", "x +* 1", "--in", "x=1.0"], "error"),
        (&["run", "fn f(x: f32) -> f32 { return y; }", "--in", "x=1.0"], "y"),
        (&["run", "x.wgsl.", "--in", "x=1.0"], "error"),
        (&["run", "x", "--in", "x=1.0", "--out", "a.npy", "--out", "b.npy"], "already has a file"),
        (&["run", "x", "--in", "x=1.0", "--out", "."], "directory"),
        (&["run", "x", "--in", "x=1.0", "--out", "foo=o.npy"], "no output `foo`; it has out"),
        (&["run", "x ** 2", "--in", "x=1.0", "--in", "unused=1"], "WGSL has no `**`"),
        (&["run", "x ^ 2", "--in", "x=1.0"], "write pow(x, y)"),
        (&["walk"], "walk"),
    ] {
        let error = failure(&dir, 2, args);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
    let error = failure(&dir, 1, ["run", "missing.wgsl"]);
    assert!(error.contains("missing.wgsl: No such file"), "{error}");
    assert_eq!(names(&dir), ["x.npy"]);
}

#[test]
fn an_output_is_whole_or_untouched() {
    let dir = folder("atomic");
    write_f32(dir.join("x.npy"), &[1.0, 2.0]);
    fs::write(dir.join("z.npy"), "old").unwrap();
    let error = failure(&dir, 1, ["run", "x", "--in", "x=x.npy", "--out", "nowhere/z.npy"]);
    assert!(error.contains("nowhere/z.npy: cannot write: No such file or directory"), "{error}");
    failure(&dir, 2, ["run", "x + y", "--in", "x=x.npy", "--in", "y=index", "--out", "z.npy"]);
    assert_eq!(fs::read(dir.join("z.npy")).unwrap(), b"old");
    success(&dir, ["run", "x", "--in", "x=x.npy", "--out", "z.npy"]);
    assert_eq!(read_f32(dir.join("z.npy")), [1.0, 2.0]);
    assert_eq!(names(&dir), ["x.npy", "z.npy"]);
}

#[cfg(unix)]
#[test]
fn paths_links_and_devices() {
    use std::os::unix::ffi::OsStringExt;

    let dir = folder("paths");
    let text = |bytes: &[u8]| std::ffi::OsString::from_vec(bytes.to_vec());
    write_f32(dir.join(text(b"\xff=.npy")), &[4.0]);
    let args = [
        text(b"run"),
        text(b"sqrt(x)"),
        text(b"--in"),
        text(b"x=\xff=.npy"),
        text(b"--out"),
        text(b"\xfe.npy"),
    ];
    let output = forall(&dir, &args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(read_f32(dir.join(text(b"\xfe.npy"))), [2.0]);

    // A link is followed, not replaced; a device is written, not replaced.
    fs::create_dir(dir.join("there")).unwrap();
    write_f32(dir.join("there/z.npy"), &[]);
    std::os::unix::fs::symlink("there/z.npy", dir.join("z.npy")).unwrap();
    success(&dir, ["run", "1.5", "--out", "z.npy"]);
    assert!(fs::symlink_metadata(dir.join("z.npy")).unwrap().is_symlink());
    assert_eq!(read_f32(dir.join("there/z.npy")), [1.5]);
    success(&dir, ["run", "1.5", "--out", "/dev/null"]);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn the_summary_counts_what_is_not_finite() {
    let dir = folder("summary");
    write_f32(dir.join("x.npy"), &[f32::NAN, 1.0, f32::INFINITY, -3.0, f32::NEG_INFINITY, 0.1, 7.0, 2.0]);
    let text = success(&dir, ["run", "x", "--in", "x=x.npy"]);
    assert!(text.contains("NaN  1.0  inf  …  0.1  7.0  2.0\n"), "{text}");
    assert!(text.contains("min -3.0  mean 1.42  max 7.0  (1 NaN)  (2 infinite)"), "{text}");

    let text = success(&dir, ["run", "x", "--in", "x=x.npy", "--json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["n"], 8);
    let out = &json["outputs"][0];
    assert_eq!(out["first"], serde_json::json!(["NaN", 1.0, "Infinity"]));
    assert_eq!(out["last"], serde_json::json!([0.1, 7.0, 2.0]));
    assert_eq!(
        (&out["min"], &out["max"], &out["nan"], &out["infinite"]),
        (&(-3.0).into(), &7.0.into(), &1.into(), &2.into())
    );
    assert_eq!(out["shape"], serde_json::json!([8]));
    assert!(out["file"].is_null());

    write_f32(dir.join("x.npy"), &[]);
    let json: Value =
        serde_json::from_str(&success(&dir, ["run", "x", "--in", "x=x.npy", "--json"])).unwrap();
    assert!(success(&dir, ["run", "x", "--in", "x=x.npy"]).ends_with("\n  no elements\n"));
    assert!(json["outputs"][0]["min"].is_null() && json["outputs"][0]["first"] == serde_json::json!([]));
}

#[test]
fn the_report_says_what_ran_and_why() {
    let dir = folder("report");
    let args = ["run", "x * 2.0", "--in", "x=uniform:1000:3"];
    for backend in CPU {
        let text = success(&dir, [&args[..], &["--backend", backend, "--json"]].concat());
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["report"]["backend"], backend);
        let backends = json["report"]["backends"].as_array().unwrap();
        let verdict = |name: &str| backends.iter().find(|b| b["backend"] == name).unwrap()["verdict"].clone();
        assert_eq!((verdict(backend), verdict("gpu")), ("chosen".into(), "excluded".into()));
    }
    let text = success(&dir, [&args[..], &["--explain"]].concat());
    for backend in ["gpu", "simd", "threads"] {
        assert!(text.contains(backend), "{text}");
    }
    // The same numbers at every run and on every backend.
    let outs = CPU.map(|backend| {
        success(&dir, [&args[..], &["--backend", backend, "--out", "z.npy"]].concat());
        read_f32(dir.join("z.npy"))
    });
    assert_eq!(outs[0], outs[1]);
    assert_eq!(outs[0].len(), 1000);
}
