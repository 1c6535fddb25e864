//! `labctl reprovision`: has installed machines installed again.

use super::{
    chosen::{self, Machines, Manner},
    progress,
};
use crate::{
    failure::{Exit, Failure, Outcome, Several},
    output,
    session::Session,
};
use lab_kinds::metal::Server;
use serde_json::json;

/// Have installed machines installed again, keeping what their layout preserves
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl reprovision db-1
  labctl reprovision db-1 --os debian-13
  labctl reprovision --role worker --environment dev --yes

A plan is made and must be approved, as for the first time: `labctl plan`, then `labctl approve`.")]
pub struct Args {
    #[command(flatten)]
    machines: Machines,
    /// Another OperatingSystem
    #[arg(long = "os", value_name = "NAME", add = crate::complete::names_of("operatingsystems"))]
    operating_system: Option<String>,
    /// Another DiskLayout
    #[arg(long, value_name = "NAME", add = crate::complete::names_of("disklayouts"))]
    layout: Option<String>,
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
    let names = chosen::each(&servers, &mut several, async |server| one(&args, session, server).await).await;
    if !names.is_empty() && !args.manner.dry_run {
        several.note(chosen::expect_bastion(session, "makes plans").await);
        output::note(&format!("Next: `labctl plan {0}`, then `labctl approve {0}`.", names.join(" ")));
        if args.watch {
            several.note(progress::follow(session, &names).await);
        }
    }
    several.finish()
}

async fn one(args: &Args, session: &Session, server: &Server) -> Outcome<bool> {
    let called = chosen::called(server);
    let Some(install) = &server.spec.install else {
        return Err(Failure::new(Exit::Failed, format!("{called}: nothing was ever to be installed on it"))
            .with_hint(format!("`labctl provision {} --os NAME --role ROLE`", chosen::name(server))));
    };
    let done = server.status.install.as_ref().and_then(|i| i.reprovision);
    let next = install.reprovision.max(done).unwrap_or_default().saturating_add(1);
    let system = args.operating_system.as_deref().unwrap_or(&install.operating_system);
    let question =
        format!("Install {called} again with {system}? What its layout does not preserve will be lost.");
    if !args.manner.confirm(&question)? {
        output::note(&format!("{called} stays as it is."));
        return Ok(false);
    }
    let mut fields = json!({"install": {"reprovision": next, "approve": null, "operatingSystem": system}});
    if let Some(layout) = &args.layout {
        fields["install"]["layout"] = layout.as_str().into();
    }
    let changed = chosen::change(session, server, fields, args.manner.dry_run).await?;
    chosen::tell(&changed, &format!("to be installed again with {system}"), args.manner.dry_run)?;
    Ok(true)
}
