//! Facts about this machine that predictions are made of: assumed, measured, or read from a profile on disk.
//!
//! [`measure`] finds them out, [`profile`] keeps them. Here is what they are, and which are known to this process by now. What they say
//! about a loop is `model`'s business.

#[cfg(feature = "gpu")]
mod gpu;
mod measure;
#[cfg(any(feature = "gpu", test))]
mod probing;
mod profile;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::cpu::CpuLevel;
use crate::date;
use crate::error::Result;
use crate::exec::threads::Threads;
use crate::kernel::cost::Counts;
pub use profile::model as cpu_model;
use profile::{Access, CpuKey};

/// What was measured of this machine: what the dispatcher predicts from, and the roofs of a roofline.
///
/// # Examples
/// ```no_run
/// let machine = forall::Machine::measured()?;
/// let cpu = &machine.cpu;
/// println!("{:.0} GFLOP/s and {:.0} GB/s on one thread", cpu.flops_per_ns, cpu.bandwidth[3]);
/// # Ok::<(), forall::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Machine {
    /// The CPU's name, where the system tells; else empty.
    pub model: String,
    /// The CPU level that loops run at.
    pub level: &'static str,
    /// The CPU backends.
    pub cpu: CpuFacts,
    /// The GPU's name as its driver gives it.
    pub adapter: Option<String>,
    /// The GPU; `None` where there is none that counts.
    pub gpu: Option<GpuFacts>,
}

/// How fast the CPU backends are. Times are in nanoseconds, rates per nanosecond: bytes per nanosecond are GB/s.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CpuFacts {
    /// Threads of the pool.
    pub threads: usize,
    /// A call of a loop on one thread, besides its elements.
    pub call_ns: f64,
    /// A launch of a shader on one thread, besides its invocations.
    pub launch_ns: f64,
    /// To begin an operation of the block interpreter, once for all lanes of a block.
    pub begin_ns: f64,
    /// An operation of one lane.
    pub lane: LaneTimes,
    /// To get the pool's threads to work on a loop, and to see them end, just after another loop.
    pub fork_join_ns: f64,
    /// The same after some milliseconds without one: threads sleep then.
    pub fork_join_idle_ns: f64,
    /// How much faster all threads compute than one; not more than `threads`, often less.
    pub speed_up: f64,
    /// Bytes read and written per nanosecond by one thread, for each of [`CpuFacts::WORKING_SETS`].
    pub bandwidth: [f64; 4],
    /// The same of all threads.
    pub bandwidth_all: [f64; 4],
    /// Bytes per nanosecond of memory that the system has just given and that nobody has written to yet.
    pub fresh_bytes_per_ns: f64,
    /// Float operations per nanosecond of one thread at best: multiply-adds in registers, each counted as two.
    pub flops_per_ns: f64,
}

/// Nanoseconds that one lane takes for an operation of each class, through the block interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LaneTimes {
    /// Additions, float products, comparisons, selections, bit operations, conversions.
    pub simple: f64,
    /// The same where another operation computes it along.
    pub fused: f64,
    /// Integer products.
    pub multiply_int: f64,
    /// Float quotients and roots.
    pub divide: f64,
    /// Integer quotients and remainders.
    pub divide_int: f64,
    /// Logarithms, sines and the like, on average.
    pub transcendental: f64,
    /// Loads at neighbouring indexes of neighbouring lanes.
    pub load: f64,
    /// Loads and stores at any index, of what the cache has.
    pub gather: f64,
    /// Stores at neighbouring indexes of neighbouring lanes.
    pub store: f64,
    /// Atomic operations on buffers, while no other thread wants the same word.
    pub atomic: f64,
}

/// How fast a GPU is, as seen from host memory. Times are in nanoseconds, rates per nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GpuFacts {
    /// A call, besides its elements: encode, submit, wait.
    pub call_ns: f64,
    /// Simple f32 operations.
    pub ops_per_ns: f64,
    /// Bytes that the device reads and writes in its own memory.
    pub bytes_per_ns: f64,
    /// Bytes from host to device.
    pub upload_bytes_per_ns: f64,
    /// Bytes from device to host, including the CPU reading them where they were mapped.
    pub download_bytes_per_ns: f64,
}

