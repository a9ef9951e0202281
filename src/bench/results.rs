//! What a measurement gives, as plain data: its JSON is the schema that files, pages and comparisons read.
//!
//! Units, everywhere: times in nanoseconds, sizes in elements, bytes in bytes, rates per nanosecond (so GB/s and GFLOP/s), shares and
//! regrets as fractions (0.03 is 3 %). Nothing here measures or judges.
//!
//! The schema has one number. It grows when a field changes its meaning or goes away; a reader refuses a larger one, and ignores fields
//! that it does not know. A field that was not there from the beginning may be missing, and the words at the field say what it is then.
//! `null` for a number is one that is none: not finite, as JSON has no such numbers.

use serde::{Deserialize, Deserializer, Serialize};

use crate::backend::Backend;
use crate::error::{Error, Result};

/// The number of the schema that this library writes.
pub const SCHEMA: u32 = 1;

/// Everything one measurement has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`] of the library that wrote it.
    pub schema: u32,
    /// When it began, in UTC: `2026-11-22T17:02:09Z`.
    pub date: String,
    /// The command line, for whoever wants to do it again. Empty where a program called the library.
    pub command: Vec<String>,
    /// Whether it was stopped before it was done: what is here holds, and may be less precise than it was meant to be.
    pub interrupted: bool,
    /// How long it took, in seconds.
    #[serde(deserialize_with = "number")]
    pub seconds: f64,
    /// What was asked for.
    pub settings: Settings,
    /// Where it ran.
    pub machine: Machine,
    /// Backends that were not measured at all, each with the reason.
    pub absent: Vec<Absent>,
    /// The loops, in the order they were asked for.
    pub loops: Vec<Loop>,
    /// The dispatcher's, over all loops.
    pub regret: Option<Regret>,
}

/// What a sweep was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The smallest and the largest size.
    pub sizes: [usize; 2],
    /// Seconds for all loops together.
    #[serde(deserialize_with = "number")]
    pub budget: f64,
    /// Whether data stayed where it was last used, so that transfers to a GPU are not in the times.
    pub resident: bool,
    /// Whether every sample was the first call of a process of its own, compiling and start-up included; missing means not.
    #[serde(default)]
    pub cold: bool,
    /// Of the order of samples and of the inputs.
    pub seed: u64,
    /// A median is measured until its confidence interval is so narrow, on either side, as a fraction; or the budget ends.
    #[serde(deserialize_with = "number")]
    pub precision: f64,
}

/// The machine, and what was loaded on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The CPU's name as it is sold; the architecture where the system does not tell.
    pub cpu: String,
    /// `x86_64`, `aarch64`, …
    pub arch: String,
    /// `linux`, `macos`, `windows`, …
    pub os: String,
    /// The vector instructions that loops use: [`CpuLevel::name`](crate::CpuLevel::name).
    pub level: String,
    /// 32-bit lanes of them.
    pub lanes: usize,
    /// Threads of the pool.
    pub threads: usize,
    /// The GPU, if one was measured.
    pub adapter: Option<String>,
    /// Its driver and API.
    pub driver: Option<String>,
    /// The version of this library.
    pub library: String,
    /// `debug` or `release`.
    pub build: String,
    /// What the machine can do at best, as measured: one for each backend that was measured.
    pub roofs: Vec<Roof>,
}

/// The best that a backend can do on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roof {
    /// Whose it is.
    pub backend: Backend,
    /// f32 operations per nanosecond (GFLOP/s), a multiply-add counted as two.
    #[serde(deserialize_with = "number")]
    pub flops: f64,
    /// By working set, the smallest first. The last one is main memory's.
    pub bandwidths: Vec<Bandwidth>,
}

/// What memory gives while everything fits in so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// The working set, of all arrays together, that it was measured with.
    #[serde(deserialize_with = "number")]
    pub bytes: f64,
    /// Bytes read and written per nanosecond (GB/s).
    #[serde(deserialize_with = "number")]
    pub rate: f64,
}

