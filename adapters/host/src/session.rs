//! Programs that somebody talks to while they run: over pipes, or in a terminal of their own.

use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    process::{Child, Command},
};

/// How long a program has to end once its terminal or its caller is gone.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to be started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launch {
    /// The program and its arguments, as they are: no shell reads them. Not empty.
    pub command: Vec<String>,
    /// It is given input. Without, it reads the end of a file at once.
    pub input: bool,
    /// The terminal it gets, if it gets one.
    pub terminal: Option<Terminal>,
}

/// A terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terminal {
    /// What it is, for the variable `TERM`.
    pub name: String,
    /// Its width in characters; 0 where it is not known.
    pub columns: u16,
    /// Its height in characters; 0 where it is not known.
    pub rows: u16,
}

/// Where a program's output is read.
pub type Output = Pin<Box<dyn AsyncRead + Send>>;

/// A program that runs.
pub struct Session {
    /// What it reads.
    pub input: Input,
    /// Its standard output; in a terminal everything it says.
    pub output: Output,
    /// Its standard error, where it has no terminal.
    pub complaint: Option<Output>,
    /// Itself.
    pub process: Process,
}

/// Where a program's input is written.
pub enum Input {
    /// Nowhere.
    None,
    /// To a pipe.
    Pipe(Pin<Box<dyn AsyncWrite + Send>>),
    /// To its terminal.
    Terminal(pty_process::OwnedWritePty),
}

/// A process that was started, with all that it starts itself in one group.
pub struct Process {
    child: Child,
    group: Group,
}

/// The processes of a session, for as long as their first one runs.
#[derive(Debug, Clone)]
pub struct Group {
    leader: Option<rustix::process::Pid>,
    over: Arc<AtomicBool>,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl Input {
    /// Sets the size of the terminal's window, where there is a terminal.
    pub fn resize(&self, columns: u16, rows: u16) {
        if let Self::Terminal(pty) = self
            && let Err(error) = pty.resize(pty_process::Size::new(rows, columns))
        {
            tracing::debug!(%error, "the window's size was not set");
        }
    }
}

impl Session {
    /// Starts a program with a plain environment, in the home of who runs this.
    ///
    /// # Errors
    /// It is not there, may not be run, or there is no terminal for it.
    pub fn start(launch: &Launch) -> io::Result<Self> {
        match &launch.terminal {
            Some(terminal) => in_terminal(&launch.command, terminal),
            None => over_pipes(&launch.command, launch.input),
        }
    }
}

fn home() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    if home.is_dir() { home } else { PathBuf::from("/") }
}

fn environment(home: &Path) -> Vec<(&'static str, String)> {
    let is_root = rustix::process::geteuid().is_root();
    let user = std::env::var("USER").ok().filter(|_| !is_root).unwrap_or_else(|| "root".into());
    vec![
        ("PATH", PATH.into()),
        ("HOME", home.to_string_lossy().into_owned()),
        ("USER", user.clone()),
        ("LOGNAME", user),
        ("SHELL", "/bin/sh".into()),
        ("LANG", "C.UTF-8".into()),
    ]
}

/// Finds a program as a shell would, along [`PATH`].
fn found(program: &str) -> PathBuf {
    if program.contains('/') {
        return program.into();
    }
    let places = PATH.split(':').map(|folder| Path::new(folder).join(program));
    places.into_iter().find(|place| place.is_file()).unwrap_or_else(|| program.into())
}

fn over_pipes(command: &[String], input: bool) -> io::Result<Session> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let home = home();
    let mut child = Command::new(found(program))
        .arg0(program)
        .args(arguments)
        .env_clear()
        .envs(environment(&home))
        .current_dir(&home)
        .process_group(0)
        .stdin(if input { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let missing = || io::Error::other("the program has no pipe");
    Ok(Session {
        input: child.stdin.take().map_or(Input::None, |pipe| Input::Pipe(Box::pin(pipe))),
        output: Box::pin(child.stdout.take().ok_or_else(missing)?),
        complaint: Some(Box::pin(child.stderr.take().ok_or_else(missing)?)),
        process: Process::new(child),
    })
}

fn in_terminal(command: &[String], terminal: &Terminal) -> io::Result<Session> {
    let failed = |error: pty_process::Error| match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
        other => io::Error::other(other),
    };
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let (pty, end) = pty_process::open().map_err(failed)?;
    let size = |given: u16, usual: u16| if given == 0 { usual } else { given };
    let size = pty_process::Size::new(size(terminal.rows, 24), size(terminal.columns, 80));
    pty.resize(size).map_err(failed)?;
    let home = home();
    let name = if terminal.name.is_empty() { "dumb" } else { &terminal.name };
    let child = pty_process::Command::new(found(program))
        .arg0(program)
        .args(arguments)
        .env_clear()
        .envs(environment(&home))
        .env("TERM", name)
        .current_dir(&home)
        .spawn(end)
        .map_err(failed)?;
    let (output, input) = pty.into_split();
    Ok(Session {
        input: Input::Terminal(input),
        output: Box::pin(output),
        complaint: None,
        process: Process::new(child),
    })
}

