//! How every value varies over the lanes, and which assignments need a mask.
//!
//! Both questions are one. Lanes run in lock step, so a value is uniform if its operands are, even where some lanes are
//! switched off. A variable is uniform if uniform values only are assigned to it *and* no assignment happens while
//! another lane waits that will still read the old value. The same condition says whether a vector executor has to blend.
//!
//! Lanes wait at these places only: at `otherwise` and behind an `If` whose condition varies (`then` runs first), behind
//! a loop or scope that some lanes have left by `Break`, at `continuing` where some have gone by `Continue`. A `Return`
//! has no waiting lanes, and neither has a jump that all lanes still inside its target take together.
//!
//! An optimistic fixpoint: everything is uniform until something shows that it is not. After Karrenberg and Hack,
//! "Improving Performance of OpenCL on CPUs", CC 2012, with structure in place of the dominance frontiers.

use super::live::{Live, Vars};
use crate::spmd::ir::{
    Binary, Block, Builtin, Class, Effect, LANES, Label, Memory, Op, Order, Program, Stmt, Ternary, Ty,
    Unary, Value, Var,
};

/// Sets the class of every value and variable and the mask flag of every assignment.
pub(crate) fn classify(program: &mut Program) {
    let live = Live::of(program);
    let mut body = std::mem::take(&mut program.body);
    let mut walk = Walk {
        constants: vec![None; program.values.len()],
        values: vec![None; program.values.len()],
        vars: (0..program.vars.len())
            .map(|at| {
                live.entry.has(Var(u32::try_from(at).expect("checked by new_var"))).then_some(Class::Uniform)
            })
            .collect(),
        around: Vec::new(),
        waiting: Vec::new(),
        escapes: vec![Vec::new(); program.labels as usize],
        next_if: 0,
        changed: true,
        live: &live,
        program,
    };
    while std::mem::take(&mut walk.changed) {
        walk.next_if = 0;
        walk.block(&mut body);
    }
    // What has no class is a value no lane computes or a variable no lane assigns.
    let (values, vars) = (walk.values, walk.vars);
    for (decl, class) in program.values.iter_mut().zip(values) {
        decl.class = class.unwrap_or(Class::Uniform);
    }
    for (decl, class) in program.vars.iter_mut().zip(vars) {
        decl.class = class.unwrap_or(Class::Uniform);
    }
    program.body = body;
}

/// What surrounds the present statement.
enum Around<'a> {
    /// An `If` whose condition varies, with what the lanes of its other arm will still read.
    Varying(&'a Vars),
    Loop(Label),
    Scope(Label),
}

/// A place where lanes wait that have jumped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Exit(Label),
    Continuing(Label),
}

struct Walk<'a> {
    program: &'a Program,
    live: &'a Live,
    /// The bits of values that are constants.
    constants: Vec<Option<u32>>,
    values: Vec<Option<Class>>,
    vars: Vec<Option<Class>>,
    around: Vec<Around<'a>>,
    /// Where some lanes may be waiting now.
    waiting: Vec<Place>,
    /// By label of a loop: where lanes may wait while others are in a later iteration of it.
    escapes: Vec<Vec<Place>>,
    /// Number of the next `If` in the order of the text.
    next_if: usize,
    changed: bool,
}

