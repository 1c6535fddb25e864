//! Why the trail could not do something.

use std::{io, path::PathBuf, sync::Arc};

/// Why the trail could not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nothing can be recorded now; it is tried again with the next entry.
    #[error("the audit trail cannot be written: {why}")]
    Unwritable {
        /// The cause, for people.
        why: Arc<str>,
    },
    /// An entry that cannot be recorded as it is.
    #[error("an entry of {bytes} bytes is too long for the audit trail, which takes {most}", most = crate::segment::MAX_ENTRY)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A file of the trail cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: Arc<io::Error>,
    },
    /// A file is none of a trail, or of a newer build.
    #[error("{} cannot be used: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The trail was closed.
    #[error("the audit trail is closed")]
    Closed,
}

impl Error {
    pub(crate) fn unreadable(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Unreadable { path, source: Arc::new(source) }
    }

    pub(crate) fn unwritable(why: impl std::fmt::Display) -> Self {
        Self::Unwritable { why: why.to_string().into() }
    }
}
