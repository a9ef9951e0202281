//! How WGSL types lie in memory, and which variables a shader has: reflected from naga once, then plain data.
//!
//! The WGSL is the only source of these facts. Rust types are compared with them (`launch`), never the other way round.

use std::fmt;

use naga::common::wgsl::{ToWgsl, TryToWgsl};
use naga::proc::Layouter;
use naga::{
    AddressSpace, ArraySize, Handle, ImageClass, ImageDimension, Module, ScalarKind, StorageAccess, Type,
    TypeInner,
};

use crate::kernel::wgsl::describe;

/// A variable of a shader that a launch binds data to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binding {
    /// The variable's name.
    pub name: String,
    /// `@group`.
    pub group: u32,
    /// `@binding`. Immediate data, which have none, get a free one of group 0: bind them by name.
    pub binding: u32,
    /// What it takes.
    pub kind: BindingKind,
}

/// What a variable of a shader takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindingKind {
    /// `var<uniform>`.
    Uniform(Layout),
    /// `var<storage, read>`.
    Read(Layout),
    /// `var<storage, read_write>`.
    ReadWrite(Layout),
    /// A texture that is read without a sampler, or a storage texture.
    Texture(TextureLayout),
}

/// A WGSL type as it lies in memory, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// The type, as WGSL writes it: `array<vec4<f32>>`.
    pub ty: String,
    /// Its size. A runtime-sized array counts as one element, which is the least that can be bound.
    pub size: u32,
    /// Its alignment.
    pub align: u32,
    /// What it is made of.
    pub content: Content,
}

/// What a type is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// One number, an atomic one too, or the 2 to 4 of a vector.
    Numbers {
        /// `f32`, `i32`, `u32` or `f16`.
        number: &'static str,
        /// How many.
        count: u32,
    },
    /// An array, or a matrix: an array of its columns.
    Array {
        /// The type of an element.
        element: Box<Layout>,
        /// From the start of one element to the start of the next.
        stride: u32,
        /// How many; `None` for as many as are bound.
        count: Option<u32>,
    },
    /// A struct.
    Struct(Vec<Member>),
}

/// A member of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where it starts.
    pub offset: u32,
    /// Its type.
    pub layout: Layout,
}

/// The texels of a texture variable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextureLayout {
    /// The type, as WGSL writes it: `texture_storage_2d<rgba8unorm, write>`.
    pub ty: String,
    /// Whether the shader may write it.
    pub writable: bool,
    /// Axes, layers included: 1 to 3.
    pub axes: u8,
    /// What the numbers of a texel are in memory: `u8`, `i8`, `u16`, `i16`, `f16`, `u32`, `i32` or `f32`.
    pub number: &'static str,
    /// Numbers of a texel: those of the format; 4 for a texture that is not a storage texture, 1 for a depth texture.
    pub channels: u8,
}

impl Binding {
    /// Whether the shader may write it.
    pub fn is_writable(&self) -> bool {
        match &self.kind {
            BindingKind::Uniform(_) | BindingKind::Read(_) => false,
            BindingKind::ReadWrite(_) => true,
            BindingKind::Texture(texture) => texture.writable,
        }
    }

    /// The layout of what it holds; `None` for a texture.
    pub fn layout(&self) -> Option<&Layout> {
        match &self.kind {
            BindingKind::Uniform(layout) | BindingKind::Read(layout) | BindingKind::ReadWrite(layout) => {
                Some(layout)
            }
            BindingKind::Texture(_) => None,
        }
    }

    /// The declaration without its attributes.
    pub(crate) fn declared(&self) -> String {
        let (space, ty) = match &self.kind {
            BindingKind::Uniform(layout) => ("<uniform>", &layout.ty),
            BindingKind::Read(layout) => ("<storage, read>", &layout.ty),
            BindingKind::ReadWrite(layout) => ("<storage, read_write>", &layout.ty),
            BindingKind::Texture(texture) => ("", &texture.ty),
        };
        format!("var{space} {}: {ty}", self.name)
    }
}

/// As WGSL declares it: `@group(0) @binding(1) var<storage, read> x: array<f32>`.
impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@group({}) @binding({}) {}", self.group, self.binding, self.declared())
    }
}

impl TextureLayout {
    /// Bytes of a texel.
    pub fn texel_bytes(&self) -> u32 {
        u32::from(self.channels) * number_bytes(self.number)
    }
}

