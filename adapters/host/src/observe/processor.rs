//! Processors and memory.

use super::Tree;
use lab_kinds::metal::server::hardware::Cpu;
use std::collections::BTreeSet;

/// The machine's processors.
pub fn read(tree: &Tree) -> Cpu {
    const FOLDER: &str = "sys/devices/system/cpu";
    let is_processor = |name: &String| name.strip_prefix("cpu").is_some_and(|n| n.parse::<u32>().is_ok());
    let all: Vec<_> = tree.names(FOLDER).into_iter().filter(is_processor).collect();
    let (mut sockets, mut cores) = (BTreeSet::new(), BTreeSet::new());
    for name in &all {
        let topology = |file: &str| tree.number(&format!("{FOLDER}/{name}/topology/{file}"));
        // One that is switched off has no topology.
        let (Some(socket), Some(core)) = (topology("physical_package_id"), topology("core_id")) else {
            continue;
        };
        sockets.insert(socket);
        cores.insert((socket, topology("die_id"), core));
    }
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let khz = tree.number(&format!("{FOLDER}/cpu0/cpufreq/cpuinfo_max_freq"));
    Cpu {
        model: model(&tree.text("proc/cpuinfo")),
        sockets: count(sockets.len()),
        cores: count(cores.len()),
        threads: count(all.len()),
        max_mhz: khz.and_then(|khz| i32::try_from(khz / 1000).ok()),
    }
}

fn model(cpuinfo: &str) -> String {
    let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let name = fields.find(|(name, _)| name.trim() == "model name").map(|(_, value)| value);
    // Makers fill the name with spaces.
    name.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Memory that the operating system can use, in bytes.
pub fn memory(tree: &Tree) -> Option<i64> {
    let text = tree.text("proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok()?.checked_mul(1024)
}
