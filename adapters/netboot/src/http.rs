//! An HTTP/1.1 server for boot files, as firmware needs it.
//!
//! UEFI sends HEAD and then GET on one connection, wants `Content-Length` on both, follows no redirects, and breaks connections
//! off when it has what it wants. Files go from disk to socket without passing through this program.

pub mod head;
mod send;

use crate::files::{Asked, Files, Outcome, Protocol, Taken};
use bytes::Bytes;
use head::{Head, Malformed, Method};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

/// How the server behaves.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many connections are open at once. Further ones wait to be accepted.
    pub connections: usize,
    /// How many of them one address may have.
    pub connections_per_client: usize,
    /// How long a client may take to send a request, from its first byte or since the last answer.
    pub request_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub send_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_client: 64,
            request_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
        }
    }
}

/// The largest content of a request, in bytes.
const LARGEST_CONTENT: usize = 1 << 20;
/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 8 << 10;

/// Serves connections until the socket fails for good.
pub async fn serve(listener: TcpListener, files: Arc<dyn Files>, settings: Settings) -> io::Result<()> {
    let mut connections: JoinSet<IpAddr> = JoinSet::new();
    let mut by_client: HashMap<IpAddr, usize> = HashMap::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < settings.connections => match accepted {
                Ok((stream, peer)) => {
                    let count = by_client.entry(peer.ip()).or_default();
                    if *count >= settings.connections_per_client {
                        tracing::debug!(%peer, "too many connections from one address");
                        continue;
                    }
                    *count += 1;
                    let files = files.clone();
                    connections.spawn(async move {
                        if let Err(error) = converse(stream, peer, &*files, settings).await {
                            // Firmware resets connections as a matter of course.
                            tracing::trace!(%peer, %error, "connection ended");
                        }
                        peer.ip()
                    });
                }
                Err(error) if transient(&error) => {
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            },
            Some(ended) = connections.join_next() => {
                // A connection whose task panicked stays counted for its address; the number of connections does not.
                if let Ok(address) = ended
                    && let Some(count) = by_client.get_mut(&address)
                {
                    *count -= 1;
                    if *count == 0 {
                        by_client.remove(&address);
                    }
                }
            }
        }
    }
}

/// Errors of one connection, or of a moment without file descriptors.
fn transient(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
        || matches!(error.raw_os_error(), Some(23 | 24))
}

/// Answers one request after another.
async fn converse(
    mut stream: TcpStream,
    peer: SocketAddr,
    files: &dyn Files,
    settings: Settings,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let head = match timeout(settings.request_timeout, receive(&mut stream, &mut buffer)).await {
            Ok(received) => received?,
            Err(_) => Err(Malformed::Slow),
        };
        let head = match head {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(()),
            Err(malformed) => {
                return brief(&mut stream, malformed.status(), true, settings).await;
            }
        };
        let mut keep_alive = head.keep_alive;
        if head.method == Method::Post {
            let Some(content) = content(&mut stream, &mut buffer, &head, settings).await? else {
                return brief(&mut stream, Malformed::Content.status(), true, settings).await;
            };
            take(&mut stream, peer, files, head, content, settings).await?;
        } else {
            keep_alive &= answer(&mut stream, peer, files, head, settings).await?;
        }
        if !keep_alive {
            return stream.shutdown().await;
        }
    }
}

