//! Which parts of which variables are indexed with run-time numbers, across calls; the rest can live in lane variables. And
//! which variables are written at all.
//!
//! Found before anything is lowered, since an early constant access must go where a later dynamic one will look. One
//! pass over every function, callees first (naga orders them so).

use std::collections::{HashMap, HashSet};

use naga::{AddressSpace, Expression, GlobalVariable, Handle, LocalVariable, Statement, TypeInner};

use super::layout::{Layout, Types};

/// A dynamically indexed composite of up to so many scalars stays in variables: a chain of selects is cheaper than memory.
pub(super) const CHOICE: u32 = 4;

/// Whether one of `count` elements of a value of that many scalars is picked by selects rather than through memory.
pub(super) fn chooses(count: Option<u32>, leaves: u32) -> bool {
    count.is_some_and(|count| count <= CHOICE) && leaves <= CHOICE * CHOICE
}

/// Past so many separate parts a variable goes to memory as a whole.
const MAX_PARTS: usize = 64;

/// Scalars of a variable, from the first to before the second.
pub(super) type Part = (u32, u32);

/// The parts of one variable that must be in memory, unordered, possibly one inside another.
pub(super) type Parts = Vec<Part>;

const WHOLE: Part = (0, u32::MAX);

/// What one function does to its variables.
#[derive(Default)]
pub(super) struct FunctionUsage {
    variables: HashMap<Handle<LocalVariable>, Parts>,
    /// Variables that are stored to, or that a callee has a pointer to.
    written: HashSet<Handle<LocalVariable>>,
    arguments: HashMap<u32, Parts>,
    /// By-value composites that are indexed dynamically.
    pub indexed_values: HashSet<Handle<Expression>>,
    /// `return` statements.
    pub returns: u32,
}

/// Usage of every function, then of the entry point.
pub(super) struct Usage {
    functions: Vec<FunctionUsage>,
    privates: HashMap<Handle<GlobalVariable>, Parts>,
    written_privates: HashSet<Handle<GlobalVariable>>,
}

/// Where a pointer expression points.
#[derive(Clone, Copy)]
struct Reach {
    root: Rooted,
    offset: u32,
    /// Below a dynamic index: nothing more to learn.
    settled: bool,
}

#[derive(Clone, Copy)]
enum Rooted {
    Variable(Handle<LocalVariable>),
    Argument(u32),
    Private(Handle<GlobalVariable>),
}

impl Usage {
    pub(super) fn new(
        module: &naga::Module,
        info: &naga::valid::ModuleInfo,
        entry: usize,
        types: &Types,
    ) -> Self {
        let mut usage =
            Self { functions: Vec::new(), privates: HashMap::new(), written_privates: HashSet::new() };
        for (handle, function) in module.functions.iter() {
            usage.add(module, function, &info[handle], types);
        }
        usage.add(module, &module.entry_points[entry].function, info.get_entry_point(entry), types);
        usage
    }

    /// The entry point's number.
    pub(super) fn entry(&self) -> usize {
        self.functions.len() - 1
    }

    pub(super) fn function(&self, number: usize) -> &FunctionUsage {
        &self.functions[number]
    }

    pub(super) fn private(&self, handle: Handle<GlobalVariable>) -> &[Part] {
        self.privates.get(&handle).map_or(&[], Vec::as_slice)
    }

    /// Whether any function of the module may write to a private variable.
    pub(super) fn writes_private(&self, handle: Handle<GlobalVariable>) -> bool {
        self.written_privates.contains(&handle)
    }

    fn add(
        &mut self,
        module: &naga::Module,
        function: &naga::Function,
        info: &naga::valid::FunctionInfo,
        types: &Types,
    ) {
        let mut own = FunctionUsage::default();
        let mut reaches: Vec<Option<Reach>> = Vec::with_capacity(function.expressions.len());
        for (handle, expression) in function.expressions.iter() {
            let start = |root| Some(Reach { root, offset: 0, settled: false });
            let reach = match *expression {
                Expression::LocalVariable(variable) => start(Rooted::Variable(variable)),
                Expression::FunctionArgument(index) => start(Rooted::Argument(index)),
                Expression::GlobalVariable(global)
                    if module.global_variables[global].space == AddressSpace::Private =>
                {
                    start(Rooted::Private(global))
                }
                Expression::AccessIndex { base, index } => {
                    self.access(&mut own, module, (base, info, types), reaches[base.index()], Some(index))
                }
                Expression::Access { base, index } => {
                    let constant = match function.expressions[index] {
                        Expression::Literal(naga::Literal::U32(n)) => Some(n),
                        Expression::Literal(naga::Literal::I32(n)) => u32::try_from(n).ok(),
                        _ => None,
                    };
                    self.access(&mut own, module, (base, info, types), reaches[base.index()], constant)
                }
                _ => None,
            };
            debug_assert_eq!(handle.index(), reaches.len());
            reaches.push(reach);
        }
        self.walk(&mut own, &function.body, &reaches);
        self.functions.push(own);
    }

