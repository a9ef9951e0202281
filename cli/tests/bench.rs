//! `forall bench`: that it measures what it is asked for, and what becomes of the results. No time is asserted.

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::{failure, folder, forall, names, success};
use serde_json::Value;

const QUICK: [&str; 6] = ["--time", "0.2", "--sizes", "10..100", "--backends", "simd,threads,auto"];

fn quick<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["bench"], more, &QUICK].concat()
}

#[test]
fn a_table_names_winners_choices_and_regret() {
    let dir = folder("bench_table");
    let text = success(&dir, quick(&["saxpy", "histogram"]));
    for word in [
        "saxpy: ",
        "histogram: ",
        "simd",
        "threads",
        "dispatcher",
        "Gop/s",
        "GF/s",
        "regret: ",
        "all loops: ",
        "*",
        "→",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains("gpu"), "{text}");
    for n in [10, 18, 32, 56, 100] {
        assert_eq!(text.lines().filter(|line| line.starts_with(&format!(" {n:>8} "))).count(), 2, "{text}");
    }
    assert_eq!(names(&dir), [] as [&str; 0]);
    let list = success(&dir, ["bench", "--list"]);
    assert_eq!(list.lines().count(), 14, "{list}");
    assert!(list.starts_with("saxpy "), "{list}");
}

#[test]
fn json_is_a_baseline() {
    let dir = folder("bench_json");
    success(&dir, quick(&["saxpy", "--json", "now.json", "--html", "now.html"]));
    let page = fs::read_to_string(dir.join("now.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("saxpy"));
    failure(&dir, 2, ["bench", "saxpy", "--json", "same", "--html", "./same"]);
    // What is read is not written over, and a comparison of nothing is no success.
    let body = "fn f(x: f32) -> f32 { return x; }";
    fs::write(dir.join("own.wgsl"), body).unwrap();
    failure(&dir, 2, quick(&["own.wgsl", "--json", "./own.wgsl"]));
    failure(&dir, 2, quick(&["own.wgsl", "--html", "own.wgsl"]));
    failure(&dir, 2, quick(&["saxpy", "--html", "now.json", "--baseline", "now.json"]));
    assert_eq!(fs::read_to_string(dir.join("own.wgsl")).unwrap(), body);
    let none = forall(&dir, quick(&["own.wgsl", "--baseline", "now.json"]));
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    assert!(String::from_utf8(none.stdout).unwrap().contains("no point in common"));
    let text = fs::read_to_string(dir.join("now.json")).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["schema"], 1);
    assert!(json["command"][0] == "forall" && json["command"][2] == "saxpy");
    assert_eq!(json["interrupted"], false);
    let sizes = json["loops"][0]["sizes"].as_array().unwrap();
    assert_eq!(
        sizes.iter().map(|size| size["n"].as_u64().unwrap()).collect::<Vec<_>>(),
        [10, 18, 32, 56, 100]
    );
    assert!(sizes.iter().all(|size| size["points"].as_array().unwrap().len() == 2), "{text}");

    // A million times as fast before: everything is slower now, and a call that was disturbed too. A million times as slow: nothing is.
    let mut scaled = |by: f64| {
        for size in json["loops"][0]["sizes"].as_array_mut().unwrap() {
            let points = size["points"].as_array_mut().unwrap().iter_mut().map(|point| &mut point["time"]);
            for time in points {
                for name in ["median", "low", "high"] {
                    time[name] = (time[name].as_f64().unwrap() * by).into();
                }
            }
            size["dispatcher"] = Value::Null;
        }
        fs::write(dir.join("then.json"), json.to_string()).unwrap();
    };
    let against = quick(&["saxpy", "--baseline", "then.json"]);
    scaled(1e-6);
    let output = forall(&dir, &against);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("baseline: 10 points compared") && text.contains("slower: saxpy of 10 on "),
        "{text}"
    );
    assert!(text.contains("nothing is faster"), "{text}");
    scaled(1e12);
    let text = success(&dir, &against);
    assert!(text.contains("nothing is slower") && text.contains("faster: saxpy of 100 on "), "{text}");
}

