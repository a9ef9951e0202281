//! Copies between host and device memory: upload buffers that are filled while the one before is on its way, and download buffers
//! that are read once everything has succeeded.
//!
//! What runs on the device in between says the caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::buffers::Kind;
use super::device::{Device, Failure};

/// Bytes of one upload or download buffer at most.
pub(super) const STAGED_BYTES: u64 = 64 << 20;

/// Where a mapped range may start.
const MAP_ALIGNMENT: u64 = 8;

/// Bytes that a copy of `bytes` bytes copies: copies are of whole words.
pub(super) fn words(bytes: u64) -> u64 {
    bytes.next_multiple_of(4)
}

/// Whether wgpu has mapped a buffer.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapped(Arc<AtomicU8>);

impl Mapped {
    pub(super) fn callback(&self) -> impl FnOnce(Result<(), wgpu::BufferAsyncError>) + Send + 'static {
        let state = Arc::clone(&self.0);
        move |outcome| state.store(if outcome.is_ok() { 1 } else { 2 }, Ordering::Release)
    }

    /// Whether the buffer is mapped, once the GPU is done. A callback runs on the thread that finds its work done, and another
    /// thread's wait may have found this one's: then it is about to run there.
    pub(super) fn is_ok(&self, timeout: Duration) -> bool {
        let clock = Instant::now();
        loop {
            match self.0.load(Ordering::Acquire) {
                0 if clock.elapsed() < timeout => std::thread::yield_now(),
                state => return state == 1,
            }
        }
    }
}

/// Writes a range of a mapped upload buffer.
fn fill(
    device: &Device,
    buffer: &wgpu::Buffer,
    range: std::ops::Range<u64>,
    fill: impl FnOnce(&mut wgpu::BufferViewMut),
) -> Result<(), Failure> {
    let written = device
        .attempt("allocation", |_, _| buffer.get_mapped_range_mut(range).map(|mut view| fill(&mut view)))?;
    written.map_err(|error| device.failure("allocation", error.to_string(), false))
}

/// Writes a mapped upload buffer and unmaps it.
pub(super) fn write(
    device: &Device,
    buffer: &wgpu::Buffer,
    bytes: u64,
    with: impl FnOnce(&mut wgpu::BufferViewMut),
) -> Result<(), Failure> {
    fill(device, buffer, 0..bytes, with)?;
    device.attempt("allocation", |_, _| buffer.unmap())
}

/// Copies from the host to buffers of the device. They are done before what is recorded behind [`Uploads::finish`].
pub(super) struct Uploads<'d> {
    device: &'d Device,
    timeout: Duration,
    /// Bytes that are still to come, as far as the caller knows: what the next upload buffer is sized for.
    expected: u64,
    open: Option<Open>,
    in_flight: Option<InFlight>,
    /// Bytes copied.
    pub(super) moved: u64,
}

/// A mapped upload buffer that is being filled.
struct Open {
    buffer: wgpu::Buffer,
    size: u64,
    filled: u64,
    copies: Vec<Copy>,
}

struct Copy {
    from: u64,
    to: wgpu::Buffer,
    at: u64,
    bytes: u64,
}

/// An upload buffer whose copies are submitted; it is mapped again when they are done.
pub(super) struct InFlight {
    buffer: wgpu::Buffer,
    mapped: Mapped,
    submission: Option<wgpu::SubmissionIndex>,
}

impl<'d> Uploads<'d> {
    /// `expected` bytes in all, in `copies` copies.
    pub(super) fn new(device: &'d Device, timeout: Duration, expected: u64, copies: usize) -> Self {
        let expected = expected + copies as u64 * MAP_ALIGNMENT;
        Self { device, timeout, expected, open: None, in_flight: None, moved: 0 }
    }

    /// Copies `data` to `to`, from byte `at` on, and zeros behind it up to a whole word.
    pub(super) fn add(&mut self, data: &[u8], to: &wgpu::Buffer, at: u64) -> Result<(), Failure> {
        self.moved += data.len() as u64;
        let mut at = at;
        let mut left = data;
        while !left.is_empty() {
            let room = self.open.as_ref().map_or(0, |open| open.size - open.filled);
            if room < (left.len() as u64).min(STAGED_BYTES / 2) {
                self.send()?;
            }
            let open = match &mut self.open {
                Some(open) => open,
                empty => {
                    let size = self
                        .expected
                        .max(left.len() as u64)
                        .next_multiple_of(MAP_ALIGNMENT)
                        .min(STAGED_BYTES);
                    let buffer = self.device.buffers(&[(Kind::Upload, size)])?.remove(0);
                    empty.insert(Open { buffer, size, filled: 0, copies: Vec::new() })
                }
            };
            let n = (left.len() as u64).min(open.size - open.filled);
            let (now, later) = left.split_at(n as usize);
            fill(self.device, &open.buffer, open.filled..open.filled + words(n), |view| {
                view.slice(..now.len()).copy_from_slice(now);
                if words(n) > n {
                    view.slice(now.len()..).copy_from_slice(&[0; 4][..(words(n) - n) as usize]);
                }
            })?;
            open.copies.push(Copy { from: open.filled, to: to.clone(), at, bytes: words(n) });
            open.filled = (open.filled + n).next_multiple_of(MAP_ALIGNMENT).min(open.size);
            self.expected = self.expected.saturating_sub(n.next_multiple_of(MAP_ALIGNMENT));
            at += n;
            left = later;
        }
        Ok(())
    }

