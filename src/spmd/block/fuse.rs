//! Which operations are computed as one: trees of additions and multiplications for which there is a kernel.
//!
//! A value that only such trees need is computed in each of them and stored nowhere: doing an addition twice costs less
//! than keeping its result. Classes and blocks decide what is the same loop's work; the program stays as it is.

use super::analysis::{Analysis, Kind, blocks_of};
use super::kernels::{Fused, Join, Kernel, Kernels, Shape, Test};
use crate::spmd::ir::{Binary, Block, Memory, Op, Program, Stmt, Ternary, Ty, Value};

/// Operands at most.
const MOST: usize = 5;

/// A value computed by one kernel from others.
#[derive(Clone, Copy)]
pub(super) struct Root {
    pub kernel: Kernel,
    args: [Value; MOST],
    count: u8,
    /// Two bits to each join: which of its operands change sign.
    pub flips: u32,
}

impl Root {
    pub(super) fn args(&self) -> &[Value] {
        &self.args[..usize::from(self.count)]
    }
}

/// What becomes of each value.
#[derive(Clone, Copy, Default)]
pub(super) enum Fate {
    /// Computed as the program says.
    #[default]
    Own,
    /// Computed by one kernel from others.
    Root(u32),
    /// Computed by one kernel straight into the active lanes of the variable that it is assigned to.
    Merged(u32),
    /// Nobody asks for it.
    Gone,
}

/// What is fused in a program.
#[derive(Default)]
pub(super) struct Fusion {
    roots: Vec<Root>,
    fates: Vec<Fate>,
}

impl std::fmt::Debug for Fusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fusion").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}

impl Fusion {
    /// Decides for a verified program, whose values' kinds and addresses are known.
    pub(super) fn plan(program: &Program, analysis: &Analysis, kernels: &Kernels) -> Self {
        let kinds = &analysis.kinds[..];
        let mut fusion = Self::default();
        let Some(find) = kernels.fused else { return fusion };
        fusion.fates = vec![Fate::Own; kinds.len()];
        let mut plan = Plan {
            program,
            analysis,
            kinds,
            find,
            defs: vec![Def::default(); kinds.len()],
            needed: vec![false; kinds.len()],
            blocks: 0,
            fusion,
        };
        plan.look(&program.body);
        plan.decide(&program.body, true);
        plan.fusion
    }

    /// The kernel and the operands of a value that is computed from others than the program says.
    pub(super) fn root(&self, value: Value) -> Option<&Root> {
        match self.fates.get(value.index()) {
            Some(Fate::Root(at)) => self.roots.get(*at as usize),
            _ => None,
        }
    }

    /// The same for a value that is computed where it is assigned, and nowhere else.
    pub(super) fn merged(&self, value: Value) -> Option<&Root> {
        match self.fates.get(value.index()) {
            Some(Fate::Merged(at)) => self.roots.get(*at as usize),
            _ => None,
        }
    }

    /// Whether nobody asks for a value.
    pub(super) fn is_gone(&self, value: Value) -> bool {
        matches!(self.fates.get(value.index()), Some(Fate::Gone | Fate::Merged(_)))
    }

    /// Calls `f` with every operand that is read to compute a value.
    pub(super) fn operands(&self, value: Value, op: &Op, f: impl FnMut(Value)) {
        match self.root(value) {
            Some(root) => root.args().iter().copied().for_each(f),
            None => op.operands(f),
        }
    }
}

/// What is known of a value.
#[derive(Clone, Copy, Default)]
struct Def {
    /// An addition or multiplication of varying floats.
    op: Option<Op>,
    /// Whatever varies.
    any: Option<Op>,
    /// Whether its block assigns it to a variable.
    assigned: bool,
    /// The block that it is in.
    block: u32,
    uses: u32,
    /// Uses by what could compute it along.
    taken: u32,
}

