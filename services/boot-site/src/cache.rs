//! Artefacts: kernels, initial RAM disks and images that OperatingSystem objects describe, fetched once, checked, and kept within bounds.
//!
//! A file stands under its SHA-256 when it fits it, and beside that with the ending `part` before: an attempt that broke off goes on from
//! there. What was not used for the longest time makes room.

use crate::keep::{KeepError, io};
use crate::{Knowledge, Site};
use lab_kinds::metal::bastion::CachedArtefact;
use lab_machine::boot::waits;
use lab_mirror::Mirror;
use lab_netboot::files::{Arrived, Content};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How much is kept where the Bastion does not say.
const ROOM: u64 = 20 << 30;
/// How long a machine waits for the beginning of a file that is not there yet. Boot loaders ask again.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked what approved installations will need.
const AHEAD: Duration = Duration::from_secs(5);
/// How long a file that could not be fetched is left alone.
const AGAIN: Duration = Duration::from_secs(30);

/// An artefact that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its SHA-256 in hexadecimal digits.
    pub digest: String,
    /// Where it is fetched from.
    pub url: String,
}

/// Whether an artefact is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    /// As a whole.
    Whole,
    /// It is on its way.
    Fetched {
        /// How much of it is there, in percent, where that is known.
        percent: Option<u8>,
    },
    /// It cannot be had now.
    Missing {
        /// Why.
        why: String,
    },
}

/// Why an artefact is not there.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Mirror(#[from] lab_mirror::Error),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error("{url} does not fit its checksum: it has sha256:{found}")]
    Other { url: String, found: String },
    #[error("{url} has {size} bytes, and {room} may be kept; raise spec.cacheSize of the Bastion")]
    TooLarge { url: String, size: u64, room: u64 },
}

/// The files that are kept.
pub(crate) struct Cache {
    folder: PathBuf,
    mirror: Mirror,
    known: Mutex<BTreeMap<String, Known>>,
}

/// What is known of an artefact in this run.
struct Known {
    url: String,
    done: u64,
    total: Option<u64>,
    error: Option<String>,
    /// How far fetching is, until it ends; nothing where it is not fetched now.
    fetching: Option<watch::Receiver<Arrived>>,
    failed: Option<SystemTime>,
}

impl Cache {
    /// Opens a folder of artefacts, and makes it where there is none.
    pub fn open(folder: &Path) -> Result<Self, KeepError> {
        fs::create_dir_all(folder).map_err(io("make", folder))?;
        Ok(Self { folder: folder.to_owned(), mirror: Mirror::new(), known: Mutex::default() })
    }

    /// An artefact that is there as a whole. It counts as used now.
    pub fn held(&self, digest: &str) -> Option<File> {
        let file = File::open(self.folder.join(digest)).ok()?;
        // Where the time cannot be set, the file goes a little earlier.
        let _ = file.set_modified(SystemTime::now());
        Some(file)
    }

    /// Begins to fetch an artefact that is not there, unless it is being fetched or failed a moment ago. How far it is.
    pub fn fetch(self: &Arc<Self>, wanted: &Wanted, room: u64) -> Option<watch::Receiver<Arrived>> {
        let mut known = self.known.lock();
        if let Some(known) = known.get(&wanted.digest) {
            let lately = |failed: SystemTime| failed.elapsed().is_ok_and(|since| since < AGAIN);
            if known.fetching.is_some() || known.failed.is_some_and(lately) {
                return known.fetching.clone();
            }
        }
        let (tell, told) = watch::channel(Arrived::default());
        let (url, fetching) = (wanted.url.clone(), Some(told.clone()));
        let begun = Known { url, done: 0, total: None, error: None, fetching, failed: None };
        known.insert(wanted.digest.clone(), begun);
        let (cache, wanted) = (self.clone(), wanted.clone());
        tokio::spawn(async move {
            let outcome = cache.bring(&wanted, room, &tell).await;
            let error = outcome.as_ref().err().map(ToString::to_string);
            match &error {
                None => tracing::info!(url = wanted.url, "an artefact is there"),
                Some(error) => tracing::warn!(error, "an artefact is not there, will try again"),
            }
            cache.change(&wanted.digest, |known| {
                known.failed = error.is_some().then(SystemTime::now);
                known.error = error;
                known.fetching = None;
            });
            drop(tell);
        });
        Some(told)
    }

