//! naga IR → SPMD IR, for one compute entry point.
//!
//! The entry point and everything it calls become one structured program of scalar operations: calls are inlined,
//! composites are taken apart into their scalars ("leaves"), pointers become a root and an offset, and a variable lives in
//! lane variables unless it is indexed with a run-time number. One match arm per naga expression and statement, so that
//! what is missing is one arm that says [`Unsupported`].
//!
//! | file | what it knows |
//! |---|---|
//! | `layout` | types: leaves, word offsets and strides in buffers and in variables |
//! | `build` | appending operations, constants, what is known of an index |
//! | `usage` | which parts of which variables are indexed dynamically |
//! | `place` | variables and pointers: load, store, element access |
//! | `half` | f16 in buffers |
//! | `statement` | control flow and calls |
//! | `effect` | barriers and atomics |
//! | `subgroup` | operations of the subgroup |
//! | `texture` | textures, as buffers |
//! | `expression` | one arm per expression |
//! | `arithmetic` | operators, matrices, conversions |
//! | `math` | built-in functions |
//!
//! It does not optimise (that is `passes`), apart from not making what it would be silly to make; and it does not
//! validate: the module must come out of naga's validator with all checks on.

mod arithmetic;
mod build;
mod effect;
mod expression;
mod half;
mod layout;
mod math;
mod place;
mod statement;
mod subgroup;
mod texture;
mod usage;

use std::collections::HashMap;
use std::rc::Rc;

use naga::{AddressSpace, BuiltIn, Handle, ShaderStage, Span, StorageAccess, TypeInner};

use super::ir::{
    Block, Buffer, BufferDecl, Builtin, Local, Memory, Program, Role, SUBGROUP, Table, Ty, Value, Var,
};
use build::Builder;
use layout::{Layout, Types};
use place::{Place, Root};
use texture::Texture;
use usage::Usage;

/// Statements, expressions and scalars that one entry point may become after inlining. A function that calls another
/// twice, which calls a third twice, doubles the program at each step; past this it is refused.
const MAX_WORK: usize = 1 << 20;

/// Blocks within blocks (across calls) that are followed. Every walk over the program recurses that deep.
const MAX_NESTING: usize = 160;

/// Words of per-invocation arrays in all: 64 KiB each for up to 1024 lanes is more than any GPU would take.
const MAX_LOCAL_WORDS: u32 = 1 << 14;

/// Words of workgroup memory in all: 64 KiB, twice what most GPUs have, four times what WebGPU promises.
const MAX_SHARED_WORDS: u32 = 1 << 14;

/// Why an entry point cannot be lowered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unsupported {
    /// What it is, in WGSL's words.
    pub construct: String,
    /// Where, in the module's source; may be undefined.
    pub span: Span,
}

impl Unsupported {
    fn new(construct: impl Into<String>, span: Span) -> Self {
        Self { construct: construct.into(), span }
    }
}

type Result<T> = std::result::Result<T, Unsupported>;

/// Lowers the compute entry point of that name.
///
/// `module` and `info` belong together and come from a validation with every check on. `Program::buffers` holds the storage
/// and uniform buffers and the textures that the entry point uses, directly or in what it calls, in the order of their
/// declaration; a texture's size comes right behind its texels.
///
/// # Errors
/// [`Unsupported`] names the first construct that there is no operation for (overrides, sampling, i64, f64 and their like
///), or the limit that the program exceeds.
pub(crate) fn lower(
    module: &naga::Module,
    info: &naga::valid::ModuleInfo,
    entry_point: &str,
) -> Result<Program> {
    lower_as(module, info, entry_point, false)
}

/// Lowers an entry point whose invocations have nothing to do with each other: no effects, no workgroup memory.
///
/// # Errors
/// As [`lower`], and for whatever involves other invocations.
pub(crate) fn lower_alone(
    module: &naga::Module,
    info: &naga::valid::ModuleInfo,
    entry_point: &str,
) -> Result<Program> {
    lower_as(module, info, entry_point, true)
}

