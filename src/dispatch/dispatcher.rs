//! The front door: checks a call, plans it, runs it on the chosen backend, and rescues it when a GPU dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::machine::CpuFacts;
use super::model::{self, Work};
use super::plan::{self, Exclusion, Plan, Question};
use super::report::{Report, Subject};
use super::sequence::Sequence;
use crate::backend::{Backend, Policy};
use crate::cancel::{Cancel, Watch};
use crate::cpu::CpuLevel;
use crate::error::{Error, Result};
use crate::exec::threads::Threads;
use crate::exec::{Ran, Times, shader, simd};
use crate::kernel::Kernel;
use crate::launch::job::{self, Job};
use crate::launch::{self, Grid, IntoArgs, IntoBindings, IntoOutputs};
use crate::part::{Part, Progress};

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
#[derive(Clone, Debug, Default)]
pub struct Dispatcher {
    policy: Option<Policy>,
    progress: Option<Progress>,
    pub(super) limit: Option<Duration>,
    cancel: Option<Cancel>,
    /// A GPU of a test's own, and how fast it is said to be.
    #[cfg(all(test, feature = "gpu"))]
    gpu: Option<(&'static crate::exec::gpu::Gpu, super::machine::GpuFacts)>,
}

/// Nanoseconds that the loops of this process have spent on the CPU so far.
static SPENT_NS: AtomicU64 = AtomicU64::new(0);

impl Dispatcher {
    /// A dispatcher with the policy of `FORALL_BACKEND` (`auto`, `gpu`, `simd`, `threads`), [`Policy::Auto`] where that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a policy of its own, whatever the environment says.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy: Some(policy), ..self }
    }

