//! The file that makes a commit durable: frames appended one after another, one sync each.
//!
//! Every commit goes here first, one sequential write and one sync; the engine's tables take in what has gathered here when the file
//! is full, in one transaction. From then on the file begins anew with the next *epoch*, overwriting what lies there: a frame
//! counts only if it carries the epoch that the engine asks for. The file is filled with zeros when it is made, so that
//! a commit changes no length and no block map, and its sync writes data alone.
//!
//! # Format, version 1
//! Frames begin at multiples of 4,096 bytes, and the rest up to the next is zero. Integers are little-endian.
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 4 | `LJF1` |
//! | 4 | 4 | CRC-32 (IEEE 802.3) of everything from offset 8 to the end of the payload |
//! | 8 | 8 | epoch |
//! | 16 | 8 | the frame's number in its epoch, from 0 |
//! | 24 | 4 | length of the payload |
//! | 28 | 8 | the new oldest kept revision; 0 when it stays |
//! | 36 | 4 | number of removals, then that many revisions (8 each) |
//! | | 4 | number of records, then for each its revision (8), its length (4) and its bytes (see the module `record`) |
//! | | | notes, if there are any: for each the revision of its write (8), its length (4) and its bytes |
//!
//! # What a crash leaves
//! A frame is synced before the next is written. So the first frame that is not whole is the one that was being written, nobody was
//! told that it is durable, and nothing follows it. If a whole frame does follow, then the disk lost what it had acknowledged, and
//! the store says so instead of going on without it.

use super::engine::Changes;
use super::record::Record;
use crate::disk::{Disk, DiskFile};
use crate::{Error, Revision};
use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// The journal.
pub(crate) const FILE: &str = "store.journal";
/// A journal in the making.
const NEW_FILE: &str = "store.journal.new";

const MAGIC: &[u8; 4] = b"LJF1";
/// Where the payload begins.
const HEAD: usize = 28;
/// Frames begin at multiples of this: no write touches a block that holds an acknowledged frame.
const BLOCK: usize = 4096;

/// Which epoch a journal is in, and where its next frame goes.
#[derive(Debug)]
pub(crate) struct Journal {
    file: Arc<dyn DiskFile>,
    epoch: u64,
    next: u64,
    tail: u64,
    /// Once the tail has come this far, the frames belong into the engine.
    capacity: u64,
}

impl Journal {
    /// Makes an empty journal, whatever was there before. Its name outlasts a loss of power.
    pub fn create(disk: &dyn Disk, capacity: u64) -> io::Result<()> {
        let made = disk.open(NEW_FILE, true).and_then(|file| fill(&*file, capacity));
        if let Err(error) = made {
            disk.remove(NEW_FILE).ok();
            return Err(error);
        }
        disk.rename(NEW_FILE, FILE)
    }

    /// Empties the journal in its place, after the engine took in everything and asks for `epoch` from now on. Nothing that the
    /// operating system shows of the old file is used again.
    pub fn renew(disk: &dyn Disk, capacity: u64, epoch: u64) -> io::Result<Self> {
        let file = disk.open(FILE, true)?;
        fill(&*file, capacity)?;
        Ok(Self { file, epoch, next: 0, tail: 0, capacity })
    }

    /// Opens the journal and hands back what its frames of `epoch` say, in their order.
    pub fn open(disk: &dyn Disk, capacity: u64, epoch: u64) -> Result<(Self, Changes), Error> {
        let file = disk.open(FILE, false).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::unreadable(format_args!(
                "{FILE} is gone, and with it the newest acknowledged writes; restore a backup"
            )),
            _ => Error::unreadable(e),
        })?;
        let mut journal = Self { file, epoch, next: 0, tail: 0, capacity };
        let mut bytes = vec![0; journal.file.length().map_err(Error::unreadable)? as usize];
        journal.file.read(0, &mut bytes).map_err(Error::unreadable)?;
        let mut changes = Changes::default();
        while let Some(payload) = frame(&bytes, journal.tail as usize, epoch, journal.next) {
            let found = decode(payload).ok_or_else(|| {
                Error::unreadable(format_args!("{FILE} is damaged at byte {}", journal.tail))
            })??;
            changes.append(found);
            journal.tail += frame_len(payload.len()) as u64;
            journal.next += 1;
        }
        if let Some(later) = journal.later_frame(&bytes) {
            return Err(Error::unreadable(format_args!(
                "{FILE} is damaged at byte {}: acknowledged writes were lost there, for others follow at byte {later}; \
                 restore a backup",
                journal.tail
            )));
        }
        if journal.next > 0 {
            // What a killed process wrote and did not sync is shown by now, and must not vanish again.
            journal.file.sync().map_err(Error::unwritable)?;
        }
        Ok((journal, changes))
    }

    /// Where a whole frame lies that was written after the one at the tail, if the disk lost that one.
    fn later_frame(&self, bytes: &[u8]) -> Option<usize> {
        let mut at = self.tail as usize + BLOCK;
        while at + HEAD <= bytes.len() {
            let number = u64::from_le_bytes(bytes[at + 16..at + 24].try_into().expect("eight bytes"));
            if number > self.next && frame(bytes, at, self.epoch, number).is_some() {
                return Some(at);
            }
            at += BLOCK;
        }
        None
    }

    /// Makes changes durable. After an error the journal is to be abandoned.
    pub fn append(&mut self, changes: &Changes) -> io::Result<()> {
        let frame = encode(changes, self.epoch, self.next);
        self.file.write(self.tail, &frame)?;
        self.file.sync()?;
        self.tail += frame.len() as u64;
        self.next += 1;
        Ok(())
    }

    /// Whether the engine should take in what is here.
    pub fn is_full(&self) -> bool {
        self.tail >= self.capacity
    }

    /// The epoch that its frames carry.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Begins anew, after the engine took in everything and asks for `epoch` from now on.
    pub fn restart(&mut self, epoch: u64) -> io::Result<()> {
        if self.file.length()? > self.capacity {
            self.file.set_length(self.capacity)?;
        }
        (self.epoch, self.next, self.tail) = (epoch, 0, 0);
        Ok(())
    }
}

