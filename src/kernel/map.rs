//! The WGSL function body of a kernel, and the variants compiled from it, one for each way of binding its parameters.

use std::cell::OnceCell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use naga::ResourceBinding;
use smallvec::SmallVec;

use crate::cancel::{Stopped, Watch};
use crate::cpu::CpuLevel;
use crate::element::ElementType;
use crate::error::{Error, Result};
use crate::kernel::cost::{Cost, Limit};
use crate::kernel::expression;
use crate::kernel::generate::{Target, generate, whole_binding};
use crate::kernel::shader::{Binding, Shader};
use crate::kernel::wgsl::{self, Body, Slot};
use crate::kernel::{Field, Inner, Kernel, Memo, Operations, Param, Signature, Takes, stack};
use crate::part::{Bound, Input, Part, Shape};
use crate::spmd::block::Code;
use crate::spmd::grid::Grid;
use crate::spmd::ir::Program;
use crate::spmd::lower::lower_alone;
use crate::spmd::memory::BufferData;
use crate::spmd::oracle::{Fusion, run_watched};
use crate::spmd::passes;

impl Kernel {
    /// A kernel from a WGSL function of one element: `out[i] = f(x[i], y[i], …)`.
    ///
    /// With several functions in the text, the kernel is the last one that no other function calls. Each parameter is bound
    /// by the call to a number, an array or [`Index`](crate::Index). A returned struct gives one output for each member.
    /// `var<storage, read> name: array<T>;` beside the function is an array that every element may read anywhere: the call
    /// binds it after the function's parameters. An `array<vec3<f32>>` has rows of 16 bytes there: bind `[f32; 4]` rows, of
    /// which the fourth number is not read. (A `vec3<f32>` parameter or output is a packed `[f32; 3]`.)
    ///
    /// # Errors
    /// [`Error::Wgsl`](crate::Error::Wgsl) for text that is not valid WGSL, [`Error::Unsupported`](crate::Error::Unsupported)
    /// for what a map kernel cannot have. Both show the place in `wgsl`.
    ///
    /// # Examples
    /// ```
    /// let saxpy = forall::Kernel::map("fn saxpy(a: f32, x: f32, y: f32) -> f32 { return a * x + y; }")?;
    /// assert_eq!(saxpy.name(), "saxpy");
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn map(wgsl: &str) -> Result<Self> {
        Self::from_body(wgsl::read(wgsl, None)?)
    }

    /// The same from the function of that name, whatever other functions the text has.
    ///
    /// # Errors
    /// As [`Kernel::map`], and [`Error::Wgsl`](crate::Error::Wgsl) if there is no such function.
    pub fn map_named(wgsl: &str, function: &str) -> Result<Self> {
        Self::from_body(wgsl::read(wgsl, Some(function))?)
    }

    /// A kernel from a bare WGSL expression over `inputs`: `out[i] = expression`. Its name is the expression's text.
    ///
    /// The result has the expression's type. A literal without a suffix takes the type of what it is combined with, as in
    /// WGSL: `2 * x` is an f32 where `x` is one.
    ///
    /// # Errors
    /// As [`Kernel::map`], with the place in the expression.
    ///
    /// # Examples
    /// ```
    /// use forall::{Element, Kernel};
    /// let kernel = Kernel::expression("sqrt(x*x + y*y)", &[("x", f32::TYPE), ("y", f32::TYPE)])?;
    /// assert_eq!(kernel.signature().outputs[0].ty, f32::TYPE);
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn expression(expression: &str, inputs: &[(&str, ElementType)]) -> Result<Self> {
        Self::from_body(expression::read(expression, inputs)?)
    }

    /// The compute shader for a GPU; `None` for a kernel without a WGSL body.
    #[cfg(feature = "gpu")]
    pub(crate) fn map_shader(&self, shape: Shape) -> Result<Option<&Shader>> {
        self.0.wgsl.as_ref().map(|map| map.shader(shape)).transpose()
    }

    /// What the WGSL body becomes when every parameter is bound to an array: the generated shader and its SPMD program. For
    /// people who debug forall or their kernel; the text is no stable format. Of a shader, its text and program. Empty for a
    /// kernel without a WGSL body.
    pub fn dump(&self) -> String {
        if let Some(compute) = &self.0.compute {
            return compute.dump();
        }
        let Some(map) = &self.0.wgsl else { return String::new() };
        let shape = map.arrays();
        let generated = generate(&map.body, shape, Target::Gpu);
        let program = map.variant(shape).map_or_else(|error| error.to_string(), |v| v.program.to_string());
        format!("{}\n{program}", generated.text)
    }

