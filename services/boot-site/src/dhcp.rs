//! DHCP: packets in, answers out, everything noted.

use crate::{Knowledge, Site};
use dhcproto::v4::MessageType;
use lab_kinds::metal::network::DhcpMode;
use lab_kinds::metal::{Network, Server};
use lab_machine::client::{Client, Message, Request};
use lab_machine::lease::Verdict;
use lab_machine::offer::{self, Offer};
use lab_machine::timeline::Event;
use lab_netboot::dhcp::{Answerer, Found, Packet, Received, Reply};
use lab_object::mac::MacAddress;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};

#[async_trait::async_trait]
impl Answerer for Site {
    fn unsure(&self, received: &Received) -> Option<Ipv4Addr> {
        if received.packet.message != MessageType::Discover {
            return None;
        }
        let (ip, _) = *self.addresses.read().get(&*received.interface)?;
        let mut known = self.knowledge.lock();
        let network = known.network(received.packet.relay, ip)?;
        let network = Some(network).filter(|network| network.spec.dhcp.mode == DhcpMode::Full)?.clone();
        let requested = received.packet.options.address(50).or(received.packet.client_address);
        let (pool, leases) = known.addresses(&network, &self.addresses());
        leases.unsure(pool, received.packet.mac, requested, self.surroundings.now())
    }

    fn looked(&self, received: &Received, address: Ipv4Addr, found: Found) {
        let (mac, now) = (received.packet.mac, self.surroundings.now());
        let Some((ip, _)) = self.addresses.read().get(&*received.interface).copied() else { return };
        let mut known = self.knowledge.lock();
        let Some(network) = known.network(received.packet.relay, ip).cloned() else { return };
        let (_, leases) = known.addresses(&network, &self.addresses());
        let holder = match found {
            Found::Beyond => None,
            Found::Machine(holder) if holder != mac => Some(holder),
            // The client itself has it, from before.
            Found::Machine(_) | Found::Nobody => return leases.found_free(address, now),
        };
        leases.conflict(mac, address, now);
        let by = holder.map(tracing::field::display);
        tracing::warn!(%address, by, %mac, "an address is in use, and is given to nobody for a while");
        // Clients that do not boot are no machines of ours.
        let packet = request(&received.packet, received.port);
        if packet.is_some_and(|request| Client::of(&request).boots()) {
            known.record(mac, now, Event::AddressInUse { address, holder });
        }
    }

    fn answer(&self, received: &Received) -> Option<Reply> {
        let (ip, _) = *self.addresses.read().get(&*received.interface)?;
        let request = request(&received.packet, received.port)?;
        let client = Client::of(&request);
        let now = self.surroundings.now();
        let mut known = self.knowledge.lock();
        let asked = Event::Asked { message: request.message, class: client.class, port: request.port };
        if client.boots() {
            let network = known.network(request.relay, ip).and_then(|network| network.metadata.name.clone());
            let address = request.requested_address.or(request.client_address);
            let address = address.filter(|_| request.message == Message::Request);
            known.record(client.mac, now, asked).describe(|machine| {
                machine.uuid = client.uuid.clone().or_else(|| machine.uuid.take());
                machine.platform = client.platform.or(machine.platform);
                machine.architecture = client.architecture_number.or(machine.architecture);
                machine.network = network.or_else(|| machine.network.take());
                machine.address = address.or(machine.address);
            });
            address.inspect(|address| known.took(*address, client.mac));
        }
        let decided = self.decide(&mut known, &request, &client, ip, received);
        self.figures.dhcp(decided.is_ok());
        let (reply, event) = match decided {
            Ok((reply, offer)) => {
                let event = Event::Answered {
                    form: offer.form,
                    address: reply.your_address,
                    file: reply.file.clone(),
                    why: reply.refusal.clone().unwrap_or(offer.why),
                };
                (Some(reply), event)
            }
            Err(why) => (None, Event::Unanswered { why }),
        };
        // Requests to the other server are none of ours, and their silence explains nothing.
        if client.boots() && (reply.is_some() || request.message == Message::Discover) {
            known.record(client.mac, now, event);
        }
        reply
    }

    /// What clients will rely on is on disk before they are told.
    async fn settle(&self) {
        self.keep_leases().await;
    }

    fn overheard(&self, received: &Received) {
        let server = received.packet.options.address(54).unwrap_or(*received.sender.ip());
        let ours = self.addresses.read().values().any(|(address, _)| *address == server);
        let mut known = self.knowledge.lock();
        // Clients that do not boot are no machines of ours, whoever answers them.
        if !ours && known.machine(received.packet.mac).is_some() {
            let event = Event::AnsweredByOther { server };
            known.record(received.packet.mac, self.surroundings.now(), event);
        }
    }