/// What earlier processes have kept of this machine for the dispatcher: [`Machine::profile`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// The file; `None` where none is read.
    pub path: Option<PathBuf>,
    /// When this machine's CPU was measured, in seconds since 1970; `None` where the file does not have it.
    pub saved: Option<u64>,
    /// Why this process keeps nothing there, if so.
    pub not_kept: Option<&'static str>,
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.path, self.saved) {
            (None, _) => f.write_str("none")?,
            (Some(path), None) => write!(
                f,
                "{}: not there or nothing about this machine; `forall tune` measures",
                path.display()
            )?,
            (Some(path), Some(saved)) => write!(f, "{} of {}", path.display(), date::day(saved))?,
        }
        self.not_kept.map_or(Ok(()), |why| write!(f, "; nothing is kept: {why}"))
    }
}

/// Where the facts behind a prediction come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Source {
    /// Nobody has measured yet: the loops of this process have not been worth it.
    Assumed,
    /// This process has measured.
    Measured,
    /// Read from the profile on disk.
    Profile {
        /// When it was measured, in seconds since 1970.
        saved: u64,
    },
    /// The facts of deterministic mode, the same on every machine.
    Reference,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Assumed => {
                f.write_str("assumed: the loops so far were not worth reading or measuring them")
            }
            Self::Measured => f.write_str("measured by this process"),
            Self::Profile { saved } => write!(f, "profile of {}", date::day(*saved)),
            Self::Reference => f.write_str("those of deterministic mode, no machine's"),
        }
    }
}

impl Machine {
    /// Measures this machine thoroughly: about 150 ms for the CPU, and what it takes to open a GPU where there is one. The dispatcher of
    /// this process goes by it from then on.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if `FORALL_THREADS` is no number of threads.
    pub fn measured() -> Result<Self> {
        let pool = Threads::global()?;
        let cpu = measure::cpu(pool, measure::Effort::Thorough)?;
        let _ = BEST.set((cpu, Source::Measured));
        let machine = Self {
            model: profile::model(),
            level: CpuLevel::detected().name(),
            cpu,
            adapter: None,
            gpu: None,
        };
        #[cfg(feature = "gpu")]
        let machine = {
            probing::Probing::forget(access());
            let found = gpu::open_and_measure().ok();
            let (adapter, gpu) = found.map(|(fact, facts)| (fact.name, facts)).unzip();
            Self { adapter, gpu, ..machine }
        };
        Ok(machine)
    }

    /// What earlier processes have kept of this machine. Reads a small file, and measures nothing.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if `FORALL_THREADS` is no number of threads.
    pub fn profile() -> Result<Profile> {
        let key = CpuKey::here(Threads::global()?.count());
        let path = access().path().map(PathBuf::from);
        let saved = path.as_deref().and_then(|path| profile::load_cpu(path, &key)).map(|(_, saved)| saved);
        Ok(Profile { path, saved, not_kept: access().writable().err() })
    }

    /// Keeps the facts for other processes, in the file that `FORALL_PROFILE` names or in the system's folder for caches; tells where.
    ///
    /// # Errors
    /// Why they are not kept, in words: `FORALL_PROFILE` is `off` or `readonly`, `CI` is set, or the file cannot be written.
    pub fn save(&self) -> Result<PathBuf, String> {
        let path = access().writable().map_err(str::to_owned)?;
        self.save_to(path)?;
        Ok(path.to_owned())
    }

    /// Keeps the facts in a file of one's own, for processes that are started with it as `FORALL_PROFILE`, whatever is set for this one.
    ///
    /// # Errors
    /// Why the file cannot be written, in words.
    pub fn save_to(&self, path: &Path) -> Result<(), String> {
        let saved = profile::save_cpu(path, CpuKey::here(self.cpu.threads), self.cpu);
        #[cfg(feature = "gpu")]
        let saved = saved.and_then(|()| match (self.gpu, gpu::key()) {
            (Some(facts), Some(key)) => profile::save_gpu(path, key, facts),
            _ => Ok(()),
        });
        saved.map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// What may be done with the profile, as the environment had it at the first look.
fn access() -> &'static Access {
    static ACCESS: OnceLock<Access> = OnceLock::new();
    ACCESS.get_or_init(Access::from_environment)
}

/// What was measured with care by this process, or at all by an earlier one.
static BEST: OnceLock<(CpuFacts, Source)> = OnceLock::new();

/// What reading the profile costs, roughly, in nanoseconds.
const READ_NS: f64 = 2e5;
/// What measuring the CPU in passing costs, roughly, in nanoseconds.
const MEASURE_NS: f64 = 10e6;

impl CpuFacts {
    /// Working sets that bandwidths are measured for, in bytes: one for each level of cache that CPUs usually have, and main memory.
    pub const WORKING_SETS: [usize; 4] = [16 << 10, 256 << 10, 4 << 20, 72 << 20];