struct Plan<'a> {
    program: &'a Program,
    analysis: &'a Analysis,
    kinds: &'a [Kind],
    find: fn(Fused) -> Option<Kernel>,
    defs: Vec<Def>,
    /// Whether what comes later reads it.
    needed: Vec<bool>,
    blocks: u32,
    fusion: Fusion,
}

/// `((leaf ∘ leaf) ∘ leaf) ∘ …`, or two of them.
#[derive(Clone, Copy)]
struct Tree {
    leaves: [Value; MOST],
    joins: [Join; MOST - 1],
    count: usize,
    flips: u32,
}

impl Tree {
    fn of(a: Value) -> Self {
        Self { leaves: [a; MOST], joins: [Join::Sum; MOST - 1], count: 0, flips: 0 }
    }

    fn push(mut self, join: Join, flips: u32, b: Value) -> Self {
        self.joins[self.count] = join;
        self.flips |= flips << (2 * self.count);
        self.count += 1;
        self.leaves[self.count] = b;
        self
    }
}

/// The join of a two-operand operation and its flips.
fn join(op: Binary) -> Option<(Join, u32)> {
    match op {
        Binary::AddF => Some((Join::Sum, 0b00)),
        Binary::SubF => Some((Join::Sum, 0b10)),
        Binary::MulF => Some((Join::Product, 0b00)),
        _ => None,
    }
}

/// The flips, for operands in the other order.
fn swapped(flips: u32) -> u32 {
    (flips >> 1 | flips << 1) & 0b11
}

