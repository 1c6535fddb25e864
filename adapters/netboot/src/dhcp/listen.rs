//! Requests in, answers out; somebody else decides.

use super::{Found, Neighbours, Packet, Reply, Socket, destination};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lab_object::mac::MacAddress;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

/// A packet that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The interface's name.
    pub interface: Arc<str>,
    /// Our port.
    pub port: u16,
    /// Who sent it.
    pub sender: SocketAddrV4,
    /// What it says.
    pub packet: Packet,
}

/// Whoever decides what is answered.
#[async_trait::async_trait]
pub trait Answerer: Send + Sync {
    /// The address that a client would be offered and that somebody may have already: it is looked for before the client is answered.
    /// Has to be quick: the next packet waits.
    fn unsure(&self, _received: &Received) -> Option<Ipv4Addr> {
        None
    }

    /// Is told who has the address that was looked for. Then the client is answered.
    fn looked(&self, _received: &Received, _address: Ipv4Addr, _found: Found) {}

    /// What a client's packet is answered; nothing to stay silent. Has to be quick: the next packet waits.
    fn answer(&self, received: &Received) -> Option<Reply>;

    /// Is waited for before answers are sent, once for all that were decided since: what they promise can be stored meanwhile.
    async fn settle(&self) {}

    /// Another server's packet was heard.
    fn overheard(&self, received: &Received);

