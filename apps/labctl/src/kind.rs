//! Which kind is meant: from the compiled-in registry, and from discovery for kinds it does not know.

pub mod discovery;

use crate::{
    failure::{Failure, Outcome},
    session::Session,
};
use lab_client::Api;
use lab_kinds::Kind;
use lab_object::{GroupVersion, GroupVersionResource, Json};
use std::sync::Arc;

/// A kind that can be asked for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its path.
    pub resource: GroupVersionResource,
    /// Its name in objects.
    pub kind: String,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
}

impl Target {
    fn of(kind: &Arc<Kind>) -> Self {
        Self { resource: kind.gvr(), kind: kind.kind.clone(), namespaced: kind.namespaced() }
    }

    /// Whether objects are servers.
    pub fn is_server(&self) -> bool {
        self.resource.group == "metal.lab" && self.resource.resource == "servers"
    }

    /// `servers.metal.lab`, or `configmaps`.
    pub fn qualified(&self) -> String {
        lab_object::Status::qualified(&self.resource.resource, &self.resource.group)
    }

    /// `server.metal.lab/a`.
    pub fn named(&self, name: &str) -> String {
        format!("{}/{name}", lab_object::Status::qualified(&self.kind.to_lowercase(), &self.resource.group))
    }

    /// `apiVersion` of objects.
    pub fn api_version(&self) -> String {
        GroupVersion::new(&self.resource.group, &self.resource.version).to_string()
    }

    /// The objects of this kind in a namespace, if it has any.
    pub fn api(&self, session: &Session, namespace: &str) -> Api<Json> {
        session.client.dynamic(&self.resource, self.namespaced.then_some(namespace))
    }

    /// The objects of this kind everywhere.
    pub fn api_everywhere(&self, session: &Session) -> Api<Json> {
        session.client.dynamic(&self.resource, None)
    }
}

/// Servers, which many verbs are about.
pub fn servers() -> Outcome<Target> {
    compiled_in("servers").ok_or_else(|| Failure::usage("this labctl does not know servers"))
}

/// A kind of the registry, by any of its names.
pub fn compiled_in(name: &str) -> Option<Target> {
    lab_kinds::registry().by_name(name).map(Target::of)
}

/// The kinds that a name stands for: one, or those of a category. Asks the server when the name is not compiled in.
pub async fn resolve(session: &Session, name: &str) -> Outcome<Vec<Target>> {
    let registry = lab_kinds::registry();
    if let Some(kind) = registry.by_name(name) {
        return Ok(vec![Target::of(kind)]);
    }
    let lower = name.to_lowercase();
    let of_category: Vec<Target> =
        registry.kinds().iter().filter(|k| k.categories.contains(&lower)).map(Target::of).collect();
    if !of_category.is_empty() {
        return Ok(of_category);
    }
    let served = discovery::fetch(session).await?;
    if let Some(found) = served.iter().find(|resource| resource.answers_to(&lower)) {
        return Ok(vec![found.target()]);
    }
    Err(unknown(name, served.iter().map(|s| s.plural.as_str())))
}

/// The one kind that a name stands for.
pub async fn resolve_one(session: &Session, name: &str) -> Outcome<Target> {
    let mut found = resolve(session, name).await?;
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Failure::usage(format!("{name:?} stands for several kinds; name one"))),
    }
}

/// The kind that an object says it is.
pub async fn of_object(session: &Session, api_version: &str, kind: &str) -> Outcome<Target> {
    let Some(version) = GroupVersion::parse(api_version) else {
        return Err(Failure::usage(format!("{api_version:?} is not an apiVersion")));
    };
    let registry = lab_kinds::registry();
    if let Some(found) = registry.by_kind(&version.group, &version.version, kind) {
        return Ok(Target::of(found));
    }
    let served = discovery::fetch(session).await?;
    let found =
        served.iter().find(|r| r.kind == kind && r.group == version.group && r.version == version.version);
    let failure = || {
        let failure = Failure::usage(format!("no kind {kind:?} in {api_version}"));
        let elsewhere = registry.kinds().iter().find(|k| k.kind.eq_ignore_ascii_case(kind));
        match elsewhere {
            Some(k) => failure.with_hint(format!("did you mean kind {} in {}?", k.kind, k.api_version())),
            None => failure.with_hint(suggestion(&registry.suggest(kind))),
        }
    };
    found.map(discovery::Served::target).ok_or_else(failure)
}

fn unknown<'a>(name: &str, served: impl Iterator<Item = &'a str>) -> Failure {
    let registry = lab_kinds::registry();
    let mut near: Vec<&str> = registry.suggest(name);
    if near.is_empty() {
        near.extend(nearest(name, served));
    }
    let hint = match suggestion(&near) {
        empty if empty.is_empty() => "`labctl api-resources` lists the kinds".into(),
        hint => hint,
    };
    Failure::usage(format!("no kind is called {name:?}")).with_hint(hint)
}

/// `did you mean a, b or c?`, or nothing.
pub fn suggestion(near: &[&str]) -> String {
    match near {
        [] => String::new(),
        [one] => format!("did you mean {one}?"),
        [first @ .., last] => format!("did you mean {} or {last}?", first.join(", ")),
    }
}

/// The names nearest to a mistyped one, best first, at most three.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let mut near: Vec<(usize, &str)> = Vec::new();
    for other in known {
        let lower = other.to_lowercase();
        // Whoever stopped typing early meant something that begins so.
        let begins = name.len() > 1 && lower.starts_with(&name);
        let distance = if begins { 1 } else { strsim::osa_distance(&name, &lower) };
        // A third of the letters may be wrong: more than that is another word.
        if (begins || distance <= name.len().max(other.len()) / 3) && !near.iter().any(|(_, n)| *n == other) {
            near.push((distance, other));
        }
    }
    near.sort_unstable();
    near.truncate(3);
    near.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names() {
        let check = |name: &str, expected: &str| {
            assert_eq!(suggestion(&nearest(name, ["db-1", "db-2", "web-1", "storage"])), expected);
        };
        check("db1", "did you mean db-1?");
        check("db-3", "did you mean db-1 or db-2?");
        check("STORAG", "did you mean storage?");
        check("stor", "did you mean storage?");
        check("db", "did you mean db-1 or db-2?");
        check("xyz", "");
    }
}
