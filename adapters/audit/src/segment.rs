//! One file of a trail: its name, and what is found in it after a crash.
//!
//! A segment is called after the sequence of its first entry, in 20 digits, and `.log`. It begins with the line of its head;
//! its entries follow. The file is longer than its lines: zeros keep the space for those to come, so that a disk that fills
//! up does not keep an entry from being recorded.
//!
//! Only what is written between two syncs can be torn by a crash, and that is at most [`MAX_UNSYNCED`] bytes: within so many
//! bytes before the end of what was written, whatever is no link of the chain was never acknowledged. Farther away it is
//! damage.

use crate::chain::{self, Content, Digest, Header, Link, LinkError, Sequence, Torn};

/// The longest entry, in bytes, as it is handed in.
pub const MAX_ENTRY: usize = 16 << 10;
/// Most bytes that are written without a sync.
pub const MAX_UNSYNCED: usize = 256 << 10;

const SUFFIX: &str = ".log";
const DIGITS: usize = 20;

/// The name of the segment whose first entry has this sequence.
pub fn name(first: Sequence) -> String {
    format!("{first:0width$}{SUFFIX}", width = DIGITS)
}

/// The sequence that a segment is called after; `None` for another file.
pub fn first_of(name: &str) -> Option<Sequence> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == DIGITS)?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// What the chain has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Sequence of the last entry; 0 before the first.
    pub sequence: Sequence,
    /// Hash of the last line.
    pub hash: Digest,
}

impl End {
    /// Before the first line of a trail.
    pub const NOWHERE: Self = Self { sequence: 0, hash: Digest::NONE };
}

/// What follows the last line of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing, or the zeros that keep space.
    Clean,
    /// What a crash left of a write.
    Torn(Torn),
    /// More than one write can leave: the file was damaged after the byte named.
    Damaged {
        /// Where the first line that is no link begins.
        at: usize,
    },
}

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// Its head.
    pub header: Header,
    /// Hash that the head follows.
    pub previous: Digest,
    /// The chain at its end: where the next line goes on.
    pub end: End,
    /// Bytes up to the end of the last line of the chain.
    pub length: usize,
    /// Bytes up to the end of whatever was written.
    pub written: usize,
    /// What follows the last line.
    pub tail: Tail,
}

/// Reads the bytes of a segment.
///
/// # Errors
/// The first line is no head of a segment.
pub fn scan(bytes: &[u8]) -> Result<Scan, LinkError> {
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let mut lines = Lines { bytes: &bytes[..written], at: 0 };
    let head = chain::read(lines.next().ok_or(LinkError::Form)?)?;
    let Content::Header(header) = head.content else { return Err(LinkError::Content) };
    let mut end = End { sequence: header.first.saturating_sub(1), hash: head.hash };
    let mut length = lines.at;
    while let Some(line) = lines.next() {
        match chain::read(line) {
            Ok(Link { previous, hash, content: Content::Entry(sequence) })
                if previous == end.hash && sequence > end.sequence =>
            {
                end = End { sequence, hash };
                length = lines.at;
            }
            Err(LinkError::Newer(version)) => return Err(LinkError::Newer(version)),
            _ => break,
        }
    }
    let rest = &bytes[length..written];
    let tail = match rest.len() {
        0 => Tail::Clean,
        1..=MAX_UNSYNCED => Tail::Torn(Torn { bytes: rest.len() as u64, sha256: Digest::of(rest) }),
        _ => Tail::Damaged { at: length },
    };
    if let Tail::Damaged { .. } = tail {
        // Lines after the damage were acknowledged: the chain goes on from the last of them.
        let links = Lines { bytes: rest, at: 0 }.filter_map(|line| chain::read(line).ok());
        for link in links {
            if let Content::Entry(sequence) = link.content
                && sequence > end.sequence
            {
                end = End { sequence, hash: link.hash };
            }
        }
    }
    Ok(Scan { header, previous: head.previous, end, length, written, tail })
}

/// The whole lines of some bytes, without their ends.
struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the next line begins.
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        self.at += end + 1;
        Some(&rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A segment with this many entries; the offsets at which its lines end.
    fn segment(entries: u64) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let head = Header { version: chain::VERSION, first: 5, torn: None };
        let mut hash = chain::header(&mut bytes, Digest::of(b"the one before"), &head);
        let mut ends = vec![bytes.len()];
        for sequence in 5..5 + entries {
            hash = chain::entry(&mut bytes, hash, sequence, br#""verb":"create""#);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn names() {
        assert_eq!(name(42), "00000000000000000042.log");
        for (name, expected) in
            [("00000000000000000042.log", Some(42)), ("42.log", None), ("+0000000000000000042.log", None)]
        {
            assert_eq!(first_of(name), expected, "{name}");
        }
    }

    #[test]
    fn whatever_a_crash_leaves_is_told_apart() {
        let (bytes, ends) = segment(3);
        let check = |bytes: &[u8], sequence, length, torn: usize| {
            let scan = scan(bytes).expect("it has a head");
            assert_eq!((scan.end.sequence, scan.length), (sequence, length));
            match scan.tail {
                Tail::Clean => assert_eq!(torn, 0),
                Tail::Torn(found) => assert_eq!(found.bytes, torn as u64),
                Tail::Damaged { at } => panic!("damaged at {at}"),
            }
        };
        let zeros = [&bytes[..], &[0; 5000]].concat();
        check(&bytes, 7, bytes.len(), 0);
        check(&zeros, 7, bytes.len(), 0);
        check(&bytes[..ends[2] + 10], 6, ends[2], 10);
        // A page that was not written, with one behind it that was.
        let mut holed = zeros.clone();
        holed[ends[1]..ends[2]].fill(0);
        check(&holed, 5, ends[1], ends[3] - ends[1]);
        check(&zeros[..ends[0]], 4, ends[0], 0);
        assert_eq!(scan(&zeros[..ends[0] - 1]), Err(LinkError::Form));
        assert_eq!(scan(&[0; 100]), Err(LinkError::Form));
    }

    #[test]
    fn damage_is_no_crash() {
        let (mut bytes, ends) = segment(2000);
        bytes[ends[10] + 120] ^= 1;
        let scan = scan(&bytes).expect("it has a head");
        assert_eq!(scan.tail, Tail::Damaged { at: ends[10] });
        assert_eq!(scan.end.sequence, 2004, "numbers are not given twice");
    }

    proptest! {
        #[test]
        fn what_was_synced_survives_any_cut(cut in 0usize..1000) {
            let (bytes, ends) = segment(4);
            prop_assume!(cut >= ends[0] && cut <= bytes.len());
            let scan = scan(&bytes[..cut]).expect("it has a head");
            let whole = ends.iter().rposition(|end| *end <= cut).expect("the head is whole");
            prop_assert_eq!(scan.end.sequence, 4 + whole as u64);
            prop_assert_eq!(scan.length, ends[whole]);
        }

        #[test]
        fn no_bytes_are_too_much(bytes: Vec<u8>, cut in 0usize..400) {
            let _ = scan(&bytes);
            let (mut segment, _) = segment(1);
            segment.truncate(cut);
            segment.extend(bytes);
            let _ = scan(&segment);
        }
    }
}
