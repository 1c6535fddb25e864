//! Where the time of an installation goes, as its Server's log tells it.

use anyhow::Context;
use jiff::Timestamp;

/// What a machine spends its time on, and by which line of the log that ends. A part begins where the one before it ends.
const PARTS: [(&str, &str); 10] = [
    ("firmware, up to its first question", "sent DHCP discover"),
    ("network boot: iPXE, kernel and ramdisk fetched", "/initrd by HTTP,"),
    ("kernel and discovery, up to the report", "reported its hardware"),
    ("image into the site's cache, plan approved", "check began"),
    ("check, partitions, volumes, file systems, mounts", "unpackImage began"),
    ("image fetched, verified, unpacked", "unpackImage is done"),
    ("account, boot loader, agent, boot order", "unmount began"),
    ("unmounted, all on the disk", "carried out plan"),
    ("restart: firmware and iPXE", "was given local"),
    ("first boot, up to SSH", SSH),
];

/// What stands for the line in which SSH answers: the log has none.
const SSH: &str = "";

/// A part and how many seconds it took.
pub type Part = (&'static str, f64);

/// Splits the time from power-on until SSH answered, by the lines of `labctl logs`.
///
/// # Errors
/// A part's last line is not in the log.
pub fn split(log: &str, power_on: Timestamp, ssh: Timestamp) -> anyhow::Result<Vec<Part>> {
    let mut lines = log.lines();
    let mut began = power_on;
    let mut parts = Vec::new();
    for (part, end) in PARTS {
        let at = if end == SSH {
            ssh
        } else {
            let line = lines.find(|line| line.contains(end));
            let line = line.with_context(|| format!("the log has no line with {end:?}:\n{log}"))?;
            let time = line.split(' ').next().unwrap_or_default();
            time.parse().with_context(|| format!("reading the time of {line:?}"))?
        };
        parts.push((part, (at - began).total(jiff::Unit::Second).unwrap_or_default().max(0.0)));
        began = at;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_split() {
        let mut log = String::new();
        for (at, (_, end)) in PARTS.iter().enumerate().filter(|(_, (_, end))| *end != SSH) {
            log += &format!("2026-01-01T00:00:{:02}Z boot: {end}\n", (at + 1) * 2);
        }
        let at = |second: &str| format!("2026-01-01T00:00:{second}Z").parse().expect("it is a time");
        let parts = split(&log, at("00"), at("20")).expect("all is there");
        assert!(parts.iter().all(|(_, seconds)| *seconds == 2.0), "{parts:?}");
        let cut = log.replace("unpackImage is done", "");
        let error = split(&cut, at("00"), at("20")).expect_err("a line is missing");
        assert!(error.to_string().contains("unpackImage is done"), "{error}");
    }
}
