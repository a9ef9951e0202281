//! The values of `--in NAME=VALUE`: what the text means, and the data it stands for once the parameter's type is known.
//!
//! No type is guessed from data and no data is converted unless `--cast` asks for it: a number takes the type of its
//! parameter, a file has the type it was saved with.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use forall::{Arg, ElementType, Scalar};

use crate::Failure;
use crate::npy::{Array, Shape};

/// Splits `NAME=REST` at the first `=`. Values may be paths that are not UTF-8; names are.
pub(crate) fn split(text: &OsStr) -> Option<(&str, &OsStr)> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let bytes = text.as_bytes();
        let at = bytes.iter().position(|&byte| byte == b'=')?;
        Some((std::str::from_utf8(&bytes[..at]).ok()?, OsStr::from_bytes(&bytes[at + 1..])))
    }
    #[cfg(not(unix))]
    {
        let (name, rest) = text.to_str()?.split_once('=')?;
        Some((name, rest.as_ref()))
    }
}

/// A VALUE, read but not yet typed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `2`, `0.5`, `1e-3`, `3u`, `inf`, `true`; with commas the components of a vector.
    Number(Vec<Literal>),
    /// An `.npy` file.
    File(PathBuf),
    /// `index`.
    Index,
    /// `uniform:N[:SEED]`.
    Uniform { n: usize, seed: u64 },
    /// `linspace:LO:HI:N`.
    Linspace { lo: f64, hi: f64, n: usize },
}

/// One number as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal {
    /// Without the suffix.
    text: String,
    /// The type of a suffix `f`, `i` or `u`, as in WGSL.
    suffix: Option<Scalar>,
}

impl Value {
    /// Reads a VALUE. `seed` is for a `uniform` that names none.
    pub(crate) fn parse(text: &OsStr, seed: u64) -> Result<Self, String> {
        let Some(utf8) = text.to_str() else {
            return Ok(Self::File(text.into()));
        };
        if utf8 == "index" {
            return Ok(Self::Index);
        }
        let mut words = utf8.split(':');
        match (words.next(), words.collect::<Vec<_>>().as_slice()) {
            (Some("uniform"), [n]) => return Ok(Self::Uniform { n: count(n)?, seed }),
            (Some("uniform"), [n, seed]) => {
                let seed = seed.parse().map_err(|_| format!("seed `{seed}`: expected a whole number"))?;
                return Ok(Self::Uniform { n: count(n)?, seed });
            }
            (Some("linspace"), [lo, hi, n]) => {
                let number = |text: &str| text.parse().map_err(|_| format!("`{text}`: expected a number"));
                return Ok(Self::Linspace { lo: number(lo)?, hi: number(hi)?, n: count(n)? });
            }
            (Some("uniform"), [_, ..]) => return Err("expected uniform:N or uniform:N:SEED".into()),
            (Some("linspace"), [_, ..]) => return Err("expected linspace:LO:HI:N".into()),
            _ => {}
        }
        if let Some(literals) = utf8.split(',').map(Literal::parse).collect::<Option<Vec<_>>>() {
            if literals.len() > 4 {
                return Err(format!("{} numbers, at most 4 make a vector", literals.len()));
            }
            return Ok(Self::Number(literals));
        }
        let path = Path::new(text);
        if path.extension().is_some_and(|extension| extension == "npy") || path.exists() {
            return Ok(Self::File(path.to_owned()));
        }
        Err(format!(
            "`{utf8}` is neither a number, a .npy file, index, uniform:N[:SEED] nor linspace:LO:HI:N"
        ))
    }
}

/// So many numbers, in words.
pub(crate) fn numbers(count: usize) -> String {
    if count == 1 { "1 number".to_owned() } else { format!("{count} numbers") }
}

/// The number of elements: `1000`, `10_000_000`, `1e7`.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    let digits = text.replace('_', "");
    digits
        .parse()
        .ok()
        .or_else(|| {
            let number: f64 = digits.parse().ok()?;
            // Above 2^53 not every whole number is an f64.
            let whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
            whole.then_some(number as usize)
        })
        .ok_or_else(|| format!("`{text}`: expected a number of elements, such as 1000 or 1e7"))
}

