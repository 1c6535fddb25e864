//! The server against clients that behave like the recorded firmware, on the loopback interface.

use super::*;
use crate::files::Content;
use bytes::Bytes;
use parking_lot::Mutex;
use std::io::Write;

#[derive(Default)]
struct Shelf {
    files: HashMap<String, Content>,
    outcomes: Mutex<Vec<(String, Outcome)>>,
}

#[async_trait::async_trait]
impl Files for Shelf {
    async fn open(&self, asked: &Asked) -> Option<Content> {
        self.files.get(&asked.path).cloned()
    }
    fn finished(&self, asked: &Asked, outcome: Outcome) {
        self.outcomes.lock().push((asked.path.clone(), outcome));
    }
    async fn take(&self, _: &Asked, _: bytes::Bytes) -> crate::files::Taken {
        crate::files::Taken::NotFound
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

async fn start(files: &[(&str, Content)], settings: Settings) -> (SocketAddr, Arc<Shelf>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    let address = socket.local_addr().expect("it has an address");
    let files = files.iter().map(|(name, content)| ((*name).to_owned(), content.clone())).collect();
    let shelf = Arc::new(Shelf { files, ..Shelf::default() });
    tokio::spawn(serve(socket, shelf.clone(), settings));
    (address, shelf)
}

fn quick() -> Settings {
    Settings { timeout: Duration::from_millis(80), retries: 3, ..Settings::default() }
}

fn rrq(path: &str, options: &[(&str, usize)]) -> Vec<u8> {
    let mut bytes = [b"\0\x01", path.as_bytes(), b"\0octet\0"].concat();
    for (name, value) in options {
        bytes.extend(format!("{name}\0{value}\0").bytes());
    }
    bytes
}

/// Fetches a file as firmware does; `lose` says which of the data packets received, counted from 0, are taken as lost.
async fn fetch(
    server: SocketAddr,
    request: &[u8],
    block: usize,
    window: u64,
    lose: impl Fn(u64) -> bool,
) -> Result<Vec<u8>, u16> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    socket.send_to(request, server).await.expect("it is sent");
    let mut buffer = vec![0; 70_000];
    let (mut content, mut have, mut since, mut packets) = (Vec::new(), 0u64, 0u64, 0u64);
    loop {
        let received = tokio::time::timeout(Duration::from_secs(3), socket.recv_from(&mut buffer)).await;
        let (length, peer) = received.expect("the server does not fall silent").expect("it is received");
        let ack = |block: u64| [&[0, 4][..], &((block & 0xffff) as u16).to_be_bytes()].concat();
        match buffer[1] {
            6 => drop(socket.send_to(&ack(0), peer).await),
            5 => return Err(u16::from(buffer[3])),
            3 => {
                packets += 1;
                if lose(packets - 1) {
                    continue;
                }
                let number = u16::from_be_bytes([buffer[2], buffer[3]]);
                let next = number == ((have + 1) & 0xffff) as u16;
                if next {
                    (have, since) = (have + 1, since + 1);
                    content.extend_from_slice(&buffer[4..length]);
                }
                let last = next && length - 4 < block;
                if last || !next || since == window {
                    since = 0;
                    let _ = socket.send_to(&ack(have), peer).await;
                }
                if last {
                    return Ok(content);
                }
            }
            other => panic!("packet {other}"),
        }
    }
}

#[tokio::test]
async fn every_client() {
    let mut disk = tempfile::tempfile().expect("there is room");
    disk.write_all(&pattern(300_000)).expect("there is room");
    let files = [
        ("disk", Content::of(disk).expect("it is a file")),
        ("even", Content::Memory(Bytes::from(pattern(2 * 1468)))),
        ("empty", Content::Memory(Bytes::new())),
    ];
    for single_port in [false, true] {
        let (server, shelf) = start(&files, Settings { single_port, ..quick() }).await;
        let edk2 = [("blksize", 1468), ("windowsize", 4)];
        for (path, length) in [("disk", 300_000), ("even", 2 * 1468), ("empty", 0)] {
            assert_eq!(fetch(server, &rrq(path, &edk2), 1468, 4, |_| false).await, Ok(pattern(length)));
            let ipxe = [("blksize", 1432), ("tsize", 0)];
            assert_eq!(fetch(server, &rrq(path, &ipxe), 1432, 1, |_| false).await, Ok(pattern(length)));
            assert_eq!(fetch(server, &rrq(path, &[]), 512, 1, |_| false).await, Ok(pattern(length)));
        }
        assert_eq!(fetch(server, &rrq("absent", &edk2), 1468, 4, |_| false).await, Err(1));
        assert_eq!(fetch(server, &rrq("../etc", &edk2), 1468, 4, |_| false).await, Err(2));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let outcomes = shelf.outcomes.lock().clone();
        assert_eq!(outcomes.len(), 10, "{outcomes:?}");
        assert_eq!(outcomes.last(), Some(&("absent".into(), Outcome::NotFound)));
        assert!(
            outcomes[..9].iter().all(|(_, outcome)| matches!(outcome, Outcome::Done { .. })),
            "{outcomes:?}"
        );
    }
}

#[tokio::test]
async fn losses_are_made_good() {
    let files = [("file", Content::Memory(Bytes::from(pattern(100_000))))];
    let (server, _) = start(&files, quick()).await;
    for every in [7, 10, 23] {
        let windows = rrq("file", &[("blksize", 1468), ("windowsize", 4)]);
        let lose = |at: u64| at % every == every / 2;
        assert_eq!(fetch(server, &windows, 1468, 4, lose).await, Ok(pattern(100_000)), "{every}");
        assert_eq!(
            fetch(server, &rrq("file", &[("blksize", 1468)]), 1468, 1, lose).await,
            Ok(pattern(100_000)),
            "{every}"
        );
    }
}

/// More than 65535 blocks: the numbers begin again.
#[tokio::test]
async fn block_numbers_wrap() {
    let length = 66_000 * 8 + 3;
    let (server, _) = start(&[("long", Content::Memory(Bytes::from(pattern(length))))], quick()).await;
    let request = rrq("long", &[("blksize", 8), ("windowsize", 64)]);
    assert_eq!(fetch(server, &request, 8, 64, |_| false).await, Ok(pattern(length)));
}

/// UEFI asks for the size, breaks off with error 8, and asks again from the same port.
#[tokio::test]
async fn a_question_for_the_size() {
    let files = [("file", Content::Memory(Bytes::from(pattern(5000))))];
    for single_port in [false, true] {
        let (server, shelf) = start(&files, Settings { single_port, ..quick() }).await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
        let request = rrq("file", &[("tsize", 0), ("blksize", 1468), ("windowsize", 4)]);
        let mut buffer = [0; 2000];
        socket.send_to(&request, server).await.expect("it is sent");
        let (length, peer) = socket.recv_from(&mut buffer).await.expect("it is received");
        assert_eq!(&buffer[..length], b"\0\x06tsize\x005000\0blksize\x001468\0windowsize\x004\0");
        socket.send_to(b"\0\x05\0\x08User aborted the transfer\0", peer).await.expect("it is sent");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(shelf.outcomes.lock().as_slice(), [("file".into(), Outcome::SizeAsked)]);
        socket.send_to(&rrq("file", &[]), server).await.expect("it is sent");
        let (length, _) = socket.recv_from(&mut buffer).await.expect("it is received");
        assert_eq!((length, &buffer[..4]), (516, &[0, 3, 0, 1][..]));
    }
}

/// A client that falls silent is given up, and others are served meanwhile. One client cannot take all transfers.
#[tokio::test]
async fn silent_clients() {
    let files = [("file", Content::Memory(Bytes::from(pattern(5000))))];
    let settings = Settings {
        transfers_per_client: 3,
        timeout: Duration::from_millis(20),
        retries: 1,
        ..Settings::default()
    };
    let (server, shelf) = start(&files, settings).await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
        socket.send_to(&rrq("file", &[]), server).await.expect("it is sent");
        sockets.push(socket);
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(
        shelf.outcomes.lock().as_slice(),
        vec![("file".to_owned(), Outcome::TimedOut { bytes: 0 }); 3]
    );
    assert_eq!(fetch(server, &rrq("file", &[]), 512, 1, |_| false).await, Ok(pattern(5000)));
}

/// A request that was doubled on the way comes once more while its file is taken. The transfer goes on, on the port that the client knows.
#[tokio::test]
async fn a_request_that_comes_twice() {
    let files = [("file", Content::Memory(Bytes::from(pattern(5000))))];
    let (server, _) = start(&files, quick()).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
    let mut buffer = [0; 2000];
    socket.send_to(&rrq("file", &[]), server).await.expect("it is sent");
    let (_, peer) = socket.recv_from(&mut buffer).await.expect("it is received");
    socket.send_to(&[0, 4, 0, 1], peer).await.expect("it is sent");
    let block = socket.recv_from(&mut buffer).await.expect("it is received");
    assert_eq!((block, &buffer[..4]), ((516, peer), &[0, 3, 0, 2][..]));
    socket.send_to(&rrq("file", &[]), server).await.expect("it is sent");
    tokio::time::sleep(Duration::from_millis(50)).await;
    socket.send_to(&[0, 4, 0, 2], peer).await.expect("it is sent");
    let third = async {
        loop {
            let (_, from) = socket.recv_from(&mut buffer).await.expect("it is received");
            if buffer[3] == 3 {
                return from;
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(2), third).await, Ok(peer));
}
