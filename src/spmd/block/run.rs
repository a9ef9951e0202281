//! Runs a compiled program: walks the control flow block after block, keeping count of which lanes are active.

use std::cell::Cell;

use super::compile::{Compiled, Node};
use super::frame::{Active, Bits, Chunk, Context, MAX_CHUNKS, Words};
use super::kernels::{Size, Slot, stream};
use super::storage::Place;
use crate::spmd::ir::LANES;
use crate::spmd::memory::BufferData;

/// The memory of a run, kept by each thread for its next run.
#[derive(Default)]
struct Arena {
    chunks: Vec<Chunk>,
    slots: Vec<*mut u8>,
    homes: Vec<*mut u8>,
    buffers: Vec<Words>,
    lane_sets: Vec<Bits>,
}

thread_local! {
    static ARENA: Cell<Option<Box<Arena>>> = const { Cell::new(None) };
}

impl Compiled {
    /// Runs invocations `0..invocations`; `stream` is whether outputs go past the caches.
    ///
    /// # Panics
    /// When the number of buffers is not the program's, or one that it stores to is given for reading.
    pub(super) fn run(&self, buffers: &mut [BufferData<'_>], invocations: u32, stream: bool) {
        assert_eq!(buffers.len(), self.stored.len(), "one slice per buffer of the program");
        if invocations == 0 {
            return;
        }
        let stream = stream && stream::AVAILABLE;
        // Taken, not borrowed: should a run ever start inside a run, it gets memory of its own.
        let mut arena = ARENA.take().unwrap_or_default();
        arena.bind(buffers, &self.stored);
        arena.lay_out(self);
        let block = (self.chunks * LANES) as u32;
        let mut machine = Machine {
            compiled: self,
            context: Context {
                slots: arena.slots.as_mut_ptr(),
                homes: arena.homes.as_ptr(),
                buffers: arena.buffers.as_ptr(),
                first: 0,
                chunks: 0,
                pitch: self.chunks as u32,
                invocations,
                stream,
                streams: Cell::new(false),
                active: Active::first(block.min(invocations) as usize),
            },
            lane_sets: &mut arena.lane_sets,
            departures: 0,
        };
        machine.instrs(0, self.once);
        let mut first = 0;
        let mut previous = block.min(invocations);
        loop {
            let lanes = block.min(invocations - first);
            if self.jumps && first > 0 || lanes != previous {
                machine.context.active = Active::first(lanes as usize);
                previous = lanes;
            }
            machine.context.first = first;
            machine.context.chunks = (lanes as usize).div_ceil(LANES) as u32;
            machine.instrs(self.once, self.each_block);
            machine.nodes(&self.nodes);
            first += lanes;
            if first == invocations {
                break;
            }
        }
        if stream {
            stream::fence();
        }
        ARENA.set(Some(arena));
    }
}

impl Arena {
    fn bind(&mut self, buffers: &mut [BufferData<'_>], stored: &[bool]) {
        self.buffers.clear();
        for (at, (buffer, stored)) in buffers.iter_mut().zip(stored).enumerate() {
            self.buffers.push(match buffer {
                BufferData::Write(words) => Words { words: words.as_mut_ptr(), len: words.len() },
                BufferData::Read(words) => {
                    assert!(!stored, "buffer {at} is stored to, and was given for reading");
                    // Never written through: the program has no store to it.
                    Words { words: words.as_ptr().cast_mut(), len: words.len() }
                }
            });
        }
    }

    fn lay_out(&mut self, compiled: &Compiled) {
        let Compiled { storage, chunks, consts, .. } = compiled;
        let size = storage.frame_chunks(*chunks);
        if self.chunks.len() < size {
            self.chunks.resize(size, Chunk([0; LANES]));
        }
        let base = self.chunks.as_mut_ptr();
        self.slots.clear();
        for place in &storage.places {
            let chunk = match (*place, storage.offset(*place, *chunks)) {
                // Never written through: a constant is no instruction's destination.
                (Place::Const(at), _) => (&raw const consts[at as usize]).cast_mut(),
                (_, offset) => base.wrapping_add(offset.expect("only constants are outside the frame")),
            };
            self.slots.push(chunk.cast());
        }
        self.homes.clone_from(&self.slots);
        self.lane_sets.resize(self.lane_sets.len().max(compiled.lane_sets as usize), [0; MAX_CHUNKS]);
    }
}

struct Machine<'a> {
    compiled: &'a Compiled,
    context: Context,
    lane_sets: &'a mut [Bits],
    /// Times that lanes left something, since the innermost branch began: none, and all of them come back.
    departures: u64,
}

impl Machine<'_> {
    #[inline]
    fn instrs(&mut self, start: u32, end: u32) {
        if self.context.stream {
            return self.instrs_streaming(start, end);
        }
        for instr in &self.compiled.instrs[start as usize..end as usize] {
            let list = if instr.once { &[0] } else { self.context.active.list() };
            // SAFETY: the facts at the head of `kernels`. 1: `lay_out` made an entry per place, of the size that
            // `Storage` gave it; `Instr::new` checked sizes against `once`. 2: `bind`. 3: the lists of `Active` are
            // made from the block's chunks. 4: `Kernels::of` checked the level.
            unsafe { (instr.kernel)(&self.context, instr, list) }
        }
    }