    /// An answer could not be sent.
    fn not_sent(&self, received: &Received, why: &(dyn std::error::Error + 'static));
}

/// How many packets are decided on together when they come faster than answers are settled.
const TOGETHER: usize = 64;
/// How many addresses are looked for at once. Further clients are offered theirs as they are: a flood of made-up clients must not keep
/// others waiting.
const LOOKED_FOR: usize = 1024;
/// How many addresses in a row may turn out to be in use before a client has to ask again.
const ADDRESSES: u8 = 16;

/// Answers packets until the socket fails for good. Without neighbours no address is looked for.
pub async fn listen(
    socket: &Socket,
    interface: Arc<str>,
    neighbours: Option<&Neighbours>,
    answerer: &dyn Answerer,
) -> io::Result<()> {
    let mut buffer = vec![0; 2048];
    let mut desk = Desk {
        answerer,
        neighbours,
        looking: FuturesUnordered::new(),
        waiting: HashMap::new(),
        answers: Vec::new(),
    };
    loop {
        let mut next = tokio::select! {
            next = socket.receive(&mut buffer) => next,
            Some(looked) = desk.looking.next() => {
                desk.looked(looked);
                desk.send(socket).await;
                continue;
            }
        };
        loop {
            match next {
                Ok((length, sender)) => {
                    if let Some(packet) = decode(&buffer[..length], sender, &interface) {
                        desk.take(Received {
                            interface: interface.clone(),
                            port: socket.port(),
                            sender,
                            packet,
                        });
                    }
                }
                // The interface is down for a moment, or a client's ICMP came back.
                Err(error) if passing(&error) => {
                    tracing::debug!(%interface, %error, "receiving DHCP");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
            if desk.answers.len() >= TOGETHER {
                break;
            }
            match socket.receive(&mut buffer).now_or_never() {
                Some(waiting) => next = waiting,
                None => break,
            }
        }
        desk.send(socket).await;
    }
}

/// An address that was looked for, for this client, and who has it.
type Looked = (MacAddress, Ipv4Addr, Found);

/// Questions that are being answered.
struct Desk<'a> {
    answerer: &'a dyn Answerer,
    neighbours: Option<&'a Neighbours>,
    looking: FuturesUnordered<BoxFuture<'a, Looked>>,
    /// The newest question of every client whose address is looked for, and how many were looked for.
    waiting: HashMap<MacAddress, (Received, u8)>,
    answers: Vec<(Received, Reply)>,
}

impl Desk<'_> {
    fn take(&mut self, received: Received) {
        if received.packet.from_server {
            return self.answerer.overheard(&received);
        }
        if let Some((before, _)) = self.waiting.get_mut(&received.packet.mac)
            && before.packet.message == received.packet.message
        {
            *before = received;
            return;
        }
        self.decide(received, 0);
    }

    /// Answers, or looks first whether the address is free that would be offered.
    fn decide(&mut self, received: Received, looked_for: u8) {
        let mac = received.packet.mac;
        let free = self.neighbours.filter(|_| self.looking.len() < LOOKED_FOR);
        if let Some(neighbours) = free
            && let Some(address) = self.answerer.unsure(&received)
        {
            if looked_for < ADDRESSES {
                let relayed = received.packet.relay.is_some();
                self.waiting.insert(mac, (received, looked_for + 1));
                let look = async move { (mac, address, neighbours.look_for(address, relayed).await) };
                self.looking.push(look.boxed());
            }
            return;
        }
        if let Some(reply) = self.answerer.answer(&received) {
            self.answers.push((received, reply));
        }
    }

    fn looked(&mut self, (mac, address, found): Looked) {
        let Some((received, looked_for)) = self.waiting.remove(&mac) else { return };
        self.answerer.looked(&received, address, found);
        self.decide(received, looked_for);
    }

    async fn send(&mut self, socket: &Socket) {
        if self.answers.is_empty() {
            return;
        }
        self.answerer.settle().await;
        for (received, reply) in self.answers.drain(..) {
            send(socket, &received, &reply, self.answerer).await;
        }
    }
}

fn decode(bytes: &[u8], sender: SocketAddrV4, interface: &str) -> Option<Packet> {
    Packet::decode(bytes)
        .inspect_err(|error| tracing::debug!(%interface, %sender, %error, "not a DHCP packet"))
        .ok()
}

async fn send(socket: &Socket, received: &Received, reply: &Reply, answerer: &dyn Answerer) {
    let bytes = match reply.encode(&received.packet) {
        Ok(bytes) => bytes,
        Err(error) => return answerer.not_sent(received, &error),
    };
    let to = destination(&received.packet, reply.message, received.sender, received.port);
    if let Err(error) = socket.send(&bytes, to).await {
        answerer.not_sent(received, &error);
    }
}

fn passing(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, Interrupted, NetworkDown, NetworkUnreachable, WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | Interrupted | NetworkDown | NetworkUnreachable | WouldBlock
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhcproto::v4::MessageType;
    use parking_lot::Mutex;
    use tokio::net::UdpSocket;

    #[derive(Default)]
    struct Clerk {
        overheard: Mutex<Vec<SocketAddrV4>>,
        not_sent: Mutex<Vec<String>>,
    }
    #[async_trait::async_trait]
    impl Answerer for Clerk {
        fn answer(&self, received: &Received) -> Option<Reply> {
            let file = match received.packet.options.get(12)? {
                b"too much" => "x".repeat(5000),
                name => String::from_utf8_lossy(name).into_owned(),
            };
            Some(Reply { file: Some(file), ..Reply::new(MessageType::Ack, [127, 0, 0, 1].into()) })
        }
        fn overheard(&self, received: &Received) {
            self.overheard.lock().push(received.sender);
        }
        fn not_sent(&self, _: &Received, why: &(dyn std::error::Error + 'static)) {
            self.not_sent.lock().push(why.to_string());
        }
    }

    fn packet(operation: u8, name: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 240];
        bytes[..4].copy_from_slice(&[operation, 1, 6, 0]);
        bytes[12..16].copy_from_slice(&[127, 0, 0, 1]);
        bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
        bytes.extend([53, 1, 3, 12, u8::try_from(name.len()).expect("it is short")]);
        bytes.extend(name);
        bytes
    }

    /// On the loopback interface and a port of its own, where answers go back to the sender as on port 4011.
    #[tokio::test]
    async fn questions_in_and_answers_out() {
        let socket = Socket::open("lo", 0).expect("the loopback interface has free ports");
        let (server, clerk) = (("127.0.0.1", socket.port()), Arc::new(Clerk::default()));
        let answerer = clerk.clone();
        tokio::spawn(async move { listen(&socket, "lo".into(), None, &*answerer).await });
        let client = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
        // Rubbish, another server, nobody's business, an answer that fits nowhere: none keeps the last question from its answer.
        for bytes in [vec![0; 5], packet(2, b"a"), packet(1, b"too much"), packet(1, b"snponly.efi")] {
            client.send_to(&bytes, server).await.expect("it is sent");
        }
        let mut buffer = [0; 1500];
        let length = client.recv(&mut buffer).await.expect("there is an answer");
        let answer = Packet::decode(&buffer[..length]).expect("it is a packet");
        assert_eq!(answer.options.get(67), Some(&b"snponly.efi"[..]));
        assert_eq!(clerk.overheard.lock().len(), 1);
        assert_eq!(clerk.not_sent.lock().len(), 1);
    }
}
