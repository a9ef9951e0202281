//! The SPMD intermediate representation: one compute entry point as scalar operations on 32-bit lanes.
//!
//! Written for one invocation, executed for many at once: a backend runs each operation over all lanes of a block
//! before the next one. Vectors, matrices and structs are gone (each component is a value of its own), calls are
//! inlined, pointers are resolved. What is left is
//!
//! * **values**: immutable, assigned once by [`Stmt::Let`], visible in the rest of their block and in blocks nested there;
//! * **variables**: mutable, one lane value per invocation;
//! * **memory**: buffers shared by all invocations, arrays shared by a workgroup, per-invocation arrays for what is indexed
//!   dynamically, and tables of constants;
//! * **effects**: what involves other invocations, a barrier, an atomic or a subgroup operation;
//! * **structured control flow**: `If`, `Loop`, `Scope`, and `Break`/`Continue`/`Return` out of them.
//!
//! There are no masks here. Divergence is the executor's business; [`Class`] says where it can happen at all. Every
//! executor (the scalar oracle, the block interpreter, a JIT) must give the same bits for the same program, so the
//! operation enums below state their results for every input, including the ones WGSL leaves open.

mod print;
#[cfg(test)]
mod tests;
mod types;
mod verify;

use std::sync::Arc;

/// Lanes that move together: the width of the widest vector register, in 32-bit lanes.
///
/// [`Class::Linear`] is stated per chunk, so that a linear access is one vector load on every CPU level.
pub(crate) const LANES: usize = 16;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) struct $name(pub(crate) u32);

        impl $name {
            /// The position in the program's table.
            pub(crate) const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// An immutable lane value: index into [`Program::values`].
    Value,
    /// A mutable lane variable: index into [`Program::vars`].
    Var,
    /// A buffer: index into [`Program::buffers`].
    Buffer,
    /// A per-invocation array: index into [`Program::locals`].
    Local,
    /// An array of the workgroup: index into [`Program::shared`].
    Shared,
    /// An array of constants: index into [`Program::tables`].
    Table,
    /// A loop or scope that `Break` and `Continue` name; unique in a program.
    Label,
}

/// The type of a lane. Integers are 32-bit two's complement; a bool is one bit and never in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ty {
    F32,
    I32,
    U32,
    Bool,
}

/// How a value varies over the invocations that run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// The same in every active invocation of a block, which is part of a row or a workgroup: see [`Order`]. So is what writable
    /// memory holds at a uniform index, as lanes load in step; but it may be another thing after the next store or effect.
    Uniform,
    /// Within a chunk of [`LANES`] lanes, switched off ones too, `value(lane) = value(lane 0) + stride * lane`, modulo
    /// 2³². Integers only; with stride 0 the value is the same within a chunk, but not in all of them.
    Linear { stride: u32 },
    /// Anything.
    Varying,
}

/// Invocations to a subgroup: neighbours by `local_invocation_index`. The last one of a workgroup may have fewer.
pub(crate) const SUBGROUP: usize = 2 * LANES;

/// Which invocations make a block, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    /// Neighbours along x of the global grid, in whatever workgroup they are. For programs in which no invocation waits for
    /// another one or shares memory with its workgroup. A block starts at an x that is a multiple of [`LANES`], and all its
    /// lanes have the same y and z.
    Rows,
    /// Exactly one workgroup, by `local_invocation_index`. Workgroups start in the order of their index, x fastest, and each
    /// runs to its end on one thread, so that one may wait for an earlier one.
    Workgroups,
}

/// One compute entry point.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Program {
    /// The entry point's name.
    pub name: String,
    /// `@workgroup_size`.
    pub workgroup_size: [u32; 3],
    /// How invocations are put together. `Rows` may be changed to `Workgroups`, before the passes run, but not the reverse.
    pub order: Order,
    /// Buffers, in the order a launch binds them.
    pub buffers: Vec<BufferDecl>,
    /// Arrays that a workgroup shares; zero when the workgroup starts. None with [`Order::Rows`].
    pub shared: Vec<LocalDecl>,
    /// Arrays of constants, which every invocation reads and none writes: their words, at least one each.
    pub tables: Vec<Arc<[u32]>>,
    /// Per-invocation arrays; zero when the entry point starts.
    pub locals: Vec<LocalDecl>,
    /// Mutable variables; zero when the entry point starts.
    pub vars: Vec<VarDecl>,
    /// Immutable values.
    pub values: Vec<ValueDecl>,
    /// The code.
    pub body: Block,
    /// How many labels are in use; labels are `0..labels`.
    pub labels: u32,
}

