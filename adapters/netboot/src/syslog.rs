//! Log lines of installers and systems: syslog over UDP and TCP (RFC 3164, 5424, 5426, 6587), bounded in every direction.

pub mod framing;
mod message;

pub use message::Message;

use framing::Framing;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The longest message that is kept, in bytes; the rest of a longer one is dropped.
pub const LONGEST: usize = 8 << 10;
/// How many TCP connections are open at once.
const CONNECTIONS: usize = 4096;
/// How many of them one address may have.
const CONNECTIONS_PER_SENDER: usize = 32;
/// How long a connection may be silent. Installers keep theirs open through long stages.
const SILENCE: Duration = Duration::from_secs(3600);

/// Whoever keeps the lines.
pub trait Sink: Send + Sync {
    /// Takes a message from a sender. Has to be quick: the next one waits.
    fn log(&self, sender: IpAddr, message: Message);
}

/// Takes messages from UDP, one a datagram, until the socket fails for good.
pub async fn serve_udp(socket: UdpSocket, sink: Arc<dyn Sink>) -> io::Result<()> {
    let mut buffer = vec![0; LONGEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, sender)) => take(&buffer[..length], sender, &*sink),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        }
    }
}

/// Takes messages from TCP connections, until the socket fails for good.
pub async fn serve_tcp(listener: TcpListener, sink: Arc<dyn Sink>) -> io::Result<()> {
    let mut connections: JoinSet<IpAddr> = JoinSet::new();
    let mut by_sender: HashMap<IpAddr, usize> = HashMap::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, sender)) => {
                    let count = by_sender.entry(sender.ip()).or_default();
                    if *count >= CONNECTIONS_PER_SENDER {
                        tracing::debug!(%sender, "too many syslog connections from one address");
                        continue;
                    }
                    *count += 1;
                    let sink = sink.clone();
                    connections.spawn(async move {
                        connection(stream, sender, &*sink).await;
                        sender.ip()
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a syslog connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(ended) = connections.join_next() => {
                // A connection whose task panicked stays counted for its sender.
                if let Ok(sender) = ended
                    && let Some(count) = by_sender.get_mut(&sender)
                {
                    *count -= 1;
                    if *count == 0 {
                        by_sender.remove(&sender);
                    }
                }
            }
        }
    }
}

async fn connection(mut stream: TcpStream, sender: SocketAddr, sink: &dyn Sink) {
    let mut framing = Framing::default();
    let mut buffer = vec![0; 4096];
    loop {
        let length = match timeout(SILENCE, stream.read(&mut buffer)).await {
            Ok(Ok(length @ 1..)) => length,
            Ok(Ok(0) | Err(_)) | Err(_) => break,
        };
        framing.put(&buffer[..length], &mut |message| take(message, sender, sink));
    }
    // A sender that dies in the middle of a line leaves its last words.
    framing.end(&mut |message| take(message, sender, sink));
}

fn take(bytes: &[u8], sender: SocketAddr, sink: &dyn Sink) {
    let message = Message::parse(bytes);
    if !message.text.is_empty() {
        sink.log(sender.ip(), message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use tokio::io::AsyncWriteExt;

    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);
    impl Sink for Kept {
        fn log(&self, _: IpAddr, message: Message) {
            self.0.lock().push(message.text);
        }
    }

    #[tokio::test]
    async fn over_udp_and_tcp() {
        let kept = Arc::new(Kept::default());
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let (to_udp, to_tcp) = (udp.local_addr().expect("it has one"), tcp.local_addr().expect("it has one"));
        tokio::spawn(serve_udp(udp, kept.clone()));
        tokio::spawn(serve_tcp(tcp, kept.clone()));
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
        socket.send_to(b"<13>Nov 21 12:00:00 anna-1 main-menu[1]: udp", to_udp).await.expect("it is sent");
        socket.send_to(b"", to_udp).await.expect("it is sent");
        let mut stream = TcpStream::connect(to_tcp).await.expect("it listens");
        stream.write_all(b"<13>Nov 21 12:00:00 h a: one\n17 <13>1 - - - ").await.expect("it is sent");
        stream.write_all(b"- - -\n<13>two\nlast words").await.expect("it is sent");
        drop(stream);
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if kept.0.lock().len() >= 4 {
                break;
            }
        }
        let mut lines = kept.0.lock().clone();
        lines.sort();
        assert_eq!(lines, ["last words", "one", "two", "udp"]);
    }
}
