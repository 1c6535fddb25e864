//! `lab-agent`: everything that runs on a machine. The first program of the discovery ramdisk, and on an installed machine the
//! daemon that keeps it in reach.

mod bastion;
mod console;
mod daemon;
mod kernel_arguments;
mod neighbours;
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
    Join(daemon::join::Args),
    Run(daemon::run::Args),
    Status(daemon::status::Args),
    Leave(daemon::leave::Args),
}

fn main() -> ExitCode {
    // The kernel starts the first program with whatever arguments it did not know itself.
    if rustix::process::getpid().is_init() {
        ramdisk::run();
    }
    let done = match Arguments::parse() {
        Arguments::Observe => return observe::run(),
        Arguments::Join(args) => waiting(daemon::join::run(args)),
        Arguments::Run(args) => waiting(daemon::run::run(args)),
        Arguments::Status(args) => daemon::status::run(&args),
        Arguments::Leave(args) => daemon::leave::run(&args).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("lab-agent: {error:#}");
        let usage = error.downcast_ref::<daemon::run::NotConfigured>().is_some();
        if usage { ExitCode::from(2) } else { ExitCode::FAILURE }
    })
}

/// Does what has to wait for others, on this thread: an agent is to be small.
fn waiting(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("LAB_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A thread that still reads the hardware is not waited for.
    runtime.shutdown_background();
    done.map(|()| ExitCode::SUCCESS)
}
