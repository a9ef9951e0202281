//! [`Array`]: numbers that stay where they were last used. A host copy, a device copy, and which of them is current.
//!
//! Nothing here knows a GPU: a device copy is a [`DeviceCopy`], which `exec/gpu` makes and puts here, and which frees its memory
//! when it is dropped. Copies move when they are asked for, never before.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytemuck::Pod;

use crate::error::Result;

/// An array that launches leave where they ran: on a GPU, its elements are copied to the host when they are read there, and not
/// before. A launch over arrays that are where it runs moves nothing.
///
/// A handle: clones are the same array, cheap to make and to send to other threads. Its length never changes. The memory, on the
/// device too, is freed with the last clone.
///
/// # Examples
/// ```
/// use forall::{Array, Bindings, Dispatcher, Grid, Kernel};
///
/// let step = Kernel::shader(
///     "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
///      @compute @workgroup_size(64)
///      fn step(@builtin(global_invocation_id) id: vec3u) { x[id.x] = 0.5 * x[id.x] + 1.0; }",
/// )?;
/// let x = Array::from(vec![0.0_f32; 1024]);
/// for _ in 0..50 {
///     Dispatcher::new().launch(&step, Grid::threads(1024), Bindings::new().bind("x", &x))?;
/// }
/// assert!(x.read()?.iter().all(|x| (x - 2.0).abs() < 1e-6));
/// # Ok::<(), forall::Error>(())
/// ```
pub struct Array<T: Pod>(Arc<Shared<T>>);

struct Shared<T> {
    len: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    host: Host<T>,
    /// Current where it is there.
    device: Option<Arc<dyn DeviceCopy>>,
}

/// The host's copy. Shared with whoever has read it: a write to a copy that somebody still looks at goes to a new one.
enum Host<T> {
    Current(Arc<Vec<T>>),
    /// Zeros that nobody has asked for yet.
    Zeros,
    /// The device has written since.
    Stale,
}

/// What a GPU keeps of an array. Dropping it gives its memory back.
pub(crate) trait DeviceCopy: Send + Sync + fmt::Debug {
    /// Copies all of it into `bytes`, which are as many as the array has.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::Error::Gpu) where the device is lost: then so is what only it had.
    fn download(&self, bytes: &mut [u8]) -> Result<()>;

    /// For `exec/gpu`, which knows its own copies.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "only a GPU has one"))]
    fn as_any(&self) -> &dyn Any;
}

impl<T: Pod> Array<T> {
    /// `n` zeros, which take no memory until they are used.
    pub fn zeros(n: usize) -> Self {
        Self::new(n, Host::Zeros)
    }

    fn new(len: usize, host: Host<T>) -> Self {
        Self(Arc::new(Shared { len, state: Mutex::new(State { host, device: None }) }))
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// The elements as they are now. What is written to the array later does not show in them: the array is copied then, if
    /// they are still held.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::Error::Gpu) if only a GPU had them, and it is lost.
    ///
    /// # Cost
    /// Copies from the GPU if they are current only there; otherwise nothing.
    pub fn read(&self) -> Result<Snapshot<T>> {
        let mut state = self.0.lock();
        state.fetch(self.0.len).map(|host| Snapshot(Arc::clone(host)))
    }

    /// The elements, copied.
    ///
    /// # Errors
    /// As [`Array::read`].
    pub fn to_vec(&self) -> Result<Vec<T>> {
        self.read().map(|elements| elements.to_vec())
    }

    /// Changes the elements on the host. `change` sees them as they are, and must not use this array itself: it is locked.
    ///
    /// # Errors
    /// As [`Array::read`]; `change` is then not called.
    pub fn write<R>(&self, change: impl FnOnce(&mut [T]) -> R) -> Result<R> {
        let mut state = self.0.lock();
        state.fetch(self.0.len)?;
        Ok(change(state.host_mut()))
    }
}

impl<T: Pod> From<Vec<T>> for Array<T> {
    /// Takes the elements over, without a copy.
    fn from(elements: Vec<T>) -> Self {
        Self::new(elements.len(), Host::Current(Arc::new(elements)))
    }
}

impl<T: Pod> From<&[T]> for Array<T> {
    fn from(elements: &[T]) -> Self {
        Self::from(elements.to_vec())
    }
}

impl<T: Pod, const N: usize> From<[T; N]> for Array<T> {
    fn from(elements: [T; N]) -> Self {
        Self::from(elements.to_vec())
    }
}

impl<T: Pod> FromIterator<T> for Array<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self::from(elements.into_iter().collect::<Vec<T>>())
    }
}

