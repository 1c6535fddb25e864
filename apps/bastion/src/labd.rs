//! The way to labd: by an identity of the bastion's own, or by a kubeconfig.

use crate::config::{Labd, Settings};
use anyhow::Context;
use jiff::Timestamp;
use lab_boot_site::Place;
use lab_client::{Client, Connection, Identity, Invitation, Joiner, Kubeconfig, config::Overrides};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

const PROGRAM: &str = concat!("bastion/", env!("CARGO_PKG_VERSION"));
/// The join token, where no file is named. It is in no process list.
const TOKEN: &str = "LAB_JOIN_TOKEN";

/// The way to labd, and how agents of machines that are installed here find it. An identity is renewed for as long as this process runs.
pub async fn reach(settings: &Settings) -> anyhow::Result<(Client, Option<lab_boot_site::Labd>)> {
    let path = settings.data_dir.join("identity.kubeconfig");
    let identity = match &settings.labd {
        Labd::Kubeconfig(Some(file)) => return by_kubeconfig(std::slice::from_ref(file)),
        Labd::Kubeconfig(None) if !path.exists() => return by_kubeconfig(&usual_kubeconfigs()),
        Labd::Kubeconfig(None) => {
            Identity::obtain(&path, None, &Joiner::default(), Timestamp::now, rand::random()).await?
        }
        Labd::Joined { server, ca_hash, token_file } => {
            let token = token(token_file.as_deref())?;
            let invitation = token.map(|token| Invitation {
                server: server.clone(),
                ca_hash: ca_hash.clone(),
                token,
                proxy: None,
            });
            let joiner = Joiner { name: Some(settings.name.clone()), ..Joiner::default() };
            let obtained =
                Identity::obtain(&path, invitation.as_ref(), &joiner, Timestamp::now, rand::random()).await;
            let identity = obtained.with_context(|| format!("bastion {:?} cannot join", settings.name))?;
            identity.moved_to(server)?
        }
    };
    let (client, agents) = (identity.client(PROGRAM), found_by_agents(&identity.connection()?)?);
    tokio::spawn(async move { identity.keep_renewed(Timestamp::now, rand::random()).await });
    Ok((client, agents))
}

/// Agents reach labd where this bastion does. They know it by its own authority only.
fn found_by_agents(connection: &Connection) -> anyhow::Result<Option<lab_boot_site::Labd>> {
    let ca_hash = connection.authority_hash()?;
    let place = Place::Url(connection.server.value.trim_end_matches('/').to_owned());
    Ok(ca_hash.map(|ca_hash| lab_boot_site::Labd { place, ca_hash }))
}

/// The join token. A file that is not there any more had one that was used.
fn token(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let text = match file {
        None => env::var(TOKEN).ok(),
        Some(path) if path == Path::new("-") => {
            Some(io::read_to_string(io::stdin()).context("cannot read the join token from standard input")?)
        }
        Some(path) => match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read.with_context(|| format!("cannot read the join token in {}", path.display()))?),
        },
    };
    Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn by_kubeconfig(paths: &[PathBuf]) -> anyhow::Result<(Client, Option<lab_boot_site::Labd>)> {
    let connection = Kubeconfig::load(paths)
        .and_then(|kubeconfig| kubeconfig.connection(&Overrides::default()))
        .context("it is not known how labd is reached; join one with --server URL, or name a kubeconfig with --kubeconfig FILE")?;
    let client = Client::connect(PROGRAM, &connection).context("labd cannot be connected to")?;
    Ok((client, found_by_agents(&connection)?))
}

/// Where kubectl looks.
fn usual_kubeconfigs() -> Vec<PathBuf> {
    if let Some(paths) = env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty()) {
        return env::split_paths(&paths).collect();
    }
    env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config")).into_iter().collect()
}
