//! Real firmware in QEMU boots from the real servers, over a switch in user space, up to the discovery system's first words to the site. Run
//! by name, without root: `LAB_ARTEFACTS=target/artefacts cargo test -p lab-rack --test firmware -- --ignored --test-threads 1 --nocapture`.
//!
//! `cargo xtask artefacts discovery` makes what LAB_ARTEFACTS names. The frames of a run that fails stay in `frames.pcap`.

use jiff::Timestamp;
use lab_boot_site::{Settings, Site, System};
use lab_kinds::metal::network::{Dhcp, DhcpMode, DhcpRange, NetworkSpec};
use lab_kinds::metal::{Network, Server};
use lab_machine::timeline::Event;
use lab_netboot::dhcp::{Socket, listen};
use lab_netboot::router::Solicitations;
use lab_netboot::{http, tftp};
use lab_object::mac::MacAddress;
use lab_rack::faults::Faults;
use lab_rack::place::{inside, ip};
use lab_rack::qemu::{Accelerator, Firmware, Hardware, Machine};
use lab_rack::switch::Switch;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

const TAP: &str = "rack0";

fn network(mode: DhcpMode) -> Network {
    let spec = NetworkSpec {
        dhcp: Dhcp {
            mode,
            ranges: vec![DhcpRange { start: [10, 9, 0, 50].into(), end: [10, 9, 0, 60].into() }],
            ..Dhcp::beside_another()
        },
        ..NetworkSpec::new("10.9.0.0/24".parse().expect("it is a network"))
    };
    Network::new("rack", spec)
}

fn mac(number: u8) -> MacAddress {
    MacAddress([0x52, 0x54, 0, 0, 0, number])
}

/// dnsmasq as somebody else's DHCP server: addresses, and nothing about booting. It ends when dropped.
struct Dnsmasq(Child);
impl Dnsmasq {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new("dnsmasq");
        // Otherwise it changes its group, which a user namespace forbids.
        command.args(["--no-daemon", "--port=0", "--interface=rack0", "--bind-interfaces"]);
        command.args([
            "--conf-file=/dev/null",
            "--pid-file",
            "--dhcp-range=10.9.0.50,10.9.0.60,255.255.255.0,600",
        ]);
        // It is at .2; .1 is the boot server's.
        command.args(["--listen-address=10.9.0.2", "--dhcp-option=3"]);
        command.arg(format!("--dhcp-leasefile={}", folder.join("dnsmasq.leases").display()));
        Self(command.stdin(Stdio::null()).spawn().expect("dnsmasq is installed"))
    }
}
impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The boot server on the tap interface.
async fn serve(site: &Arc<Site>) -> JoinSet<std::io::Result<()>> {
    let mut servers = JoinSet::new();
    for port in [67, 4011] {
        let socket = Socket::open(TAP, port).expect("the port is free");
        let site = site.clone();
        servers.spawn(async move { listen(&socket, TAP.into(), None, &*site).await });
    }
    let solicitations =
        Solicitations::open(TAP).expect("it can be opened").expect("nothing is forwarded here");
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
    servers
}

/// The files: Debian's iPXE, and the discovery system where it was made.
fn files(folder: &Path) -> bool {
    let Some(made) = std::env::var_os("LAB_ARTEFACTS").map(PathBuf::from) else { return false };
    let to = folder.join("systems/discovery/amd64");
    std::fs::create_dir_all(&to).expect("there is room");
    for name in ["vmlinuz", "initrd"] {
        std::fs::copy(made.join("systems/discovery/amd64").join(name), to.join(name))
            .expect("the discovery system was made");
    }
    true
}

/// Whether a machine came as far as it can: to the discovery system's report, or to its question for a kernel where there is none.
fn has_arrived(event: &Event, runs: bool) -> bool {
    match event {
        Event::Discovered { .. } => true,
        Event::File { path, .. } => !runs && path.ends_with("vmlinuz"),
        _ => false,
    }
}

