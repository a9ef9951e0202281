//! Appending operations: constants once, types inferred, and what is known of an index remembered.
//!
//! Nothing is folded here but index arithmetic, where a constant decides which code is made at all.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::ir::{
    Binary, Block, Buffer, Builtin, Effect, Local, LocalDecl, Memory, Op, Order, Program, SUBGROUP, Shared,
    Stmt, Table, Ternary, Ty, Unary, Value, Var,
};

/// The program so far, and the block that is being filled.
pub(super) struct Builder {
    pub program: Program,
    pub block: Block,
    /// Runs before everything else: constants, built-ins.
    pub prologue: Block,
    /// Whether floats are f16 now: what an operation gives is rounded to one.
    pub half: bool,
    constants: HashMap<(Ty, u32), Value>,
    builtins: Vec<(Builtin, Value)>,
    /// By value.
    known: Vec<Known>,
}

/// What is known of a value without running the program.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The greatest it can be, as a `u32`. A constant's bits.
    bound: u32,
    kind: Kind,
}

/// From most to least known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Constant,
    /// From read-only memory and constants only: the same for every invocation.
    Uniform,
    /// An invocation's number times a constant, plus something uniform.
    Affine,
    Other,
}

impl Builder {
    pub(super) fn new(name: String, workgroup_size: [u32; 3]) -> Self {
        Self {
            program: Program {
                name,
                workgroup_size,
                buffers: Vec::new(),
                order: Order::Rows,
                shared: Vec::new(),
                tables: Vec::new(),
                locals: Vec::new(),
                vars: Vec::new(),
                values: Vec::new(),
                body: Block::new(),
                labels: 0,
            },
            block: Block::new(),
            prologue: Block::new(),
            half: false,
            constants: HashMap::new(),
            builtins: Vec::new(),
            known: Vec::new(),
        }
    }

    /// The finished program.
    pub(super) fn finish(mut self) -> Program {
        self.prologue.append(&mut self.block);
        self.program.body = self.prologue;
        self.program
    }

    fn value(&mut self, ty: Ty, known: Known) -> Value {
        self.known.push(known);
        self.program.new_value(ty)
    }

    pub(super) fn ty(&self, value: Value) -> Ty {
        self.program.value(value).ty
    }

    /// A constant, by its bits.
    pub(super) fn constant(&mut self, ty: Ty, bits: u32) -> Value {
        if let Some(&value) = self.constants.get(&(ty, bits)) {
            return value;
        }
        let value = self.value(ty, Known { bound: bits, kind: Kind::Constant });
        self.prologue.push(Stmt::Let(value, Op::Const(bits)));
        self.constants.insert((ty, bits), value);
        value
    }

    pub(super) fn f32(&mut self, number: f32) -> Value {
        self.constant(Ty::F32, number.to_bits())
    }

    pub(super) fn u32(&mut self, number: u32) -> Value {
        self.constant(Ty::U32, number)
    }

    /// One of the type: 1, 1.0, true.
    pub(super) fn one(&mut self, ty: Ty) -> Value {
        let bits = if ty == Ty::F32 { 1.0_f32.to_bits() } else { 1 };
        self.constant(ty, bits)
    }

    pub(super) fn zero(&mut self, ty: Ty) -> Value {
        self.constant(ty, 0)
    }

    pub(super) fn builtin(&mut self, builtin: Builtin) -> Value {
        if let Some(&(_, value)) = self.builtins.iter().find(|(b, _)| *b == builtin) {
            return value;
        }
        let size = self.program.workgroup_size;
        let (bound, kind) = match builtin {
            Builtin::GlobalId(_) => (u32::MAX, Kind::Affine),
            Builtin::LocalId(axis) => (size[usize::from(axis)].saturating_sub(1), Kind::Affine),
            Builtin::LocalIndex => {
                let all = size.iter().fold(1_u32, |product, &n| product.saturating_mul(n));
                (all.saturating_sub(1), Kind::Affine)
            }
            Builtin::SubgroupInvocationId => (SUBGROUP as u32 - 1, Kind::Affine),
            Builtin::WorkgroupId(_) | Builtin::NumWorkgroups(_) | Builtin::SubgroupId => {
                (u32::MAX, Kind::Other)
            }
        };
        let value = self.value(Ty::U32, Known { bound, kind });
        self.prologue.push(Stmt::Let(value, Op::Builtin(builtin)));
        self.builtins.push((builtin, value));
        value
    }

