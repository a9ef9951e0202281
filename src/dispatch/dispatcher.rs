//! The front door: checks a call, plans it, runs it on the chosen backend, and rescues it when a GPU dies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::machine::Cpu;
use super::model::Work;
use super::plan::{self, Exclusion, Plan, Question};
use super::report::Report;
use crate::backend::{Backend, Policy};
use crate::error::{Error, Result};
use crate::exec::{Times, simd, threads};
use crate::kernel::Kernel;
use crate::launch::{self, IntoArgs, IntoOutputs};
use crate::part::Part;

/// Runs loops on the backend that should finish first, and says why.
///
/// Making one touches no hardware. The CPU is measured, in a few milliseconds, and a GPU is opened, in a few hundred, once the loops
/// of this process have cost as much as that: rent or buy, so the worst case is twice the best. [`Policy::Only`] opens what it names at once.
///
/// Cheap to share: `&Dispatcher` is all a call needs, from any thread.
///
/// # Examples
/// ```
/// use forall::{Dispatcher, Kernel};
///
/// let forall = Dispatcher::new();
/// let hypot = Kernel::map("fn hypot(x: f32, y: f32) -> f32 { return sqrt(x * x + y * y); }")?;
/// let mut out = [0.0_f32; 3];
/// let report = forall.run(&hypot, (&[3.0_f32, 5.0, 8.0], &[4.0_f32, 12.0, 15.0]), &mut out)?;
/// assert_eq!(out, [5.0, 13.0, 17.0]);
/// println!("{}", report.explain());
/// # Ok::<(), forall::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Dispatcher {
    policy: Option<Policy>,
}

/// Predicted nanoseconds of all loops of this process so far, under `Auto`.
static SPENT_NS: AtomicU64 = AtomicU64::new(0);
/// What measuring the CPU costs, roughly.
const MEASURE_NS: f64 = 5e6;
/// What opening a GPU costs, roughly: loading the driver dominates.
#[cfg(feature = "gpu")]
const OPEN_GPU_NS: f64 = 300e6;

