//! A run of consecutive elements of one call, with their slices of its arrays: what an executor is handed.
//!
//! Splitting a part in two is plain slice splitting, so the pieces of a loop that run at the same time hold disjoint outputs
//! by construction, with no `unsafe`. Parts hold bytes and element types: the types of the caller were checked in `launch`.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use smallvec::SmallVec;

use crate::cancel::Watch;
use crate::element::ElementType;

/// Bound to a `u32` parameter: the element's own index, 0, 1, 2, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index;

/// One bound input, as a backend sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'a> {
    /// The same value for every element: up to four components of up to 8 bytes, in memory order.
    Uniform { bytes: [u8; 32], ty: ElementType },
    /// One element each; `data.len() == n * ty.size()`, aligned for the scalar.
    Array { data: &'a [u8], ty: ElementType },
    /// The element's index, counted from the start of the whole loop.
    Index,
    /// A whole array, never split. Any length, that of the part or not; aligned for the scalar.
    Whole { data: &'a [u8], ty: ElementType },
}

/// One bound output: `data.len() == n * ty.size()`, aligned for the scalar.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    pub data: &'a mut [u8],
    pub ty: ElementType,
}

/// Inputs of a part; up to this many need no allocation.
pub(crate) type Inputs<'a> = SmallVec<[Input<'a>; 8]>;

/// Outputs of a part; up to this many need no allocation.
pub(crate) type Outputs<'a> = SmallVec<[Output<'a>; 4]>;

/// How many elements of a running loop are done: counted as pieces complete, readable from any thread.
///
/// Made by the caller and given to [`Dispatcher::with_progress`](crate::Dispatcher::with_progress); clones share the count. A loop
/// adds its elements to what earlier loops of the dispatcher have counted.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicUsize>);

impl Progress {
    /// Nothing done.
    pub fn new() -> Self {
        Self::default()
    }

    /// Elements done.
    pub fn done(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, elements: usize) {
        self.0.fetch_add(elements, Ordering::Relaxed);
    }
}

/// Elements `start .. start + n` of a launch, with their slices of the arrays.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    /// Index of the first element in the whole loop.
    pub start: usize,
    /// Elements in this part.
    pub n: usize,
    /// In the order of the signature.
    pub inputs: Inputs<'a>,
    /// In the order of the signature.
    pub outputs: Outputs<'a>,
    /// Where to count finished elements, if anybody asked.
    pub progress: Option<Progress>,
    /// What may stop it.
    pub watch: Watch,
}

impl<'a> Part<'a> {
    /// The first `at` elements, and the rest.
    ///
    /// # Panics
    /// If `at > n`.
    pub(crate) fn split_at(self, at: usize) -> (Self, Self) {
        assert!(at <= self.n, "split at {at} of a part of {} elements", self.n);
        let mut low = Inputs::new();
        let mut high = Inputs::new();
        for input in self.inputs {
            if let Input::Array { data, ty } = input {
                let (a, b) = data.split_at(at * ty.size());
                low.push(Input::Array { data: a, ty });
                high.push(Input::Array { data: b, ty });
            } else {
                low.push(input);
                high.push(input);
            }
        }
        let mut low_out = Outputs::new();
        let mut high_out = Outputs::new();
        for Output { data, ty } in self.outputs {
            let (a, b) = data.split_at_mut(at * ty.size());
            low_out.push(Output { data: a, ty });
            high_out.push(Output { data: b, ty });
        }
        (
            Self {
                start: self.start,
                n: at,
                inputs: low,
                outputs: low_out,
                progress: self.progress.clone(),
                watch: self.watch.clone(),
            },
            Self {
                start: self.start + at,
                n: self.n - at,
                inputs: high,
                outputs: high_out,
                progress: self.progress,
                watch: self.watch,
            },
        )
    }

