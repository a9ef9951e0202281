//! `forall bench`: which backend is the fastest, for a loop, at each size, on this machine.

mod cold;
mod loops;
mod table;

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args as ClapArgs;
use forall::Backend;
use forall::bench::{Change, Results, Sweep, page};
use indicatif::{ProgressBar, ProgressStyle};

use crate::body::Body;
use crate::npy::Target;
use crate::{Failure, interrupt, value};

/// Measure loops on every backend over sizes, and the dispatcher's choices beside the best ones.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = HELP)]
pub(crate) struct Options {
    /// Shipped loops by name, `all`, .wgsl files, or expressions such as 'a*x + y'; without any, a few that show the machine
    #[arg(value_name = "LOOP|BODY")]
    loops: Vec<OsString>,

    /// The smallest and the largest size, in elements, and four sizes for each power of ten between; or one size
    #[arg(long, value_name = "LO..HI", value_parser = sizes, default_value = "10..1e7")]
    sizes: Sizes,

    /// What is measured: backends, and auto, which is the dispatcher
    #[arg(long, value_name = "gpu,simd,threads,auto", value_delimiter = ',', value_parser = contender)]
    backends: Vec<Contender>,

    /// How many threads the pool has. Of several numbers, each is measured by itself, by a process of its own
    #[arg(long, value_name = "N[,N…]", value_delimiter = ',', value_parser = threads)]
    threads: Vec<usize>,

    /// Leave data where it was last used: transfers to a GPU are not in the times. For shaders, not for functions
    #[arg(long)]
    resident: bool,

    /// Make every sample the first call of a process of its own: compiling and start-up are in the times
    #[arg(long, conflicts_with = "resident")]
    cold: bool,

    /// What a process of --cold is asked for
    #[arg(long, value_name = "JSON", hide = true)]
    first_call: Option<String>,

    /// How long all of it takes, about [default: 25 for each loop]
    #[arg(long, value_name = "SECONDS", value_parser = crate::run::seconds)]
    time: Option<Duration>,

    /// Other random inputs, and another order of samples
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    own: loops::Own,

    /// Write the results as JSON, for --baseline and for programs
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the results as one page for people: a file of its own, which loads nothing
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Compare with the JSON of an earlier run: exit code 1 if a point is significantly slower
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Name the shipped loops, and measure nothing
    #[arg(long)]
    list: bool,
}

const HELP: &str = "\
WHAT IS MEASURED
  At each size all contenders take turns, in random order, until the median of each is known to 2 % (the confidence interval
  from order statistics), or the time is used up; then it is marked ~. The first calls are dropped. Every result is compared with
  that of simd first. A call begins and ends with its data in the host's memory, unless --resident is given.
  With --cold every sample is a process of its own that calls once. Its time is that of opening the loop (reading its text, compiling),
  making a dispatcher, and the call up to the result; not that of making the data, nor what the system does before `main`. The
  process finds a profile of the machine, measured for it beforehand: `forall tune` keeps one for your programs.

WHAT IS SHOWN
  ns, GB/s, GFLOP/s   of an element: time, bytes it has to read and write, operations; Gop/s where they are on whole numbers
  roof                the share of the machine's best bandwidth or arithmetic, measured as well, whichever is nearer
  * ≈ →               the fastest; as fast, as far as is known; the dispatcher's choice
  n× gpu              with --cold, how many times faster the best CPU backend is than the GPU
  regret              by how much the dispatcher is slower than an oracle that knows the fastest backend at each size; noise is the
                      regret that a perfect dispatcher would be seen to have, and so is what is below zero

EXAMPLES
  forall bench
  forall bench saxpy black_scholes --sizes 1e3..1e6 --html report.html
  forall bench mine.wgsl --in a=2.5 --backends simd,threads
  forall bench 'sqrt(x*x + y*y)'
  forall bench shaders/reduce_tree.wgsl --bind input=uniform:N --bind sums=zeros:N/4096 --grid N/4096
  forall bench saxpy reduce_tree --cold
  forall bench all --json now.json --baseline before.json

EXIT CODES
  0    done
  1    slower than the baseline, or nothing in common with it; a file; a loop that cannot run
  2    bad usage
  130  Ctrl-C: tables and files hold what was measured by then";

/// The ends of `--sizes`.
#[derive(Clone, Copy, Debug)]
struct Sizes([usize; 2]);

