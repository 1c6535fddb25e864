//! One file on its way to one client.

use super::request::{Agreement, ErrorCode, Malformed, Packet};
use super::{Begun, Settings};
use crate::files::{Content, Outcome};
use bytes::Bytes;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

/// How much is read from disk at a time.
const READ_AHEAD: usize = 128 << 10;

/// The way to one client.
pub(super) struct Channel {
    way: Way,
    /// One timer for all the waiting: putting off one that runs costs next to nothing, making one for every block does.
    patience: Pin<Box<Sleep>>,
}

pub(super) enum Way {
    /// A socket of its own, connected to it.
    Own(UdpSocket),
    /// The server's socket, with what the client sends to it.
    Shared { socket: Arc<UdpSocket>, peer: SocketAddr, incoming: mpsc::Receiver<Vec<u8>> },
}

impl Channel {
    pub(super) fn new(way: Way) -> Self {
        Self { way, patience: Box::pin(sleep_until(Instant::now())) }
    }

    /// Sends a packet. One that cannot be sent is as good as lost, and lost packets are sent again.
    pub(super) async fn send(&self, bytes: &[u8]) {
        let sent = match &self.way {
            Way::Own(socket) => socket.send(bytes).await,
            Way::Shared { socket, peer, .. } => socket.send_to(bytes, *peer).await,
        };
        if let Err(error) = sent {
            tracing::trace!(%error, "sending a TFTP packet");
        }
    }

    /// Waits for a packet that makes sense.
    async fn receive(&mut self, until: Instant) -> Option<Packet> {
        let Self { way, patience } = self;
        patience.as_mut().reset(until);
        loop {
            // What has come counts even when time is up.
            let parsed = tokio::select! {
                biased;
                parsed = way.receive() => parsed?,
                () = patience.as_mut() => return None,
            };
            if let Ok(packet @ (Packet::Ack(_) | Packet::Error(_))) = parsed {
                return Some(packet);
            }
            // A client that sends without end must not keep its transfer for ever.
            if Instant::now() >= until {
                return None;
            }
        }
    }
}

impl Way {
    /// The next packet, whatever it says; nothing where none can come any more.
    async fn receive(&mut self) -> Option<Result<Packet, Malformed>> {
        match self {
            Self::Own(socket) => {
                let mut buffer = [0; 1024];
                loop {
                    match socket.recv(&mut buffer).await {
                        Ok(length) => return Some(Packet::parse(&buffer[..length])),
                        // The client closed its port, and may open it again.
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
            }
            Self::Shared { incoming, .. } => Some(Packet::parse(&incoming.recv().await?)),
        }
    }
}

/// Sends a file.
pub(super) async fn send(channel: Channel, begun: &Begun, content: &Content, settings: Settings) -> Outcome {
    let agreed = Agreement::on(&begun.request, content.size(), &settings);
    let blocks = content.size() / u64::from(agreed.block) + 1;
    let mut sender =
        Sender { channel, content, agreed, blocks, acknowledged: 0, ahead: Ahead::default(), begun };
    let sent = sender.agree(settings.retries).await;
    let outcome = match sent {
        Ok(()) => sender.blocks(settings.retries).await,
        Err(outcome) => Err(outcome),
    };
    outcome.err().unwrap_or(Outcome::Done { bytes: content.size() })
}

struct Sender<'a> {
    channel: Channel,
    content: &'a Content,
    agreed: Agreement,
    /// How many blocks the file has, the last one shorter than the others.
    blocks: u64,
    /// How many of them the client has.
    acknowledged: u64,
    ahead: Ahead,
    begun: &'a Begun,
}

/// What a client says to the blocks it was sent.
enum Heard {
    /// It has so many more.
    Further(u64),
    /// It has none of them: the first was lost.
    Again,
    /// Nothing.
    Nothing,
}

/// What was read and not sent yet.
#[derive(Default)]
struct Ahead {
    offset: u64,
    bytes: Bytes,
}

impl Sender<'_> {
    /// Sends what is agreed to, until the client takes it.
    async fn agree(&mut self, retries: u32) -> Result<(), Outcome> {
        let Some(packet) = self.agreed.packet.clone() else { return Ok(()) };
        for attempt in 0..=retries {
            self.channel.send(&packet).await;
            let until = self.patience(attempt);
            loop {
                match self.channel.receive(until).await {
                    Some(Packet::Ack(0)) => {
                        self.begun.heard();
                        return Ok(());
                    }
                    Some(Packet::Error(code)) => return Err(self.broken_off(code)),
                    Some(_) if Instant::now() < until => {}
                    Some(_) | None => break,
                }
            }
        }
        Err(Outcome::TimedOut { bytes: 0 })
    }

