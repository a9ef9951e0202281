//! Textures: their wgpu types, whether an adapter has them, and copies between a texture and its texels in a buffer.
//!
//! In a buffer, texels follow each other without gaps, as they do on the host. So a texture is one more copy on the device, and
//! everything else about its data is as for a buffer.

use wgpu::{StorageTextureAccess, TextureFormat, TextureFormatFeatureFlags, TextureViewDimension};

use super::device::Device;
use crate::kernel::TextureLayout;

/// What a texture variable takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextureType {
    pub view: TextureViewDimension,
    pub format: TextureFormat,
    /// `None` for one that is not a storage texture.
    pub access: Option<StorageTextureAccess>,
}

impl TextureType {
    /// Reads the variable's type, as WGSL writes it; `None` for one that this file does not know.
    pub(super) fn of(layout: &TextureLayout) -> Option<Self> {
        let (name, inside) = layout.ty.strip_suffix('>')?.split_once('<')?;
        if let Some(dimension) = name.strip_prefix("texture_storage_") {
            let (format, access) = inside.split_once(',')?;
            let access = match access.trim() {
                "read" => StorageTextureAccess::ReadOnly,
                "write" => StorageTextureAccess::WriteOnly,
                "read_write" => StorageTextureAccess::ReadWrite,
                _ => return None,
            };
            return Some(Self { view: view(dimension)?, format: format_of(format)?, access: Some(access) });
        }
        // The texels of a sampled texture are four whole numbers each.
        let format = match inside {
            "f32" => TextureFormat::Rgba32Float,
            "i32" => TextureFormat::Rgba32Sint,
            "u32" => TextureFormat::Rgba32Uint,
            _ => return None,
        };
        Some(Self { view: view(name.strip_prefix("texture_")?)?, format, access: None })
    }

    /// What the variable's place in a bind group takes.
    pub(super) fn binding_type(self) -> wgpu::BindingType {
        match self.access {
            Some(access) => {
                wgpu::BindingType::StorageTexture { access, format: self.format, view_dimension: self.view }
            }
            None => {
                let sample_type = match self.format {
                    TextureFormat::Rgba32Sint => wgpu::TextureSampleType::Sint,
                    TextureFormat::Rgba32Uint => wgpu::TextureSampleType::Uint,
                    _ => wgpu::TextureSampleType::Float { filterable: false },
                };
                wgpu::BindingType::Texture { sample_type, view_dimension: self.view, multisampled: false }
            }
        }
    }

    /// Why the device cannot have such a texture of that size; `None` where it can.
    pub(super) fn refused(self, device: &Device, extent: [u32; 3]) -> Option<String> {
        let features = device.format_features(self.format);
        let (flag, verb) = match self.access {
            None => (TextureFormatFeatureFlags::empty(), "read"),
            Some(StorageTextureAccess::ReadOnly) => (TextureFormatFeatureFlags::STORAGE_READ_ONLY, "read"),
            Some(StorageTextureAccess::WriteOnly) => {
                (TextureFormatFeatureFlags::STORAGE_WRITE_ONLY, "written")
            }
            Some(_) => (TextureFormatFeatureFlags::STORAGE_READ_WRITE, "read and written by one shader"),
        };
        if !(features.allowed_usages.contains(self.usage()) && features.flags.contains(flag)) {
            return Some(format!("textures of this format cannot be {verb}"));
        }
        if self.format == TextureFormat::Bgra8Unorm && self.access != Some(StorageTextureAccess::WriteOnly) {
            return Some("textures of this format can only be written".to_owned());
        }
        let limits = &device.limits;
        let most = match self.view {
            TextureViewDimension::D1 => [limits.max_texture_dimension_1d, 1, 1],
            TextureViewDimension::D3 => [limits.max_texture_dimension_3d; 3],
            _ => {
                let side = limits.max_texture_dimension_2d;
                [side, side, limits.max_texture_array_layers]
            }
        };
        (0..3).find(|&axis| extent[axis] > most[axis]).map(|axis| {
            format!(
                "{} texels along {} are more than the {} it takes",
                extent[axis],
                ["x", "y", "z"][axis],
                most[axis]
            )
        })
    }

    fn usage(self) -> wgpu::TextureUsages {
        let bound = match self.access {
            Some(_) => wgpu::TextureUsages::STORAGE_BINDING,
            None => wgpu::TextureUsages::TEXTURE_BINDING,
        };
        bound | wgpu::TextureUsages::COPY_SRC | wgpu::TextureUsages::COPY_DST
    }

