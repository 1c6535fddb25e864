//! `labctl edit`: an object in an editor, and back.
//!
//! What was written is never lost: when the server refuses it, or the object was changed meanwhile, the same text is
//! offered again with the reason above it; when editing is given up, the text stays in a file that is named.

use super::{manifest, selection};
use crate::{
    failure::{Exit, Failure, Outcome},
    kind::{self, Target},
    object::selection::Words,
    output::{self, document},
    session::Session,
};
use lab_client::{Api, WriteParams};
use lab_object::Json;
use std::{io::Write, path::PathBuf};

/// Edit an object in your editor
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl edit srv db-1
  LAB_EDITOR='code --wait' labctl edit network/lan

The editor is LAB_EDITOR, VISUAL or EDITOR, else vi. To give up, save the text unchanged or empty. When the server refuses
the text, or somebody changed the object meanwhile, your text is offered again with the reason above it.")]
pub struct Args {
    /// A kind and a name, or kind/name
    #[arg(required = true, value_name = "KIND NAME", add = crate::complete::objects())]
    words: Vec<String>,
    /// Edit a part of the object, such as status
    #[arg(long, value_name = "PART", value_parser = ["status"])]
    subresource: Option<String>,
    /// Show metadata.managedFields as well
    #[arg(long)]
    show_managed_fields: bool,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let (target, name) = match Words::read(&args.words)? {
        Words::Objects(pairs) if pairs.len() == 1 => {
            (kind::resolve_one(session, &pairs[0].0).await?, pairs[0].1.clone())
        }
        _ => return Err(Failure::usage("name one object to edit, such as `srv db-1` or `network/lan`")),
    };
    selection::check_name(&target, &name)?;
    let api = target.api(session, &session.namespace);
    let found = match api.get(&name).await {
        Ok(found) => found,
        Err(e) => {
            return Err(selection::explain_missing(session, &target, &session.namespace, &name, e).await);
        }
    };
    Editing { args, api, target, newest: found }.run().await
}

struct Editing {
    args: Args,
    api: Api<Json>,
    target: Target,
    /// The object as the server has it.
    newest: Json,
}

/// How often a text is offered again: an editor that is a script must not go on for ever.
const ROUNDS: usize = 50;

/// Why a text is offered again.
enum Again {
    /// It cannot be read, or the server refuses it: unchanged, it would be refused again.
    Refused(String),
    /// The object was changed meanwhile: unchanged, it is written over the newer one.
    Conflict(String),
}

impl Editing {
    async fn run(mut self) -> Outcome {
        let name =
            self.newest.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default().to_owned();
        let named = self.target.named(&name);
        let mut text = self.shown(&self.newest)?;
        let mut again: Option<Again> = None;
        for _ in 0..ROUNDS {
            let offered = format!("{}{text}", heading(again.as_ref()));
            let file = write_file(&self.target.resource.resource, &offered)?;
            let edited = edit(&file)?;
            let Some(edited) = edited else {
                return give_up(&named, again.is_some().then_some((file, text)), "the editor failed");
            };
            let edited = without_heading(&edited);
            if edited.trim().is_empty() {
                return give_up(&named, again.is_some().then_some((file, text)), "the text was emptied");
            }
            if edited == text && !matches!(again, Some(Again::Conflict(_))) {
                return match again {
                    None => Ok(output::line(&format!("{named} unchanged"))?),
                    Some(_) => give_up(&named, Some((file, text)), "the text was not changed"),
                };
            }
            text = edited;
            match self.submit(&name, &mut text).await {
                Ok(after) => {
                    let done = if after == self.newest { "unchanged" } else { "edited" };
                    return Ok(output::line(&format!("{named} {done}"))?);
                }
                Err(Submit::Again(reason)) => {
                    let (Again::Refused(why) | Again::Conflict(why)) = &reason;
                    output::warn(why.lines().next().unwrap_or_default());
                    again = Some(reason);
                }
                Err(Submit::Failed(failure)) => {
                    let kept = keep(&write_file(&self.target.resource.resource, &text)?);
                    return Err(failure.with_hint(format!("your text is kept in {}", kept.display())));
                }
            }
        }
        let file = write_file(&self.target.resource.resource, &text)?;
        give_up(&named, Some((file, text)), "the server refused every text")
    }

    fn shown(&self, object: &Json) -> Outcome<String> {
        let mut object = object.clone();
        if !self.args.show_managed_fields {
            document::without_managed_fields(&mut object);
        }
        document::yaml(&object)
    }

    /// Sends the text. On a conflict, `text` gets the newest resourceVersion.
    async fn submit(&mut self, name: &str, text: &mut String) -> Result<Json, Submit> {
        let edited = match manifest::document("your text", text) {
            Ok(edited) if edited.is_object() => edited,
            Ok(_) => return Err(Submit::Again(Again::Refused("your text is not an object".into()))),
            Err(failure) => return Err(Submit::Again(Again::Refused(failure.message))),
        };
        let own = edited.pointer("/metadata/name").and_then(Json::as_str);
        if own != Some(name) {
            let why = format!("metadata.name cannot be changed: it is {name:?}");
            return Err(Submit::Again(Again::Refused(why)));
        }
        let params = WriteParams::default();
        let sent = match self.args.subresource.as_deref() {
            Some("status") => self.api.update_status(name, &edited, &params).await,
            _ => self.api.update(name, &edited, &params).await,
        };
        let error = match sent {
            Ok(after) => return Ok(after),
            Err(error) => error,
        };
        match error.status().map(|s| s.code) {
            Some(409) => {
                let base = self.newest.clone();
                let newest = self.api.get(name).await.map_err(|e| Submit::Failed(e.into()))?;
                let fields = changed_fields(&base, &newest);
                let why = format!(
                    "{name} was changed by somebody else while you edited it ({}).\n\
                     Below is your text. Save it to write it over theirs; empty it to give up.",
                    if fields.is_empty() { "only metadata".into() } else { fields.join(", ") }
                );
                let mut edited = edited;
                edited["metadata"]["resourceVersion"] =
                    newest.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
                *text = document::yaml(&edited).map_err(Submit::Failed)?;
                self.newest = newest;
                Err(Submit::Again(Again::Conflict(why)))
            }
            Some(400 | 422) => Err(Submit::Again(Again::Refused(Failure::from(error).message))),
            _ => Err(Submit::Failed(error.into())),
        }
    }
}

