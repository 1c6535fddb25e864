//! `lab-agent status`: how this machine stands with labd.

use super::{
    place::{Config, Place},
    state::State,
};
use lab_client::Identity;
use std::process::ExitCode;

/// Show how this machine stands with labd; the exit code is 0 when it is in reach
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub fn run(Args { place }: &Args) -> anyhow::Result<ExitCode> {
    let config = Config::read(&place.config)?;
    match &config {
        Some(config) => println!("server       {}", config.server),
        None => println!("server       none: there is no {}", place.config.display()),
    }
    match Identity::open(&place.identity())? {
        Some(identity) => {
            println!("identity     {}\ncertificate  until {}", identity.name(), identity.expires())
        }
        None if place.token().exists() => println!("identity     none yet: a join token lies ready"),
        None => println!("identity     none: `lab-agent join` makes one"),
    }
    let state = State::read(&place.state());
    let since = |state: &State| state.since.map(|at| format!(" since {at:.0}")).unwrap_or_default();
    match &state {
        None => println!("daemon       not running"),
        Some(state) if state.connected => println!("daemon       connected{}", since(state)),
        Some(state) => {
            let why = state.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            println!("daemon       not connected{}{why}", since(state));
        }
    }
    let in_reach = state.is_some_and(|state| state.connected);
    Ok(if in_reach { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
