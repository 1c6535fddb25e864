//! Tokens of programs and of service accounts.

use crate::session::{IAM, Lab, METAL, NULL, Shown};
use http::HeaderMap;
use lab_object::Json;
use serde_json::json;

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";

fn token(name: &str, spec: Json) -> Json {
    json!({"metadata": {"name": name}, "spec": spec})
}

async fn make(lab: &Lab, name: &str, spec: Json) -> Shown {
    let made = lab.root("POST", &format!("{IAM}/apitokens"), token(name, spec), 201).await;
    Shown::token(made["status"]["token"].as_str().unwrap())
}

#[tokio::test]
async fn a_token_is_shown_once_and_stored_as_its_hash() {
    let lab = Lab::new().await;
    let path = format!("{IAM}/apitokens");
    let made = lab.root("POST", &path, token("one", json!({"user": "u"})), 201).await;
    let text = made["status"]["token"].as_str().unwrap();
    assert!(text.starts_with("lab-api-") && text.len() == 51, "{text}");
    assert_eq!(made["spec"]["tokenHash"], lab_pki::hash_token(text));
    assert!(made["spec"]["expires"].is_string(), "without an end it gets one");
    let stored = lab.root("GET", &format!("{path}/one"), NULL, 200).await;
    assert!(!stored.to_string().contains(text) && stored.get("status").is_none(), "{stored:#}");
    // Nor is it anywhere else: in a dry run there is none, and a change shows none and keeps the hash and the end.
    let dry = lab.root("POST", &format!("{path}?dryRun=All"), token("two", json!({"user": "u"})), 201).await;
    assert_eq!((dry.get("status"), dry["spec"].get("tokenHash")), (None, None));
    let changed = lab.root("PUT", &format!("{path}/one"), token("one", json!({"user": "u"})), 200).await;
    assert_eq!((changed.get("status"), &changed["spec"]), (None, &stored["spec"]));
    for (field, value) in [("tokenHash", json!(format!("sha256:{}", "0".repeat(64)))), ("user", json!("v"))] {
        let mut spec = stored["spec"].clone();
        spec[field] = value;
        lab.root("PUT", &format!("{path}/one"), token("one", spec), 422).await;
    }
    for user in ["system:masters", "server:1", "bastion:b", ""] {
        lab.root("POST", &path, token("bad", json!({"user": user})), 422).await;
    }
    // Who brings a hash is shown no token.
    let hash = lab_pki::hash_token("brought along");
    let brought = lab.root("POST", &path, token("own", json!({"user": "u", "tokenHash": hash})), 201).await;
    assert_eq!(brought.get("status"), None);
    assert_eq!(lab.whoami(&Shown::token("brought along")).await.0, "u");
}

#[tokio::test]
async fn a_token_calls_in_its_users_name_with_a_part_of_their_rights() {
    let lab = Lab::new().await;
    lab.root(
        "POST",
        &format!("{IAM}/users"),
        json!({"metadata": {"name": "u"}, "spec": {"groups": ["team"]}}),
        201,
    )
    .await;
    lab.bind("admin", "Group", "team").await;
    let all = make(&lab, "all", json!({"user": "u"})).await;
    let dev = make(&lab, "dev", json!({"user": "u", "permissions": ["read:*:dev:*"]})).await;
    assert_eq!(lab.whoami(&dev).await, ("u".into(), vec!["system:authenticated".into(), "team".into()]));
    let names = async |shown: &Shown| -> Vec<String> {
        let list = lab.ask(shown, "GET", &format!("{METAL}/servers"), NULL, 200).await;
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["metadata"]["name"].as_str().unwrap().into())
            .collect()
    };
    assert_eq!(names(&all).await, ["s-dev", "s-prod"]);
    assert_eq!(names(&dev).await, ["s-dev"]);
    lab.ask(&dev, "GET", &format!("{METAL}/servers/s-prod"), NULL, 404).await;
    lab.ask(&dev, "DELETE", &format!("{METAL}/servers/s-dev"), NULL, 403).await;
    lab.ask(&dev, "GET", &format!("{IAM}/apitokens"), NULL, 403).await;
    lab.ask(&dev, "POST", &format!("{IAM}/apitokens"), token("more", json!({"user": "u"})), 403).await;
    lab.ask(&dev, "GET", "/backup", NULL, 403).await;
    // Never more than the user may.
    lab.root("DELETE", &format!("{IAM}/rolebindings/admin-team"), NULL, 200).await;
    lab.ask(&all, "GET", &format!("{METAL}/servers"), NULL, 403).await;
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_refused() {
    let lab = Lab::new().await;
    lab.bind("viewer", "User", "u").await;
    let shown = make(&lab, "one", json!({"user": "u"})).await;
    let text = shown.token.clone().unwrap();
    let past = json!({"user": "u", "expires": "2026-01-01T00:00:00Z"});
    let expired = make(&lab, "expired", past).await.token.unwrap();
    let hash = lab_pki::hash_token(&text);
    lab.ask(&shown, "GET", &format!("{METAL}/servers"), NULL, 200).await;
    for wrong in [&text[..text.len() - 1], &format!("{text}A"), &hash, &expired, "a.b.c", "..", "lab-api-"] {
        for path in [&format!("{METAL}/servers"), "/healthz"] {
            lab.ask(&Shown::token(wrong), "GET", path, NULL, 401).await;
        }
    }
    // Two headers, and a call in somebody else's name.
    let mut connection = lab.connect(&shown).await;
    for (name, value, status) in [
        ("authorization", "Bearer other", 401),
        ("impersonate-user", "system:admin", 403),
        ("impersonate-group", "system:masters", 403),
        ("x-remote-user", "admin", 200),
        ("x-remote-group", "system:masters", 200),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        let answer = connection.open("GET", &format!("{METAL}/servers"), NULL, &headers).await;
        assert_eq!(answer.status(), status, "{name}");
        let secrets = connection.open("GET", "/api/v1/secrets", NULL, &headers).await;
        assert_ne!(secrets.status(), 200, "{name} gives nothing");
    }
}

