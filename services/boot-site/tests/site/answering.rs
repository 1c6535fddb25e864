//! A distribution's installer: it is given its answers in the boot that is for it, and what it reports becomes the Server's status.

use crate::installing::{found, lab, phase, wish};
use crate::machine::Machine;
use lab_boot_site::Site;
use lab_client::{Client, ListParams, WriteParams};
use lab_kinds::Define;
use lab_kinds::iam::JoinToken;
use lab_kinds::metal::operating_system::{Artefact, Family, Method, OperatingSystem, Purpose, Repository};
use lab_kinds::metal::server::status::{Phase, StageOutcome};
use lab_netboot::files::{Asked, Files, Protocol, Taken};
use lab_netboot::syslog::{Message, Sink};
use lab_wire::site::DISCOVERY;
use serde_json::json;
use std::time::{Duration, Instant};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me@desk";

/// An operating system that a distribution's installer installs.
pub async fn with_installer(client: &Client, method: Method, family: Family) {
    let mut system = OperatingSystem::example();
    system.metadata.name = Some("theirs".into());
    (system.spec.method, system.spec.family) = (method, family);
    let artefact = |name: &str, purpose| Artefact {
        name: name.into(),
        purpose,
        url: "file:///nowhere".into(),
        checksum: format!("sha256:{}", "0".repeat(64)),
        size_bytes: None,
    };
    system.spec.artefacts = vec![artefact("k", Purpose::Kernel), artefact("i", Purpose::Initrd)];
    system.spec.repositories =
        vec![Repository { name: "main".into(), url: "http://mirror.lab.example/x".into() }];
    client.resource().create(&system, &WriteParams::default()).await.expect("it is created");
}

/// What the machine fetches.
pub async fn fetched(machine: Machine, site: &Site, path: &str) -> Option<String> {
    let address = site.with(|known| known.machine(machine.mac()).and_then(|machine| machine.address));
    let peer = (address.expect("it has one"), 1234).into();
    let content = site.open(&Asked { protocol: Protocol::Http, peer, path: path.into() }).await?;
    let bytes = content.read(0, 1_000_000).await.expect("it can be read");
    Some(String::from_utf8(bytes.to_vec()).expect("it is text"))
}

/// A machine whose plan for that operating system is approved; its hash.
pub async fn approved(client: &Client, machine: Machine, site: &Site) -> String {
    machine.boot(site).await;
    machine.says(site, DISCOVERY, &found()).await;
    phase(client, Phase::Discovered).await;
    wish(client, json!({"role": "worker", "install": {"operatingSystem": "theirs"}})).await;
    let planned = phase(client, Phase::Planned).await;
    let hash = planned.status.plan.and_then(|plan| plan.hash).expect("it can be approved");
    // Nothing is given before the plan is approved.
    machine.boot(site).await;
    assert_eq!(fetched(machine, site, &format!("answers/{}/preseed.cfg", machine.token(site))).await, None);
    wish(client, json!({"install": {"approve": hash}})).await;
    phase(client, Phase::Approved).await;
    machine.boot(site).await;
    hash
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installer_is_answered_and_heard() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, _, controllers, running) = lab(folder.path()).await;
    with_installer(&client, Method::Preseed, Family::Debian).await;
    let (site, machine) = (running.site().clone(), Machine::new(1));
    let hash = approved(&client, machine, &site).await;
    let token = machine.token(&site);
    let preseed =
        fetched(machine, &site, &format!("answers/{token}/preseed.cfg")).await.expect("it is given");
    assert!(
        preseed.contains(&hash) && preseed.contains("d-i partman-auto/expert_recipe string lab ::"),
        "{preseed}"
    );
    let late = fetched(machine, &site, &format!("answers/{token}/late.sh")).await.expect("it is given");
    assert!(late.contains(&format!("lab_token={token}\n")) && late.contains("lab_host=10.9.0.1\n"), "{late}");
    // There is no agent's executable, and so no token for one.
    assert!(
        late.contains("no agent is installed: the boot server has no ") && !late.contains("join-token"),
        "{late}"
    );
    let tokens = client.resource::<JoinToken>().list(&ListParams::default()).await.expect("they are listed");
    assert_eq!(tokens.items.len(), 0);
    for wrong in
        ["answers/other/preseed.cfg".to_owned(), format!("answers/{token}/ks.cfg"), "answers/".into()]
    {
        assert_eq!(fetched(machine, &site, &wrong).await, None, "{wrong}");
    }
    // Whoever reads the log does not learn the token.
    let told = site
        .with(|known| known.lines(machine.mac()).iter().map(|line| line.text.clone()).collect::<String>());
    assert!(!told.contains(&format!("answers/{token}")), "{told}");

    let stage = async |stage: serde_json::Value| machine.says(&site, "/stage/", &stage).await;
    assert_eq!(stage(json!({"stage": "partition"})).await, Taken::Done);
    let seen = phase(&client, Phase::Installing).await;
    assert_eq!((seen.status.stage.as_deref(), seen.status.percent), (Some("partition"), Some(6)));
    // Only the plan that it was given its answers for is carried out.
    stage(json!({"stage": "finished", "outcome": "done", "message": "sha256:bb"})).await;
    stage(json!({"stage": "finished", "outcome": "done", "message": hash})).await;
    let seen = phase(&client, Phase::Installed).await;
    let install = seen.status.install.expect("it is installed");
    assert_eq!((install.plan, install.operating_system.as_str()), (hash, "theirs"));
    machine.boot(&site).await;
    assert!(machine.script(&site).await.contains("exit"), "it is sent to its disk");
    controllers.stop().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_needs_a_person_and_is_answered_no_more() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, _, controllers, running) = lab(folder.path()).await;
    with_installer(&client, Method::Preseed, Family::Debian).await;
    let (site, machine) = (running.site().clone(), Machine::new(1));
    approved(&client, machine, &site).await;
    let path = format!("answers/{}/preseed.cfg", machine.token(&site));
    assert!(fetched(machine, &site, &path).await.is_some());
    let address = site.with(|known| known.machine(machine.mac()).and_then(|machine| machine.address));
    let line = b"<12>Nov 21 20:00:00 main-menu[287]: WARNING **: Menu item 'partman-base' failed.";
    site.log(address.expect("it has one").into(), Message::parse(line));
    let seen = phase(&client, Phase::Failed).await;
    assert!(seen.status.message.unwrap_or_default().contains("step partman-base failed"));
    // The site learns of it when everybody does.
    let until = Instant::now() + Duration::from_secs(10);
    while fetched(machine, &site, &path).await.is_some() {
        assert!(Instant::now() < until, "it is answered still");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    controllers.stop().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subiquity_reports_by_itself() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, _, controllers, running) = lab(folder.path()).await;
    with_installer(&client, Method::Autoinstall, Family::Ubuntu).await;
    let (site, machine) = (running.site().clone(), Machine::new(1));
    approved(&client, machine, &site).await;
    let token = machine.token(&site);
    assert!(machine.script(&site).await.contains("ds=nocloud;s=http://10.9.0.1/answers/"));
    let token = if machine.token(&site) == token { token } else { machine.token(&site) };
    assert!(fetched(machine, &site, &format!("answers/{token}/user-data")).await.is_some());
    let event = json!({
        "origin": "curtin", "timestamp": 1.5, "level": "INFO", "event_type": "start",
        "name": "cmd-install/stage-extract", "description": "writing install sources to disk",
    });
    assert_eq!(machine.says(&site, "/webhook/", &event).await, Taken::Done);
    let seen = phase(&client, Phase::Installing).await;
    assert_eq!((seen.status.stage.as_deref(), seen.status.percent), (Some("extract"), Some(15)));
    let event = json!({"event_type": "finish", "name": "subiquity/Network", "description": "no link", "result": "FAIL"});
    assert_eq!(machine.says(&site, "/webhook/", &event).await, Taken::Done);
    let line = site.with(|known| known.lines(machine.mac()).last().cloned()).expect("it was noted");
    assert_eq!((line.severity, line.text.contains("no link")), (3, true));
    assert_eq!(machine.says(&site, "/webhook/", &json!([])).await, Taken::Malformed);
    let ended = stage_of(&client).await;
    assert_eq!(ended, None);
    controllers.stop().await;
    running.stop().await;
}

