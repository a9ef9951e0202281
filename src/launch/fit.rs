//! Whether what is bound has the layout of a WGSL type: its numbers, its size, its stride, the length of the whole.
//!
//! Where Rust's type is made of one kind of number it is compared number by number, a struct by its size: where its members are
//! says [`Fields`](crate::kernel::Fields).

use super::bindings::RustType;
use crate::kernel::{Layout, TextureLayout, number_bytes};

/// Why something cannot be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    pub got: String,
    pub expected: String,
    pub hint: String,
}

/// Compares `bytes` bytes of elements of type `ty` with the type of a variable.
///
/// `empty` launches run nothing: for them arrays may be empty too.
pub(super) fn fits(layout: &Layout, ty: &RustType, bytes: usize, empty: bool) -> Result<(), Misfit> {
    type_fits(layout, ty)?;
    if empty && bytes == 0 { Ok(()) } else { length_fits(layout, ty, bytes) }
}

/// What is one after the other in memory: the elements of an array, or one of the type itself.
fn unit(layout: &Layout) -> u32 {
    match layout.elements() {
        Some((0, stride, _)) => stride,
        _ => layout.size,
    }
}

fn type_fits(layout: &Layout, ty: &RustType) -> Result<(), Misfit> {
    // Bytes are anybody's.
    if ty.number == Some("u8") {
        return Ok(());
    }
    let (unit, size) = (unit(layout), ty.size);
    let expected = || match layout.elements() {
        Some((0, stride, _)) => format!("elements of {stride} bytes each for {}", layout.ty),
        _ if layout.is_runtime_sized() => format!("the bytes of {}, which no Rust type has", layout.ty),
        _ => format!("{} bytes for {}", layout.size, layout.ty),
    };
    let misfit = |hint: String| {
        Err(Misfit { got: format!("{} of {size} bytes", ty.name), expected: expected(), hint })
    };
    let packed = layout.is_packed();
    if let Some(given) = ty.number {
        let Some(number) = layout.number() else {
            return misfit(
                "it has several kinds of numbers: give a #[repr(C)] struct, or its bytes".to_owned(),
            );
        };
        let same = given == number || (given, number) == ("u16", "f16");
        if !same {
            return misfit(format!("numbers are never converted: give {number}"));
        }
        // Rows of four numbers are where WGSL has a vector of three.
        // No Rust type has what comes before the elements of a struct that ends in an array: its numbers are counted by hand.
        let open = layout.elements().is_some_and(|(offset, _, count)| offset > 0 && count.is_none());
        if packed
            || open
            || size == unit as usize
            || size == 16 && number_bytes(number) == 4 && unit.is_multiple_of(16)
        {
            return Ok(());
        }
        return misfit(padded_hint(layout, number));
    }
    if size == unit as usize {
        return Ok(());
    }
    // Another crate's numbers and vectors: glam's Vec4 four times for a mat4x4.
    if let Some(number) = layout.number()
        && packed
        && size > 0
        && (size as u32).is_multiple_of(number_bytes(number))
        && unit.is_multiple_of(size as u32)
    {
        return Ok(());
    }
    if layout.is_runtime_sized() && layout.elements().is_some_and(|(offset, _, _)| offset > 0) {
        return misfit("give its bytes, such as bytemuck::cast_slice(…)".to_owned());
    }
    misfit(if size < unit as usize {
        format!("it is {} bytes short: add the padding that WGSL has", unit as usize - size)
    } else {
        format!(
            "it is {} bytes too long: WGSL's members may be other ones, or packed closer",
            size - unit as usize
        )
    })
}

fn padded_hint(layout: &Layout, number: &str) -> String {
    if layout.ty.contains("vec3<") || layout.ty.contains("x3<") {
        format!(
            "in WGSL a vec3 in an array takes 16 bytes: give [{number}; 4] rows, of which the fourth is not used"
        )
    } else {
        "it has padding between its numbers: give a #[repr(C)] struct that has it too".to_owned()
    }
}

fn length_fits(layout: &Layout, ty: &RustType, bytes: usize) -> Result<(), Misfit> {
    let got = || {
        let n = bytes / ty.size.max(1);
        format!("{n} × {} = {bytes} bytes", ty.name)
    };
    if bytes < layout.size as usize {
        let (expected, hint) = if layout.is_runtime_sized() {
            (format!("at least {} bytes, one element of {}", layout.size, layout.ty), "no GPU binds less")
        } else {
            (format!("{} bytes for {}", layout.size, layout.ty), "give all of it")
        };
        return Err(Misfit { got: got(), expected, hint: hint.to_owned() });
    }
    if let Some((offset, stride, None)) = layout.elements() {
        let rest = (bytes - offset as usize) % stride as usize;
        if rest != 0 {
            return Err(Misfit {
                got: got(),
                expected: format!("whole elements of {stride} bytes for {}", layout.ty),
                hint: format!("{rest} bytes are left over at the end"),
            });
        }
    }
    Ok(())
}

/// Compares `bytes` bytes of elements of type `ty`, as a texture of that size, with the texels of a variable.
pub(super) fn texture_fits(
    texture: &TextureLayout,
    ty: &RustType,
    bytes: usize,
    extent: [u32; 3],
    empty: bool,
) -> Result<(), Misfit> {
    let [x, y, z] = extent;
    let (number, texel) = (texture.number, texture.texel_bytes());
    let expected = || format!("texels of {} × {number} for {}", texture.channels, texture.ty);
    let misfit = |got: String, expected: String, hint: String| Err(Misfit { got, expected, hint });
    let same = match ty.number {
        None => texel.is_multiple_of(ty.size.max(1) as u32),
        Some("u8") => true,
        Some(given) => given == number || (given, number) == ("u16", "f16"),
    };
    if !same {
        let hint =
            format!("texels are never converted: give [{}; {}] each", rust_number(number), texture.channels);
        return misfit(format!("{} of {} bytes", ty.name, ty.size), expected(), hint);
    }
    if extent[usize::from(texture.axes)..].iter().any(|&n| n != 1) {
        let expected = format!("a size along {} axes for {}", texture.axes, texture.ty);
        return misfit(format!("{x} × {y} × {z}"), expected, "leave the other axes out".to_owned());
    }
    let texels = extent.iter().map(|&n| u128::from(n)).product::<u128>();
    if texels == 0 && !empty {
        return misfit(
            format!("{x} × {y} × {z}"),
            "at least one texel".to_owned(),
            "no GPU has an empty texture".to_owned(),
        );
    }
    let whole = texels * u128::from(texel);
    if whole != bytes as u128 {
        return misfit(
            format!("{bytes} bytes"),
            format!("{x} × {y} × {z} texels of {texel} bytes = {whole} bytes for {}", texture.ty),
            "rows, and layers, follow each other without gaps".to_owned(),
        );
    }
    Ok(())
}

/// A number as Rust has it.
fn rust_number(number: &str) -> &str {
    if number == "f16" { "u16" } else { number }
}
