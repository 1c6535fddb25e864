//! A site's boot server on its own, joined to a labd elsewhere.

mod config;
mod labd;
mod rehearse;
mod serve;
mod status;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use config::{Flags, Settings};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Wrong flags or configuration; what clap itself exits with.
const USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  bastion --server https://labd.example:6443 --ca-hash sha256:… --join-token-file token
  bastion --kubeconfig bastion.kubeconfig
  bastion --config /etc/lab/bastion.toml
  bastion rehearse --from network.yaml       # what would machines get?

It serves an interface only where a Network object says so: one of its site in which this machine has an address, and
whose DHCP is not `off`; or those that its Bastion object names. Without labd it goes on with what it knew.

It joins once: its key and certificate lie in identity.kubeconfig of its data directory from then on, and are renewed in
time. The token can be taken away then.

Flags win over the file named by --config, and that over the defaults.

Exit codes: 0 done (SIGTERM and SIGINT included), 1 failed, 2 wrong flags or configuration.";

/// A site's boot server: DHCP, TFTP, HTTP boot and logs for the machines of the networks that it is to serve.
#[derive(Debug, Parser)]
#[command(name = "bastion", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Try a site's configuration on simulated firmware before machines do: what each kind would be offered, fetch and start, and where it
    /// would stop. Nothing goes over the network but artefacts that it would fetch. Exit code 1 where a machine would be left behind
    Rehearse(Box<rehearse::Rehearse>),
    /// Write the man pages into a folder, for packages
    #[command(hide = true)]
    ManPages {
        /// The folder; made if it is not there
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        None => return serve(args.flags),
        Some(Command::Rehearse(arguments)) => rehearse::run(*arguments),
        Some(Command::ManPages { folder }) => man_pages(&folder).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => complain(&error, 1),
    }
}

fn man_pages(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Args::command(), folder))
        .with_context(|| format!("writing man pages into {}", folder.display()))
}

fn serve(flags: Flags) -> ExitCode {
    let settings = match Settings::load(flags) {
        Ok(settings) => settings,
        Err(error) => return complain(&error, USAGE),
    };
    serve::run(settings).map_or_else(|error| complain(&error, 1), |()| ExitCode::SUCCESS)
}

/// One line on stderr: what failed, and each cause beneath.
fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    // Nobody is left to be told that stderr is closed.
    let _ = writeln!(std::io::stderr(), "bastion: {error:#}");
    ExitCode::from(code)
}
