//! A backup as an answer of the running server: made while it is sent.

use super::archive;
use crate::{data_dir::Layout, keys::Sealer};
use http::{Response, header};
use lab_api_server::Body;
use lab_object::Time;
use lab_store::Embedded;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The path at which it is asked for.
pub const PATH: &str = "/backup";

/// Begins to send a backup. A client knows by its last line whether it came whole.
pub fn answer(store: &Arc<Embedded>, sealer: &Arc<Sealer>, data_dir: &Path, now: Time) -> Response<Body> {
    let (store, sealer, data_dir): (_, _, PathBuf) = (store.clone(), sealer.clone(), data_dir.into());
    let body =
        Body::written(move |out| match archive::write(&store, &Layout(&data_dir), &sealer, now, out) {
            Ok(summary) => tracing::info!(objects = summary.objects, "a backup was taken"),
            Err(error) => tracing::error!("a backup failed: {error:#}"),
        });
    let mut response = Response::new(body);
    let kind = header::HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
