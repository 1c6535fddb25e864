//! The one thread that writes: takes what waits, chains it, writes it at once, syncs, and only then answers.
//!
//! # When the disk is full
//! The file is always longer than what stands in it by [`RESERVE`]: zeros that were really written. When no more can be
//! kept in reserve, the trail says that it is unwritable, and no further request that has to be recorded is begun; those
//! that were begun are still recorded, in the reserve.
//!
//! # When a write or a sync fails
//! What the operating system shows of the file since its last good sync is not trusted. The entries stay in memory; the file
//! is cut to what was synced, and a new segment is begun with them. Until that succeeds, the trail is unwritable.

use crate::{
    chain::{self, Header, Sequence, Torn},
    error::Error,
    folder::{Folder, Sheet},
    segment::{self, End, MAX_UNSYNCED},
    trail::{Options, Segment, Shared},
};
use std::{collections::VecDeque, io, sync::Arc, time::Instant};
use tokio::sync::{mpsc::Receiver, oneshot};

/// Bytes that are kept free at the end of a segment.
pub(crate) const RESERVE: u64 = 1 << 20;
/// Bytes that are added to a segment at once.
const STEP: usize = 1 << 20;
/// Bytes of noted entries from which on they are written although nobody asks for it.
const NOTED: usize = 256 << 10;
/// What a line has besides its members.
const AROUND: usize = 256;
/// The name of a segment in the making; left over only by a crash.
pub(crate) const NEW_FILE: &str = "segment.new";

/// What the writer is asked for.
pub(crate) enum Request {
    /// To record an entry.
    Append {
        /// Its members.
        members: Vec<u8>,
        /// Where its sequence goes.
        answer: Answer,
    },
    /// To keep an entry that somebody else keeps as well, until it is written along with others.
    Note {
        /// Its members.
        members: Vec<u8>,
    },
    /// To write whatever is kept, and so to find out whether it can write.
    Probe {
        /// Where the answer goes; the sequence is the last entry's.
        answer: Answer,
    },
}

type Answer = oneshot::Sender<Result<Sequence, Error>>;

/// A segment that is written to.
pub(crate) struct Open {
    pub sheet: Arc<dyn Sheet>,
    pub first: Sequence,
    /// Hash that its head follows.
    pub previous: chain::Digest,
    /// What its head says of the segment before.
    pub torn: Option<Torn>,
    /// Bytes that are synced.
    pub written: u64,
    /// Its length with the zeros.
    pub room: u64,
}

/// An entry that was numbered, and is not known to be on disk.
struct Numbered {
    sequence: Sequence,
    members: Vec<u8>,
}

/// The writer.
pub(crate) struct Writer {
    pub folder: Arc<dyn Folder>,
    pub options: Options,
    pub shared: Arc<Shared>,
    pub open: Option<Open>,
    /// The last line that is on disk.
    pub end: End,
    /// What the next segment's head is to say of the one before.
    pub torn: Option<Torn>,
    kept: VecDeque<Numbered>,
    /// Whether a write failed, and nothing was written well since.
    failed: bool,
}

impl Writer {
    pub fn new(
        folder: Arc<dyn Folder>,
        options: Options,
        shared: Arc<Shared>,
        end: End,
        torn: Option<Torn>,
    ) -> Self {
        Self { folder, options, shared, open: None, end, torn, kept: VecDeque::new(), failed: false }
    }

