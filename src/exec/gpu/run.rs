//! One part on the device: slice after slice up, run and down, and the caller's arrays written at the very end.
//!
//! Two slices are on their way at any time, so that the host copies one while the GPU works on the other. Results wait in
//! mapped buffers until the last slice has succeeded: an error leaves the caller's arrays as they were.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::GpuOptions;
use super::buffers::Kind;
use super::device::{Device, Failure};
use super::pipeline::{self, Pipeline};
use super::slices::{self, Bounds, Layout};
use super::staging::{Mapped, STAGED_BYTES, write};
use crate::cancel::{Stopped, Watch};
use crate::exec::Times;
use crate::kernel::Signature;
use crate::kernel::shader::{Binding, Shader};
use crate::part::{Input, Part};

/// Slices that move fewer bytes than this are not timed by the GPU's clock: their copies take some 0.1 ms at most.
const TIMED_BYTES: u64 = 1 << 20;

/// Two timestamps.
const TICKS_BYTES: u64 = 16;

/// Slices submitted and not yet waited for.
const IN_FLIGHT: usize = 2;

/// Why a part was not run.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// This device cannot run it: the reason.
    Unable(String),
    /// A whole array is empty: no GPU binds that.
    WholeEmpty { input: usize },
    /// A whole array has more bytes than the device can bind.
    WholeTooLarge { input: usize, bytes: u64, most: u64 },
    /// The part's watch said so.
    Stopped(Stopped),
    /// It should have, and did not.
    Failed(Failure),
}

