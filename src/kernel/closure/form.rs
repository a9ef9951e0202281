//! The loop that the lanes and the scalar form share: what a closure's parameters and results may be, and, for every number
//! of parameters, how a closure over them runs over the elements of a part.
//!
//! A *cell* is what one call of the closure takes from an array: an element in the scalar form, a vector's worth in the
//! lanes form. The inner loop goes over slices of cells that are function arguments, one each: the compiler then knows that
//! no output overlaps an input, and vectorises without a check at run time.

use bytemuck::{Pod, Zeroable};

use super::elements::{Buffer, Elements, RUN, uniform};
use super::lanes::Lanes;
use super::scalar::Scalar;
use super::{Body, Closure, default_output};
use crate::cpu::CpuLevel;
use crate::element::{Element, ElementType};
use crate::kernel::{Field, Param, Signature, Takes};
use crate::part::{Input, Part};

/// Which of the two forms: decides what a plain number among the parameters is.
pub trait Form: 'static {
    /// The name that debug output shows.
    const NAME: &'static str;

    /// Calls `run` in code compiled for `level`, or for the build's target where the form has no use for levels.
    #[doc(hidden)]
    fn compiled_for(level: Level, run: impl FnOnce());
}

/// [`CpuLevel`], opaque outside this crate.
#[derive(Clone, Copy, Debug)]
pub struct Level(pub(super) CpuLevel);

/// A closure whose parameters and results are what the form `F` may have. Implemented for every such closure of up to
/// twelve parameters; `Args` is the tuple of their types.
#[diagnostic::on_unimplemented(
    message = "this closure is no loop body of that form",
    label = "a parameter or result has a type that the form does not take, or has no type written",
    note = "write the type of every parameter: |a: f32, x: f32x8| for lanes, |a: f32, x: f32| for scalar",
    note = "results are one value or a tuple of up to six"
)]
pub trait LoopBody<F, Args>: Send + Sync + 'static {
    /// Forgets the types.
    #[doc(hidden)]
    fn into_body(self, name: &str) -> Body;
}

/// What one call of a closure takes from an array or gives to one: a number or a vector.
pub(super) trait Value<F>: Copy + 'static {
    /// The array's element type.
    type Element: Element;
    /// The same in memory: an element, or an array of `LANES` of them.
    type Cell: Pod;
    /// Elements in a cell.
    const LANES: usize;
    /// From memory.
    fn load(cell: Self::Cell) -> Self;
    /// To memory.
    fn store(self) -> Self::Cell;
}

/// A parameter of a closure.
pub(super) trait Parameter<F>: 'static {
    /// Element type.
    const TYPE: ElementType;
    /// What may be bound to it.
    const TAKES: Takes;
    /// Elements of one call, or 0 if the parameter does not advance.
    const LANES: usize;
    /// Room for values that are in no array.
    type Buffer;
    /// What is bound, for a whole part.
    type Bound<'a>;
    /// What is bound, for a run of elements.
    type Run<'r>: Copy;
    /// What the closure is called with: the parameter, for a lifetime that the closure cannot choose.
    type Value<'r>;
    /// An empty buffer.
    fn buffer() -> Self::Buffer;
    /// Reads what is bound; `start` is the index of the part's first element.
    fn bind<'a>(input: &Input<'a>, start: usize, buffer: &'a mut Self::Buffer) -> Self::Bound<'a>;
    /// Elements `at .. at + count` of the part. If `count` is not a multiple of the lanes it is less than them, and the
    /// last element is repeated: a closure never sees a value that is not in the caller's data.
    fn run<'r>(bound: &'r mut Self::Bound<'_>, at: usize, count: usize) -> Self::Run<'r>;
    /// The first `calls` calls of a run, in a form that shows the compiler that all of them are within bounds: a check left in
    /// the loop would make it run its last vector one element at a time.
    fn exactly<'r>(run: Self::Run<'r>, calls: usize) -> Self::Run<'r>;
    /// The argument of call `k` of a run.
    fn value<'r>(run: Self::Run<'r>, k: usize) -> Self::Value<'r>;
}