/// A storage or uniform buffer: a sequence of 32-bit words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BufferDecl {
    /// The WGSL variable's name.
    pub name: String,
    /// `(group, binding)`.
    pub binding: (u32, u32),
    /// Whether the program may store to it. A read-only buffer never aliases a writable one.
    pub writable: bool,
    /// What the words are.
    pub role: Role,
}

/// What is in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// The value of the WGSL variable.
    Data,
    /// The texels of the texture variable, x fastest, then y, then z or layers, without gaps.
    Texels(Texels),
    /// The size of the texture variable of the same binding: width, height, depth or layers; 1 where it has no such axis. Never
    /// writable. Bound by whoever launches, as the WGSL has no such variable.
    Size,
}

/// The texels of a texture: four channels, of which the format stores the first ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Texels {
    /// How a texel is stored: a storage texture's format; four words for a sampled one.
    pub format: TexelFormat,
    /// Axes, layers included: 1 to 3.
    pub axes: u8,
}

/// Texel formats: channels, bits each, and their meaning, as WGSL names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TexelFormat {
    R32Float,
    R32Sint,
    R32Uint,
    Rg32Float,
    Rg32Sint,
    Rg32Uint,
    Rg16Float,
    Rg16Sint,
    Rg16Uint,
    Rgba32Float,
    Rgba32Sint,
    Rgba32Uint,
    Rgba16Float,
    Rgba16Sint,
    Rgba16Uint,
    Rgba8Unorm,
    Rgba8Snorm,
    Rgba8Sint,
    Rgba8Uint,
    Bgra8Unorm,
}

impl TexelFormat {
    /// Words of a texel.
    pub(crate) const fn words(self) -> u32 {
        match self {
            Self::Rgba32Float | Self::Rgba32Sint | Self::Rgba32Uint => 4,
            Self::Rg32Float | Self::Rg32Sint | Self::Rg32Uint => 2,
            Self::Rgba16Float | Self::Rgba16Sint | Self::Rgba16Uint => 2,
            _ => 1,
        }
    }
}

/// An array private to one invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalDecl {
    /// The WGSL variable's name, for the printer.
    pub name: String,
    /// Its length in words, at least 1.
    pub words: u32,
}

/// A mutable variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VarDecl {
    /// The WGSL variable's name (with `.x`, `.field` suffixes), for the printer.
    pub name: String,
    /// Its type.
    pub ty: Ty,
    /// Set by `passes::classify`; `Varying` until then.
    pub class: Class,
}

/// An immutable value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueDecl {
    /// Its type.
    pub ty: Ty,
    /// Set by `passes::classify`; `Varying` until then.
    pub class: Class,
}

/// Statements in order.
pub(crate) type Block = Vec<Stmt>;

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stmt {
    /// Defines a value. Operations have no side effects and cannot fail.
    Let(Value, Op),
    /// Assigns to a variable in the active invocations.
    ///
    /// `masked: false` (found by `passes::classify`) says that no invocation that is inactive here reads the variable's old
    /// value later, so that an executor of many lanes at once may write them all. It may always mask, and the meaning
    /// for one invocation is the same.
    Set { var: Var, value: Value, masked: bool },
    /// Writes one word in the active invocations; outside `[0, words)` nothing is written. Two invocations that write the
    /// same word: the higher one wins.
    Store { memory: Memory, index: Value, value: Value },
    /// Does what other invocations see or take part in, and defines `result`, if there is one. Passes keep effects, all of
    /// them and each invocation's in their order, and move no load or store of writable memory over one. Between invocations that
    /// have parted the order is open.
    Effect { result: Option<Value>, effect: Effect },
    /// Runs `then` where `cond`, then `otherwise` elsewhere: a value of `masked` relies on that order.
    If { cond: Value, then: Block, otherwise: Block },
    /// Runs `body`, then `continuing`, again and again until every invocation has left by `Break`, `Return` or because
    /// `break_if` was true after `continuing`. Values of `body` that are defined before its first `Continue` of this loop
    /// are visible in `continuing` and, like those of `continuing`, in `break_if`.
    Loop { label: Label, body: Block, continuing: Block, break_if: Option<Value> },
    /// Runs `body`; `Break(label)` inside leaves it. What `switch` and an inlined function with early returns become.
    Scope { label: Label, body: Block },
    /// Leaves the enclosing loop or scope of that label.
    Break(Label),
    /// Goes on with `continuing` of the enclosing loop of that label.
    ///
    /// No jump leaves a `continuing` block: a `Break` or `Continue` in one names a loop or scope inside it, and there is
    /// no `Return` in one.
    Continue(Label),
    /// Ends the invocation.
    Return,
}