    /// The bits of a constant.
    pub(super) fn known_constant(&self, value: Value) -> Option<u32> {
        let known = self.known[value.index()];
        (known.kind == Kind::Constant).then_some(known.bound)
    }

    /// The greatest a `u32` can be.
    pub(super) fn bound(&self, value: Value) -> u32 {
        self.known[value.index()].bound
    }

    /// Whether the shader may write to a buffer.
    pub(super) fn is_writable(&self, buffer: Buffer) -> bool {
        self.program.buffers[buffer.index()].writable
    }

    /// Whether an index follows the invocation's number, so that a limit on it would cost the linear access.
    pub(super) fn follows_invocation(&self, value: Value) -> bool {
        self.known[value.index()].kind == Kind::Affine
    }

    /// Any other operation, with its type.
    pub(super) fn push(&mut self, ty: Ty, op: Op) -> Value {
        let kind = match op {
            Op::Load { memory, index } if !memory.is_writable(&self.program) => {
                match self.known[index.index()].kind {
                    Kind::Constant | Kind::Uniform => Kind::Uniform,
                    _ => Kind::Other,
                }
            }
            Op::Length { .. } => Kind::Uniform,
            _ => Kind::Other,
        };
        let value = self.value(ty, Known { bound: u32::MAX, kind });
        self.block.push(Stmt::Let(value, op));
        value
    }

    pub(super) fn get(&mut self, var: Var) -> Value {
        let ty = self.program.vars[var.index()].ty;
        self.push(ty, Op::Get(var))
    }

    pub(super) fn set(&mut self, var: Var, value: Value) {
        self.block.push(Stmt::Set { var, value, masked: true });
    }

    pub(super) fn load(&mut self, ty: Ty, memory: Memory, index: Value) -> Value {
        self.push(ty, Op::Load { memory, index })
    }

    /// A one-operand operation; `ty` is the result's.
    pub(super) fn unary_to(&mut self, ty: Ty, op: Unary, a: Value) -> Value {
        let from = self.known[a.index()];
        let known = match op {
            Unary::Bitcast => from,
            _ => Known { bound: u32::MAX, kind: combined(from.kind, from.kind) },
        };
        if op == Unary::Bitcast {
            if let Some(bits) = self.known_constant(a) {
                return self.constant(ty, bits);
            }
            if self.ty(a) == ty {
                return a;
            }
        }
        let value = self.value(ty, known);
        self.block.push(Stmt::Let(value, Op::Unary(op, a)));
        use Unary::{AbsF, CeilF, F16ToF32, FloorF, FrexpFract, NegF, RoundF, TruncF};
        let is_half = matches!(op, NegF | AbsF | FloorF | CeilF | TruncF | RoundF | FrexpFract | F16ToF32);
        if self.half && ty == Ty::F32 && !is_half { self.rounded_to_half(value) } else { value }
    }

    /// The nearest f16. Sums, products, quotients and roots of f16s are as if rounded once: an f32 has more than twice the
    /// digits (Figueroa, "When is double rounding innocuous?", 1995).
    pub(super) fn rounded_to_half(&mut self, a: Value) -> Value {
        let bits = self.unary_to(Ty::U32, Unary::F32ToF16, a);
        self.unary_to(Ty::F32, Unary::F16ToF32, bits)
    }

    /// A one-operand operation whose result has the operand's type.
    pub(super) fn unary(&mut self, op: Unary, a: Value) -> Value {
        self.unary_to(self.ty(a), op, a)
    }

    /// A two-operand operation.
    pub(super) fn binary(&mut self, op: Binary, a: Value, b: Value) -> Value {
        let ty = match op {
            Binary::EqF | Binary::NeF | Binary::LtF | Binary::LeF => Ty::Bool,
            Binary::EqI | Binary::NeI | Binary::LtI | Binary::LeI | Binary::LtU | Binary::LeU => Ty::Bool,
            _ => self.ty(a),
        };
        let (x, y) = (self.known[a.index()], self.known[b.index()]);
        if let Some(value) = self.folded(op, ty, (a, x), (b, y)) {
            return value;
        }
        let constant = |known: Known| (known.kind == Kind::Constant).then_some(known.bound);
        let bound = match op {
            Binary::AddI => x.bound.saturating_add(y.bound),
            Binary::MulI => x.bound.saturating_mul(y.bound),
            Binary::AndI | Binary::MinU => x.bound.min(y.bound),
            Binary::MaxU => x.bound.max(y.bound),
            Binary::RemU => constant(y).and_then(|n| n.checked_sub(1)).unwrap_or(u32::MAX).min(x.bound),
            Binary::DivU => constant(y).and_then(|n| x.bound.checked_div(n)).unwrap_or(x.bound),
            Binary::ShrU => constant(y).map_or(x.bound, |n| x.bound >> (n % 32)),
            _ => u32::MAX,
        };
        let kind = match op {
            Binary::AddI | Binary::SubI => x.kind.max(y.kind).max(Kind::Uniform),
            Binary::MulI if x.kind.min(y.kind) == Kind::Constant => x.kind.max(y.kind).max(Kind::Uniform),
            Binary::ShlI if y.kind == Kind::Constant => x.kind.max(Kind::Uniform),
            _ => combined(x.kind, y.kind),
        };
        let value = self.value(ty, Known { bound, kind });
        self.block.push(Stmt::Let(value, Op::Binary(op, a, b)));
        let is_half = matches!(op, Binary::MinF | Binary::MaxF | Binary::RemF);
        if self.half && ty == Ty::F32 && !is_half { self.rounded_to_half(value) } else { value }
    }

