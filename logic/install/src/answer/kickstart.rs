//! Anaconda's kickstart: commands, packages, and sections with scripts.
//!
//! The disk is found and divided by `%pre`, which writes the commands that name it into a file that the kickstart includes. Anaconda
//! formats and mounts what stands there, and is not told of what is preserved.

use super::shell::{Statement, Word, quoted, script, variable};
use super::system::{self, Target};
use super::{
    AnswerFile, Fixed, Given, Unanswerable, disk, disk_prelude, finished, packages, prelude, runs_workloads,
    stages, system_name,
};
use crate::answer::shell::words;
use crate::identity;
use crate::plan::{BIOS_BOOT, PHYSICAL_VOLUME};
use lab_kinds::metal::server::{FileSystemFate, PartitionPlan, VolumePlan};

/// A kickstart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kickstart {
    /// Its first line, a comment of one line.
    pub title: String,
    /// Commands: words each, of which the first is the command's name.
    pub commands: Vec<Vec<String>>,
    /// Files that are included behind the commands, and that `%pre` writes.
    pub includes: Vec<String>,
    /// What `%packages` names; nothing where there is no such section.
    pub packages: Vec<String>,
    /// Sections with scripts.
    pub scripts: Vec<Section>,
}

/// A section with a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What stands behind the percent sign, such as `pre --erroronfail`.
    pub header: &'static str,
    /// The script.
    pub statements: Vec<Statement>,
}

impl Kickstart {
    /// The file's text. Anaconda splits lines as a shell does.
    pub fn written(&self) -> Result<String, Unanswerable> {
        if self.title.contains(|c: char| c.is_control()) {
            return Err(Unanswerable::Value { value: self.title.clone(), place: "a comment" });
        }
        let mut text = format!("# {}\n", self.title);
        for command in &self.commands {
            let words: Result<Vec<_>, _> = command.iter().map(|word| option(word)).collect();
            text += &format!("{}\n", words?.join(" "));
        }
        for include in &self.includes {
            text += &format!("%include {}\n", quoted(include)?);
        }
        if !self.packages.is_empty() {
            text += &format!("\n%packages\n{}\n%end\n", self.packages.join("\n"));
        }
        for section in &self.scripts {
            text += &format!("\n%{}\n{}%end\n", section.header, script(&section.statements)?);
        }
        Ok(text)
    }
}

/// `--name=value` with the value quoted, or a word.
fn option(word: &str) -> Result<String, Unanswerable> {
    match word.split_once('=').filter(|_| word.starts_with("--")) {
        Some((name, value)) => Ok(format!("{name}={}", quoted(value)?)),
        None => quoted(word),
    }
}

/// Where `%pre` writes the commands that name the disk.
const STORAGE: &str = "/tmp/lab-storage.ks";

/// The new system, from scripts that run in it.
const TARGET: Target = Target { root: "", inside: &[] };

/// The kickstart of an installation.
pub fn render(given: &Given) -> Result<Vec<AnswerFile>, Unanswerable> {
    let kickstart = Kickstart {
        title: format!(
            "{} on {} by plan {}",
            system_name(given),
            identity::hostname(given.server),
            given.plan.hash.as_deref().unwrap_or_default()
        ),
        commands: commands(given)?,
        includes: vec![STORAGE.into()],
        packages: [vec!["@core".into()], packages::of(given)].concat(),
        scripts: scripts(given)?,
    };
    Ok(vec![AnswerFile { name: "ks.cfg", text: kickstart.written()? }])
}

fn commands(given: &Given) -> Result<Vec<Vec<String>>, Unanswerable> {
    let (main, others) = given
        .system
        .spec
        .repositories
        .split_first()
        .ok_or_else(|| Unanswerable::NoRepository { name: system_name(given).into() })?;
    let hostname = identity::hostname(given.server);
    let mut services = vec!["sshd", "chronyd"];
    services.extend(packages::services(given));
    let workloads = runs_workloads(given);
    let mut commands = vec![
        vec!["text".into(), "--non-interactive".into()],
        vec!["lang".into(), "en_US.UTF-8".into()],
        vec!["keyboard".into(), "--xlayouts=us".into()],
        vec!["timezone".into(), "--utc".into(), "Etc/UTC".into()],
        vec!["url".into(), format!("--url={}", main.url)],
    ];
    commands.extend(others.iter().map(|repository| {
        vec!["repo".into(), format!("--name={}", repository.name), format!("--baseurl={}", repository.url)]
    }));
    commands.push(network(given.fixed));
    let fixed: &[&[&str]] = &[
        &["rootpw", "--lock"],
        &["selinux", if workloads { "--permissive" } else { "--enforcing" }],
        &["firewall", if workloads { "--disabled" } else { "--enabled" }],
        &["firstboot", "--disable"],
        &["skipx"],
        &["clearpart", "--none"],
        &["reboot"],
    ];
    commands.extend(fixed.iter().map(|command| command.iter().map(|word| (*word).to_owned()).collect()));
    if !workloads {
        // The service stays reachable behind the filter.
        commands.iter_mut().filter(|c| c[0] == "firewall").for_each(|c| c.push("--ssh".into()));
    }
    commands.push(vec!["network".into(), format!("--hostname={hostname}")]);
    commands.push(vec!["services".into(), format!("--enabled={}", services.join(","))]);
    commands.push(vec!["logging".into(), format!("--host={}", given.site.log_host), "--port=514".into()]);
    Ok(commands)
}