/// Takes up the space, so that a commit needs none.
fn fill(file: &dyn DiskFile, capacity: u64) -> io::Result<()> {
    file.write(0, &vec![0; capacity as usize])?;
    file.sync()
}

/// Length of a frame on disk.
fn frame_len(payload: usize) -> usize {
    (HEAD + payload).next_multiple_of(BLOCK)
}

/// The payload of the frame at a place, if a whole one with this epoch and number is there.
fn frame(bytes: &[u8], at: usize, epoch: u64, number: u64) -> Option<&[u8]> {
    let bytes = bytes.get(at..)?;
    let head = bytes.get(..HEAD)?;
    let length = u32::from_le_bytes(head[24..28].try_into().expect("four bytes")) as usize;
    let covered = bytes.get(8..HEAD + length)?;
    let right = &head[..4] == MAGIC
        && head[8..16] == epoch.to_le_bytes()
        && head[16..24] == number.to_le_bytes()
        && head[4..8] == crc32fast::hash(covered).to_le_bytes();
    right.then(|| &covered[HEAD - 8..])
}

fn encode(changes: &Changes, epoch: u64, number: u64) -> Vec<u8> {
    let records: usize = changes.puts.iter().map(|(_, record)| 12 + record.encoded_len()).sum();
    let notes: usize = changes.notes.iter().map(|(_, note)| 12 + note.len()).sum();
    let payload = 16 + 8 * changes.removals.len() + records + notes;
    let mut frame = Vec::with_capacity(frame_len(payload));
    frame.extend_from_slice(MAGIC);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&epoch.to_le_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(&(payload as u32).to_le_bytes());
    frame.extend_from_slice(&changes.compacted.unwrap_or(0).to_le_bytes());
    frame.extend_from_slice(&(changes.removals.len() as u32).to_le_bytes());
    for revision in &changes.removals {
        frame.extend_from_slice(&revision.to_le_bytes());
    }
    frame.extend_from_slice(&(changes.puts.len() as u32).to_le_bytes());
    for (revision, record) in &changes.puts {
        frame.extend_from_slice(&revision.to_le_bytes());
        frame.extend_from_slice(&(record.encoded_len() as u32).to_le_bytes());
        let from = frame.len();
        frame.resize(from + record.encoded_len(), 0);
        record.encode(&mut frame[from..]);
    }
    for (revision, note) in &changes.notes {
        frame.extend_from_slice(&revision.to_le_bytes());
        frame.extend_from_slice(&(note.len() as u32).to_le_bytes());
        frame.extend_from_slice(note);
    }
    let checksum = crc32fast::hash(&frame[8..]);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    frame.resize(frame_len(payload), 0);
    frame
}

