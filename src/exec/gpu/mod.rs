//! The GPU, through wgpu: adapters, one device shared by the process, and running a generated shader on it.
//!
//! Not here: what the shader is (`kernel`), and whether the GPU is the right place for a loop (`dispatch`).

mod adapter;
mod buffers;
mod data;
mod device;
mod launch;
mod pipeline;
mod recent;
mod resident;
mod run;
mod shader;
mod slices;
mod staging;
mod texture;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use adapter::Wishes;
pub use adapter::{AdapterFact, adapters};
use device::{Device, Failure};
use run::Refusal;

use crate::backend::Backend;
use crate::cancel::Watch;
use crate::error::{Error, Result};
use crate::exec::{Ran, Times};
use crate::kernel::shader::Shader;
use crate::kernel::{Kernel, Signature};
use crate::launch::job::Job;
use crate::part::Part;

/// How long after a first failure to open a device the next call tries again; four times as long after every further one.
/// Drivers come up late (containers, laptops waking their second GPU), and asking costs some hundred milliseconds.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Bounds, for tests and for machines that need other ones.
#[derive(Clone, Debug)]
pub(crate) struct GpuOptions {
    /// The most elements of one dispatch.
    pub max_elements_per_dispatch: Option<usize>,
    /// The most bytes of one array that one dispatch sees.
    pub max_binding_bytes: Option<u64>,
    /// How long one dispatch should take at most: slices are sized by it.
    pub dispatch_target: Duration,
    /// How long to wait for one dispatch before the device is given up.
    pub timeout: Duration,
    /// How long a launch that was stopped may go on before its device is given up.
    pub grace: Duration,
    /// The most bytes of buffers kept for the next call.
    pub max_idle_bytes: u64,
    /// Destroys the device after so many slices of a part were submitted.
    #[cfg(test)]
    pub lose_after: Option<usize>,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self {
            max_elements_per_dispatch: None,
            max_binding_bytes: None,
            dispatch_target: Duration::from_millis(50),
            timeout: Duration::from_secs(120),
            grace: Duration::from_secs(2),
            // Two slices on their way, with their four buffers.
            max_idle_bytes: 512 << 20,
            #[cfg(test)]
            lose_after: None,
        }
    }
}

/// A GPU that is opened by the first call, and again by the call after it was lost.
#[derive(Debug, Default)]
pub(crate) struct Gpu {
    options: GpuOptions,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    device: Option<Arc<Device>>,
    closed: Option<Closed>,
}

/// Why there is no device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoGpu {
    pub reason: String,
    /// There are adapters, and all of them are software.
    pub software: bool,
}

/// What is remembered of failures to open a device.
#[derive(Debug)]
struct Closed {
    reason: NoGpu,
    next_try: Instant,
    pause: Duration,
}

impl Gpu {
    /// A GPU of one's own. Touches no hardware.
    #[cfg(test)]
    pub(crate) fn new(options: GpuOptions) -> Self {
        Self { options, state: Mutex::default() }
    }

