//! File systems and swap space.

use super::{Hands, HandsError, shown};
use std::path::Path;

impl Hands<'_> {
    /// Wipes signatures on a device and makes a file system or swap space, with this identifier and label.
    ///
    /// # Errors
    /// The device is not to be written to, is in use, too small for the kind, or fails.
    pub fn make_file_system(
        &self,
        device: &Path,
        kind: &str,
        uuid: &str,
        label: &str,
    ) -> Result<(), HandsError> {
        self.may_write(device)?;
        let (program, arguments) = tool(kind, uuid, label)?;
        self.succeed("wipefs", ["--all", "--force", &shown(device)])?;
        self.succeed(program, arguments.into_iter().chain([shown(device)]))?;
        self.flush(device)?;
        let found = self.identifier(device)?;
        if found.eq_ignore_ascii_case(uuid) {
            return Ok(());
        }
        Err(HandsError::Missing { what: format!("{kind} with identifier {uuid} on {}", shown(device)) })
    }
}

fn tool(kind: &str, uuid: &str, label: &str) -> Result<(&'static str, Vec<String>), HandsError> {
    let (program, arguments) = match kind {
        "vfat" => ("mkfs.vfat", vec!["-i", "-n", label]),
        // GRUB cannot read file systems with these features before 2.12.
        "ext4" => (
            "mke2fs",
            vec!["-q", "-F", "-t", "ext4", "-O", "^metadata_csum_seed,^orphan_file", "-L", label, "-U"],
        ),
        "xfs" => ("mkfs.xfs", vec!["-q", "-f", "-L", label, "-m"]),
        "swap" => ("mkswap", vec!["--force", "--label", label, "--uuid"]),
        _ => return Err(HandsError::UnknownKind { kind: kind.into() }),
    };
    let mut arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
    match kind {
        // A FAT's identifier is 32 bits, which blkid writes with a dash.
        "vfat" => arguments.insert(1, uuid.replace('-', "")),
        "xfs" => arguments.push(format!("uuid={uuid}")),
        _ => arguments.push(uuid.into()),
    }
    Ok((program, arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools() {
        let check = |kind, uuid, expected: &str| {
            let (program, arguments) = tool(kind, uuid, "l").unwrap();
            assert_eq!(format!("{program} {}", arguments.join(" ")), expected);
        };
        check("vfat", "5A82-007D", "mkfs.vfat -i 5A82007D -n l");
        check("ext4", "u", "mke2fs -q -F -t ext4 -O ^metadata_csum_seed,^orphan_file -L l -U u");
        check("xfs", "u", "mkfs.xfs -q -f -L l -m uuid=u");
        check("swap", "u", "mkswap --force --label l --uuid u");
        assert!(tool("btrfs", "u", "l").is_err());
    }
}
