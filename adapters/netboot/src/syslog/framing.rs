//! Messages in a stream (RFC 6587): each with its length before it, or each on its line; senders may mix the two.

use super::LONGEST;

/// What has come in and is no whole message yet.
#[derive(Debug, Default)]
pub struct Framing {
    state: State,
    held: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between messages: a digit begins a length, anything else a line.
    #[default]
    Between,
    /// Within a length, as far as it was read.
    Length(usize),
    /// Within a message of which so many bytes are missing.
    Counted(usize),
    /// Within a line.
    Line,
}

impl Framing {
    /// Takes bytes in and hands whole messages on. What is longer than is kept is cut.
    pub fn put(&mut self, bytes: &[u8], message: &mut dyn FnMut(&[u8])) {
        for &byte in bytes {
            self.byte(byte, message);
        }
    }

    /// Hands on what is left at the end of the stream.
    pub fn end(self, message: &mut dyn FnMut(&[u8])) {
        if !self.held.is_empty() {
            message(&self.held);
        }
    }

    fn byte(&mut self, byte: u8, message: &mut dyn FnMut(&[u8])) {
        self.state = match (self.state, byte) {
            (State::Between, b'\n' | b'\r' | 0) => State::Between,
            (State::Between, b'1'..=b'9') => {
                self.held.push(byte);
                State::Length(usize::from(byte - b'0'))
            }
            (State::Length(length), b'0'..=b'9') if length <= LONGEST * 16 => {
                self.held.push(byte);
                State::Length(length * 10 + usize::from(byte - b'0'))
            }
            (State::Length(length), b' ') => {
                self.held.clear();
                State::Counted(length)
            }
            (State::Counted(missing), _) => {
                self.hold(byte);
                if missing > 1 { State::Counted(missing - 1) } else { self.whole(message) }
            }
            // A line may begin with digits that are no length.
            (State::Line | State::Length(_), b'\n' | 0) => self.whole(message),
            (State::Between | State::Line | State::Length(_), _) => {
                self.hold(byte);
                State::Line
            }
        };
    }

    fn hold(&mut self, byte: u8) {
        if self.held.len() < LONGEST {
            self.held.push(byte);
        }
    }

    fn whole(&mut self, message: &mut dyn FnMut(&[u8])) -> State {
        message(&self.held);
        self.held.clear();
        State::Between
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut framing, mut found) = (Framing::default(), Vec::new());
        pieces.iter().for_each(|piece| framing.put(piece, &mut |message| found.push(message.to_vec())));
        framing.end(&mut |message| found.push(message.to_vec()));
        found
    }

    #[test]
    fn lines_and_lengths() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<_> = messages(&[text.as_bytes()])
                .into_iter()
                .map(|m| String::from_utf8(m).expect("it is text"))
                .collect();
            assert_eq!(found, expected, "{text:?}");
        };
        check("<1>a\n<2>b\n", &["<1>a", "<2>b"]);
        check("4 <1>a5 <2>b\n<3>c\n", &["<1>a", "<2>b\n", "<3>c"]);
        check("6 <1>a\nb6 <2>c\nd", &["<1>a\nb", "<2>c\nd"]);
        check("12:30 up\n", &["12:30 up"]);
        check("12\n", &["12"]);
        check("\n\r\n\0x", &["x"]);
        // No sender has messages of this length.
        check("9999999 a\nb", &["9999999 a", "b"]);
        let long = "a".repeat(LONGEST * 2);
        check(&format!("{long}\nb\n"), &[&long[..LONGEST], "b"]);
        check(&format!("{} {long}b\n", LONGEST * 2), &[&long[..LONGEST], "b"]);
    }

    proptest! {
        /// However a stream is cut into pieces, its messages are the same, and none is longer than is kept.
        #[test]
        fn pieces_do_not_matter(bytes in proptest::collection::vec(prop_oneof![Just(b'1'), Just(b' '), Just(b'\n'), any::<u8>()], 0..200), at in 0usize..200) {
            let at = at.min(bytes.len());
            let whole = messages(&[&bytes]);
            prop_assert_eq!(&whole, &messages(&[&bytes[..at], &bytes[at..]]));
            prop_assert!(whole.iter().all(|message| message.len() <= LONGEST));
        }
    }
}
