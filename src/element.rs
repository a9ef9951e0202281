//! The element types of arrays and scalars: what they are in Rust, in memory and in WGSL.

use std::fmt;

/// The scalar inside an [`ElementType`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// 32-bit float.
    F32,
    /// 32-bit signed integer.
    I32,
    /// 32-bit unsigned integer.
    U32,
    /// 64-bit float: closures only.
    F64,
    /// 64-bit signed integer: closures only.
    I64,
    /// 64-bit unsigned integer: closures only.
    U64,
}

impl Scalar {
    /// Bytes of one scalar.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// The Rust (and, for the 32-bit ones, WGSL) name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::F64 => "f64",
            Self::I64 => "i64",
            Self::U64 => "u64",
        }
    }

    /// Whether WGSL has this scalar: the 32-bit ones.
    pub const fn in_wgsl(self) -> bool {
        self.size() == 4
    }
}

/// The type of one array element or one scalar argument: a scalar, or a vector of 2 to 4 of them.
///
/// Elements are packed: a `[f32; 3]` takes 12 bytes here. Only a whole array `array<vec3<f32>>` has WGSL's stride of 16 bytes:
/// its type is that of `[f32; 4]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ElementType {
    /// The scalar type of every component.
    pub scalar: Scalar,
    /// Components: 1 for a plain scalar, 2 to 4 for a vector.
    pub width: u8,
}

impl ElementType {
    /// A plain scalar.
    pub const fn scalar(scalar: Scalar) -> Self {
        Self { scalar, width: 1 }
    }

    /// Bytes of one element, packed.
    pub const fn size(self) -> usize {
        self.scalar.size() * self.width as usize
    }
}

/// As WGSL writes it: `f32`, `vec3<u32>`.
impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.width {
            1 => f.write_str(self.scalar.name()),
            n => write!(f, "vec{n}<{}>", self.scalar.name()),
        }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A type that arrays and scalar arguments may have: `f32 i32 u32 f64 i64 u64`, and `[T; 2]`, `[T; 3]`, `[T; 4]` of
/// the 32-bit ones (WGSL's `vec2`, `vec3`, `vec4`). Sealed.
pub trait Element: sealed::Sealed + bytemuck::Pod + Send + Sync {
    /// The type's description.
    const TYPE: ElementType;
}

macro_rules! scalars {
    ($($rust:ty => $scalar:ident),* $(,)?) => {$(
        impl sealed::Sealed for $rust {}
        impl Element for $rust {
            const TYPE: ElementType = ElementType::scalar(Scalar::$scalar);
        }
    )*};
}
scalars!(f32 => F32, i32 => I32, u32 => U32, f64 => F64, i64 => I64, u64 => U64);

macro_rules! vectors {
    ($($rust:ty => $scalar:ident [$($width:literal),+])*) => {$($(
        impl sealed::Sealed for [$rust; $width] {}
        impl Element for [$rust; $width] {
            const TYPE: ElementType = ElementType { scalar: Scalar::$scalar, width: $width };
        }
    )+)*};
}
vectors!(f32 => F32 [2, 3, 4] i32 => I32 [2, 3, 4] u32 => U32 [2, 3, 4]);
