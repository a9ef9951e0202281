//! The values of `--bind NAME=VALUE`: what the text means, and the memory it becomes once the variable's WGSL type is known.
//!
//! As for `--in`, no type is guessed and nothing is converted unless `--cast` asks for it.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

use forall::{Binding, BindingKind, Bindings, Content, Kernel, Layout, Place, Scalar, Texture};

use crate::Failure;
use crate::layout;
use crate::npy::{Buffer, Dtype, Number, Saved};
use crate::value::{self, Literal, Value};

/// What the options give, before the shader is known.
#[derive(Debug)]
pub(crate) struct Given {
    /// As the user wrote it.
    place: String,
    at: At,
    what: What,
}

/// Which variable is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Name(String),
    Place(u32, u32),
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    /// `zeros`, `zeros:N`, `zeros:TYPE:N`; of a texture `zeros:X,Y`.
    Zeros { ty: Option<String>, size: Vec<usize> },
    /// `index:N`.
    Index(usize),
    /// As many numbers as there are.
    Numbers(Vec<Literal>),
    /// A file, `uniform:…`, `linspace:…`.
    Value(Value),
}

impl At {
    /// `NAME`, or `G,B`.
    pub(crate) fn parse(text: &str) -> Self {
        let place = text
            .split_once(',')
            .and_then(|(group, binding)| Some((group.trim().parse().ok()?, binding.trim().parse().ok()?)));
        place.map_or_else(|| Self::Name(text.to_owned()), |(group, binding)| Self::Place(group, binding))
    }

    fn is(&self, binding: &Binding) -> bool {
        match self {
            Self::Name(name) => *name == binding.name,
            Self::Place(group, number) => (*group, *number) == (binding.group, binding.binding),
        }
    }

    fn place(&self) -> Place<'_> {
        match self {
            Self::Name(name) => Place::Name(name),
            Self::Place(group, binding) => Place::At(*group, *binding),
        }
    }
}

/// The variable that a text means: its place among them.
pub(crate) fn position(bindings: &[Binding], text: &str) -> Option<usize> {
    let at = At::parse(text);
    bindings.iter().position(|binding| at.is(binding))
}

impl What {
    fn parse(text: &OsStr, seed: u64) -> Result<Self, String> {
        const ZEROS: &str = "expected zeros, zeros:N or zeros:TYPE:N, such as zeros:f32:1000";
        if let Some(utf8) = text.to_str() {
            if let Some(rest) = utf8.strip_prefix("zeros") {
                let (ty, size) = match rest.strip_prefix(':').map(|rest| rest.rsplit_once(':')) {
                    None if rest.is_empty() => return Ok(Self::Zeros { ty: None, size: Vec::new() }),
                    None => return Err(ZEROS.into()),
                    Some(None) => (None, &rest[1..]),
                    Some(Some((ty, size))) => (Some(spelled_out(ty)), size),
                };
                let size = size.split(',').map(value::count).collect::<Result<_, _>>();
                return Ok(Self::Zeros { ty, size: size.map_err(|e| format!("{e}; {ZEROS}"))? });
            }
            if let Some(n) = utf8.strip_prefix("index:") {
                return value::count(n).map(Self::Index);
            }
            if utf8 == "index" {
                return Err("expected index:N".into());
            }
            if let Some(literals) = utf8.split(',').map(Literal::parse).collect::<Option<Vec<_>>>() {
                return Ok(Self::Numbers(literals));
            }
        }
        Value::parse(text, seed).map(Self::Value).map_err(|message| {
            message.replace(
                "neither a number, a .npy file, index,",
                "neither numbers, a .npy file, zeros:N, index:N,",
            )
        })
    }
}

