//! The form of what flows between an operator and a machine while a command runs or a port is forwarded: frames, the same
//! from `labctl` to the agent and back. labd passes them on unread.
//!
//! A frame is a byte that says what it is, the length of what follows in three bytes, the highest first, and so many bytes, at
//! most [`MAX_PAYLOAD`]. Another version of this form has another [`PROTOCOL`].

use std::fmt;

/// The name of this form: what is asked for in the header `Upgrade`.
pub const PROTOCOL: &str = "lab-stream.v1";
/// Bytes before each frame's payload.
pub const HEAD: usize = 4;
/// Most bytes that a frame carries.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// One frame. What it carries belongs to the buffer that it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The sender lives. Carries nothing.
    Alive,
    /// Towards the machine: what the command reads, or what the port is sent.
    Input(&'a [u8]),
    /// Towards the machine: there is no more input.
    InputEnd,
    /// Towards the machine: the size of the terminal's window.
    Resize(Window),
    /// Towards the machine: a signal for the command.
    Signal(Signal),
    /// From the machine: what the command writes to its standard output, or what the port sends.
    Output(&'a [u8]),
    /// From the machine: what the command writes to its standard error.
    Complaint(&'a [u8]),
    /// From the machine, as the last: how it ended.
    Ended(Ended<'a>),
}

/// The size of a terminal's window, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its width.
    pub columns: u16,
    /// Its height.
    pub rows: u16,
}

/// A signal that may be sent to a command, by its number on Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// The terminal is gone (SIGHUP).
    HangUp = 1,
    /// Ctrl-C (SIGINT).
    Interrupt = 2,
    /// Ctrl-\ (SIGQUIT).
    Quit = 3,
    /// SIGKILL.
    Kill = 9,
    /// SIGUSR1.
    User1 = 10,
    /// SIGUSR2.
    User2 = 12,
    /// SIGTERM.
    Terminate = 15,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::HangUp, Self::Interrupt, Self::Quit, Self::Kill, Self::User1, Self::User2, Self::Terminate];

    /// The signal of a number.
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| *signal as u8 == number)
    }
}

/// How a command, or the forwarding of a port, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended<'a> {
    /// With an exit code; a port's with 0.
    Code(i32),
    /// By a signal, by its number.
    Signal(i32),
    /// It did not begin, or could not go on; why, as a clause for people.
    Failed(&'a str),
}

/// Why what came is no frame. Nothing after it can be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadFrame {
    /// There is no frame of this kind.
    Kind(u8),
    /// It says that it carries more than [`MAX_PAYLOAD`].
    TooLong(usize),
    /// What it carries is not what its kind carries.
    Payload(u8),
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "a frame of the unknown kind {kind}"),
            Self::TooLong(length) => {
                write!(f, "a frame of {length} bytes, of which at most {MAX_PAYLOAD} are allowed")
            }
            Self::Payload(kind) => write!(f, "a frame of the kind {kind} that does not carry what it should"),
        }
    }
}

impl std::error::Error for BadFrame {}

mod kind {
    pub const ALIVE: u8 = 0;
    pub const INPUT: u8 = 1;
    pub const INPUT_END: u8 = 2;
    pub const RESIZE: u8 = 3;
    pub const SIGNAL: u8 = 4;
    pub const OUTPUT: u8 = 5;
    pub const COMPLAINT: u8 = 6;
    pub const CODE: u8 = 7;
    pub const BY_SIGNAL: u8 = 8;
    pub const FAILED: u8 = 9;
}

