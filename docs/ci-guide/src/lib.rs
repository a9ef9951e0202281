//! A blur for programs that use a GPU.

/// The shader, as `wgpu::Device::create_shader_module` takes it.
pub const SHADER: &str = include_str!("blur.wgsl");

/// The shader's uniform `params`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Params {
    pub width: u32,
    pub height: u32,
    pub radius: u32,
}
