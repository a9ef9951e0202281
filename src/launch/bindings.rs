//! What a launch may be given for a shader's variables: slices, values, [`Array`]s, textures, by name or by place, with the Rust
//! type they have. Nothing is checked here.

use std::any::TypeId;
use std::sync::Arc;

use bytemuck::Pod;
use smallvec::SmallVec;

use super::args::{Arg, OutputArg, Value as ArgValue};
use super::grid::IntoExtent;
use crate::array::{Array, Handle, Resident};
use crate::element::ElementType;

/// Data for the variables of a shader, each bound by its name or its `(group, binding)`.
///
/// # Examples
/// ```
/// use forall::{Array, Bindings};
///
/// #[repr(C)]
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// struct Params { gain: f32, offset: f32 }
///
/// let (x, mut out, state) = (vec![1.0_f32; 8], vec![0.0_f32; 8], Array::<u32>::zeros(8));
/// let bindings = Bindings::new()
///     .value("params", Params { gain: 2.0, offset: 0.5 })
///     .bind("x", &x)
///     .bind("state", &state)
///     .bind((0, 3), &mut out);
/// ```
#[derive(Debug, Default)]
pub struct Bindings<'a>(pub(super) SmallVec<[(Place<'a>, BindingData<'a>); 8]>);

impl<'a> Bindings<'a> {
    /// Nothing bound yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds data to the variable of that name, or at that `(group, binding)`.
    #[must_use]
    pub fn bind(mut self, place: impl Into<Place<'a>>, data: impl IntoBinding<'a>) -> Self {
        self.0.push((place.into(), data.into_binding()));
        self
    }

    /// Binds one value, such as a struct for a uniform: a copy of it, as it is now.
    #[must_use]
    pub fn value<T: Pod>(self, place: impl Into<Place<'a>>, value: T) -> Self {
        self.bind(place, Value(value))
    }
}

/// Which variable of a shader is meant: its name, or its `(group, binding)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The variable's name.
    Name(&'a str),
    /// Its `@group` and `@binding`.
    At(u32, u32),
}

impl<'a> From<&'a str> for Place<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a String> for Place<'a> {
    fn from(name: &'a String) -> Self {
        Self::Name(name)
    }
}

impl From<(u32, u32)> for Place<'_> {
    fn from((group, binding): (u32, u32)) -> Self {
        Self::At(group, binding)
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "`{name}`"),
            Self::At(group, binding) => write!(f, "@group({group}) @binding({binding})"),
        }
    }
}

/// Data for one variable of a shader. Made by [`IntoBinding`].
#[derive(Debug)]
pub struct BindingData<'a> {
    pub(super) data: Data<'a>,
    pub(super) ty: RustType,
    /// The size of a texture.
    pub(super) extent: Option<[u32; 3]>,
}

/// Where the bytes are.
#[derive(Debug)]
pub(crate) enum Data<'a> {
    /// The caller's, to read.
    Read(&'a [u8]),
    /// A value's own.
    Value(SmallVec<[u8; 64]>),
    /// The caller's, to write.
    Write(&'a mut [u8]),
    /// An array's.
    Array(Arc<dyn Resident>),
}

impl Data<'_> {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Read(bytes) => bytes.len(),
            Self::Value(bytes) => bytes.len(),
            Self::Write(bytes) => bytes.len(),
            Self::Array(array) => array.bytes(),
        }
    }
}

/// The Rust type of an element, as far as a layout can be compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RustType {
    /// For messages.
    pub name: String,
    /// Of one element.
    pub size: usize,
    /// The number it consists of: `f32` for `[[f32; 4]; 4]`; `None` for a struct or another crate's type.
    pub number: Option<&'static str>,
}

macro_rules! number_of {
    ($ty:ty: $($number:ident)*) => {
        $(if number_of!(@is $ty: $number [$number; 2] [$number; 3] [$number; 4]
            [[$number; 2]; 2] [[$number; 2]; 3] [[$number; 2]; 4]
            [[$number; 3]; 2] [[$number; 3]; 3] [[$number; 3]; 4]
            [[$number; 4]; 2] [[$number; 4]; 3] [[$number; 4]; 4])
        {
            return Some(stringify!($number));
        })*
    };
    (@is $ty:ty: $($other:ty)*) => { $(TypeId::of::<$ty>() == TypeId::of::<$other>())||* };
}

fn number_of<T: 'static>() -> Option<&'static str> {
    number_of!(T: f32 u32 i32 u8 i8 u16 i16 f64 u64 i64);
    None
}

impl RustType {
    pub(super) fn of<T: Pod>() -> Self {
        Self { name: short_name(std::any::type_name::<T>()), size: size_of::<T>(), number: number_of::<T>() }
    }

