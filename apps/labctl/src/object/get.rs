//! `labctl get`: lists objects, or shows some of them.

use super::selection::{self, Selectors, Words};
use crate::{
    audit::period::Period,
    failure::{Exit, Failure, Outcome, Several},
    kind::{self, Target},
    output::{self, columns::Columns, document, format::Format, jsonpath::Template},
    session::Session,
};
use jiff::Timestamp;
use lab_client::{Api, IncludeObject, ListParams, WatchEvent, WatchParams};
use lab_kinds::audit::AuditEntry;
use lab_object::{Json, Resource, table::Table};
use serde_json::json;
use std::cmp::Ordering;

/// List objects, or show some of them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl get servers                                 all servers
  labctl get srv 52:54:00:12:34:56 -o yaml           one, by any of its names
  labctl get servers --role worker --status ready    some, by role and phase
  labctl get servers -l rack=a --sort-by=.status.phase
  labctl get servers,networks -o wide
  labctl get servers -w                              all servers, then every change
  labctl get srv db-1 -o jsonpath='{.status.addresses[0]}'
  labctl get audit --field-selector verb=delete --since 2h")]
pub struct Args {
    /// A kind (or several, with commas) and names, or kind/name …
    #[arg(required = true, value_name = "KIND [NAME…]", add = crate::complete::objects())]
    words: Vec<String>,
    #[command(flatten)]
    selectors: Selectors,
    #[command(flatten)]
    period: Period,
    /// In all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// The form: table, wide, json, yaml, name, jsonpath=TEMPLATE
    #[arg(long, short, value_name = "FORM", default_value = "table", hide_default_value = true,
        add = crate::complete::words(&output::format::NAMES))]
    output: Format,
    /// Go on to show every change
    #[arg(long, short)]
    watch: bool,
    /// Show only changes, not what there is
    #[arg(long)]
    watch_only: bool,
    /// Sort by a field, such as .metadata.creationTimestamp
    #[arg(long, value_name = "PATH")]
    sort_by: Option<Template>,
    /// Do not show headings
    #[arg(long)]
    no_headers: bool,
    /// Show metadata.managedFields in JSON and YAML
    #[arg(long)]
    show_managed_fields: bool,
    /// Do not fail when a named object does not exist
    #[arg(long)]
    ignore_not_found: bool,
    /// Add a column with the labels
    #[arg(long)]
    show_labels: bool,
}

impl Args {
    /// What the server is asked for of a kind.
    fn params(&self, target: &Target) -> Outcome<ListParams> {
        if self.period.is_set() && target.resource.group != AuditEntry::GROUP {
            let message =
                format!("--since and --until are for the audit trail, not for {}", target.qualified());
            return Err(
                Failure::usage(message).with_hint("--sort-by=.metadata.creationTimestamp sorts by age")
            );
        }
        let (since, until) = self.period.resolve(Timestamp::now());
        Ok(ListParams { since, until, ..self.selectors.params(target)? })
    }
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let words = Words::read(&args.words)?;
    if matches!(words, Words::Objects(_))
        && (args.selectors.is_set() || args.period.is_set() || args.all_namespaces)
    {
        return Err(Failure::usage("give names, or selectors and -A: not both"));
    }
    if args.watch || args.watch_only {
        return watch(&args, session, words).await;
    }
    match words {
        Words::Kinds(kinds) => {
            let mut targets = Vec::new();
            for kind in kinds {
                targets.extend(kind::resolve(session, &kind).await?);
            }
            lists(&args, session, &targets).await
        }
        Words::Objects(pairs) => named(&args, session, pairs).await,
    }
}

