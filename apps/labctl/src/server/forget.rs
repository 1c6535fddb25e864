//! `labctl forget`: gives machines up.

use super::{
    chosen::{self, Machines, Manner},
    describe::bytes,
};
use crate::{
    failure::{Exit, Failure, Outcome, Several},
    object::wait,
    output,
    session::Session,
};
use lab_client::{DeleteParams, Deleted};
use lab_kinds::metal::Server;
use lab_object::Json;
use serde_json::json;
use std::time::Duration;

/// Stands in an object that labd holds until the disks are wiped.
const FINALIZER: &str = "metal.lab/wipe";
/// How long that may take to appear.
const HOLDING: Duration = Duration::from_secs(30);

/// Give machines up: delete their objects, and wipe their disks if asked to
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl forget db-1
  labctl forget db-1 --wipe           its disks are wiped at its next boot, and then it is gone
  labctl forget --status registered --yes")]
pub struct Args {
    #[command(flatten)]
    machines: Machines,
    /// Wipe the disks first: the machine boots once more to do so
    #[arg(long)]
    wipe: bool,
    #[command(flatten)]
    manner: Manner,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let servers = args.machines.find(session).await?;
    let mut several = Several::default();
    let gone = chosen::each(&servers, &mut several, async |server| one(&args, session, server).await).await;
    if args.wipe && !gone.is_empty() && !args.manner.dry_run {
        several.note(chosen::expect_bastion(session, "wipes disks").await);
    }
    several.finish()
}

async fn one(args: &Args, session: &Session, server: &Server) -> Outcome<bool> {
    let called = chosen::called(server);
    if !args.manner.yes && !args.manner.dry_run {
        let disks = &server.status.disks;
        if args.wipe {
            for disk in disks {
                let text = format!("  {}  {}  serial {}", disk.name, bytes(disk.size_bytes), disk.serial);
                output::note(&format!("{text}: will be wiped"));
            }
        }
        let what = if args.wipe { "Wipe its disks and forget" } else { "Forget" };
        if !args.manner.confirm(&format!("{what} {called}?"))? {
            output::note(&format!("{called} stays."));
            return Ok(false);
        }
    }
    let wanted = if args.wipe { "wipe" } else { "keep" };
    chosen::change(session, server, json!({"whenDeleted": wanted}), args.manner.dry_run).await?;
    if args.wipe && !args.manner.dry_run {
        await_hold(session, server).await?;
    }
    let params = DeleteParams {
        uid: server.metadata.uid.clone(),
        dry_run: args.manner.dry_run,
        ..DeleteParams::default()
    };
    let deleted = chosen::api(session).delete(chosen::name(server), &params).await?;
    let held = matches!(&deleted, Deleted::Going(server) if !server.metadata.finalizers.is_empty());
    let done = if held { "to be forgotten once its disks are wiped" } else { "forgotten" };
    chosen::tell(server, done, args.manner.dry_run)?;
    Ok(true)
}

/// labd holds the object until the disks are wiped; before it does, the object would be gone at once.
async fn await_hold(session: &Session, server: &Server) -> Outcome {
    let held = |object: Option<&Json>| {
        let finalizers = object.and_then(|object| object.pointer("/metadata/finalizers")?.as_array());
        object.is_none() || finalizers.is_some_and(|all| all.iter().any(|one| one == FINALIZER))
    };
    let api = chosen::api(session).of::<Json>();
    let waited = tokio::time::timeout(HOLDING, wait::until(&api, chosen::name(server), held)).await;
    if waited.is_err() {
        let message =
            format!("{}: labd does not see to wiping, so it was not forgotten", chosen::called(server));
        return Err(Failure::new(Exit::Timeout, message)
            .with_hint("without --wipe it is forgotten, and what is on its disks stays"));
    }
    Ok(())
}
