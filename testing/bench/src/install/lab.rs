//! One machine's whole way, in a lab of its own: labd with its boot server, a switch, and real firmware in QEMU.

use super::{Options, disks, timeline};
use crate::figures::{Row, print};
use crate::process::Process;
use anyhow::{Context, bail};
use jiff::Timestamp;
use lab_rack::faults::Faults;
use lab_rack::place;
use lab_rack::qemu::{Accelerator, Firmware, Hardware, Machine};
use lab_rack::ssh::Ssh;
use lab_rack::switch::Switch;
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TAP: &str = "rack";
const SERVER: &str = "52-54-00-00-0a-01";
const NETWORK: &str = r#"{"apiVersion": "metal.lab/v1alpha1", "kind": "Network", "metadata": {"name": "rack"}, "spec": {
    "cidr": "10.95.0.0/24", "dhcp": {"mode": "full", "ranges": [{"start": "10.95.0.50", "end": "10.95.0.60"}]}}}"#;
/// How long a machine may take for one part of its way, under emulation.
const PATIENCE: Duration = Duration::from_secs(1200);
const DISK: u64 = 24 << 30;

struct Lab<'a> {
    labctl: PathBuf,
    kubeconfig: PathBuf,
    folder: &'a Path,
}

/// Takes a machine from power-on to SSH, then writes to another disk of it, and prints where the time went.
pub async fn whole_way(options: &Options, name: &str, firmware: Firmware) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(&options.place.directory)?;
    let folder = folder.path();
    let switch = Switch::open(folder, TAP, Faults::NONE)?;
    place::ip(&["address", "add", "10.95.0.1/24", "dev", TAP])?;
    let (lab, labd) = Lab::start(options, folder).await?;
    let image = options.artefacts.join("images/debian-13");
    let image = fs::canonicalize(&image)
        .with_context(|| format!("{}: make it with `cargo xtask artefacts debian-13`", image.display()))?;
    lab.apply(NETWORK)?;
    lab.apply(&operating_system(&image)?)?;
    lab.labctl(&["wait", "bastions", "--all", "--for", "condition=Serving", "--timeout", "60s"], "")?;
    let accelerator = Accelerator::found();
    let mut hardware = Hardware {
        firmware,
        mac: "52:54:00:00:0a:01".parse().context("it is a MAC address")?,
        uuid: "11223344-5566-7788-99aa-bbccddee0a01".into(),
        memory: 1536,
        processors: (2, accelerator),
        disks: vec![disk(folder, 0)?],
    };
    let power_on = Timestamp::now();
    let machine = Machine::power_on(&hardware, &switch, folder)?;
    lab.reached("{.status.phase}", "Discovered").await?;
    let ssh = lab.install().await?;
    ssh.wait(PATIENCE)?;
    let parts = timeline::split(&lab.labctl(&["logs", SERVER], "")?, power_on, Timestamp::now())?;
    drop(machine);

    lab.labctl(&["debug", SERVER, "--yes"], "")?;
    // The layout is kept to the disk it is on: this one is nobody's.
    hardware.disks.push(disk(folder, 1)?);
    let _machine = Machine::power_on(&hardware, &switch, folder)?;
    ssh.wait_for("cat /proc/1/comm", |name| name.trim() == "init", PATIENCE)?;
    let bytes = disks::unpacked(&image.join("root.tar.zst"))?;
    let (dd, mkfs) = (disks::dd(&ssh, bytes)?, disks::mkfs(&ssh)?);
    let digest = disks::digest(&ssh, &lab.image_url()?)?;
    labd.stop()?;

    let how = match accelerator {
        Accelerator::Kvm => "KVM",
        Accelerator::Tcg => "software emulation",
    };
    println!("from power-on to SSH, {name}, {how}");
    let all: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
    for (part, seconds) in parts.iter().chain([&("all of it", all)]) {
        println!("  {part:52} {seconds:7.1} s {:5.1} %", seconds / all * 100.0);
    }
    let took = |part: &str| -> Vec<f64> {
        parts.iter().filter(|(name, _)| name.starts_with(part)).map(|(_, seconds)| *seconds).collect()
    };
    let (prepared, written) = (took("check, partitions"), took("image fetched"));
    let both = [prepared.iter().chain(&written).sum()];
    print(
        "dd, mkfs",
        &[
            Row::cost("partitions, volumes, file systems", "s", &prepared, &[mkfs]),
            Row::cost(format!("image written, {} MB", bytes / 1_000_000), "s", &written, &[dd]),
            Row::cost("both", "s", &both, &[dd + mkfs]),
        ],
    );
    println!("fetching the packed image and its SHA-256 alone: {digest:.1} s");
    Ok(())
}