impl Refusal {
    /// Why that adapter is unable to, where it is a matter of that.
    pub(super) fn reason(self, signature: &Signature, adapter: &str) -> Option<String> {
        let name = |input: usize| &signature.params[input].field.name;
        match self {
            Self::Unable(reason) => Some(reason),
            Self::WholeEmpty { input } => Some(format!(
                "`{}` is empty, and no GPU binds an empty array; choose simd or threads",
                name(input)
            )),
            Self::WholeTooLarge { input, bytes, most } => Some(format!(
                "`{}` takes {bytes} bytes and {adapter} binds at most {most}; every element may read any of it, so it cannot \
                 be sliced; choose simd or threads",
                name(input)
            )),
            Self::Stopped(_) | Self::Failed(_) => None,
        }
    }
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

/// Runs a part. `name` is the kernel's, for labels and messages; `operations` the estimated operations per element.
pub(crate) fn run(
    device: &Device,
    options: &GpuOptions,
    name: &str,
    shader: &Shader,
    operations: Option<f64>,
    part: &mut Part<'_>,
) -> Result<Times, Refusal> {
    let mut times = Times::default();
    let max_binding_bytes = check(device, options, shader, part)?;
    // Left over from an earlier run, it says nothing about this one.
    let _ = device.take_uncaptured();

    let clock = Instant::now();
    let pipeline = match device.pipelines.find(&shader.text) {
        Some(pipeline) => pipeline,
        None => {
            let made = device.attempt("pipeline", |raw, _| pipeline::compile(raw, name, shader))?;
            let made = Arc::new(made);
            device.pipelines.insert(Arc::clone(&shader.text), Arc::clone(&made));
            made
        }
    };
    times.compile = clock.elapsed();

    let clock = Instant::now();
    let mut runner =
        Runner { device, options, shader, pipeline, whole: Vec::new(), in_flight: VecDeque::new() };
    runner.upload_whole(part)?;
    times.upload += clock.elapsed();

    let bounds = bounds(shader, part, max_binding_bytes, options.max_elements_per_dispatch);
    let mut start = 0;
    let mut done = Vec::new();
    while start < part.n {
        // Without a measurement the second slice would be as blind as the first.
        while runner.in_flight.len() >= IN_FLIGHT
            || (runner.pipeline.pace.get().is_none() && !runner.in_flight.is_empty())
        {
            done.push(finished(runner.finish(&mut times, &part.watch)?, part));
        }
        part.watch.check()?;
        let n = slices::next(
            &bounds,
            part.n - start,
            runner.pipeline.pace.get(),
            operations,
            options.dispatch_target,
        );
        let clock = Instant::now();
        let slice = runner.submit(part, start, n)?;
        runner.in_flight.push_back(slice);
        times.upload += clock.elapsed();
        start += n;
        #[cfg(test)]
        if options.lose_after == Some(done.len() + runner.in_flight.len()) {
            device.destroy();
        }
    }
    while !runner.in_flight.is_empty() {
        done.push(finished(runner.finish(&mut times, &part.watch)?, part));
    }
    if let Some(message) = device.take_uncaptured() {
        return Err(device.failure("run", message, false).into());
    }

    let clock = Instant::now();
    let running = download(device, shader, done, part)?;
    times.download = clock.elapsed();
    divide(&mut times, running, shader, part);
    for (buffer, _) in runner.whole.drain(..) {
        device.pool.give(Kind::Input, buffer);
    }
    Ok(times)
}

/// Counts a slice.
fn finished(slice: Done, part: &Part<'_>) -> Done {
    if let Some(progress) = &part.progress {
        progress.add(slice.n);
    }
    slice
}

/// Takes the GPU's copies out of the time that was spent waiting, where its own clock told how long the shader was running.
fn divide(times: &mut Times, running: Option<Duration>, shader: &Shader, part: &Part<'_>) {
    let Some(copying) = running.and_then(|running| times.run.checked_sub(running)) else { return };
    times.run -= copying;
    let mut bytes = [0, 0];
    for binding in &shader.bindings {
        let size = sliced(part, *binding).unwrap_or(0);
        bytes[usize::from(matches!(binding, Binding::Output(_)))] += size;
    }
    let up = copying.mul_f64(bytes[0] as f64 / (bytes[0] + bytes[1]).max(1) as f64);
    times.upload += up;
    times.download += copying - up;
}

/// Whether the device can see this part's bindings at all; the most bytes of one of them.
pub(super) fn check(
    device: &Device,
    options: &GpuOptions,
    shader: &Shader,
    part: &Part<'_>,
) -> Result<u64, Refusal> {
    let max_binding_bytes =
        device.limits.max_storage_buffer_binding_size.min(options.max_binding_bytes.unwrap_or(u64::MAX));
    let storage = shader.bindings.iter().filter(|binding| **binding != Binding::Words).count();
    let most = device.limits.max_storage_buffers_per_shader_stage as usize;
    if storage > most {
        return Err(Refusal::Unable(format!(
            "it reads and writes {storage} arrays, {} takes {most}",
            device.fact.name
        )));
    }
    for binding in &shader.bindings {
        if let Binding::Whole(input) = *binding {
            let bytes = array(&part.inputs[input]).0.len() as u64;
            // Padded to one element, it would have the length 1 there and 0 on the CPU.
            if bytes == 0 {
                return Err(Refusal::WholeEmpty { input });
            }
            let most = max_binding_bytes.min(device.limits.max_buffer_size);
            if bytes > most {
                return Err(Refusal::WholeTooLarge { input, bytes, most });
            }
        }
    }
    if part.start + part.n > u32::MAX as usize {
        return Err(Refusal::Unable(format!(
            "element {} is beyond the {} that a 32-bit index counts",
            part.start + part.n - 1,
            u32::MAX
        )));
    }
    Ok(max_binding_bytes)
}

fn bounds(shader: &Shader, part: &Part<'_>, max_binding_bytes: u64, max_elements: Option<usize>) -> Bounds {
    let sizes =
        || shader.bindings.iter().filter_map(|binding| sliced(part, *binding)).map(|size| size as u64);
    Bounds {
        bytes_per_element: sizes().sum(),
        widest_element: sizes().max().unwrap_or(0),
        max_binding_bytes,
        max_elements,
    }
}

/// Bytes of one element of a binding that is sliced.
fn sliced(part: &Part<'_>, binding: Binding) -> Option<usize> {
    match binding {
        Binding::Array(input) => Some(array(&part.inputs[input]).1),
        Binding::Output(output) => Some(part.outputs[output].ty.size()),
        Binding::Words | Binding::Whole(_) => None,
    }
}

/// The bytes of an array input, and of one of its elements.
fn array<'a>(input: &Input<'a>) -> (&'a [u8], usize) {
    match *input {
        Input::Array { data, ty } | Input::Whole { data, ty } => (data, ty.size()),
        // `launch` binds what the shader was generated for.
        Input::Uniform { .. } | Input::Index => unreachable!("the shader was generated for another shape"),
    }
}

/// A slice on its way.
struct Slice {
    start: usize,
    n: usize,
    upload: wgpu::Buffer,
    input: wgpu::Buffer,
    output: wgpu::Buffer,
    download: wgpu::Buffer,
    uploadable: Mapped,
    downloaded: Mapped,
    submission: wgpu::SubmissionIndex,
    submitted: Instant,
    timed: bool,
}

/// A slice whose results lie in a mapped buffer.
struct Done {
    start: usize,
    n: usize,
    download: wgpu::Buffer,
    /// Whether the ticks at which the shader began and ended lie behind the results.
    timed: bool,
}

struct Runner<'a> {
    device: &'a Device,
    options: &'a GpuOptions,
    shader: &'a Shader,
    pipeline: Arc<Pipeline>,
    /// The whole arrays and their bytes, in the order of their bindings.
    whole: Vec<(wgpu::Buffer, u64)>,
    in_flight: VecDeque<Slice>,
}