impl Dispatcher {
    /// A dispatcher with the policy of `FORALL_BACKEND` (`auto`, `gpu`, `simd`, `threads`), [`Policy::Auto`] where that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a policy of its own, whatever the environment says.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy: Some(policy) }
    }

    /// The policy in force.
    ///
    /// # Errors
    /// [`Error::Config`] if `FORALL_BACKEND` holds no backend's name.
    pub fn policy(&self) -> Result<Policy> {
        self.policy.map_or_else(environment_policy, Ok)
    }

    /// Runs `out[i] = body(i, x[i], y[i], …)` for every element, and returns when the outputs hold the result.
    ///
    /// # Shapes
    /// Inputs in the order of the kernel's parameters: a number (or `[T; 2]` to `[T; 4]`, or `bool`) by value is the same for every
    /// element, a slice or `Vec` by reference gives one element each, [`Index`](crate::Index) is the element's index. Outputs are `&mut`
    /// slices, one or a tuple. All arrays have the same length n (whole arrays any); n = 0 is fine and runs nothing.
    ///
    /// # Backends
    /// Any; the policy and the predicted times decide, [`Report::plan`] holds both.
    ///
    /// # Numerics
    /// The CPU backends give the same bits. A GPU is within WGSL's accuracy bounds.
    ///
    /// # Errors
    /// Every variant of [`Error`] that names a kernel. The outputs are then as before the call.
    ///
    /// # Panics
    /// Where a closure body panics; the outputs are then partly written.
    ///
    /// # Cost
    /// Under a microsecond besides the loop itself, once the kernel has run with parameters bound in this way; the first such call compiles.
    pub fn run<'a, 'b>(&self, kernel: &Kernel, args: impl IntoArgs<'a>, outputs: impl IntoOutputs<'b>) -> Result<Report> {
        let part = launch::check(kernel.signature(), args.into_args(), outputs.into_outputs())?;
        let (plan, compile) = self.decide(kernel, &part)?;
        self.execute(kernel, part, plan, compile)
    }

    /// What [`run`](Self::run) would do with these arguments, without running the loop.
    ///
    /// # Errors
    /// As `run`, except those that only running can find.
    pub fn plan<'a, 'b>(&self, kernel: &Kernel, args: impl IntoArgs<'a>, outputs: impl IntoOutputs<'b>) -> Result<Plan> {
        let part = launch::check(kernel.signature(), args.into_args(), outputs.into_outputs())?;
        self.decide(kernel, &part).map(|(plan, _)| plan)
    }

    /// The plan, and the time it took to compile the kernel for the CPU if this was its first call of this shape.
    fn decide(&self, kernel: &Kernel, part: &Part<'_>) -> Result<(Plan, Duration)> {
        let policy = self.policy()?;
        let prepared = kernel.prepare(part)?;
        let pool = threads::count();
        let assumed = Cpu::assumed(pool);
        let mut work = Work::of(kernel, part, &assumed)?;

        // Rent or buy: assume until the loops so far were worth measuring.
        let rough = super::model::simd(&assumed, &work, part.n as f64);
        let spent = SPENT_NS.load(Ordering::Relaxed) as f64 + rough;
        SPENT_NS.fetch_add(rough as u64, Ordering::Relaxed);
        let cpu = if spent < MEASURE_NS || threads::inside() { assumed } else { *Cpu::measured() };
        work.compute_ns *= cpu.op_ns / assumed.op_ns;

        let threads = match (threads::inside(), pool) {
            (true, _) => Some(Exclusion::Nested),
            (false, 1) => Some(Exclusion::OneThread),
            (false, _) => None,
        };
        let gpu = self.gpu(kernel, policy, spent);
        let question = Question { policy, work, n: part.n, cpu: &cpu, threads, gpu: gpu.view() };
        match plan::plan(&question) {
            Ok(plan) => Ok((plan, prepared)),
            Err(exclusion) => Err(Error::Unavailable {
                kernel: kernel.name().to_owned(),
                backend: match policy {
                    Policy::Only(backend) => backend,
                    Policy::Auto => Backend::Simd,
                },
                reason: gpu.reason().unwrap_or_else(|| exclusion.to_string()),
            }),
        }
    }

    fn execute(&self, kernel: &Kernel, mut part: Part<'_>, mut plan: Plan, compile: Duration) -> Result<Report> {
        let n = part.n;
        let mut rescued = None;
        let mut backend = plan.backend;
        if n == 0 {
            let times = Times { compile, ..Times::default() };
            return Ok(Report { kernel: kernel.clone(), n, backend, times, plan, rescued });
        }
        if backend == Backend::Gpu {
            match run_on_gpu(kernel, &mut part) {
                Ok(times) => return Ok(Report { kernel: kernel.clone(), n, backend, times, plan, rescued }),
                Err(error) if self.policy()? == Policy::Auto => {
                    // The inputs are borrowed and the outputs untouched: the CPU can do the whole loop.
                    backend = if threads::count() > 1 { Backend::Threads } else { Backend::Simd };
                    plan = plan.without_gpu(backend, Exclusion::Failed);
                    rescued = Some(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        let start = Instant::now();
        match backend {
            Backend::Threads => threads::run(kernel, part)?,
            Backend::Simd | Backend::Gpu => simd::run(kernel, part)?,
        }
        let times = Times { compile, run: start.elapsed(), ..Times::default() };
        Ok(Report { kernel: kernel.clone(), n, backend, times, plan, rescued })
    }

    #[cfg(feature = "gpu")]
    fn gpu(&self, kernel: &Kernel, policy: Policy, spent: f64) -> gpu::Known {
        if !kernel.has_wgsl() {
            return gpu::Known::Excluded(Exclusion::ClosureOnly, None);
        }
        if threads::inside() {
            return gpu::Known::Excluded(Exclusion::Nested, None);
        }
        match policy {
            Policy::Only(Backend::Gpu) => gpu::open(),
            Policy::Only(_) => gpu::Known::Unopened,
            Policy::Auto => gpu::known().unwrap_or_else(|| if spent < OPEN_GPU_NS { gpu::Known::Unopened } else { gpu::open() }),
        }
    }

    #[cfg(not(feature = "gpu"))]
    fn gpu(&self, _: &Kernel, _: Policy, _: f64) -> gpu::Known {
        gpu::Known::NotBuilt
    }
}

fn environment_policy() -> Result<Policy> {
    static POLICY: std::sync::OnceLock<Result<Policy>> = std::sync::OnceLock::new();
    POLICY
        .get_or_init(|| match std::env::var("FORALL_BACKEND") {
            Err(std::env::VarError::NotPresent) => Ok(Policy::Auto),
            Ok(text) if text.is_empty() || text == "auto" => Ok(Policy::Auto),
            value => {
                let got = value.unwrap_or_else(|error| error.to_string());
                got.parse().map(Policy::Only).map_err(|_| Error::Config {
                    name: "FORALL_BACKEND",
                    got,
                    expected: "auto, gpu, simd or threads",
                })
            }
        })
        .clone()
}

#[cfg(feature = "gpu")]
fn run_on_gpu(kernel: &Kernel, part: &mut Part<'_>) -> Result<Times> {
    crate::exec::gpu::Gpu::shared()?.run(kernel, part)
}

#[cfg(not(feature = "gpu"))]
fn run_on_gpu(kernel: &Kernel, _: &mut Part<'_>) -> Result<Times> {
    Err(Error::Unavailable {
        kernel: kernel.name().to_owned(),
        backend: Backend::Gpu,
        reason: Exclusion::NotBuilt.to_string(),
    })
}

/// What this process knows about its GPU.
#[cfg(feature = "gpu")]
mod gpu {
    use std::sync::{Arc, RwLock};

    use super::super::machine::GpuFacts;
    use super::super::plan::{self, Exclusion};
    use crate::exec::gpu::Gpu;

    #[derive(Clone)]
    pub(super) enum Known {
        Unopened,
        Ready(Arc<GpuFacts>),
        Excluded(Exclusion, Option<Arc<str>>),
    }

    impl Known {
        pub(super) fn view(&self) -> plan::Gpu<'_> {
            match self {
                Self::Unopened => plan::Gpu::Unopened,
                Self::Ready(facts) => plan::Gpu::Ready(facts),
                Self::Excluded(why, _) => plan::Gpu::Excluded(*why),
            }
        }

        /// The driver's own words, where there are any.
        pub(super) fn reason(&self) -> Option<String> {
            match self {
                Self::Excluded(_, Some(reason)) => Some(reason.to_string()),
                _ => None,
            }
        }
    }

    static KNOWN: RwLock<Option<Known>> = RwLock::new(None);

    /// What an earlier call found out.
    pub(super) fn known() -> Option<Known> {
        KNOWN.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Opens and measures the GPU, unless that was done. A failure is remembered for `Auto`; `Only` tries again.
    pub(super) fn open() -> Known {
        if let Some(ready @ Known::Ready(_)) = known() {
            return ready;
        }
        let found = match Gpu::shared().and_then(|gpu| GpuFacts::measure(&gpu)) {
            Ok(facts) => Known::Ready(Arc::new(facts)),
            Err(error) => {
                let reason = match error {
                    crate::error::Error::Unavailable { reason, .. } => reason,
                    other => other.to_string(),
                };
                Known::Excluded(Exclusion::NoAdapter, Some(reason.into()))
            }
        };
        *KNOWN.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(found.clone());
        found
    }
}

#[cfg(not(feature = "gpu"))]
mod gpu {
    use super::super::plan::{self, Exclusion};

    pub(super) enum Known {
        NotBuilt,
    }

    impl Known {
        pub(super) fn view(&self) -> plan::Gpu<'_> {
            plan::Gpu::Excluded(Exclusion::NotBuilt)
        }

        pub(super) fn reason(&self) -> Option<String> {
            None
        }
    }
}
