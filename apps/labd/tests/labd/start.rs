//! Starting, stopping and starting again.

use crate::daemon::{Daemon, labd, mode, run};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use lab_client::{ListParams, WatchParams, WriteParams};
use lab_kinds::{
    core::{ConfigMap, Namespace},
    metal::DiskLayout,
};
use lab_object::ObjectMeta;
use lab_pki::{Authority, Identity, Lifetime};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

fn config_map(name: &str) -> ConfigMap {
    let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
    ConfigMap { metadata, ..ConfigMap::default() }
}

#[tokio::test]
async fn an_empty_directory_becomes_a_control_plane() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("some/where");
    let daemon = Daemon::start(&data);
    let modes =
        [&data, &daemon.kubeconfig(), &data.join("pki"), &data.join("pki/ca.key")].map(|path| mode(path));
    assert_eq!(modes, [0o700, 0o600, 0o700, 0o600]);

    let client = daemon.client();
    let namespaces = client.resource::<Namespace>().list(&ListParams::default()).await.unwrap();
    let names: Vec<_> = namespaces.items.into_iter().filter_map(|n| n.metadata.name).collect();
    assert_eq!(names, ["default", "kube-system"]);
    assert_eq!(client.resource::<DiskLayout>().get("labvg").await.unwrap().spec, DiskLayout::labvg().spec);

    let request = |path: &str| http::Request::get(path).body(Bytes::new()).unwrap();
    let ready = client.send("ask", request("/readyz?verbose")).await.unwrap();
    let ready = client.collect("ask", ready.into_body()).await.unwrap();
    let expected = "[+]ping ok\n[+]store ok\n[+]store-writable ok\n[+]audit-writable ok\n[+]controllers-synced ok\nreadyz check passed\n";
    assert_eq!(ready, expected);
    let metrics = client.send("ask", request("/metrics")).await.unwrap();
    let metrics = client.collect("ask", metrics.into_body()).await.unwrap();
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    let seeded = ["store_writes_total 6", "store_batch_writes_count", "store_keys 6"];
    for figure in [&seeded[..], &["process_resident_memory_bytes", "apiserver_request_total"]].concat() {
        assert!(metrics.lines().any(|line| line.starts_with(figure)), "{figure} is not in\n{metrics}");
    }

    let server = crate::daemon::connection(&daemon.kubeconfig()).server.value;
    let pin = Authority::load_or_create(&data.join("pki"), SystemTime::now()).unwrap().pin();
    let ended = daemon.stop().await;
    assert_eq!(ended.code, Some(0), "{:?}", ended.log);
    let (data, shown) = (data.to_str().unwrap(), ended.stdout.replace(&server, "URL").replace(&pin, "PIN"));
    assert_eq!(
        shown.replace(data, "DIR"),
        "
Lab is ready at URL. In another terminal:

    export KUBECONFIG=DIR/admin.kubeconfig
    kubectl get servers
    kubectl explain server.spec

Everything is kept in DIR; DIR/admin.kubeconfig is the key to it.
Others recognise this server by its authority's fingerprint: PIN
Stop it with Ctrl-C; the next start goes on where this one ended.

"
    );
}

#[tokio::test]
async fn the_next_start_goes_on_where_the_last_one_ended() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    let maps = daemon.client().namespaced::<ConfigMap>("default");
    let created = maps.create(&config_map("kept"), &WriteParams::default()).await.unwrap();
    daemon.client().resource::<DiskLayout>().delete("labvg", &Default::default()).await.unwrap();
    let (address, before) = (
        crate::daemon::connection(&daemon.kubeconfig()).server.value.replace("https://", ""),
        fs::read_to_string(daemon.kubeconfig()).unwrap(),
    );
    assert_eq!(daemon.stop().await.code, Some(0));

    let daemon = Daemon::start_with(dir.path(), &["--name", "lab.example.org"]);
    assert_eq!(daemon.client().namespaced::<ConfigMap>("default").get("kept").await.unwrap(), created);
    assert!(daemon.client().resource::<DiskLayout>().get_opt("labvg").await.unwrap().is_none());
    let ended = daemon.stop().await;
    assert_eq!(ended.stdout, "", "only the first start explains itself");

    // Where the address stays, so does the kubeconfig.
    fs::write(dir.path().join("admin.kubeconfig"), &before).unwrap();
    let mut child = labd().args(["--listen", &address, "--data-dir"]).arg(dir.path()).spawn().unwrap();
    let client =
        lab_client::Client::connect("test", &crate::daemon::connection(&dir.path().join("admin.kubeconfig")));
    let client = client.unwrap();
    crate::daemon::eventually("it answers", || async {
        client.get_json::<lab_object::Json>("/version").await.is_ok()
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("admin.kubeconfig")).unwrap(), before);
}

