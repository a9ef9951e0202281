//! Buffers used again: five kinds, in size classes, with a bound on what lies idle.
//!
//! Creating a buffer costs from microseconds to milliseconds, and wgpu frees memory only when it is polled, so a loop that is
//! called again and again must find its buffers where it left them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use wgpu::BufferUsages;

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Written by the host. Idle ones are mapped already.
    Upload,
    /// What a shader reads: uniform words and read-only arrays.
    Input,
    /// What a shader writes.
    Output,
    /// What a whole shader reads or writes, and what stays on the device between launches.
    Data,
    /// Read by the host.
    Download,
}

impl Kind {
    fn usage(self) -> BufferUsages {
        match self {
            Self::Upload => BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC,
            Self::Input => BufferUsages::STORAGE | BufferUsages::UNIFORM | BufferUsages::COPY_DST,
            // The times that a dispatch began and ended lie behind its results.
            Self::Output => BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::QUERY_RESOLVE,
            Self::Data => {
                BufferUsages::STORAGE
                    | BufferUsages::UNIFORM
                    | BufferUsages::COPY_SRC
                    | BufferUsages::COPY_DST
            }
            Self::Download => BufferUsages::MAP_READ | BufferUsages::COPY_DST,
        }
    }
}

#[derive(Debug)]
struct Idle {
    kind: Kind,
    buffer: wgpu::Buffer,
}

/// The idle buffers of one device, the one given back last at the end.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Idle>>,
    max_idle_bytes: u64,
    created: AtomicU64,
}

impl Pool {
    pub(crate) fn new(max_idle_bytes: u64) -> Self {
        Self { idle: Mutex::new(Vec::new()), max_idle_bytes, created: AtomicU64::new(0) }
    }

    /// An idle buffer of at least `bytes`, or a new one. A new one reports its errors to the error scopes around the call.
    pub(crate) fn take(
        &self,
        device: &wgpu::Device,
        kind: Kind,
        bytes: u64,
        max_buffer_bytes: u64,
    ) -> wgpu::Buffer {
        let size = size_class(bytes).min(max_buffer_bytes & !3).max(bytes);
        {
            let mut idle = self.lock();
            // The one used last is the likeliest to be in a cache. Only the same class fits: a larger one would be kept
            // from the large loop that comes next.
            if let Some(at) = idle.iter().rposition(|idle| idle.kind == kind && idle.buffer.size() == size) {
                return idle.remove(at).buffer;
            }
        }
        self.created.fetch_add(1, Ordering::Relaxed);
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: kind.usage(),
            mapped_at_creation: kind == Kind::Upload,
        })
    }

    /// Gives a buffer back. The GPU must be done with it, and an upload buffer must be mapped again.
    pub(crate) fn give(&self, kind: Kind, buffer: wgpu::Buffer) {
        let mut idle = self.lock();
        idle.push(Idle { kind, buffer });
        let mut bytes: u64 = idle.iter().map(|idle| idle.buffer.size()).sum();
        let mut drop_first = 0;
        while bytes > self.max_idle_bytes {
            bytes -= idle[drop_first].buffer.size();
            drop_first += 1;
        }
        idle.drain(..drop_first);
    }

    /// Drops every idle buffer.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Bytes lying idle.
    #[cfg(test)]
    pub(crate) fn idle_bytes(&self) -> u64 {
        self.lock().iter().map(|idle| idle.buffer.size()).sum()
    }

    /// Buffers created so far.
    #[cfg(test)]
    pub(crate) fn created(&self) -> u64 {
        self.created.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        // The list is whole between any two statements that could panic.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The size to allocate for `bytes`: a power of two, or one of the three steps between it and the next, so that at most a
/// quarter is wasted.
fn size_class(bytes: u64) -> u64 {
    const SMALLEST: u64 = 1024;
    if bytes <= SMALLEST {
        return SMALLEST;
    }
    let step = (1 << (bytes - 1).ilog2()) / 4;
    bytes.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn a_class_holds_what_is_asked_and_wastes_at_most_a_quarter() {
        for bytes in (1..100_000).chain([(1 << 31) - 4, 1 << 31, (1 << 31) + 4, 3 << 40]) {
            let class = size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(4), "{bytes} -> {class}");
            assert!(class <= 1024 || class * 4 <= bytes * 5, "{bytes} -> {class}");
            assert_eq!(size_class(class), class, "a class is its own class");
        }
    }
}