    /// How far fetching an artefact has come in this run.
    fn fetched(&self, digest: &str) -> Held {
        let known = self.known.lock();
        let Some(known) = known.get(digest) else { return Held::Fetched { percent: None } };
        if let Some(why) = &known.error {
            return Held::Missing { why: why.clone() };
        }
        let percent = known.total.and_then(|total| (known.done * 100).checked_div(total));
        Held::Fetched { percent: percent.and_then(|percent| u8::try_from(percent).ok()) }
    }

    fn change(&self, digest: &str, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.known.lock().get_mut(digest) {
            change(known);
        }
    }

    /// A file as it comes, once it is known how large it will be; nothing where that is not known in time, or it does not come.
    async fn arriving(
        &self,
        digest: &str,
        mut told: watch::Receiver<Arrived>,
        until: Instant,
    ) -> Option<Content> {
        let begun = |arrived: &Arrived| arrived.size.is_some() && arrived.bytes > 0;
        let size = timeout_at(until, told.wait_for(begun)).await.ok()?.ok()?.size?;
        let path = self.folder.join(digest);
        // It may have become whole meanwhile.
        let file = File::open(path.with_extension("part")).or_else(|_| File::open(path)).ok()?;
        Some(Content::Arriving { file: Arc::new(file), size, arrived: told })
    }

    /// Fetches an artefact. How far it is is told, all but its last byte: that is held back until the whole fits its checksum, so that
    /// nobody ever has a whole file that does not.
    async fn bring(
        self: &Arc<Self>,
        wanted: &Wanted,
        room: u64,
        tell: &watch::Sender<Arrived>,
    ) -> Result<(), FetchError> {
        let part = self.folder.join(&wanted.digest).with_extension("part");
        let begun = part.clone();
        let (mut file, mut hash, mut done) = blocking(&part, move || Part::resume(&begun)).await?;
        let mut download = self.mirror.fetch(&wanted.url, done).await?;
        if download.from != done {
            (file, hash, done) = blocking(&part, {
                let part = part.clone();
                move || Part::begin(&part)
            })
            .await?;
        }
        let total = download.total;
        if let Some(size) = total {
            self.make_room(size, room, &wanted.url)?;
        }
        while let Some(bytes) = download.next().await? {
            done += bytes.len() as u64;
            if done > room {
                return Err(FetchError::TooLarge { url: wanted.url.clone(), size: done, room });
            }
            (file, hash) = blocking(&part, move || {
                file.write_all(&bytes)?;
                hash.update(&bytes);
                Ok((file, hash))
            })
            .await?;
            self.change(&wanted.digest, |known| (known.done, known.total) = (done, total));
            let shown = total.map_or(0, |total| done.min(total.saturating_sub(1)));
            tell.send_replace(Arrived { bytes: shown, size: total });
        }
        let found = hex(&hash.finalize());
        if found != wanted.digest {
            // From other bytes than the right ones nothing can be gone on with.
            fs::remove_file(&part).map_err(io("remove", &part))?;
            return Err(FetchError::Other { url: wanted.url.clone(), found });
        }
        let whole = self.folder.join(&wanted.digest);
        blocking(&part, {
            let part = part.clone();
            move || {
                file.sync_all()?;
                fs::rename(&part, &whole)
            }
        })
        .await?;
        tell.send_replace(Arrived { bytes: done, size: Some(done) });
        Ok(())
    }

