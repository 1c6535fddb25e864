//! Group, version, kind and resource: how an API type is named.

use std::fmt;

/// A group and its version, written `group/version`, or only `version` in the core group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersion {
    /// The group's DNS name; empty for Kubernetes' core group.
    pub group: String,
    /// The version, such as `v1alpha1`.
    pub version: String,
}

impl GroupVersion {
    /// Names a group and version.
    pub fn new(group: impl Into<String>, version: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into() }
    }

    /// Reads an `apiVersion`; `None` when it has more than one slash or an empty part.
    pub fn parse(api_version: &str) -> Option<Self> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let bad =
            version.is_empty() || version.contains('/') || (group.is_empty() && api_version.contains('/'));
        (!bad).then(|| Self::new(group, version))
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.version)
        } else {
            write!(f, "{}/{}", self.group, self.version)
        }
    }
}

/// A type as objects name it (`kind: Server`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// The group's DNS name; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind, in CamelCase.
    pub kind: String,
}

/// A type as paths name it (`/servers`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionResource {
    /// The group's DNS name; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The plural, in lower case.
    pub resource: String,
}

impl GroupVersionKind {
    /// Names a kind.
    pub fn new(group: impl Into<String>, version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// Reads `apiVersion` and `kind` of an object; `None` when either is missing or malformed.
    pub fn of(object: &crate::Json) -> Option<Self> {
        let GroupVersion { group, version } = GroupVersion::parse(object.get("apiVersion")?.as_str()?)?;
        let kind = object.get("kind")?.as_str().filter(|kind| !kind.is_empty())?;
        Some(Self::new(group, version, kind))
    }

    /// The group and version.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion::new(self.group.clone(), self.version.clone())
    }
}

/// `apps/v1, Kind=Deployment`, as Kubernetes' messages have it.
impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

impl GroupVersionResource {
    /// Names a resource.
    pub fn new(group: impl Into<String>, version: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into(), resource: resource.into() }
    }

    /// The group and version.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion::new(self.group.clone(), self.version.clone())
    }
}

/// `servers.metal.lab`, or only the plural in the core group: how messages name a resource.
impl fmt::Display for GroupVersionResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::Status::qualified(&self.resource, &self.group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn api_versions() {
        for (text, expected) in [
            ("v1", Some(("", "v1"))),
            ("metal.lab/v1alpha1", Some(("metal.lab", "v1alpha1"))),
            ("", None),
            ("/v1", None),
            ("apps/", None),
            ("a/b/c", None),
        ] {
            let found = GroupVersion::parse(text);
            assert_eq!(found, expected.map(|(group, version)| GroupVersion::new(group, version)), "{text:?}");
            if let Some(found) = found {
                assert_eq!(found.to_string(), text);
            }
        }
    }

    #[test]
    fn kinds_of_objects() {
        let kind = GroupVersionKind::of(&json!({"apiVersion": "apps/v1", "kind": "Deployment"}));
        assert_eq!(kind.as_ref().map(ToString::to_string).as_deref(), Some("apps/v1, Kind=Deployment"));
        assert_eq!(kind.map(|k| k.group_version()), Some(GroupVersion::new("apps", "v1")));
        for wrong in
            [json!({}), json!({"apiVersion": "v1"}), json!({"apiVersion": "v1", "kind": ""}), json!([])]
        {
            assert_eq!(GroupVersionKind::of(&wrong), None, "{wrong}");
        }
        assert_eq!(
            GroupVersionResource::new("metal.lab", "v1alpha1", "servers").to_string(),
            "servers.metal.lab"
        );
        assert_eq!(GroupVersionResource::new("", "v1", "pods").to_string(), "pods");
    }
}