/// Bytes of a number of that name.
pub(crate) fn number_bytes(number: &str) -> u32 {
    match number {
        "u8" | "i8" => 1,
        "u16" | "i16" | "f16" => 2,
        "f64" | "i64" | "u64" => 8,
        _ => 4,
    }
}

impl Layout {
    /// The elements of what is bound whole: of an array, or of the runtime-sized array that a struct ends in. Where the first
    /// starts, how far it is to the next, and how many there are, `None` for as many as are bound.
    pub(crate) fn elements(&self) -> Option<(u32, u32, Option<u32>)> {
        match &self.content {
            Content::Array { stride, count, .. } => Some((0, *stride, *count)),
            Content::Struct(members) => {
                let last = members.last()?;
                let (offset, stride, count) = last.layout.elements()?;
                count.is_none().then_some((last.offset + offset, stride, None))
            }
            Content::Numbers { .. } => None,
        }
    }

    /// Whether its length is that of what is bound.
    pub(crate) fn is_runtime_sized(&self) -> bool {
        self.elements().is_some_and(|(_, _, count)| count.is_none())
    }

    /// The one kind of number it is made of, if there is only one.
    pub(crate) fn number(&self) -> Option<&'static str> {
        match &self.content {
            Content::Numbers { number, .. } => Some(number),
            Content::Array { element, .. } => element.number(),
            Content::Struct(members) => {
                let mut numbers = members.iter().map(|member| member.layout.number());
                let first = numbers.next()??;
                numbers.all(|number| number == Some(first)).then_some(first)
            }
        }
    }

    /// Calls `each` with the start, the kind and the count of the numbers in `bytes` bytes of it, in order, as many at once as
    /// have no gap between them.
    pub(crate) fn numbers(&self, bytes: usize, each: &mut impl FnMut(usize, &'static str, usize)) {
        let n = self.elements().map_or(0, |(offset, stride, _)| {
            bytes.saturating_sub(offset as usize) / (stride as usize).max(1)
        });
        self.numbers_from(0, n, each);
    }

    fn numbers_from(&self, at: usize, n: usize, each: &mut impl FnMut(usize, &'static str, usize)) {
        match &self.content {
            Content::Numbers { number, count } => each(at, number, *count as usize),
            Content::Array { element, stride, count } => {
                let (stride, count) = (*stride as usize, count.map_or(n, |count| count as usize));
                if let Some(number) = element.number()
                    && element.is_packed()
                    && element.size as usize == stride
                {
                    return each(at, number, count * stride / number_bytes(number) as usize);
                }
                (0..count).for_each(|i| element.numbers_from(at + i * stride, n, each));
            }
            Content::Struct(members) => {
                for member in members {
                    member.layout.numbers_from(at + member.offset as usize, n, each);
                }
            }
        }
    }

    /// Bytes that are numbers and not padding.
    pub(crate) fn used(&self) -> u64 {
        match &self.content {
            Content::Numbers { number, count } => u64::from(number_bytes(number) * count),
            Content::Array { element, count, .. } => element.used() * u64::from(count.unwrap_or(1)),
            Content::Struct(members) => members.iter().map(|member| member.layout.used()).sum(),
        }
    }

    /// Whether every byte of it belongs to a number.
    pub(crate) fn is_packed(&self) -> bool {
        self.used() == u64::from(self.size)
    }

    /// Every struct in it, outermost first, each once.
    pub(crate) fn structs<'a>(&'a self, found: &mut Vec<&'a Self>) {
        match &self.content {
            Content::Numbers { .. } => {}
            Content::Array { element, .. } => element.structs(found),
            Content::Struct(members) => {
                if !found.iter().any(|other| other.ty == self.ty) {
                    found.push(self);
                    members.iter().for_each(|member| member.layout.structs(found));
                }
            }
        }
    }
}

