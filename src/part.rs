//! A run of consecutive elements of one call, with their slices of its arrays: what an executor is handed.
//!
//! Splitting a part in two is plain slice splitting, so the pieces of a loop that run at the same time hold disjoint outputs
//! by construction, with no `unsafe`. Parts hold bytes and element types: the types of the caller were checked in `launch`.

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
    /// A whole array, never split.
    Whole { data: &'a [u8], ty: ElementType },
}

/// One bound output: `data.len() == n * ty.size()`, aligned for the scalar.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    pub data: &'a mut [u8],
    pub ty: ElementType,
}

/// Elements `start .. start + n` of a launch, with their slices of the arrays.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    /// Index of the first element in the whole loop.
    pub start: usize,
    /// Elements in this part.
    pub n: usize,
    /// In the order of the signature.
    pub inputs: Vec<Input<'a>>,
    /// In the order of the signature.
    pub outputs: Vec<Output<'a>>,
}

/// How each parameter is bound: what a compiled body depends on besides the source. Two bits a parameter, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Shape(pub u64);