/// Every sample is a process of its own.
#[test]
fn first_calls_of_processes() {
    let dir = folder("bench_cold");
    let cold = ["--cold", "--sizes", "10..1000", "--time", "3", "--json", "cold.json", "--html", "cold.html"];
    let backends = ["--backends", "simd,threads,auto"];
    let text = success(&dir, [&["bench", "saxpy", "reduce_tree"], &cold[..], &backends].concat());
    assert!(text.contains(" ms") && text.contains("saxpy: ") && !text.contains("roof "), "{text}");
    let json: Value = serde_json::from_str(&fs::read_to_string(dir.join("cold.json")).unwrap()).unwrap();
    assert!(json["schema"] == 1 && json["settings"]["cold"] == true && json["interrupted"] == false);
    let loops = json["loops"].as_array().unwrap();
    assert_eq!(
        loops.iter().map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["saxpy", "reduce_tree"]
    );
    for one in loops {
        let sizes = one["sizes"].as_array().unwrap();
        assert_eq!(sizes.len() + one["skipped"].as_array().unwrap().len(), 9, "{one}");
        assert!(!sizes.is_empty());
        for size in sizes {
            assert_eq!(size["points"].as_array().unwrap().len(), 2, "{size}");
            for time in [&size["points"][0]["time"], &size["points"][1]["time"], &size["dispatcher"]["time"]]
            {
                // Compiling alone takes longer than a warm call; no process takes a minute.
                let median = time["median"].as_f64().unwrap();
                assert!((2e4..6e10).contains(&median) && time["calls"] == 1, "{size}");
            }
        }
    }
    assert!(
        fs::read_to_string(dir.join("cold.html")).unwrap().contains("first call of a process of its own")
    );
    assert_eq!(names(&dir), ["cold.html", "cold.json"]);
    // Warm times are no baseline of cold ones; that is found before anything is measured.
    let error = failure(&dir, 1, quick(&["saxpy", "--baseline", "cold.json"]));
    assert!(
        error.contains("cold.json: got times of first calls, expected those of repeated calls"),
        "{error}"
    );
    success(&dir, quick(&["saxpy", "--json", "warm.json"]));
    let error = failure(&dir, 1, quick(&["saxpy", "--cold", "--baseline", "warm.json"]));
    assert!(error.contains("got times of repeated calls, expected those of first calls"), "{error}");
    let error = failure(&dir, 2, quick(&["reduce_tree", "--cold", "--resident"]));
    assert!(error.contains("--resident"), "{error}");
}

#[test]
fn first_calls_of_ones_own_loops() {
    let dir = folder("bench_cold_own");
    fs::write(dir.join("mine.wgsl"), "fn scale(a: f32, x: f32, i: u32) -> f32 { return a * x + f32(i); }")
        .unwrap();
    let mine = ["mine.wgsl", "--cold", "--in", "a=-2.5", "--in", "i=index"];
    let text = success(&dir, quick(&mine));
    assert!(text.contains("scale: mine.wgsl") && text.contains("8.00 bytes, 2.00 FLOP"), "{text}");
    let reduce = format!("{}/../shaders/reduce_tree.wgsl", env!("CARGO_MANIFEST_DIR"));
    let bound =
        [&reduce, "--cold", "--bind", "input=uniform:N", "--bind", "sums=zeros:N/4096", "--grid", "N/4096"];
    let text = success(&dir, quick(&bound));
    assert!(text.contains("reduce_tree: ") && !text.contains("not measured"), "{text}");
    // The question is not for people; what is wrong with it is told all the same.
    let error = failure(&dir, 2, ["bench", "saxpy", "--first-call", "{}"]);
    assert!(error.contains("--first-call: missing field"), "{error}");
    assert!(!success(&dir, ["bench", "--help"]).contains("first-call"));
}

#[test]
fn a_baseline_that_is_none_is_an_error_at_once() {
    let dir = folder("bench_baseline");
    let newer = "{\"schema\": 99, \"loops\": 3}";
    for (name, text, says) in [
        ("newer.json", newer, "newer.json: got results of schema 99, expected 1"),
        ("other.json", "{\"a\": 1}", "expected what `forall bench --json` writes"),
        ("broken.json", "{\"schema\": 1", "expected what `forall bench --json` writes"),
    ] {
        fs::write(dir.join(name), text).unwrap();
        let error = failure(&dir, 1, ["bench", "saxpy", "--baseline", name]);
        assert!(error.contains(says), "{error}");
    }
    failure(&dir, 1, ["bench", "saxpy", "--baseline", "none.json"]);
    failure(&dir, 1, ["bench", "saxpy", "--json", "nowhere/x.json"]);
}

#[test]
fn functions_of_ones_own() {
    let dir = folder("bench_file");
    let body =
        "fn scale(a: f32, x: vec2<f32>, i: u32, k: i32) -> vec2<f32> { return a * x + f32(i32(i) + k); }";
    fs::write(dir.join("mine.wgsl"), body).unwrap();
    let text = success(&dir, quick(&["mine.wgsl", "--in", "a=2.5", "--in", "i=index"]));
    // Two numbers read and two written, and one of `k`.
    assert!(text.contains("scale: mine.wgsl") && text.contains("20.0 bytes"), "{text}");
    for (inputs, says) in [
        ("z=1", "no such parameter"),
        ("a=uniform:5", "expected a number or index"),
        ("k=0.5", "is no i32"),
        ("x=1", "the parameter is a vec2<f32>"),
        ("a", "expected NAME=VALUE"),
    ] {
        let error = failure(&dir, 2, quick(&["mine.wgsl", "--in", inputs]));
        assert!(error.contains(says), "{error}");
    }
    assert!(failure(&dir, 2, quick(&["mine.wgsl", "--grid", "N"])).contains("--grid is for compute shaders"));
    let text = success(&dir, quick(&["sqrt(a*x + 1.5)", "--in", "a=2.5"]));
    assert!(text.contains("sqrt(a*x + 1.5): of f32: a, x"), "{text}");
    fs::write(dir.join("broken.wgsl"), "fn f( -> f32 {}").unwrap();
    failure(&dir, 2, ["bench", "broken.wgsl"]);
}

