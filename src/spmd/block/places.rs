//! How a block knows its place: each built-in value as a number of the block, as lanes in a row, or as a table.
//!
//! What is the same in all lanes comes from [`Context::ids`](super::frame::Context::ids), set before each block. Places inside
//! a workgroup never change when the block is one, so they are tabulated once.

use crate::spmd::ir::{Builtin, LANES, Order, Program, SUBGROUP};

/// A number of the present block, by axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    /// `global_invocation_id` of the first lane.
    Origin(u8),
    /// `workgroup_id`; of x only where the block is a workgroup.
    Workgroup(u8),
    /// `num_workgroups`: the same in all blocks.
    Count(u8),
    /// `local_invocation_id` of y and z in a row; for x, the `local_invocation_index` of the row's first invocation.
    Local(u8),
}

/// How many there are.
pub(super) const IDS: usize = 12;

impl Id {
    /// Its place among the block's numbers.
    pub(super) fn index(self) -> usize {
        let (kind, axis) = match self {
            Self::Origin(axis) => (0, axis),
            Self::Workgroup(axis) => (1, axis),
            Self::Count(axis) => (2, axis),
            Self::Local(axis) => (3, axis),
        };
        3 * kind + usize::from(axis)
    }
}

/// What is tabulated: lanes in the order of `local_invocation_index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// `local_invocation_id`.
    LocalId(u8),
    /// `local_invocation_index / SUBGROUP`.
    Subgroup,
    /// `local_invocation_index % SUBGROUP`.
    InSubgroup,
}

/// What is computed from an invocation's x in a row of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InRow {
    LocalId,
    LocalIndex,
    WorkgroupId,
    Subgroup,
    InSubgroup,
}

/// Where a built-in value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Const(u32),
    /// Uniform: a number of the block.
    Id(Id),
    /// The lane's number, plus a number of the block.
    Lane(Option<Id>),
    /// Lanes that are the same in every block, plus a number of the block.
    Table(Table, Option<Id>),
    /// Computed from the lane's x.
    InRow(InRow),
}

/// How a program gets a built-in value, and the stride within a chunk where it has one.
pub(super) fn source(program: &Program, builtin: Builtin) -> (Source, Option<u32>) {
    let size = program.workgroup_size;
    let constant = |bits| (Source::Const(bits), Some(0));
    let uniform = |id| (Source::Id(id), Some(0));
    match (builtin, program.order) {
        (Builtin::NumWorkgroups(axis), _) => uniform(Id::Count(axis)),
        (Builtin::WorkgroupId(0), Order::Rows) => in_row(size, InRow::WorkgroupId, 0),
        (Builtin::WorkgroupId(axis), _) => uniform(Id::Workgroup(axis)),
        (Builtin::GlobalId(0), Order::Rows) => (Source::Lane(Some(Id::Origin(0))), Some(1)),
        (Builtin::GlobalId(axis), Order::Rows) => uniform(Id::Origin(axis)),
        (Builtin::LocalId(axis), _) if size[usize::from(axis)] == 1 => constant(0),
        (Builtin::LocalId(0), Order::Rows) => in_row(size, InRow::LocalId, 1),
        (Builtin::LocalId(axis), Order::Rows) => uniform(Id::Local(axis)),
        (Builtin::LocalIndex, Order::Rows) => in_row(size, InRow::LocalIndex, 1),
        (Builtin::SubgroupId, Order::Rows) => in_row(size, InRow::Subgroup, 0),
        (Builtin::SubgroupInvocationId, Order::Rows) => in_row(size, InRow::InSubgroup, 1),
        (Builtin::GlobalId(axis), Order::Workgroups) if size[usize::from(axis)] == 1 => {
            uniform(Id::Origin(axis))
        }
        (Builtin::GlobalId(axis), Order::Workgroups) => local_id(size, axis, Some(Id::Origin(axis))),
        (Builtin::LocalId(axis), Order::Workgroups) => local_id(size, axis, None),
        (Builtin::LocalIndex, Order::Workgroups) => (Source::Lane(None), Some(1)),
        (Builtin::SubgroupId, Order::Workgroups) if invocations(size) <= SUBGROUP => constant(0),
        (Builtin::SubgroupId, Order::Workgroups) => (Source::Table(Table::Subgroup, None), Some(0)),
        (Builtin::SubgroupInvocationId, Order::Workgroups) if invocations(size) <= SUBGROUP => {
            (Source::Lane(None), Some(1))
        }
        (Builtin::SubgroupInvocationId, Order::Workgroups) => {
            (Source::Table(Table::InSubgroup, None), Some(1))
        }
    }
}

/// Invocations of a workgroup.
pub(super) fn invocations(size: [u32; 3]) -> usize {
    size.iter().fold(1, |product, &axis| product.saturating_mul(axis as usize))
}

/// A block of a row starts at a multiple of [`LANES`], so with workgroups that do, no chunk is cut by the end of one.
fn in_row(size: [u32; 3], what: InRow, stride: u32) -> (Source, Option<u32>) {
    let whole = (size[0] as usize).is_multiple_of(LANES);
    (Source::InRow(what), whole.then_some(stride))
}

fn local_id(size: [u32; 3], axis: u8, plus: Option<Id>) -> (Source, Option<u32>) {
    let axis_at = usize::from(axis);
    let own = size[axis_at] as usize;
    if own == invocations(size) {
        return (Source::Lane(plus), Some(1));
    }
    // How far apart two neighbours on this axis are.
    let apart = size[..axis_at].iter().fold(1, |product, &axis| product * axis as usize);
    let stride = if apart.is_multiple_of(LANES) {
        Some(0)
    } else if apart == 1 && own.is_multiple_of(LANES) {
        Some(1)
    } else {
        None
    };
    (Source::Table(Table::LocalId(axis), plus), stride)
}