/// The long name of a type: `vec3<f32>` for `vec3f`.
fn spelled_out(ty: &str) -> String {
    let ty = ty.replace(' ', "");
    let inner = ty.strip_prefix("atomic<").and_then(|ty| ty.strip_suffix('>')).unwrap_or(&ty);
    match (inner.get(..4), inner.get(4..)) {
        (Some(vec @ ("vec2" | "vec3" | "vec4")), Some(short @ ("f" | "i" | "u" | "h"))) => {
            format!("{vec}<{short}{}>", if short == "h" { "16" } else { "32" }).replace("h16", "f16")
        }
        _ => inner.to_owned(),
    }
}

/// Reads all `--bind`.
pub(crate) fn parse(options: &[OsString]) -> Result<Vec<Given>, Failure> {
    let mut found: Vec<Given> = Vec::new();
    for (seed, option) in options.iter().enumerate() {
        let usage =
            |message: String| Failure::Usage(format!("--bind {}: {message}", option.to_string_lossy()));
        let (place, what) = value::split(option)
            .ok_or_else(|| usage("expected NAME=VALUE, or GROUP,BINDING=VALUE".into()))?;
        let at = At::parse(place);
        if found.iter().any(|other| other.at == at) {
            return Err(usage(format!("`{place}` already has a value")));
        }
        let what = What::parse(what, seed as u64).map_err(usage)?;
        found.push(Given { place: place.to_owned(), at, what });
    }
    Ok(found)
}

/// The data of one variable, as it lies in memory.
#[derive(Debug)]
pub(crate) struct Data {
    memory: Memory,
    /// The shape of the file it came from.
    pub shape: Option<Vec<usize>>,
    /// The size of a texture.
    pub extent: Option<[u32; 3]>,
}

#[derive(Debug)]
enum Memory {
    Own(Buffer),
    /// Only read, and used where it is.
    File(Saved),
}

impl Data {
    /// Data that no option gave.
    pub(crate) fn made(bytes: &[u8], extent: Option<[u32; 3]>) -> Result<Self, Failure> {
        Ok(Self { extent, ..Self::own(bytes)? })
    }

    fn own(bytes: &[u8]) -> Result<Self, Failure> {
        let mut buffer = Buffer::new(bytes.len())?;
        buffer.bytes_mut().copy_from_slice(bytes);
        Ok(Self { memory: Memory::Own(buffer), shape: None, extent: None })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.memory {
            Memory::Own(buffer) => buffer.bytes(),
            Memory::File(file) => file.bytes(),
        }
    }
}

/// The data of every variable of the shader, in the order of [`Kernel::bindings`]; and the names given that are none of them,
/// which the library judges.
pub(crate) fn resolve<'g>(
    kernel: &Kernel,
    given: &'g [Given],
    cast: bool,
) -> Result<(Vec<Option<Data>>, Vec<Place<'g>>), Failure> {
    let bindings = kernel.bindings();
    let mut data: Vec<Option<Data>> = bindings.iter().map(|_| None).collect();
    let mut others = Vec::new();
    for one in given {
        let Some(at) = bindings.iter().position(|binding| one.at.is(binding)) else {
            others.push(one.at.place());
            continue;
        };
        if data[at].is_some() {
            return Err(Failure::Usage(format!(
                "--bind {}: `{}` already has a value",
                one.place, bindings[at].name
            )));
        }
        data[at] = Some(one.data(&bindings[at], cast)?);
    }
    Ok((data, others))
}

