//! Checkpoints of loops, used as an adversary would: killed at any moment, cut at any byte, changed at any byte, shared, given away.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use forall::tasks::{Pace, Pool, Random, Retry};
use forall::{Cancel, Error, Progress};
use serde::{Deserialize, Serialize};

/// A directory of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("forall-checkpoint-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn pool() -> Pool {
    Pool::new(2).unwrap()
}

fn spin(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn value(i: u64) -> u64 {
    Random::new(5, i).next_u64()
}

/// The loop over `0..n` and how many items it ran.
fn run(path: &Path, n: u64) -> (Result<Vec<u64>, Error>, usize) {
    let ran = AtomicUsize::new(0);
    let results = pool().over(0..n).checkpoint(path).key("values").map(|i| {
        ran.fetch_add(1, Ordering::Relaxed);
        value(i)
    });
    (results, ran.into_inner())
}

fn expected(n: u64) -> Vec<u64> {
    (0..n).map(value).collect()
}

/// What a file is refused with, before any item runs; it is left as it was.
fn refusal(path: &Path, n: u64) -> String {
    let before = fs::read(path).ok();
    let (results, ran) = run(path, n);
    let error = results.unwrap_err();
    assert!(matches!(error, Error::Checkpoint { .. }), "{error:?}");
    assert_eq!((ran, fs::read(path).ok() == before), (0, true), "{error}");
    error.to_string().replace(&path.display().to_string(), "FILE")
}

#[test]
fn a_finished_loop_is_not_run_again() {
    let scratch = Scratch::new("finished");
    for n in [0, 1, 2, 1000, 100_000] {
        let path = scratch.file(&n.to_string());
        let (results, ran) = run(&path, n);
        assert_eq!((results.unwrap(), ran), (expected(n), n as usize));
        let written = fs::read(&path).unwrap();
        let (results, ran) = run(&path, n);
        assert_eq!((results.unwrap(), ran), (expected(n), 0));
        assert_eq!(fs::read(&path).unwrap(), written);
    }
}

#[test]
fn errors_and_panics_keep_what_is_finished() {
    let scratch = Scratch::new("errors");
    let path = scratch.file("log");
    let ran = Mutex::new(HashSet::new());
    let run = |bad: Option<u64>| {
        let body = |i: u64| {
            spin(Duration::from_micros(30));
            match bad {
                Some(bad) if i == bad && bad.is_multiple_of(2) => panic!("not {i}"),
                Some(bad) if i == bad => Err(format!("not {i}")),
                _ => {
                    assert!(ran.lock().unwrap().insert(i), "{i} runs again");
                    Ok(value(i))
                }
            }
        };
        let progress = Progress::new();
        let results = pool().over(0..500).progress(&progress).checkpoint(&path).try_map(body);
        (results, progress.done())
    };
    let mut before = 0;
    for from in [51, 100, 201, 300] {
        // The other thread may have been ahead of the item that failed, even to the end: a panic takes its time.
        let Some(bad) = (from..500).find(|i| !ran.lock().unwrap().contains(i)) else { break };
        let (results, done) = run(Some(bad));
        match results.unwrap_err() {
            Error::Item { index, message } => {
                assert_eq!(index, bad as usize);
                assert!(message.ends_with(&format!("not {bad}")), "{message}");
            }
            other => panic!("{other}"),
        }
        // Everything that ran is in the file, and only that was counted.
        assert_eq!(ran.lock().unwrap().len(), done);
        assert!(done >= before);
        before = done;
    }
    let (results, done) = run(None);
    assert_eq!((results.unwrap(), done, ran.into_inner().unwrap().len()), (expected(500), 500, 500));
}

#[test]
fn stopped_loops_go_on() {
    let scratch = Scratch::new("stopped");
    let path = scratch.file("log");
    let ran = Arc::new(AtomicUsize::new(0));
    let cancel = Cancel::new();
    let (count, stop) = (Arc::clone(&ran), cancel.clone());
    let body = move |i: u64| {
        spin(Duration::from_micros(100));
        if count.fetch_add(1, Ordering::Relaxed) == 300 {
            stop.cancel();
        }
        value(i)
    };
    let pool = pool();
    let error = pool.over(0..1000).cancel(&cancel).checkpoint(&path).map(&body).unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. }), "{error}");
    let late = pool.over(0..1000).timeout(Duration::from_millis(20)).checkpoint(&path).map(&body);
    assert!(matches!(late.unwrap_err(), Error::TimeLimit { .. }));
    let before = ran.load(Ordering::Relaxed);
    assert!((301..1000).contains(&before));
    assert_eq!(pool.over(0..1000).checkpoint(&path).map(&body).unwrap(), expected(1000));
    assert_eq!(ran.load(Ordering::Relaxed), 1000);
}