/// The NIC that booted, in the installer and in the new system.
fn network(fixed: Option<Fixed>) -> Vec<String> {
    let mut command = vec!["network".to_owned(), "--device=bootif".into()];
    match fixed {
        None => command.push("--bootproto=dhcp".into()),
        Some(Fixed { address, mask, gateway, name_servers }) => {
            command.extend([
                "--bootproto=static".into(),
                format!("--ip={address}"),
                format!("--netmask={mask}"),
            ]);
            command.extend(gateway.map(|gateway| format!("--gateway={gateway}")));
            let names: Vec<_> = name_servers.iter().map(ToString::to_string).collect();
            command.extend((!names.is_empty()).then(|| format!("--nameserver={}", names.join(","))));
        }
    }
    command.extend(["--onboot=yes".into(), "--activate".into()]);
    command
}

fn scripts(given: &Given) -> Result<Vec<Section>, Unanswerable> {
    let mut pre = prelude(given);
    pre.extend(disk_prelude());
    pre.push(Statement::Stage(stages::FIRST, Vec::new()));
    pre.extend(disk::find(given)?);
    pre.extend(disk::prepare(given)?);
    pre.push(Statement::Write { path: STORAGE.into(), mode: 0o600, lines: storage(given)? });
    pre.push(Statement::Begin("format"));

    let mut before = prelude(given);
    before.extend([Statement::Done("format"), Statement::Begin("packages")]);

    let mut post = prelude(given);
    post.push(Statement::Done("packages"));
    post.extend(system::stages(given, TARGET));
    // What was written here has to bear the labels that the new system's rules give it.
    let labels = words!["restorecon", "-R", "/etc", "/home", "/root", "/usr/local/bin"];
    post.push(Statement::Stage("labels", vec![Statement::May(labels)]));

    let mut last = prelude(given);
    let logs =
        ["/tmp/anaconda.log", "/tmp/storage.log", "/tmp/packaging.log", "/tmp/program.log", "/tmp/syslog"];
    last.push(system::logs(&logs, "/mnt/sysroot"));
    last.extend(finished(given));

    let mut error = prelude(given);
    let tail =
        words!["sh", "-c", "tail -n 100 /tmp/anaconda.log >\"$1\"", "sh", variable("lab_dir").and("/tail")];
    error.push(Statement::May(tail));
    error.push(Statement::Call(words![
        "lab_post",
        Word::from("log/").and(variable("lab_token")),
        variable("lab_dir").and("/tail")
    ]));
    error.push(Statement::Call(words![
        "lab_report",
        "anaconda",
        "failed",
        "Anaconda ended; its log says why"
    ]));

    let section = |header, statements| Section { header, statements };
    Ok(vec![
        section("pre --interpreter=/bin/sh --erroronfail", pre),
        section("pre-install --interpreter=/bin/sh --erroronfail", before),
        section("post --interpreter=/bin/sh --erroronfail", post),
        section("post --nochroot --interpreter=/bin/sh --erroronfail", last),
        section("onerror --interpreter=/bin/sh", error),
    ])
}

/// The commands that name the disk.
fn storage(given: &Given) -> Result<Vec<Word>, Unanswerable> {
    let (disk, group) = disk::chosen(given.plan)?;
    let mut lines = vec![
        Word::from("ignoredisk --only-use=").and(variable("lab_disk")),
        Word::from(format!("bootloader --timeout=2 --append={} --boot-drive=", quoted(&arguments(given))?))
            .and(variable("lab_disk")),
    ];
    lines.extend(disk.partitions.iter().filter_map(partition));
    lines.push(format!("volgroup {} --useexisting --noformat", group.name).into());
    lines.extend(group.volumes.iter().filter_map(|volume| logical_volume(&group.name, volume)));
    Ok(lines)
}

/// The kernel's arguments in the new system.
fn arguments(given: &Given) -> String {
    let own = given.server.spec.install.iter().flat_map(|install| &install.kernel_arguments);
    let all = given.system.spec.kernel_arguments.iter().chain(own);
    all.map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn partition(partition: &PartitionPlan) -> Option<Word> {
    let on = |what: &str, kind: &str, keep: bool| {
        let keep = if keep { " --noformat" } else { "" };
        Word::from(format!("part {what} --fstype={kind}{keep} --onpart="))
            .and(disk::partition(partition.number))
    };
    if partition.file_system == PHYSICAL_VOLUME {
        return Some(on("pv.1", "lvmpv", true));
    }
    if partition.kind == BIOS_BOOT {
        return Some(on("biosboot", "biosboot", true));
    }
    let mount = partition.mount.as_deref().filter(|_| disk::is_seen(partition.file_system_fate))?;
    let kind = match (partition.file_system.as_str(), mount) {
        ("vfat", "/boot/efi" | "/efi") => "efi",
        (kind, _) => kind,
    };
    Some(on(mount, kind, partition.file_system_fate == Some(FileSystemFate::Reuse)))
}

fn logical_volume(group: &str, volume: &VolumePlan) -> Option<Word> {
    if !disk::is_seen(volume.file_system_fate) {
        return None;
    }
    let mount = match (&volume.mount, volume.file_system.as_str()) {
        (Some(mount), _) => mount.as_str(),
        (None, "swap") => "swap",
        (None, _) => return None,
    };
    let mut line = format!(
        "logvol {mount} --vgname={group} --name={} --useexisting --fstype={}",
        volume.name, volume.file_system
    );
    if volume.file_system_fate == Some(FileSystemFate::Reuse) {
        line.push_str(" --noformat");
    }
    if !volume.mount_options.is_empty() {
        line.push_str(&format!(" --fsoptions={}", volume.mount_options.join(",")));
    }
    Some(line.into())
}
