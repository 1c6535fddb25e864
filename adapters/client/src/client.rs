//! The client: one transport, and typed or dynamic views of what is behind it.

use crate::{
    Api, Body, ConfigError, Connection, Error, Https, Response, Transport,
    api::{Path, doing_request},
};
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use http_body_util::BodyExt;
use lab_object::{GroupVersionResource, Json, Reason, Resource, Status};
use serde::{Deserialize, de::DeserializeOwned};
use std::{fmt, sync::Arc};

/// What is done with the server's `Warning` headers.
pub type OnWarning = Arc<dyn Fn(&str) + Send + Sync>;

/// A client of one API server; cheap to clone.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    prefix: Arc<str>,
    user_agent: HeaderValue,
    field_manager: Arc<str>,
    on_warning: Option<OnWarning>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.server()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client over `transport`. `name` is who we are: the user agent, and the manager of the fields we write.
    pub fn new(name: &str, transport: impl Transport) -> Self {
        Self {
            transport: Arc::new(transport),
            prefix: "".into(),
            user_agent: HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("lab-client")),
            field_manager: name.split('/').next().unwrap_or_default().into(),
            on_warning: None,
        }
    }

    /// A client over HTTPS.
    pub fn connect(name: &str, connection: &Connection) -> Result<Self, ConfigError> {
        Ok(Self::new(name, Https::new(connection)?))
    }

    /// The same with all paths beneath `prefix`, such as `/clusters/<tenant>`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.trim_end_matches('/').into();
        self
    }

    /// The same with a taker for the server's warnings; by default they are logged.
    #[must_use]
    pub fn with_warnings(mut self, taker: OnWarning) -> Self {
        self.on_warning = Some(taker);
        self
    }

    /// Who is asked, as errors name it.
    pub fn server(&self) -> &str {
        self.transport.server()
    }

    /// Who we are as a manager of fields, where a call names nobody else.
    pub fn field_manager(&self) -> &str {
        &self.field_manager
    }

    /// All objects of a kind: of a cluster-scoped kind, or in all namespaces.
    pub fn resource<T: Resource>(&self) -> Api<T> {
        Api::new(self.clone(), Path::of::<T>(None))
    }

    /// The objects of a kind in one namespace.
    pub fn namespaced<T: Resource>(&self, namespace: &str) -> Api<T> {
        Api::new(self.clone(), Path::of::<T>(Some(namespace)))
    }

    /// Objects of a kind known only by data.
    pub fn dynamic(&self, resource: &GroupVersionResource, namespace: Option<&str>) -> Api<Json> {
        Api::new(self.clone(), Path::new(resource, namespace))
    }

    /// Sends any request beneath the prefix. An answer that is no success becomes [`Error::Status`]. `doing` completes
    /// "cannot …" in errors.
    pub async fn send(&self, doing: &str, mut request: http::Request<Bytes>) -> Result<Response, Error> {
        if !self.prefix.is_empty() {
            *request.uri_mut() =
                format!("{}{}", self.prefix, request.uri()).parse().map_err(|e: http::uri::InvalidUri| {
                    Error::Request { doing: doing.into(), why: e.to_string() }
                })?;
        }
        request.headers_mut().insert(header::USER_AGENT, self.user_agent.clone());
        tracing::debug!(method = %request.method(), uri = %request.uri(), "request");
        let transported = self.transport.send(request).await;
        let response = transported.map_err(|source| Error::Transport { doing: doing.into(), source })?;
        self.pass_warnings(&response);
        if response.status().is_success() || response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let body = self.collect(doing, response.into_body()).await?;
        Err(Error::Status {
            doing: doing.into(),
            server: self.server().into(),
            status: Box::new(failure(code, &body)),
        })
    }

    /// Reads a path of the server, such as `/version`, as JSON.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.get_json_as(path, "application/json").await
    }

    /// Reads a path of the server in one of the forms of JSON that `accept` names.
    pub async fn get_json_as<T: DeserializeOwned>(
        &self,
        path: &str,
        accept: &'static str,
    ) -> Result<T, Error> {
        let doing = format!("read {path}");
        let request = doing_request(&doing, Method::GET, path, accept, Bytes::new())?;
        let response = self.send(&doing, request).await?;
        let body = self.collect(&doing, response.into_body()).await?;
        self.decode(&doing, &body)
    }

    /// Reads the whole of a body.
    pub async fn collect(&self, doing: &str, body: Body) -> Result<Bytes, Error> {
        match body.collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(e) => Err(self.broken(doing, e)),
        }
    }

    pub(crate) fn broken(&self, doing: &str, error: crate::BoxError) -> Error {
        let (fault, source) = match crate::https::classify(&*error) {
            (crate::Fault::Other, source) => (crate::Fault::Closed, source),
            known => known,
        };
        let source = crate::TransportError { server: self.server().into(), fault, source };
        Error::Transport { doing: doing.into(), source }
    }

    pub(crate) fn decode<'a, T: Deserialize<'a>>(&self, doing: &str, body: &'a [u8]) -> Result<T, Error> {
        serde_json::from_slice(body).map_err(|source| Error::Answer {
            doing: doing.into(),
            server: self.server().into(),
            source,
        })
    }

    fn pass_warnings(&self, response: &Response) {
        for value in response.headers().get_all(header::WARNING) {
            let text = value.to_str().map(warning_text).unwrap_or_default();
            match &self.on_warning {
                _ if text.is_empty() => {}
                Some(take) => take(&text),
                None => tracing::warn!(server = self.server(), "{text}"),
            }
        }
    }
}

