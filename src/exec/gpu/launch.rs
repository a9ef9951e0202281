//! Launches of whole shaders: their data on the device, one submission, and the caller's data written at the very end.
//!
//! An error leaves what is bound as it was. Slices are written from mapped memory once everything has succeeded. An array that only
//! is on the device is written in place, without a copy, so a device that dies takes it along: it is then an error to read it. Where
//! the launch may be stopped, it writes to a copy of the array instead, which replaces the array's at the end.

use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::GpuOptions;
use super::buffers::Kind;
use super::device::{Device, Failure};
use super::resident::{Memory, OnDevice};
use super::shader::{self, Pipeline};
use super::slices::Layout;
use super::staging::{Downloads, Uploads, words};
use super::texture::{Texels, TextureType};
use crate::array::{Held, Resident};
use crate::cancel::{Stopped, Watch};
use crate::error::Error;
use crate::exec::Ran;
use crate::kernel::BindingKind;
use crate::launch::Data;
use crate::launch::job::Job;

/// Slices and values of at most so many bytes share one buffer, if the shaders only read them.
const PACKED_BYTES: u64 = 4096;

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

/// Runs launches one after the other, in one submission.
pub(super) fn launch(
    device: &Arc<Device>,
    options: &GpuOptions,
    jobs: &mut [Job<'_>],
    watch: &Watch,
) -> Result<Ran, Refusal> {
    let mut ran = Ran::default();
    let live: Vec<usize> = (0..jobs.len()).filter(|&job| jobs[job].invocations() > 0).collect();
    let max_binding_bytes =
        device.limits.max_storage_buffer_binding_size.min(options.max_binding_bytes.unwrap_or(u64::MAX));
    let unable = |job: &Job<'_>, reason| Refusal::Unable { kernel: job.shader.entry.clone(), reason };
    for &job in &live {
        if let Some(reason) = shader::refused(device, &jobs[job], max_binding_bytes) {
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

    let results: Vec<(usize, usize)> = (live.iter().zip(&data.places))
        .flat_map(|(&job, places)| (0..places.len()).map(move |at| (job, at)))
        .filter(|&(job, at)| is_result(&jobs[job], at))
        .collect();
    let bytes = |&(job, at): &(usize, usize)| jobs[job].resources[at].data.bytes() as u64;
    let mut downloads = Downloads::new(device, results.iter().map(bytes))?;
    let stores: Vec<usize> = (live.iter().zip(&data.places))
        .flat_map(|(&job, places)| places.iter().enumerate().map(move |(at, place)| (job, at, place.store)))
        .filter(|&(job, at, _)| is_result(&jobs[job], at))
        .map(|(_, _, store)| store)
        .collect();
    let textures = device.attempt("allocation", |raw, _| data.textures(raw))?;
    let mut sent = Vec::new();
    let submission = device.attempt("submit", |raw, queue| {
        let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        sent = uploads.finish(&mut encoder);
        data.prepare(&mut encoder);
        data.record(raw, &mut encoder, &textures, jobs, &live, &pipelines);
        downloads.record(&mut encoder, |what| {
            let store = &data.stores[stores[what]];
            (store.memory.buffer(), store.offset)
        });
        queue.submit([encoder.finish()])
    });
    // From here on, the GPU may have written to what arrays have there.
    let outcome = submission.map_err(Refusal::from).and_then(|submission| {
        ran.times.upload = clock.elapsed();
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
            let (job, at) = results[what];
            if let Data::Write(data) = &mut jobs[job].resources[at].data {
                data[start..start + bytes.len()].copy_from_slice(bytes);
            }
        })?;
        ran.times.download = clock.elapsed();
        Ok(ran)
    });
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

/// An array that launches use.
struct Shared {
    array: Arc<dyn Resident>,
    /// Whether any of them may write it.
    written: bool,
}

/// Every array of the launches once, in the order in which they are locked.
fn shared_arrays(jobs: &[Job<'_>], live: &[usize]) -> Vec<Shared> {
    let mut shared: Vec<Shared> = Vec::new();
    for &job in live {
        for (binding, resource) in jobs[job].shader.bindings.iter().zip(&jobs[job].resources) {
            let Data::Array(array) = &resource.data else { continue };
            let key = array.key();
            match shared.binary_search_by_key(&key, |one| one.array.key()) {
                Ok(at) => shared[at].written |= binding.is_writable(),
                Err(at) => {
                    let written = binding.is_writable();
                    shared.insert(at, Shared { array: Arc::clone(array), written });
                }
            }
        }
    }
    shared
}

/// Data in device memory.
struct Store {
    memory: Arc<Memory>,
    offset: u64,
    fill: Fill,
    /// Whether it is what the textures made of it are; they may be newer.
    is_current: bool,
}

/// What has to be done on the device before it holds its data.
enum Fill {
    /// Nothing: it is there, or an upload brings it.
    Nothing,
    Zeros(u64),
    CopyOf(Arc<Memory>, u64),
}

/// Where the data of one variable is.
#[derive(Clone, Copy)]
struct Use {
    store: usize,
    /// Which of the textures, for one.
    texture: Option<usize>,
    /// Bytes that the shader sees.
    bytes: u64,
    written: bool,
}

/// A texture made of a store.
#[derive(PartialEq)]
struct TextureUse {
    store: usize,
    ty: TextureType,
    extent: [u32; 3],
    texel_bytes: u32,
}

/// The data of the launches on the device.
struct DeviceData {
    /// First the arrays', in their order.
    stores: Vec<Store>,
    textures: Vec<TextureUse>,
    /// Of each live job, its variables'.
    places: Vec<SmallVec<[Use; 8]>>,
}

impl DeviceData {
    /// Finds and allocates the memory, and begins the uploads. With `keep`, arrays that are written get new memory.
    fn new<'d>(
        device: &'d Arc<Device>,
        options: &GpuOptions,
        jobs: &[Job<'_>],
        live: &[usize],
        shared: &[Shared],
        held: &mut [Box<dyn Held + '_>],
        keep: bool,
    ) -> Result<(Self, Uploads<'d>), Refusal> {
        // What is asked for: new memory for arrays, the memory that is packed, the memory of its own.
        let mut wanted: Vec<(Kind, u64)> = Vec::new();
        let (mut up, mut copies) = (0, 0);
        let on_device: Vec<Option<Arc<Memory>>> = held.iter().map(|held| found(device, &**held)).collect();
        for ((one, held), there) in shared.iter().zip(&*held).zip(&on_device) {
            if there.is_none() || (one.written && keep) {
                wanted.push((Kind::Data, capacity(one.array.bytes() as u64)));
            }
            if there.is_none() && !held.is_untouched() {
                up += one.array.bytes() as u64;
                copies += 1;
            }
        }
        let mut packed = Layout::default();
        for &job in live {
            for (binding, resource) in jobs[job].shader.bindings.iter().zip(&jobs[job].resources) {
                if matches!(resource.data, Data::Array(_)) {
                    continue;
                }
                let bytes = resource.data.bytes() as u64;
                up += bytes;
                copies += 1;
                if is_packed(binding.is_writable(), bytes) {
                    packed.place(capacity(bytes));
                } else {
                    wanted.push((Kind::Data, capacity(bytes)));
                }
            }
        }
        if packed.bytes() > 0 {
            wanted.push((Kind::Data, packed.bytes()));
        }
        let mut new = device.buffers(&wanted)?.into_iter();
        let memory = |buffer: Option<wgpu::Buffer>, bytes| {
            let buffer = buffer.expect("as many as asked for");
            Arc::new(Memory::new(device, buffer, bytes, options.timeout))
        };
        let packed_memory = (packed.bytes() > 0).then(|| memory(new.next_back(), packed.bytes()));

        let mut uploads = Uploads::new(device, options.timeout, up, copies);
        let mut stores = Vec::with_capacity(shared.len());
        for ((one, held), there) in shared.iter().zip(held).zip(on_device) {
            let bytes = one.array.bytes() as u64;
            let (memory, fill) = match there {
                Some(there) if one.written && keep => {
                    (memory(new.next(), bytes), Fill::CopyOf(there, words(bytes)))
                }
                Some(there) => (there, Fill::Nothing),
                None => {
                    let memory = memory(new.next(), bytes);
                    if held.is_untouched() {
                        (memory, Fill::Zeros(words(bytes)))
                    } else {
                        uploads.add(held.host().map_err(Refusal::Array)?, memory.buffer(), 0)?;
                        (memory, Fill::Nothing)
                    }
                }
            };
            stores.push(Store { memory, offset: 0, fill, is_current: true });
        }

        let mut packed = Layout::default();
        let mut textures: Vec<TextureUse> = Vec::new();
        let mut places = Vec::with_capacity(live.len());
        for &job in live {
            let mut uses = SmallVec::new();
            for (binding, resource) in jobs[job].shader.bindings.iter().zip(&jobs[job].resources) {
                let written = binding.is_writable();
                let store = match &resource.data {
                    Data::Array(array) => {
                        let key = array.key();
                        shared.binary_search_by_key(&key, |one| one.array.key()).expect("among the shared")
                    }
                    data => {
                        let data: &[u8] = match data {
                            Data::Read(data) => data,
                            Data::Write(data) => data,
                            Data::Value(data) => data,
                            Data::Array(_) => &[],
                        };
                        let bytes = data.len() as u64;
                        let (memory, offset) = match &packed_memory {
                            Some(packed_memory) if is_packed(written, bytes) => {
                                (Arc::clone(packed_memory), packed.place(capacity(bytes)))
                            }
                            _ => (memory(new.next(), bytes), 0),
                        };
                        uploads.add(data, memory.buffer(), offset)?;
                        stores.push(Store { memory, offset, fill: Fill::Nothing, is_current: true });
                        stores.len() - 1
                    }
                };
                let texture = match &binding.kind {
                    BindingKind::Texture(layout) => {
                        let ty = TextureType::of(layout).expect("another one was refused");
                        let texel_bytes = layout.texel_bytes();
                        // Of an array that several shaders read or write, one is enough.
                        let found = TextureUse { store, ty, extent: resource.extent, texel_bytes };
                        let same = textures.iter().position(|texture| *texture == found);
                        Some(same.unwrap_or_else(|| {
                            textures.push(found);
                            textures.len() - 1
                        }))
                    }
                    _ => None,
                };
                let bytes = shader::bound_bytes(&binding.kind, resource);
                uses.push(Use { store, texture, bytes, written });
            }
            places.push(uses);
        }
        Ok((Self { stores, textures, places }, uploads))
    }

    /// Makes the textures, empty. Their errors go to the error scopes around the call.
    fn textures(&self, raw: &wgpu::Device) -> Vec<wgpu::Texture> {
        self.textures.iter().map(|texture| texture.ty.create(raw, texture.extent)).collect()
    }

    /// Records what brings arrays to where they are used, from where they are.
    fn prepare(&self, encoder: &mut wgpu::CommandEncoder) {
        for store in &self.stores {
            match &store.fill {
                Fill::Nothing => {}
                Fill::Zeros(bytes) => encoder.clear_buffer(store.memory.buffer(), 0, Some(*bytes)),
                Fill::CopyOf(from, bytes) => {
                    encoder.copy_buffer_to_buffer(from.buffer(), 0, store.memory.buffer(), 0, *bytes);
                }
            }
        }
    }

    /// Records the launches, and at the end has all data in its buffers.
    fn record(
        &mut self,
        raw: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        textures: &[wgpu::Texture],
        jobs: &[Job<'_>],
        live: &[usize],
        pipelines: &[Arc<Pipeline>],
    ) {
        let views: Vec<wgpu::TextureView> =
            self.textures.iter().zip(textures).map(|(what, texture)| what.ty.view(texture)).collect();
        // Whether a texture holds what its store's data is now.
        let mut is_current = vec![false; textures.len()];
        // As many launches as need nothing copied share a pass; wgpu sees to it that each sees what those before it wrote.
        let mut pass: Option<wgpu::ComputePass<'static>> = None;
        let places = std::mem::take(&mut self.places);
        for (nth, &job) in live.iter().enumerate() {
            for one in &places[nth] {
                let copies = match one.texture {
                    Some(texture) => !is_current[texture],
                    None => !self.stores[one.store].is_current,
                };
                if copies {
                    pass = None;
                    self.to_buffer(one.store, encoder, textures, &is_current);
                    if let Some(texture) = one.texture {
                        self.texels(texture).to_texture(encoder, &textures[texture]);
                        is_current[texture] = true;
                    }
                }
            }
            let groups = pipelines[nth].groups.iter().map(|group| {
                let entries: Vec<_> = group
                    .members
                    .iter()
                    .map(|&at| wgpu::BindGroupEntry {
                        binding: jobs[job].shader.bindings[at].binding,
                        resource: self.resource(places[nth][at], &views),
                    })
                    .collect();
                let made = raw.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: None,
                    layout: &group.layout,
                    entries: &entries,
                });
                (group.index, made)
            });
            let groups: SmallVec<[_; 4]> = groups.collect();
            let pass = pass.get_or_insert_with(|| {
                encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime()
            });
            pass.set_pipeline(&pipelines[nth].raw);
            for (index, group) in &groups {
                pass.set_bind_group(*index, group, &[]);
            }
            let [x, y, z] = jobs[job].grid.workgroups;
            pass.dispatch_workgroups(x, y, z);
            for one in places[nth].iter().filter(|one| one.written) {
                self.stores[one.store].is_current = one.texture.is_none();
                for (texture, what) in self.textures.iter().enumerate() {
                    if what.store == one.store {
                        is_current[texture] = one.texture == Some(texture);
                    }
                }
            }
        }
        drop(pass);
        for store in 0..self.stores.len() {
            self.to_buffer(store, encoder, textures, &is_current);
        }
    }

    /// Brings a store's data back from the texture that was written last.
    fn to_buffer(
        &mut self,
        store: usize,
        encoder: &mut wgpu::CommandEncoder,
        textures: &[wgpu::Texture],
        is_current: &[bool],
    ) {
        if self.stores[store].is_current {
            return;
        }
        let newest = (0..textures.len()).find(|&at| self.textures[at].store == store && is_current[at]);
        if let Some(newest) = newest {
            self.texels(newest).from_texture(encoder, &textures[newest]);
        }
        self.stores[store].is_current = true;
    }

    fn texels(&self, texture: usize) -> Texels<'_> {
        let TextureUse { store, extent, texel_bytes, .. } = self.textures[texture];
        let Store { memory, offset, .. } = &self.stores[store];
        Texels { buffer: memory.buffer(), offset: *offset, extent, texel_bytes }
    }

    fn resource<'a>(&'a self, one: Use, views: &'a [wgpu::TextureView]) -> wgpu::BindingResource<'a> {
        if let Some(texture) = one.texture {
            return wgpu::BindingResource::TextureView(&views[texture]);
        }
        let Store { memory, offset, .. } = &self.stores[one.store];
        let (buffer, offset) = (memory.buffer(), *offset);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: one.bytes.try_into().ok() })
    }
}

/// What an array has on this device.
fn found(device: &Arc<Device>, held: &dyn Held) -> Option<Arc<Memory>> {
    let OnDevice(memory) = held.device()?.as_any().downcast_ref()?;
    memory.is_sound_on(device).then(|| Arc::clone(memory))
}

fn is_packed(written: bool, bytes: u64) -> bool {
    !written && bytes <= PACKED_BYTES
}

/// Bytes of memory for `bytes` bytes of data: as a uniform they are bound in rows of 16.
fn capacity(bytes: u64) -> u64 {
    bytes.next_multiple_of(16)
}
