//! What callers with few permissions get from the API: lists, watches, single objects, writes, and answers about themselves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod reviews;
mod session;

use lab_api_server::Caller;
use lab_object::Json;
use serde_json::json;
use session::{IAM, SERVERS, Session, caller, names, server};

const NULL: Json = Json::Null;
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

#[tokio::test]
async fn lists_hold_what_may_be_seen() {
    let lab = Session::new().await;
    for name in ["a", "b", "c"] {
        lab.root("POST", SERVERS, server(name, "production"), 201).await;
        lab.root("POST", SERVERS, server(&format!("{name}-dev"), "dev"), 201).await;
    }
    let expected = ["a-dev", "b-dev", "c-dev", "s-dev"];
    assert_eq!(lab.names("dev-1", SERVERS).await, expected);
    assert_eq!(lab.names("dev-1", SERVERS).await, expected, "from memory as well");
    // In pages, without a word of how many more there are.
    let first = lab.by("dev-1", "GET", &format!("{SERVERS}?limit=3"), NULL, 200).await;
    assert_eq!(names(&first), expected[..3]);
    assert_eq!(first["metadata"].get("remainingItemCount"), None);
    let next = first["metadata"]["continue"].as_str().unwrap();
    assert_eq!(lab.names("dev-1", &format!("{SERVERS}?limit=3&continue={next}")).await, expected[3..]);
    for selector in ["fieldSelector=metadata.name%3Da", "fieldSelector=spec.environment%3Dproduction"] {
        assert_eq!(lab.names("dev-1", &format!("{SERVERS}?{selector}")).await, [""; 0], "{selector}");
    }
    // What has moved is judged by where it is, and where it was at that time.
    let moved = lab.root("PUT", &format!("{SERVERS}/a-dev"), server("a-dev", "production"), 200).await;
    assert_eq!(lab.names("dev-1", SERVERS).await, expected[1..]);
    let before = moved["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() - 1;
    let then = format!("{SERVERS}?resourceVersion={before}&resourceVersionMatch=Exact");
    assert_eq!(lab.names("dev-1", &then).await, expected);
    assert_eq!(lab.names("dev-1", SERVERS).await, expected[1..]);
    let viewer = caller("anyone", &["viewers"]);
    assert_eq!(names(&lab.request(viewer, ["GET", SERVERS, ""], NULL, 200).await).len(), 8);
    let refused = lab.by("nobody", "GET", SERVERS, NULL, 403).await;
    assert!(refused["message"].as_str().unwrap().contains("read on some environment"), "{refused:#}");
    for secret in ["/api/v1/secrets", &format!("{IAM}/roles"), &format!("{IAM}/users")] {
        lab.by("dev-1", "GET", secret, NULL, 403).await;
    }
    assert_eq!(lab.names("dev-admin", &format!("{IAM}/roles")).await, ["dev", "dev-admin"]);
}

#[tokio::test]
async fn what_may_not_be_seen_does_not_exist() {
    let lab = Session::new().await;
    let (hidden, absent) = (format!("{SERVERS}/s-prod"), format!("{SERVERS}/s-none"));
    let uid = lab.root("GET", &hidden, NULL, 200).await["metadata"]["uid"].as_str().unwrap().to_owned();
    let put = |name: &str| server(name, "dev");
    for (method, body) in
        [("GET", [NULL, NULL]), ("PUT", [put("s-prod"), put("s-none")]), ("DELETE", [NULL, NULL])]
    {
        // Who may see nothing of the kind hears that; to whom it hangs on the object, both are the same.
        let expected = if method == "DELETE" { 403 } else { 404 };
        let [hidden_body, absent_body] = body;
        let one = lab.by("dev-1", method, &hidden, hidden_body, expected).await;
        let other = lab.by("dev-1", method, &absent, absent_body, expected).await;
        assert_eq!(one.to_string().replace("s-prod", "s-none"), other.to_string(), "{method}");
    }
    lab.by("dev-admin", "DELETE", &hidden, NULL, 404).await;
    // Neither by another name.
    for alias in [uid.as_str(), "s-prod"] {
        lab.by("dev-1", "GET", &format!("{SERVERS}/{alias}"), NULL, 404).await;
    }
    let patched =
        lab.request(caller("dev-1", &[]), ["PATCH", &hidden, MERGE], json!({"spec": {"hostname": "x"}}), 404);
    patched.await;
    let applied = json!({"apiVersion": "metal.lab/v1alpha1", "kind": "Server", "metadata": {"name": "s-prod"},
        "spec": {"cloud": "baremetal", "environment": "dev"}});
    let path = format!("{hidden}?fieldManager=test");
    lab.request(caller("dev-1", &[]), ["PATCH", &path, APPLY], applied, 409).await;
    assert_eq!(lab.root("GET", &hidden, NULL, 200).await["spec"]["environment"], "production");
}

#[tokio::test]
async fn writes_are_judged_by_what_was_and_what_becomes() {
    let lab = Session::new().await;
    let own = format!("{SERVERS}/s-dev");
    let patch = |spec: Json, status: u16| {
        let (lab, own) = (&lab, own.clone());
        async move {
            lab.request(caller("dev-1", &[]), ["PATCH", &own, MERGE], json!({"spec": spec}), status).await
        }
    };
    patch(json!({"hostname": "renamed"}), 200).await;
    let refused = patch(json!({"environment": "production"}), 403).await;
    assert!(refused["message"].as_str().unwrap().contains("apply:baremetal:production:s-dev"), "{refused:#}");
    patch(json!({"whenDeleted": "wipe"}), 403).await;
    patch(json!({"install": {"operatingSystem": "debian-13", "reprovision": 1}}), 403).await;
    patch(json!({"install": {"operatingSystem": "debian-13"}}), 200).await;
    lab.by("dev-1", "POST", SERVERS, server("mine", "dev"), 201).await;
    lab.by("dev-1", "POST", SERVERS, server("not-mine", "production"), 403).await;
    lab.by("dev-1", "POST", &format!("{SERVERS}?dryRun=All"), server("not-mine", "production"), 403).await;
    lab.by("dev-1", "DELETE", &own, NULL, 403).await;
    lab.by("dev-1", "PUT", &format!("{own}/status"), server("s-dev", "dev"), 403).await;
    // A deletion of all is of all that are seen.
    lab.by("dev-1", "DELETE", SERVERS, NULL, 403).await;
    lab.by("dev-admin", "DELETE", SERVERS, NULL, 200).await;
    assert_eq!(names(&lab.root("GET", SERVERS, NULL, 200).await), ["s-prod"]);
}

#[tokio::test]
async fn nobody_grants_what_they_do_not_hold() {
    let lab = Session::new().await;
    let role = |name: &str, permission: &str| json!({"metadata": {"name": name}, "spec": {"permissions": [permission]}});
    let binding = |name: &str, role: &str| {
        let subject = json!({"kind": "User", "name": "dev-admin"});
        json!({"metadata": {"name": name}, "spec": {"role": role, "subjects": [subject]}})
    };
    let (roles, bindings) = (format!("{IAM}/roles"), format!("{IAM}/rolebindings"));
    lab.by("dev-admin", "POST", &roles, role("mine", "destroy:*:dev:*"), 201).await;
    lab.by("dev-admin", "POST", &roles, role("all", "read:*:*:*"), 403).await;
    lab.by("dev-admin", "PUT", &format!("{roles}/mine"), role("mine", "admin:*:*:*"), 403).await;
    lab.by("dev-admin", "POST", &bindings, binding("mine", "mine"), 201).await;
    lab.by("dev-admin", "POST", &bindings, binding("all", "viewer"), 403).await;
    lab.by("dev-admin", "DELETE", &format!("{roles}/viewer"), NULL, 404).await;
    lab.by("dev-1", "POST", &bindings, binding("x", "dev"), 403).await;
}

#[tokio::test]
async fn what_is_given_and_taken_counts_from_the_next_request_on() {
    let lab = Session::new().await;
    lab.by("late", "GET", SERVERS, NULL, 403).await;
    lab.bind("dev", "User", "late").await;
    assert_eq!(lab.names("late", SERVERS).await, ["s-dev"]);
    let widened = json!({"metadata": {"name": "dev"}, "spec": {"permissions": ["read:*:*:*"]}});
    lab.root("PUT", &format!("{IAM}/roles/dev"), widened, 200).await;
    assert_eq!(lab.names("late", SERVERS).await, ["s-dev", "s-prod"]);
    let user = |disabled: bool| json!({"metadata": {"name": "late"}, "spec": {"disabled": disabled}});
    lab.root("POST", &format!("{IAM}/users"), user(true), 201).await;
    lab.by("late", "GET", SERVERS, NULL, 403).await;
    let masters = caller("late", &["system:masters"]);
    lab.request(masters, ["GET", SERVERS, ""], NULL, 403).await;
    lab.root("DELETE", &format!("{IAM}/users/late"), NULL, 200).await;
    lab.by("late", "GET", SERVERS, NULL, 200).await;
    lab.root("DELETE", &format!("{IAM}/rolebindings/dev-late"), NULL, 200).await;
    lab.by("late", "GET", SERVERS, NULL, 403).await;
    // Other tenants have no roles yet.
    lab.by("dev-1", "GET", &format!("/clusters/other{SERVERS}"), NULL, 403).await;
    lab.by("dev-admin", "GET", "/metrics", NULL, 403).await;
}

#[tokio::test]
async fn watches_show_what_comes_into_view_and_goes() {
    let lab = Session::new().await;
    let mut watch = lab.watch("dev-1", &format!("{SERVERS}?watch=1")).await;
    watch.expect(&[("ADDED", "s-dev")]).await;
    lab.root("POST", SERVERS, server("unseen", "production"), 201).await;
    lab.root("PUT", &format!("{SERVERS}/s-prod"), server("s-prod", "dev"), 200).await;
    watch.expect(&[("ADDED", "s-prod")]).await;
    lab.root("PUT", &format!("{SERVERS}/s-dev"), server("s-dev", "production"), 200).await;
    watch.expect(&[("DELETED", "s-dev")]).await;
    lab.root("DELETE", &format!("{SERVERS}/unseen"), NULL, 200).await;
    lab.root("DELETE", &format!("{SERVERS}/s-prod"), NULL, 200).await;
    watch.expect(&[("DELETED", "s-prod")]).await;
}

#[tokio::test]
async fn a_watch_ends_when_its_users_permissions_change() {
    let lab = Session::new().await;
    let mut dev = lab.watch("dev-1", &format!("{SERVERS}?watch=1")).await;
    let mut other = lab.watch("dev-admin", &format!("{SERVERS}?watch=1")).await;
    dev.expect(&[("ADDED", "s-dev")]).await;
    other.expect(&[("ADDED", "s-dev")]).await;
    lab.root("DELETE", &format!("{IAM}/rolebindings/dev-dev-1"), NULL, 200).await;
    lab.root("POST", SERVERS, server("later", "dev"), 201).await;
    dev.expect_end().await;
    // Others notice nothing.
    other.expect(&[("ADDED", "later")]).await;
    // Also of who saw everything.
    lab.bind("viewer", "User", "all").await;
    let mut all = lab.watch("all", &format!("{SERVERS}?watch=1&resourceVersion=1")).await;
    lab.root("DELETE", &format!("{IAM}/rolebindings/viewer-all"), NULL, 200).await;
    loop {
        let event = all.next().await.expect("the end is said");
        if event["type"] == "ERROR" {
            assert_eq!(event["object"]["code"], 410);
            break;
        }
    }
}

#[tokio::test]
async fn machines_have_what_their_identity_needs() {
    let lab = Session::new().await;
    let dev = lab.root("GET", &format!("{SERVERS}/s-dev"), NULL, 200).await;
    let uid = dev["metadata"]["uid"].as_str().unwrap();
    let agent = caller(&format!("server:{uid}"), &["lab:servers"]);
    let as_agent = |method: &'static str, path: String, body: Json, status| {
        lab.request(agent.clone(), [method, path.leak(), MERGE], body, status)
    };
    assert_eq!(names(&as_agent("GET", SERVERS.into(), NULL, 200).await), ["s-dev"]);
    as_agent("GET", format!("{SERVERS}/{uid}"), NULL, 200).await;
    as_agent("GET", format!("{SERVERS}/s-prod"), NULL, 404).await;
    let status = json!({"status": {"hostname": "booted"}});
    as_agent("PATCH", format!("{SERVERS}/s-dev/status"), status.clone(), 200).await;
    as_agent("PATCH", format!("{SERVERS}/s-prod/status"), status.clone(), 404).await;
    as_agent("PATCH", format!("{SERVERS}/s-dev"), json!({"spec": {"hostname": "x"}}), 403).await;
    as_agent("GET", "/apis/metal.lab/v1alpha1/networks".into(), NULL, 403).await;

    let bastion = caller("bastion:b1", &["lab:bastions"]);
    let as_bastion = |method: &'static str, path: String, content: &'static str, body: Json, status| {
        lab.request(bastion.clone(), [method, path.leak(), content], body, status)
    };
    let found = json!({"metadata": {"name": "52-54-00-12-34-56"}, "spec": {"macs": ["52:54:00:12:34:56"]}});
    as_bastion("POST", SERVERS.into(), "application/json", found, 201).await;
    as_bastion("POST", SERVERS.into(), "application/json", server("x", "dev"), 403).await;
    let own = json!({"status": {"bastion": "b1", "phase": "Discovering"}});
    as_bastion("PATCH", format!("{SERVERS}/52-54-00-12-34-56/status"), MERGE, own, 200).await;
    // It invites the agent of its own machine, and nobody else's.
    let token = |name: &str, server: &str| json!({"metadata": {"name": name}, "spec": {"joiner": "agent", "server": server, "uses": 1}});
    const TOKENS: &str = "/apis/iam.lab/v1alpha1/jointokens";
    until("it may invite", async || {
        let body = token("t1", "52-54-00-12-34-56").to_string();
        lab.open(bastion.clone(), "POST", TOKENS, "application/json", body).await.status() == 201
    })
    .await;
    as_bastion("POST", TOKENS.into(), "application/json", token("t2", "s-dev"), 403).await;
    // What the BMC of its own machine is spoken to with, and what it has served once.
    let machine = format!("{SERVERS}/52-54-00-12-34-56");
    let secrets = "/api/v1/namespaces/default/secrets";
    lab.root("POST", "/api/v1/namespaces", json!({"metadata": {"name": "default"}}), 201).await;
    for name in ["bmc", "other"] {
        lab.root("POST", secrets, json!({"metadata": {"name": name}}), 201).await;
    }
    as_bastion("GET", format!("{secrets}/bmc"), "", NULL, 404).await;
    let bmc = json!({"protocol": "redfish", "address": "10.0.0.9", "credentials": {"namespace": "default", "name": "bmc"}});
    let wanted = json!({"spec": {"bmc": bmc, "boot": {"once": "debug"}}});
    lab.request(Caller::internal("test"), ["PATCH", &machine, MERGE], wanted, 200).await;
    until("the secret is given", async || {
        lab.open(bastion.clone(), "GET", &format!("{secrets}/bmc"), "", "").await.status() == 200
    })
    .await;
    as_bastion("GET", format!("{secrets}/other"), "", NULL, 404).await;
    as_bastion("GET", secrets.into(), "", NULL, 403).await;
    as_bastion("PATCH", machine.clone(), MERGE, json!({"spec": {"hostname": "mine"}}), 403).await;
    as_bastion("PATCH", machine.clone(), MERGE, json!({"spec": {"boot": {"once": null}}}), 200).await;
    as_bastion("PATCH", machine.clone(), MERGE, json!({"spec": {"boot": {"once": "debug"}}}), 403).await;
    // It hands on the lines of its own machines, in its own name.
    const BASTIONS: &str = "/apis/metal.lab/v1alpha1/bastions";
    for name in ["b1", "b2"] {
        lab.root("POST", BASTIONS, json!({"metadata": {"name": name}}), 201).await;
    }
    let line = json!({"at": "2026-11-21T12:00:00Z", "text": "hello"});
    let of = |mac: &str, server: &str| json!({"mac": mac, "server": server, "first": 0, "lines": [line]});
    let machines = [of("52:54:00:12:34:56", "52-54-00-12-34-56"), of("52:54:00:00:00:02", "s-dev")];
    let feed = json!({"run": "r", "machines": machines});
    let fed = as_bastion("POST", format!("{BASTIONS}/b1/logs"), "application/json", feed.clone(), 200).await;
    assert_eq!(fed["next"], json!({"52:54:00:12:34:56": 1}), "another's machine is left out");
    as_bastion("POST", format!("{BASTIONS}/b2/logs"), "application/json", feed, 404).await;
    let away = caller("bastion:b2", &["lab:bastions"]);
    let list = lab.request(away, ["GET", SERVERS, ""], NULL, 200).await;
    assert_eq!(names(&list), ["s-dev", "s-prod"], "a machine at another bastion is not seen");
}

/// Waits until permissions have followed what was written.
async fn until(what: &str, is: impl AsyncFn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !is().await {
        assert!(std::time::Instant::now() < deadline, "{what} never came");
        tokio::task::yield_now().await;
    }
}