/// Says which variables have no data, if any.
pub(crate) fn complete(
    kernel: &Kernel,
    data: Vec<Option<Data>>,
    others: &[Place<'_>],
) -> Result<Vec<Data>, Failure> {
    let missing: Vec<String> = (kernel.bindings().iter().zip(&data))
        .filter(|(_, data)| data.is_none())
        .map(|(binding, _)| format!("\n  --bind {}={}   for {binding}", binding.name, example(binding)))
        .collect();
    if missing.is_empty() {
        return Ok(data.into_iter().flatten().collect());
    }
    let name = kernel.name();
    let others: Vec<String> =
        others.iter().map(|place| format!("\n{name} uses no variable {place}")).collect();
    Err(Failure::Usage(format!("{name}: variables without data; add{}{}", missing.concat(), others.concat())))
}

/// A VALUE that a variable may have.
fn example(binding: &Binding) -> String {
    let Some(layout) = binding.layout() else {
        return "FILE.npy".into();
    };
    match &binding.kind {
        _ if layout::tail(layout).is_some() && binding.is_writable() => "zeros:N".into(),
        _ if layout::tail(layout).is_some() => "FILE.npy".into(),
        BindingKind::Uniform(_) => {
            let mut numbers = Vec::new();
            layout::runs(layout, 1, 0, &mut |_, number, count| {
                let zero = if matches!(number, Number::F32 | Number::F16) { "0.0" } else { "0" };
                numbers.extend(std::iter::repeat_n(zero, count));
            });
            if numbers.len() > 8 { "FILE.npy".into() } else { numbers.join(",") }
        }
        _ => "zeros".into(),
    }
}

/// All of it as the library takes it: bytes, whose types were checked here.
pub(crate) fn bindings<'a>(kernel: &'a Kernel, data: &'a mut [Data], others: &[Place<'a>]) -> Bindings<'a> {
    let mut all = Bindings::new();
    for (binding, data) in kernel.bindings().iter().zip(data) {
        let place = (binding.group, binding.binding);
        let Data { memory, extent, .. } = data;
        all = match (memory, *extent) {
            (Memory::Own(buffer), None) => all.bind(place, buffer.bytes_mut()),
            (Memory::Own(buffer), Some(size)) => all.bind(place, Texture::new(buffer.bytes_mut(), size)),
            (Memory::File(file), None) => all.bind(place, file.bytes()),
            (Memory::File(file), Some(size)) => all.bind(place, Texture::new(file.bytes(), size)),
        };
    }
    let nothing: &[u8] = &[];
    others.iter().fold(all, |all, &place| all.bind(place, nothing))
}

impl Given {
    fn usage(&self, message: &str) -> Failure {
        Failure::Usage(format!("--bind {}: {message}", self.place))
    }

    fn data(&self, binding: &Binding, cast: bool) -> Result<Data, Failure> {
        match (&self.what, &binding.kind) {
            (What::Value(Value::File(path)), _) => {
                let fail = |message: String| {
                    Failure::Run(format!("--bind {}: {}: {message}", self.place, path.display()))
                };
                let file = Saved::open(path)
                    .map_err(|failure| failure.map(|message| format!("--bind {}: {message}", self.place)))?;
                Self::file(binding, file, cast).map_err(|failure| match failure {
                    Misfit::Message(message) => fail(message),
                    Misfit::Failure(failure) => failure,
                })
            }
            (What::Zeros { ty: None, size }, BindingKind::Texture(texture)) => {
                let axes = usize::from(texture.axes);
                if size.len() != axes {
                    let names = &["X", "Y", "Z"][..axes];
                    return Err(self.usage(&format!(
                        "expected zeros:{}, the size of a {}",
                        names.join(","),
                        texture.ty
                    )));
                }
                let mut extent = [1; 3];
                for (to, &from) in extent.iter_mut().zip(size) {
                    *to = u32::try_from(from).map_err(|_| self.usage("the texture is too large"))?;
                }
                let texels = size.iter().try_fold(texture.texel_bytes() as usize, |n, &x| n.checked_mul(x));
                let texels = texels.ok_or_else(|| self.usage("the texture is too large"))?;
                Ok(Data { memory: Memory::Own(Buffer::new(texels)?), shape: None, extent: Some(extent) })
            }
            (_, BindingKind::Texture(texture)) => {
                Err(self.usage(&format!("a {} takes a FILE.npy or zeros:X,Y", texture.ty)))
            }
            (what, _) => match binding.layout() {
                Some(layout) => self.buffer(what, layout),
                None => Err(self.usage("nothing can be bound to it")),
            },
        }
    }

