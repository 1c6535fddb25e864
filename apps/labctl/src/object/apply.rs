//! `labctl apply`: brings objects to what files say, by server-side apply.

use super::{
    create::{Writing, namespace_of},
    manifest::{Files, Manifest},
};
use crate::{
    failure::{Exit, Failure, Outcome},
    kind,
    session::Session,
};
use lab_client::{Patch, PatchParams};

/// Bring objects to what files say
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl apply -f server.yaml
  labctl apply -f site/ -R
  labctl apply -f network.yaml --dry-run -o yaml

Fields that the files no longer name, and that nobody else manages, are taken away. Where another manager set a
field differently, nothing is changed and exit code 4 tells so; --force-conflicts takes the field over.")]
pub struct Args {
    #[command(flatten)]
    files: Files,
    /// Take over fields that others manage
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    write: Writing,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    args.files.each("apply", async |manifest| one(&args, session, manifest).await).await
}

async fn one(args: &Args, session: &Session, manifest: &Manifest) -> Outcome {
    let target = kind::of_object(session, manifest.text("/apiVersion"), manifest.text("/kind")).await?;
    let name = manifest.name()?;
    let api = target.api(session, &namespace_of(session, manifest)?);
    let before = api.get_opt(name).await?;
    let params = PatchParams { write: args.write.params(), force: args.force_conflicts };
    let applied = api.patch(name, &Patch::Apply(manifest.object.clone()), &params).await.map_err(conflict)?;
    let done = match before {
        None => "created",
        Some(before) if before == applied => "unchanged",
        Some(_) => "configured",
    };
    args.write.tell(&applied, done)
}

fn conflict(error: lab_client::Error) -> Failure {
    let failure = Failure::from(error);
    if failure.exit == Exit::Conflict {
        return failure.with_hint("--force-conflicts takes these fields over; or leave them out of the file");
    }
    failure
}
