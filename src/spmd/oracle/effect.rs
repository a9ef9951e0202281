//! What effects do, as bits to bits: atomics on words, subgroup operations on the operands of the active invocations.

use super::eval::{self, Fusion};
use crate::spmd::ir::{AtomicOp, Binary, Effect, Program, Ty, Value};

/// An active invocation of a subgroup and the operands it brings, in the order of [`Effect::operands`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    /// `subgroup_invocation_id`.
    pub at: u32,
    pub operands: [u32; 3],
}

impl Lane {
    /// A lane with the operands that `value` gives.
    pub(crate) fn new(at: u32, effect: Effect, value: impl Fn(Value) -> u32) -> Self {
        let (mut operands, mut next) = ([0; 3], 0);
        effect.operands(|operand| {
            operands[next] = value(operand);
            next += 1;
        });
        Self { at, operands }
    }
}

/// Does an atomic on the words of its memory for one invocation after the other; their results.
pub(crate) fn atomics(effect: Effect, program: &Program, words: &mut [u32], lanes: &[Lane]) -> Vec<u32> {
    let one = |lane: &Lane| {
        let [index, a, b] = lane.operands;
        let Some(word) = words.get_mut(index as usize) else { return 0 };
        let old = *word;
        match effect {
            Effect::AtomicStore { .. } => *word = a,
            Effect::Atomic { op, value, .. } => *word = atomic(op, program.value(value).ty, old, a),
            Effect::CompareExchange { .. } if old == a => *word = b,
            _ => {}
        }
        old
    };
    lanes.iter().map(one).collect()
}

/// What an atomic makes of the old word and a value of that type.
pub(crate) fn atomic(op: AtomicOp, ty: Ty, old: u32, value: u32) -> u32 {
    let signed = ty == Ty::I32;
    let binary = match op {
        AtomicOp::Exchange => return value,
        AtomicOp::Add => Binary::AddI,
        AtomicOp::Sub => Binary::SubI,
        AtomicOp::And => Binary::AndI,
        AtomicOp::Or => Binary::OrI,
        AtomicOp::Xor => Binary::XorI,
        AtomicOp::Min if signed => Binary::MinI,
        AtomicOp::Min => Binary::MinU,
        AtomicOp::Max if signed => Binary::MaxI,
        AtomicOp::Max => Binary::MaxU,
    };
    // No multiply-add in it.
    eval::binary(binary, Fusion::Fused, old, value)
}

/// The results of a subgroup operation for its active invocations, which come in order, lowest first; zeros for a barrier.
pub(crate) fn collective(effect: Effect, lanes: &[Lane]) -> Vec<u32> {
    // None of the operations of a subgroup has a multiply-add.
    let apply = |op, a, b| eval::binary(op, Fusion::Fused, a, b);
    let values = lanes.iter().map(|lane| lane.operands[0]);
    let same = |bits| vec![bits; lanes.len()];
    match effect {
        Effect::Reduce { op, .. } => same(values.reduce(|a, b| apply(op, a, b)).unwrap_or(0)),
        Effect::InclusiveScan { op, .. } => {
            let mut total = None;
            values
                .map(|value| {
                    let next = total.map_or(value, |total| apply(op, total, value));
                    total = Some(next);
                    next
                })
                .collect()
        }
        Effect::ExclusiveScan { op, .. } => {
            let first = match op {
                Binary::MulF => 1.0_f32.to_bits(),
                Binary::MulI => 1,
                _ => 0,
            };
            let mut total = None;
            values
                .map(|value| {
                    let before = total;
                    total = Some(before.map_or(value, |total| apply(op, total, value)));
                    before.unwrap_or(first)
                })
                .collect()
        }
        Effect::Ballot { .. } => {
            same(lanes.iter().map(|lane| lane.operands[0] << lane.at).fold(0, |a, b| a | b))
        }
        Effect::First { .. } => same(lanes.first().map_or(0, |lane| lane.operands[0])),
        Effect::Shuffle { .. } => {
            let from = |at| lanes.iter().find(|lane| lane.at == at).map_or(0, |lane| lane.operands[0]);
            lanes.iter().map(|lane| from(lane.operands[1])).collect()
        }
        Effect::Barrier => same(0),
        Effect::AtomicLoad { .. }
        | Effect::AtomicStore { .. }
        | Effect::Atomic { .. }
        | Effect::CompareExchange { .. } => unreachable!("{effect:?} goes to memory"),
    }
}
