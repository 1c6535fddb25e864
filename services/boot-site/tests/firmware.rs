//! Real firmware in QEMU boots from the site over a tap interface: BIOS and UEFI, each up to its kernel. Needs root, QEMU, OVMF
//! and Debian's iPXE, and is run by name: `cargo test -p lab-boot-site --test firmware -- --ignored --test-threads 1 --nocapture`.

use jiff::Timestamp;
use lab_boot_site::{Settings, Site, Surroundings};
use lab_kinds::metal::network::{Dhcp, DhcpMode, DhcpRange, NetworkSpec};
use lab_kinds::metal::{Network, Server};
use lab_machine::timeline::Event;
use lab_netboot::dhcp::{Answerer, Received, Reply, Socket, listen};
use lab_netboot::router::Solicitations;
use lab_netboot::{http, tftp};
use lab_object::mac::MacAddress;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, UdpSocket};

const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 1]);

struct Real;
impl Surroundings for Real {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    fn token(&self) -> String {
        "for-tests-only".into()
    }
}

/// An interface of this test, gone when it ends.
struct Tap(&'static str);
impl Tap {
    fn new(name: &'static str) -> Self {
        // One that a run left behind which was killed.
        drop(Self(name));
        for arguments in [
            vec!["tuntap", "add", name, "mode", "tap"],
            vec!["address", "add", "10.9.0.1/24", "dev", name],
            vec!["address", "add", "10.9.0.2/24", "dev", name],
            vec!["link", "set", name, "up"],
        ] {
            let status = Command::new("ip").args(&arguments).status().expect("ip is there");
            assert!(status.success(), "ip {arguments:?}");
        }
        Self(name)
    }
}
impl Drop for Tap {
    fn drop(&mut self) {
        let _ =
            Command::new("ip").args(["tuntap", "del", self.0, "mode", "tap"]).stderr(Stdio::null()).status();
    }
}

struct Machine(Child);
impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn machine(tap: &str, firmware: &[&str]) -> Machine {
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-accel", "tcg", "-m", "512", "-display", "none", "-serial", "none", "-monitor", "none"]);
    command.args(["-uuid", "11223344-5566-7788-99aa-bbccddeeff00", "-boot", "n"]);
    command.args(["-netdev", &format!("tap,id=n,ifname={tap},script=no,downscript=no")]);
    command.args(firmware).stdin(Stdio::null());
    Machine(command.spawn().expect("QEMU is there"))
}

/// Somebody else's DHCP server: addresses, and nothing about booting.
struct Plain(Site);
#[async_trait::async_trait]
impl Answerer for Plain {
    fn answer(&self, received: &Received) -> Option<Reply> {
        let reply = self.0.answer(received)?;
        let none = Reply::new(reply.message, reply.server);
        Some(Reply {
            your_address: reply.your_address,
            lease_seconds: reply.lease_seconds,
            prefix: reply.prefix,
            refusal: reply.refusal,
            ..none
        })
    }
    fn overheard(&self, _: &Received) {}
    fn not_sent(&self, received: &Received, why: &(dyn std::error::Error + 'static)) {
        self.0.not_sent(received, why);
    }
}

fn network(mode: DhcpMode) -> Network {
    let spec = NetworkSpec {
        cidr: "10.9.0.0/24".parse().expect("it is a network"),
        site: None,
        vlan: None,
        gateway: None,
        dns: Vec::new(),
        domain: None,
        mtu: None,
        dhcp: Dhcp {
            mode,
            ranges: vec![DhcpRange { start: [10, 9, 0, 50].into(), end: [10, 9, 0, 60].into() }],
            ..Dhcp::beside_another()
        },
    };
    Network::new("rack", spec)
}

fn site(address: [u8; 4], folder: &std::path::Path, mode: DhcpMode) -> Site {
    let site = Site::new(Settings { http_port: 80, folder: folder.into(), labd: None }, Arc::new(Real));
    site.serve_on([("labtap0".into(), (address.into(), 24))].into());
    site.with(|known| known.put_network(network(mode)));
    site
}

/// Boots a machine and waits until it asks for its kernel.
async fn boots(firmware: &[&str], mode: DhcpMode) {
    boots_as(None, firmware, mode).await;
}

/// The same with a machine that is known.
async fn boots_as(server: Option<Server>, firmware: &[&str], mode: DhcpMode) {
    let tap = Tap::new("labtap0");
    let folder = tempfile::tempdir().expect("there is room");
    for name in ["undionly.kpxe", "snponly.efi"] {
        std::fs::copy(format!("/usr/lib/ipxe/{name}"), folder.path().join(name)).expect("iPXE is installed");
    }
    let site = Arc::new(site([10, 9, 0, 1], folder.path(), mode));
    site.with(|known| server.into_iter().for_each(|server| known.put_server(server)));
    let mut servers = tokio::task::JoinSet::new();
    for port in [67, 4011] {
        let socket = Socket::open(tap.0, port).expect("the port is free");
        let site = site.clone();
        servers.spawn(async move { listen(&socket, "labtap0".into(), &*site).await });
    }
    if mode == DhcpMode::Proxy {
        let socket = Socket::open(tap.0, 67).expect("the port is shared");
        let other = Plain(self::site([10, 9, 0, 2], std::path::Path::new("/nowhere"), DhcpMode::Full));
        servers.spawn(async move { listen(&socket, "labtap0".into(), &other).await });
    }
    let solicitations =
        Solicitations::open(tap.0).expect("it can be opened").expect("nothing is forwarded here");
    let to = site.clone();
    servers.spawn(async move {
        let heard = |mac| {
            to.with(|known| {
                known.record(mac, Timestamp::now(), Event::RouterSolicited);
            });
        };
        solicitations.answer(heard).await
    });
    let socket = UdpSocket::bind("10.9.0.1:69").await.expect("the port is free");
    servers.spawn(tftp::serve(socket, site.clone(), tftp::Settings::default()));
    let listener = TcpListener::bind("10.9.0.1:80").await.expect("the port is free");
    servers.spawn(http::serve(listener, site.clone(), http::Settings::default()));
    let began = Instant::now();
    let _machine = machine(tap.0, firmware);
    let asks_for_kernel = |event: &Event| matches!(event, Event::File { path, .. } if path == "systems/discovery/amd64/vmlinuz");
    let (mut reached, mut shown) = (false, 0);
    while !reached && began.elapsed() < Duration::from_secs(240) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        site.with(|known| {
            let Some(machine) = known.machine(MAC) else { return };
            for entry in machine.timeline.entries().skip(shown) {
                println!("{:6.1} s {:?}", began.elapsed().as_secs_f32(), entry.event);
                shown += 1;
            }
            reached = machine.timeline.entries().any(|entry| asks_for_kernel(&entry.event));
        });
    }
    assert!(reached, "the machine did not ask for its kernel");
}

const BIOS: &[&str] = &["-device", "virtio-net-pci,netdev=n,mac=52:54:00:00:00:01"];
const UEFI: &[&str] = &[
    "-machine",
    "q35",
    "-drive",
    "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
    "-drive",
    "if=pflash,format=raw,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.fd",
    "-device",
    "virtio-net-pci,netdev=n,mac=52:54:00:00:00:01,romfile=",
    "-device",
    "virtio-rng-pci",
];
/// UEFI that boots by HTTP at once.
const UEFI_HTTP: &[&str] = &[
    "-fw_cfg",
    "name=opt/org.tianocore/IPv4PXESupport,string=n",
    "-fw_cfg",
    "name=opt/org.tianocore/IPv6PXESupport,string=n",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and QEMU"]
async fn bios_full() {
    boots(BIOS, DhcpMode::Full).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and QEMU"]
async fn bios_proxy() {
    boots(BIOS, DhcpMode::Proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and QEMU"]
async fn uefi_full() {
    boots(UEFI, DhcpMode::Full).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and QEMU"]
async fn uefi_proxy() {
    boots(UEFI, DhcpMode::Proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and QEMU"]
async fn uefi_http_full() {
    boots(&[UEFI, UEFI_HTTP].concat(), DhcpMode::Full).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and QEMU"]
async fn uefi_http_proxy() {
    boots(&[UEFI, UEFI_HTTP].concat(), DhcpMode::Proxy).await;
}

/// UEFI that starts only what Microsoft signed.
const SECURE_BOOT: &[&str] = &[
    "-machine",
    "q35,smm=on",
    "-global",
    "driver=cfi.pflash01,property=secure,value=on",
    "-drive",
    "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
    "-drive",
    "if=pflash,format=raw,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
    "-device",
    "virtio-net-pci,netdev=n,mac=52:54:00:00:00:01,romfile=",
    "-device",
    "virtio-rng-pci",
];

/// shim, then GRUB, as the packages shim-signed and grub-efi-amd64-signed have them. Debian's GRUB does not hear proxy offers, so that this
/// takes a full DHCP server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and QEMU"]
async fn secure_boot_full() {
    let mut server = Server::default();
    server.metadata.name = Some("a".into());
    server.spec.macs = vec![MAC];
    server.status.hardware.firmware.secure_boot = Some(true);
    boots_as(Some(server), SECURE_BOOT, DhcpMode::Full).await;
}
