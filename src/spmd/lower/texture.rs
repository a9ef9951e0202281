//! Textures: texels in one buffer, their size in another, and index arithmetic.
//!
//! A load outside the texture, or of another level than the only one, gives zeros; a store there does nothing. The index is not
//! limited for that: where it follows the invocation, so do the words, and the lanes outside get theirs replaced.
//!
//! Integers that a texel is too narrow for are stored as the nearest that fits. Floats go through the formulas of WGSL's
//! `pack4x8unorm`, `pack4x8snorm` and `pack2x16float`.

use naga::{
    AddressSpace, Expression, GlobalVariable, Handle, ImageClass, ImageDimension, ImageQuery, ScalarKind,
    StorageAccess, StorageFormat, TypeInner,
};

use super::super::ir::{
    Binary, Block, Buffer, BufferDecl, Memory, Role, Stmt, TexelFormat, Texels, Ty, Unary, Value,
};
use super::{Frame, Lowerer, Meaning, Result, Unsupported, Vals};

/// The buffers of a texture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texture {
    texels: Buffer,
    size: Buffer,
    format: TexelFormat,
    axes: u8,
    /// Whether the last axis is that of layers.
    layers: bool,
}

/// A texel's place.
struct Texel {
    /// Its first word; anywhere if it is not inside.
    index: Value,
    inside: Value,
}

impl<'m> Lowerer<'m> {
    /// The buffers of a used texture.
    pub(super) fn declare_texture(&mut self, handle: Handle<GlobalVariable>) -> Result<Texture> {
        let global = &self.module.global_variables[handle];
        let span = self.module.global_variables.get_span(handle);
        let unsupported = |construct: &str| Err(Unsupported::new(construct, span));
        let TypeInner::Image { dim, arrayed, class } = self.module.types[global.ty].inner else {
            return unsupported("an array of textures or samplers");
        };
        let (format, writable) = match class {
            ImageClass::Sampled { multi: true, .. } | ImageClass::Depth { multi: true } => {
                return unsupported("a multisampled texture");
            }
            ImageClass::Sampled { kind, multi: false } => match kind {
                ScalarKind::Float => (TexelFormat::Rgba32Float, false),
                ScalarKind::Sint => (TexelFormat::Rgba32Sint, false),
                _ => (TexelFormat::Rgba32Uint, false),
            },
            ImageClass::Depth { multi: false } => (TexelFormat::R32Float, false),
            ImageClass::External => return unsupported("an external texture"),
            ImageClass::Storage { access, .. } if access.contains(StorageAccess::ATOMIC) => {
                return unsupported("atomic operations on a texture");
            }
            ImageClass::Storage { format, access } => match texel_format(format) {
                Some(format) => (format, access.contains(StorageAccess::STORE)),
                None => return unsupported(&format!("the texel format {format:?}").to_lowercase()),
            },
        };
        let axes = match dim {
            ImageDimension::D1 => 1,
            ImageDimension::D2 => 2,
            ImageDimension::D3 => 3,
            ImageDimension::Cube => return unsupported("a cube texture"),
        } + u8::from(arrayed);
        let name = global.name.clone().unwrap_or_default();
        let binding = global.binding.as_ref().map_or((0, 0), |b| (b.group, b.binding));
        debug_assert_eq!(global.space, AddressSpace::Handle, "naga keeps textures there");
        let role = Role::Texels(Texels { format, axes });
        let texels = self.buffer(BufferDecl { name: name.clone(), binding, writable, role });
        let size = self.buffer(BufferDecl { name, binding, writable: false, role: Role::Size });
        Ok(Texture { texels, size, format, axes, layers: arrayed })
    }

    pub(super) fn texture(&mut self, frame: &mut Frame<'m>, handle: Handle<Expression>) -> Result<Texture> {
        match self.meaning(frame, handle)? {
            Meaning::Texture(texture) => Ok(texture),
            _ => Err(Unsupported::new("an operation on what is no texture", frame.span(handle))),
        }
    }

    /// A word of the size.
    fn extent(&mut self, texture: Texture, axis: u32) -> Value {
        let index = self.build.u32(axis);
        self.build.load(Ty::U32, Memory::Buffer(texture.size), index)
    }

    /// `textureDimensions` and its like.
    pub(super) fn image_query(
        &mut self,
        frame: &mut Frame<'m>,
        image: Handle<Expression>,
        query: ImageQuery,
    ) -> Result<Vals> {
        let span = frame.span(image);
        let texture = self.texture(frame, image)?;
        Ok(match query {
            // There is one level only, and any value will do for another one.
            ImageQuery::Size { .. } => {
                let axes = u32::from(texture.axes) - u32::from(texture.layers);
                (0..axes).map(|axis| self.extent(texture, axis)).collect()
            }
            ImageQuery::NumLevels => self.build.u32(1).into(),
            ImageQuery::NumLayers => self.extent(texture, 2).into(),
            ImageQuery::NumSamples => return Err(Unsupported::new("textureNumSamples", span)),
        })
    }

