//! Machines: how they come in, renew their certificates, and are kept out.

use crate::session::{IAM, Lab, METAL, NULL, Shown, request};
use futures_util::future::join_all;
use lab_object::Json;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::json;

const ENROL: &str = "/apis/iam.lab/v1alpha1/enrolments";

async fn token(lab: &Lab, name: &str, spec: Json) -> String {
    let object = json!({"metadata": {"name": name}, "spec": spec});
    let made = lab.root("POST", &format!("{IAM}/jointokens"), object, 201).await;
    let token = made["status"]["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("lab-join-"));
    token
}

/// Joins with a new key; what the machine shows from then on.
async fn join(lab: &Lab, spec: Json, status: u16) -> (Json, Shown) {
    let key = KeyPair::generate().unwrap();
    let mut spec = spec;
    spec["request"] = request(&key).into();
    let answer = lab.ask(&Shown::default(), "POST", ENROL, json!({"spec": spec}), status).await;
    let shown = match answer["status"]["certificate"].as_str() {
        Some(certificate) => Shown::pem(certificate, &key),
        None => Shown::default(),
    };
    (answer, shown)
}

#[tokio::test]
async fn a_bastion_joins_once() {
    let lab = Lab::new().await;
    let once = token(&lab, "t", json!({"joiner": "bastion", "site": "home"})).await;
    let (answer, shown) = join(&lab, json!({"token": once, "name": "home-1"}), 201).await;
    assert!(!answer.to_string().contains(&once));
    assert_eq!(answer["status"]["identity"], "bastion:home-1");
    assert_eq!(lab.whoami(&shown).await.0, "bastion:home-1");
    let own = lab.ask(&shown, "GET", &format!("{METAL}/bastions/home-1"), NULL, 200).await;
    assert_eq!(
        (&own["spec"]["site"], &own["status"]["certificateExpires"]),
        (&json!("home"), &answer["status"]["expires"])
    );
    lab.ask(&shown, "GET", &format!("{IAM}/jointokens"), NULL, 403).await;
    let token = lab.root("GET", &format!("{IAM}/jointokens/t"), NULL, 200).await;
    assert_eq!(
        (&token["status"]["used"], &token["status"]["lastIdentity"]),
        (&json!(1), &json!("bastion:home-1"))
    );
    // A token that was used, that is cut off, that is another kind's.
    join(&lab, json!({"token": once, "name": "home-1"}), 401).await;
    join(&lab, json!({"token": &once[..once.len() - 3], "name": "home-1"}), 401).await;
    join(&lab, json!({"token": "", "name": "home-1"}), 401).await;
    // Of another site nobody stands in.
    let away = self::token(&lab, "away", json!({"joiner": "bastion", "site": "away", "uses": 2})).await;
    join(&lab, json!({"token": away, "name": "home-1"}), 403).await;
    join(&lab, json!({"token": away}), 403).await;
    join(&lab, json!({"token": away, "name": "../servers/x"}), 422).await;
    let late = json!({"joiner": "bastion", "expires": "2026-01-01T00:00:00Z"});
    let late = self::token(&lab, "late", late).await;
    join(&lab, json!({"token": late, "name": "b"}), 401).await;
    lab.root("DELETE", &format!("{IAM}/jointokens/away"), NULL, 200).await;
    join(&lab, json!({"token": away, "name": "away-1"}), 401).await;
}

#[tokio::test]
async fn two_that_come_at_once_do_not_both_come_in_by_the_last_use() {
    let lab = Lab::new().await;
    let three = token(&lab, "t", json!({"joiner": "bastion", "uses": 3})).await;
    let joiners = (0..8).map(|n| {
        let (lab, three) = (&lab, three.clone());
        async move {
            let key = KeyPair::generate().unwrap();
            let body = json!({"spec": {"token": three, "name": format!("b-{n}"), "request": request(&key)}});
            let mut connection = lab.connect(&Shown::default()).await;
            connection.open("POST", ENROL, body, &Default::default()).await.status().as_u16()
        }
    });
    let mut answers = join_all(joiners).await;
    answers.sort_unstable();
    assert_eq!(answers, [201, 201, 201, 401, 401, 401, 401, 401]);
    let token = lab.root("GET", &format!("{IAM}/jointokens/t"), NULL, 200).await;
    assert_eq!(token["status"]["used"], 3);
}

#[tokio::test]
async fn an_agent_joins_as_one_server() {
    let lab = Lab::new().await;
    let bound = token(&lab, "bound", json!({"joiner": "agent", "server": "s-dev"})).await;
    join(&lab, json!({"token": bound, "name": "s-prod"}), 403).await;
    let (answer, shown) = join(&lab, json!({"token": bound}), 201).await;
    let server = lab.root("GET", &format!("{METAL}/servers/s-dev"), NULL, 200).await;
    let uid = server["metadata"]["uid"].as_str().unwrap();
    assert_eq!(answer["status"]["identity"], format!("server:{uid}"));
    assert_eq!(server["status"]["agent"]["certificateExpires"], answer["status"]["expires"]);
    let list = lab.ask(&shown, "GET", &format!("{METAL}/servers"), NULL, 200).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "it sees itself");
    lab.ask(&shown, "GET", &format!("{METAL}/servers/s-prod"), NULL, 404).await;
    // A token for many of an environment: known and new machines of it, none that has joined, none of another.
    let many = token(&lab, "many", json!({"joiner": "agent", "environment": "dev", "uses": 9})).await;
    join(&lab, json!({"token": many, "name": "s-dev"}), 403).await;
    join(&lab, json!({"token": many, "name": "s-prod"}), 403).await;
    join(&lab, json!({"token": many}), 403).await;
    let mac = "52:54:00:12:34:56";
    join(&lab, json!({"token": many, "macs": [mac]}), 201).await;
    let entered = lab.root("GET", &format!("{METAL}/servers/{mac}"), NULL, 200).await;
    assert_eq!(
        (&entered["metadata"]["name"], &entered["spec"]["environment"]),
        (&json!("52-54-00-12-34-56"), &json!("dev"))
    );
    join(&lab, json!({"token": many, "macs": [mac]}), 403).await;
    let used = lab.root("GET", &format!("{IAM}/jointokens/many"), NULL, 200).await;
    assert_eq!(used["status"]["used"], 1, "who is refused uses nothing up");
}

