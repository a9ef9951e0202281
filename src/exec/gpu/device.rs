//! One open device: its queue, its pools, and whether it is still alive.
//!
//! wgpu panics on an error that nobody asked for, reports others to the scopes of the thread they happen on, keeps silent about a
//! lost device, and panics when such a device is polled. Everything that touches it therefore goes through
//! [`Device::attempt`] or [`Device::wait`], which turn all of that into a [`Failure`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::adapter::{AdapterFact, Found};
use super::buffers::{Kind, Pool};
use super::pipeline::Pipelines;
use super::recent::Recent;
use super::shader;
use crate::cancel::{Stopped, Watch};

/// How long a failure waits for the queue to run dry. Slices are sized for a twentieth of a second.
const SETTLE: Duration = Duration::from_secs(5);

/// How often a wait that may be stopped looks whether it should be.
const LOOK: Duration = Duration::from_millis(5);

/// What is asked for where the adapter has it: clocks, and what a WGSL text may ask for.
const WANTED: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SUBGROUP_BARRIER)
    .union(wgpu::Features::BGRA8UNORM_STORAGE)
    .union(wgpu::Features::TEXTURE_ADAPTER_SPECIFIC_FORMAT_FEATURES);

/// Why a step on the GPU did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The step: "pipeline", "allocation", "submit", "run", "readback".
    pub what: &'static str,
    /// wgpu's or the driver's words.
    pub message: String,
    /// Whether the device is gone.
    pub lost: bool,
    /// Whether memory ran out, so that freeing some and trying again may help.
    pub out_of_memory: bool,
}

/// What wgpu tells through callbacks, from any thread.
#[derive(Debug, Default)]
struct Fate {
    lost: Mutex<Option<String>>,
    /// Lost because a dispatch did not end in time: it may still be running.
    hung: AtomicBool,
    uncaptured: Mutex<Option<String>>,
}

/// An open device.
#[derive(Debug)]
pub(crate) struct Device {
    raw: wgpu::Device,
    queue: wgpu::Queue,
    adapter: wgpu::Adapter,
    pub fact: AdapterFact,
    pub limits: wgpu::Limits,
    pub features: wgpu::Features,
    pub pool: Pool,
    pub pipelines: Pipelines,
    /// Of whole compute shaders.
    pub shaders: Recent<shader::Key, shader::Pipeline>,
    /// Nanoseconds of one tick of the GPU's clock, where it has one.
    pub tick: Option<f32>,
    fate: Arc<Fate>,
}

