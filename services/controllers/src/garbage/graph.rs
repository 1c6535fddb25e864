//! Who depends on whom, and who has to be looked at when something changes.

use crate::{seen::Seen, served::Place};
use lab_deletion::ownership::Dependent;
use std::collections::{BTreeMap, HashMap};

/// Only objects that name an owner, or wait for dependents, are in it.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// By the owner's UID.
    dependents: HashMap<Box<str>, BTreeMap<Place, Dependent>>,
    /// Objects that are being deleted and wait for their dependents, by UID.
    waiting: HashMap<Box<str>, Place>,
}

impl Graph {
    /// Takes in a change of the object at `place`; yields whom to look at because of it.
    pub fn change(&mut self, place: &Place, old: Option<&Seen>, new: Option<&Seen>) -> Vec<Place> {
        let mut visits = Vec::new();
        if old == new {
            return visits;
        }
        if let Some(old) = old {
            self.forget(place, old, &mut visits);
            if new.is_none_or(|new| new.uid != old.uid) {
                visits.extend(self.dependents_of(&old.uid).map(|(dependent, _)| dependent.clone()));
            }
        }
        if let Some(new) = new {
            self.remember(place, new, &mut visits);
        }
        visits
    }

    /// The objects that name this owner.
    pub fn dependents_of(&self, uid: &str) -> impl Iterator<Item = (&Place, Dependent)> {
        self.dependents.get(uid).into_iter().flatten().map(|(place, dependent)| (place, *dependent))
    }

    fn forget(&mut self, place: &Place, old: &Seen, visits: &mut Vec<Place>) {
        self.waiting.remove(&old.uid);
        for owner in &old.owners {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(place);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
            visits.extend(self.waiting.get(&owner.uid).cloned());
        }
    }

    fn remember(&mut self, place: &Place, new: &Seen, visits: &mut Vec<Place>) {
        if new.waiting || new.orphaning {
            self.waiting.insert(new.uid.clone(), place.clone());
        }
        if new.waiting || new.orphaning || !new.owners.is_empty() {
            visits.push(place.clone());
        }
        for owner in &new.owners {
            let dependent = Dependent { blocks: owner.blocks, waiting: new.waiting };
            self.dependents.entry(owner.uid.clone()).or_default().insert(place.clone(), dependent);
            visits.extend(self.waiting.get(&owner.uid).cloned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::SeenOwner;
    use lab_client::Key;

    fn place(name: &str) -> Place {
        Place { resource: 0, key: Key::namespaced("ns", name) }
    }

    fn seen(uid: &str, owners: &[&str], waiting: bool) -> Seen {
        let owner = |uid: &&str| SeenOwner {
            uid: (*uid).into(),
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            name: "owner".into(),
            blocks: true,
        };
        Seen { uid: uid.into(), owners: owners.iter().map(owner).collect(), waiting, orphaning: false }
    }

    /// Feeds a change and tells who is to be looked at.
    fn change(graph: &mut Graph, name: &str, old: Option<&Seen>, new: Option<&Seen>) -> Vec<String> {
        let visits = graph.change(&place(name), old, new);
        visits.into_iter().map(|place| place.key.name).collect()
    }

    #[test]
    fn changes_lead_to_those_they_concern() {
        let mut graph = Graph::default();
        let none: [&str; 0] = [];
        let (owner, going) = (seen("o", &[], false), seen("o", &[], true));
        let (dependent, free) = (seen("d", &["o"], false), seen("d", &[], false));
        assert_eq!(change(&mut graph, "owner", None, Some(&owner)), none);
        assert_eq!(change(&mut graph, "dependent", None, Some(&dependent)), ["dependent"]);
        assert_eq!(change(&mut graph, "dependent", Some(&dependent), Some(&dependent)), none);
        assert_eq!(change(&mut graph, "owner", Some(&owner), Some(&going)), ["owner"]);
        let blocking = Dependent { blocks: true, waiting: false };
        assert_eq!(graph.dependents_of("o").collect::<Vec<_>>(), [(&place("dependent"), blocking)]);
        // A dependent that lets go, or is gone, is news to the owner that waits for it.
        assert_eq!(change(&mut graph, "dependent", Some(&dependent), Some(&free)), ["owner"]);
        assert_eq!(change(&mut graph, "dependent", Some(&free), Some(&dependent)), ["dependent", "owner"]);
        assert_eq!(change(&mut graph, "dependent", Some(&dependent), None), ["owner"]);
        assert_eq!(change(&mut graph, "owner", Some(&going), None), none);
        assert!(graph.dependents.is_empty() && graph.waiting.is_empty(), "nothing is kept: {graph:?}");
    }

    #[test]
    fn an_owner_that_is_gone_or_replaced_is_news_to_its_dependents() {
        let mut graph = Graph::default();
        let (owner, other) = (seen("o", &[], false), seen("p", &[], false));
        let dependent = seen("d", &["o"], false);
        change(&mut graph, "owner", None, Some(&owner));
        change(&mut graph, "dependent", None, Some(&dependent));
        assert_eq!(change(&mut graph, "owner", Some(&owner), Some(&other)), ["dependent"]);
        assert_eq!(change(&mut graph, "owner", Some(&owner), None), ["dependent"]);
    }
}
