//! NumPy's `.npy` files: input arrays mapped into memory, output arrays written beside their final name and renamed.
//!
//! Only plain arrays of the six scalar types, native byte order, C order: what a loop reads in place, with no copy. Anything
//! else is refused with the NumPy call that converts it. Source: the format's specification, NEP 1.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use forall::{ElementType, Scalar};
use memmap2::{Mmap, MmapMut};

use crate::Failure;

/// Dimensions NumPy itself allows (`NPY_MAXDIMS` of NumPy 2).
const MAX_DIMS: usize = 64;

/// An array read from a file.
#[derive(Debug)]
pub(crate) struct Array {
    pub scalar: Scalar,
    pub shape: Vec<usize>,
    bytes: Bytes,
}

/// Where an input's bytes are: mapped, or copied when they cannot be used where they are.
#[derive(Debug)]
enum Bytes {
    Mapped { file: Mmap, start: usize, len: usize },
    Copied { words: Vec<u64>, len: usize },
}

impl Array {
    /// Maps a `.npy` file. Nothing is read but the header; a pipe, which cannot be mapped, is read to its end.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let fail = |what: &dyn fmt::Display| Failure::Run(format!("{}: {what}", path.display()));
        let mut file = File::open(path).map_err(|e| fail(&e))?;
        if !file.metadata().map_err(|e| fail(&e))?.is_file() {
            let mut all = Vec::new();
            file.read_to_end(&mut all).map_err(|e| fail(&e))?;
            let header = Header::parse(&all).map_err(|e| fail(&e))?;
            let bytes = Bytes::copied(&all[header.start..][..header.len]);
            return Ok(header.array(bytes));
        }
        // SAFETY: the mapping is read-only and private to this process. Another process that writes to the file meanwhile
        // changes input values, any of which are valid elements; one that shortens it stops this command with SIGBUS, which
        // the command's help says. Nothing of this command writes to an existing file: outputs are new files, renamed.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| fail(&e))?;
        let header = Header::parse(&map).map_err(|e| fail(&e))?;
        // Maps start on a page, and NumPy aligns data to 16 or 64 bytes; other writers may not.
        let bytes = if header.start.is_multiple_of(align_of::<u64>()) {
            Bytes::Mapped { file: map, start: header.start, len: header.len }
        } else {
            Bytes::copied(&map[header.start..][..header.len])
        };
        Ok(header.array(bytes))
    }

    /// The elements, packed, aligned for the scalar.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped { file, start, len } => &file[*start..][..*len],
            Bytes::Copied { words, len } => &bytemuck::cast_slice(words)[..*len],
        }
    }
}

impl Bytes {
    fn copied(bytes: &[u8]) -> Self {
        let mut words = vec![0_u64; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self::Copied { words, len: bytes.len() }
    }
}

/// The byte order NumPy's type strings give this machine's numbers.
const NATIVE: char = if cfg!(target_endian = "little") { '<' } else { '>' };

/// The type string without its byte order.
fn code(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::F32 => "f4",
        Scalar::I32 => "i4",
        Scalar::U32 => "u4",
        Scalar::F64 => "f8",
        Scalar::I64 => "i8",
        Scalar::U64 => "u8",
    }
}

const SCALARS: [Scalar; 6] = [Scalar::F32, Scalar::I32, Scalar::U32, Scalar::F64, Scalar::I64, Scalar::U64];

/// What stands before the data.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    scalar: Scalar,
    shape: Vec<usize>,
    /// Where the data starts, and its length in bytes; within the file.
    start: usize,
    len: usize,
}

impl Header {
    fn array(self, bytes: Bytes) -> Array {
        Array { scalar: self.scalar, shape: self.shape, bytes }
    }

