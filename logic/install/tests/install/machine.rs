//! Machines to make plans for.

use lab_install::observed::Observed;
use lab_install::plan::{self, BIOS_BOOT, EFI_SYSTEM, LINUX, LVM};
use lab_install::refusal::Refusal;
use lab_install::standing::{Changed, Standing, still_holds};
use lab_kinds::Define;
use lab_kinds::metal::disk_layout::DiskLayout;
use lab_kinds::metal::operating_system::OperatingSystem;
use lab_kinds::metal::server::hardware::{
    Contents, FirmwareType, LogicalVolume, Partition, PartitionTable, Signature,
};
use lab_kinds::metal::server::{
    Disk, DiskSelector, Fate, FileSystemFate, Install, MachineRole, Plan, Server, Transport, VolumeGroup,
};

pub const GIB: i64 = 1 << 30;
pub const MIB: i64 = 1 << 20;
pub use lab_kinds::metal::server::MachineRole::{Infra, Labcontroller, Vanilla, Worker};

/// A machine with all that its plan depends on.
#[derive(Debug, Clone)]
pub struct Machine {
    pub server: Server,
    pub system: OperatingSystem,
    pub layout: DiskLayout,
    pub disks: Vec<Disk>,
    pub groups: Vec<VolumeGroup>,
    pub firmware: FirmwareType,
}

impl Machine {
    pub fn new(role: MachineRole, disks: Vec<Disk>) -> Self {
        let mut server = Server::default();
        server.spec.role = Some(role);
        server.spec.install = Some(Install {
            operating_system: "debian-13".into(),
            layout: Install::default_layout(),
            disk_selector: DiskSelector::default(),
            approve: None,
            reprovision: None,
            kernel_arguments: Vec::new(),
        });
        server.status.uuid = Some("4c4c4544-0042-3510-8054-b4c04f564433".into());
        let (layout, firmware) = (DiskLayout::labvg(), FirmwareType::Uefi);
        Self { server, system: OperatingSystem::example(), layout, disks, groups: Vec::new(), firmware }
    }

    pub fn bios(mut self) -> Self {
        self.firmware = FirmwareType::Bios;
        self
    }

    pub fn select(mut self, selector: DiskSelector) -> Self {
        self.install().disk_selector = selector;
        self
    }

    pub fn install(&mut self) -> &mut Install {
        self.server.spec.install.as_mut().expect("every machine here is to be installed")
    }

    pub fn observed(&self) -> Observed<'_> {
        Observed { disks: &self.disks, volume_groups: &self.groups, firmware: self.firmware }
    }

    pub fn try_plan(&self) -> Result<Plan, Refusal> {
        plan::plan(&self.server, &self.system, &self.layout, &self.observed())
    }

    #[track_caller]
    pub fn plan(&self) -> Plan {
        self.try_plan().unwrap_or_else(|refusal| panic!("refused: {refusal}"))
    }

    pub fn standing(&self, plan: &Plan) -> Result<Standing, Changed> {
        still_holds(plan, &self.observed())
    }

    /// The machine after its plan was carried out.
    pub fn installed(mut self) -> Self {
        let plan = self.plan();
        let hash = plan.hash.clone().expect("it can be approved");
        let group = plan.volume_group.as_ref().expect("every plan has one");
        let planned = plan.disks.iter().find(|d| !d.partitions.is_empty()).expect("one disk is taken");
        let disk = self.disks.iter_mut().find(|d| d.name == planned.name).expect("it is there");
        let signature = |kind: &str, uuid: &str, member_of: &str| Signature {
            kind: kind.into(),
            uuid: uuid.into(),
            member_of: member_of.into(),
            ..Signature::default()
        };
        if planned.fate != Fate::Again {
            disk.contents.uuid = lab_install::hash::table_uuid(&hash);
            self.groups.retain(|g| !g.devices.iter().any(|d| d.starts_with(&planned.name)));
        }
        disk.contents.partition_table = Some(PartitionTable::Gpt);
        disk.contents.signature = Signature::default();
        disk.contents.partitions = planned
            .partitions
            .iter()
            .map(|p| Partition {
                number: p.number,
                name: p.name.clone(),
                kind: p.kind.clone(),
                uuid: p.uuid.clone(),
                start_bytes: p.start_bytes,
                size_bytes: p.size_bytes,
                signature: signature(
                    &p.file_system,
                    &p.file_system_uuid,
                    if p.kind == LVM { &group.name } else { "" },
                ),
            })
            .collect();
        let volumes: Vec<_> = group
            .volumes
            .iter()
            .map(|v| LogicalVolume {
                name: v.name.clone(),
                size_bytes: v.size_bytes,
                signature: signature(&v.file_system, &v.file_system_uuid, ""),
            })
            .collect();
        let place = disk.contents.partitions.iter().find(|p| p.kind == LVM).expect("the volume group's");
        let device = device(&disk.name, place.number);
        let uuid = group.uuid.clone().unwrap_or_else(|| format!("vg-{}", &hash[7..15]));
        let taken: i64 = volumes.iter().map(|v| v.size_bytes).sum();
        self.groups.retain(|g| g.uuid != uuid);
        self.groups.push(VolumeGroup {
            uuid,
            name: group.name.clone(),
            size_bytes: taken + group.free_bytes,
            free_bytes: group.free_bytes,
            devices: vec![device],
            volumes,
            ..VolumeGroup::default()
        });
        self
    }

    pub fn group(&mut self) -> &mut VolumeGroup {
        self.groups.iter_mut().find(|g| g.name == "labvg").expect("it is installed")
    }

    pub fn volume(&mut self, name: &str) -> &mut LogicalVolume {
        self.group().volumes.iter_mut().find(|v| v.name == name).expect("it has that volume")
    }

    pub fn partition(&mut self, number: i32) -> &mut Partition {
        let all = self.disks.iter_mut().flat_map(|d| &mut d.contents.partitions);
        all.into_iter().find(|p| p.number == number).expect("it has that partition")
    }
}

