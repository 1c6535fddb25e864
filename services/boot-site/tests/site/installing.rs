//! From discovery to an installed machine, with the controllers that make plans, and without the machine's disks.

use crate::client::{self, Valve};
use crate::machine::Machine;
use crate::{eventually, knows_network, network, server, start};
use lab_boot_site::{Running, Site};
use lab_client::{Client, ListParams, Patch, PatchParams, WriteParams};
use lab_controllers::Controllers;
use lab_kinds::Define;
use lab_kinds::core::{Event, Namespace};
use lab_kinds::iam::JoinToken;
use lab_kinds::metal::operating_system::OperatingSystem;
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_kinds::metal::server::status::{Phase, StageOutcome};
use lab_kinds::metal::server::{Disk, Stage};
use lab_kinds::metal::{DiskLayout, Network, Server};
use lab_netboot::files::Taken;
use lab_object::Json;
use lab_wire::site::{DISCOVERY, Discovery, Orders, PROGRESS, Progress, WIPE};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::Path;

pub const NAME: &str = "52-54-00-00-00-01";

/// A labd with a layout, an operating system whose image lies in the folder, controllers, and a site that knows all of it.
pub async fn lab(folder: &Path) -> (Client, Valve, Controllers, Running) {
    let (client, valve) = client::over_a_store(&folder.join("store"));
    let mut system = OperatingSystem::example();
    let image = folder.join("root.tar.zst");
    std::fs::write(&image, "image").expect("there is room");
    system.spec.artefacts[0].url = format!("file://{}", image.display());
    system.spec.artefacts[0].checksum = format!("sha256:{}", digits("image"));
    let new = WriteParams::default();
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some("default".into());
    client.resource::<Namespace>().create(&namespace, &new).await.expect("it is created");
    client.resource::<Network>().create(&network(), &new).await.expect("it is created");
    client.resource::<DiskLayout>().create(&DiskLayout::labvg(), &new).await.expect("it is created");
    client.resource().create(&system, &new).await.expect("it is created");
    let options = lab_controllers::Options { keep_events: jiff::SignedDuration::from_hours(1), seed: 3 };
    let controllers = lab_controllers::start(&client, &lab_kinds::registry(), &options);
    let running = start(&client, folder);
    knows_network(running.site()).await;
    (client, valve, controllers, running)
}