impl Runner<'_> {
    /// Copies the whole arrays up, once for all slices.
    fn upload_whole(&mut self, part: &Part<'_>) -> Result<(), Failure> {
        for binding in &self.shader.bindings {
            let Binding::Whole(input) = *binding else { continue };
            let (data, _) = array(&part.inputs[input]);
            let target = self.device.buffers(&[(Kind::Input, data.len() as u64)])?.remove(0);
            for (piece, data) in data.chunks(STAGED_BYTES as usize).enumerate() {
                let offset = piece as u64 * STAGED_BYTES;
                let length = data.len() as u64;
                let upload = self.device.buffers(&[(Kind::Upload, length)])?.remove(0);
                write(self.device, &upload, length, |view| view.copy_from_slice(data))?;
                let mapped = Mapped::default();
                let submission = self.device.attempt("submit", |raw, queue| {
                    let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                    encoder.copy_buffer_to_buffer(&upload, 0, &target, offset, length);
                    encoder.map_buffer_on_submit(&upload, wgpu::MapMode::Write, .., mapped.callback());
                    queue.submit([encoder.finish()])
                })?;
                self.device.wait(submission, self.options.timeout)?;
                if !mapped.is_ok(self.options.timeout) {
                    return Err(self.device.failure(
                        "submit",
                        "an upload buffer could not be mapped".to_owned(),
                        false,
                    ));
                }
                self.device.pool.give(Kind::Upload, upload);
            }
            self.whole.push((target, data.len() as u64));
        }
        Ok(())
    }

    /// Sends a slice on its way: `n` elements from `start` on, counted from the start of the part.
    fn submit(&self, part: &Part<'_>, start: usize, n: usize) -> Result<Slice, Failure> {
        let words = Shader::words(part, (part.start + start) as u32, n as u32);
        let words: &[u8] = bytemuck::cast_slice(&words);
        let mut inputs = Layout::default();
        let mut outputs = Layout::default();
        // One entry a binding: the offset in the slice's input or output buffer, and the bytes.
        let mut places = Vec::with_capacity(self.shader.bindings.len());
        let mut whole = self.whole.iter();
        for binding in &self.shader.bindings {
            let bytes = |size: Option<usize>| (n * size.unwrap_or(0)) as u64;
            places.push(match binding {
                Binding::Words => {
                    let bytes = (words.len() as u64).next_multiple_of(16);
                    (inputs.place(bytes), bytes)
                }
                Binding::Array(_) => {
                    let bytes = bytes(sliced(part, *binding));
                    (inputs.place(bytes), bytes)
                }
                Binding::Output(_) => {
                    let bytes = bytes(sliced(part, *binding));
                    (outputs.place(bytes), bytes)
                }
                Binding::Whole(_) => (0, whole.next().map_or(0, |(_, bytes)| *bytes)),
            });
        }

        // For a small slice, the two queries cost more than they tell.
        let timed = self.device.tick.is_some() && inputs.bytes() + outputs.bytes() >= TIMED_BYTES;
        let ticks_at = if timed { outputs.place(TICKS_BYTES) } else { 0 };
        let wanted = [
            (Kind::Upload, inputs.bytes()),
            (Kind::Input, inputs.bytes()),
            (Kind::Output, outputs.bytes()),
            (Kind::Download, outputs.bytes()),
        ];
        let [upload, input, output, download] =
            <[wgpu::Buffer; 4]>::try_from(self.device.buffers(&wanted)?).expect("as many as asked for");

        write(self.device, &upload, inputs.bytes(), |view| {
            for (binding, &(offset, _)) in self.shader.bindings.iter().zip(&places) {
                let data = match *binding {
                    Binding::Words => words,
                    Binding::Array(input) => {
                        let (data, size) = array(&part.inputs[input]);
                        &data[start * size..(start + n) * size]
                    }
                    Binding::Whole(_) | Binding::Output(_) => continue,
                };
                let offset = offset as usize;
                view.slice(offset..offset + data.len()).copy_from_slice(data);
            }
        })?;

        let (uploadable, downloaded) = (Mapped::default(), Mapped::default());
        let (columns, rows) = slices::workgroups(n);
        let submission = self.device.attempt("submit", |raw, queue| {
            let mut whole = self.whole.iter();
            let entries: Vec<wgpu::BindGroupEntry<'_>> = (0..)
                .zip(self.shader.bindings.iter().zip(&places))
                .map(|(number, (binding, &(offset, bytes)))| {
                    let buffer = match binding {
                        Binding::Words | Binding::Array(_) => &input,
                        Binding::Output(_) => &output,
                        Binding::Whole(_) => whole.next().map_or(&input, |(buffer, _)| buffer),
                    };
                    let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer,
                        offset,
                        size: bytes.try_into().ok(),
                    });
                    wgpu::BindGroupEntry { binding: number, resource }
                })
                .collect();
            let group = raw.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &self.pipeline.layout,
                entries: &entries,
            });
            let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(&upload, 0, &input, 0, inputs.bytes());
            let queries = timed.then(|| {
                raw.create_query_set(&wgpu::QuerySetDescriptor {
                    label: None,
                    ty: wgpu::QueryType::Timestamp,
                    count: 2,
                })
            });
            {
                let timestamp_writes = queries.as_ref().map(|query_set| wgpu::ComputePassTimestampWrites {
                    query_set,
                    beginning_of_pass_write_index: Some(0),
                    end_of_pass_write_index: Some(1),
                });
                let mut pass = encoder
                    .begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
                pass.set_pipeline(&self.pipeline.raw);
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(columns, rows, 1);
            }
            if let Some(queries) = &queries {
                encoder.resolve_query_set(queries, 0..2, &output, ticks_at);
            }
            encoder.copy_buffer_to_buffer(&output, 0, &download, 0, outputs.bytes());
            encoder.map_buffer_on_submit(
                &download,
                wgpu::MapMode::Read,
                0..outputs.bytes(),
                downloaded.callback(),
            );
            encoder.map_buffer_on_submit(&upload, wgpu::MapMode::Write, .., uploadable.callback());
            queue.submit([encoder.finish()])
        })?;
        let submitted = Instant::now();
        Ok(Slice {
            start,
            n,
            upload,
            input,
            output,
            download,
            uploadable,
            downloaded,
            submission,
            submitted,
            timed,
        })
    }

    /// Waits for the oldest slice.
    fn finish(&mut self, times: &mut Times, watch: &Watch) -> Result<Done, Refusal> {
        let slice = self.in_flight.pop_front().expect("called with a slice in flight");
        let clock = Instant::now();
        let GpuOptions { timeout, grace, .. } = *self.options;
        self.device.wait_unless(watch, slice.submission, timeout, grace)??;
        times.run += clock.elapsed();
        if !(slice.downloaded.is_ok(timeout) && slice.uploadable.is_ok(timeout)) {
            return Err(self
                .device
                .failure("readback", "a result buffer could not be mapped".to_owned(), false)
                .into());
        }
        // With another slice behind it, this one may have waited for its turn: the time is an upper bound.
        self.pipeline.pace.learn(slice.n, slice.submitted.elapsed());
        self.device.pool.give(Kind::Upload, slice.upload);
        self.device.pool.give(Kind::Input, slice.input);
        self.device.pool.give(Kind::Output, slice.output);
        Ok(Done { start: slice.start, n: slice.n, download: slice.download, timed: slice.timed })
    }
}