fn sizes(text: &str) -> Result<Sizes, String> {
    /// Arrays of more do not fit the memory of most machines, several times over.
    const MOST: usize = 1 << 30;
    const EXPECTED: &str = "expected LO..HI, such as 10..1e7, or one size";
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    let [low, high] = [low, high].map(|end| value::count(end.trim_start_matches('=')));
    let (Ok(low), Ok(high)) = (low, high) else { return Err(EXPECTED.into()) };
    if low == 0 || low > high || high > MOST {
        return Err(format!("{EXPECTED}, with LO from 1 and HI from LO to 2^30"));
    }
    Ok(Sizes([low, high]))
}

/// What `FORALL_THREADS` may be, by another name.
fn threads(text: &str) -> Result<usize, String> {
    let threads = value::count(text).ok().filter(|threads| (1..=1024).contains(threads));
    threads.ok_or_else(|| "expected a number of threads, 1 to 1024".into())
}

/// What `--backends` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Backend(Backend),
    Dispatcher,
}

fn contender(text: &str) -> Result<Contender, String> {
    if text == "auto" {
        return Ok(Contender::Dispatcher);
    }
    text.parse().map(Contender::Backend).map_err(|_| "expected gpu, simd, threads or auto".into())
}

/// Does it all; gives the text for stdout.
pub(crate) fn run(options: &Options) -> Result<String, Failure> {
    if options.list {
        return Ok(loops::list());
    }
    if let Some(call) = &options.first_call {
        return cold::answer(call, &options.loops, &options.own);
    }
    if options.threads.iter().any(|count| Ok(*count) != forall::pool_threads()) || options.threads.len() > 1 {
        return processes(options);
    }
    let before = options.baseline.as_deref().map(|path| read(path, options.cold)).transpose()?;
    let json = options.json.as_deref().map(|path| Target::new("--json", path)).transpose()?;
    let html = options.html.as_deref().map(|path| Target::new("--html", path)).transpose()?;
    if let (Some(json), Some(html)) = (&json, &html)
        && json.leads_to(&html.shown)
    {
        return Err(Failure::Usage("--json and --html name the same file".into()));
    }
    // A baseline may be replaced by what was compared with it; by a page it would be lost, as a text is by either.
    let texts = || options.loops.iter().map(Path::new).filter(|path| Body::is_file(path));
    let page_only = options.baseline.as_deref().filter(|path| html.iter().any(|html| html.leads_to(path)));
    let text = texts().find(|path| [&json, &html].into_iter().flatten().any(|target| target.leads_to(path)));
    if let Some(path) = text.or(page_only) {
        return Err(Failure::Usage(format!(
            "{}: is read and would be lost; write to another file",
            path.display()
        )));
    }
    let loops = loops::open(&options.loops, &options.own, options.resident)?;
    let cancel = interrupt::cancel()?;
    let names = loops.iter().map(|(argument, one)| (one.name().to_owned(), argument.clone())).collect();
    let asker = options.cold.then(|| cold::Asker::new(names, &options.own)).transpose()?;

    let budget = options.time.unwrap_or(Duration::from_secs(25 * loops.len() as u64));
    let [low, high] = options.sizes.0;
    let command = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
    let mut sweep = Sweep::new(loops.into_iter().map(|(_, one)| one).collect())
        .with_sizes(low, high)
        .with_budget(budget)
        .with_resident(options.resident)
        .with_seed(options.seed)
        .with_command(std::iter::once("forall".into()).chain(command.skip(1)).collect())
        .with_cancel(&cancel);
    if let Some(asker) = asker {
        sweep = sweep.with_first_calls(move |call| asker.ask(call));
    }
    if !options.backends.is_empty() {
        let backends: Vec<Backend> = Backend::ALL
            .into_iter()
            .filter(|backend| options.backends.contains(&Contender::Backend(*backend)))
            .collect();
        sweep = sweep.with_contenders(&backends, options.backends.contains(&Contender::Dispatcher));
    }
    let results = measure(sweep)?;
    if !results.interrupted && results.loops.iter().all(|one| one.sizes.is_empty()) {
        let reasons = results.absent.iter().map(|absent| format!("; {}: {}", absent.backend, absent.reason));
        return Err(Failure::Run(format!("nothing was measured{}", reasons.collect::<String>())));
    }

    if let Some(json) = &json {
        json.write_text(&results.to_json())?;
    }
    let change = before.map(|before| results.since(&before)).transpose()?;
    if let Some(html) = &html {
        html.write_text(&page::render(&results, change.as_ref()))?;
    }
    let mut text = table::all(&results);
    if options.loops.is_empty() {
        let _ = writeln!(text, "\n{}", loops::others(&results));
    }
    if let Some(change) = &change {
        text.push_str(&compared(change));
    }
    if results.interrupted {
        return Err(Failure::Partial(text));
    }
    match change {
        // A comparison of nothing must not look like one that went well.
        Some(change) if !change.slower.is_empty() || change.compared == 0 => Err(Failure::Differs(text)),
        _ => Ok(text),
    }
}