fn digits(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn found() -> Discovery {
    let mut found = Discovery { uuid: Some(Machine::new(1).uuid()), ..Discovery::default() };
    found.hardware = Server::example().status.hardware;
    found.hardware.firmware.kind = Some(FirmwareType::Uefi);
    let blank = Disk { contents: Default::default(), ..Server::example().status.disks[0].clone() };
    found.disks = vec![blank];
    found
}

fn answered(taken: Taken) -> Orders {
    let Taken::Answered(json) = taken else { panic!("{taken:?}") };
    serde_json::from_slice(&json).expect("they are orders")
}

pub async fn wish(client: &Client, spec: Json) -> Server {
    let patch = Patch::Merge(json!({"spec": spec}));
    client.resource().patch(NAME, &patch, &PatchParams::default()).await.expect("it is patched")
}

pub async fn phase(client: &Client, phase: Phase) -> Server {
    server(client, NAME, |server| server.status.phase == Some(phase)).await
}

/// Waits until a machine is told to install something.
async fn told_to_install(machine: Machine, site: &Site) -> Box<lab_wire::site::Installation> {
    eventually("it is told to install", async || match machine.orders(site).await {
        Orders::Install(installation) => Some(installation),
        _ => None,
    })
    .await
}

fn progress(plan: &str, stage: &str, outcome: Option<StageOutcome>, percent: i32) -> Progress {
    let message = (outcome == Some(StageOutcome::Failed)).then(|| "the disk refused".into());
    let stage = Stage { name: stage.into(), outcome, message, ..Stage::default() };
    Progress { plan: plan.into(), stage, percent, ..Progress::default() }
}

/// A machine that was discovered, with an approved plan; its hash.
async fn approved(client: &Client, machine: Machine, site: &Site) -> String {
    machine.boot(site).await;
    assert!(matches!(machine.orders(site).await, Orders::Discover | Orders::Wait { .. }));
    answered(machine.says(site, DISCOVERY, &found()).await);
    let seen = phase(client, Phase::Discovered).await;
    assert_eq!((seen.status.disks.len(), &seen.status.hardware), (1, &found().hardware));
    wish(client, json!({"role": "worker", "install": {"operatingSystem": "debian-13"}})).await;
    let planned = phase(client, Phase::Planned).await;
    let hash = planned.status.plan.and_then(|plan| plan.hash).expect("it can be approved");
    wish(client, json!({"install": {"approve": hash}})).await;
    phase(client, Phase::Approved).await;
    hash
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_discovery_to_the_local_disk() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, valve, controllers, running) = lab(folder.path()).await;
    let (site, machine) = (running.site().clone(), Machine::new(1));
    let hash = approved(&client, machine, &site).await;
    let installation = told_to_install(machine, &site).await;
    assert_eq!(installation.plan.hash.as_ref(), Some(&hash));
    assert!(installation.image.starts_with("/artefacts/"), "{}", installation.image);
    // The agent of the installed system finds labd, and a token that is good for this machine, of which labd knows the hash only.
    let agent = installation.agent.as_ref().expect("it is to join");
    assert_eq!((agent.server.as_str(), agent.ca_hash.as_str()), ("https://10.9.0.1:6443", "sha256:aa"));
    assert_eq!(
        told_to_install(machine, &site).await.agent,
        installation.agent,
        "asked again, it is the same"
    );
    let token = eventually("labd knows the token", async || {
        client.resource::<JoinToken>().list(&ListParams::default()).await.ok()?.items.pop()
    })
    .await;
    assert_eq!((token.spec.server.as_deref(), token.spec.uses), (Some(NAME), 1));
    assert_eq!(token.spec.token_hash, Some(format!("sha256:{}", digits(&agent.token))));
    let says = async |progress: Progress| machine.says(&site, PROGRESS, &progress).await;
    assert_eq!(says(progress(&hash, "check", None, 1)).await, Taken::Done);
    let seen = phase(&client, Phase::Installing).await;
    assert_eq!((seen.status.stage.as_deref(), seen.status.percent), (Some("check"), Some(1)));

    // From here on labd is away; a machine that is installed is not installed once more.
    valve.shut();
    let before = valve.writes();
    for percent in 2..100 {
        assert_eq!(says(progress(&hash, "unpack", None, percent)).await, Taken::Done);
    }
    let end = progress(&hash, "unmount", Some(StageOutcome::Done), 100);
    assert_eq!(says(end.clone()).await, Taken::Done);
    assert_eq!(says(Progress { finished: true, ..end }).await, Taken::Done);
    assert_eq!(answered(machine.says(&site, DISCOVERY, &found()).await), Orders::Reboot);
    machine.boot(&site).await;
    assert!(machine.script(&site).await.contains("exit"), "it is sent to its disk");
    valve.open();
    let seen = phase(&client, Phase::Installed).await;
    let install = seen.status.install.as_ref().expect("it is installed");
    assert_eq!((&install.plan, install.operating_system.as_str()), (&hash, "debian-13"));
    assert!(install.finished.is_some());
    assert_eq!((seen.status.percent, seen.status.stage.as_deref()), (Some(100), None));
    let writes = valve.writes() - before;
    assert!(writes < 30, "{writes} writes for a hundred words about progress");
    // The same plan stands, as what was carried out.
    assert_eq!(seen.status.plan.and_then(|plan| plan.hash), Some(hash));
    controllers.stop().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_tried_again_until_a_person_has_to_look() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, _, controllers, running) = lab(folder.path()).await;
    let (site, machine) = (running.site().clone(), Machine::new(1));
    let hash = approved(&client, machine, &site).await;
    for _ in 0..lab_machine::orders::TRIES {
        told_to_install(machine, &site).await;
        for said in [None, Some(StageOutcome::Failed)] {
            assert_eq!(
                machine.says(&site, PROGRESS, &progress(&hash, "partition", said, 7)).await,
                Taken::Done
            );
        }
    }
    let Orders::Wait { why, .. } = machine.orders(&site).await else { panic!("it goes on") };
    assert!(why.contains("failed 3 times"), "{why}");
    let seen = phase(&client, Phase::Failed).await;
    assert_eq!(seen.status.message.as_deref(), Some("the disk refused"));
    // The next boot begins again.
    machine.boot(&site).await;
    answered(machine.says(&site, DISCOVERY, &found()).await);
    told_to_install(machine, &site).await;
    // Another disk has another plan, which has to be approved.
    let mut other = found();
    other.disks[0].size_bytes *= 2;
    machine.says(&site, DISCOVERY, &other).await;
    let seen = phase(&client, Phase::Planned).await;
    assert_ne!(seen.status.plan.and_then(|plan| plan.hash), Some(hash));
    controllers.stop().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_is_wiped_before_it_goes() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, _, controllers, running) = lab(folder.path()).await;
    let (site, machine) = (running.site().clone(), Machine::new(1));
    machine.boot(&site).await;
    answered(machine.says(&site, DISCOVERY, &found()).await);
    phase(&client, Phase::Discovered).await;
    wish(&client, json!({"whenDeleted": "wipe"})).await;
    server(&client, NAME, |server| !server.metadata.finalizers.is_empty()).await;
    let servers = client.resource::<Server>();
    servers.delete(NAME, &Default::default()).await.expect("it is deleted");
    let wiping = eventually("it is told to wipe", async || match machine.orders(&site).await {
        Orders::Wipe(wiping) => Some(wiping),
        _ => None,
    })
    .await;
    let disk = &wiping.disks[0];
    assert_eq!(disk.serial, found().disks[0].serial);
    let said = |outcome, finished| {
        let mut progress = progress(WIPE, &format!("wipe-{}", disk.name), outcome, 100);
        progress.stage.message = outcome.map(|_| "disk sda: overwritten with zeros".into());
        Progress { finished, ..progress }
    };
    for progress in
        [said(None, false), said(Some(StageOutcome::Done), false), said(Some(StageOutcome::Done), true)]
    {
        assert_eq!(machine.says(&site, PROGRESS, &progress).await, Taken::Done);
    }
    assert_eq!(machine.orders(&site).await, Orders::PowerOff);
    eventually("it is gone", async || servers.get_opt(NAME).await.ok()?.is_none().then_some(())).await;
    let events =
        client.namespaced::<Event>("default").list(&ListParams::default()).await.expect("they are listed");
    let told =
        events.items.iter().find(|event| event.reason == "DisksWiped").map(|event| event.message.as_str());
    assert_eq!(told, Some("disk sda: overwritten with zeros"));
    controllers.stop().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_understood_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().expect("there is room");
    let (_client, _, controllers, running) = lab(folder.path()).await;
    let (site, machine) = (running.site().clone(), Machine::new(1));
    machine.boot(&site).await;
    let check = async |kind: &str, what: Json, expected: &str| match machine.says(&site, kind, &what).await {
        Taken::Invalid(why) => assert!(why.contains(expected), "{why:?} does not contain {expected:?}"),
        other => panic!("{what}: {other:?}"),
    };
    check(DISCOVERY, json!([]), "not understood").await;
    check(DISCOVERY, json!({"disks": [{"name": 7}]}), "not understood").await;
    let disk = serde_json::to_value(&found().disks[0]).expect("it is JSON");
    check(DISCOVERY, json!({"disks": vec![disk; 2000]}), "at most 1024").await;
    check(PROGRESS, json!({"plan": "p"}), "not understood").await;
    check(PROGRESS, json!({"plan": "p", "stage": {"name": "a b"}, "percent": 1}), "stage.name").await;
    check(
        PROGRESS,
        json!({"plan": "p", "stage": {"name": "a"}, "percent": 1}),
        "not told to carry out \"p\"",
    )
    .await;
    // The token of the boot before is worth nothing.
    let old = machine.token(&site);
    machine.boot(&site).await;
    assert_eq!(site.redeem(&old), None);
    controllers.stop().await;
    running.stop().await;
}
