//! Variables, and pointers into them and into buffers.

use std::rc::Rc;

use naga::{Expression, Handle, Span, Type, TypeInner};

use super::super::ir::{Binary, Local, Memory, Op, Stmt, Table, Ty, Unary, Value, Var};
use super::layout::{Elements, Layout, Slot};
use super::usage::{CHOICE, Part};
use super::{Frame, Lowerer, Meaning, Result, Unsupported, Vals};

/// A variable of more scalars than this goes to memory, however it is used.
const MAX_VARS: u32 = 4096;

/// Zeros stored one by one; past that a loop does it.
const UNROLLED_ZEROS: u32 = 32;

/// Where a variable lives.
#[derive(Clone, Debug)]
pub(super) enum Root {
    /// A buffer, an array of the workgroup or a per-invocation one.
    Memory { memory: Memory, layout: Layout },
    /// Scalar by scalar.
    Leaves(Rc<[Leaf]>),
}

/// Where one scalar of a variable lives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leaf {
    Var(Var),
    Word(Local, u32),
}

/// What a pointer means: a root and how far into it, by the count of the root's layout.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub root: Root,
    pub offset: u32,
    /// Words to add to it; with a root of leaves, leaves.
    pub index: Option<Value>,
    /// Half-words to add to that: where f16s are indexed one by one. Apart, so that all else is found without shifts.
    pub half: Option<Value>,
    /// With an `index` into leaves: the few leaves that it chooses from.
    range: (u32, u32),
    /// All of the root, so that past its end there is nothing.
    whole: bool,
}

impl Place {
    pub(super) fn new(root: Root) -> Self {
        Self { root, offset: 0, index: None, half: None, range: (0, 0), whole: true }
    }

    /// What is known at run time only.
    pub(super) fn moving(&mut self) -> [Option<&mut Value>; 2] {
        [self.index.as_mut(), self.half.as_mut()]
    }

    pub(super) fn layout(&self) -> Layout {
        match self.root {
            Root::Memory { layout, .. } => layout,
            Root::Leaves(_) => Layout::Packed,
        }
    }
}

impl<'m> Lowerer<'m> {
    /// Homes for a function's variables, with their first values.
    ///
    /// The entry point starts with everything zero. A called function runs again and again with the same variables.
    pub(super) fn declare_variables(&mut self, frame: &mut Frame<'m>, entry: bool) -> Result<()> {
        let usage = Rc::clone(&self.usage);
        let usage = usage.function(frame.usage);
        for (handle, variable) in frame.function.local_variables.iter() {
            let span = frame.function.local_variables.get_span(handle);
            let name = variable.name.as_deref().unwrap_or_default();
            let parts = usage.variable(handle);
            let init = variable.init.map(|init| self.values(frame, init)).transpose()?;
            if let Some(init) = init.as_ref().filter(|_| !usage.is_written(handle))
                && let Some(root) = self.constant_variable(parts, init)
            {
                frame.variables[handle.index()] = Some(root);
                continue;
            }
            let root = self.variable(variable.ty, parts, name, span, &mut frame.owned_locals)?;
            let inner = &self.module.types[variable.ty].inner;
            frame.variables[handle.index()] = Some(root.clone());
            if let Some(values) = init {
                self.store(&Place::new(root), inner, &values, span)?;
            } else if variable.name.is_some() {
                // Without a name it is the result of `&&` or `||`, which naga sets on both ways.
                self.clear(&root, entry);
            }
        }
        // In a fixed order, so that the same text gives the same program.
        let mut indexed: Vec<_> = usage.indexed_values.iter().copied().collect();
        indexed.retain(|&h| matches!(frame.function.expressions[h], Expression::FunctionArgument(_)));
        indexed.sort_unstable();
        for handle in indexed {
            let values = self.values(frame, handle)?;
            self.spill(frame, handle, &values)?;
        }
        Ok(())
    }

