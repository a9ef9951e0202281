//! One call's arguments, checked once for every backend: `(2.0_f32, &x, &y)` and `&mut out` become a [`Part`].
//!
//! Nothing here runs or converts: a value of another type than the kernel's parameter is an error, not a cast. Every error
//! is found before anything is written.

use smallvec::SmallVec;

use crate::element::{Element, ElementType};
use crate::error::{Error, Result};
use crate::kernel::{Field, Param, Signature, Takes};
use crate::part::{Index, Input, Inputs, Output, Outputs, Part};

/// One input value of a call, its type known at run time. Made from numbers, slices and [`Index`] by [`IntoArg`], or from
/// bytes by [`Arg::array`] and [`Arg::uniform`].
#[derive(Clone, Copy, Debug)]
pub struct Arg<'a>(Value<'a>);

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Uniform { bytes: [u8; 32], given: usize, ty: ElementType },
    Array { data: &'a [u8], ty: ElementType },
    Index,
}

impl<'a> Arg<'a> {
    /// An array of packed elements of type `ty`, as bytes in native order.
    ///
    /// # Errors
    /// The call fails with [`Error::Misaligned`] if `bytes` is not aligned for the scalar or is not a whole number of
    /// elements.
    pub fn array(bytes: &'a [u8], ty: ElementType) -> Self {
        Self(Value::Array { data: bytes, ty })
    }

    /// One value of type `ty`, the same for every element, as bytes in native order.
    ///
    /// # Errors
    /// The call fails with [`Error::Misaligned`] if `bytes` is not exactly one element long.
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
    fn describe(&self) -> String {
        match self.0 {
            Value::Uniform { ty, .. } => format!("a single {ty}"),
            Value::Array { ty, .. } => format!("an array of {ty}"),
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
/// slice, array or `Vec` by reference (one element each, or a whole array); [`Index`]; an [`Arg`]. Sealed.
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
pub struct Args<'a>(SmallVec<[(Option<&'a str>, Arg<'a>); 8]>);

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
    data: &'a mut [u8],
    ty: ElementType,
}

impl<'a> OutputArg<'a> {
    /// An array of packed elements of type `ty`, as bytes in native order.
    ///
    /// # Errors
    /// The call fails with [`Error::Misaligned`] if `bytes` is not aligned for the scalar or is not a whole number of
    /// elements.
    pub fn array(bytes: &'a mut [u8], ty: ElementType) -> Self {
        Self { data: bytes, ty }
    }
}

/// What may be bound to an output: a `&mut` slice, array or `Vec` (its length is kept), or an [`OutputArg`]. Sealed.
pub trait IntoOutput<'a>: Sealed {
    /// The output array.
    fn into_output(self) -> OutputArg<'a>;
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
pub struct OutputArgs<'a>(SmallVec<[(Option<&'a str>, OutputArg<'a>); 4]>);

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
    ($into:ident, $all:ident, $one:ident, $name:ident: $($ty:ident)*) => {
        impl<'a, $($ty: $one<'a>),*> $into<'a> for ($($ty,)*) {
            #[allow(non_snake_case, reason = "the type parameters name the values too")]
            fn $name(self) -> $all<'a> {
                let ($($ty,)*) = self;
                $all::new()$(.push($ty))*
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
    tuples(IntoArgs, Args, IntoArg, into_args:),
    tuples(IntoOutputs, OutputArgs, IntoOutput, into_outputs:)
);

/// Checks a call against the kernel's signature.
///
/// # Errors
/// [`Error::ArgumentCount`], [`Error::UnknownParameter`], [`Error::DuplicateParameter`], [`Error::MissingParameter`],
/// [`Error::WrongType`], [`Error::Misaligned`], [`Error::LengthMismatch`], [`Error::TooLong`].
pub(crate) fn check<'a, 'i: 'a, 'o: 'a>(
    signature: &Signature,
    args: Args<'i>,
    outputs: OutputArgs<'o>,
) -> Result<Part<'a>> {
    let kernel = signature.name.as_str();
    let args = in_order(kernel, "inputs", args.0, &signature.params, |param| &param.field)?;
    let outputs = in_order(kernel, "outputs", outputs.0, &signature.outputs, |field| field)?;

    let mut checked = Inputs::new();
    for (param, arg) in signature.params.iter().zip(args) {
        checked.push(input(kernel, param, arg)?);
    }
    let mut checked_outputs = Outputs::new();
    for (field, OutputArg { data, ty }) in signature.outputs.iter().zip(outputs) {
        if ty != field.ty {
            return Err(wrong_type(kernel, field, format!("an array of {ty}"), field.ty, Takes::Array));
        }
        layout(kernel, &field.name, data, ty)?;
        let data = if data.is_empty() { bytemuck::cast_slice_mut::<u64, u8>(&mut []) } else { data };
        checked_outputs.push(Output { data, ty });
    }

    // The first output sets the length: every kernel has one.
    let n = checked_outputs.first().map_or(0, |output| output.data.len() / output.ty.size());
    let expect = |field: &Field, got: usize| {
        if got == n {
            return Ok(());
        }
        Err(Error::LengthMismatch {
            kernel: kernel.to_owned(),
            name: field.name.clone(),
            got,
            expected: n,
            other: signature.outputs[0].name.clone(),
        })
    };
    for (param, input) in signature.params.iter().zip(&checked) {
        match input {
            Input::Array { data, ty } => expect(&param.field, data.len() / ty.size())?,
            Input::Index => index_fits(kernel, &param.field.name, n)?,
            Input::Uniform { .. } | Input::Whole { .. } => {}
        }
    }
    for (field, output) in signature.outputs.iter().zip(&checked_outputs) {
        expect(field, output.data.len() / output.ty.size())?;
    }
    Ok(Part { start: 0, n, inputs: checked, outputs: checked_outputs })
}

