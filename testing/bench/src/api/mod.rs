//! labd beside etcd: etcd stores raw bytes over plain gRPC; labd is a whole API server over TLS. Both call fsync for
//! every acknowledged write.

mod etcd;
pub mod labd;

use crate::{
    figures::{Row, median, ms, percentile, print},
    process::Place,
};
use anyhow::Context;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How much to measure.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    place: Place,
    /// Runs of each figure; the median is printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Seconds of each run of writes.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Objects in the large store.
    #[arg(long, default_value_t = 100_000)]
    objects: usize,
    /// Only these parts (writes, lists, watches, start).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// What both sides can do; each connection is one client's own.
pub trait Peer: Clone + Send + Sync + 'static {
    /// A client's connection.
    type Client: Send;
    /// Opens one.
    fn connect(&self) -> impl Future<Output = anyhow::Result<Self::Client>> + Send;
    /// Stores a new object of about 1 KiB durably.
    fn create(
        &self,
        client: &mut Self::Client,
        name: &str,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
    /// Reads all objects; returns the bytes received.
    fn list(
        &self,
        client: &mut Self::Client,
        table: bool,
    ) -> impl Future<Output = anyhow::Result<usize>> + Send;
    /// Opens a watch on all objects; the receiver yields once per event.
    fn watch(&self) -> impl Future<Output = anyhow::Result<tokio::sync::mpsc::Receiver<Instant>>> + Send;
}

/// Bytes of what a client sends: etcd's value, and labd's whole body.
const SIZE: usize = 1024;

/// Runs the parts asked for and prints the report.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let wanted = |part: &str| options.only.is_empty() || options.only.iter().any(|o| o == part);
    let mut rows = Vec::new();
    if wanted("writes") {
        writes(options, &mut rows).await?;
    }
    if wanted("lists") {
        lists(options, &mut rows).await?;
    }
    if wanted("watches") {
        watches(options, &mut rows).await?;
    }
    if wanted("start") {
        start(options, &mut rows).await?;
    }
    println!();
    print("etcd", &rows);
    Ok(())
}

async fn writes(options: &Options, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    for clients in [1, 64] {
        let (mut ours, mut theirs, mut our_tail, mut their_tail) = (vec![], vec![], vec![], vec![]);
        for run in 0..options.runs {
            eprintln!("writes: {clients} clients, run {} of {}", run + 1, options.runs);
            let directory = tempfile::tempdir_in(&options.place.directory)?;
            let labd = labd::start(&options.place.programs.join("labd"), directory.path()).await?;
            let (rate, tail) = load(&labd.peer, clients, options.seconds).await?;
            ours.push(rate);
            our_tail.push(tail);
            drop(labd);
            let etcd = etcd::start(directory.path()).await?;
            let (rate, tail) = load(&etcd.peer, clients, options.seconds).await?;
            theirs.push(rate);
            their_tail.push(tail);
        }
        rows.push(Row::rate(format!("durable creates, {clients} clients"), "1/s", &ours, &theirs));
        rows.push(Row::cost(format!("  their p99, {clients} clients"), "ms", &our_tail, &their_tail));
    }
    Ok(())
}