/// Another handle of the same array.
impl<T: Pod> Clone for Array<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Pod> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array").field("len", &self.0.len).finish_non_exhaustive()
    }
}

/// The elements of an [`Array`] as they were when they were read. Derefs to a slice.
pub struct Snapshot<T>(Arc<Vec<T>>);

impl<T> std::ops::Deref for Snapshot<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}

/// A handle of an array of whatever type.
pub(crate) trait Handle: fmt::Debug {
    /// The array.
    fn shared(&self) -> Arc<dyn Resident>;
}

impl<T: Pod + Send + Sync> Handle for Array<T> {
    fn shared(&self) -> Arc<dyn Resident> {
        Arc::clone(&self.0) as Arc<dyn Resident>
    }
}

/// An array of whatever type, as a launch holds it.
pub(crate) trait Resident: Send + Sync + fmt::Debug {
    /// Bytes of its elements.
    fn bytes(&self) -> usize;

    /// Keeps everybody else from using the array while it lives. Locks of several arrays are taken in the order of
    /// [`key`](Self::key), each once: so two launches never wait for each other.
    fn hold(&self) -> Box<dyn Held + '_>;

    /// What tells two arrays apart.
    fn key(&self) -> usize;

    /// The elements as they are now, as bytes on the host.
    ///
    /// # Errors
    /// As [`Array::read`].
    fn snapshot(&self) -> Result<Arc<dyn Bytes>>;

    /// Whether a device has a current copy.
    fn on_device(&self) -> bool;

    /// Whether the host has none, so that using it there moves it.
    fn is_stale(&self) -> bool;
}

/// An array that is locked.
pub(crate) trait Held {
    /// The elements, copied to the host if they are current only on the device.
    ///
    /// # Errors
    /// As [`Array::read`].
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "a GPU uploads it"))]
    fn host(&mut self) -> Result<&[u8]>;

    /// The same to write to: from here on, the host's copy is the only current one.
    ///
    /// # Errors
    /// As [`Array::read`].
    fn host_mut(&mut self) -> Result<&mut [u8]>;

    /// The device's copy, if it is current.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "only a GPU has one"))]
    fn device(&self) -> Option<&Arc<dyn DeviceCopy>>;

    /// Whether all elements are zero and neither side has memory for them: a device need copy nothing.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "only a GPU asks"))]
    fn is_untouched(&self) -> bool;

    /// Keeps a device's copy. `written`: the device has changed it since it was copied there, so the host's is no longer current.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "only a GPU has one"))]
    fn keep(&mut self, copy: Arc<dyn DeviceCopy>, written: bool);
}

/// Elements on the host.
pub(crate) trait Bytes: Send + Sync {
    fn bytes(&self) -> &[u8];
}

impl<T: Pod + Send + Sync> Bytes for Vec<T> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic in `Array::write` leaves elements half changed, which is no more than it says.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Pod> State<T> {
    /// Makes the host's copy current.
    fn fetch(&mut self, len: usize) -> Result<&Arc<Vec<T>>> {
        if !matches!(self.host, Host::Current(_)) {
            let mut elements = vec![T::zeroed(); len];
            if let (Host::Stale, Some(device)) = (&self.host, &self.device) {
                device.download(bytemuck::cast_slice_mut(&mut elements))?;
            }
            self.host = Host::Current(Arc::new(elements));
        }
        match &self.host {
            Host::Current(host) => Ok(host),
            Host::Zeros | Host::Stale => unreachable!("just made current"),
        }
    }

    /// The host's copy, which is current, to write to: the device's is dropped.
    fn host_mut(&mut self) -> &mut [T] {
        self.device = None;
        match &mut self.host {
            Host::Current(host) => Arc::<Vec<T>>::make_mut(host),
            Host::Zeros | Host::Stale => unreachable!("the caller has made it current"),
        }
    }
}

impl<T: Pod + Send + Sync> Resident for Shared<T> {
    fn bytes(&self) -> usize {
        self.len * size_of::<T>()
    }

    fn hold(&self) -> Box<dyn Held + '_> {
        Box::new(Guard { state: self.lock(), len: self.len })
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn snapshot(&self) -> Result<Arc<dyn Bytes>> {
        let mut state = self.lock();
        state.fetch(self.len).map(|host| Arc::clone(host) as Arc<dyn Bytes>)
    }

    fn on_device(&self) -> bool {
        self.lock().device.is_some()
    }

