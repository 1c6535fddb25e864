//! What is secret is nowhere to be read but in the answers to who may: not on disk, not in backups, logs, figures or the
//! audit trail.

use crate::daemon::{Daemon, eventually, run};
use bytes::Bytes;
use http_body_util::BodyExt;
use lab_client::{Client, WriteParams};
use lab_kinds::core::{ConfigMap, Secret};
use lab_object::ObjectMeta;
use lab_store::{Embedded, Expect, Store, Value, Write};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const SECRET: &str = "marked-secret-that-nobody-may-find";
/// Its base64, as Secrets have it.
const ENCODED: &str = "bWFya2VkLXNlY3JldC10aGF0LW5vYm9keS1tYXktZmluZA==";
const PLAIN: &str = "nothing-worth-hiding";

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() }
}

/// Creates a Secret, and beside it a ConfigMap that anybody may find.
async fn create(client: &Client) {
    let data = BTreeMap::from([("password".to_owned(), ENCODED.to_owned())]);
    let secret = Secret { metadata: metadata("marked"), data, ..Secret::default() };
    client.namespaced("default").create(&secret, &WriteParams::default()).await.expect("it is created");
    let data = BTreeMap::from([("text".to_owned(), PLAIN.to_owned())]);
    let map = ConfigMap { metadata: metadata("open"), data, ..ConfigMap::default() };
    client.namespaced("default").create(&map, &WriteParams::default()).await.expect("it is created");
}

async fn password(client: &Client) -> Option<String> {
    let secret = client.namespaced::<Secret>("default").get("marked").await.ok()?;
    secret.data.get("password").cloned()
}

/// The files beneath a path in which a text stands.
fn found(path: &Path, text: &str) -> Vec<PathBuf> {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a directory");
        return entries.flat_map(|entry| found(&entry.expect("an entry").path(), text)).collect();
    }
    let bytes = fs::read(path).expect("a file");
    let stands = bytes.windows(text.len()).any(|window| window == text.as_bytes());
    if stands { vec![path.to_owned()] } else { Vec::new() }
}

fn check_hidden(path: &Path) {
    for text in [SECRET, ENCODED] {
        assert_eq!(found(path, text), Vec::<PathBuf>::new(), "{text}");
    }
    // Whoever finds nothing at all has not looked.
    assert!(!found(path, PLAIN).is_empty(), "{}", path.display());
}

async fn get(client: &Client, path: &str) -> String {
    let request = http::Request::get(path).body(Bytes::new()).expect("a request");
    let body = client.send("read", request).await.expect("an answer").into_body();
    String::from_utf8_lossy(&body.collect().await.expect("a body").to_bytes()).into_owned()
}

