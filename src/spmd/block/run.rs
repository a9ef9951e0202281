//! Runs a compiled program: walks the control flow block after block, keeping count of which lanes are active.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use super::Code;
use super::compile::{Compiled, Node};
use super::frame::{Active, Bits, Chunk, Context, MAX_CHUNKS};
use super::kernels::{Size, Slot, stream};
use super::places::{self, IDS, Id};
use super::storage::Place;
use crate::cancel::{Cancel, Stopped, Watch};
use crate::spmd::grid::Grid;
use crate::spmd::ir::{LANES, Order};
use crate::spmd::memory::{Bound, Words};

/// The memory of a run, kept by each thread for its next run.
#[derive(Default)]
struct Arena {
    chunks: Vec<Chunk>,
    slots: Vec<*mut u8>,
    homes: Vec<*mut u8>,
    buffers: Vec<Words>,
    lane_sets: Vec<Bits>,
    #[expect(clippy::vec_box, reason = "boxes trade places with the one of the context")]
    spares: Vec<Box<Active>>,
}

thread_local! {
    static ARENA: Cell<Option<Box<Arena>>> = const { Cell::new(None) };
}

/// Pieces between two looks at the clock: without loops one takes microseconds.
const PIECES_A_LOOK: u32 = 16;
/// Rounds of loops between two looks at the clock.
const ROUNDS_A_LOOK: u32 = 64;
/// Rounds after which a loop with an atomic in it may be waiting for a thread that has no processor.
const PATIENCE: u32 = 4096;
/// Rounds of such a loop, from then on, between two offers to give up the processor.
const ROUNDS_A_YIELD: u32 = 256;

impl Compiled {
    /// Pieces of a launch.
    pub(super) fn pieces(&self, grid: &Grid) -> u64 {
        match self.order {
            Order::Workgroups => grid.count().unwrap_or(u64::MAX),
            Order::Rows => {
                let [x, y, z] = grid.invocations.map(u64::from);
                x.div_ceil(self.lanes()).saturating_mul(y).saturating_mul(z)
            }
        }
    }

    /// Invocations of a full block.
    fn lanes(&self) -> u64 {
        (self.chunks * LANES) as u64
    }

    /// Runs a range of pieces; `stream` is whether outputs go past the caches.
    ///
    /// # Errors
    /// As soon as `watch` says so.
    ///
    /// # Panics
    /// When the number of buffers is not the program's, or one that it stores to is bound for reading; when there is no
    /// memory.
    pub(super) fn run(
        &self,
        buffers: &Bound<'_>,
        grid: &Grid,
        pieces: Range<u64>,
        watch: &Watch,
        stream: bool,
    ) -> Result<(), Stopped> {
        let watched = !watch.is_never();
        if watched {
            watch.check()?;
        }
        // Taken, not borrowed: should a run ever start inside a run, it gets memory of its own.
        let mut arena = ARENA.take().unwrap_or_default();
        arena.lay_out(self, buffers);
        let pieces = pieces.start..pieces.end.min(self.pieces(grid));
        if pieces.is_empty() {
            ARENA.set(Some(arena));
            return Ok(());
        }
        let stream = stream && stream::AVAILABLE;
        let mut places = Places::new(self, grid, pieces.start);
        let mut active = arena.spares.pop().unwrap_or_else(|| Box::new(Active::NONE));
        active.assign_first(places.lanes as usize);
        let mut machine = Machine {
            compiled: self,
            context: Context {
                slots: arena.slots.as_mut_ptr(),
                homes: arena.homes.as_ptr(),
                buffers: arena.buffers.as_ptr(),
                ids: places.ids,
                size: self.size,
                chunks: places.lanes.div_ceil(LANES as u32),
                pitch: self.chunks as u32,
                stream,
                streams: Cell::new(false),
                active,
            },
            lane_sets: &mut arena.lane_sets,
            spares: &mut arena.spares,
            departures: 0,
            watch,
            watched,
            stopped: None,
            rounds: 0,
        };
        machine.instrs(0, self.once);
        let mut previous = places.lanes;
        let mut until_look = PIECES_A_LOOK;
        for piece in pieces.clone() {
            if piece > pieces.start {
                places.next();
                if watched {
                    until_look -= 1;
                    machine.look(until_look == 0);
                    until_look = if until_look == 0 { PIECES_A_LOOK } else { until_look };
                }
            }
            if machine.stopped.is_some() {
                break;
            }
            if self.jumps && piece > pieces.start || places.lanes != previous {
                machine.context.active.assign_first(places.lanes as usize);
                previous = places.lanes;
            }
            machine.context.ids = places.ids;
            machine.context.chunks = places.lanes.div_ceil(LANES as u32);
            machine.instrs(self.once, self.each_block);
            machine.nodes(&self.nodes);
        }
        let stopped = machine.stopped;
        machine.spares.push(machine.context.active);
        if stream {
            stream::fence();
        }
        ARENA.set(Some(arena));
        stopped.map_or(Ok(()), Err)
    }
}

