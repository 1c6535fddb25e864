//! What a caller sees of a list or a watch, where that is not everything.

use crate::key::Key;
use lab_access::{Access, Ask, Facts, Scope};
use lab_kinds::Kind;
use lab_store::{Entry, Revision};
use parking_lot::RwLock;
use std::{collections::HashMap, sync::Arc};

/// Most servers whose place is remembered.
const REMEMBERED: usize = 200_000;

/// Where servers stand, so that a list need not read all of them again: by key, for the revision of their last change.
#[derive(Default)]
pub(crate) struct Places(RwLock<HashMap<Arc<str>, Place>>);

struct Place {
    revision: Revision,
    cloud: Option<Box<str>>,
    environment: Option<Box<str>>,
}

/// Decides which objects of a kind a caller sees.
pub(crate) struct Visible {
    pub access: Arc<Access>,
    pub kind: Arc<Kind>,
    pub places: Arc<Places>,
}

impl Visible {
    /// Whether the caller sees an object. One that cannot be judged is not shown.
    pub(crate) fn shows(&self, object: &[u8]) -> bool {
        Facts::read(object).is_ok_and(|facts| self.access.sees(&self.ask(), &facts))
    }

    /// The same of a stored object; servers are judged by where they are known to stand.
    pub(crate) fn shows_entry(&self, entry: &Entry) -> bool {
        let is_server = (self.kind.group.as_str(), self.kind.plural.as_str()) == ("metal.lab", "servers");
        let name = Key::parse(&entry.key).map(|key| key.name);
        if !is_server || self.access.sees_server(Scope::EVERYWHERE).is_none() {
            return self.shows(&entry.value);
        }
        let judge = |cloud: Option<&str>, environment: Option<&str>| {
            self.access.sees_server(Scope { cloud, environment, server: name }).unwrap_or_default()
        };
        let known = self.places.0.read();
        if let Some(place) = known.get(&entry.key).filter(|place| place.revision == entry.modified) {
            return judge(place.cloud.as_deref(), place.environment.as_deref());
        }
        drop(known);
        let Ok(facts) = Facts::read(&entry.value) else { return false };
        let place = Place {
            revision: entry.modified,
            cloud: facts.cloud().map(Into::into),
            environment: facts.environment().map(Into::into),
        };
        let mut known = self.places.0.write();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(entry.key.clone(), place);
        judge(facts.cloud(), facts.environment())
    }

    fn ask(&self) -> Ask<'_> {
        Ask { verb: "get", group: &self.kind.group, resource: &self.kind.plural, subresource: "" }
    }
}
