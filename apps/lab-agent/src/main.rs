//! `lab-agent`: everything that runs on a machine. So far the first program of the discovery ramdisk, and a look at what it
//! would report.

mod bastion;
mod kernel_arguments;
mod network;
mod observe;
mod ramdisk;

use clap::Parser;
use std::process::ExitCode;

/// Everything that runs on a machine.
#[derive(Parser)]
#[command(name = "lab-agent", version)]
enum Arguments {
    /// Read this machine's hardware and disks, and print what would be reported of them as JSON.
    Observe,
}

fn main() -> ExitCode {
    // The kernel starts the first program with whatever arguments it did not know itself.
    if rustix::process::getpid().is_init() {
        ramdisk::run();
    }
    match Arguments::parse() {
        Arguments::Observe => observe::run(),
    }
}