/// The body of a failure as a `Status`, or one made of what there is.
pub(crate) fn failure(code: u16, body: &[u8]) -> Status {
    if let Ok(status) = serde_json::from_slice::<Status>(body)
        && status.kind == "Status"
    {
        return Status { code, ..status };
    }
    let reason = match code {
        401 => Reason::Unauthorized,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        429 => Reason::TooManyRequests,
        503 => Reason::ServiceUnavailable,
        _ => Reason::Unknown,
    };
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default().trim();
    let line: String = line.chars().take(200).collect();
    let message = if line.is_empty() { format!("HTTP {code}") } else { format!("HTTP {code}: {line}") };
    Status { code, ..Status::failure(reason, message) }
}

/// The quoted text of `299 - "text"` (RFC 7234, 5.5).
fn warning_text(header: &str) -> String {
    let quoted = header.split_once('"').map(|(_, rest)| rest.rsplit_once('"').map_or(rest, |(text, _)| text));
    quoted.unwrap_or(header).replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_unquoted() {
        for (header, expected) in [
            (r#"299 - "unknown field \"spec.x\"""#, r#"unknown field "spec.x""#),
            ("299 - \"plain\"", "plain"),
            ("unquoted", "unquoted"),
        ] {
            assert_eq!(warning_text(header), expected);
        }
    }

    #[test]
    fn failures_become_statuses() {
        let told = Status::not_found("servers", "metal.lab", "a");
        let body = serde_json::to_vec(&told).unwrap();
        for (code, body, reason, message) in [
            (404, body.as_slice(), Reason::NotFound, r#"servers.metal.lab "a" not found"#),
            (502, b"<html>bad gateway\nmore".as_slice(), Reason::Unknown, "HTTP 502: <html>bad gateway"),
            (401, b"".as_slice(), Reason::Unauthorized, "HTTP 401"),
            (503, br#"{"kind":"Pod"}"#.as_slice(), Reason::ServiceUnavailable, r#"HTTP 503: {"kind":"Pod"}"#),
        ] {
            let status = failure(code, body);
            assert_eq!((status.code, status.reason, status.message.as_str()), (code, Some(reason), message));
        }
    }
}
