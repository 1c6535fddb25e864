//! The whole trail as one answer, line by line as it lies on disk.

use super::Audit;
use crate::{
    answer,
    body::{Body, Pieces},
};
use bytes::Bytes;
use http::{Response, StatusCode};
use std::io::{self, BufWriter, Write};
use tokio::sync::mpsc;

/// Bytes sent at once, and how many such pieces may wait for a slow client.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 4;

impl Audit {
    /// Begins to send the trail; `None` where none is kept. What comes to it meanwhile may or may not be in it.
    pub(crate) fn export(&self) -> Option<Response<Body>> {
        let trail = self.trail.clone()?;
        let (pieces, received) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            super::catch_up(&trail);
            let out = BufWriter::with_capacity(PIECE, Sender(pieces));
            if let Err(error) = trail.export(out) {
                tracing::warn!(%error, "the audit trail was not sent to its end");
            }
        });
        let stream = futures_util::stream::unfold(received, |mut received| async move {
            let piece: Bytes = received.recv().await?;
            Some((Pieces::from(piece), received))
        });
        Some(answer::with(StatusCode::OK, "application/jsonl", Body::stream(stream)))
    }
}

/// Hands what is written to the connection, and waits while that is slow.
struct Sender(mpsc::Sender<Bytes>);

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone");
        self.0.blocking_send(Bytes::copy_from_slice(bytes)).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
