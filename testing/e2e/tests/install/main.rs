//! From a blank disk to Debian 13 and back, all through the API: labd with its boot server, labctl, and virtual machines under software
//! emulation. Needs root, QEMU, OVMF and Debian's iPXE, takes half an hour, and is run by name after the artefacts were made:
//!
//! ```text
//! cargo xtask artefacts discovery && cargo xtask artefacts debian-13
//! cargo test -p lab-e2e --test install -- --ignored --nocapture --test-threads 1
//! ```
//!
//! `LAB_ARTEFACTS` names another folder than `target/artefacts`. Each stage's seconds since power-on are printed, and those that
//! the emulation had of a processor, which other work on this machine does not change.

mod machine;

use lab_e2e::{labctl::Labctl, labd::Labd, tap::Tap};
use machine::{Firmware, Machine, Ssh, public_key};
use std::{
    env, fs,
    os::unix,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Under software emulation, beside other work.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A lab with one network, Debian 13 and one machine.
struct Lab {
    labctl: Labctl,
    /// Always there but while it is restarted.
    labd: Option<Labd>,
    machine: Machine,
    name: String,
    folder: tempfile::TempDir,
    began: Instant,
    _tap: Tap,
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
    fn new(firmware: Firmware, number: u8) -> Self {
        let tap = Tap::new("labtap8", "10.98.0.1/24");
        let folder = tempfile::tempdir().expect("there is room");
        let systems = artefacts().join("systems");
        assert!(
            systems.join("discovery/amd64/initrd").exists(),
            "run `cargo xtask artefacts discovery` first"
        );
        let files = folder.path().join("data/boot/files");
        fs::create_dir_all(&files).expect("there is room");
        unix::fs::symlink(systems, files.join("systems")).expect("there is room");
        let labd = Self::labd(folder.path());
        let labctl = Labctl { kubeconfig: labd.kubeconfig() };
        let network = "apiVersion: metal.lab/v1alpha1\nkind: Network\nmetadata: {name: rack}\nspec:\n  cidr: 10.98.0.0/24\n  \
                       dhcp: {mode: full, ranges: [{start: 10.98.0.50, end: 10.98.0.60}]}\n";
        labctl.run_with(&["apply", "-f", "-"], network);
        labctl.run_with(&["apply", "-f", "-"], &operating_system());
        labctl.run(&["wait", "bastions", "--all", "--for", "condition=Serving", "--timeout", "30m"]);
        let machine = Machine::blank(folder.path(), firmware, &tap, number);
        let name = machine.name();
        Self { labctl, labd: Some(labd), machine, name, folder, began: Instant::now(), _tap: tap }
    }

    /// labd where machines reach it, so that their agents can join.
    fn labd(folder: &Path) -> Labd {
        Labd::start_at(folder, ([10, 98, 0, 1], 6443).into()).expect("it starts")
    }

    /// Kills labd, and the boot server in it; ten seconds later it is there again.
    fn kill_labd(&mut self) {
        self.labd.take().expect("it runs").kill().expect("it can be killed");
        std::thread::sleep(Duration::from_secs(10));
        self.labd = Some(Self::labd(self.folder.path()));
        self.passed("labd was killed, and is there again");
    }

    fn start(&mut self) {
        self.began = Instant::now();
        self.machine.start();
    }

    /// Waits for something in the Server.
    fn until(&self, what: &str, path: &str, is: impl Fn(&str) -> bool) -> String {
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

    fn phase(&self, phase: &str) {
        self.until(phase, "{.status.phase}", |found| found == phase);
    }

    fn patch(&self, patch: &str) {
        self.labctl.run(&["patch", "srv", &self.name, "--type", "merge", "-p", patch]);
    }

    /// Approves the plan as it stands, and follows it to its end.
    fn approve_and_follow(&self) {
        let name = self.name.as_str();
        println!("{}", self.labctl.run(&["plan", name]));
        self.labctl.run(&["approve", name, "--yes"]);
    }

    fn ssh(&self) -> Ssh {
        let address = self.labctl.run(&["get", "srv", &self.name, "-o", "jsonpath={.status.addresses[0]}"]);
        Ssh::to(self.folder.path(), address.trim())
    }

    /// From a machine that is off to one that carries out its approved plan.
    fn begin(&mut self) {
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
        let key = public_key(self.folder.path());
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
    fn install(&mut self) -> Ssh {
        self.begin();
        self.until("the image is unpacked", "{.status.stages[*].name}", |names| names.contains("bootLoader"));
        self.phase("Installed");
        let (done, followed) = self.labctl.try_run(&["progress", &self.name], "");
        assert!(done && followed.contains("Installed"), "{followed}");
        let ssh = self.ssh();
        ssh.wait(PATIENCE, &self.machine);
        self.passed("it answers over SSH");
        self.joins();
        println!("{}", ssh.run("systemd-analyze; systemd-analyze blame | head -n 12"));
        ssh
    }

    fn stop(&mut self) {
        self.labd.take().expect("it runs").stop().expect("it ends well");
    }

    fn passed(&self, what: &str) {
        let (wall, cpu) = (self.began.elapsed().as_secs_f64(), self.machine.cpu_seconds());
        println!("{wall:6.1} s, {cpu:6.1} s of processor  {what}");
    }

    /// Its agent joins by the token that was left for it, and takes commands.
    fn joins(&self) {
        self.until("its agent is online", "{.status.agent.online}", |online| online == "true");
        let said = self.labctl.run(&["exec", &self.name, "--", "uname", "-n"]);
        assert!(said.contains("db-1"), "{said}");
        self.passed("its agent carried a command out");
    }

    /// Asks for another installation, and restarts the machine as an operator would.
    fn reprovision(&mut self, ssh: &Ssh) {
        self.labctl.run(&["reprovision", &self.name, "--yes"]);
        let next = "{.spec.install.reprovision} {.status.plan.reprovision}";
        self.until("another plan is made", next, |numbers| numbers == "1 1");
        println!("{}", self.labctl.run(&["plan", &self.name]));
        self.labctl.run(&["approve", &self.name, "--yes"]);
        self.began = Instant::now();
        // The connection goes with the machine.
        ssh.run("sudo systemd-run --on-active=1 systemctl reboot");
        self.phase("Installing");
        self.until("it is installed again", "{.status.install.reprovision}", |number| number == "1");
        self.phase("Installed");
        // Nobody answers from the system that is gone.
        self.until("it is sent to its disk", "{.status.boot.answer}", |answer| answer == "local");
        ssh.wait(PATIENCE, &self.machine);
        self.passed("it answers over SSH");
        self.joins();
    }

    /// Boots the rescue system once, and looks at the disk from there.
    fn rescue(&mut self, ssh: &Ssh) {
        self.labctl.run(&["debug", &self.name, "--yes"]);
        self.machine.cut();
        self.start();
        self.until("it is given the rescue system", "{.status.boot.answer}", |answer| answer == "debug");
        self.until("that is spent", "{.spec.boot}", |boot| !boot.contains("once"));
        ssh.wait_for("cat /proc/1/comm", |name| name.trim() == "init", PATIENCE, &self.machine);
        self.passed("the rescue system answers over SSH");
        assert_eq!(ssh.run("lvs --noheadings -o vg_name | sort -u").trim(), "labvg");
        // The connection goes with the machine.
        ssh.run("(sleep 1; reboot -f) </dev/null >/dev/null 2>&1 &");
        self.until("it is sent to its disk", "{.status.boot.answer}", |answer| answer == "local");
        ssh.wait_for("cat /proc/1/comm", |name| name.trim() == "systemd", PATIENCE, &self.machine);
        self.passed("its own system answers over SSH");
    }

    /// Gives the machine up: it wipes its disks and is switched off, and its object goes.
    fn forget(&mut self) {
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

/// From blank to SSH and a joined agent; then again, and what is preserved is still there; then a disk appears, and nothing is written;
/// then all is wiped.
fn whole_way(firmware: Firmware, number: u8) {
    let mut lab = Lab::new(firmware, number);
    let ssh = lab.install();
    assert_eq!(ssh.run("hostname").trim(), "db-1");
    let mounts = ssh.run("findmnt --real --noheadings --list --output TARGET,FSTYPE");
    for line in ["/ xfs", "/boot ext4", "/home xfs", "/srv xfs", "/var xfs", "/var/log xfs"] {
        let line: Vec<_> = line.split(' ').collect();
        let found = mounts.lines().any(|found| found.split_whitespace().collect::<Vec<_>>() == line);
        assert!(found, "{line:?} in {mounts}");
    }
    assert_eq!(ssh.run("cat /proc/sys/kernel/sysrq").trim(), "1");
    assert_eq!(
        ssh.run("[ -d /sys/firmware/efi ] && echo uefi || echo bios").trim(),
        match firmware {
            Firmware::Bios => "bios",
            Firmware::Uefi => "uefi",
        }
    );
    lab.rescue(&ssh);
    ssh.run("echo kept | sudo tee /home/mine /srv/mine /mine && sudo sync");
    lab.reprovision(&ssh);
    assert_eq!(ssh.run("cat /home/mine /srv/mine").trim(), "kept\nkept");
    assert_eq!(
        ssh.run("ls /mine 2>&1 || true").trim(),
        "ls: cannot access '/mine': No such file or directory"
    );
    let log = lab.labctl.run(&["logs", &lab.name]);
    for line in ["reported its hardware: disks 1, NICs 1", "unpackImage is done", "carried out plan sha256:"]
    {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    a_plan_for_other_disks_is_refused(&mut lab);
    lab.forget();
    lab.stop();
}

/// While the image is unpacked labd is killed and comes back, then the machine's power is cut: neither is the end of the installation.
fn what_breaks_off_goes_on(firmware: Firmware, number: u8) {
    let mut lab = Lab::new(firmware, number);
    lab.begin();
    let bytes = r#"{.status.stages[?(@.name=="unpackImage")].doneBytes}"#;
    let beyond = |at: i64| move |found: &str| found.parse().is_ok_and(|bytes: i64| bytes > at);
    let at = lab.until("the image is being unpacked", bytes, beyond(20 << 20));
    lab.kill_labd();
    let at = lab.until("unpacking goes on", bytes, beyond(at.parse().expect("it is a number")));
    lab.machine.cut();
    println!("the power is cut with {at} bytes unpacked");
    lab.start();
    lab.until("it was started again", "{.status.boot.step}", |step| step != "heard");
    lab.phase("Installing");
    lab.phase("Installed");
    let ssh = lab.ssh();
    ssh.wait(PATIENCE, &lab.machine);
    assert_eq!(ssh.run("hostname").trim(), "db-1");
    lab.joins();
    lab.stop();
}

/// Between approval and boot a disk is put in.
fn a_plan_for_other_disks_is_refused(lab: &mut Lab) {
    let name = lab.name.clone();
    let unpacked = |lab: &Lab| lab.labctl.run(&["logs", &name]).matches("unpackImage began").count();
    let before = unpacked(lab);
    lab.labctl.run(&["reprovision", &name, "--yes"]);
    lab.until("a third plan is made", "{.status.plan.reprovision}", |number| number == "2");
    let approved = lab.labctl.run(&["get", "srv", &name, "-o", "jsonpath={.status.plan.hash}"]);
    lab.labctl.run(&["approve", &name, "--yes"]);
    lab.machine.cut();
    lab.machine.add_disk();
    lab.start();
    let other = |hash: &str| !hash.is_empty() && hash != approved.trim();
    lab.until("a plan is made for the disks as they are", "{.status.plan.hash}", other);
    let said = lab.labctl.until("it says why not", PATIENCE, &["logs", &name], |log| {
        log.contains("check failed: nothing was written") || log.contains("waiting: a plan was made")
    });
    assert_eq!(unpacked(lab), before, "nothing was installed:\n{said}");
    let path = "jsonpath={.status.plan.approved}{.status.install.reprovision}";
    let found = lab.labctl.run(&["get", "srv", &name, "-o", path]);
    assert_eq!(found.trim().trim_start_matches("false"), "1", "nobody approved it");
}

#[test]
#[ignore = "needs root and QEMU, and many minutes"]
fn by_bios() {
    whole_way(Firmware::Bios, 1);
}

#[test]
#[ignore = "needs root and QEMU, and many minutes"]
fn by_uefi() {
    whole_way(Firmware::Uefi, 2);
}

#[test]
#[ignore = "needs root and QEMU, and many minutes"]
fn with_interruptions() {
    what_breaks_off_goes_on(Firmware::Uefi, 3);
}
