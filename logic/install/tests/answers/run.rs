//! Scripts run with stubs in the place of disk tools: what they do, and what they refuse.

use crate::cases::{Case, EXECUTABLE, digits, fresh};
use crate::grammar::scripts;
use crate::machine::{GIB, Machine, Vanilla, Worker, foreign, nvme};
use crate::tools::{content, packaged, pykickstart};
use lab_install::agent;
use lab_install::answer::Given;
use lab_kinds::metal::operating_system::Method;
use lab_kinds::metal::server::Disk;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A machine made of files: what the kernel shows of its disks, what stands on them, and tools that note what they are asked.
pub struct Bench {
    pub folder: tempfile::TempDir,
    shell: Vec<&'static str>,
}

/// Tools that do nothing.
const IDLE: &[&str] = &[
    "wipefs",
    "pvcreate",
    "vgcreate",
    "lvcreate",
    "lvremove",
    "vgchange",
    "udevadm",
    "useradd",
    "systemctl",
    "restorecon",
    "in-target",
    "curtin",
    "debconf-set",
    "preseed_fetch",
    "update-grub",
    "pvs",
    "sleep",
    "mount",
    "nc",
];

impl Bench {
    pub fn new(shell: &[&'static str], machine: &Machine) -> Self {
        let bench = Self { folder: tempfile::tempdir().expect("there is room"), shell: shell.to_vec() };
        for folder in ["bin", "sys/block", "dev", "tags", "tmp", "target"] {
            fs::create_dir_all(bench.path(folder)).expect("there is room");
        }
        for tool in IDLE {
            bench.tool(tool, "");
        }
        let tags = bench.path("tags");
        bench.tool("blkid", &format!("cat '{}'/\"$3-${{6##*/}}\" 2>/dev/null || exit 2", tags.display()));
        bench.tool("vgs", &format!("cat '{}/vgs'", tags.display()));
        bench.tool(
            "lvs",
            &format!(
                "for name in \"$@\"; do :; done; cat '{}/lv-'\"${{name##*/}}\" 2>/dev/null || exit 5",
                tags.display()
            ),
        );
        let dev = bench.path("dev");
        let sfdisk = format!(
            "sed -n 's/^\\([0-9]*\\) : .*/\\1/p' | while read -r n; do : >'{}'/nvme0n1p\"$n\"; done",
            dev.display()
        );
        bench.tool("sfdisk", &sfdisk);
        // curl says what it was given to send, and where to; what it fetches is what the boot server has.
        let (posts, served) = (bench.path("posts"), bench.path("served"));
        bench.tool(
            "curl",
            &format!(
                "to=/dev/null\nwhile [ $# -gt 0 ]; do case $1 in --output) to=$2; shift ;; @*) cat \"${{1#@}}\" >>'{0}' ;; \
                 http*) echo \"$1\" >>'{0}.to' ;; esac; shift; done\n[ \"$to\" = /dev/null ] || cp '{1}' \"$to\"",
                posts.display(),
                served.display()
            ),
        );
        fs::write(served, EXECUTABLE).expect("there is room");
        machine.disks.iter().for_each(|disk| bench.disk(disk));
        for group in &machine.groups {
            bench.tag("vgs", &format!("  {}\n", group.uuid));
            for volume in &group.volumes {
                bench.tag(&format!("lv-{}", volume.name), &format!("  {}\n", volume.size_bytes));
                bench.tag(&format!("UUID-{}", volume.name), &volume.signature.uuid);
            }
        }
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tag(&self, name: &str, text: &str) {
        fs::write(self.path("tags").join(name), text).expect("there is room");
    }

    pub fn tool(&self, name: &str, body: &str) {
        let path = self.path("bin").join(name);
        let log = self.path("log");
        let text = format!("#!/bin/sh\necho \"${{0##*/}} $*\" >>'{}'\n{body}\n", log.display());
        fs::write(&path, text).expect("there is room");
        content("chmod", Command::new("chmod").arg("755").arg(path));
    }

    fn disk(&self, disk: &Disk) {
        let shown = self.path("sys/block").join(&disk.name);
        let write = |name: &str, text: String| fs::write(shown.join(name), text).expect("there is room");
        fs::create_dir_all(shown.join("device")).expect("there is room");
        write("device/serial", format!("{}   \n", disk.serial));
        write("size", format!("{}\n", disk.size_bytes / 512));
        write("removable", "0\n".into());
        write("ro", "0\n".into());
        if disk.contents.partition_table.is_some() {
            self.tag(&format!("PTTYPE-{}", disk.name), "gpt");
            self.tag(&format!("PTUUID-{}", disk.name), &disk.contents.uuid);
        }
        for p in &disk.contents.partitions {
            let name = format!("{}p{}", disk.name, p.number);
            fs::create_dir_all(shown.join(&name)).expect("there is room");
            fs::write(shown.join(&name).join("partition"), format!("{}\n", p.number)).expect("there is room");
            self.tag(&format!("TYPE-{name}"), &p.signature.kind);
            self.tag(&format!("UUID-{name}"), &p.signature.uuid);
        }
    }

    /// Runs a script with the machine's places in the place of ours.
    fn run(&self, script: &str) -> Output {
        let mut text = script.to_owned();
        let dash = |name: &str| self.path(name).display().to_string();
        for (ours, place) in [
            ("lab_sys=/sys\n", format!("lab_sys={}\n", dash("sys"))),
            ("lab_dev=/dev\n", format!("lab_dev={}\n", dash("dev"))),
            ("lab_target=''\n", format!("lab_target={}\n", dash("target"))),
            ("lab_target=/target\n", format!("lab_target={}\n", dash("target"))),
            (" /target/", format!(" {}/", dash("target"))),
            ("/tmp/lab", dash("tmp/lab")),
            ("/mnt/sysroot", dash("target")),
            ("/usr/lib/", format!("{}/", dash("tmp"))),
            ("/lib/partman/init.d", dash("tmp")),
            (" /autoinstall.yaml", format!(" {}", dash("autoinstall.yaml"))),
            ("/sys/firmware/efi", dash("sys/firmware/efi")),
        ] {
            text = text.replace(ours, &place);
        }
        let path = self.path("script");
        fs::write(&path, text).expect("there is room");
        self.start(&path)
    }

    /// Runs a file as it is.
    fn start(&self, path: &Path) -> Output {
        let bin = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap_or_default());
        let (shell, arguments) = self.shell.split_first().expect("a shell has a name");
        Command::new(shell).args(arguments).arg(path).env("PATH", bin).output().expect("there is a shell")
    }

    #[track_caller]
    fn runs(&self, what: &str, script: &str) {
        let output = self.run(script);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what} by {:?}: {said}\n{}", self.shell, self.posts().join("\n"));
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// What was reported.
    pub fn posts(&self) -> Vec<String> {
        self.read("posts").lines().map(str::to_owned).collect()
    }

    /// Stages that began, and those that failed.
    pub fn stages(&self) -> Vec<String> {
        let stages = self.posts().into_iter().filter_map(|post| {
            let stage: serde_json::Value = serde_json::from_str(&post).ok()?;
            let name = stage["stage"].as_str()?.to_owned();
            match stage["outcome"].as_str() {
                None => Some(name),
                Some("failed") => Some(format!("{name} failed: {}", stage["message"].as_str()?)),
                Some(_) => None,
            }
        });
        stages.collect()
    }

    /// The tools that were asked to write.
    fn wrote(&self) -> Vec<String> {
        let writes = ["wipefs", "sfdisk", "pvcreate", "vgcreate", "lvcreate", "lvremove", "debconf-set"];
        let log = self.read("log");
        let place = self.folder.path().display().to_string();
        let lines = log.lines().filter(|line| writes.iter().any(|tool| line.starts_with(tool)));
        lines.map(|line| line.replace(&place, "")).collect()
    }
}

/// The shells of all three installers, as far as they are here.
fn shells() -> Vec<Vec<&'static str>> {
    let mut shells = vec![vec!["sh"], vec!["bash", "--posix"]];
    if packaged("busybox").is_some() {
        shells.push(vec!["busybox", "sh"]);
    }
    shells
}

