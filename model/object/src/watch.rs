//! What a watch says: one event a line, each a type and an object (Kubernetes' `meta/v1.WatchEvent`).

use serde::{Deserialize, Serialize};

/// The annotation on the bookmark that ends a watch's initial events; its value is `true`.
pub const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// What happened to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventType {
    /// It was created, or began to match the watch's selector.
    Added,
    /// It was changed.
    Modified,
    /// It was deleted, or stopped matching; the object is as it last was.
    Deleted,
    /// Nothing: only `metadata.resourceVersion` of the object means something. Everything before it was sent.
    Bookmark,
    /// The watch ended; the object is a `Status`.
    Error,
}

impl EventType {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }
}

/// One event of a watch. `O` is what the reader wants of the object: a typed kind, [`Json`](crate::Json), or a
/// `RawValue` to leave it unparsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchEvent<O> {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// To what.
    pub object: O,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Json;
    use serde_json::json;

    #[test]
    fn words_on_the_wire() {
        for (kind, word) in [
            (EventType::Added, "ADDED"),
            (EventType::Modified, "MODIFIED"),
            (EventType::Deleted, "DELETED"),
            (EventType::Bookmark, "BOOKMARK"),
            (EventType::Error, "ERROR"),
        ] {
            let event = WatchEvent { kind, object: json!({"a": 1}) };
            let wire = json!({"type": word, "object": {"a": 1}});
            assert_eq!(serde_json::to_value(&event).unwrap(), wire);
            assert_eq!(serde_json::from_value::<WatchEvent<Json>>(wire).unwrap(), event);
            assert_eq!(kind.as_str(), word);
        }
    }
}