#[tokio::test]
async fn a_request_decides_nothing_about_the_certificate() {
    let lab = Lab::new().await;
    let many = token(&lab, "t", json!({"joiner": "bastion", "uses": 9})).await;
    let key = KeyPair::generate().unwrap();
    let with = |kind: DnType, name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(kind, name);
        params.serialize_request(&key).unwrap().pem().unwrap()
    };
    let extra = CertificateParams::new(vec!["labd.example".to_owned()]).unwrap();
    for request in [
        with(DnType::CommonName, "bastion:other"),
        with(DnType::CommonName, "admin"),
        with(DnType::OrganizationName, "system:masters"),
        extra.serialize_request(&key).unwrap().pem().unwrap(),
        String::new(),
    ] {
        let body = json!({"spec": {"token": many, "name": "b", "request": request}});
        lab.ask(&Shown::default(), "POST", ENROL, body, 422).await;
    }
    assert_eq!(lab.root("GET", &format!("{IAM}/jointokens/t"), NULL, 200).await.get("status"), None);
}

#[tokio::test]
async fn a_certificate_is_renewed_for_the_same_identity() {
    let lab = Lab::new().await;
    let once = token(&lab, "t", json!({"joiner": "bastion"})).await;
    let (_, shown) = join(&lab, json!({"token": once, "name": "b"}), 201).await;
    let key = KeyPair::generate().unwrap();
    let body = |name: &str| json!({"spec": {"request": request(&key), "name": name}});
    let answer = lab.ask(&shown, "POST", ENROL, body("other"), 201).await;
    assert_eq!(answer["status"]["identity"], "bastion:b", "whatever is asked for");
    let next = Shown::pem(answer["status"]["certificate"].as_str().unwrap(), &key);
    assert_eq!(lab.whoami(&next).await, lab.whoami(&shown).await);
    // Nobody, people, programs, and machines that are no more.
    lab.ask(&Shown::default(), "POST", ENROL, body("b"), 401).await;
    let admin = Shown::issued(&lab.certificate("admin", &["system:masters"]));
    lab.ask(&admin, "POST", ENROL, body("b"), 403).await;
    let half = Shown::issued(&lab.certificate("bastion:b", &["others"]));
    lab.ask(&half, "POST", ENROL, body("b"), 403).await;
    let made = json!({"metadata": {"name": "p"}, "spec": {"user": "u"}});
    let made = lab.root("POST", &format!("{IAM}/apitokens"), made, 201).await;
    lab.ask(&Shown::token(made["status"]["token"].as_str().unwrap()), "POST", ENROL, body("b"), 403).await;
    lab.root("DELETE", &format!("{METAL}/bastions/b"), NULL, 200).await;
    lab.ask(&next, "POST", ENROL, body("b"), 401).await;
}