pub fn section(case: &Case, name: &str) -> String {
    let found = scripts(&case.files()).into_iter().find(|(header, _)| header == name);
    found.unwrap_or_else(|| panic!("{} has no {name}", case.name)).1
}

fn kickstart(machine: Machine) -> Case {
    Case::of("kickstart".into(), Method::Kickstart, machine)
}

#[test]
fn a_new_disk_is_divided_as_the_plan_says() {
    for shell in shells() {
        let case = kickstart(Machine::new(Worker, vec![nvme(400 * GIB)]));
        let bench = Bench::new(&shell, &case.machine);
        bench.runs("%pre", &section(&case, "pre"));
        assert_eq!(bench.stages(), ["installer", "disk", "check", "partition", "volumes", "format"]);
        let wrote = bench.wrote();
        assert_eq!(wrote[0], "wipefs --all --force /dev/nvme0n1");
        assert_eq!(wrote[1], "sfdisk --wipe always --wipe-partitions always /dev/nvme0n1");
        assert!(
            wrote[2].starts_with("pvcreate --devicesfile  --yes --force --norestorefile --uuid "),
            "{wrote:?}"
        );
        assert!(wrote[2].ends_with(" /dev/nvme0n1p3"), "{wrote:?}");
        assert_eq!(
            wrote[3],
            "vgcreate --devicesfile  --yes --physicalextentsize 4194304b labvg /dev/nvme0n1p3"
        );
        assert_eq!(wrote.len(), 4 + case.plan.volume_group.as_ref().map_or(0, |g| g.volumes.len()));
        let table = bench.read("tmp/lab/table");
        assert!(
            table.contains("1 : start=1024KiB, size=614400KiB, type=c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
            "{table}"
        );
        let storage =
            bench.read("tmp/lab-storage.ks").replace(&bench.folder.path().display().to_string(), "");
        let expected = "ignoredisk --only-use=nvme0n1
bootloader --timeout=2 --append='quiet iommu=pt' --boot-drive=nvme0n1
part /boot/efi --fstype=efi --onpart=/dev/nvme0n1p1
part /boot --fstype=ext4 --onpart=/dev/nvme0n1p2
part pv.1 --fstype=lvmpv --noformat --onpart=/dev/nvme0n1p3
volgroup labvg --useexisting --noformat
logvol swap --vgname=labvg --name=swap --useexisting --fstype=swap
logvol / --vgname=labvg --name=root --useexisting --fstype=xfs
logvol /var --vgname=labvg --name=var --useexisting --fstype=xfs
logvol /var/log --vgname=labvg --name=log --useexisting --fstype=xfs
logvol /home --vgname=labvg --name=home --useexisting --fstype=xfs
logvol /srv --vgname=labvg --name=srv --useexisting --fstype=xfs
logvol /var/lib/longhorn --vgname=labvg --name=longhorn --useexisting --fstype=xfs
";
        assert_eq!(storage, expected);
        whole(&case, &storage);
    }
}

/// The kickstart with what `%pre` wrote.
fn whole(case: &Case, storage: &str) {
    let Some(mut validator) = pykickstart("ksvalidator") else { return };
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("whole.ks");
    let text = case.file("ks.cfg").replace("%include /tmp/lab-storage.ks\n", storage);
    fs::write(&path, text).expect("there is room");
    content("the whole kickstart", validator.args(["--version", "F43"]).arg(path));
}

#[test]
fn what_is_preserved_is_out_of_sight() {
    let case = kickstart(Machine::new(Worker, vec![nvme(400 * GIB)]).installed());
    let bench = Bench::new(&["sh"], &case.machine);
    bench.runs("%pre", &section(&case, "pre"));
    let wrote = bench.wrote().join("\n");
    assert!(!wrote.contains("wipefs") && !wrote.contains("sfdisk") && !wrote.contains("pvcreate"), "{wrote}");
    for kept in ["home", "srv", "longhorn"] {
        assert!(!wrote.contains(kept), "{wrote}");
    }
    assert!(wrote.contains("lvremove --devicesfile  --yes --force labvg/root"), "{wrote}");
    let storage = bench.read("tmp/lab-storage.ks");
    assert!(storage.contains("part /boot --fstype=ext4 --noformat --onpart="), "{storage}");
    assert!(
        !storage.contains("/home") && !storage.contains("/srv") && !storage.contains("longhorn"),
        "{storage}"
    );
    whole(&case, &storage);

    let bench = Bench::new(&["sh"], &case.machine);
    fs::create_dir_all(bench.path("target/etc")).expect("there is room");
    bench.tool("efibootmgr", "");
    bench.runs("%post", &section(&case, "post"));
    let fstab = bench.read("target/etc/fstab");
    assert!(
        fstab.contains("/dev/labvg/home /home xfs defaults,x-systemd.device-timeout=10min 0 0\n"),
        "{fstab}"
    );
    assert!(fstab.contains("tmpfs /tmp tmpfs nosuid,nodev,mode=1777,size=4294967296 0 0\n"), "{fstab}");
    assert!(!fstab.contains(" / "), "{fstab}");
}

#[test]
fn no_other_disk_is_ever_taken() {
    let check = |what: &str, change: fn(&mut Machine), failed: &str| {
        for (method, script) in
            [(Method::Kickstart, "pre"), (Method::Autoinstall, "early.sh"), (Method::Preseed, "partman.sh")]
        {
            let case = Case::of(what.into(), method, Machine::new(Vanilla, vec![foreign(nvme(400 * GIB))]));
            let mut now = case.machine.clone();
            change(&mut now);
            let bench = Bench::new(&["sh"], &now);
            let output = bench.run(&section(&case, script));
            assert!(!output.status.success(), "{what}");
            assert_eq!(bench.wrote(), Vec::<String>::new(), "{what}");
            let last = bench.stages().pop().unwrap_or_default();
            assert!(last.contains(failed), "{what}: {last}");
        }
    };
    check("another serial", |m| m.disks[0].serial = "S-other".into(), "no disk has serial");
    check("another size", |m| m.disks[0].size_bytes += 512, "no disk has serial");
    check("no disk", |m| m.disks.clear(), "no disk has serial");
    check(
        "two alike",
        |m| m.disks.push(Disk { name: "nvme1n1".into(), ..m.disks[0].clone() }),
        "both look like",
    );
    check("another table", |m| m.disks[0].contents.uuid = "other".into(), "has changed since the plan");
    check(
        "another file system",
        |m| m.partition(3).signature.uuid = "other".into(),
        "has changed since the plan",
    );
    check(
        "a partition more",
        |m| {
            let more = m.disks[0].contents.partitions[2].clone();
            m.disks[0]
                .contents
                .partitions
                .push(lab_kinds::metal::server::hardware::Partition { number: 4, ..more });
        },
        "has changed since the plan",
    );
}

#[test]
fn an_installation_that_broke_off_goes_on() {
    let case = kickstart(Machine::new(Vanilla, vec![foreign(nvme(400 * GIB))]));
    let mut now = case.machine.clone();
    now.disks[0].contents.uuid =
        lab_install::hash::table_uuid(case.plan.hash.as_deref().expect("it can be approved"));
    Bench::new(&["sh"], &now).runs("its own table", &section(&case, "pre"));
    // A table that somebody else made meanwhile, while the plan was under way.
    now.disks[0].contents.uuid = "other".into();
    let begun = Given { begun: true, ..case.given() };
    let files = lab_install::answer::render(&begun).expect("it can be answered");
    let (_, script) = scripts(&files).into_iter().find(|(name, _)| name == "pre").expect("there is one");
    Bench::new(&["sh"], &now).runs("begun", &script);
}

#[test]
fn what_fails_is_reported_with_its_line() {
    for shell in shells() {
        let case = kickstart(fresh());
        let bench = Bench::new(&shell, &case.machine);
        bench.tool("vgcreate", "echo first >&2; echo 'no \"room\" left' >&2; exit 5");
        let script = section(&case, "pre");
        let output = bench.run(&script);
        assert_eq!(output.status.code(), Some(1));
        let line = script.lines().position(|line| line.contains("vgcreate")).expect("it is called") + 1;
        let last = bench.stages().pop().unwrap_or_default();
        assert!(last.starts_with(&format!("volumes failed: line {line}: vgcreate ")), "{last}");
        assert!(last.ends_with("ended with 5: no \"room\" left"), "{last}");
        assert!(bench.read("posts").contains("first\n"), "what it said before is in the log");
        // What nobody foresaw.
        let bench = Bench::new(&shell, &case.machine);
        let output = bench.run(&script.replace("lab_begin volumes", "lab_begin volumes\nfalse"));
        assert!(!output.status.success());
        assert!(
            bench.stages().pop().unwrap_or_default().contains("volumes failed: line"),
            "{:?}",
            bench.stages()
        );
    }
}

#[test]
fn the_new_system_is_this_machines_own() {
    for shell in shells() {
        for (method, script) in
            [(Method::Kickstart, "post"), (Method::Autoinstall, "late.sh"), (Method::Preseed, "late.sh")]
        {
            let case = Case::of(format!("{method:?}"), method, Machine::new(Worker, vec![nvme(400 * GIB)]));
            let bench = Bench::new(&shell, &case.machine);
            fs::create_dir_all(bench.path("target/etc")).expect("there is room");
            fs::create_dir_all(bench.path("sys/firmware/efi/efivars")).expect("there is room");
            bench.runs(&case.name, &section(&case, script));
            assert_eq!(bench.read("target/etc/hostname"), "node3.lab.example\n");
            let keys = bench.read("target/etc/ssh/authorized_keys.d/ops");
            assert_eq!(keys, "ssh-ed25519 AAAAC3Nza it's me; `x` $HOME \"%end\"\n");
            assert_eq!(bench.read("target/etc/sudoers.d/90-lab"), "ops ALL=(ALL:ALL) NOPASSWD: ALL\n");
            assert!(bench.read("target/etc/sysctl.d/90-lab.conf").starts_with("kernel.sysrq = 1\n"));
            assert!(bench.read("target/etc/modules-load.d/lab.conf").contains("br_netfilter"));
            agent_is_installed(&bench);
            let stages = bench.stages();
            let expected = ["identity", "account", "ssh", "kernel", "role", "mounts"];
            assert_eq!(stages[..6], expected, "{stages:?}");
            assert!(stages.iter().all(|stage| !stage.contains("failed")), "{stages:?}");
            if method != Method::Kickstart {
                assert_eq!(stages.last().map(String::as_str), Some("finished"));
                let hash = case.plan.hash.as_deref().unwrap_or_default();
                assert!(
                    bench
                        .posts()
                        .pop()
                        .unwrap_or_default()
                        .contains(&format!("\"done\", \"message\": \"{hash}\""))
                );
            }
        }
    }
}

/// The new system has its agent, as our own installer leaves it.
fn agent_is_installed(bench: &Bench) {
    let mode = |path: &str| {
        let found =
            fs::metadata(bench.path("target").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        found.permissions().mode() & 0o7777
    };
    assert_eq!(bench.read("target/usr/local/bin/lab-agent"), EXECUTABLE);
    assert_eq!(mode("usr/local/bin/lab-agent"), 0o755);
    for file in agent::files("https://10.9.0.3:6443", "sha256:c0ffee", "jo1n") {
        let path = file.path.trim_start_matches('/');
        assert_eq!(bench.read(&format!("target/{path}")), file.text, "{path}");
        assert_eq!(mode(path), file.mode, "{path}");
    }
    let log = bench.read("log");
    assert!(log.contains("systemctl enable lab-agent.service\n"), "{log}");
    assert!(bench.read("posts.to").contains("http://10.9.0.2/systems/agent/amd64/lab-agent\n"));
    assert!(bench.read("posts").contains("\"stage\": \"agent\", \"outcome\": \"done\""));
}

/// Installs a system whose agent is changed beforehand, by every installer: whether that went well, and what was said of the agent last.
fn of_the_agent(change: impl Fn(&mut Case, &Bench)) -> Vec<(bool, String)> {
    let scripts =
        [(Method::Kickstart, "post"), (Method::Autoinstall, "late.sh"), (Method::Preseed, "late.sh")];
    let said = scripts.map(|(method, script)| {
        let mut case = Case::of(format!("{method:?}"), method, fresh());
        let bench = Bench::new(&["sh"], &case.machine);
        fs::create_dir_all(bench.path("target/etc")).expect("there is room");
        change(&mut case, &bench);
        let output = bench.run(&section(&case, script));
        // Nothing is left half.
        assert!(!bench.path("target/usr/local/bin/lab-agent").exists(), "{method:?}");
        assert!(
            !bench.path("target/etc/lab").exists() && !bench.read("log").contains("lab-agent.service"),
            "{method:?}"
        );
        let posts = bench.posts();
        let last = posts.iter().rfind(|post| post.contains("\"stage\": \"agent\"")).expect("it is told");
        (output.status.success(), last.clone())
    });
    said.into()
}

#[test]
fn an_agent_that_is_not_there_ends_no_installation() {
    let check = |what: &str, change: &dyn Fn(&mut Case, &Bench), expected: &str| {
        for (went_well, said) in of_the_agent(change) {
            assert!(went_well, "{what}: {said}");
            assert!(said.contains("\"outcome\": \"skipped\"") && said.contains(expected), "{what}: {said}");
        }
    };
    check(
        "none",
        &|case, _| case.agent = Err("put `one` there".into()),
        "no agent is installed: put `one` there",
    );
    check(
        "it does not come",
        &|_, bench| fs::remove_file(bench.path("served")).expect("it was there"),
        "http://10.9.0.2/systems/agent/amd64/lab-agent did not come",
    );
    let does_not_run = |case: &mut Case, bench: &Bench| {
        let text = "#!/bin/sh\necho 'no libc' >&2\nexit 1\n";
        fs::write(bench.path("served"), text).expect("there is room");
        case.agent.as_mut().expect("it has one").sha256 = digits(text);
        // Inside of the new system.
        ["in-target", "curtin"]
            .iter()
            .for_each(|tool| bench.tool(tool, "case $* in *lab-agent*) echo 'no libc'; exit 1 ;; esac"));
    };
    check("it does not run", &does_not_run, "does not run on this system");
}

#[test]
fn an_agent_that_was_altered_is_refused() {
    for (went_well, said) in of_the_agent(|_, bench| {
        fs::write(bench.path("served"), "#!/bin/sh\nrm -rf /tmp/x\n").expect("there is room");
    }) {
        assert!(!went_well && said.contains("\"outcome\": \"failed\""), "{said}");
        let found = digits("#!/bin/sh\nrm -rf /tmp/x\n");
        assert!(said.contains(&format!("has SHA-256 {found} and not {}", digits(EXECUTABLE))), "{said}");
    }
}

#[test]
fn the_network_comes_first_in_the_boot_order() {
    let entries = "BootCurrent: 0003\nBootOrder: 0004,0000,0001,0002,0003\nBoot0000* UiApp\tFvVol(7cb8)\n\
                   Boot0001* UEFI Misc Device\tPciRoot(0x0)/Pci(0x4,0x0)\n\
                   Boot0002* UEFI PXEv4 (MAC:525400000001)\tPciRoot(0x0)/MAC(525400000001,1)/IPv4(0.0.0.0)\n\
                   Boot0003* UEFI HTTPv4 (MAC:525400000001)\tPciRoot(0x0)/Uri()\n\
                   Boot0004* Fedora\tHD(1,GPT,ee1cbc00)/File(\\EFI\\fedora\\shimx64.efi)\n";
    let case = kickstart(fresh());
    let bench = Bench::new(&["sh"], &case.machine);
    fs::create_dir_all(bench.path("target/etc")).expect("there is room");
    bench.tag("entries", entries);
    bench.tool("efibootmgr", &format!("[ \"$1\" != -v ] || cat '{}'", bench.path("tags/entries").display()));
    bench.runs("%post", &section(&case, "post"));
    let log = bench.read("log");
    assert!(log.contains("efibootmgr --quiet --bootorder 0003,0004,0000,0001,0002\n"), "{log}");
    // Firmware that refuses does not end an installation.
    bench.tool("efibootmgr", "exit 2");
    bench.runs("%post", &section(&case, "post"));
    assert!(bench.read("posts").contains("\"stage\": \"boot-order\", \"outcome\": \"skipped\""));
}

#[test]
fn the_disk_is_named_to_subiquity_and_partman() {
    let case = Case::of("autoinstall".into(), Method::Autoinstall, fresh());
    let bench = Bench::new(&["sh"], &case.machine);
    fs::write(bench.path("autoinstall.yaml"), case.file("user-data")).expect("there is room");
    bench.runs("early.sh", &section(&case, "early.sh"));
    let text = bench.read("autoinstall.yaml");
    assert!(text.contains("/nvme0n1\"") && !text.contains("approved-disk"), "{text}");

    let case = Case::of("preseed".into(), Method::Preseed, fresh());
    let bench = Bench::new(&["sh"], &case.machine);
    bench.runs("partman.sh", &section(&case, "partman.sh"));
    assert_eq!(
        bench.wrote(),
        ["debconf-set grub-installer/bootdev /dev/nvme0n1", "debconf-set partman-auto/disk /dev/nvme0n1"]
    );
    let again = Case::of("preseed".into(), Method::Preseed, fresh().installed());
    let bench = Bench::new(&["sh"], &again.machine);
    bench.runs("partman.sh", &section(&again, "partman.sh"));
    let place = bench.folder.path().display().to_string();
    let expected = "/dev/nvme0n1p1 efi fat32 /boot/efi keep defaults
/dev/nvme0n1p2 keep ext4 /boot keep defaults
/dev/labvg/swap swap swap none format defaults
/dev/labvg/root format xfs / format defaults
/dev/labvg/var format xfs /var format defaults
/dev/labvg/log format xfs /var/log format defaults
";
    assert_eq!(bench.read("tmp/lab-assign").replace(&place, ""), expected);
    assert!(Path::new(&bench.path("tmp/95lab")).is_file());
}

#[test]
fn debians_stages_are_put_into_its_own_hooks() {
    let case = Case::of("preseed".into(), Method::Preseed, fresh());
    let bench = Bench::new(&["sh"], &case.machine);
    for folder in ["base-installer.d", "pre-pkgsel.d"] {
        fs::create_dir_all(bench.path("tmp").join(folder)).expect("there is room");
    }
    bench.runs("early.sh", &section(&case, "early.sh"));
    assert_eq!(bench.stages(), ["installer", "hardware"]);
    let stage = section(&case, "stage.sh").replace("/tmp/lab", &bench.path("tmp/lab").display().to_string());
    fs::write(bench.path("tmp/lab-stage.sh"), stage).expect("there is room");
    assert!(bench.start(&bench.path("tmp/base-installer.d/05lab")).status.success());
    assert_eq!(bench.stages(), ["installer", "hardware", "base"]);
}