    fn is_stale(&self) -> bool {
        matches!(self.lock().host, Host::Stale)
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array").field("len", &self.len).finish_non_exhaustive()
    }
}

struct Guard<'a, T> {
    state: MutexGuard<'a, State<T>>,
    len: usize,
}

impl<T: Pod + Send + Sync> Held for Guard<'_, T> {
    fn host(&mut self) -> Result<&[u8]> {
        self.state.fetch(self.len).map(|host| bytemuck::cast_slice(host))
    }

    fn host_mut(&mut self) -> Result<&mut [u8]> {
        self.state.fetch(self.len)?;
        Ok(bytemuck::cast_slice_mut(self.state.host_mut()))
    }

    fn device(&self) -> Option<&Arc<dyn DeviceCopy>> {
        self.state.device.as_ref()
    }

    fn is_untouched(&self) -> bool {
        matches!(self.state.host, Host::Zeros) && self.state.device.is_none()
    }

    fn keep(&mut self, copy: Arc<dyn DeviceCopy>, written: bool) {
        self.state.device = Some(copy);
        if written {
            self.state.host = Host::Stale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// A device that holds bytes, or has lost them.
    #[derive(Debug)]
    struct Device(Option<Vec<u8>>);

    impl DeviceCopy for Device {
        fn download(&self, bytes: &mut [u8]) -> Result<()> {
            let held = self
                .0
                .as_ref()
                .ok_or_else(|| Error::Internal { kernel: "device".to_owned(), message: "lost".to_owned() })?;
            bytes.copy_from_slice(held);
            Ok(())
        }

        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    fn device(elements: &[u32]) -> Arc<dyn DeviceCopy> {
        Arc::new(Device(Some(bytemuck::cast_slice(elements).to_vec())))
    }

    #[test]
    fn clones_are_one_array_and_snapshots_stay() {
        let array = Array::from(vec![1_u32, 2, 3]);
        let (other, before) = (array.clone(), array.read().unwrap());
        other.write(|elements| elements[1] = 20).unwrap();
        assert_eq!(before[..], [1, 2, 3]);
        assert_eq!(array.to_vec().unwrap(), [1, 20, 3]);
        assert_eq!((array.len(), array.is_empty(), Array::<f32>::zeros(0).is_empty()), (3, false, true));
        assert_eq!(array.shared().key(), other.shared().key());
        assert_ne!(array.shared().key(), Array::from([1_u32, 2, 3]).shared().key());
    }

    #[test]
    fn a_vector_is_taken_over_without_a_copy() {
        let elements = vec![7.0_f32; 100];
        let at = elements.as_ptr();
        let array = Array::from(elements);
        assert_eq!(array.read().unwrap().as_ptr(), at);
        // With nobody looking, a write happens in place.
        assert_eq!(array.write(|elements| elements.as_ptr()).unwrap(), at);
    }

    #[test]
    fn what_the_device_has_written_is_fetched_once_it_is_read() {
        let array = Array::<u32>::zeros(2);
        let resident = array.shared();
        assert!(resident.hold().is_untouched() && !resident.is_stale());
        resident.hold().keep(device(&[8, 9]), true);
        assert!(!resident.hold().is_untouched() && resident.on_device() && resident.is_stale());
        assert_eq!(array.to_vec().unwrap(), [8, 9]);
        // Both are current now, and a write on the host leaves only that one.
        assert!(resident.on_device() && !resident.is_stale());
        array.write(|elements| elements[0] = 1).unwrap();
        assert!(!resident.on_device());
        assert_eq!(array.to_vec().unwrap(), [1, 9]);
        // Copied there and only read: the host's stays current.
        resident.hold().keep(Arc::new(Device(None)), false);
        assert_eq!(array.to_vec().unwrap(), [1, 9]);
    }

    #[test]
    fn a_lost_device_is_an_error_and_no_zeros() {
        let array = Array::from([1_u32]);
        array.shared().hold().keep(Arc::new(Device(None)), true);
        assert!(array.read().is_err() && array.to_vec().is_err());
        assert!(array.write(|_| ()).is_err() && array.shared().hold().host_mut().is_err());
        assert!(array.shared().snapshot().is_err());
    }

    #[test]
    fn zeros_are_zeros() {
        assert_eq!(Array::<[f32; 3]>::zeros(2).to_vec().unwrap(), [[0.0; 3]; 2]);
        let collected: Array<u32> = (0..3).collect();
        assert_eq!(collected.to_vec().unwrap(), [0, 1, 2]);
    }
}
