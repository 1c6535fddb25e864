//! How a running machine is: what the kernel counts. Read from `/proc`, without starting anything.

use crate::observe::Tree;
use lab_object::Time;
use lab_wire::agent::{FileSystem, Load, System};
use std::{collections::BTreeSet, fs, net::IpAddr, path::Path};

/// Time that the processors were busy and idle, since the machine was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Busy {
    busy: u64,
    all: u64,
}

/// What seldom changes. `root` is `/`, or a folder with a recorded machine's `/proc` and `/etc`; `agent` is our own version.
pub fn system(root: &Path, agent: &str) -> System {
    let tree = Tree::new(root);
    let text = |path: &str| text(&tree, path).trim().to_owned();
    let release = text("etc/os-release");
    let release = if release.is_empty() { text("usr/lib/os-release") } else { release };
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let stat = text("proc/stat");
    let booted = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    System {
        agent: agent.into(),
        hostname: text("proc/sys/kernel/hostname"),
        kernel: text("proc/sys/kernel/osrelease"),
        operating_system: pretty.unwrap_or_default().trim_matches(['"', '\'']).into(),
        booted: booted.and_then(|at| jiff::Timestamp::from_second(at).ok()).map(Time),
        addresses: addresses(),
        ..System::default()
    }
}

/// What always changes. `before` is what the processors had counted at the last time; it becomes what they count now.
pub fn load(root: &Path, before: &mut Busy) -> Load {
    let tree = Tree::new(root);
    let text = |path: &str| text(&tree, path);
    let uptime = text("proc/uptime");
    let uptime = uptime.split_whitespace().next().and_then(|seconds| seconds.parse::<f64>().ok());
    let mut average = [0.0; 3];
    for (value, word) in average.iter_mut().zip(text("proc/loadavg").split_whitespace()) {
        *value = word.parse().unwrap_or_default();
    }
    let memory = text("proc/meminfo");
    let bytes = |field: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or_default().saturating_mul(1024)
    };
    let now = busy(&text("proc/stat"));
    let (all, spent) = (now.all.saturating_sub(before.all), now.busy.saturating_sub(before.busy));
    *before = now;
    Load {
        uptime_seconds: uptime.unwrap_or_default() as u64,
        average,
        cpu_percent: if all == 0 { 0.0 } else { (1000.0 * spent as f64 / all as f64).round() / 10.0 },
        memory_bytes: bytes("MemTotal"),
        memory_available_bytes: bytes("MemAvailable"),
        file_systems: file_systems(&text("proc/mounts")),
    }
}

/// A file as text, whatever is in it; empty where it cannot be read.
fn text(tree: &Tree, path: &str) -> String {
    tree.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait and so on, in ticks (proc(5)).
fn busy(stat: &str) -> Busy {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    // What guests take is counted with user and nice already.
    let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|word| word.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Busy { busy: all - idle, all }
}

/// The file systems on disks, each once, by where it is mounted first.
fn file_systems(mounts: &str) -> Vec<FileSystem> {
    let mut seen = BTreeSet::new();
    let on_disks = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (device, at, kind) = (words.next()?, words.next()?, words.next()?);
        let counts = device.starts_with("/dev/") && !matches!(kind, "squashfs" | "iso9660" | "erofs");
        (counts && seen.insert(device)).then(|| unescaped(at))
    });
    on_disks
        .filter_map(|mounted_at| {
            let found = rustix::fs::statvfs(&*mounted_at).ok()?;
            let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
            let (size_bytes, available_bytes) = (bytes(found.f_blocks), bytes(found.f_bavail));
            Some(FileSystem { mounted_at, size_bytes, available_bytes })
        })
        .collect()
}

/// Blanks in paths are written as octal escapes (fstab(5)).
fn unescaped(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(path.to_owned(), |path, (escape, meant)| path.replace(escape, meant))
}

/// The machine's addresses by which others reach it, in a fixed order.
fn addresses() -> Vec<IpAddr> {
    let local = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    };
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    // Bridges and tunnels of containers and virtual machines come and go, and lead nowhere else.
    let physical = |name: &str| fs::exists(format!("/sys/class/net/{name}/device")).unwrap_or_default();
    let mut found: Vec<_> = interfaces
        .into_iter()
        .map(|interface| (!physical(&interface.name), interface.ip()))
        .filter(|(_, address)| !local(address))
        .collect();
    found.sort_by_key(|(is_virtual, address)| (*is_virtual, address.is_ipv6(), *address));
    let any_physical = found.iter().any(|(is_virtual, _)| !is_virtual);
    found.retain(|(is_virtual, _)| !any_physical || !is_virtual);
    let mut addresses: Vec<IpAddr> = found.into_iter().map(|(_, address)| address).collect();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(stat: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("proc/stat", stat),
            ("proc/uptime", "86400.25 100.00\n"),
            ("proc/loadavg", "0.52 0.58 0.59 1/467 12345\n"),
            ("proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:    8192 kB\n"),
            (
                "proc/mounts",
                "proc /proc proc rw 0 0\n/dev/x / ext4 rw 0 0\n/dev/x /again ext4 rw 0 0\n/dev/l /s squashfs ro 0 0\n",
            ),
            ("proc/sys/kernel/hostname", "db-1\n"),
            ("proc/sys/kernel/osrelease", "6.12.0-1-amd64\n"),
            ("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn what_is_reported() {
        let root = recorded("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 1 1 1\nbtime 1700000000\n");
        let found = system(root.path(), "0.1.0");
        assert_eq!(found.operating_system, "Debian GNU/Linux 13 (trixie)");
        assert_eq!((found.hostname.as_str(), found.kernel.as_str()), ("db-1", "6.12.0-1-amd64"));
        assert_eq!(found.booted.map(|at| at.0.as_second()), Some(1_700_000_000));
        assert!(!found.addresses.iter().any(IpAddr::is_loopback));
        let mut before = Busy::default();
        let found = load(root.path(), &mut before);
        assert_eq!((found.uptime_seconds, found.average), (86_400, [0.52, 0.58, 0.59]));
        assert_eq!((found.memory_bytes, found.memory_available_bytes), (16 << 20, 8 << 20));
        assert_eq!(found.cpu_percent, 20.0);
        let mounted: Vec<_> = found.file_systems.iter().map(|system| system.mounted_at.as_str()).collect();
        assert_eq!(mounted, ["/"]);
        fs::write(root.path().join("proc/stat"), "cpu 150 0 150 700 100 0 0 0\n").unwrap();
        assert_eq!(load(root.path(), &mut before).cpu_percent, 100.0);
        assert_eq!(load(root.path(), &mut before).cpu_percent, 0.0);
    }

    #[test]
    fn a_machine_that_says_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(load(root.path(), &mut Busy::default()), Load::default());
        assert_eq!(unescaped("/a\\040b"), "/a b");
    }
}