    /// Reads the header of a whole file and checks the data against it.
    fn parse(file: &[u8]) -> Result<Self, String> {
        let rest =
            file.strip_prefix(b"\x93NUMPY").ok_or("not a .npy file (its first bytes are not \\x93NUMPY)")?;
        let cut = "truncated: the file ends inside its header";
        let (&[major, minor], rest) = rest.split_first_chunk().ok_or(cut)?;
        let (text_len, rest) = match major {
            1 => rest.split_first_chunk().map(|(len, rest)| (usize::from(u16::from_le_bytes(*len)), rest)),
            2 | 3 => rest.split_first_chunk().map(|(len, rest)| (u32::from_le_bytes(*len) as usize, rest)),
            _ => return Err(format!("version {major}.{minor} of the .npy format, expected 1, 2 or 3")),
        }
        .ok_or(cut)?;
        let text = rest.get(..text_len).ok_or(cut)?;
        let start = file.len() - rest.len() + text_len;

        let text = std::str::from_utf8(text).map_err(|_| "the header is not UTF-8")?;
        let Dict { descr, fortran, shape } =
            Dict::parse(text).ok_or_else(|| format!("cannot read the header {:?}", text.trim_end()))?;
        if shape.len() > MAX_DIMS {
            return Err(format!("{} dimensions, at most {MAX_DIMS} are possible", shape.len()));
        }
        let scalar = scalar(&descr)?;
        if fortran && shape.iter().filter(|&&axis| axis != 1).count() > 1 {
            return Err(
                "the array is in Fortran order, expected C order; save numpy.ascontiguousarray(x)".into()
            );
        }
        let len = shape
            .iter()
            .try_fold(scalar.size(), |len, &axis| len.checked_mul(axis))
            .ok_or_else(|| format!("shape {} does not fit in memory", Shape(&shape)))?;
        let got = file.len() - start;
        if got < len {
            return Err(format!(
                "truncated: {got} bytes of data, expected {len} for shape {} of {}",
                Shape(&shape),
                scalar.name()
            ));
        }
        Ok(Self { scalar, shape, start, len })
    }
}

/// The scalar of a type string, or why it is none.
fn scalar(descr: &str) -> Result<Scalar, String> {
    let (order, kind) = descr.split_at_checked(1).unwrap_or(("", descr));
    if let Some(scalar) = SCALARS.into_iter().find(|scalar| code(*scalar) == kind) {
        return match order {
            "=" => Ok(scalar),
            _ if order.starts_with(NATIVE) => Ok(scalar),
            _ => Err(format!(
                "dtype '{descr}' has the bytes of another machine, expected '{NATIVE}{kind}'; save x.astype('{NATIVE}{kind}')"
            )),
        };
    }
    let known = SCALARS.map(|scalar| format!("'{NATIVE}{}'", code(scalar))).join(" ");
    Err(format!("dtype {descr:?} is not supported, expected one of {known}; save x.astype('{NATIVE}f4')"))
}

/// The header's Python dictionary.
struct Dict {
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
}

impl Dict {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, keys in any order. A structured type, a Python
    /// list, becomes its text, which no scalar has.
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.trim_start();
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        while !rest.starts_with('}') {
            let key;
            (key, rest) = quoted(rest)?;
            rest = rest.trim_start().strip_prefix(':')?.trim_start();
            let end = match key {
                "descr" if rest.starts_with(['\'', '"']) => {
                    let (value, after) = quoted(rest)?;
                    descr = Some(value.to_owned());
                    rest.len() - after.len()
                }
                "descr" => {
                    let end = rest.rfind(']')? + 1;
                    descr = Some(rest[..end].to_owned());
                    end
                }
                "fortran_order" if rest.starts_with("True") => {
                    fortran = Some(true);
                    4
                }
                "fortran_order" if rest.starts_with("False") => {
                    fortran = Some(false);
                    5
                }
                "shape" => {
                    let end = rest.find(')')?;
                    let axes = rest[..end].strip_prefix('(')?.trim();
                    // Python 2 wrote long integers with an L.
                    let axis = |axis: &str| axis.trim().trim_end_matches('L').parse().ok();
                    shape = match axes.strip_suffix(',').unwrap_or(axes) {
                        "" if axes.is_empty() => Some(Vec::new()),
                        axes => Some(axes.split(',').map(axis).collect::<Option<_>>()?),
                    };
                    end + 1
                }
                _ => return None,
            };
            rest = rest[end..].trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        Some(Self { descr: descr?, fortran: fortran?, shape: shape? })
    }
}

