//! WGSL types in memory against NumPy's arrays: one number after the other here, with WGSL's strides and padding there.
//!
//! A type of one kind of number is a plain array: `array<vec3<f32>>` of n elements has the shape (n, 3), and the fourth number
//! of every row is not in the file. A type with a struct in it is a structured array, with the padding, byte for byte; but a struct
//! of one member, as many programs have around an array, is that member. A struct of one kind of number without gaps takes a plain
//! array too.

use std::borrow::Cow;
use std::fmt::Write;

use forall::{Content, Layout, TextureLayout};

use crate::npy::{Dtype, Number, Saved, Shape};

/// The runtime-sized array that a type is, or that its struct ends in: where it starts, its stride, its element.
pub(crate) fn tail(layout: &Layout) -> Option<(usize, usize, &Layout)> {
    match &layout.content {
        Content::Array { element, stride, count: None } => Some((0, *stride as usize, element)),
        Content::Struct(members) => {
            let last = members.last()?;
            let (start, stride, element) = tail(&last.layout)?;
            Some((last.offset as usize + start, stride, element))
        }
        _ => None,
    }
}

/// Bytes of the type with `n` elements in its runtime-sized array, if it has one; `None` where no memory has as many.
pub(crate) fn bytes(layout: &Layout, n: usize) -> Option<usize> {
    match tail(layout) {
        Some((start, stride, _)) => n.checked_mul(stride)?.checked_add(start),
        None => Some(layout.size as usize),
    }
}

/// The elements of the runtime-sized array in so many bytes.
pub(crate) fn elements(layout: &Layout, bytes: usize) -> usize {
    tail(layout).map_or(0, |(start, stride, _)| bytes.saturating_sub(start) / stride.max(1))
}

fn number(name: &str) -> Number {
    // The library names no other ones.
    Number::named(name).unwrap_or(Number::U32)
}

/// The kind of number and the shape of a type of `n` elements that is made of one kind of number; `None` with a struct of several
/// members in it.
pub(crate) fn plain(layout: &Layout, n: usize) -> Option<(Number, Vec<usize>)> {
    match &layout.content {
        Content::Numbers { number: name, count } => {
            Some((number(name), if *count > 1 { vec![*count as usize] } else { Vec::new() }))
        }
        Content::Array { element, count, .. } => {
            let (number, mut shape) = plain(element, n)?;
            shape.insert(0, count.map_or(n, |count| count as usize));
            Some((number, shape))
        }
        Content::Struct(members) => match &members[..] {
            [member] => plain(&member.layout, n),
            _ => None,
        },
        _ => None,
    }
}

/// The number of a type that is nothing but numbers of one kind, one after the other.
fn packed(layout: &Layout) -> Option<Number> {
    match &layout.content {
        Content::Numbers { number: name, count } => {
            Some(number(name)).filter(|number| number.size() * *count as usize == layout.size as usize)
        }
        Content::Array { element, stride, .. } if *stride == element.size => packed(element),
        Content::Struct(members) => {
            let mut kinds = members.iter().map(|member| packed(&member.layout));
            let first = kinds.next()??;
            // No gap between the members, and none behind the last.
            let end = |layout: &Layout| bytes(layout, 0).unwrap_or(0);
            let ends = members.iter().map(|member| member.offset as usize + end(&member.layout));
            let starts = members.iter().skip(1).map(|member| member.offset as usize);
            (kinds.all(|kind| kind == Some(first)) && ends.eq(starts.chain([end(layout)]))).then_some(first)
        }
        _ => None,
    }
}

/// Whether the numbers of a type are as they are in a file.
pub(crate) fn is_packed(layout: &Layout) -> bool {
    packed(layout).is_some()
}

/// Calls `run(start, number, count)` for all numbers of a type of `n` elements that starts at `at`, in order, as many at once as
/// have no gap between them.
pub(crate) fn runs(layout: &Layout, n: usize, at: usize, run: &mut impl FnMut(usize, Number, usize)) {
    match &layout.content {
        Content::Numbers { number: name, count } => run(at, number(name), *count as usize),
        Content::Array { element, stride, count } => {
            let count = count.map_or(n, |count| count as usize);
            if let Some(number) = packed(layout) {
                return run(at, number, count * *stride as usize / number.size());
            }
            for i in 0..count {
                runs(element, n, at + i * *stride as usize, run);
            }
        }
        Content::Struct(members) => {
            for member in members {
                runs(&member.layout, n, at + member.offset as usize, run);
            }
        }
        _ => {}
    }
}

