//! `labctl audit verify`: whether a trail is whole.

use super::copy;
use crate::{
    failure::{Exit, Failure, Outcome},
    output,
    session::Session,
};
use lab_audit::{Digest, Report, Verifier};
use serde::Deserialize;
use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
};

/// Most bytes of a line that is looked at; no line of a trail is as long.
const MAX_LINE: u64 = 64 << 10;
/// What stands in an entry about entries that were removed.
const PRUNE: &[u8] = b"\"prune\"";

/// Check that nothing in the audit trail was changed, inserted or removed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Whoever can write labd's files can also write a trail that is whole in itself. Against that helps a hash that was kept
elsewhere: --expect says whether the trail still holds it.

Exit codes: 0 whole, 1 not.

Examples:
  labctl audit verify                         the trail of the server
  labctl audit verify trail.jsonl             a copy of it
  labctl audit verify --expect HASH           and that it goes on from where it was")]
pub struct Args {
    /// A copy that `labctl audit export` made [default: what the server has]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// A hash that the trail had once, as export and verify print it
    #[arg(long, value_name = "HASH")]
    expect: Option<Digest>,
}

impl Args {
    /// Whether a copy is checked.
    pub fn is_local(&self) -> bool {
        self.file.is_some()
    }
}

/// Checks a copy.
pub fn file(args: &Args) -> Outcome {
    let Some(path) = &args.file else { return Ok(()) };
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("{} cannot be read: {error}", path.display()))
    };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let mut check = Check::new(args.expect);
    let mut line = Vec::new();
    while file.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed)? > 0 {
        check.line(&line);
        line.clear();
    }
    check.tell(args.expect)
}

/// Checks the server's trail as it comes.
pub async fn server(args: &Args, session: &Session) -> Outcome {
    let mut check = Check::new(args.expect);
    let mut line = Vec::new();
    copy(session, |bytes| {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                check.line(&line);
                line.clear();
            }
        }
        Ok(())
    })
    .await?;
    if !line.is_empty() {
        check.line(&line);
    }
    check.tell(args.expect)
}

/// The check of a trail, and whether the trail itself says why its beginning is not there.
struct Check {
    verifier: Verifier,
    /// The number of the entry that says that those before the first were removed.
    removal: Option<u64>,
}

/// An entry, as far as it matters here.
#[derive(Deserialize)]
struct Entry {
    sequence: Option<u64>,
    verb: Option<String>,
    #[serde(default)]
    note: String,
}

impl Check {
    fn new(expected: Option<Digest>) -> Self {
        Self { verifier: Verifier::new(expected), removal: None }
    }

    fn line(&mut self, line: &[u8]) {
        self.verifier.line(line);
        // Only what may be one is read.
        if !line.windows(PRUNE.len()).any(|part| part == PRUNE) {
            return;
        }
        let (Some(follows), Ok(entry)) = (self.verifier.follows(), serde_json::from_slice::<Entry>(line))
        else {
            return;
        };
        let said = entry.verb.as_deref() == Some("prune") && entry.note.ends_with(&follows.to_string());
        self.removal = entry.sequence.filter(|_| said).or(self.removal);
    }

    fn tell(self, expected: Option<Digest>) -> Outcome {
        let report = self.verifier.finish();
        if let Some(first) = report.first.filter(|first| *first > 1) {
            output::note(&match self.removal {
                Some(entry) => {
                    format!("it begins with entry {first}: those before were removed, as entry {entry} says")
                }
                None => {
                    format!("it begins with entry {first}, and no entry says that those before were removed")
                }
            });
        }
        tell(&report, expected)
    }
}

fn tell(report: &Report, expected: Option<Digest>) -> Outcome {
    let range = match (report.first, report.last) {
        (Some(first), Some(last)) => format!(", {first} to {last}"),
        _ => String::new(),
    };
    let hash = report.hash.map(|hash| format!("; the last hash is {hash}")).unwrap_or_default();
    output::line(&format!("{} entries{range}{hash}", report.entries))?;
    for cut in &report.cut_off {
        output::note(&format!(
            "after entry {}: {} bytes of a write that a crash cut off; nothing acknowledged is missing there",
            cut.after, cut.bytes
        ));
    }
    for problem in &report.problems {
        output::note(&problem.to_string());
    }
    let unmet = expected.filter(|_| !report.met);
    if let Some(expected) = unmet {
        output::note(&format!(
            "there is no line with the hash {expected}: it was changed, or the end is cut off"
        ));
    }
    if report.problems.is_empty() && unmet.is_none() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "the audit trail is not as it was written"))
}