/// Lists whole kinds.
async fn lists(args: &Args, session: &Session, targets: &[Target]) -> Outcome {
    if args.output.is_table() {
        let mut shown = 0;
        for target in targets {
            let params = args.params(target)?;
            let table: Table<Json> =
                args.api(session, target).list_table(&params, args.include(target)).await?;
            if !table.rows.is_empty() {
                let mut lines = Lines::new(args, target, targets.len() > 1);
                let heading = if shown > 0 { "\n" } else { "" };
                shown += table.rows.len();
                output::text(&format!("{heading}{}", lines.table(table)))?;
            }
        }
        if shown == 0 {
            output::note(&nothing_found(args, session, targets));
        }
        return Ok(());
    }
    let mut items = Vec::new();
    let mut revision = String::new();
    for target in targets {
        let list = args.api(session, target).list_all(&args.params(target)?).await?;
        revision = list.metadata.resource_version.unwrap_or_default();
        items.extend(list.items.into_iter().map(|item| with_type(item, target)));
    }
    if let Some(path) = &args.sort_by {
        items.sort_by(|a, b| compare(&path.find(a), &path.find(b)));
    }
    if targets.len() > 1 {
        revision.clear();
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": revision}, "items": items});
    show(args, list)
}

fn nothing_found(args: &Args, session: &Session, targets: &[Target]) -> String {
    let kinds = targets.iter().map(|t| t.resource.resource.as_str()).collect::<Vec<_>>().join(" or ");
    if args.all_namespaces || targets.iter().all(|t| !t.namespaced) {
        format!("No {kinds} found.")
    } else {
        format!("No {kinds} found in namespace {}.", session.namespace)
    }
}

/// Shows single objects; those that do not exist are told, and the others are shown.
async fn named(args: &Args, session: &Session, pairs: Vec<(String, String)>) -> Outcome {
    let mut several = Several::default();
    let mut targets: Vec<(Target, Vec<String>)> = Vec::new();
    for (kind, name) in pairs {
        let target = kind::resolve_one(session, &kind).await?;
        selection::check_name(&target, &name)?;
        match targets.iter_mut().find(|(t, _)| t.resource == target.resource) {
            Some((_, names)) => names.push(name),
            None => targets.push((target, vec![name])),
        }
    }
    let many_kinds = targets.len() > 1;
    let mut objects = Vec::new();
    let mut tables = Vec::new();
    for (target, names) in &targets {
        let api = target.api(session, &session.namespace);
        let mut whole: Option<Table<Json>> = None;
        for name in names {
            let failed = if args.output.is_table() {
                match api.get_table::<Table<Json>>(name, args.include(target)).await {
                    Ok(table) => {
                        match &mut whole {
                            Some(whole) => whole.rows.extend(table.rows),
                            None => whole = Some(table),
                        }
                        continue;
                    }
                    Err(e) => e,
                }
            } else {
                match api.get(name).await {
                    Ok(object) => {
                        objects.push(with_type(object, target));
                        continue;
                    }
                    Err(e) => e,
                }
            };
            if !(args.ignore_not_found && failed.is_not_found()) {
                let namespace = &session.namespace;
                several.note(Err(selection::explain_missing(session, target, namespace, name, failed).await));
            }
        }
        tables.extend(whole.map(|table| Lines::new(args, target, many_kinds).table(table)));
    }
    if args.output.is_table() {
        output::text(&tables.join("\n"))?;
    } else {
        let single = args.words.len() == 2 || args.words.len() == 1;
        match (objects.len(), single) {
            (0, _) => {}
            (1, true) => show(args, objects.remove(0))?,
            _ => {
                let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": objects});
                show(args, list)?;
            }
        }
    }
    several.finish()
}

fn show(args: &Args, mut object: Json) -> Outcome {
    if !args.show_managed_fields {
        document::without_managed_fields(&mut object);
    }
    Ok(output::text(&args.output.render(&object)?)?)
}

/// Items of lists may leave out what they are.
fn with_type(mut object: Json, target: &Target) -> Json {
    if let Some(fields) = object.as_object_mut() {
        fields.entry("apiVersion").or_insert_with(|| target.api_version().into());
        fields.entry("kind").or_insert_with(|| target.kind.clone().into());
    }
    object
}

impl Args {
    fn api(&self, session: &Session, target: &Target) -> Api<Json> {
        if self.all_namespaces {
            target.api_everywhere(session)
        } else {
            target.api(session, &session.namespace)
        }
    }

    /// How much of each object has to come with its row.
    fn include(&self, target: &Target) -> IncludeObject {
        if self.sort_by.is_some() {
            IncludeObject::Object
        } else if self.show_labels || (self.all_namespaces && target.namespaced) {
            IncludeObject::Metadata
        } else {
            IncludeObject::None
        }
    }
}

/// Turns the server's tables into lines.
struct Lines<'a> {
    args: &'a Args,
    /// `server.metal.lab/`, where several kinds stand beneath each other.
    prefix: String,
    with_namespace: bool,
    /// Which of the server's columns are shown, and whether each is the name's.
    shown: Vec<(usize, bool)>,
    columns: Columns,
    headed: bool,
}

