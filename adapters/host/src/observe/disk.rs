//! Disks: what the kernel says of them.

use super::Tree;
use lab_kinds::metal::server::{Disk, Transport};

/// The machine's disks, by name: block devices that stand for hardware, without optical and floppy drives.
pub fn read(tree: &Tree) -> Vec<Disk> {
    let is_disk = |name: &String| {
        let other = ["sr", "fd", "loop", "ram", "zram", "md", "dm-", "nbd"];
        let hidden = tree.is_set(&format!("sys/block/{name}/hidden"));
        // An eMMC's boot areas are no disks to install on.
        let boot_area = name.starts_with("mmcblk") && name.contains("boot");
        let medium = tree.number(&format!("sys/block/{name}/size")).unwrap_or_default() > 0;
        tree.has(&format!("sys/block/{name}/device"))
            && !other.iter().any(|prefix| name.starts_with(prefix))
            && !hidden
            && !boot_area
            && medium
    };
    tree.names("sys/block").into_iter().filter(is_disk).map(|name| one(tree, name)).collect()
}

fn one(tree: &Tree, name: String) -> Disk {
    let file = |path: &str| format!("sys/block/{name}/{path}");
    let sectors = tree.number(&file("size")).unwrap_or_default();
    let sector = tree.number(&file("queue/logical_block_size")).and_then(|bytes| i32::try_from(bytes).ok());
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let model = match name.starts_with("mmcblk") {
        true => tree.text(&file("device/name")),
        false => tree.text(&file("device/model")),
    };
    Disk {
        serial: serial(tree, &name),
        wwn: wwn(tree, &name),
        // The kernel counts in 512 bytes, whatever the sectors' size.
        size_bytes: sectors.saturating_mul(512),
        sector_bytes: sector.filter(|bytes| *bytes > 0),
        model: words(model),
        transport: Some(transport(tree, &name)),
        rotational: tree.is_set(&file("queue/rotational")),
        removable: tree.is_set(&file("removable")),
        read_only: tree.is_set(&file("ro")),
        contents: Default::default(),
        name,
    }
}

fn serial(tree: &Tree, name: &str) -> String {
    // virtio has it at the disk; NVMe and MMC at the device; SCSI in page 0x80 (SPC-5, 7.8.6), from its fifth byte on.
    for path in ["serial", "device/serial"] {
        let text = tree.text(&format!("sys/block/{name}/{path}"));
        if !text.is_empty() {
            return text;
        }
    }
    let page = tree.bytes(&format!("sys/block/{name}/device/vpd_pg80")).unwrap_or_default();
    let length = page.get(2..4).map(|length| usize::from(u16::from_be_bytes([length[0], length[1]])));
    let text = length.and_then(|length| page.get(4..4 + length)).unwrap_or_default();
    String::from_utf8_lossy(text).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()
}

/// `eui.…` and `nvme.…` as the kernel writes them, `0x…` for SCSI's NAA names; other forms only repeat the serial number.
fn wwn(tree: &Tree, name: &str) -> String {
    for path in ["wwid", "device/wwid"] {
        let text = tree.text(&format!("sys/block/{name}/{path}"));
        if let Some(digits) = text.strip_prefix("naa.") {
            return format!("0x{digits}");
        }
        if ["eui.", "uuid."].iter().any(|form| text.starts_with(form)) {
            return text;
        }
    }
    String::new()
}

fn transport(tree: &Tree, name: &str) -> Transport {
    if name.starts_with("nvme") {
        let over = tree.text(&format!("sys/block/{name}/device/transport"));
        return if matches!(over.as_str(), "" | "pcie") { Transport::Nvme } else { Transport::Network };
    }
    if name.starts_with("mmcblk") {
        return Transport::Mmc;
    }
    // Where it hangs in the machine tells how: …/ata1/host0/target0:0:0/0:0:0:0/block/sda.
    let path = tree.link(&format!("sys/block/{name}")).unwrap_or_default();
    let segments: Vec<_> = path.split('/').collect();
    let numbered = |prefix: &str| {
        segments
            .iter()
            .any(|s| s.strip_prefix(prefix).is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit())))
    };
    let has = |prefix: &str| segments.iter().any(|s| s.starts_with(prefix));
    if numbered("usb") {
        return Transport::Usb;
    }
    if numbered("session") || has("rport-") {
        return Transport::Network;
    }
    if numbered("virtio") {
        return Transport::Virtio;
    }
    if numbered("ata") {
        return Transport::Sata;
    }
    if has("end_device-") || has("sas_") {
        return Transport::Sas;
    }
    let host = segments.iter().find(|s| s.strip_prefix("host").is_some_and(|n| n.parse::<u32>().is_ok()));
    let driver =
        host.map(|host| tree.text(&format!("sys/class/scsi_host/{host}/proc_name"))).unwrap_or_default();
    // Controllers that show the arrays they make, or disks without their own transport's class.
    let controllers = ["megaraid_sas", "mpt3sas", "mpt2sas", "aacraid", "hpsa", "smartpqi", "mpi3mr"];
    if controllers.contains(&driver.as_str()) {
        return Transport::Sas;
    }
    Transport::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_pages_are_big_endian() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("sys/block/sda/device");
        std::fs::create_dir_all(&device).unwrap();
        let check = |page: &[u8], expected: &str| {
            std::fs::write(device.join("vpd_pg80"), page).unwrap();
            assert_eq!(serial(&Tree::new(folder.path()), "sda"), expected);
        };
        check(b"\x00\x80\x00\x06  AB12rest", "AB12");
        check(b"\x00\x80\x00\x20short", "");
        check(b"\x00", "");
        check(b"", "");
    }
}
