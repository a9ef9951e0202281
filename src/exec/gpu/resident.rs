//! Device memory that has an owner: the data of one launch, and the arrays that stay on the device between launches.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::buffers::Kind;
use super::device::{Device, Failure};
use super::staging::{Downloads, STAGED_BYTES};
use crate::array::DeviceCopy;
use crate::error::{Error, Result};

/// A buffer of a device's pool, given back when it is dropped.
///
/// It may be dropped while the GPU still works with it: what uses the buffer next comes later in the same queue.
pub(super) struct Memory {
    /// `None` only while it is dropped.
    place: Option<(Arc<Device>, wgpu::Buffer)>,
    /// Bytes of data.
    bytes: u64,
    timeout: Duration,
    /// Half written by a launch that failed.
    spoiled: AtomicBool,
}

impl Memory {
    pub(super) fn new(device: &Arc<Device>, buffer: wgpu::Buffer, bytes: u64, timeout: Duration) -> Self {
        let place = Some((Arc::clone(device), buffer));
        Self { place, bytes, timeout, spoiled: AtomicBool::new(false) }
    }

    fn place(&self) -> (&Arc<Device>, &wgpu::Buffer) {
        let (device, buffer) = self.place.as_ref().expect("only drop takes it");
        (device, buffer)
    }

    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        self.place().1
    }

    /// Whether it holds what it should, on this device.
    pub(super) fn is_sound_on(&self, device: &Arc<Device>) -> bool {
        Arc::ptr_eq(self.place().0, device) && !self.spoiled.load(Ordering::Relaxed)
    }

    /// A launch that wrote to it has failed: what it holds is nobody's result.
    pub(super) fn spoil(&self) {
        self.spoiled.store(true, Ordering::Relaxed);
    }

    fn download(&self, bytes: &mut [u8]) -> Result<()> {
        let failed = |what, message: String, lost| Error::Gpu {
            kernel: "array".to_owned(),
            what,
            message: format!("{message}; its elements were only on the GPU"),
            lost,
        };
        if let Some(reason) = self.place().0.lost() {
            return Err(failed("readback", format!("the device was lost: {reason}"), true));
        }
        if self.spoiled.load(Ordering::Relaxed) {
            return Err(failed("readback", "a launch that wrote it has failed".to_owned(), false));
        }
        self.copy_out(bytes).map_err(|Failure { what, message, lost, .. }| failed(what, message, lost))
    }

    fn copy_out(&self, bytes: &mut [u8]) -> Result<(), Failure> {
        let (device, buffer) = self.place();
        // Piece by piece: nobody sees the elements before they are all there.
        for (piece, bytes) in bytes.chunks_mut(STAGED_BYTES as usize).enumerate() {
            let at = piece as u64 * STAGED_BYTES;
            let mut downloads = Downloads::new(device, std::iter::once(bytes.len() as u64))?;
            let submission = device.attempt("submit", |raw, queue| {
                let mut encoder = raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                downloads.record(&mut encoder, |_| (buffer, at));
                queue.submit([encoder.finish()])
            })?;
            device.wait(submission, self.timeout)?;
            downloads.finish(device, self.timeout, |_, start, data| {
                bytes[start..start + data.len()].copy_from_slice(data);
            })?;
        }
        Ok(())
    }
}

/// What an array keeps.
#[derive(Debug)]
pub(super) struct OnDevice(pub Arc<Memory>);

impl DeviceCopy for OnDevice {
    fn download(&self, bytes: &mut [u8]) -> Result<()> {
        self.0.download(bytes)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let Some((device, buffer)) = self.place.take() else { return };
        // Perhaps the last that holds a lost device: wgpu panics where a dead driver refuses to wait.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            if device.lost().is_none() {
                device.pool.give(Kind::Data, buffer);
            }
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| drop(device)));
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
