//! The third kind of body: a whole WGSL compute shader, with its own bindings, workgroups and constants.
//!
//! Read, validated and lowered when the kernel is made, so that what cannot be run is refused there, and compiled for a CPU level
//! when it first runs. Data is joined to it in `launch`.

mod fields;
mod layout;
mod options;

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use naga::back::PipelineConstants;
use naga::back::pipeline_constants::{PipelineConstantError, process_overrides};
use naga::proc::IndexableLength;
use naga::valid::Capabilities;
use naga::{
    AddressSpace, ArraySize, Module, ResourceBinding, Scalar, ScalarKind, ShaderStage, StorageAccess,
    TypeInner,
};

pub use fields::Fields;
pub(crate) use layout::number_bytes;
pub use layout::{Binding, BindingKind, Content, Layout, Member, TextureLayout};
pub use options::ShaderOptions;

use crate::cpu::CpuLevel;
use crate::error::{Error, Result};
use crate::kernel::cost::{Cost, Limit};
use crate::kernel::source::Source;
use crate::kernel::validity::{self, Explanation};
use crate::kernel::{Inner, Kernel, Memo, Operations, Signature, scan, stack, wgsl};
use crate::spmd::block::Code;
use crate::spmd::grid::Grid;
use crate::spmd::ir::{Order, Program, Role};
use crate::spmd::lower::lower;
use crate::spmd::passes;
use layout::Reflect;

/// Invocations of one workgroup at most: what nearly every GPU takes, and the lanes of a full block.
const MAX_WORKGROUP: u64 = 1024;

/// What WGSL may use besides its core.
fn capabilities() -> Capabilities {
    Capabilities::SHADER_FLOAT16
        | Capabilities::SHADER_FLOAT16_IN_FLOAT32
        | Capabilities::SUBGROUP
        | Capabilities::SUBGROUP_BARRIER
}

impl Kernel {
    /// A kernel from a whole WGSL compute shader, as it would run on a GPU: `@compute @workgroup_size(…)`, with its own
    /// `@group(…) @binding(…)` variables, workgroup memory, barriers and atomics. [`Dispatcher::launch`](crate::Dispatcher::launch)
    /// runs it, on every backend.
    ///
    /// The text has one compute entry point, which names the kernel, and its `override` constants have defaults. Otherwise
    /// [`ShaderOptions`] says which one and gives values. Immediate data, `var<immediate> name`, are bound by their name.
    ///
    /// # Backends
    /// Any. On the CPU a workgroup runs on the lanes of one thread, workgroups start in the order of their index (x fastest),
    /// a subgroup has 32 invocations, and a workgroup at most 1024.
    ///
    /// # Errors
    /// [`Error::Wgsl`] for text that is not valid WGSL or has not exactly one compute entry point,
    /// [`Error::Unsupported`] for what forall does not run, such as samplers. Both show the place in `wgsl`.
    ///
    /// # Examples
    /// ```
    /// use forall::{Bindings, Dispatcher, Grid, Kernel};
    ///
    /// let double = Kernel::shader(
    ///     "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
    ///      @compute @workgroup_size(64)
    ///      fn double(@builtin(global_invocation_id) id: vec3u) {
    ///          if (id.x < arrayLength(&x)) { x[id.x] = 2.0 * x[id.x]; }
    ///      }",
    /// )?;
    /// let mut x = [1.0_f32, 2.0, 3.0];
    /// Dispatcher::new().launch(&double, Grid::threads(3), Bindings::new().bind("x", &mut x))?;
    /// assert_eq!(x, [2.0, 4.0, 6.0]);
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn shader(wgsl: &str) -> Result<Self> {
        build(wgsl, &ShaderOptions::new())
    }

    /// The variables that a launch of this shader binds data to, ordered by group and binding: those that its entry point uses.
    /// Empty for other kernels.
    pub fn bindings(&self) -> &[Binding] {
        self.0.compute.as_ref().map_or(&[], |shader| &shader.bindings)
    }

    /// The `@workgroup_size` of a shader; `None` for other kernels.
    pub fn workgroup_size(&self) -> Option<[u32; 3]> {
        self.0.compute.as_ref().map(|shader| shader.workgroup_size)
    }
}

