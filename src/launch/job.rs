//! One launch of a shader, checked: what an executor is handed. And its data as the words of a CPU program.

use std::sync::Arc;

use smallvec::SmallVec;

use super::bindings::{BindingData, Bindings, Data, Place};
use super::fit::{self, Misfit};
use super::grid::Grid;
use crate::array::{Held, Resident};
use crate::error::{Error, Result};
use crate::kernel::compute::{Compute, Words};
use crate::kernel::{Binding, BindingKind, Kernel, Operations, TextureLayout};
use crate::spmd::grid;
use crate::spmd::memory::BufferData;

/// A launch whose arguments were checked.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// The shader.
    pub shader: Arc<Compute>,
    /// Its workgroups.
    pub grid: grid::Grid,
    /// One for each of [`Compute::bindings`].
    pub resources: SmallVec<[Resource<'a>; 8]>,
}

/// What is bound to one variable. A writable variable has data that may be written, and no other one has the same array.
#[derive(Debug)]
pub(crate) struct Resource<'a> {
    pub data: Data<'a>,
    /// The size of a texture, `[1, 1, 1]` for other variables.
    pub extent: [u32; 3],
}

/// Checks a launch against the kernel's shader.
///
/// # Errors
/// [`Error::WrongCall`], [`Error::GridTooLarge`], [`Error::UnknownBinding`], [`Error::DuplicateParameter`],
/// [`Error::MissingBinding`], [`Error::WrongAccess`], [`Error::WrongLayout`], [`Error::TooLong`], [`Error::Aliased`].
pub(crate) fn check<'a>(kernel: &Kernel, grid: Grid, given: Bindings<'a>) -> Result<Job<'a>> {
    let name = kernel.name();
    let Some(shader) = kernel.compute() else {
        return Err(Error::WrongCall {
            kernel: name.to_owned(),
            call: "launch",
            got: "a kernel of one element, which has no grid",
            hint: "call Dispatcher::run(&kernel, inputs, outputs)",
        });
    };
    let grid = grid.resolve(name, shader.workgroup_size)?;
    // Nothing runs, so nothing is too short: a loop over no elements is one.
    let empty = grid.count() == Some(0);

    let mut slots: SmallVec<[Option<BindingData<'a>>; 8]> = shader.bindings.iter().map(|_| None).collect();
    let mut ignored: Vec<&str> = Vec::new();
    for (place, data) in given.0 {
        let found = match place {
            Place::Name(variable) => shader.named(variable),
            Place::At(group, binding) => shader.at(group, binding),
        };
        let twice =
            |variable: &str| Error::DuplicateParameter { kernel: name.to_owned(), name: variable.to_owned() };
        let Some(at) = found else {
            let is_meant = |b: &&Binding| match place {
                Place::Name(variable) => b.name == variable,
                Place::At(group, binding) => (b.group, b.binding) == (group, binding),
            };
            // The text declares it and the entry point does not use it: no mistake, and no data.
            let Some(unused) = shader.unused.iter().find(is_meant) else {
                return Err(unknown(name, shader, place));
            };
            if ignored.contains(&unused.name.as_str()) {
                return Err(twice(&unused.name));
            }
            ignored.push(&unused.name);
            continue;
        };
        if slots[at].replace(data).is_some() {
            return Err(twice(&shader.bindings[at].name));
        }
    }

    let mut resources = SmallVec::new();
    for (binding, slot) in shader.bindings.iter().zip(slots) {
        let given = slot.ok_or_else(|| missing(name, binding))?;
        resources.push(resource(name, binding, given, empty)?);
    }
    no_alias(name, &shader.bindings, &resources)?;
    Ok(Job { shader: Arc::clone(shader), grid, resources })
}