    /// What is known of the CPU by now, if the loops of this process have been predicted to take `spent_ns`, the one about to run
    /// included. Rent or buy: nothing is found out before the loops were worth it, and so a process takes at most twice as long as
    /// if that had been foreseen.
    pub(crate) fn known(pool: &Threads, spent_ns: f64) -> (&'static Self, Source) {
        static ASSUMED: OnceLock<CpuFacts> = OnceLock::new();
        static QUICK: OnceLock<CpuFacts> = OnceLock::new();
        if Self::is_worth_reading(spent_ns) {
            Self::look(pool);
        }
        if let Some((cpu, source)) = BEST.get() {
            return (cpu, *source);
        }
        let assumed = ASSUMED.get_or_init(|| {
            // More threads than cores wait for each other.
            let cores = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
            Self { threads: pool.count(), ..Self::assumed(pool.count().min(cores)) }
        });
        if spent_ns < MEASURE_NS {
            return (assumed, Source::Assumed);
        }
        let quick = QUICK.get_or_init(|| {
            // A probe that cannot run leaves the assumption: a plan is then less good, and no loop fails for it.
            let Ok(cpu) = measure::cpu(pool, measure::Effort::Quick) else { return *assumed };
            if let Ok(path) = access().writable() {
                // Nobody misses it but the next process, which measures again.
                let _ = profile::save_cpu(path, CpuKey::here(cpu.threads), cpu);
            }
            cpu
        });
        (quick, Source::Measured)
    }

    /// What is assumed of one thread, before there is a pool.
    pub(crate) fn alone() -> &'static Self {
        static ALONE: OnceLock<CpuFacts> = OnceLock::new();
        ALONE.get_or_init(|| Self::assumed(1))
    }

    /// Whether loops that were predicted to take so many nanoseconds ask for more than assumptions.
    pub(crate) fn is_worth_reading(spent_ns: f64) -> bool {
        spent_ns >= READ_NS
    }

    /// Reads the profile, once.
    fn look(pool: &Threads) {
        static LOOKED: OnceLock<()> = OnceLock::new();
        LOOKED.get_or_init(|| {
            if let Some(path) = access().path()
                && let Some((cpu, saved)) = profile::load_cpu(path, &CpuKey::here(pool.count()))
            {
                let _ = BEST.set((cpu, Source::Profile { saved }));
            }
        });
    }

    /// Whether a machine could be like this: what a file says that anybody may have written.
    fn is_sane(&self) -> bool {
        let Self {
            threads,
            call_ns,
            launch_ns,
            begin_ns,
            lane,
            fork_join_ns,
            fork_join_idle_ns,
            speed_up,
            bandwidth,
            bandwidth_all,
            fresh_bytes_per_ns,
            flops_per_ns,
        } = *self;
        let times = [call_ns, launch_ns, begin_ns, fork_join_ns, fork_join_idle_ns];
        let rates = [bandwidth, bandwidth_all].concat();
        (1.0..=threads as f64).contains(&speed_up)
            && times.into_iter().all(is_time)
            && lane.all().into_iter().all(|ns| (1e-6..1e4).contains(&ns))
            && rates.into_iter().chain([fresh_bytes_per_ns, flops_per_ns]).all(is_rate)
            && [bandwidth, bandwidth_all].iter().all(|rates| rates.is_sorted_by(|a, b| a >= b))
    }

    /// The facts of a reference machine (two cores of an EPYC 9005, `forall tune`) with so many threads and this CPU's vectors: good
    /// enough to see that a loop is too small for anything but one thread.
    pub(crate) fn assumed(threads: usize) -> Self {
        Self::typical(threads, CpuLevel::detected().lanes())
    }

