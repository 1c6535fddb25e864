//! Programs started on this machine.

use std::{ffi::OsStr, io, process::Command};

/// Runs a program with this process's terminal until it ends, such as an editor. Returns whether it succeeded.
///
/// # Errors
/// The program cannot be started: it does not exist, or may not be run.
pub fn interactive<S: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = S>,
) -> io::Result<bool> {
    Ok(Command::new(program).args(arguments).status()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_failure_and_absence_are_told_apart() {
        assert!(interactive("sh", ["-c", "exit 0"]).unwrap());
        assert!(!interactive("sh", ["-c", "exit 3"]).unwrap());
        assert_eq!(interactive("/nonexistent", [""]).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
