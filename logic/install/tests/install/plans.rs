//! Which disk is taken, what becomes of it, and when a plan is refused.

use crate::machine::*;
use lab_kinds::metal::disk_layout::FileSystem;
use lab_kinds::metal::server::hardware::{PartitionTable, Signature};
use lab_kinds::metal::server::{Disk, DiskSelector, Fate, MachineRole, Transport, VolumeGroup};
use lab_kinds::metal::size::Size;

#[track_caller]
fn check(machine: &Machine, expected: &[&str]) {
    assert_eq!(short(&machine.plan()), expected);
}

#[track_caller]
fn refuses(machine: &Machine, expected: &str) {
    let refusal = machine.try_plan().expect_err("no plan can be made").to_string();
    assert_eq!(refusal, expected);
}

/// Which disk is taken and why.
#[track_caller]
fn takes(machine: &Machine, expected: &str, reasons: &[&str]) {
    let plan = machine.plan();
    let taken: Vec<_> =
        plan.disks.iter().filter(|d| !d.partitions.is_empty()).map(|d| d.name.as_str()).collect();
    assert_eq!(taken, [expected]);
    let found: Vec<_> = plan.disks.iter().map(|d| format!("{}: {}", d.name, d.why)).collect();
    assert_eq!(found, reasons);
}

#[test]
fn blank_nvme() {
    let worker = Machine::new(Worker, vec![nvme(500 * GIB)]);
    check(
        &worker,
        &[
            "nvme0n1: create",
            "efi 600Mi create /boot/efi",
            "boot 3Gi create /boot",
            "labvg 508326Mi create -",
            "swap 27Gi create -",
            "root 33Gi create /",
            "var 100Gi create /var",
            "log 10Gi create /var/log",
            "home 10Gi create /home",
            "srv 20Gi create /srv",
            "longhorn 303524Mi create /var/lib/longhorn",
        ],
    );
    let plan = worker.plan();
    assert!(!plan.destructive && !plan.approved);
    let starts: Vec<_> = plan.disks[0].partitions.iter().map(|p| p.start_bytes / MIB).collect();
    assert_eq!(starts, [1, 601, 3673]);
    let mut nobody = worker.clone();
    nobody.server.spec.role = None;
    assert_eq!(short(&nobody.plan()), short(&Machine::new(Vanilla, vec![nvme(500 * GIB)]).plan()));
}

#[test]
fn roles_and_firmware() {
    let last = |machine: Machine| short(&machine.plan()).pop().expect("a plan has volumes");
    let disks = || vec![nvme(500 * GIB)];
    assert_eq!(last(Machine::new(Vanilla, disks())), "srv 20Gi create /srv");
    assert_eq!(last(Machine::new(Infra, disks())), "rancher 20Gi create /var/lib/rancher");
    assert_eq!(last(Machine::new(Labcontroller, disks())), "rancher 20Gi create /var/lib/rancher");
    let bios = short(&Machine::new(Vanilla, disks()).bios().plan());
    assert_eq!(bios[1..4], ["bios 1Mi create -", "boot 3Gi create /boot", "labvg 508925Mi create -"]);
    let mut without = Machine::new(Vanilla, disks());
    without.layout.spec.partitions.remove(0);
    refuses(
        &without,
        "the machine starts by UEFI, but layout \"labvg\" has no vfat partition mounted at /boot/efi, /efi or /boot that may \
         be written: add one to the layout's spec.partitions",
    );
}

