//! What is shown, act by act.

use crate::lab::Labctl;
use crate::screen::Watched;
use anyhow::{Context, bail};
use lab_kinds::metal::Server;
use lab_kinds::metal::server::Phase;
use lab_object::mac::MacAddress;
use lab_rack::qemu::{self, Accelerator, Firmware, Hardware};
use lab_rack::switch::Switch;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a machine may take for one act, under emulation and beside another.
const PATIENCE: Duration = Duration::from_secs(1200);
const DISK: u64 = 24 << 30;

const NETWORK: &str = "\
apiVersion: metal.lab/v1alpha1
kind: Network
metadata: {name: rack}
spec:
  cidr: 10.99.0.0/24
  dhcp: {mode: full, ranges: [{start: 10.99.0.50, end: 10.99.0.60}]}
";

/// A machine, off at first.
pub struct Machine {
    number: u8,
    firmware: Firmware,
    /// How it is shown.
    pub watched: Watched,
    running: Option<qemu::Machine>,
}

impl Machine {
    /// One that is not switched on yet.
    pub fn off(number: u8, firmware: Firmware, watched: Watched) -> Self {
        Self { number, firmware, watched, running: None }
    }

    fn name(&self) -> &str {
        &self.watched.called
    }
}

/// What the story is told with.
pub struct Story {
    /// How everything is asked for.
    pub labctl: Labctl,
    /// What the machines are plugged into.
    pub switch: Switch,
    /// What their processors are.
    pub accelerator: Accelerator,
    /// Where their disks lie.
    pub folder: PathBuf,
    /// What they are given.
    pub artefacts: PathBuf,
}

impl Story {
    /// From blank disks to commands that are answered; then one of them again.
    pub async fn tell(&self, machines: &mut [Machine]) -> anyhow::Result<()> {
        self.describe_the_site().await?;
        self.act(match self.accelerator {
            Accelerator::Kvm => "two machines with blank disks are switched on",
            Accelerator::Tcg => "two machines with blank disks are switched on (no KVM here: processors are emulated, which is slow)",
        });
        for machine in &mut *machines {
            self.switch_on(machine)?;
        }
        self.all(machines, "discovered", |server| server.status.phase == Some(Phase::Discovered)).await?;
        self.act("both are known: nothing was written to any disk, and nothing will be without approval");
        self.labctl.shown(&["get", "servers", "-o", "wide"]).await?;
        for machine in &*machines {
            // By the name it has as long as nobody named it.
            let server = machine.watched.server.as_str();
            let wanted = ["--os", "debian-13", "--role", "vanilla", "--hostname", machine.name()];
            self.labctl.shown(&[&["provision", server][..], &wanted].concat()).await?;
        }
        self.all(machines, "planned", |server| server.status.phase == Some(Phase::Planned)).await?;
        self.act("each has a plan for its disks, which a person reads and approves");
        let names: Vec<String> = machines.iter().map(|machine| machine.name().to_owned()).collect();
        for name in &names {
            self.labctl.shown(&["plan", name]).await?;
        }
        for name in &names {
            self.labctl.shown(&["approve", name, "--yes"]).await?;
        }
        self.all(machines, "in reach of labd with its own system", ready).await?;
        self.act("both run Debian 13 from their own disks, and joined with identities of their own");
        self.labctl.shown(&["get", "servers", "-o", "wide"]).await?;
        for name in &names {
            self.labctl.shown(&["exec", name, "--", "uname", "-sr"]).await?;
            self.labctl.shown(&["exec", name, "--", "lsblk", "-o", "NAME,SIZE,FSTYPE,MOUNTPOINT"]).await?;
        }
        self.again(machines).await
    }

    /// One machine is installed anew, and keeps what its layout preserves.
    async fn again(&self, machines: &[Machine]) -> anyhow::Result<()> {
        let Some(machine) = machines.first() else { return Ok(()) };
        let name = machine.name();
        let one = std::slice::from_ref(machine);
        self.act(&format!("{name} is installed again; /home is to survive it"));
        self.labctl
            .shown(&[
                "exec",
                name,
                "--",
                "sh",
                "-c",
                "echo precious > /home/letter; echo gone > /root/note; sync",
            ])
            .await?;
        self.labctl.shown(&["reprovision", name, "--yes"]).await?;
        self.all(one, "planned again", |server| {
            let wanted = server.spec.install.as_ref().and_then(|install| install.reprovision);
            let planned = server.status.plan.as_ref().and_then(|plan| plan.reprovision);
            wanted.is_some() && planned == wanted
        })
        .await?;
        self.labctl.shown(&["plan", name]).await?;
        self.labctl.shown(&["approve", name, "--yes"]).await?;
        self.labctl
            .shown(&["exec", name, "--", "systemd-run", "--on-active=2", "systemctl", "reboot"])
            .await?;
        self.all(one, "in reach again", |server| {
            let wanted = server.spec.install.as_ref().and_then(|install| install.reprovision);
            let done = server.status.install.as_ref().and_then(|install| install.reprovision);
            done == wanted && ready(server)
        })
        .await?;
        self.act("the system is new, /home is not");
        let found = self
            .labctl
            .shown(&["exec", name, "--", "sh", "-c", "cat /home/letter; ls /root/note || true"])
            .await?;
        if found.trim() != "precious" {
            bail!("/home/letter of {name} says {found:?}");
        }
        Ok(())
    }