/// A Python string without escapes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// A shape as Python writes it: `()`, `(3,)`, `(3, 4)`.
pub(crate) struct Shape<'a>(pub &'a [usize]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [one] => write!(f, "({one},)"),
            axes => {
                let axes: Vec<_> = axes.iter().map(ToString::to_string).collect();
                write!(f, "({})", axes.join(", "))
            }
        }
    }
}

/// The header of a file of that type and shape, padded so that the data starts on a multiple of 64 bytes.
fn header(ty: ElementType, shape: &[usize]) -> Vec<u8> {
    let mut shape = shape.to_vec();
    if ty.width > 1 {
        shape.push(usize::from(ty.width));
    }
    let dict = format!(
        "{{'descr': '{NATIVE}{}', 'fortran_order': False, 'shape': {}, }}",
        code(ty.scalar),
        Shape(&shape)
    );
    let before = b"\x93NUMPY\x01\x00..".len();
    let padded = (before + dict.len() + 1).next_multiple_of(64) - before;
    let mut out = Vec::from(b"\x93NUMPY\x01\x00");
    let text_len = u16::try_from(padded).expect("at most 65 axes of 20 digits");
    out.extend(text_len.to_le_bytes());
    out.extend(format!("{dict:<width$}\n", width = padded - 1).bytes());
    out
}

/// Memory for one output array: zeroed, in huge pages where the system has them, which makes filling it the first time
/// several times cheaper.
#[derive(Debug)]
pub(crate) struct Buffer(Option<MmapMut>);

impl Buffer {
    pub(crate) fn new(len: usize) -> Result<Self, Failure> {
        // An empty mapping is an error, an empty output is not.
        if len == 0 {
            return Ok(Self(None));
        }
        let map = MmapMut::map_anon(len)
            .map_err(|e| Failure::Run(format!("cannot allocate {len} bytes for an output: {e}")))?;
        // Only advice: where it is refused, small pages serve.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self(Some(map)))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // Aligned even when empty, as slices of numbers are.
        self.0.as_deref().unwrap_or(bytemuck::cast_slice::<u64, u8>(&[]))
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or(bytemuck::cast_slice_mut::<u64, u8>(&mut []))
    }
}

/// A file to be written: nothing, or the whole array, ever stands under its name.
#[derive(Debug)]
pub(crate) struct Target {
    /// As the user wrote it.
    pub shown: PathBuf,
    /// Where links lead.
    path: PathBuf,
    /// Written in place: a device or a pipe cannot be replaced by a renamed file.
    special: bool,
}

impl Target {
    /// Checks that a file can be made there, so that a long loop does not run for nothing.
    pub(crate) fn new(shown: &Path) -> Result<Self, Failure> {
        let path = fs::canonicalize(shown).unwrap_or_else(|_| shown.to_owned());
        let special = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(Failure::Usage(format!(
                    "--out {}: is a directory, expected a file",
                    shown.display()
                )));
            }
            Ok(metadata) => !metadata.is_file(),
            Err(_) => false,
        };
        let target = Self { shown: shown.to_owned(), path, special };
        if !special {
            let (temporary, _) = target.create().map_err(|e| target.fail(&e))?;
            drop(temporary);
        }
        Ok(target)
    }

    /// Writes the array under a temporary name and, once it is complete, renames it.
    pub(crate) fn write(&self, ty: ElementType, shape: &[usize], data: &[u8]) -> Result<(), Failure> {
        let write = |file: &mut File| {
            file.write_all(&header(ty, shape))?;
            file.write_all(data)
        };
        let run = || {
            if self.special {
                return write(&mut File::options().write(true).open(&self.path)?);
            }
            let (temporary, mut file) = self.create()?;
            write(&mut file)?;
            if let Ok(old) = fs::metadata(&self.path) {
                file.set_permissions(old.permissions())?;
            }
            drop(file);
            temporary.rename(&self.path)
        };
        run().map_err(|e| self.fail(&e))
    }

    /// A new file beside the target: a rename is atomic only within one file system.
    fn create(&self) -> io::Result<(Temporary, File)> {
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        name.push(format!(".{}.tmp", std::process::id()));
        let path = self.path.with_file_name(name);
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok((Temporary(path), file))
    }

    fn fail(&self, error: &io::Error) -> Failure {
        Failure::Run(format!("{}: cannot write: {error}", self.shown.display()))
    }
}

