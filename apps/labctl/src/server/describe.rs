//! A server laid out to be read: what it is, what is on its disks, where its cables go, what is being done to it.

use super::plan;
use crate::output::{self, Paint, columns::Columns};
use lab_kinds::metal::{
    Server,
    server::{Disk, Hardware, Nic, hardware::Signature},
};
use lab_object::{
    Json, Time,
    age::{age, human_duration},
};
use serde::Serialize;
use std::fmt::Write;

/// Lays a server out; `None` when it is not of the form this labctl knows.
pub fn render(object: &Json, now: Time) -> Option<String> {
    let server: Server = serde_json::from_value(object.clone()).ok()?;
    let mut text = String::new();
    head(&mut text, &server, now);
    hardware(&mut text, &server.status.hardware);
    disks(&mut text, &server);
    nics(&mut text, &server.status.nics);
    if let Some(plan) = &server.status.plan {
        section(&mut text, "Plan");
        text.push_str(&plan::body(&server, plan));
    }
    stages(&mut text, &server, now);
    conditions(&mut text, &server, now);
    Some(text)
}

fn section(text: &mut String, title: &str) {
    let _ = writeln!(text, "\n{}", Paint::Bold.out(title));
}

/// The word that an enum's value is written as.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

/// Pairs of which those with a value are shown.
struct Facts(Columns);

impl Facts {
    fn new() -> Self {
        Self(Columns::plain().indented(2))
    }
    fn add(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.row(vec![format!("{name}:"), value]);
        }
    }
    fn push_to(&self, text: &mut String) {
        text.push_str(&self.0.render(output::coloured()));
    }
}

fn join<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|i| i.to_string()).collect::<Vec<_>>().join(", ")
}

fn ago(time: Option<Time>, now: Time) -> String {
    time.map(|t| format!("{t} ({} ago)", age(t, now))).unwrap_or_default()
}

fn head(text: &mut String, server: &Server, now: Time) {
    let (spec, status) = (&server.spec, &server.status);
    let name = server.metadata.name.as_deref().unwrap_or_default();
    let phase = status.phase.map(|p| format!("{p:?}")).unwrap_or_else(|| "Registered".into());
    let painted = Paint::of_state(&phase).map_or_else(|| phase.clone(), |p| p.out(&phase));
    let _ = writeln!(text, "{} {}  {painted}", Paint::Bold.out("Server"), Paint::Bold.out(name));
    if let Some(message) = &status.message {
        let _ = writeln!(text, "  {message}");
    }
    let mut facts = Facts::new();
    facts.add("Hostname", status.hostname.clone().or_else(|| spec.hostname.clone()).unwrap_or_default());
    facts.add("Role", spec.role.map(|r| word(&r)).unwrap_or_default());
    facts.add("Environment", spec.environment.clone().unwrap_or_default());
    facts.add("Cloud", spec.cloud.clone().unwrap_or_default());
    facts.add("Addresses", join(&status.addresses));
    facts.add("Wanted addresses", join(spec.addresses.iter().map(|a| a.address)));
    facts.add("UUID", status.uuid.clone().or_else(|| spec.uuid.clone()).unwrap_or_default());
    facts.add("UID", server.metadata.uid.clone().unwrap_or_default());
    facts.add("Created", ago(server.metadata.creation_timestamp, now));
    facts.add("Being deleted", ago(server.metadata.deletion_timestamp, now));
    facts.add("Labels", join(server.metadata.labels.iter().map(|(k, v)| format!("{k}={v}"))));
    facts.add("Bastion", status.bastion.clone().unwrap_or_default());
    facts.add(
        "BMC",
        spec.bmc.as_ref().map(|b| format!("{} at {}", word(&b.protocol), b.address)).unwrap_or_default(),
    );
    facts.add("Power", status.power.state.map(|s| word(&s)).unwrap_or_default());
    if let Some(boot) = &status.boot {
        let firmware = boot.firmware.map(|f| format!(", {}", word(&f))).unwrap_or_default();
        let answer = boot.answer.map(|a| format!(", was given {}", word(&a))).unwrap_or_default();
        facts.add("Last network boot", format!("{}{firmware}{answer}", ago(boot.at, now)));
    }
    facts.add("Next boot", spec.boot.once.map(|o| format!("{} (once)", word(&o))).unwrap_or_default());
    facts.add(
        "To install",
        spec.install
            .as_ref()
            .map(|i| format!("{} with layout {}", i.operating_system, i.layout))
            .unwrap_or_default(),
    );
    if let Some(install) = &status.install {
        let system = format!("{} with layout {}", install.operating_system, install.layout);
        facts.add("Installed", format!("{system}, {}", ago(install.finished, now)));
    }
    if let Some(agent) = &status.agent {
        let state = if agent.online { "online" } else { "offline" };
        let since = agent.since.map(|t| format!(" for {}", age(t, now))).unwrap_or_default();
        facts.add("Agent", format!("{} {state}{since}", agent.version));
        facts.add(
            "Running system",
            join([&agent.operating_system, &agent.kernel].into_iter().filter(|t| !t.is_empty())),
        );
        facts.add("Up since", ago(agent.booted, now));
    }
    facts.push_to(text);
}

