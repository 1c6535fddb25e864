//! What is done to the disks, and what has to be there afterwards.

use jiff::Timestamp;
use lab_host::command::{Call, CallError, Ended, Processes, Run};
use lab_host::hands::{partition_device, volume_device};
use lab_host::observe::{self, Tree};
use lab_install::observed::Observed;
use lab_install::plan::plan;
use lab_install::refusal::Refusal;
use lab_install::standing::{Standing, still_holds};
use lab_kinds::Define;
use lab_kinds::metal::disk_layout::{DiskLayout, FileSystem, LayoutPartition, OnReprovision, Volume};
use lab_kinds::metal::operating_system::OperatingSystem;
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_kinds::metal::server::status::StageOutcome;
use lab_kinds::metal::server::{Disk, DiskSelector, Plan, Server, VolumeGroup};
use lab_kinds::metal::size::Size;
use lab_node::install::{InstallError, Machine, Site, carry_out};
use lab_wire::site::{Installation, Progress};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Mutex,
};

type Scenario = fn();

/// Each in a machine of its own.
pub const ALL: [(&str, Scenario); 8] = [
    ("a_blank_disk_is_installed_and_once_more_without_a_change", fresh),
    ("what_is_preserved_outlives_a_reprovision_byte_for_byte", reprovision),
    ("every_call_fails_once_before_it_did_anything", || faults(Fault::Before)),
    ("every_call_fails_once_after_it_did_everything", || faults(Fault::After)),
    ("an_image_that_was_altered_or_cut_short", images),
    ("a_foreign_group_of_the_same_name_and_disks_that_are_alike", foreign),
    ("a_disk_that_fails_half_way", failing),
    ("a_disk_that_vanished", vanished),
];

/// Small enough for the disks here: XFS wants 300 MiB.
fn layout() -> DiskLayout {
    let mib = Size::of_mib;
    let partition = |name: &str, size, file_system, mount: &str| LayoutPartition {
        name: name.into(),
        size: mib(size),
        min_size: None,
        file_system,
        mount: mount.into(),
        on_reprovision: OnReprovision::Reuse,
        firmware: None,
    };
    let volume = |name: &str, size, file_system, mount: Option<&str>, on_reprovision| Volume {
        name: name.into(),
        size: Some(mib(size)),
        min_size: None,
        file_system,
        mount: mount.map(str::to_owned),
        mount_options: Vec::new(),
        on_reprovision,
        roles: Vec::new(),
    };
    use {FileSystem::*, OnReprovision::*};
    let mut layout = DiskLayout::labvg();
    layout.spec.partitions =
        vec![partition("efi", 40, Vfat, "/boot/efi"), partition("boot", 64, Ext4, "/boot")];
    layout.spec.volumes = vec![
        volume("swap", 32, Swap, None, Recreate),
        volume("root", 320, Xfs, Some("/"), Recreate),
        volume("var", 320, Xfs, Some("/var"), Recreate),
        volume("home", 320, Xfs, Some("/home"), Preserve),
        volume("srv", 320, Ext4, Some("/srv"), Preserve),
    ];
    layout
}

/// The disk of this serial number, and everything beside it.
struct Bench {
    serial: &'static str,
    server: Server,
    system: OperatingSystem,
    image: Vec<u8>,
    told: RefCell<Vec<Progress>>,
}