/// A file that is removed unless it is renamed.
struct Temporary(PathBuf);

impl Temporary {
    fn rename(self, to: &Path) -> io::Result<()> {
        fs::rename(&self.0, to)
        // Dropping then finds nothing to remove.
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nothing more can be done about a file that cannot be removed; the error that led here is the one to report.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, data: usize) -> Vec<u8> {
        let mut out = Vec::from(b"\x93NUMPY\x01\x00");
        out.extend((text.len() as u16).to_le_bytes());
        out.extend(text.bytes());
        out.extend(std::iter::repeat_n(0, data));
        out
    }

    fn parse(text: &str, data: usize) -> Result<(Scalar, Vec<usize>), String> {
        Header::parse(&file(text, data)).map(|header| (header.scalar, header.shape))
    }

    #[test]
    fn what_is_written_reads_back() {
        for scalar in SCALARS {
            for width in 1..=4 {
                for shape in
                    [vec![], vec![0], vec![1], vec![7], vec![2, 3], vec![1; 20], vec![usize::MAX >> 8, 0]]
                {
                    let ty = ElementType { scalar, width };
                    let mut bytes = header(ty, &shape);
                    assert_eq!(bytes.len() % 64, 0, "data aligned");
                    assert_eq!(bytes.last(), Some(&b'\n'));
                    let start = bytes.len();
                    let len = shape.iter().product::<usize>() * ty.size();
                    bytes.resize(start + len, 0);
                    let mut shape = shape;
                    if width > 1 {
                        shape.push(usize::from(width));
                    }
                    assert_eq!(Header::parse(&bytes), Ok(Header { scalar, shape, start, len }));
                }
            }
        }
    }

    #[test]
    fn headers_of_other_writers() {
        assert_eq!(
            parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }  \n", 12),
            Ok((Scalar::F32, vec![3]))
        );
        assert_eq!(
            parse("{\"shape\":(2,3L),\"fortran_order\":False,\"descr\":\"=u8\"}", 48),
            Ok((Scalar::U64, vec![2, 3]))
        );
        // One axis longer than 1 has both orders.
        assert_eq!(
            parse("{'descr':'<i4','fortran_order':True,'shape':(1,3,1)}", 12),
            Ok((Scalar::I32, vec![1, 3, 1]))
        );
        // Data behind the array is another array's.
        assert_eq!(parse("{'descr':'<i4','fortran_order':False,'shape':()}", 99), Ok((Scalar::I32, vec![])));
    }

    #[test]
    fn what_is_refused_says_why() {
        let cases = [
            ("{'descr': '>f4', 'fortran_order': False, 'shape': (3,), }", "x.astype('<f4')"),
            ("{'descr': '<f2', 'fortran_order': False, 'shape': (3,), }", "\"<f2\" is not supported"),
            ("{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }", "\"<c8\" is not supported"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", "\"|O\" is not supported"),
            ("{'descr': '', 'fortran_order': False, 'shape': (3,), }", "\"\" is not supported"),
            ("{'descr': 'é4', 'fortran_order': False, 'shape': (3,), }", "is not supported"),
            (
                "{'descr': [('a', '<f4'), ('b', '<i4')], 'fortran_order': False, 'shape': (3,), }",
                "is not supported",
            ),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (3,4), }", "ascontiguousarray"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (30,), }",
                "truncated: 16 bytes of data, expected 120",
            ),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,-4), }", "cannot read the header"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (,), }", "cannot read the header"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': 3 }", "cannot read the header"),
            ("{'descr': '<f4', 'fortran_order': False}", "cannot read the header"),
            ("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}", "cannot read the header"),
            ("{'descr': '<f4', 'what': 1}", "cannot read the header"),
            ("{'descr", "cannot read the header"),
            ("", "cannot read the header"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4611686018427387904), }",
                "does not fit in memory",
            ),
        ];
        for (text, expected) in cases {
            let message = parse(text, 16).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error() {
        let whole = file("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", 12);
        assert!(Header::parse(&whole).is_ok());
        for len in 0..whole.len() {
            Header::parse(&whole[..len]).unwrap_err();
        }
        let mut version = whole;
        version[6] = 4;
        assert!(Header::parse(&version).unwrap_err().contains("version 4.0"));
    }
}
