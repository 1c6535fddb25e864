//! `action:cloud:environment:server`: what one permission says, and what it covers.

use std::{fmt, str::FromStr};

/// What somebody may do, each action including the ones before it: who may destroy a machine may also change it, and
/// who may change it may see it. Nobody administers what they may not touch, so `admin` includes the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// See it.
    Read,
    /// Create and change it.
    Apply,
    /// Delete it, or lose what is on its disks.
    Destroy,
    /// See secrets, and decide who may do what.
    Admin,
}

impl Action {
    /// The word in permissions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Apply => "apply",
            Self::Destroy => "destroy",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where something stands. A part that is `None` is not known, or means all of them: only a `*` reaches it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Scope<'a> {
    /// The cloud.
    pub cloud: Option<&'a str>,
    /// The environment.
    pub environment: Option<&'a str>,
    /// The server's name.
    pub server: Option<&'a str>,
}

impl Scope<'_> {
    /// Everything there is.
    pub const EVERYWHERE: Self = Self { cloud: None, environment: None, server: None };
}

impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part: Option<&'_ str>| part.map_or_else(|| "*".to_owned(), ToOwned::to_owned);
        write!(f, "{}:{}:{}", part(self.cloud), part(self.environment), part(self.server))
    }
}

/// One permission: an action, and where it is permitted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// The action; `None` for `*`, which permits what `admin` does.
    action: Option<Action>,
    cloud: Option<Box<str>>,
    environment: Option<Box<str>>,
    server: Option<Box<str>>,
}

/// Why a text is no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a permission of the form action:cloud:environment:server: {why}")]
pub struct PermissionError {
    /// The whole text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Permission {
    /// The strongest action it permits.
    pub fn action(&self) -> Action {
        self.action.unwrap_or(Action::Admin)
    }

    /// Where it is permitted.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            cloud: self.cloud.as_deref(),
            environment: self.environment.as_deref(),
            server: self.server.as_deref(),
        }
    }

    /// Whether it permits an action at a place.
    pub fn permits(&self, action: Action, at: Scope<'_>) -> bool {
        let part = |held: &Option<Box<str>>, asked: Option<&str>| held.is_none() || held.as_deref() == asked;
        self.action() >= action
            && part(&self.cloud, at.cloud)
            && part(&self.environment, at.environment)
            && part(&self.server, at.server)
    }

    /// What both permit; `None` where they have nothing in common.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        let part = |a: &Option<Box<str>>, b: &Option<Box<str>>| match (a, b) {
            (None, part) | (part, None) => Some(part.clone()),
            (Some(a), Some(b)) => (a == b).then(|| Some(a.clone())),
        };
        Some(Self {
            action: Some(self.action().min(other.action())),
            cloud: part(&self.cloud, &other.cloud)?,
            environment: part(&self.environment, &other.environment)?,
            server: part(&self.server, &other.server)?,
        })
    }

    /// Whether it permits all that the other one does.
    pub fn covers(&self, other: &Self) -> bool {
        self.permits(other.action(), other.scope())
    }
}

impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        let wrong = |why| PermissionError { text: text.into(), why };
        let parts: Vec<&str> = text.split(':').collect();
        let &[action, cloud, environment, server] = parts.as_slice() else {
            return Err(wrong("it must have four parts between colons"));
        };
        let action = match action {
            "*" => None,
            "read" => Some(Action::Read),
            "apply" => Some(Action::Apply),
            "destroy" => Some(Action::Destroy),
            "admin" => Some(Action::Admin),
            _ => return Err(wrong("the action must be read, apply, destroy, admin or *")),
        };
        let word = |part: &str| part.len() <= 63 && is_name(part, false);
        let part = |part: &str, valid: bool, why| match part {
            "*" => Ok(None),
            name if valid => Ok(Some(name.into())),
            _ => Err(wrong(why)),
        };
        Ok(Self {
            action,
            cloud: part(cloud, word(cloud), "the cloud must be a word of [a-z0-9-], or *")?,
            environment: part(
                environment,
                word(environment),
                "the environment must be a word of [a-z0-9-], or *",
            )?,
            server: part(
                server,
                server.len() <= 253 && is_name(server, true),
                "the server must be a name of [a-z0-9.-], or *",
            )?,
        })
    }
}

/// Letters, digits and dashes, and dots where they may be, beginning and ending with a letter or digit.
fn is_name(text: &str, dots: bool) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|b| inner(*b))
        && bytes.last().is_some_and(|b| inner(*b))
        && bytes.iter().all(|&b| inner(b) || b == b'-' || (dots && b == b'.'))
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.action.map_or("*", Action::as_str), self.scope())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn permission(text: &str) -> Permission {
        text.parse().expect("it is a permission")
    }

    /// Permissions over few words, so that they often meet.
    pub(crate) fn any_permission() -> impl Strategy<Value = Permission> {
        let part = || prop::sample::select(vec!["*", "a", "b"]);
        let action = prop::sample::select(vec!["*", "read", "apply", "destroy", "admin"]);
        (action, part(), part(), part()).prop_map(|(a, c, e, s)| permission(&format!("{a}:{c}:{e}:{s}")))
    }

    #[test]
    fn reads() {
        let check = |text: &str, expected: Result<(), &str>| match (text.parse::<Permission>(), expected) {
            (Ok(read), Ok(())) => assert_eq!(read.to_string(), text),
            (Err(error), Err(why)) => assert!(error.why.contains(why), "{text}: {error}"),
            (found, _) => panic!("{text}: {found:?}"),
        };
        check("read:*:*:*", Ok(()));
        check("*:*:*:*", Ok(()));
        check("destroy:baremetal:dev-1:rack1-node3.lab", Ok(()));
        check("write:*:*:*", Err("action"));
        check("read:*:*", Err("four"));
        check("read:*:*:*:*", Err("four"));
        check("read::*:*", Err("cloud"));
        check("read:*:d*:*", Err("environment"));
        check("read:*:a.b:*", Err("environment"));
        check("read:*:*:-x", Err("server"));
        check("read:*:*:X", Err("server"));
        check("", Err("four"));
    }

    #[test]
    fn covers() {
        let check = |held: &str, asked: &str, expected| {
            assert_eq!(permission(held).covers(&permission(asked)), expected, "{held} {asked}");
        };
        check("read:*:*:*", "read:a:b:c", true);
        check("read:*:*:*", "apply:a:b:c", false);
        check("apply:*:*:*", "read:*:*:*", true);
        check("admin:a:*:*", "destroy:a:b:*", true);
        check("admin:a:*:*", "destroy:*:b:*", false);
        check("admin:*:*:*", "*:*:*:*", true);
        check("*:a:b:c", "admin:a:b:c", true);
        check("read:a:b:c", "read:a:b:*", false);
    }

    proptest! {
        #[test]
        fn covering_is_an_order(a in any_permission(), b in any_permission(), c in any_permission()) {
            prop_assert!(a.covers(&a));
            prop_assert!(!(a.covers(&b) && b.covers(&c)) || a.covers(&c));
            prop_assert!(!(a.covers(&b) && b.covers(&a)) || (a.action(), a.scope()) == (b.action(), b.scope()));
            prop_assert_eq!(permission(&a.to_string()), a);
        }

        #[test]
        fn what_both_permit_is_permitted_by_each(
            a in any_permission(), b in any_permission(), c in any_permission()
        ) {
            let both = a.meet(&b).is_some_and(|met| met.covers(&c));
            prop_assert_eq!(both, a.covers(&c) && b.covers(&c));
        }
    }
}
