//! `labctl cp`: files and folders to a machine and from it, as a tar archive through a command on it.

use super::stream::{Frames, Machine, Said, Sink};
use crate::{
    failure::{Exit, Failure, Outcome},
    session::Session,
};
use lab_wire::{
    agent::Exec,
    stream::{Frame, MAX_PAYLOAD},
};
use std::{
    fs,
    io::{self, BufWriter, Read, Write},
    path::Path,
};
use tokio::{io::AsyncWriteExt, sync::mpsc};

/// Copy files and folders to a machine, or from it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl cp site.conf db-1:/etc/app/        into the folder, under its own name
  labctl cp data/ db-1:/srv/data            a folder with all that is in it
  labctl cp db-1:/var/log/app.log .

As with scp, a path with a colon before its first slash is on a machine. Modes are kept, owners are not. It takes the same permission
as `labctl exec`, and tar on the machine.")]
pub struct Args {
    /// What is copied: PATH, or SERVER:PATH
    #[arg(value_name = "FROM")]
    from: String,
    /// Where to: PATH, or SERVER:PATH; into it where that is a folder
    #[arg(value_name = "TO")]
    to: String,
}

/// A path here, or on a machine.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Here(&'a str),
    There { machine: &'a str, path: &'a str },
}

impl<'a> Place<'a> {
    fn parse(text: &'a str) -> Self {
        match text.split_once(':') {
            // `./a:b` is here; an IPv6 address is written in brackets.
            Some(_) if text.starts_with('[') => match text[1..].split_once("]:") {
                Some((machine, path)) => Self::There { machine, path },
                None => Self::Here(text),
            },
            Some((machine, path)) if !machine.contains('/') && !machine.is_empty() => {
                Self::There { machine, path }
            }
            _ => Self::Here(text),
        }
    }
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    match (Place::parse(&args.from), Place::parse(&args.to)) {
        (Place::Here(from), Place::There { machine, path }) => {
            send(&Machine::find(session, machine).await?, Path::new(from), path).await
        }
        (Place::There { machine, path }, Place::Here(to)) => {
            fetch(&Machine::find(session, machine).await?, path, Path::new(to)).await
        }
        _ => Err(Failure::usage("one of the two has to be on a machine, as SERVER:PATH, and the other here")),
    }
}

/// Sends a file or a folder to a machine.
async fn send(machine: &Machine, from: &Path, to: &str) -> Outcome {
    let from = from.canonicalize().map_err(|error| unreadable(from, &error))?;
    let own = from.file_name().and_then(|name| name.to_str());
    let own =
        own.ok_or_else(|| Failure::usage(format!("{} has no name to copy it under", from.display())))?;
    let to = if to.is_empty() { "." } else { to };
    let is_folder = to.ends_with('/') || run_there(machine, &["test", "-d", to]).await? == 0;
    let (folder, name) = if is_folder { (to, own) } else { parent_and_name(to)? };
    let command = ["tar", "--extract", "--file=-", "--no-same-owner", "-C", folder];
    let (frames, sink) = start(machine, &command, true).await?;
    let (pieces, packed) = mpsc::channel(4);
    let (path, name) = (from.clone(), name.to_owned());
    let packing = tokio::task::spawn_blocking(move || pack(&path, &name, Pieces(pieces)));
    let code = tokio::select! {
        code = heard(frames, None) => code?,
        error = pass_on(packed, sink) => return Err(Failure::new(Exit::Failed, error)),
    };
    // What could not be read here is what is behind it when the machine complains about the archive.
    match packing.await {
        Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(unreadable(&from, &error)),
        _ => ended(code),
    }
}

/// Fetches a file or a folder from a machine.
async fn fetch(machine: &Machine, from: &str, to: &Path) -> Outcome {
    let from = from.trim_end_matches('/');
    let (folder, name) = parent_and_name(from)?;
    let target = if to.is_dir() { to.join(name) } else { to.to_owned() };
    if target.is_dir() {
        return Err(Failure::new(Exit::Conflict, format!("{} is there already", target.display())));
    }
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // What comes is put together apart, so that nothing half lies at its place.
    let apart = tempfile::Builder::new().prefix(".labctl-").tempdir_in(parent);
    let apart = apart.map_err(|error| unwritable(parent, &error))?;
    let entry = format!("./{name}");
    let (frames, _sink) =
        start(machine, &["tar", "--create", "--file=-", "-C", folder, &entry], false).await?;
    let (pieces, received) = mpsc::channel(4);
    let folder = apart.path().to_owned();
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut archive = tar::Archive::new(Received { pieces: received, rest: Vec::new(), at: 0 });
        archive.unpack(&folder)
    });
    let code = heard(frames, Some(pieces)).await?;
    ended(code)?;
    let unpacked = unpacking.await.map_err(|error| Failure::new(Exit::Failed, error))?;
    unpacked.map_err(|error| unwritable(&target, &error))?;
    fs::rename(apart.path().join(name), &target).map_err(|error| unwritable(&target, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Usage, format!("cannot read {}: {error}", path.display()))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
}