fn observed() -> (Vec<Disk>, Vec<VolumeGroup>) {
    let mut problems = Vec::new();
    let found = observe::disks(&Tree::new("/"), &Processes, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    found
}

fn disk(serial: &str) -> Disk {
    observed().0.into_iter().find(|disk| disk.serial == serial).unwrap()
}

fn device(serial: &str) -> PathBuf {
    Path::new("/dev").join(disk(serial).name)
}

fn call(program: &str, arguments: &[&str]) -> String {
    Processes.succeed(&Call::new(program, arguments.iter().copied())).unwrap()
}

impl Bench {
    /// With the disk blank.
    fn new(serial: &'static str) -> Self {
        blank(&device(serial));
        let image = fs::read("/image.tar.zst").unwrap();
        let digest = call("sha256sum", &["/image.tar.zst"]);
        let mut system = OperatingSystem::example();
        system.spec.artefacts[0].checksum = format!("sha256:{}", digest.split(' ').next().unwrap());
        system.spec.artefacts[0].size_bytes = i64::try_from(image.len()).ok();
        let mut server = Server::example();
        server.spec.role = None;
        server.spec.uuid = None;
        server.status = Default::default();
        let install = server.spec.install.as_mut().unwrap();
        install.disk_selector = DiskSelector { serials: vec![serial.into()], ..DiskSelector::default() };
        install.reprovision = None;
        Self { serial, server, system, image, told: RefCell::default() }
    }

    fn plan(&self) -> Result<Plan, Refusal> {
        let (disks, groups) = observed();
        let observed = Observed { disks: &disks, volume_groups: &groups, firmware: FirmwareType::Uefi };
        plan(&self.server, &self.system, &layout(), &observed)
    }

    /// A plan for the disks as they are, approved.
    fn approved(&mut self) -> Installation {
        let plan = self.plan().unwrap();
        self.server.spec.install.as_mut().unwrap().approve.clone_from(&plan.hash);
        let (server, operating_system) = (self.server.clone(), self.system.clone());
        Installation { server, operating_system, plan, image: "/image".into(), agent: None }
    }

    fn carry_out(&self, given: &Installation, run: &dyn Run) -> Result<(), InstallError> {
        self.told.borrow_mut().clear();
        let machine = Machine {
            run,
            firmware: FirmwareType::Uefi,
            uuid: None,
            target: "/mnt/target".into(),
            agent: "/init".into(),
        };
        carry_out(given, &machine, self)
    }

    /// The steps of the last attempt that changed anything.
    fn changed(&self) -> Vec<String> {
        let told = self.told.borrow();
        let done = told.iter().filter(|progress| progress.stage.outcome == Some(StageOutcome::Done));
        let names: BTreeSet<_> = done.map(|progress| progress.stage.name.clone()).collect();
        names.into_iter().collect()
    }

    /// Looks into a volume of the installed system.
    fn with_volume<T>(&self, volume: &str, kind: &str, look: impl FnOnce(&Path) -> T) -> T {
        call(
            "lvm",
            &["lvchange", "--config=activation{udev_sync=0 udev_rules=0}", "-ay", &format!("labvg/{volume}")],
        );
        let at = Path::new("/mnt/look");
        fs::create_dir_all(at).unwrap();
        mount(volume_device("labvg", volume), at, kind, MountFlags::empty(), None).unwrap();
        let found = look(at);
        unmount(at, UnmountFlags::empty()).unwrap();
        call("lvm", &["vgchange", "--config=activation{udev_sync=0 udev_rules=0}", "-an", "labvg"]);
        found
    }

    /// A digest of everything in a volume, read where it lies on the disk.
    fn digest(&self, volume: &str) -> String {
        call(
            "lvm",
            &["lvchange", "--config=activation{udev_sync=0 udev_rules=0}", "-ay", &format!("labvg/{volume}")],
        );
        let found = call("sha256sum", &[volume_device("labvg", volume).to_str().unwrap()]);
        call("lvm", &["vgchange", "--config=activation{udev_sync=0 udev_rules=0}", "-an", "labvg"]);
        found
    }
}

impl Site for Bench {
    fn image(&self, from: u64) -> io::Result<Box<dyn Read>> {
        let mut image = io::Cursor::new(self.image.clone());
        image.set_position(from);
        Ok(Box::new(image))
    }

    fn tell(&self, progress: &Progress) {
        self.told.borrow_mut().push(progress.clone());
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Takes down what is up on a disk and overwrites its beginning, its end and the beginnings of its partitions.
fn blank(disk: &Path) {
    call("blockdev", &["--setrw", disk.to_str().unwrap()]);
    let partitions: Vec<_> =
        (1..=4).map(|n| partition_device(disk, n)).filter(|path| path.exists()).collect();
    for partition in &partitions {
        let partition = partition.to_str().unwrap();
        let config = "--config=activation{udev_sync=0 udev_rules=0}";
        let group = call(
            "lvm",
            &["pvs", "--readonly", "--noheadings", "-o", "vg_name", "-S", &format!("pv_name={partition}")],
        );
        if !group.trim().is_empty() {
            call("lvm", &["vgchange", config, &format!("--devices={partition}"), "-an", group.trim()]);
        }
        call("blockdev", &["--setrw", partition]);
        call("wipefs", &["-af", partition]);
    }
    call("wipefs", &["-af", disk.to_str().unwrap()]);
    call("blockdev", &["--rereadpt", disk.to_str().unwrap()]);
}

fn fresh() {
    let mut bench = Bench::new("MAIN");
    let given = bench.approved();
    bench.carry_out(&given, &Processes).unwrap_or_else(|error| panic!("{}", error.sentence()));
    let last = bench.told.borrow().last().cloned().unwrap();
    assert!(last.finished && last.percent == 100, "{last:?}");
    let unpacked = bench.told.borrow().iter().filter_map(|progress| progress.stage.done_bytes).max();
    assert_eq!(unpacked, i64::try_from(bench.image.len()).ok());

    let (disks, groups) = observed();
    let found = Observed { disks: &disks, volume_groups: &groups, firmware: FirmwareType::Uefi };
    assert_eq!(still_holds(&given.plan, &found), Ok(Standing::Begun));
    let volumes: Vec<_> = groups[0]
        .volumes
        .iter()
        .map(|v| format!("{} {} {}", v.name, v.size_bytes >> 20, v.signature.kind))
        .collect();
    assert_eq!(volumes, ["home 320 xfs", "root 320 xfs", "srv 320 ext4", "swap 32 swap", "var 320 xfs"]);
    let table = bench.with_volume("root", "xfs", |root| fs::read_to_string(root.join("etc/fstab")).unwrap());
    assert_eq!(table, lab_install::fstab::render(&given.plan));
    let home = bench.with_volume("home", "xfs", |home| fs::read_dir(home).unwrap().count());
    assert_eq!(home, 1, "what is made anew gets the image's files");

    bench.carry_out(&given, &Processes).unwrap_or_else(|error| panic!("{}", error.sentence()));
    let mounts = ["mount/", "mount/boot", "mount/boot/efi", "mount/home", "mount/srv", "mount/var"];
    let always: BTreeSet<_> =
        mounts.into_iter().chain(["check", "report", "unmount"]).map(str::to_owned).collect();
    assert_eq!(bench.changed(), always.into_iter().collect::<Vec<_>>());
}

fn reprovision() {
    let mut bench = Bench::new("MAIN");
    let given = bench.approved();
    bench.carry_out(&given, &Processes).unwrap_or_else(|error| panic!("{}", error.sentence()));
    for (volume, kind) in [("home", "xfs"), ("srv", "ext4"), ("root", "xfs")] {
        bench.with_volume(volume, kind, |at| fs::write(at.join("mine"), "precious").unwrap());
    }
    let before = ["home", "srv"].map(|volume| bench.digest(volume));
    bench.server.spec.install.as_mut().unwrap().reprovision = Some(1);
    let again = bench.approved();
    assert_ne!(again.plan.hash, given.plan.hash);
    bench.carry_out(&again, &Processes).unwrap_or_else(|error| panic!("{}", error.sentence()));
    assert_eq!(["home", "srv"].map(|volume| bench.digest(volume)), before, "not one byte was written");
    for (volume, kind, there) in [("home", "xfs", true), ("srv", "ext4", true), ("root", "xfs", false)] {
        let found = bench.with_volume(volume, kind, |at| at.join("mine").exists());
        assert_eq!(found, there, "{volume}");
    }
    // The first plan's disks are not these any more.
    match bench.carry_out(&given, &Processes) {
        Err(InstallError::Unapproved(_) | InstallError::Changed(_)) => {}
        other => panic!("{other:?}"),
    }
}

/// When a call fails.
#[derive(Clone, Copy)]
enum Fault {
    /// It did nothing.
    Before,
    /// It did all, but the machine lost power before anybody knew.
    After,
}

/// Fails each call that changes anything when it is first made.
struct Failing {
    fault: Fault,
    seen: Mutex<BTreeSet<String>>,
}

impl Run for Failing {
    fn run(&self, call: &Call) -> Result<Ended, CallError> {
        let reads = matches!(call.program.as_str(), "blkid")
            || call.arguments.iter().any(|a| a == "--readonly" || a == "--json");
        let first = !reads && self.seen.lock().unwrap().insert(call.to_string());
        if !first {
            return Processes.run(call);
        }
        if let Fault::After = self.fault {
            Processes.run(call)?;
        }
        Ok(Ended { code: Some(5), complaint: "Input/output error".into(), ..Ended::default() })
    }
}

fn faults(fault: Fault) {
    let mut bench = Bench::new("MAIN");
    let given = bench.approved();
    let failing = Failing { fault, seen: Mutex::default() };
    for attempt in 0..200 {
        match bench.carry_out(&given, &failing) {
            Ok(()) => {
                assert!(attempt > 20, "only {attempt} calls failed");
                println!("{attempt} attempts failed, each at another call");
                break;
            }
            Err(error) => {
                let sentence = error.sentence();
                assert!(sentence.contains("Input/output error"), "attempt {attempt}: {sentence}");
                assert_eq!(bench.told.borrow().last().unwrap().stage.message.as_ref(), Some(&sentence));
            }
        }
    }
    let (disks, groups) = observed();
    let found = Observed { disks: &disks, volume_groups: &groups, firmware: FirmwareType::Uefi };
    assert_eq!(still_holds(&given.plan, &found), Ok(Standing::Begun));
    assert!(bench.told.borrow().last().unwrap().finished);
}

fn images() {
    let mut bench = Bench::new("MAIN");
    let given = bench.approved();
    let good = bench.image.clone();
    let refused = |bench: &Bench| {
        let error = bench.carry_out(&given, &Processes).unwrap_err();
        assert!(
            error.sentence().contains("the image is not the one of the operating system"),
            "{}",
            error.sentence()
        );
    };
    let half = good.len() / 2;
    bench.image.truncate(half);
    refused(&bench);
    bench.image.clone_from(&good);
    bench.image[half] ^= 1;
    refused(&bench);
    bench.image = good;
    bench.carry_out(&given, &Processes).unwrap_or_else(|error| panic!("{}", error.sentence()));
}

fn foreign() {
    let bench = Bench::new("MAIN");
    let other = device("OTHER");
    let other = other.to_str().unwrap();
    call("lvm", &["pvcreate", "-ff", "-y", other]);
    call("lvm", &["vgcreate", "labvg", other]);
    let refusal = bench.plan().unwrap_err();
    assert!(matches!(refusal, Refusal::ForeignGroup { .. }), "{refusal}");
    call("wipefs", &["-af", other]);
    let mut bench = bench;
    bench.server.spec.install.as_mut().unwrap().disk_selector.serials = vec!["TWIN".into()];
    let refusal = bench.plan().unwrap_err();
    assert!(matches!(refusal, Refusal::Alike { .. }), "{refusal}");
}

fn failing() {
    let mut bench = Bench::new("BAD");
    let given = bench.approved();
    let error = bench.carry_out(&given, &Processes).unwrap_err();
    let InstallError::Step { lost, .. } = &error else { panic!("{}", error.sentence()) };
    assert!(lost, "{}", error.sentence());
    println!("{}", error.sentence());
}

fn vanished() {
    let mut bench = Bench::new("MAIN");
    let given = bench.approved();
    let name = disk(bench.serial).name;
    fs::write(format!("/sys/block/{name}/device/../remove"), "1").unwrap();
    let error = bench.carry_out(&given, &Processes).unwrap_err();
    assert!(error.sentence().contains("has vanished"), "{}", error.sentence());
}