/// Does it with pools of other sizes: a process has one, which FORALL_THREADS sets.
fn processes(options: &Options) -> Result<String, Failure> {
    if options.threads.len() > 1
        && (options.json.is_some() || options.html.is_some() || options.baseline.is_some())
    {
        return Err(Failure::Usage("--json, --html and --baseline take one number of --threads".into()));
    }
    // Ctrl-C is the child's business, which has something to tell.
    interrupt::cancel()?;
    let fail = |error: std::io::Error| Failure::Run(format!("cannot start another forall: {error}"));
    let this = std::env::current_exe().map_err(fail)?;
    for threads in &options.threads {
        let mut command = Command::new(&this);
        let mut args = std::env::args_os().skip(1);
        while let Some(arg) = args.next() {
            if arg == "--threads" {
                args.next();
            } else if !arg.as_encoded_bytes().starts_with(b"--threads=") {
                command.arg(arg);
            }
        }
        let status = command.env("FORALL_THREADS", threads.to_string()).status().map_err(fail)?;
        if !status.success() {
            // It has said why.
            std::process::exit(status.code().unwrap_or(1));
        }
    }
    Ok(String::new())
}

/// The baseline of a measurement that is cold or not. What cannot be compared is found before anything is measured.
fn read(path: &Path, cold: bool) -> Result<Results, Failure> {
    let fail =
        |error: &dyn std::fmt::Display| Failure::Run(format!("--baseline {}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| fail(&error))?;
    let before = Results::from_json(&path.display().to_string(), &text)
        .map_err(|error| Failure::Run(format!("--baseline {error}")))?;
    match (before.settings.cold, cold) {
        (true, false) => {
            Err(fail(&"got times of first calls, expected those of repeated calls; give --cold"))
        }
        (false, true) => {
            Err(fail(&"got times of repeated calls, expected those of first calls; leave --cold out"))
        }
        _ => Ok(before),
    }
}

/// Runs the sweep, with a bar on a terminal. It moves only between two sizes: a thread that draws would be measured too.
fn measure(sweep: Sweep) -> Result<Results, Failure> {
    const PARTS: u64 = 1000;
    let bar = ProgressBar::new(PARTS);
    if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {percent}% {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    let shown = bar.clone();
    let sweep = sweep.with_progress(move |step| {
        shown.set_position((step.done * PARTS as f64) as u64);
        shown.set_message(match step.n {
            0 => step.what.to_owned(),
            n => format!("{} of {n}", step.what),
        });
    });
    let results = sweep.run();
    bar.finish_and_clear();
    Ok(results?)
}

/// What has changed since the baseline, in words.
fn compared(change: &Change) -> String {
    let mut text = format!(
        "\nbaseline: {} points compared; a change counts over ±{:.0} %, where the confidence intervals do not overlap\n",
        change.compared,
        100.0 * change.margin
    );
    if change.compared == 0 {
        text.push_str("  the two have no point in common: measure the same loops and sizes\n");
        return text;
    }
    if change.missing > 0 {
        let _ = writeln!(text, "  {} points of the baseline were not measured now", change.missing);
    }
    for other in &change.elsewhere {
        let _ = writeln!(text, "  measured otherwise: {other}");
    }
    for (what, points) in [("slower", &change.slower), ("faster", &change.faster)] {
        if points.is_empty() {
            let _ = writeln!(text, "  nothing is {what}");
        }
        for point in points {
            let _ = writeln!(text, "  {what}: {point}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_two_counts() {
        assert_eq!(sizes("10..1e7").map(|sizes| sizes.0), Ok([10, 10_000_000]));
        assert_eq!(sizes("5..=5").map(|sizes| sizes.0), Ok([5, 5]));
        assert_eq!(sizes("1e3").map(|sizes| sizes.0), Ok([1000, 1000]));
        for bad in ["", "0", "-5", "1e30", "1,2", "..", "10..", "0..5", "9..5", "1..2e9", "a..b"] {
            assert!(sizes(bad).is_err(), "{bad}");
        }
    }
}
