//! What ran, where, how long each step took, and why: the answer to every call.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::basis::Basis;
use super::explain::Explanation;
use super::plan::{Plan, Verdict};
use super::planner::{Memory, Planner};
use crate::backend::Backend;
use crate::exec::Times;
use crate::kernel::Kernel;
use crate::spmd::grid::Grid;

/// The account of one loop. Cheap to make (no text is formatted until it is printed).
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) subject: Subject,
    pub(super) n: usize,
    pub(super) moved: u64,
    pub(super) times: Times,
    pub(super) plan: Plan,
    pub(super) rescued: Option<String>,
    pub(super) shared: bool,
    pub(super) basis: Basis,
    pub(super) planner: &'static Planner,
}

/// What is remembered of a kernel: of its calls, and of sequences that begin with it, whose work is another.
#[derive(Debug)]
pub(super) struct Memories {
    pub alone: Memory,
    pub sequences: Memory,
}

/// What is remembered of a kernel, which is dropped with it. `counted`: whether the cost of its body was read off it.
pub(super) fn memories(kernel: &Kernel, counted: bool) -> &Memories {
    kernel.remembered(|| Memories { alone: Memory::new(counted), sequences: Memory::new(counted) })
}

/// What ran.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// `Dispatcher::run`.
    Loop(Kernel),
    /// `Dispatcher::launch`.
    Launch(Kernel, Grid),
    /// `Sequence::run`: so many launches, the first of that kernel.
    Sequence(usize, Option<Kernel>),
}

impl Subject {
    /// What is remembered of it.
    pub(super) fn memory(&self, counted: bool) -> Option<&Memory> {
        match self {
            Self::Loop(kernel) | Self::Launch(kernel, _) => Some(&memories(kernel, counted).alone),
            Self::Sequence(_, Some(kernel)) => Some(&memories(kernel, counted).sequences),
            Self::Sequence(_, None) => None,
        }
    }
}

impl Report {
    /// The kernel's name; of a sequence, that of its first launch.
    pub fn kernel(&self) -> &str {
        match &self.subject {
            Subject::Loop(kernel) | Subject::Launch(kernel, _) | Subject::Sequence(_, Some(kernel)) => {
                kernel.name()
            }
            Subject::Sequence(_, None) => "sequence",
        }
    }

    /// Bytes that the call has copied between host and device memory, both ways. None on the CPU, unless an array was
    /// on a GPU before.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Elements in the loop; of a launch or a sequence, its invocations.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The backend that ran the loop.
    pub fn backend(&self) -> Backend {
        self.plan.backend
    }

    /// Whether more than the calling thread ran the loop. On [`Backend::Threads`] a loop starts on the calling thread, and ends there
    /// where it turns out too short to wake others for.
    pub fn shared(&self) -> bool {
        self.shared
    }

    /// How long each step took.
    pub fn times(&self) -> Times {
        self.times
    }

    /// The decision: every backend's prediction and verdict.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The error of the GPU that failed on this call, when the loop was finished on the CPU from the untouched inputs.
    pub fn rescued(&self) -> Option<&str> {
        self.rescued.as_deref()
    }

    /// Several lines: every backend with its prediction, its error and the reason it was or was not chosen; what the prediction rests on;
    /// from which size on another backend is faster, by what is known now; and the time by step.
    pub fn explain(&self) -> String {
        let known = self.basis.work.known;
        let why = Explanation::new(self.plan.clone(), &self.basis, self.planner, self.subject.memory(known));
        let Times { compile, upload, run, download, .. } = self.times;
        format!(
            "{self}\n{why}\n    compile {}, upload {}, run {}, download {}",
            Span(compile),
            Span(upload),
            Span(run),
            Span(download)
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Times { compile, .. } = self.times;
        match &self.subject {
            Subject::Loop(kernel) => {
                let types: Vec<String> =
                    kernel.signature().outputs.iter().map(|output| output.ty.to_string()).collect();
                write!(f, "{}: {} × {}", kernel.name(), Grouped(self.n), types.join(" + "))?;
            }
            Subject::Launch(kernel, grid) => {
                let [x, y, z] = grid.workgroups;
                write!(f, "{}: {x} × {y} × {z} workgroups", kernel.name())?;
                if let Some([x, y, z]) = kernel.workgroup_size() {
                    write!(f, " of {x} × {y} × {z}")?;
                }
            }
            Subject::Sequence(launches, first) => {
                write!(f, "{launches} launches")?;
                if let Some(first) = first {
                    write!(f, " from {} on", first.name())?;
                }
            }
        }
        write!(f, " on {}", self.backend())?;
        if self.backend() == Backend::Threads && !self.shared {
            f.write_str(" (one thread: too short for more)")?;
        }
        write!(f, " in {}", Span(self.times.total().saturating_sub(compile)))?;
        if !compile.is_zero() {
            write!(f, ", compiled in {}", Span(compile))?;
        }
        let mut predicted =
            self.plan.entries.iter().filter_map(|entry| Some((entry.backend, entry.predicted?)));
        if let Some((backend, time)) = predicted.next() {
            write!(f, "; predicted {backend} {}", Span(time))?;
            predicted.try_for_each(|(backend, time)| write!(f, ", {backend} {}", Span(time)))?;
        }
        if self.plan.entries.iter().any(|entry| entry.verdict == Verdict::Unopened) {
            f.write_str("; gpu not opened")?;
        }
        if self.moved > 0 {
            write!(f, "; moved {} bytes", Grouped(usize::try_from(self.moved).unwrap_or(usize::MAX)))?;
        }
        if let Some(error) = &self.rescued {
            write!(f, "; after {error}")?;
        }
        Ok(())
    }
}

/// A duration with three significant digits: `3.1 ms`, `480 ns`.
pub(crate) struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0.as_nanos() as f64;
        let (value, unit) = match ns {
            _ if ns < 1e3 => (ns, "ns"),
            _ if ns < 1e6 => (ns / 1e3, "µs"),
            _ if ns < 1e9 => (ns / 1e6, "ms"),
            _ => (ns / 1e9, "s"),
        };
        let digits = if value >= 100.0 || unit == "ns" {
            0
        } else if value >= 10.0 {
            1
        } else {
            2
        };
        f.pad(&format!("{value:.digits$} {unit}"))
    }
}

/// A count in groups of three: `10 000 000`.
pub(super) struct Grouped(pub usize);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char(' ')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_three_significant_digits() {
        let shown = |ns| Span(Duration::from_nanos(ns)).to_string();
        assert_eq!(shown(0), "0 ns");
        assert_eq!(shown(999), "999 ns");
        assert_eq!(shown(1_000), "1.00 µs");
        assert_eq!(shown(48_210), "48.2 µs");
        assert_eq!(shown(3_140_000), "3.14 ms");
        assert_eq!(shown(12_000_000_000), "12.0 s");
    }

    #[test]
    fn counts_are_grouped() {
        for (n, text) in [(0, "0"), (999, "999"), (1_000, "1 000"), (10_000_000, "10 000 000")] {
            assert_eq!(Grouped(n).to_string(), text);
        }
    }
}
