//! The audit trail of a labd that was told to keep little of it.

use crate::daemon::Daemon;
use bytes::Bytes;
use http_body_util::BodyExt;
use lab_audit::{Report, Verifier};
use lab_client::{Client, WriteParams};
use lab_kinds::core::ConfigMap;
use lab_object::{Json, ObjectMeta};
use std::fs;

/// The whole trail.
async fn exported(client: &Client) -> Vec<u8> {
    let request = http::Request::get("/audit").body(Bytes::new()).expect("a request");
    let body = client.send("read", request).await.expect("an answer").into_body();
    body.collect().await.expect("a body").to_bytes().to_vec()
}

fn verify(trail: &[u8]) -> Report {
    Verifier::new(None).read(trail).expect("it is in memory")
}

#[tokio::test]
async fn old_segments_go_and_what_is_left_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (data, config) = (dir.path().join("data"), dir.path().join("labd.toml"));
    fs::write(&config, "[audit]\nsegment-size = \"16Ki\"\nkeep-size = \"64Ki\"\n").unwrap();
    let arguments = ["--config", config.to_str().unwrap()];
    let daemon = Daemon::start_with(&data, &arguments);
    let client = daemon.client();
    for number in 0..250 {
        let metadata = ObjectMeta { name: Some(format!("map-{number}")), ..ObjectMeta::default() };
        let map = ConfigMap { metadata, ..ConfigMap::default() };
        client.namespaced("default").create(&map, &WriteParams::default()).await.expect("it is created");
        // Whoever reads has what was noted written down; otherwise much is written at once, into one segment.
        if number % 20 == 0 {
            exported(&client).await;
        }
    }
    let before = verify(&exported(&client).await);
    assert_eq!((before.first, &before.problems), (Some(1), &vec![]), "nothing goes at once");
    daemon.stop().await;
    let segments = || fs::read_dir(data.join("audit")).unwrap().count();
    assert!(segments() > 6, "{}", segments());

    let mut daemon = Daemon::start_with(&data, &arguments);
    daemon.wait_for("old entries of the audit trail are removed");
    assert!(segments() <= 6, "{}", segments());
    let trail = exported(&daemon.client()).await;
    let after = verify(&trail);
    let first = after.first.expect("entries are left");
    assert!(first > 1 && after.last > before.last && after.problems.is_empty(), "{after:?}");
    // It says itself what went, and by which hash it is known.
    let entries = trail.split(|byte| *byte == b'\n').filter_map(|l| serde_json::from_slice::<Json>(l).ok());
    let said: Vec<_> = entries.filter(|entry| entry["verb"] == "prune").collect();
    let [said] = said.as_slice() else { panic!("{said:?}") };
    let hash = after.follows.expect("it follows another line");
    let last = first - 1;
    let expected =
        format!("entries 1 to {last} are removed, as they need not be kept; the hash of the last is {hash}");
    assert_eq!((said["note"].as_str(), &said["user"]["name"]), (Some(&*expected), &"system:labd".into()));
    // Reading by name goes on: what went is not found, what stays is.
    let read = async |sequence: u64| {
        let path = format!("/apis/audit.lab/v1alpha1/auditentries/{sequence}");
        daemon.client().get_json::<Json>(&path).await.is_ok()
    };
    assert!(!read(last).await && read(first).await);
    daemon.stop().await;
    // What is left is gone on with.
    let daemon = Daemon::start_with(&data, &arguments);
    let again = verify(&exported(&daemon.client()).await);
    assert!(again.problems.is_empty() && again.last > after.last, "{again:?}");
}
