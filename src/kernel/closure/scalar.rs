//! The scalar form: a closure over plain numbers. The loop around it is compiled for every CPU level and chosen at run time,
//! so that the compiler vectorises the closure for the CPU at hand even in a build for the oldest.

use fearless_simd::{Simd as _, dispatch};

use super::form::{Form, Level, LoopBody, Value};
use crate::element::Element;
use crate::kernel::Kernel;

/// The scalar form's name among types.
#[derive(Clone, Copy, Debug)]
pub enum Scalar {}

impl Form for Scalar {
    const NAME: &'static str = "scalar";

    #[inline(always)]
    fn compiled_for(level: Level, run: impl FnOnce()) {
        let level = level.0.to_simd().expect("levels come from CpuLevel::available");
        dispatch!(level, simd => simd.vectorize(run));
    }
}

impl<E: Element> Value<Scalar> for E {
    type Element = E;
    type Cell = E;
    const LANES: usize = 1;

    #[inline(always)]
    fn load(cell: E) -> E {
        cell
    }

    #[inline(always)]
    fn store(self) -> E {
        self
    }
}

impl Kernel {
    /// `out[i] = body(a, x[i], y[i])`, with a closure over plain numbers, for the CPU backends.
    ///
    /// Each parameter is an [`Element`] type by value (`f32`, `u32`, `f64`, `[f32; 3]`, …) and may be bound, at each call, to a
    /// number, to an array, or, if it is a `u32`, to [`Index`](crate::Index). A parameter `&[T]` is a whole array that
    /// every element may read. The closure returns one value, or a tuple of up to six, each an output. Up to twelve
    /// parameters; every one has its type written out.
    ///
    /// # Shapes
    /// The closure is called exactly once for each element, in any order and from several threads.
    ///
    /// # Numerics
    /// The same bits at every CPU level and thread count: nothing is contracted or reordered. (Which payload a NaN has that
    /// arithmetic makes is not defined by Rust.)
    ///
    /// # Panics
    /// A panic in the closure reaches the caller of the loop; the outputs are then partly written.
    ///
    /// # Cost
    /// What the compiler makes of the loop. A closure of more than some hundred operations, or one that calls functions,
    /// vectorises only if everything in it is inlined: write `#[inline(always)]` before the closure and on the functions that
    /// it calls. Calls into the system's mathematics (`f32::exp`, `f32::sin`) stay scalar; `f32::mul_add` is a single
    /// instruction where the CPU has it and a slow call where it has not.
    ///
    /// # Examples
    /// ```
    /// use forall::Kernel;
    ///
    /// let saxpy = Kernel::scalar("saxpy", |a: f32, x: f32, y: f32| a * x + y);
    /// let polar = Kernel::scalar("polar", #[inline(always)] |r: f64, t: f64| (r * t.cos(), r * t.sin()));
    /// let gather = Kernel::scalar("gather", |i: u32, table: &[f32]| table.get(i as usize).copied().unwrap_or(f32::NAN));
    /// assert_eq!(polar.signature().outputs.len(), 2);
    /// # let _ = (saxpy, gather);
    /// ```
    pub fn scalar<Args>(name: &str, body: impl LoopBody<Scalar, Args>) -> Self {
        body.into_body(name).into_kernel()
    }
}
