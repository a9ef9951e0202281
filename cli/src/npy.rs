//! NumPy's `.npy` files: input arrays mapped into memory, output arrays written beside their final name and renamed.
//!
//! Native byte order, C order: what a loop reads in place, with no copy. Anything else is refused with the NumPy call that
//! converts it. Source: the format's specification, NEP 1.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use forall::Scalar;
use memmap2::{Mmap, MmapMut};

use crate::{Failure, interrupt};

/// Dimensions NumPy itself allows (`NPY_MAXDIMS` of NumPy 2).
const MAX_DIMS: usize = 64;

/// An array read from a file, of one of the six numbers that a loop takes.
#[derive(Debug)]
pub(crate) struct Array {
    pub scalar: Scalar,
    file: Saved,
}

/// An array read from a file, whatever it holds.
#[derive(Debug)]
pub(crate) struct Saved {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    bytes: Bytes,
}

/// What an element is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    Number(Number),
    /// A structured type: its description, as NumPy writes it. Its size is known to who expects it.
    Record(String),
}

/// A kind of number in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    F32,
    I32,
    U32,
    F64,
    I64,
    U64,
    F16,
    U8,
    I8,
    U16,
    I16,
}

/// Where an input's bytes are: mapped, or copied when they cannot be used where they are.
#[derive(Debug)]
enum Bytes {
    Mapped { file: Mmap, start: usize, len: usize },
    Copied { words: Vec<u64>, len: usize },
}

impl Array {
    /// As [`Saved::open`]; the numbers are those that a loop takes.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = Saved::open(path)?;
        match &file.dtype {
            Dtype::Number(number) if number.scalar().is_some() => {
                Ok(Self { scalar: number.scalar().unwrap_or(Scalar::F32), file })
            }
            Dtype::Number(number) => Err(unsupported(&number.descr())),
            Dtype::Record(descr) => Err(unsupported(descr)),
        }
        .map_err(|message: String| Failure::Run(format!("{}: {message}", path.display())))
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.file.shape
    }

    /// The elements, packed, aligned for the scalar.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.file.bytes()
    }
}

impl Saved {
    /// Maps a `.npy` file. Nothing is read but the header. A pipe or a device, which cannot be mapped, is read as far as its
    /// header says.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let fail = |what: &dyn fmt::Display| Failure::Run(format!("{}: {what}", path.display()));
        let mut file = File::open(path).map_err(|e| fail(&e))?;
        let kind = file.metadata().map_err(|e| fail(&e))?;
        if kind.is_dir() {
            return Err(fail(&"is a directory, expected a file"));
        }
        if !kind.is_file() {
            return Self::read(&mut file).map_err(|e| fail(&e));
        }
        // SAFETY: the mapping is read-only and private to this process. Another process that writes to the file meanwhile
        // changes input values, any of which are valid elements; one that shortens it stops this command with SIGBUS, which
        // the command's help says. Nothing of this command writes to an existing file: outputs are new files, renamed.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| fail(&e))?;
        let header = Header::parse(&map, map.len()).map_err(|e| fail(&e))?;
        // Maps start on a page, and NumPy aligns data to 16 or 64 bytes; other writers may not.
        let bytes = if header.start.is_multiple_of(align_of::<u64>()) {
            Bytes::Mapped { file: map, start: header.start, len: header.len }
        } else {
            Bytes::copied(&map[header.start..][..header.len])
        };
        Ok(Self { dtype: header.dtype, shape: header.shape, bytes })
    }

    /// The header, and then no more than it promises: some devices never end.
    fn read(file: &mut impl Read) -> Result<Self, String> {
        /// A header has one line for each member of a structured type; this is a thousand of them.
        const MAX_HEADER: u32 = 1 << 16;

        let words = |e: io::Error| e.to_string();
        let mut all = vec![0; 10];
        file.read_exact(&mut all).map_err(|_| NOT_NPY)?;
        if !all.starts_with(MAGIC) {
            return Err(NOT_NPY.into());
        }
        let mut rest = u32::from(u16::from_le_bytes([all[8], all[9]]));
        if all[6] > 1 {
            let mut high = [0; 2];
            file.read_exact(&mut high).map_err(words)?;
            all.extend(high);
            rest += u32::from(u16::from_le_bytes(high)) << 16;
        }
        if rest > MAX_HEADER {
            return Err(format!("a header of {rest} bytes, at most {MAX_HEADER} are read from a pipe"));
        }
        file.take(rest.into()).read_to_end(&mut all).map_err(words)?;
        let header = Header::parse(&all, usize::MAX)?;
        if matches!(header.dtype, Dtype::Record(_)) {
            return Err("structured arrays are not read from a pipe; save a file".into());
        }
        let mut data = Vec::new();
        file.take(header.len as u64).read_to_end(&mut data).map_err(words)?;
        if data.len() < header.len {
            return Err(truncated(data.len(), &header));
        }
        Ok(Self { dtype: header.dtype, shape: header.shape, bytes: Bytes::copied(&data) })
    }

    /// The elements, packed, aligned for the largest number.
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