/// Where a `Load` or `Store` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Memory {
    /// A bound buffer.
    Buffer(Buffer),
    /// A per-invocation array.
    Local(Local),
    /// An array of the workgroup.
    Shared(Shared),
    /// An array of constants; nothing is stored to it.
    Table(Table),
}

impl Memory {
    /// Whether another invocation, or an earlier statement, may have written it: its loads must stay where they are.
    pub(crate) fn is_writable(self, program: &Program) -> bool {
        match self {
            Self::Buffer(buffer) => program.buffers[buffer.index()].writable,
            Self::Local(_) | Self::Shared(_) => true,
            Self::Table(_) => false,
        }
    }
}

/// What involves other invocations.
///
/// The memory of an atomic is a writable buffer or an array of the workgroup. Outside `[0, words)` nothing is written and the
/// result is 0. Where lanes of a block do it at once, the lowest lane goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// No invocation of the workgroup goes on before all are here, and then each sees what the others have written, to any
    /// memory. No result.
    Barrier,
    /// The word, `I32` or `U32`.
    AtomicLoad { memory: Memory, index: Value },
    /// No result.
    AtomicStore { memory: Memory, index: Value, value: Value },
    /// Replaces the word by `op(word, value)`; the result is what it was.
    Atomic { op: AtomicOp, memory: Memory, index: Value, value: Value },
    /// Replaces the word by `value` if it is `expected`; the result is what it was. Never fails without a reason.
    CompareExchange { memory: Memory, index: Value, expected: Value, value: Value },
    /// The operation over the values of the active invocations of the subgroup, from the lowest to the highest, starting
    /// with the lowest one's value (a float sum is rounded in that order). `op` is one of `AddF`, `AddI`, `MulF`, `MulI`,
    /// `MinF`, `MaxF`, `MinI`, `MaxI`, `MinU`, `MaxU`, `AndI`, `OrI`, `XorI`, `AndB` (all), `OrB` (any).
    Reduce { op: Binary, value: Value },
    /// The same over the active invocations up to and including this one.
    InclusiveScan { op: Binary, value: Value },
    /// The same over the active invocations before this one; the lowest gets 0 for `AddF` and `AddI`, 1 for `MulF` and `MulI`.
    /// Other operations have none.
    ExclusiveScan { op: Binary, value: Value },
    /// Bit k: whether invocation k of the subgroup is active and its `Bool` value true. A `U32`.
    Ballot { value: Value },
    /// The value of the lowest active invocation of the subgroup; any type but `Bool`.
    First { value: Value },
    /// The value of invocation `index` (a `U32`) of the subgroup; 0 if that one is not active. Any type but `Bool`.
    Shuffle { value: Value, index: Value },
}

/// What an atomic makes of the old word and a new value. Wrapping; `Max` and `Min` as the value's type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AtomicOp {
    Add,
    Sub,
    And,
    Or,
    Xor,
    Min,
    Max,
    Exchange,
}

