//! The operating system's image: a tar archive packed with zstd, verified while it is written; or an OCI image layout in a tar archive,
//! of which first the whole and then each layer is verified.

mod oci;
mod tree;

use super::{Hands, HandsError};
use oci::{Layer, Packing};
use sha2::{Digest as _, Sha256};
use std::{
    fmt,
    io::{self, Read},
    str::FromStr,
};
use tree::Tree;

/// A SHA-256 digest, written `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(String);

impl FromStr for Digest {
    type Err = UnpackError;
    fn from_str(text: &str) -> Result<Self, UnpackError> {
        let digits = text.strip_prefix("sha256:").unwrap_or_default();
        let plain = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if plain {
            Ok(Self(digits.to_lowercase()))
        } else {
            Err(UnpackError::NotADigest { text: text.into() })
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// Why an image was not written, or is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// What should be a digest is none.
    #[error("{text:?} is not a digest: sha256: and 64 hexadecimal digits")]
    NotADigest {
        /// What it is instead.
        text: String,
    },
    /// The image is not the one that was asked for.
    #[error(
        "the image is not the one of the operating system: after {bytes} bytes its digest is {is} where {expected} was \
         expected; it was altered or cut short on its way"
    )]
    Other {
        /// Bytes that were read.
        bytes: u64,
        /// Its digest.
        is: String,
        /// The digest that was asked for.
        expected: String,
    },
    /// Reading or unpacking failed, and what was read so far is all that came.
    #[error("unpacking the image, after {bytes} bytes")]
    Broken {
        /// Bytes that were read.
        bytes: u64,
        /// Why.
        source: io::Error,
    },
}

/// What a zstd frame begins with (RFC 8878, 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Counts and hashes what passes through it.
struct Measured<'a, R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a, R: Read> Measured<'a, R> {
    fn new(inner: R, progress: &'a mut dyn FnMut(u64)) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0, progress }
    }

    /// Reads what is left, and compares the digest of all.
    fn end(mut self, expected: &Digest) -> Result<u64, UnpackError> {
        // What follows an archive's end belongs to what was approved as well; after a failure it tells whether the image or the
        // disk was to blame.
        let drained = io::copy(&mut self, &mut io::sink());
        let is = Digest(self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        let bytes = self.bytes;
        drained.map_err(|source| UnpackError::Broken { bytes, source })?;
        if is != *expected {
            let (is, expected) = (is.to_string(), expected.to_string());
            return Err(UnpackError::Other { bytes, is, expected });
        }
        Ok(bytes)
    }
}

impl<R: Read> Read for Measured<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        (self.progress)(self.bytes);
        Ok(read)
    }
}

/// An image's bytes from an offset on.
pub type From<'a> = &'a dyn Fn(u64) -> io::Result<Box<dyn Read>>;

impl Hands<'_> {
    /// Unpacks an image into the new system, and compares its digest. What was written of an image with another digest stays
    /// until the next attempt writes over it, but is reported as an error, and must not be started.
    ///
    /// `image` yields it from its first byte; an OCI image layout is read a second time with `again`, as its layers may stand in any
    /// order. `leave_out` are places whose contents in the image are left out. `progress` is told how many bytes of the packed image
    /// have been read; of a layout, half of what was read in both passes.
    ///
    /// # Errors
    /// The image is altered, cut short or of neither form, or the disk is full or fails.
    pub fn unpack(
        &self,
        image: impl Read,
        again: From<'_>,
        expected: &Digest,
        leave_out: &[String],
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), HandsError> {
        let tree = Tree::new(self.target(), leave_out);
        let mut image = image;
        let mut head = Vec::new();
        let begun = image.by_ref().take(ZSTD.len() as u64).read_to_end(&mut head);
        begun.map_err(|source| UnpackError::Broken { bytes: 0, source })?;
        let image = io::Cursor::new(head.clone()).chain(image);
        if head == ZSTD {
            let mut measured = Measured::new(image, progress);
            let unpacked = zstd::Decoder::new(&mut measured).and_then(|archive| tree.whole(archive));
            let bytes = measured.end(expected)?;
            unpacked.map_err(|source| UnpackError::Broken { bytes, source })?;
        } else {
            let mut half = |bytes| progress(bytes / 2);
            let mut measured = Measured::new(image, &mut half);
            let layers = oci::layers(&mut measured, oci::architecture());
            // Nothing of it is written before it is known to be what was approved.
            let bytes = measured.end(expected)?;
            let layers = layers.map_err(|source| UnpackError::Broken { bytes, source })?;
            let mut before = bytes / 2;
            for layer in &layers {
                unpack_layer(&tree, layer, again, &mut |bytes| progress(before + bytes / 2))?;
                before += layer.size / 2;
            }
        }
        rustix::fs::sync();
        Ok(())
    }
}

fn unpack_layer(
    tree: &Tree,
    layer: &Layer,
    again: From<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), UnpackError> {
    let broken = |source| UnpackError::Broken { bytes: layer.offset, source };
    let packed = again(layer.offset).map_err(broken)?.take(layer.size);
    let mut measured = Measured::new(packed, progress);
    let unpacked = match layer.packing {
        Packing::None => tree.layer(&mut measured),
        Packing::Gzip => tree.layer(flate2::read::MultiGzDecoder::new(&mut measured)),
        Packing::Zstd => zstd::Decoder::new(&mut measured).and_then(|layer| tree.layer(layer)),
    };
    measured.end(&layer.digest)?;
    unpacked.map_err(broken)
}
