//! The order of a merged list: first that of `$setElementOrder`, then that of the patch, then the old one.

use crate::Json;
use std::collections::HashMap;

/// What tells an element from others: the value of its merge key, or all of a scalar; as JSON.
pub(super) fn identity(element: &Json, key: Option<&str>) -> Option<String> {
    match key {
        Some(key) => element.get(key).map(Json::to_string),
        None => Some(element.to_string()),
    }
}

/// The places of elements in a list; the first of those that are alike.
pub(super) fn positions<'a>(
    list: impl IntoIterator<Item = &'a Json>,
    key: Option<&str>,
) -> HashMap<String, usize> {
    let mut positions = HashMap::new();
    for (place, element) in list.into_iter().enumerate() {
        if let Some(id) = identity(element, key) {
            positions.entry(id).or_insert(place);
        }
    }
    positions
}

/// Puts the wanted elements into the wanted order. Each other element goes before the first wanted one that it used
/// to stand before, so that new elements come first.
pub(super) fn arrange(
    list: Vec<Json>,
    wanted: &HashMap<String, usize>,
    before: &HashMap<String, usize>,
    key: Option<&str>,
) -> Vec<Json> {
    if wanted.is_empty() {
        return list;
    }
    let size = list.len();
    let (mut listed, mut others) = (Vec::new(), Vec::new());
    for element in list {
        let id = identity(&element, key);
        let place = |places: &HashMap<String, usize>| id.as_ref().and_then(|id| places.get(id).copied());
        match (place(wanted), place(before)) {
            (Some(rank), old) => listed.push((rank, old, element)),
            (None, old) => others.push((old, element)),
        }
    }
    listed.sort_by_key(|(rank, _, _)| *rank);
    let mut arranged = Vec::with_capacity(size);
    let mut others = others.into_iter().peekable();
    for (_, old, element) in listed {
        while let Some((_, other)) =
            others.next_if(|(other, _)| other.is_some() && old.is_some() && *other < old)
        {
            arranged.push(other);
        }
        arranged.push(element);
    }
    arranged.extend(others.map(|(_, element)| element));
    arranged
}