/// Makes a kernel of a compute shader.
fn build(wgsl: &str, options: &ShaderOptions) -> Result<Kernel> {
    // A byte order mark, as some editors write it.
    let text: Arc<str> = wgsl.strip_prefix('\u{feff}').unwrap_or(wgsl).into();
    let name = options.entry.clone().unwrap_or_else(|| guess(&text).unwrap_or("wgsl").to_owned());
    let source = Source { name, text: Arc::clone(&text), offset: 0 };
    let compute = stack::with_stack_for(&text, &source, || read(source.clone(), options))?;
    let signature = Signature { name: compute.entry.clone(), params: Vec::new(), outputs: Vec::new() };
    let compute = Some(Arc::new(compute));
    Ok(Kernel(Arc::new(Inner { signature, wgsl: None, closure: None, compute, remembered: Memo::default() })))
}

/// The name of the first compute entry point, of a text that may not even parse.
fn guess(text: &str) -> Option<&str> {
    let mut words = scan::tokens(text).into_iter().filter(|token| token.is_name).map(|token| token.place);
    words.find(|place| &text[place.clone()] == "compute")?;
    words.find(|place| &text[place.clone()] == "fn")?;
    words.next().map(|place| &text[place])
}

/// A compute shader: what it is, and the variants compiled from it.
#[derive(Debug)]
pub(crate) struct Compute {
    /// The entry point's name, which is the kernel's.
    pub entry: String,
    /// The whole WGSL text, as a GPU takes it: without `enable subgroups;` and the like, which naga knows no better there, and with
    /// a buffer for immediate data.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "only a GPU takes the text as such"))]
    pub text: Arc<str>,
    /// The constants that were given: by `@id` where they have one, else by name.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "only a GPU takes the text as such"))]
    pub constants: Vec<(String, f64)>,
    /// `@workgroup_size`.
    pub workgroup_size: [u32; 3],
    /// What the entry point uses, ordered by group and binding.
    pub bindings: Vec<Binding>,
    /// Variables of the text that it does not use.
    pub unused: Vec<Binding>,
    /// Lowered, before any pass.
    lowered: Program,
    rows: OnceLock<Variant>,
    workgroups: OnceLock<Variant>,
}

/// CPU levels there are, on any architecture.
const LEVELS: usize = CpuLevel::WasmSimd128 as usize + 1;

/// A shader compiled for one order of its invocations.
#[derive(Debug)]
pub(crate) struct Variant {
    /// Optimised.
    pub program: Program,
    cost: Cost,
    /// What each of the program's buffers is.
    pub buffers: Vec<Words>,
    /// By CPU level, compiled when first used: every launch uses the detected one, tests the others.
    codes: [OnceLock<Code>; LEVELS],
}

/// What the words of a buffer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// The data of that one of [`Compute::bindings`].
    Data(usize),
    /// The size of that one, a texture.
    Size(usize),
}

impl Variant {
    fn new(mut program: Program, bindings: &[Binding]) -> std::result::Result<Self, String> {
        let words = |buffer: &crate::spmd::ir::BufferDecl| {
            let place = |b: &Binding| (b.group, b.binding) == buffer.binding;
            let at = bindings.iter().position(place)?;
            Some(if buffer.role == Role::Size { Words::Size(at) } else { Words::Data(at) })
        };
        let buffers: Option<_> = program.buffers.iter().map(words).collect();
        let buffers = buffers.ok_or("a buffer of the program has no binding")?;
        passes::optimise(&mut program);
        Ok(Self { cost: Cost::of(&program), program, buffers, codes: Default::default() })
    }

    /// Whether a thread has the memory for it.
    fn fits(&self) -> bool {
        self.code(CpuLevel::detected()).bytes() <= Code::MAX_BYTES
    }

    /// The code for a level.
    pub(crate) fn code(&self, level: CpuLevel) -> &Code {
        self.codes[level as usize].get_or_init(|| Code::compile(&self.program, level))
    }
}

impl Compute {
    /// The variant for a grid. Where the rows of a grid are shorter than a workgroup has invocations, a block is a workgroup, if
    /// the lanes of that one fit: otherwise few of its lanes would be used.
    ///
    /// # Errors
    /// [`Error::Internal`] if forall contradicts itself.
    pub(crate) fn variant(&self, grid: &Grid) -> Result<&Variant> {
        let whole = self.workgroup_size.iter().map(|&n| u64::from(n)).product::<u64>();
        if self.lowered.order == Order::Rows {
            if u64::from(grid.invocations[0]) < whole {
                let workgroups = self.ordered(Order::Workgroups)?;
                if workgroups.fits() {
                    return Ok(workgroups);
                }
            }
            return self.ordered(Order::Rows);
        }
        self.ordered(Order::Workgroups)
    }

