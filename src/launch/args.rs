//! What a call may be given: numbers, slices, [`Index`], by position or by name, with types known at compile time or at run
//! time. Nothing is checked here.

use smallvec::SmallVec;

use crate::array::{Array, Handle};
use crate::element::{Element, ElementType};
use crate::part::Index;

/// One input value of a call, its type known at run time. Made from numbers, slices and [`Index`] by [`IntoArg`], or from
/// bytes by [`Arg::array`] and [`Arg::uniform`].
#[derive(Clone, Copy, Debug)]
pub struct Arg<'a>(pub(super) Value<'a>);

/// What an [`Arg`] holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Uniform {
        bytes: [u8; 32],
        given: usize,
        ty: ElementType,
    },
    Array {
        data: &'a [u8],
        ty: ElementType,
    },
    /// Becomes an `Array` before it is checked.
    Resident {
        array: &'a dyn Handle,
        ty: ElementType,
    },
    Index,
}

impl<'a> Arg<'a> {
    /// An array of packed elements of type `ty`, as bytes in native order.
    ///
    /// # Errors
    /// The call fails with [`Error::Misaligned`](crate::Error::Misaligned) if `bytes` is not aligned for the scalar or is not a whole number of
    /// elements.
    pub fn array(bytes: &'a [u8], ty: ElementType) -> Self {
        Self(Value::Array { data: bytes, ty })
    }

    /// One value of type `ty`, the same for every element, as bytes in native order.
    ///
    /// # Errors
    /// The call fails with [`Error::Misaligned`](crate::Error::Misaligned) if `bytes` is not exactly one element long.
    pub fn uniform(bytes: &[u8], ty: ElementType) -> Self {
        let mut value = [0; 32];
        let taken = bytes.len().min(value.len());
        value[..taken].copy_from_slice(&bytes[..taken]);
        Self(Value::Uniform { bytes: value, given: bytes.len(), ty })
    }

    /// The element's own index.
    pub const fn index() -> Self {
        Self(Value::Index)
    }

    /// What was given, in the words of an error.
    pub(super) fn describe(&self) -> String {
        match self.0 {
            Value::Uniform { ty, .. } => format!("a single {ty}"),
            Value::Array { ty, .. } | Value::Resident { ty, .. } => format!("an array of {ty}"),
            Value::Index => "Index".to_owned(),
        }
    }
}

mod sealed {
    /// Implemented here only, so that later kinds of argument are no breaking change.
    pub trait Sealed {}
}
use sealed::Sealed;

/// What may be bound to a parameter: a number, a `[T; 2]` to `[T; 4]` or a `bool` by value (the same for every element); a
/// slice, array, `Vec` or [`Array`] by reference (one element each, or a whole array); [`Index`]; an [`Arg`]. Sealed.
///
/// A `bool` is a `u32` that is 0 or 1, as in memory.
pub trait IntoArg<'a>: Sealed {
    /// The value.
    fn into_arg(self) -> Arg<'a>;
}

macro_rules! by_value {
    ($($ty:ty),* $(,)?) => {$(
        impl Sealed for $ty {}
        impl<'a> IntoArg<'a> for $ty {
            fn into_arg(self) -> Arg<'a> {
                Arg::uniform(bytemuck::bytes_of(&self), <$ty as Element>::TYPE)
            }
        }
    )*};
}
by_value!(f32, i32, u32, f64, i64, u64);
by_value!([f32; 2], [f32; 3], [f32; 4], [i32; 2], [i32; 3], [i32; 4], [u32; 2], [u32; 3], [u32; 4]);

impl Sealed for bool {}
impl<'a> IntoArg<'a> for bool {
    fn into_arg(self) -> Arg<'a> {
        u32::from(self).into_arg()
    }
}

impl Sealed for Index {}
impl<'a> IntoArg<'a> for Index {
    fn into_arg(self) -> Arg<'a> {
        Arg::index()
    }
}

