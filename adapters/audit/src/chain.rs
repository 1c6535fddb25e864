//! The chain, line by line: format version 1.
//!
//! Every line is one JSON object that begins with `{"previous":"…"` and ends with `"hash":"…"}`, both SHA-256 in lower-case
//! hexadecimal. `hash` is taken over the line's bytes before `,"hash":`; `previous` is the `hash` of the line before, and
//! zeros in the very first. In between stand the members of an entry, the first of them its `sequence` (1, 2, 3 …), or those
//! of a segment's head ([`Header`]), which is a link of the chain like any other.
//!
//! So nobody can change, remove or insert a line without changing every one after it: who kept the last hash elsewhere
//! finds out.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

/// Number of an entry; the first is 1.
pub type Sequence = u64;

/// The version of the format that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// What the head of every segment calls the format.
const FORMAT: &str = "lab-audit";
const BEGIN: &[u8] = br#"{"previous":""#;
const END: &[u8] = br#","hash":""#;
const CLOSE: &[u8] = b"\"}";
/// Digits of a digest.
const DIGITS: usize = 64;

/// A SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// What the first line of a trail follows.
    pub const NONE: Self = Self([0; 32]);

    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash has 64 hexadecimal digits, all in lower case")]
pub struct NoDigest;

impl FromStr for Digest {
    type Err = NoDigest;
    fn from_str(text: &str) -> Result<Self, NoDigest> {
        digest(text.as_bytes()).ok_or(NoDigest)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn digest(digits: &[u8]) -> Option<Digest> {
    if digits.len() != DIGITS {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(Digest(out))
}

/// Bytes at the end of a segment that were never whole lines of the chain: what a crash left of writes that nobody was
/// told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Torn {
    /// How many.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: Digest,
}

/// The head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Version of the format.
    pub version: u32,
    /// Sequence of the first entry after it.
    pub first: Sequence,
    /// What stands at the end of the segment before, if that was cut off.
    pub torn: Option<Torn>,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The head of a segment.
    Header(Header),
    /// An entry.
    Entry(Sequence),
}

/// A line that is whole in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Hash of the line before, as this one says.
    pub previous: Digest,
    /// Its own hash.
    pub hash: Digest,
    /// What it is.
    pub content: Content,
}

/// Why a line is none of the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It does not begin and end as a line does.
    #[error("it is not a line of an audit trail")]
    Form,
    /// Its hash is that of another line.
    #[error("it is not what it was when it was written: its hash is another")]
    Changed,
    /// It is neither an entry nor the head of a segment.
    #[error("it is neither an entry nor the head of a segment")]
    Content,
    /// A newer build wrote it.
    #[error("it is of version {0} of the format, and this build reads none above {VERSION}; use a newer one")]
    Newer(u32),
}