impl Device {
    /// Opens a device with all that its adapter can do. The error says why not.
    pub(crate) fn open(found: Found, max_idle_bytes: u64) -> Result<Self, String> {
        let Found { adapter, fact } = found;
        let limits = adapter.limits();
        let features = adapter.features() & WANTED;
        let request = || {
            pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
                label: Some("forall"),
                required_features: features,
                // wgpu's own defaults allow 128 MiB a binding, whatever the adapter can do.
                required_limits: limits.clone(),
                experimental_features: wgpu::ExperimentalFeatures::disabled(),
                memory_hints: wgpu::MemoryHints::Performance,
                trace: wgpu::Trace::Off,
            }))
        };
        let (raw, queue) = catch_unwind(AssertUnwindSafe(request))
            .map_err(|panic| format!("{} ({}): {}", fact.name, fact.api, panic_text(panic.as_ref())))?
            .map_err(|error| format!("{} ({}): {error}", fact.name, fact.api))?;
        let fate = Arc::new(Fate::default());
        let told = Arc::clone(&fate);
        raw.set_device_lost_callback(move |reason, message| {
            let message = if message.is_empty() { format!("{reason:?}").to_lowercase() } else { message };
            set_first(&told.lost, message);
        });
        let told = Arc::clone(&fate);
        raw.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            set_first(&told.uncaptured, error.to_string())
        }));
        let timed = features.contains(wgpu::Features::TIMESTAMP_QUERY);
        let tick = timed.then(|| queue.get_timestamp_period());
        Ok(Self {
            raw,
            queue,
            adapter,
            fact,
            limits,
            features,
            pool: Pool::new(max_idle_bytes),
            pipelines: Pipelines::default(),
            shaders: Recent::default(),
            tick: tick.filter(|tick| tick.is_normal()),
            fate,
        })
    }

    /// Does one step, with every error it raises returned: those of the error scopes, panics, and the loss of the device.
    pub(crate) fn attempt<T>(
        &self,
        what: &'static str,
        step: impl FnOnce(&wgpu::Device, &wgpu::Queue) -> T,
    ) -> Result<T, Failure> {
        let memory = self.raw.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.raw.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = self.raw.push_error_scope(wgpu::ErrorFilter::Internal);
        let outcome = catch_unwind(AssertUnwindSafe(|| step(&self.raw, &self.queue)));
        let internal = pollster::block_on(internal.pop());
        let validation = pollster::block_on(validation.pop());
        let memory = pollster::block_on(memory.pop());
        match (outcome, memory, validation.or(internal)) {
            (_, Some(error), _) => Err(self.failure(what, format!("out of memory ({error})"), true)),
            (_, None, Some(error)) => Err(self.failure(what, error.to_string(), false)),
            (Err(panic), None, None) => Err(self.failure(what, panic_text(panic.as_ref()), false)),
            (Ok(_), None, None) if self.lost().is_some() => Err(self.failure(what, String::new(), false)),
            (Ok(value), None, None) => Ok(value),
        }
    }

    /// Waits until the GPU has done a submission and the callbacks that it sets off have run.
    pub(crate) fn wait(&self, submission: wgpu::SubmissionIndex, timeout: Duration) -> Result<(), Failure> {
        if self.wait_at_most(submission, timeout)? {
            return Ok(());
        }
        self.give_up(format!("not finished after {timeout:?}; the device is given up"));
        Err(self.failure("run", String::new(), false))
    }

    /// The same as long as `watch` lets it. Nothing cancels a dispatch: one that was stopped may go on for `grace`, and then the
    /// device is given up.
    pub(crate) fn wait_unless(
        &self,
        watch: &Watch,
        submission: wgpu::SubmissionIndex,
        timeout: Duration,
        grace: Duration,
    ) -> Result<Result<(), Stopped>, Failure> {
        if watch.is_never() {
            return self.wait(submission, timeout).map(Ok);
        }
        let clock = Instant::now();
        let mut stopped: Option<(Stopped, Instant)> = None;
        while !self.wait_at_most(submission.clone(), LOOK)? {
            match stopped {
                Some((why, since)) if since.elapsed() >= grace => {
                    self.give_up(format!(
                        "not finished {grace:?} after it was stopped; the device is given up"
                    ));
                    return Ok(Err(why));
                }
                Some(_) => {}
                None => stopped = watch.check().err().map(|why| (why, Instant::now())),
            }
            if stopped.is_none() && clock.elapsed() >= timeout {
                self.give_up(format!("not finished after {timeout:?}; the device is given up"));
                return Err(self.failure("run", String::new(), false));
            }
        }
        Ok(match stopped {
            Some((why, _)) => Err(why),
            None => watch.check(),
        })
    }

    /// The same for a while: whether it is done.
    fn wait_at_most(&self, submission: wgpu::SubmissionIndex, timeout: Duration) -> Result<bool, Failure> {
        let poll = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(timeout) };
        match catch_unwind(AssertUnwindSafe(|| self.raw.poll(poll))) {
            Ok(Ok(_)) if self.lost().is_none() => Ok(true),
            Ok(Ok(_)) => Err(self.failure("run", String::new(), false)),
            Ok(Err(wgpu::PollError::Timeout)) => Ok(false),
            Ok(Err(error)) => Err(self.failure("run", error.to_string(), false)),
            Err(panic) => Err(self.failure("run", panic_text(panic.as_ref()), false)),
        }
    }

    /// Counts the device as lost while a dispatch may still be running: nothing cancels one. The next call opens another device.
    fn give_up(&self, reason: String) {
        self.fate.hung.store(true, Ordering::Relaxed);
        set_first(&self.fate.lost, reason);
    }

    /// What textures of a format can be used for.
    pub(crate) fn format_features(&self, format: wgpu::TextureFormat) -> wgpu::TextureFormatFeatures {
        if self.features.contains(wgpu::Features::TEXTURE_ADAPTER_SPECIFIC_FORMAT_FEATURES) {
            return self.adapter.get_texture_format_features(format);
        }
        format.guaranteed_format_features(self.features)
    }

    /// Buffers from the pool or new, in the order asked for. When memory runs out, the idle ones are freed, once.
    pub(crate) fn buffers(&self, wanted: &[(Kind, u64)]) -> Result<Vec<wgpu::Buffer>, Failure> {
        let take = |raw: &wgpu::Device, _: &wgpu::Queue| {
            wanted
                .iter()
                .map(|&(kind, bytes)| self.pool.take(raw, kind, bytes, self.limits.max_buffer_size))
                .collect::<Vec<_>>()
        };
        let failure = match self.attempt("allocation", take) {
            Err(failure) if failure.out_of_memory && !failure.lost => failure,
            other => return other,
        };
        self.pool.clear();
        self.settle();
        self.attempt("allocation", take).map_err(|again| {
            let bytes: u64 = wanted.iter().map(|&(_, bytes)| bytes).sum();
            Failure { message: format!("{}; {bytes} bytes were asked for", failure.message), ..again }
        })
    }

    /// A failure in this device's words. Finds out first whether the device was lost: wgpu may say so only when polled.
    pub(crate) fn failure(&self, what: &'static str, message: String, out_of_memory: bool) -> Failure {
        self.settle();
        match self.lost() {
            Some(reason) if message.is_empty() => {
                Failure { what, message: format!("the device was lost: {reason}"), lost: true, out_of_memory }
            }
            Some(reason) => Failure {
                what,
                message: format!("{message} (the device was lost: {reason})"),
                lost: true,
                out_of_memory,
            },
            None => Failure { what, message, lost: false, out_of_memory },
        }
    }

    /// Why the device is gone; `None` while it lives.
    pub(crate) fn lost(&self) -> Option<String> {
        self.fate.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a dispatch that was given up may still be running.
    pub(crate) fn is_hung(&self) -> bool {
        self.fate.hung.load(Ordering::Relaxed)
    }

    /// An error that reached no scope since the last call: one that wgpu raised from another thread.
    pub(crate) fn take_uncaptured(&self) -> Option<String> {
        self.fate.uncaptured.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Lets wgpu run callbacks and free memory, after a failure: it says that a device is lost, and frees what was dropped, only
    /// when polled after the queue has run dry.
    fn settle(&self) {
        let poll = match self.lost() {
            None => wgpu::PollType::Wait { submission_index: None, timeout: Some(SETTLE) },
            Some(_) => wgpu::PollType::Poll,
        };
        // Polling a lost device can panic: that it is lost is in `fate` then.
        let _ = catch_unwind(AssertUnwindSafe(|| self.raw.poll(poll)));
    }

    /// Ends the device as a driver reset would.
    #[cfg(test)]
    pub(crate) fn destroy(&self) {
        self.raw.destroy();
    }
}

fn set_first(slot: &Mutex<Option<String>>, message: String) {
    slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
}

/// What a panic said.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("wgpu panicked: {}", text.unwrap_or("no message"))
}