/// The type with every struct in it written out, each member with its offset and size.
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.ty)?;
        match self.elements() {
            Some((0, stride, None)) => write!(f, "stride {stride}, align {}", self.align)?,
            Some((offset, stride, None)) => write!(f, "{offset} bytes, then elements of stride {stride}")?,
            Some((_, stride, Some(count))) => write!(f, "size {}, {count} × stride {stride}", self.size)?,
            None => write!(f, "size {}, align {}", self.size, self.align)?,
        }
        let mut structs = Vec::new();
        self.structs(&mut structs);
        for one in structs {
            let Content::Struct(members) = &one.content else { continue };
            let names = members.iter().map(|m| m.name.chars().count() + m.layout.ty.chars().count() + 3);
            let width = names.max().unwrap_or(0);
            write!(f, "\nstruct {} {{  // align {}, size {}", one.ty, one.align, one.size)?;
            let mut end = 0;
            for member in members {
                if member.offset > end {
                    write!(f, "\n    // {} bytes of padding", member.offset - end)?;
                }
                let declared = format!("{}: {},", member.name, member.layout.ty);
                write!(f, "\n    {declared:width$}  // offset {:2}", member.offset)?;
                match member.layout.elements() {
                    Some((_, stride, None)) => write!(f, ", stride {stride}")?,
                    Some((_, stride, Some(_))) => {
                        write!(f, ", size {}, stride {stride}", member.layout.size)?
                    }
                    None => write!(f, ", size {}", member.layout.size)?,
                }
                end = member.offset + member.layout.size;
            }
            if one.size > end {
                write!(f, "\n    // {} bytes of padding", one.size - end)?;
            }
            f.write_str("\n}")?;
        }
        Ok(())
    }
}

/// What cannot be bound, in words.
pub(super) type Refused = String;

/// Reads the layouts of a module's types.
pub(super) struct Reflect<'m> {
    module: &'m Module,
    layouter: Layouter,
}

impl<'m> Reflect<'m> {
    /// # Errors
    /// What naga says of types that have no size.
    pub(super) fn new(module: &'m Module) -> Result<Self, Refused> {
        let mut layouter = Layouter::default();
        layouter.update(module.to_ctx()).map_err(|error| error.to_string())?;
        Ok(Self { module, layouter })
    }

    /// The variable as a launch sees it; `None` where nothing is bound to it.
    ///
    /// # Errors
    /// What it is, where nothing can be.
    pub(super) fn binding(&self, handle: Handle<naga::GlobalVariable>) -> Result<Option<Binding>, Refused> {
        let variable = &self.module.global_variables[handle];
        let kind = match variable.space {
            AddressSpace::Uniform => BindingKind::Uniform(self.layout(variable.ty)?),
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => {
                BindingKind::ReadWrite(self.layout(variable.ty)?)
            }
            AddressSpace::Storage { .. } => BindingKind::Read(self.layout(variable.ty)?),
            AddressSpace::Handle => BindingKind::Texture(self.texture(variable.ty)?),
            AddressSpace::Private | AddressSpace::Function | AddressSpace::WorkGroup => return Ok(None),
            _ => return Err("a variable of this address space".to_owned()),
        };
        let place = variable.binding.as_ref().map_or((0, 0), |place| (place.group, place.binding));
        let name = variable.name.clone().unwrap_or_default();
        Ok(Some(Binding { name, group: place.0, binding: place.1, kind }))
    }

    fn layout(&self, ty: Handle<Type>) -> Result<Layout, Refused> {
        let content = match self.module.types[ty].inner {
            TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => numbers(scalar, 1)?,
            TypeInner::Vector { size, scalar } => numbers(scalar, size as u32)?,
            TypeInner::Matrix { columns, rows, scalar } => {
                let content = numbers(scalar, rows as u32)?;
                let align = (if rows == naga::VectorSize::Bi { 2 } else { 4 }) * u32::from(scalar.width);
                let size = rows as u32 * u32::from(scalar.width);
                let element = Layout { ty: column(&content), size, align, content };
                Content::Array { element: element.into(), stride: align, count: Some(columns as u32) }
            }
            TypeInner::Array { base, size, stride } => {
                let count = match size {
                    ArraySize::Constant(count) => Some(count.get()),
                    ArraySize::Dynamic => None,
                    ArraySize::Pending(_) => return Err("an array sized by an override".to_owned()),
                };
                Content::Array { element: self.layout(base)?.into(), stride, count }
            }
            TypeInner::Struct { ref members, .. } => {
                let member = |member: &naga::StructMember| {
                    let name = member.name.clone().unwrap_or_default();
                    self.layout(member.ty).map(|layout| Member { name, offset: member.offset, layout })
                };
                Content::Struct(members.iter().map(member).collect::<Result<_, _>>()?)
            }
            TypeInner::BindingArray { .. } => return Err("an array of bindings".to_owned()),
            _ => return Err(format!("a buffer of {}", describe(self.module, ty))),
        };
        let place = &self.layouter[ty];
        let name = describe(self.module, ty).replace('`', "");
        Ok(Layout { ty: name, size: place.size, align: place.alignment * 1, content })
    }

