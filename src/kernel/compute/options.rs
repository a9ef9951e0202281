//! How a WGSL text becomes a shader kernel where it leaves something open: which entry point, which constants.

use crate::error::Result;
use crate::kernel::Kernel;

/// Which entry point of a WGSL text a kernel is made of, and the values of its `override` constants.
///
/// # Examples
/// ```
/// use forall::ShaderOptions;
///
/// let wgsl = "
///     override width: u32;
///     @id(7) override gain = 1.0;
///     @group(0) @binding(0) var<storage, read_write> x: array<f32>;
///     @compute @workgroup_size(width) fn scale(@builtin(global_invocation_id) id: vec3u) { x[id.x] *= gain; }
///     @compute @workgroup_size(width) fn clear(@builtin(global_invocation_id) id: vec3u) { x[id.x] = 0; }";
/// let scale = ShaderOptions::new().entry("scale").constant("width", 64).constant("7", 2.5).build(wgsl)?;
/// assert_eq!(scale.workgroup_size(), Some([64, 1, 1]));
/// # Ok::<(), forall::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShaderOptions {
    pub(super) entry: Option<String>,
    pub(super) constants: Vec<(String, f64)>,
}

impl ShaderOptions {
    /// The only entry point, every constant at its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// The `@compute` entry point of that name.
    #[must_use]
    pub fn entry(mut self, name: &str) -> Self {
        self.entry = Some(name.to_owned());
        self
    }

    /// The value of an `override` constant, by its name, or by its number where it has an `@id`. Converted to the constant's
    /// type; a bool is true for every number but 0. The last value given counts.
    #[must_use]
    pub fn constant(mut self, name: &str, value: impl Into<f64>) -> Self {
        self.constants.retain(|(other, _)| other != name);
        self.constants.push((name.to_owned(), value.into()));
        self
    }

    /// The kernel.
    ///
    /// # Errors
    /// As [`Kernel::shader`], and [`Error::Wgsl`](crate::Error::Wgsl) for an entry point or a constant that the text does not
    /// have, a constant without a value, and a value that its type cannot hold.
    pub fn build(&self, wgsl: &str) -> Result<Kernel> {
        super::build(wgsl, self)
    }
}
