//! Permissions put together, in a form in which a decision takes a few look-ups however many there are.

use crate::permission::{Action, Permission, Scope};
use std::collections::{BTreeSet, HashMap};

/// All that somebody was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// What was given, one by one.
    given: BTreeSet<Permission>,
    clouds: Level<Level<Level<Action>>>,
    /// The strongest action that is permitted anywhere.
    strongest: Option<Action>,
}

/// One part of the permissions: what holds for any name, and what for particular ones.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Level<T> {
    any: Option<Box<T>>,
    named: HashMap<Box<str>, T>,
}

impl<T> Default for Level<T> {
    fn default() -> Self {
        Self { any: None, named: HashMap::new() }
    }
}

impl<T> Level<T> {
    /// What holds for a name; for none, only what holds for any.
    fn matching(&self, name: Option<&str>) -> impl Iterator<Item = &T> {
        let named = name.filter(|_| !self.named.is_empty()).and_then(|name| self.named.get(name));
        self.any.as_deref().into_iter().chain(named)
    }

    fn entry(&mut self, name: Option<&str>, new: impl FnOnce() -> T) -> &mut T {
        match name {
            None => self.any.get_or_insert_with(|| Box::new(new())),
            Some(name) => self.named.entry(name.into()).or_insert_with(new),
        }
    }
}

impl Grants {
    /// Adds a permission.
    pub fn add(&mut self, permission: &Permission) {
        let (action, at) = (permission.action(), permission.scope());
        let environments = self.clouds.entry(at.cloud, Level::default);
        let servers = environments.entry(at.environment, Level::default);
        let held = servers.entry(at.server, || action);
        *held = action.max(*held);
        self.strongest = self.strongest.max(Some(action));
        self.given.insert(permission.clone());
    }

    /// What is left for who may do no more than these permissions.
    pub fn narrowed(&self, to: &[Permission]) -> Self {
        let met: Vec<_> = self.given.iter().flat_map(|held| to.iter().filter_map(|p| held.meet(p))).collect();
        met.iter().collect()
    }

    /// Whether an action is permitted at a place. A part of the place that is `None` is reached by `*` only.
    pub fn permit(&self, action: Action, at: Scope<'_>) -> bool {
        self.reach(action)
            && self.clouds.matching(at.cloud).any(|environments| {
                environments
                    .matching(at.environment)
                    .any(|servers| servers.matching(at.server).any(|held| *held >= action))
            })
    }

    /// Whether an action is permitted on some server of a place that is named.
    pub fn names_any(&self, action: Action, at: Scope<'_>) -> bool {
        self.clouds.matching(at.cloud).any(|environments| {
            environments
                .matching(at.environment)
                .any(|servers| servers.named.values().any(|held| *held >= action))
        })
    }

    /// Whether an action is permitted everywhere.
    pub fn permit_everywhere(&self, action: Action) -> bool {
        self.permit(action, Scope::EVERYWHERE)
    }

    /// Whether an action is permitted anywhere at all.
    pub fn reach(&self, action: Action) -> bool {
        self.strongest >= Some(action)
    }

    /// Whether nothing is permitted.
    pub fn is_empty(&self) -> bool {
        self.strongest.is_none()
    }
}

impl<'a> FromIterator<&'a Permission> for Grants {
    fn from_iter<I: IntoIterator<Item = &'a Permission>>(permissions: I) -> Self {
        let mut grants = Self::default();
        permissions.into_iter().for_each(|permission| grants.add(permission));
        grants
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::tests::any_permission;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn permit_what_any_permission_does(
            held in prop::collection::vec(any_permission(), 0..12), asked in any_permission()
        ) {
            let grants: Grants = held.iter().collect();
            prop_assert_eq!(
                grants.permit(asked.action(), asked.scope()),
                held.iter().any(|one| one.covers(&asked))
            );
            prop_assert_eq!(grants.reach(asked.action()), held.iter().any(|one| one.action() >= asked.action()));
            prop_assert_eq!(grants.is_empty(), held.is_empty());
        }

        #[test]
        fn narrowed_permit_what_both_do(
            held in prop::collection::vec(any_permission(), 0..6),
            to in prop::collection::vec(any_permission(), 0..6),
            asked in any_permission()
        ) {
            let (grants, bound): (Grants, Grants) = (held.iter().collect(), to.iter().collect());
            let at = (asked.action(), asked.scope());
            prop_assert_eq!(
                grants.narrowed(&to).permit(at.0, at.1),
                grants.permit(at.0, at.1) && bound.permit(at.0, at.1)
            );
        }
    }
}
