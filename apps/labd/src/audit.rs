//! The audit trail of this data directory: opened with the server, and what the server itself records in it.

use crate::data_dir::Layout;
use anyhow::Context;
use lab_api_server::{ApiServer, Caller};
use lab_audit::Trail;
use lab_kinds::audit::{Actor, AuditEntry};
use lab_pki::files;
use std::sync::Arc;

/// Opens the trail, and makes its directory at the first start.
pub fn open(layout: &Layout<'_>) -> anyhow::Result<Arc<Trail>> {
    let path = layout.audit();
    files::create_private_directory(&path)?;
    let trail = Trail::open(&path, lab_audit::Options::default())
        .with_context(|| format!("cannot open the audit trail in {}", path.display()))?;
    Ok(Arc::new(trail))
}

/// Records that the server began to serve, or ended: where a start follows no stop, what was recorded last before it may not
/// have been carried out.
pub async fn note(api: &ApiServer, verb: &str, note: String) {
    let labd = Caller::internal("labd");
    let user = Actor { name: labd.user, groups: labd.groups, credential: labd.credential.to_string() };
    let entry = AuditEntry { user, verb: verb.into(), note, ..AuditEntry::default() };
    if let Err(error) = api.record(entry).await {
        tracing::warn!(%error, verb, "could not be recorded");
    }
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
