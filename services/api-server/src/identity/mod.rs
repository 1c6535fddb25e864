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

use lab_pki::{Authority, Challenges, ServiceTokens};
use std::sync::Arc;

/// What certificates and service accounts' tokens are signed with.
pub struct Issuer {
    pub(crate) authority: Arc<Authority>,
    pub(crate) tokens: ServiceTokens,
    pub(crate) challenges: Challenges,
}

impl Issuer {
    /// Signs certificates as this authority, and tokens with this key.
    pub fn new(authority: Arc<Authority>, tokens: ServiceTokens) -> Self {
        Self { authority, tokens, challenges: Challenges::new() }
    }
}
