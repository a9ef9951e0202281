//! Results as text: a table for each loop, in a hundred columns, with what the numbers say below it.

use std::fmt::Write;

use forall::Backend;
use forall::bench::{Dispatched, Loop, Point, Regret, Results, Roof, Size, Timing};

/// All of it.
pub(super) fn all(results: &Results) -> String {
    let mut text = head(results);
    for one in &results.loops {
        text.push('\n');
        text.push_str(&table(results, one));
    }
    text.push('\n');
    if let Some(regret) = results.regret.filter(|_| results.loops.len() > 1) {
        let _ = writeln!(text, "all loops: {}", told(&regret));
    }
    let loops = results.loops.iter().filter(|_| results.settings.cold);
    if let Some((mean, loops)) = mean(loops.filter_map(beside_gpu)).filter(|(_, n)| *n > 1) {
        let _ = writeln!(text, "all loops: n× gpu {} as the geometric mean of {loops} loops", times(mean));
    }
    let _ = writeln!(
        text,
        "* fastest   ≈ as fast, as far as is known   → the dispatcher's choice   ~ known to worse than ±{:.0} %",
        100.0 * results.settings.precision
    );
    let sizes = || results.loops.iter().flat_map(|one| &one.sizes);
    let times = || sizes().flat_map(|size| size.points.iter().map(|point| &point.time));
    let unsure = times().filter(|time| vague(results, time) != ' ').count();
    if 4 * unsure > times().count() {
        let _ = writeln!(
            text,
            "{unsure} of {} times are marked ~: the machine has other work, or --time is short",
            times().count()
        );
    }
    if results.interrupted {
        text.push_str("interrupted: what is here was measured before that\n");
    }
    text
}

/// The machine.
fn head(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "{}, {} ({} lanes), {} thread{}; forall {}, {} build; {:.0} s\n",
        machine.cpu,
        machine.level,
        machine.lanes,
        machine.threads,
        if machine.threads == 1 { "" } else { "s" },
        machine.library,
        machine.build,
        results.seconds
    );
    if let Some(adapter) = &machine.adapter {
        let _ = writeln!(text, "{adapter} ({})", machine.driver.as_deref().unwrap_or("unknown driver"));
    }
    if machine.build == "debug" {
        text.push_str("a debug build: its times say nothing about forall; build with --release\n");
    }
    for roof in &machine.roofs {
        let rates = roof.bandwidths.iter().map(|b| format!("{} in {}", three(b.rate), bytes(b.bytes)));
        let rates = rates.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "  {:<8} at best {} GFLOP/s; GB/s {rates}", roof.backend, three(roof.flops));
    }
    for absent in &results.absent {
        let _ = writeln!(text, "  {:<8} not measured: {}", absent.backend, absent.reason);
    }
    text
}