/// What an invocation can ask about its place in the index space. All `U32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Builtin {
    /// `global_invocation_id`, by axis.
    GlobalId(u8),
    /// `local_invocation_id`, by axis.
    LocalId(u8),
    /// `local_invocation_index`.
    LocalIndex,
    /// `workgroup_id`, by axis.
    WorkgroupId(u8),
    /// `num_workgroups`, by axis.
    NumWorkgroups(u8),
    /// `subgroup_invocation_id`: `local_invocation_index % SUBGROUP`.
    SubgroupInvocationId,
    /// `subgroup_id`: `local_invocation_index / SUBGROUP`.
    SubgroupId,
}

/// An operation that yields a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// The bits of a constant: a float's bit pattern, a bool as 0 or 1.
    Const(u32),
    /// A built-in value.
    Builtin(Builtin),
    /// The present value of a variable.
    Get(Var),
    /// One word of memory, reinterpreted as the value's type (never `Bool`); zero outside `[0, words)`.
    Load { memory: Memory, index: Value },
    /// Elements of the runtime-sized array at the end of a buffer: `(words - offset) / stride`, all in words.
    Length { buffer: Buffer, offset: u32, stride: u32 },
    /// One operand.
    Unary(Unary, Value),
    /// Two operands.
    Binary(Binary, Value, Value),
    /// Three operands.
    Ternary(Ternary, Value, Value, Value),
}

/// One-operand operations: `F` floats, `I` either integer type unless stated.
///
/// Float results are IEEE 754 with subnormals kept, except that the transcendental ones state their bounds in `math`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Unary {
    /// Sign bit flipped, NaN too.
    NegF,
    /// Sign bit cleared, NaN too.
    AbsF,
    SqrtF,
    FloorF,
    CeilF,
    TruncF,
    /// To nearest, ties to even.
    RoundF,
    Exp,
    Exp2,
    Log,
    Log2,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    /// `1 / sqrt(x)`, two roundings.
    InverseSqrt,
    /// `frexp(x).fract`: in ±[0.5, 1); x itself for ±0, infinities and NaN.
    FrexpFract,
    /// `frexp(x).exp` (an `I32`): 0 for ±0, infinities and NaN.
    FrexpExp,
    /// Rounds an f32 to the nearest f16 (ties to even, overflow to infinity), result in the low 16 bits of a `U32`.
    F32ToF16,
    /// The low 16 bits of a `U32`, an f16, as f32. Exact.
    F16ToF32,
    /// `0 - x`, wrapping.
    NegI,
    /// Wrapping absolute value of an `I32`: `abs(MIN) = MIN`.
    AbsI,
    /// Bitwise complement.
    NotI,
    CountOnes,
    /// 32 for 0.
    LeadingZeros,
    /// 32 for 0.
    TrailingZeros,
    ReverseBits,
    /// Logical not of a `Bool`.
    NotB,
    /// Truncates and clamps to what both types have: −2³¹ to 2³¹ − 128. NaN gives 0.
    F32ToI32,
    /// Truncates and clamps to what both types have: 0 to 2³² − 256. NaN gives 0.
    F32ToU32,
    /// To nearest, ties to even.
    I32ToF32,
    /// To nearest, ties to even.
    U32ToF32,
    /// Same bits, another non-`Bool` type.
    Bitcast,
}

/// Two-operand operations. Comparisons yield `Bool`; with a NaN only `NeF` is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Binary {
    AddF,
    SubF,
    MulF,
    DivF,
    /// `x - y * trunc(x / y)`, exactly as C's `fmodf`: the exact remainder with the sign of x.
    RemF,
    /// WGSL's words: `b` if `b < a`, else `a`. So a NaN in `b` is ignored, one in `a` stays.
    MinF,
    /// `b` if `a < b`, else `a`.
    MaxF,
    Pow,
    Atan2,
    /// `x * 2^n` with an `I32` n, rounded once.
    Ldexp,
    /// Wrapping, either integer type; likewise `SubI`, `MulI`.
    AddI,
    SubI,
    MulI,
    /// `x / 0 = x`, `MIN / -1 = MIN`.
    DivI,
    /// `x / 0 = x`.
    DivU,
    /// `x % 0 = 0`, `MIN % -1 = 0`, sign of x.
    RemI,
    /// `x % 0 = 0`.
    RemU,
    MinI,
    MaxI,
    MinU,
    MaxU,
    AndI,
    OrI,
    XorI,
    /// Either integer type by a `U32`, taken modulo 32; likewise `ShrI` (arithmetic) and `ShrU` (logical).
    ShlI,
    ShrI,
    ShrU,
    EqF,
    NeF,
    LtF,
    LeF,
    /// Either integer type; likewise `NeI`.
    EqI,
    NeI,
    LtI,
    LeI,
    LtU,
    LeU,
    AndB,
    OrB,
    XorB,
}

