//! Documents that stay as they are while the server runs: sent with a hash, and not sent again to who has them.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use sha2::{Digest, Sha256};
use std::io;

/// A document with its type and hash.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    body: Bytes,
    content_type: &'static str,
    hash: String,
}

impl Document {
    pub(crate) fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let mut hash = Hash::default();
        hash.0.update(&body);
        Self { hash: hash.finish(), body, content_type }
    }

    /// The hash, as the ETag has it.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// The answer to who asks: 304 when they have it already (RFC 9110 §13.1.2), else the document.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response<Bytes> {
        let tag = format!("\"{}\"", self.hash);
        let has = |value: &HeaderValue| {
            let tags = value.to_str().unwrap_or_default().split(',');
            tags.map(|t| t.trim().trim_start_matches("W/")).any(|t| t == tag || t == "*")
        };
        let known = headers.get_all(header::IF_NONE_MATCH).iter().any(has);
        let mut response = Response::new(if known { Bytes::new() } else { self.body.clone() });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers
            .insert(header::ETAG, HeaderValue::from_str(&tag).expect("a hash is made of hexadecimal digits"));
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        response
    }
}

/// Hashes what is written to it.
#[derive(Default)]
pub(crate) struct Hash(Sha256);

impl Hash {
    /// The hash in hexadecimal digits, upper case as Kubernetes writes it.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

impl io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