/// The folder of a path on a machine, and the name in it.
fn parent_and_name(path: &str) -> Outcome<(&str, &str)> {
    let (folder, name) = match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => (".", path),
    };
    if matches!(name, "" | "." | "..") {
        return Err(Failure::usage(format!("{path:?} has no name of its own; name a file or a folder")));
    }
    Ok((folder, name))
}

async fn start(machine: &Machine, command: &[&str], stdin: bool) -> Outcome<(Frames, Sink)> {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    let exec = Exec { command, stdin, ..Exec::default() };
    machine.open("run tar on the machine", "exec", &exec.to_query()).await
}

async fn run_there(machine: &Machine, command: &[&str]) -> Outcome<u8> {
    let (frames, _sink) = start(machine, command, false).await?;
    heard(frames, None).await
}

/// Hears a command to its end: its exit code. Its output goes to `pieces`, where somebody wants it.
async fn heard(mut frames: Frames, pieces: Option<mpsc::Sender<Vec<u8>>>) -> Outcome<u8> {
    loop {
        match frames.next().await? {
            Said::Output(data) => {
                if let Some(pieces) = &pieces {
                    // Whoever unpacks no further says itself why.
                    let _ = pieces.send(data.to_vec()).await;
                }
            }
            Said::Complaint(data) => {
                let mut err = tokio::io::stderr();
                err.write_all(&data).await?;
                // What is not flushed is lost where this program ends right after.
                err.flush().await?;
            }
            Said::Code(code) => return Ok(u8::try_from(code).unwrap_or(u8::MAX)),
            Said::Signal(number) => return Ok(super::stream::code_of_signal(number)),
            Said::Failed(why) => return Err(Failure::new(Exit::Failed, why)),
        }
    }
}

/// What a failed tar has to complain about it has said itself.
fn ended(code: u8) -> Outcome {
    if code == 0 {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("tar on the machine ended with exit code {code}")))
}

/// Passes on what is packed; then the machine may still have something to say.
async fn pass_on(mut packed: mpsc::Receiver<Vec<u8>>, mut sink: Sink) -> io::Error {
    while let Some(piece) = packed.recv().await {
        for part in piece.chunks(MAX_PAYLOAD) {
            if sink.send(Frame::Input(part)).await.is_err() {
                return std::future::pending().await;
            }
        }
    }
    match sink.send(Frame::InputEnd).await {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
}

fn pack(path: &Path, name: &str, to: Pieces) -> io::Result<()> {
    let mut archive = tar::Builder::new(BufWriter::with_capacity(MAX_PAYLOAD, to));
    archive.follow_symlinks(false);
    if path.is_dir() {
        archive.append_dir_all(name, path)?;
    } else {
        archive.append_path_with_name(path, name)?;
    }
    archive.into_inner()?.flush()
}

/// Where an archive is written, on a thread that may wait.
struct Pieces(mpsc::Sender<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.blocking_send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where an archive is read from, on a thread that may wait.
struct Received {
    pieces: mpsc::Receiver<Vec<u8>>,
    rest: Vec<u8>,
    at: usize,
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.rest.len() {
            match self.pieces.blocking_recv() {
                Some(piece) => (self.rest, self.at) = (piece, 0),
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len() - self.at);
        buffer[..length].copy_from_slice(&self.rest[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let expected = match expected {
                Some((machine, path)) => Place::There { machine, path },
                None => Place::Here(text),
            };
            assert_eq!(Place::parse(text), expected, "{text}");
        };
        check("db-1:/etc", Some(("db-1", "/etc")));
        check("db-1:", Some(("db-1", "")));
        check("[fd00::1]:/etc", Some(("fd00::1", "/etc")));
        check("a/b:c", None);
        check("./a:b", None);
        check("plain", None);
        check(":x", None);
    }

    #[test]
    fn names() {
        let check = |path: &str, expected: Option<(&str, &str)>| {
            assert_eq!(parent_and_name(path).ok(), expected, "{path}");
        };
        check("/etc/hosts", Some(("/etc", "hosts")));
        check("/etc", Some(("/", "etc")));
        check("notes", Some((".", "notes")));
        for bad in ["", "/", "a/..", "."] {
            check(bad, None);
        }
    }
}