    fn ordered(&self, order: Order) -> Result<&Variant> {
        let place = if order == Order::Rows { &self.rows } else { &self.workgroups };
        if let Some(variant) = place.get() {
            return Ok(variant);
        }
        let program = Program { order, ..self.lowered.clone() };
        let variant = Variant::new(program, &self.bindings).map_err(|message| self.internal(&message))?;
        // Another thread may have been faster: then this one's is dropped.
        Ok(place.get_or_init(|| variant))
    }

    /// The program for a grid as it was before any pass, with the buffers of [`Compute::variant`].
    ///
    /// # Errors
    /// As [`Compute::variant`].
    pub(crate) fn reference(&self, grid: &Grid) -> Result<Program> {
        Ok(Program { order: self.variant(grid)?.program.order, ..self.lowered.clone() })
    }

    /// Compiles the variant for a grid; how long it took, zero where it was done.
    ///
    /// # Errors
    /// As [`Compute::variant`].
    pub(crate) fn prepare(&self, grid: &Grid) -> Result<Duration> {
        let start = Instant::now();
        let code = &self.variant(grid)?.codes[CpuLevel::detected() as usize];
        if code.get().is_some() {
            return Ok(Duration::ZERO);
        }
        self.variant(grid)?.code(CpuLevel::detected());
        Ok(start.elapsed())
    }

    /// The arithmetic of one invocation. `words` gives the words of one of [`Compute::bindings`] as far as the host has them, and
    /// how many there are.
    ///
    /// # Errors
    /// As [`Compute::variant`].
    pub(crate) fn operations<'a>(
        &self,
        grid: &Grid,
        data: impl Fn(usize) -> (Option<&'a [u8]>, usize),
    ) -> Result<Operations> {
        let variant = self.variant(grid)?;
        let known = |limit| match limit {
            Limit::Word { buffer, word } => match variant.buffers[buffer.index()] {
                Words::Data(at) => {
                    let at = data(at).0?.get(4 * word as usize..)?.first_chunk::<4>()?;
                    Some(u32::from_ne_bytes(*at))
                }
                Words::Size(_) => None,
            },
            Limit::Length { buffer, offset, stride } => match variant.buffers[buffer.index()] {
                Words::Data(at) => {
                    let words = (data(at).1 / 4).saturating_sub(offset as usize);
                    u32::try_from(words / stride as usize).ok()
                }
                Words::Size(_) => None,
            },
        };
        let counts = variant.cost.counts(&known);
        let invocations: f64 = grid.invocations.iter().map(|&n| f64::from(n)).product();
        // On average: those at the end of a row are shorter.
        let block = invocations / variant.code(CpuLevel::detected()).pieces(grid).max(1) as f64;
        Ok(Operations { counts, known: counts.unbounded == 0, block: Some(block) })
    }

    /// A bug in forall, which this says.
    #[cold]
    pub(crate) fn internal(&self, message: &str) -> Error {
        Error::Internal { kernel: self.entry.clone(), message: message.to_owned() }
    }

    /// The variable a call means.
    pub(crate) fn named(&self, name: &str) -> Option<usize> {
        self.bindings.iter().position(|binding| binding.name == name)
    }

    /// The variable at a place.
    pub(crate) fn at(&self, group: u32, binding: u32) -> Option<usize> {
        self.bindings.iter().position(|b| (b.group, b.binding) == (group, binding))
    }

    /// The text, and the SPMD program for grids of long rows.
    pub(super) fn dump(&self) -> String {
        let program = self
            .ordered(self.lowered.order)
            .map_or_else(|error| error.to_string(), |v| v.program.to_string());
        format!("{}\n{program}", self.text)
    }
}