impl Process {
    fn new(child: Child) -> Self {
        let leader = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        Self { child, group: Group { leader, over: Arc::default() } }
    }

    /// Its processes.
    pub fn group(&self) -> Group {
        self.group.clone()
    }

    /// Waits until the program ends.
    ///
    /// # Errors
    /// The system does not say how.
    pub async fn wait(&mut self) -> io::Result<End> {
        use std::os::unix::process::ExitStatusExt;
        let status = self.child.wait().await;
        // From now on its number may be another's.
        self.group.over.store(true, Ordering::Relaxed);
        let status = status?;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => End::Code(code),
            (None, signal) => End::Signal(signal.unwrap_or_default()),
        })
    }

    /// Has the program end because nobody listens any more: tells it, and makes it end if it does not.
    pub async fn hang_up(mut self) {
        self.group.signal(1);
        if tokio::time::timeout(LAST_WORDS, self.wait()).await.is_err() {
            self.group.signal(9);
            if let Err(error) = self.wait().await {
                tracing::warn!(%error, "a process was not waited for");
            }
        }
    }
}

impl Group {
    /// Sends a signal to all processes of the session that are in its first group; to none once the first one has ended.
    pub fn signal(&self, number: i32) {
        let signal = rustix::process::Signal::from_named_raw(number);
        let (Some(leader), Some(signal)) = (self.leader, signal) else { return };
        if self.over.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = rustix::process::kill_process_group(leader, signal) {
            tracing::debug!(%error, number, "a signal was not sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn launch(script: &str, terminal: bool) -> Launch {
        let terminal = terminal.then(|| Terminal { name: "xterm".into(), columns: 100, rows: 30 });
        Launch { command: ["sh", "-c", script].map(Into::into).into(), input: true, terminal }
    }

    /// Everything that a program says, and how it ends, when it is given some input.
    async fn talk(script: &str, terminal: bool, said: &str) -> (String, String, End) {
        let mut session = Session::start(&launch(script, terminal)).unwrap();
        match &mut session.input {
            Input::Pipe(pipe) => pipe.write_all(said.as_bytes()).await.unwrap(),
            Input::Terminal(pty) => pty.write_all(said.as_bytes()).await.unwrap(),
            Input::None => {}
        }
        if !terminal {
            session.input = Input::None;
        }
        let (mut output, mut complaint) = (Vec::new(), Vec::new());
        // A terminal whose programs are gone ends with an error.
        let _ = session.output.read_to_end(&mut output).await;
        if let Some(mut pipe) = session.complaint {
            pipe.read_to_end(&mut complaint).await.unwrap();
        }
        let end = session.process.wait().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output), text(complaint), end)
    }

    #[tokio::test]
    async fn over_pipes() {
        let (output, complaint, end) = talk("cat; echo $PATH >&2; tty; exit 3", false, "hello\n").await;
        assert_eq!((output.as_str(), end), ("hello\nnot a tty\n", End::Code(3)));
        assert_eq!(complaint, format!("{PATH}\n"));
        let (.., end) = talk("kill -15 $$", false, "").await;
        assert_eq!(end, End::Signal(15));
        assert!(
            Session::start(&Launch { command: vec!["/nonexistent".into()], ..Launch::default() }).is_err()
        );
    }

    #[tokio::test]
    async fn in_a_terminal_of_its_own() {
        let (output, _, end) = talk("stty size; tty; echo $TERM; read x; echo got $x", true, "a\n").await;
        assert!(output.contains("30 100\r\n/dev/pts/"), "{output:?}");
        assert!(output.contains("xterm\r\n") && output.ends_with("got a\r\n"), "{output:?}");
        assert_eq!(end, End::Code(0));
        // What is typed reaches the programs of the terminal: Ctrl-C ends the one in its foreground.
        let (.., end) = talk("exec sleep 60", true, "\x03").await;
        assert_eq!(end, End::Signal(2));
    }

    #[tokio::test]
    async fn signals_reach_the_whole_group() {
        let mut session = Session::start(&launch("sh -c 'sleep 60'; echo never", false)).unwrap();
        let group = session.process.group();
        group.signal(15);
        assert_eq!(session.process.wait().await.unwrap(), End::Signal(15));
        // Nothing is sent to who has the number next.
        group.signal(9);
        let mut rest = Vec::new();
        session.output.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_hang_up_is_made_to() {
        let session = Session::start(&launch("trap '' HUP; echo ready; sleep 60", false)).unwrap();
        let mut output = session.output;
        output.read_exact(&mut [0; 6]).await.unwrap();
        session.process.hang_up().await;
        assert_eq!(output.read(&mut [0; 6]).await.unwrap(), 0, "all of it is gone");
    }
}