fn table(results: &Results, one: &Loop) -> String {
    let mut text = format!("{}: {}\n", one.name, one.what);
    if let Some(last) = one.sizes.last() {
        let n = last.n as f64;
        let _ = write!(text, "  of each {}: {} bytes", one.element, three(last.bytes / n));
        if last.flops > 0.0 {
            let _ = write!(
                text,
                ", {} {}",
                three(last.flops / n),
                if one.integer { "operations" } else { "FLOP" }
            );
        }
        let _ = writeln!(text, " (at {})", last.n);
    }
    let backends: Vec<Backend> = (Backend::ALL.into_iter())
        .filter(|b| one.sizes.iter().any(|size| size.points.iter().any(|point| point.backend == *b)))
        .collect();
    let dispatched = one.sizes.iter().any(|size| size.dispatcher.is_some());

    // The whole of a first call: what it takes for an element tells nothing.
    let cold = results.settings.cold;
    let width = if cold { 11 } else { 25 };
    let rate = if one.integer { "Gop/s" } else { "GF/s" };
    let _ = write!(text, "\n {:>8}", "");
    for backend in &backends {
        let _ = write!(text, " {:>width$}", format!("{backend:─^0$}", width - 2));
    }
    let _ = writeln!(text, "{}", if dispatched { " dispatcher" } else { "" });
    let _ = write!(text, " {:>8}", "n");
    for _ in &backends {
        let _ = match cold {
            true => write!(text, " {:>10} ", "ms"),
            false => write!(text, " {:>9} {:>4} {rate:>5} {:>4}", "ns", "GB/s", "roof"),
        };
    }
    if dispatched {
        let _ = write!(text, "{:>11}", if cold { "ms" } else { "ns" });
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    for size in &one.sizes {
        let _ = write!(text, " {:>8}", size.n);
        for backend in &backends {
            match size.points.iter().find(|point| point.backend == *backend) {
                Some(point) => text.push_str(&cell(results, size, point)),
                None => {
                    let _ = write!(text, " {:>width$}", "–");
                }
            }
        }
        if let Some(Dispatched { time, .. }) = &size.dispatcher {
            let _ = write!(text, " {:>9}{}", three(time.median / per(results, size)), vague(results, time));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }

    text.push('\n');
    for crossover in &one.crossovers {
        let _ = writeln!(
            text,
            "  from about {} on, {} is faster than {}",
            rounded(crossover.n),
            crossover.to,
            crossover.from
        );
    }
    if cold && let Some(mean) = beside_gpu(one) {
        let at = |size: &Size| {
            let (backend, ratio) = size.beside_gpu()?;
            Some(format!("{} at {} on {backend}", times(ratio), size.n))
        };
        let ends = [one.sizes.iter().find_map(at), one.sizes.iter().rev().find_map(at)];
        let mut ends: Vec<String> = ends.into_iter().flatten().collect();
        ends.dedup();
        let _ = writeln!(text, "  n× gpu: {}; geometric mean {}", ends.join(", "), times(mean));
    }
    if !one.skipped.is_empty() {
        let sizes: Vec<String> = one.skipped.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "  no time was left for {}; --time gives more", sizes.join(", "));
    }
    // The same reason at many sizes is told once.
    let mut told_already = Vec::new();
    for size in &one.sizes {
        for absent in size.absent.iter().filter(|absent| !told_already.contains(absent)) {
            let _ = writeln!(
                text,
                "  {} not measured at {} and where it is –: {}",
                absent.backend, size.n, absent.reason
            );
        }
        told_already.extend(&size.absent);
    }
    if let Some(regret) = &one.regret {
        let _ = writeln!(text, "  {}", told(regret));
    }
    text
}

/// What a time is divided by to be shown: nanoseconds of an element, or milliseconds of all of a first call.
fn per(results: &Results, size: &Size) -> f64 {
    if results.settings.cold { 1e6 } else { size.n as f64 }
}

/// How many times faster the best backend of the CPU is than the GPU, on average over the sizes of a loop; of first calls.
fn beside_gpu(one: &Loop) -> Option<f64> {
    Some(mean(one.sizes.iter().filter_map(|size| Some(size.beside_gpu()?.1)))?.0)
}

/// The geometric mean, and of how many.
fn mean(ratios: impl Iterator<Item = f64>) -> Option<(f64, usize)> {
    let (sum, n) = ratios.fold((0.0, 0), |(sum, n), ratio| (sum + ratio.ln(), n + 1));
    (n > 0).then(|| ((sum / n as f64).exp(), n))
}

fn times(ratio: f64) -> String {
    format!("{}×", two(ratio, 2))
}

/// One backend at one size.
fn cell(results: &Results, size: &Size, point: &Point) -> String {
    let ns = point.time.median;
    let winner = size.points.iter().find(|other| Some(other.backend) == size.winner);
    let tied = size.tie && winner.is_some_and(|winner| point.time.low <= winner.time.high);
    let best = match (size.winner == Some(point.backend), tied) {
        (true, _) => '*',
        (_, true) => '≈',
        _ => ' ',
    };
    let chosen = size.dispatcher.as_ref().is_some_and(|dispatched| dispatched.choice == point.backend);
    let chosen = if chosen { '→' } else { ' ' };
    if results.settings.cold {
        return format!(
            " {chosen}{best}{:>8}{}",
            three(ns / per(results, size)),
            vague(results, &point.time)
        );
    }
    let roof = results.machine.roofs.iter().find(|roof| roof.backend == point.backend);
    let share = roof.and_then(|roof: &Roof| roof.share(size.bytes, size.flops, ns));
    let flops = if size.flops > 0.0 { two(size.flops / ns, 3) } else { "–".into() };
    format!(
        " {chosen}{best}{:>6}{} {:>4} {flops:>5} {:>4}",
        three(ns / per(results, size)),
        vague(results, &point.time),
        two(size.bytes / ns, 2),
        share.map_or_else(|| "–".into(), |share| format!("{:.0}%", 100.0 * share)),
    )
}

/// Marks a median that is not known as well as it was meant to be.
fn vague(results: &Results, time: &Timing) -> char {
    /// Of fewer samples not even the extremes hold the median with 95 %.
    const FEWEST: usize = 6;
    let worst = (time.median - time.low).max(time.high - time.median);
    if time.samples < FEWEST || worst > results.settings.precision * time.median { '~' } else { ' ' }
}

fn told(regret: &Regret) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    format!(
        "regret: {} by total time (noise {}), {} as the mean of {} sizes (noise {})",
        percent(regret.time_weighted),
        percent(regret.floor_time_weighted),
        percent(regret.mean),
        regret.sizes,
        percent(regret.floor_mean)
    )
}

/// With three significant digits, and no more places than they need.
fn three(x: f64) -> String {
    significant(x, 3)
}

/// With two, and no more places than there is room for.
fn two(x: f64, places: usize) -> String {
    if x < 0.1 { format!("{x:.places$}") } else { significant(x, 2) }
}

fn significant(x: f64, digits: i32) -> String {
    if x == 0.0 {
        return "0".into();
    }
    // What rounds up to the next power of ten has one place less.
    let magnitude = (x.abs() * (1.0 + 0.5 * 10.0_f64.powi(-digits))).log10().floor() as i32;
    let places = (digits - 1 - magnitude).clamp(0, 6);
    format!("{x:.*}", places as usize)
}

