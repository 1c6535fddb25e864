//! A server that decides by roles; connections to it in anybody's name, without a network; and agents that do as they are told.

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::http1,
    server::conn::{http1 as server, http2},
    service::service_fn,
    upgrade::Upgraded,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lab_api_server::{ApiServer, Caller, Options, RoleBased};
use lab_object::Json;
use lab_store::{Embedded, Store};
use lab_wire::{
    agent::TUNNEL,
    stream::{Ended, Frame as Stream, PROTOCOL},
};
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::sync::mpsc;

pub const SERVERS: &str = "/apis/metal.lab/v1alpha1/servers";
pub const IAM: &str = "/apis/iam.lab/v1alpha1";

pub struct Lab {
    pub server: Arc<ApiServer>,
    _dir: TempDir,
}

/// What an answer came to.
pub enum Answer {
    Upgraded(TokioIo<Upgraded>),
    Refused(u16, String),
}

impl Lab {
    /// With the servers `a` and `b` of the environment dev, `p` of production, and the user `dev-admin`.
    pub async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(dir.path(), lab_store::Options::default()).unwrap());
        let authorizer = RoleBased::follow(store.clone()).await.unwrap();
        let options = Options { authorizer, ..Options::default() };
        let lab = Self { server: ApiServer::new(lab_kinds::registry(), store, options), _dir: dir };
        for (name, permission) in [("dev-admin", "admin:*:dev:*"), ("dev-apply", "apply:*:dev:*")] {
            let role = json!({"metadata": {"name": name}, "spec": {"permissions": [permission]}});
            lab.root("POST", &format!("{IAM}/roles"), role).await;
            let spec = json!({"role": name, "subjects": [{"kind": "User", "name": name}]});
            let binding = json!({"metadata": {"name": name}, "spec": spec});
            lab.root("POST", &format!("{IAM}/rolebindings"), binding).await;
        }
        for (name, environment) in [("a", "dev"), ("b", "dev"), ("p", "production")] {
            let server = json!({"metadata": {"name": name}, "spec": {"environment": environment}});
            lab.root("POST", SERVERS, server).await;
        }
        lab
    }

    /// A request by a part of the program itself, which has to succeed.
    pub async fn root(&self, method: &str, path: &str, body: Json) -> Json {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from(bytes))).unwrap();
        let (parts, body) = self.server.handle(request, Caller::internal("test")).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert!(parts.status.is_success(), "{method} {path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    pub async fn get(&self, name: &str) -> Json {
        self.root("GET", &format!("{SERVERS}/{name}"), Json::Null).await
    }

    /// The identity of a server's agent.
    pub async fn agent_of(&self, name: &str) -> Caller {
        let uid = self.get(name).await["metadata"]["uid"].as_str().unwrap().to_owned();
        Caller::new(format!("server:{uid}"), ["lab:servers"])
    }

    /// Asks over a connection of its own to leave HTTP.
    pub async fn ask(&self, caller: Caller, path: &str, protocol: &str) -> Answer {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let api = self.server.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (api, caller) = (api.clone(), caller.clone());
                async move { Ok::<_, Infallible>(api.handle(request, caller).await) }
            });
            let served = server::Builder::new().serve_connection(TokioIo::new(far), service).with_upgrades();
            let _ = served.await;
        });
        let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::post(path).header("host", "labd");
        if !protocol.is_empty() {
            request = request.header("connection", "upgrade").header("upgrade", protocol);
        }
        let response = sender.send_request(request.body(Full::new(Bytes::new())).unwrap()).await.unwrap();
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Answer::Upgraded(TokioIo::new(hyper::upgrade::on(response).await.unwrap()));
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Json = serde_json::from_slice(&body).unwrap_or_default();
        Answer::Refused(status.as_u16(), body["message"].as_str().unwrap_or_default().into())
    }

    /// Opens a tunnel that has to be given; what is beneath it.
    pub async fn tunnel(&self, name: &str) -> TokioIo<Upgraded> {
        let caller = self.agent_of(name).await;
        match self.ask(caller, &format!("{SERVERS}/{name}/tunnel"), TUNNEL).await {
            Answer::Upgraded(stream) => stream,
            Answer::Refused(code, why) => panic!("{name}: {code} {why}"),
        }
    }

    /// A well-behaved agent.
    pub async fn agent(&self, name: &str) -> Agent {
        let agent = Agent::on(self.tunnel(name).await);
        agent.report(json!({"system": {"agent": "1.2.3"}})).await;
        self.until(&format!("{name} is in reach"), || async {
            self.get(name).await["status"]["phase"] == "Ready"
        })
        .await;
        agent
    }

    /// Asks for a command in somebody's name.
    pub async fn exec(&self, user: &str, name: &str) -> Answer {
        let caller = Caller::new(user, [""; 0]);
        self.ask(caller, &format!("{SERVERS}/{name}/exec?command=echo"), PROTOCOL).await
    }

    /// Waits for something that comes about by itself.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while !holds().await {
            assert!(std::time::Instant::now() < end, "{what}: it did not come about");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn is_online(&self, name: &str) -> bool {
        self.root("GET", &format!("{SERVERS}/{name}/agent"), Json::Null).await["online"] == true
    }
}

/// An agent that reports what it is told, and answers every command by saying back what comes, once, and its own mark.
pub struct Agent {
    reports: mpsc::Sender<Bytes>,
    pub over: tokio::task::JoinHandle<()>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

fn streamed(received: mpsc::Receiver<Bytes>) -> Response<Body> {
    let frames = stream::unfold(received, |mut received| async move {
        Some((Ok(Frame::data(received.recv().await?)), received))
    });
    Response::new(StreamBody::new(frames).boxed_unsync())
}

impl Agent {
    pub fn on(tunnel: TokioIo<Upgraded>) -> Self {
        let (reports, received) = mpsc::channel(1);
        let received = Arc::new(std::sync::Mutex::new(Some(received)));
        let service = service_fn(move |request: Request<Incoming>| {
            let received = received.clone();
            async move {
                Ok::<_, Infallible>(match request.uri().path() {
                    "/reports" => streamed(received.lock().unwrap().take().unwrap()),
                    _ => echo(request),
                })
            }
        });
        let over = tokio::spawn(async move {
            let builder = http2::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(tunnel.into_inner(), service).await;
        });
        Self { reports, over }
    }

    pub async fn report(&self, report: Json) {
        self.send(format!("{report}\n")).await;
    }

    pub async fn send(&self, text: String) {
        let sent = tokio::time::timeout(Duration::from_secs(20), self.reports.send(text.into())).await;
        assert!(sent.is_ok(), "the report is not taken");
    }
}

fn echo(request: Request<Incoming>) -> Response<Body> {
    let (said, received) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut body = request.into_body();
        let first = body.frame().await.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
        let mut answer = Stream::Output(&first.unwrap_or_default()).to_bytes();
        Stream::Ended(Ended::Code(0)).write(&mut answer);
        let _ = said.send(answer.into()).await;
    });
    streamed(received)
}
