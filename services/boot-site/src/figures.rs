//! What a site counts of itself, for `/metrics`.

use crate::Site;
use lab_netboot::files::{Outcome, Protocol};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// Counters that only grow.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    answered: AtomicU64,
    unanswered: AtomicU64,
    scripts: AtomicU64,
    tftp_files: AtomicU64,
    tftp_bytes: AtomicU64,
    http_files: AtomicU64,
    http_bytes: AtomicU64,
    failed_files: AtomicU64,
    lines: AtomicU64,
    reports: AtomicU64,
    failed_reports: AtomicU64,
}

impl Figures {
    pub fn dhcp(&self, answered: bool) {
        if answered { &self.answered } else { &self.unanswered }.fetch_add(1, Relaxed);
    }

    pub fn script(&self) {
        self.scripts.fetch_add(1, Relaxed);
    }

    pub fn file(&self, protocol: Protocol, outcome: Outcome) {
        let (files, bytes) = match protocol {
            Protocol::Tftp => (&self.tftp_files, &self.tftp_bytes),
            Protocol::Http => (&self.http_files, &self.http_bytes),
        };
        match outcome {
            Outcome::Done { bytes: sent } => {
                files.fetch_add(1, Relaxed);
                bytes.fetch_add(sent, Relaxed);
            }
            Outcome::SizeAsked => {}
            _ => {
                self.failed_files.fetch_add(1, Relaxed);
            }
        }
    }

    pub fn lines(&self) {
        self.lines.fetch_add(1, Relaxed);
    }

    pub fn report(&self, done: bool) {
        if done { &self.reports } else { &self.failed_reports }.fetch_add(1, Relaxed);
    }
}

/// The figures of a site, for a registry of metrics; nothing before it is said of which. Clones are of the same site.
#[derive(Clone, Default)]
pub struct SiteFigures(Arc<OnceLock<Arc<Site>>>);

impl SiteFigures {
    /// Says of which site they are. Said once, it stays.
    pub fn are_of(&self, site: &Arc<Site>) {
        // Whoever says it twice hears the first one's figures.
        let _ = self.0.set(site.clone());
    }
}

impl fmt::Debug for SiteFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteFigures")
    }
}

impl Collector for SiteFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(site) = self.0.get() else { return Ok(()) };
        let figures = &site.figures;
        let counters = [
            ("boot_dhcp_answered", "DHCP requests that were answered", &figures.answered),
            ("boot_dhcp_unanswered", "DHCP requests that were not answered", &figures.unanswered),
            ("boot_scripts", "Boot answers that were given", &figures.scripts),
            ("boot_tftp_files", "Files sent whole by TFTP", &figures.tftp_files),
            ("boot_tftp_bytes", "Bytes of files sent whole by TFTP", &figures.tftp_bytes),
            ("boot_http_files", "Files sent whole by HTTP", &figures.http_files),
            ("boot_http_bytes", "Bytes of files sent whole by HTTP", &figures.http_bytes),
            (
                "boot_failed_files",
                "Files that there are not, or that were not sent whole",
                &figures.failed_files,
            ),
            ("boot_log_lines", "Log lines of machines", &figures.lines),
            ("boot_reports", "Machines reported to labd", &figures.reports),
            ("boot_failed_reports", "Reports to labd that failed", &figures.failed_reports),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value.load(Relaxed));
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        let (machines, leases, unreported) = site.with(|known| {
            let leases: usize = known.leases.values().map(|leases| leases.iter().count()).sum();
            (known.machines(), leases, known.unreported.len())
        });
        let gauges = [
            ("boot_machines", "Machines that were heard", machines),
            ("boot_leases", "Addresses that are or were given out", leases),
            ("boot_unreported_machines", "Machines that labd is still to be told of", unreported),
            ("boot_interfaces", "Interfaces that are served on", site.addresses().len()),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value as f64);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
