//! The control plane: every central service, or the ones named in its configuration.

mod args;
mod audit;
mod backup;
mod bastion;
mod config;
mod credentials;
mod data_dir;
mod figures;
mod keys;
mod kubeconfig;
mod log;
mod names;
mod recovery;
mod rotate_admin;
mod seed;
mod serve;
mod welcome;

use anyhow::Context;
use args::{Args, Command};
use clap::{CommandFactory, Parser};
use config::Settings;
use std::{io::Write, path::Path, process::ExitCode, time::Instant};

/// Wrong flags or configuration; what clap itself exits with.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let started = Instant::now();
    let args = Args::parse();
    let settings = match Settings::load(args.flags) {
        Ok(settings) => settings,
        Err(error) => return complain(&error, USAGE),
    };
    let outcome = match args.command {
        None => serve::run(settings, started),
        Some(Command::Version) => version(),
        Some(Command::ManPages { folder }) => man_pages(&folder),
        Some(Command::Backup { output, kubeconfig }) => backup::backup(&settings, &output, kubeconfig),
        Some(Command::Restore { file, keys_from }) => backup::restore(&settings, &file, keys_from),
        Some(Command::RotateKey) => rotate_key(&settings),
        Some(Command::RotateAdmin) => rotate_admin::run(&settings),
    };
    outcome.map_or_else(|error| complain(&error, 1), |()| ExitCode::SUCCESS)
}

fn version() -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "labd {}", env!("CARGO_PKG_VERSION"))?;
    Ok(())
}

fn man_pages(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Args::command(), folder))
        .with_context(|| format!("writing man pages into {}", folder.display()))
}

fn rotate_key(settings: &Settings) -> anyhow::Result<()> {
    let (id, path) = keys::add(&settings.keys)?;
    writeln!(
        std::io::stdout(),
        "wrote {} with key {id}; keep a copy of it apart from backups",
        path.display()
    )?;
    writeln!(
        std::io::stderr(),
        "labd takes it up within seconds, or when it is started next, encrypts every secret anew, and logs when older keys can go"
    )?;
    Ok(())
}

/// One line on stderr: what failed, and each cause beneath.
fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    // Nobody is left to be told that stderr is closed.
    let _ = writeln!(std::io::stderr(), "labd: {error:#}");
    ExitCode::from(code)
}