    /// A texture. Its errors go to the error scopes around the call.
    pub(super) fn create(self, raw: &wgpu::Device, extent: [u32; 3]) -> wgpu::Texture {
        raw.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: size(extent),
            mip_level_count: 1,
            sample_count: 1,
            dimension: self.view.compatible_texture_dimension(),
            format: self.format,
            usage: self.usage(),
            view_formats: &[],
        })
    }

    /// The view that is bound. One layer is an array of layers too, so the dimension is not left to wgpu.
    pub(super) fn view(self, texture: &wgpu::Texture) -> wgpu::TextureView {
        texture.create_view(&wgpu::TextureViewDescriptor { dimension: Some(self.view), ..Default::default() })
    }
}

fn view(dimension: &str) -> Option<TextureViewDimension> {
    Some(match dimension {
        "1d" => TextureViewDimension::D1,
        "2d" => TextureViewDimension::D2,
        "2d_array" => TextureViewDimension::D2Array,
        "3d" => TextureViewDimension::D3,
        _ => return None,
    })
}

fn format_of(name: &str) -> Option<TextureFormat> {
    use TextureFormat as F;
    Some(match name {
        "rgba8unorm" => F::Rgba8Unorm,
        "rgba8snorm" => F::Rgba8Snorm,
        "rgba8uint" => F::Rgba8Uint,
        "rgba8sint" => F::Rgba8Sint,
        "rgba16uint" => F::Rgba16Uint,
        "rgba16sint" => F::Rgba16Sint,
        "rgba16float" => F::Rgba16Float,
        "bgra8unorm" => F::Bgra8Unorm,
        "rg16uint" => F::Rg16Uint,
        "rg16sint" => F::Rg16Sint,
        "rg16float" => F::Rg16Float,
        "r32uint" => F::R32Uint,
        "r32sint" => F::R32Sint,
        "r32float" => F::R32Float,
        "rg32uint" => F::Rg32Uint,
        "rg32sint" => F::Rg32Sint,
        "rg32float" => F::Rg32Float,
        "rgba32uint" => F::Rgba32Uint,
        "rgba32sint" => F::Rgba32Sint,
        "rgba32float" => F::Rgba32Float,
        _ => return None,
    })
}

fn size([width, height, depth_or_array_layers]: [u32; 3]) -> wgpu::Extent3d {
    wgpu::Extent3d { width, height, depth_or_array_layers }
}

/// Texels in a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texels<'b> {
    pub buffer: &'b wgpu::Buffer,
    pub offset: u64,
    pub extent: [u32; 3],
    pub texel_bytes: u32,
}

impl Texels<'_> {
    /// Fills the texture.
    pub(super) fn fill(self, encoder: &mut wgpu::CommandEncoder, texture: &wgpu::Texture) {
        self.each(|offset, bytes_per_row, origin, extent| {
            let (layout, to) = (self.layout(offset, bytes_per_row), Self::at(texture, origin));
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo { buffer: self.buffer, layout },
                to,
                size(extent),
            );
        });
    }

    /// Takes the texture's texels.
    pub(super) fn take(self, encoder: &mut wgpu::CommandEncoder, texture: &wgpu::Texture) {
        self.each(|offset, bytes_per_row, origin, extent| {
            let (layout, from) = (self.layout(offset, bytes_per_row), Self::at(texture, origin));
            encoder.copy_texture_to_buffer(
                from,
                wgpu::TexelCopyBufferInfo { buffer: self.buffer, layout },
                size(extent),
            );
        });
    }

    /// The copies that it takes: one where the rows start where copies want them, every 256 bytes, else one a row.
    fn each(self, mut copy: impl FnMut(u64, Option<u32>, [u32; 3], [u32; 3])) {
        let [width, height, depth] = self.extent;
        let row = u64::from(width) * u64::from(self.texel_bytes);
        if height == 1 && depth == 1 {
            return copy(self.offset, None, [0; 3], self.extent);
        }
        if row.is_multiple_of(u64::from(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT)) {
            return copy(self.offset, u32::try_from(row).ok(), [0; 3], self.extent);
        }
        for z in 0..depth {
            for y in 0..height {
                let rows = u64::from(z) * u64::from(height) + u64::from(y);
                copy(self.offset + rows * row, None, [0, y, z], [width, 1, 1]);
            }
        }
    }

    fn layout(self, offset: u64, bytes_per_row: Option<u32>) -> wgpu::TexelCopyBufferLayout {
        let rows_per_image = bytes_per_row.map(|_| self.extent[1]);
        wgpu::TexelCopyBufferLayout { offset, bytes_per_row, rows_per_image }
    }

    fn at(texture: &wgpu::Texture, [x, y, z]: [u32; 3]) -> wgpu::TexelCopyTextureInfo<'_> {
        wgpu::TexelCopyTextureInfo {
            texture,
            mip_level: 0,
            origin: wgpu::Origin3d { x, y, z },
            aspect: wgpu::TextureAspect::All,
        }
    }
}