impl Literal {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, suffix) = match text.as_bytes().last()? {
            _ if text.ends_with("inf") => (text, None),
            b'u' => (&text[..text.len() - 1], Some(Scalar::U32)),
            b'i' => (&text[..text.len() - 1], Some(Scalar::I32)),
            b'f' if !text.contains("0x") => (&text[..text.len() - 1], Some(Scalar::F32)),
            _ => (text, None),
        };
        let known =
            matches!(number, "true" | "false") || integer(number).is_some() || number.parse::<f64>().is_ok();
        known.then(|| Self { text: number.to_owned(), suffix })
    }

    /// The type the text itself asks for: by its suffix, or f32 when it is not a whole number.
    fn own_type(&self) -> Option<Scalar> {
        let whole = integer(&self.text).is_some() || matches!(&*self.text, "true" | "false");
        self.suffix.or(if whole { None } else { Some(Scalar::F32) })
    }

    /// The number as a value of type `scalar`, or why it is none.
    pub(crate) fn bytes(&self, scalar: Scalar) -> Result<[u8; 4], String> {
        let text = &self.text;
        let wrong = |why: &str| Err(format!("`{text}` {why} {}", scalar.name()));
        if self.suffix.is_some_and(|suffix| suffix != scalar) {
            return wrong("has the suffix of another type than");
        }
        let whole = match text.as_str() {
            "true" => Some(1),
            "false" => Some(0),
            _ => integer(text).or_else(|| {
                let number: f64 = text.parse().ok()?;
                // 1e6 is a whole number too; beyond 2^53 none of these types reaches.
                (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
            }),
        };
        match (scalar, whole) {
            (Scalar::F32, _) if matches!(text.as_str(), "true" | "false") => wrong("is no"),
            (Scalar::F32, _) => {
                let number: f32 = (text.replace('_', "").parse().ok())
                    // Hexadecimal: rounds once, from the exact decimal digits.
                    .or_else(|| integer(text)?.to_string().parse().ok())
                    .ok_or_else(|| format!("`{text}` is no f32"))?;
                if number.is_infinite() && !text.contains("inf") {
                    return wrong("is out of the range of");
                }
                Ok(number.to_ne_bytes())
            }
            (Scalar::I32, Some(whole)) => {
                i32::try_from(whole).map(i32::to_ne_bytes).or_else(|_| wrong("is out of the range of"))
            }
            (Scalar::U32, Some(whole)) => {
                u32::try_from(whole).map(u32::to_ne_bytes).or_else(|_| wrong("is out of the range of"))
            }
            _ => wrong("is no"),
        }
    }
}

/// A whole number, decimal or hexadecimal, underscores allowed.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let digits = text.replace('_', "");
    match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// An input whose file, if it is one, is open.
#[derive(Debug)]
pub(crate) struct Input {
    pub name: String,
    pub value: Value,
    /// The file of a [`Value::File`].
    array: Option<Array>,
}

impl Input {
    pub(crate) fn open(name: String, value: Value) -> Result<Self, Failure> {
        let array = match &value {
            Value::File(path) => Some(Array::open(path)?),
            _ => None,
        };
        Ok(Self { name, value, array })
    }

    /// The type of a parameter made for this input, of a bare expression. `None` is a whole number, which takes the type
    /// of the others.
    pub(crate) fn own_type(&self, cast: bool) -> Result<Option<ElementType>, Failure> {
        let scalar = match (&self.value, &self.array) {
            (Value::Number(literals), _) => {
                let scalar = literals.iter().find_map(Literal::own_type);
                return Ok(scalar.map(|scalar| ElementType { scalar, width: self.width() }));
            }
            (_, Some(array)) if cast => narrow(array.scalar),
            (_, Some(array)) if array.scalar.in_wgsl() => array.scalar,
            (_, Some(array)) => return Err(self.mistyped(array, ElementType::scalar(narrow(array.scalar)))),
            (Value::Index, _) => Scalar::U32,
            _ => Scalar::F32,
        };
        Ok(Some(ElementType::scalar(scalar)))
    }

