//! Backup and restore: everything, identities included, or nothing.

use crate::daemon::{Daemon, connection, mode, run};
use lab_client::{Client, WriteParams};
use lab_kinds::core::ConfigMap;
use lab_object::ObjectMeta;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Writes a backup of a running labd with so many objects; the file and the labd.
async fn backed_up(dir: &Path, objects: usize) -> (PathBuf, Daemon) {
    let daemon = Daemon::start(&dir.join("data"));
    let api = daemon.client().namespaced::<ConfigMap>("default");
    for i in 0..objects {
        let metadata = ObjectMeta { name: Some(format!("object-{i}")), ..ObjectMeta::default() };
        let object = ConfigMap { metadata, ..ConfigMap::default() };
        api.create(&object, &WriteParams::default()).await.expect("the object is created");
    }
    let file = dir.join("lab.backup");
    assert_eq!(back_up(&dir.join("data"), &file), (Some(0), String::new()));
    (file, daemon)
}

fn back_up(data: &Path, file: &Path) -> (Option<i32>, String) {
    let (data, file) = (data.to_str().expect("text"), file.to_str().expect("text"));
    let output = run(&["backup", "--data-dir", data, "-o", file]);
    let said = String::from_utf8(output.stderr).expect("text");
    let wrote =
        format!("wrote {file}; to restore it takes the keys in {data}/keys too, which are not in it\n");
    (output.status.code(), said.replace(&wrote, ""))
}

fn restore(file: &Path, data: &Path) -> (Option<i32>, String) {
    let keys = file.with_file_name("data/keys");
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let output = run(&["restore", &text(file), "--data-dir", &text(data), "--keys-from", &text(&keys)]);
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

/// Names in a directory.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

async fn count(client: &Client) -> usize {
    client.namespaced::<ConfigMap>("default").list_all(&Default::default()).await.expect("a list").items.len()
}

#[tokio::test]
async fn a_running_labd_is_copied_and_restored_with_its_identities() {
    let dir = tempfile::tempdir().unwrap();
    let (file, daemon) = backed_up(dir.path(), 30).await;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(names(dir.path()), ["data", "lab.backup"], "nothing else is left behind");
    let mut old = connection(&daemon.kubeconfig());
    assert_eq!(daemon.stop().await.code, Some(0));

    let new = dir.path().join("new");
    let (code, said) = restore(&file, &new);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("restored 36 objects of "), "{said}");
    assert_eq!(names(dir.path()), ["data", "lab.backup", "new"]);
    assert_eq!((mode(&new), mode(&new.join("pki/ca.key"))), (0o700, 0o600));

    let restored = Daemon::start(&new);
    assert_eq!(count(&restored.client()).await, 30);
    // The administrator's certificate of before still opens the door, and the server's is still trusted.
    old.server = connection(&restored.kubeconfig()).server;
    assert_eq!(count(&Client::connect("test", &old).unwrap()).await, 30);
}

#[tokio::test]
async fn a_labd_that_is_off_is_copied_from_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (file, daemon) = backed_up(dir.path(), 3).await;
    daemon.stop().await;
    let again = dir.path().join("again.backup");
    assert_eq!(back_up(&dir.path().join("data"), &again), (Some(0), String::new()));
    assert_eq!(restore(&again, &dir.path().join("new")).0, Some(0));
    assert_eq!(fs::read(&file).unwrap()[..12], fs::read(&again).unwrap()[..12]);
    let nothing = dir.path().join("nothing");
    let (code, said) = back_up(&nothing, &again);
    let expected = format!(
        "labd: {} holds no data of labd; name its directory with --data-dir DIR\n",
        nothing.display()
    );
    assert_eq!((code, said), (Some(1), expected));
}

#[tokio::test]
async fn what_is_no_whole_backup_restores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (file, daemon) = backed_up(dir.path(), 3).await;
    daemon.stop().await;
    let whole = fs::read(&file).unwrap();
    let check = |bytes: &[u8], expected: &str| {
        fs::write(&file, bytes).unwrap();
        let (code, said) = restore(&file, &dir.path().join("new"));
        let said = said.replace(dir.path().to_str().unwrap(), "DIR");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with(expected), "{said}does not begin with\n{expected}");
        assert_eq!(names(dir.path()), ["data", "lab.backup"], "nothing is left behind");
    };
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let store = whole.windows(8).position(|w| w == b"LABSTORE").unwrap();
    check(&whole[..whole.len() - 1], "labd: DIR/lab.backup is cut short: it does not end with LABEND");
    check(&whole[..whole.len() / 2], "labd: DIR/lab.backup is cut short: it does not end with LABEND");
    check(
        b"something else\n",
        "labd: DIR/lab.backup: this is not a backup of labd: it does not begin with LABBACKUP",
    );
    check(b"", "labd: DIR/lab.backup: this is not a backup of labd");
    check(
        &[b"LABBACKUP 3\n", &whole[12..]].concat(),
        "labd: DIR/lab.backup: the backup is of version 3, and this",
    );
    check(&changed(store - 20), "labd: DIR/lab.backup: the backup's head is damaged; nothing was restored");
    check(&changed(store + 100), "labd: DIR/lab.backup: the backup is damaged");
    fs::write(&file, &whole).unwrap();
    let (code, said) = restore(&file, &dir.path().join("data"));
    assert_eq!(code, Some(1));
    assert!(said.contains("is not empty; a backup is restored into an empty directory"), "{said}");
    fs::create_dir(dir.path().join("new")).unwrap();
    assert_eq!(restore(&file, &dir.path().join("new")).0, Some(0), "an empty directory is fine");
}