/// Two significant digits, and zeros.
fn rounded(x: f64) -> String {
    let unit = 10.0_f64.powf((x.max(1.0).log10().floor() - 1.0).max(0.0));
    format!("{:.0}", (x / unit).round() * unit)
}

fn bytes(x: f64) -> String {
    match x {
        _ if x < 1024.0 * 1024.0 => format!("{:.0} KiB", x / 1024.0),
        _ => format!("{:.0} MiB", x / 1024.0 / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by hand: a machine with three backends.
    fn fixture() -> Results {
        let text = include_str!("../../../src/bench/fixture.json");
        Results::from_json("fixture.json", text).expect("the fixture has the schema")
    }

    #[test]
    fn numbers_have_their_digits() {
        let shown = [0.0, 0.012_34, 0.999_9, 1.0, 9.996, 12.34, 123.4, 1234.5].map(three);
        assert_eq!(shown, ["0", "0.0123", "1.00", "1.00", "10.0", "12.3", "123", "1234"]);
        assert_eq!(
            [0.0064, 0.123, 1.26, 12.6, 126.0].map(|x| two(x, 3)),
            ["0.006", "0.12", "1.3", "13", "126"]
        );
        assert_eq!([7.4, 123.0, 21_678.0].map(rounded), ["7", "120", "22000"]);
        assert_eq!([16384.0, 134_217_728.0].map(bytes), ["16 KiB", "128 MiB"]);
    }

    #[test]
    fn tables_are_aligned_and_fit_a_hundred_columns() {
        let results = fixture();
        let text = all(&results);
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
        }
        let table = table(&results, &results.loops[0]);
        let rows: Vec<&str> =
            table.lines().filter(|l| l.trim_start().starts_with(|c: char| c.is_ascii_digit())).collect();
        assert_eq!(rows.len(), results.loops[0].sizes.len());
        let ends: Vec<usize> = rows.iter().map(|row| row.trim_end_matches('~').chars().count()).collect();
        assert!(ends.iter().all(|end| *end == ends[0]), "{table}");
        // One winner in each row, and one choice.
        assert!(
            rows.iter().all(|row| row.matches('*').count() == 1 && row.matches('→').count() == 1),
            "{table}"
        );
        assert!(table.contains("is faster than") && table.contains("regret: "), "{table}");
        assert!(text.contains("known to worse than ±2 %") && !text.contains("debug build"), "{text}");
    }

    #[test]
    fn first_calls_are_whole_and_stand_beside_the_gpu() {
        let mut results = fixture();
        assert!(!all(&results).contains("n× gpu"));
        results.settings.cold = true;
        for size in results.loops.iter_mut().flat_map(|one| &mut one.sizes) {
            for point in &mut size.points {
                point.time.median = if point.backend == Backend::Gpu { 90e6 } else { 1.5e6 };
            }
        }
        for point in &mut results.loops[0].sizes[0].points {
            point.time.median = if point.backend == Backend::Gpu { 240e6 } else { 1e6 };
        }
        let text = all(&results);
        let [first, .., last] = &results.loops[0].sizes[..] else { panic!("several sizes") };
        // One size of 240 times and the others of 60.
        let mean = 60.0 * 4.0_f64.powf(1.0 / results.loops[0].sizes.len() as f64);
        let line = format!(
            "  n× gpu: 240× at {} on simd, 60× at {} on simd; geometric mean {mean:.0}×\n",
            first.n, last.n
        );
        assert!(text.contains(&line), "{line}{text}");
        assert!(text.contains("all loops: n× gpu 6"), "{text}");
        let table = table(&results, &results.loops[0]);
        assert!(table.contains(" ms") && table.contains("240") && !table.contains("GB/s"), "{table}");
        let rows = table.lines().filter(|l| l.trim_start().starts_with(|c: char| c.is_ascii_digit()));
        let ends: Vec<usize> = rows.map(|row| row.trim_end_matches('~').chars().count()).collect();
        assert!(ends.iter().all(|end| *end == ends[0] && *end < 60), "{table}");
    }

    #[test]
    fn what_is_missing_is_said() {
        use forall::bench::Absent;
        let mut results = fixture();
        results.absent.push(Absent { backend: Backend::Gpu, reason: "no GPU here".into() });
        results.machine.build = "debug".into();
        for size in &mut results.loops[0].sizes[1..3] {
            size.points.retain(|point| point.backend != Backend::Threads);
            size.absent.push(Absent { backend: Backend::Threads, reason: "its results are wrong".into() });
            size.dispatcher = None;
        }
        results.interrupted = true;
        let text = all(&results);
        assert!(
            text.contains("gpu      not measured: no GPU here") && text.contains("a debug build"),
            "{text}"
        );
        assert_eq!(text.matches("its results are wrong").count(), 1, "{text}");
        assert!(text.contains("interrupted"), "{text}");
    }
}