impl<T: Element> Sealed for &Array<T> {}
impl<'a, T: Element> IntoArg<'a> for &'a Array<T> {
    fn into_arg(self) -> Arg<'a> {
        Arg(Value::Resident { array: self, ty: T::TYPE })
    }
}

impl Sealed for Arg<'_> {}
impl<'a> IntoArg<'a> for Arg<'a> {
    fn into_arg(self) -> Self {
        self
    }
}

impl<T: Element> Sealed for &[T] {}
impl<'a, T: Element> IntoArg<'a> for &'a [T] {
    fn into_arg(self) -> Arg<'a> {
        Arg::array(bytemuck::cast_slice(self), T::TYPE)
    }
}

impl<T: Element> Sealed for &Vec<T> {}
impl<'a, T: Element> IntoArg<'a> for &'a Vec<T> {
    fn into_arg(self) -> Arg<'a> {
        self.as_slice().into_arg()
    }
}

impl<T: Element, const N: usize> Sealed for &[T; N] {}
impl<'a, T: Element, const N: usize> IntoArg<'a> for &'a [T; N] {
    fn into_arg(self) -> Arg<'a> {
        self.as_slice().into_arg()
    }
}

/// The inputs of one call: values bound by position, by name, or first some by position and then the rest by name.
#[derive(Clone, Debug, Default)]
pub struct Args<'a>(pub(super) SmallVec<[(Option<&'a str>, Arg<'a>); 8]>);

impl<'a> Args<'a> {
    /// No inputs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds `value` to the parameter of that name.
    #[must_use]
    pub fn bind(mut self, name: &'a str, value: impl IntoArg<'a>) -> Self {
        self.0.push((Some(name), value.into_arg()));
        self
    }

    /// Binds `value` to the next parameter by position: the first `push` to the first parameter, and so on.
    #[must_use]
    pub fn push(mut self, value: impl IntoArg<'a>) -> Self {
        self.0.push((None, value.into_arg()));
        self
    }
}

/// The inputs of one call: a tuple of up to twelve values in the order of the parameters, a single value, or [`Args`]. Sealed.
pub trait IntoArgs<'a>: Sealed {
    /// The inputs.
    fn into_args(self) -> Args<'a>;
}

impl Sealed for Args<'_> {}
impl<'a> IntoArgs<'a> for Args<'a> {
    fn into_args(self) -> Self {
        self
    }
}

impl<'a, A: IntoArg<'a>> IntoArgs<'a> for A {
    fn into_args(self) -> Args<'a> {
        Args::new().push(self)
    }
}

impl Sealed for () {}
impl<'a> IntoArgs<'a> for () {
    fn into_args(self) -> Args<'a> {
        Args::new()
    }
}

/// One output array of a call, its type known at run time. Made from `&mut` slices by [`IntoOutput`], or from bytes.
#[derive(Debug)]
pub struct OutputArg<'a> {
    pub(super) data: &'a mut [u8],
    /// Whose bytes `data` is to be before it is checked.
    pub(super) array: Option<&'a dyn Handle>,
    pub(super) ty: ElementType,
}

impl<'a> OutputArg<'a> {
    /// An array of packed elements of type `ty`, as bytes in native order.
    ///
    /// # Errors
    /// The call fails with [`Error::Misaligned`](crate::Error::Misaligned) if `bytes` is not aligned for the scalar or is not a whole number of
    /// elements.
    pub fn array(bytes: &'a mut [u8], ty: ElementType) -> Self {
        Self { data: bytes, array: None, ty }
    }
}

/// What may be bound to an output: a `&mut` slice, array or `Vec` (its length is kept), an [`Array`] by reference, or an
/// [`OutputArg`]. Sealed.
pub trait IntoOutput<'a>: Sealed {
    /// The output array.
    fn into_output(self) -> OutputArg<'a>;
}

impl<'a, T: Element> IntoOutput<'a> for &'a Array<T> {
    fn into_output(self) -> OutputArg<'a> {
        OutputArg { data: &mut [], array: Some(self), ty: T::TYPE }
    }
}