#[tokio::test]
async fn certificates_that_ran_out_while_it_was_off_are_renewed_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let past = SystemTime::now() - Duration::from_secs(20 * 365 * 24 * 60 * 60);
    let authority = Authority::load_or_create(&dir.path().join("pki"), past).unwrap();
    let admin = Identity::new("admin", ["system:masters"]);
    let issued = authority.issue_client(&admin, Lifetime::starting(past, Duration::from_secs(60))).unwrap();
    let encode = |text: &str| BASE64_STANDARD.encode(text);
    let expired = format!(
        "{{current-context: lab, contexts: [{{name: lab, context: {{cluster: lab, user: admin}}}}],
          clusters: [{{name: lab, cluster: {{server: 'https://127.0.0.1:1', certificate-authority-data: {}}}}}],
          users: [{{name: admin, user: {{client-certificate-data: {}, client-key-data: {}}}}}]}}",
        encode(authority.certificate_pem()),
        encode(&issued.certificate_pem),
        encode(&issued.key_pem),
    );
    fs::write(dir.path().join("admin.kubeconfig"), expired).unwrap();

    let daemon = Daemon::start(dir.path());
    let namespaces = daemon.client().resource::<Namespace>().list(&ListParams::default()).await.unwrap();
    assert_eq!(namespaces.items.len(), 2);
    let renewed = Authority::load_or_create(&dir.path().join("pki"), SystemTime::now()).unwrap();
    assert_eq!(renewed.pin(), authority.pin(), "whoever pinned the authority still trusts it");
    assert!(renewed.lifetime().holds(SystemTime::now()));
}

#[tokio::test]
async fn a_key_that_others_could_read_is_protected() {
    let dir = tempfile::tempdir().unwrap();
    Daemon::start(dir.path()).stop().await;
    for secret in ["pki/ca.key", "admin.kubeconfig"] {
        fs::set_permissions(dir.path().join(secret), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let ended = Daemon::start(dir.path()).stop().await;
    assert_eq!(mode(&dir.path().join("pki/ca.key")), 0o600);
    assert_eq!(mode(&dir.path().join("admin.kubeconfig")), 0o600);
    let warnings = ended.log.iter().filter(|line| line.contains("others could read this secret"));
    assert_eq!(warnings.count(), 2, "{:?}", ended.log);
}

#[test]
fn what_cannot_start_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let daemon = Daemon::start(&data);
    let taken = crate::daemon::connection(&daemon.kubeconfig()).server.value.replace("https://", "");
    let check = |data: &std::path::Path, listen: &str, expected: &str| {
        let output = run(&["--data-dir", data.to_str().unwrap(), "--listen", listen]);
        let error = String::from_utf8(output.stderr).unwrap().replace(dir.path().to_str().unwrap(), "DIR");
        assert_eq!((output.status.code(), error.as_str()), (Some(1), expected));
    };
    check(
        &data,
        "127.0.0.1:0",
        "labd: another labd is running on DIR/data; stop it, or name another directory with --data-dir DIR\n",
    );
    check(
        &dir.path().join("other"),
        &taken,
        &format!(
            "labd: cannot listen at {taken}; name another address with --listen ADDR:PORT: \
             Address already in use (os error 98)\n"
        ),
    );
    let broken = dir.path().join("broken");
    fs::create_dir_all(broken.join("pki")).unwrap();
    fs::write(broken.join("pki/ca.crt"), "x").unwrap();
    check(
        &broken,
        "127.0.0.1:0",
        "labd: DIR/broken/pki/ca.crt is there but its key DIR/broken/pki/ca.key is missing; restore the key from a \
         backup, or remove the certificate to make a new authority, which clients that know the old one will not \
         trust\n",
    );
}

#[tokio::test]
async fn it_stops_in_time_although_somebody_watches() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    let client = daemon.client();
    let params = WatchParams { initial_events: true, ..WatchParams::default() };
    let mut watch = client.resource::<Namespace>().watch(&params).await.unwrap();
    watch.next().await.unwrap().unwrap();
    let watching = tokio::spawn(async move { while let Some(Ok(_)) = watch.next().await {} });
    let ended = daemon.stop().await;
    assert_eq!(ended.code, Some(0), "{:?}", ended.log);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    tokio::time::timeout(Duration::from_secs(5), watching).await.expect("the watch ends").unwrap();
}
