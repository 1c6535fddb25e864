//! The audit trail of this data directory: opened with the server, what the server itself records in it, and how much of it is
//! kept.

use crate::{config, data_dir::Layout};
use anyhow::Context;
use lab_api_server::{ApiServer, Caller};
use lab_audit::{Obsolete, Retention, Trail};
use lab_kinds::audit::{Actor, AuditEntry};
use lab_pki::files;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How often it is looked whether something is not to be kept any more.
const TENDING: Duration = Duration::from_secs(10 * 60);

/// Opens the trail, and makes its directory at the first start.
pub fn open(layout: &Layout<'_>, told: &config::Audit) -> anyhow::Result<Arc<Trail>> {
    let path = layout.audit();
    files::create_private_directory(&path)?;
    let options = lab_audit::Options { segment_bytes: told.segment_bytes, ..lab_audit::Options::default() };
    let trail = Trail::open(&path, options)
        .with_context(|| format!("cannot open the audit trail in {}", path.display()))?;
    Ok(Arc::new(trail))
}

/// Records that the server began to serve, or ended: where a start follows no stop, what was recorded last before it may not
/// have been carried out.
pub async fn note(api: &ApiServer, verb: &str, note: String) {
    if let Err(error) = api.record(entry(verb, note)).await {
        tracing::warn!(%error, verb, "could not be recorded");
    }
}

/// What labd itself did.
fn entry(verb: &str, note: String) -> AuditEntry {
    let labd = Caller::internal("labd");
    let user = Actor { name: labd.user, groups: labd.groups, credential: labd.credential.to_string() };
    AuditEntry { user, verb: verb.into(), note, ..AuditEntry::default() }
}

/// Removes what is not to be kept any more, now and from time to time.
pub async fn tend(api: Arc<ApiServer>, trail: Arc<Trail>, told: config::Audit) {
    let mut ticks = tokio::time::interval(TENDING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = prune(&api, &trail, &told).await {
            tracing::warn!("old segments of the audit trail could not be removed: {error:#}");
        }
    }
}

/// Says in the trail what goes, and by which hash it is known; then removes it.
async fn prune(api: &ApiServer, trail: &Arc<Trail>, told: &config::Audit) -> anyhow::Result<()> {
    let age = told.keep.and_then(|keep| Duration::try_from(keep).ok());
    let since = age.and_then(|age| SystemTime::now().checked_sub(age));
    let retention = Retention { since, bytes: Some(told.keep_bytes) };
    let looked = trail.clone();
    let found = tokio::task::spawn_blocking(move || looked.obsolete(&retention)).await??;
    let Some(obsolete) = found else { return Ok(()) };
    let Obsolete { first, last, hash, .. } = obsolete;
    let note = format!(
        "entries {first} to {last} are removed, as they need not be kept; the hash of the last is {hash}"
    );
    api.record(entry("prune", note)).await?;
    let trail = trail.clone();
    tokio::task::spawn_blocking(move || trail.remove(&obsolete)).await??;
    tracing::info!(first, last, "old entries of the audit trail are removed");
    Ok(())
}

/// What there is to say about a start.
pub fn began(trail: &Trail) -> String {
    let version = concat!("labd ", env!("CARGO_PKG_VERSION"));
    match trail.recovered() {
        None => version.into(),
        Some(torn) => format!(
            "{version}; {} bytes at the trail's end were of a write that was never finished (SHA-256 {})",
            torn.bytes, torn.sha256
        ),
    }
}
