//! What is asked for, and which action it takes: the one place that maps verbs on kinds to actions.

use crate::permission::Action;
use lab_object::Json;

/// What somebody asks to do with objects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// Kubernetes' verb, such as `get` or `deletecollection`.
    pub verb: &'a str,
    /// Group of the kind; empty for the core group.
    pub group: &'a str,
    /// Plural of the kind.
    pub resource: &'a str,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
}

/// What decides about objects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// A server's cloud, environment and name.
    Server,
    /// What every machine is described with: whoever may see anything may see it; to change it takes the action
    /// everywhere.
    Shared,
    /// It belongs to no cloud and no environment: every action has to be permitted everywhere.
    Global,
    /// Secrets, users, and what else is only for who administers everything.
    Secret,
    /// A list of permissions: for who administers all that they reach.
    Role,
    /// Gives a role: for who administers all that the role reaches.
    RoleBinding,
    /// Lets machines in: for who administers the environment they come into.
    JoinToken,
    /// Questions about oneself: for everybody who is known.
    Review,
}

impl Domain {
    /// What decides about a kind. Of a kind that is not known here nothing is presumed: it is global, and whatever is
    /// in `iam.lab` is secret.
    pub fn of(group: &str, resource: &str) -> Self {
        match (group, resource) {
            // All kinds, or those of all groups: as a question about oneself can say.
            (_, "*") | ("*", _) => Self::Secret,
            ("metal.lab", "servers") => Self::Server,
            ("metal.lab", "networks" | "bastions" | "operatingsystems" | "disklayouts") => Self::Shared,
            ("", "namespaces") => Self::Shared,
            ("", "secrets") => Self::Secret,
            ("iam.lab", "roles") => Self::Role,
            ("iam.lab", "rolebindings") => Self::RoleBinding,
            ("iam.lab", "jointokens") => Self::JoinToken,
            ("iam.lab" | "audit.lab", _) => Self::Secret,
            // Says whose a token is.
            ("authentication.k8s.io", "tokenreviews") => Self::Secret,
            ("authentication.k8s.io", "selfsubjectreviews")
            | ("authorization.k8s.io", "selfsubjectaccessreviews" | "selfsubjectrulesreviews") => {
                Self::Review
            }
            _ => Self::Global,
        }
    }
}

impl Ask<'_> {
    /// What decides.
    pub fn domain(&self) -> Domain {
        Domain::of(self.group, self.resource)
    }

    /// Whether nothing changes.
    pub fn is_read(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch")
    }

    /// The action that this takes at least.
    ///
    /// A verb we do not know, and a service account's token, which is a secret, take `admin`. Two subresources weigh more
    /// than their objects: what a server's status says of its plan decides whether approving it is destructive, and to
    /// finalize a namespace is to let it go. A command on a server runs with all power over it and reads every secret that is
    /// there, and so does who reaches its ports from within, or logs in: all take `admin`.
    pub fn action(&self) -> Action {
        match self.domain() {
            Domain::Secret | Domain::Role | Domain::RoleBinding | Domain::JoinToken => return Action::Admin,
            Domain::Review => return Action::Read,
            Domain::Server | Domain::Shared | Domain::Global => {}
        }
        match (self.verb, self.subresource) {
            (_, "token" | "exec" | "portforward" | "sshcertificate" | "tunnel") => Action::Admin,
            ("get" | "list" | "watch", _) => Action::Read,
            ("create" | "update" | "patch", "finalize") => Action::Destroy,
            ("create" | "update" | "patch", "status") if self.domain() == Domain::Server => Action::Destroy,
            ("create" | "update" | "patch", _) => Action::Apply,
            ("delete" | "deletecollection", _) => Action::Destroy,
            _ => Action::Admin,
        }
    }

    /// The action that this takes at most, whatever is written.
    pub fn most(&self) -> Action {
        let writes = matches!(self.verb, "create" | "update" | "patch");
        if self.domain() == Domain::Server && writes {
            self.action().max(Action::Destroy)
        } else {
            self.action()
        }
    }

    /// The action that a particular write takes.
    pub fn action_for(&self, old: Option<&Json>, new: Option<&Json>) -> Action {
        match (self.domain(), new) {
            (Domain::Server, Some(new)) if destroys(old, new) => self.most(),
            _ => self.action(),
        }
    }
}