impl Plan<'_> {
    fn look(&mut self, block: &Block) {
        self.blocks += 1;
        let here = self.blocks;
        for stmt in block {
            match stmt {
                Stmt::Let(value, op) => {
                    let (kind, ty) = (self.kinds[value.index()], self.program.value(*value).ty);
                    let (takes, gives) = match op {
                        Op::Binary(Binary::LtF | Binary::LeF, ..) => (true, false),
                        Op::Binary(op, ..) => (join(*op).is_some(), join(*op).is_some()),
                        Op::Ternary(Ternary::MulAddF, ..) => (true, true),
                        _ => (false, false),
                    };
                    let varies = kind == Kind::Varying;
                    let def = &mut self.defs[value.index()];
                    def.block = here;
                    def.any = varies.then_some(*op);
                    def.op = (varies && gives && ty == Ty::F32).then_some(*op);
                    op.operands(|operand| {
                        let def = &mut self.defs[operand.index()];
                        def.uses += 1;
                        def.taken += u32::from(takes && varies && def.block == here);
                    });
                }
                _ => {
                    reads(stmt, |value| self.defs[value.index()].uses += 1);
                    if let Stmt::Set { value, .. } = stmt {
                        let def = &mut self.defs[value.index()];
                        def.assigned = def.block == here;
                    }
                    blocks_of(stmt, |inner| self.look(inner));
                }
            }
        }
    }

    /// From the last statement to the first, so that who reads a value is known before it is its turn.
    fn decide(&mut self, block: &Block, outermost: bool) {
        for stmt in block.iter().rev() {
            match stmt {
                Stmt::Let(value, op) => self.define(*value, op),
                Stmt::Set { value, masked: true, .. } if !outermost && self.merge(*value) => {}
                _ => {
                    let mut inner: [Option<&Block>; 2] = [None; 2];
                    blocks_of(stmt, |block| {
                        let free = usize::from(inner[0].is_some());
                        inner[free] = Some(block);
                    });
                    match stmt {
                        Stmt::Store { memory: Memory::Buffer(_) | Memory::Shared(_), index, value } => {
                            self.address(*index, true);
                            self.needed[value.index()] = true;
                        }
                        _ => reads(stmt, |value| self.needed[value.index()] = true),
                    }
                    inner.into_iter().rev().flatten().for_each(|block| self.decide(block, false));
                }
            }
        }
    }

    fn define(&mut self, value: Value, op: &Op) {
        if matches!(self.fusion.fates[value.index()], Fate::Merged(_)) {
            return;
        }
        if !self.needed[value.index()] {
            self.fusion.fates[value.index()] = Fate::Gone;
            return;
        }
        if self.kinds[value.index()] == Kind::Varying
            && let Some(root) = self.root(value, op)
        {
            root.args().iter().for_each(|operand| self.needed[operand.index()] = true);
            self.fusion.fates[value.index()] = Fate::Root(self.fusion.roots.len() as u32);
            self.fusion.roots.push(root);
            return;
        }
        match *op {
            Op::Load { memory: Memory::Buffer(_) | Memory::Shared(_) | Memory::Table(_), index } => {
                self.address(index, false);
            }
            _ => op.operands(|operand| self.needed[operand.index()] = true),
        }
    }

    /// A load or store may need the parts of its index, not the index.
    fn address(&mut self, index: Value, store: bool) {
        match self.analysis.address(index, store) {
            Some((a, b)) => [a, b].into_iter().for_each(|part| self.needed[part.index()] = true),
            None => self.needed[index.index()] = true,
        }
    }

    /// The largest tree with a kernel.
    fn root(&self, value: Value, op: &Op) -> Option<Root> {
        let here = self.defs[value.index()].block;
        if let Op::Binary(op @ (Binary::LtF | Binary::LeF), a, b) = *op {
            let (less, greater) = match op {
                Binary::LtF => (Test::Less, Test::Greater),
                _ => (Test::LessEqual, Test::GreaterEqual),
            };
            return [(a, b, less), (b, a, greater)].into_iter().find_map(|(tested, with, test)| {
                let op = self.inside(tested, here)?;
                let pairs = self.pairs(op, here).map(|tree| (paired(&tree), tree));
                let chain = || self.chain(op, here, 2).map(|tree| (chained(&tree), tree));
                let (shape, mut tree) = pairs
                    .filter(|(shape, _)| self.kernel(*shape, Some(test)).is_some())
                    .or_else(|| chain().and_then(|(shape, tree)| Some((shape?, tree))))?;
                let kernel = self.kernel(shape, Some(test))?;
                tree.count += 1;
                tree.leaves[tree.count] = with;
                Some(rooted(kernel, shape, &tree))
            });
        }
        if self.defs[value.index()].op.is_none() {
            return self.other(op, here);
        }
        // More than the operation itself is.
        let own = if matches!(op, Op::Ternary(..)) { 2 } else { 1 };
        let pairs_one = self.pairs_one(op, here).map(|tree| (paired(&tree), tree));
        let mut best: Option<(Kernel, Shape, Tree)> = None;
        let mut offer = |shape: Option<Shape>, tree: Tree| {
            if tree.count > own
                && best.as_ref().is_none_or(|(_, _, best)| best.count < tree.count)
                && let Some(shape) = shape
                && let Some(kernel) = self.kernel(shape, None)
            {
                best = Some((kernel, shape, tree));
            }
        };
        if let Some((shape, tree)) = pairs_one {
            offer(Some(shape), tree);
        }
        for joins in (2..=4).rev() {
            if let Some(tree) = self.chain(op, here, joins) {
                offer(chained(&tree), tree);
            }
        }
        if let Some(tree) = self.pairs(op, here) {
            offer(Some(paired(&tree)), tree);
        }
        let (kernel, shape, tree) = best?;
        Some(rooted(kernel, shape, &tree))
    }

    /// What is not a tree of joins.
    fn other(&self, op: &Op, here: u32) -> Option<Root> {
        // An operand of one use that this block computes by a two-operand operation.
        let only = |value: Value| {
            let def = &self.defs[value.index()];
            match def.any {
                Some(Op::Binary(op, a, b)) if def.uses == 1 && def.block == here => Some((op, a, b)),
                _ => None,
            }
        };
        let (fused, args): (Fused, [Option<Value>; 4]) = match *op {
            Op::Binary(Binary::AddI, a, b) => [(a, b), (b, a)].into_iter().find_map(|(product, c)| {
                let (Binary::MulI, a, b) = only(product)? else { return None };
                Some((Fused::MulAddI, [Some(a), Some(b), Some(c), None]))
            })?,
            Op::Binary(op @ (Binary::EqI | Binary::NeI), a, b) => {
                let fused = if op == Binary::EqI { Fused::MaskEq } else { Fused::MaskNe };
                [(a, b), (b, a)].into_iter().find_map(|(masked, c)| {
                    let (Binary::AndI, a, b) = only(masked)? else { return None };
                    Some((fused, [Some(a), Some(b), Some(c), None]))
                })?
            }
            Op::Binary(Binary::AndB, a, b) => [(a, b), (b, a)].into_iter().find_map(|(p, test)| {
                let (op, a, b) = only(test)?;
                (self.find)(Fused::And(op))?;
                Some((Fused::And(op), [Some(p), Some(a), Some(b), None]))
            })?,
            Op::Ternary(Ternary::Select, p, c, d) if self.program.value(c).ty != Ty::Bool => {
                let (op, a, b) = only(p)?;
                (Fused::Select(op), [Some(a), Some(b), Some(c), Some(d)])
            }
            _ => return None,
        };
        let kernel = (self.find)(fused)?;
        Some(plain(kernel, args.into_iter().flatten()))
    }

    /// Whether a value is computed straight into the active lanes of the variable that it is assigned to.
    fn merge(&mut self, value: Value) -> bool {
        let def = self.defs[value.index()];
        let (true, Some(op)) = (def.uses == 1 && def.assigned, def.any) else { return false };
        let kernel = match op {
            Op::Binary(op, ..) => (self.find)(Fused::Merge(op)),
            Op::Ternary(Ternary::MulAddF, ..) => (self.find)(Fused::MergeMulAddF),
            _ => None,
        };
        let Some(kernel) = kernel else { return false };
        let mut args = Vec::new();
        op.operands(|operand| args.push(operand));
        args.iter().for_each(|operand| self.needed[operand.index()] = true);
        self.fusion.fates[value.index()] = Fate::Merged(self.fusion.roots.len() as u32);
        self.fusion.roots.push(plain(kernel, args.into_iter()));
        true
    }

    fn kernel(&self, shape: Shape, test: Option<Test>) -> Option<Kernel> {
        (self.find)(Fused::Tree { shape, test })
    }

    /// The operation of a value that a tree of this block may compute along.
    fn inside(&self, value: Value, here: u32) -> Option<&Op> {
        let def = &self.defs[value.index()];
        let once = def.uses == 1 || def.uses == 2 && !matches!(def.op, Some(Op::Ternary(..)));
        def.op.as_ref().filter(|_| def.block == here && once && def.taken == def.uses)
    }

    /// A chain of at most `room` joins.
    fn chain(&self, op: &Op, here: u32, room: usize) -> Option<Tree> {
        match *op {
            Op::Binary(op, a, b) if room >= 1 => {
                let (join, flips) = join(op)?;
                for (first, second, flips) in [(a, b, flips), (b, a, swapped(flips))] {
                    if let Some(tree) = self.inside(first, here).and_then(|op| self.chain(op, here, room - 1))
                    {
                        return Some(tree.push(join, flips, second));
                    }
                }
                Some(Tree::of(a).push(join, flips, b))
            }
            Op::Ternary(Ternary::MulAddF, a, b, c) if room >= 2 => {
                for (first, second) in [(a, b), (b, a)] {
                    if let Some(tree) = self.inside(first, here).and_then(|op| self.chain(op, here, room - 2))
                    {
                        return Some(tree.push(Join::Product, 0, second).push(Join::Sum, 0, c));
                    }
                }
                Some(Tree::of(a).push(Join::Product, 0, b).push(Join::Sum, 0, c))
            }
            _ => None,
        }
    }

    /// Two joins and the one between. The sum, if only one is, comes second.
    fn pairs(&self, op: &Op, here: u32) -> Option<Tree> {
        let pair = |value: Value| match self.inside(value, here)? {
            Op::Binary(op, a, b) => join(*op).map(|(join, flips)| (join, flips, *a, *b)),
            _ => None,
        };
        let (one, two, between, flips) = match *op {
            Op::Binary(op, a, b) => {
                let (between, flips) = join(op)?;
                (pair(a)?, pair(b)?, between, flips)
            }
            Op::Ternary(Ternary::MulAddF, a, b, c) => ((Join::Product, 0, a, b), pair(c)?, Join::Sum, 0),
            _ => return None,
        };
        let (one, two, flips) = if one.0 == Join::Sum && two.0 == Join::Product {
            (two, one, swapped(flips))
        } else {
            (one, two, flips)
        };
        let mut tree = Tree::of(one.2).push(one.0, one.1, one.3);
        tree.leaves[2] = two.2;
        tree.leaves[3] = two.3;
        tree.joins[1] = two.0;
        tree.joins[2] = between;
        tree.flips |= two.1 << 2 | flips << 4;
        tree.count = 3;
        Some(tree)
    }

    fn pairs_one(&self, op: &Op, here: u32) -> Option<Tree> {
        let Op::Binary(op, a, b) = *op else { return None };
        let (join, flips) = join(op)?;
        [(a, b, flips), (b, a, swapped(flips))].into_iter().find_map(|(pairs, one, flips)| {
            let tree = self.pairs(self.inside(pairs, here)?, here)?;
            Some(tree.push(join, flips, one))
        })
    }
}