    /// A home for a variable: in lane variables, but for the `parts` that are indexed dynamically.
    pub(super) fn variable(
        &mut self,
        ty: Handle<Type>,
        parts: &[Part],
        name: &str,
        span: Span,
        owned: &mut Vec<Local>,
    ) -> Result<Root> {
        let inner = &self.module.types[ty].inner;
        let leaves = self.types.leaves_of(ty);
        let everything = |&(from, to): &Part| to == u32::MAX || (from == 0 && to >= leaves);
        if leaves > MAX_VARS || parts.iter().any(everything) {
            let local = self.local(name, leaves.max(1), span)?;
            owned.push(local);
            return Ok(Root::Memory { memory: Memory::Local(local), layout: Layout::Packed });
        }
        self.spend(leaves as usize, span)?;
        let scalars = self.scalars(inner, Layout::Packed, span)?;
        let mut homes: Vec<Option<Leaf>> = vec![None; leaves as usize];
        let mut parts = parts.to_vec();
        parts.sort_unstable_by_key(|&(from, to)| (from, std::cmp::Reverse(to)));
        for (from, to) in parts {
            let to = to.min(leaves);
            if from >= to || homes[from as usize].is_some() {
                continue;
            }
            let local = self.local(name, to - from, span)?;
            owned.push(local);
            for leaf in from..to {
                homes[leaf as usize] = Some(Leaf::Word(local, leaf - from));
            }
        }
        let mut names = Vec::with_capacity(leaves as usize);
        self.name_leaves(inner, &mut name.to_owned(), &mut names);
        let leaves = homes.into_iter().zip(scalars).zip(names).map(|((home, slot), name)| {
            home.unwrap_or_else(|| Leaf::Var(self.build.program.new_var(name, slot.ty)))
        });
        Ok(Root::Leaves(leaves.collect()))
    }

    fn name_leaves(&self, inner: &TypeInner, prefix: &mut String, names: &mut Vec<String>) {
        let length = prefix.len();
        let mut below = |inner: &TypeInner, suffix: &dyn std::fmt::Display| {
            use std::fmt::Write as _;
            write!(prefix, ".{suffix}").expect("writing to a String cannot fail");
            self.name_leaves(inner, prefix, names);
            prefix.truncate(length);
        };
        match *inner {
            TypeInner::Vector { size, scalar } => {
                for axis in &["x", "y", "z", "w"][..size as usize] {
                    below(&TypeInner::Scalar(scalar), axis);
                }
            }
            TypeInner::Matrix { columns, rows, scalar } => {
                for column in 0..columns as u32 {
                    below(&TypeInner::Vector { size: rows, scalar }, &column);
                }
            }
            TypeInner::Array { base, size: naga::ArraySize::Constant(count), .. } => {
                for element in 0..count.get() {
                    below(&self.module.types[base].inner, &element);
                }
            }
            TypeInner::Struct { ref members, .. } => {
                for member in members {
                    below(&self.module.types[member.ty].inner, &member.name.as_deref().unwrap_or("_"));
                }
            }
            _ => names.push(prefix.clone()),
        }
    }

    /// Sets a variable to zero; with `entry`, arrays are zero already.
    fn clear(&mut self, root: &Root, entry: bool) {
        match root {
            Root::Memory { memory: Memory::Local(local), .. } if !entry => self.clear_local(*local),
            Root::Memory { .. } => {}
            Root::Leaves(leaves) => {
                for &leaf in leaves.iter() {
                    match leaf {
                        Leaf::Var(var) => {
                            let zero = self.build.zero(self.build.program.vars[var.index()].ty);
                            self.build.set(var, zero);
                        }
                        Leaf::Word(local, 0) if !entry => self.clear_local(local),
                        Leaf::Word(..) => {}
                    }
                }
            }
        }
    }

