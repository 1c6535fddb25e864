//! What the first program of a ramdisk does before and after everything else.

use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, reboot};
use std::{fs, io, path::Path};

/// Mounts the kernel's file systems where every program expects them. One that is there already is left alone.
///
/// # Errors
/// One of them cannot be mounted.
pub fn mount_kernel_file_systems() -> io::Result<()> {
    let hidden = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    for (at, kind, flags) in [
        ("/proc", "proc", hidden),
        ("/sys", "sysfs", hidden),
        ("/dev", "devtmpfs", MountFlags::NOSUID),
        ("/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV),
        ("/tmp", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV),
    ] {
        fs::create_dir_all(at)?;
        match mount(kind, at, kind, flags, None) {
            Err(rustix::io::Errno::BUSY) | Ok(()) => {}
            Err(error) => {
                return Err(io::Error::new(io::Error::from(error).kind(), format!("mounting {at}: {error}")));
            }
        }
    }
    Ok(())
}

/// Mounts the variables of UEFI firmware, where the machine was started by it.
///
/// # Errors
/// They cannot be mounted.
pub fn mount_firmware_variables() -> io::Result<()> {
    let at = Path::new("/sys/firmware/efi/efivars");
    if !at.exists() {
        return Ok(());
    }
    match mount("efivarfs", at, "efivarfs", MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV, None)
    {
        Err(rustix::io::Errno::BUSY) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Flushes all disks and restarts the machine. Returns only where this process may not.
pub fn restart() -> io::Error {
    end(RebootCommand::Restart)
}

/// Flushes all disks and switches the machine off. Returns only where this process may not.
pub fn power_off() -> io::Error {
    end(RebootCommand::PowerOff)
}

fn end(command: RebootCommand) -> io::Error {
    rustix::fs::sync();
    match reboot(command) {
        Err(error) => error.into(),
        Ok(()) => io::Error::other("the kernel went on"),
    }
}

/// Sets the name that the running kernel gives the machine.
///
/// # Errors
/// This process may not.
pub fn set_hostname(name: &str) -> io::Result<()> {
    Ok(rustix::system::sethostname(name.as_bytes())?)
}
