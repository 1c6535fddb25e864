//! `lab-agent leave`: takes away everything that the agent has on this machine.

use super::place::Place;
use anyhow::Context;
use lab_client::Identity;
use lab_host::command::{Call, Processes, Run};
use lab_install::agent::{PROGRAM, SERVICE, UNIT};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Stop the daemon, and remove its key, certificate and configuration from this machine
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Leave systemd alone: the daemon was started by hand, and has been stopped
    #[arg(long)]
    keep_service: bool,
}

/// Runs the command.
pub fn run(Args { place, keep_service }: &Args) -> anyhow::Result<()> {
    let name = Identity::open(&place.identity()).ok().flatten().map(|identity| identity.name());
    let mut gone = Vec::new();
    if !keep_service {
        stop();
        // A package's own are the package's to remove.
        gone.extend([UNIT, PROGRAM].map(PathBuf::from));
        // What is left of an executable that was being sent.
        gone.push(format!("{PROGRAM}.new").into());
    }
    if place.sshd().take_away()? {
        println!("sshd takes labd's certificates no more");
    }
    gone.extend([place.token(), place.config.clone(), place.state_dir.clone(), place.run_dir.clone()]);
    for path in gone {
        if remove(&path).with_context(|| format!("cannot remove {}", path.display()))? {
            println!("removed {}", path.display());
        }
    }
    if let Some(parent) = place.config.parent() {
        // Others may have something in it.
        let _ = fs::remove_dir(parent);
    }
    match name {
        Some(name) => println!(
            "labd still knows this machine as {name}: `labctl forget` makes it forget, and its certificate counts no more"
        ),
        None => println!("this machine had not joined"),
    }
    Ok(())
}

/// Has systemd stop the daemon, where there is systemd.
fn stop() {
    for arguments in [&["disable", "--now", SERVICE][..], &["daemon-reload"]] {
        match Processes.run(&Call::new("systemctl", arguments.iter().copied())) {
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "there is no systemd"),
        }
    }
}

/// Removes a file or a folder with all that is in it; whether there was one.
fn remove(path: &Path) -> io::Result<bool> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
