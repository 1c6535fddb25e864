//! How the server is found: kubeconfig files, and what overrides them.
//!
//! Every value remembers where it came from, so that an error can say which flag, variable or file is wrong.

mod connection;
mod file;

pub use connection::{Connection, Credentials, Material, Overrides};
pub use file::{Context, Kubeconfig};

use std::{fmt, path::PathBuf};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag, such as `--server`.
    Flag(&'static str),
    /// A variable of the environment, such as `LAB_SERVER`.
    Variable(&'static str),
    /// A field of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The field's path, such as `clusters[lab].cluster.server`.
        field: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::File { path, field } => write!(f, "{}: {field}", path.display()),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Source,
}

impl<T> Sourced<T> {
    /// A value from there.
    pub fn new(value: T, source: Source) -> Self {
        Self { value, source }
    }

    /// The error that this value is no good, without showing it.
    pub fn refuse(&self, why: impl Into<String>) -> ConfigError {
        ConfigError::Refused { from: self.source.clone(), why: why.into() }
    }
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not a kubeconfig.
    #[error("{} is not a kubeconfig: {why}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        why: String,
    },
    /// A value is no good.
    #[error("{from} {why}")]
    Refused {
        /// Where it came from.
        from: Source,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing says which server to ask.
    #[error("no server is configured: {why}")]
    NoServer {
        /// What was looked at.
        why: String,
    },
}

impl ConfigError {
    /// What the reader may do about it, where there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoServer { .. } => Some(
                "set KUBECONFIG to the admin.kubeconfig that labd wrote in its data directory, or pass --kubeconfig",
            ),
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Some("the file belongs to somebody else: copy it, or run as its owner")
            }
            _ => None,
        }
    }
}
