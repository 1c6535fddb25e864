//! The programs that firmware is sent for, and the names under which they are served.
//!
//! Every name that a DHCP answer can contain is in [`PROGRAMS`] or made by [`script_path`]; whoever serves files serves
//! both, over TFTP and HTTP.

use crate::client::Platform;
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_object::mac::MacAddress;

/// A program that firmware loads and starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// What it is built for.
    pub platform: Platform,
    /// Whether firmware with Secure Boot starts it.
    pub signed: bool,
    /// Its path on the boot server, over TFTP and HTTP. It has no folder, because shim looks for the next program beside
    /// itself and Debian's GRUB for `/grub/grub.cfg`.
    pub path: &'static str,
    /// Programs that it fetches itself, by the same way.
    pub companions: &'static [&'static str],
}

/// Every program that a DHCP answer can name.
pub const PROGRAMS: &[Program] = &[
    // undionly.kpxe uses the ROM's own driver, which works where it was loaded at all.
    Program { platform: Platform::Bios, signed: false, path: "undionly.kpxe", companions: &[] },
    // snponly.efi drives only the NIC it was loaded from, by the firmware's driver; ipxe.efi takes every NIC over with drivers
    // of its own, and hangs on some.
    Program { platform: Platform::UefiX64, signed: false, path: "snponly.efi", companions: &[] },
    Program { platform: Platform::UefiIa32, signed: false, path: "snponly-ia32.efi", companions: &[] },
    Program { platform: Platform::UefiArm64, signed: false, path: "snponly-arm64.efi", companions: &[] },
    Program {
        platform: Platform::UefiX64,
        signed: true,
        path: "shimx64.efi",
        companions: &["grubx64.efi", "mmx64.efi", "grub/grub.cfg"],
    },
    Program {
        platform: Platform::UefiArm64,
        signed: true,
        path: "shimaa64.efi",
        companions: &["grubaa64.efi", "mmaa64.efi", "grub/grub.cfg"],
    },
];

/// The program for a platform; a signed one only where Secure Boot asks for it, as the way through shim and GRUB is longer.
pub fn program(platform: Platform, signed: bool) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.platform == platform && program.signed == signed)
}

/// Where iPXE finds the script of a machine: `boot/<MAC>/<UUID or "-">/script.ipxe`. Both names are in the path, because
/// TFTP has no queries and a MAC address alone does not name a machine.
pub fn script_path(mac: MacAddress, uuid: Option<&str>) -> String {
    format!("boot/{}/{}/script.ipxe", mac.dashed(), uuid.unwrap_or("-"))
}

/// What a path under `boot/` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptPath {
    /// The machine's MAC address.
    pub mac: MacAddress,
    /// Its UUID; GRUB does not know it.
    pub uuid: Option<String>,
    /// In which language the answer is wanted.
    pub language: Language,
    /// Its firmware, where the boot loader says so: that of a boot medium, which no DHCP request came before.
    pub firmware: Option<FirmwareType>,
    /// Whether it has its address from nobody, and what is started has to be told.
    pub fixed_address: bool,
}

/// A boot loader's language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// An iPXE script.
    Ipxe,
    /// GRUB configuration.
    Grub,
}

impl ScriptPath {
    /// Reads `boot/<MAC>/<UUID or "-">/script.ipxe` or `…/grub.cfg`; nothing for any other path. The MAC address is read in any
    /// notation, as GRUB writes it with colons. Boot media ask for `script-pcbios.ipxe` or `script-efi.ipxe`, and with `static` in the
    /// place of `script` or `grub` where the machine has its address from the medium.
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.trim_start_matches('/').split('/');
        let ("boot", mac, uuid, file, None) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next())
        else {
            return None;
        };
        let (bios, uefi) = (Some(FirmwareType::Bios), Some(FirmwareType::Uefi));
        let (language, firmware, fixed_address) = match file {
            "script.ipxe" => (Language::Ipxe, None, false),
            "script-pcbios.ipxe" => (Language::Ipxe, bios, false),
            "script-efi.ipxe" => (Language::Ipxe, uefi, false),
            "static-pcbios.ipxe" => (Language::Ipxe, bios, true),
            "static-efi.ipxe" => (Language::Ipxe, uefi, true),
            "grub.cfg" => (Language::Grub, None, false),
            "static.cfg" => (Language::Grub, uefi, true),
            _ => return None,
        };
        let uuid = match uuid {
            "-" => None,
            uuid if uuid.len() == 36 && uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') => {
                Some(uuid.to_ascii_lowercase())
            }
            _ => return None,
        };
        Some(Self { mac: MacAddress::parse(mac).ok()?, uuid, language, firmware, fixed_address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "11223344-5566-7788-99aa-bbccddeeff00";

    #[test]
    fn a_script_is_found_by_the_path_it_is_offered_under() {
        let mac = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
        let check = |path: &str, expected: Option<(Option<&str>, Language)>| {
            let expected = expected.map(|(uuid, language)| ScriptPath {
                mac,
                uuid: uuid.map(Into::into),
                language,
                firmware: None,
                fixed_address: false,
            });
            assert_eq!(ScriptPath::parse(path), expected, "{path}");
        };
        check(&script_path(mac, Some(UUID)), Some((Some(UUID), Language::Ipxe)));
        check(&script_path(mac, None), Some((None, Language::Ipxe)));
        check("/boot/52:54:00:00:00:01/-/grub.cfg", Some((None, Language::Grub)));
        check(
            &format!("boot/52-54-00-00-00-01/{}/script.ipxe", UUID.to_uppercase()),
            Some((Some(UUID), Language::Ipxe)),
        );
        for path in [
            "",
            "boot",
            "boot/52-54-00-00-00-01/-",
            "boot/52-54-00-00-00-01/-/other",
            "boot/52-54-00-00-00-01/-/grub.cfg/x",
            "boot/nobody/-/grub.cfg",
            "boot/52-54-00-00-00-01/../script.ipxe",
        ] {
            check(path, None);
        }
    }

    #[test]
    fn what_boot_media_ask_for() {
        let check = |file: &str, expected: (Option<FirmwareType>, bool)| {
            let path = ScriptPath::parse(&format!("boot/52-54-00-00-00-01/{UUID}/{file}"));
            assert_eq!(path.map(|path| (path.firmware, path.fixed_address)), Some(expected), "{file}");
        };
        check("script-pcbios.ipxe", (Some(FirmwareType::Bios), false));
        check("static-efi.ipxe", (Some(FirmwareType::Uefi), true));
        check("static.cfg", (Some(FirmwareType::Uefi), true));
    }

    #[test]
    fn a_path_stands_for_one_program() {
        for (at, program) in PROGRAMS.iter().enumerate() {
            assert!(PROGRAMS[..at].iter().all(|other| other.path != program.path), "{program:?}");
            assert_eq!(super::program(program.platform, program.signed), Some(program));
        }
    }
}