    fn clear_local(&mut self, local: Local) {
        let words = self.build.program.locals[local.index()].words;
        let zero = self.build.u32(0);
        let memory = Memory::Local(local);
        if words <= UNROLLED_ZEROS {
            for word in 0..words {
                let index = self.build.u32(word);
                self.build.block.push(Stmt::Store { memory, index, value: zero });
            }
            return;
        }
        let (one, end) = (self.build.u32(1), self.build.u32(words));
        let counter = self.build.program.new_var("zeroed", Ty::U32);
        self.build.set(counter, zero);
        let label = self.build.program.new_label();
        let outer = std::mem::take(&mut self.build.block);
        let index = self.build.get(counter);
        self.build.block.push(Stmt::Store { memory, index, value: zero });
        let body = std::mem::take(&mut self.build.block);
        let index = self.build.get(counter);
        let next = self.build.binary(Binary::AddI, index, one);
        self.build.set(counter, next);
        let done = self.build.binary(Binary::EqI, next, end);
        let continuing = std::mem::replace(&mut self.build.block, outer);
        self.build.block.push(Stmt::Loop { label, body, continuing, break_if: Some(done) });
    }

    /// A type's scalars.
    fn scalars(&self, inner: &TypeInner, layout: Layout, span: Span) -> Result<Vec<Slot>> {
        self.types.scalars(self.module, inner, layout).map_err(|construct| Unsupported::new(construct, span))
    }

    /// A member, or an element by a constant.
    pub(super) fn step(&self, place: &Place, inner: &TypeInner, index: u32, span: Span) -> Result<Place> {
        let offset = self
            .types
            .offset(inner, index, place.layout())
            .and_then(|offset| place.offset.checked_add(offset))
            .ok_or_else(|| Unsupported::new("an element past the 32-bit range", span))?;
        Ok(Place { offset, whole: false, ..place.clone() })
    }

    /// An element by a run-time number.
    ///
    /// Past the end: of a whole buffer or variable, nowhere (zero, dropped); of an array inside one, its last element. A
    /// number so large that its word wraps around is limited first. Only an index that follows the invocation's number is
    /// left alone, for the sake of linear loads: its word wraps in no launch whose arrays fit in memory.
    pub(super) fn element(
        &mut self,
        place: &Place,
        inner: &TypeInner,
        index: Value,
        span: Span,
    ) -> Result<Place> {
        let Some(Elements { stride, count }) = self.types.elements(inner, place.layout()) else {
            return Err(Unsupported::new(format!("indexing {inner:?}"), span));
        };
        if let Some(n) = self.build.known_constant(index).filter(|&n| count.is_some_and(|count| n < count)) {
            return self.step(place, inner, n, span);
        }
        let index = self.build.unary_to(Ty::U32, Unary::Bitcast, index);
        let mut next = Place { whole: false, ..place.clone() };
        let mut whole = place.whole;
        if let Root::Leaves(leaves) = &place.root {
            let size = self.types.leaves(inner);
            match leaves[place.offset as usize] {
                Leaf::Word(local, word) if place.index.is_none() => {
                    next.root = Root::Memory { memory: Memory::Local(local), layout: Layout::Packed };
                    next.offset = word;
                    whole = self.build.program.locals[local.index()].words == size;
                }
                _ => {
                    if place.index.is_none() {
                        next.range = (place.offset, place.offset + size);
                    }
                    if next.range.1 - next.range.0 > CHOICE {
                        return Err(Unsupported::new("a dynamic index that was not foreseen", span));
                    }
                }
            }
        }
        // Two half-words are a word; a single one is kept apart.
        let (stride, offset, apart) = match next.layout() {
            Layout::Halves if stride % 2 == 0 => (stride / 2, next.offset / 2, false),
            Layout::Halves => (stride, next.offset, true),
            Layout::Packed | Layout::Words => (stride, next.offset, false),
        };
        let index = if matches!(next.root, Root::Leaves(_)) {
            index
        } else {
            let limit = match count {
                Some(count) if !whole => count - 1,
                _ => (u32::MAX - offset - (stride - 1)) / stride,
            };
            if self.build.bound(index) <= limit || self.build.follows_invocation(index) {
                index
            } else {
                let limit = self.build.u32(limit);
                self.build.binary(Binary::MinU, index, limit)
            }
        };
        let stride = self.build.u32(stride);
        let scaled = self.build.binary(Binary::MulI, index, stride);
        let part = if apart { &mut next.half } else { &mut next.index };
        *part = Some(match *part {
            Some(outer) => self.build.binary(Binary::AddI, outer, scaled),
            None => scaled,
        });
        Ok(next)
    }