    fn texel(
        &mut self,
        frame: &mut Frame<'m>,
        texture: Texture,
        coordinate: Handle<Expression>,
        (layer, level): (Option<Handle<Expression>>, Option<Handle<Expression>>),
    ) -> Result<Texel> {
        let mut axes = self.values(frame, coordinate)?.to_vec();
        if let Some(layer) = layer {
            axes.push(self.scalar(frame, layer)?);
        }
        let (mut index, mut inside): (Option<Value>, Option<Value>) = (None, None);
        // From the last axis to the first. A number below zero is a large one.
        for (axis, coordinate) in (0..3_u32).zip(axes).rev() {
            let coordinate = self.build.unary_to(Ty::U32, Unary::Bitcast, coordinate);
            let extent = self.extent(texture, axis);
            let here = self.build.binary(Binary::LtU, coordinate, extent);
            inside = Some(match inside {
                Some(inside) => self.build.binary(Binary::AndB, inside, here),
                None => here,
            });
            index = Some(match index {
                Some(index) => {
                    let rows = self.build.binary(Binary::MulI, index, extent);
                    self.build.binary(Binary::AddI, rows, coordinate)
                }
                None => coordinate,
            });
        }
        let (Some(index), Some(mut inside)) = (index, inside) else {
            return Err(Unsupported::new("a texture without axes", frame.span(coordinate)));
        };
        if let Some(level) = level {
            let level = self.scalar(frame, level)?;
            if self.build.known_constant(level) != Some(0) {
                let zero = self.build.zero(self.build.ty(level));
                let first = self.build.binary(Binary::EqI, level, zero);
                inside = self.build.binary(Binary::AndB, inside, first);
            }
        }
        let words = self.build.u32(texture.format.words());
        Ok(Texel { index: self.build.binary(Binary::MulI, index, words), inside })
    }

    /// `textureLoad`: always four channels, but for the one number of a depth texture.
    pub(super) fn image_load(
        &mut self,
        frame: &mut Frame<'m>,
        image: Handle<Expression>,
        coordinate: Handle<Expression>,
        layer: Option<Handle<Expression>>,
        level: Option<Handle<Expression>>,
    ) -> Result<Vals> {
        use TexelFormat as F;
        self.spend(16, frame.span(image))?;
        let texture = self.texture(frame, image)?;
        let texel = self.texel(frame, texture, coordinate, (layer, level))?;
        let ty = channel_type(texture.format);
        let word_type = if keeps_words(texture.format) { ty } else { Ty::U32 };
        let mut words = Vec::with_capacity(4);
        for at in 0..texture.format.words() {
            let at = self.build.u32(at);
            let index = self.build.binary(Binary::AddI, texel.index, at);
            let word = self.build.load(word_type, Memory::Buffer(texture.texels), index);
            let zero = self.build.zero(word_type);
            words.push(self.build.select(texel.inside, word, zero));
        }
        let mut channels: Vec<Value> = match texture.format {
            F::Rgba8Unorm => self.unpack_normalised(words[0], 8, Ty::U32, 255.0).to_vec(),
            F::Rgba8Snorm => self.unpack_normalised(words[0], 8, Ty::I32, 127.0).to_vec(),
            F::Bgra8Unorm => {
                let mut channels = self.unpack_normalised(words[0], 8, Ty::U32, 255.0).to_vec();
                channels.swap(0, 2);
                channels
            }
            F::Rgba8Sint | F::Rgba8Uint => self.unpack(words[0], 8, ty).to_vec(),
            F::Rg16Sint | F::Rg16Uint | F::Rgba16Sint | F::Rgba16Uint => {
                words.iter().flat_map(|&word| self.unpack(word, 16, ty).to_vec()).collect()
            }
            F::Rg16Float | F::Rgba16Float => {
                let halves = words.iter().flat_map(|&word| self.unpack(word, 16, Ty::U32).to_vec());
                let halves: Vec<Value> = halves.collect();
                halves.into_iter().map(|half| self.build.unary_to(Ty::F32, Unary::F16ToF32, half)).collect()
            }
            _ => words,
        };
        if matches!(self.inner(frame, image), TypeInner::Image { class: ImageClass::Depth { .. }, .. }) {
            return Ok(channels.into());
        }
        // Channels that are not there: black, and opaque where there is a texel.
        let (zero, one) = (self.build.zero(ty), self.build.one(ty));
        while channels.len() < 3 {
            channels.push(zero);
        }
        if channels.len() < 4 {
            channels.push(self.build.select(texel.inside, one, zero));
        }
        Ok(channels.into())
    }

