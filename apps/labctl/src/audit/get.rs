//! `labctl audit get`: entries, by who, what and when.

use super::period::Period;
use crate::{
    failure::{Failure, Outcome},
    kind,
    output::{self, columns::Columns, format::Format},
    session::Session,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use jiff::Timestamp;
use lab_object::Json;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

const ENTRIES: &str = "/apis/audit.lab/v1alpha1/auditentries";

/// List who did what to which object, and what came of it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The newest entries stand last. `labctl get audit` lists them as well, and takes field selectors.

Examples:
  labctl audit get                                  the newest hundred
  labctl audit get --user alice --since 2h
  labctl audit get --kind server --name db-1 --verb delete
  labctl audit get --result Forbidden --since 2026-11-20T00:00:00Z --until 2026-11-21T00:00:00Z
  labctl audit get --request ID -o yaml             what the header Audit-Id of an answer named")]
pub struct Args {
    /// Only what this user did
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only this verb: create, patch, delete, login, exec and the like
    #[arg(long, value_name = "VERB")]
    verb: Option<String>,
    /// Only objects of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only the object of this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only this result: a status code such as 403, or a reason such as Forbidden
    #[arg(long, value_name = "CODE|REASON")]
    result: Option<String>,
    /// Only the request of this ID
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    #[command(flatten)]
    period: Period,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100)]
    last: u32,
    /// How they are shown: table, wide, json, yaml, name or jsonpath=TEMPLATE
    #[arg(short, long, value_name = "FORM", default_value = "table", hide_default_value = true)]
    output: Format,
    /// Do not show headings
    #[arg(long)]
    no_headers: bool,
}

pub async fn run(args: Args, session: &Session) -> Outcome {
    let resource = match &args.kind {
        Some(kind) => Some(kind::resolve_one(session, kind).await?.resource),
        None => None,
    };
    let mut selector = Vec::new();
    let mut select = |field: &str, value: Option<&str>| {
        selector.extend(value.map(|value| format!("{field}={value}")));
    };
    select("user.name", args.user.as_deref());
    select("verb", args.verb.as_deref());
    select("object.group", resource.as_ref().map(|resource| resource.group.as_str()));
    select("object.resource", resource.as_ref().map(|resource| resource.resource.as_str()));
    select("object.name", args.name.as_deref());
    select("request", args.request.as_deref());
    let by_code = args.result.as_ref().is_some_and(|result| result.bytes().all(|byte| byte.is_ascii_digit()));
    select(if by_code { "result.code" } else { "result.reason" }, args.result.as_deref());
    let now = Timestamp::now();
    let mut options = vec![("last", args.last.to_string()), ("fieldSelector", selector.join(","))];
    let (since, until) = args.period.resolve(now);
    options.extend(since.map(|since| ("since", since.to_string())));
    options.extend(until.map(|until| ("until", until.to_string())));
    let query: Vec<String> = options
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    let request = http::Request::get(format!("{ENTRIES}?{}", query.join("&")))
        .body(Bytes::new())
        .map_err(Failure::usage)?;
    let answer = session.client.send("read the audit trail", request).await?;
    let body = answer.into_body().collect().await.map_err(|error| {
        Failure::new(crate::failure::Exit::Unreachable, format!("the answer broke off on its way: {error}"))
    })?;
    let list: Json = serde_json::from_slice(&body.to_bytes()).map_err(|error| {
        Failure::new(crate::failure::Exit::Failed, format!("the answer is no JSON: {error}"))
    })?;
    if !args.output.is_table() {
        return Ok(output::text(&args.output.render(&list)?)?);
    }
    let entries = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        output::note("No entries.");
        return Ok(());
    }
    Ok(output::text(&table(entries, matches!(args.output, Format::Wide)).flush(false, !args.no_headers))?)
}

/// The columns that the kind itself says.
fn table(entries: &[Json], wide: bool) -> Columns {
    let kind = <lab_kinds::audit::AuditEntry as lab_kinds::Define>::define();
    let columns: Vec<_> = kind.table().into_iter().filter(|column| wide || column.priority == 0).collect();
    let mut rows = Columns::headed(columns.iter().map(|column| &column.name));
    for entry in entries {
        let cell = |column: &lab_kinds::Column| match &column.cell {
            lab_kinds::kind::Cell::With(cell) => text(&cell(entry)),
            lab_kinds::kind::Cell::Path(path) => {
                text(path.split('.').fold(entry, |value, field| &value[field]))
            }
        };
        rows.row(columns.iter().map(cell).collect());
    }
    rows
}

fn text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
