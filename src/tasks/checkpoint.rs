//! [`Checkpoint`]: a loop whose finished items are kept in a file, so that it goes on where it was killed.
//!
//! Here: which items are left, what is written of each, and how results from the file and new ones are joined. The bytes of the file
//! are `journal`'s business.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::body::{Body, Care, Careful, Fallible, Plain};
use super::caught::caught;
use super::fold::List;
use super::journal::Journal;
use super::meter::Counter;
use super::over::{Over, stopped};
use super::run::run;
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// A loop that keeps its finished items in a file. From [`Over::checkpoint`].
///
/// Run again over the same items, it takes from the file what is there and does the rest; once all is there, it gives the results at
/// once. Errors, panics, limits of time and `kill -9`, at any moment, lose no item that was reported: an item counts as done, in
/// [`Over::progress`] and [`Over::on_progress`], when its result is in the file. The file is not removed at the end.
///
/// Results are told apart by the number of their item. Give the loop a [`key`](Self::key) that changes with whatever they depend on:
/// what is computed, from what data, with what seed. They come back as they went through serde, which takes `Some(None)` and
/// `Some(())` for `None`.
///
/// # Errors
/// Those of the loop, and [`Error::Checkpoint`], before any item runs, for a file that is damaged, that another loop has open, or that
/// belongs to something else: no checkpoint, another key, another number of items, another type of results. A record
/// at the very end that was cut short by a kill is no damage; it is dropped. During the loop, where the file cannot be written.
///
/// # Cost
/// Per item about 0.1 to 0.2 µs and its bytes in the file: its result as [MessagePack](https://msgpack.org) and 20 bytes. Short items
/// are written many at a time, as long as less than a second of work waits. What was reported is with the system, which keeps it
/// if the process dies; for a power failure see [`sync`](Self::sync).
///
/// # Examples
/// ```
/// # let directory = std::env::temp_dir().join(format!("forall-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).unwrap();
/// # let path = directory.join("squares.checkpoint");
/// let pool = forall::tasks::Pool::default();
/// let squares = |fail| {
///     let body = |i: u64| if fail && i == 70 { Err("no more memory") } else { Ok(i * i) };
///     pool.over(0..100).checkpoint(&path).key("squares").try_map(body)
/// };
/// assert_eq!(squares(true).unwrap_err().to_string(), "item 70: no more memory");
/// // Begins with item 70: the others are there.
/// assert_eq!(squares(false)?[99], 99 * 99);
/// # std::fs::remove_dir_all(&directory).unwrap();
/// # Ok::<(), forall::Error>(())
/// ```
#[must_use = "a loop runs when one of its verbs is called: map, try_map"]
pub struct Checkpoint<'p, I: Iterator> {
    over: Over<'p, I>,
    path: PathBuf,
    key: String,
    sync: bool,
}

/// Tells whose file it is.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    key: String,
    /// `None` for an iterator that does not tell.
    items: Option<u64>,
    /// The type of the results.
    results: String,
}

impl<'p, I: Iterator<Item: Send> + Send> Checkpoint<'p, I> {
    pub(super) fn new(over: Over<'p, I>, path: PathBuf) -> Self {
        Self { over, path, key: String::new(), sync: false }
    }

    /// What identifies the loop. A file with another key is refused.
    pub fn key(self, key: impl Into<String>) -> Self {
        Self { key: key.into(), ..self }
    }

    /// Every write waits until the disk has it, so that a power failure loses no reported item either. Writes are then fewer.
    pub fn sync(self) -> Self {
        Self { sync: true, ..self }
    }

    /// [`Over::map`] of the items that are not in the file; the results of all, in order.
    ///
    /// # Errors
    /// As [`Over::map`], and [`Error::Checkpoint`].
    pub fn map<T, F>(self, body: F) -> Result<Vec<T>>
    where
        T: Serialize + DeserializeOwned + Send,
        F: Fn(I::Item) -> T + Sync,
    {
        self.list("Checkpoint::map", Plain(body))
    }

