//! WHAT a loop is: its name, its parameters and outputs, and its body: a WGSL function, a closure, or both; or a whole
//! compute shader. Nothing here runs.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::cpu::CpuLevel;
use crate::element::ElementType;
use crate::error::{Error, Result};
use crate::part::{Part, Shape};
use crate::spmd::oracle::Fusion;

pub(crate) mod closure;
pub(crate) mod compute;
pub(crate) mod cost;
mod expression;
mod generate;
mod habit;
pub(crate) mod map;
mod scan;
pub(crate) mod shader;
mod source;
mod stack;
#[cfg(test)]
pub(crate) mod tests;
mod validity;
mod wgsl;

use cost::Counts;

pub use closure::chunk::{Chunk, ChunkBuilder};
pub(crate) use compute::number_bytes;
pub use compute::{Binding, BindingKind, Content, Fields, Layout, Member, ShaderOptions, TextureLayout};

/// A loop body, ready to launch: `out[i] = body(i, x[i], y[i])`. Cheap to clone; clones share compiled code.
#[derive(Clone)]
pub struct Kernel(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    signature: Signature,
    /// The WGSL body: runs on every backend.
    wgsl: Option<Arc<map::Map>>,
    /// The closure body: runs on the CPU backends, which prefer it to the WGSL body.
    closure: Option<closure::Closure>,
    /// A compute shader, which is launched and not run: then there is no other body, and nothing in the signature but the name.
    compute: Option<Arc<compute::Compute>>,
    remembered: Memo,
}

/// Room for what dispatching a kernel has taught. Not copied with the body: a kernel of two bodies is another kernel.
#[derive(Default)]
struct Memo(OnceLock<Box<dyn Any + Send + Sync>>);

impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What a kernel takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The kernel's name: of the WGSL function, or given with the closure.
    pub name: String,
    /// The inputs, in the order a call binds them: the function's parameters, then its whole arrays.
    pub params: Vec<Param>,
    /// The outputs: one, or one for each member of a returned struct.
    pub outputs: Vec<Field>,
}

/// A name and a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As the WGSL or the closure's builder names it.
    pub name: String,
    /// Its element type; a WGSL `bool` is a `u32` that is 0 or 1.
    pub ty: ElementType,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Name and type.
    pub field: Field,
    /// What may be bound to it.
    pub takes: Takes,
}

/// What may be bound to a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Takes {
    /// A scalar (the same for every element), an array (one element each), or, for a `u32`, [`Index`](crate::Index).
    Element,
    /// A scalar only.
    Uniform,
    /// An array only, one element each.
    Array,
    /// A whole array of any length, that every element may read anywhere: `var<storage, read>` beside the function.
    Whole,
}

impl Takes {
    /// What two bodies of one kernel can both be bound to, if anything.
    const fn both(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Element, Self::Uniform) | (Self::Uniform, Self::Element | Self::Uniform) => {
                Some(Self::Uniform)
            }
            (Self::Element, Self::Array) | (Self::Array, Self::Element | Self::Array) => Some(Self::Array),
            (Self::Element, Self::Element) => Some(Self::Element),
            (Self::Whole, Self::Whole) => Some(Self::Whole),
            _ => None,
        }
    }
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Element => "an element",
            Self::Uniform => "a uniform",
            Self::Array => "an array",
            Self::Whole => "a whole array",
        })
    }
}

/// Its name, and what it takes and gives; [`Kernel::dump`] shows what it was compiled to.
impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Signature { name, params, outputs } = self.signature();
        write!(f, "Kernel({name}: ")?;
        if self.0.compute.is_some() {
            let bindings: Vec<String> = self.bindings().iter().map(Binding::declared).collect();
            return write!(f, "{})", bindings.join(", "));
        }
        let field = |field: &Field| format!("{}: {}", field.name, field.ty);
        let params: Vec<String> = params.iter().map(|param| field(&param.field)).collect();
        let outputs: Vec<String> = outputs.iter().map(field).collect();
        write!(f, "({}) -> ({}))", params.join(", "), outputs.join(", "))
    }
}

impl Kernel {
    /// What the kernel takes and gives.
    pub fn signature(&self) -> &Signature {
        &self.0.signature
    }

    /// The same kernel, of which nothing is remembered yet: it shares the compiled code, and not what dispatching it has taught.
    pub(crate) fn twin(&self) -> Self {
        Self(Arc::new(Inner::clone(&self.0)))
    }