/// The description of a struct as NumPy writes it: padding is a nameless void.
fn record(layout: &Layout, n: usize) -> String {
    let mut text = String::from("[");
    let mut end = 0;
    let pad = |text: &mut String, bytes: usize| {
        if bytes > 0 {
            let _ = write!(text, "('', '|V{bytes}'), ");
        }
    };
    if let Content::Struct(members) = &layout.content {
        for member in members {
            let start = member.offset as usize;
            pad(&mut text, start - end);
            let (dtype, shape) = field(&member.layout, n);
            let _ = write!(text, "('{}', {dtype}", member.name);
            if !shape.is_empty() {
                let _ = write!(text, ", {}", Shape(&shape));
            }
            text.push_str("), ");
            end = start + bytes(&member.layout, n).unwrap_or(0);
        }
    } else {
        // An element of an array whose stride is longer: `end` is its own end.
        let (dtype, shape) = field(layout, n);
        let _ = write!(text, "('value', {dtype}, {}), ", Shape(&shape));
        end = layout.size as usize;
    }
    // A struct that ends in a runtime-sized array has no size of its own.
    if tail(layout).is_none() {
        pad(&mut text, (layout.size as usize).saturating_sub(end));
    }
    text.truncate(text.trim_end_matches(", ").len());
    text + "]"
}

/// A type and its shape in such a description: of a member, or of a whole structured array.
fn field(layout: &Layout, n: usize) -> (String, Vec<usize>) {
    match &layout.content {
        Content::Numbers { number: name, count } => {
            let shape = if *count > 1 { vec![*count as usize] } else { Vec::new() };
            (format!("'{}'", number(name).descr()), shape)
        }
        Content::Array { element, stride, count } => {
            let count = count.map_or(n, |count| count as usize);
            let (dtype, mut shape) = if *stride == element.size {
                field(element, n)
            } else {
                (strided(element, *stride as usize, n), Vec::new())
            };
            shape.insert(0, count);
            (dtype, shape)
        }
        _ => (record(layout, n), Vec::new()),
    }
}

/// An element with the padding up to the next one, as a record of its own.
fn strided(element: &Layout, stride: usize, n: usize) -> String {
    let (dtype, shape) = field(element, n);
    let shape = if shape.is_empty() { String::new() } else { format!(", {}", Shape(&shape)) };
    format!("[('value', {dtype}{shape}), ('', '|V{}')]", stride - element.size as usize)
}

/// The array of a file in a type's memory: how many elements its runtime-sized array has, and the bytes.
pub(crate) fn from_file<'a>(
    layout: &Layout,
    file: &'a Saved,
    data: Cow<'a, [u8]>,
    found: Number,
) -> Result<(usize, Cow<'a, [u8]>), String> {
    let numbers = data.len() / found.size();
    let Some((number, _)) = plain(layout, 1) else {
        return match found {
            // Whoever gives bytes knows what they are; the library says whether they are all of it.
            _ if found == Number::U8 || packed(layout) == Some(found) => {
                Ok((elements(layout, data.len()), data))
            }
            _ => Err(format!(
                "holds {}, expected a structured array of dtype {}, or its bytes as numpy.uint8",
                found.name(),
                field(layout, 1).0
            )),
        };
    };
    if found == Number::U8 && number != Number::U8 {
        return Ok((elements(layout, data.len()), data));
    }
    if found != number {
        return Err(format!(
            "holds {}, expected {} for {}; save x.astype(numpy.{}) or pass --cast",
            found.name(),
            number.name(),
            layout.ty,
            number.numpy()
        ));
    }
    let (of_element, what) = match tail(layout) {
        Some((_, _, element)) => (plain(element, 1), element),
        None => (plain(layout, 1), layout),
    };
    let (_, shape) = of_element.unwrap_or((number, Vec::new()));
    let each = shape.iter().product::<usize>().max(1);
    let fits = if tail(layout).is_some() { file.shape.ends_with(&shape) } else { numbers == each };
    if !fits {
        let axes = if tail(layout).is_some() { "a shape that ends in" } else { "the shape" };
        return Err(format!(
            "has the shape {}, expected {axes} {} for {}",
            Shape(&file.shape),
            Shape(&shape),
            what.ty
        ));
    }
    let n = if tail(layout).is_some() { numbers / each } else { 0 };
    if is_packed(layout) {
        return Ok((n, data));
    }
    let mut memory = vec![0; bytes(layout, n).unwrap_or(0)];
    let mut rest = &data[..];
    runs(layout, n, 0, &mut |start, number, count| {
        let (run, others) = rest.split_at(count * number.size());
        memory[start..start + run.len()].copy_from_slice(run);
        rest = others;
    });
    Ok((n, memory.into()))
}

