//! One call on the real backends: a loop, or launches of shaders, behind the planner's [`Device`].

use std::time::Instant;

use super::decide::{now, spend};
use super::dispatcher::Dispatcher;
use super::planner::{Device, Done, Failure};
use crate::backend::Backend;
use crate::cancel::Watch;
use crate::cpu::CpuLevel;
use crate::error::{Error, Result};
use crate::exec::threads::Threads;
use crate::exec::{Ran, Times, shader, simd};
use crate::kernel::Kernel;
use crate::launch::job::Job;
use crate::part::Part;

/// `out[i] = body(i, x[i], …)` over a part.
pub(super) struct LoopCall<'a, 'p> {
    dispatcher: &'a Dispatcher,
    kernel: &'a Kernel,
    /// Taken by the CPU, which is asked last.
    part: Option<Part<'p>>,
}

impl<'a, 'p> LoopCall<'a, 'p> {
    pub(super) fn new(dispatcher: &'a Dispatcher, kernel: &'a Kernel, part: Part<'p>) -> Self {
        Self { dispatcher, kernel, part: Some(part) }
    }

    fn on_gpu(&mut self) -> Result<Done> {
        let Some(part) = &mut self.part else { return Err(used_up(self.kernel.name())) };
        let times = self.dispatcher.run_on_gpu(self.kernel, part)?;
        Ok(Done { times, moved: part.moved_bytes(), shared: false })
    }

    fn on_cpu(&mut self, pool: Option<&Threads>) -> Result<Done> {
        let Some(part) = self.part.take() else { return Err(used_up(self.kernel.name())) };
        let start = Instant::now();
        let run = |part: Part<'_>| match pool {
            Some(pool) => pool.run(self.kernel, part),
            None => simd::run(self.kernel, part).map(|()| false),
        };
        // What a call that is stopped has written is thrown away.
        let shared = if part.watch.is_never() { run(part) } else { part.on_copies(run) }?;
        let run = start.elapsed();
        spend(run);
        Ok(Done { times: Times { run, ..Times::default() }, moved: 0, shared })
    }
}

impl Device for LoopCall<'_, '_> {
    type Error = Error;

    fn now(&self) -> f64 {
        now()
    }

    fn run(&mut self, backend: Backend) -> Result<Done, Failure<Error>> {
        let ran = match backend {
            Backend::Gpu => self.on_gpu(),
            Backend::Simd => self.on_cpu(None),
            Backend::Threads => Threads::global().and_then(|pool| self.on_cpu(Some(pool))),
        };
        ran.map_err(|error| self.dispatcher.failure(backend, error))
    }
}

/// Launches of shaders, one after the other.
pub(super) struct LaunchCall<'a, 'j> {
    dispatcher: &'a Dispatcher,
    jobs: &'a mut [Job<'j>],
    watch: Watch,
}

impl<'a, 'j> LaunchCall<'a, 'j> {
    pub(super) fn new(dispatcher: &'a Dispatcher, jobs: &'a mut [Job<'j>]) -> Self {
        Self { dispatcher, jobs, watch: dispatcher.watch() }
    }

    fn on_cpu(&mut self, pool: Option<&Threads>) -> Result<Done> {
        let mut done = Done::default();
        let start = Instant::now();
        for job in &mut *self.jobs {
            done.moved += job.stale_bytes();
            let progress = self.dispatcher.progress.as_ref();
            done.shared |= shader::run(job, CpuLevel::detected(), pool, &self.watch, progress)?;
        }
        done.times.run = start.elapsed();
        spend(done.times.run);
        Ok(done)
    }
}

impl Device for LaunchCall<'_, '_> {
    type Error = Error;

    fn now(&self) -> f64 {
        now()
    }

    fn run(&mut self, backend: Backend) -> Result<Done, Failure<Error>> {
        let ran = match backend {
            Backend::Gpu => (self.dispatcher.launch_on_gpu(self.jobs, &self.watch))
                .map(|Ran { times, moved }| Done { times, moved, shared: false }),
            Backend::Simd => self.on_cpu(None),
            Backend::Threads => Threads::global().and_then(|pool| self.on_cpu(Some(pool))),
        };
        ran.map_err(|error| self.dispatcher.failure(backend, error))
    }
}

#[cold]
fn used_up(kernel: &str) -> Error {
    Error::Internal { kernel: kernel.to_owned(), message: "a part was run twice".to_owned() }
}

impl Dispatcher {
    /// What an error says about the backend. A call that was stopped stays so.
    fn failure(&self, backend: Backend, error: Error) -> Failure<Error> {
        match error {
            error if backend != Backend::Gpu => Failure::Call(error.with_limit(self.limit)),
            Error::Cancelled { .. } | Error::TimeLimit { .. } => Failure::Call(error.with_limit(self.limit)),
            // A device that could not be opened is nobody's in particular.
            Error::Unavailable { .. } if self.is_gpu_open() => Failure::Refused(error),
            Error::Gpu { .. } | Error::Unavailable { .. } => Failure::Broken(error),
            error => Failure::Refused(error),
        }
    }
}

#[cfg(feature = "gpu")]
impl Dispatcher {
    /// The GPU that calls run on.
    fn gpu(&self) -> &'static crate::exec::gpu::Gpu {
        #[cfg(test)]
        if let Some(own) = &self.own {
            return own.gpu;
        }
        crate::exec::gpu::Gpu::shared()
    }

    fn is_gpu_open(&self) -> bool {
        self.gpu().is_open()
    }

    fn run_on_gpu(&self, kernel: &Kernel, part: &mut Part<'_>) -> Result<Times> {
        let operations = Some(kernel.operations(part)?.counts.operations());
        self.gpu().run(kernel, operations, part)
    }

    fn launch_on_gpu(&self, jobs: &mut [Job<'_>], watch: &Watch) -> Result<Ran> {
        self.gpu().launch(jobs, watch)
    }

    /// Why the open GPU cannot run this part, if it cannot.
    pub(super) fn gpu_refuses(&self, kernel: &Kernel, part: &Part<'_>) -> Option<String> {
        self.gpu().refuses(kernel, part)
    }

    /// Why the open GPU cannot run these launches, if it cannot.
    pub(super) fn gpu_refuses_launch(&self, jobs: &[Job<'_>]) -> Option<String> {
        self.gpu().refuses_launch(jobs)
    }
}

#[cfg(not(feature = "gpu"))]
impl Dispatcher {
    fn is_gpu_open(&self) -> bool {
        false
    }

    fn run_on_gpu(&self, kernel: &Kernel, _: &mut Part<'_>) -> Result<Times> {
        Err(not_built(kernel.name()))
    }

    fn launch_on_gpu(&self, jobs: &mut [Job<'_>], _: &Watch) -> Result<Ran> {
        Err(not_built(jobs.first().map_or("sequence", |job| &job.shader.entry)))
    }

    pub(super) fn gpu_refuses(&self, _: &Kernel, _: &Part<'_>) -> Option<String> {
        None
    }

    pub(super) fn gpu_refuses_launch(&self, _: &[Job<'_>]) -> Option<String> {
        None
    }
}

#[cfg(not(feature = "gpu"))]
fn not_built(kernel: &str) -> Error {
    Error::Unavailable {
        kernel: kernel.to_owned(),
        backend: Backend::Gpu,
        reason: super::Exclusion::NotBuilt.to_string(),
    }
}
