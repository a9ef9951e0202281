//! `forall tune`, and the profile that it keeps. What the numbers are is the machine's business.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{folder, forall, names};
use serde_json::Value;

/// The command in a folder, with these settings and none of the caller's.
fn tune(dir: &Path, settings: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forall"));
    for name in
        ["CI", "FORALL_PROFILE", "FORALL_BACKEND", "FORALL_THREADS", "XDG_CACHE_HOME", "RUST_BACKTRACE"]
    {
        command.env_remove(name);
    }
    command.env("HOME", dir).envs(settings.iter().copied());
    command.args(args).current_dir(dir).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_machine_in_words() {
    let dir = folder("tune_words");
    let settings = [("FORALL_PROFILE", "profile.json")];
    let profile = || String::from_utf8(tune(&dir, &settings, &["devices"]).stdout).unwrap();
    assert!(profile().contains("profile  profile.json: not there"), "{}", profile());
    let output = tune(&dir, &settings, &["tune"]);
    assert!(profile().contains("profile  profile.json of 20"), "{}", profile());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for word in ["cpu ", "calls ", "memory ", "GB/s", "operations ", "ns", "gpu ", "saved       profile.json"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    assert_eq!(names(&dir), ["profile.json"], "no temporary file, and no mark of a probe");
}

#[test]
fn the_machine_as_json() {
    let dir = folder("tune_json");
    let settings = [("FORALL_PROFILE", "profile.json"), ("FORALL_THREADS", "2")];
    let object = json(&tune(&dir, &settings, &["tune", "--json"]));
    assert_eq!(object["saved"], "profile.json");
    assert_eq!(object["not_saved"], Value::Null);
    let cpu = &object["machine"]["cpu"];
    assert_eq!(cpu["threads"], 2);
    assert!(cpu["call_ns"].as_f64().unwrap() > 0.0);
    assert!(cpu["bandwidth"].as_array().unwrap().iter().all(|rate| rate.as_f64().unwrap() > 0.0));
    assert!((1.0..=2.0).contains(&cpu["speed_up"].as_f64().unwrap()));
    // What is in the file is what was shown.
    let file: Value = serde_json::from_slice(&fs::read(dir.join("profile.json")).unwrap()).unwrap();
    assert_eq!(file["cpus"][0]["facts"], *cpu);
    assert_eq!(file["cpus"][0]["key"]["threads"], 2);
    // Another number of threads is another machine; the same one replaces its entry.
    json(&tune(&dir, &[("FORALL_PROFILE", "profile.json"), ("FORALL_THREADS", "1")], &["tune", "--json"]));
    json(&tune(&dir, &settings, &["tune", "--json"]));
    let file: Value = serde_json::from_slice(&fs::read(dir.join("profile.json")).unwrap()).unwrap();
    assert_eq!(file["cpus"].as_array().unwrap().len(), 2);
    assert_eq!(forall(&dir, ["tune", "--jsom"]).status.code(), Some(2));
}

#[test]
fn nothing_is_written_that_should_not_be() {
    let dir = folder("tune_not");
    let empty = names(&dir);
    for (settings, why) in [
        (&[("FORALL_PROFILE", "off")][..], "FORALL_PROFILE=off"),
        (&[("FORALL_PROFILE", "readonly")], "FORALL_PROFILE=readonly"),
        (&[("CI", "true")], "CI is set"),
        (&[("CI", "1"), ("FORALL_PROFILE", "profile.json")], "CI is set"),
        (&[("FORALL_PROFILE", "/dev/full")], "/dev/full"),
        (&[("FORALL_PROFILE", ".")], "ordinary"),
    ] {
        let object = json(&tune(&dir, settings, &["tune", "--json"]));
        assert_eq!(object["saved"], Value::Null, "{settings:?}");
        assert!(object["not_saved"].as_str().unwrap().contains(why), "{object}");
        assert!(object["machine"]["cpu"]["call_ns"].as_f64().unwrap() > 0.0);
        assert_eq!(names(&dir), empty, "{settings:?}");
    }
    // An empty or false CI is none.
    for ci in ["", "false"] {
        let object =
            json(&tune(&dir, &[("CI", ci), ("FORALL_PROFILE", "profile.json")], &["tune", "--json"]));
        assert_eq!(object["saved"], "profile.json");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn by_default_it_is_kept_where_caches_are() {
    let dir = folder("tune_cache");
    json(&tune(&dir, &[], &["tune", "--json"]));
    assert!(dir.join(".cache/forall/profile.json").is_file());
    let xdg = dir.join("xdg");
    json(&tune(&dir, &[("XDG_CACHE_HOME", xdg.to_str().unwrap())], &["tune", "--json"]));
    assert!(xdg.join("forall/profile.json").is_file());
}

#[test]
fn whatever_the_profile_is_loops_run_and_tune_replaces_it() {
    let dir = folder("tune_hostile");
    common::write_f32(dir.join("x.npy"), &[1.0; 200_000]);
    // Long enough that the facts are wanted.
    let loop_of = ["run", "sin(x) + cos(x) * exp(x)", "--in", "x=x.npy", "--out", "y.npy"];
    for text in ["", "{", "null", "{\"version\": 1, \"cpus\": [{\"key\": {}}]}", "\u{0}\u{0}"] {
        fs::write(dir.join("profile.json"), text).unwrap();
        let settings = [("FORALL_PROFILE", "profile.json")];
        let output = tune(&dir, &settings, &loop_of);
        assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
        json(&tune(&dir, &settings, &["tune", "--json"]));
        assert!(fs::metadata(dir.join("profile.json")).unwrap().len() > 500);
    }
}
