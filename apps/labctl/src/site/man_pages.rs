//! `labctl man-pages`: writes our man pages, for packages.

use crate::{
    cli::Cli,
    failure::{Exit, Failure, Outcome},
};
use clap::CommandFactory;
use std::path::PathBuf;

/// Write the man pages into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl man-pages /usr/share/man/man1")]
pub struct Args {
    /// The folder
    #[arg(value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    let failed = |e: std::io::Error| {
        Failure::new(Exit::Failed, format!("cannot write man pages into {}: {e}", args.folder.display()))
    };
    std::fs::create_dir_all(&args.folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(failed)
}
