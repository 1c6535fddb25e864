//! Figures at `/metrics` besides the API server's own: the store's, the audit trail's and the process's.

use lab_audit::Trail;
use lab_store::{Embedded, Histogram};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use std::{
    fmt, fs,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// A registry with the figures of a store, an audit trail and of this process, which was started at `started`.
pub fn registry(store: Arc<Embedded>, trail: Arc<Trail>, started: SystemTime) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Store(store)));
    registry.register_collector(Box::new(Audit(trail)));
    let started = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    registry.register_collector(Box::new(Process { started }));
    registry
}

struct Store(Arc<Embedded>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl Collector for Store {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.0.figures();
        let mut out = Encoder(&mut encoder);
        out.counter("store_commits", "Durable commits, each one sync", figures.commits)?;
        out.counter("store_failed_commits", "Commits that failed", figures.failed_commits)?;
        out.counter("store_writes", "Writes carried out", figures.writes)?;
        out.counter("store_conflicts", "Writes refused for their condition", figures.conflicts)?;
        out.counter("store_recoveries", "Recoveries after a failed commit", figures.recoveries)?;
        out.histogram("store_batch_writes", "Writes per commit", &figures.batch_writes)?;
        out.histogram("store_commit_duration_seconds", "Time per commit", &figures.commit_seconds)?;
        out.gauge("store_watchers", "Running watches of the store", figures.watchers as f64)?;
        out.gauge("store_keys", "Keys that exist", figures.keys as f64)?;
        out.gauge("store_history_events", "Events kept", figures.history_events as f64)?;
        out.gauge(
            "store_history_bytes",
            "Memory that the history keeps, about",
            figures.history_bytes as f64,
        )?;
        out.gauge("store_revision", "The newest revision", figures.revision as f64)?;
        out.gauge("store_oldest_revision", "The oldest kept revision", figures.compacted as f64)?;
        out.gauge("store_disk_bytes", "Space the database takes up on disk", figures.disk_bytes as f64)?;
        out.gauge(
            "store_writable",
            "Whether the last commit succeeded",
            f64::from(u8::from(figures.writable())),
        )
    }
}

#[derive(Debug)]
struct Audit(Arc<Trail>);

impl Collector for Audit {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.0.figures();
        let mut out = Encoder(&mut encoder);
        out.counter("audit_entries", "Entries recorded in the audit trail", figures.entries)?;
        out.counter("audit_commits", "Writes of the audit trail, each one sync", figures.commits)?;
        out.counter("audit_failed_commits", "Writes of the audit trail that failed", figures.failed_commits)?;
        out.gauge("audit_commit_seconds", "Time spent writing the audit trail", figures.commit_seconds)?;
        out.gauge("audit_sequence", "Number of the newest entry", figures.sequence as f64)?;
        out.gauge("audit_segments", "Files of the audit trail", figures.segments as f64)?;
        out.gauge("audit_bytes", "Bytes in the audit trail", figures.bytes as f64)?;
        let writable = figures.unwritable.is_none();
        out.gauge(
            "audit_writable",
            "Whether the last write of the audit trail succeeded",
            f64::from(u8::from(writable)),
        )
    }
}

#[derive(Debug)]
struct Process {
    started: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Encoder(&mut encoder);
        if let Some(bytes) = resident_memory() {
            out.gauge("process_resident_memory_bytes", "Resident memory", bytes as f64)?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            out.gauge("process_open_fds", "Open file descriptors", open.count() as f64)?;
        }
        out.gauge("process_start_time_seconds", "When the process started, as Unix time", self.started)
    }
}

/// Resident memory of this process in bytes, where the system says.
fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Writes figures that were read this moment.
struct Encoder<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Encoder<'_, '_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let bounds = histogram.bounds.iter().copied().chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts.iter().copied()).collect();
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        encoder.encode_histogram::<[(&str, &str); 0]>(histogram.sum, histogram.count(), &buckets, None)
    }
}