    fn from_body(body: Body) -> Result<Self> {
        let map = Map { body, first: OnceLock::new() };
        let signature = map.signature();
        // What cannot be run at all is refused here and not by the first call: one shape tells.
        map.variant(map.arrays())?;
        let (wgsl, remembered) = (Some(Arc::new(map)), Memo::default());
        Ok(Self(Arc::new(Inner { signature, wgsl, closure: None, compute: None, remembered })))
    }
}

/// A function body with its compiled variants.
#[derive(Debug)]
pub(crate) struct Map {
    body: Body,
    first: OnceLock<Box<Variant>>,
}

/// CPU levels there are, on any architecture.
const LEVELS: usize = CpuLevel::WasmSimd128 as usize + 1;

/// A body compiled for one way of binding its parameters.
#[derive(Debug)]
pub(crate) struct Variant {
    shape: Shape,
    /// Optimised.
    pub program: Program,
    cost: Cost,
    /// What each of the program's buffers is bound to.
    buffers: Vec<Binding>,
    /// By CPU level, compiled when first used: every launch uses the detected one, tests the others.
    codes: [OnceLock<Code>; LEVELS],
    #[cfg(any(feature = "gpu", test))]
    shader: OnceLock<Shader>,
    /// Variants are a list that only grows, so that finding one takes no lock.
    next: OnceLock<Box<Variant>>,
}

impl Map {
    fn signature(&self) -> Signature {
        let field = |slot: &Slot| Field { name: slot.name.clone(), ty: slot.ty };
        let param =
            |name: &str, ty: ElementType, takes| Param { field: Field { name: name.to_owned(), ty }, takes };
        let params = self.body.params.iter().map(|slot| param(&slot.name, slot.ty, Takes::Element));
        let wholes = self.body.wholes.iter().map(|whole| param(&whole.name, whole.ty, Takes::Whole));
        Signature {
            name: self.body.source.name.clone(),
            params: params.chain(wholes).collect(),
            outputs: self.body.outputs.iter().map(field).collect(),
        }
    }

    /// The shape in which every parameter is bound to an array.
    fn arrays(&self) -> Shape {
        let arrays = self.body.params.iter().map(|_| Bound::Array);
        Shape::of(arrays.chain(self.body.wholes.iter().map(|_| Bound::Whole)))
    }

    /// The compute shader for a GPU. Made at the first call for each shape.
    #[cfg(any(feature = "gpu", test))]
    pub(crate) fn shader(&self, shape: Shape) -> Result<&Shader> {
        let variant = self.variant(shape)?;
        Ok(variant.shader.get_or_init(|| {
            let generated = generate(&self.body, shape, Target::Gpu);
            Shader { text: generated.text.into(), entry: generated.entry, bindings: generated.bindings }
        }))
    }

    /// Runs every element of `part` on the calling thread.
    pub(crate) fn run(&self, level: CpuLevel, mut part: Part<'_>) -> Result<()> {
        self.wholes_fit(&part)?;
        let variant = self.variant(part.shape())?;
        let stopped = |why| Error::stopped(&self.body.source.name, why);
        if part.n <= MAX_RUN {
            return variant.run(level, &mut part).map_err(stopped);
        }
        let mut start = 0;
        while start < part.n {
            let end = part.n.min(start + MAX_RUN);
            variant.run(level, &mut part.slice(start..end)).map_err(stopped)?;
            start = end;
        }
        Ok(())
    }

    /// The variant for a shape, if it is compiled.
    fn found(&self, shape: Shape) -> Option<&Variant> {
        let mut place = &self.first;
        while let Some(variant) = place.get() {
            if variant.shape == shape {
                return Some(variant);
            }
            place = &variant.next;
        }
        None
    }

    /// The variant for a shape, compiled at the first call for it.
    pub(crate) fn variant(&self, shape: Shape) -> Result<&Variant> {
        let mut place = &self.first;
        let mut new = None;
        loop {
            match place.get() {
                Some(variant) if variant.shape == shape => return Ok(variant),
                Some(variant) => place = &variant.next,
                None => {
                    let compiled = match new.take() {
                        Some(compiled) => compiled,
                        None => Box::new(self.compile(shape)?),
                    };
                    // Another thread may have been faster, with this shape or another: look again.
                    new = place.set(compiled).err();
                }
            }
        }
    }