#[test]
fn choice() {
    let sata = |name: &str| disk(name, Transport::Sata, 500 * GIB);
    let usb = disk("sdb", Transport::Usb, 900 * GIB);
    takes(
        &Machine::new(Vanilla, vec![usb.clone(), sata("sda")]),
        "sda",
        &["sda: It is the only disk that can be taken.", "sdb: USB disks are never taken."],
    );
    takes(
        &Machine::new(Vanilla, vec![sata("sdb"), sata("sda")]),
        "sda",
        &[
            "sda: It comes before sdb (serial S-sdb): they are alike, and its WWN and serial number come first.",
            "sdb: It comes after sda (serial S-sda).",
        ],
    );
    let with = |change: fn(&mut Disk)| {
        let mut second = sata("sdb");
        change(&mut second);
        Machine::new(Vanilla, vec![sata("sda"), second])
    };
    let first_why = |machine: &Machine| machine.plan().disks[0].why.clone();
    let why = |change| first_why(&with(change));
    assert_eq!(
        why(|d| d.transport = Some(Transport::Virtio)),
        "It comes before sdb (serial S-sdb): SATA is preferred to virtio."
    );
    assert_eq!(
        why(|d| d.rotational = true),
        "It comes before sdb (serial S-sdb): it has no turning platters."
    );
    assert_eq!(why(|d| d.size_bytes -= GIB), "It comes before sdb (serial S-sdb): it is larger.");
    assert_eq!(why(|d| *d = foreign(d.clone())), "It comes before sdb (serial S-sdb): nothing is on it.");
    for (change, reason) in [
        ((|d| d.removable = true) as fn(&mut Disk), "sdb: Removable media are never taken."),
        (|d| d.read_only = true, "sdb: It is read-only."),
        (|d| d.size_bytes = 8 * GIB, "sdb: It is too small for layout labvg."),
        (
            |d| d.transport = Some(Transport::Network),
            "sdb: Network disks are taken only when spec.install.diskSelector names them.",
        ),
        (
            |d| d.contents.signature = of("linux_raid_member"),
            "sdb: It belongs to a RAID array (linux_raid_member), which has to be dissolved first.",
        ),
    ] {
        takes(&with(change), "sda", &["sda: It is the only disk that can be taken.", reason]);
    }
    // An NVMe disk that is too small is passed over.
    let mut small = nvme(16 * GIB);
    small.name = "nvme0n1".into();
    takes(
        &Machine::new(Vanilla, vec![small, sata("sda")]),
        "sda",
        &["nvme0n1: It is too small for layout labvg.", "sda: It is the only disk that can be taken."],
    );
}

#[test]
fn selectors() {
    let disks = || {
        let array = Disk { model: "PERC H740P".into(), ..disk("sdc", Transport::Other, 900 * GIB) };
        let mut second = disk("sdb", Transport::Sata, 500 * GIB);
        second.wwn = "0x5000c500a1b2c3d4".into();
        vec![nvme(500 * GIB), second, array, disk("sdd", Transport::Usb, 900 * GIB)]
    };
    let check = |selector: DiskSelector, expected: &str| {
        let plan = Machine::new(Vanilla, disks()).select(selector.clone()).plan();
        let taken = plan.disks.iter().find(|d| !d.partitions.is_empty()).expect("one is taken");
        assert_eq!(taken.name, expected, "{selector:?}");
    };
    let any = DiskSelector::default;
    check(any(), "nvme0n1");
    check(DiskSelector { serials: vec!["S-sdb".into()], ..any() }, "sdb");
    check(DiskSelector { wwns: vec!["0x5000c500a1b2c3d4".into()], ..any() }, "sdb");
    check(DiskSelector { transports: vec![Transport::Sata, Transport::Nvme], ..any() }, "sdb");
    check(DiskSelector { model: Some("perc".into()), ..any() }, "sdc");
    let usb = DiskSelector { serials: vec!["S-sdd".into()], ..any() };
    refuses(
        &Machine::new(Vanilla, disks()).select(usb),
        "no disk can be taken: nvme0n1 (serial S-nvme0n1): spec.install.diskSelector.serials asks for another one; sdb \
         (serial S-sdb, wwn 0x5000c500a1b2c3d4): spec.install.diskSelector.serials asks for another one; sdc (serial S-sdc): \
         spec.install.diskSelector.serials asks for another one; sdd (serial S-sdd): USB disks are never taken: add a disk, \
         or change spec.install.diskSelector",
    );
    let sizes = DiskSelector { min_size: Some(Size::of_gib(501)), max_size: None, ..any() };
    assert!(Machine::new(Vanilla, disks()).select(sizes).try_plan().is_err());
    refuses(
        &Machine::new(Vanilla, Vec::new()),
        "no disk was found in the machine: look at its controller's settings, or let discovery read it again",
    );
}

