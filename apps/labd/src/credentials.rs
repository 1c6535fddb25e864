//! What labd proves itself with, and what it gives the administrator: made at the first start, renewed in time.

use crate::{config::Settings, data_dir::Layout, kubeconfig, names};
use lab_api_server::Issuer;
use lab_pki::{
    Authority, Lifetime, ServerNames, ServiceTokens, ServingCertificate, SshAuthority, server_config,
};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How long the serving certificate holds. It is never on disk: each start makes one, and a running server renews it.
const SERVING: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How often it is looked whether something runs out, or this machine has other addresses: machines that were just installed
/// recognise it by the one at which they reach it.
pub const TENDING: Duration = Duration::from_secs(30);

/// The authority with all that it issued for this server.
pub struct Credentials {
    authority: Arc<Authority>,
    serving: Arc<ServingCertificate>,
    names: ServerNames,
    listen: SocketAddr,
    configured: Vec<String>,
    admin_kubeconfig: PathBuf,
}

impl Credentials {
    /// Loads the authority or makes it, makes a serving certificate, and sees to the administrator's kubeconfig.
    /// `listen` is where the server is really bound.
    pub fn open(
        layout: &Layout<'_>,
        settings: &Settings,
        listen: SocketAddr,
        now: SystemTime,
    ) -> anyhow::Result<Self> {
        let authority = Arc::new(Authority::load_or_create(&layout.pki(), now)?);
        let names = names::of_this_machine(listen, &settings.names);
        let issued = authority.issue_server(&names, Lifetime::starting(now, SERVING))?;
        let credentials = Self {
            serving: Arc::new(ServingCertificate::new(&issued)?),
            authority,
            names,
            listen,
            configured: settings.names.clone(),
            admin_kubeconfig: layout.admin_kubeconfig(),
        };
        credentials.keep_kubeconfig(now)?;
        Ok(credentials)
    }

    /// The server's side of TLS. Renewals take effect in it.
    pub fn tls(&self) -> anyhow::Result<rustls::ServerConfig> {
        Ok(server_config(&self.authority, self.serving.clone())?)
    }

    /// What the API signs certificates, those for SSH, and service accounts' tokens with.
    pub fn issuer(&self, layout: &Layout<'_>, settings: &Settings) -> anyhow::Result<Issuer> {
        let issuer = Issuer::new(self.authority.clone(), ServiceTokens::load_or_create(&layout.pki())?);
        let issuer = issuer.with_machine_certificates(settings.machine_certificates.unsigned_abs());
        Ok(issuer.with_ssh(SshAuthority::load_or_create(&layout.pki())?))
    }

    /// The authority's fingerprint.
    pub fn pin(&self) -> String {
        self.authority.pin()
    }

    /// Renews what is running out, and the serving certificate also when this machine is called otherwise than before.
    pub fn tend(&mut self, now: SystemTime) -> anyhow::Result<()> {
        let names = names::of_this_machine(self.listen, &self.configured);
        if names != self.names || self.serving.lifetime().renewal_due(now) {
            let issued = self.authority.issue_server(&names, Lifetime::starting(now, SERVING))?;
            self.serving.replace(&issued)?;
            self.names = names;
            tracing::info!("the serving certificate was renewed");
        }
        if self.authority.lifetime().renewal_due(now) {
            tracing::warn!("the authority's certificate is running out; restart labd to renew it");
        }
        self.keep_kubeconfig(now)
    }

    fn keep_kubeconfig(&self, now: SystemTime) -> anyhow::Result<()> {
        let server = kubeconfig::url(self.listen);
        if kubeconfig::keep(&self.admin_kubeconfig, &self.authority, &server, now)? {
            tracing::info!(path = %self.admin_kubeconfig.display(), "wrote the administrator's kubeconfig");
        }
        Ok(())
    }
}