/// One variable's data against its declaration.
fn resource<'a>(
    kernel: &str,
    binding: &Binding,
    given: BindingData<'a>,
    empty: bool,
) -> Result<Resource<'a>> {
    let BindingData { data, ty, extent } = given;
    if binding.is_writable() && matches!(data, Data::Read(_) | Data::Value(_)) {
        let what = if matches!(data, Data::Value(_)) { "a value" } else { "a shared slice" };
        return Err(Error::WrongAccess {
            kernel: kernel.to_owned(),
            name: binding.name.clone(),
            got: format!("{what} of {}", ty.name),
            expected: "`&mut` data or an Array",
            access: binding.declared(),
        });
    }
    let wrong = |misfit: Misfit, layout: String| Error::WrongLayout {
        kernel: kernel.to_owned(),
        name: binding.name.clone(),
        got: misfit.got,
        expected: misfit.expected,
        help: format!("{}\n{layout}", misfit.hint).into(),
    };
    let bytes = data.bytes();
    let extent = match (&binding.kind, extent) {
        (BindingKind::Texture(texture), Some(extent)) => {
            let fits = fit::texture_fits(texture, &ty, bytes, extent, empty);
            fits.map_err(|misfit| wrong(misfit, texture.to_string()))?;
            extent
        }
        (BindingKind::Texture(texture), None) => {
            let misfit = Misfit {
                got: format!("{} without a size", ty.name),
                expected: format!("a texture for {}", texture.ty),
                hint: "give its size too: Texture::new(texels, [width, height])".to_owned(),
            };
            return Err(wrong(misfit, texture.to_string()));
        }
        (_, Some(_)) => {
            let misfit = Misfit {
                got: "a texture".to_owned(),
                expected: format!("a buffer for `{}`", binding.declared()),
                hint: "bind the slice or Array itself".to_owned(),
            };
            return Err(wrong(misfit, binding.layout().map(ToString::to_string).unwrap_or_default()));
        }
        (_, None) => {
            if let Some(layout) = binding.layout() {
                fit::fits(layout, &ty, bytes, empty).map_err(|misfit| wrong(misfit, layout.to_string()))?;
            }
            [1; 3]
        }
    };
    // Every word has an index that is a `u32`.
    if bytes.div_ceil(4) > u32::MAX as usize {
        return Err(Error::TooLong {
            kernel: kernel.to_owned(),
            got: bytes / ty.size.max(1),
            limit: (u32::MAX as usize).saturating_mul(4) / ty.size.max(1),
            reason: format!("WGSL indexes `{}` in u32, word by word", binding.name),
        });
    }
    Ok(Resource { data, extent })
}

/// Whether no array that the shader writes is bound twice. Slices cannot be: Rust sees to that.
fn no_alias(kernel: &str, bindings: &[Binding], resources: &[Resource<'_>]) -> Result<()> {
    let key = |resource: &Resource<'_>| match &resource.data {
        Data::Array(array) => Some(array.key()),
        _ => None,
    };
    for (i, one) in resources.iter().enumerate() {
        let Some(own) = key(one).filter(|_| bindings[i].is_writable()) else { continue };
        if let Some(j) = (0..resources.len()).find(|&j| j != i && key(&resources[j]) == Some(own)) {
            return Err(Error::Aliased {
                kernel: kernel.to_owned(),
                name: bindings[i].name.clone(),
                other: bindings[j].name.clone(),
            });
        }
    }
    Ok(())
}

#[cold]
fn unknown(kernel: &str, shader: &Compute, place: Place<'_>) -> Error {
    let names: Vec<String> = match place {
        Place::Name(_) => shader.bindings.iter().map(|b| b.name.clone()).collect(),
        Place::At(..) => {
            shader.bindings.iter().map(|b| format!("{} at ({}, {})", b.name, b.group, b.binding)).collect()
        }
    };
    let close = match place {
        Place::Name(given) => closest(given, shader.bindings.iter().map(|b| b.name.as_str())),
        Place::At(..) => None,
    };
    Error::UnknownBinding {
        kernel: kernel.to_owned(),
        name: place.to_string(),
        hint: close.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default(),
        names: if names.is_empty() { "none".to_owned() } else { names.join(", ") },
    }
}

