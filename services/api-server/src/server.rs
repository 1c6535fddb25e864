//! The way of every request: who calls, what they ask for, whether they may, and the answer.

use crate::{
    agents::{self, Agents},
    alias::Aliases,
    answer,
    audit::{self, Audit, Trace},
    authorizer::{Authorizer, MastersOnly},
    body::Body,
    call::Call,
    caller::{self, Caller},
    discovery::Discovery,
    fault, health,
    identity::{Exchange, Guard, Issuer, Sightings},
    key::DEFAULT_TENANT,
    log::Rings,
    metrics::{self, Labels, Metrics},
    openapi::OpenApi,
    request::{self, RequestInfo, Route, Verb},
    review,
    visible::Places,
    watch::Watches,
};
use bytes::Buf;
use futures_util::FutureExt;
use http::{HeaderMap, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use jiff::Timestamp;
use lab_access::Verdict;
use lab_audit::Trail;
use lab_kinds::{Registry, Subresource, audit::AuditEntry};
use lab_object::{Json, Reason, Status};
use lab_store::Store;
use std::{
    borrow::Cow,
    error::Error,
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// The header in which every answer carries the request's ID.
pub const REQUEST_ID: &str = "audit-id";

/// A path that the process around the server answers, beside the server's own.
#[derive(Clone)]
pub struct Extra {
    /// The path, such as `/backup`.
    pub path: &'static str,
    /// The answer to a GET by a caller who was admitted to the path.
    pub answer: Arc<dyn Fn() -> Response<Body> + Send + Sync>,
}

/// What can be set about a server.
pub struct Options {
    /// Who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    /// What certificates and service accounts' tokens are signed with; without it none are issued.
    pub issuer: Option<Arc<Issuer>>,
    /// What `/version` answers: Kubernetes' `version.Info`.
    pub version: Json,
    /// Figures of others, to be shown beside the server's own at `/metrics`.
    pub metrics: prometheus_client::registry::Registry,
    /// What must hold for the server to be ready, besides a store that can be read.
    pub checks: Vec<health::Check>,
    /// Further paths.
    pub extra: Vec<Extra>,
    /// Requests answered at once, watches not counted; more are refused with 429.
    pub max_requests: usize,
    /// Watches running at once; more are refused with 429.
    pub max_watches: usize,
    /// Time between the bookmarks of a watch.
    pub bookmark_interval: Duration,
    /// Where it is recorded who did what; without it nowhere.
    pub audit: Option<Arc<Trail>>,
    /// The folder with executables of agents, called `lab-agent-VERSION-ARCHITECTURE`, which those may be told to run.
    pub releases: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            authorizer: Arc::new(MastersOnly),
            issuer: None,
            version: health::version(env!("CARGO_PKG_VERSION")),
            metrics: Default::default(),
            checks: Vec::new(),
            extra: Vec::new(),
            max_requests: 1000,
            max_watches: 65_536,
            bookmark_interval: Duration::from_secs(60),
            audit: None,
            releases: None,
        }
    }
}

/// The API over a registry of kinds and a store.
pub struct ApiServer {
    pub(crate) registry: Arc<Registry>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) aliases: Arc<Aliases>,
    pub(crate) watches: Watches,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) places: Arc<Places>,
    pub(crate) audit: Audit,
    pub(crate) logs: Arc<Rings>,
    pub(crate) issuer: Option<Arc<Issuer>>,
    pub(crate) guard: Guard,
    pub(crate) sightings: Arc<Sightings>,
    pub(crate) agents: Arc<Agents>,
    pub(crate) releases: Option<PathBuf>,
    /// The server itself, for what goes on after an answer.
    pub(crate) me: Weak<Self>,
    /// Logins and enrolments at once.
    pub(crate) exchanges: Semaphore,
    discovery: Discovery,
    openapi: OpenApi,
    version: Json,
    checks: Vec<health::Check>,
    extra: Vec<Extra>,
    slots: Semaphore,
}