    /// The GPU that the whole process shares. Touches no hardware.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Gpu> = LazyLock::new(Gpu::default);
        &SHARED
    }

    /// Opens the device, if it is not open, and says which adapter it is of; or why there is none.
    pub(crate) fn open(&self) -> Result<AdapterFact, NoGpu> {
        self.device().map(|device| device.fact.clone())
    }

    /// Whether a device is open.
    pub(crate) fn is_open(&self) -> bool {
        self.opened().is_some()
    }

    fn opened(&self) -> Option<Arc<Device>> {
        self.lock().device.as_ref().filter(|device| device.lost().is_none()).map(Arc::clone)
    }

    /// Why the open device cannot run this part, as far as its limits tell; `None` where it can, or none is open.
    pub(crate) fn refuses(&self, kernel: &Kernel, part: &Part<'_>) -> Option<String> {
        let device = self.opened()?;
        let shader = kernel.map_shader(part.shape()).ok()??;
        let refusal = run::check(&device, &self.options, shader, part).err()?;
        refusal.reason(kernel.signature(), &device.fact.name)
    }

    /// The same for launches.
    pub(crate) fn refuses_launch(&self, jobs: &[Job<'_>]) -> Option<String> {
        let device = self.opened()?;
        jobs.iter().find_map(|job| launch::refused(&device, &self.options, job))
    }

    /// Runs a kernel's WGSL body on a part. After an error the part's outputs hold what they held.
    ///
    /// `operations` is an estimate of one element's operations, which sizes the first slice: later ones go by the clock.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is no GPU, the kernel has no WGSL body, or the GPU is too small for it;
    /// [`Error::Gpu`] where the GPU failed; [`Error::stopped`] where the part's watch says so. After `lost: true` the next call
    /// opens a device again.
    pub(crate) fn run(&self, kernel: &Kernel, operations: Option<f64>, part: &mut Part<'_>) -> Result<Times> {
        match kernel.map_shader(part.shape())? {
            Some(shader) => self.run_shader(kernel.signature(), shader, operations, part),
            None => Err(unavailable(
                kernel.name(),
                "it has no WGSL body, and a closure runs on the CPU only; give it one, or choose simd or threads",
            )),
        }
    }

    /// Runs launches of shaders one after the other, as one submission. After an error what is bound holds what it held, except
    /// arrays that only a device had which is lost: reading those is an error.
    ///
    /// Nothing cancels a dispatch. One that was stopped may go on for [`GpuOptions::grace`]; then the device is given up.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is no GPU, or it is too small for them; [`Error::Gpu`] where it failed;
    /// [`Error::stopped`] where `watch` says so.
    pub(crate) fn launch(&self, jobs: &mut [Job<'_>], watch: &Watch) -> Result<Ran> {
        if jobs.iter().all(|job| job.invocations() == 0) {
            return Ok(Ran::default());
        }
        let name = jobs.first().map_or_else(String::new, |job| job.shader.entry.clone());
        let device = self.device().map_err(|none| unavailable(&name, none.reason))?;
        let outcome = launch::launch(&device, &self.options, jobs, watch);
        if device.lost().is_some() {
            self.forget(device);
        }
        outcome.map_err(|refusal| match refusal {
            launch::Refusal::Unable { kernel, reason } => {
                unavailable(&kernel, format!("{reason}; choose simd or threads"))
            }
            launch::Refusal::Failed(Failure { what, message, lost, .. }) => {
                Error::Gpu { kernel: name, what, message, lost }
            }
            launch::Refusal::Stopped(why) => Error::stopped(&name, why),
            launch::Refusal::Array(error) => error,
        })
    }

    /// The same from the generated shader.
    fn run_shader(
        &self,
        signature: &Signature,
        shader: &Shader,
        operations: Option<f64>,
        part: &mut Part<'_>,
    ) -> Result<Times> {
        if part.n == 0 {
            return Ok(Times::default());
        }
        let name = &signature.name;
        let device = self.device().map_err(|none| unavailable(name, none.reason))?;
        let outcome = run::run(&device, &self.options, name, shader, operations, part);
        let adapter = device.fact.name.clone();
        if device.lost().is_some() {
            self.forget(device);
        }
        outcome.map_err(|refusal| match refusal {
            Refusal::Stopped(why) => Error::stopped(name, why),
            Refusal::Failed(Failure { what, message, lost, .. }) => {
                Error::Gpu { kernel: name.clone(), what, message, lost }
            }
            unable => unavailable(name, unable.reason(signature, &adapter).unwrap_or_default()),
        })
    }

    /// The open device, or a new one.
    fn device(&self) -> Result<Arc<Device>, NoGpu> {
        let mut state = self.lock();
        if let Some(device) = &state.device {
            if device.lost().is_none() {
                return Ok(Arc::clone(device));
            }
            close(state.device.take());
        }
        if let Some(closed) = &state.closed
            && Instant::now() < closed.next_try
        {
            return Err(closed.reason.clone());
        }
        match self.open_best() {
            Ok(device) => {
                let device = Arc::new(device);
                *state = State { device: Some(Arc::clone(&device)), closed: None };
                Ok(device)
            }
            Err(reason) => {
                let pause =
                    state.closed.as_ref().map_or(FIRST_RETRY, |closed| closed.pause.saturating_mul(4));
                state.closed =
                    Some(Closed { reason: reason.clone(), next_try: Instant::now() + pause, pause });
                Err(reason)
            }
        }
    }

    /// The best adapter that counts and opens.
    fn open_best(&self) -> Result<Device, NoGpu> {
        let (counting, others): (Vec<_>, Vec<_>) =
            adapter::discover(&Wishes::from_env()).into_iter().partition(|found| found.fact.counts);
        if counting.is_empty() {
            let software = !others.is_empty() && others.iter().all(|found| found.fact.kind == "software");
            return Err(NoGpu { reason: adapter::none_counts(&others), software });
        }
        let mut reasons = Vec::new();
        for found in counting {
            match Device::open(found, self.options.max_idle_bytes) {
                Ok(device) => return Ok(device),
                Err(reason) => reasons.push(reason),
            }
        }
        let reason = format!("no adapter could be opened: {}", reasons.join("; "));
        Err(NoGpu { reason, software: false })
    }

    /// Lets go of a lost device.
    fn forget(&self, device: Arc<Device>) {
        let mut state = self.lock();
        let held = state.device.take_if(|held| Arc::ptr_eq(held, &device));
        drop(state);
        if device.is_hung() {
            // Closing it would wait for the dispatch that never ends.
            std::mem::forget(Arc::clone(&device));
        }
        close(held);
        close(Some(device));
    }

    /// Loses the device, as a driver reset would.
    #[cfg(test)]
    pub(crate) fn lose(&self) {
        if let Some(device) = &self.lock().device {
            device.destroy();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(kernel: &str, reason: impl Into<String>) -> Error {
    Error::Unavailable { kernel: kernel.to_owned(), backend: Backend::Gpu, reason: reason.into() }
}

/// Drops a device, perhaps for the last time: that waits for its queue, and wgpu panics where a dead driver refuses to wait.
fn close(device: Option<Arc<Device>>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(device)));
}
