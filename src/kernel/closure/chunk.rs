//! The chunk form: a closure over slices, for code that brings its own loop and its own SIMD.

use super::elements::uniform;
use super::{Body, Closure};
use crate::cpu::CpuLevel;
use crate::element::Element;
use crate::kernel::{Field, Kernel, Param, Signature, Takes};
use crate::part::{Input, Output, Part};

/// A kernel in the making: its parameters in the order of a call, its outputs, then the [`body`](Self::body). Made by
/// [`Kernel::chunk`].
#[derive(Clone, Debug)]
#[must_use = "nothing is a kernel before its body"]
pub struct ChunkBuilder(Signature);

impl ChunkBuilder {
    /// A parameter that takes one value, the same for every element: [`Chunk::uniform`].
    pub fn uniform<T: Element>(self, name: &str) -> Self {
        self.param::<T>(name, Takes::Uniform)
    }

    /// A parameter that takes an array, one element each: [`Chunk::input`].
    pub fn input<T: Element>(self, name: &str) -> Self {
        self.param::<T>(name, Takes::Array)
    }

    /// A parameter that takes a whole array of any length: [`Chunk::whole`].
    pub fn whole<T: Element>(self, name: &str) -> Self {
        self.param::<T>(name, Takes::Whole)
    }

    /// An output: [`Chunk::output`].
    ///
    /// # Panics
    /// If there is an output of that name already.
    pub fn output<T: Element>(mut self, name: &str) -> Self {
        let Signature { name: kernel, outputs, .. } = &mut self.0;
        assert!(outputs.iter().all(|output| output.name != name), "{kernel}: two outputs are named `{name}`");
        outputs.push(Field { name: name.to_owned(), ty: T::TYPE });
        self
    }

    /// The kernel. `body` is called for one run of consecutive elements after the other, from several threads, and must
    /// write every element of every output, each from the inputs of that element and from whole arrays alone.
    ///
    /// # Panics
    /// If the kernel has no output.
    pub fn body(self, body: impl Fn(&mut Chunk<'_>) + Send + Sync + 'static) -> Kernel {
        let signature = self.0;
        assert!(!signature.outputs.is_empty(), "{}: a kernel has at least one output", signature.name);
        let fields = signature.clone();
        let run = move |level: CpuLevel, part: Part<'_>| {
            if part.n > 0 {
                let outputs = part.outputs.into_iter().map(Some).collect();
                body(&mut Chunk {
                    signature: &fields,
                    start: part.start,
                    n: part.n,
                    level,
                    inputs: &part.inputs,
                    outputs,
                });
            }
        };
        Body { signature, closure: Closure::new("chunk", run) }.into_kernel()
    }

    fn param<T: Element>(mut self, name: &str, takes: Takes) -> Self {
        let Signature { name: kernel, params, .. } = &mut self.0;
        assert!(
            params.iter().all(|param| param.field.name != name),
            "{kernel}: two parameters are named `{name}`"
        );
        params.push(Param { field: Field { name: name.to_owned(), ty: T::TYPE }, takes });
        self
    }
}

/// A run of consecutive elements, as a chunk body sees it.
#[derive(Debug)]
pub struct Chunk<'a> {
    signature: &'a Signature,
    start: usize,
    n: usize,
    level: CpuLevel,
    inputs: &'a [Input<'a>],
    outputs: Vec<Option<Output<'a>>>,
}

impl<'a> Chunk<'a> {
    /// Index of the first element in the whole loop.
    pub const fn start(&self) -> usize {
        self.start
    }

    /// Elements in this run, at least one: the length of every input and output.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub const fn len(&self) -> usize {
        self.n
    }

    /// The CPU level to use, as `fearless_simd` proves it; `dispatch!` compiles a loop for each.
    ///
    /// # Panics
    /// Never.
    pub fn level(&self) -> fearless_simd::Level {
        self.level.to_simd().expect("levels come from CpuLevel::available")
    }

    /// The value of a uniform.
    ///
    /// # Panics
    /// If the kernel has no uniform of that name and type.
    pub fn uniform<T: Element>(&self, name: &str) -> T {
        match self.bound::<T>(name, Takes::Uniform) {
            Input::Uniform { bytes, ty } => uniform(bytes, *ty),
            _ => unreachable!("launch binds uniforms to parameters that take nothing else"),
        }
    }

    /// This run's elements of an input.
    ///
    /// # Panics
    /// If the kernel has no input array of that name and type.
    pub fn input<T: Element>(&self, name: &str) -> &'a [T] {
        match *self.bound::<T>(name, Takes::Array) {
            Input::Array { data, .. } => bytemuck::cast_slice(data),
            _ => unreachable!("launch binds arrays to parameters that take nothing else"),
        }
    }

    /// All of a whole array.
    ///
    /// # Panics
    /// If the kernel has no whole array of that name and type.
    pub fn whole<T: Element>(&self, name: &str) -> &'a [T] {
        match *self.bound::<T>(name, Takes::Whole) {
            Input::Whole { data, .. } => bytemuck::cast_slice(data),
            _ => unreachable!("launch binds whole arrays to parameters that take nothing else"),
        }
    }

    /// This run's elements of an output, to be written. What they hold before is not defined. Several outputs may be held at
    /// once; each is handed out once.
    ///
    /// # Panics
    /// If the kernel has no output of that name and type, or it was handed out before.
    pub fn output<T: Element>(&mut self, name: &str) -> &'a mut [T] {
        let kernel = &self.signature.name;
        let at = self.signature.outputs.iter().position(|field| field.name == name && field.ty == T::TYPE);
        let Some(at) = at else { panic!("{kernel}: there is no output `{name}` of {}", T::TYPE) };
        let Some(output) = self.outputs[at].take() else {
            panic!("{kernel}: output `{name}` was handed out before");
        };
        bytemuck::cast_slice_mut(output.data)
    }

    fn bound<T: Element>(&self, name: &str, takes: Takes) -> &'a Input<'a> {
        let param =
            |param: &Param| param.field.name == name && param.field.ty == T::TYPE && param.takes == takes;
        match self.signature.params.iter().position(param) {
            Some(at) => &self.inputs[at],
            None => panic!("{}: no parameter `{name}` takes {takes} of {}", self.signature.name, T::TYPE),
        }
    }
}

impl Kernel {
    /// A closure over slices, for code that brings its own loop and its own SIMD, on the CPU backends.
    ///
    /// # Examples
    /// ```
    /// use forall::Kernel;
    ///
    /// let saxpy = Kernel::chunk("saxpy")
    ///     .uniform::<f32>("a")
    ///     .input::<f32>("x")
    ///     .input::<f32>("y")
    ///     .output::<f32>("out")
    ///     .body(|chunk| {
    ///         let a: f32 = chunk.uniform("a");
    ///         let (x, y): (&[f32], &[f32]) = (chunk.input("x"), chunk.input("y"));
    ///         for ((out, x), y) in chunk.output::<f32>("out").iter_mut().zip(x).zip(y) {
    ///             *out = a * x + y;
    ///         }
    ///     });
    /// assert_eq!(saxpy.signature().params[2].field.name, "y");
    /// ```
    pub fn chunk(name: &str) -> ChunkBuilder {
        ChunkBuilder(Signature { name: name.to_owned(), params: Vec::new(), outputs: Vec::new() })
    }
}