impl<'a> Frame<'a> {
    /// Appends the frame to a buffer. Of what is longer than a frame may be, such as a very long reason, the end is left out:
    /// whoever sends data cuts it to [`MAX_PAYLOAD`] before.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut put = |kind: u8, payload: &[u8]| {
            let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
            let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
            out.extend_from_slice(&[kind, length[1], length[2], length[3]]);
            out.extend_from_slice(payload);
        };
        match self {
            Self::Alive => put(kind::ALIVE, &[]),
            Self::Input(data) => put(kind::INPUT, data),
            Self::InputEnd => put(kind::INPUT_END, &[]),
            Self::Resize(Window { columns, rows }) => {
                put(kind::RESIZE, &[columns.to_be_bytes(), rows.to_be_bytes()].concat());
            }
            Self::Signal(signal) => put(kind::SIGNAL, &[*signal as u8]),
            Self::Output(data) => put(kind::OUTPUT, data),
            Self::Complaint(data) => put(kind::COMPLAINT, data),
            Self::Ended(Ended::Code(code)) => put(kind::CODE, &code.to_be_bytes()),
            Self::Ended(Ended::Signal(number)) => put(kind::BY_SIGNAL, &number.to_be_bytes()),
            Self::Ended(Ended::Failed(why)) => {
                put(kind::FAILED, &why.as_bytes()[..why.floor_char_boundary(MAX_PAYLOAD)]);
            }
        }
    }

    /// The frame as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Reads the frame at the beginning of a buffer: it, and how many bytes it took. `None` when it is not whole yet.
    ///
    /// # Errors
    /// What is there is no frame.
    pub fn read(buffer: &'a [u8]) -> Result<Option<(Self, usize)>, BadFrame> {
        let Some((&[kind, a, b, c], rest)) = buffer.split_first_chunk::<HEAD>() else { return Ok(None) };
        if kind > kind::FAILED {
            return Err(BadFrame::Kind(kind));
        }
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > MAX_PAYLOAD {
            return Err(BadFrame::TooLong(length));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let frame = Self::of(kind, payload).ok_or(BadFrame::Payload(kind))?;
        Ok(Some((frame, HEAD + length)))
    }

    fn of(kind: u8, payload: &'a [u8]) -> Option<Self> {
        let number = || payload.try_into().ok().map(i32::from_be_bytes);
        Some(match kind {
            kind::ALIVE if payload.is_empty() => Self::Alive,
            kind::INPUT => Self::Input(payload),
            kind::INPUT_END if payload.is_empty() => Self::InputEnd,
            kind::RESIZE => {
                let &[a, b, c, d] = payload.first_chunk::<4>().filter(|_| payload.len() == 4)?;
                let (columns, rows) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                Self::Resize(Window { columns, rows })
            }
            kind::SIGNAL => match payload {
                [number] => Self::Signal(Signal::of(*number)?),
                _ => return None,
            },
            kind::OUTPUT => Self::Output(payload),
            kind::COMPLAINT => Self::Complaint(payload),
            kind::CODE => Self::Ended(Ended::Code(number()?)),
            kind::BY_SIGNAL => Self::Ended(Ended::Signal(number()?)),
            kind::FAILED => Self::Ended(Ended::Failed(std::str::from_utf8(payload).ok()?)),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_frame() -> impl Strategy<Value = (u8, Vec<u8>, i32, String)> {
        (0..10u8, prop::collection::vec(any::<u8>(), 0..300), any::<i32>(), ".{0,40}")
    }

    fn frame<'a>((kind, data, number, text): &'a (u8, Vec<u8>, i32, String)) -> Frame<'a> {
        let window = Window { columns: *number as u16, rows: (*number >> 16) as u16 };
        let signal = Signal::ALL[number.unsigned_abs() as usize % Signal::ALL.len()];
        match kind {
            0 => Frame::Alive,
            1 => Frame::Input(data),
            2 => Frame::InputEnd,
            3 => Frame::Resize(window),
            4 => Frame::Signal(signal),
            5 => Frame::Output(data),
            6 => Frame::Complaint(data),
            7 => Frame::Ended(Ended::Code(*number)),
            8 => Frame::Ended(Ended::Signal(*number)),
            _ => Frame::Ended(Ended::Failed(text)),
        }
    }

    proptest! {
        /// Whatever is written is read, wherever the bytes are cut.
        #[test]
        fn read_as_written(made in prop::collection::vec(any_frame(), 0..8), cut in 1usize..64) {
            let frames: Vec<_> = made.iter().map(frame).collect();
            let mut bytes = Vec::new();
            frames.iter().for_each(|frame| frame.write(&mut bytes));
            let (mut buffer, mut next) = (Vec::new(), 0);
            for piece in bytes.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some((frame, taken)) = Frame::read(&buffer).expect("it was written") {
                    prop_assert_eq!(frame, frames[next]);
                    next += 1;
                    buffer.drain(..taken);
                }
            }
            prop_assert_eq!((next, buffer.len()), (frames.len(), 0));
        }

        /// Of bytes that were changed on the way, or are anything at all, no more is taken than there is; and what is read is
        /// written as it was.
        #[test]
        fn whatever_comes(made in any_frame(), at in any::<prop::sample::Index>(), byte: u8, noise in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = frame(&made).to_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            for bytes in [bytes, noise] {
                match Frame::read(&bytes) {
                    Ok(Some((frame, taken))) => prop_assert_eq!(&frame.to_bytes()[..], &bytes[..taken]),
                    Ok(None) => prop_assert!(bytes.len() < HEAD + MAX_PAYLOAD),
                    Err(_) => {}
                }
            }
        }
    }

    #[test]
    fn what_is_no_frame() {
        let check = |bytes: &[u8], expected| assert_eq!(Frame::read(bytes), Err(expected), "{bytes:?}");
        check(&[10, 0, 0, 0], BadFrame::Kind(10));
        check(&[1, 1, 0, 1], BadFrame::TooLong(65_537));
        check(&[0, 0, 0, 1, 9], BadFrame::Payload(0));
        check(&[3, 0, 0, 5, 0, 80, 0, 24, 0], BadFrame::Payload(3));
        check(&[4, 0, 0, 1, 19], BadFrame::Payload(4));
        check(&[7, 0, 0, 2, 0, 1], BadFrame::Payload(7));
        check(&[9, 0, 0, 1, 0xff], BadFrame::Payload(9));
        for short in [&[][..], &[1, 0, 0], &[1, 0, 0, 2, 7]] {
            assert_eq!(Frame::read(short), Ok(None));
        }
        let long = "é".repeat(MAX_PAYLOAD);
        let bytes = Frame::Ended(Ended::Failed(&long)).to_bytes();
        assert!(matches!(Frame::read(&bytes), Ok(Some((Frame::Ended(Ended::Failed(_)), _)))));
    }
}