#[tokio::test]
async fn a_machine_that_is_deleted_is_out_at_once() {
    let lab = Lab::new().await;
    let many = token(&lab, "t", json!({"joiner": "bastion", "uses": 9})).await;
    let agents = token(&lab, "a", json!({"joiner": "agent", "environment": "dev", "uses": 9})).await;
    let (_, bastion) = join(&lab, json!({"token": many, "name": "b"}), 201).await;
    let (_, agent) = join(&lab, json!({"token": agents, "name": "s-dev"}), 201).await;
    let servers = format!("{METAL}/servers");
    for (shown, object) in [(&bastion, "bastions/b"), (&agent, "servers/s-dev")] {
        let mut open = lab.connect(shown).await;
        let mut events = open.watch(&format!("{servers}?watch=1&fieldSelector=metadata.name=none")).await;
        open.ask("GET", &servers, NULL, 200).await;
        let path = format!("{METAL}/{object}");
        let mut again = lab.root("GET", &path, NULL, 200).await;
        lab.root("DELETE", &path, NULL, 200).await;
        // On open connections, in running watches, and on new ones.
        events.expect_end(401).await;
        let refused = open.ask("GET", &servers, NULL, 401).await;
        assert!(refused["message"].as_str().unwrap().contains("was deleted"), "{refused:#}");
        lab.ask(shown, "GET", &servers, NULL, 401).await;
        // What is made in its place is another machine. (Times are of whole seconds.)
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        again["metadata"] = json!({"name": again["metadata"]["name"]});
        again.as_object_mut().unwrap().remove("status");
        let (collection, _) = path.rsplit_once('/').unwrap();
        lab.root("POST", collection, again, 201).await;
        lab.ask(shown, "GET", &servers, NULL, 401).await;
    }
    let (_, bastion) = join(&lab, json!({"token": many, "name": "b"}), 201).await;
    lab.ask(&bastion, "GET", &servers, NULL, 200).await;
}

#[tokio::test]
async fn what_is_revoked_counts_no_more_at_once() {
    let lab = Lab::new().await;
    let many = token(&lab, "t", json!({"joiner": "bastion", "uses": 9})).await;
    let (_, shown) = join(&lab, json!({"token": many, "name": "b"}), 201).await;
    let (_, other) = join(&lab, json!({"token": many, "name": "c"}), 201).await;
    let path = format!("{METAL}/servers");
    let mut open = lab.connect(&shown).await;
    let mut unconcerned = lab.connect(&other).await;
    let mut events = open.watch(&format!("{path}?watch=1&fieldSelector=metadata.name=none")).await;
    open.ask("GET", &path, NULL, 200).await;
    let revocation = |name: &str, spec: Json| json!({"metadata": {"name": name}, "spec": spec});
    let revocations = format!("{IAM}/certificaterevocations");
    lab.root("POST", &revocations, revocation("b", json!({"user": "bastion:b"})), 201).await;
    events.expect_end(401).await;
    let refused = open.ask("GET", &path, NULL, 401).await;
    assert!(refused["message"].as_str().unwrap().contains("revoked"), "{refused:#}");
    lab.ask(&shown, "GET", &path, NULL, 401).await;
    let key = KeyPair::generate().unwrap();
    lab.ask(&shown, "POST", ENROL, json!({"spec": {"request": request(&key)}}), 401).await;
    unconcerned.ask("GET", &path, NULL, 200).await;
    // One certificate by its number; its user's others go on.
    let (one, two) =
        (lab.certificate("admin", &["system:masters"]), lab.certificate("admin", &["system:masters"]));
    let serial = lab_pki::CertificateFacts::read(&one.certificate).unwrap().serial_number;
    lab.root("POST", &revocations, revocation("one", json!({"serialNumber": serial})), 201).await;
    lab.ask(&Shown::issued(&one), "GET", &path, NULL, 401).await;
    lab.ask(&Shown::issued(&two), "GET", &path, NULL, 200).await;
    // It holds as long as it is there.
    lab.root("DELETE", &format!("{revocations}/one"), NULL, 200).await;
    lab.ask(&Shown::issued(&one), "GET", &path, NULL, 200).await;
    lab.root("POST", &revocations, revocation("none", json!({})), 422).await;
}

#[tokio::test]
async fn a_certificate_used_from_two_places_is_reported() {
    let lab = Lab::new().await;
    let once = token(&lab, "t", json!({"joiner": "bastion"})).await;
    let (_, shown) = join(&lab, json!({"token": once, "name": "b"}), 201).await;
    let path = format!("{METAL}/servers");
    let events = async || {
        let list =
            lab.root("GET", "/api/v1/events?fieldSelector=reason=CertificateUsedTwice", NULL, 200).await;
        list["items"].as_array().unwrap().clone()
    };
    let mut own = lab.connect(&shown.clone().from(1)).await;
    own.ask("GET", &path, NULL, 200).await;
    let mut moved = lab.connect(&shown.clone().from(2)).await;
    moved.ask("GET", &path, NULL, 200).await;
    assert_eq!(events().await.len(), 0, "an address may change");
    own.ask("GET", &path, NULL, 200).await;
    moved.ask("GET", &path, NULL, 200).await;
    let found = events().await;
    assert_eq!(found.len(), 1);
    let object = &found[0]["involvedObject"];
    assert_eq!((&object["kind"], &object["name"]), (&json!("Bastion"), &json!("b")), "{:#}", found[0]);
    let message = found[0]["message"].as_str().unwrap();
    assert!(message.contains("127.0.0.1") && message.contains("127.0.0.2"), "{message}");
}
