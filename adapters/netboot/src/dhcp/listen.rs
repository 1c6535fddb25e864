//! Requests in, answers out; somebody else decides.

use super::{Packet, Reply, Socket, destination};
use futures_util::FutureExt;
use std::io;
use std::net::SocketAddrV4;
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

/// Answers packets until the socket fails for good.
pub async fn listen(socket: &Socket, interface: Arc<str>, answerer: &dyn Answerer) -> io::Result<()> {
    let mut buffer = vec![0; 2048];
    let mut answers = Vec::new();
    loop {
        let mut next = socket.receive(&mut buffer).await;
        loop {
            match next {
                Ok((length, sender)) => {
                    let packet = decode(&buffer[..length], sender, &interface);
                    let received = packet.map(|packet| Received {
                        interface: interface.clone(),
                        port: socket.port(),
                        sender,
                        packet,
                    });
                    answers.extend(received.and_then(|received| decide(received, answerer)));
                }
                // The interface is down for a moment, or a client's ICMP came back.
                Err(error) if passing(&error) => {
                    tracing::debug!(%interface, %error, "receiving DHCP");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
            if answers.len() >= TOGETHER {
                break;
            }
            match socket.receive(&mut buffer).now_or_never() {
                Some(waiting) => next = waiting,
                None => break,
            }
        }
        if answers.is_empty() {
            continue;
        }
        answerer.settle().await;
        for (received, reply) in answers.drain(..) {
            send(socket, &received, &reply, answerer).await;
        }
    }
}

fn decode(bytes: &[u8], sender: SocketAddrV4, interface: &str) -> Option<Packet> {
    Packet::decode(bytes)
        .inspect_err(|error| tracing::debug!(%interface, %sender, %error, "not a DHCP packet"))
        .ok()
}

fn decide(received: Received, answerer: &dyn Answerer) -> Option<(Received, Reply)> {
    if received.packet.from_server {
        answerer.overheard(&received);
        return None;
    }
    let reply = answerer.answer(&received)?;
    Some((received, reply))
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
        tokio::spawn(async move { listen(&socket, "lo".into(), &*answerer).await });
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
