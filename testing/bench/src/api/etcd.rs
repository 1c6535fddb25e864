//! A real etcd, spoken to in its own gRPC over plain HTTP/2. The few messages are encoded here: the client then costs
//! the shared processors as little as possible, which favours the peer.

use super::{Peer, SIZE};
use crate::process::{Process, free_address};
use anyhow::{Context, bail};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{Request, header};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{convert::Infallible, net::SocketAddr, path::Path, process::Command, time::Instant};
use tokio::{net::TcpStream, sync::mpsc};

/// An etcd under measurement.
pub struct Etcd {
    pub process: Process,
    pub peer: Grpc,
}

/// How to reach it.
#[derive(Clone)]
pub struct Grpc {
    address: SocketAddr,
    payload: Bytes,
}

/// Starts etcd on `directory/etcd`, with its default of an fsync for every commit.
pub async fn start(directory: &Path) -> anyhow::Result<Etcd> {
    let (address, peers) = (free_address()?, free_address()?);
    let peer = Grpc { address, payload: Bytes::from(vec![b'x'; SIZE]) };
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(directory.join("etcd"));
    command.args(["--listen-client-urls", &format!("http://{address}")]);
    command.args(["--advertise-client-urls", &format!("http://{address}")]);
    command.args(["--listen-peer-urls", &format!("http://{peers}")]);
    command.args(["--quota-backend-bytes", "8589934592", "--log-level", "error"]);
    let ready = async || peer.range(b"0", b"1").await.is_ok();
    let process = Process::start(&mut command, &directory.join("etcd.log"), ready)
        .await
        .context("is the package etcd-server installed?")?;
    Ok(Etcd { process, peer })
}

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Sender = http2::SendRequest<Body>;

impl Grpc {
    async fn range(&self, from: &[u8], to: &[u8]) -> anyhow::Result<()> {
        let mut client = self.connect().await?;
        self.call(&mut client, "/etcdserverpb.KV/Range", &[(1, from), (2, to)]).await.map(|_| ())
    }

    async fn call(&self, client: &mut Sender, method: &str, fields: &[(u8, &[u8])]) -> anyhow::Result<usize> {
        client.ready().await?;
        let answer =
            client.send_request(self.request(method, stream::iter([message(fields)]).boxed())?).await?;
        let mut body = answer.into_body();
        let (mut received, mut status) = (0, None);
        while let Some(frame) = body.frame().await {
            let frame = frame?;
            received += frame.data_ref().map_or(0, Bytes::len);
            status = frame.trailers_ref().and_then(|t| t.get("grpc-status")).cloned().or(status);
        }
        match status {
            Some(code) if code == "0" => Ok(received),
            other => bail!("{method}: grpc-status {other:?}"),
        }
    }

    fn request(
        &self,
        method: &str,
        messages: stream::BoxStream<'static, Bytes>,
    ) -> anyhow::Result<Request<Body>> {
        let frames = messages.map(|m| Ok::<_, Infallible>(Frame::data(m)));
        let uri = format!("http://{}{method}", self.address);
        let request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers");
        Ok(request.body(UnsyncBoxBody::new(StreamBody::new(frames)))?)
    }
}

impl Peer for Grpc {
    type Client = Sender;

    async fn connect(&self) -> anyhow::Result<Sender> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let builder = http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn create(&self, client: &mut Sender, name: &str) -> anyhow::Result<()> {
        let key = format!("/registry/configmaps/default/{name}");
        self.call(client, "/etcdserverpb.KV/Put", &[(1, key.as_bytes()), (2, &self.payload)])
            .await
            .map(|_| ())
    }

    async fn list(&self, client: &mut Sender, _table: bool) -> anyhow::Result<usize> {
        self.call(client, "/etcdserverpb.KV/Range", &[(1, b"/registry/"), (2, b"/registry0")]).await
    }

    async fn watch(&self) -> anyhow::Result<mpsc::Receiver<Instant>> {
        let mut client = self.connect().await?;
        let create = field(&[(1, b"/registry/".as_slice()), (2, b"/registry0")]);
        let messages = stream::iter([message(&[(1, &create)])]).chain(stream::pending()).boxed();
        let answer = client.send_request(self.request("/etcdserverpb.Watch/Watch", messages)?).await?;
        let mut body = answer.into_body();
        // The first message says that the watch was created.
        body.frame().await.context("the watch ended")??;
        let (sender, receiver) = mpsc::channel(256);
        tokio::spawn(async move {
            let _open = client;
            while let Some(Ok(_)) = body.frame().await {
                if sender.send(Instant::now()).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

/// A gRPC message: no compression, its length, its fields.
fn message(fields: &[(u8, &[u8])]) -> Bytes {
    let content = field(fields);
    let mut message = BytesMut::with_capacity(content.len() + 5);
    message.put_u8(0);
    message.put_u32(u32::try_from(content.len()).expect("messages here are small"));
    message.extend_from_slice(&content);
    message.freeze()
}

/// Length-delimited fields in protobuf's encoding.
fn field(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (number, value) in fields {
        encoded.push(number << 3 | 2);
        let mut length = value.len();
        while length >= 0x80 {
            encoded.push(length as u8 & 0x7f | 0x80);
            length >>= 7;
        }
        encoded.push(length as u8);
        encoded.extend_from_slice(value);
    }
    encoded
}
