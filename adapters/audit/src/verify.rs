//! Reads a trail again and says whether it is whole: the segments one after the other, or a copy of them all.

use crate::chain::{self, Content, Digest, Header, LinkError, Sequence, Torn};
use std::{fmt, io, io::BufRead};

/// Most bytes of a line that is looked at; no line of ours is as long.
const MAX_LINE: usize = 64 << 10;
/// Most findings that are told one by one.
const MAX_FINDINGS: usize = 1000;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// What stands there is no line of the trail, or was changed.
    Changed {
        /// The last entry before it.
        after: Sequence,
        /// What is wrong.
        why: LinkError,
    },
    /// The line follows another than the one before it.
    Unlinked {
        /// The last entry before it.
        after: Sequence,
        /// The entry, or the first of the segment whose head it is.
        found: Sequence,
    },
    /// Entries are missing.
    Missing {
        /// The first of them.
        from: Sequence,
        /// The last of them.
        to: Sequence,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { after, why } => write!(f, "after entry {after}: {why}"),
            Self::Unlinked { after, found } => {
                write!(f, "entry {found} does not follow entry {after}: one of them is not what it was")
            }
            Self::Missing { from, to } if from == to => write!(f, "entry {from} is missing"),
            Self::Missing { from, to } => write!(f, "entries {from} to {to} are missing"),
        }
    }
}

/// A write that a crash had cut off, as the trail itself says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutOff {
    /// The last entry before it.
    pub after: Sequence,
    /// Bytes that were left of it.
    pub bytes: u64,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries that are whole.
    pub entries: u64,
    /// What the first line follows: the last line before it, where the oldest were removed; zeros at a trail's very beginning.
    pub follows: Option<Digest>,
    /// Sequence of the first.
    pub first: Option<Sequence>,
    /// Sequence of the last.
    pub last: Option<Sequence>,
    /// Hash of the last line. Whoever keeps it elsewhere can tell later that nothing before it was changed.
    pub hash: Option<Digest>,
    /// What is wrong, at most the first thousand.
    pub problems: Vec<Problem>,
    /// Where crashes cut off a write. Nothing that was acknowledged is missing there.
    pub cut_off: Vec<CutOff>,
    /// Whether a hash that was asked for was met.
    pub met: bool,
}

/// Reads a trail line by line.
pub struct Verifier {
    report: Report,
    /// The last line that was whole; none before the first.
    last: Option<(Sequence, Digest)>,
    /// Bytes since then that are no lines of the trail, as they were found, and what is wrong with the first of them.
    stray: Vec<u8>,
    wrong: Option<LinkError>,
    expected: Option<Digest>,
}

impl Verifier {
    /// A verifier that also looks for the line with a hash.
    pub fn new(expected: Option<Digest>) -> Self {
        Self { report: Report::default(), last: None, stray: Vec::new(), wrong: None, expected }
    }

    /// Reads a whole trail.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(mut self, mut input: impl BufRead) -> io::Result<Report> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut part = io::Read::take(&mut input, MAX_LINE as u64);
            if part.read_until(b'\n', &mut line)? == 0 {
                return Ok(self.finish());
            }
            self.line(&line);
        }
    }

    /// Takes the next line, with its end.
    pub fn line(&mut self, line: &[u8]) {
        match line.strip_suffix(b"\n").ok_or(LinkError::Form).and_then(chain::read) {
            Ok(link) => {
                if self.report.follows.is_none() {
                    self.report.follows = Some(link.previous);
                    self.report.met |= self.expected == Some(link.previous);
                }
                match link.content {
                    Content::Header(header) => self.header(&header, link.previous),
                    Content::Entry(sequence) => self.entry(sequence, link.previous),
                }
                let sequence = match link.content {
                    Content::Header(header) => header.first.saturating_sub(1),
                    Content::Entry(sequence) => sequence,
                };
                self.last = Some((sequence, link.hash));
                self.report.hash = Some(link.hash);
                self.report.met |= self.expected == Some(link.hash);
            }
            // Zeros keep the space of lines to come.
            Err(_) if self.stray.is_empty() && is_space(line) => {}
            Err(error) => {
                self.wrong.get_or_insert(error);
                if self.stray.len() <= crate::segment::MAX_UNSYNCED {
                    self.stray.extend_from_slice(line);
                }
            }
        }
    }

    /// What the first line follows, once there was one.
    pub fn follows(&self) -> Option<Digest> {
        self.report.follows
    }

    /// What was found, after the last line.
    pub fn finish(mut self) -> Report {
        self.settle_stray(None);
        self.report
    }

    fn header(&mut self, header: &Header, previous: Digest) {
        self.settle_stray(header.torn);
        let Some((last, hash)) = self.last else { return };
        if header.first > last + 1 {
            self.problem(Problem::Missing { from: last + 1, to: header.first - 1 });
        } else if header.first <= last || previous != hash {
            self.problem(Problem::Unlinked { after: last, found: header.first });
        }
    }

    fn entry(&mut self, sequence: Sequence, previous: Digest) {
        let damaged = self.wrong.is_some();
        self.settle_stray(None);
        if let Some((last, hash)) = self.last {
            if sequence > last + 1 {
                self.problem(Problem::Missing { from: last + 1, to: sequence - 1 });
            } else if sequence <= last || (previous != hash && !damaged) {
                self.problem(Problem::Unlinked { after: last, found: sequence });
            }
        }
        self.report.entries += 1;
        self.report.first.get_or_insert(sequence);
        self.report.last = Some(sequence);
    }

    /// Judges what stood between lines: it is what a crash left if the next segment's head says so.
    fn settle_stray(&mut self, told: Option<Torn>) {
        let after = self.last.map_or(0, |(sequence, _)| sequence);
        let stray = std::mem::take(&mut self.stray);
        let Some(why) = self.wrong.take() else { return };
        // A copy of the trail ends every segment with a line's end.
        let same =
            |bytes: &[u8], torn: &Torn| torn.bytes == bytes.len() as u64 && torn.sha256 == Digest::of(bytes);
        let cut = stray.strip_suffix(b"\n").unwrap_or(&stray);
        match told {
            Some(torn) if same(&stray, &torn) || same(cut, &torn) => {
                self.report.cut_off.push(CutOff { after, bytes: torn.bytes });
            }
            _ => self.problem(Problem::Changed { after, why }),
        }
    }

    fn problem(&mut self, problem: Problem) {
        if self.report.problems.len() < MAX_FINDINGS {
            self.report.problems.push(problem);
        }
    }
}

fn is_space(line: &[u8]) -> bool {
    line.strip_suffix(b"\n").unwrap_or(line).iter().all(|byte| *byte == 0)
}
