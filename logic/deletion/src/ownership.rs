//! Garbage collection: an object whose owners are all gone goes as well.
//!
//! The finalizers and policies are Kubernetes'. *Background*: the owner goes at once, its dependents after it.
//! *Foreground*: the owner waits until those dependents are gone that block it. *Orphan*: the owner waits until its
//! dependents no longer name it.

use lab_object::ObjectMeta;

/// Finalizer of an owner that waits for its dependents to be gone.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an owner that waits for its dependents to be released.
pub const ORPHAN: &str = "orphan";

/// How deletion goes on to dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// The object goes first.
    Background,
    /// Dependents go first.
    Foreground,
    /// Dependents stay, without an owner.
    Orphan,
}

impl Propagation {
    /// The word that requests carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// What is known of an owner that an object names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It is there.
    Present,
    /// It is being deleted and waits for its dependents.
    Waiting,
    /// There is no such object: none of that name, or another with that name. This was read, not remembered.
    Absent,
    /// It cannot be known: its kind is not served here, or the reference is one that cannot exist (a cluster-scoped
    /// object cannot have an owner in a namespace).
    Unresolvable,
}

/// What is known of an object that names this one as its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependent {
    /// Whether foreground deletion of the owner waits for it.
    pub blocks: bool,
    /// Whether it is itself being deleted and waits for its own dependents.
    pub waiting: bool,
}

/// What is to be done about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Keep,
    /// Delete it.
    Delete {
        /// How.
        propagation: Propagation,
        /// Let its owners no longer wait for it first: it waits for one of them in turn.
        unblock: bool,
    },
    /// Take these owners (by UID) from its references; others hold it.
    Release(Vec<String>),
    /// Take this owner from all its dependents' references.
    OrphanDependents,
    /// Look at each of its dependents: they go before it does.
    VisitDependents,
    /// Take this finalizer away; what it waited for is done.
    RemoveFinalizer(&'static str),
}

/// Whether an object is being deleted in the foreground: it waits for its dependents.
pub fn is_waiting(object: &ObjectMeta) -> bool {
    object.deletion_timestamp.is_some() && has(object, FOREGROUND)
}

/// Whether an object is being deleted and its dependents are to be released.
pub fn is_orphaning(object: &ObjectMeta) -> bool {
    object.deletion_timestamp.is_some() && has(object, ORPHAN)
}

/// Decides about one object. `owners` says of each of its owner references, in order, what is known of it; references
/// beyond the end of `owners` count as unresolvable. `dependents` are all that name it.
pub fn decide(object: &ObjectMeta, owners: &[Owner], dependents: &[Dependent]) -> Decision {
    if is_orphaning(object) {
        return if dependents.is_empty() {
            Decision::RemoveFinalizer(ORPHAN)
        } else {
            Decision::OrphanDependents
        };
    }
    if is_waiting(object) {
        return if dependents.iter().any(|dependent| dependent.blocks) {
            Decision::VisitDependents
        } else {
            Decision::RemoveFinalizer(FOREGROUND)
        };
    }
    if object.deletion_timestamp.is_some() || object.owner_references.is_empty() {
        return Decision::Keep;
    }
    decide_dependent(object, owners, dependents)
}