impl<'a> Lines<'a> {
    fn new(args: &'a Args, target: &Target, many_kinds: bool) -> Self {
        Self {
            args,
            prefix: if many_kinds { target.named("") } else { String::new() },
            with_namespace: args.all_namespaces && target.namespaced,
            shown: Vec::new(),
            columns: Columns::plain(),
            headed: false,
        }
    }

    fn begin(&mut self, table: &Table<Json>) {
        let wide = matches!(self.args.output, Format::Wide);
        let definitions = table.column_definitions.iter().enumerate();
        let shown: Vec<_> = definitions.filter(|(_, c)| wide || c.priority == 0).collect();
        let mut headings: Vec<&str> = Vec::new();
        headings.extend(self.with_namespace.then_some("Namespace"));
        headings.extend(shown.iter().map(|(_, c)| c.name.as_str()));
        headings.extend(self.args.show_labels.then_some("Labels"));
        self.columns = Columns::headed(headings);
        self.shown = shown.iter().map(|(i, c)| (*i, c.name.eq_ignore_ascii_case("name"))).collect();
    }

    fn table(&mut self, mut table: Table<Json>) -> String {
        if !table.column_definitions.is_empty() && self.shown.is_empty() {
            self.begin(&table);
        }
        if let Some(path) = &self.args.sort_by {
            let values = |row: &lab_object::table::Row<Json>| row.object.clone().unwrap_or_default();
            table.rows.sort_by(|a, b| compare(&path.find(&values(a)), &path.find(&values(b))));
        }
        for row in &table.rows {
            let metadata = |name: &str| row.object.as_ref().and_then(|o| o.pointer("/metadata")?.get(name));
            let mut cells = Vec::with_capacity(self.shown.len() + 2);
            if self.with_namespace {
                cells.push(metadata("namespace").map(cell).unwrap_or_default());
            }
            for (i, is_name) in &self.shown {
                let text = row.cells.get(*i).map(cell).unwrap_or_default();
                cells.push(if *is_name && !self.prefix.is_empty() {
                    format!("{}{text}", self.prefix)
                } else {
                    text
                });
            }
            if self.args.show_labels {
                cells.push(metadata("labels").map(labels).unwrap_or_default());
            }
            self.columns.row(cells);
        }
        let heading = !self.headed && !self.args.no_headers;
        self.headed = true;
        self.columns.flush(output::coloured(), heading)
    }
}

fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn labels(value: &Json) -> String {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join(",")
}

