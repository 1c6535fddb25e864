//! A machine's way through the engine, from its first packet to its script, without a network.

use dhcproto::v4::MessageType;
use jiff::Timestamp;
use lab_boot_site::{Settings, Site, Surroundings};
use lab_kinds::metal::Network;
use lab_kinds::metal::network::{Dhcp, DhcpMode, DhcpRange, NetworkSpec};
use lab_kinds::metal::server::{BootOnce, Server};
use lab_machine::timeline::Event;
use lab_netboot::dhcp::{Answerer, Packet, Received, Reply};
use lab_netboot::files::{Asked, Content, Files, Outcome, Protocol, Taken};
use lab_netboot::syslog::{Message, Sink};
use lab_object::mac::MacAddress;
use lab_wire::log::Kind;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
const UUID: &str = "11223344-5566-7788-99aa-bbccddeeff00";

struct Still;
impl Surroundings for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_000_000).expect("it is a time")
    }
    fn token(&self) -> String {
        "t0ken".into()
    }
}

fn site(mode: DhcpMode) -> (Site, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("there is room");
    for program in lab_machine::program::PROGRAMS {
        std::fs::write(folder.path().join(program.path), program.path).expect("there is room");
    }
    let site =
        Site::new(Settings { http_port: 80, folder: folder.path().into(), labd: None }, Arc::new(Still));
    site.serve_on([("eth1".into(), (Ipv4Addr::new(10, 9, 0, 1), 24))].into());
    let mut spec = network_spec();
    spec.dhcp.mode = mode;
    site.with(|known| known.put_network(Network::new("rack", spec)));
    (site, folder)
}

/// A question as UEFI asks it.
fn ask(site: &Site, message: u8, more: &[(u8, &[u8])]) -> Option<Reply> {
    let mut bytes = vec![0; 240];
    bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
    bytes[28..34].copy_from_slice(&MAC.0);
    bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
    let id = [0, 0x44, 0x33, 0x22, 0x11, 0x66, 0x55, 0x88, 0x77, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0];
    let options: [(u8, &[u8]); 4] = [(53, &[message]), (60, b"PXEClient"), (93, &[0, 7]), (97, &id)];
    for (code, value) in options.iter().chain(more) {
        bytes.extend([*code, u8::try_from(value.len()).expect("it is short")]);
        bytes.extend(*value);
    }
    let packet = Packet::decode(&bytes).expect("it is a packet");
    let sender = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
    site.answer(&Received { interface: "eth1".into(), port: 67, sender, packet })
}

async fn fetch(site: &Site, path: &str, peer: [u8; 4]) -> Option<String> {
    let asked = Asked { protocol: Protocol::Http, peer: (peer, 1234).into(), path: path.into() };
    let content: Option<Content> = site.open(&asked).await;
    let Some(content) = content else {
        site.finished(&asked, Outcome::NotFound);
        return None;
    };
    let bytes = content.read(0, 10_000).await.expect("it can be read");
    site.finished(&asked, Outcome::Done { bytes: content.size() });
    Some(String::from_utf8(bytes.to_vec()).expect("it is text"))
}

#[tokio::test]
async fn from_the_first_packet_to_the_script() {
    let (site, _folder) = site(DhcpMode::Full);
    let offer = ask(&site, 1, &[]).expect("it is answered");
    let address = offer.your_address.expect("there is one");
    assert_eq!((offer.message, offer.file.as_deref()), (MessageType::Offer, Some("snponly.efi")));
    let ack = ask(&site, 3, &[(54, &[10, 9, 0, 1]), (50, &address.octets())]).expect("it is answered");
    assert_eq!(
        (ack.message, ack.your_address, ack.lease_seconds, ack.prefix),
        (MessageType::Ack, Some(address), Some(30), Some(24))
    );
    assert_eq!(fetch(&site, "snponly.efi", address.octets()).await.as_deref(), Some("snponly.efi"));
    let script = ask(&site, 1, &[(77, b"iPXE")]).and_then(|offer| offer.file).expect("there is a script");
    let path = script.strip_prefix("http://10.9.0.1/").expect("it is ours");
    assert_eq!(path, format!("boot/52-54-00-00-00-01/{UUID}/script.ipxe"));
    let text = fetch(&site, path, address.octets()).await.expect("it is a script");
    assert!(
        text.contains(
            "kernel http://10.9.0.1/systems/discovery/amd64/vmlinuz initrd=initrd0 lab.site=http://10.9.0.1"
        ),
        "{text}"
    );
    site.log([10, 9, 0, 9].into(), Message { text: "nobody's".into(), ..Message::default() });
    site.log(address.into(), Message { text: "hello".into(), ..Message::default() });
    site.with(|known| {
        assert_eq!(
            known
                .lines(MAC)
                .iter()
                .filter(|line| line.kind == Kind::Log)
                .map(|line| line.text.as_str())
                .collect::<Vec<_>>(),
            ["hello"]
        );
        let machine = known.machine(MAC).expect("it was heard");
        assert_eq!(machine.uuid.as_deref(), Some(UUID));
        let booted = |event: &Event| matches!(event, Event::Booted { .. });
        assert!(machine.timeline.entries().any(|entry| booted(&entry.event)), "{machine:?}");
    });
}

