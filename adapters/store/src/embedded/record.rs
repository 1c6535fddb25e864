//! One change as it lies on disk: format version 1.
//!
//! A record's key in the engine is its revision. Its bytes, integers little-endian:
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 1 | 1: the key was given this value; 2: it was deleted; 3: it was given a value that is sealed here |
//! | 1 | 8 | revision at which the key was created |
//! | 9 | 8 | revision of the key's record before this one; 0 when it had none |
//! | 17 | 4 | where in the value the revision is written; all ones when nowhere |
//! | 21 | 4 | length of the key |
//! | 25 | | the key, then the value, with its revision written in; a deletion has no value |

use crate::{Error, Revision};
use bytes::Bytes;
use std::sync::Arc;

const HEAD: usize = 25;
const PUT: u8 = 1;
const DELETE: u8 = 2;
const SEALED: u8 = 3;
const NO_MARK: u32 = u32::MAX;

/// Where in a value its revision is written; its length follows from the revision.
pub(crate) type Mark = Option<u32>;

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub key: Arc<str>,
    pub created: Revision,
    pub previous: Revision,
    pub mark: Mark,
    /// `None` when the key was deleted.
    pub value: Option<Bytes>,
    /// The value is sealed; the mark is the place in what it hides.
    pub sealed: bool,
}

impl Record {
    /// Length of the encoded record.
    pub fn encoded_len(&self) -> usize {
        HEAD + self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }

    /// Encodes into `out`, which is exactly [`Record::encoded_len`] long.
    pub fn encode(&self, out: &mut [u8]) {
        let (head, body) = out.split_at_mut(HEAD);
        head[0] = match &self.value {
            Some(_) if self.sealed => SEALED,
            Some(_) => PUT,
            None => DELETE,
        };
        head[1..9].copy_from_slice(&self.created.to_le_bytes());
        head[9..17].copy_from_slice(&self.previous.to_le_bytes());
        head[17..21].copy_from_slice(&self.mark.unwrap_or(NO_MARK).to_le_bytes());
        head[21..25].copy_from_slice(&(self.key.len() as u32).to_le_bytes());
        let (key, value) = body.split_at_mut(self.key.len());
        key.copy_from_slice(self.key.as_bytes());
        value.copy_from_slice(self.value.as_deref().unwrap_or_default());
    }

    /// Decodes the record of `revision`.
    pub fn decode(revision: Revision, bytes: &[u8]) -> Result<Self, Error> {
        let damaged =
            |what| Error::unreadable(format_args!("the record of revision {revision} is damaged: {what}"));
        if bytes.len() < HEAD {
            return Err(damaged("it is cut short"));
        }
        let (head, body) = bytes.split_at(HEAD);
        let mark = u32_at(head, 17);
        let mark = (mark != NO_MARK).then_some(mark);
        let key_len = u32_at(head, 21) as usize;
        let key = body.get(..key_len).ok_or_else(|| damaged("its key is cut short"))?;
        let key: Arc<str> = std::str::from_utf8(key).map_err(|_| damaged("its key is not UTF-8"))?.into();
        let value = &body[key_len..];
        let value = match head[0] {
            PUT | SEALED => Some(Bytes::copy_from_slice(value)),
            DELETE if value.is_empty() => None,
            DELETE => return Err(damaged("a deletion with a value")),
            _ => return Err(damaged("its kind is unknown")),
        };
        let (created, previous, sealed) = (u64_at(head, 1), u64_at(head, 9), head[0] == SEALED);
        let record = Self { key, created, previous, mark, value, sealed };
        record.check_mark(revision)?;
        Ok(record)
    }

    /// Whether the revision can stand in the value where the mark says; a sealed value does not show it.
    pub fn check_mark(&self, revision: Revision) -> Result<(), Error> {
        match (self.mark, &self.value) {
            (Some(at), Some(value))
                if !self.sealed && at as usize + decimal(revision).len() > value.len() =>
            {
                Err(Error::unreadable(format_args!(
                    "the record of revision {revision} is damaged: its mark lies beyond its value"
                )))
            }
            _ => Ok(()),
        }
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a slice of eight bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a slice of four bytes"))
}

/// A revision as it is written into values.
pub(crate) fn decimal(revision: Revision) -> String {
    revision.to_string()
}

/// Writes a revision into a value that has none yet.
pub(crate) fn splice(bytes: &[u8], mark: Mark, revision: Revision) -> Bytes {
    replace(bytes, mark, 0, revision)
}

/// Writes `revision` into a value in the place of `old`.
pub(crate) fn respliced(bytes: &Bytes, mark: Mark, old: Revision, revision: Revision) -> Bytes {
    if mark.is_none() {
        return bytes.clone();
    }
    replace(bytes, mark, decimal(old).len(), revision)
}

fn replace(bytes: &[u8], mark: Mark, cut: usize, revision: Revision) -> Bytes {
    let Some(at) = mark else { return Bytes::copy_from_slice(bytes) };
    let at = at as usize;
    let digits = decimal(revision);
    let mut out = Vec::with_capacity(bytes.len() - cut + digits.len());
    out.extend_from_slice(&bytes[..at]);
    out.extend_from_slice(digits.as_bytes());
    out.extend_from_slice(&bytes[at + cut..]);
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_decode(bytes: &[u8], expected: &str) {
        let error = Record::decode(7, bytes).expect_err("a damaged record").to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        for value in [Some(Bytes::from_static(b"{\"v\":\"7\"}")), None] {
            let record =
                Record { key: "t/k/ä".into(), created: 3, previous: 5, mark: Some(6), value, sealed: false };
            let mut bytes = vec![0; record.encoded_len()];
            record.encode(&mut bytes);
            assert_eq!(Record::decode(7, &bytes).expect("decodes"), record);
        }
    }

    #[test]
    fn damage_is_named() {
        let record = Record {
            key: "key".into(),
            created: 1,
            previous: 0,
            mark: Some(0),
            value: Some(Bytes::from_static(b"7")),
            sealed: false,
        };
        let mut good = vec![0; record.encoded_len()];
        record.encode(&mut good);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        check_decode(&good[..20], "cut short");
        check_decode(&good[..HEAD + 2], "key is cut short");
        check_decode(&with(0, 9), "kind is unknown");
        check_decode(&with(0, DELETE), "deletion with a value");
        check_decode(&with(17, 5), "mark lies beyond");
        check_decode(&with(HEAD, 0xff), "not UTF-8");
    }

    #[test]
    fn a_revision_is_written_in_and_replaced() {
        let spliced = splice(b"{\"v\":\"\"}", Some(6), 99);
        assert_eq!(&spliced[..], b"{\"v\":\"99\"}");
        assert_eq!(&respliced(&spliced, Some(6), 99, 100)[..], b"{\"v\":\"100\"}");
        assert_eq!(&respliced(&spliced, None, 99, 100)[..], b"{\"v\":\"99\"}");
        assert_eq!(&splice(b"as is", None, 5)[..], b"as is");
    }
}
