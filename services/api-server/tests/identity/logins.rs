//! People: passwords, keys, and the certificates they are exchanged for.

use crate::session::{IAM, Lab, METAL, NULL, Shown, request};
use lab_object::Json;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::json;
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};

const PASSWORD: &str = "correct horse battery";

async fn user(lab: &Lab, name: &str, spec: Json) {
    lab.root("POST", &format!("{IAM}/users"), json!({"metadata": {"name": name}, "spec": spec}), 201).await;
}

async fn set_password(lab: &Lab, name: &str, password: &str) -> Json {
    let body = json!({"spec": {"password": password}});
    lab.root("POST", &format!("{IAM}/users/{name}/password"), body, 201).await
}

async fn log_in(lab: &Lab, from: u8, spec: Json, status: u16) -> Json {
    lab.ask(&Shown::default().from(from), "POST", &format!("{IAM}/logins"), json!({"spec": spec}), status)
        .await
}

/// Hashes of passwords computed so far.
fn hashes(lab: &Lab) -> u64 {
    let figures = lab.server.metrics().render();
    let line = figures.lines().find_map(|line| line.strip_prefix("apiserver_password_hashes_total "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_password_is_stored_as_a_hash_and_shown_nowhere() {
    let lab = Lab::new().await;
    user(&lab, "u", json!({})).await;
    let path = format!("{IAM}/users/u/password");
    for (spec, status) in [
        (json!({"password": "short"}), 422),
        (json!({"password": "x".repeat(1025)}), 422),
        (json!({"password": 12_345_678}), 400),
        (json!({}), 422),
    ] {
        let refused = lab.root("POST", &path, json!({"spec": spec}), status).await.to_string();
        assert!(!refused.contains("short") && !refused.contains("12345678"), "{refused}");
    }
    let dry = format!("{path}?dryRun=All");
    lab.root("POST", &dry, json!({"spec": {"password": PASSWORD}}), 201).await;
    assert_eq!(lab.root("GET", &format!("{IAM}/users/u"), NULL, 200).await["spec"], json!({}));
    let answer = set_password(&lab, "u", PASSWORD).await;
    let user = lab.root("GET", &format!("{IAM}/users/u"), NULL, 200).await;
    assert_eq!(user["spec"]["password"], json!({"namespace": "kube-system", "name": "password.u"}));
    let secret = lab.root("GET", "/api/v1/namespaces/kube-system/secrets/password.u", NULL, 200).await;
    assert_eq!(
        secret["metadata"]["ownerReferences"][0]["uid"], user["metadata"]["uid"],
        "it goes with the user"
    );
    for shown in [answer, user, secret] {
        assert!(!shown.to_string().contains(PASSWORD), "{shown:#}");
    }
    lab.root("POST", &format!("{IAM}/users/none/password"), json!({"spec": {"password": PASSWORD}}), 404)
        .await;
    lab.root("GET", &path, NULL, 405).await;
}

#[tokio::test]
async fn a_password_is_exchanged_for_a_certificate() {
    let lab = Lab::new().await;
    user(&lab, "u", json!({"groups": ["team"]})).await;
    set_password(&lab, "u", PASSWORD).await;
    lab.bind("viewer", "Group", "team").await;
    let key = KeyPair::generate().unwrap();
    let spec =
        json!({"user": "u", "password": PASSWORD, "request": request(&key), "expirationSeconds": 3600});
    let answer = log_in(&lab, 1, spec, 201).await;
    assert!(!answer.to_string().contains(PASSWORD));
    let status = &answer["status"];
    assert_eq!((&status["identity"], status.get("challenge")), (&json!("u"), None));
    assert_eq!(status["certificateAuthority"], lab.authority.certificate_pem());
    let shown = Shown::pem(status["certificate"].as_str().unwrap(), &key);
    let groups = ["lab:login", "system:authenticated", "team"].map(ToOwned::to_owned).to_vec();
    let (name, mut found) = lab.whoami(&shown).await;
    found.sort();
    assert_eq!((name.as_str(), found), ("u", groups));
    lab.ask(&shown, "GET", &format!("{METAL}/servers"), NULL, 200).await;
    let user = lab.root("GET", &format!("{IAM}/users/u"), NULL, 200).await;
    assert!(user["status"]["lastLogin"].is_string(), "{user:#}");
    // Leaving the group counts at once; so does being locked out, and being gone.
    let mut connection = lab.connect(&shown).await;
    lab.root("PATCH", &format!("{IAM}/users/u"), json!({"spec": {"groups": null}}), 200).await;
    connection.ask("GET", &format!("{METAL}/servers"), NULL, 403).await;
    lab.root("PATCH", &format!("{IAM}/users/u"), json!({"spec": {"groups": ["team"]}}), 200).await;
    connection.ask("GET", &format!("{METAL}/servers"), NULL, 200).await;
    lab.root("PATCH", &format!("{IAM}/users/u"), json!({"spec": {"disabled": true}}), 200).await;
    connection.ask("GET", "/apis", NULL, 403).await;
    log_in(&lab, 1, json!({"user": "u", "password": PASSWORD, "request": request(&key)}), 401).await;
    lab.root("DELETE", &format!("{IAM}/users/u"), NULL, 200).await;
    connection.ask("GET", "/apis", NULL, 403).await;
}

#[tokio::test]
async fn users_change_their_own_password() {
    let lab = Lab::new().await;
    for name in ["u", "v"] {
        user(&lab, name, json!({})).await;
        set_password(&lab, name, PASSWORD).await;
    }
    let shown = Shown::issued(&lab.certificate("u", &[]));
    let path = format!("{IAM}/users/u/password");
    let body = |current: Json| json!({"spec": {"password": "something else", "currentPassword": current}});
    lab.ask(&shown, "POST", &path, body(NULL), 422).await;
    lab.ask(&shown, "POST", &path, body("wrong".into()), 401).await;
    lab.ask(&shown, "POST", &format!("{IAM}/users/v/password"), body(PASSWORD.into()), 403).await;
    lab.ask(&shown, "POST", &path, body(PASSWORD.into()), 201).await;
    let key = KeyPair::generate().unwrap();
    log_in(&lab, 1, json!({"user": "u", "password": PASSWORD, "request": request(&key)}), 401).await;
    log_in(&lab, 1, json!({"user": "u", "password": "something else", "request": request(&key)}), 201).await;
    // A token does not suffice: its holder is not the user.
    let token = json!({"metadata": {"name": "t"}, "spec": {"user": "u"}});
    let made = lab.root("POST", &format!("{IAM}/apitokens"), token, 201).await;
    let token = Shown::token(made["status"]["token"].as_str().unwrap());
    lab.ask(&token, "POST", &path, body("something else".into()), 403).await;
}

#[tokio::test]
async fn a_key_signs_a_challenge() {
    let lab = Lab::new().await;
    let ssh = |seed: u8| PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
    user(&lab, "u", json!({"publicKeys": [ssh(1).public_key().to_openssh().unwrap()]})).await;
    user(&lab, "v", json!({"publicKeys": [ssh(2).public_key().to_openssh().unwrap()]})).await;
    let key = KeyPair::generate().unwrap();
    let challenge = async |user: &str| {
        let answer = log_in(&lab, 1, json!({"user": user, "request": request(&key)}), 201).await;
        assert_eq!(answer["status"].get("certificate"), None);
        answer["status"]["challenge"].as_str().unwrap().to_owned()
    };
    let sign = |seed: u8, namespace: &str, challenge: &str, user: &str, request: &str| {
        let text = format!("login@lab\n{challenge}\n{user}\n{request}");
        ssh(seed).sign(namespace, HashAlg::Sha512, text.as_bytes()).unwrap().to_pem(LineEnding::LF).unwrap()
    };
    let given = challenge("u").await;
    let mine = request(&key);
    let spec = |user: &str, challenge: &str, request: &str, signature: String| json!({"user": user, "challenge": challenge, "request": request, "signature": signature});
    let good = spec("u", &given, &mine, sign(1, "login@lab", &given, "u", &mine));
    let answer = log_in(&lab, 1, good, 201).await;
    let shown = Shown::pem(answer["status"]["certificate"].as_str().unwrap(), &key);
    assert_eq!(lab.whoami(&shown).await.0, "u");
    // Of another user's key, purpose, challenge or request a signature is worth nothing; nor is one for somebody unknown.
    let other = request(&KeyPair::generate().unwrap());
    let unknown = challenge("nobody").await;
    let theirs = challenge("v").await;
    for wrong in [
        spec("u", &given, &mine, sign(2, "login@lab", &given, "u", &mine)),
        spec("u", &given, &mine, sign(1, "file", &given, "u", &mine)),
        spec("u", &theirs, &mine, sign(1, "login@lab", &theirs, "u", &mine)),
        spec("u", "", &mine, sign(1, "login@lab", "", "u", &mine)),
        spec("u", &given, &other, sign(1, "login@lab", &given, "u", &mine)),
        spec("v", &given, &mine, sign(1, "login@lab", &given, "u", &mine)),
        spec("nobody", &unknown, &mine, sign(1, "login@lab", &unknown, "nobody", &mine)),
    ] {
        log_in(&lab, 1, wrong, 401).await;
    }
}

#[tokio::test]
async fn what_is_no_login_is_refused_before_anything_is_computed() {
    let lab = Lab::new().await;
    let key = KeyPair::generate().unwrap();
    let named = |kind: DnType, name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(kind, name);
        params.serialize_request(&key).unwrap().pem().unwrap()
    };
    let extra = CertificateParams::new(vec!["labd.example".to_owned()]).unwrap();
    let extra = extra.serialize_request(&key).unwrap().pem().unwrap();
    let before = hashes(&lab);
    for (user, request) in [
        ("u", named(DnType::CommonName, "admin")),
        ("u", named(DnType::OrganizationName, "system:masters")),
        ("u", extra),
        ("u", "no request".to_owned()),
        ("../secrets/x", request(&key)),
        ("U", request(&key)),
        ("server:1", request(&key)),
    ] {
        log_in(&lab, 1, json!({"user": user, "password": PASSWORD, "request": request}), 422).await;
    }
    log_in(&lab, 1, json!({"user": "u", "password": 7, "request": request(&key)}), 400).await;
    let large = "x".repeat(70_000);
    log_in(&lab, 1, json!({"user": "u", "password": large, "request": request(&key)}), 413).await;
    assert_eq!(hashes(&lab), before);
    lab.ask(&Shown::default(), "GET", &format!("{IAM}/logins"), NULL, 405).await;
    lab.ask(&Shown::default(), "POST", &format!("/clusters/other{IAM}/logins"), json!({}), 401).await;
}

#[tokio::test]
async fn guessing_is_slow_and_says_nothing() {
    let lab = Lab::new().await;
    user(&lab, "known", json!({})).await;
    set_password(&lab, "known", PASSWORD).await;
    user(&lab, "locked", json!({"disabled": true})).await;
    set_password(&lab, "locked", PASSWORD).await;
    user(&lab, "without", json!({})).await;
    let key = KeyPair::generate().unwrap();
    let spec =
        |user: &str, password: &str| json!({"user": user, "password": password, "request": request(&key)});
    // Whoever it is, known or not, the same is computed and the same is answered.
    let mut answers = Vec::new();
    for (user, password) in
        [("known", "wrong"), ("unknown", "wrong"), ("locked", PASSWORD), ("without", "wrong")]
    {
        let before = hashes(&lab);
        answers.push(log_in(&lab, 1, spec(user, password), 401).await);
        assert_eq!(hashes(&lab), before + 1, "{user}");
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
    // From whichever address: after ten wrong ones a user is not asked any more, not even with the right one.
    for guess in 0..9 {
        log_in(&lab, 2 + guess, spec("known", "wrong"), 401).await;
        log_in(&lab, 2 + guess, spec("unknown", "wrong"), 401).await;
    }
    let before = hashes(&lab);
    for user in ["known", "unknown"] {
        let refused = log_in(&lab, 40, spec(user, PASSWORD), 429).await;
        assert!(refused["details"]["retryAfterSeconds"].as_u64().unwrap() > 60, "{refused:#}");
    }
    assert_eq!(hashes(&lab), before, "nothing is computed for who is not let through");
    // Who administers users sees it.
    let locked = async || {
        lab.root("GET", &format!("{IAM}/users/known"), NULL, 200).await["status"]["lockedUntil"].clone()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while locked().await.is_null() {
        assert!(std::time::Instant::now() < deadline, "it is not noted");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    lab.root("GET", &format!("{IAM}/users/unknown"), NULL, 404).await;
    // Nobody else is concerned.
    set_password(&lab, "without", PASSWORD).await;
    log_in(&lab, 1, spec("without", PASSWORD), 201).await;
}

#[tokio::test]
async fn an_address_guesses_no_more_than_so_many() {
    let lab = Lab::new().await;
    let spec = |n: usize| json!({"spec": {"token": format!("lab-join-{n}"), "name": "b", "request": request(&KeyPair::generate().unwrap())}});
    let path = format!("{IAM}/enrolments");
    let mut from = lab.connect(&Shown::default().from(9)).await;
    for n in 0..60 {
        from.ask("POST", &path, spec(n), 401).await;
    }
    from.ask("POST", &path, spec(60), 429).await;
    lab.ask(&Shown::default().from(10), "POST", &path, spec(61), 401).await;
}
