//! `labctl doctor`: whether all is well, and what to do where it is not.

use crate::{
    failure::{Exit, Failure, Outcome},
    kind,
    output::{self, Paint, columns::Columns},
    session::Session,
    settings::{self, Globals},
    site::version::ServerVersion,
};
use bytes::Bytes;
use jiff::Timestamp;
use lab_client::{Client, Connection, Error, ListParams};
use lab_object::{Json, Time, age::age};
use lab_pki::Lifetime;
use std::time::SystemTime;

/// Check whether all is well, and say what to do where it is not
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl doctor

Exit code 0 when nothing is wrong, 1 when something is.")]
pub struct Args {}

/// What a check found.
struct Finding {
    state: State,
    about: &'static str,
    found: String,
    advice: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    Doubtful,
    Bad,
}

impl Finding {
    fn good(about: &'static str, found: impl Into<String>) -> Self {
        Self { state: State::Good, about, found: found.into(), advice: String::new() }
    }
    fn doubtful(about: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Doubtful, about, found: found.into(), advice: advice.into() }
    }
    fn bad(about: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Bad, about, found: found.into(), advice: advice.into() }
    }
    fn failed(about: &'static str, failure: Failure) -> Self {
        Self::bad(about, failure.message, failure.hint.unwrap_or_default())
    }
}

/// Runs the command.
pub async fn run(_: Args, globals: &Globals) -> Outcome {
    let findings = examine(globals).await;
    let bad = findings.iter().any(|f| f.state == State::Bad);
    let mut columns = Columns::plain();
    for finding in &findings {
        let (mark, paint) = match finding.state {
            State::Good => ("ok", Paint::Green),
            State::Doubtful => ("??", Paint::Yellow),
            State::Bad => ("!!", Paint::Red),
        };
        columns.row(vec![finding.about.into(), finding.found.clone()]);
        let text = columns.flush(false, false);
        output::text(&format!("{}  {text}", paint.out(mark)))?;
        if !finding.advice.is_empty() {
            output::line(&format!("      {}", Paint::Dim.out(&finding.advice)))?;
        }
    }
    if bad { Err(Failure::told(Exit::Failed)) } else { Ok(()) }
}

