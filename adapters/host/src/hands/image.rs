//! The operating system's image: a tar archive packed with zstd, verified while it is written.

use super::{Hands, HandsError};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{self, Read},
    path::{Component, Path, PathBuf},
    str::FromStr,
};

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

/// Counts and hashes what passes through it.
struct Measured<'a, R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
    progress: &'a mut dyn FnMut(u64),
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

impl Hands<'_> {
    /// Unpacks an image into the new system, and compares its digest when its last byte was read. What was written of an
    /// image with another digest stays until the next attempt writes over it, but is reported as an error, and must not be
    /// started.
    ///
    /// `leave_out` are places whose contents in the image are left out. `progress` is told how many bytes of the packed
    /// image have been read.
    ///
    /// # Errors
    /// The image is altered, cut short or not of this form, or the disk is full or fails.
    pub fn unpack(
        &self,
        image: impl Read,
        expected: &Digest,
        leave_out: &[String],
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), HandsError> {
        let mut measured = Measured { inner: image, hash: Sha256::new(), bytes: 0, progress };
        let unpacked = unpack(&mut measured, self.target(), leave_out);
        // What follows the archive's end belongs to what was approved as well; after a failure it tells whether the image
        // or the disk was to blame.
        let drained = io::copy(&mut measured, &mut io::sink());
        let is = Digest(measured.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        let bytes = measured.bytes;
        if let Err(source) = drained {
            return Err(UnpackError::Broken { bytes, source }.into());
        }
        if is != *expected {
            let (is, expected) = (is.to_string(), expected.to_string());
            return Err(UnpackError::Other { bytes, is, expected }.into());
        }
        unpacked.map_err(|source| UnpackError::Broken { bytes, source })?;
        rustix::fs::sync();
        Ok(())
    }
}

fn unpack(packed: impl Read, target: &Path, leave_out: &[String]) -> io::Result<()> {
    let left_out: BTreeSet<PathBuf> = leave_out.iter().map(|place| relative(Path::new(place))).collect();
    let mut archive = tar::Archive::new(zstd::Decoder::new(packed)?);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(rustix::process::geteuid().is_root());
    archive.set_unpack_xattrs(true);
    archive.set_overwrite(true);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = relative(&entry.path()?);
        let below = path.ancestors().skip(1).any(|above| left_out.contains(above));
        if below || !is_kept(entry.header().entry_type(), &path) {
            continue;
        }
        if entry.header().entry_type().is_hard_link() {
            clear(&target.join(&path))?;
        }
        if !entry.unpack_in(target)? {
            let why = format!("{} leads out of the image", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
    }
    Ok(())
}

/// Devices are made by the running kernel, and pipes and sockets by programs.
fn is_kept(kind: tar::EntryType, path: &Path) -> bool {
    let special = kind.is_block_special() || kind.is_character_special() || kind.is_fifo();
    !special && path != Path::new("")
}

/// A path of the image without leading slash or dot.
fn relative(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::RootDir | Component::CurDir)).collect()
}

/// An earlier attempt may have left a file where a link is to be.
fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
