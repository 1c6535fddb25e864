//! `labctl man-pages`: writes our man pages, for packages.

use crate::{
    cli::Cli,
    failure::{EXIT_CODES, Exit, Failure, Outcome},
    settings::VARIABLES,
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
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(failed)?;
    let page = args.folder.join("labctl.1");
    let text = std::fs::read_to_string(&page).map_err(failed)?;
    let more = section("ENVIRONMENT", VARIABLES) + &section("EXIT STATUS", EXIT_CODES);
    std::fs::write(&page, text + &more).map_err(failed)
}

/// A table as a section of a page: its first line is text, the others stay as they are.
fn section(title: &str, table: &str) -> String {
    let escaped = table.replace('\\', "\\e").replace('-', "\\-");
    let (first, rest) = escaped.split_once('\n').unwrap_or((&escaped, ""));
    format!(".SH {title}\n{first}\n.nf\n{rest}\n.fi\n")
}
