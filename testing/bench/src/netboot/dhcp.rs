//! DHCP transactions, from DISCOVER to ACK: so many at once, each of another machine.

use crate::figures::percentile;
use anyhow::{Context, bail};
use lab_firmware::{Answer, Heard, Kind, Machine, Question, Step};
use lab_netboot::dhcp::Packet;
use lab_object::mac::MacAddress;
use lab_rack::place::Neighbour;
use lab_rack::simulated::machines;
use socket2::{Domain, Protocol, Type};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// What was found.
pub struct Found {
    /// Transactions a second.
    pub rate: f64,
    /// The time below which 99 of 100 took, in milliseconds.
    pub p99_ms: f64,
}

/// After so long a packet is sent again.
const AGAIN: Duration = Duration::from_secs(1);

struct Transaction {
    machine: Machine,
    question: Question,
    began: Instant,
    sent: Instant,
}

/// Has machines ask for addresses, beginning with a number.
pub fn measure(neighbour: &Neighbour, first: u32, count: u32, at_once: u32) -> anyhow::Result<Found> {
    neighbour.run(|| {
        let socket = socket(Neighbour::THERE).context("opening the clients' socket")?;
        let all = machines(first + count, &[Kind::UefiPxe]).into_iter().skip(first as usize);
        let mut run = Run { socket, open: HashMap::new(), took: Vec::new() };
        run.all(all, at_once as usize)
    })
}

struct Run {
    socket: UdpSocket,
    open: HashMap<MacAddress, Transaction>,
    took: Vec<f64>,
}

impl Run {
    fn all(&mut self, mut machines: impl Iterator<Item = Machine>, at_once: usize) -> anyhow::Result<Found> {
        let began = Instant::now();
        let mut buffer = vec![0; 2048];
        loop {
            while self.open.len() < at_once
                && let Some(machine) = machines.next()
            {
                self.begin(machine)?;
            }
            if self.open.is_empty() {
                let rate = self.took.len() as f64 / began.elapsed().as_secs_f64();
                return Ok(Found { rate, p99_ms: percentile(&self.took, 99.0) });
            }
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    if let Ok(packet) = Packet::decode(&buffer[..length]) {
                        self.heard(&packet)?;
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    self.again()?
                }
                Err(error) => return Err(error).context("hearing answers"),
            }
        }
    }

    fn begin(&mut self, mut machine: Machine) -> anyhow::Result<()> {
        // Switched on and awake.
        machine.next(Heard::PowerOn);
        let Step::Ask { question, .. } = machine.next(Heard::Waited) else {
            bail!("a machine begins by asking")
        };
        let now = Instant::now();
        self.say(&machine, &question)?;
        self.open.insert(machine.mac(), Transaction { machine, question, began: now, sent: now });
        Ok(())
    }

    fn say(&self, machine: &Machine, question: &Question) -> anyhow::Result<()> {
        let number = u32::from_be_bytes([
            machine.mac().0[2],
            machine.mac().0[3],
            machine.mac().0[4],
            machine.mac().0[5],
        ]);
        let bytes = question.bytes(machine.mac(), number, 0);
        self.socket.send_to(&bytes, (Ipv4Addr::BROADCAST, 67)).context("asking").map(drop)
    }

    fn heard(&mut self, packet: &Packet) -> anyhow::Result<()> {
        let Some(mut open) = self.open.remove(&packet.mac) else { return Ok(()) };
        let wanted = if open.question.message == 1 { 2 } else { 5 };
        let answer = Answer::read(packet.your_address, packet.next_server, packet.file.as_deref(), |code| {
            packet.options.get(code)
        });
        if !packet.from_server || answer.message != wanted {
            self.open.insert(packet.mac, open);
            return Ok(());
        }
        match open.machine.next(Heard::Answers(vec![answer])) {
            Step::Ask { question, .. } => {
                self.say(&open.machine, &question)?;
                open.question = question;
                open.sent = Instant::now();
                self.open.insert(packet.mac, open);
            }
            _ => self.took.push(open.began.elapsed().as_secs_f64() * 1e3),
        }
        Ok(())
    }

    /// Sends again what was not answered.
    fn again(&mut self) -> anyhow::Result<()> {
        let waiting: Vec<MacAddress> =
            self.open.iter().filter(|(_, open)| open.sent.elapsed() > AGAIN).map(|(mac, _)| *mac).collect();
        for mac in waiting {
            let open = &self.open[&mac];
            if open.began.elapsed() > Duration::from_secs(60) {
                bail!("{mac} was not answered for a minute");
            }
            self.say(&open.machine, &open.question)?;
            if let Some(open) = self.open.get_mut(&mac) {
                open.sent = Instant::now();
            }
        }
        Ok(())
    }
}

fn socket(interface: &str) -> std::io::Result<UdpSocket> {
    let socket = socket2::Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_broadcast(true)?;
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_recv_buffer_size(8 << 20)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 68)).into())?;
    Ok(socket.into())
}