    fn compile(&self, shape: Shape) -> Result<Variant> {
        let (program, buffers) = self.lower(shape, passes::optimise)?;
        Ok(Variant {
            shape,
            cost: Cost::of(&program),
            program,
            buffers,
            codes: Default::default(),
            #[cfg(any(feature = "gpu", test))]
            shader: OnceLock::new(),
            next: OnceLock::new(),
        })
    }

    /// The program after those passes, and what each of its buffers is bound to.
    fn lower(&self, shape: Shape, passes: fn(&mut Program)) -> Result<(Program, Vec<Binding>)> {
        let source = &self.body.source;
        let generated = generate(&self.body, shape, Target::Cpu);
        let program = stack::with_stack_for(&generated.text, source, || {
            let mut module = wgsl::parse(source, &generated.text).map_err(|error| self.internal(&error))?;
            for (i, whole) in self.body.wholes.iter().enumerate() {
                let binding = ResourceBinding { group: 0, binding: whole_binding(&self.body, shape, i) };
                let named = module.global_variables.iter_mut();
                for (_, variable) in named.filter(|(_, v)| v.name.as_deref() == Some(&whole.name)) {
                    variable.binding = Some(binding);
                }
            }
            let info =
                wgsl::validate(source, &module, wgsl::CAPABILITIES).map_err(|error| self.internal(&error))?;
            let mut program = lower_alone(&module, &info, &generated.entry).map_err(|unsupported| {
                let place = unsupported.span.to_range();
                let help = match &unsupported.construct {
                    limit if limit.contains("more than") => "write a smaller or flatter body",
                    _ => "a map kernel computes each element by itself, with f32, i32, u32 and bool",
                };
                source.unsupported(place, &unsupported.construct, help)
            })?;
            passes(&mut program);
            Ok(program)
        })?;
        let binding = |number: u32| generated.bindings.get(number as usize).copied();
        let buffers: Option<Vec<Binding>> =
            program.buffers.iter().map(|buffer| binding(buffer.binding.1)).collect();
        let Some(buffers) = buffers else {
            return Err(self.internal(&"a buffer of the program has no binding"));
        };
        Ok((program, buffers))
    }

    /// Runs every element of `part` on the reference interpreter.
    pub(crate) fn run_reference(&self, fusion: Fusion, mut part: Part<'_>) -> Result<()> {
        self.wholes_fit(&part)?;
        let (program, buffers) = self.lower(part.shape(), |_| {})?;
        let mut start = 0;
        while start < part.n {
            let end = part.n.min(start + MAX_RUN);
            let mut slice = part.slice(start..end);
            let grid = Grid::row(run_length(&slice), program.workgroup_size[0]);
            bind(&buffers, &mut slice, |buffers, watch| run_watched(&program, buffers, &grid, fusion, watch))
                .map_err(|why| Error::stopped(&self.body.source.name, why))?;
            start = end;
        }
        Ok(())
    }

    /// Whether `arrayLength` of every whole array is a `u32`, and each of its words has an index that is one.
    fn wholes_fit(&self, part: &Part<'_>) -> Result<()> {
        let params = self.body.params.len();
        for (whole, input) in self.body.wholes.iter().zip(&part.inputs[params..]) {
            if let Input::Whole { data, ty } = input {
                whole_fits(&self.body.source.name, &whole.name, data.len(), *ty)?;
            }
        }
        Ok(())
    }

    #[cold]
    fn internal(&self, message: &dyn fmt::Display) -> Error {
        Error::Internal { kernel: self.body.source.name.clone(), message: message.to_string() }
    }
}

pub(crate) fn whole_fits(kernel: &str, name: &str, bytes: usize, ty: ElementType) -> Result<()> {
    const MAX_WORDS: usize = u32::MAX as usize;
    if bytes / 4 <= MAX_WORDS {
        return Ok(());
    }
    Err(Error::TooLong {
        kernel: kernel.to_owned(),
        got: bytes / ty.size(),
        limit: MAX_WORDS * 4 / ty.size(),
        reason: format!("WGSL indexes the whole array `{name}` in u32, word by word"),
    })
}

/// Elements of one run: word indices of vectors of four stay below 2³².
const MAX_RUN: usize = 1 << 30;

