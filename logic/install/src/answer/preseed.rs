//! Debian-Installer's preseed: answers to its questions, and the scripts that it fetches beside them.
//!
//! A disk that is made from nothing is divided by partman-auto from a recipe that has the plan's sizes. partman-auto cannot keep
//! anything: on a disk that is installed again, a hook of partman says what becomes of each partition and volume, as a person would in
//! its menu.

mod assign;
mod recipe;

use super::shell::{Statement, Word, script, variable};
use super::system::{self, Target};
use super::{
    AnswerFile, Given, Unanswerable, disk, disk_prelude, finished, packages, prelude, stages, system_name,
};
use crate::answer::shell::words;
use crate::identity;

/// The new system, from scripts of the installer.
const TARGET: Target = Target { root: "/target", inside: &["in-target"] };

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The question, such as `netcfg/get_hostname`.
    pub question: &'static str,
    /// Its type, such as `string`.
    pub kind: &'static str,
    /// The answer: one line.
    pub value: String,
}

/// The text of answers to the installer's questions.
pub fn written(answers: &[Answer]) -> Result<String, Unanswerable> {
    let mut text = String::new();
    for Answer { question, kind, value } in answers {
        // debconf takes the rest of the line as it is; a backslash at its end would take the next line in.
        if value.contains(|c: char| c.is_control()) || value.ends_with('\\') || *value != value.trim() {
            return Err(Unanswerable::Value { value: value.clone(), place: "a preseed" });
        }
        text += format!("d-i {question} {kind} {value}").trim_end();
        text.push('\n');
    }
    Ok(text)
}

/// The files of an installation.
pub fn render(given: &Given) -> Result<Vec<AnswerFile>, Unanswerable> {
    let text = written(&answers(given)?)?;
    let hash = given.plan.hash.as_deref().unwrap_or_default();
    let title = format!("# {} on {} by plan {hash}\n", system_name(given), identity::hostname(given.server));
    let file = |name, text| AnswerFile { name, text };
    Ok(vec![
        file("preseed.cfg", format!("{title}{text}")),
        file("early.sh", script(&early(given))?),
        file("partman.sh", script(&partman(given)?)?),
        file("stage.sh", script(&stage(given))?),
        file("late.sh", script(&late(given))?),
    ])
}

fn answers(given: &Given) -> Result<Vec<Answer>, Unanswerable> {
    let hostname = identity::hostname(given.server);
    let (short, domain) = hostname.split_once('.').unwrap_or((&hostname, ""));
    let kernel = given.server.spec.install.iter().flat_map(|install| &install.kernel_arguments);
    let kernel: Vec<_> =
        given.system.spec.kernel_arguments.iter().chain(kernel).map(String::as_str).collect();
    let (mirror_host, mirror_folder) = mirror(given)?;
    let all = packages::of(given).join(" ");
    let fetched = |name: &str| {
        format!(
            "mkdir -p /tmp/lab && preseed_fetch {} /tmp/lab-{name} && sh /tmp/lab-{name}",
            url(given, name)
        )
    };
    let mut list = List::default();
    list.add("debian-installer/locale", "string", "en_US.UTF-8");
    list.add("keyboard-configuration/xkb-keymap", "select", "us");
    list.add("netcfg/choose_interface", "select", "auto");
    list.add("netcfg/get_hostname", "string", short);
    list.add("netcfg/get_domain", "string", domain);
    list.add("netcfg/hostname", "string", short);
    list.add("hw-detect/load_firmware", "boolean", "true");
    list.add("mirror/country", "string", "manual");
    list.add("mirror/protocol", "select", "http");
    list.add("mirror/http/hostname", "string", &mirror_host);
    list.add("mirror/http/directory", "string", &mirror_folder);
    list.add("mirror/http/proxy", "string", "");
    if let Some(codename) = &given.system.spec.codename {
        list.add("mirror/suite", "string", codename);
    }
    // Nobody has a password: the operator's account is made at the end, with keys alone.
    list.add("passwd/root-login", "boolean", "true");
    list.add("passwd/root-password-crypted", "password", "!");
    list.add("passwd/make-user", "boolean", "false");
    list.add("clock-setup/utc", "boolean", "true");
    list.add("time/zone", "string", "Etc/UTC");
    list.add("clock-setup/ntp", "boolean", "true");
    partitioning(given, &mut list)?;
    list.add("base-installer/install-recommends", "boolean", "true");
    list.add("apt-setup/cdrom/set-first", "boolean", "false");
    apt(given, &mut list);
    list.add("tasksel/first", "multiselect", "standard");
    list.add("pkgsel/include", "string", &all);
    list.add("pkgsel/upgrade", "select", "full-upgrade");
    list.add("popularity-contest/participate", "boolean", "false");
    list.add("grub-installer/only_debian", "boolean", "true");
    list.add("grub-installer/with_other_os", "boolean", "false");
    list.add("debian-installer/add-kernel-opts", "string", &kernel.join(" "));
    list.add("finish-install/reboot_in_progress", "note", "");
    list.add("cdrom-detect/eject", "boolean", "false");
    list.add("preseed/early_command", "string", &fetched("early.sh"));
    list.add("partman/early_command", "string", "sh /tmp/lab-partman.sh");
    list.add("preseed/late_command", "string", "sh /tmp/lab-late.sh");
    Ok(list.answers)
}