fn lower_as(
    module: &naga::Module,
    info: &naga::valid::ModuleInfo,
    entry_point: &str,
    alone: bool,
) -> Result<Program> {
    let Some(position) =
        module.entry_points.iter().position(|e| e.name == entry_point && e.stage == ShaderStage::Compute)
    else {
        return Err(Unsupported::new(format!("no compute entry point named {entry_point}"), Span::UNDEFINED));
    };
    let entry = &module.entry_points[position];
    if entry.workgroup_size_overrides.is_some() {
        return Err(Unsupported::new("a workgroup size given by an override", Span::UNDEFINED));
    }
    let types = Types::new(module);
    let usage = Usage::new(module, info, position, &types);
    let mut lowerer = Lowerer {
        module,
        info,
        types,
        usage: Rc::new(usage),
        build: Builder::new(entry.name.clone(), entry.workgroup_size),
        globals: vec![None; module.global_variables.len()],
        constants: vec![None; module.global_expressions.len()],
        tables: HashMap::new(),
        free_locals: Vec::new(),
        local_words: 0,
        work: 0,
        nesting: 0,
        loops: 0,
        alone,
    };
    lowerer.entry(position)?;
    Ok(lowerer.build.finish())
}

/// The scalars of a value, in order of declaration.
#[derive(Clone, Debug)]
enum Vals {
    One(Value),
    Many(Rc<[Value]>),
}

impl std::ops::Deref for Vals {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

impl From<Value> for Vals {
    fn from(value: Value) -> Self {
        Self::One(value)
    }
}

impl From<Vec<Value>> for Vals {
    fn from(values: Vec<Value>) -> Self {
        match values[..] {
            [value] => Self::One(value),
            _ => Self::Many(values.into()),
        }
    }
}

impl FromIterator<Value> for Vals {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        values.into_iter().collect::<Vec<_>>().into()
    }
}

/// What an expression came to.
#[derive(Clone, Debug)]
enum Meaning {
    /// A value, by its scalars.
    Value(Vals),
    /// A pointer or reference.
    Place(Place),
    /// A texture.
    Texture(Texture),
}

/// One function while it is being inlined.
struct Frame<'m> {
    function: &'m naga::Function,
    info: &'m naga::valid::FunctionInfo,
    usage: usize,
    /// By expression; filled where naga emits it.
    meanings: Vec<Option<Meaning>>,
    arguments: Vec<Meaning>,
    variables: Vec<Option<Root>>,
    /// By-value composites that are indexed dynamically, kept in memory from where they are made.
    spilled: Vec<(Handle<naga::Expression>, Local)>,
    /// Values of a loop's body that its `continuing` block reads, through variables.
    carried: Vec<(Handle<naga::Expression>, Vec<Var>)>,
    /// Per-invocation arrays to hand back when the function ends.
    owned_locals: Vec<Local>,
    exit: Exit,
    targets: Vec<statement::Target>,
}

/// How a function hands back its result.
enum Exit {
    /// The entry point: `return` ends the invocation.
    Invocation,
    /// The only `return` is the last statement: its value is the result.
    End(Option<Vals>),
    /// Through variables; an early `return` leaves the scope of that label, if `used`.
    Scope { result: Vec<Var>, label: super::ir::Label, used: bool },
}

/// The entry point's lowering.
struct Lowerer<'m> {
    module: &'m naga::Module,
    info: &'m naga::valid::ModuleInfo,
    types: Types,
    usage: Rc<Usage>,
    build: Builder,
    /// What each used global variable is: a place or a texture.
    globals: Vec<Option<Meaning>>,
    constants: Vec<Option<Vals>>,
    /// Constant arrays that are indexed dynamically.
    tables: HashMap<Rc<[Value]>, Table>,
    free_locals: Vec<Local>,
    local_words: u32,
    work: usize,
    nesting: usize,
    /// Loops around the present statement, calls included.
    loops: usize,
    /// Whether invocations are to have nothing to do with each other.
    alone: bool,
}

