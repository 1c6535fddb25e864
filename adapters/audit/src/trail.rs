//! The trail of one directory: opened, appended to, read.

use crate::{
    chain::{self, Content, Digest, Link, Sequence, Torn},
    error::Error,
    folder::{Directory, Folder},
    retention::is_gone,
    segment::{self, End, MAX_ENTRY, Scan, Tail},
    writer::{NEW_FILE, Open, RESERVE, Request, Writer},
};
use parking_lot::{Mutex, RwLock};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

/// Entries that may wait for the writer.
const QUEUE: usize = 4096;

/// How long a full queue is waited for at a time.
const FULL: Duration = Duration::from_micros(100);

/// How much a trail writes into one file, and keeps when it cannot write.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes after which the next segment is begun.
    pub segment_bytes: u64,
    /// Entries kept in memory while they cannot be written; more lose the oldest.
    pub kept_entries: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 32 << 20, kept_entries: 10_000 }
    }
}

/// How far a trail has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Sequence of the last entry; 0 without any.
    pub sequence: Sequence,
    /// Hash of the last line.
    pub hash: Digest,
}

/// A segment as it may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Sequence of its first entry.
    pub first: Sequence,
    /// Bytes that may be read.
    pub length: u64,
}

/// A trail's figures.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Entries appended and noted since it was opened.
    pub entries: u64,
    /// Writes, each with one sync.
    pub commits: u64,
    /// Writes that failed.
    pub failed_commits: u64,
    /// Seconds spent writing.
    pub commit_seconds: f64,
    /// Segments.
    pub segments: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// Sequence of the last entry.
    pub sequence: Sequence,
    /// Why nothing can be written, while that is so.
    pub unwritable: Option<Arc<str>>,
}

/// What the writer tells.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<State>);

#[derive(Debug)]
struct State {
    segments: Vec<Segment>,
    head: Head,
    /// Why the reserve is not whole, or the last write failed.
    unwritable: Option<Arc<str>>,
    counts: Figures,
}

impl Shared {
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        match &self.0.lock().unwritable {
            Some(why) => Err(Error::Unwritable { why: why.clone() }),
            None => Ok(()),
        }
    }

    /// A segment was begun.
    pub(crate) fn begin(&self, segment: Segment, end: End) {
        let mut state = self.0.lock();
        state.segments.push(segment);
        state.head = Head { sequence: end.sequence, hash: end.hash };
    }

    /// The segment that has no entry was given up.
    pub(crate) fn retract(&self, first: Sequence) {
        self.0.lock().segments.retain(|segment| segment.first != first);
    }

    /// The last segment holds so much, up to this line.
    pub(crate) fn publish(&self, end: End, length: u64, low: Option<Error>) {
        let mut state = self.0.lock();
        if let Some(last) = state.segments.last_mut() {
            last.length = length;
        }
        state.head = Head { sequence: end.sequence, hash: end.hash };
        state.set_unwritable(low.as_ref());
    }

    pub(crate) fn noted(&self, entries: u64) {
        self.0.lock().counts.entries += entries;
    }

    pub(crate) fn wrote(&self, entries: usize, took: Duration, failure: Option<&Error>) {
        let mut state = self.0.lock();
        match failure {
            None => {
                state.counts.entries += entries as u64;
                state.counts.commits += u64::from(entries > 0);
                state.counts.commit_seconds += took.as_secs_f64();
            }
            Some(error) => {
                state.counts.failed_commits += 1;
                state.set_unwritable(Some(error));
            }
        }
    }
}

impl State {
    fn set_unwritable(&mut self, why: Option<&Error>) {
        match (why, &self.unwritable) {
            (Some(error), None) => tracing::error!(%error, "what has to be recorded is refused"),
            (None, Some(_)) => tracing::info!("the audit trail can be written again"),
            _ => {}
        }
        self.unwritable = why.map(|error| match error {
            Error::Unwritable { why } => why.clone(),
            other => other.to_string().into(),
        });
    }
}