/// Bytes of a run's arrays from which its outputs go past the caches: twice the 32 MiB that the last level usually has.
///
/// Measured with 32 MiB of it, saxpy on one thread, against plain stores: 0.7 times as fast at 12 MB, the same at 24 MB, 1.1 to
/// 1.3 times at 36 and 48 MB, 1.3 times at 72 MB, 1.2 to 2.6 times at 120 MB. Not lower, because what comes next may want the
/// outputs cached. Small pieces of a large loop, in a pool of two threads on two busy cores, were 0.7 times as fast: so
/// it is the run's own size that counts.
const STREAM_BYTES: usize = 64 << 20;

/// Buffers of a run that need no allocation.
type Buffers<'a> = SmallVec<[BufferData<'a>; 16]>;

impl Variant {
    /// The code for a level.
    pub(crate) fn code(&self, level: CpuLevel) -> &Code {
        self.codes[level as usize].get_or_init(|| Code::compile(&self.program, level))
    }

    /// Runs at most [`MAX_RUN`] elements.
    ///
    /// # Errors
    /// Where the part's watch has stopped it; the outputs are then partly written.
    pub(crate) fn run(&self, level: CpuLevel, part: &mut Part<'_>) -> std::result::Result<(), Stopped> {
        let (n, stream) = (run_length(part), part.bytes() > STREAM_BYTES);
        let code = self.code(level);
        bind(&self.buffers, part, |buffers, watch| code.run_row(buffers, n, watch, stream))
    }
}

/// The elements of a run.
fn run_length(part: &Part<'_>) -> u32 {
    u32::try_from(part.n).expect("at most MAX_RUN elements")
}

/// Runs `run` on the buffers of a program, of which `bindings` says what each one is.
fn bind<R>(
    bindings: &[Binding],
    part: &mut Part<'_>,
    run: impl FnOnce(&mut [BufferData<'_>], &Watch) -> R,
) -> R {
    // Where no parameter is bound to Index, base is unused; where one is, the launch has checked that it fits.
    let words = Shader::words(part, part.start as u32, run_length(part));
    let mut outputs = part.outputs.iter_mut();
    let mut next_output = 0;
    let mut buffers = Buffers::new();
    for binding in bindings {
        buffers.push(match *binding {
            Binding::Words => BufferData::Read(&words),
            Binding::Array(i) | Binding::Whole(i) => match part.inputs[i] {
                Input::Array { data, .. } | Input::Whole { data, .. } => {
                    BufferData::Read(bytemuck::cast_slice(data))
                }
                Input::Uniform { .. } | Input::Index => {
                    unreachable!("the shape says that it is an array")
                }
            },
            // Outputs are declared, and so listed, in their order; one that is never stored to is left out.
            Binding::Output(i) => {
                let output = outputs.nth(i - next_output).expect("outputs in order");
                next_output = i + 1;
                BufferData::Write(bytemuck::cast_slice_mut(output.data))
            }
        });
    }
    run(&mut buffers, &part.watch)
}

impl Map {
    /// Compiles the variant for a shape; how long it took, zero where it was done.
    pub(crate) fn prepare(&self, shape: Shape) -> Result<Duration> {
        let level = CpuLevel::detected();
        if self.found(shape).is_some_and(|variant| variant.codes[level as usize].get().is_some()) {
            return Ok(Duration::ZERO);
        }
        let start = Instant::now();
        self.variant(shape)?.code(level);
        Ok(start.elapsed())
    }

    /// The arithmetic of one element of this call.
    pub(crate) fn operations(&self, part: &Part<'_>) -> Result<Operations> {
        let variant = self.variant(part.shape())?;
        let words = OnceCell::new();
        let known = |limit| match limit {
            Limit::Word { buffer, word } => match variant.buffers[buffer.index()] {
                Binding::Words => {
                    let words = words.get_or_init(|| Shader::words(part, 0, 0));
                    words.get(word as usize).copied()
                }
                _ => None,
            },
            Limit::Length { buffer, offset, stride } => match variant.buffers[buffer.index()] {
                Binding::Whole(i) => match part.inputs[i] {
                    Input::Whole { data, .. } => {
                        u32::try_from((data.len() / 4).saturating_sub(offset as usize) / stride as usize).ok()
                    }
                    _ => None,
                },
                _ => None,
            },
        };
        let counts = variant.cost.counts(&known);
        let block = variant.code(CpuLevel::detected()).block_lanes();
        Ok(Operations { counts, known: counts.unbounded == 0, block: Some(block as f64) })
    }
}