impl<'m> Lowerer<'m> {
    fn entry(&mut self, position: usize) -> Result<()> {
        let entry = &self.module.entry_points[position];
        let info = self.info.get_entry_point(position);
        self.declare_globals(info)?;
        let mut arguments = Vec::with_capacity(entry.function.arguments.len());
        for argument in &entry.function.arguments {
            let mut values = Vec::new();
            match (&argument.binding, &self.module.types[argument.ty].inner) {
                (Some(binding), _) => self.builtin(binding, &mut values)?,
                (None, TypeInner::Struct { members, .. }) => {
                    for member in members {
                        let binding = member.binding.as_ref().ok_or_else(|| {
                            Unsupported::new("an entry point parameter without @builtin", Span::UNDEFINED)
                        })?;
                        self.builtin(binding, &mut values)?;
                    }
                }
                (None, _) => {
                    return Err(Unsupported::new(
                        "an entry point parameter without @builtin",
                        Span::UNDEFINED,
                    ));
                }
            }
            arguments.push(Meaning::Value(values.into()));
        }
        let usage = self.usage.entry();
        let mut frame = Frame::new(&entry.function, info, usage, arguments, Exit::Invocation);
        self.declare_variables(&mut frame, true)?;
        self.block(&mut frame, &entry.function.body, statement::Tail::NONE)
    }

    /// The scalars of a built-in value.
    fn builtin(&mut self, binding: &naga::Binding, values: &mut Vec<Value>) -> Result<()> {
        let axes: [Builtin; 3] = match *binding {
            naga::Binding::BuiltIn(BuiltIn::GlobalInvocationId) => [0, 1, 2].map(Builtin::GlobalId),
            naga::Binding::BuiltIn(BuiltIn::LocalInvocationId) => [0, 1, 2].map(Builtin::LocalId),
            naga::Binding::BuiltIn(BuiltIn::WorkGroupId) => [0, 1, 2].map(Builtin::WorkgroupId),
            naga::Binding::BuiltIn(BuiltIn::NumWorkGroups) => [0, 1, 2].map(Builtin::NumWorkgroups),
            naga::Binding::BuiltIn(BuiltIn::LocalInvocationIndex) => {
                values.push(self.build.builtin(Builtin::LocalIndex));
                return Ok(());
            }
            naga::Binding::BuiltIn(BuiltIn::WorkGroupSize) => {
                let size = self.build.program.workgroup_size;
                values.extend(size.map(|n| self.build.constant(Ty::U32, n)));
                return Ok(());
            }
            naga::Binding::BuiltIn(BuiltIn::SubgroupSize) => {
                values.push(self.build.u32(SUBGROUP as u32));
                return Ok(());
            }
            naga::Binding::BuiltIn(BuiltIn::NumSubgroups) => {
                let size = self.build.program.workgroup_size;
                let all = size.iter().fold(1_u32, |product, &n| product.saturating_mul(n));
                values.push(self.build.u32(all.div_ceil(SUBGROUP as u32)));
                return Ok(());
            }
            naga::Binding::BuiltIn(BuiltIn::SubgroupId | BuiltIn::SubgroupInvocationId) => {
                // Rows know of no subgroups.
                self.together("a subgroup", Span::UNDEFINED)?;
                let invocation = matches!(*binding, naga::Binding::BuiltIn(BuiltIn::SubgroupInvocationId));
                let builtin = if invocation { Builtin::SubgroupInvocationId } else { Builtin::SubgroupId };
                values.push(self.build.builtin(builtin));
                return Ok(());
            }
            ref other => {
                return Err(Unsupported::new(
                    format!("the entry point parameter {other:?}"),
                    Span::UNDEFINED,
                ));
            }
        };
        values.extend(axes.map(|axis| self.build.builtin(axis)));
        Ok(())
    }

