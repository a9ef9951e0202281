//! The index space of a launch: how many workgroups, and how many invocations of them run.

/// Workgroups and invocations along x, y and z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// `num_workgroups`.
    pub workgroups: [u32; 3],
    /// Invocations that run: those whose `global_invocation_id` is below. Whole workgroups for a shader; a map cuts the last
    /// workgroup off where its elements end. Not more than `workgroups` times the workgroup's size.
    pub invocations: [u32; 3],
}

impl Grid {
    /// A row of `invocations`, in workgroups of `width`.
    pub(crate) fn row(invocations: u32, width: u32) -> Self {
        Self { workgroups: [invocations.div_ceil(width), 1, 1], invocations: [invocations, 1, 1] }
    }

    /// Whole workgroups of `size`; `None` where an invocation's id would not fit 32 bits.
    pub(crate) fn whole(workgroups: [u32; 3], size: [u32; 3]) -> Option<Self> {
        let mut invocations = [0; 3];
        for axis in 0..3 {
            invocations[axis] = workgroups[axis].checked_mul(size[axis])?;
        }
        Some(Self { workgroups, invocations })
    }

    /// Workgroups in all; `None` where that does not fit 64 bits.
    pub(crate) fn count(&self) -> Option<u64> {
        let [x, y, z] = self.workgroups.map(u64::from);
        x.checked_mul(y)?.checked_mul(z)
    }

    /// The workgroup of that index, x fastest.
    pub(crate) fn workgroup(&self, index: u64) -> [u32; 3] {
        let [x, y, _] = self.workgroups.map(u64::from);
        // Below the counts of their axes, which are 32 bits.
        [(index % x) as u32, (index / x % y) as u32, (index / x / y) as u32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workgroups_count_x_first() {
        let grid = Grid::whole([3, 2, 4], [8, 8, 1]).unwrap();
        assert_eq!((grid.invocations, grid.count()), ([24, 16, 4], Some(24)));
        let ids = [0, 1, 2, 3, 5, 6, 23].map(|index| grid.workgroup(index));
        let expected = [[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [2, 1, 0], [0, 0, 1], [2, 1, 3]];
        assert_eq!(ids, expected);
    }

    #[test]
    fn a_row_ends_where_its_elements_do() {
        assert_eq!(Grid::row(513, 256), Grid { workgroups: [3, 1, 1], invocations: [513, 1, 1] });
        assert_eq!(Grid::row(0, 256).count(), Some(0));
    }

    #[test]
    fn too_large_for_its_numbers() {
        assert_eq!(Grid::whole([1 << 31, 1, 1], [2, 1, 1]), None);
        assert!(Grid::whole([u32::MAX, 1, 1], [1, 1, 1]).is_some());
        assert_eq!(Grid { workgroups: [u32::MAX; 3], invocations: [1; 3] }.count(), None);
    }
}