/// How the machine's stage ended that is under way.
async fn stage_of(client: &Client) -> Option<StageOutcome> {
    let seen = phase(client, Phase::Installing).await;
    seen.status.stages.iter().find(|stage| stage.name == "extract").and_then(|stage| stage.outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_boot_medium_says_of_the_address_stays() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, _, controllers, running) = lab(folder.path()).await;
    with_installer(&client, Method::Kickstart, Family::Fedora).await;
    let (site, machine) = (running.site().clone(), Machine::new(1));
    approved(&client, machine, &site).await;
    let kickstart = async || {
        let path = format!("answers/{}/ks.cfg", machine.token(&site));
        fetched(machine, &site, &path).await.expect("it is given")
    };
    assert!(kickstart().await.contains("\nnetwork --device=bootif --bootproto=dhcp --onboot=yes"));
    let medium = format!("boot/{}/{}/static-efi.ipxe", machine.mac().dashed(), machine.uuid());
    let script = fetched(machine, &site, &medium).await.expect("it is given");
    assert!(script.contains(" ip=10.9.0.50::"), "{script}");
    let text = kickstart().await;
    assert!(text.contains("--bootproto=static --ip=10.9.0.50 --netmask=255.255.255.0"), "{text}");
    machine.boot(&site).await;
    assert!(kickstart().await.contains("--bootproto=dhcp"));
    controllers.stop().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anacondas_rescue_is_told_who_may_log_in() {
    let folder = tempfile::tempdir().expect("there is room");
    let (client, _, controllers, running) = lab(folder.path()).await;
    with_installer(&client, Method::Kickstart, Family::Fedora).await;
    let (site, machine) = (running.site().clone(), Machine::new(1));
    approved(&client, machine, &site).await;
    wish(&client, json!({"boot": {"once": "debug"}, "admin": {"authorizedKeys": [KEY]}})).await;
    crate::eventually("the site knows the wish", async || {
        let known =
            site.with(|known| known.server("52-54-00-00-00-01").and_then(|server| server.spec.boot.once));
        known.map(|_| ())
    })
    .await;
    machine.boot(&site).await;
    let token = machine.token(&site);
    let rescue = fetched(machine, &site, &format!("answers/{token}/rescue.cfg")).await.expect("it is given");
    assert!(rescue.contains(&format!("sshpw --username=root --sshkey '{KEY}'\n")), "{rescue}");
    let shell = fetched(machine, &site, &format!("answers/{token}/shell.sh")).await.expect("it is given");
    assert!(shell.contains(&format!("lab_token={token}\n")), "{shell}");
    // It was given once: the next boot is the installation's.
    machine.boot(&site).await;
    let token = machine.token(&site);
    assert_eq!(fetched(machine, &site, &format!("answers/{token}/rescue.cfg")).await, None);
    assert!(fetched(machine, &site, &format!("answers/{token}/ks.cfg")).await.is_some());
    controllers.stop().await;
    running.stop().await;
}
