//! `labctl wait`: waits until objects are as wanted.

use super::selection::{self, Objects};
use crate::{
    failure::{Exit, Failure, Outcome, Several},
    kind::Target,
    output::{self, jsonpath::Template},
    session::Session,
    settings::parse_duration,
};
use lab_client::{Api, WatchEvent, WatchParams};
use lab_object::Json;
use std::{
    str::FromStr,
    time::{Duration, Instant},
};

/// How often it is asked whether there is anything yet.
const AGAIN: Duration = Duration::from_millis(300);

/// Wait until objects are as wanted
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl wait srv/db-1 --for=condition=Ready --timeout=30m
  labctl wait servers -l rack=a --for=jsonpath='{.status.phase}'=Installed
  labctl wait network/lan --for=delete
  labctl wait srv/db-9 --for=create")]
pub struct Args {
    #[command(flatten)]
    objects: Objects,
    /// What to wait for: condition=TYPE[=STATUS], jsonpath={PATH}[=VALUE], delete, create
    #[arg(long = "for", value_name = "WHAT")]
    what: Goal,
    /// How long to wait for each
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    timeout: String,
}

/// What is waited for.
#[derive(Debug, Clone)]
enum Goal {
    Condition { kind: String, status: String },
    Path { template: Template, value: Option<String> },
    Delete,
    Create,
}

impl FromStr for Goal {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "delete" => Ok(Self::Delete),
            None if text == "create" => Ok(Self::Create),
            Some(("condition", rest)) => {
                let (kind, status) = rest.split_once('=').unwrap_or((rest, "True"));
                if kind.is_empty() {
                    return Err("condition= needs the condition's type, such as condition=Ready".into());
                }
                Ok(Self::Condition { kind: kind.into(), status: status.into() })
            }
            Some(("jsonpath", rest)) => {
                let end = rest.rfind('}').map_or(rest.len(), |at| at + 1);
                let (path, value) = rest.split_at(end);
                let value = value.strip_prefix('=').map(ToOwned::to_owned);
                Ok(Self::Path { template: path.parse()?, value })
            }
            _ => Err("wait for condition=TYPE[=STATUS], jsonpath={PATH}[=VALUE], delete or create".into()),
        }
    }
}

impl Goal {
    fn met(&self, object: Option<&Json>) -> bool {
        match (self, object) {
            (Self::Delete, object) => object.is_none(),
            (Self::Create, object) => object.is_some(),
            (_, None) => false,
            (Self::Condition { kind, status }, Some(object)) => {
                let conditions = object.pointer("/status/conditions").and_then(Json::as_array);
                conditions.into_iter().flatten().any(|c| {
                    let text = |key| c.get(key).and_then(Json::as_str).unwrap_or_default();
                    text("type").eq_ignore_ascii_case(kind) && text("status").eq_ignore_ascii_case(status)
                })
            }
            (Self::Path { template, value }, Some(object)) => {
                template.find(object).iter().any(|found| match value {
                    None => true,
                    Some(value) => found.as_str().map_or_else(|| found.to_string(), Into::into) == *value,
                })
            }
        }
    }
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let limit = parse_duration(&args.timeout).ok_or_else(|| {
        Failure::usage(format!("--timeout: {:?} is not a duration such as 5m", args.timeout))
    })?;
    let mut several = Several::default();
    for (target, name) in present(&args, session, limit).await? {
        let api = target.api(session, &session.namespace);
        let own = match api.get(&name).await {
            Ok(found) => found.pointer("/metadata/name").and_then(Json::as_str).unwrap_or(&name).to_owned(),
            Err(e) if e.is_not_found() && matches!(args.what, Goal::Delete | Goal::Create) => name,
            Err(e) => {
                let missing =
                    selection::explain_missing(session, &target, &session.namespace, &name, e).await;
                several.note(Err(missing));
                continue;
            }
        };
        let waited = tokio::time::timeout(limit, until(&api, &own, |object| args.what.met(object))).await;
        several.note(match waited {
            Ok(done) => done.and_then(|_| {
                let met = match args.what {
                    Goal::Delete => "is gone",
                    Goal::Create => "exists",
                    _ => "condition met",
                };
                Ok(output::line(&format!("{} {met}", target.named(&own)))?)
            }),
            Err(_) => {
                let message = format!("{}: condition not met after {}", target.named(&own), spell(limit));
                Err(Failure::new(Exit::Timeout, message).with_hint("--timeout allows more time"))
            }
        });
    }
    several.finish()
}

/// The objects that are meant; those that a selector means may not be there yet, and of none nothing holds.
async fn present(args: &Args, session: &Session, limit: Duration) -> Outcome<Vec<(Target, String)>> {
    let until = Instant::now() + limit;
    loop {
        let found = args.objects.find(session).await?;
        if !found.is_empty() || matches!(args.what, Goal::Delete) {
            return Ok(found);
        }
        if Instant::now() >= until {
            let message = format!("none appeared within {}", spell(limit));
            return Err(Failure::new(Exit::Timeout, message).with_hint("--timeout allows more time"));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn spell(limit: Duration) -> String {
    let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    lab_object::age::human_duration(jiff::SignedDuration::from_secs(seconds))
}

/// Watches one object until `enough` says so; `None` stands for its absence.
pub async fn until(
    api: &Api<Json>,
    name: &str,
    enough: impl Fn(Option<&Json>) -> bool,
) -> Outcome<Option<Json>> {
    let fields = Some(format!("metadata.name={name}"));
    loop {
        let list = api.list(&lab_client::ListParams { fields: fields.clone(), ..Default::default() }).await?;
        let found = list.items.into_iter().next();
        if enough(found.as_ref()) {
            return Ok(found);
        }
        let params = WatchParams {
            fields: fields.clone(),
            resource_version: list.metadata.resource_version,
            ..WatchParams::default()
        };
        let mut watch = match api.watch(&params).await {
            Err(e) if e.is_expired() => continue,
            watch => watch?,
        };
        while let Some(event) = watch.next().await {
            let object = match event {
                Ok(WatchEvent::Added(_, object, _) | WatchEvent::Modified(_, object, _)) => Some(*object),
                Ok(WatchEvent::Deleted(..)) => None,
                Ok(WatchEvent::Bookmark(..)) => continue,
                Err(e) if e.is_expired() => break,
                Err(e) => return Err(e.into()),
            };
            if enough(object.as_ref()) {
                return Ok(object);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn goals() {
        let object = json!({"status": {"phase": "Ready", "n": 3,
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Joined", "status": "False"}]}});
        let check = |goal: &str, expected: Result<bool, ()>| {
            let met = goal.parse::<Goal>().map(|g| g.met(Some(&object))).map_err(drop);
            assert_eq!(met, expected, "{goal}");
        };
        check("condition=Ready", Ok(true));
        check("condition=joined=false", Ok(true));
        check("condition=Joined", Ok(false));
        check("jsonpath={.status.phase}=Ready", Ok(true));
        check("jsonpath={.status.phase}=Failed", Ok(false));
        check("jsonpath={.status.n}=3", Ok(true));
        check("jsonpath={.status.n}", Ok(true));
        check("jsonpath={.status.absent}", Ok(false));
        check("create", Ok(true));
        check("delete", Ok(false));
        check("condition=", Err(()));
        check("jsonpath={.a", Err(()));
        check("readiness", Err(()));
    }
}
