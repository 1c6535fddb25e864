//! `labctl forget`: gives machines up.

use super::{
    chosen::{self, Machines},
    describe::bytes,
};
use crate::{
    failure::{Outcome, Several},
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
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Let the server check everything, but keep nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let mut several = Several::default();
    let mut wiping = false;
    for server in args.machines.find(session).await? {
        let outcome = one(&args, session, &server).await;
        wiping |= args.wipe && matches!(outcome, Ok(true));
        several.note(outcome.map(drop));
    }
    if wiping && !args.dry_run {
        several.note(chosen::expect_bastion(session, "wipes disks").await);
    }
    several.finish()
}

async fn one(args: &Args, session: &Session, server: &Server) -> Outcome<bool> {
    let called = chosen::called(server);
    if !args.yes && !args.dry_run {
        let disks = &server.status.disks;
        if args.wipe {
            for disk in disks {
                let text = format!("  {}  {}  serial {}", disk.name, bytes(disk.size_bytes), disk.serial);
                output::note(&format!("{text}: will be wiped"));
            }
        }
        let what = if args.wipe { "Wipe its disks and forget" } else { "Forget" };
        if !chosen::confirm(&format!("{what} {called}?"), false)? {
            output::note(&format!("{called} stays."));
            return Ok(false);
        }
    }
    let wanted = if args.wipe { "wipe" } else { "keep" };
    chosen::change(session, server, json!({"whenDeleted": wanted}), args.dry_run).await?;
    let params =
        DeleteParams { uid: server.metadata.uid.clone(), dry_run: args.dry_run, ..DeleteParams::default() };
    let deleted = chosen::api(session).delete(chosen::name(server), &params).await?;
    let held = matches!(&deleted, Deleted::Going(server) if !server.metadata.finalizers.is_empty());
    let done = if held { "to be forgotten once its disks are wiped" } else { "forgotten" };
    chosen::tell(server, done, args.dry_run)?;
    Ok(true)
}