#[cold]
fn missing(kernel: &str, binding: &Binding) -> Error {
    let name = &binding.name;
    let hint = match &binding.kind {
        BindingKind::Uniform(_) => format!(".value(\"{name}\", …)"),
        BindingKind::Read(_) => format!(".bind(\"{name}\", &…)"),
        BindingKind::ReadWrite(_) => format!(".bind(\"{name}\", &mut …), or an Array"),
        BindingKind::Texture(_) => format!(".bind(\"{name}\", Texture::new(…, [width, height]))"),
    };
    Error::MissingBinding {
        kernel: kernel.to_owned(),
        name: name.clone(),
        place: binding.to_string(),
        hint: format!("add {hint}"),
    }
}

/// The name that `given` was most likely meant to be: at most a third of its letters are others.
pub(crate) fn closest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = given.to_lowercase();
    let distance = |name: &str| {
        let (a, b): (Vec<char>, Vec<char>) = (lower.chars().collect(), name.to_lowercase().chars().collect());
        // Levenshtein, one row at a time.
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.iter().enumerate() {
            let mut corner = row[0];
            row[0] = i + 1;
            for (j, y) in b.iter().enumerate() {
                let replaced = corner + usize::from(x != y);
                corner = row[j + 1];
                row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
            }
        }
        row[b.len()]
    };
    let best = names.map(|name| (distance(name), name)).min()?;
    let most = (given.chars().count().max(best.1.chars().count()) / 3).max(1);
    (best.0 <= most).then_some(best.1)
}

