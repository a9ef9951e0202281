//! f16 in buffers: two to a word.

use super::super::ir::{AtomicOp, Binary, Effect, Memory, Stmt, Ty, Unary, Value};
use super::Lowerer;
use super::place::Place;

impl Lowerer<'_> {
    /// Whether a scalar is the upper half of its word; `None` where that is known at run time only.
    pub(super) fn is_upper(place: &Place, at: u32) -> Option<bool> {
        place.half.is_none().then_some(place.offset.wrapping_add(at) % 2 == 1)
    }

    /// The word of an f16, and the bit that it starts at.
    fn half_word(&mut self, place: &Place, at: u32) -> (Value, Value) {
        let (two, sixteen) = (self.build.u32(2), self.build.u32(16));
        let Some(half) = place.half else {
            let shift = if Self::is_upper(place, at) == Some(true) { sixteen } else { self.build.u32(0) };
            return (self.word(place, at), shift);
        };
        let offset = self.build.u32(place.offset.wrapping_add(at));
        let half = self.build.binary(Binary::AddI, half, offset);
        let word = self.build.binary(Binary::DivU, half, two);
        let word = match place.index {
            Some(index) => self.build.binary(Binary::AddI, index, word),
            None => word,
        };
        let odd = self.build.binary(Binary::RemU, half, two);
        (word, self.build.binary(Binary::MulI, odd, sixteen))
    }

    pub(super) fn load_half(
        &mut self,
        place: &Place,
        memory: Memory,
        at: u32,
        last: &mut Option<(u32, Value)>,
    ) -> Value {
        let (index, shift) = self.half_word(place, at);
        // The other half is in the same word, if nothing is in between.
        let number = place.offset.wrapping_add(at) / 2;
        let word = match *last {
            Some((same, word)) if same == number && place.half.is_none() => word,
            _ => self.build.load(Ty::U32, memory, index),
        };
        *last = Some((number, word));
        let bits = if self.build.known_constant(shift) == Some(0) {
            word
        } else {
            self.build.binary(Binary::ShrU, word, shift)
        };
        self.build.unary_to(Ty::F32, Unary::F16ToF32, bits)
    }

    /// Stores one half of a word without touching the other, which may be another invocation's.
    pub(super) fn store_half(&mut self, place: &Place, memory: Memory, at: u32, value: Value) {
        let (index, shift) = self.half_word(place, at);
        let bits = self.build.unary_to(Ty::U32, Unary::F32ToF16, value);
        let ones = self.build.u32(0xffff);
        let mask = self.build.binary(Binary::ShlI, ones, shift);
        let others = self.build.unary(Unary::NotI, mask);
        let bits = self.build.binary(Binary::ShlI, bits, shift);
        self.build.effect(None, Effect::Atomic { op: AtomicOp::And, memory, index, value: others });
        self.build.effect(None, Effect::Atomic { op: AtomicOp::Or, memory, index, value: bits });
    }

    /// Stores both halves of a word.
    pub(super) fn store_halves(&mut self, place: &Place, memory: Memory, at: u32, low: Value, high: Value) {
        let index = self.word(place, at);
        let sixteen = self.build.u32(16);
        let low = self.build.unary_to(Ty::U32, Unary::F32ToF16, low);
        let high = self.build.unary_to(Ty::U32, Unary::F32ToF16, high);
        let high = self.build.binary(Binary::ShlI, high, sixteen);
        let value = self.build.binary(Binary::OrI, low, high);
        self.build.block.push(Stmt::Store { memory, index, value });
    }
}
