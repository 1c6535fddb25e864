//! The wire between simulated machines and a boot server: DHCP for all of them over one socket, everything else from each machine's own
//! address.

use crate::faults::{Faults, seeded};
use anyhow::Context;
use lab_firmware::{Answer, Question, To};
use lab_netboot::dhcp::Packet;
use lab_object::mac::MacAddress;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use socket2::{Domain, Protocol, Type};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// Where a boot server is, and what happens on the way there.
#[derive(Debug, Clone)]
pub struct Way {
    /// The interface that questions go out over; any where answers come back to their sender.
    pub interface: Option<String>,
    /// Where questions to everybody are sent.
    pub dhcp: SocketAddrV4,
    /// The port of the boot server's second answers.
    pub pxe_port: u16,
    /// The port of its TFTP server.
    pub tftp_port: u16,
    /// The port that clients take answers on.
    pub client_port: u16,
    /// What happens to packets of UDP.
    pub faults: Faults,
    /// What part of the firmware's own times passes: 1 for all of it, less for machines in a hurry.
    pub pace: f64,
    /// What faults are decided from.
    pub seed: u64,
}

impl Way {
    /// To a server on the network of an interface, as firmware finds it.
    pub fn over(interface: &str) -> Self {
        Self {
            interface: Some(interface.into()),
            dhcp: SocketAddrV4::new(Ipv4Addr::BROADCAST, 67),
            pxe_port: 4011,
            tftp_port: 69,
            client_port: 68,
            faults: Faults::NONE,
            pace: 1.0,
            seed: 1,
        }
    }

    /// To a server on the loopback interface with ports of its own.
    pub fn loopback(dhcp: SocketAddrV4, tftp_port: u16) -> Self {
        Self { interface: None, dhcp, tftp_port, client_port: 0, ..Self::over("lo") }
    }

    /// A time of the firmware's as it passes here. Some of it always does, as networks take theirs.
    pub fn paced(&self, time: Duration) -> Duration {
        time.mul_f64(self.pace)
    }
}

/// The machines that listen, with their transactions.
type Listeners = Mutex<HashMap<MacAddress, (u32, mpsc::UnboundedSender<Answer>)>>;

/// The wire, open.
pub struct Wire {
    /// Where it leads.
    pub way: Way,
    socket: Arc<UdpSocket>,
    air: Arc<Air>,
    hearing: JoinHandle<()>,
}

/// What is between both ends.
struct Air {
    faults: Faults,
    late: Duration,
    random: Mutex<StdRng>,
    listeners: Listeners,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.hearing.abort();
    }
}

impl Wire {
    /// Opens the wire.
    pub fn open(way: Way) -> anyhow::Result<Arc<Self>> {
        let socket = Arc::new(broadcasting(&way).context("opening the clients' DHCP socket")?);
        // What is late comes after firmware has asked again.
        let late = way.paced(Duration::from_millis(2500));
        let (random, listeners) = (Mutex::new(seeded(way.seed)), Listeners::default());
        let air = Arc::new(Air { faults: way.faults, late, random, listeners });
        let hearing = tokio::spawn(hear(socket.clone(), air.clone()));
        Ok(Arc::new(Self { way, socket, air, hearing }))
    }

    /// Sends a packet from a socket, as often and as late as the wire has it.
    pub(crate) async fn send(&self, socket: &Arc<UdpSocket>, bytes: &[u8], to: SocketAddr) {
        for delay in self.air.fate() {
            if delay.is_zero() {
                // What cannot be sent is lost.
                let _ = socket.send_to(bytes, to).await;
                continue;
            }
            let (socket, bytes) = (socket.clone(), bytes.to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = socket.send_to(&bytes, to).await;
            });
        }
    }

    /// Asks a question and gathers answers until there are enough or the time is over.
    pub(crate) async fn ask(
        &self,
        mac: MacAddress,
        transaction: u32,
        question: &Question,
        patience: Duration,
        enough: impl Fn(&[Answer]) -> bool,
    ) -> anyhow::Result<Vec<Answer>> {
        let (tell, mut told) = mpsc::unbounded_channel();
        self.air.listeners.lock().insert(mac, (transaction, tell));
        let bytes = question.bytes(mac, transaction, 0);
        let second = match question.to {
            To::Everybody => {
                self.send(&self.socket, &bytes, self.way.dhcp.into()).await;
                None
            }
            To::BootServer(server) => {
                let from = question.client_address.unwrap_or(Ipv4Addr::UNSPECIFIED);
                let socket = UdpSocket::bind((from, 0)).await.context("binding a client's address")?;
                let socket = Arc::new(socket);
                self.send(&socket, &bytes, (server, self.way.pxe_port).into()).await;
                Some(tokio::spawn(hear(socket, self.air.clone())))
            }
        };
        let until = Instant::now() + self.way.paced(patience);
        let mut answers = Vec::new();
        while !enough(&answers) {
            let Ok(Some(answer)) = timeout_at(until, told.recv()).await else { break };
            answers.push(answer);
        }
        second.inspect(JoinHandle::abort);
        self.air.listeners.lock().remove(&mac);
        Ok(answers)
    }
}

fn broadcasting(way: &Way) -> std::io::Result<UdpSocket> {
    let socket = socket2::Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_broadcast(true)?;
    socket.set_reuse_address(true)?;
    if let Some(interface) = &way.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    // A storm's answers wait here.
    socket.set_recv_buffer_size(8 << 20)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, way.client_port)).into())?;
    UdpSocket::from_std(socket.into())
}

/// Hands answers to the machines that they are for.
async fn hear(socket: Arc<UdpSocket>, air: Arc<Air>) {
    let mut buffer = vec![0; 2048];
    loop {
        let Ok(length) = socket.recv(&mut buffer).await else { continue };
        let Some(packet) = Packet::decode(&buffer[..length]).ok().filter(|packet| packet.from_server) else {
            continue;
        };
        for delay in air.fate() {
            if delay.is_zero() {
                air.deliver(&packet);
                continue;
            }
            let (air, packet) = (air.clone(), packet.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                air.deliver(&packet);
            });
        }
    }
}

impl Air {
    fn fate(&self) -> Vec<Duration> {
        self.faults.fate(&mut self.random.lock(), self.late)
    }

    /// Tells the machine that listens, if it still does, and to this transaction.
    fn deliver(&self, packet: &Packet) {
        let listeners = self.listeners.lock();
        let listener =
            listeners.get(&packet.mac).filter(|(transaction, _)| *transaction == packet.transaction);
        if let Some((_, tell)) = listener {
            let option = |code| packet.options.get(code);
            let answer =
                Answer::read(packet.your_address, packet.next_server, packet.file.as_deref(), option);
            // A machine that has what it wanted hears no more.
            let _ = tell.send(answer);
        }
    }
}