    fn texture(&self, ty: Handle<Type>) -> Result<TextureLayout, Refused> {
        let TypeInner::Image { dim, arrayed, class } = self.module.types[ty].inner else {
            return Err(match self.module.types[ty].inner {
                TypeInner::Sampler { .. } => "a sampler".to_owned(),
                _ => format!("a variable of type {}", describe(self.module, ty)),
            });
        };
        let (axes, dimension) = match (dim, arrayed) {
            (ImageDimension::D1, false) => (1, "1d"),
            (ImageDimension::D2, false) => (2, "2d"),
            (ImageDimension::D2, true) => (3, "2d_array"),
            (ImageDimension::D3, _) => (3, "3d"),
            (ImageDimension::Cube, _) => return Err("a cube texture".to_owned()),
            (ImageDimension::D1, true) => return Err("an array of 1d textures".to_owned()),
        };
        match class {
            ImageClass::Sampled { kind, multi: false } => {
                let number = match kind {
                    ScalarKind::Sint => "i32",
                    ScalarKind::Uint => "u32",
                    _ => "f32",
                };
                let ty = format!("texture_{dimension}<{number}>");
                Ok(TextureLayout { ty, writable: false, axes, number, channels: 4 })
            }
            ImageClass::Depth { multi: false } => {
                let ty = format!("texture_depth_{dimension}");
                Ok(TextureLayout { ty, writable: false, axes, number: "f32", channels: 1 })
            }
            ImageClass::Sampled { multi: true, .. } | ImageClass::Depth { multi: true } => {
                Err("a multisampled texture".to_owned())
            }
            ImageClass::External => Err("an external texture".to_owned()),
            ImageClass::Storage { format, access } => {
                let name = format.to_wgsl();
                let Some((number, channels)) = texel(name) else {
                    return Err(format!("the texel format {name}"));
                };
                let writable = access.contains(StorageAccess::STORE);
                let access = match (access.contains(StorageAccess::LOAD), writable) {
                    (true, true) => "read_write",
                    (_, true) => "write",
                    _ => "read",
                };
                let ty = format!("texture_storage_{dimension}<{name}, {access}>");
                Ok(TextureLayout { ty, writable, axes, number, channels })
            }
        }
    }
}

/// The numbers of a texel in memory, for the formats of whole words that are used most.
fn texel(format: &str) -> Option<(&'static str, u8)> {
    let split = format.find(|c: char| c.is_ascii_digit())?;
    let channels = match &format[..split] {
        "r" => 1,
        "rg" => 2,
        "rgba" => 4,
        "bgra" if format == "bgra8unorm" => 4,
        _ => return None,
    };
    let number = match (&format[split..], channels) {
        ("8unorm" | "8uint", 4) => "u8",
        ("8snorm" | "8sint", 4) => "i8",
        ("16uint", 2 | 4) => "u16",
        ("16sint", 2 | 4) => "i16",
        ("16float", 2 | 4) => "f16",
        ("32uint", _) => "u32",
        ("32sint", _) => "i32",
        ("32float", _) => "f32",
        _ => return None,
    };
    Some((number, channels))
}

fn numbers(scalar: naga::Scalar, count: u32) -> Result<Content, Refused> {
    let number = match (scalar.kind, scalar.width) {
        (ScalarKind::Float, 4) => "f32",
        (ScalarKind::Sint, 4) => "i32",
        (ScalarKind::Uint, 4) => "u32",
        (ScalarKind::Float, 2) => "f16",
        _ => return Err(format!("a buffer of {}", scalar.try_to_wgsl().unwrap_or("these numbers"))),
    };
    Ok(Content::Numbers { number, count })
}

/// The type of a matrix's column.
fn column(content: &Content) -> String {
    match content {
        Content::Numbers { number, count } => format!("vec{count}<{number}>"),
        _ => String::new(),
    }
}
