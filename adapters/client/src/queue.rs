//! A queue of keys to work on, and the loop that works on them.

use crate::{backoff::Backoff, error::chain};
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt::Display,
    future::Future,
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{sync::Notify, task::AbortHandle, task::JoinSet};

/// Keys waiting to be worked on. A key waits at most once, and is never worked on by two at a time: what is added
/// while it is worked on comes again afterwards. Cheap to clone; all clones are one queue.
pub struct WorkQueue<K> {
    inner: Arc<Inner<K>>,
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

struct Inner<K> {
    state: Mutex<State<K>>,
    ready: Notify,
    backoff: Backoff,
}

struct State<K> {
    /// In order of arrival.
    ready: VecDeque<K>,
    /// To be worked on: those in `ready`, and those of `active` that come again.
    wanted: HashSet<K>,
    active: HashSet<K>,
    failures: HashMap<K, u32>,
    timers: HashMap<K, AbortHandle>,
    closed: bool,
}

impl<K: Clone + Eq + Hash + Send + Sync + 'static> WorkQueue<K> {
    /// An empty queue; `backoff` is for keys whose work failed.
    pub fn new(backoff: Backoff) -> Self {
        let state = State {
            ready: VecDeque::new(),
            wanted: HashSet::new(),
            active: HashSet::new(),
            failures: HashMap::new(),
            timers: HashMap::new(),
            closed: false,
        };
        Self { inner: Arc::new(Inner { state: Mutex::new(state), ready: Notify::new(), backoff }) }
    }

    /// Asks for work on a key, now.
    pub fn add(&self, key: K) {
        self.inner.add(key);
    }

    /// Asks for work on a key after a while. A later call for the same key takes an earlier one's place.
    pub fn add_after(&self, key: K, wait: Duration) {
        let inner: Weak<Inner<K>> = Arc::downgrade(&self.inner);
        let mut state = self.inner.state.lock();
        if state.closed {
            return;
        }
        let due = key.clone();
        let timer = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some(inner) = inner.upgrade() {
                inner.state.lock().timers.remove(&due);
                inner.add(due);
            }
        });
        if let Some(earlier) = state.timers.insert(key, timer.abort_handle()) {
            earlier.abort();
        }
    }

    /// How many keys wait to be worked on.
    pub fn len(&self) -> usize {
        self.inner.state.lock().ready.len()
    }

    /// Whether no key waits to be worked on.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes no more keys; those that wait are still handed out.
    pub fn close(&self) {
        let mut state = self.inner.state.lock();
        state.closed = true;
        state.timers.drain().for_each(|(_, timer)| timer.abort());
        drop(state);
        self.inner.ready.notify_waiters();
        self.inner.ready.notify_one();
    }

    /// Waits for a key; `None` when the queue is closed and empty. [`Self::done`] must follow.
    pub async fn next(&self) -> Option<K> {
        loop {
            let notified = self.inner.ready.notified();
            {
                let mut state = self.inner.state.lock();
                if let Some(key) = state.ready.pop_front() {
                    state.wanted.remove(&key);
                    state.active.insert(key.clone());
                    // One wake-up may stand for several additions.
                    if !state.ready.is_empty() {
                        self.inner.ready.notify_one();
                    }
                    return Some(key);
                }
                if state.closed {
                    self.inner.ready.notify_one();
                    return None;
                }
            }
            notified.await;
        }
    }

    /// Says that work on a key has ended.
    pub fn done(&self, key: &K) {
        let mut state = self.inner.state.lock();
        state.active.remove(key);
        if state.wanted.contains(key) {
            state.ready.push_back(key.clone());
            self.inner.ready.notify_one();
        }
    }

    /// Says that work on a key failed: it comes again, after longer and longer waits. Returns the wait.
    pub fn failed(&self, key: &K) -> Duration {
        let failures = {
            let mut state = self.inner.state.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures = failures.saturating_add(1);
            *failures
        };
        let wait = self.inner.backoff.after(failures);
        self.add_after(key.clone(), wait);
        wait
    }

    /// Says that work on a key succeeded: its failures are forgotten.
    pub fn succeeded(&self, key: &K) {
        self.inner.state.lock().failures.remove(key);
    }
}

