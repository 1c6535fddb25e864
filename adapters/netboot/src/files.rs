//! What is served: contents of known length, from memory or from disk, there as a whole or still coming, found by somebody else.

use bytes::Bytes;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::sync::watch;

/// A file that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// By which protocol.
    pub protocol: Protocol,
    /// Who asked.
    pub peer: SocketAddr,
    /// The path, cleaned by [`clean`].
    pub path: String,
}

/// How files are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TFTP.
    Tftp,
    /// HTTP.
    Http,
}

/// How serving a file went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All that was asked for was sent.
    Done {
        /// How many bytes.
        bytes: u64,
    },
    /// There is none.
    NotFound,
    /// The client only wanted to know its size; UEFI does so before it fetches.
    SizeAsked,
    /// The client broke it off.
    Aborted {
        /// How many bytes had been sent.
        bytes: u64,
    },
    /// The client fell silent.
    TimedOut {
        /// How many bytes had been sent.
        bytes: u64,
    },
    /// It could not be read here.
    Unreadable,
}

/// Whoever has the files.
#[async_trait::async_trait]
pub trait Files: Send + Sync {
    /// Finds a file; nothing where there is none.
    async fn open(&self, asked: &Asked) -> Option<Content>;

    /// Is told how serving it went.
    fn finished(&self, asked: &Asked, outcome: Outcome);

    /// Takes what a machine says by HTTP POST.
    async fn take(&self, asked: &Asked, content: Bytes) -> Taken;
}

/// What becomes of what a machine says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It was taken.
    Done,
    /// It was taken, and is answered with JSON.
    Answered(Bytes),
    /// Nothing is taken under this path.
    NotFound,
    /// It is not understood.
    Malformed,
    /// It is understood and wrong; why, as a sentence.
    Invalid(String),
    /// Whoever says it is not who they say they are.
    Refused,
}

/// The content of a file.
#[derive(Debug, Clone)]
pub enum Content {
    /// From memory.
    Memory(Bytes),
    /// From disk.
    Disk {
        /// The open file.
        file: Arc<File>,
        /// Its size in bytes.
        size: u64,
    },
    /// From disk, while it is still written there.
    Arriving {
        /// The open file.
        file: Arc<File>,
        /// The size it will have in bytes.
        size: u64,
        /// How much of it may be sent by now. It ends before all may where the rest never comes.
        arrived: watch::Receiver<Arrived>,
    },
}

/// How much of a file has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrived {
    /// How many bytes, from its beginning.
    pub bytes: u64,
    /// How many it will have, where that is known.
    pub size: Option<u64>,
}

impl Content {
    /// A file on disk, as long as it is now.
    pub fn of(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self::Disk { file: Arc::new(file), size })
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk { size, .. } | Self::Arriving { size, .. } => *size,
        }
    }

    /// Reads from an offset, at most so many bytes; fewer only at its end. Reading from disk does not hold up others. What is still to
    /// come is waited for.
    pub async fn read(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        let most = usize::try_from(self.size().saturating_sub(offset)).unwrap_or(most).min(most);
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.slice(start..start + most))
            }
            Self::Disk { file, .. } => read(file.clone(), offset, most).await,
            Self::Arriving { file, arrived, .. } => {
                let enough = |arrived: &Arrived| arrived.bytes >= offset + most as u64;
                let broken =
                    |_| io::Error::new(io::ErrorKind::UnexpectedEof, "the rest of the file did not come");
                arrived.clone().wait_for(enough).await.map_err(broken)?;
                read(file.clone(), offset, most).await
            }
        }
    }
}

async fn read(file: Arc<File>, offset: u64, length: usize) -> io::Result<Bytes> {
    let read = move || {
        let mut buffer = vec![0; length];
        file.read_exact_at(&mut buffer, offset).map(|()| Bytes::from(buffer))
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

/// The longest path that is looked up.
const LONGEST: usize = 1024;

/// A path as it is looked up: firmware writes backslashes, leading and double slashes, and ends it with rubbish (0xff). Nothing
/// for paths that lead out of their root, and for what is no path at all.
pub fn clean(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().rposition(|&b| b != 0xff).map_or(0, |last| last + 1);
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?.replace('\\', "/");
    if text.len() > LONGEST || text.chars().any(char::is_control) {
        return None;
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths() {
        let check =
            |path: &[u8], expected: Option<&str>| assert_eq!(clean(path).as_deref(), expected, "{path:?}");
        check(b"snponly.efi", Some("snponly.efi"));
        check(b"/grub/grub.cfg", Some("grub/grub.cfg"));
        check(b"\\EFI\\BOOT\\x.efi", Some("EFI/BOOT/x.efi"));
        check(b"//a///./b", Some("a/b"));
        check(b"snponly.efi\xff", Some("snponly.efi"));
        check(b"a..b/..c", Some("a..b/..c"));
        check(b"", None);
        check(b"/", None);
        check(b"..", None);
        check(b"a/../../etc/passwd", None);
        check(b"a\\..\\b", None);
        check(b"a\0b", None);
        check(b"a\nb", None);
        check(b"\xff\xfe", None);
        check(&[b'a'; 2000], None);
    }

    proptest! {
        #[test]
        fn no_path_leaves_its_root(bytes: Vec<u8>) {
            if let Some(path) = clean(&bytes) {
                prop_assert!(path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
                let again = clean(path.as_bytes());
                prop_assert_eq!(again.as_deref(), Some(path.as_str()));
            }
        }
    }
}