    /// The same, counting the elements that its loops have done in `progress` while they run. Loops in pieces for that are a
    /// little slower on one thread.
    #[must_use]
    pub fn with_progress(self, progress: Progress) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// The same, stopping every call that takes longer: it then returns [`Error::TimeLimit`] and leaves the caller's data as it was,
    /// whatever the shader does, an endless loop too.
    ///
    /// # Backends
    /// Nothing cancels what a GPU has begun. The call waits up to two seconds longer for it to end; then it gives the GPU up, with the
    /// [`Array`](crate::Array)s that only the GPU had, and the next call opens it anew.
    ///
    /// # Cost
    /// A call works on copies of what it writes, which take as much memory again: on the GPU only of an [`Array`](crate::Array).
    #[must_use]
    pub fn with_time_limit(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// The same, stopping its calls once `cancel` is set: they then return [`Error::Cancelled`] and leave the caller's data as it
    /// was.
    ///
    /// # Backends, Cost
    /// As [`with_time_limit`](Self::with_time_limit).
    #[must_use]
    pub fn with_cancel(self, cancel: &Cancel) -> Self {
        Self { cancel: Some(cancel.clone()), ..self }
    }

    /// What its calls look at to know whether to go on.
    pub(crate) fn cancel(&self) -> Option<&Cancel> {
        self.cancel.as_ref()
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
    /// slices, one or a tuple. All arrays have the same length n (whole arrays any); n = 0 is fine and runs nothing. An
    /// [`Array`](crate::Array) by reference may be bound to either, and is used on the host here.
    ///
    /// # Backends
    /// Any; the policy and the predicted times decide, [`Report::plan`] holds both. A loop whose cost cannot be read off its body (a
    /// closure, a `while` on data) starts on the calling thread, and the pool joins in once that has measured to be worth it.
    ///
    /// # Numerics
    /// The CPU backends give the same bits. A GPU is within WGSL's accuracy bounds, and differs where WGSL leaves the result open
    /// (an index out of bounds, NaN converted to an integer).
    ///
    /// # Errors
    /// Every variant of [`Error`] that names a kernel. The outputs are then as before the call.
    ///
    /// # Panics
    /// Where a closure body panics; the outputs are then partly written.
    ///
    /// # Cost
    /// Under a microsecond besides the loop itself, once the kernel has run with parameters bound in this way; the first such call compiles.
    pub fn run<'a, 'b>(
        &self,
        kernel: &Kernel,
        args: impl IntoArgs<'a>,
        outputs: impl IntoOutputs<'b>,
    ) -> Result<Report> {
        is_no_shader(kernel, "run")?;
        launch::with_arrays(kernel.name(), args.into_args(), outputs.into_outputs(), |args, outputs| {
            let mut part = launch::check(kernel.signature(), args, outputs)?;
            part.progress.clone_from(&self.progress);
            part.watch = self.watch();
            let (plan, compile) = self.decide(kernel, &part)?;
            self.execute(kernel, part, plan, compile)
        })
    }

    /// What [`run`](Self::run) would do with these arguments, without running the loop.
    ///
    /// # Errors
    /// As `run`, except those that only running can find.
    pub fn plan<'a, 'b>(
        &self,
        kernel: &Kernel,
        args: impl IntoArgs<'a>,
        outputs: impl IntoOutputs<'b>,
    ) -> Result<Plan> {
        is_no_shader(kernel, "plan")?;
        launch::with_arrays(kernel.name(), args.into_args(), outputs.into_outputs(), |args, outputs| {
            let part = launch::check(kernel.signature(), args, outputs)?;
            self.decide(kernel, &part).map(|(plan, _)| plan)
        })
    }

    /// Runs a compute shader over a grid, and returns when the data bound to what it writes holds the result.
    ///
    /// # Shapes
    /// Every variable in [`Kernel::bindings`] is bound once, by its name or its `(group, binding)`: `&x` to what the shader reads,
    /// `&mut x` to what it writes, an [`Array`](crate::Array) to either. The Rust type has the layout of the WGSL type; runtime-sized
    /// arrays have the length of what is bound, in whole elements. A grid of no workgroups runs nothing.
    ///
    /// # Backends
    /// As [`run`](Self::run). Workgroups start in the order of their index, x fastest, and each runs to its end on one thread.
    ///
    /// # Numerics
    /// The CPU backends give the same bits wherever the shader's result does not depend on the order in which its workgroups run.
    /// A GPU is within WGSL's accuracy bounds, and its subgroups have the size that they have there.
    ///
    /// # Errors
    /// Every variant of [`Error`] that names a kernel. What is bound is then as before the call, but for an array that only a GPU
    /// had which is lost.
    ///
    /// # Cost
    /// A few microseconds besides the shader itself. Data that is not aligned to 4 bytes, or no multiple of them long, is copied.
    ///
    /// # Examples
    /// ```
    /// use forall::{Bindings, Dispatcher, Grid, Kernel};
    ///
    /// let saxpy = Kernel::shader(
    ///     "struct Params { a: f32, n: u32 }
    ///      @group(0) @binding(0) var<uniform> params: Params;
    ///      @group(0) @binding(1) var<storage, read> x: array<f32>;
    ///      @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    ///      @compute @workgroup_size(64)
    ///      fn saxpy(@builtin(global_invocation_id) id: vec3u) {
    ///          if (id.x < params.n) { y[id.x] = params.a * x[id.x] + y[id.x]; }
    ///      }",
    /// )?;
    ///
    /// #[repr(C)]
    /// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    /// struct Params { a: f32, n: u32 }
    ///
    /// let (x, mut y) = (vec![1.0_f32; 1000], vec![2.0_f32; 1000]);
    /// let bindings = Bindings::new().value("params", Params { a: 3.0, n: 1000 }).bind("x", &x).bind("y", &mut y);
    /// let report = Dispatcher::new().launch(&saxpy, Grid::threads(1000), bindings)?;
    /// assert_eq!(y, vec![5.0; 1000]);
    /// println!("{report}");
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn launch<'a>(&self, kernel: &Kernel, grid: Grid, bindings: impl IntoBindings<'a>) -> Result<Report> {
        let job = job::check(kernel, grid, bindings.into_bindings())?;
        let subject = Subject::Launch(kernel.clone(), job.grid);
        self.launch_all(&mut [job], subject)
    }

    /// What [`launch`](Self::launch) would do with these arguments, without running the shader.
    ///
    /// # Errors
    /// As `launch`, except those that only running can find.
    pub fn plan_launch<'a>(
        &self,
        kernel: &Kernel,
        grid: Grid,
        bindings: impl IntoBindings<'a>,
    ) -> Result<Plan> {
        let job = job::check(kernel, grid, bindings.into_bindings())?;
        let work = Work::of_jobs(std::slice::from_ref(&job))?;
        self.choose(kernel.name(), None, work, 1)
    }

