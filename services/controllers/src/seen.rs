//! What controllers keep in mind of an object: little, as there may be a hundred thousand.

use lab_deletion::ownership;
use lab_object::ObjectMeta;
use serde::Deserialize;

/// An object of any kind, with nothing but its metadata.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Partial {
    #[serde(default)]
    pub metadata: ObjectMeta,
}

impl Partial {
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

/// What garbage collection keeps of an object.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Partial")]
pub(crate) struct Seen {
    pub uid: Box<str>,
    pub owners: Box<[SeenOwner]>,
    /// It is being deleted and waits for its dependents to go.
    pub waiting: bool,
    /// It is being deleted and waits for its dependents to be released.
    pub orphaning: bool,
}

/// An owner that an object names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SeenOwner {
    pub uid: Box<str>,
    pub api_version: Box<str>,
    pub kind: Box<str>,
    pub name: Box<str>,
    pub blocks: bool,
}

impl From<Partial> for Seen {
    fn from(object: Partial) -> Self {
        let (waiting, orphaning) =
            (ownership::is_waiting(&object.metadata), ownership::is_orphaning(&object.metadata));
        let owners = object.metadata.owner_references.into_iter().map(|owner| SeenOwner {
            uid: owner.uid.into(),
            api_version: owner.api_version.into(),
            kind: owner.kind.into(),
            name: owner.name.into(),
            blocks: owner.block_owner_deletion.unwrap_or(false),
        });
        Self {
            uid: object.metadata.uid.unwrap_or_default().into(),
            owners: owners.collect(),
            waiting,
            orphaning,
        }
    }
}