/// The values of one element-wise parameter, and room for a last cell that the part does not fill.
pub(super) struct Cells<'a, V: Value<F>, F> {
    elements: Elements<'a, V::Element>,
    last: V::Cell,
}

/// A plain number among vectors: the same for every element, and a plain number in the closure.
pub(super) fn bind_uniform<T: Element>(input: &Input<'_>) -> T {
    match input {
        Input::Uniform { bytes, ty } => uniform(bytes, *ty),
        _ => unreachable!("launch binds uniforms to parameters that take nothing else"),
    }
}

/// One output array's cells, or nothing where a closure has fewer results than [`Results`] has places.
pub(super) trait Output: Sized {
    /// The whole cells of the array, and the elements left over.
    fn split(data: &mut [u8]) -> (&mut [Self], &mut [u8]);
    /// Cells `at .. at + count`.
    fn run(cells: &mut [Self], at: usize, count: usize) -> &mut [Self];
    /// A cell to be overwritten.
    fn empty() -> Self;
    /// Writes the first elements of the cell to the elements left over.
    fn finish(self, rest: &mut [u8]);
}

impl<C: Pod> Output for C {
    #[inline(always)]
    fn split(data: &mut [u8]) -> (&mut [Self], &mut [u8]) {
        let whole = data.len() / size_of::<C>() * size_of::<C>();
        let (cells, rest) = data.split_at_mut(whole);
        (bytemuck::cast_slice_mut(cells), rest)
    }

    #[inline(always)]
    fn run(cells: &mut [Self], at: usize, count: usize) -> &mut [Self] {
        &mut cells[at..at + count]
    }

    #[inline(always)]
    fn empty() -> Self {
        Self::zeroed()
    }

    #[inline(always)]
    fn finish(self, rest: &mut [u8]) {
        rest.copy_from_slice(&bytemuck::bytes_of(&self)[..rest.len()]);
    }
}

/// No output.
pub(super) struct Nothing;

impl Output for Nothing {
    fn split(data: &mut [u8]) -> (&mut [Self], &mut [u8]) {
        (&mut [], data)
    }

    fn run(cells: &mut [Self], _: usize, _: usize) -> &mut [Self] {
        cells
    }

    fn empty() -> Self {
        Self
    }

    fn finish(self, _: &mut [u8]) {}
}

/// What a closure returns: one value, or a tuple of up to six, each an output array.
pub(super) trait Results<F> {
    /// Element types, in order.
    const TYPES: &'static [ElementType];
    /// Lanes, in order.
    const LANES: &'static [usize];
    /// The cells of each output.
    type O0: Output;
    type O1: Output;
    type O2: Output;
    type O3: Output;
    type O4: Output;
    type O5: Output;
    /// Writes the results of call `k` of a run.
    fn put(self, k: usize, outputs: Outputs<'_, F, Self>);
}

/// The outputs of a run of calls, one slice each.
type Outputs<'r, F, R> = (
    &'r mut [<R as Results<F>>::O0],
    &'r mut [<R as Results<F>>::O1],
    &'r mut [<R as Results<F>>::O2],
    &'r mut [<R as Results<F>>::O3],
    &'r mut [<R as Results<F>>::O4],
    &'r mut [<R as Results<F>>::O5],
);

