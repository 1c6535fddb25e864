//! `labctl annotate`: sets and removes annotations.

use super::label::{Marks, mark};
use crate::{failure::Outcome, session::Session};

/// Set and remove annotations
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl annotate srv db-1 note='second power supply is dead'
  labctl annotate srv db-1 note-                  removes it")]
pub struct Args {
    #[command(flatten)]
    marks: Marks,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    mark(args.marks, session, "annotations", "annotated").await
}