impl Walk<'_> {
    fn block(&mut self, block: &mut Block) {
        for stmt in block {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &mut Stmt) {
        match stmt {
            Stmt::Let(value, op) => {
                if let Op::Const(bits) = op {
                    self.constants[value.index()] = Some(*bits);
                }
                let class = self.class(op, self.program.value(*value).ty);
                if self.values[value.index()] != class {
                    self.values[value.index()] = class;
                    self.changed = true;
                }
            }
            Stmt::Set { var, value, masked } => {
                *masked = self.is_awaited(*var);
                let new = if *masked { Some(Class::Varying) } else { self.values[value.index()] };
                let old = self.vars[var.index()];
                let joined = match (old, new) {
                    (None, class) | (class, None) => class,
                    (Some(a), Some(b)) if a == b => Some(a),
                    _ => Some(Class::Varying),
                };
                if old != joined {
                    self.vars[var.index()] = joined;
                    self.changed = true;
                }
            }
            Stmt::If { cond, then, otherwise } => {
                let varies = self.varies(*cond);
                let [at_otherwise, behind] = &self.live.ifs[self.next_if];
                self.next_if += 1;
                if varies {
                    self.around.push(Around::Varying(at_otherwise));
                }
                self.block(then);
                if varies {
                    self.around.pop();
                    self.around.push(Around::Varying(behind));
                }
                self.block(otherwise);
                if varies {
                    self.around.pop();
                }
            }
            Stmt::Loop { label, body, continuing, break_if } => {
                self.around.push(Around::Loop(*label));
                for at in 0..self.escapes[label.index()].len() {
                    self.wait(self.escapes[label.index()][at]);
                }
                self.block(body);
                self.waiting.retain(|place| *place != Place::Continuing(*label));
                self.block(continuing);
                if let Some(cond) = *break_if {
                    if self.varies(cond) {
                        self.leave(self.around.len() - 1, Place::Exit(*label));
                    } else {
                        self.jump(Place::Exit(*label));
                    }
                }
                self.waiting.retain(|place| *place != Place::Exit(*label));
                self.around.pop();
            }
            Stmt::Scope { label, body } => {
                self.around.push(Around::Scope(*label));
                self.block(body);
                self.waiting.retain(|place| *place != Place::Exit(*label));
                self.around.pop();
            }
            Stmt::Break(label) => self.jump(Place::Exit(*label)),
            Stmt::Continue(label) => self.jump(Place::Continuing(*label)),
            Stmt::Effect { result, effect } => {
                if let Some(value) = result {
                    let class = match effect {
                        // One word for all, as the lanes go in step.
                        Effect::AtomicLoad { index, .. } if !self.varies(*index) => Class::Uniform,
                        _ => Class::Varying,
                    };
                    if self.values[value.index()] != Some(class) {
                        self.values[value.index()] = Some(class);
                        self.changed = true;
                    }
                }
            }
            Stmt::Store { .. } | Stmt::Return => {}
        }
    }

    fn varies(&self, value: Value) -> bool {
        !matches!(self.values[value.index()], None | Some(Class::Uniform))
    }

    /// Whether a lane that is switched off here may read the variable before it assigns to it.
    fn is_awaited(&self, var: Var) -> bool {
        let arms = self.around.iter().any(|around| matches!(around, Around::Varying(live) if live.has(var)));
        arms || self.waiting.iter().any(|place| match place {
            Place::Exit(label) => self.live.exit[label.index()].has(var),
            Place::Continuing(label) => self.live.continuing[label.index()].has(var),
        })
    }

    /// The depth of the loop or scope of that label.
    fn depth(&self, label: Label) -> usize {
        let found = self.around.iter().rposition(|around| match around {
            Around::Varying(_) => false,
            Around::Loop(here) | Around::Scope(here) => *here == label,
        });
        found.expect("the verifier saw the target of every jump")
    }

    /// A `Break` or `Continue` here. Lanes wait behind it unless all that are inside the target take it together.
    fn jump(&mut self, to: Place) {
        let (Place::Exit(label) | Place::Continuing(label)) = to;
        let target = self.depth(label);
        let apart = self.around[target..].iter().any(|around| matches!(around, Around::Varying(_)))
            || self.waiting.iter().any(|place| match *place {
                Place::Exit(label) => self.depth(label) > target,
                Place::Continuing(label) => self.depth(label) >= target,
            });
        if apart {
            self.leave(target, to);
        }
    }

    /// Some lanes go to `to`, a place of the loop or scope at depth `target`, and wait there.
    fn leave(&mut self, target: usize, to: Place) {
        self.wait(to);
        let repeated = match to {
            Place::Exit(_) => target,
            Place::Continuing(_) => target + 1,
        };
        for around in &self.around[repeated..] {
            if let Around::Loop(label) = around
                && !self.escapes[label.index()].contains(&to)
            {
                self.escapes[label.index()].push(to);
                self.changed = true;
            }
        }
    }

    fn wait(&mut self, place: Place) {
        if !self.waiting.contains(&place) {
            self.waiting.push(place);
        }
    }

    /// The class of an operation's result; `None` as long as an operand has none.
    fn class(&self, op: &Op, ty: Ty) -> Option<Class> {
        let class = |value: Value| self.values[value.index()];
        let constant = |value: Value| self.constants[value.index()];
        Some(match *op {
            Op::Const(_) | Op::Length { .. } => Class::Uniform,
            Op::Builtin(builtin) => self.builtin(builtin),
            Op::Get(var) => self.vars[var.index()]?,
            // Lanes load in step, so writable memory too has one content for all of them. An array of the invocation
            // has one for each.
            Op::Load { memory: Memory::Local(_), index } => {
                class(index)?;
                Class::Varying
            }
            Op::Load { index, .. } => chunkwise(ty, class(index)?),
            Op::Unary(unary, a) => match (unary, class(a)?) {
                (_, Class::Uniform) => Class::Uniform,
                (Unary::NegI, Class::Linear { stride }) => linear(stride.wrapping_neg()),
                (Unary::Bitcast, linear @ Class::Linear { .. }) if ty != Ty::F32 => linear,
                (_, class) => chunkwise(ty, class),
            },
            Op::Binary(binary, a, b) => {
                use Class::{Linear, Uniform};
                match (binary, class(a)?, class(b)?) {
                    (_, Uniform, Uniform) => Uniform,
                    (Binary::AddI, Linear { stride }, Uniform)
                    | (Binary::AddI, Uniform, Linear { stride }) => linear(stride),
                    (Binary::AddI, Linear { stride: a }, Linear { stride: b }) => linear(a.wrapping_add(b)),
                    (Binary::SubI, Linear { stride }, Uniform) => linear(stride),
                    (Binary::SubI, Uniform, Linear { stride }) => linear(stride.wrapping_neg()),
                    (Binary::SubI, Linear { stride: a }, Linear { stride: b }) => linear(a.wrapping_sub(b)),
                    (Binary::MulI, Linear { stride }, Uniform) => scaled(stride, constant(b)),
                    (Binary::MulI, Uniform, Linear { stride }) => scaled(stride, constant(a)),
                    (Binary::ShlI, Linear { stride }, Uniform) => {
                        scaled(stride, constant(b).map(|by| 1 << (by % 32)))
                    }
                    (_, a, b) => chunkwise(ty, wider(a, b)),
                }
            }
            Op::Ternary(ternary, a, b, c) => match (class(a)?, class(b)?, class(c)?) {
                (Class::Uniform, Class::Uniform, Class::Uniform) => Class::Uniform,
                (Class::Uniform, b, c) if ternary == Ternary::Select && b == c => b,
                (a, b, c) => chunkwise(ty, wider(a, wider(b, c))),
            },
        })
    }

    fn builtin(&self, builtin: Builtin) -> Class {
        let size = self.program.workgroup_size;
        match (self.program.order, builtin) {
            (_, Builtin::NumWorkgroups(_)) => Class::Uniform,
            (Order::Rows, builtin) => in_row(size, builtin),
            (Order::Workgroups, builtin) => in_workgroup(size, builtin),
        }
    }
}