/// Reads, validates and lowers a text, on this thread's stack.
fn read(source: Source, options: &ShaderOptions) -> Result<Compute> {
    let text: Arc<str> = match scan::without_directives(&source.text) {
        Cow::Borrowed(_) => Arc::clone(&source.text),
        Cow::Owned(text) => text.into(),
    };
    let immediates = scan::immediates(&text);
    let (module, text) = match &immediates[..] {
        [] => (wgsl::parse(&source, &text)?, text),
        places => bind_immediates(&source, &text, places)?,
    };
    let mut reader = Reader { declarations: scan::declarations(&source.text), source };
    let entry = reader.entry_point(&module, options.entry.as_deref())?;
    reader.source.name.clone_from(&entry);
    let reader = reader;
    let constants = reader.constants(&module, &options.constants)?;
    let info = wgsl::validate(&reader.source, &module, capabilities())?;

    let stage = Some((ShaderStage::Compute, entry.as_str()));
    let mut values = PipelineConstants::default();
    values.extend(constants.iter().cloned());
    let (resolved, info) = process_overrides(&module, &info, stage, &values)
        .map_err(|error| reader.constant_error(&module, error))?;
    let mut resolved: Cow<'_, Module> = resolved;
    reader.size_arrays(&mut resolved)?;

    let position = resolved
        .entry_points
        .iter()
        .position(|e| e.name == entry && e.stage == ShaderStage::Compute)
        .ok_or_else(|| reader.internal("naga has lost the entry point"))?;
    let workgroup_size = resolved.entry_points[position].workgroup_size;
    reader.workgroup_fits(&entry, workgroup_size)?;
    let (bindings, mut unused) =
        reader.bindings(&resolved, |global| !info.get_entry_point(position)[global].is_empty())?;
    if matches!(resolved, Cow::Owned(_)) {
        // What the entry point does not use is gone from the resolved module; naming it in a call is no mistake.
        let (all, others) = reader.bindings(&module, |_| false)?;
        unused =
            all.into_iter().chain(others).filter(|b| !bindings.iter().any(|o| o.name == b.name)).collect();
    }

    let lowered = lower(&resolved, &info, &entry).map_err(|unsupported| {
        let place = unsupported.span.to_range().or_else(|| reader.function_place(&entry));
        let help = match &*unsupported.construct {
            limit if limit.contains("more than") => "write a smaller or flatter shader",
            atomic if atomic.contains("read-only") => "declare the variable var<storage, read_write>",
            _ => "forall runs WGSL's compute shaders in f32, i32, u32, f16 and bool, without samplers",
        };
        reader.source.unsupported_in("a compute shader", place, &unsupported.construct, help)
    })?;
    let compute = Compute {
        entry,
        text,
        constants,
        workgroup_size,
        bindings,
        unused,
        lowered,
        rows: OnceLock::new(),
        workgroups: OnceLock::new(),
    };
    // The variant that most grids use; another one does not fail where this has not.
    let variant = compute.ordered(compute.lowered.order)?;
    if compute.lowered.order == Order::Workgroups && !variant.fits() {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let (takes, most) = (mib(variant.code(CpuLevel::detected()).bytes()), mib(Code::MAX_BYTES));
        let construct = format!("a workgroup whose variables take {takes} MiB (at most {most})");
        let help = "make the workgroup, or the arrays that each of its invocations has, smaller";
        let place = reader.function_place(&compute.entry);
        return Err(reader.source.unsupported_in("a compute shader", place, &construct, help));
    }
    Ok(compute)
}

/// Immediate data become a read-only buffer with a binding that is free: an address space of their own is a feature that few GPUs
/// are opened with, and a launch binds all data alike. All have the one binding, as an entry point uses one of them at most.
fn bind_immediates(source: &Source, text: &str, places: &[Range<usize>]) -> Result<(Module, Arc<str>)> {
    // As many bytes as it was, so that every place stays: only `push_constant` must change for naga.
    let mut named = text.to_owned();
    for place in places {
        let word = text[place.clone()].replace("push_constant", "immediate    ");
        named.replace_range(place.clone(), &word);
    }
    let mut module = wgsl::parse(source, &named)?;
    let taken = |n: u32| {
        let at = ResourceBinding { group: 0, binding: n };
        module.global_variables.iter().any(|(_, variable)| variable.binding == Some(at))
    };
    let binding = (0..).find(|&n| !taken(n)).unwrap_or_default();
    for (_, variable) in module.global_variables.iter_mut() {
        if variable.space == AddressSpace::Immediate {
            variable.space = AddressSpace::Storage { access: StorageAccess::LOAD };
            variable.binding = Some(ResourceBinding { group: 0, binding });
        }
    }
    let buffer = format!("@group(0) @binding({binding}) var<storage, read>");
    let mut bound = text.to_owned();
    for place in places.iter().rev() {
        bound.replace_range(place.clone(), &buffer);
    }
    Ok((module, bound.into()))
}

struct Reader {
    source: Source,
    declarations: scan::Declarations,
}

impl Reader {
    /// Where something of that name is declared.
    fn place(&self, name: &str) -> Option<Range<usize>> {
        let names = &self.declarations.names;
        names.iter().find(|place| &self.source.text[(*place).clone()] == name).cloned()
    }