enum Submit {
    Again(Again),
    Failed(Failure),
}

const HEADING: &str = "# ";

fn heading(again: Option<&Again>) -> String {
    let why = match again {
        None => {
            "Lines that begin with # at the top are left out. Save to change the object; leave unchanged to give up."
        }
        Some(Again::Refused(why) | Again::Conflict(why)) => why,
    };
    let mut text: String = why.lines().map(|line| format!("{HEADING}{line}\n")).collect();
    text.push_str("#\n");
    text
}

/// The text without the comments at its top.
fn without_heading(text: &str) -> String {
    let mut rest = text;
    while rest.starts_with('#') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest.to_owned()
}

/// The paths of fields, but those of metadata, in which two objects differ; at most eight.
fn changed_fields(before: &Json, after: &Json) -> Vec<String> {
    fn walk(path: &str, before: &Json, after: &Json, found: &mut Vec<String>) {
        match (before, after) {
            (Json::Object(a), Json::Object(b)) => {
                let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for key in keys {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    if path != "metadata" {
                        walk(
                            &path,
                            a.get(key).unwrap_or(&Json::Null),
                            b.get(key).unwrap_or(&Json::Null),
                            found,
                        );
                    }
                }
            }
            (a, b) if a != b => found.push(path.to_owned()),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk("", before, after, &mut found);
    if found.len() > 8 {
        let more = found.len() - 7;
        found.truncate(7);
        found.push(format!("{more} more"));
    }
    found
}

/// A file that only we may read: objects may hold secrets.
fn write_file(kind: &str, text: &str) -> Outcome<tempfile::NamedTempFile> {
    let failed = |e: std::io::Error| Failure::new(Exit::Failed, format!("cannot write a file to edit: {e}"));
    let mut file = tempfile::Builder::new()
        .prefix(&format!("labctl-{kind}-"))
        .suffix(".yaml")
        .tempfile()
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.flush().map_err(failed)?;
    Ok(file)
}

/// Runs the editor; yields the text, or `None` when the editor failed.
fn edit(file: &tempfile::NamedTempFile) -> Outcome<Option<String>> {
    let from = |name| std::env::var(name).ok().filter(|v: &String| !v.trim().is_empty());
    let editor = ["LAB_EDITOR", "VISUAL", "EDITOR"].into_iter().find_map(from).unwrap_or_else(|| "vi".into());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi").to_owned();
    let arguments = words.map(std::ffi::OsStr::new).chain([file.path().as_os_str()]);
    let done = lab_host::command::interactive(&program, arguments).map_err(|e| {
        Failure::new(Exit::Failed, format!("cannot start the editor {program:?}: {e}"))
            .with_hint("LAB_EDITOR, VISUAL or EDITOR names the editor")
    })?;
    if !done {
        return Ok(None);
    }
    let text = std::fs::read_to_string(file.path())
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot read the edited text: {e}")))?;
    Ok(Some(text))
}

/// Ends without a change. A text that was written and could not be sent stays in its file.
fn give_up(named: &str, unsent: Option<(tempfile::NamedTempFile, String)>, why: &str) -> Outcome {
    let failure = Failure::new(Exit::Conflict, format!("{named} was not changed: {why}"));
    match unsent {
        None => {
            output::note(&format!("{named} was not changed: {why}"));
            Ok(())
        }
        Some((file, text)) => {
            let written = std::fs::write(file.path(), text);
            let path = keep(&file);
            match written {
                Ok(()) => Err(failure.with_hint(format!("your text is kept in {}", path.display()))),
                Err(_) => Err(failure),
            }
        }
    }
}

/// Lets the file stay.
fn keep(file: &tempfile::NamedTempFile) -> PathBuf {
    let path = file.path().with_extension("kept.yaml");
    match std::fs::copy(file.path(), &path) {
        Ok(_) => path,
        Err(_) => file.path().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_comments_at_the_top_are_left_out() {
        assert_eq!(without_heading("# a\n#\nb: 1\n# c\n"), "b: 1\n# c\n");
        assert_eq!(without_heading("# a"), "");
        assert_eq!(without_heading("b: 1"), "b: 1");
    }

    #[test]
    fn changed_fields_are_named() {
        let before = json!({"metadata": {"resourceVersion": "1"}, "spec": {"a": 1, "b": {"c": [1]}}});
        let after = json!({"metadata": {"resourceVersion": "2"}, "spec": {"a": 1, "b": {"c": [2]}, "d": 3}});
        assert_eq!(changed_fields(&before, &after), ["spec.b.c", "spec.d"]);
    }
}