    /// Index arithmetic that a constant decides.
    fn folded(
        &mut self,
        op: Binary,
        ty: Ty,
        (a, x): (Value, Known),
        (b, y): (Value, Known),
    ) -> Option<Value> {
        let (left, right) = (x.kind == Kind::Constant, y.kind == Kind::Constant);
        match op {
            Binary::AddI | Binary::MulI | Binary::SubI if left && right => {
                let bits = match op {
                    Binary::AddI => x.bound.wrapping_add(y.bound),
                    Binary::MulI => x.bound.wrapping_mul(y.bound),
                    _ => x.bound.wrapping_sub(y.bound),
                };
                Some(self.constant(ty, bits))
            }
            Binary::AddI | Binary::SubI if right && y.bound == 0 => Some(a),
            Binary::AddI if left && x.bound == 0 => Some(b),
            Binary::MulI if right && y.bound == 1 => Some(a),
            Binary::MulI if left && x.bound == 1 => Some(b),
            _ => None,
        }
    }

    pub(super) fn ternary(&mut self, op: Ternary, a: Value, b: Value, c: Value) -> Value {
        let (x, y) = (self.known[b.index()], self.known[c.index()]);
        let bound = if op == Ternary::Select { x.bound.max(y.bound) } else { u32::MAX };
        let kind = combined(combined(x.kind, y.kind), self.known[a.index()].kind);
        let value = self.value(self.program.value(b).ty, Known { bound, kind });
        self.block.push(Stmt::Let(value, Op::Ternary(op, a, b, c)));
        if self.half && op == Ternary::Fma { self.rounded_to_half(value) } else { value }
    }

    pub(super) fn select(&mut self, condition: Value, accept: Value, reject: Value) -> Value {
        if accept == reject {
            return accept;
        }
        self.ternary(Ternary::Select, condition, accept, reject)
    }

    pub(super) fn not(&mut self, a: Value) -> Value {
        self.unary(Unary::NotB, a)
    }

    pub(super) fn effect(&mut self, result: Option<Value>, effect: Effect) {
        self.block.push(Stmt::Effect { result, effect });
    }

    /// An effect whose result, of that type, is asked for.
    pub(super) fn effect_of(&mut self, ty: Ty, effect: Effect) -> Value {
        let value = self.value(ty, Known { bound: u32::MAX, kind: Kind::Other });
        self.effect(Some(value), effect);
        value
    }

    pub(super) fn shared(&mut self, name: &str, words: u32) -> Shared {
        let shared = &mut self.program.shared;
        shared.push(LocalDecl { name: name.to_owned(), words });
        Shared(u32::try_from(shared.len() - 1).expect("bounded by the words of all"))
    }

    /// An array of constants.
    pub(super) fn table(&mut self, words: Arc<[u32]>) -> Table {
        let tables = &mut self.program.tables;
        tables.push(words);
        Table(u32::try_from(tables.len() - 1).expect("bounded by the work spent"))
    }

    pub(super) fn local(&mut self, name: &str, words: u32) -> Local {
        let locals = &mut self.program.locals;
        locals.push(LocalDecl { name: name.to_owned(), words });
        Local(u32::try_from(locals.len() - 1).expect("bounded by the words of all"))
    }
}

/// What an operation that keeps no number pattern makes of its operands.
fn combined(a: Kind, b: Kind) -> Kind {
    if a.max(b) <= Kind::Uniform { Kind::Uniform } else { Kind::Other }
}
