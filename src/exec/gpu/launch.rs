//! Launches of whole shaders: their data on the device, one submission, and the caller's data written at the very end.
//!
//! An error leaves what is bound as it was. Slices are written from mapped memory once everything has succeeded. An array that only
//! is on the device is written in place, without a copy, so a device that dies takes it along: it is then an error to read it. Where
//! the launch may be stopped, it writes to a copy of the array instead, which replaces the array's at the end.

use std::sync::Arc;
use std::time::Instant;

use super::GpuOptions;
use super::data::{DeviceData, shared_arrays};
use super::device::{Device, Failure};
use super::resident::OnDevice;
use super::shader::{self, Pipeline};
use super::staging::Downloads;
use crate::cancel::{Stopped, Watch};
use crate::error::Error;
use crate::exec::Ran;
use crate::launch::Data;
use crate::launch::job::Job;

/// Why launches were not run.
#[derive(Debug)]
pub(super) enum Refusal {
    /// This device cannot run that shader: the reason.
    Unable { kernel: String, reason: String },
    /// The GPU should have, and did not.
    Failed(Failure),
    /// The watch said so.
    Stopped(Stopped),
    /// An array's elements are lost.
    Array(Error),
}

impl From<Stopped> for Refusal {
    fn from(why: Stopped) -> Self {
        Self::Stopped(why)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Why the device cannot run a launch, as far as its limits tell.
pub(super) fn refused(device: &Device, options: &GpuOptions, job: &Job<'_>) -> Option<String> {
    let max_binding_bytes =
        device.limits.max_storage_buffer_binding_size.min(options.max_binding_bytes.unwrap_or(u64::MAX));
    if job.invocations() == 0 { None } else { shader::refused(device, job, max_binding_bytes) }
}

/// Runs launches one after the other, in one submission.
pub(super) fn launch(
    device: &Arc<Device>,
    options: &GpuOptions,
    jobs: &mut [Job<'_>],
    watch: &Watch,
) -> Result<Ran, Refusal> {
    let mut ran = Ran::default();
    let live: Vec<usize> = (0..jobs.len()).filter(|&job| jobs[job].invocations() > 0).collect();
    let unable = |job: &Job<'_>, reason| Refusal::Unable { kernel: job.shader.entry.clone(), reason };
    for &job in &live {
        if let Some(reason) = refused(device, options, &jobs[job]) {
            return Err(unable(&jobs[job], reason));
        }
    }
    // Left over from an earlier run, it says nothing about this one.
    let _ = device.take_uncaptured();

    let clock = Instant::now();
    let mut pipelines: Vec<Arc<Pipeline>> = Vec::with_capacity(live.len());
    for (nth, &job) in live.iter().enumerate() {
        let compute = &jobs[job].shader;
        // In a sequence of many launches there are few shaders, one after the other or in turns.
        let near = nth.saturating_sub(4)..nth;
        let known = near.rev().find(|&before| Arc::ptr_eq(&jobs[live[before]].shader, compute));
        pipelines.push(match known {
            Some(before) => Arc::clone(&pipelines[before]),
            None => {
                watch.check()?;
                shader::pipeline(device, compute)?.map_err(|reason| unable(&jobs[job], reason))?
            }
        });
    }
    ran.times.compile = clock.elapsed();

    let clock = Instant::now();
    let shared = shared_arrays(jobs, &live);
    let mut held: Vec<_> = shared.iter().map(|one| one.array.hold()).collect();
    let keep = !watch.is_never();
    let (mut data, uploads) = DeviceData::new(device, options, jobs, &live, &shared, &mut held, keep)?;
    watch.check()?;
    ran.moved += uploads.moved;

    // What goes back to slices: the job, the variable, and where it is on the device.
    let results: Vec<(usize, usize, usize)> = (live.iter().zip(&data.places))
        .flat_map(|(&job, places)| places.iter().enumerate().map(move |(at, place)| (job, at, place.store)))
        .filter(|&(job, at, _)| is_result(&jobs[job], at))
        .collect();
    let bytes = |&(job, at, _): &(usize, usize, usize)| jobs[job].resources[at].data.bytes() as u64;
    let mut downloads = Downloads::new(device, results.iter().map(bytes))?;
    let textures = device.attempt("allocation", |raw, _| data.textures(raw))?;
    let mut sent = Vec::new();
    let submission = device.attempt("submit", |raw, queue| {
        let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        sent = uploads.finish(&mut encoder);
        data.prepare(&mut encoder);
        data.record(raw, &mut encoder, &textures, jobs, &live, &pipelines);
        downloads.record(&mut encoder, |what| {
            let store = &data.stores[results[what].2];
            (store.memory.buffer(), store.offset)
        });
        queue.submit([encoder.finish()])
        // Where this fails, nothing was submitted, or the device is lost.
    })?;
    ran.times.upload = clock.elapsed();
    // From here on, the GPU may have written to what arrays have there.
    let finish = || -> Result<Ran, Refusal> {
        #[cfg(test)]
        if options.lose_after.is_some() {
            device.destroy();
        }
        let clock = Instant::now();
        device.wait_unless(watch, submission, options.timeout, options.grace)??;
        ran.times.run = clock.elapsed();
        if let Some(message) = device.take_uncaptured() {
            return Err(device.failure("run", message, false).into());
        }
        let clock = Instant::now();
        for sent in sent {
            sent.done(device, options.timeout)?;
        }
        ran.moved += downloads.finish(device, options.timeout, |what, start, bytes| {
            let (job, at, _) = results[what];
            if let Data::Write(data) = &mut jobs[job].resources[at].data {
                data[start..start + bytes.len()].copy_from_slice(bytes);
            }
        })?;
        ran.times.download = clock.elapsed();
        Ok(ran)
    };
    let outcome = finish();
    for (nth, (one, held)) in shared.iter().zip(&mut held).enumerate() {
        let store = &data.stores[nth];
        match &outcome {
            Ok(_) => held.keep(Arc::new(OnDevice(Arc::clone(&store.memory))), one.written),
            // With `keep`, it was a copy that was written.
            _ if one.written && !keep => store.memory.spoil(),
            _ => {}
        }
    }
    outcome
}

/// Whether the variable's data goes back to a slice.
fn is_result(job: &Job<'_>, at: usize) -> bool {
    matches!(job.resources[at].data, Data::Write(_)) && job.shader.bindings[at].is_writable()
}