impl<'a> Lab<'a> {
    async fn start(options: &Options, folder: &'a Path) -> anyhow::Result<(Self, Process)> {
        let data = folder.join("data");
        let files = data.join("boot/files");
        fs::create_dir_all(&files)?;
        let systems = options.artefacts.join("systems");
        let systems = fs::canonicalize(&systems).with_context(|| {
            format!("{}: make it with `cargo xtask artefacts discovery`", systems.display())
        })?;
        symlink(systems, files.join("systems"))?;
        let (labctl, kubeconfig) = (options.place.programs.join("labctl"), data.join("admin.kubeconfig"));
        let lab = Self { labctl, kubeconfig, folder };
        let mut command = Command::new(options.place.programs.join("labd"));
        command.args(["--listen", "0.0.0.0:6443", "--data-dir"]).arg(&data);
        let ready = async || lab.kubeconfig.is_file() && lab.labctl(&["version"], "").is_ok();
        let labd = Process::start(&mut command, &folder.join("labd.log"), ready).await?;
        Ok((lab, labd))
    }

    fn labctl(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        // A file and no pipe: what is written need not be read meanwhile.
        let stdin = self.folder.join("input");
        fs::write(&stdin, input)?;
        let output = Command::new(&self.labctl)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::from(File::open(&stdin)?))
            .output()
            .context("starting labctl")?;
        if !output.status.success() {
            bail!("labctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn apply(&self, object: &str) -> anyhow::Result<()> {
        self.labctl(&["apply", "-f", "-"], object).map(drop)
    }

    fn server(&self, path: &str) -> anyhow::Result<String> {
        let path = format!("jsonpath={path}");
        // Before its first question there is no such server.
        let found = self.labctl(&["get", "srv", SERVER, "--ignore-not-found", "-o", &path], "")?;
        Ok(found.trim().to_owned())
    }

    /// Waits until something in the Server is so.
    async fn reached(&self, path: &str, wanted: &str) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let found = self.server(path)?;
            if found == wanted {
                return Ok(());
            }
            if found == "Failed" || Instant::now() > until {
                let log = self.labctl(&["logs", SERVER], "")?;
                bail!("the machine did not become {wanted}, it is {found}:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Has the machine installed as soon as it has a plan.
    async fn install(&self) -> anyhow::Result<Ssh> {
        let key = Ssh::public_key(self.folder)?;
        let admin = format!(r#"{{"spec": {{"admin": {{"user": "ops", "authorizedKeys": ["{key}"]}}}}}}"#);
        self.labctl(&["patch", "srv", SERVER, "--type", "merge", "-p", &admin], "")?;
        let wanted = ["--os", "debian-13", "--role", "vanilla", "--hostname", "bench-1"];
        self.labctl(&[&["provision", SERVER][..], &wanted].concat(), "")?;
        self.reached("{.status.phase}", "Planned").await?;
        self.labctl(&["approve", SERVER, "--yes"], "")?;
        self.reached("{.status.phase}", "Installed").await?;
        Ssh::to(self.folder, &self.server("{.status.addresses[0]}")?)
    }

    /// Where the boot server has the image.
    fn image_url(&self) -> anyhow::Result<String> {
        let path = "jsonpath={.spec.artefacts[0].checksum}";
        let checksum = self.labctl(&["get", "operatingsystem", "debian-13", "-o", path], "")?;
        let digest = checksum.trim().trim_start_matches("sha256:").to_owned();
        Ok(format!("http://10.95.0.1/artefacts/{digest}/root.tar.zst"))
    }
}

fn disk(folder: &Path, number: usize) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("disk-{number}"));
    File::create(&path)?.set_len(DISK).with_context(|| format!("sizing {}", path.display()))?;
    Ok(path)
}

/// Debian 13's object, with its image where it lies now: artefacts may have been moved since they were made.
fn operating_system(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join("operating-system.json");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut object: Value =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    object["spec"]["artefacts"][0]["url"] = format!("file://{}/root.tar.zst", folder.display()).into();
    Ok(object.to_string())
}
