//! Boot media and a distribution's real installer in QEMU, with a site on a tap interface. Needs root, QEMU, OVMF, GRUB's tools and Debian's
//! installer, and is run by name: `cargo test -p lab-boot-site --test media -- --ignored --test-threads 1 --nocapture`.

use lab_boot_site::{Settings, Site, System};
use lab_e2e::tap::Tap;
use lab_install::observed::Observed;
use lab_kinds::Define;
use lab_kinds::metal::network::{Dhcp, DhcpMode, DhcpRange, NetworkSpec};
use lab_kinds::metal::operating_system::{Artefact, Family, Method, Purpose, Repository};
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_kinds::metal::server::{Disk, Install, MachineRole, Transport};
use lab_kinds::metal::{DiskLayout, Network, OperatingSystem, Server};
use lab_machine::boot::medium::{self, Fixed, Medium};
use lab_machine::timeline::{Event, Transfer};
use lab_netboot::dhcp::{Socket, listen};
use lab_netboot::{http, syslog, tftp};
use lab_object::mac::MacAddress;
use lab_wire::log::Kind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0, 6, 1]);
const UUID: &str = "11223344-5566-7788-99aa-bbccddee0601";
const TAP: &str = "labtap6";

struct Machine(Child);
impl Machine {
    fn start(firmware: &[&str], more: &[String]) -> Self {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-accel", "tcg", "-m", "1024", "-display", "none", "-serial", "none", "-monitor", "none"]);
        qemu.args(["-uuid", UUID, "-netdev", &format!("tap,id=n,ifname={TAP},script=no,downscript=no")]);
        qemu.args(firmware).args(more).stdin(Stdio::null());
        Self(qemu.spawn().expect("QEMU is there"))
    }
}
impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const BIOS: &[&str] = &["-device", "e1000,netdev=n,mac=52:54:00:00:06:01"];
/// Firmware that has no way to boot from the network.
const BIOS_WITHOUT_ROM: &[&str] = &["-device", "e1000,netdev=n,mac=52:54:00:00:06:01,romfile="];
const UEFI: &[&str] = &[
    "-machine",
    "q35",
    "-drive",
    "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
    "-drive",
    "if=pflash,format=raw,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.fd",
    "-device",
    "virtio-net-pci,netdev=n,mac=52:54:00:00:06:01,romfile=",
    "-device",
    "virtio-rng-pci",
];

fn network() -> Network {
    let spec = NetworkSpec {
        gateway: Some([10, 96, 0, 1].into()),
        dhcp: Dhcp {
            mode: DhcpMode::Full,
            ranges: vec![DhcpRange { start: [10, 96, 0, 50].into(), end: [10, 96, 0, 60].into() }],
            ..Dhcp::beside_another()
        },
        ..NetworkSpec::new("10.96.0.0/24".parse().expect("it is a network"))
    };
    Network::new("rack", spec)
}

/// A site with its sockets; DHCP only where that is wanted.
struct Running {
    site: Arc<Site>,
    began: Instant,
    /// How much of the timeline is printed.
    shown: AtomicUsize,
    _tasks: JoinSet<std::io::Result<()>>,
    _tap: Tap,
}

impl Running {
    async fn start(folder: &Path, with_dhcp: bool) -> Self {
        let tap = Tap::new(TAP, "10.96.0.1/24");
        let site = Arc::new(Site::new(
            Settings { http_port: 80, folder: folder.into(), labd: None },
            Arc::new(System),
        ));
        site.serve_on([(TAP.into(), ([10, 96, 0, 1].into(), 24))].into());
        site.with(|known| known.put_network(network()));
        let mut tasks = JoinSet::new();
        for port in if with_dhcp { &[67, 4011][..] } else { &[] } {
            let socket = Socket::open(TAP, *port).expect("the port is free");
            let site = site.clone();
            tasks.spawn(async move { listen(&socket, TAP.into(), None, &*site).await });
        }
        let at = |port: u16| format!("10.96.0.1:{port}");
        let socket = UdpSocket::bind(at(69)).await.expect("the port is free");
        tasks.spawn(tftp::serve(socket, site.clone(), tftp::Settings::default()));
        let listener = TcpListener::bind(at(80)).await.expect("the port is free");
        tasks.spawn(http::serve(listener, site.clone(), http::Settings::default()));
        let socket = UdpSocket::bind(at(514)).await.expect("the port is free");
        tasks.spawn(syslog::serve_udp(socket, site.clone()));
        Self { site, began: Instant::now(), shown: AtomicUsize::new(0), _tasks: tasks, _tap: tap }
    }

    /// Waits until something happened to the machine, and prints what does.
    async fn until(&self, what: &str, is: impl Fn(&Event) -> bool) {
        while self.began.elapsed() < Duration::from_secs(1800) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let reached = self.site.with(|known| {
                let machine = known.machine(MAC)?;
                for entry in machine.timeline.entries().skip(self.shown.load(Relaxed)) {
                    println!("{:6.1} s {}", self.began.elapsed().as_secs_f32(), entry.event);
                    self.shown.fetch_add(1, Relaxed);
                }
                machine.timeline.entries().any(|entry| is(&entry.event)).then_some(())
            });
            if reached.is_some() {
                return;
            }
        }
        panic!("never came: {what}");
    }
}

