//! The IR as text, for people and for error messages. There is no reader for it.

use std::fmt::{Display, Formatter, Result};

use super::{
    Block, Buffer, Builtin, Class, Effect, Label, Local, Memory, Op, Program, Role, Shared, Stmt, Table, Ty,
    Value, Var,
};

macro_rules! prefixed {
    ($($name:ident $prefix:literal)*) => {$(
        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    )*};
}

prefixed! { Value "%" Var "$" Buffer "b" Local "l" Shared "w" Table "t" Label "@" }

impl Display for Ty {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::Bool => "bool",
        })
    }
}

/// A mark behind the type: `!` uniform, `+n` linear, nothing for varying.
impl Display for Class {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Uniform => f.write_str("!"),
            Self::Linear { stride } => write!(f, "+{}", stride.cast_signed()),
            Self::Varying => Ok(()),
        }
    }
}

impl Display for Memory {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Buffer(buffer) => buffer.fmt(f),
            Self::Local(local) => local.fmt(f),
            Self::Shared(shared) => shared.fmt(f),
            Self::Table(table) => table.fmt(f),
        }
    }
}

impl Display for Builtin {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (name, axis) = match *self {
            Self::GlobalId(axis) => ("global_id", axis),
            Self::LocalId(axis) => ("local_id", axis),
            Self::LocalIndex => return f.write_str("local_index"),
            Self::SubgroupInvocationId => return f.write_str("subgroup_invocation_id"),
            Self::SubgroupId => return f.write_str("subgroup_id"),
            Self::WorkgroupId(axis) => ("workgroup_id", axis),
            Self::NumWorkgroups(axis) => ("num_workgroups", axis),
        };
        write!(f, "{name}.{}", ["x", "y", "z"].get(usize::from(axis)).unwrap_or(&"?"))
    }
}

impl Display for Effect {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match *self {
            Self::Barrier => f.write_str("barrier"),
            Self::AtomicLoad { memory, index } => write!(f, "atomic {memory}[{index}]"),
            Self::AtomicStore { memory, index, value } => write!(f, "atomic {memory}[{index}] = {value}"),
            Self::Atomic { op, memory, index, value } => {
                write!(f, "atomic {op:?} {memory}[{index}] {value}")
            }
            Self::CompareExchange { memory, index, expected, value } => {
                write!(f, "atomic {memory}[{index}] if {expected} then {value}")
            }
            Self::Reduce { op, value } => write!(f, "subgroup {op:?} {value}"),
            Self::InclusiveScan { op, value } => write!(f, "subgroup scan {op:?} to {value}"),
            Self::ExclusiveScan { op, value } => write!(f, "subgroup scan {op:?} before {value}"),
            Self::Ballot { value } => write!(f, "subgroup ballot {value}"),
            Self::First { value } => write!(f, "subgroup first {value}"),
            Self::Shuffle { value, index } => write!(f, "subgroup {value} of {index}"),
        }
    }
}

/// A statement of a program, with the blocks inside it, indented.
pub(super) struct Show<'a> {
    pub(super) program: &'a Program,
    pub(super) stmt: &'a Stmt,
    pub(super) depth: usize,
    /// Whether to show the blocks inside it, or only its head.
    pub(super) nested: bool,
}

