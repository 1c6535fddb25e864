//! Packages that a machine's role needs, by each distribution's names.

use super::{Given, role};
use lab_kinds::metal::operating_system::Family;
use lab_kinds::metal::server::MachineRole::{Infra, Labcontroller, Vanilla, Worker};

/// Packages of every machine of a family: to be reached by SSH, with the right time, and to set the boot order.
fn of_family(family: Family) -> &'static [&'static str] {
    match family {
        Family::Fedora => &["openssh-server", "chrony", "sudo", "curl", "lvm2", "xfsprogs", "efibootmgr"],
        Family::Debian => &["openssh-server", "chrony", "sudo", "curl", "lvm2", "xfsprogs"],
        Family::Ubuntu => &["chrony", "curl", "lvm2", "xfsprogs"],
        Family::Other => &[],
    }
}

/// Packages of a role: volumes over the network for workers, and what a boot server hands out where this platform itself runs.
fn of_role(given: &Given) -> &'static [&'static str] {
    match (role(given), given.system.spec.family) {
        (Vanilla, _) | (_, Family::Other) => &[],
        (Worker, Family::Fedora) => &["iscsi-initiator-utils", "nfs-utils"],
        (Worker, _) => &["open-iscsi", "nfs-common"],
        (Infra, Family::Fedora) => &["nfs-utils", "tar"],
        (Infra, _) => &["nfs-common"],
        (Labcontroller, Family::Fedora) => &["nfs-utils", "tar", "ipxe-bootimgs-x86"],
        (Labcontroller, _) => &["nfs-common", "ipxe", "shim-signed", "grub-efi-amd64-signed"],
    }
}

/// All packages of a machine, each once.
pub fn of(given: &Given) -> Vec<String> {
    let own = of_family(given.system.spec.family).iter().chain(of_role(given));
    let mut packages: Vec<String> = own.map(|name| (*name).to_owned()).collect();
    packages.extend(given.system.spec.packages.iter().cloned());
    let mut seen = std::collections::BTreeSet::new();
    packages.retain(|name| seen.insert(name.clone()));
    packages
}

/// Services of a role that are started with the machine.
pub fn services(given: &Given) -> &'static [&'static str] {
    match role(given) {
        Worker => &["iscsid"],
        Vanilla | Infra | Labcontroller => &[],
    }
}