/// The medium, as `labctl iso` makes it.
fn iso(folder: &Path, fixed: Option<Fixed>) -> PathBuf {
    let medium = Medium { servers: vec![[10, 96, 0, 1].into()], fixed };
    let tree = folder.join("tree");
    std::fs::create_dir_all(tree.join("boot/grub")).expect("there is room");
    std::fs::write(tree.join("boot/grub/grub.cfg"), medium::grub(&medium)).expect("there is room");
    std::fs::write(tree.join("boot/script.ipxe"), medium::ipxe(&medium)).expect("there is room");
    std::fs::copy("/usr/lib/ipxe/ipxe.lkrn", tree.join("boot/ipxe.lkrn")).expect("iPXE is installed");
    let path = folder.join("lab.iso");
    let made = Command::new("grub-mkrescue")
        .args(["--compress=xz", "--locales=", "--fonts=", "--themes=", "--output"])
        .args([&path, &tree])
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("grub-mkrescue is there").success());
    path
}

/// Boots from the medium until the discovery kernel is asked for, as in a network boot.
async fn boots_from_a_medium(firmware: &[&str], fixed: Option<Fixed>) {
    let folder = tempfile::tempdir().expect("there is room");
    let iso = iso(folder.path(), fixed);
    println!("the medium has {} bytes", std::fs::metadata(&iso).expect("it was made").len());
    let running = Running::start(folder.path(), fixed.is_none()).await;
    let drive = ["-cdrom".into(), iso.display().to_string(), "-boot".into(), "d".into()];
    let _machine = Machine::start(firmware, &drive);
    running
        .until(
            "the kernel is asked for",
            |event| matches!(event, Event::File { path, .. } if path == "systems/discovery/amd64/vmlinuz"),
        )
        .await;
}

const FIXED: Fixed = Fixed { address: std::net::Ipv4Addr::new(10, 96, 0, 77), prefix: 24, gateway: None };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and QEMU"]
async fn a_medium_on_bios() {
    boots_from_a_medium(BIOS_WITHOUT_ROM, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and QEMU"]
async fn a_medium_on_uefi() {
    boots_from_a_medium(UEFI, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and QEMU"]
async fn a_medium_without_dhcp_on_bios() {
    boots_from_a_medium(BIOS_WITHOUT_ROM, Some(FIXED)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and QEMU"]
async fn a_medium_without_dhcp_on_uefi() {
    boots_from_a_medium(UEFI, Some(FIXED)).await;
}

/// Where the package `debian-installer-12-netboot-amd64` has the installer.
const INSTALLER: &str = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64";

fn debian(folder: &Path) -> OperatingSystem {
    let mut system = OperatingSystem::example();
    (system.spec.method, system.spec.family) = (Method::Preseed, Family::Debian);
    let artefact = |name: &str, file: &str, purpose| {
        let place = folder.join("artefacts").join(name);
        std::fs::create_dir_all(&place).expect("there is room");
        std::os::unix::fs::symlink(Path::new(INSTALLER).join(file), place.join(name)).expect("there is room");
        Artefact {
            name: name.into(),
            purpose,
            url: format!("file://{INSTALLER}/{file}"),
            // The site finds it in its folder by this, and not in a cache.
            checksum: name.into(),
            size_bytes: None,
        }
    };
    system.spec.artefacts =
        vec![artefact("kernel", "linux", Purpose::Kernel), artefact("initrd", "initrd.gz", Purpose::Initrd)];
    system.spec.repositories =
        vec![Repository { name: "main".into(), url: "http://10.96.0.1/debian".into() }];
    system
}

/// A machine whose plan is approved.
fn approved(system: &OperatingSystem) -> Server {
    let mut server = Server::default();
    server.metadata.name = Some("52-54-00-00-06-01".into());
    server.spec.macs = vec![MAC];
    server.spec.role = Some(MachineRole::Vanilla);
    server.spec.install = Some(Install {
        operating_system: "debian-13".into(),
        layout: Install::default_layout(),
        disk_selector: Default::default(),
        approve: None,
        reprovision: None,
        kernel_arguments: Vec::new(),
    });
    server.status.uuid = Some(UUID.into());
    let disks = [Disk {
        name: "vda".into(),
        serial: "S1".into(),
        size_bytes: 40 << 30,
        transport: Some(Transport::Virtio),
        ..Disk::default()
    }];
    let observed = Observed { disks: &disks, volume_groups: &[], firmware: FirmwareType::Bios };
    let plan =
        lab_install::plan::plan(&server, system, &DiskLayout::labvg(), &observed).expect("it can be made");
    if let Some(install) = &mut server.spec.install {
        install.approve.clone_from(&plan.hash);
    }
    server.status.plan = Some(plan);
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and QEMU"]
async fn debians_installer_reads_our_answers() {
    let folder = tempfile::tempdir().expect("there is room");
    std::fs::copy("/usr/lib/ipxe/undionly.kpxe", folder.path().join("undionly.kpxe"))
        .expect("iPXE is installed");
    let system = debian(folder.path());
    let running = Running::start(folder.path(), true).await;
    running.site.with(|known| {
        known.put_server(approved(&system));
        known.put_operating_system(system);
    });
    let _machine = Machine::start(BIOS, &["-boot".into(), "n".into()]);
    running
        .until("the installer has its preseed", |event| {
            matches!(event, Event::File { path, outcome: Transfer::Done { .. }, .. } if path == "answers/…/preseed.cfg")
        })
        .await;
    let stage = |wanted: &'static str| move |event: &Event| matches!(event, Event::Stage { name, outcome: None, .. } if name == wanted);
    running.until("the first stage", stage("installer")).await;
    running.until("the scripts are fetched", stage("hardware")).await;
    let log = running.site.with(|known| known.lines(MAC));
    let said: Vec<_> = log.iter().filter(|line| line.kind == Kind::Log).collect();
    println!("{} lines of its log, such as {:?}", said.len(), said.last().map(|line| &line.text));
    assert!(said.iter().any(|line| line.program.as_deref() == Some("preseed")), "its log does not come here");
}
