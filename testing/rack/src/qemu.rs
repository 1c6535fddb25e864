//! Machines with real firmware, in QEMU, on a [`Switch`].

use crate::switch::Switch;
use anyhow::Context;
use lab_object::mac::MacAddress;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A machine's firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS, with iPXE in the NIC's ROM.
    Bios,
    /// OVMF by TFTP.
    Uefi,
    /// OVMF by HTTP.
    UefiHttp,
    /// OVMF by TFTP, which starts only what Microsoft signed.
    SecureBoot,
    /// The same by HTTP.
    SecureBootHttp,
}

/// What runs a machine's processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The processors of this machine themselves.
    Kvm,
    /// QEMU's emulation of them: everywhere, and ten times slower.
    Tcg,
}

impl Accelerator {
    /// KVM where it works. `/dev/kvm` says little (it may be there and start nothing), so a machine is started to find out, which takes
    /// less than 3 seconds.
    pub fn found() -> Self {
        match Self::kvm_boots() {
            Ok(true) => Self::Kvm,
            _ => Self::Tcg,
        }
    }

    /// Whether firmware comes as far as looking for something to start.
    fn kvm_boots() -> io::Result<bool> {
        let said = tempfile::NamedTempFile::new()?;
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-machine", "pc,accel=kvm", "-m", "32", "-nodefaults", "-display", "none"]);
        command.arg("-chardev").arg(format!("file,id=said,path={}", said.path().display()));
        command.args(["-device", "isa-debugcon,iobase=0x402,chardev=said"]);
        let mut machine = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let until = Instant::now() + Duration::from_secs(3);
        let mut boots = false;
        while !boots && Instant::now() < until && machine.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(20));
            boots = fs::read_to_string(said.path())?.contains("No bootable device");
        }
        // It may have ended by itself.
        let _ = machine.kill();
        machine.wait()?;
        Ok(boots)
    }
}

/// A machine that is switched on; off when dropped.
pub struct Machine {
    process: Child,
    console: PathBuf,
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have switched itself off.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a machine is made of.
#[derive(Debug, Clone)]
pub struct Hardware {
    /// Its firmware.
    pub firmware: Firmware,
    /// Its NIC's address.
    pub mac: MacAddress,
    /// Its UUID.
    pub uuid: String,
    /// Its memory in MiB.
    pub memory: u32,
    /// How many processors it has, and what they are.
    pub processors: (u8, Accelerator),
    /// Files that are its disks. One with disks keeps its firmware's settings; one without forgets them.
    pub disks: Vec<PathBuf>,
}

impl Hardware {
    /// The serial number of a disk, counted from 0.
    pub fn serial(&self, disk: usize) -> String {
        format!("{}-{disk}", &self.uuid[self.uuid.len().saturating_sub(4)..])
    }
}

impl Machine {
    /// Switches a machine on. What it writes to its serial port goes to a file in a folder, and so do its firmware's settings.
    pub fn power_on(hardware: &Hardware, switch: &Switch, folder: &Path) -> anyhow::Result<Self> {
        let console = folder.join(format!("{}.console", hardware.mac.dashed()));
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-nodefaults", "-vga", "std", "-display", "none"]);
        let (processors, accelerator) = hardware.processors;
        command.args(match accelerator {
            Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Accelerator::Tcg => ["-accel", "tcg", "-cpu", "max"],
        });
        command.args(["-smp", &processors.to_string()]);
        command.args(["-m", &hardware.memory.to_string(), "-uuid", &hardware.uuid]);
        command.arg("-serial").arg(format!("file:{}", console.display()));
        let socket = switch.socket().display();
        command.args(["-netdev", &format!("stream,id=n,server=off,addr.type=unix,addr.path={socket}")]);
        // UEFI drives the NIC itself, and has no network without random numbers.
        let rom = if hardware.firmware == Firmware::Bios { "" } else { ",romfile=" };
        command.args(["-device", &format!("virtio-net-pci,netdev=n,mac={},bootindex=0{rom}", hardware.mac)]);
        command.args(["-device", "virtio-rng-pci"]);
        for (at, disk) in hardware.disks.iter().enumerate() {
            let disk = disk.display();
            command.args([
                "-drive",
                &format!("file={disk},format=raw,if=none,id=d{at},cache=unsafe,discard=unmap"),
            ]);
            let serial = hardware.serial(at);
            command.args([
                "-device",
                &format!("virtio-blk-pci,drive=d{at},serial={serial},bootindex={}", at + 1),
            ]);
        }
        command.args(hardware.firmware.arguments(&settings(hardware, folder)?));
        command.stdin(Stdio::null());
        Ok(Self { process: command.spawn().context("starting qemu-system-x86_64")?, console })
    }

    /// Whether it has switched itself off.
    pub fn is_off(&mut self) -> io::Result<bool> {
        Ok(self.process.try_wait()?.is_some())
    }

    /// Processor time that it has used since it was switched on, in seconds; 0 when it is off.
    pub fn processor_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        // Behind the program's name in brackets, user and system time are the 12th and 13th field, in hundredths (proc(5)).
        let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').skip(11).take(2));
        fields.into_iter().flatten().filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    /// What it wrote to its serial port.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap_or_default()).into_owned()
    }
}

/// The drive that UEFI keeps its settings on: a copy of its own, or a file that is never written to.
fn settings(hardware: &Hardware, folder: &Path) -> anyhow::Result<String> {
    let new = match hardware.firmware {
        Firmware::Bios | Firmware::Uefi | Firmware::UefiHttp => "/usr/share/OVMF/OVMF_VARS_4M.fd",
        Firmware::SecureBoot | Firmware::SecureBootHttp => "/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
    };
    if hardware.disks.is_empty() || hardware.firmware == Firmware::Bios {
        return Ok(format!("if=pflash,format=raw,snapshot=on,file={new}"));
    }
    let kept = folder.join(format!("{}.settings", hardware.mac.dashed()));
    if !kept.exists() {
        fs::copy(new, &kept).with_context(|| format!("copying {new} to {}", kept.display()))?;
    }
    Ok(format!("if=pflash,format=raw,file={}", kept.display()))
}

impl Firmware {
    /// QEMU's arguments for it, with the drive of its settings.
    fn arguments(self, settings: &str) -> Vec<&str> {
        const CODE: &str = "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd";
        const SECURE_CODE: &str =
            "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
        const SMM: &str = "driver=cfi.pflash01,property=secure,value=on";
        let uefi = ["-machine", "q35", "-drive", CODE, "-drive", settings];
        let secure = ["-machine", "q35,smm=on", "-global", SMM, "-drive", SECURE_CODE, "-drive", settings];
        // Without PXE there is nothing before HTTP in the boot order.
        let http = [
            "-fw_cfg",
            "name=opt/org.tianocore/IPv4PXESupport,string=n",
            "-fw_cfg",
            "name=opt/org.tianocore/IPv6PXESupport,string=n",
        ];
        match self {
            Self::Bios => vec!["-machine", "q35"],
            Self::Uefi => uefi.into(),
            Self::UefiHttp => [&uefi[..], &http].concat(),
            Self::SecureBoot => secure.into(),
            Self::SecureBootHttp => [&secure[..], &http].concat(),
        }
    }
}