    /// [`Over::try_map`] of the items that are not in the file; the results of all, in order. What failed is not in the file, and is
    /// done when the loop is run again.
    ///
    /// # Errors
    /// As [`Over::try_map`], and [`Error::Checkpoint`].
    pub fn try_map<T, E, F>(self, body: F) -> Result<Vec<T>>
    where
        T: Serialize + DeserializeOwned + Send,
        E: Display,
        F: Fn(I::Item) -> Result<T, E> + Sync,
    {
        self.list("Checkpoint::try_map", Fallible(body))
    }

    fn list<B>(self, name: &'static str, body: B) -> Result<Vec<B::Out>>
    where
        B: Body<I::Item, Out: Serialize + DeserializeOwned>,
    {
        let Self { mut over, path, key, sync } = self;
        let items = over.total();
        let header = Header {
            key,
            items: items.map(|n| n as u64),
            results: std::any::type_name::<B::Out>().to_owned(),
        };
        let mut saved: Vec<(usize, B::Out)> = Vec::new();
        let record = |index: u64, bytes: &[u8]| {
            let index = usize::try_from(index).ok().filter(|index| items.is_none_or(|items| *index < items));
            let index =
                index.ok_or_else(|| format!("a record is of item {index:?}, which the loop has not got"))?;
            saved.push((index, decode(bytes)?));
            Ok(())
        };
        let bytes = encode(&header).map_err(|message| Error::Checkpoint {
            path: path.display().to_string(),
            message: format!("cannot begin: {message}; give another key"),
        })?;
        let journal = Journal::open(&path, sync, &bytes, |found| header.accept(found), record)?;
        saved.sort_by_key(|(index, _)| *index);
        if let Some(twice) = saved.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(journal.error(format!("has item {} twice; delete it to begin anew", twice[0].0)));
        }

        let mut how = over.how();
        let counter = std::mem::take(&mut how.counter);
        counter.resume(saved.len());
        let too_long = journal.error(format!(
            "has results of more items than there are, {} at least; delete it to begin anew, or give another path",
            saved.last().map_or(0, |(last, _)| last + 1)
        ));
        let done = saved.iter().map(|(index, _)| *index).collect::<Vec<_>>().into_iter();
        let rest = Rest { items: over.items, next: 0, done, ended: false, too_long };
        let saving = Saving {
            body,
            care: &over.care,
            token: &how.token,
            journal: Mutex::new(journal),
            counter,
            checked: AtomicBool::new(false),
        };
        let list = List(saving);
        let ran = run(over.pool, rest, &list, &how);
        let flushed = list.0.flush();
        let fresh = ran?.ok_or_else(|| stopped(name, &how.token, over.limit))?;
        flushed?;
        Ok(merged(saved, fresh))
    }
}

impl<I: Iterator> fmt::Debug for Checkpoint<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint").field("path", &self.path).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Header {
    /// What is wrong with the header of a file, for this loop.
    fn accept(&self, found: &[u8]) -> Result<(), String> {
        const NEXT: &str = "delete it to begin anew, or give another path";
        let found: Self = decode(found).map_err(|_| format!("has a damaged header; {NEXT}"))?;
        let count = |items: Option<u64>| {
            items.map_or("an unknown number of items".to_owned(), |n| format!("{n} items"))
        };
        if found.key != self.key {
            Err(format!("is of the loop with key `{}`, expected `{}`; {NEXT}", found.key, self.key))
        } else if found.items != self.items {
            Err(format!("is of a loop over {}, expected {}; {NEXT}", count(found.items), count(self.items)))
        } else if found.results != self.results {
            Err(format!("has results of type `{}`, expected `{}`; {NEXT}", found.results, self.results))
        } else {
            Ok(())
        }
    }
}

/// MessagePack with the names of fields, so that a type that has changed is told from the one that was written.
fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    rmp_serde::to_vec_named(value).map_err(|error| error.to_string())
}