    /// Elements `range` of this part (counted from its first element), borrowed: for running it slice by slice, or again. Whoever
    /// slices counts the progress.
    ///
    /// # Panics
    /// If `range` is not within `0..n`.
    pub(crate) fn slice(&mut self, range: Range<usize>) -> Part<'_> {
        assert!(
            range.start <= range.end && range.end <= self.n,
            "slice {range:?} of a part of {} elements",
            self.n
        );
        let bytes = |ty: ElementType| range.start * ty.size()..range.end * ty.size();
        let inputs = self
            .inputs
            .iter()
            .map(|input| match *input {
                Input::Array { data, ty } => Input::Array { data: &data[bytes(ty)], ty },
                other => other,
            })
            .collect();
        let outputs = self
            .outputs
            .iter_mut()
            .map(|output| Output { data: &mut output.data[bytes(output.ty)], ty: output.ty })
            .collect();
        let watch = self.watch.clone();
        Part { start: self.start + range.start, n: range.len(), inputs, outputs, progress: None, watch }
    }

    /// Bytes of the arrays that it goes through, element by element.
    pub(crate) fn bytes(&self) -> usize {
        let inputs = self.inputs.iter().map(|input| match input {
            Input::Array { data, .. } => data.len(),
            _ => 0,
        });
        inputs.chain(self.outputs.iter().map(|output| output.data.len())).sum()
    }

    /// Bytes that a GPU is sent and sends back: of whole arrays too.
    pub(crate) fn moved_bytes(&self) -> u64 {
        let whole = self.inputs.iter().map(|input| match input {
            Input::Whole { data, .. } => data.len(),
            _ => 0,
        });
        (self.bytes() + whole.sum::<usize>()) as u64
    }

    /// Runs `run` on the same part with copies of its outputs, which replace them once it has succeeded.
    ///
    /// # Errors
    /// Those of `run`; the outputs are then as they were.
    pub(crate) fn on_copies<R, E>(mut self, run: impl FnOnce(Part<'_>) -> Result<R, E>) -> Result<R, E> {
        // Words of 8 bytes are aligned for every scalar.
        let copy = |output: &Output<'_>| {
            let mut words = vec![0_u64; output.data.len().div_ceil(8)];
            bytemuck::cast_slice_mut(&mut words)[..output.data.len()].copy_from_slice(output.data);
            words
        };
        let mut copies: SmallVec<[Vec<u64>; 4]> = self.outputs.iter().map(copy).collect();
        let progress = self.progress.take();
        let n = self.n;
        let mut part = self.slice(0..n);
        part.progress = progress;
        for (output, words) in part.outputs.iter_mut().zip(&mut copies) {
            let bytes = output.data.len();
            output.data = &mut bytemuck::cast_slice_mut(words)[..bytes];
        }
        let result = run(part)?;
        for (output, words) in self.outputs.iter_mut().zip(&copies) {
            let bytes = output.data.len();
            output.data.copy_from_slice(&bytemuck::cast_slice(words)[..bytes]);
        }
        Ok(result)
    }

    /// How each parameter is bound.
    pub(crate) fn shape(&self) -> Shape {
        Shape::of(self.inputs.iter().map(Input::bound))
    }
}

impl Input<'_> {
    /// How this parameter is bound.
    pub(crate) const fn bound(&self) -> Bound {
        match self {
            Self::Uniform { .. } => Bound::Uniform,
            Self::Array { .. } => Bound::Array,
            Self::Index => Bound::Index,
            Self::Whole { .. } => Bound::Whole,
        }
    }
}

/// How one parameter is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bound {
    Uniform,
    Array,
    Index,
    Whole,
}

/// How each parameter is bound: what a compiled body depends on besides the source. Two bits a parameter, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Shape(pub u64);

impl Shape {
    /// Parameters a shape has room for: a kernel has at most so many.
    pub(crate) const MAX_PARAMS: usize = 32;

    /// The shape of parameters bound like that.
    pub(crate) fn of(bounds: impl IntoIterator<Item = Bound>) -> Self {
        let bits = bounds.into_iter().enumerate().fold(0, |bits, (i, bound)| {
            debug_assert!(i < Self::MAX_PARAMS);
            bits | (bound as u64) << (2 * i)
        });
        Self(bits)
    }

