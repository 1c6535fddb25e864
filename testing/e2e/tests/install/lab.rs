//! What an operator has and does, step by step.

use crate::machine::Machine;
use lab_e2e::{bastion::Bastion, labctl::Labctl, labd::Labd};
use lab_rack::{faults::Faults, place, qemu::Firmware, ssh::Ssh, switch::Switch};
use std::{
    env, fs,
    net::{IpAddr, Ipv4Addr},
    os::unix,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

const TAP: &str = "rack";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 98, 0, 1));
const NETWORK: &str = "\
apiVersion: metal.lab/v1alpha1
kind: Network
metadata: {name: rack}
spec:
  cidr: 10.98.0.0/24
  dhcp: {mode: full, ranges: [{start: 10.98.0.50, end: 10.98.0.60}]}
";

/// Under software emulation, beside other work.
pub const PATIENCE: Duration = Duration::from_secs(1800);

/// Where the boot server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// In labd itself.
    OfLabd,
    /// A bastion of its own, which joined.
    Apart,
}

impl Site {
    /// labd where machines reach it, so that their agents can join.
    fn labd(self, folder: &Path) -> Labd {
        let arguments: &[&str] = match self {
            Self::OfLabd => &[],
            Self::Apart => &["--no-bastion"],
        };
        Labd::start_at_with(folder, (ADDRESS, 6443).into(), arguments).expect("it starts")
    }
}

/// A lab with one network, Debian 13 and one machine.
pub struct Lab {
    pub labctl: Labctl,
    /// Always there but while it is restarted.
    labd: Option<Labd>,
    site: Site,
    /// The boot server where it is not labd's own.
    _bastion: Option<Bastion>,
    pub machine: Machine,
    pub name: String,
    switch: Switch,
    folder: tempfile::TempDir,
    began: Instant,
    _runtime: Runtime,
}

fn artefacts() -> PathBuf {
    let given = env::var_os("LAB_ARTEFACTS").map(PathBuf::from);
    given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/artefacts"))
}

/// Debian 13's object, with its image where it lies now: artefacts may have been moved since they were made.
fn operating_system() -> String {
    let folder = artefacts().join("images/debian-13");
    let text = fs::read_to_string(folder.join("operating-system.json"));
    let text = text.expect("run `cargo xtask artefacts debian-13` first");
    let mut object: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let image = fs::canonicalize(folder.join("root.tar.zst")).expect("it lies beside its object");
    object["spec"]["artefacts"][0]["url"] = format!("file://{}", image.display()).into();
    object.to_string()
}