    fn function_place(&self, name: &str) -> Option<Range<usize>> {
        let functions = &self.declarations.functions;
        functions.iter().map(|f| &f.name).find(|place| &self.source.text[(*place).clone()] == name).cloned()
    }

    fn internal(&self, message: &str) -> Error {
        Error::Internal { kernel: self.source.name.clone(), message: message.to_owned() }
    }

    /// The name of the entry point that is meant.
    fn entry_point(&self, module: &Module, wanted: Option<&str>) -> Result<String> {
        let compute: Vec<&str> = module
            .entry_points
            .iter()
            .filter(|entry| entry.stage == ShaderStage::Compute)
            .map(|entry| entry.name.as_str())
            .collect();
        let invalid = |message: &str, note: String| Err(self.source.invalid(None, message, "", &[note]));
        match (wanted, &compute[..]) {
            (_, []) => invalid(
                "there is no compute entry point in the text",
                "write `@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { … }`; a function of \
                 one element is a kernel by Kernel::map"
                    .to_owned(),
            ),
            (Some(wanted), all) if all.contains(&wanted) => Ok(wanted.to_owned()),
            (Some(wanted), all) => invalid(
                &format!("there is no compute entry point `{wanted}`"),
                format!("the text has: {}", all.join(", ")),
            ),
            (None, [only]) => Ok((*only).to_owned()),
            (None, all) => invalid(
                &format!("the text has {} compute entry points: {}", all.len(), all.join(", ")),
                format!("choose one: ShaderOptions::new().entry(\"{}\")", all[0]),
            ),
        }
    }

    /// The constants given, under the names naga knows them by.
    fn constants(&self, module: &Module, given: &[(String, f64)]) -> Result<Vec<(String, f64)>> {
        let mut known = Vec::new();
        for (name, value) in given {
            let id = name.parse::<u16>().ok();
            let is_meant =
                |o: &naga::Override| o.name.as_deref() == Some(name) || (o.id.is_some() && o.id == id);
            let Some((_, found)) = module.overrides.iter().find(|(_, o)| is_meant(o)) else {
                let names: Vec<String> = module.overrides.iter().map(|(_, o)| constant_name(o)).collect();
                let note = match &names[..] {
                    [] => "the text declares none: write `override name: f32;` at module scope".to_owned(),
                    names => format!("the text has: {}", names.join(", ")),
                };
                let message = format!("there is no override constant `{name}`");
                return Err(self.source.invalid(None, &message, "", &[note]));
            };
            if let TypeInner::Scalar(scalar) = module.types[found.ty].inner
                && let Some(expected) = misfit(scalar, *value)
            {
                let declared = found.name.as_deref().unwrap_or(name);
                let message = format!("the constant `{name}` got {value}, expected {expected}");
                return Err(self.source.invalid(self.place(declared), &message, "", &[]));
            }
            let key = found.id.map_or_else(|| name.clone(), |id| id.to_string());
            if known.iter().any(|(other, _)| *other == key) {
                let message = format!("the constant `{name}` is given twice, by name and by @id");
                return Err(self.source.invalid(None, &message, "", &[]));
            }
            known.push((key, *value));
        }
        Ok(known)
    }

    fn constant_error(&self, module: &Module, error: PipelineConstantError) -> Error {
        match error {
            PipelineConstantError::MissingValue(key) | PipelineConstantError::NotFound(key) => {
                let is_meant = |o: &naga::Override| {
                    o.id.map_or(o.name.as_deref() == Some(&key), |id| id.to_string() == key)
                };
                let found = module.overrides.iter().find(|(_, o)| is_meant(o));
                let name = found.and_then(|(_, o)| o.name.clone()).unwrap_or(key);
                let message = format!("the constant `{name}` has no value");
                let note = format!(
                    "give it one, ShaderOptions::new().constant(\"{name}\", 1), or a default in the text"
                );
                self.source.invalid(self.place(&name), &message, "", &[note])
            }
            PipelineConstantError::NegativeWorkgroupSize => {
                let message = "the workgroup size is not positive with these constants";
                self.source.invalid(self.function_place(&self.source.name), message, "", &[])
            }
            PipelineConstantError::ValidationError(error) => {
                let Explanation { message, place, help } = validity::explain(module, &error);
                let message = format!("with these constants: {message}");
                self.source.invalid(place, &message, "", help.as_slice())
            }
            other => self.source.invalid(None, &format!("with these constants: {other}"), "", &[]),
        }
    }

