//! The SIMD lanes of the calling thread.

use crate::error::Result;
use crate::kernel::Kernel;
use crate::part::Part;

/// Runs every element of `part` before it returns.
///
/// # Errors
/// Those of the kernel's body; a closure has none.
///
/// # Panics
/// If a closure body does.
pub(crate) fn run(kernel: &Kernel, part: Part<'_>) -> Result<()> {
    kernel.run(part)
}
