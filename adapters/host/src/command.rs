//! Programs started on this machine.

use std::{
    ffi::OsStr,
    fmt,
    io::{self, Write},
    process::{Command, Stdio},
};

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

/// A program to be run, with its arguments as they are: no shell reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The program's name, looked for in the usual folders.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it reads from its standard input.
    pub input: String,
}

impl Call {
    /// A program with these arguments and nothing on its standard input.
    pub fn new<S: Into<String>>(program: impl Into<String>, arguments: impl IntoIterator<Item = S>) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            input: String::new(),
        }
    }

    /// The same, reading this.
    pub fn reading(self, input: impl Into<String>) -> Self {
        Self { input: input.into(), ..self }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// How a program ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to its standard output.
    pub output: String,
    /// What it wrote to its standard error.
    pub complaint: String,
}

/// A program that did not do what it was called for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It could not be started.
    #[error("{program} cannot be started")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It failed.
    #[error("{call}: {}: {said}", code.map_or("ended by a signal".into(), |code| format!("exit code {code}")))]
    Failed {
        /// What was called.
        call: String,
        /// Its exit code; `None` when a signal ended it.
        code: Option<i32>,
        /// The end of what it said.
        said: String,
    },
}

/// Runs programs. Tests put their own in the way, to fail a call or to change what it finds.
pub trait Run: Send + Sync {
    /// Runs a program until it ends.
    ///
    /// # Errors
    /// [`CallError::NotStarted`]; a program that ends with a failure is no error here.
    fn run(&self, call: &Call) -> Result<Ended, CallError>;

    /// Runs a program that has to succeed, and returns what it wrote to its standard output.
    ///
    /// # Errors
    /// It could not be started, or ended with another exit code than 0.
    fn succeed(&self, call: &Call) -> Result<String, CallError> {
        let ended = self.run(call)?;
        if ended.code == Some(0) {
            return Ok(ended.output);
        }
        let said: Vec<_> = ended.complaint.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let said = said[said.len().saturating_sub(3)..].join("; ");
        Err(CallError::Failed { call: call.to_string(), code: ended.code, said })
    }
}

/// Runs programs as processes of this machine, with a plain environment, so that what they say can be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Processes;

/// Where programs are looked for, whatever the environment says.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

impl Run for Processes {
    fn run(&self, call: &Call) -> Result<Ended, CallError> {
        tracing::debug!(%call, "run");
        let not_started = |source| CallError::NotStarted { program: call.program.clone(), source };
        let mut child = Command::new(&call.program)
            .args(&call.arguments)
            .env_clear()
            .envs([("PATH", PATH), ("LC_ALL", "C"), ("DEBIAN_FRONTEND", "noninteractive")])
            .env("LVM_SUPPRESS_FD_WARNINGS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(not_started)?;
        let stdin = child.stdin.take();
        // Written beside, as a program that says much before it reads would wait for ever otherwise.
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // One that does not read what it was given says itself why.
                let _ = stdin.map(|mut stdin| stdin.write_all(call.input.as_bytes()));
            });
            child.wait_with_output()
        })
        .map_err(not_started)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ended = Ended {
            code: output.status.code(),
            output: text(&output.stdout),
            complaint: text(&output.stderr),
        };
        tracing::debug!(program = call.program, code = ?ended.code, complaint = ended.complaint.trim(), "ended");
        Ok(ended)
    }
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

    #[test]
    fn what_programs_say() {
        let shell = |script: &str| Call::new("sh", ["-c", script]);
        assert_eq!(Processes.succeed(&shell("cat; echo $LC_ALL").reading("in\n")).unwrap(), "in\nC\n");
        let large = "x".repeat(1 << 20);
        assert_eq!(Processes.succeed(&Call::new("cat", [""; 0]).reading(&large)).unwrap(), large);
        assert_eq!(Processes.succeed(&shell("exec <&-; echo done").reading(&large)).unwrap(), "done\n");
        let error = Processes.succeed(&shell("echo a >&2; echo b >&2; exit 3")).unwrap_err();
        assert_eq!(error.to_string(), "sh -c echo a >&2; echo b >&2; exit 3: exit code 3: a; b");
        let error = Processes.succeed(&shell("kill -9 $$")).unwrap_err();
        assert_eq!(error.to_string(), "sh -c kill -9 $$: ended by a signal: ");
        let error = Processes.succeed(&Call::new("nonexistent", [""; 0])).unwrap_err();
        assert_eq!(error.to_string(), "nonexistent cannot be started");
    }
}
