//! `labd rotate-admin`: another kubeconfig for the administrator, and none before it counts any more.

use crate::{config::Settings, data_dir::Layout, kubeconfig};
use anyhow::Context;
use jiff::Timestamp;
use lab_client::{
    Client, Connection, Kubeconfig, Patch, PatchParams,
    config::{Credentials, Material, Overrides, Source, Sourced},
};
use lab_kinds::iam::CertificateRevocation;
use lab_object::Time;
use lab_pki::{Authority, Issued, files};
use serde_json::json;
use std::{
    io::Write,
    path::Path,
    time::{Duration, SystemTime},
};

/// The revocation of all that was given to the administrator before. There is one, and each rotation moves it.
const REVOCATION: &str = "admin-kubeconfig";
/// Certificates' times are of whole seconds: the new one is of the second after the last in which others are revoked.
const SECOND: Duration = Duration::from_secs(1);

/// Has the running labd revoke every certificate of the administrator's, and writes a kubeconfig with a new one.
pub fn run(settings: &Settings) -> anyhow::Result<()> {
    let layout = Layout(&settings.data_dir);
    let path = layout.admin_kubeconfig();
    let present = Kubeconfig::read(&path)
        .and_then(|kubeconfig| kubeconfig.connection(&Overrides::default()))
        .context("it is not known where labd listens; start it, and it writes a kubeconfig")?;
    let now = SystemTime::now();
    let authority = Authority::load_or_create(&layout.pki(), now)?;
    let issued = kubeconfig::issue(&authority, now + SECOND)?;
    let server = present.server.value.clone();
    let runtime = crate::backup::runtime()?;
    // By the new one, as nobody knows whether the old one still counts. It is written only when it has served.
    runtime
        .block_on(revoke(&as_issued(present, &issued), now))
        .context("nothing was changed; labd has to run for this")?;
    write(&path, &authority, &server, &issued)?;
    let _ = writeln!(
        std::io::stdout(),
        "wrote {}; every certificate of admin from before is revoked",
        path.display()
    );
    Ok(())
}

fn as_issued(connection: Connection, issued: &Issued) -> Connection {
    let inline = |pem: &str| {
        Some(Sourced::new(Material::Inline(pem.as_bytes().to_vec()), Source::Flag("new certificate")))
    };
    let credentials = Credentials {
        client_certificate: inline(&issued.certificate_pem),
        client_key: inline(&issued.key_pem),
        token: None,
    };
    Connection { credentials, ..connection }
}

async fn revoke(connection: &Connection, now: SystemTime) -> anyhow::Result<()> {
    let until = Time::cut(Timestamp::try_from(now).context("reading the clock")?);
    let client = Client::connect("labd", connection)?;
    let patch = Patch::Apply(json!({
        "apiVersion": "iam.lab/v1alpha1",
        "kind": "CertificateRevocation",
        "metadata": {"name": REVOCATION},
        "spec": {"user": kubeconfig::ADMIN, "issuedUntil": until,
            "reason": "The administrator's kubeconfig was replaced."},
    }));
    let params = PatchParams { force: true, ..PatchParams::default() };
    client.resource::<CertificateRevocation>().patch(REVOCATION, &patch, &params).await?;
    Ok(())
}

fn write(path: &Path, authority: &Authority, server: &str, issued: &Issued) -> anyhow::Result<()> {
    let text = kubeconfig::render(authority, server, issued);
    files::write(path, text.as_bytes(), files::PRIVATE)
        .context("the old one is revoked, but the new one could not be written; run this again")
}
