//! Machines by the client they use.

use crate::session::{IAM, Lab, METAL, NULL};
use lab_client::{Client, Fault, Invitation, Joiner, enrol, renew};
use lab_object::Json;
use lab_pki::Authority;
use serde_json::json;
use std::time::SystemTime;

fn invitation(server: &str, pin: &str, token: &str) -> Invitation {
    Invitation { server: server.into(), ca_hash: pin.into(), token: token.into(), proxy: None }
}

#[tokio::test]
async fn a_machine_joins_by_the_hash_of_the_authoritys_key() {
    let lab = Lab::new().await;
    let object = json!({"metadata": {"name": "t"}, "spec": {"joiner": "bastion"}});
    let made = lab.root("POST", &format!("{IAM}/jointokens"), object, 201).await;
    let token = made["status"]["token"].as_str().unwrap();
    let server = format!("https://{}", lab.address);
    let joiner = Joiner { name: Some("b".into()), ..Joiner::default() };
    // Another server's hash, and what is none: nothing is sent.
    let dir = tempfile::tempdir().unwrap();
    let other = Authority::load_or_create(dir.path(), SystemTime::now()).unwrap().pin();
    for pin in [other.as_str(), "sha256:12", ""] {
        let error = enrol(&invitation(&server, pin, token), &joiner).await.unwrap_err();
        let fault = match &error {
            lab_client::EnrolError::Call { source } => source.fault().cloned(),
            _ => None,
        };
        assert!(pin != other || fault == Some(Fault::UnknownIssuer), "{error:?}");
    }
    let unused = lab.root("GET", &format!("{IAM}/jointokens/t"), NULL, 200).await;
    assert_eq!(unused.get("status"), None);
    let joined = enrol(&invitation(&server, &lab.authority.pin(), token), &joiner).await.unwrap();
    assert_eq!(
        (joined.identity.as_str(), joined.authority.as_str()),
        ("bastion:b", lab.authority.certificate_pem())
    );
    assert!(!format!("{joined:?}").contains("PRIVATE"));
    let client = Client::connect("bastion", &joined.connection(&server)).unwrap();
    let own: Json = client.get_json(&format!("{METAL}/bastions/b")).await.unwrap();
    assert_eq!(own["metadata"]["name"], "b");
    let next = renew(&client).await.unwrap();
    assert!(next.identity == joined.identity && next.key != joined.key && next.expires >= joined.expires);
    let client = Client::connect("bastion", &next.connection(&server)).unwrap();
    client.get_json::<Json>(&format!("{METAL}/bastions/b")).await.unwrap();
    assert!(
        enrol(&invitation(&server, &lab.authority.pin(), token), &joiner).await.is_err(),
        "the token is used up"
    );
}