/// The records of a file in a type's memory.
pub(crate) fn from_records<'a>(
    layout: &Layout,
    file: &'a Saved,
    descr: &str,
) -> Result<(usize, Cow<'a, [u8]>), String> {
    let data = file.bytes();
    let n = elements(layout, data.len());
    let (expected, shape) = field(layout, n);
    let words = |text: &str| text.replace(char::is_whitespace, "").replace('"', "'").replace(",]", "]");
    if words(descr) != words(&expected) {
        return Err(format!("holds records of {descr}, expected {expected} for {}", layout.ty));
    }
    let records = shape.iter().product::<usize>();
    let whole = bytes(layout, n).unwrap_or(0);
    if file.shape.iter().product::<usize>() != records || data.len() < whole {
        return Err(format!(
            "has the shape {} and {} bytes, expected {} and {whole} bytes for {}",
            Shape(&file.shape),
            data.len(),
            Shape(&shape),
            layout.ty
        ));
    }
    Ok((n, Cow::Borrowed(&data[..whole])))
}

/// The array that a file gets: its type, its shape, its bytes. `shape` is that of the file the data came from.
pub(crate) fn to_file<'a>(
    layout: &Layout,
    memory: &'a [u8],
    shape: Option<&[usize]>,
) -> (Dtype, Vec<usize>, Cow<'a, [u8]>) {
    let n = elements(layout, memory.len());
    let Some((number, own)) = plain(layout, n) else {
        let (descr, shape) = field(layout, n);
        return (Dtype::Record(descr), shape, Cow::Borrowed(memory));
    };
    let same = |shape: &&[usize]| shape.iter().product::<usize>() == own.iter().product::<usize>();
    let shape = shape.filter(same).map_or(own.clone(), <[usize]>::to_vec);
    if is_packed(layout) {
        return (Dtype::Number(number), shape, Cow::Borrowed(memory));
    }
    let mut data = Vec::new();
    runs(layout, n, 0, &mut |start, number, count| {
        data.extend(&memory[start..start + count * number.size()]);
    });
    (Dtype::Number(number), shape, data.into())
}

/// The numbers of one member of a type, of all elements: what a summary is made of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// `state.tiles.low`.
    pub name: String,
    pub number: Number,
    /// Numbers of a vector.
    pub width: usize,
    pub bytes: Vec<u8>,
}

/// The members of a type, each one's numbers gathered.
pub(crate) fn fields(layout: &Layout, name: &str, memory: &[u8]) -> Vec<Field> {
    let mut found = Vec::new();
    gather(layout, elements(layout, memory.len()), 0, name, memory, &mut found);
    found
}

fn gather(layout: &Layout, n: usize, at: usize, name: &str, memory: &[u8], found: &mut Vec<Field>) {
    match &layout.content {
        Content::Struct(members) => {
            for member in members {
                let name = format!("{name}.{}", member.name);
                gather(&member.layout, n, at + member.offset as usize, &name, memory, found);
            }
        }
        Content::Array { element, stride, count } if plain(layout, 1).is_none() => {
            for i in 0..count.map_or(n, |count| count as usize) {
                gather(element, n, at + i * *stride as usize, name, memory, found);
            }
        }
        _ => {
            let width = width(layout);
            runs(layout, n, at, &mut |start, number, count| {
                let bytes = &memory[start..start + count * number.size()];
                match found.iter_mut().rev().find(|field| field.name == name) {
                    Some(field) => field.bytes.extend(bytes),
                    None => {
                        found.push(Field { name: name.to_owned(), number, width, bytes: bytes.to_vec() });
                    }
                }
            });
        }
    }
}

/// Numbers of the vectors that a plain type consists of.
pub(crate) fn width(layout: &Layout) -> usize {
    match &layout.content {
        Content::Numbers { count, .. } => *count as usize,
        Content::Array { element, .. } => width(element),
        Content::Struct(members) => members.first().map_or(1, |member| width(&member.layout)),
        _ => 1,
    }
}

/// The size of a texture along x, y, and z or layers, of a file of that shape: rows first, as images are saved.
pub(crate) fn extent(texture: &TextureLayout, shape: &[usize]) -> Result<[u32; 3], String> {
    let axes = usize::from(texture.axes);
    let channels = usize::from(texture.channels);
    let texels = match shape.split_last() {
        Some((&last, rest)) if rest.len() == axes && last == channels => rest,
        _ if shape.len() == axes && channels == 1 => shape,
        _ => {
            let names = &["layers or depth", "height", "width"][3 - axes..];
            let last = if channels > 1 { format!(", {channels}") } else { String::new() };
            return Err(format!(
                "has the shape {}, expected ({}{last}) for {}",
                Shape(shape),
                names.join(", "),
                texture.ty
            ));
        }
    };
    let mut extent = [1; 3];
    for (to, &from) in extent.iter_mut().zip(texels.iter().rev()) {
        *to = u32::try_from(from).map_err(|_| format!("has the shape {}, too large", Shape(shape)))?;
    }
    Ok(extent)
}

/// The shape of the file of a texture of that size.
pub(crate) fn texture_shape(texture: &TextureLayout, extent: [u32; 3]) -> Vec<usize> {
    let texels = extent[..usize::from(texture.axes)].iter().rev().map(|&n| n as usize);
    texels.chain((texture.channels > 1).then_some(texture.channels.into())).collect()
}
