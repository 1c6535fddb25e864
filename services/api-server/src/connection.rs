//! A connection that is given up when its peer stops taking what is sent.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// How long a peer may take nothing while there is something to send.
const STALL: Duration = Duration::from_secs(60);

/// Lets the peer of one connection take its time: somebody who reads what a command says page by page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lenient(Arc<AtomicBool>);

impl Lenient {
    /// From now on the connection is not given up.
    pub(crate) fn grant(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A stream whose writes fail once they have been stuck for [`STALL`], so that a peer that reads no more cannot hold
/// memory and a place for ever.
pub(crate) struct Guarded<S> {
    inner: S,
    stuck: Option<Pin<Box<Sleep>>>,
    lenient: Lenient,
}

impl<S> Guarded<S> {
    pub(crate) fn new(inner: S, lenient: Lenient) -> Self {
        Self { inner, stuck: None, lenient }
    }

    /// Passes on what a write came to, unless it has been stuck for too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() || self.lenient.0.load(Ordering::Relaxed) {
            self.stuck = None;
            return write;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(STALL)));
        ready!(stuck.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing any more")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watch(context, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.watch(context, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.inner).poll_flush(context);
        self.watch(context, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = Pin::new(&mut self.inner).poll_shutdown(context);
        self.watch(context, shutdown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (near, _far) = tokio::io::duplex(16);
        let error = Guarded::new(near, Lenient::default()).write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (near, _far) = tokio::io::duplex(16);
        let lenient = Lenient::default();
        lenient.grant();
        let mut patient = Guarded::new(near, lenient);
        let stuck = tokio::time::timeout(STALL * 10, patient.write_all(&[0; 64])).await;
        assert!(stuck.is_err(), "one that may take its time is waited for");
    }
}
