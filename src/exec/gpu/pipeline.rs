//! Compiled shaders of maps, kept for as long as their device, and how fast they have been.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::recent::Recent;
use crate::kernel::shader::{Binding, Shader};

/// What makes a measurement of the pace tell something about the kernel: a submission costs about 0.1 ms (measured on the
/// software driver; discrete GPUs are said to take 0.05 to 0.5 ms), less than 2 ns an element from this many elements on, and
/// a small part of this time.
const TELLING_ELEMENTS: usize = 1 << 16;
const TELLING_TIME: Duration = Duration::from_millis(5);

/// A compiled shader, the layout of its bindings, and how fast it has been.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub raw: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub pace: Pace,
}

/// Nanoseconds per element as measured so far.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// An `f32` in bits; zero until measured.
    nanoseconds: AtomicU32,
}

impl Pace {
    /// Nanoseconds per element; `None` until measured.
    pub(crate) fn get(&self) -> Option<f32> {
        let pace = f32::from_bits(self.nanoseconds.load(Ordering::Relaxed));
        (pace > 0.0).then_some(pace)
    }

    /// Remembers that a slice of `n` elements took `busy`: a slower pace at once, a faster one by halves, because what the pace
    /// guards against is a dispatch that takes too long.
    pub(crate) fn learn(&self, n: usize, busy: Duration) {
        // A small slice that was done soon took the fixed cost of a submission, which says nothing about an element.
        if n < TELLING_ELEMENTS && busy < TELLING_TIME {
            return;
        }
        let measured = busy.as_nanos() as f32 / n as f32;
        let pace = match self.get() {
            Some(old) if old > measured => 0.5 * (old + measured),
            _ => measured,
        };
        self.nanoseconds.store(pace.to_bits(), Ordering::Relaxed);
    }
}

/// The pipelines of one device, by the text of their shader.
pub(crate) type Pipelines = Recent<Arc<str>, Pipeline>;

/// Compiles a shader. Its errors go to the error scopes around the call, and wgpu's shader compiler may panic.
pub(crate) fn compile(device: &wgpu::Device, name: &str, shader: &Shader) -> Pipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(name),
        source: wgpu::ShaderSource::Wgsl(shader.text.as_ref().into()),
    });
    let entries: Vec<wgpu::BindGroupLayoutEntry> = (0..).zip(&shader.bindings).map(layout_entry).collect();
    let layout = device
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(name), entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(name),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(name),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some(&shader.entry),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    Pipeline { raw, layout, pace: Pace::default() }
}

fn layout_entry((binding, what): (u32, &Binding)) -> wgpu::BindGroupLayoutEntry {
    let ty = match what {
        Binding::Words => wgpu::BufferBindingType::Uniform,
        Binding::Array(_) | Binding::Whole(_) => wgpu::BufferBindingType::Storage { read_only: true },
        Binding::Output(_) => wgpu::BufferBindingType::Storage { read_only: false },
    };
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_call_says_nothing_a_slow_one_all_at_once_a_fast_one_by_halves() {
        let pace = Pace::default();
        // One element in 0.1 ms would make the next call of ten million start with slices of 500.
        pace.learn(1, Duration::from_micros(100));
        assert_eq!(pace.get(), None);
        pace.learn(100, Duration::from_millis(20));
        assert_eq!(pace.get(), Some(200_000.0));
        pace.learn(1 << 20, Duration::from_nanos(1 << 20));
        assert_eq!(pace.get(), Some(100_000.5));
        pace.learn(100, Duration::from_millis(50));
        assert_eq!(pace.get(), Some(500_000.0));
    }
}
