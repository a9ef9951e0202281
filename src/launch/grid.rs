//! The index space of a launch, as a caller gives it. What it comes to for a kernel is [`spmd::grid::Grid`](crate::spmd::grid::Grid).

use std::fmt;

use crate::error::{Error, Result};
use crate::spmd::grid;

/// How many invocations of a shader run: so many workgroups, or so many threads, along x, y and z.
///
/// # Examples
/// ```
/// use forall::Grid;
///
/// assert_eq!(Grid::workgroups(16), Grid::workgroups([16, 1, 1]));
/// assert_eq!(Grid::threads([640, 480]).to_string(), "640 × 480 × 1 threads");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grid {
    size: [u32; 3],
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unit {
    Workgroups,
    Threads,
}

impl Grid {
    /// So many workgroups: a number, or up to three along x, y and z.
    pub fn workgroups(size: impl IntoExtent) -> Self {
        Self { size: size.into_extent(), unit: Unit::Workgroups }
    }

    /// At least so many invocations: as many whole workgroups as they take. A shader leaves those beyond its data by itself,
    /// `if (id.x >= arrayLength(&x)) { return; }`, as on a GPU.
    pub fn threads(size: impl IntoExtent) -> Self {
        Self { size: size.into_extent(), unit: Unit::Threads }
    }

    /// The workgroups and invocations it comes to.
    ///
    /// # Errors
    /// [`Error::GridTooLarge`] where an id of an invocation, or the number of them all, has no room in 32 or 64 bits.
    pub(crate) fn resolve(self, kernel: &str, workgroup_size: [u32; 3]) -> Result<grid::Grid> {
        let mut workgroups = self.size;
        if self.unit == Unit::Threads {
            for axis in 0..3 {
                workgroups[axis] = self.size[axis].div_ceil(workgroup_size[axis]);
            }
        }
        let too_large = |expected: &str| Error::GridTooLarge {
            kernel: kernel.to_owned(),
            got: self.to_string(),
            expected: expected.to_owned(),
        };
        let grid = grid::Grid::whole(workgroups, workgroup_size)
            .ok_or_else(|| too_large("less than 2³² invocations along each axis, whose ids are u32"))?;
        // In 64 bits with room for what is counted in them: blocks, workgroups padded to lanes.
        let invocations = grid.invocations.iter().map(|&n| u128::from(n)).product::<u128>();
        if invocations >= 1 << 60 {
            return Err(too_large("less than 2⁶⁰ invocations in all"));
        }
        Ok(grid)
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.size;
        let unit = match self.unit {
            Unit::Workgroups => "workgroups",
            Unit::Threads => "threads",
        };
        write!(f, "{x} × {y} × {z} {unit}")
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A size along one to three axes: a `u32`, or an array of up to three. Sealed.
pub trait IntoExtent: sealed::Sealed {
    /// The size along x, y and z, 1 where there is no such axis.
    fn into_extent(self) -> [u32; 3];
}

macro_rules! extents {
    ($($ty:ty: $given:pat => $size:expr),* $(,)?) => {$(
        impl sealed::Sealed for $ty {}
        impl IntoExtent for $ty {
            fn into_extent(self) -> [u32; 3] {
                let $given = self;
                $size
            }
        }
    )*};
}
extents! {
    u32: x => [x, 1, 1],
    [u32; 1]: [x] => [x, 1, 1],
    [u32; 2]: [x, y] => [x, y, 1],
    [u32; 3]: size => size,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_rounded_up_to_whole_workgroups() {
        let size = [64, 2, 1];
        for (n, workgroups) in [(0, 0), (1, 1), (63, 1), (64, 1), (65, 2), (u32::MAX - 63, 67_108_863)] {
            let grid = Grid::threads([n, 3]).resolve("k", size).unwrap();
            assert_eq!(grid.workgroups, [workgroups, 2, 1], "{n}");
            assert_eq!(grid.invocations, [workgroups * 64, 4, 1], "{n}");
        }
        assert_eq!(Grid::workgroups([2, 0, 5]).resolve("k", size).unwrap().count(), Some(0));
    }

    #[test]
    fn ids_are_u32() {
        // Rounded up, the last invocation's id would be 2³².
        for grid in [Grid::threads(u32::MAX), Grid::workgroups(1 << 26)] {
            let error = grid.resolve("k", [64, 1, 1]).unwrap_err();
            assert!(matches!(error, Error::GridTooLarge { .. }), "{error}");
            assert!(error.to_string().starts_with("k: the grid got "), "{error}");
        }
        let error = Grid::workgroups([u32::MAX, u32::MAX, 1]).resolve("k", [1, 1, 1]).unwrap_err();
        assert!(error.to_string().contains("2⁶⁰"), "{error}");
        assert!(Grid::threads(u32::MAX).resolve("k", [1, 1, 1]).is_ok());
    }
}
