//! Subiquity's autoinstall: `user-data` and `meta-data` as cloud-init's NoCloud source fetches them, and the scripts that they name.
//!
//! The early commands find and divide the disk before Subiquity looks at any, and write into `/autoinstall.yaml` which one it is:
//! Subiquity reads that file again afterwards. Its own match by `serial` is udev's ID_SERIAL, which for SAS is no serial number at
//! all. What is preserved stands in the storage section as something that is there, without a format and a mount.

use super::shell::{Statement, Word, script, variable};
use super::system::{self, Target};
use super::{AnswerFile, Given, Unanswerable, disk, disk_prelude, finished, packages, prelude, stages, yaml};
use crate::answer::shell::words;
use crate::identity;
use crate::plan::{BIOS_BOOT, EFI_SYSTEM, PHYSICAL_VOLUME};
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_kinds::metal::server::{DiskPlan, FileSystemFate, PartitionPlan, VolumeGroupPlan, VolumePlan};
use lab_object::Json;
use serde_json::json;

/// What stands for the disk until it was found.
const DISK: &str = "/dev/approved-disk";

/// The new system, from scripts of the installer.
const TARGET: Target = Target { root: "/target", inside: &["curtin", "in-target", "--target=/target", "--"] };

/// The files of an installation.
pub fn render(given: &Given) -> Result<Vec<AnswerFile>, Unanswerable> {
    let user_data =
        format!("#cloud-config\n{}", yaml::written(&json!({ "autoinstall": autoinstall(given)? })));
    // A new instance with each boot: nothing of an earlier one counts.
    let meta_data = yaml::written(&json!({ "instance-id": format!("lab-{}", given.site.token) }));
    let file = |name, text| AnswerFile { name, text };
    Ok(vec![
        file("user-data", user_data),
        file("meta-data", meta_data),
        file("vendor-data", "#cloud-config\n{}\n".into()),
        file("early.sh", script(&early(given)?)?),
        file("late.sh", script(&late(given))?),
        file("error.sh", script(&error(given))?),
    ])
}

fn autoinstall(given: &Given) -> Result<Json, Unanswerable> {
    let answers = format!("{}/answers/{}", given.site.base, given.site.token);
    // All are fetched at the beginning, so that the end does not depend on the boot server.
    let fetch = |name: &str| {
        json!(["curl", "-fsS", "--retry", "5", "-o", format!("/run/lab-{name}"), format!("{answers}/{name}")])
    };
    let run = |name: &str| json!(["sh", format!("/run/lab-{name}")]);
    let mut tree = json!({
        "version": 1,
        "locale": "en_US.UTF-8",
        "keyboard": { "layout": "us" },
        "timezone": "Etc/UTC",
        "refresh-installer": { "update": false },
        "updates": "security",
        "shutdown": "reboot",
        "reporting": { "lab": { "type": "webhook", "endpoint": format!("{}/webhook/{}", given.site.base, given.site.token) } },
        "ssh": { "install-server": true, "allow-pw": false },
        // Accounts are made by the late commands, the same way as in every other system.
        "user-data": {
            "hostname": identity::hostname(given.server),
            "preserve_hostname": true,
            "disable_root": true,
            "ssh_pwauth": false,
            "users": [],
        },
        "packages": packages::of(given),
        "early-commands": [fetch("error.sh"), fetch("early.sh"), fetch("late.sh"), run("early.sh")],
        "late-commands": [run("late.sh")],
        "error-commands": [run("error.sh")],
        "storage": { "version": 2, "swap": { "size": 0 }, "grub": { "reorder_uefi": false }, "config": storage(given)? },
    });
    if let Some(apt) = apt(given) {
        tree["apt"] = apt;
    }
    Ok(tree)
}

/// The first repository is the archive, the others are sources besides.
fn apt(given: &Given) -> Option<Json> {
    let (main, others) = given.system.spec.repositories.split_first()?;
    let sources: serde_json::Map<String, Json> = others
        .iter()
        .map(|r| (r.name.clone(), json!({ "source": format!("deb {} $RELEASE main", r.url) })))
        .collect();
    let mut apt = json!({
        "geoip": false, "fallback": "abort", "mirror-selection": { "primary": [{ "uri": main.url }] },
    });
    if !sources.is_empty() {
        apt["sources"] = Json::Object(sources);
    }
    Some(apt)
}

fn early(given: &Given) -> Result<Vec<Statement>, Unanswerable> {
    let mut statements = prelude(given);
    statements.extend(disk_prelude());
    statements.push(Statement::Stage(stages::FIRST, Vec::new()));
    statements.extend(disk::find(given)?);
    statements.extend(disk::prepare(given)?);
    let expression = Word::from(format!("s|{DISK}|")).and(disk::device()).and("|");
    statements.push(Statement::Try(words!["sed", "-i", expression, "/autoinstall.yaml"]));
    statements.push(Statement::Begin("installation"));
    Ok(statements)
}

