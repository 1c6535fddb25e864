//! Streams to a machine: frames over a connection that has left HTTP.

use super::chosen;
use crate::{
    failure::{Exit, Failure, Outcome},
    kind,
    object::selection,
    session::Session,
};
use bytes::{Buf, BytesMut};
use lab_client::{Error, Upgraded, Upgrader};
use lab_kinds::metal::Server;
use lab_wire::stream::{Frame, PROTOCOL};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::{io, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

/// How often it is said that we live, while there is nothing else to say.
pub const ALIVE: Duration = Duration::from_secs(30);
/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// A machine to which streams are opened.
pub struct Machine {
    upgrader: Upgrader,
    /// What it is called, for people.
    pub called: String,
    name: String,
    uid: String,
}

impl Machine {
    /// Finds a server by any of its names.
    pub async fn find(session: &Session, name: &str) -> Outcome<Self> {
        let server: Server = chosen::find(session, &kind::servers()?, name).await?;
        let upgrader = Upgrader::new(&session.connection, None)?;
        let uid = server.metadata.uid.clone().unwrap_or_default();
        Ok(Self { upgrader, called: chosen::called(&server), name: chosen::name(&server).into(), uid })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its UID.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Opens a stream: a subresource of the server, and a query. `doing` completes "cannot …" in errors.
    pub async fn open(&self, doing: &str, part: &str, query: &str) -> Outcome<(Frames, Sink)> {
        let opened = ask(&self.upgrader, &self.name, doing, part, query).await;
        opened.map(ends).map_err(|error| failure(error, &self.name))
    }
}

/// Opens a stream to a server by any of its names. It is not found first, which would be another connection.
pub async fn open(
    session: &Session,
    name: &str,
    doing: &str,
    part: &str,
    query: &str,
) -> Outcome<(Frames, Sink)> {
    let target = kind::servers()?;
    selection::check_name(&target, name)?;
    match ask(&Upgrader::new(&session.connection, None)?, name, doing, part, query).await {
        Ok(opened) => Ok(ends(opened)),
        Err(error) if error.is_not_found() => {
            Err(selection::explain_missing(session, &target, "", name, error).await)
        }
        Err(error) => Err(failure(error, name)),
    }
}

async fn ask(
    upgrader: &Upgrader,
    name: &str,
    doing: &str,
    part: &str,
    query: &str,
) -> Result<Upgraded, Error> {
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let path = format!("/apis/metal.lab/v1alpha1/servers/{name}/{part}?{query}");
    upgrader.open(doing, &path, PROTOCOL).await
}

fn failure(error: Error, name: &str) -> Failure {
    let away = error.status().is_some_and(|status| status.code == 503);
    let failure = Failure::from(error);
    if away {
        let hint = format!("`labctl describe srv {name}` shows since when");
        return Failure { exit: Exit::NotServed, ..failure }.with_hint(hint);
    }
    failure
}

fn ends(opened: Upgraded) -> (Frames, Sink) {
    let (from, to) = tokio::io::split(opened);
    (Frames { from, buffer: BytesMut::new() }, Sink { to, buffer: Vec::new() })
}

/// What comes from the machine.
pub struct Frames {
    from: ReadHalf<Upgraded>,
    buffer: BytesMut,
}

/// What goes to the machine.
pub struct Sink {
    to: WriteHalf<Upgraded>,
    buffer: Vec<u8>,
}

/// A frame as it comes from a machine, owned.
pub enum Said {
    /// Output.
    Output(BytesMut),
    /// What goes to standard error.
    Complaint(BytesMut),
    /// It ended with a code.
    Code(i32),
    /// It was ended by a signal.
    Signal(i32),
    /// It did not begin, or could not go on.
    Failed(String),
}

impl Frames {
    /// What the machine says next. That nothing comes any more before the end was said is a failure.
    pub async fn next(&mut self) -> Outcome<Said> {
        let broken = |why: &str| Failure::new(Exit::Failed, format!("the stream broke off: {why}"));
        loop {
            if let Some(said) = self.take()? {
                return Ok(said);
            }
            self.buffer.reserve(PIECE);
            match self.from.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(broken("the machine or labd is gone, or this is not allowed any more")),
                Ok(_) => {}
                Err(error) => return Err(broken(&error.to_string())),
            }
        }
    }

    fn take(&mut self) -> Outcome<Option<Said>> {
        use lab_wire::stream::{Ended, HEAD};
        let odd = |why: &dyn std::fmt::Display| {
            Failure::new(Exit::Failed, format!("what the machine's agent sends is not understood: {why}"))
        };
        loop {
            let Some((frame, length)) = Frame::read(&self.buffer).map_err(|bad| odd(&bad))? else {
                return Ok(None);
            };
            let said = match frame {
                Frame::Output(_) | Frame::Complaint(_) => {
                    let is_output = matches!(frame, Frame::Output(_));
                    let mut data = self.buffer.split_to(length);
                    data.advance(HEAD);
                    return Ok(Some(if is_output { Said::Output(data) } else { Said::Complaint(data) }));
                }
                Frame::Ended(Ended::Code(code)) => Some(Said::Code(code)),
                Frame::Ended(Ended::Signal(number)) => Some(Said::Signal(number)),
                Frame::Ended(Ended::Failed(why)) => Some(Said::Failed(why.into())),
                Frame::Alive => None,
                _ => return Err(odd(&"a frame that only operators send")),
            };
            self.buffer.advance(length);
            if said.is_some() {
                return Ok(said);
            }
        }
    }
}

impl Sink {
    /// Sends a frame.
    pub async fn send(&mut self, frame: Frame<'_>) -> io::Result<()> {
        self.buffer.clear();
        frame.write(&mut self.buffer);
        self.to.write_all(&self.buffer).await?;
        self.to.flush().await
    }
}

/// The exit code of a command that was ended by a signal, as shells have it.
pub fn code_of_signal(number: i32) -> u8 {
    u8::try_from(128 + number).unwrap_or(u8::MAX)
}

/// Passes on what is read as input, and that there is no more of it, and says every now and then that we live; until nobody takes
/// it any more.
pub async fn feed(mut from: impl tokio::io::AsyncRead + Unpin, mut sink: Sink) {
    let mut piece = vec![0; PIECE];
    let mut alive = tokio::time::interval(ALIVE);
    let mut more = true;
    loop {
        let sent = tokio::select! {
            read = from.read(&mut piece), if more => match read {
                Ok(length @ 1..) => sink.send(Frame::Input(&piece[..length])).await,
                _ => {
                    more = false;
                    sink.send(Frame::InputEnd).await
                }
            },
            _ = alive.tick() => sink.send(Frame::Alive).await,
        };
        if sent.is_err() {
            return;
        }
    }
}
