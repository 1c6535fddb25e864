//! `labctl delete`: deletes objects, and waits until they are gone.

use super::{
    manifest::Files,
    selection::{self, Selectors},
};
use crate::{
    failure::{Exit, Failure, Outcome, Several},
    kind::{self, Target},
    object::wait,
    output,
    session::Session,
    settings::parse_duration,
};
use lab_client::{DeleteParams, Propagation};
use lab_object::Json;
use std::time::Duration;

/// Delete objects, and wait until they are gone
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl delete network lan
  labctl delete srv/db-1 srv/db-2
  labctl delete -f site/
  labctl delete servers -l rack=a --dry-run

To give a machine up with all that was made for it, see `labctl forget`.")]
pub struct Args {
    /// A kind and names, or kind/name …
    #[arg(value_name = "KIND NAME…", add = crate::complete::objects())]
    words: Vec<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    selectors: Selectors,
    /// All objects of the kind
    #[arg(long)]
    all: bool,
    /// What happens to the objects that these own
    #[arg(long, value_enum, value_name = "HOW", default_value = "background")]
    cascade: Cascade,
    /// Do not wait until the objects are gone
    #[arg(long)]
    no_wait: bool,
    /// How long to wait, such as 5m; by default for ever
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// Do not fail when an object does not exist
    #[arg(long)]
    ignore_not_found: bool,
    /// Let the server check everything, but delete nothing
    #[arg(long)]
    dry_run: bool,
    /// The form of the answer: name
    #[arg(long, short, value_name = "FORM", value_parser = ["name"])]
    output: Option<String>,
}

/// What happens to the objects that the deleted ones own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Cascade {
    /// They are deleted afterwards
    Background,
    /// They are deleted first
    Foreground,
    /// They stay
    Orphan,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let limit = match &args.timeout {
        None => None,
        Some(text) => Some(
            parse_duration(text)
                .ok_or_else(|| Failure::usage(format!("--timeout: {text:?} is not a duration such as 5m")))?,
        ),
    };
    let mut wanted: Vec<(Target, String, String)> = Vec::new();
    if args.files.files.is_empty() {
        for (target, name) in selection::objects(session, &args.words, &args.selectors, args.all).await? {
            wanted.push((target, session.namespace.clone(), name));
        }
        if wanted.is_empty() {
            output::note("Nothing to delete.");
        }
    } else {
        if !args.words.is_empty() || args.selectors.is_set() || args.all {
            return Err(Failure::usage("give files, or kinds and names: not both"));
        }
        // In the reverse of the order in which they would be created.
        for manifest in args.files.read()?.iter().rev() {
            let target =
                kind::of_object(session, manifest.text("/apiVersion"), manifest.text("/kind")).await?;
            wanted.push((
                target,
                super::create::namespace_of(session, manifest)?,
                manifest.name().map_err(|f| f.about(&manifest.origin))?.to_owned(),
            ));
        }
    }
    let mut several = Several::default();
    let mut going = Vec::new();
    for (target, namespace, name) in wanted {
        match one(&args, session, &target, &namespace, &name).await {
            Ok(Some((name, uid))) => going.push((target, namespace, name, uid)),
            Ok(None) => {}
            Err(failure) => several.note(Err(failure)),
        }
    }
    if !args.no_wait && !args.dry_run {
        for (target, namespace, name, uid) in going {
            several.note(gone(session, &target, &namespace, &name, &uid, limit).await);
        }
    }
    several.finish()
}

/// Deletes one object; yields its name and UID when it may still be there.
async fn one(
    args: &Args,
    session: &Session,
    target: &Target,
    namespace: &str,
    name: &str,
) -> Outcome<Option<(String, String)>> {
    let params = DeleteParams {
        propagation: Some(match args.cascade {
            Cascade::Background => Propagation::Background,
            Cascade::Foreground => Propagation::Foreground,
            Cascade::Orphan => Propagation::Orphan,
        }),
        dry_run: args.dry_run,
        ..DeleteParams::default()
    };
    let api = target.api(session, namespace);
    // Read first: the name may be another one that the object answers to.
    let found = match api.get(name).await {
        Ok(found) => found,
        Err(e) if e.is_not_found() && args.ignore_not_found => return Ok(None),
        Err(e) => return Err(selection::explain_missing(session, target, namespace, name, e).await),
    };
    let text = |pointer: &str| found.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
    let (own, uid) = (text("/metadata/name"), text("/metadata/uid"));
    match api.delete(&own, &params).await {
        Ok(_) => {}
        Err(e) if e.is_not_found() && args.ignore_not_found => return Ok(None),
        Err(e) => return Err(e.into()),
    }
    let named = target.named(&own);
    let dry = if args.dry_run { " (dry run)" } else { "" };
    output::line(&if args.output.is_some() { named } else { format!("{named} deleted{dry}") })?;
    Ok(Some((own, uid)))
}

/// Waits until an object is gone, or another of its name has taken its place.
async fn gone(
    session: &Session,
    target: &Target,
    namespace: &str,
    name: &str,
    uid: &str,
    limit: Option<Duration>,
) -> Outcome {
    let api = target.api(session, namespace);
    let waiting = wait::until(&api, name, |object| {
        object.is_none_or(|o| o.pointer("/metadata/uid").and_then(Json::as_str) != Some(uid))
    });
    let done = match limit {
        None => waiting.await,
        Some(limit) => match tokio::time::timeout(limit, waiting).await {
            Ok(done) => done,
            Err(_) => {
                let held = api
                    .get_opt(name)
                    .await
                    .ok()
                    .flatten()
                    .and_then(|o| o.pointer("/metadata/finalizers").cloned());
                let held = held.and_then(|f| {
                    f.as_array().map(|f| f.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", "))
                });
                let message = format!("{} is not gone after {} s", target.named(name), limit.as_secs());
                return Err(Failure::new(Exit::Timeout, message)
                    .with_hint(held.map(|by| format!("it is held by {by}")).unwrap_or_default()));
            }
        },
    };
    done.map(drop)
}
