//! `labctl power`: switches machines on and off.

use super::chosen::{self, Machines, Manner};
use crate::{
    failure::{Exit, Failure, Outcome, Several},
    output::{self, columns::Columns},
    session::Session,
};
use lab_kinds::metal::{Server, server::PowerState};
use lab_object::Json;
use serde_json::json;

/// Switch machines on and off, or show whether they are on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl power status --all
  labctl power on db-1 db-2
  labctl power off --environment dev --yes
  labctl power cycle db-1")]
pub struct Args {
    /// What to do
    #[arg(value_enum)]
    what: What,
    #[command(flatten)]
    machines: Machines,
    #[command(flatten)]
    manner: Manner,
}

/// What is done with the power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Switch on
    On,
    /// Switch off
    Off,
    /// Switch off and on again
    Cycle,
    /// Show whether they are on
    Status,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let servers = args.machines.find(session).await?;
    if args.what == What::Status {
        return status(&servers);
    }
    let mut several = Several::default();
    let switched =
        chosen::each(&servers, &mut several, async |server| one(&args, session, server).await).await;
    if !switched.is_empty() && !args.manner.dry_run {
        several.note(chosen::expect_bastion(session, "switches machines").await);
    }
    several.finish()
}

async fn one(args: &Args, session: &Session, server: &Server) -> Outcome<bool> {
    let (fields, done) = match args.what {
        What::On => (switchable(server).map(|()| json!({"state": "on"}))?, "to be switched on"),
        What::Off => (switchable(server).map(|()| json!({"state": "off"}))?, "to be switched off"),
        What::Cycle => (cycle(server)?, "to be switched off and on again"),
        What::Status => return Ok(false),
    };
    if args.what != What::On && !may_be_cut(server, &args.manner)? {
        return Ok(false);
    }
    let changed = chosen::change(session, server, json!({"power": fields}), args.manner.dry_run).await?;
    chosen::tell(&changed, done, args.manner.dry_run)?;
    Ok(true)
}

/// Asks before what runs on a machine is stopped.
pub fn may_be_cut(server: &Server, manner: &Manner) -> Outcome<bool> {
    let called = chosen::called(server);
    let agreed = manner.confirm(&format!("Take the power from {called}? What runs on it stops."))?;
    if !agreed {
        output::note(&format!("{called} stays on."));
    }
    Ok(agreed)
}

/// Whether there is a way to switch the machine.
fn switchable(server: &Server) -> Outcome {
    if server.spec.bmc.is_some() {
        return Ok(());
    }
    let message = format!("{}: there is no way to switch it: spec.bmc is not set", chosen::called(server));
    Err(Failure::new(Exit::NotServed, message)
        .with_hint("`labctl explain server.spec.bmc`; or press its button"))
}

/// `spec.power` that has the machine switched off and on again once.
pub fn cycle(server: &Server) -> Outcome<Json> {
    switchable(server)?;
    let next = server.spec.power.cycle.max(server.status.power.cycle).unwrap_or_default().saturating_add(1);
    Ok(json!({"state": "on", "cycle": next}))
}

fn word(state: Option<PowerState>) -> &'static str {
    match state {
        Some(PowerState::On) => "on",
        Some(PowerState::Off) => "off",
        None => "unknown",
    }
}

fn status(servers: &[Server]) -> Outcome {
    let mut columns = Columns::headed(["Name", "Power", "Wanted", "By"]);
    for server in servers {
        let wanted = match (server.spec.power.cycle, server.status.power.cycle) {
            (Some(wanted), done) if done.is_none_or(|done| done < wanted) => "cycle",
            _ if server.spec.power.state.is_none() => "as it is",
            _ => word(server.spec.power.state),
        };
        let by = server.spec.bmc.as_ref().map(|b| b.address.clone()).unwrap_or_default();
        columns.row(vec![chosen::called(server), word(server.status.power.state).into(), wanted.into(), by]);
    }
    Ok(output::text(&columns.render(output::coloured()))?)
}
