//! Whether the server lives and is ready, and what it is.

use crate::{answer, body::Body};
use http::{Response, StatusCode};
use lab_object::Json;
use lab_store::Store;
use std::sync::Arc;

/// The paths the server answers besides objects, as `/` lists them.
pub(crate) const PATHS: [&str; 9] =
    ["/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v3", "/readyz", "/version", "/clusters"];

/// Something that must hold for the server to be ready.
#[derive(Clone)]
pub struct Check {
    /// Its name, in one word.
    pub name: &'static str,
    /// `Err` says what is wrong.
    pub run: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// What `/version` answers for a build of this version: Kubernetes' `version.Info`. The Kubernetes version is the one
/// whose API is spoken; clients judge by it what they may use.
pub fn version(build: &str) -> Json {
    serde_json::json!({
        "major": "1",
        "minor": "33",
        "gitVersion": format!("v1.33.0+lab-{build}"),
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    })
}

/// The processor's name as Kubernetes writes it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Whether a path is one of the checks or a single one beneath them.
pub(crate) fn is_check(path: &str) -> bool {
    split(path).is_some()
}

fn split(path: &str) -> Option<(&str, &str)> {
    ["/healthz", "/livez", "/readyz"].into_iter().find_map(|root| {
        let rest = path.strip_prefix(root)?;
        if rest.is_empty() { Some((root, "")) } else { Some((root, rest.strip_prefix('/')?)) }
    })
}

/// Answers a check in plain text, as Kubernetes does: `ok`, or one line each with `?verbose` or when one fails.
pub(crate) async fn answer(
    path: &str,
    query: Option<&str>,
    store: &dyn Store,
    checks: &[Check],
) -> Option<Response<Body>> {
    let (root, only) = split(path)?;
    let mut results = vec![("ping", Ok(()))];
    if root != "/livez" {
        let read = store.get("/", None).await.map(|_| ()).map_err(|error| error.to_string());
        results.push(("store", read));
        results.extend(checks.iter().map(|check| (check.name, (check.run)())));
    }
    if !only.is_empty() {
        results.retain(|(name, _)| *name == only);
        if results.is_empty() {
            return None;
        }
    }
    let healthy = results.iter().all(|(_, result)| result.is_ok());
    let verbose = query.is_some_and(|q| q.split('&').any(|p| p == "verbose" || p.starts_with("verbose=")));
    let name = root.trim_start_matches('/');
    let text = match (healthy, verbose) {
        (true, false) => "ok".to_owned(),
        (true, true) => format!("{}{name} check passed\n", lines(&results)),
        (false, _) => format!("{}{name} check failed\n", lines(&results)),
    };
    let code = if healthy { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    Some(answer::with(code, "text/plain; charset=utf-8", text.into_bytes().into()))
}

fn lines(results: &[(&str, Result<(), String>)]) -> String {
    results
        .iter()
        .map(|(name, result)| match result {
            Ok(()) => format!("[+]{name} ok\n"),
            Err(why) => format!("[-]{name} failed: {why}\n"),
        })
        .collect()
}
