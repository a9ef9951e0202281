//! The SIMD lanes of the calling thread.

use std::time::{Duration, Instant};

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
pub(crate) fn run(kernel: &Kernel, mut part: Part<'_>) -> Result<()> {
    let progress = part.progress.take();
    if progress.is_none() && part.watch.is_never() {
        return kernel.run(part);
    }
    // Somebody watches, or may stop it: in pieces long enough to cost nothing, short enough to be seen.
    let (mut start, mut piece) = (0, PIECE);
    while start < part.n {
        let end = part.n.min(start + piece);
        let begun = Instant::now();
        kernel.run(part.slice(start..end))?;
        if let Some(progress) = &progress {
            progress.add(end - start);
        }
        start = end;
        if begun.elapsed() < VISIBLE {
            piece *= 2;
        }
    }
    Ok(())
}

/// Elements of the first watched piece, and the unit of all: a block of the SPMD interpreter.
const PIECE: usize = 1024;

/// Pieces grow until one takes so long.
const VISIBLE: Duration = Duration::from_millis(20);
