//! A backup as an answer of the running server: made while it is sent.

use super::archive;
use crate::{data_dir::Layout, keys::Sealer};
use bytes::Bytes;
use http::{Response, header};
use lab_api_server::{Body, Pieces};
use lab_object::Time;
use lab_store::Embedded;
use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::mpsc;

/// The path at which it is asked for.
pub const PATH: &str = "/backup";

/// Bytes sent at once, and how many such pieces may wait for a slow client.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 4;

/// Begins to send a backup. A client knows by its last line whether it came whole.
pub fn answer(store: &Arc<Embedded>, sealer: &Arc<Sealer>, data_dir: &Path, now: Time) -> Response<Body> {
    let (pieces, received) = mpsc::channel(WAITING);
    let (store, sealer, data_dir): (_, _, PathBuf) = (store.clone(), sealer.clone(), data_dir.into());
    tokio::task::spawn_blocking(move || {
        let out = BufWriter::with_capacity(PIECE, Sender(pieces));
        match archive::write(&store, &Layout(&data_dir), &sealer, now, out) {
            Ok(summary) => tracing::info!(objects = summary.objects, "a backup was taken"),
            Err(error) => tracing::error!("a backup failed: {error:#}"),
        }
    });
    let stream = futures_util::stream::unfold(received, |mut received| async move {
        let piece: Bytes = received.recv().await?;
        Some((Pieces::from(piece), received))
    });
    let mut response = Response::new(Body::stream(stream));
    let kind = header::HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
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