const MAGIC: &[u8] = b"\x93NUMPY";
const NOT_NPY: &str = "not a .npy file (its first bytes are not \\x93NUMPY)";

impl Number {
    const ALL: [Self; 11] = [
        Self::F32,
        Self::I32,
        Self::U32,
        Self::F64,
        Self::I64,
        Self::U64,
        Self::F16,
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
    ];

    /// The name that WGSL and Rust have for it, and the type string without its byte order.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::F32 => ("f32", "f4"),
            Self::I32 => ("i32", "i4"),
            Self::U32 => ("u32", "u4"),
            Self::F64 => ("f64", "f8"),
            Self::I64 => ("i64", "i8"),
            Self::U64 => ("u64", "u8"),
            Self::F16 => ("f16", "f2"),
            Self::U8 => ("u8", "u1"),
            Self::I8 => ("i8", "i1"),
            Self::U16 => ("u16", "u2"),
            Self::I16 => ("i16", "i2"),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        self.names().0
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|number| number.name() == name)
    }

    pub(crate) const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::U16 | Self::I16 => 2,
            Self::U8 | Self::I8 => 1,
        }
    }

    /// The type string: `<f4`.
    pub(crate) fn descr(self) -> String {
        format!("{}{}", if self.size() == 1 { '|' } else { NATIVE }, self.names().1)
    }

    /// The NumPy name: `float32`.
    pub(crate) fn numpy(self) -> String {
        let kind = match self.name().as_bytes()[0] {
            b'f' => "float",
            b'i' => "int",
            _ => "uint",
        };
        format!("{kind}{}", 8 * self.size())
    }

    pub(crate) fn scalar(self) -> Option<Scalar> {
        [Scalar::F32, Scalar::I32, Scalar::U32, Scalar::F64, Scalar::I64, Scalar::U64]
            .into_iter()
            .find(|scalar| scalar.name() == self.name())
    }
}

impl From<Scalar> for Number {
    fn from(scalar: Scalar) -> Self {
        Self::named(scalar.name()).unwrap_or(Self::F32)
    }
}

/// What stands before the data.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Where the data starts, and its length in bytes; within the file.
    start: usize,
    len: usize,
}

impl Header {
    /// Reads the header at the start of a file of `whole` bytes, and checks the data against it.
    fn parse(file: &[u8], whole: usize) -> Result<Self, String> {
        let rest = file.strip_prefix(MAGIC).ok_or(NOT_NPY)?;
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
        let dtype = Dtype::parse(&descr)?;
        if fortran && shape.iter().filter(|&&axis| axis != 1).count() > 1 {
            return Err(
                "the array is in Fortran order, expected C order; save numpy.ascontiguousarray(x)".into()
            );
        }
        let size = if let Dtype::Number(number) = dtype { number.size() } else { 1 };
        let len = shape
            .iter()
            .try_fold(size, |len, &axis| len.checked_mul(axis))
            .ok_or_else(|| format!("shape {} does not fit in memory", Shape(&shape)))?;
        let got = whole - start;
        let mut header = Self { dtype, shape, start, len };
        if let Dtype::Record(_) = header.dtype {
            header.len = got;
        } else if got < len {
            return Err(truncated(got, &header));
        }
        Ok(header)
    }
}

#[cold]
fn truncated(got: usize, header: &Header) -> String {
    let Header { dtype, shape, len, .. } = header;
    let name = if let Dtype::Number(number) = dtype { number.name() } else { "records" };
    format!("truncated: {got} bytes of data, expected {len} for shape {} of {name}", Shape(shape))
}

impl Dtype {
    /// Reads a type string, or says why it is none.
    fn parse(descr: &str) -> Result<Self, String> {
        if descr.starts_with('[') {
            return Ok(Self::Record(descr.to_owned()));
        }
        let (order, kind) = descr.split_at_checked(1).unwrap_or(("", descr));
        let Some(number) = Number::ALL.into_iter().find(|number| number.names().1 == kind) else {
            return Err(unsupported(descr));
        };
        match order {
            "=" => Ok(Self::Number(number)),
            "|" if number.size() == 1 => Ok(Self::Number(number)),
            _ if order.starts_with(NATIVE) => Ok(Self::Number(number)),
            _ => Err(format!(
                "dtype '{descr}' has the bytes of another machine, expected '{NATIVE}{kind}'; save x.astype('{NATIVE}{kind}')"
            )),
        }
    }
}

