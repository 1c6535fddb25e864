//! `lab-agent observe`: what would be reported of this machine.

use lab_host::{command::Processes, observe};
use lab_object::mac::MacAddress;
use lab_wire::site::Discovery;
use std::{path::Path, process::ExitCode};

/// Reads this machine. `boot` is the NIC that it booted over.
pub fn discovery(boot: Option<MacAddress>) -> Discovery {
    let found = observe::observe(Path::new("/"), &Processes, boot);
    Discovery {
        agent: env!("CARGO_PKG_VERSION").into(),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        uuid: found.uuid,
        hardware: found.hardware,
        disks: found.disks,
        volume_groups: found.volume_groups,
        nics: found.nics,
        problems: found.problems,
    }
}

/// Prints it.
pub fn run() -> ExitCode {
    match serde_json::to_string_pretty(&discovery(None)) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("lab-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The machine in a few lines, for its console.
pub fn summary(found: &Discovery) -> String {
    let hardware = &found.hardware;
    let mut text = format!(
        "{} {}, {} x {}, {} GiB memory\n",
        hardware.manufacturer,
        hardware.product,
        hardware.cpu.threads,
        hardware.cpu.model,
        hardware.memory_bytes.unwrap_or_default() >> 30
    );
    for disk in &found.disks {
        let serial = if disk.serial.is_empty() { "no serial number" } else { &disk.serial };
        text.push_str(&format!("  disk {} ({serial}), {} GiB\n", disk.name, disk.size_bytes >> 30));
    }
    for nic in &found.nics {
        let link = if nic.link == Some(true) { "link" } else { "no link" };
        let other = nic.lldp.as_ref().map(|other| format!(" to {} {}", other.system, other.port));
        text.push_str(&format!("  nic {} {}, {link}{}\n", nic.name, nic.mac, other.unwrap_or_default()));
    }
    found.problems.iter().for_each(|problem| text.push_str(&format!("  ! {problem}\n")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::{Define, metal::Server};

    #[test]
    fn a_machine_on_its_console() {
        let server = Server::example();
        let found = Discovery {
            hardware: server.status.hardware,
            disks: server.status.disks,
            nics: server.status.nics,
            problems: vec!["what is on sda cannot be read".into()],
            ..Discovery::default()
        };
        let text = summary(&found);
        assert!(
            text.contains("\n  disk ") && text.contains("\n  nic ") && text.contains("\n  ! what is on sda"),
            "{text}"
        );
    }
}