    fn not_sent(&self, received: &Received, why: &(dyn Error + 'static)) {
        tracing::warn!(mac = %received.packet.mac, error = why, "a DHCP answer could not be sent");
        let mut known = self.knowledge.lock();
        if known.machine(received.packet.mac).is_some() {
            let event = Event::Unanswered { why: format!("the answer could not be sent: {why}") };
            known.record(received.packet.mac, self.surroundings.now(), event);
        }
    }
}

impl Site {
    /// A machine looks for an IPv6 router.
    pub(crate) fn router_solicited(&self, mac: MacAddress) {
        let mut known = self.knowledge.lock();
        if known.machine(mac).is_some() {
            known.record(mac, self.surroundings.now(), Event::RouterSolicited);
        }
    }

    fn decide(
        &self,
        known: &mut Knowledge,
        request: &Request,
        client: &Client,
        ip: Ipv4Addr,
        received: &Received,
    ) -> Result<(Reply, Offer), String> {
        let network =
            known.network(request.relay, ip).cloned().ok_or("no Network object has the client's network")?;
        let (_, server) = known.recognise(client.mac, client.uuid.as_deref());
        let server = server.cloned();
        // A client that chose another server shows that there is one.
        if let Some(other) = request.server.filter(|chosen| *chosen != ip && request.port == 67) {
            known.heard_foreign(&network, other);
            if client.boots() {
                known.record(client.mac, self.surroundings.now(), Event::AnsweredByOther { server: other });
            }
        }
        self.given_back(known, request, &network);
        let offer = offer::offer(request, client, &network.spec, server.as_ref(), &self.address(ip))
            .map_err(|no| no.why)?;
        let kind = if request.message == Message::Discover { MessageType::Offer } else { MessageType::Ack };
        let reply = boot(&offer, Reply::new(kind, ip));
        if !offer.assigns {
            return Ok((reply, offer));
        }
        let now = self.surroundings.now();
        let (pool, leases) = known.addresses(&network, &self.addresses());
        let wanted = request.requested_address.or(request.client_address);
        let address = match request.message {
            Message::Discover => {
                leases.offer(pool, client.mac, wanted, now).map_err(|error| error.to_string())?
            }
            _ => {
                let wanted = wanted.ok_or("it asks for no address")?;
                match leases.request(pool, client.mac, wanted, offer.lease_seconds.unwrap_or(30), now) {
                    Verdict::Ack(address) => address,
                    Verdict::Nak { why } => {
                        return Ok((Reply { refusal: Some(why), ..Reply::new(MessageType::Nak, ip) }, offer));
                    }
                }
            }
        };
        tracing::debug!(mac = %client.mac, %address, interface = %received.interface, "DHCP {kind:?}");
        Ok((configured(reply, address, &network, server.as_ref()), offer))
    }

    /// Addresses that are given back, or found in use.
    fn given_back(&self, known: &mut Knowledge, request: &Request, network: &Network) {
        let now = self.surroundings.now();
        let (_, leases) = known.addresses(network, &self.addresses());
        match (request.message, request.requested_address.or(request.client_address)) {
            (Message::Decline, Some(address)) => leases.decline(request.mac, address, now),
            (Message::Release, Some(address)) => leases.release(request.mac, address, now),
            _ => {}
        }
    }
}

/// A packet as decisions see it; nothing for what only servers send.
fn request(packet: &Packet, port: u16) -> Option<Request> {
    let message = match packet.message {
        MessageType::Discover => Message::Discover,
        MessageType::Request => Message::Request,
        MessageType::Decline => Message::Decline,
        MessageType::Release => Message::Release,
        MessageType::Inform => Message::Inform,
        _ => return None,
    };
    let option = |code| packet.options.get(code).map(<[u8]>::to_vec);
    Some(Request {
        message,
        mac: packet.mac,
        port,
        relay: packet.relay,
        client_address: packet.client_address,
        requested_address: packet.options.address(50),
        server: packet.options.address(54),
        vendor_class: option(60),
        user_class: option(77),
        architectures: option(93),
        machine_id: option(97),
        ipxe: option(175),
    })
}

fn boot(offer: &Offer, reply: Reply) -> Reply {
    Reply {
        lease_seconds: offer.lease_seconds,
        next_server: offer.next_server,
        file: offer.file.clone(),
        vendor_class: offer.vendor_class.map(Into::into),
        vendor_options: offer.vendor_options.map(Into::into),
        ipxe_options: offer.ipxe_options.map(Into::into),
        echo_machine_id: offer.echo_machine_id,
        ..reply
    }
}

/// What a client configures itself with, besides its address.
fn configured(reply: Reply, address: Ipv4Addr, network: &Network, server: Option<&Server>) -> Reply {
    let v4 = |address: &IpAddr| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    };
    let kept = network.spec.dhcp.reservations.iter().find(|kept| kept.address == address);
    let hostname = server.and_then(|server| server.spec.hostname.clone()).or_else(|| kept?.hostname.clone());
    Reply {
        your_address: Some(address),
        prefix: Some(network.spec.cidr.prefix_len()),
        router: network.spec.gateway.as_ref().and_then(v4),
        dns: network.spec.dns.iter().filter_map(v4).collect(),
        domain: network.spec.domain.clone(),
        mtu: network.spec.mtu.and_then(|mtu| u16::try_from(mtu).ok()),
        hostname,
        ..reply
    }
}
