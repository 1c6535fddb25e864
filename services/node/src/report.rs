//! What this machine reports of itself, for as long as it is connected.

use crate::serve::{Body, Shared, streamed};
use bytes::Bytes;
use http::Response;
use lab_host::vitals::{self, Busy};
use lab_wire::{
    agent::{Report, System},
    site::Discovery,
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior};

/// Time from one report to the next.
const BEAT: Duration = Duration::from_secs(30);
/// How often it is looked whether the machine consists of something else.
const LOOK: Duration = Duration::from_secs(15 * 60);

/// Reads what a machine consists of. It may take some seconds, and runs on a thread of its own.
pub type Inventory = Arc<dyn Fn() -> Discovery + Send + Sync>;

/// Answers with reports without end.
pub(crate) fn stream(shared: &Arc<Shared>) -> Response<Body> {
    let (out, response) = streamed();
    let shared = shared.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut busy, mut known, mut looked) = (Busy::default(), None, None::<Instant>);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = out.closed() => return,
            }
            let mut report = Report {
                system: System {
                    ssh_host_key: shared.sshd.host_key(),
                    executable: shared.upgrades.program.executable.clone(),
                    refused: shared.upgrades.refused(),
                    ..vitals::system(Path::new("/"), &shared.version)
                },
                load: vitals::load(Path::new("/"), &mut busy),
                inventory: None,
            };
            // That the machine is there is not held up by what it consists of.
            let first = looked.is_none();
            if !first && looked.is_none_or(|at| at.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                report.inventory = changed(&shared, &mut known).await;
            }
            if out.send(line(&report)).await.is_err() {
                return;
            }
            if first {
                looked = Some(Instant::now());
                report.inventory = changed(&shared, &mut known).await;
                if report.inventory.is_some() && out.send(line(&report)).await.is_err() {
                    return;
                }
            }
        }
    });
    response
}

/// What the machine consists of, when that is news.
async fn changed(shared: &Arc<Shared>, known: &mut Option<Discovery>) -> Option<Box<Discovery>> {
    let read = shared.inventory.clone();
    let found = match tokio::task::spawn_blocking(move || read()).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "what the machine consists of could not be read");
            return None;
        }
    };
    if known.as_ref() == Some(&found) {
        return None;
    }
    *known = Some(found.clone());
    Some(Box::new(found))
}

fn line(report: &Report) -> Bytes {
    let mut line = serde_json::to_vec(report).expect("a report's keys are texts");
    line.push(b'\n');
    line.into()
}
