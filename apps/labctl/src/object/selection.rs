//! Which objects a command is about: kinds, names, selectors.

use crate::{
    failure::{Exit, Failure, Outcome},
    kind::{self, Target},
    session::Session,
};
use lab_client::{Error, IncludeObject, ListParams};
use lab_object::{Json, mac::MacAddress, table::Table};
use std::net::IpAddr;

/// What they stand under in a command's help.
pub const SELECTION: &str = "Selection";

/// Selectors that many commands take.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Selectors {
    /// Only objects with these labels, such as rack=a or 'tier in (x, y)'
    #[arg(help_heading = SELECTION, long, short = 'l', value_name = "LABELS")]
    pub selector: Option<String>,
    /// Only objects with these fields, such as status.phase=Installed
    #[arg(help_heading = SELECTION, long, value_name = "FIELDS")]
    pub field_selector: Option<String>,
    #[command(flatten)]
    pub servers: ServerFilters,
}

/// Objects, by name or by selector.
#[derive(Debug, Clone, clap::Args)]
pub struct Objects {
    /// A kind and names, or kind/name …
    #[arg(required = true, value_name = "KIND NAME…", add = crate::complete::objects())]
    words: Vec<String>,
    #[command(flatten)]
    selectors: Selectors,
    /// All objects of the kind
    #[arg(help_heading = SELECTION, long)]
    all: bool,
}

impl Objects {
    /// The objects that are meant.
    pub async fn find(&self, session: &Session) -> Outcome<Vec<(Target, String)>> {
        objects(session, &self.words, &self.selectors, self.all).await
    }
}

/// Filters that only servers have.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServerFilters {
    /// Only servers with this role: vanilla, worker, infra, labcontroller
    #[arg(help_heading = SELECTION, long, value_name = "ROLE", add = crate::complete::words(&ROLES))]
    pub role: Option<String>,
    /// Only servers in this phase, such as ready or installing
    #[arg(help_heading = SELECTION, long, value_name = "PHASE", add = crate::complete::words(&PHASES))]
    pub status: Option<String>,
    /// Only servers of this environment
    #[arg(help_heading = SELECTION, long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Only servers of this cloud
    #[arg(help_heading = SELECTION, long, value_name = "NAME")]
    pub cloud: Option<String>,
}

/// The roles a machine can have.
pub const ROLES: [&str; 4] = ["vanilla", "worker", "infra", "labcontroller"];
/// The phases of a machine's life.
pub const PHASES: [&str; 12] = [
    "Registered",
    "Discovering",
    "Discovered",
    "Planned",
    "Approved",
    "Installing",
    "Installed",
    "Ready",
    "Offline",
    "Debug",
    "Wiping",
    "Failed",
];

impl ServerFilters {
    /// The filters as a field selector.
    pub fn fields(&self) -> Outcome<Vec<String>> {
        let mut fields = Vec::new();
        if let Some(role) = &self.role {
            fields.push(format!("spec.role={}", one_of("--role", role, &ROLES)?));
        }
        if let Some(status) = &self.status {
            match one_of("--status", status, &PHASES)? {
                // Nobody has written a phase for a machine that was only entered.
                entered @ "Registered" => {
                    let others = PHASES.iter().filter(|phase| **phase != entered);
                    fields.extend(others.map(|phase| format!("status.phase!={phase}")));
                }
                phase => fields.push(format!("status.phase={phase}")),
            }
        }
        for (field, value) in [("spec.environment", &self.environment), ("spec.cloud", &self.cloud)] {
            fields.extend(value.as_ref().map(|value| format!("{field}={value}")));
        }
        Ok(fields)
    }

    /// Whether any is set.
    pub fn is_set(&self) -> bool {
        self.role.is_some() || self.status.is_some() || self.environment.is_some() || self.cloud.is_some()
    }
}

/// The word that is meant, in any case; or what the words are.
pub fn one_of(flag: &str, given: &str, words: &[&'static str]) -> Outcome<&'static str> {
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(given));
    found.copied().ok_or_else(|| {
        let near = kind::nearest(given, words.iter().copied());
        let failure = Failure::usage(format!("{flag}: {given:?} is not one of {}", words.join(", ")));
        failure.with_hint(kind::suggestion(&near))
    })
}

impl Selectors {
    /// Whether any is set.
    pub fn is_set(&self) -> bool {
        self.selector.is_some() || self.field_selector.is_some() || self.servers.is_set()
    }

    /// As what the server is asked.
    pub fn params(&self, target: &Target) -> Outcome<ListParams> {
        if self.servers.is_set() && !target.is_server() {
            let message = format!(
                "--role, --status, --environment and --cloud are for servers, not for {}",
                target.qualified()
            );
            return Err(Failure::usage(message).with_hint("use -l or --field-selector"));
        }
        let mut fields: Vec<String> = self.field_selector.iter().cloned().collect();
        fields.extend(self.servers.fields()?);
        let fields = (!fields.is_empty()).then(|| fields.join(","));
        Ok(ListParams { labels: self.selector.clone(), fields, ..ListParams::default() })
    }
}

/// What the words after a verb name: kinds as a whole, or single objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// `servers`, or `servers,networks`.
    Kinds(Vec<String>),
    /// `server a b`, or `server/a network/b`: pairs of kind and name.
    Objects(Vec<(String, String)>),
}