#[test]
fn retries_and_limits_hold_for_each_item() {
    let scratch = Scratch::new("care");
    let attempts = Mutex::new(BTreeMap::<u64, usize>::new());
    let over = pool();
    let results = over.over(0..50_u64).retry(Retry::new(1)).checkpoint(scratch.file("log")).try_map(|i| {
        let mut attempts = attempts.lock().unwrap();
        let attempt = attempts.entry(i).or_default();
        *attempt += 1;
        if i % 10 == 3 && *attempt == 1 { Err("once") } else { Ok(value(i)) }
    });
    assert_eq!(results.unwrap(), expected(50));
    assert!(attempts.into_inner().unwrap().iter().all(|(i, n)| *n == 1 + usize::from(i % 10 == 3)));
    let slow =
        over.over(0..3).item_timeout(Duration::from_millis(1)).checkpoint(scratch.file("slow")).map(|i| {
            spin(Duration::from_millis(if i == 1 { 5 } else { 0 }));
            i
        });
    assert!(matches!(slow.unwrap_err(), Error::Item { index: 1, .. }));
}

#[test]
fn a_file_cut_at_any_byte_goes_on_with_what_is_whole() {
    let scratch = Scratch::new("cut");
    let (whole, path) = (scratch.file("whole"), scratch.file("cut"));
    let n = 12;
    run(&whole, n).0.unwrap();
    let bytes = fs::read(&whole).unwrap();
    let mut before = usize::MAX;
    for length in 0..=bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let (results, ran) = run(&path, n);
        assert_eq!(results.unwrap(), expected(n), "cut to {length} bytes");
        assert!(ran <= before.min(n as usize), "cut to {length} bytes");
        before = ran;
        // Whole again: a torn record was cut off before anything was added.
        assert_eq!(run(&path, n).1, 0, "cut to {length} bytes");
        assert_eq!(fs::read(&path).unwrap().len(), bytes.len());
    }
    assert_eq!(before, 0);
}

#[test]
fn a_file_with_any_byte_changed_is_refused() {
    let scratch = Scratch::new("changed");
    let path = scratch.file("log");
    let n = 6;
    run(&path, n).0.unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut kinds = BTreeMap::<String, usize>::new();
    for at in 0..bytes.len() {
        for bit in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            fs::write(&path, &changed).unwrap();
            let message = refusal(&path, n);
            let kind =
                message.split([':', ';']).next().unwrap().trim_end_matches(char::is_numeric).to_owned();
            *kinds.entry(kind).or_default() += 1;
        }
    }
    let kinds: Vec<&str> = kinds.keys().map(String::as_str).collect();
    assert_eq!(
        kinds,
        [
            "checkpoint FILE has a damaged header",
            "checkpoint FILE is a checkpoint of another version of forall",
            "checkpoint FILE is damaged at byte ",
            "checkpoint FILE is no checkpoint",
        ]
    );
    // What the message proposes does go on.
    let mut changed = bytes.clone();
    let last = bytes.len() - 1;
    changed[last] ^= 1;
    fs::write(&path, &changed).unwrap();
    let message = refusal(&path, n);
    let (_, after) = message.split_once("the 5 items before it are whole: cut the file to ").expect(&message);
    let keep: u64 = after.split(' ').next().unwrap().parse().unwrap();
    File::options().write(true).open(&path).unwrap().set_len(keep).unwrap();
    let (results, ran) = run(&path, n);
    assert_eq!((results.unwrap(), ran), (expected(n), 1));
    // The order on the disk is nobody's business, but no item comes twice, and nothing follows that is no record.
    let head = bytes.len() - 6 * RECORD;
    let twice = [&bytes[..], &bytes[bytes.len() - RECORD..]].concat();
    fs::write(&path, twice).unwrap();
    assert!(refusal(&path, n).contains("has item 5 twice"));
    let mut swapped = bytes[..head].to_vec();
    bytes[head..].chunks(RECORD).rev().for_each(|record| swapped.extend(record));
    fs::write(&path, swapped).unwrap();
    assert_eq!(run(&path, n).0.unwrap(), expected(n));
    fs::write(&path, [&bytes[..], &[0; 4096]].concat()).unwrap();
    assert!(refusal(&path, n).contains("is damaged at byte"));
}