fn decide_dependent(object: &ObjectMeta, owners: &[Owner], dependents: &[Dependent]) -> Decision {
    let states: Vec<Owner> = (0..object.owner_references.len())
        .map(|i| owners.get(i).copied().unwrap_or(Owner::Unresolvable))
        .collect();
    if states.contains(&Owner::Present) {
        // Those that are gone, or are going and would wait for this object, lose their hold on it.
        let released: Vec<String> = object
            .owner_references
            .iter()
            .zip(&states)
            .filter(|(_, state)| matches!(state, Owner::Absent | Owner::Waiting))
            .map(|(reference, _)| reference.uid.clone())
            .collect();
        return if released.is_empty() { Decision::Keep } else { Decision::Release(released) };
    }
    if states.contains(&Owner::Unresolvable) {
        // It may well be there: nothing is deleted on a guess.
        return Decision::Keep;
    }
    if states.contains(&Owner::Waiting) && !dependents.is_empty() {
        let unblock = dependents.iter().any(|dependent| dependent.waiting);
        return Decision::Delete { propagation: Propagation::Foreground, unblock };
    }
    let propagation = if has(object, ORPHAN) {
        Propagation::Orphan
    } else if has(object, FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    Decision::Delete { propagation, unblock: false }
}

fn has(object: &ObjectMeta, finalizer: &str) -> bool {
    object.finalizers.iter().any(|f| f == finalizer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_object::{OwnerReference, Time};
    use proptest::prelude::*;

    fn object(deleting: bool, finalizers: &[&str], owners: usize) -> ObjectMeta {
        ObjectMeta {
            deletion_timestamp: deleting.then(|| Time("2026-11-21T12:00:00Z".parse().unwrap())),
            finalizers: finalizers.iter().map(|f| (*f).into()).collect(),
            owner_references: (0..owners)
                .map(|i| OwnerReference { uid: format!("uid-{i}"), ..Default::default() })
                .collect(),
            ..Default::default()
        }
    }

    const PLAIN: Dependent = Dependent { blocks: false, waiting: false };
    const BLOCKING: Dependent = Dependent { blocks: true, waiting: false };
    const WAITING: Dependent = Dependent { blocks: true, waiting: true };

    fn delete(propagation: Propagation) -> Decision {
        Decision::Delete { propagation, unblock: false }
    }

    fn check(object: &ObjectMeta, owners: &[Owner], dependents: &[Dependent], expected: Decision) {
        assert_eq!(decide(object, owners, dependents), expected, "{object:?} {owners:?} {dependents:?}");
    }

    #[test]
    fn what_nobody_owned_stays() {
        check(&object(false, &[], 0), &[], &[BLOCKING], Decision::Keep);
        check(&object(true, &["example.org/own"], 0), &[], &[BLOCKING], Decision::Keep);
    }

    #[test]
    fn a_dependent_goes_when_its_last_owner_is_gone() {
        use Owner::{Absent, Present, Unresolvable, Waiting};
        let background = delete(Propagation::Background);
        let one = object(false, &[], 1);
        check(&one, &[Present], &[], Decision::Keep);
        check(&one, &[Absent], &[], background.clone());
        check(&one, &[Waiting], &[], background.clone());
        check(&one, &[Unresolvable], &[], Decision::Keep);
        check(&one, &[], &[], Decision::Keep);
        check(&object(true, &[], 1), &[Absent], &[], Decision::Keep);

        let two = object(false, &[], 2);
        check(&two, &[Absent, Absent], &[], background.clone());
        check(&two, &[Absent, Waiting], &[], background);
        check(&two, &[Absent, Unresolvable], &[], Decision::Keep);
        check(&two, &[Absent, Present], &[], Decision::Release(vec!["uid-0".into()]));
        check(&two, &[Present, Waiting], &[], Decision::Release(vec!["uid-1".into()]));
        check(&two, &[Present, Unresolvable], &[], Decision::Keep);
    }

    #[test]
    fn a_dependent_of_a_waiting_owner_takes_its_own_dependents_along() {
        let one = object(false, &[], 1);
        check(&one, &[Owner::Waiting], &[PLAIN], delete(Propagation::Foreground));
        let unblocking = Decision::Delete { propagation: Propagation::Foreground, unblock: true };
        check(&one, &[Owner::Waiting], &[PLAIN, WAITING], unblocking);
        check(&one, &[Owner::Absent], &[PLAIN], delete(Propagation::Background));
    }

    #[test]
    fn finalizers_set_beforehand_say_how_a_dependent_goes() {
        check(&object(false, &[ORPHAN], 1), &[Owner::Absent], &[], delete(Propagation::Orphan));
        check(&object(false, &[FOREGROUND], 1), &[Owner::Absent], &[], delete(Propagation::Foreground));
    }

    #[test]
    fn an_owner_waits_for_those_that_block_it() {
        let waiting = object(true, &[FOREGROUND], 0);
        check(&waiting, &[], &[BLOCKING, PLAIN], Decision::VisitDependents);
        check(&waiting, &[], &[PLAIN], Decision::RemoveFinalizer(FOREGROUND));
        check(&waiting, &[], &[], Decision::RemoveFinalizer(FOREGROUND));
        let orphaning = object(true, &[ORPHAN, FOREGROUND], 0);
        check(&orphaning, &[], &[BLOCKING], Decision::OrphanDependents);
        check(&orphaning, &[], &[], Decision::RemoveFinalizer(ORPHAN));
    }

    proptest! {
        /// Whatever else is known: one owner that is there, or may be, keeps an object from being deleted.
        #[test]
        fn nothing_is_deleted_while_an_owner_may_be_there(
            owners in prop::collection::vec(prop::sample::select(vec![
                Owner::Present, Owner::Waiting, Owner::Absent, Owner::Unresolvable]), 1..5),
            blocks in prop::collection::vec(any::<(bool, bool)>(), 0..3),
        ) {
            let dependents: Vec<_> =
                blocks.into_iter().map(|(blocks, waiting)| Dependent { blocks, waiting }).collect();
            let decision = decide(&object(false, &[], owners.len()), &owners, &dependents);
            let held = owners.iter().any(|o| matches!(o, Owner::Present | Owner::Unresolvable));
            let deleted = matches!(decision, Decision::Delete { .. });
            prop_assert_eq!(deleted, !held);
        }
    }
}
