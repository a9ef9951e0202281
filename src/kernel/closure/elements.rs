//! One parameter's values for a run of elements, as one slice, whatever is bound to it: the array itself, or a small buffer
//! that repeats the uniform or counts the index.
//!
//! So that one loop over slices serves every way of binding, and vectorises: 2ᵏ loops for k parameters would be the
//! alternative, and a branch per element a slow one.

use std::mem::MaybeUninit;

use crate::element::{Element, ElementType};
use crate::part::Input;

/// Elements per run: what a run costs besides its elements is then some hundredths of saxpy, and a loop over a few elements
/// does not pay for buffers that it does not fill.
pub(super) const RUN: usize = 256;

/// Room for a run of values that are in no array. Written only where a parameter needs it, and never moved: copies of these
/// buffers once were most of what a short loop cost.
pub(super) type Buffer<E> = MaybeUninit<[E; RUN]>;

/// What is bound to a parameter that takes one element each.
pub(super) enum Elements<'a, E> {
    /// An array.
    Array(&'a [E]),
    /// One value, repeated.
    Uniform(&'a [E; RUN]),
    /// Consecutive numbers, `first` for element 0 of the part.
    Index { first: u32, numbers: &'a mut [E; RUN] },
}

impl<'a, E: Element> Elements<'a, E> {
    /// `start` is the index of the part's first element.
    #[inline(always)]
    pub(super) fn new(input: &Input<'a>, start: usize, buffer: &'a mut Buffer<E>) -> Self {
        match *input {
            Input::Array { data, .. } => Self::Array(bytemuck::cast_slice(data)),
            Input::Uniform { bytes, ty } => Self::Uniform(buffer.write([uniform(&bytes, ty); RUN])),
            // launch refuses loops whose index does not fit, and binds Index to u32 parameters only.
            Input::Index => Self::Index { first: start as u32, numbers: buffer.write([E::zeroed(); RUN]) },
            Input::Whole { .. } => {
                unreachable!("launch binds no whole array to a parameter that takes elements")
            }
        }
    }

    /// The values of elements `at .. at + count` of the part; `count` is at most [`RUN`].
    #[inline(always)]
    pub(super) fn run(&mut self, at: usize, count: usize) -> &[E] {
        match self {
            Self::Array(array) => &array[at..at + count],
            Self::Uniform(values) => &values[..count],
            Self::Index { first, numbers } => {
                let first = first.wrapping_add(at as u32);
                for (k, number) in
                    bytemuck::cast_slice_mut::<E, u32>(&mut numbers[..count]).iter_mut().enumerate()
                {
                    *number = first.wrapping_add(k as u32);
                }
                &numbers[..count]
            }
        }
    }
}

/// The value of a uniform.
pub(super) fn uniform<E: Element>(bytes: &[u8; 32], ty: ElementType) -> E {
    debug_assert_eq!(ty, E::TYPE);
    bytemuck::pod_read_unaligned(&bytes[..size_of::<E>()])
}