    /// How parameter `i` is bound.
    pub(crate) const fn bound(self, i: usize) -> Bound {
        match (self.0 >> (2 * i)) & 3 {
            0 => Bound::Uniform,
            1 => Bound::Array,
            2 => Bound::Index,
            _ => Bound::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;

    fn part<'a>(x: &'a [[f32; 3]], whole: &'a [u32], out: &'a mut [f32], wide: &'a mut [f64]) -> Part<'a> {
        let n = x.len();
        let inputs = [
            Input::Index,
            Input::Array { data: bytemuck::cast_slice(x), ty: <[f32; 3]>::TYPE },
            Input::Whole { data: bytemuck::cast_slice(whole), ty: u32::TYPE },
            Input::Uniform { bytes: [7; 32], ty: f32::TYPE },
        ];
        let outputs = [
            Output { data: bytemuck::cast_slice_mut(out), ty: f32::TYPE },
            Output { data: bytemuck::cast_slice_mut(wide), ty: f64::TYPE },
        ];
        let (inputs, outputs) = (inputs.into_iter().collect(), outputs.into_iter().collect());
        Part { start: 100, n, inputs, outputs, progress: None, watch: Watch::NEVER }
    }

    fn fill(part: &mut Part<'_>) {
        let Input::Array { data, .. } = part.inputs[1] else { panic!("an array") };
        let x: &[[f32; 3]] = bytemuck::cast_slice(data);
        let Input::Whole { data, .. } = part.inputs[2] else { panic!("a whole array") };
        assert_eq!(data.len(), 8);
        assert_eq!((x.len(), part.outputs[1].data.len()), (part.n, 8 * part.n));
        for (i, o) in bytemuck::cast_slice_mut::<u8, f32>(part.outputs[0].data).iter_mut().enumerate() {
            *o = x[i][2] + (part.start + i) as f32;
        }
        bytemuck::cast_slice_mut::<u8, f64>(part.outputs[1].data).fill(part.start as f64);
    }

    #[test]
    fn every_split_covers_every_element_once() {
        let x: Vec<[f32; 3]> = (0..9).map(|i| [-1.0, -2.0, i as f32 * 1000.0]).collect();
        let expected: Vec<f32> = (0..9).map(|i| i as f32 * 1000.0 + 100.0 + i as f32).collect();
        for at in 0..=9 {
            let (mut out, mut wide) = ([f32::NAN; 9], [f64::NAN; 9]);
            let (mut low, mut high) = part(&x, &[1, 2], &mut out, &mut wide).split_at(at);
            // Elements of 12, 4 and 8 bytes.
            assert_eq!((low.bytes(), high.bytes()), (24 * at, 24 * (9 - at)));
            assert_eq!((low.n, low.start, high.n, high.start), (at, 100, 9 - at, 100 + at));
            fill(&mut low);
            fill(&mut high);
            drop((low, high));
            assert_eq!(out[..], expected);
            assert!(
                wide.iter().enumerate().all(|(i, w)| *w == if i < at { 100.0 } else { 100.0 + at as f64 })
            );

            let (mut out, mut wide) = ([f32::NAN; 9], [f64::NAN; 9]);
            let mut whole = part(&x, &[1, 2], &mut out, &mut wide);
            fill(&mut whole.slice(at..9));
            fill(&mut whole.slice(0..at));
            drop(whole);
            assert_eq!(out[..], expected);
        }
    }

    #[test]
    fn shapes_tell_how_each_parameter_is_bound() {
        let all = [Bound::Array, Bound::Uniform, Bound::Whole, Bound::Index];
        let bounds: Vec<Bound> = (0..Shape::MAX_PARAMS).map(|i| all[i % 4]).collect();
        let shape = Shape::of(bounds.iter().copied());
        assert!(bounds.iter().enumerate().all(|(i, bound)| shape.bound(i) == *bound));
        assert_eq!(part(&[], &[], &mut [], &mut []).shape(), {
            Shape::of([Bound::Index, Bound::Array, Bound::Whole, Bound::Uniform])
        });
    }
}
