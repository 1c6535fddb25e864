//! Figures about requests and watches, as Prometheus text.

use crate::{agents::Agents, request::Verb};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};
use std::{fmt, sync::Arc, time::Duration};

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the latency buckets, in seconds: from a memory read to a request that waits.
const BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// What a request was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    pub verb: &'static str,
    pub group: String,
    pub resource: String,
    pub subresource: &'static str,
}

impl Labels {
    /// Says what the request was found to be.
    pub(crate) fn name(
        &mut self,
        verb: &'static str,
        group: &str,
        resource: &str,
        subresource: &'static str,
    ) {
        *self = Self { verb, group: group.into(), resource: resource.into(), subresource };
    }
}

/// The same with its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    verb: &'static str,
    group: String,
    resource: String,
    subresource: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Watched {
    group: String,
    resource: String,
}

/// How many agents are connected, looked up when somebody asks.
struct Connected(Arc<Agents>);

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connected")
    }
}

impl Collector for Connected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(self.0.count()).unwrap_or(i64::MAX));
        let help = "Agents of machines that are connected";
        let encoder = encoder.encode_descriptor("lab_agents_connected", help, None, gauge.metric_type())?;
        gauge.encode(encoder)
    }
}

/// The server's figures, in a registry that others may have put theirs into.
pub struct Metrics {
    registry: Registry,
    requests: Family<Outcome, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    watchers: Family<Watched, Gauge>,
    cut_off: Counter,
    panics: Counter,
    hashes: Counter,
}

impl Metrics {
    /// Adds the server's figures to a registry.
    pub(crate) fn new(mut registry: Registry, agents: Arc<Agents>) -> Self {
        registry.register_collector(Box::new(Connected(agents)));
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(histogram),
            in_flight: Gauge::default(),
            watchers: Family::default(),
            cut_off: Counter::default(),
            panics: Counter::default(),
            hashes: Counter::default(),
            registry: Registry::default(),
        };
        registry.register("apiserver_request", "Requests answered", metrics.requests.clone());
        registry.register(
            "apiserver_request_duration_seconds",
            "Time from a request's head to its answer's, without watches",
            metrics.durations.clone(),
        );
        registry.register(
            "apiserver_requests_in_flight",
            "Requests being answered",
            metrics.in_flight.clone(),
        );
        registry.register("apiserver_watchers", "Running watches", metrics.watchers.clone());
        registry.register(
            "apiserver_watchers_cut_off",
            "Watches ended for being too slow",
            metrics.cut_off.clone(),
        );
        registry.register("apiserver_panics", "Requests that ended in a panic", metrics.panics.clone());
        registry.register(
            "apiserver_password_hashes",
            "Hashes of passwords computed, to set them or to see whether they are right",
            metrics.hashes.clone(),
        );
        Self { registry, ..metrics }
    }

    /// All figures as OpenMetrics text, which Prometheus reads.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a string fails only when a metric refuses to be encoded; what was written until then still helps.
        if let Err(error) = text::encode(&mut out, &self.registry) {
            tracing::error!(%error, "metrics could not be encoded");
        }
        out
    }

    pub(crate) fn answered(&self, labels: Labels, code: u16, took: Duration) {
        // A watch lasts as long as its client wants; that is no latency.
        if labels.verb != Verb::Watch.as_str() {
            self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        }
        let Labels { verb, group, resource, subresource } = labels;
        self.requests.get_or_create(&Outcome { verb, group, resource, subresource, code }).inc();
    }

    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    pub(crate) fn hashed(&self) {
        self.hashes.inc();
    }

    pub(crate) fn cut_off(&self) {
        self.cut_off.inc();
    }

    /// Counts a request as being answered, until the guard is dropped.
    pub(crate) fn begin(&self) -> Counted {
        Counted::new(self.in_flight.clone())
    }

    /// Counts a watch as running, until the guard is dropped.
    pub(crate) fn watching(&self, group: &str, resource: &str) -> Counted {
        let watched = Watched { group: group.into(), resource: resource.into() };
        let gauge = self.watchers.get_or_create(&watched).clone();
        Counted::new(gauge)
    }
}

/// Counts in a gauge while it lives.
pub(crate) struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