fn late(given: &Given) -> Vec<Statement> {
    let mut statements = prelude(given);
    statements.push(Statement::Done("installation"));
    statements.extend(system::stages(given, TARGET));
    statements.push(system::logs(&["/var/log/installer", "/var/log/cloud-init.log"], "/target"));
    statements.extend(finished(given));
    statements
}

fn error(given: &Given) -> Vec<Statement> {
    let tail = words![
        "sh",
        "-c",
        "tail -n 100 /var/log/installer/subiquity-server-debug.log >\"$1\"",
        "sh",
        variable("lab_dir").and("/tail"),
    ];
    let mut statements = prelude(given);
    statements.push(Statement::May(tail));
    statements.push(Statement::Call(words![
        "lab_post",
        Word::from("log/").and(variable("lab_token")),
        variable("lab_dir").and("/tail")
    ]));
    statements.push(Statement::Call(words![
        "lab_report",
        "subiquity",
        "failed",
        "Subiquity ended; its log says why"
    ]));
    statements
}

/// The storage section, in curtin's terms: everything is there already, and what is not preserved is formatted and mounted.
fn storage(given: &Given) -> Result<Vec<Json>, Unanswerable> {
    let (disk, group) = disk::chosen(given.plan)?;
    let bios = given.plan.firmware == Some(FirmwareType::Bios);
    let mut config = vec![json!({
        "type": "disk", "id": "disk", "match": { "path": DISK }, "ptable": "gpt", "preserve": true, "grub_device": bios,
    })];
    for partition in &disk.partitions {
        config.push(partition_entry(partition, bios));
    }
    config.extend(group_entries(disk, group));
    let mut mounts = Vec::new();
    for p in &disk.partitions {
        let id = format!("partition-{}", p.number);
        mounts.extend(file_system(&id, &p.file_system, p.file_system_fate, p.mount.as_deref(), &[]));
    }
    for v in &group.volumes {
        let id = format!("volume-{}", v.name);
        mounts.extend(file_system(
            &id,
            &v.file_system,
            v.file_system_fate,
            v.mount.as_deref(),
            &v.mount_options,
        ));
    }
    config.extend(mounts);
    Ok(config)
}

fn partition_entry(partition: &PartitionPlan, bios: bool) -> Json {
    let mut entry = json!({
        "type": "partition", "id": format!("partition-{}", partition.number), "device": "disk",
        "number": partition.number, "offset": partition.start_bytes, "size": partition.size_bytes, "preserve": true,
    });
    let flag = match partition.kind.as_str() {
        EFI_SYSTEM => Some("boot"),
        BIOS_BOOT => Some("bios_grub"),
        _ => None,
    };
    if let Some(flag) = flag {
        entry["flag"] = flag.into();
    }
    if partition.kind == EFI_SYSTEM && partition.mount.is_some() && !bios {
        entry["grub_device"] = true.into();
    }
    entry
}

fn group_entries(disk: &DiskPlan, group: &VolumeGroupPlan) -> Vec<Json> {
    let devices: Vec<_> = disk
        .partitions
        .iter()
        .filter(|p| p.file_system == PHYSICAL_VOLUME)
        .map(|p| format!("partition-{}", p.number))
        .collect();
    let mut entries = vec![json!({
        "type": "lvm_volgroup", "id": "group", "name": group.name, "devices": devices, "preserve": true,
    })];
    let volume = |volume: &VolumePlan| {
        json!({
            "type": "lvm_partition", "id": format!("volume-{}", volume.name), "volgroup": "group",
            "name": volume.name, "size": format!("{}B", volume.size_bytes), "preserve": true,
        })
    };
    entries.extend(group.volumes.iter().map(volume));
    entries
}

/// What formats and mounts a partition or volume; nothing for what is preserved.
fn file_system(
    on: &str,
    kind: &str,
    fate: Option<FileSystemFate>,
    mount: Option<&str>,
    options: &[String],
) -> Vec<Json> {
    let place = match (mount, kind) {
        (Some(mount), _) => mount,
        (None, "swap") => "",
        (None, _) => return Vec::new(),
    };
    if !disk::is_seen(fate) {
        return Vec::new();
    }
    let fstype = if kind == "vfat" { "fat32" } else { kind };
    let format = format!("format-{on}");
    let mut mount = json!({ "type": "mount", "id": format!("mount-{on}"), "device": format, "path": place });
    if !options.is_empty() {
        mount["options"] = options.join(",").into();
    }
    vec![
        json!({
            "type": "format", "id": format, "volume": on, "fstype": fstype,
            "preserve": fate == Some(FileSystemFate::Reuse),
        }),
        mount,
    ]
}
