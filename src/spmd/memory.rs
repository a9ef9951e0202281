//! What a program's buffers are bound to: plain slices of 32-bit words.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, Ordering};

use smallvec::SmallVec;

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

/// The buffers of one launch, shared by the threads that run it.
///
/// It borrows them for as long as it lives, so nobody else looks at them meanwhile. Among the threads of the launch it is
/// with the shader to keep apart what they write; where it does not, a word has the value that one of them wrote, as in WGSL.
#[derive(Debug)]
pub(crate) struct Bound<'a> {
    buffers: SmallVec<[BoundBuffer; 16]>,
    borrowed: PhantomData<&'a mut [u32]>,
}

/// One of them.
#[derive(Debug)]
struct BoundBuffer {
    /// Only to be shared: nobody changes the pointer.
    words: AtomicPtr<u32>,
    len: usize,
    writable: bool,
}

/// Where the words of a bound buffer are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    /// Valid for reading `len` words, and for writing where the buffer was given for that.
    pub words: *mut u32,
    pub len: usize,
}

impl<'a> Bound<'a> {
    /// Binds buffers, one per [`Program::buffers`](super::ir::Program::buffers).
    pub(crate) fn new(buffers: &'a mut [BufferData<'_>]) -> Self {
        let bind = |buffer: &'a mut BufferData<'_>| match buffer {
            BufferData::Write(words) => {
                BoundBuffer { words: AtomicPtr::new(words.as_mut_ptr()), len: words.len(), writable: true }
            }
            BufferData::Read(words) => BoundBuffer {
                words: AtomicPtr::new(words.as_ptr().cast_mut()),
                len: words.len(),
                writable: false,
            },
        };
        Self { buffers: buffers.iter_mut().map(bind).collect(), borrowed: PhantomData }
    }

    /// The words of each buffer, for a program that stores to those that `stored` says.
    ///
    /// # Panics
    /// When the number of buffers is not the program's, or one that it stores to was given for reading.
    pub(crate) fn words<'b>(&'b self, stored: &'b [bool]) -> impl Iterator<Item = Words> + 'b {
        assert_eq!(self.buffers.len(), stored.len(), "one slice per buffer of the program");
        self.buffers.iter().zip(stored).enumerate().map(|(at, (buffer, stored))| {
            assert!(buffer.writable || !stored, "buffer {at} is stored to, and was given for reading");
            Words { words: buffer.words.load(Ordering::Relaxed), len: buffer.len }
        })
    }
}

const _: fn() = || {
    fn shared_by_threads<T: Send + Sync>() {}
    shared_by_threads::<Bound<'_>>();
};
