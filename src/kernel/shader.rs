//! The compute shader generated around a WGSL body, as a GPU takes it: its text, and which argument goes to which binding.
//!
//! `map` writes it, one for each way of binding the parameters; `exec/gpu` runs it. Nothing here knows wgpu, and the text is
//! the whole identity of a shader: two shaders with the same text have the same bindings.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::part::{Input, Part};

/// Invocations in a workgroup: `@workgroup_size(256)`.
pub(crate) const WORKGROUP: u32 = 256;

/// Invocations in one row of workgroups. A dispatch with more of them than this is folded into a second dimension
/// (65,535 workgroups is the most that one dimension takes), so the element of an invocation is `id.y * ROW + id.x`.
///
/// A constant and not `num_workgroups`, which wgpu's DX12 back end reports only with indirect validation turned on.
#[cfg(feature = "gpu")]
pub(crate) const ROW: u32 = 1 << 23;

/// The first lines of the entry point on a GPU, with `global_invocation_id` in `forall_id` and the words in `forall_words`:
/// declares `forall_i`, the element within the slice, and leaves the invocations beyond the slice's end.
pub(crate) const GPU_PRELUDE: &str = "    let forall_i = forall_id.y * 8388608u + forall_id.x;
    if (forall_i >= forall_words.n) { return; }
";

/// The name of the entry point.
pub(crate) const ENTRY: &str = "forall_main";

/// What one binding holds. The binding's number, in group 0, is its place in [`Shader::bindings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Binding {
    /// `var<uniform> forall_words`: a struct of 32-bit words, written by [`Shader::words`].
    Words,
    /// `var<storage, read>`: the part's elements of this input (its place in the signature), packed, as an array of scalars.
    Array(usize),
    /// `var<storage, read>`: the whole of this input, as WGSL lays the array out.
    Whole(usize),
    /// `var<storage, read_write>`: the part's elements of this output, packed, as an array of scalars.
    Output(usize),
}

/// A generated compute shader.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "only a GPU takes the shader as such"))]
pub(crate) struct Shader {
    /// WGSL, with one entry point and [`GPU_PRELUDE`] in it.
    pub text: Arc<str>,
    /// The entry point's name: [`ENTRY`], unless the kernel uses names like it.
    pub entry: String,
    /// Group 0 in order of binding number.
    pub bindings: Vec<Binding>,
}

impl Shader {
    /// The words of the uniform struct, for the slice of `n` elements whose first is element `base` of the loop:
    /// `base`, `n`, then every uniform input's components, in the order of the signature. The struct in the shader is
    /// longer by what makes its size a multiple of 16 bytes; nobody reads that.
    pub(crate) fn words(part: &Part<'_>, base: u32, n: u32) -> Words {
        let mut words = Words::from_slice(&[base, n]);
        for input in &part.inputs {
            if let Input::Uniform { bytes, ty } = input {
                let value = &bytes[..ty.size()];
                words.extend(
                    value
                        .chunks_exact(4)
                        .map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]])),
                );
            }
        }
        words
    }
}

/// The words of one slice; up to so many need no allocation.
pub(crate) type Words = SmallVec<[u32; 32]>;
