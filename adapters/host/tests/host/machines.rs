//! Machines as their kernels described them, written down as trees of files.

use lab_host::command::{Call, CallError, Ended, Run};
use lab_host::observe::{Observation, observe};
use lab_kinds::metal::server::Transport::{self, *};
use lab_kinds::metal::server::hardware::FirmwareType;
use std::{fs, os::unix::fs::symlink, path::Path};

/// Tools that find nothing on any disk.
struct NothingFound;

impl Run for NothingFound {
    fn run(&self, call: &Call) -> Result<Ended, CallError> {
        let output = if call.program == "lvm" { "{\"report\": []}" } else { "" };
        let code = if call.program == "blkid" { Some(2) } else { Some(0) };
        Ok(Ended { code, output: output.into(), ..Ended::default() })
    }
}

struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A device at a place below /sys/devices, named in a class, with files.
    fn device(&self, class: &str, name: &str, at: &str, files: &[(&str, &str)]) {
        let place = format!("sys/devices/{at}/{name}");
        fs::create_dir_all(self.root.path().join(&place).join("device")).unwrap();
        files.iter().for_each(|(file, text)| self.write(&format!("{place}/{file}"), format!("{text}\n")));
        let folder = self.root.path().join("sys").join(class);
        fs::create_dir_all(&folder).unwrap();
        let up = "../".repeat(class.split('/').count());
        symlink(format!("{up}devices/{at}/{name}"), folder.join(name)).unwrap();
    }

    fn disk(&self, name: &str, at: &str, files: &[(&str, &str)]) {
        self.device(
            "block",
            name,
            at,
            &[&[("size", "2048"), ("queue/logical_block_size", "512")], files].concat(),
        );
        self.write(&format!("dev/{name}"), [0; 8192]);
    }

    fn observe(&self) -> Observation {
        observe(self.root.path(), &NothingFound, "52:54:00:00:00:01".parse().ok())
    }
}

