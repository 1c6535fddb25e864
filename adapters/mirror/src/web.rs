//! Over HTTP and HTTPS, following redirects.

use crate::{Download, Error, Source};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming as Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// How many redirects are followed.
const REDIRECTS: usize = 5;
/// How long a mirror may take to answer, and to go on.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of mirrors.
#[derive(Clone)]
pub(crate) struct Web(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

/// A file that comes in from a mirror.
pub(crate) struct Incoming {
    url: String,
    body: Body,
}

impl Web {
    pub fn new() -> Self {
        let mut roots = rustls::RootCertStore::empty();
        // A certificate of the system's that cannot be read is trusted by nobody.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .expect("the provider has every default version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    pub async fn fetch(&self, url: &str, from: u64) -> Result<Download, Error> {
        let mut at: Uri =
            url.parse().map_err(|error: http::uri::InvalidUri| wrong(url, error.to_string()))?;
        for _ in 0..REDIRECTS {
            if !matches!(at.scheme_str(), Some("http" | "https")) {
                return Err(wrong(url, "it is none of http, https and file".into()));
            }
            let response = self.ask(&at, url, from).await?;
            let status = response.status();
            match status {
                StatusCode::OK | StatusCode::PARTIAL_CONTENT => return download(response, url, from),
                // More was had than there is: it is another file by now, and is fetched anew.
                StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => {
                    let response = self.ask(&at, url, 0).await?;
                    if response.status() != StatusCode::OK {
                        return Err(Error::Answer { url: url.into(), status: response.status() });
                    }
                    return download(response, url, 0);
                }
                _ if status.is_redirection() => at = redirected(&at, &response, url)?,
                _ => return Err(Error::Answer { url: url.into(), status }),
            }
        }
        Err(Error::Web { url: url.into(), why: "it is redirected too often".into() })
    }

    async fn ask(&self, at: &Uri, url: &str, from: u64) -> Result<Response<Body>, Error> {
        let mut request = Request::get(at.clone()).header(header::USER_AGENT, "lab");
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let request = request.body(Empty::new()).map_err(|error| wrong(url, error.to_string()))?;
        match tokio::time::timeout(PATIENCE, self.0.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Error::Web { url: url.into(), why: chain(&error) }),
            Err(_) => Err(Error::Silent { url: url.into(), patience: PATIENCE }),
        }
    }
}

fn wrong(url: &str, why: String) -> Error {
    Error::Url { url: url.into(), why }
}

fn redirected(at: &Uri, response: &Response<Body>, url: &str) -> Result<Uri, Error> {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| wrong(url, "it is redirected to nowhere".into()))?;
    let absolute = match location.starts_with('/') {
        true => {
            let (scheme, host) =
                (at.scheme_str().unwrap_or("http"), at.authority().map_or("", |a| a.as_str()));
            format!("{scheme}://{host}{location}")
        }
        false => location.to_owned(),
    };
    absolute.parse().map_err(|error: http::uri::InvalidUri| wrong(&absolute, error.to_string()))
}

fn download(response: Response<Body>, url: &str, asked: u64) -> Result<Download, Error> {
    let text = |name| response.headers().get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    let (from, total) = match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            let (from, total) = text(header::CONTENT_RANGE).and_then(range).ok_or_else(|| Error::Web {
                url: url.into(),
                why: "the mirror does not say which part it sends".into(),
            })?;
            if from != asked {
                let why = "the mirror sends another part than it was asked for".into();
                return Err(Error::Web { url: url.into(), why });
            }
            (from, total)
        }
        _ => (0, length),
    };
    let source = Source::Web(Incoming { url: url.into(), body: response.into_body() });
    Ok(Download { from, total, source })
}

/// `bytes 5-9/10`: where the part begins, and how long the whole is, where that is said.
fn range(value: &str) -> Option<(u64, Option<u64>)> {
    let (part, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    Some((part.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

impl Incoming {
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.map_err(|_| Error::Silent { url: self.url.clone(), patience: PATIENCE })?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(Error::Web { url: self.url.clone(), why: chain(&error) }),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes */10", "items 5-9/10", "bytes 5/10"] {
            assert_eq!(range(bad), None, "{bad}");
        }
    }
}