/// What a payload says; `None` when it is not one. Its records say themselves what is wrong with them.
fn decode(payload: &[u8]) -> Option<Result<Changes, Error>> {
    let mut rest = payload;
    let compacted = Some(take_u64(&mut rest)?).filter(|revision| *revision > 0);
    let removals =
        (0..take_u32(&mut rest)?).map(|_| take_u64(&mut rest)).collect::<Option<Vec<Revision>>>()?;
    let mut puts = Vec::new();
    for _ in 0..take_u32(&mut rest)? {
        let revision = take_u64(&mut rest)?;
        let length = take_u32(&mut rest)? as usize;
        match Record::decode(revision, rest.split_off(..length)?) {
            Ok(record) => puts.push((revision, record)),
            Err(error) => return Some(Err(error)),
        }
    }
    let mut notes = Vec::new();
    while !rest.is_empty() {
        let revision = take_u64(&mut rest)?;
        let length = take_u32(&mut rest)? as usize;
        notes.push((revision, Bytes::copy_from_slice(rest.split_off(..length)?)));
    }
    Some(Ok(Changes { puts, removals, compacted, notes }))
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(rest.split_off(..8)?.try_into().expect("eight bytes")))
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(rest.split_off(..4)?.try_into().expect("four bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Directory;
    use std::os::unix::fs::FileExt;

    fn changes(revision: Revision, bytes: usize) -> Changes {
        let record = Record {
            key: "t/key".into(),
            created: 1,
            previous: revision - 1,
            mark: None,
            value: Some(Bytes::from(vec![b'v'; bytes])),
            sealed: false,
        };
        Changes {
            puts: vec![(revision, record)],
            removals: vec![revision - 1],
            compacted: Some(revision),
            notes: bytes.is_multiple_of(2).then(|| (revision, Bytes::from("who"))).into_iter().collect(),
        }
    }

    fn said(changes: &Changes) -> Vec<(Revision, usize)> {
        changes.puts.iter().map(|(r, record)| (*r, record.value.as_ref().map_or(0, Bytes::len))).collect()
    }

    /// A journal of epoch 7 with three frames: of one block, of three, of one.
    fn three() -> (tempfile::TempDir, Directory) {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Directory::create(dir.path()).expect("a disk");
        Journal::create(&disk, 64 << 10).expect("makes");
        let (mut journal, _) = Journal::open(&disk, 64 << 10, 7).expect("opens");
        for (revision, bytes) in [(11, 100), (12, 9000), (13, 200)] {
            journal.append(&changes(revision, bytes)).expect("appends");
        }
        (dir, disk)
    }

    #[test]
    fn frames_come_back_in_order_and_go_on() {
        let (_dir, disk) = three();
        let (mut journal, found) = Journal::open(&disk, 64 << 10, 7).expect("opens");
        assert_eq!(said(&found), [(11, 100), (12, 9000), (13, 200)]);
        assert_eq!((found.removals, found.compacted), (vec![10, 11, 12], Some(13)));
        assert_eq!(found.notes, [11, 12, 13].map(|revision| (revision, Bytes::from("who"))));
        journal.append(&changes(14, 1)).expect("goes on");
        let (_, found) = Journal::open(&disk, 64 << 10, 7).expect("opens");
        assert_eq!(said(&found).len(), 4);
        let (_, other) = Journal::open(&disk, 64 << 10, 8).expect("opens");
        assert_eq!(said(&other), [], "frames of another epoch");
    }

    #[test]
    fn an_epoch_writes_over_the_one_before() {
        let (_dir, disk) = three();
        let (mut journal, _) = Journal::open(&disk, 64 << 10, 7).expect("opens");
        journal.restart(8).expect("restarts");
        journal.append(&changes(20, 5)).expect("appends");
        let (_, found) = Journal::open(&disk, 64 << 10, 8).expect("opens");
        assert_eq!(said(&found), [(20, 5)]);
    }

    #[test]
    fn a_frame_larger_than_the_file_is_taken_and_the_file_shrinks_again() {
        let (_dir, disk) = three();
        let (mut journal, _) = Journal::open(&disk, 64 << 10, 7).expect("opens");
        journal.append(&changes(14, 200 << 10)).expect("appends");
        assert!(journal.is_full());
        let (mut journal, found) = Journal::open(&disk, 64 << 10, 7).expect("opens");
        assert_eq!(said(&found).last(), Some(&(14, 200 << 10)));
        journal.restart(8).expect("restarts");
        assert_eq!(journal.file.length().expect("a length"), 64 << 10);
    }

    /// Whatever byte is changed: the frames before it are found, the last frame may be lost as one that was being written, and
    /// a loss in the middle is told.
    #[test]
    fn damage_is_found() {
        let (dir, disk) = three();
        let file =
            std::fs::File::options().read(true).write(true).open(dir.path().join(FILE)).expect("opens");
        let ends = [HEAD + 16, BLOCK + HEAD + 9000, 4 * BLOCK + HEAD + 200];
        for (number, begin) in [0, BLOCK, 4 * BLOCK].into_iter().enumerate() {
            for at in (begin..ends[number]).step_by(37) {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at as u64).expect("reads");
                file.write_all_at(&[byte[0] ^ 0x41], at as u64).expect("writes");
                match Journal::open(&disk, 64 << 10, 7) {
                    Ok((_, found)) => assert_eq!((number, said(&found).len()), (2, 2), "byte {at}"),
                    Err(error) => {
                        assert!(number < 2 && error.to_string().contains("damaged"), "{at}: {error}")
                    }
                }
                file.write_all_at(&byte, at as u64).expect("writes");
            }
        }
    }

    #[test]
    fn a_missing_journal_is_told() {
        let (dir, disk) = three();
        std::fs::remove_file(dir.path().join(FILE)).expect("removes");
        let error = Journal::open(&disk, 64 << 10, 7).expect_err("gone").to_string();
        assert!(error.contains("store.journal is gone"), "{error}");
    }

    #[test]
    fn payloads_of_anything_are_no_panic() {
        let whole = &encode(&changes(5, 30), 1, 0)[HEAD..];
        for length in 0..whole.len() {
            let mut bytes = whole[..length].to_vec();
            assert!(!matches!(decode(&bytes), Some(Ok(_))) || length >= 16 + 8 + 12, "{length}");
            if let Some(byte) = bytes.last_mut() {
                *byte = 0xff;
                decode(&bytes);
            }
        }
        decode(&[0xff; 64]);
    }
}
