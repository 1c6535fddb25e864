//! What a file is recognised by that a statement is about: its hash and its length. Who states and who checks have it from here.

use sha2::{Digest, Sha256};
use std::io;

/// Measures what is written to it.
#[derive(Clone, Default)]
pub struct Measured {
    digest: Sha256,
    size: u64,
}

impl Measured {
    /// How many bytes there were so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash of all of them: `sha256:` and 64 hexadecimal digits, lower case.
    pub fn hash(self) -> String {
        self.digest.finalize().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
    }
}

impl io::Write for Measured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Measured;
    use std::io::Write;

    #[test]
    fn hash_and_length() {
        let mut measured = Measured::default();
        measured.write_all(b"a").unwrap();
        measured.write_all(b"bc").unwrap();
        assert_eq!(measured.size(), 3);
        // FIPS 180-2, appendix B.1.
        let expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(measured.hash(), expected);
    }
}