    /// Arrays of workgroup memory whose length is an `override` get the length it has: naga leaves that to its back ends.
    fn size_arrays(&self, module: &mut Cow<'_, Module>) -> Result<()> {
        let mut sized = Vec::new();
        for (handle, ty) in module.types.iter() {
            let TypeInner::Array { base, size: size @ ArraySize::Pending(_), stride } = ty.inner else {
                continue;
            };
            let length = match size.resolve(module.to_ctx()) {
                Ok(IndexableLength::Known(length)) => NonZeroU32::new(length),
                _ => None,
            };
            let length = length.ok_or_else(|| {
                let message = "the length of an array is not positive with these constants";
                self.source.invalid(module.types.get_span(handle).to_range(), message, "", &[])
            })?;
            // A name of its own: a type must not be there twice, and another array may have this length.
            let name = Some(format!("{}, sized", handle.index()));
            let inner = TypeInner::Array { base, size: ArraySize::Constant(length), stride };
            sized.push((handle, naga::Type { name, inner }));
        }
        if !sized.is_empty() {
            let types = &mut module.to_mut().types;
            sized.into_iter().for_each(|(handle, ty)| types.replace(handle, ty));
        }
        Ok(())
    }

    fn workgroup_fits(&self, entry: &str, size: [u32; 3]) -> Result<()> {
        let whole = size.iter().map(|&n| u64::from(n)).product::<u64>();
        if whole <= MAX_WORKGROUP {
            return Ok(());
        }
        let [x, y, z] = size;
        let construct =
            format!("a workgroup of {x} × {y} × {z} = {whole} invocations (at most {MAX_WORKGROUP})");
        let help = "make the workgroup smaller and launch more of them";
        Err(self.source.unsupported_in("a compute shader", self.function_place(entry), &construct, help))
    }

    /// The variables that `is_used` and those that are not, ordered by group and binding.
    fn bindings(
        &self,
        module: &Module,
        is_used: impl Fn(naga::Handle<naga::GlobalVariable>) -> bool,
    ) -> Result<(Vec<Binding>, Vec<Binding>)> {
        let reflect = Reflect::new(module).map_err(|message| self.internal(&message))?;
        let (mut used, mut unused) = (Vec::new(), Vec::new());
        for (handle, variable) in module.global_variables.iter() {
            match (reflect.binding(handle), is_used(handle)) {
                (Ok(Some(binding)), true) => used.push(binding),
                (Ok(Some(binding)), false) => unused.push(binding),
                (Ok(None), _) | (Err(_), false) => {}
                (Err(construct), true) => {
                    let span = || module.global_variables.get_span(handle).to_range();
                    let place =
                        variable.name.as_deref().and_then(|name| self.variable_place(name)).or_else(span);
                    let help =
                        "bind storage and uniform buffers, and textures that are read without a sampler";
                    return Err(self.source.unsupported_in("a compute shader", place, &construct, help));
                }
            }
        }
        used.sort_by_key(|binding| (binding.group, binding.binding));
        Ok((used, unused))
    }

    fn variable_place(&self, name: &str) -> Option<Range<usize>> {
        let variables = &self.declarations.variables;
        variables.iter().map(|v| &v.name).find(|place| &self.source.text[(*place).clone()] == name).cloned()
    }
}

/// How a call names an override constant.
fn constant_name(constant: &naga::Override) -> String {
    let name = constant.name.as_deref().unwrap_or_default();
    constant.id.map_or_else(|| name.to_owned(), |id| format!("{name} (@id({id}))"))
}

/// What a constant of that type may be, where it cannot be `value`.
fn misfit(scalar: Scalar, value: f64) -> Option<&'static str> {
    let whole = |from: f64, to: f64| value.fract() == 0.0 && (from..=to).contains(&value);
    let (fits, expected) = match (scalar.kind, scalar.width) {
        (ScalarKind::Uint, 4) => {
            (whole(0.0, f64::from(u32::MAX)), "a whole number from 0 to 4294967295 (it is a u32)")
        }
        (ScalarKind::Sint, 4) => (
            whole(f64::from(i32::MIN), f64::from(i32::MAX)),
            "a whole number from -2147483648 to 2147483647 (it is an i32)",
        ),
        (ScalarKind::Float, 2) => (value.abs() < 65520.0, "a finite f16"),
        (ScalarKind::Float, _) => ((value as f32).is_finite(), "a finite f32"),
        _ => (!value.is_nan(), "a bool: 0 or 1"),
    };
    (!fits).then_some(expected)
}