    fn act(&self, words: &str) {
        self.labctl.screen.act(words);
    }

    async fn describe_the_site(&self) -> anyhow::Result<()> {
        self.act("the site: one network that labd serves, and an operating system");
        self.labctl.shown_with(&["apply", "-f", "-"], NETWORK).await?;
        let folder = self.artefacts.join("images/debian-13");
        let path = folder.join("operating-system.json");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let mut system: serde_json::Value =
            serde_json::from_str(&text).with_context(|| format!("understanding {}", path.display()))?;
        // Where it was made is not always where it is.
        system["spec"]["artefacts"][0]["url"] = format!("file://{}/root.tar.zst", folder.display()).into();
        self.labctl.quiet(&["apply", "-f", "-"], &system.to_string()).await?;
        self.labctl.shown(&["get", "operatingsystems,networks"]).await?;
        let serving = ["wait", "bastions", "--all", "--for", "condition=Serving", "--timeout", "60s"];
        self.labctl.quiet(&serving, "").await?;
        Ok(())
    }

    fn switch_on(&self, machine: &mut Machine) -> anyhow::Result<()> {
        let disk = self.folder.join(format!("disk-{}", machine.number));
        let file = File::create(&disk).with_context(|| format!("creating {}", disk.display()))?;
        file.set_len(DISK).context("sizing a disk")?;
        let hardware = Hardware {
            firmware: machine.firmware,
            mac: MacAddress::parse(&machine.watched.server.replace('-', ":"))
                .context("the machine is named after its NIC")?,
            uuid: format!("11223344-5566-7788-99aa-bbccddee99{:02x}", machine.number),
            memory: 1536,
            processors: (1, self.accelerator),
            disks: vec![disk],
        };
        machine.running = Some(qemu::Machine::power_on(&hardware, &self.switch, &self.folder)?);
        Ok(())
    }

    /// Waits until something is so with every machine.
    async fn all(
        &self,
        machines: &[Machine],
        what: &str,
        is: impl Fn(&Server) -> bool,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let servers = self.labctl.screen.servers();
            let of = |machine: &Machine| {
                servers.iter().find(|server| server.metadata.name.as_ref() == Some(&machine.watched.server))
            };
            let states: Vec<_> = machines.iter().map(|machine| (machine, of(machine))).collect();
            for (machine, server) in &states {
                if let Some(server) = server.filter(|server| server.status.phase == Some(Phase::Failed)) {
                    bail!(
                        "{} failed: {}",
                        machine.name(),
                        server.status.message.as_deref().unwrap_or_default()
                    );
                }
            }
            let waiting: Vec<_> =
                states.iter().filter(|(_, server)| !server.is_some_and(|server| is(server))).collect();
            let Some((machine, _)) = waiting.first() else { return Ok(()) };
            if Instant::now() > until {
                bail!("{} was not {what} within {} minutes", machine.name(), PATIENCE.as_secs() / 60);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Shows what is known of machines that something went wrong with.
    pub async fn explain(&self, machines: &[Machine]) {
        for machine in machines {
            // What cannot be asked for any more is not explained; the error itself is told in any case.
            let _ = self.labctl.shown(&["logs", &machine.watched.server]).await;
            let console = machine.running.as_ref().map(qemu::Machine::console).unwrap_or_default();
            let lines: Vec<&str> = console.lines().collect();
            let last = lines[lines.len().saturating_sub(20)..].join("\n");
            self.labctl.screen.say(&format!("the console of {} ends with:\n{last}", machine.name()));
        }
    }
}

fn ready(server: &Server) -> bool {
    server.status.phase == Some(Phase::Ready)
        && server.status.agent.as_ref().is_some_and(|agent| agent.online)
}