    /// Made data for a buffer.
    fn buffer(&self, what: &What, layout: &Layout) -> Result<Data, Failure> {
        let tail = layout::tail(layout);
        let element = tail.map_or(layout, |(_, _, element)| element);
        match what {
            What::Zeros { ty, size } => {
                // With a number of elements, the type is that of one, in an array of fixed length too.
                let one = match &element.content {
                    Content::Array { element, .. } if tail.is_none() && !size.is_empty() => element,
                    _ => element,
                };
                if let Some(ty) = ty
                    && *ty != one.ty
                    && spelled_out(ty) != spelled_out(&one.ty)
                {
                    return Err(self.usage(&format!("zeros of {ty}, expected {} for {}", one.ty, layout.ty)));
                }
                let n = match (tail, &size[..]) {
                    (Some(_), [n]) => *n,
                    (Some(_), []) => {
                        return Err(self.usage(&format!("{} has any length: zeros:N", layout.ty)));
                    }
                    (None, []) => 0,
                    (None, [n]) => {
                        let own = layout::plain(layout, 1).and_then(|(_, shape)| shape.first().copied());
                        if own.unwrap_or(1) != *n {
                            let own = own.unwrap_or(1);
                            return Err(
                                self.usage(&format!("{n} elements, expected {own} for {}", layout.ty))
                            );
                        }
                        0
                    }
                    _ => return Err(self.usage("expected zeros:N: it is no texture")),
                };
                let too_large =
                    || Failure::Run(format!("--bind {}: {n} elements do not fit in memory", self.place));
                let bytes = layout::bytes(layout, n).ok_or_else(too_large)?;
                Ok(Data { memory: Memory::Own(Buffer::new(bytes)?), shape: None, extent: None })
            }
            What::Numbers(literals) => self.literals(literals, layout),
            What::Index(n) => {
                let all = u32::try_from(*n).map_err(|_| self.usage("more than u32 can count"))?;
                let numbers: Vec<u32> = (0..all).collect();
                self.generated(Number::U32, &numbers, layout)
            }
            What::Value(Value::Uniform { n, seed }) => {
                let width = layout::plain(element, 1).map_or(1, |(_, shape)| shape.iter().product());
                let numbers = value::uniform(*seed, n.saturating_mul(width));
                self.generated(Number::F32, &numbers.map_err(|e| self.usage(&e))?, layout)
            }
            What::Value(Value::Linspace { lo, hi, n }) => {
                let numbers = value::linspace(*lo, *hi, *n).map_err(|e| self.usage(&e))?;
                self.generated(Number::F32, &numbers, layout)
            }
            What::Value(_) => Err(self.usage("expected numbers, FILE.npy, zeros:N or index:N")),
        }
    }

    /// Made numbers, one after the other.
    fn generated<T: bytemuck::Pod>(
        &self,
        number: Number,
        numbers: &[T],
        layout: &Layout,
    ) -> Result<Data, Failure> {
        match layout::plain(layout, 1) {
            Some((own, _)) if own == number => {}
            _ => {
                return Err(self.usage(&format!("makes {}, the variable is {}", number.name(), layout.ty)));
            }
        }
        let mut rest = bytemuck::cast_slice::<T, u8>(numbers);
        let n = self.count(numbers.len(), layout)?;
        let mut memory = vec![0; layout::bytes(layout, n).unwrap_or(0)];
        layout::runs(layout, n, 0, &mut |start, number, count| {
            let (run, others) = rest.split_at(count * number.size());
            memory[start..start + run.len()].copy_from_slice(run);
            rest = others;
        });
        Data::own(&memory)
    }

