//! What a caller sees of a list or a watch, where that is not everything.

use lab_access::{Access, Ask, Facts, Sight};
use lab_kinds::Kind;
use lab_store::Entry;
use parking_lot::{Mutex, RwLock};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

/// Most servers whose place is remembered.
const REMEMBERED: usize = 200_000;

/// Where servers stand, so that a list need not read all of them again.
#[derive(Default)]
pub(crate) struct Places(RwLock<Known>);

#[derive(Default)]
struct Known {
    /// The number of the place, by the revision of a server's last change: no two changes share one.
    servers: Numbers<u64>,
    places: Numbers<Arc<Place>>,
    numbers: HashMap<Arc<Place>, u64>,
    /// The number of the next place. None is given twice, also when what is known is forgotten.
    next: u64,
}

/// A map by numbers that nobody outside chooses.
type Numbers<T> = HashMap<u64, T, BuildHasherDefault<Spread>>;

#[derive(Debug, PartialEq, Eq, Hash)]
struct Place {
    cloud: Option<Box<str>>,
    environment: Option<Box<str>>,
}

/// Spreads revisions, which nobody outside chooses, over a table with one multiplication (Fibonacci hashing).
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Places {
    /// The number of the place where a stored server stands; `None` for one that cannot be read.
    fn of(&self, server: &Entry) -> Option<u64> {
        if let Some(number) = self.0.read().servers.get(&server.modified) {
            return Some(*number);
        }
        let facts = Facts::read(&server.value).ok()?;
        let place =
            Place { cloud: facts.cloud().map(Into::into), environment: facts.environment().map(Into::into) };
        let mut known = self.0.write();
        if known.servers.len() >= REMEMBERED {
            *known = Known { next: known.next, ..Known::default() };
        }
        let number = known.number(place);
        known.servers.insert(server.modified, number);
        Some(number)
    }

    fn place(&self, number: u64) -> Option<Arc<Place>> {
        self.0.read().places.get(&number).cloned()
    }
}

impl Known {
    fn number(&mut self, place: Place) -> u64 {
        if let Some(number) = self.numbers.get(&place) {
            return *number;
        }
        let (place, number) = (Arc::new(place), self.next);
        self.next += 1;
        self.places.insert(number, place.clone());
        self.numbers.insert(place, number);
        number
    }
}

/// Decides which objects of a kind a caller sees.
pub(crate) struct Visible {
    access: Arc<Access>,
    kind: Arc<Kind>,
    places: Arc<Places>,
    /// Whether servers are judged by their place.
    by_place: bool,
    /// What is seen at the places that were met, by their numbers.
    sights: Mutex<Numbers<Sight>>,
}

impl Visible {
    pub(crate) fn new(access: Arc<Access>, kind: Arc<Kind>, places: Arc<Places>) -> Self {
        let is_server = (kind.group.as_str(), kind.plural.as_str()) == ("metal.lab", "servers");
        let by_place = is_server && access.sees_servers_at(None, None).is_some();
        Self { access, kind, places, by_place, sights: Mutex::default() }
    }

    /// Whether the caller sees an object. One that cannot be judged is not shown.
    pub(crate) fn shows(&self, object: &[u8]) -> bool {
        Facts::read(object).is_ok_and(|facts| self.access.sees(&self.ask(), &facts))
    }

    /// The same of a stored object; servers are judged by where they are known to stand.
    pub(crate) fn shows_entry(&self, entry: &Entry) -> bool {
        if !self.by_place {
            return self.shows(&entry.value);
        }
        let Some(number) = self.places.of(entry) else { return false };
        match self.sight(number) {
            Some(Sight::All) => true,
            Some(Sight::None) => false,
            // By its name, or the place was forgotten this moment.
            Some(Sight::Some) | None => self.shows(&entry.value),
        }
    }

    /// What the caller sees at a place.
    fn sight(&self, number: u64) -> Option<Sight> {
        let mut sights = self.sights.lock();
        if let Some(sight) = sights.get(&number) {
            return Some(*sight);
        }
        let place = self.places.place(number)?;
        let sight = self.access.sees_servers_at(place.cloud.as_deref(), place.environment.as_deref())?;
        sights.insert(number, sight);
        Some(sight)
    }

    fn ask(&self) -> Ask<'_> {
        Ask { verb: "get", group: &self.kind.group, resource: &self.kind.plural, subresource: "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_access::Policy;
    use serde_json::json;

    fn access(permissions: &[&str]) -> Arc<Access> {
        let mut policy = Policy::default();
        let role = json!({"spec": {"permissions": permissions}});
        let binding = json!({"spec": {"role": "r", "subjects": [{"kind": "User", "name": "u"}]}});
        policy.set("iam.lab", "roles", "r", Some(&role));
        policy.set("iam.lab", "rolebindings", "r", Some(&binding));
        Arc::new(policy.access("u", &[]))
    }

    fn server(revision: u64, name: &str, environment: &str) -> Entry {
        let object = json!({"metadata": {"name": name}, "spec": {"cloud": "c", "environment": environment}});
        let key = format!("/default/metal.lab/servers//{name}").into();
        Entry { key, value: object.to_string().into(), created: revision, modified: revision }
    }

    #[test]
    fn a_place_is_judged_as_its_servers_are() {
        let kind = lab_kinds::registry().by_name("servers").cloned().expect("a kind");
        let places = Arc::new(Places::default());
        let servers = [server(1, "a", "x"), server(2, "b", "x"), server(3, "a2", "y"), server(4, "b2", "z")];
        for (permissions, expected) in [
            (&["read:c:x:*"][..], [true, true, false, false]),
            (&["read:*:*:a", "read:c:z:*"], [true, false, false, true]),
            (&["read:c:x:b", "read:c:*:a2"], [false, true, true, false]),
            (&["read:*:*:*"], [true; 4]),
            (&["read:d:*:*"], [false; 4]),
        ] {
            let visible = Visible::new(access(permissions), kind.clone(), places.clone());
            for _ in 0..2 {
                assert_eq!(
                    servers.each_ref().map(|one| visible.shows_entry(one)),
                    expected,
                    "{permissions:?}"
                );
            }
            assert_eq!(servers.each_ref().map(|one| visible.shows(&one.value)), expected, "{permissions:?}");
        }
        // A server that moved has another revision.
        let visible = Visible::new(access(&["read:c:x:*"]), kind, places);
        assert!(!visible.shows_entry(&server(5, "a", "y")));
    }
}