    /// The word that a scalar of a place is at.
    pub(super) fn word(&mut self, place: &Place, at: u32) -> Value {
        let units = place.offset.wrapping_add(at);
        let offset = self.build.u32(if place.layout() == Layout::Halves { units / 2 } else { units });
        match place.index {
            Some(index) => self.build.binary(Binary::AddI, index, offset),
            None => offset,
        }
    }

    fn load_word(&mut self, memory: Memory, index: Value, ty: Ty) -> Value {
        if ty == Ty::Bool {
            let word = self.build.load(Ty::U32, memory, index);
            let zero = self.build.u32(0);
            return self.build.binary(Binary::NeI, word, zero);
        }
        self.build.load(ty, memory, index)
    }

    fn store_word(&mut self, memory: Memory, index: Value, value: Value) {
        let value = if self.build.ty(value) == Ty::Bool {
            let (one, zero) = (self.build.u32(1), self.build.u32(0));
            self.build.select(value, one, zero)
        } else {
            value
        };
        self.build.block.push(Stmt::Store { memory, index, value });
    }

    /// Whether `index + at` is the leaf.
    fn is_leaf(&mut self, index: Value, leaf: u32, at: u32) -> Value {
        let wanted = self.build.u32(leaf.wrapping_sub(at));
        self.build.binary(Binary::EqI, index, wanted)
    }

    /// Loads what a place holds, scalar by scalar.
    pub(super) fn load(&mut self, place: &Place, inner: &TypeInner, span: Span) -> Result<Vals> {
        if let &TypeInner::Atomic(scalar) = inner {
            return self.atomic_load(place, scalar, span);
        }
        self.spend(self.types.leaves(inner) as usize, span)?;
        let scalars = self.scalars(inner, place.layout(), span)?;
        let mut values = Vec::with_capacity(scalars.len());
        let mut last = None;
        for Slot { at, ty, half } in scalars {
            let value = match &place.root {
                Root::Memory { memory, .. } if half => self.load_half(place, *memory, at, &mut last),
                Root::Memory { memory, .. } => {
                    let index = self.word(place, at);
                    self.load_word(*memory, index, ty)
                }
                Root::Leaves(leaves) => match place.index {
                    None => self.load_leaf(leaves[(place.offset + at) as usize], ty),
                    Some(index) => {
                        let mut fits = self.leaves_of_type(leaves, place.range, ty).into_iter().rev();
                        let last = fits.next().expect("a part of that type is in it");
                        let mut chosen = self.load_leaf(leaves[last as usize], ty);
                        for leaf in fits {
                            let here = self.is_leaf(index, leaf, place.offset + at);
                            let value = self.load_leaf(leaves[leaf as usize], ty);
                            chosen = self.build.select(here, value, chosen);
                        }
                        chosen
                    }
                },
            };
            values.push(value);
        }
        Ok(values.into())
    }

    /// The leaves that a scalar of that type can be: in an array of structs the others are of other members.
    fn leaves_of_type(&self, leaves: &[Leaf], (from, to): Part, ty: Ty) -> Vec<u32> {
        let fits = |leaf: &u32| match leaves[*leaf as usize] {
            Leaf::Var(var) => self.build.program.vars[var.index()].ty == ty,
            Leaf::Word(..) => true,
        };
        (from..to).filter(fits).collect()
    }

