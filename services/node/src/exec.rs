//! Runs a command for somebody at the other end of a stream.

use crate::serve::{Body, bad, streamed};
use bytes::{Buf, Bytes, BytesMut};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lab_host::session::{End, Group, Input, Launch, Output, Process, Session, Terminal};
use lab_wire::{
    agent::Exec,
    stream::{Ended, Frame, MAX_PAYLOAD},
};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

/// How long is waited for more output once the command has ended: whatever it left running may hold its output open for ever.
const REST: Duration = Duration::from_millis(250);
/// What a terminal takes for the end of the input, Ctrl-D.
const END_OF_INPUT: &[u8] = b"\x04";
/// The exit code of shells for a command that is not there, and for one that may not be run.
const ABSENT: i32 = 127;
const NOT_RUN: i32 = 126;

/// Answers a request to run a command.
pub(crate) fn answer(query: &str, body: Incoming) -> Response<Body> {
    let exec = match Exec::from_query(query) {
        Ok(exec) => exec,
        Err(error) => return bad(&error),
    };
    let (out, response) = streamed();
    tokio::spawn(run(exec, Frames::new(body), out));
    response
}

async fn run(exec: Exec, input: Frames, out: mpsc::Sender<Bytes>) {
    let program = exec.command.first().cloned().unwrap_or_default();
    tracing::info!(program, tty = exec.tty, "a command begins");
    let Exec { command, tty, stdin, term, columns, rows } = exec;
    let terminal = tty.then_some(Terminal { name: term, columns, rows });
    let last = match Session::start(&Launch { command, input: stdin, terminal }) {
        Ok(session) => match attend(session, input, &out).await {
            Some(end) => end,
            None => return tracing::info!(program, "a command was ended, as nobody listens any more"),
        },
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::NotFound { ABSENT } else { NOT_RUN };
            let why = format!("{program}: {error}\n");
            if out.send(Frame::Complaint(why.as_bytes()).to_bytes().into()).await.is_err() {
                return;
            }
            Ended::Code(code).into_frame()
        }
    };
    // Whoever is gone by now does not hear it.
    let _ = out.send(last).await;
}

/// Serves a command until it has ended and all is said: how it ended. Nothing when nobody listens any more.
async fn attend(session: Session, mut frames: Frames, out: &mpsc::Sender<Bytes>) -> Option<Bytes> {
    let Session { input, output, complaint, mut process } = session;
    let group = process.group();
    let ended = tokio::select! {
        ended = speak(output, complaint, &mut process, out) => ended,
        () = listen(input, &group, &mut frames) => None,
        () = out.closed() => None,
    };
    match ended {
        Some(Ok(End::Code(code))) => Some(Ended::Code(code).into_frame()),
        Some(Ok(End::Signal(number))) => Some(Ended::Signal(number).into_frame()),
        Some(Err(error)) => Some(Ended::Failed(&error.to_string()).into_frame()),
        None => {
            process.hang_up().await;
            None
        }
    }
}

/// Takes what the other end sends, until there is no other end.
async fn listen(mut input: Input, group: &Group, frames: &mut Frames) {
    loop {
        let frame = match frames.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(why) => return tracing::warn!(why, "a stream was not understood"),
        };
        match frame {
            Taken::Input(data) => {
                let written = match &mut input {
                    Input::None => Ok(()),
                    Input::Pipe(pipe) => pipe.write_all(&data).await,
                    Input::Terminal(pty) => pty.write_all(&data).await,
                };
                // A command that reads no further may still have much to say.
                if written.is_err() {
                    input = Input::None;
                }
            }
            Taken::InputEnd => match &mut input {
                // The terminal stays; that there is no more is typed.
                Input::Terminal(pty) => {
                    let _ = pty.write_all(END_OF_INPUT).await;
                }
                _ => input = Input::None,
            },
            Taken::Resize(columns, rows) => input.resize(columns, rows),
            Taken::Signal(number) => group.signal(number),
        }
    }
}

