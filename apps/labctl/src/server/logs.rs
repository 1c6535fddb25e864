//! `labctl logs`: what a machine's installer and boot said.

use super::chosen;
use crate::{
    failure::{Exit, Failure, Outcome},
    kind, output,
    session::Session,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use lab_kinds::metal::Server;

/// Show what a machine said while it booted and was installed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl logs db-1
  labctl logs db-1 -f
  labctl logs db-1 --stage partition")]
pub struct Args {
    /// The server, by name, hostname, UID, MAC or IP
    #[arg(value_name = "SERVER", add = crate::complete::names_of("servers"))]
    machine: String,
    /// Go on as lines come
    #[arg(long, short)]
    follow: bool,
    /// Only lines of this stage
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let server = chosen::find(session, &kind::servers()?, &args.machine).await?;
    if let Some(stage) = &args.stage {
        check_stage(&server, stage)?;
    }
    let mut query = vec![format!("follow={}", args.follow)];
    query.extend(args.stage.as_ref().map(|stage| format!("stage={stage}")));
    query.extend(args.tail.map(|lines| format!("tailLines={lines}")));
    let path = format!("/apis/metal.lab/v1alpha1/servers/{}/log?{}", chosen::name(&server), query.join("&"));
    let request = http::Request::get(path)
        .body(Bytes::new())
        .map_err(|e| Failure::usage(format!("the request cannot be formed: {e}")))?;
    let response = match session.client.send("read the log", request).await {
        Ok(response) => response,
        // The server is there, as was just seen: it is the log that nobody keeps.
        Err(e) if e.status().is_some_and(|s| matches!(s.code, 404 | 405)) => {
            return Err(Failure::new(Exit::NotServed, "nobody keeps machines' logs yet")
                .with_hint(format!("`labctl describe srv {}` shows its stages", chosen::name(&server))));
        }
        Err(e) => return Err(e.into()),
    };
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Failure::new(Exit::Failed, format!("the log broke off: {e}")))?;
        if let Some(data) = frame.data_ref() {
            output::text(&String::from_utf8_lossy(data))?;
        }
    }
    Ok(())
}

/// A stage is one that the machine has had.
fn check_stage(server: &Server, stage: &str) -> Outcome {
    let stages = &server.status.stages;
    if stages.is_empty() || stages.iter().any(|s| s.name == stage) {
        return Ok(());
    }
    let names: Vec<&str> = stages.iter().map(|s| s.name.as_str()).collect();
    let near = kind::nearest(stage, names.iter().copied());
    let hint =
        if near.is_empty() { format!("its stages: {}", names.join(", ")) } else { kind::suggestion(&near) };
    Err(Failure::usage(format!("{} has had no stage {stage:?}", chosen::called(server))).with_hint(hint))
}
