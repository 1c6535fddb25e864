//! `labctl label`: sets and removes labels.

use super::selection::{self, Selectors};
use crate::{
    failure::{Exit, Failure, Outcome, Several},
    kind::Target,
    output,
    session::Session,
};
use lab_client::{Patch, PatchParams, WriteParams};
use lab_object::Json;
use serde_json::{Map, json};

/// Set and remove labels
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl label srv db-1 rack=a
  labctl label srv db-1 rack-                     removes it
  labctl label srv db-1 rack=b --overwrite
  labctl label servers --role worker tier=compute
  labctl label srv db-1 --list")]
pub struct Args {
    #[command(flatten)]
    marks: Marks,
}

/// What labelling and annotating have in common.
#[derive(Debug, clap::Args)]
pub struct Marks {
    /// A kind and names (or kind/name …), then KEY=VALUE to set and KEY- to remove
    #[arg(required = true, value_name = "KIND NAME… KEY=VALUE…", add = crate::complete::objects())]
    words: Vec<String>,
    #[command(flatten)]
    selectors: Selectors,
    /// All objects of the kind
    #[arg(long)]
    all: bool,
    /// Replace values that are set
    #[arg(long)]
    overwrite: bool,
    /// Only show what is set
    #[arg(long)]
    list: bool,
    /// Let the server check everything, but keep nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    mark(args.marks, session, "labels", "labelled").await
}

/// Sets and removes entries of `metadata.<map>`.
pub async fn mark(args: Marks, session: &Session, map: &str, done: &str) -> Outcome {
    let (words, changes) = split(&args.words)?;
    if changes.is_empty() && !args.list {
        return Err(Failure::usage(format!(
            "which {map}? give KEY=VALUE to set and KEY- to remove, or --list"
        )));
    }
    let mut several = Several::default();
    for (target, name) in selection::objects(session, &words, &args.selectors, args.all).await? {
        several.note(one(&args, session, &target, &name, map, &changes, done).await);
    }
    several.finish()
}

#[allow(clippy::too_many_arguments, reason = "each is a word of the command")]
async fn one(
    args: &Marks,
    session: &Session,
    target: &Target,
    name: &str,
    map: &str,
    changes: &[(String, Option<String>)],
    done: &str,
) -> Outcome {
    let api = target.api(session, &session.namespace);
    let found = match api.get(name).await {
        Ok(found) => found,
        Err(e) => return Err(selection::explain_missing(session, target, &session.namespace, name, e).await),
    };
    let own = found.pointer("/metadata/name").and_then(Json::as_str).unwrap_or(name).to_owned();
    let named = target.named(&own);
    let empty = Map::new();
    let now = found.pointer(&format!("/metadata/{map}")).and_then(Json::as_object).unwrap_or(&empty);
    if args.list {
        output::line(&format!("{named}:"))?;
        for (key, value) in now {
            output::line(&format!("  {key}={}", value.as_str().unwrap_or_default()))?;
        }
        return Ok(());
    }
    let mut entries = Map::new();
    for (key, value) in changes {
        let set = now.get(key).and_then(Json::as_str);
        match value {
            Some(value) if set == Some(value) => {}
            Some(value) => {
                if let (Some(set), false) = (set, args.overwrite) {
                    let message = format!("{named} has {key}={set} already");
                    return Err(Failure::new(Exit::Conflict, message).with_hint("--overwrite replaces it"));
                }
                entries.insert(key.clone(), value.clone().into());
            }
            None if set.is_some() => {
                entries.insert(key.clone(), Json::Null);
            }
            None => output::warn(&format!("{named} has no {key}")),
        }
    }
    if entries.is_empty() {
        return Ok(output::line(&format!("{named} unchanged"))?);
    }
    let mut metadata = json!({ map: entries });
    if !args.overwrite {
        // Nobody may have set one of them since it was looked at.
        metadata["resourceVersion"] = found.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
    }
    let write = WriteParams { dry_run: args.dry_run, ..WriteParams::default() };
    let params = PatchParams { write, force: false };
    api.patch(&own, &Patch::Merge(json!({"metadata": metadata})), &params).await?;
    let dry = if args.dry_run { " (dry run)" } else { "" };
    Ok(output::line(&format!("{named} {done}{dry}"))?)
}

/// Parts the words: those that name objects, then the changes.
#[allow(clippy::type_complexity, reason = "a pair of plain lists")]
fn split(words: &[String]) -> Outcome<(Vec<String>, Vec<(String, Option<String>)>)> {
    let is_change = |word: &String| word.contains('=') || (word.ends_with('-') && word.len() > 1);
    let first = words.iter().position(is_change).unwrap_or(words.len());
    let (objects, rest) = words.split_at(first);
    let mut changes = Vec::new();
    for word in rest {
        let change = match word.split_once('=') {
            Some((key, value)) if !key.is_empty() => (key.to_owned(), Some(value.to_owned())),
            None if word.ends_with('-') => (word[..word.len() - 1].to_owned(), None),
            _ => return Err(Failure::usage(format!("{word:?} is neither KEY=VALUE nor KEY-"))),
        };
        if changes.iter().any(|(key, _)| *key == change.0) {
            return Err(Failure::usage(format!("{:?} is given twice", change.0)));
        }
        changes.push(change);
    }
    Ok((objects.to_vec(), changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted() {
        let check = |words: &str, expected: &str| {
            let words: Vec<String> = words.split_whitespace().map(Into::into).collect();
            let told = match split(&words) {
                Ok((objects, changes)) => {
                    let changes = changes.iter().map(|(k, v)| format!("{k}:{v:?}")).collect::<Vec<_>>();
                    format!("{} | {}", objects.join(" "), changes.join(" "))
                }
                Err(failure) => failure.message,
            };
            assert_eq!(told, expected);
        };
        check("srv a b x=1 y- z=", r#"srv a b | x:Some("1") y:None z:Some("")"#);
        check("srv/a-b x=a=b", r#"srv/a-b | x:Some("a=b")"#);
        check("srv a =1", r#""=1" is neither KEY=VALUE nor KEY-"#);
        check("srv a x=1 b", r#""b" is neither KEY=VALUE nor KEY-"#);
        check("srv a x=1 x-", r#""x" is given twice"#);
    }
}
