//! `labctl debug`: the rescue system at a machine's next boot, once.

use super::{
    chosen::{self, Machines, Manner},
    power,
};
use crate::{
    failure::{Failure, Outcome, Several},
    output,
    session::Session,
};
use lab_kinds::metal::Server;
use serde_json::json;
use std::path::PathBuf;

/// Give machines the rescue system at their next boot, once
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl debug db-1 --key ~/.ssh/id_ed25519.pub
  labctl debug db-1 --now             and switch it off and on again
  labctl debug db-1 --cancel")]
pub struct Args {
    #[command(flatten)]
    machines: Machines,
    /// A file with an OpenSSH public key that may log in, besides those the server has
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    key: Vec<PathBuf>,
    /// Switch the machine off and on again at once
    #[arg(long)]
    now: bool,
    /// Take it back, if it was not served yet
    #[arg(long, conflicts_with_all = ["now", "key"])]
    cancel: bool,
    #[command(flatten)]
    manner: Manner,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let keys = args.key.iter().map(read_key).collect::<Outcome<Vec<String>>>()?;
    let servers = args.machines.find(session).await?;
    let mut several = Several::default();
    let done =
        chosen::each(&servers, &mut several, async |server| one(&args, session, server, &keys).await).await;
    if !done.is_empty() && !args.manner.dry_run && !args.cancel {
        several.note(chosen::expect_bastion(session, "answers boots").await);
    }
    several.finish()
}

fn read_key(path: &PathBuf) -> Outcome<String> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("cannot read {}: {e}", path.display())))?;
    let key = text.trim();
    if key.contains("PRIVATE KEY") {
        return Err(Failure::usage(format!("{} is a private key", path.display()))
            .with_hint("give the file that ends in .pub"));
    }
    if key.lines().count() != 1 || key.split_whitespace().count() < 2 {
        return Err(Failure::usage(format!("{} is not one OpenSSH public key", path.display())));
    }
    Ok(key.into())
}

async fn one(args: &Args, session: &Session, server: &Server, keys: &[String]) -> Outcome<bool> {
    if args.cancel {
        let changed =
            chosen::change(session, server, json!({"boot": {"once": null}}), args.manner.dry_run).await?;
        chosen::tell(&changed, "boots as usual", args.manner.dry_run)?;
        return Ok(true);
    }
    let mut allowed = server.spec.admin.authorized_keys.clone();
    allowed.extend(keys.iter().filter(|k| !server.spec.admin.authorized_keys.contains(k)).cloned());
    if allowed.is_empty() {
        let message = format!("{}: nobody could log in: the server has no keys", chosen::called(server));
        return Err(Failure::usage(message).with_hint("--key ~/.ssh/id_ed25519.pub adds yours"));
    }
    let mut fields = json!({"boot": {"once": "debug"}, "admin": {"authorizedKeys": allowed}});
    if args.now {
        fields["power"] = power::cycle(server)?;
        if !power::may_be_cut(server, &args.manner)? {
            return Ok(false);
        }
    }
    let changed = chosen::change(session, server, fields, args.manner.dry_run).await?;
    chosen::tell(&changed, "boots the rescue system next time", args.manner.dry_run)?;
    if !args.now && !args.manner.dry_run {
        output::note("Restart the machine, or `labctl power cycle` it.");
    }
    Ok(true)
}