/// A trail in one directory.
#[derive(Debug)]
pub struct Trail {
    dir: PathBuf,
    folder: Arc<dyn Folder>,
    shared: Arc<Shared>,
    requests: RwLock<Option<mpsc::Sender<Request>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    recovered: Option<Torn>,
}

impl Trail {
    /// Opens the trail of a directory that exists and that nobody else writes to. Blocks: reads the last segment.
    ///
    /// What a crash left of an unfinished write stays where it is, and the next segment's head says so. Nothing is
    /// written before the first entry, so that a full disk does not keep anybody from reading.
    ///
    /// # Errors
    /// A segment cannot be read, or is none.
    pub fn open(dir: &Path, options: Options) -> Result<Self, Error> {
        Self::open_on(dir, Arc::new(Directory(dir.to_owned())), options)
    }

    /// Opens a trail whose files are written by way of `folder`.
    ///
    /// # Errors
    /// See [`Trail::open`].
    pub fn open_on(dir: &Path, folder: Arc<dyn Folder>, options: Options) -> Result<Self, Error> {
        match fs::remove_file(dir.join(NEW_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::unwritable(format_args!("{}: {error}", dir.join(NEW_FILE).display())));
            }
            _ => {}
        }
        let mut segments = list(dir)?;
        let last = match segments.last_mut() {
            Some(last) => Some(look(dir, last)?),
            None => None,
        };
        let end = last.map_or(End::NOWHERE, |scan| scan.end);
        let torn = last.and_then(|scan| match scan.tail {
            Tail::Torn(torn) => Some(torn),
            _ => None,
        });
        let state = State {
            head: Head { sequence: end.sequence, hash: end.hash },
            segments,
            unwritable: None,
            counts: Figures::default(),
        };
        let shared = Arc::new(Shared(Mutex::new(state)));
        let mut writer = Writer::new(folder.clone(), options, shared.clone(), end, torn);
        writer.open = last.and_then(|scan| go_on(&*folder, &scan));
        let (sender, receiver) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("audit-writer".into())
            .spawn(move || writer.run(receiver))
            .map_err(|error| Error::unwritable(format_args!("no thread for the writer: {error}")))?;
        Ok(Self {
            dir: dir.to_owned(),
            folder,
            shared,
            requests: RwLock::new(Some(sender)),
            writer: Mutex::new(Some(thread)),
            recovered: torn,
        })
    }

    /// What was found at the end of the last segment when the trail was opened, if a crash had cut it off.
    pub fn recovered(&self) -> Option<Torn> {
        self.recovered
    }

    /// Records an entry: `members` are the members of a JSON object, without its braces. When this returns `Ok`, the
    /// entry is on disk, under the sequence returned.
    ///
    /// An entry that is answered with [`Error::Unwritable`] is kept in memory and written as soon as that can be done.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Unwritable`], [`Error::Closed`].
    pub async fn append(&self, members: Vec<u8>) -> Result<Sequence, Error> {
        if members.len() > MAX_ENTRY {
            return Err(Error::TooLong { bytes: members.len() });
        }
        self.ask(|answer| Request::Append { members, answer }).await
    }

    /// Keeps an entry in memory that somebody else keeps on disk until [`Trail::keep`] has made it durable here: it is written with the
    /// next one that is appended, or once enough have gathered. Blocks while too many wait.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Closed`].
    pub fn note(&self, members: Vec<u8>) -> Result<(), Error> {
        if members.len() > MAX_ENTRY {
            return Err(Error::TooLong { bytes: members.len() });
        }
        let requests = self.requests.read().clone().ok_or(Error::Closed)?;
        let mut request = Request::Note { members };
        loop {
            request = match requests.try_send(request) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(Error::Closed),
                Err(TrySendError::Full(request)) => request,
            };
            std::thread::sleep(FULL);
        }
    }

    /// Makes everything noted so far durable. Blocks; not for async code.
    ///
    /// # Errors
    /// [`Error::Unwritable`], [`Error::Closed`].
    pub fn keep(&self) -> Result<(), Error> {
        let requests = self.requests.read().clone().ok_or(Error::Closed)?;
        let (answer, answered) = oneshot::channel();
        requests.blocking_send(Request::Probe { answer }).map_err(|_| Error::Closed)?;
        drop(requests);
        answered.blocking_recv().map_err(|_| Error::Closed)?.map(|_| ())
    }

    /// What `judge` makes of the newest durable entry of which it makes anything. Blocks.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn newest<T>(&self, mut judge: impl FnMut(&[u8]) -> Option<T>) -> Result<Option<T>, Error> {
        for segment in self.segments().into_iter().rev() {
            let mut newest = None;
            self.read(segment, |_, line| {
                newest = judge(line).or(newest.take());
                ControlFlow::Continue(())
            })?;
            if newest.is_some() {
                return Ok(newest);
            }
        }
        Ok(None)
    }

    /// Whether what is begun now can be recorded. Cheap: it says what the last write came to.
    ///
    /// # Errors
    /// [`Error::Unwritable`], [`Error::Closed`].
    pub fn check_writable(&self) -> Result<(), Error> {
        if self.requests.read().is_none() {
            return Err(Error::Closed);
        }
        self.shared.check_writable()
    }

    /// Finds out whether a trail that could not be written can be again.
    ///
    /// # Errors
    /// [`Error::Unwritable`], [`Error::Closed`].
    pub async fn probe(&self) -> Result<(), Error> {
        self.ask(|answer| Request::Probe { answer }).await.map(|_| ())
    }

    async fn ask(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<Sequence, Error>>) -> Request,
    ) -> Result<Sequence, Error> {
        let requests = self.requests.read().clone().ok_or(Error::Closed)?;
        let (answer, answered) = oneshot::channel();
        requests.send(request(answer)).await.map_err(|_| Error::Closed)?;
        drop(requests);
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Writes what waits, and ends. Blocks. Dropping the trail does the same.
    pub fn close(&self) {
        drop(self.requests.write().take());
        if let Some(thread) = self.writer.lock().take() {
            // A writer that panicked has printed why.
            thread.join().ok();
        }
    }

    /// How far the trail has come.
    pub fn head(&self) -> Head {
        self.shared.0.lock().head
    }

    /// Its segments, the oldest first.
    pub fn segments(&self) -> Vec<Segment> {
        self.shared.0.lock().segments.clone()
    }

    /// Where its files lie.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes a segment that is not written any more.
    pub(crate) fn forget(&self, segment: &Segment) -> Result<(), Error> {
        let name = segment::name(segment.first);
        // Whoever reads meanwhile finds out that it is gone by this list.
        self.shared.0.lock().segments.retain(|known| known.first != segment.first);
        match self.folder.remove(&name) {
            Err(error) if !is_gone(&error) => {
                // It is the oldest: nothing behind it may go before it.
                self.shared.0.lock().segments.insert(0, *segment);
                Err(Error::unwritable(format_args!("{}: {error}", self.dir.join(name).display())))
            }
            _ => Ok(()),
        }
    }

    /// Its figures now.
    pub fn figures(&self) -> Figures {
        let state = self.shared.0.lock();
        Figures {
            segments: state.segments.len(),
            bytes: state.segments.iter().map(|segment| segment.length).sum(),
            sequence: state.head.sequence,
            unwritable: state.unwritable.clone(),
            ..state.counts.clone()
        }
    }

    /// Hands out the entries of a segment that are whole, in order, each as its line, until told to stop. Blocks.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(
        &self,
        segment: Segment,
        mut each: impl FnMut(Sequence, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let path = self.dir.join(segment::name(segment.first));
        let file = match File::open(&path) {
            // It was removed since it was listed, and all before it.
            Err(error) if is_gone(&error) && !self.segments().contains(&segment) => return Ok(()),
            opened => opened.map_err(Error::unreadable(&path))?,
        };
        let mut file = BufReader::with_capacity(64 << 10, file.take(segment.length));
        let mut line = Vec::new();
        loop {
            line.clear();
            if file.read_until(b'\n', &mut line).map_err(Error::unreadable(&path))? == 0 {
                return Ok(());
            }
            line.pop_if(|byte| *byte == b'\n');
            if let Ok(Link { content: Content::Entry(sequence), .. }) = chain::read(&line)
                && each(sequence, &line).is_break()
            {
                return Ok(());
            }
        }
    }

    /// Copies every line of the trail, oldest first, for [`crate::Verifier`] to read. Blocks.
    ///
    /// # Errors
    /// A file cannot be read, or `out` fails.
    pub fn export(&self, mut out: impl Write) -> Result<(), Error> {
        let mut begun = false;
        for segment in self.segments() {
            let path = self.dir.join(segment::name(segment.first));
            let unreadable = || Error::unreadable(path.clone());
            let file = match File::open(&path) {
                // Removed since it was listed: the copy begins later. In the middle of one it would be a gap.
                Err(error) if !begun && is_gone(&error) && !self.segments().contains(&segment) => continue,
                opened => opened.map_err(unreadable())?,
            };
            let mut file = file.take(segment.length);
            begun = true;
            let mut piece = vec![0; 64 << 10];
            let mut last = b'\n';
            loop {
                let length = file.read(&mut piece).map_err(unreadable())?;
                let Some(end) = piece[..length].last() else { break };
                last = *end;
                out.write_all(&piece[..length]).map_err(Error::unwritable)?;
            }
            if last != b'\n' {
                out.write_all(b"\n").map_err(Error::unwritable)?;
            }
        }
        out.flush().map_err(Error::unwritable)
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.close();
    }
}

