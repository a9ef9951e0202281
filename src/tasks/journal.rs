//! The file of a [`Checkpoint`](super::Checkpoint): a log that only grows, of records with checksums. What they mean is the caller's.
//!
//! ```text
//! file    magic, record of the header, records of the items in the order in which they were done
//! record  index u64, length u32, CRC-32 of these 12 bytes, payload, CRC-32 of the payload; all little-endian
//! ```
//!
//! A process that is killed leaves a prefix of what it has written, so a record that stops short at the end of the file is torn, and
//! is cut off. The length has a checksum of its own: whatever else is wrong is damage, and refused, as is a file of somebody else.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// With the version of the format.
const MAGIC: &[u8] = b"forall checkpoint 1\n";
/// What the magic of every version begins with.
const FAMILY: &[u8] = b"forall checkpoint ";

/// The index of the header's record.
const HEADER: u64 = u64::MAX;
const HEAD: usize = 16;
const TAIL: usize = 4;

/// A write waits until the work in it is worth so many times what the last write took, so writing slows no loop by more than a few
/// percent, on any disk.
const WORTH: u32 = 32;
/// So much work, at most, waits to be written.
const AT_RISK: Duration = Duration::from_secs(1);
/// So many bytes, at most, wait to be written.
const PENDING: usize = 1 << 18;

/// An open file, which no other process has.
pub(super) struct Journal {
    file: Locked,
    path: String,
    /// Records that are not in the file yet.
    pending: Vec<u8>,
    /// How many.
    records: usize,
    /// What it took to compute them.
    work: Duration,
    /// What the last write took.
    cost: Duration,
    /// Each write waits for the disk.
    sync: bool,
    /// A write failed, perhaps in the middle of a record.
    broken: bool,
}

impl Journal {
    /// Opens a file, or begins one with that header. `accept` says what is wrong with the header of another loop, `record` with a
    /// record.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for what is no such file, or cannot be had alone, read and written. It is left as it was.
    pub(super) fn open(
        path: &Path,
        sync: bool,
        header: &[u8],
        accept: impl FnOnce(&[u8]) -> Result<(), String>,
        mut record: impl FnMut(u64, &[u8]) -> Result<(), String>,
    ) -> Result<Self> {
        let name = path.display().to_string();
        let refused = |message: String| Error::Checkpoint { path: name.clone(), message };
        let cannot = |what: &str, error: &std::io::Error| {
            refused(format!("cannot be {what} ({error}); give the path of a file that can be written"))
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| cannot("opened", &error))?;
        let about = file.metadata().map_err(|error| cannot("read", &error))?;
        if !about.is_file() {
            return Err(refused("is no regular file; give the path of a file of its own".to_owned()));
        }
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => refused(
                "is in use by another loop; wait until that has ended, or give each loop a file of its own"
                    .to_owned(),
            ),
            TryLockError::Error(error) => cannot("locked", &error),
        })?;
        let mut file = Locked(file);
        // Not before it is locked: the other one may have written meanwhile.
        let length = file.0.metadata().map_err(|error| cannot("read", &error))?.len();

        let mut start = MAGIC.to_vec();
        push(&mut start, HEADER, header).map_err(refused)?;
        let mut reader = Reader { file: BufReader::new(&file.0), at: 0, length, payload: Vec::new() };
        let whole = match reader.header(&start) {
            Ok(Some(found)) => {
                accept(found).map_err(&refused)?;
                let mut records = 0_u64;
                loop {
                    let before = reader.at;
                    let damage = |message: String| {
                        refused(format!(
                            "is damaged at byte {before}: {message}; the {records} items before it are whole: \
                             cut the file to {before} bytes to go on from them, or delete it to begin anew"
                        ))
                    };
                    match reader.next() {
                        Ok(Some((index, payload))) => record(index, payload).map_err(damage)?,
                        Ok(None) => break before,
                        Err(Fault::Io(error)) => return Err(cannot("read", &error)),
                        Err(Fault::Damage(message)) => return Err(damage(message.to_owned())),
                    }
                    records += 1;
                }
            }
            // Begun and killed at once, or nothing at all.
            Ok(None) => 0,
            Err(Fault::Io(error)) => return Err(cannot("read", &error)),
            Err(Fault::Damage(message)) => return Err(refused(message.to_owned())),
        };
        drop(reader);

        let mut begin = || -> std::io::Result<()> {
            file.0.set_len(whole)?;
            file.0.seek(SeekFrom::Start(whole))?;
            if whole == 0 {
                file.0.write_all(&start)?;
            }
            if sync { file.0.sync_all() } else { Ok(()) }
        };
        begin().map_err(|error| cannot("written", &error))?;
        Ok(Self {
            file,
            path: name,
            pending: Vec::new(),
            records: 0,
            work: Duration::ZERO,
            cost: Duration::ZERO,
            sync,
            broken: false,
        })
    }

    /// Adds a record that took so long to compute. How many records, it and earlier ones, came into the file by this call.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the file cannot be written.
    pub(super) fn add(&mut self, index: u64, payload: &[u8], work: Duration) -> Result<usize> {
        push(&mut self.pending, index, payload).map_err(|message| self.error(message))?;
        self.records += 1;
        self.work = self.work.saturating_add(work);
        if self.work >= (WORTH * self.cost).min(AT_RISK) || self.pending.len() >= PENDING {
            self.flush()
        } else {
            Ok(0)
        }
    }

    /// Writes what waits to be written. How many records that were.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the file cannot be written.
    pub(super) fn flush(&mut self) -> Result<usize> {
        if self.broken || self.pending.is_empty() {
            return Ok(0);
        }
        let begun = Instant::now();
        let written = self.file.0.write_all(&self.pending);
        let written = written.and_then(|()| if self.sync { self.file.0.sync_data() } else { Ok(()) });
        self.pending.clear();
        self.work = Duration::ZERO;
        self.cost = begun.elapsed();
        let records = std::mem::take(&mut self.records);
        written.map(|()| records).map_err(|error| {
            // Nothing may follow what is perhaps half a record.
            self.broken = true;
            self.error(format!(
                "cannot be written ({error}); make room for it and start again: items that are in it are kept"
            ))
        })
    }

    /// An error about this file.
    pub(super) fn error(&self, message: String) -> Error {
        Error::Checkpoint { path: self.path.clone(), message }
    }
}