/// Whether every index of `n` elements is a `u32`.
fn index_fits(kernel: &str, name: &str, n: usize) -> Result<()> {
    /// Indices `0 ..= u32::MAX`. On a 32-bit machine every length fits.
    const LIMIT: u64 = 1 << 32;
    if n as u64 <= LIMIT {
        return Ok(());
    }
    Err(Error::TooLong {
        kernel: kernel.to_owned(),
        got: n,
        limit: usize::try_from(LIMIT).unwrap_or(usize::MAX),
        reason: format!("`{name}` is bound to Index, which counts in u32"),
    })
}

/// Sorts positional and named values into the order of the kernel's fields: exactly one for each.
fn in_order<'a, A, F, const N: usize>(
    kernel: &str,
    what: &'static str,
    given: SmallVec<[(Option<&'a str>, A); N]>,
    fields: &[F],
    field: impl Fn(&F) -> &Field,
) -> Result<SmallVec<[A; N]>>
where
    [(Option<&'a str>, A); N]: smallvec::Array<Item = (Option<&'a str>, A)>,
    [A; N]: smallvec::Array<Item = A>,
{
    let names = || fields.iter().map(|f| field(f).name.as_str()).collect::<Vec<_>>().join(", ");
    let count = |got| Error::ArgumentCount {
        kernel: kernel.to_owned(),
        what,
        got,
        expected: fields.len(),
        names: names(),
    };
    // The usual call, all by position, needs no sorting.
    if given.iter().all(|(name, _)| name.is_none()) {
        if given.len() != fields.len() {
            return Err(count(given.len()));
        }
        return Ok(given.into_iter().map(|(_, value)| value).collect());
    }

    let mut slots: Vec<Option<A>> = fields.iter().map(|_| None).collect();
    let total = given.len();
    let mut next = 0;
    for (name, value) in given {
        let at = match name {
            None if next < slots.len() => {
                next += 1;
                next - 1
            }
            None => return Err(count(total)),
            Some(name) => fields.iter().position(|f| field(f).name == name).ok_or_else(|| {
                Error::UnknownParameter { kernel: kernel.to_owned(), name: name.to_owned(), names: names() }
            })?,
        };
        if slots[at].replace(value).is_some() {
            return Err(Error::DuplicateParameter {
                kernel: kernel.to_owned(),
                name: field(&fields[at]).name.clone(),
            });
        }
    }
    slots
        .into_iter()
        .zip(fields)
        .map(|(slot, f)| {
            slot.ok_or_else(|| Error::MissingParameter {
                kernel: kernel.to_owned(),
                name: field(f).name.clone(),
                expected: field(f).ty.to_string(),
            })
        })
        .collect()
}

/// One input against its parameter: kind and type, then the bytes.
fn input<'a>(kernel: &str, param: &Param, arg: Arg<'a>) -> Result<Input<'a>> {
    let Param { field, takes } = param;
    let wrong = || wrong_type(kernel, field, arg.describe(), field.ty, *takes);
    match arg.0 {
        Value::Index => {
            let takes_index = *takes == Takes::Element && field.ty == u32::TYPE;
            if takes_index { Ok(Input::Index) } else { Err(wrong()) }
        }
        Value::Uniform { bytes, given, ty } => {
            if ty != field.ty || !matches!(takes, Takes::Element | Takes::Uniform) {
                return Err(wrong());
            }
            if given != ty.size() {
                return Err(misaligned(kernel, &field.name, format!("one {ty} of {given} bytes"), ty));
            }
            Ok(Input::Uniform { bytes, ty })
        }
        Value::Array { data, ty } => {
            if ty != field.ty || *takes == Takes::Uniform {
                return Err(wrong());
            }
            layout(kernel, &field.name, data, ty)?;
            let data = if data.is_empty() { bytemuck::cast_slice::<u64, u8>(&[]) } else { data };
            Ok(match takes {
                Takes::Whole => Input::Whole { data, ty },
                _ => Input::Array { data, ty },
            })
        }
    }
}

