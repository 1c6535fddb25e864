//! Has this machine's sshd take certificates of labd's authority, as labd says.

use crate::serve::{Body, Shared, refused};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use lab_client::chain;
use lab_wire::agent::SshSetup;
use std::sync::Arc;

/// Most bytes of what labd says of it.
const MOST: usize = 64 * 1024;

/// Answers what sshd is to know.
pub(crate) async fn answer(shared: &Arc<Shared>, body: Incoming) -> Response<Body> {
    match set_up(shared, body).await {
        Ok(()) => refused(StatusCode::NO_CONTENT, Bytes::new()),
        Err(why) => {
            tracing::warn!(why, "sshd was not set up to take labd's certificates");
            refused(StatusCode::BAD_REQUEST, why)
        }
    }
}

async fn set_up(shared: &Arc<Shared>, body: Incoming) -> Result<(), String> {
    let read = Limited::new(body, MOST).collect().await.map_err(|error| error.to_string())?;
    let setup: SshSetup = serde_json::from_slice(&read.to_bytes()).map_err(|error| error.to_string())?;
    let sshd = shared.sshd.clone();
    let done = tokio::task::spawn_blocking(move || sshd.set_up(&setup).map_err(|error| chain(&error)));
    done.await.map_err(|error| error.to_string())?
}