async fn examine(globals: &Globals) -> Vec<Finding> {
    let mut findings = Vec::new();
    let connection = match settings::connection(globals) {
        Ok(connection) => connection,
        Err(failure) => return vec![Finding::failed("configuration", failure)],
    };
    let context = connection.context.clone().unwrap_or_else(|| "no context".into());
    findings.push(Finding::good("configuration", format!("{context}: {}", connection.server.value)));
    findings.extend(own_certificate(&connection));
    let session = match Session::open(globals) {
        Ok(session) => session,
        Err(failure) => {
            findings.push(Finding::failed("credentials", failure));
            return findings;
        }
    };
    if let Some(version) = reach(&session.client, &mut findings).await {
        let mut others = vec![("labctl".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        others.extend(versions_of(&bastions(&session, &mut findings).await, "/status/version"));
        others.extend(versions_of(&servers(&session, &mut findings).await, "/status/agent/version"));
        findings.push(versions(&version, &others));
    }
    findings
}

/// Objects' names, with the version that each says it has.
fn versions_of(objects: &[Json], pointer: &str) -> Vec<(String, String)> {
    let text = |object: &Json, pointer: &str| Some(object.pointer(pointer)?.as_str()?.to_owned());
    let named = objects.iter().filter_map(|o| Some((text(o, "/metadata/name")?, text(o, pointer)?)));
    named.filter(|(_, version)| !version.is_empty()).collect()
}

/// Whether all have the server's version.
fn versions(server: &str, others: &[(String, String)]) -> Finding {
    // The server's is `v1.33.0+lab-0.1.0`: what it speaks, and its own.
    let server = server.split_once("+lab-").map_or(server, |(_, own)| own);
    let different: Vec<String> = others
        .iter()
        .filter(|(_, version)| version != server)
        .map(|(name, version)| format!("{name} has {version}"))
        .collect();
    if different.is_empty() {
        return Finding::good("versions", format!("all have {server}"));
    }
    let advice = "bring all to one version, the server first";
    Finding::doubtful("versions", format!("the server has {server}; {}", different.join(", ")), advice)
}

/// How long our own certificate is still good.
fn own_certificate(connection: &Connection) -> Option<Finding> {
    const ABOUT: &str = "certificate";
    const DAY: u64 = 24 * 60 * 60;
    let pem = connection.credentials.client_certificate.as_ref()?.read_text().ok()?;
    let until = Lifetime::of_certificate_pem(&pem).ok()?.until;
    let advice = "take a new kubeconfig from labd, or log in again";
    Some(match until.duration_since(SystemTime::now()) {
        Ok(left) if left.as_secs() > 7 * DAY => {
            Finding::good(ABOUT, format!("ours ends in {} days", left.as_secs() / DAY))
        }
        Ok(left) => {
            let found = format!("ours ends in {} hours", left.as_secs() / 3600);
            Finding::doubtful(ABOUT, found, advice)
        }
        Err(_) => Finding::bad(ABOUT, "ours has expired", advice),
    })
}

/// Asks for the version, which it yields, and looks at the clock in the answer's head.
async fn reach(client: &Client, findings: &mut Vec<Finding>) -> Option<String> {
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = http::Uri::from_static("/version");
    let before = Timestamp::now();
    let response = match client.send("read /version", request).await {
        Ok(response) => response,
        Err(error) => {
            let about = if matches!(error, Error::Transport { .. }) { "server" } else { "credentials" };
            findings.push(Finding::failed(about, error.into()));
            return None;
        }
    };
    let took = Timestamp::now().duration_since(before);
    let date =
        response.headers().get(http::header::DATE).and_then(|d| d.to_str().ok()).map(ToOwned::to_owned);
    let body = client.collect("read /version", response.into_body()).await.unwrap_or_default();
    let version = match serde_json::from_slice::<ServerVersion>(&body) {
        Ok(version) => {
            let found = format!("{} answers in {} ms", version.git_version, took.as_millis());
            findings.push(Finding::good("server", found));
            version.git_version
        }
        Err(_) => {
            let advice = "something else answers there: check the address and port";
            findings.push(Finding::bad("server", "its answer is not a version", advice));
            return None;
        }
    };
    let theirs = date.and_then(|d| jiff::fmt::rfc2822::parse(&d).ok()).map(|z| z.timestamp());
    if let Some(theirs) = theirs {
        let skew = theirs.duration_since(before).as_secs();
        findings.push(if skew.abs() <= 5 {
            Finding::good("clocks", "agree")
        } else {
            let found =
                format!("the server's is {} s {}", skew.abs(), if skew > 0 { "ahead" } else { "behind" });
            Finding::doubtful("clocks", found, "set both by NTP: certificates and tokens depend on the time")
        });
    }
    Some(version)
}

async fn list(session: &Session, name: &str) -> Outcome<Vec<Json>> {
    let target = kind::resolve_one(session, name).await?;
    Ok(target.api_everywhere(session).list_all(&ListParams::default()).await?.items)
}

async fn bastions(session: &Session, findings: &mut Vec<Finding>) -> Vec<Json> {
    let found = match list(session, "bastions").await {
        Ok(found) => found,
        Err(failure) => {
            findings.push(Finding::failed("bastions", failure));
            return Vec::new();
        }
    };
    if found.is_empty() {
        let advice = "machines cannot boot from the network; start a bastion at the site";
        findings.push(Finding::doubtful("bastions", "none has joined", advice));
        return found;
    }
    let now = Time(Timestamp::now());
    for bastion in &found {
        let text = |pointer: &str| bastion.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        let name = text("/metadata/name");
        let since = text("/status/since").parse().map(|t| format!(" for {}", age(Time(t), now)));
        let online = bastion.pointer("/status/online").and_then(Json::as_bool);
        let state = |word: &str| format!("{name} is {word}{}", since.as_deref().unwrap_or_default());
        findings.push(match online {
            Some(true) => Finding::good("bastion", state("online")),
            Some(false) => {
                let advice = "its machines keep what was approved; check its power, network and log";
                Finding::bad("bastion", state("offline"), advice)
            }
            None => {
                let advice = "start it at its site; its machines cannot boot from the network until then";
                Finding::doubtful("bastion", format!("{name} was never online"), advice)
            }
        });
        if let Some(end) = text("/status/certificateExpires").parse::<Timestamp>().ok().map(Time) {
            let left = end.0.duration_since(now.0);
            if left.as_hours() < 24 {
                let advice = "it renews well before: see its log for why it did not";
                let found = format!("the certificate of {name} ends at {end}");
                findings.push(Finding::doubtful("certificate", found, advice));
            }
        }
    }
    found
}

async fn servers(session: &Session, findings: &mut Vec<Finding>) -> Vec<Json> {
    let found = match list(session, "servers").await {
        Ok(found) => found,
        Err(failure) => {
            findings.push(Finding::failed("servers", failure));
            return Vec::new();
        }
    };
    let in_phase = |phase: &str| {
        let of_phase = |s: &&Json| s.pointer("/status/phase").and_then(Json::as_str) == Some(phase);
        let names: Vec<&str> =
            found.iter().filter(of_phase).filter_map(|s| s.pointer("/metadata/name")?.as_str()).collect();
        names.join(", ")
    };
    findings.push(Finding::good("servers", format!("{} known", found.len())));
    for (phase, what, advice, state) in [
        ("Failed", "failed", "`labctl describe srv NAME` says why", State::Bad),
        (
            "Offline",
            "out of reach",
            "check power and network; `labctl power status` asks the BMC",
            State::Bad,
        ),
        (
            "Planned",
            "waiting for approval",
            "`labctl plan NAME`, then `labctl approve NAME`",
            State::Doubtful,
        ),
    ] {
        let names = in_phase(phase);
        if !names.is_empty() {
            let found = format!("{what}: {names}");
            findings.push(Finding { state, about: "servers", found, advice: advice.into() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_differ_are_named() {
        let check = |others: &[(&str, &str)], expected: &str| {
            let others: Vec<_> = others.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(versions("v1.33.0+lab-0.2.0", &others).found, expected);
        };
        check(&[("labctl", "0.2.0"), ("home-1", "0.2.0")], "all have 0.2.0");
        check(&[("labctl", "0.1.0"), ("home-1", "0.2.0")], "the server has 0.2.0; labctl has 0.1.0");
    }
}