#[test]
fn disks() {
    let machine = Machine::new();
    let check = |name: &str, at: &str, files: &[(&str, &str)], expected: (&str, &str, Transport)| {
        machine.disk(name, at, files);
        let found = machine.observe();
        let disk = found.disks.iter().find(|disk| disk.name == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(
            (disk.serial.as_str(), disk.wwn.as_str(), disk.transport),
            (expected.0, expected.1, Some(expected.2))
        );
        assert_eq!((disk.size_bytes, disk.sector_bytes), (2048 * 512, Some(512)));
        assert_eq!(found.problems, [""; 0]);
    };
    check(
        "nvme0n1",
        "pci0000:00/0000:01:00.0/nvme/nvme0",
        &[("wwid", "eui.0025388b71b0a1c2"), ("device/serial", "S1  "), ("device/transport", "pcie")],
        ("S1", "eui.0025388b71b0a1c2", Nvme),
    );
    check("nvme1n1", "virtual/nvme", &[("device/transport", "tcp")], ("", "", Network));
    let ata = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block";
    check("sda", ata, &[("device/wwid", "naa.5000c500a1b2c3d4")], ("", "0x5000c500a1b2c3d4", Sata));
    check("sdb", &ata.replace("ata1", "usb2/2-1"), &[("device/wwid", "t10.ATA QEMU")], ("", "", Usb));
    check("sdc", &ata.replace("ata1", "host0/port-0:0/end_device-0:0"), &[], ("", "", Sas));
    check("sdd", &ata.replace("ata1", "virtio3"), &[], ("", "", Virtio));
    check("sde", "platform/host9/session1/target9:0:0/9:0:0:0/block", &[], ("", "", Network));
    machine.write("sys/class/scsi_host/host4/proc_name", "megaraid_sas\n");
    check("sdf", "pci0000:00/host4/target4:2:0/4:2:0:0/block", &[], ("", "", Sas));
    check("sdg", "pci0000:00/host5/target5:2:0/5:2:0:0/block", &[], ("", "", Other));
    check("vda", "pci0000:00/virtio1/block", &[("serial", "disk-a")], ("disk-a", "", Virtio));
    check("mmcblk0", "platform/mmc0/mmc0:0001/block", &[("device/serial", "0x1a2b")], ("0x1a2b", "", Mmc));
    machine.disk("mmcblk0boot0", "platform/mmc0/mmc0:0001/mmcblk0", &[]);
    machine.disk("sr0", "pci0000:00/ata2/host1/target1:0:0/1:0:0:0/block", &[]);
    machine.disk("sdh", "pci0000:00/usb1/block", &[("size", "0")]);
    let names: Vec<_> = machine.observe().disks.into_iter().map(|disk| disk.name).collect();
    assert_eq!(
        names.join(" "),
        "mmcblk0 nvme0n1 nvme1n1 sda sdb sdc sdd sde sdf sdg vda",
        "neither boot areas nor optical drives nor empty card readers"
    );
}

#[test]
fn a_disk_that_cannot_be_read_is_not_empty() {
    let machine = Machine::new();
    machine.disk("vda", "pci0000:00/virtio1/block", &[]);
    fs::remove_file(machine.root.path().join("dev/vda")).unwrap();
    let found = machine.observe();
    assert_eq!(found.disks[0].contents.signature.kind, "unreadable");
    assert!(found.problems[0].starts_with("what is on vda cannot be read: "), "{:?}", found.problems);
}

#[test]
fn processors_memory_and_firmware() {
    let machine = Machine::new();
    machine.write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Intel(R)  Xeon(R) Gold 6338   CPU\n");
    machine.write("proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n");
    for (cpu, socket, core) in [(0, 0, 0), (1, 0, 0), (2, 0, 1), (3, 1, 0)] {
        let folder = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        machine.write(&format!("{folder}/physical_package_id"), format!("{socket}\n"));
        machine.write(&format!("{folder}/core_id"), format!("{core}\n"));
    }
    machine.write("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3200000\n");
    machine.write("sys/devices/system/cpu/cpufreq/boost", "1\n");
    machine.write("sys/class/tpm/tpm0/tpm_version_major", "2\n");
    let bios = machine.observe().hardware;
    assert_eq!(bios.cpu.model, "Intel(R) Xeon(R) Gold 6338 CPU");
    assert_eq!((bios.cpu.sockets, bios.cpu.cores, bios.cpu.threads, bios.cpu.max_mhz), (2, 3, 4, Some(3200)));
    assert_eq!(bios.memory_bytes, Some(16384 << 10));
    assert_eq!(bios.tpm.map(|tpm| tpm.version).as_deref(), Some("2.0"));
    assert_eq!((bios.firmware.kind, bios.firmware.secure_boot), (Some(FirmwareType::Bios), None));
    machine
        .write("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", [6, 0, 0, 0, 1]);
    let uefi = machine.observe().hardware.firmware;
    assert_eq!((uefi.kind, uefi.secure_boot), (Some(FirmwareType::Uefi), Some(true)));
}

#[test]
fn network_interfaces() {
    let machine = Machine::new();
    let nic = |name: &str, mac: &str, files: &[(&str, &str)]| {
        machine.device(
            "class/net",
            name,
            "pci0000:00/net",
            &[&[("type", "1"), ("address", mac)], files].concat(),
        );
    };
    nic("enp1s0", "52:54:00:00:00:01", &[("carrier", "1"), ("speed", "10000")]);
    nic("enp2s0", "52:54:00:00:00:02", &[("carrier", "0"), ("speed", "-1")]);
    nic("ib0", "52:54:00:00:00:03", &[("type", "32")]);
    nic("br0", "52:54:00:00:00:04", &[]);
    fs::remove_dir(machine.root.path().join("sys/devices/pci0000:00/net/br0/device")).unwrap();
    symlink(
        "../../../bus/pci/drivers/ice",
        machine.root.path().join("sys/devices/pci0000:00/net/enp1s0/device/driver"),
    )
    .unwrap();
    let found: Vec<_> = machine
        .observe()
        .nics
        .into_iter()
        .map(|nic| (nic.name, nic.mac.to_string(), nic.driver, nic.link, nic.speed_mbps, nic.boot))
        .collect();
    let expected = [
        ("enp1s0".into(), "52:54:00:00:00:01".into(), "ice".into(), Some(true), Some(10000), true),
        ("enp2s0".into(), "52:54:00:00:00:02".into(), String::new(), Some(false), None, false),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_machine_that_says_nothing() {
    let found = observe(Path::new("/nonexistent"), &NothingFound, None);
    assert_eq!((found.uuid, found.disks.len(), found.nics.len(), found.problems.len()), (None, 0, 0, 0));
}
