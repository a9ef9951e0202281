//! The data of launches on the device: which memory it is in, how it gets there, and the commands of the launches over it.
//!
//! Nothing here is submitted or waited for.

use std::sync::Arc;

use smallvec::SmallVec;

use super::GpuOptions;
use super::buffers::Kind;
use super::device::Device;
use super::launch::Refusal;
use super::resident::{Memory, OnDevice};
use super::shader::{self, Pipeline};
use super::slices::Layout;
use super::staging::{Uploads, words};
use super::texture::{Texels, TextureType};
use crate::array::{Held, Resident};
use crate::kernel::BindingKind;
use crate::launch::Data;
use crate::launch::job::Job;

/// Slices and values of at most so many bytes share one buffer, if the shaders only read them.
const PACKED_BYTES: u64 = 4096;

/// An array that launches use.
pub(super) struct Shared {
    pub array: Arc<dyn Resident>,
    /// Whether any of them may write it.
    pub written: bool,
}

/// Every array of the launches once, in the order in which they are locked.
pub(super) fn shared_arrays(jobs: &[Job<'_>], live: &[usize]) -> Vec<Shared> {
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
pub(super) struct Store {
    pub memory: Arc<Memory>,
    pub offset: u64,
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
pub(super) struct Use {
    pub store: usize,
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
pub(super) struct DeviceData {
    /// First the arrays', in their order.
    pub stores: Vec<Store>,
    textures: Vec<TextureUse>,
    /// Of each live job, its variables'.
    pub places: Vec<SmallVec<[Use; 8]>>,
}

impl DeviceData {
    /// Finds and allocates the memory, and begins the uploads. With `keep`, arrays that are written get new memory.
    pub(super) fn new<'d>(
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
    pub(super) fn textures(&self, raw: &wgpu::Device) -> Vec<wgpu::Texture> {
        self.textures.iter().map(|texture| texture.ty.create(raw, texture.extent)).collect()
    }

    /// Records what brings arrays to where they are used, from where they are.
    pub(super) fn prepare(&self, encoder: &mut wgpu::CommandEncoder) {
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
    pub(super) fn record(
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
                    self.flush(one.store, encoder, textures, &is_current);
                    if let Some(texture) = one.texture {
                        self.texels(texture).fill(encoder, &textures[texture]);
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
            self.flush(store, encoder, textures, &is_current);
        }
    }

    /// Brings a store's data back from the texture that was written last.
    fn flush(
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
            self.texels(newest).take(encoder, &textures[newest]);
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
