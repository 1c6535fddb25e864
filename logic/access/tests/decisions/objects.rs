//! Decisions that hang on what an object says and what becomes of it: moves, approvals, grants, machines.

use crate::site::{access, policy};
use lab_access::{Access, Ask, Facts, Permission, Refusal, Scope, Sight, Verdict, seed};
use lab_object::Json;
use proptest::prelude::*;
use serde_json::json;

/// What is expected: permitted, hidden, or forbidden with these words in the reason.
#[derive(Debug, Clone, Copy)]
enum Expected {
    Permitted,
    Hidden,
    Forbidden(&'static str),
}
use Expected::{Forbidden, Hidden, Permitted};

#[track_caller]
fn judge(access: &Access, ask: &Ask<'_>, old: Option<&Json>, new: Option<&Json>, expected: Expected) {
    match (access.decide(ask, old, new), expected) {
        (Ok(()), Permitted) | (Err(Refusal::Hidden), Hidden) => {}
        (Err(Refusal::Forbidden(why)), Forbidden(words)) if why.contains(words) => {}
        (found, _) => panic!("{ask:?} {old:?} {new:?}: expected {expected:?}, found {found:?}"),
    }
}

fn ask<'a>(verb: &'a str, resource: &'a str) -> Ask<'a> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let group = match resource {
        "servers" | "networks" => "metal.lab",
        "secrets" => "",
        _ => "iam.lab",
    };
    Ask { verb, group, resource, subresource }
}

#[test]
fn servers() {
    let policy = policy();
    #[track_caller]
    fn check(access: &Access, verb: &str, old: Option<&Json>, new: Option<&Json>, expected: Expected) {
        judge(access, &ask(verb, "servers"), old, new, expected);
    }
    let server = |cloud: &str, environment: &str| json!({"metadata": {"name": "s1"}, "spec": {"cloud": cloud, "environment": environment}});
    let (dev, production) = (server("baremetal", "dev"), server("baremetal", "production"));
    let elsewhere = server("hetzner", "dev");
    let unplaced = json!({"metadata": {"name": "52-54-00-12-34-56"}, "spec": {}});
    let with = |field: &str, value: Json| {
        let mut server = dev.clone();
        server["spec"][field] = value;
        server
    };
    let apply = access(&policy, "dev-apply");
    check(&apply, "update", Some(&dev), Some(&with("hostname", "db-1".into())), Permitted);
    // Nobody moves a machine out of or into their reach.
    check(&apply, "update", Some(&dev), Some(&production), Forbidden("apply:baremetal:production:s1"));
    check(&apply, "update", Some(&production), Some(&dev), Hidden);
    check(&apply, "update", Some(&dev), Some(&elsewhere), Forbidden("apply:hetzner:dev:s1"));
    check(&apply, "update", Some(&dev), Some(&unplaced), Forbidden("apply:*:*:52-54-00-12-34-56"));
    check(&apply, "create", None, Some(&production), Forbidden("apply:baremetal:production:s1"));
    check(&apply, "get", Some(&unplaced), None, Hidden);
    // What is lost by it takes destroy.
    let hash = format!("sha256:{}", "a".repeat(64));
    let approve = with("install", json!({"operatingSystem": "debian-13", "approve": hash}));
    let again = with("install", json!({"operatingSystem": "debian-13", "reprovision": 1}));
    let mut spares = dev.clone();
    spares["status"]["plan"] = json!({"hash": hash});
    let mut wipes = spares.clone();
    wipes["status"]["plan"]["destructive"] = true.into();
    check(&apply, "patch", Some(&spares), Some(&approve), Permitted);
    check(&apply, "patch", Some(&wipes), Some(&approve), Forbidden("destroy:baremetal:dev:s1"));
    check(&apply, "patch", Some(&dev), Some(&again), Forbidden("destroy:baremetal:dev:s1"));
    check(&apply, "create", None, Some(&approve), Forbidden("destroy:baremetal:dev:s1"));
    check(&apply, "delete", Some(&dev), None, Forbidden("environment"));
    check(&access(&policy, "operator"), "patch", Some(&wipes), Some(&approve), Permitted);
    check(&access(&policy, "dev-admin"), "patch", Some(&wipes), Some(&approve), Permitted);
    check(&access(&policy, "viewer"), "patch", Some(&wipes), Some(&approve), Forbidden("apply"));
    check(&access(&policy, "viewer"), "get", Some(&unplaced), None, Permitted);
}

