//! Which file a client is sent for.

use super::Site;
use crate::client::{Class, Client};
use crate::program::{program, script_path};
use lab_kinds::metal::Server;

/// A boot file, or why there is none.
pub(super) struct BootFile {
    pub name: Option<String>,
    pub why: String,
}

/// The file for a client: its script for iPXE, so that it is never sent for itself again; iPXE for firmware; shim for firmware
/// that is known to check signatures.
pub(super) fn boot_file(client: &Client, server: Option<&Server>, site: &Site) -> BootFile {
    let none = |why: String| BootFile { name: None, why };
    let some = |name: String, why: &str| BootFile { name: Some(name), why: why.into() };
    match client.class {
        Class::Other => none("it does not boot from the network".into()),
        Class::RaspberryPi => none("a Raspberry Pi asks for files by names of its own".into()),
        Class::Ipxe => {
            let path = script_path(client.mac, client.uuid.as_deref());
            // A ROM's iPXE can lack HTTP; every iPXE has TFTP. Builds that say nothing of themselves are recent ones.
            match client.ipxe {
                Some(features) if features.version.is_some() && !features.http => {
                    some(path, "its script by TFTP, as this iPXE has no HTTP")
                }
                _ => some(site.url(&path), "its script by HTTP"),
            }
        }
        Class::Pxe | Class::Http | Class::UBoot => {
            let Some(platform) = client.platform else {
                let number = client.architecture_number.map_or("none".into(), |number| number.to_string());
                return none(format!("no boot program is known for its architecture (option 93: {number})"));
            };
            let signed = server.and_then(|server| server.status.hardware.firmware.secure_boot) == Some(true);
            let Some(program) = program(platform, signed) else {
                let kind = if signed { "signed boot program" } else { "boot program" };
                return none(format!("there is no {kind} for {platform:?}"));
            };
            if !site.programs.contains(program.path) {
                return none(format!(
                    "the boot server does not hold {}, which this machine needs",
                    program.path
                ));
            }
            let why = if signed { "shim, as the machine enforces Secure Boot" } else { "iPXE" };
            // UEFI drops an HTTP offer that has no absolute URL.
            if client.class == Class::Http {
                some(site.url(program.path), why)
            } else {
                some(program.path.into(), why)
            }
        }
    }
}
