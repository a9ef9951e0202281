//! A whole compute shader on a device: whether the device can run it, and its pipeline.

use std::sync::Arc;

use super::device::{Device, Failure};
use super::texture::TextureType;
use crate::kernel::BindingKind;
use crate::kernel::compute::{Compute, Variant};
use crate::launch::job::{Job, Resource};

/// What tells shaders apart: the text, the entry point, and the bits of the constants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    text: Arc<str>,
    entry: String,
    constants: Vec<(String, u64)>,
}

/// A compiled shader.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub raw: wgpu::ComputePipeline,
    pub groups: Vec<Group>,
}

/// A bind group that a shader uses.
#[derive(Debug)]
pub(super) struct Group {
    pub index: u32,
    pub layout: wgpu::BindGroupLayout,
    /// Places in [`Compute::bindings`].
    pub members: Vec<usize>,
}

/// The shader's pipeline, compiled if it is not in memory.
///
/// # Errors
/// `Ok(Err(_))` where the device has not what the shader needs: the reason.
pub(super) fn pipeline(device: &Device, shader: &Compute) -> Result<Result<Arc<Pipeline>, String>, Failure> {
    let constants = shader.constants.iter().map(|(name, value)| (name.clone(), value.to_bits())).collect();
    let key = Key { text: Arc::clone(&shader.text), entry: shader.entry.clone(), constants };
    if let Some(pipeline) = device.shaders.find(&key) {
        return Ok(Ok(pipeline));
    }
    match device.attempt("pipeline", |raw, _| compile(raw, shader)) {
        Ok(pipeline) => {
            let pipeline = Arc::new(pipeline);
            device.shaders.insert(key, Arc::clone(&pipeline));
            Ok(Ok(pipeline))
        }
        // A word of the text is no proof that the shader needs it, a text that is refused for it is.
        Err(failure) if !failure.lost => match lacking(device, &shader.text) {
            Some(feature) => Ok(Err(format!("it uses {feature}, which {} does not have", device.fact.name))),
            None => Err(failure),
        },
        Err(failure) => Err(failure),
    }
}

/// What the text speaks of and the device does not have.
fn lacking(device: &Device, text: &str) -> Option<&'static str> {
    [
        ("subgroupBarrier", wgpu::Features::SUBGROUP_BARRIER, "subgroupBarrier"),
        ("subgroup", wgpu::Features::SUBGROUP, "subgroup operations"),
        ("f16", wgpu::Features::SHADER_F16, "f16"),
    ]
    .into_iter()
    .find(|(word, feature, _)| text.contains(word) && !device.features.contains(*feature))
    .map(|(_, _, name)| name)
}

/// Compiles a shader. Its errors go to the error scopes around the call, and wgpu's shader compiler may panic.
fn compile(device: &wgpu::Device, shader: &Compute) -> Pipeline {
    let label = Some(shader.entry.as_str());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label,
        source: wgpu::ShaderSource::Wgsl(shader.text.as_ref().into()),
    });
    let mut groups: Vec<Group> = Vec::new();
    let mut at = 0;
    for members in shader.bindings.chunk_by(|a, b| a.group == b.group) {
        let entries: Vec<_> = members.iter().map(|b| layout_entry(b.binding, &b.kind)).collect();
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let members = at..at + members.len();
        at = members.end;
        groups.push(Group {
            index: shader.bindings[members.start].group,
            layout,
            members: members.collect(),
        });
    }
    let mut layouts = vec![None; groups.last().map_or(0, |group| group.index as usize + 1)];
    for group in &groups {
        layouts[group.index as usize] = Some(&group.layout);
    }
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &layouts,
        immediate_size: 0,
    });
    let constants: Vec<(&str, f64)> = shader.constants.iter().map(|(name, v)| (name.as_str(), *v)).collect();
    let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&layout),
        module: &module,
        entry_point: Some(&shader.entry),
        // WGSL's zeros in workgroup memory.
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &constants,
            zero_initialize_workgroup_memory: true,
        },
        cache: None,
    });
    Pipeline { raw, groups }
}

fn layout_entry(binding: u32, kind: &BindingKind) -> wgpu::BindGroupLayoutEntry {
    let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let ty = match kind {
        BindingKind::Uniform(_) => buffer(wgpu::BufferBindingType::Uniform),
        BindingKind::Read(_) => buffer(wgpu::BufferBindingType::Storage { read_only: true }),
        BindingKind::ReadWrite(_) => buffer(wgpu::BufferBindingType::Storage { read_only: false }),
        // One of an unknown type was refused before: this one fails in the validation.
        BindingKind::Texture(texture) => TextureType::of(texture)
            .map_or(buffer(wgpu::BufferBindingType::Uniform), TextureType::binding_type),
    };
    wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::COMPUTE, ty, count: None }
}

