//! The end of a namespace: first all that is in it, then the namespace.

use lab_object::ObjectMeta;
use std::collections::BTreeMap;

/// The finalizer, in a namespace's `spec`, that stands for its contents.
pub const FINALIZER: &str = "kubernetes";

/// What is left of one kind in a namespace after its deletion was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remaining {
    /// The resource as people write it: `configmaps`, `leases.coordination.k8s.io`.
    pub resource: String,
    /// How many objects are left.
    pub count: usize,
    /// How many of them each finalizer holds.
    pub finalizers: BTreeMap<String, usize>,
}

/// A kind whose objects could not be listed or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The resource as people write it.
    pub resource: String,
    /// Why.
    pub why: String,
}

/// A condition of the namespace, without its time of transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Kubernetes' name for it.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, for people.
    pub message: String,
}

/// What is to be done about a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is not being deleted, or its contents are already done with.
    Keep,
    /// All it held is gone: take [`FINALIZER`] from it.
    Finalize,
    /// It waits for this; say so in its status and look again later.
    Wait(Vec<Condition>),
}

/// Whether a namespace waits for its contents to be deleted.
pub fn is_terminating(namespace: &ObjectMeta, finalizers: &[String]) -> bool {
    namespace.deletion_timestamp.is_some() && finalizers.iter().any(|f| f == FINALIZER)
}

/// Decides about a namespace. `finalizers` are those in its `spec`; `remaining` and `failures` are what deleting its
/// contents led to.
pub fn decide(
    namespace: &ObjectMeta,
    finalizers: &[String],
    remaining: &[Remaining],
    failures: &[Failure],
) -> Decision {
    if !is_terminating(namespace, finalizers) {
        return Decision::Keep;
    }
    if failures.is_empty() && remaining.iter().all(|r| r.count == 0) {
        return Decision::Finalize;
    }
    Decision::Wait(vec![failed(failures), content(remaining), held(remaining)])
}

fn failed(failures: &[Failure]) -> Condition {
    let message = if failures.is_empty() {
        "All content successfully deleted, may be waiting on finalization".into()
    } else {
        let each = failures.iter().map(|f| format!("{}: {}", f.resource, f.why));
        format!("Failed to delete all resource types: {}", each.collect::<Vec<_>>().join("; "))
    };
    let holds = !failures.is_empty();
    let reason = if holds { "ContentDeletionFailed" } else { "ContentDeleted" };
    Condition { kind: "NamespaceDeletionContentFailure", holds, reason, message }
}

fn content(remaining: &[Remaining]) -> Condition {
    let some: Vec<_> = remaining.iter().filter(|r| r.count > 0).collect();
    let holds = !some.is_empty();
    let (reason, message) = if holds {
        let each = some.iter().map(|r| format!("{} has {} resource instances", r.resource, r.count));
        let list = each.collect::<Vec<_>>().join(", ");
        ("SomeResourcesRemain", format!("Some resources are remaining: {list}"))
    } else {
        ("ContentRemoved", "All content successfully removed".into())
    };
    Condition { kind: "NamespaceContentRemaining", holds, reason, message }
}

fn held(remaining: &[Remaining]) -> Condition {
    let mut by_finalizer: BTreeMap<&str, usize> = BTreeMap::new();
    for (finalizer, count) in remaining.iter().flat_map(|r| &r.finalizers) {
        *by_finalizer.entry(finalizer).or_default() += count;
    }
    let holds = !by_finalizer.is_empty();
    let (reason, message) = if holds {
        let each = by_finalizer.iter().map(|(name, count)| format!("{name} in {count} resource instances"));
        let list = each.collect::<Vec<_>>().join(", ");
        ("SomeFinalizersRemain", format!("Some content in the namespace has finalizers remaining: {list}"))
    } else {
        ("ContentHasNoFinalizers", "All content-preserving finalizers finished".into())
    };
    Condition { kind: "NamespaceFinalizersRemaining", holds, reason, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_object::Time;

    fn namespace(deleting: bool) -> ObjectMeta {
        ObjectMeta {
            deletion_timestamp: deleting.then(|| Time("2026-11-21T12:00:00Z".parse().unwrap())),
            ..Default::default()
        }
    }

    fn left(resource: &str, count: usize, finalizers: &[(&str, usize)]) -> Remaining {
        let finalizers = finalizers.iter().map(|(f, n)| ((*f).into(), *n)).collect();
        Remaining { resource: resource.into(), count, finalizers }
    }

    #[test]
    fn a_namespace_ends_once_all_in_it_is_gone() {
        let check = |deleting, finalizers: &[&str], remaining: &[Remaining], expected: Decision| {
            let finalizers: Vec<String> = finalizers.iter().map(|f| (*f).into()).collect();
            assert_eq!(decide(&namespace(deleting), &finalizers, remaining, &[]), expected);
        };
        check(false, &[FINALIZER], &[], Decision::Keep);
        check(true, &[], &[left("configmaps", 3, &[])], Decision::Keep);
        check(true, &["example.org/other"], &[], Decision::Keep);
        check(true, &[FINALIZER], &[], Decision::Finalize);
        check(true, &[FINALIZER], &[left("configmaps", 0, &[])], Decision::Finalize);
    }

    #[test]
    fn what_it_waits_for_is_said() {
        let check = |remaining: &[Remaining], failures: &[Failure], expected: [&str; 3]| {
            let decision = decide(&namespace(true), &[FINALIZER.into()], remaining, failures);
            let Decision::Wait(conditions) = decision else { panic!("{decision:?}") };
            let said = conditions.iter().map(|c| format!("{} {}: {}", c.holds, c.reason, c.message));
            assert_eq!(said.collect::<Vec<_>>(), expected);
        };
        check(
            &[
                left("configmaps", 2, &[("a/x", 1)]),
                left("secrets", 0, &[]),
                left("leases.c", 1, &[("a/x", 1)]),
            ],
            &[],
            [
                "false ContentDeleted: All content successfully deleted, may be waiting on finalization",
                "true SomeResourcesRemain: Some resources are remaining: configmaps has 2 resource instances, \
                 leases.c has 1 resource instances",
                "true SomeFinalizersRemain: Some content in the namespace has finalizers remaining: \
                 a/x in 2 resource instances",
            ],
        );
        check(
            &[],
            &[Failure { resource: "secrets".into(), why: "the store cannot write".into() }],
            [
                "true ContentDeletionFailed: Failed to delete all resource types: secrets: the store cannot write",
                "false ContentRemoved: All content successfully removed",
                "false ContentHasNoFinalizers: All content-preserving finalizers finished",
            ],
        );
    }
}