    fn load_leaf(&mut self, leaf: Leaf, ty: Ty) -> Value {
        match leaf {
            Leaf::Var(var) => self.build.push(self.build.program.vars[var.index()].ty, Op::Get(var)),
            Leaf::Word(local, word) => {
                let index = self.build.u32(word);
                self.load_word(Memory::Local(local), index, ty)
            }
        }
    }

    /// Stores a value, scalar by scalar.
    pub(super) fn store(
        &mut self,
        place: &Place,
        inner: &TypeInner,
        values: &[Value],
        span: Span,
    ) -> Result<()> {
        if let &TypeInner::Atomic(scalar) = inner {
            return self.atomic_store(place, scalar, values[0], span);
        }
        self.spend(values.len(), span)?;
        let scalars = self.scalars(inner, place.layout(), span)?;
        let mut scalars = scalars.into_iter().zip(values).peekable();
        while let Some((Slot { at, ty, half }, &value)) = scalars.next() {
            match &place.root {
                Root::Memory { memory, .. } if half => {
                    let lower = Self::is_upper(place, at) == Some(false);
                    match scalars.next_if(|(next, _)| lower && next.half && next.at == at + 1) {
                        Some((_, &upper)) => self.store_halves(place, *memory, at, value, upper),
                        None => self.store_half(place, *memory, at, value),
                    }
                }
                Root::Memory { memory, .. } => {
                    let index = self.word(place, at);
                    self.store_word(*memory, index, value);
                }
                Root::Leaves(leaves) => match place.index {
                    None => self.store_leaf(leaves[(place.offset + at) as usize], value),
                    Some(index) => {
                        for leaf in self.leaves_of_type(leaves, place.range, ty) {
                            let here = self.is_leaf(index, leaf, place.offset + at);
                            let home = leaves[leaf as usize];
                            let old = self.load_leaf(home, ty);
                            let new = self.build.select(here, value, old);
                            self.store_leaf(home, new);
                        }
                    }
                },
            }
        }
        Ok(())
    }

    fn store_leaf(&mut self, leaf: Leaf, value: Value) {
        match leaf {
            Leaf::Var(var) => self.build.set(var, value),
            Leaf::Word(local, word) => {
                let index = self.build.u32(word);
                self.store_word(Memory::Local(local), index, value);
            }
        }
    }

    /// Keeps a by-value composite in memory from here on, since it is going to be indexed dynamically.
    pub(super) fn spill(
        &mut self,
        frame: &mut Frame<'m>,
        handle: Handle<Expression>,
        values: &Vals,
    ) -> Result<()> {
        if self.is_constant(values) {
            return Ok(());
        }
        let span = frame.span(handle);
        self.spend(values.len(), span)?;
        let words = u32::try_from(values.len()).expect("bounded by the work spent");
        let known = frame.spilled.iter().find(|(h, _)| *h == handle);
        let local = match known {
            Some(&(_, local)) => local,
            None => {
                let local = self.local("indexed", words, span)?;
                frame.owned_locals.push(local);
                frame.spilled.push((handle, local));
                local
            }
        };
        for (word, &value) in (0..).zip(values.iter()) {
            let index = self.build.u32(word);
            self.store_word(Memory::Local(local), index, value);
        }
        Ok(())
    }

    /// Whether every scalar is a constant, and so in the program's prologue.
    pub(super) fn is_constant(&self, values: &[Value]) -> bool {
        values.iter().all(|&value| self.build.known_constant(value).is_some())
    }