impl ApiServer {
    /// A server of these kinds over this store. It must be made within a tokio runtime: it follows the store's changes.
    pub fn new(registry: Registry, store: Arc<dyn Store>, options: Options) -> Arc<Self> {
        let registry = Arc::new(registry);
        let agents = Arc::<Agents>::default();
        let metrics = Arc::new(Metrics::new(options.metrics, agents.clone()));
        let server = Arc::new_cyclic(|me| Self {
            aliases: Aliases::follow(registry.clone(), store.clone()),
            watches: Watches::new(options.max_watches, options.bookmark_interval),
            authorizer: options.authorizer,
            places: Arc::default(),
            audit: Audit::new(options.audit),
            logs: Arc::new(Rings::new(Uuid::new_v4().to_string())),
            issuer: options.issuer,
            guard: Guard::new(metrics.clone()),
            sightings: Arc::default(),
            agents,
            releases: options.releases,
            me: me.clone(),
            exchanges: Semaphore::new(MAX_EXCHANGES),
            discovery: Discovery::new(&registry),
            openapi: OpenApi::new(registry.clone()),
            version: options.version,
            checks: options.checks,
            extra: options.extra,
            slots: Semaphore::new(options.max_requests),
            metrics,
            registry,
            store,
        });
        tokio::spawn(agents::missing(Arc::downgrade(&server)));
        server
    }

    /// The kinds that are served.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The store beneath.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The server's figures.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Ends all watches, also those to come; for a server that is shutting down.
    pub fn close(&self) {
        self.watches.close();
    }

