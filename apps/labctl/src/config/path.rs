//! `labctl config path`: the files that are read.

use crate::{
    failure::Outcome,
    output,
    settings::{self, Globals},
};

/// Show which files are read
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl config path
  $EDITOR $(labctl config path)")]
pub struct Args {}

/// Runs the command.
pub fn run(_: &Args, globals: &Globals) -> Outcome {
    for path in settings::kubeconfig_paths(globals).0 {
        output::line(&path.display().to_string())?;
        if !path.exists() {
            output::note(&format!("{} does not exist", path.display()));
        }
    }
    Ok(())
}
