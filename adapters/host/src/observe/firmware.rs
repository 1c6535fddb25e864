//! Firmware, TPM and BMC.

use super::{Smbios, Tree};
use lab_kinds::metal::server::hardware::{BmcHardware, Firmware, FirmwareType, Tpm};

/// The firmware: what SMBIOS says of it, and how it started the machine.
pub fn read(tree: &Tree, tables: &Smbios) -> Firmware {
    let uefi = tree.has("sys/firmware/efi");
    Firmware {
        kind: Some(if uefi { FirmwareType::Uefi } else { FirmwareType::Bios }),
        vendor: tables.firmware_vendor.clone(),
        version: tables.firmware_version.clone(),
        date: tables.firmware_date.clone(),
        secure_boot: if uefi { secure_boot(tree) } else { None },
    }
}

/// The variable is four bytes of attributes and one byte (UEFI 2.10, 3.3).
fn secure_boot(tree: &Tree) -> Option<bool> {
    const VARIABLE: &str = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let bytes = tree.bytes(VARIABLE)?;
    bytes.get(4).map(|value| *value == 1)
}

/// The TPM; nothing where there is none.
pub fn tpm(tree: &Tree) -> Option<Tpm> {
    let name = tree.names("sys/class/tpm").into_iter().next()?;
    let folder = format!("sys/class/tpm/{name}");
    let major = tree.text(&format!("{folder}/tpm_version_major"));
    let version = if major == "2" { "2.0" } else { "1.2" };
    Some(Tpm { version: version.into(), ..Tpm::default() })
}

/// The BMC as the kernel's IPMI driver sees it, or else as SMBIOS names it.
pub fn bmc(tree: &Tree, tables: &Smbios) -> Option<BmcHardware> {
    let names = tree.names("sys/class/ipmi");
    if names.is_empty() && !tables.has_bmc {
        return None;
    }
    let field = |file: &str| {
        names
            .first()
            .map(|name| tree.text(&format!("sys/class/ipmi/{name}/device/bmc/{file}")))
            .unwrap_or_default()
    };
    Some(BmcHardware {
        manufacturer: field("manufacturer_id"),
        version: field("firmware_revision"),
        ..BmcHardware::default()
    })
}