    /// Sends window after window. The client acknowledges the last block that it has without a gap, and is sent what follows.
    async fn blocks(&mut self, retries: u32) -> Result<(), Outcome> {
        let mut attempt = 0;
        let mut repeated = None;
        while self.acknowledged < self.blocks {
            let sent = self.window().await?;
            let until = self.patience(attempt);
            // Some clients say the same for every block that comes after a gap. One answer to that is enough: more would double
            // with every window.
            let may_repeat = self.agreed.window > 1 && repeated != Some(self.acknowledged);
            match self.wait(sent, may_repeat, until).await? {
                Heard::Further(blocks) => {
                    self.acknowledged += blocks;
                    self.begun.heard();
                    attempt = 0;
                }
                Heard::Again => repeated = Some(self.acknowledged),
                Heard::Nothing if attempt == retries => {
                    return Err(Outcome::TimedOut { bytes: self.bytes() });
                }
                Heard::Nothing => {
                    repeated = None;
                    attempt += 1;
                }
            }
        }
        Ok(())
    }

    /// Waits until the client has more than before, or asks for the window again, or time is up.
    async fn wait(&mut self, sent: u64, may_repeat: bool, until: Instant) -> Result<Heard, Outcome> {
        loop {
            match self.channel.receive(until).await {
                None => return Ok(Heard::Nothing),
                Some(Packet::Error(code)) => return Err(self.broken_off(code)),
                Some(Packet::Ack(number)) => {
                    // Numbers begin again after 65535.
                    let further = u64::from(number.wrapping_sub((self.acknowledged & 0xffff) as u16));
                    if (1..=sent).contains(&further) {
                        return Ok(Heard::Further(further));
                    }
                    // With windows, the same number again means that the first block of the window was lost. Without, it is
                    // a duplicate, and answering it would double everything from here on.
                    if further == 0 && may_repeat {
                        return Ok(Heard::Again);
                    }
                }
                Some(Packet::Read(_)) => {}
            }
            // The same again without end is no progress.
            if Instant::now() >= until {
                return Ok(Heard::Nothing);
            }
        }
    }

    /// Sends the blocks that follow what the client has; says how many.
    async fn window(&mut self) -> Result<u64, Outcome> {
        let last = self.blocks.min(self.acknowledged + u64::from(self.agreed.window));
        let mut packet = Vec::with_capacity(4 + usize::from(self.agreed.block));
        for block in self.acknowledged + 1..=last {
            let data = self.block(block).await?;
            packet.clear();
            packet.extend([0, 3]);
            packet.extend(((block & 0xffff) as u16).to_be_bytes());
            packet.extend_from_slice(&data);
            self.channel.send(&packet).await;
        }
        Ok(last - self.acknowledged)
    }

    /// A block's bytes, by its number from 1.
    async fn block(&mut self, number: u64) -> Result<Bytes, Outcome> {
        let size = usize::from(self.agreed.block);
        let offset = (number - 1) * u64::from(self.agreed.block);
        let length = usize::try_from(self.content.size() - offset).unwrap_or(size).min(size);
        let within = |ahead: &Ahead| {
            let start = usize::try_from(offset.checked_sub(ahead.offset)?).ok()?;
            (start + length <= ahead.bytes.len()).then(|| ahead.bytes.slice(start..start + length))
        };
        if let Some(bytes) = within(&self.ahead) {
            return Ok(bytes);
        }
        match self.content.read(offset, READ_AHEAD).await {
            Ok(bytes) => self.ahead = Ahead { offset, bytes },
            Err(error) => {
                tracing::warn!(%error, "reading a file that is being sent");
                self.channel.send(&ErrorCode::Undefined.packet("the file cannot be read")).await;
                return Err(Outcome::Unreadable);
            }
        }
        within(&self.ahead).ok_or(Outcome::Unreadable)
    }

    /// A little longer with each attempt, as the network may be what is slow.
    fn patience(&self, attempt: u32) -> Instant {
        Instant::now() + self.agreed.timeout * (attempt + 1).min(4)
    }

    fn bytes(&self) -> u64 {
        self.content.size().min(self.acknowledged * u64::from(self.agreed.block))
    }

    /// Clients that only want a file's size break off once they know it: UEFI with code 8 ("User aborted the transfer").
    fn broken_off(&self, code: u16) -> Outcome {
        match (self.acknowledged, code) {
            (0, 0 | 8) => Outcome::SizeAsked,
            _ => Outcome::Aborted { bytes: self.bytes() },
        }
    }
}
