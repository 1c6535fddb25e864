//! The embedded store: one directory, one writer, everything current in memory.
//!
//! A write goes through a bounded queue to the one writer thread, which takes whatever waits, gives each write its
//! revision, commits them all with one sync, and only then shows them to readers and watchers and answers. Reads and
//! watches never touch the disk.
//!
//! When a commit fails, all its writes are answered with [`Error::Unwritable`] and nothing of them is shown; reads and watches
//! go on; the next write tries to recover first (see the module `recovery` for what is trusted then).

mod database;
mod engine;
mod figures;
mod journal;
mod lock;
mod record;
mod recovery;
mod state;
mod topics;
mod watch;
mod writer;

pub use figures::{Figures, Histogram};

pub(crate) use database::Database;
pub(crate) use lock::DirectoryLock;
pub(crate) use record::{Mark, Record, decimal};

use crate::disk::{Directory, Disk};
use crate::seal::Seals;
use crate::{Entry, Error, Listing, Notes, Range, Revision, Seal, Store, Watch, Write};
use async_trait::async_trait;
use bytes::Bytes;
use figures::Counts;
use parking_lot::{Mutex, RwLock};
use state::{Object, State};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use writer::{Asked, Request, Writer};

/// The longest key, in bytes.
pub(crate) const MAX_KEY: usize = 4 << 10;
/// The longest value, in bytes.
pub(crate) const MAX_VALUE: usize = 64 << 20;
/// Requests that may wait for the writer.
const QUEUE: usize = 1024;
/// The grain in which waiting bytes are counted.
const QUEUE_GRAIN: usize = 1 << 10;

/// How much an embedded store keeps and holds.
#[derive(Debug, Clone)]
pub struct Options {
    /// Events kept, so that watchers can resume and reads can look back. Compaction runs once an eighth more are there.
    pub history_events: usize,
    /// Bytes of superseded values kept by the history, with an eighth more before compaction runs.
    pub history_bytes: usize,
    /// Most writes in one commit.
    pub batch_writes: usize,
    /// Bytes of keys and values from which on a commit takes in no further write.
    pub batch_bytes: usize,
    /// Bytes of writes that may wait; further writers are held back. At least one write always may.
    pub queue_bytes: usize,
    /// Bytes that the journal takes up on disk, and about what one commit of the engine takes in.
    pub journal_bytes: u64,
    /// Who takes the notes that go with writes; `None` drops them.
    pub notes: Option<Arc<dyn Notes>>,
    /// Seals values on their way to disk and into backups; `None` leaves all as they are.
    pub seal: Option<Arc<dyn Seal>>,
    /// Bytes of memory for the engine's pages. Reads do not need them; large batches and compaction do.
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history_events: 10_000,
            history_bytes: 64 << 20,
            batch_writes: 512,
            batch_bytes: 8 << 20,
            queue_bytes: 64 << 20,
            journal_bytes: 2 << 20,
            notes: None,
            cache_bytes: 8 << 20,
            seal: None,
        }
    }
}

/// What the writer, the readers and the watchers share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: RwLock<State>,
    counts: Mutex<Counts>,
}

/// Every object of one moment.
pub(crate) struct Snapshot {
    /// The newest revision then.
    pub revision: Revision,
    /// Keys and objects, by ascending revision of the last change.
    pub objects: Vec<(Arc<str>, Object)>,
}

/// A store in one directory of this machine.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    requests: RwLock<Option<mpsc::Sender<Request>>>,
    queue: Arc<Semaphore>,
    queue_grains: u32,
    writer: Mutex<Option<JoinHandle<()>>>,
    seals: Seals,
    /// Held for as long as the store is open; the last to go.
    _lock: Option<DirectoryLock>,
}

impl Embedded {
    /// Opens the store of a directory, and makes both when they are missing. Blocks: reads the whole database.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it open, [`Error::Unreadable`] when it is damaged or of a newer format,
    /// [`Error::Unwritable`] when a new one cannot be made.
    pub fn open(dir: &Path, options: Options) -> Result<Self, Error> {
        let directory = Directory::create(dir).map_err(Error::unwritable)?;
        let lock = DirectoryLock::take(dir)?;
        let mut store = Self::open_on(Arc::new(directory), options)?;
        store._lock = Some(lock);
        Ok(store)
    }

