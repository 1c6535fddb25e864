//! The discovery system: Debian's kernel, and a ramdisk whose first program is `lab-agent`.

use super::{call, measured};
use anyhow::{Context, bail};
use lab_ramdisk::Ramdisk;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the agent calls, and what an operator is let in with; nothing else.
const TOOLS: [&str; 13] = [
    "blkdiscard",
    "blkid",
    "blockdev",
    "busybox",
    "chroot",
    "dropbear",
    "lvm",
    "mke2fs",
    "mkfs.vfat",
    "mkfs.xfs",
    "mkswap",
    "sfdisk",
    "wipefs",
];

/// Disks and their controllers, NICs, file systems, and what the machine says of itself.
const MODULES: &str = "virtio_pci virtio_blk virtio_scsi virtio_net virtio_rng nvme ahci ata_piix ata_generic sd_mod \
    mmc_block sdhci_pci sdhci_acpi uas usb_storage xhci_pci ehci_pci hid_generic usbhid \
    megaraid_sas mpt3sas mpi3mr hpsa smartpqi aacraid \
    e1000 e1000e igb igc ixgbe i40e ice tg3 bnxt_en mlx4_en mlx5_core r8169 8139cp atlantic ena vmxnet3 sfc qede be2net \
    dm_mod xfs ext4 vfat nls_cp437 nls_ascii nls_iso8859_1 crc32c_generic crc32c_intel efivarfs \
    ipmi_si ipmi_devintf tpm_tis tpm_crb";

/// Puts `systems/discovery/amd64/{vmlinuz,initrd}` into a folder, and the ramdisk's first program by itself, which distributions' installers
/// leave in what they install, as `systems/agent/amd64/lab-agent`.
pub fn make(root: &Path, out: &Path, profile: &str) -> anyhow::Result<()> {
    let kernel = Kernel::unpacked(&out.join("kernel"))?;
    let agent = agent(root, profile)?;
    let mut ramdisk = Ramdisk::new();
    let system = Path::new("/");
    ramdisk.program(system, &agent, "init")?;
    for tool in TOOLS {
        ramdisk.tool(system, tool)?;
    }
    // LVM goes by the name by which it is called; these an operator needs to get at volumes.
    for name in ["lvs", "pvs", "vgs", "vgchange", "lvchange"] {
        ramdisk.link(&format!("usr/bin/{name}"), "lvm");
    }
    let settings = Path::new("/etc/mke2fs.conf");
    ramdisk.copy(settings, "etc/mke2fs.conf")?;
    let modules: Vec<_> = MODULES.split_whitespace().collect();
    ramdisk.modules(&kernel.root, &kernel.release, &modules)?;
    let folder = out.join("systems/discovery/amd64");
    fs::create_dir_all(&folder)?;
    let (vmlinuz, initrd) = (folder.join("vmlinuz"), folder.join("initrd"));
    fs::copy(kernel.root.join(format!("boot/vmlinuz-{}", kernel.release)), &vmlinuz)?;
    fs::write(&initrd, ramdisk.packed()?).with_context(|| format!("writing {}", initrd.display()))?;
    println!(
        "Linux {}, {:.1} MiB unpacked",
        kernel.release,
        ramdisk.archive().len() as f64 / f64::from(1 << 20)
    );
    let folder = out.join("systems/agent/amd64");
    fs::create_dir_all(&folder)?;
    let executable = folder.join("lab-agent");
    fs::copy(&agent, &executable).with_context(|| format!("writing {}", executable.display()))?;
    measured(&vmlinuz)?;
    measured(&initrd)?;
    measured(&executable)
}

/// Debian's kernel, unpacked but not installed.
struct Kernel {
    root: PathBuf,
    release: String,
}

impl Kernel {
    /// Fetches and unpacks the package that linux-image-amd64 stands for, where that was not done already.
    fn unpacked(folder: &Path) -> anyhow::Result<Self> {
        let output = Command::new("apt-cache").args(["depends", "linux-image-amd64"]).output();
        let text = output.context("starting apt-cache")?.stdout;
        let text = String::from_utf8_lossy(&text);
        let package = text.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        let package = package.context("linux-image-amd64 names no kernel; run `apt-get update` first")?;
        let release = package.trim_start_matches("linux-image-").to_owned();
        let root = folder.join(&release);
        if !root.join("done").exists() {
            fs::create_dir_all(&root)?;
            call(Command::new("apt-get").args(["download", "-q", package]).current_dir(&root))?;
            let archive = fs::read_dir(&root)?.flatten().map(|entry| entry.path());
            let archive = archive.filter(|path| path.extension().is_some_and(|e| e == "deb")).max();
            let Some(archive) = archive else { bail!("apt-get fetched no package of {package}") };
            call(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&root))?;
            call(Command::new("depmod").arg("--basedir").arg(&root).arg(&release))?;
            fs::remove_file(archive)?;
            fs::write(root.join("done"), "")?;
        }
        Ok(Self { root, release })
    }
}

/// Builds the agent so that it needs no library of the system it runs on, and strips it; where it lies.
pub fn agent(root: &Path, profile: &str) -> anyhow::Result<PathBuf> {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--package", "lab-agent", "--target", TARGET, "--profile", profile])
        // Named for this target, so that build scripts and macros, which are no programs of their own, stay as they are.
        .env(
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
            "-Ctarget-feature=+crt-static -Cstrip=symbols",
        )
        .current_dir(root);
    call(&mut cargo)?;
    let built = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(built.join(TARGET).join(folder).join("lab-agent"))
}
