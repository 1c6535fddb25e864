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