    /// Forgets what was not used for the longest time, until there is room.
    fn make_room(&self, size: u64, room: u64, url: &str) -> Result<(), FetchError> {
        if size > room {
            return Err(FetchError::TooLarge { url: url.into(), size, room });
        }
        let mut whole = self.whole();
        whole.sort_by_key(|(_, _, used)| *used);
        let mut sum: u64 = whole.iter().map(|(_, size, _)| size).sum();
        for (digest, held, _) in whole {
            if sum + size <= room {
                break;
            }
            let path = self.folder.join(&digest);
            fs::remove_file(&path).map_err(io("remove", &path))?;
            tracing::info!(digest, "an artefact made room");
            self.known.lock().remove(&digest);
            sum -= held;
        }
        Ok(())
    }

    /// Digests, sizes and times of last use of what is there as a whole.
    fn whole(&self) -> Vec<(String, u64, SystemTime)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let read = entries.filter_map(|entry| {
            let (name, data) = (entry.file_name().into_string().ok()?, entry.metadata().ok()?);
            (!name.contains('.')).then_some((name, data.len(), data.modified().ok()?))
        });
        read.collect()
    }

    /// How many bytes are kept, and of what.
    pub fn report(&self) -> (u64, Vec<CachedArtefact>) {
        let whole = self.whole();
        let used = whole.iter().map(|(_, size, _)| size).sum();
        let known = self.known.lock();
        let count = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut artefacts: BTreeMap<String, CachedArtefact> = BTreeMap::new();
        for (digest, size, _) in whole {
            let url = known.get(&digest).map(|known| known.url.clone()).unwrap_or_default();
            let (done_bytes, total_bytes) = (count(size), Some(count(size)));
            let checksum = format!("sha256:{digest}");
            let held = CachedArtefact { checksum, url, done_bytes, total_bytes, verified: true, error: None };
            artefacts.insert(digest, held);
        }
        for (digest, known) in known.iter() {
            artefacts.entry(digest.clone()).or_insert_with(|| CachedArtefact {
                checksum: format!("sha256:{digest}"),
                url: known.url.clone(),
                done_bytes: count(known.done),
                total_bytes: known.total.map(count),
                verified: false,
                error: known.error.clone(),
            });
        }
        (used, artefacts.into_values().collect())
    }
}

/// A file that is not whole, with the hash of what there is and its length.
struct Part;

impl Part {
    fn resume(path: &Path) -> std::io::Result<(File, Sha256, u64)> {
        let mut file = File::options().read(true).append(true).create(true).open(path)?;
        let (mut hash, mut done, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok((file, hash, done));
            }
            hash.update(&buffer[..read]);
            done += read as u64;
        }
    }

    fn begin(path: &Path) -> std::io::Result<(File, Sha256, u64)> {
        Ok((File::create(path)?, Sha256::new(), 0))
    }
}

/// Work on a file that would hold others up.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, KeepError> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.map_err(std::io::Error::other).and_then(|outcome| outcome).map_err(io("write", path))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Site {
    /// An artefact that an OperatingSystem names, while it is fetched as well; nothing for other paths, and where it cannot be had.
    pub(crate) async fn artefact(&self, path: &str) -> Option<Content> {
        let digest = path.strip_prefix("artefacts/")?.split('/').next()?;
        let cache = self.cache.get()?;
        let (wanted, room) = self.with(|known| (known.artefact(digest), known.room()));
        let wanted = wanted?;
        if let Some(file) = cache.held(digest) {
            return Content::of(file).ok();
        }
        let told = cache.fetch(&wanted, room)?;
        if let Some(content) = cache.arriving(digest, told, Instant::now() + PATIENCE).await {
            return Some(content);
        }
        // A small one is there before anything can be said of it, and one of unknown size when it is whole.
        Content::of(cache.held(digest)?).ok()
    }
}

impl Site {
    /// Whether an artefact is there; begins to fetch it where it is not.
    pub(crate) fn keeps(&self, wanted: &Wanted, room: u64) -> Held {
        let Some(cache) = self.cache.get() else {
            return Held::Missing { why: "this boot server keeps no artefacts".into() };
        };
        if cache.held(&wanted.digest).is_some() {
            return Held::Whole;
        }
        cache.fetch(wanted, room);
        cache.fetched(&wanted.digest)
    }
}

