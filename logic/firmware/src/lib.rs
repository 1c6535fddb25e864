//! How firmware behaves that was recorded: what it says over DHCP, what it takes from answers, what it fetches and starts, and where
//! it gives up. It knows nothing of how a boot server decides, so that one can be tried on it.
//!
//! [`Machine::next`] is told what came of the last step and says the next one; whoever drives it has the wire and the clock.

mod dhcp;
mod grub;
mod ipxe;
mod machine;
mod stage;

pub use dhcp::{Answer, Question, To};
pub use machine::{End, Heard, Machine, Step};
pub use stage::{Fetch, Way};

/// The kinds of firmware. Each but [`Kind::BiosPxe`] was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// PC BIOS with a NIC whose ROM is iPXE.
    Bios,
    /// PC BIOS with a PXE ROM, which is sent for iPXE (PXE 2.1, not recorded).
    BiosPxe,
    /// UEFI by TFTP.
    UefiPxe,
    /// UEFI by TFTP, built before April 2017: it drops proxy answers with option 43 (edk2 issue 6944).
    UefiPxe2016,
    /// UEFI by HTTP.
    UefiHttp,
    /// UEFI by TFTP that starts only what is signed: shim, then GRUB as Debian signs them.
    SecureBoot,
    /// The same by HTTP.
    SecureBootHttp,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Bios,
        Self::BiosPxe,
        Self::UefiPxe,
        Self::UefiPxe2016,
        Self::UefiHttp,
        Self::SecureBoot,
        Self::SecureBootHttp,
    ];

    /// Its name, as in commands and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::BiosPxe => "bios-pxe",
            Self::UefiPxe => "uefi-pxe",
            Self::UefiPxe2016 => "uefi-pxe-2016",
            Self::UefiHttp => "uefi-http",
            Self::SecureBoot => "secure-boot",
            Self::SecureBootHttp => "secure-boot-http",
        }
    }

    /// The kind of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it starts only what is signed.
    pub fn checks_signatures(self) -> bool {
        matches!(self, Self::SecureBoot | Self::SecureBootHttp)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