    /// Elements of the runtime-sized array that so many numbers fill, all of them.
    fn count(&self, numbers: usize, layout: &Layout) -> Result<usize, Failure> {
        let in_all = |n| {
            let mut all = 0;
            layout::runs(layout, n, 0, &mut |_, _, count| all += count);
            all
        };
        let fixed = in_all(0);
        if layout::tail(layout).is_none() {
            return if numbers == fixed {
                Ok(0)
            } else {
                Err(self.usage(&format!("{}, expected {fixed} for {}", value::numbers(numbers), layout.ty)))
            };
        }
        let each = in_all(1) - fixed;
        if numbers < fixed + each || !(numbers - fixed).is_multiple_of(each) {
            let before = if fixed > 0 { format!("{fixed} and then ") } else { String::new() };
            let expected = if each == 1 { "one or more".to_owned() } else { format!("a multiple of {each}") };
            let numbers = value::numbers(numbers);
            return Err(self.usage(&format!("{numbers}, expected {before}{expected} for {}", layout.ty)));
        }
        Ok((numbers - fixed) / each)
    }

    /// Numbers as written, each of the type it has in memory.
    fn literals(&self, literals: &[Literal], layout: &Layout) -> Result<Data, Failure> {
        let n = self.count(literals.len(), layout)?;
        let mut memory = vec![0; layout::bytes(layout, n).unwrap_or(0)];
        let (mut rest, mut wrong) = (literals.iter(), None);
        layout::runs(layout, n, 0, &mut |start, number, count| {
            for (at, literal) in (0..count).zip(&mut rest) {
                let bytes = match number.scalar() {
                    Some(scalar) => literal.bytes(scalar),
                    None => literal.bytes(Scalar::F32).map(|x| half(f32::from_ne_bytes(x))),
                };
                match bytes {
                    Ok(bytes) => {
                        let start = start + at * number.size();
                        memory[start..start + number.size()].copy_from_slice(&bytes[..number.size()]);
                    }
                    Err(message) => wrong = wrong.take().or(Some(message)),
                }
            }
        });
        match wrong {
            Some(message) => Err(self.usage(&message)),
            None => Data::own(&memory),
        }
    }

    fn file(binding: &Binding, file: Saved, cast: bool) -> Result<Data, Misfit> {
        let shape = Some(file.shape.clone());
        let layout = match &binding.kind {
            BindingKind::Texture(texture) => {
                let Dtype::Number(number) = file.dtype else {
                    return Err("holds records, expected texels".to_owned().into());
                };
                if number.name() != texture.number {
                    let (got, expected) = (number.name(), texture.number);
                    return Err(format!("holds {got}, expected {expected} for {}", texture.ty).into());
                }
                let extent = layout::extent(texture, &file.shape)?;
                let memory = Memory::new(binding, file)?;
                return Ok(Data { memory, shape, extent: Some(extent) });
            }
            _ => binding.layout().ok_or_else(|| "nothing can be bound to it".to_owned())?,
        };
        let words;
        let (_, bytes) = match &file.dtype {
            Dtype::Record(descr) => layout::from_records(layout, &file, descr)?,
            Dtype::Number(number) => {
                let own = layout::plain(layout, 1).and_then(|(own, _)| own.scalar());
                match (number.scalar(), own) {
                    (Some(from), Some(to)) if cast && from != to => {
                        words = value::convert(from, file.bytes(), to)?;
                        layout::from_file(
                            layout,
                            &file,
                            Cow::Borrowed(bytemuck::cast_slice(&words)),
                            to.into(),
                        )?
                    }
                    _ => layout::from_file(layout, &file, Cow::Borrowed(file.bytes()), *number)?,
                }
            }
        };
        if std::ptr::eq(bytes.as_ptr(), file.bytes().as_ptr()) && bytes.len() == file.bytes().len() {
            return Ok(Data { memory: Memory::new(binding, file)?, shape, extent: None });
        }
        Ok(Data { shape, ..Data::own(&bytes)? })
    }
}

impl Memory {
    /// A file whose bytes are those in memory: where it is, if they are only read.
    fn new(binding: &Binding, file: Saved) -> Result<Self, Failure> {
        if !binding.is_writable() {
            return Ok(Self::File(file));
        }
        let mut buffer = Buffer::new(file.bytes().len())?;
        buffer.bytes_mut().copy_from_slice(file.bytes());
        Ok(Self::Own(buffer))
    }
}

