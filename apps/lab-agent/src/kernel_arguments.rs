//! What the boot answer told the discovery system: kernel arguments.

use lab_object::mac::MacAddress;

/// What the discovery system is for in this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Report the hardware and wait.
    Discovery,
    /// Carry out an approved plan.
    Install,
    /// Let an operator in.
    Debug,
    /// Wipe the disks.
    Wipe,
}

/// The arguments that are meant for the agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KernelArguments {
    /// The bastion's address: `lab.site=http://10.9.0.2`.
    pub site: Option<String>,
    /// What this boot is for: `lab.mode=install`.
    pub mode: Option<Mode>,
    /// The token of this boot: `lab.token=…`.
    pub token: Option<String>,
    /// The NIC that booted: `BOOTIF=01-52-54-00-00-00-01`.
    pub nic: Option<MacAddress>,
    /// An address without DHCP: `lab.address=10.9.0.7/24`, and `lab.gateway=10.9.0.1`.
    pub address: Option<(std::net::Ipv4Addr, u8)>,
    /// The way out that belongs to it.
    pub gateway: Option<std::net::Ipv4Addr>,
}

/// Reads the kernel's command line. What is not understood is left out: a machine that reports without a token is better
/// than one that says nothing.
pub fn parse(line: &str) -> KernelArguments {
    let mut found = KernelArguments::default();
    for (name, value) in line.split_whitespace().filter_map(|argument| argument.split_once('=')) {
        match name {
            "lab.site" => found.site = Some(value.trim_end_matches('/').into()),
            "lab.token" => found.token = Some(value.into()),
            "lab.mode" => {
                found.mode = match value {
                    "discovery" => Some(Mode::Discovery),
                    "install" => Some(Mode::Install),
                    "debug" => Some(Mode::Debug),
                    "wipe" => Some(Mode::Wipe),
                    _ => None,
                }
            }
            // The first two digits are the kind of hardware: 01 for Ethernet.
            "BOOTIF" => found.nic = value.get(3..).and_then(|mac| mac.parse().ok()),
            "lab.address" => {
                found.address = value
                    .split_once('/')
                    .and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
            }
            "lab.gateway" => found.gateway = value.parse().ok(),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = "BOOT_IMAGE=x quiet lab.site=http://10.9.0.2/ lab.mode=install BOOTIF=01-52-54-00-00-00-01 lab.token=t0=k";
        let expected = KernelArguments {
            site: Some("http://10.9.0.2".into()),
            mode: Some(Mode::Install),
            token: Some("t0=k".into()),
            nic: Some(MacAddress([0x52, 0x54, 0, 0, 0, 1])),
            ..KernelArguments::default()
        };
        assert_eq!(parse(line), expected);
        let fixed = parse("lab.address=10.9.0.7/24 lab.gateway=10.9.0.1");
        assert_eq!(fixed.address, Some(([10, 9, 0, 7].into(), 24)));
        assert_eq!(fixed.gateway, Some([10, 9, 0, 1].into()));
        for nothing in ["", "quiet splash", "BOOTIF=x BOOTIF=01-zz", "lab.mode=dance", "lab.address=10.9.0.7"]
        {
            assert_eq!(parse(nothing), KernelArguments::default(), "{nothing}");
        }
    }
}