/// Sends what the command says until it has ended and there is no more of it. Nothing when nobody takes it.
async fn speak(
    mut output: Output,
    complaint: Option<Output>,
    process: &mut Process,
    out: &mpsc::Sender<Bytes>,
) -> Option<io::Result<End>> {
    let mut said = vec![0; MAX_PAYLOAD];
    let mut complained = vec![0; if complaint.is_some() { MAX_PAYLOAD } else { 0 }];
    let (mut speaks, mut complaint) = (true, complaint);
    let mut ended = None;
    loop {
        let frame = tokio::select! {
            // What is there is read, however late this is run.
            biased;
            // A terminal whose programs are gone ends with an error.
            read = output.read(&mut said), if speaks => match read {
                Ok(length @ 1..) => Frame::Output(&said[..length]).to_bytes(),
                _ => {
                    speaks = false;
                    continue;
                }
            },
            read = read_some(complaint.as_mut(), &mut complained), if complaint.is_some() => match read {
                Ok(length @ 1..) => Frame::Complaint(&complained[..length]).to_bytes(),
                _ => {
                    complaint = None;
                    continue;
                }
            },
            end = process.wait(), if ended.is_none() => {
                ended = Some(end);
                continue;
            }
            () = tokio::time::sleep(REST), if ended.is_some() && (speaks || complaint.is_some()) => return ended,
            else => return ended,
        };
        out.send(frame.into()).await.ok()?;
    }
}

async fn read_some(from: Option<&mut Output>, buffer: &mut [u8]) -> io::Result<usize> {
    match from {
        Some(from) => from.read(buffer).await,
        None => Ok(0),
    }
}

/// What the other end of a stream sends, owned.
pub(crate) enum Taken {
    Input(Bytes),
    InputEnd,
    Resize(u16, u16),
    Signal(i32),
}

/// The frames of a request's body.
pub(crate) struct Frames {
    body: Incoming,
    buffer: BytesMut,
}

impl Frames {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, buffer: BytesMut::new() }
    }

    /// The next frame; nothing when the other end is gone. Fails on what is no frame, or is not for a machine.
    pub(crate) async fn next(&mut self) -> Result<Option<Taken>, String> {
        loop {
            if let Some((frame, length)) = Frame::read(&self.buffer).map_err(|bad| bad.to_string())? {
                let taken = match frame {
                    Frame::Alive => None,
                    Frame::Input(_) => {
                        let mut whole = self.buffer.split_to(length).freeze();
                        whole.advance(lab_wire::stream::HEAD);
                        return Ok(Some(Taken::Input(whole)));
                    }
                    Frame::InputEnd => Some(Taken::InputEnd),
                    Frame::Resize(window) => Some(Taken::Resize(window.columns, window.rows)),
                    Frame::Signal(signal) => Some(Taken::Signal(signal as i32)),
                    Frame::Output(_) | Frame::Complaint(_) | Frame::Ended(_) => {
                        return Err("a frame came that only machines send".into());
                    }
                };
                self.buffer.advance(length);
                match taken {
                    Some(taken) => return Ok(Some(taken)),
                    None => continue,
                }
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

/// The last frame of a stream.
pub(crate) trait Last {
    fn into_frame(self) -> Bytes;
}

impl Last for Ended<'_> {
    fn into_frame(self) -> Bytes {
        Frame::Ended(self).to_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Runs a command: its last frame, and how long it took until nothing more was waited for.
    async fn run(command: &[&str]) -> (Option<End>, Duration) {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let began = Instant::now();
        let launch = Launch { command, ..Launch::default() };
        let Session { output, complaint, mut process, .. } = Session::start(&launch).unwrap();
        let (out, mut taken) = mpsc::channel(1);
        let taking = tokio::spawn(async move { while taken.recv().await.is_some() {} });
        let ended = speak(output, complaint, &mut process, &out).await;
        drop(out);
        taking.await.unwrap();
        (ended.and_then(Result::ok), began.elapsed())
    }

    #[tokio::test]
    async fn more_output_is_waited_for_only_where_some_can_come() {
        let mut quickest = Duration::MAX;
        for _ in 0..5 {
            let (ended, took) = run(&["true"]).await;
            assert!(matches!(ended, Some(End::Code(0))));
            quickest = quickest.min(took);
        }
        assert!(quickest < REST, "{quickest:?}");
        // What it leaves running has its output open.
        let (ended, took) = run(&["sh", "-c", "sleep 20 & exit 3"]).await;
        assert!(matches!(ended, Some(End::Code(3))) && took >= REST && took.as_secs() < 15, "{took:?}");
    }
}
