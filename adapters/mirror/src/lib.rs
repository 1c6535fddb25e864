//! Files from a mirror (`http://`, `https://`) or a local folder (`file:///`), read from where an earlier attempt broke off. What the
//! bytes should be is for others to judge.

mod web;

use bytes::{Bytes, BytesMut};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};

/// How many bytes of a local file are read at once.
const AT_ONCE: usize = 1 << 20;

/// A file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none that can be fetched from.
    #[error("{url:?} is no URL of a file: {why}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A local file cannot be read.
    #[error("cannot read {}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The mirror cannot be reached, or broke off.
    #[error("cannot fetch {url}: {why}")]
    Web {
        /// The URL.
        url: String,
        /// Why, with every cause.
        why: String,
    },
    /// The mirror answered with something else than the file.
    #[error("cannot fetch {url}: the mirror answered {status}")]
    Answer {
        /// The URL.
        url: String,
        /// Its status.
        status: http::StatusCode,
    },
    /// Nothing came for a while.
    #[error("cannot fetch {url}: nothing came for {} s", patience.as_secs())]
    Silent {
        /// The URL.
        url: String,
        /// For how long.
        patience: Duration,
    },
}

/// A way to mirrors and local folders; cheap to clone.
#[derive(Clone)]
pub struct Mirror {
    web: web::Web,
}

/// A file that comes in.
pub struct Download {
    /// Where the first byte stands in the file: where it was asked for, or at the beginning where the mirror does not go on from there.
    pub from: u64,
    /// How many bytes the whole file has, where the mirror says so.
    pub total: Option<u64>,
    source: Source,
}

enum Source {
    Local { path: PathBuf, file: File },
    Web(web::Incoming),
}

impl Mirror {
    /// A way that trusts the authorities that this machine trusts.
    pub fn new() -> Self {
        Self { web: web::Web::new() }
    }

    /// Begins to fetch a file, from an offset on.
    pub async fn fetch(&self, url: &str, from: u64) -> Result<Download, Error> {
        match url.strip_prefix("file://") {
            Some(path) => local(Path::new(path), from).await,
            None => self.web.fetch(url, from).await,
        }
    }
}

impl Default for Mirror {
    fn default() -> Self {
        Self::new()
    }
}

async fn local(path: &Path, from: u64) -> Result<Download, Error> {
    let failed = |source| Error::Local { path: path.to_owned(), source };
    let mut file = File::open(path).await.map_err(failed)?;
    let total = file.metadata().await.map_err(failed)?.len();
    let from = if from > total { 0 } else { from };
    file.seek(SeekFrom::Start(from)).await.map_err(failed)?;
    Ok(Download { from, total: Some(total), source: Source::Local { path: path.to_owned(), file } })
}

impl Download {
    /// The next bytes; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.source {
            Source::Web(incoming) => incoming.next().await,
            Source::Local { path, file } => {
                let mut buffer = BytesMut::with_capacity(AT_ONCE);
                let read = file.read_buf(&mut buffer).await;
                let read = read.map_err(|source| Error::Local { path: path.clone(), source })?;
                Ok((read > 0).then(|| buffer.freeze()))
            }
        }
    }
}
