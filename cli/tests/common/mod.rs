//! What the tests of the command share: a folder of their own, `.npy` files written and read by other code than the command's,
//! and the command itself.

#![allow(dead_code, reason = "no test file uses all of it")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A fresh, empty folder.
pub(crate) fn folder(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A version 1.0 file as NumPy writes it.
pub(crate) fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + dict.len() + 1) % 64 != 0 {
        dict.push(' ');
    }
    dict.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((dict.len() as u16).to_le_bytes());
    file.extend(dict.bytes());
    file.extend(data);
    file
}

pub(crate) fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

pub(crate) fn write_f32(path: impl AsRef<Path>, values: &[f32]) {
    fs::write(path, npy("<f4", &format!("({},)", values.len()), &f32s(values))).unwrap();
}

/// The type, shape and data of a file.
pub(crate) fn read(path: impl AsRef<Path>) -> (String, String, Vec<u8>) {
    let file = fs::read(path).unwrap();
    assert_eq!(file[..8], *b"\x93NUMPY\x01\x00");
    let start = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    let dict = std::str::from_utf8(&file[10..start]).unwrap();
    let between = |a: &str, b: &str| dict.split_once(a).unwrap().1.split_once(b).unwrap().0.to_owned();
    assert!(dict.contains("'fortran_order': False"));
    (between("'descr': '", "'"), between("'shape': ", ", }"), file[start..].to_vec())
}

pub(crate) fn read_f32(path: impl AsRef<Path>) -> Vec<f32> {
    let (descr, _, data) = read(path);
    assert_eq!(descr, "<f4");
    data.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect()
}

pub(crate) fn read_u32(path: impl AsRef<Path>) -> Vec<u32> {
    let (descr, _, data) = read(path);
    assert_eq!(descr, "<u4");
    data.chunks_exact(4).map(|x| u32::from_le_bytes(x.try_into().unwrap())).collect()
}

/// Runs the command in a folder, with no GPU, no settings of the caller's, and no profile of the machine.
pub(crate) fn forall<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forall"));
    for name in ["FORALL_BACKEND", "FORALL_THREADS", "FORALL_EXPLAIN", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command.env("FORALL_PROFILE", "off");
    command.args(args).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

/// Its stdout; it must have succeeded. (Graphics drivers write to stderr as they please.)
#[track_caller]
pub(crate) fn success<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> String {
    let output = forall(folder, args);
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Its stderr; it must have exited with that code, and have said nothing on stdout.
#[track_caller]
pub(crate) fn failure<S: AsRef<OsStr>>(
    folder: &Path,
    code: i32,
    args: impl IntoIterator<Item = S>,
) -> String {
    let output = forall(folder, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

/// The names in a folder, sorted: what a failed command must not have changed.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
