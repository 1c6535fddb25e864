//! A file on its way to one client.

use crate::files::{Content, Outcome};
use rustix::fs::sendfile;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How much is handed to the kernel at a time. A client on a fast network takes this in a millisecond, so that others get their
/// turn; disks like it large.
const AT_ONCE: u64 = 1 << 20;

/// How much of a file that is still coming is waited for at a time, so that a client sees it come.
const ARRIVING: u64 = 64 << 10;

/// How it went. An error ends the connection.
pub(super) struct Sent {
    pub outcome: Outcome,
    pub error: Option<io::Error>,
}

/// Sends a part of a file. The client has `patience` for each piece, not for the whole, so that a slow one is served and one that
/// stopped is given up.
pub(super) async fn content(
    stream: &mut TcpStream,
    content: &Content,
    part: Range<u64>,
    patience: Duration,
) -> Sent {
    let mut at = part.start;
    while at < part.end {
        let piece = match content {
            Content::Memory(bytes) => {
                // The slice lies within the content, whose size is that of a slice in memory.
                let (from, to) = (at as usize, part.end.min(at + AT_ONCE) as usize);
                timeout(patience, stream.write(&bytes[from..to])).await
            }
            Content::Disk { file, .. } => timeout(patience, from_disk(stream, file, at, part.end)).await,
            Content::Arriving { .. } => {
                let count = usize::try_from((part.end - at).min(ARRIVING)).unwrap_or(usize::MAX);
                // Whoever waits for a mirror waits as long as the mirror is given; then the client has its own patience.
                match content.read(at, count).await {
                    Ok(bytes) => {
                        let all = async { stream.write_all(&bytes).await.map(|()| bytes.len()) };
                        timeout(patience, all).await
                    }
                    Err(error) => Ok(Err(error)),
                }
            }
        };
        let bytes = at - part.start;
        let (outcome, error) = match piece {
            Ok(Ok(0)) => (Outcome::Unreadable, io::Error::from(io::ErrorKind::UnexpectedEof)),
            Ok(Ok(sent)) => {
                at += sent as u64;
                continue;
            }
            Ok(Err(error)) => (Outcome::Aborted { bytes }, error),
            Err(_) => (Outcome::TimedOut { bytes }, io::ErrorKind::TimedOut.into()),
        };
        return Sent { outcome, error: Some(error) };
    }
    Sent { outcome: Outcome::Done { bytes: part.end - part.start }, error: None }
}

/// Has the kernel copy from file to socket, as much as the socket takes now.
async fn from_disk(stream: &TcpStream, file: &File, at: u64, end: u64) -> io::Result<usize> {
    let count = usize::try_from((end - at).min(AT_ONCE)).unwrap_or(usize::MAX);
    let copy = || {
        let mut offset = at;
        sendfile(stream, file, Some(&mut offset), count).map_err(io::Error::from)
    };
    stream.async_io(Interest::WRITABLE, copy).await
}