fn hardware(text: &mut String, hardware: &Hardware) {
    if *hardware == Hardware::default() {
        return;
    }
    section(text, "Hardware");
    let mut facts = Facts::new();
    let machine = [&hardware.manufacturer, &hardware.product].into_iter().filter(|t| !t.is_empty());
    facts.add("Machine", machine.cloned().collect::<Vec<_>>().join(" "));
    facts.add("Serial", hardware.serial.clone());
    let cpu = &hardware.cpu;
    if cpu.threads > 0 || !cpu.model.is_empty() {
        let clock = cpu.max_mhz.map(|mhz| format!(", up to {mhz} MHz")).unwrap_or_default();
        let counts =
            join([count(cpu.sockets, "socket"), count(cpu.cores, "core"), count(cpu.threads, "thread")]);
        let architecture = hardware.architecture.map(|a| format!("{}, ", word(&a))).unwrap_or_default();
        facts.add("CPU", format!("{} ({architecture}{counts}{clock})", cpu.model));
    }
    let dimms = join(hardware.dimms.iter().map(|d| {
        let speed = d.speed_mts.map(|s| format!(" {s} MT/s")).unwrap_or_default();
        format!("{} {} {}{speed}", d.slot, bytes(d.size_bytes), d.kind)
    }));
    let memory = hardware.memory_bytes.map(bytes).unwrap_or_default();
    facts.add("Memory", if dimms.is_empty() { memory } else { format!("{memory}: {dimms}") });
    let firmware = &hardware.firmware;
    let kind = firmware.kind.map(|k| word(&k)).unwrap_or_default();
    let secure = match firmware.secure_boot {
        Some(true) => "Secure Boot on",
        Some(false) => "Secure Boot off",
        None => "",
    };
    let parts = [kind.as_str(), &firmware.vendor, &firmware.version, &firmware.date, secure];
    facts.add("Firmware", join(parts.into_iter().filter(|t| !t.is_empty())));
    facts.add(
        "TPM",
        hardware.tpm.as_ref().map(|t| format!("{} {}", t.version, t.manufacturer)).unwrap_or_default(),
    );
    facts.push_to(text);
}

