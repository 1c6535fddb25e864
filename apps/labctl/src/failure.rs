//! How labctl fails: one clear line, a hint where there is one, an exit code.

use lab_client::{ConfigError, Error, chain};
use lab_object::Reason;
use std::{fmt, io};

/// The process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Done,
    /// The server refused, or something else failed.
    Failed,
    /// The command cannot be understood: arguments, kinds, files.
    Usage,
    /// There is no such object.
    NotFound,
    /// It exists already, was changed meanwhile, or belongs to another manager.
    Conflict,
    /// The server does not let us in, or does not let us do that.
    Denied,
    /// No server was reached, or none is configured.
    Unreachable,
    /// What was waited for did not happen in time.
    Timeout,
    /// Nobody serves this yet.
    NotServed,
    /// That of a command that was run on a machine.
    Command(u8),
}

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Denied => 5,
            Self::Unreachable => 6,
            Self::Timeout => 7,
            Self::NotServed => 8,
            Self::Command(code) => code,
        }
    }
}

/// The exit codes as `--help` documents them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the server refused, or something failed
  2  the command, a kind or a file is not understood
  3  no such object
  4  it exists already, was changed meanwhile, or its fields belong to another manager
  5  not let in (401) or not allowed (403)
  6  no server reached, or none configured
  7  what was waited for did not happen in time
  8  nobody serves this yet";

/// Why a command failed, for the person who gave it.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// One line; empty when it was told already.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What commands return.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with its line.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), hint: None }
    }

    /// The command is not understood.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Everything was told already; only the exit code is left.
    pub fn told(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        self.hint = (!hint.is_empty()).then_some(hint);
        self
    }

    /// The same with words before its line.
    #[must_use]
    pub fn about(mut self, what: impl fmt::Display) -> Self {
        if !self.message.is_empty() {
            self.message = format!("{what}: {}", self.message);
        }
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match (&error, error.status().map(|s| (s.code, s.reason))) {
            (_, Some((401 | 403, _))) => Exit::Denied,
            (_, Some((404, _))) => Exit::NotFound,
            (_, Some((409, _))) => Exit::Conflict,
            (_, Some((_, Some(Reason::AlreadyExists)))) => Exit::Conflict,
            (_, Some((504, _))) => Exit::Timeout,
            (Error::Transport { .. }, _) => Exit::Unreachable,
            _ => Exit::Failed,
        };
        let message = match error.status() {
            // It says no more than "Unauthorized": what was to be done has to stand before it.
            Some(status) if status.code == 401 => chain(&error),
            Some(status) => status.message.clone(),
            None => chain(&error),
        };
        // A refusal that says what to do needs no advice of ours.
        let hint = if exit == Exit::Conflict { None } else { error.hint() };
        Self::new(exit, message).with_hint(hint.unwrap_or_default())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint().unwrap_or_default();
        Self::new(Exit::Unreachable, chain(&error)).with_hint(hint)
    }
}

impl From<io::Error> for Failure {
    /// For writing to our own output: whoever reads it may stop when they have seen enough.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::told(Exit::Done);
        }
        Self::new(Exit::Failed, format!("cannot write the output: {error}"))
    }
}

/// The line about several objects of which some failed: each is told as it fails, and the first one's code is kept.
#[derive(Default)]
pub struct Several {
    first: Option<Exit>,
}

impl Several {
    /// Takes note of one outcome.
    pub fn note(&mut self, outcome: Outcome) {
        if let Err(failure) = outcome {
            self.first.get_or_insert(failure.exit);
            crate::output::tell_failure(&failure);
        }
    }

    /// What the command returns.
    pub fn finish(self) -> Outcome {
        self.first.map_or(Ok(()), |exit| Err(Failure::told(exit)))
    }
}