#[cold]
fn unsupported(descr: &str) -> String {
    let scalars = Number::ALL.into_iter().filter(|number| number.scalar().is_some());
    let known = scalars.map(|number| format!("'{}'", number.descr())).collect::<Vec<_>>().join(" ");
    format!("dtype {descr:?} is not supported, expected one of {known}; save x.astype('{NATIVE}f4')")
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
fn header(dtype: &Dtype, shape: &[usize]) -> Vec<u8> {
    let descr = match dtype {
        Dtype::Number(number) => format!("'{}'", number.descr()),
        Dtype::Record(descr) => descr.clone(),
    };
    let dict = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {}, }}", Shape(shape));
    let before = b"\x93NUMPY\x01\x00..".len();
    let padded = |before: usize| (before + dict.len() + 1).next_multiple_of(64) - before;
    // A structured type may be longer than the 16 bits of version 1.
    let (mut out, padded) = match u16::try_from(padded(before)) {
        Ok(len) => ([b"\x93NUMPY\x01\x00".as_slice(), &len.to_le_bytes()].concat(), padded(before)),
        Err(_) => {
            let len = padded(before + 2) as u32;
            ([b"\x93NUMPY\x02\x00".as_slice(), &len.to_le_bytes()].concat(), padded(before + 2))
        }
    };
    // Formatting pads to 65 535 columns at most.
    out.extend(dict.bytes());
    out.extend(std::iter::repeat_n(b' ', padded - 1 - dict.len()));
    out.push(b'\n');
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
        /// A huge page.
        const PIECE: usize = 2 << 20;
        let mut map =
            MmapMut::map_anon(len).map_err(|e| Failure::Run(format!("cannot allocate {len} bytes: {e}")))?;
        // Only advice: where it is refused, small pages serve.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        // A page comes when it is first written, which may take longer than the loop: now, or the loop's time would hold it.
        if len >= PIECE {
            let touch = |piece: &mut [u8]| piece.iter_mut().step_by(4096).for_each(|byte| *byte = 0);
            forall::tasks::Pool::default().for_each(map.chunks_mut(PIECE), touch)?;
        }
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

/// Where a path leads, a file that is not there yet too: one file has one such path, however it is written.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match (fs::canonicalize(folder), path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            _ => path.to_owned(),
        }
    })
}

impl Target {
    /// The targets of an option's files: each another file, and none of them the one whose text is run.
    ///
    /// # Errors
    /// As [`Target::new`].
    pub(crate) fn all(
        option: &str,
        files: &[Option<&Path>],
        body: Option<&Path>,
    ) -> Result<Vec<Option<Self>>, Failure> {
        let body = body.map(resolved);
        let mut targets: Vec<Option<Self>> = Vec::new();
        for shown in files {
            let target = shown.map(|shown| Self::new(option, shown)).transpose()?;
            if let Some(Self { shown, path, special: false }) = &target {
                let usage = |what| Err(Failure::Usage(format!("{option} {}: {what}", shown.display())));
                if targets.iter().flatten().any(|other| other.path == *path) {
                    return usage("two outputs have the same file");
                }
                if body.as_ref() == Some(path) {
                    return usage("is the file with the body, which would be lost");
                }
            }
            targets.push(target);
        }
        Ok(targets)
    }