#[tokio::test]
async fn a_watch_ends_with_its_token() {
    let lab = Lab::new().await;
    lab.bind("viewer", "User", "u").await;
    let path = format!("{METAL}/servers?watch=1&resourceVersion=1");
    let path = path.replace("=1&resourceVersion=1", "=1");
    let deleted = make(&lab, "deleted", json!({"user": "u"})).await;
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let expiring = make(&lab, "expiring", json!({"user": "u", "expires": end.to_string()})).await;
    let mut watches = Vec::new();
    for shown in [&deleted, &expiring] {
        let mut connection = lab.connect(shown).await;
        let mut events = connection.watch(&path).await;
        for _ in 0..2 {
            assert_eq!(events.next().await.unwrap()["type"], "ADDED");
        }
        watches.push((connection, events));
    }
    lab.root("DELETE", &format!("{IAM}/apitokens/deleted"), NULL, 200).await;
    watches[0].1.expect_end(401).await;
    assert_eq!(watches[1].1.next().await, None, "it ends when the token does");
    for (connection, _) in &mut watches {
        connection.ask("GET", &format!("{METAL}/servers"), NULL, 401).await;
    }
}

#[tokio::test]
async fn service_accounts_have_tokens() {
    let lab = Lab::new().await;
    let account = json!({"metadata": {"name": "robot"}});
    lab.root("POST", ACCOUNTS, account.clone(), 201).await;
    let ask = async |spec: Json, status: u16| {
        lab.root("POST", &format!("{ACCOUNTS}/robot/token"), json!({"spec": spec}), status).await
    };
    let answer = ask(json!({}), 201).await;
    let shown = Shown::token(answer["status"]["token"].as_str().unwrap());
    assert_eq!(answer["spec"]["expirationSeconds"], 3600);
    let groups = ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"];
    let (user, found) = lab.whoami(&shown).await;
    assert_eq!(
        (user.as_str(), found),
        ("system:serviceaccount:default:robot", groups.map(Into::into).to_vec())
    );
    lab.ask(&shown, "GET", &format!("{METAL}/servers"), NULL, 403).await;
    lab.bind("viewer", "User", "system:serviceaccount:default:robot").await;
    lab.ask(&shown, "GET", &format!("{METAL}/servers"), NULL, 200).await;
    lab.ask(&shown, "GET", &format!("/clusters/other{METAL}/servers"), NULL, 403).await;
    // For others it is not shown to us; an object it could be bound to is not there.
    let other = ask(json!({"audiences": ["vault"]}), 201).await;
    let other = other["status"]["token"].as_str().unwrap();
    lab.ask(&Shown::token(other), "GET", &format!("{METAL}/servers"), NULL, 401).await;
    ask(json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p"}}), 400).await;
    ask(json!({"expirationSeconds": 1}), 422).await;
    let review = async |audiences: Json| {
        let spec = json!({"spec": {"token": other, "audiences": audiences}});
        let answer = lab.root("POST", "/apis/authentication.k8s.io/v1/tokenreviews", spec, 201).await;
        assert!(!answer.to_string().contains(other), "it is not repeated");
        answer["status"].clone()
    };
    let known = review(json!(["vault", "other"])).await;
    assert_eq!(
        (&known["authenticated"], &known["audiences"]),
        (&json!(true), &json!(["vault"])),
        "{known:#}"
    );
    assert_eq!(review(NULL).await["authenticated"], false);
    lab.ask(&shown, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", json!({}), 403).await;
    // It ends with its account, also where another one takes the name; watches end, too.
    let mut connection = lab.connect(&shown).await;
    let mut events = connection.watch(&format!("{METAL}/servers?watch=1")).await;
    for _ in 0..2 {
        assert_eq!(events.next().await.unwrap()["type"], "ADDED");
    }
    lab.root("DELETE", &format!("{ACCOUNTS}/robot"), NULL, 200).await;
    events.expect_end(401).await;
    lab.root("POST", ACCOUNTS, account, 201).await;
    ask(json!({}), 201).await;
    connection.ask("GET", &format!("{METAL}/servers"), NULL, 401).await;
}
