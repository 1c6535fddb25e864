//! How the bastion is: `/healthz`, `/readyz` and `/metrics`, for the machine it runs on.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lab_boot_site::{Health, SiteFigures};
use prometheus_client::{encoding::text, registry::Registry};
use std::{convert::Infallible, io, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells how the bastion is.
pub struct Status {
    health: Health,
    registry: Registry,
}

impl Status {
    /// Tells how a running site is.
    pub fn new(health: Health, figures: SiteFigures) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(figures));
        Self { health, registry }
    }

    /// Answers until the socket fails for good. Connections end with it.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let mut connections = tokio::task::JoinSet::new();
        let this = Arc::new(self);
        loop {
            while connections.try_join_next().is_some() {}
            let (stream, _) = listener.accept().await?;
            let this = this.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = this.answer(request.method(), request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            connections.spawn(connection);
        }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let (code, kind, text) = match path {
            _ if method != Method::GET && method != Method::HEAD => {
                (StatusCode::METHOD_NOT_ALLOWED, TEXT, String::new())
            }
            "/healthz" | "/livez" => (StatusCode::OK, TEXT, "ok".into()),
            // Machines are served from what was known; whoever waits for what is new has to know that it does not come.
            "/readyz" => match self.health.trouble() {
                None => (StatusCode::OK, TEXT, "ok".into()),
                Some(why) => {
                    (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("labd is out of reach: {why}\n"))
                }
            },
            "/metrics" => (StatusCode::OK, METRICS, self.metrics()),
            _ => (StatusCode::NOT_FOUND, TEXT, "there are: /healthz, /readyz, /metrics\n".into()),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = code;
        response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
        response
    }

    fn metrics(&self) -> String {
        let mut out = String::new();
        // Writing to a string fails only when a metric refuses to be encoded; what was written until then still helps.
        if let Err(error) = text::encode(&mut out, &self.registry) {
            tracing::error!(%error, "metrics could not be encoded");
        }
        out
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
/// OpenMetrics, which Prometheus reads.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
