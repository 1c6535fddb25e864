//! Keys, certificates and tokens: Lab's own certificate authority and what TLS needs of it.
//!
//! The clock is handed in as `now`. Randomness is the cryptographic library's own. Files are read and written here
//! only, always whole: a reader sees the old file or the new one.

mod authority;
mod error;
pub mod files;
mod identity;
mod leaf;
mod lifetime;
mod subject;
mod tls;

pub use authority::{Authority, FILES};
pub use error::Error;
pub use identity::Identity;
pub use leaf::{Issued, ServerNames};
pub use lifetime::Lifetime;
pub use tls::{ServingCertificate, server_config};