/// Boots machines at once and waits until all have arrived; whether they did.
async fn arrive(firmware: &[Firmware], mode: DhcpMode, patience: Duration) -> bool {
    let folder = tempfile::tempdir().expect("there is room");
    let runs = files(folder.path());
    let switch = Switch::recording(folder.path(), TAP, Faults::NONE).expect("the switch opens");
    for address in ["10.9.0.1/24", "10.9.0.2/24"] {
        ip(&["address", "add", address, "dev", TAP]).expect("the address is given");
    }
    let site = Arc::new(Site::new(
        Settings { http_port: 80, folder: folder.path().into(), labd: None },
        Arc::new(System),
    ));
    site.serve_on([(TAP.into(), ([10, 9, 0, 1].into(), 24))].into());
    site.with(|known| known.put_network(network(mode)));
    let _servers = serve(&site).await;
    let _other = (mode == DhcpMode::Proxy).then(|| Dnsmasq::start(folder.path()));
    let began = Instant::now();
    let mut machines = Vec::new();
    for (at, firmware) in firmware.iter().enumerate() {
        let number = at as u8 + 1;
        if matches!(firmware, Firmware::SecureBoot | Firmware::SecureBootHttp) {
            let mut server = Server::default();
            server.metadata.name = Some(mac(number).dashed());
            server.spec.macs = vec![mac(number)];
            server.status.hardware.firmware.secure_boot = Some(true);
            site.with(|known| known.put_server(server));
        }
        let uuid = format!("11223344-5566-7788-99aa-bbccddeeff{number:02x}");
        let hardware = Hardware {
            firmware: *firmware,
            mac: mac(number),
            uuid,
            memory: 768,
            processors: (1, Accelerator::Tcg),
            disks: Vec::new(),
        };
        machines.push(Machine::power_on(&hardware, &switch, folder.path()).expect("QEMU is installed"));
    }
    let mut shown = vec![0; firmware.len()];
    let mut arrived = vec![false; firmware.len()];
    while began.elapsed() < patience && arrived.contains(&false) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        site.with(|known| {
            for at in 0..firmware.len() {
                let Some(machine) = known.machine(mac(at as u8 + 1)) else { continue };
                for entry in machine.timeline.entries().skip(shown[at]) {
                    println!("{:6.1} s {:?}: {}", began.elapsed().as_secs_f32(), firmware[at], entry.event);
                    shown[at] += 1;
                }
                arrived[at] = machine.timeline.entries().any(|entry| has_arrived(&entry.event, runs));
            }
        });
    }
    let all = !arrived.contains(&false);
    if !all {
        for machine in &machines {
            println!("{}", machine.console());
        }
        drop(machines);
        println!("the frames are in {}", folder.keep().join("frames.pcap").display());
    }
    all
}

#[track_caller]
fn check(test: &str, firmware: &[Firmware], mode: DhcpMode, expected: bool) {
    if !inside(test) {
        return;
    }
    let patience = Duration::from_secs(if expected { 420 } else { 300 });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let arrived = runtime.expect("it starts").block_on(arrive(firmware, mode, patience));
    assert_eq!(arrived, expected, "{firmware:?} with DHCP {mode:?}");
}

#[test]
#[ignore = "needs QEMU"]
fn bios_full() {
    check("bios_full", &[Firmware::Bios], DhcpMode::Full, true);
}

#[test]
#[ignore = "needs QEMU"]
fn bios_proxy() {
    check("bios_proxy", &[Firmware::Bios], DhcpMode::Proxy, true);
}

#[test]
#[ignore = "needs QEMU"]
fn uefi_full() {
    check("uefi_full", &[Firmware::Uefi], DhcpMode::Full, true);
}

#[test]
#[ignore = "needs QEMU"]
fn uefi_proxy() {
    check("uefi_proxy", &[Firmware::Uefi], DhcpMode::Proxy, true);
}

#[test]
#[ignore = "needs QEMU"]
fn uefi_http_full() {
    check("uefi_http_full", &[Firmware::UefiHttp], DhcpMode::Full, true);
}

#[test]
#[ignore = "needs QEMU"]
fn uefi_http_proxy() {
    check("uefi_http_proxy", &[Firmware::UefiHttp], DhcpMode::Proxy, true);
}

#[test]
#[ignore = "needs QEMU"]
fn secure_boot_full() {
    check("secure_boot_full", &[Firmware::SecureBoot], DhcpMode::Full, true);
}

/// Debian's signed GRUB does not hear proxy offers.
#[test]
#[ignore = "needs QEMU"]
fn secure_boot_proxy() {
    check("secure_boot_proxy", &[Firmware::SecureBoot], DhcpMode::Proxy, false);
}

/// Nor does it ask anybody where it was loaded by HTTP: GRUB 2.06 is fetched, sends nothing more, and stands at its prompt.
#[test]
#[ignore = "needs QEMU"]
fn secure_boot_http_proxy() {
    check("secure_boot_http_proxy", &[Firmware::SecureBootHttp], DhcpMode::Proxy, false);
}

#[test]
#[ignore = "needs QEMU"]
fn two_at_once() {
    check("two_at_once", &[Firmware::Bios, Firmware::Bios], DhcpMode::Full, true);
}