/// Copies the results of every slice to the caller's arrays, once all of them can be read. Tells how long the shader ran, where
/// every slice was timed.
fn download(
    device: &Device,
    shader: &Shader,
    done: Vec<Done>,
    part: &mut Part<'_>,
) -> Result<Option<Duration>, Failure> {
    let views = device.attempt("readback", |_, _| {
        let view = |slice: &Done| {
            let (_, mut layout) = output_places(shader, part, slice.n);
            let ticks_at = slice.timed.then(|| layout.place(TICKS_BYTES) as usize);
            Ok::<_, wgpu::MapRangeError>((slice.download.get_mapped_range(0..layout.bytes())?, ticks_at))
        };
        done.iter().map(view).collect::<Result<Vec<_>, _>>()
    })?;
    let views = views.map_err(|error| device.failure("readback", error.to_string(), false))?;
    let mut running = Some(Duration::ZERO);
    for (slice, (view, ticks_at)) in done.iter().zip(&views) {
        let slice_ran = ticks_at.and_then(|at| {
            let [began, ended]: [u64; 2] = bytemuck::pod_read_unaligned(&view[at..at + TICKS_BYTES as usize]);
            Some(Duration::from_nanos((ended.checked_sub(began)? as f32 * device.tick?) as u64))
        });
        running = running.zip(slice_ran).map(|(sum, ran)| sum.saturating_add(ran));
        for (output, offset) in output_places(shader, part, slice.n).0 {
            let size = part.outputs[output].ty.size();
            part.outputs[output].data[slice.start * size..(slice.start + slice.n) * size]
                .copy_from_slice(&view[offset..offset + slice.n * size]);
        }
    }
    drop(views);
    for slice in done {
        slice.download.unmap();
        device.pool.give(Kind::Download, slice.download);
    }
    Ok(running)
}

/// Where each output lies in the output buffer of a slice of `n` elements, and the layout up to there.
fn output_places(shader: &Shader, part: &Part<'_>, n: usize) -> (Vec<(usize, usize)>, Layout) {
    let mut layout = Layout::default();
    let mut places = Vec::new();
    for binding in &shader.bindings {
        if let Binding::Output(output) = *binding {
            places.push((output, layout.place((n * part.outputs[output].ty.size()) as u64) as usize));
        }
    }
    (places, layout)
}