/// Where the blocks of a launch are: goes from one to the next.
struct Places {
    order: Order,
    /// Lanes of a full block.
    block: u32,
    size: [u32; 3],
    grid: Grid,
    /// The block: its workgroup, or its first invocation.
    at: [u32; 3],
    /// The numbers of the block.
    ids: [u32; IDS],
    /// Its invocations.
    lanes: u32,
}

impl Places {
    fn new(compiled: &Compiled, grid: &Grid, piece: u64) -> Self {
        let block = compiled.lanes();
        let at = match compiled.order {
            Order::Workgroups => grid.workgroup(piece),
            Order::Rows => {
                let [x, y, _] = grid.invocations.map(u64::from);
                let (row, column) = (piece / x.div_ceil(block), piece % x.div_ceil(block));
                // Each below its axis, which is 32 bits.
                [(column * block) as u32, (row % y) as u32, (row / y) as u32]
            }
        };
        let mut places = Self {
            order: compiled.order,
            block: block as u32,
            size: compiled.size,
            grid: *grid,
            at,
            ids: [0; IDS],
            lanes: places::invocations(compiled.size) as u32,
        };
        for axis in 0..3 {
            places.ids[Id::Count(axis).index()] = grid.workgroups[usize::from(axis)];
        }
        places.name(true);
        places
    }

    /// Goes to the next block, x fastest.
    fn next(&mut self) {
        let (step, ends) = match self.order {
            Order::Workgroups => (1, self.grid.workgroups),
            Order::Rows => (self.block, self.grid.invocations),
        };
        if step < ends[0] - self.at[0] {
            self.at[0] += step;
            return self.name(false);
        }
        self.at[0] = 0;
        self.at[1] += 1;
        if self.at[1] == ends[1] {
            self.at[1] = 0;
            self.at[2] += 1;
        }
        self.name(true);
    }

    /// Says where the block is. `row`: not in the same row as the one before.
    fn name(&mut self, row: bool) {
        let Self { order, at, size, ids, .. } = self;
        match order {
            Order::Workgroups => {
                for axis in 0..3_u8 {
                    let (at, size) = (at[usize::from(axis)], size[usize::from(axis)]);
                    ids[Id::Workgroup(axis).index()] = at;
                    ids[Id::Origin(axis).index()] = at.wrapping_mul(size);
                }
            }
            Order::Rows => {
                ids[Id::Origin(0).index()] = at[0];
                self.lanes = self.block.min(self.grid.invocations[0] - at[0]);
                if row {
                    for axis in 1..3_u8 {
                        let (at, size) = (at[usize::from(axis)], size[usize::from(axis)]);
                        ids[Id::Origin(axis).index()] = at;
                        ids[Id::Workgroup(axis).index()] = at / size;
                        ids[Id::Local(axis).index()] = at % size;
                    }
                    let (y, z) = (ids[Id::Local(1).index()], ids[Id::Local(2).index()]);
                    ids[Id::Local(0).index()] = size[0].wrapping_mul(y.wrapping_add(size[1].wrapping_mul(z)));
                }
            }
        }
    }
}

