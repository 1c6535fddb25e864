//! Boot programs: from the site's folder, or from where Debian's and Ubuntu's packages put them.

use std::path::{Path, PathBuf};

/// Where the packages `ipxe`, `shim-signed` and `grub-efi-…-signed` have the programs.
const PACKAGED: &[(&str, &[&str])] = &[
    ("undionly.kpxe", &["/usr/lib/ipxe/undionly.kpxe"]),
    ("snponly.efi", &["/usr/lib/ipxe/snponly.efi"]),
    ("snponly-arm64.efi", &["/usr/lib/ipxe/snponly-arm64.efi", "/usr/lib/ipxe/ipxe-arm64.efi"]),
    ("shimx64.efi", &["/usr/lib/shim/shimx64.efi.signed"]),
    ("mmx64.efi", &["/usr/lib/shim/mmx64.efi.signed", "/usr/lib/shim/mmx64.efi"]),
    ("grubx64.efi", &["/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"]),
    ("shimaa64.efi", &["/usr/lib/shim/shimaa64.efi.signed"]),
    ("mmaa64.efi", &["/usr/lib/shim/mmaa64.efi.signed", "/usr/lib/shim/mmaa64.efi"]),
    ("grubaa64.efi", &["/usr/lib/grub/arm64-efi-signed/grubnetaa64.efi.signed"]),
];

/// The file for a path that machines ask for. What is in the folder wins over the packages.
pub(crate) fn find(folder: &Path, path: &str) -> Option<PathBuf> {
    let own = folder.join(path);
    if own.is_file() {
        return Some(own);
    }
    let (_, places) = PACKAGED.iter().find(|(name, _)| *name == path)?;
    places.iter().map(PathBuf::from).find(|place| place.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_machine::program::PROGRAMS;

    #[test]
    fn the_folder_wins_and_nothing_else_is_made_up() {
        let folder = tempfile::tempdir().expect("there is room");
        assert_eq!(find(folder.path(), "systems/none"), None);
        std::fs::write(folder.path().join("snponly.efi"), "own").expect("there is room");
        assert_eq!(find(folder.path(), "snponly.efi"), Some(folder.path().join("snponly.efi")));
    }

    #[test]
    fn packages_are_known_for_what_machines_are_sent_for() {
        let served = |path: &str| PROGRAMS.iter().any(|p| p.path == path || p.companions.contains(&path));
        for (path, _) in PACKAGED {
            assert!(served(path), "{path}");
        }
    }
}