impl Words {
    /// Reads the words after a verb.
    pub fn read(words: &[String]) -> Outcome<Self> {
        let Some((first, names)) = words.split_first() else {
            return Err(Failure::usage("name a kind, such as servers")
                .with_hint("`labctl api-resources` lists the kinds"));
        };
        let kinds: Vec<String> = first.split(',').filter(|k| !k.is_empty()).map(Into::into).collect();
        if !first.contains('/') {
            if let Some(word) = names.iter().find(|word| word.contains('/')) {
                return Err(Failure::usage(format!(
                    "{word:?} names a kind where a name was expected, after {first:?}"
                )));
            }
            if names.is_empty() {
                return Ok(Self::Kinds(kinds));
            }
            let pairs =
                kinds.iter().flat_map(|kind| names.iter().map(move |name| (kind.clone(), name.clone())));
            return Ok(Self::Objects(pairs.collect()));
        }
        let pair = |word: &String| match word.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok((kind.to_owned(), name.to_owned()))
            }
            _ => Err(Failure::usage(format!("{word:?} is not of the form kind/name, as {first:?} is"))),
        };
        Ok(Self::Objects(words.iter().map(pair).collect::<Outcome<_>>()?))
    }
}

/// Objects to be worked on, by kind and name.
pub async fn objects(
    session: &Session,
    words: &[String],
    selectors: &Selectors,
    all: bool,
) -> Outcome<Vec<(Target, String)>> {
    match Words::read(words)? {
        Words::Objects(_) if selectors.is_set() || all => {
            Err(Failure::usage("give names, or a selector, or --all: not several of these"))
        }
        Words::Objects(pairs) => {
            let mut found = Vec::new();
            for (kind, name) in pairs {
                let target = kind::resolve_one(session, &kind).await?;
                check_name(&target, &name)?;
                found.push((target, name));
            }
            Ok(found)
        }
        Words::Kinds(_) if !selectors.is_set() && !all => {
            Err(Failure::usage("which objects? give names, a selector such as -l, or --all"))
        }
        Words::Kinds(kinds) => {
            let mut found = Vec::new();
            for kind in kinds {
                for target in kind::resolve(session, &kind).await? {
                    let params = selectors.params(&target)?;
                    let list = target.api(session, &session.namespace).list_all(&params).await?;
                    let names = list.items.iter().filter_map(|o| o.pointer("/metadata/name")?.as_str());
                    found.extend(names.map(|name| (target.clone(), name.to_owned())));
                }
            }
            Ok(found)
        }
    }
}

/// Refuses what looks like a MAC or IP address and is none, before the server calls it merely unknown.
pub fn check_name(target: &Target, name: &str) -> Outcome {
    if name.is_empty() {
        return Err(Failure::usage(format!("the name of a {} is empty", target.kind)));
    }
    if target.is_server() && name.contains(':') && name.parse::<IpAddr>().is_err() {
        MacAddress::parse(name).map_err(Failure::usage)?;
    }
    Ok(())
}

/// Turns the server's "not found" into one that names what was perhaps meant.
pub async fn explain_missing(
    session: &Session,
    target: &Target,
    namespace: &str,
    name: &str,
    error: Error,
) -> Failure {
    if !error.is_not_found() {
        return error.into();
    }
    let failure = Failure::from(error);
    let api = target.api(session, namespace);
    let listed = api.list_table::<Table<Json>>(&ListParams::default(), IncludeObject::None).await;
    let Ok(table) = listed else {
        return Failure::new(Exit::NotFound, format!("the server does not serve {}", target.qualified()))
            .with_hint("`labctl api-resources` lists what it serves");
    };
    let telling = |name: &str| matches!(name, "Name" | "Hostname");
    let columns: Vec<usize> =
        (0..table.column_definitions.len()).filter(|&i| telling(&table.column_definitions[i].name)).collect();
    let known: Vec<&str> = table
        .rows
        .iter()
        .flat_map(|row| columns.iter().filter_map(|&i| row.cells.get(i)?.as_str()))
        .collect();
    let near = kind::nearest(name, known.iter().copied());
    match kind::suggestion(&near) {
        empty if empty.is_empty() && known.is_empty() => {
            failure.with_hint(format!("there are no {}", target.resource.resource))
        }
        empty if empty.is_empty() => {
            failure.with_hint(format!("`labctl get {}` lists them", target.resource.resource))
        }
        hint => failure.with_hint(hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, expected: &str) {
        let words: Vec<String> = words.split_whitespace().map(Into::into).collect();
        let read = match Words::read(&words) {
            Ok(Words::Kinds(kinds)) => kinds.join(" "),
            Ok(Words::Objects(pairs)) => {
                pairs.iter().map(|(k, n)| format!("{k}/{n}")).collect::<Vec<_>>().join(" ")
            }
            Err(failure) => format!("! {}", failure.message),
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn words_name_kinds_or_objects() {
        check("servers", "servers");
        check("servers,net", "servers net");
        check("server a b", "server/a server/b");
        check("srv,net a", "srv/a net/a");
        check("srv/a net/b", "srv/a net/b");
        check("", "! name a kind, such as servers");
        check("server a/b", "! \"a/b\" names a kind where a name was expected, after \"server\"");
        check("srv/a b", "! \"b\" is not of the form kind/name, as \"srv/a\" is");
        check("srv/", "! \"srv/\" is not of the form kind/name, as \"srv/\" is");
    }

    #[test]
    fn filters_are_field_selectors() {
        let filters = ServerFilters {
            role: Some("Worker".into()),
            status: Some("installed".into()),
            environment: Some("dev".into()),
            cloud: None,
        };
        assert_eq!(
            filters.fields().unwrap().join(","),
            "spec.role=worker,status.phase=Installed,spec.environment=dev"
        );
        let failure = one_of("--status", "reddy", &PHASES).unwrap_err();
        assert_eq!((failure.exit, failure.hint.as_deref()), (Exit::Usage, Some("did you mean Ready?")));
    }
}