/// Orders what a path found: nothing first, numbers by size, all else by its text.
fn compare(a: &[&Json], b: &[&Json]) -> Ordering {
    match (a.first(), b.first()) {
        (Some(a), Some(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => cell(a).cmp(&cell(b)),
        },
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// Shows what there is and then every change, until it is interrupted.
async fn watch(args: &Args, session: &Session, words: Words) -> Outcome {
    let (kind, name) = match words {
        Words::Kinds(kinds) if kinds.len() == 1 => (kinds[0].clone(), None),
        Words::Objects(pairs) if pairs.len() == 1 => (pairs[0].0.clone(), Some(pairs[0].1.clone())),
        _ => return Err(Failure::usage("-w watches one kind, or one object")),
    };
    if args.sort_by.is_some() {
        return Err(Failure::usage("--sort-by cannot be used with -w: changes come as they happen"));
    }
    let target = kind::resolve_one(session, &kind).await?;
    let mut params = args.params(&target)?;
    if let Some(name) = name {
        // The name may be a MAC address or a host name; a watch needs the object's own.
        let api = target.api(session, &session.namespace);
        let object = match api.get(&name).await {
            Ok(object) => object,
            Err(e) => {
                return Err(selection::explain_missing(session, &target, &session.namespace, &name, e).await);
            }
        };
        let own = object.pointer("/metadata/name").and_then(Json::as_str).unwrap_or(&name);
        params.fields = Some(format!("metadata.name={own}"));
    }
    let api = args.api(session, &target);
    if args.output.is_table() {
        watch_table(args, &target, api, params).await
    } else {
        watch_objects(args, &target, api, params).await
    }
}

fn from_here(params: &ListParams, revision: Option<String>) -> WatchParams {
    WatchParams {
        labels: params.labels.clone(),
        fields: params.fields.clone(),
        resource_version: revision,
        bookmarks: true,
        ..WatchParams::default()
    }
}

async fn watch_table(args: &Args, target: &Target, api: Api<Json>, params: ListParams) -> Outcome {
    let mut lines = Lines::new(args, target, false);
    loop {
        let table: Table<Json> = api.list_table(&params, IncludeObject::Metadata).await?;
        let mut revision = table.metadata.resource_version.clone();
        lines.begin(&table);
        if !args.watch_only {
            let text = lines.table(table);
            output::text(&text)?;
        }
        // A watch may end at any time, and is taken up where it was.
        loop {
            let mut watch = match api
                .watch_table::<Json>(&from_here(&params, revision.clone()), IncludeObject::Metadata)
                .await
            {
                Err(e) if e.is_expired() => break,
                watch => watch?,
            };
            let mut expired = false;
            while let Some(event) = watch.next().await {
                let (table, at) = match event {
                    Ok(WatchEvent::Added(_, table, at) | WatchEvent::Modified(_, table, at)) => {
                        (Some(table), at)
                    }
                    Ok(WatchEvent::Deleted(_, table, at)) => (Some(table), at),
                    Ok(WatchEvent::Bookmark(at, _)) => (None, at),
                    Err(e) if e.is_expired() => {
                        expired = true;
                        break;
                    }
                    Err(e) => return Err(e.into()),
                };
                if !at.is_empty() {
                    revision = Some(at);
                }
                if let Some(table) = table {
                    let table: Table<Json> = serde_json::from_value(*table).map_err(|e| {
                        Failure::new(Exit::Failed, format!("the server's table is not understood: {e}"))
                    })?;
                    if let Some(at) = table
                        .rows
                        .last()
                        .and_then(|r| r.object.as_ref()?.pointer("/metadata/resourceVersion")?.as_str())
                    {
                        revision = Some(at.into());
                    }
                    output::text(&lines.table(table))?;
                }
            }
            if expired {
                break;
            }
        }
        output::note("the server no longer has the changes since then: listed again");
    }
}

async fn watch_objects(args: &Args, target: &Target, api: Api<Json>, params: ListParams) -> Outcome {
    let list = api.list_all(&params).await?;
    if !args.watch_only {
        for item in list.items {
            show_watched(args, with_type(item, target))?;
        }
    }
    let mut revision = list.metadata.resource_version;
    loop {
        let mut watch = api.watch(&from_here(&params, revision.clone())).await?;
        while let Some(event) = watch.next().await {
            match event? {
                WatchEvent::Added(_, object, at)
                | WatchEvent::Modified(_, object, at)
                | WatchEvent::Deleted(_, object, at) => {
                    revision = Some(at);
                    show_watched(args, with_type(*object, target))?;
                }
                WatchEvent::Bookmark(at, _) => revision = Some(at),
            }
        }
    }
}

fn show_watched(args: &Args, object: Json) -> Outcome {
    if matches!(args.output, Format::Yaml) {
        output::line("---")?;
    }
    let newline = matches!(args.output, Format::JsonPath(_));
    show(args, object)?;
    if newline {
        output::line("")?;
    }
    Ok(())
}