/// One loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loop {
    /// As `forall bench` takes it.
    pub name: String,
    /// What it computes, in a line.
    pub what: String,
    /// What an element is: `element`, `pixel`, `product` …
    pub element: String,
    /// Whether [`Size::flops`] counts operations on whole numbers, as the loop has no others.
    pub integer: bool,
    /// The sizes, the smallest first.
    pub sizes: Vec<Size>,
    /// Sizes that there was no time for.
    #[serde(default)]
    pub skipped: Vec<usize>,
    /// Where the winner changes, the smallest size first.
    pub crossovers: Vec<Crossover>,
    /// The dispatcher's, over all sizes of this loop; `None` where it was not measured, or too few samples tell.
    pub regret: Option<Regret>,
}

/// One loop at one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// Elements.
    pub n: usize,
    /// How the size is told where it is not one number: `256 × 256`.
    pub label: Option<String>,
    /// Bytes that a call has to read and write, each once.
    #[serde(deserialize_with = "number")]
    pub bytes: f64,
    /// Floating-point operations of a call, a multiply-add counted as two; of whole numbers if [`Loop::integer`].
    #[serde(deserialize_with = "number")]
    pub flops: f64,
    /// Each backend that ran it, in the order of [`Backend::ALL`].
    pub points: Vec<Point>,
    /// Backends that did not, each with the reason: over a limit, out of memory, a wrong answer.
    pub absent: Vec<Absent>,
    /// The dispatcher, which chose for itself.
    pub dispatcher: Option<Dispatched>,
    /// The backend with the smallest median.
    pub winner: Option<Backend>,
    /// Whether the runner-up's confidence interval overlaps the winner's: either may be the faster one.
    pub tie: bool,
}

/// One backend's time for one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The backend.
    pub backend: Backend,
    /// How long a call takes.
    pub time: Timing,
}

/// How long a call takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The median of the samples, in nanoseconds per call.
    #[serde(deserialize_with = "number")]
    pub median: f64,
    /// The confidence interval of the median, at least 95 %, from order statistics: no distribution is assumed. With fewer than six
    /// samples it is the range of all of them, and holds less often.
    #[serde(deserialize_with = "number")]
    pub low: f64,
    /// Its upper end.
    #[serde(deserialize_with = "number")]
    pub high: f64,
    /// How far the medians of the first and of the second half of the samples are apart, as a fraction: what changes slowly on the machine,
    /// and the interval does not know.
    #[serde(deserialize_with = "number")]
    pub drift: f64,
    /// Samples, without those that were dropped for warming up.
    pub samples: usize,
    /// Calls in each sample.
    pub calls: u64,
    /// The smallest sample, the nine deciles, the largest sample.
    #[serde(deserialize_with = "numbers")]
    pub quantiles: [f64; 11],
}

/// A number, or NaN for one that JSON could not hold.
fn number<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// As many.
fn numbers<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<[f64; 11], D::Error> {
    let numbers: [Option<f64>; 11] = Deserialize::deserialize(from)?;
    Ok(numbers.map(|number| number.unwrap_or(f64::NAN)))
}

impl Timing {
    /// Whether it may have been measured: a file may have been edited.
    fn is_sane(&self) -> bool {
        let Self { low, median, high, .. } = *self;
        // A number that is none stands for itself.
        !(low <= 0.0 || low > median || median > high || high.is_infinite())
    }

    /// Half the confidence interval's width, as a fraction of the median: the ± of the median.
    pub fn precision(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.median
    }
}

/// The dispatcher as one more contender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dispatched {
    /// How long a call took with it.
    pub time: Timing,
    /// What it chose last.
    pub choice: Backend,
    /// What it chose, in order: it learns while it runs.
    pub choices: Vec<Streak>,
    /// How much longer it took than the oracle's choice, as a fraction of the latter; below 0 is noise. `None`: too few samples.
    pub regret: Option<f64>,
    /// What the same computation gives where there is nothing to regret: the noise floor.
    pub floor: Option<f64>,
}

