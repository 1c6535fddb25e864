//! `labctl audit export`: a copy of the whole trail.

use super::{copy, written};
use crate::{
    failure::{Exit, Failure, Outcome},
    output,
    session::Session,
};
use lab_audit::Verifier;
use std::{
    fs::File,
    io::{self, BufReader},
    path::PathBuf,
};

/// Copy the whole audit trail, line by line as it lies on disk
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each line is a JSON object that names the SHA-256 of the one before. Keep the last hash elsewhere: with it, `labctl audit
verify --expect` finds out whether anything up to there was changed or cut off.

Examples:
  labctl audit export -f trail.jsonl
  labctl audit export | gzip > trail.jsonl.gz")]
pub struct Args {
    /// The file to write [default: standard output]
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub async fn run(args: Args, session: &Session) -> Outcome {
    let Some(path) = args.file else { return copy(session, |bytes| written(io::stdout(), bytes)).await };
    let failed = |error: io::Error| {
        Failure::new(Exit::Failed, format!("{} cannot be written: {error}", path.display()))
    };
    let mut file = File::options().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
    copy(session, |bytes| io::Write::write_all(&mut file, bytes).map_err(failed)).await?;
    file.sync_all().map_err(failed)?;
    let copied = File::open(&path).map_err(failed)?;
    let report = Verifier::new(None).read(BufReader::new(copied)).map_err(failed)?;
    let hash = report.hash.map(|hash| hash.to_string()).unwrap_or_default();
    output::note(&format!("wrote {} entries to {}; the last hash is {hash}", report.entries, path.display()));
    Ok(())
}
