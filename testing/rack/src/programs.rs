//! Files that stand for boot programs and kernels: as much of them as firmware looks at.

use anyhow::Context;
use std::fs;
use std::path::Path;

/// A UEFI program that does nothing, as large as is said, with a certificate table or without.
pub fn efi(size: usize, signed: bool) -> Vec<u8> {
    let mut bytes = vec![0; size.max(0x400)];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes[0x98..0x9a].copy_from_slice(&[0x0b, 0x02]);
    bytes[0x98 + 112 + 36] = u8::from(signed);
    bytes
}

/// A Linux kernel that does nothing.
pub fn kernel(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size.max(0x400)];
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes
}

/// Fills a boot server's folder with all that machines are sent for: each boot program a `divisor`th of the real one, the discovery
/// system of so many bytes.
pub fn fill(folder: &Path, divisor: usize, kernel_size: usize, initrd_size: usize) -> anyhow::Result<()> {
    let system = folder.join("systems/discovery/amd64");
    fs::create_dir_all(&system).with_context(|| format!("making {}", system.display()))?;
    let files = [
        (folder.join("undionly.kpxe"), vec![0x5a; 74_213 / divisor]),
        (folder.join("snponly.efi"), efi(173_792 / divisor, false)),
        (folder.join("shimx64.efi"), efi(1_048_504 / divisor, true)),
        (folder.join("grubx64.efi"), efi(3_843_520 / divisor, true)),
        (system.join("vmlinuz"), kernel(kernel_size)),
        (system.join("initrd"), vec![0; initrd_size]),
    ];
    for (path, bytes) in files {
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