/// Neighbours along x that start at a multiple of [`LANES`], all with the same y and z.
fn in_row([x, _, _]: [u32; 3], builtin: Builtin) -> Class {
    let whole_chunks = (x as usize).is_multiple_of(LANES);
    match builtin {
        Builtin::GlobalId(0) => Class::Linear { stride: 1 },
        Builtin::GlobalId(_) | Builtin::LocalId(1..) | Builtin::WorkgroupId(1..) => Class::Uniform,
        Builtin::LocalId(_) | Builtin::LocalIndex if x == 1 => Class::Uniform,
        Builtin::LocalId(_) | Builtin::LocalIndex if whole_chunks => Class::Linear { stride: 1 },
        Builtin::WorkgroupId(_) if x == 1 => Class::Linear { stride: 1 },
        Builtin::WorkgroupId(_) if whole_chunks => Class::Linear { stride: 0 },
        _ => Class::Varying,
    }
}

/// One workgroup by `local_invocation_index`, from lane 0. Lanes behind its end are the start of another row, if there is one:
/// only where a workgroup is a line does what follows the index go on there.
fn in_workgroup(size: [u32; 3], builtin: Builtin) -> Class {
    match builtin {
        Builtin::LocalIndex | Builtin::SubgroupInvocationId => Class::Linear { stride: 1 },
        Builtin::SubgroupId => Class::Linear { stride: 0 },
        Builtin::GlobalId(axis) | Builtin::LocalId(axis) => {
            let axis = usize::from(axis);
            // Invocations from one step along the axis to the next.
            let step: usize = size[..axis].iter().map(|n| *n as usize).product();
            let is_last = size[axis + 1..].iter().all(|n| *n == 1);
            if size[axis] == 1 {
                Class::Uniform
            } else if step == 1 && (is_last || (size[axis] as usize).is_multiple_of(LANES)) {
                Class::Linear { stride: 1 }
            } else if step.is_multiple_of(LANES) {
                Class::Linear { stride: 0 }
            } else {
                Class::Varying
            }
        }
        Builtin::WorkgroupId(_) | Builtin::NumWorkgroups(_) => Class::Uniform,
    }
}

const fn linear(stride: u32) -> Class {
    Class::Linear { stride }
}

/// A linear value times something uniform, whose value may be known.
fn scaled(stride: u32, by: Option<u32>) -> Class {
    match by {
        _ if stride == 0 => linear(0),
        Some(by) => linear(stride.wrapping_mul(by)),
        None => Class::Varying,
    }
}

/// What two operands have in common: the same everywhere, or in a chunk at least.
fn wider(a: Class, b: Class) -> Class {
    match (a, b) {
        (Class::Uniform, other) | (other, Class::Uniform) => other,
        (Class::Linear { stride: 0 }, Class::Linear { stride: 0 }) => a,
        _ => Class::Varying,
    }
}

/// The class of a result of that type, of operands that together are of `class`, if nothing is known of the operation.
fn chunkwise(ty: Ty, class: Class) -> Class {
    match class {
        Class::Uniform => class,
        Class::Linear { stride: 0 } if matches!(ty, Ty::I32 | Ty::U32) => class,
        _ => Class::Varying,
    }
}
