//! What holds of whatever bytes a crash or an enemy leaves in a trail's files. The fuzzer's targets are these functions too.

use lab_audit::{
    Digest, Report, Verifier,
    chain::{self, Header},
    segment::{self, Tail},
};

/// The lines of a trail whose segments have so many entries.
fn trail(segments: &[u64]) -> Vec<Vec<u8>> {
    let (mut lines, mut hash, mut next) = (Vec::new(), Digest::NONE, 1);
    for entries in segments {
        let mut line = Vec::new();
        hash = chain::header(&mut line, hash, &Header { version: chain::VERSION, first: next, torn: None });
        lines.push(line);
        for _ in 0..*entries {
            let mut line = Vec::new();
            let members = format!(r#""user":{{"name":"user-{next}"}},"verb":"create""#);
            hash = chain::entry(&mut line, hash, next, members.as_bytes());
            lines.push(line);
            next += 1;
        }
    }
    lines
}

fn verify(bytes: &[u8], expected: Option<Digest>) -> Report {
    Verifier::new(expected).read(bytes).expect("it is in memory")
}

/// Any bytes: what is found of the chain is whole, and its verifier agrees.
pub fn segment(bytes: &[u8]) {
    let report = verify(bytes, None);
    let Ok(scan) = segment::scan(bytes) else { return };
    assert!(scan.length <= scan.written && scan.written <= bytes.len());
    assert!(scan.tail == Tail::Clean || scan.length < scan.written);
    let whole = segment::scan(&bytes[..scan.length]).expect("it has its head");
    assert_eq!((whole.length, whole.tail), (scan.length, Tail::Clean));
    let entries = whole.end.sequence.saturating_sub(whole.header.first.saturating_sub(1));
    assert!(report.entries >= entries.min(1));
}

/// A good trail in which lines were taken out, doubled, swapped, cut or changed, as the bytes say: unless it is what it was,
/// whoever knows its last hash finds out.
pub fn edited(edits: &[u8]) {
    let good = trail(&[4, 1, 6]);
    let last = chain::read(&good[good.len() - 1][..good[good.len() - 1].len() - 1]).expect("a line").hash;
    let mut lines = good.clone();
    for edit in edits.chunks_exact(3) {
        if lines.is_empty() {
            break;
        }
        let (at, other) = (usize::from(edit[1]) % lines.len(), usize::from(edit[2]));
        match edit[0] % 6 {
            0 => drop(lines.remove(at)),
            1 => lines.insert(other % lines.len(), lines[at].clone()),
            2 => {
                let other = other % lines.len();
                lines.swap(at, other);
            }
            3 => lines[at].truncate(other),
            4 => {
                let byte = other % lines[at].len().max(1);
                if let Some(byte) = lines[at].get_mut(byte) {
                    *byte ^= 1 << (edit[0] / 6 % 8);
                }
            }
            // An enemy who knows the format writes a line of their own.
            _ => {
                let previous = chain::read(lines[at].strip_suffix(b"\n").unwrap_or(&lines[at]));
                let (mut line, sequence) = (Vec::new(), u64::from(edit[2]));
                chain::entry(
                    &mut line,
                    previous.map_or(Digest::NONE, |l| l.hash),
                    sequence,
                    b"\"verb\":\"x\"",
                );
                lines.insert(at + 1, line);
            }
        }
    }
    let bytes = lines.concat();
    let report = verify(&bytes, Some(last));
    let all_is_well = report.problems.is_empty() && report.met;
    let from_the_beginning = report.follows == Some(Digest::NONE);
    // Zeros between lines keep space and say nothing.
    if all_is_well && from_the_beginning {
        let kept: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        assert!(good.iter().all(|line| kept.contains(&&line[..])), "a line is gone unnoticed");
    }
    if lines == good {
        assert!(all_is_well && report.entries == 11, "{report:?}");
    }
    segment(&bytes);
}
