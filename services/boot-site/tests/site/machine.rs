//! A machine with UEFI firmware and iPXE, as far as its packets and files go.

use lab_boot_site::Site;
use lab_netboot::dhcp::{Answerer, Packet, Received, Reply};
use lab_netboot::files::{Asked, Files, Outcome, Protocol, Taken};
use lab_object::mac::MacAddress;
use lab_wire::site::{ORDERS, Orders};
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddrV4};

#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// The last byte of its NIC's address.
    pub mac: u8,
    /// The last byte of its UUID.
    pub uuid: u8,
}

impl Machine {
    pub fn new(number: u8) -> Self {
        Self { mac: number, uuid: number }
    }

    pub fn mac(self) -> MacAddress {
        MacAddress([0x52, 0x54, 0, 0, 0, self.mac])
    }

    pub fn uuid(self) -> String {
        format!("11223344-5566-7788-99aa-bbccddeeff{:02x}", self.uuid)
    }

    fn ask(self, site: &Site, message: u8, more: &[(u8, &[u8])]) -> Option<Reply> {
        let mut bytes = vec![0; 240];
        bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
        bytes[28..34].copy_from_slice(&self.mac().0);
        bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
        let mut id =
            [0, 0x44, 0x33, 0x22, 0x11, 0x66, 0x55, 0x88, 0x77, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0];
        id[16] = self.uuid;
        let options: [(u8, &[u8]); 4] = [(53, &[message]), (60, b"PXEClient"), (93, &[0, 7]), (97, &id)];
        for (code, value) in options.iter().chain(more) {
            bytes.extend([*code, u8::try_from(value.len()).expect("it is short")]);
            bytes.extend(*value);
        }
        let packet = Packet::decode(&bytes).expect("it is a packet");
        let sender = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
        site.answer(&Received { interface: "eth1".into(), port: 67, sender, packet })
    }

    pub fn discover(self, site: &Site) -> Option<Reply> {
        self.ask(site, 1, &[])
    }

    /// From power-on until it has its script. The address it got.
    pub async fn boot(self, site: &Site) -> Ipv4Addr {
        let mut address = Ipv4Addr::UNSPECIFIED;
        for class in [&[][..], &[(77, &b"iPXE"[..])][..]] {
            let offer = self.ask(site, 1, class).expect("it is answered");
            address = offer.your_address.expect("there is one");
            let octets = address.octets();
            let taken: &[(u8, &[u8])] = &[(54, &[10, 9, 0, 1]), (50, &octets)];
            self.ask(site, 3, &[class, taken].concat()).expect("it is answered");
            site.settle().await;
        }
        self.script(site).await;
        address
    }

    /// Its script, as iPXE fetches it.
    pub async fn script(self, site: &Site) -> String {
        let path = format!("boot/{}/{}/script.ipxe", self.mac().dashed(), self.uuid());
        let address = site.with(|known| known.machine(self.mac()).and_then(|machine| machine.address));
        let peer = (address.expect("it has one"), 1234).into();
        let asked = Asked { protocol: Protocol::Http, peer, path };
        let content = site.open(&asked).await.expect("there is a script");
        let bytes = content.read(0, 10_000).await.expect("it can be read");
        site.finished(&asked, Outcome::Done { bytes: content.size() });
        String::from_utf8(bytes.to_vec()).expect("it is text")
    }

    fn asks(self, site: &Site, path: String) -> Asked {
        let address = site.with(|known| known.machine(self.mac()).and_then(|machine| machine.address));
        Asked { protocol: Protocol::Http, peer: (address.expect("it has one"), 1234).into(), path }
    }

    /// The token of its newest boot, which its system finds among the kernel's arguments.
    pub fn token(self, site: &Site) -> String {
        let token = site.with(|known| known.machine(self.mac()).and_then(|machine| machine.token.clone()));
        token.expect("it has booted").0
    }

    /// What its system says, and the answer.
    pub async fn says(self, site: &Site, kind: &str, what: &impl Serialize) -> Taken {
        let content = serde_json::to_vec(what).expect("it is JSON");
        let path = format!("{kind}{}", self.token(site)).trim_start_matches('/').to_owned();
        site.take(&self.asks(site, path), content.into()).await
    }

    /// What its system is told to do next.
    pub async fn orders(self, site: &Site) -> Orders {
        let path = format!("{ORDERS}{}", self.token(site)).trim_start_matches('/').to_owned();
        let content = site.open(&self.asks(site, path)).await.expect("its token counts");
        let bytes = content.read(0, 10_000_000).await.expect("it can be read");
        serde_json::from_slice(&bytes).expect("they are orders")
    }
}