/// Answers as they are put one after the other.
#[derive(Default)]
struct List {
    answers: Vec<Answer>,
}

impl List {
    fn add(&mut self, question: &'static str, kind: &'static str, value: &str) {
        self.answers.push(Answer { question, kind, value: value.to_owned() });
    }
}

/// Host and folder of the main repository. Debian-Installer's questions have no room for more than that.
fn mirror(given: &Given) -> Result<(String, String), Unanswerable> {
    let main = given.system.spec.repositories.first();
    let main = main.ok_or_else(|| Unanswerable::NoRepository { name: system_name(given).into() })?;
    let rest = main.url.strip_prefix("http://").ok_or_else(|| Unanswerable::Value {
        value: main.url.clone(),
        place: "spec.repositories of a system that Debian-Installer installs: it takes http:// only",
    })?;
    let (host, folder) = rest.split_once('/').unwrap_or((rest, ""));
    Ok((host.to_owned(), format!("/{}", folder.trim_end_matches('/'))))
}

/// Repositories besides the main one.
fn apt(given: &Given, list: &mut List) {
    const QUESTIONS: [&str; 4] = [
        "apt-setup/local0/repository",
        "apt-setup/local1/repository",
        "apt-setup/local2/repository",
        "apt-setup/local3/repository",
    ];
    let suite = given.system.spec.codename.as_deref().unwrap_or("stable");
    for (question, repository) in QUESTIONS.into_iter().zip(given.system.spec.repositories.iter().skip(1)) {
        list.add(question, "string", &format!("{} {suite} main", repository.url));
    }
}

fn partitioning(given: &Given, list: &mut List) -> Result<(), Unanswerable> {
    let (chosen, group) = disk::chosen(given.plan)?;
    if !disk::is_again(group) {
        list.add("partman-auto/method", "string", "lvm");
        list.add("partman-auto-lvm/new_vg_name", "string", &group.name);
        list.add("partman-auto-lvm/guided_size", "string", "max");
        list.add("partman-auto-lvm/no_boot", "boolean", "true");
        list.add("partman-auto/expert_recipe", "string", &recipe::recipe(chosen, group)?.written());
        list.add("partman-auto/choose_recipe", "select", recipe::NAME);
        list.add("partman-lvm/device_remove_lvm", "boolean", "true");
        list.add("partman-md/device_remove_md", "boolean", "false");
    }
    for (question, kind, value) in [
        ("partman-lvm/confirm", "boolean", "true"),
        ("partman-lvm/confirm_nooverwrite", "boolean", "true"),
        ("partman-partitioning/choose_label", "string", "gpt"),
        ("partman-partitioning/default_label", "string", "gpt"),
        ("partman/default_filesystem", "string", "xfs"),
        ("partman-efi/non_efi_system", "boolean", "true"),
        ("partman/mount_style", "select", "uuid"),
        ("partman/choose_partition", "select", "finish"),
        ("partman/confirm", "boolean", "true"),
        ("partman/confirm_nooverwrite", "boolean", "true"),
    ] {
        list.add(question, kind, value);
    }
    Ok(())
}