#[test]
fn foreign_data_is_wiped_only_by_name() {
    let machine = Machine::new(Vanilla, vec![foreign(nvme(500 * GIB))]);
    let plan = machine.plan();
    assert!(plan.destructive);
    assert_eq!(plan.disks[0].fate, Fate::Wipe);
    assert_eq!(plan.disks[0].now, "gpt: vfat, unknown, ext4");
    assert_eq!(
        lab_install::approval::losses(&plan),
        ["all of nvme0n1 (serial S-nvme0n1): gpt: vfat, unknown, ext4"]
    );
}

#[test]
fn small_disks() {
    check(
        &Machine::new(Infra, vec![nvme(64 * GIB)]),
        &[
            "nvme0n1: create",
            "efi 280Mi create /boot/efi",
            "boot 1440Mi create /boot",
            "labvg 63814Mi create -",
            "swap 6444Mi create -",
            "root 13404Mi create /",
            "var 25740Mi create /var",
            "log 2900Mi create /var/log",
            "home 2900Mi create /home",
            "srv 4984Mi create /srv",
            "rancher 7428Mi create /var/lib/rancher",
        ],
    );
    refuses(
        &Machine::new(Infra, vec![nvme(16 * GIB)]),
        "nvme0n1 (serial S-nvme0n1) is 7729053696 bytes too small: it has 17179869184 of the 24908922880 bytes that layout \
         \"labvg\" needs at least for role infra: reduce sizes or minSizes in the layout, or take a larger disk",
    );
    let exact = 24_908_922_880;
    assert!(Machine::new(Infra, vec![nvme(exact)]).try_plan().is_ok());
    assert!(Machine::new(Infra, vec![nvme(exact - 1)]).try_plan().is_err());
}

#[test]
fn installed_again() {
    let again = |role| Machine::new(role, vec![nvme(500 * GIB)]).installed();
    let head = [
        "nvme0n1: install again",
        "efi 600Mi reuse /boot/efi",
        "boot 3Gi reuse /boot",
        "labvg 508326Mi keep -",
        "swap 27Gi recreate -",
        "root 33Gi recreate /",
        "var 100Gi recreate /var",
        "log 10Gi recreate /var/log",
        "home 10Gi preserve /home",
        "srv 20Gi preserve /srv",
    ];
    let check = |role: MachineRole, own: &[&str]| {
        check(&again(role), &[&head, own].concat());
    };
    check(Vanilla, &[]);
    check(Worker, &["longhorn 303524Mi preserve /var/lib/longhorn"]);
    check(Infra, &["rancher 20Gi preserve /var/lib/rancher"]);
    check(Labcontroller, &["rancher 20Gi preserve /var/lib/rancher"]);
    assert!(again(Worker).plan().destructive);
    assert!(
        short(&again(Worker).bios().try_plan().unwrap_or_default()).is_empty(),
        "there is no BIOS boot partition"
    );
}

#[test]
fn another_role_keeps_what_the_former_had() {
    let mut machine = Machine::new(Worker, vec![nvme(500 * GIB)]).installed();
    machine.server.spec.role = Some(Infra);
    let plan = short(&machine.plan());
    assert_eq!(
        plan[4..],
        [
            "swap 24512Mi recreate -",
            "root 30780Mi recreate /",
            "var 91072Mi recreate /var",
            "log 9152Mi recreate /var/log",
            "home 10Gi preserve /home",
            "srv 20Gi preserve /srv",
            "longhorn 303524Mi preserve -",
            "rancher 18552Mi create /var/lib/rancher",
        ]
    );
}