    /// An array of the workgroup for a used variable of it.
    fn declare_shared(&mut self, handle: Handle<naga::GlobalVariable>, name: &str) -> Result<Root> {
        let span = self.module.global_variables.get_span(handle);
        self.together("workgroup memory", span)?;
        let ty = self.module.global_variables[handle].ty;
        let words = self.types.leaves_of(ty).max(1);
        let all = self.build.program.shared.iter().fold(words, |sum, s| sum.saturating_add(s.words));
        if all > MAX_SHARED_WORDS {
            let limit = 4 * MAX_SHARED_WORDS;
            return Err(Unsupported::new(format!("more than {limit} bytes of workgroup memory"), span));
        }
        let memory = Memory::Shared(self.build.shared(name, words));
        Ok(Root::Memory { memory, layout: Layout::Packed })
    }

    /// Gives the used buffers and arrays of the workgroup their numbers, and the used private variables their homes and
    /// first values.
    fn declare_globals(&mut self, info: &naga::valid::FunctionInfo) -> Result<()> {
        for (handle, global) in self.module.global_variables.iter() {
            if info[handle].is_empty() {
                continue;
            }
            let name = global.name.clone().unwrap_or_default();
            let writable = match global.space {
                AddressSpace::Uniform => false,
                AddressSpace::Storage { access } => access.contains(StorageAccess::STORE),
                AddressSpace::Private => {
                    let usage = Rc::clone(&self.usage);
                    let span = self.module.global_variables.get_span(handle);
                    let parts = usage.private(handle);
                    let init = global.init.map(|init| self.global_expression(init)).transpose()?;
                    if let Some(init) = init.as_ref().filter(|_| !usage.writes_private(handle))
                        && let Some(root) = self.constant_variable(parts, init)
                    {
                        self.globals[handle.index()] = Some(Meaning::Place(Place::new(root)));
                        continue;
                    }
                    let root = self.variable(global.ty, parts, &name, span, &mut Vec::new())?;
                    if let Some(values) = init {
                        let place = Place::new(root.clone());
                        self.store(&place, &self.module.types[global.ty].inner, &values, span)?;
                    }
                    self.globals[handle.index()] = Some(Meaning::Place(Place::new(root)));
                    continue;
                }
                AddressSpace::WorkGroup => {
                    let root = self.declare_shared(handle, &name)?;
                    self.globals[handle.index()] = Some(Meaning::Place(Place::new(root)));
                    continue;
                }
                AddressSpace::Handle
                    if !matches!(self.module.types[global.ty].inner, TypeInner::Sampler { .. }) =>
                {
                    let texture = self.declare_texture(handle)?;
                    self.globals[handle.index()] = Some(Meaning::Texture(texture));
                    continue;
                }
                // Refused where they are touched, so that the error has a place.
                _ => continue,
            };
            let binding = global.binding.as_ref().map_or((0, 0), |b| (b.group, b.binding));
            let buffer = self.buffer(BufferDecl { name, binding, writable, role: Role::Data });
            let root =
                Root::Memory { memory: Memory::Buffer(buffer), layout: self.types.in_buffer(global.ty) };
            self.globals[handle.index()] = Some(Meaning::Place(Place::new(root)));
        }
        Ok(())
    }

    /// One more buffer.
    fn buffer(&mut self, declaration: BufferDecl) -> Buffer {
        let buffers = &mut self.build.program.buffers;
        buffers.push(declaration);
        Buffer(u32::try_from(buffers.len() - 1).expect("naga's handles are 32 bits"))
    }

