//! `labctl exec`: runs a command on a machine.

use super::stream::{ALIVE, Frames, Said, Sink, code_of_signal, open};
use crate::{
    failure::{Exit, Failure, Outcome},
    session::Session,
};
use lab_wire::{
    agent::Exec,
    stream::{Frame, MAX_PAYLOAD, Signal, Window},
};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    signal::unix::{SignalKind, signal},
};

/// Run a command on a machine, as root
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl exec db-1 -- uptime
  labctl exec -it db-1 -- bash
  labctl exec -i db-1 -- tar -xf - -C /srv < data.tar

The exit code is the command's; 128 and the signal's number where a signal ended it, 127 where there is no such command.")]
pub struct Args {
    /// Pass on the standard input
    #[arg(long, short = 'i')]
    stdin: bool,
    /// Give the command a terminal
    #[arg(long, short = 't')]
    tty: bool,
    /// The server, by name, hostname, UID, MAC or IP
    #[arg(value_name = "SERVER", add = crate::complete::names_of("servers"))]
    machine: String,
    /// The command and its arguments; no shell reads them
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let terminal = args.tty.then(Raw::new).transpose()?.flatten();
    let window = terminal.as_ref().and_then(|_| window());
    let exec = Exec {
        command: args.command,
        tty: args.tty,
        stdin: args.stdin,
        term: std::env::var("TERM").unwrap_or_default(),
        columns: window.map_or(0, |window| window.columns),
        rows: window.map_or(0, |window| window.rows),
    };
    let (frames, sink) = open(session, &args.machine, "run a command", "exec", &exec.to_query()).await?;
    let talked = tokio::select! {
        ended = hear(frames) => ended,
        error = talk(sink, exec.stdin, exec.tty) => Err(error),
    };
    // What is told from here on is told on a terminal that is as it was.
    drop(terminal);
    match talked? {
        0 => Ok(()),
        code => Err(Failure::told(Exit::Command(code))),
    }
}

/// Shows what the command says until it ends: its exit code.
pub async fn hear(mut frames: Frames) -> Outcome<u8> {
    let (mut out, mut err) = (tokio::io::stdout(), tokio::io::stderr());
    loop {
        match frames.next().await? {
            Said::Output(data) => {
                out.write_all(&data).await?;
                out.flush().await?;
            }
            Said::Complaint(data) => {
                err.write_all(&data).await?;
                err.flush().await?;
            }
            Said::Code(code) => return Ok(u8::try_from(code).unwrap_or(u8::MAX)),
            Said::Signal(number) => return Ok(code_of_signal(number)),
            Said::Failed(why) => return Err(Failure::new(Exit::Failed, why)),
        }
    }
}

/// Passes on input, signals and the size of the window, until that is not taken any more. Then there may still be something to
/// hear, so that only what fails here ends this.
async fn talk(mut sink: Sink, input: bool, tty: bool) -> Failure {
    let failed = |error: io::Error| Failure::new(Exit::Failed, format!("cannot listen for signals: {error}"));
    let listen = |kind| signal(kind).map_err(failed);
    let signals = (
        listen(SignalKind::interrupt()),
        listen(SignalKind::terminate()),
        listen(SignalKind::hangup()),
        listen(SignalKind::quit()),
        listen(SignalKind::window_change()),
    );
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up), Ok(mut quit), Ok(mut resized)) = signals
    else {
        return Failure::new(Exit::Failed, "cannot listen for signals");
    };
    let mut alive = tokio::time::interval(ALIVE);
    let mut stdin = tokio::io::stdin();
    let mut piece = vec![0; MAX_PAYLOAD];
    let mut more = input;
    loop {
        let frame = tokio::select! {
            read = stdin.read(&mut piece), if more => match read {
                Ok(length @ 1..) => Frame::Input(&piece[..length]),
                _ => {
                    more = false;
                    Frame::InputEnd
                }
            },
            _ = resized.recv(), if tty => match window() {
                Some(window) => Frame::Resize(window),
                None => continue,
            },
            _ = interrupt.recv() => Frame::Signal(Signal::Interrupt),
            _ = terminate.recv() => Frame::Signal(Signal::Terminate),
            _ = hang_up.recv() => Frame::Signal(Signal::HangUp),
            _ = quit.recv() => Frame::Signal(Signal::Quit),
            _ = alive.tick() => Frame::Alive,
        };
        if sink.send(frame).await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// The size of our terminal's window.
fn window() -> Option<Window> {
    let size = tcgetwinsize(io::stdin()).or_else(|_| tcgetwinsize(io::stdout())).ok()?;
    Some(Window { columns: size.ws_col, rows: size.ws_row })
}

/// Our terminal while every key goes to the machine; as it was before once this is dropped.
struct Raw(Termios);

impl Raw {
    /// Nothing where the standard input is no terminal.
    fn new() -> Outcome<Option<Self>> {
        if !isatty(io::stdin()) {
            return Ok(None);
        }
        let failed = |error: rustix::io::Errno| {
            Failure::new(Exit::Failed, format!("the terminal cannot be set up: {error}"))
        };
        let before = tcgetattr(io::stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw).map_err(failed)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0) {
            crate::output::warn(&format!("the terminal could not be set back ({error}); `reset` does it"));
        }
    }
}
