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

/// Items of one leaf of a tree. In a run of them `reduce` goes from left to right, as a plain loop does.
const RUN: usize = 256;

/// One value: `reduce` over the items of each run `[256 k, 256 (k + 1))` from left to right, then over a binary tree on the runs. The runs
/// `[k 2^l, (k + 1) 2^l)` are one node wherever all of them are there, so where a loop is cut changes nothing; what is left over
/// at the right end is folded from right to left.
pub(super) struct Tree<B, R> {
    pub body: B,
    pub reduce: R,
}

/// What there is of a run of items, from left to right.
pub(super) struct Nodes<T> {
    first: usize,
    /// The index after its last item.
    end: usize,
    /// Values of the items before the first leaf that starts in it: they belong behind others.
    head: Vec<T>,
    /// The largest whole nodes, with their levels.
    nodes: Vec<(u32, T)>,
    /// Of the last leaf, which is not whole.
    last: Option<T>,
}

impl<T> Nodes<T> {
    /// Whether its last item belongs to a leaf that starts before it does.
    fn is_headed(&self) -> bool {
        self.end < self.first.next_multiple_of(RUN)
    }
}

impl<B, R> Tree<B, R> {
    /// Ends with `value` for the items since the last whole leaf.
    fn close<T>(&self, part: &mut Nodes<T>, value: T)
    where
        R: Fn(T, T) -> T,
    {
        if part.end.is_multiple_of(RUN) {
            self.push(part, 0, value);
        } else {
            part.last = Some(value);
        }
    }

    /// Puts a node of `2^level` leaves behind the others, and makes of two what is one. The end is behind it already.
    fn push<T>(&self, part: &mut Nodes<T>, mut level: u32, mut value: T)
    where
        R: Fn(T, T) -> T,
    {
        let end = part.end / RUN;
        // Two neighbours of a level are one node if the left one's number is even.
        while let Some((_, left)) =
            part.nodes.pop_if(|(left, _)| *left == level && (end >> level).is_multiple_of(2))
        {
            value = (self.reduce)(left, value);
            level += 1;
        }
        part.nodes.push((level, value));
    }

    /// The value of a whole loop; `None` if it had no items.
    pub(super) fn finish<T>(&self, part: Nodes<T>) -> Result<Option<T>>
    where
        R: Fn(T, T) -> T,
    {
        let index = part.end.saturating_sub(1);
        let values = part.nodes.into_iter().map(|(_, value)| value).chain(part.last).rev();
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
        Nodes { first, end: first, head: Vec::new(), nodes: Vec::new(), last: None }
    }

    fn done(&self, part: &Self::Part) -> usize {
        part.end - part.first
    }

    fn run<J: Iterator<Item = I>>(
        &self,
        _: usize,
        mut items: J,
        mut count: usize,
        part: &mut Self::Part,
    ) -> (J, Result<()>) {
        while count > 0 {
            let Some(item) = items.next() else { break };
            count -= 1;
            let mut value = match self.body.one(part.end, item) {
                Ok(value) => value,
                Err(error) => return (items, Err(error)),
            };
            if part.is_headed() {
                part.end += 1;
                part.head.push(value);
                continue;
            }
            if let Some(left) = part.last.take() {
                value = (self.reduce)(left, value);
            }
            part.end += 1;
            // The rest of the leaf as the plain loop would, so that it may become the same machine code.
            let more = count.min(part.end.next_multiple_of(RUN) - part.end);
            for _ in 0..more {
                let Some(item) = items.next() else { break };
                match self.body.one(part.end, item) {
                    Ok(next) => value = (self.reduce)(value, next),
                    Err(error) => return (items, Err(error)),
                }
                part.end += 1;
            }
            // Where the items have ended, the next round sees it again.
            count -= more;
            self.close(part, value);
        }
        (items, Ok(()))
    }

    /// `part` starts with the first item of the loop.
    fn join(&self, part: &mut Self::Part, next: Self::Part) {
        for value in next.head {
            let value = match part.last.take() {
                Some(left) => (self.reduce)(left, value),
                None => value,
            };
            part.end += 1;
            self.close(part, value);
        }
        for (level, value) in next.nodes {
            part.end += RUN << level;
            self.push(part, level, value);
        }
        if part.end < next.end {
            part.end = next.end;
            part.last = next.last;
        }
    }
}