/// Bytes of a record: 16 before and 4 after a number of 64 bits, which takes 9 (but for one random one in four thousand million).
const RECORD: usize = 16 + 9 + 4;

#[test]
fn what_belongs_to_something_else_is_refused() {
    let scratch = Scratch::new("foreign");
    let path = scratch.file("log");
    for text in
        ["x", "{\"a\": 1}", "forall", "forall checkpoint 2\n…", "a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"]
    {
        fs::write(&path, text).unwrap();
        let (results, _) = run(&path, 3);
        match text {
            // As far as it goes it is one, just begun.
            "forall" => assert_eq!(results.unwrap(), expected(3)),
            _ => {
                let message = refusal(&path, 3);
                let version = text.starts_with("forall checkpoint 2");
                let known = if version {
                    "is a checkpoint of another version"
                } else {
                    "is no checkpoint; give the path"
                };
                assert!(message.contains(known), "{message}");
            }
        }
    }
    fs::remove_file(&path).unwrap();
    run(&path, 10).0.unwrap();
    let refused = |result: Result<(), Error>| match result.unwrap_err() {
        Error::Checkpoint { message, .. } => message,
        other => panic!("{other}"),
    };
    let never = |_| -> u64 { panic!("an item runs") };
    let next = "delete it to begin anew, or give another path";
    let pool = pool();
    assert_eq!(
        refused(pool.over(0..10_u64).checkpoint(&path).key("valves").map(never).map(drop)),
        format!("is of the loop with key `values`, expected `valves`; {next}")
    );
    assert_eq!(
        refused(pool.over(0..11_u64).checkpoint(&path).key("values").map(never).map(drop)),
        format!("is of a loop over 10 items, expected 11 items; {next}")
    );
    assert_eq!(
        refused(pool.over((0..10_u64).filter(|_| true)).checkpoint(&path).key("values").map(never).map(drop)),
        format!("is of a loop over 10 items, expected an unknown number of items; {next}")
    );
    let other = |_| -> i64 { panic!("an item runs") };
    assert_eq!(
        refused(pool.over(0..10_u64).checkpoint(&path).key("values").map(other).map(drop)),
        format!("has results of type `u64`, expected `i64`; {next}")
    );
    assert_eq!(run(&path, 10).1, 0);
}

#[test]
fn a_type_that_has_changed_under_the_same_name_is_told() {
    let scratch = Scratch::new("changed-type");
    let path = scratch.file("log");
    let pool = pool();
    {
        #[derive(Serialize, Deserialize)]
        struct Fit {
            mean: f64,
            samples: u32,
        }
        pool.over(0..3).checkpoint(&path).map(|samples| Fit { mean: 0.5, samples }).unwrap();
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Fit {
        mean: f64,
        deviation: f64,
    }
    let error = pool.over(0..3).checkpoint(&path).map(|_| -> Fit { panic!("an item runs") }).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("is damaged at byte") && message.contains("missing field `deviation`"),
        "{message}"
    );
}

#[test]
fn results_of_every_shape_come_back_as_they_were() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Outcome {
        Nothing,
        Text(String),
        Fit { mean: f64, bounds: (f32, f32), by_name: BTreeMap<String, Vec<u8>>, note: Option<String> },
    }
    let all = [
        Outcome::Nothing,
        Outcome::Text("\u{0} „…“ 🦀".repeat(1000)),
        Outcome::Fit {
            mean: f64::MIN_POSITIVE / 4.0,
            bounds: (f32::INFINITY, -0.0),
            by_name: [("".to_owned(), vec![]), ("x".to_owned(), vec![0; 100_000])].into(),
            note: None,
        },
    ];
    let scratch = Scratch::new("shapes");
    for again in [false, true] {
        let results = pool().over(&all).checkpoint(scratch.file("log")).map(|outcome| {
            assert!(!again);
            outcome.clone()
        });
        assert_eq!(results.unwrap(), all);
        let nothing = pool().over(0..100).checkpoint(scratch.file("nothing")).map(|_| assert!(!again));
        assert_eq!(nothing.unwrap().len(), 100);
        let numbers = pool().over(0..4).checkpoint(scratch.file("numbers")).map(|i| {
            assert!(!again);
            [f64::NAN, f64::NEG_INFINITY, 0.1 + 0.2, -0.0][i]
        });
        let bits: Vec<u64> = numbers.unwrap().iter().map(|x| x.to_bits()).collect();
        assert_eq!(bits, [f64::NAN, f64::NEG_INFINITY, 0.1 + 0.2, -0.0].map(f64::to_bits));
    }
}