    /// The same, a few chunks at a time where the results go past the caches.
    fn instrs_streaming(&mut self, start: u32, end: u32) {
        for instr in &self.compiled.instrs[start as usize..end as usize] {
            let list = if instr.once { &[0] } else { self.context.active.list() };
            let Some(store) = instr.stream else {
                // SAFETY: as in `instrs`.
                unsafe { (instr.kernel)(&self.context, instr, list) }
                continue;
            };
            let store = &self.compiled.streams[store as usize];
            for piece in list.chunks(stream::PIECE) {
                // SAFETY: as in `instrs`; part of a list is one.
                unsafe {
                    (instr.kernel)(&self.context, instr, piece);
                    (store.kernel)(&self.context, store, piece);
                }
            }
        }
    }

    /// Returns with no active lane when all of them jumped.
    fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Run { start, end } => {
                    self.instrs(*start, *end);
                    continue;
                }
                Node::IfUniform { cond, then, otherwise } => {
                    let taken = if self.bit(*cond) { then } else { otherwise };
                    self.nodes(taken);
                }
                Node::If { cond, then, otherwise, escapes } => self.branch(*cond, then, otherwise, *escapes),
                Node::Leave { cond, into } => self.leave(*cond, *into),
                Node::Loop { body, continuing, break_if, left, continued } => {
                    self.repeat(body, continuing, *break_if, *left, *continued);
                }
                Node::Scope { body, left } => {
                    let entered = self.enter(*left);
                    self.nodes(body);
                    self.come_back(entered, *left);
                }
            }
            if self.context.active.is_empty() {
                return;
            }
        }
    }

    fn branch(&mut self, cond: Slot, then: &[Node], otherwise: &[Node], escapes: bool) {
        let chunks = self.context.chunks as usize;
        let bits = bits_of(&self.context, cond);
        if !self.context.active.meets(&bits) {
            return self.nodes(otherwise);
        }
        let (with, without) = self.context.active.split(bits);
        let before = std::mem::replace(&mut self.departures, 0);
        let entered = std::mem::replace(&mut self.context.active, with);
        self.nodes(then);
        let stayed = if otherwise.is_empty() || without.is_empty() {
            without
        } else {
            let stayed = std::mem::replace(&mut self.context.active, without);
            self.nodes(otherwise);
            stayed
        };
        if escapes && self.departures > 0 {
            self.context.active.widen(&stayed.bits, chunks);
        } else {
            self.context.active = entered;
        }
        self.departures += before;
    }

    fn repeat(
        &mut self,
        body: &[Node],
        continuing: &[Node],
        break_if: Option<Slot>,
        left: Option<u32>,
        continued: Option<u32>,
    ) {
        let entered = self.enter(left);
        if let Some(set) = continued {
            self.lane_sets[set as usize] = [0; MAX_CHUNKS];
        }
        while !self.context.active.is_empty() {
            self.nodes(body);
            if let Some(set) = continued {
                let lanes = std::mem::replace(&mut self.lane_sets[set as usize], [0; MAX_CHUNKS]);
                self.context.active.widen(&lanes, self.context.chunks as usize);
            }
            if self.context.active.is_empty() {
                break;
            }
            self.nodes(continuing);
            match break_if {
                Some(cond) if cond.size != Size::One => self.leave(Some((cond, true)), left),
                Some(cond) if self.bit(cond) => self.leave(None, left),
                _ => {}
            }
        }
        self.come_back(entered, left);
    }

    /// Before a loop or scope: what is active again after it, unless lanes may be lost inside.
    fn enter(&mut self, left: Option<u32>) -> Option<Active> {
        match left {
            Some(set) => {
                self.lane_sets[set as usize] = [0; MAX_CHUNKS];
                None
            }
            None => Some(self.context.active.clone()),
        }
    }

    /// After a loop or scope: who fell through is still active, who left it is active again.
    fn come_back(&mut self, entered: Option<Active>, left: Option<u32>) {
        match (entered, left) {
            (Some(entered), _) => self.context.active = entered,
            (None, Some(set)) => {
                let lanes = &self.lane_sets[set as usize];
                self.context.active.widen(lanes, self.context.chunks as usize);
            }
            (None, None) => unreachable!("`enter` keeps one of them"),
        }
    }

    fn leave(&mut self, cond: Option<(Slot, bool)>, into: Option<u32>) {
        let Some((cond, when)) = cond else {
            if let Some(set) = into {
                let lanes = &mut self.lane_sets[set as usize];
                lanes.iter_mut().zip(self.context.active.bits).for_each(|(set, lanes)| *set |= lanes);
            }
            self.departures += 1;
            self.context.active.clear();
            return;
        };
        let bits = bits_of(&self.context, cond);
        let flip = if when { u16::MAX } else { 0 };
        let keep = |chunk| bits(chunk) ^ flip;
        let any = match into {
            Some(set) => {
                let lanes = &mut self.lane_sets[set as usize];
                self.context.active.keep(keep, |chunk, left| lanes[chunk % MAX_CHUNKS] |= left)
            }
            None => self.context.active.keep(keep, |_, _| {}),
        };
        self.departures += u64::from(any);
    }

    /// A uniform bool.
    fn bit(&self, cond: Slot) -> bool {
        assert!(cond.size == Size::One, "one bool for all lanes");
        // SAFETY: fact 1.
        unsafe { self.context.slots.add(cond.entry as usize).read().cast::<u16>().read() & 1 != 0 }
    }
}

/// The bools of a slot of [`Size::Bits`], by chunk of the block.
#[inline(always)]
fn bits_of(context: &Context, cond: Slot) -> impl Fn(usize) -> u16 + use<> {
    assert!(cond.size == Size::Bits, "lanes part by a bool for each");
    // SAFETY: fact 1.
    let slot = unsafe { context.slots.add(cond.entry as usize).read().cast::<u16>() };
    // SAFETY: fact 1; the chunks are those of `Active`'s list.
    move |chunk| unsafe { slot.add(chunk).read() }
}