impl Show<'_> {
    fn block(&self, f: &mut Formatter<'_>, block: &Block) -> Result {
        if !self.nested {
            return f.write_str("{ … }");
        }
        f.write_str("{\n")?;
        for stmt in block {
            writeln!(f, "{}", Show { program: self.program, stmt, depth: self.depth + 1, nested: true })?;
        }
        write!(f, "{:1$}}}", "", 2 * self.depth)
    }

    fn name(&self, f: &mut Formatter<'_>, value: Value) -> Result {
        match self.program.values.get(value.index()) {
            Some(decl) => write!(f, "{value}: {}{} = ", decl.ty, decl.class),
            None => write!(f, "{value}: ? = "),
        }
    }

    fn op(&self, f: &mut Formatter<'_>, op: &Op, ty: Option<Ty>) -> Result {
        match *op {
            Op::Const(bits) => match ty {
                Some(Ty::F32) if !f32::from_bits(bits).is_nan() => write!(f, "{:?}", f32::from_bits(bits)),
                Some(Ty::I32) => write!(f, "{}", bits.cast_signed()),
                Some(Ty::U32) => write!(f, "{bits}"),
                Some(Ty::Bool) if bits < 2 => write!(f, "{}", bits == 1),
                _ => write!(f, "{bits:#010x}"),
            },
            Op::Builtin(builtin) => builtin.fmt(f),
            Op::Get(var) => write!(f, "{var}"),
            Op::Load { memory, index } => write!(f, "{memory}[{index}]"),
            Op::Length { buffer, offset, stride } => write!(f, "length {buffer} from {offset} by {stride}"),
            Op::Unary(op, a) => write!(f, "{op:?} {a}"),
            Op::Binary(op, a, b) => write!(f, "{op:?} {a} {b}"),
            Op::Ternary(op, a, b, c) => write!(f, "{op:?} {a} {b} {c}"),
        }
    }
}

impl Display for Show<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{:1$}", "", 2 * self.depth)?;
        match self.stmt {
            Stmt::Let(value, op) => {
                self.name(f, *value)?;
                self.op(f, op, self.program.values.get(value.index()).map(|decl| decl.ty))
            }
            Stmt::Effect { result, effect } => {
                if let Some(value) = result {
                    self.name(f, *value)?;
                }
                effect.fmt(f)
            }
            Stmt::Set { var, value, masked } => {
                write!(f, "{var} {}= {value}", if *masked { "" } else { "all" })
            }
            Stmt::Store { memory, index, value } => write!(f, "{memory}[{index}] = {value}"),
            Stmt::If { cond, then, otherwise } => {
                write!(f, "if {cond} ")?;
                self.block(f, then)?;
                if otherwise.is_empty() {
                    return Ok(());
                }
                f.write_str(" else ")?;
                self.block(f, otherwise)
            }
            Stmt::Loop { label, body, continuing, break_if } => {
                write!(f, "loop {label} ")?;
                self.block(f, body)?;
                if !continuing.is_empty() {
                    f.write_str(" continuing ")?;
                    self.block(f, continuing)?;
                }
                match break_if {
                    Some(value) => write!(f, " break if {value}"),
                    None => Ok(()),
                }
            }
            Stmt::Scope { label, body } => {
                write!(f, "scope {label} ")?;
                self.block(f, body)
            }
            Stmt::Break(label) => write!(f, "break {label}"),
            Stmt::Continue(label) => write!(f, "continue {label}"),
            Stmt::Return => f.write_str("return"),
        }
    }
}

/// `%` values, `$` variables, `b` buffers, `w` arrays of the workgroup, `t` tables, `l` arrays, `@` labels; behind a type `!` is uniform and `+n` linear.
impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let [x, y, z] = self.workgroup_size;
        writeln!(f, "{} ({x}, {y}, {z}) by {:?}", self.name, self.order)?;
        for (at, buffer) in self.buffers.iter().enumerate() {
            let access = if buffer.writable { "write" } else { "read" };
            write!(f, "  b{at} {} @{},{} {access}", buffer.name, buffer.binding.0, buffer.binding.1)?;
            match buffer.role {
                Role::Data => writeln!(f)?,
                role => writeln!(f, " {role:?}")?,
            }
        }
        for (at, shared) in self.shared.iter().enumerate() {
            writeln!(f, "  w{at} {} [{}]", shared.name, shared.words)?;
        }
        for (at, words) in self.tables.iter().enumerate() {
            writeln!(f, "  t{at} [{}]", words.len())?;
        }
        for (at, local) in self.locals.iter().enumerate() {
            writeln!(f, "  l{at} {} [{}]", local.name, local.words)?;
        }
        for (at, var) in self.vars.iter().enumerate() {
            writeln!(f, "  ${at} {}: {}{}", var.name, var.ty, var.class)?;
        }
        f.write_str("{\n")?;
        for stmt in &self.body {
            writeln!(f, "{}", Show { program: self, stmt, depth: 1, nested: true })?;
        }
        f.write_str("}\n")
    }
}
