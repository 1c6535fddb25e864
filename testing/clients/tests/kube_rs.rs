//! A small kube-rs controller that creates, watches and updates our kinds.

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
        PostParams,
    },
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{Controller, WatchStreamExt, controller::Action, watcher},
};
use lab_e2e::labd::Labd;
use serde_json::json;
use std::{sync::Arc, time::Duration};

async fn client(labd: &Labd) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(labd.kubeconfig())?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn servers() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("metal.lab", "v1alpha1", "Server"))
}

fn server(name: &str) -> DynamicObject {
    DynamicObject::new(name, &servers()).data(json!({"spec": {"hostname": format!("{name}.example.org")}}))
}

/// Writes each server's phase into its status, once.
async fn reconcile(object: Arc<DynamicObject>, api: Arc<Api<DynamicObject>>) -> Result<Action, kube::Error> {
    if object.data.pointer("/status/phase").and_then(|p| p.as_str()) != Some("Discovered") {
        let patch = json!({"status": {"phase": "Discovered"}});
        api.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    }
    Ok(Action::await_change())
}

#[tokio::test]
async fn a_controller_reconciles_servers() {
    let directory = tempfile::tempdir().unwrap();
    let labd = Labd::start(directory.path()).unwrap();
    let client = client(&labd).await.unwrap();
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &servers());
    let controller = Controller::new_with(api.clone(), watcher::Config::default(), servers())
        .run(reconcile, |_, error, _| panic!("reconciling: {error}"), Arc::new(api.clone()))
        .for_each(|done| async move { drop(done.unwrap()) });
    let running = tokio::spawn(controller);
    for n in 0..5 {
        api.create(&PostParams::default(), &server(&format!("s{n}"))).await.unwrap();
    }
    let all_done = async {
        loop {
            let list = api.list(&ListParams::default().fields("status.phase=Discovered")).await.unwrap();
            if list.items.len() == 5 {
                return list;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let list = tokio::time::timeout(Duration::from_secs(20), all_done).await.unwrap();
    assert!(
        list.items.iter().all(|s| s.metadata.generation == Some(1)),
        "a status write is no new generation"
    );
    running.abort();
}

#[tokio::test]
async fn streaming_lists_and_paged_lists_see_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let labd = Labd::start(directory.path()).unwrap();
    let client = client(&labd).await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    for n in 0..7 {
        let map = json!({"metadata": {"name": format!("m{n}"), "labels": {"odd": (n % 2 == 1).to_string()}}});
        api.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    }
    for config in [watcher::Config::default().streaming_lists(), watcher::Config::default().page_size(2)] {
        let events = watcher(api.clone(), config.labels("odd=true")).applied_objects();
        let names: Vec<String> = events.take(3).map(|e| e.unwrap().name_any()).collect().await;
        assert_eq!(names, ["m1", "m3", "m5"]);
    }
}

#[tokio::test]
async fn typed_objects_conflicts_and_apply() {
    let directory = tempfile::tempdir().unwrap();
    let labd = Labd::start(directory.path()).unwrap();
    let client = client(&labd).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    assert!(namespaces.get_opt("nothing").await.unwrap().is_none());
    assert_eq!(namespaces.get("default").await.unwrap().status.unwrap().phase.as_deref(), Some("Active"));

    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let apply = |manager: &str| PatchParams::apply(manager);
    let map = |value: &str| {
        Patch::Apply(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": value}}),
        )
    };
    let first = maps.patch("m", &apply("one"), &map("1")).await.unwrap();
    let refused = maps.patch("m", &apply("two"), &map("2")).await.unwrap_err();
    let kube::Error::Api(status) = &refused else { panic!("{refused}") };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"), "{status:?}");
    maps.patch("m", &apply("two").force(), &map("2")).await.unwrap();

    let stale = maps.replace("m", &PostParams::default(), &first).await.unwrap_err();
    let kube::Error::Api(status) = &stale else { panic!("{stale}") };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"), "{status:?}");
    maps.delete("m", &DeleteParams::default()).await.unwrap();
    assert!(maps.get_opt("m").await.unwrap().is_none());
}