    /// The facts of deterministic mode: of no machine in particular.
    pub(crate) fn reference() -> &'static Self {
        static REFERENCE: OnceLock<CpuFacts> = OnceLock::new();
        REFERENCE.get_or_init(|| Self::typical(8, 8))
    }

    fn typical(threads: usize, lanes: usize) -> Self {
        let more = threads as f64;
        let speed_up = (more * 0.9).max(1.0);
        let memory = speed_up.min(4.0);
        // Fewer lanes, fewer results at a time.
        let narrow = 16.0 / lanes as f64;
        Self {
            threads,
            call_ns: 300.0,
            launch_ns: 450.0,
            begin_ns: 4.0,
            lane: LaneTimes {
                simple: 0.03,
                fused: 0.01,
                multiply_int: 0.03,
                divide: 0.15,
                divide_int: 0.6,
                transcendental: 0.6,
                load: 0.02,
                gather: 0.5,
                store: 0.02,
                atomic: 5.0,
            }
            .times(narrow.sqrt()),
            fork_join_ns: 8_000.0,
            fork_join_idle_ns: 40_000.0,
            speed_up,
            bandwidth: [100.0, 60.0, 30.0, 12.0],
            bandwidth_all: [100.0 * speed_up, 60.0 * speed_up, 30.0 * speed_up, 12.0 * memory],
            fresh_bytes_per_ns: 4.0,
            flops_per_ns: 200.0 / narrow,
        }
    }

    /// The block interpreter's time for so many lanes in so many blocks, in each of which `begun` operations are begun.
    pub(crate) fn interpreted_ns(&self, counts: &Counts, begun: f64, blocks: f64, lanes: f64) -> f64 {
        blocks * begun * self.begin_ns + lanes * self.lane.of(counts)
    }

    /// Bytes per nanosecond of one thread, for a loop whose arrays take so many bytes.
    pub(crate) fn bandwidth_of(&self, bytes: f64) -> f64 {
        between(&self.bandwidth, bytes)
    }

    /// The same of all threads.
    pub(crate) fn bandwidth_of_all(&self, bytes: f64) -> f64 {
        between(&self.bandwidth_all, bytes)
    }
}

impl LaneTimes {
    /// What one lane takes for the operations of one element.
    fn of(&self, counts: &Counts) -> f64 {
        self.simple * (counts.simple - counts.fused)
            + self.fused * counts.fused
            + self.multiply_int * counts.multiply_int
            + self.divide * counts.divide
            + self.divide_int * counts.divide_int
            + self.transcendental * counts.transcendental
            + self.load * counts.load
            + self.gather * counts.gather
            + self.store * counts.store
            + self.atomic * counts.atomic
    }

    fn all(self) -> [f64; 10] {
        let Self { simple, fused, multiply_int, divide, divide_int, .. } = self;
        let Self { transcendental, load, gather, store, atomic, .. } = self;
        [simple, fused, multiply_int, divide, divide_int, transcendental, load, gather, store, atomic]
    }

    fn times(self, by: f64) -> Self {
        let [simple, fused, multiply_int, divide, divide_int, transcendental, load, gather, store, atomic] =
            self.all().map(|ns| by * ns);
        Self { simple, fused, multiply_int, divide, divide_int, transcendental, load, gather, store, atomic }
    }
}

/// The rate for a working set between those that were measured: caches end at other sizes on every machine, so it goes down little by
/// little.
fn between(rates: &[f64; 4], bytes: f64) -> f64 {
    let above = CpuFacts::WORKING_SETS.iter().position(|&set| bytes <= set as f64);
    match above {
        Some(0) => rates[0],
        None => rates[3],
        Some(at) => {
            let (low, high) = (CpuFacts::WORKING_SETS[at - 1] as f64, CpuFacts::WORKING_SETS[at] as f64);
            let share = (octaves(bytes) - octaves(low)) / (octaves(high) - octaves(low));
            rates[at - 1] + (rates[at] - rates[at - 1]) * share
        }
    }
}

/// The binary logarithm plus a constant, straight between powers of two: off by 0.09 at most, and no decision waits for a library's.
fn octaves(x: f64) -> f64 {
    const FRACTION: u32 = f64::MANTISSA_DIGITS - 1;
    x.to_bits() as f64 / (1_u64 << FRACTION) as f64
}

/// Nanoseconds that something may take which every call does.
fn is_time(ns: f64) -> bool {
    (1e-3..1e9).contains(&ns)
}

/// What may be done in a nanosecond.
fn is_rate(rate: f64) -> bool {
    (1e-4..1e7).contains(&rate)
}

#[cfg(feature = "gpu")]
pub(crate) use gpu::Closed;

#[cfg(feature = "gpu")]
impl GpuFacts {
    /// Opens the GPU of this process; the facts are the profile's, or measured and kept there. `by_name`: the caller asks for this GPU
    /// and nothing else, and so for another try where probing it went wrong.
    ///
    /// # Errors
    /// Why it is left out.
    pub(crate) fn open(by_name: bool) -> Result<(Self, Source), Closed> {
        gpu::open(access(), by_name)
    }

    /// Whether a GPU could be like this.
    fn is_sane(&self) -> bool {
        let Self { call_ns, ops_per_ns, bytes_per_ns, upload_bytes_per_ns, download_bytes_per_ns } = *self;
        is_time(call_ns)
            && [ops_per_ns, bytes_per_ns, upload_bytes_per_ns, download_bytes_per_ns].into_iter().all(is_rate)
    }
}

#[cfg(test)]
mod tests;
