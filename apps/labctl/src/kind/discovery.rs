//! What the server says it serves.

use super::Target;
use crate::{failure::Outcome, session::Session};
use lab_object::GroupVersionResource;
use serde::Deserialize;

/// A kind that the server serves.
#[derive(Debug, Clone)]
pub struct Served {
    /// The group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The path segment.
    pub plural: String,
    /// For people.
    pub singular: String,
    /// Its name in objects.
    pub kind: String,
    /// Abbreviations.
    pub short_names: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// What can be done with it.
    pub verbs: Vec<String>,
}

impl Served {
    /// Whether it is meant by a name in lower case.
    pub fn answers_to(&self, name: &str) -> bool {
        let (plain, group) = name.split_once('.').map_or((name, None), |(plain, group)| (plain, Some(group)));
        let version_and_group = format!("{}.{}", self.version, self.group);
        let group_fits = group.is_none_or(|g| g == self.group || g == version_and_group);
        let mut names = [&self.plural, &self.singular, &self.kind].into_iter().chain(&self.short_names);
        group_fits && names.any(|n| n.eq_ignore_ascii_case(plain))
    }

    /// As a kind that can be asked for.
    pub fn target(&self) -> Target {
        Target {
            resource: GroupVersionResource {
                group: self.group.clone(),
                version: self.version.clone(),
                resource: self.plural.clone(),
            },
            kind: self.kind.clone(),
            namespaced: self.namespaced,
        }
    }
}

#[derive(Deserialize)]
struct GroupList {
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: Name,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize, Default)]
struct Name {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: String,
    response_kind: Kind,
    scope: String,
    #[serde(default)]
    singular_resource: String,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

/// Asks the server for everything it serves, in its order; of each kind the preferred version.
pub async fn fetch(session: &Session) -> Outcome<Vec<Served>> {
    const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let mut served: Vec<Served> = Vec::new();
    for path in ["/api", "/apis"] {
        let list: GroupList = session.client.get_json_as(path, ACCEPT).await?;
        for group in list.items {
            for version in group.versions {
                for resource in version.resources {
                    let name = &group.metadata.name;
                    if served.iter().any(|s| s.group == *name && s.plural == resource.resource) {
                        continue;
                    }
                    served.push(Served {
                        group: name.clone(),
                        version: version.version.clone(),
                        plural: resource.resource,
                        singular: resource.singular_resource,
                        kind: resource.response_kind.kind,
                        short_names: resource.short_names,
                        categories: resource.categories,
                        namespaced: resource.scope == "Namespaced",
                        verbs: resource.verbs,
                    });
                }
            }
        }
    }
    Ok(served)
}
