//! Agents' tunnels: whose they are, what Servers say of them, what flows through them, and agents that mean harm.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab;

use lab::{Agent, Answer, IAM, Lab, SERVERS};
use lab_api_server::Caller;
use lab_object::Json;
use lab_wire::{
    agent::TUNNEL,
    stream::{Ended, Frame, PROTOCOL},
};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[track_caller]
fn refused(answer: Answer, code: u16, words: &str) {
    match answer {
        Answer::Refused(found, why) => assert!(found == code && why.contains(words), "{found}: {why}"),
        Answer::Upgraded(_) => panic!("it was given, and not refused with {code}"),
    }
}

/// Says something to a machine and hears its echo.
async fn talk(answer: Answer) {
    let Answer::Upgraded(mut stream) = answer else {
        let Answer::Refused(code, why) = answer else { unreachable!() };
        panic!("{code} {why}");
    };
    let said = Frame::Input(b"hello").to_bytes();
    stream.write_all(&said).await.unwrap();
    let mut heard = Vec::new();
    let all = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut heard)).await;
    all.expect("the stream ends").unwrap();
    let mut expected = Frame::Output(&said).to_bytes();
    Frame::Ended(Ended::Code(0)).write(&mut expected);
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn a_tunnel_is_the_machines_own() {
    let lab = Lab::new().await;
    let path = |name: &str| format!("{SERVERS}/{name}/tunnel");
    let own = lab.agent_of("a").await;
    refused(lab.ask(own.clone(), &path("b"), TUNNEL).await, 404, "not found");
    refused(lab.ask(own.clone(), &path("a"), "").await, 400, "Upgrade: lab-tunnel.v1");
    refused(lab.ask(own.clone(), &path("a"), "websocket").await, 400, "Upgrade: lab-tunnel.v1");
    let words = "only the agent of this server";
    refused(lab.ask(Caller::internal("test"), &path("a"), TUNNEL).await, 403, words);
    refused(lab.ask(Caller::new("dev-admin", [""; 0]), &path("a"), TUNNEL).await, 403, words);
    // A name that looks like an agent's is none without the group.
    let uid = own.user.clone();
    refused(lab.ask(Caller::new(uid, ["system:masters"]), &path("a"), TUNNEL).await, 403, words);
    refused(lab.ask(Caller::anonymous(None), &path("a"), TUNNEL).await, 401, "Unauthorized");
    assert!(!lab.is_online("a").await);
}

#[tokio::test]
async fn heartbeats_write_nothing() {
    let lab = Lab::new().await;
    let agent = lab.agent("a").await;
    let before = lab.get("a").await;
    assert_eq!(before["status"]["agent"]["version"], "1.2.3");
    assert_eq!(before["status"]["agent"]["online"], true);
    for uptime in 1..5 {
        agent.report(json!({"system": {"agent": "1.2.3"}, "load": {"uptimeSeconds": uptime}})).await;
    }
    lab.until("the last one is heard", || async {
        let presence = lab.root("GET", &format!("{SERVERS}/a/agent"), Json::Null).await;
        presence["report"]["load"]["uptimeSeconds"] == 4
    })
    .await;
    assert_eq!(lab.get("a").await, before);
    // What changed is news.
    agent.report(json!({"system": {"agent": "1.2.4", "hostname": "db-1", "addresses": ["10.0.0.7"]}})).await;
    lab.until("the news are written", || async {
        let server = lab.get("a").await;
        server["status"]["agent"]["version"] == "1.2.4"
            && server["status"]["addresses"] == json!(["10.0.0.7"])
    })
    .await;
    // One that is forgotten is let go with the next heartbeat.
    lab.root("DELETE", &format!("{SERVERS}/a"), Json::Null).await;
    agent.report(json!({"system": {"agent": "1.2.4"}})).await;
    tokio::time::timeout(Duration::from_secs(20), agent.over).await.unwrap().unwrap();
}

#[tokio::test]
async fn streams_go_to_the_machine_and_by_permission() {
    let lab = Lab::new().await;
    refused(lab.exec("dev-admin", "a").await, 503, "is not connected");
    let _agent = lab.agent("a").await;
    let _other = lab.agent("p").await;
    talk(lab.exec("dev-admin", "a").await).await;
    refused(lab.exec("dev-admin", "p").await, 404, "not found");
    refused(lab.exec("dev-apply", "a").await, 403, "admin");
    refused(lab.exec("nobody", "a").await, 403, "admin");
    let own = lab.agent_of("a").await;
    refused(lab.ask(own, &format!("{SERVERS}/a/exec?command=id"), PROTOCOL).await, 403, "machine's identity");
    let ask = |query: &'static str| lab.ask(Caller::new("dev-admin", [""; 0]), query, PROTOCOL);
    refused(ask("/apis/metal.lab/v1alpha1/servers/a/exec").await, 400, "command");
    refused(ask("/apis/metal.lab/v1alpha1/servers/a/portforward?port=0").await, 400, "port");
    talk(ask("/apis/metal.lab/v1alpha1/servers/a/portforward?port=22").await).await;
}