#[test]
fn what_is_found_differs() {
    let machine = || Machine::new(Worker, vec![nvme(500 * GIB)]).installed();
    let line = |machine: &Machine, name: &str| {
        let plan = machine.plan();
        let volumes = plan.volume_group.iter().flat_map(|g| &g.volumes);
        let found = volumes.into_iter().find(|v| v.name == name).map(|v| (v.size_bytes, v.why.clone()));
        found.expect("the volume is in the plan")
    };
    let mut sized = machine();
    sized.volume("home").size_bytes = 7 * GIB;
    assert_eq!(line(&sized, "home"), (7 * GIB, "It keeps its size; the layout has 10Gi.".into()));
    let mut ext4 = machine();
    ext4.volume("home").signature = of("ext4");
    assert_eq!(line(&ext4, "home").1, "It keeps its file system; the layout has xfs.");
    for (kind, said) in [("crypto_LUKS", "crypto_LUKS"), ("", "nothing that is known")] {
        let mut other = machine();
        other.volume("home").signature = Signature { kind: kind.into(), ..Signature::default() };
        refuses(
            &other,
            &format!(
                "volume labvg/home is to be preserved, but holds {said} where the layout has xfs: keep its data elsewhere and \
                 remove the volume, or change its fileSystem or onReprovision in the layout"
            ),
        );
    }
    let mut less = machine();
    less.group().volumes.retain(|v| v.name != "srv");
    let plan = less.plan();
    assert!(short(&plan).contains(&"srv 20Gi create /srv".into()), "{plan:?}");
    let mut more = machine();
    more.volume("srv").name = "photos".into();
    more.volume("longhorn").size_bytes -= 20 * GIB;
    let plan = short(&more.plan());
    assert!(plan.contains(&"photos 20Gi preserve -".into()), "{plan:?}");
    let mut full = machine();
    full.layout.spec.volumes.iter_mut().for_each(|v| v.min_size = v.size);
    full.volume("home").name = "photos".into();
    refuses(
        &full,
        "volume group labvg is 10737418240 bytes too small: what is kept (srv, longhorn, photos) leaves 182536110080 of the \
         193273528320 bytes that the other volumes of layout \"labvg\" need at least for role worker: reduce their minSizes \
         in the layout, or remove a volume that is no longer needed",
    );
    let mut boot = machine();
    boot.partition(2).signature = of("xfs");
    assert_eq!(short(&boot.plan())[2], "boot 3Gi recreate /boot");
    // Names of partitions that another installer gave.
    let mut named = machine();
    named.partition(1).name = "EFI System Partition".into();
    named.partition(2).name = String::new();
    assert_eq!(short(&named.plan()), short(&machine().plan()));
    let mut none = machine();
    none.partition(2).name = String::new();
    none.partition(2).signature = Signature::default();
    refuses(
        &none,
        "nvme0n1 (serial S-nvme0n1) has volume group labvg, but no partition for boot (named so, or with ext4), and there is \
         no room to make one: take another disk, or wipe this one and install anew",
    );
    let mut small = machine();
    small.partition(2).size_bytes = 512 * MIB;
    refuses(
        &small,
        "partition boot of nvme0n1 (serial S-nvme0n1) has 536870912 bytes, less than the layout's 1Gi: reduce its minSize in \
         the layout, or wipe the disk and install anew",
    );
    let mut swap = machine();
    swap.layout.spec.volumes[0].file_system = FileSystem::Xfs;
    swap.layout.spec.volumes[0].mount = Some("/scratch".into());
    assert_eq!(short(&swap.plan())[4], "swap 27Gi recreate /scratch");
    let mut mbr = machine();
    mbr.disks[0].contents.partition_table = Some(PartitionTable::Mbr);
    assert!(mbr.try_plan().is_err());
}

