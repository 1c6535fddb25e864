//! How much of a trail is kept: its oldest segments go, as wholes, and the chain goes on from where the next one begins.

use crate::{
    chain::{self, Content, Digest, Sequence},
    error::Error,
    segment,
    trail::{Segment, Trail},
};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::Path,
    time::SystemTime,
};

/// Newest segments that always stay: the one that is written, and one behind it by which it is known how far the trail came.
const NEWEST: usize = 2;
/// Most bytes of a segment's head.
const MAX_HEAD: u64 = 4096;

/// What of a trail is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Segments to which nothing was written since then go.
    pub since: Option<SystemTime>,
    /// The oldest segments go until all that stay have no more than so many bytes.
    pub bytes: Option<u64>,
}

/// The oldest segments, which may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obsolete {
    /// Their first entry.
    pub first: Sequence,
    /// Their last entry.
    pub last: Sequence,
    /// The hash of their last line, which the first line that stays names.
    pub hash: Digest,
    segments: Vec<Segment>,
}

impl Trail {
    /// What may go; `None` where all is to be kept. Blocks.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn obsolete(&self, retention: &Retention) -> Result<Option<Obsolete>, Error> {
        let all = self.segments();
        let mut bytes: u64 = all.iter().map(|segment| segment.length).sum();
        let mut count = 0;
        for segment in &all[..all.len().saturating_sub(NEWEST)] {
            let large = retention.bytes.is_some_and(|most| bytes > most);
            if !large && !self.is_before(segment, retention.since)? {
                break;
            }
            bytes -= segment.length;
            count += 1;
        }
        let (Some(first), Some(stays)) = (all[..count].first(), all.get(count)) else { return Ok(None) };
        let (first, last) = (first.first, stays.first - 1);
        let hash = followed(&self.dir().join(segment::name(stays.first)))?;
        Ok(Some(Obsolete { first, last, hash, segments: all[..count].to_vec() }))
    }

    fn is_before(&self, segment: &Segment, since: Option<SystemTime>) -> Result<bool, Error> {
        let Some(since) = since else { return Ok(false) };
        let path = self.dir().join(segment::name(segment.first));
        let written = fs::metadata(&path).and_then(|metadata| metadata.modified());
        Ok(written.map_err(Error::unreadable(&path))? < since)
    }

    /// Removes segments, the oldest first, so that what stays is whole whenever this is broken off. Blocks.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove(&self, obsolete: &Obsolete) -> Result<(), Error> {
        for segment in &obsolete.segments {
            self.forget(segment)?;
        }
        Ok(())
    }
}

/// The hash that a segment's head follows.
fn followed(path: &Path) -> Result<Digest, Error> {
    let file = File::open(path).map_err(Error::unreadable(path))?;
    let mut line = Vec::new();
    BufReader::new(file.take(MAX_HEAD)).read_until(b'\n', &mut line).map_err(Error::unreadable(path))?;
    line.pop_if(|byte| *byte == b'\n');
    match chain::read(&line) {
        Ok(link) if matches!(link.content, Content::Header(_)) => Ok(link.previous),
        Ok(_) => Err(Error::Foreign { path: path.into(), why: "its first line is no head".into() }),
        Err(error) => Err(Error::Foreign { path: path.into(), why: format!("its first line: {error}") }),
    }
}

/// Whether a file that could not be opened is gone.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