/// Why a file's data was not used.
enum Misfit {
    /// What is wrong with the file.
    Message(String),
    Failure(Failure),
}

impl From<String> for Misfit {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl From<Failure> for Misfit {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// An f32 as the nearest f16, ties to even, in the first two of the bytes.
pub(crate) fn half(x: f32) -> [u8; 4] {
    let bits = x.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = f32::from_bits(bits & 0x7fff_ffff);
    let half = if magnitude.is_nan() {
        0x7e00
    } else if magnitude < 2.0_f32.powi(-14) {
        // Subnormal, a multiple of 2^-24: the sum rounds to one, as 1.5 * 2^-1 has its last bit there.
        (magnitude + 0.5).to_bits() - 0.5_f32.to_bits()
    } else {
        // Half of the last place that stays, less one if that place is even; a carry is the next exponent.
        let bits = magnitude.to_bits();
        let rounded = bits.saturating_add(0x0fff + ((bits >> 13) & 1));
        ((rounded >> 13).saturating_sub((127 - 15) << 10)).min(0x7c00)
    };
    let [a, b] = ((sign | half) as u16).to_ne_bytes();
    [a, b, 0, 0]
}

/// An f16 as an f32, exactly.
pub(crate) fn from_half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2.0_f32.powi(exponent - 15),
    };
    sign * magnitude
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_to_nearest_even() {
        for bits in (0..=0x7c00_u16).chain(0x8000..=0xfc00) {
            let [a, b, ..] = half(from_half(bits));
            assert_eq!(u16::from_ne_bytes([a, b]), bits);
        }
        let rounded = |x: f32| {
            let [a, b, ..] = half(x);
            from_half(u16::from_ne_bytes([a, b]))
        };
        // Between 1 and its neighbour 1 + 2^-10; the half-way points go to even.
        assert_eq!(rounded(1.0 + 2.0_f32.powi(-11)), 1.0);
        assert_eq!(rounded(1.0 + 3.0 * 2.0_f32.powi(-11)), 1.0 + 2.0_f32.powi(-9));
        assert_eq!(
            (rounded(65519.0), rounded(65520.0), rounded(1e9)),
            (65504.0, f32::INFINITY, f32::INFINITY)
        );
        assert_eq!((rounded(2.0_f32.powi(-25)), rounded(2.0_f32.powi(-25) * 1.01)), (0.0, 2.0_f32.powi(-24)));
        assert!(rounded(f32::NAN).is_nan() && rounded(f32::NEG_INFINITY) == f32::NEG_INFINITY);
    }

    #[test]
    fn places_and_values_by_their_form() {
        assert_eq!(At::parse("0,2"), At::Place(0, 2));
        assert_eq!(At::parse("x"), At::Name("x".into()));
        let parse = |text: &str| What::parse(text.as_ref(), 0);
        assert_eq!(parse("zeros"), Ok(What::Zeros { ty: None, size: vec![] }));
        assert_eq!(parse("zeros:1e3"), Ok(What::Zeros { ty: None, size: vec![1000] }));
        assert_eq!(parse("zeros:vec3f:7"), Ok(What::Zeros { ty: Some("vec3<f32>".into()), size: vec![7] }));
        assert_eq!(parse("zeros:vec2h:7"), Ok(What::Zeros { ty: Some("vec2<f16>".into()), size: vec![7] }));
        assert_eq!(parse("zeros:640,480"), Ok(What::Zeros { ty: None, size: vec![640, 480] }));
        assert_eq!(parse("index:9"), Ok(What::Index(9)));
        assert!(matches!(parse("1,2,3,4,5,6"), Ok(What::Numbers(numbers)) if numbers.len() == 6));
        assert!(matches!(parse("x.npy"), Ok(What::Value(Value::File(_)))));
        for bad in [
            "",
            "zeros:",
            "zero:5",
            "zeros5",
            "zeros:f32:",
            "zeros:f32:-1",
            "index",
            "index:",
            "what",
            "1,,2",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
