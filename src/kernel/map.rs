//! The WGSL function body of a kernel, and the variants compiled from it, one for each way of binding its parameters.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::element::ElementType;
use crate::error::Result;
use crate::kernel::generate::{Target, generate};
use crate::kernel::shader::Shader;
use crate::kernel::wgsl::{self, Body, Slot};
use crate::kernel::{Field, Inner, Kernel, Param, Signature, Takes};
use crate::part::Shape;

impl Kernel {
    /// A kernel from a WGSL function of one element: `out[i] = f(x[i], y[i], …)`.
    ///
    /// With several functions in the text, the kernel is the last one that no other function calls. Each parameter is bound
    /// by the call to a number, an array or [`Index`](crate::Index). A returned struct gives one output for each member.
    /// `var<storage, read> name: array<T>;` beside the function is an array that every element may read anywhere: the call
    /// binds it after the function's parameters.
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

    /// The compute shader for a GPU; `None` for a kernel without a WGSL body.
    pub(crate) fn shader(&self, shape: Shape) -> Result<Option<&Shader>> {
        self.0.wgsl.as_ref().map(|map| map.shader(shape)).transpose()
    }

    fn from_body(body: Body) -> Result<Self> {
        let map = Map { body, first: OnceLock::new() };
        let signature = map.signature();
        Ok(Self(Arc::new(Inner { signature, wgsl: Some(Arc::new(map)), closure: None })))
    }
}

/// A function body with its compiled variants.
#[derive(Debug)]
pub(crate) struct Map {
    body: Body,
    first: OnceLock<Box<Variant>>,
}

/// A body compiled for one way of binding its parameters.
#[derive(Debug)]
pub(crate) struct Variant {
    shape: Shape,
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

    /// The compute shader for a GPU. Made at the first call for each shape.
    pub(crate) fn shader(&self, shape: Shape) -> Result<&Shader> {
        let variant = self.variant(shape)?;
        Ok(variant.shader.get_or_init(|| {
            let generated = generate(&self.body, shape, Target::Gpu);
            Shader { text: generated.text.into(), entry: generated.entry, bindings: generated.bindings }
        }))
    }

    /// The variant for a shape, compiled at the first call for it.
    pub(crate) fn variant(&self, shape: Shape) -> Result<&Variant> {
        let mut place = &self.first;
        loop {
            match place.get() {
                Some(variant) if variant.shape == shape => return Ok(variant),
                Some(variant) => place = &variant.next,
                None => {
                    let new = Box::new(Variant { shape, shader: OnceLock::new(), next: OnceLock::new() });
                    // Another thread may have been faster, with this shape or another: look again.
                    let _ = place.set(new);
                }
            }
        }
    }
}

impl Map {
    /// Compiles the variant for a shape; how long it took, zero where it was done.
    pub(crate) fn prepare(&self, shape: Shape) -> Result<Duration> {
        let start = Instant::now();
        self.variant(shape)?;
        Ok(start.elapsed())
    }

    /// Operations per element, in units of a simple f32 operation.
    pub(crate) fn operations(&self, shape: Shape) -> Result<f64> {
        self.variant(shape)?;
        Ok(16.0)
    }
}
