//! An API server in this process, and a client whose way there can be cut.

use bytes::Buf;
use http_body_util::{BodyExt, Full};
use lab_api_server::{ApiServer, Caller, Options, Pieces};
use lab_client::{Client, Fault, InProcess, Request, Response, Transport, TransportError};
use lab_store::Embedded;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// The way to the server.
#[derive(Clone)]
pub struct Valve(Arc<State>);

struct State {
    store: Arc<Embedded>,
    api: Mutex<Arc<ApiServer>>,
    shut: AtomicBool,
    writes: AtomicU64,
    cut: Notify,
}

impl Valve {
    /// Nothing gets through, and what was under way breaks off.
    pub fn shut(&self) {
        self.0.shut.store(true, Ordering::Relaxed);
        self.0.cut.notify_waiters();
    }

    pub fn open(&self) {
        self.0.shut.store(false, Ordering::Relaxed);
    }

    /// The server ends, and another one is there over the same store.
    pub fn another_run(&self) {
        *self.0.api.lock() = server(&self.0.store);
        self.0.cut.notify_waiters();
    }

    /// How many requests came that change something.
    pub fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::Relaxed)
    }
}

struct Way<T> {
    valve: Valve,
    to: T,
}

#[async_trait::async_trait]
impl<T: Transport> Transport for Way<T> {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let refused = || TransportError::new("labd", Fault::Refused);
        let state = self.valve.0.clone();
        if state.shut.load(Ordering::Relaxed) {
            return Err(refused());
        }
        if request.method() != http::Method::GET {
            state.writes.fetch_add(1, Ordering::Relaxed);
        }
        let response = self.to.send(request).await?;
        Ok(response.map(|body| {
            let ended = async move {
                state.cut.notified().await;
            };
            let data =
                futures_util::StreamExt::take_until(http_body_util::BodyStream::new(body), Box::pin(ended));
            BodyExt::boxed_unsync(http_body_util::StreamBody::new(data))
        }))
    }

    fn server(&self) -> &str {
        "labd"
    }
}

fn server(store: &Arc<Embedded>) -> Arc<ApiServer> {
    ApiServer::new(lab_kinds::registry(), store.clone(), Options::default())
}

/// A client that may do everything, of a server over a new store, and the way between them.
pub fn over_a_store(path: &Path) -> (Client, Valve) {
    let store = Arc::new(Embedded::open(path, lab_store::Options::default()).expect("the store opens"));
    let api = Mutex::new(server(&store));
    let (shut, writes, cut) = (AtomicBool::new(false), AtomicU64::new(0), Notify::new());
    let state = Arc::new(State { store, api, shut, writes, cut });
    let valve = Valve(state.clone());
    let to = InProcess::new("labd", move |request: Request| {
        let api = state.api.lock().clone();
        async move {
            let answer = api.handle(request.map(Full::new), Caller::internal("test")).await;
            let whole = |mut pieces: Pieces| pieces.copy_to_bytes(pieces.remaining());
            answer.map(|body| body.map_frame(move |frame| frame.map_data(whole)))
        }
    });
    (Client::new("test", Way { valve: valve.clone(), to }), valve)
}
