//! Garbage collection, the end of namespaces, and old events, in a real labd.

use crate::daemon::{Daemon, eventually};
use lab_client::{Api, Client, DeleteParams, Patch, PatchParams, Propagation, WriteParams};
use lab_kinds::{
    core::{ConfigMap, Namespace},
    metal::Server,
};
use lab_object::{GroupVersionResource, Json, ObjectMeta, OwnerReference};
use serde_json::json;
use std::{fs, time::Duration};

struct Site {
    _dir: tempfile::TempDir,
    _daemon: Daemon,
    client: Client,
    maps: Api<ConfigMap>,
}

impl Site {
    fn new(configuration: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("labd.toml");
        fs::write(&file, configuration).expect("the file is written");
        let daemon = Daemon::start_with(
            &dir.path().join("data"),
            &["--config", file.to_str().expect("a path of text")],
        );
        let client = daemon.client();
        Self { _dir: dir, _daemon: daemon, maps: client.namespaced("default"), client }
    }

    /// Creates a config map that is owned by others, and blocks their deletion.
    async fn map(&self, name: &str, owners: &[&ConfigMap], finalizers: &[&str]) -> ConfigMap {
        let owner = |owner: &&ConfigMap| OwnerReference {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            name: owner.metadata.name.clone().unwrap_or_default(),
            uid: owner.metadata.uid.clone().unwrap_or_default(),
            controller: None,
            block_owner_deletion: Some(true),
        };
        let metadata = ObjectMeta {
            name: Some(name.into()),
            owner_references: owners.iter().map(owner).collect(),
            finalizers: finalizers.iter().map(|f| (*f).into()).collect(),
            ..ObjectMeta::default()
        };
        let map = ConfigMap { metadata, ..ConfigMap::default() };
        self.maps.create(&map, &WriteParams::default()).await.expect("the object is created")
    }

    async fn delete(&self, name: &str, propagation: Propagation) {
        let params = DeleteParams { propagation: Some(propagation), ..DeleteParams::default() };
        self.maps.delete(name, &params).await.expect("the object is deleted");
    }

    async fn let_go(&self, name: &str) {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        self.maps.patch(name, &patch, &PatchParams::default()).await.expect("the finalizers are removed");
    }

    async fn names(&self) -> Vec<String> {
        let list = self.maps.list(&Default::default()).await.expect("a list");
        list.items.into_iter().filter_map(|map| map.metadata.name).collect()
    }

    async fn comes_to(&self, expected: &[&str]) {
        eventually(&format!("{expected:?} are left"), || async { self.names().await == expected }).await;
    }
}

#[tokio::test]
async fn dependents_follow_their_owners() {
    let site = Site::new("");
    let root = site.map("root", &[], &[]).await;
    let other = site.map("other", &[], &[]).await;
    let child = site.map("child", &[&root], &[]).await;
    site.map("grandchild", &[&child], &[]).await;
    site.map("shared", &[&root, &other], &[]).await;
    site.delete("root", Propagation::Background).await;
    site.comes_to(&["other", "shared"]).await;
    let released = || async { site.maps.get("shared").await.unwrap().metadata.owner_references.len() == 1 };
    eventually("the owner that is gone is taken off", released).await;
    site.delete("other", Propagation::Background).await;
    site.comes_to(&[]).await;

    // An owner that never was, or that had the name before.
    let before = site.map("owner", &[], &[]).await;
    site.delete("owner", Propagation::Orphan).await;
    site.comes_to(&[]).await;
    site.map("owner", &[], &[]).await;
    site.map("late", &[&before], &[]).await;
    site.comes_to(&["owner"]).await;
}

#[tokio::test]
async fn foreground_deletion_waits_and_orphans_stay() {
    let site = Site::new("");
    let root = site.map("root", &[], &[]).await;
    let child = site.map("child", &[&root], &[]).await;
    site.map("leaf", &[&child], &["example.org/hold"]).await;
    site.delete("root", Propagation::Foreground).await;
    let going = || async { site.maps.get("leaf").await.unwrap().metadata.deletion_timestamp.is_some() };
    eventually("deletion reaches the last dependent", going).await;
    assert_eq!(site.names().await, ["child", "leaf", "root"], "the owners wait");
    site.let_go("leaf").await;
    site.comes_to(&[]).await;

    let root = site.map("root", &[], &[]).await;
    site.map("orphan", &[&root], &[]).await;
    site.delete("root", Propagation::Orphan).await;
    site.comes_to(&["orphan"]).await;
    assert_eq!(site.maps.get("orphan").await.unwrap().metadata.owner_references, []);
}

