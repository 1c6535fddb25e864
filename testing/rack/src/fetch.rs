//! Files as firmware fetches them: TFTP with its options, HTTP with HEAD before GET.

use crate::wire::Wire;
use lab_firmware::{Fetch, Way};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{Instant, sleep, timeout};

/// How much of a file is kept.
const KEPT: usize = 8 << 10;
/// How often a packet is sent again before a server is given up.
const TRIES: usize = 8;

/// A file that came.
pub(crate) struct Came {
    /// Its beginning.
    pub head: Vec<u8>,
    /// How many bytes it has.
    pub size: u64,
}

/// Fetches a file from a machine's own address; nothing where it does not come.
pub(crate) async fn fetch(wire: &Wire, from: Ipv4Addr, fetch: &Fetch) -> Option<Came> {
    match fetch.way {
        Way::Tftp { server, block, window, size, twice } => {
            let options = |size: bool| {
                let mut options = vec![("blksize", block.to_string())];
                options.extend(size.then(|| ("tsize", "0".to_owned())));
                options.extend(window.map(|window| ("windowsize", window.to_string())));
                options
            };
            if twice {
                tftp(wire, from, server, &fetch.path, &options(true), true).await?;
            }
            tftp(wire, from, server, &fetch.path, &options(size && !twice), false).await
        }
        Way::Http { server, port, head } => {
            for attempt in 0..3 {
                match http(from, SocketAddrV4::new(server, port), &fetch.path, head).await {
                    Ok(came) => return came,
                    Err(_) => sleep(wire.way.paced(Duration::from_secs(1 << attempt))).await,
                }
            }
            None
        }
    }
}

/// One TFTP transfer. With `size_only` it is broken off once the server has said the size.
async fn tftp(
    wire: &Wire,
    from: Ipv4Addr,
    server: Ipv4Addr,
    path: &str,
    options: &[(&str, String)],
    size_only: bool,
) -> Option<Came> {
    let socket = Arc::new(UdpSocket::bind((from, 0)).await.ok()?);
    let mut request = [&[0, 1][..], path.as_bytes(), b"\0octet\0"].concat();
    for (name, value) in options {
        request.extend(name.bytes().chain([0]).chain(value.bytes()).chain([0]));
    }
    let mut transfer = Transfer {
        wire,
        socket,
        server: (server, wire.way.tftp_port).into(),
        // Some time passes also for machines in a hurry: servers and networks have theirs.
        patience: wire.way.paced(Duration::from_secs(1)).max(Duration::from_millis(250)),
        block: 512,
        window: 1,
        last: request,
        head: Vec::new(),
        blocks: 0,
        since: 0,
    };
    transfer.run(size_only).await
}

struct Transfer<'a> {
    wire: &'a Wire,
    socket: Arc<UdpSocket>,
    server: SocketAddr,
    patience: Duration,
    block: usize,
    window: u64,
    /// What was sent last, and is sent again where nothing comes.
    last: Vec<u8>,
    head: Vec<u8>,
    /// How many blocks came in order, and how many of them since the last acknowledgement.
    blocks: u64,
    since: u64,
}