#[test]
fn groups_of_the_same_name() {
    let foreign = |change: fn(&mut VolumeGroup), why: &str| {
        let mut machine = Machine::new(Worker, vec![nvme(500 * GIB)]).installed();
        change(machine.group());
        let place = machine.groups[0].devices.join(", ");
        refuses(
            &machine,
            &format!(
                "volume group \"labvg\" ({place}) has the layout's name but {why}: rename or remove it, or take a layout with \
                 another volumeGroup"
            ),
        );
    };
    foreign(|g| g.incomplete = true, "some of its disks are missing");
    foreign(|g| g.devices.push("sdb1".into()), "lies on more than one device");
    foreign(|g| g.devices = vec!["md0".into()], "does not lie on a disk of its own (it may lie on an array)");
    foreign(|g| g.devices = vec!["nvme0n1".into()], "lies on a whole disk, without partitions to start from");
    foreign(
        |g| g.volumes.iter_mut().for_each(|v| v.name = format!("their-{}", v.name)),
        "has none of the layout's volumes",
    );
    let mut two = Machine::new(Worker, vec![nvme(500 * GIB)]).installed();
    two.disks.push(disk("sda", Transport::Sata, 900 * GIB));
    two.groups[0].uuid = "A".into();
    two.groups.push(VolumeGroup { uuid: "B".into(), devices: vec!["sda1".into()], ..two.groups[0].clone() });
    refuses(
        &two,
        "two volume groups are named \"labvg\" (A on nvme0n1p3; B on sda1), and which one to keep is not for a program to \
         guess: detach the disk of one, or rename one with vgrename and its UUID",
    );
    // The layout's group on a disk that may not be taken: a second one of its name must not be made.
    let mut usb = Machine::new(Worker, vec![nvme(500 * GIB)]).installed();
    usb.disks[0].transport = Some(Transport::Usb);
    usb.disks.push(disk("sda", Transport::Sata, 900 * GIB));
    assert!(usb.try_plan().is_err());
    // A disk that shares a group with another one is not taken.
    let mut shared = Machine::new(Vanilla, vec![nvme(500 * GIB), disk("sda", Transport::Sata, 900 * GIB)]);
    shared.groups.push(VolumeGroup {
        uuid: "C".into(),
        name: "data".into(),
        devices: vec!["nvme0n1".into(), "sdz1".into()],
        ..VolumeGroup::default()
    });
    takes(
        &shared,
        "sda",
        &[
            "nvme0n1: Volume group data lies on it and on other disks as well.",
            "sda: It is the only disk that can be taken.",
        ],
    );
}

#[test]
fn disks_that_cannot_be_told_apart() {
    let named = |name: &str, serial: &str, wwn: &str| Disk {
        serial: serial.into(),
        wwn: wwn.into(),
        ..disk(name, Transport::Sata, 500 * GIB)
    };
    let two = |serial: &str, wwns: [&str; 2]| {
        Machine::new(Vanilla, vec![named("sda", serial, wwns[0]), named("sdb", serial, wwns[1])])
    };
    let after = "they may be two ways to one disk; take another disk with spec.install.diskSelector, or have only one of them \
                 attached";
    refuses(&two("S1", ["", ""]), &format!("sda and sdb cannot be told apart (all have serial S1): {after}"));
    refuses(
        &two("", ["", ""]),
        &format!("sda and sdb cannot be told apart (they have neither serial number nor WWN): {after}"),
    );
    assert_eq!(two("S1", ["0x1", "0x2"]).plan().disks[0].name, "sda");
    assert_eq!(two("", ["0x2", "0x1"]).plan().disks[0].name, "sdb");
    let one = Machine::new(Vanilla, vec![named("sda", "", "")]);
    assert_eq!(one.plan().disks[0].fate, Fate::Create);
}