    /// The value of a module-scope constant expression.
    fn global_expression(&mut self, handle: Handle<naga::Expression>) -> Result<Vals> {
        if let Some(values) = &self.constants[handle.index()] {
            return Ok(values.clone());
        }
        let span = self.module.global_expressions.get_span(handle);
        self.enter(span)?;
        let values = match self.module.global_expressions[handle] {
            naga::Expression::Literal(literal) => self.literal(literal, span)?.into(),
            naga::Expression::Constant(constant) => {
                self.global_expression(self.module.constants[constant].init)?
            }
            naga::Expression::ZeroValue(ty) => self.zero(&self.module.types[ty].inner, span)?,
            naga::Expression::Compose { ref components, .. } => {
                let mut values = Vec::new();
                for &component in components {
                    values.extend_from_slice(&self.global_expression(component)?);
                    self.spend(1, span)?;
                }
                values.into()
            }
            naga::Expression::Splat { size, value } => {
                let value = self.global_expression(value)?[0];
                vec![value; size as usize].into()
            }
            naga::Expression::Override(_) => return Err(Unsupported::new("override", span)),
            ref other => {
                return Err(Unsupported::new(format!("the constant expression {}", name_of(other)), span));
            }
        };
        self.leave();
        self.spend(values.len(), span)?;
        self.constants[handle.index()] = Some(values.clone());
        Ok(values)
    }

    /// Counts work, so that a small text cannot become an endless program.
    fn spend(&mut self, amount: usize, span: Span) -> Result<()> {
        self.work = self.work.saturating_add(amount);
        if self.work + self.build.program.values.len() > MAX_WORK {
            return Err(Unsupported::new(
                format!("a program of more than {MAX_WORK} operations after inlining"),
                span,
            ));
        }
        Ok(())
    }

    fn enter(&mut self, span: Span) -> Result<()> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(Unsupported::new(
                format!("code nested more than {MAX_NESTING} levels deep, calls included"),
                span,
            ));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.nesting -= 1;
    }

    /// Runs `f` with an empty block and returns what it appended.
    fn nested(&mut self, f: impl FnOnce(&mut Self) -> Result<()>) -> Result<Block> {
        let outer = std::mem::take(&mut self.build.block);
        let done = f(self);
        let inner = std::mem::replace(&mut self.build.block, outer);
        done.map(|()| inner)
    }

    /// A per-invocation array of that many words; what it holds is undefined.
    fn local(&mut self, name: &str, words: u32, span: Span) -> Result<Local> {
        let locals = &self.build.program.locals;
        if let Some(at) = self.free_locals.iter().position(|l| locals[l.index()].words == words) {
            return Ok(self.free_locals.swap_remove(at));
        }
        self.fresh_local(name, words, span)
    }

    /// A per-invocation array that nothing else has used or will use.
    fn fresh_local(&mut self, name: &str, words: u32, span: Span) -> Result<Local> {
        self.local_words = self.local_words.saturating_add(words);
        if self.local_words > MAX_LOCAL_WORDS {
            return Err(Unsupported::new(
                format!("more than {} bytes of dynamically indexed variables", 4 * MAX_LOCAL_WORDS),
                span,
            ));
        }
        Ok(self.build.local(name, words))
    }
}

impl<'m> Frame<'m> {
    fn new(
        function: &'m naga::Function,
        info: &'m naga::valid::FunctionInfo,
        usage: usize,
        arguments: Vec<Meaning>,
        exit: Exit,
    ) -> Self {
        Self {
            function,
            info,
            usage,
            meanings: vec![None; function.expressions.len()],
            arguments,
            variables: vec![None; function.local_variables.len()],
            spilled: Vec::new(),
            carried: Vec::new(),
            owned_locals: Vec::new(),
            exit,
            targets: Vec::new(),
        }
    }

    fn span(&self, handle: Handle<naga::Expression>) -> Span {
        self.function.expressions.get_span(handle)
    }
}

/// An expression's kind, for messages: the first word of its debug form.
fn name_of(expression: &naga::Expression) -> String {
    let text = format!("{expression:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