/// Fetches what approved installations will need, for as long as the site runs.
pub(crate) async fn fetch_ahead(site: Arc<Site>) {
    loop {
        tokio::time::sleep(AHEAD).await;
        let Some(cache) = site.cache.get() else { return };
        let (wanted, room) = site.with(|known| (known.approved(), known.room()));
        for wanted in wanted {
            if cache.held(&wanted.digest).is_none() {
                cache.fetch(&wanted, room);
            }
        }
    }
}

impl Knowledge {
    /// The artefact of this digest, where an OperatingSystem has one.
    fn artefact(&self, digest: &str) -> Option<Wanted> {
        let all = self.operating_systems.values().flat_map(|os| &os.spec.artefacts);
        let mut all = all.map(wanted);
        all.find(|wanted| wanted.digest == digest)
    }

    /// The artefacts of installations that are approved and wait.
    fn approved(&self) -> Vec<Wanted> {
        let waiting = self.servers.values().filter(|server| matches!(waits(server), Some(Ok(_))));
        let systems = waiting.filter_map(|server| self.operating_system(Some(server)));
        systems.flat_map(|os| &os.spec.artefacts).map(wanted).collect()
    }

    /// How many bytes of artefacts may be kept.
    pub(crate) fn room(&self) -> u64 {
        let size = self.bastion().and_then(|bastion| bastion.spec.cache_size.as_ref());
        size.map_or(ROOM, |size| size.bytes)
    }
}

