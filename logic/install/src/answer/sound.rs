//! Values that would mean something else in an answer file. Most are refused when objects are admitted; whoever writes them into a file
//! that an installer runs as root does not rely on that.

use super::{Given, Unanswerable};
use crate::identity;
use lab_kinds::metal::server::Fate;

/// Looks at everything that comes from people or machines.
pub fn check(given: &Given) -> Result<(), Unanswerable> {
    let (server, system) = (given.server, &given.system.spec);
    let install = server.spec.install.iter();
    one("spec.hostname", &identity::hostname(server), hostname)?;
    one("spec.admin.user", &identity::account(server, given.system).name, user)?;
    each("spec.admin.authorizedKeys", &server.spec.admin.authorized_keys, line)?;
    each("spec.install.kernelArguments", install.flat_map(|i| &i.kernel_arguments), argument)?;
    each("spec.kernelArguments", &system.kernel_arguments, argument)?;
    each("spec.packages", &system.packages, package)?;
    each("spec.repositories", system.repositories.iter().map(|r| &r.url), url)?;
    each("spec.repositories", system.repositories.iter().map(|r| &r.name), word)?;
    each("spec.codename", &system.codename, word)?;
    one("the boot server's address", given.site.base, url)?;
    one("the boot server's address", given.site.log_host, word)?;
    one("the boot's token", given.site.token, word)?;
    agent(given)?;
    plan(given)
}

/// What the agent joins with, and where its executable comes from.
fn agent(given: &Given) -> Result<(), Unanswerable> {
    let agent = match given.agent {
        Ok(agent) => agent,
        Err(why) => return one("the reason why there is no agent", why, line),
    };
    one("the path of the agent's executable", &format!("/{}", agent.path), path)?;
    one("the SHA-256 of the agent's executable", agent.sha256, word)?;
    one("labd's URL", agent.server, url)?;
    one("the hash of labd's authority", agent.ca_hash, word)?;
    one("the agent's token", agent.token, word)
}

/// Names and identifiers that came from disks or layouts.
fn plan(given: &Given) -> Result<(), Unanswerable> {
    let group = given.plan.volume_group.iter();
    let volumes = group.clone().flat_map(|g| &g.volumes);
    each("the plan's volume groups", group.clone().map(|g| &g.name), word)?;
    each("the plan's volume groups", group.filter_map(|g| g.uuid.as_ref()), word)?;
    for volume in volumes {
        one("the plan's volumes", &volume.name, word)?;
        each("the plan's volumes", [&volume.file_system, &volume.file_system_uuid], name)?;
        each("the plan's volumes", &volume.mount, path)?;
        each("the plan's volumes", &volume.mount_options, option)?;
    }
    for disk in given.plan.disks.iter().filter(|disk| crate::hash::is_worked_on(disk)) {
        each("the plan's disk", [&disk.serial, &disk.wwn], line)?;
        each("the plan's disk", [&disk.contents.uuid], name)?;
        let found = disk.contents.partitions.iter().map(|p| &p.signature);
        for signature in found.chain([&disk.contents.signature]) {
            each("the plan's disk", [&signature.kind, &signature.uuid], name)?;
        }
        for partition in &disk.partitions {
            each("the plan's partitions", [&partition.kind, &partition.uuid], name)?;
            each("the plan's partitions", [&partition.file_system, &partition.file_system_uuid], name)?;
            each("the plan's partitions", &partition.mount, path)?;
            // A kept partition has the name that somebody else gave it, which is never written down.
            if partition.mount.is_some() || partition.fate == Fate::Create {
                one("the plan's partitions", &partition.name, word)?;
            }
        }
    }
    each("the plan's file systems in memory", given.plan.tmpfs.iter().map(|t| &t.mount), path)
}

fn one(place: &'static str, value: &str, sound: fn(&str) -> bool) -> Result<(), Unanswerable> {
    if sound(value) { Ok(()) } else { Err(Unanswerable::Value { value: value.into(), place }) }
}

fn each<'a>(
    place: &'static str,
    values: impl IntoIterator<Item = &'a String>,
    sound: fn(&str) -> bool,
) -> Result<(), Unanswerable> {
    values.into_iter().try_for_each(|value| one(place, value, sound))
}

/// Letters, digits and a few signs that mean nothing anywhere; may be empty.
fn name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

/// The same, not empty, and no option.
fn word(text: &str) -> bool {
    !text.is_empty() && name(text) && !text.starts_with('-')
}

fn hostname(text: &str) -> bool {
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn user(text: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    text.starts_with(first) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// Text without a line break or anything else that steers.
fn line(text: &str) -> bool {
    !text.trim().contains(|c: char| c.is_control())
}

/// An argument of a kernel, which has no quotes that all boot loaders agree on.
fn argument(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"'\"\\`$".contains(&b))
}

fn package(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-+._:@".contains(&b);
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '@') && text.bytes().all(plain)
}

fn url(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#@!&()*+,;=%[]$".contains(&b);
    ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) && text.bytes().all(plain)
}

fn path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+/".contains(&b))
}

fn option(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:=".contains(&b))
}
