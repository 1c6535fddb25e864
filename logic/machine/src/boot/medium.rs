//! A boot medium for machines that cannot boot from the network: GRUB asks the boot server on UEFI, iPXE on BIOS, and both go on with the
//! same answers as a network boot.

use std::fmt::Write;
use std::net::Ipv4Addr;

/// What a medium is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// The boot server's addresses, tried in this order. It is asked by HTTP on port 80: GRUB knows no other.
    pub servers: Vec<Ipv4Addr>,
    /// The machine's address where no DHCP server gives it one.
    pub fixed: Option<Fixed>,
}

/// An address without DHCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// The address.
    pub address: Ipv4Addr,
    /// Length of its network's prefix.
    pub prefix: u8,
    /// The gateway, where the boot server is not on the same network.
    pub gateway: Option<Ipv4Addr>,
}

impl Fixed {
    /// The network's mask.
    pub fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0))
    }
}

/// GRUB's configuration, which it reads on both kinds of firmware: on BIOS it has no drivers for NICs and starts iPXE.
pub fn grub(medium: &Medium) -> String {
    let mut text = String::from(
        "set timeout=0\nif [ \"$grub_platform\" != efi ]; then\n  linux16 /boot/ipxe.lkrn\n  initrd16 /boot/script.ipxe\n  boot\nfi\n\
         insmod efinet\ninsmod http\n",
    );
    // Writing to a String cannot fail.
    let file = match &medium.fixed {
        Some(fixed) => {
            let _ = writeln!(text, "net_add_addr lab efinet0 {}", fixed.address);
            let _ = writeln!(text, "net_add_route lab-net {}/{} lab", fixed.address, fixed.prefix);
            if let Some(gateway) = fixed.gateway {
                let _ = writeln!(text, "net_add_route default 0.0.0.0/0 gw {gateway}");
            }
            text += "set lab_mac=\"$net_lab_mac\"\n";
            "static.cfg"
        }
        None => {
            text += "net_bootp\n";
            for card in 0..8 {
                let _ = writeln!(
                    text,
                    "if [ -n \"$net_efinet{card}_dhcp_mac\" ]; then set lab_mac=\"$net_efinet{card}_dhcp_mac\"; fi"
                );
            }
            "grub.cfg"
        }
    };
    for server in &medium.servers {
        let _ = writeln!(
            text,
            "echo 'Asking {server}'\nset root=(http,{server})\nconfigfile /boot/$lab_mac/-/{file}"
        );
    }
    text += "echo 'No boot server answered; trying again in 30 s'\nsleep 30\nreboot\n";
    text
}

/// The script that iPXE runs.
pub fn ipxe(medium: &Medium) -> String {
    let mut text = String::from("#!ipxe\n:start\n");
    let (kind, card) = match &medium.fixed {
        Some(fixed) => {
            let _ = writeln!(
                text,
                "ifopen net0\nset net0/ip {}\nset net0/netmask {}",
                fixed.address,
                fixed.mask()
            );
            if let Some(gateway) = fixed.gateway {
                let _ = writeln!(text, "set net0/gateway {gateway}");
            }
            ("static", "net0")
        }
        None => {
            // Without `-c dhcp`, iPXE waits 16 s for an IPv6 router; builds that do not know it configure all there is.
            text += "ifconf -c dhcp || dhcp || goto again\n";
            ("script", "netX")
        }
    };
    for server in &medium.servers {
        let _ = writeln!(
            text,
            "echo Asking {server}\nchain http://{server}/boot/${{{card}/mac:hexhyp}}/${{uuid}}/{kind}-${{platform}}.ipxe ||"
        );
    }
    text += ":again\necho No boot server answered, trying again\nsleep 10\ngoto start\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medium(fixed: Option<Fixed>) -> Medium {
        Medium { servers: vec![[10, 9, 0, 2].into(), [10, 8, 0, 2].into()], fixed }
    }

    #[test]
    fn with_dhcp() {
        let expected = "#!ipxe\n:start\nifconf -c dhcp || dhcp || goto again\necho Asking 10.9.0.2\n\
                        chain http://10.9.0.2/boot/${netX/mac:hexhyp}/${uuid}/script-${platform}.ipxe ||\n\
                        echo Asking 10.8.0.2\n\
                        chain http://10.8.0.2/boot/${netX/mac:hexhyp}/${uuid}/script-${platform}.ipxe ||\n\
                        :again\necho No boot server answered, trying again\nsleep 10\ngoto start\n";
        assert_eq!(ipxe(&medium(None)), expected);
        let grub = grub(&medium(None));
        assert!(grub.contains("\nnet_bootp\n") && grub.contains("set root=(http,10.8.0.2)\n"), "{grub}");
        assert!(grub.contains("configfile /boot/$lab_mac/-/grub.cfg\n"), "{grub}");
    }

    #[test]
    fn without_dhcp() {
        let fixed =
            Fixed { address: [10, 9, 0, 50].into(), prefix: 24, gateway: Some([10, 9, 0, 254].into()) };
        let script = ipxe(&medium(Some(fixed)));
        let begin = "#!ipxe\n:start\nifopen net0\nset net0/ip 10.9.0.50\nset net0/netmask 255.255.255.0\nset net0/gateway 10.9.0.254\n";
        assert!(
            script.starts_with(begin)
                && script.contains("/${net0/mac:hexhyp}/${uuid}/static-${platform}.ipxe"),
            "{script}"
        );
        let grub = grub(&medium(Some(fixed)));
        assert!(
            grub.contains("net_add_addr lab efinet0 10.9.0.50\nnet_add_route lab-net 10.9.0.50/24 lab\n"),
            "{grub}"
        );
        assert!(grub.contains("/boot/$lab_mac/-/static.cfg\n") && !grub.contains("net_bootp"), "{grub}");
    }

    #[test]
    fn masks() {
        let check = |prefix, expected: [u8; 4]| {
            let fixed = Fixed { address: [10, 0, 0, 1].into(), prefix, gateway: None };
            assert_eq!(fixed.mask(), Ipv4Addr::from(expected));
        };
        check(24, [255, 255, 255, 0]);
        check(0, [0, 0, 0, 0]);
        check(32, [255, 255, 255, 255]);
    }
}