impl Arena {
    fn lay_out(&mut self, compiled: &Compiled, buffers: &Bound<'_>) {
        let Compiled { storage, chunks, consts, .. } = compiled;
        assert!(compiled.bytes() <= Code::MAX_BYTES, "a program that its caller should have refused");
        let (frame, shared) = compiled.frame_chunks();
        // Under `MAX_BYTES`, so they fit.
        let (frame, size) = (frame as usize, (frame + shared) as usize);
        if self.chunks.len() < size {
            let more = size - self.chunks.len();
            // An allocation that fails must not end the process.
            let reserved = self.chunks.try_reserve_exact(more);
            assert!(reserved.is_ok(), "out of memory: {size} chunks of lanes for a block");
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
        self.buffers.clear();
        self.buffers.extend(buffers.words(&compiled.stored));
        let mut at = frame;
        for &words in &compiled.shared {
            self.buffers.push(Words { words: base.wrapping_add(at).cast(), len: words as usize });
            at += words.div_ceil(LANES as u32) as usize;
        }
        // Never written through: no store goes to a table.
        let table = |table: &Arc<[u32]>| Words { words: table.as_ptr().cast_mut(), len: table.len() };
        self.buffers.extend(compiled.tables.iter().map(table));
        self.lane_sets.resize(self.lane_sets.len().max(compiled.lane_sets as usize), [0; MAX_CHUNKS]);
    }
}

struct Machine<'a> {
    compiled: &'a Compiled,
    context: Context,
    lane_sets: &'a mut [Bits],
    /// Sets of lanes that are not in use.
    #[expect(clippy::vec_box, reason = "boxes trade places with the one of the context")]
    spares: &'a mut Vec<Box<Active>>,
    /// Times that lanes left something, since the innermost branch began: none, and all of them come back.
    departures: u64,
    watch: &'a Watch,
    /// Whether it may say anything.
    watched: bool,
    /// It has: no lane is active any more.
    stopped: Option<Stopped>,
    /// Rounds of loops, all of them.
    rounds: u32,
}