    /// Opens the store of any [`Disk`], which nobody else may have open.
    ///
    /// # Errors
    /// See [`Embedded::open`].
    pub fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<Self, Error> {
        let trouble = Arc::default();
        let seals = Seals(options.seal.clone());
        let (database, state, stale) = Database::open(&*disk, &options, &trouble)?;
        let shared = Arc::new(Shared {
            state: RwLock::new(state),
            counts: Mutex::new(Counts { stale, ..Counts::default() }),
        });
        let (sender, receiver) = mpsc::channel(QUEUE);
        let queue_grains = u32::try_from(options.queue_bytes / QUEUE_GRAIN).unwrap_or(u32::MAX).max(1);
        let writer = Writer::new(shared.clone(), disk.clone(), database, trouble, options);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(receiver))
            .map_err(|e| Error::unwritable(format_args!("no thread for the writer: {e}")))?;
        Ok(Self {
            shared,
            disk,
            requests: RwLock::new(Some(sender)),
            queue: Arc::new(Semaphore::new(queue_grains as usize)),
            queue_grains,
            writer: Mutex::new(Some(thread)),
            seals,
            _lock: None,
        })
    }

    /// Finishes the writes that wait, ends all watches and closes the database. Blocks. From then on everything answers
    /// [`Error::Closed`]. Dropping the store does the same.
    pub fn close(&self) {
        drop(self.requests.write().take());
        if let Some(thread) = self.writer.lock().take() {
            // A writer that panicked has printed why; there is nothing left to close.
            thread.join().ok();
        }
        let mut state = self.shared.state.write();
        state.closed = true;
        state.topics.all().for_each(|topic| topic.wake.notify_waiters());
    }

    /// The store's figures now.
    pub fn figures(&self) -> Figures {
        let counts = self.shared.counts.lock().clone();
        let disk_bytes = Database::allocated(&*self.disk);
        let state = self.shared.state.read();
        Figures {
            commits: counts.commits,
            failed_commits: counts.failed_commits,
            writes: counts.writes,
            conflicts: counts.conflicts,
            recoveries: counts.recoveries,
            batch_writes: counts.batch_writes,
            commit_seconds: counts.commit_seconds,
            last_commit: counts.last_commit,
            watchers: state.topics.watchers(),
            keys: state.keys(),
            history_events: state.history_len(),
            history_bytes: state.history_bytes(),
            revision: state.revision(),
            compacted: state.compacted(),
            disk_bytes,
            unwritable: counts.unwritable,
        }
    }

    /// How many values lay on disk, when the store was opened or written anew, otherwise than they would be sealed now.
    pub fn stale(&self) -> u64 {
        self.shared.counts.lock().stale
    }

    /// Writes everything on disk anew, each value sealed as it is now. Writes wait meanwhile; reads go on. When this
    /// returns `Ok`, nothing of before is left in the store's files.
    ///
    /// # Errors
    /// [`Error::Unwritable`]: the old files are as they were, or hold both.
    pub async fn write_anew(&self) -> Result<(), Error> {
        self.ask(|answer| Request::WriteAnew { answer }).await
    }

    /// How values are sealed.
    pub(crate) fn seals(&self) -> &Seals {
        &self.seals
    }

    /// Every current object at one moment.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, Error> {
        let mut snapshot = self.reading(|state| {
            let objects = state.objects().map(|(key, object)| (key.clone(), object.clone())).collect();
            Ok(Snapshot { revision: state.revision(), objects })
        })?;
        snapshot.objects.sort_unstable_by_key(|(_, object)| object.modified);
        Ok(snapshot)
    }

    fn reading<T>(&self, read: impl FnOnce(&State) -> Result<T, Error>) -> Result<T, Error> {
        let state = self.shared.state.read();
        if state.closed { Err(Error::Closed) } else { read(&state) }
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
    ) -> Result<T, Error> {
        let requests = self.requests.read().clone().ok_or(Error::Closed)?;
        let (answer, answered) = oneshot::channel();
        requests.send(request(answer)).await.map_err(|_| Error::Closed)?;
        drop(requests);
        answered.await.map_err(|_| Error::Closed)?
    }
}

/// Refuses what no condition could make right.
fn check_valid(write: &Write) -> Result<(), Error> {
    let invalid = |why: String| {
        let key: String = write.key.chars().take(120).collect();
        Err(Error::Invalid { key: key.into(), why: why.into() })
    };
    if write.key.is_empty() {
        return invalid("the key is empty".into());
    }
    if write.key.len() > MAX_KEY {
        return invalid(format!("the key has {} bytes, and {MAX_KEY} are the most", write.key.len()));
    }
    let Some(value) = &write.value else { return Ok(()) };
    if value.bytes.len() > MAX_VALUE {
        return invalid(format!("the value has {} bytes, and {MAX_VALUE} are the most", value.bytes.len()));
    }
    match value.revision_at {
        Some(at) if at as usize > value.bytes.len() => {
            invalid(format!("the revision's place {at} lies beyond the value's {} bytes", value.bytes.len()))
        }
        _ => Ok(()),
    }
}

#[async_trait]
impl Store for Embedded {
    async fn get(&self, key: &str, at: Option<Revision>) -> Result<(Option<Entry>, Revision), Error> {
        self.reading(|state| state.get(key, at))
    }

    async fn list(&self, range: Range) -> Result<Listing, Error> {
        self.reading(|state| state.list(&range))
    }

    async fn write_noted(&self, write: Write, note: Option<Bytes>) -> Result<Entry, Error> {
        check_valid(&write)?;
        let bytes = write.key.len() + write.value.as_ref().map_or(0, |v| v.bytes.len());
        let grains = u32::try_from(bytes / QUEUE_GRAIN + 1).unwrap_or(u32::MAX).min(self.queue_grains);
        let room = self.queue.clone().acquire_many_owned(grains).await.map_err(|_| Error::Closed)?;
        self.ask(|answer| Request::Write(Asked { write, note, answer, room })).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, Error> {
        Ok(Box::new(watch::Cursor::begin(&self.shared, prefix, after)?))
    }

    fn revision(&self) -> Revision {
        self.shared.state.read().revision()
    }

    async fn compact(&self, upto: Revision) -> Result<(), Error> {
        self.ask(|answer| Request::Compact { upto, answer }).await
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}
