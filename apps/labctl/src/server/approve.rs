//! `labctl approve`: approves a machine's plan, by its hash.

use super::{
    chosen::{self, Machines},
    plan, progress,
};
use crate::{
    failure::{Exit, Failure, Outcome, Several},
    object::wait,
    output,
    session::Session,
};
use lab_kinds::metal::Server;
use lab_object::Json;
use serde_json::json;
use std::time::Duration;

/// Approve a machine's plan, after it was shown
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl approve db-1
  labctl approve db-1 --plan sha256:6b86… --yes
  labctl approve --status planned --yes --watch

What is approved is the plan that was shown, by its hash: when the disks or the wishes change, approval is needed again.")]
pub struct Args {
    #[command(flatten)]
    machines: Machines,
    /// The hash the plan must have, or its beginning
    #[arg(long, value_name = "HASH")]
    plan: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Follow the installation to its end
    #[arg(long, short)]
    watch: bool,
    /// Let the server check everything, but keep nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let mut several = Several::default();
    let mut approved = Vec::new();
    for server in args.machines.find(session).await? {
        match one(&args, session, &server).await {
            Ok(true) => approved.push(chosen::name(&server).to_owned()),
            Ok(false) => {}
            Err(failure) => several.note(Err(failure)),
        }
    }
    if !approved.is_empty() && !args.dry_run {
        several.note(chosen::expect_bastion(session, "carries plans out").await);
        if args.watch {
            several.note(progress::follow(session, &approved).await);
        }
    }
    several.finish()
}

async fn one(args: &Args, session: &Session, server: &Server) -> Outcome<bool> {
    let hash = hash_of(server)?;
    if let Some(wanted) = &args.plan {
        let digits = |hash: &str| hash.trim_start_matches("sha256:").to_lowercase();
        // A beginning must be long enough to mean one plan.
        if digits(wanted).len() < 6 {
            return Err(Failure::usage(format!("--plan: {wanted:?} is too short: at least 6 digits")));
        }
        if !digits(&hash).starts_with(&digits(wanted)) {
            let message = format!("{}: the plan is {hash}, not {wanted}", chosen::called(server));
            return Err(
                Failure::new(Exit::Conflict, message).with_hint("`labctl plan` shows what it has become")
            );
        }
    }
    if server.spec.install.as_ref().and_then(|i| i.approve.as_ref()) == Some(&hash) {
        chosen::tell(server, "approved already", false)?;
        return Ok(true);
    }
    if let Some(plan) = &server.status.plan
        && !args.yes
    {
        output::note(&plan::render(server, plan));
    }
    if !args.dry_run
        && !chosen::confirm(&format!("Approve the plan for {}?", chosen::called(server)), args.yes)?
    {
        output::note(&format!("{} is not approved.", chosen::called(server)));
        return Ok(false);
    }
    let approved =
        chosen::change(session, server, json!({"install": {"approve": hash}}), args.dry_run).await?;
    chosen::tell(&approved, "approved", args.dry_run)?;
    Ok(true)
}

/// The hash of the plan that stands, or why there is none.
fn hash_of(server: &Server) -> Outcome<String> {
    let plan = server.status.plan.as_ref().ok_or_else(|| plan::missing(server))?;
    if let Some(why) = &plan.refused {
        return Err(plan::refused(server, why));
    }
    plan.hash.clone().ok_or_else(|| plan::missing(server))
}

/// How long a plan may take to be made.
const PLANNING: Duration = Duration::from_secs(300);

/// Waits until there is a plan for what the machine is to be now, and approves it.
pub async fn when_planned(session: &Session, server: &Server) -> Outcome {
    let generation = server.metadata.generation.unwrap_or_default();
    let of_now = |object: Option<&Json>| {
        let plan = object.and_then(|o| o.pointer("/status/plan"));
        let observed = plan.and_then(|p| p.get("observedGeneration")?.as_i64()).unwrap_or_default();
        plan.is_some() && observed >= generation
    };
    let api = chosen::api(session).of::<Json>();
    let name = chosen::name(server);
    let waited = tokio::time::timeout(PLANNING, wait::until(&api, name, of_now)).await;
    if waited.is_err() {
        let message = format!("{}: no plan after {} s", chosen::called(server), PLANNING.as_secs());
        return Err(
            Failure::new(Exit::Timeout, message).with_hint("`labctl progress` shows what it is doing")
        );
    }
    let server = chosen::api(session).get(name).await?;
    let hash = hash_of(&server)?;
    let approved = chosen::change(session, &server, json!({"install": {"approve": hash}}), false).await?;
    chosen::tell(&approved, "approved", false)
}
