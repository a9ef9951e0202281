//! `forall check`: what it compares, what it says where backends differ, and that it ends.

mod common;

use std::fs;

use common::{failure, folder, forall, names, success, write_f32};
use serde_json::Value;

fn shipped(name: &str) -> String {
    format!("{}/../shaders/{name}.wgsl", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn functions_agree_at_every_level() {
    let dir = folder("check_function");
    let body = "fn f(x: f32, y: f32, k: i32, m: u32) -> f32 { return sin(x) / y + f32(k / i32(m)) * fma(x, y, 1.0); }";
    let text = success(&dir, ["check", body, "--size", "3000", "--backend", "threads"]);
    assert!(text.starts_with("f: backends and reference agree\n"), "{text}");
    assert!(text.contains("simd ") && text.contains("threads ") && !text.contains("gpu"), "{text}");
    assert!(text.contains("out: 3000 numbers, the same"), "{text}");
    assert!(text.ends_with("over 1, 17, 1023, 3000 elements; seed 0\n"), "{text}");
    // The same again.
    assert_eq!(success(&dir, ["check", body, "--size", "3000", "--backend", "threads"]), text);
    write_f32(dir.join("x.npy"), &[1.0, 2.0, 3.0]);
    let text = success(&dir, ["check", body, "--in", "x=x.npy", "--in", "k=3", "--backend", "simd"]);
    assert!(text.contains("out: 3 numbers") && text.contains("over 3 elements"), "{text}");
    let text = success(&dir, ["check", "sqrt(x) * y", "--in", "y=2", "--backend", "simd"]);
    assert!(text.starts_with("sqrt(x) * y: backends and reference agree\n"), "{text}");
    // A setting that nobody reads is told.
    let mut misspelt = std::process::Command::new(env!("CARGO_BIN_EXE_forall"));
    let output = misspelt.args(["check", "x"]).env("FORALL_THREAD", "1").output().unwrap();
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && warning.contains("FORALL_THREAD is no variable"), "{warning}");
    let error = failure(&dir, 2, ["check", body, "--in", "z=1"]);
    assert!(error.contains("f has no such parameter"), "{error}");
    success(&dir, ["check", &shipped("black_scholes"), "--size", "1", "--seed", "3"]);
}

#[test]
fn shaders_agree_at_every_level() {
    let dir = folder("check_shader");
    for (name, more) in [
        ("reduce_tree", &[][..]),
        ("histogram", &[]),
        ("game_of_life", &[]),
        ("jacobi", &[]),
        ("matmul_tiled", &["--size", "1600"]),
        ("bitonic_sort", &["--entry", "sort_tiles", "--grid", "3", "--size", "2500"]),
        ("fft_stockham", &["--entry", "radix_4"]),
        ("prefix_scan", &["--grid", "2", "--size", "3000"]),
    ] {
        let shader = shipped(name);
        let args = ["check", &shader, "--backend", "threads", "--time-limit", "100"];
        let text = success(&dir, [&args[..], more].concat());
        assert!(text.contains("backends and reference agree"), "{text}");
    }
}

const RACE: &str = "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @compute @workgroup_size(64) fn race(@builtin(global_invocation_id) id: vec3u) {
        x[arrayLength(&x) - 1 - id.x] = x[id.x] + 1u;
    }";

#[test]
fn a_race_differs_with_a_hint() {
    let dir = folder("check_race");
    fs::write(dir.join("race.wgsl"), RACE).unwrap();
    let output = forall(&dir, ["check", "race.wgsl", "--size", "64", "--backend", "simd"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("race: backends and reference DIFFER\n"), "{text}");
    assert!(
        text.contains("; the first is number ") && text.contains("without a barrier between them"),
        "{text}"
    );
    assert!(text.contains("x, number ") && text.contains(" before (made)"), "{text}");
    let output = forall(&dir, ["check", "race.wgsl", "--size", "64", "--backend", "simd", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["agrees"], false);
    let simd = &json["runs"][0];
    assert!(
        simd["outputs"][0]["differing"].as_u64() > Some(0) && simd["outputs"][0]["first"]["got"].is_string()
    );
    assert_eq!(names(&dir), ["race.wgsl"]);
}

#[test]
fn what_never_ends_is_stopped_and_what_is_wrong_is_said() {
    let dir = folder("check_ends");
    let endless = "@group(0) @binding(0) var<storage, read_write> x: atomic<u32>;
        @compute @workgroup_size(1) fn wait() { while atomicLoad(&x) == 0u {} }";
    let error = failure(&dir, 1, ["check", endless, "--time-limit", "0.2", "--backend", "simd"]);
    assert!(error.contains("stopped after the time limit of 200ms") && error.contains("--bind"), "{error}");
    success(&dir, ["check", endless, "--bind", "x=1", "--backend", "simd"]);
    let error = failure(
        &dir,
        1,
        [
            "check",
            "fn f(x: u32) -> u32 { loop { if x == x { continue; } break; } return x; }",
            "--time-limit",
            "0.2",
        ],
    );
    assert!(error.contains("stopped") && error.contains("--in"), "{error}");
    for (args, expected) in [
        (&["check"][..], "BODY"),
        (&["check", RACE, "--in", "x=1"], "takes --entry and --bind"),
        (&["check", "fn f(x: f32) -> f32 { return x; }", "--grid", "1"], "--grid is for compute shaders"),
        (&["check", "fn f(x: f32) -> f32 { return y; }"], "y"),
        (&["check", "x + "], "expected expression"),
        (&["check", RACE, "--size", "many"], "number of elements"),
        (&["check", RACE, "--size", "1e12"], "at most 268435456"),
        (&["check", RACE, "--time-limit=-1"], "above 0"),
        (&["check", RACE, "--bind", "y=1"], "there is no variable `y`"),
    ] {
        let error = failure(&dir, 2, args);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
    let output = forall(&dir, ["check", RACE, "--in", "x=1", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &json["error"]["exit"]), (Some(2), &2.into()));
}