fn decode<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<T, String> {
    let mut reader = rmp_serde::Deserializer::new(&mut bytes);
    let value = T::deserialize(&mut reader)
        .map_err(|error| format!("an item is no `{}` ({error})", std::any::type_name::<T>()))?;
    drop(reader);
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err(format!("an item is more than a `{}`", std::any::type_name::<T>()))
    }
}

/// The items that are not done, each with its index. A panic of the iterator is an item too: it has an index like the others.
struct Rest<I> {
    items: I,
    /// The index of the next one of `items`.
    next: usize,
    /// Indices of those that are done, ascending; not those before `next`.
    done: std::vec::IntoIter<usize>,
    ended: bool,
    /// What to say if the items end before `done` does.
    too_long: Error,
}

impl<I: Iterator> Iterator for Rest<I> {
    type Item = Result<(usize, I::Item)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let before = self.next;
        while self.done.as_slice().first() == Some(&self.next) {
            self.done.next();
            self.next += 1;
        }
        let skip = self.next - before;
        let taken = caught(|| {
            if skip > 0 && self.items.nth(skip - 1).is_none() {
                return Err(self.too_long.clone());
            }
            Ok(self.items.next())
        });
        let index = self.next;
        self.next += 1;
        let item = match taken {
            Ok(Ok(Some(item))) => return Some(Ok((index, item))),
            Ok(Ok(None)) if self.done.as_slice().is_empty() => None,
            Ok(Ok(None)) => Some(Err(self.too_long.clone())),
            Ok(Err(error)) => Some(Err(error)),
            Err(message) => Some(Err(Error::Item { index, message })),
        };
        self.ended = true;
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        if self.ended {
            return (0, Some(0));
        }
        let (least, most) = self.items.size_hint();
        let done = self.done.len();
        (least.saturating_sub(done), most.map(|most| most.saturating_sub(done)))
    }
}

/// Another body, each result of which goes into the file.
struct Saving<'a, I, B> {
    body: B,
    care: &'a Care<I>,
    token: &'a Cancel,
    journal: Mutex<Journal>,
    /// Counts what is in the file.
    counter: Counter,
    /// Results of this type were seen to come back.
    checked: AtomicBool,
}

impl<I, B: Body<I>> Body<Result<(usize, I)>> for Saving<'_, I, B>
where
    B::Out: Serialize + DeserializeOwned,
{
    type Out = (usize, B::Out);

    fn one(&self, _: usize, item: Result<(usize, I)>) -> Result<Self::Out> {
        let (index, item) = item?;
        let begun = Instant::now();
        let value = Careful { body: &self.body, care: self.care, token: self.token }.one(index, item)?;
        let written = caught(|| {
            let bytes = encode(&value)?;
            // What cannot be read back is better told now than after the next start.
            if !self.checked.swap(true, Ordering::Relaxed) {
                decode::<B::Out>(&bytes)?;
            }
            Ok(bytes)
        });
        let bytes = written.and_then(|bytes| bytes).map_err(|message: String| Error::Item {
            index,
            message: format!("its result cannot be kept in a file: {message}"),
        })?;
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let written = journal.add(index as u64, &bytes, begun.elapsed())?;
        drop(journal);
        self.counter.add(written);
        Ok((index, value))
    }
}

impl<I, B> Saving<'_, I, B> {
    fn flush(&self) -> Result<()> {
        let written = self.journal.lock().unwrap_or_else(PoisonError::into_inner).flush()?;
        self.counter.add(written);
        Ok(())
    }
}

/// The values of two lists without a common index, both ascending, in the order of the indices.
fn merged<T>(saved: Vec<(usize, T)>, fresh: Vec<(usize, T)>) -> Vec<T> {
    let mut all = Vec::with_capacity(saved.len() + fresh.len());
    let mut saved = saved.into_iter().peekable();
    for (index, value) in fresh {
        while let Some((_, value)) = saved.next_if(|(other, _)| *other < index) {
            all.push(value);
        }
        all.push(value);
    }
    all.extend(saved.map(|(_, value)| value));
    all
}
