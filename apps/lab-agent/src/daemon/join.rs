//! `lab-agent join`: a running machine is taken in. Nothing on it is changed but the agent's own files.

use super::place::{Config, Place, read_token};
use crate::network;
use anyhow::Context;
use jiff::Timestamp;
use lab_client::{Identity, Invitation, Joiner};
use std::{fs, path::PathBuf};

/// Join with a token, and keep the certificate
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  labctl create -f - <<< '{\"apiVersion\": \"iam.lab/v1alpha1\", \"kind\": \"JoinToken\",
    \"metadata\": {\"name\": \"adopt\"}, \"spec\": {\"joiner\": \"agent\"}}' -o jsonpath='$.status.token'
  lab-agent join --server https://labd.example.net:6443 --ca-hash sha256:… --token-file -
  systemctl enable --now lab-agent")]
pub struct Args {
    /// labd's URL
    #[arg(long, value_name = "URL")]
    server: String,
    /// The hash of its authority's key (`sha256:…`), as labd prints it
    #[arg(long, value_name = "HASH")]
    ca_hash: String,
    /// The file with the join token, which is removed once it was used; `-` for the standard input
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// The name of this machine's Server [default: the one its MAC addresses belong to, or a new one]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The proxy through which labd is reached [default: what HTTPS_PROXY names]
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Who this machine is to somebody who does not know it yet.
pub fn joiner(name: Option<String>) -> Joiner {
    let macs: Vec<_> = network::interfaces(None).into_iter().map(|(_, mac)| mac).collect();
    let hostname = || rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let name = name.or_else(|| macs.is_empty().then(hostname));
    Joiner { name, macs }
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args { server, ca_hash, token_file, name, proxy, place } = args;
    // What else was configured stays; a file that cannot be read is written anew.
    let before = Config::read(&place.config).ok().flatten();
    let upgrade_patience = before.and_then(|before| before.upgrade_patience);
    let config = Config { server: server.clone(), ca_hash: ca_hash.clone(), proxy, upgrade_patience };
    let proxy = config.proxy()?;
    let invitation = Invitation { server, ca_hash, token: read_token(&token_file)?, proxy };
    let joined = Identity::join(&place.identity(), &invitation, &joiner(name), Timestamp::now()).await?;
    config.write(&place.config)?;
    if token_file.is_file() {
        fs::remove_file(&token_file)
            .with_context(|| format!("joined, but {} could not be removed", token_file.display()))?;
    }
    println!("joined as {}, with a certificate until {}", joined.name(), joined.expires());
    Ok(())
}