/// Three-operand operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ternary {
    /// `a * b + c` rounded once (twice on CPU levels without FMA).
    Fma,
    /// `a * b + c` rounded twice: what `passes::fuse` makes of a multiply and an add. Never changes bits.
    MulAddF,
    /// `if a { b } else { c }`; a is `Bool`, b and c of any one type.
    Select,
}

impl Program {
    /// The declaration of a value.
    pub(crate) fn value(&self, value: Value) -> &ValueDecl {
        &self.values[value.index()]
    }

    /// A new value of that type, class `Varying`.
    pub(crate) fn new_value(&mut self, ty: Ty) -> Value {
        self.values.push(ValueDecl { ty, class: Class::Varying });
        Value(u32::try_from(self.values.len() - 1).expect("a program of under 2^32 values"))
    }

    /// A new variable, class `Varying`.
    pub(crate) fn new_var(&mut self, name: impl Into<String>, ty: Ty) -> Var {
        self.vars.push(VarDecl { name: name.into(), ty, class: Class::Varying });
        Var(u32::try_from(self.vars.len() - 1).expect("a program of under 2^32 variables"))
    }

    /// A new label.
    pub(crate) fn new_label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }
}

impl Effect {
    /// Calls `f` with every operand, in order.
    pub(crate) fn operands(mut self, mut f: impl FnMut(Value)) {
        self.operands_mut(|value| f(*value));
    }

    /// Calls `f` with every operand, in order, to replace it.
    pub(crate) fn operands_mut(&mut self, mut f: impl FnMut(&mut Value)) {
        match self {
            Self::Barrier => {}
            Self::AtomicLoad { index, .. } => f(index),
            Self::AtomicStore { index, value, .. } | Self::Atomic { index, value, .. } => {
                f(index);
                f(value);
            }
            Self::CompareExchange { index, expected, value, .. } => {
                f(index);
                f(expected);
                f(value);
            }
            Self::Reduce { value, .. }
            | Self::InclusiveScan { value, .. }
            | Self::ExclusiveScan { value, .. }
            | Self::Ballot { value }
            | Self::First { value } => f(value),
            Self::Shuffle { value, index } => {
                f(value);
                f(index);
            }
        }
    }

    /// The memory that an atomic goes to.
    pub(crate) fn memory(self) -> Option<Memory> {
        match self {
            Self::AtomicLoad { memory, .. }
            | Self::AtomicStore { memory, .. }
            | Self::Atomic { memory, .. }
            | Self::CompareExchange { memory, .. } => Some(memory),
            _ => None,
        }
    }
}

impl Op {
    /// Calls `f` with every operand, in order.
    pub(crate) fn operands(&self, mut f: impl FnMut(Value)) {
        match *self {
            Self::Const(_) | Self::Builtin(_) | Self::Get(_) | Self::Length { .. } => {}
            Self::Load { index, .. } => f(index),
            Self::Unary(_, a) => f(a),
            Self::Binary(_, a, b) => {
                f(a);
                f(b);
            }
            Self::Ternary(_, a, b, c) => {
                f(a);
                f(b);
                f(c);
            }
        }
    }

    /// Calls `f` with every operand, in order, to replace it.
    pub(crate) fn operands_mut(&mut self, mut f: impl FnMut(&mut Value)) {
        match self {
            Self::Const(_) | Self::Builtin(_) | Self::Get(_) | Self::Length { .. } => {}
            Self::Load { index, .. } => f(index),
            Self::Unary(_, a) => f(a),
            Self::Binary(_, a, b) => {
                f(a);
                f(b);
            }
            Self::Ternary(_, a, b, c) => {
                f(a);
                f(b);
                f(c);
            }
        }
    }
}
