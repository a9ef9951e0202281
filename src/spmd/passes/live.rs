//! Which variables one invocation may still read, at the points where invocations wait for each other.

use crate::spmd::ir::{Block, Label, Op, Program, Stmt, Var};

/// A set of variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Vars(Vec<u64>);

impl Vars {
    pub(super) fn none(program: &Program) -> Self {
        Self(vec![0; program.vars.len().div_ceil(64)])
    }

    pub(super) fn has(&self, var: Var) -> bool {
        self.0[var.index() / 64] >> (var.0 % 64) & 1 == 1
    }

    pub(super) fn insert(&mut self, var: Var) {
        self.0[var.index() / 64] |= 1 << (var.0 % 64);
    }

    fn remove(&mut self, var: Var) {
        self.0[var.index() / 64] &= !(1 << (var.0 % 64));
    }

    fn clear(&mut self) {
        self.0.fill(0);
    }

    fn add(&mut self, other: &Self) {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a |= b;
        }
    }
}

/// The variables live at each join of a program.
pub(super) struct Live {
    /// At the start of the program: those whose initial zero may be read.
    pub(super) entry: Vars,
    /// Behind each loop or scope, by label.
    pub(super) exit: Vec<Vars>,
    /// At the start of each loop's `continuing`, by label.
    pub(super) continuing: Vec<Vars>,
    /// For each `If`, in the order of the text: at the start of `otherwise`, and behind the `If`.
    pub(super) ifs: Vec<[Vars; 2]>,
    /// For each `Set`, in the order of the text, whether its variable is live behind it.
    pub(super) sets: Vec<bool>,
}

impl Live {
    pub(super) fn of(program: &Program) -> Self {
        let none = Vars::none(program);
        let labels = program.labels as usize;
        let mut walk = Walk {
            live: none.clone(),
            head: vec![none.clone(); labels],
            exit: vec![none.clone(); labels],
            continuing: vec![none.clone(); labels],
            ifs: Vec::new(),
            sets: Vec::new(),
            changed: true,
        };
        // What a loop reads in its next iteration is known one round later: one round for each level of nesting.
        while std::mem::take(&mut walk.changed) {
            walk.live.clear();
            walk.ifs.clear();
            walk.sets.clear();
            walk.block(&program.body);
        }
        walk.ifs.reverse();
        walk.sets.reverse();
        Self {
            entry: walk.live,
            exit: walk.exit,
            continuing: walk.continuing,
            ifs: walk.ifs,
            sets: walk.sets,
        }
    }
}

struct Walk {
    /// At the present point, going backwards.
    live: Vars,
    /// At the start of each loop, from the round before.
    head: Vec<Vars>,
    exit: Vec<Vars>,
    continuing: Vec<Vars>,
    /// Backwards.
    ifs: Vec<[Vars; 2]>,
    /// Backwards.
    sets: Vec<bool>,
    changed: bool,
}

impl Walk {
    fn block(&mut self, block: &Block) {
        for stmt in block.iter().rev() {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Let(_, Op::Get(var)) => self.live.insert(*var),
            Stmt::Let(..) | Stmt::Store { .. } | Stmt::Effect { .. } => {}
            Stmt::Set { var, .. } => {
                self.sets.push(self.live.has(*var));
                self.live.remove(*var);
            }
            Stmt::If { then, otherwise, .. } => {
                let behind = self.live.clone();
                self.block(otherwise);
                let at_otherwise = std::mem::replace(&mut self.live, behind.clone());
                self.block(then);
                self.live.add(&at_otherwise);
                self.ifs.push([at_otherwise, behind]);
            }
            Stmt::Loop { label, body, continuing, break_if } => {
                let at = label.index();
                self.exit[at].clone_from(&self.live);
                if break_if.is_none() {
                    self.live.clear();
                }
                self.live.add(&self.head[at]);
                self.block(continuing);
                self.continuing[at].clone_from(&self.live);
                self.block(body);
                if self.head[at] != self.live {
                    self.head[at].clone_from(&self.live);
                    self.changed = true;
                }
            }
            Stmt::Scope { label, body } => {
                self.exit[label.index()].clone_from(&self.live);
                self.block(body);
            }
            Stmt::Break(Label(label)) => self.live.clone_from(&self.exit[*label as usize]),
            Stmt::Continue(Label(label)) => self.live.clone_from(&self.continuing[*label as usize]),
            Stmt::Return => self.live.clear(),
        }
    }
}
