//! What an agent reports: lines of JSON, for as long as it is connected. Whatever it sends, it costs little: a line is bounded,
//! so is what is kept of it, and lines that come faster than they need are left waiting with the agent.

use super::{Tunnel, presence, ssh, upgrade};
use crate::server::ApiServer;
use http_body_util::BodyExt;
use jiff::Timestamp;
use lab_wire::agent::{MAX_REPORT, Report};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

/// Longest silence: some heartbeats.
const SILENCE: Duration = Duration::from_secs(120);
/// Shortest time from one report to the next.
const PACE: Duration = Duration::from_millis(200);
/// Most file systems that are kept, and addresses.
const MOST: usize = 64;
/// Most bytes of a text that is kept.
const LONGEST: usize = 256;

/// Hears an agent until it ends; why it did.
pub(super) async fn listen(server: &Weak<ApiServer>, tunnel: &Arc<Tunnel>) -> String {
    let mut body = match tunnel.reports().await {
        Ok(body) => body,
        Err(why) => return format!("it does not report: {why}"),
    };
    let mut buffer = Vec::new();
    loop {
        let data = match tokio::time::timeout(SILENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(error))) => return error.to_string(),
            Ok(None) => return "it reports no longer".into(),
            Err(_) => return format!("it has been silent for {} s", SILENCE.as_secs()),
        };
        buffer.extend_from_slice(&data);
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let report = match serde_json::from_slice(&line) {
                Ok(report) => bounded(report),
                Err(error) => return format!("its report is not understood: {error}"),
            };
            if let Err(why) = take(server, tunnel, report).await {
                return why;
            }
            tokio::time::sleep(PACE).await;
        }
        if buffer.len() > MAX_REPORT {
            return "its report has no end".into();
        }
        buffer.shrink_to(4096);
    }
}

async fn take(server: &Weak<ApiServer>, tunnel: &Arc<Tunnel>, mut report: Report) -> Result<(), String> {
    let Some(server) = server.upgrade() else { return Err("labd stops".into()) };
    let inventory = report.inventory.take();
    let before = tunnel.told(report.clone(), Timestamp::now());
    let is_new = before.is_none_or(|before| before.system != report.system);
    if is_new || inventory.is_some() {
        presence::here(&server, tunnel, &report.system, inventory.as_deref()).await?;
    }
    if let Some(object) = presence::its_server(&server, tunnel).await? {
        ssh::see_to(&server, tunnel, &object);
        if upgrade::is_about(&object) {
            tokio::spawn(upgrade::see_to(server, tunnel.clone(), object, report.system));
        }
    }
    Ok(())
}

/// What is kept of a report, whoever sent it.
fn bounded(mut report: Report) -> Report {
    let cut = |text: &mut String| text.truncate(text.floor_char_boundary(LONGEST));
    let system = &mut report.system;
    let texts = [&mut system.agent, &mut system.hostname, &mut system.kernel, &mut system.operating_system];
    texts.into_iter().chain([&mut system.ssh_host_key, &mut system.executable]).for_each(cut);
    if let Some(refused) = &mut system.refused {
        [&mut refused.executable, &mut refused.why].into_iter().for_each(cut);
    }
    system.addresses.truncate(MOST);
    report.load.file_systems.truncate(MOST);
    report.load.file_systems.iter_mut().for_each(|system| cut(&mut system.mounted_at));
    report
}