#[test]
fn shaders_of_ones_own() {
    let dir = folder("bench_shader");
    let reduce = format!("{}/../shaders/reduce_tree.wgsl", env!("CARGO_MANIFEST_DIR"));
    let bound = [&reduce, "--bind", "input=uniform:N", "--bind", "sums=zeros:N/4096", "--grid", "N/4096"];
    let text = success(&dir, quick(&bound));
    assert!(
        text.contains("reduce_tree: ") && text.contains("4.04 bytes") && text.contains("regret: "),
        "{text}"
    );
    success(&dir, quick(&[&bound[..], &["--resident"]].concat()));
    for (args, says) in [
        (&bound[..5], "how much to run?"),
        (&[&reduce, "--grid", "N"], "--bind input=FILE.npy"),
        (&[&reduce, "--grid", "N/x"], "expected a number of elements"),
        (&[&reduce, "--in", "x=1"], "--in is for functions"),
        (&["saxpy", "--bind", "x=1"], "--bind is for a FILE.wgsl"),
    ] {
        let error = failure(&dir, 2, quick(args));
        assert!(error.contains(says), "{error}");
    }
    // What a call leaves is not taken for a wrong answer of the next contender.
    let counter = "@group(0) @binding(0) var<storage, read_write> n: array<atomic<u32>>;
        @compute @workgroup_size(64) fn count() { atomicAdd(&n[0], 1u); }";
    fs::write(dir.join("counter.wgsl"), counter).unwrap();
    let text = success(&dir, quick(&["counter.wgsl", "--bind", "n=zeros:1", "--invocations", "N"]));
    assert!(!text.contains("not those of simd"), "{text}");
}

#[test]
fn what_makes_no_sense_is_bad_usage() {
    let dir = folder("bench_usage");
    let error = failure(&dir, 2, ["bench", "saxpi"]);
    assert!(
        error.contains("neither a shipped loop nor a .wgsl file; did you mean saxpy? The loops are saxpy "),
        "{error}"
    );
    for args in [
        &["saxpy", "saxpy"][..],
        &["saxpy", "all"],
        &["saxpy", "--sizes", "100..10"],
        &["saxpy", "--sizes", "0..10"],
        &["saxpy", "--backends", "cuda"],
        &["saxpy", "--time", "0"],
        &["saxpy", "--in", "a=1"],
    ] {
        failure(&dir, 2, [&["bench"], args].concat());
    }
    let only = forall(&dir, ["bench", "saxpy", "--sizes", "10", "--time", "0.1", "--backends", "gpu"]);
    let error = String::from_utf8(only.stderr).unwrap();
    // Where there is a GPU it is measured.
    assert!(only.status.success() || error.contains("nothing was measured; gpu: "), "{error}");
    let error = failure(&dir, 2, ["bench", "saxpy", "--threads", "9999"]);
    assert!(error.contains("--threads") && error.contains("1 to 1024"), "{error}");
    let error = failure(&dir, 2, ["bench", "saxpy", "--threads", "1,2", "--json", "x.json"]);
    assert!(error.contains("one number of --threads"), "{error}");
    failure(&dir, 2, ["bench", "saxpy", "--threads", "0"]);
    let error = failure(&dir, 2, ["bench", "saxpy", "--resident"]);
    assert!(error.contains("is a function") && error.contains("reduce_tree"), "{error}");
    success(&dir, quick(&["reduce_tree", "--resident"]));
    assert_eq!(names(&dir), [] as [&str; 0]);
}

#[test]
fn each_number_of_threads_has_a_process() {
    let dir = folder("bench_threads");
    let text = success(&dir, quick(&["saxpy", "--threads", "1,3"]));
    assert!(text.contains(", 1 thread; ") && text.contains(", 3 threads; "), "{text}");
    success(&dir, quick(&["saxpy", "--threads=2", "--json", "two.json"]));
    let json: Value = serde_json::from_str(&fs::read_to_string(dir.join("two.json")).unwrap()).unwrap();
    assert_eq!(json["machine"]["threads"], 2);
}

/// Ctrl-C, as a terminal sends it: to the command and the processes that it has started.
#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_measured() {
    use std::os::unix::process::CommandExt;

    let dir = folder("bench_interrupt");
    let start = |more: &[&str], json: &str| {
        Command::new(env!("CARGO_BIN_EXE_forall"))
            .args(["bench", "saxpy", "mandelbrot", "--time", "600", "--backends", "simd", "--json", json])
            .args(more)
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap()
    };
    let running = [(start(&[], "part.json"), "part.json"), (start(&["--cold"], "cold.json"), "cold.json")];
    std::thread::sleep(std::time::Duration::from_secs(4));
    for (child, json) in running {
        let group = format!("-{}", child.id());
        assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(130), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("saxpy: ") && text.contains("interrupted: "), "{text}");
        let json: Value = serde_json::from_str(&fs::read_to_string(dir.join(json)).unwrap()).unwrap();
        assert!(json["interrupted"] == true && !json["loops"].as_array().unwrap().is_empty());
    }
}