impl<K: Clone + Eq + Hash> Inner<K> {
    fn add(&self, key: K) {
        let mut state = self.state.lock();
        if state.closed || !state.wanted.insert(key.clone()) || state.active.contains(&key) {
            return;
        }
        state.ready.push_back(key);
        self.ready.notify_one();
    }
}

/// What a reconciler wants next for its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until something changes.
    Settled,
    /// To be called again after a while.
    After(Duration),
}

/// Calls `reconcile` for every key of the queue, `workers` at a time, until the queue is closed. A failure or a panic is
/// logged under `name`, and its key comes again after a while. Dropping the future ends the work where it is.
pub async fn run<K, F, Fut, E>(name: &'static str, queue: &WorkQueue<K>, workers: usize, reconcile: F)
where
    K: Clone + Eq + Hash + Display + Send + Sync + 'static,
    F: Fn(K) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Next, E>> + Send,
    E: std::error::Error + Send,
{
    let reconcile = Arc::new(reconcile);
    let mut tasks = JoinSet::new();
    for _ in 0..workers.max(1) {
        let queue = queue.clone();
        let reconcile = reconcile.clone();
        tasks.spawn(async move {
            while let Some(key) = queue.next().await {
                let outcome = AssertUnwindSafe(reconcile(key.clone())).catch_unwind().await;
                settle(name, &queue, &key, outcome.map_err(|_| ()));
                queue.done(&key);
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

fn settle<K, E>(name: &str, queue: &WorkQueue<K>, key: &K, outcome: Result<Result<Next, E>, ()>)
where
    K: Clone + Eq + Hash + Display + Send + Sync + 'static,
    E: std::error::Error,
{
    match outcome {
        Ok(Ok(next)) => {
            queue.succeeded(key);
            if let Next::After(wait) = next {
                queue.add_after(key.clone(), wait);
            }
        }
        Ok(Err(e)) => {
            let wait = queue.failed(key);
            tracing::warn!(controller = name, %key, ?wait, "failed, will try again: {}", chain(&e));
        }
        Err(()) => {
            let wait = queue.failed(key);
            tracing::error!(controller = name, %key, ?wait, "panicked, will try again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn queue() -> WorkQueue<&'static str> {
        WorkQueue::new(Backoff::reconcilers(1))
    }

    #[tokio::test]
    async fn a_key_waits_once_and_comes_again_when_added_during_its_work() {
        let queue = queue();
        for key in ["a", "b", "a"] {
            queue.add(key);
        }
        assert_eq!(queue.next().await, Some("a"));
        queue.add("a");
        assert_eq!(queue.len(), 1, "a is being worked on, only b waits");
        assert_eq!(queue.next().await, Some("b"));
        queue.done(&"a");
        assert_eq!(queue.next().await, Some("a"));
        queue.done(&"a");
        queue.done(&"b");
        assert!(queue.is_empty());
        queue.close();
        queue.add("c");
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_and_panics_are_tried_again() {
        let queue = queue();
        let calls = Arc::new(AtomicU32::new(0));
        let seen = calls.clone();
        let closer = queue.clone();
        queue.add("a");
        run("test", &queue, 2, move |_| {
            let call = seen.fetch_add(1, Ordering::SeqCst);
            let closer = closer.clone();
            async move {
                match call {
                    0 => Err(std::io::Error::other("not yet")),
                    1 => panic!("a bug"),
                    2 => Ok(Next::After(Duration::from_secs(60))),
                    _ => {
                        closer.close();
                        Ok(Next::Settled)
                    }
                }
            }
        })
        .await;
        assert_eq!(calls.load(Ordering::SeqCst), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_wait_takes_an_earlier_ones_place() {
        let queue = queue();
        let start = tokio::time::Instant::now();
        queue.add_after("a", Duration::from_secs(5));
        queue.add_after("a", Duration::from_secs(9));
        assert_eq!(queue.next().await, Some("a"));
        assert_eq!(start.elapsed().as_secs(), 9);
        assert!(queue.is_empty());
    }
}
