//! What a program's buffers are bound to: plain slices of 32-bit words.

/// The words behind one entry of [`Program::buffers`](super::ir::Program::buffers), in that order.
///
/// A buffer that the program may store to is always `Write`; so no writable buffer aliases another one.
#[derive(Debug)]
pub(crate) enum BufferData<'a> {
    /// For a buffer that is only read.
    Read(&'a [u32]),
    /// For a writable buffer.
    Write(&'a mut [u32]),
}

#[cfg(test)]
impl BufferData<'_> {
    /// The words as they are now.
    pub(crate) fn words(&self) -> &[u32] {
        match self {
            Self::Read(words) => words,
            Self::Write(words) => words,
        }
    }
}