/// `1 socket`, `2 sockets`.
fn count(number: i32, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

fn signature(signature: &Signature) -> String {
    let label = if signature.label.is_empty() { String::new() } else { format!(" {:?}", signature.label) };
    let member =
        if signature.member_of.is_empty() { String::new() } else { format!(" of {}", signature.member_of) };
    format!("{}{label}{member}", signature.kind)
}

fn disks(text: &mut String, server: &Server) {
    if server.status.disks.is_empty() {
        return;
    }
    section(text, "Disks");
    for disk in &server.status.disks {
        one_disk(text, disk);
    }
    for group in &server.status.volume_groups {
        let missing = if group.incomplete { ", some of its disks are missing" } else { "" };
        let _ = writeln!(
            text,
            "  {} volume group, {}, {} free, on {}{missing}",
            Paint::Bold.out(&group.name),
            bytes(group.size_bytes),
            bytes(group.free_bytes),
            group.devices.join(", ")
        );
        let mut columns = Columns::plain().indented(6);
        for volume in &group.volumes {
            columns.row(vec![
                volume.name.clone(),
                bytes(volume.size_bytes),
                dash(signature(&volume.signature)),
            ]);
        }
        text.push_str(&columns.render(false));
    }
}

fn dash(text: String) -> String {
    if text.is_empty() { "-".into() } else { text }
}

fn one_disk(text: &mut String, disk: &Disk) {
    let mut facts = vec![bytes(disk.size_bytes)];
    facts.extend(disk.transport.map(|t| word(&t)));
    facts.extend(Some(disk.model.clone()).filter(|m| !m.is_empty()));
    for (set, name) in
        [(disk.rotational, "rotating"), (disk.removable, "removable"), (disk.read_only, "read-only")]
    {
        facts.extend(set.then(|| name.to_owned()));
    }
    for (name, value) in [("serial", &disk.serial), ("wwn", &disk.wwn)] {
        facts.extend((!value.is_empty()).then(|| format!("{name} {value}")));
    }
    let _ = writeln!(text, "  {}  {}", Paint::Bold.out(&disk.name), facts.join(", "));
    let contents = &disk.contents;
    let whole = signature(&contents.signature);
    if !whole.is_empty() {
        let _ = writeln!(text, "      {whole}");
    }
    if let Some(table) = &contents.partition_table {
        let mut columns = Columns::plain().indented(6);
        for part in &contents.partitions {
            let number = format!("{} {}", word(table), part.number);
            let holds = dash(signature(&part.signature));
            columns.row(vec![number, dash(part.name.clone()), bytes(part.size_bytes), holds]);
        }
        text.push_str(&columns.render(false));
    } else if whole.is_empty() {
        let _ = writeln!(text, "      nothing that is known is on it");
    }
}

fn nics(text: &mut String, nics: &[Nic]) {
    if nics.is_empty() {
        return;
    }
    section(text, "NICs");
    let mut columns =
        Columns::headed(["Name", "MAC", "Link", "Network", "Addresses", "Neighbour"]).indented(2);
    for nic in nics {
        let speed = nic.speed_mbps.map(|s| {
            if s >= 1000 && s % 1000 == 0 { format!("{} Gbit/s", s / 1000) } else { format!("{s} Mbit/s") }
        });
        let link = match nic.link {
            Some(true) => speed.unwrap_or_else(|| "up".into()),
            Some(false) => "no cable".into(),
            None => "-".into(),
        };
        let neighbour = nic.lldp.as_ref().map(|l| {
            let system = if l.system.is_empty() { &l.chassis } else { &l.system };
            format!("{system} {}", l.port)
        });
        let boot = if nic.boot { " (boots)" } else { "" };
        columns.row(vec![
            format!("{}{boot}", dash(nic.name.clone())),
            nic.mac.to_string(),
            link,
            nic.network.clone().unwrap_or_else(|| "-".into()),
            dash(join(&nic.addresses)),
            neighbour.unwrap_or_else(|| "-".into()),
        ]);
    }
    text.push_str(&columns.render(false));
}

fn stages(text: &mut String, server: &Server, now: Time) {
    let status = &server.status;
    if status.stages.is_empty() {
        return;
    }
    let percent = status.percent.map(|p| format!("  {p}%")).unwrap_or_default();
    let end = status.expected_end.map(|t| format!(", expected to end at {t}")).unwrap_or_default();
    section(text, &format!("Stages{percent}{end}"));
    let mut columns = Columns::headed(["Stage", "Outcome", "Took", "Began", "Message"]).indented(2);
    for stage in &status.stages {
        let took =
            stage.started.map(|from| human_duration(stage.ended.unwrap_or(now).0.duration_since(from.0)));
        let outcome = stage.outcome.map_or_else(|| "under way".into(), |o| word(&o));
        let progress = match (stage.done_bytes, stage.total_bytes) {
            (Some(done), Some(total)) if stage.ended.is_none() => {
                format!("{} of {} ", bytes(done), bytes(total))
            }
            _ => String::new(),
        };
        let message = stage.message.clone().unwrap_or_default();
        columns.row(vec![
            stage.name.clone(),
            outcome,
            took.unwrap_or_else(|| "-".into()),
            stage.started.map(|t| t.to_string()).unwrap_or_else(|| "-".into()),
            dash(format!("{progress}{message}")),
        ]);
    }
    text.push_str(&columns.render(output::coloured()));
}

fn conditions(text: &mut String, server: &Server, now: Time) {
    if server.status.conditions.is_empty() {
        return;
    }
    section(text, "Conditions");
    let mut columns = Columns::headed(["Type", "Status", "For", "Reason", "Message"]).indented(2);
    for condition in &server.status.conditions {
        columns.row(vec![
            condition.kind.clone(),
            word(&condition.status),
            condition.last_transition_time.map(|t| age(t, now)).unwrap_or_else(|| "-".into()),
            condition.reason.clone().unwrap_or_else(|| "-".into()),
            condition.message.clone().unwrap_or_else(|| "-".into()),
        ]);
    }
    text.push_str(&columns.render(output::coloured()));
}

/// Bytes in the unit in which a person would say it.
pub fn bytes(count: i64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 || value.fract() < 0.05 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (count, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1_500_000, "1.4 MiB"),
            (500_107_862_016, "466 GiB"),
            (2_000_398_934_016, "1.8 TiB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
    }
}
