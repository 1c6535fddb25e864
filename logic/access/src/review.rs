//! Answers to questions about oneself, as data: may I do this, and what may I do.

use crate::{
    access::{Access, Verdict},
    ask::Ask,
};
use lab_kinds::{Kind, Registry, Subresource};
use serde::Serialize;

/// Verbs on objects of any kind.
pub const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// What may be done with some kinds (`authorization.k8s.io/v1.ResourceRule`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRule {
    /// The verbs.
    pub verbs: Vec<String>,
    /// The groups.
    pub api_groups: Vec<String>,
    /// The plurals, with their subresource behind a slash.
    pub resources: Vec<String>,
}

/// What may be done with paths that are no object's (`authorization.k8s.io/v1.NonResourceRule`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PathRule {
    /// The verbs.
    pub verbs: Vec<String>,
    /// The paths; a `*` at the end stands for whatever follows.
    #[serde(rename = "nonResourceURLs")]
    pub paths: Vec<String>,
}

/// All that a caller may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// With objects.
    pub resources: Vec<ResourceRule>,
    /// With paths.
    pub paths: Vec<PathRule>,
    /// The kinds of which only some objects may be dealt with so, by plural and group.
    pub partial: Vec<String>,
}

/// The verbs of a kind.
pub fn verbs_of_kind(kind: &Kind) -> &'static [&'static str] {
    if kind.read_only { &["get", "list"] } else { &VERBS }
}

/// The verbs of a subresource.
pub fn verbs_of(subresource: &Subresource) -> &'static [&'static str] {
    match subresource {
        Subresource::Status | Subresource::Scale { .. } => &["get", "patch", "update"],
        Subresource::Finalize => &["update"],
        Subresource::Token
        | Subresource::Password
        | Subresource::Logs
        | Subresource::Tunnel
        | Subresource::Exec
        | Subresource::SshCertificate
        | Subresource::PortForward => &["create"],
        Subresource::Log | Subresource::Agent | Subresource::Journal => &["get"],
    }
}

impl Access {
    /// All that the caller may do with registered kinds and with paths.
    pub fn rules(&self, registry: &Registry) -> Rules {
        let mut rules = Rules::default();
        if self.is_everything() {
            let all = || vec!["*".to_owned()];
            rules.resources.push(ResourceRule { verbs: all(), api_groups: all(), resources: all() });
            rules.paths.push(PathRule { verbs: all(), paths: all() });
            return rules;
        }
        for (group, resource) in REVIEWS {
            self.add(&mut rules, group, resource, "", &["create"]);
        }
        for kind in registry.kinds() {
            self.add_kind(&mut rules, kind);
        }
        let open =
            ["/api", "/api/*", "/apis", "/apis/*", "/openapi/*", "/version", "/healthz", "/livez", "/readyz"];
        let others = ["/metrics", "/backup"];
        let paths: Vec<String> =
            open.into_iter().chain(others).filter(|p| self.admit_path(p).is_ok()).map(Into::into).collect();
        if !paths.is_empty() {
            rules.paths.push(PathRule { verbs: vec!["get".into()], paths });
        }
        rules
    }

    fn add_kind(&self, rules: &mut Rules, kind: &Kind) {
        self.add(rules, &kind.group, &kind.plural, "", verbs_of_kind(kind));
        for subresource in &kind.subresources {
            self.add(rules, &kind.group, &kind.plural, subresource.path(), verbs_of(subresource));
        }
    }

    fn add(&self, rules: &mut Rules, group: &str, resource: &str, subresource: &str, verbs: &[&str]) {
        let verdict = |verb| self.admit(&Ask { verb, group, resource, subresource });
        let allowed: Vec<String> = verbs
            .iter()
            .filter(|verb| !matches!(verdict(verb), Verdict::Denied(_)))
            .map(ToString::to_string)
            .collect();
        if allowed.is_empty() {
            return;
        }
        let partial = verbs.iter().any(|verb| verdict(verb) == Verdict::Depends);
        let qualified = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        if partial && !rules.partial.contains(&qualified) {
            rules.partial.push(qualified);
        }
        let path =
            if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
        // Kinds of one group that may be dealt with alike stand together.
        let alike = |rule: &&mut ResourceRule| rule.verbs == allowed && rule.api_groups == [group];
        match rules.resources.iter_mut().find(alike) {
            Some(rule) => rule.resources.push(path),
            None => rules.resources.push(ResourceRule {
                verbs: allowed,
                api_groups: vec![group.into()],
                resources: vec![path],
            }),
        }
    }
}

/// The questions about oneself, and that about a token, by group and plural.
pub const REVIEWS: [(&str, &str); 4] = [
    ("authentication.k8s.io", "tokenreviews"),
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
];