    fn element(ty: ElementType) -> Self {
        let number = ty.scalar.name();
        let name = if ty.width == 1 { number.to_owned() } else { format!("[{number}; {}]", ty.width) };
        Self { name, size: ty.size(), number: Some(number) }
    }
}

/// A type's name without the modules it is in.
fn short_name(name: &str) -> String {
    let mut short = String::new();
    let mut from = 0;
    for (at, c) in name.char_indices() {
        if !(c.is_alphanumeric() || c == '_' || c == ':') {
            short.push_str(name[from..at].rsplit("::").next().unwrap_or_default());
            short.push(c);
            from = at + c.len_utf8();
        }
    }
    short.push_str(name[from..].rsplit("::").next().unwrap_or_default());
    short
}

mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// What may be bound to a variable of a shader: a slice, array or `Vec` by reference (by `&mut` where the shader writes), a
/// number or vector by value, any other value as [`Value`], an [`Array`] by reference, a [`Texture`], or what has its type at run
/// time, an [`Arg`] or [`OutputArg`]. Sealed.
pub trait IntoBinding<'a>: Sealed {
    /// The data.
    fn into_binding(self) -> BindingData<'a>;
}

impl Sealed for BindingData<'_> {}
impl<'a> IntoBinding<'a> for BindingData<'a> {
    fn into_binding(self) -> Self {
        self
    }
}

impl<T: Pod> Sealed for &[T] {}
impl<'a, T: Pod> IntoBinding<'a> for &'a [T] {
    fn into_binding(self) -> BindingData<'a> {
        BindingData { data: Data::Read(bytemuck::cast_slice(self)), ty: RustType::of::<T>(), extent: None }
    }
}

impl<T: Pod> Sealed for &mut [T] {}
impl<'a, T: Pod> IntoBinding<'a> for &'a mut [T] {
    fn into_binding(self) -> BindingData<'a> {
        BindingData {
            data: Data::Write(bytemuck::cast_slice_mut(self)),
            ty: RustType::of::<T>(),
            extent: None,
        }
    }
}

macro_rules! as_slices {
    ($($ty:ty $(, $n:ident)?);*) => {$(
        impl<T: Pod $(, const $n: usize)?> Sealed for &$ty {}
        impl<'a, T: Pod $(, const $n: usize)?> IntoBinding<'a> for &'a $ty {
            fn into_binding(self) -> BindingData<'a> {
                self.as_slice().into_binding()
            }
        }
        impl<T: Pod $(, const $n: usize)?> Sealed for &mut $ty {}
        impl<'a, T: Pod $(, const $n: usize)?> IntoBinding<'a> for &'a mut $ty {
            fn into_binding(self) -> BindingData<'a> {
                self.as_mut_slice().into_binding()
            }
        }
    )*};
}
as_slices!(Vec<T>; [T; N], N);

/// One value of any plain type, bound as a copy: `("params", Value(params))`. For a `&mut` value, which a shader writes, bind
/// [`std::slice::from_mut`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<T>(pub T);

impl<T: Pod> Sealed for Value<T> {}
impl<'a, T: Pod> IntoBinding<'a> for Value<T> {
    fn into_binding(self) -> BindingData<'a> {
        let bytes = SmallVec::from_slice(bytemuck::bytes_of(&self.0));
        BindingData { data: Data::Value(bytes), ty: RustType::of::<T>(), extent: None }
    }
}

macro_rules! by_value {
    ($($ty:ty),* $(,)?) => {$(
        impl Sealed for $ty {}
        impl<'a> IntoBinding<'a> for $ty {
            fn into_binding(self) -> BindingData<'a> {
                Value(self).into_binding()
            }
        }
    )*};
}
by_value!(
    f32, i32, u32, [f32; 2], [f32; 3], [f32; 4], [i32; 2], [i32; 3], [i32; 4], [u32; 2], [u32; 3], [u32; 4]
);

impl<T: Pod + Send + Sync> Sealed for &Array<T> {}
impl<'a, T: Pod + Send + Sync> IntoBinding<'a> for &Array<T> {
    fn into_binding(self) -> BindingData<'a> {
        BindingData { data: Data::Array(self.shared()), ty: RustType::of::<T>(), extent: None }
    }
}