#[tokio::test]
async fn a_secret_is_nowhere_to_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let (data, backup) = (dir.path().join("data"), dir.path().join("lab.backup"));
    let daemon = Daemon::start_with(&data, &["--log", "trace"]);
    let client = daemon.client();
    create(&client).await;
    // One that is refused, and one that is no JSON, are not told either.
    for body in [format!(r#"{{"metadata":{{"name":"x"}},"data":{{"a":"{SECRET}"}}}}"#), SECRET.to_owned()] {
        let request = http::Request::post("/api/v1/namespaces/default/secrets")
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .unwrap();
        assert!(client.send("write", request).await.is_err());
    }
    assert_eq!(password(&client).await.as_deref(), Some(ENCODED));
    for path in ["/metrics", "/audit", "/readyz?verbose"] {
        let text = get(&client, path).await;
        assert!(!text.contains(SECRET) && !text.contains(ENCODED), "{path}");
    }
    check_hidden(&data);
    let output = run(&["backup", "--data-dir", data.to_str().unwrap(), "-o", backup.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    check_hidden(&backup);
    assert_eq!(found(&backup, "PRIVATE KEY"), Vec::<PathBuf>::new());
    let ended = daemon.stop().await;
    check_hidden(&data);
    assert!(ended.log.iter().any(|line| line.contains("TRACE")), "everything is logged");
    let told: Vec<_> = ended.log.iter().filter(|l| l.contains(SECRET) || l.contains(ENCODED)).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[tokio::test]
async fn keys_are_rotated_and_backups_need_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let mut daemon = Daemon::start(Path::new(&path("data")));
    create(&daemon.client()).await;
    let output = run(&["backup", "--data-dir", &path("data"), "-o", &path("lab.backup")]);
    assert!(output.status.success(), "{output:?}");
    let output = run(&["rotate-key", "--data-dir", &path("data")]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("/keys/0002.key with key "), "{said}");
    daemon.wait_for("every secret is encrypted with the newest key");
    daemon.wait_for("this key's file can go");
    fs::create_dir(path("safe")).unwrap();
    fs::rename(path("data/keys/0001.key"), path("safe/0001.key")).unwrap();
    daemon.stop().await;
    check_hidden(Path::new(&path("data")));
    let daemon = Daemon::start(Path::new(&path("data")));
    assert_eq!(password(&daemon.client()).await.as_deref(), Some(ENCODED));
    drop(daemon);

    // The backup is of before, and opens with the first key only.
    let restore = |arguments: &[&str]| {
        let (file, new) = (path("lab.backup"), path("new"));
        let all = [&["restore", &file, "--data-dir", &new], arguments].concat();
        let output = run(&all);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = restore(&[]);
    assert!(code == Some(1) && said.contains("it is encrypted with key "), "{said}");
    let (code, said) = restore(&["--keys-from", &path("data/keys")]);
    assert!(code == Some(1) && said.contains("which is not here"), "{said}");
    assert!(!Path::new(&path("new")).exists());
    let (code, said) = restore(&["--keys-from", &path("safe")]);
    assert_eq!(code, Some(0), "{said}");
    check_hidden(Path::new(&path("new")));
    let restored = Daemon::start(Path::new(&path("new")));
    assert_eq!(password(&restored.client()).await.as_deref(), Some(ENCODED));
    drop(restored);

    // Without its keys nothing is lost, but nothing is read either.
    fs::rename(path("new/keys"), path("elsewhere")).unwrap();
    let output = run(&["--data-dir", &path("new"), "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("which is not here; put that key's file back"),
        "{said}"
    );
    let found = Daemon::start_with(Path::new(&path("new")), &["--keys", &path("elsewhere")]);
    assert_eq!(password(&found.client()).await.as_deref(), Some(ENCODED));
}

#[tokio::test]
async fn what_an_older_labd_wrote_is_read_and_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    Daemon::start(&data).stop().await;
    // As it was written before there were keys.
    fs::remove_dir_all(data.join("store")).unwrap();
    fs::remove_dir_all(data.join("keys")).unwrap();
    let store = Embedded::open(&data.join("store"), lab_store::Options::default()).unwrap();
    let bytes = |text: String| Some(Value { bytes: text.into(), revision_at: None });
    for (key, kind, value) in [
        ("/default/core/secrets/default/marked", "Secret", format!(r#""password":"{ENCODED}""#)),
        ("/default/core/configmaps/default/open", "ConfigMap", format!(r#""text":"{PLAIN}""#)),
    ] {
        let name = key.rsplit('/').next().unwrap();
        let metadata =
            format!(r#"{{"name":"{name}","namespace":"default","uid":"u-{name}","resourceVersion":"1"}}"#);
        let text =
            format!(r#"{{"apiVersion":"v1","kind":"{kind}","metadata":{metadata},"data":{{{value}}}}}"#);
        let write = Write { key: key.into(), value: bytes(text), expect: Expect::Absent };
        store.write(write).await.unwrap();
    }
    drop(store);
    assert!(!found(&data, ENCODED).is_empty());
    let daemon = Daemon::start(&data);
    assert_eq!(password(&daemon.client()).await.as_deref(), Some(ENCODED));
    eventually("it is encrypted", || async { found(&data, ENCODED).is_empty() }).await;
    check_hidden(&data);
    assert_eq!(password(&daemon.client()).await.as_deref(), Some(ENCODED));
}