/// Reads a head; nothing where the client has closed the connection. What follows the head stays in the buffer.
async fn receive(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> io::Result<Result<Option<Head>, Malformed>> {
    loop {
        match Head::parse(buffer) {
            Ok(Some((head, length))) => {
                buffer.drain(..length);
                return Ok(Ok(Some(head)));
            }
            Ok(None) if buffer.len() >= LARGEST_HEAD => return Ok(Err(Malformed::Large)),
            Ok(None) => {}
            Err(malformed) => return Ok(Err(malformed)),
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(Ok(None));
        }
    }
}

/// Reads a request's content; nothing where it is too large to be read. What follows it stays in the buffer.
async fn content(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    head: &Head,
    settings: Settings,
) -> io::Result<Option<Bytes>> {
    let Some(length) = usize::try_from(head.content).ok().filter(|length| *length <= LARGEST_CONTENT) else {
        return Ok(None);
    };
    if head.expects && buffer.len() < length {
        write(stream, b"HTTP/1.1 100 Continue\r\n\r\n", settings).await?;
    }
    let until = Instant::now() + settings.request_timeout;
    while buffer.len() < length {
        let read =
            timeout_at(until, stream.read_buf(buffer)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(buffer.drain(..length).collect::<Vec<u8>>().into()))
}

/// Has what a client says taken.
async fn take(
    stream: &mut TcpStream,
    peer: SocketAddr,
    files: &dyn Files,
    head: Head,
    content: Bytes,
    settings: Settings,
) -> io::Result<()> {
    let taken = match head.path {
        Some(path) => files.take(&Asked { protocol: Protocol::Http, peer, path }, content).await,
        None => Taken::Malformed,
    };
    let close = if head.keep_alive { "" } else { "Connection: close\r\n" };
    let text = |status: &str, kind: &str, content: &[u8]| {
        let length = content.len();
        let head =
            format!("HTTP/1.1 {status}\r\n{close}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        [head.as_bytes(), content].concat()
    };
    let status = match taken {
        Taken::Done => {
            return write(stream, format!("HTTP/1.1 204 No Content\r\n{close}\r\n").as_bytes(), settings)
                .await;
        }
        Taken::Answered(json) => {
            return write(stream, &text("200 OK", "application/json", &json), settings).await;
        }
        Taken::Invalid(why) => {
            let answer = text("400 Bad Request", "text/plain; charset=utf-8", why.as_bytes());
            return write(stream, &answer, settings).await;
        }
        Taken::NotFound => "404 Not Found",
        Taken::Malformed => "400 Bad Request",
        Taken::Refused => "403 Forbidden",
    };
    brief(stream, status, !head.keep_alive, settings).await
}

/// Answers a question for a file. Whether the connection can go on.
async fn answer(
    stream: &mut TcpStream,
    peer: SocketAddr,
    files: &dyn Files,
    head: Head,
    settings: Settings,
) -> io::Result<bool> {
    let Some(path) = head.path else {
        return brief(stream, "400 Bad Request", !head.keep_alive, settings).await.map(|()| true);
    };
    let asked = Asked { protocol: Protocol::Http, peer, path };
    let Some(content) = files.open(&asked).await else {
        files.finished(&asked, Outcome::NotFound);
        // shim asks for files that need not be there, and goes on after a 404 only when the connection has ended.
        return brief(stream, "404 Not Found", true, settings).await.map(|()| false);
    };
    let size = content.size();
    let (status, from, to) = match head.range.map(|range| range.within(size)) {
        None => ("200 OK", 0, size),
        Some(Some((from, to))) => ("206 Partial Content", from, to),
        Some(None) => {
            let text = format!(
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{size}\r\nContent-Length: 0\r\n\r\n"
            );
            return write(stream, text.as_bytes(), settings).await.map(|()| true);
        }
    };
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\n",
        to - from
    );
    if head.range.is_some() {
        text += &format!("Content-Range: bytes {from}-{}/{size}\r\n", to - 1);
    }
    text += if head.keep_alive { "\r\n" } else { "Connection: close\r\n\r\n" };
    write(stream, text.as_bytes(), settings).await?;
    if head.method == Method::Head {
        files.finished(&asked, Outcome::SizeAsked);
        return Ok(true);
    }
    let sent = send::content(stream, &content, from..to, settings.send_timeout).await;
    files.finished(&asked, sent.outcome);
    sent.error.map_or(Ok(true), Err)
}

/// An answer without content.
async fn brief(stream: &mut TcpStream, status: &str, close: bool, settings: Settings) -> io::Result<()> {
    let close = if close { "Connection: close\r\n" } else { "" };
    let text = format!("HTTP/1.1 {status}\r\n{close}Content-Length: 0\r\n\r\n");
    write(stream, text.as_bytes(), settings).await
}

async fn write(stream: &mut TcpStream, bytes: &[u8], settings: Settings) -> io::Result<()> {
    let until = Instant::now() + settings.send_timeout;
    timeout_at(until, stream.write_all(bytes)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

#[cfg(test)]
mod tests;