    /// A file of another type than its parameter's.
    fn mistyped(&self, array: &Array, ty: ElementType) -> Failure {
        let Value::File(path) = &self.value else { unreachable!("arrays are opened for files only") };
        Failure::Run(format!(
            "--in {}: {}: the file holds {}, expected {}; save x.astype(numpy.{}) or pass --cast",
            self.name,
            path.display(),
            array.scalar.name(),
            ty.scalar.name(),
            match ty.scalar {
                Scalar::F32 => "float32",
                Scalar::I32 => "int32",
                _ => "uint32",
            }
        ))
    }

    /// How many numbers a [`Value::Number`] has; 1 for all others.
    pub(crate) fn width(&self) -> u8 {
        match &self.value {
            Value::Number(literals) => literals.len() as u8,
            _ => 1,
        }
    }

    /// The data for a parameter of type `ty`.
    pub(crate) fn bind(&self, ty: ElementType, cast: bool) -> Result<Bound<'_>, Failure> {
        let usage = |message: String| Failure::Usage(format!("--in {}: {message}", self.name));
        match (&self.value, &self.array) {
            (Value::Number(literals), _) => {
                if literals.len() != usize::from(ty.width) {
                    return Err(usage(format!(
                        "{}, expected {} for a {ty}",
                        numbers(literals.len()),
                        ty.width
                    )));
                }
                let parts = literals.iter().map(|literal| literal.bytes(ty.scalar));
                let parts = parts.collect::<Result<Vec<_>, _>>().map_err(usage)?;
                Ok(Bound { ty, data: Data::Uniform(parts.concat()), elements: None })
            }
            (Value::File(_), Some(array)) if array.scalar != ty.scalar && !cast => {
                Err(self.mistyped(array, ty))
            }
            (Value::File(path), Some(array)) => bind_file(array, ty).map_err(|message| {
                Failure::Run(format!("--in {}: {}: {message}", self.name, path.display()))
            }),
            (Value::Index, _) if ty == ElementType::scalar(Scalar::U32) => {
                Ok(Bound { ty, data: Data::Index, elements: None })
            }
            (Value::Index, _) => {
                Err(usage(format!("index is a u32, the parameter is a {ty}; convert inside the body")))
            }
            (Value::Uniform { n, seed }, _) if ty.scalar == Scalar::F32 => {
                let numbers = n.saturating_mul(usize::from(ty.width));
                Ok(Bound::generated(ty, *n, uniform(*seed, numbers).map_err(usage)?))
            }
            (Value::Linspace { lo, hi, n }, _) if ty == ElementType::scalar(Scalar::F32) => {
                Ok(Bound::generated(ty, *n, linspace(*lo, *hi, *n).map_err(usage)?))
            }
            (Value::Uniform { .. }, _) => Err(usage(format!("uniform makes f32, the parameter is a {ty}"))),
            (Value::Linspace { .. } | Value::File(_), _) => {
                Err(usage(format!("linspace makes f32, the parameter is a {ty}")))
            }
        }
    }
}

/// Data of the parameter's type.
#[derive(Debug)]
pub(crate) struct Bound<'a> {
    ty: ElementType,
    data: Data<'a>,
    /// The elements of an array; `None` for a number and for the index.
    pub elements: Option<Elements>,
}

/// How many elements an array has, and in which shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elements {
    pub n: usize,
    /// Without the axis of a vector's components; `None` for made arrays, which take any shape.
    pub shape: Option<Vec<usize>>,
}

#[derive(Debug)]
enum Data<'a> {
    Uniform(Vec<u8>),
    Index,
    Array(Cow<'a, [u8]>),
    Words(Vec<u32>),
}

impl Bound<'_> {
    fn generated(ty: ElementType, n: usize, values: Vec<f32>) -> Self {
        Self {
            ty,
            data: Data::Words(bytemuck::allocation::cast_vec(values)),
            elements: Some(Elements { n, shape: None }),
        }
    }

    pub(crate) const fn is_index(&self) -> bool {
        matches!(self.data, Data::Index)
    }

    /// As the library takes it.
    pub(crate) fn arg(&self) -> Arg<'_> {
        match &self.data {
            Data::Uniform(bytes) => Arg::uniform(bytes, self.ty),
            Data::Index => Arg::index(),
            Data::Array(bytes) => Arg::array(bytes, self.ty),
            Data::Words(words) => Arg::array(bytemuck::cast_slice(words), self.ty),
        }
    }
}

