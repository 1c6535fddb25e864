//! Who may do what: a table over every registered kind and verb, which is wrong as soon as one is missing from it.

use crate::site::{IDENTITIES, access, object, policy};
use lab_access::{
    Access, Ask, Facts, Refusal, Verdict,
    review::{REVIEWS, verbs_of, verbs_of_kind},
};
use lab_object::Json;
use std::collections::BTreeMap;

const TABLE: &str = include_str!("verdicts.txt");

/// `+` permitted, `.` hidden, `!` forbidden.
fn outcome(access: &Access, ask: &Ask<'_>, object: &Json) -> char {
    let verdict = access.admit(ask);
    let decided = match ask.verb {
        "list" | "watch" => {
            if access.sees(ask, &Facts::of(object).expect("it is an object")) {
                Ok(())
            } else {
                Err(Refusal::Hidden)
            }
        }
        "get" | "delete" | "deletecollection" => access.decide(ask, Some(object), None),
        "create" => access.decide(ask, None, Some(object)),
        _ => access.decide(ask, Some(object), Some(object)),
    };
    match (verdict, decided) {
        (Verdict::Denied(_), _) => '!',
        (_, Ok(())) => '+',
        (Verdict::Depends, Err(Refusal::Hidden)) => '.',
        (Verdict::Depends, Err(Refusal::Forbidden(_))) => '!',
        (Verdict::Allowed, Err(refusal)) => panic!("{ask:?} is allowed at first and then {refusal:?}"),
    }
}

/// Every resource that is served with its verbs, by the name it has in the table.
fn served() -> Vec<(String, String, String, &'static [&'static str])> {
    let mut served: Vec<(String, String, String, &'static [&'static str])> = Vec::new();
    for kind in lab_kinds::registry().kinds() {
        served.push((kind.group.clone(), kind.plural.clone(), String::new(), verbs_of_kind(kind)));
        for part in &kind.subresources {
            served.push((kind.group.clone(), kind.plural.clone(), part.path().into(), verbs_of(part)));
        }
    }
    served.extend(
        REVIEWS.map(|(group, resource)| (group.into(), resource.into(), String::new(), &["create"][..])),
    );
    served
}

fn cells(group: &str, resource: &str, subresource: &str, verb: &str) -> String {
    let policy = policy();
    let ask = Ask { verb, group, resource, subresource };
    let cells = IDENTITIES.map(|(identity, ..)| {
        let access = access(&policy, identity);
        ["near", "far"]
            .map(|name| outcome(&access, &ask, &object(group, resource, name)))
            .iter()
            .collect::<String>()
    });
    cells.join(" ")
}

#[test]
fn over_every_kind_and_verb() {
    let mut expected: BTreeMap<(String, String), String> = BTreeMap::new();
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (resource, rest) = words.split_first().expect("a line begins with a resource");
        let (cells, verbs) = rest.split_at(IDENTITIES.len());
        let cells = cells.join(" ");
        for verb in verbs {
            let before = expected.insert(((*resource).into(), (*verb).into()), cells.clone());
            assert_eq!(before, None, "{resource} {verb} stands twice in the table");
        }
    }
    let mut wrong = Vec::new();
    for (group, resource, subresource, verbs) in served() {
        let part = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
        let dot = if group.is_empty() { "" } else { "." };
        let name = format!("{resource}{part}{dot}{group}");
        for verb in verbs {
            let found = cells(&group, &resource, &subresource, verb);
            let said = expected.remove(&(name.clone(), (*verb).into()));
            if said.as_ref() != Some(&found) {
                wrong.push(format!("{name} {verb}\n  table {}\n  found {found}", said.unwrap_or_default()));
            }
        }
    }
    assert!(wrong.is_empty(), "the table and the decisions differ:\n{}", wrong.join("\n"));
    assert!(expected.is_empty(), "the table has what is not served: {:?}", expected.keys());
}
