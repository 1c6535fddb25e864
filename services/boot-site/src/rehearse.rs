//! A site tried on simulated firmware before machines are: the same answers and the same files as on the wire, with no wire between.

use crate::Site;
use lab_firmware::{Answer, End, Fetch, Heard, Kind, Machine, Question, Step, To, Way};
use lab_kinds::metal::network::DhcpMode;
use lab_kinds::metal::{Network, Server};
use lab_netboot::dhcp::{Answerer, Packet, Received};
use lab_netboot::files::{Asked, Files, Outcome, Protocol, clean};
use lab_object::mac::MacAddress;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

/// How much of a file simulated firmware looks at.
const HEAD: usize = 8 << 10;
/// The name of the interface that packets seem to come in on.
const INTERFACE: &str = "rehearsal";
/// After so many steps a boot is taken to go in a circle.
const STEPS: usize = 1_000;

/// A machine that rehearses.
#[derive(Debug, Clone, Copy)]
pub struct Actor {
    /// Its firmware.
    pub firmware: Kind,
    /// Its NIC's address.
    pub mac: MacAddress,
    /// Its UUID.
    pub uuid: [u8; 16],
}

/// How a rehearsal went.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// How it ended.
    pub end: End,
    /// What happened, as the machine's log tells it.
    pub lines: Vec<String>,
}

/// Has a machine boot from a site on a network, whose boot server has this address there. On a network with somebody else's DHCP server
/// one is simulated that gives addresses out and says nothing of booting.
///
/// A machine that checks signatures and is no Server yet is entered as one that is known to, as the site cannot see it.
pub async fn rehearse(site: &Site, network: &Network, address: Ipv4Addr, actor: Actor) -> Rehearsal {
    site.serve_on([(INTERFACE.to_owned(), (address, network.spec.cidr.prefix_len()))].into());
    if actor.firmware.checks_signatures() {
        site.with(|known| {
            let (_, server) = known.recognise(actor.mac, None);
            let mut server = server.cloned().unwrap_or_default();
            server.metadata.name.get_or_insert_with(|| actor.mac.dashed());
            if !server.spec.macs.contains(&actor.mac) {
                server.spec.macs.push(actor.mac);
            }
            server.status.hardware.firmware.secure_boot = Some(true);
            known.put_server(server);
        });
    }
    let beside = (network.spec.dhcp.mode == DhcpMode::Proxy).then(|| Other::on(network, address)).flatten();
    let stage = Stage { site, address, beside };
    let mut machine = Machine::new(actor.firmware, actor.mac, actor.uuid);
    let end = stage.play(&mut machine).await;
    let lines = site.with(|known| known.lines(actor.mac).into_iter().map(|line| line.text).collect());
    Rehearsal { end, lines }
}

/// Somebody else's DHCP server.
#[derive(Debug, Clone, Copy)]
struct Other {
    server: Ipv4Addr,
    gives: Ipv4Addr,
}

impl Other {
    /// One with addresses of the network that are not the boot server's; nothing where the network has no room for both.
    fn on(network: &Network, own: Ipv4Addr) -> Option<Self> {
        let mut free = network.spec.cidr.hosts().filter_map(|host| match host {
            IpAddr::V4(host) if host != own => Some(host),
            _ => None,
        });
        Some(Self { server: free.next()?, gives: free.next()? })
    }

    fn answer(self, question: &Question) -> Option<Answer> {
        (question.to == To::Everybody).then(|| Answer {
            message: if question.message == 1 { 2 } else { 5 },
            server: Some(self.server),
            address: Some(self.gives),
            ..Answer::default()
        })
    }
}

struct Stage<'a> {
    site: &'a Site,
    address: Ipv4Addr,
    beside: Option<Other>,
}

impl Stage<'_> {
    async fn play(&self, machine: &mut Machine) -> End {
        let mut heard = Heard::PowerOn;
        for step in 0..STEPS {
            heard = match machine.next(heard) {
                Step::End(end) => return end,
                Step::Wait(_) => Heard::Waited,
                Step::Ask { question, .. } => Heard::Answers(self.asked(machine, &question, step)),
                Step::Fetch(fetch) => Heard::File(self.fetch(machine, &fetch).await),
            };
        }
        End::Stopped { why: "it goes in a circle".into() }
    }

    /// What a question is answered, by way of the same bytes as on the wire.
    fn asked(&self, machine: &Machine, question: &Question, step: usize) -> Vec<Answer> {
        let bytes = question.bytes(machine.mac(), u32::try_from(step).unwrap_or_default(), 0);
        let port = if question.to == To::Everybody { 67 } else { 4011 };
        let sender = SocketAddrV4::new(question.client_address.unwrap_or(Ipv4Addr::UNSPECIFIED), 68);
        let ours = Packet::decode(&bytes).ok().and_then(|packet| {
            let received = Received { interface: INTERFACE.into(), port, sender, packet };
            let reply = self.site.answer(&received)?;
            let encoded = reply.encode(&received.packet);
            let bytes = encoded.inspect_err(|error| self.site.not_sent(&received, error)).ok()?;
            let packet = Packet::decode(&bytes).ok()?;
            let option = |code| packet.options.get(code);
            Some(Answer::read(packet.your_address, packet.next_server, packet.file.as_deref(), option))
        });
        self.beside.and_then(|other| other.answer(question)).into_iter().chain(ours).collect()
    }

    /// The beginning of a file that the site has; nothing where it has none, or is not who is asked.
    async fn fetch(&self, machine: &Machine, fetch: &Fetch) -> Option<Vec<u8>> {
        let (protocol, port) = match fetch.way {
            Way::Tftp { .. } => (Protocol::Tftp, None),
            Way::Http { port, .. } => (Protocol::Http, Some(port)),
        };
        let ours = fetch.way.server() == self.address
            && port.is_none_or(|port| port == self.site.settings.http_port);
        if !ours {
            return None;
        }
        let peer = SocketAddr::from((machine.address().unwrap_or(Ipv4Addr::UNSPECIFIED), 1024));
        let asked = Asked { protocol, peer, path: clean(fetch.path.as_bytes())? };
        let Some(content) = self.site.open(&asked).await else {
            self.site.finished(&asked, Outcome::NotFound);
            return None;
        };
        match content.read(0, HEAD).await {
            Ok(head) => {
                self.site.finished(&asked, Outcome::Done { bytes: content.size() });
                Some(head.to_vec())
            }
            Err(_) => {
                self.site.finished(&asked, Outcome::Unreadable);
                None
            }
        }
    }
}

/// The machine that a Server stands for: its first NIC's address and its UUID, where they are known.
pub fn actor(server: &Server, firmware: Kind) -> Option<Actor> {
    let named = server.metadata.name.as_deref().and_then(|name| MacAddress::parse(name).ok());
    let mac = server
        .spec
        .macs
        .first()
        .copied()
        .or_else(|| server.status.nics.first().map(|nic| nic.mac))
        .or(named)?;
    let mut uuid = [0; 16];
    let text: String =
        server.status.uuid.iter().flat_map(|uuid| uuid.chars()).filter(char::is_ascii_hexdigit).collect();
    for (at, byte) in uuid.iter_mut().enumerate() {
        *byte =
            text.get(2 * at..2 * at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or_default();
    }
    Some(Actor { firmware, mac, uuid })
}