#[tokio::test]
async fn a_stream_ends_with_the_permission_to_it() {
    let lab = Lab::new().await;
    let _agent = lab.agent("a").await;
    let Answer::Upgraded(mut stream) = lab.exec("dev-admin", "a").await else { panic!("it is refused") };
    lab.root("DELETE", &format!("{IAM}/rolebindings/dev-admin"), Json::Null).await;
    let end = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut Vec::new())).await;
    assert!(end.is_ok(), "it goes on");
    refused(lab.exec("dev-admin", "a").await, 403, "admin");
}

#[tokio::test]
async fn the_newer_tunnel_of_a_machine_counts() {
    let lab = Lab::new().await;
    let older = lab.agent("a").await;
    let _newer = lab.agent("a").await;
    tokio::time::timeout(Duration::from_secs(20), older.over).await.unwrap().unwrap();
    talk(lab.exec("dev-admin", "a").await).await;
    assert_eq!(lab.get("a").await["status"]["agent"]["online"], true);
}

/// Whatever an agent sends, its own tunnel ends, and another's goes on.
#[tokio::test]
async fn harm_is_its_own() {
    let lab = Lab::new().await;
    let _good = lab.agent("b").await;
    // The preface and an empty SETTINGS of HTTP/2, so that what follows is looked at.
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let noise: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let frame = |length: u32, kind: u8, stream: u32, payload: &[u8]| {
        let head = [&length.to_be_bytes()[1..], &[kind, 4], &stream.to_be_bytes()].concat();
        [&SETTINGS[..], &head, payload].concat()
    };
    for (what, bytes) in [
        ("noise", noise.clone()),
        ("a frame of 16 MiB", frame(0x00ff_ffff, 0, 1, &noise)),
        ("data on a stream that nobody opened", frame(5, 0, 99, b"hello")),
        ("the head of a request", frame(4, 1, 2, b"\x82\x86\x84\x41")),
        ("a window beyond all measure", frame(4, 8, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ("text", b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
    ] {
        let mut tunnel = lab.tunnel("a").await;
        // It may be cut off while it still writes.
        let _ = tunnel.write_all(&bytes).await;
        let ended = tokio::time::timeout(Duration::from_secs(20), tunnel.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{what}: its tunnel is kept");
        talk(lab.exec("dev-admin", "b").await).await;
    }
}

#[tokio::test]
async fn reports_are_bounded() {
    let lab = Lab::new().await;
    let _good = lab.agent("b").await;
    for (what, report) in [
        ("no JSON", "hello\n".to_owned()),
        ("another shape", "{\"system\": 7}\n".to_owned()),
        ("no end", "x".repeat(lab_wire::agent::MAX_REPORT + 100_000)),
    ] {
        let agent = Agent::on(lab.tunnel("a").await);
        agent.send(report).await;
        let over = tokio::time::timeout(Duration::from_secs(20), agent.over).await;
        assert!(over.is_ok(), "{what}: its tunnel is kept");
    }
    // Of long texts and lists only the beginning is kept; more than a few a second are left waiting.
    let agent = lab.agent("a").await;
    let many = vec![json!({"mountedAt": "x".repeat(5000)}); 200];
    agent.report(json!({"system": {"agent": "9".repeat(5000)}, "load": {"fileSystems": many}})).await;
    lab.until("it is heard", || async {
        let found = lab.root("GET", &format!("{SERVERS}/a/agent"), Json::Null).await["report"].clone();
        let systems = found["load"]["fileSystems"].as_array().map_or(0, Vec::len);
        let version = found["system"]["agent"].as_str().map_or(0, str::len);
        (systems, version) == (64, 256)
    })
    .await;
    let began = std::time::Instant::now();
    for uptime in 1..=10 {
        agent.report(json!({"system": {"agent": "1"}, "load": {"uptimeSeconds": uptime}})).await;
    }
    lab.until("the last one is heard", || async {
        let presence = lab.root("GET", &format!("{SERVERS}/a/agent"), Json::Null).await;
        presence["report"]["load"]["uptimeSeconds"] == 10
    })
    .await;
    assert!(began.elapsed() > Duration::from_millis(1500), "they are taken as they come");
    talk(lab.exec("dev-admin", "b").await).await;
}
