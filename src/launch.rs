//! One call's arguments, checked once for every backend: `(2.0_f32, &x, &y)` and `&mut out` become a [`Part`], a grid and the
//! bindings of a shader a [`Job`](job::Job).
//!
//! Nothing here runs or converts: a value of another type than the kernel's parameter is an error, not a cast. Every error
//! is found before anything is written.

use smallvec::SmallVec;

use crate::cancel::Watch;
use crate::element::{Element, ElementType};
use crate::error::{Error, Result};
use crate::kernel::{Field, Param, Signature, Takes};
use crate::part::{Input, Inputs, Output, Outputs, Part};

mod args;
mod arrays;
mod bindings;
mod fit;
mod grid;
pub(crate) mod job;
#[cfg(test)]
mod tests;

use args::Value as ArgValue;
pub use args::{Arg, Args, IntoArg, IntoArgs, IntoOutput, IntoOutputs, OutputArg, OutputArgs};
pub(crate) use arrays::with_arrays;
pub(crate) use bindings::Data;
pub use bindings::{BindingData, Bindings, IntoBinding, IntoBindings, Place, Texture, Value};
pub use grid::{Grid, IntoExtent};

/// Checks a call against the kernel's signature.
///
/// # Errors
/// [`Error::ArgumentCount`], [`Error::UnknownParameter`], [`Error::DuplicateParameter`], [`Error::MissingParameter`],
/// [`Error::WrongType`], [`Error::Misaligned`], [`Error::LengthMismatch`], [`Error::TooLong`].
pub(crate) fn check<'a, 'i: 'a, 'o: 'a>(
    signature: &Signature,
    mut args: Args<'i>,
    mut outputs: OutputArgs<'o>,
) -> Result<Part<'a>> {
    let kernel = signature.name.as_str();
    put_in_order(kernel, "inputs", &mut args.0, &signature.params, |param| &param.field)?;
    put_in_order(kernel, "outputs", &mut outputs.0, &signature.outputs, |field| field)?;

    let mut checked = Inputs::new();
    for (param, (_, arg)) in signature.params.iter().zip(&args.0) {
        checked.push(input(kernel, param, arg)?);
    }
    let mut checked_outputs = Outputs::new();
    for (field, (_, OutputArg { data, ty, .. })) in signature.outputs.iter().zip(&mut outputs.0) {
        let (data, ty) = (std::mem::take(data), *ty);
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
    Ok(Part { start: 0, n, inputs: checked, outputs: checked_outputs, progress: None, watch: Watch::NEVER })
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
fn put_in_order<'a, A, F, const N: usize>(
    kernel: &str,
    what: &'static str,
    given: &mut SmallVec<[(Option<&'a str>, A); N]>,
    fields: &[F],
    field: impl Fn(&F) -> &Field,
) -> Result<()>
where
    [(Option<&'a str>, A); N]: smallvec::Array<Item = (Option<&'a str>, A)>,
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
        return if given.len() == fields.len() { Ok(()) } else { Err(count(given.len())) };
    }

    let mut slots: Vec<Option<A>> = fields.iter().map(|_| None).collect();
    let total = given.len();
    let mut next = 0;
    for (name, value) in given.drain(..) {
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
    for (slot, f) in slots.into_iter().zip(fields) {
        let value = slot.ok_or_else(|| Error::MissingParameter {
            kernel: kernel.to_owned(),
            name: field(f).name.clone(),
            expected: field(f).ty.to_string(),
        })?;
        given.push((None, value));
    }
    Ok(())
}

/// One input against its parameter: kind and type, then the bytes.
fn input<'a>(kernel: &str, param: &Param, arg: &Arg<'a>) -> Result<Input<'a>> {
    let Param { field, takes } = param;
    let wrong = || wrong_type(kernel, field, arg.describe(), field.ty, *takes);
    match arg.0 {
        ArgValue::Index => {
            let takes_index = *takes == Takes::Element && field.ty == u32::TYPE;
            if takes_index { Ok(Input::Index) } else { Err(wrong()) }
        }
        ArgValue::Uniform { bytes, given, ty } => {
            if ty != field.ty || !matches!(takes, Takes::Element | Takes::Uniform) {
                return Err(wrong());
            }
            if given != ty.size() {
                return Err(misaligned(kernel, &field.name, format!("one {ty} of {given} bytes"), ty));
            }
            Ok(Input::Uniform { bytes, ty })
        }
        ArgValue::Resident { .. } => Err(Error::Internal {
            kernel: kernel.to_owned(),
            message: format!("the array of `{}` was not brought to the host", field.name),
        }),
        ArgValue::Array { data, ty } => {
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
    let hint = if takes == Takes::Whole && ty.width == 4 && got.contains("vec3<") {
        format!(
            "in WGSL an array<vec3<{0}>> has rows of 16 bytes: give [{0}; 4] rows, the fourth is not read",
            ty.scalar.name()
        )
    } else if got == "Index" {
        "Index is bound to u32 parameters that take one element".to_owned()
    } else if same_type {
        "the type is right, the kind is not".to_owned()
    } else if ty.width == 1 && got.contains("vec") {
        format!("elements are single numbers, `{}`", ty.scalar.name())
    } else if ty.width == 1 {
        format!("types are never converted: convert first, with `as {}`", ty.scalar.name())
    } else {
        format!("types are never converted: elements are `[{}; {}]`", ty.scalar.name(), ty.width)
    };
    Error::WrongType { kernel: kernel.to_owned(), name: field.name.clone(), got, expected, hint }
}
