//! `forall devices`: what this machine has to run loops on, and what of it counts.

use std::fmt::Write;
use std::fs;
use std::thread;

use clap::Args;
use forall::{CpuLevel, Machine};
use serde_json::json;

use crate::Failure;

/// Show the CPU, its vector instructions, the thread pool, and every adapter with why it counts as a GPU or does not.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Does it all; gives the text for stdout.
pub(crate) fn run(options: &Options) -> Result<String, Failure> {
    let model = model();
    let level = CpuLevel::detected();
    let levels: Vec<_> = CpuLevel::available().into_iter().map(CpuLevel::name).collect();
    let built = CpuLevel::of_build();
    let usable = thread::available_parallelism().map_or(1, usize::from);
    let cores = physical_cores();
    let pool = forall::pool_threads()?;
    let profile = Machine::profile()?;
    let adapters = adapters();

    if options.json {
        let object = json!({
            "cpu": {
                "model": model, "arch": std::env::consts::ARCH, "cores": cores, "usable": usable,
                "level": level.name(), "lanes": level.lanes(), "levels": levels,
            },
            "wide": { "level": built.name(), "lanes": built.lanes() },
            "pool": { "threads": pool },
            "gpu": adapters,
            "profile": {
                "path": profile.path.map(|path| path.display().to_string()),
                "saved": profile.saved,
                "not_kept": profile.not_kept,
            },
        });
        return Ok(format!("{object}\n"));
    }

    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "cpu      {}", model.as_deref().unwrap_or(std::env::consts::ARCH));
    let cores = cores.map_or_else(String::new, |cores| format!("{cores} cores, "));
    let _ = writeln!(text, "         {cores}{usable} usable by this process");
    let _ = writeln!(text, "levels   {} (WGSL and scalar closures use the last)", levels.join(", "));
    let _ = writeln!(text, "         {}: {} lanes of 32 bits", level.name(), level.lanes());
    let _ = write!(text, "wide     {}: {} lanes", built.name(), built.lanes());
    if built.lanes() < level.lanes() {
        let _ = writeln!(
            text,
            ", narrower than the CPU: closures over `wide` vectors use what the build\n         \
             was made for; build with RUSTFLAGS=-Ctarget-cpu=native for {} lanes, or use a scalar closure",
            level.lanes()
        );
    } else {
        let _ = writeln!(text, ", as wide as the CPU");
    }
    let _ = writeln!(text, "threads  {pool} in the pool (FORALL_THREADS, RAYON_NUM_THREADS)");
    adapters_text(&mut text, &adapters);
    let _ = writeln!(text, "profile  {profile}");
    Ok(text)
}

/// The CPU's name, where the system tells.
fn model() -> Option<String> {
    let mut name = forall::cpu_model();
    if name.is_empty() && cfg!(target_os = "macos") {
        // A library starts no process to learn it.
        let asked = std::process::Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output();
        name = String::from_utf8(asked.ok()?.stdout).ok()?.trim().to_owned();
    }
    (!name.is_empty()).then_some(name)
}

/// The values of a field of `/proc/cpuinfo`, one for each logical CPU.
fn field<'a>(cpuinfo: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(move |(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

/// Cores, however many threads each runs, where the system tells.
fn physical_cores() -> Option<usize> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let mut cores: Vec<_> = field(&text, "physical id").zip(field(&text, "core id")).collect();
    cores.sort_unstable();
    cores.dedup();
    (!cores.is_empty()).then_some(cores.len())
}

#[cfg(feature = "gpu")]
fn adapters() -> Option<Vec<forall::AdapterFact>> {
    Some(crate::progress::watch("asking the graphics drivers", forall::adapters))
}

#[cfg(feature = "gpu")]
fn adapters_text(text: &mut String, adapters: &Option<Vec<forall::AdapterFact>>) {
    let adapters = adapters.as_deref().unwrap_or_default();
    if adapters.is_empty() {
        let _ = writeln!(text, "gpu      none: no graphics driver names an adapter");
    }
    let mib = |bytes: u64| bytes >> 20;
    for adapter in adapters {
        let mark = if adapter.counts { "counts" } else { "does not count" };
        let _ = writeln!(
            text,
            "gpu      {} ({}, {}): {mark}: {}",
            adapter.name, adapter.api, adapter.kind, adapter.reason
        );
        let _ = writeln!(
            text,
            "         {}; buffers up to {} MiB, {} MiB visible at once",
            adapter.driver,
            mib(adapter.max_buffer_bytes),
            mib(adapter.max_binding_bytes)
        );
    }
}

#[cfg(not(feature = "gpu"))]
fn adapters() -> Option<()> {
    None
}

#[cfg(not(feature = "gpu"))]
fn adapters_text(text: &mut String, _: &Option<()>) {
    let _ = writeln!(text, "gpu      this build has none: it was made without the gpu feature");
}
