//! The guides in `docs/` show files that are compiled and tested: every block of code is the text of one of them.

use std::fs;
use std::path::{Path, PathBuf};

/// The texts between ``` lines.
fn blocks(text: &str) -> Vec<&str> {
    text.split("\n```").skip(1).step_by(2).map(|block| block.split_once('\n').expect("a line").1).collect()
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn the_ci_guide_shows_the_crate_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("docs/testing-shaders-in-ci.md")).unwrap();
    let mut blocks = blocks(&guide);
    let mut paths = Vec::new();
    files(&root.join("docs/ci-guide"), &mut paths);
    assert_eq!(paths.len(), 5, "{paths:?}");
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let shown = blocks.iter().position(|block| *block == text.trim_end());
        let shown = shown.unwrap_or_else(|| panic!("the guide does not show {} as it is", path.display()));
        blocks.remove(shown);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(guide.contains(&format!("{name}`:")), "the guide names {name}");
    }
    // The profile, which only the root of a workspace may set.
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    assert!(manifest.contains(blocks[0]), "{}", blocks[0]);
    assert_eq!(blocks.len(), 1, "{blocks:?}");
}