#[test]
fn nobody_grants_what_they_do_not_hold() {
    let policy = policy();
    let dev_admin = access(&policy, "dev-admin");
    let role =
        |permissions: &[&str]| json!({"metadata": {"name": "r"}, "spec": {"permissions": permissions}});
    let binding = |role: &str| json!({"metadata": {"name": "b"}, "spec": {"role": role, "subjects": []}});
    #[track_caller]
    fn check(access: &Access, resource: &str, old: Option<&Json>, new: &Json, expected: Expected) {
        let verb = if old.is_some() { "update" } else { "create" };
        judge(access, &ask(verb, resource), old, Some(new), expected);
    }
    let beyond = Forbidden("nobody gives what they do not administer");
    let (own, all) = (role(&["admin:*:dev:*"]), role(&["read:*:*:*"]));
    check(&dev_admin, "roles", None, &own, Permitted);
    check(&dev_admin, "roles", None, &role(&["read:baremetal:dev:s1", "destroy:*:dev:*"]), Permitted);
    check(&dev_admin, "roles", None, &all, beyond);
    check(&dev_admin, "roles", None, &role(&["*:*:*:*"]), beyond);
    check(&dev_admin, "roles", None, &role(&["read:*:dev:*", "read:*:production:*"]), beyond);
    check(&dev_admin, "roles", None, &role(&["no permission"]), beyond);
    check(&dev_admin, "roles", Some(&own), &all, beyond);
    check(&dev_admin, "roles", Some(&all), &own, Hidden);
    check(&dev_admin, "rolebindings", None, &binding("dev-apply"), Permitted);
    check(&dev_admin, "rolebindings", None, &binding("admin"), beyond);
    check(&dev_admin, "rolebindings", None, &binding("not-there"), beyond);
    check(&dev_admin, "rolebindings", Some(&binding("dev-apply")), &binding("admin"), beyond);
    check(&dev_admin, "rolebindings", Some(&binding("viewer")), &binding("dev-apply"), Hidden);
    let token = |spec: Json| json!({"metadata": {"name": "t"}, "spec": spec});
    let into_dev = token(json!({"joiner": "agent", "environment": "dev"}));
    check(&dev_admin, "jointokens", None, &into_dev, Permitted);
    check(&dev_admin, "jointokens", None, &token(json!({"environment": "dev", "server": "s1"})), Permitted);
    check(&dev_admin, "jointokens", None, &token(json!({"joiner": "agent"})), Forbidden("admin:*:*:*"));
    check(&dev_admin, "jointokens", None, &token(json!({"server": "s1"})), Forbidden("admin:*:*:s1"));
    let into_production = token(json!({"environment": "production"}));
    check(&dev_admin, "jointokens", Some(&into_dev), &into_production, Forbidden("admin:*:production:*"));
    for (resource, object) in [("roles", &own), ("jointokens", &into_dev), ("users", &own), ("secrets", &own)]
    {
        check(&access(&policy, "operator"), resource, None, object, Forbidden("admin"));
        check(&access(&policy, "admin"), resource, None, object, Permitted);
    }
}