/// An artefact, as it is fetched.
pub(crate) fn wanted(artefact: &lab_kinds::metal::operating_system::Artefact) -> Wanted {
    let digest = artefact.checksum.strip_prefix("sha256:").unwrap_or(&artefact.checksum);
    Wanted { digest: digest.into(), url: artefact.url.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &[u8]) -> String {
        hex(&Sha256::digest(text))
    }

    struct Shelf {
        _folder: tempfile::TempDir,
        files: PathBuf,
        cache: Arc<Cache>,
    }

    impl Shelf {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("there is room");
            let cache = Cache::open(&folder.path().join("cache")).expect("it can be made");
            Self { files: folder.path().to_owned(), cache: Arc::new(cache), _folder: folder }
        }

        /// A file of a local folder, as an OperatingSystem names it.
        fn file(&self, name: &str, content: &[u8]) -> Wanted {
            let path = self.files.join(name);
            fs::write(&path, content).expect("there is room");
            Wanted { digest: digest(content), url: format!("file://{}", path.display()) }
        }

        /// Its content in the cache, once fetching has ended.
        async fn get(&self, wanted: &Wanted, room: u64) -> Option<Vec<u8>> {
            if let Some(mut told) = self.cache.fetch(wanted, room) {
                while told.changed().await.is_ok() {}
            }
            let mut bytes = Vec::new();
            self.cache.held(&wanted.digest)?.read_to_end(&mut bytes).expect("it can be read");
            Some(bytes)
        }

        fn error(&self, wanted: &Wanted) -> String {
            let checksum = format!("sha256:{}", wanted.digest);
            let (_, all) = self.cache.report();
            all.into_iter().find(|one| one.checksum == checksum).and_then(|one| one.error).unwrap_or_default()
        }
    }

    /// A mirror that sends half of a file, and the rest once it is told to.
    async fn slow_mirror(content: Vec<u8>) -> (String, tokio::sync::oneshot::Sender<()>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}/kernel", listener.local_addr().expect("it has an address"));
        let (go_on, told) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("it is asked");
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
            let (first, rest) = content.split_at(content.len() / 2);
            stream.write_all(&[head.as_bytes(), first].concat()).await.expect("it is read");
            let _ = told.await;
            stream.write_all(rest).await.expect("it is read");
        });
        (url, go_on)
    }

    /// Machines have what has come while the rest is still to come, and never all of what does not fit.
    #[tokio::test]
    async fn files_are_served_while_they_come() {
        let content: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        for fits in [true, false] {
            let shelf = Shelf::new();
            let (url, go_on) = slow_mirror(content.clone()).await;
            let wanted = Wanted { digest: digest(if fits { &content } else { b"other" }), url };
            let told = shelf.cache.fetch(&wanted, 1 << 20).expect("it is fetched");
            let until = Instant::now() + PATIENCE;
            let machines = [
                shelf.cache.arriving(&wanted.digest, told.clone(), until).await.expect("it begins to come"),
                shelf.cache.arriving(&wanted.digest, told, until).await.expect("it begins to come"),
            ];
            for machine in &machines {
                assert_eq!(machine.size(), 200_000);
                assert_eq!(machine.read(10, 50_000).await.expect("it has come"), content[10..50_010]);
            }
            assert!(shelf.cache.held(&wanted.digest).is_none());
            go_on.send(()).expect("the mirror waits");
            for machine in &machines {
                assert!(machine.read(150_000, 1_000).await.is_ok() || !fits);
                let last = machine.read(199_000, 1_000).await;
                assert_eq!(last.is_ok(), fits, "{last:?}");
            }
            assert_eq!(shelf.cache.held(&wanted.digest).is_some(), fits);
        }
    }

    #[tokio::test]
    async fn what_fits_is_kept_and_what_does_not_is_not() {
        let shelf = Shelf::new();
        let kernel = shelf.file("kernel", b"kernel");
        assert_eq!(shelf.get(&kernel, 100).await.as_deref(), Some(&b"kernel"[..]));
        let (used, all) = shelf.cache.report();
        assert_eq!((used, all.len(), all[0].verified, all[0].done_bytes), (6, 1, true, 6));
        // Gone from the mirror, it is still there.
        fs::remove_file(shelf.files.join("kernel")).expect("it was there");
        assert!(shelf.get(&kernel, 100).await.is_some());
        let mut other = shelf.file("other", b"other");
        other.digest = digest(b"something else");
        assert_eq!(shelf.get(&other, 100).await, None);
        assert!(shelf.error(&other).contains("does not fit its checksum"), "{}", shelf.error(&other));
        assert!(!shelf.cache.folder.join(&other.digest).with_extension("part").exists());
        let none = Wanted { digest: digest(b"none"), url: "file:///nowhere".into() };
        assert_eq!(shelf.get(&none, 100).await, None);
        assert_eq!(shelf.error(&none), "cannot read /nowhere");
    }

    #[tokio::test]
    async fn it_goes_on_where_it_broke_off() {
        let shelf = Shelf::new();
        let image = shelf.file("image", b"0123456789");
        // The mirror is not asked for the first half: what stands there is taken as it is, and fits.
        fs::write(shelf.files.join("image"), b"xxxxx56789").expect("there is room");
        let part = shelf.cache.folder.join(&image.digest).with_extension("part");
        fs::write(&part, b"01234").expect("there is room");
        assert_eq!(shelf.get(&image, 100).await.as_deref(), Some(&b"0123456789"[..]));
        assert!(!part.exists());
    }

    #[tokio::test]
    async fn what_was_not_used_for_the_longest_time_makes_room() {
        let shelf = Shelf::new();
        let [a, b, c] = [&b"aaaa"[..], b"bbbb", b"cccc"].map(|text| shelf.file(&hex(text), text));
        assert!(shelf.get(&a, 10).await.is_some());
        assert!(shelf.get(&b, 10).await.is_some());
        let old = |wanted: &Wanted, seconds| {
            let file = File::options().append(true).open(shelf.cache.folder.join(&wanted.digest));
            let then = SystemTime::now() - Duration::from_secs(seconds);
            file.and_then(|file| file.set_modified(then)).expect("its time is set");
        };
        old(&a, 10);
        old(&b, 20);
        assert!(shelf.get(&c, 10).await.is_some());
        assert!(shelf.cache.held(&a.digest).is_some() && shelf.cache.held(&b.digest).is_none());
        let large = shelf.file("large", b"more than ten bytes");
        assert_eq!(shelf.get(&large, 10).await, None);
        assert!(shelf.error(&large).contains("raise spec.cacheSize"), "{}", shelf.error(&large));
        assert!(shelf.cache.held(&c.digest).is_some(), "what cannot be kept pushes nothing out");
    }
}