/// Whether a change of a server leads to the loss of what is on its disks: it is installed again, it is wiped when it is
/// deleted, or a plan is approved that is not known to spare everything.
fn destroys(old: Option<&Json>, new: &Json) -> bool {
    let of = |object: Option<&Json>, path: &str| {
        object.and_then(|object| object.pointer(path)).cloned().unwrap_or(Json::Null)
    };
    let changed = |path: &str| of(old, path) != of(Some(new), path);
    let reprovisions = {
        let count = |object| of(object, "/spec/install/reprovision").as_i64().unwrap_or(0);
        count(old) != count(Some(new))
    };
    let wipes = changed("/spec/whenDeleted") && of(Some(new), "/spec/whenDeleted") == "wipe";
    let approved = of(Some(new), "/spec/install/approve");
    // The plan as it is stored counts, not as the writer shows it.
    let plan = of(old, "/status/plan");
    let spares = plan["hash"] == approved && !plan["destructive"].as_bool().unwrap_or(false);
    reprovisions || wipes || (changed("/spec/install/approve") && !approved.is_null() && !spares)
}

/// The action that a path takes which is no object's; `None` for those that everybody may ask for who is known:
/// what there is (discovery), what it looks like (OpenAPI) and whether it lives.
pub fn path_action(path: &str) -> Option<Action> {
    const OPEN: [&str; 7] = ["/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz"];
    let is_at = |start: &str| path.strip_prefix(start).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    if path == "/" || OPEN.into_iter().any(is_at) {
        None
    } else if is_at("/metrics") {
        Some(Action::Read)
    } else {
        // Others, such as a backup, hold everything.
        Some(Action::Admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_destroys() {
        let hash = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let server =
            |install: Json, plan: Json| json!({"spec": {"install": install}, "status": {"plan": plan}});
        let check = |old: Option<Json>, new: Json, expected| {
            assert_eq!(destroys(old.as_ref(), &new), expected, "{old:?} {new}");
        };
        let spares = json!({"hash": hash("a")});
        let wipes = json!({"hash": hash("a"), "destructive": true});
        let approves = |plan: &Json| server(json!({"approve": hash("a")}), plan.clone());
        check(Some(server(json!({}), spares.clone())), approves(&spares), false);
        check(Some(server(json!({}), wipes.clone())), approves(&wipes), true);
        // What the writer says of the plan does not count.
        check(Some(server(json!({}), wipes.clone())), approves(&spares), true);
        check(Some(server(json!({}), json!({"hash": hash("b")}))), approves(&spares), true);
        check(Some(server(json!({}), Json::Null)), approves(&Json::Null), true);
        check(None, approves(&spares), true);
        // Approved already; approval taken back.
        check(Some(approves(&wipes)), approves(&wipes), false);
        check(Some(approves(&wipes)), server(json!({}), wipes), false);
        let again = |count: i64| server(json!({"reprovision": count}), Json::Null);
        check(Some(again(1)), again(2), true);
        check(Some(again(1)), again(1), false);
        check(None, again(1), true);
        check(None, again(0), false);
        check(Some(json!({})), json!({"spec": {"whenDeleted": "wipe"}}), true);
        check(
            Some(json!({"spec": {"whenDeleted": "wipe"}})),
            json!({"spec": {"whenDeleted": "keep"}}),
            false,
        );
        check(Some(json!({"spec": {"hostname": "a"}})), json!({"spec": {"hostname": "b"}}), false);
    }

    #[test]
    fn paths() {
        let check = |path: &str, expected| assert_eq!(path_action(path), expected, "{path}");
        for open in
            ["/", "/api", "/apis/metal.lab/v1alpha1", "/openapi/v3", "/healthz", "/readyz/store", "/version"]
        {
            check(open, None);
        }
        check("/metrics", Some(Action::Read));
        for closed in ["/backup", "/metricsx", "/apix", "/debug/pprof", "/logs"] {
            check(closed, Some(Action::Admin));
        }
    }
}