#[tokio::test]
async fn tokens_are_for_the_machine_itself() {
    let (site, _folder) = site(DhcpMode::Full);
    let mut server = Server::default();
    server.metadata.name = Some("a".into());
    server.spec.macs = vec![MAC];
    server.spec.boot.once = Some(BootOnce::Debug);
    site.with(|known| known.put_server(server));
    let address = ask(&site, 1, &[]).and_then(|offer| offer.your_address).expect("there is one");
    ask(&site, 3, &[(54, &[10, 9, 0, 1]), (50, &address.octets())]).expect("it is answered");
    let path = format!("boot/52-54-00-00-00-01/{UUID}/script.ipxe");
    // Another machine that has an address of its own asks in its name.
    let other = MacAddress([2, 0, 0, 0, 0, 9]);
    let theirs = [10, 9, 0, if address.octets()[3] == 60 { 59 } else { 60 }];
    let now = Still.now();
    site.with(|known| {
        known.leases.entry("rack".into()).or_default().request(
            &lab_machine::lease::Pool::new("rack", &network_spec(), [], &[]),
            other,
            theirs.into(),
            30,
            now,
        );
    });
    assert_eq!(fetch(&site, &path, theirs).await, None);
    let text = fetch(&site, &path, address.octets()).await.expect("it is a script");
    assert!(text.contains("lab.mode=debug") && text.contains("lab.token=t0ken"), "{text}");
    site.with(|known| {
        assert_eq!(known.machine(MAC).and_then(|m| m.token.clone()), Some(("t0ken".into(), Some("a".into()))))
    });
}

#[tokio::test]
async fn stages_and_lines_by_http() {
    let (site, _folder) = site(DhcpMode::Full);
    let address = ask(&site, 1, &[]).and_then(|offer| offer.your_address).expect("there is one");
    ask(&site, 3, &[(54, &[10, 9, 0, 1]), (50, &address.octets())]).expect("it is answered");
    fetch(&site, &format!("boot/52-54-00-00-00-01/{UUID}/script.ipxe"), address.octets())
        .await
        .expect("it is a script");
    let say = async |path: &str, peer: [u8; 4], content: &'static str| {
        let asked = Asked { protocol: Protocol::Http, peer: (peer, 1234).into(), path: path.into() };
        site.take(&asked, content.into()).await
    };
    let stranger = [10, 9, 0, 200];
    assert_eq!(say("log", address.octets(), "<13>Nov 21 12:00:00 h anna: one\n\ntwo\n").await, Taken::Done);
    assert_eq!(say("log", stranger, "x").await, Taken::Refused);
    assert_eq!(say("stage/t0ken", address.octets(), r#"{"stage": "partition"}"#).await, Taken::Done);
    assert_eq!(say("log/t0ken", stranger, "three").await, Taken::Done);
    assert_eq!(say("stage/other", address.octets(), r#"{"stage": "partition"}"#).await, Taken::Refused);
    assert_eq!(say("stage/t0ken", address.octets(), "partition").await, Taken::Malformed);
    assert_eq!(say("elsewhere", address.octets(), "").await, Taken::NotFound);
    site.with(|known| {
        let lines = known.lines(MAC).into_iter().filter(|line| line.kind != Kind::Boot);
        let lines: Vec<_> = lines.map(|line| (line.program, line.stage, line.text)).collect();
        let line = |program: Option<&str>, stage: Option<&str>, text: &str| {
            (program.map(str::to_owned), stage.map(str::to_owned), text.to_owned())
        };
        let partition = Some("partition");
        let expected = [
            line(Some("anna"), None, "one"),
            line(None, None, "two"),
            line(None, partition, "partition began"),
            line(None, partition, "three"),
        ];
        assert_eq!(lines, expected);
    });
}

fn network_spec() -> NetworkSpec {
    NetworkSpec {
        dhcp: Dhcp {
            mode: DhcpMode::Full,
            ranges: vec![DhcpRange { start: [10, 9, 0, 50].into(), end: [10, 9, 0, 60].into() }],
            ..Dhcp::beside_another()
        },
        ..NetworkSpec::new("10.9.0.0/24".parse().expect("it is a network"))
    }
}

#[tokio::test]
async fn beside_another_server() {
    let (site, _folder) = site(DhcpMode::Proxy);
    let offer = ask(&site, 1, &[]).expect("it is answered");
    assert_eq!((offer.your_address, offer.vendor_class.as_deref()), (None, Some("PXEClient")));
    assert_eq!(ask(&site, 3, &[(54, &[10, 9, 0, 2]), (50, &[10, 9, 0, 50])]), None);
    // Files are known to be this machine's by the address that it took from the other server.
    fetch(&site, "snponly.efi", [10, 9, 0, 50]).await.expect("it is there");
    site.with(|known| {
        let other = Event::AnsweredByOther { server: [10, 9, 0, 2].into() };
        let machine = known.machine(MAC).expect("it was heard");
        let events: Vec<_> = machine.timeline.entries().map(|entry| &entry.event).collect();
        assert!(events.contains(&&other), "{events:?}");
        assert!(
            matches!(events.last(), Some(Event::File { path, .. }) if path == "snponly.efi"),
            "{events:?}"
        );
    });
}