/// The same choice in samples that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streak {
    /// What was chosen.
    pub backend: Backend,
    /// So many samples in a row.
    pub samples: usize,
}

/// A size at which another backend becomes the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crossover {
    /// The fastest below.
    pub from: Backend,
    /// The fastest above.
    pub to: Backend,
    /// Elements; between two sizes that were measured, where straight lines through the medians meet (log-log).
    #[serde(deserialize_with = "number")]
    pub n: f64,
}

/// How much longer the dispatcher took than an oracle that knows the fastest backend at each size, as fractions of the oracle's time.
///
/// The oracle chooses with one half of the samples and is timed with the other, so luck in a sample is not taken for speed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regret {
    /// Over the sum of all times: long calls count most.
    #[serde(deserialize_with = "number")]
    pub time_weighted: f64,
    /// The mean over all sizes: every call counts the same.
    #[serde(deserialize_with = "number")]
    pub mean: f64,
    /// What `time_weighted` is where there is nothing to regret: the same computation for a choice that is the oracle's own.
    #[serde(deserialize_with = "number")]
    pub floor_time_weighted: f64,
    /// The same for `mean`.
    #[serde(deserialize_with = "number")]
    pub floor_mean: f64,
    /// Sizes that it is of.
    pub sizes: usize,
}

/// A backend that was not measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Which one.
    pub backend: Backend,
    /// Why.
    pub reason: String,
}

impl Size {
    /// The fastest backend of the CPU, and how many times faster it is than the GPU; `None` where one of the two was not measured.
    pub fn beside_gpu(&self) -> Option<(Backend, f64)> {
        let of_gpu = |point: &&Point| point.backend == Backend::Gpu;
        let gpu = self.points.iter().find(of_gpu)?;
        let cpu = self.points.iter().filter(|point| !of_gpu(point));
        let best = cpu.min_by(|a, b| a.time.median.total_cmp(&b.time.median))?;
        Some((best.backend, gpu.time.median / best.time.median))
    }
}