    /// Checks that a file can be made there, so that a long loop does not run for nothing. `option` is what named it.
    pub(crate) fn new(option: &str, shown: &Path) -> Result<Self, Failure> {
        let path = resolved(shown);
        let special = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(Failure::Usage(format!(
                    "{option} {}: is a directory, expected a file",
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

    /// Whether writing replaces the file that stands there.
    pub(crate) fn leads_to(&self, path: &Path) -> bool {
        !self.special && self.path == resolved(path)
    }

    /// Writes the array under a temporary name and, once it is complete, renames it.
    ///
    /// Between two pieces it looks whether Ctrl-C was pressed: the file is then as it was before.
    pub(crate) fn write(&self, dtype: &Dtype, shape: &[usize], data: &[u8]) -> Result<(), Failure> {
        /// Takes well below a second on any disk.
        const PIECE: usize = 1 << 22;

        let write = |file: &mut File| {
            file.write_all(&header(dtype, shape))?;
            for piece in data.chunks(PIECE) {
                if interrupt::requested() {
                    return Err(io::Error::other("interrupted"));
                }
                file.write_all(piece)?;
            }
            Ok(())
        };
        self.replace(write)
            .map_err(|e| if interrupt::requested() { Failure::Interrupted } else { self.fail(&e) })
    }

    /// Writes a text in the same way, whether Ctrl-C was pressed or not.
    pub(crate) fn write_text(&self, text: &str) -> Result<(), Failure> {
        self.replace(|file| file.write_all(text.as_bytes())).map_err(|e| self.fail(&e))
    }

    fn replace(&self, write: impl Fn(&mut File) -> io::Result<()>) -> io::Result<()> {
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

    fn whole(file: &[u8]) -> Result<Header, String> {
        Header::parse(file, file.len())
    }

    fn parse(text: &str, data: usize) -> Result<(Number, Vec<usize>), String> {
        whole(&file(text, data)).map(|header| match header.dtype {
            Dtype::Number(number) => (number, header.shape),
            Dtype::Record(descr) => panic!("{descr}"),
        })
    }

    #[test]
    fn what_is_written_reads_back() {
        let record = |members: usize| Dtype::Record(format!("[{}]", "('member', '<f4'), ".repeat(members)));
        let numbers = Number::ALL.map(Dtype::Number);
        for dtype in numbers.into_iter().chain([record(1), record(10_000)]) {
            for shape in
                [vec![], vec![0], vec![1], vec![7], vec![2, 3], vec![1; 20], vec![usize::MAX >> 8, 0]]
            {
                let mut bytes = header(&dtype, &shape);
                assert_eq!(bytes.len() % 64, 0, "data aligned");
                assert_eq!(bytes.last(), Some(&b'\n'));
                let start = bytes.len();
                let size = if let Dtype::Number(number) = dtype { number.size() } else { 4 };
                let len = shape.iter().product::<usize>() * size;
                bytes.resize(start + len, 0);
                assert_eq!(whole(&bytes), Ok(Header { dtype: dtype.clone(), shape, start, len }));
            }
        }
    }

    #[test]
    fn a_pipe_is_read_as_far_as_its_header_says() {
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
        let head = file(text, 12);
        let mut endless = (&head[..]).chain(io::repeat(1));
        assert_eq!(Saved::read(&mut endless).unwrap().bytes().len(), 12);
        assert!(Saved::read(&mut io::repeat(0)).unwrap_err().contains("not a .npy file"));
        assert!(Saved::read(&mut io::empty()).unwrap_err().contains("not a .npy file"));
        let cut = file(text, 11);
        assert!(Saved::read(&mut &cut[..]).unwrap_err().contains("truncated: 11 bytes of data, expected 12"));
        // A header of 4 GiB.
        let mut header = (&b"\x93NUMPY\x02\x00\xff\xff\xff\xff"[..]).chain(io::repeat(b' '));
        assert!(Saved::read(&mut header).unwrap_err().contains("at most 65536"));
    }

    #[test]
    fn headers_of_other_writers() {
        assert_eq!(
            parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }  \n", 12),
            Ok((Number::F32, vec![3]))
        );
        assert_eq!(
            parse("{\"shape\":(2,3L),\"fortran_order\":False,\"descr\":\"=u8\"}", 48),
            Ok((Number::U64, vec![2, 3]))
        );
        // One axis longer than 1 has both orders.
        assert_eq!(
            parse("{'descr':'<i4','fortran_order':True,'shape':(1,3,1)}", 12),
            Ok((Number::I32, vec![1, 3, 1]))
        );
        // Data behind the array is another array's.
        assert_eq!(parse("{'descr':'<i4','fortran_order':False,'shape':()}", 99), Ok((Number::I32, vec![])));
    }

    #[test]
    fn what_is_refused_says_why() {
        let cases = [
            ("{'descr': '>f4', 'fortran_order': False, 'shape': (3,), }", "x.astype('<f4')"),
            ("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", "\"|b1\" is not supported"),
            ("{'descr': '>f2', 'fortran_order': False, 'shape': (3,), }", "x.astype('<f2')"),
            ("{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }", "\"<c8\" is not supported"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", "\"|O\" is not supported"),
            ("{'descr': '', 'fortran_order': False, 'shape': (3,), }", "\"\" is not supported"),
            ("{'descr': 'é4', 'fortran_order': False, 'shape': (3,), }", "is not supported"),
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
        assert!(super::tests::whole(&whole).is_ok());
        for len in 0..whole.len() {
            super::tests::whole(&whole[..len]).unwrap_err();
        }
        let mut version = whole;
        version[6] = 4;
        assert!(super::tests::whole(&version).unwrap_err().contains("version 4.0"));
    }
}
