//! The front door: checks a call, asks the planner where it runs, has it run there, and reports.
//!
//! Not here: how the choice is made (`planner`, `plan`), and what running a call on a backend is (`call`).

use std::time::{Duration, Instant};

use super::call::{LaunchCall, LoopCall};
use super::decide::Decision;
use super::environment::environment;
use super::explain::Explanation;
use super::plan::Plan;
use super::planner::{Carried, Device, Done};
use super::report::{Report, Subject};
use super::sequence::Sequence;
use crate::backend::Policy;
use crate::cancel::{Cancel, Watch};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::launch::job::{self, Job};
use crate::launch::{self, Grid, IntoArgs, IntoBindings, IntoOutputs};
use crate::part::{Part, Progress};

#[cfg(test)]
mod tests;

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
    pub(super) progress: Option<Progress>,
    pub(super) limit: Option<Duration>,
    cancel: Option<Cancel>,
    pub(super) deterministic: bool,
    pub(super) explores: bool,
    /// A GPU of a test's own, and how fast it is said to be.
    #[cfg(all(test, feature = "gpu"))]
    pub(super) own: Option<Own>,
}

/// What a test has for itself.
#[cfg(all(test, feature = "gpu"))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub gpu: &'static crate::exec::gpu::Gpu,
    pub facts: super::machine::GpuFacts,
    pub planner: &'static super::planner::Planner,
}

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

    /// The same with choices that do not depend on the machine or on what ran before: a fixed set of facts instead of this machine's,
    /// nothing learnt, no GPU. `FORALL_DETERMINISTIC=1` does so for a whole process. (What a CPU backend computes does not depend
    /// on the choice anyway.)
    #[must_use]
    pub fn deterministic(self) -> Self {
        Self { deterministic: true, ..self }
    }

    /// The same, sending a call where it is predicted to be slower now and then, to learn whether that is so: where it might be faster by
    /// what is not known, and as long as all such calls together have cost less than 1 % of the time elapsed.
    ///
    /// Worth it in a program that runs for hours on a machine whose load changes; what is not tried is forgotten and so tried again
    /// without it too, only later.
    #[must_use]
    pub fn with_exploration(self) -> Self {
        Self { explores: true, ..self }
    }

    /// The policy in force.
    ///
    /// # Errors
    /// [`Error::Config`] if `FORALL_BACKEND` holds no backend's name.
    pub fn policy(&self) -> Result<Policy> {
        match self.policy {
            Some(policy) => Ok(policy),
            None => Ok(environment()?.policy),
        }
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
            self.run_part(kernel, part)
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
            self.decide(kernel, &part).map(|decision| decision.plan)
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
        let subject = Subject::Launch(kernel.clone(), job.grid);
        self.decide_launch(std::slice::from_ref(&job), &subject).map(|decision| decision.plan)
    }

    /// Why a call with these arguments would run where it would: every backend's prediction and its error, how many calls that rests on,
    /// what is excluded and why, where the machine's facts come from, and from which size on another backend is faster. Runs nothing.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    ///
    /// # Examples
    /// ```
    /// use forall::{Dispatcher, Kernel};
    ///
    /// let double = Kernel::map("fn double(x: f32) -> f32 { return 2.0 * x; }")?;
    /// println!("{}", Dispatcher::new().explain(&double, &[1.0_f32; 100], &mut [0.0_f32; 100])?);
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn explain<'a, 'b>(
        &self,
        kernel: &Kernel,
        args: impl IntoArgs<'a>,
        outputs: impl IntoOutputs<'b>,
    ) -> Result<Explanation> {
        is_no_shader(kernel, "explain")?;
        launch::with_arrays(kernel.name(), args.into_args(), outputs.into_outputs(), |args, outputs| {
            let part = launch::check(kernel.signature(), args, outputs)?;
            let Decision { plan, basis, .. } = self.decide(kernel, &part)?;
            let memory = Subject::Loop(kernel.clone());
            Ok(Explanation::new(plan, &basis, self.planner(), memory.memory(true)))
        })
    }

    /// The same for a launch of a shader.
    ///
    /// # Errors
    /// As [`plan_launch`](Self::plan_launch).
    pub fn explain_launch<'a>(
        &self,
        kernel: &Kernel,
        grid: Grid,
        bindings: impl IntoBindings<'a>,
    ) -> Result<Explanation> {
        let job = job::check(kernel, grid, bindings.into_bindings())?;
        let subject = Subject::Launch(kernel.clone(), job.grid);
        let Decision { plan, basis, .. } = self.decide_launch(std::slice::from_ref(&job), &subject)?;
        Ok(Explanation::new(plan, &basis, self.planner(), subject.memory(true)))
    }

    /// Records launches, to be run together: see [`Sequence`].
    pub fn sequence(&self) -> Sequence<'_> {
        Sequence::new(self)
    }
}

impl Dispatcher {
    /// Runs a part of a loop.
    pub(super) fn run_part(&self, kernel: &Kernel, part: Part<'_>) -> Result<Report> {
        let compile = kernel.prepare(part.shape())?;
        let decision = self.decide(kernel, &part)?;
        self.carry_out(decision, Subject::Loop(kernel.clone()), compile, LoopCall::new(self, kernel, part))
    }

    /// Runs launches one after the other on one backend.
    pub(super) fn launch_all(&self, jobs: &mut [Job<'_>], subject: Subject) -> Result<Report> {
        let mut compile = Duration::ZERO;
        for job in &*jobs {
            compile += job.shader.prepare(&job.grid)?;
        }
        let decision = self.decide_launch(jobs, &subject)?;
        self.carry_out(decision, subject, compile, LaunchCall::new(self, jobs))
    }

    /// `compile`: how long compiling for the CPU has taken before.
    fn carry_out(
        &self,
        decision: Decision,
        subject: Subject,
        compile: Duration,
        mut call: impl Device<Error = Error>,
    ) -> Result<Report> {
        let Decision { plan, question, basis, teaches } = decision;
        let planner = self.planner();
        let carried = if basis.n == 0 {
            Carried { plan, done: Done::default(), rescued: None }
        } else {
            let memory = subject.memory(question.counted).filter(|_| teaches);
            planner.carry_out(&question, plan, memory, &mut call)?
        };
        let Carried { plan, done: Done { mut times, moved, shared }, rescued } = carried;
        times.compile += compile;
        let report = Report { subject, n: basis.n, moved, times, plan, rescued, shared, basis, planner };
        if environment()?.explain {
            eprintln!("{}", report.explain());
        }
        Ok(report)
    }

    /// What a call that starts now looks at to know whether to go on.
    pub(super) fn watch(&self) -> Watch {
        // A limit longer than the clock counts is none.
        let deadline = self.limit.and_then(|limit| Instant::now().checked_add(limit));
        Watch { cancel: self.cancel.clone(), deadline }
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
        hint: "call Dispatcher::launch(&kernel, grid, bindings), plan_launch or explain_launch",
    })
}
