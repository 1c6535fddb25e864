//! `labctl config`: the kubeconfig that labctl and kubectl share.

pub mod change;
mod get;
mod path;
mod set;
mod use_context;

use crate::{failure::Outcome, settings::Globals};

/// Show and change the kubeconfig that labctl and kubectl share
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl config get
  labctl config use-context lab
  labctl config set namespace team-a
  labctl config path")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Get(get::Args),
    Set(set::Args),
    Path(path::Args),
    UseContext(use_context::Args),
}

/// Runs the command.
pub fn run(args: Args, globals: &Globals) -> Outcome {
    match args.verb {
        Verb::Get(args) => get::run(&args, globals),
        Verb::Set(args) => set::run(&args, globals),
        Verb::Path(args) => path::run(&args, globals),
        Verb::UseContext(args) => use_context::run(&args, globals),
    }
}