impl Sealed for Arg<'_> {}
impl<'a> IntoBinding<'a> for Arg<'a> {
    fn into_binding(self) -> BindingData<'a> {
        let (data, ty) = match self.0 {
            ArgValue::Array { data, ty } => (Data::Read(data), RustType::element(ty)),
            ArgValue::Uniform { bytes, given, ty } => {
                (Data::Value(SmallVec::from_slice(&bytes[..given.min(bytes.len())])), RustType::element(ty))
            }
            ArgValue::Resident { array, ty } => (Data::Array(array.shared()), RustType::element(ty)),
            ArgValue::Index => {
                (Data::Value(SmallVec::new()), RustType { name: "Index".to_owned(), size: 0, number: None })
            }
        };
        BindingData { data, ty, extent: None }
    }
}

impl Sealed for OutputArg<'_> {}
impl<'a> IntoBinding<'a> for OutputArg<'a> {
    fn into_binding(self) -> BindingData<'a> {
        let data = match self.array {
            Some(array) => Data::Array(array.shared()),
            None => Data::Write(self.data),
        };
        BindingData { data, ty: RustType::element(self.ty), extent: None }
    }
}

/// The texels of a texture and its size: x fastest, then y, then z or layers, without gaps.
///
/// A storage texture's texels are those of its format: `[u8; 4]` each for `rgba8unorm`, one `f32` for `r32float`. A
/// `texture_2d<f32>`, which a shader reads by `textureLoad`, has `[f32; 4]` each; likewise `i32` and `u32`. A
/// `texture_depth_2d`, on CPUs only, has one `f32`.
///
/// # Examples
/// ```
/// use forall::{Bindings, Texture};
///
/// let mut image = vec![[0_u8; 4]; 640 * 480];
/// let bindings = Bindings::new().bind("image", Texture::new(&mut image, [640, 480]));
/// ```
#[derive(Debug)]
pub struct Texture<'a>(BindingData<'a>);

impl<'a> Texture<'a> {
    /// Texels, and how many there are along x, y, and z or layers.
    pub fn new(texels: impl IntoBinding<'a>, size: impl IntoExtent) -> Self {
        Self(BindingData { extent: Some(size.into_extent()), ..texels.into_binding() })
    }
}

impl Sealed for Texture<'_> {}
impl<'a> IntoBinding<'a> for Texture<'a> {
    fn into_binding(self) -> BindingData<'a> {
        self.0
    }
}

/// The bindings of one launch: a [`Bindings`], or pairs in a tuple, `(("x", &x), ("out", &mut out))`. Sealed.
pub trait IntoBindings<'a>: Sealed {
    /// The bindings.
    fn into_bindings(self) -> Bindings<'a>;
}

impl Sealed for Bindings<'_> {}
impl<'a> IntoBindings<'a> for Bindings<'a> {
    fn into_bindings(self) -> Self {
        self
    }
}

impl Sealed for () {}
impl<'a> IntoBindings<'a> for () {
    fn into_bindings(self) -> Bindings<'a> {
        Bindings::new()
    }
}

macro_rules! tuples {
    ($($place:ident $data:ident),*) => {
        impl<$($place, $data: Sealed),*> Sealed for ($(($place, $data),)*) {}
        impl<'a, $($place: Into<Place<'a>>, $data: IntoBinding<'a>),*> IntoBindings<'a> for ($(($place, $data),)*) {
            #[allow(non_snake_case, reason = "the type parameters name the values too")]
            fn into_bindings(self) -> Bindings<'a> {
                let ($(($place, $data),)*) = self;
                Bindings::new()$(.bind($place, $data))*
            }
        }
    };
}
tuples!(P1 D1);
tuples!(P1 D1, P2 D2);
tuples!(P1 D1, P2 D2, P3 D3);
tuples!(P1 D1, P2 D2, P3 D3, P4 D4);
tuples!(P1 D1, P2 D2, P3 D3, P4 D4, P5 D5);
tuples!(P1 D1, P2 D2, P3 D3, P4 D4, P5 D5, P6 D6);
tuples!(P1 D1, P2 D2, P3 D3, P4 D4, P5 D5, P6 D6, P7 D7);
tuples!(P1 D1, P2 D2, P3 D3, P4 D4, P5 D5, P6 D6, P7 D7, P8 D8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types_are_short() {
        assert_eq!(
            short_name("alloc::vec::Vec<core::option::Option<[a::b::Particle; 4]>>"),
            "Vec<Option<[Particle; 4]>>"
        );
        assert_eq!(short_name("f32"), "f32");
    }

    #[test]
    fn numbers_are_known_through_arrays() {
        assert_eq!(RustType::of::<[[f32; 4]; 3]>().number, Some("f32"));
        assert_eq!(RustType::of::<u8>(), RustType { name: "u8".to_owned(), size: 1, number: Some("u8") });
        assert_eq!(RustType::of::<[u32; 2]>().size, 8);
        assert_eq!(RustType::of::<std::num::Wrapping<u32>>().number, None);
    }
}