pub fn device(disk: &str, number: i32) -> String {
    let between = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{between}{number}")
}

pub fn disk(name: &str, transport: Transport, size_bytes: i64) -> Disk {
    Disk {
        name: name.into(),
        serial: format!("S-{name}"),
        wwn: String::new(),
        size_bytes,
        transport: Some(transport),
        ..Disk::default()
    }
}

pub fn nvme(size_bytes: i64) -> Disk {
    disk("nvme0n1", Transport::Nvme, size_bytes)
}

/// Of what stands in a file system.
pub fn of(kind: &str) -> Signature {
    Signature { kind: kind.into(), uuid: format!("id-of-{kind}"), ..Signature::default() }
}

/// A disk with somebody's system.
pub fn foreign(mut disk: Disk) -> Disk {
    let partition = |number, kind: &str, start_bytes, size_bytes, signature| Partition {
        number,
        kind: kind.into(),
        uuid: format!("part-{number}"),
        start_bytes,
        size_bytes,
        signature,
        ..Partition::default()
    };
    disk.contents = Contents {
        partition_table: Some(PartitionTable::Gpt),
        uuid: "somebody's".into(),
        partitions: vec![
            partition(1, EFI_SYSTEM, MIB, 600 * MIB, of("vfat")),
            partition(2, BIOS_BOOT, 601 * MIB, MIB, Signature::default()),
            partition(3, LINUX, 602 * MIB, 8 * GIB, of("ext4")),
        ],
        ..Contents::default()
    };
    disk
}

/// A plan in a few lines: disks with their fates, then each part as `name size fate mount`.
pub fn short(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    let word = |fate: Option<FileSystemFate>, part: Fate| lab_install::describe::part_fate(part, fate);
    let line = |name: &str, size: i64, mount: &Option<String>, fate: &str| {
        let size = lab_kinds::metal::size::Size::of_bytes(u64::try_from(size).expect("no size is negative"));
        format!("{name} {size} {fate} {}", mount.as_deref().unwrap_or("-"))
    };
    for disk in &plan.disks {
        lines.push(format!("{}: {}", disk.name, lab_install::describe::fate(disk.fate)));
        for p in &disk.partitions {
            lines.push(line(&p.name, p.size_bytes, &p.mount, word(p.file_system_fate, p.fate)));
        }
    }
    for v in plan.volume_group.iter().flat_map(|g| &g.volumes) {
        lines.push(line(&v.name, v.size_bytes, &v.mount, word(v.file_system_fate, v.fate)));
    }
    lines
}
