//! `labctl patch`: changes fields of objects.

use super::{
    create::Writing,
    selection::{self, Objects},
};
use crate::{
    failure::{Failure, Outcome, Several},
    object::manifest,
    session::Session,
};
use lab_client::{Patch, PatchParams};
use lab_object::Json;
use std::path::PathBuf;

/// Change fields of objects
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl patch srv db-1 -p '{\"spec\":{\"role\":\"worker\"}}'
  labctl patch srv db-1 -p 'spec: {hostname: null}'               removes a field
  labctl patch srv db-1 --type json -p '[{\"op\":\"remove\",\"path\":\"/spec/hostname\"}]'
  labctl patch srv db-1 --subresource status -p 'status: {phase: Ready}'")]
pub struct Args {
    #[command(flatten)]
    objects: Objects,
    /// The patch, as JSON or YAML
    #[arg(
        long,
        short,
        value_name = "PATCH",
        conflicts_with = "patch_file",
        required_unless_present = "patch_file"
    )]
    patch: Option<String>,
    /// A file with the patch
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    patch_file: Option<PathBuf>,
    /// The kind of patch
    #[arg(long = "type", value_enum, value_name = "TYPE", default_value = "merge")]
    kind: PatchType,
    /// The part of the object that is changed, such as status
    #[arg(long, value_name = "PART")]
    subresource: Option<String>,
    #[command(flatten)]
    write: Writing,
}

/// The kind of patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PatchType {
    /// Fields to set, null for those to remove (RFC 7396)
    Merge,
    /// Operations (RFC 6902)
    Json,
    /// Kubernetes' strategic merge, for its own kinds
    Strategic,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let (origin, text) = match (&args.patch, &args.patch_file) {
        (Some(text), _) => ("--patch".to_owned(), text.clone()),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Failure::usage(format!("cannot read {}: {e}", path.display())))?;
            (path.display().to_string(), text)
        }
        (None, None) => return Err(Failure::usage("give the change with -p or --patch-file")),
    };
    let document = manifest::document(&origin, &text)?;
    let refuse = |why: &str| Err(Failure::usage(format!("{origin}: {why}")));
    let patch = match args.kind {
        PatchType::Json if !document.is_array() => return refuse("a JSON patch is a list of operations"),
        PatchType::Merge | PatchType::Strategic if !document.is_object() => {
            return refuse("a merge patch is an object of the fields to change");
        }
        PatchType::Json => Patch::Json(document),
        PatchType::Merge => Patch::Merge(document),
        PatchType::Strategic => Patch::Strategic(document),
    };
    let params = PatchParams { write: args.write.params(), force: false };
    let mut several = Several::default();
    for (target, name) in args.objects.find(session).await? {
        let api = target.api(session, &session.namespace);
        let outcome = match api.get(&name).await {
            Err(e) => Err(selection::explain_missing(session, &target, &session.namespace, &name, e).await),
            Ok(found) => {
                let own = found.pointer("/metadata/name").and_then(Json::as_str).unwrap_or(&name);
                match api.patch_part(own, args.subresource.as_deref(), &patch, &params).await {
                    // Not by the revision: an object that goes with its last finalizer keeps it.
                    Ok(now) if now == found && !args.write.dry_run => args.write.tell(&now, "unchanged"),
                    Ok(now) => args.write.tell(&now, "patched"),
                    Err(e) => Err(e.into()),
                }
            }
        };
        several.note(outcome);
    }
    several.finish()
}