    /// Records launches, to be run together: see [`Sequence`].
    pub fn sequence(&self) -> Sequence<'_> {
        Sequence::new(self)
    }

    /// Runs launches one after the other on one backend.
    pub(super) fn launch_all(&self, jobs: &mut [Job<'_>], subject: Subject) -> Result<Report> {
        let first = jobs.first().map(|job| Arc::clone(&job.shader));
        let name = first.as_ref().map_or("sequence", |shader| &shader.entry);
        let mut times = Times::default();
        for job in &*jobs {
            times.compile += job.shader.prepare(&job.grid)?;
        }
        let mut plan = self.choose(name, None, Work::of_jobs(jobs)?, 1)?;
        let n = jobs.iter().map(Job::invocations).sum::<u64>();
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let watch = self.watch();
        let (mut rescued, mut shared) = (None, false);
        if n > 0 && plan.backend == Backend::Gpu {
            match self.launch_on_gpu(name, jobs, &watch) {
                Ok(Ran { times, moved }) => {
                    return Ok(Report { subject, n, moved, times, plan, rescued, shared });
                }
                Err(error) => {
                    rescued = Some(error.to_string());
                    plan = self.without_gpu(plan, error)?;
                }
            }
        }
        let mut moved = 0;
        if n > 0 {
            let pool = if plan.backend == Backend::Threads { Some(Threads::global()?) } else { None };
            let start = Instant::now();
            for job in jobs {
                moved += job.stale_bytes();
                let ran = shader::run(job, CpuLevel::detected(), pool, &watch, self.progress.as_ref());
                shared |= ran.map_err(|error| error.with_limit(self.limit))?;
            }
            times.run = start.elapsed();
            SPENT_NS.fetch_add(times.run.as_nanos() as u64, Ordering::Relaxed);
        }
        Ok(Report { subject, n, moved, times, plan, rescued, shared })
    }

    /// The plan to go on with after the GPU gave `error`, under [`Policy::Auto`]: nothing of the caller's was written, so the CPU
    /// can do it all. A call that was stopped stays so.
    fn without_gpu(&self, plan: Plan, error: Error) -> Result<Plan> {
        match error {
            Error::Cancelled { .. } | Error::TimeLimit { .. } => Err(error.with_limit(self.limit)),
            error if self.policy()? != Policy::Auto => Err(error),
            _ => Ok(plan.without_gpu(Exclusion::Failed)),
        }
    }

    /// What a call that starts now looks at to know whether to go on.
    pub(super) fn watch(&self) -> Watch {
        // A limit longer than the clock counts is none.
        let deadline = self.limit.and_then(|limit| Instant::now().checked_add(limit));
        Watch { cancel: self.cancel.clone(), deadline }
    }

    /// The plan, and the time it took to compile the kernel for the CPU if this was its first call of this shape.
    pub(super) fn decide(&self, kernel: &Kernel, part: &Part<'_>) -> Result<(Plan, Duration)> {
        let compile = kernel.prepare(part.shape())?;
        let work = Work::of(kernel, part)?;
        Ok((
            self.choose(kernel.name(), (!kernel.has_wgsl()).then_some(Exclusion::ClosureOnly), work, part.n)?,
            compile,
        ))
    }

    fn choose(&self, kernel: &str, not_on_gpu: Option<Exclusion>, work: Work, n: usize) -> Result<Plan> {
        let policy = self.policy()?;
        let pool = Threads::global()?;
        let nested = Threads::inside();

        // Rent or buy: assume until the loops so far were worth measuring.
        let so_far = SPENT_NS.load(Ordering::Relaxed) as f64;
        let (cpu, _) = CpuFacts::known(pool, if nested { 0.0 } else { so_far });
        let spent = so_far + model::simd(cpu, &work, n as f64).total();
        let (cpu, _) = CpuFacts::known(pool, if nested { 0.0 } else { spent });

        let threads = match (nested, pool.count()) {
            (true, _) => Some(Exclusion::Nested),
            (false, 1) => Some(Exclusion::OneThread),
            (false, _) => None,
        };
        let gpu = self.look(not_on_gpu, policy, nested, spent);
        let question = Question { policy, work, n, cpu, threads, gpu: gpu.view() };
        plan::plan(&question).map_err(|exclusion| Error::Unavailable {
            kernel: kernel.to_owned(),
            // Only a GPU is ever excluded for good: the CPU backends run wherever this code does.
            backend: Backend::Gpu,
            reason: gpu.reason().unwrap_or_else(|| exclusion.to_string()),
        })
    }

    pub(super) fn execute(
        &self,
        kernel: &Kernel,
        mut part: Part<'_>,
        mut plan: Plan,
        compile: Duration,
    ) -> Result<Report> {
        let n = part.n;
        let (mut rescued, mut shared) = (None, false);
        let mut times = Times { compile, ..Times::default() };
        if n > 0 && plan.backend == Backend::Gpu {
            match self.run_on_gpu(kernel, &mut part) {
                Ok(spent) => {
                    let moved = part.moved_bytes();
                    let subject = Subject::Loop(kernel.clone());
                    return Ok(Report { subject, n, moved, times: spent, plan, rescued, shared });
                }
                Err(error) => {
                    rescued = Some(error.to_string());
                    plan = self.without_gpu(plan, error)?;
                }
            }
        }
        if n > 0 {
            let start = Instant::now();
            let backend = plan.backend;
            let run = |part: Part<'_>| match backend {
                Backend::Threads => Threads::global()?.run(kernel, part),
                Backend::Simd | Backend::Gpu => simd::run(kernel, part).map(|()| false),
            };
            // What a call that is stopped has written is thrown away.
            let ran = if part.watch.is_never() { run(part) } else { part.on_copies(run) };
            shared = ran.map_err(|error| error.with_limit(self.limit))?;
            times.run = start.elapsed();
            SPENT_NS.fetch_add(times.run.as_nanos() as u64, Ordering::Relaxed);
        }
        Ok(Report { subject: Subject::Loop(kernel.clone()), n, moved: 0, times, plan, rescued, shared })
    }
}