impl Transfer<'_> {
    async fn run(&mut self, size_only: bool) -> Option<Came> {
        let mut buffer = vec![0; 2048];
        self.wire.send(&self.socket, &self.last, self.server).await;
        let (mut tries, mut size) = (0, 0);
        let mut until = Instant::now() + self.patience;
        loop {
            let received = tokio::time::timeout_at(until, self.socket.recv_from(&mut buffer)).await;
            let (length, peer) = match received {
                Ok(Ok(received)) => received,
                Ok(Err(_)) => {
                    sleep(Duration::from_millis(10)).await;
                    continue;
                }
                Err(_) if tries == TRIES => return None,
                Err(_) => {
                    tries += 1;
                    until = Instant::now() + self.patience;
                    self.wire.send(&self.socket, &self.last, self.server).await;
                    continue;
                }
            };
            let [0, kind, high, low, data @ ..] = &buffer[..length] else { continue };
            match *kind {
                5 => return None,
                // The server agrees, and says from where.
                6 if self.blocks == 0 => {
                    self.agree(&buffer[2..length]);
                    self.server = peer;
                    if size_only {
                        let error = b"\0\x05\0\x08User aborted the transfer\0";
                        self.wire.send(&self.socket, error, peer).await;
                        return Some(Came { head: Vec::new(), size: 0 });
                    }
                    self.acknowledge(0).await;
                }
                3 => {
                    if self.blocks == 0 {
                        self.server = peer;
                    }
                    let number = u16::from_be_bytes([*high, *low]);
                    if number != (self.blocks + 1) as u16 {
                        // What came before is not asked for again; a gap is, once.
                        if self.since > 0
                            || self.window > 1 && number.wrapping_sub(self.blocks as u16) < 0x8000
                        {
                            self.acknowledge(self.blocks).await;
                        }
                        continue;
                    }
                    let room = KEPT.saturating_sub(self.head.len()).min(data.len());
                    self.head.extend_from_slice(&data[..room]);
                    (self.blocks, self.since, size) =
                        (self.blocks + 1, self.since + 1, size + data.len() as u64);
                    let whole = data.len() < self.block;
                    if whole || self.since >= self.window {
                        self.acknowledge(self.blocks).await;
                    }
                    if whole {
                        let head = std::mem::take(&mut self.head);
                        return Some(Came { head, size });
                    }
                    tries = 0;
                }
                _ => continue,
            }
            until = Instant::now() + self.patience;
        }
    }

    fn agree(&mut self, options: &[u8]) {
        let words: Vec<&[u8]> = options.split(|&byte| byte == 0).collect();
        for pair in words.chunks_exact(2) {
            let number = std::str::from_utf8(pair[1]).ok().and_then(|text| text.parse::<u64>().ok());
            match (pair[0], number) {
                (b"blksize", Some(number)) => self.block = number as usize,
                (b"windowsize", Some(number)) => self.window = number,
                _ => {}
            }
        }
    }

    async fn acknowledge(&mut self, block: u64) {
        self.since = 0;
        self.last = [&[0, 4][..], &(block as u16).to_be_bytes()].concat();
        self.wire.send(&self.socket, &self.last, self.server).await;
    }
}

/// Fetches over HTTP, asking for the size before on the same connection; nothing where there is no such file.
async fn http(from: Ipv4Addr, server: SocketAddrV4, path: &str, head: bool) -> io::Result<Option<Came>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let patience = Duration::from_secs(30);
    let mut stream = timeout(patience, socket.connect(server.into())).await??;
    let methods: &[&str] = if head { &["HEAD", "GET"] } else { &["GET"] };
    let mut length = None;
    for method in methods {
        let path = path.trim_start_matches('/');
        let request = format!(
            "{method} /{path} HTTP/1.1\r\nHost: {server}\r\nAccept: */*\r\nUser-Agent: UefiHttpBoot/1.0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        length = timeout(patience, length_of(&mut stream)).await??;
        if length.is_none() {
            return Ok(None);
        }
    }
    let size = length.unwrap_or_default();
    let (mut left, mut kept, mut buffer) = (size, Vec::new(), vec![0; 16 << 10]);
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = timeout(patience, stream.read(&mut buffer[..most])).await??;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let room = KEPT.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(&buffer[..room]);
        left -= read as u64;
    }
    Ok(Some(Came { head: kept, size }))
}

/// Reads an answer's head, byte for byte so that nothing of the content is taken; nothing where it is not 200.
async fn length_of(stream: &mut TcpStream) -> io::Result<Option<u64>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
        if head.len() > KEPT {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let text = String::from_utf8_lossy(&head).to_lowercase();
    if !text.starts_with("http/1.1 200") {
        return Ok(None);
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    length.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
