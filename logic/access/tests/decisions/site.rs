//! The installation that the tables are about: a site "home" and one "away", environments dev and production.

use lab_access::{Access, Policy, seed};
use lab_object::Json;
use serde_json::json;

/// Who asks: the name in the tables, the user and the groups of their certificate.
pub const IDENTITIES: [(&str, &str, &[&str]); 10] = [
    ("unbound", "somebody", &["people"]),
    ("viewer", "user-1", &["viewers"]),
    ("operator", "user-2", &[]),
    ("admin", "user-3", &[]),
    ("masters", "labadmin", &["system:masters"]),
    ("dev-apply", "user-4", &[]),
    ("dev-admin", "user-5", &[]),
    ("server", "server:uid-near", &["lab:servers"]),
    ("bastion", "bastion:near", &["lab:bastions"]),
    ("disabled", "user-6", &["system:masters"]),
];

/// The policy: the seeded roles, two that reach less far, and who they are bound to.
pub fn policy() -> Policy {
    let mut policy = Policy::default();
    let mut servers = Vec::new();
    let mut set = |group: &str, resource: &str, name: &str, spec: Json| {
        let object = json!({"metadata": {"name": name}, "spec": spec});
        assert!(policy.set(group, resource, name, Some(&object)), "{resource} {name} decides something");
        assert!(!policy.set(group, resource, name, Some(&object)), "it does so once");
    };
    for role in seed::roles() {
        let name = role.metadata.name.clone().expect("seeded roles have names");
        set("iam.lab", "roles", &name, serde_json::to_value(&role.spec).expect("it serialises"));
    }
    set("iam.lab", "roles", "dev-apply", json!({"permissions": ["apply:baremetal:dev:*"]}));
    set("iam.lab", "roles", "dev-admin", json!({"permissions": ["admin:*:dev:*"]}));
    for (role, kind, subject) in [
        ("viewer", "Group", "viewers"),
        ("operator", "User", "user-2"),
        ("admin", "Group", "administrators"),
        ("dev-apply", "User", "user-4"),
        ("dev-admin", "User", "user-5"),
        // Bindings add nothing to machines.
        ("admin", "Group", "lab:servers"),
        ("admin", "User", "bastion:near"),
    ] {
        let spec = json!({"role": role, "subjects": [{"kind": kind, "name": subject}]});
        set("iam.lab", "rolebindings", &format!("{role}-{}", subject.replace(':', "-")), spec);
    }
    set("iam.lab", "users", "user-3", json!({"groups": ["administrators"]}));
    set("iam.lab", "users", "user-6", json!({"disabled": true}));
    for (name, site) in [("near", "home"), ("beside", "home"), ("far", "away")] {
        set("metal.lab", "bastions", name, json!({"site": site}));
        let bmc = json!({"bmc": {"credentials": {"namespace": "default", "name": name}}});
        let server = json!({"metadata": {"name": name}, "spec": bmc, "status": {"bastion": name}});
        servers.push((name, server));
        set("metal.lab", "networks", name, json!({"cidr": "10.0.0.0/24", "site": site}));
    }
    for (name, server) in servers {
        assert!(policy.set("metal.lab", "servers", name, Some(&server)));
        assert!(!policy.set("metal.lab", "servers", name, Some(&server)));
    }
    policy
}

/// What an identity of the tables may do.
pub fn access(policy: &Policy, identity: &str) -> Access {
    let (_, user, groups) =
        IDENTITIES.iter().find(|(name, ..)| *name == identity).expect("the table names identities");
    let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
    policy.access(user, &groups)
}

/// An object of a kind, near to the narrower identities or far from them.
pub fn object(group: &str, resource: &str, name: &str) -> Json {
    let near = name == "near";
    let pick = |this: &'static str, that: &'static str| if near { this } else { that };
    let mut object = json!({"metadata": {"name": name, "uid": format!("uid-{name}")}});
    match (group, resource) {
        ("metal.lab", "servers") => {
            let environment = pick("dev", "production");
            object["spec"] = json!({"cloud": "baremetal", "environment": environment, "hostname": name});
            object["status"] = json!({"bastion": name});
        }
        ("", "secrets") => object["metadata"]["namespace"] = "default".into(),
        ("metal.lab", "networks" | "bastions") => object["spec"] = json!({"site": pick("home", "away")}),
        ("iam.lab", "roles") => {
            object["spec"] = json!({"permissions": [pick("read:*:dev:*", "read:*:*:*")]});
        }
        ("iam.lab", "rolebindings") => object["spec"] = json!({"role": pick("dev-apply", "viewer")}),
        ("iam.lab", "jointokens") => {
            object["spec"] = json!({"joiner": "agent", "environment": pick("dev", "production")});
        }
        _ => {}
    }
    object
}
