//! Completion in the shell: kinds from the registry, live names from the server.

use crate::{
    cli::Cli,
    failure::Outcome,
    kind,
    session::Session,
    settings::{self, Globals},
};
use clap::{CommandFactory, FromArgMatches};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use lab_client::{IncludeObject, ListParams};
use lab_object::{Json, table::Table};
use std::{ffi::OsStr, time::Duration};

/// How long the server may take before nothing is offered.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Fixed words.
pub fn words(words: &'static [&'static str]) -> ArgValueCandidates {
    ArgValueCandidates::new(move || words.iter().map(CompletionCandidate::new).collect())
}

/// Names of kinds.
pub fn kinds() -> ArgValueCandidates {
    ArgValueCandidates::new(|| kind_names(""))
}

/// Names of the kubeconfig's contexts.
pub fn contexts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let config = settings::kubeconfig(&typed_globals());
        config
            .map(|c| c.contexts().into_iter().map(|c| CompletionCandidate::new(c.name)).collect())
            .unwrap_or_default()
    })
}

/// Names of namespaces.
pub fn namespaces() -> ArgValueCandidates {
    ArgValueCandidates::new(|| names("namespaces"))
}

/// Names of objects of one kind.
pub fn names_of(kind: &'static str) -> ArgValueCandidates {
    ArgValueCandidates::new(move || names(kind))
}

/// A kind, or names of the kind that was typed before, or kind/name.
pub fn objects() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let current = current.to_string_lossy();
        if let Some((kind, part)) = current.split_once('/') {
            let found = names(kind).into_iter().map(|c| c.add_prefix(format!("{kind}/")));
            return found
                .filter(|c| c.get_value().to_string_lossy().starts_with(&format!("{kind}/{part}")))
                .collect();
        }
        let found = match typed_kind() {
            Some(kind) => names(&kind),
            None => kind_names(&current),
        };
        found.into_iter().filter(|c| c.get_value().to_string_lossy().starts_with(&*current)).collect()
    })
}

fn kind_names(current: &str) -> Vec<CompletionCandidate> {
    let registry = lab_kinds::registry();
    let mut found: Vec<CompletionCandidate> = Vec::new();
    for kind in registry.kinds() {
        let help = format!("{} ({})", kind.kind, kind.api_version());
        found.push(CompletionCandidate::new(&kind.plural).help(Some(help.clone().into())));
        // Shorter names are offered to whoever begins to type one.
        if !current.is_empty() {
            let others = kind.short_names.iter().chain([&kind.singular]);
            found.extend(others.map(|name| CompletionCandidate::new(name).help(Some(help.clone().into()))));
        }
    }
    found
}

/// The words typed so far, as the shell hands them over: behind `--`, ours first.
fn typed() -> Vec<String> {
    let mut words = std::env::args().skip_while(|w| w != "--").skip(1);
    words.next();
    words.collect()
}

/// The kind that was typed: the first word after the verb that is a kind's name and not the one being completed.
fn typed_kind() -> Option<String> {
    let words = typed();
    let (_, before) = words.split_last()?;
    let verb = before.iter().position(|w| Cli::command().find_subcommand(w).is_some())?;
    before[verb + 1..].iter().find(|word| kind::compiled_in(word).is_some()).cloned()
}

/// The connection flags among the words typed so far.
fn typed_globals() -> Globals {
    let words = typed();
    let command = Globals::augment_args_of(clap::Command::new("labctl").no_binary_name(true));
    let flags = words.windows(2).filter(|pair| pair[0].starts_with('-')).flat_map(|pair| {
        let known = command.get_arguments().any(|a| {
            a.get_long().is_some_and(|l| pair[0] == format!("--{l}"))
                || a.get_short().is_some_and(|s| pair[0] == format!("-{s}"))
        });
        if known { vec![pair[0].clone(), pair[1].clone()] } else { Vec::new() }
    });
    let flags: Vec<String> = flags.collect();
    let matches = command.try_get_matches_from(flags).ok();
    matches.and_then(|m| Globals::from_arg_matches(&m).ok()).unwrap_or_default()
}

/// Names of objects, asked of the server; none when it does not answer at once.
fn names(kind: &str) -> Vec<CompletionCandidate> {
    let Ok(runtime) = crate::cli::runtime() else { return Vec::new() };
    let ask = async {
        let session = Session::open(&typed_globals())?;
        let target = kind::resolve_one(&session, kind).await?;
        let api = target.api(&session, &session.namespace);
        let params = ListParams { limit: Some(1000), ..ListParams::default() };
        let table: Table<Json> = api.list_table(&params, IncludeObject::None).await?;
        Ok(candidates(&table))
    };
    let found: Outcome<Vec<CompletionCandidate>> =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, ask).await.unwrap_or(Ok(Vec::new())) });
    found.unwrap_or_default()
}

/// Names, and beside each what its first columns say.
fn candidates(table: &Table<Json>) -> Vec<CompletionCandidate> {
    let name = table.column_definitions.iter().position(|c| c.name == "Name").unwrap_or(0);
    let candidate = |row: &lab_object::table::Row<Json>| {
        let others = row.cells.iter().enumerate().filter(|(i, _)| *i != name).take(3);
        let help: Vec<&str> = others.filter_map(|(_, c)| c.as_str()).filter(|c| !c.is_empty()).collect();
        let help = (!help.is_empty()).then(|| help.join(" ").into());
        Some(CompletionCandidate::new(row.cells.get(name)?.as_str()?).help(help))
    };
    table.rows.iter().filter_map(candidate).collect()
}

trait AugmentArgs {
    fn augment_args_of(command: clap::Command) -> clap::Command;
}

impl AugmentArgs for Globals {
    fn augment_args_of(command: clap::Command) -> clap::Command {
        <Self as clap::Args>::augment_args(command)
    }
}
