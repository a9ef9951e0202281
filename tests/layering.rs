//! Holds the source to the picture in ARCHITECTURE.md: imports go strictly down, siblings never import each other, and each
//! outside crate has one home. Read from the source text, so a `use` that breaks the house fails here and not in a review.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `src/`, from the top. A file may import from rooms further down, and from its own.
const ROWS: &[&[&str]] = &[
    &["bench"],
    &["tasks"],
    &["dispatch"],
    &["exec"],
    &["launch"],
    &["kernel"],
    &["part", "array"],
    &["spmd"],
    &["cpu"],
    &["element"],
    &["error"],
    &["backend", "cancel", "date"],
];

/// Inside a room, the same rule again. `mod.rs` ties its room together and is exempt.
const INNER: &[(&str, &[&[&str]])] = &[
    ("exec", &[&["shader"], &["gpu", "simd", "threads"]]),
    ("spmd", &[&["block", "lower", "passes"], &["oracle"], &["math", "memory"], &["ir"], &["grid"]]),
];

/// Outside crates and the only files that may name them.
const HOMES: &[(&str, &[&str])] = &[
    ("naga", &["kernel/", "spmd/lower"]),
    ("wgpu", &["exec/gpu"]),
    ("pollster", &["exec/gpu"]),
    ("rayon", &["exec/threads"]),
    ("rustix", &["exec/threads"]),
    ("crc32fast", &["tasks/journal"]),
    ("rmp_serde", &["tasks/checkpoint"]),
    ("indicatif", &["tasks/bar"]),
    ("wide", &["kernel/closure", "element"]),
    ("etcetera", &["dispatch/machine/profile"]),
    ("fearless_simd", &["cpu", "spmd/math", "spmd/block", "kernel/closure"]),
];

/// `(path below src without .rs, code without comments and without test modules)`.
fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("sources are UTF-8");
            let name = path.strip_prefix(&root).expect("below src").with_extension("");
            (name.to_string_lossy().replace('\\', "/"), code_of(&text))
        })
        .collect()
}

/// The text without line comments and without what `#[cfg(test)]` stands before.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            match lines.peek() {
                Some(next) if next.trim_start().starts_with("mod ") && next.ends_with('{') => break,
                _ => {
                    lines.next();
                    continue;
                }
            }
        }
        code.push_str(line.split("//").next().unwrap_or_default());
        code.push('\n');
    }
    code
}

/// Whether a file holds tests only, by its name.
fn is_test(name: &str) -> bool {
    name.split('/').any(|part| matches!(part, "tests" | "testing" | "cts" | "differential"))
}

/// Every identifier that follows `prefix` in `code`, also inside `prefix{a, b::c}`.
fn named_after<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let parts = rest.strip_prefix('{').map_or(vec![rest], |inner| top_level(&inner[..closing(inner)]));
        for part in parts {
            let part = part.trim_start();
            let end = part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.len());
            if end > 0 {
                found.push(&part[..end]);
            }
        }
    }
    found
}

/// Where the brace that is already open closes.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Splits at commas outside braces.
fn top_level(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[from..]);
    parts
}

fn rank(rows: &[&[&str]], room: &str) -> Option<usize> {
    rows.iter().position(|row| row.contains(&room))
}

#[test]
fn every_room_has_a_row() {
    for (name, _) in sources() {
        let room = name.split('/').next().expect("split yields one part");
        assert!(
            room == "lib" || rank(ROWS, room).is_some(),
            "src/{name}.rs: `{room}` is in no row of the picture"
        );
    }
}

#[test]
fn imports_go_down() {
    let mut wrong = Vec::new();
    for (name, code) in sources() {
        let room = name.split('/').next().expect("split yields one part");
        let (Some(own), false) = (rank(ROWS, room), is_test(&name)) else { continue };
        for target in named_after(&code, "crate::") {
            if target != room && rank(ROWS, target).is_some_and(|other| other <= own) {
                wrong.push(format!("src/{name}.rs imports crate::{target}, which is not below `{room}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn siblings_do_not_import_each_other() {
    let mut wrong = Vec::new();
    for (name, code) in sources() {
        let mut path = name.split('/');
        let (Some(room), Some(own)) = (path.next(), path.next()) else { continue };
        let Some((_, rows)) = INNER.iter().find(|(inner, _)| *inner == room) else { continue };
        if own == "mod" || is_test(&name) {
            continue;
        }
        let own_rank =
            rank(rows, own).unwrap_or_else(|| panic!("src/{name}.rs: `{own}` has no row in `{room}`"));
        for target in named_after(&code, &format!("crate::{room}::")) {
            if target != own && rank(rows, target).is_some_and(|other| other <= own_rank) {
                wrong.push(format!(
                    "src/{name}.rs imports crate::{room}::{target}, which is not below `{own}`"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_crate_has_one_home() {
    let mut wrong = Vec::new();
    for (name, code) in sources() {
        if is_test(&name) {
            continue;
        }
        for (outside, homes) in HOMES {
            let used = !named_after(&code, &format!("{outside}::")).is_empty();
            if used && !homes.iter().any(|home| name.starts_with(home)) {
                wrong.push(format!("src/{name}.rs names `{outside}`, whose home is {}", homes.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_reads_groups() {
    let code = "use crate::{error::Error, kernel::{map, wgsl}};\nlet x = crate::part::Part; mycrate::exec;";
    assert_eq!(named_after(code, "crate::"), ["error", "kernel", "part"]);
    assert_eq!(code_of("a // crate::exec\n#[cfg(test)]\nmod tests {\nb\n}\n"), "a \n");
}
