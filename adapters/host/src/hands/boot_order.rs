//! The order in which UEFI firmware tries its entries.

/// The order with the network entry by which the machine was started first, the installed system second and everything else behind, in the
/// order in which they were; nothing where that is the order already, or the entries cannot be read. Where the machine was not started by the
/// network, the first network entry counts. Further ones behind the system cost nothing: firmware tries each for up to a minute.
///
/// `text` is what `efibootmgr` says, and `system` the name of the system's entry.
pub fn network_first(text: &str, system: &str) -> Option<String> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let now: Vec<&str> = value("BootOrder: ")?.split(',').collect();
    let entry = |number: &str| Some(value(&format!("Boot{number}"))?.trim_start_matches('*').trim());
    let by_network = |number: &&str| entry(number).is_some_and(is_network);
    let current = value("BootCurrent: ").filter(|current| now.contains(current)).filter(by_network);
    let network = current.or_else(|| now.iter().copied().find(by_network));
    let rank = |number: &&str| match entry(number) {
        _ if Some(*number) == network => 0,
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
        check("0004,0000,0001,0002,0003", Some("0003,0004,0000,0001,0002"));
        check("0003,0004,0000,0001,0002", None);
        check("0003,0002,0004", Some("0003,0004,0002"));
        check("0004,0001,0002", Some("0002,0004,0001"));
        check("0000,0004", Some("0004,0000"));
        check("0099,0004", Some("0004,0099"));
        assert_eq!(network_first("No BootOrder is set; firmware will attempt recovery\n", "debian"), None);
    }
}