#[test]
fn machines() {
    let policy = policy();
    let of = |user: &str, groups: &[&str]| {
        policy.access(user, &groups.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    #[track_caller]
    fn check(
        access: &Access,
        verb: &str,
        resource: &str,
        old: Option<Json>,
        new: Option<Json>,
        expected: Expected,
    ) {
        judge(access, &ask(verb, resource), old.as_ref(), new.as_ref(), expected);
    }
    let server = |uid: &str, spec: Json, status: Json| {
        Some(json!({"metadata": {"name": "s1", "uid": uid}, "spec": spec, "status": status}))
    };
    let plain = |uid: &str| server(uid, json!({}), json!({}));
    let one = of("server:uid-1", &["lab:servers"]);
    check(&one, "get", "servers", plain("uid-1"), None, Permitted);
    check(&one, "get", "servers", plain("uid-12"), None, Hidden);
    check(&one, "patch", "servers/status", plain("uid-1"), plain("uid-1"), Permitted);
    check(&one, "patch", "servers/status", plain("uid-2"), plain("uid-1"), Hidden);
    check(&one, "patch", "servers", plain("uid-1"), plain("uid-1"), Forbidden("identity"));
    check(&one, "create", "servers", None, plain("uid-1"), Forbidden("identity"));
    check(&one, "get", "secrets", plain("uid-1"), None, Forbidden("identity"));
    // Half an identity is none: neither the name alone nor the group alone.
    for half in [of("server:uid-1", &[]), of("server:", &["lab:bastions"]), of("uid-1", &["lab:bastions"])] {
        assert!(matches!(half.admit(&ask("patch", "servers/status")), Verdict::Denied(_)), "{half:?}");
    }
    let home = of("bastion:near", &["lab:bastions"]);
    let at = |bastion: &str| server("u", json!({}), json!({"bastion": bastion}));
    let on = |network: &str| {
        server("u", json!({"addresses": [{"address": "10.0.0.5", "network": network}]}), json!({}))
    };
    check(&home, "get", "servers", at("near"), None, Permitted);
    check(&home, "get", "servers", at("beside"), None, Permitted);
    check(&home, "get", "servers", at("far"), None, Hidden);
    check(&home, "get", "servers", on("near"), None, Permitted);
    check(&home, "get", "servers", on("far"), None, Hidden);
    check(&home, "get", "servers", plain("u"), None, Permitted);
    check(&home, "patch", "servers/status", plain("u"), at("near"), Permitted);
    check(&home, "patch", "servers/status", at("near"), at("far"), Forbidden("not this machine's"));
    let once = |boot: Json| server("u", json!({"boot": boot, "hostname": "a"}), json!({"bastion": "near"}));
    let renamed = server("u", json!({"hostname": "b"}), json!({"bastion": "near"}));
    check(&home, "patch", "servers", once(json!({"once": "debug"})), once(json!({})), Permitted);
    check(
        &home,
        "patch",
        "servers",
        once(json!({"once": "debug", "offer": "binl"})),
        once(json!({"offer": "binl"})),
        Permitted,
    );
    for beyond in [once(json!({"once": "local"})), once(json!({"offer": "binl"})), renamed] {
        check(&home, "patch", "servers", once(json!({"once": "debug"})), beyond, Forbidden("spec.boot.once"));
    }
    check(
        &home,
        "patch",
        "servers",
        once(json!({})),
        once(json!({"once": "debug"})),
        Forbidden("spec.boot.once"),
    );
    check(&home, "patch", "servers", at("far"), at("far"), Hidden);
    let secret =
        |namespace: &str, name: &str| Some(json!({"metadata": {"namespace": namespace, "name": name}}));
    check(&home, "get", "secrets", secret("default", "near"), None, Permitted);
    check(&home, "get", "secrets", secret("default", "beside"), None, Permitted);
    check(&home, "get", "secrets", secret("default", "far"), None, Hidden);
    check(&home, "get", "secrets", secret("other", "near"), None, Hidden);
    check(&home, "list", "secrets", secret("default", "near"), None, Forbidden("identity"));
    check(&home, "delete", "servers", at("near"), None, Forbidden("identity"));
    let found = |spec: Json| server("u", spec, json!({}));
    check(
        &home,
        "create",
        "servers",
        None,
        found(json!({"macs": ["52:54:00:12:34:56"], "uuid": "u", "boot": {}})),
        Permitted,
    );
    for beyond in [
        json!({"environment": "dev"}),
        json!({"admin": {"user": "x"}}),
        json!({"install": {"layout": "labvg"}}),
    ] {
        check(&home, "create", "servers", None, found(beyond), Forbidden("spec.macs"));
    }
    let token = |spec: Json| Some(json!({"metadata": {"name": "t"}, "spec": spec}));
    let for_one = |server: &str| json!({"joiner": "agent", "server": server, "uses": 1});
    check(&home, "create", "jointokens", None, token(for_one("near")), Permitted);
    check(&home, "create", "jointokens", None, token(for_one("beside")), Permitted);
    check(&home, "create", "jointokens", None, token(for_one("far")), Forbidden("not this machine's"));
    check(
        &home,
        "create",
        "jointokens",
        None,
        token(json!({"joiner": "agent"})),
        Forbidden("not this machine's"),
    );
    check(&home, "get", "jointokens", token(for_one("near")), None, Forbidden("identity"));
    for beyond in [
        json!({"joiner": "bastion", "server": "near"}),
        json!({"joiner": "agent", "server": "near", "uses": 2}),
        json!({"joiner": "agent", "server": "near", "environment": "production"}),
        json!({"joiner": "agent", "server": "near", "site": "home"}),
    ] {
        check(&home, "create", "jointokens", None, token(beyond), Forbidden("one use"));
    }
    // A bastion of no site that is known has itself.
    let stray = of("bastion:stray", &["lab:bastions"]);
    check(&stray, "get", "servers", at("stray"), None, Permitted);
    check(&stray, "get", "servers", at("near"), None, Hidden);
    check(&stray, "get", "servers", on("near"), None, Hidden);
}

#[test]
fn users_and_groups() {
    let mut policy = policy();
    let none: [String; 0] = [];
    assert_eq!(policy.groups("user-3", &["a".into()]), ["a", "administrators", "system:authenticated"]);
    assert_eq!(policy.access("user-3", &none).admit(&ask("get", "secrets")), Verdict::Allowed);
    let disabled =
        json!({"metadata": {"name": "user-3"}, "spec": {"groups": ["administrators"], "disabled": true}});
    assert!(policy.set("iam.lab", "users", "user-3", Some(&disabled)));
    let locked = policy.access("user-3", &["system:masters".into()]);
    assert_eq!(locked.admit(&ask("get", "servers")), Verdict::Denied("the user is disabled".into()));
    assert!(locked.admit_path("/apis").is_err());
    // What cannot be read locks out instead of letting in.
    let broken = json!({"metadata": {"name": "user-3"}, "spec": {"groups": 5}});
    policy.set("iam.lab", "users", "user-3", Some(&broken));
    assert!(policy.access("user-3", &["system:masters".into()]).admit_path("/apis").is_err());
    // Taking a role or a binding away takes what it gave.
    let before = policy.access("user-4", &none);
    assert!(policy.set("iam.lab", "roles", "dev-apply", None));
    assert_ne!(policy.access("user-4", &none), before);
    assert!(matches!(policy.access("user-4", &none).admit(&ask("get", "servers")), Verdict::Denied(_)));
    // Who logged in has the groups that their User names at present.
    let login = |groups: &[&str]| -> Vec<String> {
        ["lab:login"].iter().chain(groups).map(ToString::to_string).collect()
    };
    assert_eq!(policy.groups("user-7", &login(&["system:masters"])), ["lab:login", "system:authenticated"]);
    assert!(policy.access("user-7", &login(&["system:masters"])).admit_path("/apis").is_err());
    policy.set("iam.lab", "users", "user-7", Some(&json!({"spec": {"groups": ["administrators"]}})));
    assert!(policy.access("user-7", &login(&[])).admit_path("/backup").is_ok());
    policy.set("iam.lab", "users", "user-7", Some(&json!({"spec": {}})));
    assert!(policy.access("user-7", &login(&["administrators"])).admit_path("/backup").is_err());
    // To everybody who is known.
    let everybody =
        json!({"spec": {"role": "viewer", "subjects": [{"kind": "Group", "name": "system:authenticated"}]}});
    assert!(policy.set("iam.lab", "rolebindings", "everybody", Some(&everybody)));
    assert_eq!(policy.access("user-4", &none).admit(&ask("get", "servers")), Verdict::Allowed);
}

#[test]
fn a_token_narrows_and_never_widens() {
    let policy = policy();
    let server = |environment: &str| json!({"metadata": {"name": "s1"}, "spec": {"cloud": "baremetal", "environment": environment}});
    let (dev, production) = (server("dev"), server("production"));
    let check = |identity: &str, to: &[&str], verb: &str, on: &Json, expected: bool| {
        let to: Vec<Permission> = to.iter().map(|text| text.parse().expect("it is a permission")).collect();
        let narrowed = access(&policy, identity).narrowed(&to, &policy);
        let new = (verb == "update").then_some(on);
        let found = narrowed.decide(&ask(verb, "servers"), Some(on), new).is_ok();
        assert_eq!(found, expected, "{identity} {to:?} {verb} {on}");
    };
    check("masters", &["read:*:dev:*"], "get", &dev, true);
    check("masters", &["read:*:dev:*"], "get", &production, false);
    check("masters", &["read:*:*:*"], "update", &dev, false);
    check("masters", &[], "get", &dev, false);
    check("dev-apply", &["admin:*:*:*"], "update", &dev, true);
    check("dev-apply", &["admin:*:*:*"], "delete", &dev, false);
    check("dev-apply", &["admin:*:*:*"], "get", &production, false);
    check("viewer", &["admin:hetzner:*:*"], "get", &dev, false);
    check("server", &["admin:*:*:*"], "get", &dev, false);
    check("disabled", &["admin:*:*:*"], "get", &dev, false);
    // Nobody makes themselves another token with more.
    let to = ["destroy:*:*:*".parse().expect("it is a permission")];
    let narrowed = access(&policy, "masters").narrowed(&to, &policy);
    for resource in
        ["apitokens", "users", "users/password", "secrets", "jointokens", "certificaterevocations"]
    {
        assert!(matches!(narrowed.admit(&ask("create", resource)), Verdict::Denied(_)), "{resource}");
    }
    assert!(narrowed.admit_path("/backup").is_err());
}

#[test]
fn paths_and_rules() {
    let policy = policy();
    let check = |identity: &str, path: &str, expected: bool| {
        assert_eq!(access(&policy, identity).admit_path(path).is_ok(), expected, "{identity} {path}");
    };
    for (path, by) in
        [("/apis", "unbound"), ("/metrics", "viewer"), ("/backup", "admin"), ("/apis", "server")]
    {
        check(by, path, true);
    }
    for (path, by) in
        [("/metrics", "dev-admin"), ("/backup", "operator"), ("/backup", "server"), ("/apis", "disabled")]
    {
        check(by, path, false);
    }
    let registry = lab_kinds::registry();
    let rules = |identity: &str| access(&policy, identity).rules(&registry);
    let lines = |identity: &str| -> Vec<String> {
        let line = |rule: &lab_access::review::ResourceRule| {
            format!("{} {}: {}", rule.api_groups.join(","), rule.resources.join(","), rule.verbs.join(","))
        };
        rules(identity).resources.iter().map(line).collect()
    };
    let reviews = [
        "authentication.k8s.io selfsubjectreviews: create",
        "authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews: create",
    ];
    assert_eq!(lines("masters"), ["* *: *"]);
    assert_eq!(lines("unbound"), reviews);
    assert_eq!(
        lines("server"),
        [
            &reviews[..],
            &[
                "metal.lab servers: get,list,watch",
                "metal.lab servers/status: get,patch,update",
                "metal.lab servers/tunnel: create"
            ]
        ]
        .concat()
    );
    assert_eq!(rules("server").partial, ["servers.metal.lab"]);
    assert_eq!(rules("viewer").partial, [""; 0]);
    assert!(lines("dev-apply").contains(&"metal.lab servers: create,get,list,patch,update,watch".into()));
    assert_eq!(lines("disabled"), [""; 0]);
}

#[test]
fn seeded_roles_are_valid_and_include_one_another() {
    let permissions: Vec<Vec<Permission>> = seed::roles()
        .iter()
        .map(|role| role.spec.permissions.iter().map(|p| p.parse().expect("it is a permission")).collect())
        .collect();
    for pair in permissions.windows(2) {
        assert!(pair[0].iter().all(|weaker| pair[1].iter().any(|stronger| stronger.covers(weaker))));
    }
    assert_eq!(
        seed::roles().iter().filter_map(|role| role.metadata.name.clone()).collect::<Vec<_>>(),
        ["viewer", "operator", "admin"]
    );
}

fn any_server() -> impl Strategy<Value = Json> {
    let part = || prop::option::of(prop::sample::select(vec!["baremetal", "dev", "production"]));
    (part(), part()).prop_map(|(cloud, environment)| {
        let mut server = json!({"metadata": {"name": "s1"}, "spec": {}});
        for (field, value) in [("cloud", cloud), ("environment", environment)] {
            if let Some(value) = value {
                server["spec"][field] = value.into();
            }
        }
        server
    })
}

proptest! {
    /// A list shows exactly what can be read one by one, however it is found out.
    #[test]
    fn lists_agree_with_single_objects(server in any_server(), identity in prop::sample::select(vec!["viewer", "dev-apply", "dev-admin", "unbound"])) {
        let access = access(&policy(), identity);
        let one = access.decide(&ask("get", "servers"), Some(&server), None).is_ok();
        let bytes = server.to_string();
        let facts = Facts::read(bytes.as_bytes()).expect("it is an object");
        prop_assert_eq!(access.sees(&ask("list", "servers"), &facts), one);
        let at = Scope { cloud: facts.cloud(), environment: facts.environment(), server: facts.name() };
        prop_assert_eq!(access.sees_server(at), Some(one));
        let together = access.sees_servers_at(facts.cloud(), facts.environment());
        match together {
            Some(Sight::All) => prop_assert!(one),
            Some(Sight::None) => prop_assert!(!one),
            Some(Sight::Some) => {}
            None => prop_assert!(false, "no machine was asked about"),
        }
    }

    /// Who may do more may do what takes less.
    #[test]
    fn stronger_actions_include_weaker_ones(server in any_server(), identity in prop::sample::select(vec!["viewer", "operator", "dev-apply", "dev-admin"])) {
        let access = access(&policy(), identity);
        let may = |verb: &str| {
            let (old, new) = match verb { "update" => (Some(&server), Some(&server)), _ => (Some(&server), None) };
            access.decide(&ask(verb, "servers"), old, new).is_ok()
        };
        prop_assert!(!may("update") || may("get"));
        prop_assert!(!may("delete") || may("update"));
    }
}