    /// Submits what is open, and waits for what was submitted before.
    fn send(&mut self) -> Result<(), Failure> {
        let Some(open) = self.open.take() else { return Ok(()) };
        if let Some(before) = self.in_flight.take() {
            before.wait(self.device, self.timeout)?;
        }
        let mut sent = None;
        let submission = self.device.attempt("submit", |raw, queue| {
            let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            sent = Some(open.record(&mut encoder));
            queue.submit([encoder.finish()])
        })?;
        self.in_flight = sent.map(|sent| InFlight { submission: Some(submission), ..sent });
        Ok(())
    }

    /// Records what is open; tells the upload buffers that are mapped again once the encoder's commands are done.
    pub(super) fn finish(self, encoder: &mut wgpu::CommandEncoder) -> Vec<InFlight> {
        let open = self.open.map(|open| open.record(encoder));
        self.in_flight.into_iter().chain(open).collect()
    }
}

impl Open {
    fn record(self, encoder: &mut wgpu::CommandEncoder) -> InFlight {
        self.buffer.unmap();
        for Copy { from, to, at, bytes } in &self.copies {
            encoder.copy_buffer_to_buffer(&self.buffer, *from, to, *at, *bytes);
        }
        let mapped = Mapped::default();
        encoder.map_buffer_on_submit(&self.buffer, wgpu::MapMode::Write, .., mapped.callback());
        InFlight { buffer: self.buffer, mapped, submission: None }
    }
}

impl InFlight {
    fn wait(self, device: &Device, timeout: Duration) -> Result<(), Failure> {
        if let Some(submission) = &self.submission {
            device.wait(submission.clone(), timeout)?;
        }
        self.done(device, timeout)
    }

    /// Gives the buffer back, once the GPU is done.
    pub(super) fn done(self, device: &Device, timeout: Duration) -> Result<(), Failure> {
        if !self.mapped.is_ok(timeout) {
            return Err(device.failure("submit", "an upload buffer could not be mapped".to_owned(), false));
        }
        device.pool.give(Kind::Upload, self.buffer);
        Ok(())
    }
}

/// Copies from buffers of the device that lie in mapped memory, all of them, before the first one reaches the caller.
pub(super) struct Downloads {
    buffers: Vec<wgpu::Buffer>,
    sizes: Vec<u64>,
    pieces: Vec<Piece>,
    mapped: Vec<Mapped>,
}

/// A part of one thing to be downloaded.
struct Piece {
    /// Which of the things.
    what: usize,
    /// Where in it.
    start: u64,
    bytes: u64,
    buffer: usize,
    at: u64,
}

impl Downloads {
    /// Buffers for things of so many bytes each.
    pub(super) fn new(device: &Device, things: impl Iterator<Item = u64>) -> Result<Self, Failure> {
        let mut sizes: Vec<u64> = Vec::new();
        let mut pieces = Vec::new();
        for (what, bytes) in things.enumerate() {
            let mut start = 0;
            while start < bytes {
                let last = sizes.last().map_or(STAGED_BYTES, |size| size.next_multiple_of(MAP_ALIGNMENT));
                let at = if last >= STAGED_BYTES {
                    sizes.push(0);
                    0
                } else {
                    last
                };
                let n = (bytes - start).min(STAGED_BYTES - at);
                let buffer = sizes.len() - 1;
                pieces.push(Piece { what, start, bytes: n, buffer, at });
                sizes[buffer] = at + words(n);
                start += n;
            }
        }
        let wanted: Vec<_> = sizes.iter().map(|&size| (Kind::Download, size)).collect();
        Ok(Self { buffers: device.buffers(&wanted)?, sizes, pieces, mapped: Vec::new() })
    }

    /// Records the copies: `source` tells where a thing is.
    pub(super) fn record<'b>(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        source: impl Fn(usize) -> (&'b wgpu::Buffer, u64),
    ) {
        for piece in &self.pieces {
            let (from, at) = source(piece.what);
            let to = &self.buffers[piece.buffer];
            encoder.copy_buffer_to_buffer(from, at + piece.start, to, piece.at, words(piece.bytes));
        }
        for (buffer, &size) in self.buffers.iter().zip(&self.sizes) {
            let mapped = Mapped::default();
            encoder.map_buffer_on_submit(buffer, wgpu::MapMode::Read, 0..size, mapped.callback());
            self.mapped.push(mapped);
        }
    }

    /// Hands out the bytes, piece by piece, `take(what, start, bytes)`, once the GPU is done. After an error nothing was handed out.
    pub(super) fn finish(
        self,
        device: &Device,
        timeout: Duration,
        mut take: impl FnMut(usize, usize, &[u8]),
    ) -> Result<u64, Failure> {
        if !self.mapped.iter().all(|mapped| mapped.is_ok(timeout)) {
            return Err(device.failure("readback", "a result buffer could not be mapped".to_owned(), false));
        }
        let views = device.attempt("readback", |_, _| {
            let views = self.buffers.iter().zip(&self.sizes);
            views.map(|(buffer, &size)| buffer.get_mapped_range(0..size)).collect::<Result<Vec<_>, _>>()
        })?;
        let views = views.map_err(|error| device.failure("readback", error.to_string(), false))?;
        let mut moved = 0;
        for piece in &self.pieces {
            let view = &views[piece.buffer];
            let at = piece.at as usize;
            take(piece.what, piece.start as usize, &view[at..at + piece.bytes as usize]);
            moved += piece.bytes;
        }
        drop(views);
        for buffer in self.buffers {
            buffer.unmap();
            device.pool.give(Kind::Download, buffer);
        }
        Ok(moved)
    }
}