macro_rules! tuple_results {
    ($form:ident: $(($($v:ident $o:ident $k:tt),*; $($rest:ident),*))*) => {$(
        impl<$($v: Value<$form>),*> Results<$form> for ($($v,)*) {
            const TYPES: &'static [ElementType] = &[$(<$v::Element as Element>::TYPE),*];
            const LANES: &'static [usize] = &[$($v::LANES),*];
            $(type $o = $v::Cell;)*
            $(type $rest = Nothing;)*

            #[inline(always)]
            fn put(self, k: usize, outputs: Outputs<'_, $form, Self>) {
                $(outputs.$k[k] = self.$k.store();)*
            }
        }
    )*};
}
/// What holds for the values of each form alike. Not one `impl` over all forms: the compiler would have to think of forms
/// that other crates may add, and of their tuples and slices.
macro_rules! form {
    ($form:ident) => {
        impl<V: Value<$form>> Parameter<$form> for V {
            const TYPE: ElementType = <V::Element as Element>::TYPE;
            const TAKES: Takes = Takes::Element;
            const LANES: usize = V::LANES;
            type Buffer = Buffer<V::Element>;
            type Bound<'a> = Cells<'a, V, $form>;
            type Run<'r> = &'r [V::Cell];
            type Value<'r> = V;

            #[inline(always)]
            fn buffer() -> Self::Buffer {
                Buffer::uninit()
            }

            #[inline(always)]
            fn bind<'a>(input: &Input<'a>, start: usize, buffer: &'a mut Self::Buffer) -> Self::Bound<'a> {
                Cells { elements: Elements::new(input, start, buffer), last: V::Cell::zeroed() }
            }

            #[inline(always)]
            fn run<'r>(bound: &'r mut Self::Bound<'_>, at: usize, count: usize) -> Self::Run<'r> {
                let elements = bound.elements.run(at, count);
                if count.is_multiple_of(V::LANES) {
                    return bytemuck::cast_slice(elements);
                }
                let last: &mut [V::Element] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut bound.last));
                last.fill(elements[count - 1]);
                last[..count].copy_from_slice(elements);
                std::slice::from_ref(&bound.last)
            }

            #[inline(always)]
            fn exactly<'r>(run: Self::Run<'r>, calls: usize) -> Self::Run<'r> {
                &run[..calls]
            }

            #[inline(always)]
            fn value<'r>(run: Self::Run<'r>, k: usize) -> Self::Value<'r> {
                V::load(run[k])
            }
        }

        /// A whole array, that every call may read anywhere.
        impl<T: Element> Parameter<$form> for &'static [T] {
            const TYPE: ElementType = <T as Element>::TYPE;
            const TAKES: Takes = Takes::Whole;
            const LANES: usize = 0;
            type Buffer = ();
            type Bound<'a> = &'a [T];
            type Run<'r> = &'r [T];
            type Value<'r> = &'r [T];

            #[inline(always)]
            fn buffer() {}

            #[inline(always)]
            fn bind<'a>(input: &Input<'a>, _: usize, (): &'a mut ()) -> &'a [T] {
                match *input {
                    Input::Whole { data, .. } => bytemuck::cast_slice(data),
                    _ => unreachable!("launch binds whole arrays to parameters that take them"),
                }
            }

            #[inline(always)]
            fn run<'r>(bound: &'r mut &[T], _: usize, _: usize) -> &'r [T] {
                bound
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

        impl<V: Value<$form>> Results<$form> for V {
            const TYPES: &'static [ElementType] = &[<V::Element as Element>::TYPE];
            const LANES: &'static [usize] = &[V::LANES];
            type O0 = V::Cell;
            type O1 = Nothing;
            type O2 = Nothing;
            type O3 = Nothing;
            type O4 = Nothing;
            type O5 = Nothing;

            #[inline(always)]
            fn put(self, k: usize, outputs: Outputs<'_, $form, Self>) {
                outputs.0[k] = self.store();
            }
        }

        tuple_results! {
            $form: (A O0 0; O1, O2, O3, O4, O5)
            (A O0 0, B O1 1; O2, O3, O4, O5)
            (A O0 0, B O1 1, C O2 2; O3, O4, O5)
            (A O0 0, B O1 1, C O2 2, D O3 3; O4, O5)
            (A O0 0, B O1 1, C O2 2, D O3 3, E O4 4; O5)
            (A O0 0, B O1 1, C O2 2, D O3 3, E O4 4, G O5 5;)
        }
    };
}
form!(Scalar);
form!(Lanes);

/// The one number of lanes of a closure's parameters and results.
const fn common_lanes(params: &[usize], results: &[usize]) -> usize {
    let lanes = results[0];
    let mut k = 0;
    while k < params.len() {
        assert!(
            params[k] == 0 || params[k] == lanes,
            "every vector of a lanes closure has the same number of lanes"
        );
        k += 1;
    }
    k = 0;
    while k < results.len() {
        assert!(results[k] == lanes, "every result of a lanes closure has the same number of lanes");
        k += 1;
    }
    assert!(RUN.is_multiple_of(lanes));
    lanes
}

