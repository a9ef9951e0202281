//! Whatever lies where the profile should be: no error, no panic, no wait, and nothing believed that could not be.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A folder of a test's own.
fn folder(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("forall-profile-{}-{test}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a folder for the test");
    path
}

fn key(threads: usize) -> CpuKey {
    CpuKey::here(threads)
}

#[test]
fn what_is_saved_is_loaded_by_who_has_the_same_key() {
    let path = folder("saved").join("a/b/profile.json");
    let facts = CpuFacts::assumed(3);
    save_cpu(&path, key(3), facts).expect("saves");
    let (loaded, saved) = load_cpu(&path, &key(3)).expect("loads");
    assert_eq!(loaded, facts);
    assert!(saved > 1_700_000_000);
    for other in [
        key(4),
        CpuKey { library: "0.0.0".to_owned(), ..key(3) },
        CpuKey { build: "another".to_owned(), ..key(3) },
        CpuKey { model: "another".to_owned(), ..key(3) },
        CpuKey { level: "another".to_owned(), ..key(3) },
    ] {
        assert_eq!(load_cpu(&path, &other), None, "{other:?}");
    }
    // Machines share a file; each replaces its own entry only.
    save_cpu(&path, key(4), CpuFacts::assumed(4)).expect("saves");
    save_cpu(&path, key(3), CpuFacts { call_ns: 77.0, ..facts }).expect("saves");
    assert_eq!(load_cpu(&path, &key(3)).expect("loads").0.call_ns, 77.0);
    assert_eq!(load_cpu(&path, &key(4)).expect("loads").0, CpuFacts::assumed(4));
    // And the file does not grow for ever.
    for threads in 5..5 + 2 * MOST_ENTRIES {
        save_cpu(&path, key(threads), CpuFacts::assumed(threads)).expect("saves");
    }
    assert_eq!(read(&path).cpus.len(), MOST_ENTRIES);
    assert!(fs::metadata(&path).expect("is there").len() < MOST_BYTES);
    let left: Vec<_> = fs::read_dir(path.parent().expect("a folder")).expect("reads").collect();
    assert_eq!(left.len(), 1, "temporary files are gone: {left:?}");
}

#[test]
fn nonsense_is_as_good_as_nothing_and_is_replaced() {
    let path = folder("nonsense").join("profile.json");
    save_cpu(&path, key(2), CpuFacts::assumed(2)).expect("saves");
    let good = fs::read_to_string(&path).expect("reads");
    let mut texts: Vec<Vec<u8>> =
        (0..good.trim_end().len()).step_by(7).map(|end| good.as_bytes()[..end].to_vec()).collect();
    texts.extend(
        [
            "null",
            "[]",
            "{}",
            "42",
            "{\"version\": 1}",
            "{\"version\": 1, \"cpus\": 3}",
            "{\"version\": 1, \"cpus\": [{}]}",
            "\u{feff}{\"version\": 1}",
        ]
        .map(|text| text.as_bytes().to_vec()),
    );
    texts.push(vec![0xff; 100]);
    texts.push(vec![0; 4096]);
    texts.push("[".repeat(100_000).into_bytes());
    texts.push(good.replace("\"version\": 1", "\"version\": 2").into_bytes());
    // Larger than any profile, however right it is.
    texts.push((good.clone() + &" ".repeat(MOST_BYTES as usize)).into_bytes());
    for (name, value) in [
        ("call_ns", "-1.0"),
        ("call_ns", "1e999"),
        ("call_ns", "null"),
        ("call_ns", "\"fast\""),
        ("speed_up", "3.0"),
        ("simple", "0.0"),
        ("flops_per_ns", "1e300"),
        ("threads", "1000000000"),
        ("threads", "-1"),
    ] {
        let changed = good.replacen(&format!("\"{name}\": "), &format!("\"{name}\": {value}, \"was\": "), 9);
        assert_ne!(changed, good);
        texts.push(changed.into_bytes());
    }
    for text in texts {
        fs::write(&path, &text).expect("writes");
        assert_eq!(load_cpu(&path, &key(2)), None, "{}", String::from_utf8_lossy(&text));
        save_cpu(&path, key(2), CpuFacts::assumed(2)).expect("replaces it");
        assert!(load_cpu(&path, &key(2)).is_some());
    }
}

#[test]
fn what_is_no_file_is_left_alone() {
    let folder = folder("no_file");
    // A folder in its place, a folder that is a file, and no name at all.
    let file = folder.join("file");
    fs::write(&file, "mine").expect("writes");
    for path in [folder.clone(), file.join("profile.json"), PathBuf::new(), PathBuf::from("/")] {
        assert_eq!(load_cpu(&path, &key(2)), None);
        assert!(save_cpu(&path, key(2), CpuFacts::assumed(2)).is_err(), "{}", path.display());
    }
    assert_eq!(fs::read(&file).expect("is there"), b"mine");
    #[cfg(target_os = "linux")]
    {
        let pipe = folder.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
        assert!(made.success());
        for path in [pipe.as_path(), Path::new("/dev/full"), Path::new("/dev/zero"), Path::new("/dev/null")] {
            assert_eq!(load_cpu(path, &key(2)), None);
            assert!(save_cpu(path, key(2), CpuFacts::assumed(2)).is_err(), "{}", path.display());
            assert!(!fs::metadata(path).expect("is there").is_file());
        }
    }
}

#[test]
fn writers_and_readers_at_once_see_a_whole_file() {
    let path = folder("at_once").join("profile.json");
    save_cpu(&path, key(1), CpuFacts::assumed(1)).expect("saves");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Processes have temporary files of their own; threads of one have not, and one at a time saves.
        scope.spawn(|| {
            for round in 0..200 {
                save_cpu(&path, key(1 + round % 3), CpuFacts::assumed(1 + round % 3)).expect("saves");
            }
            done.store(true, Ordering::Relaxed);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(load_cpu(&path, &key(1)).is_some(), "the entry is never missing");
                }
            });
        }
    });
}

#[test]
fn the_environment_says_what_may_be_done() {
    let cache = || Some(PathBuf::from("/cache"));
    let path = || PathBuf::from("/cache").join("forall").join("profile.json");
    let of = |setting: Option<&str>, ci| Access::of(setting.map(OsStr::new), ci, cache);
    assert_eq!(of(None, false), Access::Full(path()));
    assert_eq!(of(Some(""), false), Access::Full(path()));
    assert_eq!(of(None, true), Access::ReadOnly(path(), "CI is set"));
    assert_eq!(of(Some("off"), false), Access::Off("FORALL_PROFILE=off"));
    assert_eq!(of(Some("off"), true), Access::Off("FORALL_PROFILE=off"));
    assert_eq!(of(Some("readonly"), false), Access::ReadOnly(path(), "FORALL_PROFILE=readonly"));
    assert_eq!(of(Some("/x/y.json"), false), Access::Full("/x/y.json".into()));
    assert_eq!(of(Some("/x/y.json"), true), Access::ReadOnly("/x/y.json".into(), "CI is set"));
    // No home, no caches: nothing is kept, and loops run.
    for setting in [None, Some("readonly")] {
        let access = Access::of(setting.map(OsStr::new), false, || None);
        assert!(access.path().is_none() && access.writable().is_err(), "{access:?}");
    }
    assert_eq!(Access::of(Some(OsStr::new("here.json")), false, || None), Access::Full("here.json".into()));
}
