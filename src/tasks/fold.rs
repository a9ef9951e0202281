//! What becomes of the values of a loop: a list, or one value through a tree whose shape depends on the number of items alone.

use super::body::Body;
use super::caught::caught;
use crate::error::{Error, Result};

/// Gathers what a body gives for runs of consecutive items.
pub(super) trait Fold<I>: Sync {
    /// What has been gathered of a run.
    type Part: Send;

    /// Of the run that starts with that item, nothing yet.
    fn part(&self, first: usize, room: usize) -> Self::Part;

    /// How many items are in it.
    fn done(&self, part: &Self::Part) -> usize;

    /// Does the next `count` items, which follow those in `part`; the first has that index. Gives the iterator back. After a panic
    /// `part` is good for [`done`](Self::done) only.
    fn run<J: Iterator<Item = I>>(
        &self,
        index: usize,
        items: J,
        count: usize,
        part: &mut Self::Part,
    ) -> (J, Result<()>);

    /// Adds the part that follows.
    fn join(&self, part: &mut Self::Part, next: Self::Part);
}

/// All values, in order.
pub(super) struct List<B>(pub B);

impl<I, B: Body<I>> Fold<I> for List<B> {
    type Part = Vec<B::Out>;

    fn part(&self, _: usize, room: usize) -> Self::Part {
        let mut list = Vec::new();
        // What an iterator promises may be more than there is; then the list grows as it is filled.
        _ = list.try_reserve_exact(room);
        list
    }

    fn done(&self, part: &Self::Part) -> usize {
        part.len()
    }

    fn run<J: Iterator<Item = I>>(
        &self,
        index: usize,
        items: J,
        count: usize,
        part: &mut Self::Part,
    ) -> (J, Result<()>) {
        self.0.fill(index, items, count, part)
    }

    fn join(&self, part: &mut Self::Part, mut next: Self::Part) {
        part.append(&mut next);
    }
}

/// One value: `reduce` over a binary tree on the indices. The items `[k 2^l, (k + 1) 2^l)` are one node wherever all of them are
/// there, so where a loop is cut changes nothing; what is left over at the right end is folded from right to left.
pub(super) struct Tree<B, R> {
    pub body: B,
    pub reduce: R,
}

/// The largest whole nodes of a run, from left to right.
pub(super) struct Nodes<T> {
    /// The index after its last item.
    end: usize,
    first: usize,
    nodes: Vec<(u32, T)>,
}

impl<B, R> Tree<B, R> {
    /// Puts a node of `2^level` items behind the others, and makes of two what is one.
    fn push<T>(&self, part: &mut Nodes<T>, mut level: u32, mut value: T)
    where
        R: Fn(T, T) -> T,
    {
        let end = part.end + (1 << level);
        // Two neighbours of a level are one node if the left one's number is even.
        while let Some((_, left)) =
            part.nodes.pop_if(|(left, _)| *left == level && (end >> level).is_multiple_of(2))
        {
            value = (self.reduce)(left, value);
            level += 1;
        }
        part.nodes.push((level, value));
        part.end = end;
    }

    /// The value of a whole loop; `None` if it had no items.
    pub(super) fn finish<T>(&self, part: Nodes<T>) -> Result<Option<T>>
    where
        R: Fn(T, T) -> T,
    {
        let index = part.end.saturating_sub(1);
        let values = part.nodes.into_iter().map(|(_, value)| value).rev();
        caught(|| values.reduce(|right, left| (self.reduce)(left, right)))
            .map_err(|message| Error::Item { index, message })
    }
}

impl<I, B, R> Fold<I> for Tree<B, R>
where
    B: Body<I>,
    R: Fn(B::Out, B::Out) -> B::Out + Sync,
{
    type Part = Nodes<B::Out>;

    fn part(&self, first: usize, _: usize) -> Self::Part {
        Nodes { first, end: first, nodes: Vec::new() }
    }

    fn done(&self, part: &Self::Part) -> usize {
        part.end - part.first
    }

    fn run<J: Iterator<Item = I>>(
        &self,
        index: usize,
        mut items: J,
        count: usize,
        part: &mut Self::Part,
    ) -> (J, Result<()>) {
        for index in (index..).take(count) {
            let Some(item) = items.next() else { break };
            match self.body.one(index, item) {
                Ok(value) => self.push(part, 0, value),
                Err(error) => return (items, Err(error)),
            }
        }
        (items, Ok(()))
    }

    fn join(&self, part: &mut Self::Part, next: Self::Part) {
        for (level, value) in next.nodes {
            self.push(part, level, value);
        }
    }
}