impl Machine<'_> {
    /// Looks whether to go on; at the clock only if so asked.
    fn look(&mut self, clock: bool) {
        let result = match &self.watch.cancel {
            _ if clock => self.watch.check(),
            Some(cancel) if Cancel::is_cancelled(cancel) => Err(Stopped::Cancelled),
            _ => Ok(()),
        };
        if let Err(stopped) = result {
            self.stopped = Some(stopped);
        }
    }

    /// At the end of a round of a loop, whose number in this loop it is: looks whether to go on, and lets others go on.
    fn round(&mut self, round: u32, waits: bool) {
        if self.watched {
            self.rounds = self.rounds.wrapping_add(1);
            self.look(self.rounds.is_multiple_of(ROUNDS_A_LOOK));
        }
        if waits && round >= PATIENCE && round.is_multiple_of(ROUNDS_A_YIELD) {
            std::thread::yield_now();
        }
    }

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
                    if taken.is_empty() {
                        continue;
                    }
                    self.nodes(taken);
                }
                Node::If { cond, then, otherwise, escapes } => self.branch(*cond, then, otherwise, *escapes),
                Node::Leave { cond, into } => self.leave(*cond, *into),
                Node::Exit { cond, start, end, into } => self.exit(*cond, *start, *end, *into),
                Node::Loop { body, continuing, break_if, left, continued, waits } => {
                    self.repeat(body, continuing, *break_if, *left, *continued, *waits);
                }
                Node::Scope { body, left } => {
                    let entered = self.enter(*left);
                    self.nodes(body);
                    self.come_back(entered, *left);
                }
            }
            if self.stopped.is_some() {
                self.context.active.clear();
            }
            if self.context.active.is_empty() {
                return;
            }
        }
    }

    fn branch(&mut self, cond: Slot, then: &[Node], otherwise: &[Node], escapes: bool) {
        let bits = bits_of(&self.context, cond);
        let mut with = self.spare();
        let parts = with.assign_where(&self.context.active, &bits);
        if !parts || with.is_empty() {
            // All go one way.
            let taken = if parts { otherwise } else { then };
            self.spares.push(with);
            return self.nodes(taken);
        }
        // Now, as `then` may use the slot of the condition again.
        let mut without = None;
        if escapes || !otherwise.is_empty() {
            let mut lanes = self.spare();
            lanes.assign_where(&self.context.active, |chunk| !bits(chunk));
            without = Some(lanes);
        }
        let before = std::mem::replace(&mut self.departures, 0);
        let entered = std::mem::replace(&mut self.context.active, with);
        self.nodes(then);
        if let Some(lanes) = &mut without
            && !otherwise.is_empty()
            && self.stopped.is_none()
        {
            std::mem::swap(&mut self.context.active, lanes);
            self.nodes(otherwise);
        }
        let unused = match &without {
            Some(stayed) if escapes && self.departures > 0 => {
                self.context.active.widen(&stayed.bits);
                entered
            }
            _ => std::mem::replace(&mut self.context.active, entered),
        };
        self.spares.push(unused);
        self.spares.extend(without);
        self.departures += before;
    }

    /// Lanes to fill in.
    fn spare(&mut self) -> Box<Active> {
        self.spares.pop().unwrap_or_else(|| Box::new(Active::NONE))
    }

    fn repeat(
        &mut self,
        body: &[Node],
        continuing: &[Node],
        break_if: Option<Slot>,
        left: Option<u32>,
        continued: Option<u32>,
        waits: bool,
    ) {
        let mut round = 0_u32;
        let entered = self.enter(left);
        if let Some(set) = continued {
            self.lane_sets[set as usize] = [0; MAX_CHUNKS];
        }
        while !self.context.active.is_empty() {
            self.nodes(body);
            if let Some(set) = continued {
                let lanes = std::mem::replace(&mut self.lane_sets[set as usize], [0; MAX_CHUNKS]);
                self.context.active.widen(&lanes);
            }
            if self.context.active.is_empty() {
                break;
            }
            self.nodes(continuing);
            round = round.wrapping_add(1);
            if self.watched || waits {
                self.round(round, waits);
                if self.stopped.is_some() {
                    break;
                }
            }
            match break_if {
                Some(cond) if cond.size != Size::One => self.leave(Some((cond, true)), left),
                Some(cond) if self.bit(cond) => self.leave(None, left),
                _ => {}
            }
        }
        self.come_back(entered, left);
    }

    /// Before a loop or scope: what is active again after it, unless lanes may be lost inside.
    fn enter(&mut self, left: Option<u32>) -> Option<Box<Active>> {
        match left {
            Some(set) => {
                self.lane_sets[set as usize] = [0; MAX_CHUNKS];
                None
            }
            None => {
                let mut entered = self.spare();
                entered.assign(&self.context.active);
                Some(entered)
            }
        }
    }

    /// After a loop or scope: who fell through is still active, who left it is active again.
    fn come_back(&mut self, entered: Option<Box<Active>>, left: Option<u32>) {
        match (entered, left) {
            (Some(entered), _) => self.spares.push(std::mem::replace(&mut self.context.active, entered)),
            (None, Some(set)) => {
                let lanes = &self.lane_sets[set as usize];
                self.context.active.widen(lanes);
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
        // Most rounds of most loops nobody leaves, and looking is less than keeping.
        if !self.context.active.meets(|chunk| !keep(chunk)) {
            return;
        }
        match into {
            Some(set) => {
                let lanes = &mut self.lane_sets[set as usize];
                self.context.active.keep(keep, |chunk, left| lanes[chunk % MAX_CHUNKS] |= left)
            }
            None => self.context.active.keep(keep, |_, _| {}),
        };
        self.departures += 1;
    }

    /// Lanes that leave do something first.
    fn exit(&mut self, (cond, when): (Slot, bool), start: u32, end: u32, into: Option<u32>) {
        let bits = bits_of(&self.context, cond);
        let flip = if when { 0 } else { u16::MAX };
        let leaves = |chunk| bits(chunk) ^ flip;
        if !self.context.active.meets(leaves) {
            return;
        }
        let mut leaving = self.spare();
        leaving.assign_where(&self.context.active, leaves);
        std::mem::swap(&mut self.context.active, &mut leaving);
        self.instrs(start, end);
        std::mem::swap(&mut self.context.active, &mut leaving);
        // Not what `cond` says: the instructions may have taken its place.
        let stays = |chunk: usize| !leaving.bits[chunk % MAX_CHUNKS];
        match into {
            Some(set) => {
                let lanes = &mut self.lane_sets[set as usize];
                self.context.active.keep(stays, |chunk, left| lanes[chunk % MAX_CHUNKS] |= left)
            }
            None => self.context.active.keep(stays, |_, _| {}),
        };
        self.departures += 1;
        self.spares.push(leaving);
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