#[test]
fn a_result_that_does_not_come_back_is_told_at_the_first_item() {
    /// Written as a text, read as a number.
    #[derive(Debug, Deserialize)]
    struct Crooked(#[expect(dead_code, reason = "it is never read")] u32);
    impl Serialize for Crooked {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str("a number")
        }
    }
    let scratch = Scratch::new("crooked");
    let error = pool().over(0..10).grain(1).checkpoint(scratch.file("log")).map(Crooked).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("item 0: its result cannot be kept in a file: "), "{message}");
}

#[test]
fn iterators_that_do_not_tell_their_length() {
    let scratch = Scratch::new("unknown");
    let path = scratch.file("log");
    let run = |n: u64, bad: u64| {
        pool().over((0..n).filter(|_| true)).checkpoint(&path).map(|i| {
            assert!(i != bad);
            value(i)
        })
    };
    run(100, 60).unwrap_err();
    assert_eq!(run(100, 101).unwrap(), expected(100));
    assert_eq!(run(100, 0).unwrap(), expected(100));
    // A longer loop is the same one, with more to do.
    assert_eq!(run(150, 0).unwrap(), expected(150));
    for shorter in [1, 149] {
        let error = run(shorter, 0).unwrap_err();
        assert!(
            error.to_string().contains("has results of more items than there are, 150 at least"),
            "{error}"
        );
    }
    assert_eq!(run(150, 0).unwrap(), expected(150));
}

#[test]
fn an_iterator_that_panics_is_told_with_the_index_of_the_item() {
    let scratch = Scratch::new("iterator");
    let path = scratch.file("log");
    for _ in 0..2 {
        let items = (0..100_u64).map(|i| if i == 70 { panic!("no item") } else { i });
        let error = pool().over(items).checkpoint(&path).map(value).unwrap_err();
        assert!(
            matches!(&error, Error::Item { index: 70, message } if message.contains("no item")),
            "{error}"
        );
    }
    assert_eq!(pool().over(0..100).checkpoint(&path).map(value).unwrap(), expected(100));
}

#[test]
fn two_at_once_do_not_share_a_file() {
    let scratch = Scratch::new("two");
    let path = scratch.file("log");
    pool()
        .over(0..1)
        .checkpoint(&path)
        .key("values")
        .map(|_| {
            let before = fs::read(&path).unwrap();
            let (results, ran) = run(&path, 1);
            let error = results.unwrap_err().to_string();
            assert!(error.contains("is in use by another loop"), "{error}");
            assert_eq!((ran, fs::read(&path).unwrap() == before), (0, true));
        })
        .unwrap();
    // Nobody has it any more.
    assert!(refusal(&path, 1).contains("has results of type `()`"));
}

#[test]
fn paths_that_are_no_files_of_ours() {
    let scratch = Scratch::new("paths");
    assert!(refusal(&scratch.0, 1).contains("cannot be opened"));
    assert!(refusal(&scratch.file("no/such/directory"), 1).contains("cannot be opened"));
    #[cfg(unix)]
    assert!(refusal(Path::new("/dev/null"), 1).contains("is no regular file"));
}