impl Job<'_> {
    /// The arithmetic of one invocation.
    ///
    /// # Errors
    /// Those of compiling the shader.
    pub(crate) fn operations(&self) -> Result<Operations> {
        // Of an array only the length: nothing is fetched for a prediction.
        self.shader.operations(&self.grid, |at| {
            let data = &self.resources[at].data;
            let bytes = match data {
                Data::Read(bytes) => Some(*bytes),
                Data::Value(bytes) => Some(&bytes[..]),
                Data::Write(_) | Data::Array(_) => None,
            };
            (bytes, data.bytes())
        })
    }

    /// Bytes of arrays that only a device has: using them on the host moves them.
    pub(crate) fn stale_bytes(&self) -> u64 {
        let stale = self.resources.iter().map(|resource| match &resource.data {
            Data::Array(array) if array.is_stale() => array.bytes() as u64,
            _ => 0,
        });
        stale.sum()
    }

    /// Invocations in all.
    pub(crate) fn invocations(&self) -> u64 {
        self.grid.invocations.iter().map(|&n| u64::from(n)).product()
    }

    /// The bytes of every resource as they are now, copied.
    ///
    /// # Errors
    /// Those of arrays that only a lost GPU had.
    pub(crate) fn contents(&self) -> Result<Vec<Vec<u8>>> {
        let bytes = |resource: &Resource<'_>| {
            Ok(match &resource.data {
                Data::Read(bytes) => bytes.to_vec(),
                Data::Value(bytes) => bytes.to_vec(),
                Data::Write(bytes) => bytes.to_vec(),
                Data::Array(array) => array.snapshot()?.bytes().to_vec(),
            })
        };
        self.resources.iter().map(bytes).collect()
    }

    /// The same launch on other bytes, as many for each resource as it has.
    pub(crate) fn with<'b>(&self, bytes: impl Iterator<Item = &'b mut [u8]>) -> Job<'b> {
        let resource = |(resource, bytes): (&Resource<'_>, &'b mut [u8])| Resource {
            data: Data::Write(bytes),
            extent: resource.extent,
        };
        Job {
            shader: Arc::clone(&self.shader),
            grid: self.grid,
            resources: self.resources.iter().zip(bytes).map(resource).collect(),
        }
    }

    /// Runs `run` over the words of the program's buffers, in its order. Arrays are brought to the host; the arrays that the
    /// shader writes are locked meanwhile. With `keep`, `run` works on copies of what it writes, and an error leaves everything
    /// as it was.
    ///
    /// # Errors
    /// Those of `run`, and of arrays that only a lost GPU had.
    pub(crate) fn on_host<R>(
        &mut self,
        keep: bool,
        run: impl FnOnce(&mut [BufferData<'_>]) -> Result<R>,
    ) -> Result<R> {
        let variant = self.shader.variant(&self.grid)?;
        let bindings = &self.shader.bindings;
        // What is only read first: who holds one array and waits for another could wait forever.
        let mut snapshots = Vec::new();
        let mut written: Vec<(usize, Arc<dyn Resident>)> = Vec::new();
        for (at, resource) in self.resources.iter().enumerate() {
            if let Data::Array(array) = &resource.data {
                if bindings[at].is_writable() {
                    written.push((at, Arc::clone(array)));
                } else {
                    snapshots.push((at, array.snapshot()?));
                }
            }
        }
        written.sort_by_key(|(_, array)| array.key());
        let mut held: Vec<(usize, Box<dyn Held + '_>)> =
            written.iter().map(|(at, array)| (*at, array.hold())).collect();

        let mut words: Vec<Option<HostWords<'_>>> = bindings.iter().map(|_| None).collect();
        for (at, held) in &mut held {
            words[*at] = Some(HostWords::write(held.host_mut()?, keep));
        }
        for (at, snapshot) in &snapshots {
            words[*at] = Some(HostWords::read(snapshot.bytes()));
        }
        let mut extents = Vec::with_capacity(bindings.len());
        for (at, resource) in self.resources.iter_mut().enumerate() {
            extents.push(resource.extent);
            match &mut resource.data {
                Data::Read(bytes) => words[at] = Some(HostWords::read(bytes)),
                Data::Value(bytes) => words[at] = Some(HostWords::read(bytes)),
                Data::Write(bytes) => {
                    let writable = bindings[at].is_writable();
                    words[at] =
                        Some(if writable { HostWords::write(bytes, keep) } else { HostWords::read(bytes) });
                }
                Data::Array(_) => {}
            }
        }

        let mut slots: Vec<Option<&mut HostWords<'_>>> = words.iter_mut().map(Option::as_mut).collect();
        let mut buffers: SmallVec<[BufferData<'_>; 16]> = SmallVec::new();
        for buffer in &variant.buffers {
            buffers.push(match *buffer {
                Words::Size(at) => BufferData::Read(&extents[at]),
                Words::Data(at) => match slots[at].take() {
                    Some(words) => words.as_buffer(),
                    None => return Err(self.shader.internal("a variable is two buffers")),
                },
            });
        }
        let result = run(&mut buffers)?;
        drop(buffers);
        words.into_iter().flatten().for_each(HostWords::done);
        Ok(result)
    }
}

/// Bytes as 32-bit words: in place where they are aligned and whole words, else a copy with zeros at the end.
enum HostWords<'a> {
    Borrowed(&'a [u32]),
    Copied(Vec<u32>),
    Written(&'a mut [u32]),
    /// A copy that goes back where it came from once the launch has succeeded.
    Staged(Vec<u32>, &'a mut [u8]),
}

impl<'a> HostWords<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        match bytemuck::try_cast_slice(bytes) {
            Ok(words) => Self::Borrowed(words),
            Err(_) => Self::Copied(copied(bytes)),
        }
    }

    fn write(bytes: &'a mut [u8], keep: bool) -> Self {
        if keep || bytemuck::try_cast_slice::<u8, u32>(bytes).is_err() {
            return Self::Staged(copied(bytes), bytes);
        }
        Self::Written(bytemuck::cast_slice_mut(bytes))
    }

    fn as_buffer(&mut self) -> BufferData<'_> {
        match self {
            Self::Borrowed(words) => BufferData::Read(words),
            Self::Copied(words) => BufferData::Read(words),
            Self::Written(words) => BufferData::Write(words),
            Self::Staged(words, _) => BufferData::Write(words),
        }
    }

    fn done(self) {
        if let Self::Staged(words, bytes) = self {
            bytes.copy_from_slice(&bytemuck::cast_slice(&words)[..bytes.len()]);
        }
    }
}

fn copied(bytes: &[u8]) -> Vec<u32> {
    let mut words = vec![0; bytes.len().div_ceil(4)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}

/// The texels of a texture in the words of an error.
impl std::fmt::Display for TextureLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ty, channels, number, .. } = self;
        write!(f, "{ty}: {channels} × {number} = {} bytes a texel, {} axes", self.texel_bytes(), self.axes)
    }
}
