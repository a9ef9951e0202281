//! `forall tune`: measures this machine, shows what it found, and keeps it for the dispatcher of every other process.

use std::fmt::Write;

use clap::Args;
use forall::{CpuFacts, GpuFacts, Machine};
use serde_json::json;

use crate::Failure;

/// Measure this machine for the dispatcher: about 150 ms, and a GPU's start-up. The result is kept where FORALL_PROFILE says, by default in
/// the system's folder for caches
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Does it all; gives the text for stdout.
pub(crate) fn run(options: &Options) -> Result<String, Failure> {
    let machine = Machine::measured()?;
    let saved = machine.save();
    if options.json {
        let (path, why) = match &saved {
            Ok(path) => (Some(path.display().to_string()), None),
            Err(why) => (None, Some(why)),
        };
        let object = json!({ "machine": machine, "saved": path, "not_saved": why });
        return Ok(format!("{object}\n"));
    }
    let mut text = String::new();
    cpu(&mut text, &machine);
    match (&machine.adapter, &machine.gpu) {
        (Some(adapter), Some(facts)) => gpu(&mut text, adapter, facts),
        _ => {
            let _ = writeln!(text, "gpu         none that counts; `forall devices` says why");
        }
    }
    let _ = match saved {
        Ok(path) => writeln!(text, "saved       {}", path.display()),
        Err(why) => writeln!(text, "not saved   {why}"),
    };
    Ok(text)
}

// Writing to a String cannot fail.
fn cpu(text: &mut String, machine: &Machine) {
    let facts = &machine.cpu;
    let CpuFacts { threads, lane, .. } = facts;
    let model = if machine.model.is_empty() { std::env::consts::ARCH } else { &machine.model };
    let plural = if *threads == 1 { "" } else { "s" };
    let _ = writeln!(text, "cpu         {model}, {}, {threads} thread{plural}", machine.level);
    let _ = writeln!(text, "calls       {} a loop, {} a launch", time(facts.call_ns), time(facts.launch_ns));
    let _ = writeln!(text, "arithmetic  {:.0} GFLOP/s on one thread at best", facts.flops_per_ns);
    if *threads > 1 {
        let _ = writeln!(
            text,
            "pool        {:.2} times as fast; fork and join {}, {} after a pause",
            facts.speed_up,
            time(facts.fork_join_ns),
            time(facts.fork_join_idle_ns)
        );
    }
    let _ = write!(text, "memory      GB/s, where arrays take");
    for bytes in CpuFacts::WORKING_SETS {
        let (size, unit) = if bytes < 1 << 20 { (bytes >> 10, "KiB") } else { (bytes >> 20, "MiB") };
        let _ = write!(text, "{:>9}", format!("{size} {unit}"));
    }
    let mut rates = |name: &str, rates: [f64; 4]| {
        let _ = write!(text, "\n            {name:<23}");
        for rate in rates {
            let _ = write!(text, "{rate:>9.*}", if rate < 10.0 { 1 } else { 0 });
        }
    };
    rates("one thread", facts.bandwidth);
    if *threads > 1 {
        rates("all threads", facts.bandwidth_all);
    }
    let _ = writeln!(
        text,
        "\n            memory nobody has written to before: {:.1} GB/s",
        facts.fresh_bytes_per_ns
    );
    let _ = writeln!(
        text,
        "operations  ns for one lane, {} to begin one for a block of lanes",
        time(facts.begin_ns)
    );
    for (name, ns) in [
        ("sums, bits, comparisons", lane.simple),
        ("sums in a longer one", lane.fused),
        ("integer products", lane.multiply_int),
        ("quotients and roots", lane.divide),
        ("integer quotients", lane.divide_int),
        ("exp, log, sin", lane.transcendental),
        ("loads in a row", lane.load),
        ("stores in a row", lane.store),
        ("loads from anywhere", lane.gather),
        ("atomic operations", lane.atomic),
    ] {
        let _ = writeln!(text, "            {name:<23}{ns:>9.3}");
    }
}

fn gpu(text: &mut String, adapter: &str, facts: &GpuFacts) {
    let _ = writeln!(text, "gpu         {adapter}");
    let _ = writeln!(text, "            {} a call", time(facts.call_ns));
    let _ = writeln!(text, "            {:.0} billion operations/s", facts.ops_per_ns);
    for (name, rate) in [
        ("its own memory", facts.bytes_per_ns),
        ("to it", facts.upload_bytes_per_ns),
        ("from it, read by the CPU", facts.download_bytes_per_ns),
    ] {
        let _ = writeln!(text, "            {rate:.1} GB/s {name}");
    }
}

/// Three digits and a unit.
fn time(ns: f64) -> String {
    if ns < 10.0 {
        format!("{ns:.1} ns")
    } else if ns < 1e3 {
        format!("{ns:.0} ns")
    } else {
        let (value, unit) = if ns < 1e6 { (ns / 1e3, "µs") } else { (ns / 1e6, "ms") };
        let digits = if value < 10.0 {
            2
        } else if value < 100.0 {
            1
        } else {
            0
        };
        format!("{value:.digits$} {unit}")
    }
}
