//! The boot server in this process.

use crate::config;
use anyhow::Context;
use lab_boot_site::{Labd, Options, Ports, Running, System};
use lab_client::Client;
use std::{fs, path::Path, sync::Arc};

/// Starts the boot server. It keeps what it has to in `data`, and serves nothing before a Network object says so.
/// Agents of the machines it installs find labd as `labd` says.
pub fn start(client: &Client, told: &config::Bastion, data: &Path, labd: Labd) -> anyhow::Result<Running> {
    let state = data.join("boot");
    let files = told.files.clone().unwrap_or_else(|| state.join("files"));
    fs::create_dir_all(&files).with_context(|| format!("cannot make {}", files.display()))?;
    let options = Options {
        name: told.name.clone().unwrap_or_else(host_name),
        state,
        files,
        ports: Some(Ports { http: told.http_port, ..Ports::default() }),
        version: env!("CARGO_PKG_VERSION").into(),
        labd: Some(labd),
        seed: rand::random(),
    };
    lab_boot_site::start(client, options, Arc::new(System)).context("cannot start the boot server")
}

/// This machine's host name, as an object's name.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    if lab_object::name::check_subdomain(&name).is_empty() { name } else { "bastion".into() }
}
