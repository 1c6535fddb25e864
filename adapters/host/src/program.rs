//! Programs that run beside this one, or in its place: how an agent tries another executable of itself.

use std::{ffi::OsStr, io, os::unix::process::CommandExt, path::Path, process::ExitStatus};
use tokio::process::{Child, Command};

/// A program that runs beside this one, with the same environment and log. Dropped, it is ended.
pub struct Beside(Child);

impl Beside {
    /// Starts a program.
    ///
    /// # Errors
    /// It is not there, or cannot be run.
    pub fn start(program: &Path, arguments: &[impl AsRef<OsStr>]) -> io::Result<Self> {
        Command::new(program).args(arguments).kill_on_drop(true).spawn().map(Self)
    }

    /// Its process number, until it has ended.
    pub fn id(&self) -> Option<u32> {
        self.0.id()
    }

    /// How it ended, once it has.
    ///
    /// # Errors
    /// The system does not say.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.0.wait().await
    }

    /// Ends it, and waits until it has.
    pub async fn end(mut self) {
        if let Err(error) = self.0.kill().await {
            tracing::warn!(%error, "a program could not be ended");
        }
    }
}

/// Runs a program in this one's place, under the same process number. Returns only where that fails.
pub fn become_program(program: &Path, arguments: &[impl AsRef<OsStr>]) -> io::Error {
    std::process::Command::new(program).args(arguments).exec()
}