/// Creates as fast as `clients` can for some seconds; the rate, and the 99th percentile in milliseconds.
async fn load<P: Peer>(peer: &P, clients: usize, seconds: u64) -> anyhow::Result<(f64, f64)> {
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for client in 0..clients {
        let peer = peer.clone();
        tasks.spawn(async move {
            let mut connection = peer.connect().await?;
            let mut times = Vec::new();
            while began.elapsed() < Duration::from_secs(seconds) {
                let start = Instant::now();
                peer.create(&mut connection, &format!("o-{client}-{}", times.len())).await?;
                times.push(ms(start.elapsed()));
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done.context("a client panicked")??);
    }
    Ok((times.len() as f64 / began.elapsed().as_secs_f64(), percentile(&times, 99.0)))
}

/// Stores `count` objects through 64 clients.
async fn fill<P: Peer>(peer: &P, count: usize) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for client in 0..64 {
        let peer = peer.clone();
        tasks.spawn(async move {
            let mut connection = peer.connect().await?;
            for n in (client..count).step_by(64) {
                peer.create(&mut connection, &format!("f-{n}")).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.context("a client panicked")??;
    }
    Ok(())
}

async fn lists(options: &Options, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    eprintln!("lists: 10,000 objects");
    let directory = tempfile::tempdir_in(&options.place.directory)?;
    let etcd = etcd::start(directory.path()).await?;
    fill(&etcd.peer, 10_000).await?;
    let (their_rate, their_speed) = list(&etcd.peer, options, false).await?;
    drop(etcd);
    let labd = labd::start(&options.place.programs.join("labd"), directory.path()).await?;
    fill(&labd.peer, 10_000).await?;
    let (rate, speed) = list(&labd.peer, options, false).await?;
    let (table_rate, table_speed) = list(&labd.peer, options, true).await?;
    rows.push(Row::rate("lists of 10,000 objects", "1/s", &rate, &their_rate));
    rows.push(Row::rate("lists of 10,000 objects", "MB/s", &speed, &their_speed));
    rows.push(Row::rate("tables of 10,000 objects", "1/s", &table_rate, &[]));
    rows.push(Row::rate("tables of 10,000 objects", "MB/s", &table_speed, &[]));
    Ok(())
}

/// Lists again and again on one connection; per run the requests and the megabytes a second.
async fn list<P: Peer>(peer: &P, options: &Options, table: bool) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let mut client = peer.connect().await?;
    let (mut rates, mut speeds) = (vec![], vec![]);
    for _ in 0..options.runs {
        let (began, mut requests, mut received) = (Instant::now(), 0.0, 0.0);
        while began.elapsed() < Duration::from_secs(2) {
            received += peer.list(&mut client, table).await? as f64;
            requests += 1.0;
        }
        let seconds = began.elapsed().as_secs_f64();
        rates.push(requests / seconds);
        speeds.push(received / seconds / 1e6);
    }
    Ok((rates, speeds))
}

async fn watches(options: &Options, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(&options.place.directory)?;
    eprintln!("watches: 1,000 on etcd");
    let etcd = etcd::start(directory.path()).await?;
    let theirs = fan_out(&etcd.peer, 1_000, 20 * options.runs).await?;
    drop(etcd);
    eprintln!("watches: 1,000 on labd");
    let labd = labd::start(&options.place.programs.join("labd"), directory.path()).await?;
    let ours = fan_out(&labd.peer, 1_000, 20 * options.runs).await?;
    let resident = labd.process.resident()?;
    for (name, percent) in [("p50", 50.0), ("p99", 99.0)] {
        let (our, their) = (percentile(&ours, percent), percentile(&theirs, percent));
        rows.push(Row::cost(
            format!("a write to the last of 1,000 watchers, {name}"),
            "ms",
            &[our],
            &[their],
        ));
    }
    rows.push(Row::cost("resident memory with 1,000 watchers", "MiB", &[resident], &[]));
    Ok(())
}

/// Writes `writes` objects, one after another, each once the last watcher has seen the one before; the time of each
/// from the start of the write to the last watcher, in milliseconds.
async fn fan_out<P: Peer>(peer: &P, watchers: usize, writes: usize) -> anyhow::Result<Vec<f64>> {
    let mut receivers = Vec::new();
    for _ in 0..watchers {
        receivers.push(peer.watch().await?);
    }
    let mut client = peer.connect().await?;
    let mut times = Vec::new();
    for n in 0..writes {
        let start = Instant::now();
        peer.create(&mut client, &format!("w-{n}")).await?;
        let mut last = start;
        for receiver in &mut receivers {
            let seen = tokio::time::timeout(Duration::from_secs(10), receiver.recv()).await;
            last = last.max(seen.context("a watcher saw nothing for ten seconds")?.context("a watch ended")?);
        }
        times.push(ms(last - start));
    }
    Ok(times)
}

async fn start(options: &Options, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(&options.place.directory)?;
    let path = directory.path();
    let (mut empty, mut empty_memory) = (vec![], vec![]);
    let (mut their_empty, mut their_empty_memory) = (vec![], vec![]);
    for run in 0..options.runs {
        eprintln!("start: empty, run {} of {}", run + 1, options.runs);
        let fresh = tempfile::tempdir_in(&options.place.directory)?;
        let labd = labd::start(&options.place.programs.join("labd"), fresh.path()).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        empty.push(ms(labd.process.ready_after));
        empty_memory.push(labd.process.resident()?);
        let etcd = etcd::start(fresh.path()).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        their_empty.push(ms(etcd.process.ready_after));
        their_empty_memory.push(etcd.process.resident()?);
    }
    rows.push(Row::cost("start to ready, empty", "ms", &empty, &their_empty));
    rows.push(Row::cost("resident memory, empty", "MiB", &empty_memory, &their_empty_memory));
    eprintln!("start: filling both with {} objects", options.objects);
    let labd = labd::start(&options.place.programs.join("labd"), path).await?;
    fill(&labd.peer, options.objects).await?;
    labd.process.stop()?;
    let etcd = etcd::start(path).await?;
    fill(&etcd.peer, options.objects).await?;
    etcd.process.stop()?;
    let (mut full, mut full_memory, mut their_full, mut their_full_memory) = (vec![], vec![], vec![], vec![]);
    for run in 0..options.runs {
        eprintln!("start: {} objects, run {} of {}", options.objects, run + 1, options.runs);
        let labd = labd::start(&options.place.programs.join("labd"), path).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        full.push(ms(labd.process.ready_after));
        full_memory.push(labd.process.resident()?);
        labd.process.stop()?;
        let etcd = etcd::start(path).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        their_full.push(ms(etcd.process.ready_after));
        their_full_memory.push(etcd.process.resident()?);
        etcd.process.stop()?;
    }
    let count = options.objects;
    rows.push(Row::cost(format!("start to ready, {count} objects"), "ms", &full, &their_full));
    rows.push(Row::cost(
        format!("resident memory, {count} objects"),
        "MiB",
        &full_memory,
        &their_full_memory,
    ));
    eprintln!("empty: {:.0} ms, full: {:.0} ms", median(&empty), median(&full));
    Ok(())
}
