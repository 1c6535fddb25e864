//! Erasing a disk, so that nothing that was on it can be read any more.

use crate::command::{Call, CallError, Run};
use std::{fmt, path::Path};

/// How much is overwritten at once, in bytes.
const AT_ONCE: u64 = 1 << 30;

/// How a disk was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasure {
    /// The disk itself discarded all blocks and every copy of them.
    SecureDiscard,
    /// Zeros were written to every block.
    Overwritten,
}

impl fmt::Display for Erasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecureDiscard => "securely discarded by the disk itself",
            Self::Overwritten => "overwritten with zeros",
        })
    }
}

/// Erases a disk of so many bytes: by the disk itself where it can do that securely, else block by block. `told` hears how many bytes are
/// done.
///
/// # Errors
/// The disk refuses to be written to, in part or as a whole.
pub fn erase(
    run: &dyn Run,
    device: &Path,
    bytes: u64,
    told: &mut dyn FnMut(u64),
) -> Result<Erasure, CallError> {
    let discard = |arguments: &[&str]| {
        let path = device.to_string_lossy();
        Call::new("blkdiscard", ["--force"].iter().chain(arguments).copied().chain([&*path]))
    };
    // Most disks cannot; they say so at once.
    if run.run(&discard(&["--secure"]))?.code == Some(0) {
        told(bytes);
        return Ok(Erasure::SecureDiscard);
    }
    let mut done = 0;
    while done < bytes {
        let length = AT_ONCE.min(bytes - done);
        let (from, length_text) = (done.to_string(), length.to_string());
        run.succeed(&discard(&["--zeroout", "--offset", &from, "--length", &length_text]))?;
        done += length;
        told(done);
    }
    // Flash that knows which blocks are free lives longer; what is on them is zeros already.
    run.run(&discard(&[]))?;
    Ok(Erasure::Overwritten)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Ended;
    use std::sync::Mutex;

    /// A disk that can discard securely or not, and fails at an offset.
    struct Disk {
        secure: bool,
        broken_at: Option<&'static str>,
        calls: Mutex<Vec<String>>,
    }

    impl Run for Disk {
        fn run(&self, call: &Call) -> Result<Ended, CallError> {
            let text = call.to_string();
            let secure = text.contains("--secure");
            let broken = self.broken_at.is_some_and(|at| text.contains(&format!("--offset {at} ")));
            self.calls.lock().expect("nobody panicked").push(text);
            let code = Some(i32::from((secure && !self.secure) || broken));
            Ok(Ended { code, ..Ended::default() })
        }
    }

    #[test]
    fn by_the_disk_or_block_by_block() {
        let check = |secure, broken_at, expected: Option<Erasure>, calls: usize| {
            let disk = Disk { secure, broken_at, calls: Mutex::default() };
            let mut done = 0;
            let outcome = erase(&disk, Path::new("/dev/sda"), (2 << 30) + 512, &mut |bytes| done = bytes);
            assert_eq!(outcome.as_ref().ok(), expected.as_ref());
            assert_eq!(expected.is_some(), done == (2 << 30) + 512);
            let made = disk.calls.lock().expect("nobody panicked");
            assert_eq!(made.len(), calls, "{made:#?}");
            assert!(
                made.iter().all(|call| call.starts_with("blkdiscard --force") && call.ends_with("/dev/sda"))
            );
        };
        check(true, None, Some(Erasure::SecureDiscard), 1);
        check(false, None, Some(Erasure::Overwritten), 5);
        check(false, Some("1073741824"), None, 3);
    }
}
