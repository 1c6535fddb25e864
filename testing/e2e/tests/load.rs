//! The real labd over HTTPS: killed again and again under load, and watched by clients that do not read.

use anyhow::Context;
use bytes::Bytes;
use lab_client::{Api, Client, Error, Kubeconfig, ListParams, WatchParams, WriteParams, config::Overrides};
use lab_e2e::labd::Labd;
use lab_object::{GroupVersionResource, Json};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::task::JoinSet;

const WRITERS: usize = 8;

/// A client with a connection of its own.
fn maps(labd: &Labd) -> anyhow::Result<Api<Json>> {
    let connection = Kubeconfig::read(&labd.kubeconfig())?.connection(&Overrides::default())?;
    let client = Client::connect("load", &connection)?;
    Ok(client.dynamic(&GroupVersionResource::new("", "v1", "configmaps"), Some("default")))
}

/// What one writer knows of its objects: the number in each that was acknowledged last, and the one under way.
struct Known {
    writer: usize,
    acknowledged: BTreeMap<String, u64>,
    under_way: Option<(String, u64)>,
}

/// Creates and updates objects until the server is gone.
async fn write_on(api: Api<Json>, mut known: Known, from: u64) -> Known {
    for number in from.. {
        let name = format!("w{}-{}", known.writer, number % 40);
        let exists = known.acknowledged.contains_key(&name);
        known.under_way = Some((name.clone(), number));
        let object = map(&name, number);
        let written = match exists {
            true => api.update(&name, &object, &WriteParams::default()).await,
            false => api.create(&object, &WriteParams::default()).await,
        };
        match written {
            Ok(_) => known.acknowledged.insert(name, number),
            Err(Error::Transport { .. }) => return known,
            // labd says so when it is going down; a refusal for another reason is a failure of the test.
            Err(error) => panic!("writing {name}: {}", lab_client::chain(&error)),
        };
        known.under_way = None;
    }
    known
}

fn map(name: &str, number: u64) -> Json {
    let filling = format!("{number} ").repeat(1 + number as usize % 500);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
           "data": {"number": number.to_string(), "filling": filling}})
}

/// Everything a writer was told holds, and what it was not told is there whole or not at all.
fn check(found: &BTreeMap<String, Json>, known: &mut Known) {
    if let Some((name, number)) = known.under_way.take() {
        let there = found.get(&name).map(|object| object["data"]["number"] == json!(number.to_string()));
        if there == Some(true) {
            known.acknowledged.insert(name, number);
        }
    }
    for (name, number) in &known.acknowledged {
        let object = found.get(name).unwrap_or_else(|| panic!("{name} was acknowledged and is gone"));
        assert_eq!(object["data"], map(name, *number)["data"], "{name}");
    }
}

/// The revisions whose changes stand in the audit trail.
async fn recorded(api: &Api<Json>) -> anyhow::Result<BTreeSet<u64>> {
    let doing = "read the audit trail";
    let request = http::Request::get("/audit").body(Bytes::new())?;
    let answer = api.client().send(doing, request).await?;
    let trail = api.client().collect(doing, answer.into_body()).await?;
    let entries =
        trail.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Json>(line).ok());
    Ok(entries.filter_map(|entry| entry["revision"].as_u64()).collect())
}

/// `LAB_E2E_KILLS` sets the number of kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_over_https_outlives_kill_9() -> anyhow::Result<()> {
    let kills: u64 = std::env::var("LAB_E2E_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let directory = tempfile::tempdir()?;
    let mut all: Vec<Known> =
        (0..WRITERS).map(|writer| Known { writer, acknowledged: BTreeMap::new(), under_way: None }).collect();
    for round in 0..=kills {
        let labd = Labd::start(directory.path())?;
        let list = maps(&labd)?.list_all(&ListParams::default()).await?;
        let name = |object: &Json| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let found: BTreeMap<String, Json> = list.items.into_iter().map(|o| (name(&o), o)).collect();
        let recorded = recorded(&maps(&labd)?).await?;
        for (name, object) in &found {
            let revision = object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok());
            let revision = revision.with_context(|| format!("{name} has no revision"))?;
            anyhow::ensure!(
                recorded.contains(&revision),
                "the last change of {name} is not in the audit trail"
            );
        }
        all.iter_mut().for_each(|known| check(&found, known));
        let known: usize = all.iter().map(|known| known.acknowledged.len()).sum();
        let of_ours = found.keys().filter(|name| name.starts_with('w')).count();
        assert_eq!(of_ours, known, "objects that nobody wrote");
        if round == kills {
            break;
        }
        let mut writers = JoinSet::new();
        for known in std::mem::take(&mut all) {
            let from = known.acknowledged.values().max().map_or(0, |newest| newest + 1);
            writers.spawn(write_on(maps(&labd)?, known, from));
        }
        tokio::time::sleep(Duration::from_millis(150 + round * 97 % 400)).await;
        labd.kill()?;
        all = writers.join_all().await;
    }
    let newest: u64 = all.iter().filter_map(|known| known.acknowledged.values().max()).sum();
    eprintln!("{kills} kills, at least {newest} acknowledged writes");
    assert!(newest > kills * WRITERS as u64, "too few writes for this to mean anything: {newest}");
    Ok(())
}

/// Resident memory of a process, in MiB.
fn memory(labd: &Labd) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", labd.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.and_then(|l| l.trim().strip_suffix("kB")).unwrap_or("0").trim().parse()?;
    Ok(kib / 1024)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_that_do_not_read_cost_little_and_are_cut_off() -> anyhow::Result<()> {
    const SLOW: usize = 20;
    const UPDATES: u64 = 150;
    let directory = tempfile::tempdir()?;
    let labd = Labd::start(directory.path())?;
    let writer = maps(&labd)?;
    let created = writer.create(&map("big", 0), &WriteParams::default()).await?;
    let from = WatchParams {
        resource_version: created["metadata"]["resourceVersion"].as_str().map(String::from),
        ..WatchParams::default()
    };
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(maps(&labd)?.watch(&from).await?);
    }
    let mut quick = maps(&labd)?.watch(&from).await?;
    let reading = tokio::spawn(async move {
        for number in 1..=UPDATES {
            match quick.next().await {
                Some(Ok(lab_client::WatchEvent::Modified(_, object, _))) => {
                    assert_eq!(object["data"]["number"], json!(number.to_string()));
                }
                other => panic!("the reading watcher, at {number}: {other:?}"),
            }
        }
    });
    let filling = "x".repeat(700_000);
    for number in 1..=UPDATES {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"},
                            "data": {"number": number.to_string(), "filling": filling}});
        writer.update("big", &object, &WriteParams::default()).await?;
    }
    reading.await?;
    // 20 unread queues of 150 events of 700 kB would be 2 GiB; the history that all share is bounded by 64 MiB.
    let used = memory(&labd)?;
    assert!(used < 300, "{used} MiB resident with {SLOW} watchers that do not read");
    for watch in &mut slow {
        let mut seen = 0;
        let end = loop {
            match watch.next().await {
                Some(Ok(_)) => seen += 1,
                Some(Err(error)) => break error,
                None => panic!("ended without a word after {seen} events"),
            }
        };
        assert!(end.is_expired(), "after {seen} events: {end}");
        assert!(seen < UPDATES, "a watcher that did not read missed nothing");
    }
    labd.stop()
}
