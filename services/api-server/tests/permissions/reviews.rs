//! Who am I, may I do this, what may I do.

use crate::session::{Session, caller};
use lab_object::Json;
use serde_json::json;

const WHOAMI: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const CAN_I: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const RULES: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";

#[tokio::test]
async fn who_am_i() {
    let lab = Session::new().await;
    let user = json!({"metadata": {"name": "dev-1"}, "spec": {"groups": ["developers"]}});
    lab.root("POST", "/apis/iam.lab/v1alpha1/users", user, 201).await;
    for path in [WHOAMI, "/apis/authentication.k8s.io/v1beta1/selfsubjectreviews"] {
        let body = json!({"kind": "SelfSubjectReview"});
        let answer =
            lab.request(caller("dev-1", &["a"]), ["POST", path, "application/json"], body, 201).await;
        let info = &answer["status"]["userInfo"];
        let expected = json!({"username": "dev-1", "groups": ["a", "developers", "system:authenticated"]});
        assert_eq!(*info, expected, "{answer:#}");
    }
    lab.by("dev-1", "GET", WHOAMI, Json::Null, 405).await;
    lab.by("system:anonymous", "POST", WHOAMI, json!({}), 401).await;
}

#[tokio::test]
async fn may_i() {
    let lab = Session::new().await;
    let check = async |user: &str, verb: &str, what: &str, expected: bool| {
        let (resource, name) = what.split_once(' ').unwrap_or((what, ""));
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        let attributes = json!({"verb": verb, "group": group, "resource": resource, "name": name});
        let body = json!({"spec": {"resourceAttributes": attributes}});
        let answer = lab.by(user, "POST", CAN_I, body, 201).await;
        assert_eq!(answer["status"]["allowed"], expected, "{user} {verb} {what}: {answer:#}");
    };
    check("dev-1", "list", "servers.metal.lab", true).await;
    check("dev-1", "get", "servers.metal.lab s-dev", true).await;
    check("dev-1", "patch", "servers.metal.lab s-dev", true).await;
    check("dev-1", "get", "servers.metal.lab s-prod", false).await;
    check("dev-1", "get", "servers.metal.lab s-none", false).await;
    check("dev-1", "delete", "servers.metal.lab s-dev", false).await;
    check("dev-1", "delete", "servers.metal.lab", false).await;
    check("dev-admin", "delete", "servers.metal.lab", true).await;
    check("dev-1", "get", "networks.metal.lab", true).await;
    check("dev-1", "get", "secrets", false).await;
    check("dev-1", "*", "*.*", false).await;
    check("system:test", "get", "secrets", false).await;
    for (path, user, expected) in
        [("/metrics", "dev-1", false), ("/apis", "dev-1", true), ("/backup", "dev-admin", false)]
    {
        let body = json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": path}}});
        let answer = lab.by(user, "POST", CAN_I, body, 201).await;
        assert_eq!(answer["status"]["allowed"], expected, "{path}");
    }
    let all = json!({"spec": {"resourceAttributes": {"verb": "*", "group": "*", "resource": "*"}}});
    assert_eq!(lab.root("POST", CAN_I, all, 201).await["status"], json!({"allowed": true}));
    let refused = lab.by("dev-1", "POST", CAN_I, json!({"spec": {}}), 422).await;
    assert_eq!(refused["details"]["causes"][0]["field"], "spec.resourceAttributes");
}

#[tokio::test]
async fn what_may_i() {
    let lab = Session::new().await;
    let body = json!({"spec": {"namespace": "default"}});
    let all = lab.root("POST", RULES, body.clone(), 201).await;
    let every = json!(["*"]);
    assert_eq!(
        all["status"]["resourceRules"],
        json!([{"verbs": every, "apiGroups": every, "resources": every}])
    );
    assert_eq!(all["status"]["nonResourceRules"], json!([{"verbs": every, "nonResourceURLs": every}]));
    assert_eq!(all["status"]["incomplete"], false);
    let some = lab.by("dev-1", "POST", RULES, body, 201).await;
    let rules = some["status"]["resourceRules"].as_array().unwrap();
    let of = |resource: &str| {
        rules
            .iter()
            .find(|rule| rule["resources"].as_array().unwrap().contains(&resource.into()))
            .map(|r| r["verbs"].clone())
    };
    assert_eq!(of("servers"), Some(json!(["create", "get", "list", "patch", "update", "watch"])));
    assert_eq!(of("networks"), Some(json!(["get", "list", "watch"])));
    assert_eq!(of("secrets"), None);
    assert_eq!(some["status"]["incomplete"], true);
    assert!(some["status"]["evaluationError"].as_str().unwrap().contains("servers.metal.lab"));
}