/// The segments of a directory, by the names and lengths of their files.
fn list(dir: &Path) -> Result<Vec<Segment>, Error> {
    let mut segments = Vec::new();
    for file in fs::read_dir(dir).map_err(Error::unreadable(dir))? {
        let file = file.map_err(Error::unreadable(dir))?;
        if let Some(first) = file.file_name().to_str().and_then(segment::first_of) {
            let length = file.metadata().map_err(Error::unreadable(file.path()))?.len();
            segments.push(Segment { first, length });
        }
    }
    segments.sort_unstable_by_key(|segment| segment.first);
    Ok(segments)
}

/// Reads the last segment, and says how much of it there is.
fn look(dir: &Path, segment: &mut Segment) -> Result<Scan, Error> {
    let path = dir.join(segment::name(segment.first));
    let bytes = fs::read(&path).map_err(Error::unreadable(&path))?;
    let scan = segment::scan(&bytes)
        .map_err(|error| Error::Foreign { path: path.clone(), why: format!("its first line: {error}") })?;
    match scan.tail {
        Tail::Clean => {}
        Tail::Torn(torn) => tracing::warn!(
            path = %path.display(), after = scan.end.sequence, bytes = torn.bytes,
            "the audit trail was cut off while it was written; what was not finished had not been acknowledged"
        ),
        Tail::Damaged { at } => tracing::error!(
            path = %path.display(), at, "the audit trail is damaged; it goes on in a new segment"
        ),
    }
    segment.length = scan.written as u64;
    if scan.tail != Tail::Clean {
        // It is not written on: the space that was kept is given back, and nothing follows what is there.
        let cut = File::options().write(true).open(&path).and_then(|file| file.set_len(segment.length));
        cut.map_err(|error| Error::unwritable(format_args!("{}: {error}", path.display())))?;
    }
    Ok(scan)
}

/// The last segment to be written on, where that can be done: it ends well.
fn go_on(folder: &dyn Folder, scan: &Scan) -> Option<Open> {
    if scan.tail != Tail::Clean {
        return None;
    }
    let first = scan.header.first;
    let sheet = folder.open(&segment::name(first), false).ok()?;
    let written = scan.length as u64;
    let room = sheet.length().ok()?.max(written);
    // Without its reserve it is given one before the first entry, like any other.
    let room = if room < written + RESERVE { written } else { room };
    Some(Open { sheet, first, previous: scan.previous, torn: scan.header.torn, written, room })
}