/// The scalar of 32 bits that `--cast` makes of this one.
pub(crate) const fn narrow(scalar: Scalar) -> Scalar {
    match scalar {
        Scalar::F32 | Scalar::F64 => Scalar::F32,
        Scalar::I32 | Scalar::I64 => Scalar::I32,
        Scalar::U32 | Scalar::U64 => Scalar::U32,
    }
}

/// A file for a parameter, converted where the types differ: `--cast` was given.
fn bind_file(array: &Array, ty: ElementType) -> Result<Bound<'_>, String> {
    // A vector parameter takes the last axis.
    let (shape, got_width) = match array.shape().split_last() {
        Some((&last, rest)) if ty.width > 1 => (rest, last),
        _ => (array.shape(), 1),
    };
    if got_width != usize::from(ty.width) {
        return Err(format!(
            "shape {}, expected a last axis of {} for a parameter of type {ty}",
            Shape(array.shape()),
            ty.width
        ));
    }
    let data = if array.scalar == ty.scalar {
        Data::Array(Cow::Borrowed(array.bytes()))
    } else {
        Data::Words(convert(array.scalar, array.bytes(), ty.scalar)?)
    };
    // An array of no axes is a number, as in NumPy.
    if array.shape().is_empty() {
        let bytes = match data {
            Data::Words(words) => bytemuck::cast_slice(&words).to_vec(),
            _ => array.bytes().to_vec(),
        };
        return Ok(Bound { ty, data: Data::Uniform(bytes), elements: None });
    }
    let elements = Elements { n: shape.iter().product(), shape: Some(shape.to_vec()) };
    Ok(Bound { ty, data, elements: Some(elements) })
}

