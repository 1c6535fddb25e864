//! Keys, certificates and tokens: Lab's own certificate authority and what TLS needs of it;
//! what passwords, tokens and signatures need.
//!
//! The clock is handed in as `now`. Randomness is the cryptographic library's own. Files are read and written here
//! only, always whole: a reader sees the old file or the new one.

mod authority;
mod challenge;
mod error;
pub mod files;
mod identity;
mod leaf;
mod lifetime;
mod measured;
mod password;
mod random;
mod request;
mod secret;
mod service_token;
mod ssh;
mod ssh_authority;
mod statement;
mod subject;
mod tls;

pub use authority::{Authority, FILES};
pub use challenge::Challenges;
pub use error::Error;
pub use identity::{CertificateFacts, Identity};
pub use leaf::{Issued, ServerNames};
pub use lifetime::Lifetime;
pub use measured::Measured;
pub use password::{MEMORY as PASSWORD_MEMORY, hash_password, verify_password};
pub use request::{Signed, SigningRequest};
pub use secret::{hash_token, random_token};
pub use service_token::{Bound, Claims, ISSUER, Named, ServiceTokens, TOKEN_KEY};
pub use ssh::{sign_as_ssh, signed_by};
pub use ssh_authority::{SSH_KEY, SshAuthority, new_ssh_key};
pub use statement::is_stated_by;
pub use tls::{ServingCertificate, server_config};
