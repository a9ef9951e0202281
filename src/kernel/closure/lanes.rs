//! The lanes form: a closure over `wide` vectors. Their instructions are those of the build, whatever the CPU has.

use super::form::{Form, Level, LoopBody, Parameter, Value, bind_uniform};
use crate::element::{Element, ElementType};
use crate::kernel::{Kernel, Takes};
use crate::part::Input;

/// The lanes form's name among types.
#[derive(Clone, Copy, Debug)]
pub enum Lanes {}

impl Form for Lanes {
    const NAME: &'static str = "lanes";

    #[inline(always)]
    fn compiled_for(_: Level, run: impl FnOnce()) {
        run();
    }
}

macro_rules! vectors {
    ($($vector:ident [$element:ty; $lanes:literal])*) => {$(
        impl Value<Lanes> for wide::$vector {
            type Element = $element;
            type Cell = [$element; $lanes];
            const LANES: usize = $lanes;

            #[inline(always)]
            fn load(cell: [$element; $lanes]) -> Self {
                Self::new(cell)
            }

            #[inline(always)]
            fn store(self) -> [$element; $lanes] {
                self.to_array()
            }
        }
    )*};
}
vectors! {
    f32x4 [f32; 4] f32x8 [f32; 8] f32x16 [f32; 16]
    i32x4 [i32; 4] i32x8 [i32; 8] i32x16 [i32; 16]
    u32x4 [u32; 4] u32x8 [u32; 8] u32x16 [u32; 16]
    f64x2 [f64; 2] f64x4 [f64; 4] f64x8 [f64; 8]
    i64x2 [i64; 2] i64x4 [i64; 4] i64x8 [i64; 8]
    u64x2 [u64; 2] u64x4 [u64; 4] u64x8 [u64; 8]
}

macro_rules! uniforms {
    ($($ty:ty),* $(,)?) => {$(
        impl Parameter<Lanes> for $ty {
            const TYPE: ElementType = <$ty as Element>::TYPE;
            const TAKES: Takes = Takes::Uniform;
            const LANES: usize = 0;
            type Buffer = ();
            type Bound<'a> = $ty;
            type Run<'r> = $ty;
            type Value<'r> = $ty;

            #[inline(always)]
            fn buffer() {}

            #[inline(always)]
            fn bind(input: &Input<'_>, _: usize, (): &mut ()) -> $ty {
                bind_uniform(input)
            }

            #[inline(always)]
            fn run(bound: &mut $ty, _: usize, _: usize) -> $ty {
                *bound
            }

            #[inline(always)]
            fn exactly<'r>(run: Self::Run<'r>, _: usize) -> Self::Run<'r> {
                run
            }

            #[inline(always)]
            fn value<'r>(run: Self::Run<'r>, _: usize) -> Self::Value<'r> {
                run
            }
        }
    )*};
}
uniforms!(f32, i32, u32, f64, i64, u64);
uniforms!([f32; 2], [f32; 3], [f32; 4], [i32; 2], [i32; 3], [i32; 4], [u32; 2], [u32; 3], [u32; 4]);

impl Kernel {
    /// `out[i] = body(a, x[i], y[i])`, with a closure over `wide` vectors, for the CPU backends.
    ///
    /// A vector parameter (`f32x8`, `u32x16`, `f64x4`, …: any `wide` type of 32- or 64-bit lanes) may be bound, at each
    /// call, to an array, to a number, which is in every lane, or, if its lanes are `u32`, to [`Index`](crate::Index). A plain
    /// number among the parameters is a uniform, and `&[T]` a whole array that every element may read. The closure returns
    /// one vector or a tuple of up to six, each an output. Up to twelve parameters; every one has its type written out.
    /// Vectors of different lengths in one closure do not compile.
    ///
    /// # Shapes
    /// Where the elements do not fill the last vector, its other lanes repeat the last element and what becomes of them is
    /// dropped: the closure sees no value that is not in the data.
    ///
    /// # Numerics
    /// The same bits at every thread count. `wide` picks its instructions when the program is built: a build with FMA may
    /// give other bits than one without.
    ///
    /// # Panics
    /// A panic in the closure reaches the caller of the loop; the outputs are then partly written.
    ///
    /// # Cost
    /// The vectors of a default x86-64 build are SSE2's, whatever the CPU has. `RUSTFLAGS=-Ctarget-cpu=native` changes that;
    /// so does [`Kernel::scalar`].
    ///
    /// # Examples
    /// ```
    /// use forall::Kernel;
    /// use wide::f32x8;
    ///
    /// let saxpy = Kernel::lanes("saxpy", |a: f32, x: f32x8, y: f32x8| a * x + y);
    /// assert_eq!(saxpy.signature().params.len(), 3);
    /// ```
    ///
    /// ```compile_fail,E0080
    /// use forall::Kernel;
    /// use wide::{f32x4, f32x8};
    ///
    /// let mixed = Kernel::lanes("mixed", |x: f32x8, y: f32x4| x);
    /// ```
    pub fn lanes<Args>(name: &str, body: impl LoopBody<Lanes, Args>) -> Self {
        body.into_body(name).into_kernel()
    }
}
