//! Machines with real firmware, in QEMU under software emulation, on a [`Switch`].

use crate::switch::Switch;
use anyhow::Context;
use lab_object::mac::MacAddress;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

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
}

impl Machine {
    /// Switches a machine on. What it writes to its serial port goes to a file in a folder.
    pub fn power_on(hardware: &Hardware, switch: &Switch, folder: &Path) -> anyhow::Result<Self> {
        let console = folder.join(format!("{}.console", hardware.mac.dashed()));
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-accel", "tcg", "-display", "none", "-monitor", "none", "-boot", "n"]);
        command.args(["-m", &hardware.memory.to_string(), "-uuid", &hardware.uuid]);
        command.arg("-serial").arg(format!("file:{}", console.display()));
        let socket = switch.socket().display();
        command.args(["-netdev", &format!("stream,id=n,server=off,addr.type=unix,addr.path={socket}")]);
        // UEFI drives the NIC itself, and has no network without random numbers.
        let rom = if hardware.firmware == Firmware::Bios { "" } else { ",romfile=" };
        command.args(["-device", &format!("virtio-net-pci,netdev=n,mac={}{rom}", hardware.mac)]);
        command.args(firmware(hardware.firmware));
        command.stdin(Stdio::null());
        Ok(Self { process: command.spawn().context("starting qemu-system-x86_64")?, console })
    }

    /// What it wrote to its serial port.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.console).unwrap_or_default()).into_owned()
    }
}

fn firmware(firmware: Firmware) -> Vec<&'static str> {
    const CODE: &str = "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd";
    const VARIABLES: &str = "if=pflash,format=raw,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.fd";
    const SECURE_CODE: &str = "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
    const SECURE_VARIABLES: &str = "if=pflash,format=raw,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.ms.fd";
    let uefi = ["-machine", "q35", "-drive", CODE, "-drive", VARIABLES, "-device", "virtio-rng-pci"];
    let secure = [
        "-machine",
        "q35,smm=on",
        "-global",
        "driver=cfi.pflash01,property=secure,value=on",
        "-drive",
        SECURE_CODE,
    ];
    let secure = [&secure[..], &["-drive", SECURE_VARIABLES, "-device", "virtio-rng-pci"]].concat();
    // Without PXE there is nothing before HTTP in the boot order.
    let http = [
        "-fw_cfg",
        "name=opt/org.tianocore/IPv4PXESupport,string=n",
        "-fw_cfg",
        "name=opt/org.tianocore/IPv6PXESupport,string=n",
    ];
    match firmware {
        Firmware::Bios => Vec::new(),
        Firmware::Uefi => uefi.into(),
        Firmware::UefiHttp => [&uefi[..], &http].concat(),
        Firmware::SecureBoot => secure,
        Firmware::SecureBootHttp => [&secure[..], &http].concat(),
    }
}
