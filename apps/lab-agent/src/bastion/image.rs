//! An image, read on from where it broke off: a bastion that restarts, or a cable that was pulled, costs a while and no installation.

use std::io::{self, Read};
use std::thread;
use std::time::Duration;

/// How often in a row it is asked for the rest, without a byte in between. With the waits, that is about five minutes.
const ATTEMPTS: u32 = 12;
/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(30);

/// Where the bytes come from.
pub trait Source {
    /// The bytes from this one on.
    fn from(&self, offset: u64) -> io::Result<Box<dyn Read>>;

    /// The time passes.
    fn wait(&self, wait: Duration) {
        thread::sleep(wait);
    }

    /// Says what is going on.
    fn say(&self, text: &str);
}

/// All bytes of a source, whatever comes in between.
pub struct Resuming<S> {
    source: S,
    reader: Option<Box<dyn Read>>,
    offset: u64,
    attempts: u32,
}

impl<S: Source> Resuming<S> {
    /// From this byte on. The first attempt is the only one: a source that was never there is not waited for.
    ///
    /// # Errors
    /// The source cannot be had.
    pub fn of(source: S, offset: u64) -> io::Result<Self> {
        let reader = Some(source.from(offset)?);
        Ok(Self { source, reader, offset, attempts: 0 })
    }

    /// Whether to try again after this.
    fn lost(&mut self, error: io::Error) -> io::Result<()> {
        self.reader = None;
        self.attempts += 1;
        if self.attempts > ATTEMPTS {
            return Err(error);
        }
        let wait = Duration::from_secs(1 << self.attempts.min(6)).min(LONGEST);
        let text =
            format!("the image broke off after {} bytes: {error}; trying again in {wait:?}", self.offset);
        self.source.say(&text);
        self.source.wait(wait);
        Ok(())
    }
}

impl<S: Source> Read for Resuming<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut self.reader {
                Some(reader) => reader.read(buffer),
                None => match self.source.from(self.offset) {
                    Ok(reader) => {
                        self.reader = Some(reader);
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            match read {
                Ok(read) => {
                    self.offset += read as u64;
                    self.attempts = if read > 0 { 0 } else { self.attempts };
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.lost(error)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    /// Yields so many bytes at each attempt and then an error; nothing at all at attempts that yield none.
    #[derive(Clone, Default)]
    struct Shaky {
        content: Vec<u8>,
        yields: Rc<RefCell<Vec<usize>>>,
        waited: Rc<Cell<Duration>>,
    }

    struct Part(Vec<u8>, bool);

    impl Read for Part {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return if self.1 { Ok(0) } else { Err(io::ErrorKind::ConnectionReset.into()) };
            }
            let length = buffer.len().min(self.0.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0.drain(..length);
            Ok(length)
        }
    }

    impl Source for Shaky {
        fn from(&self, offset: u64) -> io::Result<Box<dyn Read>> {
            let offset = usize::try_from(offset).expect("it is small");
            let rest = self.content[offset..].to_vec();
            let mut yields = self.yields.borrow_mut();
            if yields.is_empty() {
                return Ok(Box::new(Part(rest, true)));
            }
            match yields.remove(0) {
                0 => Err(io::ErrorKind::ConnectionRefused.into()),
                some => Ok(Box::new(Part(rest[..some.min(rest.len())].to_vec(), false))),
            }
        }

        fn wait(&self, wait: Duration) {
            self.waited.set(self.waited.get() + wait);
        }

        fn say(&self, _: &str) {}
    }

    #[test]
    fn all_bytes_once() {
        let content: Vec<u8> = (0..=255).collect();
        let check = |yields: &[usize], well: bool| {
            let yields = Rc::new(RefCell::new(yields.to_vec()));
            let source = Shaky { content: content.clone(), yields, ..Shaky::default() };
            let mut found = Vec::new();
            let read = Resuming::of(source.clone(), 0).and_then(|mut reader| reader.read_to_end(&mut found));
            assert_eq!(read.is_ok(), well, "{read:?}");
            assert!(!well || found == content);
            source.waited.get()
        };
        assert_eq!(check(&[], true), Duration::ZERO);
        assert_eq!(check(&[100], true), Duration::from_secs(2));
        assert_eq!(check(&[100, 0, 0, 7, 1], true), Duration::from_secs(2 + 4 + 8 + 2 + 2));
        // One that was never there is not waited for, and one that never comes back not for ever.
        assert_eq!(check(&[0], false), Duration::ZERO);
        let for_ever = [&[10][..], &[0; 40]].concat();
        assert!((120..600).contains(&check(&for_ever, false).as_secs()));
    }
}