#[test]
fn progress_counts_what_is_in_the_file() {
    let scratch = Scratch::new("progress");
    let path = scratch.file("log");
    let progress = Progress::new();
    let most = AtomicUsize::new(0);
    pool()
        .over(0..2000_u64)
        .progress(&progress)
        .checkpoint(&path)
        .map(|i| {
            let reported = progress.done();
            let bytes = fs::metadata(&path).unwrap().len() as usize;
            // Of a record there are 21 bytes at least.
            assert!(reported * 21 <= bytes, "{reported} reported, {bytes} bytes");
            most.fetch_max(reported, Ordering::Relaxed);
            spin(Duration::from_micros(100));
            value(i)
        })
        .unwrap();
    assert_eq!(progress.done(), 2000);
    // How many wait for the next write depends on how fast the disk is.
    assert!(most.into_inner() > 0);
    // What was there counts as done, and not into the rate.
    let told = Arc::new(Mutex::new(Vec::<Pace>::new()));
    let tell = Arc::clone(&told);
    let again = Progress::new();
    let over = pool();
    let loop_ =
        over.over(0..2000_u64).progress(&again).on_progress(move |pace| tell.lock().unwrap().push(*pace));
    loop_.checkpoint(&path).map(value).unwrap();
    assert_eq!(again.done(), 2000);
    let told = told.lock().unwrap();
    let last = told.last().unwrap();
    assert_eq!((last.done(), last.total(), last.rate()), (2000, Some(2000), 0.0));
}

#[test]
fn calls_tell_the_pace_of_a_loop() {
    let told = Arc::new(Mutex::new(Vec::<Pace>::new()));
    let tell = Arc::clone(&told);
    let pool = pool();
    let body = |_| spin(Duration::from_millis(1));
    pool.over(0..500).on_progress(move |pace| tell.lock().unwrap().push(*pace)).for_each(body).unwrap();
    let told = std::mem::take(&mut *told.lock().unwrap());
    let done: Vec<usize> = told.iter().map(Pace::done).collect();
    assert!(done.len() >= 3 && done.is_sorted(), "{done:?}");
    assert!(done[0] >= 1 && done[0] < 100 && done.last() == Some(&500), "{done:?}");
    let took = told.last().unwrap().elapsed().as_millis();
    assert!(done.len() as u128 <= 2 + took / 100, "{done:?} in {took} ms");
    for pace in &told {
        assert_eq!(pace.total(), Some(500));
        assert!((pace.rate() * pace.elapsed().as_secs_f64() / pace.done() as f64 - 1.0).abs() < 1e-6);
        let all = pace.elapsed() + pace.remaining().unwrap();
        let expected = pace.elapsed().as_secs_f64() * 500.0 / pace.done() as f64;
        assert!((all.as_secs_f64() / expected - 1.0).abs() < 1e-3);
    }
    // A call that panics is the last, and the loop goes on; others go on too.
    let (once, count) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (first, second) = (Arc::clone(&once), Arc::clone(&count));
    let results = pool
        .over(0..300)
        .on_progress(move |_| {
            first.fetch_add(1, Ordering::Relaxed);
            panic!("no terminal");
        })
        .on_progress(move |_| _ = second.fetch_add(1, Ordering::Relaxed))
        .map(|i| {
            spin(Duration::from_millis(1));
            i
        });
    assert_eq!(results.unwrap().len(), 300);
    assert_eq!(once.load(Ordering::Relaxed), 1);
    assert!(count.load(Ordering::Relaxed) >= 2);
    // Streams count too, and end by telling how far they got.
    let told = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&told);
    let stream = pool.over(0..100).on_progress(move |pace| *tell.lock().unwrap() = Some(*pace)).imap(|i| i);
    assert_eq!(stream.count(), 100);
    let begun = Instant::now();
    while told.lock().unwrap().is_none_or(|pace: Pace| pace.done() < 100) {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
}

#[test]
fn a_synced_file_is_the_same() {
    let scratch = Scratch::new("sync");
    let (a, b) = (scratch.file("a"), scratch.file("b"));
    let pool = Pool::new(1).unwrap();
    for (path, sync) in [(&a, false), (&b, true)] {
        let checkpoint = pool.over(0..200).checkpoint(path);
        let checkpoint = if sync { checkpoint.sync() } else { checkpoint };
        assert_eq!(checkpoint.map(value).unwrap(), expected(200));
    }
    assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
}

/// Where the child process of the next test works, if this is one.
const CHILD: &str = "FORALL_TEST_CHECKPOINT";
const ITEMS: u64 = 6000;

fn child_value(i: u64) -> u64 {
    // From nothing to a millisecond, so that the file is written item by item here and in batches there.
    let mut random = Random::new(9, i);
    spin(Duration::from_micros(if i % 50 < 40 { random.below(20) } else { random.below(1000) }));
    random.next_u64()
}