/// A chain's shape, if it is worth a kernel.
fn chained(tree: &Tree) -> Option<Shape> {
    let [a, b, c, d] = tree.joins;
    match tree.count {
        2 => Some(Shape::Chain2([a, b])),
        3 => Some(Shape::Chain3([a, b, c])),
        4 => Some(Shape::Chain4([a, b, c, d])),
        _ => None,
    }
}

fn plain(kernel: Kernel, operands: impl Iterator<Item = Value>) -> Root {
    let mut root = Root { kernel, args: [Value(0); MOST], count: 0, flips: 0 };
    for operand in operands {
        root.args[usize::from(root.count)] = operand;
        root.count += 1;
    }
    root
}

/// The shape of two pairs, with one more or without.
fn paired(tree: &Tree) -> Shape {
    let [a, b, between, last] = tree.joins;
    let squares = (a, b, between) == (Join::Product, Join::Product, Join::Sum)
        && tree.leaves[0] == tree.leaves[1]
        && tree.leaves[2] == tree.leaves[3];
    match (squares, tree.count) {
        (true, 3) => Shape::Squares,
        (true, _) => Shape::SquaresOne(last),
        (false, 3) => Shape::Pairs([a, b, between]),
        (false, _) => Shape::PairsOne(tree.joins),
    }
}

fn rooted(kernel: Kernel, shape: Shape, tree: &Tree) -> Root {
    let (mut args, mut count) = (tree.leaves, tree.count + 1);
    if matches!(shape, Shape::Squares | Shape::SquaresOne(_)) {
        // Each factor once.
        (args[1], args[2]) = (args[2], args[4]);
        count -= 2;
    }
    Root { kernel, args, count: count as u8, flips: tree.flips }
}

/// Calls `f` with what a statement other than a definition reads itself.
fn reads(stmt: &Stmt, mut f: impl FnMut(Value)) {
    match stmt {
        Stmt::Set { value, .. } => f(*value),
        Stmt::Store { index, value, .. } => {
            f(*index);
            f(*value);
        }
        Stmt::Effect { effect, .. } => effect.operands(f),
        Stmt::If { cond, .. } => f(*cond),
        Stmt::Loop { break_if: Some(cond), .. } => f(*cond),
        _ => {}
    }
}
