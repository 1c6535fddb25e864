//! Bodies of responses: shared bytes spliced together without copying, or a stream of them.

use bytes::{Buf, Bytes};
use futures_util::stream::{Stream, StreamExt};
use http_body::{Frame, SizeHint};
use std::{
    collections::VecDeque,
    convert::Infallible,
    io::{self, BufWriter, IoSlice, Write},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::mpsc;

/// Shared bytes, one after another, read as if they were one buffer.
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    parts: VecDeque<Bytes>,
    length: usize,
}

impl Pieces {
    /// No pieces yet, with room for so many.
    pub fn with_capacity(parts: usize) -> Self {
        Self { parts: VecDeque::with_capacity(parts), length: 0 }
    }

    /// Appends a piece; an empty one is left out.
    pub fn push(&mut self, part: impl Into<Bytes>) {
        let part = part.into();
        if !part.is_empty() {
            self.length += part.len();
            self.parts.push_back(part);
        }
    }

    /// The pieces, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.parts.iter()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl From<Bytes> for Pieces {
    fn from(part: Bytes) -> Self {
        let mut pieces = Self::with_capacity(1);
        pieces.push(part);
        pieces
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let count = slices.len().min(self.parts.len());
        for (slice, part) in slices.iter_mut().zip(&self.parts) {
            *slice = IoSlice::new(part);
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.length, "advanced past the end of the pieces");
        self.length -= count;
        while let Some(part) = self.parts.front_mut() {
            if count < part.len() {
                part.advance(count);
                return;
            }
            count -= part.len();
            self.parts.pop_front();
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        assert!(count <= self.length, "read past the end of the pieces");
        if self.parts.front().is_some_and(|part| part.len() >= count) {
            let part = self.parts[0].slice(..count);
            self.advance(count);
            return part;
        }
        let mut copy = Vec::with_capacity(count);
        while copy.len() < count {
            let chunk = self.chunk();
            let take = chunk.len().min(count - copy.len());
            copy.extend_from_slice(&chunk[..take]);
            self.advance(take);
        }
        copy.into()
    }
}

/// The body of a response.
pub enum Body {
    /// Known as a whole; its length is sent.
    Whole(Pieces),
    /// Comes bit by bit; polled only when the connection can take more.
    Stream(Pin<Box<dyn Stream<Item = Pieces> + Send>>),
}

impl Body {
    /// A body without bytes.
    pub fn empty() -> Self {
        Self::Whole(Pieces::default())
    }

    /// A body that comes bit by bit.
    pub fn stream(stream: impl Stream<Item = Pieces> + Send + 'static) -> Self {
        Self::Stream(stream.boxed())
    }
}

/// Bytes of a written body that are sent at once, and how many such pieces may wait for a slow client.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 4;

impl Body {
    /// A body that `write` writes while it is sent, on a thread that may block. Writing waits while the client is slow, and fails once it is gone.
    /// Needs a tokio runtime.
    pub fn written(write: impl FnOnce(Written) + Send + 'static) -> Self {
        let (pieces, received) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || write(BufWriter::with_capacity(PIECE, Sender(pieces))));
        Self::stream(futures_util::stream::unfold(received, |mut received| async move {
            let piece: Bytes = received.recv().await?;
            Some((Pieces::from(piece), received))
        }))
    }
}

/// Where a body is written to.
pub type Written = BufWriter<Sender>;

/// Hands what is written to the connection.
#[derive(Debug)]
pub struct Sender(mpsc::Sender<Bytes>);

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

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes.into())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<Pieces> for Body {
    fn from(pieces: Pieces) -> Self {
        Self::Whole(pieces)
    }
}

impl http_body::Body for Body {
    type Data = Pieces;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Pieces>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(pieces) if pieces.is_empty() => Poll::Ready(None),
            Self::Whole(pieces) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(pieces))))),
            Self::Stream(stream) => {
                stream.poll_next_unpin(context).map(|next| next.map(|pieces| Ok(Frame::data(pieces))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(pieces) if pieces.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(pieces) => SizeHint::with_exact(pieces.length as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_read_like_one_buffer(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..6),
                                       cuts in prop::collection::vec(0usize..20, 0..6)) {
            let whole = parts.concat();
            let mut pieces = Pieces::default();
            parts.into_iter().for_each(|part| pieces.push(part));
            let (mut at, mut by_copy) = (0, true);
            for cut in cuts {
                let cut = cut.min(pieces.remaining());
                if by_copy {
                    prop_assert_eq!(&pieces.copy_to_bytes(cut)[..], &whole[at..at + cut]);
                } else {
                    pieces.advance(cut);
                }
                by_copy = !by_copy;
                at += cut;
            }
            prop_assert_eq!(pieces.iter().flat_map(|p| p.to_vec()).collect::<Vec<_>>(), &whole[at..]);
        }
    }
}