impl Lab {
    /// With the machine off, in a network namespace of this test's own.
    pub fn new(firmware: Firmware, site: Site) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        // The switch's own work.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime starts");
        let inside = runtime.enter();
        let switch = Switch::open(folder.path(), TAP, Faults::NONE).expect("the switch opens");
        drop(inside);
        place::ip(&["address", "add", "10.98.0.1/24", "dev", TAP]).expect("the address is given");
        let files = folder.path().join(match site {
            Site::OfLabd => "data/boot/files",
            Site::Apart => "files",
        });
        let systems = artefacts().join("systems");
        assert!(
            systems.join("discovery/amd64/initrd").exists(),
            "run `cargo xtask artefacts discovery` first"
        );
        fs::create_dir_all(&files).expect("there is room");
        unix::fs::symlink(systems, files.join("systems")).expect("there is room");
        let labd = site.labd(folder.path());
        let labctl = Labctl { kubeconfig: labd.kubeconfig() };
        let place = match site {
            Site::OfLabd => "",
            Site::Apart => "  site: home\n",
        };
        labctl.run_with(&["apply", "-f", "-"], &format!("{NETWORK}{place}"));
        labctl.run_with(&["apply", "-f", "-"], &operating_system());
        let bastion = (site == Site::Apart).then(|| {
            let flags = Bastion::invited(folder.path(), &labd, &labctl, "home").expect("it may join");
            Bastion::start(folder.path(), &flags, ADDRESS).expect("it serves")
        });
        labctl.run(&["wait", "bastions", "--all", "--for", "condition=Serving", "--timeout", "30m"]);
        let machine = Machine::blank(folder.path(), firmware);
        let name = machine.name();
        let labd = Some(labd);
        let began = Instant::now();
        Self {
            labctl,
            labd,
            site,
            _bastion: bastion,
            machine,
            name,
            switch,
            folder,
            began,
            _runtime: runtime,
        }
    }

    /// Kills labd; where the boot server is labd's own, with it.
    pub fn kill_labd(&mut self) {
        self.labd.take().expect("it runs").kill().expect("it can be killed");
        self.passed("labd is killed");
    }

    /// Starts it again.
    pub fn restart_labd(&mut self) {
        self.labd = Some(self.site.labd(self.folder.path()));
        self.passed("labd is there again");
    }

    pub fn start(&mut self) {
        self.began = Instant::now();
        self.machine.start(&self.switch);
    }

    /// Waits for something in the Server.
    pub fn until(&self, what: &str, path: &str, is: impl Fn(&str) -> bool) -> String {
        let path = format!("jsonpath={path}");
        let arguments = ["get", "srv", &self.name, "-o", &path];
        let until = Instant::now() + PATIENCE;
        loop {
            let (well, found) = self.labctl.try_run(&arguments, "");
            if well && is(found.trim()) {
                self.passed(what);
                return found.trim().into();
            }
            assert!(
                Instant::now() < until,
                "{what} never came: {found}\n{}\n{}",
                self.machine.console(),
                self.labd.as_ref().map(Labd::log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    pub fn phase(&self, phase: &str) {
        self.until(phase, "{.status.phase}", |found| found == phase);
    }

    pub fn patch(&self, patch: &str) {
        self.labctl.run(&["patch", "srv", &self.name, "--type", "merge", "-p", patch]);
    }

    /// Approves the plan as it stands, and follows it to its end.
    fn approve_and_follow(&self) {
        let name = self.name.as_str();
        println!("{}", self.labctl.run(&["plan", name]));
        self.labctl.run(&["approve", name, "--yes"]);
    }

    pub fn ssh(&self) -> Ssh {
        let address = self.labctl.run(&["get", "srv", &self.name, "-o", "jsonpath={.status.addresses[0]}"]);
        Ssh::to(self.folder.path(), address.trim()).expect("a key is made")
    }

    /// Waits until the machine lets the operator in, and a command says what it should.
    pub fn answers(&self, ssh: &Ssh, command: &str, is: impl Fn(&str) -> bool) {
        if let Err(error) = ssh.wait_for(command, is, PATIENCE) {
            panic!("{error}\n{}", self.machine.console());
        }
        self.passed(&format!("{command:?} is answered over SSH"));
    }

    /// From a machine that is off to one that carries out its approved plan.
    pub fn begin(&mut self) {
        self.start();
        self.until("its firmware asked", "{.status.boot.step}", |step| !step.is_empty());
        self.until("its kernel is fetched", "{.status.boot.step}", |step| {
            matches!(step, "started" | "heard")
        });
        self.phase("Discovered");
        let seen = self.labctl.run(&["describe", "srv", &self.name]);
        for word in ["disk", "virtio", "52:54:00:00:08"] {
            assert!(seen.to_lowercase().contains(word), "{word} is not in\n{seen}");
        }
        let key = Ssh::public_key(self.folder.path()).expect("a key is made");
        self.patch(&format!(r#"{{"spec": {{"admin": {{"user": "ops", "authorizedKeys": ["{key}"]}}}}}}"#));
        self.labctl.run(&[
            "provision",
            &self.name,
            "--os",
            "debian-13",
            "--role",
            "vanilla",
            "--hostname",
            "db-1",
        ]);
        self.phase("Planned");
        self.approve_and_follow();
        self.phase("Installing");
    }

    /// From a machine that is off to an installed one that lets the operator in.
    pub fn install(&mut self) -> Ssh {
        self.begin();
        self.until("the image is unpacked", "{.status.stages[*].name}", |names| names.contains("bootLoader"));
        self.phase("Installed");
        // Before the new system speaks, of whose lines two thousand are kept.
        let log = self.labctl.run(&["logs", &self.name]);
        for line in
            ["reported its hardware: disks 1, NICs 1", "unpackImage is done", "carried out plan sha256:"]
        {
            assert!(log.contains(line), "{line} is not in\n{log}");
        }
        let (done, followed) = self.labctl.try_run(&["progress", &self.name], "");
        assert!(done && followed.contains("Installed"), "{followed}");
        let ssh = self.ssh();
        self.answers(&ssh, "true", |_| true);
        self.joins();
        println!("{}", run(&ssh, "systemd-analyze; systemd-analyze blame | head -n 12"));
        ssh
    }

    pub fn stop(&mut self) {
        self.labd.take().expect("it runs").stop().expect("it ends well");
    }

    fn passed(&self, what: &str) {
        let (wall, cpu) = (self.began.elapsed().as_secs_f64(), self.machine.processor_seconds());
        println!("{wall:6.1} s, {cpu:6.1} s of processor  {what}");
    }

    /// Its agent joins by the token that was left for it, and takes commands.
    pub fn joins(&self) {
        self.until("its agent is online", "{.status.agent.online}", |online| online == "true");
        let said = self.labctl.run(&["exec", &self.name, "--", "uname", "-n"]);
        assert!(said.contains("db-1"), "{said}");
        self.passed("its agent carried a command out");
    }

    /// Asks for another installation, and restarts the machine as an operator would.
    pub fn reprovision(&mut self, ssh: &Ssh) {
        self.labctl.run(&["reprovision", &self.name, "--yes"]);
        let next = "{.spec.install.reprovision} {.status.plan.reprovision}";
        self.until("another plan is made", next, |numbers| numbers == "1 1");
        println!("{}", self.labctl.run(&["plan", &self.name]));
        self.labctl.run(&["approve", &self.name, "--yes"]);
        self.began = Instant::now();
        // The connection goes with the machine.
        run(ssh, "sudo systemd-run --on-active=1 systemctl reboot");
        self.phase("Installing");
        self.until("it is installed again", "{.status.install.reprovision}", |number| number == "1");
        self.phase("Installed");
        // Nobody answers from the system that is gone.
        self.until("it is sent to its disk", "{.status.boot.answer}", |answer| answer == "local");
        self.answers(ssh, "true", |_| true);
        self.joins();
    }

    /// Boots the rescue system once, and looks at the disk from there.
    pub fn rescue(&mut self, ssh: &Ssh) {
        self.labctl.run(&["debug", &self.name, "--yes"]);
        self.machine.cut();
        self.start();
        self.until("it is given the rescue system", "{.status.boot.answer}", |answer| answer == "debug");
        self.until("that is spent", "{.spec.boot}", |boot| !boot.contains("once"));
        self.answers(ssh, "cat /proc/1/comm", |name| name.trim() == "init");
        assert_eq!(run(ssh, "lvs --noheadings -o vg_name | sort -u").trim(), "labvg");
        // The connection goes with the machine.
        run(ssh, "(sleep 1; reboot -f) </dev/null >/dev/null 2>&1 &");
        self.until("it is sent to its disk", "{.status.boot.answer}", |answer| answer == "local");
        self.answers(ssh, "cat /proc/1/comm", |name| name.trim() == "systemd");
    }

    /// Gives the machine up: it wipes its disks and is switched off, and its object goes.
    pub fn forget(&mut self) {
        let name = self.name.clone();
        self.labctl.run(&["forget", &name, "--wipe", "--yes"]);
        self.machine.cut();
        self.start();
        self.labctl.until("it is forgotten", PATIENCE, &["get", "srv"], |found| !found.contains(&name));
        self.passed("its disks are wiped, and it is forgotten");
        let events = self.labctl.run(&["get", "events", "-n", "default", "-o", "yaml"]);
        assert!(events.contains("DisksWiped") && events.contains(&self.machine.serial(0)), "{events}");
        self.machine.wait_until_off(PATIENCE);
        assert!(self.machine.is_blank(0), "something is left on its first disk");
    }
}

/// What a command prints on the machine.
pub fn run(ssh: &Ssh, command: &str) -> String {
    ssh.run(command).unwrap_or_else(|error| panic!("{error}"))
}