/// Prints how many items are done whenever that changes.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let progress = Progress::new();
    let watched = progress.clone();
    std::thread::spawn(move || {
        let mut before = usize::MAX;
        loop {
            let done = watched.done();
            if done != before {
                println!("done {done}");
                before = done;
            }
            std::thread::yield_now();
        }
    });
    let results = pool().over(0..ITEMS).progress(&progress).checkpoint(path).key("child").map(child_value);
    match results {
        Ok(results) => println!("end {}", results.len()),
        Err(error) => println!("done {}\nerror {error}", progress.done()),
    }
}

/// Starts a child, by a shell that runs `before` first.
fn start(path: &Path, before: &str) -> Child {
    let this = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{before} exec \"$0\" --exact child --nocapture")])
        .arg(this)
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What follows `name` in a line of the child. The test harness writes into lines too.
fn said<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(name).map(|(_, rest)| rest)
}

#[test]
#[cfg(unix)]
fn kill_9_loses_no_item_that_was_reported() {
    let scratch = Scratch::new("kill");
    let path = scratch.file("log");
    let mut random = Random::new(std::process::id().into(), 0);
    let (mut reported, mut kills, mut ends) = (0, 0, 0);
    while kills < 50 {
        let mut child = start(&path, "");
        let output = BufReader::new(child.stdout.take().unwrap());
        // Killed so long after its first report, at no moment of the loop's own choosing.
        let after = Duration::from_micros(random.below(15_000));
        let (begin, begun) = mpsc::channel::<()>();
        let killer = std::thread::spawn(move || {
            _ = begun.recv_timeout(Duration::from_secs(60));
            std::thread::sleep(after);
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let mut ended = None;
        for line in output.lines() {
            let line = line.unwrap();
            assert!(said(&line, "error ").is_none(), "{line}");
            ended = ended.or(said(&line, "end ").and_then(|results| results.parse::<u64>().ok()));
            // The last line may be half a line.
            if let Some(done) =
                said(&line, "done ").and_then(|done| done.parse().ok()).filter(|done| *done > 0)
            {
                _ = begin.send(());
                assert!(done >= reported, "{reported} were reported, {done} are there");
                reported = done;
            }
        }
        killer.join().unwrap();
        if let Some(results) = ended {
            // Whoever watches the progress may not have seen the last items.
            assert_eq!(results, ITEMS);
            fs::remove_file(&path).unwrap();
            (reported, ends) = (0, ends + 1);
        } else {
            kills += 1;
        }
    }
    // To the end, in this process: what was reported is not run again.
    let ran = AtomicUsize::new(0);
    let results = pool().over(0..ITEMS).checkpoint(&path).key("child").map(|i| {
        ran.fetch_add(1, Ordering::Relaxed);
        child_value(i)
    });
    let expected: Vec<u64> = (0..ITEMS).map(child_value).collect();
    assert_eq!(results.unwrap(), expected);
    assert!(ran.into_inner() + reported <= ITEMS as usize);
    println!("{kills} kills, {ends} loops that ended before");
}

/// Files of a process may be limited: a write then fails, in the middle of a record, as on a full disk.
#[test]
#[cfg(unix)]
fn a_disk_that_is_full_stops_the_loop_and_loses_nothing() {
    let scratch = Scratch::new("full");
    let path = scratch.file("log");
    let child = start(&path, "trap '' XFSZ; ulimit -f 16;");
    let output = child.wait_with_output().unwrap();
    let output = String::from_utf8_lossy(&output.stdout);
    let error = output.lines().find_map(|line| said(line, "error ")).expect("the loop fails");
    assert!(error.contains("cannot be written (File too large"), "{error}");
    let reported: usize =
        output.lines().filter_map(|line| said(line, "done ")?.parse().ok()).next_back().unwrap();
    // Blocks of `ulimit` have 512 bytes, in some shells 1024.
    let most = 32 * 1024 / RECORD;
    assert!((100..most).contains(&reported), "{reported} of {most}");
    let ran = AtomicUsize::new(0);
    let results = pool().over(0..ITEMS).checkpoint(&path).key("child").map(|i| {
        ran.fetch_add(1, Ordering::Relaxed);
        child_value(i)
    });
    assert_eq!(results.unwrap().len(), ITEMS as usize);
    assert!(ran.into_inner() + reported <= ITEMS as usize);
}
