//! The way to the server under the newest certificate.

use super::{IdentityError, file::Kept};
use crate::{EnrolError, Https, Request, Response, Transport, TransportError};
use async_trait::async_trait;
use parking_lot::RwLock;
use std::{path::Path, sync::Arc};

/// Carries each request under the certificate that is the newest when it is sent. What runs goes on under the one before, which
/// still counts for a while.
pub(super) struct Renewing {
    server: String,
    current: RwLock<(Arc<Kept>, Arc<Https>)>,
}

fn connect(path: &Path, kept: &Kept) -> Result<Arc<Https>, IdentityError> {
    let connected = kept.connection(path).and_then(|connection| Https::new(&connection));
    connected.map(Arc::new).map_err(|source| EnrolError::Config { source }.into())
}

impl Renewing {
    pub(super) fn new(path: &Path, kept: Kept) -> Result<Self, IdentityError> {
        let https = connect(path, &kept)?;
        Ok(Self { server: https.server().into(), current: RwLock::new((Arc::new(kept), https)) })
    }

    pub(super) fn kept(&self) -> Arc<Kept> {
        self.current.read().0.clone()
    }

    pub(super) fn replace(&self, path: &Path, kept: Kept) -> Result<(), IdentityError> {
        let https = connect(path, &kept)?;
        *self.current.write() = (Arc::new(kept), https);
        Ok(())
    }
}

#[async_trait]
impl Transport for Arc<Renewing> {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let https = self.current.read().1.clone();
        https.send(request).await
    }

    fn server(&self) -> &str {
        &self.server
    }
}