    /// Follows one access, and notes it where it is dynamic.
    fn access(
        &mut self,
        own: &mut FunctionUsage,
        module: &naga::Module,
        (base, info, types): (Handle<Expression>, &naga::valid::FunctionInfo, &Types),
        reach: Option<Reach>,
        index: Option<u32>,
    ) -> Option<Reach> {
        let resolved = info[base].ty.inner_with(&module.types);
        let (inner, pointer) = match pointee(module, resolved) {
            Some(inner) => (inner, true),
            None => (Pointee::Inner(resolved), false),
        };
        let vector;
        let inner = match inner {
            Pointee::Inner(inner) => inner,
            Pointee::Vector(made) => {
                vector = made;
                &vector
            }
        };
        let elements = types.elements(inner, Layout::Packed);
        let constant = index.filter(|&n| elements.and_then(|e| e.count).is_none_or(|count| n < count));
        if !pointer {
            if constant.is_none() && !chooses(elements.and_then(|e| e.count), types.leaves(inner)) {
                own.indexed_values.insert(base);
            }
            return None;
        }
        let reach = reach?;
        if reach.settled {
            return Some(reach);
        }
        if let Some(n) = constant {
            let offset = types.offset(inner, n, Layout::Packed)?;
            return Some(Reach { offset: reach.offset.saturating_add(offset), ..reach });
        }
        let leaves = types.leaves(inner);
        if leaves > CHOICE {
            self.note(own, reach.root, (reach.offset, reach.offset.saturating_add(leaves)));
        }
        Some(Reach { settled: true, ..reach })
    }

    fn note(&mut self, own: &mut FunctionUsage, root: Rooted, part: Part) {
        let parts = match root {
            Rooted::Variable(handle) => own.variables.entry(handle).or_default(),
            Rooted::Argument(index) => own.arguments.entry(index).or_default(),
            Rooted::Private(handle) => self.privates.entry(handle).or_default(),
        };
        if parts.contains(&part) || parts.first() == Some(&WHOLE) {
            return;
        }
        if parts.len() == MAX_PARTS {
            parts.clear();
            parts.push(WHOLE);
            return;
        }
        parts.push(part);
    }

    /// Notes that a variable may be written.
    fn writes(&mut self, own: &mut FunctionUsage, reach: Reach) {
        match reach.root {
            Rooted::Variable(handle) => drop(own.written.insert(handle)),
            Rooted::Private(handle) => drop(self.written_privates.insert(handle)),
            // A callee's: whoever hands it over notes it.
            Rooted::Argument(_) => {}
        }
    }

    /// Counts returns, finds what is written, and hands what callees do on to the variables they were given.
    fn walk(&mut self, own: &mut FunctionUsage, block: &naga::Block, reaches: &[Option<Reach>]) {
        for statement in block {
            match statement {
                Statement::Block(inner) => self.walk(own, inner, reaches),
                Statement::If { accept, reject, .. } => {
                    self.walk(own, accept, reaches);
                    self.walk(own, reject, reaches);
                }
                Statement::Switch { cases, .. } => {
                    for case in cases {
                        self.walk(own, &case.body, reaches);
                    }
                }
                Statement::Loop { body, continuing, .. } => {
                    self.walk(own, body, reaches);
                    self.walk(own, continuing, reaches);
                }
                Statement::Return { .. } => own.returns += 1,
                Statement::Store { pointer, .. } => {
                    if let Some(reach) = reaches[pointer.index()] {
                        self.writes(own, reach);
                    }
                }
                Statement::Call { function, arguments, .. } => {
                    for (index, argument) in (0..).zip(arguments) {
                        let Some(reach) = reaches[argument.index()] else { continue };
                        self.writes(own, reach);
                        let callee = &self.functions[function.index()];
                        let Some(parts) = callee.arguments.get(&index).filter(|_| !reach.settled) else {
                            continue;
                        };
                        for (from, to) in parts.clone() {
                            let part = (reach.offset.saturating_add(from), reach.offset.saturating_add(to));
                            self.note(own, reach.root, part);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

impl FunctionUsage {
    pub(super) fn is_written(&self, handle: Handle<LocalVariable>) -> bool {
        self.written.contains(&handle)
    }

    pub(super) fn variable(&self, handle: Handle<LocalVariable>) -> &[Part] {
        self.variables.get(&handle).map_or(&[], Vec::as_slice)
    }
}

/// What a pointer points at.
pub(super) enum Pointee<'m> {
    /// A type of the module, or part of one.
    Inner(&'m TypeInner),
    /// A vector or scalar that only a pointer's type mentions.
    Vector(TypeInner),
}

impl Pointee<'_> {
    pub(super) fn inner(&self) -> &TypeInner {
        match self {
            Self::Inner(inner) => inner,
            Self::Vector(inner) => inner,
        }
    }
}

/// What a pointer type points at; `None` for what is not a pointer.
pub(super) fn pointee<'m>(module: &'m naga::Module, inner: &TypeInner) -> Option<Pointee<'m>> {
    match *inner {
        TypeInner::Pointer { base, .. } => Some(Pointee::Inner(&module.types[base].inner)),
        TypeInner::ValuePointer { size: Some(size), scalar, .. } => {
            Some(Pointee::Vector(TypeInner::Vector { size, scalar }))
        }
        TypeInner::ValuePointer { size: None, scalar, .. } => {
            Some(Pointee::Vector(TypeInner::Scalar(scalar)))
        }
        _ => None,
    }
}