    /// Answers a request. Needs no socket: parts of this process call it as any client would, with
    /// [`Caller::internal`].
    ///
    /// It never fails and never panics: what goes wrong is a `Status` in the answer.
    pub async fn handle<B>(&self, request: Request<B>, caller: Caller) -> Response<Body>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let started = Instant::now();
        let in_flight = self.metrics.begin();
        let id = Uuid::new_v4();
        let (parts, body) = request.into_parts();
        let mut labels =
            Labels { verb: "other", group: String::new(), resource: String::new(), subresource: "" };
        let (caller, lapsed) = match self.authenticate(&parts.headers, &caller) {
            Ok(known) => (known, None),
            Err(status) => (Cow::Borrowed(&caller), Some(status)),
        };
        let trace = Trace::new(id, &parts, &caller);
        let answer = async {
            match lapsed {
                Some(status) => Err(status),
                None => {
                    self.sight(&caller).await;
                    self.answer(&parts, body, &caller, &mut labels, &trace).await
                }
            }
        };
        let answer = AssertUnwindSafe(answer).catch_unwind().await;
        let mut reason = None;
        let mut response = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(status)) => {
                reason = status.reason;
                self.refusal(&status, parts.uri.path())
            }
            Err(panic) => {
                let why = panic_message(&*panic);
                tracing::error!(request = %id, method = %parts.method, path = parts.uri.path(), why, "a request panicked");
                self.metrics.panicked();
                reason = Some(Reason::InternalError);
                answer::failure(&fault::internal(format_args!("the request {id} could not be completed")))
            }
        };
        if let Err(status) = self.audit.settle(&trace, response.status().as_u16(), reason, &caller).await {
            response = answer::failure(&status);
        }
        let id =
            header::HeaderValue::from_str(&id.hyphenated().to_string()).expect("a UUID is a valid header");
        response.headers_mut().insert(REQUEST_ID, id);
        drop(in_flight);
        self.metrics.answered(labels, response.status().as_u16(), started.elapsed());
        response
    }

    async fn answer<B>(
        &self,
        parts: &Parts,
        body: B,
        caller: &Caller,
        labels: &mut Labels,
        trace: &Trace,
    ) -> Result<Response<Body>, Status>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let raw = parts.uri.path();
        if let Some((tenant, review)) = review::Review::at(raw) {
            labels.name("create", review.group, review.resource, "");
            caller::known(caller)?;
            let headers = &parts.headers;
            return review::Asked { server: self, review, tenant, caller, headers }
                .answer(&parts.method, body)
                .await;
        }
        if let Some(exchange) = Exchange::at(raw) {
            labels.name("create", "iam.lab", exchange.plural(), "");
            return self.exchange(exchange, parts, body, (caller, trace)).await;
        }
        match request::route(&self.registry, &parts.method, raw, parts.uri.query()) {
            Ok(Route::Path { tenant, path }) => {
                labels.verb = path_verb(&parts.method);
                if self.gives_all(&path) || !matches!(labels.verb, "get" | "head") {
                    trace.is_due();
                }
                self.admit_path(caller, &tenant, labels.verb, &path)?;
                self.at_path(parts, &path).await
            }
            Ok(Route::Objects(info)) => {
                let part = info.subresource.as_ref().map_or("", |s| s.path());
                labels.name(info.verb.as_str(), &info.kind.group, &info.kind.plural, part);
                trace.objects(&info);
                let call = self.admit(caller, &info, &parts.headers, trace)?;
                if info.verb == Verb::Watch {
                    return call.watch().await;
                }
                if info.subresource == Some(Subresource::Log) {
                    return call.tell_log().await;
                }
                if let Some(answer) = call.at_machine(parts).await {
                    return answer;
                }
                // Waiting requests would only pile up: whoever asks too much hears so at once.
                let Ok(_slot) = self.slots.try_acquire() else { return Err(too_many("requests")) };
                call.run(body).await
            }
            // Nobody learns which paths there are without being known.
            Err(status) => {
                self.admit_path(caller, DEFAULT_TENANT, path_verb(&parts.method), raw)?;
                Err(status)
            }
        }
    }

    fn refusal(&self, status: &Status, path: &str) -> Response<Body> {
        let mut response = answer::failure(status);
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            let methods = match (review::Review::at(path), Exchange::at(path)) {
                (Some(_), _) | (_, Some(_)) => "POST".into(),
                _ => request::allowed(&self.registry, path),
            };
            let methods = header::HeaderValue::from_str(&methods).expect("methods are visible ASCII");
            response.headers_mut().insert(header::ALLOW, methods);
        }
        response
    }

    /// Admits a request for objects: 401 without credentials, 403 for who has nothing to do with the kind.
    fn admit<'a>(
        &'a self,
        caller: &'a Caller,
        info: &'a RequestInfo,
        headers: &'a HeaderMap,
        trace: &'a Trace,
    ) -> Result<Call<'a>, Status> {
        caller::known(caller)?;
        let access = self.authorizer.access(caller, &info.tenant);
        let mut call = Call {
            server: self,
            info,
            headers,
            caller,
            access,
            partial: false,
            about_self: false,
            now: Timestamp::now(),
            trace,
        };
        match call.access.admit(&call.ask()) {
            Verdict::Allowed => {}
            Verdict::Depends => call.partial = true,
            Verdict::Denied(_) if call.is_about_own_password() => call.about_self = true,
            Verdict::Denied(why) => return Err(caller::forbidden(caller, info, &info.name, &why)),
        }
        Ok(call)
    }

    /// Whether a path answers with more than its caller could read object by object, so that it is recorded who did.
    fn gives_all(&self, path: &str) -> bool {
        path == audit::PATH || self.extra.iter().any(|extra| extra.path == path)
    }

    /// Records what happened outside of a request, such as that the server was started or a connection cut. When this
    /// returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// The trail cannot be written; the entry is kept and written when that can be done.
    pub async fn record(&self, entry: AuditEntry) -> Result<(), lab_audit::Error> {
        self.audit.record(entry).await
    }

    /// Admits a request for a path that is no object's.
    fn admit_path(&self, caller: &Caller, tenant: &str, verb: &str, path: &str) -> Result<(), Status> {
        if caller::is_public(path) {
            return Ok(());
        }
        caller::known(caller)?;
        let admitted = self.authorizer.access(caller, tenant).admit_path(path);
        admitted.map_err(|why| caller::forbidden_path(caller, verb, path, &why))
    }

    /// Answers for paths that are no object's.
    async fn at_path(&self, parts: &Parts, path: &str) -> Result<Response<Body>, Status> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Err(request::not_allowed(&parts.method));
        }
        if let Some(extra) = self.extra.iter().find(|extra| extra.path == path && parts.method == Method::GET)
        {
            return Ok((extra.answer)());
        }
        if path == audit::PATH && parts.method == Method::GET {
            return self.audit.export().ok_or_else(request::unknown_path);
        }
        let (headers, query) = (&parts.headers, parts.uri.query());
        let found = match path {
            "/" => Some(answer::json(&serde_json::json!({"paths": health::PATHS}))),
            "/version" => Some(answer::json(&self.version)),
            "/metrics" => Some(answer::text(metrics::CONTENT_TYPE, self.metrics.render())),
            _ if health::is_check(path) => health::answer(path, query, &*self.store, &self.checks).await,
            _ if path.starts_with("/openapi") => {
                self.openapi.answer(path, query, headers).map(|r| r.map(Body::from))
            }
            _ => self.discovery.answer(path, headers).map(|r| r.map(Body::from)),
        };
        found.ok_or_else(request::unknown_path).map(|response| answer::compressed(headers, response))
    }
}

