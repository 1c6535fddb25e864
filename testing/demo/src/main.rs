//! The demonstration: blank machines in QEMU, and labd that makes members of the platform of them.
//!
//! The program starts itself again [inside] a network of its own, which needs no root and leaves the machine's own network alone. What
//! stays [outside] lets labd be reached from there, and cleans up. [`record`] writes down what a terminal would show.

mod inside;
mod lab;
mod outside;
mod record;
mod relay;
mod screen;
mod story;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Watch two blank machines become part of the platform.
#[derive(Debug, Clone, Parser)]
#[command(name = "cargo xtask demo", bin_name = "cargo xtask demo")]
struct Options {
    /// Folder with what machines are given: `systems/discovery` and `images/debian-13`.
    #[arg(long)]
    artefacts: PathBuf,
    /// Folder with labd and labctl.
    #[arg(long)]
    programs: PathBuf,
    /// Folder for what lives as long as the demonstration: labd's data, the machines' disks.
    #[arg(long)]
    folder: PathBuf,
    /// End when all was shown, instead of leaving everything running until Ctrl-C.
    #[arg(long)]
    no_wait: bool,
    /// Write what a terminal of 110 by 36 characters shows to this file (asciicast, version 2).
    #[arg(long, conflicts_with = "inside")]
    record: Option<PathBuf>,
    /// Given by the program to itself: labd's port, and the folder of sockets.
    #[arg(long, num_args = 2, hide = true)]
    inside: Option<Vec<String>>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match (&options.record, &options.inside) {
        (Some(file), _) => record::run(file),
        (None, Some(given)) => inside::run(&options, given),
        (None, None) => outside::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demonstration broke off: {error:#}");
            ExitCode::FAILURE
        }
    }
}
