//! A site beside an API server of its own: what it sees arrives there, and it goes on where the server is out of reach.

mod agents;
mod answering;
mod client;
mod installing;
mod machine;

use jiff::Timestamp;
use lab_boot_site::{Labd, Options, Place, Running, Site, Surroundings};
use lab_client::{Client, ListParams, Patch, PatchParams, WriteParams};
use lab_kinds::metal::network::{Dhcp, DhcpMode, DhcpRange, NetworkSpec};
use lab_kinds::metal::server::status::{BootStep, Phase};
use lab_kinds::metal::{Bastion, Network, Server};
use lab_netboot::syslog::{Message, Sink};
use lab_wire::log::{Kind, Line};
use machine::Machine;
use serde_json::json;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

struct Real(AtomicU64);

impl Surroundings for Real {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    fn token(&self) -> String {
        format!("t{}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn start(client: &Client, folder: &Path) -> Running {
    let labd = Labd { place: Place::Here(([0, 0, 0, 0], 6443).into()), ca_hash: "sha256:aa".into() };
    start_for(client, folder, labd, Arc::new(Real(AtomicU64::new(0))))
}

/// A site whose machines' agents find this labd.
fn start_for(client: &Client, folder: &Path, labd: Labd, surroundings: Arc<dyn Surroundings>) -> Running {
    let options = Options {
        name: "home-1".into(),
        state: folder.join("state"),
        files: folder.join("files"),
        ports: None,
        version: "0.0.0".into(),
        labd: Some(labd),
        seed: 1,
    };
    std::fs::create_dir_all(&options.files).expect("there is room");
    for program in lab_machine::program::PROGRAMS {
        std::fs::write(options.files.join(program.path), program.path).expect("there is room");
    }
    let running = lab_boot_site::start(client, options, surroundings).expect("it starts");
    running.site().serve_on([("eth1".into(), (Ipv4Addr::new(10, 9, 0, 1), 24))].into());
    running
}

fn network() -> Network {
    let spec = NetworkSpec {
        dhcp: Dhcp {
            mode: DhcpMode::Full,
            ranges: vec![DhcpRange { start: [10, 9, 0, 50].into(), end: [10, 9, 0, 99].into() }],
            ..Dhcp::beside_another()
        },
        ..NetworkSpec::new("10.9.0.0/24".parse().expect("it is a network"))
    };
    Network::new("rack", spec)
}

async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    for _ in 0..400 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never came true: {what}");
}

async fn knows_network(site: &Site) {
    eventually("the site knows its network", async || {
        site.with(|known| known.networks().next().is_some()).then_some(())
    })
    .await;
}

async fn server(client: &Client, name: &str, is: impl Fn(&Server) -> bool) -> Server {
    eventually(name, async || {
        client.resource::<Server>().get_opt(name).await.ok().flatten().filter(|server| is(server))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_boots_becomes_a_server() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, _) = client::over_a_store(&folder.path().join("store"));
    let networks = client.resource::<Network>();
    networks.create(&network(), &WriteParams::default()).await.expect("it is created");
    let running = start(&client, folder.path());
    let site = running.site().clone();
    knows_network(&site).await;
    let machine = Machine::new(1);
    let address = machine.boot(&site).await;
    let found = server(&client, "52-54-00-00-00-01", |server| {
        server.status.boot.as_ref().and_then(|boot| boot.step) == Some(BootStep::Told)
    })
    .await;
    let status = &found.status;
    assert_eq!((status.phase, status.bastion.as_deref()), (Some(Phase::Discovering), Some("home-1")));
    assert_eq!((status.addresses.clone(), status.uuid.clone()), (vec![address.into()], Some(machine.uuid())));
    assert_eq!(status.nics[0].network.as_deref(), Some("rack"));
    assert_eq!(
        serde_json::to_value(&found.spec).expect("it is JSON"),
        json!({}),
        "what is to become of it is for people"
    );

    // The same machine over another NIC is the same Server.
    let second = Machine { mac: 9, ..machine };
    second.boot(&site).await;
    let found = server(&client, "52-54-00-00-00-01", |server| server.status.nics.len() == 2).await;
    assert_eq!(found.status.nics.iter().map(|nic| nic.boot).collect::<Vec<_>>(), [false, true]);
    let all = client.resource::<Server>().list(&ListParams::default()).await.expect("they are listed");
    assert_eq!(all.items.len(), 1);

    // One that has the NIC, but another main board, is none that is known.
    let other = Machine { uuid: 77, ..machine };
    other.boot(&site).await;
    let found = server(&client, "52-54-00-00-00-01", |server| {
        server.status.conditions.iter().any(|condition| condition.kind == "Recognised")
    })
    .await;
    assert_eq!(found.status.uuid, Some(machine.uuid()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_is_few_writes() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, valve) = client::over_a_store(&folder.path().join("store"));
    client.resource::<Network>().create(&network(), &WriteParams::default()).await.expect("it is created");
    let running = start(&client, folder.path());
    let site = running.site().clone();
    knows_network(&site).await;
    let machine = Machine::new(1);
    machine.boot(&site).await;
    server(&client, "52-54-00-00-00-01", |server| server.status.boot.is_some()).await;
    let before = valve.writes();
    for _ in 0..500 {
        machine.discover(&site);
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let writes = valve.writes() - before;
    assert!(writes <= 6, "{writes} writes for 500 packets");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_it_goes_on_and_catches_up() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, valve) = client::over_a_store(&folder.path().join("store"));
    client.resource::<Network>().create(&network(), &WriteParams::default()).await.expect("it is created");
    let running = start(&client, folder.path());
    let site = running.site().clone();
    knows_network(&site).await;
    let address = Machine::new(1).boot(&site).await;
    server(&client, "52-54-00-00-00-01", |server| server.status.boot.is_some()).await;

    valve.shut();
    let second = Machine::new(2).boot(&site).await;
    assert_ne!(address, second);
    running.stop().await;
    // Started anew without labd, it answers from what it had, and everybody has the address as before.
    let running = start(&client, folder.path());
    let site = running.site().clone();
    knows_network(&site).await;
    assert_eq!(Machine::new(2).boot(&site).await, second);
    assert_eq!(Machine::new(1).boot(&site).await, address);
    let third = Machine::new(3).boot(&site).await;
    assert!(![address, second].contains(&third));
    eventually("it notices that labd is away", async || running.health().trouble()).await;
    let told = site.with(|known| known.lines(Machine::new(2).mac()));
    assert!(
        told.iter().filter(|line| line.kind == Kind::Boot).count() > 10,
        "both boots are remembered: {told:?}"
    );

    valve.open();
    for name in ["52-54-00-00-00-02", "52-54-00-00-00-03"] {
        let found = server(&client, name, |server| server.status.boot.is_some()).await;
        assert_eq!(found.status.bastion.as_deref(), Some("home-1"));
    }
    running.stop().await;

    // A machine that a person forgets stays forgotten until it is heard again.
    let servers = client.resource::<Server>();
    servers.delete("52-54-00-00-00-03", &Default::default()).await.expect("it is deleted");
    let running = start(&client, folder.path());
    let site = running.site().clone();
    knows_network(&site).await;
    Machine::new(4).boot(&site).await;
    server(&client, "52-54-00-00-00-04", |server| server.status.boot.is_some()).await;
    assert!(servers.get_opt("52-54-00-00-00-03").await.expect("it is asked for").is_none());
    Machine::new(3).boot(&site).await;
    server(&client, "52-54-00-00-00-03", |server| server.status.boot.is_some()).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_once_is_served_once() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, valve) = client::over_a_store(&folder.path().join("store"));
    client.resource::<Network>().create(&network(), &WriteParams::default()).await.expect("it is created");
    let running = start(&client, folder.path());
    let site = running.site().clone();
    knows_network(&site).await;
    let machine = Machine::new(1);
    machine.boot(&site).await;
    server(&client, "52-54-00-00-00-01", |server| server.status.boot.is_some()).await;
    let debug = Patch::Merge(json!({"spec": {"boot": {"once": "debug"}}}));
    let servers = client.resource::<Server>();
    servers.patch("52-54-00-00-00-01", &debug, &PatchParams::default()).await.expect("it is patched");
    eventually("the site knows the wish", async || {
        site.with(|known| known.server("52-54-00-00-00-01").is_some_and(|s| s.spec.boot.once.is_some()))
            .then_some(())
    })
    .await;
    // Whether labd knows of it or not.
    valve.shut();
    machine.boot(&site).await;
    assert!(machine.script(&site).await.contains("lab.mode=discovery"));
    valve.open();
    let served = server(&client, "52-54-00-00-00-01", lab_machine::sighting::once_is_spent).await;
    // Another change of the spec does not bring the wish back.
    let role = Patch::Merge(json!({"spec": {"role": "worker"}}));
    servers.patch("52-54-00-00-00-01", &role, &PatchParams::default()).await.expect("it is patched");
    let again = server(&client, "52-54-00-00-00-01", |server| {
        lab_machine::sighting::once_is_spent(server)
            && server.metadata.generation > served.metadata.generation
    })
    .await;
    assert_eq!(again.spec.boot.once, served.spec.boot.once);
    let cleared = Patch::Merge(json!({"spec": {"boot": {"once": null}}}));
    servers.patch("52-54-00-00-00-01", &cleared, &PatchParams::default()).await.expect("it is patched");
    eventually("the site knows that it is cleared", async || {
        site.with(|known| known.server("52-54-00-00-00-01").is_some_and(|s| s.spec.boot.once.is_none()))
            .then_some(())
    })
    .await;
    servers.patch("52-54-00-00-00-01", &debug, &PatchParams::default()).await.expect("it is patched");
    eventually("a later wish is granted", async || {
        machine.script(&site).await.contains("lab.mode=debug").then_some(())
    })
    .await;
    running.stop().await;
}

/// The events of a server's log until the text that is waited for.
async fn log_until(client: &Client, name: &str, text: &str) -> Vec<(String, Line)> {
    let read = tokio::time::timeout(Duration::from_secs(30), read_until(client, name, text));
    read.await.unwrap_or_else(|_| panic!("{text:?} was never told"))
}

async fn read_until(client: &Client, name: &str, text: &str) -> Vec<(String, Line)> {
    let path = format!("/apis/metal.lab/v1alpha1/servers/{name}/log?follow=true");
    let request = http::Request::get(path).body(bytes::Bytes::new()).expect("it is a request");
    let mut body = client.send("read the log", request).await.expect("it is answered").into_body();
    let (mut told, mut events) = (String::new(), Vec::new());
    loop {
        let frame =
            tokio::time::timeout(Duration::from_secs(20), http_body_util::BodyExt::frame(&mut body)).await;
        let frame = frame.expect("it comes in time").expect("it goes on").expect("it is whole");
        told.push_str(std::str::from_utf8(frame.data_ref().expect("it is data")).expect("it is text"));
        while let Some((event, rest)) = told.split_once("\n\n") {
            if let Some((name, line)) =
                event.strip_prefix("event: ").and_then(|event| event.split_once("\ndata: "))
            {
                events.push((name.to_owned(), serde_json::from_str(line).expect("it is a line")));
            }
            told = rest.to_owned();
        }
        if events.iter().any(|(_, line): &(String, Line)| line.text == text) {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_read_through_labd() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, valve) = client::over_a_store(&folder.path().join("store"));
    client.resource::<Network>().create(&network(), &WriteParams::default()).await.expect("it is created");
    let mut bastion = Bastion::default();
    bastion.metadata.name = Some("home-1".into());
    client.resource::<Bastion>().create(&bastion, &WriteParams::default()).await.expect("it is created");
    let running = start(&client, folder.path());
    let site = running.site().clone();
    knows_network(&site).await;
    let machine = Machine::new(1);
    let address = machine.boot(&site).await;
    let name = "52-54-00-00-00-01";
    server(&client, name, |server| server.status.bastion.is_some()).await;
    let says = |text: &str| {
        let message = Message { text: text.into(), ..Message::default() };
        site.log(address.into(), message);
    };
    says("hello");
    let events = log_until(&client, name, "hello").await;
    assert_eq!(events[0].0, "boot");
    assert_eq!(events[0].1.text, "PXE firmware sent DHCP discover");
    assert_eq!(events.last().map(|(name, line)| (name.as_str(), line.kind)), Some(("log", Kind::Log)));
    // Another run of labd has nothing, and is handed everything again.
    valve.another_run();
    let again = log_until(&client, name, "hello").await;
    assert_eq!(again, events);
    // What is said while labd is out of reach is told later, once.
    valve.shut();
    says("cut off");
    tokio::time::sleep(Duration::from_millis(700)).await;
    valve.open();
    let all = log_until(&client, name, "cut off").await;
    let texts: Vec<&str> = all.iter().map(|(_, line)| line.text.as_str()).collect();
    assert_eq!(texts.iter().filter(|text| **text == "hello").count(), 1, "{texts:?}");
    running.stop().await;
}