/// Where one of the scripts is. The installer resolves a bare name only within a preseed's own includes, and not in its commands.
fn url(given: &Given, name: &str) -> String {
    format!("{}/answers/{}/{name}", given.site.base, given.site.token)
}

/// As soon as the answers are there: the other scripts are fetched, and stages are put into the installer's own hooks.
fn early(given: &Given) -> Vec<Statement> {
    let fetch =
        |name: &str| Statement::Try(words!["preseed_fetch", url(given, name), format!("/tmp/lab-{name}")]);
    let mut statements = prelude(given);
    statements.push(Statement::Stage(
        stages::FIRST,
        vec![fetch("partman.sh"), fetch("stage.sh"), fetch("late.sh")],
    ));
    statements.push(hook("base-installer.d", stages::POINT_OF_NO_RETURN, "base"));
    statements.push(hook("pre-pkgsel.d", "base", "packages"));
    statements.push(Statement::Begin("hardware"));
    statements
}

/// A script in one of the installer's folders, which says that a stage is done and the next begins.
fn hook(folder: &str, before: &str, stage: &str) -> Statement {
    let path = format!("/usr/lib/{folder}/05lab");
    let mut lines = words!["#!/bin/sh", format!("sh /tmp/lab-stage.sh lab_report {before} done")];
    lines.extend(words![format!("sh /tmp/lab-stage.sh lab_begin {stage}"), "exit 0"]);
    Statement::Write { path: path.into(), mode: 0o755, lines }
}

/// Says of a stage what its arguments are: a function that reports, and what that is given.
fn stage(given: &Given) -> Vec<Statement> {
    let mut statements = prelude(given);
    statements.push(Statement::Call(vec![variable("@")]));
    statements
}

/// When disks can be seen, immediately before they are divided.
fn partman(given: &Given) -> Result<Vec<Statement>, Unanswerable> {
    let (chosen, group) = disk::chosen(given.plan)?;
    let mut statements = prelude(given);
    statements.extend(disk_prelude());
    statements.push(Statement::Done("hardware"));
    statements.extend(disk::find(given)?);
    let set = |question: &'static str| Statement::Try(words!["debconf-set", question, disk::device()]);
    statements.push(set("grub-installer/bootdev"));
    if disk::is_again(group) {
        statements.extend(disk::prepare(given)?);
        statements.extend(assign::hook(chosen, group));
    } else {
        statements.push(set("partman-auto/disk"));
        statements.push(Statement::Begin(stages::POINT_OF_NO_RETURN));
    }
    Ok(statements)
}

fn late(given: &Given) -> Vec<Statement> {
    let mut statements = prelude(given);
    statements.push(Statement::Done("packages"));
    // The firmware's variables are not among what the installer shows to the new system.
    let variables = "/sys/firmware/efi/efivars";
    let mount = words!["mount", "-t", "efivarfs", "efivarfs", Word::from("/target").and(variables)];
    statements.push(Statement::If(words!["test", "-d", variables], vec![Statement::May(mount)]));
    statements.extend(system::stages(given, TARGET));
    statements.push(system::logs(&["/var/log/syslog", "/var/log/partman"], "/target"));
    statements.extend(finished(given));
    statements
}