    /// One element of a by-value composite, by a run-time number. Past its end: the last one, or zeros.
    pub(super) fn indexed_value(
        &mut self,
        frame: &mut Frame<'m>,
        base: Handle<Expression>,
        (inner, element): (&TypeInner, &TypeInner),
        index: Value,
    ) -> Result<Vals> {
        let span = frame.span(base);
        let values = self.values(frame, base)?;
        let count = self.types.elements(inner, Layout::Packed).and_then(|e| e.count);
        let size = self.types.leaves(element) as usize;
        if let Some(n) = self.build.known_constant(index).filter(|&n| count.is_some_and(|count| n < count)) {
            return Ok(values[n as usize * size..][..size].iter().copied().collect());
        }
        if super::usage::chooses(count, self.types.leaves(inner)) {
            let index = self.build.unary_to(Ty::U32, Unary::Bitcast, index);
            let mut elements = values.chunks_exact(size).enumerate().rev();
            let Some((_, last)) = elements.next() else {
                return Err(Unsupported::new("indexing an empty value", span));
            };
            let mut chosen = last.to_vec();
            for (n, element) in elements {
                let here = self.is_leaf(index, u32::try_from(n).expect("at most CHOICE"), 0);
                for (chosen, &value) in chosen.iter_mut().zip(element) {
                    *chosen = self.build.select(here, value, *chosen);
                }
            }
            return Ok(chosen.into());
        }
        let spilled =
            |local| Place::new(Root::Memory { memory: Memory::Local(local), layout: Layout::Packed });
        let place = match frame.spilled.iter().find(|(h, _)| *h == base) {
            Some(&(_, local)) => spilled(local),
            None => match self.constant_place(frame, base)? {
                Some(place) => place,
                None => {
                    self.spill(frame, base, &values)?;
                    spilled(frame.spilled.pop().expect("spill has just added it").1)
                }
            },
        };
        let place = self.element(&place, inner, index, span)?;
        self.load(&place, element, span)
    }

    /// An array of constants.
    fn table(&mut self, values: &Vals) -> Table {
        let key: Rc<[Value]> = match values {
            Vals::One(value) => Rc::from([*value]),
            Vals::Many(values) => Rc::clone(values),
        };
        if let Some(&table) = self.tables.get(&key) {
            return table;
        }
        // A bool becomes a word by its bits.
        let bits = |&value: &Value| self.build.known_constant(value).unwrap_or_default();
        let words = key.iter().map(bits).collect();
        let table = self.build.table(words);
        self.tables.insert(key, table);
        table
    }

    /// Where a value is in a table of constants, if it is one, or a part of one: `T[i][j]`.
    pub(super) fn constant_place(
        &mut self,
        frame: &mut Frame<'m>,
        handle: Handle<Expression>,
    ) -> Result<Option<Place>> {
        let (base, step) = match frame.function.expressions[handle] {
            // Its index may be out of reach where it is read.
            _ if frame.carried.iter().any(|(carried, _)| *carried == handle) => return Ok(None),
            Expression::Access { base, index } => (base, Err(index)),
            Expression::AccessIndex { base, index } => (base, Ok(index)),
            _ => {
                let values = self.values(frame, handle)?;
                return Ok(self.is_constant(&values).then(|| self.table_place(&values)));
            }
        };
        let Some(place) = self.constant_place(frame, base)? else {
            return Ok(None);
        };
        let (inner, span) = (self.inner(frame, base), frame.span(handle));
        let place = match step {
            Ok(index) => self.step(&place, inner, index, span)?,
            Err(index) => {
                let index = self.scalar(frame, index)?;
                self.element(&place, inner, index, span)?
            }
        };
        Ok(Some(place))
    }

    fn table_place(&mut self, values: &Vals) -> Place {
        let memory = Memory::Table(self.table(values));
        Place::new(Root::Memory { memory, layout: Layout::Packed })
    }

    /// A home for a variable that is never written, if it is indexed dynamically and `init` is constant.
    pub(super) fn constant_variable(&mut self, parts: &[Part], init: &Vals) -> Option<Root> {
        (!parts.is_empty() && self.is_constant(init)).then(|| self.table_place(init).root)
    }

    /// The place that a pointer expression means.
    pub(super) fn place(&mut self, frame: &mut Frame<'m>, handle: Handle<Expression>) -> Result<Place> {
        match self.meaning(frame, handle)? {
            Meaning::Place(place) => Ok(place),
            Meaning::Value(_) | Meaning::Texture(_) => {
                Err(Unsupported::new("a pointer made from a value", frame.span(handle)))
            }
        }
    }
}
