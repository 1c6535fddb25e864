//! What a disk takes by itself, measured in the machine that was installed, from its rescue system.

use anyhow::Context;
use lab_rack::ssh::Ssh;
use std::fs::File;
use std::path::Path;

/// Another disk of the machine, which nobody uses.
const DISK: &str = "/dev/vdb";

/// How many bytes an image unpacks to, as a tar archive.
pub fn unpacked(image: &Path) -> anyhow::Result<u64> {
    let file = File::open(image).with_context(|| format!("opening {}", image.display()))?;
    let mut archive = zstd::Decoder::new(file).with_context(|| format!("reading {}", image.display()))?;
    std::io::copy(&mut archive, &mut std::io::sink())
        .with_context(|| format!("unpacking {}", image.display()))
}

/// Seconds that `dd` takes to bring so many bytes to the disk.
pub fn dd(ssh: &Ssh, bytes: u64) -> anyhow::Result<f64> {
    seconds(ssh, &format!("dd if=/dev/zero of={DISK} bs=1M count={} conv=fsync", bytes >> 20))
}

/// Seconds that `mkfs` takes for the file systems of the layout, each on the whole disk.
pub fn mkfs(ssh: &Ssh) -> anyhow::Result<f64> {
    let xfs = format!("mkfs.xfs -q -f {DISK}");
    let commands = [
        format!("mkfs.vfat {DISK}"),
        format!("mke2fs -q -F -t ext4 {DISK} 1g"),
        format!("mkswap {DISK}"),
        [xfs.as_str(); 5].join(" && "),
    ];
    seconds(ssh, &commands.join(" && "))
}

/// Seconds that the image's digest takes, read from the boot server as the installer does: what no installer can be quicker than.
pub fn digest(ssh: &Ssh, url: &str) -> anyhow::Result<f64> {
    seconds(ssh, &format!("wget -q -O - {url} | sha256sum"))
}

/// How long a command takes there, by the machine's own clock.
fn seconds(ssh: &Ssh, command: &str) -> anyhow::Result<f64> {
    let uptime = "cut -d ' ' -f 1 /proc/uptime";
    let said = ssh.run(&format!("{uptime}; ( {command} ) >/dev/null 2>&1 && {uptime}"))?;
    let times: Vec<f64> = said.lines().filter_map(|line| line.trim().parse().ok()).collect();
    let [began, ended] = times[..] else { anyhow::bail!("{command} failed: {said}") };
    Ok(ended - began)
}