/// Numbers of a file in another 32-bit type: floats are rounded to the nearest, whole numbers must fit.
pub(crate) fn convert(from: Scalar, bytes: &[u8], to: Scalar) -> Result<Vec<u32>, String> {
    macro_rules! from {
        ($from:ty) => {{
            let numbers: &[$from] = bytemuck::cast_slice(bytes);
            if to == Scalar::F32 {
                return Ok(numbers.iter().map(|&x| (x as f32).to_bits()).collect());
            }
            // i128 holds every whole number of these types.
            let fits = |x: i128| match to {
                Scalar::I32 => i32::try_from(x).ok().map(i32::cast_unsigned),
                _ => u32::try_from(x).ok(),
            };
            let misfit = |i, x| format!("--cast: element {i} is {x}, out of the range of {}", to.name());
            let numbers = numbers.iter().enumerate();
            numbers.map(|(i, &x)| fits(x as i128).ok_or_else(|| misfit(i, x))).collect()
        }};
    }
    match from {
        Scalar::F32 | Scalar::F64 if to != Scalar::F32 => {
            Err(format!("--cast does not make {} of {}; round first, with NumPy", to.name(), from.name()))
        }
        Scalar::F32 => from!(f32),
        Scalar::F64 => from!(f64),
        Scalar::I32 => from!(i32),
        Scalar::U32 => from!(u32),
        Scalar::I64 => from!(i64),
        Scalar::U64 => from!(u64),
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the mixing of one 64-bit counter.
pub(crate) const fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `n` numbers in [0, 1), all 2^24 values equally likely. Number i depends on the seed and i only.
pub(crate) fn uniform(seed: u64, n: usize) -> Result<Vec<f32>, String> {
    let start = mix(seed.wrapping_add(1));
    generate(n, |i| (mix(start.wrapping_add(i as u64 + 1)) >> 40) as f32 * 2.0_f32.powi(-24))
}

/// `n` numbers from `lo` to `hi`, both included, as `numpy.linspace`; computed in f64, rounded once.
pub(crate) fn linspace(lo: f64, hi: f64, n: usize) -> Result<Vec<f32>, String> {
    let step = if n > 1 { (hi - lo) / (n - 1) as f64 } else { 0.0 };
    generate(n, |i| if i > 0 && i == n - 1 { hi as f32 } else { (lo + i as f64 * step) as f32 })
}

fn generate(n: usize, number: impl Fn(usize) -> f32) -> Result<Vec<f32>, String> {
    let mut out = Vec::new();
    out.try_reserve_exact(n).map_err(|_| format!("{n} numbers do not fit in memory"))?;
    out.extend((0..n).map(number));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str, scalar: Scalar) -> Result<u32, String> {
        let Value::Number(literals) = Value::parse(text.as_ref(), 0)? else { return Err("no number".into()) };
        literals[0].bytes(scalar).map(u32::from_ne_bytes)
    }

    #[test]
    fn numbers_take_the_type_of_the_parameter() {
        for (text, expected) in [
            ("2", 2.0),
            ("-0", -0.0),
            ("0.1", 0.1_f32),
            ("1e-3", 1e-3),
            ("16777217", 16_777_216.0),
            ("inf", f32::INFINITY),
            ("-inf", f32::NEG_INFINITY),
            ("3f", 3.0),
            ("1_000", 1000.0),
            (".5", 0.5),
            ("0x10", 16.0),
            ("1e-60", 0.0),
        ] {
            assert_eq!(number(text, Scalar::F32), Ok(expected.to_bits()), "{text}");
        }
        assert!(f32::from_bits(number("nan", Scalar::F32).unwrap()).is_nan());
        for (text, expected) in
            [("2", 2), ("7u", 7), ("1e6", 1_000_000), ("0xffffffff", u32::MAX), ("true", 1)]
        {
            assert_eq!(number(text, Scalar::U32), Ok(expected), "{text}");
        }
        assert_eq!(number("-2147483648", Scalar::I32), Ok(0x8000_0000));
        for (text, scalar) in [
            ("2.5", Scalar::I32),
            ("-1", Scalar::U32),
            ("4294967296", Scalar::U32),
            ("nan", Scalar::U32),
            ("inf", Scalar::I32),
            ("1e39", Scalar::F32),
            ("2u", Scalar::F32),
            ("2f", Scalar::U32),
            ("true", Scalar::F32),
            ("1", Scalar::F64),
        ] {
            number(text, scalar).unwrap_err();
        }
    }

    #[test]
    fn values_by_their_form() {
        let parse = |text: &str| Value::parse(text.as_ref(), 9);
        assert_eq!(parse("index"), Ok(Value::Index));
        assert_eq!(parse("uniform:1e3"), Ok(Value::Uniform { n: 1000, seed: 9 }));
        assert_eq!(parse("uniform:0:7"), Ok(Value::Uniform { n: 0, seed: 7 }));
        assert_eq!(parse("linspace:-1:2.5:4"), Ok(Value::Linspace { lo: -1.0, hi: 2.5, n: 4 }));
        assert_eq!(parse("missing.npy"), Ok(Value::File("missing.npy".into())));
        assert!(matches!(parse("1,2.5,3"), Ok(Value::Number(literals)) if literals.len() == 3));
        for bad in [
            "",
            "1,2,3,4,5",
            "1,",
            "uniform",
            "uniform:",
            "uniform:-1",
            "uniform:1.5",
            "uniform:1:2:3",
            "linspace:0:1",
            "u",
            "file",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn uniform_is_in_the_half_open_interval_and_depends_on_the_seed() {
        let x = uniform(0, 100_000).unwrap();
        assert!(x.iter().all(|x| (0.0..1.0).contains(x)));
        // The mean of n numbers has a standard deviation of 1 / sqrt(12 n) = 0.0009; five of them.
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64;
        assert!((mean - 0.5).abs() < 0.0046, "{mean}");
        assert_eq!(x[..10], uniform(0, 10).unwrap());
        // No seed is another one's stream, shifted.
        let y = uniform(1, 100_000).unwrap();
        assert!(!x[..100].iter().any(|x| y[..100].contains(x)));
    }

    #[test]
    fn linspace_ends_exactly() {
        assert_eq!(linspace(0.0, 1.0, 5).unwrap(), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(linspace(0.1, 0.7, 1).unwrap(), [0.1]);
        assert_eq!(linspace(0.0, 1.0, 0).unwrap(), [0.0; 0]);
        assert_eq!(linspace(3.0, 0.1, 1000).unwrap()[999], 0.1);
    }
}
