//! The outside: a ramdisk, disks, QEMU, and what it says.

use lab_host::command::{Call, Processes, Run};
use lab_ramdisk::Ramdisk;
use libtest_mimic::Failed;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

const TOOLS: [&str; 11] = [
    "blkid",
    "blockdev",
    "chroot",
    "lvm",
    "mke2fs",
    "mkfs.vfat",
    "mkfs.xfs",
    "mkswap",
    "sfdisk",
    "sha256sum",
    "wipefs",
];
const MODULES: [&str; 12] = [
    "virtio_pci",
    "virtio_blk",
    "dm_mod",
    "xfs",
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "crc32c_generic",
    "virtio_rng",
    "qemu_fw_cfg",
    "crc32c_intel",
];
/// Serial number and size of each disk.
const DISKS: [(&str, u64); 5] =
    [("MAIN", 3 << 30), ("OTHER", 1 << 30), ("TWIN", 2 << 30), ("TWIN", 2 << 30), ("BAD", 3 << 30)];

fn call(program: &str, arguments: &[&str]) -> Result<String, Failed> {
    Ok(Processes.succeed(&Call::new(program, arguments.iter().copied()))?)
}

/// Runs a scenario in a machine of its own.
pub fn run(scenario: &str) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let kernel = kernel(folder.path())?;
    let ramdisk = folder.path().join("initrd");
    fs::write(&ramdisk, initrd(&kernel)?)?;
    let mut arguments: Vec<String> =
        ["-machine", "q35,accel=tcg", "-cpu", "max", "-m", "2048", "-smp", "2", "-nodefaults"]
            .into_iter()
            .chain(["-no-reboot", "-display", "none", "-serial", "stdio"])
            .map(String::from)
            .collect();
    arguments.extend(["-kernel".into(), kernel.image.display().to_string()]);
    arguments.extend(["-initrd".into(), ramdisk.display().to_string()]);
    arguments.extend([
        "-append".into(),
        format!("console=ttyS0 panic=-1 quiet loglevel=3 lab.scenario={scenario}"),
    ]);
    for (at, (serial, size)) in DISKS.iter().enumerate() {
        let path = folder.path().join(format!("disk{at}"));
        File::create(&path)?.set_len(*size)?;
        let mut file = path.display().to_string();
        if *serial == "BAD" {
            let rules = folder.path().join("rules");
            // Eight MiB in which the fourth part of /var begins fail when they are written.
            let sector = |n: u64| {
                format!("[inject-error]\nevent = \"write_aio\"\nerrno = \"5\"\nsector = \"{n}\"\n\n")
            };
            let sectors = (0..2048).map(|n| sector((696 << 11) + n * 8));
            fs::write(&rules, sectors.collect::<String>())?;
            file = format!("blkdebug:{}:{file}", rules.display());
        }
        arguments.extend([
            "-drive".into(),
            format!("file={file},format=raw,if=none,id=d{at},cache=unsafe,werror=report"),
        ]);
        arguments.extend(["-device".into(), format!("virtio-blk-pci,drive=d{at},serial={serial}")]);
    }
    let ended = Processes.run(&Call::new("qemu-system-x86_64", arguments))?;
    println!("{}\n{}", ended.output, ended.complaint);
    if ended.output.lines().any(|line| line.trim() == "PASSED") {
        return Ok(());
    }
    Err("it did not pass in the virtual machine".into())
}

/// Debian's kernel, unpacked.
struct Kernel {
    root: PathBuf,
    release: String,
    image: PathBuf,
}

/// Fetches the kernel's package with the distribution's own client, without installing it.
fn kernel(folder: &Path) -> Result<Kernel, Failed> {
    let depends = call("apt-cache", &["depends", "linux-image-amd64"])?;
    let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let package = package.ok_or("linux-image-amd64 depends on no kernel; run apt-get update")?.to_owned();
    let kept = std::env::temp_dir().join("lab-kernel").join(&package);
    if !kept.join("boot").exists() {
        let script =
            format!("cd {} && apt-get download -q {package} && dpkg-deb -x *.deb unpacked", folder.display());
        call("sh", &["-c", &script])?;
        let unpacked = folder.join("unpacked");
        let release = package.trim_start_matches("linux-image-").to_owned();
        call("depmod", &["--basedir", unpacked.to_str().unwrap(), &release])?;
        fs::create_dir_all(kept.parent().unwrap())?;
        call("mv", &[unpacked.to_str().unwrap(), kept.to_str().unwrap()])?;
    }
    let release = package.trim_start_matches("linux-image-").to_owned();
    Ok(Kernel { image: kept.join(format!("boot/vmlinuz-{release}")), root: kept, release })
}

fn initrd(kernel: &Kernel) -> Result<Vec<u8>, Failed> {
    let mut ramdisk = Ramdisk::new();
    let root = Path::new("/");
    ramdisk.program(root, &std::env::current_exe()?, "init")?;
    for tool in TOOLS {
        ramdisk.tool(root, tool)?;
    }
    ramdisk.file("etc/mke2fs.conf", 0o644, fs::read("/etc/mke2fs.conf")?);
    ramdisk.modules(&kernel.root, &kernel.release, &MODULES)?;
    ramdisk.file("image.tar.zst", 0o644, image()?);
    Ok(ramdisk.archive())
}

/// A small system, whose programs all do nothing, successfully.
fn image() -> Result<Vec<u8>, Failed> {
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1)?);
    let truth = fs::canonicalize("/bin/true")?;
    let mut add = |path: &str, bytes: &[u8], mode: u32| -> Result<(), Failed> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        Ok(archive.append_data(&mut header, format!("./{path}"), bytes)?)
    };
    for program in ["useradd", "grub-install", "update-grub", "efibootmgr"] {
        add(&format!("usr/sbin/{program}"), &fs::read(&truth)?, 0o755)?;
    }
    for (path, library) in lab_ramdisk::needed(Path::new("/"), &truth)? {
        let folder = if library.starts_with("ld-") { "lib64" } else { "usr/lib" };
        add(&format!("{folder}/{library}"), &fs::read(path)?, 0o755)?;
    }
    add("etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n", 0o644)?;
    add("boot/vmlinuz-6.12", b"kernel", 0o644)?;
    add("lib/modules/6.12/modules.dep", b"", 0o644)?;
    add("home/of-the-image", b"left out", 0o644)?;
    // What does not pack well, so that progress is told more than once.
    let noise: Vec<u8> = (0..8u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    add("usr/share/noise", &noise, 0o644)?;
    let mut packed = archive.into_inner()?;
    packed.flush()?;
    Ok(packed.finish()?)
}
