//! `labctl version`: ours and the server's.

use crate::{failure::Outcome, output, session::Session, settings::Globals};
use serde::Deserialize;

/// Show the versions of labctl and of the server
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl version
  labctl version --client")]
pub struct Args {
    /// Only labctl's own; the server is not asked
    #[arg(long)]
    client: bool,
}

/// What the server says of itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerVersion {
    /// Its version, such as `v1.36.0+lab-0.1.0`.
    #[serde(default)]
    pub git_version: String,
    /// What it was built for.
    #[serde(default)]
    pub platform: String,
}

/// Runs the command.
pub async fn run(args: Args, globals: &Globals) -> Outcome {
    output::line(&format!("labctl {}", env!("CARGO_PKG_VERSION")))?;
    if args.client {
        return Ok(());
    }
    let session = Session::open(globals)?;
    let version: ServerVersion = session.client.get_json("/version").await?;
    Ok(output::line(&format!(
        "server {} ({}) at {}",
        version.git_version,
        version.platform,
        session.client.server()
    ))?)
}