/// Appends an entry's line. `members` are the members of a JSON object, without its braces; they may be empty.
pub fn entry(out: &mut Vec<u8>, previous: Digest, sequence: Sequence, members: &[u8]) -> Digest {
    let comma: &[u8] = if members.is_empty() { b"" } else { b"," };
    seal(out, previous, &[format!(r#""sequence":{sequence}"#).as_bytes(), comma, members])
}

/// Appends the line of a segment's head.
pub fn header(out: &mut Vec<u8>, previous: Digest, header: &Header) -> Digest {
    let mut members = format!(r#""trail":"{FORMAT}","version":{},"first":{}"#, header.version, header.first);
    if let Some(Torn { bytes, sha256 }) = header.torn {
        members.push_str(&format!(r#","torn":{{"bytes":{bytes},"sha256":"{sha256}"}}"#));
    }
    seal(out, previous, &[members.as_bytes()])
}

fn seal(out: &mut Vec<u8>, previous: Digest, members: &[&[u8]]) -> Digest {
    let start = out.len();
    out.extend_from_slice(BEGIN);
    out.extend_from_slice(previous.to_string().as_bytes());
    out.extend_from_slice(b"\",");
    members.iter().for_each(|part| out.extend_from_slice(part));
    let hash = Digest::of(&out[start..]);
    out.extend_from_slice(END);
    out.extend_from_slice(hash.to_string().as_bytes());
    out.extend_from_slice(CLOSE);
    out.push(b'\n');
    hash
}

/// Reads a line, given without its end.
///
/// # Errors
/// What is wrong with it.
pub fn read(line: &[u8]) -> Result<Link, LinkError> {
    let end = line.len().checked_sub(END.len() + DIGITS + CLOSE.len()).ok_or(LinkError::Form)?;
    let (sealed, seal) = line.split_at(end);
    let stated = seal.strip_prefix(END).and_then(|rest| rest.strip_suffix(CLOSE)).and_then(digest);
    let previous = sealed.strip_prefix(BEGIN).and_then(|rest| digest(rest.get(..DIGITS)?));
    let (Some(stated), Some(previous)) = (stated, previous) else { return Err(LinkError::Form) };
    let hash = Digest::of(sealed);
    if hash != stated {
        return Err(LinkError::Changed);
    }
    Ok(Link { previous, hash, content: content(line)? })
}

fn content(line: &[u8]) -> Result<Content, LinkError> {
    #[derive(Deserialize)]
    struct Members {
        sequence: Option<Sequence>,
        trail: Option<String>,
        version: Option<u32>,
        first: Option<Sequence>,
        torn: Option<Torn>,
    }
    let members: Members = serde_json::from_slice(line).map_err(|_| LinkError::Content)?;
    match members {
        Members { sequence: Some(sequence), trail: None, .. } => Ok(Content::Entry(sequence)),
        Members { trail: Some(trail), version: Some(version), .. }
            if trail == FORMAT && version > VERSION =>
        {
            Err(LinkError::Newer(version))
        }
        Members { trail: Some(trail), version: Some(version), first: Some(first), torn, .. }
            if trail == FORMAT =>
        {
            Ok(Content::Header(Header { version, first, torn }))
        }
        _ => Err(LinkError::Content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(members: &str) -> Vec<u8> {
        let mut out = Vec::new();
        entry(&mut out, Digest::of(b"before"), 7, members.as_bytes());
        assert_eq!(out.pop(), Some(b'\n'));
        out
    }

    #[test]
    fn lines_come_back() {
        let link = read(&line(r#""user":"a","hash":"x""#)).expect("a line");
        assert_eq!((link.previous, link.content), (Digest::of(b"before"), Content::Entry(7)));
        assert_eq!(read(&line("")).expect("a line").content, Content::Entry(7));
        for torn in [None, Some(Torn { bytes: 5, sha256: Digest::of(b"12345") })] {
            let head = Header { version: VERSION, first: 3, torn };
            let mut out = Vec::new();
            let hash = header(&mut out, Digest::NONE, &head);
            let link = read(&out[..out.len() - 1]).expect("a head");
            assert_eq!(link, Link { previous: Digest::NONE, hash, content: Content::Header(head) });
        }
    }

    #[test]
    fn what_is_no_line_is_named() {
        let sealed = |members: &str| {
            let mut out = Vec::new();
            seal(&mut out, Digest::NONE, &[members.as_bytes()]);
            out.pop();
            out
        };
        let check = |line: &[u8], expected: LinkError| {
            assert_eq!(read(line), Err(expected), "{}", String::from_utf8_lossy(line));
        };
        check(b"", LinkError::Form);
        check(&[0; 4096], LinkError::Form);
        check(br#"{"sequence":1}"#, LinkError::Form);
        check(&sealed(r#""user":"a""#), LinkError::Content);
        check(&sealed("not JSON"), LinkError::Content);
        check(&sealed(r#""trail":"other","version":1,"first":1"#), LinkError::Content);
        check(&sealed(r#""trail":"lab-audit","version":2,"first":1"#), LinkError::Newer(2));
    }

    proptest! {
        #[test]
        fn every_changed_byte_is_noticed(at in any::<prop::sample::Index>(), byte: u8) {
            let mut line = line(r#""user":"alice","verb":"delete""#);
            let at = at.index(line.len());
            prop_assume!(line[at] != byte);
            line[at] = byte;
            prop_assert!(read(&line).is_err());
        }

        #[test]
        fn no_bytes_are_too_much(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