    /// `textureStore`.
    pub(super) fn image_store(
        &mut self,
        frame: &mut Frame<'m>,
        image: Handle<Expression>,
        coordinate: Handle<Expression>,
        layer: Option<Handle<Expression>>,
        value: Handle<Expression>,
    ) -> Result<()> {
        use TexelFormat as F;
        self.spend(16, frame.span(image))?;
        let texture = self.texture(frame, image)?;
        let texel = self.texel(frame, texture, coordinate, (layer, None))?;
        let mut channels = self.values(frame, value)?.to_vec();
        if texture.format == F::Bgra8Unorm {
            channels.swap(0, 2);
        }
        let words = texture.format.words() as usize;
        let pairs = channels.chunks(2).take(words);
        let outer = std::mem::take(&mut self.build.block);
        let words: Vec<Value> = match texture.format {
            F::Rgba8Unorm | F::Bgra8Unorm => self.pack_normalised(&channels, 8, 0.0, 255.0).to_vec(),
            F::Rgba8Snorm => self.pack_normalised(&channels, 8, -1.0, 127.0).to_vec(),
            F::Rgba8Sint => self.pack_clamped(&channels, 8, (-128, 127)).to_vec(),
            F::Rgba8Uint => self.pack_clamped(&channels, 8, (0, 255)).to_vec(),
            F::Rg16Sint | F::Rgba16Sint => {
                pairs.flat_map(|pair| self.pack_clamped(pair, 16, (-32768, 32767)).to_vec()).collect()
            }
            F::Rg16Uint | F::Rgba16Uint => {
                pairs.flat_map(|pair| self.pack_clamped(pair, 16, (0, 65535)).to_vec()).collect()
            }
            F::Rg16Float | F::Rgba16Float => pairs.flat_map(|pair| self.pack_halves(pair).to_vec()).collect(),
            _ => channels[..words].to_vec(),
        };
        for (at, value) in (0..).zip(words) {
            let at = self.build.u32(at);
            let index = self.build.binary(Binary::AddI, texel.index, at);
            self.build.block.push(Stmt::Store { memory: Memory::Buffer(texture.texels), index, value });
        }
        let then = std::mem::replace(&mut self.build.block, outer);
        self.build.block.push(Stmt::If { cond: texel.inside, then, otherwise: Block::new() });
        Ok(())
    }
}

/// The lane type of a format's channels.
fn channel_type(format: TexelFormat) -> Ty {
    use TexelFormat as F;
    match format {
        F::R32Sint | F::Rg32Sint | F::Rg16Sint | F::Rgba32Sint | F::Rgba16Sint | F::Rgba8Sint => Ty::I32,
        F::R32Uint | F::Rg32Uint | F::Rg16Uint | F::Rgba32Uint | F::Rgba16Uint | F::Rgba8Uint => Ty::U32,
        F::R32Float | F::Rg32Float | F::Rgba32Float | F::Rg16Float | F::Rgba16Float => Ty::F32,
        F::Rgba8Unorm | F::Rgba8Snorm | F::Bgra8Unorm => Ty::F32,
    }
}

/// Whether a channel is a word.
fn keeps_words(format: TexelFormat) -> bool {
    use TexelFormat as F;
    matches!(
        format,
        F::R32Float
            | F::R32Sint
            | F::R32Uint
            | F::Rg32Float
            | F::Rg32Sint
            | F::Rg32Uint
            | F::Rgba32Float
            | F::Rgba32Sint
            | F::Rgba32Uint
    )
}

fn texel_format(format: StorageFormat) -> Option<TexelFormat> {
    use StorageFormat as S;
    use TexelFormat as F;
    Some(match format {
        S::R32Float => F::R32Float,
        S::R32Sint => F::R32Sint,
        S::R32Uint => F::R32Uint,
        S::Rg32Float => F::Rg32Float,
        S::Rg32Sint => F::Rg32Sint,
        S::Rg32Uint => F::Rg32Uint,
        S::Rg16Float => F::Rg16Float,
        S::Rg16Sint => F::Rg16Sint,
        S::Rg16Uint => F::Rg16Uint,
        S::Rgba32Float => F::Rgba32Float,
        S::Rgba32Sint => F::Rgba32Sint,
        S::Rgba32Uint => F::Rgba32Uint,
        S::Rgba16Float => F::Rgba16Float,
        S::Rgba16Sint => F::Rgba16Sint,
        S::Rgba16Uint => F::Rgba16Uint,
        S::Rgba8Unorm => F::Rgba8Unorm,
        S::Rgba8Snorm => F::Rgba8Snorm,
        S::Rgba8Sint => F::Rgba8Sint,
        S::Rgba8Uint => F::Rgba8Uint,
        S::Bgra8Unorm => F::Bgra8Unorm,
        // Narrower than a word: two invocations would write one. Or packed as no others are.
        _ => return None,
    })
}

/// WGSL's name for what an [`Expression::ImageSample`] comes from.
pub(super) fn sampling(expression: &Expression) -> &'static str {
    use naga::SampleLevel as Level;
    match expression {
        Expression::ImageSample { gather: Some(_), .. } => "textureGather",
        Expression::ImageSample { depth_ref: Some(_), .. } => "textureSampleCompare",
        Expression::ImageSample { clamp_to_edge: true, .. } => "textureSampleBaseClampToEdge",
        Expression::ImageSample { level: Level::Auto, .. } => "textureSample",
        Expression::ImageSample { level: Level::Bias(_), .. } => "textureSampleBias",
        Expression::ImageSample { level: Level::Gradient { .. }, .. } => "textureSampleGrad",
        _ => "textureSampleLevel",
    }
}