    /// Works until nobody can ask any more.
    pub fn run(mut self, mut requests: Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let (mut answers, mut probes, mut noted) = (Vec::new(), Vec::new(), 0);
            let mut bytes: usize = self.kept.iter().map(|entry| entry.members.len() + AROUND).sum();
            let mut next = Some(first);
            while let Some(request) = next {
                match request {
                    Request::Append { members, answer } => {
                        bytes += members.len() + AROUND;
                        let sequence = self.last() + 1;
                        self.kept.push_back(Numbered { sequence, members });
                        answers.push((sequence, answer));
                    }
                    Request::Note { members } => {
                        bytes += members.len() + AROUND;
                        let sequence = self.last() + 1;
                        self.kept.push_back(Numbered { sequence, members });
                        noted += 1;
                    }
                    Request::Probe { answer } => probes.push((self.last(), answer)),
                }
                next = if bytes + segment::MAX_ENTRY + AROUND > MAX_UNSYNCED {
                    None
                } else {
                    requests.try_recv().ok()
                };
            }
            self.shared.noted(noted);
            if answers.is_empty() && probes.is_empty() && bytes < NOTED {
                continue;
            }
            let entries = answers.len();
            let began = Instant::now();
            let outcome = self.write_kept();
            self.shared.wrote(entries, began.elapsed(), outcome.as_ref().err());
            self.failed = outcome.is_err();
            // Whoever waits no longer gets no answer.
            for (sequence, answer) in answers {
                answer.send(outcome.clone().map(|()| sequence)).ok();
            }
            let reserved = outcome.and_then(|()| self.shared.check_writable());
            for (sequence, answer) in probes {
                answer.send(reserved.clone().map(|()| sequence)).ok();
            }
            self.bound_kept();
        }
        self.close();
    }

    /// Sequence of the last entry that was numbered.
    fn last(&self) -> Sequence {
        self.kept.back().map_or(self.end.sequence, |entry| entry.sequence)
    }

    /// Writes all that is kept, piece by piece, each of them durable before the next.
    fn write_kept(&mut self) -> Result<(), Error> {
        if self.failed {
            self.abandon()?;
        }
        loop {
            let mut bytes = 0;
            let fits = |entry: &&Numbered| {
                bytes += entry.members.len() + AROUND;
                bytes <= MAX_UNSYNCED
            };
            let entries = self.kept.iter().take_while(fits).count();
            self.write_piece(entries, bytes)?;
            if self.kept.is_empty() {
                return Ok(());
            }
        }
    }

    /// Writes the first of what is kept, makes it durable, and publishes it.
    fn write_piece(&mut self, entries: usize, bytes: usize) -> Result<(), Error> {
        let full = |open: &Open| {
            open.first <= self.end.sequence && open.written + bytes as u64 > self.options.segment_bytes
        };
        if self.open.as_ref().is_none_or(full) {
            self.begin_segment()?;
        }
        let Some(open) = &mut self.open else { return Err(Error::unwritable("there is no segment")) };
        let (mut out, mut end) = (Vec::with_capacity(bytes), self.end);
        for entry in self.kept.iter().take(entries) {
            let hash = chain::entry(&mut out, end.hash, entry.sequence, &entry.members);
            end = End { sequence: entry.sequence, hash };
        }
        let written = open.written + out.len() as u64;
        let reserve = keep_reserve(open, written).map_err(Error::unwritable);
        if open.room < written {
            return reserve;
        }
        if !out.is_empty() {
            let written = open.sheet.write(open.written, &out).and_then(|()| open.sheet.sync());
            written.map_err(Error::unwritable)?;
        }
        open.written = written;
        self.end = end;
        self.kept.drain(..entries);
        self.shared.publish(end, written, reserve.err());
        Ok(())
    }

    /// Leaves a segment to which writing failed: what is not known to be on disk is cut off.
    fn abandon(&mut self) -> Result<(), Error> {
        let Some(open) = &self.open else { return Ok(()) };
        open.sheet.set_length(open.written).and_then(|()| open.sheet.sync()).map_err(Error::unwritable)?;
        if open.first > self.end.sequence {
            // Nothing but its head is on disk: the next one takes its place.
            (self.end.hash, self.torn) = (open.previous, open.torn);
            self.shared.retract(open.first);
        }
        self.open = None;
        Ok(())
    }

    /// Begins a new segment. It gets its name when its head is on disk.
    fn begin_segment(&mut self) -> Result<(), Error> {
        let first = self.end.sequence + 1;
        let header = Header { version: chain::VERSION, first, torn: self.torn };
        let mut out = Vec::new();
        let previous = self.end.hash;
        let hash = chain::header(&mut out, previous, &header);
        let begin = || -> io::Result<Open> {
            let sheet = self.folder.open(NEW_FILE, true)?;
            sheet.write(0, &out)?;
            let written = out.len() as u64;
            let mut open = Open { sheet, first, previous, torn: self.torn, written, room: written };
            keep_reserve(&mut open, written)?;
            open.sheet.sync()?;
            self.folder.rename(NEW_FILE, &segment::name(first))?;
            Ok(open)
        };
        let open = begin().map_err(Error::unwritable)?;
        if let Some(before) = self.open.take() {
            give_back_reserve(&before);
        }
        self.torn = None;
        self.end.hash = hash;
        self.shared.begin(Segment { first, length: open.written }, self.end);
        self.open = Some(open);
        Ok(())
    }

    /// Forgets the oldest of what could not be written, so that a disk that stays away does not take all memory. They
    /// are missed: their numbers are not given again, and whoever verifies the trail sees the gap.
    fn bound_kept(&mut self) {
        while self.kept.len() > self.options.kept_entries {
            if let Some(lost) = self.kept.pop_front() {
                tracing::error!(sequence = lost.sequence, "an audit entry that could not be written is lost");
            }
        }
    }

    fn close(&mut self) {
        if !self.kept.is_empty()
            && let Err(error) = self.write_kept()
        {
            tracing::error!(%error, entries = self.kept.len(), "audit entries could not be written and are lost");
        }
        if let Some(open) = &self.open {
            give_back_reserve(open);
        }
    }
}

/// Sees to it that the reserve follows what is to be written.
fn keep_reserve(open: &mut Open, written: u64) -> io::Result<()> {
    while open.room < written + RESERVE {
        let begin = open.room;
        if let Err(error) = open.sheet.write(begin, &vec![0; STEP]) {
            // As much of it as was written counts.
            open.room = open.sheet.length().unwrap_or(begin).max(begin);
            return Err(error);
        }
        open.room = begin + STEP as u64;
    }
    Ok(())
}

/// Cuts the zeros off. They do no harm where that fails.
fn give_back_reserve(open: &Open) {
    if let Err(error) = open.sheet.set_length(open.written) {
        tracing::debug!(%error, "an audit segment keeps its reserve");
    }
}