impl Results {
    /// The results as JSON, ending in a newline.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists: nothing in here can fail.
        serde_json::to_string_pretty(self).map_or_else(|_| String::new(), |text| text + "\n")
    }

    /// Reads what [`to_json`](Self::to_json) wrote; `name` is where the text came from, for errors.
    ///
    /// # Errors
    /// [`Error::Results`] if it is no such text, or of a schema that this library does not know.
    pub fn from_json(name: &str, text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Header {
            schema: u32,
        }
        let fail = |message: String| Error::Results { name: name.to_owned(), message };
        let no_results = |error: serde_json::Error| {
            fail(format!(
                "got {error}, expected what `forall bench --json` writes; write it again with this version"
            ))
        };
        let header: Header = serde_json::from_str(text).map_err(no_results)?;
        if header.schema != SCHEMA {
            return Err(fail(format!(
                "got results of schema {}, expected {SCHEMA}; write them again with this version, or use the one that wrote them",
                header.schema
            )));
        }
        let results: Self = serde_json::from_str(text).map_err(no_results)?;
        for (one, size) in results.loops.iter().flat_map(|one| one.sizes.iter().map(move |size| (one, size)))
        {
            let dispatcher = size.dispatcher.iter().map(|dispatched| &dispatched.time);
            let mut times = size.points.iter().map(|point| &point.time).chain(dispatcher);
            if let Some(Timing { low, median, high, .. }) = times.find(|time| !time.is_sane()) {
                return Err(fail(format!(
                    "got a time of {} of {} that nobody measured ({low} to {high} ns, median {median}); write it again",
                    one.name, size.n
                )));
            }
        }
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &str = include_str!("fixture.json");

    #[test]
    fn json_there_and_back_is_the_same() {
        let results = Results::from_json("fixture.json", FIXTURE).expect("the fixture has the schema");
        assert!(!results.loops.is_empty() && results.loops.iter().all(|l| !l.sizes.is_empty()));
        assert_eq!(Results::from_json("again", &results.to_json()), Ok(results));
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let text = FIXTURE.replacen("\"schema\": 1", "\"schema\": 1, \"later\": [1, {}]", 1);
        assert_eq!(Results::from_json("a", &text), Results::from_json("a", FIXTURE));
    }

    #[test]
    fn numbers_that_are_none_are_read_again() {
        let mut results = Results::from_json("fixture.json", FIXTURE).unwrap();
        let size = &mut results.loops[0].sizes[0];
        (size.bytes, size.flops) = (f64::NAN, f64::INFINITY);
        let time = &mut size.points[0].time;
        (time.median, time.low, time.high, time.drift) = (f64::NAN, f64::NEG_INFINITY, f64::NAN, f64::NAN);
        time.quantiles = [f64::NAN; 11];
        results.loops[0].crossovers.push(Crossover { from: Backend::Simd, to: Backend::Gpu, n: f64::NAN });
        results.loops[0].regret = Some(Regret {
            time_weighted: f64::NAN,
            mean: f64::NAN,
            floor_time_weighted: f64::NAN,
            floor_mean: f64::NAN,
            sizes: 1,
        });
        let bandwidths = vec![Bandwidth { bytes: f64::NAN, rate: f64::NAN }];
        results.machine.roofs.push(Roof { backend: Backend::Gpu, flops: f64::NAN, bandwidths });
        (results.seconds, results.settings.budget, results.settings.precision) =
            (f64::NAN, f64::INFINITY, f64::NAN);
        let text = results.to_json();
        let again = Results::from_json("again", &text).unwrap();
        assert!(again.loops[0].sizes[0].points[0].time.quantiles[10].is_nan());
        assert_eq!(again.to_json(), text);
        // What draws and compares them shows gaps, and does not fail.
        let _ = crate::bench::page::render(&again, Some(&again.since(&again).unwrap()));
        // A number that is missing is another thing: the file is not what was written.
        let text = FIXTURE.replacen("\"median\"", "\"mediam\"", 1);
        assert!(Results::from_json("a", &text).is_err());
    }

    #[test]
    fn files_from_before_cold_sweeps_are_warm() {
        assert!(!FIXTURE.contains("cold"));
        let mut results = Results::from_json("fixture.json", FIXTURE).unwrap();
        assert!(!results.settings.cold);
        results.settings.cold = true;
        assert_eq!(Results::from_json("cold", &results.to_json()), Ok(results));
    }

    #[test]
    fn other_files_and_schemas_are_refused() {
        let message = |text: &str| match Results::from_json("old.json", text) {
            Err(error @ Error::Results { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        };
        let newer = message(&FIXTURE.replacen("\"schema\": 1", "\"schema\": 2", 1));
        assert!(newer.contains("old.json: got results of schema 2, expected 1"), "{newer}");
        for text in ["", "{}", "[]", "{\"schema\": 1}", "{\"schema\": \"1\"}", &FIXTURE[..FIXTURE.len() / 2]]
        {
            let text = message(text);
            assert!(text.contains("expected what `forall bench --json` writes"), "{text}");
        }
        let measured = Results::from_json("fixture.json", FIXTURE).expect("the fixture has the schema");
        for (low, median) in [(-1.0, 2.0), (0.0, 2.0), (3.0, 2.0), (1.0, 1e300)] {
            let mut edited = measured.clone();
            let time = &mut edited.loops[0].sizes[0].points[0].time;
            (time.low, time.median) = (low, median);
            assert!(message(&edited.to_json()).contains("that nobody measured"), "{low} {median}");
        }
    }
}