fn signature(name: &str, params: &[(ElementType, Takes)], outputs: &[ElementType]) -> Signature {
    let param = |(k, &(ty, takes)): (usize, &(ElementType, Takes))| {
        let field = Field { name: format!("p{k}"), ty };
        Param { field, takes }
    };
    let output = |(k, &ty): (usize, &ElementType)| Field { name: default_output(k, outputs.len()), ty };
    Signature {
        name: name.to_owned(),
        params: params.iter().enumerate().map(param).collect(),
        outputs: outputs.iter().enumerate().map(output).collect(),
    }
}

/// One closure over parameters `P…`: the loop, once for every number of parameters.
macro_rules! loop_body {
    ($($p:ident $buffer:ident $bound:ident $run:ident $k:tt),*) => {
        impl<Func, F, R, $($p),*> LoopBody<F, ($($p,)*)> for Func
        where
            // The first bound lets the compiler read the types off the closure; the second says that a whole array's
            // lifetime is not the closure's to choose.
            Func: Fn($($p),*) -> R + for<'r> Fn($(<$p as Parameter<F>>::Value<'r>),*) -> R + Send + Sync + 'static,
            F: Form,
            R: Results<F>,
            $($p: Parameter<F>,)*
        {
            fn into_body(self, name: &str) -> Body {
                #[inline(always)]
                #[allow(clippy::too_many_arguments, reason = "those of the closure")]
                fn call<$($p,)* R>(f: &impl Fn($($p),*) -> R, $($run: $p),*) -> R {
                    f($($run),*)
                }

                #[inline(always)]
                #[allow(clippy::too_many_arguments, reason = "each slice is an argument of its own: see the module's head")]
                fn calls<'r, Func, F, R, $($p),*>(
                    f: &Func,
                    count: usize,
                    $($run: $p::Run<'r>,)*
                    o0: &mut [R::O0],
                    o1: &mut [R::O1],
                    o2: &mut [R::O2],
                    o3: &mut [R::O3],
                    o4: &mut [R::O4],
                    o5: &mut [R::O5],
                ) where
                    Func: Fn($($p::Value<'r>),*) -> R,
                    R: Results<F>,
                    $($p: Parameter<F>,)*
                {
                    $(let $run = $p::exactly($run, count);)*
                    let o0 = R::O0::run(o0, 0, count);
                    let o1 = R::O1::run(o1, 0, count);
                    let o2 = R::O2::run(o2, 0, count);
                    let o3 = R::O3::run(o3, 0, count);
                    let o4 = R::O4::run(o4, 0, count);
                    let o5 = R::O5::run(o5, 0, count);
                    for k in 0..count {
                        let result = call(f, $($p::value($run, k)),*);
                        result.put(k, (&mut *o0, &mut *o1, &mut *o2, &mut *o3, &mut *o4, &mut *o5));
                    }
                }

                let run = move |level: CpuLevel, mut part: Part<'_>| {
                    let lanes = const { common_lanes(&[$($p::LANES),*], R::LANES) };
                    let n = part.n;
                    $(let mut $buffer = $p::buffer();)*
                    let mut outputs = part.outputs.iter_mut().map(|output| &mut *output.data);
                    let mut data = || outputs.next().unwrap_or_default();
                    let (o0, rest0) = R::O0::split(data());
                    let (o1, rest1) = R::O1::split(data());
                    let (o2, rest2) = R::O2::split(data());
                    let (o3, rest3) = R::O3::split(data());
                    let (o4, rest4) = R::O4::split(data());
                    let (o5, rest5) = R::O5::split(data());
                    F::compiled_for(Level(level), #[inline(always)] || {
                        $(let mut $bound = $p::bind(&part.inputs[$k], part.start, &mut $buffer);)*
                            let whole = n - n % lanes;
                        let mut at = 0;
                        while at < whole {
                            let elements = RUN.min(whole - at);
                            let (cell, cells) = (at / lanes, elements / lanes);
                            calls::<Func, F, R, $($p),*>(
                                &self,
                                cells,
                                $($p::run(&mut $bound, at, elements),)*
                                R::O0::run(o0, cell, cells),
                                R::O1::run(o1, cell, cells),
                                R::O2::run(o2, cell, cells),
                                R::O3::run(o3, cell, cells),
                                R::O4::run(o4, cell, cells),
                                R::O5::run(o5, cell, cells),
                            );
                            at += elements;
                        }
                        if lanes > 1 && whole < n {
                            let mut last =
                                (R::O0::empty(), R::O1::empty(), R::O2::empty(), R::O3::empty(), R::O4::empty(), R::O5::empty());
                            calls::<Func, F, R, $($p),*>(
                                &self,
                                1,
                                $($p::run(&mut $bound, whole, n - whole),)*
                                std::slice::from_mut(&mut last.0),
                                std::slice::from_mut(&mut last.1),
                                std::slice::from_mut(&mut last.2),
                                std::slice::from_mut(&mut last.3),
                                std::slice::from_mut(&mut last.4),
                                std::slice::from_mut(&mut last.5),
                            );
                            last.0.finish(rest0);
                            last.1.finish(rest1);
                            last.2.finish(rest2);
                            last.3.finish(rest3);
                            last.4.finish(rest4);
                            last.5.finish(rest5);
                        }
                    });
                };
                Body {
                    signature: signature(name, &[$(($p::TYPE, $p::TAKES)),*], R::TYPES),
                    closure: Closure::new(F::NAME, run),
                }
            }
        }
    };
}
loop_body!(P0 u0 b0 r0 0);
loop_body!(P0 u0 b0 r0 0, P1 u1 b1 r1 1);
loop_body!(P0 u0 b0 r0 0, P1 u1 b1 r1 1, P2 u2 b2 r2 2);
loop_body!(P0 u0 b0 r0 0, P1 u1 b1 r1 1, P2 u2 b2 r2 2, P3 u3 b3 r3 3);
loop_body!(P0 u0 b0 r0 0, P1 u1 b1 r1 1, P2 u2 b2 r2 2, P3 u3 b3 r3 3, P4 u4 b4 r4 4);
loop_body!(P0 u0 b0 r0 0, P1 u1 b1 r1 1, P2 u2 b2 r2 2, P3 u3 b3 r3 3, P4 u4 b4 r4 4, P5 u5 b5 r5 5);
loop_body!(P0 u0 b0 r0 0, P1 u1 b1 r1 1, P2 u2 b2 r2 2, P3 u3 b3 r3 3, P4 u4 b4 r4 4, P5 u5 b5 r5 5, P6 u6 b6 r6 6);
loop_body!(P0 u0 b0 r0 0, P1 u1 b1 r1 1, P2 u2 b2 r2 2, P3 u3 b3 r3 3, P4 u4 b4 r4 4, P5 u5 b5 r5 5, P6 u6 b6 r6 6, P7 u7 b7 r7 7);
loop_body!(P0 u0 b0 r0 0, P1 u1 b1 r1 1, P2 u2 b2 r2 2, P3 u3 b3 r3 3, P4 u4 b4 r4 4, P5 u5 b5 r5 5, P6 u6 b6 r6 6, P7 u7 b7 r7 7, P8 u8 b8 r8 8);
loop_body!(P0 u0 b0 r0 0, P1 u1 b1 r1 1, P2 u2 b2 r2 2, P3 u3 b3 r3 3, P4 u4 b4 r4 4, P5 u5 b5 r5 5, P6 u6 b6 r6 6, P7 u7 b7 r7 7, P8 u8 b8 r8 8, P9 u9 b9 r9 9);
loop_body!(P0 u0 b0 r0 0, P1 u1 b1 r1 1, P2 u2 b2 r2 2, P3 u3 b3 r3 3, P4 u4 b4 r4 4, P5 u5 b5 r5 5, P6 u6 b6 r6 6, P7 u7 b7 r7 7, P8 u8 b8 r8 8, P9 u9 b9 r9 9, P10 u10 b10 r10 10);
loop_body!(P0 u0 b0 r0 0, P1 u1 b1 r1 1, P2 u2 b2 r2 2, P3 u3 b3 r3 3, P4 u4 b4 r4 4, P5 u5 b5 r5 5, P6 u6 b6 r6 6, P7 u7 b7 r7 7, P8 u8 b8 r8 8, P9 u9 b9 r9 9, P10 u10 b10 r10 10, P11 u11 b11 r11 11);