/// Whether bytes are whole, aligned elements. Always true for slices of Rust types; bytes from a file may not be.
fn layout(kernel: &str, name: &str, data: &[u8], ty: ElementType) -> Result<()> {
    let address = data.as_ptr().addr();
    if !data.len().is_multiple_of(ty.size()) {
        return Err(misaligned(kernel, name, format!("{} bytes", data.len()), ty));
    }
    // The pointer of an empty slice may be anything; such a slice is exchanged for an aligned one.
    if !data.is_empty() && !address.is_multiple_of(ty.scalar.size()) {
        let past = address % ty.scalar.size();
        return Err(misaligned(kernel, name, format!("bytes that start {past} past an aligned address"), ty));
    }
    Ok(())
}

#[cold]
fn misaligned(kernel: &str, name: &str, got: String, ty: ElementType) -> Error {
    Error::Misaligned {
        kernel: kernel.to_owned(),
        name: name.to_owned(),
        got,
        ty: ty.to_string(),
        size: ty.size(),
        align: ty.scalar.size(),
    }
}

#[cold]
fn wrong_type(kernel: &str, field: &Field, got: String, ty: ElementType, takes: Takes) -> Error {
    let expected = match takes {
        Takes::Element if ty == u32::TYPE => format!("a single {ty}, an array of {ty}, or Index"),
        Takes::Element => format!("a single {ty} or an array of {ty}"),
        Takes::Uniform => format!("a single {ty}"),
        Takes::Array | Takes::Whole => format!("an array of {ty}"),
    };
    let same_type = got.ends_with(&format!(" {ty}"));
    let hint = if got == "Index" {
        "Index is bound to u32 parameters that take one element".to_owned()
    } else if same_type {
        "the type is right, the kind is not".to_owned()
    } else if ty.width == 1 {
        format!("types are never converted: convert first, with `as {}`", ty.scalar.name())
    } else {
        format!("types are never converted: elements are `[{}; {}]`", ty.scalar.name(), ty.width)
    };
    Error::WrongType { kernel: kernel.to_owned(), name: field.name.clone(), got, expected, hint }
}