#[tokio::test]
async fn owners_that_own_each_other_go_together() {
    let site = Site::new("");
    let first = site.map("first", &[], &[]).await;
    let second = site.map("second", &[&first], &[]).await;
    let circle = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "second",
        "uid": second.metadata.uid, "blockOwnerDeletion": true}]}});
    site.maps.patch("first", &Patch::Merge(circle), &PatchParams::default()).await.unwrap();
    site.delete("first", Propagation::Foreground).await;
    site.comes_to(&[]).await;
}

#[tokio::test]
async fn a_namespace_goes_after_all_that_is_in_it() {
    let site = Site::new("");
    let namespaces: Api<Namespace> = site.client.resource();
    let metadata = ObjectMeta { name: Some("team".into()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    namespaces.create(&namespace, &WriteParams::default()).await.unwrap();
    let maps: Api<ConfigMap> = site.client.namespaced("team");
    for (name, finalizers) in [("plain", vec![]), ("held", vec!["example.org/hold".to_owned()])] {
        let metadata = ObjectMeta { name: Some(name.into()), finalizers, ..ObjectMeta::default() };
        maps.create(&ConfigMap { metadata, ..ConfigMap::default() }, &WriteParams::default()).await.unwrap();
    }
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    let waits = || async {
        let status = namespaces.get("team").await.unwrap().status;
        status.conditions.iter().any(|c| {
            c.message.as_deref()
                == Some(
                    "Some content in the namespace has finalizers remaining: example.org/hold in 1 resource instances",
                )
        })
    };
    eventually("the namespace says what it waits for", waits).await;
    let left = maps.list(&Default::default()).await.unwrap().items;
    assert_eq!(left.len(), 1, "{left:?}");
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &patch, &PatchParams::default()).await.unwrap();
    let gone = || async { namespaces.get_opt("team").await.unwrap().is_none() };
    eventually("the namespace is gone", gone).await;
}

#[tokio::test]
async fn old_events_go() {
    let site = Site::new("[events]\nkeep = \"1s\"\n");
    let events =
        GroupVersionResource { group: String::new(), version: "v1".into(), resource: "events".into() };
    let events: Api<Json> = site.client.dynamic(&events, Some("default"));
    let event = |name: &str, last: &str| {
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "default"},
            "involvedObject": {"kind": "Namespace", "name": "default", "namespace": "default"},
            "reason": "Tested", "message": "x", "type": "Normal", "lastTimestamp": last})
    };
    events.create(&event("old", "2020-01-01T00:00:00Z"), &WriteParams::default()).await.unwrap();
    events.create(&event("young", "2199-01-01T00:00:00Z"), &WriteParams::default()).await.unwrap();
    let old_is_gone = || async { events.get_opt("old").await.unwrap().is_none() };
    eventually("the old event is gone", old_is_gone).await;
    assert!(events.get_opt("young").await.unwrap().is_some());
}

#[tokio::test]
async fn what_was_served_once_is_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    let client = daemon.client();
    let servers = client.resource::<Server>();
    let wish = json!({"apiVersion": "metal.lab/v1alpha1", "kind": "Server", "metadata": {"name": "a"},
        "spec": {"role": "worker", "boot": {"once": "debug"}}});
    let server: Server = serde_json::from_value(wish).unwrap();
    let server = servers.create(&server, &WriteParams::default()).await.unwrap();
    let served = |generation: i64| {
        Patch::Merge(json!({"status": {"boot": {"servedOnce": "debug", "servedGeneration": generation}}}))
    };
    let generation = server.metadata.generation.unwrap();
    // Of a wish before this one it says nothing.
    servers.patch_status("a", &served(generation - 1), &PatchParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(servers.get("a").await.unwrap().spec.boot.once.is_some());
    servers.patch_status("a", &served(generation), &PatchParams::default()).await.unwrap();
    eventually("the wish is taken away", async || servers.get("a").await.unwrap().spec.boot.once.is_none())
        .await;
    assert!(servers.get("a").await.unwrap().spec.role.is_some(), "and nothing else");
}