/// A shader has no parameters to bind arguments to.
pub(super) fn is_no_shader(kernel: &Kernel, call: &'static str) -> Result<()> {
    if kernel.compute().is_none() {
        return Ok(());
    }
    Err(Error::WrongCall {
        kernel: kernel.name().to_owned(),
        call,
        got: "a whole compute shader, which has bindings and a grid",
        hint: "call Dispatcher::launch(&kernel, grid, bindings), or plan_launch",
    })
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
impl Dispatcher {
    /// The GPU that calls run on.
    fn gpu(&self) -> &'static crate::exec::gpu::Gpu {
        #[cfg(test)]
        if let Some((gpu, _)) = &self.gpu {
            return gpu;
        }
        crate::exec::gpu::Gpu::shared()
    }

    fn look(&self, not_on_gpu: Option<Exclusion>, policy: Policy, nested: bool, spent: f64) -> gpu::Known {
        #[cfg(test)]
        if let (Some((_, facts)), None) = (&self.gpu, not_on_gpu) {
            return gpu::Known::Ready(Arc::new(*facts));
        }
        gpu::look(not_on_gpu, policy, nested, spent)
    }

    fn run_on_gpu(&self, kernel: &Kernel, part: &mut Part<'_>) -> Result<Times> {
        let operations = Some(kernel.operations(part)?.counts.operations());
        self.gpu().run(kernel, operations, part)
    }

    fn launch_on_gpu(&self, _: &str, jobs: &mut [Job<'_>], watch: &Watch) -> Result<Ran> {
        self.gpu().launch(jobs, watch)
    }
}

#[cfg(not(feature = "gpu"))]
impl Dispatcher {
    fn look(&self, _: Option<Exclusion>, _: Policy, _: bool, _: f64) -> gpu::NotBuilt {
        gpu::NotBuilt
    }

    fn run_on_gpu(&self, kernel: &Kernel, _: &mut Part<'_>) -> Result<Times> {
        Err(not_built(kernel.name()))
    }

    fn launch_on_gpu(&self, kernel: &str, _: &mut [Job<'_>], _: &Watch) -> Result<Ran> {
        Err(not_built(kernel))
    }
}

#[cfg(not(feature = "gpu"))]
fn not_built(kernel: &str) -> Error {
    Error::Unavailable {
        kernel: kernel.to_owned(),
        backend: Backend::Gpu,
        reason: Exclusion::NotBuilt.to_string(),
    }
}

/// What this process knows about its GPU.
#[cfg(feature = "gpu")]
mod gpu {
    use std::sync::{Arc, PoisonError, RwLock};

    use super::super::machine::{Closed, GpuFacts};
    use super::super::plan::{self, Exclusion};
    use crate::backend::{Backend, Policy};

    /// What opening a GPU costs, roughly, in nanoseconds: loading the driver dominates.
    const OPEN_NS: f64 = 300e6;

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

    /// What was found out, and what the loops had cost by then.
    static KNOWN: RwLock<Option<(Known, f64)>> = RwLock::new(None);

    /// What is known, after opening the GPU if this call is worth it; `spent` is what the loops so far were predicted to cost.
    pub(super) fn look(not_on_gpu: Option<Exclusion>, policy: Policy, nested: bool, spent: f64) -> Known {
        if let Some(why) = not_on_gpu {
            return Known::Excluded(why, None);
        }
        if nested {
            return Known::Excluded(Exclusion::Nested, None);
        }
        let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner).clone();
        match (policy, known) {
            (_, Some((ready @ Known::Ready(_), _))) => ready,
            // Whoever asks for the GPU by name gets another try.
            (Policy::Only(Backend::Gpu), _) => open(spent, true),
            // Drivers come up late: after a failure, the loops may buy another look when they have cost twice as much.
            (Policy::Auto, Some((_, then))) if spent >= 2.0 * then.max(OPEN_NS) => open(spent, false),
            (_, Some((known, _))) => known,
            (Policy::Auto, None) if spent >= OPEN_NS => open(spent, false),
            (_, None) => Known::Unopened,
        }
    }

    /// Opens and measures the GPU.
    fn open(spent: f64, by_name: bool) -> Known {
        let found = match GpuFacts::open(by_name) {
            Ok((facts, _)) => Known::Ready(Arc::new(facts)),
            Err(Closed::Probing) => Known::Excluded(Exclusion::Probing, None),
            Err(Closed::None(reason)) => Known::Excluded(Exclusion::NoAdapter, Some(reason.into())),
        };
        *KNOWN.write().unwrap_or_else(PoisonError::into_inner) = Some((found.clone(), spent));
        found
    }
}

#[cfg(not(feature = "gpu"))]
mod gpu {
    use super::super::plan::{self, Exclusion};

    pub(super) struct NotBuilt;

    impl NotBuilt {
        pub(super) fn view(&self) -> plan::Gpu<'_> {
            plan::Gpu::Excluded(Exclusion::NotBuilt)
        }

        pub(super) fn reason(&self) -> Option<String> {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::Index;

    #[test]
    fn progress_counts_every_element_once() {
        let kernel = Kernel::map("fn twice(i: u32) -> u32 { return 2u * i; }").expect("valid WGSL");
        for backend in [Backend::Simd, Backend::Threads] {
            for n in [0, 1, 1023, 1024, 1025, 100_003] {
                let progress = Progress::new();
                let forall =
                    Dispatcher::new().with_policy(Policy::Only(backend)).with_progress(progress.clone());
                let mut out = vec![u32::MAX; n];
                forall.run(&kernel, Index, &mut out).expect("a valid call");
                assert_eq!(progress.done(), n, "{backend}");
                assert!(out.iter().zip(0..).all(|(&x, i)| x == 2 * i), "{backend}, n = {n}");
            }
        }
    }

    #[test]
    fn only_gpu_refuses_a_closure_and_writes_nothing() {
        // Without a GPU and without a body for one, `Only` is an error and the output is untouched.
        let closure = Kernel::scalar("half", |x: f64| x / 2.0);
        let mut out = [f64::NAN; 2];
        let error = Dispatcher::new()
            .with_policy(Policy::Only(Backend::Gpu))
            .run(&closure, &[1.0_f64, 2.0], &mut out)
            .expect_err("a closure runs on no GPU");
        assert!(matches!(error, Error::Unavailable { backend: Backend::Gpu, .. }), "{error}");
        assert!(out.iter().all(|x| x.is_nan()));
    }

    /// A dispatcher on a GPU of its own that is said to be faster than anything, or `None` where there is none.
    #[cfg(feature = "gpu")]
    fn on_a_fast_gpu() -> Option<(Dispatcher, &'static crate::exec::gpu::Gpu)> {
        let gpu: &'static crate::exec::gpu::Gpu = Box::leak(Box::default());
        if let Err(reason) = gpu.open() {
            assert!(std::env::var("FORALL_REQUIRE_GPU").as_deref() != Ok("1"), "a GPU is required: {reason}");
            println!("skipped: {reason}");
            return None;
        }
        let facts = super::super::machine::GpuFacts {
            call_ns: 0.0,
            ops_per_ns: 1e9,
            bytes_per_ns: 1e9,
            upload_bytes_per_ns: 1e9,
            download_bytes_per_ns: 1e9,
        };
        let forall = Dispatcher { gpu: Some((gpu, facts)), ..Dispatcher::new().with_policy(Policy::Auto) };
        Some((forall, gpu))
    }

    /// Holds a report to where a call ran.
    #[cfg(feature = "gpu")]
    fn ran_on_gpu(report: &Report, rescued: bool) {
        assert_eq!(report.backend() == Backend::Gpu, !rescued, "{report}");
        assert_eq!(report.rescued().is_some_and(|why| why.contains("lost")), rescued, "{report}");
        assert_eq!(report.explain().contains("lost"), rescued, "{}", report.explain());
    }

    #[test]
    #[cfg(feature = "gpu")]
    fn a_loop_whose_gpu_is_lost_is_done_on_the_cpu_and_the_next_one_on_the_gpu() {
        let Some((forall, gpu)) = on_a_fast_gpu() else { return };
        let kernel = Kernel::map("fn f(x: u32) -> u32 { return 3u * x + 1u; }").expect("valid WGSL");
        let x: Vec<u32> = (0..5000).collect();
        for lost in [false, true, false] {
            if lost {
                gpu.lose();
            }
            let mut out = vec![u32::MAX; x.len()];
            ran_on_gpu(&forall.run(&kernel, &x, &mut out).expect("runs either way"), lost);
            assert!(out.iter().zip(&x).all(|(&out, x)| out == 3 * x + 1));
        }
        gpu.lose();
        let mut out = vec![u32::MAX; x.len()];
        let named = forall.with_policy(Policy::Only(Backend::Gpu));
        let error = named.run(&kernel, &x, &mut out).expect_err("nobody else was asked for");
        assert!(matches!(error, Error::Gpu { lost: true, .. }), "{error:?}");
        assert!(out.iter().all(|&out| out == u32::MAX));
    }

    #[test]
    #[cfg(feature = "gpu")]
    fn a_launch_whose_gpu_is_lost_is_done_on_the_cpu_with_the_arrays_as_they_were() {
        use crate::array::Array;
        let Some((forall, gpu)) = on_a_fast_gpu() else { return };
        let kernel = Kernel::shader(
            "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
             @group(0) @binding(1) var<storage, read_write> y: array<u32>;
             @compute @workgroup_size(64) fn add(@builtin(global_invocation_id) id: vec3u) {
                 if (id.x < arrayLength(&x)) { x[id.x] += 1; y[id.x] += 10; }
             }",
        );
        let (kernel, grid) = (kernel.expect("valid WGSL"), Grid::threads(1000));
        let (mut x, y) = (vec![0_u32; 1000], Array::from(vec![0_u32; 1000]));
        for (round, lost) in (1..).zip([false, false, true, false]) {
            if lost {
                // Both sides have it; else it would be lost.
                assert!(y.read().expect("reads").iter().all(|&y| y == 10 * (round - 1)));
                gpu.lose();
            }
            let report = forall.launch(&kernel, grid, (("x", &mut x), ("y", &y))).expect("runs either way");
            ran_on_gpu(&report, lost);
            assert!(x.iter().all(|&x| x == round));
        }
        assert!(y.read().expect("reads").iter().all(|&y| y == 40));
        forall.launch(&kernel, grid, (("x", &mut x), ("y", &y))).expect("runs");
        gpu.lose();
        // Only the lost device had it: no backend can go on, and it says so.
        let error = forall.launch(&kernel, grid, (("x", &mut x), ("y", &y))).expect_err("the array is gone");
        assert!(matches!(error, Error::Gpu { lost: true, .. }), "{error:?}");
        assert!(error.to_string().contains("only on the GPU"), "{error}");
        assert!(x.iter().all(|&x| x == 5));
    }

    #[test]
    #[cfg(feature = "gpu")]
    fn what_the_gpu_cannot_launch_runs_on_the_cpu() {
        let Some((forall, _)) = on_a_fast_gpu() else { return };
        let kernel = Kernel::shader(
            "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
             @compute @workgroup_size(1) fn mark(@builtin(global_invocation_id) id: vec3u) {
                 if (id.x < arrayLength(&x)) { x[id.x] = id.x; }
             }",
        );
        let (kernel, mut x) = (kernel.expect("valid WGSL"), vec![u32::MAX; 66_000]);
        let report = forall.launch(&kernel, Grid::workgroups(66_000), (("x", &mut x),)).expect("runs");
        assert!(report.backend() != Backend::Gpu, "{report}");
        assert!(report.rescued().is_some_and(|why| why.contains("66000 workgroups along x")), "{report}");
        assert!(x.iter().zip(0..).all(|(&x, i)| x == i));
    }
}
