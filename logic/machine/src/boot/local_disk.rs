//! The local disk, and the ways to it.

use super::Circumstances;
use lab_kinds::metal::Server;
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_kinds::metal::server::{LocalDiskBoot, status::Phase};

/// Whether there is something on the machine's disk to start: we installed it, or it joined as it was.
pub(super) fn is_installed(server: &Server) -> bool {
    server.status.install.is_some()
        || matches!(server.status.phase, Some(Phase::Installed | Phase::Ready | Phase::Offline))
}

/// How the machine gets there. Many BIOSes stop when a network boot entry returns; UEFI goes to the next entry.
pub(super) fn way(given: &Circumstances) -> LocalDiskBoot {
    let wish = given.server.and_then(|server| server.spec.boot.local_disk);
    wish.unwrap_or(match given.platform.firmware() {
        FirmwareType::Bios => LocalDiskBoot::Sanboot,
        FirmwareType::Uefi => LocalDiskBoot::Exit,
    })
}
