//! What makes the new system this machine's own, after a distribution's installer has put it on the disk.

use super::shell::{self, Statement, Word, lines, variable};
use super::{Given, agent, packages, runs_workloads};
use crate::answer::shell::words;
use crate::{fstab, identity};
use lab_kinds::metal::operating_system::Family;
use lab_kinds::metal::server::FileSystemFate;
use lab_kinds::metal::server::hardware::FirmwareType;

/// Where the new system is, seen from the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its root, without a slash at the end.
    pub root: &'static str,
    /// What a command is given to that runs in it.
    pub inside: &'static [&'static str],
}

impl Target {
    /// A command in the new system.
    pub(super) fn run(self, command: Vec<Word>) -> Vec<Word> {
        self.inside.iter().map(|word| Word::from(*word)).chain(command).collect()
    }

    pub(super) fn path(self, path: &str) -> Word {
        variable("lab_target").and(path)
    }
}

/// The stages in the new system.
pub fn stages(given: &Given, target: Target) -> Vec<Statement> {
    let files = identity::files(given.server, given.system);
    let write = |chosen: &[&str]| -> Vec<Statement> {
        let chosen = files.iter().filter(|file| chosen.iter().any(|prefix| file.path.starts_with(prefix)));
        chosen.flat_map(|file| written(target, file)).collect()
    };
    let mut stages = vec![
        Statement::Set("lab_target", target.root.into()),
        Statement::Stage("identity", write(&["/etc/hostname", "/etc/hosts"])),
        Statement::Stage(
            "account",
            [account(given, target), write(&["/etc/sudoers.d/", "/etc/tmpfiles.d/"])].concat(),
        ),
        Statement::Stage("ssh", write(&["/etc/ssh/"])),
        Statement::Stage("kernel", write(&["/etc/sysctl.d/", "/etc/modules-load.d/"])),
        Statement::Stage("role", role(given, target)),
        Statement::Stage("mounts", mounts(given, target)),
    ];
    if given.system.spec.family != Family::Fedora {
        let mut loader = write(&["/etc/default/grub.d/"]);
        loader.push(Statement::Try(target.run(words!["update-grub"])));
        stages.push(Statement::Stage("boot-loader", loader));
    }
    stages.extend(boot_order(given, target));
    // Last: whatever becomes of it, the system starts.
    stages.extend(agent::stage(given, target));
    stages
}

/// A file, with the folders above it.
pub(super) fn written(target: Target, file: &identity::File) -> Vec<Statement> {
    let folder = file.path.rsplit_once('/').map_or("/", |(folder, _)| folder);
    vec![
        Statement::Try(words!["mkdir", "-p", target.path(folder)]),
        Statement::Write { path: target.path(&file.path), mode: file.mode, lines: lines(&file.text) },
    ]
}

/// The operator's account. Its home folder is made when the system first starts, as `/home` may be preserved and so be out of sight.
fn account(given: &Given, target: Target) -> Vec<Statement> {
    let account = identity::account(given.server, given.system);
    let name = account.name;
    let absent = words!["sh", "-c", "! id -u \"$1\" >/dev/null 2>&1", "sh", name.clone()];
    let add = words![
        "useradd",
        "--uid",
        account.uid.to_string(),
        "--user-group",
        "--groups",
        account.group,
        "--no-create-home",
        "--home-dir",
        format!("/home/{name}"),
        "--shell",
        "/bin/bash",
        name,
    ];
    vec![Statement::If(target.run(absent), vec![Statement::Try(target.run(add))])]
}

/// What the role needs besides its packages. Filtering is for what runs the workloads, and would cut its networks.
fn role(given: &Given, target: Target) -> Vec<Statement> {
    let enable = |name: &&str| Statement::Try(target.run(words!["systemctl", "enable", *name]));
    let mut statements: Vec<_> = packages::services(given).iter().map(enable).collect();
    if runs_workloads(given) {
        let filter = match given.system.spec.family {
            Family::Fedora => "firewalld.service",
            Family::Ubuntu => "ufw.service",
            Family::Debian | Family::Other => "nftables.service",
        };
        statements.push(Statement::May(target.run(words!["systemctl", "disable", filter])));
    }
    statements
}

/// Places and lines for what the installer did not see.
fn mounts(given: &Given, target: Target) -> Vec<Statement> {
    let volumes = given.plan.volume_group.iter().flat_map(|group| &group.volumes);
    let kept = volumes.filter(|v| v.file_system_fate == Some(FileSystemFate::Preserve));
    let places = kept.filter_map(|v| v.mount.as_ref()).chain(given.plan.tmpfs.iter().map(|t| &t.mount));
    let mut statements: Vec<_> =
        places.map(|mount| Statement::Try(words!["mkdir", "-p", target.path(mount)])).collect();
    let lines = fstab::left_to_the_system(given.plan);
    if !lines.is_empty() {
        let lines = lines.into_iter().map(Word::from).collect();
        statements.push(Statement::Append { path: target.path("/etc/fstab"), lines });
    }
    statements
}

/// A BIOS keeps its order to itself; there the machine's settings have to put the network first.
fn boot_order(given: &Given, target: Target) -> Vec<Statement> {
    if given.plan.firmware == Some(FirmwareType::Bios) {
        return vec![
            Statement::Begin("boot-order"),
            Statement::Call(words!["lab_done", "a BIOS keeps its order to itself", "skipped"]),
        ];
    }
    let entry = identity::boot_entry(given.system);
    vec![
        Statement::Library(shell::BOOT_ORDER),
        Statement::Begin("boot-order"),
        Statement::Call([words!["lab_boot_order", entry], target.run(words!["env"])].concat()),
    ]
}

/// Copies the installer's own logs into the new system.
pub fn logs(files: &[&str], target: &str) -> Statement {
    let folder = format!("{target}/var/log/installation");
    let mut body = vec![Statement::Try(words!["mkdir", "-p", folder.clone()])];
    let copy = |file: &&str| Statement::May(words!["cp", "-r", *file, folder.clone()]);
    body.extend(files.iter().map(copy));
    Statement::Stage("logs", body)
}