impl Sealed for OutputArg<'_> {}
impl<'a> IntoOutput<'a> for OutputArg<'a> {
    fn into_output(self) -> Self {
        self
    }
}

impl<T: Element> Sealed for &mut [T] {}
impl<'a, T: Element> IntoOutput<'a> for &'a mut [T] {
    fn into_output(self) -> OutputArg<'a> {
        OutputArg::array(bytemuck::cast_slice_mut(self), T::TYPE)
    }
}

impl<T: Element> Sealed for &mut Vec<T> {}
impl<'a, T: Element> IntoOutput<'a> for &'a mut Vec<T> {
    fn into_output(self) -> OutputArg<'a> {
        self.as_mut_slice().into_output()
    }
}

impl<T: Element, const N: usize> Sealed for &mut [T; N] {}
impl<'a, T: Element, const N: usize> IntoOutput<'a> for &'a mut [T; N] {
    fn into_output(self) -> OutputArg<'a> {
        self.as_mut_slice().into_output()
    }
}

/// The outputs of one call, bound by position, by name, or first some by position and then the rest by name.
#[derive(Debug, Default)]
pub struct OutputArgs<'a>(pub(super) SmallVec<[(Option<&'a str>, OutputArg<'a>); 4]>);

impl<'a> OutputArgs<'a> {
    /// No outputs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds an array to the output of that name.
    #[must_use]
    pub fn bind(mut self, name: &'a str, array: impl IntoOutput<'a>) -> Self {
        self.0.push((Some(name), array.into_output()));
        self
    }

    /// Binds an array to the next output by position.
    #[must_use]
    pub fn push(mut self, array: impl IntoOutput<'a>) -> Self {
        self.0.push((None, array.into_output()));
        self
    }
}

/// The outputs of one call: a single array, a tuple of up to eight in the order of the kernel's outputs, or [`OutputArgs`].
/// Sealed.
pub trait IntoOutputs<'a>: Sealed {
    /// The outputs.
    fn into_outputs(self) -> OutputArgs<'a>;
}

impl Sealed for OutputArgs<'_> {}
impl<'a> IntoOutputs<'a> for OutputArgs<'a> {
    fn into_outputs(self) -> Self {
        self
    }
}

impl<'a, A: IntoOutput<'a>> IntoOutputs<'a> for A {
    fn into_outputs(self) -> OutputArgs<'a> {
        OutputArgs::new().push(self)
    }
}

macro_rules! tuples {
    ($into:ident, $all:ident, $of:ident, $one:ident, $name:ident: $($ty:ident)*) => {
        impl<'a, $($ty: $of<'a>),*> $into<'a> for ($($ty,)*) {
            #[allow(non_snake_case, reason = "the type parameters name the values too")]
            fn $name(self) -> $all<'a> {
                let ($($ty,)*) = self;
                let mut all = $all::new();
                // In place: `push` by value would move all of them each time.
                $(all.0.push((None, $ty.$one())));*;
                all
            }
        }
    };
}
macro_rules! sealed_tuples {
    ($($ty:ident)*) => { impl<$($ty: Sealed),*> Sealed for ($($ty,)*) {} };
}
macro_rules! up_to_twelve {
    ($($callback:ident($($head:tt)*)),*) => {$(
        $callback!($($head)* A);
        $callback!($($head)* A B);
        $callback!($($head)* A B C);
        $callback!($($head)* A B C D);
        $callback!($($head)* A B C D E);
        $callback!($($head)* A B C D E F);
        $callback!($($head)* A B C D E F G);
        $callback!($($head)* A B C D E F G H);
        $callback!($($head)* A B C D E F G H I);
        $callback!($($head)* A B C D E F G H I J);
        $callback!($($head)* A B C D E F G H I J K);
        $callback!($($head)* A B C D E F G H I J K L);
    )*};
}
up_to_twelve!(
    sealed_tuples(),
    tuples(IntoArgs, Args, IntoArg, into_arg, into_args:),
    tuples(IntoOutputs, OutputArgs, IntoOutput, into_output, into_outputs:)
);
