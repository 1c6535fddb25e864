//! Where a kind's objects are on the server.

use lab_object::{GroupVersionResource, Resource, Status};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but RFC 3986's unreserved characters, so that no name can leave its segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of a kind's collection.
#[derive(Debug, Clone)]
pub struct Path {
    resource: String,
    group: String,
    collection: String,
}

impl Path {
    pub fn of<T: Resource>(namespace: Option<&str>) -> Self {
        Self::build(T::GROUP, T::VERSION, T::PLURAL, namespace)
    }

    pub fn new(resource: &GroupVersionResource, namespace: Option<&str>) -> Self {
        Self::build(&resource.group, &resource.version, &resource.resource, namespace)
    }

    fn build(group: &str, version: &str, resource: &str, namespace: Option<&str>) -> Self {
        let mut path = match group {
            "" => format!("/api/{}", encode(version)),
            _ => format!("/apis/{}/{}", encode(group), encode(version)),
        };
        if let Some(namespace) = namespace {
            path.push_str("/namespaces/");
            path.push_str(&encode(namespace));
        }
        path.push('/');
        path.push_str(&encode(resource));
        Self { resource: resource.into(), group: group.into(), collection: path }
    }

    pub fn resource_name(&self) -> String {
        Status::qualified(&self.resource, &self.group)
    }

    pub fn collection(&self, query: &str) -> String {
        with_query(self.collection.clone(), query)
    }

    pub fn object(&self, name: &str, part: Option<&str>, query: &str) -> String {
        let mut path = format!("{}/{}", self.collection, encode(name));
        if let Some(part) = part {
            path.push('/');
            path.push_str(&encode(part));
        }
        with_query(path, query)
    }
}

fn with_query(mut path: String, query: &str) -> String {
    if !query.is_empty() {
        path.push('?');
        path.push_str(query);
    }
    path
}

/// Escapes one segment of a path, or one value of a query. `.` and `..` alone would be steps, not names.
pub fn encode(text: &str) -> String {
    match text {
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        _ => utf8_percent_encode(text, SEGMENT).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let of = |group: &str, namespace| {
            let resource =
                GroupVersionResource { group: group.into(), version: "v1".into(), resource: "things".into() };
            Path::new(&resource, namespace)
        };
        for (path, expected) in [
            (of("", None).collection(""), "/api/v1/things"),
            (of("a.lab", None).collection("watch=true"), "/apis/a.lab/v1/things?watch=true"),
            (of("", Some("default")).object("x", None, ""), "/api/v1/namespaces/default/things/x"),
            (
                of("a.lab", None).object("x", Some("status"), "dryRun=All"),
                "/apis/a.lab/v1/things/x/status?dryRun=All",
            ),
            (of("", None).object("../secrets/a?b#c", None, ""), "/api/v1/things/..%2Fsecrets%2Fa%3Fb%23c"),
            (of("", None).object("..", None, ""), "/api/v1/things/%2E%2E"),
        ] {
            assert_eq!(path, expected);
        }
    }
}
