//! A TFTP server that only sends (RFC 1350, 2347, 2348, 2349, 7440), for firmware and boot loaders.

pub mod request;
mod transfer;

use crate::files::{Asked, Files, Outcome, Protocol};
use request::{ErrorCode, Malformed, Packet, Request};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use transfer::{Channel, Way};

/// How the server behaves.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Whether everything is sent from the port that requests come in on, which firewalls and address translation want. Otherwise each
    /// transfer has a port of its own, as RFC 1350 has it.
    pub single_port: bool,
    /// The largest block that is agreed to, in bytes. 1468 is what an Ethernet frame carries; larger ones come in fragments,
    /// which firmware loses.
    pub largest_block: u16,
    /// How many blocks are agreed to be sent without waiting.
    pub largest_window: u16,
    /// How many transfers go on at once. Requests beyond are not answered; clients ask again.
    pub transfers: usize,
    /// How many of them one address may have.
    pub transfers_per_client: usize,
    /// How long an answer is waited for, before the blocks are sent again.
    pub timeout: Duration,
    /// How often blocks are sent again before the client is given up.
    pub retries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            single_port: false,
            largest_block: 1468,
            largest_window: 64,
            transfers: 4096,
            transfers_per_client: 8,
            timeout: Duration::from_secs(1),
            retries: 6,
        }
    }
}

/// Within this time of a client's last word, the request that it began with is a copy that came late.
const COPY: Duration = Duration::from_secs(2);

/// A transfer that is under way.
struct Active {
    task: AbortHandle,
    begun: Arc<Begun>,
    incoming: Option<mpsc::Sender<Vec<u8>>>,
}

/// What a transfer began with, and when the client's last acknowledgement came.
#[derive(Debug)]
struct Begun {
    request: Request,
    at: Instant,
    /// Milliseconds from then to the last acknowledgement; 0 before the first one.
    after: AtomicU64,
}

impl Begun {
    fn heard(&self) {
        let after = u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        self.after.store(after, Ordering::Relaxed);
    }

    fn was_heard_within(&self, time: Duration) -> bool {
        let after = Duration::from_millis(self.after.load(Ordering::Relaxed));
        !after.is_zero() && self.at.elapsed() < after + time
    }
}

/// Serves requests that come in on a socket, until the socket fails for good.
pub async fn serve(socket: UdpSocket, files: Arc<dyn Files>, settings: Settings) -> io::Result<()> {
    let socket = Arc::new(socket);
    let mut server = Server { socket, files, settings, active: HashMap::new(), tasks: JoinSet::new() };
    let mut buffer = vec![0; 2048];
    loop {
        let socket = server.socket.clone();
        tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, peer)) => server.received(&buffer[..length], peer).await,
                // What a client's ICMP message leaves behind.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error),
            },
            Some(ended) = server.tasks.join_next() => {
                if let Ok((peer, id)) = ended
                    && server.active.get(&peer).is_some_and(|active| active.task.id() == id)
                {
                    server.active.remove(&peer);
                }
            }
        }
    }
}

struct Server {
    socket: Arc<UdpSocket>,
    files: Arc<dyn Files>,
    settings: Settings,
    active: HashMap<SocketAddr, Active>,
    tasks: JoinSet<(SocketAddr, tokio::task::Id)>,
}

impl Server {
    async fn received(&mut self, bytes: &[u8], peer: SocketAddr) {
        match Packet::parse(bytes) {
            Ok(Packet::Read(request)) => self.start(request, peer),
            Ok(Packet::Ack(_) | Packet::Error(_)) => {
                // A full queue means a client that sends more than is asked for; it may lose some.
                if let Some(incoming) = self.active.get(&peer).and_then(|active| active.incoming.as_ref()) {
                    let _ = incoming.try_send(bytes.to_vec());
                }
            }
            Err(Malformed::Write) => {
                self.refuse(peer, ErrorCode::AccessViolation, "this server only sends").await
            }
            Err(Malformed::Path) => self.refuse(peer, ErrorCode::AccessViolation, "no such path").await,
            Err(Malformed::Mode) => {
                self.refuse(peer, ErrorCode::Illegal, "the mode is neither octet nor netascii").await
            }
            Err(Malformed::Garbage) => {}
        }
    }

    async fn refuse(&self, peer: SocketAddr, code: ErrorCode, why: &str) {
        if let Err(error) = self.socket.send_to(&code.packet(why), peer).await {
            tracing::debug!(%peer, %error, "sending a TFTP error");
        }
    }

    /// Starts a transfer. A client that asks again from the same port gave up what it had asked for: UEFI asks for the size, breaks
    /// off, and asks for the file. The same request once more, while the client takes what it asked for, was doubled on the way: beginning
    /// anew would leave the client with a port that nobody answers on.
    fn start(&mut self, request: Request, peer: SocketAddr) {
        let copy = |active: &Active| active.begun.request == request && active.begun.was_heard_within(COPY);
        if self.active.get(&peer).is_some_and(copy) {
            return;
        }
        if let Some(before) = self.active.remove(&peer) {
            before.task.abort();
        }
        let same = |address: IpAddr| self.active.keys().filter(|other| other.ip() == address).count();
        if self.active.len() >= self.settings.transfers
            || same(peer.ip()) >= self.settings.transfers_per_client
        {
            // Not a warning: whoever floods the server would flood its log.
            tracing::debug!(%peer, path = request.path, "too many transfers at once; the client has to ask again");
            return;
        }
        let (sender, receiver) = mpsc::channel(64);
        let (socket, settings, files) = (self.socket.clone(), self.settings, self.files.clone());
        let begun = Arc::new(Begun { request, at: Instant::now(), after: AtomicU64::new(0) });
        let told = begun.clone();
        let task = self.tasks.spawn(async move {
            transfer(&told, peer, socket, receiver, files, settings).await;
            (peer, tokio::task::id())
        });
        let incoming = self.settings.single_port.then_some(sender);
        self.active.insert(peer, Active { task, begun, incoming });
    }
}

async fn transfer(
    begun: &Begun,
    peer: SocketAddr,
    socket: Arc<UdpSocket>,
    incoming: mpsc::Receiver<Vec<u8>>,
    files: Arc<dyn Files>,
    settings: Settings,
) {
    let way = if settings.single_port {
        Way::Shared { socket, peer, incoming }
    } else {
        match own_socket(&socket, peer).await {
            Ok(socket) => Way::Own(socket),
            Err(error) => {
                tracing::warn!(%peer, %error, "no socket for a transfer");
                return;
            }
        }
    };
    let channel = Channel::new(way);
    let asked = Asked { protocol: Protocol::Tftp, peer, path: begun.request.path.clone() };
    let outcome = match files.open(&asked).await {
        Some(content) => transfer::send(channel, begun, &content, settings).await,
        None => {
            channel.send(&ErrorCode::NotFound.packet("there is no such file")).await;
            Outcome::NotFound
        }
    };
    files.finished(&asked, outcome);
}

/// A socket for one transfer, on the address that was asked.
async fn own_socket(asked: &UdpSocket, peer: SocketAddr) -> io::Result<UdpSocket> {
    let mut address = asked.local_addr()?;
    address.set_port(0);
    let socket = UdpSocket::bind(address).await?;
    socket.connect(peer).await?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