    /// The compute shader, if this kernel is one.
    pub(crate) fn compute(&self) -> Option<&Arc<compute::Compute>> {
        self.0.compute.as_ref()
    }

    /// What a room above remembers of this kernel, made by the first who asks; of one type only.
    pub(crate) fn remembered<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> &T {
        let remembered = self.0.remembered.0.get_or_init(|| Box::new(make()));
        remembered.downcast_ref().expect("one type is remembered")
    }

    /// The kernel's name.
    pub fn name(&self) -> &str {
        &self.0.signature.name
    }

    /// Runs every element of `part` on the calling thread: the closure if there is one, else the WGSL body.
    pub(crate) fn run(&self, part: Part<'_>) -> Result<()> {
        let level = CpuLevel::detected();
        // A closure looks at nothing while it runs.
        part.watch.check().map_err(|why| Error::stopped(self.name(), why))?;
        match (&self.0.closure, &self.0.wgsl) {
            (Some(closure), _) => closure.run(level, part),
            (None, Some(map)) => map.run(level, part)?,
            (None, None) => {
                return Err(Error::Internal {
                    kernel: self.name().to_owned(),
                    message: "the kernel has no body".to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// For comparing backends with each other.
impl Kernel {
    /// Runs every element of `part` on the calling thread by the WGSL body, whatever other one there is; `None` where there
    /// is no WGSL body.
    pub(crate) fn run_wgsl(&self, level: CpuLevel, part: Part<'_>) -> Option<Result<()>> {
        self.0.wgsl.as_ref().map(|map| map.run(level, part))
    }

    /// The same on the reference interpreter, from the program as it was before any pass.
    pub(crate) fn run_reference(&self, fusion: Fusion, part: Part<'_>) -> Option<Result<()>> {
        self.0.wgsl.as_ref().map(|map| map.run_reference(fusion, part))
    }

    /// Whether the CPU backends run a closure.
    pub(crate) fn has_closure(&self) -> bool {
        self.0.closure.is_some()
    }
}

/// How much arithmetic one element of a call takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Operations {
    /// By class.
    pub counts: Counts,
    /// Whether that was read off the body. Otherwise it is a guess: a closure tells nothing, and a loop on computed values goes
    /// round as often as it likes.
    pub known: bool,
    /// Elements that the interpreter computes together, beginning each operation once for all of them; `None` for native code.
    pub block: Option<f64>,
}

/// What is asked of a kernel before it runs.
impl Kernel {
    /// Elements that take about as long as one, because they are computed together: lanes of a vector, or so many lanes of the
    /// block interpreter that the work outweighs its dispatch, which is paid once for a run.
    pub(crate) fn width(&self) -> usize {
        /// An estimate, between 64 (`logistic_map` of 1000 elements in such pieces on two threads took five times what it took
        /// on one, `cargo bench --bench logistic_map`) and a full block of 1024.
        const INTERPRETED: usize = 256;
        self.0.closure.as_ref().map_or(INTERPRETED, closure::Closure::width)
    }

    /// Elements that are computed together: so many at once are the cheapest, each.
    pub(crate) fn block(&self) -> usize {
        /// A whole block of the SPMD interpreter, which pays its dispatch per block and not per element.
        const INTERPRETED: usize = 1024;
        self.0.closure.as_ref().map_or(INTERPRETED, closure::Closure::width)
    }

    /// Whether there is a WGSL body: what a GPU can run.
    pub(crate) fn has_wgsl(&self) -> bool {
        self.0.wgsl.is_some()
    }

    /// Compiles the body that the CPU backends run for parameters bound like that; how long it took, zero where it was done.
    ///
    /// # Errors
    /// Those of compiling the WGSL body.
    pub(crate) fn prepare(&self, shape: Shape) -> Result<Duration> {
        match (&self.0.closure, &self.0.wgsl) {
            (None, Some(map)) => map.prepare(shape),
            _ => Ok(Duration::ZERO),
        }
    }

    /// The arithmetic of one element of this call, in the body that the CPU backends run.
    ///
    /// # Errors
    /// Those of compiling the WGSL body.
    pub(crate) fn operations(&self, part: &Part<'_>) -> Result<Operations> {
        /// Simple operations that a closure is taken to cost.
        const CLOSURE: f64 = 16.0;
        match (&self.0.closure, &self.0.wgsl) {
            (None, Some(map)) => map.operations(part),
            _ => {
                let counts = Counts { simple: CLOSURE, ..Counts::default() };
                Ok(Operations { counts, known: false, block: None })
            }
        }
    }
}
