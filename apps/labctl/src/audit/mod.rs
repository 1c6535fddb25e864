//! `labctl audit`: who did what, and whether the record of it is whole.

mod export;
mod get;
pub mod period;
mod verify;

use crate::{
    failure::{Failure, Outcome},
    session::Session,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use std::io::Write;

/// The path at which the whole trail is given out.
const PATH: &str = "/audit";

/// Show who did what, take a copy of the audit trail, and check that it is whole
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl audit get --user alice --since 2h
  labctl audit get --result 403 -o wide
  labctl audit export -f trail.jsonl
  labctl audit verify trail.jsonl")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Get(get::Args),
    Export(export::Args),
    Verify(verify::Args),
}

impl Args {
    /// Whether the command asks no server.
    pub fn is_local(&self) -> bool {
        matches!(&self.verb, Verb::Verify(args) if args.is_local())
    }
}

/// Runs a command that asks no server.
pub fn run_local(args: Args) -> Outcome {
    match args.verb {
        Verb::Verify(args) => verify::file(&args),
        Verb::Get(_) | Verb::Export(_) => Ok(()),
    }
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    match args.verb {
        Verb::Get(args) => get::run(args, session).await,
        Verb::Export(args) => export::run(args, session).await,
        Verb::Verify(args) => verify::server(&args, session).await,
    }
}

/// Hands the trail's bytes to `out` as they come.
async fn copy(session: &Session, mut out: impl FnMut(&[u8]) -> Outcome) -> Outcome {
    let request = http::Request::get(PATH).body(Bytes::new()).map_err(Failure::usage)?;
    let mut body = session.client.send("read the audit trail", request).await?.into_body();
    while let Some(frame) = body.frame().await {
        let broken = |error| {
            Failure::new(
                crate::failure::Exit::Unreachable,
                format!("the audit trail broke off on its way: {error}"),
            )
        };
        let frame = frame.map_err(broken)?;
        if let Some(bytes) = frame.data_ref() {
            out(bytes)?;
        }
    }
    Ok(())
}

fn written(mut out: impl Write, bytes: &[u8]) -> Outcome {
    Ok(out.write_all(bytes)?)
}
