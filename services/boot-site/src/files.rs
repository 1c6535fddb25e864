//! Files: boot answers made when they are asked for, everything else from the site's folder.

use crate::{Site, agent, answers, programs};
use bytes::Bytes;
use lab_kinds::metal::Network;
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_machine::boot::medium::Fixed;
use lab_machine::boot::{self, Circumstances, grub, ipxe};
use lab_machine::client::Platform;
use lab_machine::program::{Language, ScriptPath};
use lab_machine::timeline::{Event, Protocol as By, Transfer};
use lab_netboot::files::{Asked, Content, Files, Outcome, Protocol, Taken};
use lab_object::mac::MacAddress;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};

#[async_trait::async_trait]
impl Files for Site {
    async fn open(&self, asked: &Asked) -> Option<Content> {
        if asked.path == "grub/grub.cfg" {
            return Some(Content::Memory(grub::FIRST.into()));
        }
        if let Some(script) = ScriptPath::parse(&asked.path) {
            return self.script(&script, asked).map(|text| Content::Memory(text.into()));
        }
        if agent::asks_for_orders(&asked.path) {
            return self.orders_by(&asked.path).map(Content::Memory);
        }
        if answers::asks_for_answers(&asked.path) {
            return self.answer_file(asked).await.map(|text| Content::Memory(text.into()));
        }
        self.note(asked, Transfer::Began);
        if let Some(content) = self.artefact(&asked.path).await {
            return Some(content);
        }
        let (folder, path) = (self.settings.folder.clone(), asked.path.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let file = File::open(programs::find(&folder, &path)?).ok()?;
            Content::of(file).ok()
        });
        opened.await.ok().flatten()
    }

    async fn take(&self, asked: &Asked, content: Bytes) -> Taken {
        self.hear(asked, &content)
    }

    fn finished(&self, asked: &Asked, outcome: Outcome) {
        self.figures.file(asked.protocol, outcome);
        if agent::asks_for_orders(&asked.path) {
            return;
        }
        if let (Outcome::Done { .. }, Some(script)) = (outcome, ScriptPath::parse(&asked.path)) {
            self.was_told(script.mac);
        }
        let transfer = match outcome {
            Outcome::Done { bytes } => Transfer::Done { bytes },
            Outcome::NotFound => Transfer::NotFound,
            Outcome::Aborted { .. } | Outcome::Unreadable => Transfer::Aborted,
            Outcome::TimedOut { .. } => Transfer::TimedOut,
            // UEFI asks for the size first; that is neither an end nor a failure.
            Outcome::SizeAsked => return,
        };
        self.note(asked, transfer);
    }
}

impl Site {
    /// A machine has its script. What is in it once is not in the next one.
    fn was_told(&self, mac: MacAddress) {
        let mut known = self.knowledge.lock();
        let Some(machine) = known.heard(mac).filter(|machine| machine.once) else { return };
        machine.once = false;
        let uuid = machine.uuid.clone();
        let server = known.recognise(mac, uuid.as_deref()).0.server().map(str::to_owned);
        if let Some(server) = server {
            known.once_was_served(&server);
            known.unreported.insert(mac);
        }
    }

    fn note(&self, asked: &Asked, outcome: Transfer) {
        let mut known = self.knowledge.lock();
        let named = ScriptPath::parse(&asked.path).map(|script| script.mac);
        let IpAddr::V4(peer) = asked.peer.ip().to_canonical() else { return };
        if let Some(mac) = named.or_else(|| known.by_address(peer)) {
            let protocol = if asked.protocol == Protocol::Tftp { By::Tftp } else { By::Http };
            known.record(
                mac,
                self.surroundings.now(),
                Event::File { protocol, path: answers::without_token(&asked.path), outcome },
            );
        }
    }

    /// The boot answer for a machine; nothing where the answer is that there is nothing, or none can be made.
    fn script(&self, script: &ScriptPath, asked: &Asked) -> Option<String> {
        let now = self.surroundings.now();
        let mut known = self.knowledge.lock();
        // GRUB does not know the machine's UUID, but its firmware said it before.
        let heard = known.machine(script.mac);
        let uuid = script.uuid.clone().or_else(|| heard?.uuid.clone());
        let asked_by = match script.firmware {
            Some(FirmwareType::Bios) => Some(Platform::Bios),
            Some(FirmwareType::Uefi) | None => None,
        };
        let platform =
            asked_by.or_else(|| heard.and_then(|machine| machine.platform)).unwrap_or(Platform::UefiX64);
        let (recognition, server) = known.recognise(script.mac, uuid.as_deref());
        let server = server.map(|server| known.as_it_counts(server, script.mac));
        let server = server.as_ref();
        let decision = boot::decide(&recognition, server);
        let ip = self.facing(asked.peer.ip());
        let address = self.address(ip);
        let base = address.url("");
        // Whoever asks from another machine's address may have the answer, but nothing that leads to secrets.
        let IpAddr::V4(peer) = asked.peer.ip().to_canonical() else { return None };
        let same = known.by_address(peer).is_none_or(|holder| holder == script.mac);
        let token = same.then(|| self.surroundings.token());
        let network = known.network(None, peer).filter(|_| script.fixed_address).cloned();
        let fixed = network.as_ref().map(|network| (fixed(peer, network), network.spec.dns.as_slice()));
        let given = Circumstances {
            fixed,
            server,
            operating_system: known.operating_system(server),
            mac: script.mac,
            platform,
            base: base.trim_end_matches('/'),
            log_host: ip,
            token: token.as_deref(),
        };
        let rendered = boot::start(decision.answer, &given).and_then(|start| match script.language {
            Language::Ipxe => ipxe::render(&decision, &start, platform, given.base),
            Language::Grub => grub::render(&decision, &start),
        });
        let name = recognition.server().map(str::to_owned);
        match rendered {
            Ok(rendered) => {
                let machine = known.record(
                    script.mac,
                    now,
                    Event::Booted { answer: decision.answer, why: decision.why },
                );
                machine.once = decision.once;
                // Nobody heard a machine with a boot medium ask for its address, and its log comes from there.
                let fixed = network.is_some();
                machine.describe(|machine| {
                    machine.fixed = fixed;
                    machine.address = if fixed { Some(peer) } else { machine.address };
                });
                let before = token.clone().and_then(|token| machine.give(token, name));
                known.tokens.extend(token.map(|token| (token, script.mac)));
                if known.by_address(peer).is_none() {
                    known.took(peer, script.mac);
                }
                before.inspect(|before| {
                    known.tokens.remove(before);
                });
                self.figures.script();
                match rendered {
                    ipxe::Rendered::Text(text) => Some(text),
                    ipxe::Rendered::NotFound => None,
                }
            }
            Err(error) => {
                let why = format!("the boot answer cannot be made: {error}");
                tracing::warn!(mac = %script.mac, %error, "no boot answer");
                known.record(script.mac, now, Event::Unanswered { why });
                None
            }
        }
    }

    /// The machine that an address belongs to.
    pub fn machine_at(&self, address: IpAddr) -> Option<MacAddress> {
        let IpAddr::V4(address) = address.to_canonical() else { return None };
        self.knowledge.lock().by_address(address)
    }
}

/// The address of a machine that has it from its boot medium, as its network has it.
pub(crate) fn fixed(address: Ipv4Addr, network: &Network) -> Fixed {
    let gateway = match network.spec.gateway {
        Some(IpAddr::V4(gateway)) => Some(gateway),
        Some(IpAddr::V6(_)) | None => None,
    };
    Fixed { address, prefix: network.spec.cidr.prefix_len(), gateway }
}
