//! Machines that are only simulated, thousands at once.

use crate::fetch::fetch;
use crate::wire::Wire;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lab_firmware::{End, Heard, Kind, Machine, Step};
use lab_object::mac::MacAddress;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How a machine's boot went.
#[derive(Debug, Clone, PartialEq)]
pub struct Booted {
    /// Its NIC's address.
    pub mac: MacAddress,
    /// Its firmware.
    pub kind: Kind,
    /// How it ended; nothing where it had not when the time was over.
    pub end: Option<End>,
    /// How long it took.
    pub took: Duration,
    /// How many bytes of files it fetched.
    pub bytes: u64,
}

impl Booted {
    /// Whether a kernel runs.
    pub fn runs_kernel(&self) -> bool {
        matches!(self.end, Some(End::Kernel { .. }))
    }
}

/// So many machines, of each of some kinds in turn, with addresses and UUIDs of their own.
pub fn machines(count: u32, kinds: &[Kind]) -> Vec<Machine> {
    let machine = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        let mut uuid = [0x11; 16];
        uuid[12..].copy_from_slice(&number.to_be_bytes());
        Machine::new(kinds[number as usize % kinds.len()], MacAddress([0x52, 0x54, 0, a, b, c]), uuid)
    };
    (0..count).map(machine).collect()
}

/// Switches machines on at once, and waits until each has come to an end or the time is over.
pub async fn power_on(wire: &Arc<Wire>, machines: Vec<Machine>, patience: Duration) -> Vec<Booted> {
    let mut boots: FuturesUnordered<_> = machines
        .into_iter()
        .enumerate()
        .map(|(at, machine)| {
            let wire = wire.clone();
            let booting = tokio::spawn(async move { boot(&wire, machine, at as u32, patience).await });
            async move { booting.await.expect("a machine's task does not panic") }
        })
        .collect();
    let mut all = Vec::new();
    while let Some(booted) = boots.next().await {
        all.push(booted);
    }
    all
}

async fn boot(wire: &Wire, machine: Machine, number: u32, patience: Duration) -> Booted {
    let began = Instant::now();
    let (mac, kind) = (machine.mac(), machine.kind());
    let mut bytes = 0;
    let run = run(wire, machine, number, &mut bytes);
    let end = tokio::time::timeout(patience, run).await.ok();
    Booted { mac, kind, end, took: began.elapsed(), bytes }
}

async fn run(wire: &Wire, mut machine: Machine, number: u32, bytes: &mut u64) -> End {
    let mut heard = Heard::PowerOn;
    let mut transaction = number << 8;
    loop {
        heard = match machine.next(heard) {
            Step::End(end) => return end,
            Step::Wait(time) => {
                tokio::time::sleep(wire.way.paced(time)).await;
                Heard::Waited
            }
            Step::Ask { question, patience } => {
                transaction += 1;
                let asking = wire.ask(machine.mac(), transaction, &question, patience, |answers| {
                    machine.has_enough(answers)
                });
                match asking.await {
                    Ok(answers) => Heard::Answers(answers),
                    Err(error) => return End::Stopped { why: format!("{error:#}") },
                }
            }
            Step::Fetch(wanted) => {
                let from = machine.address().unwrap_or(Ipv4Addr::UNSPECIFIED);
                let came = fetch(wire, from, &wanted).await;
                *bytes += came.as_ref().map_or(0, |came| came.size);
                Heard::File(came.map(|came| came.head))
            }
        };
    }
}
