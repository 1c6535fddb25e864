//! `labctl forget`: gives machines up.

use super::{
    chosen::{self, Machines, Manner},
    describe::bytes,
};
use crate::{
    failure::{Exit, Failure, Outcome, Several},
    output,
    session::Session,
};
use lab_client::{DeleteParams, Deleted};
use lab_kinds::metal::Server;
use serde_json::json;

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
    // Whoever wipes holds the object with a finalizer until that is done; without one it would be gone at once.
    if args.wipe && server.metadata.finalizers.is_empty() {
        let message = format!("{called}: nobody wipes disks yet, so it was not forgotten");
        return Err(Failure::new(Exit::NotServed, message)
            .with_hint("without --wipe it is forgotten, and what is on its disks stays"));
    }
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
