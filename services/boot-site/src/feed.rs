//! Machines' logs are handed on to labd: the bastion calls, so that it can stand behind address translation, and labd says which line
//! it wants next. Another run of labd has none and is handed all of them again.

use crate::{Knowledge, Site};
use bytes::Bytes;
use http::{Request, header};
use lab_client::{Client, Error};
use lab_object::mac::MacAddress;
use lab_wire::log::{Fed, Feed, Line, Machine};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often lines are handed on.
const OFTEN: Duration = Duration::from_millis(300);
/// How often labd is called when there are none, to learn whether it is still the same run.
const SELDOM: Duration = Duration::from_secs(10);
/// How many bytes of lines are handed on at once, about.
const AT_ONCE: usize = 1 << 20;

/// Hands lines on.
pub(crate) struct Feeder {
    client: Client,
    site: Arc<Site>,
    /// The Bastion's name.
    name: String,
    run: String,
    /// labd's run, as it said last.
    labd: Option<String>,
    /// Which line of each machine labd wants next.
    next: BTreeMap<MacAddress, u64>,
    called: Option<Instant>,
}

impl Feeder {
    /// Has handed nothing on yet. `run` is a word of this run.
    pub fn new(client: Client, site: Arc<Site>, name: String, run: String) -> Self {
        Self { client, site, name, run, labd: None, next: BTreeMap::new(), called: None }
    }

    /// Hands lines on, for as long as the site runs.
    pub async fn feed(mut self) {
        loop {
            let wait = match self.call().await {
                Ok(()) => OFTEN,
                Err(error) => {
                    // Without labd, or before there is a Bastion object, the lines wait here.
                    tracing::debug!(%error, "log lines wait");
                    self.called = None;
                    SELDOM / 10
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn call(&mut self) -> Result<(), Error> {
        let waiting = self.site.with(|known| std::mem::take(&mut known.unfed));
        let machines = self.site.with(|known| gather(known, &waiting, &self.next));
        let quiet = machines.is_empty() && self.called.is_some_and(|called| called.elapsed() < SELDOM);
        if quiet {
            // Machines that no Server is known for wait until there is one.
            self.site.with(|known| known.unfed.extend(unknown(known, &waiting)));
            return Ok(());
        }
        let ends: BTreeMap<MacAddress, u64> = machines
            .iter()
            .map(|machine| (machine.mac, machine.first + machine.lines.len() as u64))
            .collect();
        match self.post(&Feed { run: self.run.clone(), machines }).await {
            Ok(fed) => {
                self.called = Some(Instant::now());
                self.heard(fed, waiting, &ends);
                Ok(())
            }
            Err(error) => {
                self.site.with(|known| known.unfed.extend(waiting));
                Err(error)
            }
        }
    }

    /// What is left to hand on after labd answered.
    fn heard(&mut self, fed: Fed, waiting: BTreeSet<MacAddress>, ends: &BTreeMap<MacAddress, u64>) {
        let another = self.labd.as_ref() != Some(&fed.run);
        if another {
            self.labd = Some(fed.run);
            self.next.clear();
        }
        self.next.extend(&fed.next);
        let next = &self.next;
        self.site.with(|known| {
            // A machine whose lines were not taken, or not all of them, waits on.
            let done = |mac: &MacAddress| {
                let all = known.machine(*mac).map_or(0, |machine| machine.lines_end());
                ends.contains_key(mac) && next.get(mac).is_some_and(|next| *next >= all)
            };
            let left: Vec<MacAddress> = match another {
                true => known.machines.keys().copied().collect(),
                false => waiting.into_iter().filter(|mac| !done(mac)).collect(),
            };
            known.unfed.extend(left);
        });
    }

    async fn post(&self, feed: &Feed) -> Result<Fed, Error> {
        let doing = "hand log lines on";
        let broken = |why: String| Error::Request { doing: doing.into(), why };
        let body = serde_json::to_vec(feed).map_err(|error| broken(error.to_string()))?;
        let request = Request::post(format!("/apis/metal.lab/v1alpha1/bastions/{}/logs", self.name))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|error| broken(error.to_string()))?;
        let response = self.client.send(doing, request).await?;
        let body = self.client.collect(doing, response.into_body()).await?;
        serde_json::from_slice(&body).map_err(|source| Error::Answer {
            doing: doing.into(),
            server: self.client.server().into(),
            source,
        })
    }
}

/// The lines that labd wants next, of machines whose Servers are known; about as many as go at once.
fn gather(
    known: &Knowledge,
    waiting: &BTreeSet<MacAddress>,
    next: &BTreeMap<MacAddress, u64>,
) -> Vec<Machine> {
    let (mut machines, mut bytes) = (Vec::new(), 0);
    for mac in waiting {
        let Some(server) = server_of(known, *mac) else { continue };
        let Some(machine) = known.machine(*mac) else { continue };
        let (first, lines) = machine.lines_from(next.get(mac).copied().unwrap_or(0));
        let room = lines.take_while(|line| {
            bytes += line.text.len() + 200;
            bytes < AT_ONCE
        });
        let lines: Vec<Line> = room.cloned().collect();
        if !lines.is_empty() {
            machines.push(Machine { mac: *mac, server, first, lines });
        }
        if bytes >= AT_ONCE {
            break;
        }
    }
    machines
}

fn server_of(known: &Knowledge, mac: MacAddress) -> Option<String> {
    let uuid = known.machine(mac)?.uuid.as_deref();
    known.recognise(mac, uuid).1?.metadata.name.clone()
}

fn unknown(known: &Knowledge, waiting: &BTreeSet<MacAddress>) -> Vec<MacAddress> {
    waiting.iter().copied().filter(|mac| server_of(known, *mac).is_none()).collect()
}