/// Bytes of workgroup memory.
fn shared_bytes(job: &Job<'_>) -> u64 {
    let words =
        |variant: &Variant| variant.program.shared.iter().map(|one| u64::from(one.words)).sum::<u64>();
    job.shader.variant(&job.grid).map_or(0, |variant| 4 * words(variant))
}

/// Bytes of a resource that the shader sees.
pub(super) fn bound_bytes(kind: &BindingKind, resource: &Resource<'_>) -> u64 {
    match kind {
        // Uniform buffers are whole rows of 16 bytes on some adapters, and nobody reads behind the type's end.
        BindingKind::Uniform(layout) => u64::from(layout.size).next_multiple_of(16),
        _ => (resource.data.bytes() as u64).next_multiple_of(4),
    }
}

/// Why the device cannot run a launch; `None` where it can. `max_binding_bytes` bounds one storage buffer.
pub(super) fn refused(device: &Device, job: &Job<'_>, max_binding_bytes: u64) -> Option<String> {
    let (limits, adapter) = (&device.limits, &device.fact.name);
    let over = |what: String, most: u64| Some(format!("{what}, and {adapter} takes at most {most}"));
    let per_axis = limits.max_compute_workgroups_per_dimension;
    for (axis, &n) in ["x", "y", "z"].into_iter().zip(&job.grid.workgroups) {
        if n > per_axis {
            return over(format!("its grid has {n} workgroups along {axis}"), per_axis.into());
        }
    }
    let size = job.shader.workgroup_size;
    let sides = [
        limits.max_compute_workgroup_size_x,
        limits.max_compute_workgroup_size_y,
        limits.max_compute_workgroup_size_z,
    ];
    for axis in 0..3 {
        if size[axis] > sides[axis] {
            let axis_name = ["x", "y", "z"][axis];
            return over(
                format!("its workgroups have {} invocations along {axis_name}", size[axis]),
                sides[axis].into(),
            );
        }
    }
    let invocations = size.iter().map(|&n| u64::from(n)).product::<u64>();
    let most = u64::from(limits.max_compute_invocations_per_workgroup);
    if invocations > most {
        return over(format!("its workgroups have {invocations} invocations"), most);
    }
    let shared = shared_bytes(job);
    let most = u64::from(limits.max_compute_workgroup_storage_size);
    if shared > most {
        return over(format!("its workgroups share {shared} bytes"), most);
    }

    let (mut uniform, mut storage, mut read, mut stored) = (0, 0, 0, 0);
    for (binding, resource) in job.shader.bindings.iter().zip(&job.resources) {
        if binding.group >= limits.max_bind_groups {
            return over(
                format!("`{}` is in group {}", binding.name, binding.group),
                u64::from(limits.max_bind_groups) - 1,
            );
        }
        if binding.binding >= limits.max_bindings_per_bind_group {
            let most = u64::from(limits.max_bindings_per_bind_group) - 1;
            return over(format!("`{}` is binding {}", binding.name, binding.binding), most);
        }
        let most = match &binding.kind {
            BindingKind::Uniform(_) => {
                uniform += 1;
                limits.max_uniform_buffer_binding_size
            }
            BindingKind::Read(_) | BindingKind::ReadWrite(_) => {
                storage += 1;
                max_binding_bytes
            }
            BindingKind::Texture(texture) => {
                let Some(ty) = TextureType::of(texture) else {
                    return Some(format!(
                        "`{}` is a {}, which forall has on CPUs only",
                        binding.name, texture.ty
                    ));
                };
                if ty.access.is_some() {
                    stored += 1;
                } else {
                    read += 1;
                }
                if let Some(why) = ty.refused(device, resource.extent) {
                    return Some(format!("`{}` is a {}: on {adapter} {why}", binding.name, texture.ty));
                }
                limits.max_buffer_size
            }
        };
        let (bytes, most) = (bound_bytes(&binding.kind, resource), most.min(limits.max_buffer_size));
        if bytes > most {
            return over(format!("`{}` takes {bytes} bytes", binding.name), most);
        }
    }
    let counts = [
        (uniform, limits.max_uniform_buffers_per_shader_stage, "uniform buffers"),
        (storage, limits.max_storage_buffers_per_shader_stage, "storage buffers"),
        (read, limits.max_sampled_textures_per_shader_stage, "textures"),
        (stored, limits.max_storage_textures_per_shader_stage, "storage textures"),
    ];
    counts
        .into_iter()
        .find(|(n, most, _)| n > most)
        .and_then(|(n, most, what)| over(format!("it uses {n} {what}"), most.into()))
}
