//! Pure arithmetic: how many elements one dispatch takes, and where its arrays lie in its buffers.

use std::time::Duration;

use crate::kernel::shader::{ROW, WORKGROUP};

/// Every binding starts at a multiple of this. WebGPU lets an adapter ask for no more.
const ALIGNMENT: u64 = 256;

/// Bytes moved in and out by one slice. Large enough that the fixed cost of a submission is lost in the transfer (64 MiB take
/// 3 ms on 16 lanes of PCIe 4, a submission about 0.1 ms), small enough that one slice is copied while another runs.
const SLICE_BYTES: u64 = 64 << 20;

/// Elements of the first slice of a kernel about which nothing is known: at 50 ms for this slice an element would cost 0.8 µs,
/// some hundred thousand operations on a small GPU.
const FIRST_ELEMENTS: usize = 1 << 16;

/// Operations per nanosecond that even a small GPU does: a lower bound, to size the first slice only.
const SLOWEST_OPS_PER_NS: f64 = 10.0;

/// The bounds on a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of one element of every array together.
    pub bytes_per_element: u64,
    /// Bytes of one element of the widest array.
    pub widest_element: u64,
    /// The most bytes of one array that a dispatch can see.
    pub max_binding_bytes: u64,
    /// Set by tests, to slice small loops.
    pub max_elements: Option<usize>,
}

impl Bounds {
    /// The most elements of a slice, by memory.
    fn elements(&self) -> usize {
        let by_binding = self.max_binding_bytes / self.widest_element.max(1);
        let by_bytes = SLICE_BYTES / self.bytes_per_element.max(1);
        let bound = usize::try_from(by_binding.min(by_bytes)).unwrap_or(usize::MAX);
        bound.min(self.max_elements.unwrap_or(usize::MAX)).max(1)
    }
}

/// Elements of the next slice, of the `left` that remain. `pace` is nanoseconds per element as measured so far, `operations`
/// the estimated operations of one element, `target` how long a dispatch may take: drivers reset a GPU that is busy for
/// seconds, and a desktop stutters from tens of milliseconds on.
pub(crate) fn next(
    bounds: &Bounds,
    left: usize,
    pace: Option<f32>,
    operations: Option<f64>,
    target: Duration,
) -> usize {
    let nanoseconds = target.as_nanos() as f64;
    let by_time = match (pace, operations) {
        (Some(pace), _) => nanoseconds / f64::from(pace),
        (None, Some(operations)) => nanoseconds * SLOWEST_OPS_PER_NS / operations.max(1.0),
        (None, None) => FIRST_ELEMENTS as f64,
    };
    // `as` saturates. A workgroup costs the same with one live invocation as with all of them.
    let by_time = (by_time as usize).max(WORKGROUP as usize);
    let most = bounds.elements().min(by_time);
    let row = ROW as usize;
    match left.min(most) {
        // Whole rows, so that no more than a workgroup of invocations has nothing to do.
        n if n > row => n / row * row,
        n => n,
    }
}

/// Workgroups in both dimensions for a slice of `n` elements.
pub(crate) fn workgroups(n: usize) -> (u32, u32) {
    let rows = n.div_ceil(ROW as usize);
    let columns = if rows > 1 { ROW as usize } else { n }.div_ceil(WORKGROUP as usize);
    // A slice has at most SLICE_BYTES / 4 elements.
    (columns as u32, rows as u32)
}

/// Where arrays lie one after the other in a buffer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    bytes: u64,
}

impl Layout {
    /// The offset of the next array, of `bytes` bytes.
    pub(crate) fn place(&mut self, bytes: u64) -> u64 {
        let offset = self.bytes.next_multiple_of(ALIGNMENT);
        self.bytes = offset + bytes;
        offset
    }

    /// Bytes of the buffer, as the copies and mappings want them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.next_multiple_of(16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(50);

    fn bounds(bytes_per_element: u64, widest_element: u64) -> Bounds {
        Bounds { bytes_per_element, widest_element, max_binding_bytes: (1 << 31) - 1, max_elements: None }
    }

    #[test]
    fn slices_cover_the_loop_and_keep_every_bound() {
        for bytes in [4, 8, 12, 16, 48, 256] {
            for max_binding_bytes in [256, 1000, 1 << 20, (1 << 31) - 1] {
                for pace in [None, Some(1e-3), Some(1.0), Some(1e9)] {
                    let bounds = Bounds { max_binding_bytes, ..bounds(bytes, bytes.min(16)) };
                    let mut left = 40_000_000_usize;
                    let mut steps = 0;
                    while left > 0 && steps < 1000 {
                        let n = next(&bounds, left, pace, None, TARGET);
                        assert!(n >= 1 && n <= left);
                        assert!(n as u64 * bounds.widest_element <= max_binding_bytes);
                        assert!(n as u64 * bytes <= SLICE_BYTES);
                        let (x, y) = workgroups(n);
                        assert!(x <= 65_535 && y <= 65_535);
                        assert!(u64::from(x) * u64::from(y) * u64::from(WORKGROUP) >= n as u64);
                        assert!(x * y * WORKGROUP < n as u32 + WORKGROUP, "idle workgroups at {n}");
                        left -= n;
                        steps += 1;
                    }
                }
            }
        }
    }

    #[test]
    fn a_slow_kernel_gets_small_slices_and_never_less_than_a_workgroup() {
        let bounds = bounds(8, 4);
        assert_eq!(next(&bounds, 1 << 20, Some(1000.0), None, TARGET), 50_000);
        assert_eq!(next(&bounds, 1 << 20, Some(1e12), None, TARGET), WORKGROUP as usize);
        assert_eq!(next(&bounds, 1 << 20, None, Some(1e6), TARGET), 500);
        assert_eq!(next(&bounds, 1 << 20, None, None, TARGET), FIRST_ELEMENTS);
        assert_eq!(next(&bounds, 7, None, None, TARGET), 7);
        assert_eq!(next(&Bounds { max_elements: Some(5), ..bounds }, 12, None, None, TARGET), 5);
    }

    #[test]
    fn arrays_are_aligned_and_do_not_overlap() {
        let mut layout = Layout::default();
        assert_eq!([layout.place(8), layout.place(300), layout.place(4)], [0, 256, 768]);
        assert_eq!(layout.bytes(), 784);
    }
}
