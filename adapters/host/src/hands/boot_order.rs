//! The order in which UEFI firmware tries its entries.

/// The order with the network first, the installed system second and everything else behind, in the order in which they
/// were; nothing where that is the order already, or the entries cannot be read.
///
/// `text` is what `efibootmgr` says, and `system` the name of the system's entry.
pub fn network_first(text: &str, system: &str) -> Option<String> {
    let order = text.lines().find_map(|line| line.strip_prefix("BootOrder: "))?;
    let now: Vec<&str> = order.trim().split(',').collect();
    let entry = |number: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("Boot{number}")))?;
        Some(line.trim_start_matches('*').trim())
    };
    let rank = |number: &&str| match entry(number) {
        Some(entry) if is_network(entry) => 0,
        Some(entry) if is_system(entry, system) => 1,
        _ => 2,
    };
    let mut wanted = now.clone();
    wanted.sort_by_key(rank);
    (wanted != now).then(|| wanted.join(","))
}

/// Firmware names its network entries by many words, but all have the NIC's MAC address in their path, or say PXE or HTTP.
fn is_network(entry: &str) -> bool {
    ["PXE", "HTTP", "/MAC(", "(MAC:", "IPv4(", "IPv6(", "Network"].iter().any(|word| entry.contains(word))
}

fn is_system(entry: &str, system: &str) -> bool {
    let name = entry.split('\t').next().unwrap_or_default().trim();
    name.eq_ignore_ascii_case(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        let text = |order: &str| {
            format!(
                "BootCurrent: 0003\nTimeout: 0 seconds\nBootOrder: {order}\nBoot0000* UiApp\tFvVol(7cb8)/FvFile(462c)\n\
                 Boot0001* UEFI Misc Device\tPciRoot(0x0)/Pci(0x4,0x0)\n\
                 Boot0002* UEFI PXEv4 (MAC:525400000001)\tPciRoot(0x0)/Pci(0x2,0x0)/MAC(525400000001,1)/IPv4(0.0.0.0)\n\
                 Boot0003* UEFI HTTPv4 (MAC:525400000001)\tPciRoot(0x0)/Uri()\n\
                 Boot0004* debian\tHD(1,GPT,ee1cbc00)/File(\\EFI\\debian\\shimx64.efi)\n"
            )
        };
        let check = |order: &str, expected: Option<&str>| {
            assert_eq!(network_first(&text(order), "Debian").as_deref(), expected, "{order}");
        };
        check("0004,0000,0001,0002,0003", Some("0002,0003,0004,0000,0001"));
        check("0002,0003,0004,0000,0001", None);
        check("0003,0002,0004", None);
        check("0000,0004", Some("0004,0000"));
        check("0099,0004", Some("0004,0099"));
        assert_eq!(network_first("No BootOrder is set; firmware will attempt recovery\n", "debian"), None);
    }
}