/// Kubernetes' verbs for paths are the methods in lower case.
fn path_verb(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "HEAD" => "head",
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "other",
    }
}

/// 429.
pub(crate) fn too_many(what: &str) -> Status {
    let mut status =
        Status::failure(Reason::TooManyRequests, format!("too many {what} at once, please try again later"));
    status.details = Some(lab_object::StatusDetails { retry_after_seconds: Some(1), ..Default::default() });
    status
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Logins and enrolments answered at once; those who ask are not known, and share with nobody else.
const MAX_EXCHANGES: usize = 64;
/// Most bytes a body may have: what Kubernetes takes.
pub const MAX_BODY: usize = 3 * 1024 * 1024;
/// Longest time that a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a body whole that is no larger than Kubernetes takes.
pub(crate) async fn read<B>(headers: &HeaderMap, body: B) -> Result<bytes::Bytes, Status>
where
    B: http_body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    read_at_most(MAX_BODY, headers, body).await
}

/// Reads a body whole; 413 as soon as it is seen to be too large, 400 when the client breaks off.
pub(crate) async fn read_at_most<B>(most: usize, headers: &HeaderMap, body: B) -> Result<bytes::Bytes, Status>
where
    B: http_body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let too_large = || {
        Status::failure(Reason::RequestEntityTooLarge, format!("Request entity too large: limit is {most}"))
    };
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    tokio::time::timeout(PATIENCE, collect(most, body, too_large))
        .await
        .map_err(|_| Status::failure(Reason::Timeout, "the request's body did not arrive in time"))?
}

/// Puts the frames of a body together.
async fn collect<B>(most: usize, body: B, too_large: impl Fn() -> Status) -> Result<bytes::Bytes, Status>
where
    B: http_body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut body = std::pin::pin!(body);
    let mut whole = Vec::new();
    let mut first = None;
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| fault::bad_request(format!("the request's body broke off: {}", error.into())))?;
        let Ok(mut data) = frame.into_data() else { continue };
        let length = data.remaining();
        if whole.len() + first.as_ref().map_or(0, bytes::Bytes::len) + length > most {
            return Err(too_large());
        }
        // Nearly every body comes as one frame and is taken without copying.
        match (first.take(), whole.is_empty()) {
            (None, true) => first = Some(data.copy_to_bytes(length)),
            (earlier, _) => {
                whole.extend_from_slice(&earlier.unwrap_or_default());
                while data.has_remaining() {
                    let chunk = data.chunk();
                    let taken = chunk.len();
                    whole.extend_from_slice(chunk);
                    data.advance(taken);
                }
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.into()))
}
