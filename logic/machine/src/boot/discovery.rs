//! The discovery system: our own kernel and initial RAM disk, which also install from images and rescue.

use super::{CannotStart, Circumstances, System};
use lab_kinds::metal::Server;
use lab_kinds::metal::server::hardware::Architecture;
use lab_kinds::metal::server::{WhenDeleted, status::Phase};

/// Why a machine is discovered of which something is known.
pub(super) fn why(server: &Server) -> String {
    let refused = server.status.plan.as_ref().and_then(|plan| plan.refused.as_ref());
    if let (Some(_), Some(why)) = (&server.spec.install, refused) {
        return format!("no plan can be made: {why}");
    }
    let why = match server.status.phase {
        Some(Phase::Planned) => "a plan was made and waits for approval",
        Some(Phase::Failed) => "its installation failed, and a person has to look at it",
        _ if server.spec.install.is_some() => "it is to be installed, and no plan is approved yet",
        _ => "nothing is to be installed on it",
    };
    why.into()
}

/// Why a machine's disks are to be wiped, where they are: its object is deleted and says so.
pub fn is_to_be_wiped(server: &Server) -> Option<String> {
    let wipe =
        server.metadata.deletion_timestamp.is_some() && server.spec.when_deleted == Some(WhenDeleted::Wipe);
    wipe.then(|| "its object is deleted and its disks are to be wiped".into())
}

pub(super) fn system(given: &Circumstances) -> Result<System, CannotStart> {
    own_system("discovery", given.token, given)
}

/// Our own system, in one of its modes.
pub(super) fn own_system(
    mode: &str,
    token: Option<&str>,
    given: &Circumstances,
) -> Result<System, CannotStart> {
    let folder = match given.platform.architecture() {
        Some(Architecture::Amd64) => "systems/discovery/amd64",
        Some(Architecture::Arm64) => "systems/discovery/arm64",
        None => return Err(CannotStart::NoKernel { platform: given.platform }),
    };
    let mut arguments = vec![format!("lab.site={}", given.base), format!("lab.mode={mode}"), bootif(given)];
    arguments.extend(token.map(|token| format!("lab.token={token}")));
    if let Some((fixed, _)) = given.fixed {
        arguments.push(format!("lab.address={}/{}", fixed.address, fixed.prefix));
        arguments.extend(fixed.gateway.map(|gateway| format!("lab.gateway={gateway}")));
    }
    arguments
        .extend(given.server.map(|server| server.spec.boot.kernel_arguments.clone()).unwrap_or_default());
    Ok(System { kernel: format!("{folder}/vmlinuz"), initrds: vec![format!("{folder}/initrd")], arguments })
}

/// The NIC that booted, as PXELINUX began to tell kernels: hardware type 1 and the MAC address.
pub(super) fn bootif(given: &Circumstances) -> String {
    format!("BOOTIF=01-{}", given.mac.dashed())
}
