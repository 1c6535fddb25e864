//! `labctl approve`: approves a machine's plan, by its hash.

use super::{
    chosen::{self, Machines, Manner},
    plan, progress,
};
use crate::{
    failure::{Exit, Failure, Outcome, Several},
    object::wait,
    output,
    session::Session,
};
use lab_install::approval::{self, Unapproved};
use lab_kinds::metal::{Server, server::Plan};
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
    /// Follow the installation to its end
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    manner: Manner,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let servers = args.machines.find(session).await?;
    let mut several = Several::default();
    let approved =
        chosen::each(&servers, &mut several, async |server| one(&args, session, server).await).await;
    if !approved.is_empty() && !args.manner.dry_run {
        several.note(chosen::expect_bastion(session, "carries plans out").await);
        if args.watch {
            several.note(progress::follow(session, &approved).await);
        }
    }
    several.finish()
}

async fn one(args: &Args, session: &Session, server: &Server) -> Outcome<bool> {
    let plan = approvable(server)?;
    let hash = plan.hash.clone().unwrap_or_default();
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
    if approval::approved(server, plan).is_ok() {
        chosen::tell(server, "approved already", false)?;
        return Ok(true);
    }
    if !args.manner.yes {
        output::note(&plan::render(server, plan));
    }
    let called = chosen::called(server);
    let question = format!("Approve the plan for {called}? {}.", meaning(plan));
    if !args.manner.confirm(&question)? {
        output::note(&format!("{} is not approved.", chosen::called(server)));
        return Ok(false);
    }
    let approved =
        chosen::change(session, server, json!({"install": {"approve": hash}}), args.manner.dry_run).await?;
    chosen::tell(&approved, "approved", args.manner.dry_run)?;
    Ok(true)
}

/// What is agreed to, as a sentence without its full stop.
fn meaning(plan: &Plan) -> String {
    match approval::losses(plan).len() {
        0 => "Nothing that is on a disk now is lost".into(),
        1 => "What is listed above as lost will be destroyed".into(),
        many => format!("The {many} things listed above as lost will be destroyed"),
    }
}

/// The plan that stands, if it is one that can be approved; or why it is not.
fn approvable(server: &Server) -> Outcome<&Plan> {
    let plan = server.status.plan.as_ref().ok_or_else(|| plan::missing(server))?;
    match approval::approved(server, plan) {
        Err(Unapproved::Refused { .. }) => {
            Err(plan.refused.as_ref().map_or_else(|| plan::missing(server), |why| plan::refused(server, why)))
        }
        Err(why @ (Unapproved::OtherMachine { .. } | Unapproved::Altered { .. })) => {
            Err(Failure::new(Exit::Failed, format!("{}: {why}", chosen::called(server)))
                .with_hint(format!("`labctl reprovision {}` has another one made", chosen::name(server))))
        }
        Ok(()) | Err(Unapproved::Waiting { .. } | Unapproved::Stale { .. }) => Ok(plan),
    }
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
    let hash = &approvable(&server)?.hash;
    let approved = chosen::change(session, &server, json!({"install": {"approve": hash}}), false).await?;
    chosen::tell(&approved, "approved", false)
}
