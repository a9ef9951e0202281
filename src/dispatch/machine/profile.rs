//! The facts on disk, so that a process need not measure what an earlier one has: one small JSON file with an entry for each machine.
//!
//! Nothing here is an error to a loop. A file that is not there, not readable, not ours, or full of nonsense is as good as none; one
//! that cannot be written is not. What a measurement would not have given is not believed, whoever wrote it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};

use super::{CpuFacts, GpuFacts};
use crate::cpu::CpuLevel;

/// Names the file, or `off` or `readonly`.
const VARIABLE: &str = "FORALL_PROFILE";
/// Of the file's form. Files of other versions are left alone until they are replaced.
const VERSION: u32 = 1;
/// No profile is larger; who shares one file among many machines loses the oldest entries.
const MOST_BYTES: u64 = 256 << 10;
const MOST_ENTRIES: usize = 32;

/// What may be done with the profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Neither read nor written: the reason.
    Off(&'static str),
    /// Read, and not written: the reason.
    ReadOnly(PathBuf, &'static str),
    /// Read and written.
    Full(PathBuf),
}

impl Access {
    /// As the environment has it.
    pub(crate) fn from_environment() -> Self {
        if cfg!(test) {
            return Self::Off("it is a test of the library");
        }
        let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
        let home = || etcetera::base_strategy::choose_native_strategy().ok().map(|dirs| dirs.cache_dir());
        Self::of(std::env::var_os(VARIABLE).as_deref(), ci, home)
    }

    fn of(setting: Option<&std::ffi::OsStr>, ci: bool, cache: impl FnOnce() -> Option<PathBuf>) -> Self {
        let default = || cache().map(|folder| folder.join("forall").join("profile.json"));
        let none = Self::Off("this system names no folder for caches; FORALL_PROFILE=PATH names a file");
        match setting.filter(|setting| !setting.is_empty()) {
            Some(off) if off.eq_ignore_ascii_case("off") => Self::Off("FORALL_PROFILE=off"),
            Some(read) if read.eq_ignore_ascii_case("readonly") => {
                default().map_or(none, |path| Self::ReadOnly(path, "FORALL_PROFILE=readonly"))
            }
            Some(path) if ci => Self::ReadOnly(path.into(), "CI is set"),
            Some(path) => Self::Full(path.into()),
            None => match default() {
                None => none,
                Some(path) if ci => Self::ReadOnly(path, "CI is set"),
                Some(path) => Self::Full(path),
            },
        }
    }

    /// The file, if it may be read.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Off(_) => None,
            Self::ReadOnly(path, _) | Self::Full(path) => Some(path),
        }
    }

    /// The file, if it may be written, or why not.
    pub(crate) fn writable(&self) -> Result<&Path, &'static str> {
        match self {
            Self::Off(why) | Self::ReadOnly(_, why) => Err(why),
            Self::Full(path) => Ok(path),
        }
    }
}

/// What facts about a CPU depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CpuKey {
    /// Of the library, and how it was built: another interpreter has other rates.
    pub library: String,
    pub build: String,
    pub model: String,
    pub level: String,
    pub threads: usize,
}

impl CpuKey {
    pub(crate) fn here(threads: usize) -> Self {
        Self {
            library: env!("CARGO_PKG_VERSION").to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            model: model(),
            level: CpuLevel::detected().name().to_owned(),
            threads,
        }
    }
}

/// What facts about a GPU depend on, besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GpuKey {
    pub library: String,
    pub build: String,
    pub adapter: String,
    pub api: String,
    pub driver: String,
}

/// Facts with what they hold for, and when they were measured, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry<K, F> {
    key: K,
    saved: u64,
    facts: F,
}

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Profile {
    version: u32,
    #[serde(default)]
    cpus: Vec<Entry<CpuKey, CpuFacts>>,
    #[serde(default)]
    gpus: Vec<Entry<GpuKey, GpuFacts>>,
}

/// The facts about a CPU, and when they were measured.
pub(crate) fn load_cpu(path: &Path, key: &CpuKey) -> Option<(CpuFacts, u64)> {
    let entry = read(path).cpus.into_iter().find(|entry| entry.key == *key)?;
    (entry.facts.threads == key.threads && entry.facts.is_sane()).then_some((entry.facts, entry.saved))
}

/// The facts about a GPU, and when they were measured.
#[cfg(feature = "gpu")]
pub(crate) fn load_gpu(path: &Path, key: &GpuKey) -> Option<(GpuFacts, u64)> {
    let entry = read(path).gpus.into_iter().find(|entry| entry.key == *key)?;
    entry.facts.is_sane().then_some((entry.facts, entry.saved))
}

/// Keeps facts, in the place of older ones.
///
/// # Errors
/// Those of the file system.
pub(crate) fn save_cpu(path: &Path, key: CpuKey, facts: CpuFacts) -> io::Result<()> {
    let mut profile = read(path);
    keep(&mut profile.cpus, key, facts);
    write(path, &profile)
}

/// The same for a GPU.
///
/// # Errors
/// Those of the file system.
#[cfg(feature = "gpu")]
pub(crate) fn save_gpu(path: &Path, key: GpuKey, facts: GpuFacts) -> io::Result<()> {
    let mut profile = read(path);
    keep(&mut profile.gpus, key, facts);
    write(path, &profile)
}

fn keep<K: PartialEq, F>(entries: &mut Vec<Entry<K, F>>, key: K, facts: F) {
    entries.retain(|entry| entry.key != key);
    entries.insert(0, Entry { key, saved: now(), facts });
    entries.truncate(MOST_ENTRIES);
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What the file holds; nothing where there is no file, or none of ours.
fn read(path: &Path) -> Profile {
    let profile = text(path).and_then(|text| serde_json::from_slice::<Profile>(&text).ok());
    let empty = Profile { version: VERSION, ..Profile::default() };
    profile.filter(|profile| profile.version == VERSION).unwrap_or(empty)
}

/// The bytes of a small, ordinary file. A pipe or a device might keep a reader waiting for ever.
pub(super) fn text(path: &Path) -> Option<Vec<u8>> {
    let is_small_file = |meta: &fs::Metadata| meta.is_file() && meta.len() <= MOST_BYTES;
    fs::metadata(path).ok().filter(is_small_file)?;
    let file = File::open(path).ok()?;
    let mut text = Vec::new();
    // It may be growing.
    file.take(MOST_BYTES + 1).read_to_end(&mut text).ok()?;
    (text.len() as u64 <= MOST_BYTES).then_some(text)
}

/// Replaces the file in one step, so that readers and other writers see the old one or the new one.
fn write(path: &Path, profile: &Profile) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no ordinary file"));
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut text = serde_json::to_vec_pretty(profile)?;
    text.push(b'\n');
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary).and_then(|mut file| file.write_all(&text));
    let replaced = written.and_then(|()| fs::rename(&temporary, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

/// The CPU's name as it is sold, or its maker's numbers for it, where a file or the environment has them; else nothing.
pub fn model() -> String {
    if cfg!(windows) {
        return std::env::var("PROCESSOR_IDENTIFIER").unwrap_or_default();
    }
    // The first CPU's lines are enough, and there may be hundreds.
    let mut text = Vec::new();
    let read = File::open("/proc/cpuinfo").and_then(|file| file.take(4096).read_to_end(&mut text));
    if read.is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&text);
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    let numbers =
        || ["CPU implementer", "CPU part", "CPU variant"].map(|name| field(name).unwrap_or_default());
    field("model name").unwrap_or_else(|| numbers().join(" ").trim().to_owned())
}

#[cfg(test)]
mod tests;