/// A file that is locked as long as this lives. Closing it would not do: a process that another thread starts just now has a copy of
/// the handle, and with it the lock, for a moment.
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is what else there is.
        _ = self.0.unlock();
    }
}

/// Puts a record behind others.
fn push(bytes: &mut Vec<u8>, index: u64, payload: &[u8]) -> Result<(), String> {
    let length = u32::try_from(payload.len()).map_err(|_| {
        format!("has room for results of 4 GiB, got one of {} bytes; make it smaller", payload.len())
    })?;
    let start = bytes.len();
    bytes.extend_from_slice(&index.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    let head = crc32fast::hash(&bytes[start..]);
    bytes.extend_from_slice(&head.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    Ok(())
}

enum Fault {
    Io(std::io::Error),
    Damage(&'static str),
}

/// Reads records, as long as they are whole.
struct Reader<'a> {
    file: BufReader<&'a File>,
    /// Bytes read.
    at: u64,
    /// Of the whole file.
    length: u64,
    payload: Vec<u8>,
}

impl Reader<'_> {
    /// What the header of the file says; `None` if it has not got that far, in which case `start` is what it begins with.
    fn header(&mut self, start: &[u8]) -> Result<Option<&[u8]>, Fault> {
        let mut magic = vec![0; MAGIC.len().min(usize::try_from(self.length).unwrap_or(usize::MAX))];
        self.read(&mut magic)?;
        if !MAGIC.starts_with(&magic) {
            return Err(Fault::Damage(if magic.starts_with(FAMILY) {
                "is a checkpoint of another version of forall; finish it with that one, or delete it to begin anew"
            } else {
                "is no checkpoint; give the path of a file of its own"
            }));
        }
        const DAMAGE: &str = "has a damaged header; delete it to begin anew";
        if magic.len() < MAGIC.len() {
            return Ok(None);
        }
        let length = self.length;
        match self.next() {
            Ok(Some((HEADER, _))) => Ok(Some(&self.payload)),
            // Not even the header is whole. Killed while it was written, if it is ours as far as it goes.
            Ok(None) if length < start.len() as u64 => {
                let mut rest = vec![0; length as usize];
                self.file.seek(SeekFrom::Start(0)).map_err(Fault::Io)?;
                self.file.read_exact(&mut rest).map_err(Fault::Io)?;
                if start.starts_with(&rest) { Ok(None) } else { Err(Fault::Damage(DAMAGE)) }
            }
            Ok(_) | Err(Fault::Damage(_)) => Err(Fault::Damage(DAMAGE)),
            Err(error) => Err(error),
        }
    }

    /// The next record; `None` at the end, or where one stops short.
    fn next(&mut self) -> Result<Option<(u64, &[u8])>, Fault> {
        let left = self.length - self.at;
        if left < HEAD as u64 {
            return Ok(None);
        }
        let mut head = [0; HEAD];
        self.read(&mut head)?;
        let [i0, i1, i2, i3, i4, i5, i6, i7, l0, l1, l2, l3, checksum @ ..] = head;
        if crc32fast::hash(&head[..12]) != u32::from_le_bytes(checksum) {
            return Err(Fault::Damage("the checksum of a record's head is wrong"));
        }
        let index = u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]);
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if left < HEAD as u64 + u64::from(length) + TAIL as u64 {
            return Ok(None);
        }
        let mut payload = std::mem::take(&mut self.payload);
        payload.resize(length as usize, 0);
        self.read(&mut payload)?;
        self.payload = payload;
        let mut checksum = [0; TAIL];
        self.read(&mut checksum)?;
        if crc32fast::hash(&self.payload) != u32::from_le_bytes(checksum) {
            return Err(Fault::Damage("the checksum of an item is wrong"));
        }
        Ok(Some((index, &self.payload)))
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        self.file.read_exact(bytes).map_err(Fault::Io)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}
