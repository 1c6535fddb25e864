//! Debian 13 as a root file system, made from its packages by mmdebstrap, and the object that describes it.

use super::{call, measured};
use anyhow::Context;
use lab_kinds::metal::operating_system::{
    Artefact, Family, Method, OperatingSystem, OperatingSystemSpec, Purpose, Repository,
};
use lab_kinds::metal::{server::hardware::Architecture, size::Size};
use sha2::{Digest, Sha256};
use std::{fs, io::Read, path::Path, process::Command};

const MIRROR: &str = "http://deb.debian.org/debian";

/// A kernel, what starts it from LVM by BIOS and UEFI, and a way in; everything else is for roles and operators.
const PACKAGES: &str = "linux-image-amd64 initramfs-tools zstd systemd-sysv systemd-resolved systemd-timesyncd udev dbus \
    kmod lvm2 xfsprogs e2fsprogs dosfstools grub2-common grub-pc-bin grub-efi-amd64-bin efibootmgr openssh-server sudo \
    fdisk iproute2 iputils-ping ca-certificates less nano procps";

/// What is done inside before it is packed. Keys of one machine must never be on another; network and names are systemd's.
const HOOKS: [&str; 3] = [
    "chroot \"$1\" systemctl enable systemd-networkd systemd-resolved ssh",
    "rm -f \"$1\"/etc/ssh/ssh_host_*",
    "rm -f \"$1\"/etc/resolv.conf; ln -s ../run/systemd/resolve/stub-resolv.conf \"$1\"/etc/resolv.conf",
];

/// Puts `images/debian-13/root.tar.zst` and `images/debian-13/operating-system.json` into a folder.
pub fn make(out: &Path) -> anyhow::Result<()> {
    let folder = out.join("images/debian-13");
    fs::create_dir_all(&folder)?;
    let (image, beside) = (folder.join("root.tar.zst"), folder.join("new.tar.zst"));
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap
        .args(["--variant=minbase", "--components=main", "--format=tar"])
        .arg(format!("--include={}", PACKAGES.split_whitespace().collect::<Vec<_>>().join(",")))
        .args(["man/*", "locale/*", "doc/*"].map(|what| format!("--dpkgopt=path-exclude=/usr/share/{what}")))
        .arg("--dpkgopt=path-include=/usr/share/doc/*/copyright")
        .args(HOOKS.map(|hook| format!("--customize-hook={hook}")))
        .arg("trixie")
        .arg(&beside)
        .arg(MIRROR);
    call(&mut mmdebstrap)?;
    fs::rename(&beside, &image)?;
    let object = object(&image)?;
    let path = folder.join("operating-system.json");
    fs::write(&path, serde_json::to_string_pretty(&object)? + "\n")
        .with_context(|| format!("writing {}", path.display()))?;
    measured(&image)?;
    println!("its object: labctl apply -f {}", path.display());
    Ok(())
}

/// The object of an image that lies on the bastion.
fn object(image: &Path) -> anyhow::Result<OperatingSystem> {
    let mut file = fs::File::open(image)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).with_context(|| format!("reading {}", image.display()))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        bytes += read;
    }
    let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let image = Artefact {
        name: "root.tar.zst".into(),
        purpose: Purpose::Image,
        url: format!("file://{}", fs::canonicalize(image)?.display()),
        checksum: format!("sha256:{digits}"),
        size_bytes: Some(i64::try_from(bytes)?),
    };
    let spec = OperatingSystemSpec {
        family: Family::Debian,
        release: "13".into(),
        codename: Some("trixie".into()),
        method: Method::Image,
        architecture: Architecture::Amd64,
        artefacts: vec![image],
        repositories: vec![Repository { name: "main".into(), url: MIRROR.into() }],
        packages: Vec::new(),
        kernel_arguments: Vec::new(),
        installer_arguments: Vec::new(),
        min_memory: Some(Size::of_gib(1)),
    };
    Ok(OperatingSystem::new("debian-13", spec))
}
