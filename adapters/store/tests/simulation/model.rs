//! What the store ought to hold, kept the simplest way: every state there ever was.

use lab_store::{Expect, Revision, Value, Write};
use std::collections::BTreeMap;

/// A key's value, the revision of its creation and that of its last change.
pub type Held = (String, Revision, Revision);
pub type Keys = BTreeMap<String, Held>;

/// A write as the simulation speaks of it.
#[derive(Debug, Clone)]
pub struct Wish {
    pub key: String,
    /// A number to tell values apart; `None` deletes.
    pub content: Option<u64>,
    pub expect: Expect,
}

const BEFORE: &str = r#"{"revision":""#;

impl Wish {
    pub fn write(&self) -> Write {
        let value = self.content.map(|content| Value {
            bytes: format!("{BEFORE}{}", rest(content)).into(),
            revision_at: Some(BEFORE.len() as u32),
        });
        Write { key: self.key.as_str().into(), value, expect: self.expect }
    }
}

/// Values are of very different lengths, up to many pages of the engine.
fn rest(content: u64) -> String {
    let filling = match content % 11 {
        0 => 20_000,
        1..4 => 2_000,
        _ => content % 50,
    };
    format!(r#"","content":{content},"filling":"{}"}}"#, "f".repeat(filling as usize))
}

fn with_revision(content: &str, revision: Revision) -> String {
    format!("{BEFORE}{revision}{content}")
}

/// All states by revision, and the events between them.
#[derive(Debug, Clone)]
pub struct Model {
    states: Vec<Keys>,
    events: Vec<(String, String)>,
    contents: BTreeMap<String, String>,
}

impl Model {
    pub fn new() -> Self {
        Self { states: vec![Keys::new()], events: vec![], contents: BTreeMap::new() }
    }

    pub fn revision(&self) -> Revision {
        self.states.len() as u64 - 1
    }

    /// The state at a revision.
    pub fn at(&self, revision: Revision) -> &Keys {
        &self.states[revision as usize]
    }

    pub fn newest(&self) -> &Keys {
        self.at(self.revision())
    }

    /// Carries out a wish, or says at which revision its key was found instead.
    pub fn carry_out(&mut self, wish: &Wish) -> Result<Held, Option<Revision>> {
        let revision = self.revision() + 1;
        let mut state = self.newest().clone();
        let old = state.get(&wish.key).cloned();
        let found = old.as_ref().map(|(_, _, modified)| *modified);
        let holds = match wish.expect {
            Expect::Absent => found.is_none() && wish.content.is_some(),
            Expect::Revision(expected) => found == Some(expected),
        };
        if !holds {
            return Err(found);
        }
        let created = old.as_ref().map_or(revision, |(_, created, _)| *created);
        let content = match wish.content {
            Some(content) => rest(content),
            None => self.contents.get(&wish.key).cloned().unwrap_or_default(),
        };
        let value = with_revision(&content, revision);
        let kind = match (&old, wish.content) {
            (None, _) => "created",
            (Some(_), Some(_)) => "updated",
            (Some(_), None) => "deleted",
        };
        let previous = old.map_or(String::new(), |(value, ..)| value);
        self.events.push((wish.key.clone(), format!("{revision} {kind} {} {value}<{previous}", wish.key)));
        self.contents.insert(wish.key.clone(), content);
        let held = (value, created, revision);
        match wish.content {
            Some(_) => drop(state.insert(wish.key.clone(), held.clone())),
            None => drop(state.remove(&wish.key)),
        }
        self.states.push(state);
        Ok(held)
    }

    /// The events of keys under a prefix in `after..=upto`, as text.
    pub fn events(&self, prefix: &str, after: Revision, upto: Revision) -> Vec<&str> {
        self.events[after as usize..upto as usize]
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(_, told)| told.as_str())
            .collect()
    }
}
