//! Who somebody is: what they show, and what they are given to show.

mod authentication;
mod enrolment;
mod exchange;
mod guard;
mod login;
mod own;
mod password;
mod service_account;
mod sightings;
pub(crate) mod token;

pub(crate) use exchange::Exchange;
pub(crate) use guard::Guard;
pub(crate) use sightings::Sightings;

use lab_pki::{Authority, Challenges, ServiceTokens, SshAuthority};
use std::{sync::Arc, time::Duration};

/// How long certificates of machines hold, where nothing else is said. They are renewed when a third of it is left.
pub const MACHINES: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What certificates and service accounts' tokens are signed with.
pub struct Issuer {
    pub(crate) authority: Arc<Authority>,
    pub(crate) tokens: ServiceTokens,
    pub(crate) challenges: Challenges,
    /// How long certificates of machines hold.
    pub(crate) machines: Duration,
    /// What certificates for SSH are signed with, if they are.
    pub(crate) ssh: Option<SshAuthority>,
}

impl Issuer {
    /// Signs certificates as this authority, and tokens with this key.
    pub fn new(authority: Arc<Authority>, tokens: ServiceTokens) -> Self {
        Self { authority, tokens, challenges: Challenges::new(), machines: MACHINES, ssh: None }
    }

    /// The same with certificates of machines that hold for so long from their issue on.
    #[must_use]
    pub fn with_machine_certificates(self, life: Duration) -> Self {
        Self { machines: life, ..self }
    }

    /// The same, which signs certificates for SSH as well.
    #[must_use]
    pub fn with_ssh(self, authority: SshAuthority) -> Self {
        Self { ssh: Some(authority), ..self }
    }
}
